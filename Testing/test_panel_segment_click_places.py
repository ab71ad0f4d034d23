"""The panel of module MRISynthSegment: clicks change nothing where contours lie otherwise now."""

from __future__ import annotations

import numpy as np
import pytest

from panel_cases import move
from panel_segment_cases import (
    TUMOUR,
    answer,
    begin,
    click,
    crosses,
    mask_of,
    masks_in,
    section,
    shown_node,
)

LARGER = TUMOUR | mask_of((2, 3), (8, 10), (2, 7))


@pytest.fixture
def clicked(desk, jobs, drawn):
    """A click has made the tumour larger."""
    begin(desk, drawn)
    click(desk, drawn, 2, 9, 5)
    answer(desk, jobs[-1], LARGER)
    return drawn


def step(desk, panel, button):
    getattr(section(panel, "Correction").ui, button).click()
    desk.process()


def move_both(desk, panel):
    image = desk.slicer.util.getNode("t1_tse_tra")
    transform = move(desk, image, (8.0, 8.0, 4.0))
    shown_node(panel).SetAndObserveTransformNodeID(transform.GetID())
    desk.process()
    return image


@pytest.mark.parametrize(
    "way", ["together", "contours only", "image only", "hardened", "contours hardened"]
)
def test_a_click_is_not_taken_back_where_the_contours_do_not_lie_any_more(desk, jobs, clicked, way):
    node, image = shown_node(clicked), move_both(desk, clicked)
    if way == "contours only":
        image.SetAndObserveTransformNodeID(None)
    elif way == "image only":
        node.SetAndObserveTransformNodeID(None)
    elif way == "contours hardened":
        image.SetAndObserveTransformNodeID(None)
        node.HardenTransform()
    elif way == "hardened":
        node.HardenTransform()
        image.HardenTransform()
    desk.process()
    before = masks_in(clicked)["GTVp"]
    step(desk, clicked, "undoButton")
    assert np.array_equal(masks_in(clicked)["GTVp"], before)
    assert "was moved" in desk.said[-1] and crosses(node) == 1


def test_a_click_is_taken_back_when_all_lies_again_where_it_lay(desk, jobs, clicked):
    image = move_both(desk, clicked)
    step(desk, clicked, "undoButton")
    for each in (image, shown_node(clicked)):
        each.SetAndObserveTransformNodeID(None)
    desk.process()
    step(desk, clicked, "undoButton")
    assert np.array_equal(masks_in(clicked)["GTVp"], TUMOUR) and len(desk.said) == 1


def test_what_moves_while_a_click_is_computed_is_not_changed(desk, jobs, drawn):
    begin(desk, drawn)
    click(desk, drawn, 2, 9, 5)
    move_both(desk, drawn)
    answer(desk, jobs[-1], LARGER)
    assert np.array_equal(masks_in(drawn)["GTVp"], TUMOUR)
    assert "was moved" in section(drawn, "Correction").ui.correctionLabel.text
    assert crosses(shown_node(drawn)) == 0


def test_after_a_move_add_begins_anew_and_says_nothing_of_ticks(desk, jobs, clicked):
    move_both(desk, clicked)
    asked = len(jobs)
    click(desk, clicked, 2, 5, 5)
    text = section(clicked, "Correction").ui.correctionLabel.text
    assert "was moved" in text and "tick" not in text and len(jobs) == asked
    begin(desk, clicked)
    begin(desk, clicked)
    click(desk, clicked, 2, 5, 5)
    answer(desk, jobs[-1], TUMOUR)
    assert np.array_equal(masks_in(clicked)["GTVp"], TUMOUR)
    step(desk, clicked, "undoButton")
    assert np.array_equal(masks_in(clicked)["GTVp"], LARGER) and not desk.said


def test_what_reaches_beyond_the_image_is_not_cut_off_by_a_click(desk, jobs, drawn):
    from MRISynthLib.volume import Volume
    from MRISynthSegmentLib.labelmaps.mrml import replace_mask
    from MRISynthSegmentLib.placed.mrml import grid_of
    from MRISynthSegmentLib.shown.mrml import size_of

    node = shown_node(drawn)
    wide = grid_of(node).index_to_world.copy()
    wide[:3, 3] -= wide[:3, :3] @ (10, 10, 5)
    theirs = np.zeros((15, 32, 30), bool)
    theirs[2:12, 5:25, 5:25] = True
    replace_mask(node, "GTVp", theirs, Volume(theirs, wide))

    def voxels():
        return size_of(node.GetSegmentation().GetSegment("GTVp"))[0]

    correction, count = begin(desk, drawn), voxels()
    click(desk, drawn, 2, 9, 5)
    assert "reaches beyond t1_tse_tra" in correction.ui.correctionLabel.text
    assert voxels() == count and [job.task for job in jobs] == ["segmentation"]
    drawn.logic.getParameterNode().correctedStructure = "Brainstem"
    drawn.logic.getParameterNode().correctExclusive = True
    desk.process()
    click(desk, drawn, 2, 9, 5)
    answer(desk, jobs[-1], TUMOUR)
    assert "reaches beyond" in correction.ui.correctionLabel.text and voxels() == count
    drawn.logic.getParameterNode().correctExclusive = False
    click(desk, drawn, 2, 9, 5)
    answer(desk, jobs[-1], TUMOUR)
    assert np.array_equal(masks_in(drawn)["Brainstem"], TUMOUR) and voxels() == count


def test_what_is_drawn_in_finer_voxels_does_not_become_coarse_by_a_click(desk, jobs, clicked):
    from MRISynthLib.volume import Volume
    from MRISynthSegmentLib.labelmaps.mrml import replace_mask
    from MRISynthSegmentLib.placed.mrml import grid_of
    from MRISynthSegmentLib.shown.mrml import size_of

    node = shown_node(clicked)
    finer = grid_of(node).index_to_world @ np.diag((0.5, 0.5, 0.5, 1.0))
    mine = np.kron(TUMOUR, np.ones((2, 2, 2))) > 0
    mine[::2, ::2, ::2] = False  # as with an oversampled source geometry in the Segment Editor
    replace_mask(node, "GTVp", mine, Volume(mine, finer))
    click(desk, clicked, 2, 5, 5)
    assert "finer voxels" in section(clicked, "Correction").ui.correctionLabel.text
    step(desk, clicked, "undoButton")
    assert "finer voxels" in desk.said[-1]
    assert size_of(node.GetSegmentation().GetSegment("GTVp"))[0] == np.count_nonzero(mine)
