"""What anatomy does not allow is taken out of masks: specks, stray parts, parts out of place or in
the air.

Every rule holds for all anatomies, also where a tumour grows or a structure is missing: it only
says what can never be. A rule that needs another structure is silent where that was not found.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from MRISynthLib.boxes import Box, box_of

from .places import in_words
from .structures import without_side

LARGEST_HOLE_MM2 = 100.0
"""Holes in a structure's outline on a slice below this area are filled: nobody contours them."""

MOST_PARTS = 30
"""Of a mask in more parts only so many, the largest, are looked at."""

RIM_MM = 4.0
"""So uncertain is the edge of the body; what lies further out is air."""

PIT_MM = 30.0
"""Narrower pits of the body belong to it: eyes can be as dark as the air before them."""

_NO_WAY = 1e6
"""Distance between slices where only those within a slice count."""

RIM_ML = 0.5
"""Of an organ that has several millilitres, less than this is none: the organ lies outside the
image, of which at most its rim is at an edge, or something else was taken for it."""

MEASURABLE_ML = 0.5
"""A ball of 10 mm has so much, and what is below 10 mm is not measurable (E. Eisenhauer et al.,
RECIST 1.1, Eur J Cancer 45:228, 2009)."""

PRIMARY_ML = 1.0
"""A primary tumour whose largest part is smaller is not told well from thick, inflamed or treated
mucosa: so large are many parts that are drawn in vain, and few of tumours (see
Testing/benchmarks/tumour_found.py)."""

_SMALL = f"less than {PRIMARY_ML:g} ml in one place is not told well from healthy mucosa"

FEW = 200
"""Voxels by which it is first seen whether two parts are near to each other."""


@dataclass(frozen=True)
class Rule:
    """Which parts of a mask can belong to its structure.

    Attributes
    ----------
    smallest_ml:
        Smaller parts are specks.
    share:
        Parts of at least this share of the largest may be kept; 1 keeps the largest alone.
    gap_mm:
        They are kept if they lie so near to the largest, or to another that is kept.
    near, near_mm:
        Parts further than this from all of these structures are out of place; ``{side}`` stands
        for the structure's own.
    only_near:
        Where these were looked for and not found, all parts are out of place.
    not_in:
        Parts that lie mostly in one of these structures are out of place.
    below:
        Nothing reaches higher than the centre of this structure.
    least_ml:
        If what is kept is less than this together, the structure is not in the image: it is "not
        found". 0 for what can be small, for targets, and for the cord, of which a clinician wants
        to see the last slice as well.
    core_ml:
        The same of the largest part alone.
    """

    smallest_ml: float = 0.05
    share: float = 1.0
    gap_mm: float = np.inf
    near: tuple[str, ...] = ()
    near_mm: float = 0.0
    only_near: bool = False
    not_in: tuple[str, ...] = ()
    below: str = ""
    least_ml: float = 0.0
    core_ml: float = 0.0


RULES: dict[str, Rule] = {
    # It starts in the mucosa of the nasopharynx; what lies apart from it is a node or no tumour.
    "GTVp": Rule(
        share=0.1,
        gap_mm=30.0,
        near=("Nasopharynx",),
        near_mm=30.0,
        only_near=True,
        core_ml=PRIMARY_ML,
    ),
    # Nodes are many, but none lies in brain or eye.
    "GTVn": Rule(share=0.0, not_in=("Brain", "Eye_L", "Eye_R")),
    # An image that ends at the skull base shows temporal lobes and cerebellum apart.
    "Brain": Rule(share=0.02, gap_mm=30.0, least_ml=RIM_ML),
    "Brainstem": Rule(least_ml=RIM_ML),
    "Eye": Rule(least_ml=RIM_ML),
    "Lobe_Temporal": Rule(least_ml=RIM_ML),
    "Parotid": Rule(least_ml=RIM_ML),
    "Glnd_Submand": Rule(least_ml=RIM_ML),
    "Larynx": Rule(least_ml=RIM_ML),
    # The nerve leaves the globe and ends at the chiasm; it may be lost in its canal.
    "OpticNrv": Rule(
        0.005, share=0.0, gap_mm=25.0, near=("Eye{side}", "OpticChiasm"), near_mm=30.0
    ),
    "OpticChiasm": Rule(0.005, share=0.0, gap_mm=15.0),
    "Lens": Rule(0.01, near=("Eye{side}",), near_mm=3.0),
    "Glnd_Lacrimal": Rule(0.01, near=("Eye{side}",), near_mm=20.0),
    "Cochlea": Rule(0.01),
    "Pituitary": Rule(0.01),
    "Hippocampus": Rule(near=("Lobe_Temporal{side}",), near_mm=10.0),
    # It begins where the brainstem ends.
    "SpinalCord": Rule(share=0.0, gap_mm=15.0, below="Brainstem"),
    # Thin and oblique: thick slices cut them into pieces.
    "A_Carotid": Rule(0.02, share=0.0, gap_mm=15.0),
    "Musc_Constrict": Rule(0.02, share=0.0, gap_mm=15.0),
    "Esophagus": Rule(share=0.0, gap_mm=15.0, least_ml=RIM_ML),
    # Where the image ends above the chin there are two halves.
    "Bone_Mandible": Rule(share=0.2, least_ml=RIM_ML),
    "Glnd_Thyroid": Rule(share=0.1, gap_mm=30.0, least_ml=RIM_ML),
    "Nasopharynx": Rule(share=0.02, gap_mm=15.0, least_ml=RIM_ML),
    "Cavity_Oral": Rule(share=0.05, gap_mm=15.0, least_ml=RIM_ML),
}
"""By name, or by name without side; all others are one part of at least 0.05 ml."""


