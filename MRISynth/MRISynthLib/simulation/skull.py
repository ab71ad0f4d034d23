"""Cranial vault, skull base, temporal bone and cervical spine of the procedural head."""

from __future__ import annotations

import numpy as np

from .anatomy import Canvas, jitter, sides, smooth_noise
from .brain import Cranium
from .fields import upsample
from .tissues import TISSUE_INDEX

SOFT = ("fat", "muscle", "skin")
BONE = ("cortical bone", "marrow")
BASE = ("fat", "muscle", "CSF", "cortical bone", "marrow", "vein")

SPINE_TOP_MM = -70.0


def paint_vault(canvas: Canvas, cranium: Cranium, rng: np.random.Generator) -> np.ndarray:
    """Tables and diploe around the inner table; returns the thickness of bone there (mm)."""
    step = 4
    shape = cranium.inner.shape
    coarse = tuple(len(range(0, n, step)) for n in shape)
    thickness = rng.normal(6.3, 0.9) * (1 + 0.18 * smooth_noise(coarse, 40, rng, step))
    x, y, z = (a[::step, ::step, ::step] for a in (cranium.x, cranium.y, cranium.z))
    # thin over the orbits, in the middle fossa and at the temporal squama
    low = np.clip((14 - z) / 14, 0, 1) * np.clip((30 - y) / 20, 0, 1)
    squama = np.clip((np.abs(x) - 44) / 14, 0, 1) * np.clip((28 - z) / 20, 0, 1)
    squama *= np.clip((38 - y) / 20, 0, 1)
    thickness *= 1 - 0.5 * np.maximum(low, 0.7 * squama)
    thickness = upsample(np.maximum(thickness, 2.2).astype(np.float32), step, shape)
    rough = 0.5 * canvas.roughness[cranium.box]
    tissue = canvas.tissue[cranium.box]
    inner = cranium.inner
    bone = (inner >= 0) & (inner < thickness + rough)
    bone &= tissue != TISSUE_INDEX["air"]
    tissue[bone] = TISSUE_INDEX["cortical bone"]
    table = rng.uniform(1.3, 1.9)
    diploe = bone & (inner > table) & (inner < thickness + 1.6 * rough - table - 0.2)
    tissue[diploe] = TISSUE_INDEX["marrow"]
    return thickness


def paint_skull_base(canvas: Canvas, rng: np.random.Generator) -> None:
    """Sphenoid, clivus, temporal and occipital bone, inner ear, mastoid cells."""
    body = canvas.superellipsoid((0, -12, -11), jitter(rng, (19, 15, 12), 0.04), 3, 0.5)
    canvas.coat(body, "cortical bone", 1.3, "marrow", BASE)
    clivus = [(0, 2.5, -5), (0, 2.5, -22), (0, 13, -47)]
    shape = canvas.strap(clivus, (11, 13, 8), (4.5, 4.8, 3.6), (1, 0, 0), 0.4)
    canvas.coat(shape, "cortical bone", 1.2, "marrow", BASE)
    for side, suffix in sides():
        s = side
        wing = [(s * 17, -16, -12), (s * 38, -22, -16), (s * 54, -30, -4), (s * 58, -38, 8)]
        shape = canvas.strap(wing, (11, 11, 11, 10), (4.5, 3.0, 2.4, 2.0), (0.25, 1, 0.2), 0.4)
        canvas.coat(shape, "cortical bone", 1.3, "marrow", ("fat", "muscle", *BONE))
        squama = [(s * 62, 6, -16), (s * 66, 4, -2)]
        shape = canvas.strap(squama, (18, 16), (2.4, 2.0), (0, 1, 0), 0.4)
        canvas.paint(shape, "cortical bone", over=("fat", "muscle"))
        for offset, length in ((13.0, 14.0), (18.5, 18.0)):  # pterygoid plates
            plate = [(s * 14, -22, -22), (s * offset, -16, -34), (s * offset, -19, -50)]
            shape = canvas.strap(plate, (6, length / 2.4, 3.5), (2.4, 1.3, 1.1), (0, 1, 0), 0.2)
            canvas.paint(shape, "cortical bone", over=("fat", "muscle", *BONE))
        root = canvas.ellipsoid((s * 15, -22, -24), (5, 6, 6), 0.5)
        canvas.coat(root, "cortical bone", 1.3, "marrow", ("fat", "muscle", *BONE))
        petrous = [(s * 13, 9, -17), (s * 34, 18, -25), (s * 54, 27, -31)]
        shape = canvas.tube(petrous, (5.5, 9, 13), 0.7)
        canvas.paint(shape, "cortical bone", over=BASE)
        apex = canvas.tube(petrous[:2], (3.6, 3.0), 0.6)
        canvas.paint(apex, "marrow", over=("cortical bone",))
        mastoid = canvas.ellipsoid((s * 57, 29, -42), jitter(rng, (10, 11, 17), 0.07), 0.7)
        canvas.paint(mastoid, "cortical bone", over=BASE)
        condyle = canvas.ellipsoid((s * 17, 25, -50), (8, 9, 5), 0.4)
        canvas.coat(condyle, "cortical bone", 1.2, "marrow", ("fat", "muscle", *BONE))
        _paint_mastoid_cells(canvas, side, rng)
        _paint_ear(canvas, side, suffix, rng)
        styloid = canvas.tube([(s * 43, 16, -36), (s * 37, 8, -62)], (2.2, 1.1), 0.2)
        canvas.paint(styloid, "cortical bone", over=("fat", "muscle"))
        arch = [(s * 53, 4, -23), (s * 63, -10, -21), (s * 64, -28, -20), (s * 54, -46, -20)]
        shape = canvas.strap(arch, (3.0, 3.6, 3.8, 7), (3.5, 1.9, 2.2, 4), (0, 0, 1), 0.3)
        canvas.coat(shape, "cortical bone", 1.4, "marrow", (*SOFT, *BONE))


