"""A real and a synthetic volume of a Slicer scene, shown together.

For desktop Slicer and slicer-core alike. Everything that is made here of a synthetic volume says
so in its provenance, and with it in every view (:mod:`MRISynthLib.annotation.mrml`).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from .. import mrml
from ..errors import InputError
from ..node_attributes import RUN_ATTRIBUTE, provenance_of, sequence_of
from ..views import ONE_VIEW, SIDE_BY_SIDE, WITH_PLOT, display_window
from ..volume import Volume
from . import modes
from .derived import TILE_MM, Checkerboard

REAL_ROLE, SYNTHETIC_ROLE = "MRISynth.real", "MRISynth.synthetic"
"""Node references of a derived volume to those that it was made of."""

LEGEND_SIZE = (0.1, 0.4)
"""Of a colour legend, as shares of the view: its width and its height."""

SEEN_FROM = 0.25
"""Share of an overlay's window below which it is clear: what is certain need not be covered."""


class ReviewDisplay:
    """Shows one pair of volumes in one way or another; :meth:`release` it in the end.

    Attributes
    ----------
    mode:
        What is shown (of :data:`.modes.MODES`), None before the first and after release.
    views:
        Names of the slice views in use.
    """

    def __init__(self, application_logic: slicer.vtkMRMLApplicationLogic | None = None) -> None:
        self._application = application_logic or slicer.app.applicationLogic()
        self._windows: LinkedWindows | None = None
        self._orientation = ""
        self._board: tuple | None = None  # state of the volumes, Checkerboard
        self._legend: MapLegend | None = None
        self._layout, self._shown, self._overlay = 0, (), None
        self.mode: str | None = None
        self.views: tuple[str, ...] = ()

    @property
    def scene(self) -> slicer.vtkMRMLScene:
        """The scene that is shown."""
        return self._application.GetMRMLScene()

    def show(
        self,
        mode: str,
        real: slicer.vtkMRMLScalarVolumeNode,
        synthetic: slicer.vtkMRMLScalarVolumeNode,
        *,
        orientation: str = "Axial",
        plot: bool = False,
        opacity: float = 0.5,
        tile_mm: float = TILE_MM,
    ) -> None:
        """Arrange the views and show both volumes in them, at the place that is in view.

        Both get the same relative window, and keep it when the user changes either; one that was
        chosen before is not lost.

        Parameters
        ----------
        orientation: "Axial", "Coronal" or "Sagittal"; the real volume's own axes near it.
        plot: whether there is a plot view below (see :mod:`MRISynthLib.review.plot.mrml`).
        opacity: of the synthetic volume over the real one, or of a map (0-1).
        tile_mm: side of the checkerboard's fields.

        Raises
        ------
        InputError
            If the volumes cannot be shown so: no map was made, or no voxels are there.
        """
        if real is synthetic:
            raise InputError("Choose two different volumes to look at together.")
        shown, overlay = self._layers(mode, real, synthetic, tile_mm)
        place = self._place(orientation)
        layout = ONE_VIEW if len(shown) == 1 else SIDE_BY_SIDE[len(shown)]
        layout = WITH_PLOT[len(shown)] if plot else layout
        self.views = mrml.show_side_by_side(
            shown,
            orientation=orientation,
            layout=layout,
            application_logic=self._application,
        )
        self.mode, self._orientation = mode, orientation
        self._layout, self._shown = layout.id, tuple(node.GetID() for node in shown)
        self._overlay = overlay.GetID() if overlay is not None else None
        if place is not None:
            self._go_back(place)
        if overlay is not None:
            mrml.set_overlay(
                overlay,
                self.views[-1:],
                opacity=0.0 if mode == modes.FLICKER else opacity,
                application_logic=self._application,
            )
        self._hide_legend()
        if mode in (modes.DIFFERENCE, modes.UNCERTAINTY):
            self._legend = MapLegend(shown[-1] if overlay is None else overlay, self._composite())
        self._link_windows(real, synthetic)

    def _layers(self, mode: str, real, synthetic, tile_mm: float):
        """The views' volumes, and what lies over the last."""
        if mode == modes.SIDE_BY_SIDE:
            return [real, synthetic], None
        if mode in (modes.BLEND, modes.FLICKER):
            return [real], synthetic
        if mode == modes.CHECKERBOARD:
            return [self._checkerboard(real, synthetic, tile_mm)], None
        if mode == modes.DIFFERENCE:
            found = derived_node("difference", real, synthetic)
            if found is None:
                raise InputError("Compare the two volumes first; that makes the difference map.")
            return [real, synthetic, found], None
        found = uncertainty_of(synthetic)
        if found is None:
            raise InputError(
                f"There is no uncertainty map for {synthetic.GetName()}; tick the uncertainty "
                "before the image is made."
            )
        mrml.place_like(found, synthetic)
        return [real, synthetic], _clear_where_low(found)

    def _checkerboard(self, real, synthetic, tile_mm: float):
        pair = [mrml.volume_from_node(node) for node in (real, synthetic)]
        changed = [node.GetImageData().GetMTime() for node in (real, synthetic)]
        state = (real.GetID(), synthetic.GetID(), *changed)
        state += tuple(volume.index_to_world.tobytes() for volume in pair)
        if self._board is None or self._board[0] != state:
            self._board = (state, Checkerboard(*pair))
        return add_derived(self._board[1].volume(tile_mm), real, synthetic)

    # ------------------------------------------------------------------ what changes in view

    @property
    def is_shown(self) -> bool:
        """Whether the views still show the pair: the user, and other modules, show other things."""
        arrangement = self.scene.GetFirstNodeByClass("vtkMRMLLayoutNode")
        composites = [
            mrml.slice_logic(view, self._application).GetSliceCompositeNode() for view in self.views
        ]
        shown = tuple(composite.GetBackgroundVolumeID() for composite in composites)
        return shown == self._shown and arrangement.GetViewArrangement() == self._layout

    @property
    def overlay_is_shown(self) -> bool:
        """Whether what lies over the last view's volume is ours, and no unfinished image."""
        if not self.views or self._overlay is None:
            return False
        return self._composite().GetForegroundVolumeID() == self._overlay

    def set_opacity(self, opacity: float) -> None:
        """How much is seen of what lies over the last view's volume (0-1)."""
        if self.overlay_is_shown:
            self._composite().SetForegroundOpacity(float(opacity))

    def turn_over(self) -> bool:
        """Show the other volume of a flicker; whether it is the synthetic one."""
        if not self.overlay_is_shown:
            return False
        composite = self._composite()
        synthetic = composite.GetForegroundOpacity() < 0.5
        composite.SetForegroundOpacity(1.0 if synthetic else 0.0)
        return synthetic

    def _composite(self):
        return mrml.slice_logic(self.views[-1], self._application).GetSliceCompositeNode()

    def set_crosshair(self, shown: bool) -> None:
        """One crosshair at the same place of the patient in all views; it follows shift + mouse."""
        node = self.scene.GetFirstNodeByClass("vtkMRMLCrosshairNode")
        if node is None:
            return  # every Slicer has one
        if shown and node.GetCrosshairMode() == node.NoCrosshair and self.views:
            matrix = self._slice_node(0).GetSliceToRAS()
            node.SetCrosshairRAS([matrix.GetElement(axis, 3) for axis in range(3)])
        node.SetCrosshairMode(node.ShowBasic if shown else node.NoCrosshair)

    def _slice_node(self, index: int):
        return mrml.slice_logic(self.views[index], self._application).GetSliceNode()

    # ------------------------------------------------------------------ place and window

    def _place(self, orientation: str):
        """Where the first view looks, and its magnification, if that is to be kept."""
        if self.mode is None or orientation != self._orientation:
            return None
        node = self._slice_node(0)
        if self.scene.GetNodeByID(node.GetID()) is None:
            return None  # of a scene that was closed
        matrix = vtk.vtkMatrix4x4()
        matrix.DeepCopy(node.GetSliceToRAS())
        return matrix, node.GetFieldOfView()[0] / max(1, node.GetDimensions()[0])

    def _go_back(self, place) -> None:
        matrix, scale = place
        for index in range(len(self.views)):
            node = self._slice_node(index)
            width, height = node.GetDimensions()[:2]
            node.SetFieldOfView(width * scale, height * scale, node.GetFieldOfView()[2])
            node.GetSliceToRAS().DeepCopy(matrix)
            node.UpdateMatrices()

    def _link_windows(self, real, synthetic) -> None:
        if self._windows is not None and self._windows.nodes == (real, synthetic):
            return
        if self._windows is not None:
            self._windows.release()
        self._windows = LinkedWindows(real, synthetic)

    def release(self) -> None:
        """Stop following the volumes; the images that are shown stay."""
        if self._windows is not None:
            self._windows.release()
        self._hide_legend()
        self._windows, self._board, self.mode, self.views = None, None, None, ()

    def _hide_legend(self) -> None:
        if self._legend is not None:
            self._legend.release()
        self._legend = None


