"""Files that say that their voxels lie in another file, which may be any file of this machine."""

from __future__ import annotations

import errno
import mmap
import re
import shutil
from pathlib import Path

from MRISynthLib.errors import InputError
from MRISynthLib.io import metaimage

from .archives import safe_name

NUMBER = re.compile(r"^\d{5}_")
"""What the server puts before the names of the files that it stores."""

_METAIMAGE_STARTS = (b"ObjectType", b"NDims", b"Comment")
_METAIMAGE_ENDINGS = (".mha", ".mhd")
_ELSEWHERE = re.compile(rb"ElementDataFile(?![ \t]*[=:][ \t]*LOCAL[ \t]*\r?\n)", re.IGNORECASE)

_NRRD_NAME = re.compile(rb"(?mi)^data ?file:[ \t]*([^\r\n]+?)[ \t]*(?:\r?\n|\Z)")


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
        if not header.exists() or not 0 < header.stat().st_size <= metaimage.HEADER_BYTES:
            continue
        content = header.read_bytes()
        if content.startswith(_METAIMAGE_STARTS):
            fields, _ = metaimage.parse_header(content)
            name = fields.get("ElementDataFile")
        elif content.startswith(b"NRRD"):
            found = _NRRD_NAME.search(content)
            name = found and found[1]
        else:
            continue
        voxels = _sent_as(name, files) if name else []
        if len(voxels) != 1 or voxels[0] == header or not voxels[0].exists():
            continue
        if content.startswith(b"NRRD"):  # such a header ends with an empty line
            start = (content[: found.start()] + content[found.end() :]).rstrip() + b"\n\n"
        else:
            start = _local(fields, voxels[0].stat().st_size)
        try:
            _join(header, start, voxels[0])
        except OSError as error:
            raise InputError(_no_room(error)) from error


def _local(fields: dict[str, bytes], size: int) -> bytes:
    """The header of a MetaImage whose voxels, ``size`` bytes in the file, follow it."""
    lines = {name: value for name, value in fields.items() if name != "ElementDataFile"}
    if metaimage.is_compressed(fields):  # ITK cannot do without it where they are in one file
        lines.setdefault("CompressedDataSize", b"%d" % size)
    lines["ElementDataFile"] = b"LOCAL"
    return b"".join(b"%s = %s\n" % (name.encode("latin-1"), lines[name]) for name in lines)


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
