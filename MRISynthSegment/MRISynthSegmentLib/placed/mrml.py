"""The image of a segmentation: which it is, where it lay, and whether a new result lies so too."""

from __future__ import annotations

import numpy as np
import slicer

from MRISynthLib.errors import InputError
from MRISynthLib.mrml import LPS_TO_RAS, volume_from_node
from MRISynthLib.node_attributes import provenance_of
from MRISynthLib.volume import Volume

from ..labelmaps.mrml import image_to_world, in_node
from ..mrml import check_can_update
from ..segmentation import Segmentation

LOADED_AGAIN_MM = 0.01
"""So far corners of an image may lie from where they were, for rounding, before it was reloaded."""


def reference_node_of(
    node: slicer.vtkMRMLSegmentationNode,
) -> slicer.vtkMRMLScalarVolumeNode | None:
    """The volume on which a segmentation was made, also if it was deleted and loaded again; None
    if it is gone."""
    noted = node.GetNodeReference(
        slicer.vtkMRMLSegmentationNode.GetReferenceImageGeometryReferenceRole()
    )
    return noted if noted is not None else _loaded_again(node)


def grid_of(node: slicer.vtkMRMLSegmentationNode) -> Volume | None:
    """The image on which a segmentation was made, as a volume; None if it is gone."""
    reference = reference_node_of(node)
    return None if reference is None else volume_from_node(reference)


def _loaded_again(node) -> slicer.vtkMRMLScalarVolumeNode | None:
    """A volume that lies where the segmentation's image lay and has the name of one of its inputs;
    where these are not recorded, the only one that lies there."""
    grid = noted_grid(node)
    if grid is None or node.GetScene() is None:
        return None
    found = {}
    for each in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode", node.GetScene()):
        try:
            there = in_node(node, volume_from_node(each))
        except InputError:  # empty, or moved in a way that no grid is
            continue
        if not each.IsA("vtkMRMLLabelMapVolumeNode") and there.same_geometry(grid, LOADED_AGAIN_MM):
            found.setdefault(each.GetName(), each)
    provenance = provenance_of(node)
    names = [item.get("name") for item in provenance.inputs] if provenance is not None else []
    if not any(names):
        return next(iter(found.values())) if len(found) == 1 else None
    return next((found[name] for name in names if name in found), None)


def noted_grid(node) -> Volume | None:
    """Where the image lay when it was drawn on, in the node's own frame, as Slicer notes it; what
    hardens a transform of the segmentation moves it along."""
    converter = slicer.vtkSegmentationConverter
    text = node.GetSegmentation().GetConversionParameter(
        converter.GetReferenceImageGeometryParameterName()
    )
    image = slicer.vtkOrientedImageData()
    if not text or not converter.DeserializeImageGeometry(text, image, False):
        return None
    shape = image.GetDimensions()[::-1]
    if min(shape) < 1:
        return None
    matrix = image_to_world(image)
    matrix[:3, 3] += matrix[:3, :3] @ image.GetExtent()[::2]
    return Volume(np.broadcast_to(np.uint8(0), shape), LPS_TO_RAS @ matrix)


# --- a new result -------------------------------------------------------------------------


def why_not_into(node: slicer.vtkMRMLSegmentationNode, segmentation: Segmentation) -> str:
    """Why what was drawn cannot go into a node, as a sentence; empty if it can."""
    try:
        inside = check_can_update(node, segmentation.reference)
        grid, noted = grid_of(node), noted_grid(node)
    except InputError as error:
        return str(error)
    if noted is not None and noted.shape == inside.shape:
        # else it would lie beside what is kept, where the image was moved meanwhile
        fits = noted.same_geometry(inside, LOADED_AGAIN_MM)
    else:
        fits = grid is not None and grid.same_geometry(segmentation.reference)
    if fits:
        return ""
    return f"{node.GetName()} was drawn on another image, or its image was moved since."


def moved_along(
    reference: Volume, node: slicer.vtkMRMLScalarVolumeNode | None
) -> tuple[Volume, str]:
    """An image that was handed to the worker, as it lies now, and a sentence if that is elsewhere.

    What was drawn on its voxels goes with them; if there are others now, it stays where they were.
    """
    if node is None:
        return reference, ""
    name = node.GetName()
    try:
        now = volume_from_node(node)
    except InputError as error:
        return reference, f"{error} The contours lie where {name} was when Apply was pressed."
    if now.same_geometry(reference):
        return reference, ""
    if now.shape != reference.shape:
        return reference, (
            f"{name} was changed during the run, and the contours lie where it was; press Apply "
            "again."
        )
    moved = reference.replace(index_to_world=now.index_to_world)
    return moved, f"{name} was moved during the run; the contours went with it."
