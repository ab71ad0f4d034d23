"""Between a Segmentation and a Slicer segmentation node.

The one file of this library that imports ``slicer`` and ``vtk``; for desktop Slicer and
slicer-core alike.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from MRISynthLib.errors import InputError
from MRISynthLib.mrml import LPS_TO_RAS
from MRISynthLib.node_attributes import (
    provenance_of,
    set_provenance,
    set_warnings,
    warnings_of,
)
from MRISynthLib.volume import Volume

from .boxes import box_of
from .corrections import provenance_of_both
from .io import INPUTS_TAG, inputs_in_words
from .origins import AUTOMATIC
from .segmentation import Segmentation
from .structures import STRUCTURES
from .terminology import TAG, terminology_tag

UNKNOWN_COLOUR = (0.6, 0.6, 0.6)

FILL_OPACITY = 0.35
"""Of a structure over the image: the grey values under it must stay readable."""

ENCLOSING = {"Brain": (0.12, 0.15)}
"""Structures that enclose others -> (2D fill, 3D) opacity, so that these are seen."""

DOUBT_TAG = "MRISynth.Doubt"
"""Segment tag with a structure's doubt, 0 to 1."""

DRAWN_TAG = "MRISynth.Drawn"
"""Segment tag by which it is known whether what a model drew was edited since."""

SAME_PLACE_MM = 0.05
"""How far a segment may lie from where it was drawn: other programs round."""

_LABELMAP = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()


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
    scene = scene or slicer.mrmlScene
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
    node.CreateDefaultDisplayNodes()
    if reference_node is not None:
        node.SetReferenceImageGeometryParameterFromVolumeNode(reference_node)
    content = node.GetSegmentation()
    content.SetSourceRepresentationName(_LABELMAP)
    for structure_name in segmentation.masks:
        _add_segment(content, structure_name, structure_name, segmentation, segmentation.reference)
    content.CollapseBinaryLabelmaps(False)  # as few layers as overlaps permit
    for structure_name in segmentation.masks:
        _note(content.GetSegment(structure_name), structure_name, segmentation)
    set_provenance(node, segmentation.provenance)
    set_warnings(node, segmentation.warnings)
    if surfaces and segmentation.masks:
        node.CreateClosedSurfaceRepresentation()
    set_segment_display(node)
    return node


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
    found = _segments_by_name(node)
    content = node.GetSegmentation()
    label = node.GetName() or "The segmentation"
    if content.GetSourceRepresentationName() != _LABELMAP and content.GetNumberOfSegments():
        raise InputError(
            f"{label} is kept as {content.GetSourceRepresentationName().lower()}, which label maps "
            "would replace; choose another segmentation, or none to make a new one."
        )
    spared = set(edited_structures(node)) if names is None else set()
    wanted = set(segmentation.masks if names is None else names) - spared
    chosen = tuple(name for name in segmentation.masks if name in wanted)
    reference = _in_node(node, segmentation.reference)
    display = node.GetDisplayNode()
    was_modifying = node.StartModify()
    try:
        for name in chosen:
            if name in found:
                _replace_mask(node, found[name], segmentation.masks[name], reference)
                continue
            found[name] = content.GenerateUniqueSegmentID(name)
            _add_segment(content, found[name], name, segmentation, reference)
            if display is not None:
                _show_segment(display, found[name], name)
        if _on_one_grid(content):  # bringing other grids together would change what is drawn there
            content.CollapseBinaryLabelmaps(False)
        for name in chosen:
            _note(content.GetSegment(found[name]), name, segmentation, by_hand)
        _note_origin(node, segmentation, whole=set(found) <= set(chosen))
    finally:
        node.EndModify(was_modifying)
    return chosen


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
        for name, segment_id in _segments_by_name(node).items()
        if _is_edited(content.GetSegment(segment_id))
    )


def _segments_by_name(node) -> dict[str, str]:
    """Name -> id of every segment; their names as they are (Slicer's own search ignores case)."""
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


def _in_node(node, reference: Volume) -> Volume:
    """The reference's grid as it lies in the node's own frame, before its parent transform."""
    parent = node.GetParentTransformNode()
    if parent is None:
        return reference
    matrix = vtk.vtkMatrix4x4()
    if not parent.IsTransformToWorldLinear() or not parent.GetMatrixTransformFromWorld(matrix):
        raise InputError(
            f"{node.GetName()} lies under a transform that is not linear; harden it or take it "
            "away first."
        )
    from_world = np.reshape([matrix.GetElement(i, j) for i in range(4) for j in range(4)], (4, 4))
    inside = LPS_TO_RAS @ from_world @ LPS_TO_RAS @ reference.index_to_world
    return reference.replace(index_to_world=inside)


