"""Muscles of mastication, throat and neck: bellies along their lines of origin and insertion.

A voxel belongs to the muscle whose surface is nearest; where two are about equally near lies
a plane of fat, so that bellies press against each other with fascia between, as in life. Lines
and sizes are typical of adults.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .anatomy import Canvas, sides, smooth_noise
from .tissues import TISSUE_INDEX

FILLABLE = ("fat", "muscle")


@dataclass(frozen=True)
class Muscle:
    """One muscle of the left side.

    points: (x, y, z) in head coordinates from origin to insertion; width, thickness: half
    axes of the cross-section (mm) at each; wide: direction of the width; swell: how far (mm)
    it fills the gaps towards its neighbours.
    """

    name: str
    points: tuple
    width: tuple
    thickness: tuple
    wide: tuple[float, float, float]
    swell: float = 0.6


_Y, _Z, _X = (0, 1, 0), (0, 0, 1), (1, 0, 0)

MUSCLES: tuple[Muscle, ...] = (
    # deep muscles of the neck first: later ones lie upon them
    Muscle("longus colli", ((5, 11, -62), (6, 10, -100), (8, 11, -140), (8, 13, -175)),
           (3, 5, 6, 5), (2, 3.2, 3.4, 3), _X, 0.8),
    Muscle("longus capitis", ((8, 5, -44), (10, 7, -62), (13, 9, -85), (16, 12, -115)),
           (4, 6.5, 5.5, 2.5), (2.6, 4.2, 3.6, 2), _X, 0.8),
    Muscle("multifidus", ((9, 52, -74), (11, 50, -110), (13, 52, -175)),
           (5, 8, 9), (5, 7.5, 8), _X, 3),
    Muscle("semispinalis cervicis", ((5, 58, -76), (9, 60, -105), (14, 60, -175)),
           (4, 7, 8), (4, 6, 5), _X, 3),
    Muscle("rectus capitis posterior", ((3, 55, -72), (11, 62, -60), (16, 66, -52)),
           (4, 7, 8), (3, 4, 3), _X, 2.5),
    Muscle("obliquus capitis inferior", ((5, 55, -78), (19, 46, -70), (33, 31, -62)),
           (4, 6, 3.5), (4, 5.5, 3.5), _Z, 2),
    Muscle("obliquus capitis superior", ((34, 32, -60), (31, 44, -54), (28, 56, -48)),
           (3, 6, 6), (3, 4, 3.5), _Y, 2),
    Muscle("rectus capitis lateralis", ((33, 24, -58), (31, 26, -48)), (4, 4), (3, 3), _Y),
    Muscle("semispinalis capitis", ((12, 72, -48), (13, 70, -72), (15, 66, -110), (22, 60, -175)),
           (8, 11, 10, 7), (4, 6.5, 6, 5), _X, 2.5),
    Muscle("longissimus", ((45, 42, -52), (34, 48, -85), (27, 50, -120), (28, 56, -175)),
           (3, 4.5, 5, 6), (2.5, 4, 5, 6), _X, 2.5),
    Muscle("splenius", ((50, 42, -46), (40, 56, -66), (26, 70, -100), (8, 76, -150)),
           (7, 13, 13, 6), (3, 4.2, 4, 2.5), (0.75, -0.6, 0), 2.2),
    Muscle("middle scalene", ((22, 26, -76), (29, 27, -115), (40, 28, -160), (46, 28, -178)),
           (3, 6, 8.5, 9), (3, 5, 6, 6), (0.4, 1, 0), 1.5),
    Muscle("posterior scalene", ((26, 34, -100), (36, 38, -140), (46, 40, -178)),
           (3, 5.5, 6), (3, 5, 5.5), _Y, 1.5),
    Muscle("anterior scalene", ((20, 18, -95), (25, 16, -130), (34, 10, -170)),
           (2.5, 5, 6.5), (2.5, 4, 4.5), _X, 1.2),
    Muscle("levator scapulae", ((31, 32, -64), (41, 44, -98), (50, 56, -140), (56, 66, -178)),
           (4, 7.5, 9, 10), (3.5, 5.5, 6, 6), (0.2, 1, 0), 2.2),
    Muscle("trapezius", ((9, 87, -46), (18, 84, -85), (36, 78, -130), (58, 70, -170)),
           (7, 15, 24, 30), (2, 3, 4.2, 5.5), (1, -0.45, 0), 1.0),
    Muscle("sternocleidomastoid", ((59, 31, -40), (57, 28, -70), (49, 16, -108), (34, 1, -146),
                                   (20, -9, -176)),
           (9, 13, 13.5, 12, 8), (4, 5.5, 6.2, 6, 5), (0.35, 1, 0), 0.8),
    # throat
    Muscle("levator veli palatini", ((27, 2, -28), (19, -5, -42), (10, -9, -51)),
           (2, 3.2, 2.5), (2, 2.8, 2.2), _Y),
    Muscle("tensor veli palatini", ((26, -8, -24), (22, -14, -36), (16, -20, -49)),
           (6, 4.5, 2), (1.6, 1.6, 1.2), _Y),
    Muscle("stylopharyngeus", ((36, 8, -52), (24, 0, -72), (16, -2, -92)),
           (2.2, 2.8, 3), (2, 2.2, 1.6), _Y),
    Muscle("styloglossus", ((37, 8, -56), (28, -12, -74), (21, -34, -78)),
           (2, 3, 4), (1.6, 1.8, 1.6), _Z),
    Muscle("stylohyoid", ((38, 10, -56), (29, -2, -84), (17, -12, -100)),
           (2, 2.6, 2), (1.6, 2, 1.6), _Y),
    Muscle("digastric, posterior belly", ((51, 30, -50), (43, 14, -72), (29, -6, -94),
                                          (20, -14, -101)),
           (4, 5.2, 4, 2), (3.2, 4.2, 3.2, 1.6), _Y),
    Muscle("digastric, anterior belly", ((20, -16, -102), (12, -38, -104), (6, -58, -103)),
           (2, 5.5, 4.5), (1.8, 3.2, 3), _X),
    Muscle("mylohyoid", ((34, -30, -84), (20, -36, -93), (1, -40, -99)),
           (17, 21, 22), (1.4, 1.6, 1.5), _Y),
    Muscle("sternohyoid", ((7, -24, -106), (9, -24, -135), (12, -18, -176)),
           (5.5, 7, 7), (1.6, 2.0, 2.2), (1, 0.35, 0)),
    Muscle("sternothyroid", ((13, -19, -112), (13, -20, -140), (12, -14, -176)),
           (5, 6, 6), (1.4, 1.7, 1.8), (1, 0.35, 0)),
    Muscle("omohyoid", ((13, -20, -104), (24, -14, -135), (36, 6, -165)),
           (3.5, 4.5, 4), (1.4, 1.9, 2), _Y),
    # mastication
    Muscle("temporalis", ((73, 8, 48), (71, -2, 26), (64, -17, 0), (54, -23, -22), (48, -22, -44)),
           (20, 31, 24, 15, 8), (3, 7, 9.5, 8, 4), _Y, 1.6),
    Muscle("medial pterygoid", ((17, -18, -36), (25, -15, -52), (34, -10, -70), (41, -7, -86)),
           (6, 8.5, 10, 9), (4.8, 7, 6.6, 4), _Y, 2.0),
    Muscle("lateral pterygoid, lower head", ((19, -20, -38), (28, -13, -35), (38, -6, -33),
                                             (47, 0, -34)),
           (9.5, 11, 8.5, 4), (6, 8, 7, 4), _Z, 2.6),
    Muscle("lateral pterygoid, upper head", ((27, -22, -24), (36, -12, -26), (46, -1, -30)),
           (5.5, 5.5, 3.5), (7, 7, 4), _Z, 2.2),
    Muscle("masseter", ((61, -31, -25), (60, -26, -44), (56, -18, -66), (49, -9, -88)),
           (11, 14.5, 16, 12), (4.5, 7.2, 7.6, 5), _Y, 1.2),
    # face
    Muscle("buccinator", ((38, -27, -62), (36, -44, -62), (29, -62, -63), (20, -74, -64)),
           (12, 12, 11, 7), (1.5, 1.7, 1.7, 1.8), _Z),
    Muscle("zygomaticus", ((52, -56, -32), (40, -68, -48), (25, -78, -60)),
           (3, 3.2, 3), (1.3, 1.5, 1.3), _Y),
    Muscle("depressor anguli oris", ((24, -76, -68), (28, -68, -84), (29, -60, -98)),
           (3, 5.5, 6.5), (1.4, 1.6, 1.3), _Y),
    Muscle("orbicularis oculi", ((48, -64, 0), (34, -75, 13), (16, -76, 9)),
           (3, 4, 3), (1.2, 1.4, 1.2), _Z),
)  # fmt: skip


def paint_muscles(canvas: Canvas, rng: np.random.Generator) -> None:
    """All muscles of :data:`MUSCLES` on both sides, apart from each other by fat planes."""
    box = canvas.box((-95, -100, -185), (95, 110, 75))
    if box is None:
        return
    corner = [part.start for part in box]
    size = tuple(part.stop - part.start for part in box)
    nearest = np.full(size, 9.0, np.float32)
    second = np.full(size, 9.0, np.float32)
    tone = rng.normal(1.7, 0.35)
    for muscle in MUSCLES:
        bulk = rng.normal(1.0, 0.05)
        shift = rng.normal(0, 0.7, 3)
        for side, _ in sides():
            own = bulk * rng.normal(1.0, 0.04)
            points = np.array(muscle.points, float) + shift + rng.normal(0, 0.5, 3)
            points[:, 0] *= side
            wide = (side * muscle.wide[0], *muscle.wide[1:])
            shape = canvas.strap(
                points, own * np.array(muscle.width), own * np.array(muscle.thickness), wide, 0.4
            )
            if shape is None:
                continue
            inside = tuple(
                slice(max(part.start - c, 0), min(part.stop - c, n))
                for part, c, n in zip(shape[0], corner, size, strict=True)
            )
            offset = tuple(
                slice(p.start + c - part.start, p.stop + c - part.start)
                for p, c, part in zip(inside, corner, shape[0], strict=True)
            )
            distance = shape[1][offset] - np.float32(tone * muscle.swell)
            first, other = nearest[inside], second[inside]
            np.minimum(other, np.maximum(first, distance), out=other)
            np.minimum(first, distance, out=first)
    # half way between two muscles lies their fascia
    plane = second - nearest < 2 * rng.uniform(0.35, 0.85)
    canvas.paint((box, np.where(plane, 1.0, nearest)), "muscle", over=FILLABLE)
    canvas.paint((box, np.where(plane, nearest, 1.0)), "fat", over=("muscle",))
    nuchal = canvas.strap([(0, 78, -52), (0, 74, -100), (0, 76, -175)], 9, 0.8, (0, 1, 0), 0.2)
    canvas.paint(nuchal, "ligament", over=FILLABLE)


def paint_fascia(canvas: Canvas, fascia: np.ndarray, rng: np.random.Generator) -> None:
    """Fat between the bundles of muscle: thin streaks where a smooth field crosses zero."""
    width = rng.uniform(0.02, 0.075)
    planes = (np.abs(fascia) < width) & (canvas.tissue == TISSUE_INDEX["muscle"])
    if canvas.only is not None:
        planes &= canvas.only
    canvas.tissue[planes] = TISSUE_INDEX["fat"]


def fibres(shape: tuple[int, int, int], rng: np.random.Generator) -> np.ndarray:
    """Field of long, thin features along z for :func:`paint_fascia`; unit variance."""
    squeezed = (max(shape[0] // 5, 4), shape[1], shape[2])
    noise = smooth_noise(squeezed, 7.0, rng)
    rows = np.minimum(np.arange(shape[0]) / 5, squeezed[0] - 1.001)
    base = rows.astype(int)
    part = (rows - base).astype(np.float32)[:, None, None]
    return noise[base] * (1 - part) + noise[np.minimum(base + 1, squeezed[0] - 1)] * part
