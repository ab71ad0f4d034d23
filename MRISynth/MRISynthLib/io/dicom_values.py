"""Numbers as DICOM writes them: decimal strings of at most 16 characters (PS3.5, 6.2)."""

from __future__ import annotations

import math
from collections.abc import Iterable

_LONGEST = 16
_WHOLE = 10**15
"""Whole numbers below it fit with their sign."""
_WITH_POINT = 10**13
"""Others below it fit with their sign, the point and a digit behind it."""


def decimal(value: float, places: int | None = None) -> str:
    """A decimal string: whole numbers up to 15 digits exactly, others to ten significant digits,
    the most that fit whatever the sign and the exponent.

    Parameters
    ----------
    places:
        At most so many digits (one or more) behind the point, and no exponent: for coordinates,
        whose noise would only make files larger.

    Raises
    ------
    ValueError
        If it is not a number (NaN) or infinite, which no decimal string can say.
    """
    if places is not None and abs(value) < _WITH_POINT:
        text = f"{value:.{places}f}"[:_LONGEST].rstrip("0").rstrip(".")
        return "0" if text == "-0" else text
    value = float(value)
    if not math.isfinite(value):
        raise ValueError(f"{value} cannot be a decimal string")
    if value.is_integer() and abs(value) < _WHOLE:
        return str(int(value))  # -0.0 without its sign
    text = f"{value:.10g}"
    return text if len(text) <= _LONGEST else f"{value:.9g}"  # an exponent of three digits


def decimals(values: Iterable[float], places: int | None = None) -> list[str]:
    """Each value as :func:`decimal` writes it."""
    return [decimal(value, places) for value in values]
