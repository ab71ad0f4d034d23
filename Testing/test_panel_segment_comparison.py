"""The panel of module MRISynthSegment: contours are compared with others."""

from __future__ import annotations

import types

import numpy as np
import pytest

from panel_cases import add_volume, cells, move, put_below_patient
from panel_segment_cases import STEM, TUMOUR, section, shown_node


def measured(job):
    """What the worker finds, computed here."""
    from MRISynthLib.progress import Callbacks
    from MRISynthSegmentLib.contour_tasks import HANDLERS

    return HANDLERS[job.task](job.parameters, job.volumes, Callbacks(), None)


def test_two_segmentations_are_compared_in_figures(desk, jobs, two, tmp_path):
    ui = section(two, "Comparison").ui
    ui.compareButton.click()
    desk.process()
    job = jobs[-1]
    assert job.task == "contour_comparison" and not ui.comparisonCancelButton.isHidden()
    job.finish(measured(job))
    desk.process()
    lines = cells(ui.comparisonTable)
    assert [line[0] for line in lines] == ["GTVp", "Brainstem"]
    assert float(lines[0][1]) == pytest.approx(0.8) and float(lines[1][1]) == 1
    desk.qt.QFileDialog.answer = str(tmp_path / "figures")
    ui.saveTableButton.click()
    text = (tmp_path / "figures.csv").read_text(encoding="utf-8")
    assert text.startswith("structure,Dice") and "GTVp,0.800" in text
    path = str(tmp_path / "case.mrb")
    assert desk.slicer.mrmlScene.WriteToMRB(path)
    desk.slicer.mrmlScene.Clear(0)
    assert desk.slicer.mrmlScene.ReadFromMRB(path)
    desk.process()
    again = section(desk.open("MRISynthSegment"), "Comparison").ui.comparisonTable
    assert cells(again) == lines and not desk.said


def test_figures_say_whose_they_are_and_when_that_is_over(desk, jobs, two):
    from MRISynthSegmentLib.labelmaps.mrml import oriented_image
    from MRISynthSegmentLib.mrml import correct_structures
    from MRISynthSegmentLib.placed.mrml import grid_of

    ui, parameters = section(two, "Comparison").ui, two.logic.getParameterNode()
    label, (first, second) = ui.comparedLabel, (parameters.segmentation, parameters.compareWith)
    assert label.isHidden()

    def compare():
        ui.compareButton.click()
        desk.process()
        jobs[-1].finish(measured(jobs[-1]))
        desk.process()

    compare()
    current = f"{first.GetName()} (first) against {second.GetName()} (second):"
    assert label.text == current and not label.styleSheet
    ui.outlinesCheckBox.checked = True
    desk.process()
    ui.outlinesCheckBox.checked = False
    desk.process()
    assert label.text == current, "nothing was edited"
    for edited in (first, second):
        correct_structures(edited, {"GTVp": STEM}, grid_of(first))
        desk.process()
        assert "as they were" in label.text and label.styleSheet
        compare()
        assert label.text == current
    logic = desk.slicer.vtkSlicerSegmentationsModuleLogic
    painted = oriented_image(TUMOUR, grid_of(first))  # as the Segment Editor does
    assert logic.SetBinaryLabelmapToSegment(painted, second, "GTVp", logic.MODE_REPLACE)
    desk.process()
    assert "as they were" in label.text
    compare()
    parameters.compareWith = desk.slicer.mrmlScene.AddNewNodeByClass(
        "vtkMRMLSegmentationNode", "third"
    )
    desk.process()
    assert "as they were" in label.text and second.GetName() in label.text


def test_contours_of_two_patients_are_not_compared(desk, jobs, two):
    ui, parameters = section(two, "Comparison").ui, two.logic.getParameterNode()
    assert ui.compareButton.enabled
    first, second = parameters.segmentation, parameters.compareWith
    mine, theirs = two.logic.referenceOf(first), add_volume(desk, "theirs")
    second.SetReferenceImageGeometryParameterFromVolumeNode(theirs)
    put_below_patient(desk, "A", mine, patient_id="A")
    put_below_patient(desk, "B", theirs, patient_id="B")
    desk.process()
    assert not ui.compareButton.enabled
    assert "of another patient than" in ui.comparedLabel.text and not ui.comparedLabel.isHidden()
    assert ui.compareButton.toolTip in ui.comparedLabel.text


