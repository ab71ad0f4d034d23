"""Files that say that their voxels lie in another file, which may be any file of this machine."""

from __future__ import annotations

import mmap
import re
from pathlib import Path

from MRISynthLib.errors import InputError

_METAIMAGE_STARTS = (b"ObjectType", b"NDims", b"Comment")
_METAIMAGE_ENDINGS = (".mha", ".mhd")
_ELSEWHERE = re.compile(rb"ElementDataFile(?![ \t]*[=:][ \t]*LOCAL[ \t]*\r?\n)", re.IGNORECASE)


def refuse_references(place: Path) -> None:
    """Let no file through, in a folder or by itself, that leads to another one.

    Raises
    ------
    InputError
        If there is one; the message names it and the way out.
    """
    for path in sorted(place.rglob("*")) if place.is_dir() else [place]:
        if path.is_file() and path.stat().st_size and _leads_elsewhere(path):
            raise InputError(
                f"{path} only names another file that holds its voxels, and such a name is not "
                "followed here; save the image as one file (.nii.gz, .nrrd or .mha)."
            )


def _leads_elsewhere(path: Path) -> bool:
    with path.open("rb") as stream:
        start = stream.read(16)
        if start.startswith(b"NRRD"):
            return _nrrd_leads_elsewhere(path)
        if not (start.startswith(_METAIMAGE_STARTS) or path.name.endswith(_METAIMAGE_ENDINGS)):
            return False
        # the whole file: a header has no largest size
        with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return _ELSEWHERE.search(content) is not None


def _nrrd_leads_elsewhere(path: Path) -> bool:
    """As the reader that is used for images and contours understands the header."""
    import nrrd

    try:
        with path.open("rb") as stream:
            header = nrrd.read_header(stream)
    except Exception:  # whatever it is, the file cannot be read later either
        return False
    return any(key.lower().replace(" ", "") == "datafile" for key in header)
