"""Images that are packed inside and may become larger than this machine can hold."""

from __future__ import annotations

import bz2
import gzip
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from MRISynthLib.errors import InputError
from MRISynthLib.io import metaimage

from .limits import MIB

_CHUNK = 1 << 20
_ZLIB, _RAW_DEFLATE = 47, -15  # window bits: zlib or gzip by their headers; neither has one
_DICOM_META = 144
"""Where the file meta information's first element, that says how long the others are, ends."""


def refuse_inflation(place: Path, allowed: int) -> None:
    """Let no images through, in a folder or by itself, that unpacked are larger than ``allowed``.

    What a file says of its size is not believed but counted, in pieces, except for the frames of
    compressed DICOM, for which the readers make as much room as their header says.

    Raises
    ------
    InputError
        If they are, in bytes, all together; the message names the file that is too much.
    """
    size = 0
    for path in sorted(place.rglob("*")) if place.is_dir() else [place]:
        if not path.is_file():
            continue
        for count in _unpacked(path):
            size += count
            if size > allowed:
                raise InputError(
                    f"{path} becomes larger than the {allowed / MIB:.0f} MB that are taken when it "
                    "is unpacked; send only the series that are needed."
                )


def _unpacked(path: Path) -> Iterator[int]:
    """The sizes of the pieces that a file becomes, as far as it can be unpacked.

    In each way in which it may be read: bytes can be of two formats at once.
    """
    with path.open("rb") as stream:
        start = stream.read(metaimage.HEADER_BYTES)
        for unpack in (_gzip_unpacked, _nrrd_unpacked, _metaimage_unpacked, _dicom_unpacked):
            stream.seek(0)
            try:
                yield from unpack(stream, start)
            except (OSError, EOFError, ValueError, zlib.error):
                continue  # damaged: the reader will stop there and say so


def _gzip_unpacked(stream: BinaryIO, start: bytes) -> Iterator[int]:
    if start.startswith(b"\x1f\x8b"):
        yield from _pieces(gzip.GzipFile(fileobj=stream))


def _pieces(stream: BinaryIO) -> Iterator[int]:
    while piece := stream.read(_CHUNK):
        yield len(piece)


def _inflated(stream: BinaryIO, window_bits: int) -> Iterator[int]:
    unpacker = zlib.decompressobj(window_bits)
    rest = b""
    while not unpacker.eof and (rest := rest or stream.read(_CHUNK)):
        yield len(unpacker.decompress(rest, _CHUNK))
        rest = unpacker.unconsumed_tail


def _nrrd_unpacked(stream: BinaryIO, start: bytes) -> Iterator[int]:
    """As the reader that is used for images and contours finds the voxels."""
    import nrrd

    if not start.startswith(b"NRRD"):
        return
    try:
        header = nrrd.read_header(stream)
    except Exception:  # whatever it is, the file cannot be read later either
        return
    encoding = header.get("encoding")
    if encoding not in ("gzip", "gz", "bzip2", "bz2"):
        return
    for _ in range(int(header.get("lineskip", header.get("line skip", 0)))):
        stream.readline()
    stream.seek(max(0, int(header.get("byteskip", header.get("byte skip", 0)))), 1)
    if encoding in ("gzip", "gz"):
        yield from _pieces(gzip.GzipFile(fileobj=stream))
    else:
        yield from _pieces(bz2.BZ2File(stream))


def _metaimage_unpacked(stream: BinaryIO, start: bytes) -> Iterator[int]:
    fields, end = metaimage.parse_header(start)
    if metaimage.is_compressed(fields) and metaimage.is_local(fields):
        stream.seek(end)
        yield from _inflated(stream, _ZLIB)


def _dicom_unpacked(stream: BinaryIO, start: bytes) -> Iterator[int]:
    from pydicom import dcmread
    from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

    if start[128:132] != b"DICM":
        return
    meta_end = _DICOM_META + int.from_bytes(start[_DICOM_META - 4 : _DICOM_META], "little")
    syntax = re.search(rb"\x02\x00\x10\x00UI..([\d.]+)", start[:meta_end], re.DOTALL)
    if syntax is None:
        return
    syntax = UID(syntax[1].decode("ascii"))
    if syntax == DeflatedExplicitVRLittleEndian:
        stream.seek(meta_end)
        yield from _inflated(stream, _RAW_DEFLATE)
    elif syntax.is_transfer_syntax and syntax.is_compressed:
        sizes = ["Rows", "Columns", "NumberOfFrames", "SamplesPerPixel", "BitsAllocated"]
        found = dcmread(stream, stop_before_pixels=True, specific_tags=sizes, force=True)
        bits = 1
        for name in sizes:
            bits *= int(found.get(name) or 1)
        yield bits // 8
