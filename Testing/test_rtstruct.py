"""RT Structure Sets as written: what a planning system finds in them."""

from __future__ import annotations

import re
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk  # noqa: N813 (its usual name)
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, RTStructureSetStorage
from scipy import ndimage
from skimage.draw import polygon2mask

from dicom_series import AXIAL, OBLIQUE, SAGITTAL, write_series
from MRISynthLib.errors import InputError, OutputError
from MRISynthLib.io import load, load_one
from MRISynthLib.io.dicom_source import find_source
from MRISynthLib.provenance import DISCLAIMER
from MRISynthLib.volume import Volume
from MRISynthSegmentLib.rtstruct import empty_structures, read_rtstruct, write_rtstruct
from MRISynthSegmentLib.segmentation import Segmentation
from MRISynthSegmentLib.structures import STRUCTURES
from rtstruct_cases import PROVENANCE, Case, contours_in, items_of, written


@pytest.fixture(scope="module", params=["axial", "sagittal", "oblique"])
def case(request, tmp_path_factory) -> Case:
    axes = {"axial": AXIAL, "sagittal": SAGITTAL, "oblique": OBLIQUE}[request.param]
    folder = tmp_path_factory.mktemp(request.param)
    series = write_series(folder / "series", axes=axes)
    return written(series, folder / "contours.dcm")


@pytest.fixture
def axial(tmp_path) -> Case:
    return written(write_series(tmp_path / "series"), tmp_path / "contours.dcm")


# --- written ------------------------------------------------------------------------------


def test_what_was_written_is_read_back_to_the_pixel(case):
    found = read_rtstruct(case.path, case.image, case.source)
    assert list(found.masks) == list(case.segmentation.masks)
    for name, mask in case.segmentation.masks.items():
        np.testing.assert_array_equal(found.masks[name], mask, err_msg=name)


def test_another_program_reads_the_samestructures(case):
    """ITK's reading of the series and skimage's filling, on what pydicom finds in the file."""
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(case.folder)))
    image = reader.Execute()
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), case.image.voxels)
    record = pydicom.dcmread(case.path)
    for name, mask in case.segmentation.masks.items():
        found = np.zeros(mask.shape, bool)
        for contour in items_of(record, name)[1].get("ContourSequence", ()):
            points = np.reshape(contour.ContourData, (-1, 3)).astype(float)
            index = [image.TransformPhysicalPointToContinuousIndex(p) for p in points.tolist()]
            columns, rows, slices = np.transpose(index)
            np.testing.assert_allclose(slices, np.rint(slices[0]), atol=1e-4)
            inside = polygon2mask(mask.shape[1:], np.column_stack([rows, columns]))
            found[int(np.rint(slices[0]))] ^= inside
        np.testing.assert_array_equal(found, mask, err_msg=name)


def test_surfaces_differ_by_less_than_half_a_pixel(case):
    """On a grid eight times as fine, where a contour does not simply give the pixels back."""
    fine = 8
    matrix = case.image.index_to_world @ np.diag([1 / fine, 1 / fine, 1, 1])
    corner = case.image.index_to_world[:3, :2] @ np.full(2, 0.5 / fine - 0.5)
    matrix[:3, 3] = case.image.origin + corner
    slices, rows, columns = case.image.shape
    grid = Volume(np.zeros((slices, rows * fine, columns * fine), np.uint8), matrix)
    found = read_rtstruct(case.path, grid)
    for name, mask in case.segmentation.masks.items():
        expected = np.repeat(np.repeat(mask, fine, axis=1), fine, axis=2)
        off = found.masks[name] != expected
        away = np.maximum(_depth(expected, False), _depth(~expected, True))[off]
        assert away.max(initial=0) < fine / 2, name
        assert off.sum() <= 0.5 * fine**2 * mask.sum(), name


def _depth(mask: np.ndarray, outside: bool) -> np.ndarray:
    """How far, in pixels of its slice, each pixel of a mask lies inside; ``outside`` the image it
    goes on or not."""
    padded = np.pad(mask, ((0, 0), (1, 1), (1, 1)), constant_values=outside)
    return np.array([ndimage.distance_transform_edt(plane) for plane in padded])[:, 1:-1, 1:-1]


