"""Section Review of module MRISynth: numbers, the difference map, and whether they still hold."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from panel_cases import cells, comparison_result, move
from panel_review_cases import SHAPE, add_pair, layout, lowest


@pytest.fixture
def panel(desk, jobs):
    return desk.open("MRISynth")


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


def contours(desk, real):
    """A segmentation with a GTVp, drawn on the real image, and the mask."""
    from MRISynthLib import mrml
    from MRISynthSegmentLib.mrml import segmentation_node_from
    from MRISynthSegmentLib.segmentation import Segmentation

    mask = np.zeros(SHAPE, bool)
    mask[2:4, 15:20, 15:20] = True
    drawn = Segmentation({"GTVp": mask}, mrml.volume_from_node(real))
    return segmentation_node_from(drawn, real, surfaces=False), mask


def erased(desk, node):
    desk.slicer.util.arrayFromVolume(node)[2, 10:30, 10:30] = 0
    desk.slicer.util.arrayFromVolumeModified(node)


def redrawn(desk, segments, real, mask):
    voxels = np.roll(mask, 1, axis=1).astype(np.uint8)
    desk.slicer.util.updateSegmentBinaryLabelmapFromArray(voxels, segments, "GTVp", real)


CHANGES = {
    "real voxels": lambda case: erased(case.desk, case.real),
    "synthetic voxels": lambda case: erased(case.desk, case.synthetic),
    "place": lambda case: move(case.desk, case.real),
    "place of the contours": lambda case: move(case.desk, case.segments),
    "contours": lambda case: redrawn(case.desk, case.segments, case.real, case.mask),
    "name of a segment": lambda case: (
        case.segments.GetSegmentation().GetNthSegment(0).SetName("GTVn")
    ),
    "no contours": lambda case: case.desk.slicer.mrmlScene.RemoveNode(case.segments),
    "alignment": lambda case: setattr(case.ui.alignCheckBox, "checked", True),
    "sequence": lambda case: case.panel.logic.inputs.set_chosen(case.real.GetID(), "STIR"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_numbers_of_what_has_changed_go_with_a_word_on_what_to_do(desk, panel, jobs, what):
    _t1w, real, synthetic = add_pair(desk)
    ui = panel.review.ui
    segments, mask = contours(desk, real)
    ui.segmentationSelector.setCurrentNode(segments)
    ui.compareButton.click()
    desk.process()
    jobs[0].finish(comparison_result(jobs[0], warnings=["Look."]))
    desk.process()
    desk.open("MRISynthSegment")
    desk.open("MRISynth")
    assert len(cells(ui.numbersTable)) == 2 and ui.numbersLabel.text == "Look."
    CHANGES[what](
        SimpleNamespace(
            desk=desk, panel=panel, ui=ui, real=real, synthetic=synthetic, segments=segments,
            mask=mask,
        )
    )  # fmt: skip
    desk.process()
    assert ui.numbersTable.isHidden() and not cells(ui.numbersTable)
    assert "press 'Compare in numbers' again" in ui.numbersLabel.text
    assert not ui.numbersLabel.isHidden() and "Look." not in ui.numbersLabel.text
    ui.differenceButton.click()  # nor is the old map shown as if it were of now
    desk.process()
    assert len(jobs) == 2 and panel.review.mode is None
    jobs[1].finish(comparison_result(jobs[1]))
    desk.process()
    assert cells(ui.numbersTable) and not ui.numbersLabel.text and not desk.said
    assert panel.review.mode == "difference"


def test_numbers_come_back_with_what_they_were_measured_of(desk, panel, jobs):
    _t1w, real, _synthetic = add_pair(desk)
    ui = panel.review.ui
    segments, _mask = contours(desk, real)
    ui.segmentationSelector.setCurrentNode(segments)
    ui.compareButton.click()
    desk.process()
    jobs[0].finish(comparison_result(jobs[0]))
    desk.process()
    ui.segmentationSelector.setCurrentNode(None)
    desk.process()
    assert ui.numbersTable.isHidden()
    ui.segmentationSelector.setCurrentNode(segments)
    desk.process()
    assert len(cells(ui.numbersTable)) == 2 and not ui.numbersLabel.text


@pytest.mark.parametrize("changed", [False, True], ids=["as it was", "changed elsewhere"])
def test_numbers_of_a_saved_scene_are_shown_if_they_still_hold(
    desk, panel, jobs, tmp_path, changed
):
    _t1w, real, _synthetic = add_pair(desk)
    ui = panel.review.ui
    ui.segmentationSelector.setCurrentNode(contours(desk, real)[0])
    ui.compareButton.click()
    desk.process()
    jobs[0].finish(comparison_result(jobs[0]))
    desk.process()
    if changed:
        desk.open("MRISynthSegment")
        erased(desk, real)
    path = str(tmp_path / "case.mrb")
    assert desk.slicer.mrmlScene.WriteToMRB(path, None)
    desk.slicer.mrmlScene.Clear(0)
    desk.process()
    assert desk.slicer.mrmlScene.ReadFromMRB(path)
    desk.open("MRISynth")
    assert len(cells(ui.numbersTable)) == (0 if changed else 2)
    assert bool(ui.numbersLabel.text) == changed


def test_the_difference_map_is_made_when_it_is_asked_for(desk, panel, jobs):
    add_pair(desk)
    ui = panel.review.ui
    ui.differenceButton.click()
    desk.process()
    jobs[0].finish(comparison_result(jobs[0]))
    desk.process()
    assert layout(desk) == 51303 and ui.differenceButton.checked
    shown = lowest(desk, 2)
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
