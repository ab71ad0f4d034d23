"""Soft tissue of the face and neck, painted into any head in head coordinates.

Used for the procedural head and for labelled heads whose maps say only "soft tissue".
"""

from __future__ import annotations

import numpy as np

from .anatomy import Canvas

FILLABLE = ("fat", "muscle")


def _sides(rng: np.random.Generator):
    """(sign, suffix) of left and right; left is +x in LPS."""
    yield 1.0, "_L"
    yield -1.0, "_R"


def _jitter(rng: np.random.Generator, values, spread: float) -> np.ndarray:
    """Every number multiplied by its own random factor about 1."""
    values = np.asarray(values, float)
    return values * rng.normal(1.0, spread, values.shape).clip(1 - 2.5 * spread, 1 + 2.5 * spread)


def paint_muscles(canvas: Canvas, rng: np.random.Generator) -> None:
    """Muscles of mastication, neck and tongue, each apart from the next by fat planes."""
    over = FILLABLE
    tone = rng.normal(1.0, 0.07)
    for side, _ in _sides(rng):

        def muscle(centre, radii, power=2.6, side=side):
            centre = np.array([side * centre[0], centre[1], centre[2]]) + rng.normal(0, 0.8, 3)
            radii = _jitter(rng, radii, 0.07) * tone
            canvas.paint(canvas.superellipsoid(centre, radii, power, 0.8), "muscle", over=over)

        muscle((56, -22, -56), (6.5, 17, 27))  # masseter
        muscle((61, -14, 8), (7.0, 30, 36))  # temporalis
        muscle((51, -24, -18), (5.0, 15, 18))  # temporalis, tendon part
        muscle((35, -18, -56), (6.5, 13, 22))  # medial pterygoid
        muscle((33, -14, -28), (13, 13, 8))  # lateral pterygoid
        muscle((9, 17, -62), (6.5, 5.5, 48))  # longus colli and capitis
        muscle((20, 33, -95), (8, 10, 50))  # scalenes
        muscle((30, 72, -75), (15, 13, 48))  # splenius and trapezius
        muscle((14, 66, -72), (10, 12, 46))  # semispinalis
        muscle((28, 52, -58), (16, 9, 14))  # suboccipital
        muscle((45, 40, -62), (6, 14, 28))  # levator scapulae, digastric
        sternomastoid = [(side * 55, 32, -38), (side * 47, 26, -75), (side * 30, 2, -150)]
        shape = canvas.tube(sternomastoid, _jitter(rng, (8, 9.5, 9), 0.1), 0.8, (0.75, 1.2, 1))
        canvas.paint(shape, "muscle", over=over)
        styloid = [(side * 36, 14, -36), (side * 27, -8, -80)]
        canvas.paint(canvas.tube(styloid, 3.6, 0.5), "muscle", over=over)
        # levator and tensor veli palatini, beside the nasopharynx
        palate = [(side * 22, 4, -24), (side * 12, -8, -52)]
        canvas.paint(canvas.tube(palate, 3.2, 0.5), "muscle", over=over)
    tongue = canvas.ellipsoid((0, -45, -70), _jitter(rng, (25, 34, 20), 0.06), 1.0)
    canvas.paint(tongue, "muscle", over=(*over, "mucosa"))
    floor = canvas.superellipsoid((0, -45, -95), _jitter(rng, (26, 28, 9), 0.06), 3, 0.8)
    canvas.paint(floor, "muscle", over=over)


def paint_fascia(canvas: Canvas, fascia: np.ndarray, rng: np.random.Generator) -> None:
    """Thin fat planes through muscle where a smooth field crosses zero."""
    from .tissues import TISSUE_INDEX

    width = rng.uniform(0.05, 0.10)
    planes = (np.abs(fascia) < width) & (canvas.tissue == TISSUE_INDEX["muscle"])
    if canvas.only is not None:
        planes &= canvas.only
    canvas.tissue[planes] = TISSUE_INDEX["fat"]


