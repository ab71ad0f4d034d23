"""A visitor's scene and its views: what is shown where, and how."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import slicer
import vtk
from trame_server import Server
from trame_slicer.core import LayoutManager, ViewManager
from trame_slicer.views import Layout, LayoutDirection, SliceView, ViewLayoutDefinition

from MRISynthLib import mrml
from MRISynthLib.annotation.mrml import ViewAnnotation
from MRISynthLib.mrml import node_from_volume, place_view
from MRISynthLib.review import modes
from MRISynthLib.review.mrml import LinkedWindows, show_legend
from MRISynthLib.review.plot.mrml import ProfilePlot
from MRISynthLib.review.profile import Profile
from MRISynthLib.volume import Volume
from MRISynthSegmentLib.mrml import segmentation_node_from, update_segmentation_node
from MRISynthSegmentLib.segmentation import Segmentation

from ..scene.headless import HeadlessScene
from .views import LayeredSliceView, Press, register_views

REAL, SYNTHETIC, COMBINED, SOLID = "Real", "Synthetic", "Combined", "Solid"
SLICES = (REAL, SYNTHETIC, COMBINED)

LAYOUTS = {
    "1": (COMBINED,),
    "2": (REAL, SYNTHETIC),
    "3": (REAL, SYNTHETIC, COMBINED),
    "4": (REAL, SYNTHETIC, COMBINED, SOLID),
}
"""Number of views -> which."""

MODES = tuple(mode for mode in modes.MODES if mode != modes.SIDE_BY_SIDE)
"""What the combined view can show."""

DARK_BEHIND_3D = "#101418"


class Display:
    """The scene with its nodes and views.

    Volumes are known by keys of the caller's. ``on_press`` gets left clicks in slice views first.
    """

    def __init__(
        self,
        server: Server,
        on_press: Press,
        decorate: Callable[[Server, str, SliceView], None] | None = None,
    ) -> None:
        self.headless = HeadlessScene()
        self.scene = self.headless.scene
        logic = self.headless.application_logic
        logic.GetInteractionNode().SetCurrentInteractionMode(
            slicer.vtkMRMLInteractionNode.AdjustWindowLevel
        )
        self._nodes: dict[str, slicer.vtkMRMLScalarVolumeNode] = {}
        self._windows: LinkedWindows | None = None
        self._orientation = "Axial"
        self._segmentation: slicer.vtkMRMLSegmentationNode | None = None
        self._legends: dict[str, slicer.vtkMRMLScalarVolumeNode] = {}
        self._surfaces_wanted = False
        self._plot: ProfilePlot | None = None
        self.manager = ViewManager(self.scene, logic)
        register_views(self.manager, server, decorate)
        self.layouts = LayoutManager(self.scene, self.manager, server)
        for name, views in LAYOUTS.items():
            self.layouts.register_layout(name, _layout(views))
        self._annotations = []
        for name in SLICES:
            view = self.view(name)
            view.observe_clicks(on_press)
            view.interactor().AddObserver(
                vtk.vtkCommand.WindowResizeEvent, lambda *_, name=name: self._resized(name)
            )
            view.logic.GetSliceCompositeNode().SetLinkedControl(True)
            self._annotations.append(
                ViewAnnotation(view.first_renderer(), view.logic, names=True, letters=True)
            )
        self.solid.set_background_color_from_string(DARK_BEHIND_3D)
        self.solid.set_box_visible(False)

    def view(self, name: str) -> LayeredSliceView:
        """A slice view by its name."""
        return self.manager.get_view(name)

    @property
    def solid(self):
        """The 3D view."""
        return self.manager.get_view(SOLID)

    def close(self) -> None:
        """Release everything."""
        for annotation in self._annotations:
            annotation.release()
        for view in self.manager.get_views():
            view.set_render_blocked(True)
            view.finalize()

    # --------------------------------------------------------------------------- volumes

    def put(self, key: str, volume: Volume) -> None:
        """Show a volume under this key from now on; a new one is added to the scene."""
        known = self._nodes.get(key)
        self._nodes[key] = node_from_volume(volume, self.scene, node=known)

    def put_slice(self, key: str, index: int, image: np.ndarray) -> None:
        """Put one slice into a volume that is being made."""
        node = self._nodes.get(key)
        if node is not None:
            slicer.util.arrayFromVolume(node)[index] = image
            slicer.util.arrayFromVolumeModified(node)

    def set_window_to_content(self, key: str) -> None:
        """Choose window and level anew, as when the first slices of a volume have come."""
        node = self._nodes.get(key)
        if node is not None:
            mrml.set_display(node)

    def remove(self, key: str) -> None:
        """Take a volume out of the scene."""
        node = self._nodes.pop(key, None)
        if node is not None:
            if self._plot is not None and node in self._plot.nodes:
                self.drop_profile()
            self._legends = {view: each for view, each in self._legends.items() if each is not node}
            if self._windows is not None and node in self._windows.nodes:
                self._windows.release()
                self._windows = None
            self.scene.RemoveNode(node)

    def has(self, key: str | None) -> bool:
        """Whether there is such a volume."""
        return key in self._nodes

    def link_windows(self, left: str | None, right: str | None, *, anew: bool = False) -> None:
        """Have brightness and contrast of two images follow each other; ``anew``: as at first."""
        nodes = (self._nodes.get(left), self._nodes.get(right))
        if self._windows is not None and (anew or self._windows.nodes != nodes):
            self._windows.release()
            self._windows = None
        if self._windows is None and None not in nodes and nodes[0] is not nodes[1]:
            for node in nodes if anew else ():
                mrml.set_display(node)
            self._windows = LinkedWindows(*nodes)

    # ----------------------------------------------------------------------------- views

    def show(
        self,
        view: str,
        key: str | None,
        over: str | None = None,
        opacity: float = 0.0,
        *,
        legend: bool = False,
    ) -> None:
        """A volume in a view, and another one over it; ``legend``: say what their colours mean."""
        composite = self.view(view).logic.GetSliceCompositeNode()
        composite.SetBackgroundVolumeID(self._id(key))
        composite.SetForegroundVolumeID(self._id(over))
        composite.SetForegroundOpacity(float(opacity) if self.has(over) else 0.0)
        coloured = self._nodes.get(over if self.has(over) else key) if legend else None
        before = self._legends.pop(view, None)
        if before is not None and before is not coloured:
            hide_legend(before)
        if coloured is not None:
            show_legend(coloured)
            self._legends[view] = coloured

    def _id(self, key: str | None) -> str | None:
        return self._nodes[key].GetID() if key in self._nodes else None

    def place(
        self, key: str, focus_lps: Sequence[float] | None = None, orientation: str | None = None
    ) -> None:
        """All slice views on the same plane of this volume, seen whole."""
        node = self._nodes.get(key)
        if node is None:
            return
        self._orientation = orientation or self._orientation
        first = self.view(self._leading())
        ordered = [first, *(view for view in map(self.view, SLICES) if view is not first)]
        for view in ordered:
            view.logic.GetSliceCompositeNode().SetLinkedControl(False)
        for view in ordered:
            like = None if view is first else first.logic
            place_view(view.logic, node, focus_lps, self._orientation, like=like)
        for view in ordered:
            view.logic.GetSliceCompositeNode().SetLinkedControl(True)

    def _leading(self) -> str:
        shown = LAYOUTS.get(self.layouts.layout_id or "", SLICES)
        return next(name for name in shown if name in SLICES)

    @property
    def orientation(self) -> str:
        """ "Axial", "Coronal" or "Sagittal"."""
        return self._orientation

    def focus(self) -> tuple[float, float, float]:
        """The centre of the leading view, LPS mm."""
        matrix = self.view(self._leading()).logic.GetSliceNode().GetSliceToRAS()
        return (-matrix.GetElement(0, 3), -matrix.GetElement(1, 3), matrix.GetElement(2, 3))

    def slice_of(self, volume: Volume) -> int:
        """Index of the volume's slice at the centre of the leading view."""
        index = np.linalg.inv(volume.index_to_world) @ (*self.focus(), 1.0)
        return int(np.clip(round(float(index[2])), 0, volume.shape[0] - 1))

    def step(self, slices: int) -> None:
        """Go so many slices towards the head, all views together."""
        view = self.view(self._leading())
        first, last = view.get_slice_range()
        place = view.get_slice_value() + slices * view.get_slice_step()
        view.logic.StartSliceOffsetInteraction()
        view.logic.SetSliceOffset(min(max(place, first), last))
        view.logic.EndSliceOffsetInteraction()
        self.render()

    def jump(self, point_lps: Sequence[float]) -> None:
        """All views through a point."""
        x, y, z = (float(value) for value in point_lps)
        for name in SLICES:
            logic = self.view(name).logic
            logic.GetSliceNode().JumpSliceByCentering(-x, -y, z)
            logic.SnapSliceOffsetToIJK()
        self.render()

    def set_layout(self, name: str) -> None:
        """One to four views."""
        if name in LAYOUTS:
            self.layouts.set_layout(name)
            for each in SLICES:
                self.view(each).set_shown(each in LAYOUTS[name])
            self._surfaces_wanted = SOLID in LAYOUTS[name]
            self._make_surfaces()
            self._place_anew()

    def _resized(self, name: str) -> None:
        """A view's size has changed, or has become known: show the image whole again."""
        view = self.view(name)
        view.logic.ResizeSliceNode(*view.render_window().GetSize())
        self._place_anew()

    def _place_anew(self) -> None:
        shown = self.view(self._leading()).get_background_volume_id()
        for key, node in self._nodes.items():
            if node.GetID() == shown:
                self.place(key, self.focus())

    def render(self) -> None:
        """Ask the slice views to draw themselves anew; the 3D view does so when it changes."""
        for name in SLICES:
            self.view(name).schedule_render()

    # --------------------------------------------------------------------------- a line

    def show_profile(self, left: str, right: str, on_profile: Callable[[Profile], None]) -> None:
        """A line that can be dragged in the views; ``on_profile`` gets what lies along it."""
        nodes = (self._nodes[left], self._nodes[right])
        if self._plot is None or self._plot.nodes != nodes:
            self.drop_profile()
            logic = self.headless.application_logic
            self._plot = ProfilePlot(*nodes, self._leading(), logic, on_profile)

    def draw_line(self) -> None:
        """Have the line go through the middle of the leading view."""
        if self._plot is not None:
            self._plot.draw(self._leading())

    def drop_profile(self) -> None:
        """Hide the line, and follow it no more."""
        if self._plot is not None:
            self._plot.release()
            self._plot = None

    # ------------------------------------------------------------------------ structures

    def put_segmentation(self, segmentation: Segmentation, reference: str | None) -> None:
        """Show contours in the place of those before."""
        if self._segmentation is not None:
            self.scene.RemoveNode(self._segmentation)
        self._segmentation = segmentation_node_from(
            segmentation,
            self._nodes.get(reference),
            self.scene,
            name="Structures",
            surfaces=False,
        )
        self._make_surfaces()

    def update_segmentation(self, segmentation: Segmentation, names: Sequence[str]) -> None:
        """Show anew what was corrected."""
        if self._segmentation is not None:
            update_segmentation_node(self._segmentation, segmentation, names, by_hand=True)

    def remove_segmentation(self) -> None:
        """Take the contours away."""
        if self._segmentation is not None:
            self.scene.RemoveNode(self._segmentation)
            self._segmentation = None

    def show_segments(
        self,
        *,
        fill: float,
        outline: bool,
        hidden: Sequence[str] = (),
        shown: bool = True,
        views: Sequence[str] = (*SLICES, SOLID),
    ) -> None:
        """How contours lie over the images, and in which views; ``fill`` scales the opacity of
        each."""
        if self._segmentation is None:
            return
        display = self._segmentation.GetDisplayNode()
        was_modifying = display.StartModify()
        display.SetVisibility(shown)
        display.SetViewNodeIDs([self.manager.get_view(name).get_view_node_id() for name in views])
        display.SetVisibility2DFill(fill > 0)
        display.SetOpacity2DFill(float(fill))
        display.SetVisibility2DOutline(bool(outline))
        content = self._segmentation.GetSegmentation()
        for segment_id in content.GetSegmentIDs():
            name = content.GetSegment(segment_id).GetName()
            display.SetSegmentVisibility(segment_id, name not in hidden)
        display.EndModify(was_modifying)

    def _make_surfaces(self) -> None:
        """Surfaces take seconds, so they are made when they are to be seen."""
        node = self._segmentation
        if node is None or not self._surfaces_wanted:
            return
        surface = slicer.vtkSegmentationConverter.GetSegmentationClosedSurfaceRepresentationName()
        if not node.GetSegmentation().ContainsRepresentation(surface):
            node.CreateClosedSurfaceRepresentation()
            self.solid.fit_view_to_content()


def hide_legend(node: slicer.vtkMRMLScalarVolumeNode) -> None:
    """Take a colour legend away."""
    legend = slicer.vtkSlicerColorLogic.GetColorLegendDisplayNode(node.GetDisplayNode())
    if legend is not None:
        legend.SetVisibility(False)


def _layout(views: Sequence[str]) -> Layout:
    items = [
        ViewLayoutDefinition.threed_view(name=SOLID, label="3D")
        if name == SOLID
        else ViewLayoutDefinition.slice_view("Axial", label=name)
        for name in views
    ]
    if len(items) < 4:
        return Layout(LayoutDirection.Horizontal, items)
    rows = [Layout(LayoutDirection.Horizontal, items[n : n + 2]) for n in (0, 2)]
    return Layout(LayoutDirection.Vertical, rows)
