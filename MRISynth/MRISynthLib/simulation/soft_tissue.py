"""Soft tissue of the face and neck, painted into any head in head coordinates.

Used for the procedural head and for labelled heads whose maps say only "soft tissue".
"""

from __future__ import annotations

import numpy as np

from .anatomy import Canvas, jitter, sides, smooth_noise
from .muscles import FILLABLE, paint_fascia, paint_muscles
from .nodes import paint_nodes


def paint_fat_spaces(canvas: Canvas, rng: np.random.Generator) -> None:
    """Parapharyngeal, buccal and retropharyngeal fat."""
    for side, _ in sides():
        s = side
        path = [(s * 27, -2, -26), (s * 21.5, -4, -42), (s * 21.5, -3, -58), (s * 27, -6, -82)]
        wide, thick = jitter(rng, (4, 9, 8, 4), 0.1), jitter(rng, (2.2, 3.0, 3.2, 2.2), 0.15)
        parapharyngeal = canvas.strap(path, wide, thick, (0.25 * s, 1, 0), 0.9)
        canvas.paint(parapharyngeal, "fat", over=FILLABLE)
        buccal = [(s * 46, -52, -56), (s * 47, -42, -50), (s * 44, -34, -34), (s * 38, -34, -24)]
        shape = canvas.tube(buccal, jitter(rng, (7, 8, 6, 4), 0.12), 1.0)
        canvas.paint(shape, "fat", over=FILLABLE)
    danger = canvas.strap([(0, 3.5, -52), (0, 4.5, -90), (0, 8, -140)], 12, 0.7, (1, 0, 0), 0.2)
    canvas.paint(danger, "fat", over=FILLABLE)


def _lobules(canvas: Canvas, shape, gland: str, rng: np.random.Generator, fat: float) -> None:
    """Fat between the lobules of a gland just painted."""
    if shape is None:
        return
    box, distance = shape
    seams = np.abs(smooth_noise(distance.shape, 5.5, rng)) < fat
    canvas.paint((box, np.where(seams, distance, 1.0)), "fat", over=(gland,))


def paint_glands(canvas: Canvas, rng: np.random.Generator) -> None:
    """Parotid, submandibular and thyroid glands, lobulated."""
    fatty = rng.uniform(0.02, 0.10)
    size = rng.normal(1.0, 0.06)
    for side, suffix in sides():
        s = side
        name = f"Parotid{suffix}"
        shift = rng.normal(0, 1.0, 3)
        own = size * rng.normal(1.0, 0.03)
        # a superficial plate behind and upon the ramus, a deep part behind it
        plate = np.array([(s * 62, 6, -30), (s * 62, 5, -50), (s * 59, 6, -72), (s * 54, 10, -90)])
        shape = canvas.strap(
            plate + shift, own * np.array((11, 16.5, 16, 8)), own * np.array((5.5, 8.4, 8.8, 5.5)),
            (s * -0.15, 1, 0), 1.1,
        )  # fmt: skip
        deep = np.array([(s * 54, 13, -42), (s * 50, 12, -56), (s * 50, 13, -74)])
        inner = canvas.tube(deep + shift, own * np.array((5.5, 9.5, 7.5)), 0.9)
        for part in (shape, inner):
            canvas.paint(part, "parotid gland", name, over=FILLABLE)
            _lobules(canvas, part, "parotid gland", rng, fatty)
        accessory = canvas.ellipsoid((s * 66, -18, -44), (2.5, 9, 5), 0.6)
        canvas.paint(accessory, "parotid gland", name, over=("fat",))
        path = np.array([(s * 34, -9, -97), (s * 31, -22, -101), (s * 25, -33, -99)])
        radii = size * jitter(rng, (8.3, 9.6, 6.0), 0.04)
        shape = canvas.tube(path + rng.normal(0, 1, 3), radii, 0.9, (0.88, 1, 1.12))
        canvas.paint(shape, "gland", f"Glnd_Submand{suffix}", over=FILLABLE)
        _lobules(canvas, shape, "gland", rng, 0.5 * fatty)
    size = rng.normal(1.0, 0.06)
    for side, _ in sides():
        lobe = np.array([(side * 18, -4, -124), (side * 19, -3, -140), (side * 18, -3, -160)])
        own = size * rng.normal(1.0, 0.05)
        shape = canvas.tube(lobe, own * np.array((4, 8.0, 6.5)), 0.7, (0.95, 1.15, 1))
        canvas.paint(shape, "gland", "Glnd_Thyroid", over=FILLABLE)
    isthmus = canvas.strap([(-15, -13, -148), (0, -20, -148), (15, -13, -148)], 7, 2.6, (0, 0, 1))
    canvas.paint(isthmus, "gland", "Glnd_Thyroid", over=FILLABLE)


