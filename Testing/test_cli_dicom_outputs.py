"""DICOM from ``segment`` and ``synthesize``: on the series of the inputs, or refused before the
work."""

from __future__ import annotations

import functools
from pathlib import Path

import pydicom
import pytest

import fakes
import MRISynthLib.worker
from cli_requests import CONTOURS, GAP, T1, T2, done, refused, setting, t2_series, types_in
from derived_series import made_on
from dicom_series import write_series
from MRISynthLib.io import load_one, save
from MRISynthLib.volume import Volume
from MRISynthSegmentLib.loading import load_any


@pytest.fixture
def t1(tmp_path: Path) -> Path:
    return write_series(tmp_path / "t1")


@pytest.fixture
def image(t1: Path) -> Volume:
    return load_one(t1)


@pytest.fixture
def no_job(monkeypatch, tmp_path) -> None:
    """Bundles, and a worker that must not be given work."""

    class Idle:
        def __init__(self, device: str) -> None: ...

        def __enter__(self):
            return self

        def __exit__(self, *_: object) -> None: ...

        def start(self) -> None: ...

        def submit(self, *_: object, **__: object) -> None:
            raise AssertionError("the request should have been refused before")

    bundles(monkeypatch, tmp_path)
    monkeypatch.setattr(MRISynthLib.worker, "WorkerClient", Idle)


@pytest.fixture
def fake_job(monkeypatch, tmp_path) -> None:
    """Bundles, and a worker that makes something without a model."""
    bundles(monkeypatch, tmp_path)
    client = functools.partial(MRISynthLib.worker.WorkerClient, tasks=("fakes",))
    monkeypatch.setattr(MRISynthLib.worker, "WorkerClient", client)


def bundles(monkeypatch, folder: Path) -> None:
    fakes.write_test_bundle(folder / "bundles" / "Synthesis")
    fakes.write_test_bundle(folder / "bundles" / "Segmentation", "segmentation")
    monkeypatch.setenv("MRISYNTH_BUNDLES", str(folder / "bundles"))


@pytest.mark.parametrize("kind", CONTOURS)
def test_segment_writes_dicom_on_the_first_inputs_series(
    capfd, monkeypatch, kind, tmp_path
) -> None:
    pytest.importorskip("torch")
    from models import segmentation_bundle

    t1 = write_series(tmp_path / "t1", change=setting(PixelSpacing=[4.0, 4.0]))
    image = load_one(t1)  # large enough for a head
    save(made_on(image), tmp_path / "CE-T1w.nii.gz")
    bundle = segmentation_bundle(tmp_path / "Tiny").folder
    inputs = ["-i", f"T1w={t1}", "-i", f"CE-T1w={tmp_path / 'CE-T1w.nii.gz'}"]
    more = ["--format", kind, "-o", tmp_path / "out", "--model", bundle, "--device", "cpu"]
    said = done(capfd, "segment", *inputs, *more, "--structures", "GTVp,Brain", "--no-register")
    file = tmp_path / "out" / "segmentation.dcm"
    assert said["outputs"] == {"segmentation": str(file)} and said["files"] == [str(file)]
    assert types_in(file) == dict.fromkeys(("GTVp", "Brain"), "AUTOMATIC")
    assert pydicom.dcmread(file).PatientID == "4711"
    back = load_any(file, image)
    assert {n: round(back.volume_ml(n), 3) for n in back.masks} == said["structures"]
    assert "CE-T1w.nii.gz is not DICOM" in " ".join(said["warnings"])
    assert any("unapproved" in text for text in said["warnings"]) == (kind == "rtstruct")


