"""The image of a slice view while it changes: coarser, and so drawn several times as quickly.

Most of the time that a slice takes without a GPU goes into resampling volumes for every pixel of
the view. Here the volumes are resampled for fewer points, and the picture is stretched over the
view, smoothly. Contours, text and the place of everything stay exact.
"""

from __future__ import annotations

import math

import slicer
import vtk

MOST_PIXELS = 80_000
"""Of the coarse picture: no fewer than the pixels of most slices of an examination."""


def coarseness(width: int, height: int) -> int:
    """How many pixels of the view one of the coarse picture stands for, along either side."""
    return max(1, math.ceil(math.sqrt(width * height / MOST_PIXELS)))


class QuickImage:
    """Draws a slice logic's image in the place of ``sharp``, the actor that does so at rest."""

    def __init__(self, logic: slicer.vtkMRMLSliceLogic, sharp: vtk.vtkActor2D) -> None:
        self._logic, self._sharp = logic, sharp
        self._step = 1
        self._fine: dict[vtk.vtkImageReslice, tuple] = {}  # transform and extent, ours and theirs
        self._texture = vtk.vtkTexture()
        self._texture.InterpolateOn()
        self._texture.RepeatOff()
        self._texture.EdgeClampOn()
        self._texture.SetColorModeToDirectScalars()
        self._corners = vtk.vtkFloatArray()
        self._corners.SetNumberOfComponents(2)
        self._corners.SetNumberOfTuples(4)
        self.actor = vtk.vtkTexturedActor2D()
        self.actor.SetMapper(self._plane())
        self.actor.SetTexture(self._texture)
        self.actor.GetProperty().SetDisplayLocationToBackground()
        self.actor.VisibilityOff()

    def _plane(self) -> vtk.vtkPolyDataMapper2D:
        """The view from corner to corner."""
        points, quad = vtk.vtkPoints(), vtk.vtkCellArray()
        quad.InsertNextCell(4)
        for index, (x, y) in enumerate(((0, 0), (1, 0), (1, 1), (0, 1))):
            points.InsertNextPoint(x, y, 0)
            quad.InsertCellPoint(index)
        plane = vtk.vtkPolyData()
        plane.SetPoints(points)
        plane.SetPolys(quad)
        plane.GetPointData().SetTCoords(self._corners)
        share_of_view = vtk.vtkCoordinate()
        share_of_view.SetCoordinateSystemToNormalizedViewport()
        mapper = vtk.vtkPolyDataMapper2D()
        mapper.SetInputData(plane)
        mapper.SetTransformCoordinate(share_of_view)
        return mapper

    def choose(self, quick: bool) -> None:
        """Have the next picture drawn coarsely, or sharp; to be called before each."""
        connection = self._logic.GetImageDataConnection()
        width, height = self._logic.GetSliceNode().GetDimensions()[:2]
        step = coarseness(width, height) if quick and connection is not None else 1
        for layer in (self._logic.GetBackgroundLayer(), self._logic.GetForegroundLayer()):
            if layer is not None:
                self._resample(layer.GetReslice(), step)
        self.actor.SetVisibility(step > 1)
        self._sharp.SetVisibility(step == 1 and connection is not None)
        if step > 1:
            self._texture.SetInputConnection(connection)
            self._stretch(width, height, step)

    def _resample(self, reslice: vtk.vtkImageReslice, step: int) -> None:
        """Every ``step``-th point; Slicer puts its own transform there anew after each change."""
        theirs, extent, ours, before = self._fine.get(reslice, (None, None, None, 1))
        if reslice.GetResliceTransform() is not ours:
            theirs, extent, before = reslice.GetResliceTransform(), reslice.GetOutputExtent(), 1
        if step == before or theirs is None:
            return
        if step == 1:
            reslice.SetResliceTransform(theirs)
            reslice.SetOutputExtent(extent)
            del self._fine[reslice]
            return
        ours = vtk.vtkTransform()
        middle = (step - 1) / 2
        ours.SetMatrix((step, 0, 0, middle, 0, step, 0, middle, 0, 0, 1, 0, 0, 0, 0, 1))
        ours.PostMultiply()
        ours.Concatenate(theirs)
        counts = [math.ceil((extent[n] + 1) / step) for n in (1, 3)]
        reslice.SetResliceTransform(ours)
        reslice.SetOutputExtent(0, counts[0] - 1, 0, counts[1] - 1, *extent[4:])
        self._fine[reslice] = (theirs, extent, ours, step)

    def _stretch(self, width: int, height: int, step: int) -> None:
        """The last coarse pixels may reach beyond the view."""
        right, top = (n / (step * math.ceil(n / step)) for n in (width, height))
        corners = ((0, 0), (right, 0), (right, top), (0, top))
        if self._corners.GetTuple2(2) != corners[2]:
            for index, corner in enumerate(corners):
                self._corners.SetTuple2(index, *corner)
            self._corners.Modified()
            self.actor.GetMapper().GetInput().Modified()
