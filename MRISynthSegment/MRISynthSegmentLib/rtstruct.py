"""Segmentations as a DICOM RT Structure Set, the form that planning systems take contours in.

One object of DICOM PS3.3, A.19, on the slices, in the study and in the frame of reference of the
series that the contours were drawn on. Reading is in :mod:`MRISynthSegmentLib.rtstruct_read`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ImplicitVRLittleEndian, RTStructureSetStorage, generate_uid

from MRISynthLib import __version__
from MRISynthLib.errors import InputError
from MRISynthLib.io.dicom_references import check_referable
from MRISynthLib.io.dicom_source import DicomSource, now_of, of_study
from MRISynthLib.io.dicom_values import decimals
from MRISynthLib.io.output import staged_file
from MRISynthLib.provenance import SYNTHETIC_MARK

from .contours import contours_of
from .io import check_not_empty, note_of
from .origins import MANUAL, SEMIAUTOMATIC, UNKNOWN_MODEL, Origin, algorithm_items, origins_to_write
from .roi_names import check_dicom_names
from .rtstruct_read import read_rtstruct
from .segmentation import Segmentation
from .source_planes import slice_matrices
from .structures import STRUCTURES, UNKNOWN_COLOUR, Code

__all__ = ["empty_structures", "read_rtstruct", "write_rtstruct"]

SERIES_NUMBER = 9002
"""Behind those of the scanner, and of a SEG, in the lists of viewers."""

_STUDY_CLASS = "1.2.840.10008.3.1.2.3.1"
"""Detached Study Management, long retired: what planning systems expect in a reference to a study,
for which there is no storage class."""

_TYPES = {
    "gtv": "GTV", "ctv": "CTV", "ptv": "PTV", "bolus": "BOLUS", "couch": "SUPPORT",
}  # fmt: skip
"""How names begin of what is known to be no organ -> RT ROI Interpreted Type."""

_OUTLINES = ("body", "external")
"""Names of the patient's outline, in small letters."""

_UTF8 = "ISO_IR 192"


def write_rtstruct(
    segmentation: Segmentation,
    path: str | Path,
    source: DicomSource,
    *,
    label: str = "MRISynth",
    algorithm_types: Mapping[str, str] | None = None,
    series_number: int = SERIES_NUMBER,
) -> Path:
    """Write a segmentation as an RT Structure Set, whole or not at all.

    Structures keep their names, which are those of TG-263. One without a voxel is written with
    its name and no contour: it was looked for and not found (see :func:`empty_structures`).

    Parameters
    ----------
    source:
        The series that the segmentation's reference image was read from.
    label:
        What a planning system lists it as, at most 16 characters.
    algorithm_types:
        Structure name -> AUTOMATIC, SEMIAUTOMATIC (a model's, corrected by hand) or MANUAL. Of
        the others :func:`~MRISynthSegmentLib.origins.algorithm_types` says it.

    Raises
    ------
    InputError
        If there is no structure, a name or the label does not fit into DICOM, the series has no
        frame of reference, or the image is not that series.
    OutputError
        If the file cannot be written; its folder must exist.
    """
    path = Path(path)
    check_not_empty(segmentation)
    check_dicom_names(segmentation.masks)
    _check_label(label)
    origins = origins_to_write(segmentation, algorithm_types)
    frame = source.frame_of_reference()
    check_referable(source)
    matrices = slice_matrices(source, segmentation.reference)

    record = _described(segmentation, source, label)
    record.SeriesNumber = series_number
    record.ReferencedFrameOfReferenceSequence = [_frame_of_reference(source, frame)]
    record.StructureSetROISequence = []
    record.ROIContourSequence = []
    record.RTROIObservationsSequence = []
    for number, (name, mask) in enumerate(segmentation.masks.items(), start=1):
        roi = Dataset()
        roi.ROINumber = number
        roi.ReferencedFrameOfReferenceUID = frame
        roi.ROIName = name
        if name in STRUCTURES:
            roi.ROIDescription = STRUCTURES[name].label
        if not mask.any():
            roi.ROIDescription = f"{roi.get('ROIDescription', name)}: looked for, not found"
        _add_origin(roi, origins[name], segmentation)
        record.StructureSetROISequence.append(roi)
        record.ROIContourSequence.append(_contours(number, name, mask, matrices, source))
        record.RTROIObservationsSequence.append(_observation(number, name, origins[name]))
    _keep_readable(record, map(repr, origins.values()))
    with staged_file(path) as staging:
        _save(record, staging)
    return path


