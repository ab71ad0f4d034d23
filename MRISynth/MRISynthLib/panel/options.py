"""How it is computed."""

from __future__ import annotations

from typing import Any

from .targets import Understanding

SYNTHESIS_TASK = "synthesis"
"""The worker's name for what :func:`synthesis_parameters` asks for."""


def synthesis_parameters(
    understanding: Understanding,
    *,
    model: str | None = None,
    device: str = "auto",
    seed: int = 0,
    register: bool = True,
    visible_slice: int | None = None,
) -> dict[str, Any]:
    """The parameters of the worker's task :data:`SYNTHESIS_TASK`."""
    return {
        "targets": [{"sequence": name, "prompt": words} for name, words in understanding.targets],
        "bundle": model,
        "device": device,
        "seed": int(seed),
        "register": bool(register),
        "visible_slice": visible_slice,
    }
