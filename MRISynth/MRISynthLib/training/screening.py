"""Fitting a model's screen: what images that it knows look like to it, as it meets them in use.

A screen is fitted on whole examinations, each image prepared as the Synthesizer prepares it.
Slices as training draws them would not do: they are crops, seldom at an end of the head, and
limits that were fitted on them called every whole volume unlike training.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from ..bundles import Bundle, check_place
from ..errors import InputError
from ..preprocessing.preparation import prepare
from ..progress import SILENT, Callbacks
from ..synthesis.screen import Screen, fitted
from ..synthesis.synthesizer import Synthesizer
from .datasets.cases import DatasetCase
from .export import rewritten

FALSE_ALARMS = 0.02
"""Share of images of patients that a screen was not fitted on that it may call outside, and
likewise mistaken."""

LEAST_PATIENTS = 4

Look = tuple[str, torch.Tensor, torch.Tensor]
"""Sequence, slices, features: what :meth:`Synthesizer.looked_at` gives of one image."""


def fit_screen(
    bundle: Bundle,
    cases: Sequence[DatasetCase],
    folder: Path,
    callbacks: Callbacks = SILENT,
) -> Bundle:
    """``bundle`` with its screen fitted on examinations, written to ``folder``.

    Every second patient says what images look like; of the others' images the share
    :data:`FALSE_ALARMS` lies beyond the limits. The cases must be of a kind that the model was
    trained on, by patients whom the model may know.

    Raises
    ------
    InputError
        If the model has no screen, or there are too few patients.
    OutputError
        As :func:`MRISynthLib.bundles.check_place`, before anything else.
    Cancelled
        If ``callbacks`` says so; nothing is written then.
    """
    check_place(folder)
    synthesizer = Synthesizer(bundle)
    screen = getattr(synthesizer.network, "screen", None)
    if screen is None:
        raise InputError(
            f"The model {bundle.name} has no screen; only tissue-map networks that were trained "
            "with towers have one."
        )
    patients = sorted({case.patient for case in cases})
    if len(patients) < LEAST_PATIENTS:
        raise InputError(
            f"A screen needs at least {LEAST_PATIENTS} patients, and there are {len(patients)}; "
            "give a larger dataset."
        )
    fitting = set(patients[::2])
    looks: dict[bool, list[Look]] = {True: [], False: []}
    for done, case in enumerate(cases):
        callbacks.progress("look", done, len(cases))
        looks[case.patient in fitting] += _looks(synthesizer, case)
    set_limits(screen, looks[True], looks[False], synthesizer.pixel_mm)
    weights = bundle.stored_weights()
    for key, value in screen.state_dict().items():
        weights[f"screen.{key}"] = value.float().cpu().contiguous()
    about = {
        "images it was fitted on": len(looks[True]),
        "images that gave the limits": len(looks[False]),
        "false alarms allowed": FALSE_ALARMS,
    }
    return rewritten(bundle, folder, {**bundle.metadata, "screen": about}, weights)


def _looks(synthesizer: Synthesizer, case: DatasetCase) -> list[Look]:
    """Every image of a case by itself."""
    found = []
    for name in case.images:
        volume = case.image(name)
        prepared = prepare([volume], register=False, pixel_mm=synthesizer.pixel_mm)
        found += [
            (name, images.cpu(), features.cpu())
            for _, images, features in synthesizer.looked_at(prepared, [volume])
        ]
    return found


@torch.no_grad()
def set_limits(
    screen: Screen, known: Sequence[Look], others: Sequence[Look], pixel_mm: float
) -> None:
    """Fill the screen's distances from ``known`` images, and its limits from ``others``."""
    device = screen.limit.device
    features: dict[str, list[torch.Tensor]] = defaultdict(list)
    for name, _, rows in known:
        features[name].append(rows.to(device))
    kept = [(name, rows.to(device)) for name, _, rows in others if name in features]
    if not kept:
        raise InputError("No sequence is there for both halves of the patients; give more.")
    fitted(screen, {name: torch.cat(rows) for name, rows in features.items()}, kept, FALSE_ALARMS)
    screen.doubtful.fill_(0.0)
    claimed = [
        screen.judge(images.to(device), rows.to(device), name, pixel_mm).claimed
        for name, images, rows in others
    ]
    screen.doubtful.fill_(float(np.quantile(claimed, FALSE_ALARMS)))
