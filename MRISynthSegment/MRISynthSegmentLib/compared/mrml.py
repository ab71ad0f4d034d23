"""What a comparison needs of a scene, and what it leaves there."""

from __future__ import annotations

import csv
import json
from collections.abc import Generator, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import slicer
import vtk

from MRISynthLib.errors import InputError
from MRISynthLib.io.output import file_with_ending, staged_file
from MRISynthLib.mrml import show_side_by_side
from MRISynthLib.volume import Volume

from ..comparison import common_structures
from ..labelmaps.mrml import look_of
from ..mrml import segmentation_node_from, segmentation_steps, segments_by_name
from ..packed import packed, unpacked
from ..placed.mrml import grid_of, reference_node_of
from ..segmentation import Segmentation
from ..shown.mrml import inside_point, jump_to, size_of
from ..structure_record import same_look

if TYPE_CHECKING:
    from MRISynthLib.worker import TaskResult

CUT_SHARE, CUT_MILLILITRES = 0.1, 0.05
"""What resampling to another grid may take from a structure without a word."""

TABLE_ATTRIBUTE = "MRISynth.Comparison"
"""Marks the table node of a comparison; its value says of what."""

LOOKS_ATTRIBUTE = "MRISynth.ComparedLooks"
"""How the structures looked that were compared, as JSON; earlier versions kept none."""


def needed_grid(node: slicer.vtkMRMLSegmentationNode) -> Volume:
    """The image on which a segmentation was drawn.

    Raises
    ------
    InputError
        If it is gone: then there is no grid to measure on.
    """
    grid = grid_of(node)
    if grid is None:
        raise InputError(
            f"The image on which {node.GetName()} was drawn is gone; load it, or choose it as the "
            "source geometry in the Segment Editor."
        )
    return grid


def names_in_common(
    first: slicer.vtkMRMLSegmentationNode, second: slicer.vtkMRMLSegmentationNode
) -> dict[str, str]:
    """Structures of the first that the second has too -> how it writes them.

    Raises
    ------
    InputError
        If a node is no segmentation or has two segments of one name.
    """
    return dict(common_structures(segments_by_name(first), segments_by_name(second)))


def comparison_steps(
    first: slicer.vtkMRMLSegmentationNode, second: slicer.vtkMRMLSegmentationNode
) -> Generator[None, None, tuple[dict[str, Any], list[Volume]]]:
    """Parameters and volumes of the worker's task "contour_comparison", on the first one's image;
    in portions, between which a window can answer.

    Raises
    ------
    InputError
        If that image is gone, they have no structure in common, the user changes one meanwhile, or
        as :func:`names_in_common`.
    """
    grid, same = needed_grid(first), names_in_common(first, second)
    names = (first.GetName(), second.GetName())
    if not same:
        raise InputError(
            f"{names[0]} and {names[1]} have no structure in common; rename those that belong "
            "together."
        )
    if names[0] == names[1]:
        names = (f"{names[0]} (first)", f"{names[1]} (second)")
    request: dict[str, Any] = {"names": list(names)}
    volumes: list[Volume] = []
    for key, node in (("first", first), ("second", second)):
        segmentation = yield from segmentation_steps(node, grid)
        if node is second and (cut := (yield from _cut_off(node, segmentation, same.values()))):
            beyond = (
                f"{', '.join(cut)}: part of it lies outside the image of {names[0]} and is not "
                "measured."
            )
            segmentation = replace(segmentation, warnings=(*segmentation.warnings, beyond))
        request[key], parts = packed(segmentation)
        volumes += parts
        yield
    return request, volumes


def _cut_off(
    node: slicer.vtkMRMLSegmentationNode, inside: Segmentation, names: Iterable[str]
) -> Generator[None, None, list[str]]:
    """Structures of which the grid of ``inside`` leaves a noticeable part out."""
    content, ids, cut = node.GetSegmentation(), segments_by_name(node), []
    voxel = abs(np.linalg.det(inside.reference.index_to_world[:3, :3])) / 1000
    for name in names:
        segment = content.GetSegment(ids.get(name, ""))
        whole = size_of(segment)[1] if segment is not None else 0.0  # deleted at this moment
        lost = whole - np.count_nonzero(inside.masks[name]) * voxel
        if lost > max(CUT_SHARE * whole, CUT_MILLILITRES):
            cut.append(name)
        yield
    return cut


