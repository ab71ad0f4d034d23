"""The brain of the procedural head: folded cortex, deep nuclei, ventricles, cerebellum.

Sulci are sheets of CSF that reach inwards from the surface; cortex of even thickness lines
the outer surface, the sulci and the great fissures, and white matter is what remains. Sizes
are typical of adults (cortex 2-4 mm: Fischl & Dale, PNAS 2000).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .anatomy import Canvas, bit, jitter, sides, smooth_noise
from .fields import cut, distance_to_zero, ellipsoid, folds, union, upsample
from .lobes import HINDMOST_MM, REACH_MM, TEMPORAL, above_sylvian
from .tissues import TISSUE_INDEX

_FOLD_STEP = 3
_SURFACE_STEP = 3

CEREBRUM = ((0, 16, 30), (65, 85, 60))
CEREBELLUM = ((0, 50, -23), (52, 32, 31))


@dataclass
class Cranium:
    """The inside of the skull: part of the grid and distances there (mm, negative inside).

    box: index box; x, y, z: head coordinates in it; cerebrum, cerebellum: pial surfaces
    without sulci; temporal: both temporal lobes; inner: inner table of the skull.
    """

    box: tuple[slice, slice, slice]
    x: np.ndarray
    y: np.ndarray
    z: np.ndarray
    cerebrum: np.ndarray
    temporal: np.ndarray
    cerebellum: np.ndarray
    inner: np.ndarray


def tentorium(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Height (z, mm) of the tentorium: a tent whose ridge falls backwards."""
    return np.maximum(12.0 - 0.42 * (y - 45.0) - 0.32 * np.abs(x), -15.0)


def shape_cranium(canvas: Canvas, rng: np.random.Generator) -> Cranium | None:
    """Draw the size and shape of this head's brain; None if it lies outside the grid."""
    box = canvas.box((-82, -84, -68), (82, 118, 104))
    if box is None:
        return None
    step = _SURFACE_STEP
    region = canvas.coordinates[(slice(None), *box)]
    coarse = np.ascontiguousarray(region[:, ::step, ::step, ::step])
    x, y, z = coarse
    # the brain is egg-shaped: narrower in front
    egg = coarse.copy()
    egg[0] *= 1 + 0.0015 * np.maximum(10 - y, 0)
    centre, radii = CEREBRUM
    cerebrum = ellipsoid(egg, centre, jitter(rng, radii, 0.015))
    front = np.interp(y, (-60, -20, -5, 25), (16, 11, 5, -2)).astype(np.float32)
    weight = np.clip((y - 25) / 20, 0, 1)
    floor = front * (1 - weight) + tentorium(x, y) * weight
    cerebrum = cut(cerebrum, floor - z, 3)
    temporal = None
    for side, _ in sides():
        (cx, cy, cz), radii = TEMPORAL
        lobe = ellipsoid(coarse, (side * cx, cy, cz), jitter(rng, radii, 0.04))
        lobe = cut(lobe, 18 - side * x, 5)
        temporal = lobe if temporal is None else np.minimum(temporal, lobe)
    cerebrum = union(cerebrum, temporal, 4)
    centre, radii = CEREBELLUM
    cerebellum = ellipsoid(coarse, centre, jitter(rng, radii, 0.03))
    cerebellum = cut(cerebellum, z - tentorium(x, y) + 2.2, 2)
    notch = ellipsoid(coarse, (0, 82, -36), (5, 13, 22))
    cerebellum = cut(cerebellum, -notch, 4)
    fluid = rng.uniform(0.7, 2.0) * (0.45 + 0.55 * np.clip((z + 30) / 50, 0, 1))
    inner = union(cerebrum - fluid, cerebellum - 2.0, 4)
    inner = union(inner, ellipsoid(coarse, (0, 46, -15), (54, 37, 26)), 6)
    inner = union(inner, ellipsoid(coarse, (0, 27, -26), (21, 19, 26)), 4)
    inner = union(inner, ellipsoid(coarse, (0, -2, 6), (19, 15, 9)), 5)
    shape = region.shape[1:]
    fine = [upsample(field, step, shape) for field in (cerebrum, temporal, cerebellum, inner)]
    return Cranium(box, *region, *fine)


