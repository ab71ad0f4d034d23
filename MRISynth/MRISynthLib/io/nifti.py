"""NIfTI-1/2 files through nibabel."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError

from ..errors import InputError
from ..provenance import SYNTHETIC_MARK, Provenance
from ..sequences import SEQUENCES
from ..volume import Volume
from . import metadata

RAS_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""Turns RAS millimetres into LPS and back."""

_DISAGREEMENT_MM, _QFORM_MM = 0.1, 1e-3
"""Largest difference of both orientations that is read without a warning, and that is written."""
_COMMENT = 6  # NIfTI extension code for plain text
_UNREADABLE = (OSError, EOFError, ValueError, zlib.error, ImageFileError, HeaderDataError)


def read_nifti(path: Path) -> Volume:
    """The 3D image in a NIfTI file, scaled as its header says.

    The sform is taken where its code is above 0, otherwise the qform.

    Raises
    ------
    InputError
        If the file is damaged, not 3D, coloured or complex, or has no orientation.
    """
    try:
        image = _open(path)
    except _UNREADABLE as error:
        raise InputError(
            f"{path} is damaged or not a NIfTI file; export or copy it again."
        ) from error
    if not isinstance(image, nib.Nifti1Pair):  # every NIfTI class derives from it
        raise InputError(
            f"{path} is a {type(image).__name__.removesuffix('Image')} file, not NIfTI; "
            "convert it to NIfTI."
        )
    check_shape(path, image.shape, image.get_data_dtype())
    try:
        voxels = np.asarray(image.dataobj)
    except (*_UNREADABLE, MemoryError) as error:
        raise InputError(f"{path} is truncated or damaged; export or copy it again.") from error
    voxels = native(voxels.reshape(image.shape[:3]).T)
    if voxels.dtype == np.float64 and image.get_data_dtype() != np.float64:
        voxels = voxels.astype(np.float32)  # scaled integers
    matrix, warnings = _orientation(path, image)
    stem = path.name.removesuffix(".gz").removesuffix(".nii")
    acquisition, sidecar_warnings = metadata.sidecar(path, stem)
    acquisition |= metadata.folder_hint(path.parent)
    kept = _kept(image)
    kept["warnings"] = (*kept.get("warnings", ()), *warnings, *sidecar_warnings)
    return Volume(voxels, matrix, name=path.name, acquisition=acquisition, **kept)


def _open(path: Path) -> nib.Nifti1Pair:
    """The image, whatever the file's suffix; gzip's checksum is tested, as nibabel does not."""
    with path.open("rb") as stream:
        start = stream.read(8)
    if start[:2] == b"\x1f\x8b":
        with gzip.open(path) as stream:
            content = stream.read()
        two = content[4:8] in (b"n+2\0", b"ni2\0")
        return (nib.Nifti2Image if two else nib.Nifti1Image).from_bytes(content)
    return nib.load(path)


def check_shape(path: Path, shape: tuple[int, ...], dtype: np.dtype) -> None:
    """Refuse what is not one three-dimensional image of plain numbers."""
    if dtype.fields is not None:
        raise InputError(f"{path} is a colour (RGB) image; MRISynth needs the original grey image.")
    if dtype.kind == "c":
        raise InputError(f"{path} holds complex numbers; export its magnitude image instead.")
    if len(shape) < 3:
        raise InputError(
            f"{path} is a {len(shape)}D image; MRISynth needs a whole 3D volume with its slices."
        )
    if any(n > 1 for n in shape[3:]):
        count = int(np.prod(shape[3:]))
        raise InputError(
            f"{path} is {len(shape)}D with {count} frames; split it into one 3D file each "
            "(for example with fslsplit or mrconvert) and give the one you want."
        )
    if 0 in shape:
        raise InputError(f"{path} has no voxels (its size is {shape}); export it again.")


def native(voxels: np.ndarray) -> np.ndarray:
    """Voxels in this machine's byte order and a type that other libraries take."""
    voxels = voxels.astype(voxels.dtype.newbyteorder("="), copy=False)
    if voxels.dtype.kind == "f" and voxels.dtype.itemsize not in (4, 8):
        return voxels.astype(np.float32 if voxels.dtype.itemsize < 4 else np.float64)
    return voxels.astype(np.uint8) if voxels.dtype.kind == "b" else voxels


