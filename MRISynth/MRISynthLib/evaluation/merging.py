"""Parts of an evaluation of synthesis, measured apart, as one."""

from __future__ import annotations

from collections.abc import Sequence

from .parts import Part, joined, merged_about
from .results import TRUSTED, Evaluation, Row, registration_in_words


def merged(parts: Sequence[Part]) -> Evaluation:
    """All patients of all parts, as if they had been measured at once; without pictures.

    Raises
    ------
    InputError
        If parts differ in anything but their patients, or have patients in common.
    """
    about = merged_about(parts, computed=("registration",))
    moved = [mm for part in parts for mm in part.patients.get("moved_mm", ())]
    if any(part.about.get("registration") != TRUSTED for part in parts):
        about["registration"] = registration_in_words(moved)
    rows = [
        Row(**{**row, "task": _task(row["task"])})
        for row in joined(parts, "rows", lambda row: (row["group"], row["case"], str(row["task"])))
    ]
    return Evaluation(
        about,
        tuple(parts[0].patients["models"]),
        tuple(rows),
        tuple(curves for part in parts for curves in part.patients.get("worse", ())),
        tuple(moved),
    )


def _task(plain: Sequence) -> tuple[tuple[str, ...], str]:
    inputs, target = plain
    return tuple(inputs), target
