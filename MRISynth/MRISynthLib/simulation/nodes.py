"""Lymph nodes: normal ones everywhere, and where metastases of the nasopharynx go."""

from __future__ import annotations

import numpy as np

from .anatomy import Canvas, bit, sides, smooth_noise
from .tissues import TISSUE_INDEX

NODE_LEVELS: dict[str, tuple[tuple[float, float, float], tuple[float, float, float]]] = {
    "VIIa": ((17, 7, -50), (2, 1.5, 6)),
    "Ib": ((36, -36, -101), (3, 6, 4)),
    "IIa": ((42, 10, -86), (4, 5, 8)),
    "IIb": ((47, 27, -80), (4, 4, 8)),
    "III": ((38, 12, -114), (4, 5, 8)),
    "IVa": ((33, 12, -148), (4, 5, 8)),
    "Va": ((48, 40, -104), (4, 5, 9)),
    "Vb": ((44, 30, -146), (4, 5, 8)),
}
"""Level -> centre and spread (mm) on the left, head coordinates.

Names and borders follow the 2013 consensus of DAHANCA, EORTC, GORTEC, NCIC, NCRI, RTOG and
TROG (Gregoire et al., Radiother Oncol 2014); VIIa are the retropharyngeal nodes.
"""

N_STAGES = ("N0", "N1", "N2", "N3")

N_STAGE_SHARE: dict[str, tuple[float, float, float, float]] = {
    "T1": (0.22, 0.44, 0.25, 0.09),
    "T2": (0.14, 0.44, 0.30, 0.12),
    "T3": (0.14, 0.42, 0.31, 0.13),
    "T4": (0.16, 0.38, 0.31, 0.15),
}
"""T stage -> probability of N0, N1, N2, N3 (AJCC 8); typical of endemic series, in which
about 85 % have nodes and T and N stage are nearly independent."""

_LIKELY = {"VIIa": 0.35, "IIb": 0.25, "IIa": 0.18, "III": 0.12, "Va": 0.10}
_LOW = {"IVa": 0.55, "Vb": 0.45}
_GIVES_WAY = ("fat", "muscle", "lymphoid tissue", "gland", "parotid gland", "vein", "ligament")


def node_site(level: str, side: float, rng: np.random.Generator) -> np.ndarray:
    """A random position (mm, head coordinates) within a level."""
    centre, spread = NODE_LEVELS[level]
    place = np.array(centre) + np.array(spread) * rng.uniform(-1, 1, 3)
    return place * np.array((side, 1.0, 1.0))


def paint_nodes(canvas: Canvas, rng: np.random.Generator) -> None:
    """Normal nodes (short axis below 8 mm) at all levels, the larger with a fatty hilum."""
    counts = {"VIIa": 1, "Ib": 3, "IIa": 3, "IIb": 3, "III": 3, "IVa": 2, "Va": 4, "Vb": 3}
    busy = rng.uniform(0.4, 1.2)
    for side, _ in sides():
        for level, most in counts.items():
            for _ in range(rng.binomial(most, min(0.75 * busy, 1.0))):
                site = node_site(level, side, rng)
                short = rng.uniform(1.5, 3.6) if level != "VIIa" else rng.uniform(1.0, 2.2)
                radii = short * np.array((1.0, rng.uniform(1.0, 1.4), rng.uniform(1.2, 2.2)))
                node = canvas.ellipsoid(site, radii, 0.3)
                canvas.paint(node, "lymphoid tissue", over=("fat",))
                if short > 2.8:
                    hilum = site - np.array((side * 0.5 * short, 0, 0))
                    shape = canvas.ellipsoid(hilum, 0.35 * radii + 0.4, 0.2)
                    canvas.paint(shape, "fat", over=("lymphoid tissue",))


def add_metastases(
    canvas: Canvas, n_stage: str, side: float, rng: np.random.Generator
) -> list[dict]:
    """Grow GTVn of an N stage; ``side`` is that of the primary tumour (+1 left).

    N1: retropharyngeal or one side of the neck; N2: both sides; N3: larger than 6 cm or below
    the cricoid (AJCC 8). Nodes displace fat, muscle, glands and veins, never bone, cartilage,
    air or arteries. Returns what grew: level, side, long axis (mm), kind. Sites outside this
    head are left out.
    """
    grown = []
    for level, where, low, high in _plan(n_stage, side, rng):
        for _ in range(6):
            site = node_site(level, where, rng)
            node = _grow(canvas, site, rng.uniform(low, high), level, rng)
            if node is not None:
                grown.append({"level": level, "side": "L" if where > 0 else "R", **node})
                break
    return grown


