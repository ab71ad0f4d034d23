"""Measuring delineation; loaded on first use, since most of it needs torch."""

from __future__ import annotations

_MODULES = {
    "evaluate_segmentation": "segmentation",
    "Options": "segmentation",
    "dice": "measures",
    "write_results": "output",
}


def __getattr__(name: str):
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
