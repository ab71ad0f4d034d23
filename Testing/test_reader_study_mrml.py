"""Images of a reader study in a Slicer scene: nothing in the view tells which kind they are."""

# ruff: noqa: E402

from __future__ import annotations

import numpy as np
import pytest

slicer = pytest.importorskip("slicer", reason="needs slicer-core (pip install mrisynth[scene])")

from MRISynthApp.scene.headless import HeadlessScene
from MRISynthLib import mrml
from MRISynthLib.reader_study.images import NAME, StudyCase
from MRISynthLib.reader_study.mrml import StudyView, put_right
from MRISynthLib.reader_study.plan import REAL, SYNTHETIC
from MRISynthLib.review import modes
from MRISynthLib.review.mrml import ReviewDisplay
from MRISynthLib.views import SIDE_BY_SIDE, STUDY_LAYOUT
from MRISynthLib.volume import matrix_from_parts
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


@pytest.fixture
def study(headless):
    shown = StudyView(headless.application_logic)
    yield shown
    shown.release()


def study_nodes(headless):
    return [
        node
        for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode", headless.scene)
        if node.GetName() == NAME
    ]


def test_the_study_shows_both_kinds_alike(headless, view, study, volumes):
    """Real and synthetic images that are the same picture give the same picture and node."""
    ramp = np.linspace(900, 300, 80).astype(np.int16)  # bright on the left
    real = volumes[0].with_voxels(np.where(volumes[0].voxels > 0, ramp, 0))
    same = real.with_voxels(
        (real.voxels * 0.1).astype(np.float32), provenance=PROVENANCE, name="SYNTHETIC"
    )
    case = StudyCase("p", real, same)
    pictures, said = [], []
    for truth in (REAL, SYNTHETIC):
        study.show(case.image(truth, 4))
        pictures.append(view(STUDY_LAYOUT.views[0]))
        (node,) = study_nodes(headless)
        said.append([(key, node.GetAttribute(key)) for key in node.GetAttributeNames()])
        assert node.GetHideFromEditors() and not node.GetSaveWithScene()
    assert np.array_equal(*pictures)
    left, right = halves(pictures[0])
    assert left > right + 30 > 60
    assert said[0] == said[1]
    assert "T2w" not in str(said) and "a-model" not in str(said)
    assert layout_of(headless) == STUDY_LAYOUT.id


def test_no_other_view_loses_its_mark_during_a_study_or_after(
    headless, view, nodes, review, study, volumes
):
    review.show(modes.SIDE_BY_SIDE, *nodes)
    case = StudyCase("p", *volumes)
    study.show(case.image(SYNTHETIC, 4))
    assert amber(view(review.views[1]))
    # the study's own view says of every image that it may be synthetic
    for truth in (REAL, SYNTHETIC):
        study.show(case.image(truth, 4))
        assert amber(view(STUDY_LAYOUT.views[0]))
    study.release()
    assert not study_nodes(headless)
    assert layout_of(headless) == SIDE_BY_SIDE[2].id
    assert amber(view(review.views[1])) and not amber(view(review.views[0]))
    # and a synthetic volume that is put into the study's view afterwards is marked there as well
    logic = headless.slice_logic(STUDY_LAYOUT.views[0])
    logic.GetSliceCompositeNode().SetBackgroundVolumeID(nodes[1].GetID())
    assert amber(view(STUDY_LAYOUT.views[0]))


def test_black_and_white_start_anew_with_each_image_and_contours_are_hidden(
    headless, view, nodes, study, volumes
):
    masks = {"GTVp": np.zeros(volumes[0].shape, bool)}
    masks["GTVp"][2:7, 20:60, 20:60] = True
    contours = segmentation_node_from(Segmentation(masks, volumes[0]), nodes[0], surfaces=False)
    case = StudyCase("p", *volumes)
    study.show(case.image(REAL, 4))
    first = view(STUDY_LAYOUT.views[0])
    assert np.ptp(first[150:].astype(int), axis=-1).max() < 12  # no colours: no contours
    study_nodes(headless)[0].GetDisplayNode().SetWindowLevelMinMax(0, 100)
    study.show(case.image(REAL, 4))
    assert np.array_equal(view(STUDY_LAYOUT.views[0]), first)
    study.release()
    assert contours.GetDisplayNode().GetVisibility2D()


