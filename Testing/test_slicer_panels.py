"""Both Slicer modules at work: what a click does, on a real scene and real widgets."""

from __future__ import annotations

import importlib
import time
import types
from pathlib import Path

import numpy as np
import pytest

from panel_cases import (
    add_volume,
    put_below_patient,
    synthesis_result,
    tick_input,
    ticked_inputs,
)

ROOT = Path(__file__).resolve().parents[1]
MODULES = ("MRISynth", "MRISynthSegment")


def choose(combo, value):
    """What the user does: Qt tells of such a choice by another signal than of others."""
    combo.setCurrentIndex(combo.findData(value))
    combo.activated(combo.currentIndex)


def headings(tree):
    return [tree.topLevelItem(index).text(0) for index in range(tree.topLevelItemCount)]


def test_a_panel_must_say_all_that_is_its_own(desk):
    from MRISynthWidgets.panel_widget import PanelWidget

    half = type("Half", (PanelWidget,), {"makeLogic": lambda self: None})
    with pytest.raises(TypeError, match=r"connectWidgets.*refresh.*showResult.*startWork"):
        half()


def test_loading_a_study_and_pressing_apply_makes_the_missing_sequence(desk, jobs):
    scene = desk.slicer.mrmlScene
    t1w, _ = add_volume(desk, "t1_tse_tra", 1), add_volume(desk, "t2_tse_tra", 2)
    panel = desk.open("MRISynth")
    ui = panel.ui
    sequences = [ui.inputTable.cellWidget(row, 1).currentText[:3] for row in (0, 1)]
    assert sequences == ["T1w", "T2w"]
    assert "CE-T1w" in panel.targets.ui.understoodLabel.text
    assert ui.applyButton.enabled and not ui.cancelButton.enabled
    ui.applyButton.click()
    desk.process()
    (job,) = jobs
    assert job.task == "synthesis" and [v.sequence for v in job.volumes] == ["T1w", "T2w"]
    assert job.parameters["targets"] == [{"sequence": "CE-T1w", "prompt": ""}]
    assert job.parameters["visible_slice"] in range(5)
    assert not ui.applyButton.enabled and "running" in ui.applyButton.toolTip
    assert ui.cancelButton.enabled

    from MRISynthLib.progress import Progress, SliceReady

    slice_image = np.full((12, 10), 7.0, np.float32)
    job.events = [Progress("synthesize", 2, 5), SliceReady("CE-T1w", 3, slice_image)]
    desk.process()
    assert ui.progressBar.value == 40 and "2 of 5" in ui.progressLabel.text
    preview = desk.slicer.util.getNode("SYNTHETIC CE-T1w*")
    shown = desk.slicer.util.arrayFromVolume(preview)
    assert shown[3].min() == 7 and (shown[2] < 0).all(), "what is not made yet is left out"
    assert ui.inputTable.rowCount == 2, "the unfinished image is no input"

    job.finish(synthesis_result(job))
    desk.process()
    nodes = desk.slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
    names = [node.GetName() for node in nodes]
    made = ["SYNTHETIC CE-T1w (p)", "SYNTHETIC CE-T1w (p)_1"]  # the image and its uncertainty
    assert names[2:] == made
    assert ui.messageLabel.text.startswith("One slice is missing.")
    parameters = panel.logic.getParameterNode()
    assert parameters.realVolume is t1w
    assert parameters.syntheticVolume.GetAttribute("MRISynth.Synthetic") == "1"
    assert scene.GetFirstNodeByClass("vtkMRMLLayoutNode").GetViewArrangement() > 51000
    assert panel.review.ui.sideBySideButton.enabled and not desk.said

    ui.continueButton.click()
    assert desk.opened == ["MRISynthSegment"]
    segment = desk.open("MRISynthSegment")
    assert {row.sequence for row in segment.used} == {"T1w", "T2w", "CE-T1w"}
    assert segment.ui.inputTable.item(2, 0).text() == "SYNTHETIC CE-T1w (p)"


