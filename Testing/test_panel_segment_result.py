"""The panel of module MRISynthSegment: a result finds its place, and is shown as the user wants."""

from __future__ import annotations

import numpy as np
import pytest

from panel_cases import add_volume, cells, move, put_below_patient, tick_input
from panel_segment_cases import (
    STEM,
    TUMOUR,
    apply,
    finished,
    masks_in,
    second,
    section,
    shown_node,
)


@pytest.fixture
def begun(desk, jobs, drawn):
    """Apply was pressed a second time; what the first run made is edited."""
    drawn.ui.applyButton.click()
    desk.process()
    return drawn


def image_of(desk):
    (node,) = desk.slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
    return node


def bend(desk, node):
    import vtk

    spline = desk.slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTransformNode")
    spline.SetAndObserveTransformToParent(vtk.vtkThinPlateSplineTransform())
    node.SetAndObserveTransformNodeID(spline.GetID())


def end(desk, jobs, **masks):
    finished(jobs[-1], **masks)
    desk.process()


def bounds_of(node):
    bounds = np.zeros(6)
    node.GetRASBounds(bounds)
    return bounds


# ------------------------------------------------------------------ a result is never thrown away


def test_a_result_is_kept_where_two_segments_have_one_name(desk, jobs, begun):
    old = shown_node(begun)
    old.GetSegmentation().GetSegment("GTVp").SetName("Brainstem")
    end(desk, jobs, GTVp=STEM)
    assert shown_node(begun) is not old and np.array_equal(masks_in(begun)["GTVp"], STEM)
    label = begun.ui.messageLabel
    assert "two segments named Brainstem; rename one of them." in label.text
    assert "The result is in a new segmentation." in label.text and label.styleSheet
    assert old.GetSegmentation().GetNumberOfSegments() == 2 and not desk.said


def test_a_result_is_kept_under_a_transform_that_is_not_linear(desk, jobs, begun):
    old, image = shown_node(begun), image_of(desk)
    bend(desk, old)
    end(desk, jobs, GTVp=STEM)
    first = shown_node(begun)
    assert first is not old and "not linear" in begun.ui.messageLabel.text
    begun.ui.applyButton.click()
    desk.process()
    bend(desk, image)
    end(desk, jobs, GTVp=TUMOUR)
    assert shown_node(begun) not in (old, first) and not desk.said
    text = begun.ui.messageLabel.text
    assert "The contours lie where t1_tse_tra was when Apply was pressed." in text
    image.SetAndObserveTransformNodeID(None)
    assert np.array_equal(masks_in(begun)["GTVp"], TUMOUR)


def test_contours_that_are_no_label_maps_are_not_replaced(desk, jobs, begun):
    old = shown_node(begun)
    old.GetSegmentation().SetSourceRepresentationName("Closed surface")
    end(desk, jobs, GTVp=STEM)
    assert shown_node(begun) is not old and "kept as closed surface" in begun.ui.messageLabel.text


# ---------------------------------------------------------------------------- an image that moves


def test_an_image_that_moves_during_the_run_takes_its_contours_along(desk, jobs, begun):
    from MRISynthSegmentLib.mrml import edited_structures

    old, image = shown_node(begun), image_of(desk)
    before = bounds_of(old)
    move(desk, image)
    end(desk, jobs, GTVp=TUMOUR, Brainstem=STEM)
    new, text = shown_node(begun), begun.ui.messageLabel.text
    assert "t1_tse_tra was moved during the run; the contours went with it." in text
    assert new is not old and "its image was moved since. The result is in a new" in text
    assert bounds_of(new) == pytest.approx(before + np.repeat((0, 0, 30), 2))
    assert np.array_equal(masks_in(begun)["GTVp"], TUMOUR) and edited_structures(new) == ()
    assert bounds_of(old) == pytest.approx(before)


def other_examination(desk, panel, patient=""):
    """An image on the same grid, as after resampling to one, is ticked instead of the first."""
    first = image_of(desk)
    other = add_volume(desk, "t1 later", 3)
    if patient:
        put_below_patient(desk, "Anna", first, patient_id="A")
        put_below_patient(desk, "Berta", other, patient_id=patient)
    desk.process()
    for name, ticked in ((first.GetName(), False), (other.GetName(), True)):
        tick_input(desk, panel, name, ticked)
    return other


@pytest.mark.parametrize("patient", ["", "B"])
def test_contours_of_another_examination_are_not_mixed_with_these(desk, jobs, drawn, patient):
    first, before = shown_node(drawn), masks_in(drawn)
    other = other_examination(desk, drawn, patient)
    apply(desk, drawn, jobs, GTVp=STEM)
    new = shown_node(drawn)
    assert new is not first and drawn.logic.referenceOf(new) is other
    assert "is in a new segmentation" in drawn.ui.messageLabel.text
    drawn.logic.getParameterNode().segmentation = first
    desk.process()
    now = masks_in(drawn)
    assert now.keys() == before.keys() and all(np.array_equal(now[k], before[k]) for k in now)


