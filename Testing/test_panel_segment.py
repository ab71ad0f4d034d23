"""The panel of module MRISynthSegment: structures, the result, and what a new run does to it."""

from __future__ import annotations

import importlib
import types
from pathlib import Path

import numpy as np
import pytest

from fakes import write_test_bundle
from MRISynthLib.worker import TaskResult
from panel_cases import MODELS, add_volume, cells, put_below_patient, tick_input, ticked_inputs
from panel_segment_cases import (
    STEM,
    TUMOUR,
    apply,
    finished,
    mask_of,
    masks_in,
    open_panel,
    section,
    shown_node,
)


@pytest.fixture
def panel(desk, jobs):
    return open_panel(desk)


# ------------------------------------------------------------------------------------- structures


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


def test_the_box_of_a_group_ticks_only_what_a_search_leaves_of_it(desk, jobs, monkeypatch):
    three = ("GTVp", "Brainstem", "Hippocampus_L")
    monkeypatch.setattr(MODELS["segmentation"], "structures", three)
    panel = open_panel(desk)
    qt, structures = desk.qt, section(panel, "Structure")
    structures.ui.noneButton.click()
    structures.ui.searchLineEdit.text = "hippo"
    desk.process()
    _, groups = items_of(panel)
    groups[1].setCheckState(0, qt.Qt.Checked)
    desk.process()
    assert structures.ticked == ("Hippocampus_L",) and groups[1].checkState(0) == qt.Qt.Checked
    structures.ui.searchLineEdit.text = ""
    desk.process()
    assert groups[1].checkState(0) == qt.Qt.PartiallyChecked


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


def test_a_model_is_imported_chosen_and_removed(desk, tmp_path, monkeypatch):
    monkeypatch.setenv("MRISYNTH_IMPORTED", str(tmp_path / "imported"))
    write_test_bundle(tmp_path / "mine", "segmentation", name="Mine")
    write_test_bundle(tmp_path / "other", name="Other")
    panel = desk.open("MRISynthSegment")
    ui, parameters = section(panel, "Option").ui, panel.logic.getParameterNode()
    shipped = panel.logic.model().name
    assert not ui.removeModelButton.enabled and "stays" in ui.removeModelButton.toolTip
    desk.qt.QFileDialog.answer = str(tmp_path / "other")
    ui.importModelButton.click()
    assert desk.said == ["The model Other is for synthesis, not for segmentation."]
    desk.qt.QFileDialog.answer = str(tmp_path / "mine")
    ui.importModelButton.click()
    desk.process()
    assert parameters.model == "Mine" == ui.modelComboBox.currentData
    assert "Imported Mine." in panel.ui.messageLabel.text
    ui.removeModelButton.click()
    desk.process()
    assert ui.modelComboBox.currentData == shipped and ui.modelComboBox.findData("Mine") < 0
    assert not list((tmp_path / "imported").iterdir())


# ----------------------------------------------------------------------------------------- checks


def test_the_inputs_are_checked_in_words_and_what_is_serious_is_in_the_way(desk, jobs, panel):
    from MRISynthLib import worker

    asked = worker.WorkerClient.background
    add_volume(desk, "t2_tse_tra", 1)
    desk.process()
    table = panel.ui.inputTable
    assert table.horizontalHeaderItem(2).text() == "Checks"
    assert [table.item(row, 2).text() for row in (0, 1)] == ["checking ..."] * 2

    def answer(task, *remarks):
        (job,) = [job for job in asked if job.task == task and not job.done and not job.cancelled]
        keys = ("topic", "text", "serious")
        found = [[dict(zip(keys, each, strict=True)) for each in found] for found in remarks]
        job.finish(TaskResult([], {"remarks": found}))
        desk.process()
        return job

    answer("checks", [("missing slices", "t1 lacks slice 3.", False)])
    answer("checks", [])
    assert "missing slices" in table.item(0, 2).text() and "good" in table.item(1, 2).text()
    assert panel.ui.remarksLabel.text == "t1 lacks slice 3." and panel.ui.applyButton.enabled
    study = answer("segmentation study", [], [("no overlap", "t2 does not overlap t1.", True)])
    assert study.parameters == {"bundle": "G", "device": "auto", "register": True}
    assert panel.ui.inputHintLabel.text == "t2 does not overlap t1." == panel.ui.applyButton.toolTip
    assert not panel.ui.applyButton.enabled and "no overlap" in table.item(1, 2).text()
    table.item(1, 0).setCheckState(desk.qt.Qt.Unchecked)
    desk.process()
    assert panel.ui.applyButton.enabled and panel.ui.inputHintLabel.isHidden()


