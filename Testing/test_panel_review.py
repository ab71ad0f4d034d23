"""Section Review of module MRISynth: what a click does, on a real scene."""

from __future__ import annotations

import numpy as np
import pytest

from panel_cases import add_volume, comparison_result, move
from panel_review_cases import SHAPE, add_pair, composite, layout, lowest, topmost

FAR = (11.0, 0.0, 0.0)
"""A step in mm beyond the first field of a checkerboard."""


@pytest.fixture
def panel(desk, jobs):
    return desk.open("MRISynth")


# ---------------------------------------------------------------- ways of looking


def test_one_click_shows_real_beside_synthetic_with_a_crosshair(desk, panel):
    _t1w, real, synthetic = add_pair(desk)
    ui = panel.review.ui
    ui.sideBySideButton.click()
    desk.process()
    assert layout(desk) == 51302 and ui.sideBySideButton.checked
    shown = [composite(desk, index).GetBackgroundVolumeID() for index in (0, 1)]
    assert shown == [real.GetID(), synthetic.GetID()]
    crosshair = desk.slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLCrosshairNode")
    assert crosshair.GetCrosshairMode() == crosshair.ShowBasic
    ui.crosshairCheckBox.checked = False
    desk.process()
    assert crosshair.GetCrosshairMode() == crosshair.NoCrosshair
    real.GetDisplayNode().SetWindowLevelMinMax(0, 500)
    assert synthetic.GetDisplayNode().GetWindowLevelMax() == pytest.approx(50, rel=0.05)
    ui.orientationComboBox.setCurrentIndex(2)
    desk.process()
    matrix = desk.headless.slice_logic("MRISynth2").GetSliceNode().GetSliceToRAS()
    assert abs(matrix.GetElement(0, 2)) == pytest.approx(1)


def test_the_blend_follows_its_slider(desk, panel):
    add_pair(desk)
    ui = panel.review.ui
    assert not ui.opacityRow.visible
    ui.blendButton.click()
    desk.process()
    assert layout(desk) == 51301 and not ui.opacityRow.isHidden() and ui.flickerRow.isHidden()
    ui.opacitySlider.value = 0.8
    desk.process()
    assert composite(desk, 0).GetForegroundOpacity() == pytest.approx(0.8)
    ui.sideBySideButton.click()
    desk.process()
    assert ui.opacityRow.isHidden() and not ui.blendButton.checked
    assert composite(desk, 0).GetForegroundVolumeID() is None


def test_flicker_goes_on_until_something_else_is_shown(desk, panel):
    add_pair(desk)
    ui = panel.review.ui
    ui.flickerButton.click()
    desk.process(1)
    seen = set()
    for _ in range(4):
        seen.add(composite(desk, 0).GetForegroundOpacity())
        desk.process(1)
    assert seen == {0.0, 1.0}
    ui.flickerSlider.value = 2.0
    desk.process()
    assert panel.review._flicker.interval == 500
    assert ui.flickerSlider.maximum == 3, "faster flashes can cause seizures"
    desk.open("MRISynthSegment")
    assert not panel.review._flicker.isActive()
    desk.open("MRISynth")
    ui.blendButton.click()
    desk.process()
    assert not panel.review._flicker.isActive()


def opacities(desk):
    """What flicker does to the view, some rounds long."""
    seen = set()
    for _ in range(4):
        seen.add(composite(desk, 0).GetForegroundOpacity())
        desk.process(1)
    return seen


def test_flicker_goes_on_when_the_user_is_back(desk, panel):
    add_pair(desk)
    ui = panel.review.ui
    ui.flickerButton.click()
    desk.process()
    desk.open("MRISynthSegment")
    assert len(opacities(desk)) == 1
    desk.open("MRISynth")
    assert ui.flickerButton.checked and opacities(desk) == {0.0, 1.0}


