"""What stands beside the models on every task, without a network of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from ..comparators.simple import apply_linear, copy_best, cubic_remap, fit_linear
from ..simulation.cases import virtual_patient
from .cases import Aligned, Case, Frame
from .patients import REGRESSION_SEEDS
from .tasks import ORDER, Task, sequences_for

COPY = "copy of the best input"
LINEAR = "linear regression"
ORACLE = "cubic remap (oracle)"
CEILING = "ceiling (truth without noise and motion)"

EVERY_VOXEL = 7
"""One voxel in so many of the body is enough for a regression."""

Weights = dict[Task, dict[str, float]]


def fit_regressions(
    tasks: Iterable[Task],
    registering: bool = True,
    report: Callable[[str], None] = lambda text: None,
) -> Weights:
    """The linear regression of every task, fitted on simulated patients that nobody is measured
    on, in hospitals that models train on."""
    # those of one reference after each other: its frame is made once
    tasks = sorted(tasks, key=lambda task: ORDER.index(task[0][0]))
    examples: dict[Task, list] = {task: [] for task in tasks}
    for number, seed in enumerate(REGRESSION_SEEDS, start=1):
        report(f"patient {number} of {len(REGRESSION_SEEDS)} for the linear regression")
        patient = virtual_patient(seed, sequences_for(tasks))
        aligned = Aligned(Case.of_patient(patient), registering)
        for task in tasks:
            examples[task].append(_example(aligned.frame(task[0][0]), task))
    return {task: fit_linear(found) for task, found in examples.items()}


def _example(frame: Frame, task: Task):
    """(inputs, target, mask) of some of the body's voxels, as lists of values."""
    inputs, target = task
    given = {name: frame.input(name)[frame.body][::EVERY_VOXEL] for name in inputs}
    wanted = frame.truth(target)[frame.body][::EVERY_VOXEL]
    return given, wanted, np.ones(wanted.shape, bool)


def guesses(frame: Frame, task: Task, weights: Weights) -> dict[str, np.ndarray]:
    """Method -> image on the scale of normalised ones.

    Copying the input that is nearest by its name; the linear regression, if ``weights`` has
    this task; the cubic remap, which is fitted on the truth itself; where the case has one, the
    truth without noise and motion, which nothing that predicts can be expected to surpass.
    """
    inputs, target = task
    given = {name: frame.as_sharp_as(target, frame.input(name)) for name in inputs}
    found = {COPY: copy_best(given, target)[1]}
    if task in weights:
        found[LINEAR] = apply_linear(weights[task], given).astype(np.float32)
    body = frame.yardstick(target).body
    remapped = cubic_remap(list(given.values()), frame.truth(target), body)
    found[ORACLE] = remapped.astype(np.float32)
    clean = frame.clean(target)
    if clean is not None:
        found[CEILING] = clean
    return found
