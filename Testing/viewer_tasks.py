"""Tasks for the viewer's worker that need no model; the prompt can make one endless."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from MRISynthLib.progress import Callbacks
from MRISynthLib.provenance import Provenance
from MRISynthLib.volume import Volume
from MRISynthLib.worker import ModelCache, TaskResult

SLOW = "7 T"
"""In a prompt: go on until it is cancelled."""


def _synthesis(
    parameters: dict, volumes: list[Volume], callbacks: Callbacks, models: ModelCache
) -> TaskResult:
    """The first input, darker to the patient's left; its uncertainty rises from top to bottom."""
    reference = volumes[0]
    made: list[tuple[str, Volume]] = []
    ramp = np.linspace(1.0, 0.4, reference.shape[2], dtype=np.float32)
    first = parameters.get("visible_slice") or 0
    order = [first, *(k for k in range(reference.shape[0]) if k != first)]
    for target in parameters["targets"]:
        name, prompt = target["sequence"], target["prompt"]
        voxels = np.asarray(reference.voxels, np.float32) * ramp
        for count, k in enumerate(order):
            callbacks.progress("synthesize", count, len(order))
            callbacks.slice_ready(name, k, voxels[k])
            while SLOW in prompt and count == 2:
                time.sleep(0.01)
                callbacks.check()
        about: dict[str, Any] = {"sequence": name, "prompt": prompt, "bundle": "Test"}
        inputs = tuple({"sequence": volume.sequence} for volume in volumes)
        image = reference.with_voxels(
            voxels, sequence=name, name=name, provenance=Provenance(True, inputs=inputs, **about)
        )
        doubt = np.broadcast_to(
            np.linspace(0, 90, reference.shape[1], dtype=np.float32)[:, None], reference.shape
        ).copy()
        made.append((name, image))
        unsure = Provenance(True, kind="uncertainty", inputs=inputs, **about)
        made.append((f"{name}_uncertainty", image.with_voxels(doubt, provenance=unsure)))
    return TaskResult(made, {"device": "cpu", "timings": {"synthesize": 0.1}, "warnings": []})


def _segmentation(
    parameters: dict, volumes: list[Volume], callbacks: Callbacks, models: ModelCache
) -> TaskResult:
    """A box in the middle for each structure, ever smaller."""
    reference = volumes[0]
    masks = []
    for number, name in enumerate(parameters["structures"]):
        callbacks.progress("segment", number, len(parameters["structures"]))
        masks.append((name, reference.replace(voxels=_box(reference, 6 + number), name=name)))
    info = {"doubt": {name: 0.1 for name, _ in masks}, "provenance": None, "warnings": []}
    return TaskResult(masks, {**info, "device": "cpu", "timings": {"segment": 0.1}})


def _box(reference: Volume, part: int) -> np.ndarray:
    mask = np.zeros(reference.shape, bool)
    sides = [slice(n // 2 - max(1, n // part), n // 2 + max(1, n // part)) for n in mask.shape]
    mask[tuple(sides)] = True
    return mask


def _refinement(
    parameters: dict, volumes: list[Volume], callbacks: Callbacks, models: ModelCache
) -> TaskResult:
    """A small box at the last click is added or taken away."""
    previous = volumes[-1]
    x, y, z, adds = parameters["clicks"][-1]
    index = np.linalg.inv(previous.index_to_world) @ (x, y, z, 1.0)
    i, j, k = (round(float(value)) for value in index[:3])
    mask = np.array(previous.voxels, bool)
    mask[max(0, k - 1) : k + 2, max(0, j - 4) : j + 5, max(0, i - 4) : i + 5] = adds
    name = parameters["structure"]
    info = {"structure": name, "warnings": [], "device": "cpu", "timings": {}}
    return TaskResult([(name, previous.replace(voxels=mask, name=name))], info)


def _comparison(
    parameters: dict, volumes: list[Volume], callbacks: Callbacks, models: ModelCache
) -> TaskResult:
    """All of the right half differs by 0.5."""
    synthetic = volumes[1]
    voxels = np.zeros(synthetic.shape, np.float32)
    voxels[:, :, synthetic.shape[2] // 2 :] = 0.5
    provenance = Provenance(True, kind="difference", sequence=synthetic.sequence)
    figures = {"body": {"MAE": 0.021, "PSNR": 28.5, "SSIM": 0.912}}
    difference = synthetic.with_voxels(voxels, provenance=provenance, name="difference")
    return TaskResult([("difference", difference)], {"figures": figures, "warnings": []})


HANDLERS = {
    "synthesis": _synthesis,
    "segmentation": _segmentation,
    "refinement": _refinement,
    "comparison": _comparison,
}
