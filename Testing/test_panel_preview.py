"""The preview in MRISynth's panel: the slice in view, made while the user chooses words."""

from __future__ import annotations

import importlib

import numpy as np
import pytest

from MRISynthLib.errors import Cancelled, WorkerError
from MRISynthLib.progress import SliceReady
from MRISynthLib.worker import TaskResult
from panel_cases import add_volume, answer_all, tick_input, typed, waiting


@pytest.fixture
def studied(desk, asked):
    """A panel whose inputs are prepared, with one view."""
    add_volume(desk, "t1_tse_tra", 1), add_volume(desk, "t2_tse_tra", 2)
    panel = desk.open("MRISynth")
    answer_all(desk, asked)
    desk.show_views("Red")
    yield panel
    desk.show_views()


def foreground(desk):
    composite = desk.headless.slice_logic("Red").GetSliceCompositeNode()
    node = desk.slicer.mrmlScene.GetNodeByID(composite.GetForegroundVolumeID() or "")
    return node, composite.GetForegroundOpacity()


def preview(desk, asked, value=7.0, **info):
    (job,) = waiting(asked, "preview")
    image = np.full(job.volumes[0].shape[1:], value, np.float32)
    target = job.parameters["targets"][0]["sequence"]
    if info.get("made", True):
        job.events = [SliceReady(target, job.parameters["visible_slice"], image)]
    job.finish(TaskResult([], info))
    desk.process()
    return job


def turn_view(desk, plane):
    """Give the view Red a plane, as a 4x4 matrix to RAS."""
    view = desk.headless.slice_logic("Red").GetSliceNode()
    for row, values in enumerate(plane):
        for column, value in enumerate(values):
            view.GetSliceToRAS().SetElement(row, column, value)
    view.UpdateMatrices()
    desk.process()


def test_the_slice_in_view_is_made_while_one_types_and_goes_without_a_trace(desk, asked, studied):
    t2w = desk.slicer.util.getNode("t2_tse_tra")
    composite = desk.headless.slice_logic("Red").GetSliceCompositeNode()
    composite.SetForegroundVolumeID(t2w.GetID())
    composite.SetForegroundOpacity(0.25)
    assert not waiting(asked, "preview"), "nothing is previewed unasked"
    typed(desk, studied.targets.ui.promptLineEdit, "3T")
    job = preview(desk, asked)
    assert job.parameters["targets"] == [{"sequence": "CE-T1w", "prompt": "3T"}]
    node, opacity = foreground(desk)
    assert node.GetName() == "SYNTHETIC CE-T1w (preview)" and opacity == 1
    assert node.GetImageData().GetDimensions()[2] == 1 and not node.GetSaveWithScene()
    reference = desk.slicer.util.getNode("t1_tse_tra")
    place = node.GetOrigin()[2]
    index = job.parameters["visible_slice"]
    assert place == pytest.approx(reference.GetOrigin()[2] + 4.0 * index)
    assert studied.ui.inputTable.rowCount == 2, "it is no input"
    typed(desk, studied.targets.ui.promptLineEdit, "1.5T")
    preview(desk, asked)
    shown = desk.slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
    assert len(shown) == 3, "one preview at a time"
    studied.ui.applyButton.click()
    desk.process()
    assert foreground(desk) == (t2w, 0.25)
    assert len(desk.slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")) == 2


def test_a_scene_saved_during_a_run_has_the_users_own_overlay(desk, jobs, studied, tmp_path):
    scene, t2w = desk.slicer.mrmlScene, desk.slicer.util.getNode("t2_tse_tra")
    saved_scenes = importlib.import_module("MRISynthWidgets.saved_scenes")
    saved_scenes.put_right_when_loaded()
    composite = desk.headless.slice_logic("Red").GetSliceCompositeNode()
    composite.SetForegroundVolumeID(t2w.GetID())
    composite.SetForegroundOpacity(0.25)
    studied.ui.applyButton.click()
    desk.process()
    jobs[-1].events = [SliceReady("CE-T1w", 2, np.full((12, 10), 7.0, np.float32))]
    desk.process()
    assert foreground(desk)[1] == 1, "the growing image is shown"
    path = str(tmp_path / "scene.mrb")
    assert scene.WriteToMRB(path)
    saved_scenes.put_right()
    assert foreground(desk)[1] == 1, "it goes on"
    scene.Clear(0)
    desk.process()
    assert scene.ReadFromMRB(path)
    desk.process()
    node, opacity = foreground(desk)
    assert (node.GetName(), opacity) == ("t2_tse_tra", 0.25)
    composite.SetForegroundVolumeID(None)
    saved_scenes.put_right()
    assert foreground(desk)[0] is None, "that is the user's own choice now"


def test_who_works_in_another_module_sees_the_images_without_what_is_computed(desk, jobs, studied):
    studied.ui.applyButton.click()
    desk.process()
    before = foreground(desk)
    for index in (2, 3):  # the first comes while the user is here, or while away
        desk.open("MRISynthSegment")
        assert foreground(desk) == before
        jobs[-1].events = [SliceReady("CE-T1w", index, np.full((12, 10), 7.0, np.float32))]
        desk.process()
        assert foreground(desk) == before, "a synthetic image lies over what is worked on"
        desk.open("MRISynth")
        assert foreground(desk)[0].GetName() == "SYNTHETIC CE-T1w (being computed)"
    studied.ui.cancelButton.click()
    jobs[-1].finish(Cancelled())
    desk.process()
    assert foreground(desk) == before


def test_a_preview_neither_delays_nor_outlives_apply(desk, jobs, asked, studied):
    typed(desk, studied.targets.ui.promptLineEdit, "3T")
    (job,) = waiting(asked, "preview")
    studied.ui.applyButton.click()
    desk.process()
    assert job.cancelled and len(jobs) == 1
    typed(desk, studied.targets.ui.promptLineEdit, "1.5T")
    assert not waiting(asked), "the run has the worker for itself"


def test_the_target_whose_words_change_is_the_one_that_is_shown(desk, asked, studied):
    studied.targets._boxes["STIR"].checked = True
    desk.process()
    preview(desk, asked)
    typed(desk, studied.targets._lines["STIR"][1], "TI 160 ms")
    assert preview(desk, asked).parameters["targets"][0]["sequence"] == "STIR"


def test_the_preview_can_be_switched_off_and_follows_the_view(desk, asked, studied):
    typed(desk, studied.targets.ui.promptLineEdit, "3T")
    first = preview(desk, asked).parameters["visible_slice"]
    view = desk.headless.slice_logic("Red").GetSliceNode()
    view.GetSliceToRAS().SetElement(2, 3, 16.0)
    view.UpdateMatrices()
    desk.process()
    second = preview(desk, asked).parameters["visible_slice"]
    assert first != second == 4
    studied.targets.ui.previewCheckBox.checked = False
    desk.process()
    assert foreground(desk)[0] is None and not waiting(asked)


def test_the_preview_says_what_it_shows_or_why_there_is_nothing(desk, asked, studied):
    said = studied.targets.ui.previewLabel
    assert said.isHidden(), "nothing was asked for"
    typed(desk, studied.targets.ui.promptLineEdit, "3T")
    preview(desk, asked, made=True, inside=True)
    assert said.text == "The view Red shows slice 1 of 5 of 't1_tse_tra' as CE-T1w."
    assert not said.isHidden()

    along, across, up = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)
    turn_view(desk, [(*along, 0), (*across, 0), (*up, 90), (0, 0, 0, 1)])
    assert "lies outside of the 5 slices" in said.text and foreground(desk)[0] is None
    turn_view(desk, [(*up, 0), (*along, 0), (*across, 8), (0, 0, 0, 1)])
    assert "no view shows 't1_tse_tra' in the plane of its slices" in said.text
    assert not waiting(asked, "preview"), "it would not be seen"

    turn_view(desk, [(*along, 0), (*across, 0), (*up, 8), (0, 0, 0, 1)])
    preview(desk, asked, made=True, inside=False)
    assert said.text.startswith("Nothing of the body is on slice 3 of 5 of 't1_tse_tra'")
    typed(desk, studied.targets.ui.promptLineEdit, "1.5T")
    preview(desk, asked, made=False, inside=False)
    assert "other slices than those of 't1_tse_tra'" in said.text and foreground(desk)[0] is None

    typed(desk, studied.targets.ui.promptLineEdit, "STIR at 3T")  # not understood
    assert said.isHidden()


