"""The whole way of a user through MRISynthSegment, with real models in the real process: from a
DICOM study to contours in the DICOM database, and the scene as it was after saving and opening it.
"""

from __future__ import annotations

import shutil
import sys
import types
from pathlib import Path

import numpy as np
import pydicom
import pytest

ORGANS = ("Brainstem", "Eye_L", "Eye_R")


@pytest.fixture
def clicker(tmp_path, monkeypatch):
    """A model that takes clicks, without training: it does as asked where the click is."""
    import torch

    from models import ABOUT
    from MRISynthLib.bundles import FOLDERS_VARIABLE, write_bundle
    from MRISynthLib.sequences import SEQUENCE_NAMES
    from MRISynthSegmentLib.structure_net import StructureNet

    torch.manual_seed(0)
    features = (8, 8, 8, 8, 8, 8)
    network = StructureNet(2, features)
    definition = {
        "_target_": "MRISynthSegmentLib.structure_net.StructureNet",
        "structures": 2,
        "features": list(features),
    }
    metadata = {
        **ABOUT,
        "name": "Clicker",
        "task": "segmentation",
        "sequences_in": list(SEQUENCE_NAMES),
        "structures": ["GTVp", "Brainstem"],
        "clicks": True,
        "context": 1,
    }
    folder = tmp_path / "bundles" / "Clicker"
    folder.parent.mkdir()
    inference = {"network_def": definition, "pixel_mm": 1.0}
    write_bundle(folder, metadata, inference, network.state_dict())
    monkeypatch.setenv(FOLDERS_VARIABLE, str(folder.parent))
    return "Clicker"


@pytest.fixture
def study(desk, patient, tmp_path, monkeypatch):
    """The simulated patient as DICOM, loaded as Slicer loads it, with the database beside it."""
    from MRISynthLib import io
    from MRISynthLib.io.dicom_write import write_series
    from MRISynthLib.mrml import node_from_volume

    files, nodes, kept = {}, {}, tmp_path / "database"
    for number, sequence in enumerate(("T1w", "T2w", "CE-T1w"), start=1):
        folder = tmp_path / "dicom" / sequence
        folder.mkdir(parents=True)
        write_series(patient.volumes[sequence], folder, "P1", number, {"PatientName": "Virtual"})
        (image,) = io.load_series(folder)
        nodes[sequence] = node_from_volume(image.replace(acquisition={}), name=image.name)
        found = [
            (pydicom.dcmread(path, stop_before_pixels=True), path) for path in folder.iterdir()
        ]
        found.sort(key=lambda pair: int(pair[0].InstanceNumber))
        uids = [str(header.SOPInstanceUID) for header, _ in found]
        files |= dict(zip(uids, (str(path) for _, path in found), strict=True))
        nodes[sequence].SetAttribute("DICOM.instanceUIDs", " ".join(uids))
        nodes[sequence].SetAttribute("MRISynth.ChosenSequence", sequence)

    def take(folder, copyFiles):  # noqa: N803
        shutil.copytree(folder, kept, dirs_exist_ok=True)
        return True

    database = types.SimpleNamespace(
        isOpen=True,
        fileForInstance=lambda uid: files.get(uid, ""),
        instanceValue=lambda *_: "",
    )
    library = types.ModuleType("DICOMLib")
    library.DICOMUtils = types.SimpleNamespace(importDicom=take)
    monkeypatch.setitem(sys.modules, "DICOMLib", library)
    monkeypatch.setattr(desk.slicer, "dicomDatabase", database, raising=False)
    return types.SimpleNamespace(nodes=nodes, kept=kept)


def section(panel, name):
    return next(each for each in panel.sections if type(each).__name__ == f"{name}Section")


def cells(table):
    return [
        [table.item(row, column).text() for column in range(table.columnCount)]
        for row in range(table.rowCount)
    ]


def finish(desk, run, seconds=400):
    desk.wait(lambda: not run.running, seconds)
    desk.process()


def masks_in(node):
    from MRISynthSegmentLib.mrml import segmentation_from_node
    from MRISynthSegmentLib.placed.mrml import grid_of

    return segmentation_from_node(node, grid_of(node)).masks


