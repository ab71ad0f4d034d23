"""DICOM SEG of other programs: placed where they say, named where that is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.pixels import pack_bits
from pydicom.uid import RLELossless, SegmentationStorage, generate_uid

from dicom_series import AXIAL, OBLIQUE, SAGITTAL, write, write_series
from MRISynthLib.errors import InputError
from MRISynthLib.io import load_one
from MRISynthLib.volume import Volume
from MRISynthSegmentLib.dicom_seg import read_dicom_seg
from MRISynthSegmentLib.structures import ABNORMAL, ANATOMY, LEFT, RIGHT, STRUCTURES

LABEL_MAP = "1.2.840.10008.5.1.4.1.1.66.7"
ORGAN = ("SCT", "113343008", "Organ")


@pytest.fixture(params=["axial", "oblique"])
def image(tmp_path: Path, request) -> Volume:
    axes = OBLIQUE if request.param == "oblique" else AXIAL
    return load_one(write_series(tmp_path / "series", axes=axes))


@pytest.fixture
def cube() -> Volume:
    return Volume(np.zeros((6, 6, 6)), np.diag([2.0, 2.0, 2.0, 1.0]), name="cube")


def block(image: Volume, *where: slice | int) -> np.ndarray:
    mask = np.zeros(image.shape, bool)
    mask[where] = True
    return mask


def code(values: tuple[str, str, str], modifier=None, place="") -> Dataset:
    item = Dataset()
    item.CodingSchemeDesignator, item.CodeValue, item.CodeMeaning = values
    if modifier:
        setattr(item, place, [code(modifier)])
    return item


def segment(
    number: int, label: str, type_: tuple = ("99X", "1", "?"), side=None, **more
) -> Dataset:
    """With as little as a program may write."""
    item = Dataset()
    item.SegmentNumber, item.SegmentLabel = number, label
    item.SegmentedPropertyCategoryCodeSequence = [code(more.get("category", ANATOMY))]
    place = "SegmentedPropertyTypeModifierCodeSequence"
    item.SegmentedPropertyTypeCodeSequence = [code(type_, side, place)]
    if "region" in more:
        organ, *sides = more["region"]
        region = code(organ, *(sides or [None]), "AnatomicRegionModifierSequence")
        item.AnatomicRegionSequence = [region]
    return item


def foreign(path: Path, image: Volume, frames, segments, **changes) -> Path:
    """A SEG of another program; ``frames``: (segment, pixels, 4x4 matrix of the pixels' plane)."""
    data = Dataset()
    data.SOPClassUID, data.SOPInstanceUID = SegmentationStorage, generate_uid()
    data.Modality, data.SegmentationType = "SEG", "BINARY"
    data.FrameOfReferenceUID = image.acquisition.get("FrameOfReferenceUID", "")
    data.SegmentSequence = segments
    data.NumberOfFrames = len(frames)
    data.Rows, data.Columns = frames[0][1].shape
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    pixels = np.stack([pixels for _, pixels, _ in frames])
    bits = 1 if pixels.dtype == bool else 8
    data.BitsAllocated, data.BitsStored, data.HighBit = bits, bits, bits - 1
    data.PixelRepresentation = 0
    data.PixelData = pack_bits(pixels) if bits == 1 else pixels.tobytes()
    data.PerFrameFunctionalGroupsSequence = []
    for number, _, matrix in frames:
        groups, place, plane, measures, which = (Dataset() for _ in range(5))
        spacing = np.linalg.norm(matrix[:3, :2], axis=0)
        place.ImagePositionPatient = [f"{mm:.9g}" for mm in matrix[:3, 3]]
        cosines = (matrix[:3, :2] / spacing).T.ravel()
        plane.ImageOrientationPatient = [f"{value:.12g}" for value in cosines]
        measures.PixelSpacing = [f"{mm:.9g}" for mm in spacing[::-1]]
        if "spacing" in changes:
            measures.SpacingBetweenSlices = changes["spacing"]
        groups.PlanePositionSequence, groups.PlaneOrientationSequence = [place], [plane]
        groups.PixelMeasuresSequence = [measures]
        if number is not None:
            which.ReferencedSegmentNumber = number
            groups.SegmentIdentificationSequence = [which]
        data.PerFrameFunctionalGroupsSequence.append(groups)
    for keyword, value in changes.items():
        if keyword != "spacing":
            setattr(data, keyword, value)
    return write(data, path)


def plane(image: Volume, k: float) -> np.ndarray:
    """Matrix of slice ``k``, which need not be whole."""
    matrix = np.array(image.index_to_world)
    matrix[:3, 3] += k * matrix[:3, 2]
    return matrix


def slices_of(mask: np.ndarray, image: Volume, number: int = 1) -> list:
    """The frames of a structure, last slice first, empty ones left out."""
    found = [(number, mask[k], plane(image, k)) for k in np.flatnonzero(mask.any((1, 2)))]
    return found[::-1]


@pytest.mark.parametrize("order", ["upwards", "downwards", "mixed"])
def test_sparse_frames_in_any_order(tmp_path, image, order):
    masks = {
        "Parotid_R": block(image, slice(None, None, 3), 1, 9),
        "Brain": block(image, slice(1, 6), slice(2, 9), slice(2, 8)),
        "Eye_L": np.zeros(image.shape, bool),
    }
    frames = slices_of(masks["Parotid_R"], image, 2) + slices_of(masks["Brain"], image, 7)
    if order == "upwards":
        frames = frames[::-1]
    elif order == "mixed":
        frames = frames[1::2] + frames[::2]
    segments = [segment(2, "Parotid_R"), segment(7, "Brain"), segment(9, "Eye_L")]
    read = read_dicom_seg(foreign(tmp_path / "a.dcm", image, frames, segments), image)
    assert list(read.masks) == ["Parotid_R", "Brain", "Eye_L"] and not read.warnings
    for name, mask in masks.items():
        np.testing.assert_array_equal(read.masks[name], mask)
    assert read.provenance is None


def sagittal_frame(mask: np.ndarray, cube: Volume, column: int) -> tuple:
    """Rows run downwards, columns to the back."""
    matrix = np.eye(4)
    matrix[:3, :3] = 2 * SAGITTAL
    matrix[:3, 3] = cube.index_to_world[:3] @ [column, 0, 5, 1]
    return (1, mask[::-1, :, column], matrix)


def test_frames_of_several_orientations(tmp_path, cube):
    """Sagittal and axial frames of one structure on the grid of one image."""
    mask = block(cube, 1, slice(2, 4), slice(3, 5)) | block(cube, slice(0, 4), slice(1, 3), 5)
    frames = [sagittal_frame(mask, cube, 5), (1, mask[1], plane(cube, 1))]
    path = foreign(tmp_path / "a.dcm", cube, frames, [segment(1, "GTVp")])
    np.testing.assert_array_equal(read_dicom_seg(path, cube).masks["GTVp"], mask)
    off = cube.replace(index_to_world=np.diag([1.7, 2.0, 2.0, 1.0]))
    assert "orientations" in refusal(path, off)


def test_label_map(tmp_path, image):
    labels = np.zeros(image.shape, np.uint8)
    labels[2:4, 3:6, 2:5], labels[3, 8:, 8:] = 3, 5
    frames = [(None, labels[k], plane(image, k)) for k in (3, 2)]
    segments = [segment(0, "Background"), segment(3, "Brain"), segment(5, "thing")]
    path = foreign(
        tmp_path / "a.dcm", image, frames, segments,
        SOPClassUID=LABEL_MAP, SegmentationType="LABELMAP",
    )  # fmt: skip
    read = read_dicom_seg(path, image)
    assert list(read.masks) == ["Brain", "thing"]
    np.testing.assert_array_equal(read.masks["Brain"], labels == 3)
    np.testing.assert_array_equal(read.masks["thing"], labels == 5)


def test_fractional_is_cut_at_half(tmp_path, image):
    shares = np.zeros(image.shape, np.uint8)
    shares[2, 3, :5] = 0, 99, 100, 101, 200
    path = foreign(
        tmp_path / "a.dcm", image, [(1, shares[2], plane(image, 2))], [segment(1, "Brain")],
        SegmentationType="FRACTIONAL", MaximumFractionalValue=200,
    )  # fmt: skip
    read = read_dicom_seg(path, image)
    np.testing.assert_array_equal(read.masks["Brain"], shares >= 100)
    assert any("half" in warning for warning in read.warnings)


def test_compressed_frames(tmp_path, image):
    labels = np.zeros(image.shape, np.uint8)
    labels[2, 1:, 2:5] = 255
    path = foreign(
        tmp_path / "a.dcm", image, [(1, labels[2], plane(image, 2))], [segment(1, "Brain")],
        SegmentationType="FRACTIONAL", MaximumFractionalValue=255,
    )  # fmt: skip
    data = pydicom.dcmread(path)
    data.compress(RLELossless)
    data.save_as(path)
    np.testing.assert_array_equal(read_dicom_seg(path, image).masks["Brain"], labels > 0)


# --- another grid -------------------------------------------------------------------------


def nearest(mask: np.ndarray, matrix: np.ndarray, image: Volume) -> np.ndarray:
    """For every voxel of the image the nearest of the mask's grid, one by one."""
    expected = np.zeros(image.shape, bool)
    for k, j, i in np.ndindex(*image.shape):
        index = np.rint((np.linalg.solve(matrix, image.index_to_world @ [i, j, k, 1.0]))[:3])
        index = index.astype(int)[::-1]
        if (index >= 0).all() and (index < mask.shape).all():
            expected[k, j, i] = mask[tuple(index)]
    return expected


@pytest.mark.parametrize("between", ["4.7", None])
@pytest.mark.parametrize("kept", [slice(None), slice(0, None, 2)])
def test_another_grid_of_the_same_space(tmp_path, image, between, kept):
    """Other spacing, shifted and turned in plane; with ``kept`` every second slice is empty."""
    turn = np.diag([1.0, 1.0, 1.0, 1.0])
    turn[:2, :2] = [[np.cos(0.3), -np.sin(0.3)], [np.sin(0.3), np.cos(0.3)]]
    matrix = image.index_to_world @ turn @ np.diag([1.13, 0.91, 4.7 / image.spacing[2], 1])
    matrix[:3, 3] += [0.31, -1.17, 0.73]
    other = Volume(np.zeros((7, 12, 11)), matrix, name="other")
    mask = np.zeros(other.shape, bool)
    mask[kept, 3:10, 2:9] = True
    more = {"spacing": between} if between else {}
    frames = slices_of(mask, other)
    path = foreign(tmp_path / "a.dcm", image, frames, [segment(1, "Brain")], **more)
    read = read_dicom_seg(path, image)
    if between is None and kept.step:  # nobody can know that slices were left out
        assert read.masks["Brain"].sum() > nearest(mask, matrix, image).sum()
    else:
        np.testing.assert_array_equal(read.masks["Brain"], nearest(mask, matrix, image))
    assert any("another grid" in warning for warning in read.warnings)
    assert read.reference is image


def test_one_slice_between_those_of_the_image(tmp_path, image):
    frames = [(1, np.ones(image.shape[1:], bool), plane(image, 2.3))]
    made = foreign(tmp_path / "a.dcm", image, frames, [segment(1, "Brain")], spacing="4")
    found = read_dicom_seg(made, image).masks["Brain"]
    np.testing.assert_array_equal(found.all((1, 2)), np.arange(8) == 2)
    assert found.any((1, 2)).sum() == 1
    unknown = foreign(tmp_path / "b.dcm", image, frames, [segment(1, "Brain")])
    assert "thickness" in refusal(unknown, image)


def test_uneven_slices_of_another_grid_are_refused(tmp_path, image):
    pixels = np.ones(image.shape[1:], bool)
    frames = [(1, pixels, plane(image, k)) for k in (0.3, 1.3, 2.9)]
    path = foreign(tmp_path / "a.dcm", image, frames, [segment(1, "Brain")])
    assert "uneven" in refusal(path, image)


@pytest.mark.parametrize("reach", [(-2, -1, 0), (6, 7, 8, 9)])
def test_parts_outside_the_image_are_mentioned(tmp_path, image, reach):
    pixels = np.ones(image.shape[1:], bool)
    half = [(1, pixels, plane(image, k)) for k in reach]
    path = foreign(tmp_path / "half.dcm", image, half, [segment(1, "Brain")])
    read = read_dicom_seg(path, image)
    np.testing.assert_array_equal(read.masks["Brain"].any((1, 2)), np.isin(range(8), reach))
    assert any("outside" in warning and "Brain" in warning for warning in read.warnings)
    assert not any("another grid" in warning for warning in read.warnings)
    away = [(1, pixels, plane(image, k)) for k in (20, 21)]
    path = foreign(tmp_path / "away.dcm", image, away, [segment(1, "Brain")])
    assert "overlap" in refusal(path, image)


# --- names --------------------------------------------------------------------------------


def names_of(tmp_path: Path, cube: Volume, *segments: Dataset) -> tuple[list[str], str]:
    """Names in the order of the segments, and the warnings about them; each has its own voxel,
    which tells whether name and mask belong together."""
    frames = []
    for place, item in enumerate(segments):
        pixels = np.zeros((6, 6), bool)
        pixels[place] = True
        frames.append((item.SegmentNumber, pixels, plane(cube, 0)))
    path = foreign(tmp_path / "names.dcm", cube, frames, list(segments), FrameOfReferenceUID="1.2")
    read = read_dicom_seg(path, cube.replace(acquisition={"FrameOfReferenceUID": "1.2"}))
    for place, mask in enumerate(read.masks.values()):
        assert mask[0, place].all() and mask.sum() == 6
    return list(read.masks), " ".join(read.warnings)


def test_codes_and_sides_name_structures(tmp_path, cube):
    parotid = STRUCTURES["Parotid_L"].type
    names, warnings = names_of(
        tmp_path,
        cube,
        segment(1, "Glandula parotis sin.", parotid, LEFT),
        segment(2, "Glandula parotis dex.", parotid, RIGHT),
        segment(3, "Encephalon", ("SRT", "T-A0100", "Brain"), category=("SRT", "T-D000A", "")),
        segment(4, "Oculus", ORGAN, region=(STRUCTURES["Eye_L"].type, LEFT)),
        segment(5, "Medulla", ORGAN, region=(STRUCTURES["SpinalCord"].type,)),
        segment(6, "Tumour", STRUCTURES["GTVp"].type, category=ABNORMAL),
    )
    assert names == ["Parotid_L", "Parotid_R", "Brain", "Eye_L", "SpinalCord", "GTVp"]
    assert not warnings


def test_labels_name_structures_that_codes_do_not(tmp_path, cube):
    names, warnings = names_of(
        tmp_path,
        cube,
        segment(1, "PAROTID L"),
        segment(2, "Right parotid gland", STRUCTURES["Parotid_R"].type),  # a code without a side
        segment(3, "gtv_p"),
    )
    assert names == ["Parotid_L", "Parotid_R", "GTVp"]
    assert "'gtv_p' of names.dcm is read as GTVp" in warnings and "not known" not in warnings


def test_what_is_not_known_keeps_its_name_and_is_mentioned(tmp_path, cube):
    brain = STRUCTURES["Brain"].type
    names, warnings = names_of(
        tmp_path,
        cube,
        segment(1, "PTV_60"),
        segment(2, "Gland", STRUCTURES["Parotid_R"].type),  # of which side?
        segment(3, "Half", brain, LEFT),
        segment(4, "Lesion of the brain", brain, category=ABNORMAL),
        segment(5, "Oedema", ("SCT", "79654002", "Edema"), category=ABNORMAL, region=(brain,)),
        segment(6, "Lens", ("SCT", "78076003", "Lens"), region=(STRUCTURES["Eye_L"].type, LEFT)),
    )
    assert names == ["PTV_60", "Gland", "Half", "Lesion of the brain", "Oedema", "Lens"]
    assert all(name in warnings for name in names)


def test_no_two_structures_become_one(tmp_path, cube):
    primary = STRUCTURES["GTVp"].type
    names, warnings = names_of(
        tmp_path,
        cube,
        segment(1, "Tumour", primary, category=ABNORMAL),
        segment(2, "GTVp", primary, category=ABNORMAL),
        segment(3, "Tumour"),
        segment(4, "Brain"),
        segment(5, "Encephalon", STRUCTURES["Brain"].type),
        segment(6, "gtv"),
    )
    assert names == ["Tumour", "GTVp", "Tumour (2)", "Brain (2)", "Brain", "gtv"]
    for kept in ("'Tumour (2)'", "'Brain (2)'", "'gtv'"):
        assert f"kept as {kept}" in warnings


def test_a_label_against_its_code_is_mentioned(tmp_path, cube):
    parotid = STRUCTURES["Parotid_L"].type
    names, warnings = names_of(tmp_path, cube, segment(1, "Parotid_R", parotid, LEFT))
    assert names == ["Parotid_L"] and "Parotid_R" in warnings and "side" in warnings


# --- frames of reference ------------------------------------------------------------------


def test_another_frame_of_reference_is_refused(tmp_path, image):
    frames = slices_of(block(image, 2), image)
    path = foreign(
        tmp_path / "a.dcm", image, frames, [segment(1, "Brain")], FrameOfReferenceUID="1.2.99"
    )
    text = refusal(path, image)
    assert "1.2.99" in text and image.acquisition["FrameOfReferenceUID"] in text


@pytest.mark.parametrize("side", ["file", "image"])
def test_an_unknown_frame_of_reference_is_mentioned(tmp_path, image, side):
    mask = block(image, 2)
    path = foreign(
        tmp_path / "a.dcm", image, slices_of(mask, image), [segment(1, "Brain")],
        FrameOfReferenceUID="" if side == "file" else "1.2.4",
    )  # fmt: skip
    read = read_dicom_seg(path, image.replace(acquisition={}) if side == "image" else image)
    np.testing.assert_array_equal(read.masks["Brain"], mask)
    assert len(read.warnings) == 1 and "frame of reference" in read.warnings[0]


# --- bad files ----------------------------------------------------------------------------


def refusal(path: Path, image: Volume) -> str:
    with pytest.raises(InputError) as caught:
        read_dicom_seg(path, image)
    text = str(caught.value)
    assert "\n" not in text and text.endswith(".") and path.name in text
    return text


def spoil(path: Path, change) -> Path:
    data = pydicom.dcmread(path)
    change(data)
    data.save_as(path)
    return path


@pytest.mark.parametrize(
    "keyword",
    ["SegmentSequence", "PerFrameFunctionalGroupsSequence", "NumberOfFrames", "Rows", "PixelData"],
)
def test_a_file_that_lacks_something_is_refused(tmp_path, image, keyword):
    frames = slices_of(block(image, slice(2, 5)), image)
    path = foreign(tmp_path / "a.dcm", image, frames, [segment(1, "Brain")])
    read_dicom_seg(path, image)
    refusal(spoil(path, lambda data: delattr(data, keyword)), image)


def test_a_part_of_a_segmentation_is_refused(tmp_path, image):
    frames = slices_of(block(image, slice(2, 5)), image)
    path = foreign(
        tmp_path / "a.dcm", image, frames, [segment(1, "Brain")],
        ConcatenationUID="1.2.5", InConcatenationNumber=1,
    )  # fmt: skip
    assert "several files" in refusal(path, image)


def _no_place(data):
    del data.PerFrameFunctionalGroupsSequence[1].PlanePositionSequence


def _flat(data):
    plane = data.PerFrameFunctionalGroupsSequence[1].PlaneOrientationSequence[0]
    plane.ImageOrientationPatient = [1, 0, 0, 1, 0, 0]


def _other_segment(data):
    groups = data.PerFrameFunctionalGroupsSequence[1]
    groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber = 4


def _no_number(data):
    del data.SegmentSequence[0].SegmentNumber


@pytest.mark.parametrize("change", [_no_place, _flat, _other_segment, _no_number])
def test_a_file_that_contradicts_itself_is_refused(tmp_path, image, change):
    frames = slices_of(block(image, slice(2, 5)), image)
    path = foreign(tmp_path / "a.dcm", image, frames, [segment(1, "Brain")])
    refusal(spoil(path, change), image)


@pytest.mark.parametrize("share", [0.1, 0.3, 0.6, 0.9, 0.99])
def test_a_truncated_file_is_refused(tmp_path, image, share):
    frames = slices_of(block(image, slice(2, 7)), image)
    path = foreign(tmp_path / "a.dcm", image, frames, [segment(1, "Brain")])
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    refusal(path, image)


@pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom's, about what it passes over
def test_damaged_bytes_are_refused_or_harmless(tmp_path, cube):
    frames = slices_of(block(cube, slice(2, 4)), cube)
    parotid = segment(1, "Parotid_L", STRUCTURES["Parotid_L"].type, LEFT)
    path = foreign(tmp_path / "a.dcm", cube, frames, [parotid])
    whole = path.read_bytes()
    random = np.random.default_rng(3)
    refused = 0
    for _ in range(150):
        spoilt = bytearray(whole)
        for place in random.integers(132, len(whole), 4):
            spoilt[place] = random.integers(256)
        path.write_bytes(spoilt)
        try:
            read_dicom_seg(path, cube)
        except InputError:
            refused += 1
    assert 30 < refused < 150


def test_other_files_are_refused(tmp_path, image):
    assert "no file" in refusal(tmp_path / "missing.dcm", image)
    assert "no file" in refusal(tmp_path / "series", image)
    assert "DICOM MR" in refusal(next((tmp_path / "series").iterdir()), image)
    (tmp_path / "empty.dcm").touch()
    assert "not a DICOM file" in refusal(tmp_path / "empty.dcm", image)
    (tmp_path / "text.dcm").write_text("nothing of use " * 100)
    assert "not a DICOM file" in refusal(tmp_path / "text.dcm", image)