def test_continue_works_patient_by_patient(desk, jobs):
    """What was ticked for one patient is neither in the way of the next nor lost."""
    a, *b = (add_volume(desk, name) for name in ("A t1", "B t1", "B t2"))
    put_below_patient(desk, "A", a), put_below_patient(desk, "B", *b)
    panel = desk.open("MRISynth")
    panel.ui.continueButton.click()
    segment = desk.open("MRISynthSegment")
    assert ticked_inputs(desk, segment) == ["A t1"]
    panel = desk.open("MRISynth")
    for name, ticked in (("A t1", False), ("B t1", True), ("B t2", True)):
        tick_input(desk, panel, name, ticked)
    panel.ui.continueButton.click()
    segment = desk.open("MRISynthSegment")
    assert ticked_inputs(desk, segment) == ["B t1", "B t2"] and segment.ui.applyButton.enabled
    for node in b:
        desk.slicer.mrmlScene.RemoveNode(node)
    desk.process()
    assert ticked_inputs(desk, segment) == ["A t1"], "it can be used when it is needed again"


def test_overruling_a_sequence_counts_at_once_and_in_both_modules(desk, jobs):
    node = add_volume(desk, "series 7")
    panel = desk.open("MRISynth")
    ui = panel.ui
    assert not ui.applyButton.enabled and "'series 7'" in ui.applyButton.toolTip
    combo = ui.inputTable.cellWidget(0, 1)
    combo.setCurrentIndex(combo.findText("T2w"))
    desk.process()
    assert node.GetAttribute("MRISynth.ChosenSequence") == "T2w"
    assert ui.applyButton.enabled, ui.applyButton.toolTip
    assert [row.sequence for row in desk.open("MRISynthSegment").used] == ["T2w"]
    desk.open("MRISynth")
    ui.inputTable.item(0, 0).setCheckState(desk.qt.Qt.Unchecked)
    desk.process()
    assert "Tick at least one volume" in ui.applyButton.toolTip


def test_prompt_is_understood_while_it_is_typed(desk, jobs):
    add_volume(desk, "t1_tse_tra")
    panel = desk.open("MRISynth")
    apply, targets = panel.ui.applyButton, panel.targets.ui
    for box in targets.targetGrid.findChildren(desk.qt.QCheckBox):
        box.checked = False
    desk.process()
    assert "Tick a sequence to make" in apply.toolTip
    targets.promptLineEdit.text = "STIR, 3T"
    desk.process()
    assert "Understood as <b>STIR</b>" in targets.understoodLabel.text and apply.enabled
    targets.promptLineEdit.text = "blue elephants"
    desk.process()
    assert "blue elephants" in targets.understoodLabel.text and not apply.enabled


def test_options_reach_the_worker_and_come_back_with_the_scene(desk, jobs):
    add_volume(desk, "t1_tse_tra")
    panel = desk.open("MRISynth")
    ui = panel.options.ui
    ui.seedSpinBox.value = 11
    ui.registerCheckBox.checked = False
    choices = {"deviceComboBox": "cpu", "matchingComboBox": "on", "normalisationComboBox": "minmax"}
    for name, value in choices.items():
        choose(getattr(ui, name), value)
    desk.process()
    panel.ui.applyButton.click()
    wanted = {
        "seed": 11,
        "register": False,
        "device": "cpu",
        "match": True,
        "normalisation": "minmax",
        "bundle": "S",
    }
    assert wanted.items() <= jobs[0].parameters.items()
    again = desk.open("MRISynth", fresh=True).options.ui
    assert (again.seedSpinBox.value, again.registerCheckBox.checked) == (11, False)
    assert {name: getattr(again, name).currentData for name in choices} == choices


def test_cancel_and_failure_leave_the_scene_as_it_was(desk, jobs):
    from MRISynthLib.errors import Cancelled, WorkerError
    from MRISynthLib.progress import SliceReady

    add_volume(desk, "t1_tse_tra")
    ui = desk.open("MRISynth").ui
    for outcome in (Cancelled(), WorkerError("The worker died; try again.")):
        ui.applyButton.click()
        desk.process()
        ready = SliceReady("CE-T1w", 0, np.ones((12, 10), np.float32))
        jobs[-1].events = [ready]
        desk.process()
        ui.cancelButton.click()
        assert jobs[-1].cancelled
        jobs[-1].finish(outcome)
        desk.process()
        nodes = desk.slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
        assert [node.GetName() for node in nodes] == ["t1_tse_tra"]
        assert ui.applyButton.enabled and not ui.cancelButton.enabled
    assert desk.said == ["The worker died; try again."]
    assert ui.messageLabel.text == "The worker died; try again."


