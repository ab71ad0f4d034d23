"""The panel of module MRISynthSegment: what a click does, and what is seen of it."""

from __future__ import annotations

import types

import numpy as np
import pytest

from panel_cases import add_volume

SHAPE = (5, 12, 10)


def mask_of(*sides, shape=SHAPE):
    mask = np.zeros(shape, bool)
    mask[tuple(slice(*side) for side in sides)] = True
    return mask


TUMOUR = mask_of((1, 4), (3, 8), (2, 7))
STEM = mask_of((1, 4), (9, 11), (2, 7))


def finished(job, doubt=None, **masks):
    """The worker's answer to a request for structures."""
    from MRISynthLib.worker import TaskResult

    reference = job.volumes[0]
    made = [(name, reference.with_voxels(mask, name=name)) for name, mask in masks.items()]
    inputs = [{"sequence": v.sequence, "synthetic": v.is_synthetic} for v in job.volumes]
    provenance = {
        "synthetic": any(each["synthetic"] for each in inputs),
        "kind": "segmentation",
        "inputs": inputs,
        "bundle": "G",
        "bundle_version": "1",
    }
    info = {"doubt": doubt or {}, "provenance": provenance, "device": "cpu"}
    job.finish(TaskResult(made, info))


def apply(desk, panel, jobs, doubt=None, **masks):
    """Press Apply, and let the worker find these."""
    panel.ui.applyButton.click()
    desk.process()
    finished(jobs[-1], doubt, **masks)
    desk.process()
    return jobs[-1]


def section(panel, name):
    return next(each for each in panel.sections if type(each).__name__ == f"{name}Section")


@pytest.fixture
def panel(desk, jobs):
    add_volume(desk, "t1_tse_tra")
    return desk.open("MRISynthSegment")


@pytest.fixture
def drawn(desk, jobs, panel):
    """The panel with a segmentation of two structures, the tumour in doubt."""
    apply(desk, panel, jobs, {"GTVp": 0.4, "Brainstem": 0.05}, GTVp=TUMOUR, Brainstem=STEM)
    return panel


def shown_node(panel):
    return panel.logic.getParameterNode().segmentation


def masks_in(panel):
    from MRISynthSegmentLib.mrml import segmentation_from_node
    from MRISynthSegmentLib.shown.mrml import grid_of

    node = shown_node(panel)
    return segmentation_from_node(node, grid_of(node)).masks


# ------------------------------------------------------------------------------ structures


def items_of(panel):
    tree = section(panel, "Structure").ui.structureTree
    groups = [tree.topLevelItem(index) for index in range(tree.topLevelItemCount)]
    return {
        group.text(0): [group.child(index) for index in range(group.childCount())]
        for group in groups
    }, groups


def test_structures_are_ticked_singly_by_group_by_preset_and_found_by_name(desk, jobs, panel):
    qt, structures = desk.qt, section(panel, "Structure")
    items, groups = items_of(panel)
    assert list(items) == ["Targets", "Brain"]
    assert structures.ticked == ("GTVp", "Brainstem")
    items["Targets"][0].setCheckState(0, qt.Qt.Unchecked)
    desk.process()
    assert structures.ticked == ("Brainstem",)
    assert groups[0].checkState(0) == qt.Qt.Unchecked
    groups[0].setCheckState(0, qt.Qt.Checked)
    groups[1].setCheckState(0, qt.Qt.Unchecked)
    desk.process()
    assert structures.ticked == ("GTVp",)
    assert structures.ui.structureCountLabel.text == "1 of 2 ticked"
    structures.ui.noneButton.click()
    desk.process()
    assert not structures.ticked and "Tick at least one" in panel.ui.applyButton.toolTip
    structures.ui.targetsButton.click()
    structures.ui.searchLineEdit.text = "stem"
    desk.process()
    items, groups = items_of(panel)
    assert groups[0].isHidden() and not items["Brain"][0].isHidden()
    assert structures.ticked == ("GTVp",), "a search ticks nothing"
    panel.ui.applyButton.click()
    assert jobs[0].parameters["structures"] == ["GTVp"]


