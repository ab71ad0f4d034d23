"""What is seen of contours and clicks in a slice view, pixel by pixel."""

# ruff: noqa: E402

from __future__ import annotations

import numpy as np
import pytest

from boxes_of_voxels import box

slicer = pytest.importorskip("slicer", reason="needs slicer-core (pip install mrisynth[scene])")

from MRISynthApp.scene.headless import HeadlessScene
from MRISynthApp.scene.render import RenderingUnavailable, render_view
from MRISynthLib import mrml
from MRISynthLib.volume import Volume
from MRISynthSegmentLib import mrml as segment_mrml
from MRISynthSegmentLib.clicked.mrml import ADDS_COLOUR, REMOVES_COLOUR, ClickPoints
from MRISynthSegmentLib.panel import FIRST_COLOUR, SECOND_COLOUR
from MRISynthSegmentLib.segmentation import Segmentation
from MRISynthSegmentLib.shown import mrml as shown

SIZE = (320, 320)
SHAPE = (5, 64, 64)
TUMOUR = box(SHAPE, (1, 4), (20, 40), (12, 32))


@pytest.fixture
def headless():
    with HeadlessScene() as scene:
        yield scene


@pytest.fixture
def image():
    """Grey all over, but for three rows that set the window."""
    voxels = np.full(SHAPE, 100.0, np.float32)
    voxels[:, 0], voxels[:, 1], voxels[:, -1] = 0, 50, 150
    return Volume(voxels, np.diag((2.0, 2.0, 4.0, 1.0)), name="t1")


@pytest.fixture
def node(headless, image):
    """One structure over the image in the Red view, in the slice in view."""
    background = mrml.node_from_volume(image, headless.scene)
    segmentation = Segmentation({"GTVp": TUMOUR}, image)
    found = segment_mrml.segmentation_node_from(segmentation, background, headless.scene)
    view = headless.slice_logic("Red")
    view.GetSliceCompositeNode().SetBackgroundVolumeID(background.GetID())
    mrml.place_view(view, background, focus_lps=(64.0, 64.0, 8.0))
    return found


def seen(headless):
    try:
        return render_view(headless, "Red", SIZE).astype(int)
    except RenderingUnavailable as error:
        pytest.skip(str(error))


def pixel_of(headless, image, k, j, i):
    """Row and column of a voxel in the picture."""
    node = headless.slice_logic("Red").GetSliceNode()
    x, y, z, _ = image.index_to_world @ (i, j, k, 1)
    to_view = slicer.vtkMRMLSliceNode.GetXYToRAS(node)
    matrix = np.reshape([to_view.GetElement(a, b) for a in range(4) for b in range(4)], (4, 4))
    xy = np.linalg.solve(matrix, (-x, -y, z, 1))
    scale = np.array(node.GetDimensions()[:2]) / SIZE
    return int(SIZE[1] - 1 - xy[1] / scale[1]), int(xy[0] / scale[0])


def like(picture, colour, tolerance=40):
    """Where the picture has this colour."""
    return np.abs(picture - 255 * np.array(colour)).max(-1) < tolerance


def test_fill_and_outline_follow_what_the_panel_says(headless, node, image):
    inside = pixel_of(headless, image, 2, 30, 22)
    outside = pixel_of(headless, image, 2, 30, 50)
    colour = np.array(node.GetSegmentation().GetSegment("GTVp").GetColor())

    def redness():
        picture = seen(headless)
        assert picture[outside][0] > 80 and np.ptp(picture[outside]) < 3, "grey lies beside it"
        return picture, picture[inside][0] - picture[inside][2]

    picture, full = redness()
    assert full > 15 and like(picture, colour).sum() > 50, "fill and outline"
    shown.set_look(node, fill=0.4, outlines=True, in_3d=False)
    picture, half = redness()
    assert 0.2 * full < half < 0.6 * full
    shown.set_look(node, fill=0.0, outlines=False, in_3d=False)
    picture, none = redness()
    assert none < 3 and not like(picture, colour).any()
    shown.set_look(node, fill=1.0, outlines=True, in_3d=False)
    shown.show_segments(node, (), ["GTVp"])
    assert redness()[1] < 3
    shown.show_segments(node, ["GTVp"])
    assert redness()[1] > 15


def test_two_outlines_are_told_apart_where_they_differ_and_where_they_agree(headless, node, image):
    moved = Segmentation({"GTVp": np.roll(TUMOUR, 12, axis=2)}, image)
    other = segment_mrml.segmentation_node_from(moved, scene=headless.scene)
    shown.show_outlines(node, other, {"GTVp": "GTVp"})
    picture = seen(headless)
    first, second = like(picture, FIRST_COLOUR), like(picture, SECOND_COLOUR)
    assert first.sum() > 100 and second.sum() > 50
    assert first.sum() > 1.5 * second.sum(), "the first is wider"
    row, column = pixel_of(headless, image, 2, 30, 18)
    assert np.ptp(picture[row, column]) < 3, "no fill lies over the image"
    shown.hide_outlines(other)
    shown.hide_outlines(node)
    picture = seen(headless)
    assert not like(picture, FIRST_COLOUR).any() and np.ptp(picture[row, column]) > 15


def test_clicks_are_seen_where_they_were_set_in_the_colour_of_what_they_do(headless, node, image):
    points = ClickPoints(node)
    for adds, (j, i), colour in (
        (True, (48, 50), ADDS_COLOUR),
        (False, (10, 50), REMOVES_COLOUR),
    ):
        x, y, z, _ = image.index_to_world @ (i, j, 2, 1)
        points.made().AddControlPointWorld(-x, -y, z)
        points.take_new("GTVp", adds)
        row, column = pixel_of(headless, image, 2, j, i)
        near = seen(headless)[row - 6 : row + 7, column - 6 : column + 7]
        assert like(near, colour, 60).sum() > 4, "add" if adds else "remove"
    points.show_only("Brainstem")
    picture = seen(headless)
    assert not like(picture, ADDS_COLOUR, 60).any()
