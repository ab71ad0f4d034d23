"""What an evaluation found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from .metrics import mean_of, spread_of
from .models import PROMPTED
from .patients import summarise
from .rivals import CEILING
from .statistics import more_inputs, paired_tests
from .tasks import TASK_SETS, Task, task_name

SHARPNESS, CORRELATION = "sharpness ratio", "uncertainty correlates with error"
"""Figures of a row that have one number for each method."""

TRUSTED = "none: headers are trusted"
"""What a record says of registration where there was none."""


@dataclass(frozen=True)
class Row:
    """One task on one patient.

    Attributes
    ----------
    case, group:
        The patient, and the test set ("" without sets).
    task:
        What was made from what.
    figures:
        Method -> region -> MAE, PSNR, SSIM (and MS-SSIM of the body); further figures by their
        name -> method -> number.
    calibration:
        Model -> :func:`calibration.calibration`.
    """

    case: str
    group: str
    task: Task
    figures: dict[str, Any]
    calibration: dict[str, dict] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Picture:
    """One slice of one task, everything on the truth's 0-1 scale.

    inputs: sequence -> (rows, columns); truth and made (method -> image) likewise; tumour: boolean
    or None; pixel_mm: (row, column) spacing.
    """

    case: str
    task: Task
    inputs: dict[str, np.ndarray]
    truth: np.ndarray
    made: dict[str, np.ndarray]
    tumour: np.ndarray | None
    pixel_mm: tuple[float, float]


@dataclass(frozen=True)
class Evaluation:
    """All that was measured.

    Attributes
    ----------
    about:
        On whom and of which models, for the record.
    models:
        Labels, the first being the one that is asked about.
    rows:
        One for each patient and task.
    worse:
        Of some patients :func:`robustness.curves_of`; empty if that was not asked for.
    moved_mm:
        How far registration moved each image that it was given.
    pictures:
        Slices of some patients.
    """

    about: dict[str, Any]
    models: tuple[str, ...]
    rows: tuple[Row, ...]
    worse: tuple[dict[str, Any], ...] = ()
    moved_mm: tuple[float, ...] = ()
    pictures: tuple[Picture, ...] = ()

    @property
    def robustness(self) -> dict[str, Any]:
        """The mean curves over patients; empty without any."""
        from .robustness import robustness

        return robustness(self.worse)

    @property
    def tasks(self) -> tuple[Task, ...]:
        """Those that were done, in their order."""
        return tuple(dict.fromkeys(row.task for row in self.rows))

    def of_task(self, task: Task) -> list[Row]:
        """The patients' rows of one task."""
        return [row for row in self.rows if row.task == task]

    def methods(self, task: Task) -> list[str]:
        """Everything that was compared on a task, in order."""
        return list(
            dict.fromkeys(
                name
                for row in self.of_task(task)
                for name, value in row.figures.items()
                if is_method(value)
            )
        )

    def figures(self) -> dict[str, Any]:
        """Means over patients: task -> figures, with test sets one level more."""
        grouped: dict[str, dict[str, list[dict]]] = {}
        for row in self.rows:
            tasks = grouped.setdefault(row.group, {})
            tasks.setdefault(task_name(row.task), []).append(row.figures)
        return summarise(grouped)

    def record(self) -> dict[str, Any]:
        """Everything as plain values: what it is about, ``figures``, and ``details``."""
        return {**self.about, "figures": self.figures(), "details": self.details()}

    def every_patient(self) -> dict[str, Any]:
        """What :func:`merging.merged` makes the evaluation from again, with others."""
        return {
            "kind": "synthesis",
            "models": self.models,
            "rows": [asdict(row) for row in self.rows],
            "worse": self.worse,
            "moved_mm": self.moved_mm,
        }

    def details(self) -> dict[str, Any]:
        """Spread over patients, tests, calibration, robustness, means over sets of tasks."""
        first = self.models[0]
        methods = dict.fromkeys(name for task in self.tasks for name in self.methods(task))
        others = [name for name in methods if name not in (first, first + PROMPTED, CEILING)]
        found: dict[str, Any] = {
            "patients": {task_name(task): len(self.of_task(task)) for task in self.tasks},
            "standard deviations": {
                task_name(task): spread_of([row.figures for row in self.of_task(task)])
                for task in self.tasks
            },
            "means over tasks": self.means_over_tasks(),
            "tests": paired_tests(self.rows, first, others),
            "one more input": more_inputs(self.rows, first),
            "calibration": {
                task_name(task): mean_of([row.calibration for row in self.of_task(task)])
                for task in self.tasks
            },
        }
        if self.worse:
            found["robustness"] = self.robustness
        return found

    def means_over_tasks(self) -> dict[str, dict[str, Any]]:
        """Set of tasks -> method -> region -> figures, of the sets that were done completely.

        The mean over tasks of the means over patients, of methods that did all of them.
        """
        done, found = set(self.tasks), {}
        for name, tasks in TASK_SETS.items():
            if len(tasks) > 1 and set(tasks) <= done:
                able = [set(self.methods(task)) for task in tasks]
                kept = [m for m in self.methods(tasks[0]) if all(m in each for each in able)]
                means = [mean_of([row.figures for row in self.of_task(task)]) for task in tasks]
                found[name] = mean_of([{m: mean[m] for m in kept} for mean in means])
        return found


def registration_in_words(moved_mm: Sequence[float]) -> str:
    """What registration did."""
    if not moved_mm:
        return "nothing to register"
    far = [distance for distance in moved_mm if distance > 0]
    mean = f" by {np.mean(far):.2f} mm on average" if far else ""
    return f"{len(far)} of {len(moved_mm)} images moved{mean}"


def is_method(value: Any) -> bool:
    """Whether an entry of a row's figures is of a method: region -> figures."""
    return isinstance(value, dict) and all(isinstance(item, dict) for item in value.values())