def test_no_button_stays_pressed_for_what_another_module_has_replaced(desk, panel):
    from MRISynthLib.mrml import set_layout
    from MRISynthLib.views import BUILT_IN

    add_pair(desk)
    ui = panel.review.ui
    ui.profileButton.checked = True
    ui.flickerButton.click()
    desk.process()
    desk.open("MRISynthSegment")
    set_layout(BUILT_IN[0])
    desk.open("MRISynth")
    assert not ui.flickerButton.checked and not ui.profileButton.checked
    assert ui.flickerRow.isHidden() and not panel.review._flicker.isActive()
    assert layout(desk) == BUILT_IN[0].id, "the views are not taken from the user"
    line = desk.slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLMarkupsLineNode")
    assert not line.GetDisplayNode().GetVisibility()
    ui.flickerButton.click()
    desk.process()
    assert ui.flickerButton.checked and opacities(desk) == {0.0, 1.0}


def test_while_a_run_shows_what_it_has_the_pair_waits_under_it(desk, panel):
    from MRISynthLib import mrml
    from MRISynthLib.progress import SliceReady

    _t1w, real, synthetic = add_pair(desk)
    ui = panel.review.ui
    ui.blendButton.click()
    desk.process()
    desk.show_views("MRISynth1")
    volume = mrml.volume_from_node(real)
    panel.growing.start(volume)
    panel.growing.add(SliceReady("STIR", 2, volume.voxels[2]))
    desk.process()
    growing = composite(desk, 0).GetForegroundVolumeID()
    assert growing != synthetic.GetID() and not ui.opacityRow.enabled
    ui.opacitySlider.value = 0.1
    desk.process()
    assert composite(desk, 0).GetForegroundOpacity() == 1.0, "the growing image is faded"
    assert ui.blendButton.checked
    panel.growing.discard()
    desk.process()
    assert composite(desk, 0).GetForegroundVolumeID() == synthetic.GetID()
    assert composite(desk, 0).GetForegroundOpacity() == pytest.approx(0.1)
    assert ui.opacityRow.enabled
    ui.flickerButton.click()
    desk.process()
    panel.growing.start(volume)
    panel.growing.add(SliceReady("STIR", 2, volume.voxels[2]))
    assert opacities(desk) == {1.0} and not ui.flickerRow.enabled
    panel.growing.discard()
    desk.process()
    assert opacities(desk) == {0.0, 1.0} and ui.flickerRow.enabled
    desk.show_views()


def test_checkerboard_and_uncertainty(desk, panel):
    _t1w, _real, synthetic = add_pair(desk)
    ui = panel.review.ui
    ui.checkerboardButton.click()
    desk.process()
    board = lowest(desk, 0)
    assert board.GetName().startswith("SYNTHETIC") and "checkerboard" in board.GetName()
    before = desk.slicer.util.arrayFromVolume(board).copy()
    ui.tileSlider.value = 8
    desk.process()
    assert not np.array_equal(desk.slicer.util.arrayFromVolume(board), before)
    ui.uncertaintyButton.click()
    desk.process()
    over = topmost(desk, 1)
    assert "uncertainty" in over.GetName()
    assert composite(desk, 1).GetBackgroundVolumeID() == synthetic.GetID()
    assert desk.slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLColorLegendDisplayNode") == 1
    desk.slicer.mrmlScene.RemoveNode(over)
    desk.process()
    assert not ui.uncertaintyButton.enabled and "Options" in ui.uncertaintyButton.toolTip
    assert not desk.said


def test_the_line_profile_comes_and_goes(desk, panel):
    add_pair(desk)
    ui = panel.review.ui
    ui.sideBySideButton.click()
    ui.profileButton.checked = True
    desk.process()
    assert layout(desk) == 51312
    chart = desk.slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLPlotChartNode")
    assert "SYNTHETIC T2w" in chart.GetTitle()
    line = desk.slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLMarkupsLineNode")
    assert line.GetDisplayNode().GetVisibility()
    ui.profileButton.checked = False
    desk.process()
    assert layout(desk) == 51302 and not line.GetDisplayNode().GetVisibility()


