"""What can be seen on the pictures, asserted on their pixels."""

# ruff: noqa: E402

from __future__ import annotations

import numpy as np
import pytest

slicer = pytest.importorskip("slicer", reason="needs slicer-core (pip install mrisynth[scene])")

import vtk

from MRISynthApp.scene import render
from MRISynthApp.scene.headless import HeadlessScene
from MRISynthApp.scene.render import RenderingUnavailable, render_3d, render_slice, render_view
from MRISynthLib.mrml import node_from_volume
from MRISynthLib.provenance import Provenance
from MRISynthLib.volume import Volume, matrix_from_parts
from MRISynthSegmentLib.mrml import segmentation_node_from
from MRISynthSegmentLib.segmentation import Segmentation
from MRISynthSegmentLib.structures import STRUCTURES

SIZE = (320, 280)
HEAD, BALL, LEFT_SPOT = 400.0, 700.0, 1000.0


@pytest.fixture(scope="module")
def headless():
    with HeadlessScene() as scene:
        try:
            render.off_screen_window()
        except RenderingUnavailable as error:
            pytest.skip(str(error))
        yield scene


def ellipsoid(shape, matrix, centre, radii):
    index = np.indices(shape)[::-1].reshape(3, -1)
    world = matrix[:3, :3] @ index + matrix[:3, 3:]
    inside = (((world.T - centre) / radii) ** 2).sum(axis=1) < 1
    return inside.reshape(shape)


@pytest.fixture(scope="module")
def phantom():
    """A head (elliptic) with a ball in front and a bright spot on the patient's left.

    Thick slices, and stored from superior to inferior and left to right, so that an upright
    picture needs the geometry.
    """
    shape, spacing = (24, 110, 120), (1.5, 1.5, 6.0)
    matrix = matrix_from_parts(spacing, np.diag((-1.0, 1.0, -1.0)), (90.0, -82.0, 69.0))
    voxels = np.zeros(shape, np.float32)
    voxels[ellipsoid(shape, matrix, (0, 0, 0), (60, 75, 66))] = HEAD
    voxels[ellipsoid(shape, matrix, (0, -40, 0), (14, 14, 14))] = BALL
    voxels[ellipsoid(shape, matrix, (35, 0, 0), (6, 6, 13))] = LEFT_SPOT
    return Volume(voxels, matrix, sequence="T1w", name="T1w")


@pytest.fixture(scope="module")
def real_node(headless, phantom):
    node = node_from_volume(phantom, headless.scene)
    node.GetDisplayNode().SetWindowLevelMinMax(0, 1000)
    return node


@pytest.fixture(scope="module")
def synthetic_node(headless, phantom):
    provenance = Provenance(
        synthetic=True,
        sequence="CE-T1w",
        inputs=({"sequence": "T1w"}, {"sequence": "T2w"}),
        bundle="a-model-with-a-very-long-name-that-must-not-be-cut-off",
        bundle_version="1.0",
        bundle_hash="0123456789abcdef",
    )
    volume = phantom.replace(sequence="CE-T1w", name="CE-T1w", provenance=provenance)
    node = node_from_volume(volume, headless.scene)
    node.GetDisplayNode().SetWindowLevelMinMax(0, 1000)
    return node


@pytest.fixture(scope="module")
def structures(headless, phantom, real_node):
    grid = phantom.shape, phantom.index_to_world
    masks = {
        "Brain": ellipsoid(*grid, (0, 0, 0), (50, 60, 50)),
        "GTVp": ellipsoid(*grid, (0, -40, 0), (14, 14, 14)),
        "Eye_L": ellipsoid(*grid, (30, 30, 0), (10, 10, 12)),
    }
    return segmentation_node_from(Segmentation(masks, phantom), real_node, headless.scene)


def amber(image):
    """Pixels in the colour of the SYNTHETIC mark."""
    red, green, blue = (image[..., i].astype(int) for i in range(3))
    return (red > 150) & (green > 100) & (red - blue > 90) & (red - green < 110) & (green < 215)


def near(image, colour, tolerance=40):
    wanted = np.asarray(colour) * 255
    return (np.abs(image.astype(float) - wanted) < tolerance).all(axis=-1)


def centre_of(pixels):
    rows, columns = np.nonzero(pixels)
    return rows.mean(), columns.mean()


def inner(pixels, margin=40):
    """Without the border, where the letters and the scale bar are."""
    kept = np.zeros_like(pixels)
    kept[margin:-margin, margin:-margin] = pixels[margin:-margin, margin:-margin]
    return kept


def grey_level(image, fraction):
    """Pixels of about this fraction of white, without colour."""
    return near(image, (fraction,) * 3, 12) & (np.ptp(image.astype(int), axis=-1) < 6)


