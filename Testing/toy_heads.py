"""Heads of a few ellipsoids, made in no time: to train on where anatomy does not matter."""

from __future__ import annotations

import numpy as np

from MRISynthLib.simulation.anatomy import STRUCTURE_DTYPE, Anatomy, bit
from MRISynthLib.simulation.tissues import TISSUE_INDEX

SHAPE = (48, 80, 80)

PARTS = {
    "Brain": ((34, 38, 40), (9, 24, 20), "white matter"),
    "Eye_L": ((16, 18, 54), (6, 6, 6), "vitreous"),
    "Eye_R": ((16, 18, 26), (6, 6, 6), "vitreous"),
    "Parotid_L": ((12, 48, 60), (8, 7, 6), "parotid gland"),
    "Parotid_R": ((12, 48, 20), (8, 7, 6), "parotid gland"),
    "GTVp": ((14, 44, 40), (7, 7, 7), "tumour"),
}
"""Structure -> centre and radii (slice, row, column; mm), and what it is made of. Columns run to
the patient's left."""

KNOWN = (*PARTS, "GTVn")


def toy_head(rng: np.random.Generator, *rest) -> Anatomy:
    """A head of fat and muscle with a brain, eyes, glands and a tumour, 1 mm; of other structures
    it is not known where they are, but that there is no GTVn."""
    places = np.stack(np.indices(SHAPE), -1).astype(float)

    def ellipsoid(centre, radii) -> np.ndarray:
        return (((places - centre) / radii) ** 2).sum(-1) < 1

    tissue = np.zeros(SHAPE, np.uint8)
    structures = np.zeros(SHAPE, STRUCTURE_DTYPE)
    middle = (SHAPE[0] / 2, SHAPE[1] / 2, SHAPE[2] / 2)
    tissue[ellipsoid(middle, (60, 38, 36))] = TISSUE_INDEX["fat"]
    tissue[ellipsoid(middle, (56, 35, 33))] = TISSUE_INDEX["muscle"]
    for name, (centre, radii, kind) in PARTS.items():
        mask = ellipsoid(np.add(centre, rng.uniform(-2, 2, 3)), radii)
        tissue[mask] = TISSUE_INDEX[kind]
        structures[mask] |= bit(name)
    return Anatomy(tissue, structures, np.eye(4), KNOWN, {"toy": True})
