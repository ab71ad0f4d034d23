"""Soft tissue of a labelled head: what its map calls by one name becomes fat, muscle, glands.

The level and the place of fat decide how a face looks on MR. Fat lies under the skin, as thick
as this person is fat, and in planes between muscles; deeper, muscles press against each other.
Muscles are those of the atlas where it has them, else those of :mod:`muscles`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy import ndimage

from .anatomy import Canvas, bit, jitter, sides, smooth_noise
from .fields import upsample
from .muscles import FILLABLE, MUSCLES, Muscle, fibres, paint_fascia
from .nodes import paint_nodes
from .soft_tissue import paint_fat_spaces, paint_glands, paint_vessels
from .tissues import TISSUE_INDEX

FACE_MUSCLES = (
    "zygomaticus",
    "buccinator",
    "depressor anguli oris",
    "orbicularis oculi",
    "orbicularis oris",
    "levator labii",
    "mentalis",
)
"""Muscles that lie in the fat under the skin, not below it."""

THROAT_MUSCLES = (
    "levator veli palatini",
    "tensor veli palatini",
    "stylopharyngeus",
    "styloglossus",
    "stylohyoid",
)

NAPE_MUSCLES = (
    "multifidus",
    "semispinalis cervicis",
    "semispinalis capitis",
    "rectus capitis posterior",
    "obliquus capitis superior",
    "splenius",
    "longissimus",
    "trapezius",
    "levator scapulae",
    "temporalis",
)
"""Muscles that fill the whole room between bone and the fat under the skin."""

_X, _Z = (1, 0, 0), (0, 0, 1)

MOUTH: tuple[Muscle, ...] = (
    Muscle("tongue", ((9, -60, -76), (10, -42, -72), (10, -24, -78)),
           (12, 18, 17), (8, 10, 10), _Z, 2.5),
    Muscle("geniohyoid", ((4, -62, -94), (4.5, -30, -101)), (4.5, 4.5), (3.5, 3.5), _X, 1),
    Muscle("soft palate", ((4, -24, -51), (4, -14, -53), (4, -8, -62)),
           (6, 7, 5), (2, 2.4, 2), _X, 1),
    Muscle("orbicularis oris", ((1, -82, -56), (14, -78, -57), (21, -73, -64), (14, -77, -72),
                                (1, -80, -74)),
           (5, 6, 5, 6, 5), (2.2, 2.4, 2.6, 2.4, 2.2), _Z),
    Muscle("levator labii", ((22, -72, -16), (20, -79, -36), (16, -82, -52)),
           (5, 6, 5), (1.4, 1.6, 1.5), _X),
    Muscle("mentalis", ((5, -74, -84), (5, -77, -97)), (5, 5), (2.5, 2.5), _X),
)  # fmt: skip
"""What :mod:`muscles` leaves to the procedural mouth."""

_FAR_MM = 12.0
_NAPE_ROOM_MM = 5.0
_SAME_VESSEL_MM = 7.0
_STEP = 4
_CORTEX, _MARROW = TISSUE_INDEX["cortical bone"], TISSUE_INDEX["marrow"]


@dataclass
class Surroundings:
    """What is known of the voxels that are filled; arrays (slices, rows, columns).

    soft: bool, to be filled; depth: float32 mm below the skin (0 outside); atlas: its labels
    here, int16, or None; mapping: that of the atlas; names: label of the atlas -> TG-263 name.
    """

    soft: np.ndarray
    depth: np.ndarray
    atlas: np.ndarray | None = None
    mapping: dict = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)


def fill_soft_tissue(canvas: Canvas, around: Surroundings, rng: np.random.Generator) -> None:
    """Paint fat, skin, muscles, glands, vessels and mucosa into ``around.soft``."""
    shape = canvas.tissue.shape
    fatness = float(np.exp(np.clip(rng.normal(-0.15, 0.45), -1.0, 0.9)))
    canvas.tissue[around.soft] = TISSUE_INDEX["fat"]
    if around.atlas is not None:
        _join_mandible(canvas, around)
    canvas.only = around.soft
    bed = around.depth > _subcutaneous_mm(canvas, fatness, rng)
    _paint_muscles(canvas, around, bed, fatness, rng)
    paint_fascia(canvas, fibres(shape, rng), rng)
    paint_fat_spaces(canvas, rng)
    if around.atlas is None:
        paint_glands(canvas, rng)
        paint_vessels(canvas, rng)
    else:
        _paint_submandibular(canvas, rng)
        _paint_atlas_organs(canvas, around, rng)
    paint_nodes(canvas, rng)
    _line_airway(canvas, around, rng)
    skin = around.soft & (around.depth <= rng.uniform(1.3, 2.2))
    canvas.tissue[skin] = TISSUE_INDEX["skin"]
    canvas.structures[skin] = 0
    canvas.only = None


def _join_mandible(canvas: Canvas, around: Surroundings) -> None:
    """Name the head's own bone where the atlas's mandible lies, and close its cortex.

    Bone nearer to the atlas's skull than to its mandible stays skull. Voxels that become
    bone are no longer soft.
    """
    labels = [label for label, name in around.names.items() if name == "Bone_Mandible"]
    bones = _labels_of(around.mapping, ("cortical bone", "marrow"))
    for label in labels:
        found = label_distance(around.atlas, label, 12)
        if found is None:
            continue
        box, distance = found
        tissue, soft = canvas.tissue[box], around.soft[box]
        others = np.isin(around.atlas[box][::2, ::2, ::2], [b for b in bones if b not in labels])
        apart = 2 * ndimage.distance_transform_edt(~others) if others.any() else None
        near = distance < 4.5
        if apart is not None:
            near &= distance < upsample(apart.astype(np.float32), 2, distance.shape)
        own = near & ((tissue == _CORTEX) | (tissue == _MARROW))
        own = ndimage.binary_closing(own, iterations=2) & near
        beside = ndimage.binary_dilation(own, iterations=3)
        own |= near & soft & beside & (distance < -0.5)
        marrow = own & (tissue == _MARROW)
        own |= ndimage.binary_dilation(marrow, iterations=2) & (soft | (tissue == _CORTEX))
        tissue[own & ~marrow] = _CORTEX
        soft[own] = False
        canvas.structures[box][own] |= bit("Bone_Mandible")


def _paint_submandibular(canvas: Canvas, rng: np.random.Generator) -> None:
    """The one gland of :func:`paint_glands` that the atlas does not have."""
    copy = Canvas(
        canvas.tissue.copy(),
        np.zeros_like(canvas.structures),
        canvas.coordinates,
        canvas.roughness,
    )
    copy.only = canvas.only
    paint_glands(copy, rng)
    wanted = bit("Glnd_Submand_L") | bit("Glnd_Submand_R")
    gland = (copy.structures & wanted) != 0
    canvas.tissue[gland] = copy.tissue[gland]
    canvas.structures[gland] |= copy.structures[gland] & wanted


def _labels_of(mapping: dict, tissues: tuple[str, ...]) -> list[int]:
    return [label for name in tissues for label in mapping["tissues"].get(name, ())]


def _subcutaneous_mm(canvas: Canvas, fatness: float, rng: np.random.Generator) -> np.ndarray:
    """Depth below which muscle may lie, mm: thick at cheek, chin and nape, thin at the side."""
    x, y, z = canvas.coordinates[:, ::_STEP, ::_STEP, ::_STEP]

    def hill(cx, cy, cz, rx, ry, rz):
        return np.exp(
            -0.5 * (((np.abs(x) - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 + ((z - cz) / rz) ** 2)
        )

    under = 3.2 + 4.5 * hill(42, -58, -48, 20, 20, 24) + 3.5 * hill(0, -40, -112, 35, 25, 14)
    under += 3.0 * hill(0, 88, -95, 30, 28, 40) + 1.5 * hill(60, 0, -75, 14, 25, 22)
    under = np.maximum(under + 0.8 * smooth_noise(x.shape, 28, rng, _STEP), 1.5)
    return upsample((fatness * under + 1.5).astype(np.float32), _STEP, canvas.tissue.shape)


def _paint_muscles(
    canvas: Canvas, around: Surroundings, bed: np.ndarray, fatness: float, rng
) -> None:
    """Bellies of the atlas and of :data:`MUSCLES`; fat where two are about equally near."""
    frame = canvas.box((-95, -100, -185), (95, 110, 75))
    if frame is None:
        return
    size = tuple(part.stop - part.start for part in frame)
    nearest, second = (np.full(size, _FAR_MM, np.float32) for _ in range(2))
    face = np.zeros(size, bool)
    fullness = float(np.clip(rng.normal(1.4, 0.6) - 1.5 * np.log(fatness), -0.6, 3.5))
    for box, distance, facial in _bellies(canvas, around, fullness, rng):
        place = tuple(
            slice(p.start - f.start, p.stop - f.start) for p, f in zip(box, frame, strict=True)
        )
        # parts of a belly beyond the frame are none of its business
        inside = tuple(
            slice(max(-p.start, 0), min(n - p.start, p.stop - p.start))
            for p, n in zip(place, size, strict=True)
        )
        place = tuple(
            slice(max(p.start, 0), min(p.stop, n)) for p, n in zip(place, size, strict=True)
        )
        distance = distance[inside]
        first, other = nearest[place], second[place]
        if facial:
            face[place] |= distance < 0
        np.minimum(other, np.maximum(first, distance), out=other)
        np.minimum(first, distance, out=first)
    # fascia is nowhere of one thickness; thinner than a voxel it shows here and there
    width = 2 * rng.uniform(0.2, 0.6) * np.clip(1 + 0.9 * smooth_noise(size, 12, rng), 0, 2.4)
    plane = second - nearest < width
    where = (nearest < 0) & (bed[frame] | (face & (around.depth[frame] > 2.5)))
    where &= around.soft[frame]
    canvas.tissue[frame][where & ~plane] = TISSUE_INDEX["muscle"]


def _bellies(canvas: Canvas, around: Surroundings, fullness: float, rng):
    """(box, distance in mm, whether facial) of every muscle on both sides."""
    given = around.mapping.get("muscles", {})
    for name, labels in given.items():
        for label in labels:
            found = label_distance(around.atlas, label)
            if found is not None:
                box, distance = found
                room = fullness + 0.6 + (_NAPE_ROOM_MM if name in NAPE_MUSCLES else 0.0)
                distance += 0.5 * canvas.roughness[box] - np.float32(room)
                yield box, distance, name in FACE_MUSCLES
    for muscle in (*MUSCLES, *MOUTH):
        if muscle.name in given:
            continue
        bulk = rng.normal(1.0, 0.05)
        shift = rng.normal(0, 0.7, 3)
        room = 0.0 if muscle.name in (*FACE_MUSCLES, *THROAT_MUSCLES) else fullness
        if muscle.name in NAPE_MUSCLES:
            room += _NAPE_ROOM_MM
        for side, _ in sides():
            points = np.array(muscle.points, float) + shift + rng.normal(0, 0.5, 3)
            points[:, 0] *= side
            own = bulk * rng.normal(1.0, 0.04)
            shape = canvas.strap(
                points,
                own * np.array(muscle.width),
                own * np.array(muscle.thickness),
                (side * muscle.wide[0], *muscle.wide[1:]),
                0.4,
            )
            if shape is not None:
                box, distance = shape
                yield box, distance - np.float32(muscle.swell + room), muscle.name in FACE_MUSCLES


def label_distance(atlas: np.ndarray, label: int, margin: int = 8):
    """(box, signed distance in voxels) to one label, smoothed; None if it is not there.

    Measured on every other voxel: the atlas's own slices are coarser than that.
    """
    coarse = atlas[::2, ::2, ::2] == label
    found = ndimage.find_objects(coarse.astype(np.int8))
    if not found:
        return None
    half = tuple(
        slice(max(part.start - margin // 2, 0), min(part.stop + margin // 2, n))
        for part, n in zip(found[0], coarse.shape, strict=True)
    )
    mask = ndimage.gaussian_filter(coarse[half].astype(np.float32), 0.7) > 0.5
    if not mask.any():
        return None
    distance = ndimage.distance_transform_edt(~mask) - ndimage.distance_transform_edt(mask)
    distance = 2 * distance - np.sign(distance)  # from voxel centres to the surface between them
    box = tuple(
        slice(2 * part.start, min(2 * part.stop, n))
        for part, n in zip(half, atlas.shape, strict=True)
    )
    size = tuple(part.stop - part.start for part in box)
    return box, upsample(distance.astype(np.float32), 2, size)


def _paint_atlas_organs(canvas: Canvas, around: Surroundings, rng: np.random.Generator) -> None:
    """Glands with fat between their lobules, cartilages, vessels that the head lacks."""
    growth = {
        "cartilage": 0.0,
        "parotid gland": rng.normal(0.6, 0.5),
        "gland": rng.normal(0.4, 0.4),
    }
    fatty = rng.uniform(0.03, 0.14)
    for name, more in growth.items():
        for label in _labels_of(around.mapping, (name,)):
            found = label_distance(around.atlas, label)
            if found is None:
                continue
            box, distance = found
            distance = distance + 0.6 * canvas.roughness[box] - np.float32(more)
            canvas.paint((box, distance), name, around.names.get(label), over=FILLABLE)
            if name != "cartilage":
                seams = np.abs(smooth_noise(distance.shape, 5.5, rng)) < fatty
                canvas.paint((box, np.where(seams, distance, 1.0)), "fat", over=(name,))
    for name in ("vein", "artery"):
        index = TISSUE_INDEX[name]
        for label in _labels_of(around.mapping, (name,)):
            found = label_distance(around.atlas, label, 12)
            if found is None:
                continue
            box, distance = found
            # where the head's own map shows the vessel, it is there and not where the atlas has it
            own = (canvas.tissue[box] == index) & ~around.soft[box]
            if name == "vein":
                own = ndimage.binary_opening(own)  # specks are no jugular vein
            near = own & (distance < _SAME_VESSEL_MM)
            if label in around.names:
                canvas.structures[box][near] |= bit(around.names[label])
            seen = ndimage.binary_dilation(near.sum((1, 2)) >= 8, iterations=2)
            distance = distance + 0.2 * canvas.roughness[box]
            distance[seen] = _FAR_MM
            canvas.paint((box, distance - 1.2), "fat", over=("muscle",))
            over = (*FILLABLE, "parotid gland")
            canvas.paint((box, distance), name, around.names.get(label), over=over)


def _line_airway(canvas: Canvas, around: Surroundings, rng: np.random.Generator) -> None:
    """Mucosa of varying thickness on the airway, constrictor muscle and adenoids behind it."""
    box = canvas.box((-34, -62, -150), (34, 30, -14))
    if box is None:
        return
    x, y, z = canvas.coordinates[(slice(None), *box)]
    soft = around.soft[box]
    air = (canvas.tissue[box] == TISSUE_INDEX["air"]) & (around.depth[box] > 4)
    if not air.any():
        return
    away = ndimage.distance_transform_edt(~air).astype(np.float32)
    pattern = smooth_noise(air.shape, 14, rng)
    wall = float(np.clip(rng.gamma(6.0, 0.4), 1.3, 4.5)) * np.clip(1 + 0.25 * pattern, 0.5, 1.7)
    tissue = canvas.tissue[box]
    # the constrictors embrace the throat from the sides and behind; before it lies the tongue
    rows = np.arange(air.shape[1])[None, :]
    count = air.sum(2)
    middle = (rows * count).sum(1) / np.maximum(count.sum(1), 1)
    behind = rows >= middle[:, None] - 2
    throat = soft & (np.abs(x) < 30) & (z < -44) & behind[:, :, None]
    tissue[throat & (away <= wall + rng.uniform(1.8, 2.8))] = TISSUE_INDEX["muscle"]
    plane = throat & (away > wall + 2.6) & (away <= wall + 3.6) & (y > -2)
    tissue[plane] = TISSUE_INDEX["fat"]
    # gums and palate: what is left between the teeth and the tongue is no fat
    mouth = (x / 20) ** 2 + ((y + 44) / 20) ** 2 + 0.1 * canvas.roughness[box] < 1
    mouth &= (z < -42) & (z > -66) & (tissue == TISSUE_INDEX["fat"])
    lined = soft & ((away <= wall) | mouth)
    tissue[lined] = TISSUE_INDEX["mucosa"]
    adenoid = float(np.clip(rng.gamma(1.4, 1.1), 0, 6))
    roof = (y > -20) & (z > -52) & (np.abs(x) < 13)
    vault = ndimage.distance_transform_edt(air).astype(np.float32)
    grown = air & roof & (y > -14) & (vault <= adenoid * np.clip(1 + 0.4 * pattern, 0.2, 1.8))
    lymphoid = (lined & roof & (y > -8) & (adenoid > 1.5)) | grown
    if adenoid > 0.5:
        tissue[lymphoid] = TISSUE_INDEX["lymphoid tissue"]


def line_sinuses(canvas: Canvas, depth: np.ndarray, rng: np.random.Generator) -> None:
    """Mucosa on the bony walls of nose and sinuses, in some heads thick, in a few with fluid."""
    box = canvas.box((-48, -100, -50), (48, 10, 40))
    if box is None:
        return
    tissue = canvas.tissue[box]
    air = (tissue == TISSUE_INDEX["air"]) & (depth[box] > 4)
    if not air.any():
        return
    x, y, z = canvas.coordinates[(slice(None), *box)]
    inside = ndimage.distance_transform_edt(air).astype(np.float32)
    swollen = rng.gamma(1.5, 0.5)
    thickness = swollen * np.clip(1 + 0.6 * smooth_noise(air.shape, 16, rng), 0.1, 3)
    tissue[air & (inside <= thickness) & (y < -10)] = TISSUE_INDEX["mucosa"]
    for side, _ in sides():
        if rng.random() < 0.08:
            level = rng.uniform(-44, -22)
            pool = air & (side * x > 14) & (z < level) & (y < -20)
            tissue[pool & (tissue == TISSUE_INDEX["air"])] = TISSUE_INDEX["fluid"]


def paint_eyes(canvas: Canvas, eyes: np.ndarray, rng: np.random.Generator) -> tuple[str, ...]:
    """Sclera, lenses and lacrimal glands of globes that the map labels as one.

    Returns the structures that were drawn.
    """
    drawn = []
    box = ndimage.find_objects(eyes.astype(np.int8))
    if not box:
        return ()
    box = tuple(
        slice(max(part.start - 12, 0), min(part.stop + 12, n))
        for part, n in zip(box[0], eyes.shape, strict=True)
    )
    globe = eyes[box]
    tissue, x = canvas.tissue[box], canvas.coordinates[(0, *box)]
    for side, suffix in sides():
        own = globe & (side * x > 0)
        if np.count_nonzero(own) < 2000:  # cut by the field of view
            continue
        points = canvas.coordinates[(slice(None), *box)][:, own]
        centre = points.mean(1)
        away = np.sqrt(((points - centre[:, None]) ** 2).sum(0))
        radius = np.sqrt(5 / 3 * (away**2).mean())  # of a ball with this spread
        coat = tissue[own]
        coat[away > radius - 0.8] = TISSUE_INDEX["ligament"]
        tissue[own] = coat
        gaze = rng.normal(0, 0.08, 2)
        front = centre + radius * np.array((gaze[0], -0.72, gaze[1]))
        lens = canvas.ellipsoid(front, jitter(rng, (4.6, 2.1, 4.6), 0.05), 0.05)
        canvas.paint(lens, "lens", f"Lens{suffix}", over=("vitreous", "ligament"))
        gland = canvas.ellipsoid(
            centre + np.array((side * 11.5, 3.5, 8.5)), jitter(rng, (3, 7, 6), 0.08), 0.5
        )
        canvas.paint(gland, "gland", f"Glnd_Lacrimal{suffix}", over=("fat", "muscle"))
        for name in (f"Lens{suffix}", f"Glnd_Lacrimal{suffix}"):
            if (canvas.structures[box] & bit(name)).any():
                drawn.append(name)
    return tuple(drawn)


def mark_nasopharynx(canvas: Canvas, depth: np.ndarray) -> bool:
    """Name air and lining of the nasopharynx, from the choanae to the soft palate."""
    region = canvas.superellipsoid((0, -11, -37), (18, 15.5, 16.5), 3.0, 0.3)
    if region is None:
        return False
    box, distance = region
    lining = [TISSUE_INDEX[name] for name in ("air", "mucosa", "lymphoid tissue")]
    inside = (distance < 0) & (depth[box] > 4) & np.isin(canvas.tissue[box], lining)
    canvas.structures[box][inside] |= bit("Nasopharynx")
    return bool(np.count_nonzero(inside) > 500)
