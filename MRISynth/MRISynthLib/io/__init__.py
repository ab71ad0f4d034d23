"""Images in and out: NIfTI, NRRD, MetaImage and DICOM in, NIfTI and NRRD out.

This is the only place, beside ``mrml.py``, that knows RAS. Nothing heavy is imported until a
function is called.
"""

from __future__ import annotations

from os import PathLike
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..volume import Volume

__all__ = ["load", "load_one", "load_series", "save"]


def load(path: str | PathLike[str]) -> list[Volume]:
    """Every image at ``path``: a file gives one, a folder one per DICOM series or image file.

    A DICOM series that holds several images (echoes, time points, Dixon images) gives one volume
    for each. Voxels keep the values of the file, rescaled; geometry is LPS millimetres.

    Raises
    ------
    InputError
        If nothing there can be read as a 3D image; the message names the file and the way out.
    """
    from .files import load_path

    return load_path(path)


def load_one(path: str | PathLike[str]) -> Volume:
    """The only image at ``path``.

    Raises
    ------
    InputError
        As :func:`load`, and if there are several images, naming them.
    """
    from .files import load_single

    return load_single(path)


def load_series(path: str | PathLike[str]) -> list[Volume]:
    """The images of the only series at ``path``: one, or several on the same slices (echoes, time
    points, Dixon images), the first echo first.

    Raises
    ------
    InputError
        As :func:`load`, and if there are images of several series or on several grids, naming them.
    """
    from .files import load_same_slices

    return load_same_slices(path)


def save(volume: Volume, path: str | PathLike[str]) -> None:
    """Write ``volume`` to ``path`` (.nii, .nii.gz or .nrrd), whole or not at all.

    Geometry survives to 1e-4 mm; sequence, provenance and warnings are kept in the header and come
    back with :func:`load`, so that a synthetic image stays marked as one.

    Raises
    ------
    OutputError
        If the file cannot be written there; nothing is left behind then.
    """
    from .files import save_volume

    save_volume(volume, path)
