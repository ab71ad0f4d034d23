"""Between a Segmentation and a Slicer segmentation node.

For desktop Slicer and slicer-core alike. Only files of this name import ``slicer`` and ``vtk``.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from dataclasses import replace

import numpy as np
import slicer

from MRISynthLib.errors import InputError
from MRISynthLib.node_attributes import (
    provenance_of,
    set_provenance,
    set_warnings,
    warnings_of,
)
from MRISynthLib.progress import finished
from MRISynthLib.volume import Volume

from .corrections import provenance_of_both
from .labelmaps.mrml import (
    LABELMAP,
    image_to_world,
    in_node,
    mask_in,
    oriented_image,
    own_mask,
    replace_mask,
    tag_of,
)
from .noted.mrml import (
    NOTES,
    algorithm_type,
    follow_name,
    has_work,
    note,
    origin_of,
    set_meaning,
)
from .origins import AUTOMATIC, Origin
from .segmentation import Segmentation
from .structure_record import DOUBT_TAG, INPUTS_TAG
from .structures import STRUCTURES, UNKNOWN_COLOUR, named_in

FILL_OPACITY = 0.35
"""Of a structure over the image: the grey values under it must stay readable."""

ENCLOSING = {"Brain": (0.12, 0.15)}
"""Structures that enclose others -> (2D fill, 3D) opacity, so that these are seen."""


def segmentation_node_from(
    segmentation: Segmentation,
    reference_node: slicer.vtkMRMLScalarVolumeNode | None = None,
    scene: slicer.vtkMRMLScene | None = None,
    *,
    name: str = "Segmentation",
    surfaces: bool = True,
) -> slicer.vtkMRMLSegmentationNode:
    """A segmentation node with every structure as a segment, shown in 2D and 3D.

    Segment ids and names are the TG-263 names; colours and coded meaning come from
    :data:`STRUCTURES`. Structures may overlap. ``reference_node`` (the node of
    ``segmentation.reference``) becomes the reference geometry. ``surfaces`` makes the closed
    surfaces for 3D views. A structure with an empty mask becomes an empty segment. What is edited
    later is known to :func:`edited_structures`.
    """
    return finished(
        segmentation_node_steps(segmentation, reference_node, scene, name=name, surfaces=surfaces)
    )


def segmentation_node_steps(
    segmentation: Segmentation,
    reference_node: slicer.vtkMRMLScalarVolumeNode | None = None,
    scene: slicer.vtkMRMLScene | None = None,
    *,
    name: str = "Segmentation",
    surfaces: bool = True,
) -> Generator[None, None, slicer.vtkMRMLSegmentationNode]:
    """:func:`segmentation_node_from` in portions of one structure, between which a window can
    answer; closed before its end it leaves nothing behind."""
    scene = scene or slicer.mrmlScene
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
    try:
        if reference_node is not None:
            node.SetReferenceImageGeometryParameterFromVolumeNode(reference_node)
        content = node.GetSegmentation()
        content.SetSourceRepresentationName(LABELMAP)
        for structure_name in segmentation.masks:
            grid = segmentation.reference
            _add_segment(content, structure_name, structure_name, segmentation, grid)
            note(content.GetSegment(structure_name), structure_name, segmentation)
            if surfaces:
                node.CreateClosedSurfaceRepresentation()  # only of those that have none
            yield
            _check_there(node)
        content.CollapseBinaryLabelmaps(False)  # as few layers as overlaps permit
        yield
        _check_there(node)
        set_provenance(node, segmentation.provenance)
        set_warnings(node, segmentation.warnings)
        node.CreateDefaultDisplayNodes()  # last, so that no view draws what is half made
        set_segment_display(node)
    except BaseException:
        if node.GetScene() is not None:
            scene.RemoveNode(node)
        raise
    return node


def _check_there(node) -> None:
    if node.GetScene() is None:
        raise InputError(
            "The segmentation was deleted while structures were put into it; press Apply again."
        )


def set_segment_display(node: slicer.vtkMRMLSegmentationNode) -> None:
    """Opacities: outlines full, fills see-through, enclosing structures nearly clear."""
    display = node.GetDisplayNode()
    display.SetVisibility(True)
    display.SetAllSegmentsVisibility(True)
    display.SetVisibility2DFill(True)
    display.SetVisibility2DOutline(True)
    display.SetVisibility3D(True)
    display.SetOpacity2DFill(1.0)
    display.SetOpacity2DOutline(1.0)
    display.SetSliceIntersectionThickness(2)
    content = node.GetSegmentation()
    for segment_id in content.GetSegmentIDs():
        _show_segment(display, segment_id, content.GetSegment(segment_id).GetName())


def _show_segment(display, segment_id: str, name: str) -> None:
    fill, solid = ENCLOSING.get(name, (FILL_OPACITY, 1.0))
    display.SetSegmentOpacity2DFill(segment_id, fill)
    display.SetSegmentOpacity2DOutline(segment_id, 1.0)
    display.SetSegmentOpacity3D(segment_id, solid)


def update_segmentation_node(
    node: slicer.vtkMRMLSegmentationNode,
    segmentation: Segmentation,
    names: Iterable[str] | None = None,
    *,
    by_hand: bool = False,
) -> tuple[str, ...]:
    """Put structures that were drawn anew into a node; all other segments stay as they are.

    A structure takes the place of the segment of its name, whose colour, opacities and visibility
    are kept; without such a segment one is added. Surfaces, if the node has them, follow.

    Parameters
    ----------
    segmentation:
        What was drawn, on any grid.
    names:
        The structures to put in; None: all, but for those that the user drew or edited.
    by_hand:
        Whether the user had a hand in it, as with clicks: they count as edited from then on.

    Returns
    -------
    The structures that were put in.

    Raises
    ------
    InputError
        If the node is no segmentation, keeps it otherwise than as label maps, has two segments of
        one name, or lies under a transform that is not linear.
    """
    check_can_update(node, segmentation.reference)
    was_modifying = node.StartModify()
    try:
        return finished(update_steps(node, segmentation, names, by_hand=by_hand))
    finally:
        node.EndModify(was_modifying)


def update_steps(
    node: slicer.vtkMRMLSegmentationNode,
    segmentation: Segmentation,
    names: Iterable[str] | None = None,
    *,
    by_hand: bool = False,
) -> Generator[None, None, tuple[str, ...]]:
    """:func:`update_segmentation_node` in portions of one structure, between which a window can
    answer; closed before its end it puts back what was there."""
    reference = check_can_update(node, segmentation.reference)
    content, display = node.GetSegmentation(), node.GetDisplayNode()
    wanted = set(segmentation.masks if names is None else names)
    put: list[str] = []
    kept: dict[str, tuple | None] = {}
    try:
        for name in (each for each in segmentation.masks if each in wanted):
            # looked for only now: the user may edit, rename or delete it between the portions
            there = segments_by_name(node).get(name)
            spared = names is None and there is not None and has_work(content.GetSegment(there))
            if not spared:
                segment_id = there or content.GenerateUniqueSegmentID(name)
                kept[segment_id] = _kept(content.GetSegment(there)) if there else None
                if there:
                    replace_mask(node, there, segmentation.masks[name], reference)
                else:
                    _add_segment(content, segment_id, name, segmentation, reference)
                    if display is not None:
                        _show_segment(display, segment_id, name)
                follow_name(content.GetSegment(segment_id))
                note(content.GetSegment(segment_id), name, segmentation, by_hand)
                put.append(name)
            yield
            _check_there(node)
        _in_few_layers(content)
        _note_origin(node, segmentation, set(put))
    except BaseException:
        if node.GetScene() is not None:
            for segment_id, before in kept.items():
                _put_back(node, segment_id, before)
            _in_few_layers(content)
        raise
    return tuple(put)


def _kept(segment) -> tuple:
    """What a segment looks like and what is noted of it, to be put back; small."""
    return own_mask(segment), {name: tag_of(segment, name) for name in NOTES}


def _put_back(node, segment_id: str, before: tuple | None) -> None:
    segment = node.GetSegmentation().GetSegment(segment_id)
    if segment is None:
        return  # the user removed it meanwhile
    if before is None:
        node.GetSegmentation().RemoveSegment(segment_id)
        return
    (mask, grid), notes = before
    replace_mask(node, segment_id, mask, grid)
    for name, text in notes.items():
        if text:
            segment.SetTag(name, text)
        else:
            segment.RemoveTag(name)


def correct_structures(
    node: slicer.vtkMRMLSegmentationNode,
    masks: Mapping[str, np.ndarray],
    reference: Volume,
    begun: str = "",
    drawn_on: str = "",
) -> None:
    """Give some segments other masks, as a user's hand would; quick, for one click after another.

    What a model noted of a segment stays: it counts as edited while it looks otherwise than then.
    One that is not there yet is begun.

    Parameters
    ----------
    masks:
        Segment id -> mask on the grid of ``reference``.
    begun, drawn_on:
        Of a segment that is begun: its name, by default its id, and the images on which it is
        drawn, in words.

    Raises
    ------
    InputError
        If the node keeps its segments otherwise than as label maps, or lies under a transform that
        is not linear.
    """
    _check_label_maps(node)
    grid = in_node(node, reference)
    content, display = node.GetSegmentation(), node.GetDisplayNode()
    was_modifying = node.StartModify()
    try:
        for segment_id, mask in masks.items():
            if content.GetSegment(segment_id) is not None:
                replace_mask(node, segment_id, mask, grid)
                continue
            name = begun or segment_id
            _add_segment(content, segment_id, name, Segmentation({name: mask}, reference), grid)
            if drawn_on:
                content.GetSegment(segment_id).SetTag(INPUTS_TAG, drawn_on.replace("|", "/"))
            if display is not None:
                _show_segment(display, segment_id, name)
    finally:
        node.EndModify(was_modifying)


def check_can_update(node: slicer.vtkMRMLSegmentationNode, reference: Volume) -> Volume:
    """The grid of ``reference`` in the node's own frame, if structures can be put there.

    Raises
    ------
    InputError
        As :func:`update_segmentation_node`.
    """
    segments_by_name(node)
    _check_label_maps(node)
    return in_node(node, reference)


def _check_label_maps(node: slicer.vtkMRMLSegmentationNode) -> None:
    content = node.GetSegmentation()
    if content.GetSourceRepresentationName() != LABELMAP and content.GetNumberOfSegments():
        raise InputError(
            f"{node.GetName() or 'The segmentation'} is kept as "
            f"{content.GetSourceRepresentationName().lower()}, which label maps would replace; "
            "choose another segmentation, or none to make a new one."
        )


def algorithm_types_of(node: slicer.vtkMRMLSegmentationNode) -> dict[str, str]:
    """Segment name -> who drew it, one of :data:`MRISynthSegmentLib.origins.KINDS`.

    What came from a file that called it a model's may have been edited since: that cannot be known,
    so it is SEMIAUTOMATIC.

    Raises
    ------
    InputError
        As :func:`edited_structures`.
    """
    content = node.GetSegmentation() if node is not None else None
    found = segments_by_name(node)
    return {name: algorithm_type(content.GetSegment(found[name])) for name in found}


def edited_structures(node: slicer.vtkMRMLSegmentationNode) -> tuple[str, ...]:
    """Names of the segments that a user drew, or changed since a model drew them.

    Raises
    ------
    InputError
        If the node is no segmentation or has two segments of one name.
    """
    content = node.GetSegmentation() if node is not None else None
    return tuple(
        name
        for name, segment_id in segments_by_name(node).items()
        if has_work(content.GetSegment(segment_id))
    )


def segments_by_name(node: slicer.vtkMRMLSegmentationNode) -> dict[str, str]:
    """Name -> id of every segment; their names as they are (Slicer's own search ignores case).

    Raises
    ------
    InputError
        If the node is no segmentation or has two segments of one name.
    """
    label = (node.GetName() if node is not None else None) or "The segmentation"
    if node is None or not node.IsA("vtkMRMLSegmentationNode"):
        raise InputError(f"{label} is not a segmentation; choose a segmentation.")
    found: dict[str, str] = {}
    content = node.GetSegmentation()
    for segment_id in content.GetSegmentIDs():
        name = content.GetSegment(segment_id).GetName()
        if name in found:
            raise InputError(f"{label} has two segments named {name}; rename one of them.")
        found[name] = segment_id
    return found


def _add_segment(content, segment_id: str, name: str, segmentation: Segmentation, grid) -> None:
    structure = STRUCTURES.get(name)
    segment = slicer.vtkSegment()
    segment.SetName(name)
    segment.SetColor(*(structure.colour if structure else UNKNOWN_COLOUR))
    set_meaning(segment)
    segment.AddRepresentation(LABELMAP, oriented_image(segmentation.masks[name], grid))
    content.AddSegment(segment, segment_id)


def _in_few_layers(content) -> None:
    """As few layers as overlaps permit, unless segments lie on several grids: to bring these
    together would change what is drawn there."""
    matrices = []
    for segment_id in content.GetSegmentIDs():
        image = content.GetSegment(segment_id).GetRepresentation(LABELMAP)
        if image is not None and not image.IsEmpty():
            matrices.append(image_to_world(image))
    if all(np.allclose(matrix, matrices[0], atol=1e-6) for matrix in matrices):
        content.CollapseBinaryLabelmaps(False)


def _note_origin(node, segmentation: Segmentation, put: set[str]) -> None:
    """Provenance and warnings of the node, with those from before unless all that they are about
    was drawn anew."""
    whole = set(segments_by_name(node)) <= put
    before = None if whole else provenance_of(node)
    set_provenance(node, provenance_of_both(before, segmentation.provenance))
    warnings = [
        each
        for each in (() if whole else warnings_of(node))
        if not named_in(each) or not named_in(each) <= put
    ]
    set_warnings(node, dict.fromkeys([*segmentation.warnings, *warnings]))


# --- back ---------------------------------------------------------------------------------


def segmentation_from_node(node: slicer.vtkMRMLSegmentationNode, reference: Volume) -> Segmentation:
    """The node's segments as masks on the grid of ``reference`` (nearest neighbour).

    Whatever the user drew is included; doubt is that of structures that nobody edited, and what
    was edited since a model drew it was drawn by both. Parent
    transforms of the node are applied; reference is taken as it is in the world.

    Raises
    ------
    InputError
        If the node is no segmentation, or two segments have the same name.
    """
    return finished(segmentation_steps(node, reference))


def segmentation_steps(
    node: slicer.vtkMRMLSegmentationNode, reference: Volume
) -> Generator[None, None, Segmentation]:
    """:func:`segmentation_from_node` in portions of one structure, between which a window can
    answer; an InputError if the user changes the segments meanwhile."""
    segments = segments_by_name(node)
    content = node.GetSegmentation()
    if not content.ContainsRepresentation(LABELMAP) and content.GetNumberOfSegments():
        node.CreateBinaryLabelmapRepresentation()
    before = _times(content)
    masks: dict[str, np.ndarray] = {}
    doubt: dict[str, float] = {}
    origins: dict[str, Origin] = {}
    for name, segment_id in segments.items():
        segment = content.GetSegment(segment_id)
        masks[name], kind = mask_in(node, segment_id, reference), algorithm_type(segment)
        noted = tag_of(segment, DOUBT_TAG)
        if noted and kind == AUTOMATIC:
            doubt[name] = float(noted)
        origin = origin_of(segment)
        if origin.kind not in ("", kind):
            origin = replace(origin, kind=kind, description="")
        if origin != Origin():
            origins[name] = origin
        yield
        if _times(content) != before:
            raise InputError(f"{node.GetName()} was changed while it was read; try again.")
    provenance, warnings = provenance_of(node), warnings_of(node)
    return Segmentation(masks, reference, provenance, warnings, doubt, origins)


def _times(content) -> list[tuple[str, str, int]]:
    """What changes with the segments' names and label maps."""
    found = []
    for segment_id in content.GetSegmentIDs():
        segment = content.GetSegment(segment_id)
        image = segment.GetRepresentation(LABELMAP)
        time = image.GetMTime() if image is not None else 0
        found.append((segment_id, segment.GetName(), time))
    return found