def test_volumes_of_two_patients_are_not_mixed(desk, jobs):
    nodes = [add_volume(desk, name) for name in ("A t1", "B t1", "B t2")]
    put_below_patient(desk, "A", nodes[0]), put_below_patient(desk, "B", *nodes[1:])
    panel = desk.open("MRISynthSegment")
    assert ticked_inputs(desk, panel) == ["A t1"] and panel.ui.applyButton.enabled
    tick_input(desk, panel, "B t2"), tick_input(desk, panel, "A t1")
    sentence = "'B t2' is of another patient than 'A t1'; untick one of them."
    assert panel.ui.applyButton.toolTip == sentence == panel.ui.inputHintLabel.text
    assert not panel.ui.applyButton.enabled
    tick_input(desk, panel, "A t1", False)
    assert ticked_inputs(desk, panel) == ["B t1", "B t2"] and panel.ui.applyButton.enabled


# ----------------------------------------------------------------------------------------- result


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


def test_warnings_of_a_result_stand_out(desk, jobs, drawn):
    label = drawn.ui.messageLabel
    assert label.text == "Computed on cpu in 0.0 s." and not label.styleSheet
    apply(desk, drawn, jobs, warnings=["GTVp is a proposal."], GTVp=TUMOUR)
    assert label.text.startswith("GTVp is a proposal.\n") and "background" in label.styleSheet


def test_why_a_structure_was_not_found_is_said_when_it_is_clicked(desk, jobs, panel):
    why = "One place looks like tumour (0.48 ml around L 1, A 2, S 3 mm) and is left out of GTVp."
    said = [why, "A slice is missing."]
    apply(desk, panel, jobs, warnings=said, GTVp=TUMOUR & False, Brainstem=STEM)
    panel.showMessage("Something else.")
    section(panel, "Result").onCellClicked(0, 1)
    said = "Primary gross tumour volume was not found."
    assert panel.ui.messageLabel.text == f"{said}\n{why}" and panel.ui.messageLabel.styleSheet
    for name in ("Red", "Yellow", "Green"):  # and the place is shown; RAS here
        view = desk.headless.slice_logic(name).GetSliceNode().GetSliceToRAS()
        distance = sum(
            (view.GetElement(k, 3) - at) * view.GetElement(k, 2) for k, at in enumerate((-1, 2, 3))
        )
        assert distance == pytest.approx(0, abs=0.01)


def test_warnings_go_when_all_that_they_are_about_is_drawn_anew(desk, jobs, panel):
    from MRISynthLib.node_attributes import warnings_of

    both = "Not found in these images: GTVp, Brainstem."
    first = [both, "One place is left out of GTVp.", "A slice is missing."]
    apply(desk, panel, jobs, warnings=first, GTVp=TUMOUR & False, Brainstem=STEM & False)
    apply(desk, panel, jobs, warnings=["GTVp is a proposal."], GTVp=TUMOUR)
    assert warnings_of(shown_node(panel)) == ("GTVp is a proposal.", both, "A slice is missing.")


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
    table.item(0, 0).setCheckState(desk.qt.Qt.Checked)
    desk.process()
    node.GetDisplayNode().SetVisibility(False)  # the eye in the Data module
    desk.process()
    assert [table.item(row, 0).checkState() for row in (0, 1)] == [desk.qt.Qt.Unchecked] * 2
    table.item(1, 0).setCheckState(desk.qt.Qt.Checked)
    desk.process()
    display = node.GetDisplayNode()
    assert display.GetVisibility() and display.GetVisibleSegmentIDs() == ("Brainstem",)
    section(drawn, "Result").ui.showAllButton.click()
    desk.process()
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


