"""Files that say that their voxels lie in another file, which may be any file of this machine."""

from __future__ import annotations

import errno
import mmap
import re
import shutil
from pathlib import Path

from MRISynthLib.errors import InputError

from .archives import safe_name

NUMBER = re.compile(r"^\d{5}_")
"""What the server puts before the names of the files that it stores."""

_METAIMAGE_STARTS = (b"ObjectType", b"NDims", b"Comment")
_METAIMAGE_ENDINGS = (".mha", ".mhd")
_ELSEWHERE = re.compile(rb"ElementDataFile(?![ \t]*[=:][ \t]*LOCAL[ \t]*\r?\n)", re.IGNORECASE)

_HEADER_BYTES = 1 << 16
"""A header without its voxels is never larger."""
_METAIMAGE_NAME = re.compile(rb"(?m)^ElementDataFile[ \t]*[=:][ \t]*([^\r\n]+?)[ \t]*\r?\n?\Z")
_NRRD_NAME = re.compile(rb"(?mi)^data ?file:[ \t]*([^\r\n]+?)[ \t]*(?:\r?\n|\Z)")
_PACKED = re.compile(rb"(?mi)^CompressedData[ \t]*[=:][ \t]*T\w*[ \t]*\r?\n")
_SIZE = re.compile(rb"(?m)^CompressedDataSize")
"""ITK cannot do without it where the voxels are in the header's file."""


def join_references(folder: Path) -> None:
    """Make one file each of headers and the voxels that were sent with them.

    That is what .mhd with .raw or .zraw and .nhdr with .raw or .raw.gz become. A header's name for
    its voxels is not followed: it is compared with the names of the files in ``folder``, as they
    were stored.

    Raises
    ------
    InputError
        If there is no room for it.
    """
    files = [path for path in sorted(folder.iterdir()) if path.is_file()]
    for header in files:
        if not header.exists() or not 0 < header.stat().st_size <= _HEADER_BYTES:
            continue
        content = header.read_bytes()
        if content.startswith(_METAIMAGE_STARTS):
            name, local = _METAIMAGE_NAME.search(content), b"ElementDataFile = LOCAL\n"
        elif content.startswith(b"NRRD"):
            name, local = _NRRD_NAME.search(content), b"\n"  # the header ends with an empty line
        else:
            continue
        voxels = _sent_as(name[1], files) if name else []
        if len(voxels) != 1 or voxels[0] == header or not voxels[0].exists():
            continue
        start = (content[: name.start()] + content[name.end() :]).rstrip() + b"\n"
        if not _SIZE.search(start):
            start = _PACKED.sub(
                rb"\g<0>CompressedDataSize = %d\n" % voxels[0].stat().st_size, start
            )
        try:
            _join(header, start + local, voxels[0])
        except OSError as error:
            raise InputError(_no_room(error)) from error


def _sent_as(name: bytes, files: list[Path]) -> list[Path]:
    text = name.decode("utf-8", "replace").removeprefix("./")
    if re.search(r"[\\/]", text):
        return []
    return [path for path in files if NUMBER.sub("", path.name) == safe_name(text)]


def _join(header: Path, start: bytes, voxels: Path) -> None:
    whole = header.with_name(f".{header.name}")
    try:
        with whole.open("xb") as target, voxels.open("rb") as source:
            target.write(start)
            shutil.copyfileobj(source, target)
        whole.replace(header)
    except BaseException:
        whole.unlink(missing_ok=True)
        raise
    voxels.unlink()


def _no_room(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "This machine's disk is full, so the image cannot be read; free some space there."
    return f"The image cannot be read ({error.strerror or error}); send it as one .nii.gz file."


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
                f"{path} only names another file that holds its voxels, and that was not sent with "
                "it; send both together, or save the image as one file (.nii.gz, .nrrd or .mha)."
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
