"""Voxels as 16-bit pixels of DICOM, how to show them, and the word SYNTHETIC burnt into them."""

from __future__ import annotations

import numpy as np
from pydicom.dataset import Dataset

from ..errors import InputError
from ..provenance import SYNTHETIC_MARK
from ..views import display_window
from ..volume import Volume
from .dicom_description import is_ct
from .dicom_values import decimals

_LARGEST = 65535
"""Of unsigned numbers of 16 bits."""

_NARROW = 256.0

_LETTERS = {
    "S": (".####", "#....", "#....", ".###.", "....#", "....#", "####."),
    "Y": ("#...#", "#...#", ".#.#.", "..#..", "..#..", "..#..", "..#.."),
    "N": ("#...#", "##..#", "##..#", "#.#.#", "#..##", "#..##", "#...#"),
    "T": ("#####", "..#..", "..#..", "..#..", "..#..", "..#..", "..#.."),
    "H": ("#...#", "#...#", "#...#", "#####", "#...#", "#...#", "#...#"),
    "E": ("#####", "#....", "#....", "####.", "#....", "#....", "#####"),
    "I": ("#####", "..#..", "..#..", "..#..", "..#..", "..#..", "#####"),
    "C": (".####", "#....", "#....", "#....", "#....", "#....", ".####"),
}
"""Each letter as 7 rows of 5 pixels."""

_SHARE = 0.4
"""Of a slice's width that the word takes, as far as strokes of whole pixels allow."""


def put_pixels(image: Volume, common: Dataset, burn_in: bool) -> np.ndarray:
    """The stored values of all slices; ``common`` gets how to read and how to show them.

    CT is stored in whole Hounsfield units. Else whole numbers stay as they are where they fit,
    and others are spread over all 16 bits.

    Raises
    ------
    InputError
        If a CT holds what is no Hounsfield unit, or slices are too small for ``burn_in``.
    """
    low, high = display_window(image.voxels, image.sequence, image.provenance)
    voxels = burnt_in(image.voxels, (low, high)) if burn_in else image.voxels
    if is_ct(image):
        kind = np.dtype("<i2")
        common.RescaleSlope, common.RescaleIntercept, common.RescaleType = "1", "0", "HU"
        if voxels.min() < np.iinfo(kind).min or voxels.max() > np.iinfo(kind).max:
            raise InputError(
                f"{image.name or 'The image'} holds values that no CT has in Hounsfield units; "
                "make it again."
            )
    else:
        kind = np.dtype("<u2")
        common.RescaleSlope, common.RescaleIntercept = decimals(_steps(voxels))
        common.RescaleType = "US"  # unspecified
    common.WindowCenter, common.WindowWidth = decimals([(low + high) / 2, high - low])
    if high - low < _NARROW:  # where it matters that the usual function leaves out one unit
        common.VOILUTFunction = "LINEAR_EXACT"  # PS3.3, C.11.2.1.3.2
    common.SamplesPerPixel, common.PhotometricInterpretation = 1, "MONOCHROME2"
    common.BitsAllocated, common.BitsStored, common.HighBit = 16, 16, 15
    common.PixelRepresentation = int(kind.kind == "i")
    stored = np.empty(image.shape, kind)
    for plane, values in zip(stored, voxels, strict=True):
        steps = values.astype(np.float64) - float(common.RescaleIntercept)
        plane[:] = np.rint(steps / float(common.RescaleSlope)).clip(
            np.iinfo(kind).min, np.iinfo(kind).max
        )
    return stored


def _steps(voxels: np.ndarray) -> tuple[float, float]:
    """Slope and intercept: 0 stays 0 unless there is less."""
    low, high = min(0.0, float(voxels.min())), float(voxels.max())
    if high - low <= _LARGEST and np.array_equal(voxels, np.rint(voxels)):
        return 1.0, low
    return (high - low) / _LARGEST, low


def burnt_in(voxels: np.ndarray, window: tuple[float, float]) -> np.ndarray:
    """A copy of ``voxels`` (slices, rows, columns) with the word in the first corner of every
    slice, bright on dark; ``window`` holds the values that are shown as black and as white.

    Raises
    ------
    InputError
        If the slices are too small for the word with strokes of one pixel.
    """
    word = _word()
    (high, wide), (rows, columns) = word.shape, voxels.shape[1:]
    size = min(max(1, round(_SHARE * columns / wide)), rows // high, columns // wide)
    if size < 1:
        raise InputError(
            f"Slices of {rows} x {columns} pixels are too small for the word {SYNTHETIC_MARK}, "
            f"which needs {high} x {wide}; write them without the burned-in mark."
        )
    mark = np.kron(word, np.ones((size, size), bool))
    marked = voxels.astype(np.promote_types(voxels.dtype, np.float32))
    marked[:, : mark.shape[0], : mark.shape[1]] = np.where(mark, window[1], window[0])
    return marked


def _word() -> np.ndarray:
    """The word with a margin of one pixel around every letter, True where it is bright."""
    letters = [np.array([list(row) for row in _LETTERS[one]]) == "#" for one in SYNTHETIC_MARK]
    spaced = [np.pad(letter, ((1, 1), (1, 0))) for letter in letters]
    return np.pad(np.concatenate(spaced, axis=1), ((0, 0), (0, 1)))
