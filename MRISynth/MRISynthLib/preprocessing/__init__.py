"""From the images as they came to what the networks take: checked, registered, on one grid.

Names are loaded when they are first used, so that importing the package needs no SimpleITK.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .background import body_mask
    from .checks import check_inputs, check_volume
    from .grid import WorkingGrid
    from .normalise import Normalisation, normalise
    from .overlap import check_overlap, overlap_fraction
    from .prepare import Prepared, prepare
    from .registration import Registration, register
    from .resampling import resample_to

_HOME = {
    "Normalisation": "normalise",
    "Prepared": "prepare",
    "Registration": "registration",
    "WorkingGrid": "grid",
    "body_mask": "background",
    "check_inputs": "checks",
    "check_overlap": "overlap",
    "check_volume": "checks",
    "normalise": "normalise",
    "overlap_fraction": "overlap",
    "prepare": "prepare",
    "register": "registration",
    "resample_to": "resampling",
}

__all__ = [
    "Normalisation",
    "Prepared",
    "Registration",
    "WorkingGrid",
    "body_mask",
    "check_inputs",
    "check_overlap",
    "check_volume",
    "normalise",
    "overlap_fraction",
    "prepare",
    "register",
    "resample_to",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_HOME[name]}", __name__), name)
    globals()[name] = value
    return value
