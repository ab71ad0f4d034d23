"""From which probability a structure is drawn: where the Dice is best on patients with contours.

A network that learned with the Dice draws what it doubts too large or too small: of a structure
whose edge it cannot see, its probability is no frequency. So the cut is looked for, on patients
that it did not learn from, and folded into the offsets of the network's last layer, after which
one half is again where everything is drawn, and probability and doubt fit to what is drawn.

Where a slice and its mirror image are answered differently this is not quite the same as another
cut of their mean: each answer is moved before the mean is taken.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from MRISynthLib.bundles import Bundle, check_place
from MRISynthLib.errors import InputError
from MRISynthLib.evaluation.folders import FolderPatients
from MRISynthLib.progress import SILENT, Callbacks
from MRISynthLib.training.choosing import careful_choice
from MRISynthLib.training.export import rewritten, version_after

from .cleaning import about_cores
from .evaluation.patients import subjects
from .segmenter import Segmenter
from .structures import STRUCTURES, without_side

CANDIDATES = tuple(round(0.05 * step, 2) for step in range(2, 19))
"""From .1 to .9."""

HALF = CANDIDATES.index(0.5)

LEAST_PATIENTS = 8

OFFSETS = "unet.final_conv.bias"
"""Of the last layer: four in a row for each structure, one for each pixel of two by two."""

OPTIONAL = "CE-T1w"
"""Patients are also looked at without it."""


def dice_by_cut(
    probability: np.ndarray,
    mask: np.ndarray,
    spacing: Sequence[float] | None = None,
    core_from: float = 0.5,
) -> np.ndarray:
    """The Dice with each of :data:`CANDIDATES`.

    Parameters
    ----------
    probability:
        Of any shape with three axes, 0 to 1.
    mask:
        The truth, boolean of the same shape.
    spacing:
        Of a tumour: below ``core_from`` it is drawn only about where it is likelier than that
        (:func:`cleaning.about_cores`), as in use.

    Returns
    -------
    One figure for each; 1 where there is nothing and nothing is drawn.
    """
    core = probability > core_from
    found = []
    for cut in CANDIDATES:
        drawn = probability > cut
        if cut < core_from and spacing is not None:
            drawn = about_cores(drawn, core, spacing)
        both = np.count_nonzero(drawn) + np.count_nonzero(mask)
        found.append(2 * np.count_nonzero(drawn & mask) / both if both else 1.0)
    return np.array(found)


def fit_thresholds(
    bundle: Bundle, patients: FolderPatients, folder: Path, callbacks: Callbacks = SILENT
) -> Bundle:
    """``bundle`` with the best cut of each structure folded into its weights, as ``folder``.

    Both sides of a pair have one cut. Patients are seen with all sequences and without
    :data:`OPTIONAL`. They must be of a kind that the model was trained on, but neither those that
    it learned from nor those that it is measured on later. Its figures do not hold any more, so
    they are left out.

    Raises
    ------
    InputError
        If there are too few patients, or the model is of another kind.
    OutputError
        As :func:`MRISynthLib.bundles.check_place`, before anything else.
    Cancelled
        If ``callbacks`` says so; nothing is written then.
    """
    check_place(folder)
    weights = bundle.stored_weights()
    if bundle.task != "segmentation" or OFFSETS not in weights:
        raise InputError(
            f"The model {bundle.name} has no such thresholds; give one that 'mrisynth train "
            "segmentation' made."
        )
    _check_number(patients.total)
    measured = _measured(Segmenter(bundle), patients, callbacks)
    number = max(map(len, measured.values()), default=0)
    _check_number(number)
    cuts = {
        name: CANDIDATES[careful_choice(np.array(measured[without_side(name)]), HALF)]
        for name in bundle.structures
        if without_side(name) in measured
    }
    cuts = {name: cut for name, cut in cuts.items() if cut != 0.5}
    weights[OFFSETS] = shifted(weights[OFFSETS], bundle.structures, cuts)
    before = bundle.cuts
    metadata = {
        **bundle.metadata,
        "version": version_after({"model": f"{bundle.name} {bundle.version}"}),
        "thresholds": {
            "patients": number,
            "cuts": {
                name: _together(before.get(name, 0.5), cuts.get(name, 0.5))
                for name in bundle.structures
                if name in before or name in cuts
            },
        },
        "quality": "not evaluated",
    }
    return rewritten(bundle, folder, metadata, weights)


def _check_number(patients: int) -> None:
    if patients < LEAST_PATIENTS:
        raise InputError(
            f"Thresholds need at least {LEAST_PATIENTS} patients with contours, and there are "
            f"{patients}; give a larger dataset."
        )


def shifted(
    offsets: torch.Tensor, structures: Sequence[str], cuts: Mapping[str, float]
) -> torch.Tensor:
    """Offsets of the last layer with which each structure's cut becomes one half; float32."""
    result = offsets.float().clone()
    for name, cut in cuts.items():
        place = 4 * structures.index(name)
        result[place : place + 4] -= _logit(cut)
    return result


def _measured(
    segmenter: Segmenter, patients: FolderPatients, callbacks: Callbacks
) -> dict[str, list[np.ndarray]]:
    """Structure without its side -> for each patient its mean :func:`dice_by_cut`."""
    bundle = segmenter.bundle
    measured: dict[str, list[np.ndarray]] = defaultdict(list)
    drawn = subjects(patients, [bundle], bundle.sequences_in, bundle.structures)
    for done, subject in enumerate(drawn):
        callbacks.progress("look", done, patients.total)
        case = subject.case
        found: dict[str, list[np.ndarray]] = defaultdict(list)
        for names in _sets([case.drawn_on, *case.volumes]):
            images = [case.volumes[name] for name in names]
            made = segmenter.segment(images, list(case.masks), probabilities=True)
            for name, mask in case.masks.items():
                likely = made.probabilities[name]
                spacing = likely.spacing if STRUCTURES[name].is_target else None
                core_from = 1 - min(bundle.cuts.get(name, 0.5), 0.5)
                dice = dice_by_cut(likely.voxels, mask, spacing, core_from)
                found[without_side(name)].append(dice)
        for name, each in found.items():
            measured[name].append(np.mean(each, axis=0))
    return measured


def _sets(names: Iterable[str]) -> list[list[str]]:
    """All sequences, the first one on whose grid contours were drawn, and those at hand where
    :data:`OPTIONAL` is missing."""
    every = list(dict.fromkeys(names))
    without = [name for name in every if name != OPTIONAL]
    return [every, without] if without and without != every and every[0] != OPTIONAL else [every]


def _logit(probability: float) -> float:
    return math.log(probability / (1 - probability))


def _together(one: float, other: float) -> float:
    """The cut that has the effect of two, one after the other."""
    return round(1 / (1 + math.exp(-_logit(one) - _logit(other))), 3)
