"""Sections Review and Reader study of module MRISynth: what a click does, on a real scene."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from panel_cases import add_volume, comparison_result

SHAPE = (6, 40, 40)


@pytest.fixture
def panel(desk, jobs):
    return desk.open("MRISynth")


def head(seed=0, scale=1.0):
    """Voxels of a round thing with structure in it."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:40, :40] - 19.5
    disc = (rows**2 + columns**2 < 17**2)[None].repeat(SHAPE[0], axis=0)
    blocks = np.kron(rng.uniform(300, 900, (6, 10, 10)), np.ones((1, 4, 4)))
    return (np.where(disc, blocks, 0) * scale).astype(np.float32)


def add_pair(desk, uncertainty=True):
    """Nodes of a real T2w, of a synthetic T2w and of a T1w, from which the latter was made."""
    from MRISynthLib import mrml
    from MRISynthLib.provenance import Provenance
    from MRISynthLib.volume import Volume

    grid = np.diag((2.0, 2.0, 4.0, 1.0))
    made = Provenance(synthetic=True, sequence="T2w", bundle="S", inputs=({"sequence": "T1w"},))
    t1w = mrml.node_from_volume(Volume(head(5), grid, name="t1_tse_tra"))
    real = mrml.node_from_volume(Volume(head(), grid, name="t2_tse_tra"))
    synthetic = Volume(head(0, 0.1), grid, sequence="T2w", name="T2w", provenance=made)
    node = mrml.node_from_volume(synthetic)
    if uncertainty:
        expected = Provenance.from_dict({**made.to_dict(), "kind": "uncertainty"})
        mrml.node_from_volume(synthetic.replace(provenance=expected, name="T2w uncertainty"))
    desk.process()
    return t1w, real, node


def composite(desk, index):
    views = ("MRISynth1", "MRISynth2", "MRISynth3")
    return desk.headless.slice_logic(views[index]).GetSliceCompositeNode()


def layout(desk):
    node = desk.slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLLayoutNode")
    return node.GetViewArrangement()


# ---------------------------------------------------------------- the pair


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


def test_after_a_run_the_real_target_is_beside_the_synthetic_image(desk, jobs):
    from panel_cases import synthesis_result

    add_volume(desk, "t1_tse_tra")
    target = add_volume(desk, "t1_tse_tra_km", 3)
    panel = desk.open("MRISynth")
    combo = panel.ui.inputTable.cellWidget(1, 1)
    combo.setCurrentIndex(combo.findText("CE-T1w"))
    desk.process()
    panel.ui.applyButton.click()
    desk.process()
    jobs[0].finish(synthesis_result(jobs[0]))
    desk.process()
    assert panel.logic.getParameterNode().realVolume is target
    assert composite(desk, 0).GetBackgroundVolumeID() == target.GetID()
    assert panel.review.mode == "side by side" and not desk.said
    assert not panel.review.widget.collapsed, "what can be done with the result is hidden"


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


def test_checkerboard_and_uncertainty(desk, panel):
    _t1w, _real, synthetic = add_pair(desk)
    ui = panel.review.ui
    ui.checkerboardButton.click()
    desk.process()
    board = desk.slicer.mrmlScene.GetNodeByID(composite(desk, 0).GetBackgroundVolumeID())
    assert board.GetName().startswith("SYNTHETIC") and "checkerboard" in board.GetName()
    before = desk.slicer.util.arrayFromVolume(board).copy()
    ui.tileSlider.value = 8
    desk.process()
    assert not np.array_equal(desk.slicer.util.arrayFromVolume(board), before)
    ui.uncertaintyButton.click()
    desk.process()
    over = desk.slicer.mrmlScene.GetNodeByID(composite(desk, 1).GetForegroundVolumeID())
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


# ---------------------------------------------------------------- numbers


def cells(table):
    return [
        [table.item(row, column).text() for column in range(table.columnCount)]
        for row in range(table.rowCount)
    ]


