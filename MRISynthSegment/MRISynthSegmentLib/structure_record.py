"""What is kept of a structure beside its voxels: who drew it, how doubtful it is, how it looked.

In ``.seg.nrrd`` files and in scenes these are tags of the segment, which Slicer writes again when
it saves a file (other keys of the header it drops); beside label maps they are in the JSON file.
How a structure looked when it was drawn tells whether anybody has changed it since.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote, unquote

import numpy as np

from MRISynthLib.boxes import box_of

from .origins import AUTOMATIC, SEMIAUTOMATIC, Origin, origins_recorded
from .segmentation import Segmentation

INPUTS_TAG = "MRISynth.Inputs"
"""Segment tag that names the inputs."""

DOUBT_TAG = "MRISynth.Doubt"
"""Segment tag with a structure's doubt, 0 to 1."""

DRAWN_TAG = "MRISynth.Drawn"
"""Segment tag by which it is known whether what a model drew was edited since: :func:`look_of`."""

ORIGIN_TAG = "MRISynth.Origin"
"""Segment tag that says who or what drew it: :func:`origin_text`."""

SAME_PLACE_MM = 0.05
"""How far a structure may lie from where it was drawn: other programs round."""

_PLAIN = " {}[]\",:;=+()/'<>#!?*@$&^~`"
"""Characters that a tag may hold as they are, beside letters and digits."""