def test_it_refers_to_the_patient_study_and_every_slice_of_the_series(case):
    record = pydicom.dcmread(case.path)
    header = case.source.header
    assert record.SOPClassUID == RTStructureSetStorage and record.Modality == "RTSTRUCT"
    for keyword in ("PatientName", "PatientID", "PatientBirthDate", "StudyInstanceUID"):
        assert record[keyword].value == header[keyword].value
    assert record.SeriesInstanceUID != header.SeriesInstanceUID
    assert record.ApprovalStatus == "UNAPPROVED"
    (place,) = record.ReferencedFrameOfReferenceSequence
    (study,) = place.RTReferencedStudySequence
    (series,) = study.RTReferencedSeriesSequence
    assert place.FrameOfReferenceUID == record.FrameOfReferenceUID == "1.2.4"
    assert {roi.ReferencedFrameOfReferenceUID for roi in record.StructureSetROISequence} == {
        "1.2.4"
    }
    assert study.ReferencedSOPInstanceUID == header.StudyInstanceUID
    assert series.SeriesInstanceUID == header.SeriesInstanceUID
    listed = [image.ReferencedSOPInstanceUID for image in series.ContourImageSequence]
    assert listed == [each.header.SOPInstanceUID for each in case.source.slices]


def test_each_contour_lies_in_the_plane_of_the_slice_that_it_names(case):
    headers = {each.header.SOPInstanceUID: each.header for each in case.source.slices}
    contours = contours_in(pydicom.dcmread(case.path))
    assert contours
    for contour in contours:
        (image,) = contour.ContourImageSequence
        header = headers[image.ReferencedSOPInstanceUID]
        assert image.ReferencedSOPClassUID == header.SOPClassUID
        assert "ReferencedFrameNumber" not in image
        axes = np.reshape(header.ImageOrientationPatient, (2, 3)).astype(float)
        points = np.reshape(contour.ContourData, (-1, 3)).astype(float)
        off = (points - np.array(header.ImagePositionPatient, float)) @ np.cross(*axes)
        assert np.abs(off).max() < 1e-5


def test_coordinates_are_decimal_strings_of_at_most_16_characters(case):
    for contour in contours_in(pydicom.dcmread(case.path)):
        values = contour.get_item("ContourData").value.strip(b" ").split(b"\\")
        assert all(re.fullmatch(rb"-?\d+(\.\d+)?", value) and len(value) <= 16 for value in values)
        assert len(values) == 3 * contour.NumberOfContourPoints
        points = np.reshape(values, (-1, 3))
        assert (points[0] != points[-1]).any()
        assert contour.ContourGeometricType == "CLOSED_PLANAR"


def test_structures_say_what_they_are(case):
    record = pydicom.dcmread(case.path)
    roi, drawn, seen = items_of(record, "GTVp")
    assert (roi.ROIGenerationAlgorithm, seen.RTROIInterpretedType) == ("AUTOMATIC", "GTV")
    assert drawn.ROIDisplayColor == [round(255 * c) for c in STRUCTURES["GTVp"].colour]
    assert seen.RTROIIdentificationCodeSequence[0].CodeValue == "86049000"
    assert seen.ROIInterpreter == ""
    (code,) = items_of(record, "Eye_L")[2].RTROIIdentificationCodeSequence
    assert (code.CodingSchemeDesignator, code.CodeValue) == ("SCT", "81745001")
    assert code.SegmentedPropertyTypeModifierCodeSequence[0].CodeMeaning == "Left"
    assert items_of(record, "Eye_L")[2].RTROIInterpretedType == "ORGAN"
    unknown = items_of(record, "Bolus")[2]
    assert unknown.RTROIInterpretedType == "BOLUS"
    assert "RTROIIdentificationCodeSequence" not in unknown