def test_a_checkerboard_shows_the_images_where_they_lie_now(desk, panel):
    _t1w, real, _synthetic = add_pair(desk)
    ui = panel.review.ui
    ui.checkerboardButton.click()
    desk.process()
    board = lowest(desk, 0)
    before = desk.slicer.util.arrayFromVolume(board).copy()
    move(desk, real, FAR)
    moved = desk.slicer.util.arrayFromVolume(board)
    assert not np.array_equal(moved, before) and panel.review.mode == "checkerboard"
    real.SetAndObserveTransformNodeID(None)
    desk.process()
    assert np.allclose(desk.slicer.util.arrayFromVolume(board), before)


def test_the_uncertainty_goes_where_its_image_goes(desk, panel):
    from MRISynthLib.mrml import volume_from_node

    _t1w, _real, synthetic = add_pair(desk)
    ui = panel.review.ui
    ui.uncertaintyButton.click()
    desk.process()
    over = topmost(desk, 1)

    def together():
        return volume_from_node(over).same_geometry(volume_from_node(synthetic))

    assert together()
    move(desk, synthetic, FAR)
    assert together() and over.GetParentTransformNode() is synthetic.GetParentTransformNode()
    synthetic.HardenTransform()
    desk.process()
    assert together() and over.GetParentTransformNode() is None
    ui.sideBySideButton.click()
    desk.process()
    move(desk, synthetic, FAR)
    ui.uncertaintyButton.click()
    desk.process()
    assert together() and not desk.said


def test_the_line_profile_is_of_the_images_where_they_lie_now(desk, panel):
    _t1w, real, _synthetic = add_pair(desk)
    ui = panel.review.ui
    ui.sideBySideButton.click()
    ui.profileButton.checked = True
    desk.process()
    table = desk.slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLTableNode")

    def curve():
        column = table.GetTable().GetColumnByName(real.GetName())
        return [column.GetValue(row) for row in range(column.GetNumberOfValues())]

    before = curve()
    transform = move(desk, real, FAR)
    moved = curve()
    assert not np.allclose(before, moved, equal_nan=True)
    transform.SetMatrixTransformToParent(None)
    desk.process()
    assert np.allclose(before, curve(), equal_nan=True)


def test_no_line_is_left_that_no_plot_follows(desk, panel, tmp_path):
    add_pair(desk)
    ui = panel.review.ui
    ui.sideBySideButton.click()
    ui.profileButton.checked = True
    desk.process()
    path = str(tmp_path / "case.mrb")
    assert desk.slicer.mrmlScene.WriteToMRB(path, None)

    def seen(panel):
        line = desk.slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLMarkupsLineNode")
        return panel.review.ui.profileButton.checked, bool(line.GetDisplayNode().GetVisibility())

    assert seen(panel) == (True, True)
    panel = desk.open("MRISynth", fresh=True)
    assert seen(panel) == (False, False)
    desk.slicer.mrmlScene.Clear(0)
    desk.process()
    assert desk.slicer.mrmlScene.ReadFromMRB(path)
    desk.process()
    assert seen(panel) == (False, False)
    panel.review.ui.profileButton.click()
    desk.process()
    assert seen(panel) == (True, True) and panel.review.mode == "side by side"


def test_the_views_own_controls_stay_as_the_user_sets_them(desk, panel):
    add_pair(desk)
    ui = panel.review.ui
    ui.blendButton.click()
    desk.process()
    crosshair = desk.slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLCrosshairNode")
    crosshair.SetCrosshairMode(crosshair.NoCrosshair)  # in Slicer's toolbar
    composite(desk, 0).SetForegroundOpacity(0.2)  # in the view's own controls
    add_volume(desk, "something else")
    desk.process()
    assert crosshair.GetCrosshairMode() == crosshair.NoCrosshair
    assert composite(desk, 0).GetForegroundOpacity() == pytest.approx(0.2)