def paint_vessels(canvas: Canvas, rng: np.random.Generator) -> None:
    """Carotid and vertebral arteries, jugular and facial veins, in their sheaths of fat."""
    for side, suffix in sides():
        s = side
        wander = rng.normal(0, 1.0, (6, 3)) * np.array((1, 1, 0))
        caliber = rng.normal(1.0, 0.08)
        name = f"A_Carotid{suffix}"
        neck = np.array([
            (s * 22, 4, -176), (s * 25, 5, -140), (s * 27, 7, -108), (s * 27, 13, -84),
            (s * 25, 15, -60), (s * 25, 13, -34),
        ], float) + wander  # fmt: skip
        width = rng.uniform(0.6, 1.0) * (1.12 if s < 0 else 1.0)
        jugular = np.array([
            (s * 30, 6, -176), (s * 34, 9, -140), (s * 36, 13, -108), (s * 35, 20, -84),
            (s * 32, 22, -60), (s * 29, 21, -38),
        ], float) + wander  # fmt: skip
        vein = canvas.tube(
            jugular, width * np.array((7, 6.8, 6.2, 5.6, 5, 4.2)), 0.3, (1.1, 0.9, 1)
        )
        artery = canvas.tube(neck, caliber * np.array((3.9, 3.8, 4.2, 2.9, 2.7, 2.6)), 0.15)
        for vessel in (vein, artery):
            if vessel is not None:
                canvas.paint((vessel[0], vessel[1] - 1.4), "fat", over=("muscle",))
        canvas.paint(vein, "vein", over=FILLABLE)
        canvas.paint(artery, "artery", name, over=(*FILLABLE, "vein"))
        external = [neck[2], (s * 33, 2, -92), (s * 42, 6, -72), (s * 48, 8, -48)]
        canvas.paint(canvas.tube(external, (2.4, 2.2, 1.9, 1.4), 0.15), "artery", over=FILLABLE)
        facial = [(s * 33, 0, -92), (s * 40, -20, -94), (s * 46, -38, -88), (s * 42, -60, -66)]
        canvas.paint(canvas.tube(facial, (1.5, 1.4, 1.2, 1.0), 0.15), "artery", over=("fat",))
        retromandibular = [
            (s * 55, 7, -34),
            (s * 54, 8, -62),
            (s * 47, 12, -90),
            (s * 38, 14, -104),
        ]
        over = (*FILLABLE, "parotid gland")
        canvas.paint(canvas.tube(retromandibular, (1.6, 2.1, 2.1, 2.3), 0.2), "vein", over=over)
        external = [(s * 54, 20, -92), (s * 55, 12, -125), (s * 44, 12, -168)]
        canvas.paint(canvas.tube(external, (1.8, 2.0, 2.2), 0.2), "vein", over=("fat",))
        anterior = [(s * 8, -30, -104), (s * 9, -28, -170)]
        canvas.paint(canvas.tube(anterior, 1.1, 0.1), "vein", over=("fat",))
        plexus = canvas.ellipsoid((s * 34, -17, -28), (8, 4, 4), 2.2)
        canvas.paint(plexus, "vein", over=("fat",))
        vertebral = [(s * 14, 24, -176), (s * 17, 26, -80), (s * 24, 27, -62), (s * 16, 40, -57)]
        bony = (*FILLABLE, "marrow", "cortical bone")
        canvas.paint(canvas.tube(vertebral, rng.uniform(1.4, 2.2), 0.1), "artery", over=bony)


def paint_soft_tissue(canvas: Canvas, fascia: np.ndarray, rng: np.random.Generator) -> None:
    """Muscles, fat spaces, glands, vessels and nodes, later ones covering earlier ones.

    ``fascia`` is a smooth random field on the whole grid; thin fat runs along its zeros.
    """
    paint_muscles(canvas, rng)
    paint_fascia(canvas, fascia, rng)
    paint_fat_spaces(canvas, rng)
    paint_glands(canvas, rng)
    paint_vessels(canvas, rng)
    paint_nodes(canvas, rng)