def test_figures_of_a_saved_scene_are_over_when_contours_were_edited(desk, jobs, two, tmp_path):
    from MRISynthSegmentLib.mrml import correct_structures
    from MRISynthSegmentLib.placed.mrml import grid_of

    def compared():
        return section(desk.open("MRISynthSegment"), "Comparison").ui.comparedLabel.text

    section(two, "Comparison").ui.compareButton.click()
    desk.process()
    jobs[-1].finish(measured(jobs[-1]))
    desk.process()
    current = compared()
    assert "as they were" not in current
    scene, paths = (
        desk.slicer.mrmlScene,
        [str(tmp_path / f"{name}.mrb") for name in ("as", "after")],
    )
    assert scene.WriteToMRB(paths[0])
    first = shown_node(two)
    correct_structures(first, {"GTVp": STEM}, grid_of(first))
    desk.process()
    assert scene.WriteToMRB(paths[1])
    for path, over in zip(paths, (False, True), strict=True):
        scene.Clear(0)
        assert scene.ReadFromMRB(path)
        desk.process()
        assert ("as they were" in compared()) == over
    scene.Clear(0)
    assert scene.ReadFromMRB(paths[0])
    desk.process()
    assert compared() == current
    first = shown_node(two)
    correct_structures(first, {"GTVp": STEM}, grid_of(first))
    desk.process()
    assert "as they were" in compared()
    first.SetName(first.GetName()[:-1])
    desk.process()
    assert "as they were" in compared(), "another name that begins so"


def test_what_lies_outside_the_image_is_not_left_out_without_a_word(desk, jobs, two):
    from MRISynthSegmentLib.mrml import segmentation_node_from
    from MRISynthSegmentLib.placed.mrml import grid_of
    from MRISynthSegmentLib.segmentation import Segmentation

    grid, parameters = grid_of(shown_node(two)), two.logic.getParameterNode()
    longer = grid.replace(voxels=np.zeros((12, *grid.shape[1:]), np.uint8))
    mask = np.zeros(longer.shape, bool)
    mask[1:11, 3:8, 2:7] = True  # the tumour, and seven slices more
    other = Segmentation({"GTVp": mask, "Brainstem": mask & (longer.voxels > 0)}, longer)
    parameters.compareWith = segmentation_node_from(other, name="longer")
    desk.process()
    ui = section(two, "Comparison").ui
    ui.compareButton.click()
    desk.process()
    jobs[-1].finish(measured(jobs[-1]))
    desk.process()
    assert "GTVp: part of it lies outside the image" in ui.comparisonLabel.text
    assert "Brainstem: part" not in ui.comparisonLabel.text


def test_both_outlines_and_the_structure_that_is_looked_at(desk, jobs, two):
    from MRISynthSegmentLib.shown.mrml import outlined

    ui, parameters = section(two, "Comparison").ui, two.logic.getParameterNode()
    first, second = parameters.segmentation, parameters.compareWith
    ui.compareButton.click()
    desk.process()
    jobs[-1].finish(measured(jobs[-1]))
    ui.outlinesCheckBox.checked = True
    desk.process()
    assert outlined(first) and outlined(second)
    assert first.GetName() in ui.legendLabel.text and not ui.legendLabel.isHidden()
    ui.comparisonTable.cellClicked(1, 0)
    desk.process()
    assert first.GetDisplayNode().GetVisibleSegmentIDs() == ("Brainstem",)
    ui.comparisonTable.cellClicked(1, 0)
    desk.process()
    assert len(first.GetDisplayNode().GetVisibleSegmentIDs()) == 2, "all again"
    third = desk.slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "third")
    parameters.compareWith = third
    desk.process()
    assert not outlined(second), "it is not compared any more"
    segments = second.GetSegmentation()
    name = segments.GetNthSegment(0).GetName()
    segments.GetNthSegment(1).SetName(name)
    parameters.compareWith = second
    desk.process()
    assert not desk.said and "two segments" in ui.legendLabel.text
    assert not outlined(first) and not outlined(second)
    ui.outlinesCheckBox.checked = False
    desk.process()
    assert not outlined(first)
    assert set(first.GetDisplayNode().GetVisibleSegmentIDs()) == {"GTVp", "Brainstem"}


def test_contours_of_others_are_loaded_from_a_file(desk, jobs, drawn, tmp_path):
    from MRISynthLib.errors import InputError
    from MRISynthSegmentLib.io import save_segmentation
    from MRISynthSegmentLib.placed.mrml import grid_of
    from MRISynthSegmentLib.segmentation import Segmentation

    ui = section(drawn, "Comparison").ui
    path = tmp_path / "theirs.seg.nrrd"
    save_segmentation(Segmentation({"GTVp": STEM}, grid_of(shown_node(drawn))), path)
    desk.qt.QFileDialog.answer = ""
    ui.loadButton.click()
    assert len(jobs) == 1, "nothing was chosen"
    desk.qt.QFileDialog.answer = str(path)
    ui.loadButton.click()
    job = jobs[-1]
    assert job.task == "contours"
    job.finish(measured(job))
    desk.process()
    other = drawn.logic.getParameterNode().compareWith
    assert other.GetName() == "theirs.seg.nrrd" and ui.compareButton.enabled
    ui.loadButton.click()
    jobs[-1].finish(InputError("theirs.seg.nrrd is damaged; export it again."))
    desk.process()
    assert ui.comparisonLabel.text == "theirs.seg.nrrd is damaged; export it again."


