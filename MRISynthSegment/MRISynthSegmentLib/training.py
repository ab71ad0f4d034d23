"""`mrisynth train segmentation`: trains the network that delineates and corrects."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from MRISynthLib.errors import InputError
from MRISynthLib.training.configuration import DATA_DEFAULTS
from MRISynthLib.training.runs import (
    COMMON_DEFAULTS,
    Loss,
    RunState,
    enter_folder,
    pick_device,
    processes,
    read_config,
    run,
)
from MRISynthLib.training.sources import Purpose, Source, open_sources
from MRISynthLib.training.start import begin_with

from .lessons import LEARNED, MIRROR, draw_lesson
from .objective import correction_loss, structure_loss
from .simulated_clicks import MORE_CLICKS, begin
from .stand_ins import StandIn, open_stand_in
from .structure_net import FEATURES, GROUPS, StructureNet
from .validation import in_short, picture, validate

__all__ = ["DEFAULTS", "LEARNED", "MIRROR", "make_network", "train_segmentation"]

DEFAULTS: dict[str, Any] = {
    **COMMON_DEFAULTS,
    **DATA_DEFAULTS,
    "start": None,
    "features": list(FEATURES),
    "steps": 4000,
    "learning_rate": 2e-3,
    "size": [192, 192],
    "pixel_mm": 1.0,
    "cases": 2,
    "slices": 3,
    "focus": 0.2,
    "by_structure": 0.65,
    "neighbours": 0.7,
    "synthesis": None,
    "synthetic_share": 0.25,
    "stripped_share": 0.05,
    "edit_share": 0.5,
    "ema": 0.995,
    "seed": 2,
    "input_weights": {
        "T1w": 0.8, "T2w": 0.8, "CE-T1w": 0.6, "STIR": 0.3, "T1w-FS": 0.08, "CE-T1w-FS": 0.15,
        "T2w-FS": 0.1, "FLAIR": 0.15, "PDw": 0.05, "DWI": 0.05, "ADC": 0.05, "CT": 0.08,
    },
}  # fmt: skip
"""Beside the common fields: ``start``, name or folder of a model whose weights the run begins
with; ``by_structure`` and ``focus``, shares of slices through a structure drawn at random, however
small, and through the tumour or its place; ``neighbours``, share of batches with the slices next
to them; ``synthesis``, the bundle of a model that makes synthetic inputs (without one, blurred
images stand in), and ``synthetic_share`` of batches that have one; ``stripped_share`` of batches
that show nothing but the brain; ``edit_share`` of batches in which corrections by clicks are
learned too."""

VALIDATION: dict[str, Any] = {
    "size": (192, 192), "pixel_mm": 1.0, "cases": 2, "slices": 6, "focus": 0.1,
    "by_structure": 0.85, "flip": False,
}  # fmt: skip
"""How slices of held-out patients are drawn, whatever the settings, so that runs compare."""


def _is_input(config: dict[str, Any], available: frozenset[str]) -> bool:
    return any(config["input_weights"].get(name, 0) > 0 for name in available)


PURPOSE = Purpose(
    _is_input,
    "structures drawn on an input",
    "add cases with contours, or another sequence to input_weights",
    drawn=True,
)


def train_segmentation(
    configs: Path | Sequence[Path],
    output: Path,
    resume: bool = False,
    report: Callable[[str], None] = print,
    overrides: Sequence[str] = (),
) -> Path:
    """Train as ``configs`` (files over :data:`DEFAULTS`) and ``overrides`` (``field=value``) say;
    returns the run's folder.

    The folder holds what that of ``train_synthesis`` does;
    :func:`MRISynthSegmentLib.export_model.export_segmentation` turns it into a bundle. Started by
    ``torchrun``, all its processes learn together.

    Raises
    ------
    InputError
        If the configuration, the folder, a source of patients or the synthesis model cannot be
        used.
    EndedElsewhere
        If another process of the run has ended.
    """
    output = Path(output)
    with processes() as group:
        report = group.reporter(report)
        with group.in_turn():
            config = read_config(configs, DEFAULTS, overrides)
            device = pick_device(config, group)
            network = make_network(config)
            stand_in = open_stand_in(config["synthesis"], device)
            if group.is_first:
                enter_folder(output, config, resume, report)
            begin_with(network, config, "segmentation", output, report, first=group.is_first)
            learned = {"by_structure": float(config["by_structure"]), "flip": False}
            sources = open_sources(config, output, device, report, PURPOSE, learned, VALIDATION)
        state = RunState.new(network, config, device, group)
        count = sum(weight.numel() for weight in state.learned)
        report(f"{len(LEARNED)} structures; {count / 1e6:.2f} million weights to learn")
        if resume and state.load(output):
            report(f"resumed at step {state.step}")
        held_out, pixel_mm = sources.validation, VALIDATION["pixel_mm"]
        run(
            state,
            config,
            output,
            lambda: _loss(state, config, sources.training, stand_in, device),
            lambda: validate(network, held_out, device, pixel_mm),
            report,
            lambda: picture(network, held_out, device),
            in_short,
        )
    return output


def make_network(config: dict[str, Any]) -> StructureNet:
    """The network that the settings ask for.

    Raises
    ------
    InputError
        If ``features`` cannot be its channels, or ``size`` not its images.
    """
    features = config["features"]
    if len(features) != 6 or any(count < GROUPS or count % GROUPS for count in features):
        raise InputError(
            f"The field features of the settings is {features}; it must be six multiples of "
            f"{GROUPS}."
        )
    if any(count < StructureNet.stride or count % StructureNet.stride for count in config["size"]):
        raise InputError(
            f"The field size of the settings is {config['size']}; rows and columns must be "
            f"multiples of {StructureNet.stride}."
        )
    if not any(weight > 0 for weight in config["input_weights"].values()):
        raise InputError(
            "The field input_weights of the settings has no sequence with a weight above 0; add "
            "one."
        )
    return StructureNet(len(LEARNED), tuple(features))


def _loss(
    state: RunState,
    config: dict[str, Any],
    source: Source,
    stand_in: StandIn,
    device: torch.device,
) -> Loss:
    """Of one batch drawn from the state's random numbers."""
    network, rng = state.network, state.rng
    lesson = draw_lesson(source, config, stand_in, rng, state.torch_rng)
    progress = state.step / int(config["steps"])
    with torch.autocast(device.type, torch.bfloat16, enabled=config["precision"] == "bf16"):
        logits = lesson.logits(network)
        found = structure_loss(logits, lesson, progress)
        parts = {"structures": found}
        if rng.random() < float(config["edit_share"]):
            # what the network found serves as the first result that is corrected
            correction = begin(lesson, logits, float(config["pixel_mm"]), rng)
            for _ in range(int(rng.choice(len(MORE_CLICKS), p=MORE_CLICKS))):
                correction.improve(network, rng)
            corrected = correction.lesson.logits(network, correction.edit())[:, -1]
            parts["corrections"] = correction_loss(
                corrected, correction.truth, correction.nearness(), correction.counts
            )
    return sum(parts.values()), parts
