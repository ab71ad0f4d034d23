"""Parameters and volumes of the worker's task "export", from the nodes of a scene."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import slicer

from MRISynthLib.errors import InputError, OutputError
from MRISynthLib.io.output import staged_file
from MRISynthLib.mrml import volume_from_node
from MRISynthLib.node_attributes import provenance_of, sources_of
from MRISynthLib.volume import Volume

from ..compared.mrml import needed_grid
from ..exports import Plan
from ..mrml import algorithm_types_of, segmentation_steps
from ..packed import packed
from ..placed.mrml import LOADED_AGAIN_MM, reference_node_of


def contours_steps(
    plan: Plan,
    node: slicer.vtkMRMLSegmentationNode,
    target: Path,
    references: Sequence[str],
) -> Generator[None, None, tuple[dict[str, Any], list[Volume]]]:
    """To write contours as ``target``, on the series in the files ``references``; in portions,
    between which a window can answer.

    Raises
    ------
    InputError
        If the segmentation's image is gone, two segments have one name, or the user changes one
        meanwhile.
    """
    segmentation = yield from segmentation_steps(node, needed_grid(node))
    types = algorithm_types_of(node)
    yield
    plain, volumes = packed(segmentation)
    request = {
        "format": plan.format.name,
        "path": str(target),
        "references": list(references),
        "segmentation": plain,
        "types": types,
    }
    return request, volumes


def image_request(
    plan: Plan,
    node: slicer.vtkMRMLScalarVolumeNode,
    target: Path,
    references: Sequence[str],
    *,
    burn_in: bool = False,
) -> tuple[dict[str, Any], list[Volume]]:
    """To write a synthetic image as a series into the folder ``target``.

    Raises
    ------
    InputError
        If the image, or one that it was made from, cannot be read.
    """
    volumes = [volume_from_node(each) for each in (node, *inputs_of(node))]
    request = {
        "format": plan.format.name,
        "path": str(target),
        "references": list(references),
        "study": plan.study(),
        "burn_in": burn_in,
    }
    return request, volumes


def save_node(node: slicer.vtkMRMLSegmentationNode, path: Path) -> None:
    """Save as ``.seg.nrrd``, with Slicer's own writer: quick, and complete.

    Raises
    ------
    OutputError
        If Slicer could not write there.
    """
    # Slicer writes in place; a failure must not leave half a file under the wanted name.
    with staged_file(path) as beside:
        # exportNode keeps its default properties from call to call, so it gets its own.
        if not slicer.util.exportNode(node, str(beside), properties={}):
            raise OutputError(f"{path} could not be written; choose another folder.")


def inputs_of(
    node: slicer.vtkMRMLScalarVolumeNode | None,
) -> tuple[slicer.vtkMRMLScalarVolumeNode, ...]:
    """The images of the scene that a synthetic one was made from, by the names in its record:
    those to which it refers, and one that lies as it does, as a source that was loaded again.
    Another image of that name may be of another series."""
    provenance = provenance_of(node) if node is not None else None
    names = [str(item.get("name")) for item in provenance.inputs] if provenance else []
    found = slicer.util.getNodesByClass(
        "vtkMRMLScalarVolumeNode", node.GetScene() if node else None
    )
    sources = sources_of(node) if node is not None else []
    free = [*sources, *(each for each in found if each is not node and each not in sources)]
    made_from = []
    for name in names:  # two of one name are two images
        of_name = (each for each in free if each.GetName() == name)
        match = next((each for each in of_name if each in sources or _lie_alike(each, node)), None)
        if match is not None:
            free.remove(match)
            made_from.append(match)
    return tuple(made_from)


def images_behind(
    node: slicer.vtkMRMLSegmentationNode | None,
) -> tuple[slicer.vtkMRMLScalarVolumeNode, ...]:
    """The images of the scene to whose series contours can refer: the one on which they were drawn.
    A synthetic one has no series unless it came with one; then those from which it was made and
    on whose slices it lies."""
    image = reference_node_of(node) if node is not None else None
    if image is None:
        return ()
    alike = () if image.GetAttribute("DICOM.instanceUIDs") else inputs_of(image)
    return tuple(each for each in alike if _lie_alike(each, image)) or (image,)


def _lie_alike(one: slicer.vtkMRMLScalarVolumeNode, other: slicer.vtkMRMLScalarVolumeNode) -> bool:
    try:
        grid = volume_from_node(other)
        return volume_from_node(one).same_geometry(grid, LOADED_AGAIN_MM)
    except InputError:  # empty, or moved in a way that no grid is
        return False
