"""Section Review of module MRISynth: which images are the pair, and what goes with them."""

from __future__ import annotations

import importlib

import pytest

from panel_cases import add_volume, comparison_result, move, synthesis_result, ticked_inputs
from panel_review_cases import add_pair, composite


@pytest.fixture
def panel(desk, jobs):
    return desk.open("MRISynth")


def test_the_real_image_of_the_sequence_is_chosen_by_itself(desk, panel):
    parameters, ui = panel.logic.getParameterNode(), panel.review.ui
    assert not ui.sideBySideButton.enabled and "Choose a real" in ui.sideBySideButton.toolTip
    t1w, real, synthetic = add_pair(desk)
    assert parameters.syntheticVolume is synthetic and parameters.realVolume is real
    assert ui.sideBySideButton.enabled and ui.compareButton.enabled
    ui.realSelector.setCurrentNode(t1w)  # the user wants another one
    desk.process()
    assert parameters.realVolume is t1w
    desk.slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode")
    desk.process()
    assert parameters.realVolume is t1w, "the user's choice is overruled"


def test_a_synthetic_image_that_came_back_without_attributes_is_not_taken_for_real(desk, panel):
    """Slicer's DICOM module and its NIfTI reader keep the name alone."""
    _t1w, real, synthetic = add_pair(desk)
    desk.slicer.mrmlScene.RemoveNode(real)
    add_volume(desk, "501: SYNTHETIC T2w")
    add_volume(desk, "SYNTHETIC T2w uncertainty")
    desk.process()
    parameters = panel.logic.getParameterNode()
    assert parameters.realVolume is None, "a synthetic image stands for the real one"
    assert ticked_inputs(desk, panel) == ["t1_tse_tra"]
    listed = [row.name for row in panel.logic.inputs.rows() if row.synthetic]
    assert listed == [synthetic.GetName(), "501: SYNTHETIC T2w"], "and maps are no images"


def test_after_a_run_the_real_target_is_beside_the_synthetic_image(desk, jobs):

    add_volume(desk, "t1_tse_tra")
    target = add_volume(desk, "t1_tse_tra_km", 3)
    panel = desk.open("MRISynth")
    combo = panel.ui.inputTable.cellWidget(1, 1)
    combo.setCurrentIndex(combo.findText("CE-T1w"))
    desk.process()
    panel.ui.applyButton.click()
    desk.process()
    jobs[0].finish(synthesis_result(jobs[0]))
    panel.run._poll()
    desk.wait(lambda: not panel.busy)
    desk.process()
    assert panel.logic.getParameterNode().realVolume is target
    assert composite(desk, 0).GetBackgroundVolumeID() == target.GetID()
    assert panel.review.mode == "side by side" and not desk.said
    assert not panel.review.widget.collapsed, "what can be done with the result is hidden"


def test_what_is_made_goes_with_its_input_that_is_moved_during_the_run(desk, jobs):
    from MRISynthLib.mrml import volume_from_node

    source = add_volume(desk, "t1_tse_tra")
    panel = desk.open("MRISynth")
    panel.ui.applyButton.click()
    desk.process()
    move(desk, source)
    jobs[0].finish(synthesis_result(jobs[0]))
    desk.process()
    made = panel.logic.getParameterNode().syntheticVolume
    (of_it,) = importlib.import_module("MRISynthLib.review.mrml").uncertainties_of(made)
    for node in (made, of_it):
        assert volume_from_node(node).same_geometry(volume_from_node(source))
    assert "t1_tse_tra was moved during the run" in panel.ui.messageLabel.text and not desk.said


def test_a_refresh_while_the_result_comes_does_not_change_the_pair(desk, panel):
    reference, real, synthetic = add_pair(desk)
    parameters = panel.logic.getParameterNode()
    assert parameters.realVolume is real, "the refresh pairs what it finds"
    panel.review.showPair(reference, synthetic)
    assert parameters.realVolume is real


def test_a_real_image_that_is_loaded_later_is_chosen(desk, jobs):
    _t1w, real, synthetic = add_pair(desk)
    desk.slicer.mrmlScene.RemoveNode(real)
    panel = desk.open("MRISynth")
    desk.process()
    again = add_volume(desk, "t2_tse_tra", 9)
    desk.process()
    parameters = panel.logic.getParameterNode()
    assert parameters.realVolume is again and parameters.syntheticVolume is synthetic


def test_a_real_image_that_is_deleted_and_loaded_again_is_chosen_again(desk, panel):
    t1w, real, _synthetic = add_pair(desk)
    parameters, scene = panel.logic.getParameterNode(), desk.slicer.mrmlScene
    scene.RemoveNode(real)
    desk.process()
    assert parameters.realVolume is None
    again = add_volume(desk, "t2_tse_tra", 9)
    desk.process()
    assert parameters.realVolume is again
    panel.review.ui.realSelector.setCurrentNode(None)  # the user wants none
    desk.process()
    add_volume(desk, "t2_tse_cor")
    desk.process()
    assert parameters.realVolume is None
    panel.review.ui.realSelector.setCurrentNode(again)
    desk.process()
    desk.open("MRISynthSegment")
    for node in desk.slicer.util.getNodes("t2*").values():
        scene.RemoveNode(node)
    desk.open("MRISynth")
    panel.review.ui.realSelector.setCurrentNode(t1w)  # meanwhile
    desk.process()
    add_volume(desk, "t2_tse_tra")
    desk.process()
    assert parameters.realVolume is t1w, "the user's choice is overruled"


