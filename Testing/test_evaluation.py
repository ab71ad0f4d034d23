"""`mrisynth evaluate` on the benchmark: which patients, and what is recorded of them."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

import fake_patients
import models
from MRISynthApp.__main__ import main
from MRISynthLib.errors import InputError
from MRISynthLib.evaluation import patients as patients_module
from MRISynthLib.evaluation import rivals
from MRISynthLib.evaluation.parts import EVERY_PATIENT
from MRISynthLib.evaluation.patients import Patients, summarise
from MRISynthLib.simulation import HeadSource
from MRISynthLib.simulation.benchmark import benchmark_set, definition_hash

SETS = ("inside-03-philips-3t", "outside-02-philips-3t")


@pytest.fixture
def asked(monkeypatch):
    """What patients were asked for."""
    calls = []

    def note(seed, sequences, **more):
        calls.append(SimpleNamespace(seed=seed, sequences=sequences, **more))
        return fake_patients.patient(seed, sequences, **more)

    monkeypatch.setattr(patients_module, "virtual_patient", note)
    monkeypatch.setattr(rivals, "virtual_patient", fake_patients.patient)
    monkeypatch.setattr(patients_module, "rendering_hash", lambda: "as rendered")
    monkeypatch.setenv("COLUMNS", "200")
    return calls


@pytest.mark.parametrize(
    ("task", "data"),
    [
        ("synthesis", ["--data", "benchmark-v1", "--tasks", "T1w+T2w->CE-T1w", "--no-register"]),
        ("synthesis", ["--benchmark", "v1", "--tasks", "T1w+T2w->CE-T1w", "--no-register"]),
        ("segmentation", ["--benchmark", "v1"]),
    ],
)
def test_sets_of_the_benchmark_are_measured_and_recorded(asked, tmp_path, capfd, task, data):
    bundle = getattr(models, f"{task}_bundle")(tmp_path / "model")
    output = tmp_path / "figures"
    arguments = ["evaluate", task, "--model", str(bundle.folder), "--device", "cpu", *data]
    arguments += ["--set", ",".join(SETS), "--cases", "1"]
    assert main([*arguments, "--output", str(output), "--json"]) == 0
    said = capfd.readouterr()
    cases = [case for name in SETS for case in benchmark_set(name).cases[:1]]
    assert [(call.seed, call.hospital, call.stage, call.name) for call in asked] == [
        (case.seed, case.hospital, case.stage, case.name) for case in cases
    ]
    record = json.loads((output / f"{task}.json").read_text(encoding="utf-8"))
    assert record["benchmark"] == "v1" and record["definition"] == definition_hash()
    assert record["rendering"] == "as rendered"
    assert record["whole benchmark"] is False and record["sets"] == list(SETS)
    assert set(record["figures"]) == {"all", "inside", "outside", *SETS}
    printed = json.loads(said.out)
    apart = ("figures", "details", EVERY_PATIENT)
    about = {key: value for key, value in record.items() if key not in apart}
    assert printed["patients"] == about
    assert printed["figures"] == record["figures"]
    assert any("not benchmark v1" in sentence for sentence in printed["warnings"])
    assert "Traceback" not in said.err


@pytest.mark.parametrize(
    ("patients", "whole"),
    [
        (Patients(benchmark="v1"), True),
        (Patients(4, benchmark="v1"), True),
        (Patients(5, benchmark="v1"), False),
        (Patients(benchmark="v1", sets=SETS), False),
        (Patients(), False),
    ],
)
def test_only_all_of_the_benchmark_is_the_benchmark(patients, whole):
    assert patients.whole_benchmark is whole


def test_figures_are_means_of_each_set_and_of_each_side():
    rows = {
        "inside-01-siemens-1.5t": {"T1w": [{"Brain": 0.5}, {"Brain": 0.7}]},
        "inside-02-siemens-3t": {"T1w": [{"Brain": 0.9}, {"Brain": 0.9, "GTVp": 0.4}]},
        "outside-02-philips-3t": {"T1w": [{"Brain": 0.2}]},
    }
    figures = summarise(rows)
    assert figures["inside"]["T1w"]["Brain"] == pytest.approx(0.75)
    assert figures["inside"]["T1w"]["GTVp"] == pytest.approx(0.4)
    assert figures["all"]["T1w"]["Brain"] == pytest.approx(0.64)
    assert figures["outside"] == {"T1w": {"Brain": pytest.approx(0.2)}}
    assert figures["inside-01-siemens-1.5t"]["T1w"]["Brain"] == pytest.approx(0.6)


def test_heads_that_a_model_never_saw_are_asked_for_before_anything_is_made(asked, tmp_path):
    bundle = SimpleNamespace(metadata={"training": {}})
    (tmp_path / "a.nii.gz").touch()
    (tmp_path / "mapping.json").write_text(
        '{"tissues": {"fat": [1]}, "soft_tissue": [1], "structures": {}, "landmarks": {}}'
    )
    with pytest.raises(InputError, match="kept from training"):
        Patients(heads=HeadSource(tmp_path)).draw(bundle, ("T1w",))
    assert asked == []