def test_a_scene_that_is_saved_in_the_middle_holds_no_image_of_the_study(
    headless, study, volumes, tmp_path
):
    study.show(StudyCase("p", *volumes).image(SYNTHETIC, 4))
    path = tmp_path / "scene.mrml"
    headless.scene.SetURL(str(path))
    headless.scene.Commit(str(path))
    assert NAME not in path.read_text(encoding="utf-8")


def saved_and_opened(headless, tmp_path):
    path = tmp_path / "scene.mrml"
    headless.scene.SetURL(str(path))
    headless.scene.Commit(str(path))
    headless.scene.Clear(0)
    headless.scene.Connect()


def test_a_scene_that_was_saved_in_the_middle_gets_its_contours_and_layout_back(
    headless, study, volumes, tmp_path
):
    line = headless.scene.AddNewNodeByClass("vtkMRMLMarkupsLineNode")
    hidden = headless.scene.AddNewNodeByClass("vtkMRMLMarkupsLineNode", "hidden by the user")
    for node in (line, hidden):
        node.CreateDefaultDisplayNodes()
    hidden.GetDisplayNode().SetVisibility2D(False)
    mrml.set_layout(SIDE_BY_SIDE[2], headless.scene)
    study.show(StudyCase("p", *volumes).image(SYNTHETIC, 4))
    put_right(headless.scene)
    assert not line.GetDisplayNode().GetVisibility2D(), "a reader was unblinded"
    late = headless.scene.AddNewNodeByClass("vtkMRMLMarkupsLineNode")
    late.CreateDefaultDisplayNodes()
    study.show(StudyCase("p", *volumes).image(REAL, 4))
    assert not late.GetDisplayNode().GetVisibility2D(), "what came later is seen"
    saved_and_opened(headless, tmp_path)
    shown = headless.scene.GetNodesByClass("vtkMRMLMarkupsLineNode")
    shown = [shown.GetItemAsObject(i) for i in range(shown.GetNumberOfItems())]
    assert layout_of(headless) == STUDY_LAYOUT.id
    put_right(headless.scene)
    assert layout_of(headless) == SIDE_BY_SIDE[2].id
    assert [node.GetDisplayNode().GetVisibility2D() for node in shown] == [1, 0, 1]
    shown[0].GetDisplayNode().SetVisibility2D(False)
    put_right(headless.scene)
    assert not shown[0].GetDisplayNode().GetVisibility2D(), "that is the user's own choice now"


def test_slices_are_upright_whichever_way_they_were_taken(headless, view, study, volumes):
    """Of a sagittal scan the slices are shown with the front on the left and the head up."""
    real, synthetic = volumes
    axes = np.array([[0, 0, 1.0], [1, 0, 0], [0, -1, 0]])  # columns to the back, rows down
    grid = matrix_from_parts((1, 1, 4), axes, (-14, -39.5, 39.5))
    pair = [volume.replace(index_to_world=grid) for volume in (real, synthetic)]
    study.show(StudyCase("p", *pair).image(REAL, 4))
    node = headless.slice_logic(STUDY_LAYOUT.views[0]).GetSliceNode().GetSliceToRAS()
    assert [round(node.GetElement(axis, 0)) for axis in range(3)] == [0, -1, 0]
    assert [round(node.GetElement(axis, 1)) for axis in range(3)] == [0, 0, 1]
    left, right = halves(view(STUDY_LAYOUT.views[0]))
    assert left > 240 > right + 100  # the bright half is the front
