"""A simulated user who corrects: results with mistakes, and clicks on the largest of them.

The course is that of DeepEdit (A. Diaz-Pinto et al., MICCAI Workshop on Data Augmentation,
Labelling, and Imperfections 2022): the network's own result, a click in what is wrong most, the
result after it, another click.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from monai.transforms.utils import distance_transform_edt, get_largest_connected_component_mask
from scipy import ndimage

from .click_maps import click_map
from .lessons import LEARNED, Lesson, cut_out
from .structures import STRUCTURES

WINDOWS = (96, 128, 160)
"""Pixels of the square round a click in which a correction is made: all is learned faster there,
and used faster."""

MORE_CLICKS = (0.45, 0.25, 0.2, 0.1)
"""How often there are 0, 1, 2, 3 clicks before the last one."""

TARGET_FACTOR = 4.0
"""How much more often a tumour is asked for than an organ that is on the slice too."""


@dataclass(frozen=True)
class Habits:
    """What the simulated user and the results that he is given are like.

    absent: share of slices on which he asks for a structure that is not there; drawn: share of
    results that are not the network's own but drawn with mistakes; outlined: share of results that
    are outlines (0 or 1) rather than probabilities; anywhere: share of clicks that are not in the
    middle of what is wrong; beside: share of clicks on a neighbouring slice.
    """

    absent: float = 0.15
    drawn: float = 0.4
    outlined: float = 0.5
    anywhere: float = 0.3
    beside: float = 0.25


USUAL = Habits()
CAREFUL = Habits(absent=0.0, drawn=0.0, outlined=0.0, anywhere=0.0, beside=0.0)
"""For measuring: always the same click for the same mistake."""


@dataclass(frozen=True)
class SliceClick:
    """row, column: pixels; beside: mm from the slice; adds: as ``click_maps.Click``."""

    row: float
    column: float
    beside: float
    adds: bool


@dataclass
class Correction:
    """One structure on each slice on its way to being right.

    lesson: the slices, or windows of them; truth: (batch, rows, columns) bool; result: of the same
    shape, float32, the result so far; clicks: of each slice; counts: (batch,) bool, whether the
    truth is known; asked: channel of each slice's structure.
    """

    lesson: Lesson
    truth: torch.Tensor
    result: torch.Tensor
    counts: torch.Tensor
    asked: list[int]
    pixel_mm: float
    habits: Habits = USUAL
    clicks: list[list[SliceClick]] = field(default_factory=list)

    def edit(self) -> torch.Tensor:
        """(batch, 3, rows, columns): as ``StructureNet.forward`` takes it."""
        adds, removes = (self._map(adds) for adds in (True, False))
        return torch.stack([self.result, adds, removes], 1)

    def nearness(self) -> torch.Tensor:
        """(batch, rows, columns): how near a click is, 0-1."""
        return self.edit()[:, 1:].amax(1)

    def _map(self, adds: bool) -> torch.Tensor:
        shape, spacing = (1, *self.truth.shape[1:]), (self.pixel_mm, self.pixel_mm, 1.0)
        maps = [
            click_map([(c.beside, c.row, c.column) for c in some if c.adds == adds], shape, spacing)
            for some in self.clicks
        ]
        return torch.from_numpy(np.concatenate(maps)).to(self.truth.device)

    @torch.no_grad()
    def improve(self, network: torch.nn.Module, rng: np.random.Generator) -> None:
        """Take over what the network makes of the clicks, and click again."""
        found = torch.sigmoid(self.lesson.logits(network, self.edit())[:, -1]).float()
        for place in range(len(found)):
            if rng.random() < self.habits.outlined:
                found[place] = found[place] > 0.5
        self.result = found
        self.click(rng)

    def click(self, rng: np.random.Generator) -> None:
        """One more click on each slice, where it is wrong most."""
        found = (self.result > 0.5).cpu().numpy()
        self.clicks = self.clicks or [[] for _ in found]
        for some, mask, truth in zip(self.clicks, found, self.truth.cpu().numpy(), strict=True):
            place = next_place(mask, truth, rng, self.habits.anywhere)
            if place is not None:
                some.append(_click(place, bool(truth[place]), self.pixel_mm, self.habits, rng))


def begin(
    lesson: Lesson,
    logits: torch.Tensor,
    pixel_mm: float,
    rng: np.random.Generator,
    habits: Habits = USUAL,
    windows: Sequence[int] = WINDOWS,
) -> Correction:
    """A structure of each slice, a result for it, and the first click; in a window round that.

    Parameters
    ----------
    logits:
        Of the structures on the whole slices, (batch, structures or more, rows, columns).
    pixel_mm:
        Size of a pixel.
    windows:
        Sizes of which one is drawn; a slice that is smaller is not cut.
    """
    own = torch.sigmoid(logits.detach()[:, : len(LEARNED)].float())
    known = lesson.known.cpu().numpy()
    sizes = lesson.truth.flatten(2).sum(2).cpu().numpy() * known
    found = (own > 0.5).flatten(2).sum(2).cpu().numpy() * known
    asked = [asked_for(*each, rng, habits) for each in zip(known, sizes, found, strict=True)]
    rows = range(len(asked))
    truth, result = lesson.truth[rows, asked], own[rows, asked]
    for place in rows:
        if rng.random() < habits.drawn:
            mask = with_mistakes(truth[place].cpu().numpy(), rng)
            result[place] = torch.from_numpy(mask).to(result)
        elif rng.random() < habits.outlined:
            result[place] = result[place] > 0.5
    counts = torch.from_numpy(known[rows, asked]).to(truth.device)
    whole = Correction(lesson, truth, result, counts, asked, pixel_mm, habits)
    whole.click(rng)
    size = int(windows[int(rng.integers(len(windows)))])
    return _in_window(whole, (min(size, truth.shape[1]), min(size, truth.shape[2])), rng)


def _in_window(whole: Correction, size: tuple[int, int], rng: np.random.Generator) -> Correction:
    """The part of each slice round its click, which is not always in the middle."""
    shape = np.array(whole.truth.shape[1:])
    if tuple(shape) == size:
        return whole
    middles = [
        (some[0].row, some[0].column) if some else rng.uniform((0, 0), shape)
        for some in whole.clicks
    ]
    shift = rng.uniform(-0.25, 0.25, (len(middles), 2)) * size
    corners = np.round(np.array(middles) + shift - np.array(size) / 2).astype(int)
    corners = np.clip(corners, 0, shape - size)
    clicks = [
        [SliceClick(c.row - top, c.column - left, c.beside, c.adds) for c in some]
        for some, (top, left) in zip(whole.clicks, corners.tolist(), strict=True)
    ]
    return Correction(
        whole.lesson.window(corners, size),
        cut_out(whole.truth, corners, size),
        cut_out(whole.result, corners, size),
        whole.counts,
        whole.asked,
        whole.pixel_mm,
        whole.habits,
        clicks,
    )


def asked_for(
    known: np.ndarray,
    sizes: np.ndarray,
    found: np.ndarray,
    rng: np.random.Generator,
    habits: Habits = USUAL,
) -> int:
    """Channel of the structure that is corrected on a slice: one that is there or, at times, one
    that is not, of which the most was found by mistake.

    known: (structures,) bool; sizes, found: pixels that each has, and that were found.
    """
    present, absent = known & (sizes > 0), known & (sizes == 0)
    if absent.any() and (rng.random() < habits.absent or not present.any()):
        mistaken = absent & (found > 0)
        if mistaken.any():
            return int(np.argmax(found * mistaken))
        return int(rng.choice(np.flatnonzero(absent)))
    if not present.any():
        return int(rng.integers(len(known)))
    often = [TARGET_FACTOR if STRUCTURES[name].is_target else 1.0 for name in LEARNED]
    weights = np.array(often) * present
    return int(rng.choice(len(weights), p=weights / weights.sum()))


def next_place(
    found: np.ndarray, truth: np.ndarray, rng: np.random.Generator, anywhere: float = 0.0
) -> tuple[int, int] | None:
    """(row, column) in the largest connected part of what is missing or too much: where it is
    furthest from its edge or, in a share ``anywhere`` of cases, somewhere in it. None where all is
    right."""
    parts = [
        get_largest_connected_component_mask(wrong, connectivity=1)
        for wrong in (truth & ~found, found & ~truth)
        if wrong.any()
    ]
    if not parts:
        return None
    part = max(parts, key=np.count_nonzero)
    if rng.random() < anywhere:
        row, column = rng.choice(np.argwhere(part))
    else:
        depth = distance_transform_edt(part[None])[0]
        row, column = np.unravel_index(np.argmax(depth), depth.shape)
    return int(row), int(column)


def _click(place, adds: bool, pixel_mm: float, habits: Habits, rng) -> SliceClick:
    """A click there or, at times, about there on a neighbouring slice: what is wrong goes on in the
    next slice, a little elsewhere."""
    row, column = place
    beside = 0.0
    if rng.random() < habits.beside:
        beside = float(rng.uniform(1.0, 8.0))
        row, column = rng.normal(place, 0.3 * beside / pixel_mm)
    return SliceClick(float(row), float(column), beside, adds)


def with_mistakes(mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A structure as a program or a tired hand would draw it: shifted, too small, too large, cut
    off, with a part too much, or not at all. bool (rows, columns)."""
    drawn = mask.copy()
    kind = rng.choice(6, p=(0.2, 0.2, 0.2, 0.2, 0.12, 0.08))
    reach = int(rng.integers(1, 5))
    if kind == 0:
        drawn = ndimage.shift(drawn, rng.uniform(-6, 6, 2), order=0)
    elif kind == 1:
        drawn = ndimage.binary_erosion(drawn, iterations=reach)
    elif kind == 2:
        drawn = ndimage.binary_dilation(drawn, iterations=reach)
    elif kind == 3 and mask.any():
        middle = rng.choice(np.argwhere(mask))
        down, right = rng.normal(size=2)
        rows, columns = np.indices(mask.shape)
        drawn &= (rows - middle[0]) * down + (columns - middle[1]) * right > 0
    elif kind == 4:
        drawn[:] = False
    if kind == 5 or not mask.any():
        drawn |= _patch(mask, rng)
    return drawn


def _patch(mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """An ellipse somewhere near the structure, or anywhere where there is none."""
    shape = np.array(mask.shape)
    middle = rng.uniform((0, 0), shape)
    if mask.any():
        middle = rng.choice(np.argwhere(mask)) + rng.normal(0, 12, 2)
    radii = rng.uniform(2, 10, 2)
    rows, columns = np.indices(mask.shape)
    return ((rows - middle[0]) / radii[0]) ** 2 + ((columns - middle[1]) / radii[1]) ** 2 < 1
