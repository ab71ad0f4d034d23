"""A segmentation in the scene: its table, its display, outlines of two over one another."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import slicer
import vtk

from MRISynthLib.node_attributes import provenance_of, warnings_of
from MRISynthLib.provenance import SYNTHETIC_MARK

from ..labelmaps.mrml import LABELMAP, image_to_world, label_voxels, tag_of
from ..noted.mrml import has_work
from ..panel import FIRST_COLOUR, SECOND_COLOUR, ResultRow
from ..places import told_in
from ..structure_record import DOUBT_TAG
from ..structures import STRUCTURES, named_in

SURFACE = slicer.vtkSegmentationConverter.GetSegmentationClosedSurfaceRepresentationName()

OUTLINES_ATTRIBUTE = "MRISynth.BeforeOutlines"
"""Of a display node while it shows bare outlines: how it looked before and how it was made to
look, as JSON. What looks otherwise now was changed by the user since, and stays."""

FIRST_WIDTH, SECOND_WIDTH = 5, 2
"""Pixels: the second line lies within the first where both agree."""


# --- the table ----------------------------------------------------------------------------


class _Measured(NamedTuple):
    state: tuple
    voxels: int
    millilitres: float
    edited: bool


class SegmentTable:
    """The table of results of a segmentation node; what did not change is not measured again."""

    def __init__(self) -> None:
        self._kept: dict[str, _Measured] = {}

    def rows(self, node: slicer.vtkMRMLSegmentationNode) -> tuple[ResultRow, ...]:
        """One line a segment: targets and organs in display order, then what the user added."""
        content, display = node.GetSegmentation(), node.GetDisplayNode()
        kept, self._kept = self._kept, {}
        rows = []
        for segment_id in content.GetSegmentIDs():
            segment = content.GetSegment(segment_id)
            found = self._measure(segment_id, segment, kept.get(segment_id))
            name = segment.GetName()
            structure = STRUCTURES.get(name)
            noted = tag_of(segment, DOUBT_TAG)
            rows.append(
                ResultRow(
                    name,
                    structure.label if structure else name,
                    found.millilitres if found.voxels else None,
                    float(noted) if noted and not found.edited else None,
                    segment_id=segment_id,
                    measured=_bounds_otherwise(segment) is None,
                    colour=tuple(segment.GetColor()),
                    edited=found.edited,
                    shown=display is None
                    or bool(display.GetVisibility() and display.GetSegmentVisibility(segment_id)),
                )
            )
        order = {name: place for place, name in enumerate(STRUCTURES)}
        return tuple(sorted(rows, key=lambda row: order.get(row.name, len(order))))

    def _measure(self, segment_id: str, segment, before: _Measured | None) -> _Measured:
        image = segment.GetRepresentation(LABELMAP)
        label = segment.GetLabelValue()
        seen = image.GetMTime() if image is not None else 0  # no two share a time
        state = (seen, label, segment.GetName())
        if before is not None and before.state == state:
            found = before
        else:
            voxels, millilitres = size_of(segment)
            found = _Measured(state, voxels, millilitres, has_work(segment))
        self._kept[segment_id] = found
        return found


def size_of(segment) -> tuple[int, float]:
    """Voxels and millilitres of a segment, in the node's own frame."""
    image = segment.GetRepresentation(LABELMAP)
    if image is None or image.IsEmpty():
        return 0, 0.0
    count = int(np.count_nonzero(label_voxels(image) == segment.GetLabelValue()))
    return count, count * abs(float(np.linalg.det(image_to_world(image)[:3, :3]))) / 1000


def inside_point(
    node: slicer.vtkMRMLSegmentationNode, segment_id: str
) -> tuple[float, float, float] | None:
    """RAS of the segment's voxel nearest to its centre: every view through it shows the segment.

    Its centre if it is kept otherwise than in voxels; None if it is empty.
    """
    segment = node.GetSegmentation().GetSegment(segment_id)
    point = _middle(segment) if segment is not None else None
    if point is None:
        return None
    parent = node.GetParentTransformNode()
    if parent is not None:
        to_world = vtk.vtkGeneralTransform()
        parent.GetTransformToWorld(to_world)
        point = to_world.TransformPoint(point)
    return tuple(float(value) for value in point)