def empty_structures(segmentation: Segmentation) -> tuple[str, ...]:
    """Names of structures that were looked for and not found, for the user to be told."""
    return tuple(name for name, mask in segmentation.masks.items() if not mask.any())


def _check_label(label: str) -> None:
    if not label.strip() or len(label) > 16 or "\\" in label or not label.isprintable():
        raise InputError(
            f"The label {label!r} does not fit a structure set (1 to 16 characters, no "
            "backslash); give a shorter one."
        )


def _described(segmentation: Segmentation, source: DicomSource, label: str) -> Dataset:
    """Everything but the structures: patient, study, series, equipment, structure set."""
    header = source.header
    now = now_of(header)
    record = of_study(header)
    record.SOPClassUID = RTStructureSetStorage
    record.SOPInstanceUID = generate_uid()
    record.InstanceCreationDate = record.StructureSetDate = now.strftime("%Y%m%d")
    record.InstanceCreationTime = record.StructureSetTime = now.strftime("%H%M%S")
    record.Modality = "RTSTRUCT"
    record.SeriesInstanceUID = generate_uid()
    record.InstanceNumber = 1
    what = "MRISynth contours" if segmentation.provenance is None else "MRISynth research contours"
    record.SeriesDescription = _clipped(what + _inputs(segmentation), 64)
    record.OperatorsName = ""
    record.Manufacturer = record.ManufacturerModelName = "MRISynth"
    record.SoftwareVersions = __version__
    record.FrameOfReferenceUID = source.frame_of_reference()
    record.PositionReferenceIndicator = header.get("PositionReferenceIndicator", "")
    record.StructureSetLabel = label
    empty = empty_structures(segmentation)
    sentences = [note_of(segmentation)]
    sentences += [f"Looked for, not found: {', '.join(empty)}."] if empty else []
    text = " ".join((*sentences, *segmentation.warnings))
    record.StructureSetDescription = _clipped(" ".join(text.replace("\\", "/").split()), 1024)
    record.ApprovalStatus = "UNAPPROVED"
    return record


def _inputs(segmentation: Segmentation) -> str:
    """`` on SYNTHETIC CE-T1w, T1w``: the synthetic ones first, for what comes last may be cut."""
    provenance = segmentation.provenance
    if provenance is None:
        return ""
    words = []
    for item in sorted(provenance.inputs, key=lambda item: not item.get("synthetic")):
        mark = f"{SYNTHETIC_MARK} " if item.get("synthetic") else ""
        words.append(mark + str(item.get("sequence") or item.get("name") or "?").replace("\\", "/"))
    return f" on {', '.join(words)}" if words else ""


def _add_origin(roi: Dataset, origin: Origin, segmentation: Segmentation) -> None:
    """How the structure was made: in words, and which model drew it unless that was by hand."""
    roi.ROIGenerationAlgorithm = origin.kind
    if origin.kind == MANUAL:
        drawn = "By hand"
    else:  # leaving room for the word SYNTHETIC
        drawn = _clipped(str(origin.algorithm or UNKNOWN_MODEL), 28)
        drawn += ", corrected by hand" if origin.kind == SEMIAUTOMATIC else ""
    roi.ROIGenerationDescription = _clipped(
        origin.description or f"{drawn}{_inputs(segmentation)}", 64
    )
    algorithms = algorithm_items(origin.algorithm)
    if algorithms:
        roi.ROIDerivationAlgorithmIdentificationSequence = algorithms


def _frame_of_reference(source: DicomSource, frame: str) -> Dataset:
    """The series and all its slices, by frame of reference and study (C.8.8.5)."""
    series = Dataset()
    series.SeriesInstanceUID = source.header.SeriesInstanceUID
    files: dict[str, Dataset] = {}
    for k, each in enumerate(source.slices):
        image = _image(source, k)
        there = files.setdefault(image.ReferencedSOPInstanceUID, image)
        if there is not image:  # another frame of the same file
            numbers = np.atleast_1d(there.ReferencedFrameNumber).tolist()
            there.ReferencedFrameNumber = [*numbers, each.frame]
    series.ContourImageSequence = list(files.values())
    study = Dataset()
    study.ReferencedSOPClassUID = _STUDY_CLASS
    study.ReferencedSOPInstanceUID = source.header.StudyInstanceUID
    study.RTReferencedSeriesSequence = [series]
    place = Dataset()
    place.FrameOfReferenceUID = frame
    place.RTReferencedStudySequence = [study]
    return place