@pytest.mark.slow
def test_from_the_study_to_the_database_and_back_from_the_saved_scene(
    desk, study, clicker, patient, tmp_path
):
    from MRISynthSegmentLib import exports
    from MRISynthSegmentLib.clicked.mrml import ClickPoints
    from MRISynthSegmentLib.loading import load_any
    from MRISynthSegmentLib.placed.mrml import grid_of

    panel = desk.open("MRISynthSegment")
    parameters = panel.logic.getParameterNode()
    assert {row.sequence for row in panel.used} == {"T1w", "T2w", "CE-T1w"}

    # the shipped model finds tumour and organs
    parameters.model = "NPC-Structures"
    parameters.mirroredViews = False
    parameters.structures, parameters.structuresTouched = ["GTVp", *ORGANS], True
    desk.process()
    assert panel.ui.applyButton.enabled, panel.ui.applyButton.toolTip
    panel.ui.applyButton.click()
    finish(desk, panel.run)
    assert not desk.said
    node = parameters.segmentation
    found, truth = masks_in(node), patient.segmentation_masks
    for name in ORGANS:
        both = np.count_nonzero(found[name] & truth[name])
        dice = 2 * both / (np.count_nonzero(found[name]) + np.count_nonzero(truth[name]))
        assert dice > 0.5, name
    lines = cells(section(panel, "Result").ui.resultTable)
    assert [line[1] for line in lines][:2] == ["Primary gross tumour volume", "Brainstem"]
    assert all(" ml" in line[2] for line in lines)

    # one click adds to the tumour and to nothing else
    correction = section(panel, "Correction")
    if not next(m for m in panel.logic.models() if m.name == "NPC-Structures").metadata.get(
        "clicks"
    ):
        assert "takes no clicks" in correction.ui.addButton.toolTip
    parameters.model = clicker
    parameters.correctedStructure = "GTVp"
    desk.process()
    before = {name: mask.copy() for name, mask in found.items()}
    outside = np.argwhere(~before["GTVp"] & truth["Brain"])[1000]
    correction.ui.addButton.click()
    desk.process()
    k, j, i = (int(n) for n in outside)
    x, y, z, _ = grid_of(node).index_to_world @ (i, j, k, 1)
    ClickPoints(node).node.AddControlPointWorld(-x, -y, z)
    desk.process()
    finish(desk, correction.work)
    after = masks_in(node)
    assert after["GTVp"][k, j, i], correction.ui.correctionLabel.text
    for name in ORGANS:
        assert np.array_equal(after[name], before[name]), name
    correction.ui.addButton.click()

    # what it was before, as a file of others, compared with what it is now
    export = section(panel, "Export")
    export.ui.folderPathLineEdit.currentPath = str(tmp_path)

    def write(name):
        index = [each.name for each in exports.FORMATS].index(name)
        export.ui.formatComboBox.setCurrentIndex(index)
        desk.process()
        assert export.ui.exportButton.enabled, export.ui.exportButton.toolTip
        export.ui.exportButton.click()
        finish(desk, export.work)
        assert export.ui.exportLabel.text.startswith("Written: "), export.ui.exportLabel.text
        return export.ui.exportLabel.text.splitlines()[0].removeprefix("Written: ")

    correction.ui.undoButton.click()
    desk.process()
    assert np.array_equal(masks_in(node)["GTVp"], before["GTVp"])
    earlier = write("nii.gz")
    correction.ui.redoButton.click()
    desk.process()
    comparison = section(panel, "Comparison")
    desk.qt.QFileDialog.answer = earlier
    comparison.ui.loadButton.click()
    finish(desk, comparison.work)
    assert parameters.compareWith is not None, comparison.ui.comparisonLabel.text
    comparison.ui.compareButton.click()
    finish(desk, comparison.work)
    figures = {line[0]: float(line[1]) for line in cells(comparison.ui.comparisonTable)}
    assert figures["GTVp"] < 1 and all(figures[name] == 1 for name in ORGANS)

    # to the database and to a folder
    assert write("rtstruct") == "Slicer's DICOM database"
    (plan,) = study.kept.iterdir()
    header = pydicom.dcmread(plan)
    assert header.Modality == "RTSTRUCT" and str(header.PatientID) == "P1"
    kinds = {roi.ROIName: roi.ROIGenerationAlgorithm for roi in header.StructureSetROISequence}
    assert kinds["GTVp"] == "SEMIAUTOMATIC" and kinds["Brainstem"] == "AUTOMATIC"
    parameters.exportToDatabase = False
    again = load_any(write("dicom-seg"), grid_of(node), exact=True)
    for name, mask in after.items():
        assert np.array_equal(again.masks[name], mask), name

    # everything is there after saving and opening the scene
    path = str(tmp_path / "case.mrb")
    results = cells(section(panel, "Result").ui.resultTable)
    table = cells(comparison.ui.comparisonTable)
    assert desk.slicer.mrmlScene.WriteToMRB(path)
    desk.slicer.mrmlScene.Clear(0)
    desk.process()
    assert desk.slicer.mrmlScene.ReadFromMRB(path)
    panel = desk.open("MRISynthSegment", fresh=True)
    parameters = panel.logic.getParameterNode()
    assert cells(section(panel, "Result").ui.resultTable) == results
    assert cells(section(panel, "Comparison").ui.comparisonTable) == table
    assert list(parameters.structures) == ["GTVp", *ORGANS] and parameters.model == clicker
    reopened = masks_in(parameters.segmentation)
    for name, mask in after.items():
        assert np.array_equal(reopened[name], mask), name
    (click,) = ClickPoints(parameters.segmentation).clicks("GTVp")
    assert click.point == pytest.approx((x, y, z), abs=1e-3)
    assert Path(earlier).is_file() and not desk.said
