"""DICOM SEG: what is written is what was drawn, where it was drawn, and says what it is."""

from __future__ import annotations

import errno
import shutil
import subprocess
from copy import deepcopy
from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk  # noqa: N813
from pydicom.dataset import Dataset

from dicom_series import AXIAL, OBLIQUE, enhanced, slice_data, write_series
from MRISynthLib.errors import InputError, OutputError
from MRISynthLib.io import load, load_one
from MRISynthLib.io.dicom_source import DicomSource, find_source
from MRISynthLib.provenance import Provenance
from MRISynthLib.volume import Volume
from MRISynthSegmentLib.dicom_seg import read_dicom_seg, write_dicom_seg
from MRISynthSegmentLib.segmentation import Segmentation
from MRISynthSegmentLib.structures import STRUCTURES

PROVENANCE = Provenance(
    True,
    "segmentation",
    inputs=(
        {"sequence": "T1w", "name": "", "synthetic": False},
        {"sequence": "CE-T1w", "name": "", "synthetic": True},
    ),
    bundle="npc_segmentation",
    bundle_version="1.2",
    bundle_hash="0123456789abcdef" * 4,
    software="MRISynth 0.1.0",
)


def masks_of(shape: tuple[int, int, int]) -> dict[str, np.ndarray]:
    """Overlapping, sided, sparse and single-voxel structures, an unknown one and an empty one."""
    masks = {
        name: np.zeros(shape, bool)
        for name in ("Brain", "GTVp", "Parotid_L", "Parotid_R", "Eye_L", "Hippocampus", "Brainstem")
    }
    masks["Brain"][1:6, 2:9, 2:8] = True
    masks["GTVp"][2:4, 3:7, 5:10] = True  # over the brain's border
    masks["Parotid_L"][3, 1:4, 0] = True
    masks["Parotid_R"][::3, 1, 9] = True  # slices between are empty
    masks["Eye_L"][0, 0, 0] = True
    masks["Hippocampus"][7, 11, 9] = True
    return masks


@pytest.fixture(params=["axial", "oblique"])
def folder(tmp_path: Path, request) -> Path:
    return write_series(tmp_path / "series", axes=OBLIQUE if request.param == "oblique" else AXIAL)


@pytest.fixture
def image(folder: Path) -> Volume:
    return load_one(folder)


@pytest.fixture
def source(folder: Path, image: Volume) -> DicomSource:
    return find_source([folder], image)


@pytest.fixture
def drawn(image: Volume) -> Segmentation:
    return Segmentation(
        masks_of(image.shape), image, PROVENANCE, ("A proposal: check every slice.",)
    )


@pytest.fixture
def file(tmp_path: Path, drawn: Segmentation, source: DicomSource) -> Path:
    return write_dicom_seg(drawn, tmp_path / "seg.dcm", source)


def same_masks(one: Segmentation, two: Segmentation) -> bool:
    return list(one.masks) == list(two.masks) and all(
        np.array_equal(one.masks[name], two.masks[name]) for name in one.masks
    )


def points_in_file(path: Path, label: str) -> np.ndarray:
    """LPS positions of a segment's pixels, by pydicom and the functional groups alone."""
    data = pydicom.dcmread(path)
    number = next(s.SegmentNumber for s in data.SegmentSequence if s.SegmentLabel == label)
    shared = data.SharedFunctionalGroupsSequence[0]
    cosines = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, float)
    rows_mm, columns_mm = shared.PixelMeasuresSequence[0].PixelSpacing
    found = []
    pixels = data.pixel_array.reshape(-1, data.Rows, data.Columns)
    for frame, groups in zip(pixels, data.PerFrameFunctionalGroupsSequence, strict=True):
        where = groups if "SegmentIdentificationSequence" in groups else shared
        if where.SegmentIdentificationSequence[0].ReferencedSegmentNumber == number:
            corner = np.array(groups.PlanePositionSequence[0].ImagePositionPatient, float)
            for row, column in np.argwhere(frame):
                step = column * columns_mm * cosines[:3] + row * rows_mm * cosines[3:]
                found.append(corner + step)
    return in_order(found)


