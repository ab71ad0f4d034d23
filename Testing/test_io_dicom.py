"""DICOM: geometry right in every orientation, images of a series never mixed, gaps never hidden."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk  # noqa: N813
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage, RLELossless, generate_uid
from scipy.spatial.transform import Rotation

from MRISynthLib.errors import InputError
from MRISynthLib.io import load, load_one
from MRISynthLib.sequences import recognise
from MRISynthLib.volume import Volume

ROWS, COLUMNS, SPACING = 12, 10, 4.0
PIXEL = (0.8, 0.9)  # mm between rows, mm between columns, as in DICOM
AXIAL = np.eye(3)
Change = Callable[[Dataset, int], None]


def _picture(index: int) -> np.ndarray:
    """A slice whose values say which one it is."""
    rows, columns = np.mgrid[:ROWS, :COLUMNS]
    return (100 * index + 2 * rows + columns).astype(np.uint16)


def _slice(index: int, axes: np.ndarray = AXIAL, series: str = "1.2.3.1") -> Dataset:
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
    data.PixelData = _picture(index).tobytes()
    return data


def _write(data: Dataset, path: Path) -> Path:
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
    path.parent.mkdir(parents=True, exist_ok=True)
    data.save_as(path, enforce_file_format=True)
    return path


def _series(
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
        data = _slice(index, axes, series)
        if change is not None:
            change(data, index)
        _write(data, folder / f"{prefix}{len(indices) - number:03d}")
    return folder


def _refusal(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        load(path)
    text = str(caught.value)
    assert "\n" not in text and text.endswith(".")
    return text


def _expected_matrix(axes: np.ndarray) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = axes * (PIXEL[1], PIXEL[0], SPACING)
    matrix[:3, 3] = (-40, -30, 5)
    return matrix


SAGITTAL = np.array([[0, 0, 1], [1, 0, 0], [0, -1, 0]], float) * (1, 1, -1)
CORONAL = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]], float)
PRONE = np.diag([-1.0, -1.0, 1.0])
OBLIQUE = Rotation.from_euler("xyz", (12, -7, 31), degrees=True).as_matrix()


@pytest.mark.parametrize("axes", [AXIAL, SAGITTAL, CORONAL, PRONE, OBLIQUE])
def test_any_orientation(tmp_path: Path, axes: np.ndarray) -> None:
    assert np.linalg.det(axes) == pytest.approx(1)
    volume = load_one(_series(tmp_path, axes=axes))
    np.testing.assert_allclose(volume.index_to_world, _expected_matrix(axes), atol=1e-5)
    np.testing.assert_array_equal(volume.voxels, [_picture(k) for k in range(8)])
    assert volume.voxels.dtype == np.uint16
    assert volume.warnings == ()
    names = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(tmp_path))
    image = sitk.ReadImage(names)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), volume.voxels)
    far = image.TransformIndexToPhysicalPoint([int(n) - 1 for n in image.GetSize()])
    np.testing.assert_allclose(volume.corners()[-1], far, atol=1e-4)


def test_attributes_are_kept_and_the_patient_is_not(tmp_path: Path) -> None:
    volume = load_one(_series(tmp_path))
    assert volume.name == "t1_tse_tra"
    assert volume.acquisition["EchoTime"] == 10
    assert volume.acquisition["SeriesInstanceUID"] == "1.2.3.1"
    said = f"{dict(volume.acquisition)} {volume.name} {volume.warnings}"
    assert not any(secret in said for secret in ("Doe", "4711", "19500101"))
    assert recognise(volume).sequence == "T1w"


def test_one_file_is_one_slice(tmp_path: Path) -> None:
    path = _write(_slice(2), tmp_path / "one.dcm")
    volume = load_one(path)
    assert volume.shape == (1, ROWS, COLUMNS)
    assert volume.spacing[2] == pytest.approx(3.0)


def test_a_file_without_preamble_is_read(tmp_path: Path) -> None:
    data = _slice(0)
    data.save_as(tmp_path / "bare", implicit_vr=True, little_endian=True)
    assert load_one(tmp_path / "bare").shape == (1, ROWS, COLUMNS)


# --- values ---------------------------------------------------------------------------------


def test_rescaling_differs_between_slices(tmp_path: Path) -> None:
    def change(data: Dataset, index: int) -> None:
        data.RescaleSlope, data.RescaleIntercept = str(1 + index), str(-5 * index)

    volume = load_one(_series(tmp_path, change=change))
    expected = [_picture(k) * (1.0 + k) - 5 * k for k in range(8)]
    np.testing.assert_allclose(volume.voxels, expected)


def test_negatives_are_inverted_and_it_is_said(tmp_path: Path) -> None:
    def change(data: Dataset, index: int) -> None:
        data.PhotometricInterpretation = "MONOCHROME1"

    volume = load_one(_series(tmp_path, change=change))
    upright = np.array([_picture(k) for k in range(8)], float)
    np.testing.assert_allclose(volume.voxels, upright.max() + upright.min() - upright)
    assert "MONOCHROME1" in volume.warnings[0]


@pytest.mark.parametrize("compressor", ["rle", "JPEG", "JPEG2000"])
def test_compressed_series(tmp_path: Path, compressor: str) -> None:
    plain = _series(tmp_path / "plain")
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
    volume = load_one(_series(tmp_path, [0, 1, 2, 4, 5, 6, 7, 8]))
    np.testing.assert_allclose(volume.index_to_world, _expected_matrix(AXIAL), atol=1e-5)
    assert volume.shape[0] == 9
    np.testing.assert_array_equal(volume.voxels[4], _picture(4))
    np.testing.assert_array_equal(volume.voxels[3], _picture(3))  # the mean of its neighbours
    assert len(volume.warnings) == 1
    assert "slice 4 of 9 (index 3" in volume.warnings[0] and "missing" in volume.warnings[0]


@pytest.mark.parametrize(
    "indices", [[0, 1, 2, 5, 6, 7, 8, 9], [0, 2, 3, 5, 6, 8, 9, 11], [0, 2, 3]]
)
def test_too_many_missing_slices_are_refused(tmp_path: Path, indices: list[int]) -> None:
    text = _refusal(_series(tmp_path, indices))
    assert "lacks" in text or "irregular" in text


def test_irregular_spacing_is_refused(tmp_path: Path) -> None:
    def change(data: Dataset, index: int) -> None:
        x, y, z = data.ImagePositionPatient
        data.ImagePositionPatient = [x, y, z + 0.2 * index**1.5]

    assert "irregular slice spacing" in _refusal(_series(tmp_path, change=change))


def test_rounded_positions_are_no_irregularity(tmp_path: Path) -> None:
    def change(data: Dataset, index: int) -> None:
        z = data.ImagePositionPatient[2] + 0.03 * (-1) ** index
        data.ImagePositionPatient[2] = round(float(z), 2)

    volume = load_one(_series(tmp_path, change=change))
    assert volume.warnings == () and volume.spacing[2] == pytest.approx(SPACING, abs=0.02)


def test_gantry_tilt_is_resampled_upright_and_said(tmp_path: Path) -> None:
    shift = 2.0

    def change(data: Dataset, index: int) -> None:
        data.ImagePositionPatient[1] = float(data.ImagePositionPatient[1]) + shift * index
        world_y = float(data.ImagePositionPatient[1]) + PIXEL[0] * np.arange(ROWS)
        picture = np.repeat(np.rint(10 * (world_y + 100))[:, None], COLUMNS, axis=1)
        data.PixelData = picture.astype(np.uint16).tobytes()

    volume = load_one(_series(tmp_path, change=change))
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

    assert "sideways" in _refusal(_series(tmp_path, change=change))


# --- several images -------------------------------------------------------------------------


def test_localizers_are_refused(tmp_path: Path) -> None:
    _series(tmp_path, range(3), AXIAL, prefix="A")
    _series(tmp_path, range(3), SAGITTAL, prefix="B")
    assert "localizer" in _refusal(tmp_path)


def test_a_localizer_beside_a_series_is_left_out_and_said(tmp_path: Path) -> None:
    _series(tmp_path / "loc", range(3), AXIAL, prefix="A", series="1.2.3.9")
    _series(tmp_path / "loc", range(3), SAGITTAL, prefix="B", series="1.2.3.9")
    _series(tmp_path / "good")
    volume = load_one(tmp_path)
    assert volume.shape[0] == 8
    assert "Left out" in volume.warnings[0] and "localizer" in volume.warnings[0]


def test_several_series_give_one_volume_each(tmp_path: Path) -> None:
    def second(data: Dataset, index: int) -> None:
        data.SeriesDescription, data.SeriesNumber = "t2_tse_tra", 1
        data.EchoTime, data.RepetitionTime = "90", "4000"

    _series(tmp_path)
    _series(tmp_path, range(5), change=second, prefix="T2", series="1.2.3.2")
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
            data.PixelData = (_picture(index) + 1000 * number).astype(np.uint16).tobytes()

        _series(tmp_path, change=change, prefix=f"E{number}")
    volumes = load(tmp_path)
    assert len(volumes) == 2 and len({volume.name for volume in volumes}) == 2
    lows = sorted(int(volume.voxels.min()) for volume in volumes)
    assert lows == [0, 1000]
    for volume in volumes:
        base = int(volume.voxels.min())
        np.testing.assert_array_equal(volume.voxels, [_picture(k) + base for k in range(8)])


def test_interleaved_acquisition_numbers_do_not_split_a_volume(tmp_path: Path) -> None:
    def change(data: Dataset, index: int) -> None:
        data.AcquisitionNumber = 1 + index % 2

    assert load_one(_series(tmp_path, change=change)).shape[0] == 8


def test_two_echoes_never_mix_even_without_duplicates(tmp_path: Path) -> None:
    def change(data: Dataset, index: int) -> None:
        data.EchoTime = "10" if index < 4 else "90"

    volumes = load(_series(tmp_path, change=change))
    assert [volume.shape[0] for volume in volumes] == [4, 4]
    assert [volume.acquisition["EchoTime"] for volume in volumes] == [10, 90]


def test_copies_that_cannot_be_told_apart_are_refused(tmp_path: Path) -> None:
    _series(tmp_path, prefix="A")
    _series(tmp_path, prefix="B")
    assert "tells apart" in _refusal(tmp_path)


def test_the_same_files_twice_are_read_once_and_said(tmp_path: Path) -> None:
    _series(tmp_path / "a")
    (tmp_path / "b").mkdir()
    for path in (tmp_path / "a").iterdir():
        (tmp_path / "b" / path.name).write_bytes(path.read_bytes())
    volume = load_one(tmp_path)
    assert volume.shape[0] == 8 and "twice" in volume.warnings[0]


def test_a_long_time_series_is_refused(tmp_path: Path) -> None:
    for time in range(14):

        def change(data: Dataset, index: int, time: int = time) -> None:
            data.TemporalPositionIdentifier = time

        _series(tmp_path, range(2), change=change, prefix=f"T{time:02d}_")
    assert "time series" in _refusal(tmp_path)


# --- what is no volume ----------------------------------------------------------------------


def test_colour_screenshots_mosaics_and_segmentations_are_refused(tmp_path: Path) -> None:
    def make(name: str, word: str, change: Callable[[Dataset], object]) -> None:
        data = _slice(0)
        change(data)
        text = _refusal(_write(data, tmp_path / f"{name}.dcm"))
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
    folder = _series(tmp_path)
    victim = folder / "IM004"
    victim.write_bytes(victim.read_bytes()[:-50])
    assert "truncated" in _refusal(folder)


# --- enhanced multi-frame -------------------------------------------------------------------


def _enhanced(path: Path, frames: list[Dataset], stacks: list[str] | None = None) -> Path:
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
    return _write(data, path)


@pytest.mark.parametrize("axes", [AXIAL, SAGITTAL, OBLIQUE])
def test_enhanced_and_classic_are_the_same_volume(tmp_path: Path, axes: np.ndarray) -> None:
    frames = []
    for index in (3, 0, 7, 1, 2, 6, 4, 5):
        frames.append(_slice(index, axes))
        frames[-1].RescaleSlope, frames[-1].RescaleIntercept = str(1 + 0.5 * index), "-3"
    enhanced = load_one(_enhanced(tmp_path / "enhanced.dcm", frames))
    for number, frame in enumerate(frames):
        _write(frame, tmp_path / "classic" / f"{number}.dcm")
    classic = load_one(tmp_path / "classic")
    assert enhanced.same_geometry(classic)
    np.testing.assert_array_equal(enhanced.voxels, classic.voxels)
    assert enhanced.acquisition["EchoTime"] == 10 and enhanced.acquisition["FlipAngle"] == 90


def test_enhanced_echoes_time_points_and_stacks_are_told_apart(tmp_path: Path) -> None:
    def made(index: int, keyword: str, value: object, add: int) -> Dataset:
        data = _slice(index)
        setattr(data, keyword, value)
        data.PixelData = (_picture(index) + add).astype(np.uint16).tobytes()
        return data

    for keyword, values in (("EchoTime", ("10", "90")), ("TemporalPositionIdentifier", (1, 2))):
        frames = [
            made(index, keyword, value, 1000 * number)
            for index in range(6)
            for number, value in enumerate(values)
        ]
        volumes = load(_enhanced(tmp_path / f"{keyword}.dcm", frames))
        assert [int(volume.voxels.min()) for volume in volumes] == [0, 1000]
        assert all(volume.shape[0] == 6 for volume in volumes)
    both = [_slice(k) for k in range(4)] + [_slice(k, SAGITTAL) for k in range(4)]
    stacks = load(_enhanced(tmp_path / "stacks.dcm", both, ["1"] * 4 + ["2"] * 4))
    assert len(stacks) == 2
    np.testing.assert_allclose(stacks[1].index_to_world, _expected_matrix(SAGITTAL), atol=1e-5)
    assert "localizer" in _refusal(_enhanced(tmp_path / "loc.dcm", both))


def test_enhanced_with_a_missing_slice(tmp_path: Path) -> None:
    frames = [_slice(index) for index in (0, 1, 2, 3, 5, 6, 7)]
    volume = load_one(_enhanced(tmp_path / "gap.dcm", frames))
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
        frame = _slice(0)
        group = groups[number]
        frame.ImagePositionPatient = group.PlanePositionSequence[0].ImagePositionPatient
        frame.ImageOrientationPatient = group.PlaneOrientationSequence[0].ImageOrientationPatient
        frame.PixelSpacing = group.PixelMeasuresSequence[0].PixelSpacing
        frame.RescaleSlope = group.PixelValueTransformationSequence[0].RescaleSlope
        frame.Rows, frame.Columns = source.Rows, source.Columns
        frame.BitsStored, frame.HighBit = source.BitsStored, source.HighBit
        frame.PixelData = source.pixel_array[number].tobytes()
        _write(frame, tmp_path / "classic" / f"{24 - number}.dcm")
    classic = load_one(tmp_path / "classic")
    assert volume.same_geometry(classic)
    np.testing.assert_array_equal(volume.voxels, classic.voxels)
    assert recognise(volume).sequence == "T1w"
