"""From which input a tissue-map network carries detail over, found on patients with the truth.

The network writes each input again with the contrast that is wanted, and mixes these images by how
much an input is kin to what is wanted. In training that mixture stays even, as inputs come and go:
with each further input less comes from the one that looks most alike, and what does not lie exactly
upon it blurs it. A sharper mixture keeps to the nearest kin. With one input nothing changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..bundles import Bundle, check_place
from ..errors import InputError
from ..evaluation.cases import Aligned
from ..evaluation.folders import FolderPatients
from ..evaluation.models import Model, load_models
from ..evaluation.tasks import MAIN, MORE, Task, by_inputs, sequences_for
from ..progress import SILENT, Callbacks
from .choosing import careful_choice
from .export import rewritten, version_after

CANDIDATES = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Times as sharp as it was."""

TASKS: tuple[Task, ...] = tuple(dict.fromkeys(task for task in (*MAIN, *MORE) if len(task[0]) > 1))

LEAST_PATIENTS = 6


def fit_carrying(
    bundle: Bundle, patients: FolderPatients, folder: Path, callbacks: Callbacks = SILENT
) -> Bundle:
    """``bundle`` with the sharpness that makes its images best, as ``folder``; its weights stay.

    An image is good as far as its SSIM in the body exceeds the mean absolute error in the primary
    tumour, both on the truth's scale from 0 to 1. The patients must be of a kind that the model was
    trained on, but neither those that it learned from nor those that it is measured on later. Its
    figures do not hold any more, so they are left out.

    Raises
    ------
    InputError
        If there are too few patients that have several inputs and a truth, or the model is of
        another kind.
    OutputError
        As :func:`MRISynthLib.bundles.check_place`, before anything else.
    Cancelled
        If ``callbacks`` says so; nothing is written then.
    """
    check_place(folder)
    model = load_models([bundle])[0]
    own = getattr(model.synthesizer.network, "sharpness", None)
    if own is None:
        raise InputError(
            f"The model {bundle.name} does not carry detail from its inputs; give a tissue-map "
            "network."
        )
    _check_number(patients.total)
    measured = _measured(model, patients, callbacks)
    _check_number(len(measured))
    sharpness = own * CANDIDATES[careful_choice(np.array(measured), 0)]
    metadata = {
        **bundle.metadata,
        "version": version_after({"model": f"{bundle.name} {bundle.version}"}),
        "carrying": {"patients": len(measured), "sharpness": sharpness},
        "quality": "not evaluated",
    }
    return rewritten(bundle, folder, metadata, options={"sharpness": sharpness})


def _check_number(patients: int) -> None:
    if patients < LEAST_PATIENTS:
        raise InputError(
            f"At least {LEAST_PATIENTS} patients with T1w, T2w and another sequence are needed, "
            f"and there are {patients}; give a larger dataset."
        )


def _measured(model: Model, patients: FolderPatients, callbacks: Callbacks) -> list[np.ndarray]:
    """For each patient how good the images are with each candidate, mean over the tasks."""
    network = model.synthesizer.network
    own, found = network.sharpness, []
    cases = patients.cases_for([model.synthesizer.bundle], sequences_for(TASKS))
    for done, case in enumerate(cases):
        callbacks.progress("look", done, patients.total)
        aligned = Aligned(case)
        able = [
            task for task in TASKS
            if model.can(task) and all(aligned.usable(name) for name in (*task[0], task[1]))
        ]  # fmt: skip
        if not able:
            continue
        good: list[list[float]] = [[] for _ in CANDIDATES]
        for inputs, targets in by_inputs(able).items():
            for each, sharper in zip(good, CANDIDATES, strict=True):
                callbacks.check()
                network.sharpness = own * sharper
                each += _goodness(model, aligned, inputs, targets)
        found.append(np.mean(good, axis=1))
    return found


def _goodness(
    model: Model, aligned: Aligned, inputs: Sequence[str], targets: Sequence[str]
) -> list[float]:
    """Of each target, more is better."""
    frame = aligned.frame(inputs[0])
    found = []
    for target, made in model.make(aligned.inputs(inputs), targets).items():
        figures = frame.yardstick(target).compare(frame.as_sharp_as(target, made.image))
        missed = figures.get("tumour", {}).get("MAE", 0.0)
        found.append(figures["body"]["SSIM"] - missed)
    return found
