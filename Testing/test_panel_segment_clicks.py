"""The panel of module MRISynthSegment: a structure is corrected by clicks in a view."""

from __future__ import annotations

import numpy as np
import pytest

from panel_cases import add_volume, tick_input
from panel_segment_cases import (
    STEM,
    TUMOUR,
    answer,
    apply,
    begin,
    click,
    crosses,
    finished,
    job_done,
    mask_of,
    masks_in,
    section,
    shown_node,
)


def test_a_click_corrects_the_chosen_structure_and_is_undone(desk, jobs, drawn):
    correction = section(drawn, "Correction")
    ui = correction.ui
    assert not ui.undoButton.enabled
    ui.addButton.click()
    desk.process()
    assert ui.addButton.checked and not ui.removeButton.checked
    click(desk, drawn, 2, 5, 8)
    job = jobs[-1]
    assert job.task == "refinement" and job.parameters["structure"] == "GTVp"
    assert len(job.volumes) == 2 and np.array_equal(job.volumes[1].voxels, TUMOUR)
    ((x, y, z, adds),) = job.parameters["clicks"]
    index = np.linalg.solve(job.volumes[0].index_to_world, (x, y, z, 1))
    assert adds and index[:3] == pytest.approx((8, 5, 2))
    assert not ui.correctionCancelButton.isHidden()
    larger = TUMOUR | mask_of((2, 3), (5, 6), (7, 9))
    answer(desk, job, larger)
    found = masks_in(drawn)
    assert np.array_equal(found["GTVp"], larger) and np.array_equal(found["Brainstem"], STEM)
    assert ui.correctionLabel.text == "Primary gross tumour volume: +0.03 ml."
    assert section(drawn, "Result").ui.resultTable.item(0, 3).text() == "edited by hand"
    assert ui.addButton.checked, "the next click corrects too"

    ui.removeButton.click()
    desk.process()
    assert ui.removeButton.checked and not ui.addButton.checked
    click(desk, drawn, 2, 4, 4)
    assert [entry[3] for entry in jobs[-1].parameters["clicks"]] == [True, False]
    answer(desk, jobs[-1], larger & ~mask_of((2, 3), (4, 5), (4, 5)))
    for expected in (larger, TUMOUR):
        ui.undoButton.click()
        desk.process()
        assert np.array_equal(masks_in(drawn)["GTVp"], expected)
    assert not ui.undoButton.enabled and ui.redoButton.enabled
    assert section(drawn, "Result").ui.resultTable.item(0, 3).text() == "check, 40 %"
    ui.redoButton.click()
    desk.process()
    assert np.array_equal(masks_in(drawn)["GTVp"], larger)
    ui.removeButton.click()
    desk.process()
    assert not ui.removeButton.checked and not desk.said


def test_a_structure_whose_first_click_was_taken_back_is_left_to_the_model(desk, jobs, drawn):
    shown_node(drawn).GetSegmentation().RemoveSegment("Brainstem")
    drawn.logic.getParameterNode().correctedStructure = "Brainstem"
    desk.process()
    ui = begin(desk, drawn).ui
    click(desk, drawn, 2, 10, 4)
    answer(desk, jobs[-1], STEM)
    ui.undoButton.click()
    desk.process()
    table = section(drawn, "Result").ui.resultTable
    assert [table.item(1, column).text() for column in (2, 3)] == ["not found", ""]
    apply(desk, drawn, jobs, GTVp=TUMOUR, Brainstem=STEM)
    assert np.array_equal(masks_in(drawn)["Brainstem"], STEM)
    assert "Kept as you edited" not in drawn.ui.messageLabel.text


def test_clicks_wait_for_one_another(desk, jobs, drawn):
    section(drawn, "Correction").ui.addButton.click()
    desk.process()
    click(desk, drawn, 2, 5, 8)
    click(desk, drawn, 2, 6, 8)
    assert len(jobs) == 2, "the second waits"
    first = TUMOUR | mask_of((2, 3), (5, 6), (7, 9))
    answer(desk, jobs[-1], first)
    assert len(jobs) == 3 and len(jobs[-1].parameters["clicks"]) == 2
    assert np.array_equal(jobs[-1].volumes[1].voxels, first)
    second = first | mask_of((2, 3), (6, 7), (7, 9))
    answer(desk, jobs[-1], second)
    assert np.array_equal(masks_in(drawn)["GTVp"], second)


