"""Parts of an evaluation of delineation, measured apart, as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from MRISynthLib.evaluation.parts import Part, joined, merged_about

from .results import Curve, Evaluation, Row


def merged(parts: Sequence[Part]) -> Evaluation:
    """All patients of all parts, as if they had been measured at once.

    Raises
    ------
    InputError
        If parts differ in anything but their patients, or have patients in common.
    """
    about = merged_about(parts)
    rows = joined(parts, "rows", _who)
    curves = joined(parts, "curves", lambda curve: (*_who(curve), curve["structure"]))
    return Evaluation(
        about, tuple(Row(**row) for row in rows), tuple(Curve(**curve) for curve in curves)
    )


def _who(row: Mapping[str, Any]) -> tuple[str, str, str]:
    return row["group"], row["case"], row["inputs"]
