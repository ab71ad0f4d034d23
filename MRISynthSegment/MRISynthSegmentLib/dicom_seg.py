"""DICOM Segmentation objects (SEG): structures as masks, for archives and viewers.

Written with highdicom on the slices of the series that the image came from, one frame for each
structure on each slice where it is, so that structures may overlap (DICOM PS3.3, A.51 and C.8.20).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid

from MRISynthLib import __version__
from MRISynthLib.errors import InputError
from MRISynthLib.io.dicom_references import check_referable, refer_to, source_images
from MRISynthLib.io.dicom_source import DicomSource, SourceSlice, now_of, of_study
from MRISynthLib.io.dicom_values import decimal
from MRISynthLib.io.output import staged_file
from MRISynthLib.provenance import SYNTHETIC_MARK
from MRISynthLib.volume import Volume

from .dicom_seg_reading import TISSUE, of_frame, read_dicom_seg
from .io import check_not_empty, note_of
from .origins import (
    MAKER,
    MANUAL,
    NETWORK,
    NOT_RECORDED,
    UNKNOWN_MODEL,
    Origin,
    algorithm_items,
    origins_to_write,
)
from .roi_names import check_dicom_names
from .segmentation import Segmentation
from .source_planes import slice_matrices
from .structures import STRUCTURES, UNKNOWN_COLOUR, Code

__all__ = ["read_dicom_seg", "write_dicom_seg"]

SERIES_NUMBER = 9001
"""Behind those of the scanner in the lists of viewers."""

_RESEARCH_ONLY = "Research only, not for clinical decisions."
"""The disclaimer where 64 characters must do; the descriptions of the segments have it in full."""

_PATIENT_AND_STUDY = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime",
    "StudyID", "AccessionNumber", "ReferringPhysicianName",
)  # fmt: skip


def write_dicom_seg(
    segmentation: Segmentation,
    path: str | Path,
    source: DicomSource,
    algorithm_types: Mapping[str, str] | None = None,
    *,
    series_number: int = SERIES_NUMBER,
) -> Path:
    """Write a segmentation as one binary SEG on the slices of ``source``; all or nothing.

    A structure without voxels ("looked for, not found") has its item in the SegmentSequence, so
    that who reads the file knows of it, but no frame: PS3.3 C.8.20.2 asks for none.

    Parameters
    ----------
    source:
        The series of the segmentation's reference image, see
        :func:`~MRISynthLib.io.dicom_source.find_source`.
    algorithm_types:
        Structure name -> AUTOMATIC, SEMIAUTOMATIC (a model's, corrected by hand) or MANUAL. Of
        the others :func:`~MRISynthSegmentLib.origins.algorithm_types` says it.

    Raises
    ------
    InputError
        If no structure has a voxel, a name cannot be a SegmentLabel, or the source is of another
        image or without a frame of reference.
    OutputError
        If the file cannot be written; its folder must exist.
    """
    import highdicom

    path = Path(path)
    _check_writable(segmentation, source)
    origins = origins_to_write(segmentation, algorithm_types)
    stand_ins = _stand_ins(segmentation.reference, source)
    mark = f"{SYNTHETIC_MARK} input" if _from_synthetic(segmentation) else ""
    disclaimer = "From another file." if segmentation.origins else "Origin not recorded."
    if segmentation.provenance:
        disclaimer = _RESEARCH_ONLY
    made = highdicom.seg.Segmentation(
        source_images=stand_ins,
        pixel_array=np.stack([source.in_series(m) for m in segmentation.masks.values()], axis=-1),
        segmentation_type=highdicom.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[
            _segment(number, name, segmentation, origin)
            for number, (name, origin) in enumerate(origins.items(), start=1)
        ],
        series_instance_uid=generate_uid(),
        series_number=series_number,
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer=MAKER,
        manufacturer_model_name=MAKER,
        software_versions=__version__,
        device_serial_number="0",  # must not be empty, and software has none
        series_description=_cut(": ".join(filter(None, (mark, f"Structures on {source.name}")))),
        content_label="SEGMENTATION",
        content_description=". ".join(filter(None, (mark, disclaimer))),
        # One bit a pixel, not compressed: what every viewer reads. Of compressions highdicom has
        # for bits only JPEG 2000, which few viewers open; empty frames are left out anyway.
        transfer_syntax_uid=ExplicitVRLittleEndian,
        omit_empty_frames=True,
        content_qualification="RESEARCH" if segmentation.provenance else None,
    )
    made.ContentCreatorName = ""
    made.update(of_study(source.header))
    now = now_of(source.header)
    for begin in ("InstanceCreation", "Content"):
        setattr(made, f"{begin}Date", now.strftime("%Y%m%d"))
        setattr(made, f"{begin}Time", now.strftime("%H%M%S"))
    made.ContributingEquipmentSequence[0].ContributionDateTime = now.strftime("%Y%m%d%H%M%S")
    slices = zip((str(each.SOPInstanceUID) for each in stand_ins), source.slices, strict=True)
    _refer_to_source(made, dict(slices))
    texts = [*segmentation.masks, note_of(segmentation), *segmentation.warnings]
    texts += map(repr, origins.values())  # all that they hold
    if not all(text.isascii() for text in texts):  # the series' character set may lack letters
        made.decode()
        made.SpecificCharacterSet = "ISO_IR 192"
    with staged_file(path) as beside:
        made.save_as(beside, enforce_file_format=True)
    return path


def _check_writable(segmentation: Segmentation, source: DicomSource) -> None:
    check_not_empty(segmentation)
    source.frame_of_reference()
    check_referable(source)
    slice_matrices(source, segmentation.reference)
    if not any(mask.any() for mask in segmentation.masks.values()):  # PS3.3, C.7.6.6.1.1
        raise InputError(
            f"No structure was found in {segmentation.reference.name or 'the image'}, and a DICOM "
            "SEG cannot be empty; save .seg.nrrd to keep what was looked for."
        )
    check_dicom_names(segmentation.masks)


def _from_synthetic(segmentation: Segmentation) -> bool:
    inputs = segmentation.provenance.inputs if segmentation.provenance else ()
    return segmentation.reference.is_synthetic or any(item.get("synthetic") for item in inputs)


def _cut(text: str, length: int = 64) -> str:
    """Text as LO (64 characters) or ST (1024) can hold it."""
    return text.replace("\\", "/")[:length]


def _segment(number: int, name: str, segmentation: Segmentation, origin: Origin) -> Dataset:
    """The item of the SegmentSequence for one structure (PS3.3, Table C.8.20-4)."""
    from highdicom import AlgorithmIdentificationSequence
    from highdicom.color import CIELabColor
    from highdicom.seg import SegmentDescription

    structure = STRUCTURES.get(name)
    colour = UNKNOWN_COLOUR if structure is None else structure.colour
    is_manual = origin.kind == MANUAL
    drawn_by = str(origin.algorithm or origin.description or UNKNOWN_MODEL)
    stand_in = AlgorithmIdentificationSequence(_cut(drawn_by), _concept(NETWORK), NOT_RECORDED)
    item = SegmentDescription(
        number,
        name,
        _concept(TISSUE if structure is None else structure.category),
        _concept(TISSUE if structure is None else structure.type),
        origin.kind,
        None if is_manual else stand_in,
        tracking_uid=generate_uid(),
        tracking_id=name,
        display_color=CIELabColor.from_rgb(*(255 * channel for channel in colour)),
    )
    if not is_manual:  # highdicom wants a family, which not every file has
        del item.SegmentationAlgorithmIdentificationSequence
        known = algorithm_items(origin.algorithm)
        if known:
            item.SegmentAlgorithmName = known[0].AlgorithmName
            item.SegmentationAlgorithmIdentificationSequence = known
    if structure is not None and structure.modifier is not None:  # highdicom has no argument
        kind = item.SegmentedPropertyTypeCodeSequence[0]
        kind.SegmentedPropertyTypeModifierCodeSequence = [_concept(structure.modifier)]
    words = [name if structure is None else structure.label]
    if not segmentation.masks[name].any():
        words.append("looked for, not found")
    is_own = origin.algorithm is not None and origin.algorithm.source == MAKER
    note = note_of(segmentation) if is_own else f"Drawn by {drawn_by}."
    notes = ["Drawn by hand."] if is_manual else [note, *segmentation.warnings]
    item.SegmentDescription = _cut(" ".join([f"{', '.join(words)}.", *notes]), 1024)
    return item


def _concept(code: Code) -> Dataset:
    from highdicom.sr import CodedConcept

    scheme, value, meaning = code
    return CodedConcept(value, scheme, meaning)


def _stand_ins(image: Volume, source: DicomSource) -> list[Dataset]:
    """One classic header a slice, with just what highdicom copies from its source images.

    Real headers it refuses where a scanner left out an attribute, wrote a sex or a date as the
    standard does not, or orientations that differ in the last digit; of enhanced files it takes
    one, and all its frames. What patient and study really say is copied by :func:`of_study`.
    """
    first = source.slices[0]
    made = []
    for each in source.slices:
        header = Dataset()
        for keyword in _PATIENT_AND_STUDY:
            setattr(header, keyword, "")
        for keyword in ("PositionReferenceIndicator", "LossyImageCompression",
                        "LossyImageCompressionRatio", "LossyImageCompressionMethod"):  # fmt: skip
            if keyword in source.header:
                header[keyword] = source.header[keyword]
        header.StudyInstanceUID = source.header.StudyInstanceUID
        header.SeriesInstanceUID = source.header.SeriesInstanceUID
        header.FrameOfReferenceUID = source.frame_of_reference()
        header.SOPClassUID, header.SOPInstanceUID = MRImageStorage, generate_uid()
        header.Modality = "MR"
        header.Rows, header.Columns = image.shape[1:]
        header.ImagePositionPatient = of_frame(each.header, each.frame, "ImagePositionPatient")
        for keyword in ("ImageOrientationPatient", "PixelSpacing", "SliceThickness"):
            setattr(header, keyword, of_frame(first.header, first.frame, keyword))
        # From the positions: what headers say of it can be wrong, and without it nobody could
        # put sparse frames together.
        header.SpacingBetweenSlices = decimal(image.spacing[2])
        header.SliceThickness = header.SliceThickness or header.SpacingBetweenSlices
        made.append(header)
    return made


def _refer_to_source(made: Dataset, slices: Mapping[str, SourceSlice]) -> None:
    """Name the source's own instances and frames; ``slices`` goes by the stand-ins' UIDs."""
    for groups in made.PerFrameFunctionalGroupsSequence:
        derivation = groups.DerivationImageSequence[0]
        item = Dataset()
        item.update(derivation.SourceImageSequence[0])
        purpose = item.PurposeOfReferenceCodeSequence[0]
        each = slices[item.ReferencedSOPInstanceUID]
        item.update(source_images([each], purpose)[0])
        derivation.SourceImageSequence = [item]
    made.SourceImageSequence = source_images(list(slices.values()), purpose)
    refer_to(made, (each.header for each in slices.values()))
