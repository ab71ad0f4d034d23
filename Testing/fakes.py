"""A task module for the worker that needs no model, and volumes and bundles to test with."""

from __future__ import annotations

import itertools
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from MRISynthLib.errors import BundleError
from MRISynthLib.progress import Callbacks
from MRISynthLib.provenance import Provenance
from MRISynthLib.volume import Volume, matrix_from_parts
from MRISynthLib.worker import ModelCache, TaskResult


def volume(seed: int = 0, shape: tuple[int, int, int] = (6, 20, 24), **attributes: Any) -> Volume:
    """A random oblique volume."""
    angle = np.deg2rad(12)
    rotation = np.array(
        [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]]
    )
    voxels = np.random.default_rng(seed).uniform(0, 900, shape).astype(np.float32)
    attributes.setdefault("sequence", "T1w")
    attributes.setdefault("name", f"volume {seed}")
    return Volume(voxels, matrix_from_parts((0.9, 0.9, 4.0), rotation, (1, 2, 3)), **attributes)


def head(seed: int = 0, shape: tuple[int, int, int] = (8, 48, 40), **attributes: Any) -> Volume:
    """A bright ellipsoid in a dark background, which body masks and windows understand."""
    axes = np.ogrid[tuple(slice(-1, 1, n * 1j) for n in shape)]
    inside = sum((axis / 0.8) ** 2 for axis in axes) < 1
    noise = np.random.default_rng(seed).normal(0, 20, shape)
    voxels = (np.where(inside, 500 + 100 * axes[2], 10) + noise).clip(0).astype(np.float32)
    return Volume(voxels, matrix_from_parts((4.0, 4.0, 20.0)), **attributes)


# ------------------------------------------------------------------- what the worker runs


def _echo(parameters: dict, volumes: list[Volume], callbacks: Callbacks, models: ModelCache):
    for number in range(3):
        callbacks.progress("synthesize", number + 1, 3)
        callbacks.slice_ready("T2w", number, volumes[0].voxels[number])
    return TaskResult([(f"echo{n}", v) for n, v in enumerate(volumes)], {"parameters": parameters})


def _model(parameters: dict, volumes: list[Volume], callbacks: Callbacks, models: ModelCache):
    """How often a model was loaded in this process, and which process it is."""
    loads: list[int] = models.get(("loads", models.device), list)
    models.get((parameters["hash"], models.device), lambda: loads.append(1) or object())
    return TaskResult(info={"loads": len(loads), "pid": os.getpid(), "device": models.device})


def _polite(parameters: dict, volumes: list[Volume], callbacks: Callbacks, models: ModelCache):
    """Works until it is cancelled, looking often."""
    callbacks.progress("synthesize", 0, 1)
    while True:
        time.sleep(0.01)
        callbacks.check()


def _steps(parameters: dict, volumes: list[Volume], callbacks: Callbacks, models: ModelCache):
    """Tells each of many short steps, until it is cancelled."""
    for step in itertools.count():
        callbacks.progress("synthesize", step, 0)
        time.sleep(0.01)
        callbacks.check()


def _deaf(parameters: dict, volumes: list[Volume], callbacks: Callbacks, models: ModelCache):
    """Works for long without looking whether it was cancelled."""
    callbacks.progress("synthesize", 0, 1)
    time.sleep(600)
    return TaskResult()


def _die(parameters: dict, volumes: list[Volume], callbacks: Callbacks, models: ModelCache):
    callbacks.progress("register", 0, 1)
    os._exit(7)


def _refuse(parameters: dict, volumes: list[Volume], callbacks: Callbacks, models: ModelCache):
    raise BundleError("The model is not to be trusted; use another one.")


def _break(parameters: dict, volumes: list[Volume], callbacks: Callbacks, models: ModelCache):
    return {}["a key that is not there"]


def _exhaust(parameters: dict, volumes: list[Volume], callbacks: Callbacks, models: ModelCache):
    raise MemoryError


def _noisy(parameters: dict, volumes: list[Volume], callbacks: Callbacks, models: ModelCache):
    """Prints to standard output in every way that a library might."""
    print("a stray print")
    sys.stdout.flush()
    os.write(1, b"a stray native print\n" * 1000)
    print("a warning", file=sys.stderr)
    return TaskResult(info={"said": sys.stdin.read()})


SLOW_SEED = 99
"""With this seed the faked tasks go on until they are cancelled."""

HUNGRY_SEED = 98
"""With this seed the memory runs out."""