def test_an_empty_structure_is_there_without_contours_and_is_told(case):
    assert empty_structures(case.segmentation) == ("Parotid_L",)
    record = pydicom.dcmread(case.path)
    roi, drawn, _ = items_of(record, "Parotid_L")
    assert "ContourSequence" not in drawn
    assert "not found" in roi.ROIDescription
    assert "Looked for, not found: Parotid_L." in record.StructureSetDescription
    found = read_rtstruct(case.path, case.image)
    assert not found.masks["Parotid_L"].any()
    assert "contours.dcm has no closed contours for Parotid_L." in found.warnings


def test_it_says_wherever_there_is_room_that_an_input_was_synthetic(case):
    record = pydicom.dcmread(case.path)
    assert record.SeriesDescription == "MRISynth research contours on SYNTHETIC CE-T1w, T1w"
    assert DISCLAIMER in record.StructureSetDescription
    assert "A slice is missing." in record.StructureSetDescription
    roi = items_of(record, "GTVp")[0]
    assert roi.ROIGenerationDescription == "npc_segmentation 1.0 on SYNTHETIC CE-T1w, T1w"
    (algorithm,) = roi.ROIDerivationAlgorithmIdentificationSequence
    assert algorithm.AlgorithmName == "npc_segmentation"
    assert "0123456789abcdef" in algorithm.AlgorithmParameters
    assert any("SYNTHETIC CE-T1w" in text for text in read_rtstruct(case.path, case.image).warnings)


def test_long_texts_keep_the_word_synthetic_and_their_limits(axial):
    many = tuple({"sequence": f"a sequence {n}", "name": "", "synthetic": n == 8} for n in range(9))
    provenance = replace(PROVENANCE, inputs=many, bundle="a_bundle_with_a_name_" * 4)
    segmentation = replace(
        axial.segmentation, provenance=provenance, warnings=("A long \\ warning. " * 90,)
    )
    types = dict.fromkeys(segmentation.masks, "SEMIAUTOMATIC")
    write_rtstruct(segmentation, axial.path, axial.source, algorithm_types=types)
    record = pydicom.dcmread(axial.path)
    roi = record.StructureSetROISequence[0]
    for text in (record.SeriesDescription, roi.ROIGenerationDescription):
        assert len(text) <= 64 and "SYNTHETIC" in text
    assert len(roi.ROIDerivationAlgorithmIdentificationSequence[0].AlgorithmName) <= 64
    assert 900 < len(record.StructureSetDescription) <= 1024
    assert "\\" not in record.StructureSetDescription


def test_how_each_structure_was_drawn(axial):
    by_hand = replace(axial.segmentation, provenance=None)
    types = {"GTVp": "SEMIAUTOMATIC", "Brain": "AUTOMATIC"}
    for segmentation, other in ((axial.segmentation, "AUTOMATIC"), (by_hand, "MANUAL")):
        write_rtstruct(segmentation, axial.path, axial.source, algorithm_types=types)
        for roi in pydicom.dcmread(axial.path).StructureSetROISequence:
            assert roi.ROIGenerationAlgorithm == types.get(roi.ROIName, other)
            named = "ROIDerivationAlgorithmIdentificationSequence" in roi
            assert named == (segmentation.provenance is not None)
    assert "research" not in pydicom.dcmread(axial.path).SeriesDescription
    for wrong in ({"GTVp": "DRAWN"}, {"Nose": "MANUAL"}):
        with pytest.raises(ValueError, match="algorithm_types"):
            write_rtstruct(by_hand, axial.path, axial.source, algorithm_types=wrong)


