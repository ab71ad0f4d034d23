"""The blinded view of a reader study in a Slicer scene.

What is shown is never a volume of the scene but a copy of one slice, which is the same for real and
synthetic images in everything but its pixels: name, type, attributes, and what its view says of it
("Reader study. Real or SYNTHETIC?"). So there is no mark that had to be suppressed, or could stay
so: all other views go on marking all synthetic volumes.

What the study hides is kept in the scene's nodes: Slicer tells nobody that it saves the scene, and
one that was saved in the middle of a study is put right when it is loaded.
"""

from __future__ import annotations

import numpy as np
import slicer

from .. import mrml
from ..views import STUDY_LAYOUT
from ..volume import Volume
from .plan import NAME, WHITE

_PLANES = ("Sagittal", "Coronal", "Axial")
"""By the axis (left, posterior, superior) across which a slice was taken."""

_DRAWN_CLASSES = (
    "vtkMRMLSegmentationDisplayNode",
    "vtkMRMLMarkupsDisplayNode",
    "vtkMRMLModelDisplayNode",
)
"""What else could be seen in the view."""

_HIDDEN_ATTRIBUTE = "MRISynth.HiddenByStudy"
_LAYOUT_ATTRIBUTE = "MRISynth.LayoutBeforeStudy"


class StudyView:
    """Shows one image after the other in a view of its own, until :meth:`release`."""

    def __init__(self, application_logic: slicer.vtkMRMLApplicationLogic | None = None) -> None:
        self._application = application_logic or slicer.app.applicationLogic()
        self._scene = self._application.GetMRMLScene()
        self._node = None

    def show(self, image: Volume) -> None:
        """Show one image of :meth:`.images.StudyCase.image`, fitted to the view.

        Black and white are as at first, whatever the reader did with the image before.
        """
        layout = self._scene.GetFirstNodeByClass("vtkMRMLLayoutNode")
        if layout.GetAttribute(_LAYOUT_ATTRIBUTE) is None:
            layout.SetAttribute(_LAYOUT_ATTRIBUTE, str(layout.GetViewArrangement()))
        self._hide_drawings()
        # A node of its own for each image: nothing of the one before is left in it.
        before, self._node = self._node, self._add(image)
        (view,) = mrml.show_side_by_side(
            [self._node],
            orientation=_PLANES[int(np.argmax(np.abs(image.direction[:, 2])))],
            layout=STUDY_LAYOUT,
            application_logic=self._application,
        )
        mrml.slice_logic(view, self._application).GetSliceCompositeNode().SetLinkedControl(False)
        self._remove(before)

    def _add(self, image: Volume):
        node = self._scene.CreateNodeByClass("vtkMRMLScalarVolumeNode")
        node.UnRegister(None)
        node.SetHideFromEditors(True)
        node.SetSaveWithScene(False)
        node = self._scene.AddNode(node)
        mrml.node_from_volume(image, node=node)
        node.SetName(NAME)
        display = node.GetDisplayNode()
        display.SetSaveWithScene(False)
        display.SetWindowLevelMinMax(0, WHITE)
        return node

    def _hide_drawings(self) -> None:
        """Contours and lines of the scene are not part of the image."""
        for node in _drawn(self._scene):
            if node.GetVisibility2D():
                node.SetVisibility2D(False)
                node.SetAttribute(_HIDDEN_ATTRIBUTE, "1")

    def release(self) -> None:
        """Take the image away and give the user's own arrangement of views back."""
        self._remove(self._node)
        self._node = None
        put_right(self._scene)

    def _remove(self, node) -> None:
        if node is not None and self._scene.IsNodePresent(node):
            self._scene.RemoveNode(node)


def put_right(scene: slicer.vtkMRMLScene) -> None:
    """Show again what a study hid, in a scene in which none goes on."""
    if scene.GetFirstNodeByName(NAME) is not None:
        return  # a reader looks at it
    for node in _drawn(scene):
        if node.GetAttribute(_HIDDEN_ATTRIBUTE):
            node.RemoveAttribute(_HIDDEN_ATTRIBUTE)
            node.SetVisibility2D(True)
    layout = scene.GetFirstNodeByClass("vtkMRMLLayoutNode")
    before = layout.GetAttribute(_LAYOUT_ATTRIBUTE) if layout is not None else None
    if before is not None:
        layout.RemoveAttribute(_LAYOUT_ATTRIBUTE)
        if layout.GetViewArrangement() == STUDY_LAYOUT.id:
            layout.SetViewArrangement(int(before))


def _drawn(scene) -> list:
    """The display nodes of all that is drawn over images."""
    return [node for name in _DRAWN_CLASSES for node in mrml.nodes_of_class(scene, name)]