@pytest.mark.parametrize("which", ["real", "synthetic"])
def test_what_was_made_of_a_deleted_image_goes_with_it(desk, panel, jobs, which):
    t1w, real, synthetic = add_pair(desk)
    ui, scene = panel.review.ui, desk.slicer.mrmlScene
    ui.checkerboardButton.click()
    ui.differenceButton.click()
    desk.process()
    jobs[0].finish(comparison_result(jobs[0]))
    desk.process()
    ui.uncertaintyButton.click()
    desk.process()

    def names():
        return {node.GetName() for node in desk.slicer.util.getNodesByClass("vtkMRMLVolumeNode")}

    made = {f"SYNTHETIC T2w {kind}" for kind in ("checkerboard", "difference", "uncertainty")}
    assert names() == {"t1_tse_tra", "t2_tse_tra", "SYNTHETIC T2w", *made}
    scene.RemoveNode(t1w)
    desk.process()
    assert made < names()
    desk.open("MRISynthSegment")  # or in the Data module
    scene.RemoveNode({"real": real, "synthetic": synthetic}[which])
    desk.process()
    left = {"SYNTHETIC T2w", "SYNTHETIC T2w uncertainty"} if which == "real" else {"t2_tse_tra"}
    assert names() == left
    desk.open("MRISynth")
    assert panel.review.mode is None and not desk.said
    assert scene.GetNumberOfNodesByClass("vtkMRMLColorLegendDisplayNode") == 0


def test_what_belongs_to_a_copy_too_stays_when_one_of_the_two_is_deleted(desk, panel):
    _t1w, _real, synthetic = add_pair(desk)
    scene = desk.slicer.mrmlScene
    copy = scene.CopyNode(synthetic)  # as with Clone in the Data module
    desk.process()
    scene.RemoveNode(copy)
    desk.process()
    assert scene.GetFirstNodeByName("SYNTHETIC T2w uncertainty") is not None
    assert panel.review.ui.uncertaintyButton.enabled
    scene.RemoveNode(synthetic)
    desk.process()
    assert scene.GetFirstNodeByName("SYNTHETIC T2w uncertainty") is None and not desk.said


def test_a_saved_pair_comes_back_under_the_open_panel(desk, panel, tmp_path):
    _t1w, real, synthetic = add_pair(desk)
    names = real.GetName(), synthetic.GetName()
    path = str(tmp_path / "case.mrb")
    assert desk.slicer.mrmlScene.WriteToMRB(path, None)
    desk.slicer.mrmlScene.Clear(0)
    desk.process()
    assert desk.slicer.mrmlScene.ReadFromMRB(path)
    desk.process()
    ui = panel.review.ui
    shown = ui.realSelector.currentNode(), ui.syntheticSelector.currentNode()
    assert tuple(node.GetName() for node in shown) == names
    assert ui.compareButton.enabled


def test_a_pair_the_wrong_way_round_is_not_shown_but_said(desk, panel):
    t1w, real, synthetic = add_pair(desk)
    ui = panel.review.ui
    ui.realSelector.setCurrentNode(synthetic)
    ui.syntheticSelector.setCurrentNode(real)
    desk.process()
    assert "the other way round" in ui.sideBySideButton.toolTip
    assert not (ui.sideBySideButton.enabled or ui.compareButton.enabled)
    ui.realSelector.setCurrentNode(t1w)
    desk.process()
    assert ui.sideBySideButton.enabled, "two real ones may be compared"


def test_each_run_has_its_own_uncertainty(desk, jobs):
    """Two runs may say the same of themselves, as when an option was changed between them."""
    import numpy as np

    from MRISynthLib.review.mrml import uncertainty_of
    from MRISynthLib.worker import TaskResult

    add_volume(desk, "t1_tse_tra")
    panel = desk.open("MRISynth")
    for run, level in enumerate((0.1, 0.7)):
        panel.ui.applyButton.click()
        image, (name, doubt) = synthesis_result(jobs[run]).volumes
        doubt = doubt.replace(voxels=np.full(doubt.shape, level, np.float32))
        jobs[run].finish(TaskResult([image, (name, doubt)], {"device": "cpu"}))
        desk.wait(lambda: not panel.busy)
        desk.process()
        shown = uncertainty_of(panel.logic.getParameterNode().syntheticVolume)
        assert desk.slicer.util.arrayFromVolume(shown).max() == np.float32(level)
