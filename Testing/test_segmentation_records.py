"""`mrisynth evaluate segmentation` as a command: files, tables, plots, pictures, refusals."""

from __future__ import annotations

import csv
import json
import sys

import numpy as np
import pytest
from PIL import Image

import fake_patients
import fake_segmenters
from MRISynthApp import comparison_picture
from MRISynthApp.__main__ import main
from MRISynthApp.evaluation_pictures import NO_PLOTS
from MRISynthLib import bundles as bundles_module
from MRISynthLib.evaluation import models as models_module
from MRISynthLib.evaluation import patients as patients_module
from MRISynthSegmentLib import refinement
from MRISynthSegmentLib.evaluation import segmentation as module
from MRISynthSegmentLib.evaluation.inputs import FILLED, REAL, UNENHANCED


@pytest.fixture
def command(monkeypatch, tmp_path):
    """Run the command with models that take no time; (exit code, folder)."""
    bundles = {"segmentation": fake_segmenters.bundle(), "synthesis": fake_patients.bundle()}
    monkeypatch.setattr(refinement, "Refiner", fake_segmenters.Refiner)
    monkeypatch.setattr(bundles_module, "load_bundle", lambda name, task: bundles[task])
    monkeypatch.setattr(module, "Segmenter", fake_segmenters.segmenter())
    monkeypatch.setattr(models_module, "Synthesizer", fake_segmenters.synthesizer)
    monkeypatch.setattr(patients_module, "virtual_patient", fake_segmenters.patient)
    monkeypatch.setattr(patients_module, "rendering_hash", lambda: "as rendered")
    monkeypatch.setenv("COLUMNS", "200")

    def run(*more):
        arguments = ["evaluate", "segmentation", "--synthesis-model", "any", "--cases", "1"]
        output = ["--no-register", "-o", str(tmp_path / "out")]
        return main([*arguments, *output, *more]), tmp_path / "out"

    return run


def test_the_command_writes_figures_tables_plots_and_pictures(command, capfd):
    code, folder = command("--data", "cohort", "--clicks", "--pictures", "--json")
    said = capfd.readouterr()
    assert code == 0, said.err
    record = json.loads(said.out)
    assert list(record["figures"]) == [REAL.name, FILLED.name, UNENHANCED.name]
    kept = json.loads((folder / "segmentation.json").read_text("utf-8"))
    assert kept["figures"] == record["figures"] and kept["details"] == record["details"]
    assert kept["model"] == "Outliner 1 (000000000000)"
    assert kept["synthesis model"].startswith("Pretender 1")
    assert "# Segmentation" in (folder / "segmentation.md").read_text("utf-8")
    lines = list(csv.reader((folder / "segmentation.csv").open()))
    assert lines[0][:4] == ["set", "patient", "stage", "hospital"]
    assert ["", "90000", "T1", "hospital 0", REAL.name, "GTVp", "Dice", "1.0"] in lines
    assert any(line[5:7] == ["Brainstem", "Dice after 3 clicks"] for line in lines)
    assert str(folder) not in json.dumps(kept)
    plots = {path.name for path in (folder / "plots").iterdir()}
    assert plots == {"structures.png", "tumour.png", "doubt.png", "clicks.png"}  # one hospital
    names = {path.name for path in (folder / "pictures").iterdir()}
    assert names == {
        "90000, structures.png",
        "90000, tumour.png",
        "90000, tumour over synthetic CE-T1w.png",
    }


def _coloured(path) -> tuple[int, int]:
    """Pixels below legend and remarks in the colours of the true and of the found outline."""
    pixels = np.asarray(Image.open(path).convert("RGB"))[130:].astype(int)
    colours = comparison_picture.FIRST, comparison_picture.SECOND
    return tuple(int((np.abs(pixels - c).sum(2) < 60).sum()) for c in colours)


def test_pictures_show_what_is_true_and_what_was_found(command):
    code, folder = command(
        "--pictures", "--cases", "3", "--inputs", "T1w+T2w", "--structures", "GTVp,Brainstem"
    )
    assert code == 0
    for name in ("90000, structures.png", "90000, tumour.png", "90002, structures.png"):
        assert min(_coloured(folder / "pictures" / name)) > 50, name
    # a tumour found in vain is drawn, and nothing else
    true, found = _coloured(folder / "pictures" / "90002, tumour.png")
    assert true < 30 < 50 < found


def test_the_command_shows_tables(command, capfd):
    code, _ = command("--clicks", "--structures", "GTVp, Brainstem")
    assert code == 0
    out = capfd.readouterr().out
    for title in ("Summary", "Dice by images", "Dice after simulated clicks", "Tests"):
        assert title in out
    assert "Eye_L" not in out and FILLED.name in out


def test_what_is_left_out_is_said(command, capfd):
    code, _ = command("--inputs", "main,STIR", "--structures", "GTVp", "--json")
    record = json.loads(capfd.readouterr().out)
    assert code == 0 and record["warnings"] == ["Left out: STIR: Outliner does not take STIR."]


def test_nothing_is_left_behind_where_writing_fails(command, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("MRISynthApp.segmentation_plots.draw_plots", fail)
    code, folder = command("--pictures")
    assert code == 2 and not folder.exists()


def test_without_matplotlib_the_plots_are_left_out_and_that_is_said(command, monkeypatch, capfd):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    code, folder = command("--json")
    assert code == 0 and not (folder / "plots").exists()
    assert json.loads(capfd.readouterr().out)["warnings"] == [NO_PLOTS]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("--data benchmark-v9", "no benchmark 'v9'"),
        ("--data benchmark-v1 --seed 5", "leave out --seed"),
        ("--data somewhere --seed 5", "--seed is about simulated"),
        ("--data somewhere", "no folder"),
        ("--inputs everything", "is no sequence"),
        ("--inputs synthetic-T2w", "no real image"),
        ("--inputs T2w+synthetic", "is no sequence"),
        ("--structures Elbow", "does not know the structure Elbow"),
        ("--inputs STIR", "does not take STIR"),
    ],
)
def test_the_command_says_what_is_wrong(command, capfd, options, says):
    code, folder = command(*options.split())
    assert code == 2 and not folder.exists()
    assert says in " ".join(capfd.readouterr().err.split())


def test_pictures_need_a_folder(capfd):
    assert main(["evaluate", "segmentation", "--pictures"]) == 2
    assert "need a folder" in capfd.readouterr().err
