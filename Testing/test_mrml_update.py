"""Drawing some structures anew in a segmentation node that the user has worked on."""

# ruff: noqa: E402

from __future__ import annotations

import numpy as np
import pytest

import boxes_of_voxels

slicer = pytest.importorskip("slicer", reason="needs slicer-core (pip install mrisynth[scene])")

import vtk

from MRISynthApp.scene.headless import HeadlessScene
from MRISynthLib import mrml
from MRISynthLib.errors import InputError
from MRISynthLib.node_attributes import provenance_of
from MRISynthLib.provenance import Provenance
from MRISynthLib.volume import Volume, matrix_from_parts
from MRISynthSegmentLib import corrections
from MRISynthSegmentLib import mrml as segment_mrml
from MRISynthSegmentLib.labelmaps import mrml as labelmaps
from MRISynthSegmentLib.segmentation import Segmentation

REAL = Provenance(False, "segmentation", inputs=({"sequence": "T1w", "name": "a"},), bundle="old")
MIXED = Provenance(
    True,
    "segmentation",
    inputs=({"sequence": "T1w", "name": "a"}, {"sequence": "CE-T1w", "synthetic": True}),
    bundle="new",
)
SURFACE = "Closed surface"


@pytest.fixture(scope="module")
def headless():
    with HeadlessScene() as scene:
        yield scene


def box(volume, *sides):
    return boxes_of_voxels.box(volume.shape, *sides)


@pytest.fixture
def first(small_volume):
    """Three structures, two of which share a layer."""
    masks = {
        "Brain": box(small_volume, (0, 6), (2, 18), (0, 24)),
        "GTVp": box(small_volume, (2, 4), (8, 12), (8, 12)),
        "Eye_L": box(small_volume, (3, 5), (3, 6), (18, 22)),
        "Eye_R": box(small_volume, (3, 5), (3, 6), (2, 6)),
    }
    doubt = {"Brain": 0.02, "GTVp": 0.3, "Eye_L": 0.1, "Eye_R": 0.1}
    return Segmentation(masks, small_volume, REAL, ("Look at slice 3.",), doubt)


@pytest.fixture
def again(small_volume):
    """What another run finds: all of them elsewhere, and one more."""
    masks = {
        "Brain": box(small_volume, (1, 6), (3, 17), (1, 23)),
        "GTVp": box(small_volume, (1, 4), (3, 7), (14, 22)),  # over what was an eye
        "Eye_L": box(small_volume, (2, 5), (2, 6), (17, 22)),
        "Eye_R": np.zeros(small_volume.shape, bool),
        "Lens_L": box(small_volume, (3, 4), (3, 4), (19, 20)),
    }
    return Segmentation(masks, small_volume, MIXED, ("Not found: Eye_R.",), {"GTVp": 0.2})


@pytest.fixture
def node(headless, first):
    reference = mrml.node_from_volume(first.reference, headless.scene)
    return segment_mrml.segmentation_node_from(first, reference, headless.scene)


def draw(node, name, mask, reference, grid=None):
    """As the Segment Editor does: a label map into a segment, made if it is not there."""
    content = node.GetSegmentation()
    segment_id = content.GetSegmentIdBySegmentName(name) or content.AddEmptySegment("", name)
    image = labelmaps.oriented_image(mask, grid or reference)
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    assert logic.SetBinaryLabelmapToSegment(image, node, segment_id, logic.MODE_REPLACE)


def masks_of(node, reference):
    return segment_mrml.segmentation_from_node(node, reference).masks


def test_what_a_model_drew_is_not_taken_for_edited(node, first):
    assert segment_mrml.edited_structures(node) == ()
    back = segment_mrml.segmentation_from_node(node, first.reference)
    assert dict(back.doubt) == pytest.approx(dict(first.doubt))


def test_what_the_user_drew_or_edited_survives_a_run_of_everything(node, first, again):
    eye = first.masks["Eye_L"] ^ box(first.reference, (4, 5), (5, 6), (18, 19))
    mine = box(first.reference, (0, 2), (6, 9), (3, 20))
    draw(node, "Eye_L", eye, first.reference)
    draw(node, "Mine", mine, first.reference)
    assert segment_mrml.edited_structures(node) == ("Eye_L", "Mine")
    put = segment_mrml.update_segmentation_node(node, again)
    assert put == ("Brain", "GTVp", "Eye_R", "Lens_L")
    found = masks_of(node, first.reference)
    assert list(found) == ["Brain", "GTVp", "Eye_L", "Eye_R", "Mine", "Lens_L"]
    assert np.array_equal(found["Eye_L"], eye) and np.array_equal(found["Mine"], mine)
    for name in put:
        assert np.array_equal(found[name], again.masks[name]), name
    assert segment_mrml.edited_structures(node) == ("Eye_L", "Mine")