def test_options_reach_the_worker_and_come_back_with_the_scene(desk, jobs, panel):
    options = section(panel, "Option").ui
    assert options.modelComboBox.currentText == "G 1"
    assert "CC-BY-4.0" in options.cardBrowser.plainText
    options.cleanCheckBox.checked = False
    options.flipsCheckBox.checked = False
    options.registerCheckBox.checked = False
    desk.process()
    panel.ui.applyButton.click()
    wanted = {"clean": False, "flips": False, "register": False, "device": "auto"}
    assert wanted.items() <= jobs[0].parameters.items()
    again = section(desk.open("MRISynthSegment", fresh=True), "Option").ui
    assert not again.cleanCheckBox.checked and not again.flipsCheckBox.checked


# ---------------------------------------------------------------------------------- result


def cells(table):
    return [
        [table.item(row, column).text() for column in range(table.columnCount)]
        for row in range(table.rowCount)
    ]


def test_the_result_is_measured_and_says_how_sure_it_is(desk, jobs, drawn):
    ui = section(drawn, "Result").ui
    assert cells(ui.resultTable) == [
        ["", "Primary gross tumour volume", "1.2 ml", "check, 40 %"],  # 75 voxels of 16 mm3
        ["", "Brainstem", "0.5 ml", "sure, 5 %"],
    ]
    assert ui.segmentationSelector.currentNode().GetName() == "Contours on T1w"
    assert ui.originLabel.text == "Drawn on T1w by G 1."
    assert "SNOMED CT" in ui.resultTable.item(1, 1).toolTip()
    assert not desk.said


def test_doubt_is_kept_with_the_scene(desk, jobs, drawn, tmp_path):
    path = str(tmp_path / "case.mrb")
    assert desk.slicer.mrmlScene.WriteToMRB(path)
    desk.slicer.mrmlScene.Clear(0)
    desk.process()
    assert section(drawn, "Result").ui.resultTable.rowCount == 0
    assert desk.slicer.mrmlScene.ReadFromMRB(path)
    desk.process()
    table = section(desk.open("MRISynthSegment"), "Result").ui.resultTable
    assert [line[3] for line in cells(table)] == ["check, 40 %", "sure, 5 %"]


def test_a_structure_is_hidden_by_its_box_and_seen_by_a_click(desk, jobs, drawn):
    table, node = section(drawn, "Result").ui.resultTable, shown_node(drawn)
    view = desk.headless.slice_logic("Red").GetSliceNode()
    table.item(1, 0).setCheckState(desk.qt.Qt.Unchecked)
    desk.process()
    assert node.GetDisplayNode().GetVisibleSegmentIDs() == ("GTVp",)
    section(drawn, "Result").ui.showAllButton.click()
    desk.process()
    assert table.item(1, 0).checkState() == desk.qt.Qt.Checked
    node.GetDisplayNode().SetSegmentVisibility("GTVp", False)  # in another module
    desk.process()
    assert table.item(0, 0).checkState() == desk.qt.Qt.Unchecked
    view.GetSliceToRAS().SetElement(2, 3, 500.0)
    table.cellClicked(1, 1)
    assert view.GetSliceToRAS().GetElement(2, 3) == pytest.approx(8.0)  # slice 2 of 4 mm
    desk.process()
    assert section(drawn, "Correction").structure == "Brainstem"


def test_how_it_is_shown_follows_the_panel(desk, jobs, drawn):
    ui, display = section(drawn, "Result").ui, shown_node(drawn).GetDisplayNode()
    ui.opacitySlider.value = 0.5
    ui.outlineCheckBox.checked = False
    ui.show3DCheckBox.checked = False
    desk.process()
    assert display.GetOpacity2DFill() == 0.5
    assert not display.GetVisibility2DOutline() and not display.GetVisibility3D()


def edit(panel, name, mask):
    """As the Segment Editor does."""
    from MRISynthSegmentLib.mrml import correct_structures
    from MRISynthSegmentLib.shown.mrml import grid_of

    node = shown_node(panel)
    correct_structures(node, {name: mask}, grid_of(node))


