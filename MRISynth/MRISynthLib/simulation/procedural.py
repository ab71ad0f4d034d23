"""A head and neck drawn from numbers alone, every case different.

Ships with the product and needs no data: shapes along the lines of anatomy, in head
coordinates, seen through a random deformation, with rough edges. The regions are drawn by
:mod:`brain`, :mod:`skull`, :mod:`face`, :mod:`pharynx`, :mod:`orbits` and :mod:`soft_tissue`.
"""

from __future__ import annotations

import numpy as np

from .anatomy import (
    LABELLED_STRUCTURES,
    STRUCTURE_DTYPE,
    Anatomy,
    Canvas,
    bit,
    jitter,
    sides,
    smooth_noise,
)
from .arteries import paint_intracranial_arteries
from .brain import Cranium, paint_brain, shape_cranium
from .deformation import random_head_coordinates
from .face import paint_face
from .fields import ellipsoid, union, upsample
from .muscles import fibres
from .orbits import paint_orbits
from .pharynx import paint_pharynx
from .skull import paint_skull_base, paint_spine, paint_vault
from .soft_tissue import paint_soft_tissue
from .tissues import TISSUE_INDEX

SHAPE = (282, 252, 216)
ORIGIN = (-107.5, -112.0, -168.0)
"""Default grid: 1 mm voxels, from the thyroid gland to above the vertex."""

_OUTLINE_STEP = 4


def _outline(canvas: Canvas, cranium: Cranium | None, rng: np.random.Generator) -> np.ndarray:
    """Distance to the skin (negative inside): scalp, face, jaw, neck and nose."""
    step = _OUTLINE_STEP
    points = np.ascontiguousarray(canvas.coordinates[:, ::step, ::step, ::step])
    x, y, z = points
    head = ellipsoid(points, (0, -18, -30), (66, 63, 66))
    head = union(head, ellipsoid(points, (0, 30, -20), (70, 66, 52)), 18)
    head = union(head, ellipsoid(points, (0, 2, -56), (67, 44, 42)), 14)
    head = union(head, ellipsoid(points, (0, -27, -82), (58, 50, 33)), 16)
    width, depth = jitter(rng, (58, 57), 0.04)
    lower = np.maximum(-138 - z, 0)
    width = width + 0.05 * lower**1.7
    neck = (np.sqrt((x / width) ** 2 + ((y - 33) / depth) ** 2) - 1) * depth
    neck = np.maximum(neck, z + 60)
    head = union(head, neck, 20)
    for side, _ in sides():
        head = union(head, ellipsoid(points, (side * 32, -62, 2), (17, 15, 14)), 8)
    nose = (((-77, -10), (9, 12, 17)), ((-78, -29), (17, 12, 12)), ((-91, -31), (9, 11, 9)))
    for centre, radii in nose:
        head = union(head, ellipsoid(points, (0, *centre), radii), 7)
    head = union(head, ellipsoid(points, (0, -48, 17), (52, 29, 14)), 10)
    head = union(head, ellipsoid(points, (0, -76, -64), (24, 11, 12)), 12)
    head = union(head, ellipsoid(points, (0, -68, -98), (20, 11, 13)), 14)
    head = upsample(head, step, canvas.tissue.shape)
    if cranium is not None:
        # the scalp lies upon the vault
        scalp = cranium.inner - float(9.6 + rng.uniform(0, 2.6))
        head[cranium.box] = union(head[cranium.box], scalp, 16)
    return head + 0.5 * canvas.roughness


def _paint_covering(canvas: Canvas, skin: np.ndarray, rng: np.random.Generator) -> None:
    """Skin, subcutaneous fat with septa, platysma; everything deeper is fat to paint on."""
    tissue = canvas.tissue
    tissue[skin < 0] = TISSUE_INDEX["fat"]
    thickness = rng.uniform(1.4, 2.2)
    z, y = canvas.coordinates[2], canvas.coordinates[1]
    fatness = rng.uniform(0.6, 1.6)
    depth = thickness + fatness * 3.0
    sheet = (np.abs(skin + depth) < 0.75) & (z < -78) & (z > -170) & (y < 20)
    tissue[sheet] = TISSUE_INDEX["muscle"]
    tissue[(skin < 0) & (skin > -thickness)] = TISSUE_INDEX["skin"]