def test_only_the_named_structures_change_and_an_edited_one_if_it_is_named(node, first, again):
    eye = first.masks["Eye_L"] ^ box(first.reference, (4, 5), (5, 6), (18, 19))
    draw(node, "Eye_L", eye, first.reference)
    segment_mrml.update_segmentation_node(node, again, ["GTVp"])
    found = masks_of(node, first.reference)
    assert np.array_equal(found["GTVp"], again.masks["GTVp"])
    assert np.array_equal(found["Eye_L"], eye) and "Lens_L" not in found
    for name in ("Brain", "Eye_R"):
        assert np.array_equal(found[name], first.masks[name]), name
    segment_mrml.update_segmentation_node(node, again, ["Eye_L"])
    assert np.array_equal(masks_of(node, first.reference)["Eye_L"], again.masks["Eye_L"])
    assert segment_mrml.edited_structures(node) == ()


def test_colours_names_and_opacities_of_segments_are_kept(node, first, again):
    display, content = node.GetDisplayNode(), node.GetSegmentation()
    content.GetSegment("GTVp").SetColor(0.1, 0.2, 0.3)
    display.SetSegmentOpacity2DFill("GTVp", 0.77)
    display.SetSegmentVisibility("Brain", False)
    display.SetOpacity2DFill(0.4)
    segment_mrml.update_segmentation_node(node, again)
    assert content.GetSegmentIDs()[:4] == ("Brain", "GTVp", "Eye_L", "Eye_R")
    assert content.GetSegment("GTVp").GetColor() == pytest.approx((0.1, 0.2, 0.3))
    assert display.GetSegmentOpacity2DFill("GTVp") == 0.77
    assert not display.GetSegmentVisibility("Brain") and display.GetSegmentVisibility("Lens_L")
    assert display.GetOpacity2DFill() == 0.4
    assert 0 < display.GetSegmentOpacity2DFill("Lens_L") < 0.6


def test_surfaces_follow_and_those_of_others_are_not_made_again(node, again):
    content = node.GetSegmentation()
    before = {
        name: content.GetSegment(name).GetRepresentation(SURFACE) for name in ("Brain", "GTVp")
    }
    bounds = before["GTVp"].GetBounds()
    made = before["Brain"].GetMTime()
    segment_mrml.update_segmentation_node(node, again, ["GTVp", "Eye_R", "Lens_L"])
    after = content.GetSegment("GTVp").GetRepresentation(SURFACE)
    assert after.GetNumberOfPoints() > 10 and after.GetBounds() != bounds
    assert content.GetSegment("Brain").GetRepresentation(SURFACE) is before["Brain"]
    assert before["Brain"].GetMTime() == made
    assert content.GetSegment("Eye_R").GetRepresentation(SURFACE).GetNumberOfPoints() == 0
    assert content.GetSegment("Lens_L").GetRepresentation(SURFACE).GetNumberOfPoints() > 3


def test_views_are_told_of_the_change(node, again):
    seen = []
    node.AddObserver(slicer.vtkSegmentation.RepresentationModified, lambda *_: seen.append(1))
    segment_mrml.update_segmentation_node(node, again, ["GTVp"])
    assert seen


def test_a_segment_drawn_on_a_finer_grid_keeps_every_voxel(node, first, again):
    reference = first.reference
    matrix = matrix_from_parts(reference.spacing / 2, reference.direction, reference.origin)
    finer = Volume(np.zeros([2 * n - 1 for n in reference.shape], np.uint8), matrix)
    mask = np.random.default_rng(0).random(finer.shape) > 0.7
    draw(node, "Fine", mask, reference, finer)
    segment_mrml.update_segmentation_node(node, again)
    assert np.array_equal(masks_of(node, finer)["Fine"], mask)
    assert np.array_equal(masks_of(node, reference)["GTVp"], again.masks["GTVp"])


def test_a_moved_segmentation_gets_its_structures_where_they_lie_in_the_world(
    headless, node, first, again
):
    shift = headless.scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    matrix = vtk.vtkMatrix4x4()
    step = first.reference.direction[:, 2] * first.reference.spacing[2] * (-1, -1, 1)
    for axis, value in enumerate(step):
        matrix.SetElement(axis, 3, value)
    shift.SetMatrixTransformToParent(matrix)
    node.SetAndObserveTransformNodeID(shift.GetID())
    segment_mrml.update_segmentation_node(node, again, ["GTVp"])
    found = masks_of(node, first.reference)
    assert np.array_equal(found["GTVp"], again.masks["GTVp"])
    assert np.array_equal(found["Eye_R"][4], first.masks["Eye_R"][3])  # went with the transform


def test_what_was_edited_is_known_after_saving_and_loading(headless, node, first, tmp_path):
    draw(node, "Eye_L", ~first.masks["Brain"], first.reference)
    path = str(tmp_path / "kept.seg.nrrd")
    storage = node.CreateDefaultStorageNode()
    headless.scene.AddNode(storage)
    storage.SetFileName(path)
    assert storage.WriteData(node)
    loaded = headless.scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "loaded")
    other = loaded.CreateDefaultStorageNode()
    headless.scene.AddNode(other)
    other.SetFileName(path)
    assert other.ReadData(loaded)
    assert segment_mrml.edited_structures(loaded) == ("Eye_L",)
    back = segment_mrml.segmentation_from_node(loaded, first.reference)
    assert back.doubt.keys() == {"Brain", "GTVp", "Eye_R"}


