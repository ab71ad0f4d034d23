"""Contours of any origin on the grid of one image: files of Slicer, label maps, DICOM."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from MRISynthLib.errors import InputError
from MRISynthLib.volume import Volume

from .grids import on_grid
from .io import read_segmentation
from .segmentation import Segmentation

__all__ = ["load_any", "on_grid"]


def load_any(path: str | Path, reference: Volume, *, exact: bool = False) -> Segmentation:
    """Read contours, whatever they are kept in, and bring them onto the grid of ``reference``.

    Takes DICOM RTSTRUCT and SEG (a file, or a folder with one of them), which are known by their
    content, and what :func:`~MRISynthSegmentLib.io.read_segmentation` takes, drawn on any grid.

    Parameters
    ----------
    exact:
        Refuse contours that were not drawn on the slices of ``reference`` and would have to be
        moved, resampled or cut off; without it, that is done and said in the warnings.

    Raises
    ------
    InputError
        If there is nothing that can be read as contours, more than one such object, or nothing of
        it lies in the image; and see ``exact``.
    """
    path = Path(path).expanduser()
    if not path.exists():
        raise InputError(f"There is no file or folder {path}; check the path.")
    from MRISynthLib.io.dicom_source import dicom_files

    found = dicom_files([path])
    if found:
        return _load_dicom(path, found, reference, exact)
    if path.is_dir():
        raise InputError(
            f"The folder {path} holds no RTSTRUCT and no DICOM SEG; give the file with contours."
        )
    return on_grid(read_segmentation(path), reference, path.name, exact=exact)


# --- DICOM --------------------------------------------------------------------------------


def _load_dicom(path: Path, files: Sequence[Path], reference: Volume, exact: bool) -> Segmentation:
    from pydicom.uid import RTStructureSetStorage

    from .dicom_seg_reading import SEG_CLASSES, read_dicom_seg
    from .rtstruct_read import read_rtstruct

    kinds = {file: _kind(file) for file in files}
    contours = [file for file in files if kinds[file] in (RTStructureSetStorage, *SEG_CLASSES)]
    if not contours:
        raise InputError(
            f"{path} is DICOM, but neither an RTSTRUCT nor a SEG; give the file with the contours, "
            "not the images."
        )
    if len(contours) > 1:
        some = ", ".join(file.name for file in contours[:4]) + (" ..." if contours[4:] else "")
        raise InputError(
            f"The folder {path} holds {len(contours)} objects with contours ({some}); give the "
            "file of one."
        )
    if kinds[contours[0]] in SEG_CLASSES:
        return read_dicom_seg(contours[0], reference, exact=exact)
    return read_rtstruct(contours[0], reference, exact=exact)


def _kind(path: Path) -> str:
    """SOP Class UID of a DICOM file; empty if it says none."""
    import pydicom
    from pydicom.errors import InvalidDicomError

    try:
        header = pydicom.dcmread(path, force=True, specific_tags=["SOPClassUID"])
    except (InvalidDicomError, OSError, EOFError, ValueError, TypeError, KeyError):
        return ""
    return str(header.get("SOPClassUID") or "")