class LinkedWindows:
    """Black and white of two volumes at the same relative brightness, whichever is changed.

    A window that was chosen, by the user or in the scan's DICOM headers, stays, and the other
    volume gets it too; the first volume's, if both were chosen.
    """

    def __init__(self, first, second) -> None:
        self.nodes = (first, second)
        self._busy = False
        self._observed: list = []
        for node in self.nodes:
            if node.GetDisplayNode() is None:
                mrml.set_display(node)
        # a scan that carries no sequence is compared with one of its own: Hounsfield units stay so
        known = sequence_of(first) or sequence_of(second)
        self._ranges = [_window_of(node, sequence_of(node) or known) for node in self.nodes]
        displays = [node.GetDisplayNode() for node in self.nodes]
        chosen = [_is_chosen(*each) for each in zip(displays, self._ranges, strict=True)]
        for display, usual in zip(displays, self._ranges, strict=True):
            display.AutoWindowLevelOff()
            if not any(chosen):
                display.SetWindowLevelMinMax(*usual)
        if any(chosen):
            self._carry_over(chosen.index(True))
        for index, display in enumerate(displays):
            tag = display.AddObserver(vtk.vtkCommand.ModifiedEvent, self._follow(index))
            self._observed.append((display, tag))

    def _follow(self, index: int) -> Callable:
        def changed(caller, event) -> None:
            if not self._busy:
                self._carry_over(index)

        return changed

    def _carry_over(self, index: int) -> None:
        """Give the other volume this one's window."""
        display, other = (self.nodes[each].GetDisplayNode() for each in (index, 1 - index))
        if display is None or other is None:
            return
        low, high = self._ranges[index]
        wanted = self._ranges[1 - index]
        window = [
            wanted[0] + (value - low) / (high - low) * (wanted[1] - wanted[0])
            for value in (display.GetWindowLevelMin(), display.GetWindowLevelMax())
        ]
        self._busy = True
        try:
            other.SetWindowLevelMinMax(*window)
        finally:
            self._busy = False

    def release(self) -> None:
        """Let each volume have its own window again."""
        for display, tag in self._observed:
            display.RemoveObserver(tag)
        self._observed = []


