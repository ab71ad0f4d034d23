"""Nasopharynx, mouth, throat, larynx and gullet of the procedural head."""

from __future__ import annotations

import numpy as np

from .anatomy import Canvas, jitter, sides, smooth_noise

SOFT = ("fat", "muscle")
BONE = ("cortical bone", "marrow")
FRESH = ("mucosa", "air")


def paint_pharynx(canvas: Canvas, rng: np.random.Generator) -> None:
    """Tongue and mouth, then the airway from the choanae to the trachea."""
    _paint_mouth(canvas, rng)
    wall = float(np.clip(rng.gamma(6.0, 0.42), 1.3, 5.0))
    _paint_throat(canvas, rng, wall)
    _paint_nasopharynx(canvas, rng, wall)
    _paint_soft_palate(canvas, rng)
    _paint_larynx(canvas, rng)


def _paint_mouth(canvas: Canvas, rng: np.random.Generator) -> None:
    """Tongue with its septum and intrinsic fat, floor of the mouth, lips."""
    over = (*SOFT, "mucosa")
    cavity = canvas.superellipsoid((0, -42, -70), (24, 31, 17), 2.4, 0.4)
    canvas.paint(cavity, None, "Cavity_Oral")
    surface = canvas.ellipsoid((0, -40, -71), jitter(rng, (24, 32, 18.5), 0.03), 0.8)
    canvas.paint(surface, "mucosa", over=over)
    if surface is not None:
        box, distance = surface
        canvas.paint((box, distance + 1.6), "muscle", over=("mucosa",))
        base = [(0, -26, -72), (0, -18, -88), (0, -22, -100)]
        root = canvas.strap(base, (16, 14, 9), (12, 10, 6), (1, 0, 0), 0.6)
        canvas.paint(root, "muscle", over=SOFT)
        x, y, z = canvas.coordinates[(slice(None), *box)]
        fat = rng.uniform(0.5, 1.3)
        # bundles of genioglossus fan out from the chin, with fat between them
        fan = np.arctan2(z + 97, y + 70)
        wave = 40 * fan + 3.5 * smooth_noise(x.shape, 9, rng)
        streaks = np.cos(wave) + 0.5 * smooth_noise(x.shape, 4, rng) > 1.55 - 0.3 * fat
        streaks &= (np.abs(x) < 14) & (distance < -4)
        canvas.paint((box, np.where(streaks, distance, 1.0)), "fat", over=("muscle",))
        middle = (np.abs(x) < 0.8) & (distance < -6)
        canvas.paint((box, np.where(middle, distance, 1.0)), "fat", over=("muscle",))
    for side, _ in sides():
        s = side
        muscle = canvas.strap([(s * 3.5, -62, -90), (s * 3.5, -30, -99)], 4.0, 3.6, (1, 0, 0), 0.4)
        canvas.paint(muscle, "muscle", over=("fat",))
        fan = [(s * 5, -62, -86), (s * 6, -44, -80), (s * 6, -28, -84)]
        canvas.paint(canvas.strap(fan, (8, 14, 12), 4.0, (0, 0.3, 1), 0.5), "muscle", over=("fat",))
        gland = [(s * 16, -54, -84), (s * 20, -34, -86)]
        shape = canvas.strap(gland, (6, 6), 3.4, (0, 0, 1), 0.6)
        canvas.paint(shape, "gland", over=SOFT)
        hyoglossus = [(s * 17, -32, -80), (s * 17, -24, -98)]
        canvas.paint(canvas.strap(hyoglossus, 10, 1.6, (0, 1, 0), 0.3), "muscle", over=("fat",))
    if rng.random() < 0.75:
        gap = rng.uniform(0.7, 2.4)
        path = [(0, -66, -60), (0, -48, -54), (0, -28, -54), (0, -14, -62)]
        shape = canvas.strap(path, (12, 21, 20, 10), gap, (1, 0, 0), 0.5)
        canvas.paint(shape, "air", over=("muscle", *FRESH))
    lips = canvas.tube(
        [(-18, -74, -64), (0, -82, -65), (18, -74, -64)], (4, 6, 4), 0.5, (1, 0.8, 1.6)
    )
    canvas.paint(lips, "muscle", over=("fat",))