@dataclass(frozen=True)
class LeftOut:
    """What looks like tumour and was left out of it, so that a clinician can look there.

    volume_ml: of all such parts; parts: how many there are; middle: (column, row, slice) of a
    voxel in the middle of the largest; why: how a sentence goes on after "as".
    """

    volume_ml: float
    parts: int
    middle: tuple[int, int, int]
    why: str

    def sentence(self, index_to_world: np.ndarray) -> str:
        """What the user is told. index_to_world: 4x4, (column, row, slice, 1) to LPS mm."""
        place = in_words((index_to_world @ (*self.middle, 1.0))[:3])
        # what is just below the limit must not be rounded to it
        volume = f"{self.volume_ml:.{1 if self.volume_ml >= 1 else 2}f} ml"
        if self.parts == 1:
            said = f"One place looks like tumour ({volume} around {place}) and is"
        else:
            said = (
                f"{self.parts} places look like tumour ({volume} together, the largest around "
                f"{place}) and are"
            )
        shown = "it is" if self.parts == 1 else "they are"
        return f"{said} left out of GTVp, as {self.why}; without the clean-up {shown} drawn."


def cleaned(
    masks: Mapping[str, np.ndarray], spacing: Sequence[float], wanted: Iterable[str]
) -> tuple[dict[str, np.ndarray], list[LeftOut]]:
    """The ``wanted`` masks as :data:`RULES` allow them, and what of a tumour was left out.

    Parameters
    ----------
    masks:
        Structure -> boolean (slices, rows, columns) on a grid whose slices run to superior: the
        wanted ones and, as far as they are known, those of :func:`partners`.
    spacing:
        Millimetres between (columns, rows, slices).
    """
    cleaner = _Cleaner(masks, tuple(float(step) for step in spacing))
    return {name: cleaner.mask(name) for name in wanted}, cleaner.left_out


def inside_body(
    masks: Mapping[str, np.ndarray], body: np.ndarray, spacing: Sequence[float]
) -> dict[str, np.ndarray]:
    """The masks without what lies further than :data:`RIM_MM` from the body on the same slice.

    A network can take noise and the rim of a padded image for a structure, and the largest part of
    a mask may lie there; therefore this goes before :func:`cleaned`.

    Parameters
    ----------
    masks:
        Structure -> boolean (slices, rows, columns).
    body:
        Boolean of the same shape.
    spacing:
        Millimetres between (columns, rows, slices).

    Returns
    -------
    As ``masks``; those that lie inside are the same objects.
    """
    outside = np.zeros(body.shape, bool)
    for mask in masks.values():
        outside |= mask
    outside &= ~body
    box = box_of(outside, margin=int(np.ceil(PIT_MM / min(spacing[:2]))))
    if box is None:
        return dict(masks)
    step = (_NO_WAY, float(spacing[1]), float(spacing[0]))
    near = body[box]
    if near.any():  # grown by more than the rim and shrunk again, which closes pits
        near = ndimage.distance_transform_edt(~near, sampling=step) <= PIT_MM / 2
        near = ndimage.distance_transform_edt(near, sampling=step) > PIT_MM / 2 - RIM_MM
    result = {}
    for name, mask in masks.items():
        result[name] = mask
        if (mask[box] & ~near).any():
            result[name] = mask.copy()
            result[name][box] &= near
    return result


