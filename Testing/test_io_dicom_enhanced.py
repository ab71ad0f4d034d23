"""Enhanced multi-frame DICOM and real series: the same volumes as from classic files."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk  # noqa: N813
from pydicom.dataset import Dataset

from dicom_series import (
    AXIAL,
    OBLIQUE,
    SAGITTAL,
    enhanced,
    expected_matrix,
    picture,
    refusal,
    slice_data,
    write,
)
from MRISynthLib.io import load, load_one
from MRISynthLib.sequences import recognise
from MRISynthLib.volume import Volume


@pytest.mark.parametrize("axes", [AXIAL, SAGITTAL, OBLIQUE])
def test_enhanced_and_classic_are_the_same_volume(tmp_path: Path, axes: np.ndarray) -> None:
    frames = []
    for index in (3, 0, 7, 1, 2, 6, 4, 5):
        frames.append(slice_data(index, axes))
        frames[-1].RescaleSlope, frames[-1].RescaleIntercept = str(1 + 0.5 * index), "-3"
    one = load_one(enhanced(tmp_path / "enhanced.dcm", frames))
    for number, frame in enumerate(frames):
        write(frame, tmp_path / "classic" / f"{number}.dcm")
    classic = load_one(tmp_path / "classic")
    assert one.same_geometry(classic)
    np.testing.assert_array_equal(one.voxels, classic.voxels)
    assert one.acquisition["EchoTime"] == 10 and one.acquisition["FlipAngle"] == 90


def test_enhanced_echoes_time_points_and_stacks_are_told_apart(tmp_path: Path) -> None:
    def made(index: int, keyword: str, value: object, add: int) -> Dataset:
        data = slice_data(index)
        setattr(data, keyword, value)
        data.PixelData = (picture(index) + add).astype(np.uint16).tobytes()
        return data

    for keyword, values in (("EchoTime", ("10", "90")), ("TemporalPositionIdentifier", (1, 2))):
        frames = [
            made(index, keyword, value, 1000 * number)
            for index in range(6)
            for number, value in enumerate(values)
        ]
        volumes = load(enhanced(tmp_path / f"{keyword}.dcm", frames))
        assert [int(volume.voxels.min()) for volume in volumes] == [0, 1000]
        assert all(volume.shape[0] == 6 for volume in volumes)
    both = [slice_data(k) for k in range(4)] + [slice_data(k, SAGITTAL) for k in range(4)]
    stacks = load(enhanced(tmp_path / "stacks.dcm", both, ["1"] * 4 + ["2"] * 4))
    assert len(stacks) == 2
    np.testing.assert_allclose(stacks[1].index_to_world, expected_matrix(SAGITTAL), atol=1e-5)
    assert "localizer" in refusal(enhanced(tmp_path / "loc.dcm", both))


def test_enhanced_with_a_missing_slice(tmp_path: Path) -> None:
    frames = [slice_data(index) for index in (0, 1, 2, 3, 5, 6, 7)]
    volume = load_one(enhanced(tmp_path / "gap.dcm", frames))
    assert volume.shape[0] == 8 and "index 4" in volume.warnings[0]


# --- real series ----------------------------------------------------------------------------


def _unzipped(archive: Path, folder: Path) -> Path:
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(folder)
    return folder


def _same_as_itk(volume: Volume, image: sitk.Image) -> None:
    far = image.TransformIndexToPhysicalPoint([int(n) - 1 for n in image.GetSize()])
    np.testing.assert_allclose(volume.corners()[0], image.GetOrigin(), atol=1e-3)
    np.testing.assert_allclose(volume.corners()[-1], far, atol=1e-3)


def test_real_prone_sagittal_series(shared_data: Path, tmp_path: Path) -> None:
    folder = _unzipped(shared_data / "dicom_prone_t1" / "hfp_t1.zip", tmp_path)
    volume = load_one(folder)
    assert volume.shape == (35, 256, 256) and volume.warnings == ()
    # rows run to posterior, columns to inferior, slices to the patient's right
    np.testing.assert_allclose(volume.direction, [[0, 0, -1], [1, 0, 0], [0, -1, 0]], atol=1e-6)
    np.testing.assert_allclose(volume.spacing, (1.015625, 1.015625, 4.8), atol=1e-5)
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    image = reader.Execute()
    _same_as_itk(volume, image)
    np.testing.assert_array_equal(volume.voxels, sitk.GetArrayViewFromImage(image))
    found = recognise(volume)
    assert (found.sequence, found.confident) == ("T1w", True)


def test_real_enhanced_phantom(shared_data: Path, tmp_path: Path) -> None:
    archive = shared_data / "dicom_enhanced_phantom" / "philips_enh_phantom.zip"
    folder = _unzipped(archive, tmp_path / "enhanced")
    volume = load_one(folder)
    assert volume.shape == (24, 256, 256)
    np.testing.assert_allclose(volume.spacing, (1, 1, 5.5), atol=1e-5)
    source = pydicom.dcmread(next(folder.rglob("*.dcm")))
    groups = source.PerFrameFunctionalGroupsSequence
    for number in range(24):  # the same scan as classic files
        frame = slice_data(0)
        group = groups[number]
        frame.ImagePositionPatient = group.PlanePositionSequence[0].ImagePositionPatient
        frame.ImageOrientationPatient = group.PlaneOrientationSequence[0].ImageOrientationPatient
        frame.PixelSpacing = group.PixelMeasuresSequence[0].PixelSpacing
        frame.RescaleSlope = group.PixelValueTransformationSequence[0].RescaleSlope
        frame.Rows, frame.Columns = source.Rows, source.Columns
        frame.BitsStored, frame.HighBit = source.BitsStored, source.HighBit
        frame.PixelData = source.pixel_array[number].tobytes()
        write(frame, tmp_path / "classic" / f"{24 - number}.dcm")
    classic = load_one(tmp_path / "classic")
    assert volume.same_geometry(classic)
    np.testing.assert_array_equal(volume.voxels, classic.voxels)
    assert recognise(volume).sequence == "T1w"