def test_numbers_of_body_and_segments_are_shown_and_saved(desk, panel, jobs):
    from MRISynthLib import mrml
    from MRISynthSegmentLib.mrml import segmentation_node_from
    from MRISynthSegmentLib.segmentation import Segmentation

    _t1w, real, _synthetic = add_pair(desk)
    ui = panel.review.ui
    assert ui.numbersTable.isHidden()
    volume = mrml.volume_from_node(real)
    masks = {"GTVp": np.zeros(SHAPE, bool), "empty": np.zeros(SHAPE, bool)}
    masks["GTVp"][2:4, 15:20, 15:20] = True
    node = segmentation_node_from(Segmentation(masks, volume), real, surfaces=False)
    ui.segmentationSelector.setCurrentNode(node)
    ui.alignCheckBox.checked = True
    ui.compareButton.click()
    desk.process()
    (job,) = jobs
    assert job.task == "comparison" and job.parameters == {"align": True}
    assert [v.sequence for v in job.volumes[:2]] == ["T2w", "T2w"]
    assert [v.is_synthetic for v in job.volumes[:2]] == [False, True]
    assert [v.name for v in job.volumes[2:]] == ["GTVp"]
    assert ui.compareLabel.text == "Comparing ..." and ui.compareButton.text == "Stop comparing"
    job.finish(comparison_result(job, moved_mm=1.24, warnings=["Look."]))
    desk.process()
    assert cells(ui.numbersTable) == [
        ["body", "0.031", "27.0", "0.912"],
        ["GTVp", "0.031", "27.0", "0.912"],
    ]
    assert ui.numbersLabel.text == "The real image was moved by 1.2 mm for this.\nLook."
    assert panel.review.mode is None, "numbers alone change no views"
    again = desk.open("MRISynth", fresh=True)  # as from a saved scene
    assert (
        len(cells(again.review.ui.numbersTable)) == 2
        and not again.review.ui.numbersTable.isHidden()
    )


def test_the_difference_map_is_made_when_it_is_asked_for(desk, panel, jobs):
    add_pair(desk)
    ui = panel.review.ui
    ui.differenceButton.click()
    desk.process()
    jobs[0].finish(comparison_result(jobs[0]))
    desk.process()
    assert layout(desk) == 51303 and ui.differenceButton.checked
    shown = desk.slicer.mrmlScene.GetNodeByID(composite(desk, 2).GetBackgroundVolumeID())
    assert shown.GetName() == "SYNTHETIC T2w difference"
    window = shown.GetDisplayNode()
    assert (window.GetWindowLevelMin(), window.GetWindowLevelMax()) == pytest.approx((0, 0.2))
    ui.sideBySideButton.click()
    ui.differenceButton.click()
    desk.process()
    assert len(jobs) == 1 and ui.differenceButton.checked, "it is there already"


def test_a_comparison_can_be_stopped_and_can_fail(desk, panel, jobs):
    from MRISynthLib.errors import Cancelled, InputError

    add_pair(desk)
    ui = panel.review.ui
    ui.compareButton.click()
    desk.process()
    ui.compareButton.click()
    assert jobs[0].cancelled
    jobs[0].finish(Cancelled())
    desk.process()
    assert "Stopped" in ui.compareLabel.text and ui.compareButton.text == "Compare in numbers"
    ui.differenceButton.click()
    desk.process()
    jobs[1].finish(InputError("They show no part of the body in common."))
    desk.process()
    assert desk.said == ["They show no part of the body in common."]
    assert ui.compareButton.enabled and not ui.compareLabel.text and panel.review.mode is None


# ---------------------------------------------------------------- reader study


@pytest.fixture
def study(desk, panel, tmp_path):
    """The section with a pair in the scene and a file to write to."""
    add_pair(desk)
    parameters = panel.logic.getParameterNode()
    parameters.studyFile = str(tmp_path / "study.json")
    parameters.studyCount, parameters.studyReader = 4, "Reader 7"
    desk.process()
    return panel.study


def image_node(desk):
    nodes = desk.slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
    return next((node for node in nodes if node.GetName() == "Reader study image"), None)