def _image(source: DicomSource, k: int) -> Dataset:
    """A reference to slice k."""
    image = Dataset()
    image.ReferencedSOPClassUID = source.slices[k].header.SOPClassUID
    image.ReferencedSOPInstanceUID = source.slices[k].header.SOPInstanceUID
    if source.slices[k].frame:
        image.ReferencedFrameNumber = source.slices[k].frame
    return image


def _contours(
    number: int, name: str, mask: np.ndarray, matrices: np.ndarray, source: DicomSource
) -> Dataset:
    """One item of the ROI Contour Sequence (C.8.8.6).

    An empty structure has the item, with its colour, but no Contour Sequence, which is of type 3
    and must not be empty: an ROI that systems find neither here nor there has crashed some.
    """
    colour = STRUCTURES[name].colour if name in STRUCTURES else UNKNOWN_COLOUR
    drawn = Dataset()
    drawn.ROIDisplayColor = [round(255 * channel) for channel in colour]
    drawn.ReferencedROINumber = number
    items = []
    for k, rings in contours_of(mask, matrices).items():
        for points in rings:
            item = Dataset()
            item.ContourImageSequence = [_image(source, k)]
            item.ContourGeometricType = "CLOSED_PLANAR"
            item.NumberOfContourPoints = len(points)
            item.ContourNumber = len(items) + 1
            text = "\\".join(decimals(points.ravel().tolist(), places=6))  # to the nanometre
            # not one by one: pydicom takes seconds to check a million numbers
            item.add(DataElement("ContourData", "DS", text, already_converted=True))
            items.append(item)
    if items:
        drawn.ContourSequence = items
    return drawn


def _observation(number: int, name: str, origin: Origin) -> Dataset:
    """What the structure is: its type for planning and its coded meaning (C.8.8.8)."""
    structure = STRUCTURES.get(name)
    seen = Dataset()
    seen.ObservationNumber = seen.ReferencedROINumber = number
    if structure is not None:
        seen.SegmentedPropertyCategoryCodeSequence = [_coded(structure.category)]
        code = _coded(structure.type)
        if structure.modifier is not None:
            code.SegmentedPropertyTypeModifierCodeSequence = [_coded(structure.modifier)]
        seen.RTROIIdentificationCodeSequence = [code]
    seen.RTROIInterpretedType = _interpreted(name, origin)
    seen.ROIInterpreter = origin.interpreter
    return seen


def _interpreted(name: str, origin: Origin) -> str:
    """RT ROI Interpreted Type: of structures that are not known here, what they came with."""
    structure = STRUCTURES.get(name)
    if structure is not None:
        return "GTV" if structure.is_target else "ORGAN"
    if re.fullmatch("[A-Z0-9_ ]{1,16}", origin.interpreted):  # what a code string can hold
        return origin.interpreted
    plain = name.strip().casefold()
    if plain in _OUTLINES:
        return "EXTERNAL"
    return next((kind for word, kind in _TYPES.items() if plain.startswith(word)), "ORGAN")


def _coded(code: Code) -> Dataset:
    item = Dataset()
    item.CodingSchemeDesignator, item.CodeValue, item.CodeMeaning = code
    return item


def _clipped(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 3].rstrip() + "..."


def _keep_readable(record: Dataset, more: Iterable[str]) -> None:
    """Change the character set where the study's own has no letters for names or descriptions."""
    texts = [record.StructureSetLabel, record.StructureSetDescription, record.SeriesDescription]
    for roi in record.StructureSetROISequence:
        texts += [roi.ROIName, roi.ROIGenerationDescription]
    texts += more
    if not all(text.isascii() for text in texts):
        record.decode()  # texts inside sequences too, before they are written anew
        record.SpecificCharacterSet = _UTF8


def _save(record: Dataset, path: Path) -> None:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = record.SOPClassUID
    meta.MediaStorageSOPInstanceUID = record.SOPInstanceUID
    # explicit VR has no room for contours of more than 64 KiB (C.8.8.6), and all systems take this
    meta.TransferSyntaxUID = ImplicitVRLittleEndian
    record.file_meta = meta
    record.save_as(path, enforce_file_format=True)
