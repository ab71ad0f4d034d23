"""Small DICOM series, right in every attribute, for tests to break."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, generate_uid
from scipy.spatial.transform import Rotation

from MRISynthLib.errors import InputError
from MRISynthLib.io import load

ROWS, COLUMNS, SPACING = 12, 10, 4.0
PIXEL = (0.8, 0.9)  # mm between rows, mm between columns, as in DICOM
AXIAL = np.eye(3)
Change = Callable[[Dataset, int], None]


def picture(index: int) -> np.ndarray:
    """A slice whose values say which one it is."""
    rows, columns = np.mgrid[:ROWS, :COLUMNS]
    return (100 * index + 2 * rows + columns).astype(np.uint16)


def slice_data(index: int, axes: np.ndarray = AXIAL, series: str = "1.2.3.1") -> Dataset:
    data = Dataset()
    data.SOPClassUID = MRImageStorage
    data.SOPInstanceUID = generate_uid()
    data.StudyInstanceUID, data.SeriesInstanceUID = "1.2.3", series
    data.FrameOfReferenceUID = "1.2.4"
    data.Modality, data.SeriesDescription, data.SeriesNumber = "MR", "t1_tse_tra", 3
    data.PatientName, data.PatientID, data.PatientBirthDate = "Doe^John", "4711", "19500101"
    data.ImageType = ["ORIGINAL", "PRIMARY", "M", "ND"]
    data.ScanningSequence, data.RepetitionTime, data.EchoTime = "SE", "620", "10"
    data.InstanceNumber, data.AcquisitionNumber = index + 1, 1
    data.ImageOrientationPatient = [*axes[:, 0], *axes[:, 1]]
    data.ImagePositionPatient = list(
        np.round([-40.0, -30.0, 5.0] + index * SPACING * axes[:, 2], 6)
    )
    data.PixelSpacing, data.SliceThickness = list(PIXEL), 3.0
    data.Rows, data.Columns = ROWS, COLUMNS
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 12, 11, 0
    data.PixelData = picture(index).tobytes()
    return data


def write(data: Dataset, path: Path) -> Path:
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
    path.parent.mkdir(parents=True, exist_ok=True)
    data.save_as(path, enforce_file_format=True)
    return path


def write_series(
    folder: Path,
    indices: object = range(8),
    axes: np.ndarray = AXIAL,
    change: Change | None = None,
    prefix: str = "IM",
    series: str = "1.2.3.1",
) -> Path:
    """A classic series; file names run against the slice order on purpose."""
    indices = list(indices)
    for number, index in enumerate(indices):
        data = slice_data(index, axes, series)
        if change is not None:
            change(data, index)
        write(data, folder / f"{prefix}{len(indices) - number:03d}")
    return folder


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        load(path)
    text = str(caught.value)
    assert "\n" not in text and text.endswith(".")
    return text


def expected_matrix(axes: np.ndarray) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = axes * (PIXEL[1], PIXEL[0], SPACING)
    matrix[:3, 3] = (-40, -30, 5)
    return matrix


SAGITTAL = np.array([[0, 0, 1], [1, 0, 0], [0, -1, 0]], float) * (1, 1, -1)
CORONAL = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]], float)
PRONE = np.diag([-1.0, -1.0, 1.0])
OBLIQUE = Rotation.from_euler("xyz", (12, -7, 31), degrees=True).as_matrix()


def enhanced(path: Path, frames: list[Dataset], stacks: list[str] | None = None) -> Path:
    """The classic frames as one enhanced multi-frame file."""
    first = frames[0]
    data = Dataset()
    kept = set(first.dir()) - {"PixelData", "EchoTime", "RepetitionTime", "PixelSpacing"}
    for keyword in kept:
        if not keyword.startswith(("Image", "Slice", "Patient", "Instance", "Acquisition")):
            data[keyword] = first[keyword]
    data.ImageType = first.ImageType
    data.SOPClassUID, data.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.4.1", generate_uid()
    data.NumberOfFrames = len(frames)
    timing = Dataset()
    timing.RepetitionTime, timing.FlipAngle = 620.0, 90.0
    shared, measures = Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = first.PixelSpacing, "3"
    shared.MRTimingAndRelatedParametersSequence = [timing]
    shared.PixelMeasuresSequence = [measures]
    data.SharedFunctionalGroupsSequence = [shared]
    groups = []
    for number, frame in enumerate(frames):
        group, place, plane, content, echo, values = (Dataset() for _ in range(6))
        place.ImagePositionPatient = frame.ImagePositionPatient
        plane.ImageOrientationPatient = frame.ImageOrientationPatient
        content.StackID = stacks[number] if stacks else "1"
        content.TemporalPositionIndex = int(frame.get("TemporalPositionIdentifier", 1))
        echo.EffectiveEchoTime = float(frame.EchoTime)
        values.RescaleSlope = str(frame.get("RescaleSlope", 1))
        values.RescaleIntercept, values.RescaleType = str(frame.get("RescaleIntercept", 0)), "US"
        group.PlanePositionSequence, group.PlaneOrientationSequence = [place], [plane]
        group.FrameContentSequence, group.MREchoSequence = [content], [echo]
        group.PixelValueTransformationSequence = [values]
        groups.append(group)
    data.PerFrameFunctionalGroupsSequence = groups
    data.PixelData = b"".join(frame.PixelData for frame in frames)
    return write(data, path)
