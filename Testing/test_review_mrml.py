"""Real and synthetic volumes together in a Slicer scene: what the views show and say."""

# ruff: noqa: E402

from __future__ import annotations

import numpy as np
import pytest

slicer = pytest.importorskip("slicer", reason="needs slicer-core (pip install mrisynth[scene])")

import vtk

from MRISynthApp.scene.headless import HeadlessScene
from MRISynthLib import mrml
from MRISynthLib.errors import InputError
from MRISynthLib.provenance import Provenance
from MRISynthLib.review import modes
from MRISynthLib.review.derived import derived_provenance
from MRISynthLib.review.mrml import (
    ReviewDisplay,
    add_derived,
    derived_node,
    uncertainty_of,
)
from MRISynthLib.review.plot.mrml import POSITION, ProfilePlot
from MRISynthLib.review.regions.mrml import segment_masks
from MRISynthLib.views import ONE_VIEW, OWN_LAYOUTS, SIDE_BY_SIDE, WITH_PLOT
from MRISynthSegmentLib.mrml import segmentation_node_from
from MRISynthSegmentLib.segmentation import Segmentation
from review_scenes import PROVENANCE, amber, halves, layout_of, pictures_of, two_discs


@pytest.fixture
def headless():
    with HeadlessScene() as scene:
        yield scene


@pytest.fixture
def view(headless):
    return pictures_of(headless)


@pytest.fixture
def volumes():
    return two_discs()


@pytest.fixture
def nodes(headless, volumes):
    return tuple(mrml.node_from_volume(volume, headless.scene) for volume in volumes)


@pytest.fixture
def review(headless, nodes):
    display = ReviewDisplay(headless.application_logic)
    yield display
    display.release()


def of_kind(volume, kind, voxels):
    provenance = Provenance.from_dict({**PROVENANCE.to_dict(), "kind": kind})
    return volume.with_voxels(voxels, provenance=provenance, name=f"T2w {kind}")


def composite(headless, name):
    return headless.slice_logic(name).GetSliceCompositeNode()


# ---------------------------------------------------------------- modes


def test_every_mode_marks_what_is_synthetic_and_only_that(headless, view, nodes, review, volumes):
    real, synthetic = nodes
    mrml.node_from_volume(of_kind(volumes[1], "uncertainty", volumes[1].voxels / 10))
    add_derived(of_kind(volumes[1], "difference", volumes[1].voxels / 500), real, synthetic)
    marked = {
        modes.SIDE_BY_SIDE: [False, True],
        modes.BLEND: [True],
        modes.FLICKER: [False],
        modes.CHECKERBOARD: [True],
        modes.DIFFERENCE: [False, True, True],
        modes.UNCERTAINTY: [False, True],
    }
    assert tuple(marked) == modes.MODES
    for mode, expected in marked.items():
        review.show(mode, real, synthetic)
        assert [amber(view(name)) for name in review.views] == expected, mode
        assert (
            layout_of(headless)
            == (ONE_VIEW if len(expected) == 1 else SIDE_BY_SIDE[len(expected)]).id
        )
    # with a plot below, in the same views
    review.show(modes.BLEND, real, synthetic, plot=True)
    assert layout_of(headless) == WITH_PLOT[1].id and review.views == ONE_VIEW.views


def test_real_beside_synthetic_is_linked_and_equally_bright(headless, view, nodes, review):
    review.show(modes.SIDE_BY_SIDE, *nodes)
    assert [composite(headless, n).GetBackgroundVolumeID() for n in review.views] == [
        node.GetID() for node in nodes
    ]
    assert all(composite(headless, name).GetLinkedControl() for name in review.views)
    left, right = (halves(view(name)) for name in review.views)
    assert left[0] > 240 and left[1] < 100 and right == pytest.approx(left[::-1], abs=3)


