"""`mrisynth evaluate merge`: parts that were measured apart are the whole."""

from __future__ import annotations

import json
import math

import pytest

import fake_patients
import fake_segmenters
from MRISynthApp.__main__ import main
from MRISynthLib.evaluation import models as models_module
from MRISynthLib.evaluation import patients as patients_module
from MRISynthLib.evaluation import rivals
from MRISynthLib.evaluation.calibration import LAPLACE_SHARES
from MRISynthLib.evaluation.metrics import mean_of
from MRISynthLib.evaluation.output import write_results as write_synthesis
from MRISynthLib.evaluation.parts import EVERY_PATIENT
from MRISynthLib.evaluation.patients import Patients
from MRISynthLib.evaluation.results import Evaluation, Row, registration_in_words
from MRISynthSegmentLib import refinement
from MRISynthSegmentLib.evaluation import Options, evaluate_segmentation, write_results
from MRISynthSegmentLib.evaluation import segmentation as module

SETS = ("inside-03-philips-3t", "outside-02-philips-3t", "outside-03-siemens-3t")
TASKS = ((("T1w",), "T2w"), (("T1w", "T2w"), "CE-T1w"))


@pytest.fixture(autouse=True)
def _pretend(monkeypatch):
    monkeypatch.setattr(refinement, "Refiner", fake_segmenters.Refiner)
    monkeypatch.setattr(module, "Segmenter", fake_segmenters.segmenter())
    monkeypatch.setattr(models_module, "Synthesizer", fake_segmenters.synthesizer)
    monkeypatch.setattr(patients_module, "virtual_patient", fake_segmenters.patient)
    monkeypatch.setattr(patients_module, "rendering_hash", lambda: "as rendered")
    monkeypatch.setattr(rivals, "virtual_patient", fake_patients.patient)
    monkeypatch.setenv("COLUMNS", "200")


def measured(folder, clicks=False, **of):
    """The folder of an evaluation of delineation."""
    bundles = fake_segmenters.bundle(), Patients(**of)
    options = Options(register=False, clicks=clicks)
    found = evaluate_segmentation(*bundles, options, "cpu", fake_patients.bundle("Maker"))
    folder.mkdir(parents=True)
    write_results(found, folder)
    return folder


def synthesised(folder, sets=SETS, seed=0, **about):
    """The folder of an evaluation of synthesis, of four patients a set."""
    rows, moved = [], []
    for name in sets:
        for number in range(4):
            value = len(name) / 100 + number / 7
            moved.append(number * 0.5)
            psnr = math.inf if number else 30.0
            body = {"body": {"SSIM": value, "MAE": 0.1 * value, "PSNR": psnr}}
            figures = {"Good": body, "Fixed": {"body": {"SSIM": 0.1, "MAE": 0.2}}}
            pair = {"expected": value, "true": 0.1}
            below = dict.fromkeys(LAPLACE_SHARES, value / 2)
            said = {"ratio": value, "below": below, "regions": {"tumour": pair}}
            doubts = {"Good": {**said, "deciles": {"1": pair}}}
            rows += [Row(f"{name} {number}", name, task, figures, doubts) for task in TASKS]
    curves = tuple({"T1w": {"noise": {"1": {"Good": {"body SSIM": len(n) / 50}}}}} for n in sets)
    head = {"benchmark": "v1", "whole benchmark": False, "cases of each set": 4,
            "sets": list(sets), "models": ["Good: Good 1 (000)"], **about}  # fmt: skip
    head["registration"] = registration_in_words(moved)
    folder.mkdir(parents=True)
    found = Evaluation(head, ("Good", "Fixed"), tuple(rows), curves, tuple(moved))
    write_synthesis(found, folder)
    return folder


def merge(*parts, into):
    return main(["evaluate", "merge", *map(str, parts), "-o", str(into), "--json"])


def content(folder, kind):
    texts = {end: (folder / f"{kind}.{end}").read_text("utf-8") for end in ("md", "csv")}
    return json.loads((folder / f"{kind}.json").read_text("utf-8")), texts


