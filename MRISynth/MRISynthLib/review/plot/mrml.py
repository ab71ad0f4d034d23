"""A line that the user drags through a real and a synthetic volume, and the plot of both.

Line, table, series and chart are nodes of the scene and are saved with it; a scene that was opened
again goes on with those that it has.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import slicer
import vtk

from ... import mrml
from ...errors import MRISynthError
from ...node_attributes import provenance_of
from ...provenance import SYNTHETIC_MARK
from ...views import PLOT_VIEW, provenance_lines
from ..derived import brightness_range, of_one_sequence
from ..profile import Profile, line_profile

ATTRIBUTE = "MRISynth.Profile"
"""Attribute of the nodes here, with their part in the plot."""

LINE_CLASS = "vtkMRMLMarkupsLineNode"

COLOURS = ((0.0, 0.45, 0.7), (0.9, 0.62, 0.0))
"""Of the real and of the synthetic curve: apart for every eye, the latter as the marks in views."""

POSITION = "Millimetres along the line"

_UNNAMED = "Image without a name"

SHARE_OF_VIEW = 0.5
"""Length of a new line, as a share of the view's width."""


class ProfilePlot:
    """The plot of a pair of volumes; it follows the line until :meth:`release`.

    Parameters
    ----------
    view:
        Name of the slice view across whose middle a new line is drawn.
    on_profile:
        Called with what the plot shows, at first and after each change.
    """

    def __init__(
        self,
        real: slicer.vtkMRMLScalarVolumeNode,
        synthetic: slicer.vtkMRMLScalarVolumeNode,
        view: str,
        application_logic: slicer.vtkMRMLApplicationLogic | None = None,
        on_profile: Callable[[Profile], None] | None = None,
    ) -> None:
        self._application, self._on_profile = application_logic, on_profile
        self._scene = real.GetScene()
        self.nodes = (real, synthetic)
        self._volumes: list = []
        self._silent = False  # while there is no profile to show
        self.line = self._node("line", LINE_CLASS, "Line profile")
        if self.line.GetNumberOfDefinedControlPoints() < 2:
            self.draw(view)
        self.line.CreateDefaultDisplayNodes()
        display = self.line.GetDisplayNode()
        display.SetVisibility(True)
        display.SetPropertiesLabelVisibility(False)  # its length is that of the plot's axis
        self.table = self._node("table", "vtkMRMLTableNode", "Line profile")
        self.chart = self._node("chart", "vtkMRMLPlotChartNode", "Line profile")
        self._series = [
            self._node(part, "vtkMRMLPlotSeriesNode", part) for part in ("real", "synthetic")
        ]
        self._describe()
        self._observed = [
            (
                self.line,
                self.line.AddObserver(slicer.vtkMRMLMarkupsNode.PointModifiedEvent, self._moved),
            )
        ]
        changed = slicer.vtkMRMLVolumeNode.ImageDataModifiedEvent
        moved = slicer.vtkMRMLTransformableNode.TransformModifiedEvent
        for node in self.nodes:
            for event in (changed, moved):
                self._observed.append((node, node.AddObserver(event, self._changed)))
        self.update()
        plot = self._scene.GetSingletonNode(PLOT_VIEW, "vtkMRMLPlotViewNode")
        if plot is not None:
            plot.SetPlotChartNodeID(self.chart.GetID())

    def _node(self, part: str, class_name: str, name: str):
        node = _found(self._scene, part, class_name)
        if node is not None:
            return node
        node = self._scene.AddNewNodeByClass(class_name, name)
        node.SetAttribute(ATTRIBUTE, part)
        return node

    def draw(self, view: str) -> None:
        """A line from left to right through the middle of a view, in place of the one before."""
        node = mrml.slice_logic(view, self._application).GetSliceNode()
        matrix = node.GetSliceToRAS()
        half = SHARE_OF_VIEW * node.GetFieldOfView()[0] / 2
        self.line.RemoveAllControlPoints()
        for sign in (-1, 1):
            self.line.AddControlPointWorld(
                *(matrix.GetElement(a, 3) + sign * half * matrix.GetElement(a, 0) for a in range(3))
            )

    def _describe(self) -> None:
        synthetic = self.nodes[1]
        marked = provenance_lines(provenance_of(synthetic), synthetic.GetName() or "")
        title = " ".join(marked[:3])
        self.chart.SetTitle(f"{title}. {marked[-1]}." if marked else "")
        self.chart.SetTitleVisibility(bool(marked))
        self.chart.SetTitleFontSize(12)
        self.chart.SetXAxisTitle(POSITION)
        self.chart.SetLegendVisibility(True)
        names = [node.GetName() or _UNNAMED for node in self.nodes]
        if marked and not names[1].startswith(SYNTHETIC_MARK):
            names[1] = f"{SYNTHETIC_MARK} {names[1]}"
        if names[0] == names[1]:
            names[1] += " (2)"
        self._columns = tuple(names)
        self.chart.RemoveAllPlotSeriesNodeIDs()
        for series, name, colour in zip(self._series, names, COLOURS, strict=True):
            series.SetName(name)
            series.SetAndObserveTableNodeID(self.table.GetID())
            series.SetXColumnName(POSITION)
            series.SetYColumnName(name)
            series.SetPlotType(series.PlotTypeScatter)
            series.SetMarkerStyle(series.MarkerStyleNone)
            series.SetLineWidth(2)
            series.SetColor(*colour)
            self.chart.AddAndObservePlotSeriesNodeID(series.GetID())

    def ends_lps(self) -> Sequence[np.ndarray] | None:
        """Both ends of the line in LPS millimetres; None while it has not both."""
        if self.line.GetNumberOfDefinedControlPoints() < 2:
            return None
        ends = []
        for index in (0, 1):
            place = [0.0, 0.0, 0.0]
            self.line.GetNthControlPointPositionWorld(index, place)
            ends.append(np.array(place) * (-1, -1, 1))
        return ends

    def _moved(self, caller, event) -> None:
        self.update()

    def _changed(self, caller, event) -> None:
        self._volumes = []
        self.update()

    def update(self) -> None:
        """Sample both volumes along the line as it is now."""
        ends = self.ends_lps()
        if ends is None:
            return
        try:
            if not self._volumes:
                volumes = of_one_sequence([mrml.volume_from_node(node) for node in self.nodes])
                self._volumes = [(volume, brightness_range(volume)) for volume in volumes]
        except MRISynthError as error:  # lost its voxels, or is bent: nothing old may stay
            self.table.SetAndObserveTable(vtk.vtkTable())
            self.chart.SetTitle(str(error))
            self.chart.SetTitleVisibility(True)
            self._silent = True
            return
        if self._silent:
            self._silent = False
            self._describe()
        volumes, ranges = zip(*self._volumes, strict=True)
        profile = line_profile(volumes, *ends, ranges=ranges)
        columns = dict(zip((POSITION, *self._columns), (profile.positions, *profile.values),
                           strict=True))  # fmt: skip
        table = vtk.vtkTable()
        for name, values in columns.items():
            column = vtk.vtkDoubleArray()
            column.SetName(name)
            column.SetNumberOfValues(len(values))
            for row, value in enumerate(values):
                column.SetValue(row, value)
            table.AddColumn(column)
        self.chart.SetYAxisTitle(profile.unit)
        self.table.SetAndObserveTable(table)
        if self._on_profile is not None:
            self._on_profile(profile)

    def release(self) -> None:
        """Stop following the line, and hide it; the plot stays as it is."""
        for node, tag in self._observed:
            node.RemoveObserver(tag)
        self._observed, self._volumes = [], []
        hide_line(self._scene)


def hide_line(scene: slicer.vtkMRMLScene) -> None:
    """Hide the line, if there is one: when it is dragged, no plot follows it."""
    line = _found(scene, "line", LINE_CLASS)
    if line is not None and line.GetDisplayNode() is not None:
        line.GetDisplayNode().SetVisibility(False)


def _found(scene: slicer.vtkMRMLScene, part: str, class_name: str):
    """The node that is this part of the plot, or None."""
    every = mrml.nodes_of_class(scene, class_name)
    return next((node for node in every if node.GetAttribute(ATTRIBUTE) == part), None)
