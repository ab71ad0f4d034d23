"""Is one method better than another, patient by patient?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .tasks import Task, task_name

if TYPE_CHECKING:
    from .results import Row

FIGURES: tuple[tuple[str, str, float], ...] = (("body", "SSIM", 1.0), ("tumour", "MAE", -1.0))
"""(region, figure, sign: 1 where more is better) that are tested."""

LEAST_PATIENTS = 6
"""With five pairs not even five wins of five give p < 0.05 in a two-sided signed-rank test."""


def paired_tests(rows: Sequence[Row], first: str, others: Iterable[str]) -> list[dict[str, Any]]:
    """One method against others on every task.

    Wilcoxon's signed-rank test (Biometrics Bulletin 1:80, 1945), two-sided; the unit is the
    patient, since slices of one are not independent. Holm's correction (Scand J Stat 6:65, 1979)
    over the tasks, for each rival and figure.

    Parameters
    ----------
    first:
        The method that is asked about, by its name in the rows.
    others:
        Those it is held against.

    Returns
    -------
    One entry for each rival, figure and task that both did: ``difference`` (mean of the first
    minus the other), ``better`` (patients in whom the first is), ``n``, ``p`` and ``p Holm``,
    which are None with fewer than :data:`LEAST_PATIENTS`.
    """
    tasks = tuple(dict.fromkeys(row.task for row in rows))
    found = []
    for other in others:
        for region, figure, sign in FIGURES:
            tests = []
            for task in tasks:
                pairs = _pairs(rows, task, first, other, region, figure)
                if len(pairs):
                    about = {"task": task_name(task), "against": other}
                    about |= {"region": region, "figure": figure}
                    tests.append({**about, **_test(pairs, sign)})
            _correct(tests)
            found += tests
    return found


def _pairs(rows, task: Task, first: str, other: str, region: str, figure: str) -> np.ndarray:
    """(patients, 2): the figure of the first and of the other method."""
    values = []
    for row in rows:
        if row.task == task:
            both = [
                row.figures.get(name, {}).get(region, {}).get(figure) for name in (first, other)
            ]
            if None not in both:
                values.append(both)
    return np.array(values, float).reshape(-1, 2)


def _test(pairs: np.ndarray, sign: float) -> dict[str, Any]:
    differences = pairs[:, 0] - pairs[:, 1]
    return {
        "difference": float(differences.mean()),
        "better": int(np.count_nonzero(sign * differences > 0)),
        "n": len(differences),
        "p": signed_rank(differences),
    }


def signed_rank(differences: np.ndarray) -> float | None:
    """Two-sided p of Wilcoxon's test; 1 without any difference, None with too few patients."""
    from scipy.stats import wilcoxon

    if len(differences) < LEAST_PATIENTS:
        return None
    return float(wilcoxon(differences).pvalue) if np.any(differences) else 1.0


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjusted p-values, in the given order."""
    order = np.argsort(p_values)
    adjusted, largest = np.empty(len(order)), 0.0
    for rank, place in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * p_values[place]))
        adjusted[place] = largest
    return adjusted.tolist()


def _correct(tests: list[dict[str, Any]]) -> None:
    """Put ``p Holm`` into each."""
    able = [test for test in tests if test["p"] is not None]
    for test in tests:
        test["p Holm"] = None
    for test, value in zip(able, holm([test["p"] for test in able]), strict=True):
        test["p Holm"] = value


def more_inputs(rows: Sequence[Row], method: str) -> list[dict[str, Any]]:
    """What one more input changes, for each two tasks of one reference that differ by just one.

    ``changes``: "body SSIM" and "tumour MAE" -> mean change, patients in whom it is no worse, n
    and p (not corrected) of the signed-rank test.
    """
    tasks = tuple(dict.fromkeys(row.task for row in rows))
    found = []
    for fewer in tasks:
        for more in tasks:
            added = set(more[0]) - set(fewer[0])
            alike = (fewer[0][0], fewer[1]) == (more[0][0], more[1])
            if not alike or len(added) != 1 or not set(fewer[0]) < set(more[0]):
                continue
            changes = _changes(rows, fewer, more, method)
            if changes:
                names = {"from": task_name(fewer), "added": added.pop()}
                found.append({**names, "to": task_name(more), "changes": changes})
    return found


def _changes(rows, fewer: Task, more: Task, method: str) -> dict[str, dict[str, Any]]:
    changes = {}
    for region, figure, sign in FIGURES:
        values = [
            {
                (row.group, row.case): row.figures[method][region][figure]
                for row in rows
                if row.task == task and region in row.figures.get(method, {})
            }
            for task in (fewer, more)
        ]
        both = [key for key in values[0] if key in values[1]]
        if both:
            differences = np.array([values[1][key] - values[0][key] for key in both])
            changes[f"{region} {figure}"] = {
                "mean": float(differences.mean()),
                "no worse": int(np.count_nonzero(sign * differences >= 0)),
                "n": len(both),
                "p": signed_rank(differences),
            }
    return changes
