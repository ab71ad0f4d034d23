"""Several models side by side: what is measured, shown and written."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

import fake_patients
from MRISynthApp import cli_evaluate
from MRISynthApp.__main__ import main
from MRISynthApp.evaluation_pictures import NO_PLOTS, draw_plots
from MRISynthLib import bundles as bundles_module
from MRISynthLib.errors import InputError
from MRISynthLib.evaluation import Options, evaluate_synthesis, rivals, robustness
from MRISynthLib.evaluation import models as models_module
from MRISynthLib.evaluation import patients as patients_module
from MRISynthLib.evaluation.models import PROMPTED, load_models
from MRISynthLib.evaluation.patients import Patients
from MRISynthLib.evaluation.rivals import CEILING, COPY, LINEAR, ORACLE
from MRISynthLib.evaluation.tables import markdown
from MRISynthLib.evaluation.tasks import parse_tasks

TASKS = parse_tasks(["T1w+T2w->CE-T1w", "T1w->CE-T1w", "T1w->T2w"])
FIXED = ((("T2w", "T1w"), "CE-T1w"),)


def _scaled(voxels, target):
    """Right but for the noise."""
    return voxels


def _flat(voxels, target):
    return np.where(voxels > 200, np.float32(400), np.float32(0))


@pytest.fixture
def pretenders(monkeypatch):
    """Two models, the second of a fixed task; calls are kept in them."""
    made = []

    def build(bundle, device):
        change, tasks = (_scaled, None) if bundle.name == "Good" else (_flat, FIXED)
        made.append(fake_patients.synthesizer(change, tasks)(bundle))
        return made[-1]

    monkeypatch.setattr(models_module, "Synthesizer", build)
    monkeypatch.setattr(patients_module, "virtual_patient", fake_patients.patient)
    monkeypatch.setattr(rivals, "virtual_patient", fake_patients.patient)
    monkeypatch.setattr(patients_module, "rendering_hash", lambda: "as rendered")
    return made


@pytest.fixture
def bundles():
    return [fake_patients.bundle("Good"), fake_patients.bundle("Fixed")]


def _evaluate(bundles, cases=2, tasks=TASKS, **options):
    return evaluate_synthesis(bundles, Patients(cases), Options(tasks, register=False, **options))


def test_two_models_beside_what_is_simpler(pretenders, bundles):
    found = _evaluate(bundles, ceiling=True)
    figures = found.figures()
    pair = figures["T1w + T2w -> CE-T1w"]
    methods = ["Good", "Good" + PROMPTED, "Fixed", COPY, LINEAR, ORACLE, CEILING]
    assert found.methods(TASKS[0]) == methods
    # the clean truth of these patients is the truth itself
    assert pair[CEILING]["body"]["MAE"] == 0
    assert pair["Good"]["body"]["SSIM"] > pair["Fixed"]["body"]["SSIM"]
    assert set(pair["sharpness ratio"]) == set(methods)
    assert set(pair["enhancement ratio"]) == {"truth", *methods}
    assert pair["enhancement ratio"]["truth"] > 1.2
    assert pair["enhancement ratio error"][CEILING] == 0 < pair["enhancement ratio error"]["Good"]
    assert set(pair["CNR error"]) == set(methods)
    assert "enhancement ratio" not in figures["T1w -> T2w"]
    assert found.about["models"][0].startswith("Good: Good 1")


def test_tasks_that_a_model_cannot_do_are_left_out_there(pretenders, bundles):
    found = _evaluate(bundles)
    assert "Fixed" in found.methods(TASKS[0])
    assert "Fixed" not in found.methods(TASKS[1]) + found.methods(TASKS[2])
    _, fixed = pretenders
    assert {call for call in fixed.calls} == {(("T1w", "T2w"), ("CE-T1w",))}
    with pytest.raises(InputError, match="none of the tasks"):
        _evaluate(bundles[1:], tasks=TASKS[2:])


def test_tasks_of_the_same_inputs_are_one_call(pretenders, bundles):
    _evaluate(bundles[:1], cases=1)
    (good,) = pretenders
    # by name alone and with the protocol in the prompt
    assert sorted(good.calls) == sorted(
        2 * [(("T1w", "T2w"), ("CE-T1w",)), (("T1w",), ("CE-T1w", "T2w"))]
    )


def test_models_get_names_of_their_own(pretenders):
    alike = [fake_patients.bundle("Good") for _ in range(2)]
    alike[0].folder.name, alike[1].folder.name = "a", "b"
    assert [model.label for model in load_models(alike)] == ["a", "b"]
    same = [fake_patients.bundle("Good") for _ in range(2)]
    assert [model.label for model in load_models(same)] == ["Good (1)", "Good (2)"]
    assert [model.label for model in load_models(same[:1])] == ["network"]


def test_markdown_has_the_methods_the_tests_and_the_notes(pretenders, bundles):
    text = markdown(_evaluate(bundles, cases=6))
    for name in ("Good", "Fixed", COPY, LINEAR, ORACLE):
        assert f"| {name} |" in text
    assert "## T1w + T2w -> CE-T1w" in text and "6 patients." in text and " ± " in text
    (tested,) = [line for line in text.splitlines() if line.startswith("| Fixed | SSIM, body | +")]
    assert "6 of 6" in tested and "no test" not in tested
    assert "## One more input" in text and "| T1w -> CE-T1w | + T2w | body SSIM |" in text
    assert "MS-SSIM, body" not in text  # these images are too small for it
    assert "nan" not in text


def test_markdown_of_a_benchmark_has_the_hospitals(pretenders, bundles):
    sets = ("inside-03-philips-3t", "outside-02-philips-3t")
    patients = Patients(1, benchmark="v1", sets=sets)
    found = evaluate_synthesis(bundles, patients, Options(TASKS[:1], register=False))
    text = markdown(found)
    for level in ("all", "inside", "outside", "outside - inside", *sets):
        assert f"\n| {level} | " in text
    assert "no test: fewer than 6 patients" in text


def test_worse_inputs_are_in_the_tables_and_drawn(pretenders, bundles, tmp_path, monkeypatch):
    monkeypatch.setattr(robustness, "DEGRADATIONS", robustness.DEGRADATIONS[:1])
    found = _evaluate(bundles, cases=1, tasks=TASKS[:1], robustness=True)
    text = markdown(found)
    assert "## Worse inputs, T1w + T2w -> CE-T1w" in text
    assert "| noise (share of the grey scale) | Fixed | body SSIM | 0: 0." in text
    assert draw_plots(found, tmp_path) == ""
    names = {path.name for path in (tmp_path / "plots").iterdir()}
    assert {"worse inputs T1w+T2w to CE-T1w.png", "worse inputs T1w to T2w.png"} <= names


@pytest.fixture
def command(pretenders, bundles, monkeypatch, tmp_path):
    """Run the command with both models; (exit code, folder)."""
    by_name = {bundle.name: bundle for bundle in bundles}
    monkeypatch.setattr(bundles_module, "load_bundle", lambda name, task: by_name[name])
    monkeypatch.setenv("COLUMNS", "200")

    def run(*more):
        arguments = ["evaluate", "synthesis", "--model", "Good", "--model", "Fixed", "--cases", "1"]
        arguments += ["--tasks", "T1w+T2w->CE-T1w", "--no-register", "-o", str(tmp_path / "out")]
        return main([*arguments, *more]), tmp_path / "out"

    return run


def test_the_command_writes_figures_tables_plots_and_pictures(command, capfd):
    code, folder = command("--data", "cohort", "--pictures", "--json")
    said = capfd.readouterr()
    assert code == 0, said.err
    record = json.loads(said.out)
    assert record["figures"].keys() == {"T1w + T2w -> CE-T1w"}
    assert record["details"]["tests"][0]["p"] is None
    kept = json.loads((folder / "synthesis.json").read_text(encoding="utf-8"))
    assert kept["figures"] == record["figures"]
    lines = (folder / "synthesis.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "set,patient,task,method,region,figure,value"
    assert any(",Fixed,tumour,MAE," in line for line in lines)
    assert any(",Good,tumour,CNR error," in line for line in lines)
    assert "| Good |" in (folder / "synthesis.md").read_text(encoding="utf-8")
    (picture,) = (folder / "pictures").iterdir()
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert (folder / "plots" / "expected errors.png").stat().st_size > 1000


def test_the_command_shows_a_table(command, capfd):
    code, _ = command()
    assert code == 0
    out = capfd.readouterr().out
    assert "SSIM, body" in out and "Fixed" in out and ORACLE in out


@pytest.mark.parametrize(
    ("option", "match", "said"), [((), None, None), (["--match"], True, "on"),
                                  (["--no-match"], False, "off")],
)  # fmt: skip
def test_site_matching_can_be_measured_on_and_off(command, pretenders, option, match, said):
    code, folder = command("--data", "cohort", *option)
    assert code == 0
    assert [model.matched for model in pretenders] == [{match}, {match}]
    record = json.loads((folder / "synthesis.json").read_text(encoding="utf-8"))
    assert record.get("site matching") == said


def test_nothing_is_left_behind_where_writing_fails(command, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("MRISynthApp.evaluation_pictures.draw_pictures", fail)
    code, folder = command()
    assert code == 2
    assert not folder.exists()


def test_without_matplotlib_the_plots_are_left_out_and_that_is_said(
    pretenders, bundles, monkeypatch, tmp_path
):
    found = _evaluate(bundles[:1], cases=1, tasks=TASKS[2:])
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert draw_plots(found, tmp_path) == NO_PLOTS
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("--data benchmark-v9", "no benchmark 'v9'"),
        ("--data benchmark-v1 --benchmark v1", "give one of them"),
        ("--data benchmark-v1 --seed 5", "leave out --seed"),
        ("--data somewhere --seed 5", "--seed is about simulated"),
        ("--data somewhere", "no folder"),
        ("--tasks everything", "unknown"),
        ("--pictures", "need a folder"),
    ],
)
def test_the_command_says_what_is_wrong(capfd, options, says):
    assert main(["evaluate", "synthesis", *options.split()]) == 2
    assert says in " ".join(capfd.readouterr().err.split())


def test_a_folder_of_patients_is_measured_on_what_it_has(pretenders, bundles, folders):
    from MRISynthLib.evaluation.folders import FolderPatients

    patients = FolderPatients(folders["cohort"])
    tasks = parse_tasks(["T1w+T2w->CE-T1w", "T1w->FLAIR"])
    said = []
    found = evaluate_synthesis(
        bundles[:1], patients, Options(tasks, register=False), report=said.append
    )
    assert found.tasks == tasks[:1]
    assert len(found.rows) == patients.total == 2
    assert "tumour" in found.rows[0].figures["network"]
    assert found.about["dataset"] == "cohort"
    with pytest.raises(InputError, match="--ceiling"):
        evaluate_synthesis(bundles[:1], patients, Options(tasks, ceiling=True))
    assert cli_evaluate.COHORT == "cohort"