@dataclass(frozen=True)
class Record:
    """Of one structure; None, or empty for ``drawn``, where nothing is recorded."""

    origin: Origin | None = None
    doubt: float | None = None
    drawn: str = ""

    def tags(self) -> dict[str, str]:
        """As segment tags."""
        found = {}
        if self.origin is not None:
            found[ORIGIN_TAG] = origin_text(self.origin)
        if self.doubt is not None:
            found[DOUBT_TAG] = f"{self.doubt:.4f}"
        if self.drawn:
            found[DRAWN_TAG] = self.drawn
        return found

    @classmethod
    def from_tags(cls, tags: Mapping[str, str]) -> Record:
        """The inverse of :meth:`tags`; a structure that only says its inputs is a model's.

        Raises
        ------
        ValueError, LookupError, TypeError
            If a tag cannot be what the product wrote.
        """
        origin = origin_from(tags[ORIGIN_TAG]) if ORIGIN_TAG in tags else None
        if origin is None and INPUTS_TAG in tags:
            origin = Origin(AUTOMATIC)
        doubt = float(tags[DOUBT_TAG]) if DOUBT_TAG in tags else None
        return cls(origin, doubt, tags.get(DRAWN_TAG, ""))

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON; what is not recorded is left out."""
        plain = {
            "doubt": self.doubt,
            "origin": None if self.origin is None else self.origin.to_dict(),
            "drawn": self.drawn or None,
        }
        return {key: value for key, value in plain.items() if value is not None}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Record:
        """The inverse of :meth:`to_dict`; other keys are passed over.

        Raises
        ------
        ValueError, LookupError, TypeError
            If a value cannot be what the product wrote.
        """
        origin, doubt = plain.get("origin"), plain.get("doubt")
        return cls(
            None if origin is None else Origin.from_dict(origin),
            None if doubt is None else float(doubt),
            str(plain.get("drawn") or ""),
        )


def records_of(segmentation: Segmentation, index_to_ras: np.ndarray) -> dict[str, Record]:
    """What is to be kept of each structure; how it looks now of those that only a model drew."""
    origins = origins_recorded(segmentation)
    found = {}
    for name, mask in segmentation.masks.items():
        origin = origins.get(name)
        by_model = segmentation.provenance is not None and origin is not None
        drawn = by_model and origin.kind == AUTOMATIC
        look = look_of(name, mask, index_to_ras) if drawn else ""
        found[name] = Record(origin, segmentation.doubt.get(name), look)
    return found


def with_records(
    segmentation: Segmentation,
    records: Mapping[str, Record],
    index_to_ras: np.ndarray,
    as_written: bool,
) -> Segmentation:
    """A segmentation as it was read, with what its file has kept of each structure.

    What was changed since a model drew it was drawn by both, and nobody knows its doubt; a warning
    says so. Beside structures that are recorded one without a record is nobody's.

    Parameters
    ----------
    as_written:
        Whether the file is still the product's own; in another one a structure that does not say
        how it looked may have been changed.
    """
    if not any(record.origin or record.tags() for record in records.values()):
        return segmentation
    origins: dict[str, Origin] = {}
    doubt: dict[str, float] = {}
    changed, unsure = [], []
    for name, record in records.items():
        origin = record.origin
        if origin is None:
            if not as_written:
                origins[name] = Origin()
            continue
        origins[name] = origin
        same = as_written
        if record.drawn:
            now = look_of(name, segmentation.masks[name], index_to_ras)
            same = same_look(record.drawn, now)
        if same and record.doubt is not None:
            doubt[name] = record.doubt
        if not same and origin.kind == AUTOMATIC:
            (changed if record.drawn else unsure).append(name)
            origins[name] = replace(origin, kind=SEMIAUTOMATIC, description="")
    warnings = [*segmentation.warnings, *_said(changed, unsure)]
    return replace(segmentation, origins=origins, doubt=doubt, warnings=tuple(warnings))


def _said(changed: Iterable[str], unsure: Iterable[str]) -> list[str]:
    said = []
    for names, what in (
        (changed, "Changed since a model drew them"),
        (unsure, "Saved by another program since a model drew them, and perhaps changed"),
    ):
        if names:
            said.append(f"{what}: {', '.join(names)}; they count as corrected by hand.")
    return said


# --- how it looks -------------------------------------------------------------------------


def look_of(
    name: str,
    mask: np.ndarray,
    index_to_ras: np.ndarray,
    first: tuple[int, int, int] = (0, 0, 0),
) -> str:
    """Where a structure's first voxel lies (RAS mm), a hash of its shape, and its name.

    Parameters
    ----------
    name:
        What it is called: who renames a structure says that it is another one.
    mask:
        Boolean (slices, rows, columns).
    index_to_ras:
        4x4: (column, row, slice, 1) to RAS millimetres.
    first:
        (column, row, slice) of the array's first voxel.
    """
    box = box_of(mask) if mask.size else None
    if box is None:
        return f"0 0 0 empty {quote(name, safe='')}"
    start = np.array([side.start for side in reversed(box)]) + first
    place = index_to_ras @ (*start, 1)
    digest = hashlib.blake2b(repr(mask[box].shape).encode(), digest_size=12)
    digest.update(np.packbits(mask[box]))
    numbers = (f"{value:.3f}" for value in place[:3])
    return " ".join([*numbers, digest.hexdigest(), quote(name, safe="")])


def same_look(then: str, now: str) -> bool:
    """Whether two of :func:`look_of` are of the same structure in the same place.

    Earlier versions noted no name: then any is the same.
    """
    old, new = then.split(), now.split()
    if len(old) not in (4, 5) or old[3:] != new[3 : len(old)]:
        return False
    apart = np.abs(np.subtract(np.float64(old[:3]), np.float64(new[:3])))
    return bool(apart.max() <= SAME_PLACE_MM)


def name_when_drawn(look: str) -> str:
    """The name in :func:`look_of`; empty if there is none."""
    return unquote("".join(look.split()[4:5]))


# --- who drew it --------------------------------------------------------------------------


def origin_text(origin: Origin) -> str:
    """JSON, of which what a tag or the header of a NRRD file cannot hold is percent-encoded."""
    text = json.dumps(origin.to_dict(), ensure_ascii=False, separators=(",", ":"))
    return quote(text, safe=_PLAIN)


def origin_from(text: str) -> Origin:
    """The inverse of :func:`origin_text`.

    Raises
    ------
    ValueError, LookupError, TypeError
        If it is none.
    """
    return Origin.from_dict(json.loads(unquote(text)))