def points_of(mask: np.ndarray, image: Volume) -> np.ndarray:
    index = np.argwhere(mask)[:, ::-1]
    return in_order(index @ image.index_to_world[:3, :3].T + image.index_to_world[:3, 3])


def in_order(points) -> np.ndarray:
    points = np.round(np.reshape(points, (-1, 3)), 2) + 0.0
    return points[np.lexsort(points.T)]


def findings_of_dciodvfy(path: Path) -> str:
    if shutil.which("dciodvfy") is None:
        pytest.skip("needs dciodvfy (Debian package dicom3tools)")
    done = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


# --- written and read back ----------------------------------------------------------------


def test_round_trip_is_exact(file, drawn, image):
    back = read_dicom_seg(file, image)
    assert same_masks(back, drawn) and back.reference is image
    assert back.provenance == PROVENANCE
    assert len(back.warnings) == 2 and "SYNTHETIC" in back.warnings[0]
    assert "Hippocampus" in back.warnings[1]


def test_every_pixel_lies_where_it_was_drawn(file, drawn, image):
    for name, mask in drawn.masks.items():
        np.testing.assert_allclose(
            points_in_file(file, name), points_of(mask, image), atol=0.011, err_msg=name
        )


def test_highdicom_reads_it(file, drawn, image):
    read = highdicom.seg.segread(file)
    volume = read.get_volume(segment_numbers=[1]).squeeze_channel()
    grid = highdicom.VolumeGeometry(
        image.index_to_world[:, [2, 1, 0, 3]], image.shape, "PATIENT", read.FrameOfReferenceUID
    )
    np.testing.assert_array_equal(volume.match_geometry(grid).array, drawn.masks["Brain"])


def test_simpleitk_reads_it(tmp_path, drawn, source, image):
    path = tmp_path / "brain.dcm"
    brain = drawn.masks["Brain"]
    write_dicom_seg(Segmentation({"Brain": brain}, image), path, source)
    pixels = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
    groups = pydicom.dcmread(path).PerFrameFunctionalGroupsSequence
    assert len(pixels) == len(groups) == 5
    to_index = np.linalg.inv(image.index_to_world)
    for frame, each in zip(pixels, groups, strict=True):
        position = [*each.PlanePositionSequence[0].ImagePositionPatient, 1.0]
        np.testing.assert_array_equal(frame > 0, brain[round((to_index @ position)[2])])


def test_dciodvfy_finds_no_error(file):
    assert "Error" not in findings_of_dciodvfy(file)


@pytest.mark.parametrize("axes", [(0,), (1,), (2,), (0, 1), (1, 2), (0, 1, 2)])
def test_an_image_turned_by_conversion(tmp_path, axes):
    """As after DICOM -> NIfTI: the same voxels, axes running the other way."""
    folder = write_series(tmp_path / "series", axes=OBLIQUE)
    read = load_one(folder)
    flip = np.eye(4)
    for axis in axes:
        flip[2 - axis, 2 - axis], flip[2 - axis, 3] = -1, read.shape[axis] - 1
    image = Volume(np.flip(read.voxels, axes), read.index_to_world @ flip, name="turned")
    source = find_source([folder], image)
    drawn = Segmentation(masks_of(image.shape), image)
    path = write_dicom_seg(drawn, tmp_path / "seg.dcm", source)
    assert same_masks(read_dicom_seg(path, image), drawn)
    for name in ("Brain", "Parotid_L", "Parotid_R", "Eye_L"):
        np.testing.assert_allclose(
            points_in_file(path, name), points_of(drawn.masks[name], image), atol=0.011
        )
    turned_back = read_dicom_seg(path, read)
    np.testing.assert_array_equal(turned_back.masks["GTVp"], np.flip(drawn.masks["GTVp"], axes))


