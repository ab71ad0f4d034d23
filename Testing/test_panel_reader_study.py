"""Section Reader study of module MRISynth: what a click does, on a real scene."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from panel_cases import cells, put_below_patient
from panel_review_cases import add_pair, head, layout


@pytest.fixture
def panel(desk, jobs):
    return desk.open("MRISynth")


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
    desk.qt.QFileDialog.answer = str(tmp_path / "result")
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


def test_a_name_alone_is_a_file_beside_the_scene(desk, study, tmp_path, monkeypatch):
    (tmp_path / "started from").mkdir()
    monkeypatch.chdir(tmp_path / "started from")
    desk.slicer.mrmlScene.SetURL(str(tmp_path / "case.mrb"))
    study.ui.fileLineEdit.text = "mine.json"
    desk.process()
    study.ui.startButton.click()
    desk.process()
    assert study.asking and (tmp_path / "mine.json").exists()
    study.ui.pauseButton.click()
    study.ui.fileLineEdit.text = "mine.json"
    desk.process()
    assert "goes on with image 1 of 4" in study.ui.fileHintLabel.text


@pytest.mark.parametrize("other", ["A", "B"])
def test_a_real_image_of_another_patient_or_study_is_no_pair(desk, panel, study, other):
    nodes = desk.slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
    by_name = {node.GetName(): node for node in nodes}
    put_below_patient(desk, "A", by_name["t1_tse_tra"], by_name["SYNTHETIC T2w"], patient_id="A")
    put_below_patient(desk, other, by_name["t2_tse_tra"], patient_id=other)
    panel.logic.getParameterNode().realVolume = None
    desk.process()
    study.ui.startButton.click()
    desk.process()
    assert "no synthetic image with the real one" in desk.said[-1] and study.session is None


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


@pytest.mark.parametrize("button", ["nextButton", "undecidedButton"])
def test_a_double_click_answers_one_question(desk, study, button):
    ui = study.ui
    ui.startButton.click()
    desk.process()
    for number in range(1, 5):
        ui.realButton.click()
        for _ in range(2):
            getattr(ui, button).click()
        assert len(study.session.study.answers) == number
        desk.process()
    assert not ui.resultArea.isHidden() and not desk.said


def test_the_review_does_not_show_what_the_reader_is_to_tell(desk, panel, study):
    review = panel.review.ui
    study.ui.startButton.click()
    desk.process()
    for name in ("sideBySide", "blend", "flicker", "checkerboard", "uncertainty", "difference"):
        button = getattr(review, f"{name}Button")
        assert not button.enabled and "reader study goes on" in button.toolTip
    assert not review.profileButton.enabled
    study.ui.pauseButton.click()
    desk.process()
    assert review.sideBySideButton.enabled and review.profileButton.enabled


def test_the_panel_says_what_becomes_of_a_file_that_is_there(desk, study, tmp_path):
    ui = study.ui
    assert ui.fileHintLabel.isHidden(), "a new file needs no words"
    ui.startButton.click()
    desk.process()
    ui.undecidedButton.click()
    desk.process()
    ui.pauseButton.click()
    desk.process()
    assert "goes on with image 2 of 4" in ui.fileHintLabel.text
    desk.qt.QFileDialog.answer = str(tmp_path / "new.json")
    ui.fileButton.click()
    desk.process()
    # Qt's own question would say that the file is going to be overwritten
    assert desk.qt.QFileDialog.asked[-1][-1] == desk.qt.QFileDialog.DontConfirmOverwrite
    assert ui.fileHintLabel.isHidden() and ui.startButton.text == "Start"
    (tmp_path / "notes.json").write_text("{}", encoding="utf-8")
    desk.qt.QFileDialog.answer = str(tmp_path / "notes.json")
    ui.fileButton.click()
    desk.process()
    assert "not the file of a reader study" in ui.fileHintLabel.text


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


def test_an_answer_that_cannot_be_written_is_asked_again(desk, panel, study, tmp_path):
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
    assert panel.ui.messageLabel.isHidden(), "what failed is done now"


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
    assert "no image was shown" in ui.studyLabel.text
    assert not (tmp_path / "study.json").exists()
    ui.startButton.click()
    desk.wait(lambda: panel.study.session is not None)
    desk.process()
    assert ui.questionLabel.text == "Image 1 of 6" and not ui.studyLabel.text
    saved = json.loads((tmp_path / "study.json").read_text(encoding="utf-8"))
    assert set(saved["cases"]) == {"p1 T2w", "p2 T2w"} and not desk.said


def test_a_run_and_a_comparison_leave_the_blinded_reader_alone(desk, jobs, panel, study):
    from MRISynthLib.progress import SliceReady
    from panel_cases import comparison_result, synthesis_result

    panel.review.ui.sideBySideButton.click()
    desk.process()
    panel.review.ui.compareButton.click()
    desk.process()
    study.ui.startButton.click()
    desk.wait(lambda: study.asking)
    desk.process()
    desk.show_views("MRISynthStudy")
    composite = desk.headless.slice_logic("MRISynthStudy").GetSliceCompositeNode()
    image = composite.GetBackgroundVolumeID()
    panel.ui.applyButton.click()
    desk.process()
    comparison, run = jobs
    comparison.finish(comparison_result(comparison))
    panel.review.numbers.comparing._poll()
    run.events.append(SliceReady("CE-T1w", 2, np.full((40, 40), 500, np.float32)))
    panel.run._poll()
    desk.process()
    assert not composite.GetForegroundVolumeID(), "the growing image lies over the question"
    run.finish(synthesis_result(run))
    panel.run._poll()
    desk.wait(lambda: not panel.busy)
    desk.process()
    panel.logic.getParameterNode().reviewTileMm = 30
    desk.process()
    assert layout(desk) == 51320 and study.asking
    assert composite.GetBackgroundVolumeID() == image
    desk.show_views()
