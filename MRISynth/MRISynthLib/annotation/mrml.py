"""The word SYNTHETIC, and where it comes from, in every view that shows such a volume.

Contours alone are not marked: a surface is no image, and what they were drawn on is said by their
segmentation.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import slicer
import vtk

from ..mrml import nodes_of_class, slice_to_ras
from ..node_attributes import provenance_of
from ..provenance import SYNTHETIC_MARK
from ..views import combined_lines, edge_letters, provenance_lines, wrapped

AMBER = (1.0, 0.76, 0.1)
WHITE = (1.0, 1.0, 1.0)


def annotation_lines(node: slicer.vtkMRMLNode | None) -> tuple[str, ...]:
    """What a view that shows this volume must say about it: nothing unless it is synthetic."""
    return () if node is None else provenance_lines(provenance_of(node), node.GetName() or "")


def layers_of(logic: slicer.vtkMRMLSliceLogic) -> tuple:
    """The volumes that a slice shows, background and foreground; None for what is not seen."""
    background, foreground = (logic.GetNthLayerVolumeNode(i) for i in (0, 1))
    visible = logic.GetSliceCompositeNode().GetForegroundOpacity() > 0
    return background, foreground if visible else None


class CornerText:
    """Lines in the upper left of a view, the first one large, in amber if one says SYNTHETIC.

    They are text actors of their own in the view's renderer because Slicer's data probe rewrites
    the view's corner annotation.
    """

    def __init__(self, renderer: vtk.vtkRenderer) -> None:
        self._renderer = renderer
        self._title = text_actor(renderer, "left", "top")
        self._title.GetTextProperty().BoldOn()
        self._details = text_actor(renderer, "left", "top")

    def show(self, lines: Sequence[str]) -> None:
        """Write these lines and place them for the view's present size."""
        width, height = self._renderer.GetSize()
        size, margin = text_size(self._renderer)
        colour = AMBER if any(SYNTHETIC_MARK in line for line in lines) else WHITE
        top = height - margin
        for actor, texts, scale in ((self._title, lines[:1], 1.0), (self._details, lines[1:], 0.8)):
            style = actor.GetTextProperty()
            style.SetFontSize(max(10, int(size * scale)))
            style.SetColor(*colour)
            # Less than half of the view: corners are background, the middle is the patient.
            lines_that_fit = wrapped(
                texts, lambda t, style=style: _drawn_size(style, t)[0], 0.47 * width - margin
            )
            text = "\n".join(lines_that_fit)
            actor.SetInput(text)
            actor.SetVisibility(bool(text))
            actor.SetDisplayPosition(margin, int(top))
            top -= _drawn_size(style, text)[1] + margin // 2

    def release(self) -> None:
        """Take the text away."""
        for actor in (self._title, self._details):
            self._renderer.RemoveViewProp(actor)