def test_the_window_of_one_is_that_of_the_other(nodes, review):
    real, synthetic = (node.GetDisplayNode() for node in nodes)
    review.show(modes.SIDE_BY_SIDE, *nodes)
    start = [(d.GetWindowLevelMin(), d.GetWindowLevelMax()) for d in (real, synthetic)]
    assert start == [pytest.approx((300, 900), rel=0.02), pytest.approx((30, 90), rel=0.02)]
    real.SetWindowLevelMinMax(450, 600)  # a quarter to the middle of its range
    assert (synthetic.GetWindowLevelMin(), synthetic.GetWindowLevelMax()) == pytest.approx((45, 60))
    synthetic.SetWindowLevelMinMax(30, 60)
    assert (real.GetWindowLevelMin(), real.GetWindowLevelMax()) == pytest.approx((300, 600))
    review.show(modes.BLEND, *nodes)  # another way of looking keeps it
    assert real.GetWindowLevelMax() == pytest.approx(600)
    review.release()
    real.SetWindowLevelMinMax(0, 1)
    assert synthetic.GetWindowLevelMax() == pytest.approx(60)


def test_a_window_that_was_chosen_before_is_the_one_of_both(nodes, review):
    real, synthetic = (node.GetDisplayNode() for node in nodes)

    def windows():
        return [(d.GetWindowLevelMin(), d.GetWindowLevelMax()) for d in (real, synthetic)]

    real.SetWindowLevelMinMax(450, 600)
    review.show(modes.SIDE_BY_SIDE, *nodes)
    assert windows() == [pytest.approx((450, 600)), pytest.approx((45, 60))]
    review.release()
    synthetic.SetWindowLevelMinMax(30, 60)  # looked at alone; the scan's own is kept
    review.show(modes.SIDE_BY_SIDE, *nodes)
    assert windows() == [pytest.approx((450, 600)), pytest.approx((45, 60))]
    review.release()
    real.SetAutoWindowLevel(1)  # nobody chose this one
    synthetic.SetWindowLevelMinMax(30, 60)
    review.show(modes.SIDE_BY_SIDE, *nodes)
    assert windows() == [pytest.approx((300, 600)), pytest.approx((30, 60))]
    assert not real.GetAutoWindowLevel(), "Slicer would change it by itself"


def test_hounsfield_units_of_one_are_those_of_the_other(headless, volumes, review):
    scan, made = (volume.with_voxels(volume.voxels * 2 - 700) for volume in volumes)
    real = mrml.node_from_volume(scan.replace(sequence=None), headless.scene)
    synthetic = mrml.node_from_volume(made.replace(sequence="CT"), headless.scene)
    real.GetDisplayNode().SetAutoWindowLevel(0)
    real.GetDisplayNode().SetWindowLevelMinMax(-100, 300)  # of its DICOM headers
    review.show(modes.SIDE_BY_SIDE, real, synthetic)
    display = synthetic.GetDisplayNode()
    window = display.GetWindowLevelMin(), display.GetWindowLevelMax()
    assert window == pytest.approx((-100, 300))


def test_blending_goes_from_one_image_to_the_other(view, nodes, review):
    review.show(modes.BLEND, *nodes, opacity=0.0)
    (name,) = review.views
    real = halves(view(name))
    assert not amber(view(name))  # nothing synthetic is seen
    review.set_opacity(1.0)
    synthetic = halves(view(name))
    review.set_opacity(0.5)
    between = halves(view(name))
    assert real == pytest.approx(synthetic[::-1], abs=3) and abs(real[0] - real[1]) > 100
    assert between == pytest.approx(np.mean([real, synthetic], axis=0), abs=4)
    assert amber(view(name))


def test_flicker_turns_over_and_the_mark_comes_with_the_synthetic_image(view, nodes, review):
    review.show(modes.FLICKER, *nodes)
    (name,) = review.views
    real = halves(view(name))
    assert review.turn_over() is True
    assert halves(view(name)) == pytest.approx(real[::-1], abs=3) and amber(view(name))
    assert review.turn_over() is False
    assert halves(view(name)) == real and not amber(view(name))
    review.turn_over()
    review.show(modes.SIDE_BY_SIDE, *nodes)  # leaving in the middle leaves nothing behind
    assert [amber(view(name)) for name in review.views] == [False, True]


