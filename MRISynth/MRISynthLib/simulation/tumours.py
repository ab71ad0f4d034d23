"""Nasopharyngeal carcinoma grown into a head, by T stage of the AJCC (8th edition).

T1 stays in the nasopharynx, T2 reaches the parapharyngeal space, T3 the skull base or the
sinuses, T4 the intracranial space, the orbit or the hypopharynx. The tumour starts in the
fossa of Rosenmueller, follows routes of spread and takes the tissues that resist it least;
its border is mixed with what it infiltrates. Metastases in nodes are drawn with it.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ..errors import InputError
from .anatomy import Anatomy, Canvas, bit, largest_component, smooth_noise
from .nodes import N_STAGE_SHARE, N_STAGES, add_metastases, n_stage_of
from .tissues import TISSUE_INDEX

STAGES = ("T1", "T2", "T3", "T4")

FOSSA = np.array((15.0, 0.0, -35.0))
"""Left fossa of Rosenmueller in head coordinates (LPS mm)."""

SMALLEST_VOXELS = 250

_LINING = {"mucosa": 1.0, "lymphoid tissue": 1.0, "air": 1.5, "fluid": 1.6, "cartilage": 2.0}
_SOFT = {"fat": 1.5, "muscle": 1.5, "ligament": 2.0, "gland": 2.2, "vein": 3.0, "nerve": 2.5}
_BONE = {"marrow": 1.6, "cortical bone": 2.2}
_BEYOND = {
    "CSF": 2.2,
    "meninges": 2.0,
    "grey matter": 3.6,
    "deep grey matter": 3.6,
    "white matter": 3.6,
    "pituitary": 3.0,
}
_RESISTANCE = {
    "T1": _LINING,
    "T2": _LINING | _SOFT,
    "T3": _LINING | _SOFT | _BONE,
    "T4": _LINING | _SOFT | _BONE | _BEYOND,
}
"""What a tumour of each stage can enter, and how much it resists."""

_RADIUS_MM = {"T1": (6.5, 10.5), "T2": (9, 13), "T3": (10, 15), "T4": (11, 16)}

_ROUTES: dict[str, dict[str, tuple[tuple[float, float, float], ...]]] = {
    "T1": {
        "roof": ((8, -6, -28),),
        "wall": ((14, -3, -42),),
        "choana": ((9, -22, -34),),
    },
    "T2": {
        "parapharyngeal space": ((22, -4, -44),),
        "carotid space": ((23, 6, -42),),
        "pterygoid muscles": ((22, -5, -40), (27, -14, -42)),
        "prevertebral muscle": ((10, 5, -44),),
    },
    "T3": {
        "clivus": ((6, 2, -26), (3, 5, -21)),
        "sphenoid sinus": ((8, -8, -24), (5, -12, -14)),
        "pterygoid process": ((14, -18, -28), (15, -22, -26)),
        "petrous apex": ((15, 5, -25), (17, 9, -19)),
        "ethmoid": ((8, -22, -26), (8, -32, -8)),
    },
    "T4": {
        "cavernous sinus": ((15, 3, -24), (17, 3, -12), (21, 5, -4)),
        "prepontine cistern": ((6, 3, -26), (4, 4, -18), (3, 9, -13)),
        "orbit": ((14, -18, -28), (18, -22, -8), (22, -32, 1)),
        "hypopharynx": ((13, -2, -58), (12, -2, -78), (11, -1, -102)),
    },
}
"""Stage -> target -> way points on the left from the fossa (head coordinates, mm)."""


def add_tumour(
    anatomy: Anatomy,
    head_coordinates: np.ndarray,
    stage: str,
    rng: np.random.Generator,
) -> Anatomy:
    """The same head with a primary tumour and its nodes; structures keep their labels.

    ``description`` of the result gets stage, n_stage, side, reaches (targets) and nodes.

    Parameters
    ----------
    anatomy:
        A head; not changed.
    head_coordinates:
        (3, slices, rows, columns) head coordinates of its voxels, mm.
    stage:
        One of :data:`STAGES`.

    Raises
    ------
    ValueError
        If the stage is unknown.
    InputError
        If the head does not show the nasopharynx.
    """
    if stage not in STAGES:
        raise ValueError(f"unknown T stage {stage!r}; choose one of {', '.join(STAGES)}")
    side = 1.0 if rng.random() < 0.5 else -1.0
    tissue, structures = anatomy.tissue.copy(), anatomy.structures.copy()
    still = np.broadcast_to(np.float32(0), tissue.shape)
    canvas = Canvas(tissue, structures, head_coordinates, still)
    n_stage = str(rng.choice(N_STAGES, p=N_STAGE_SHARE[stage]))
    nodes = add_metastases(canvas, n_stage, side, rng)
    targets = _grow_primary(canvas, anatomy.tissue, stage, side, rng, anatomy.description)
    description = {
        **anatomy.description,
        "stage": stage,
        "n_stage": n_stage_of(nodes),
        "side": "L" if side > 0 else "R",
        "reaches": targets,
        "nodes": nodes,
    }
    return Anatomy(tissue, structures, anatomy.index_to_world, anatomy.known, description)


def _grow_primary(canvas: Canvas, before, stage: str, side: float, rng, about) -> list[str]:
    """Paint GTVp; returns the names of the targets that it was sent to."""
    mirror = np.array((side, 1.0, 1.0))
    box = canvas.box((-58, -62, -112), (58, 34, 16))
    fossa = canvas.box(FOSSA * mirror - 3, FOSSA * mirror + 3)
    if box is None or fossa is None:
        raise _no_nasopharynx(about)
    tissue = canvas.tissue[box]
    position = canvas.coordinates[(slice(None), *box)]
    origin = _nearest_lining(tissue, position, FOSSA * mirror)
    if origin is None:
        raise _no_nasopharynx(about)
    radius = rng.uniform(*_RADIUS_MM[stage])
    routes, targets = _draw_routes(stage, rng)
    capsules = [(origin, origin, radius, radius)]
    shift = origin - FOSSA * mirror
    for points in routes:
        start, width = origin, radius
        for number, point in enumerate(points):
            # the further from the fossa, the less its own position matters
            end = np.array(point) * mirror + shift * 0.5 ** (number + 1) + rng.normal(0, 1.0, 3)
            narrow = max(radius * rng.uniform(0.5, 0.8), 4.0)
            capsules.append((start, end, width, narrow))
            start, width = end, narrow
    if rng.random() < (0.25 if stage == "T1" else 0.5):
        across = origin * np.array((-0.7, 1, 1))
        roof = np.array((0.0, -4.0, origin[2] + 6.0))
        capsules.append((origin, roof, 0.6 * radius, 0.5 * radius))
        capsules.append((roof, across, 0.5 * radius, radius * rng.uniform(0.4, 0.75)))

    resistance = np.full(256, np.inf, np.float32)
    for name, value in _RESISTANCE[stage].items():
        resistance[TISSUE_INDEX[name]] = value
    cost = resistance[tissue]
    allowed = np.isfinite(cost)
    cost = ndimage.gaussian_filter(np.where(allowed, cost, 6.0), 1.2)
    reach = np.full(tissue.shape, np.inf, np.float32)
    for start, end, first, last in capsules:
        np.minimum(reach, _capsule(position, start, end, first, last), out=reach)
    edge = 1 + 0.15 * smooth_noise(tissue.shape, 12, rng)
    edge += 0.08 * smooth_noise(tissue.shape, 5, rng)
    effort = reach * np.sqrt(cost) * np.maximum(edge, 0.4)
    ends = [capsule[1] for capsule in capsules[1:]]
    grown = _reach_targets(effort, allowed, position, origin, ends, stage)
    if not grown.any():
        raise _no_nasopharynx(about)
    _paint(canvas, box, before[box], grown, stage, radius, rng)
    return targets


def _draw_routes(stage: str, rng: np.random.Generator):
    """One or two routes of the stage (of T1 one), with some of every lower stage on the way."""
    routes, targets = [], []
    for level in STAGES[: STAGES.index(stage) + 1]:
        names = list(_ROUTES[level])
        own = level == stage
        most = 3 if own and stage != "T1" else 2
        count = int(rng.integers(1, most)) if own else int(rng.random() < 0.75)
        for name in rng.choice(names, count, replace=False):
            routes.append(_ROUTES[level][str(name)])
            targets.append(str(name))
    return routes, targets


def _capsule(position, start, end, first: float, last: float) -> np.ndarray:
    """Distance to a capsule relative to its radius: 1 on its surface."""
    ax, ay, az = (float(v) for v in end - start)
    length2 = ax * ax + ay * ay + az * az
    dx, dy, dz = (p - float(s) for p, s in zip(position, start, strict=True))
    if length2 < 1e-6:
        return np.sqrt(dx * dx + dy * dy + dz * dz) * np.float32(1 / first)
    t = np.clip((dx * ax + dy * ay + dz * az) * (1 / length2), 0, 1)
    off = np.sqrt((dx - ax * t) ** 2 + (dy - ay * t) ** 2 + (dz - az * t) ** 2)
    return off / (float(first) + float(last - first) * t)


def _reach_targets(effort, allowed, position, origin, ends, stage: str) -> np.ndarray:
    """The tumour: as much effort as it takes to be large enough and to arrive."""
    for limit in (1.15, 1.4, 1.7, 2.1, 2.6):
        grown = (effort < limit) & allowed
        grown = (ndimage.gaussian_filter(grown.astype(np.float32), 1.2) > 0.5) & allowed
        if not grown.any():
            continue
        grown = largest_component(grown)
        if np.count_nonzero(grown) < SMALLEST_VOXELS:
            continue
        if stage == "T1" or all(_arrives(grown, position, end) for end in ends):
            break
    return grown


def _arrives(grown: np.ndarray, position: np.ndarray, end: np.ndarray) -> bool:
    """Whether the tumour comes within 4 mm of a point."""
    points = position[:, grown]
    distance2 = sum((p - float(e)) ** 2 for p, e in zip(points, end, strict=True))
    return bool(distance2.min() < 16.0)


def _paint(canvas: Canvas, box, before, grown, stage: str, radius: float, rng) -> None:
    """Tumour with an infiltrating border, necrosis, and mucosa swollen around it."""
    tissue, structures = canvas.tissue[box], canvas.structures[box]
    inside = ndimage.gaussian_filter(grown.astype(np.float32), 1.0)
    sharpness = rng.uniform(0.04, 0.14)
    chance = 1 / (1 + np.exp(-(inside - 0.5) / sharpness))
    enterable = (before != TISSUE_INDEX["air"]) & (before != TISSUE_INDEX["artery"])
    mixed = rng.random(grown.shape, np.float32) < chance
    border = enterable & ~grown & ndimage.binary_dilation(grown, iterations=2)
    solid = grown & (mixed | (inside > 0.8) | (before == TISSUE_INDEX["air"]))
    soft = {"fat", "muscle", "mucosa", "marrow"} & set(_RESISTANCE[stage])
    soft = np.isin(before, [TISSUE_INDEX[name] for name in soft])
    tissue[solid | (border & mixed & soft)] = TISSUE_INDEX["tumour"]
    if radius > 8 and rng.random() < 0.6:
        depth = ndimage.distance_transform_edt(grown)
        patches = smooth_noise(grown.shape, 9, rng) > rng.uniform(0.5, 1.4)
        tissue[(depth > 3.5) & patches] = TISSUE_INDEX["necrosis"]
    if rng.random() < 0.8:
        rim = ndimage.binary_dilation(grown, iterations=2) & (before == TISSUE_INDEX["air"])
        rim &= ~grown & (smooth_noise(grown.shape, 8, rng) > 0)
        tissue[rim] = TISSUE_INDEX["mucosa"]
    structures[grown] |= bit("GTVp")


def _nearest_lining(tissue: np.ndarray, position: np.ndarray, wanted) -> np.ndarray | None:
    """Position of the mucosa nearest to ``wanted``, None where there is none within 20 mm."""
    lining = np.isin(tissue, [TISSUE_INDEX["mucosa"], TISSUE_INDEX["lymphoid tissue"]])
    points = position[:, lining]
    if points.shape[1] == 0:
        return None
    distance = np.sqrt(((points - wanted[:, None]) ** 2).sum(0))
    nearest = int(distance.argmin())
    return points[:, nearest].astype(float) if distance[nearest] < 20 else None


def _no_nasopharynx(about: dict) -> InputError:
    name = about.get("file", "this head")
    return InputError(
        f"No tumour can grow in {name}: it does not show the nasopharynx; leave that map out or "
        "make healthy patients."
    )