def test_a_tilted_view_shows_a_strip_of_the_preview_and_says_so(desk, asked, studied):
    typed(desk, studied.targets.ui.promptLineEdit, "3T")
    preview(desk, asked, made=True, inside=True)
    sine, cosine = np.sin(np.radians(20)), np.cos(np.radians(20))
    turn_view(desk, [(1, 0, 0, 0), (0, cosine, -sine, 0), (0, sine, cosine, 0), (0, 0, 0, 1)])
    said = studied.targets.ui.previewLabel.text
    assert said.startswith("Only a strip of slice 1 of 5") and "tilted by 20\u00b0" in said


def test_a_preview_that_failed_says_why(desk, asked, studied):
    typed(desk, studied.targets.ui.promptLineEdit, "3T")
    waiting(asked, "preview")[0].finish(WorkerError("The inference process died."))
    desk.process()
    assert studied.targets.ui.previewLabel.text == "The inference process died."
    studied.ui.applyButton.click()
    desk.process()
    assert studied.targets.ui.previewLabel.isHidden()


def test_the_preview_is_made_anew_of_other_inputs_however_soon_they_are_prepared(
    desk, asked, studied
):
    typed(desk, studied.targets.ui.promptLineEdit, "3T")
    assert len(preview(desk, asked).volumes) == 2
    studied.preview._timer.stop()
    tick_input(desk, studied, "t2_tse_tra", False)
    answer_all(desk, asked)
    studied.preview.edited()
    desk.process()
    assert len(preview(desk, asked).volumes) == 1


def test_before_the_inputs_are_prepared_the_preview_says_what_it_waits_for(desk, asked):
    add_volume(desk, "t1_tse_tra")
    panel = desk.open("MRISynth")
    typed(desk, panel.targets.ui.promptLineEdit, "3T")
    assert "checked and aligned" in panel.targets.ui.previewLabel.text


def test_only_views_on_the_screen_are_followed(desk, jobs, asked):
    add_volume(desk, "t1_tse_tra", 1), add_volume(desk, "t2_tse_tra", 2)
    panel = desk.open("MRISynth")
    answer_all(desk, asked)
    shown = desk.headless.slice_logic("MRISynth1").GetSliceNode()
    shown.SetOrientationToAxial()
    shown.GetSliceToRAS().SetElement(2, 3, 16.0)
    shown.UpdateMatrices()
    desk.show_views("MRISynth1", hidden=("Red",))
    typed(desk, panel.targets.ui.promptLineEdit, "3T")
    job = preview(desk, asked, made=True, inside=True)
    assert job.parameters["visible_slice"] == 4
    assert "MRISynth1" in panel.targets.ui.previewLabel.text
    over = [
        desk.headless.slice_logic(view).GetSliceCompositeNode().GetForegroundVolumeID()
        for view in ("Red", "MRISynth1")
    ]
    assert not over[0] and over[1]
    desk.show_views()
