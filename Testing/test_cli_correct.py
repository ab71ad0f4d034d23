"""``mrisynth correct``, and what ``mrisynth segment`` says of doubt, with a faked worker."""

from __future__ import annotations

import functools
import json
from pathlib import Path

import numpy as np
import pytest

import boxes_of_voxels
import fakes
import MRISynthLib.worker
from MRISynthApp.__main__ import main
from MRISynthLib import io
from MRISynthLib.provenance import Provenance
from MRISynthSegmentLib.io import load_segmentation, save_segmentation
from MRISynthSegmentLib.segmentation import Segmentation

pytest.importorskip("slicerio")

IMAGE = fakes.volume(1, sequence="T1w")
BY_MODEL = Provenance(
    False, "segmentation", inputs=({"sequence": "T1w", "name": "a", "synthetic": False},),
    bundle="TestSegmentation",
)  # fmt: skip


def box(*sides):
    return boxes_of_voxels.box(IMAGE.shape, *sides)


MASKS = {
    "GTVp": box((1, 4), (5, 9), (5, 9)),
    "Brainstem": box((1, 4), (9, 14), (5, 9)),
    "Mine": box((0, 2), (15, 18), (15, 18)),
}


def place(voxel) -> str:
    """LPS mm of a (slice, row, column), as the options take it."""
    point = IMAGE.index_to_world @ (*voxel[::-1], 1.0)
    return ",".join(f"{value:.4f}" for value in point[:3])


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Images, contours and a model."""
    made = tmp_path_factory.mktemp("scans")
    io.save(IMAGE, made / "T1w.nii.gz")
    io.save(fakes.volume(2, sequence="T2w"), made / "T2w.nii.gz")
    contours = Segmentation(MASKS, IMAGE, BY_MODEL, ("Of the model.",))
    save_segmentation(contours, made / "contours.seg.nrrd")
    fakes.write_test_bundle(made / "bundles" / "Segmentation", "segmentation")
    return made


@pytest.fixture(autouse=True)
def fake_worker(folder, monkeypatch) -> None:
    client = functools.partial(MRISynthLib.worker.WorkerClient, tasks=("fake_contours",))
    monkeypatch.setattr(MRISynthLib.worker, "WorkerClient", client)
    monkeypatch.setenv("MRISYNTH_BUNDLES", str(folder / "bundles"))
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def request_for(folder, tmp_path):
    def arguments(command: str, *more: str) -> list[str]:
        what = [str(folder / "contours.seg.nrrd")] if command == "correct" else []
        inputs = ["--input", f"T1w={folder / 'T1w.nii.gz'}", "--input", f"T2w={folder}/T2w.nii.gz"]
        return [command, *what, *inputs, "--output", str(tmp_path / "results"), *more]

    return arguments


def answer(capfd, arguments) -> tuple[int, dict]:
    code = main([*arguments, "--json"])
    captured = capfd.readouterr()
    assert "Traceback" not in captured.err
    return code, json.loads(captured.out)


def test_clicks_change_one_structure_and_leave_the_others(capfd, request_for, tmp_path):
    missing, wrong = place((2, 11, 7)), place((2, 6, 6))
    code, said = answer(
        capfd,
        request_for("correct", "--structure", "gtvp", "--add", missing, f"--remove={wrong}"),
    )
    assert code == 0, said
    expected = MASKS["GTVp"].copy()
    expected[2, 10:13, 6:9] = True
    expected[2, 5:8, 5:8] = False
    found = load_segmentation(said["outputs"]["segmentation"], IMAGE)
    assert np.array_equal(found.masks["GTVp"], expected)
    for name in ("Brainstem", "Mine"):
        assert np.array_equal(found.masks[name], MASKS[name]), name
    assert found.provenance.bundle == "TestSegmentation"
    assert set(found.warnings) >= {"Of the model.", "GTVp was corrected by 2 clicks."}
    assert said["structure"] == "GTVp" and said["changed"].keys() == {"GTVp"}
    assert said["changed"]["GTVp"]["after_ml"] == pytest.approx(found.volume_ml("GTVp"), abs=1e-3)
    assert [click["adds"] for click in said["clicks"]] == [True, False]
    assert [text for text in said["warnings"] if "click" in text] == [
        "GTVp: click 1", "GTVp: click 2",
    ]  # fmt: skip
    assert said["timings"]["refine"] == pytest.approx(0.4)


def test_what_is_added_is_taken_from_others_only_where_that_is_asked_for(capfd, request_for):
    click = place((2, 11, 7))
    code, said = answer(
        capfd, request_for("correct", "--structure", "GTVp", "--add", click, "--exclusive")
    )
    assert code == 0 and said["changed"].keys() == {"GTVp", "Brainstem"}
    found = load_segmentation(said["outputs"]["segmentation"], IMAGE)
    added = found.masks["GTVp"] & ~MASKS["GTVp"]
    assert np.array_equal(found.masks["Brainstem"], MASKS["Brainstem"] & ~added)


def test_the_corrected_structure_says_in_files_that_a_hand_was_in_it(capfd, request_for, folder):
    from MRISynthApp.cli_correct import _with, clicks_in
    from MRISynthSegmentLib.origins import algorithm_types

    before = load_segmentation(folder / "contours.seg.nrrd", IMAGE)
    after = _with(before, "GTVp", ~MASKS["GTVp"], clicks_in(["1,2,3"], []), exclusive=False)
    types = algorithm_types(after)
    assert types["GTVp"] == "SEMIAUTOMATIC" and types["Brainstem"] == "AUTOMATIC"
    assert after.warnings[-1] == "GTVp was corrected by one click."


def test_a_structure_that_is_not_there_yet_is_begun(capfd, folder, request_for, tmp_path):
    only = tmp_path / "one.seg.nrrd"
    save_segmentation(Segmentation({"Mine": MASKS["Mine"]}, IMAGE), only)
    arguments = request_for("correct", "--structure", "GTVp", "--add", place((2, 6, 6)))
    arguments[1] = str(only)
    code, said = answer(capfd, arguments)
    assert code == 0 and said["changed"]["GTVp"]["before_ml"] == 0
    found = load_segmentation(said["outputs"]["segmentation"], IMAGE)
    assert found.masks["GTVp"].sum() == 9


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--structure", "GTVp"], "There is no click"),
        (["--structure", "GTVp", "--add", "1,2"], "three numbers"),
        (["--structure", "GTVp", "--remove", "a,b,c"], "--remove a,b,c is no place"),
        (["--structure", "GTVp", "--add", "nan,0,0"], "lies nowhere"),
        (["--structure", "Brainstam", "--add", "1,2,3"], "the nearest: Brainstem"),
        (["--structure", "GTVp", "--add", "-1,2,900"], "outside the image"),
        (["--structure", "GTVp", "--add", "1,2,3", "--format", "rtstruct"], "is not DICOM"),
    ],
)
def test_what_cannot_be_corrected_is_refused_and_nothing_written(
    capfd, request_for, tmp_path, more, words
):
    code, said = answer(capfd, request_for("correct", *more))
    assert code == 2 and words in said["error"] and "\n" not in said["error"]
    assert not (tmp_path / "results").exists()


def test_the_contours_given_are_not_overwritten(capfd, request_for, folder, tmp_path):
    own = tmp_path / "results" / "segmentation.seg.nrrd"
    own.parent.mkdir()
    own.write_bytes((folder / "contours.seg.nrrd").read_bytes())
    arguments = request_for("correct", "--structure", "GTVp", "--add", "1,2,3")
    arguments[1] = str(own)
    code, said = answer(capfd, arguments)
    assert code != 0 and "would overwrite an input" in said["error"]
    assert own.read_bytes() == (folder / "contours.seg.nrrd").read_bytes()


def test_help_says_in_which_coordinates_clicks_are(capfd):
    assert main(["correct", "--help"]) == 0
    text = " ".join(capfd.readouterr().out.split())
    assert "LPS" in text and "other sign" in text


# ------------------------------------------------------------------------------- segment


def test_segment_says_how_doubtful_each_structure_is(capfd, request_for):
    code, said = answer(capfd, request_for("segment", "--structures", "GTVp,Brainstem"))
    assert code == 0 and said["doubt"] == {"GTVp": 0.4, "Brainstem": 0.5}
    assert "{'clean': True, 'flips': True, 'probabilities': False}" in said["warnings"]
    assert main(request_for("segment", "--structures", "GTVp,Brainstem")) == 0
    assert "40 %, check" in capfd.readouterr().out


def test_segment_writes_probabilities_and_does_as_told(capfd, request_for, tmp_path):
    more = ("--structures", "GTVp,Brainstem", "--no-clean", "--no-flips", "--probabilities")
    code, said = answer(capfd, request_for("segment", *more))
    assert code == 0
    assert "{'clean': False, 'flips': False, 'probabilities': True}" in said["warnings"]
    names = {Path(file).name for file in said["files"]}
    images = {"GTVp_probability.nii.gz", "Brainstem_probability.nii.gz"}
    assert names == {"segmentation.seg.nrrd", *images}
    image = io.load_one(tmp_path / "results" / "GTVp_probability.nii.gz")
    assert image.same_geometry(IMAGE, 1e-3) and image.voxels.max() == pytest.approx(0.75, abs=1e-3)
    assert said["structures"].keys() == {"GTVp", "Brainstem"}
