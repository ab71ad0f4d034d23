"""Contours of any origin on the grid of one image: files of Slicer, label maps, DICOM."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from MRISynthLib.errors import InputError
from MRISynthLib.volume import Volume

from .io import GRID_TOLERANCE_MM, load_segmentation
from .segmentation import Segmentation

_SEG = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")
"""SOP Class UIDs of Segmentation and Label Map Segmentation Storage."""

_POINTS = 20_000
"""Of so many voxels it is seen how much of a structure lies inside an image."""

_LOST = 0.005
"""A structure of which more lies outside the image is mentioned."""


def load_any(path: str | Path, reference: Volume) -> Segmentation:
    """Read contours, whatever they are kept in, and bring them onto the grid of ``reference``.

    Takes DICOM RTSTRUCT and SEG (a file, or a folder with one of them), which are known by their
    content, and what :func:`~MRISynthSegmentLib.io.load_segmentation` takes, drawn on any grid.

    Raises
    ------
    InputError
        If there is nothing that can be read as contours, more than one such object, or nothing of
        it lies in the image.
    """
    path = Path(path).expanduser()
    if not path.exists():
        raise InputError(f"There is no file or folder {path}; check the path.")
    from MRISynthLib.io.dicom_source import dicom_files

    found = dicom_files([path])
    if found:
        return _load_dicom(path, found, reference)
    if path.is_dir():
        raise InputError(
            f"The folder {path} holds no RTSTRUCT and no DICOM SEG; give the file with contours."
        )
    grid = _own_grid(path)
    segmentation = load_segmentation(path, reference if grid is None else grid)
    return on_grid(segmentation, reference, path.name)


def on_grid(segmentation: Segmentation, reference: Volume, name: str) -> Segmentation:
    """The segmentation on the grid of ``reference``, by the nearest voxel where it has another.

    What that does to the contours is said in the result's warnings; ``name`` is for errors.

    Raises
    ------
    InputError
        If no structure has a voxel in the image.
    """
    own = segmentation.reference
    if own.same_geometry(reference, GRID_TOLERANCE_MM):
        return replace(segmentation, reference=reference)
    from MRISynthLib.preprocessing.resampling import index_map

    label = reference.name or "the image"
    to_own = index_map(reference.index_to_world, own.index_to_world)
    inside = {
        key: _share_inside(mask, np.linalg.inv(to_own), reference.shape)
        for key, mask in segmentation.masks.items()
        if mask.any()
    }
    if inside and not any(inside.values()):
        raise InputError(
            f"Nothing of {name} lies in {label}: they do not overlap in space; give contours and "
            "an image of the same examination, or align them first."
        )
    masks = {key: _moved(mask, to_own, reference.shape) for key, mask in segmentation.masks.items()}
    warnings = list(segmentation.warnings)
    if not _same_voxels(to_own, own, reference):
        warnings.append(
            f"Drawn on another grid than {label} and brought onto it by the nearest voxel: "
            "differences of about a voxel may come from that."
        )
    cut = [key for key, share in inside.items() if share < 1 - _LOST]
    if cut:
        warnings.append(f"Parts lie outside {label} and are left out: {', '.join(cut)}.")
    lost = [key for key, share in inside.items() if share and not masks[key].any()]
    if lost:
        warnings.append(f"Smaller than the voxels of {label} and lost there: {', '.join(lost)}.")
    return Segmentation(masks, reference, segmentation.provenance, tuple(warnings))


# --- DICOM --------------------------------------------------------------------------------


def _load_dicom(path: Path, files: Sequence[Path], reference: Volume) -> Segmentation:
    from pydicom.uid import RTStructureSetStorage

    kinds = {file: _kind(file) for file in files}
    contours = [file for file in files if kinds[file] in (RTStructureSetStorage, *_SEG)]
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
    if kinds[contours[0]] in _SEG:
        from .dicom_seg import read_dicom_seg

        return read_dicom_seg(contours[0], reference)
    from .rtstruct import read_rtstruct

    return read_rtstruct(contours[0], reference)


def _kind(path: Path) -> str:
    """SOP Class UID of a DICOM file; empty if it says none."""
    import pydicom
    from pydicom.errors import InvalidDicomError

    try:
        header = pydicom.dcmread(path, force=True, specific_tags=["SOPClassUID"])
    except (InvalidDicomError, OSError, EOFError, ValueError, TypeError, KeyError):
        return ""
    return str(header.get("SOPClassUID") or "")


# --- grids --------------------------------------------------------------------------------


def _own_grid(path: Path) -> Volume | None:
    """The grid of a NRRD or NIfTI file; None where it cannot be told: its reader says why."""
    if not path.name.lower().endswith(".nrrd"):
        from MRISynthLib import io

        try:
            return io.load_one(path)
        except InputError:
            return None
    import nrrd
    import slicerio

    try:
        sizes = nrrd.read_header(str(path))["sizes"][-3:]  # layers of a segmentation come first
        matrix = slicerio.read_segmentation(str(path), skip_voxels=True)["ijkToLPS"]
        nothing = np.broadcast_to(np.uint8(0), tuple(int(n) for n in sizes)[::-1])
        return Volume(nothing, matrix, name=path.name)
    except (nrrd.NRRDError, InputError, LookupError, OSError, StopIteration, TypeError, ValueError):
        return None


def _share_inside(mask: np.ndarray, to_other: np.ndarray, shape: tuple[int, int, int]) -> float:
    """Share of a mask's voxels whose centres lie in another grid of ``shape``, 0 to 1."""
    index = np.argwhere(mask)
    index = index[:: max(1, len(index) // _POINTS), ::-1]
    position = index @ to_other[:3, :3].T + to_other[:3, 3]
    inside = (position >= -0.5) & (position <= np.array(shape[::-1]) - 0.5)
    return float(np.mean(inside.all(axis=1)))


def _moved(mask: np.ndarray, to_own: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """A mask on a grid of ``shape``; ``to_own`` takes indices of that grid to its own."""
    from scipy import ndimage

    from MRISynthLib.preprocessing.resampling import resample

    result = np.zeros(shape, bool)
    if not mask.any():
        return result
    box = ndimage.find_objects(mask.astype(np.uint8))[0]
    low = np.array([side.start for side in box])[::-1]
    high = np.array([side.stop for side in box])[::-1] - 1
    corners = [(*np.where(which, high + 0.5, low - 0.5), 1.0) for which in np.ndindex(2, 2, 2)]
    reached = (np.array(corners) @ np.linalg.inv(to_own).T)[:, :3]
    start = np.clip(np.floor(reached.min(0)), 0, shape[::-1]).astype(int)
    stop = np.clip(np.ceil(reached.max(0)) + 1, 0, shape[::-1]).astype(int)
    if np.any(stop <= start):
        return result
    before, after = np.eye(4), np.eye(4)
    before[:3, 3], after[:3, 3] = start, -low
    part = resample(
        mask[box], after @ to_own @ before, tuple(int(n) for n in (stop - start)[::-1]), order=0
    )
    place = tuple(slice(a, b) for a, b in zip(start[::-1], stop[::-1], strict=True))
    result[place] = part > 0.5
    return result


def _same_voxels(to_own: np.ndarray, own: Volume, reference: Volume) -> bool:
    """Whether the grids have the same voxel centres, but for their extent, order and direction."""
    axes = np.rint(to_own[:3, :3])
    whole = np.eye(4)
    whole[:3, :3], whole[:3, 3] = axes, np.rint(to_own[:3, 3])
    if not np.array_equal(np.sort(np.abs(axes), axis=0), [[0] * 3, [0] * 3, [1] * 3]):
        return False
    return reference.same_geometry(
        reference.replace(index_to_world=own.index_to_world @ whole), GRID_TOLERANCE_MM
    )