def about_cores(mask: np.ndarray, core: np.ndarray, spacing: Sequence[float]) -> np.ndarray:
    """``core``, and the connected parts of ``mask`` that hold :data:`MEASURABLE_ML` of it.

    So a tumour is drawn to where it can hardly be told from what surrounds it, and yet nothing is
    drawn that looks only a little like one: thresholding with hysteresis (J. Canny, IEEE Trans
    Pattern Anal Mach Intell 8:679, 1986).

    Parameters
    ----------
    mask, core:
        Boolean (slices, rows, columns); ``core`` lies within ``mask``.
    spacing:
        Millimetres between (columns, rows, slices).
    """
    box = box_of(mask)
    if box is None:
        return core
    labels, _ = ndimage.label(mask[box], np.ones((3, 3, 3)))
    sizes = np.bincount(labels[core[box]]) * float(np.prod(spacing)) / 1000.0
    result = core.copy()
    result[box] |= np.isin(labels, np.flatnonzero(sizes >= MEASURABLE_ML))
    return result


def partners(names: Iterable[str]) -> set[str]:
    """Structures that the rules of ``names`` look at, and those that these look at."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        for other in _looked_at(waiting.pop()):
            if other not in found:
                found.add(other)
                waiting.append(other)
    return found


def without_small_holes(mask: np.ndarray, pixels: float) -> np.ndarray:
    """The mask (slices, rows, columns) with holes of fewer than ``pixels`` on a slice filled."""
    result = mask.copy()
    for k in np.flatnonzero(mask.any((1, 2))):
        holes, count = ndimage.label(ndimage.binary_fill_holes(mask[k]) & ~mask[k])
        if count:
            small = np.flatnonzero(np.bincount(holes.ravel())[1:] < pixels) + 1
            result[k] |= np.isin(holes, small)
    return result


@lru_cache
def _rule(name: str) -> Rule:
    return RULES.get(name) or RULES.get(without_side(name)) or Rule()


def _looked_at(name: str) -> list[str]:
    rule = _rule(name)
    side = name[-2:] if name.endswith(("_L", "_R")) else ""
    named = [other.format(side=side) for other in rule.near]
    return [*named, *rule.not_in, *([rule.below] if rule.below else [])]


class _Cleaner:
    """Cleans masks, each once, those that a rule looks at before the one with that rule."""

    def __init__(self, masks: Mapping[str, np.ndarray], spacing: tuple[float, ...]) -> None:
        self.masks, self.spacing = masks, np.array(spacing[::-1])
        self.voxel_ml = float(np.prod(spacing)) / 1000.0
        self.left_out: list[LeftOut] = []
        self._done: dict[str, np.ndarray] = {}
        self._trees: dict[str, cKDTree] = {}

    def mask(self, name: str) -> np.ndarray:
        """The cleaned mask of a structure."""
        if name not in self._done:
            self._done[name] = self._cleaned(name, self.masks[name], _rule(name))
        return self._done[name]

    def _cleaned(self, name: str, mask: np.ndarray, rule: Rule) -> np.ndarray:
        result = np.zeros_like(mask)
        limit = self._highest(rule.below)
        mask = mask if limit is None else mask[:limit]
        box = box_of(mask)
        if box is None:
            return result
        pixels = LARGEST_HOLE_MM2 / float(self.spacing[1] * self.spacing[2])
        part = without_small_holes(mask[box], pixels)
        # what may come in pieces may also hang together by corners
        labels, _ = ndimage.label(part, None if rule.share == 1 else np.ones((3, 3, 3)))
        sizes = np.bincount(labels.ravel())
        sizes[0] = 0
        order = np.argsort(-sizes, kind="stable")[:MOST_PARTS]
        order = [int(n) for n in order if sizes[n] * self.voxel_ml >= rule.smallest_ml]
        boxes = ndimage.find_objects(labels)
        parts = {n: _Part.of(labels, n, boxes[n - 1], box, self.spacing) for n in order}
        placed = {n: each for n, each in parts.items() if self._in_place(name, each, rule)}
        kept = _chained(placed, {n: int(sizes[n]) for n in placed}, rule)
        volumes = {n: float(sizes[n] * self.voxel_ml) for n in parts}
        small = bool(kept) and volumes[kept[0]] < rule.core_ml
        if name == "GTVp":
            self._leave_out(parts, volumes, [n for n in parts if n not in placed], self._away(rule))
            if small:
                self._leave_out(parts, volumes, kept, _SMALL)
        if small or sum(volumes[n] for n in kept) < rule.least_ml:
            kept = []
        result[: len(mask)][box] = np.isin(labels, kept)
        return result

    def _highest(self, name: str) -> int | None:
        """The slice of the structure's centre, above which nothing is allowed."""
        if not self._has(name):
            return None
        area = self.mask(name).sum((1, 2))
        return int(np.ceil(np.average(np.arange(len(area)), weights=area)))

    def _in_place(self, name: str, part: _Part, rule: Rule) -> bool:
        side = name[-2:]
        others = [other.format(side=side) for other in rule.near]
        found = [other for other in others if self._has(other)]
        # all must be there: a nerve may lie far from the chiasm, but not if the eye is out of view
        known = bool(found) and len(found) == len(others)
        if known and not any(part.within(rule.near_mm, self._tree(other)) for other in found):
            return False
        if rule.only_near and not found and all(other in self.masks for other in others):
            return False
        inside = [self.mask(other)[part.box][part.mask].mean() for other in self._there(rule)]
        return all(share <= 0.5 for share in inside)

    def _there(self, rule: Rule) -> list[str]:
        return [name for name in rule.not_in if self._has(name)]

    def _has(self, name: str) -> bool:
        return name in self.masks and bool(self.mask(name).any())

    def _tree(self, name: str) -> cKDTree:
        if name not in self._trees:
            mask = self.mask(name)
            box = box_of(mask)
            self._trees[name] = _Part(mask[box], box, self.spacing).tree
        return self._trees[name]

    def _away(self, rule: Rule) -> str:
        """Why parts are out of place, as a sentence goes on."""
        if any(self._has(other) for other in rule.near):
            return f"a primary tumour lies within {rule.near_mm:.0f} mm from the nasopharynx"
        return "no nasopharynx is found in these images"

    def _leave_out(
        self, parts: Mapping[int, _Part], volumes: Mapping[int, float], which: list[int], why: str
    ) -> None:
        """Note parts of a tumour that are taken for something else."""
        if which:
            largest = max(which, key=volumes.get)
            volume = sum(volumes[n] for n in which)
            self.left_out.append(LeftOut(volume, len(which), parts[largest].middle, why))