def test_sets_of_the_benchmark_measured_apart_are_the_whole(tmp_path, capfd):
    some = {"benchmark": "v1", "cases": 3}
    whole = measured(tmp_path / "whole", **some, sets=SETS, clicks=True)
    parts = [measured(tmp_path / name, **some, sets=(name,), clicks=True) for name in SETS]
    assert merge(*reversed(parts), into=tmp_path / "merged") == 0
    said = json.loads(capfd.readouterr().out)
    expected, texts = content(whole, "segmentation")
    found, others = content(tmp_path / "merged", "segmentation")
    seconds = [each["details"]["clicks"].pop("seconds a click") for each in (expected, found)]
    assert all(seconds)
    for record in (expected, found):
        for curve in record[EVERY_PATIENT]["curves"]:
            curve.pop("seconds")
    assert found == expected and others["csv"] == texts["csv"]
    assert said["figures"] == expected["figures"]
    tests = found["details"]["contrast"]["tests"]
    assert any(test["p"] is not None for test in tests)  # of one set alone there would be none
    lone = content(parts[0], "segmentation")[0]["details"]["contrast"]["tests"]
    assert all(test["p"] is None for test in lone)


def test_patients_by_seed_measured_apart_are_the_whole(tmp_path):
    whole = measured(tmp_path / "whole", cases=9)
    parts = [measured(tmp_path / "a", cases=4), measured(tmp_path / "b", cases=5, seed=90004)]
    assert merge(parts[1], parts[0] / "segmentation.json", into=tmp_path / "merged") == 0
    assert content(tmp_path / "merged", "segmentation") == content(whole, "segmentation")


@pytest.mark.filterwarnings("ignore:invalid value")  # the spread of an infinite PSNR
def test_synthesis_measured_apart_is_the_whole(tmp_path):
    whole = synthesised(tmp_path / "whole")
    parts = [synthesised(tmp_path / name, (name,)) for name in SETS]
    assert merge(*parts, into=tmp_path / "merged") == 0
    expected, found = (content(folder, "synthesis") for folder in (whole, tmp_path / "merged"))
    assert found == expected
    record = found[0]
    assert record["registration"] == "9 of 12 images moved by 1.00 mm on average"
    assert record["details"]["robustness"]["patients"] == 3
    every = [row["figures"] for row in record[EVERY_PATIENT]["rows"] if row["task"][1] == "T2w"]
    assert [each["Good"]["body"]["PSNR"] for each in every[:2]] == [30.0, "inf"]
    mean = mean_of([{"SSIM": row["Good"]["body"]["SSIM"]} for row in every])["SSIM"]
    assert record["figures"]["all"]["T1w -> T2w"]["Good"]["body"]["SSIM"] == pytest.approx(mean)


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"sets": SETS[:1]}, "is in"),
        ({"sets": SETS[1:], "models": ["Good: Good 2 (111)"]}, "differ in 'models'"),
        ({"sets": SETS[1:], "rendering": "other"}, "differ in 'rendering'"),
    ],
)
def test_what_is_no_part_of_the_same_is_refused(tmp_path, capfd, other, words):
    first = synthesised(tmp_path / "a", SETS[:1])
    second = synthesised(tmp_path / "b", **other)
    assert merge(first, second, into=tmp_path / "merged") == 2
    assert words in json.loads(capfd.readouterr().out)["error"]
    assert not (tmp_path / "merged").exists()


def test_files_without_patients_folders_without_files_and_the_parts_themselves_are_refused(
    tmp_path, capfd
):
    first, second = (synthesised(tmp_path / name, (name,)) for name in SETS[:2])
    record, _ = content(first, "synthesis")
    record.pop(EVERY_PATIENT)
    (tmp_path / "old.json").write_text(json.dumps(record), encoding="utf-8")
    (tmp_path / "empty").mkdir()
    for parts, into, words in (
        ([first], "merged", "two parts or more"),
        ([first, tmp_path / "old.json"], "merged", "does not hold the figures of every patient"),
        ([first, tmp_path / "empty"], "merged", "is no part of an evaluation"),
        ([first, second], SETS[0], "would overwrite the part"),
    ):
        assert merge(*parts, into=tmp_path / into) == 2
        said = capfd.readouterr()
        assert words in json.loads(said.out)["error"] and "Traceback" not in said.err
