"""From the images as they came to what the networks take: checked, registered, on one grid.

Importing the package loads numpy and scipy only; SimpleITK and scikit-image come with first use.
"""

from .background import body_mask
from .checks import check_inputs, check_volume
from .grid import WorkingGrid
from .normalisation import Normalisation, normalise
from .overlap import check_overlap, overlap_fraction
from .preparation import Prepared, prepare
from .registration import Registration, register
from .resampling import resample_to

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
