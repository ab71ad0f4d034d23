"""Pictures of a comparison: the outlines of both segmentations over the image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from MRISynthLib.provenance import SYNTHETIC_MARK
from MRISynthLib.views import CT_WINDOW, percentiles_inside, wrapped
from MRISynthSegmentLib.agreement import joint_box
from MRISynthSegmentLib.loading import on_grid

from .report.figures import Panel, compose

if TYPE_CHECKING:
    from MRISynthLib.volume import Volume
    from MRISynthSegmentLib.comparison import Comparison, Row, Side
    from MRISynthSegmentLib.segmentation import Segmentation

NAME = "outlines"
PER_PAGE, COLUMNS = 12, 4
SIZE = 340
"""Rows and columns of a panel."""

FIRST, SECOND = (86, 180, 233), (240, 150, 0)
"""Sky blue and orange, which people with any of the common colour deficiencies tell apart."""

MARGIN_MM, LEAST_MM = 12.0, 50.0
"""What is shown around a structure, and the least width of what a panel shows."""

_FINE = 2
"""Panels are drawn so many times larger and then shrunk, which makes lines smooth."""

_LINE, _EDGE, _DASH, _GAP = 2.0, 1.0, 9.0, 6.0
"""Pixels of a line: its width, its dark edge on each side, and its dashes and gaps."""

_BAR_MM = 10.0
_FONT = 14
_BLACK, _TEXT, _SYNTHETIC_TEXT = (0, 0, 0), (235, 235, 235), (240, 180, 70)


def draw_outlines(
    comparison: Comparison, first: Segmentation, second: Segmentation, folder: Path
) -> tuple[Path, ...]:
    """Write ``outlines.png``, or ``outlines_1.png`` and so on where there are many structures.

    A panel for each structure, on the slice of the first's reference image where either has its
    largest area: the first as a solid blue line, the second as a broken orange one. Slices lie as
    radiologists look at them, the patient's right on the left of the picture. Nothing is written
    if no structure has an outline.
    """
    second = on_grid(second, first.reference, comparison.second.name)
    painter = _Painter(first.reference)
    panels = [
        painter.panel(row, first.masks[row.structure], second.masks[row.name_in_second])
        for row in comparison.rows
        if first.masks[row.structure].any() or second.masks[row.name_in_second].any()
    ]
    pages = [panels[n : n + PER_PAGE] for n in range(0, len(panels), PER_PAGE)]
    files = []
    for number, page in enumerate(pages, start=1):
        part = f"_{number}" if len(pages) > 1 else ""
        files.append(Path(folder) / f"{NAME}{part}.png")
        _page(comparison, page).save(files[-1], "PNG", optimize=True)
    return tuple(files)


def _page(comparison: Comparison, panels: Sequence[Panel]) -> Image.Image:
    """Panels in rows under a legend."""
    columns = min(COLUMNS, len(panels))
    sheet = compose([panels[n : n + columns] for n in range(0, len(panels), columns)])
    legend = _legend(comparison, sheet.shape[1])
    page = Image.new("RGB", (sheet.shape[1], legend.height + sheet.shape[0]), _BLACK)
    page.paste(legend, (0, 0))
    page.paste(Image.fromarray(sheet), (0, legend.height))
    return page


def _legend(comparison: Comparison, width: int) -> Image.Image:
    """Which line is whose, on what each was contoured, and over which image they lie."""
    left, line, font = 60, 22, ImageFont.load_default(_FONT + 1)
    entries = (_described(comparison.first), _described(comparison.second), comparison.image)
    texts = [wrapped([text], font.getlength, width - left - 8) for text in entries]
    legend = Image.new("RGB", (width, line * sum(map(len, texts)) + 12), _BLACK)
    draw, middle = ImageDraw.Draw(legend), 6 + line / 2
    for number, lines in enumerate(texts):
        if number < 2:
            sample = np.array([(10.0, middle), (49.0, middle)])
            _stroke(draw, sample, broken=number == 1, scale=1.0)
        else:
            draw.text((left - 11, middle), "over", _TEXT, font, "rm")
        for text in lines:
            right = left
            for word in text.split():
                fill = _SYNTHETIC_TEXT if word == SYNTHETIC_MARK else _TEXT
                draw.text((right, middle), word, fill, font, "lm")
                right += font.getlength(f"{word} ")
            middle += line
    return legend


def _described(side: Side) -> str:
    if side.synthetic and not any(SYNTHETIC_MARK in word for word in side.drawn_on):
        return f"{side.name}: contoured on a {SYNTHETIC_MARK} image"
    return f"{side.name}: contoured on {side.origin}" if side.drawn_on else side.name


# --- panels -------------------------------------------------------------------------------


@dataclass(frozen=True)
class _View:
    """How slices of an array lie when they are looked at.

    An array's slice is transposed if needed, then flipped along ``flipped``; ``pixel_mm`` is
    (down, across); ``letters`` are what lies left, right, above and below.
    """

    transposed: bool
    flipped: tuple[int, ...]
    pixel_mm: tuple[float, float]
    letters: str

    @classmethod
    def of(cls, volume: Volume) -> _View:
        """Axial and coronal: columns to the patient's left; sagittal: to posterior. Axial: rows
        to posterior; the others: to inferior."""
        from scipy.optimize import linear_sum_assignment

        direction, spacing = volume.direction, volume.spacing
        _, world = linear_sum_assignment(-np.abs(direction.T))  # axis along which an index runs
        across, across_sign, down, down_sign, letters = (
            (1, 1, 2, -1, "APSI"),
            (0, 1, 2, -1, "RLSI"),
            (0, 1, 1, 1, "RLAP"),
        )[world[2]]
        column, row = int(np.flatnonzero(world == across)[0]), int(np.flatnonzero(world == down)[0])
        turned = (direction[down, row] * down_sign < 0, direction[across, column] * across_sign < 0)
        return cls(
            column == 1,
            tuple(axis for axis in (0, 1) if turned[axis]),
            (float(spacing[row]), float(spacing[column])),
            letters,
        )

    def turn(self, array: np.ndarray) -> np.ndarray:
        """A slice (rows, columns) of the array as it is looked at."""
        return np.flip(array.T if self.transposed else array, self.flipped)


class _Painter:
    """Draws panels over one image."""

    def __init__(self, image: Volume) -> None:
        self.image = image
        self.view = _View.of(image)
        low, high = CT_WINDOW
        if image.sequence != "CT":
            low, high = percentiles_inside(image.voxels, (0.5, 99.5))
        if high <= low:  # one value beside the background
            low = float(np.nanmin(image.voxels))
        self.low, self.range = low, max(high - low, 1e-6)

    def panel(self, row: Row, first: np.ndarray, second: np.ndarray) -> Panel:
        """One structure; either mask (slices, rows, columns) may be empty, not both."""
        areas = [np.count_nonzero(mask, axis=(1, 2)) for mask in (first, second)]
        k = int(np.lexsort((np.minimum(*areas), np.maximum(*areas)))[-1])
        shown = [self.view.turn(mask[k]) for mask in (first, second)]
        corner, mm = self._window(*shown)
        panel = self._grey(self.view.turn(self.image.voxels[k]), corner, mm)
        draw = ImageDraw.Draw(panel)
        for mask, broken in zip(shown, (False, True), strict=True):
            for line in _outlines(mask):
                points = ((line * self.view.pixel_mm - corner) / mm)[:, ::-1]
                _stroke(draw, points * _FINE, broken, _FINE)
        panel = panel.resize((SIZE, SIZE), Image.Resampling.LANCZOS)
        self._write(ImageDraw.Draw(panel), k, mm, [area[k] > 0 for area in areas])
        return Panel(np.asarray(panel), _caption(row))

    def _window(self, first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, float]:
        """(down, across) in mm of a square about both, and millimetres a pixel."""
        box = joint_box(first, second)
        ends = np.array([(side.start - 0.5, side.stop - 0.5) for side in box])
        ends *= np.array(self.view.pixel_mm)[:, None]
        width = max(float(np.ptp(ends, axis=1).max()) + 2 * MARGIN_MM, LEAST_MM)
        return ends.mean(1) - width / 2, width / SIZE

    def _grey(self, image: np.ndarray, corner: np.ndarray, mm: float) -> Image.Image:
        """The window of a slice, enlarged; black beyond its edge."""
        values = np.nan_to_num((image.astype(np.float32) - self.low) / self.range).clip(0, 1)
        grey = Image.fromarray((255 * values).astype(np.uint8))
        (down, across), step = self.view.pixel_mm, mm / _FINE
        matrix = (
            step / across,
            0,
            corner[1] / across + 0.5,
            0,
            step / down,
            corner[0] / down + 0.5,
        )
        size = (SIZE * _FINE, SIZE * _FINE)
        method, filtered = Image.Transform.AFFINE, Image.Resampling.BICUBIC
        return grey.transform(size, method, matrix, filtered).convert("RGB")

    def _write(self, draw: ImageDraw.ImageDraw, k: int, mm: float, here: Sequence[bool]) -> None:
        """Sides, slice, scale, what is synthetic, and whose outline is on another slice."""
        font, far, middle = ImageFont.load_default(_FONT), SIZE - 6, SIZE / 2

        def say(where: tuple[float, float], text: str, anchor: str, fill=_TEXT) -> None:
            draw.text(where, text, fill, font, anchor, stroke_width=2, stroke_fill=_BLACK)

        left, right, above, below = self.view.letters
        say((6, middle), left, "lm")
        say((far, middle), right, "rm")
        say((middle, 5), above, "ma")
        say((middle, far), below, "md")
        say((6, far), f"slice {k + 1} of {self.image.shape[0]}", "ld")
        bar = _BAR_MM / mm
        draw.line([(far - bar, far - 3), (far, far - 3)], _BLACK, 5)
        draw.line([(far - bar, far - 3), (far, far - 3)], _TEXT, 2)
        say((far, far - 8), f"{_BAR_MM:.0f} mm", "rd")
        if self.image.is_synthetic:
            say((6, 5), SYNTHETIC_MARK, "la", _SYNTHETIC_TEXT)
        for present, name, colour in zip(here, ("first", "second"), (FIRST, SECOND), strict=True):
            if not present:
                say((far, 5), f"{name}: not here", "ra", colour)


def _caption(row: Row) -> str:
    found = row.agreement
    if found.hd95_mm is None:
        return f"{row.structure}: {found.reason}"
    return f"{row.structure}: Dice {found.dice:.2f}, HD95 {found.hd95_mm:.1f} mm"


# --- lines --------------------------------------------------------------------------------


def _outlines(mask: np.ndarray) -> list[np.ndarray]:
    """Closed lines (points, 2) about a mask and its holes, in indices (row, column)."""
    from skimage.measure import find_contours

    return [line - 1.0 for line in find_contours(np.pad(mask, 1).astype(np.float32), 0.5)]


def _stroke(draw: ImageDraw.ImageDraw, points: np.ndarray, broken: bool, scale: float) -> None:
    """A line through (points, 2) of (x, y): the first's, or the second's if it is broken.

    Its dark edge keeps it visible on bright tissue.
    """
    pieces = list(_dashes(points, _DASH * scale, _GAP * scale)) if broken else [points]
    for colour, width in (
        (_BLACK, _LINE + 2 * _EDGE),
        (SECOND if broken else FIRST, _LINE),
    ):
        for piece in pieces:
            line = [tuple(point) for point in piece.tolist()]
            draw.line(line, fill=colour, width=round(width * scale), joint="curve")


def _dashes(points: np.ndarray, dash: float, gap: float) -> Iterator[np.ndarray]:
    """Pieces of a line (points, 2); a short line gets at least three."""
    steps = np.linalg.norm(np.diff(points, axis=0), axis=1)
    along = np.concatenate(([0.0], np.cumsum(steps)))
    number = max(3, round(along[-1] / (dash + gap)))
    period = along[-1] / number
    for start in period * np.arange(number):
        end = start + period * dash / (dash + gap)
        within = along[(along > start) & (along < end)]
        place = np.concatenate(([start], within, [end]))
        yield np.stack([np.interp(place, along, points[:, axis]) for axis in (0, 1)], axis=1)
