"""Nasopharyngeal carcinoma grown into a head, by T stage of the AJCC/UICC.

T1 stays in the nasopharynx, T2 reaches the parapharyngeal space, T3 the skull base and the
sinuses, T4 the intracranial space. The tumour starts in the fossa of Rosenmüller and spreads
along tissues that resist it least.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from .anatomy import Anatomy, bit, largest_component, smooth_noise
from .tissues import TISSUE_INDEX

STAGES = ("T1", "T2", "T3", "T4")

FOSSA = np.array((15.0, 2.0, -33.0))
"""Left fossa of Rosenmüller in head coordinates (LPS mm)."""

SMALLEST_VOXELS = 250

_RESISTANCE = {
    "mucosa": 1.0,
    "lymphoid tissue": 1.0,
    "air": 1.7,
    "fat": 1.5,
    "muscle": 1.5,
    "marrow": 1.9,
    "cortical bone": 2.6,
    "cartilage": 2.2,
    "CSF": 3.2,
    "gland": 2.0,
    "artery": 6.0,
    "vein": 3.5,
    "fluid": 1.8,
    "ligament": 2.5,
}
_BARRIER = 9.0

_SIZE_MM = {"T1": (7, 11), "T2": (11, 16), "T3": (15, 20), "T4": (18, 24)}
_DIRECTIONS = {
    "T1": (),
    "T2": ((12, 3, -6),),
    "T3": ((-8, 6, 18), (2, -12, 22), (10, 4, 8)),
    "T4": ((-4, 8, 26), (14, 4, 28), (6, -26, 24), (4, 0, -30)),
}


def add_tumour(
    anatomy: Anatomy,
    head_coordinates: np.ndarray,
    stage: str,
    rng: np.random.Generator,
) -> Anatomy:
    """The same head with a primary tumour; structures under it keep their labels.

    Parameters
    ----------
    anatomy:
        A head; not changed.
    head_coordinates:
        (3, slices, rows, columns) head coordinates of its voxels, mm.
    stage:
        One of :data:`STAGES`.

    Raises
    ------
    ValueError
        If the stage is unknown or the nasopharynx lies outside the grid.
    """
    if stage not in STAGES:
        raise ValueError(f"unknown T stage {stage!r}; choose one of {', '.join(STAGES)}")
    side = 1.0 if rng.random() < 0.5 else -1.0
    mirror = np.array((side, 1.0, 1.0))
    low, high = FOSSA * mirror - 62, FOSSA * mirror + 62
    near = np.ones(anatomy.tissue.shape, bool)
    for axis in range(3):
        near &= (head_coordinates[axis] > low[axis]) & (head_coordinates[axis] < high[axis])
    box = ndimage.find_objects(near.astype(np.int8))
    if not box or box[0] is None:
        raise ValueError("the nasopharynx lies outside this anatomy's grid")
    box = box[0]
    tissue = anatomy.tissue[box]
    position = head_coordinates[(slice(None), *box)]

    size = rng.uniform(*_SIZE_MM[stage])
    origin = _nearest_lining(tissue, position, FOSSA * mirror)
    centres = [(origin + rng.normal(0, 1.5, 3), size)]
    for direction in _DIRECTIONS[stage]:
        if stage == "T2" or rng.random() < 0.7:
            offset = np.array(direction, float) * rng.uniform(0.7, 1.15)
            centres.append((origin + offset * mirror, size * rng.uniform(0.55, 0.85)))
    if stage != "T1" and rng.random() < 0.4:
        across = origin * np.array((-0.6, 1, 1))
        centres.append((across, size * rng.uniform(0.5, 0.8)))
    resistance = np.full(256, _BARRIER, np.float32)
    for name, value in _RESISTANCE.items():
        resistance[TISSUE_INDEX[name]] = value
    if stage in ("T1", "T2"):
        resistance[TISSUE_INDEX["cortical bone"]] = _BARRIER
        resistance[TISSUE_INDEX["marrow"]] = _BARRIER
    cost = ndimage.gaussian_filter(resistance[tissue], 1.6)
    edge = (
        1 + 0.16 * smooth_noise(tissue.shape, 12, rng) + 0.07 * smooth_noise(tissue.shape, 5, rng)
    )
    reach = np.full(tissue.shape, np.inf, np.float32)
    for centre, radius in centres:
        distance = np.sqrt(
            ((position - centre.astype(np.float32)[:, None, None, None]) ** 2).sum(0)
        )
        np.minimum(reach, distance / radius, out=reach)
    effort = reach * np.sqrt(cost) * edge
    allowed = resistance[tissue] < _BARRIER
    for limit in (1.2, 1.5, 1.9, 2.4):
        grown = ndimage.gaussian_filter(((effort < limit) & allowed).astype(np.float32), 1.5) > 0.5
        grown &= allowed
        if np.count_nonzero(grown) >= SMALLEST_VOXELS:
            break
    if not grown.any():
        raise ValueError("the tumour found no tissue to grow in")
    grown = largest_component(grown)

    new_tissue, new_structures = anatomy.tissue.copy(), anatomy.structures.copy()
    new_tissue[box][grown] = TISSUE_INDEX["tumour"]
    if size > 15 and rng.random() < 0.6:
        depth = ndimage.distance_transform_edt(grown)
        core = (depth > 4) & (smooth_noise(tissue.shape, 9, rng) > rng.uniform(0.6, 1.4))
        new_tissue[box][core] = TISSUE_INDEX["necrosis"]
    if rng.random() < 0.8:
        rim = (
            ndimage.binary_dilation(grown, iterations=2) & (tissue == TISSUE_INDEX["air"]) & ~grown
        )
        new_tissue[box][rim & (smooth_noise(tissue.shape, 8, rng) > 0)] = TISSUE_INDEX["mucosa"]
    new_structures[box][grown] |= bit("GTVp")
    description = {**anatomy.description, "stage": stage, "side": "L" if side > 0 else "R"}
    return Anatomy(new_tissue, new_structures, anatomy.index_to_world, anatomy.known, description)


def _nearest_lining(tissue: np.ndarray, position: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Position of the mucosa nearest to ``wanted``, if within 20 mm; else ``wanted``."""
    lining = np.isin(tissue, [TISSUE_INDEX["mucosa"], TISSUE_INDEX["lymphoid tissue"]])
    points = position[:, lining]
    if points.shape[1] == 0:
        return wanted
    distance = np.sqrt(((points - wanted[:, None]) ** 2).sum(0))
    nearest = int(distance.argmin())
    return points[:, nearest].astype(float) if distance[nearest] < 20 else wanted