def test_a_click_outside_the_image_is_said_and_stops_no_other(desk, jobs, drawn):
    ui = begin(desk, drawn).ui
    click(desk, drawn, 2, 5, 8)
    click(desk, drawn, 2, 5, 80)
    assert ui.correctionLabel.text.startswith("That click lies outside t1_tse_tra;")
    click(desk, drawn, 2, 6, 8)
    assert crosses(shown_node(drawn)) == 2 and len(jobs) == 2
    answer(desk, jobs[-1], TUMOUR)
    assert len(jobs) == 3 and len(jobs[-1].parameters["clicks"]) == 2


def test_a_hidden_structure_is_seen_when_a_click_corrects_it(desk, jobs, drawn):
    section(drawn, "Result").onShowAll(False)
    begin(desk, drawn)
    click(desk, drawn, 2, 5, 8)
    answer(desk, jobs[-1], TUMOUR | mask_of((2, 3), (5, 6), (7, 9)))
    assert shown_node(drawn).GetDisplayNode().GetVisibleSegmentIDs() == ("GTVp",)


@pytest.mark.parametrize("way", ["cancelled", "failed"])
def test_a_click_that_came_to_nothing_leaves_no_point(desk, jobs, drawn, way):
    from MRISynthLib.errors import Cancelled, WorkerError
    from MRISynthSegmentLib.clicked.mrml import ClickPoints

    ui = section(drawn, "Correction").ui
    ui.addButton.click()
    desk.process()
    click(desk, drawn, 2, 5, 8)
    click(desk, drawn, 2, 6, 8)
    ui.correctionCancelButton.click()
    assert jobs[-1].cancelled
    jobs[-1].finish(Cancelled() if way == "cancelled" else WorkerError("The worker died."))
    desk.process()
    assert np.array_equal(masks_in(drawn)["GTVp"], TUMOUR)
    assert ClickPoints(shown_node(drawn)).clicks("GTVp") == ()
    assert ("died" in ui.correctionLabel.text) == (way == "failed")
    assert not ui.undoButton.enabled and ui.correctionCancelButton.isHidden()


def test_clicks_end_with_the_module_the_tool_or_the_scene(desk, jobs, drawn):
    ui = section(drawn, "Correction").ui
    interaction = desk.app.applicationLogic().GetInteractionNode()

    def begin():
        ui.addButton.click()
        desk.process()
        assert ui.addButton.checked

    begin()
    interaction.SetCurrentInteractionMode(interaction.ViewTransform)  # a right click
    desk.process()
    assert not ui.addButton.checked
    begin()
    desk.open("MRISynth")
    assert interaction.GetCurrentInteractionMode() == interaction.ViewTransform
    desk.open("MRISynthSegment")
    begin()
    click(desk, drawn, 2, 5, 8)
    desk.slicer.mrmlScene.Clear(0)
    desk.process()
    assert jobs[-1].cancelled
    answer(desk, jobs[-1], STEM)
    assert not desk.said and not ui.addButton.enabled


def test_only_contours_on_a_ticked_image_are_corrected(desk, jobs, drawn):
    add_volume(desk, "t2_tse_tra", 1, shape=(4, 9, 9))
    desk.process()
    drawn.ui.inputTable.item(0, 0).setCheckState(desk.qt.Qt.Unchecked)
    desk.process()
    ui = section(drawn, "Correction").ui
    ui.addButton.click()
    desk.process()
    assert "tick that volume" in desk.said[0] and not ui.addButton.checked


def test_contours_of_one_examination_are_not_corrected_on_images_of_another(desk, jobs, drawn):
    add_volume(desk, "t1 later", 3)  # on the same grid, as after resampling to one
    desk.process()
    tick_input(desk, drawn, "t1_tse_tra", False)
    tick_input(desk, drawn, "t1 later")
    ui = section(drawn, "Correction").ui
    ui.addButton.click()
    desk.process()
    assert "drawn on t1_tse_tra; tick that volume" in desk.said[0] and not ui.addButton.checked


def test_a_new_run_forgets_the_clicks_on_what_it_drew(desk, jobs, drawn):
    ui = section(drawn, "Correction").ui
    ui.addButton.click()
    desk.process()
    click(desk, drawn, 2, 5, 8)
    answer(desk, jobs[-1], TUMOUR | mask_of((2, 3), (5, 6), (7, 9)))
    section(drawn, "Structure").ui.replaceEditedCheckBox.checked = True
    desk.process()
    apply(desk, drawn, jobs, GTVp=TUMOUR)
    desk.process()
    assert not ui.undoButton.enabled and not ui.addButton.checked