@pytest.mark.parametrize("files", [1, 2])
def test_enhanced_source_is_referred_to_frame_by_frame(tmp_path, files):
    """Two echoes in one series, in no order: the frames named are those of the image."""
    order = [(3, 90), (0, 10), (7, 10), (1, 90), (2, 10), (6, 90), (4, 10), (5, 10)]
    order += [(index, 100 - echo) for index, echo in order]
    frames = []
    for index, echo in order:
        frames.append(slice_data(index, OBLIQUE))
        frames[-1].EchoTime = echo
    size = len(frames) // files
    for number in range(files):
        part = frames[number * size : (number + 1) * size]
        enhanced(tmp_path / "series" / f"{number}.dcm", part)
    image = next(v for v in load(tmp_path / "series") if v.acquisition["EchoTime"] == 90)
    source = find_source([tmp_path / "series"], image)
    drawn = Segmentation(masks_of(image.shape), image, PROVENANCE)
    path = write_dicom_seg(drawn, tmp_path / "seg.dcm", source)
    assert same_masks(read_dicom_seg(path, image), drawn)
    headers = {}
    for each in (tmp_path / "series").iterdir():
        header = pydicom.dcmread(each)
        headers[header.SOPInstanceUID] = header
    written = pydicom.dcmread(path)
    for groups in written.PerFrameFunctionalGroupsSequence:
        item = groups.DerivationImageSequence[0].SourceImageSequence[0]
        header = headers[item.ReferencedSOPInstanceUID]
        frame = header.PerFrameFunctionalGroupsSequence[item.ReferencedFrameNumber - 1]
        place = groups.PlanePositionSequence[0].ImagePositionPatient
        assert frame.PlanePositionSequence[0].ImagePositionPatient == place
        assert frame.MREchoSequence[0].EffectiveEchoTime == 90
        assert item.ReferencedSOPClassUID == header.SOPClassUID
    listed = written.ReferencedSeriesSequence[0].ReferencedInstanceSequence
    assert {item.ReferencedSOPInstanceUID for item in listed} == set(headers)
    assert "Error" not in findings_of_dciodvfy(path)


# --- what the file says -------------------------------------------------------------------


def test_each_segment_says_what_it_is(file, drawn):
    segments = {s.SegmentLabel: s for s in pydicom.dcmread(file).SegmentSequence}
    assert list(segments) == list(drawn.masks)
    for name, segment in segments.items():
        kind = segment.SegmentedPropertyTypeCodeSequence[0]
        sides = kind.get("SegmentedPropertyTypeModifierCodeSequence", [])
        if name in STRUCTURES:
            known = STRUCTURES[name]
            assert (kind.CodingSchemeDesignator, kind.CodeValue) == known.type[:2]
            assert [side.CodeValue for side in sides] == (
                [known.modifier[1]] if known.modifier else []
            )
            lab = highdicom.color.CIELabColor.from_dicom_value(
                [int(value) for value in segment.RecommendedDisplayCIELabValue]
            )
            expected = [round(255 * channel) for channel in known.colour]
            np.testing.assert_allclose(lab.to_rgb(clip=True), expected, atol=2)
        else:
            assert kind.CodeMeaning == "Tissue" and not sides
    assert "not found" in segments["Brainstem"].SegmentDescription
    assert "not found" not in segments["Brain"].SegmentDescription
    assert len({segment.TrackingUID for segment in segments.values()}) == len(segments)


