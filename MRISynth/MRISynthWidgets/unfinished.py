"""Images in the scene that are not finished: slices shown as they come, over the real ones.

They are no inputs, are not saved, and go away without a trace: the views show again what they did.
What that was is kept in the views' nodes: Slicer tells nobody that it saves the scene, and one that
was saved meanwhile is put right when it is loaded.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import slicer
from slicer.i18n import tr as _

if TYPE_CHECKING:
    from MRISynthLib.panel import SlicePlace
    from MRISynthLib.progress import SliceReady
    from MRISynthLib.volume import Volume

EVERYTHING = 1e9
NOT_YET = -32768.0
"""Value of voxels that are not made yet; they are left out when the image is drawn."""

VOLUME_BEFORE = "MRISynth.ForegroundBefore"
"""Role of the volume that a view showed in the place of one that is not finished."""
OPACITY_BEFORE = "MRISynth.OpacityBefore"


class Overlaid:
    """A node that lies over the images of some views until it goes; ``seen`` are its voxels that
    are made, by which it is drawn."""

    def __init__(self, node, views, seen) -> None:
        from MRISynthLib.node_attributes import provenance_of, sequence_of
        from MRISynthLib.views import display_window

        node.SetHideFromEditors(1)
        node.SetSaveWithScene(0)
        display = node.GetDisplayNode()
        display.SetSaveWithScene(0)
        display.SetWindowLevelMinMax(*display_window(seen, sequence_of(node), provenance_of(node)))
        display.SetThreshold(NOT_YET / 2, EVERYTHING)
        display.SetApplyThreshold(1)
        self.key = node.GetID()
        self._composites: list = []
        self.cover(views)

    @property
    def node(self):
        """The node, or None if the user deleted it."""
        return slicer.mrmlScene.GetNodeByID(self.key)

    def cover(self, views) -> None:
        """Lay the node over the images of these views."""
        from MRISynthLib import mrml

        self._composites = [mrml.slice_logic(view).GetSliceCompositeNode() for view in views]
        for composite in self._composites:
            composite.SetNodeReferenceID(VOLUME_BEFORE, composite.GetForegroundVolumeID())
            composite.SetAttribute(OPACITY_BEFORE, str(composite.GetForegroundOpacity()))
        mrml.set_overlay(self.node, views, opacity=1.0)

    def uncover(self) -> None:
        """Have the views show again what they showed before."""
        for composite in self._composites:
            _give_back(composite, composite.GetForegroundVolumeID() in (self.key, None))
        self._composites = []

    def remove(self) -> None:
        """Take the node away, and show what was shown before."""
        self.uncover()
        if self.node is not None:
            slicer.mrmlScene.RemoveNode(self.node)


def _give_back(composite, wanted: bool) -> None:
    """Have a view show again what it showed before an unfinished image, if that is ``wanted``."""
    opacity = composite.GetAttribute(OPACITY_BEFORE)
    if wanted and opacity is not None:
        composite.SetForegroundVolumeID(composite.GetNodeReferenceID(VOLUME_BEFORE))
        composite.SetForegroundOpacity(float(opacity))
    composite.RemoveNodeReferenceIDs(VOLUME_BEFORE)
    composite.RemoveAttribute(OPACITY_BEFORE)


def put_right() -> None:
    """Give the views of a scene that was saved during a run what they showed before it."""
    for composite in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"):
        shown = slicer.mrmlScene.GetNodeByID(composite.GetForegroundVolumeID() or "")
        if shown is None or shown.GetSaveWithScene():  # none that is being made now
            _give_back(composite, shown is None)


def shown_views() -> tuple[str, ...]:
    """Names of the slice views of the present layout; empty without a main window.

    Slicer names all views that it ever made. A reader study's view is the reader's alone.
    """
    from MRISynthLib import mrml
    from MRISynthLib.views import STUDY_LAYOUT

    manager = slicer.app.layoutManager()
    names = manager.sliceViewNames() if manager is not None else ()
    return tuple(
        name
        for name in names
        if name not in STUDY_LAYOUT.views
        and mrml.slice_logic(name).GetSliceNode().IsMappedInLayout()
    )


def place_in_view(volume: Volume) -> SlicePlace:
    """Where the view that looks along the volume's slices, of those that are shown, cuts it."""
    from MRISynthLib import mrml
    from MRISynthLib.panel import slice_place

    views = shown_views()
    planes = {view: mrml.slice_plane(view) for view in views or ("Red",)}
    places = [slice_place(volume, view, plane) for view, plane in planes.items()]
    place = min(places, key=lambda place: place.tilt)
    return place if views else replace(place, view="")