def test_checkerboard_follows_its_fields(view, nodes, review):
    review.show(modes.CHECKERBOARD, *nodes, tile_mm=10)
    small = view(review.views[0])
    review.show(modes.CHECKERBOARD, *nodes, tile_mm=40)
    large = view(review.views[0])
    changes = [np.count_nonzero(np.diff((p[210, 30:270, 0] > 128).astype(int))) for p in
               (small, large)]  # fmt: skip
    assert changes[0] >= 5 > changes[1]
    slicer.util.arrayFromVolume(nodes[0])[:] = 0
    slicer.util.arrayFromVolumeModified(nodes[0])
    review.show(modes.CHECKERBOARD, *nodes, tile_mm=40)
    assert not np.array_equal(view(review.views[0]), large)  # what changed is seen
    scene = nodes[0].GetScene()
    boards = [
        node
        for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode", scene)
        if "checkerboard" in node.GetName()
    ]
    assert len(boards) == 1 and boards[0].GetName().startswith("SYNTHETIC")
    assert boards[0] is derived_node("checkerboard", *nodes)


def test_maps_have_colours_and_a_legend(view, nodes, review, volumes):
    real, synthetic = nodes
    with pytest.raises(InputError, match="Compare the two volumes first"):
        review.show(modes.DIFFERENCE, real, synthetic)
    with pytest.raises(InputError, match="no uncertainty map"):
        review.show(modes.UNCERTAINTY, real, synthetic)
    ramp = np.broadcast_to(np.linspace(0, 0.2, 80), volumes[1].shape).astype(np.float32)
    add_derived(of_kind(volumes[1], "difference", ramp), real, synthetic)
    review.show(modes.DIFFERENCE, real, synthetic)
    picture = view(review.views[2]).astype(int)
    middle = picture[180, 20:240]
    luminance = middle @ (0.299, 0.587, 0.114)
    assert luminance[0] < 30 and luminance[-1] > 150  # black to nearly white, always brighter
    assert (np.diff(luminance) > -2).all()
    assert (middle[:, 0] - middle[:, 2]).max() > 100  # over red
    bar = picture[100:200, 285:]
    assert np.ptp(bar.reshape(-1, 3).sum(axis=1)) > 500  # the legend has black and white
    assert not amber(view(review.views[0]))
    mrml.node_from_volume(of_kind(volumes[1], "uncertainty", ramp * 1000))
    review.show(modes.UNCERTAINTY, real, synthetic, opacity=1.0)
    picture = view(review.views[1]).astype(int)
    assert np.ptp(picture[210, 20:70], axis=-1).max() < 6  # what is certain is not covered
    assert np.ptp(picture[210, 160:240], axis=-1).max() > 40
    assert np.ptp(picture[100:200, 285:].reshape(-1, 3).sum(axis=1)) > 500


def test_the_legend_is_there_as_long_as_its_map(headless, view, nodes, review, volumes):
    real, synthetic = nodes
    expected = of_kind(volumes[1], "uncertainty", volumes[1].voxels)
    uncertainty = mrml.node_from_volume(expected, headless.scene)

    def legend():
        node = headless.scene.GetFirstNodeByClass("vtkMRMLColorLegendDisplayNode")
        return node is not None and bool(node.GetVisibility())

    review.show(modes.SIDE_BY_SIDE, real, synthetic)
    without = view(review.views[1])
    review.show(modes.UNCERTAINTY, real, synthetic, opacity=0.0)
    assert not np.array_equal(view(review.views[1]), without) and legend()
    composite(headless, "MRISynth2").SetForegroundVolumeID(real.GetID())  # another module's doing
    assert not legend()
    composite(headless, "MRISynth2").SetForegroundVolumeID(uncertainty.GetID())
    assert legend()
    review.show(modes.SIDE_BY_SIDE, real, synthetic)
    assert np.array_equal(view(review.views[1]), without) and not legend()
    review.show(modes.UNCERTAINTY, real, synthetic)
    review.release()
    assert not legend()
    review.show(modes.UNCERTAINTY, real, synthetic)
    headless.scene.RemoveNode(uncertainty)
    review.show(modes.SIDE_BY_SIDE, real, synthetic)
    assert np.array_equal(view(review.views[1]), without)


