"""Sequences, targets and options in MRISynth's panel: what the user sees while choosing."""

from __future__ import annotations

import importlib
import types

from fakes import write_test_bundle
from MRISynthLib.errors import InputError, WorkerError
from MRISynthLib.worker import TaskResult
from panel_cases import (
    add_volume,
    answer,
    answer_all,
    synthesis_result,
    tick_input,
    ticked_inputs,
    typed,
    waiting,
)
from test_slicer_panels import choose


def cell(panel, row):
    return panel.ui.inputTable.item(row, 2)


# ----------------------------------------------------------------------------- checks


def test_checks_are_shown_when_they_arrive_and_asked_for_once(desk, asked):
    add_volume(desk, "t1_tse_tra", 1), add_volume(desk, "t2_tse_tra", 2)
    panel = desk.open("MRISynth")
    assert [cell(panel, row).text() for row in (0, 1)] == ["checking ..."] * 2
    (checks,) = waiting(asked, "checks")
    assert [volume.sequence for volume in checks.volumes] == ["T1w", "T2w"]
    answer(desk, checks, [(1, "grey values", "t2 has only 5 grey levels.", False)])
    assert "good" in cell(panel, 0).text() and "grey values" in cell(panel, 1).text()
    assert cell(panel, 1).toolTip() == "t2 has only 5 grey levels."
    assert panel.ui.remarksLabel.text == "t2 has only 5 grey levels."
    assert panel.ui.applyButton.enabled, "a remark is no obstacle"
    assert "slices and pixels of t1_tse_tra" in panel.ui.applyButton.toolTip
    (study,) = waiting(asked, "study")
    answer(desk, study)
    panel.ui.inputTable.item(1, 0).setCheckState(desk.qt.Qt.Unchecked)
    desk.process()
    assert panel.ui.remarksLabel.text == "", "only of what is used"
    assert [job.task for job in waiting(asked)] == ["study"], "each by itself is known"


def test_inputs_that_do_not_fit_together_are_in_the_way_of_apply(desk, asked):
    add_volume(desk, "t1_tse_tra", 1), add_volume(desk, "t2_tse_tra", 2)
    panel = desk.open("MRISynth")
    answer(desk, waiting(asked, "checks")[0])
    sentence = "t2 does not overlap t1 in space."
    answer(desk, waiting(asked, "study")[0], [(1, "no overlap", sentence, True)])
    assert panel.ui.applyButton.toolTip == sentence == panel.ui.inputHintLabel.text
    assert not panel.ui.applyButton.enabled and "no overlap" in cell(panel, 1).text()
    panel.ui.inputTable.item(1, 0).setCheckState(desk.qt.Qt.Unchecked)
    desk.process()
    assert panel.ui.applyButton.enabled and panel.ui.inputHintLabel.text == ""


def test_what_the_run_would_refuse_is_said_before(desk, asked):
    add_volume(desk, "t1_tse_tra")
    panel = desk.open("MRISynth")
    (study,) = waiting(asked, "study")
    study.finish(InputError("Both are the same image."))
    desk.process()
    assert panel.ui.applyButton.toolTip == "Both are the same image."


def test_an_overruled_sequence_is_checked_anew(desk, asked):
    add_volume(desk, "t1_tse_tra")
    panel = desk.open("MRISynth")
    answer_all(desk, asked)
    choose_sequence = panel.ui.inputTable.cellWidget(0, 1)
    choose_sequence.setCurrentIndex(choose_sequence.findText("T2w"))
    desk.process()
    (checks,) = waiting(asked, "checks")
    assert checks.volumes[0].sequence == "T2w"


def test_a_worker_that_cannot_answer_is_not_asked_for_ever(desk, asked):
    add_volume(desk, "t1_tse_tra")
    panel = desk.open("MRISynth")
    for job in waiting(asked):
        job.finish(WorkerError("The inference process died."))
    desk.process(5)
    assert not waiting(asked) and cell(panel, 0).text() == "not checked"
    assert panel.ui.applyButton.enabled and not desk.said
    tip = "The inference process died. It is checked again after the next Apply."
    assert cell(panel, 0).toolTip() == tip
    typed(desk, panel.targets.ui.promptLineEdit, "3T")
    assert "could not be checked" in panel.targets.ui.previewLabel.text