def test_another_pair_is_shown_in_the_same_way_as_far_as_that_goes(desk, panel, jobs):
    t1w, _real, synthetic = add_pair(desk)
    ui = panel.review.ui
    ui.blendButton.click()
    desk.process()
    ui.realSelector.setCurrentNode(t1w)
    desk.process()
    assert composite(desk, 0).GetBackgroundVolumeID() == t1w.GetID()
    ui.differenceButton.click()
    desk.process()
    jobs[0].finish(comparison_result(jobs[0]))
    desk.process()
    assert panel.review.mode == "difference"
    ui.realSelector.setCurrentNode(add_volume(desk, "t2_again", shape=SHAPE))
    desk.process()
    assert panel.review.mode == "side by side" and not desk.said  # it has no map yet
    assert composite(desk, 1).GetBackgroundVolumeID() == synthetic.GetID()


def test_a_deleted_volume_ends_what_is_shown(desk, panel):
    _t1w, _real, synthetic = add_pair(desk)
    ui = panel.review.ui
    ui.profileButton.checked = True
    ui.flickerButton.click()
    desk.process()
    desk.slicer.mrmlScene.RemoveNode(synthetic)
    desk.process()
    assert panel.review.mode is None and not ui.flickerButton.enabled
    assert not panel.review._flicker.isActive() and not desk.said


def test_closing_the_scene_ends_everything(desk, panel, jobs):
    add_pair(desk)
    ui = panel.review.ui
    ui.profileButton.checked = True
    ui.blendButton.click()
    ui.compareButton.click()
    desk.process()
    desk.slicer.mrmlScene.Clear()
    desk.process()
    assert jobs[0].cancelled and panel.review.mode is None
    jobs[0].finish(comparison_result(jobs[0]))
    desk.process()
    assert not desk.said and not panel.review.ui.compareLabel.text
    add_pair(desk)  # and the next pair works
    ui.blendButton.click()
    desk.process()
    assert panel.review.mode == "blend" and not desk.said


# ------------------------------------------------------- what happens while it is compared


def compared(desk, panel, job):
    job.finish(comparison_result(job))
    panel.review.numbers.comparing._poll()
    desk.process()


@pytest.mark.parametrize("other", [True, False], ids=["another", "none"])
def test_another_pair_chosen_while_it_is_compared_is_not_shown_as_this_one(
    desk, jobs, panel, other
):
    t1w, _real, _synthetic = add_pair(desk)
    ui = panel.review.ui
    ui.differenceButton.click()
    desk.process()
    ui.realSelector.setCurrentNode(t1w if other else None)
    desk.process()
    for job in jobs:
        compared(desk, panel, job)
    assert not desk.said and panel.review.mode is None


def test_a_map_is_no_image_to_compare(desk, jobs, panel):
    add_pair(desk)
    (uncertainty,) = desk.slicer.util.getNodes("*uncertainty*").values()
    panel.review.ui.syntheticSelector.setCurrentNode(uncertainty)
    desk.process()
    ui = panel.review.ui
    assert not ui.compareButton.enabled and not ui.sideBySideButton.enabled
    assert "is no image" in ui.compareButton.toolTip
    assert not ui.numbersLabel.isHidden() and "is no image" in ui.numbersLabel.text


def test_an_image_without_voxels_cannot_be_looked_at(desk, panel):
    _t1w, real, _synthetic = add_pair(desk)
    ui = panel.review.ui
    ui.sideBySideButton.click()
    desk.process()
    real.SetAndObserveImageData(None)
    desk.process()
    assert not ui.sideBySideButton.enabled and not ui.compareButton.enabled
    assert "no voxels" in ui.numbersLabel.text and panel.review.mode is None
    assert not desk.said


def test_who_works_in_another_module_keeps_the_layout(desk, jobs, panel):
    from panel_cases import synthesis_result

    add_volume(desk, "t1_tse_tra")
    desk.process()
    panel.ui.applyButton.click()
    desk.process()
    desk.open("MRISynthSegment")
    before = layout(desk)
    jobs[0].finish(synthesis_result(jobs[0]))
    panel.run._poll()
    desk.wait(lambda: not panel.busy)
    desk.process()
    assert layout(desk) == before
    assert desk.slicer.util.getNodes("SYNTHETIC*"), "the result is there"
