"""Pictures for the report and the README, put together from rendered views.

The views themselves come from Slicer's own view code (``MRISynthApp.scene``); here they are
only laid side by side, never resampled, so that what is seen is what Slicer shows.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from MRISynthLib.provenance import SYNTHETIC_MARK

_BACKGROUND = (0, 0, 0)
_TEXT = (235, 235, 235)
_SYNTHETIC_TEXT = (240, 180, 70)
_GAP = 6
_CAPTION_SIZE = 15


@dataclass(frozen=True, eq=False)
class Panel:
    """One rendered view.

    ``image`` is an (rows, columns, 3) or (rows, columns, 4) array of uint8, top row first;
    ``caption`` says what is seen, ``synthetic`` puts the mark before it.
    """

    image: np.ndarray
    caption: str
    synthetic: bool = False

    def __post_init__(self) -> None:
        image = np.asarray(self.image)
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] not in (3, 4):
            raise ValueError(
                f"a panel needs uint8 RGB(A) of shape (rows, columns, 3 or 4), not {image.dtype} "
                f"of shape {image.shape}"
            )
        object.__setattr__(self, "image", image[:, :, :3])

    @property
    def marked_caption(self) -> str:
        """The caption, with the mark of a synthetic image before it."""
        return f"{SYNTHETIC_MARK} {self.caption}" if self.synthetic else self.caption


def compose(rows: Sequence[Sequence[Panel]]) -> np.ndarray:
    """Rows of panels with captions under them, as one RGB array (rows, columns, 3) of uint8.

    Every cell is as large as the largest panel; smaller ones are centred on black.

    Raises
    ------
    ValueError
        If there is no panel.
    """
    panels = [panel for row in rows for panel in row]
    if not panels:
        raise ValueError("a figure needs at least one panel")
    height = max(panel.image.shape[0] for panel in panels)
    width = max(panel.image.shape[1] for panel in panels)
    font = ImageFont.load_default(_CAPTION_SIZE)
    caption_height = 2 * _CAPTION_SIZE
    columns = max(len(row) for row in rows)
    canvas = Image.new(
        "RGB",
        (columns * (width + _GAP) - _GAP, len(rows) * (height + caption_height)),
        _BACKGROUND,
    )
    draw = ImageDraw.Draw(canvas)
    for row_index, row in enumerate(rows):
        top = row_index * (height + caption_height)
        for column, panel in enumerate(row):
            left = column * (width + _GAP)
            panel_height, panel_width = panel.image.shape[:2]
            centred = (left + (width - panel_width) // 2, top + (height - panel_height) // 2)
            canvas.paste(Image.fromarray(panel.image), centred)
            draw.text(
                (left + width / 2, top + height + caption_height / 2),
                _fitted(panel.marked_caption, font, width),
                fill=_SYNTHETIC_TEXT if panel.synthetic else _TEXT,
                font=font,
                anchor="mm",
            )
    return np.asarray(canvas)


def png_bytes(image: np.ndarray) -> bytes:
    """An RGB array of uint8 as a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _fitted(text: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    """The text, shortened with an ellipsis where it is wider than its cell."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "...") > width:
        text = text[:-1]
    return text.rstrip() + "..."