def _add_segment(content, segment_id: str, name: str, segmentation: Segmentation, grid) -> None:
    structure = STRUCTURES.get(name)
    segment = slicer.vtkSegment()
    segment.SetName(name)
    segment.SetColor(*(structure.colour if structure else UNKNOWN_COLOUR))
    if structure is not None:
        segment.SetTag(TAG, terminology_tag(structure))
    segment.AddRepresentation(_LABELMAP, _oriented_image(segmentation.masks[name], grid))
    content.AddSegment(segment, segment_id)


def _replace_mask(node, segment_id: str, mask: np.ndarray, grid: Volume) -> None:
    # from a shared label map Slicer would resample all that share it, if its grid is another
    node.GetSegmentation().SeparateSegmentLabelmap(segment_id)
    # nothing, in some voxels, empties a segment; Slicer's ClearSegment would leave its old surface
    image = _oriented_image(mask, grid) if mask.any() else _nothing(grid)
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    done = logic.SetBinaryLabelmapToSegment(image, node, segment_id, logic.MODE_REPLACE)
    if not done:
        raise InputError(
            f"Slicer could not change the segment {segment_id} of {node.GetName()}; make a new "
            "segmentation."
        )


def _nothing(grid: Volume):
    image = _oriented_grid(grid, shape=(2, 2, 2))  # of fewer no surface can be made
    image.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 1)
    image.GetPointData().GetScalars().Fill(0)
    return image


def _on_one_grid(content) -> bool:
    """Whether the label maps of all segments that are not empty lie on the same grid."""
    matrices = []
    for segment_id in content.GetSegmentIDs():
        image = content.GetSegment(segment_id).GetRepresentation(_LABELMAP)
        if image is not None and not image.IsEmpty():
            matrices.append(_image_to_world(image))
    return all(np.allclose(matrix, matrices[0], atol=1e-6) for matrix in matrices)


def _image_to_world(image) -> np.ndarray:
    matrix = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    return np.reshape([matrix.GetElement(i, j) for i in range(4) for j in range(4)], (4, 4))


# --- what is noted of a segment -----------------------------------------------------------


def _note(segment, name: str, segmentation: Segmentation, by_hand: bool = False) -> None:
    """What the segment was drawn on, how doubtful it is, and how it looks now."""
    if segmentation.provenance is not None:  # the node's attributes stay in the scene
        segment.SetTag(INPUTS_TAG, inputs_in_words(segmentation).replace("|", "/"))
    else:
        segment.RemoveTag(INPUTS_TAG)
    origin = segmentation.origins.get(name)
    corrected = origin is not None and origin.kind != AUTOMATIC
    if by_hand or corrected or segmentation.provenance is None:
        segment.RemoveTag(DRAWN_TAG)
        segment.RemoveTag(DOUBT_TAG)
        return
    segment.SetTag(DRAWN_TAG, _look(segment))
    if name in segmentation.doubt:
        segment.SetTag(DOUBT_TAG, f"{segmentation.doubt[name]:.4f}")
    else:
        segment.RemoveTag(DOUBT_TAG)


def _note_origin(node, segmentation: Segmentation, whole: bool) -> None:
    """Provenance and warnings of the node, with those from before unless all was drawn anew."""
    before = None if whole else provenance_of(node)
    set_provenance(node, provenance_of_both(before, segmentation.provenance))
    warnings = () if whole else warnings_of(node)
    set_warnings(node, dict.fromkeys([*segmentation.warnings, *warnings]))


def _is_edited(segment) -> bool:
    """Whether it looks otherwise than when a model drew it, or no model did."""
    then = _tag(segment, DRAWN_TAG).split()
    now = _look(segment).split()
    if len(then) != 4 or then[3] != now[3]:
        return True
    return bool(
        np.abs(np.subtract(np.float64(then[:3]), np.float64(now[:3]))).max() > SAME_PLACE_MM
    )


