"""`mrisynth evaluate pair`: models on real images of which the wanted one is there too."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..bundles import Bundle
from ..comparators.simple import cubic_remap
from ..errors import InputError
from ..io.output import staged_folder
from ..preprocessing.overlap import check_overlap
from ..preprocessing.resampling import index_map, resample
from ..synthesis.synthesizer import UNITS, Target
from ..volume import Volume
from .cases import Aligned, Case, Frame
from .metrics import Yardstick, best_gain_and_offset
from .models import Model, load_models, network_scale
from .output import plain
from .rivals import ORACLE, fit_regressions, guesses
from .tasks import Task, task_name

BEST = "PSNR, best gain and offset"
"""PSNR after the gain and the offset that suit the region best; without a scale of their own,
images of two scanners differ in both."""


@dataclass(frozen=True)
class Pair:
    """Real inputs, the real image that is to be made, and regions of interest.

    Attributes
    ----------
    inputs:
        The first is the reference.
    truth:
        With its sequence.
    regions:
        Name -> mask as a volume, anywhere in the same frame as the first input.
    prompt:
        As for synthesis.
    """

    inputs: tuple[Volume, ...]
    truth: Volume
    regions: dict[str, Volume]
    prompt: str = ""

    @property
    def task(self) -> Task:
        """What is made from what."""
        return tuple(str(v.sequence) for v in self.inputs), str(self.truth.sequence)


def evaluate_pair(
    bundles: Sequence[Bundle],
    pair: Pair,
    output: Path | None = None,
    device: str = "auto",
    linear: bool = False,
    report: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Figures on real images: method -> region -> MAE, PSNR, SSIM and :data:`BEST`.

    The truth is registered to the first input; only the body that both cover counts, and of it
    the parts in ``pair.regions`` apart. Images with a unit (CT, ADC) are compared as they are,
    others after matching their brightness; where the truth has thicker slices than the first input,
    at the truth's resolution. Beside the models: copying the best input, the cubic
    remap fitted on the truth (in each region by itself) and, if asked for, a linear regression
    fitted on simulated patients.

    Raises
    ------
    InputError
        If the truth's sequence is not known, an image cannot be used, they share no body, no model
        can do this, or a region is not in it.
    """
    if pair.truth.sequence is None:
        raise InputError(f"The sequence of {pair.truth.name} is not known; give it as NAME=FILE.")
    models = [model for model in load_models(bundles, device) if model.can(pair.task)]
    if not models:
        names = ", ".join(bundle.name for bundle in bundles)
        raise InputError(f"{names} cannot make {task_name(pair.task)}; choose another model.")
    target, aligned = pair.task[1], _aligned(pair)
    frame = aligned.frame(pair.task[0][0])
    yardstick = _yardstick(frame, pair)
    made, warnings = _made(models, pair)
    if target in aligned.failed:
        reason = aligned.failed[target]
        warnings = (*warnings, f"{pair.truth.name} stays where its header places it: {reason}")
    weights = fit_regressions([pair.task], report=report) if linear else {}
    images = {name: frame.as_sharp_as(target, image) for name, image in made.items()}
    images |= guesses(frame, pair.task, weights)
    figures = {name: _compare(yardstick, image) for name, image in images.items()}
    figures[ORACLE] = _oracle(frame, pair.task, yardstick)
    if output is not None:
        record: dict[str, Any] = {"models": [model.called for model in models]}
        record |= {"warnings": list(warnings)} if warnings else {}
        record["figures"] = {task_name(pair.task): figures}
        with staged_folder(Path(output)) as stage:
            text = json.dumps(plain(record), indent=2)
            (stage / "pair.json").write_text(text, encoding="utf-8")
    return figures


def _made(models: Sequence[Model], pair: Pair) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """Label -> image as the product makes it, and what it warns of."""
    found, warnings = {}, {}
    for model in models:
        target = Target(str(pair.truth.sequence), pair.prompt)
        result = model.synthesizer.synthesize(list(pair.inputs), [target])
        found[model.label] = network_scale(result.volumes[target.name])
        warnings |= dict.fromkeys(result.warnings)
    return found, tuple(warnings)


def _aligned(pair: Pair) -> Aligned:
    """All images in the frame of the first input."""
    reference = pair.inputs[0]
    check_overlap((reference, pair.truth))
    volumes = {str(v.sequence): v for v in (*pair.inputs, pair.truth)}
    return Aligned(Case("pair", "", volumes, {}, str(reference.sequence)))


def _yardstick(frame: Frame, pair: Pair) -> Yardstick:
    """The truth with the regions, in the body that it shares with the reference."""
    target = pair.task[1]
    body, seen = frame.body & frame.body_of(target), frame.seen(target)
    if seen is not None:
        body &= seen
    if not body.any():
        raise InputError(
            f"{pair.truth.name} and {pair.inputs[0].name} show no part of the body in common; give "
            "images of one patient and one region."
        )
    masks = {}
    for name, volume in pair.regions.items():
        through = index_map(frame.reference.index_to_world, volume.index_to_world)
        inside = resample((volume.voxels > 0).astype(np.float32), through, body.shape) > 0.5
        masks[name] = inside & body
        if not masks[name].any():
            raise InputError(f"The region {name} is not in the body of {frame.reference.name}; "
                             "give a mask on the first input.")  # fmt: skip
    # not the whole image: where the truth has no voxels there is nothing to compare with
    return Yardstick(frame.truth(target), body, masks, target not in UNITS, seen=body)


def _compare(yardstick: Yardstick, image: np.ndarray) -> dict[str, dict[str, float]]:
    figures = yardstick.compare(image)
    del figures["whole image"]
    for name, row in figures.items():
        mask = yardstick.regions[name]
        fitted = yardstick.scaled(best_gain_and_offset(image, yardstick.own, mask))
        row[BEST] = yardstick.psnr(fitted, mask)
    return figures


def _oracle(frame: Frame, task: Task, yardstick: Yardstick) -> dict[str, dict[str, float]]:
    """The cubic remap that suits each region best: nothing simple can do better there."""
    given = [frame.as_sharp_as(task[1], frame.input(name)) for name in task[0]]
    return {
        name: _compare(yardstick, cubic_remap(given, yardstick.own, mask))[name]
        for name, mask in yardstick.regions.items()
        if name != "whole image"
    }
