"""Heads without tumour that look as if they had one, and how often to draw what.

Thick enhancing mucosa, adenoids and post-treatment change are where systems trained on
tumours alone fail.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from .anatomy import Anatomy, Canvas, bit, jitter, sides, smooth_noise
from .pharynx import paint_adenoid
from .tissues import TISSUE_INDEX
from .tumours import FOSSA, STAGES

VARIANTS = ("healthy", "thick mucosa", "adenoids", "post-treatment")

_STAGE_SHARE = (0.22, 0.22, 0.32, 0.24)
_VARIANT_SHARE = (0.34, 0.26, 0.18, 0.22)


def draw_condition(rng: np.random.Generator, tumour_share: float = 0.7) -> str:
    """A T stage with probability ``tumour_share``, else one of :data:`VARIANTS`."""
    if rng.random() < tumour_share:
        return str(rng.choice(STAGES, p=_STAGE_SHARE))
    return str(rng.choice(VARIANTS, p=_VARIANT_SHARE))


def add_variant(
    anatomy: Anatomy,
    head_coordinates: np.ndarray,
    variant: str,
    rng: np.random.Generator,
) -> Anatomy:
    """The same head with one of :data:`VARIANTS`; never with GTVp or GTVn.

    Parameters
    ----------
    anatomy:
        A head without tumour; not changed.
    head_coordinates:
        (3, slices, rows, columns) head coordinates of its voxels, mm.

    Raises
    ------
    ValueError
        If the variant is unknown.
    """
    if variant not in VARIANTS:
        raise ValueError(f"unknown variant {variant!r}; choose one of {', '.join(VARIANTS)}")
    tissue, structures = anatomy.tissue.copy(), anatomy.structures.copy()
    still = np.broadcast_to(np.float32(0), tissue.shape)
    canvas = Canvas(tissue, structures, head_coordinates, still)
    note: dict = {}
    if variant == "thick mucosa":
        thickness = float(rng.uniform(2.0, 5.5))
        thicken_mucosa(canvas, thickness, rng)
        note["mucosa_mm"] = round(thickness, 1)
    elif variant == "adenoids":
        thickness = float(rng.uniform(6.0, 13.0))
        _enlarge_adenoid(canvas, thickness, rng)
        note["adenoid_mm"] = round(thickness, 1)
    elif variant == "post-treatment":
        note = _treat(canvas, rng)
    description = {
        **anatomy.description,
        "stage": "healthy",
        "n_stage": "N0",
        "variant": variant,
        **note,
    }
    return Anatomy(tissue, structures, anatomy.index_to_world, anatomy.known, description)


def _tissue_at(canvas: Canvas, box, *names: str) -> np.ndarray:
    return np.isin(canvas.tissue[box], [TISSUE_INDEX[name] for name in names])


def thicken_mucosa(canvas: Canvas, thickness: float, rng: np.random.Generator) -> None:
    """Swell the lining of nasopharynx, nose and sinuses into the air, unevenly.

    ``thickness`` is the usual gain in mm (by voxel steps of 1 mm); a slit of air stays open.
    """
    box = canvas.box((-44, -78, -66), (44, 8, 4))
    if box is None:
        return
    air = _tissue_at(canvas, box, "air")
    air &= ~_before_the_face(air)
    lined = ndimage.binary_dilation(_tissue_at(canvas, box, "mucosa", "lymphoid tissue"))
    depth = ndimage.distance_transform_edt(air)
    x, y, _ = canvas.coordinates[(slice(None), *box)]
    gain = thickness * np.maximum(1 + 0.5 * smooth_noise(air.shape, 14, rng), 0.1)
    gain *= 1 + rng.normal(0, 0.25) * np.sign(x)
    # most in the nasopharynx; narrow passages keep a slit of air
    gain *= np.where(y > -26, 1.0, 0.5)
    widest = ndimage.maximum_filter(depth, 7)
    swollen = air & (depth <= np.minimum(gain, np.maximum(widest - 1.0, 0)))
    labels, _ = ndimage.label(swollen)
    touching = np.unique(labels[lined & swollen])
    canvas.tissue[box][swollen & np.isin(labels, touching[touching > 0])] = TISSUE_INDEX["mucosa"]


def _before_the_face(air: np.ndarray) -> np.ndarray:
    """The air outside the head: what joins the front of the box by ways wider than a nostril."""
    wide, _ = ndimage.label(ndimage.binary_erosion(air, iterations=4, border_value=1))
    front = np.unique(wide[:, 0])
    return air & ndimage.binary_dilation(np.isin(wide, front[front > 0]), iterations=6)


def _enlarge_adenoid(canvas: Canvas, thickness: float, rng: np.random.Generator) -> None:
    box = canvas.box((-24, -32, -60), (24, 16, -16))
    if box is None:
        return
    noise = 0.8 * smooth_noise(tuple(s.stop - s.start for s in box), 6, rng)
    rough = np.zeros(canvas.tissue.shape, np.float32)
    rough[box] = noise
    painter = Canvas(canvas.tissue, canvas.structures, canvas.coordinates, rough)
    paint_adenoid(painter, rng, thickness)


def fill_mastoid(canvas: Canvas, side: float, rng: np.random.Generator) -> bool:
    """Fluid in mastoid cells and middle ear of one side; whether there was air to fill."""
    box = canvas.box(*sorted_corners((side * 36, 6, -60), (side * 70, 48, -14)))
    if box is None:
        return False
    air = _tissue_at(canvas, box, "air")
    x, y, _ = canvas.coordinates[(slice(None), *box)]
    # enclosed cells only, not the outer ear canal
    inside = air & (np.abs(x) < 64) & ((np.abs(x) < 44) | (y > 19))
    share = rng.uniform(-0.8, 1.5)
    filled = inside & (smooth_noise(air.shape, 8, rng) < share)
    canvas.tissue[box][filled] = TISSUE_INDEX["fluid" if rng.random() < 0.7 else "mucosa"]
    return bool(filled.any())


def sorted_corners(first, second):
    """(low, high) corners of the box between two points."""
    return np.minimum(first, second), np.maximum(first, second)


def _treat(canvas: Canvas, rng: np.random.Generator) -> dict:
    """What radiotherapy leaves: oedema, fibrosis, shrunken parotids, fluid, atrophy."""
    side = 1.0 if rng.random() < 0.5 else -1.0
    shrink = float(rng.uniform(1.5, 3.2))
    for s, suffix in sides():
        _shrink_parotid(canvas, s, suffix, shrink * rng.uniform(0.8, 1.2), rng)
    if rng.random() < 0.7:
        thicken_mucosa(canvas, float(rng.uniform(1.0, 2.5)), rng)
    scar = _scar(canvas, side, rng)
    _swell_neck(canvas, rng)
    for s, _ in sides():
        if rng.random() < (0.6 if s == side else 0.25):
            fill_mastoid(canvas, s, rng)
    return {"side": "L" if side > 0 else "R", "parotid_loss_mm": round(shrink, 1), "scar": scar}


def _shrink_parotid(canvas: Canvas, side, suffix: str, loss: float, rng) -> None:
    box = canvas.box(*sorted_corners((side * 36, -40, -105), (side * 82, 34, -20)))
    if box is None:
        return
    label = (canvas.structures[box] & bit(f"Parotid{suffix}")) != 0
    if not label.any():
        return
    depth = ndimage.distance_transform_edt(ndimage.binary_closing(label, iterations=2))
    lost = label & (depth < loss * (1 + 0.3 * smooth_noise(label.shape, 8, rng)))
    gland = lost & _tissue_at(canvas, box, "parotid gland")
    canvas.tissue[box][gland] = TISSUE_INDEX["fat"]
    canvas.structures[box][lost] &= ~bit(f"Parotid{suffix}")
    strands = (np.abs(smooth_noise(label.shape, 5, rng)) < 0.12) & label & ~lost
    strands &= _tissue_at(canvas, box, "parotid gland")
    canvas.tissue[box][strands] = TISSUE_INDEX["fibrosis"]


def _scar(canvas: Canvas, side: float, rng: np.random.Generator) -> str:
    """Retracted, fibrous or oedematous tissue where the tumour was."""
    centre = FOSSA * np.array((side, 1, 1)) + rng.normal(0, 1.5, 3)
    shape = canvas.ellipsoid(centre, jitter(rng, (9, 8, 11), 0.15), 0.0)
    if shape is None:
        return "none"
    box, distance = shape
    distance = distance + 2.0 * smooth_noise(distance.shape, 7, rng)
    kind = str(rng.choice(("fibrosis", "oedema", "mixed")))
    patch = smooth_noise(distance.shape, 5, rng) > 0
    over = ("mucosa", "lymphoid tissue", "fat", "muscle")
    for tissue, where in (("fibrosis", patch), ("oedema", ~patch)):
        chosen = where if kind == "mixed" else np.full(where.shape, kind == tissue)
        canvas.paint((box, np.where(chosen, distance, 1.0)), tissue, over=over)
    # the fossa opens where tissue was lost
    loss = canvas.ellipsoid(FOSSA * np.array((0.85 * side, 1, 1)), (4.5, 3.5, 7), 0.0)
    canvas.paint(loss, "air", over=("mucosa", "lymphoid tissue", "fibrosis", "oedema"))
    return kind


def _swell_neck(canvas: Canvas, rng: np.random.Generator) -> None:
    """Oedema in strands through the fat of the neck and behind the throat, stiff muscles."""
    box = canvas.box((-80, -70, -170), (80, 60, -60))
    if box is None:
        return
    shape = tuple(s.stop - s.start for s in box)
    fat, muscle = _tissue_at(canvas, box, "fat"), _tissue_at(canvas, box, "muscle")
    x, y, z = canvas.coordinates[(slice(None), *box)]
    strands = np.abs(smooth_noise(shape, 7, rng)) < rng.uniform(0.10, 0.30)
    front = (y < 34) & (z < -66)
    canvas.tissue[box][fat & strands & front] = TISSUE_INDEX["oedema"]
    throat = (np.abs(x) < 24) & (y > -14) & (y < 14)
    lining = ndimage.binary_dilation(_tissue_at(canvas, box, "mucosa"), iterations=2) & throat
    wet = lining & (fat | muscle) & (smooth_noise(shape, 10, rng) > rng.uniform(-0.8, 0.6))
    canvas.tissue[box][wet] = TISSUE_INDEX["oedema"]
    stiff = muscle & (np.abs(x) > 24) & (y < 34) & (smooth_noise(shape, 12, rng) > 1.1)
    canvas.tissue[box][stiff] = TISSUE_INDEX["fibrosis"]