def test_what_was_edited_survives_a_run_of_everything(desk, jobs, drawn):
    node, mine = shown_node(drawn), TUMOUR | mask_of((0, 1), (0, 3), (0, 3))
    section(drawn, "Result").ui.editButton.click()
    assert desk.opened == ["SegmentEditor"]
    assert desk.segment_editor.segmentation is node
    assert desk.segment_editor.image.GetName() == "t1_tse_tra"
    edit(drawn, "GTVp", mine)
    edit(drawn, "Mine", STEM)
    desk.process()
    table = section(drawn, "Result").ui.resultTable
    assert [line[3] for line in cells(table)] == ["edited by hand", "sure, 5 %", "edited by hand"]
    moved = np.roll(STEM, 1, axis=0)
    apply(desk, drawn, jobs, {"Brainstem": 0.2}, GTVp=STEM, Brainstem=moved)
    found = masks_in(drawn)
    assert shown_node(drawn) is node, "no second segmentation was made"
    assert np.array_equal(found["GTVp"], mine) and np.array_equal(found["Mine"], STEM)
    assert np.array_equal(found["Brainstem"], moved)
    assert "Kept as you edited them: Primary gross tumour volume." in drawn.ui.messageLabel.text


def test_a_run_of_some_structures_leaves_the_others(desk, jobs, drawn):
    section(drawn, "Structure").ui.targetsButton.click()
    desk.process()
    larger = TUMOUR | mask_of((1, 4), (3, 8), (7, 9))
    job = apply(desk, drawn, jobs, GTVp=larger)
    assert job.parameters["structures"] == ["GTVp"]
    found = masks_in(drawn)
    assert np.array_equal(found["GTVp"], larger) and np.array_equal(found["Brainstem"], STEM)


def test_the_user_can_have_edits_drawn_anew_or_everything_in_a_new_segmentation(desk, jobs, drawn):
    structures, first = section(drawn, "Structure").ui, shown_node(drawn)
    edit(drawn, "GTVp", STEM)
    structures.replaceEditedCheckBox.checked = True
    desk.process()
    apply(desk, drawn, jobs, GTVp=TUMOUR)
    assert np.array_equal(masks_in(drawn)["GTVp"], TUMOUR)
    structures.newSegmentationCheckBox.checked = True
    desk.process()
    apply(desk, drawn, jobs, GTVp=STEM)
    assert shown_node(drawn) is not first and list(masks_in(drawn)) == ["GTVp"]
    assert not structures.newSegmentationCheckBox.checked


def test_a_segmentation_that_went_meanwhile_is_made_again(desk, jobs, drawn):
    drawn.ui.applyButton.click()
    desk.process()
    desk.slicer.mrmlScene.RemoveNode(shown_node(drawn))
    finished(jobs[-1], GTVp=TUMOUR)
    desk.process()
    assert list(masks_in(drawn)) == ["GTVp"] and not desk.said


# ---------------------------------------------------------------------------------- clicks


def click(desk, panel, k, j, i):
    """In a slice view, with the mouse in place mode."""
    from MRISynthSegmentLib.clicked.mrml import ClickPoints, is_placing
    from MRISynthSegmentLib.shown.mrml import grid_of

    points = ClickPoints(shown_node(panel))
    assert is_placing(points), "a click would turn the view"
    x, y, z, _ = grid_of(shown_node(panel)).index_to_world @ (i, j, k, 1)
    points.node.AddControlPointWorld(-x, -y, z)
    desk.process()


def answer(desk, job, mask):
    from MRISynthLib.worker import TaskResult

    name = job.parameters["structure"]
    job.finish(TaskResult([(name, job.volumes[0].with_voxels(mask, name=name))]))
    desk.process()


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


# ------------------------------------------------------------------------------- comparing


@pytest.fixture
def two(desk, jobs, drawn):
    """A second segmentation beside the first, and that one chosen to compare with."""
    first = shown_node(drawn)
    section(drawn, "Structure").ui.newSegmentationCheckBox.checked = True
    desk.process()
    apply(desk, drawn, jobs, GTVp=np.roll(TUMOUR, 1, axis=2), Brainstem=STEM)
    parameters = drawn.logic.getParameterNode()
    parameters.compareWith, parameters.segmentation = shown_node(drawn), first
    desk.process()
    return drawn


