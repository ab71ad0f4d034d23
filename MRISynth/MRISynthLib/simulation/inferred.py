"""What a labelled head does not name, but shows: temporal lobes and the pituitary gland."""

from __future__ import annotations

import numpy as np

from .label_volumes import LabelVolume
from .lobes import SIDES, temporal_lobes
from .sella import pituitary_gland

LOBES = tuple(f"Lobe_Temporal_{side}" for side in SIDES)
GLAND = "Pituitary"
INFERRED = (*LOBES, GLAND)
"""What can be inferred; where it lies in a head is marked by its position here, from 1."""


def infer_structures(volume: LabelVolume, mapping: dict) -> np.ndarray:
    """Where a head has what its mapping does not name.

    Parameters
    ----------
    volume:
        Its labels; its world is head coordinates.
    mapping:
        As :mod:`label_volumes` describes it: lobes need ``cerebrum``, the gland ``bone``.

    Returns
    -------
    uint8 of the labels' shape: position in :data:`INFERRED`, from 1; 0 elsewhere.
    """
    found = np.zeros(volume.labels.shape, np.uint8)
    named = mapping.get("structures", {})
    fluid = mapping["tissues"].get("CSF", [])
    if "cerebrum" in mapping and not {*LOBES, "Lobe_Temporal"} & named.keys():
        found = temporal_lobes(volume, mapping["cerebrum"], mapping.get("temporal", {}), fluid)
    if mapping.get("bone") and GLAND not in named:
        gland = pituitary_gland(volume, mapping["bone"], [*fluid, *mapping["soft_tissue"]])
        found[gland] = 1 + INFERRED.index(GLAND)
    return found
