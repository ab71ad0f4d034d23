"""The virtual NPC cohort: simulated patients to train on, to test with and to show.

Names are loaded on first use, so that importing the package needs neither torch nor scipy.
"""

from __future__ import annotations

from importlib import import_module

_WHERE = {
    "HeadSource": "head_source",
    "LabelMapSource": "label_maps",
    "VirtualPatient": "cases",
    "benchmark_requests": "writing",
    "cohort_requests": "writing",
    "demo_patient": "cases",
    "draw_anatomy": "cases",
    "simulate": "writing",
    "virtual_patient": "cases",
}

__all__ = sorted(_WHERE)


def __getattr__(name: str):
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_WHERE[name]}", __name__), name)
