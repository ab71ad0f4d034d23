"""The scene that the demonstration leaves: everything that was made, laid out, in one file."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import numpy_to_vtk

from MRISynthLib.errors import OutputError
from MRISynthLib.mrml import (
    node_from_volume,
    set_layout,
    set_overlay,
    show_side_by_side,
)
from MRISynthLib.node_attributes import sequence_of
from MRISynthLib.views import SliceLayout, built_in_layout
from MRISynthLib.volume import Volume
from MRISynthSegmentLib.mrml import segmentation_node_from
from MRISynthSegmentLib.segmentation import Segmentation

from ..focus import place_to_show
from .headless import HeadlessScene, vtk_silent

VIEW_SIZE = (480, 480)
"""Pixels that a saved view is laid out for; desktop Slicer fits it to its window."""


@dataclass(frozen=True)
class DemoScene:
    """The nodes of a scene that :func:`build_scene` filled.

    ``views`` names the slice views in reading order, each showing the volume at the same
    place of ``shown``.
    """

    headless: HeadlessScene
    real: tuple[slicer.vtkMRMLScalarVolumeNode, ...]
    synthetic: tuple[slicer.vtkMRMLScalarVolumeNode, ...]
    uncertainty: tuple[slicer.vtkMRMLScalarVolumeNode, ...]
    segmentation: slicer.vtkMRMLSegmentationNode | None
    layout: SliceLayout
    views: tuple[str, ...]
    shown: tuple[slicer.vtkMRMLScalarVolumeNode, ...]
    focus_lps: tuple[float, float, float]

    def save_mrb(self, path: Path, thumbnail: np.ndarray | None = None) -> None:
        """Write the scene as one file that desktop Slicer opens; see :func:`save_mrb`."""
        save_mrb(self.headless, path, thumbnail)


def build_scene(
    headless: HeadlessScene,
    real: Sequence[Volume],
    synthetic: Sequence[Volume],
    uncertainty: Sequence[Volume] = (),
    segmentation: Segmentation | None = None,
    focus_lps: Sequence[float] | None = None,
) -> DemoScene:
    """Fill a scene: all images, the structures over them, real and synthetic side by side.

    All views show the place ``focus_lps`` (LPS mm; None: that of
    :func:`~MRISynthApp.focus.place_to_show`), linked. Views that real and synthetic images
    leave free show uncertainties; over each synthetic image lies its uncertainty, not visible
    until it is faded in with the view's own slider.

    Raises
    ------
    ValueError
        If there is no image.
    """
    nodes = [
        [node_from_volume(v, headless.scene) for v in group]
        for group in (real, synthetic, uncertainty)
    ]
    everything = [*real, *synthetic]
    if not everything:
        raise ValueError("a scene needs at least one image")
    segmentation_node = None
    if segmentation is not None:
        reference = _node_of(
            segmentation.reference,
            [*everything, *uncertainty],
            [n for group in nodes for n in group],
        )
        segmentation_node = segmentation_node_from(
            segmentation, reference, headless.scene, name="Structures"
        )
    if focus_lps is None:
        grid = everything[0] if segmentation is None else segmentation.reference
        focus_lps = place_to_show(grid, segmentation)
    focus = tuple(float(value) for value in focus_lps)
    wanted = nodes[0] + nodes[1]
    layout = built_in_layout(len(wanted))
    shown = (wanted + nodes[2])[: len(layout.views)]
    set_layout(layout, headless.scene)
    for view in layout.views:
        headless.slice_logic(view).ResizeSliceNode(*VIEW_SIZE)
    views = show_side_by_side(
        shown, focus_lps=focus, layout=layout, application_logic=headless.application_logic
    )
    for view, node in zip(views, shown, strict=True):
        if node in nodes[1]:
            _lay_uncertainty(headless, view, node, nodes[2])
    return DemoScene(
        headless,
        *(tuple(group) for group in nodes),
        segmentation_node,
        layout,
        views,
        tuple(shown),
        focus,
    )


def save_mrb(headless: HeadlessScene, path: Path, thumbnail: np.ndarray | None = None) -> None:
    """Write the whole scene as a .mrb: a zip with the scene and its images, paths relative.

    ``thumbnail`` is an RGB picture (rows, columns, 3) that file dialogs show. The file
    appears whole or not at all.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    path = Path(path)
    advice = f"The scene {path} cannot be written"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=".mrisynth-", dir=path.parent))
    except OSError as error:
        raise OutputError(f"{advice} ({error.strerror}); choose another folder.") from error
    try:
        # The name inside the bundle is that of the file.
        draft = folder / path.with_suffix(".mrb").name
        messages = slicer.vtkMRMLMessageCollection()
        with vtk_silent():  # it tells of every file that it packs; failures are in messages
            written = headless.scene.WriteToMRB(str(draft), _vtk_image(thumbnail), messages)
        if not written or not draft.is_file():
            reason = " ".join(messages.GetAllMessagesAsString().split()) or "is the disk full?"
            raise OutputError(f"{advice}: {reason}")
        os.replace(draft, path)
    except OSError as error:
        raise OutputError(f"{advice} ({error.strerror}); choose another folder.") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def load_mrb(headless: HeadlessScene, path: Path) -> None:
    """Add what a .mrb holds to a scene.

    Raises
    ------
    OutputError
        If it cannot be read back whole.
    """
    messages = slicer.vtkMRMLMessageCollection()
    # Unpacking changes the working directory, and a damaged file leaves it in a removed folder.
    with contextlib.chdir(os.getcwd()), vtk_silent():
        # vtk_silent: it complains that an oblique view's orientation is no preset
        read = headless.scene.ReadFromMRB(str(Path(path).absolute()), False, messages)
    if not read:
        reason = " ".join(messages.GetAllMessagesAsString().split())
        raise OutputError(f"The scene {path} cannot be read: {reason or 'it is damaged'}.")


def _lay_uncertainty(headless: HeadlessScene, view: str, synthetic, uncertainty: Sequence) -> None:
    sequence = sequence_of(synthetic)
    for node in uncertainty:
        if sequence_of(node) == sequence:
            logic = headless.application_logic
            set_overlay(node, [view], opacity=0.0, application_logic=logic)
            return


def _node_of(volume: Volume, volumes: Sequence[Volume], nodes: Sequence):
    """The node of this image, or of one on the same grid; None if there is none."""
    same = [n for v, n in zip(volumes, nodes, strict=True) if v is volume]
    same += [n for v, n in zip(volumes, nodes, strict=True) if v.same_geometry(volume)]
    return same[0] if same else None


def _vtk_image(picture: np.ndarray | None) -> vtk.vtkImageData | None:
    if picture is None:
        return None
    image = vtk.vtkImageData()
    image.SetDimensions(picture.shape[1], picture.shape[0], 1)
    flat = np.ascontiguousarray(picture[::-1]).reshape(-1, 3)
    image.GetPointData().SetScalars(numpy_to_vtk(flat, deep=True))
    return image
