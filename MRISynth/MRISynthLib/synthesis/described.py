"""What it takes to describe a contrast."""

from __future__ import annotations

from typing import Protocol


class Described(Protocol):
    """Anything that says which contrast is meant: a prompt, a header, what a simulation did.

    Dataclasses; times in ms, field in tesla, angle in degrees, None where it is not said.
    ``technique`` is "spin echo", "gradient echo", "inversion-prepared gradient echo" or another
    word of the prompt's.
    """

    text: str
    sequence: str
    contrast_agent: bool
    fat_suppressed: bool
    field_strength_t: float | None
    tr_ms: float | None
    te_ms: float | None
    ti_ms: float | None
    flip_angle_deg: float | None
    technique: str | None