def test_closing_the_scene_in_the_middle_of_a_run_is_safe(desk, jobs):
    add_volume(desk, "t1_tse_tra")
    panel = desk.open("MRISynth")
    panel.ui.applyButton.click()
    desk.process()
    job = jobs[0]
    desk.slicer.mrmlScene.Clear(0)
    desk.process()
    assert job.cancelled and not panel.run.running
    job.finish(synthesis_result(job))
    desk.process()
    assert not desk.slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
    assert "Load the patient" in panel.ui.applyButton.toolTip
    assert not desk.said


def test_apply_on_an_input_that_has_just_vanished_says_what_to_do(desk, jobs):
    node = add_volume(desk, "t1_tse_tra")
    ui = desk.open("MRISynth").ui
    desk.slicer.mrmlScene.RemoveNode(node)  # before the panel had time to look
    ui.applyButton.click()
    assert not jobs and len(desk.said) == 1
    assert desk.said[0].startswith("Load the patient's MR sequences first")


def test_an_old_slicer_is_told_so(desk, jobs):
    desk.app.minorVersion = 10
    add_volume(desk, "t1_tse_tra")
    ui = desk.open("MRISynth").ui
    assert not ui.applyButton.enabled and "5.12 or later" in ui.applyButton.toolTip


def test_the_visible_slice_follows_the_red_view(desk, jobs):
    module = importlib.import_module("MRISynth")
    node = add_volume(desk, "t1_tse_tra")
    logic = module.MRISynthLogic()
    view = desk.headless.slice_logic("Red").GetSliceNode()
    for offset, index in ((0.0, 0), (9.0, 2), (-100.0, 0), (500.0, 4)):
        view.GetSliceToRAS().SetElement(2, 3, offset)
        assert logic.slicePlace(node).index == index


def test_dicom_headers_of_the_database_are_used_for_recognition(desk, monkeypatch):
    headers = {
        "0018,0020": "SE",
        "0018,0080": "600",
        "0018,0081": "12",
        "0008,103E": "t1 tra",
        "0018,0010": "Gadovist",
    }
    database = types.SimpleNamespace(
        isOpen=True, instanceValue=lambda instance, tag: headers.get(tag, "")
    )
    monkeypatch.setattr(desk.slicer, "dicomDatabase", database, raising=False)
    inputs = importlib.import_module("MRISynthWidgets.scene_inputs").SceneInputs("MRISynth")
    node = add_volume(desk, "7: series")
    node.SetAttribute("DICOM.instanceUIDs", "1.2.3 1.2.4")
    (row,) = inputs.rows()
    assert row.recognised == "CE-T1w" and row.sure


def test_a_real_worker_is_followed_from_the_event_loop(desk, monkeypatch):
    from fakes import volume
    from MRISynthLib.worker import WorkerClient

    monkeypatch.setenv("PYTHONPATH", str(ROOT / "Testing"))
    worker_run = importlib.import_module("MRISynthWidgets.worker_run")
    said = []

    def listen(name):
        return lambda event: said.append((name, event))

    with WorkerClient("cpu", tasks=("fakes",)) as client:
        run = worker_run.WorkerRun(
            *map(listen, ("progress", "slice", "done", "cancelled", "failed")),
            make_client=lambda device: client,
        )

        def finish():
            give_up = time.monotonic() + 60
            while run.running and time.monotonic() < give_up:
                desk.process(1)
            names, said[:] = [name for name, _ in said], []
            return names

        run.start("cpu", "echo", {}, [volume(1)])
        assert finish() == ["progress", "slice"] * 3 + ["done"]
        run.start("cpu", "polite", {}, [volume(1)])
        run.cancel()
        assert finish()[-1] == "cancelled"
        run.start("cpu", "die", {}, [volume(1)])
        assert finish()[-1] == "failed"
        run.start("cpu", "deaf", {}, [volume(1)])
        run.abandon()
        assert not run.running and finish() == []