def n_stage_of(nodes: list[dict]) -> str:
    """N stage (AJCC 8) of nodes as :func:`add_metastases` returns them."""
    if any(node["long_axis_mm"] > 60 or node["level"] in _LOW for node in nodes):
        return "N3"
    neck = {node["side"] for node in nodes if node["level"] != "VIIa"}
    if len(neck) == 2:
        return "N2"
    return "N1" if nodes else "N0"


def _plan(n_stage: str, side: float, rng: np.random.Generator):
    """(level, side, least and largest half of the long axis in mm) of every node to grow."""
    if n_stage == "N0":
        return []

    def draw(count: int, where: float, low: float, high: float, share=None):
        share = share or _LIKELY
        chance = np.array(list(share.values())) / sum(share.values())
        names = rng.choice(list(share), min(count, len(share)), replace=False, p=chance)
        for name in names:
            if name == "VIIa":
                yield str(name), where, 3.5, 9.0
            else:
                yield str(name), where, low, high

    wanted = list(draw(int(rng.integers(1, 4)), side, 6.0, 16.0))
    if n_stage in ("N2", "N3"):
        other = {name: chance for name, chance in _LIKELY.items() if name != "VIIa"}
        wanted += list(draw(int(rng.integers(1, 3)), -side, 6.0, 14.0, other))
        if all(name == "VIIa" for name, *_ in wanted[:1]):
            wanted += list(draw(1, side, 7.0, 15.0, other))
    if n_stage == "N3":
        if rng.random() < 0.6:
            wanted += list(draw(int(rng.integers(1, 3)), side, 7.0, 15.0, _LOW))
        else:
            wanted.append((str(rng.choice(("IIa", "IIb"))), side, 31.0, 34.0))
    return wanted


def _grow(canvas: Canvas, site, half: float, level: str, rng: np.random.Generator) -> dict | None:
    """One metastasis of half length ``half`` mm; None where nothing could grow."""
    radii = half * np.array((rng.uniform(0.55, 0.8), rng.uniform(0.6, 0.9), 1.0))
    if level == "VIIa":
        radii[:2] *= 0.85
    shape = canvas.ellipsoid(site, radii, 0.0)
    if shape is None:
        return None
    box, distance = shape
    spread = half > 9 and rng.random() < 0.4
    edge = smooth_noise(distance.shape, 9, rng) + 0.5 * smooth_noise(distance.shape, 4, rng)
    distance = distance + (1.9 if spread else 0.7) * edge
    way = np.zeros(256, bool)
    way[[TISSUE_INDEX[name] for name in _GIVES_WAY]] = True
    free = way[canvas.tissue[box]]
    mask = (distance < 0) & free
    size = int(mask.sum())
    if size < max(0.35 * np.count_nonzero(distance < 0), 60):
        return None
    tissue = canvas.tissue[box]
    # beyond the capsule the border is mixed with fat; inside it is sharp
    speckle = rng.random(distance.shape) < 1 / (
        1 + np.exp(np.clip(distance / (0.9 if spread else 0.25), -30, 30))
    )
    tissue[free & (distance < 1.5) & (speckle | (distance < -1.2))] = TISSUE_INDEX["tumour"]
    canvas.structures[box][mask] |= bit("GTVn")
    kind = "solid"
    if half > 7 and rng.random() < 0.45:
        kind = "cystic" if rng.random() < 0.25 else "necrotic"
        core = distance + rng.uniform(0.28, 0.55) * float(radii.min())
        core = core + 1.5 * smooth_noise(distance.shape, 7, rng)
        tissue[mask & (core < 0)] = TISSUE_INDEX["necrosis" if kind == "necrotic" else "fluid"]
    return {"long_axis_mm": round(2 * half, 1), "kind": kind, "extracapsular": bool(spread)}
