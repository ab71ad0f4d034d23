"""Which reader a path needs, by what is in it rather than by what it is called."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Sequence
from os import PathLike
from pathlib import Path

from ..errors import InputError, OutputError
from ..volume import Volume
from .output import staged_file
from .stacking import POSITION_TOLERANCE_MM

_IMAGE_SUFFIXES = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd")
_ADVICE = "give a NIfTI, NRRD or MetaImage file, a DICOM file or a folder of DICOM files"


def load_path(path: str | PathLike[str]) -> list[Volume]:
    """See :func:`MRISynthLib.io.load`."""
    path = Path(path).expanduser()
    try:
        if path.is_dir():
            return _load_folder(path)
        if not path.exists():
            raise InputError(f"There is no file or folder {path}; check its name.")
        return _load_file(path)
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror or error}); check its permissions."
        ) from error


def load_single(path: str | PathLike[str]) -> Volume:
    """See :func:`MRISynthLib.io.load_one`."""
    volumes = load_path(path)
    if len(volumes) > 1:
        raise _too_many(path, volumes)
    return volumes[0]


def load_same_slices(path: str | PathLike[str]) -> list[Volume]:
    """See :func:`MRISynthLib.io.load_series`."""
    volumes = load_path(path)
    first = volumes[0]
    for other in volumes[1:]:
        series = [each.acquisition.get("SeriesInstanceUID") for each in (first, other)]
        same = series[0] is not None and series[0] == series[1]
        if not same or not other.same_geometry(first, POSITION_TOLERANCE_MM):
            raise _too_many(path, volumes)
    return volumes


def _too_many(path: str | PathLike[str], volumes: Sequence[Volume]) -> InputError:
    shown = "; ".join(volume.name for volume in volumes[:8])
    more = f" and {len(volumes) - 8} more" if len(volumes) > 8 else ""
    return InputError(
        f"{path} holds {len(volumes)} images ({shown}{more}), but one is needed; "
        "give the file or the folder of one series."
    )


def save_volume(volume: Volume, path: str | PathLike[str]) -> None:
    """See :func:`MRISynthLib.io.save`."""
    path = Path(path).expanduser()
    kind = _suffix(path)
    if kind not in (".nii", ".nii.gz", ".nrrd") or path.name.lower().endswith(".seg.nrrd"):
        raise OutputError(
            f"{path} cannot be written: images are written as .nii.gz, .nii or .nrrd; "
            "change the name's ending."
        )
    with staged_file(path) as staged:
        if kind == ".nrrd":
            from .nrrd import write_nrrd

            write_nrrd(volume, staged)
        else:
            from .nifti import write_nifti

            write_nifti(volume, staged)


def _suffix(path: Path) -> str:
    name = path.name.lower()
    return next((suffix for suffix in _IMAGE_SUFFIXES if name.endswith(suffix)), path.suffix)


def _load_file(path: Path) -> list[Volume]:
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty; export or copy it again.")
    kind = _sniff(path)
    if kind is None:
        suffix = _suffix(path)
        if suffix in _IMAGE_SUFFIXES:
            raise InputError(
                f"{path} is truncated, damaged or not an image, whatever its name says; "
                "export or copy it again."
            )
        raise InputError(f"{path} is not an image that MRISynth reads; {_ADVICE}.")
    if kind == "nifti":
        from .nifti import read_nifti

        return [read_nifti(path)]
    if kind == "nrrd":
        from .nrrd import read_nrrd

        return [read_nrrd(path)]
    if kind == "metaimage":
        from .metaimage import read_metaimage

        return [read_metaimage(path)]
    from .dicom import read_dicom_files

    return read_dicom_files([path], path.name)


def _sniff(path: Path) -> str | None:
    """The format that the first bytes show; None if it is none that is read here."""
    with path.open("rb") as stream:
        start = stream.read(352)
    if start[:2] == b"\x1f\x8b":
        try:
            with gzip.open(path) as stream:
                start = stream.read(352)
        except (OSError, EOFError, zlib.error):
            return None
        return "nifti" if _is_nifti(start) else None
    if _is_nifti(start):
        return "nifti"
    if start.startswith(b"NRRD000"):
        return "nrrd"
    if start.startswith((b"ObjectType", b"NDims", b"Comment")) and b"=" in start:
        return "metaimage"
    if start[128:132] == b"DICM":
        return "dicom"
    from .dicom import is_bare_dicom

    return "dicom" if is_bare_dicom(path, start) else None


def _is_nifti(start: bytes) -> bool:
    return start[344:348] in (b"n+1\0", b"ni1\0") or start[4:8] in (b"n+2\0", b"ni2\0")


def _load_folder(folder: Path) -> list[Volume]:
    files = sorted(
        file
        for file in folder.rglob("*")
        if file.is_file()
        and not any(part.startswith(".") for part in file.relative_to(folder).parts)
    )
    if not files:
        raise InputError(f"The folder {folder} is empty; {_ADVICE}.")
    volumes: list[Volume] = []
    problems: list[str] = []
    dicom: list[Path] = []
    for file in files:
        if file.name.upper() == "DICOMDIR" or file.name.lower().endswith(".seg.nrrd"):
            continue
        kind = _sniff(file) if file.stat().st_size else None
        if kind == "dicom":
            dicom.append(file)
        elif kind or _suffix(file) in _IMAGE_SUFFIXES:
            try:
                volumes += _load_file(file)
            except InputError as error:
                problems.append(str(error))
    if dicom:
        from .dicom import read_dicom_files

        try:
            volumes += read_dicom_files(dicom, folder.name)
        except InputError as error:
            problems.append(str(error))
    if not volumes:
        if not problems:
            raise InputError(f"The folder {folder} holds no image; {_ADVICE}.")
        more = f" ({len(problems) - 1} more files there failed too.)" if len(problems) > 1 else ""
        raise InputError(problems[0] + more)
    left_out = tuple(f"Left out: {problem}" for problem in problems)
    return [volume.replace(warnings=volume.warnings + left_out) for volume in volumes]
