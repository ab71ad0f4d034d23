"""Clicks as points of a markups node that belongs to a segmentation and is saved with the scene.

Points that add are "selected" and green, points that remove are not and red; the description of
each says what it is, and for which segment: by its id, which stays when the user renames it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import slicer

from ..click_maps import Click

ROLE = "MRISynth.Clicks"
"""Role of the reference from the segmentation to its points."""

OWNER_ROLE = "MRISynth.ClicksOn"
"""Role of the reference back: a clone of the segmentation refers to the same points, not its own.
Those of earlier versions have none."""

_CLASS = "vtkMRMLMarkupsFiducialNode"
_WORDS = {True: "add to", False: "remove from"}

SAME_PLACE_MM = 0.01
"""By so much a point may differ from the click that it was, for rounding."""

ADDS_COLOUR = (0.30, 0.85, 0.35)
REMOVES_COLOUR = (0.95, 0.30, 0.25)


class ClickPoints:
    """The points of one segmentation, in the order in which they were set."""

    def __init__(self, segmentation: slicer.vtkMRMLSegmentationNode) -> None:
        self.segmentation = segmentation

    @property
    def node(self) -> slicer.vtkMRMLMarkupsFiducialNode | None:
        """The markups node, if there is one yet."""
        return self._own(self.segmentation.GetNodeReference(ROLE))

    def made(self) -> slicer.vtkMRMLMarkupsFiducialNode:
        """The markups node, made at the first call."""
        node = self.node
        if node is None:
            scene = self.segmentation.GetScene()
            node = scene.AddNewNodeByClass(_CLASS, f"{self.segmentation.GetName()} clicks")
            node.CreateDefaultDisplayNodes()
            display = node.GetDisplayNode()
            display.SetSelectedColor(*ADDS_COLOUR)
            display.SetColor(*REMOVES_COLOUR)
            display.SetGlyphTypeFromString("ThickCross2D")
            display.SetGlyphScale(3.0)  # per cent of the view: seen, and hides little
            display.SetPointLabelsVisibility(False)
            display.SetPropertiesLabelVisibility(False)
            self.segmentation.SetNodeReferenceID(ROLE, node.GetID())
        node.SetNodeReferenceID(OWNER_ROLE, self.segmentation.GetID())
        return node

    def clicks(self, segment_id: str) -> tuple[Click, ...]:
        """All clicks on a segment."""
        return tuple(self._click(index, adds) for index, adds in self._on(segment_id))

    def take_new(self, segment_id: str, adds: bool) -> tuple[Click, ...]:
        """Points that were set since: from now on clicks on a segment."""
        found = []
        for index in self._new():
            self._label(index, segment_id, adds)
            found.append(self._click(index, adds))
        return tuple(found)

    def drop_new(self) -> None:
        """Take points away that were set since."""
        for index in reversed(self._new()):
            self.node.RemoveNthControlPoint(index)

    def pass_over(self) -> None:
        """Points that were set by other means are no clicks, now or later."""
        for index in self._new():
            self.node.SetNthControlPointDescription(index, "no click")

    def add(self, segment_id: str, click: Click) -> None:
        """Set a point, as after taking back that it was taken back."""
        x, y, z = click.point
        self._label(self.made().AddControlPointWorld(-x, -y, z), segment_id, click.adds)

    def has(self, segment_id: str, click: Click) -> bool:
        """Whether the point of a click is there; the user may have deleted it."""
        return self._find(segment_id, click) is not None

    def remove(self, segment_id: str, click: Click) -> None:
        """Take the point of a click away, if it is there."""
        index = self._find(segment_id, click)
        if index is not None:
            self.node.RemoveNthControlPoint(index)

    def forget(self, segment_ids: Iterable[str]) -> None:
        """Take away all points on some segments."""
        gone = set(segment_ids)
        for index in reversed([index for index, _, key in self._labelled() if key in gone]):
            self.node.RemoveNthControlPoint(index)

    def segment_ids(self) -> set[str]:
        """The segments on which there are clicks; some may be deleted."""
        return {key for _, _, key in self._labelled()}

    def show_only(self, segment_id: str) -> None:
        """Show the points on one segment and hide all others; empty: hide all."""
        for index, _, key in self._labelled():
            if self.node.GetNthControlPointVisibility(index) != (key == segment_id):
                self.node.SetNthControlPointVisibility(index, key == segment_id)

    def discard(self, scene: slicer.vtkMRMLScene) -> None:
        """Take all points out of the scene, after the segmentation was."""
        node = self._own(scene.GetNodeByID(self.segmentation.GetNodeReferenceID(ROLE) or ""))
        if node is not None:
            scene.RemoveNode(node)

    def _own(self, node) -> slicer.vtkMRMLMarkupsFiducialNode | None:
        """The node, unless it is that of another segmentation."""
        owner = node.GetNodeReferenceID(OWNER_ROLE) if node is not None else None
        return node if owner in (None, self.segmentation.GetID()) else None

    def _new(self) -> list[int]:
        """Points that are set and not labelled; the one that follows the mouse is not set."""
        node = self.node
        return [
            index
            for index in range(node.GetNumberOfControlPoints() if node is not None else 0)
            if node.GetNthControlPointPositionStatus(index) == node.PositionDefined
            and not node.GetNthControlPointDescription(index)
        ]

    def _on(self, segment_id: str) -> list[tuple[int, bool]]:
        """(index, adds) of every click on a segment."""
        return [(index, adds) for index, adds, key in self._labelled() if key == segment_id]

    def _find(self, segment_id: str, click: Click) -> int | None:
        """The last point that was this click; None if there is none."""
        for index, adds in reversed(self._on(segment_id)):
            apart = math.dist(self._click(index, adds).point, click.point)
            if adds == click.adds and apart < SAME_PLACE_MM:
                return index
        return None

    def _labelled(self) -> list[tuple[int, bool, str]]:
        """(index, adds, segment) of every point that is a click."""
        node, found = self.node, []
        for index in range(node.GetNumberOfControlPoints() if node is not None else 0):
            read = _read(node.GetNthControlPointDescription(index))
            if read is not None:
                found.append((index, *read))
        return found

    def _click(self, index: int, adds: bool) -> Click:
        r, a, s = self.node.GetNthControlPointPositionWorld(index)
        return Click((-r, -a, s), adds)

    def _label(self, index: int, segment_id: str, adds: bool) -> None:
        node, segment = self.node, self.segmentation.GetSegmentation().GetSegment(segment_id)
        name = segment.GetName() if segment is not None else segment_id
        node.SetNthControlPointDescription(index, f"{_WORDS[adds]} {segment_id}")
        node.SetNthControlPointLabel(index, f"{name} {'+' if adds else '-'}")
        node.SetNthControlPointSelected(index, adds)
        node.SetNthControlPointLocked(index, True)  # moved afterwards it would be no click


def _read(description: str) -> tuple[bool, str] | None:
    for adds, words in _WORDS.items():
        if description.startswith(f"{words} "):
            return adds, description.removeprefix(f"{words} ")
    return None


# --- setting points with the mouse --------------------------------------------------------


class Placing:
    """From now on each click in a view sets one of the points, until :meth:`stop`."""

    def __init__(
        self,
        points: ClickPoints,
        application_logic: slicer.vtkMRMLApplicationLogic | None = None,
    ) -> None:
        logic = application_logic or slicer.app.applicationLogic()
        self._node = points.made()
        self._selection, self._interaction = logic.GetSelectionNode(), logic.GetInteractionNode()
        self._persistence = self._interaction.GetPlaceModePersistence()
        self._selection.SetReferenceActivePlaceNodeClassName(_CLASS)
        self._selection.SetReferenceActivePlaceNodeID(self._node.GetID())
        self._interaction.SetPlaceModePersistence(1)
        self._interaction.SetCurrentInteractionMode(self._interaction.Place)

    @property
    def active(self) -> bool:
        """Whether a click in a view still sets one of these points."""
        return self._ours() and self._node.GetScene() is not None

    def stop(self) -> None:
        """Clicks do again what they did; nothing if points of others are being set."""
        if self._ours():
            self._interaction.SetCurrentInteractionMode(self._interaction.ViewTransform)
            self._selection.SetReferenceActivePlaceNodeID(None)
        elif self._in_place_mode():
            return
        self._interaction.SetPlaceModePersistence(self._persistence)

    def _in_place_mode(self) -> bool:
        return self._interaction.GetCurrentInteractionMode() == self._interaction.Place

    def _ours(self) -> bool:
        """In place mode for these points, even if the user has deleted them."""
        active = self._selection.GetActivePlaceNodeID()
        gone = self._node.GetScene() is None
        return self._in_place_mode() and (active == self._node.GetID() or (gone and not active))
