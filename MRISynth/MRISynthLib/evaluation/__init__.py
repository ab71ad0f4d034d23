"""Measuring synthesis; loaded on first use, since it needs torch."""

from __future__ import annotations


def __getattr__(name: str):
    if name not in ("evaluate_synthesis", "evaluate_pair"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import synthesis

    return getattr(synthesis, name)
