"""RT Structure Sets of others: read, translated, or refused with a reason."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from dicom_series import write_series
from MRISynthLib.errors import InputError
from MRISynthLib.io.dicom_source import DicomSource
from MRISynthLib.io.dicom_values import decimal
from MRISynthLib.volume import Volume
from MRISynthSegmentLib.contours import contours_of, mask_of
from MRISynthSegmentLib.roi_names import tg263_name
from MRISynthSegmentLib.rtstruct import read_rtstruct
from MRISynthSegmentLib.structures import STRUCTURES
from rtstruct_cases import Case, contours_in, items_of, new_contour, written


@pytest.fixture
def axial(tmp_path) -> Case:
    return written(write_series(tmp_path / "series"), tmp_path / "contours.dcm")


def _edited(case: Case, change: Callable[[Dataset], None]) -> Path:
    record = pydicom.dcmread(case.path)
    change(record)
    path = case.path.with_name("other.dcm")
    record.save_as(path, enforce_file_format=True)
    return path


def _read_refusal(path: Path, image: Volume, source: DicomSource | None = None) -> str:
    with pytest.raises(InputError) as caught:
        read_rtstruct(path, image, source)
    text = str(caught.value)
    assert "\n" not in text and text.endswith(".") and path.name in text
    return text


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("GTV", "GTVp"),
        ("gtvP", "GTVp"),
        ("GTV T", "GTVp"),
        ("GTV-T", "GTVp"),
        ("GTVnx", "GTVp"),
        ("Brain Stem", "Brainstem"),
        ("BRAINSTEM", "Brainstem"),
        ("brain_stem", "Brainstem"),
        ("Spinal Cord", "SpinalCord"),
        ("cord", "SpinalCord"),
        ("Parotid L", "Parotid_L"),
        ("Lt Parotid", "Parotid_L"),
        ("parotid_lt", "Parotid_L"),
        ("PAROTID (LEFT)", "Parotid_L"),
        ("R. Parotid", "Parotid_R"),
        ("Glnd_Parotid_R", "Parotid_R"),
        ("ParotidR", "Parotid_R"),
        ("Left parotid gland", "Parotid_L"),
        ("Optic Nerve Right", "OpticNrv_R"),
        ("rt optic nerve", "OpticNrv_R"),
        ("ON_L", "OpticNrv_L"),
        ("Eye-L", "Eye_L"),
        ("Globe_R", "Eye_R"),
        ("Temporal Lobe L", "Lobe_Temporal_L"),
        ("TempLobe_R", "Lobe_Temporal_R"),
        ("mandible", "Bone_Mandible"),
        ("Optic Chiasm", "OpticChiasm"),
        ("gtv_n", "GTVn"),
    ],
)
def test_names_of_clinics(name, expected):
    assert tg263_name(name) == expected


@pytest.mark.parametrize("name", list(STRUCTURES))
def test_own_names_stay(name):
    assert tg263_name(name) == name


@pytest.mark.parametrize(
    "name",
    ["Parotid", "Parotids", "Brainstem PRV", "Brainstem_PRV03", "Brain-GTV", "~Parotid_L", "GTVn2",
     "GTV2", "CTVp", "Eye", "Optic Nerve", "L", "", "Parotid_L+3mm", "Temporal_L", "Medulla"],
)  # fmt: skip
def test_other_structures_are_not_taken_for_known_ones(name):
    assert tg263_name(name) is None


def test_names_are_translated_and_unknown_ones_kept_and_marked(axial):
    names = {"GTVp": "gtv", "Brainstem": "BRAIN STEM", "Eye_L": "Left Eye", "Bolus": "PTV 70"}

    def rename(record: Dataset) -> None:
        for roi in record.StructureSetROISequence:
            roi.ROIName = names.get(roi.ROIName, roi.ROIName)

    found = read_rtstruct(_edited(axial, rename), axial.image)
    assert list(found.masks) == [
        "PTV 70" if name == "Bolus" else name for name in axial.segmentation.masks
    ]
    assert "other.dcm: 'BRAIN STEM' is read as Brainstem." in found.warnings
    assert [text for text in found.warnings if "not among" in text and "PTV 70" in text]
    np.testing.assert_array_equal(found.masks["GTVp"], axial.segmentation.masks["GTVp"])


def test_two_structures_of_one_meaning_are_both_kept(axial):
    names = {"Brain": "GTV", "Eye_L": "GTVp", "Eye_R": "GTVp", "GTVp": "Tumour", "Bolus": "Tumour"}

    def rename(record: Dataset) -> None:
        for roi in record.StructureSetROISequence:
            roi.ROIName = names.get(roi.ROIName, roi.ROIName)

    found = read_rtstruct(_edited(axial, rename), axial.image)
    masks = axial.segmentation.masks
    for name, original in (("GTVp", "Eye_L"), ("GTVp (2)", "Eye_R"), ("GTV", "Brain"),
                           ("Tumour", "GTVp"), ("Tumour (2)", "Bolus")):  # fmt: skip
        np.testing.assert_array_equal(found.masks[name], masks[original])
    assert "other.dcm: a second GTVp is kept as 'GTV'." in found.warnings


def test_another_frame_of_reference_is_refused_and_both_are_named(axial):
    def elsewhere(record: Dataset) -> None:
        for roi in record.StructureSetROISequence:
            roi.ReferencedFrameOfReferenceUID = "1.2.99"

    text = _read_refusal(_edited(axial, elsewhere), axial.image)
    assert "1.2.99" in text and "1.2.4" in text
    plain = axial.image.replace(acquisition={})
    assert "1.2.99" in _read_refusal(_edited(axial, elsewhere), plain, axial.source)


def test_a_frame_of_reference_that_one_side_does_not_say_is_mentioned(axial):
    def without(record: Dataset) -> None:
        del record.FrameOfReferenceUID, record.ReferencedFrameOfReferenceSequence
        for roi in record.StructureSetROISequence:
            roi.ReferencedFrameOfReferenceUID = ""

    silent = _edited(axial, without)
    plain = axial.image.replace(acquisition={}, name="plain")
    assert any("other.dcm does not say" in t for t in read_rtstruct(silent, axial.image).warnings)
    assert any("plain does not say" in t for t in read_rtstruct(axial.path, plain).warnings)
    assert not any("does not say" in t for t in read_rtstruct(silent, plain).warnings)


def test_contours_of_another_patient_are_refused(axial):
    def other(record: Dataset) -> None:
        record.PatientID = "4712"

    text = _read_refusal(_edited(axial, other), axial.image, axial.source)
    assert "PatientID" in text and "4711" not in text


@pytest.mark.parametrize("kind", ["CLOSED_PLANAR", "CLOSEDPLANAR_XOR"])
def test_holes_as_contours_of_their_own(axial, kind):
    """Whatever way round they run, and with an island in the hole."""
    image = axial.image
    outside, inside, island = np.zeros((3, *image.shape), bool)
    outside[3, 1:11, 1:9] = True
    inside[3, 2:9, 2:8] = True
    island[3, 4:6, 4:6] = True
    masks = (outside, inside, island)
    rings = [contours_of(mask, image.index_to_world)[3][0] for mask in masks]
    rings[1] = rings[1][::-1]

    def replaced(record: Dataset) -> None:
        _, drawn, _ = items_of(record, "GTVp")
        drawn.ContourSequence = [new_contour(kind, ring) for ring in rings]

    found = read_rtstruct(_edited(axial, replaced), image).masks["GTVp"]
    np.testing.assert_array_equal(found, (outside & ~inside) | island)


def test_points_lines_and_repeated_contours_are_left_out_and_it_is_said(axial):
    def more(record: Dataset) -> None:
        _, drawn, _ = items_of(record, "GTVp")
        points = np.array([[-38.0, -28, 5], [-36, -28, 5], [-36, -25, 5]])
        drawn.ContourSequence += [
            new_contour("POINT", points[:1]),
            new_contour("OPEN_PLANAR", points),
            new_contour("CLOSED_PLANAR", points[:2]),
            drawn.ContourSequence[0],
        ]
        _, drawn, _ = items_of(record, "Bolus")
        drawn.ContourSequence = [new_contour("POINT", points[:1])]

    found = read_rtstruct(_edited(axial, more), axial.image)
    np.testing.assert_array_equal(found.masks["GTVp"], axial.segmentation.masks["GTVp"])
    for words in ("POINT", "OPEN_PLANAR", "fewer than three", "twice"):
        assert any("GTVp" in text and words in text for text in found.warnings), words
    assert not found.masks["Bolus"].any()
    assert "other.dcm has no closed contours for Parotid_L, Bolus." in found.warnings


def test_a_structure_that_no_contours_are_listed_for_is_empty(axial):
    def dropped(record: Dataset) -> None:
        number = items_of(record, "Eye_R")[0].ROINumber
        record.ROIContourSequence = [
            item for item in record.ROIContourSequence if item.ReferencedROINumber != number
        ]

    assert not read_rtstruct(_edited(axial, dropped), axial.image).masks["Eye_R"].any()


def test_contours_off_the_slices_are_moved_with_a_warning_or_refused(axial):
    def by(shift: float) -> Callable[[Dataset], None]:
        def shifted(record: Dataset) -> None:
            for contour in contours_in(record):
                points = np.reshape(contour.ContourData, (-1, 3)).astype(float)
                points[:, 2] += shift
                contour.ContourData = [decimal(value) for value in points.ravel()]

        return shifted

    found = read_rtstruct(_edited(axial, by(1.2)), axial.image)
    np.testing.assert_array_equal(found.masks["GTVp"], axial.segmentation.masks["GTVp"])
    assert any("GTVp" in text and "1.2 mm off" in text for text in found.warnings)
    silent = read_rtstruct(_edited(axial, by(0.01)), axial.image)
    assert not any("off the slices" in text for text in silent.warnings)
    text = _read_refusal(_edited(axial, by(3.0)), axial.image)
    assert "3.0 mm beyond the last slice" in text


def test_contours_that_leave_the_image_are_cut_off_with_a_warning(axial):
    smaller = Volume(axial.image.voxels[:, :, :5], axial.image.index_to_world, name="smaller")
    found = read_rtstruct(axial.path, smaller)
    assert found.masks["Brain"].all()
    assert any("Brain reaches up to 4.5 mm beyond" in text for text in found.warnings)


@pytest.mark.parametrize(
    ("values", "count", "words"),
    [
        (["1", "2", "3", "4"], 1, "three for each point"),
        (["1", "2", "nan"] * 3, 3, "not numbers"),
        (["1", "2", "3"] * 4, 5, "4 points where it says 5"),
    ],
)
def test_contours_with_wrong_numbers_are_refused(axial, values, count, words):
    def wrong(record: Dataset) -> None:
        contour = items_of(record, "Eye_L")[1].ContourSequence[0]
        contour.NumberOfContourPoints = count
        contour.add(pydicom.DataElement("ContourData", "DS", "\\".join(values),
                                        already_converted=True))  # fmt: skip

    text = _read_refusal(_edited(axial, wrong), axial.image)
    assert "Eye_L" in text and words in text


def test_files_that_are_cut_off_are_refused(axial):
    whole = axial.path.read_bytes()
    cut = axial.path.with_name("cut.dcm")
    for length in [0, 1, 131, 132, 300, *np.linspace(500, len(whole) - 100, 40).astype(int)]:
        cut.write_bytes(whole[:length])
        _read_refusal(cut, axial.image)


def test_other_files_are_refused(axial, tmp_path):
    text = tmp_path / "notes.txt"
    text.write_text("no DICOM at all\n" * 50)
    assert "no DICOM file" in _read_refusal(text, axial.image)
    assert "of the kind MR" in _read_refusal(axial.source.slices[0].path, axial.image)
    assert "no RTSTRUCT file" in _read_refusal(tmp_path / "missing.dcm", axial.image)

    def emptied(record: Dataset) -> None:
        record.StructureSetROISequence = []

    assert "no structures" in _read_refusal(_edited(axial, emptied), axial.image)


def test_contours_on_half_as_many_slices_leave_gaps_that_are_said(axial):
    matrix = axial.image.index_to_world @ np.diag([1, 1, 0.5, 1])
    fine = Volume(np.zeros((15, 12, 10), np.uint8), matrix, name="fine")
    found = read_rtstruct(axial.path, fine)
    np.testing.assert_array_equal(found.masks["GTVp"][::2], axial.segmentation.masks["GTVp"])
    assert any("GTVp" in text and "stay empty" in text for text in found.warnings)
    contours = contours_of(axial.segmentation.masks["GTVp"], axial.image.index_to_world)
    every = mask_of({2 * k: rings for k, rings in contours.items()}, fine)
    np.testing.assert_array_equal(found.masks["GTVp"], every)