class ViewAnnotation:
    """Text on a slice view: what is synthetic in it (always) and, if wanted, names and sides.

    It follows the view's nodes until :meth:`release`.
    """

    def __init__(
        self,
        renderer: vtk.vtkRenderer,
        logic: slicer.vtkMRMLSliceLogic,
        *,
        names: bool = False,
        letters: bool = False,
    ) -> None:
        self._renderer, self._logic = renderer, logic
        self._names, self._letters = names, letters
        self._corner = CornerText(renderer)
        self._edges = [
            text_actor(renderer, "left", "centre"),
            text_actor(renderer, "right", "centre"),
            text_actor(renderer, "centre", "top"),
            text_actor(renderer, "centre", "bottom"),
        ]
        self._observed = [
            (node, node.AddObserver(vtk.vtkCommand.ModifiedEvent, self.update))
            for node in (logic.GetSliceCompositeNode(), logic.GetSliceNode())
        ]
        self.update()

    def lines(self) -> tuple[str, ...]:
        """The text at present: synthetic layers first, else the image's name if wanted."""
        background, foreground = layers_of(self._logic)
        lines = annotation_lines(background)
        over = annotation_lines(foreground)
        if over:
            return (*lines, f"Overlay: {over[0]}", *(() if lines else over[1:]))
        if not lines and self._names and background is not None:
            return (background.GetName(),)
        return lines

    def update(self, *_) -> None:
        """Write the text anew and place it for the view's present size."""
        self._corner.show(self.lines())
        width, height = self._renderer.GetSize()
        size, margin = text_size(self._renderer)
        places = ((margin, height // 2), (width - margin, height // 2))
        # The lowest letter stands above the place of the scale bar.
        places += ((width // 2, height - margin), (width // 2, margin + 2 * size))
        letters = edge_letters(slice_to_ras(self._logic))
        for actor, place, letter in zip(self._edges, places, letters, strict=True):
            actor.SetInput(letter)
            actor.GetTextProperty().SetFontSize(size)
            actor.SetDisplayPosition(*place)
            actor.SetVisibility(self._letters)

    def release(self) -> None:
        """Take the text away and stop following the nodes."""
        for node, tag in self._observed:
            node.RemoveObserver(tag)
        self._corner.release()
        for actor in self._edges:
            self._renderer.RemoveViewProp(actor)
        self._observed = []


class SolidAnnotation:
    """Text on a 3D view: what is synthetic of the volumes that are rendered in it and of the slices
    whose planes stand in it.

    Many nodes decide what a 3D view shows, so the text is looked after whenever it is drawn.
    """

    def __init__(
        self,
        renderer: vtk.vtkRenderer,
        view: slicer.vtkMRMLViewNode,
        application_logic: slicer.vtkMRMLApplicationLogic | None = None,
    ) -> None:
        self._renderer, self._view = renderer, view
        self._application = application_logic or slicer.app.applicationLogic()
        self._corner = CornerText(renderer)
        self._shown: tuple | None = None
        self._tag = renderer.AddObserver(vtk.vtkCommand.StartEvent, self.update)

    def volumes(self) -> list:
        """The nodes of the volumes that are seen, each one once."""
        view, scene = self._view.GetID(), self._application.GetMRMLScene()
        if view is None or scene is None:  # the view or the scene is going away
            return []
        found = []
        for display in nodes_of_class(scene, "vtkMRMLVolumeRenderingDisplayNode"):
            if display.GetVisibility(view):
                found.append(display.GetDisplayableNode())
        slices = self._application.GetSliceLogics()
        for logic in (slices.GetItemAsObject(i) for i in range(slices.GetNumberOfItems())):
            plane = logic.GetSliceDisplayNode()
            if plane is not None and plane.GetVisibility(view):
                found += layers_of(logic)
        return list({node.GetID(): node for node in found if node is not None}.values())

    def update(self, *_) -> None:
        """Write the text anew, if it or the view's size has changed."""
        lines = combined_lines([annotation_lines(node) for node in self.volumes()])
        shown = lines, self._renderer.GetSize()
        if shown != self._shown:
            self._shown = shown
            self._corner.show(lines)

    def release(self) -> None:
        """Take the text away and stop following the view."""
        self._renderer.RemoveObserver(self._tag)
        self._corner.release()


def annotate_desktop_views() -> list[ViewAnnotation | SolidAnnotation]:
    """Mark every slice view and 3D view of desktop Slicer's present layout; keep the list alive."""
    manager = slicer.app.layoutManager()
    slices = [manager.sliceWidget(name) for name in manager.sliceViewNames()]
    solids = [manager.threeDWidget(number) for number in range(manager.threeDViewCount)]
    return [
        *(ViewAnnotation(_renderer_of(view.sliceView()), view.sliceLogic()) for view in slices),
        *(SolidAnnotation(_renderer_of(view.threeDView()), view.mrmlViewNode()) for view in solids),
    ]


def _renderer_of(view) -> vtk.vtkRenderer:
    return view.renderWindow().GetRenderers().GetItemAsObject(0)


def text_actor(renderer: vtk.vtkRenderer, horizontal: str, vertical: str) -> vtk.vtkTextActor:
    """Text in a view, readable on bright fat too; its position is the one of the sides named."""
    actor = vtk.vtkTextActor()
    style = actor.GetTextProperty()
    style.SetFontFamilyToArial()
    style.SetColor(*WHITE)
    style.SetBackgroundColor(0.0, 0.0, 0.0)
    style.SetBackgroundOpacity(0.55)
    style.SetJustification(("left", "centre", "right").index(horizontal))
    style.SetVerticalJustification(("bottom", "centre", "top").index(vertical))
    renderer.AddViewProp(actor)
    return actor


def text_size(renderer: vtk.vtkRenderer) -> tuple[int, int]:
    """Size of letters and width of the margin that suit a view's present size, in pixels."""
    size = int(np.clip(min(renderer.GetSize()) / 30, 11, 40))
    return size, max(4, size // 2)


def _drawn_size(style: vtk.vtkTextProperty, text: str) -> tuple[int, int]:
    """(width, height) in pixels of a text, of one or more lines."""
    if not text:
        return 0, 0
    box = [0, 0, 0, 0]
    vtk.vtkTextRenderer.GetInstance().GetBoundingBox(style, text, box, 72)
    return box[1] - box[0] + 1, box[3] - box[2] + 1
