"""Datasets of real or simulated patients, each by its published folder layout.

:func:`open_dataset` finds out which dataset a folder holds and lists its cases in one common
shape; ``Dataset.check()`` says what is missing or odd; :func:`split` parts patients, never
slices; :class:`slices.CaseSlices` draws training batches of the same shape as those of the
virtual cohort. Importing the package loads no torch.
"""

from .cases import DatasetCase, LabelFile, LoadedCase
from .catalogue import LAYOUTS, Dataset, detect, open_dataset
from .checks import check_cases, sound_cases
from .layout import Finding
from .splits import Split, read_split, split

__all__ = [
    "LAYOUTS",
    "Dataset",
    "DatasetCase",
    "Finding",
    "LabelFile",
    "LoadedCase",
    "Split",
    "check_cases",
    "detect",
    "open_dataset",
    "read_split",
    "sound_cases",
    "split",
]
