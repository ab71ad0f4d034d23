"""RT Structure Sets of any origin, read onto the grid of an image (DICOM PS3.3, A.19)."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.uid import RTStructureSetStorage

from MRISynthLib.errors import InputError
from MRISynthLib.io.dicom_source import DicomSource, dicom_files
from MRISynthLib.io.stacking import POSITION_TOLERANCE_MM
from MRISynthLib.provenance import SYNTHETIC_MARK
from MRISynthLib.volume import Volume

from .contours import Placement, mask_of, on_slices
from .origins import Origin, algorithm_in, kind_in, provenance_in, text_of
from .roi_names import tg263_name
from .segmentation import Segmentation
from .structures import STRUCTURES

_CLOSED = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR")
"""Both are filled by the even-odd rule: systems wrote holes as contours of their own, under the
first name, long before the second was in the standard (C.8.8.6.3)."""

_DAMAGED = (AttributeError, BytesLengthException, EOFError, InvalidDicomError, LookupError,
            OSError, RuntimeError, TypeError, ValueError, struct.error)  # fmt: skip
"""What pydicom raises where bytes are missing or mean nothing."""


_UNDEFINED = 0xFFFFFFFF
"""Length of a sequence whose end is marked in the file."""


@dataclass
class _Roi:
    name: str
    frame: str
    origin: Origin
    contours: list[np.ndarray] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class _Misfit:
    """In what a structure's contours do not fit an image, and what is done about it.

    ``is_gap``: slices between them have none, as where the image has more slices than the one that
    they were drawn on, or where somebody left slices out.
    """

    what: str
    done: str
    is_gap: bool = False


def read_rtstruct(
    path: str | Path,
    reference: Volume,
    sources: DicomSource | None = None,
    *,
    exact: bool = False,
) -> Segmentation:
    """Read the structures of an RTSTRUCT onto the grid of ``reference``.

    Structures get the product's name where they have an alias of it (see
    :func:`~MRISynthSegmentLib.roi_names.tg263_name`); others keep theirs. A structure without
    closed contours has an empty mask. What was left out or moved is said in the warnings.

    Parameters
    ----------
    sources:
        The series that ``reference`` was read from, if it is at hand: it says the frame of
        reference and the patient where ``reference`` itself does not.
    exact:
        Refuse contours that do not lie on the slices or reach beyond their edges, and those that
        leave slices between them empty unless the file says that they were drawn on this series.

    Raises
    ------
    InputError
        If the file is missing, damaged or no RTSTRUCT, belongs to another frame of reference or
        another patient, or has contours that lie beyond the first or last slice or across several;
        and see ``exact``.
    """
    path = Path(path)
    record = _record(path)
    try:
        _check_patient(record, path, sources)
        rois = _rois(record, path)
        description = str(record.get("StructureSetDescription") or "")
        drawn_here = reference.acquisition.get("SeriesInstanceUID") in _series_in(record)
    except _DAMAGED as error:
        raise _damaged(path) from error
    warnings = _check_frame({roi.frame for roi in rois}, path, reference, sources)
    if SYNTHETIC_MARK in description:
        warnings.append(f"{path.name} says of itself: {description}")
    names, renamed = _names(rois)
    warnings += [f"{path.name}: {sentence}" for sentence in renamed]
    masks = {}
    for name, roi in zip(names, rois, strict=True):
        placement = on_slices(_single(roi), reference, f"{name} in {path.name}")
        masks[name] = mask_of(placement.contours, reference)
        warnings += [
            f"{path.name}: {count} contours of {name} {why} are left out."
            for why, count in sorted(roi.left_out.items())
            if count
        ]
        for misfit in _misfits(name, placement, masks[name], reference):
            if exact and not (misfit.is_gap and drawn_here):
                raise InputError(
                    f"{path.name} was not drawn on the slices of {reference.name or 'the image'} "
                    f"as they are: {misfit.what}; give the whole series that it was drawn on, or "
                    "bring the contours onto this one in Slicer and look at them there."
                )
            warnings.append(f"{path.name}: {misfit.what}{misfit.done}.")
    empty = [name for name, roi in zip(names, rois, strict=True) if not roi.contours]
    if empty:
        warnings.append(f"{path.name} has no closed contours for {', '.join(empty)}.")
    origins = {name: roi.origin for name, roi in zip(names, rois, strict=True)}
    provenance = provenance_in(origins.values())
    return Segmentation(masks, reference, provenance, tuple(warnings), origins=origins)


def _damaged(path: Path) -> InputError:
    return InputError(f"{path} is damaged or cut off; export or copy it again.")


def _record(path: Path) -> Dataset:
    if not path.is_file():
        raise InputError(f"There is no RTSTRUCT file {path}; check the path.")
    if not dicom_files([path]):
        raise InputError(f"{path} is no DICOM file; give the RTSTRUCT with the contours.")
    try:
        record = pydicom.dcmread(path, force=True)
        kind = str(record.get("SOPClassUID") or "")
        modality = str(record.get("Modality") or "") or "unknown"
        whole = all(
            len(element.value or b"") == element.length
            for element in map(record.get_item, record.keys())
            if isinstance(element, RawDataElement) and element.length != _UNDEFINED
        )
    except _DAMAGED as error:
        raise _damaged(path) from error
    if kind and kind != RTStructureSetStorage:
        raise InputError(
            f"{path} is a DICOM object of the kind {modality}, not an RTSTRUCT; give the file with "
            "the contours."
        )
    if not (kind and whole):
        raise _damaged(path)
    return record


def _check_patient(record: Dataset, path: Path, sources: DicomSource | None) -> None:
    theirs = str(record.get("PatientID") or "")
    ours = "" if sources is None else str(sources.header.get("PatientID") or "")
    if theirs and ours and theirs != ours:
        raise InputError(
            f"{path.name} is of another patient than the series '{sources.name}' (PatientID "
            "differs); use contours and images of one patient only."
        )


def _check_frame(
    frames: set[str], path: Path, reference: Volume, sources: DicomSource | None
) -> list[str]:
    """Warnings, where one side does not say its frame of reference."""
    image = reference.name or "the image"
    header = {} if sources is None else sources.header
    ours = str(
        header.get("FrameOfReferenceUID") or reference.acquisition.get("FrameOfReferenceUID") or ""
    )
    theirs = sorted(frames - {""})
    if ours and any(frame != ours for frame in theirs):
        other = ", ".join(frame for frame in theirs if frame != ours)
        raise InputError(
            f"{path.name} has contours in the frame of reference {other}, but {image} lies in "
            f"{ours}; give the image that they were drawn on, or register the two and export "
            "again."
        )
    if len(theirs) > 1:
        raise InputError(
            f"{path.name} has contours in {len(theirs)} frames of reference, and {image} does not "
            "say which is its own; give the DICOM series that they were drawn on."
        )
    if bool(theirs) != bool(ours):
        silent = image if theirs else path.name
        return [
            f"{silent} does not say its frame of reference: check that {path.name} was drawn on "
            f"{image}."
        ]
    return []


# --- structures ---------------------------------------------------------------------------


def _rois(record: Dataset, path: Path) -> list[_Roi]:
    """All structures with their closed contours, in the order of the file."""
    rois: dict[int, _Roi] = {}
    listed = record.get("ReferencedFrameOfReferenceSequence") or [record]
    shared = str(listed[0].get("FrameOfReferenceUID") or "")
    for item in record.get("StructureSetROISequence") or ():
        frame = str(item.get("ReferencedFrameOfReferenceUID") or shared)
        name = str(item.get("ROIName") or "").strip() or f"ROI {item.ROINumber}"
        rois[int(item.ROINumber)] = _Roi(name, frame, _origin(item))
    if not rois:
        raise InputError(f"{path.name} holds no structures; export it again.")
    if "ROIContourSequence" not in record:
        raise _damaged(path)
    for item in record.get("RTROIObservationsSequence") or ():
        roi = rois.get(int(item.get("ReferencedROINumber") or 0))
        if roi is not None:
            interpreter = text_of(item, "ROIInterpreter")
            interpreted = text_of(item, "RTROIInterpretedType").upper()
            roi.origin = replace(
                roi.origin,
                interpreter=interpreter or roi.origin.interpreter,
                interpreted=interpreted or roi.origin.interpreted,
            )
    for item in record.ROIContourSequence or ():
        roi = rois.get(int(item.ReferencedROINumber))
        if roi is None:
            raise InputError(
                f"{path.name} has contours of a structure number {item.ReferencedROINumber} that "
                "it does not name; export it again."
            )
        for contour in item.get("ContourSequence") or ():
            kind = str(contour.get("ContourGeometricType") or "no type")
            points = _points(contour, roi, path)
            if kind not in _CLOSED:
                roi.left_out[f"of type {kind}"] += 1
            elif len(points) < 3:
                roi.left_out["with fewer than three points"] += 1
            else:
                roi.contours.append(points)
    return list(rois.values())


def _series_in(record: Dataset) -> set[str]:
    """UIDs of the series that the structure set says it was drawn on."""
    return {
        str(series.get("SeriesInstanceUID") or "")
        for frame in record.get("ReferencedFrameOfReferenceSequence") or ()
        for study in frame.get("RTReferencedStudySequence") or ()
        for series in study.get("RTReferencedSeriesSequence") or ()
    }


def _origin(item: Dataset) -> Origin:
    """Who or what drew a structure."""
    return Origin(
        kind_in(item, "ROIGenerationAlgorithm"),
        algorithm_in(item.get("ROIDerivationAlgorithmIdentificationSequence")),
        text_of(item, "ROIGenerationDescription"),
    )


def _points(contour: Dataset, roi: _Roi, path: Path) -> np.ndarray:
    """(n, 3) LPS mm."""
    element = contour.get_item("ContourData")
    values = () if element is None or element.value is None else element.value
    if isinstance(values, bytes):  # not through pydicom, which takes seconds for large files
        values = values.strip(b" \0").split(b"\\") if values.strip(b" \0") else ()
    try:
        numbers = np.array(values).astype(np.float64).ravel()
    except ValueError:
        numbers = np.array([np.nan])
    stated = contour.get("NumberOfContourPoints")
    if len(numbers) % 3 or not np.isfinite(numbers).all():
        raise InputError(
            f"{path.name} has a contour of {roi.name} whose coordinates are not numbers, three "
            "for each point; export it again."
        )
    if stated is not None and int(stated) != len(numbers) // 3:
        raise InputError(
            f"{path.name} has a contour of {roi.name} with {len(numbers) // 3} points where "
            f"it says {stated}; export it again."
        )
    return numbers.reshape(-1, 3)


def _single(roi: _Roi) -> list[np.ndarray]:
    """Its contours, each once: by the even-odd rule a repeated one would cancel itself."""
    once = {points.tobytes(): points for points in roi.contours}
    roi.left_out["that are there twice"] += len(roi.contours) - len(once)
    return list(once.values())


def _names(rois: Iterable[_Roi]) -> tuple[list[str], list[str]]:
    """A name for each structure, and what to say about them."""
    given = [roi.name for roi in rois]
    names: dict[int, str] = {}
    sentences = []
    for exact in (True, False):  # a name of the product's own goes before an alias of it
        for number, name in enumerate(given):
            known = tg263_name(name)
            if known is None or (known == name) != exact or known in names.values():
                continue
            names[number] = known
            if not exact:
                sentences.append(f"'{name}' is read as {known}.")
    unknown = []
    for number, name in enumerate(given):
        if number in names:
            continue
        own, count = name, 1
        while own in names.values() or (count == 1 and own in STRUCTURES):
            count += 1
            own = f"{name} ({count})"
        names[number] = own
        if tg263_name(name) is None:
            unknown.append(own)
        else:
            sentences.append(f"a second {tg263_name(name)} is kept as '{own}'.")
    if unknown:
        sentences.append(
            f"not among the structures known here, kept under their names: {', '.join(unknown)}."
        )
    return [names[number] for number in range(len(given))], sentences


def _misfits(
    name: str, placement: Placement, mask: np.ndarray, reference: Volume
) -> Iterator[_Misfit]:
    image = reference.name or "the image"
    if placement.off_mm > POSITION_TOLERANCE_MM:
        what = f"contours of {name} lie up to {placement.off_mm:.1f} mm off the slices of {image}"
        yield _Misfit(what, " and were moved to the nearest")
    if placement.passed_over:
        what = f"{placement.passed_over} planes of {name} lie between the slices of {image}"
        yield _Misfit(what, " and are left out for nearer ones")
    if placement.skipped:
        what = f"{name} was drawn on planes further apart than the slices of {image}"
        yield _Misfit(what, f": {placement.skipped} slices between them stay empty", is_gap=True)
    if placement.beyond_mm > reference.spacing[:2].max():
        what = f"{name} reaches up to {placement.beyond_mm:.1f} mm beyond the edge of {image}"
        yield _Misfit(what, " and is cut off there")
    if placement.contours and not mask.any():
        yield _Misfit(f"{name} is smaller than the pixels of {image}", " and lost there")
