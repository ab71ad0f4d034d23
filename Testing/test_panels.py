"""What the panels decide, without Slicer or Qt."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from MRISynthLib import panel
from MRISynthLib.panel import InputRow, ProgressText, Understanding
from MRISynthLib.provenance import Provenance
from MRISynthLib.volume import Volume
from MRISynthSegmentLib import panel as segment_panel
from MRISynthSegmentLib.export_model import weak_structures
from MRISynthSegmentLib.segmentation import Segmentation
from MRISynthSegmentLib.structures import STRUCTURES

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Model:
    name: str = "model"
    sequences_in: tuple[str, ...] = ("T1w", "T2w", "CE-T1w")
    sequences_out: tuple[str, ...] = ("T1w", "CE-T1w", "STIR")
    structures: tuple[str, ...] = ("GTVp", "Brainstem", "Eye_L", "Eye_R")


T1W = InputRow("1", "t1 tse", "T1w", 0.95)
T2W = InputRow("2", "t2 tse", "T2w", 0.9)
SECOND_T1W = InputRow("3", "t1 again", "T1w", 0.9)
UNSURE = InputRow("4", "series 7", "T1w", 0.4)
FAKE_CE = InputRow("5", "SYNTHETIC CE-T1w", "CE-T1w", 1.0, synthetic=True)
BROKEN = InputRow("6", "scout", problem="scout has no voxels; load it again.")


def keys(rows):
    return [row.key for row in rows]


# ---------------------------------------------------------------------------- inputs


def test_loading_a_study_is_enough():
    rows = (T1W, T2W, SECOND_T1W, UNSURE, FAKE_CE, BROKEN)
    assert keys(panel.selected(rows, Model())) == ["1", "2"]


def test_the_users_ticks_win():
    rows = (replace(T1W, ticked=False), T2W, replace(SECOND_T1W, ticked=True))
    assert keys(panel.selected(rows, Model())) == ["2", "3"]
    # A tick on one T1w keeps the other from being chosen unasked.
    assert keys(panel.selected((T1W, replace(SECOND_T1W, ticked=True)), Model())) == ["3"]


def test_what_is_handed_over_replaces_ticks_that_are_in_the_way():
    chosen, freed, _ = panel.handed_over((T1W, T2W, FAKE_CE, SECOND_T1W), (T1W, T2W), ["5"])
    assert chosen == {"1": "T1w", "2": "T2w", "5": "CE-T1w"}
    assert freed == (), "what nobody had ticked is left to choose itself"
    again, real = replace(SECOND_T1W, ticked=True), InputRow("7", "ce", "CE-T1w", 1.0)
    chosen, freed, _ = panel.handed_over((T1W, again, FAKE_CE, real), (T1W, real), ["5"])
    assert chosen == {"1": "T1w", "7": "CE-T1w"} and freed == ("3",)


def test_nothing_of_another_patient_is_handed_over_nor_stays_in_the_way():
    mine, made = (replace(row, patient="A") for row in (T1W, FAKE_CE))
    theirs = replace(T2W, patient="B", ticked=True)
    waiting = replace(SECOND_T1W, patient="B")
    chosen, freed, _ = panel.handed_over((mine, made, theirs, waiting), (mine,), ["5"])
    assert chosen == {"1": "T1w", "5": "CE-T1w"} and freed == ("2",)
    # the last run was of the patient before
    chosen, _, _ = panel.handed_over((mine, made, theirs, waiting), (theirs,), ["5"])
    assert chosen == {"2": "T2w"}


def test_what_was_made_of_other_images_is_neither_handed_over_nor_used_unasked():
    """Two studies of one patient, or files that do not say whose they are."""
    made = replace(FAKE_CE, made_from=("1",))
    later = (replace(SECOND_T1W, ticked=True), replace(T2W, ticked=True))
    rows = (T1W, made, *later)
    chosen, freed, _ = panel.handed_over(rows, later, ["5"])
    assert chosen == {"3": "T1w", "2": "T2w"} and freed == ()
    assert keys(panel.selected(rows, Model(), synthetic_too=True)) == ["3", "2"]
    # what was handed over before the user chose the other study does not stay
    chosen, freed, _ = panel.handed_over((T1W, replace(made, ticked=True), *later), later, [])
    assert chosen == {"3": "T1w", "2": "T2w"} and freed == ("5",)
    assert keys(panel.selected((T1W, made), Model(), synthetic_too=True)) == ["1", "5"]
    stir = replace(made, key="8", recognised="T2w", made_from=("1", "9"))
    alone = (replace(T1W, ticked=False), made, stir)
    assert keys(panel.selected(alone, Model(), synthetic_too=True)) == ["5", "8"]


def test_what_the_user_unticked_is_not_used_unasked_there_either():
    other = InputRow("7", "t2 fs", "STIR", 0.95)
    rows = (T1W, T2W, SECOND_T1W, other)
    unwanted = ["2", "3", "7"]
    chosen, _, left = panel.handed_over(rows, (T1W,), (), unwanted)
    assert chosen == {"1": "T1w"} and left == ("2", "7"), "no second T1w is used anyway"
    by_hand = (T1W, replace(T2W, ticked=True), replace(other, patient="B"))
    mine = replace(T1W, patient="A")
    _, freed, left = panel.handed_over(by_hand, (mine,), (), unwanted)
    assert freed == () and left == (), "ticked there, or of another patient"


def in_study(study, *rows):
    return tuple(replace(row, key=f"{study}{row.key}", patient="A", study=study) for row in rows)


def test_volumes_of_two_studies_of_a_patient_are_not_mixed_unasked():
    before, after = in_study("b", T1W), in_study("a", SECOND_T1W, T2W)
    assert keys(panel.selected((*before, *after), Model())) == ["b1"]
    ticked = replace(after[0], ticked=True)
    assert keys(panel.selected((*before, ticked, after[1]), Model())) == ["a3", "a2"]
    real = in_study("b", InputRow("7", "t1 post gd", "CE-T1w", 0.95))
    (target,) = (
        row for row in panel.target_rows((*real, *after), after, None, Model()) if row.ticked
    )
    assert target.sequence == "CE-T1w", "it was taken before, but not in this study"
    chosen, freed, _ = panel.handed_over((replace(before[0], ticked=True), *after), after[1:], ())
    assert chosen == {"a2": "T2w"} and freed == ("b1",)
    # who ticks both may have reasons
    both = (replace(before[0], ticked=True), replace(after[1], ticked=True))
    assert panel.input_problem(both, panel.selected(both, Model()), Model()) == ""


def test_synthetic_volumes_fill_gaps_only_where_asked():
    assert keys(panel.selected((FAKE_CE, T1W), Model(), synthetic_too=True)) == ["5", "1"]
    real_ce = InputRow("7", "t1 post gd", "CE-T1w", 0.95)
    assert keys(panel.selected((FAKE_CE, real_ce), Model(), synthetic_too=True)) == ["7"]


def of(patient, *rows):
    return tuple(replace(row, key=f"{patient}{row.key}", patient=patient) for row in rows)


def test_volumes_of_one_patient_are_chosen_unasked():
    ours, theirs = of("A", T1W), of("B", SECOND_T1W, T2W)
    assert keys(panel.selected((*ours, *theirs), Model())) == ["A1"]
    assert keys(panel.selected((*theirs, *ours), Model())) == ["B3", "B2"]
    # the first that can be used is another patient's
    broken, left_out = of("A", BROKEN, replace(T1W, ticked=False))
    assert keys(panel.selected((broken, left_out, *theirs), Model())) == ["B3", "B2"]
    # nothing is known against those that are of no known patient
    assert keys(panel.selected((T1W, *of("B", T2W)), Model())) == ["1", "B2"]


def test_a_ticked_volume_says_which_patient_is_chosen():
    rows = (*of("A", T1W, T2W), *of("B", SECOND_T1W, replace(T2W, ticked=True)))
    assert keys(panel.selected(rows, Model())) == ["B3", "B2"]


def test_a_synthetic_volume_of_another_patient_fills_no_gap():
    rows = (*of("A", T1W), *of("B", FAKE_CE))
    assert keys(panel.selected(rows, Model(), synthetic_too=True)) == ["A1"]
    rows += of("A", FAKE_CE)
    assert keys(panel.selected(rows, Model(), synthetic_too=True)) == ["A1", "A5"]


def test_what_another_patient_has_is_proposed_all_the_same():
    ours, theirs = of("A", T1W), of("B", InputRow("7", "t1 post gd", "CE-T1w", 0.95))
    assert ticked(panel.target_rows((*ours, *theirs), ours, None, Model())) == ["CE-T1w"]


def test_inputs_of_two_patients_are_refused():
    ours, theirs = of("A", replace(T1W, ticked=True)), of("B", replace(T2W, ticked=True))
    rows = (*ours, T1W, *theirs)
    used = panel.selected(rows, Model())
    assert keys(used) == ["A1", "B2"]
    assert panel.input_problem(rows, used, Model()) == (
        "'t2 tse' is of another patient than 't1 tse'; untick one of them."
    )
    both = *ours, *of("B", replace(SECOND_T1W, ticked=True))
    reason = panel.input_problem(both, both, Model())
    assert "another patient" in reason, "that both are T1w matters less"


def test_contours_are_compared_on_images_of_one_patient():
    theirs, made = of("B", InputRow("7", "t1 post gd", "CE-T1w", 0.95)), of("A", FAKE_CE)
    assert segment_panel.image_pair((*theirs, *made)) is None
    assert segment_panel.image_pair((*theirs, *of("A", T1W), *made)) == ("A1", "A5")


def test_a_sequence_that_the_model_does_not_take_is_not_chosen_unasked():
    flair = InputRow("8", "flair", "FLAIR", 0.95)
    assert keys(panel.selected((flair, T1W), Model())) == ["1"]
    ticked = replace(flair, ticked=True)
    reason = panel.input_problem((ticked,), panel.selected((ticked,), Model()), Model())
    assert "does not take FLAIR" in reason and "T1w" in reason


def test_the_users_word_overrules_recognition():
    row = replace(UNSURE, chosen="T2w")
    assert row.sure and row.sequence == "T2w"
    assert UNSURE.sequence is None


def test_recognition_comes_from_the_volume(small_volume):
    volume = small_volume.replace(sequence=None, name="t2_tse_tra")
    row = panel.row_of(volume, "9", chosen="no such sequence")
    assert (row.recognised, row.chosen, row.synthetic) == ("T2w", None, False)
    fake = volume.replace(provenance=Provenance(synthetic=True, sequence="STIR"))
    assert panel.row_of(fake, "9").synthetic


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ((), "Load the patient's MR sequences"),
        ((replace(T1W, ticked=False),), "Tick at least one volume"),
        ((UNSURE,), "Choose the sequence of 'series 7'"),
        ((replace(UNSURE, ticked=True),), "it looks like T1w"),
        (
            (replace(T1W, ticked=True), replace(SECOND_T1W, ticked=True)),
            "'t1 tse' and 't1 again' are both T1w",
        ),
    ],
)
def test_each_input_problem_has_its_sentence(rows, words):
    assert words in panel.input_problem(rows, panel.selected(rows, Model()), Model())


def test_good_inputs_have_no_problem_but_a_missing_model_is_one():
    assert panel.input_problem((T1W, T2W), (T1W, T2W), Model()) == ""
    assert "No model is installed" in panel.input_problem((T1W,), (T1W,), None)


# --------------------------------------------------------------------------- targets


def ticked(rows):
    return [row.sequence for row in rows if row.ticked]


def test_contrast_enhanced_is_proposed_where_it_is_missing():
    rows = (T1W, T2W)
    assert ticked(panel.target_rows(rows, rows, None, Model())) == ["CE-T1w"]
    with_ce = (T1W, T2W, InputRow("7", "t1 post gd", "CE-T1w", 0.95))
    assert ticked(panel.target_rows(with_ce, with_ce, None, Model())) == ["STIR"]


def test_a_synthetic_volume_does_not_count_as_present():
    assert ticked(panel.target_rows((T1W, FAKE_CE), (T1W,), None, Model())) == ["CE-T1w"]


def test_an_input_cannot_be_ticked_as_target():
    rows = panel.target_rows((T1W,), (T1W,), ["T1w", "STIR"], Model())
    assert ticked(rows) == ["STIR"]
    assert next(row for row in rows if row.sequence == "T1w").problem


def test_unticking_everything_stays():
    assert ticked(panel.target_rows((T1W,), (T1W,), [], Model())) == []


def test_prompt_refines_ticked_targets():
    understood = panel.understand_targets(["CE-T1w"], "3T, TR 620 TE 10", [T1W], Model())
    assert understood.targets == (("CE-T1w", "3T, TR 620 TE 10"),)
    assert "620" in understood.text and not understood.problem


def test_what_is_taken_from_the_header_of_an_input_is_said():
    header = {"MagneticFieldStrength": 1.5, "RepetitionTime": 560.0, "EchoTime": 14.0}
    scanned = InputRow("8", "t1 tse", "T1w", 0.95, acquisition=header)
    assert panel.understand_targets(["CE-T1w"], "", [scanned, T2W], Model()).text.endswith(
        "1.5 T, TR 560 ms, TE 14 ms as in T1w"
    )
    assert "as in" not in panel.understand_targets(["CE-T1w"], "", [T1W], Model()).text


def test_prompt_alone_names_the_target():
    assert panel.understand_targets([], "STIR at 3T", [T1W], Model()).targets == (
        ("STIR", "STIR at 3T"),
    )


def test_prompt_without_meaning_is_refused_with_the_nearest():
    understood = panel.understand_targets([], "stirr please", [T1W], Model())
    assert "STIR" in understood.problem and not understood.targets


def test_prompt_for_what_is_given_or_cannot_be_made_is_refused():
    assert "already among the inputs" in panel.understand_targets([], "T1", [T1W]).problem
    refused = panel.understand_targets([], "FLAIR", [T1W], Model()).problem
    assert "cannot make FLAIR" in refused and "STIR" in refused


def test_apply_is_disabled_with_the_first_reason():
    wish = Understanding(targets=(("STIR", ""),))
    rows = (T1W,)
    assert panel.why_disabled(rows, rows, wish, Model()) == ""
    assert "running" in panel.why_disabled(rows, rows, wish, Model(), running=True)
    assert "Tick a sequence" in panel.why_disabled(rows, rows, Understanding(), Model())
    assert panel.why_disabled(rows, rows, Understanding(problem="Eh?"), Model()) == "Eh?"


def test_request_is_what_the_worker_takes():
    request = panel.synthesis_parameters(
        Understanding(targets=(("STIR", "3T"),)), device="cpu", seed=7, visible_slice=4
    )
    assert request["targets"] == [{"sequence": "STIR", "prompt": "3T"}]
    assert (request["device"], request["seed"], request["visible_slice"]) == ("cpu", 7, 4)


def test_the_worker_knows_the_tasks():
    from MRISynthLib.synthesis import task
    from MRISynthSegmentLib import task as segment_task

    assert panel.SYNTHESIS_TASK in task.HANDLERS
    assert segment_panel.SEGMENTATION_TASK in segment_task.HANDLERS
    assert segment_panel.REFINEMENT_TASK in segment_task.HANDLERS


# -------------------------------------------------------------------------- progress


def test_time_left_is_measured_within_a_stage():
    seconds = iter([0.0, 100.0, 104.0])
    text = ProgressText(clock=lambda: next(seconds))
    assert text.update("register", 0, 2) == (0, "Aligning the inputs: 0 of 2")
    assert text.update("synthesize", 0, 10) == (0, "Making slices: 0 of 10")
    percent, words = text.update("synthesize", 2, 10)
    assert percent == 20 and words.endswith("about 15 s left")


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.2, "about 1 s"), (9, "about 9 s"), (42, "about 40 s"), (170, "3 min")]
)
def test_time_is_said_no_more_exactly_than_it_is_known(seconds, words):
    assert panel.seconds_in_words(seconds).endswith(words)


def test_warnings_come_first_in_the_result():
    info = {"warnings": ["A slice is missing."], "device": "cpu", "timings": {"a": 1.5, "b": 1}}
    assert panel.result_sentences(info) == ("A slice is missing.", "Computed on cpu in 2.5 s.")


# ---------------------------------------------------------------------- segmentation


def test_structures_stand_under_targets_and_regions():
    groups = segment_panel.groups(Model())
    assert [heading for heading, _ in groups] == ["Targets", "Brain", "Orbit"]
    assert segment_panel.groups(None) == ()


def test_presets():
    model = Model()
    assert segment_panel.preset("Targets", model) == ("GTVp",)
    assert segment_panel.preset("Organs at risk", model) == ("Brainstem", "Eye_L", "Eye_R")
    assert set(segment_panel.preset("All", model)) == set(model.structures)
    assert segment_panel.preset("None", model) == ()
    with pytest.raises(ValueError, match="no preset"):
        segment_panel.preset("Everything", model)


def test_all_structures_until_the_user_chooses():
    assert set(segment_panel.ticked_structures(None, Model())) == set(Model().structures)
    assert segment_panel.ticked_structures(["Eye_R", "gone", "GTVp"], Model()) == ("GTVp", "Eye_R")


def test_what_is_found_poorly_is_read_from_all_that_was_measured():
    real = {"T1w": {"GTVp": 0.4, "Brain": 0.9}, "T1w + T2w": {"GTVp": 0.7, "Lens_L": 0.2}}
    figures = {"one": {"figures": real}, "two": {"figures": {"T1w": {"Lens_L": 0.5, "Brain": 0.3}}}}
    weak = weak_structures(figures)
    assert weak["Lens_L"] == 0.35 and weak["GTVn"] is None
    assert not {"GTVp", "Brain"} & weak.keys()
    groups = {"all": {"T1w": {"GTVn": 0.6}}, "inside": {"T1w": {"GTVn": 0.4}}}
    weak = weak_structures(figures | {"three": {"benchmark": "v1", "figures": groups}})
    assert "GTVn" not in weak and weak["Lens_L"] == 0.35


def test_structures_that_a_model_finds_poorly_are_marked_and_not_ticked_unasked():
    model = SimpleNamespace(**asdict(Model()), weak={"Eye_L": 0.213})
    assert "Eye_L" not in segment_panel.ticked_structures(None, model)
    assert "Eye_L" in segment_panel.ticked_structures(["Eye_L"], model)
    left, right = STRUCTURES["Eye_L"], STRUCTURES["Eye_R"]
    assert segment_panel.structure_text(left, model) == f"{left.label} (weak)"
    assert "finds it poorly (Dice 0.21)" in segment_panel.structure_tip(left, model)
    assert segment_panel.structure_text(right, model) == right.label
    assert segment_panel.ticked_structures([], Model()) == ()


def test_segmenting_needs_inputs_and_structures():
    why = segment_panel.why_disabled
    assert why((T1W,), (T1W,), ("GTVp",), Model()) == ""
    assert "structure" in why((T1W,), (T1W,), (), Model())
    assert "Load the patient" in why((), (), ("GTVp",), Model())


def test_results_say_what_was_not_found():
    reference = Volume(np.ones((4, 6, 6), np.float32), np.diag((2.0, 2.0, 5.0, 1.0)))
    found = np.zeros(reference.shape, bool)
    found[1:3, 1:4, 1:5] = True
    masks = {"mine": found, "Eye_L": np.zeros(reference.shape, bool), "GTVp": found}
    rows = segment_panel.result_rows(Segmentation(masks, reference))
    assert [row.name for row in rows] == ["GTVp", "Eye_L", "mine"]
    assert rows[0].label == STRUCTURES["GTVp"].label
    assert rows[0].volume_text() == "0.5 ml"  # 24 voxels of 20 mm3
    assert rows[1].volume_text() == "not found"


def test_doubt_is_shown_of_what_a_model_drew_and_much_is_pointed_out():
    reference = Volume(np.ones((4, 6, 6), np.float32), np.eye(4))
    found = np.ones(reference.shape, bool)
    doubt = {"GTVp": 0.424, "Brain": 0.03}
    masks = {"GTVp": found, "Brain": found, "mine": found}
    rows = segment_panel.result_rows(Segmentation(masks, reference, doubt=doubt))
    assert [row.doubt_text() for row in rows] == ["check, 42 %", "sure, 3 %", ""]


def test_a_click_is_asked_for_as_the_worker_takes_it():
    from MRISynthSegmentLib.click_maps import Click
    from MRISynthSegmentLib.corrections import clicks_from_plain

    clicks = [Click((1.0, 2.0, 3.5), True), Click((4.0, 5.0, 6.0), False)]
    request = segment_panel.refinement_parameters("GTVp", clicks, device="cpu")
    assert (request["structure"], request["device"]) == ("GTVp", "cpu")
    assert clicks_from_plain(request["clicks"]) == clicks