def test_an_image_whose_axes_run_the_other_way_gives_the_same_contours(axial):
    """As after conversion to NIfTI: the same places, other indices."""
    matrix = axial.image.index_to_world.copy()
    matrix[:3, 3] += matrix[:3, :3] @ [9, 11, 7]
    matrix[:3, :3] *= -1
    turned = Volume(axial.image.voxels[::-1, ::-1, ::-1], matrix, "T1w", "turned")
    masks = {name: mask[::-1, ::-1, ::-1] for name, mask in axial.segmentation.masks.items()}
    path = axial.path.with_name("turned.dcm")
    write_rtstruct(Segmentation(masks, turned), path, find_source([axial.folder], turned))
    found = read_rtstruct(path, axial.image)
    for name, mask in axial.segmentation.masks.items():
        np.testing.assert_array_equal(found.masks[name], mask)
    headers = {each.header.SOPInstanceUID: each.header for each in axial.source.slices}
    for contour in contours_in(pydicom.dcmread(path)):
        header = headers[contour.ContourImageSequence[0].ReferencedSOPInstanceUID]
        assert contour.ContourData[2] == pytest.approx(header.ImagePositionPatient[2])


def test_every_object_is_a_new_one(axial):
    first = pydicom.dcmread(axial.path)
    write_rtstruct(axial.segmentation, axial.path, axial.source, label="Second", series_number=7)
    second = pydicom.dcmread(axial.path)
    for keyword in ("SOPInstanceUID", "SeriesInstanceUID"):
        assert first[keyword].value != second[keyword].value
    assert (second.StructureSetLabel, second.SeriesNumber) == ("Second", 7)


@pytest.mark.parametrize(
    ("characters", "patient"),
    [("ISO_IR 100", "Müller^Jörg"), ("GB18030", "Wang^XiaoDong=王^小东")],
)
def test_letters_that_the_study_does_not_have(axial, tmp_path, characters, patient):
    def named(data: Dataset, index: int) -> None:
        data.SpecificCharacterSet, data.PatientName = characters, patient

    series = write_series(tmp_path / "named", change=named)
    image = load_one(series)
    source = find_source([series], image)
    masks = {"GTVp": axial.segmentation.masks["GTVp"], "鼻咽": np.ones(image.shape, bool)}
    segmentation = Segmentation(masks, image, warnings=("Höhe fehlt",))
    record = pydicom.dcmread(write_rtstruct(segmentation, axial.path, source))
    assert str(record.PatientName) == patient
    assert record.StructureSetROISequence[1].ROIName == "鼻咽"
    assert "Höhe fehlt" in record.StructureSetDescription
    assert source.header.SpecificCharacterSet == characters, "the source stays as it was"


def test_contours_longer_than_64_kib(tmp_path):
    def large(data: Dataset, index: int) -> None:
        data.Rows = data.Columns = 96
        data.PixelData = bytes(2 * 96 * 96)

    series = write_series(tmp_path / "large", range(2), change=large)
    image = load_one(series)
    mask = np.random.default_rng(0).random(image.shape) < 0.8
    path = tmp_path / "large.dcm"
    write_rtstruct(Segmentation({"Brain": mask}, image), path, find_source([series], image))
    record = pydicom.dcmread(path)
    assert max(len(c.get_item("ContourData").value) for c in contours_in(record)) > 65536
    np.testing.assert_array_equal(read_rtstruct(path, image).masks["Brain"], mask)
    record.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    explicit = tmp_path / "explicit.dcm"
    with pytest.warns(UserWarning, match="UN"):
        record.save_as(explicit, implicit_vr=False, little_endian=True)
    np.testing.assert_array_equal(read_rtstruct(explicit, image).masks["Brain"], mask)


def _dciodvfy(path: Path) -> str:
    if shutil.which("dciodvfy") is None:
        pytest.skip("needs dciodvfy (dicom3tools)")
    done = subprocess.run(["dciodvfy", "-new", str(path)], capture_output=True, text=True)
    assert "RTStructureSet" in done.stderr
    return done.stderr


def test_dciodvfy_finds_no_error(case):
    assert "Error" not in _dciodvfy(case.path)


