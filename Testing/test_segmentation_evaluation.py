"""`mrisynth evaluate segmentation`: what is measured, from which images, and what is made of it."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest

import fake_patients
import fake_segmenters
from dataset_layouts import Person, write_cohort
from fake_segmenters import TRUTHS
from MRISynthLib.errors import InputError
from MRISynthLib.evaluation import models as models_module
from MRISynthLib.evaluation import patients as patients_module
from MRISynthLib.evaluation.folders import FolderPatients
from MRISynthLib.evaluation.patients import Patients
from MRISynthLib.volume import Volume, matrix_from_parts
from MRISynthSegmentLib import refinement
from MRISynthSegmentLib.evaluation import Options, evaluate_segmentation
from MRISynthSegmentLib.evaluation import segmentation as module
from MRISynthSegmentLib.evaluation.clicks import next_click
from MRISynthSegmentLib.evaluation.comparisons import doubts, interval_of_mean, paired_tests
from MRISynthSegmentLib.evaluation.inputs import (
    FILLED,
    INPUT_SETS,
    MAIN,
    REAL,
    UNENHANCED,
    InputSet,
    parse_inputs,
)
from MRISynthSegmentLib.evaluation.measures import dice, measured
from MRISynthSegmentLib.evaluation.results import HEALTHY, LOWEST, ORGANS, Row
from MRISynthSegmentLib.evaluation.tables import contrast_text, markdown

T1W = InputSet(("T1w",))


@pytest.fixture
def pretend(monkeypatch):
    """Patients, models and a refiner that take no time; the segmenters that were built."""
    built = []
    kinds = {"segmenter": fake_segmenters.segmenter()}

    def build(bundle, device):
        built.append(kinds["segmenter"](bundle, device))
        return built[-1]

    monkeypatch.setattr(refinement, "Refiner", fake_segmenters.Refiner)
    monkeypatch.setattr(module, "Segmenter", build)
    monkeypatch.setattr(models_module, "Synthesizer", fake_segmenters.synthesizer)
    monkeypatch.setattr(patients_module, "virtual_patient", fake_segmenters.patient)
    monkeypatch.setattr(patients_module, "rendering_hash", lambda: "as rendered")
    return SimpleNamespace(built=built, kinds=kinds)


def _evaluate(cases=9, bundle=None, synthesis=True, patients=None, **options):
    maker = fake_patients.bundle("Maker") if synthesis else None
    return evaluate_segmentation(
        bundle or fake_segmenters.bundle(),
        patients or Patients(cases),
        Options(register=False, **options),
        "cpu",
        maker,
    )


# ------------------------------------------------------------------------ sets of images


def test_sets_of_images_are_named_and_read():
    assert parse_inputs(()) == MAIN == (REAL, FILLED, UNENHANCED)
    assert FILLED.name == "T1w + T2w + synthetic CE-T1w"
    assert parse_inputs(["T1w+synthetic-CE-T1w"]) == (InputSet(("T1w",), ("CE-T1w",)),)
    assert parse_inputs(["T1+synthetic T2, t1w"]) == (InputSet(("T1w",), ("T2w",)), T1W)
    everything = parse_inputs(["all"])
    assert len(everything) == len(set(everything)) == 8
    assert set(INPUT_SETS["single"]) < set(everything)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("T1w+T1w", "twice"),
        ("T1w+synthetic T1w", "twice"),
        ("synthetic CE-T1w", "no real image"),
        ("T1w+nonsense", "nearest"),
        ("everything", "main, missing, single or all"),
    ],
)
def test_a_set_of_images_that_makes_no_sense_is_refused(text, says):
    with pytest.raises(InputError, match=says):
        parse_inputs([text])


# ----------------------------------------------------------------------------- measuring


def test_each_set_of_images_is_delineated_and_measured(pretend):
    found = _evaluate(cases=2)
    assert found.inputs == tuple(each.name for each in MAIN)
    figures = found.figures()
    assert figures[REAL.name]["GTVp"] == 1
    assert figures[FILLED.name]["GTVp"] == pytest.approx(7 / 8)
    assert figures[UNENHANCED.name]["GTVp"] == pytest.approx(5 / 8)
    (segmenter,) = pretend.built
    assert {names for names, _ in segmenter.calls} == {("T1w", "T2w", "CE-T1w"), ("T1w", "T2w")}
    assert not any(register for _, register in segmenter.calls)  # aligned already
    row = found.rows[0].structures["GTVp"]
    assert row["HD95 (mm)"] == 0 and row["surface Dice 1 mm"] == 1 and row["missed"] == 0
    shifted = found.rows[2].structures["Brainstem"]
    assert shifted["HD95 (mm)"] == pytest.approx(3 * 1.5)
    assert shifted["surface Dice 2 mm"] < 1 and shifted["volume error"] == 0


def test_a_missed_structure_counts_and_one_at_the_rim_of_the_image_does_not(pretend):
    found = _evaluate(cases=2, inputs=(REAL,))
    row = found.rows[0].structures
    assert row["Eye_R"] == {
        "Dice": 0, "surface Dice 1 mm": 0, "surface Dice 2 mm": 0, "volume error": -1,
        "absolute volume error": 1, "missed": 1, "doubt": 0.1,
    }  # fmt: skip
    assert row["Cochlea_L"] == {}
    assert "Cochlea_L" not in found.structures
    figures = found.figures()[REAL.name]
    assert figures[ORGANS] == pytest.approx(2 / 3) and figures[LOWEST] == 0


def test_a_tumour_found_in_a_healthy_patient_is_told_apart(pretend):
    found = _evaluate(cases=3)  # the third has none
    figures = found.figures()
    assert figures[REAL.name][HEALTHY] == 1 and figures[UNENHANCED.name][HEALTHY] == 0
    assert figures[REAL.name]["GTVp"] == 1  # of those who have one
    stages = found.details()["by stage"][FILLED.name]
    assert list(stages) == ["T1", "T3", "adenoids"]
    assert stages["adenoids"] == {
        "patients": 1, ORGANS: pytest.approx(stages["T1"][ORGANS]), HEALTHY: 0
    }  # fmt: skip
    assert stages["T1"]["GTVp Dice"] == pytest.approx(7 / 8)


def test_structures_that_the_model_or_the_patient_does_not_know_are_left_out(pretend):
    bundle = fake_segmenters.bundle(("Brainstem", "Eye_L"))
    found = _evaluate(cases=1, bundle=bundle, inputs=(REAL,))
    assert found.structures == ("Brainstem", "Eye_L")
    assert HEALTHY not in found.figures()[REAL.name] and not found.details()["contrast"]
    sets = (T1W, InputSet(("T2w",)), REAL)
    found = _evaluate(cases=1, inputs=sets, structures=("Eye_L", "GTVp"))
    assert found.inputs == ("T1w", "T2w", REAL.name)
    assert found.structures == ("GTVp", "Eye_L")
    assert "| 1.000 (Eye_L) |" in markdown(found)  # a tumour is no organ
    assert found.about["structures"] == ["GTVp", "Eye_L"]
    with pytest.raises(InputError, match=r"does not know the structure Elbow.*Brainstem"):
        _evaluate(structures=("Elbow",))


def test_sets_of_images_that_cannot_be_used_are_left_out_with_the_reason(pretend):
    found = _evaluate(cases=1, synthesis=False)
    assert found.inputs == (REAL.name, UNENHANCED.name)
    assert found.about["left out"] == [f"{FILLED.name}: there is no synthesis model"]
    bundle = fake_segmenters.bundle(sequences=("T1w",))
    found = _evaluate(cases=1, bundle=bundle, inputs=(REAL, T1W))
    assert found.inputs == ("T1w",)
    assert "does not take T2w, CE-T1w" in found.about["left out"][0]
    with pytest.raises(InputError, match=r"None of the sets.*no synthesis model"):
        _evaluate(synthesis=False, inputs=(FILLED,))


def test_figures_of_a_benchmark_are_of_every_hospital_and_both_sides(pretend):
    sets = ("inside-03-philips-3t", "outside-02-philips-3t")
    found = _evaluate(patients=Patients(1, benchmark="v1", sets=sets))
    figures = found.figures()
    assert set(figures) == {"all", "inside", "outside", *sets}
    assert set(figures["outside"]) == {each.name for each in MAIN}
    assert set(found.details()["by hospital"][REAL.name]) == set(sets)
    assert found.about["benchmark"] == "v1"
    text = markdown(found)
    assert f"| {FILLED.name} | outside | 0.875 |" in text


def test_patients_in_a_folder_are_measured_on_the_grid_of_the_reference(pretend, tmp_path):
    made = fake_segmenters.patient(90_000)
    # the masks are drawn on T2w, which lies two pixels to the left of where T1w does
    person = Person(made.volumes, dict(TRUTHS)).moved((3.0, 0, 0), "T2w")
    for name, stage in (("a", {"stage": "T2", "hospital": "here"}), ("b", None)):
        folder = write_cohort(tmp_path, person, name)
        if stage:
            (folder / "case.json").write_text(json.dumps(stage))
    patients, bundle = FolderPatients(tmp_path), fake_segmenters.bundle()
    found = _evaluate(patients=patients, bundle=bundle, inputs=(REAL, InputSet(("STIR",))))
    assert [(row.stage, row.hospital) for row in found.rows] == [
        ("T2", "here"),
        ("unknown", "unknown"),
    ]
    assert found.inputs == (REAL.name,) and found.about["dataset"] == "cohort"
    assert found.figures()[REAL.name]["GTVp"] == pytest.approx(6 / 8)
    with pytest.raises(InputError, match="No patient has all images"):
        takes_stir = fake_segmenters.bundle(sequences=("STIR",))
        _evaluate(patients=patients, bundle=takes_stir, inputs=(InputSet(("STIR",)),))


def test_what_is_measured_of_one_structure():
    truth, matrix = TRUTHS["Brainstem"], matrix_from_parts((1.5, 1.5, 4.0))
    larger = truth | np.roll(truth, 5, 1)
    figures, agreed = measured(truth, larger, matrix, doubt=0.3)
    assert figures["volume error"] == figures["absolute volume error"] == pytest.approx(0.5)
    assert figures["Dice"] == agreed.dice == pytest.approx(dice(larger, truth))
    assert figures["doubt"] == 0.3
    assert measured(None, truth, matrix) == ({"found though absent": 1.0}, None)
    assert measured(truth & False, truth & False, matrix)[0] == {"found though absent": 0.0}
    assert measured(TRUTHS["Cochlea_L"], truth, matrix) == ({}, None)


# ----------------------------------------------------------------------------- the question


def test_what_a_synthetic_contrast_image_adds_is_tested_patient_by_patient(pretend):
    found = _evaluate(cases=9)  # six have a tumour
    contrast = found.details()["contrast"]
    assert [each["patients"] for each in contrast["inputs"].values()] == [6, 6, 6]
    tests = {(t["figure"], t["first"], t["second"]): t for t in contrast["tests"]}
    added = tests["GTVp Dice", FILLED.name, UNENHANCED.name]
    assert added["difference"] == pytest.approx(2 / 8) and added["better"] == added["n"] == 6
    assert added["p"] == pytest.approx(2 / 2**6)
    assert added["p Holm"] == pytest.approx(3 * 2 / 2**6)  # three comparisons
    assert added["interval"] == pytest.approx([2 / 8, 2 / 8])
    nearer = tests["GTVp HD95 (mm)", FILLED.name, UNENHANCED.name]
    assert nearer["difference"] < 0 and nearer["better"] == 6
    assert tests["organs Dice", FILLED.name, REAL.name]["n"] == 9
    text = contrast_text(contrast)
    assert "In 6 patients" in text and "0.625 ± 0.000 from T1w + T2w" in text
    assert "differed by -0.125" in text and "p = 0.0938" in text


def test_few_patients_are_shown_but_not_tested(pretend):
    contrast = _evaluate(cases=3).details()["contrast"]
    assert contrast["tests"][0]["p"] is None and contrast["tests"][0]["interval"] is None
    assert "(no test)" in contrast_text(contrast)
    assert interval_of_mean(np.arange(5.0)) is None
    low, high = interval_of_mean(np.arange(10.0))
    assert 2 < low < 4.5 < high < 7


def test_without_a_tumour_there_is_no_table_of_tumours(pretend):
    found = _evaluate(patients=Patients(1, seed=90_002))
    assert found.details()["contrast"]["inputs"] == {}
    text = markdown(found)
    assert "patients with a tumour" not in text and "| organs Dice |" in text


def test_only_patients_with_all_sets_of_images_are_compared():
    def row(case, inputs, value):
        return Row(case, "", "T1", "", inputs.name, {"GTVp": {"Dice": value}})

    rows = [row("a", UNENHANCED, 0.5), row("a", REAL, 0.9), row("b", REAL, 0.1)]
    (test,) = [t for t in paired_tests(rows) if t["figure"] == "GTVp Dice"]
    assert test["n"] == 1 and test["difference"] == pytest.approx(0.4)


def test_doubt_is_held_against_the_error(pretend):
    found = _evaluate(cases=3).details()["doubt"]
    # the same doubt in everything of one set of images says nothing
    assert found[REAL.name]["all"] is None and found[REAL.name]["n"] > 6
    rows = [
        Row(str(n), "", "", "", "T1w", {"Brainstem": {"Dice": 1 - n / 10, "doubt": n / 20}})
        for n in range(8)
    ]
    told = doubts(rows)
    assert told["all"] == told["mean of structures"] == pytest.approx(1)
    pretend.kinds["segmenter"] = fake_segmenters.segmenter(says_doubt=False)
    assert "doubt" not in _evaluate(cases=1).details()


# -------------------------------------------------------------------------------- clicks


REFERENCE = Volume(np.zeros((6, 30, 40), np.float32), matrix_from_parts((1.0, 2.0, 4.0)), "T1w")


def _index(click) -> tuple[int, ...]:
    """(slice, row, column) of a click."""
    inverse = np.linalg.inv(REFERENCE.index_to_world)
    return tuple(int(np.rint(x)) for x in (inverse @ (*click.point, 1.0))[2::-1])


def test_the_next_click_goes_deep_into_the_largest_error():
    truth, found = np.zeros(REFERENCE.shape, bool), np.zeros(REFERENCE.shape, bool)
    truth[1:4, 5:14, 5:14] = True  # missed
    found[2, 20:28, 20:28] = True  # invented, and smaller
    click = next_click(truth, found, REFERENCE)
    assert click.adds and _index(click) == (2, 9, 9)
    assert click.point == pytest.approx((9.0, 18.0, 8.0))
    click = next_click(truth, found | truth, REFERENCE)
    assert not click.adds and _index(click)[0] == 2 and 22 <= _index(click)[1] <= 25
    assert next_click(truth, truth, REFERENCE) is None


def test_where_the_image_ends_there_is_nothing_to_click_on():
    truth = np.zeros(REFERENCE.shape, bool)
    truth[:, 10:19, 0:7] = True
    click = next_click(truth, truth & False, REFERENCE)
    assert _index(click)[1:] == (14, 3)


def test_clicks_make_structures_better_and_the_record_says_how_much(pretend):
    found = _evaluate(cases=3, clicks=True, inputs=(UNENHANCED, REAL))
    assert found.about["clicks"] == f"simulated, on {UNENHANCED.name}"
    clicks = found.details()["clicks"]
    assert set(clicks["structures"]) == {"GTVp", "Brainstem", "Eye_L", "Eye_R"}
    assert clicks["structures"]["GTVp"]["patients"] == 2  # the third has none
    for each in clicks["structures"].values():
        curve = each["Dice"]
        assert list(curve) == ["0", "1", "3", "5"] and curve["0"] < curve["1"] <= curve["5"]
    assert clicks[ORGANS]["0"] < clicks[ORGANS]["5"]
    assert clicks["seconds a click"] > 0
    assert "| 5 clicks |" in markdown(found) and "s a click on average" in markdown(found)


def test_a_model_that_takes_no_clicks_is_measured_without(pretend):
    pretend.kinds["segmenter"] = fake_segmenters.segmenter(takes_clicks=False)
    found = _evaluate(cases=1, clicks=True)
    assert found.about["clicks"] == "none: Outliner takes no clicks"
    assert not found.curves and "clicks" not in found.details()


def test_markdown_has_every_table(pretend):
    text = markdown(_evaluate(cases=9))
    for head in ("Summary", "Dice by images", "By stage", "By hospital", "Notes", REAL.name):
        assert f"\n## {head}\n" in text
    assert f"| {FILLED.name} | 9 | 0.875 |" in text and "(Eye_R)" in text
    assert "| adenoids | 3 | – |" in text and "6 of 6" in text
    tables = [line for line in text.splitlines() if line.startswith("|")]
    heads = [
        line for number, line in enumerate(tables) if "---" in tables[(number + 1) % len(tables)]
    ]
    assert "| GTVp Dice | synthetic CE-T1w - no CE-T1w | +0.250 |" in text
    assert len(heads) >= 8 and "nan" not in text