def _middle(segment) -> np.ndarray | None:
    """As :func:`inside_point`, in the node's own frame."""
    image = segment.GetRepresentation(LABELMAP)
    if image is None:
        sides = _bounds_otherwise(segment)
        return None if sides is None else sides.mean(1)
    if image.IsEmpty():
        return None
    index = np.argwhere(label_voxels(image) == segment.GetLabelValue())
    if not len(index):
        return None
    first = np.array(image.GetExtent()[::2])
    matrix = image_to_world(image)
    places = (index[:, ::-1] + first) @ matrix[:3, :3].T + matrix[:3, 3]
    return places[np.argmin(np.linalg.norm(places - places.mean(0), axis=1))]


def _bounds_otherwise(segment) -> np.ndarray | None:
    """(axis, low and high) of a segment that is kept without a label map, as the contours of a
    planning system are; None if it has one or holds nothing."""
    if segment.GetRepresentation(LABELMAP) is not None:
        return None
    bounds = np.zeros(6)
    segment.GetBounds(bounds)
    sides = bounds.reshape(3, 2)
    return sides if np.all(sides[:, 0] <= sides[:, 1]) else None


def jump_to(node: slicer.vtkMRMLSegmentationNode, segment_id: str) -> bool:
    """Bring a segment into the middle of all slice views; False if it is empty."""
    point = inside_point(node, segment_id)
    if point is None:
        return False
    _jump(node, point)
    return True


def jump_to_told(node: slicer.vtkMRMLSegmentationNode, sentences: Iterable[str]) -> None:
    """Bring the first place that sentences of a segmentation tell into the middle of all views."""
    point = next(filter(None, map(told_in, sentences)), None)
    if point is not None:
        _jump(node, (-point[0], -point[1], point[2]))


def _jump(node: slicer.vtkMRMLNode, ras: Sequence[float]) -> None:
    slices = slicer.vtkMRMLSliceNode
    slices.JumpAllSlices(node.GetScene(), *ras, slices.CenteredJumpSlice)


# --- the display --------------------------------------------------------------------------


class Look(NamedTuple):
    """What the panel says of how a segmentation is shown.

    ``fill`` (0 to 1) scales the 2D opacity of each structure.
    """

    fill: float
    outlines: bool
    in_3d: bool


def look_of(node: slicer.vtkMRMLSegmentationNode) -> Look | None:
    """How a segmentation is shown, apart from bare outlines; None if it cannot be shown."""
    display = node.GetDisplayNode()
    if display is None:
        return None
    outlines = _own_look(node, display)["outline"]
    return Look(display.GetOpacity2DFill(), outlines, bool(display.GetVisibility3D()))


def set_look(
    node: slicer.vtkMRMLSegmentationNode, fill: float, outlines: bool, in_3d: bool
) -> None:
    """As :class:`Look` says, now or when bare outlines are over. In 3D those are seen that have
    surfaces: :func:`surface_steps`."""
    display = node.GetDisplayNode()
    if display is None:
        return
    was_modifying = display.StartModify()
    display.SetOpacity2DFill(fill)
    display.SetVisibility3D(in_3d)
    if outlined(node):
        before = {**_own_look(node, display), "outline": outlines}
        if outlines:  # else they are hidden when the comparison is over: it is of nothing else
            display.SetVisibility2DOutline(True)
        _keep_look(node, display, before)
    else:
        display.SetVisibility2DOutline(outlines)
    display.EndModify(was_modifying)