def test_a_multi_frame_series_is_referred_to_by_frames(shared_data, tmp_path):
    with zipfile.ZipFile(
        shared_data / "dicom_enhanced_phantom" / "philips_enh_phantom.zip"
    ) as archive:
        archive.extractall(tmp_path)
    image = load(tmp_path)[0]
    source = find_source([tmp_path], image)
    mask = np.zeros(image.shape, bool)
    mask[2:20, 80:160, 90:170] = True
    path = tmp_path / "contours.dcm"
    write_rtstruct(Segmentation({"Brain": mask}, image), path, source)
    record = pydicom.dcmread(path)
    study = record.ReferencedFrameOfReferenceSequence[0].RTReferencedStudySequence[0]
    (listed,) = study.RTReferencedSeriesSequence[0].ContourImageSequence
    assert listed.ReferencedFrameNumber == [each.frame for each in source.slices]
    frames = source.header.PerFrameFunctionalGroupsSequence
    for contour in contours_in(record):
        number = contour.ContourImageSequence[0].ReferencedFrameNumber
        position = frames[number - 1].PlanePositionSequence[0].ImagePositionPatient
        orientation = frames[number - 1].PlaneOrientationSequence[0].ImageOrientationPatient
        normal = np.cross(*np.reshape(orientation, (2, 3)).astype(float))
        points = np.reshape(contour.ContourData, (-1, 3)).astype(float)
        assert np.abs((points - np.array(position, float)) @ normal).max() < 1e-4
    np.testing.assert_array_equal(read_rtstruct(path, image, source).masks["Brain"], mask)
    assert "Error" not in _dciodvfy(path)


# --- refused ------------------------------------------------------------------------------


def _refusal(write: Callable[[], object], folder: Path) -> str:
    """What is said, when nothing is written in ``folder``."""
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    with pytest.raises(InputError) as caught:
        write()
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    text = str(caught.value)
    assert "\n" not in text and text.endswith(".")
    return text


def test_a_series_without_a_frame_of_reference_is_refused(axial, tmp_path):
    def without(data: Dataset, index: int) -> None:
        del data.FrameOfReferenceUID

    series = write_series(tmp_path / "without", change=without)
    source = find_source([series], axial.image)
    text = _refusal(lambda: write_rtstruct(axial.segmentation, axial.path, source), tmp_path)
    assert "FrameOfReferenceUID" in text


def test_an_image_that_is_not_the_series_is_refused(axial, tmp_path):
    shifted = axial.image.index_to_world.copy()
    shifted[2, 3] += 2.0
    images = [
        axial.image.replace(index_to_world=shifted),
        Volume(axial.image.voxels[:-1], axial.image.index_to_world),
        Volume(axial.image.voxels[:, 1:], axial.image.index_to_world),
        Volume(axial.image.voxels, axial.image.index_to_world @ np.diag([1.2, 1, 1, 1])),
    ]
    for image in images:
        other = Segmentation({"Brain": np.ones(image.shape, bool)}, image)
        text = _refusal(
            lambda other=other: write_rtstruct(other, axial.path, axial.source), tmp_path
        )
        assert "does not have the slices of the series 't1_tse_tra'" in text


@pytest.mark.parametrize("name", ["", " ", "a" * 65, "left\\right", "two\nlines"])
def test_names_that_dicom_cannot_hold_are_refused(axial, tmp_path, name):
    masks = {"GTVp": axial.segmentation.masks["GTVp"], name: axial.segmentation.masks["Brain"]}
    other = Segmentation(masks, axial.image)
    text = _refusal(lambda: write_rtstruct(other, axial.path, axial.source), tmp_path)
    assert "rename the structure" in text


def test_labels_that_dicom_cannot_hold_and_no_structures_are_refused(axial, tmp_path):
    for label in ("", "a label of 17 ch.", "a\\b"):
        text = _refusal(
            lambda label=label: write_rtstruct(
                axial.segmentation, axial.path, axial.source, label=label
            ),
            tmp_path,
        )
        assert "label" in text
    nothing = Segmentation({}, axial.image)
    _refusal(lambda: write_rtstruct(nothing, axial.path, axial.source), tmp_path)


def test_a_place_that_cannot_be_written_is_refused(axial, tmp_path):
    with pytest.raises(OutputError, match="no folder"):
        write_rtstruct(axial.segmentation, tmp_path / "nowhere" / "a.dcm", axial.source)
