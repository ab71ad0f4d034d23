"""DICOM: geometry right in every orientation, images of a series never mixed, gaps never hidden."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk  # noqa: N813
from pydicom.dataset import Dataset
from pydicom.uid import RLELossless

from dicom_series import (
    AXIAL,
    COLUMNS,
    CORONAL,
    OBLIQUE,
    PIXEL,
    PRONE,
    ROWS,
    SAGITTAL,
    SPACING,
    expected_matrix,
    picture,
    refusal,
    slice_data,
    write,
    write_series,
)
from MRISynthLib.errors import InputError
from MRISynthLib.io import load, load_one
from MRISynthLib.sequences import recognise


@pytest.mark.parametrize("axes", [AXIAL, SAGITTAL, CORONAL, PRONE, OBLIQUE])
def test_any_orientation(tmp_path: Path, axes: np.ndarray) -> None:
    assert np.linalg.det(axes) == pytest.approx(1)
    volume = load_one(write_series(tmp_path, axes=axes))
    np.testing.assert_allclose(volume.index_to_world, expected_matrix(axes), atol=1e-5)
    np.testing.assert_array_equal(volume.voxels, [picture(k) for k in range(8)])
    assert volume.voxels.dtype == np.uint16
    assert volume.warnings == ()
    names = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(tmp_path))
    image = sitk.ReadImage(names)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), volume.voxels)
    far = image.TransformIndexToPhysicalPoint([int(n) - 1 for n in image.GetSize()])
    np.testing.assert_allclose(volume.corners()[-1], far, atol=1e-4)


def test_attributes_are_kept_and_the_patient_is_not(tmp_path: Path) -> None:
    volume = load_one(write_series(tmp_path))
    assert volume.name == "t1_tse_tra"
    assert volume.acquisition["EchoTime"] == 10
    assert volume.acquisition["SeriesInstanceUID"] == "1.2.3.1"
    said = f"{dict(volume.acquisition)} {volume.name} {volume.warnings}"
    assert not any(secret in said for secret in ("Doe", "4711", "19500101"))
    assert recognise(volume).sequence == "T1w"


def test_one_file_is_one_slice(tmp_path: Path) -> None:
    path = write(slice_data(2), tmp_path / "one.dcm")
    volume = load_one(path)
    assert volume.shape == (1, ROWS, COLUMNS)
    assert volume.spacing[2] == pytest.approx(3.0)


def test_a_file_without_preamble_is_read(tmp_path: Path) -> None:
    data = slice_data(0)
    data.save_as(tmp_path / "bare", implicit_vr=True, little_endian=True)
    assert load_one(tmp_path / "bare").shape == (1, ROWS, COLUMNS)


# --- values ---------------------------------------------------------------------------------


def test_rescaling_differs_between_slices(tmp_path: Path) -> None:
    def change(data: Dataset, index: int) -> None:
        data.RescaleSlope, data.RescaleIntercept = str(1 + index), str(-5 * index)

    volume = load_one(write_series(tmp_path, change=change))
    expected = [picture(k) * (1.0 + k) - 5 * k for k in range(8)]
    np.testing.assert_allclose(volume.voxels, expected)


def test_negatives_are_inverted_and_it_is_said(tmp_path: Path) -> None:
    def change(data: Dataset, index: int) -> None:
        data.PhotometricInterpretation = "MONOCHROME1"

    volume = load_one(write_series(tmp_path, change=change))
    upright = np.array([picture(k) for k in range(8)], float)
    np.testing.assert_allclose(volume.voxels, upright.max() + upright.min() - upright)
    assert "MONOCHROME1" in volume.warnings[0]


@pytest.mark.parametrize("compressor", ["rle", "JPEG", "JPEG2000"])
def test_compressed_series(tmp_path: Path, compressor: str) -> None:
    plain = write_series(tmp_path / "plain")
    packed = tmp_path / "packed"
    packed.mkdir()
    for path in plain.iterdir():
        if compressor == "rle":
            data = pydicom.dcmread(path)
            data.compress(RLELossless)
            data.save_as(packed / path.name)
        else:
            # JPEG: GDCM's lossless process; JPEG2000 likewise
            writer = sitk.ImageFileWriter()
            writer.SetFileName(str(packed / f"{path.name}.dcm"))
            writer.KeepOriginalImageUIDOn()
            writer.UseCompressionOn()
            writer.SetCompressor(compressor)
            reader = sitk.ImageFileReader()
            reader.SetFileName(str(path))
            reader.SetImageIO("GDCMImageIO")
            writer.Execute(reader.Execute())
    syntaxes = {pydicom.dcmread(p).file_meta.TransferSyntaxUID for p in packed.iterdir()}
    assert all(syntax.is_compressed for syntax in syntaxes)
    a, b = load_one(plain), load_one(packed)
    np.testing.assert_array_equal(a.voxels, b.voxels)
    assert a.same_geometry(b)


# --- gaps, spacing, tilt --------------------------------------------------------------------


def test_a_missing_slice_is_filled_in_place_and_said(tmp_path: Path) -> None:
    volume = load_one(write_series(tmp_path, [0, 1, 2, 4, 5, 6, 7, 8]))
    np.testing.assert_allclose(volume.index_to_world, expected_matrix(AXIAL), atol=1e-5)
    assert volume.shape[0] == 9
    np.testing.assert_array_equal(volume.voxels[4], picture(4))
    np.testing.assert_array_equal(volume.voxels[3], picture(3))  # the mean of its neighbours
    assert len(volume.warnings) == 1
    assert "slice 4 of 9 (index 3" in volume.warnings[0] and "missing" in volume.warnings[0]


@pytest.mark.parametrize(
    "indices", [[0, 1, 2, 5, 6, 7, 8, 9], [0, 2, 3, 5, 6, 8, 9, 11], [0, 2, 3]]
)
def test_too_many_missing_slices_are_refused(tmp_path: Path, indices: list[int]) -> None:
    text = refusal(write_series(tmp_path, indices))
    assert "lacks" in text or "irregular" in text


def test_irregular_spacing_is_refused(tmp_path: Path) -> None:
    def change(data: Dataset, index: int) -> None:
        x, y, z = data.ImagePositionPatient
        data.ImagePositionPatient = [x, y, z + 0.2 * index**1.5]

    assert "irregular slice spacing" in refusal(write_series(tmp_path, change=change))


def test_rounded_positions_are_no_irregularity(tmp_path: Path) -> None:
    def change(data: Dataset, index: int) -> None:
        z = data.ImagePositionPatient[2] + 0.03 * (-1) ** index
        data.ImagePositionPatient[2] = round(float(z), 2)

    volume = load_one(write_series(tmp_path, change=change))
    assert volume.warnings == () and volume.spacing[2] == pytest.approx(SPACING, abs=0.02)


def test_gantry_tilt_is_resampled_upright_and_said(tmp_path: Path) -> None:
    shift = 2.0

    def change(data: Dataset, index: int) -> None:
        data.ImagePositionPatient[1] = float(data.ImagePositionPatient[1]) + shift * index
        world_y = float(data.ImagePositionPatient[1]) + PIXEL[0] * np.arange(ROWS)
        picture = np.repeat(np.rint(10 * (world_y + 100))[:, None], COLUMNS, axis=1)
        data.PixelData = picture.astype(np.uint16).tobytes()

    volume = load_one(write_series(tmp_path, change=change))
    assert "tilted by 26.6 degrees" in volume.warnings[0]
    directions = volume.direction
    np.testing.assert_allclose(directions.T @ directions, np.eye(3), atol=1e-9)
    # every voxel inside a slice still shows the value of the place where it lies
    for k in range(8):
        rows = np.arange(volume.shape[1])
        world_y = volume.index_to_world[1, 3] + volume.index_to_world[1, 1] * rows
        first = -30 + shift * k
        inside = (world_y > first) & (world_y < first + PIXEL[0] * (ROWS - 1))
        assert inside.sum() >= ROWS - 2
        got = volume.voxels[k, :, COLUMNS // 2][inside]
        np.testing.assert_allclose(got, 10 * (world_y[inside] + 100), atol=1.5)


def test_slices_shifted_at_random_are_refused(tmp_path: Path) -> None:
    def change(data: Dataset, index: int) -> None:
        data.ImagePositionPatient[0] = float(data.ImagePositionPatient[0]) + 3.0 * (index == 4)

    assert "sideways" in refusal(write_series(tmp_path, change=change))


# --- several images -------------------------------------------------------------------------


def test_localizers_are_refused(tmp_path: Path) -> None:
    write_series(tmp_path, range(3), AXIAL, prefix="A")
    write_series(tmp_path, range(3), SAGITTAL, prefix="B")
    assert "localizer" in refusal(tmp_path)


def test_a_localizer_beside_a_series_is_left_out_and_said(tmp_path: Path) -> None:
    write_series(tmp_path / "loc", range(3), AXIAL, prefix="A", series="1.2.3.9")
    write_series(tmp_path / "loc", range(3), SAGITTAL, prefix="B", series="1.2.3.9")
    write_series(tmp_path / "good")
    volume = load_one(tmp_path)
    assert volume.shape[0] == 8
    assert "Left out" in volume.warnings[0] and "localizer" in volume.warnings[0]


def test_several_series_give_one_volume_each(tmp_path: Path) -> None:
    def second(data: Dataset, index: int) -> None:
        data.SeriesDescription, data.SeriesNumber = "t2_tse_tra", 1
        data.EchoTime, data.RepetitionTime = "90", "4000"

    write_series(tmp_path)
    write_series(tmp_path, range(5), change=second, prefix="T2", series="1.2.3.2")
    volumes = load(tmp_path)
    assert [volume.name for volume in volumes] == ["t2_tse_tra", "t1_tse_tra"]
    assert [volume.shape[0] for volume in volumes] == [5, 8]
    assert [recognise(volume).sequence for volume in volumes] == ["T2w", "T1w"]
    with pytest.raises(InputError, match="holds 2 images"):
        load_one(tmp_path)


@pytest.mark.parametrize(
    ("keyword", "values"),
    [
        ("EchoTime", ("10", "90")),
        ("AcquisitionNumber", (1, 2)),
        ("TemporalPositionIdentifier", (1, 2)),
        ("ImageType", (["DERIVED", "PRIMARY", "W"], ["DERIVED", "PRIMARY", "F"])),
        ("InversionTime", ("150", "2500")),
        ("DiffusionBValue", (0.0, 1000.0)),
    ],
)
def test_images_of_one_series_are_told_apart(tmp_path: Path, keyword: str, values: tuple) -> None:
    for number, value in enumerate(values):

        def change(data: Dataset, index: int, number: int = number, value: object = value) -> None:
            setattr(data, keyword, value)
            data.PixelData = (picture(index) + 1000 * number).astype(np.uint16).tobytes()

        write_series(tmp_path, change=change, prefix=f"E{number}")
    volumes = load(tmp_path)
    assert len(volumes) == 2 and len({volume.name for volume in volumes}) == 2
    lows = sorted(int(volume.voxels.min()) for volume in volumes)
    assert lows == [0, 1000]
    for volume in volumes:
        base = int(volume.voxels.min())
        np.testing.assert_array_equal(volume.voxels, [picture(k) + base for k in range(8)])


def test_interleaved_acquisition_numbers_do_not_split_a_volume(tmp_path: Path) -> None:
    def change(data: Dataset, index: int) -> None:
        data.AcquisitionNumber = 1 + index % 2

    assert load_one(write_series(tmp_path, change=change)).shape[0] == 8


def test_two_echoes_never_mix_even_without_duplicates(tmp_path: Path) -> None:
    def change(data: Dataset, index: int) -> None:
        data.EchoTime = "10" if index < 4 else "90"

    volumes = load(write_series(tmp_path, change=change))
    assert [volume.shape[0] for volume in volumes] == [4, 4]
    assert [volume.acquisition["EchoTime"] for volume in volumes] == [10, 90]


def test_copies_that_cannot_be_told_apart_are_refused(tmp_path: Path) -> None:
    write_series(tmp_path, prefix="A")
    write_series(tmp_path, prefix="B")
    assert "tells apart" in refusal(tmp_path)


def test_the_same_files_twice_are_read_once_and_said(tmp_path: Path) -> None:
    write_series(tmp_path / "a")
    (tmp_path / "b").mkdir()
    for path in (tmp_path / "a").iterdir():
        (tmp_path / "b" / path.name).write_bytes(path.read_bytes())
    volume = load_one(tmp_path)
    assert volume.shape[0] == 8 and "twice" in volume.warnings[0]


def test_a_long_time_series_is_refused(tmp_path: Path) -> None:
    for time in range(14):

        def change(data: Dataset, index: int, time: int = time) -> None:
            data.TemporalPositionIdentifier = time

        write_series(tmp_path, range(2), change=change, prefix=f"T{time:02d}_")
    assert "time series" in refusal(tmp_path)


# --- what is no volume ----------------------------------------------------------------------


def test_colour_screenshots_mosaics_and_segmentations_are_refused(tmp_path: Path) -> None:
    def make(name: str, word: str, change: Callable[[Dataset], object]) -> None:
        data = slice_data(0)
        change(data)
        text = refusal(write(data, tmp_path / f"{name}.dcm"))
        assert word in text and f"{name}.dcm" in text

    make("rgb", "RGB", lambda data: setattr(data, "SamplesPerPixel", 3))
    make("shot", "ImagePositionPatient", lambda d: delattr(d, "ImagePositionPatient"))
    make("mosaic", "mosaic", lambda d: setattr(d, "ImageType", ["ORIGINAL", "PRIMARY", "MOSAIC"]))
    make("seg", "segmentation", lambda d: setattr(d, "Modality", "SEG"))
    make("frames", "frames", lambda d: setattr(d, "NumberOfFrames", 2))
    make("tilt", "impossible", lambda d: setattr(d, "ImageOrientationPatient", [1, 0, 0, 1, 0, 0]))

    def no_image(data: Dataset) -> None:
        data.Modality = "RTSTRUCT"
        del data.Rows, data.Columns, data.PixelData

    make("plan", "RTSTRUCT", no_image)


def test_truncated_pixels_are_refused(tmp_path: Path) -> None:
    folder = write_series(tmp_path)
    victim = folder / "IM004"
    victim.write_bytes(victim.read_bytes()[:-50])
    assert "truncated" in refusal(folder)
