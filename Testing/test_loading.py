"""Contours of any file that must be just what was drawn: taken as they are, or refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from dicom_series import write_series
from MRISynthLib.errors import InputError
from MRISynthLib.io import load_one
from MRISynthLib.io.dicom_source import find_source
from MRISynthLib.io.dicom_values import decimals
from MRISynthLib.volume import Volume
from MRISynthSegmentLib.dicom_seg import write_dicom_seg
from MRISynthSegmentLib.io import save_segmentation
from MRISynthSegmentLib.loading import load_any
from MRISynthSegmentLib.rtstruct import write_rtstruct
from MRISynthSegmentLib.segmentation import Segmentation
from rtstruct_cases import contours_in

KINDS = ("organs.seg.nrrd", "organs.nii.gz", "rtstruct.dcm", "seg.dcm")


@pytest.fixture
def image(tmp_path: Path) -> Volume:
    return load_one(write_series(tmp_path / "series"))


def drawn(image: Volume) -> Segmentation:
    """Two structures away from the edges; one has parts on slices that are far apart."""
    masks = {name: np.zeros(image.shape, bool) for name in ("Brain", "GTVp")}
    masks["Brain"][2:6, 3:9, 2:8] = True
    masks["GTVp"][[2, 5], 4:7, 3:6] = True
    return Segmentation(masks, image)


def saved(segmentation: Segmentation, path: Path) -> Path:
    if path.suffix != ".dcm":
        save_segmentation(segmentation, path)
        return path
    source = find_source([path.parent / "series"], segmentation.reference)
    write = write_rtstruct if path.name.startswith("rt") else write_dicom_seg
    return write(segmentation, path, source)


def part(image: Volume, *start: int, shape: tuple[int, int, int]) -> Volume:
    """A grid with the image's voxel centres that begins at another slice, row and column."""
    matrix = np.array(image.index_to_world)
    matrix[:3, 3] += matrix[:3, :3] @ start[::-1]
    return Volume(np.zeros(shape, np.uint8), matrix, name="part", acquisition=image.acquisition)


def turned(image: Volume) -> Volume:
    """The same grid with all axes running the other way."""
    matrix = np.array(image.index_to_world)
    matrix[:3, 3] += matrix[:3, :3] @ [n - 1 for n in image.shape[::-1]]
    matrix[:3, :3] *= -1
    return image.replace(index_to_world=matrix)


def refusal(path: Path, image: Volume) -> str:
    with pytest.raises(InputError) as caught:
        load_any(path, image, exact=True)
    text = str(caught.value)
    assert "\n" not in text and text.endswith(".") and text.count(". ") == 0
    assert path.name in text and "; give" in text
    return text


def same(one: Segmentation, two: Segmentation) -> bool:
    return one.masks.keys() == two.masks.keys() and all(
        np.array_equal(one.masks[name], two.masks[name]) for name in one.masks
    )


# --- taken --------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_contours_of_the_image_come_as_they_were_drawn(tmp_path: Path, image, kind) -> None:
    path = saved(drawn(image), tmp_path / kind)
    assert same(load_any(path, image, exact=True), drawn(image))


@pytest.mark.parametrize("kind", KINDS)
def test_a_grid_that_runs_the_other_way_changes_no_voxel(tmp_path: Path, image, kind) -> None:
    path = saved(drawn(image), tmp_path / kind)
    back = load_any(path, turned(image), exact=True)
    for name, mask in drawn(image).masks.items():
        np.testing.assert_array_equal(back.masks[name], np.flip(mask))


@pytest.mark.parametrize("kind", KINDS[:2])
@pytest.mark.parametrize(
    "start, shape", [((2, 3, 2), (4, 6, 6)), ((-1, -2, -3), (12, 20, 20)), ((-2, 1, 0), (9, 9, 10))]
)
def test_a_grid_that_is_a_part_or_goes_beyond(tmp_path: Path, image, kind, start, shape) -> None:
    own = part(image, *start, shape=shape)
    masks = {}
    for name, mask in drawn(image).masks.items():
        masks[name] = np.zeros(shape, bool)
        masks[name][tuple(np.argwhere(mask).T - np.array(start)[:, None])] = True
    path = saved(Segmentation(masks, own), tmp_path / kind)
    assert same(load_any(path, image, exact=True), drawn(image))


