"""Procedural heads that several test files look at; each is built once and cannot be changed."""

from __future__ import annotations

from functools import cached_property, lru_cache

import numpy as np
from scipy import ndimage

from MRISynthLib.simulation.procedural import build_head
from MRISynthLib.simulation.tissues import TISSUE_INDEX

SEEDS = (11, 12)


class Head:
    """A healthy head on a 1 mm grid, with what tests ask of it; positions are LPS mm."""

    def __init__(self, seed: int) -> None:
        self.anatomy, self.coordinates = build_head(np.random.default_rng(seed))
        for array in (self.anatomy.tissue, self.anatomy.structures, self.coordinates):
            array.flags.writeable = False
        self._points: dict[str, np.ndarray] = {}

    @cached_property
    def body(self) -> np.ndarray:
        """What is not air, and the air that body encloses in each axial slice."""
        solid = self.anatomy.tissue != TISSUE_INDEX["air"]
        return np.stack([ndimage.binary_fill_holes(plane) for plane in solid])

    def mask(self, name: str) -> np.ndarray:
        """Mask of one structure."""
        return self.anatomy.mask(name)

    def of(self, *tissues: str) -> np.ndarray:
        """Where one of the tissues is."""
        chosen = np.zeros(256, bool)
        chosen[[TISSUE_INDEX[name] for name in tissues]] = True
        return chosen[self.anatomy.tissue]

    def points(self, name: str) -> np.ndarray:
        """(n, 3) positions x, y, z of a structure's voxels."""
        if name not in self._points:
            index = np.argwhere(self.mask(name))[:, ::-1]
            self._points[name] = index + self.anatomy.index_to_world[:3, 3]
        return self._points[name]

    def centre(self, name: str) -> np.ndarray:
        """Centre of a structure."""
        return self.points(name).mean(0)

    def volume_ml(self, name: str) -> float:
        """Volume of a structure."""
        return len(self.points(name)) / 1000

    def box(self, low, high) -> tuple[slice, slice, slice]:
        """Index box between two corners (x, y, z)."""
        origin = self.anatomy.index_to_world[:3, 3]
        start = np.maximum(np.rint(np.asarray(low) - origin).astype(int), 0)
        stop = np.rint(np.asarray(high) - origin).astype(int) + 1
        return tuple(slice(a, b) for a, b in zip(start[::-1], stop[::-1], strict=True))

    def near(self, centre, first, second) -> tuple[slice, slice, slice]:
        """Index box between two corners given from ``centre`` (x, y, z)."""
        corners = np.asarray(centre) + np.array((first, second))
        return self.box(corners.min(0), corners.max(0))

    def around(self, name: str, margin_mm: int = 6) -> tuple[slice, slice, slice]:
        """Index box about a structure."""
        points = self.points(name)
        return self.box(points.min(0) - margin_mm, points.max(0) + margin_mm)


@lru_cache(maxsize=len(SEEDS))
def healthy_head(seed: int = SEEDS[0]) -> Head:
    """The head of a seed."""
    return Head(seed)
