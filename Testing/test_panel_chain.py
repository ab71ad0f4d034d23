"""The whole way of a user through both panels with the shipped models in the real process: images,
a synthetic sequence, review, contours, a correction, a comparison, export, and the saved scene.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest

from panel_cases import cells, tick_input

SECONDS = 600
"""For each step, on a busy machine."""

CHOSEN = ("GTVp", "Brain", "Brainstem")


def load_sample(desk, panel):
    panel.ui.loadSampleButton.click()


def around_the_skull_base(volume, low=-45.0, high=30.0):
    """What lies between two heights (LPS mm) of a head, for the networks' sake."""
    matrix = volume.index_to_world.copy()
    size = np.array(volume.shape[::-1])
    axis = int(np.argmax(np.abs(matrix[2, :3])))
    middle = (matrix @ np.append((size - 1) / 2, 1))[2]
    heights = middle + matrix[2, axis] * (np.arange(size[axis]) - (size[axis] - 1) / 2)
    kept = np.flatnonzero((heights > low) & (heights < high))
    matrix[:3, 3] += kept[0] * matrix[:3, axis]
    return volume.replace(voxels=volume.voxels.take(kept, 2 - axis), index_to_world=matrix)


def load_head(folder):
    def load(desk, panel):
        from MRISynthLib import io
        from MRISynthLib.mrml import node_from_volume

        for file in ("T1w.nii.gz", "T2w.nii.gz"):
            image = io.load_one(folder / file)
            # Slicer gives a node the file's name, and nothing of what we know of the image
            plain = around_the_skull_base(image).replace(sequence=None, acquisition={})
            node_from_volume(plain, name=file.removesuffix(".nii.gz"))

    return load


@pytest.fixture(params=["the simulated patient", "a real head"])
def load(request):
    if request.param == "the simulated patient":
        return load_sample
    return load_head(request.getfixturevalue("shared_data") / "mr_adi")


def masks_in(node):
    from MRISynthSegmentLib.mrml import segmentation_from_node
    from MRISynthSegmentLib.placed.mrml import grid_of

    return segmentation_from_node(node, grid_of(node)).masks


def checked(desk, panel):
    desk.wait(lambda: panel.checks.prepared(panel.used, panel.inputOptions()), SECONDS)
    desk.process()


def applied(desk, panel):
    assert panel.ui.applyButton.enabled, panel.ui.applyButton.toolTip
    panel.ui.applyButton.click()
    desk.wait(lambda: not panel.busy, SECONDS)
    desk.process(5)


def finish(desk, work):
    desk.wait(lambda: not work.running, SECONDS)
    desk.process()


def exported(desk, export, kind):
    from MRISynthSegmentLib import exports

    export.ui.formatComboBox.setCurrentIndex([each.name for each in exports.FORMATS].index(kind))
    desk.process()
    if kind == "dicom-mr":
        assert "patient" in export.ui.exportButton.toolTip.lower()
        export.ui.nobodyCheckBox.checked = True
        desk.process()
    assert export.ui.exportButton.enabled, export.ui.exportButton.toolTip
    export.ui.exportButton.click()
    finish(desk, export.work)
    text = export.ui.exportLabel.text
    assert text.startswith("Written: "), text
    return text.splitlines()[0].removeprefix("Written: ")