def _is_chosen(display, usual: tuple[float, float]) -> bool:
    """Whether a window is neither Slicer's automatic one nor the usual one of its image."""
    window = display.GetWindowLevelMin(), display.GetWindowLevelMax()
    rounding = 1e-3 * (usual[1] - usual[0])  # a saved scene has six digits
    return not display.GetAutoWindowLevel() and not np.allclose(window, usual, atol=rounding)


def _window_of(node, sequence: str | None) -> tuple[float, float]:
    image = node.GetImageData()
    if image is None or image.GetPointData().GetScalars() is None:
        raise InputError(f"{node.GetName()} has no voxels; choose another volume.")
    voxels = vtk_to_numpy(image.GetPointData().GetScalars())
    return display_window(voxels, sequence, provenance_of(node))


# ---------------------------------------------------------------- derived volumes


def add_derived(volume: Volume, real, synthetic) -> slicer.vtkMRMLScalarVolumeNode:
    """The node of a difference map or checkerboard of two volumes, made or updated."""
    node = derived_node(volume.provenance.kind, real, synthetic)
    node = mrml.node_from_volume(volume, synthetic.GetScene(), node=node)
    node.SetNodeReferenceID(REAL_ROLE, real.GetID())
    node.SetNodeReferenceID(SYNTHETIC_ROLE, synthetic.GetID())
    return node


