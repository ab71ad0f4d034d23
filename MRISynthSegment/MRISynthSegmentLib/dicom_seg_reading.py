"""DICOM Segmentation objects (SEG) of any program, read onto the grid of an image.

With pydicom: highdicom refuses files that lack attributes which nobody needs in order to see where
a structure lies, and slices at distances that it cannot explain. DICOM PS3.3, C.8.20.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.sr.coding import Code as DicomCode
from pydicom.uid import SegmentationStorage

from MRISynthLib.errors import InputError
from MRISynthLib.io.dicom_frames import read_pixels
from MRISynthLib.io.dicom_source import dicom_files
from MRISynthLib.io.stacking import POSITION_TOLERANCE_MM
from MRISynthLib.provenance import SYNTHETIC_MARK
from MRISynthLib.volume import Volume

from .grids import on_grid
from .origins import (
    NOT_RECORDED,
    Algorithm,
    Origin,
    algorithm_in,
    kind_in,
    provenance_in,
    text_of,
)
from .roi_names import tg263_name
from .segmentation import Segmentation
from .structures import ABNORMAL, ANATOMY, STRUCTURES, Code

TISSUE: Code = ("SCT", "85756007", "Tissue")
"""Category and type of a structure that the product does not know: true of an organ and of a
tumour alike, where "Anatomical Structure" would deny the tumour. Slicer says the same of a segment
without a meaning. Its name is in the label."""

_DAMAGED = (AttributeError, BytesLengthException, EOFError, InvalidDicomError, LookupError,
            OSError, RuntimeError, TypeError, ValueError, struct.error)  # fmt: skip
"""What pydicom raises where bytes are missing or mean nothing."""

_LABEL_MAP_STORAGE = "1.2.840.10008.5.1.4.1.1.66.7"

SEG_CLASSES = (SegmentationStorage, _LABEL_MAP_STORAGE)
"""SOP classes that :func:`read_dicom_seg` reads."""

_GENERAL = (ANATOMY, TISSUE, ("SCT", "113343008", "Organ"))
"""Types that say nothing: which organ it is stands in the anatomic region then."""

_MEANINGS = (
    ("SegmentedPropertyTypeCodeSequence", "SegmentedPropertyTypeModifierCodeSequence"),
    ("AnatomicRegionSequence", "AnatomicRegionModifierSequence"),
    ("PrimaryAnatomicStructureSequence", "PrimaryAnatomicStructureModifierSequence"),
)
"""Where a segment says what it is, and of which side."""

_GROUPS = {
    "ImagePositionPatient": "PlanePositionSequence",
    "ImageOrientationPatient": "PlaneOrientationSequence",
    "PixelSpacing": "PixelMeasuresSequence",
    "SliceThickness": "PixelMeasuresSequence",
    "SpacingBetweenSlices": "PixelMeasuresSequence",
    "ReferencedSegmentNumber": "SegmentIdentificationSequence",
}


@dataclass(frozen=True)
class _Plane:
    """One frame: segment (None in a label map), position of its first pixel's centre, and the
    steps from column to column and from row to row (LPS mm)."""

    segment: int | None
    corner: np.ndarray
    across: np.ndarray
    down: np.ndarray


def read_dicom_seg(path: str | Path, reference: Volume, *, exact: bool = False) -> Segmentation:
    """Read a SEG of any program, binary, fractional or label map, onto the grid of ``reference``.

    Structures get the product's names by their codes and side, or by their labels; others keep
    their labels. Frames are placed where they say that they lie, on whichever slices, in whichever
    order; on another grid by the nearest voxel. The result's warnings say what was done, and
    its provenance, of the product's own files, what they were drawn on.

    Parameters
    ----------
    exact:
        Refuse frames that do not lie on the image's own voxels.

    Raises
    ------
    InputError
        If the file is missing, damaged or no SEG, of another frame of reference, or nothing of
        it lies in the image; and see ``exact``.
    """
    path = Path(path)
    header = _header(path)
    warnings = _check_frame_of_reference(header, reference, path)
    segments = {int(item.SegmentNumber): item for item in header.SegmentSequence}
    is_label_map = header.SOPClassUID == _LABEL_MAP_STORAGE
    if is_label_map:
        segments.pop(0, None)  # the background
    names, said = _names(segments, path)
    count = int(header.NumberOfFrames)
    planes = [_plane(header, number, is_label_map, path) for number in range(1, count + 1)]
    pixels = read_pixels(path)
    is_whole = {plane.segment for plane in planes} <= {None, *segments}
    if not is_whole or pixels.shape != (count, header.Rows, header.Columns):
        raise InputError(f"{path.name} has other frames than it describes; export it again.")
    if header.get("SegmentationType") == "FRACTIONAL":
        pixels = pixels >= int(header.get("MaximumFractionalValue") or 255) / 2
        said.append(
            f"{path.name} holds shares or probabilities of structures; what has at least half "
            "was taken."
        )
    size = pixels.shape[1:]
    grid = _shared_grid(planes, reference, size) or _stacked(planes, header, reference, size, path)
    masks = {name: np.zeros(grid.shape, bool) for name in names.values()}
    for plane, frame in zip(planes, pixels, strict=True):
        for number in np.unique(frame) if is_label_map else (plane.segment,):
            if number in names:
                inside = frame == number if is_label_map else frame != 0
                masks[names[number]][_indices(inside, plane, grid)] = True
    described = str(header.get("SeriesDescription") or "")
    if SYNTHETIC_MARK in described:
        warnings.append(f"{path.name} says of itself: {described}.")
    origins = {names[number]: _origin(item) for number, item in segments.items()}
    provenance = provenance_in(origins.values())
    found = Segmentation(masks, grid, provenance, (*warnings, *said), origins=origins)
    return on_grid(found, reference, path.name, exact=exact)


def _origin(segment: Dataset) -> Origin:
    """Who or what drew a segment; many programs name an algorithm and describe it no further."""
    algorithm = algorithm_in(segment.get("SegmentationAlgorithmIdentificationSequence"))
    name = text_of(segment, "SegmentAlgorithmName")
    if algorithm is None and name not in ("", NOT_RECORDED):
        algorithm = Algorithm(name)
    return Origin(kind_in(segment, "SegmentAlgorithmType"), algorithm)


def of_frame(header: Dataset, number: int, keyword: str) -> Any:
    """An attribute of one frame (from 1; 0 in a classic file), None if the file does not say."""
    places = [header]
    if number:
        shared = header.get("SharedFunctionalGroupsSequence") or []
        groups = (header.PerFrameFunctionalGroupsSequence[number - 1], *shared[:1])
        found = [item for group in groups for item in (group.get(_GROUPS[keyword]) or [])[:1]]
        places = [*found, header]
    return next((place[keyword].value for place in places if keyword in place), None)


def _header(path: Path) -> Dataset:
    if not path.is_file():
        raise InputError(f"There is no file {path}; check the path.")
    damaged = f"{path.name} is damaged or incomplete; export or copy it again."
    if not dicom_files([path]):
        raise InputError(f"{path.name} is not a DICOM file; give a DICOM SEG.")
    try:
        header = pydicom.dcmread(path, stop_before_pixels=True, force=True)
        kind = header.get("SOPClassUID")
        if kind not in SEG_CLASSES:
            modality = header.get("Modality") or "object without modality"
            raise InputError(
                f"{path.name} is a DICOM {modality}, not a segmentation; give a DICOM SEG."
            )
        if int(header.get("InConcatenationTotalNumber") or 1) > 1 or "ConcatenationUID" in header:
            raise InputError(
                f"{path.name} is one part of a segmentation that was split over several files "
                "(a concatenation), which cannot be read; export it as one file."
            )
        frames = header.get("PerFrameFunctionalGroupsSequence") or []
        numbers = [int(item.SegmentNumber) for item in header.get("SegmentSequence") or []]
        count = int(header.get("NumberOfFrames") or 0)
        if not numbers or not count or len(frames) != count or not (header.Rows and header.Columns):
            raise InputError(damaged)
        for _ in header.iterall():
            pass  # pydicom looks at values when they are asked for, and raises then
    except _DAMAGED as error:
        raise InputError(damaged) from error
    return header


def _check_frame_of_reference(header: Dataset, reference: Volume, path: Path) -> list[str]:
    label = reference.name or "the image"
    own = str(header.get("FrameOfReferenceUID") or "")
    wanted = str(reference.acquisition.get("FrameOfReferenceUID") or "")
    if own and wanted and own != wanted:
        raise InputError(
            f"{path.name} is in the frame of reference {own}, {label} in {wanted}: their "
            "coordinates mean different places; give a segmentation of the same examination, or "
            "register the images first."
        )
    if own and wanted:
        return []
    return [
        f"{path.name if wanted else label} does not say its frame of reference: whether "
        f"{path.name} belongs to {label} was not checked; look at both together."
    ]


def _plane(header: Dataset, number: int, is_label_map: bool, path: Path) -> _Plane:
    try:
        corner = np.array(of_frame(header, number, "ImagePositionPatient"), float)
        cosines = np.array(of_frame(header, number, "ImageOrientationPatient"), float)
        rows_mm, columns_mm = (float(mm) for mm in of_frame(header, number, "PixelSpacing"))
        across, down = cosines.reshape(2, 3)
        segment = None if is_label_map else int(of_frame(header, number, "ReferencedSegmentNumber"))
        area = np.linalg.norm(np.cross(across, down)) * rows_mm * columns_mm
        if corner.shape != (3,) or not np.isfinite([*corner, area]).all() or area < 1e-6:
            raise ValueError("no plane in space")
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{path.name} does not say where its frame {number} lies or what it shows; export it "
            "again from the program that made it."
        ) from error
    return _Plane(segment, corner, across * columns_mm, down * rows_mm)


def _on_voxels(plane: _Plane, grid: Volume) -> tuple[np.ndarray, np.ndarray]:
    """Indices (column, row, slice) in ``grid`` of a frame's first pixel, and (3, 2) those of the
    steps to its next column and row; not rounded."""
    to_index = np.linalg.inv(grid.index_to_world)
    steps = to_index[:3, :3] @ np.stack([plane.across, plane.down], axis=1)
    return (to_index @ [*plane.corner, 1.0])[:3], steps


def _indices(inside: np.ndarray, plane: _Plane, grid: Volume) -> tuple[np.ndarray, ...]:
    """Where in ``grid`` the pixels of a frame lie, which are all on its voxels."""
    start, steps = (np.rint(value).astype(int) for value in _on_voxels(plane, grid))
    rows, columns = np.nonzero(inside)
    return tuple((start[:, None] + steps @ [columns, rows])[::-1])


def _shared_grid(planes: list[_Plane], image: Volume, size: tuple[int, int]) -> Volume | None:
    """The image's grid, extended where frames reach out of it; None if they lie between it."""
    last = np.array([(columns, rows) for columns in (0, size[1] - 1) for rows in (0, size[0] - 1)])
    low, high = np.zeros(3, int), np.array(image.shape[::-1]) - 1
    for plane in planes:
        start, steps = _on_voxels(plane, image)
        whole = np.rint(steps)
        if not np.array_equal(np.sort(np.abs(whole), axis=0), [[0, 0], [0, 0], [1, 1]]):
            return None
        ends = np.rint(start) + last @ whole.T
        if np.abs((start + last @ steps.T - ends) * image.spacing).max() > POSITION_TOLERANCE_MM:
            return None
        low = np.minimum(low, ends.min(axis=0).astype(int))
        high = np.maximum(high, ends.max(axis=0).astype(int))
    matrix = np.array(image.index_to_world)
    matrix[:3, 3] += matrix[:3, :3] @ low
    return _empty(high - low + 1, matrix)


