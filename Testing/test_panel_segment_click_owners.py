"""The panel of module MRISynthSegment: clicks belong to one of several segmentations."""

from __future__ import annotations

import numpy as np
import pytest

from panel_segment_cases import (
    STEM,
    TUMOUR,
    answer,
    begin,
    click,
    crosses,
    mask_of,
    masks_in,
    places,
    second,
    section,
    shown_node,
)


def test_clicks_on_a_segmentation_are_known_when_it_is_chosen_again(desk, jobs, drawn):
    first = shown_node(drawn)
    correction = begin(desk, drawn)
    click(desk, drawn, 2, 5, 8)
    answer(desk, jobs[-1], TUMOUR | mask_of((2, 3), (5, 6), (7, 9)))
    assert crosses(first) == 1
    other = second(desk, drawn, jobs, GTVp=STEM)
    assert crosses(first) == 0, "not over the second one's contours"
    assert not correction.ui.undoButton.enabled
    begin(desk, drawn)
    click(desk, drawn, 2, 10, 8)
    drawn.logic.getParameterNode().segmentation = first
    desk.process()
    assert jobs[-1].cancelled and not places(desk)
    assert "not computed" in correction.ui.correctionLabel.text
    assert crosses(first) == 1 and crosses(other) == 0
    correction.ui.undoButton.click()
    desk.process()
    assert np.array_equal(masks_in(drawn)["GTVp"], TUMOUR) and crosses(first) == 0
    correction.ui.redoButton.click()
    desk.process()
    assert crosses(first) == 1


def test_the_cross_of_a_click_that_is_done_again_is_seen_with_its_structure_only(desk, jobs, drawn):
    correction, parameters = begin(desk, drawn), drawn.logic.getParameterNode()
    click(desk, drawn, 2, 5, 8)
    answer(desk, jobs[-1], TUMOUR | mask_of((2, 3), (5, 6), (7, 9)))
    parameters.correctedStructure = "Brainstem"
    desk.process()
    for button in (correction.ui.undoButton, correction.ui.redoButton):
        button.click()
        desk.process()
        assert crosses(shown_node(drawn)) == 0
    parameters.correctedStructure = "GTVp"
    desk.process()
    assert crosses(shown_node(drawn)) == 1


def test_deleting_the_segmentation_ends_placing_and_takes_the_crosses_away(desk, jobs, drawn):
    correction = begin(desk, drawn)
    click(desk, drawn, 2, 5, 8)
    answer(desk, jobs[-1], TUMOUR)
    interaction = desk.app.applicationLogic().GetInteractionNode()
    desk.slicer.mrmlScene.RemoveNode(shown_node(drawn))
    desk.process()
    assert not places(desk) and not interaction.GetPlaceModePersistence()
    assert not desk.slicer.util.getNodesByClass("vtkMRMLMarkupsFiducialNode")
    assert not correction.ui.addButton.checked and not correction.ui.undoButton.enabled


def test_a_cloned_segmentation_has_clicks_of_its_own(desk, jobs, drawn):
    first = shown_node(drawn)
    begin(desk, drawn)
    click(desk, drawn, 2, 5, 8)
    answer(desk, jobs[-1], TUMOUR | mask_of((2, 3), (5, 6), (7, 9)))
    clone = desk.slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "clone")
    clone.Copy(first)  # as the Data module does it
    drawn.logic.getParameterNode().segmentation = clone
    desk.process()
    begin(desk, drawn)
    click(desk, drawn, 2, 6, 8)
    assert len(jobs[-1].parameters["clicks"]) == 1
    answer(desk, jobs[-1], TUMOUR)
    assert crosses(clone) == 1 and crosses(first) == 0, "the one on the original is not seen now"
    desk.slicer.mrmlScene.RemoveNode(clone)
    drawn.logic.getParameterNode().segmentation = first
    desk.process()
    assert crosses(first) == 1 and section(drawn, "Correction").ui.undoButton.enabled


def test_a_deleted_clone_that_was_never_clicked_leaves_the_crosses_of_the_original(
    desk, jobs, drawn
):
    first = shown_node(drawn)
    begin(desk, drawn)
    click(desk, drawn, 2, 5, 8)
    answer(desk, jobs[-1], TUMOUR | mask_of((2, 3), (5, 6), (7, 9)))
    clone = desk.slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "clone")
    clone.Copy(first)
    for node in (clone, first):
        drawn.logic.getParameterNode().segmentation = node
        desk.process()
    drawn.logic.getParameterNode().segmentation = clone
    desk.process()
    desk.slicer.mrmlScene.RemoveNode(clone)
    desk.process()
    drawn.logic.getParameterNode().segmentation = first
    desk.process()
    assert crosses(first) == 1


@pytest.mark.parametrize("seen", [True, False], ids=["the panel is open", "another is"])
def test_the_crosses_of_a_deleted_segmentation_that_is_not_shown_go_with_it(
    desk, jobs, drawn, seen
):
    first = shown_node(drawn)
    begin(desk, drawn)
    click(desk, drawn, 2, 5, 8)
    answer(desk, jobs[-1], TUMOUR)
    second(desk, drawn, jobs, GTVp=STEM)
    if not seen:
        desk.open("MRISynth")
    desk.slicer.mrmlScene.RemoveNode(first)
    desk.open("MRISynthSegment")
    assert not desk.slicer.util.getNodesByClass("vtkMRMLMarkupsFiducialNode")


@pytest.mark.parametrize("clicked", [False, True])
def test_the_memory_of_a_deleted_segmentation_is_given_back(desk, jobs, drawn, clicked):
    import vtk

    if clicked:
        section(drawn, "Correction").ui.addButton.click()
        desk.process()
    remembered = vtk.vtkWeakReference()
    remembered.Set(shown_node(drawn))
    desk.slicer.mrmlScene.RemoveNode(shown_node(drawn))
    desk.process()
    desk.process()
    assert remembered.Get() is None and not desk.said