def test_contours_on_another_sequence_of_the_examination_go_where_the_others_are(desk, jobs, drawn):
    first = shown_node(drawn)
    add_volume(desk, "t2_tse_tra", 3)
    desk.process()
    tick_input(desk, drawn, "t1_tse_tra", False)
    apply(desk, drawn, jobs, GTVp=STEM)
    assert shown_node(drawn) is first and masks_in(drawn)["GTVp"].sum() == STEM.sum()


def test_image_and_contours_that_move_together_stay_together(desk, jobs, begun):
    old, image = shown_node(begun), image_of(desk)
    move(desk, image)
    old.SetAndObserveTransformNodeID(image.GetTransformNodeID())
    end(desk, jobs, GTVp=STEM)
    assert shown_node(begun) is old and np.array_equal(masks_in(begun)["GTVp"], STEM)


def test_contours_on_an_image_that_was_cropped_meanwhile_say_so(desk, jobs, begun):
    import vtk

    smaller = vtk.vtkImageData()
    smaller.SetDimensions(4, 4, 3)
    smaller.AllocateScalars(vtk.VTK_FLOAT, 1)
    image_of(desk).SetAndObserveImageData(smaller)
    end(desk, jobs, GTVp=STEM)
    text = begun.ui.messageLabel.text
    assert "was changed during the run" in text and "press Apply again" in text


# ------------------------------------------------------------------- an image that is loaded again


def test_an_image_that_was_deleted_and_loaded_again_is_found(desk, jobs, drawn):
    node = shown_node(drawn)
    desk.slicer.mrmlScene.RemoveNode(image_of(desk))
    desk.process()
    assert drawn.logic.referenceOf(node) is None
    other = add_volume(desk, "t2_tse_tra", 1)
    assert drawn.logic.referenceOf(node) is None, "the same grid, but another image"
    desk.slicer.mrmlScene.RemoveNode(other)
    again = add_volume(desk, "t1_tse_tra")
    desk.process()
    assert drawn.logic.referenceOf(node) is again
    assert np.array_equal(masks_in(drawn)["GTVp"], TUMOUR)
    apply(desk, drawn, jobs, GTVp=STEM)
    assert shown_node(drawn) is node and np.array_equal(masks_in(drawn)["GTVp"], STEM)
    move(desk, again)
    desk.slicer.mrmlScene.RemoveNode(again)
    move(desk, add_volume(desk, "t1_tse_tra"))
    assert drawn.logic.referenceOf(node) is None, "it lies elsewhere"


# ------------------------------------------------------------------------- one segmentation is seen


def test_a_new_segmentation_is_shown_alone(desk, jobs, drawn):
    old = shown_node(drawn)
    section(drawn, "Structure").ui.newSegmentationCheckBox.checked = True
    desk.process()
    apply(desk, drawn, jobs, GTVp=STEM)
    new = shown_node(drawn)
    assert new is not old and new.GetDisplayNode().GetVisibility()
    assert not old.GetDisplayNode().GetVisibility()
    assert old.GetDisplayNode().GetVisibleSegmentIDs() == ("GTVp", "Brainstem"), "as it was"
    assert "Contours on T1w is hidden" in drawn.ui.messageLabel.text
    assert not drawn.ui.messageLabel.styleSheet, "nothing is wrong"
    apply(desk, drawn, jobs, GTVp=TUMOUR)
    assert "is hidden" not in drawn.ui.messageLabel.text
    assert [line[1] for line in cells(section(drawn, "Result").ui.resultTable)] == [
        "Primary gross tumour volume"
    ]


def test_a_hidden_segmentation_that_is_chosen_again_is_seen(desk, jobs, drawn):
    old = shown_node(drawn)
    new = second(desk, drawn, jobs, GTVp=STEM)
    parameters, of = drawn.logic.getParameterNode(), lambda node: node.GetDisplayNode()
    parameters.segmentation = old
    desk.process()
    assert of(old).GetVisibility() and not of(new).GetVisibility()
    assert drawn.ui.messageLabel.text.startswith(f"{new.GetName()} is hidden")
    of(new).SetVisibility(True)  # the user wants to see both
    parameters.segmentation = new
    desk.process()
    assert of(old).GetVisibility() and of(new).GetVisibility()
    parameters.segmentation = None
    desk.slicer.mrmlScene.RemoveNode(new)
    of(old).SetVisibility(False)
    desk.process()
    assert not of(old).GetVisibility()


# ----------------------------------------------------------------------------- how it is shown


def look_in(panel):
    ui = section(panel, "Result").ui
    return ui.opacitySlider.value, ui.outlineCheckBox.checked, ui.show3DCheckBox.checked


