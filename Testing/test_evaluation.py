"""`mrisynth evaluate` on the benchmark: which patients, and what is recorded of them."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest

import fakes
import models
from MRISynthApp.__main__ import main
from MRISynthLib.errors import InputError
from MRISynthLib.evaluation import patients as patients_module
from MRISynthLib.evaluation import synthesis as synthesis_module
from MRISynthLib.evaluation.patients import Patients, summarise
from MRISynthLib.simulation import HeadSource
from MRISynthLib.simulation.benchmark import benchmark_set, definition_hash
from MRISynthLib.simulation.cases import VirtualPatient
from MRISynthLib.simulation.protocols import typical_protocol

SETS = ("inside-03-philips-3t", "outside-02-philips-3t")
SHAPE = (4, 64, 48)


def _patient(seed: int, sequences=("T1w", "T2w", "CE-T1w"), **asked) -> VirtualPatient:
    """A patient that takes no time to make, with a structure that the models do not know."""
    tumour = np.zeros(SHAPE, bool)
    tumour[1:3, 20:28, 20:26] = True
    return VirtualPatient(
        name=asked.get("name") or str(seed),
        volumes={name: fakes.head(n, SHAPE, sequence=name) for n, name in enumerate(sequences)},
        segmentation_masks={"GTVp": tumour, "Brain": np.ones(SHAPE, bool), "OpticChiasm": tumour},
        tissue=np.zeros(SHAPE, np.uint8),
        second_tissue=np.zeros(SHAPE, np.uint8),
        tissue_share=np.ones(SHAPE, np.float32),
        protocols={name: typical_protocol(name) for name in sequences},
        description={"stage": "T1"},
    )


@pytest.fixture
def asked(monkeypatch):
    """What patients were asked for."""
    calls = []

    def note(seed, sequences, **more):
        calls.append(SimpleNamespace(seed=seed, **more))
        return _patient(seed, sequences, **more)

    monkeypatch.setattr(patients_module, "virtual_patient", note)
    monkeypatch.setattr(synthesis_module, "virtual_patient", _patient)
    monkeypatch.setattr(synthesis_module, "TASKS", synthesis_module.TASKS[:1])
    monkeypatch.setattr(patients_module, "rendering_hash", lambda: "as rendered")
    monkeypatch.setenv("COLUMNS", "200")
    return calls


@pytest.mark.parametrize("task", ["synthesis", "segmentation"])
def test_sets_of_the_benchmark_are_measured_and_recorded(asked, tmp_path, capfd, task):
    bundle = getattr(models, f"{task}_bundle")(tmp_path / "model")
    output = tmp_path / "figures"
    arguments = ["evaluate", task, "--model", str(bundle.folder), "--device", "cpu"]
    arguments += ["--benchmark", "v1", "--set", ",".join(SETS), "--cases", "1"]
    assert main([*arguments, "--output", str(output), "--json"]) == 0
    said = capfd.readouterr()
    cases = [case for name in SETS for case in benchmark_set(name).cases[:1]]
    assert [(call.seed, call.hospital, call.stage, call.name) for call in asked] == [
        (case.seed, case.hospital, case.stage, case.name) for case in cases
    ]
    record = json.loads((output / f"{task}.json").read_text())
    assert record["benchmark"] == "v1" and record["definition"] == definition_hash()
    assert record["rendering"] == "as rendered"
    assert record["whole benchmark"] is False and record["sets"] == list(SETS)
    assert set(record["figures"]) == {"inside", "outside", *SETS}
    printed = json.loads(said.out)
    assert printed["patients"] == {key: record[key] for key in record if key != "figures"}
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
