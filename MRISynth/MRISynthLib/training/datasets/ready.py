"""A case as training draws from it: registered, normalised, on the grid of one image."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy import ndimage

from ...errors import InputError
from ...preprocessing.overlap import LEAST, overlap_fraction
from ...preprocessing.preparation import Prepared, prepare
from ...preprocessing.resampling import coarsening, resample
from ...simulation.anatomy import LABELLED_STRUCTURES, STRUCTURE_DTYPE, bit
from ...simulation.tissues import TISSUE_INDEX
from ...volume import Volume
from .cases import DatasetCase, LoadedCase
from .masks import on_grid, read_label

UNKNOWN = -1
"""Tissue of a pixel of which nothing is known."""

SKIN_MARGIN_MM = 6.0
"""So near to the found outline of the body it is left open whether a pixel is air."""

LEAST_BODY = 0.02
"""A slice with a smaller share of body than this is not drawn."""

Moves = dict[str, np.ndarray | None]
"""Sequence -> 4x4 from the reference's LPS to that image's; None if it could not be found."""


@dataclass(frozen=True, eq=False)
class ReadyCase:
    """A case on the working grid of its reference; arrays are (slices, rows, columns).

    stack: sequence -> float32, normalised; cover: sequence -> share of the body in each slice
    that the image shows; structures: bits of ``LABELLED_STRUCTURES``; passes: structure that
    was drawn -> (slices,) where it is; tissue: int16 with :data:`UNKNOWN`; headers: sequence ->
    the image's header (with one voxel); body: (slices,) where there is body to speak of; box:
    (2, 2) first and last row and column of the body; spacing: mm between columns, rows and
    slices; warnings: sentences of the preparation.
    """

    stack: dict[str, np.ndarray]
    cover: dict[str, np.ndarray]
    structures: np.ndarray
    passes: dict[str, np.ndarray]
    tissue: np.ndarray
    headers: dict[str, Volume]
    body: np.ndarray
    box: np.ndarray
    spacing: np.ndarray
    warnings: tuple[str, ...]


def prepare_case(
    case: DatasetCase, pixel_mm: float, moves: Moves | None = None
) -> tuple[ReadyCase, Moves]:
    """Load a case and bring it onto the working grid of the image with the most labels.

    Parameters
    ----------
    pixel_mm:
        In-plane pixels of the grid.
    moves:
        What an earlier call returned, which saves the registration; None registers, unless the
        headers of this case can be trusted.

    Raises
    ------
    InputError
        If an image or a mask cannot be read, or an image is not fit for training.
    """
    reference = max(case.images, key=lambda sequence: len(case.labels_on(sequence)))
    loaded = case.load()
    first = loaded.volumes[reference]
    others = [volume for name, volume in loaded.volumes.items() if name != reference]
    if moves is None and case.registered:
        moves = {name: np.eye(4) for name in loaded.volumes}
    if moves is not None:
        found = [(volume, moves[volume.sequence]) for volume in others]
        placed = [_moved(volume, matrix) for volume, matrix in found if matrix is not None]
        prepared = prepare([first, *placed], register=False, pixel_mm=pixel_mm)
    else:
        near = {volume.sequence: _offset(volume, first) for volume in others}
        placed = [_moved(volume, near[volume.sequence]) for volume in others]
        prepared = prepare([first, *placed], register=True, pixel_mm=pixel_mm)
        moves = {reference: np.eye(4)}
        for entry in prepared.registrations:
            name = entry["sequence"]
            moves[name] = near[name] @ prepared.matrices[name] if entry["succeeded"] else None
    return _on_grid(case, loaded, prepared, moves), moves


def _moved(volume: Volume, matrix: np.ndarray) -> Volume:
    """``volume`` in the frame from which ``matrix`` leads to its own (LPS mm)."""
    return volume.replace(index_to_world=np.linalg.solve(matrix, volume.index_to_world))


def _offset(volume: Volume, reference: Volume) -> np.ndarray:
    """4x4 from the reference's frame to the volume's, before they are registered.

    The identity where the headers place them upon each other; where two scanners' frames have
    nothing in common, the shift that puts the centres of the images upon each other.
    """
    shift = np.eye(4)
    if overlap_fraction(reference, volume) < LEAST:
        shift[:3, 3] = volume.corners().mean(0) - reference.corners().mean(0)
    return shift


def _on_grid(
    case: DatasetCase,
    loaded: LoadedCase,
    prepared: Prepared,
    moves: Moves,
) -> ReadyCase:
    """Masks and tissues on the grid of the images, and what drawing needs to know."""
    grid, body = prepared.grid, prepared.body
    usable = [s for s in prepared.stack if moves[s] is not None]

    structures = np.zeros(grid.shape, STRUCTURE_DTYPE)
    passes = {}
    for name in LABELLED_STRUCTURES:
        drawn = next((s for s in usable if name in loaded.masks[s]), None)
        if drawn is not None:
            to_image = grid.index_in(loaded.volumes[drawn], moves[drawn])
            passes[name] = _paint(structures, bit(name), loaded.masks[drawn][name], to_image)
    tissue = np.full(grid.shape, UNKNOWN, np.int16)
    reach = round(SKIN_MARGIN_MM / float(grid.spacing[:2].mean()))
    near = ndimage.binary_dilation(body, np.ones((1, 3, 3), bool), iterations=max(reach, 1))
    tissue[~near] = TISSUE_INDEX["air"]
    tissue[(structures & (bit("GTVp") | bit("GTVn"))) != 0] = TISSUE_INDEX["tumour"]
    if case.tissue is not None and case.tissue_image in usable:
        numbers = _tissue_numbers(case, loaded.volumes[case.tissue_image])
        numbers = loaded.volumes[case.tissue_image].with_voxels(numbers)
        drawn_tissue = grid.to_grid(numbers, moves[case.tissue_image], cval=UNKNOWN, order=0)
        drawn_tissue = drawn_tissue.round().astype(np.int16)
        tissue = np.where(drawn_tissue == UNKNOWN, tissue, drawn_tissue)
    area = body.sum((1, 2))
    cover = {}
    for s in usable:
        valid = prepared.valid[s]
        share = np.ones(len(area)) if valid is None else (body & valid).sum((1, 2)) / area.clip(1)
        cover[s] = share
    rows, columns = np.flatnonzero(body.any((0, 2))), np.flatnonzero(body.any((0, 1)))
    box = np.array([(rows[0], columns[0]), (rows[-1], columns[-1])], float)
    return ReadyCase(
        {s: prepared.stack[s] for s in usable},
        cover,
        structures,
        passes,
        tissue,
        {s: _header(loaded.volumes[s]) for s in usable},
        area > LEAST_BODY * body[0].size,
        box,
        grid.spacing,
        prepared.warnings,
    )


def _paint(
    structures: np.ndarray, flag: np.uint64, mask: np.ndarray, to_image: np.ndarray
) -> np.ndarray:
    """Set ``flag`` in ``structures`` where ``mask`` is; returns in which slices that is.

    ``to_image``: 4x4 from the index of ``structures`` to that of ``mask``. Only the boxes around
    the mask are resampled: most structures are small, and there are many.
    """
    passes = np.zeros(len(structures), bool)
    found = ndimage.find_objects(mask.view(np.uint8))
    if not found:
        return passes
    low = np.array([place.start for place in found[0]])[::-1]  # (column, row, slice)
    high = np.array([place.stop - 1 for place in found[0]])[::-1]
    corners = np.array([(*corner, 1) for corner in product(*zip(low, high, strict=True))])
    corners = (corners @ np.linalg.inv(to_image).T)[:, :3]
    first = np.maximum(np.floor(corners.min(0)).astype(int) - 1, 0)
    last = np.minimum(np.ceil(corners.max(0)).astype(int) + 2, structures.shape[::-1])
    if (first >= last).any():
        return passes
    margin = np.ceil(3 * coarsening(to_image)).astype(int)
    low, high = np.maximum(low - margin, 0), high + margin + 1
    cut = mask[tuple(slice(a, b) for a, b in zip(low[::-1], high[::-1], strict=True))]
    before, after = np.eye(4), np.eye(4)
    before[:3, 3], after[:3, 3] = first, -low
    shape = tuple(int(n) for n in (last - first)[::-1])
    part = resample(cut.astype(np.float32), after @ to_image @ before, shape, order=1) > 0.5
    box = tuple(slice(a, b) for a, b in zip(first[::-1], last[::-1], strict=True))
    structures[box][part] |= flag
    passes[box[0]] = part.any((1, 2))
    return passes


def _header(volume: Volume) -> Volume:
    """The volume with one voxel only: what it says of itself, without its memory."""
    return volume.replace(voxels=np.zeros((1, 1, 1), np.float32))


def _tissue_numbers(case: DatasetCase, image: Volume) -> np.ndarray:
    """The case's tissue map in the numbers of ``tissues.TISSUES``; other names are unknown.

    ``tissue.json`` beside it names its numbers; without one they are taken as they are.
    """
    voxels = on_grid(read_label(case.tissue), image, case.tissue).astype(int)
    table = np.full(max(int(voxels.max()) + 1, 1), UNKNOWN, np.float32)
    path = case.tissue.with_name("tissue.json")
    names = {str(n): name for name, n in TISSUE_INDEX.items()}
    if path.is_file():
        try:
            names = dict(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise InputError(
                f"{path} does not name the numbers of the tissue map; write the case again."
            ) from error
    for number, name in names.items():
        if number.isdigit() and int(number) < len(table):
            table[int(number)] = TISSUE_INDEX.get(name, UNKNOWN)
    return table[voxels.clip(0)]