def paint_fat_spaces(canvas: Canvas, rng: np.random.Generator) -> None:
    """Parapharyngeal, buccal and retropharyngeal fat."""
    for side, _ in _sides(rng):
        parapharyngeal = canvas.superellipsoid(
            (side * 25, -2, -42), _jitter(rng, (5.0, 11, 20), 0.12), 2.4, 1.0
        )
        canvas.paint(parapharyngeal, "fat", over=FILLABLE)
        buccal = canvas.ellipsoid((side * 47, -48, -50), _jitter(rng, (8, 11, 15), 0.12), 1.2)
        canvas.paint(buccal, "fat", over=FILLABLE)


def paint_glands(canvas: Canvas, rng: np.random.Generator) -> None:
    """Parotid, submandibular and thyroid glands."""
    for side, suffix in _sides(rng):
        radii = _jitter(rng, (10, 17, 25), 0.12)
        centre = np.array([side * 58, 6, -50]) + rng.normal(0, 1.5, 3)
        lobe = canvas.ellipsoid(centre, radii, 1.3)
        canvas.paint(lobe, "parotid gland", f"Parotid{suffix}", over=FILLABLE)
        deep = canvas.ellipsoid((side * 45, 10, -48), _jitter(rng, (10, 8, 14), 0.12), 1.0)
        canvas.paint(deep, "parotid gland", f"Parotid{suffix}", over=FILLABLE)
        submandibular = canvas.ellipsoid((side * 33, -28, -98), _jitter(rng, (9, 14, 12), 0.1), 1.0)
        canvas.paint(submandibular, "gland", over=FILLABLE)
        thyroid = canvas.ellipsoid((side * 16, -5, -158), _jitter(rng, (8, 10, 22), 0.1), 1.0)
        canvas.paint(thyroid, "gland", over=FILLABLE)


def paint_vessels(canvas: Canvas, rng: np.random.Generator) -> None:
    """Carotid arteries, jugular veins, vertebral arteries and the larger sinuses."""
    for side, _ in _sides(rng):
        wander = rng.normal(0, 1.5, (6, 3))
        carotid = np.array(
            [
                (side * 20, 14, -160),
                (side * 23, 12, -105),
                (side * 24, 17, -60),
                (side * 24, 16, -30),
                (side * 16, 6, -12),
                (side * 11, -2, 0),
            ],
            float,
        )
        canvas.paint(
            canvas.tube(carotid + wander, (3.6, 3.4, 2.7, 2.5, 2.4, 2.2), 0.2),
            "artery",
            over=(*FILLABLE, "marrow", "CSF"),
        )
        jugular = np.array(
            [
                (side * 27, 16, -160),
                (side * 30, 18, -105),
                (side * 31, 22, -60),
                (side * 29, 24, -34),
            ],
            float,
        )
        width = rng.uniform(0.7, 1.25) * np.array((6.2, 6.0, 5.0, 4.5))
        canvas.paint(canvas.tube(jugular + wander[:4], width, 0.3), "vein", over=FILLABLE)
        vertebral = [(side * 15, 36, -160), (side * 16, 36, -70), (side * 20, 44, -48)]
        canvas.paint(canvas.tube(vertebral, 1.8, 0.2), "artery", over=(*FILLABLE, "marrow"))
        facial = [(side * 55, 8, -95), (side * 52, 12, -30)]
        canvas.paint(canvas.tube(facial, 2.0, 0.2), "vein", over=(*FILLABLE, "parotid gland"))


def paint_nodes(canvas: Canvas, rng: np.random.Generator) -> None:
    """Small normal lymph nodes along the jugular chain and behind the pharynx."""
    for side, _ in _sides(rng):
        for _ in range(rng.integers(3, 8)):
            z = rng.uniform(-140, -55)
            centre = (side * rng.uniform(32, 44), rng.uniform(14, 36), z)
            radii = rng.uniform(2.0, 4.2) * np.array((0.9, 0.9, 1.5))
            canvas.paint(canvas.ellipsoid(centre, radii, 0.4), "lymphoid tissue", over=FILLABLE)


def paint_soft_tissue(canvas: Canvas, fascia: np.ndarray, rng: np.random.Generator) -> None:
    """Everything of this module, in the order in which one organ may cover another."""
    paint_muscles(canvas, rng)
    paint_fascia(canvas, fascia, rng)
    paint_fat_spaces(canvas, rng)
    paint_glands(canvas, rng)
    paint_vessels(canvas, rng)
    paint_nodes(canvas, rng)