def _paint_throat(canvas: Canvas, rng: np.random.Generator, wall: float) -> None:
    """Oropharynx and hypopharynx inside their constrictors."""
    path = np.array(
        [(0, -9, -40), (0, -7, -56), (0, -6, -75), (0, -6, -94), (0, -2, -112), (0, 1, -134)]
    )
    path = path + np.array((0, 1, 0)) * rng.normal(0, 0.8, (len(path), 1))
    wide = np.array((11, 10.5, 12, 13, 14, 8)) * rng.normal(1.0, 0.06)
    deep = np.array((8, 5.5, 5.5, 5.5, 3.2, 1.6)) * rng.normal(1.0, 0.1)
    muscle = rng.uniform(2.2, 3.0)
    around = 0.55 * wall + muscle
    shell = canvas.strap(path, wide + around, deep + around, (1, 0, 0), 0.4)
    if shell is not None:
        box, distance = shell
        behind = canvas.coordinates[1][box] > -8 - 0.12 * np.abs(canvas.coordinates[0][box])
        back = (box, np.where(behind & (canvas.coordinates[2][box] > -146), distance, 1.0))
        # the carotid sheath and the prevertebral muscles stay apart by a fat plane
        canvas.paint((box, back[1] - 0.9), "fat", over=("muscle",))
        canvas.paint(back, "muscle", "Musc_Constrict", over=SOFT)
    lining = canvas.strap(path, wide + 0.55 * wall, deep + 0.55 * wall, (1, 0, 0), 0.5)
    canvas.paint(lining, "mucosa", over=(*SOFT,))
    if lining is not None:
        box = lining[0]
        drop = canvas.structures[box]
        inside = lining[1] < 0
        from .anatomy import bit

        drop[inside] &= ~bit("Musc_Constrict")
    air = canvas.strap(path[:5], wide[:5], deep[:5], (1, 0, 0), 0.7)
    canvas.paint(air, "air", over=("mucosa", "muscle", "fat"))
    tonsil_size = rng.uniform(0.5, 1.15)
    for side, _ in sides():
        tonsil = canvas.ellipsoid((side * 14, -12, -68), tonsil_size * np.array((5, 6, 10)), 0.8)
        canvas.paint(tonsil, "lymphoid tissue", over=(*SOFT, *FRESH))
    lingual = canvas.ellipsoid((0, -15, -84), (11, 3 * tonsil_size, 9), 0.9)
    canvas.paint(lingual, "lymphoid tissue", over=("muscle", "mucosa"))


def _paint_nasopharynx(canvas: Canvas, rng: np.random.Generator, wall: float) -> None:
    """Vault with torus and fossa of Rosenmueller on each side, adenoids on its roof."""
    centre = np.array((0.0, -12.0, -37.0))
    radii = jitter(rng, (13, 11.5, 12.5), 0.06)
    over = (*SOFT, *BONE)
    thick = np.array((wall, 0.9 * wall, 0.9 * wall))
    lined = canvas.superellipsoid(centre, radii + thick, 2.8, 0.7)
    if lined is None:
        return
    canvas.paint((lined[0], lined[1] - 1.5), "muscle", over=("fat",))
    canvas.paint(lined, "mucosa", over=over)
    region = canvas.superellipsoid(centre + np.array((0, 1, 0)), radii + 4.0, 3.0, 0.3)
    canvas.paint(region, None, "Nasopharynx")
    canvas.paint(canvas.superellipsoid(centre, radii, 2.8, 0.6), "air", over=(*FRESH, *over))
    for side, _ in sides():
        s = side
        fossa = [(s * 10, -2, -36), (s * 15.5, 0, -35), (s * 19, 2.5, -34)]
        slit = rng.uniform(0.5, 1.8)
        tall = (8, 8, 6)
        shape = canvas.strap(fossa, np.array(tall) + wall, slit + 0.8 * wall, (0, 0, 1), 0.5)
        canvas.paint(shape, "mucosa", over=(*over, "air"))
        canvas.paint(canvas.strap(fossa, tall, slit, (0, 0, 1), 0.4), "air", over=("mucosa",))
        torus = [(s * 14, -8, -30), (s * 12, -7, -38), (s * 12.5, -8, -46)]
        size = rng.uniform(0.85, 1.2)
        shape = canvas.strap(
            torus, np.array((4, 4.6, 3.2)) * size, np.array((3, 3.6, 2.4)) * size, (0, 1, 0), 0.5
        )
        canvas.paint(shape, "mucosa", over=(*FRESH, *SOFT))
        core = canvas.strap(torus[:2], 2.0 * size, 1.2, (0, 1, 0), 0.3)
        canvas.paint(core, "cartilage", over=("mucosa",))
        tube = [(s * 11, -15, -38), (s * 18, -11, -34), (s * 34, 6, -27)]
        canvas.paint(canvas.tube(tube, (2.2, 1.3, 0.8), 0.2, (1, 1, 1.6)), "air", over=("mucosa",))
        wall_tube = canvas.tube(tube[1:], (3.2, 2.0), 0.4)
        canvas.paint(wall_tube, "cartilage", over=("fat",))
    paint_adenoid(canvas, rng, float(np.clip(rng.gamma(1.4, 1.1), 0, 6)))


