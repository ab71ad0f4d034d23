"""Two segmentations of one patient side by side: those made on a synthetic image and on the real
one, of two people, before and after a correction."""

from __future__ import annotations

import csv
import difflib
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from MRISynthLib.errors import InputError
from MRISynthLib.progress import SILENT, Callbacks
from MRISynthLib.provenance import SYNTHETIC_MARK

from .agreement import Agreement, agreement
from .grids import on_grid
from .segmentation import Segmentation

if TYPE_CHECKING:
    from MRISynthLib.evaluation.tables import Table
    from MRISynthLib.volume import Volume

NOTES = (
    "The first is the yardstick: volume error is (second - first) / first, and the centre's shift "
    "goes from the first to the second, to the patient's left (L) or right (R), anterior (A) or "
    "posterior (P), superior (S) or inferior (I).",
    "HD95: 95th percentile of the distances between the surfaces, the larger of both directions. "
    "HD95 and mean distance count every voxel of a surface once. Surface Dice: share of both "
    "surfaces, by area, within 1 or 2 mm of the other.",
    "Where a structure is empty in one of them both kinds of Dice are 0 and there is no distance; "
    "where it is empty in both there is neither.",
)

_DIRECTIONS = ("LR", "PA", "SI")
"""Letters of a positive and a negative shift along the axes of LPS."""


@dataclass(frozen=True)
class Side:
    """One of the two: what it is called, and the sequences on which it was contoured (synthetic
    ones marked; none where that is not recorded)."""

    name: str
    drawn_on: tuple[str, ...] = ()
    synthetic: bool = False

    @property
    def origin(self) -> str:
        """On what it was contoured, in words."""
        return ", ".join(self.drawn_on) or "origin not recorded"


@dataclass(frozen=True)
class Row:
    """One structure of both; ``name_in_second`` differs if the second writes it otherwise."""

    structure: str
    name_in_second: str
    agreement: Agreement


