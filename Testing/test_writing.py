"""`mrisynth simulate`: folders that read back, the same bytes again, and in parallel."""

from __future__ import annotations

import json
import multiprocessing
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest

from MRISynthLib.errors import Cancelled, InputError, OutputError, WorkerError
from MRISynthLib.io import load, load_one
from MRISynthLib.progress import Callbacks
from MRISynthLib.sequences import recognise
from MRISynthLib.simulation import (
    HeadSource,
    benchmark_requests,
    cohort_requests,
    simulate,
    writing,
)
from MRISynthLib.simulation.cases import VirtualPatient
from MRISynthLib.simulation.tissues import TISSUES
from MRISynthLib.volume import Volume

ASKED = (("T1w", "CE-T1w"), "inside-03-philips-3t")
"""Sequences and hospital of the cohort."""


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """Two patients of one hospital, made in parallel."""
    output = tmp_path_factory.mktemp("cohort")
    return simulate(cohort_requests(2, 5, *ASKED), output, jobs=2)


def _bytes(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_a_case_reads_back_with_images_labels_and_tissues(cohort):
    folder = cohort[0]
    record = json.loads((folder / "case.json").read_text(encoding="utf-8"))
    assert record["name"] == folder.name and record["hospital"] == "inside-03-philips-3t"
    volume = load_one(folder / "anat" / f"{folder.name}_CE-T1w.nii.gz")
    assert recognise(volume).sequence == "CE-T1w"
    assert volume.acquisition["EchoTime"] == pytest.approx(
        record["protocols"]["CE-T1w"]["te_ms"], abs=0.06
    )
    brain = load_one(folder / "labels" / "Brain.nii.gz")
    tissue = load_one(folder / "tissue.nii.gz")
    share = load_one(folder / "tissue_share.nii.gz")
    assert brain.same_geometry(volume) and tissue.same_geometry(volume)
    names = json.loads((folder / "tissue.json").read_text(encoding="utf-8"))
    assert names[str(int(tissue.voxels.max()))] in {t.name for t in TISSUES}
    in_brain = {names[str(v)] for v in np.unique(tissue.voxels[brain.voxels > 0])}
    assert {"white matter", "grey matter", "CSF"} <= in_brain
    # slices are thick: most voxels hold one tissue, those on edges do not
    assert share.voxels.max() == 100 and 0.02 < (share.voxels < 100).mean() < 0.5


def test_the_same_seed_gives_the_same_bytes_alone_or_in_parallel(cohort, tmp_path):
    requests = cohort_requests(1, 5, *ASKED)
    alone = simulate(requests, tmp_path)
    assert _bytes(alone[0]) == _bytes(cohort[0])
    assert _bytes(cohort[1])["case.json"] != _bytes(cohort[0])["case.json"]


def test_finished_cases_are_kept_and_missing_ones_made(cohort, monkeypatch):
    made = []

    def note(request, callbacks):
        made.append(request.seed)
        raise Cancelled

    monkeypatch.setattr(writing, "make_case", note)
    assert simulate(cohort_requests(2, 5, *ASKED), cohort[0].parent) == cohort
    assert made == []
    with pytest.raises(Cancelled):
        simulate(cohort_requests(3, 5, *ASKED), cohort[0].parent)
    assert made == [7] and not (cohort[0].parent / "sub-virtual000007").exists()


@pytest.mark.parametrize(
    ("other", "named"),
    [
        ({"sequences": ("T1w",)}, r"\(sequences\)"),
        ({"hospital": None, "stage": "T3"}, r"\(hospital, stage\)"),
        ({"format": "dicom"}, r"\(format\)"),
    ],
)
def test_another_request_never_gets_the_patients_of_an_earlier_one(
    cohort, monkeypatch, other, named
):
    def never(*_):
        raise AssertionError("made a patient")

    monkeypatch.setattr(writing, "make_case", never)
    requests = [replace(each, **other) for each in cohort_requests(3, 5, *ASKED)]
    before = _bytes(cohort[0].parent)
    with pytest.raises(InputError, match=f"sub-virtual000005.*{named}.*another output folder"):
        simulate(requests, cohort[0].parent)
    assert _bytes(cohort[0].parent) == before


@pytest.mark.parametrize("text", ["{", "[]", '{"name": "sub-virtual000005"}'])
def test_a_patient_of_an_unknown_request_is_left_alone(tmp_path, text):
    folder = tmp_path / "sub-virtual000005"
    folder.mkdir()
    (folder / "case.json").write_text(text)
    with pytest.raises(InputError, match="does not say for which request; name another"):
        simulate(cohort_requests(1, 5, *ASKED), tmp_path)
    assert [path.name for path in tmp_path.rglob("*")] == [folder.name, "case.json"]


def test_a_request_of_labelled_heads_goes_by_names_and_what_mappings_say(tmp_path):
    mapping = {"tissues": {"skin": [1]}, "soft_tissue": [2]}
    records = []
    for place, soft in (("a", [2]), ("b", [2]), ("c", [3])):
        folder = tmp_path / place
        folder.mkdir()
        (folder / "head.nii.gz").touch()
        (folder / "mapping.json").write_text(json.dumps({**mapping, "soft_tissue": soft}))
        records.append(cohort_requests(1, 5, heads=HeadSource(folder))[0].record())
    assert records[0] == records[1] != records[2]
    assert records[0]["heads"]["files"] == ["head.nii.gz"]
    assert str(tmp_path) not in json.dumps(records)


@pytest.mark.parametrize(
    ("found", "goal", "when", "complete"),
    [
        (False, "", "before", False),
        (True, "labels/GTVp.nii.gz", "before", False),
        (True, "case.json", "before", False),
        (True, "case.json", "after", True),
    ],
)
def test_a_killed_run_leaves_no_half_patient_that_a_later_one_accepts(
    tmp_path, monkeypatch, found, goal, when, complete
):
    request = cohort_requests(1, 5, *ASKED)[0]
    folder = tmp_path / request.name
    if found:
        (folder / "notes").mkdir(parents=True)
    process = multiprocessing.get_context("spawn").Process(
        target=_write_and_die, args=(request, folder, folder / goal, when)
    )
    process.start()
    process.join()
    assert process.exitcode == 9
    assert (folder / "case.json").exists() == complete
    made = []

    def make(request, callbacks):
        made.append(request.seed)
        return _tiny_patient()

    monkeypatch.setattr(writing, "make_case", make)
    assert simulate([request], tmp_path) == [folder]
    assert made == ([] if complete else [5])
    assert {path.name for path in (folder / "labels").iterdir()} == {"Brain.nii.gz", "GTVp.nii.gz"}
    assert not [path for path in tmp_path.rglob("*") if path.name.startswith(".")]


def _tiny_patient():
    shape = (2, 3, 4)
    image = Volume(np.ones(shape, np.float32), np.eye(4), "T1w", "T1w")
    masks = {name: np.ones(shape, bool) for name in ("Brain", "GTVp")}
    tissue, share = np.ones(shape, np.uint8), np.ones(shape, np.float32)
    return VirtualPatient("tiny", {"T1w": image}, masks, tissue, tissue, share, {})


def _write_and_die(request, folder, goal, when):
    """Write a patient and be killed before or after something is moved to ``goal``."""
    real = os.replace

    def move(source, target):
        if Path(target) == goal and when == "before":
            os._exit(9)
        real(source, target)
        if Path(target) == goal:
            os._exit(9)

    os.replace = move
    writing.write_case(_tiny_patient(), folder, request.format, request.record())


def test_an_output_that_cannot_be_written_is_refused_before_a_patient_is_made(
    tmp_path, monkeypatch
):
    def never(*_):
        raise AssertionError("made a patient")

    monkeypatch.setattr(writing, "make_case", never)
    requests = cohort_requests(2, 5, *ASKED)
    (tmp_path / "sub-virtual000006").write_text("mine")
    with pytest.raises(OutputError, match=r"sub-virtual000006 cannot.*in the way"):
        simulate(requests, tmp_path)
    with pytest.raises(OutputError, match="in the way"):
        simulate(requests, tmp_path / "sub-virtual000006" / "below")
    assert [path.name for path in tmp_path.iterdir()] == ["sub-virtual000006"]


def test_dicom_series_read_back_as_the_images_that_they_are(tmp_path, patient):
    writing.write_case(patient, tmp_path / "case", "dicom")
    for sequence in ("T1w", "CE-T1w"):
        volume = load_one(tmp_path / "case" / "dicom" / sequence)
        original = patient.volumes[sequence]
        assert volume.same_geometry(original)
        error = np.abs(volume.voxels - original.voxels).max()
        assert error <= original.voxels.max() / 65535
        assert recognise(volume).sequence == sequence
    assert len(load(tmp_path / "case" / "dicom" / "T2w")) == 1
    files = sorted((tmp_path / "case" / "dicom").rglob("*.dcm"))
    headers = [pydicom.dcmread(file, stop_before_pixels=True) for file in files]
    assert len({h.SOPInstanceUID for h in headers}) == len(files)
    assert len({h.StudyInstanceUID for h in headers}) == 1
    assert {str(h.PatientName) for h in headers} == {"Virtual^Patient"}


def test_a_full_disk_leaves_no_half_patient(tmp_path, patient, monkeypatch):
    from MRISynthLib import io

    def full(volume, path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(io, "save", full)
    with pytest.raises(OutputError, match="disk is full"):
        writing.write_case(patient, tmp_path / "case")
    assert not (tmp_path / "case").exists()


def test_cancelling_a_parallel_run_stops_it_and_leaves_nothing(tmp_path):
    asked = []

    def after_a_while() -> bool:
        asked.append(None)
        return len(asked) > 10

    requests = cohort_requests(2, 900, ("T1w",))
    with pytest.raises(Cancelled):
        simulate(requests, tmp_path, jobs=2, callbacks=Callbacks(cancelled=after_a_while))
    assert not list(tmp_path.iterdir())
    assert not multiprocessing.active_children()


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"format": "jpeg"}, "format 'jpeg'.*nii.gz or dicom"),
        ({"hospital": "inside-99"}, "inside-"),
        ({"heads": HeadSource(Path("nowhere"))}, "no NIfTI|name another"),
        ({"heads": HeadSource(atlas=Path("nowhere"))}, "name their folder too"),
        ({"seed": 2**48 - 1, "cases": 2}, "seed 281474976710656.*benchmark"),
    ],
)
def test_wrong_requests_are_refused_before_anything_is_made(given, says):
    with pytest.raises(InputError, match=says):
        cohort_requests(**{"cases": 1, "seed": 1, **given})