def test_the_image_is_upright_and_in_radiological_convention(headless, real_node):
    image = render_slice(headless, real_node, focus_lps=(0, 0, 0), size=SIZE)
    assert image.shape == (SIZE[1], SIZE[0], 3) and image.dtype == np.uint8
    row, column = centre_of(inner(grey_level(image, LEFT_SPOT / 1000)))
    assert column > SIZE[0] / 2 + 20  # the patient's left is on the right
    assert abs(row - SIZE[1] / 2) < 6
    row, column = centre_of(inner(grey_level(image, BALL / 1000)))
    assert row < SIZE[1] / 2 - 20  # the front is at the top
    assert abs(column - SIZE[0] / 2) < 6


@pytest.mark.parametrize("orientation", ["Axial", "Sagittal", "Coronal"])
def test_pictures_keep_the_aspect_ratio(headless, real_node, orientation):
    extents = {"Axial": (120, 150), "Sagittal": (150, 132), "Coronal": (120, 132)}[orientation]
    image = render_slice(
        headless, real_node, orientation=orientation, focus_lps=(0, 0, 0), size=(400, 400)
    )
    head = image[..., 0] > 40
    rows, columns = head[:, 130:270].sum(axis=0), head[130:270].sum(axis=1)
    height, width = rows.max(), columns.max()
    assert width / height == pytest.approx(extents[0] / extents[1], rel=0.05)


def test_scale_bar_is_to_scale(headless, real_node):
    """5 cm of the bar are 5 cm of the head."""
    image = render_slice(headless, real_node, focus_lps=(0, 0, 0), size=(400, 400))
    head = image[200, 24:-24, 0] > 40
    pixels_per_mm = head.sum() / 120
    without = render_slice(
        headless, real_node, focus_lps=(0, 0, 0), size=(400, 400), scale_bar=False
    )
    bar = np.abs(image.astype(int) - without).sum(axis=-1) > 30
    assert np.nonzero(bar)[0].min() > 350  # at the bottom
    line = bar.sum(axis=1).max()
    # Slicer chooses a length of its own; it is a whole number of centimetres.
    centimetres = line / pixels_per_mm / 10
    assert centimetres == pytest.approx(round(centimetres), abs=0.2) and centimetres > 0.8


def test_only_synthetic_images_carry_the_mark(headless, real_node, synthetic_node):
    real = render_slice(headless, real_node, size=SIZE)
    synthetic = render_slice(headless, synthetic_node, size=SIZE)
    assert not amber(real).any()
    marked = amber(synthetic)
    assert marked.sum() > 300
    rows, columns = np.nonzero(marked)
    assert rows.max() < SIZE[1] * 0.55 and columns.max() < SIZE[0] * 0.5
    # Whole: the text ends before the picture does, on every side.
    assert rows.min() >= 2 and columns.min() >= 2
    assert not amber(render_slice(headless, real_node, size=SIZE)).any()  # and it goes again


def test_a_real_image_is_named(headless, real_node):
    corner = render_slice(headless, real_node, size=SIZE)[:30, :60]
    assert (corner.min(axis=-1) > 200).sum() > 20


def test_a_synthetic_overlay_is_marked_too(headless, real_node, synthetic_node):
    faint = render_slice(
        headless, real_node, foreground=synthetic_node, foreground_opacity=0.2, size=SIZE
    )
    assert amber(faint).sum() > 300
    hidden = render_slice(
        headless, real_node, foreground=synthetic_node, foreground_opacity=0, size=SIZE
    )
    assert not amber(hidden).any()