# --- refused ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS[:2] + KINDS[3:])
def test_voxels_between_those_of_the_image_are_refused(tmp_path: Path, image, kind) -> None:
    path = saved(drawn(image), tmp_path / kind)
    for step in ((0.4, 0, 0), (0, 0, 0.4)):  # columns, slices
        matrix = np.array(image.index_to_world)
        matrix[:3, 3] += matrix[:3, :3] @ step
        other = image.replace(index_to_world=matrix)
        assert any("another grid" in text for text in load_any(path, other).warnings)
        assert "another grid" in refusal(path, other)


@pytest.mark.parametrize("kind", KINDS[:2] + KINDS[3:])
def test_a_single_voxel_outside_the_image_is_refused(tmp_path: Path, image, kind) -> None:
    path = saved(drawn(image), tmp_path / kind)
    text = refusal(path, part(image, 0, 0, 0, shape=(8, 12, 7)))
    assert "structures outside part" in text and "Brain" in text
    one = drawn(image)
    masks = {name: np.array(mask) for name, mask in one.masks.items()}
    masks["Brain"][:, :, :] = True
    path = saved(Segmentation(masks, image), tmp_path / kind)
    whole = part(image, 0, 0, 0, shape=(8, 12, 10))
    assert load_any(path, whole, exact=True).masks["Brain"].all()
    refusal(path, part(image, 0, 0, 0, shape=(8, 12, 9)))


def edited(path: Path, change: Callable[[Dataset], None]) -> Path:
    record = pydicom.dcmread(path)
    change(record)
    other = path.with_name("other.dcm")
    record.save_as(other, enforce_file_format=True)
    return other


def moved(axis: int, mm: float) -> Callable[[Dataset], None]:
    def change(record: Dataset) -> None:
        for contour in contours_in(record):
            points = np.reshape(contour.ContourData, (-1, 3)).astype(float)
            points[:, axis] += mm
            contour.ContourData = decimals(points.ravel())

    return change


def more_planes(record: Dataset) -> None:
    """A second contour hardly above one of them, but not on its plane."""
    drawn = record.ROIContourSequence[0]
    above = Dataset()
    above.update(drawn.ContourSequence[0])
    points = np.reshape(above.ContourData, (-1, 3)).astype(float)
    points[:, 2] += 0.09
    above.ContourData = decimals(points.ravel())
    drawn.ContourSequence = [*drawn.ContourSequence, above]


def smaller_than_a_pixel(record: Dataset) -> None:
    for contour in record.ROIContourSequence[1].ContourSequence:
        points = np.reshape(contour.ContourData, (-1, 3)).astype(float)
        points[:, :2] = points[0, :2] + 0.05 * (points[:, :2] - points[:, :2].mean(0))
        contour.ContourData = decimals(points.ravel())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (moved(2, 1.2), "contours of Brain lie up to 1.2 mm off the slices of t1_tse_tra"),
        (more_planes, "1 planes of Brain lie between the slices"),
        (moved(0, 6.0), "Brain reaches up to 4.2 mm beyond the edge"),
        (smaller_than_a_pixel, "GTVp is smaller than the pixels"),
    ],
    ids=["off the slices", "more planes than slices", "beyond the edge", "too small"],
)
def test_structure_sets_that_would_be_changed_are_refused(
    tmp_path: Path, image, change, words
) -> None:
    path = edited(saved(drawn(image), tmp_path / "rtstruct.dcm"), change)
    assert any(words in text for text in load_any(path, image).warnings), "moved, and said"
    assert words in refusal(path, image)


def test_gaps_are_right_where_they_were_drawn_and_wrong_where_not(tmp_path: Path, image) -> None:
    """On twice as many slices every other one would be empty, and the structure half as large."""
    path = saved(drawn(image), tmp_path / "rtstruct.dcm")
    assert any("GTVp" in text and "stay empty" in text for text in load_any(path, image).warnings)
    matrix = image.index_to_world @ np.diag([1, 1, 0.5, 1])
    place = {"FrameOfReferenceUID": image.acquisition["FrameOfReferenceUID"]}
    fine = Volume(np.zeros((15, 12, 10), np.uint8), matrix, name="fine", acquisition=place)
    assert "planes further apart than the slices of fine" in refusal(path, fine)

    def forgotten(record: Dataset) -> None:
        del record.ReferencedFrameOfReferenceSequence

    assert "GTVp was drawn on planes further apart" in refusal(edited(path, forgotten), image)