def keep_comparison(
    info: dict[str, Any],
    node: slicer.vtkMRMLTableNode | None = None,
    looks: Sequence[Sequence[str]] = (),
) -> slicer.vtkMRMLTableNode:
    """The table of a finished comparison as a table node, kept with the scene; ``looks`` are
    :func:`looks_of` what was compared."""
    sides = [info["comparison"][side]["name"] for side in ("first", "second")]
    if node is None:
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode", "Comparison of contours")
    columns = []
    for place, title in enumerate(info["columns"]):
        column = vtk.vtkStringArray()
        column.SetName(title)
        for row in info["rows"]:
            column.InsertNextValue(row[place])
        columns.append(column)
    was_modifying = node.StartModify()
    node.RemoveAllColumns()
    for column in columns:
        node.AddColumn(column)
    node.SetAttribute(TABLE_ATTRIBUTE, " / ".join(sides))
    node.SetAttribute(LOOKS_ATTRIBUTE, json.dumps(looks))
    node.EndModify(was_modifying)
    return node


def compared_names(node: slicer.vtkMRMLTableNode | None) -> tuple[str, ...]:
    """Of which two segmentations such a table is; nothing for None."""
    if node is None:
        return ()
    first, _, second = (node.GetAttribute(TABLE_ATTRIBUTE) or "").partition(" / ")
    return first, second


def looks_of(nodes: Iterable[slicer.vtkMRMLSegmentationNode]) -> list[list[str]]:
    """How the structures of each segmentation look now."""
    contents = [node.GetSegmentation() for node in nodes]
    return [
        [look_of(content.GetSegment(segment_id)) for segment_id in content.GetSegmentIDs()]
        for content in contents
    ]


def as_compared(
    table: slicer.vtkMRMLTableNode, nodes: Iterable[slicer.vtkMRMLSegmentationNode]
) -> bool:
    """Whether two segmentations look as when they were compared, as far as that was kept."""
    kept = json.loads(table.GetAttribute(LOOKS_ATTRIBUTE) or "[]")
    return not kept or all(
        len(before) == len(now) and all(map(same_look, before, now))
        for before, now in zip(kept, looks_of(nodes), strict=True)
    )


def comparison_texts(
    node: slicer.vtkMRMLTableNode | None,
) -> tuple[list[str], list[list[str]]]:
    """Titles and lines of such a table; nothing for None."""
    if node is None:
        return [], []
    columns = range(node.GetNumberOfColumns())
    rows = range(node.GetNumberOfRows())
    titles = [node.GetColumnName(column) for column in columns]
    return titles, [[node.GetCellText(row, column) for column in columns] for row in rows]


def save_table(node: slicer.vtkMRMLTableNode, path: str) -> str:
    """Write the figures as .csv; the path with its suffix.

    Raises
    ------
    OutputError
        If it cannot be written, or the suffix had to be added and that file exists.
    """
    target = file_with_ending(path, ".csv")
    titles, rows = comparison_texts(node)
    with staged_file(target) as beside, beside.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([titles, *rows])
    return str(target)


def contours_node(
    path: str, first: slicer.vtkMRMLSegmentationNode, result: TaskResult
) -> slicer.vtkMRMLSegmentationNode:
    """The contours that the worker's task "contours" read, as a node on the image of ``first``."""
    volumes = [volume for _, volume in result.volumes]
    read = unpacked(result.info["segmentation"], volumes)
    grid, reference = needed_grid(first), reference_node_of(first)
    warnings = read.warnings
    if reference.GetParentTransformNode() is not None:
        moved = (
            f"{reference.GetName()} lies under a transform, and these contours lie where their "
            "file says; put them under it, too, if they were drawn before."
        )
        warnings = (*warnings, moved)
    loaded = Segmentation(read.masks, grid, read.provenance, warnings, read.doubt, read.origins)
    return segmentation_node_from(loaded, reference, name=Path(path).name, surfaces=False)


def jump_to_name(node: slicer.vtkMRMLSegmentationNode, name: str) -> bool:
    """Bring a structure into the middle of all slice views; False if it is not there or empty."""
    segment_id = segments_by_name(node).get(name)
    return segment_id is not None and jump_to(node, segment_id)


def show_on_both(
    images: Sequence[slicer.vtkMRMLScalarVolumeNode],
    node: slicer.vtkMRMLSegmentationNode | None = None,
    name: str = "",
) -> None:
    """Both images side by side, linked, at the structure of that name if there is one.

    Raises
    ------
    InputError
        If an image has no voxels.
    """
    for image in images:
        if image.GetImageData() is None:
            raise InputError(f"{image.GetName()} has no voxels; choose another image.")
    focus = None
    if node is not None:
        segments = segments_by_name(node)
        wanted = [segments[name]] if name in segments else list(segments.values())
        focus = next(filter(None, (inside_point(node, each) for each in wanted)), None)
    lps = None if focus is None else (-focus[0], -focus[1], focus[2])
    show_side_by_side(images, focus_lps=lps)
