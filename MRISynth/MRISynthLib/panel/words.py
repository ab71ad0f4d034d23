"""Prompts that the user gave before, and some to begin with."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import cache

from ..errors import InputError

REMEMBERED = 20

SUGGESTIONS: tuple[str, ...] = (
    "1.5T",
    "3T",
    "TR 620 ms, TE 10 ms",
    "3T, TR 620 ms, TE 10 ms, axial",
    "fat-suppressed T1 after gadolinium, 3T",
    "T1 after gadolinium, spin echo",
    "T2 with fat suppression, TR 4000 ms, TE 90 ms",
    "STIR, 1.5T, TI 160 ms",
    "FLAIR, TR 9000 ms, TE 120 ms, TI 2500 ms",
    "T2, axial, Siemens",
)
"""Each is understood by :mod:`MRISynthLib.prompts`, alone or with a target that it fits."""


def remembered(saved: str | None) -> list[str]:
    """The prompts of earlier runs, the latest first, from what :func:`to_save` gave."""
    try:
        history = json.loads(saved or "[]")
    except ValueError:
        return []
    return [text for text in history if isinstance(text, str)] if isinstance(history, list) else []


def with_new(history: Sequence[str], prompts: Iterable[str]) -> list[str]:
    """The history after a run with these prompts: each once, the latest first."""
    new = [text.strip() for text in prompts]
    return list(dict.fromkeys(text for text in (*new, *history) if text))[:REMEMBERED]


def to_save(history: Sequence[str]) -> str:
    """One line of text that :func:`remembered` reads."""
    return json.dumps(list(history), ensure_ascii=False)


def completions(history: Sequence[str], targets: Sequence[str] = ()) -> list[str]:
    """What is offered while the user types: earlier prompts, then the suggestions that fit the
    ticked targets (or that name one, where none is ticked)."""
    fitting = (text for text in SUGGESTIONS if _fits(text, tuple(targets)))
    return list(dict.fromkeys((*history, *fitting)))


@cache
def _fits(text: str, targets: tuple[str, ...]) -> bool:
    from ..prompts import understand

    try:
        for target in targets or (None,):
            understand(text, target)
    except InputError:
        return False
    return True