def test_clicks_that_wait_when_the_images_go_are_taken_back_with_a_sentence(desk, jobs, drawn):
    correction = section(drawn, "Correction")
    correction.ui.addButton.click()
    desk.process()
    click(desk, drawn, 2, 5, 8)
    click(desk, drawn, 3, 5, 8)
    (image,) = desk.slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
    drawn.logic.inputs.set_ticked(image.GetID(), False)
    drawn.scheduleRefresh()
    desk.process()
    answer(desk, jobs[-1], TUMOUR)
    desk.process()
    assert "tick that volume" in correction.ui.correctionLabel.text
    drawn.logic.inputs.set_ticked(image.GetID(), True)
    drawn.scheduleRefresh()
    desk.process()
    assert correction.ui.undoButton.enabled, "the first click can be taken back"


def test_no_click_is_taken_back_while_a_result_comes_into_the_scene(desk, jobs, drawn, monkeypatch):
    import importlib

    correction = section(drawn, "Correction")
    correction.ui.addButton.click()
    desk.process()
    click(desk, drawn, 2, 5, 8)
    answer(desk, jobs[-1], TUMOUR | mask_of((2, 3), (5, 6), (8, 9)))
    assert correction.ui.undoButton.enabled
    portions = importlib.import_module("MRISynthWidgets.portions")
    monkeypatch.setattr(portions, "AT_ONCE_SECONDS", -1.0)  # a pause after each structure
    drawn.ui.applyButton.click()
    desk.process()
    finished(jobs[-1], GTVp=STEM, Brainstem=STEM)
    drawn.run._poll()
    drawn.portions._go_on()
    drawn._refreshNow()
    assert drawn.portions.running and not correction.ui.undoButton.enabled


def test_clicks_use_the_model_that_apply_uses(desk, jobs, drawn):
    drawn.logic.getParameterNode().model = "a model that this computer has not"
    desk.process()
    section(drawn, "Correction").ui.addButton.click()
    desk.process()
    click(desk, drawn, 2, 5, 8)
    assert jobs[-1].parameters["bundle"] == "G"


# ------------------------------------------------------- what changes while a click is computed


@pytest.fixture
def arriving(desk, jobs, drawn, monkeypatch):
    """A click is computed while a result comes into the scene, of which half is there."""
    import importlib

    portions = importlib.import_module("MRISynthWidgets.portions")
    monkeypatch.setattr(portions, "AT_ONCE_SECONDS", -1.0)  # a pause after each structure

    def arrive(**found):
        correction = begin(desk, drawn)
        click(desk, drawn, 2, 5, 8)
        waiting = jobs[-1]
        section(drawn, "Structure").ui.replaceEditedCheckBox.checked = True
        drawn.ui.applyButton.click()
        desk.process()
        finished(jobs[-1], **found)
        drawn.run._poll()
        drawn.portions._go_on()
        assert drawn.portions.running
        return correction, waiting

    return arrive


def test_a_click_that_is_answered_while_a_result_comes_in_is_applied_after_it(
    desk, jobs, drawn, arriving
):
    correction, waiting = arriving(Brainstem=STEM)
    larger = TUMOUR | mask_of((2, 3), (5, 6), (7, 9))
    job_done(waiting, larger)
    correction.work.run._poll()
    assert np.array_equal(masks_in(drawn)["GTVp"], TUMOUR), "not in between"
    desk.process()
    assert np.array_equal(masks_in(drawn)["GTVp"], larger)
    assert correction.ui.correctionLabel.text == "Primary gross tumour volume: +0.03 ml."
    assert correction.ui.undoButton.enabled


def test_clicks_that_wait_are_computed_while_another_module_is_open(desk, jobs, drawn):
    correction = begin(desk, drawn)
    click(desk, drawn, 2, 5, 8)
    click(desk, drawn, 2, 6, 8)
    desk.open("MRISynth")
    first = TUMOUR | mask_of((2, 3), (5, 6), (7, 9))
    answer(desk, jobs[-1], first)
    assert not desk.said and len(jobs[-1].parameters["clicks"]) == 2
    larger = first | mask_of((2, 3), (6, 7), (7, 9))
    answer(desk, jobs[-1], larger)
    desk.open("MRISynthSegment")
    assert np.array_equal(masks_in(drawn)["GTVp"], larger)
    assert correction.ui.undoButton.enabled