def test_the_display_knows_whether_its_pair_is_still_shown(headless, nodes, review, volumes):
    real, synthetic = nodes
    for mode in (modes.SIDE_BY_SIDE, modes.BLEND, modes.CHECKERBOARD):
        review.show(mode, real, synthetic, plot=mode == modes.BLEND)
        assert review.is_shown
    composite(headless, "MRISynth1").SetBackgroundVolumeID(real.GetID())
    assert not review.is_shown
    review.show(modes.BLEND, real, synthetic)
    mrml.set_layout(SIDE_BY_SIDE[2], headless.scene)  # as from the toolbar
    assert not review.is_shown


def test_what_is_not_the_pair_is_neither_blended_nor_turned_over(headless, nodes, review, volumes):
    real, synthetic = nodes
    review.show(modes.BLEND, real, synthetic, opacity=0.3)
    growing = mrml.node_from_volume(volumes[1], headless.scene)
    views = review.views
    mrml.set_overlay(growing, views, opacity=1.0, application_logic=headless.application_logic)
    review.set_opacity(0.6)
    assert not review.turn_over() and not review.overlay_is_shown
    assert composite(headless, views[0]).GetForegroundOpacity() == 1.0
    composite(headless, views[0]).SetForegroundVolumeID(synthetic.GetID())
    review.set_opacity(0.6)
    assert composite(headless, views[0]).GetForegroundOpacity() == 0.6


def test_another_pair_needs_its_own_map(nodes, review, volumes):
    real, synthetic = nodes
    add_derived(of_kind(volumes[1], "difference", volumes[1].voxels), real, synthetic)
    again = mrml.node_from_volume(volumes[0], synthetic.GetScene())
    assert derived_node("difference", again, synthetic) is None
    with pytest.raises(InputError):
        review.show(modes.DIFFERENCE, again, synthetic)
    other = Provenance.from_dict({**PROVENANCE.to_dict(), "kind": "uncertainty", "seed": 7})
    mrml.node_from_volume(volumes[1].replace(provenance=other))
    assert uncertainty_of(synthetic) is None  # of another run
    with pytest.raises(InputError, match="two different volumes"):
        review.show(modes.BLEND, real, real)


def test_the_place_in_view_stays_from_mode_to_mode(headless, nodes, review):
    review.show(modes.SIDE_BY_SIDE, *nodes)
    for name in review.views:
        node = headless.slice_logic(name).GetSliceNode()
        node.SetFieldOfView(40, 40, 1)
        node.JumpSliceByCentering(-12, 7, 2)

    def place():
        node = headless.slice_logic(review.views[-1]).GetSliceNode()
        matrix = node.GetSliceToRAS()
        scale = node.GetFieldOfView()[0] / node.GetDimensions()[0]
        return [round(matrix.GetElement(i, 3), 3) for i in range(3)], round(scale, 6)

    before = place()
    for mode in (modes.BLEND, modes.CHECKERBOARD, modes.SIDE_BY_SIDE):
        review.show(mode, *nodes)
        assert place() == before, mode
    review.show(modes.BLEND, *nodes, orientation="Sagittal")
    matrix = headless.slice_logic(review.views[0]).GetSliceNode().GetSliceToRAS()
    assert abs(matrix.GetElement(0, 2)) == pytest.approx(1)


def test_one_crosshair_is_in_all_views(view, nodes, review):
    review.show(modes.SIDE_BY_SIDE, *nodes)
    before = [view(name).astype(int) for name in review.views]
    review.set_crosshair(True)
    for name, picture in zip(review.views, before, strict=True):
        changed = np.abs(view(name).astype(int) - picture).sum(axis=-1) > 20
        assert changed[:, 145:155].any(axis=1).sum() > 150  # upright, through the middle
    review.set_crosshair(False)
    for name, picture in zip(review.views, before, strict=True):
        assert np.array_equal(view(name), picture)


def test_layouts_have_views_and_numbers_of_their_own(headless):
    node = headless.scene.GetFirstNodeByClass("vtkMRMLLayoutNode")
    assert len({layout.id for layout in OWN_LAYOUTS}) == len(OWN_LAYOUTS)
    for layout in OWN_LAYOUTS:
        xml = node.GetLayoutDescription(layout.id)
        assert all(f'singletontag="{name}"' in xml for name in layout.views)
        assert xml.count("vtkMRMLPlotViewNode") == (layout in WITH_PLOT.values())


