"""Pixels, window and geometry of synthetic images in DICOM, as other programs read them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk  # noqa: N813
from pydicom.dataset import Dataset
from pydicom.pixels import apply_windowing

from derived_series import (
    PROVENANCE,
    everything,
    headers,
    made_on,
    read_in,
    references,
    refusal,
    values_of,
)
from dicom_series import AXIAL, CORONAL, OBLIQUE, PRONE, SAGITTAL, enhanced, slice_data
from MRISynthLib.io import load_one, save
from MRISynthLib.io.dicom_derived import Study, write_synthetic_series
from MRISynthLib.io.dicom_source import find_source
from MRISynthLib.sequences import recognise
from MRISynthLib.volume import Volume


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out" / "series"


# --- values ---------------------------------------------------------------------------------


@pytest.mark.parametrize("low, high", [(0, 1000), (0, 1e-3), (-300, 2500), (-5, -1), (0, 3e6)])
def test_values_come_back_to_half_a_step(
    tmp_path: Path, out: Path, low: float, high: float
) -> None:
    image, source = read_in(tmp_path / "t1", OBLIQUE)
    values = np.random.default_rng(1).uniform(low, high, image.shape).astype(np.float32)
    write_synthetic_series(made_on(image, values), out, source)
    read = load_one(out)
    half = 0.5 * (high - min(low, 0)) / 65535 + np.spacing(np.float32(max(high, -low)))
    assert np.abs(read.voxels - values).max() <= half
    assert read.same_geometry(image)


@pytest.mark.parametrize("kind", [np.int16, np.uint16, np.float32])
def test_whole_numbers_come_back_exactly(tmp_path: Path, out: Path, kind: type) -> None:
    image, source = read_in(tmp_path / "t1")
    values = np.arange(np.prod(image.shape)).reshape(image.shape) * 7 - (kind is np.int16) * 900
    write_synthetic_series(made_on(image, values.astype(kind)), out, source)
    np.testing.assert_array_equal(load_one(out).voxels, values)


@pytest.mark.parametrize("value", [0.0, 3.25])
def test_an_image_of_one_value(tmp_path: Path, out: Path, value: float) -> None:
    image, source = read_in(tmp_path / "t1")
    files = write_synthetic_series(made_on(image, np.full(image.shape, value)), out, source)
    np.testing.assert_allclose(load_one(out).voxels, value, rtol=1e-6)
    assert float(headers(files)[0].WindowWidth) > 0


@pytest.mark.parametrize("scale", [1.0, 1e-4, 40.0])
def test_the_window_shows_the_image(tmp_path: Path, out: Path, scale: float) -> None:
    image, source = read_in(tmp_path / "t1")
    values = np.zeros(image.shape, np.float32)  # much background and one bright voxel
    values[:, 3:9, 3:9] = np.linspace(300, 700, 8 * 36).reshape(8, 6, 6)
    values[0, 4, 4] = 60000
    files = write_synthetic_series(made_on(image, values * np.float32(scale)), out, source)
    shown = np.array([apply_windowing(values_of(r), r) for r in headers(files)])
    grey = (shown - shown.min()) / (shown.max() - shown.min())
    assert grey[values == 0].max() == 0 and grey[0, 4, 4] == 1
    inside = grey[:, 3:9, 3:9].ravel()
    assert np.quantile(inside, 0.02) < 0.05 and np.quantile(inside, 0.98) > 0.95
    assert 0.4 < np.quantile(inside, 0.5) < 0.6


def test_a_synthetic_ct_is_a_ct_in_hounsfield_units(tmp_path: Path, out: Path) -> None:
    image, source = read_in(tmp_path / "t1")
    values = np.random.default_rng(2).uniform(-1000, 1500, image.shape).astype(np.float32)
    volume = made_on(image, values, sequence="CT", name="SYNTHETIC CT")
    record = headers(write_synthetic_series(volume, out, source))[0]
    assert record.SOPClassUID.name == "CT Image Storage" and record.Modality == "CT"
    assert (record.RescaleType, record.ImageType[2], record.KVP) == ("HU", "AXIAL", None)
    assert (record.RescaleSlope, record.WindowCenter, record.WindowWidth) == (1, 40, 400)
    read = load_one(out)
    assert np.abs(read.voxels - values).max() <= 0.5 and read.acquisition["Modality"] == "CT"
    wild = made_on(image, values * 100, sequence="CT", name="SYNTHETIC CT")
    no = tmp_path / "no"
    assert "Hounsfield" in refusal(lambda: write_synthetic_series(wild, no, source), no)


def test_the_uncertainty_of_a_ct_is_shown_from_zero(tmp_path: Path, out: Path) -> None:
    """As in the views: in a window of tissue a map of a few units would be one grey."""
    image, source = read_in(tmp_path / "t1")
    values = np.random.default_rng(2).uniform(0, 50, image.shape).astype(np.float32)
    volume = made_on(image, values, sequence="CT", name="SYNTHETIC CT uncertainty")
    volume = volume.replace(provenance=replace(volume.provenance, kind="uncertainty"))
    record = headers(write_synthetic_series(volume, out, source))[0]
    centre, width = float(record.WindowCenter), float(record.WindowWidth)
    assert centre - width / 2 == pytest.approx(0) and 45 < centre + width / 2 < 50


# --- geometry -------------------------------------------------------------------------------


@pytest.mark.parametrize("axes", [AXIAL, SAGITTAL, CORONAL, PRONE, OBLIQUE])
def test_an_independent_reader_sees_it_where_the_source_lies(
    tmp_path: Path, out: Path, axes: np.ndarray
) -> None:
    def change(data: Dataset, index: int) -> None:
        data.PixelSpacing = ["0.429687500000", "0.468750000001"]
        place = (
            np.array([-123.456789012, 98.7654321098, 1234.56789]) + index * 3.3000001 * axes[:, 2]
        )
        data.ImagePositionPatient = [f"{x:.10f}"[:16] for x in place]

    image, source = read_in(tmp_path / "t1", axes, change=change)
    volume = made_on(image)
    files = write_synthetic_series(volume, out, source)
    for record in headers(files):
        for element in everything(record):
            if element.VR == "DS" and element.value not in ("", None):
                parts = element.value if element.VM > 1 else [element.value]
                assert max(len(part.original_string) for part in parts) <= 16, element
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(out)))
    found = reader.Execute()
    corners = [[i, j, k] for k in (0, 7) for j in (0, 11) for i in (0, 9)]
    places = [found.TransformIndexToPhysicalPoint(corner) for corner in corners]
    np.testing.assert_allclose(places, volume.corners(), atol=1e-4)
    np.testing.assert_allclose(sitk.GetArrayFromImage(found), volume.voxels, atol=0.01)
    assert load_one(out).same_geometry(volume, 1e-4)


@pytest.mark.parametrize("axes", [(0,), (1,), (2,), (0, 1, 2)])
@pytest.mark.parametrize("counts_down", [False, True])
def test_a_turned_image_lies_pixel_for_pixel_on_the_series(
    tmp_path: Path, out: Path, axes: tuple[int, ...], counts_down: bool
) -> None:
    def change(data: Dataset, index: int) -> None:
        data.InstanceNumber = 8 - index if counts_down else index + 1

    image, _ = read_in(tmp_path / "t1", OBLIQUE, change=change)
    matrix = np.array(image.index_to_world)
    for axis in axes:
        matrix[:3, 3] += matrix[:3, 2 - axis] * (image.shape[axis] - 1)
        matrix[:3, 2 - axis] *= -1
    save(Volume(np.flip(image.voxels, axes), matrix), tmp_path / "image.nii.gz")
    converted = load_one(tmp_path / "image.nii.gz")
    source = find_source([tmp_path / "t1"], converted)
    volume = made_on(converted, converted.voxels.astype(np.float32) + 0.5)
    made = headers(write_synthetic_series(volume, out, source))
    real = {each.header.InstanceNumber: pydicom.dcmread(each.path) for each in source.slices}
    for record in made:
        twin = real[record.InstanceNumber]
        np.testing.assert_allclose(values_of(record), twin.pixel_array + 0.5, atol=0.01)
        for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"):
            np.testing.assert_allclose(record[keyword].value, twin[keyword].value, atol=1e-4)
        assert references(record) == [twin.SOPInstanceUID]


@pytest.mark.parametrize(
    "signs, rows_to, columns_to",
    [((-1, -1, 1), (1, 0, 0), (0, 1, 0)), ((1, 1, -1), (1, 0, 0), (0, 1, 0))],
)
def test_an_image_without_a_series_is_turned_as_viewers_show_it(
    out: Path, signs: tuple[int, ...], rows_to: tuple[int, ...], columns_to: tuple[int, ...]
) -> None:
    values = np.random.default_rng(3).uniform(0, 900, (4, 9, 7)).astype(np.float32)
    matrix = np.diag([*(np.array(signs) * (1, 2, 3)), 1.0])
    matrix[:3, 3] = (5, 6, 7)
    volume = made_on(Volume(values, matrix), values)
    made = headers(write_synthetic_series(volume, out, Study.placeholder()))
    np.testing.assert_allclose(made[0].ImageOrientationPatient, [*rows_to, *columns_to])
    for k, record in enumerate(made):
        flipped = values[k][::-1, ::-1] if signs[0] < 0 else values[k]
        np.testing.assert_allclose(values_of(record), flipped, atol=0.01)
    np.testing.assert_allclose(
        np.sort(load_one(out).corners(), axis=0), np.sort(volume.corners(), axis=0), atol=1e-4
    )


def test_a_coronal_image_without_a_series_stands_upright(out: Path) -> None:
    coronal = np.eye(4)
    coronal[:3, :3] = np.array([[-1, 0, 0], [0, 0, 4], [0, 1, 0]])  # columns right, rows head
    volume = made_on(Volume(np.zeros((3, 8, 8)), coronal), np.zeros((3, 8, 8)))
    record = headers(write_synthetic_series(volume, out, Study.placeholder()))[0]
    np.testing.assert_allclose(record.ImageOrientationPatient, [1, 0, 0, 0, 0, -1], atol=1e-9)


def test_the_frames_of_an_enhanced_source_are_named(tmp_path: Path, out: Path) -> None:
    order = (3, 0, 7, 1, 2, 6, 4, 5)
    path = enhanced(tmp_path / "enhanced.dcm", [slice_data(k, OBLIQUE) for k in order])
    image = load_one(path)
    files = write_synthetic_series(made_on(image), out, find_source([path], image))
    uid = pydicom.dcmread(path).SOPInstanceUID
    for record in headers(files):
        (item,) = record.SourceImageSequence
        assert item.ReferencedSOPInstanceUID == uid
        k = np.argmin(np.linalg.norm(
            image.index_to_world[:3, 3] + np.arange(8)[:, None] * image.index_to_world[:3, 2]
            - np.array(record.ImagePositionPatient, float), axis=1,
        ))  # fmt: skip
        assert order[item.ReferencedFrameNumber - 1] == k
        assert record.SliceThickness == 3
    assert load_one(out).same_geometry(image)


# --- the mark in the pixels -----------------------------------------------------------------


@pytest.mark.parametrize("columns, sequence", [(64, "CE-T1w"), (224, "CE-T1w"), (512, "CT")])
def test_the_word_is_burnt_into_a_corner(out: Path, columns: int, sequence: str) -> None:
    values = np.random.default_rng(5).uniform(100, 900, (2, 48, columns)).astype(np.float32)
    volume = made_on(Volume(values, np.eye(4)), values, sequence=sequence)
    made = headers(write_synthetic_series(volume, out, Study.placeholder(), burn_in=True))
    for record, plane in zip(made, values, strict=True):
        assert record.BurnedInAnnotation == "YES"
        changed = np.abs(values_of(record) - plane) > 0.51
        rows, columns_there = (np.flatnonzero(changed.any(axis)) for axis in (1, 0))
        high, wide = rows[-1] + 1, columns_there[-1] + 1
        assert 0.3 * columns < wide < 0.9 * columns and 9 <= high < 48
        assert not changed[high:].any() and not changed[:, wide:].any()
        shown = apply_windowing(values_of(record), record)
        shown = np.round((shown - shown.min()) / np.ptp(shown), 3)[:high, :wide]
        assert set(np.unique(shown)) == {0.0, 1.0}
        stroke = high // 9
        letters = (shown > shown.mean())[::stroke, ::stroke]
        assert len(letters) == 9 and not letters[[0, -1]].any() and not letters[:, 0].any()
        glyphs = [letters[1:8, 1 + 6 * n : 6 + 6 * n] for n in range(9)]
        assert letters.shape[1] == 55 and all(glyph.any() for glyph in glyphs)
        assert glyphs[3][0].all() and not glyphs[3][1:, [0, 4]].any()  # T, upright
        assert glyphs[8][:, 0].any() and not glyphs[8][1:-1, 4].any()  # C, not mirrored
        same = np.array([[np.array_equal(one, two) for two in glyphs] for one in glyphs])
        word = "SYNTHETIC"
        np.testing.assert_array_equal(same, [[one == two for two in word] for one in word])


def test_slices_too_small_for_the_word(tmp_path: Path, out: Path) -> None:
    image, source = read_in(tmp_path / "t1")
    said = refusal(lambda: write_synthetic_series(made_on(image), out, source, burn_in=True), out)
    assert "12 x 10" in said and "9 x 55" in said


def test_a_synthetic_series_is_read_as_synthetic(tmp_path: Path, out: Path) -> None:
    image, source = read_in(tmp_path / "t1")
    volume = made_on(image, warnings=("An input was of low quality.",))
    files = write_synthetic_series(volume, out, source)
    read = load_one(out)
    assert read.provenance == PROVENANCE and read.warnings == volume.warnings
    assert (read.sequence, read.name) == ("CE-T1w", "SYNTHETIC CE-T1w")
    assert load_one(tmp_path / "t1").provenance is None
    for path in files:  # as an archive may send it on
        record = pydicom.dcmread(path)
        record.remove_private_tags()
        record.save_as(path)
    read = load_one(out)
    assert read.is_synthetic and "lost" in read.provenance.warnings[0]
    found = recognise(read)
    assert (found.sequence, found.confident) == ("CE-T1w", True)