def _stacked(
    planes: list[_Plane], header: Dataset, reference: Volume, size: tuple[int, int], path: Path
) -> Volume:
    """The frames' own grid, for frames of one orientation at even distances, some missing."""
    label = reference.name or "the image"
    between_mm, thickness_mm = (
        _millimetres(header, keyword) for keyword in ("SpacingBetweenSlices", "SliceThickness")
    )
    first = planes[0]
    steps = np.array([(plane.across, plane.down) for plane in planes])
    if np.abs((steps - steps[0]) * max(size)).max() > POSITION_TOLERANCE_MM:
        raise InputError(
            f"{path.name} has frames of several orientations, on another grid than {label}; "
            "resample it in the program that made it."
        )
    corners = np.array([plane.corner for plane in planes])
    normal = np.cross(first.across, first.down)
    normal /= np.linalg.norm(normal)
    heights = corners @ normal
    low, high = heights.argmin(), heights.argmax()
    gaps = np.diff(np.sort(heights))
    gaps = gaps[gaps > POSITION_TOLERANCE_MM]
    smallest = np.median(gaps / np.rint(gaps / gaps.min())) if gaps.size else 0.0
    # Slices without structures are often left out, so that the smallest gap can be too large.
    for spacing in (between_mm, smallest, thickness_mm):
        if not spacing:
            continue
        slots = np.rint((heights - heights[low]) / spacing)
        step = (corners[high] - corners[low]) / slots[high] if slots[high] else normal * spacing
        off = corners - corners[low] - slots[:, None] * step
        if np.abs(off).max() <= POSITION_TOLERANCE_MM:
            matrix = np.eye(4)
            matrix[:3] = np.stack([first.across, first.down, step, corners[low]], axis=1)
            return _empty((size[1], size[0], slots[high] + 1), matrix)
    raise InputError(
        f"{path.name} has slices at uneven distances, or of unknown thickness, on another grid "
        f"than {label}; resample it in the program that made it."
    )