def surface_steps(node: slicer.vtkMRMLSegmentationNode) -> Generator[None, None, None]:
    """Make the surfaces for 3D that are missing, in portions of one structure, between which a
    window can answer.

    They come into the segmentation together: Slicer counts on all segments having the same.
    """
    content = node.GetSegmentation()
    apart = _apart(content)
    missing = [
        segment_id
        for segment_id in (content.GetSegmentIDs() if apart is not None else ())
        if content.GetSegment(segment_id).GetRepresentation(SURFACE) is None
    ]
    made = {}
    for segment_id in missing[:-1]:
        segment = content.GetSegment(segment_id)
        image = segment.GetRepresentation(LABELMAP) if segment is not None else None
        if image is not None:
            made[segment_id] = (image.GetMTime(), _surface(apart, segment, image))
        yield
    if node.GetScene() is None or not content.GetNumberOfSegments():
        return
    for segment_id, (time, surface) in made.items():
        segment = content.GetSegment(segment_id)
        image = segment.GetRepresentation(LABELMAP) if segment is not None else None
        same = image is not None and image.GetMTime() == time
        if same and segment.GetRepresentation(SURFACE) is None:
            segment.AddRepresentation(SURFACE, surface)
    node.CreateClosedSurfaceRepresentation()  # the last, with which Slicer tells of all


def _apart(content) -> slicer.vtkSegmentation | None:
    """An empty segmentation that makes surfaces as this one does; None if each surface depends on
    the other segments, or they are not made of label maps."""
    rule = slicer.vtkBinaryLabelmapToClosedSurfaceConversionRule
    joint = content.GetConversionParameter(rule.GetJointSmoothingParameterName())
    if content.GetSourceRepresentationName() != LABELMAP or joint not in ("", "0"):
        return None
    apart = slicer.vtkSegmentation()
    apart.SetSourceRepresentationName(LABELMAP)
    apart.DeserializeConversionParameters(content.SerializeAllConversionParameters())
    return apart


def _surface(apart, segment, image) -> vtk.vtkPolyData:
    copy = slicer.vtkSegment()
    copy.SetLabelValue(segment.GetLabelValue())
    copy.AddRepresentation(LABELMAP, image)  # the same voxels
    apart.AddSegment(copy, "one")
    apart.CreateRepresentation(SURFACE)
    surface = copy.GetRepresentation(SURFACE)
    apart.RemoveSegment("one")
    return surface


def show_segments(
    node: slicer.vtkMRMLSegmentationNode, shown: Iterable[str], hidden: Iterable[str] = ()
) -> None:
    """Show and hide segments by their ids."""
    shown, hidden = list(shown), list(hidden)
    display = node.GetDisplayNode()
    if display is None:
        return
    was_modifying = display.StartModify()
    for names, visible in ((shown, True), (hidden, False)):
        for segment_id in names:
            display.SetSegmentVisibility(segment_id, visible)
    if shown and not display.GetVisibility():
        # all were hidden together, as by the eye in the Data module: only these are seen now
        for segment_id in set(node.GetSegmentation().GetSegmentIDs()) - set(shown):
            display.SetSegmentVisibility(segment_id, False)
        display.SetVisibility(True)
    display.EndModify(was_modifying)


def hide(node: slicer.vtkMRMLSegmentationNode) -> bool:
    """Hide a segmentation as a whole; False if nothing of it was shown."""
    display = node.GetDisplayNode()
    if display is None or not display.GetVisibility():
        return False
    display.SetVisibility(False)
    return True


def show_instead(
    node: slicer.vtkMRMLSegmentationNode, before: slicer.vtkMRMLSegmentationNode
) -> bool:
    """Show a segmentation that is hidden as a whole, in the place of another; whether that one was
    hidden. Of two that are seen together both stay."""
    display = node.GetDisplayNode()
    if display is None or display.GetVisibility():
        return False
    display.SetVisibility(True)
    return before.GetScene() is not None and hide(before)


# --- two over one another -----------------------------------------------------------------


