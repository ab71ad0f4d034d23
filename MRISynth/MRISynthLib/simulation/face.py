"""Facial skeleton, teeth, paranasal sinuses and nasal cavity of the procedural head."""

from __future__ import annotations

import numpy as np

from .anatomy import Canvas, jitter, sides, smooth_noise

SOFT = ("fat", "muscle")
BONE = ("cortical bone", "marrow")


def paint_face(canvas: Canvas, rng: np.random.Generator) -> None:
    """Bones first, then what is hollow in them."""
    _paint_maxilla(canvas, rng)
    _paint_mandible(canvas, rng)
    _paint_teeth(canvas, rng)
    _paint_nasal_cavity(canvas, rng)
    _paint_sinuses(canvas, rng)


def _paint_maxilla(canvas: Canvas, rng: np.random.Generator) -> None:
    over = (*SOFT, *BONE)
    palate = canvas.superellipsoid((0, -46, -48), (23, 25, 2.6), 3, 0.4)
    canvas.coat(palate, "cortical bone", 1.1, "marrow", over)
    alveolar = [(s * x, y, -54.0) for s, x, y in _arch(8)]
    shape = canvas.strap(alveolar, 8.5, 5.8, (0, 0, 1), 0.4)
    canvas.coat(shape, "cortical bone", 1.2, "marrow", over)
    for side, _ in sides():
        s = side
        body = canvas.superellipsoid((s * 28, -50, -34), jitter(rng, (14, 18, 17), 0.04), 2.8, 0.6)
        canvas.coat(body, "cortical bone", 1.2, "marrow", over)
        cheek = [(s * 38, -60, -24), (s * 50, -54, -22), (s * 57, -44, -21)]
        shape = canvas.strap(cheek, (10, 9, 6), (5, 5, 3.5), (0, 0, 1), 0.5)
        canvas.coat(shape, "cortical bone", 1.5, "marrow", over)
        rim = [(s * 49, -54, -14), (s * 50, -52, 2), (s * 42, -58, 17), (s * 26, -68, 17)]
        shape = canvas.tube([*rim, (s * 12, -72, 10)], (4.5, 4, 5, 5, 4.5), 0.4)
        canvas.coat(shape, "cortical bone", 1.5, "marrow", over)
        process = [(s * 12, -72, 8), (s * 13, -71, -16), (s * 17, -68, -32)]
        canvas.paint(canvas.tube(process, (3.5, 2.5, 4), 0.4), "cortical bone", over=over)
        nasal = [(s * 4, -78, 6), (s * 5, -86, -8)]
        shape = canvas.strap(nasal, (4.5, 4), (1.8, 1.2), (0.7, 0.6, 0), 0.2)
        canvas.paint(shape, "cortical bone", over=(*over, "skin"))


def _arch(count: int, width: float = 27.5, depth: float = 44.0):
    """(side, x, y) along a dental arch from the left last molar to the right one."""
    angles = np.linspace(-1.0, 1.0, 2 * count)
    for a in angles:
        x = width * np.sin(abs(a) * np.pi / 2) ** 0.82
        y = -28.0 - depth * np.cos(a * np.pi / 2) ** 0.9
        yield (1.0 if a < 0 else -1.0), float(x), float(y)


def _paint_mandible(canvas: Canvas, rng: np.random.Generator) -> None:
    over = (*SOFT, "parotid gland", "gland", "mucosa", "skin")
    name = "Bone_Mandible"
    wall = rng.uniform(1.6, 2.3)
    height = rng.normal(12.5, 0.8)
    body = [(43, -6, -83), (40, -22, -86), (33, -44, -90), (21, -61, -93), (0, -67, -95)]
    body += [(-x, y, z) for x, y, z in body[-2::-1]]
    tall = np.array((11.0, 12.0, 12.5, 12.5, 13.0)) * height / 12.5
    tall = np.concatenate([tall, tall[-2::-1]])
    shape = canvas.strap(body, tall, (4.2, 5.2, 5.6, 5.6, 6.2, 5.6, 5.6, 5.2, 4.2), (0, 0, 1), 0.4)
    canvas.coat(shape, "cortical bone", wall, "marrow", over, name)
    for side, _ in sides():
        s = side
        ramus = [(s * 43, -9, -86), (s * 46, -10, -64), (s * 47, -8, -46)]
        shape = canvas.strap(ramus, (14, 15, 15), (3.8, 3.7, 3.0), (0, 1, 0), 0.4)
        canvas.coat(shape, "cortical bone", 1.4, "marrow", (*over, *BONE), name)
        neck = [(s * 47, -2, -48), (s * 49, 1, -36)]
        shape = canvas.strap(neck, (6, 5), (3.2, 3.8), (0, 1, 0), 0.3)
        canvas.coat(shape, "cortical bone", 1.3, "marrow", over, name)
        coronoid = [(s * 47, -19, -50), (s * 48, -22, -36)]
        shape = canvas.strap(coronoid, (6, 2.5), (2.4, 1.6), (0, 1, 0), 0.3)
        canvas.paint(shape, "cortical bone", name, over=over)
        head = canvas.ellipsoid((s * 50, 2, -31.5), jitter(rng, (9.5, 4.6, 5.5), 0.04), 0.3)
        box_over = (*over, *BONE)
        if head is not None:
            box, distance = head
            disc = (box, distance - 2.2)
            canvas.paint(disc, "cartilage", over=(*over, "cortical bone"))
            canvas.coat(head, "cortical bone", 1.3, "marrow", (*box_over, "cartilage"), name)
        joint = canvas.ellipsoid((s * 50, 1, -29), (12, 9, 8.5), 0.2)
        canvas.paint(joint, None, f"Joint_TM{'_L' if s > 0 else '_R'}")