def test_a_click_on_what_is_drawn_anew_meanwhile_is_dropped_with_a_sentence(
    desk, jobs, drawn, arriving
):
    anew = mask_of((2, 4), (3, 8), (2, 7))
    correction, waiting = arriving(GTVp=anew, Brainstem=STEM)
    job_done(waiting, TUMOUR | mask_of((2, 3), (5, 6), (7, 9)))
    correction.work.run._poll()
    desk.process()
    assert np.array_equal(masks_in(drawn)["GTVp"], anew)
    assert "drawn anew before the click" in correction.ui.correctionLabel.text
    assert not correction.ui.undoButton.enabled and not crosses(shown_node(drawn))


def test_a_structure_that_is_renamed_while_a_click_is_computed_is_corrected(desk, jobs, drawn):
    correction = begin(desk, drawn)
    click(desk, drawn, 2, 5, 8)
    content = shown_node(drawn).GetSegmentation()
    content.GetSegment(content.GetSegmentIdBySegmentName("GTVp")).SetName("GTV final")
    desk.process()
    larger = TUMOUR | mask_of((2, 3), (5, 6), (7, 9))
    answer(desk, jobs[-1], larger)
    found = masks_in(drawn)
    assert set(found) == {"GTV final", "Brainstem"}
    assert np.array_equal(found["GTV final"], larger)
    assert correction.ui.correctionLabel.text == "GTV final: +0.03 ml."
    click(desk, drawn, 2, 6, 8)
    assert jobs[-1].parameters["structure"] == "GTV final", "it is still the chosen one"
    assert len(jobs[-1].parameters["clicks"]) == 2
    answer(desk, jobs[-1], larger | mask_of((2, 3), (6, 7), (7, 9)))
    for _ in range(2):
        correction.ui.undoButton.click()
        desk.process()
    assert np.array_equal(masks_in(drawn)["GTV final"], TUMOUR)
    assert crosses(shown_node(drawn)) == 0


def test_the_chosen_structure_stays_so_while_two_have_one_name(desk, jobs, drawn):
    drawn.logic.getParameterNode().correctedStructure = "Brainstem"
    desk.process()
    correction, content = begin(desk, drawn), shown_node(drawn).GetSegmentation()
    click(desk, drawn, 2, 10, 8)
    answer(desk, jobs[-1], STEM | mask_of((2, 3), (10, 11), (7, 9)))
    for segment_id, name in (("GTVp", "Brainstem"), ("Brainstem", "aside"), ("GTVp", "GTVp")):
        content.GetSegment(segment_id).SetName(name)
        desk.process()
    assert correction.structure == "aside" and crosses(shown_node(drawn)) == 1


@pytest.mark.parametrize("seen", [True, False], ids=["the panel saw it", "at the last moment"])
def test_a_structure_that_is_deleted_while_a_click_is_computed_stays_deleted(
    desk, jobs, drawn, seen
):
    correction = begin(desk, drawn)
    click(desk, drawn, 2, 5, 8)
    click(desk, drawn, 2, 6, 8)
    job = jobs[-1]
    content = shown_node(drawn).GetSegmentation()
    content.RemoveSegment(content.GetSegmentIdBySegmentName("GTVp"))
    if seen:
        desk.process()
        assert job.cancelled
    answer(desk, job, TUMOUR | mask_of((2, 3), (5, 6), (7, 9)))
    assert set(masks_in(drawn)) == {"Brainstem"}
    assert "deleted" in correction.ui.correctionLabel.text
    assert jobs[-1] is job and not crosses(shown_node(drawn)) and not desk.said
    assert not correction.ui.undoButton.enabled


def test_a_deleted_cross_of_a_waiting_click_takes_the_click_back(desk, jobs, drawn):
    from MRISynthSegmentLib.clicked.mrml import ClickPoints

    begin(desk, drawn)
    for row in (5, 6, 7):
        click(desk, drawn, 2, row, 8)
    ClickPoints(shown_node(drawn)).node.RemoveNthControlPoint(1)
    answer(desk, jobs[-1], TUMOUR)
    sent = [round(-each[1] / 2) for each in jobs[-1].parameters["clicks"]]
    assert sent == [5, 7]
    answer(desk, jobs[-1], TUMOUR)
    assert section(drawn, "Correction").ui.undoButton.enabled