# ---------------------------------------------------------------- regions


def test_segments_are_masks_where_they_lie(headless, nodes, volumes):
    grid = volumes[0]
    masks = {name: np.zeros(grid.shape, bool) for name in ("GTVp", "Brain", "empty")}
    masks["GTVp"][2:4, 10:14, 20:30] = True
    masks["Brain"][1:6, 5:60, 5:60] = True
    node = segmentation_node_from(Segmentation(masks, grid), nodes[0], surfaces=False)
    found = {mask.name: mask for mask in segment_masks(node)}
    assert set(found) == {"GTVp", "Brain"}
    place = np.argwhere(found["GTVp"].voxels)[:, ::-1]
    world = place @ found["GTVp"].index_to_world[:3, :3].T + found["GTVp"].index_to_world[:3, 3]
    expected = np.argwhere(masks["GTVp"])[:, ::-1] @ grid.index_to_world[:3, :3].T
    assert np.allclose(world, expected + grid.index_to_world[:3, 3])
    assert found["GTVp"].shape == (4, 6, 12), "no empty voxel around it: half of one is lost"


def test_segments_that_share_a_label_map_are_told_apart_and_moved_with_it(headless, nodes, volumes):
    scene, grid = headless.scene, volumes[0]
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    node.SetReferenceImageGeometryParameterFromVolumeNode(nodes[0])
    drawn = {"left": np.s_[0:2, 10:14, 20:30], "right": np.s_[0:2, 10:14, 30:33]}
    for name, box in drawn.items():
        mask = np.zeros(grid.shape, np.uint8)
        mask[box] = 1
        segment = node.GetSegmentation().AddEmptySegment(name, name)
        slicer.util.updateSegmentBinaryLabelmapFromArray(mask, node, segment, nodes[0])
    node.GetSegmentation().CollapseBinaryLabelmaps(False)
    assert node.GetSegmentation().GetNumberOfLayers() == 1
    before = {mask.name: mask for mask in segment_masks(node)}
    assert {name: (mask.shape, mask.voxels.sum()) for name, mask in before.items()} == {
        "left": ((4, 6, 12), 80),
        "right": ((4, 6, 5), 24),
    }
    transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    matrix = vtk.vtkMatrix4x4()
    matrix.SetElement(2, 3, 5.0)
    transform.SetMatrixTransformToParent(matrix)
    node.SetAndObserveTransformNodeID(transform.GetID())
    for mask in segment_masks(node):
        moved = mask.index_to_world[:3, 3] - before[mask.name].index_to_world[:3, 3]
        assert np.allclose(moved, (0, 0, 5)) and mask.shape == before[mask.name].shape


# ---------------------------------------------------------------- line profile


def column(plot, name):
    data = plot.table.GetTable().GetColumnByName(name)
    return np.array([data.GetValue(row) for row in range(data.GetNumberOfValues())])


def test_the_plot_follows_the_line(headless, nodes, review):
    review.show(modes.SIDE_BY_SIDE, *nodes, plot=True)
    plot = ProfilePlot(*nodes, review.views[0], headless.application_logic)
    try:
        for x, end in ((20.0, 0), (-20.0, 1)):  # RAS: from the patient's right to the left
            plot.line.SetNthControlPointPositionWorld(end, x, 0, 0)
        assert column(plot, POSITION)[[0, -1]] == pytest.approx((0, 40))
        real, synthetic = (column(plot, node.GetName()) for node in nodes)
        # the real image is white on the patient's right, the synthetic one on the left
        assert real[[2, -2]] == pytest.approx((1, 0), abs=0.02)
        assert synthetic[[2, -2]] == pytest.approx((0, 1), abs=0.02)
        plot.line.SetNthControlPointPositionWorld(1, 10, 0, 0)
        assert column(plot, POSITION)[-1] == pytest.approx(10)
        assert column(plot, nodes[0].GetName()) == pytest.approx(1, abs=0.02)
        assert "SYNTHETIC T2w from T1w by a-model" in plot.chart.GetTitle()
        assert "Not for clinical decisions" in plot.chart.GetTitle()
        shown = headless.scene.GetFirstNodeByClass("vtkMRMLPlotViewNode")
        assert shown.GetPlotChartNodeID() == plot.chart.GetID()
    finally:
        plot.release()
    rows = len(column(plot, POSITION))
    plot.line.SetNthControlPointPositionWorld(1, -35, 0, 0)
    assert len(column(plot, POSITION)) == rows  # nobody follows it now
    assert not plot.line.GetDisplayNode().GetVisibility()