def test_the_algorithm_and_the_hand_are_told_apart(tmp_path, drawn, source, image):
    types = {"GTVp": "SEMIAUTOMATIC", "Brain": "MANUAL"}
    path = write_dicom_seg(drawn, tmp_path / "seg.dcm", source, types)
    for segment in pydicom.dcmread(path).SegmentSequence:
        assert segment.SegmentAlgorithmType == types.get(segment.SegmentLabel, "AUTOMATIC")
        algorithms = segment.get("SegmentationAlgorithmIdentificationSequence", [])
        if segment.SegmentLabel == "Brain":
            assert not algorithms and "by hand" in segment.SegmentDescription
            assert "check every slice" not in segment.SegmentDescription
            continue
        assert algorithms[0].AlgorithmName == "npc_segmentation"
        assert algorithms[0].AlgorithmVersion == "1.2"
        assert PROVENANCE.bundle_hash in algorithms[0].AlgorithmParameters
        assert "not for clinical decisions" in segment.SegmentDescription
        assert "check every slice" in segment.SegmentDescription
    by_hand = write_dicom_seg(Segmentation(drawn.masks, image), tmp_path / "hand.dcm", source)
    read = pydicom.dcmread(by_hand)
    assert {segment.SegmentAlgorithmType for segment in read.SegmentSequence} == {"MANUAL"}
    assert read_dicom_seg(by_hand, image).provenance is None


def test_synthetic_inputs_are_said_first(tmp_path, drawn, source, image, file):
    data = pydicom.dcmread(file)
    assert data.SeriesDescription.startswith("SYNTHETIC input")
    assert data.ContentDescription.startswith("SYNTHETIC input")
    assert "not for clinical" in data.ContentDescription
    real = Provenance(False, "segmentation", inputs=PROVENANCE.inputs[:1], bundle="b")
    on_real = write_dicom_seg(Segmentation(drawn.masks, image, real), tmp_path / "r.dcm", source)
    text = str(pydicom.dcmread(on_real))
    assert "SYNTHETIC" not in text and "not for clinical" in text
    # contours by hand on a synthetic image
    made = image.replace(provenance=Provenance(True))
    on_made = write_dicom_seg(Segmentation(drawn.masks, made), tmp_path / "m.dcm", source)
    assert pydicom.dcmread(on_made).SeriesDescription.startswith("SYNTHETIC input")
    assert any("SYNTHETIC" in warning for warning in read_dicom_seg(on_made, made).warnings)


def test_patient_study_and_place_are_the_series_own(file, folder):
    written, first = pydicom.dcmread(file), pydicom.dcmread(next(folder.iterdir()))
    for keyword in ("PatientName", "PatientID", "PatientBirthDate", "StudyInstanceUID",
                    "FrameOfReferenceUID"):  # fmt: skip
        assert written[keyword].value == first[keyword].value
    assert written.PatientSex == "" and written.AccessionNumber == ""  # nothing is invented
    assert written.SeriesInstanceUID != first.SeriesInstanceUID
    named = {item.ReferencedSOPInstanceUID for item in written.SourceImageSequence}
    assert named == {pydicom.dcmread(each).SOPInstanceUID for each in folder.iterdir()}
    for groups in written.PerFrameFunctionalGroupsSequence:
        uid = groups.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
        of = next(d for p in folder.iterdir() if (d := pydicom.dcmread(p)).SOPInstanceUID == uid)
        assert of.ImagePositionPatient == groups.PlanePositionSequence[0].ImagePositionPatient


def test_two_exports_are_two_objects(tmp_path, drawn, source, file):
    one = pydicom.dcmread(file)
    two = pydicom.dcmread(write_dicom_seg(drawn, tmp_path / "two.dcm", source))
    assert one.SOPInstanceUID != two.SOPInstanceUID
    assert one.SeriesInstanceUID != two.SeriesInstanceUID