class GrowingImages:
    """The targets of a run, slice by slice; what is still missing lets the real image through."""

    def __init__(self) -> None:
        self._reference: Volume | None = None
        self._shown: dict[str, Overlaid] = {}
        self._covering = True

    def cover(self) -> None:
        """Show in the views what there is and what comes, as at first."""
        self._covering = True
        first = next(iter(self._shown.values()), None)
        if first is not None and first.node is not None:
            first.uncover()
            first.cover(shown_views())

    def uncover(self) -> None:
        """Show nothing in the views until :meth:`cover`: they are another module's."""
        self._covering = False
        for overlaid in self._shown.values():
            overlaid.uncover()

    def start(self, reference: Volume) -> None:
        """Say on which volume's grid the finished slices lie."""
        self.discard()
        self._reference = reference

    def add(self, ready: SliceReady) -> None:
        """Put a finished slice into its image."""
        import numpy as np

        if self._reference is None:
            return
        first = ready.target not in self._shown
        if first:
            empty = np.full(self._reference.shape, NOT_YET, np.float32)
            empty[ready.index] = ready.image
            name = _("{target} (being computed)").format(target=ready.target)
            node = unfinished_node(self._reference, empty, ready.target, name)
            # the first target lies over the real image, further ones would only cover it
            views = shown_views() if self._covering and not self._shown else ()
            self._shown[ready.target] = Overlaid(node, views, ready.image)
            return
        node = self._shown[ready.target].node
        if node is None:
            return  # the user deleted it
        slicer.util.arrayFromVolume(node)[ready.index] = ready.image
        slicer.util.arrayFromVolumeModified(node)

    def discard(self) -> None:
        """Remove everything again."""
        for overlaid in self._shown.values():
            overlaid.remove()
        self._shown = {}
        self._reference = None


class OneSlice:
    """A single slice over the real image, in the view that looks along the slices."""

    def __init__(self) -> None:
        self._shown: Overlaid | None = None

    def show(self, reference: Volume, ready: SliceReady) -> None:
        """Show a slice in place of the one before."""
        import numpy as np

        matrix = reference.index_to_world.copy()
        matrix[:3, 3] += ready.index * matrix[:3, 2]
        slab = reference.replace(voxels=ready.image[np.newaxis], index_to_world=matrix)
        name = _("{target} (preview)").format(target=ready.target)
        node = unfinished_node(slab, slab.voxels, ready.target, name)
        self.discard()
        view = place_in_view(reference).view
        views = (view,) if view else ()
        self._shown = Overlaid(node, views, ready.image)

    def discard(self) -> None:
        """Remove it again."""
        if self._shown is not None:
            self._shown.remove()
        self._shown = None


def unfinished_node(grid: Volume, voxels, target: str, name: str):
    """A node that says that it is synthetic and not finished."""
    from MRISynthLib import mrml
    from MRISynthLib.provenance import Provenance

    unfinished = grid.with_voxels(
        voxels,
        sequence=target,
        name=name,
        provenance=Provenance(synthetic=True, kind="preview", sequence=target),
    )
    return mrml.node_from_volume(unfinished)