# ------------------------------------------------------------------------------------ another run


def edit(panel, name, mask):
    """As the Segment Editor does."""
    from MRISynthSegmentLib.mrml import correct_structures
    from MRISynthSegmentLib.placed.mrml import grid_of

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


def test_a_renamed_structure_is_the_users_and_survives_a_run(desk, jobs, drawn):
    from MRISynthSegmentLib.labelmaps.mrml import tag_of
    from MRISynthSegmentLib.structures import STRUCTURES
    from MRISynthSegmentLib.terminology import TAG, terminology_tag

    content = shown_node(drawn).GetSegmentation()
    drawn.exit()  # as in the Segmentations module
    content.GetSegment("GTVp").SetName("Eye_L")
    assert tag_of(content.GetSegment("GTVp"), TAG) == terminology_tag(STRUCTURES["Eye_L"])
    drawn.enter()
    desk.process()
    assert cells(section(drawn, "Result").ui.resultTable)[1][1:] == [
        "Left eye",
        "1.2 ml",
        "edited by hand",
    ]
    apply(desk, drawn, jobs, GTVp=STEM, Brainstem=STEM, Eye_L=STEM)
    found = masks_in(drawn)
    assert np.array_equal(found["Eye_L"], TUMOUR) and np.array_equal(found["GTVp"], STEM)
    assert "Kept as you edited them: Left eye." in drawn.ui.messageLabel.text


def test_what_the_segment_editor_draws_is_seen_at_once(desk, jobs, drawn):
    section(drawn, "Result").ui.show3DCheckBox.checked = False
    desk.process()
    shown_node(drawn).RemoveClosedSurfaceRepresentation()
    segment = shown_node(drawn).GetSegmentation().GetSegment("GTVp")
    image = segment.GetRepresentation("Binary labelmap")
    desk.process()
    image.GetPointData().GetScalars().SetTuple1(0, 0)
    image.GetPointData().GetScalars().Modified()
    image.Modified()  # its own label map, without any other event
    desk.process()
    line = cells(section(drawn, "Result").ui.resultTable)[0]
    assert line[2:] == ["1.2 ml", "edited by hand"]


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
    assert not structures.replaceEditedCheckBox.checked, "said of that run, not of hours later"
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


# --------------------------------------------------------------- a result comes in portions


@pytest.fixture
def half_way(desk, jobs, monkeypatch):
    """A function: a run has ended, and the first of its structures is in the scene."""
    portions = importlib.import_module("MRISynthWidgets.portions")
    monkeypatch.setattr(portions, "AT_ONCE_SECONDS", -1.0)  # a pause after each structure

    def begin(panel, **masks):
        panel.ui.applyButton.click()
        desk.process()
        finished(jobs[-1], {"GTVp": 0.1}, **masks)
        panel.run._poll()
        panel.portions._go_on()
        panel._refreshNow()
        assert panel.portions.running

    return begin


def segmentations(desk):
    return list(desk.slicer.util.getNodesByClass("vtkMRMLSegmentationNode"))