def show_outlines(
    first: slicer.vtkMRMLSegmentationNode,
    second: slicer.vtkMRMLSegmentationNode,
    pairs: Mapping[str, str],
) -> None:
    """Nothing but the outlines of some structures of both, each segmentation in one colour.

    ``pairs`` are names in the first and in the second. How they looked before is kept with the
    scene, for :func:`hide_outlines`.
    """
    ways = (
        (first, set(pairs), FIRST_COLOUR, FIRST_WIDTH),
        (second, set(pairs.values()), SECOND_COLOUR, SECOND_WIDTH),
    )
    for node, names, colour, width in ways:
        node.CreateDefaultDisplayNodes()
        display = node.GetDisplayNode()
        was_modifying = display.StartModify()
        before = _own_look(node, display)
        display.SetVisibility(True)
        display.SetVisibility2DFill(False)
        display.SetVisibility2DOutline(True)
        display.SetSliceIntersectionThickness(width)
        content = node.GetSegmentation()
        for segment_id in content.GetSegmentIDs():
            display.SetSegmentVisibility(
                segment_id, content.GetSegment(segment_id).GetName() in names
            )
            display.SetSegmentOverrideColor(segment_id, *colour)
        _keep_look(node, display, before)
        display.EndModify(was_modifying)


def hide_outlines(node: slicer.vtkMRMLSegmentationNode | None) -> None:
    """Back to the look before :func:`show_outlines`, but for what the user changed meanwhile;
    nothing if it does not hold."""
    if not outlined(node):
        return
    display = node.GetDisplayNode()
    look = _own_look(node, display)
    was_modifying = display.StartModify()
    display.RemoveAttribute(OUTLINES_ATTRIBUTE)
    display.SetVisibility(look["visible"])
    display.SetVisibility2DFill(look["fill"])
    display.SetVisibility2DOutline(look["outline"])
    display.SetSliceIntersectionThickness(look["width"])
    for segment_id, visible in look["segments"].items():
        display.UnsetSegmentOverrideColor(segment_id)
        display.SetSegmentVisibility(segment_id, visible)
    display.EndModify(was_modifying)


def outlined(node: slicer.vtkMRMLSegmentationNode | None) -> bool:
    """Whether a segmentation shows bare outlines."""
    display = node.GetDisplayNode() if node is not None else None
    return display is not None and bool(display.GetAttribute(OUTLINES_ATTRIBUTE))


def _keep_look(node, display, before: dict) -> None:
    kept = {"before": before, "made": _look(node, display)}
    display.SetAttribute(OUTLINES_ATTRIBUTE, json.dumps(kept))


def _own_look(node, display) -> dict:
    """The look that the user wants: where it is not as it was made for bare outlines, as it is."""
    now, text = _look(node, display), display.GetAttribute(OUTLINES_ATTRIBUTE)
    if not text:
        return now
    kept = json.loads(text)
    before, made = kept.get("before", kept), kept.get("made", now)  # earlier versions: one alone
    look = {key: before[key] if now[key] == made[key] else now[key] for key in now}
    look["segments"] = {
        segment_id: before["segments"].get(segment_id, True)
        if visible == made["segments"].get(segment_id, visible)
        else visible
        for segment_id, visible in now["segments"].items()
    }
    return look


def _look(node, display) -> dict:
    return {
        "visible": bool(display.GetVisibility()),
        "fill": bool(display.GetVisibility2DFill()),
        "outline": bool(display.GetVisibility2DOutline()),
        "width": display.GetSliceIntersectionThickness(),
        "segments": {
            segment_id: bool(display.GetSegmentVisibility(segment_id))
            for segment_id in node.GetSegmentation().GetSegmentIDs()
        },
    }


# --- its origin ---------------------------------------------------------------------------


def origin_in_words(node: slicer.vtkMRMLSegmentationNode | None) -> str:
    """On what a segmentation was drawn, and by which model; empty if that is not recorded."""
    provenance = provenance_of(node) if node is not None else None
    if provenance is None or not provenance.inputs:
        return ""
    inputs = []
    for item in provenance.inputs:
        word = str(item.get("sequence") or item.get("name") or "?")
        inputs.append(f"{SYNTHETIC_MARK} {word}" if item.get("synthetic") else word)
    model = f" by {provenance.bundle} {provenance.bundle_version}" if provenance.bundle else ""
    return f"Drawn on {', '.join(dict.fromkeys(inputs))}{model.rstrip()}."


def warnings_on(node: slicer.vtkMRMLSegmentationNode, name: str) -> tuple[str, ...]:
    """The sentences kept with a segmentation that name this structure."""
    return tuple(each for each in warnings_of(node) if name in named_in(each))