def test_a_study_from_the_first_image_to_the_table(desk, study, tmp_path):
    ui = study.ui
    assert not ui.setupArea.isHidden() and ui.questionArea.isHidden() and ui.resultArea.isHidden()
    before = layout(desk)
    ui.startButton.click()
    desk.process()
    assert ui.setupArea.isHidden() and not ui.questionArea.isHidden() and layout(desk) == 51320
    assert ui.questionLabel.text == "Image 1 of 4" and image_node(desk) is not None
    assert not ui.nextButton.enabled and "real or synthetic first" in ui.nextButton.toolTip
    shown = []
    for number in range(4):
        shown.append(image_node(desk).GetID())
        if number == 2:
            ui.undecidedButton.click()
        else:
            ui.syntheticButton.click()
            ui.realButton.click()  # another opinion: only the last counts
            assert ui.realButton.checked and not ui.syntheticButton.checked
            ui.confidenceComboBox.setCurrentIndex(4)
            ui.commentLineEdit.text = " too smooth "
            ui.reasonsBox.findChildren(desk.qt.QCheckBox)[0].checked = True
            ui.nextButton.click()
        desk.process()
        assert not ui.realButton.checked and not ui.commentLineEdit.text
    assert len(set(shown)) == 4
    assert image_node(desk) is None and layout(desk) == before
    assert ui.questionArea.isHidden() and not ui.resultArea.isHidden()
    rows = dict(cells(ui.resultTable))
    assert rows["Cannot tell"] == "1" and "/3 = " in rows["Right answers"]
    assert rows["Synthetic images called synthetic"].startswith("0/")
    desk.qt.QFileDialog.answer = str(tmp_path / "result.csv")
    ui.saveTableButton.click()
    desk.process()
    table = list(csv.reader((tmp_path / "result.csv").open(encoding="utf-8-sig")))
    answers = [row for row in table if row and row[0].isdigit()]
    assert len(answers) == 4 and {row[3] for row in answers} == {"real", "synthetic"}
    assert answers[0][4:8:3] == ["real", "certain"] and answers[0][10] == "too smooth"
    assert answers[0][11] == "Reader 7" and "result.csv" in ui.studyLabel.text
    ui.newStudyButton.click()
    desk.process()
    assert not ui.setupArea.isHidden() and not desk.said


def test_without_a_file_the_study_lies_beside_the_scene_each_in_its_own(desk, study, tmp_path):
    ui, parameters = study.ui, study.logic.getParameterNode()
    desk.slicer.mrmlScene.SetURL(str(tmp_path / "case.mrb"))
    for name in ("reader-study-1.json", "reader-study-1-2.json"):
        parameters.studyFile = ""
        ui.startButton.click()
        desk.wait(lambda: study.session is not None)
        desk.process()
        assert parameters.studyFile == str(tmp_path / name) and (tmp_path / name).exists()
        desk.questions.answer = True
        ui.endButton.click()
        desk.process()
        ui.newStudyButton.click()
        desk.process()


def test_a_pair_of_another_program_is_chosen_in_the_review(desk, panel, tmp_path):
    from MRISynthLib import mrml
    from MRISynthLib.volume import Volume

    parameters = panel.logic.getParameterNode()
    grid = np.diag((2.0, 2.0, 4.0, 1.0))
    for name, field in (("scan", "realVolume"), ("out_0001", "syntheticVolume")):
        setattr(parameters, field, mrml.node_from_volume(Volume(head(), grid, name=name)))
    parameters.studyFile, parameters.studyCount = str(tmp_path / "study.json"), 2
    desk.process()
    panel.study.ui.startButton.click()
    desk.wait(lambda: panel.study.session is not None)
    assert not desk.said


def test_a_study_goes_on_after_a_pause_another_module_or_a_new_start(desk, study, tmp_path):
    ui, path = study.ui, tmp_path / "study.json"
    ui.startButton.click()
    desk.process()
    ui.undecidedButton.click()
    desk.process()
    ui.pauseButton.click()
    desk.process()
    assert image_node(desk) is None and "Paused" in ui.studyLabel.text
    assert ui.startButton.text == "Go on with this study" and not ui.seedSpinBox.enabled
    ui.startButton.click()
    desk.process()
    assert ui.questionLabel.text == "Image 2 of 4"
    desk.open("MRISynthSegment")
    assert image_node(desk) is None and layout(desk) != 51320, "the blinded view was left on"
    panel = desk.open("MRISynth", fresh=True)
    panel.study.ui.startButton.click()
    desk.process()
    assert panel.study.ui.questionLabel.text == "Image 2 of 4"
    desk.slicer.mrmlScene.Clear()
    desk.process()
    assert panel.study.session is None and panel.study.ui.questionArea.isHidden()
    assert len(json.loads(path.read_text(encoding="utf-8"))["answers"]) == 1