def measured(job):
    """What the worker finds, computed here."""
    from MRISynthLib.progress import Callbacks
    from MRISynthSegmentLib.contour_tasks import HANDLERS

    return HANDLERS[job.task](job.parameters, job.volumes, Callbacks(), None)


def test_two_segmentations_are_compared_in_figures(desk, jobs, two, tmp_path):
    ui = section(two, "Comparison").ui
    ui.compareButton.click()
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


def test_both_outlines_and_the_structure_that_is_looked_at(desk, jobs, two):
    from MRISynthSegmentLib.shown.mrml import outlined

    ui, parameters = section(two, "Comparison").ui, two.logic.getParameterNode()
    first, second = parameters.segmentation, parameters.compareWith
    ui.compareButton.click()
    jobs[-1].finish(measured(jobs[-1]))
    ui.outlinesCheckBox.checked = True
    desk.process()
    assert outlined(first) and outlined(second)
    assert first.GetName() in ui.legendLabel.text and not ui.legendLabel.isHidden()
    ui.comparisonTable.cellClicked(1, 0)
    desk.process()
    assert first.GetDisplayNode().GetVisibleSegmentIDs() == ("Brainstem",)
    third = desk.slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "third")
    parameters.compareWith = third
    desk.process()
    assert not outlined(second), "it is not compared any more"
    ui.outlinesCheckBox.checked = False
    desk.process()
    assert not outlined(first)
    assert set(first.GetDisplayNode().GetVisibleSegmentIDs()) == {"GTVp", "Brainstem"}


def test_contours_of_others_are_loaded_from_a_file(desk, jobs, drawn, tmp_path):
    from MRISynthLib.errors import InputError
    from MRISynthSegmentLib.io import save_segmentation
    from MRISynthSegmentLib.segmentation import Segmentation
    from MRISynthSegmentLib.shown.mrml import grid_of

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


def test_contours_are_seen_on_the_real_and_the_synthetic_image(desk, jobs, drawn):
    from MRISynthLib.mrml import node_from_volume
    from MRISynthSegmentLib.shown.mrml import grid_of
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


# ------------------------------------------------------------------------------- exporting


def choose(desk, panel, name):
    from MRISynthSegmentLib import exports

    ui = section(panel, "Export").ui
    ui.formatComboBox.setCurrentIndex([each.name for each in exports.FORMATS].index(name))
    desk.process()
    return ui


def test_contours_are_exported_on_the_series_in_the_database(
    desk, jobs, drawn, tmp_path, monkeypatch
):
    import sys

    files = {"1.2.3": "/db/a.dcm", "1.2.4": "/db/b.dcm"}
    database = types.SimpleNamespace(
        isOpen=True, fileForInstance=files.get, instanceValue=lambda *_: ""
    )
    monkeypatch.setattr(desk.slicer, "dicomDatabase", database, raising=False)
    added = []

    def take(folder, copyFiles):  # noqa: N803
        import os

        added.append(sorted(os.listdir(folder)))
        return True

    library = types.ModuleType("DICOMLib")
    library.DICOMUtils = types.SimpleNamespace(importDicom=take)
    monkeypatch.setitem(sys.modules, "DICOMLib", library)
    ui = section(drawn, "Export").ui
    desk.process()
    assert not ui.exportButton.enabled and "folder of the series" in ui.exportButton.toolTip
    image = desk.slicer.util.getNode("t1_tse_tra")
    image.SetAttribute("DICOM.instanceUIDs", "1.2.3 1.2.4")
    drawn.scheduleRefresh()
    desk.process()
    assert "2 files in Slicer's DICOM database" in ui.seriesLabel.text
    assert ui.exportButton.enabled, ui.exportButton.toolTip
    ui.exportButton.click()
    job = jobs[-1]
    assert job.task == "export" and job.parameters["references"] == list(files.values())
    assert job.parameters["types"] == {"GTVp": "AUTOMATIC", "Brainstem": "AUTOMATIC"}
    from pathlib import Path

    from MRISynthLib.worker import TaskResult

    target = Path(job.parameters["path"])
    assert target.name == "Contours_on_T1w.rtstruct.dcm"
    target.write_bytes(b"DICM")
    job.finish(TaskResult([], {"files": [str(target)], "warnings": ["Look at it."]}))
    desk.process()
    assert added == [["Contours_on_T1w.rtstruct.dcm"]] and not target.parent.exists()
    assert ui.exportLabel.text == "Written: Slicer's DICOM database\nLook at it."