def _info(**more: Any) -> dict[str, Any]:
    bundle = {"name": "TestSynthesis", "version": "1.2.3", "hash": "0" * 64}
    return {
        "warnings": ["This is a fake."],
        "device": "cpu",
        "dtype": "float32",
        "bundle": bundle,
        "peak_memory_mb": 100.0,
        "peak_gpu_memory_mb": None,
        **more,
    }


def _synthesis(parameters: dict, volumes: list[Volume], callbacks: Callbacks, models: ModelCache):
    """In the place of the real task: the reference, darker for each target."""
    print("a library says hello")
    os.write(1, b"and another one, natively\n")
    reference = volumes[0]
    if parameters.get("seed") == HUNGRY_SEED:
        raise MemoryError
    for number in range(reference.shape[0]):
        callbacks.progress("synthesize", number, reference.shape[0])
        callbacks.slice_ready(
            parameters["targets"][0]["sequence"], number, reference.voxels[number]
        )
        while parameters.get("seed") == SLOW_SEED:
            time.sleep(0.01)
            callbacks.check()
    made = []
    for number, target in enumerate(parameters["targets"], start=1):
        name = target["sequence"]
        provenance = Provenance(True, sequence=name, prompt=target["prompt"], bundle="Test")
        image = reference.with_voxels(
            reference.voxels / (1 + number), sequence=name, provenance=provenance, name=name
        )
        made += [(name, image), (f"{name}_uncertainty", image)]
    if parameters.get("return_inputs"):
        made += [(f"input_{n}", volume) for n, volume in enumerate(volumes)]
    timings = {"model": 0.1, "register": 0.2, "synthesize": 0.3, "first_slice": 0.05}
    names = [target["sequence"] for target in parameters["targets"]]
    units = dict.fromkeys(names, (1000.0, 0.0, "arbitrary units"))
    unmoved = {"ok": True, "matrix_lps_fixed_to_moving": np.eye(4).tolist()}
    about = {"targets": names, "units": units, "registrations": [unmoved] * (len(volumes) - 1)}
    return TaskResult(made, _info(timings=timings, **about))


def _segmentation(
    parameters: dict, volumes: list[Volume], callbacks: Callbacks, models: ModelCache
):
    """In the place of the real task: a box a structure, the last of them empty."""
    reference = volumes[0]
    masks = []
    wanted = parameters.get("structures") or METADATA["segmentation"]["structures"]
    for number, name in enumerate(wanted):
        mask = np.zeros(reference.shape, bool)
        mask[1:4, 2 + number : 8, 3:9] = name != wanted[-1]
        masks.append((name, reference.replace(voxels=mask, name=name)))
    return TaskResult(masks, _info(structures=wanted, timings={"segment": 0.4}))


HANDLERS = {
    "synthesis": _synthesis,
    "segmentation": _segmentation,
    "echo": _echo,
    "model": _model,
    "polite": _polite,
    "steps": _steps,
    "deaf": _deaf,
    "die": _die,
    "refuse": _refuse,
    "break": _break,
    "exhaust": _exhaust,
    "noisy": _noisy,
}


# ------------------------------------------------------------------------------- bundles

METADATA: dict[str, dict[str, Any]] = {
    "synthesis": {
        "name": "TestSynthesis",
        "version": "1.2.3",
        "task": "synthesis",
        "description": "A network that was never trained.",
        "sequences_in": ["T1w", "T2w"],
        "sequences_out": ["T1w", "T2w", "CE-T1w", "STIR"],
        "training_data": "none",
        "quality": {"ssim": 0.0},
        "licence": "Apache-2.0",
        "intended_use": "tests",
    },
    "segmentation": {
        "name": "TestSegmentation",
        "version": "1.2.3",
        "task": "segmentation",
        "sequences_in": ["T1w", "T2w"],
        "structures": ["GTVp", "Brainstem"],
        "training_data": "none",
        "quality": {"dice": 0.0},
        "licence": "Apache-2.0",
        "intended_use": "tests",
    },
}
NETWORK = {
    "_target_": "monai.networks.nets.BasicUNet",
    "spatial_dims": 2,
    "in_channels": 2,
    "out_channels": 2,
    "features": [4, 4, 4, 4, 4, 4],
}


def write_test_bundle(folder: Path, task: str = "synthesis", **changes: Any) -> Any:
    """A small bundle that is sound unless ``changes`` to its metadata say otherwise."""
    from MRISynthLib.bundle_network import build_network
    from MRISynthLib.bundles import write_bundle

    weights = build_network(NETWORK, "NETWORK").state_dict()
    metadata = {**METADATA[task], **changes}
    return write_bundle(folder, metadata, {"network_def": NETWORK}, weights)
