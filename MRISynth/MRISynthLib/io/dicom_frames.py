"""DICOM files taken apart into frames: one slice each, with where it lies and how it was made.

Classic files give one frame, enhanced multi-frame files one for each item of their functional
groups (DICOM PS3.3 C.7.6.16).
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from ..errors import InputError
from .dicom_provenance import found_provenance
from .metadata import KEYWORDS

_ENHANCED_NAMES = {
    "EchoTime": ("EffectiveEchoTime",),
    "InversionTime": ("InversionTimes",),
    "ImageType": ("FrameType",),
    "ScanningSequence": ("EchoPulseSequence",),
    "SequenceName": ("PulseSequenceName",),
    "TemporalPosition": ("TemporalPositionIdentifier", "TemporalPositionIndex"),
}
_PULSES = {"SPIN": "SE", "GRADIENT": "GR", "BOTH": "SE\\GR"}
_IMAGE_KIND = re.compile(
    "M|P|R|I|MAGNITUDE|PHASE|REAL|IMAGINARY|W|F|IP|OP|WATER|FAT|IN_PHASE|OUT_PHASE|OPP_PHASE|"
    "ADC|TRACEW|FA|VELOCITY|B0|B1|T1_MAP|T2_MAP|SUBTRACTION"
)
_SPLIT_KEYWORDS = (
    "TemporalPosition",
    "EchoNumbers",
    "InversionTime",
    "FlipAngle",
    "DiffusionGradientOrientation",
    "ContrastBolusAgent",
    "ImageType",
    "AcquisitionNumber",
    "TriggerTime",
)
MUST_NOT_MIX = ("size", "stack", "kind", "EchoTime", "DiffusionBValue")
"""Frames that differ in one of these never go into one volume."""
MAY_DIFFER = _SPLIT_KEYWORDS
"""These tell frames at the same position apart, in this order, but may vary along a volume."""


@dataclass(frozen=True, eq=False)
class Frame:
    """One slice of a DICOM file.

    ``position`` is the LPS position (mm) of the centre of the first pixel, ``axes`` holds the
    unit vectors of rising columns and rising rows, ``pixel_spacing`` the mm along those two.
    ``kept`` is what the file says of a synthetic image, see :func:`found_provenance`.
    """

    path: Path
    number: int
    position: np.ndarray
    axes: np.ndarray
    pixel_spacing: tuple[float, float]
    size: tuple[int, int]
    slope: float
    intercept: float
    inverted: bool
    slice_spacing: float | None
    uid: str
    acquisition: dict[str, Any]
    keys: dict[str, Any] = field(default_factory=dict)
    kept: dict[str, Any] = field(default_factory=dict)

    @property
    def normal(self) -> np.ndarray:
        """Unit vector that makes a right-handed system with the two axes."""
        return np.cross(self.axes[0], self.axes[1])


def frames_of(dataset: Dataset, path: Path) -> list[Frame]:
    """The frames of one file's header (its pixels need not be loaded).

    Raises
    ------
    InputError
        If it is not a grey image or says nothing about where its slices lie.
    """
    if "Rows" not in dataset or "Columns" not in dataset:
        kind = dataset.get("Modality") or "non-image"
        raise InputError(f"{path} is a DICOM {kind} object without an image; give an image series.")
    if dataset.get("Modality") == "SEG":
        raise InputError(f"{path} is a DICOM segmentation, not an image; give the image series.")
    if int(dataset.get("SamplesPerPixel", 1)) != 1:
        raise InputError(f"{path} is a colour (RGB) image; give the original grey series.")
    image_type = {str(part).upper() for part in _many(dataset.get("ImageType"))}
    if "MOSAIC" in image_type:
        raise InputError(
            f"{path} is a Siemens mosaic, many slices in one picture; convert it to NIfTI first."
        )
    shared = _flatten(dataset.get("SharedFunctionalGroupsSequence"))
    per_frame = dataset.get("PerFrameFunctionalGroupsSequence")
    count = int(dataset.get("NumberOfFrames") or 1)
    if not per_frame:
        if count > 1:
            raise InputError(
                f"{path} has {count} frames but does not say where they lie; export the series "
                "again as enhanced or as classic DICOM."
            )
        return [_frame(_Lookup({}, shared, dataset), path, 0)]
    if len(per_frame) != count:
        raise InputError(
            f"{path} has {count} frames but describes {len(per_frame)}; export it again."
        )
    return [
        _frame(_Lookup(_flatten([groups]), shared, dataset), path, number)
        for number, groups in enumerate(per_frame)
    ]


class _Lookup:
    """A frame's attributes: its own groups, then the shared ones, then the file's."""

    def __init__(self, own: dict[str, Any], shared: dict[str, Any], dataset: Dataset) -> None:
        self.own, self.shared, self.dataset = own, shared, dataset

    def get(self, keyword: str) -> Any:
        for source in (self.own, self.shared, self.dataset):
            for name in (*_ENHANCED_NAMES.get(keyword, ()), keyword):
                value = source.get(name)
                if value is not None and value != "" and not isinstance(value, Sequence):
                    return value
        return None

    def number(self, keyword: str) -> float | None:
        values = _many(self.get(keyword))
        try:
            return float(values[0]) if values else None
        except (TypeError, ValueError):
            return None


def _flatten(groups: Iterable[Dataset] | None, depth: int = 3) -> dict[str, Any]:
    """Every plain element below the first item of functional groups, by keyword."""
    flat: dict[str, Any] = {}
    for item in list(groups or ())[:1]:
        for element in item:
            if element.VR == "SQ":
                if depth > 0:
                    for key, value in _flatten(element.value, depth - 1).items():
                        flat.setdefault(key, value)
            elif element.keyword:
                flat[element.keyword] = element.value
    return flat


def _many(value: Any) -> list[Any]:
    if value is None or value == "":
        return []
    return list(value) if isinstance(value, MultiValue | list | tuple | np.ndarray) else [value]


def _vector(lookup: _Lookup, keyword: str, length: int) -> np.ndarray | None:
    try:
        vector = np.array([float(part) for part in _many(lookup.get(keyword))])
    except (TypeError, ValueError):
        return None
    return vector if vector.shape == (length,) and np.isfinite(vector).all() else None


def _frame(lookup: _Lookup, path: Path, number: int) -> Frame:
    position = _vector(lookup, "ImagePositionPatient", 3)
    cosines = _vector(lookup, "ImageOrientationPatient", 6)
    spacing = _vector(lookup, "PixelSpacing", 2)
    missing = [
        keyword
        for keyword, value in (
            ("ImagePositionPatient", position),
            ("ImageOrientationPatient", cosines),
            ("PixelSpacing", spacing),
        )
        if value is None
    ]
    if missing or position is None or cosines is None or spacing is None:
        raise InputError(
            f"{path} does not say where its slice lies ({', '.join(missing)} missing); "
            "export the original series, not a screenshot or a secondary capture."
        )
    axes = cosines.reshape(2, 3)
    lengths = np.linalg.norm(axes, axis=1)
    if (np.abs(lengths - 1) > 0.01).any() or abs(axes[0] @ axes[1]) > 0.01 or (spacing <= 0).any():
        raise InputError(
            f"{path} has an impossible ImageOrientationPatient or PixelSpacing; export it again."
        )
    first = axes[0] / lengths[0]
    second = axes[1] - (axes[1] @ first) * first
    size = (int(lookup.dataset.Rows), int(lookup.dataset.Columns))
    slope, intercept = lookup.number("RescaleSlope"), lookup.number("RescaleIntercept")
    acquisition = _acquisition(lookup)
    return Frame(
        path=path,
        number=number,
        position=position,
        axes=np.stack([first, second / np.linalg.norm(second)]),
        pixel_spacing=(float(spacing[1]), float(spacing[0])),  # DICOM gives the row spacing first
        size=size,
        slope=1.0 if slope is None or slope == 0 else slope,
        intercept=intercept or 0.0,
        inverted=str(lookup.get("PhotometricInterpretation")) == "MONOCHROME1",
        slice_spacing=lookup.number("SpacingBetweenSlices") or lookup.number("SliceThickness"),
        uid=f"{lookup.dataset.get('SOPInstanceUID', path)}#{number}",
        acquisition=acquisition,
        keys=_keys(lookup, acquisition, size, spacing),
        kept=found_provenance(lookup.dataset),
    )


def _keys(
    lookup: _Lookup, acquisition: dict[str, Any], size: tuple[int, int], spacing: np.ndarray
) -> dict[str, Any]:
    """What tells this frame from others of its series, rounded so that noise does not."""
    image_type = tuple(str(part).upper() for part in _many(lookup.get("ImageType")))
    keys: dict[str, Any] = {
        "size": (*size, *np.round(spacing, 3).tolist()),
        "stack": str(lookup.get("StackID") or ""),
        "kind": tuple(sorted(part for part in image_type if _IMAGE_KIND.fullmatch(part))),
        "EchoTime": round(2 * float(acquisition.get("EchoTime") or 0)) / 2,
        "DiffusionBValue": acquisition.get("DiffusionBValue"),
    }
    for keyword in _SPLIT_KEYWORDS:
        value = _many(lookup.get(keyword))
        keys[keyword] = tuple(
            round(float(part), 4) if isinstance(part, float) else str(part) for part in value
        )
    return keys


def _acquisition(lookup: _Lookup) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for keyword in KEYWORDS:
        value = [_plain(part) for part in _many(lookup.get(keyword))]
        if value:
            found[keyword] = value[0] if len(value) == 1 else tuple(value)
    if found.get("ScanningSequence") in _PULSES:
        found["ScanningSequence"] = _PULSES[found["ScanningSequence"]]
    if isinstance(found.get("InversionTime"), tuple):
        found["InversionTime"] = found["InversionTime"][0]
    agents = lookup.dataset.get("ContrastBolusAgentSequence")
    if agents and "ContrastBolusAgent" not in found:
        found["ContrastBolusAgent"] = str(agents[0].get("CodeMeaning", "contrast agent"))
    if "DiffusionBValue" not in found:
        b_value = _private_b_value(lookup.dataset)
        if b_value is not None:
            found["DiffusionBValue"] = b_value
    return found


def _plain(value: Any) -> str | int | float:
    if isinstance(value, pydicom.valuerep.IS):
        return int(value)
    if isinstance(value, pydicom.valuerep.DSfloat | pydicom.valuerep.DSdecimal):
        return float(value)
    return value if isinstance(value, int | float) else str(value)


def _private_b_value(dataset: Dataset) -> float | None:
    """b-value (s/mm²) where vendors put it before the standard had a place for it."""
    for group, element, creator in (
        (0x0019, 0x0C, "SIEMENS MR HEADER"),
        (0x2001, 0x03, "Philips Imaging DD 001"),
        (0x0043, 0x39, "GEMS_PARM_01"),
    ):
        try:
            value = _many(dataset.private_block(group, creator)[element].value)
            return float(value[0]) % 1e6  # GE adds 1e9
        except (KeyError, ValueError, TypeError, IndexError):
            continue
    return None


def read_pixels(path: Path) -> np.ndarray:
    """Stored values of one file, (frames, rows, columns), before any rescaling.

    Compressed files that pydicom cannot decode here are decoded by GDCM, which SimpleITK has.

    Raises
    ------
    InputError
        If the pixels are truncated or in a form that neither library decodes.
    """
    try:
        dataset = pydicom.dcmread(path, force=True)
        if "TransferSyntaxUID" not in dataset.file_meta:  # a file without preamble
            implicit = dataset.original_encoding[0]
            dataset.file_meta.TransferSyntaxUID = (
                ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
            )
        try:
            pixels = dataset.pixel_array
        except RuntimeError:  # also what pydicom does not implement
            if not dataset.file_meta.TransferSyntaxUID.is_compressed:
                raise
            pixels = _decode_with_gdcm(dataset)
    except (
        OSError,
        EOFError,
        ValueError,
        AttributeError,
        KeyError,
        TypeError,
        RuntimeError,
    ) as error:
        raise InputError(
            f"{path} has pixels that are truncated or cannot be decoded; export or copy it again."
        ) from error
    return pixels[None] if pixels.ndim == 2 else pixels


def _decode_with_gdcm(dataset: FileDataset) -> np.ndarray:
    import SimpleITK as sitk  # noqa: N813 (its usual name)

    # A bare copy, so that GDCM neither rescales nor inverts.
    bare = Dataset()
    for keyword in (
        "Rows",
        "Columns",
        "SamplesPerPixel",
        "BitsAllocated",
        "BitsStored",
        "HighBit",
        "PixelRepresentation",
        "NumberOfFrames",
        "PixelData",
    ):
        if keyword in dataset:
            bare[keyword] = dataset[keyword]
    bare.PhotometricInterpretation = "MONOCHROME2"
    bare.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7.3"  # multi-frame grayscale word secondary capture
    bare.SOPInstanceUID = pydicom.uid.generate_uid()
    bare.file_meta = FileMetaDataset()
    bare.file_meta.TransferSyntaxUID = dataset.file_meta.TransferSyntaxUID
    bare.file_meta.MediaStorageSOPClassUID = bare.SOPClassUID
    bare.file_meta.MediaStorageSOPInstanceUID = bare.SOPInstanceUID
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "frames.dcm"
        bare.save_as(path, enforce_file_format=True)
        return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
