"""Clicks as points of a markups node that belongs to a segmentation and is saved with the scene.

Points that add are "selected" and green, points that remove are not and red; the description of
each says what it is, and for which structure.
"""

from __future__ import annotations

import slicer

from ..click_maps import Click

ROLE = "MRISynth.Clicks"
"""Role of the reference from the segmentation to its points."""

_CLASS = "vtkMRMLMarkupsFiducialNode"
_WORDS = {True: "add to", False: "remove from"}

ADDS_COLOUR = (0.30, 0.85, 0.35)
REMOVES_COLOUR = (0.95, 0.30, 0.25)


class ClickPoints:
    """The points of one segmentation, in the order in which they were set."""

    def __init__(self, segmentation: slicer.vtkMRMLSegmentationNode) -> None:
        self.segmentation = segmentation

    @property
    def node(self) -> slicer.vtkMRMLMarkupsFiducialNode | None:
        """The markups node, if there is one yet."""
        return self.segmentation.GetNodeReference(ROLE)

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
        return node

    def clicks(self, structure: str) -> tuple[Click, ...]:
        """All clicks on a structure."""
        return tuple(
            Click(self._place(index), adds)
            for index, adds, name in self._labelled()
            if name == structure
        )

    def take_new(self, structure: str, adds: bool) -> tuple[Click, ...]:
        """Points that were set since: from now on clicks on ``structure``."""
        node, found = self.node, []
        for index in range(node.GetNumberOfControlPoints() if node is not None else 0):
            defined = node.GetNthControlPointPositionStatus(index) == node.PositionDefined
            if defined and not node.GetNthControlPointDescription(index):
                self._label(node, index, structure, adds)
                found.append(Click(self._place(index), adds))
        return tuple(found)

    def pass_over(self) -> None:
        """Points that were set by other means are no clicks, now or later."""
        node = self.made()
        for index in range(node.GetNumberOfControlPoints()):
            # the point under the mouse is there, too, and may become one
            defined = node.GetNthControlPointPositionStatus(index) == node.PositionDefined
            if defined and not node.GetNthControlPointDescription(index):
                node.SetNthControlPointDescription(index, "no click")

    def add(self, structure: str, click: Click) -> None:
        """Set a point, as after taking back that it was taken back."""
        node = self.made()
        x, y, z = click.point
        index = node.AddControlPointWorld(-x, -y, z)
        self._label(node, index, structure, click.adds)

    def remove_last(self, structure: str) -> None:
        """Take the last point on a structure away."""
        last = [index for index, _, name in self._labelled() if name == structure][-1:]
        for index in last:
            self.node.RemoveNthControlPoint(index)

    def forget(self, structures) -> None:
        """Take away all points on structures that were drawn anew."""
        gone = set(structures)
        for index in reversed([index for index, _, name in self._labelled() if name in gone]):
            self.node.RemoveNthControlPoint(index)

    def show_only(self, structure: str) -> None:
        """Show the points on one structure and hide all others."""
        for index, _, name in self._labelled():
            if self.node.GetNthControlPointVisibility(index) != (name == structure):
                self.node.SetNthControlPointVisibility(index, name == structure)

    def _labelled(self) -> list[tuple[int, bool, str]]:
        """(index, adds, structure) of every point that is a click."""
        node, found = self.node, []
        for index in range(node.GetNumberOfControlPoints() if node is not None else 0):
            read = _read(node.GetNthControlPointDescription(index))
            if read is not None:
                found.append((index, *read))
        return found

    def _place(self, index: int) -> tuple[float, float, float]:
        r, a, s = self.node.GetNthControlPointPositionWorld(index)
        return -r, -a, s

    @staticmethod
    def _label(node, index: int, structure: str, adds: bool) -> None:
        node.SetNthControlPointDescription(index, f"{_WORDS[adds]} {structure}")
        node.SetNthControlPointLabel(index, f"{structure} {'+' if adds else '-'}")
        node.SetNthControlPointSelected(index, adds)
        node.SetNthControlPointLocked(index, True)  # moved afterwards it would be no click


def _read(description: str) -> tuple[bool, str] | None:
    for adds, words in _WORDS.items():
        if description.startswith(f"{words} "):
            return adds, description.removeprefix(f"{words} ")
    return None


# --- setting points with the mouse --------------------------------------------------------


def start_placing(
    points: ClickPoints, application_logic: slicer.vtkMRMLApplicationLogic | None = None
) -> None:
    """From now on each click in a view sets a point, until :func:`stop_placing`."""
    logic = application_logic or slicer.app.applicationLogic()
    selection, interaction = logic.GetSelectionNode(), logic.GetInteractionNode()
    selection.SetReferenceActivePlaceNodeClassName(_CLASS)
    selection.SetReferenceActivePlaceNodeID(points.made().GetID())
    interaction.SetPlaceModePersistence(1)
    interaction.SetCurrentInteractionMode(interaction.Place)


def stop_placing(
    points: ClickPoints | None,
    application_logic: slicer.vtkMRMLApplicationLogic | None = None,
) -> None:
    """Clicks do again what they did; nothing if points of others are being set."""
    logic = application_logic or slicer.app.applicationLogic()
    if is_placing(points, logic):
        interaction = logic.GetInteractionNode()
        interaction.SetCurrentInteractionMode(interaction.ViewTransform)
        logic.GetSelectionNode().SetReferenceActivePlaceNodeID(None)


def is_placing(
    points: ClickPoints | None,
    application_logic: slicer.vtkMRMLApplicationLogic | None = None,
) -> bool:
    """Whether a click in a view sets one of these points."""
    logic = application_logic or slicer.app.applicationLogic()
    node = points.node if points is not None else None
    interaction = logic.GetInteractionNode()
    return (
        node is not None
        and interaction.GetCurrentInteractionMode() == interaction.Place
        and logic.GetSelectionNode().GetActivePlaceNodeID() == node.GetID()
    )