def _millimetres(header: Dataset, keyword: str) -> float:
    """A length of the first frame; 0 where the file does not say."""
    try:
        return abs(float(of_frame(header, 1, keyword) or 0))
    except (TypeError, ValueError):
        return 0.0


def _empty(size: np.ndarray | tuple[int, ...], matrix: np.ndarray) -> Volume:
    """A grid without voxels in memory; ``size`` is (columns, rows, slices)."""
    shape = tuple(int(count) for count in size[::-1])
    return Volume(np.broadcast_to(np.uint8(0), shape), matrix)


# --- names --------------------------------------------------------------------------------


def _names(segments: Mapping[int, Dataset], path: Path) -> tuple[dict[int, str], list[str]]:
    """Segment number -> structure name, each name once; and what the user needs to know.

    A code that several segments share does not tell them apart: then their labels decide.
    """
    labels = {
        number: str(item.get("SegmentLabel") or "").strip() or f"Segment_{number}"
        for number, item in segments.items()
    }
    coded = {number: _by_code(item) for number, item in segments.items()}
    often = Counter(coded.values())
    claims, unknown, warnings = [], [], []
    for number, label in labels.items():
        code = coded[number] if often[coded[number]] == 1 else None
        spelt = tg263_name(label)
        rank = 0 if code else 1 if spelt == label else 2 if spelt else 3
        claims.append((rank, number, code or spelt or label))
        if code and spelt and code != spelt:
            warnings.append(
                f"The segment '{label}' of {path.name} has the code of {code} and was taken as "
                "that; check structure and side."
            )
        if not code and not spelt:
            unknown.append(label)
    if unknown:
        warnings.append(
            f"{path.name} has structures that are not known here, kept under their own names: "
            f"{', '.join(unknown)}."
        )
    names: dict[int, str] = {}
    for rank, number, name in sorted(claims):
        if name not in names.values():
            names[number] = name
            if rank == 2:
                warnings.append(f"'{labels[number]}' of {path.name} is read as {name}.")
            continue
        names[number], times = labels[number], 1
        taken = {*STRUCTURES, *(each for n, each in names.items() if n != number)}
        while names[number] in taken:
            times += 1
            names[number] = f"{labels[number]} ({times})"
        warnings.append(
            f"{path.name} has more than one {name}; the second is kept as '{names[number]}'."
        )
    return {number: names[number] for number in segments}, warnings


def _by_code(segment: Dataset) -> str | None:
    """The structure with a segment's category, type and side.

    Some programs give no more than "organ" as the type, and which one as the anatomic region.
    """
    is_target = _dicom(ABNORMAL) in _codes(segment, "SegmentedPropertyCategoryCodeSequence")
    for place, modifier in _MEANINGS:
        for item in (segment.get(place) or [])[:1]:
            code, sides = _codes(segment, place)[0], _codes(item, modifier)
            for structure in STRUCTURES.values():
                wanted = [] if structure.modifier is None else [_dicom(structure.modifier)]
                same = code == _dicom(structure.type) and sides == wanted
                if same and structure.is_target == is_target:
                    return structure.name
            if code not in map(_dicom, _GENERAL):
                return None
    return None


def _codes(dataset: Dataset, keyword: str) -> list[DicomCode]:
    """Codes that compare equal to each other whether SNOMED CT or the older SNOMED RT."""
    return [
        DicomCode(str(item.get("CodeValue")), str(item.get("CodingSchemeDesignator")), "")
        for item in dataset.get(keyword) or []
    ]


def _dicom(code: Code) -> DicomCode:
    scheme, value, meaning = code
    return DicomCode(value, scheme, meaning)