@pytest.mark.parametrize(
    ("character_set", "patient"),
    [("ISO_IR 100", "Müller^Jörg"), (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎")],
)
@pytest.mark.parametrize("name", ["Parotid_L", "左腮腺"])
def test_names_in_any_script(tmp_path, character_set, patient, name):
    def change(data, index):
        data.SpecificCharacterSet, data.PatientName = character_set, patient
        other = Dataset()
        other.PatientID, other.IssuerOfPatientID = "7", patient.partition("=")[2] or patient
        data.OtherPatientIDsSequence = [other]

    folder = write_series(tmp_path / "series", change=change)
    image = load_one(folder)
    drawn = Segmentation({name: masks_of(image.shape)["Brain"]}, image)
    path = write_dicom_seg(drawn, tmp_path / "seg.dcm", find_source([folder], image))
    written = pydicom.dcmread(path)
    assert written.PatientName == patient
    assert written.OtherPatientIDsSequence[0].IssuerOfPatientID in patient
    assert same_masks(read_dicom_seg(path, image), drawn)


def test_headers_that_the_standard_forbids_are_no_obstacle(tmp_path):
    def change(data, index):
        data.PatientSex, data.StudyDate, data.SOPClassUID = "X", "1.2.2020", "1.2.3.4"
        data.ImageOrientationPatient[0] += 1e-7 * index
        del data.SliceThickness, data.SeriesDescription

    with pytest.warns(UserWarning, match="Invalid value"):
        folder = write_series(tmp_path / "series", change=change)
        image = load_one(folder)
        drawn = Segmentation(masks_of(image.shape), image)
        path = write_dicom_seg(drawn, tmp_path / "seg.dcm", find_source([folder], image))
        assert same_masks(read_dicom_seg(path, image), drawn)
    shared = pydicom.dcmread(path).SharedFunctionalGroupsSequence[0]
    assert shared.PixelMeasuresSequence[0].SliceThickness == 4  # what viewers make voxels of


# --- refused to write ---------------------------------------------------------------------


def refused(path: Path, segmentation: Segmentation, source: DicomSource, *words: str) -> None:
    with pytest.raises(InputError) as caught:
        write_dicom_seg(segmentation, path, source)
    text = str(caught.value)
    assert all(word in text for word in words) and "\n" not in text and text.endswith(".")
    assert not path.exists()


def test_what_cannot_be_written_is_refused(tmp_path, source, image, drawn):
    path = tmp_path / "seg.dcm"
    empty = np.zeros(image.shape, bool)
    refused(path, Segmentation({"Brain": empty, "GTVp": empty}, image), source, "No structure")
    refused(path, Segmentation({}, image), source, "no structures")
    for name in ("x" * 65, "a\\b", "", " a", "a\nb"):
        refused(path, Segmentation({name: ~empty}, image), source, "rename")
    fewer = DicomSource(source.slices[:-1])
    refused(path, drawn, fewer, "does not have the slices")
    nowhere = deepcopy(source)
    del nowhere.header.FrameOfReferenceUID
    refused(path, drawn, nowhere, "FrameOfReferenceUID")
    nameless = deepcopy(source)
    del nameless.slices[3].header.SOPInstanceUID
    refused(path, drawn, nameless, "SOPInstanceUID")
    with pytest.raises(ValueError, match="Braim"):
        write_dicom_seg(drawn, path, source, {"Braim": "MANUAL"})


def test_a_failure_leaves_nothing(tmp_path, drawn, source, monkeypatch):
    out = tmp_path / "out"
    with pytest.raises(OutputError, match="no folder"):
        write_dicom_seg(drawn, out / "seg.dcm", source)
    assert not out.exists()
    out.mkdir()
    (out / "seg.dcm").write_text("kept")

    def full(self, place, **options):
        Path(place).write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Dataset, "save_as", full)
    with pytest.raises(OutputError, match="disk is full"):
        write_dicom_seg(drawn, out / "seg.dcm", source)
    assert [each.name for each in out.iterdir()] == ["seg.dcm"]
    assert (out / "seg.dcm").read_text(encoding="utf-8") == "kept"


def test_the_source_is_not_changed(tmp_path, folder, drawn, source):
    files = {path: path.read_bytes() for path in folder.iterdir()}
    headers = deepcopy([each.header for each in source.slices])
    write_dicom_seg(drawn, tmp_path / "seg.dcm", source)
    assert headers == [each.header for each in source.slices]
    assert all(path.read_bytes() == content for path, content in files.items())