def test_a_second_plot_uses_the_line_and_the_chart_that_are_there(headless, nodes, review):
    review.show(modes.SIDE_BY_SIDE, *nodes, plot=True)
    first = ProfilePlot(*nodes, review.views[0], headless.application_logic)
    ends = np.array(first.ends_lps())
    assert np.linalg.norm(ends[1] - ends[0]) > 30
    first.release()
    second = ProfilePlot(*nodes, review.views[0], headless.application_logic)
    second.release()
    assert second.line is first.line and second.chart is first.chart
    assert np.allclose(second.ends_lps(), ends)
    for name in ("vtkMRMLMarkupsLineNode", "vtkMRMLPlotChartNode", "vtkMRMLTableNode"):
        assert headless.scene.GetNumberOfNodesByClass(name) == 1
    assert headless.scene.GetNumberOfNodesByClass("vtkMRMLPlotSeriesNode") == 2


def test_a_plot_of_an_image_that_was_bent_shows_nothing_old_and_says_why(headless, nodes, review):
    review.show(modes.SIDE_BY_SIDE, *nodes, plot=True)
    nodes[0].SetName("")
    plot = ProfilePlot(*nodes, review.views[0], headless.application_logic)
    try:
        assert len(column(plot, "Image without a name"))
        title = plot.chart.GetTitle()
        bent = headless.scene.AddNewNodeByClass("vtkMRMLBSplineTransformNode")
        nodes[0].SetAndObserveTransformNodeID(bent.GetID())
        assert not plot.table.GetTable().GetNumberOfColumns()
        assert "not linear" in plot.chart.GetTitle() or "transform" in plot.chart.GetTitle()
        nodes[0].SetAndObserveTransformNodeID(None)
        assert len(column(plot, "Image without a name"))
        assert plot.chart.GetTitle() == title
    finally:
        plot.release()
        nodes[0].SetAndObserveTransformNodeID(None)


# ---------------------------------------------------------------- what is kept


def test_derived_provenance_is_synthetic_if_any_source_is(volumes):
    real, synthetic = volumes
    assert derived_provenance("difference", real, synthetic).synthetic
    assert not derived_provenance("difference", real, real).synthetic


def test_a_saved_scene_comes_back_with_maps_line_and_plot(
    headless, nodes, review, volumes, tmp_path
):
    from MRISynthApp.scene.demo_scene import load_mrb, save_mrb

    difference = add_derived(of_kind(volumes[1], "difference", volumes[1].voxels), *nodes)
    difference.SetAttribute("MRISynth.Comparison", '{"a": "b; c"}')
    review.show(modes.DIFFERENCE, *nodes, plot=True)
    plot = ProfilePlot(*nodes, review.views[0], headless.application_logic)
    ends = np.array(plot.ends_lps())
    plot.release()
    save_mrb(headless, tmp_path / "scene.mrb")
    with HeadlessScene() as again:
        load_mrb(again, tmp_path / "scene.mrb")
        names = {n.GetName(): n for n in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")}
        pair = names["T2w"], names["SYNTHETIC T2w"]
        found = derived_node("difference", *pair)
        assert found is names["SYNTHETIC T2w difference"]
        assert found.GetAttribute("MRISynth.Comparison") == '{"a": "b; c"}'
        display = ReviewDisplay(again.application_logic)
        display.show(modes.DIFFERENCE, *pair, plot=True)
        later = ProfilePlot(*pair, display.views[0], again.application_logic)
        assert np.allclose(later.ends_lps(), ends, atol=1e-3)
        for name in ("MarkupsLine", "PlotChart", "ColorLegendDisplay"):
            assert again.scene.GetNumberOfNodesByClass(f"vtkMRML{name}Node") == 1
        assert again.scene.GetNumberOfNodesByClass("vtkMRMLPlotSeriesNode") == 2
        later.release()
        display.release()
