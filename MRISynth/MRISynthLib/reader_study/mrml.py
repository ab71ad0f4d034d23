"""The blinded view of a reader study in a Slicer scene.

What is shown is never a volume of the scene but a copy of one slice, which is the same for real and
synthetic images in everything but its pixels: name, type, attributes, and what its view says of it
("Reader study. Real or SYNTHETIC?"). So there is no mark that had to be suppressed, or could stay
so: all other views go on marking all synthetic volumes.
"""

from __future__ import annotations

import numpy as np
import slicer

from .. import mrml
from ..views import STUDY_LAYOUT
from ..volume import Volume
from .images import NAME, WHITE

_PLANES = ("Sagittal", "Coronal", "Axial")
"""By the axis (left, posterior, superior) across which a slice was taken."""

_DRAWN_CLASSES = (
    "vtkMRMLSegmentationDisplayNode",
    "vtkMRMLMarkupsDisplayNode",
    "vtkMRMLModelDisplayNode",
)
"""What else could be seen in the view."""


class StudyView:
    """Shows one image after the other in a view of its own, until :meth:`release`."""

    def __init__(self, application_logic: slicer.vtkMRMLApplicationLogic | None = None) -> None:
        self._application = application_logic or slicer.app.applicationLogic()
        self._scene = self._application.GetMRMLScene()
        self._layout_before: int | None = None
        self._hidden: list = []
        self._node = None

    def show(self, image: Volume) -> None:
        """Show one image of :meth:`.images.StudyCase.image`, fitted to the view.

        Black and white are as at first, whatever the reader did with the image before.
        """
        if self._layout_before is None:
            layout = self._scene.GetFirstNodeByClass("vtkMRMLLayoutNode")
            self._layout_before = layout.GetViewArrangement()
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
        for class_name in _DRAWN_CLASSES:
            for node in mrml.nodes_of_class(self._scene, class_name):
                if node.GetVisibility2D():
                    node.SetVisibility2D(False)
                    self._hidden.append(node)

    def release(self) -> None:
        """Take the image away and give the user's own arrangement of views back."""
        self._remove(self._node)
        self._node = None
        for node in self._hidden:
            if self._scene.GetNodeByID(node.GetID() or "") is node:
                node.SetVisibility2D(True)
        self._hidden = []
        layout = self._scene.GetFirstNodeByClass("vtkMRMLLayoutNode")
        shown = layout is not None and layout.GetViewArrangement() == STUDY_LAYOUT.id
        if shown and self._layout_before is not None:
            layout.SetViewArrangement(self._layout_before)
        self._layout_before = None

    def _remove(self, node) -> None:
        if node is not None and self._scene.IsNodePresent(node):
            self._scene.RemoveNode(node)
