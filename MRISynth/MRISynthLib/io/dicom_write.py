"""A volume as a classic DICOM series: MR Image Storage, or CT Image Storage for CT.

For images that are made here from nothing, such as simulated patients: every UID comes from what
is written, so that the same images give the same files, and others never the same UIDs. DICOM
PS3.3, A.3 (CT) and A.4 (MR).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import DataElement, uid
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataset import Dataset, FileMetaDataset

from ..volume import Volume
from .dicom_values import decimal, decimals

_PLAIN = ("SeriesDescription", "MagneticFieldStrength", "RepetitionTime", "EchoTime",
          "InversionTime", "FlipAngle", "ContrastBolusAgent", "Manufacturer",
          "DiffusionBValue", "ScanningSequence", "SequenceVariant", "ScanOptions",
          "MRAcquisitionType", "EchoTrainLength", "SliceThickness", "PixelBandwidth")  # fmt: skip
"""Keywords of :attr:`Volume.acquisition` that are written as they are."""

_DATE, _TIME = "20000101", "120000"
"""Of every simulated study: a date that nobody takes for an examination's."""

_LARGEST = 65535
"""Of unsigned numbers of 16 bits."""


def new_uid(*texts: str) -> str:
    """A UID that the texts alone decide (PS3.5, B.2, under pydicom's root)."""
    return str(uid.generate_uid(entropy_srcs=list(texts)))


def write_series(
    volume: Volume, folder: Path, patient: str, series_number: int, study: Mapping[str, Any]
) -> list[Path]:
    """Write ``volume`` as ``folder/IM-0001.dcm`` and so on, first slice first.

    Parameters
    ----------
    volume:
        Axes at right angles; its ``acquisition`` gives the attributes. CT voxels are HU; others
        are stored as 16-bit numbers: whole ones up to 65535 as they are, others with the slope
        that keeps the most of them; negative ones become 0.
    folder:
        Exists and is private to the caller (see :func:`output.staged_folder`).
    patient:
        PatientID.
    study:
        Further attributes of patient and study by keyword, such as ``PatientName``. They and the
        patient decide the UIDs of study and frame of reference: give all images of one
        examination the same, and another examination of the same patient others.
    """
    is_ct = volume.acquisition.get("Modality") == "CT" or volume.sequence == "CT"
    stored, slope, intercept = _stored(np.asarray(volume.voxels, np.float64), is_ct)
    examination = _plain(study)
    series = new_uid(
        patient, examination, "series", str(series_number), _digest(volume, stored, slope)
    )
    axes, origin = volume.index_to_world[:3, :3], volume.index_to_world[:3, 3]
    spacing = np.linalg.norm(axes, axis=0)
    directions = axes / spacing
    paths = []
    for number, plane in enumerate(stored):
        record = Dataset()
        record.SOPClassUID = uid.CTImageStorage if is_ct else uid.MRImageStorage
        record.SOPInstanceUID = new_uid(patient, series, str(number))
        record.Modality = "CT" if is_ct else "MR"
        record.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL" if is_ct else "OTHER"]
        record.PatientID = record.PatientName = patient
        record.PatientBirthDate = record.PatientSex = ""
        record.StudyInstanceUID = new_uid(patient, examination, "study")
        record.SeriesInstanceUID = series
        record.FrameOfReferenceUID = new_uid(patient, examination, "frame of reference")
        record.StudyDate = record.ContentDate = _DATE
        record.StudyTime = record.ContentTime = _TIME
        record.StudyID = record.AccessionNumber = record.ReferringPhysicianName = ""
        record.PositionReferenceIndicator = ""
        record.SeriesNumber, record.InstanceNumber = series_number, number + 1
        record.PatientPosition = "HFS"
        for keyword in _PLAIN:
            if keyword in volume.acquisition:
                _set(record, keyword, volume.acquisition[keyword])
        for keyword, value in study.items():
            _set(record, keyword, value)
        record.ImagePositionPatient = decimals(origin + number * axes[:, 2])
        record.ImageOrientationPatient = decimals([*directions[:, 0], *directions[:, 1]])
        record.PixelSpacing = decimals([spacing[1], spacing[0]])
        record.SpacingBetweenSlices = decimal(spacing[2])
        if "SliceThickness" not in record:
            record.SliceThickness = record.SpacingBetweenSlices
        record.Rows, record.Columns = plane.shape
        record.SamplesPerPixel, record.PhotometricInterpretation = 1, "MONOCHROME2"
        record.BitsAllocated, record.BitsStored, record.HighBit = 16, 16, 15
        record.PixelRepresentation = int(is_ct)
        record.RescaleSlope, record.RescaleIntercept = decimals([slope, intercept])
        if is_ct:
            record.RescaleType = "HU"
        record.PixelData = plane.tobytes()
        paths.append(_write(record, folder / f"IM-{number + 1:04d}.dcm"))
    return paths


def _stored(voxels: np.ndarray, is_ct: bool) -> tuple[np.ndarray, float, float]:
    """(16-bit voxels, slope, intercept)."""
    if is_ct:
        return np.rint(voxels.clip(-32768, 32767)).astype("<i2"), 1.0, 0.0
    top = float(voxels.max(initial=0.0))
    whole = top <= _LARGEST and np.array_equal(voxels, np.rint(voxels))
    slope = 1.0 if whole else top / _LARGEST or 1.0
    return np.rint(voxels.clip(0, None) / slope).astype("<u2"), slope, 0.0


def _digest(volume: Volume, stored: np.ndarray, slope: float) -> str:
    """What tells one image from another: voxels, geometry and acquisition."""
    digest = hashlib.sha256(f"{stored.shape} {slope!r} {_plain(volume.acquisition)}".encode())
    digest.update(np.asarray(volume.index_to_world, "<f8").tobytes())
    digest.update(stored.tobytes())
    return digest.hexdigest()


def _plain(attributes: Mapping[str, Any]) -> str:
    return json.dumps(dict(attributes), sort_keys=True, default=str)


def _set(record: Dataset, keyword: str, value: Any) -> None:
    if isinstance(value, tuple):
        value = list(value)
    vr = dictionary_VR(keyword)
    if vr == "DS":
        value = decimal(value)
    record.add(DataElement(tag_for_keyword(keyword), vr, value))


def _write(record: Dataset, path: Path) -> Path:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = record.SOPClassUID
    meta.MediaStorageSOPInstanceUID = record.SOPInstanceUID
    meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    record.file_meta = meta
    record.save_as(path, enforce_file_format=True)
    return path
