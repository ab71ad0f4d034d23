"""What is measured of one structure of one patient."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from ..agreement import Agreement, agreement
from ..structures import STRUCTURES

DICE, HD95, SURFACE_1, SURFACE_2 = "Dice", "HD95 (mm)", "surface Dice 1 mm", "surface Dice 2 mm"
VOLUME_ERROR, VOLUME_OFF = "volume error", "absolute volume error"
MISSED, INVENTED, DOUBT = "missed", "found though absent", "doubt"

MEASURES = (DICE, HD95, SURFACE_1, SURFACE_2, VOLUME_ERROR, VOLUME_OFF, MISSED)
"""Of a structure that is there. Volume errors are shares of the true volume."""

LEAST_VOXELS = 10
"""A structure with fewer true voxels, at the edge of the field of view, is not measured: whether
it is still there is a matter of rounding."""

TUMOUR = "GTVp"


def dice(found: np.ndarray, truth: np.ndarray) -> float:
    """Dice coefficient of two boolean masks; 1 if both are empty."""
    total = np.count_nonzero(found) + np.count_nonzero(truth)
    return 2 * np.count_nonzero(found & truth) / total if total else 1.0


def measured(
    truth: np.ndarray | None,
    found: np.ndarray,
    index_to_world: np.ndarray,
    doubt: float | None = None,
) -> tuple[dict[str, float], Agreement | None]:
    """The figures of one structure, and the agreement that they are of where it is there.

    Parameters
    ----------
    truth:
        Boolean (slices, rows, columns), or None where the structure is known to be absent.
    found:
        Boolean of the same grid.
    index_to_world:
        4x4: (column, row, slice, 1) to LPS millimetres.
    doubt:
        What the model said of its own result, 0 (sure) to 1.

    Returns
    -------
    :data:`MEASURES` as far as they can be measured, and the doubt; of an absent structure only
    whether something was found (1 or 0); nothing for one with fewer voxels than
    :data:`LEAST_VOXELS`.
    """
    if truth is None or not truth.any():
        return {INVENTED: float(found.any())}, None
    if np.count_nonzero(truth) < LEAST_VOXELS:
        return {}, None
    result = agreement(truth, found, index_to_world)
    error = result.volume_error
    values = {
        DICE: result.dice,
        HD95: result.hd95_mm,
        SURFACE_1: result.surface_dice_1mm,
        SURFACE_2: result.surface_dice_2mm,
        VOLUME_ERROR: error,
        VOLUME_OFF: None if error is None else abs(error),
        MISSED: float(not found.any()),
        DOUBT: doubt,
    }
    return {name: float(value) for name, value in values.items() if value is not None}, result


def organs(names: Iterable[str]) -> list[str]:
    """Those that are not tumour volumes."""
    return [name for name in names if name not in STRUCTURES or not STRUCTURES[name].is_target]


def mean_of_organs(structures: Mapping[str, Mapping[str, float]], figure: str) -> float | None:
    """Mean of a figure over the organs that have it; None if none has."""
    values = [structures[name][figure] for name in organs(structures) if figure in structures[name]]
    return float(np.mean(values)) if values else None