def _paint_mastoid_cells(canvas: Canvas, side: float, rng: np.random.Generator) -> None:
    """Air cells behind the ear: all sizes, thin walls, now and then filled."""
    size = rng.uniform(0.75, 1.15)
    shape = canvas.ellipsoid((side * 55, 28, -36), size * np.array((11, 13, 19)), 1.0)
    if shape is None:
        return
    box, distance = shape
    cells = smooth_noise(distance.shape, 4.5, rng) + 0.6 * smooth_noise(distance.shape, 2.4, rng)
    share = rng.uniform(-0.45, 0.5)
    filling = "air"
    if rng.random() < 0.12:
        filling = str(rng.choice(("mucosa", "fluid")))
    open_cells = np.where(cells > share, distance, 1.0)
    canvas.paint((box, open_cells), filling, over=BONE)
    rest = np.where(cells < share - 0.9, distance, 1.0)
    canvas.paint((box, rest), "marrow", over=BONE)


def _paint_ear(canvas: Canvas, side: float, suffix: str, rng: np.random.Generator) -> None:
    """Ear canal, middle ear, labyrinth and the nerves to it."""
    s = side
    canal = [(s * 44, 15, -25), (s * 58, 16, -26), (s * 82, 20, -25)]
    canvas.paint(canvas.tube(canal, (2.2, 2.6, 3.2), 0.2), "air", over=(*SOFT, *BONE, "cartilage"))
    drum = canvas.ellipsoid((s * 42, 15, -24), (3, 5.5, 6.5), 0.5)
    canvas.paint(drum, "air", over=BONE)
    cochlea = canvas.ellipsoid((s * 28, 13, -25), jitter(rng, (3.7, 3.4, 3.2), 0.05), 0.1)
    canvas.paint(cochlea, "cortical bone", f"Cochlea{suffix}", over=BASE)
    turn = canvas.tube(
        [(s * 28, 10.5, -25), (s * 30, 13, -23), (s * 28, 15, -25), (s * 26, 13, -26)], 1.2, 0.1
    )
    canvas.paint(turn, "fluid", over=BONE)
    vestibule = canvas.ellipsoid((s * 33, 17, -24), (2.4, 2.8, 2.8), 0.1)
    canvas.paint(vestibule, "fluid", over=BONE)
    angles = np.linspace(0, 2 * np.pi, 8)
    for first, second in ((0, 1), (1, 2), (0, 2)):
        ring = np.tile((s * 36.0, 20.0, -22.0), (8, 1))
        ring[:, first] += 3.4 * np.cos(angles)
        ring[:, second] += 3.4 * np.sin(angles)
        canvas.paint(canvas.tube(ring, 0.75, 0.05), "fluid", over=BONE)
    meatus = [(s * 12, 19, -24), (s * 27, 17, -25)]
    canvas.paint(canvas.tube(meatus, (3.2, 2.4), 0.1), "CSF", over=BASE)
    canvas.paint(canvas.tube(meatus, 0.9, 0.0), "nerve", over=("CSF",))