def paint_adenoid(canvas: Canvas, rng: np.random.Generator, thickness: float) -> None:
    """Lymphoid tissue of about ``thickness`` mm on roof and back wall, cleft down the middle."""
    if thickness < 0.4:
        return
    path = [(0, -16, -25.5), (0, -6, -27), (0, -1.5, -34), (0, -0.5, -43)]
    shape = canvas.strap(
        path, (9, 11, 11, 8), np.array((0.7, 1.0, 1.0, 0.6)) * thickness, (1, 0, 0), 0.9
    )
    if shape is None:
        return
    box, distance = shape
    cleft = np.abs(canvas.coordinates[0][box]) < 0.7
    distance = np.where(cleft, distance + 0.5 * thickness, distance)
    canvas.paint((box, distance), "lymphoid tissue", over=FRESH)


def _paint_soft_palate(canvas: Canvas, rng: np.random.Generator) -> None:
    path = [(0, -26, -50), (0, -15, -51.5), (0, -8, -58), (0, -6.5, -69)]
    wide, thick = jitter(rng, (13, 13, 9, 3), 0.05), jitter(rng, (3.4, 4.4, 4.0, 2.8), 0.1)
    velum = canvas.strap(path, wide, thick, (1, 0, 0), 0.5)
    canvas.paint(velum, "mucosa", over=(*FRESH, *SOFT))
    if velum is not None:
        canvas.paint((velum[0], velum[1] + 1.3), "muscle", over=("mucosa",))
        canvas.paint((velum[0], velum[1] + 2.6), "fat", over=("muscle",))
        core = canvas.strap(path, wide * 0.8, 0.9, (1, 0, 0), 0.4)
        canvas.paint(core, "muscle", over=("fat",))


