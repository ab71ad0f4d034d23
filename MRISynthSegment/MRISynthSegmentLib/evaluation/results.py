"""What an evaluation of delineation found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from MRISynthLib.evaluation.metrics import mean_of, spread_of
from MRISynthLib.evaluation.patients import summarise

from .comparisons import contrast_question, doubts
from .measures import DICE, HD95, INVENTED, TUMOUR, mean_of_organs, organs
from .patients import STAGE_ORDER

HEALTHY = f"healthy without {TUMOUR}"
ORGANS, LOWEST, ALL_HD95 = "mean of organs", "lowest of organs", "mean HD95 (mm)"
SUMMARY = (ORGANS, LOWEST, ALL_HD95, HEALTHY)
"""Figures of a set of images beside the Dice of every structure."""


@dataclass(frozen=True)
class Row:
    """One set of images of one patient.

    Attributes
    ----------
    case, group:
        The patient, and the test set ("" without sets).
    stage, hospital:
        Of the patient.
    inputs:
        Name of the set of images.
    structures:
        Structure -> figures of :mod:`.measures`, of all that are known in this patient.
    """

    case: str
    group: str
    stage: str
    hospital: str
    inputs: str
    structures: dict[str, dict[str, float]]


@dataclass(frozen=True)
class Curve:
    """One structure of one patient corrected by clicks: clicks -> Dice, mean seconds a click; the
    rest as in :class:`Row`."""

    case: str
    group: str
    stage: str
    hospital: str
    inputs: str
    structure: str
    dice: dict[str, float]
    seconds: float


@dataclass(frozen=True)
class Evaluation:
    """All that was measured: ``about`` is the head of the record."""

    about: dict[str, Any]
    rows: tuple[Row, ...]
    curves: tuple[Curve, ...] = ()

    @property
    def inputs(self) -> tuple[str, ...]:
        """The sets of images, in their order."""
        return tuple(dict.fromkeys(row.inputs for row in self.rows))

    @property
    def structures(self) -> tuple[str, ...]:
        """Those with any figure, in the model's order."""
        return tuple(
            dict.fromkeys(n for row in self.rows for n, each in row.structures.items() if each)
        )

    def of_inputs(self, inputs: str) -> list[Row]:
        """The patients' rows of one set of images."""
        return [row for row in self.rows if row.inputs == inputs]

    def figures(self) -> dict[str, Any]:
        """Set of images -> Dice of every structure and :data:`SUMMARY`, means over patients; with
        test sets one level more."""
        grouped: dict[str, dict[str, list[dict]]] = {}
        for row in self.rows:
            grouped.setdefault(row.group, {}).setdefault(row.inputs, []).append(row.structures)
        means = summarise(grouped)
        if set(grouped) == {""}:
            return {inputs: brief(found) for inputs, found in means.items()}
        return {
            level: {inputs: brief(found) for inputs, found in sets.items()}
            for level, sets in means.items()
        }

    def record(self) -> dict[str, Any]:
        """Everything as plain values: what it is about, ``figures``, and ``details``."""
        return {**self.about, "figures": self.figures(), "details": self.details()}

    def every_patient(self) -> dict[str, Any]:
        """What :func:`merging.merged` makes the evaluation from again, with others."""
        return {
            "kind": "segmentation",
            "rows": [asdict(row) for row in self.rows],
            "curves": [asdict(curve) for curve in self.curves],
        }

    def details(self) -> dict[str, Any]:
        """All figures with their spread, by stage and hospital, tests, doubts, clicks."""
        found: dict[str, Any] = {
            "patients": {name: len(self.of_inputs(name)) for name in self.inputs},
            "structures": self._each(lambda rows: mean_of([r.structures for r in rows])),
            "standard deviations": self._each(lambda rows: spread_of([r.structures for r in rows])),
            "by stage": self._each(lambda rows: _by(rows, "stage", STAGE_ORDER)),
            "by hospital": self._each(lambda rows: _by(rows, "hospital")),
            "contrast": contrast_question(self.rows),
        }
        doubted = {n: doubts(self.of_inputs(n)) for n in self.inputs}
        if any(doubted.values()):
            found["doubt"] = doubted
        if self.curves:
            found["clicks"] = click_figures(self.curves)
        return found

    def _each(self, function) -> dict[str, Any]:
        return {name: function(self.of_inputs(name)) for name in self.inputs}


def brief(means: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Structure -> Dice, and the summary, of structure -> mean figures."""
    found = {name: each[DICE] for name, each in means.items() if DICE in each}
    organ_dice = [found[name] for name in organs(found)]
    distances = [each[HD95] for each in means.values() if HD95 in each]
    if organ_dice:
        found[ORGANS], found[LOWEST] = float(np.mean(organ_dice)), min(organ_dice)
    if distances:
        found[ALL_HD95] = float(np.mean(distances))
    if INVENTED in means.get(TUMOUR, {}):
        found[HEALTHY] = 1.0 - means[TUMOUR][INVENTED]
    return found


def _by(rows: Sequence[Row], key: str, order: Sequence[str] = ()) -> dict[str, dict[str, float]]:
    """Stage or hospital -> number of patients and the main figures."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(getattr(row, key), []).append(row)
    known = [name for name in order if name in groups]
    found = {}
    for name in [*known, *(name for name in sorted(groups) if name not in known)]:
        means = mean_of([row.structures for row in groups[name]])
        values: dict[str, Any] = {"patients": len(groups[name])}
        for figure in (DICE, HD95):
            if figure in means.get(TUMOUR, {}):
                values[f"{TUMOUR} {figure}"] = means[TUMOUR][figure]
        organ_dice = mean_of_organs(means, DICE)
        if organ_dice is not None:
            values[ORGANS] = organ_dice
        if INVENTED in means.get(TUMOUR, {}):
            values[HEALTHY] = 1.0 - means[TUMOUR][INVENTED]
        found[name] = values
    return found


def click_figures(curves: Sequence[Curve]) -> dict[str, Any]:
    """``structures``: name -> patients and mean Dice after so many clicks; ``mean of organs``
    likewise; ``seconds a click``."""
    names = dict.fromkeys(curve.structure for curve in curves)
    means = {
        name: mean_of([curve.dice for curve in curves if curve.structure == name]) for name in names
    }
    known = [means[name] for name in organs(means)]
    seconds = [curve.seconds for curve in curves if curve.seconds]
    return {
        "structures": {
            name: {"patients": sum(curve.structure == name for curve in curves), "Dice": each}
            for name, each in means.items()
        },
        **({ORGANS: mean_of(known)} if known else {}),
        **({"seconds a click": float(np.mean(seconds))} if seconds else {}),
    }