def test_a_look_that_was_set_elsewhere_is_kept_and_shown_in_the_panel(desk, jobs, drawn):
    display = shown_node(drawn).GetDisplayNode()
    assert look_in(drawn) == (1.0, True, True)
    drawn.exit()
    display.SetOpacity2DFill(0.25)  # in the Segmentations module
    display.SetVisibility2DOutline(False)
    display.SetVisibility3D(False)
    drawn.enter()
    desk.process()
    wanted = (0.25, False, False)
    assert look_in(drawn) == wanted
    for panel in (drawn, desk.open("MRISynthSegment", fresh=True)):  # as after a restart
        desk.process()
        found = (display.GetOpacity2DFill(), display.GetVisibility2DOutline() == 1)
        assert (*found, display.GetVisibility3D() == 1) == wanted == look_in(panel)
    section(panel, "Result").ui.show3DCheckBox.checked = True
    desk.process()
    assert display.GetVisibility3D() and display.GetOpacity2DFill() == 0.25


def test_each_segmentation_keeps_its_look_and_a_new_one_has_the_panels(desk, jobs, drawn):
    old = shown_node(drawn)
    ui = section(drawn, "Result").ui
    ui.opacitySlider.value, ui.show3DCheckBox.checked = 0.5, False
    section(drawn, "Structure").ui.newSegmentationCheckBox.checked = True
    desk.process()
    apply(desk, drawn, jobs, GTVp=STEM)
    new = shown_node(drawn)
    assert look_in(drawn) == (0.5, True, False)
    assert new.GetDisplayNode().GetOpacity2DFill() == 0.5
    assert not new.GetDisplayNode().GetVisibility3D()
    ui.opacitySlider.value = 0.1
    desk.process()
    drawn.logic.getParameterNode().segmentation = old
    desk.process()
    assert look_in(drawn) == (0.5, True, False) and old.GetDisplayNode().GetOpacity2DFill() == 0.5


@pytest.fixture
def outlined(desk, jobs, drawn):
    """The panel with the outlines of two segmentations over one another."""
    from MRISynthSegmentLib.mrml import segmentation_node_from
    from MRISynthSegmentLib.placed.mrml import grid_of
    from MRISynthSegmentLib.segmentation import Segmentation

    grid, parameters = grid_of(shown_node(drawn)), drawn.logic.getParameterNode()
    both = Segmentation({"GTVp": STEM, "Brainstem": TUMOUR}, grid)
    parameters.compareWith = segmentation_node_from(both, image_of(desk), name="Mine")
    parameters.compareOutlines = True
    desk.process()
    return drawn


def test_a_look_that_is_set_beside_compared_outlines_counts_when_they_are_over(
    desk, jobs, outlined
):
    ui, display = section(outlined, "Result").ui, shown_node(outlined).GetDisplayNode()
    parameters = outlined.logic.getParameterNode()
    assert not display.GetVisibility2DFill()
    ui.opacitySlider.value, ui.outlineCheckBox.checked = 0.5, False
    ui.show3DCheckBox.checked = False
    desk.process()
    assert display.GetVisibility2DOutline() and not display.GetVisibility3D()
    display.SetSliceIntersectionThickness(9)  # in the Segmentations module
    display.SetSegmentVisibility("Brainstem", False)
    desk.process()
    parameters.comparedStructure = "GTVp"
    desk.process()
    assert not display.GetVisibility2DFill() and display.GetVisibility2DOutline()
    parameters.compareOutlines = False
    desk.process()
    assert look_in(outlined) == (0.5, False, False)
    assert display.GetVisibility2DFill() and not display.GetVisibility2DOutline()
    assert display.GetOpacity2DFill() == 0.5 and display.GetSliceIntersectionThickness() == 9
    assert display.GetVisibleSegmentIDs() == ("GTVp",)
    other = parameters.compareWith.GetDisplayNode()
    assert other.GetVisibility2DOutline() and other.GetSliceIntersectionThickness() == 2


def test_what_was_compared_is_hidden_when_a_new_segmentation_is_made(desk, jobs, outlined):
    old = shown_node(outlined)
    section(outlined, "Structure").ui.newSegmentationCheckBox.checked = True
    desk.process()
    apply(desk, outlined, jobs, GTVp=STEM)
    assert shown_node(outlined) is not old and not old.GetDisplayNode().GetVisibility()
    assert shown_node(outlined).GetDisplayNode().GetVisibility()


def test_a_small_structure_is_not_said_to_be_nothing():
    from MRISynthSegmentLib.panel import ResultRow

    texts = [ResultRow("Cochlea_L", "", size).volume_text() for size in (None, 0.02, 0.06, 7.0)]
    assert texts == ["not found", "< 0.1 ml", "0.1 ml", "7.0 ml"]
