"""``mrisynth export``: written whole, on the series that it belongs to, or refused in words with
nothing written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

import fakes
from cli_requests import CONTOURS, GAP, T1, T2, done, moved, refused, setting, t2_series, types_in
from derived_series import everything, made_on
from dicom_series import slice_data, write, write_series
from MRISynthApp.__main__ import main
from MRISynthLib.io import load_one, load_series, save
from MRISynthLib.volume import Volume
from MRISynthSegmentLib.io import save_segmentation
from MRISynthSegmentLib.loading import load_any
from MRISynthSegmentLib.segmentation import Segmentation
from rtstruct_cases import PROVENANCE, structures

REFERENCED = "ReferencedSOPInstanceUID"


@pytest.fixture
def t1(tmp_path: Path) -> Path:
    return write_series(tmp_path / "t1")


@pytest.fixture
def image(t1: Path) -> Volume:
    return load_one(t1)


@pytest.fixture
def organs(tmp_path: Path, image: Volume) -> Path:
    """What a model drew on the series, with one structure that it did not find."""
    path = tmp_path / "organs.seg.nrrd"
    save_segmentation(Segmentation(structures(image.shape), image, PROVENANCE, ("Look.",)), path)
    return path


@pytest.fixture
def made(tmp_path: Path, image: Volume) -> Path:
    """A synthetic image on the grid of the series, as ``synthesize`` writes it."""
    save(made_on(image), tmp_path / "CE-T1w.nii.gz")
    return tmp_path / "CE-T1w.nii.gz"


@pytest.fixture
def export(capfd, tmp_path):
    """``export`` into ``tmp_path / "out"``: done, or refused with words."""

    def run(file: Path, kind: str, *more: object, words: str = "") -> dict:
        arguments = ("export", file, "--format", kind, "--output", tmp_path / "out", *more)
        if not words:
            return done(capfd, *arguments)
        sentence = refused(capfd, tmp_path, *arguments)
        assert words in sentence
        return {}

    return run


# --- contours -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", CONTOURS)
def test_contours_are_written_in_the_study_and_come_back(
    export, kind, organs, t1, image, tmp_path
) -> None:
    said = export(organs, kind, "--reference", t1)
    file = tmp_path / "out" / f"organs.{kind}.dcm"
    assert said["outputs"] == {kind: str(file)} and said["files"] == [str(file)]
    assert [path.name for path in (tmp_path / "out").iterdir()] == [file.name]
    record, header = pydicom.dcmread(file), slice_data(0)
    for keyword in ("PatientID", "PatientName", "StudyInstanceUID", "FrameOfReferenceUID"):
        assert record[keyword] == header[keyword]
    back = load_any(file, image)
    for name, mask in structures(image.shape).items():
        np.testing.assert_array_equal(back.masks[name], mask)
    assert said["structures"]["GTVp"] == pytest.approx(back.volume_ml("GTVp"), abs=1e-3)


@pytest.mark.parametrize("kind", CONTOURS)
def test_what_the_user_must_know_is_said(export, kind, organs, t1) -> None:
    warnings = export(organs, kind, "--reference", t1)["warnings"]
    assert "Look." in warnings
    assert any("Empty" in text and "Parotid_L" in text for text in warnings)
    assert any("unapproved" in text for text in warnings) == (kind == "rtstruct")


def test_a_terminal_shows_the_structures_and_where_they_are(capfd, organs, t1, tmp_path) -> None:
    request = ["export", str(organs), "--format", "rtstruct", "-r", str(t1), "-o", str(tmp_path)]
    assert main(request) == 0
    shown = capfd.readouterr()
    assert "GTVp" in shown.out and "t1_tse_tra" in shown.out
    assert "unapproved" in shown.err and "organs.rtstruct.dcm" in shown.err


def saved_again(path: Path, added: str = "", edited: bool = False) -> Path:
    """As Slicer saves a file: the product's header keys are gone, the tags are still there, but not
    on a structure that was added; nobody has seen that what is ``edited`` looks as it did."""
    import nrrd

    voxels, header = nrrd.read(str(path))
    names = {v: k.removesuffix("_Name") for k, v in header.items() if k.endswith("_Name")}
    header = {key: v for key, v in header.items() if not key.startswith("MRISynth_")}
    gone = {f"{names[added]}_Tags": "MRISynth."} if added else {}
    for key in [key for key in header if key.endswith("_Tags")]:
        start = gone.get(key, "MRISynth.Drawn" if edited else "nothing")
        header[key] = "|".join(t for t in header[key].split("|") if not t.startswith(start))
    nrrd.write(str(path), voxels, header)
    return path


@pytest.mark.parametrize("kind", CONTOURS)
@pytest.mark.parametrize("origin", ["model", "Slicer", "Slicer, edited", "nobody"])
def test_who_drew_the_contours_is_in_the_file(
    export, kind, origin, organs, t1, image, tmp_path
) -> None:
    expected = dict.fromkeys(structures(image.shape), "AUTOMATIC")
    words = ""
    if origin == "Slicer":
        saved_again(organs)
    elif origin == "Slicer, edited":
        saved_again(organs, added="Bolus", edited=True)
        expected = dict.fromkeys(expected, "SEMIAUTOMATIC") | {"Bolus": "MANUAL"}
        words = "does not record how Bolus was made"
    elif origin == "nobody":
        save_segmentation(Segmentation(structures(image.shape), image), organs)
        expected = dict.fromkeys(expected, "MANUAL")
        words = "does not record how"
    said = export(organs, kind, "--reference", t1)
    assert said["algorithm_types"] == expected == types_in(Path(said["files"][0]))
    assert any(words in text for text in said["warnings"])
    assert any("MANUAL" in text for text in said["warnings"]) == bool(words)


@pytest.mark.parametrize("kind", CONTOURS)
@pytest.mark.parametrize("first", CONTOURS)
def test_who_drew_the_contours_is_still_known_when_they_are_exported_again(
    export, kind, first, organs, t1, image
) -> None:
    saved_again(organs, added="Bolus", edited=True)
    types = dict.fromkeys(structures(image.shape), "SEMIAUTOMATIC") | {"Bolus": "MANUAL"}
    file = Path(export(organs, first, "--reference", t1)["files"][0])
    said = export(file, kind, "--reference", t1)
    assert said["algorithm_types"] == types == types_in(Path(said["files"][0]))
    assert not any("MANUAL" in text for text in said["warnings"]), "nothing is assumed"


@pytest.mark.parametrize("kind", CONTOURS)
def test_contours_of_which_only_some_say_who_drew_them(export, kind, organs, t1) -> None:
    file = Path(export(organs, "rtstruct", "--reference", t1)["files"][0])
    record = pydicom.dcmread(file)
    record.StructureSetROISequence[0].ROIGenerationAlgorithm = ""
    record.save_as(file)
    said = export(file, kind, "--reference", t1)
    assert said["algorithm_types"]["GTVp"] == "MANUAL"
    assert said["algorithm_types"]["Brain"] == "AUTOMATIC"
    assert any("does not record how GTVp was made" in text for text in said["warnings"])


@pytest.mark.parametrize("kind", CONTOURS)
def test_contours_that_lie_off_the_slices_are_refused(export, kind, organs, t1, tmp_path) -> None:
    """Within one frame of reference the slices of another series may lie between them."""
    file = Path(export(organs, "rtstruct", "--reference", t1)["files"][0])

    def between(data: Dataset, index: int) -> None:
        data.ImagePositionPatient[2] += 1.2

    other = write_series(tmp_path / "other", range(-1, 9), change=between, series="1.2.3.7")
    said = "was not drawn on the slices of t1_tse_tra as they are: contours of GTVp lie up to 1.2"
    export(file, kind, "--reference", other, words=said)


def two_echoes(folder: Path) -> Path:
    """Both in one series, in no order."""
    for place, number in enumerate(np.random.default_rng(0).permutation(16)):
        data = slice_data(number // 2)
        data.EchoTime = ("10", "90")[number % 2]
        write(data, folder / f"{place:02d}")
    return folder


@pytest.mark.parametrize("kind", CONTOURS)
@pytest.mark.parametrize("echo", ["10", "90", "not recorded"])
def test_contours_refer_to_one_echo_of_a_series(export, kind, echo, image, tmp_path) -> None:
    both = two_echoes(tmp_path / "both")
    inputs = () if echo == "not recorded" else ({"name": f"t1_tse_tra (TE {echo} ms)"},)
    provenance = replace(PROVENANCE, inputs=inputs)
    masks = structures(image.shape)
    save_segmentation(Segmentation(masks, image, provenance), tmp_path / "organs.seg.nrrd")
    said = export(tmp_path / "organs.seg.nrrd", kind, "--reference", both)
    te = "10" if echo == "not recorded" else echo
    assert any(f"refer to t1_tse_tra (TE {te} ms)" in text for text in said["warnings"])
    headers = {str(h.SOPInstanceUID): h for h in map(pydicom.dcmread, both.iterdir())}
    record = pydicom.dcmread(said["files"][0])
    named = {str(item.value) for item in everything(record) if item.keyword == REFERENCED}
    assert {headers[uid].EchoTime for uid in named & headers.keys()} == {int(te)}
    assert len(named & headers.keys()) == 8
    first = load_series(both)[0]
    np.testing.assert_array_equal(load_any(said["files"][0], first).masks["GTVp"], masks["GTVp"])


def test_contours_are_compared_over_one_echo_of_a_series(capfd, image, tmp_path) -> None:
    both = two_echoes(tmp_path / "both")
    provenance = replace(PROVENANCE, inputs=({"name": "t1_tse_tra (TE 90 ms)"},))
    files = [tmp_path / name for name in ("one.seg.nrrd", "two.seg.nrrd")]
    for file in files:
        save_segmentation(Segmentation(structures(image.shape), image, provenance), file)
    said = done(capfd, "compare", *files, "--reference", both)
    assert said["comparison"]["image"] == "t1_tse_tra (TE 90 ms)"
    assert said["comparison"]["structures"]["GTVp"]["dice"] == 1
    assert any("holds 2 images on the same slices" in text for text in said["warnings"])


def test_contours_of_another_patient_are_not_compared(export, capfd, organs, t1, tmp_path) -> None:
    file = Path(export(organs, "rtstruct", "--reference", t1)["files"][0])
    record = pydicom.dcmread(file)
    record.PatientID = "somebody else"
    record.save_as(file)
    request = ("compare", organs, file, "--reference", t1, "-o", tmp_path / "figures")
    assert "of more than one patient" in refused(capfd, tmp_path, *request)


def test_a_series_of_two_echoes_behind_an_image(export, made, tmp_path) -> None:
    both = two_echoes(tmp_path / "both")
    times = {}
    for names in (("TE 90 ms",), ("TE 10 ms", "TE 90 ms"), ()):
        inputs = tuple({"sequence": "T2w", "name": f"t1_tse_tra ({name})"} for name in names)
        volume = load_one(made)
        provenance = replace(volume.provenance, inputs=inputs)
        save(volume.replace(provenance=provenance), tmp_path / f"made{len(times)}.nii.gz")
        said = export(tmp_path / f"made{len(times)}.nii.gz", "dicom-mr", "-r", both)
        assert not any("made from" in text for text in said["warnings"])
        headers = {str(h.SOPInstanceUID): h for h in map(pydicom.dcmread, both.iterdir())}
        record = pydicom.dcmread(said["files"][0])
        used = [headers[i.ReferencedSOPInstanceUID] for i in record.SourceImageSequence]
        times[names] = sorted(int(header.EchoTime) for header in used)
        assert {tuple(h.ImagePositionPatient) for h in used} == {tuple(record.ImagePositionPatient)}
    assert list(times.values()) == [[90], [10, 90], [10]]


@pytest.mark.parametrize("kind", CONTOURS)
def test_contours_of_any_kind_can_be_exported(export, kind, organs, t1, image, tmp_path) -> None:
    first = Path(export(organs, "rtstruct", "--reference", t1)["files"][0])
    save_segmentation(load_any(organs, image), tmp_path / "label map.nii.gz")
    for file in (first, tmp_path / "label map.nii.gz"):
        written = Path(export(file, kind, "--reference", t1)["files"][0])
        assert (
            written.name == f"{file.name.removesuffix('.dcm').removesuffix('.nii.gz')}.{kind}.dcm"
        )
        np.testing.assert_array_equal(
            load_any(written, image).masks["GTVp"], structures(image.shape)["GTVp"]
        )


def test_nothing_found_makes_a_structure_set_but_no_seg(export, t1, image, tmp_path) -> None:
    nothing = {name: np.zeros(image.shape, bool) for name in ("GTVp", "Brainstem")}
    save_segmentation(Segmentation(nothing, image, PROVENANCE), tmp_path / "nothing.seg.nrrd")
    file = tmp_path / "nothing.seg.nrrd"
    export(file, "dicom-seg", "--reference", t1, words="cannot be empty")
    said = export(file, "rtstruct", "--reference", t1)
    assert "Empty, and named in the file without contours: GTVp, Brainstem." in said["warnings"]
    assert list(types_in(Path(said["files"][0]))) == ["GTVp", "Brainstem"]


def two_patients(data: Dataset, index: int) -> None:
    data.PatientID = str(index // 4)


WRONG_SERIES = {
    "half a pixel beside": (
        {"change": moved(0.4)},
        "was drawn on another grid than t1_tse_tra",
    ),
    "far away": ({"change": moved(400)}, "do not overlap"),
    "a slice is missing": ({"indices": GAP}, "lacks 1 of 8 slices"),
    "the last slice is missing": ({"indices": range(7)}, "structures outside t1_tse_tra"),
    "two patients": ({"change": two_patients}, "more than one patient (PatientID differs)"),
    "no frame of reference": (
        {"change": setting(FrameOfReferenceUID=None)},
        "no FrameOfReferenceUID",
    ),
}


@pytest.mark.parametrize("kind", CONTOURS)
@pytest.mark.parametrize("case", WRONG_SERIES)
def test_a_series_that_contours_cannot_refer_to_is_refused(
    export, kind, case, organs, tmp_path
) -> None:
    options, words = WRONG_SERIES[case]
    other = write_series(tmp_path / "other", **options)
    export(organs, kind, "--reference", other, words=words)


@pytest.mark.parametrize("kind", CONTOURS)
def test_dicom_contours_of_another_patient_are_refused(export, kind, organs, t1, tmp_path) -> None:
    theirs = Path(export(organs, kind, "--reference", t1)["files"][0])
    other = write_series(tmp_path / "other", change=setting(PatientID="4712"))
    for again in CONTOURS:
        export(theirs, again, "--reference", other, words="is of another patient")


@pytest.mark.parametrize("kind", CONTOURS)
def test_requests_for_contours_that_make_no_sense(
    export, kind, organs, made, t1, image, tmp_path
) -> None:
    save(image, tmp_path / "t1.nii.gz")
    both = write_series(tmp_path / "both" / "t1").parent
    t2_series(both / "t2")
    for file, more, words in (
        (organs, (), "needs one --reference and has none"),
        (organs, ("-r", t1, "-r", t1), "needs one --reference and has 2"),
        (organs, ("-r", tmp_path / "t1.nii.gz"), "t1.nii.gz is not DICOM, and contours in DICOM"),
        (organs, ("-r", tmp_path / "nowhere"), "There is no file or folder"),
        (organs, ("-r", both), "holds 2 images"),
        (organs, ("-r", t1, "--burn-in"), "--burn-in marks images"),
        (organs, ("-r", t1, "--placeholder"), "leave out --study"),
        (organs, ("-r", t1, "--study", "patient-id=1", "--study", "patient-name=A"), "leave out"),
        (tmp_path / "none.seg.nrrd", ("-r", t1), "There is no file or folder"),
        (made, ("-r", t1), "no label map"),
        (t1, ("-r", t1), "neither an RTSTRUCT nor a SEG"),
    ):
        export(file, kind, *more, words=words)


@pytest.mark.parametrize("kind", [*CONTOURS, "dicom-mr"])
def test_an_output_that_cannot_be_written(export, kind, organs, made, t1, tmp_path) -> None:
    (tmp_path / "out").write_text("a file is in the way")
    export(made if kind == "dicom-mr" else organs, kind, "-r", t1, words="cannot be written")


# --- synthetic images ---------------------------------------------------------------------


def test_a_series_refers_to_all_that_it_was_made_from(export, made, t1, tmp_path) -> None:
    other = t2_series(tmp_path / "t2")
    for number, places in enumerate(((t1, other), (other, t1))):
        made = made.rename(tmp_path / f"made{number}.nii.gz")
        said = export(made, "dicom-mr", "-r", places[0], "-r", places[1])
        folder = tmp_path / "out" / f"made{number}"
        assert said["outputs"] == {"dicom-mr": str(folder)} and said["warnings"] == []
        assert [Path(path).name for path in said["files"]] == sorted(
            p.name for p in folder.iterdir()
        )
        records = [pydicom.dcmread(path) for path in said["files"]]
        assert len(records) == 8 and len({str(r.SeriesInstanceUID) for r in records}) == 1
        for record in records:
            assert {item.SeriesInstanceUID for item in record.ReferencedSeriesSequence} == {T1, T2}
            assert record.ImageType[:2] == ["DERIVED", "SECONDARY"]
            assert record.SeriesDescription.startswith("SYNTHETIC")
            assert (record.PatientID, record.StudyInstanceUID) == ("4711", "1.2.3")
            assert record.BurnedInAnnotation == "NO"


def test_it_is_said_that_not_all_series_behind_an_image_are_given(export, made, t1) -> None:
    said = export(made, "dicom-mr", "--reference", t1)
    assert "made from 2 images (T1w, T2w) and refers to 1 of them" in said["warnings"][0]


def test_the_mark_is_burned_in_where_asked_for(export, made, t1, tmp_path) -> None:
    export(made, "dicom-mr", "-r", t1, "--burn-in", words="too small for the word SYNTHETIC")
    save(made_on(fakes.volume(1, (6, 20, 60))), made)
    plain = pydicom.dcmread(export(made, "dicom-mr", "--placeholder")["files"][0])
    save(made_on(fakes.volume(1, (6, 20, 60))), tmp_path / "marked.nrrd")
    said = export(tmp_path / "marked.nrrd", "dicom-mr", "--placeholder", "--burn-in")
    marked = pydicom.dcmread(said["files"][0])
    assert (plain.BurnedInAnnotation, marked.BurnedInAnnotation) == ("NO", "YES")
    assert not np.array_equal(plain.pixel_array, marked.pixel_array)


def test_an_image_of_no_series_needs_a_patient_or_says_that_it_has_none(export, made) -> None:
    export(made, "dicom-mr", words="--reference, or the patient with --study patient-id=")
    said = export(made, "dicom-mr", "--placeholder")
    assert "of nobody: their patient is NO-PATIENT-DATA" in said["warnings"][0]
    record = pydicom.dcmread(said["files"][0])
    assert record.PatientID == "NO-PATIENT-DATA" and record.StudyDescription == "NO PATIENT DATA"
    assert record.StudyInstanceUID == said["study"]["study-uid"]
    assert "SourceImageSequence" not in record


def test_images_of_one_examination_lie_in_one_study(capfd, export, made, tmp_path) -> None:
    who = ["--study", "patient-id=4711", "--study", "patient-name=Doe^John"]
    first = export(made, "dicom-mr", *who, "--study", "patient-birth-date=19500101")
    given = [f"--study={key}={value}" for key, value in first["study"].items()]
    second = export(made.rename(tmp_path / "again.nii.gz"), "dicom-mr", *who, *given)
    records = [pydicom.dcmread(said["files"][0]) for said in (first, second)]
    assert records[0].PatientID == "4711" and records[0].PatientBirthDate == "19500101"
    for keyword in ("StudyInstanceUID", "FrameOfReferenceUID"):
        assert records[0][keyword] == records[1][keyword]
    assert records[0].SeriesInstanceUID != records[1].SeriesInstanceUID


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["patient-id=1"], "add --study patient-name="),
        (["patient-id=", "patient-name=A"], "add --study patient-id="),
        (["patient-id=1", "patient-name=A", "patient-id=2"], "given twice"),
        (["patient=1"], "KEY is patient"),
        (["patient-id"], "write KEY=VALUE"),
        (["patient-id=1", "patient-name=A", "study-uid=1.02"], "study uid '1.02'"),
        (["patient-id=1", "patient-name=A", "study-date=31.1.2026"], "year, month and day"),
    ],
)
def test_a_study_that_cannot_be_written(export, made, more, words) -> None:
    export(made, "dicom-mr", *(f"--study={text}" for text in more), words=words)


def test_requests_for_series_that_make_no_sense(export, made, organs, t1, image, tmp_path) -> None:
    save(image, tmp_path / "t1.nii.gz")
    beside = write_series(tmp_path / "beside", change=moved(10))
    patient = ("--study", "patient-id=1", "--study", "patient-name=A")
    other = t2_series(tmp_path / "other", PatientID="4712")
    gap = write_series(tmp_path / "gap", GAP)
    for file, more, words in (
        (made, ("-r", tmp_path / "t1.nii.gz"), "t1.nii.gz is not DICOM"),
        (made, ("-r", t1, *patient), "leave out --study"),
        (made, ("-r", t1, "--placeholder"), "leave out --study"),
        (made, ("--placeholder", *patient), "--placeholder is for images of nobody"),
        (made, ("-r", beside), "None of the series found ('t1_tse_tra')"),
        (made, ("-r", t1, "-r", other), "more than one patient"),
        (made, ("-r", gap), "lacks 1 of 8 slices"),
        (tmp_path / "t1.nii.gz", ("-r", t1), "is a real image"),
        (organs, ("-r", t1), "is a segmentation, not an image"),
        (tmp_path / "none.nii.gz", ("-r", t1), "There is no file or folder"),
    ):
        export(file, "dicom-mr", *more, words=words)


def test_a_series_is_not_mixed_with_what_is_there(export, made, t1, tmp_path) -> None:
    export(made, "dicom-mr", "-r", t1)
    export(made, "dicom-mr", "-r", t1, words="a series needs a folder of its own")