def _paint_ears(canvas: Canvas, rng: np.random.Generator) -> None:
    """Auricles: a curved plate of cartilage under skin, standing off the head."""
    for side, _ in sides():
        s = side
        off = rng.uniform(0, 5)
        plate = [(s * 70, 16, -42), (s * (75 + off), 27, -24), (s * 74, 25, -2)]
        shape = canvas.strap(plate, jitter(rng, (7, 13, 10), 0.08), 2.6, (s * 0.45, 1, 0), 1.0)
        canvas.paint(shape, "skin", over=("air",))
        core = canvas.strap(plate[1:], (9, 6), 0.9, (s * 0.45, 1, 0), 0.6)
        canvas.paint(core, "cartilage", over=("skin",))
        lobe = canvas.ellipsoid((s * 70, 17, -46), (3, 5, 6), 0.6)
        canvas.paint(lobe, "fat", over=("skin", "air"))
        bowl = canvas.ellipsoid((s * 80, 18, -24), (5, 5, 7), 0.5)
        canvas.paint(bowl, "air", over=("skin", "cartilage"))


_BONY = ("cortical bone", "marrow", "tooth")
_NEURAL = ("white matter", "grey matter", "deep grey matter", "CSF", "meninges")
_NEVER: dict[str, tuple[str, ...]] = {
    "Brain": ("air", "muscle", "fat", "mucosa", *_BONY),
    "Lobe_Temporal": ("air", "muscle", "fat", "mucosa", *_BONY),
    "Glnd_Submand": _BONY,
    "Parotid": _BONY,
    "Musc_Constrict": ("air", "fat", "cartilage", "mucosa", *_BONY),
    "Joint_TM": _NEURAL,
    "A_Carotid": (*_BONY, *_NEURAL),
}
"""Structure -> tissues that were painted over it later and do not belong to it."""


def _clear_labels(canvas: Canvas) -> None:
    """Take away what later tissues have covered; the cord ends where the brainstem begins."""
    structures = canvas.structures
    for name, tissues in _NEVER.items():
        wrong = np.zeros(256, bool)
        wrong[[TISSUE_INDEX[tissue] for tissue in tissues]] = True
        names = [name] if name in LABELLED_STRUCTURES else [f"{name}_L", f"{name}_R"]
        bits = STRUCTURE_DTYPE(sum(int(bit(each)) for each in names))
        structures[((structures & bits) != 0) & wrong[canvas.tissue]] &= ~bits
    structures[(structures & bit("Brainstem")) != 0] &= ~bit("SpinalCord")


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
    coordinates = random_head_coordinates(matrix, shape, rng)
    roughness = 0.6 * smooth_noise(shape, 7, rng) + 0.5 * smooth_noise(shape, 3, rng)
    tissue = np.zeros(shape, np.uint8)
    structures = np.zeros(shape, STRUCTURE_DTYPE)
    canvas = Canvas(tissue, structures, coordinates, roughness)
    cranium = shape_cranium(canvas, rng)
    _paint_covering(canvas, _outline(canvas, cranium, rng), rng)
    paint_soft_tissue(canvas, fibres(shape, rng), rng)
    if cranium is not None:
        paint_vault(canvas, cranium, rng)
        paint_brain(canvas, cranium, rng)
    paint_skull_base(canvas, rng)
    paint_spine(canvas, rng)
    paint_face(canvas, rng)
    paint_pharynx(canvas, rng)
    paint_orbits(canvas, rng)
    paint_intracranial_arteries(canvas, rng)
    _paint_ears(canvas, rng)
    _clear_labels(canvas)
    return Anatomy(tissue, structures, matrix, description={"source": "procedural"}), coordinates
