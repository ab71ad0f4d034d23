"""Images of several patients or studies in MRISynth's panel: they are not mixed unasked."""

from __future__ import annotations

import types

import pytest

from panel_cases import (
    add_volume,
    put_below_patient,
    synthesis_result,
    tick_input,
    ticked_inputs,
)


@pytest.fixture
def two_patients(desk):
    """Name -> node of two sequences of patient A and of patient B."""
    names = ("A t1", "A t2", "B t1", "B t2")
    nodes = {name: add_volume(desk, name, seed) for seed, name in enumerate(names)}
    put_below_patient(desk, "Somebody", *list(nodes.values())[:2], patient_id="A")
    put_below_patient(desk, "Somebody", *list(nodes.values())[2:], patient_id="B")
    return nodes


def test_volumes_of_two_patients_are_not_mixed(desk, asked, two_patients):
    panel = desk.open("MRISynth")
    assert ticked_inputs(desk, panel) == ["A t1", "A t2"] and panel.ui.applyButton.enabled
    assert "Patient B" in panel.ui.inputTable.item(2, 0).toolTip()
    tick_input(desk, panel, "B t2")
    assert ticked_inputs(desk, panel) == ["B t1", "B t2"], "the user chose the other patient"
    tick_input(desk, panel, "A t1")
    assert ticked_inputs(desk, panel) == ["A t1", "B t2"]
    sentence = "'B t2' is of another patient than 'A t1'; untick one of them."
    assert panel.ui.applyButton.toolTip == sentence == panel.ui.inputHintLabel.text
    assert not panel.ui.applyButton.enabled and not panel.ui.inputHintLabel.isHidden()
    tick_input(desk, panel, "B t2", False)
    assert ticked_inputs(desk, panel) == ["A t1", "A t2"]
    assert panel.ui.applyButton.enabled and panel.ui.inputHintLabel.text == ""


def test_a_volume_that_is_moved_to_the_patient_may_be_used_beside_the_others(desk, jobs):
    t1, t2 = add_volume(desk, "t1_tse_tra", 1), add_volume(desk, "t2_tse_tra", 2)
    put_below_patient(desk, "Anna", t1), put_below_patient(desk, "Berta", t2)
    panel = desk.open("MRISynth")
    assert ticked_inputs(desk, panel) == ["t1_tse_tra"]
    tree = desk.slicer.mrmlScene.GetSubjectHierarchyNode()
    place = tree.GetItemParent(tree.GetItemByDataNode(t1))
    tree.SetItemParent(tree.GetItemByDataNode(t2), place)
    panel = desk.open("MRISynth")
    assert ticked_inputs(desk, panel) == ["t1_tse_tra", "t2_tse_tra"]


def test_the_dicom_headers_say_whose_a_volume_is(desk, jobs, monkeypatch):
    patients = {"1.1": "A", "2.1": "B "}
    database = types.SimpleNamespace(
        isOpen=True,
        instanceValue=lambda instance, tag: patients[instance] if tag == "0010,0020" else "",
        fileForInstance=lambda instance: "",
    )
    monkeypatch.setattr(desk.slicer, "dicomDatabase", database, raising=False)
    nodes = [add_volume(desk, name) for name in ("A t1", "B t2", "t2 of a file")]
    for node, instance in zip(nodes, patients, strict=False):
        node.SetAttribute("DICOM.instanceUIDs", instance)
    panel = desk.open("MRISynth")
    assert ticked_inputs(desk, panel) == ["A t1", "t2 of a file"]
    assert [row.patient for row in panel.logic.inputs.rows()] == ["A", "B", ""]


def test_what_is_made_belongs_to_the_patient_of_its_inputs(desk, jobs, two_patients):
    contrast = add_volume(desk, "B t1 post gadolinium")
    put_below_patient(desk, "Somebody", contrast, patient_id="B")
    panel = desk.open("MRISynth")
    panel.ui.applyButton.click()
    jobs[-1].finish(synthesis_result(jobs[-1]))
    desk.process()
    parameters = panel._parameterNode
    assert parameters.syntheticVolume.GetName() == "SYNTHETIC CE-T1w (p)"
    assert parameters.realVolume is two_patients["A t1"], "not B's contrast-enhanced scan"
    made = [row for row in panel.logic.inputs.rows() if row.synthetic]
    assert [row.patient for row in made] == ["A"]
    attributes = parameters.syntheticVolume.GetAttributeNames()
    assert not [name for name in attributes if "patient" in name.lower()]
    for name in ("A t1", "A t2"):
        desk.slicer.mrmlScene.RemoveNode(two_patients[name])
    desk.process()
    assert [row.patient for row in panel.logic.inputs.rows() if row.synthetic] == ["A"]
    assert parameters.realVolume is not contrast, "B's image stands for A's"