def storable(voxels: np.ndarray) -> np.ndarray:
    """Voxels in a type that every reader of NIfTI and NRRD knows, without changing a value.

    64-bit integers are narrowed; where they do not fit they become float64.
    """
    voxels = native(voxels)
    if voxels.dtype.itemsize == 8 and voxels.dtype.kind in "iu":
        low, high = int(voxels.min()), int(voxels.max())
        info = np.iinfo(np.int32)
        fits = info.min <= low and high <= info.max
        return voxels.astype(np.int32 if fits else np.float64)
    return voxels


def _orientation(path: Path, image: nib.Nifti1Image) -> tuple[np.ndarray, list[str]]:
    header = image.header
    try:
        sform, sform_code = header.get_sform(coded=True)
        qform, qform_code = header.get_qform(coded=True)
    except _UNREADABLE as error:
        raise InputError(
            f"{path} has an orientation that cannot be read; convert it again from DICOM."
        ) from error
    if sform is None and qform is None:
        raise InputError(
            f"{path} has no orientation (sform and qform codes are 0), so left and right cannot be "
            "told; convert it again from DICOM with its orientation."
        )
    warnings = []
    if sform is not None and qform is not None:
        largest = _apart_mm(sform, qform, image.shape)
        if not largest <= _DISAGREEMENT_MM:
            warnings.append(
                f"{path.name} states two orientations that differ by up to {largest:.1f} mm "
                f"(sform code {sform_code}, qform code {qform_code}); the sform was taken."
            )
    return RAS_LPS @ (sform if sform is not None else qform), warnings


def _apart_mm(first: np.ndarray, second: np.ndarray, shape: tuple[int, ...]) -> float:
    """How far the corners of an image lie apart under two affines."""
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in shape[:3]])).reshape(3, -1)
    apart = (first - second)[:3] @ np.vstack([corners, np.ones(8)])
    return float(np.linalg.norm(apart, axis=0).max())


def _kept(image: nib.Nifti1Image) -> dict[str, Any]:
    """What :func:`write_nifti` left in the header."""
    for extension in image.header.extensions:
        if extension.get_code() == _COMMENT:
            content = extension.get_content()
            text = content if isinstance(content, str) else content.decode("utf-8", "replace")
            kept = metadata.from_header_text(text.strip("\0 \n"))
            if kept:
                return kept
    description = image.header["descrip"].item().decode("ascii", "replace")
    if description.startswith(SYNTHETIC_MARK):  # another tool dropped the extension
        sequence = image.header["aux_file"].item().decode("ascii", "replace")
        sequence = sequence if sequence in SEQUENCES else None
        provenance = Provenance(
            synthetic=True,
            sequence=sequence,
            warnings=("The full provenance was lost in another program.",),
        )
        return {"sequence": sequence, "provenance": provenance}
    return {}


def write_nifti(volume: Volume, path: Path) -> None:
    """Write ``volume``; the caller takes care that ``path`` is a private name."""
    affine = RAS_LPS @ volume.index_to_world
    image = nib.Nifti1Image(storable(volume.voxels).T, affine)
    image.set_sform(affine, code=1)
    axes = affine[:3, :3] / volume.spacing
    orthogonal = np.abs(axes.T @ axes - np.eye(3)).max() < 1e-5
    image.set_qform(affine if orthogonal else None, code=1 if orthogonal else 0)
    if not orthogonal:
        image.header["pixdim"][1:4] = volume.spacing
    # near half a turn the single precision of the quaternion is too coarse: better none than
    # one that contradicts the sform
    elif _apart_mm(affine, image.header.get_qform(), image.shape) > _QFORM_MM:
        image.set_qform(None, code=0)
    header = image.header
    header.set_xyzt_units("mm", "sec")
    if volume.provenance is not None:
        header["descrip"] = volume.provenance.summary().encode("ascii", "replace")[:79]
        header["aux_file"] = (volume.sequence or "").encode("ascii", "replace")[:23]
        if volume.provenance.synthetic:
            header["intent_name"] = SYNTHETIC_MARK.encode()[:15]
    text = metadata.header_text(volume)
    header.extensions.append(nib.nifti1.Nifti1Extension(_COMMENT, text.encode("ascii")))
    nib.save(image, path)
