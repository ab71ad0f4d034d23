"""From files to images and contours, with messages that say nothing about this machine."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from MRISynthLib import io
from MRISynthLib.errors import InputError
from MRISynthLib.volume import Volume

from ..inputs import Origin, origins_of
from .inflation import refuse_inflation
from .references import NUMBER, join_references, refuse_references

CONTOURS = ".seg.nrrd"


@dataclass
class Found:
    """What was in some files.

    ``origins`` says for each of the ``images`` whose it is, as far as that is known.
    ``uncertainty`` maps the place of a synthetic image in ``images`` to its map. ``contours`` are
    files that hold structures; they are read when there is an image for them.
    """

    images: list[Volume] = field(default_factory=list)
    origins: list[Origin] = field(default_factory=list)
    uncertainty: dict[int, Volume] = field(default_factory=dict)
    contours: list[Path] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)


def read_sent(folder: Path, allowed: int) -> Found:
    """Everything in what a page has sent, which may mean harm.

    Raises
    ------
    InputError
        If nothing in it can be used, if something in it leads to another file, or if it becomes
        larger than ``allowed``, in bytes, when it is unpacked.
    """
    join_references(folder)
    refuse_references(folder)
    refuse_inflation(folder, allowed)
    return read([folder])


def read(places: list[Path]) -> Found:
    """Everything in files and folders of this machine.

    Raises
    ------
    InputError
        If nothing in them can be used.
    """
    found = Found()
    maps: list[Volume] = []
    for place in places:
        contours = _contours_in(place)
        found.contours += contours
        if place in contours:
            continue
        try:
            volumes = io.load(place)
        except InputError:
            if not contours:
                raise
            continue
        except MemoryError as error:
            raise InputError(
                f"{place.name} is too large for the memory of this machine; send a smaller one."
            ) from error
        found.files.append(place)
        for volume, origin in zip(volumes, origins_of(place, volumes), strict=True):
            kind = volume.provenance.kind if volume.provenance is not None else "image"
            named = volume.replace(name=NUMBER.sub("", volume.name))
            if kind == "image":
                found.images.append(named)
                found.origins.append(origin)
            elif kind == "uncertainty":
                maps.append(named)
    for index, image in enumerate(found.images):
        if image.is_synthetic:
            for each in maps:
                if each.sequence == image.sequence and each.same_geometry(image):
                    found.uncertainty[index] = each
    if not found.images and not found.contours:
        raise InputError("There is no image in these files; send NIfTI, NRRD or DICOM files.")
    return found


def _contours_in(place: Path) -> list[Path]:
    if place.is_dir():
        found = [path for path in place.rglob(f"*{CONTOURS}") if path.is_file()]
        # by the visitor's names: files that are sent at once are numbered as they happen to come
        return sorted(found, key=lambda path: (NUMBER.sub("", path.name), path))
    return [place] if place.name.endswith(CONTOURS) else []


def without_paths(folder: Path) -> Callable[[str], str]:
    """A function that takes what is about this machine out of a message on uploaded files."""
    batch = rf"{re.escape(str(folder))}(?:/[0-9a-f]{{16}})?"

    def cleaned(text: str) -> str:
        text = re.sub(rf"(?:The folder )?{batch}(?![\w/])", "What you sent", text)
        text = re.sub(rf"{batch}[/\\](?:\d{{5}}_)?", "", text)
        text = re.sub(r"\b[0-9a-f]{16}\b", "what you sent", text)
        return re.sub(r"(?<!\w)\d{5}_(?=\w)", "", text)

    return cleaned