def test_the_window_answers_while_structures_come_into_the_scene(desk, jobs, panel, half_way):
    half_way(panel, GTVp=TUMOUR, Brainstem=STEM)
    ui = panel.ui
    assert "into the scene" in ui.progressLabel.text and ui.cancelButton.enabled
    assert not ui.applyButton.enabled and "running" in ui.applyButton.toolTip
    editing = panel.sections[2].ui.editButton
    assert not editing.enabled  # in the Segment Editor what comes would be overwritten
    desk.process(5)
    assert editing.enabled
    assert set(masks_in(panel)) == {"GTVp", "Brainstem"} and ui.applyButton.enabled
    assert not ui.cancelButton.enabled and not desk.said


def test_cancel_meanwhile_leaves_the_scene_as_it_was(desk, jobs, panel, half_way):
    half_way(panel, GTVp=TUMOUR, Brainstem=STEM)
    panel.ui.cancelButton.click()
    desk.process(5)
    assert not segmentations(desk) and "Cancelled" in panel.ui.messageLabel.text
    apply(desk, panel, jobs, GTVp=TUMOUR, Brainstem=STEM)
    desk.process(5)
    before = masks_in(panel)
    half_way(panel, GTVp=STEM, Brainstem=TUMOUR)
    assert masks_in(panel)["GTVp"].sum() == STEM.sum()
    panel.ui.cancelButton.click()
    desk.process(5)
    after = masks_in(panel)
    assert all((after[name] == before[name]).all() for name in before) and not desk.said


def test_a_scene_that_is_closed_meanwhile_stays_empty(desk, jobs, panel, half_way):
    half_way(panel, GTVp=TUMOUR, Brainstem=STEM)
    desk.slicer.mrmlScene.Clear(0)
    desk.process(5)
    assert not segmentations(desk) and not desk.said and not panel.busy
    assert not panel.ui.applyButton.enabled


def test_a_segmentation_that_is_deleted_meanwhile_is_said_and_apply_works_again(
    desk, jobs, panel, half_way
):
    half_way(panel, GTVp=TUMOUR, Brainstem=STEM)
    desk.slicer.mrmlScene.RemoveNode(segmentations(desk)[0])
    desk.process(5)
    assert "was deleted while structures were put into it" in desk.said[0]
    apply(desk, panel, jobs, GTVp=TUMOUR, Brainstem=STEM)
    desk.process(5)
    assert set(masks_in(panel)) == {"GTVp", "Brainstem"}


def test_what_was_chosen_when_apply_was_pressed_counts(desk, jobs, drawn):
    first, parameters = shown_node(drawn), drawn.logic.getParameterNode()
    drawn.ui.applyButton.click()
    desk.process()
    second = desk.slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "mine")
    parameters.segmentation = second
    desk.process()
    finished(jobs[-1], GTVp=STEM)
    desk.process()
    assert second.GetSegmentation().GetNumberOfSegments() == 0, "it is not written over"
    assert shown_node(drawn) is first and np.array_equal(masks_in(drawn)["GTVp"], STEM)


def test_a_segmentation_deleted_during_the_run_is_made_anew(desk, jobs, drawn):
    drawn.ui.applyButton.click()
    desk.process()
    desk.slicer.mrmlScene.RemoveNode(shown_node(drawn))
    desk.process()
    finished(jobs[-1], GTVp=STEM)
    desk.process()
    assert np.array_equal(masks_in(drawn)["GTVp"], STEM) and not desk.said


@pytest.mark.parametrize("there", [True, False])
def test_slicer_knows_the_structures_terms_from_its_start(desk, monkeypatch, there):
    loaded = []
    logic = types.SimpleNamespace(LoadTerminologyFromFile=loaded.append)
    if there:
        module = types.SimpleNamespace(logic=lambda: logic)
        monkeypatch.setattr(desk.slicer.modules, "terminologies", module)
    else:
        monkeypatch.delattr(desk.slicer.modules, "terminologies")
    importlib.import_module("MRISynthSegment").MRISynthSegment(types.SimpleNamespace(path=""))
    assert not loaded
    desk.app.start()
    desk.raise_errors()
    assert [Path(path).name for path in loaded] == ["MRISynth.term.json"] * there