def _paint_larynx(canvas: Canvas, rng: np.random.Generator) -> None:
    """Hyoid, epiglottis, cartilages, cords; trachea and oesophagus below."""
    over = (*SOFT, *FRESH, "gland")
    region = canvas.superellipsoid((0, -11, -119), (18, 13.5, 24), 2.6, 0.3)
    canvas.paint(region, None, "Larynx")
    hyoid = [(19, -6, -99), (14, -20, -102), (0, -27, -104), (-14, -20, -102), (-19, -6, -99)]
    shape = canvas.strap(
        hyoid, (2.4, 3.2, 4.4, 3.2, 2.4), (1.8, 2.2, 3.0, 2.2, 1.8), (0, 0, 1), 0.3
    )
    canvas.coat(shape, "cortical bone", 1.1, "marrow", over)
    airway = [(0, -9, -98), (0, -11, -108), (0, -12, -118), (0, -12, -122), (0, -10, -132)]
    airway += [(0, -8, -145), (0, -5, -172)]
    wide, deep = np.array((9, 7, 5, 2.2, 6.5, 8, 8)), np.array((6, 7, 8, 8.5, 8, 8, 8))
    size = rng.normal(1.0, 0.06)
    ring = canvas.strap(airway[4:], size * wide[4:] + 2.6, size * deep[4:] + 2.6, (1, 0, 0), 0.3)
    if ring is not None:
        box, distance = ring
        rings = np.cos(canvas.coordinates[2][box] * 2 * np.pi / 4.5) > -0.25
        canvas.paint(ring, "ligament", over=over)
        canvas.paint((box, np.where(rings, distance, 1.0)), "cartilage", over=("ligament",))
    lining = canvas.strap(airway, size * wide + 1.3, size * deep + 1.3, (1, 0, 0), 0.4)
    canvas.paint(lining, "mucosa", over=(*over, "cartilage", "ligament"))
    canvas.paint(canvas.strap(airway, size * wide, size * deep, (1, 0, 0), 0.3), "air", over=over)
    ossified = rng.random() < 0.5
    for side, _ in sides():
        s = side
        plate = [(s * 0.8, -25, -115), (s * 12, -14, -115), (s * 18, -1, -112)]
        shape = canvas.strap(plate, (8, 11, 12), 1.7, (0, 0, 1), 0.3)
        canvas.paint(shape, "cartilage", over=(*over, "lymphoid tissue"))
        if ossified:
            canvas.paint(
                (shape[0], shape[1] + 0.9) if shape else None, "marrow", over=("cartilage",)
            )
        sinus = canvas.ellipsoid((s * 12, -1, -110), jitter(rng, (3.2, 3.6, 9), 0.15), 0.4)
        if sinus is not None:
            canvas.paint((sinus[0], sinus[1] - 1.4), "mucosa", over=SOFT)
            canvas.paint(sinus, "air", over=(*SOFT, "mucosa"))
        cord = canvas.strap([(s * 2.5, -21, -122), (s * 5.5, -4, -121)], 3.4, 2.6, (0, 0, 1), 0.3)
        canvas.paint(cord, "muscle", over=("fat", *FRESH))
        false_cord = canvas.strap(
            [(s * 4, -20, -115), (s * 6.5, -4, -114)], 2.6, 2.2, (0, 0, 1), 0.4
        )
        canvas.paint(false_cord, "fat", over=("muscle", "mucosa", "air"))
        arytenoid = canvas.ellipsoid((s * 5, -2.5, -119), (2.2, 2.4, 5), 0.3)
        canvas.paint(arytenoid, "cartilage", over=over)
    cricoid = [(0, 0.5, -130), (8, -3, -132), (9.5, -10, -135), (0, -19.5, -136)]
    cricoid += [(-9.5, -10, -135), (-8, -3, -132), (0, 0.5, -130)]
    shape = canvas.strap(cricoid, (9, 8, 5, 3, 5, 8, 9), 2.0, (0, 0, 1), 0.2)
    canvas.paint(shape, "cartilage", over=(*SOFT, "mucosa", "gland", "ligament"))
    leaf = [(0, -23, -116), (0, -18, -104), (0, -14, -93)]
    shape = canvas.strap(leaf, (2, 7.5, 8), (2.2, 2.4, 2.0), (1, 0, 0), 0.3)
    canvas.paint(shape, "mucosa", over=over)
    canvas.paint(
        canvas.strap(leaf, (1.5, 6.5, 7), 1.1, (1, 0, 0), 0.2), "cartilage", over=("mucosa",)
    )
    gullet = [(0, 4, -139), (1.0, 5, -150), (2.5, 6, -172)]
    shape = canvas.strap(gullet, (8, 7.5, 7.5), (4.2, 4.6, 5.2), (1, 0, 0), 0.4)
    canvas.paint(shape, "muscle", "Esophagus", over=(*SOFT, "cartilage", "ligament"))
    if shape is not None:
        canvas.paint((shape[0], shape[1] + 2.6), "mucosa", over=("muscle",))
        if rng.random() < 0.3:
            canvas.paint((shape[0], shape[1] + 3.9), "air", over=("mucosa",))
