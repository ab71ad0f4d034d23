"""Orbits of the procedural head: globes, lenses, muscles, optic pathway, lacrimal glands."""

from __future__ import annotations

import numpy as np

from .anatomy import Canvas, jitter, sides

SOFT = ("fat", "muscle")
BONE = ("cortical bone", "marrow")
BRAIN = ("white matter", "grey matter", "deep grey matter")


def paint_orbits(canvas: Canvas, rng: np.random.Generator) -> None:
    """Both orbits, the optic nerves to the chiasm, the tracts and the pituitary gland."""
    radius = rng.normal(12.0, 0.35)
    gaze = rng.normal(0, 0.12, 2)
    for side, suffix in sides():
        _paint_orbit(canvas, side, suffix, radius, gaze, rng)
    for side, suffix in sides():
        s = side
        intracranial = [(s * 14, -20, 3), (s * 10, -13, 5), (s * 4, -6, 7)]
        shape = canvas.tube(intracranial, 2.2, 0.1, (1.2, 1, 0.9))
        over = ("CSF", "fat", *BRAIN, *BONE, "meninges", "vein")
        canvas.paint(shape, "nerve", f"OpticNrv{suffix}", over=over)
        tract = [(s * 3, 0, 7.5), (s * 9, 6, 8), (s * 15, 13, 8)]
        canvas.paint(canvas.tube(tract, (2.2, 2.0, 1.8), 0.1), "nerve", over=over)
    chiasm = canvas.superellipsoid((0, -3, 7.2), jitter(rng, (7.5, 4.6, 2.3), 0.05), 2.6, 0.1)
    canvas.paint(chiasm, "nerve", "OpticChiasm", over=(*over, "nerve"))
    stalk = canvas.tube([(0, 1, 6), (0, 1.5, 1)], 1.1, 0.1)
    canvas.paint(stalk, "pituitary", over=("CSF", *BONE))
    seat = ("CSF", *SOFT, *BONE, *BRAIN, "vein", "mucosa", "air")
    gland = canvas.ellipsoid((0, -0.5, -1.5), jitter(rng, (6.8, 5.4, 3.8), 0.06), 0.2)
    if gland is not None:
        canvas.paint((gland[0], gland[1] - 1.0), "cortical bone", over=("mucosa", "air", "marrow"))
    canvas.paint(gland, "pituitary", "Pituitary", over=seat)


