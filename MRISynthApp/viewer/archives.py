"""Names and archives that come from a browser, which may mean harm."""

from __future__ import annotations

import errno
import io
import re
import stat
import unicodedata
import zipfile
import zlib
from pathlib import Path

from MRISynthLib.errors import InputError

from .limits import Limits

NAME_LENGTH = 80
"""Characters of a name that are kept, its ending among them."""

SMALL = 1 << 20
"""An archive may become so large whatever its ratio: a few headers pack very well."""

PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""Ways of packing that are taken: others are unpacked in pieces of any size, all in memory."""

_DAMAGED = (zipfile.BadZipFile, RuntimeError, EOFError, zlib.error, ValueError, IndexError)
_CHUNK = 1 << 20
_CONTENTS = 1 << 23
_UNWANTED = re.compile(r"[^\w.() +-]")
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)


def safe_name(name: str) -> str:
    """The last part of a name as a file name that is harmless on every system.

    It has no separator, no leading dot and no control character, and is never empty.
    """
    last = re.split(r"[\\/]", unicodedata.normalize("NFC", name))[-1]
    text = _UNWANTED.sub("_", last).strip(" .") or "file"
    if _RESERVED.match(text):
        text = f"_{text}"
    if len(text) > NAME_LENGTH:
        ending = "".join(Path(text).suffixes[-2:])[-12:]
        text = text[: NAME_LENGTH - len(ending)] + ending
    return text


def is_litter(name: str) -> bool:
    """Whether a system leaves such files beside a person's own, unseen by them."""
    *folders, last = re.split(r"[\\/]", name)
    return last.startswith("._") or last == ".DS_Store" or "__MACOSX" in folders


def is_archive(path: Path) -> bool:
    """Whether the file is a zip archive, by what is in it."""
    with path.open("rb") as stream:
        return stream.read(4) in (b"PK\x03\x04", b"PK\x05\x06")


class _Bounded(io.FileIO):
    """An archive whose table of contents, which is read in one piece, is not too large for that."""

    def read(self, size: int | None = -1) -> bytes:
        if size is not None and size > _CONTENTS:
            raise InputError(
                f"{Path(str(self.name)).name} has a list of files that is too long; send only the "
                "series that are needed, or the files themselves."
            )
        return super().read(size)


def unpack(
    archive: Path, folder: Path, limits: Limits, first: int = 0, room: int = 0, files: int = 0
) -> tuple[int, int]:
    """Unpack a zip archive into ``folder``; how many files it held, and their bytes.

    The names inside decide nothing about where a file comes to lie: files are numbered from
    ``first`` on. What an archive says of its sizes is not believed but counted.

    Parameters
    ----------
    room:
        Bytes that it may become at most.
    files:
        How many are there already.

    Raises
    ------
    InputError
        If it is damaged or encrypted, becomes too large, holds too many files, another archive,
        a link, or a name that leads out of its folder. Nothing of it is left then.
    """
    written: list[Path] = []
    try:
        with _Bounded(archive) as stream, zipfile.ZipFile(stream) as opened:
            members = [member for member in opened.infolist() if not member.is_dir()]
            _check(archive, members, limits, files)
            members = [member for member in members if not is_litter(member.filename)]
            allowed = min(room, max(SMALL, archive.stat().st_size * limits.archive_ratio))
            size = 0
            for number, member in enumerate(members, start=first):
                path = folder / f"{number:05d}_{safe_name(member.filename)}"
                written.append(path)
                size += _extract(opened, member, path, allowed - size, archive.name)
                if is_archive(path):
                    raise InputError(
                        f"{archive.name} holds another archive; unpack it and send its files."
                    )
    except (*_DAMAGED, OSError) as error:
        _remove(written)
        if isinstance(error, OSError) and error.errno != errno.EINVAL:  # EINVAL: a place outside it
            raise
        raise InputError(
            f"{archive.name} is damaged, encrypted or of an unknown kind; make it again."
        ) from error
    except BaseException:
        _remove(written)
        raise
    return len(members), size


def _check(archive: Path, members: list[zipfile.ZipInfo], limits: Limits, files: int) -> None:
    if not members:
        raise InputError(f"{archive.name} is empty; send another one.")
    if files + len(members) > limits.upload_files:
        raise InputError(
            f"{archive.name} holds {len(members)} files, more than are taken "
            f"({limits.upload_files}); send only the series that are needed."
        )
    for member in members:
        parts = re.split(r"[\\/]", member.filename)
        absolute = parts[0] == "" or re.fullmatch("[A-Za-z]:", parts[0])
        if absolute or ".." in parts or "\0" in member.orig_filename:
            raise InputError(
                f"{archive.name} holds a file whose name leads out of its folder; it is refused."
            )
        if stat.S_ISLNK(member.external_attr >> 16):
            raise InputError(f"{archive.name} holds a link; send the files themselves.")
        if member.compress_type not in PACKED:
            raise InputError(
                f"{archive.name} is packed in an unusual way; make it again as an ordinary zip "
                "archive."
            )
        if member.flag_bits & 1:
            raise InputError(f"{archive.name} is encrypted; send its files unpacked.")


def _extract(
    opened: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path, allowed: int, name: str
) -> int:
    count = 0
    with opened.open(member) as source, path.open("xb") as target:
        while chunk := source.read(_CHUNK):
            count += len(chunk)
            if count > allowed:
                raise InputError(
                    f"{name} becomes larger than is taken when it is unpacked; send only the "
                    "series that are needed."
                )
            target.write(chunk)
    return count


def _remove(paths: list[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)