def test_images_of_two_patients_are_not_looked_at_as_a_pair(desk, jobs, two_patients):
    panel = desk.open("MRISynth")
    panel.ui.applyButton.click()
    jobs[-1].finish(synthesis_result(jobs[-1]))
    desk.process()
    ui, parameters = panel.review.ui, panel._parameterNode
    assert ui.compareButton.enabled and panel.review.mode == "side by side"
    ui.realSelector.setCurrentNode(two_patients["B t1"])
    desk.process()
    sentence = (
        "'SYNTHETIC CE-T1w (p)' is of another patient than 'B t1'; choose two images of one "
        "patient."
    )
    assert ui.compareButton.toolTip == sentence == ui.blendButton.toolTip
    assert ui.numbersLabel.text == sentence and not ui.numbersLabel.isHidden()
    assert not (ui.compareButton.enabled or ui.blendButton.enabled or panel.review.mode)
    parameters.realVolume = two_patients["A t1"]
    desk.process()
    assert ui.compareButton.enabled and not desk.said and ui.numbersLabel.isHidden()
    contours = desk.slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "theirs")
    contours.SetReferenceImageGeometryParameterFromVolumeNode(two_patients["B t1"])
    ui.segmentationSelector.setCurrentNode(contours)
    desk.process()
    assert not ui.compareButton.enabled and "of another patient" in ui.numbersLabel.text
    assert ui.blendButton.enabled, "the pair can be looked at"
    contours.SetReferenceImageGeometryParameterFromVolumeNode(two_patients["A t2"])
    desk.process()
    assert ui.compareButton.enabled and ui.numbersLabel.isHidden()


def test_a_result_that_comes_while_another_module_is_open_is_paired_with_its_patients_image(
    desk, jobs, two_patients
):
    panel = desk.open("MRISynth")
    panel.ui.applyButton.click()
    jobs[-1].finish(synthesis_result(jobs[-1]))
    desk.process()
    made = panel._parameterNode.syntheticVolume
    tick_input(desk, panel, "B t1")
    panel.ui.applyButton.click()
    desk.open("MRISynthSegment")
    jobs[-1].finish(synthesis_result(jobs[-1]))
    panel.run._poll()
    desk.wait(lambda: not panel.busy)
    desk.open("MRISynth")
    parameters = panel._parameterNode
    assert parameters.syntheticVolume is not made
    assert parameters.realVolume is two_patients["B t1"], "the first patient's image"
    assert panel.review.ui.compareButton.enabled and not desk.said


def test_two_studies_of_a_patient_are_not_mixed_unasked(desk, jobs):
    nodes = [add_volume(desk, name, seed) for seed, name in enumerate(("t1 old", "t1", "t2"))]
    tree = desk.slicer.mrmlScene.GetSubjectHierarchyNode()
    patient = tree.CreateSubjectItem(tree.GetSceneItemID(), "Anna")
    old, new = (tree.CreateStudyItem(patient, name) for name in ("old", "new"))
    for study, node in zip((old, new, new), nodes, strict=True):
        tree.CreateItem(study, node)
    panel = desk.open("MRISynth")
    assert ticked_inputs(desk, panel) == ["t1 old"] and panel.ui.remarksLabel.text == ""
    tick_input(desk, panel, "t2")
    assert ticked_inputs(desk, panel) == ["t1", "t2"], "those of the study that was chosen"
    tick_input(desk, panel, "t1", False)
    tick_input(desk, panel, "t1 old")
    sentence = "'t2' is of another study than 't1 old'; untick one of them unless you want both."
    assert sentence in panel.ui.remarksLabel.text and not panel.ui.remarksLabel.isHidden()
    assert panel.ui.applyButton.enabled