def paint_spine(canvas: Canvas, rng: np.random.Generator) -> None:
    """Atlas, dens, vertebrae with discs, the canal with the cord."""
    soft = ("fat", "muscle", "ligament", *BONE)
    bend = rng.normal(0, 1.8)

    def middle(z: float) -> float:
        return 20.0 + bend * (((z + 110) / 45) ** 2 - 1) + 0.02 * (-60 - z)

    def bone(shape, wall=1.2):
        canvas.coat(shape, "cortical bone", wall, "marrow", soft)

    for side, _ in sides():
        s = side
        bone(canvas.ellipsoid((s * 18, 24, -60), (9, 9, 7.5), 0.4))
        ring = [(s * 20, 28, -60), (s * 16, 44, -61), (0, 52, -62)]
        bone(canvas.strap(ring, (4, 4, 4.5), (4, 3, 3), (0, 0, 1), 0.3), 1.4)
        bone(canvas.strap([(s * 16, 18, -60), (0, 11, -60)], (4.5, 4.5), (3, 2.6), (0, 0, 1), 0.3))
        bone(canvas.tube([(s * 22, 26, -61), (s * 36, 27, -61)], (4, 3), 0.4), 1.3)
    bone(canvas.tube([(0, 19.5, -56), (0, 20, -72)], (4.4, 5.6), 0.2))
    top = SPINE_TOP_MM
    level = 2
    while top > -190:
        height = 17.0 if level == 2 else rng.normal(13.2, 0.5)
        z = top - height / 2
        y = middle(z)
        narrow = rng.normal(0.98, 0.03)
        for side, _ in sides():
            s = side
            lamina = [(s * 12, y + 8, z), (s * 14, y + 15, z), (s * 7, y + 26, z - 4)]
            bone(canvas.strap(lamina, (4.5, 5.5, 5), (4.5, 3.4, 2.2), (0, 0, 1), 0.4), 1.3)
            process = [(s * 11, y + 1, z), (s * 22, y + 5, z - 2)]
            bone(canvas.tube(process, (3.6, 2.6), 0.4), 1.2)
        spine = [(0, y + 27, z - 4), (0, y + 38 + 4 * (level == 2 or level > 6), z - 10)]
        bone(canvas.strap(spine, (5, 4.5), (2.6, 2.2), (0, 0, 1), 0.4), 1.3)
        body = canvas.superellipsoid((0, y, z), (12 * narrow, 8.5, height / 2), 4, 0.35)
        bone(body, 1.1)
        disc = canvas.superellipsoid((0, y, z - height / 2 - 2.6), (11, 8.2, 2.7), 3, 0.3)
        canvas.paint(disc, "cartilage", over=soft)
        top -= height + 5.0
        level += 1
    levels = (-50.0, -62.0, -80.0, -110.0, -140.0, -190.0)
    canal = np.array([(0.0, middle(z) + 15 - 0.5 * (z > -60), z) for z in levels])
    canal[0, 1] = 34.0
    radii = np.array((13, 12, 9.5, 8.5, 8.5, 8.5)) * rng.normal(1.0, 0.04)
    wide = (1.2, 1, 1)
    over = (*soft, "cartilage", "CSF")
    canvas.paint(canvas.tube(canal, radii + 1.0, 0.2, wide), "ligament", over=("fat", "muscle"))
    canvas.paint(canvas.tube(canal, radii, 0.2, wide), "CSF", over=over)
    cord = canvas.tube(canal, jitter(rng, (5.6, 5.2, 4.9, 5.0, 5.1, 4.8), 0.02), 0.15, (1.25, 1, 1))
    if cord is not None:
        box, distance = cord
        below = np.maximum(distance, canvas.coordinates[2][box] + 52.0)
        canvas.paint((box, below), "white matter", "SpinalCord", over=("CSF", "white matter"))
        canvas.paint(cord, "white matter", over=("CSF",))
    for side, _ in sides():
        horn = canal + np.array((side * 2.0, 0.0, 0.0))
        canvas.paint(
            canvas.tube(horn, 1.3, 0.1, (0.8, 1.5, 1)), "grey matter", over=("white matter",)
        )
        for z in np.arange(-66, -170, -17.5):  # nerve roots and their ganglia
            y = middle(z) + 13
            root = [(side * 6, y, z), (side * 17, y - 3, z - 5), (side * 28, y - 6, z - 12)]
            canvas.paint(canvas.tube(root, (1.0, 2.2, 1.2), 0.2), "nerve", over=("fat", "CSF"))