def _look(segment) -> str:
    """Where a segment's first voxel lies (mm in the node's frame) and a hash of its shape."""
    image = segment.GetRepresentation(_LABELMAP)
    mask = np.zeros((0, 0, 0), bool)
    if image is not None and not image.IsEmpty():
        scalars = vtk_to_numpy(image.GetPointData().GetScalars())
        mask = scalars.reshape(image.GetDimensions()[::-1]) == segment.GetLabelValue()
    box = box_of(mask) if mask.any() else None
    if box is None:
        return "0 0 0 empty"
    start = np.array([side.start for side in reversed(box)]) + image.GetExtent()[::2]
    place = _image_to_world(image) @ (*start, 1)
    digest = hashlib.blake2b(repr(mask[box].shape).encode(), digest_size=12)
    digest.update(np.packbits(mask[box]))
    return " ".join([*(f"{value:.3f}" for value in place[:3]), digest.hexdigest()])


def _tag(segment, name: str) -> str:
    text = vtk.reference("")
    return str(text) if segment.GetTag(name, text) else ""


# --- back ---------------------------------------------------------------------------------


def segmentation_from_node(node: slicer.vtkMRMLSegmentationNode, reference: Volume) -> Segmentation:
    """The node's segments as masks on the grid of ``reference`` (nearest neighbour).

    Whatever the user drew is included; doubt is that of structures that nobody edited. Parent
    transforms of the node are applied; reference is taken as it is in the world.

    Raises
    ------
    InputError
        If the node is no segmentation, or two segments have the same name.
    """
    segments = _segments_by_name(node)
    content = node.GetSegmentation()
    if not content.ContainsRepresentation(_LABELMAP) and content.GetNumberOfSegments():
        node.CreateBinaryLabelmapRepresentation()
    grid = _oriented_grid(reference)
    masks: dict[str, np.ndarray] = {}
    doubt: dict[str, float] = {}
    for name, segment_id in segments.items():
        masks[name] = _mask(node, segment_id, grid, reference.shape)
        segment = content.GetSegment(segment_id)
        noted = _tag(segment, DOUBT_TAG)
        if noted and not _is_edited(segment):
            doubt[name] = float(noted)
    return Segmentation(masks, reference, provenance_of(node), warnings_of(node), doubt)


def _mask(node, segment_id: str, grid, shape: tuple[int, int, int]) -> np.ndarray:
    drawn = slicer.vtkOrientedImageData()
    if not node.GetBinaryLabelmapRepresentation(segment_id, drawn) or drawn.IsEmpty():
        return np.zeros(shape, bool)
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    logic.ApplyParentTransformToOrientedImageData(node, drawn)
    resampled = slicer.vtkOrientedImageData()
    done = slicer.vtkOrientedImageDataResample.ResampleOrientedImageToReferenceOrientedImage(
        drawn, grid, resampled, False, False
    )
    if not done or tuple(reversed(resampled.GetDimensions())) != shape:
        return np.zeros(shape, bool)
    return vtk_to_numpy(resampled.GetPointData().GetScalars()).reshape(shape) > 0


def _oriented_grid(reference: Volume, offset=(0, 0, 0), shape=None):
    """An oriented image without voxels: ``shape`` (k, j, i) voxels from index ``offset``."""
    image = slicer.vtkOrientedImageData()
    shape = reference.shape if shape is None else shape
    extent = [v for axis in range(3) for v in (offset[axis], offset[axis] + shape[2 - axis] - 1)]
    image.SetExtent(extent)
    matrix = vtk.vtkMatrix4x4()
    matrix.DeepCopy((LPS_TO_RAS @ reference.index_to_world).ravel())
    image.SetImageToWorldMatrix(matrix)
    return image


def _oriented_image(mask: np.ndarray, reference: Volume):
    """The part of a mask that holds something; an image of no extent if nothing does."""
    filled = [np.flatnonzero(mask.any(axis=axes)) for axes in ((0, 1), (0, 2), (1, 2))]
    if not filled[0].size:
        image = _oriented_grid(reference)
        image.SetExtent(0, -1, 0, -1, 0, -1)
        image.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 1)
        return image
    i, j, k = ((int(found[0]), int(found[-1]) + 1) for found in filled)
    part = np.ascontiguousarray(mask[k[0] : k[1], j[0] : j[1], i[0] : i[1]], dtype=np.uint8)
    image = _oriented_grid(reference, (i[0], j[0], k[0]), part.shape)
    image.GetPointData().SetScalars(numpy_to_vtk(part.ravel(), deep=True))
    return image