def test_contours_that_did_not_move_with_the_image_say_so(desk, jobs, drawn, tmp_path):
    from MRISynthSegmentLib.io import save_segmentation
    from MRISynthSegmentLib.placed.mrml import grid_of
    from MRISynthSegmentLib.segmentation import Segmentation

    path = tmp_path / "theirs.seg.nrrd"
    save_segmentation(Segmentation({"GTVp": TUMOUR}, grid_of(shown_node(drawn))), path)
    move(desk, desk.slicer.util.getNode("t1_tse_tra"), (4.0, 0.0, 0.0))
    ui = section(drawn, "Comparison").ui
    desk.qt.QFileDialog.answer = str(path)
    for button in (ui.loadButton, ui.compareButton):
        button.click()
        desk.process()
        jobs[-1].finish(measured(jobs[-1]))
        desk.process()
        assert "t1_tse_tra lies under a transform" in ui.comparisonLabel.text


def test_a_name_that_became_double_is_said_when_its_figures_are_clicked(desk, jobs, two):
    ui = section(two, "Comparison").ui
    ui.compareButton.click()
    desk.process()
    jobs[-1].finish(measured(jobs[-1]))
    desk.process()
    shown_node(two).GetSegmentation().GetSegment("GTVp").SetName("Brainstem")
    desk.process()
    ui.comparisonTable.cellClicked(0, 0)
    desk.process()
    assert desk.said and "two segments named Brainstem" in desk.said[-1]


@pytest.mark.parametrize("foreign", ["compareRight", "segmentation"])
def test_contours_and_images_of_two_patients_are_not_shown_together(desk, jobs, drawn, foreign):
    mine, theirs = desk.slicer.util.getNode("t1_tse_tra"), add_volume(desk, "theirs")
    put_below_patient(desk, "A", mine, patient_id="A")
    put_below_patient(desk, "B", theirs, patient_id="B")
    parameters, ui = drawn.logic.getParameterNode(), section(drawn, "Comparison").ui
    right = mine if foreign == "segmentation" else theirs
    parameters.compareLeft, parameters.compareRight = mine, right
    if foreign == "segmentation":
        shown_node(drawn).SetReferenceImageGeometryParameterFromVolumeNode(theirs)
    desk.process()
    ui.sideBySideButton.click()
    desk.process()
    assert "are of two patients" in desk.said[-1]
    composite = desk.headless.slice_logic("MRISynth1").GetSliceCompositeNode()
    assert composite.GetBackgroundVolumeID() is None


def test_contours_of_another_frame_of_reference_can_be_told(desk, jobs, drawn, monkeypatch):
    from MRISynthLib.errors import InputError

    database = types.SimpleNamespace(
        isOpen=True,
        fileForInstance=lambda uid: "",
        instanceValue=lambda uid, tag: {"0020,0052": "1.2.3 "}.get(tag, ""),
    )
    monkeypatch.setattr(desk.slicer, "dicomDatabase", database, raising=False)
    image = desk.slicer.util.getNode("t1_tse_tra")
    image.SetAttribute("DICOM.instanceUIDs", "1.9")

    def frame():
        section(drawn, "Comparison").ui.loadButton.click()
        (grid,) = jobs[-1].volumes
        jobs[-1].finish(InputError("Not today."))
        desk.process()
        return grid.acquisition.get("FrameOfReferenceUID")

    desk.qt.QFileDialog.answer = "theirs.dcm"
    assert frame() == "1.2.3"
    transform = move(desk, image)
    shown_node(drawn).SetAndObserveTransformNodeID(transform.GetID())
    assert frame() is None, "it was moved out of its frame"


def test_contours_are_seen_on_the_real_and_the_synthetic_image(desk, jobs, drawn):
    from MRISynthLib.mrml import node_from_volume
    from MRISynthSegmentLib.placed.mrml import grid_of
    from panel_cases import synthetic

    real = grid_of(shown_node(drawn))
    made = node_from_volume(synthetic(real, "T1w"))
    desk.process()
    ui, parameters = section(drawn, "Comparison").ui, drawn.logic.getParameterNode()
    assert parameters.compareLeft.GetName() == "t1_tse_tra" and parameters.compareRight is made
    ui.sideBySideButton.click()
    desk.process()
    shown = [
        desk.headless.slice_logic(f"MRISynth{n}").GetSliceCompositeNode().GetBackgroundVolumeID()
        for n in (1, 2)
    ]
    assert shown == [parameters.compareLeft.GetID(), made.GetID()]
    links = desk.headless.slice_logic("MRISynth1").GetSliceCompositeNode().GetLinkedControl()
    assert links and not desk.said


def test_the_panel_is_looked_at(desk, jobs, two, tmp_path):
    """No text is cut off at the width that Slicer gives a panel."""
    for each in two.sections:
        each.widget.collapsed = False
    desk.process()
    assert desk.screenshot(two, tmp_path / "panel.png").stat().st_size > 10_000
