"""What 3D views say of the volumes that they show."""

# ruff: noqa: E402

from __future__ import annotations

import types

import numpy as np
import pytest

slicer = pytest.importorskip("slicer", reason="needs slicer-core (pip install mrisynth[scene])")

import vtk

from MRISynthApp.scene import render
from MRISynthApp.scene.headless import HeadlessScene
from MRISynthApp.scene.render import RenderingUnavailable
from MRISynthLib.annotation import mrml as annotation
from MRISynthLib.annotation.mrml import SolidAnnotation
from MRISynthLib.mrml import node_from_volume, set_overlay
from MRISynthLib.views import combined_lines
from review_scenes import SIZE, amber, two_discs


@pytest.fixture
def headless():
    with HeadlessScene() as scene:
        yield scene


@pytest.fixture
def nodes(headless):
    return tuple(node_from_volume(volume, headless.scene) for volume in two_discs())


class SolidView:
    """A 3D view with nothing in it but what is said of the scene."""

    def __init__(self, headless) -> None:
        try:
            self.window = render.off_screen_window()
        except RenderingUnavailable as error:
            pytest.skip(str(error))
        self.window.SetSize(*SIZE)
        self.renderer = vtk.vtkRenderer()
        self.window.AddRenderer(self.renderer)
        self.node = headless.scene.GetSingletonNode("1", "vtkMRMLViewNode")  # the layout made it
        headless.on_close(self.close)

    def picture(self) -> np.ndarray:
        return render.picture_of(self.window)

    def close(self) -> None:
        self.window.RemoveRenderer(self.renderer)
        self.window.Finalize()


@pytest.fixture
def solid(headless):
    view = SolidView(headless)
    mark = SolidAnnotation(view.renderer, view.node, headless.application_logic)
    yield view
    mark.release()
    assert not amber(view.picture())


def rendered(headless, node):
    """The volume's display in 3D, as Slicer's module Volume Rendering makes it."""
    display = headless.scene.AddNode(slicer.vtkMRMLGPURayCastVolumeRenderingDisplayNode())
    node.AddAndObserveDisplayNodeID(display.GetID())
    return display


def test_a_rendered_synthetic_volume_is_marked_while_it_is_seen(headless, solid, nodes):
    real, synthetic = (rendered(headless, node) for node in nodes)
    synthetic.SetVisibility(False)
    assert not amber(solid.picture())
    synthetic.SetVisibility(True)
    assert amber(solid.picture())
    real.SetVisibility(False)
    assert amber(solid.picture())
    synthetic.AddViewNodeID("vtkMRMLViewNodeOfAnotherView")
    assert not amber(solid.picture())
    synthetic.RemoveAllViewNodeIDs()
    assert amber(solid.picture())
    headless.scene.RemoveNode(nodes[1])
    assert not amber(solid.picture())


def test_a_slice_that_stands_in_3d_is_marked_if_it_shows_a_synthetic_image(headless, solid, nodes):
    red = headless.slice_logic("Red")
    composite = red.GetSliceCompositeNode()
    composite.SetBackgroundVolumeID(nodes[1].GetID())
    assert not amber(solid.picture())  # it is seen in its own view only
    red.GetSliceNode().SetSliceVisible(True)
    assert amber(solid.picture())
    composite.SetBackgroundVolumeID(nodes[0].GetID())
    assert not amber(solid.picture())
    set_overlay(nodes[1], ["Red"], opacity=0.3, application_logic=headless.application_logic)
    assert amber(solid.picture())
    composite.SetForegroundOpacity(0)
    assert not amber(solid.picture())
    headless.scene.Clear(0)
    assert not amber(solid.picture())


def test_of_several_synthetic_volumes_all_are_named():
    one = ("SYNTHETIC T2w", "from T1w", "by S 1 [abc]", "Not for clinical decisions")
    other = ("SYNTHETIC STIR", "from T1w", "by S 1 [abc]", "Not for clinical decisions")
    assert combined_lines([]) == combined_lines([()]) == ()
    assert combined_lines([(), one]) == one
    both = ("SYNTHETIC T2w", "SYNTHETIC STIR", "Not for clinical decisions")
    assert combined_lines([one, (), other, one]) == both


def test_desktop_slicer_marks_its_slice_views_and_its_3d_views(headless, solid, nodes, monkeypatch):
    rendered(headless, nodes[1])
    widget = types.SimpleNamespace(
        threeDView=lambda: types.SimpleNamespace(renderWindow=lambda: solid.window),
        mrmlViewNode=lambda: solid.node,
    )
    manager = types.SimpleNamespace(
        sliceViewNames=lambda: (), threeDViewCount=1, threeDWidget=lambda number: widget
    )
    application = types.SimpleNamespace(
        layoutManager=lambda: manager, applicationLogic=lambda: headless.application_logic
    )
    monkeypatch.setattr(slicer, "app", application, raising=False)
    (mark,) = annotation.annotate_desktop_views()
    assert mark.volumes() == [nodes[1]]
    mark.release()
    headless.scene.RemoveNode(nodes[1])
