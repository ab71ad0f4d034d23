"""Beginning a run with the weights of a finished model, instead of random ones."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from ..bundles import load_bundle
from ..errors import InputError
from ..io.output import staged_file
from .checkpoint import CHECKPOINT
from .survey import SCREEN, carried_screen

START = "start.json"
"""In a run's folder: which model it began with, and what that had learned from."""

BESIDE = ("critic.", "screen.")
"""Parts that only a run or only a bundle has."""


def begin_with(
    network: torch.nn.Module,
    config: Mapping[str, Any],
    task: str,
    output: Path,
    report: Callable[[str], None],
    *,
    first: bool = True,
) -> None:
    """Give ``network`` the weights of the model that ``config["start"]`` names, if it names one.

    A run that goes on from a checkpoint has its own. Without towers the model's way of reading
    prompts and its screen are kept as they are, for nothing in the run would teach them.

    Parameters
    ----------
    task:
        "synthesis" or "segmentation".
    output:
        The run's folder; the first of several processes notes the model there.

    Raises
    ------
    InputError
        If the model is of another task or its weights are those of another network.
    BundleError
        If there is no such model, or it is damaged.
    """
    if not config["start"]:
        return
    prompt = getattr(network, "prompt", None)
    if prompt is not None and not config.get("towers"):
        prompt.tower.requires_grad_(False)
    if (output / CHECKPOINT).is_file():
        return
    bundle = load_bundle(config["start"], task)
    stored = bundle.weights()
    weights = {key: value for key, value in stored.items() if not key.startswith(BESIDE)}
    own = network.state_dict()
    wanted = {key: value.shape for key, value in own.items() if not key.startswith(BESIDE)}
    if wanted != {key: value.shape for key, value in weights.items()}:
        raise InputError(
            f"The field start of the settings names {bundle.name}, which is another network than "
            "the settings describe; set network, network_options or features as they are in its "
            "configs/inference.json, or name another model."
        )
    network.load_state_dict({**own, **weights})
    report(f"the run begins with the weights of {bundle.name} {bundle.version}")
    if first:
        about = {
            "model": f"{bundle.name} {bundle.version}",
            "hash": bundle.hash,
            "training_data": bundle.metadata["training_data"],
            "training": dict(bundle.metadata.get("training", {})),
        }
        with staged_file(output / START) as stage:
            stage.write_text(json.dumps(about, indent=2), encoding="utf-8")
        if screen := carried_screen(stored):
            with staged_file(output / SCREEN) as stage:
                save_file(screen, stage)


def began_with(run: Path) -> dict[str, Any]:
    """What :func:`begin_with` noted; empty if the run began with random weights."""
    path = Path(run) / START
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