def test_overlay_is_mixed_by_its_opacity(headless, real_node, phantom):
    inverse = node_from_volume(
        phantom.with_voxels(1000 - phantom.voxels, name="inverse"), headless.scene
    )
    inverse.GetDisplayNode().SetWindowLevelMinMax(0, 1000)
    means = []
    for opacity in (0.0, 0.5, 1.0):
        image = render_slice(
            headless, real_node, foreground=inverse, foreground_opacity=opacity, size=SIZE
        )
        means.append(image[SIZE[1] // 2 + 20, SIZE[0] // 2 - 20].mean())  # inside the head
    assert means[0] == pytest.approx(HEAD / 1000 * 255, abs=3)
    assert means[2] == pytest.approx((1000 - HEAD) / 1000 * 255, abs=3)
    assert means[1] == pytest.approx((means[0] + means[2]) / 2, abs=3)


def test_structures_lie_over_a_visible_image(headless, real_node, structures):
    focus = (0, -40, 0)
    plain = render_slice(headless, real_node, focus_lps=focus, size=SIZE).astype(float)
    image = render_slice(
        headless, real_node, focus_lps=focus, segmentations=[structures], size=SIZE
    ).astype(float)
    colour = np.asarray(STRUCTURES["GTVp"].colour)
    outline = near(image, colour, 45)
    assert outline.sum() > 60
    row, column = (round(value) for value in centre_of(outline))
    under, over = plain[row, column], image[row, column]
    assert under.min() > 100  # the ball is bright there
    assert over[0] - over[1] > 40  # reddened
    assert over[1] > 0.3 * under[1]  # and still seen: not painted over
    # Outside the structures nothing changes.
    changed = np.abs(image - plain).max(axis=-1) > 4
    assert 0.02 < changed.mean() < 0.7
    rows = np.nonzero(changed)[0]
    assert rows.min() > 20 and rows.max() < SIZE[1] - 20


def test_structures_are_drawn_only_when_asked_for(headless, real_node, structures):
    before = structures.GetDisplayNode().GetVisibility()
    with_them = render_slice(headless, real_node, segmentations=[structures], size=SIZE)
    without = render_slice(headless, real_node, size=SIZE)
    assert (np.ptp(with_them.astype(int), axis=-1) > 30).any()
    assert (np.ptp(without.astype(int), axis=-1) < 8).all()
    assert structures.GetDisplayNode().GetVisibility() == before


def test_sides_of_structures(headless, real_node, structures):
    image = render_slice(
        headless, real_node, focus_lps=(0, 0, 0), segmentations=[structures], size=SIZE
    )
    row, column = centre_of(near(image, STRUCTURES["Eye_L"].colour, 30))
    assert column > SIZE[0] / 2 and row > SIZE[1] / 2  # left, and this one lies behind


def test_width_in_mm_magnifies_around_the_focus(headless, real_node):
    image = render_slice(
        headless, real_node, focus_lps=(35, 0, 0), width_mm=48, size=(240, 240), scale_bar=False
    )
    spot = inner(grey_level(image, LEFT_SPOT / 1000))
    row, column = centre_of(spot)
    assert (row, column) == pytest.approx((119.5, 119.5), abs=4)
    assert np.ptp(np.nonzero(spot)[1]) + 1 == pytest.approx(12 / 48 * 240, rel=0.15)


def test_3d_shows_the_tumour_through_the_brain(headless, structures):
    image = render_3d(headless, segmentations=[structures], size=(240, 240))
    reddish = (image[..., 0].astype(int) - image[..., 1]) > 60
    assert reddish.sum() > 100
    brain = (image.max(axis=-1) > 8) & ~reddish
    assert brain.sum() > 5 * reddish.sum()
    corners = image[:20, :20]
    assert corners.max() == 0  # black around it
    display = structures.GetDisplayNode()
    display.SetSegmentVisibility("Brain", False)
    bare = render_3d(headless, segmentations=[structures], size=(240, 240))
    display.SetSegmentVisibility("Brain", True)
    assert (bare.max(axis=-1) > 8).sum() < (image.max(axis=-1) > 8).sum()


def test_3d_can_show_a_slice_and_marks_it_if_synthetic(headless, structures, synthetic_node):
    plain = render_3d(headless, segmentations=[structures], size=(240, 240))
    image = render_3d(
        headless, segmentations=[structures], slice_of=synthetic_node, size=(240, 240)
    )
    assert amber(image[:120, :120]).sum() > 100 > amber(plain[:120, :120]).sum()
    nodes = headless.scene.GetNodesByClass("vtkMRMLViewNode")
    names = [nodes.GetItemAsObject(i).GetName() for i in range(nodes.GetNumberOfItems())]
    assert not any("Picture" in name for name in names)  # nothing left in the scene


def test_a_view_of_the_scene_is_drawn_without_being_changed(headless, real_node):
    logic = headless.slice_logic("Red")
    logic.GetSliceCompositeNode().SetBackgroundVolumeID(real_node.GetID())
    logic.ResizeSliceNode(300, 200)
    logic.FitSliceToBackground()
    before = logic.GetSliceNode().GetDimensions(), logic.GetSliceNode().GetFieldOfView()
    image = render_view(headless, "Red", SIZE)
    assert (image[60:-60, 80:-80] > 60).mean() > 0.3
    assert (logic.GetSliceNode().GetDimensions(), logic.GetSliceNode().GetFieldOfView()) == before


def test_pictures_of_an_empty_view_are_black(headless, structures):
    structures.GetDisplayNode().SetVisibility(False)
    headless.slice_logic("Green").GetSliceCompositeNode().SetBackgroundVolumeID(None)
    image = render_view(headless, "Green", SIZE)
    structures.GetDisplayNode().SetVisibility(True)
    assert (image.max(axis=-1) > 20).mean() < 0.02  # letters at most


def test_a_machine_that_cannot_draw_is_told_what_to_install(headless, monkeypatch):
    monkeypatch.setattr(render, "_osmesa_loads", lambda: False)
    monkeypatch.setattr(vtk, "vtkRenderWindow", vtk.vtkOSOpenGLRenderWindow)
    with pytest.raises(RenderingUnavailable, match="install libegl1"):
        render_view(headless, "Red", SIZE)


def test_png_is_whole_or_absent(tmp_path):
    from PIL import Image

    picture = np.random.default_rng(0).integers(0, 255, (20, 30, 3), dtype=np.uint8)
    render.save_png(picture, tmp_path / "picture.png")
    assert np.array_equal(np.asarray(Image.open(tmp_path / "picture.png")), picture)
    with pytest.raises((TypeError, KeyError, ValueError)):
        render.save_png(picture.astype(object), tmp_path / "bad.png")
    assert [path.name for path in tmp_path.iterdir()] == ["picture.png"]