def test_after_the_next_apply_it_is_asked_again(desk, jobs, asked):
    add_volume(desk, "t1_tse_tra")
    panel = desk.open("MRISynth")
    for job in waiting(asked):
        job.finish(WorkerError("The inference process died."))
    desk.process(5)
    panel.ui.applyButton.click()
    desk.process()
    jobs[-1].finish(synthesis_result(jobs[-1]))
    desk.process(5)
    assert {job.task for job in waiting(asked)} == {"checks", "study"}
    answer_all(desk, asked)
    assert "good" in cell(panel, 0).text()


def test_without_the_packages_nothing_is_asked(desk, asked, monkeypatch):
    from MRISynthLib import packages

    monkeypatch.setattr(packages, "missing", lambda installer: ("torch>=2.4",))
    add_volume(desk, "t1_tse_tra")
    panel = desk.open("MRISynth")
    assert not asked and cell(panel, 0).text() == "not checked" and panel.ui.applyButton.enabled


def test_the_dicom_files_of_a_volume_are_sent_along(desk, asked, monkeypatch):
    database = types.SimpleNamespace(
        isOpen=True,
        instanceValue=lambda instance, tag: "",
        fileForInstance=lambda instance: f"/data/{instance}.dcm",
    )
    monkeypatch.setattr(desk.slicer, "dicomDatabase", database, raising=False)
    add_volume(desk, "t1_tse_tra").SetAttribute("DICOM.instanceUIDs", "1.2 1.3")
    desk.open("MRISynth")
    assert waiting(asked, "checks")[0].parameters["files"] == [["/data/1.2.dcm", "/data/1.3.dcm"]]


def test_a_volume_that_cannot_be_used_any_more_does_not_look_used(desk, asked):
    import vtk

    nodes = [add_volume(desk, name, seed) for seed, name in enumerate(("t1_tse", "t2_tse"))]
    panel = desk.open("MRISynth")
    assert ticked_inputs(desk, panel) == ["t1_tse", "t2_tse"]
    spline = desk.slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTransformNode")
    spline.SetAndObserveTransformToParent(vtk.vtkThinPlateSplineTransform())
    nodes[1].SetAndObserveTransformNodeID(spline.GetID())
    desk.process()
    assert [row.name for row in panel.used] == ["t1_tse"] == ticked_inputs(desk, panel)
    nodes[1].SetAndObserveTransformNodeID(None)
    desk.process()
    assert ticked_inputs(desk, panel) == ["t1_tse", "t2_tse"]


# ---------------------------------------------------------------------- targets, words


def test_of_two_quick_ticks_none_is_lost(desk, jobs):
    add_volume(desk, "t1_tse_tra", 1)
    panel = desk.open("MRISynth")
    box = panel.targets._boxes
    box["STIR"].click()
    box["CE-T1w"].click()  # before the panel has heard of the first
    box["CE-T1w"].click()
    desk.process()
    assert panel.tickedTargets == ("CE-T1w", "STIR")


def test_each_ticked_target_can_have_words_of_its_own(desk, jobs):
    add_volume(desk, "t1_tse_tra")
    panel = desk.open("MRISynth")
    targets = panel.targets
    assert targets.ui.ownLines.isHidden(), "one target needs no line of its own"
    targets._boxes["STIR"].checked = True
    desk.process()
    assert not targets._lines["STIR"][1].isHidden()
    typed(desk, targets.ui.promptLineEdit, "3T")
    typed(desk, targets._lines["STIR"][1], "TI 160 ms")
    assert "TI 160 ms" in targets.ui.understoodLabel.text
    panel.ui.applyButton.click()
    wanted = {each["sequence"]: each["prompt"] for each in jobs[0].parameters["targets"]}
    assert wanted == {"CE-T1w": "3T", "STIR": "3T, TI 160 ms"}
    again = desk.open("MRISynth", fresh=True).targets
    assert again._lines["STIR"][1].text == "TI 160 ms"


def test_a_link_replaces_words_that_mean_nothing(desk, jobs):
    add_volume(desk, "t1_tse_tra")
    panel = desk.open("MRISynth")
    targets = panel.targets.ui
    typed(desk, targets.promptLineEdit, "STIR at 3T")
    text = targets.understoodLabel.text
    assert "asks for STIR, but the target is CE-T1w" in text and 'href="0"' in text
    assert not panel.ui.applyButton.enabled and panel.ui.progressLabel.text == ""
    targets.understoodLabel.linkActivated("0")
    desk.process()
    assert panel.tickedTargets == ("STIR",) and panel.ui.applyButton.enabled
    assert "Understood as <b>STIR</b>" in targets.understoodLabel.text