def test_what_a_format_needs_is_asked_for_and_refusals_are_said(desk, jobs, drawn, tmp_path):
    from MRISynthLib.errors import InputError

    ui = choose(desk, drawn, "rtstruct")
    assert not ui.referencePathLineEdit.isHidden() and ui.imageSelector.isHidden()
    assert not ui.databaseCheckBox.enabled, "there is no database here"
    ui.referencePathLineEdit.currentPath = str(tmp_path)
    desk.process()
    assert ui.exportButton.toolTip == "Choose a folder to write into."
    ui.folderPathLineEdit.currentPath = str(tmp_path)
    desk.process()
    ui.exportButton.click()
    jobs[-1].finish(InputError("The series 't1' lacks 1 of 5 slices; get it complete."))
    desk.process()
    assert ui.exportLabel.text == "The series 't1' lacks 1 of 5 slices; get it complete."
    assert ui.exportButton.enabled and not desk.said
    ui.exportButton.click()
    ui.exportCancelButton.click()
    assert jobs[-1].cancelled


def test_a_synthetic_image_asks_whose_it_is(desk, jobs, drawn, tmp_path):
    from MRISynthLib.mrml import node_from_volume
    from MRISynthSegmentLib.shown.mrml import grid_of
    from panel_cases import synthetic

    ui, parameters = choose(desk, drawn, "dicom-mr"), drawn.logic.getParameterNode()
    assert ui.exportButton.toolTip == "Choose the synthetic image to write."
    parameters.exportImage = desk.slicer.util.getNode("t1_tse_tra")
    parameters.exportFolder = str(tmp_path)
    desk.process()
    assert "is a real image" in ui.exportButton.toolTip
    parameters.exportImage = node_from_volume(synthetic(grid_of(shown_node(drawn)), "CE-T1w"))
    desk.process()
    assert "does not say whose it is" in ui.exportLabel.text
    ui.patientIDLineEdit.text, ui.patientNameLineEdit.text = "P7", "Doe^John"
    ui.burnInCheckBox.checked = True
    desk.process()
    ui.exportButton.click()
    asked = jobs[-1].parameters
    assert asked["study"] == {"patient_id": "P7", "patient_name": "Doe^John"} and asked["burn_in"]
    from MRISynthLib.errors import Cancelled

    jobs[-1].finish(Cancelled())
    desk.process()
    ui.nobodyCheckBox.checked = True
    desk.process()
    ui.exportButton.click()
    assert jobs[-1].parameters["study"] == {}
    assert "P7" not in str(desk.slicer.mrmlScene.GetSceneXMLString() or ""), "kept nowhere"


def test_a_slicer_segmentation_is_saved_whole_or_not_at_all(
    desk, jobs, drawn, tmp_path, monkeypatch
):
    from pathlib import Path

    def export(node, path, properties):
        Path(path).write_text("half", encoding="utf-8")
        return export.works

    monkeypatch.setattr(desk.slicer.util, "exportNode", export)
    drawn.logic.getParameterNode().exportFolder = str(tmp_path)
    ui = choose(desk, drawn, "seg.nrrd")
    export.works = False
    ui.exportButton.click()
    assert not list(tmp_path.iterdir()) and "could not be written" in desk.said[0]
    export.works = True
    for name in ("Contours_on_T1w.seg.nrrd", "Contours_on_T1w_2.seg.nrrd"):
        ui.exportButton.click()
        assert (tmp_path / name).is_file() and name in ui.exportLabel.text


def test_the_panel_is_looked_at(desk, jobs, two, tmp_path):
    """No text is cut off at the width that Slicer gives a panel."""
    for each in two.sections:
        each.widget.collapsed = False
    desk.process()
    assert desk.screenshot(two, tmp_path / "panel.png").stat().st_size > 10_000
