"""DICOM files into volumes: series told apart, images within a series told apart, never mixed."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.errors import InvalidDicomError

from ..errors import InputError
from ..volume import Volume
from . import metadata, stacking
from .dicom_frames import MAY_DIFFER, MUST_NOT_MIX, Frame, frames_of, read_pixels

_MOST_IMAGES = 12
_LABELS = {
    "kind": "image type",
    "stack": "stack",
    "size": "size",
    "EchoTime": "TE {} ms",
    "DiffusionBValue": "b {}",
    "TemporalPosition": "time point {}",
    "AcquisitionNumber": "acquisition {}",
    "InversionTime": "TI {} ms",
    "FlipAngle": "flip angle {}",
    "EchoNumbers": "echo {}",
}


def is_bare_dicom(path: Path, start: bytes) -> bool:
    """Whether a file without the usual preamble is DICOM after all."""
    if start[:2] not in (b"\x02\x00", b"\x08\x00") or start[3:4] != b"\x00":
        return False
    try:
        dataset = pydicom.dcmread(path, stop_before_pixels=True, force=True)
        return "SOPClassUID" in dataset and "SOPInstanceUID" in dataset
    except Exception:  # any failure of a guess means that it is not DICOM
        return False


def read_dicom_files(files: Sequence[Path], label: str) -> list[Volume]:
    """One volume for each image among these DICOM files; ``label`` names nameless series.

    Series that cannot be read are left out, with a warning on the others.

    Raises
    ------
    InputError
        If none can be read: the reason of the first.
    """
    problems: list[str] = []
    series: dict[str, list[Frame]] = defaultdict(list)
    expected: dict[str, int] = {}
    for path in files:
        try:
            dataset = pydicom.dcmread(path, stop_before_pixels=True, force=True)
            uid = str(dataset.get("SeriesInstanceUID", path.parent))
            series[uid] += frames_of(dataset, path)
            expected[uid] = int(dataset.get("ImagesInAcquisition") or 0)
        except InputError as error:
            problems.append(str(error))
        except (OSError, EOFError, InvalidDicomError, ValueError, TypeError, KeyError) as error:
            problems.append(f"{path} is damaged ({error}); export or copy it again.")

    volumes: list[Volume] = []
    for uid, frames in sorted(series.items(), key=_series_order):
        if not frames:
            continue
        try:
            volumes += _series_volumes(frames, label, expected.get(uid, 0))
        except InputError as error:
            problems.append(str(error))
    if not volumes:
        raise InputError(problems[0] if problems else f"{label} holds no DICOM image.")
    shown = [f"Left out: {problem}" for problem in problems[:5]]
    if len(problems) > 5:
        shown.append(f"Left out: {len(problems) - 5} more files or series that cannot be read.")
    return [volume.replace(warnings=(*volume.warnings, *shown)) for volume in volumes]


def _series_order(item: tuple[str, list[Frame]]) -> tuple[int, str]:
    uid, frames = item
    try:
        return int(frames[0].acquisition.get("SeriesNumber", 0)), uid
    except (IndexError, ValueError, TypeError):
        return 0, uid


def _series_volumes(frames: list[Frame], label: str, expected: int) -> list[Volume]:
    """The images of one series."""
    first = frames[0].acquisition
    name = str(first.get("SeriesDescription") or first.get("ProtocolName") or label).strip()
    warnings: list[str] = []
    unique = list({frame.uid: frame for frame in frames}.values())
    if len(unique) < len(frames):
        warnings.append(
            f"{name}: {len(frames) - len(unique)} slices are there twice (the same "
            "SOPInstanceUID) and were read once."
        )
    where = f"The series '{name}' in {unique[0].path.parent}"
    groups = images_in(unique, where)
    if len(groups) == 1 and expected > len(unique):
        warnings.append(
            f"{name}: the header speaks of {expected} images, but {len(unique)} are there; "
            "slices may be missing at an end."
        )
    pixels: dict[Path, np.ndarray] = {}
    volumes = []
    for suffix, members in groups:
        full = f"{name} ({suffix})" if suffix else name
        volume = _volume(members, full, where + (f" ({suffix})" if suffix else ""), pixels)
        volumes.append(volume.replace(warnings=(*warnings, *volume.warnings)))
    return volumes


def _partition(frames: Iterable[Frame], key: str) -> dict[Any, list[Frame]]:
    parts: dict[Any, list[Frame]] = defaultdict(list)
    for frame in frames:
        parts[frame.keys.get(key)].append(frame)
    return parts


def images_in(frames: list[Frame], where: str) -> list[tuple[str, list[Frame]]]:
    """Frames of one series as (what tells it apart, frames of one image) pairs."""
    groups: list[tuple[list[str], list[Frame]]] = [([], frames)]
    for key in MUST_NOT_MIX:
        divided = []
        for labels, members in groups:
            parts = _partition(members, key)
            for value, part in sorted(parts.items(), key=lambda item: _natural(item[0])):
                divided.append((labels + [_say(key, value)] * (len(parts) > 1), part))
        groups = divided
    result: list[tuple[str, list[Frame]]] = []
    for labels, members in groups:
        for label, part in _split_duplicates(members, where):
            result.append((", ".join([*labels, *([label] if label else [])]), part))
    if len(result) > _MOST_IMAGES:
        raise InputError(
            f"{where} holds {len(result)} images (a time series or many diffusion directions); "
            "export the one that you want as a series of its own."
        )
    return result


def _split_duplicates(frames: list[Frame], where: str) -> list[tuple[str, list[Frame]]]:
    """Tell frames at the same place apart by the first attribute that does so cleanly."""

    def most_at_one_place(members: list[Frame]) -> int:
        labels = stacking.same_position(np.array([frame.position for frame in members]))
        tilts = [tuple(np.round(frame.axes, 2).ravel() + 0.0) for frame in members]
        return max(Counter(zip(labels.tolist(), tilts, strict=True)).values())

    copies = most_at_one_place(frames)
    if copies == 1:
        return [("", frames)]
    if copies > _MOST_IMAGES:
        raise InputError(
            f"{where} holds {copies} images at the same place (a time series or many diffusion "
            "directions); export the one that you want as a series of its own."
        )
    for key in MAY_DIFFER:
        parts = _partition(frames, key)
        if len(parts) == copies and all(most_at_one_place(part) == 1 for part in parts.values()):
            ordered = sorted(parts.items(), key=lambda item: _natural(item[0]))
            return [(_say(key, value), part) for value, part in ordered]
    raise InputError(
        f"{where} has up to {copies} slices at the same place that nothing in their headers tells "
        "apart; export each image as a series of its own."
    )


def _natural(value: Any) -> tuple[Any, ...]:
    """For sorting: numbers by size, and before words."""
    try:
        return (0, *(float(part) for part in _tuple(value)))
    except (TypeError, ValueError):
        return (1, str(value))


def _say(key: str, value: Any) -> str:
    if isinstance(value, tuple):
        value = "/".join(map(str, value)) or "not given"
    elif isinstance(value, float):
        value = f"{value:g}"
    pattern = _LABELS.get(key, key)
    return pattern.format(value) if "{}" in pattern else f"{pattern} {value}"


def _volume(frames: list[Frame], name: str, where: str, cache: dict[Path, np.ndarray]) -> Volume:
    """One image from its frames."""
    image_type = {str(part).upper() for part in _tuple(frames[0].acquisition.get("ImageType"))}
    if "LOCALIZER" in image_type:
        raise InputError(f"{where} is a localizer; choose a series of parallel slices.")
    axes = np.array([frame.axes for frame in frames])
    stacking.check_parallel(np.array([frame.normal for frame in frames]), axes, where)
    first = frames[0]
    placed = stacking.stack(
        np.array([frame.position for frame in frames]),
        first.axes,
        first.pixel_spacing,
        first.slice_spacing,
        where,
    )
    voxels = _voxels(frames, placed.order, cache)
    warnings = []
    for index in placed.missing:
        x, y, z = placed.matrix[:3, 3] + index * placed.matrix[:3, 2]
        warnings.append(
            f"{name}: slice {index + 1} of {len(placed.order)} (index {index}, first pixel at "
            f"{x:.1f}, {y:.1f}, {z:.1f} mm LPS) is missing; it was filled with the mean of its "
            "neighbours and shows nothing real."
        )
    voxels = stacking.fill_missing(voxels, placed.missing)
    if any(frame.inverted for frame in frames):
        voxels = voxels.max() + voxels.min() - voxels.astype(np.float32)
        warnings.append(f"{name}: stored as a negative (MONOCHROME1), so its values were inverted.")
    matrix = placed.matrix
    if placed.tilted:
        rise = np.linalg.norm(placed.shear[-1])
        run = np.linalg.norm(matrix[:3, 2]) * (len(placed.order) - 1)
        warnings.append(
            f"{name}: the slices are tilted by {np.degrees(np.arctan2(rise, run)):.1f} degrees "
            "against their stack (gantry tilt); it was resampled to an upright grid."
        )
        voxels, matrix = stacking.upright(voxels, matrix, placed.shear)
    acquisition = dict(first.acquisition) | metadata.folder_hint(first.path.parent)
    said = tuple(dict.fromkeys((*first.kept.get("warnings", ()), *warnings)))
    kept = first.kept | {"name": name, "acquisition": acquisition, "warnings": said}
    return Volume(voxels, matrix, **kept)


def _tuple(value: Any) -> tuple[Any, ...]:
    if value is None:
        return ()
    return value if isinstance(value, tuple) else (value,)


def _voxels(
    frames: list[Frame], order: Sequence[int | None], cache: dict[Path, np.ndarray]
) -> np.ndarray:
    """Rescaled slices in order; integers stay integers where nothing is to be rescaled."""
    rescaled = any(frame.slope != 1 or frame.intercept != 0 for frame in frames)
    shape = (len(order), *frames[0].size)
    voxels: np.ndarray | None = None
    for index, frame_index in enumerate(order):
        if frame_index is None:
            continue
        frame = frames[frame_index]
        stored = cache.get(frame.path)
        if stored is None:
            stored = read_pixels(frame.path)
            if len(stored) > 1:
                cache[frame.path] = stored
        if stored.ndim != 3 or stored.shape[1:] != frame.size or len(stored) <= frame.number:
            raise InputError(f"{frame.path} has pixels that do not fit its header; export again.")
        if voxels is None:
            voxels = np.zeros(shape, np.float32 if rescaled else stored.dtype)
        if not rescaled:
            if voxels.dtype != stored.dtype:
                voxels = voxels.astype(np.promote_types(voxels.dtype, stored.dtype))
            voxels[index] = stored[frame.number]
        else:
            voxels[index] = stored[frame.number] * float(frame.slope) + float(frame.intercept)
    assert voxels is not None
    return voxels