def test_a_correction_by_clicks_counts_as_edited(node, first, again):
    mask = first.masks["GTVp"] | box(first.reference, (2, 4), (8, 12), (12, 14))
    clicked = corrections.corrected(first, {"GTVp": mask})
    segment_mrml.update_segmentation_node(node, clicked, ["GTVp"])
    assert segment_mrml.edited_structures(node) == ("GTVp",)
    assert "GTVp" not in segment_mrml.update_segmentation_node(node, again)
    assert np.array_equal(masks_of(node, first.reference)["GTVp"], mask)


def test_the_node_says_all_inputs_and_warnings_of_both_runs(node, first, again):
    segment_mrml.update_segmentation_node(node, again, ["GTVp"])
    back = segment_mrml.segmentation_from_node(node, first.reference)
    assert back.provenance.synthetic and back.provenance.bundle == "new"
    assert [item["sequence"] for item in back.provenance.inputs] == ["T1w", "CE-T1w"]
    assert back.warnings == ("Not found: Eye_R.", "Look at slice 3.")
    segment = node.GetSegmentation().GetSegment("GTVp")
    text = vtk.reference("")
    segment.GetTag("MRISynth.Inputs", text)
    assert "SYNTHETIC CE-T1w" in str(text)
    segment_mrml.update_segmentation_node(node, again)
    back = segment_mrml.segmentation_from_node(node, first.reference)
    assert back.warnings == ("Not found: Eye_R.",) and back.provenance == MIXED


def test_what_would_be_lost_or_cannot_be_told_apart_is_refused(headless, node, first, again):
    content = node.GetSegmentation()
    content.SetSourceRepresentationName(SURFACE)
    with pytest.raises(InputError, match="is kept as closed surface"):
        segment_mrml.update_segmentation_node(node, again)
    content.SetSourceRepresentationName("Binary labelmap")
    content.GetSegment("Eye_L").SetName("Eye_R")
    with pytest.raises(InputError, match="two segments named Eye_R"):
        segment_mrml.update_segmentation_node(node, again)
    content.GetSegment("Eye_L").SetName("Eye_L")
    spline = headless.scene.AddNewNodeByClass("vtkMRMLTransformNode")
    spline.SetAndObserveTransformToParent(vtk.vtkThinPlateSplineTransform())
    node.SetAndObserveTransformNodeID(spline.GetID())
    with pytest.raises(InputError, match="not linear"):
        segment_mrml.update_segmentation_node(node, again)
    with pytest.raises(InputError, match="choose a segmentation"):
        segment_mrml.update_segmentation_node(None, again)


# ------------------------------------------------------------------------------- in portions


@pytest.mark.parametrize("portions", range(1, 6))
def test_an_update_that_is_given_up_puts_back_what_was_there(node, first, again, portions):
    eye = first.masks["Eye_L"] ^ box(first.reference, (4, 5), (5, 6), (18, 19))
    draw(node, "Eye_L", eye, first.reference)  # by the user
    before, said = masks_of(node, first.reference), provenance_of(node)
    steps = segment_mrml.update_steps(node, again, again.masks)
    for _ in range(portions):
        next(steps)
    steps.close()
    after = masks_of(node, first.reference)
    assert list(after) == list(before)
    for name, mask in before.items():
        assert np.array_equal(after[name], mask), name
    assert segment_mrml.edited_structures(node) == ("Eye_L",) and provenance_of(node) == said
    assert node.GetSegmentation().ContainsRepresentation("Closed surface")
    assert segment_mrml.update_segmentation_node(node, again, again.masks) == tuple(again.masks)


def test_what_the_user_does_while_a_result_comes_in_is_not_overwritten(node, first, again):
    content, steps = node.GetSegmentation(), segment_mrml.update_steps(node, again)
    next(steps)  # the brain is there; the others come
    mine = box(first.reference, (2, 3), (9, 11), (9, 11))
    draw(node, "GTVp", mine, first.reference)
    content.GetSegment("Eye_L").SetName("Eye of the left side")
    content.RemoveSegment("Eye_R")
    with pytest.raises(StopIteration) as end:
        while True:
            next(steps)
    assert end.value.value == ("Brain", "Eye_L", "Eye_R", "Lens_L")
    found = masks_of(node, first.reference)
    assert np.array_equal(found["GTVp"], mine)
    assert np.array_equal(found["Eye of the left side"], first.masks["Eye_L"])
    assert np.array_equal(found["Eye_L"], again.masks["Eye_L"])
    assert not found["Eye_R"].any()


def test_a_new_segmentation_that_is_given_up_leaves_nothing(headless, first):
    reference = mrml.node_from_volume(first.reference, headless.scene)
    there = headless.scene.GetNumberOfNodes()
    for portions in range(1, 5):
        steps = segment_mrml.segmentation_node_steps(first, reference, headless.scene)
        for _ in range(portions):
            next(steps)
        steps.close()
        assert headless.scene.GetNumberOfNodes() == there