def test_words_of_earlier_runs_are_offered_again(desk, jobs):
    add_volume(desk, "t1_tse_tra")
    panel = desk.open("MRISynth")
    typed(desk, panel.targets.ui.promptLineEdit, "1.5T, TR 555")
    panel.ui.applyButton.click()
    desk.process()
    again = desk.open("MRISynth", fresh=True)
    again._parameterNode.prompt = ""
    first = again.targets._menu.actions()[0]
    assert first.text == "1.5T, TR 555"
    first.triggered()
    desk.process()
    assert again._parameterNode.prompt == "1.5T, TR 555"
    assert "TR 555" in again.targets.ui.understoodLabel.text


# ---------------------------------------------------------------------------- options


def test_devices_are_asked_of_the_worker_when_the_options_are_opened(desk, asked):
    add_volume(desk, "t1_tse_tra")
    panel = desk.open("MRISynth")
    assert not waiting(asked, "devices")
    panel.options.widget.setCollapsed(False)
    desk.process()
    (job,) = waiting(asked, "devices")
    gpu = {"name": "cuda:1", "label": "RTX 4090", "free_mb": 20480.0, "total_mb": 24576.0}
    job.finish(TaskResult([], {"devices": [gpu]}))
    desk.process()
    combo = panel.options.ui.deviceComboBox
    choose(combo, "cuda:1")
    assert combo.currentText == "20.0 of 24.0 GB free, RTX 4090"
    assert panel._parameterNode.device == "cuda:1"


def test_a_model_is_imported_chosen_and_removed(desk, tmp_path, monkeypatch):
    monkeypatch.setenv("MRISYNTH_IMPORTED", str(tmp_path / "imported"))
    write_test_bundle(tmp_path / "mine", name="Mine")
    panel = desk.open("MRISynth")
    ui = panel.options.ui
    shipped = panel.logic.model().name
    desk.qt.QFileDialog.answer = str(tmp_path)
    ui.importModelButton.click()
    assert len(desk.said) == 1 and panel.logic.model().name == shipped, "a folder without a model"
    desk.qt.QFileDialog.answer = str(tmp_path / "mine")
    ui.importModelButton.click()
    desk.process()
    assert panel.logic.model().name == "Mine" == ui.modelComboBox.currentData
    assert "Licence: Apache-2.0" in ui.cardBrowser.plainText and ui.removeModelButton.enabled
    choose(ui.modelComboBox, shipped)
    desk.process()
    assert not ui.removeModelButton.enabled and "stays" in ui.removeModelButton.toolTip
    choose(ui.modelComboBox, "Mine")
    desk.process()
    desk.questions.answer = False
    ui.removeModelButton.click()
    assert (tmp_path / "imported" / "mine").is_dir(), "the user said no"
    desk.questions.answer = True
    ui.removeModelButton.click()
    desk.process()
    assert panel.logic.model().name == shipped and not list((tmp_path / "imported").iterdir())
    assert ui.modelComboBox.findData("Mine") < 0


def test_a_model_that_was_imported_elsewhere_is_there_when_the_module_is_opened_again(
    desk, tmp_path, monkeypatch
):
    monkeypatch.setenv("MRISYNTH_IMPORTED", str(tmp_path / "imported"))
    panel = desk.open("MRISynth")
    ui = panel.options.ui
    assert ui.modelComboBox.findData("Mine") < 0
    write_test_bundle(tmp_path / "imported" / "mine", name="Mine")
    panel.exit()
    panel.enter()
    desk.process()
    choose(ui.modelComboBox, "Mine")
    desk.process()
    assert ui.removeModelButton.enabled


def test_why_a_model_cannot_be_removed_is_said_truly(desk, tmp_path, monkeypatch):
    monkeypatch.setenv("MRISYNTH_BUNDLES", str(tmp_path / "own"))
    write_test_bundle(tmp_path / "own" / "mine", name="Mine")
    ui = desk.open("MRISynth").options.ui
    choose(ui.modelComboBox, "Mine")
    desk.process()
    assert not ui.removeModelButton.enabled
    assert "a folder of your own" in ui.removeModelButton.toolTip


# --------------------------------------------------------------------------- continue


