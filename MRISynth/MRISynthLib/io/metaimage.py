"""MetaImage files (.mha, .mhd) through SimpleITK, and their headers."""

from __future__ import annotations

import re
import zlib
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..volume import Volume, matrix_from_parts
from . import metadata
from .nifti import check_shape, native

HEADER_BYTES = 1 << 16
"""No header is taken for one that is longer, without its voxels."""

_FIELD = re.compile(rb"([^=:]*)[=:][ \t=:]*([^\n]*)\n?")


def parse_header(content: bytes) -> tuple[dict[str, bytes], int]:
    """The fields at the start of a MetaImage file, and where voxels in the same file begin.

    As ITK reads them: blanks and empty lines before a name do not count, of two fields of a name
    the last counts, and ElementDataFile ends the header. That field is missing if no header ends
    in ``content``.
    """
    fields: dict[str, bytes] = {}
    end = 0
    while "ElementDataFile" not in fields and (found := _FIELD.match(content, end)):
        fields[found[1].strip().decode("latin-1")] = found[2].strip(b" \t\r\v\f\0")
        end = found.end()
    return fields, end


def is_compressed(fields: dict[str, bytes]) -> bool:
    return fields.get("CompressedData", b"").startswith((b"T", b"t", b"1"))


def is_local(fields: dict[str, bytes]) -> bool:
    """Whether the voxels lie in the header's own file."""
    return fields.get("ElementDataFile", b"").upper() == b"LOCAL"


def read_metaimage(path: Path) -> Volume:
    """The 3D image in a MetaImage file, which ITK keeps in LPS.

    Raises
    ------
    InputError
        If the file is damaged, not a single 3D image, coloured, or has no orientation.
    """
    import SimpleITK as sitk  # noqa: N813 (its usual name)

    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        with path.open("rb") as stream:
            fields, end = parse_header(stream.read(HEADER_BYTES))
        reader.ReadImageInformation()
        if reader.GetNumberOfComponents() > 1:
            raise InputError(
                f"{path} is a colour or vector image; MRISynth needs the original grey image."
            )
        check_shape(path, reader.GetSize(), np.dtype(np.float32))
        unpacked = _unpacked_bytes(path, fields, end)
        image = reader.Execute()
        voxels = native(sitk.GetArrayFromImage(image))
        if unpacked is not None and unpacked != voxels.nbytes:
            raise zlib.error(f"{unpacked} bytes instead of {voxels.nbytes}")
    except (RuntimeError, OSError, zlib.error) as error:
        raise InputError(
            f"{path} is truncated, damaged or not a MetaImage file; export or copy it again."
        ) from error
    if fields.keys().isdisjoint(("TransformMatrix", "Orientation", "Rotation")):
        raise InputError(
            f"{path} has no orientation (TransformMatrix is missing); export it again with it."
        )
    voxels = voxels.reshape(voxels.shape[-3:])
    while image.GetDimension() > 3:
        image = image[..., 0]
    direction = np.array(image.GetDirection()).reshape(3, 3)
    matrix = matrix_from_parts(image.GetSpacing(), direction, image.GetOrigin())
    acquisition = dict(metadata.folder_hint(path.parent))
    return Volume(voxels, matrix, name=path.name, acquisition=acquisition)


def _unpacked_bytes(path: Path, fields: dict[str, bytes], end: int) -> int | None:
    """How many bytes compressed voxels are; None if they are not compressed.

    ITK goes on with voxels that it could not unpack, as if they were there.

    Raises
    ------
    zlib.error, OSError
        If they cannot be unpacked.
    InputError
        If ITK cannot know how large they are in the file.
    """
    if "ElementDataFile" not in fields:
        raise OSError("no ElementDataFile in what a header may be")
    if not is_compressed(fields):
        return None
    local = is_local(fields)
    if local and not re.match(rb"[1-9]", fields.get("CompressedDataSize", b"")):
        raise InputError(
            f"{path} does not say how large its compressed voxels are (CompressedDataSize); save "
            "it again without compression."
        )
    name = fields["ElementDataFile"].decode("utf-8", "replace")
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 32)  # zlib or gzip, as ITK
    with (path if local else path.parent / name).open("rb") as file:
        file.seek(end if local else 0)
        size, rest = 0, b""
        while not unpacker.eof and (rest := rest or file.read(1 << 20)):
            size += len(unpacker.decompress(rest, 1 << 24))
            rest = unpacker.unconsumed_tail
    if not unpacker.eof:
        raise zlib.error("the end is missing")
    return size