def paint_brain(canvas: Canvas, cranium: Cranium, rng: np.random.Generator) -> None:
    """Everything inside the inner table, CSF and venous sinuses included."""
    tissue, structures = canvas.tissue[cranium.box], canvas.structures[cranium.box]
    tissue[cranium.inner < 0] = TISSUE_INDEX["CSF"]
    _paint_cerebrum(tissue, structures, cranium, canvas.roughness[cranium.box], rng)
    _paint_ventricles_and_nuclei(canvas, rng)
    _paint_cerebellum(tissue, structures, cranium, canvas.roughness[cranium.box], rng)
    _paint_brainstem(canvas, rng)
    _paint_meninges(tissue, cranium, rng)


def _commissural(y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Below 1 in the sagittal oval of corpus callosum, septum and thalami."""
    return np.sqrt(((y - 5) / 38) ** 2 + ((z - 16) / 23) ** 2)


def _sulci(cranium: Cranium, depth: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Distance to the nearest sulcal sheet; sheets end at their own depths."""
    step = _FOLD_STEP
    points = np.stack([a[::step, ::step, ::step] for a in (cranium.x, cranium.y, cranium.z)])
    points += np.stack([2.6 * smooth_noise(points.shape[1:], 18, rng, step) for _ in range(3)])
    temporal = cranium.temporal[::step, ::step, ::step]
    wavelength = rng.normal(21.0, 1.0)
    field = np.zeros(points.shape[1:], np.float32)
    for side, _ in sides():
        half = points[0] * side > 0
        centre, radii = (side * 30, 16, 30), (36, 85, 58)
        hemisphere = folds(points, centre, radii, wavelength, rng)
        (cx, cy, cz), radii = TEMPORAL
        lobe = folds(points, (side * cx, cy, cz), radii, 0.9 * wavelength, rng)
        field = np.where(half, np.where(temporal < 1, lobe, hemisphere), field)
    shape = depth.shape
    # enlarged with its sign: the absolute value would never come down to zero
    sheet = upsample(distance_to_zero(field, step), step, shape)
    reach = upsample(smooth_noise(points.shape[1:], 24, rng, step), step, shape)
    reach = np.clip(14.5 + 3.5 * reach, 7.0, 22.0)
    return np.sqrt(sheet**2 + np.maximum(depth - reach, 0) ** 2)


def _paint_cerebrum(tissue, structures, cranium: Cranium, roughness, rng) -> None:
    x, y, z = cranium.x, cranium.y, cranium.z
    outer = -cranium.cerebrum - 0.4 * roughness
    atrophy = rng.uniform(0.5, 1.25)
    # the longitudinal fissure, closed where the commissures cross
    inside = np.maximum(1 - _commissural(y, z), 0) * 24
    falx = np.abs(x + 0.8 * roughness)
    middle = np.sqrt(falx**2 + inside**2 + np.maximum(6 - z, 0) ** 2 * (y > -12))
    # the Sylvian fissure with the insula at its bottom
    away = np.abs(x)
    rise = above_sylvian(y, z)
    outside = np.maximum(np.maximum(-24 - y, y - 46), 0)
    sylvian = np.sqrt(rise**2 + np.maximum(37 - away, 0) ** 2 + outside**2)
    outside = np.maximum(np.maximum(-16 - y, y - 24), 0)
    beyond = np.maximum(np.abs(rise - 3) - 8, 0)
    bulge = away - 39 + 0.035 * (rise - 2) ** 2 + 0.8 * roughness
    insula = np.sqrt(bulge**2 + beyond**2 + outside**2)
    fissures = np.minimum(sylvian, insula) - 0.8 * atrophy
    # sulci reach in from the convexity and the medial wall, hardly from the insula
    depth = np.minimum(outer, np.maximum(np.minimum(middle - 0.75, fissures + 9.0), 0))
    fissures = np.minimum(fissures, middle - 0.75)
    width = atrophy * (0.32 + 1.4 * np.exp(-np.maximum(depth, 0) / 2.4))
    pial = np.minimum(outer, _sulci(cranium, depth, rng) - width)
    pial = np.minimum(pial, fissures)
    cerebrum = outer > 0
    ribbon = rng.normal(2.9, 0.15) * (1 + 0.12 * roughness)
    tissue[cerebrum] = TISSUE_INDEX["CSF"]
    tissue[cerebrum & (pial > 0)] = TISSUE_INDEX["grey matter"]
    tissue[cerebrum & (pial > ribbon)] = TISSUE_INDEX["white matter"]
    oval = _commissural(y, z)
    callosum = (np.abs(x) < 13) & (oval < 1.0) & (oval > 0.79) & (z > 8) & cerebrum
    tissue[callosum] = TISSUE_INDEX["white matter"]
    structures[cerebrum] |= bit("Brain")
    lobe = cerebrum & (cranium.temporal < REACH_MM) & (rise < 1.0) & (y < HINDMOST_MM)
    for side, suffix in sides():
        structures[lobe & (side * x > 0)] |= bit(f"Lobe_Temporal{suffix}")


def _paint_ventricles_and_nuclei(canvas: Canvas, rng: np.random.Generator) -> None:
    brain = ("white matter", "grey matter", "deep grey matter", "CSF")
    swell = float(np.exp(rng.normal(0.0, 0.28)))
    for side, suffix in sides():
        s = side
        own = swell * float(np.exp(rng.normal(0.0, 0.08)))

        def grey(centre, radii, tissue="deep grey matter", s=side):
            centre = (s * centre[0], *centre[1:])
            shape = canvas.ellipsoid(centre, jitter(rng, radii, 0.05), 0.35)
            canvas.paint(shape, tissue, over=brain)

        grey((14, -21, 22), (5.5, 8.5, 8))  # head of the caudate nucleus
        tail = canvas.tube([(s * 15, -16, 27), (s * 18, 6, 33), (s * 24, 30, 29)], (4.5, 3, 1.8))
        canvas.paint(tail, "deep grey matter", over=("white matter",))
        grey((26, -4, 15), (4.6, 17, 10.5))  # putamen
        pallidum = canvas.ellipsoid((s * 20.5, -2, 13), jitter(rng, (3.6, 10, 6), 0.05), 1.6)
        canvas.paint(pallidum, "deep grey matter", over=("white matter",))
        grey((9.5, 17, 20), (8, 13.5, 9))  # thalamus
        medial = canvas.ellipsoid((s * 12, 16, 19), (4, 9, 4.5), 3.0)
        canvas.paint(medial, "white matter", over=("deep grey matter",))
        horn = [(6, -33, 19), (7, -22, 26), (8.5, -2, 31), (13, 18, 31), (21, 34, 25), (26, 43, 16)]
        horn = [(s * px, py, pz) for px, py, pz in horn]
        wide = np.array((2.5, 5.0, 5.2, 5.0, 5.5, 6.0)) * own
        thin = np.array((1.5, 2.4, 2.6, 2.8, 4.0, 5.0)) * own
        canvas.paint(canvas.strap(horn, wide, thin, (s * 0.8, 0, 0.6), 0.3), "CSF", over=brain)
        occipital = [(s * 25, 44, 16), (s * 25, 60, 13), (s * 21, 72, 12)]
        canvas.paint(canvas.tube(occipital, np.array((5, 3, 0.8)) * own, 0.5), "CSF", over=brain)
        temporal = [(s * 27, 42, 14), (s * 33, 30, 4), (s * 33, 14, -3), (s * 30, -1, -7)]
        shape = canvas.strap(temporal, np.array((5, 3, 2.6, 2)) * own, (3, 1.5, 1, 1), (1, 0, 0))
        canvas.paint(shape, "CSF", over=brain)
        hippocampus = [(s * 22, -2, -6), (s * 26, 8, -5), (s * 27, 20, 1), (s * 20, 32, 10)]
        radii = jitter(rng, 1.15, 0.04) * np.array((4.9, 4.7, 3.9, 2.6))
        shape = canvas.tube(hippocampus, radii, 0.3, (1.25, 1, 0.95))
        canvas.paint(shape, "grey matter", f"Hippocampus{suffix}", over=brain)
        grey((21, -9, -5), (7, 6, 6.5), "grey matter")  # amygdala
    septum = canvas.superellipsoid((0, -8, 25), (0.7, 22, 8), 3, 0.2)
    canvas.paint(septum, "white matter", over=("CSF", "grey matter", "deep grey matter"))
    third = canvas.superellipsoid((0, 11, 14), (1.7 * swell, 14, 9), 2.5, 0.3)
    canvas.paint(third, "CSF", over=brain)
    pineal = canvas.ellipsoid((0, 34, 14), (2.5, 4, 2.5), 0.2)
    canvas.paint(canvas.ellipsoid((0, 38, 13), (9, 8, 7), 0.5), "CSF", over=brain)
    canvas.paint(pineal, "gland", over=("CSF",))


def _paint_cerebellum(tissue, structures, cranium: Cranium, roughness, rng) -> None:
    """Folia as leaves of a fan about the fourth ventricle, deeper between the lobules."""
    mask = (cranium.cerebellum + 0.3 * roughness < 0) & (cranium.inner < -0.5)
    if not mask.any():
        return
    x, y, z = (a[mask] for a in (cranium.x, cranium.y, cranium.z))
    depth = -cranium.cerebellum[mask]
    shape = mask.shape
    step = 4
    coarse = tuple(len(range(0, n, step)) for n in shape)
    wave = upsample(smooth_noise(coarse, 20, rng, step), step, shape)[mask]
    away = np.sqrt((y - 28) ** 2 + (0.62 * x) ** 2)
    angle = np.arctan2(z + 22, np.maximum(away, 4.0))
    leaves = rng.normal(9.5, 0.5)
    # in the hemispheres the leaves also curve about the brainstem
    arc = (0.75 * np.sqrt((y - 22) ** 2 + (0.8 * x) ** 2) - 0.65 * z) / rng.normal(3.9, 0.2)
    share = np.clip((np.abs(x) - 6) / 9, 0.4, 1)
    phase = 2 * np.pi * (leaves * angle * (1 - share) + arc * share) + 1.2 * wave
    fine = np.cos(phase)
    lobule = np.cos(phase / 4 + 2.0 * wave)
    fissure = ((fine > 0.88) & (depth < 7)) | ((lobule > 0.96) & (depth < 11))
    leaf = (fine < -0.15 - 0.5 * np.exp(-(depth - 2.5) / 3)) & (depth > 2.5)
    vermis = np.abs(x) < 6
    core = (depth > 11.5 + 2.5 * wave) & (away < 32) & ~vermis
    values = np.full(len(x), TISSUE_INDEX["grey matter"], np.uint8)
    values[leaf] = TISSUE_INDEX["white matter"]
    values[fissure] = TISSUE_INDEX["CSF"]
    values[core] = TISSUE_INDEX["white matter"]
    dentate = (
        np.abs(np.sqrt((np.abs(x) - 15) ** 2 + (0.8 * (y - 45)) ** 2 + (z + 24) ** 2) - 6.5) < 0.9
    )
    values[core & dentate] = TISSUE_INDEX["deep grey matter"]
    tissue[mask] = values
    structures[mask] |= bit("Brain")


def _paint_brainstem(canvas: Canvas, rng: np.random.Generator) -> None:
    inside = ("CSF", "white matter", "grey matter", "deep grey matter")
    size = rng.normal(1.0, 0.03)
    # around it the cistern; below, the upper end of the spinal canal
    cistern = canvas.tube([(0, 25, -20), (0, 29, -36), (0, 34, -54)], (18, 13.5, 11), 0.4)
    canvas.paint(cistern, "CSF", over=("cortical bone", "marrow", "fat", "muscle"))
    for side, _ in sides():
        arm = [(side * 10, 24, -18), (side * 20, 34, -21), (side * 24, 42, -22)]
        peduncle = canvas.strap(arm, (8, 7, 6), (6, 5, 5), (0, 0, 1), 0.4)
        canvas.paint(peduncle, "white matter", over=inside)
    fourth = [(0, 38, -6), (0, 39, -20), (0, 39, -30), (0, 38, -40)]
    shape = canvas.strap(fourth, (1.2, 7, 6, 1.5), (1.2, 3.5, 3, 1.2), (1, 0, 0), 0.3)
    canvas.paint(shape, "CSF", over=inside)
    pons = canvas.superellipsoid((0, 20, -17), size * np.array((16.5, 11, 14)), 2.4, 0.2)
    back = canvas.superellipsoid((0, 29, -14), size * np.array((12, 9, 15)), 2.4, 0.2)
    medulla = canvas.tube(
        [(0, 26, -27), (0, 30, -40), (0, 34, -52)],
        size * np.array((9.2, 8.2, 6.2)),
        0.15,
        (1.12, 0.95, 1),
    )
    midbrain = canvas.superellipsoid((0, 25, 3), size * np.array((13, 10, 8.5)), 2.3, 0.2)
    stem = [pons, back, medulla, midbrain]
    for side, _ in sides():
        foot = [(side * 7, 15, -5), (side * 11, 14, 3), (side * 16, 11, 12)]
        stem.append(canvas.tube(foot, size * np.array((5.5, 6, 5)), 0.2))
    for part in stem:
        if part is None:
            continue
        box, distance = part
        inner = box, np.maximum(distance, canvas.coordinates[2][box] - 12.0)
        canvas.paint(inner, "white matter", "Brainstem", over=inside)
        canvas.paint(inner, None, "Brain")
    aqueduct = canvas.tube([(0, 30, 8), (0, 34, -2), (0, 39, -10)], (1.3, 1.2, 2.0), 0.1)
    canvas.paint(aqueduct, "CSF", over=inside)
    for side, _ in sides():
        for centre, radii in (((6.5, 19, 3), (4, 1.4, 3)), ((4, 25, 4), (2.5, 2.5, 3))):
            nucleus = canvas.ellipsoid((side * centre[0], *centre[1:]), radii, 0.4)
            canvas.paint(nucleus, "deep grey matter", over=("white matter",))
    basis = canvas.superellipsoid((0, 16, -17), (10, 6, 9), 2.4, 2.5)
    canvas.paint(basis, "grey matter", over=("white matter",))


def _paint_meninges(tissue, cranium: Cranium, rng: np.random.Generator) -> None:
    """Falx, tentorium, dura in places, and the venous sinuses of the dura."""
    x, y, z, inner = cranium.x, cranium.y, cranium.z, cranium.inner
    fluid = tissue == TISSUE_INDEX["CSF"]
    oval = _commissural(y, z)
    falx = fluid & (np.abs(x) < 0.6) & (z > 8) & (oval > 1.35)
    tent = np.abs(z - tentorium(x, y) + 1.2) < 0.7
    tent &= fluid & (y > 38) & (np.abs(x) > 7)
    tissue[falx | tent] = TISSUE_INDEX["meninges"]
    near = (inner > -7) & (inner < 0.5)
    size = rng.uniform(0.8, 1.15)
    sagittal = (
        near & (np.abs(x) < size * (4.6 + 0.6 * inner)) & (z > 18 - 0.25 * (y + 60)) & (y > -66)
    )
    transverse = near & (inner > -5) & (y > 46) & (np.abs(x) > 4)
    side = rng.choice((-1.0, 1.0))
    breadth = np.where(x * side > 0, 3.4, 2.2) * size
    transverse &= np.abs(z - tentorium(x, y) + 1.0) < breadth
    tissue[sagittal | transverse] = TISSUE_INDEX["vein"]