def _paint_teeth(canvas: Canvas, rng: np.random.Generator) -> None:
    """Up to 16 teeth a jaw, crowns and roots; now and then one lost, filled or crowned."""
    over = (*SOFT, *BONE, "mucosa", "air")
    lost, filled = rng.uniform(0, 0.15), rng.uniform(0, 0.12) * (rng.random() < 0.5)
    for upper in (True, False):
        down = 1.0 if upper else -1.0
        root, neck, edge = (-49.0, -58.0, -65.0) if upper else (-86.0, -75.0, -67.5)
        inset = 0.0 if upper else 1.5
        for n, (s, x, y) in enumerate(_arch(8)):
            if rng.random() < lost:
                continue
            molar = n in (0, 1, 2, 13, 14, 15)
            size = (4.4 if molar else 3.1) * rng.normal(1.0, 0.05)
            x, y = max(x - inset, 0.5), y + inset
            points = [(s * x, y, root), (s * x, y, neck), (s * x, y, edge)]
            shape = canvas.tube(points, (0.45 * size, size, 0.9 * size), 0.1)
            tissue = "tooth"
            canvas.paint(shape, tissue, over=over)
            if rng.random() < filled:
                centre = (s * x, y, edge + 1.0 * down)
                canvas.paint(canvas.ellipsoid(centre, (2.2, 2.2, 1.8), 0.3), "metal")


def _paint_nasal_cavity(canvas: Canvas, rng: np.random.Generator) -> None:
    """Septum, three turbinates a side; mucosa swollen more on one side (nasal cycle)."""
    over = (*SOFT, *BONE, "skin")
    lining = rng.uniform(0.9, 1.8)
    lower = [(0, -76, -29), (0, -50, -28), (0, -20, -34)]
    shape = canvas.strap(lower, (15, 17, 13), (11, 14.5, 12), (0, 0, 1), 0.4)
    upper = [(0, -70, -6), (0, -50, -5), (0, -28, -10)]
    roof = canvas.strap(upper, (12, 11, 9), (4, 4.5, 4.5), (0, 0, 1), 0.3)
    for part in (shape, roof):
        if part is not None:
            canvas.paint((part[0], part[1] - 1.2), "cortical bone", over=over)
            canvas.paint(part, "mucosa", over=(*over, "mucosa"))
            canvas.paint((part[0], part[1] + lining), "air", over=("mucosa",))
    deviation = rng.normal(0, 1.6)
    cycle = rng.uniform(-0.3, 0.3)
    fresh = ("air", "mucosa")
    for side, _ in sides():
        s = side
        swell = rng.uniform(0.8, 1.2) * (1 + s * cycle)
        inferior = [(s * 10.5, -73, -38), (s * 10, -50, -38), (s * 9.5, -26, -39)]
        middle = [(s * 9, -66, -25), (s * 8.5, -48, -25), (s * 8, -26, -29)]
        superior = [(s * 5.5, -50, -13), (s * 6, -28, -18)]
        for path, tall, thick, height in (
            (inferior, (5, 7, 5.5), 4.3, -32.0),
            (middle, (4.5, 6.5, 5.5), 3.1, -19.0),
            (superior, (4, 3.5), 1.8, -10.0),
        ):
            turbinate = canvas.strap(path, tall, thick * swell, (0.25 * s, 0, 1), 0.7)
            canvas.paint(turbinate, "mucosa", over=fresh)
            bone = canvas.strap(path, 0.6 * np.array(tall), 0.7, (0.25 * s, 0, 1), 0.3)
            canvas.paint(bone, "cortical bone", over=("mucosa",))
            root = [(p[0] + s * 5, p[1], height) for p in path]
            stalk = [(x, y, z) for x, y, z in root]
            canvas.paint(canvas.tube(stalk, 2.0, 0.4), "mucosa", over=("air",))
        nostril = [(s * 6, -78, -42), (s * 6.5, -88, -44), (s * 7, -91, -56)]
        canvas.paint(canvas.tube(nostril, (4.5, 4.5, 4), 0.4, (0.8, 1.2, 1)), "air")
    septum = [(0, -90, -30), (deviation, -66, -22), (0.6 * deviation, -46, -20), (0, -22, -32)]
    sheet = canvas.strap(septum, (13, 26, 26, 16), 1.9, (0, 0, 1), 0.4)
    canvas.paint(sheet, "mucosa", over=fresh)
    core = canvas.strap(septum[:3], (12, 24, 24), 0.8, (0, 0, 1), 0.2)
    canvas.paint(core, "cartilage", over=("mucosa",))
    vomer = canvas.strap(septum[2:], (24, 14), 0.7, (0, 0, 1), 0.2)
    canvas.paint(vomer, "cortical bone", over=("mucosa", "cartilage"))


