"""The desk as the page's lists and tables: plain values that go through JSON."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from MRISynthLib.errors import InputError
from MRISynthLib.panel import InputRow
from MRISynthLib.provenance import SYNTHETIC_MARK
from MRISynthLib.review import modes
from MRISynthSegmentLib import panel as segment_panel
from MRISynthSegmentLib.structures import STRUCTURES

from .desk import Desk

UNKNOWN_COLOUR = (0.6, 0.6, 0.6)

Rows = list[dict[str, Any]]


def images(desk: Desk) -> Rows:
    """All images, with what each is taken for and whether it is an input."""
    used = {row.key for row in desk.used()}
    return [
        {
            "key": row.key,
            "name": title(row),
            "sequence": row.chosen or (row.recognised if row.sure else None),
            "recognised": row.recognition_text(),
            "ticked": row.key in used,
            "synthetic": row.synthetic,
            "reason": row.problem or row.reason,
        }
        for row in desk.rows()
    ]


def title(row: InputRow) -> str:
    """What an image is called, its sequence among it."""
    name = row.name.removeprefix(SYNTHETIC_MARK).strip()
    known = row.sequence or "?"
    name = name if known in name else f"{known}: {name}"
    return f"{SYNTHETIC_MARK} {name}" if row.synthetic else name


def choices(desk: Desk) -> Rows:
    """The images for a list to choose from."""
    return [{"title": title(row), "value": row.key} for row in desk.rows()]


def targets(desk: Desk) -> Rows:
    """What can be made."""
    return [
        {
            "sequence": row.sequence,
            "ticked": row.ticked,
            "problem": row.problem,
            "description": row.problem or row.description,
        }
        for row in desk.targets()
    ]


def structure_groups(desk: Desk) -> Rows:
    """What can be looked for, by region."""
    ticked = set(desk.structures())
    return [
        {
            "title": heading,
            "members": [
                {
                    "name": each.name,
                    "label": segment_panel.structure_text(each, desk.segmenter),
                    "tip": segment_panel.structure_tip(each, desk.segmenter),
                    "ticked": each.name in ticked,
                    "colour": _hex(each.colour),
                }
                for each in members
            ],
        }
        for heading, members in segment_panel.groups(desk.segmenter)
    ]


def results(desk: Desk, hidden: Collection[str]) -> Rows:
    """The structures that were found, with their volumes."""
    if desk.segmentation is None:
        return []
    return [
        {
            "name": row.name,
            "label": row.label,
            "volume": row.volume_text(),
            "doubt": row.doubt_text(),
            "colour": _hex(_colour(row.name)),
            "shown": row.name not in hidden,
        }
        for row in segment_panel.result_rows(desk.segmentation)
    ]


def figures(info: dict[str, Any]) -> Rows:
    """Numbers of a comparison, by region."""
    return [
        {
            "region": region,
            "mae": f"{values['MAE']:.3f}",
            "psnr": f"{values['PSNR']:.1f}",
            "ssim": f"{values['SSIM']:.3f}",
        }
        for region, values in info["figures"].items()
    ]


def mode_reasons(desk: Desk, left: str | None, right: str | None) -> dict[str, str]:
    """Why each way of combining two images is not possible; empty where it is."""
    both = "" if left and right and left != right else "Choose two different images first."
    doubt = "" if right in desk.uncertainty else "The right image has no uncertainty map."
    apart = both
    if left and right and not both:
        try:
            desk.comparison(left, right)
        except InputError as error:
            apart = str(error)
    return {
        modes.BLEND: both,
        modes.FLICKER: both,
        modes.CHECKERBOARD: both,
        modes.DIFFERENCE: apart,
        modes.UNCERTAINTY: doubt,
    }


def _colour(name: str) -> tuple[float, ...]:
    return STRUCTURES[name].colour if name in STRUCTURES else UNKNOWN_COLOUR


def _hex(colour: tuple[float, ...]) -> str:
    return "#" + "".join(f"{round(255 * value):02x}" for value in colour)