def test_what_a_run_made_replaces_the_real_image_and_earlier_ones(desk, jobs):
    add_volume(desk, "t1_tse_tra", 1), add_volume(desk, "t2_tse_tra", 2)
    panel = desk.open("MRISynth")
    for _ in range(2):
        panel.ui.applyButton.click()
        desk.process()
        jobs[-1].finish(synthesis_result(jobs[-1]))
        desk.process()
    real = add_volume(desk, "t1 post gadolinium")
    desk.process()
    panel.ui.continueButton.click()
    segment = importlib.import_module("MRISynthWidgets.scene_inputs").SceneInputs("MRISynthSegment")
    rows = {row.key: row for row in segment.rows()}
    ticked = [row.sequence for row in rows.values() if row.ticked]
    assert sorted(ticked) == ["CE-T1w", "T1w", "T2w"]
    assert rows[panel._parameterNode.syntheticVolume.GetID()].ticked, "the last run's"
    earlier = [row for row in rows.values() if row.synthetic and not row.ticked]
    assert len(earlier) == 1
    used = {row.key for row in desk.open("MRISynthSegment").used}
    assert len(used) == 3 and not used & {real.GetID(), earlier[0].key}


def test_after_a_run_on_one_study_the_other_goes_on_without_what_was_made(desk, jobs):
    for seed, name in enumerate(("first t1", "first t2", "second t1", "second t2")):
        add_volume(desk, name, seed)
    panel = desk.open("MRISynth")
    assert ticked_inputs(desk, panel) == ["first t1", "first t2"]
    panel.ui.applyButton.click()
    desk.process()
    jobs[-1].finish(synthesis_result(jobs[-1]))
    desk.process()
    panel.ui.continueButton.click()
    segment = desk.open("MRISynthSegment")
    assert [row.sequence for row in segment.used] == ["T1w", "T2w", "CE-T1w"]
    panel = desk.open("MRISynth")
    for name, ticked in (("first t1", 0), ("first t2", 0), ("second t1", 1), ("second t2", 1)):
        tick_input(desk, panel, name, ticked)
    panel.ui.continueButton.click()
    segment = desk.open("MRISynthSegment")
    assert [row.name for row in segment.used] == ["second t1", "second t2"]


def test_an_image_that_was_unticked_is_not_drawn_on_after_continue(desk, jobs):
    add_volume(desk, "t1_tse_tra", 1), add_volume(desk, "t2_tse_tra", 2)
    panel = desk.open("MRISynth")
    tick_input(desk, panel, "t2_tse_tra", False)
    panel.ui.continueButton.click()
    assert ticked_inputs(desk, desk.open("MRISynthSegment")) == ["t1_tse_tra"]
    panel = desk.open("MRISynth")
    tick_input(desk, panel, "t2_tse_tra")
    panel.ui.continueButton.click()
    segment = desk.open("MRISynthSegment")
    assert ticked_inputs(desk, segment) == ["t1_tse_tra", "t2_tse_tra"]


def test_a_real_image_that_is_used_is_not_handed_over_twice(desk, jobs, monkeypatch):
    import panel_cases

    model = panel_cases.MODELS["synthesis"]
    takes_it = {**vars(model), "sequences_in": ("T1w", "T2w", "CE-T1w")}
    monkeypatch.setitem(panel_cases.MODELS, "synthesis", types.SimpleNamespace(**takes_it))
    add_volume(desk, "t1_tse_tra", 1), add_volume(desk, "t2_tse_tra", 2)
    panel = desk.open("MRISynth")
    panel.ui.applyButton.click()
    desk.process()
    jobs[-1].finish(synthesis_result(jobs[-1]))
    desk.process()
    real = add_volume(desk, "t1_tse_tra_km", 4)
    panel.logic.inputs.set_chosen(real.GetID(), "CE-T1w")
    desk.process()
    assert real.GetName() in [row.name for row in panel.used]
    panel.ui.continueButton.click()
    segment = desk.open("MRISynthSegment")
    assert segment.ui.applyButton.enabled, segment.ui.applyButton.toolTip
    assert real.GetName() in [row.name for row in segment.used]


def test_apply_pressed_again_while_packages_are_installed_does_nothing(desk, jobs, monkeypatch):
    from MRISynthLib import packages

    add_volume(desk, "t1_tse_tra", 1)
    panel = desk.open("MRISynth")
    # Slicer goes on taking clicks between the lines that pip prints
    monkeypatch.setattr(packages, "ensure", lambda installer: panel.ui.applyButton.click())
    panel.ui.applyButton.click()
    desk.process()
    assert len(jobs) == 1 and not desk.said
