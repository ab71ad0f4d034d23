"""A head and neck drawn from numbers alone, every case different.

Ships with the product and needs no data. Ellipsoids, rounded boxes and tubes in head
coordinates, seen through a smooth random deformation, with rough edges and a cortex that is
folded by noise.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from .anatomy import Anatomy, Canvas, bit, smooth_noise
from .soft_tissue import _jitter, _sides, paint_soft_tissue
from .tissues import TISSUE_INDEX

SHAPE = (196, 252, 216)
ORIGIN = (-107.5, -112.0, -132.0)
"""Default grid: 1 mm voxels, from the lower neck to above the lateral ventricles."""


def head_coordinates(
    index_to_world: np.ndarray, shape: tuple[int, int, int], rng: np.random.Generator
) -> np.ndarray:
    """Deformed head coordinates (3, slices, rows, columns) of every voxel, float32 mm.

    A global scale per axis (population spread of head size), a slight pitch, and a smooth
    random displacement of a few millimetres.
    """
    k, j, i = (np.arange(n, dtype=np.float32) for n in shape)
    spacing = np.diag(index_to_world)[:3]
    x = (i * spacing[0] + index_to_world[0, 3])[None, None, :]
    y = (j * spacing[1] + index_to_world[1, 3])[None, :, None]
    z = (k * spacing[2] + index_to_world[2, 3])[:, None, None]
    pitch = np.deg2rad(rng.normal(0, 4))
    cosine, sine = np.float32(np.cos(pitch)), np.float32(np.sin(pitch))
    scale = rng.normal(1.0, 0.035, 3).clip(0.91, 1.09)
    coordinates = np.empty((3, *shape), np.float32)
    coordinates[0] = x / scale[0]
    coordinates[1] = (cosine * y + sine * z) / scale[1]
    coordinates[2] = (-sine * y + cosine * z) / scale[2]
    step = float(abs(spacing[0]))
    for axis in range(3):
        coordinates[axis] += 2.2 * smooth_noise(shape, 55, rng, step)
        coordinates[axis] += 0.9 * smooth_noise(shape, 24, rng, step)
    return coordinates


def _union(first, second, blend: float) -> np.ndarray:
    """Smooth minimum of two distances over ``blend`` millimetres."""
    h = np.clip(0.5 + 0.5 * (second - first) / blend, 0, 1)
    return second * (1 - h) + first * h - blend * h * (1 - h)


def _everywhere(canvas: Canvas, centre, radii) -> np.ndarray:
    """Distance to an ellipsoid over the whole grid."""
    centre, radii = np.asarray(centre, np.float32), np.asarray(radii, np.float32)
    q = sum(((canvas.coordinates[a] - centre[a]) / radii[a]) ** 2 for a in range(3))
    q = np.sqrt(q)
    return (q - 1) * radii.min() * np.minimum(1.6, 0.5 + 0.5 * q)


def _outline(canvas: Canvas, rng: np.random.Generator) -> np.ndarray:
    """Distance to the skin (negative inside): cranium, face, jaw, neck and nose."""
    x, y, z = canvas.coordinates
    head = _everywhere(canvas, (0, 18, 24), (78, 99, 78))
    head = _union(head, _everywhere(canvas, (0, 52, -20), (69, 62, 48)), 16)
    head = _union(head, _everywhere(canvas, (0, -28, -40), (65, 66, 62)), 22)
    head = _union(head, _everywhere(canvas, (0, -52, -82), (45, 45, 30)), 20)
    width, depth = _jitter(rng, (60, 58), 0.06)
    neck = (np.sqrt((x / width) ** 2 + ((y - 32) / depth) ** 2) - 1) * min(width, depth)
    neck = np.maximum(neck, z + 55)
    head = _union(head, neck, 24)
    nose = _everywhere(canvas, (0, -95, -30), (13, 17, 15))
    return _union(head, nose, 9) + 0.8 * canvas.roughness


def _paint_brain(canvas: Canvas, rng: np.random.Generator) -> None:
    """Cerebrum with a folded cortex, ventricles, deep nuclei, cerebellum, brainstem."""
    x, y, z = canvas.coordinates
    shape = canvas.tissue.shape
    brain = _everywhere(canvas, (0, 19, 34), _jitter(rng, (64, 83, 60), 0.02))
    floor = np.where(y > 30, -3.0 - 0.05 * (y - 30), -1.0 - 0.18 * np.minimum(y, 0) * (y < 0))
    brain = np.maximum(brain, floor - z)
    lobes = {}
    for side, suffix in _sides(rng):
        lobe = _everywhere(canvas, (side * 45, 4, -3), _jitter(rng, (21, 37, 19), 0.05))
        lobe = np.maximum(lobe, 20 - side * x)
        lobes[suffix] = lobe
        brain = np.minimum(brain, lobe)
    cranium = np.minimum(brain - 3.5, _everywhere(canvas, (0, 62, -22), (54, 33, 27)))
    posterior = np.minimum(_everywhere(canvas, (0, 28, -20), (24, 18, 22)), cranium)
    bone_thickness = rng.normal(6.0, 0.8)
    bone = (posterior < bone_thickness) & (z > -48)
    canvas.tissue[bone] = TISSUE_INDEX["cortical bone"]
    diploe = bone & (posterior > 1.8) & (posterior < bone_thickness - 1.6)
    canvas.tissue[diploe] = TISSUE_INDEX["marrow"]
    inside = posterior < 0
    canvas.tissue[inside] = TISSUE_INDEX["CSF"]

    folds = smooth_noise(shape, 11, rng) + 0.5 * smooth_noise(shape, 7, rng)
    rough_brain = brain + 0.5 * canvas.roughness
    hemisphere_gap = (np.abs(x) < 1.2) & (z > 10)
    sulci = (np.abs(folds) < 0.15) & (rough_brain > -18) | hemisphere_gap
    cerebrum = (rough_brain < 0) & inside
    tissue_of_brain = cerebrum & ~sulci
    depth = ndimage.distance_transform_edt(tissue_of_brain)
    thickness = rng.normal(2.7, 0.2)
    canvas.tissue[tissue_of_brain] = TISSUE_INDEX["grey matter"]
    canvas.tissue[tissue_of_brain & (depth > thickness)] = TISSUE_INDEX["white matter"]
    canvas.structures[cerebrum] |= bit("Brain")
    for suffix, lobe in lobes.items():
        part = cerebrum & (lobe < 1.5) & (z < 16)
        canvas.structures[part] |= bit(f"Lobe_Temporal{suffix}")

    swell = rng.uniform(0.8, 1.5)
    for side, _ in _sides(rng):
        horn = [(side * 6, -28, 26), (side * 9, 5, 33), (side * 18, 42, 26), (side * 30, 25, 2)]
        canvas.paint(canvas.tube(horn, np.array((5, 5.5, 7, 2.5)) * swell, 0.5), "CSF")
        caudate = [(side * 13, -24, 22), (side * 16, 10, 32)]
        canvas.paint(canvas.tube(caudate, (5, 3), 0.4), "grey matter", over=("white matter",))
        canvas.paint(
            canvas.ellipsoid((side * 24, -6, 14), _jitter(rng, (8, 18, 10), 0.06), 0.5),
            "grey matter",
            over=("white matter", "CSF"),
        )
        canvas.paint(
            canvas.ellipsoid((side * 10, 16, 18), _jitter(rng, (8, 13, 9), 0.06), 0.5),
            "grey matter",
            over=("white matter", "CSF"),
        )
    canvas.paint(canvas.superellipsoid((0, 10, 14), (2.2 * swell, 14, 9), 2.5), "CSF")

    cerebellum = _everywhere(canvas, (0, 62, -24), _jitter(rng, (50, 30, 23), 0.04))
    cerebellum = np.maximum(cerebellum, z - (2 + 0.25 * (y - 40))) + 0.5 * canvas.roughness
    leaves = np.sin((z + 0.35 * y) * 1.05 + 1.6 * smooth_noise(shape, 22, rng))
    folia = (cerebellum < 0) & inside
    canvas.tissue[folia] = TISSUE_INDEX["grey matter"]
    canvas.tissue[folia & (leaves > 0.82) & (cerebellum > -9)] = TISSUE_INDEX["CSF"]
    core = (cerebellum < -9) | ((leaves < -0.55) & (cerebellum < -3))
    canvas.tissue[folia & core & (np.abs(x) > 5)] = TISSUE_INDEX["white matter"]
    canvas.structures[folia] |= bit("Brain")

    pons = canvas.superellipsoid((0, 20, -18), _jitter(rng, (16, 12, 13), 0.05), 2.6, 0.3)
    midbrain = canvas.ellipsoid((0, 20, 2), _jitter(rng, (17, 13, 11), 0.05), 0.3)
    medulla = canvas.tube([(0, 26, -28), (0, 36, -52)], _jitter(rng, (9.5, 7), 0.05), 0.2)
    canvas.paint(canvas.tube([(0, 37, -12), (0, 41, -32)], (5, 3), 0.3, (1.6, 0.6, 1)), "CSF")
    cisterns = [(0, 25, -15), (0, 40, -60)]
    canvas.paint(
        canvas.tube(cisterns, (19, 12.5), 0.4),
        "CSF",
        over=("cortical bone", "marrow", *("fat", "muscle")),
    )
    for part in (pons, midbrain, medulla):
        canvas.paint(part, "white matter", "Brainstem")
        if part is not None:
            box, distance = part
            canvas.structures[box][distance < 0] |= bit("Brain")


def _paint_skull_base_and_spine(canvas: Canvas, rng: np.random.Generator) -> None:
    """Clivus, petrous and sphenoid bone, mastoid cells, vertebrae, discs, cord."""
    over = ("fat", "muscle", "CSF", "cortical bone", "marrow")
    base = ("fat", "muscle", "cortical bone", "marrow")
    clivus = [(0, 3, -6), (0, 13, -24), (0, 24, -40)]
    canvas.paint(canvas.tube(clivus, (8.5, 8, 5), 0.5, (1.8, 1, 1)), "cortical bone", over=base)
    canvas.paint(canvas.tube(clivus, (6.8, 6.3, 3.2), 0.5, (1.9, 1, 1)), "marrow", over=over)
    canvas.paint(canvas.superellipsoid((0, -12, -8), (22, 15, 13), 3), "cortical bone", over=base)
    for side, _ in _sides(rng):
        wing = [(side * 18, -16, -8), (side * 40, -22, -14), (side * 56, -30, 0)]
        canvas.paint(canvas.tube(wing, (7, 5, 4), 0.6), "cortical bone", over=base)
        canvas.paint(canvas.tube(wing, (4.8, 3, 2), 0.6), "marrow", over=("cortical bone",))
        petrous = [(side * 14, 12, -16), (side * 34, 22, -18), (side * 60, 28, -22)]
        canvas.paint(canvas.tube(petrous, (7, 10, 13), 0.8), "cortical bone", over=over)
        canvas.paint(canvas.tube(petrous, (5, 5, 4), 0.8), "marrow", over=("cortical bone",))
        pterygoid = [(side * 15, -22, -20), (side * 17, -20, -46)]
        canvas.paint(canvas.tube(pterygoid, 2.4, 0.4, (0.8, 2.6, 1)), "cortical bone", over=base)
        pneumatised = rng.uniform(0.5, 1.0)
        for _ in range(int(90 * pneumatised)):
            centre = (side * rng.normal(58, 5), rng.normal(32, 6), rng.normal(-30, 8))
            cell = canvas.ellipsoid(centre, rng.uniform(1.2, 3.2, 3), 0.5)
            canvas.paint(cell, "air", over=("cortical bone", "marrow"))
        canal = [(side * 34, 16, -19), (side * 80, 18, -20)]
        canvas.paint(canvas.tube(canal, 2.8, 0.2), "air")
        for centre in ((side * 40, 20, -17), (side * 34, 24, -16)):
            canvas.paint(
                canvas.ellipsoid(centre, (3, 3, 3), 0.3), "fluid", over=("cortical bone", "marrow")
            )
        arch = [(side * 10, 42, -56), (side * 26, 46, -56), (side * 4, 66, -60)]
        canvas.paint(canvas.tube(arch, 4.2, 0.5), "cortical bone", over=base)
    z = -52.0
    while z > -190:
        height = rng.normal(15.0, 0.7)
        centre = (0, 31 + 0.03 * (z + 50), z - height / 2)
        body = canvas.superellipsoid(centre, (12, 9, height / 2 - 0.5), 5, 0.4)
        canvas.paint(body, "cortical bone", over=base)
        core = canvas.superellipsoid(centre, (10.5, 7.5, height / 2 - 2.0), 5, 0.4)
        canvas.paint(core, "marrow", over=("cortical bone",))
        disc = canvas.superellipsoid((0, centre[1], z - height - 2), (11, 8, 2.6), 4, 0.3)
        canvas.paint(disc, "cartilage", over=base)
        for side, _ in _sides(rng):
            canvas.paint(
                canvas.tube(
                    [
                        (side * 13, 38, z - height / 2),
                        (side * 15, 50, z - height / 2),
                        (0, 64, z - height / 2 - 4),
                    ],
                    (4.5, 4, 3.2),
                    0.5,
                ),
                "cortical bone",
                over=base,
            )
        z -= height + 4
    canal = [(0, 40, -50), (0, 45, -80), (0, 47, -200)]
    canvas.paint(canvas.tube(canal, (11, 8.5, 8.2), 0.3), "CSF", over=(*over, "cartilage"))
    cord = canvas.tube(
        [(0, 37, -53), (0, 45, -80), (0, 47, -200)], (6, 5.3, 5.2), 0.2, (1.2, 0.9, 1)
    )
    canvas.paint(cord, "white matter", "SpinalCord", over=("CSF", "white matter"))
    grey = canvas.tube(
        [(0, 37, -53), (0, 45, -80), (0, 47, -200)], (2.2, 2.0, 2.0), 0.2, (1.6, 0.6, 1)
    )
    canvas.paint(grey, "grey matter", over=("white matter",))


def _paint_face(canvas: Canvas, rng: np.random.Generator) -> None:
    """Facial bones, mandible, teeth, airways, sinuses, mucosa and the orbits."""
    base = ("fat", "muscle", "parotid gland", "gland")
    bones = ("fat", "muscle", "cortical bone", "marrow")
    maxilla = canvas.superellipsoid((0, -48, -32), (40, 30, 22), 3, 0.8)
    canvas.paint(maxilla, "marrow", over=base)
    palate = canvas.superellipsoid((0, -48, -46), (24, 28, 3.0), 3, 0.4)
    canvas.paint(palate, "cortical bone", over=bones)
    for side, _ in _sides(rng):
        ramus = canvas.superellipsoid(
            (side * 46, -13, -56), _jitter(rng, (4.6, 16, 30), 0.05), 3.2, 0.5
        )
        canvas.paint(ramus, "cortical bone", "Bone_Mandible", over=base)
        core = canvas.superellipsoid((side * 46, -13, -56), (2.6, 13, 26), 3.2, 0.5)
        canvas.paint(core, "marrow", over=("cortical bone",))
        condyle = canvas.ellipsoid((side * 49, 2, -25), (8, 5, 6), 0.4)
        canvas.paint(condyle, "cortical bone", "Bone_Mandible", over=base)
        canvas.paint(
            canvas.ellipsoid((side * 49, 2, -25), (6, 3.2, 4), 0.4),
            "marrow",
            over=("cortical bone",),
        )
        body = [(side * 44, -16, -82), (side * 38, -48, -86), (side * 20, -76, -88), (0, -84, -88)]
        flat = (0.85, 0.85, 1.9)
        canvas.paint(canvas.tube(body, 6.6, 0.5, flat), "cortical bone", "Bone_Mandible", over=base)
        canvas.paint(canvas.tube(body, 4.4, 0.5, flat), "marrow", over=("cortical bone",))
        zygoma = [(side * 40, -60, -22), (side * 58, -40, -16), (side * 62, -8, -16)]
        canvas.paint(canvas.tube(zygoma, (6, 4.5, 3), 0.5), "cortical bone", over=base)
        canvas.paint(canvas.tube(zygoma, (4, 2.6, 1), 0.5), "marrow", over=("cortical bone",))
        for upper in (-54.0, -66.0):
            for angle in np.linspace(0.1, 1.25, 8):
                tooth = (side * 36 * np.sin(angle), -28 - 48 * np.cos(angle), upper)
                canvas.paint(
                    canvas.ellipsoid(tooth, (3.4, 3.6, 6), 0.3),
                    "cortical bone",
                    over=(*base, "marrow", "mucosa"),
                )
        antrum = canvas.ellipsoid((side * 30, -45, -27), _jitter(rng, (13, 17, 16), 0.1), 1.0)
        _cavity(canvas, antrum, rng)
        orbit = canvas.ellipsoid((side * 29, -46, 0), (17, 27, 17), 0.4)
        canvas.paint(orbit, "fat", over=("fat", "muscle", "cortical bone", "marrow", "CSF"))
    for centre, radii in (
        ((0, -13, -8), (14, 11, 9)),
        ((8, -36, -4), (5.5, 17, 9)),
        ((-8, -36, -4), (5.5, 17, 9)),
        ((9, -68, 20), (9, 5, 9)),
        ((-9, -68, 20), (9, 5, 9)),
    ):
        _cavity(canvas, canvas.ellipsoid(centre, _jitter(rng, radii, 0.12), 0.8), rng)
    _paint_airway(canvas, rng)
    _paint_orbits(canvas, rng)


def _cavity(canvas: Canvas, shape, rng: np.random.Generator) -> None:
    """A sinus: thin bony wall, mucosa of varying thickness, air, sometimes fluid."""
    if shape is None:
        return
    box, distance = shape
    mucosa = max(0.4, rng.gamma(1.6, 0.6))
    filling = "fluid" if rng.random() < 0.08 else "air"
    lined = (box, distance - 1.4)
    canvas.paint(lined, "cortical bone", over=("fat", "muscle", "marrow", "cortical bone"))
    canvas.paint(shape, "mucosa")
    canvas.paint((box, distance + mucosa), filling)


def _paint_airway(canvas: Canvas, rng: np.random.Generator) -> None:
    """Nasal cavity with septum and turbinates, nasopharynx with fossae, pharynx, mouth."""
    soft = ("fat", "muscle", "marrow", "cortical bone")
    fresh = ("mucosa", "air")
    wall = max(1.6, rng.normal(2.6, 0.7))
    nasal = canvas.superellipsoid((0, -52, -24), (16, 38, 20), 3, 0.6)
    canvas.paint(nasal, "mucosa", over=soft)
    for side, _ in _sides(rng):
        passage = canvas.superellipsoid((side * 7.5, -52, -24), (5.6, 37, 18), 3, 0.6)
        canvas.paint(passage, "air", over=fresh)
        for z, radius in ((-35, 5.0), (-24, 4.0), (-14, 3.0)):
            turbinate = [(side * 11, -76, z), (side * 11, -26, z)]
            radius *= rng.uniform(0.7, 1.25)
            canvas.paint(canvas.tube(turbinate, radius, 0.6), "mucosa", over=fresh)
        canvas.paint(
            canvas.superellipsoid((0, -50, -24), (1.0, 36, 18), 4, 0.3), "cartilage", over=fresh
        )
    adenoid = rng.gamma(1.5, 1.2)
    centre = np.array((0.0, -6.0, -32.0))
    radii = _jitter(rng, (17, 11, 15), 0.08)
    mucosal = canvas.superellipsoid(centre, radii + wall, 2.6, 0.8)
    canvas.paint(mucosal, "mucosa", over=soft)
    canvas.paint(canvas.superellipsoid(centre, radii, 2.6, 0.8), "air", over=("mucosa", *soft))
    roof = canvas.superellipsoid(
        centre + np.array((0, 6 + adenoid * 0.2, 4)), (13, 5 + adenoid, 12), 2.6, 0.8
    )
    canvas.paint(roof, "lymphoid tissue", over=("air", "mucosa"))
    canvas.paint(
        canvas.superellipsoid(centre + np.array((0, -3, -1)), (10, 7, 12), 2.6, 0.8),
        "air",
        over=("lymphoid tissue",),
    )
    for side, _ in _sides(rng):
        torus = canvas.ellipsoid((side * 14, -6, -35), _jitter(rng, (4.2, 4.5, 9), 0.1), 0.6)
        canvas.paint(torus, "mucosa", over=("air",))
        open_fossa = rng.uniform(0.8, 2.2)
        fossa = [(side * 14, 3, -34), (side * 20, 5, -32)]
        canvas.paint(canvas.tube(fossa, open_fossa + 1.8, 0.5, (1, 1, 2.5)), "mucosa", over=soft)
        canvas.paint(canvas.tube(fossa, open_fossa, 0.3, (1, 1, 2.5)), "air", over=("mucosa",))
    pharynx = [(0, -2, -46), (0, 2, -75), (0, 0, -110), (0, -6, -190)]
    sizes = np.array((9, 8, 8, 8.5)) * rng.uniform(0.8, 1.2)
    flat = (1.5, 0.8, 1)
    canvas.paint(canvas.tube(pharynx, sizes + wall + 1.2, 0.6, flat), "muscle", over=("fat", *soft))
    canvas.paint(canvas.tube(pharynx, sizes + wall, 0.6, flat), "mucosa", over=soft)
    canvas.paint(canvas.tube(pharynx, sizes, 0.6, flat), "air", over=fresh)
    velum = [(0, -26, -47), (0, -10, -52), (0, -4, -66)]
    canvas.paint(canvas.tube(velum, (4, 4.5, 3), 0.5, (3.2, 1, 1)), "mucosa", over=("air", *soft))
    canvas.paint(canvas.tube(velum, (2, 2.5, 1.5), 0.5, (3.2, 1, 1)), "muscle", over=("mucosa",))
    if rng.random() < 0.7:
        gap = rng.uniform(0.8, 3.0)
        mouth = canvas.ellipsoid((0, -45, -53), (22, 30, gap), 0.6)
        canvas.paint(mouth, "air", over=("muscle", "mucosa", "fat"))


def _paint_orbits(canvas: Canvas, rng: np.random.Generator) -> None:
    """Globes with lenses, extraocular muscles, lacrimal glands, optic nerves and chiasm."""
    over = ("fat", "muscle")
    eye_radius = rng.normal(12.0, 0.4)
    gaze = rng.normal(0, 1.2, 2)
    everything = ("fat", "muscle", "skin", "air", "cortical bone", "marrow", "mucosa")
    for side, suffix in _sides(rng):
        centre = np.array((side * 31.0, -61.0, 0.0)) + rng.normal(0, 0.6, 3)
        globe = canvas.ellipsoid(centre, (eye_radius,) * 3, 0.15)
        canvas.paint(globe, "ligament", f"Eye{suffix}", over=everything)
        inner = canvas.ellipsoid(centre, (eye_radius - 1.0,) * 3, 0.15)
        canvas.paint(inner, "vitreous", over=("ligament",))
        lens = canvas.ellipsoid(centre + np.array((gaze[0], -8.2, gaze[1])), (4.6, 2.0, 4.6), 0.05)
        canvas.paint(lens, "lens", over=("vitreous", "ligament"))
        apex = np.array((side * 17.0, -24.0, 0.0))
        for dx, dz in ((side * 11, 0), (-side * 10, 0), (0, 10), (0, -10)):
            start = centre + np.array((dx, 6, dz))
            muscle = [start, (start + apex) / 2 + np.array((dx, 0, dz)) * 0.28, apex]
            canvas.paint(canvas.tube(muscle, (1.4, 2.4, 1.5), 0.2), "muscle", over=over)
        nerve = [
            centre + np.array((0, eye_radius, 0)),
            apex + np.array((-side, -4, 0)),
            (side * 9, -10, 5),
        ]
        canvas.paint(canvas.tube(nerve, 3.0, 0.1), "CSF", over=(*over, "cortical bone", "marrow"))
        width = rng.normal(2.0, 0.15)
        core = canvas.tube(nerve, width, 0.1)
        path = ("fat", "muscle", "CSF", "cortical bone", "marrow", "mucosa", "air", "ligament")
        canvas.paint(core, "nerve", f"OpticNrv{suffix}", over=path)
        tract = canvas.tube([(side * 9, -10, 5), (0, -3, 7), (side * 12, 8, 8)], 2.2, 0.1)
        canvas.paint(tract, "nerve", over=("CSF", "fat", "cortical bone", "marrow"))
        lacrimal = canvas.ellipsoid((side * 40, -58, 8), _jitter(rng, (3, 6, 5), 0.1), 0.3)
        canvas.paint(lacrimal, "gland", over=over)
    canvas.paint(
        canvas.ellipsoid((0, 0, -1), (6, 5, 3.5), 0.3),
        "gland",
        over=("fat", "muscle", "CSF", "cortical bone", "marrow", "white matter", "grey matter"),
    )


def build_head(
    rng: np.random.Generator,
    shape: tuple[int, int, int] = SHAPE,
    origin: tuple[float, float, float] = ORIGIN,
) -> tuple[Anatomy, np.ndarray]:
    """A healthy procedural head on a 1 mm grid of ``shape`` whose first voxel is ``origin``.

    Returns the anatomy and the head coordinates (3, slices, rows, columns) of its voxels.
    Deterministic for the state of ``rng``.
    """
    matrix = np.eye(4)
    matrix[:3, 3] = origin
    coordinates = head_coordinates(matrix, shape, rng)
    roughness = 0.6 * smooth_noise(shape, 7, rng) + 0.5 * smooth_noise(shape, 3, rng)
    tissue = np.zeros(shape, np.uint8)
    structures = np.zeros(shape, np.uint16)
    canvas = Canvas(tissue, structures, coordinates, roughness)
    skin = _outline(canvas, rng)
    fatness = rng.uniform(0.5, 1.8)
    z = coordinates[2]
    subcutaneous = fatness * np.where(z > 20, 3.0, 5.5) + 1.8
    tissue[skin < 0] = TISSUE_INDEX["skin"]
    tissue[skin < -1.8] = TISSUE_INDEX["fat"]
    deep = skin < -subcutaneous - 1.0
    tissue[deep & (smooth_noise(shape, 16, rng) > -0.35)] = TISSUE_INDEX["muscle"]
    fascia = smooth_noise(shape, 20, rng)
    paint_soft_tissue(canvas, fascia, rng)
    _paint_brain(canvas, rng)
    _paint_skull_base_and_spine(canvas, rng)
    _paint_face(canvas, rng)
    for side, _ in _sides(rng):
        ear = canvas.ellipsoid((side * 74, 24, -16), _jitter(rng, (8, 13, 25), 0.1), 1.6)
        canvas.paint(ear, "skin", over=("air",))
    structures[(tissue == TISSUE_INDEX["air"])] = 0
    return Anatomy(tissue, structures, matrix, description={"source": "procedural"}), coordinates