def _paint_sinuses(canvas: Canvas, rng: np.random.Generator) -> None:
    """Maxillary, sphenoid, frontal sinuses and the ethmoid cells."""
    sick = rng.gamma(1.2, 0.7)
    for side, _ in sides():
        s = side
        size = jitter(rng, (12.5, 16.5, 15.5), 0.08)
        antrum = canvas.superellipsoid((s * 29.5, -47, -31), size, 2.3, 1.0)
        hollow(canvas, antrum, rng, sick)
        frontal = canvas.ellipsoid((s * 10, -70, 20), jitter(rng, (10, 4.5, 9), 0.2), 0.9)
        hollow(canvas, frontal, rng, 0.5 * sick)
        _paint_ethmoid(canvas, side, rng, sick)
    size = jitter(rng, (12, 10.5, 8.5), 0.12)
    shift = rng.normal(0, 2.0)
    sphenoid = canvas.superellipsoid((0, -13, -13), size, 2.4, 0.9)
    hollow(canvas, sphenoid, rng, sick)
    wall = canvas.strap([(shift, -24, -13), (0.6 * shift, -2, -13)], 9, 0.8, (0, 0, 1), 0.4)
    canvas.paint(wall, "cortical bone", over=("air", "fluid", "mucosa"))


def _paint_ethmoid(canvas: Canvas, side: float, rng: np.random.Generator, sick: float) -> None:
    path = [(side * 10, -66, 0), (side * 9.5, -44, 1), (side * 9, -27, -2)]
    shape = canvas.strap(path, (8, 9.5, 9), (3.6, 5.0, 5.5), (0, 0, 1), 0.4)
    if shape is None:
        return
    box, distance = shape
    over = (*SOFT, *BONE, "mucosa", "air")
    canvas.paint((box, distance - 1.0), "cortical bone", over=over)
    cells = smooth_noise(distance.shape, 5.0, rng)
    wall = 0.10 + 0.06 * min(sick, 3.0)
    canvas.paint((box, np.where(np.abs(cells) > 0.09, distance, 1.0)), "mucosa", over=BONE)
    filling = "mucosa" if rng.random() < 0.06 + 0.05 * sick else "air"
    canvas.paint(
        (box, np.where(np.abs(cells) > wall + 0.12, distance, 1.0)), filling, over=("mucosa",)
    )


def hollow(canvas: Canvas, shape, rng: np.random.Generator, sick: float = 0.6) -> None:
    """A sinus: thin bony wall, mucosa of varying thickness, air; at times a fluid level.

    ``sick`` is the usual thickness of the mucosa in mm.
    """
    if shape is None:
        return
    box, distance = shape
    mucosa = 0.4 + sick * rng.gamma(1.5, 0.6)
    bumps = smooth_noise(distance.shape, 9, rng)
    canvas.paint((box, distance - 1.3), "cortical bone", over=(*SOFT, *BONE))
    canvas.paint(shape, "mucosa", over=(*SOFT, *BONE, "mucosa", "air"))
    air = distance + mucosa * np.maximum(1 + 0.7 * bumps, 0.2)
    # a retention cyst or polyp on the floor
    if rng.random() < 0.12 + 0.05 * sick:
        air = np.where(bumps > rng.uniform(0.6, 1.4), 1.0, air)
    canvas.paint((box, air), "air", over=("mucosa",))
    if rng.random() < 0.05 + 0.05 * sick:
        y = canvas.coordinates[1][box]
        inside = y[air < 0]
        if inside.size:  # supine: fluid settles at the back
            level = np.quantile(inside, rng.uniform(0.3, 0.9))
            canvas.paint((box, np.where(y > level, air, 1.0)), "fluid", over=("air",))