def test_giving_up_asks_first_and_shows_what_there_is(desk, study):
    ui = study.ui
    ui.startButton.click()
    desk.process()
    desk.questions.answer = False
    ui.endButton.click()
    desk.process()
    assert ui.resultArea.isHidden() and len(desk.asked) == 1
    desk.questions.answer = True
    ui.endButton.click()
    desk.process()
    assert not ui.resultArea.isHidden() and image_node(desk) is None
    assert dict(cells(ui.resultTable))["Not shown"] == "4"
    assert "no answer" in ui.verdictLabel.text


def test_wrong_settings_are_said_in_one_sentence(desk, study, tmp_path):
    ui, parameters = study.ui, study.logic.getParameterNode()
    parameters.studyCount = 400
    ui.startButton.click()
    desk.process()
    assert "400 questions" in desk.said[-1] and study.session is None
    assert layout(desk) != 51320 and not Path(parameters.studyFile).exists()
    parameters.studyFolder = str(tmp_path / "nothing")
    ui.startButton.click()
    desk.process()
    assert "is not a folder" in desk.said[-1]
    (tmp_path / "notes.json").write_text("{}", encoding="utf-8")
    parameters.studyFolder, parameters.studyFile = "", str(tmp_path / "notes.json")
    parameters.studyCount = 2
    ui.startButton.click()
    desk.process()
    assert "not the file of a reader study" in desk.said[-1] and ui.questionArea.isHidden()
    assert (tmp_path / "notes.json").read_text(encoding="utf-8") == "{}"


def test_an_answer_that_cannot_be_written_is_asked_again(desk, study, tmp_path):
    ui, parameters = study.ui, study.logic.getParameterNode()
    (tmp_path / "gone").mkdir()
    parameters.studyFile = str(tmp_path / "gone" / "study.json")
    ui.startButton.click()
    desk.process()
    Path(parameters.studyFile).unlink()
    (tmp_path / "gone").rmdir()
    ui.syntheticButton.click()
    ui.nextButton.click()
    desk.process()
    assert "cannot be written" in desk.said[-1]
    assert ui.questionLabel.text == "Image 1 of 4" and ui.syntheticButton.checked
    (tmp_path / "gone").mkdir()
    ui.nextButton.click()
    desk.process()
    assert ui.questionLabel.text == "Image 2 of 4"


def test_a_folder_of_cases_is_read_patient_by_patient(desk, panel, tmp_path):
    from MRISynthLib import io, mrml

    _t1w, real, synthetic = add_pair(desk)
    for name in ("p1", "p2"):
        (tmp_path / "cases" / name).mkdir(parents=True)
        for node, file in ((real, "T2w.nii.gz"), (synthetic, "made.nii.gz")):
            volume = mrml.volume_from_node(node).replace(sequence="T2w")
            io.save(volume, tmp_path / "cases" / name / file)
    desk.slicer.mrmlScene.Clear()
    desk.process()
    ui, parameters = panel.study.ui, panel.logic.getParameterNode()
    parameters.studyFolder = str(tmp_path / "cases")
    parameters.studyCount = 6
    desk.process()
    desk.qt.QFileDialog.answer = str(tmp_path / "study.json")
    ui.startButton.click()
    panel.study._loadNext()
    assert ui.studyLabel.text == "Preparing case 2 of 2 ..."
    ui.startButton.click()  # not now
    desk.process()
    assert panel.study.session is None and ui.startButton.text == "Start"
    assert not (tmp_path / "study.json").exists()
    ui.startButton.click()
    desk.wait(lambda: panel.study.session is not None)
    desk.process()
    assert ui.questionLabel.text == "Image 1 of 6" and not ui.studyLabel.text
    saved = json.loads((tmp_path / "study.json").read_text(encoding="utf-8"))
    assert set(saved["cases"]) == {"p1 T2w", "p2 T2w"} and not desk.said
