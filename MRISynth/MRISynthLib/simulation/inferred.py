"""What a labelled head does not name, but shows: temporal lobes, the pituitary gland and sulci."""

from __future__ import annotations

import numpy as np

from ..boxes import box_of
from .label_volumes import LabelVolume
from .lobes import SIDES, temporal_lobes
from .sella import pituitary_gland
from .sulci import sulci

LOBES = tuple(f"Lobe_Temporal_{side}" for side in SIDES)
GLAND = "Pituitary"
BRAIN = "Brain"
INFERRED = (*LOBES, GLAND, BRAIN)
"""What can be inferred, or (the brain) completed."""


def flag(name: str) -> int:
    """The bit by which one of :data:`INFERRED` is marked."""
    return 1 << INFERRED.index(name)


def infer_structures(volume: LabelVolume, mapping: dict) -> np.ndarray:
    """Where a head has what its mapping does not name.

    Parameters
    ----------
    volume:
        Its labels; its world is head coordinates.
    mapping:
        As :mod:`label_volumes` describes it: lobes need ``cerebrum``, the gland ``bone``; the sulci
        are those of the structure ``Brain``.

    Returns
    -------
    uint8 of the labels' shape: the sum of the :func:`flag` of all that is there.
    """
    found = np.zeros(volume.labels.shape, np.uint8)
    named = mapping.get("structures", {})
    fluid = mapping["tissues"].get("CSF", [])
    if "cerebrum" in mapping and not {*LOBES, "Lobe_Temporal"} & named.keys():
        lobes = temporal_lobes(volume, mapping["cerebrum"], mapping.get("temporal", {}), fluid)
        for value, name in enumerate(LOBES, 1):
            found[lobes == value] |= flag(name)
    if mapping.get("bone") and GLAND not in named:
        gland = pituitary_gland(volume, mapping["bone"], [*fluid, *mapping["soft_tissue"]])
        found[gland] |= flag(GLAND)
    brain = np.isin(volume.labels, named.get(BRAIN, []))
    box = box_of(brain)
    if box is not None:
        wet = np.isin(volume.labels[box], fluid)
        found[box][sulci(brain[box], wet, volume.spacing)] |= flag(BRAIN)
    return found