def test_a_process_that_dies_is_told_in_one_sentence_and_leaves_nothing(tmp_path, monkeypatch):
    # as the system does when memory runs out
    monkeypatch.setattr(writing, "_make_and_write", _die)
    with pytest.raises(WorkerError, match=r"finished patients are kept.*fewer than 2 --jobs"):
        simulate(cohort_requests(2, 900, ("T1w",)), tmp_path, jobs=2)
    assert not list(tmp_path.iterdir())
    assert not multiprocessing.active_children()


def _die(request, folder):
    (folder / "labels").mkdir(parents=True)
    os._exit(9)


def test_the_benchmark_is_asked_for_by_its_sets(tmp_path):
    requests = benchmark_requests(["outside-02-philips-3t", "inside-01-siemens-1.5t"], ("T1w",))
    assert [request.name for request in requests[:2]] == [
        "outside-02-philips-3t-0",
        "outside-02-philips-3t-1",
    ]
    assert {request.hospital for request in requests} == {
        "outside-02-philips-3t",
        "inside-01-siemens-1.5t",
    }
    assert len(benchmark_requests()) == 104 and len(benchmark_requests(cases=1)) == 26
    stages = {request.stage for request in benchmark_requests()}
    assert {"T1", "T2", "T3", "T4", "healthy", "thick mucosa"} <= stages
    with pytest.raises(InputError, match="nearest"):
        benchmark_requests(["outside-99"])
