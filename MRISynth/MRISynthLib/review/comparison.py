"""How far a synthetic image is from the real one, in numbers and as a map.

All is defined as in the evaluation of models on real images
(:func:`MRISynthLib.evaluation.real.evaluate_pair`): the real image is the truth, brought to the
synthetic one's grid; the brightness of MR images is matched; only the body that both show counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from ..errors import InputError
from ..preprocessing.overlap import check_overlap
from ..preprocessing.resampling import index_map, resample
from ..progress import SILENT, Callbacks
from ..volume import Volume
from .derived import derived_provenance

BODY = "body"
"""The region that is always reported."""

WHOLE_IMAGE = "whole image"
"""What the evaluation measures too, and is left out here: it is the body once more."""


@dataclass(frozen=True)
class Comparison:
    """A synthetic image against the real one.

    Attributes
    ----------
    figures:
        Region ("body", then the masks in their order) -> "MAE" and "SSIM" (0 to 1) and "PSNR"
        (dB), of brightness from 0 to 1.
    difference:
        Absolute difference of brightness on the synthetic image's grid, 0 outside the body.
    moved_mm:
        By how much the real image was moved to lie upon the synthetic one; None if that was not
        asked for, or could not be done.
    warnings:
        Sentences.
    """

    figures: dict[str, dict[str, float]]
    difference: Volume
    moved_mm: float | None = None
    warnings: tuple[str, ...] = ()


def compare_images(
    real: Volume,
    synthetic: Volume,
    masks: Mapping[str, Volume] | None = None,
    *,
    align: bool = False,
    callbacks: Callbacks = SILENT,
) -> Comparison:
    """Compare two images of one sequence and one patient, on whatever grids.

    Needs torch, as evaluation does: to be run in the worker (task ``"comparison"``).

    Parameters
    ----------
    masks:
        Regions by name (see :func:`region_names`), on any grid: voxels above 0 belong to them.
    align:
        Whether the real image is first registered to the synthetic one (rigidly); else both lie
        where their headers place them.
    callbacks:
        Hear of three steps of "compare", and may end the work at each.

    Raises
    ------
    InputError
        If the two show no part of the body in common.
    """
    from ..evaluation.cases import Aligned, Case
    from ..evaluation.metrics import Yardstick
    from ..evaluation.models import network_scale
    from ..synthesis.synthesizer import UNITS

    callbacks.progress("compare", 0, 3)
    check_overlap((synthetic, real))
    made, truth = "synthetic", "real"
    aligned = Aligned(Case("", "", {made: synthetic, truth: real}, {}, made), registering=align)
    frame = aligned.frame(made)
    body, seen = frame.body & frame.body_of(truth), frame.seen(truth)
    if seen is not None:
        body &= seen
    if not body.any():
        raise InputError(
            f"{real.name} and {synthetic.name} show no part of the body in common; choose images "
            "of one patient and one region."
        )
    callbacks.progress("compare", 1, 3)
    warnings = [f"The real image was not moved. {reason}" for reason in aligned.failed.values()]
    if real.sequence and synthetic.sequence and real.sequence != synthetic.sequence:
        warnings.append(
            f"{real.name} is {real.sequence}, {synthetic.name} {synthetic.sequence}: the figures "
            "tell how the sequences differ, not how good the synthesis is."
        )
    regions, missing = _regions(masks or {}, synthetic, body)
    if missing:
        warnings.append(f"Not in the body that both images show: {', '.join(missing)}.")
    # without a unit in common, brightness is arbitrary and is matched
    match = real.sequence not in UNITS or real.sequence != synthetic.sequence
    yardstick = Yardstick(frame.truth(truth), body, regions, match, seen=body)
    callbacks.progress("compare", 2, 3)
    image = yardstick.matched(frame.as_sharp_as(truth, network_scale(synthetic)))
    figures = yardstick.compare_matched(image)
    callbacks.progress("compare", 3, 3)
    del figures[WHOLE_IMAGE]
    voxels = np.where(body, np.abs(image - yardstick.truth), 0).astype(np.float32)
    return Comparison(
        figures,
        Volume(
            voxels,
            synthetic.index_to_world,
            sequence=synthetic.sequence,
            name=f"{synthetic.sequence or synthetic.name} difference",
            provenance=derived_provenance("difference", synthetic, real),
        ),
        next(iter(aligned.moved_mm), None),
        tuple(warnings),
    )


def region_names(names: Iterable[str]) -> list[str]:
    """Names under which segments are reported: each its own, and none that of the body.

    A further segment of a name gets a number, "GTVp (2)"; one that is called like what is
    reported anyway is said to be a segment, "body (segment)".
    """
    wanted = [f"{name} (segment)" if name in (BODY, WHOLE_IMAGE) else name for name in names]
    found: list[str] = []
    for name in wanted:
        unique, number = name, 2
        while unique in found or (unique != name and unique in wanted):
            unique, number = f"{name} ({number})", number + 1
        found.append(unique)
    return found


def _regions(
    masks: Mapping[str, Volume], grid: Volume, body: np.ndarray
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Masks on the grid and inside the body, and the names of those that have nothing there."""
    found: dict[str, np.ndarray] = {}
    missing = []
    for name, mask in masks.items():
        through = index_map(grid.index_to_world, mask.index_to_world)
        inside = resample((mask.voxels > 0).astype(np.float32), through, grid.shape) > 0.5
        inside &= body
        if inside.any():
            found[name] = inside
        else:
            missing.append(name)
    return found, missing