def test_segment_refuses_before_the_work(capfd, no_job, t1, image, tmp_path) -> None:
    save(image, tmp_path / "t1.nii.gz")
    gap = write_series(tmp_path / "gap", GAP)
    other = t2_series(tmp_path / "other", PatientID="4712")
    lost = write_series(tmp_path / "lost", change=setting(FrameOfReferenceUID=None))
    for kind, inputs, words in (
        *((kind, [f"T1w={tmp_path / 't1.nii.gz'}"], "is not DICOM") for kind in CONTOURS),
        *((kind, [f"T1w={gap}"], "lacks 1 of 8 slices") for kind in CONTOURS),
        *((kind, [f"T1w={lost}"], "no FrameOfReferenceUID") for kind in CONTOURS),
        *((kind, [f"T1w={t1}", f"T2w={other}"], "more than one patient")
          for kind in (*CONTOURS, "seg.nrrd", "nii.gz")),
    ):  # fmt: skip
        given = [part for text in inputs for part in ("-i", text)]
        arguments = ("segment", *given, "--format", kind, "-o", tmp_path / "out")
        assert words in refused(capfd, tmp_path, *arguments)


@pytest.mark.parametrize("kind", ["nii.gz", "dicom"])
def test_synthesize_refuses_a_study_that_mixes_patients(capfd, no_job, kind, tmp_path) -> None:
    study = write_series(tmp_path / "study" / "t1").parent
    t2_series(study / "t2", PatientID="4712")
    arguments = ("synthesize", "-i", study, "-t", "STIR", "--format", kind, "-o", tmp_path / "out")
    assert "more than one patient" in refused(capfd, tmp_path, *arguments)


def test_one_patient_in_several_series_is_no_reason_to_refuse(
    capfd, fake_job, t1, tmp_path
) -> None:
    other = t2_series(tmp_path / "t2")
    inputs = ("-i", f"T1w={t1}", "-i", f"T2w={other}")
    said = done(capfd, "segment", *inputs, "-o", tmp_path / "out")
    assert said["structures"]["GTVp"] > 0 and "study" not in " ".join(said["warnings"])


def test_two_studies_of_a_patient_are_not_mixed_without_a_word(
    capfd, fake_job, t1, tmp_path
) -> None:
    other = t2_series(tmp_path / "t2", StudyInstanceUID="1.2.3.77")
    inputs = ("-i", f"T1w={t1}", "-i", f"T2w={other}")
    warnings = done(capfd, "segment", *inputs, "-o", tmp_path / "out")["warnings"]
    (warning,) = [text for text in warnings if "study" in text]
    assert "(T2w) is of another study than" in warning and "(T1w)" in warning


def test_synthesize_makes_a_series_of_each_target(capfd, fake_job, t1, image, tmp_path) -> None:
    other = t2_series(tmp_path / "t2")
    output = tmp_path / "out"
    arguments = ["synthesize", "-i", f"T1w={t1}", "-i", f"T2w={other}", "-t", "STIR"]
    arguments += ["--format", "dicom", "-o", output]
    said = done(capfd, *arguments)
    assert {path.name for path in output.iterdir()} == {
        "STIR", "STIR_uncertainty", "provenance.json"
    }  # fmt: skip
    assert said["outputs"]["STIR"] == str(output / "STIR")
    made = load_one(output / "STIR")
    assert made.is_synthetic and made.sequence == "STIR" and made.same_geometry(image)
    record = pydicom.dcmread(output / "STIR" / "IM-0001.dcm")
    assert {item.SeriesInstanceUID for item in record.ReferencedSeriesSequence} == {T1, T2}
    assert "a series needs a folder of its own" in refused(capfd, tmp_path, *arguments)


def test_synthesize_says_how_else_nifti_becomes_dicom(capfd, no_job, image, tmp_path) -> None:
    save(image, tmp_path / "t1.nii.gz")
    arguments = ("synthesize", "-i", f"T1w={tmp_path / 't1.nii.gz'}", "-t", "STIR")
    sentence = refused(capfd, tmp_path, *arguments, "--format", "dicom", "-o", tmp_path / "out")
    assert "mrisynth export --format dicom-mr" in sentence