@pytest.mark.slow
def test_from_images_to_contours_and_back_from_the_saved_scene(desk, load, tmp_path):
    from MRISynthSegmentLib.clicked.mrml import ClickPoints
    from MRISynthSegmentLib.loading import load_any
    from MRISynthSegmentLib.placed.mrml import grid_of

    scene = desk.slicer.mrmlScene
    panel = desk.open("MRISynth")
    load(desk, panel)
    checked(desk, panel)
    assert [row.sequence for row in panel.used] == ["T1w", "T2w"]
    assert "CE-T1w" in panel.targets.ui.understoodLabel.text

    applied(desk, panel)
    parameters = panel.logic.getParameterNode()
    synthetic, real = parameters.syntheticVolume, parameters.realVolume
    assert synthetic.GetName().startswith("SYNTHETIC CE-T1w")
    voxels = desk.slicer.util.arrayFromVolume(synthetic)
    assert voxels.shape == desk.slicer.util.arrayFromVolume(real).shape and voxels.std() > 10
    panel.ui.continueButton.click()

    panel = desk.open("MRISynthSegment")
    assert [row.sequence for row in panel.used] == ["T1w", "T2w", "CE-T1w"]
    parameters = panel.logic.getParameterNode()
    parameters.structures, parameters.structuresTouched = list(CHOSEN), True
    parameters.mirroredViews = False
    checked(desk, panel)
    applied(desk, panel)
    first = parameters.segmentation
    found = masks_in(first)
    assert found["Brain"].any() and found["Brainstem"].any()
    assert "synthetic" in panel.ui.messageLabel.text

    # a click beside the brainstem changes that alone, and can be taken back
    correction = panel.correction
    parameters.correctedStructure = "Brainstem"
    desk.process()
    place = np.argwhere(found["Brainstem"])
    k, j, i = (int(n) for n in place[np.argmin(place[:, 2])])
    assert not found["Brainstem"][k, j, i - 3]
    correction.ui.addButton.click()
    desk.process()
    x, y, z, _ = grid_of(first).index_to_world @ (i - 3, j, k, 1)
    ClickPoints(first).node.AddControlPointWorld(-x, -y, z)
    desk.process()
    finish(desk, correction.work)
    corrected = masks_in(first)
    assert corrected["Brainstem"][k, j, i - 3], correction.ui.correctionLabel.text
    assert np.array_equal(corrected["Brain"], found["Brain"])
    correction.ui.addButton.click()

    # contours without the synthetic image, compared with those on it
    tick_input(desk, panel, synthetic.GetName(), False)
    parameters.newSegmentation = True
    desk.process()
    checked(desk, panel)
    applied(desk, panel)
    second = parameters.segmentation
    assert second is not first and [row.sequence for row in panel.used] == ["T1w", "T2w"]
    parameters.compareWith = first
    desk.process()
    comparison = next(s for s in panel.sections if type(s).__name__ == "ComparisonSection")
    comparison.ui.compareButton.click()
    finish(desk, comparison.work)
    figures = {line[0]: line[1] for line in cells(comparison.ui.comparisonTable)}
    # others may be found with the synthetic image alone, or not at all
    assert 0.9 < float(figures["Brain"]) < 1 and 0.7 < float(figures["Brainstem"]) < 1

    # contours as files, and the synthetic series for other programs, which makes up nobody's name
    export = next(s for s in panel.sections if type(s).__name__ == "ExportSection")
    export.ui.folderPathLineEdit.currentPath = str(tmp_path)
    parameters.exportImage = synthetic
    again = load_any(exported(desk, export, "nii.gz"), grid_of(second), exact=True).masks
    assert np.array_equal(again["Brain"], masks_in(second)["Brain"])
    files = sorted(Path(exported(desk, export, "dicom-mr")).rglob("*.dcm"))
    assert len(files) == len(voxels)
    header = pydicom.dcmread(files[0])
    assert str(header.SeriesDescription).startswith("SYNTHETIC")
    assert "ContrastBolusAgent" not in header

    # everything is there after saving and opening the scene
    path = str(tmp_path / "case.mrb")
    names = first.GetName(), second.GetName(), synthetic.GetName()
    result, table = (
        cells(each) for each in (panel.result.ui.resultTable, comparison.ui.comparisonTable)
    )
    assert scene.WriteToMRB(path)
    scene.Clear(0)
    desk.process()
    assert scene.ReadFromMRB(path)
    panel = desk.open("MRISynthSegment", fresh=True)
    parameters = panel.logic.getParameterNode()
    first, second, synthetic = (desk.slicer.util.getNode(name) for name in names)
    assert parameters.segmentation is second and parameters.compareWith is first
    assert np.array_equal(masks_in(first)["Brainstem"], corrected["Brainstem"])
    assert cells(panel.result.ui.resultTable) == result
    comparison = next(s for s in panel.sections if type(s).__name__ == "ComparisonSection")
    assert cells(comparison.ui.comparisonTable) == table
    assert np.array_equal(desk.slicer.util.arrayFromVolume(synthetic), voxels)
    panel = desk.open("MRISynth", fresh=True)
    assert panel.logic.getParameterNode().syntheticVolume is synthetic
    rows = {row.name: row for row in panel.logic.inputs.rows()}
    assert rows[names[2]].synthetic and rows[names[2]].sequence == "CE-T1w"
    assert not desk.said
