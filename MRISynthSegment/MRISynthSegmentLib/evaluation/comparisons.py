"""What a synthetic contrast-enhanced image adds, and whether a model's doubt means something."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from MRISynthLib.evaluation.statistics import LEAST_PATIENTS, holm, signed_rank

from .inputs import FILLED, REAL, UNENHANCED
from .measures import DICE, DOUBT, HD95, MEASURES, TUMOUR, mean_of_organs

if TYPE_CHECKING:
    from .results import Row

ASKED: dict[str, str] = {
    UNENHANCED.name: "no CE-T1w",
    FILLED.name: "synthetic CE-T1w",
    REAL.name: "real CE-T1w",
}
"""The sets of images of the question, from the poorest to the richest -> what they are called for
short: T1w and T2w are in all."""

PAIRS = ((FILLED.name, UNENHANCED.name), (REAL.name, UNENHANCED.name), (FILLED.name, REAL.name))
"""(first, second): what is subtracted from what."""

_RESAMPLED = 10_000

Read = Callable[[Mapping[str, Mapping[str, float]]], float | None]

FIGURES: dict[str, tuple[Read, float]] = {
    f"{TUMOUR} {DICE}": (lambda found: found.get(TUMOUR, {}).get(DICE), 1.0),
    f"{TUMOUR} {HD95}": (lambda found: found.get(TUMOUR, {}).get(HD95), -1.0),
    f"organs {DICE}": (lambda found: mean_of_organs(found, DICE), 1.0),
}
"""What is tested: how a patient's value is read, and 1 where more is better."""


def contrast_question(rows: Sequence[Row]) -> dict[str, Any]:
    """T1w + T2w alone, with a synthetic and with the real CE-T1w: how good is each?

    Returns
    -------
    ``inputs``: set -> patients with a tumour, mean, standard deviation and median of the tumour's
    figures, of the patients in whom all sets were measured; ``tests``: of :func:`paired_tests`.
    Nothing with fewer than two of the sets; no ``inputs`` without a patient with a tumour.
    """
    there = [name for name in ASKED if any(row.inputs == name for row in rows)]
    if len(there) < 2:
        return {}
    kept = _complete(rows, there)
    inputs = {}
    for name in there:
        found = [row.structures.get(TUMOUR, {}) for row in kept if row.inputs == name]
        found = [each for each in found if DICE in each]
        if not found:
            continue
        values = {m: [each[m] for each in found if m in each] for m in MEASURES}
        inputs[name] = {
            "patients": len(found),
            **{
                measure: {
                    "mean": float(np.mean(each)),
                    "standard deviation": float(np.std(each, ddof=1)) if len(each) > 1 else 0.0,
                    "median": float(np.median(each)),
                }
                for measure, each in values.items()
                if each
            },
        }
    return {"inputs": inputs, "tests": paired_tests(kept)}


def _complete(rows: Sequence[Row], there: Sequence[str]) -> list[Row]:
    """Rows of the patients who have all of these sets."""
    having: dict[tuple[str, str], set[str]] = {}
    for row in rows:
        having.setdefault((row.group, row.case), set()).add(row.inputs)
    return [row for row in rows if set(there) <= having[row.group, row.case]]


def paired_tests(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Each of :data:`PAIRS` that was measured, patient by patient.

    Wilcoxon's signed-rank test (Biometrics Bulletin 1:80, 1945), two-sided, with Holm's correction
    (Scand J Stat 6:65, 1979) over the pairs of one figure.

    Returns
    -------
    For each figure and pair: ``difference`` (mean of first - second), ``interval`` (95 %,
    percentiles of the bootstrap over patients), ``better`` (patients in whom the first is), ``n``,
    ``p`` and ``p Holm``; interval and p are None with too few patients.
    """
    found = []
    for figure, (read, sign) in FIGURES.items():
        tests = []
        for first, second in PAIRS:
            differences = _differences(rows, first, second, read)
            if not len(differences):
                continue
            tests.append(
                {
                    "figure": figure,
                    "first": first,
                    "second": second,
                    "difference": float(differences.mean()),
                    "interval": interval_of_mean(differences),
                    "better": int(np.count_nonzero(sign * differences > 0)),
                    "n": len(differences),
                    "p": signed_rank(differences),
                }
            )
        able = [test["p"] for test in tests if test["p"] is not None]
        adjusted = iter(holm(able))
        for test in tests:
            test["p Holm"] = None if test["p"] is None else next(adjusted)
        found += tests
    return found


def _differences(rows: Sequence[Row], first: str, second: str, read: Read) -> np.ndarray:
    values: dict[str, dict[tuple[str, str], float]] = {first: {}, second: {}}
    for row in rows:
        value = read(row.structures)
        if row.inputs in values and value is not None:
            values[row.inputs][row.group, row.case] = value
    both = [key for key in values[first] if key in values[second]]
    return np.array([values[first][key] - values[second][key] for key in both], float)


def interval_of_mean(values: np.ndarray) -> list[float] | None:
    """95 % interval of the mean: percentiles of the bootstrap (Efron and Tibshirani, An
    Introduction to the Bootstrap, 1993, chapter 13); None with too few values."""
    if len(values) < LEAST_PATIENTS:
        return None
    chosen = np.random.default_rng(0).integers(len(values), size=(_RESAMPLED, len(values)))
    low, high = np.percentile(values[chosen].mean(1), (2.5, 97.5))
    return [float(low), float(high)]


def doubts(rows: Sequence[Row]) -> dict[str, Any]:
    """How a model's doubt goes with what is wrong, by Spearman's rank correlation of both.

    Returns
    -------
    ``all``: over all structures of all patients; ``structures``: of each structure over patients,
    where there are enough; ``mean of structures``; ``n``. Nothing if the model says no doubt.
    """
    pairs: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        for name, each in row.structures.items():
            if DOUBT in each and DICE in each:
                pairs.setdefault(name, []).append((each[DOUBT], 1.0 - each[DICE]))
    everything = [pair for each in pairs.values() for pair in each]
    if not everything:
        return {}
    single = {name: _correlation(each) for name, each in pairs.items()}
    known = {name: value for name, value in single.items() if value is not None}
    found = {"n": len(everything), "all": _correlation(everything), "structures": known}
    if known:
        found["mean of structures"] = float(np.mean(list(known.values())))
    return found


def _correlation(pairs: Sequence[tuple[float, float]]) -> float | None:
    """Spearman's; None with too few values or where one is constant."""
    from scipy.stats import spearmanr

    values = np.array(pairs, float)
    if len(values) < LEAST_PATIENTS or np.ptp(values, axis=0).min() == 0:
        return None
    return float(spearmanr(values[:, 0], values[:, 1]).statistic)