def _stretch(canvas: Canvas, centre: np.ndarray, reach: int = 8) -> np.ndarray:
    """How many mm of head coordinates (x, y, z) one mm of the world is about ``centre``."""
    box = canvas.box(centre - 1, centre + 1)
    if box is None:
        return np.ones(3)
    middle = [(part.start + part.stop) // 2 for part in box]
    stretch = []
    for component, axis in enumerate((2, 1, 0)):
        low, high = list(middle), list(middle)
        low[axis] = max(middle[axis] - reach, 0)
        high[axis] = min(middle[axis] + reach, canvas.tissue.shape[axis] - 1)
        field = canvas.coordinates[component]
        gain = float(field[tuple(high)] - field[tuple(low)]) / (high[axis] - low[axis])
        stretch.append(gain)
    return np.array(stretch)


def _paint_orbit(canvas: Canvas, side, suffix, radius, gaze, rng) -> None:
    s = side
    over = ("fat", "muscle", *BONE, "mucosa", "air", "skin")
    cone = [(s * 32, -57, 1), (s * 27, -42, 2), (s * 20, -29, 2), (s * 15, -20, 3)]
    shape = canvas.tube(cone, (16, 13.5, 8.5, 3.5), 0.3)
    if shape is None:
        return
    box, distance = shape
    behind = canvas.coordinates[1][box] < -62
    wall = np.where(behind, 1.0, distance - 1.5)
    around = ("fat", "muscle", "marrow", "mucosa", "air", "CSF", "grey matter")
    canvas.paint((box, wall), "cortical bone", over=around)
    canvas.paint(shape, "fat", over=over[:-1])
    centre = np.array((s * 31.5, -61.0, 0.0)) + np.array((0, rng.normal(0, 0.8), 0))
    apex = np.array((s * 15.0, -21.0, 3.0))
    # four straight muscles between the apex and the globe, and the oblique ones
    size = rng.normal(1.0, 0.1)
    for dx, dz in ((-1, 0), (1, 0), (0, 1), (0, -1)):
        out = np.array((s * dx, 0, dz), float)
        belly = 0.5 * (centre + apex) + 9.5 * out + np.array((0, 3, 0))
        end = centre + (radius + 0.6) * out + np.array((0, -1, 0))
        points = [apex + 1.5 * out, belly - np.array((0, -8, 0)) - 2.5 * out, belly, end]
        wide = (s * 0, 0, 1) if dx else (1, 0, 0)
        strap = canvas.strap(
            points,
            size * np.array((1.2, 3.6, 4.2, 3.8)),
            size * np.array((1, 1.8, 2.0, 0.7)),
            wide,
            0.15,
        )
        canvas.paint(strap, "muscle", over=("fat",))
    oblique = [np.add(apex, (0, 0, 2)), (s * 19, -44, 10), (s * 20, -58, 10)]
    canvas.paint(canvas.tube(oblique, (1, 1.9, 1.2), 0.2), "muscle", over=("fat",))
    # round in the world, whatever the deformation of the head
    radii = radius * np.array((1.0, 1.0, 0.98)) * _stretch(canvas, centre)
    globe = canvas.ellipsoid(centre, radii, 0.05)
    cornea = canvas.ellipsoid(np.add(centre, (0, -radius + 4.5, 0)), (6.8, 6.8, 6.8), 0.0)
    for part in (globe, cornea):
        canvas.paint(part, "ligament", f"Eye{suffix}", over=(*over, "ligament"))
        canvas.paint((part[0], part[1] + 0.8) if part else None, "vitreous", over=("ligament",))
    if globe is not None:  # choroid and retina: enhancing coat of the back
        coat = (globe[0], np.where(np.abs(globe[1] + 1.2) < 0.45, globe[1], 1.0))
        y = canvas.coordinates[1][globe[0]]
        canvas.paint(
            (coat[0], np.where(y > centre[1] - 6, coat[1], 1.0)), "meninges", over=("vitreous",)
        )
    front = np.add(centre, (s * gaze[0] * 6, -radius + 3.6, gaze[1] * 6))
    lens = canvas.ellipsoid(front, jitter(rng, (4.7, 2.2, 4.7), 0.05), 0.0)
    canvas.paint(lens, "lens", f"Lens{suffix}", over=("vitreous", "ligament", "meninges"))
    lid = canvas.ellipsoid(np.add(centre, (0, -radius - 1.0, 0)), (15, 3.2, 9), 0.4)
    canvas.paint(lid, "muscle", over=("fat",))
    back = np.add(centre, (-s * 2.5, radius - 0.6, 0.5))
    path = [back, (s * 23, -38, 1), (s * 18, -28, 4), apex]
    through = ("fat", "muscle", "CSF", *BONE, "mucosa", "air", "ligament", "vitreous", "meninges")
    canvas.paint(canvas.tube(path, 2.9, 0.1), "CSF", over=("fat", "muscle", *BONE))
    nerve = canvas.tube(path, rng.normal(1.9, 0.1), 0.05)
    canvas.paint(nerve, "nerve", f"OpticNrv{suffix}", over=through)
    lacrimal = canvas.strap(
        [(s * 43, -62, 8), (s * 43, -54, 11)], (7, 6), (3.6, 3.2), (0.3, 0.3, 1), 0.25
    )
    canvas.paint(lacrimal, "gland", f"Glnd_Lacrimal{suffix}", over=("fat", "muscle"))
    vein = [(s * 20, -60, 11), (s * 26, -42, 9), (s * 18, -26, 5)]
    canvas.paint(canvas.tube(vein, 1.0, 0.1), "vein", over=("fat",))