def derived_node(kind: str, real, synthetic) -> slicer.vtkMRMLScalarVolumeNode | None:
    """What was made of two volumes earlier ("difference", "checkerboard"), or None."""
    for node in _volumes(synthetic.GetScene()):
        provenance = provenance_of(node)
        if (
            provenance is not None
            and provenance.kind == kind
            and node.GetNodeReferenceID(REAL_ROLE) == real.GetID()
            and node.GetNodeReferenceID(SYNTHETIC_ROLE) == synthetic.GetID()
        ):
            return node
    return None


def made_with(node) -> list[slicer.vtkMRMLScalarVolumeNode]:
    """Maps and checkerboards that mean nothing without a volume: made of it, or with it."""
    found = [
        each
        for each in _volumes(node.GetScene())
        if node.GetID() in map(each.GetNodeReferenceID, (REAL_ROLE, SYNTHETIC_ROLE))
    ]
    return [*found, *uncertainties_of(node)]


def uncertainty_of(synthetic) -> slicer.vtkMRMLScalarVolumeNode | None:
    """The uncertainty map that was made with a synthetic volume; None if there is none."""
    return next(iter(uncertainties_of(synthetic)), None)


def uncertainties_of(synthetic) -> list[slicer.vtkMRMLScalarVolumeNode]:
    """All maps that tell the uncertainty of a synthetic volume: of the run that made it, as other
    runs may differ in what a provenance does not state. Those of a volume are also those of its
    copies."""
    made = provenance_of(synthetic)
    if made is None or made.kind != "image":
        return []
    wanted = {**made.to_dict(), "kind": "uncertainty"}
    run = synthetic.GetAttribute(RUN_ATTRIBUTE)
    of_run = (n for n in _volumes(synthetic.GetScene()) if n.GetAttribute(RUN_ATTRIBUTE) == run)
    said = ((node, provenance_of(node)) for node in of_run)
    return [node for node, of in said if of is not None and of.to_dict() == wanted]


def _volumes(scene) -> list:
    return mrml.nodes_of_class(scene, "vtkMRMLScalarVolumeNode")


# ---------------------------------------------------------------- colours


def show_legend(node: slicer.vtkMRMLScalarVolumeNode) -> slicer.vtkMRMLColorLegendDisplayNode:
    """What the colours of a map mean, beside it in every view that shows it."""
    provenance, display = provenance_of(node), node.GetDisplayNode()
    kind = provenance.kind if provenance is not None else "map"
    logic = slicer.vtkSlicerColorLogic
    before = logic.GetColorLegendDisplayNode(display)
    if before is not None:  # views that were made later than a legend do not know it
        node.GetScene().RemoveNode(before)
    legend = logic.AddDefaultColorLegendDisplayNode(display)
    low, high = display.GetWindowLevelMin(), display.GetWindowLevelMax()
    legend.SetTitleText(kind.capitalize())
    legend.SetLabelFormat("%.2f" if high - low < 10 else "%.0f")
    legend.SetNumberOfLabels(5)
    legend.SetSize(*LEGEND_SIZE)
    legend.SetPosition(0.98, 0.5)
    legend.SetVisibility(True)
    return legend


class MapLegend:
    """The legend of a map, as long as a view shows the map.

    Slicer's views draw a legend on when another volume, of whatever module, takes the map's place.
    """

    def __init__(self, node: slicer.vtkMRMLScalarVolumeNode, composite) -> None:
        """``composite`` is the view's ``vtkMRMLSliceCompositeNode``."""
        self._key, self._composite = node.GetID(), composite
        self._legend = show_legend(node)
        self._tag = composite.AddObserver(vtk.vtkCommand.ModifiedEvent, self._update)

    def _update(self, caller, event) -> None:
        layers = self._composite.GetBackgroundVolumeID(), self._composite.GetForegroundVolumeID()
        self._legend.SetVisibility(self._key in layers)

    def release(self) -> None:
        """Take the legend away."""
        self._composite.RemoveObserver(self._tag)
        if self._legend.GetScene() is not None:
            self._legend.GetScene().RemoveNode(self._legend)


def _clear_where_low(node):
    """The map with its low values clear, so that the image is seen under them."""
    display = node.GetDisplayNode()
    low, high = display.GetWindowLevelMin(), display.GetWindowLevelMax()
    display.AutoThresholdOff()
    display.SetThreshold(low + SEEN_FROM * (high - low), vtk.VTK_DOUBLE_MAX)
    display.ApplyThresholdOn()
    return node