@dataclass(frozen=True)
class Comparison:
    """What :func:`compare` found.

    ``only_in_first`` and ``only_in_second`` are structures that were not compared; ``image`` is
    the name of the image on whose grid they were.
    """

    first: Side
    second: Side
    image: str
    rows: tuple[Row, ...]
    only_in_first: tuple[str, ...] = ()
    only_in_second: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            "first": asdict(self.first),
            "second": asdict(self.second),
            "image": self.image,
            "structures": {row.structure: _plain(row) for row in self.rows},
            "only_in_first": list(self.only_in_first),
            "only_in_second": list(self.only_in_second),
            "warnings": list(self.warnings),
        }

    def csv(self) -> str:
        """A line for each structure, with a head; what could not be measured is empty."""
        text = io.StringIO()
        lines = [{"structure": row.structure, **_plain(row, flat=True)} for row in self.rows]
        writer = csv.DictWriter(text, list(lines[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)
        return text.getvalue()

    def table(self) -> Table:
        """The figures as text, for people."""
        from MRISynthLib.evaluation.tables import Table

        columns = (
            "structure", "Dice", "HD95 (mm)", "mean distance (mm)", "surface Dice 1 mm",
            "surface Dice 2 mm", "first (ml)", "second (ml)", "volume error",
            "centre shift (mm)", "remark",
        )  # fmt: skip
        return Table("Comparison of contours", columns, tuple(_cells(row) for row in self.rows))

    def markdown(self) -> str:
        """All of it as one text."""
        table = self.table()
        lines = [f"# {table.title}", ""]
        lines += [f"- first: {self.first.name}, contoured on {self.first.origin}"]
        lines += [f"- second: {self.second.name}, contoured on {self.second.origin}"]
        lines += [f"- on the grid of: {self.image}"]
        for where, names in (("first", self.only_in_first), ("second", self.only_in_second)):
            if names:
                lines.append(f"- only in the {where}, not compared: {', '.join(names)}")
        lines += [f"- **Warning:** {warning}" for warning in self.warnings]
        lines += ["", table.markdown(), "", "## Notes", "", *(f"- {note}" for note in NOTES), ""]
        return "\n".join(lines)


def compare(
    first: Segmentation,
    second: Segmentation,
    structures: Sequence[str] | None = None,
    names: tuple[str, str] = ("first", "second"),
    *,
    callbacks: Callbacks = SILENT,
) -> Comparison:
    """Compare what two segmentations have in common, structure by structure.

    They are compared on the grid of the first; a second one that was drawn on another is brought
    onto it. Names that differ only in upper and lower case, blanks and underscores are taken for
    the same structure.

    Parameters
    ----------
    structures:
        Names of the structures; None for all that both have.
    names:
        What the two are called in tables and messages.

    Raises
    ------
    InputError
        If they do not overlap in space, have no structure in common, or one that was asked for is
        in neither.
    Cancelled
        If the callbacks say so.
    """
    warnings = [_of(names[0], text) for text in first.warnings]
    known = [each.reference.acquisition.get("FrameOfReferenceUID") for each in (first, second)]
    if all(known) and known[0] != known[1]:
        warnings.append(
            f"{names[0]} and {names[1]} were drawn on images of different frames of reference; "
            "they are compared as if these were aligned."
        )
    second = on_grid(second, first.reference, names[1])
    warnings += [_of(names[1], text) for text in second.warnings]
    sides = tuple(_side(each, name) for each, name in zip((first, second), names, strict=True))
    for side in sides:
        if side.synthetic:
            what = f" ({side.origin})" if side.drawn_on else ""
            warnings.append(f"{side.name} was contoured on a synthetic image{what}.")
    same = common_structures(first.masks, second.masks)
    wanted = _wanted(structures, first, second, names)
    matrix = first.reference.index_to_world
    both = [name for name in wanted if name in same]
    rows = []
    for count, name in enumerate(both):
        callbacks.progress("measure", count, len(both))
        found = agreement(first.masks[name], second.masks[same[name]], matrix)
        rows.append(Row(name, same[name], found))
    if not rows and structures:
        raise InputError(
            f"{', '.join(wanted)}: not in both {names[0]} and {names[1]}; ask for structures that "
            f"both have: {', '.join(same) or 'there is none'}."
        )
    if not rows:
        raise InputError(
            f"{names[0]} and {names[1]} have no structure in common to compare "
            f"({', '.join(first.masks)}; {', '.join(second.masks)}); rename those that belong "
            "together."
        )
    otherwise = [row for row in rows if row.structure != row.name_in_second]
    if otherwise:
        pairs = ", ".join(f"{row.structure} with {row.name_in_second}" for row in otherwise)
        warnings.append(f"Names differ in spelling; compared: {pairs}.")
    matched = set(same.values())
    return Comparison(
        *sides,
        _label(first.reference),
        tuple(rows),
        tuple(name for name in wanted if name in first.masks and name not in same),
        tuple(name for name in wanted if name in second.masks and name not in matched),
        tuple(dict.fromkeys(warnings)),
    )


def common_structures(first: Iterable[str], second: Iterable[str]) -> Mapping[str, str]:
    """Names of structures in the first that the second has too -> how it writes them."""
    first, second = list(first), list(second)
    same = {}
    alone = [[n for n in a if n not in b] for a, b in ((first, second), (second, first))]
    for name in first:
        if name in second:
            same[name] = name
            continue
        alike = [[n for n in names if _folded(n) == _folded(name)] for names in alone]
        if [len(names) for names in alike] == [1, 1]:
            same[name] = alike[1][0]
    return same


def _wanted(
    structures: Sequence[str] | None,
    first: Segmentation,
    second: Segmentation,
    names: tuple[str, str],
) -> list[str]:
    """The structures that were asked for, as the segmentations write them."""
    there = list(dict.fromkeys((*first.masks, *second.masks)))
    if not structures:
        return there
    wanted = []
    for text in structures:
        found = [name for name in there if _folded(name) == _folded(text)]
        if not found:
            near = difflib.get_close_matches(text, there, n=3, cutoff=0.4) or there
            raise InputError(
                f"Neither {names[0]} nor {names[1]} has a structure '{text}'; the nearest: "
                f"{', '.join(near)}."
            )
        wanted += found
    return list(dict.fromkeys(wanted))


def _folded(name: str) -> str:
    return name.casefold().replace("_", "").replace(" ", "")


def _of(name: str, warning: str) -> str:
    return warning if name in warning else f"{name}: {warning}"


def _label(image: Volume) -> str:
    name = (image.name or image.sequence or "the image").removeprefix(SYNTHETIC_MARK).strip()
    return f"{SYNTHETIC_MARK} {name}" if image.is_synthetic else name


def _side(segmentation: Segmentation, name: str) -> Side:
    provenance = segmentation.provenance
    inputs = provenance.inputs if provenance else ()
    drawn_on = []
    for item in inputs:
        word = str(item.get("sequence") or item.get("name") or "?")
        drawn_on.append(f"{SYNTHETIC_MARK} {word}" if item.get("synthetic") else word)
    synthetic = provenance is not None and provenance.synthetic
    synthetic |= any(item.get("synthetic", False) for item in inputs)
    # An RTSTRUCT has no place for provenance: its description says it, and so a warning.
    synthetic |= any(SYNTHETIC_MARK in warning for warning in segmentation.warnings)
    return Side(name, tuple(drawn_on), bool(synthetic))


# --- rows ---------------------------------------------------------------------------------


def _plain(row: Row, flat: bool = False) -> dict[str, Any]:
    """The figures of a row, rounded to what they are good for; vectors in columns if ``flat``."""
    found = {"name_in_second": row.name_in_second, **asdict(row.agreement)}
    shift = found.pop("centre_shift_lps_mm")
    reason = found.pop("reason")
    found["centre_shift_mm"] = row.agreement.centre_shift_mm
    if flat:
        for axis, letter in enumerate(("left", "posterior", "superior")):
            found[f"centre_shift_{letter}_mm"] = None if shift is None else shift[axis]
    else:
        found["centre_shift_lps_mm"] = None if shift is None else [round(x, 4) for x in shift]
    rounded = {k: round(v, 4) if isinstance(v, float) else v for k, v in found.items()}
    return {**rounded, "remark": reason}


def _cells(row: Row) -> tuple[str, ...]:
    found = row.agreement
    volume = "–" if found.volume_error is None else f"{100 * found.volume_error:+.1f} %"
    return (
        row.structure.replace("|", "/"),
        number(found.dice, 3),
        number(found.hd95_mm, 1),
        number(found.mean_distance_mm, 2),
        number(found.surface_dice_1mm, 3),
        number(found.surface_dice_2mm, 3),
        number(found.volume_first_ml, 2),
        number(found.volume_second_ml, 2),
        volume,
        _shift(found),
        found.reason,
    )


def number(value: float | None, decimals: int) -> str:
    """A figure as text, a dash where there is none."""
    return "–" if value is None else f"{value:.{decimals}f}"


def _shift(found: Agreement) -> str:
    """Length and direction, as ``2.2 (L 1.0, A 2.0)``; directions below 0.05 mm are left out."""
    if found.centre_shift_lps_mm is None:
        return "–"
    words = [
        f"{letters[0] if x > 0 else letters[1]} {abs(x):.1f}"
        for x, letters in zip(found.centre_shift_lps_mm, _DIRECTIONS, strict=True)
        if abs(x) >= 0.05
    ]
    return f"{found.centre_shift_mm:.1f}" + (f" ({', '.join(words)})" if words else "")