class _Part:
    """A connected part of a mask: where it lies, and its surface in mm."""

    def __init__(self, mask: np.ndarray, box: Box, step: np.ndarray) -> None:
        self.mask, self.box, self._step = mask, box, step

    @classmethod
    def of(cls, labels: np.ndarray, label: int, inside: Box, box: Box, step: np.ndarray) -> _Part:
        """The part ``label`` of an array that is ``box`` of the whole; it fills ``inside``."""
        pairs = zip(inside, box, strict=True)
        place = tuple(slice(a.start + b.start, a.stop + b.start) for a, b in pairs)
        return cls(labels[inside] == label, place, step)

    @cached_property
    def points(self) -> np.ndarray:
        """(n, 3), mm."""
        surface = self.mask & ~ndimage.binary_erosion(self.mask)
        return (np.argwhere(surface) + [side.start for side in self.box]) * self._step

    @cached_property
    def tree(self) -> cKDTree:
        return cKDTree(self.points)

    @property
    def middle(self) -> tuple[int, int, int]:
        """(column, row, slice) of its voxel nearest to its centre."""
        voxels = np.argwhere(self.mask)
        away = ((voxels - voxels.mean(0)) * self._step) ** 2
        nearest = voxels[int(away.sum(1).argmin())] + [side.start for side in self.box]
        return tuple(int(each) for each in nearest[::-1])

    def within(self, limit_mm: float, other: cKDTree) -> bool:
        """Whether any voxel lies so near to one of another."""
        few = max(1, len(self.points) // FEW)
        for points in (self.points[::few], self.points):  # mostly some tell it already
            found, _ = other.query(points, distance_upper_bound=limit_mm + 1e-6)
            if np.isfinite(found).any():
                return True
        return False


def _chained(parts: Mapping[int, _Part], sizes: Mapping[int, int], rule: Rule) -> list[int]:
    """Labels of the largest part and of those that go with it."""
    if not parts:
        return []
    first = max(sizes, key=sizes.get)
    kept = [first]
    waiting = [
        n for n in parts if n != first and rule.share < 1 and sizes[n] >= rule.share * sizes[first]
    ]
    if np.isinf(rule.gap_mm):
        return kept + waiting
    found = True
    while found:
        near = [
            n for n in waiting if any(parts[n].within(rule.gap_mm, parts[m].tree) for m in kept)
        ]
        kept, waiting, found = kept + near, [n for n in waiting if n not in near], bool(near)
    return kept
