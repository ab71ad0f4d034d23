"""What is wrong with an image, said before any work is done on it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from scipy import ndimage

from ..errors import InputError
from ..volume import Volume
from .normalisation import in_hounsfield
from .overlap import label

LEAST_SLICES = 3
SPACING_MM = (0.05, 20.0)
EXTENT_MM = (30.0, 700.0)
THICK_MM = 5.0
SMALL_VIEW_MM = 120.0
THIN_SLAB_MM = 30.0
FEW_LEVELS = 64
BRAIN_ML = (600, 2000)
CUT_CM2 = 5.0
EMPTY_SHARE = 0.3
COARSE_MM = 3.0


def check_volume(volume: Volume) -> tuple[str, ...]:
    """Check one image by itself.

    Returns
    -------
    Warnings that a clinician needs to see, one sentence each.

    Raises
    ------
    InputError
        For NaN or infinite voxels, a constant image, fewer than three slices, and for a
        geometry that no scan of a head has.
    """
    name = label(volume)
    _check_size(volume, name)
    _check_values(volume, name)
    return (*geometry_warnings(volume), *stripping_warnings(volume), *value_warnings(volume))


def check_inputs(volumes: Sequence[Volume], targets: Iterable[object] = ()) -> tuple[str, ...]:
    """Check the inputs one by one, against each other and against what is to be made of them.

    Parameters
    ----------
    volumes:
        The inputs, each with its sequence.
    targets:
        Canonical names, or objects with an attribute ``sequence``.

    Returns
    -------
    All warnings, each once.

    Raises
    ------
    InputError
        If there is no input, one is bad by itself or has no sequence, a sequence or an image is
        given twice, a target is asked for twice, or a target is also given.
    """
    if not volumes:
        raise InputError("No input was given; give at least one image, such as T1w=FILE.")
    warnings: list[str] = []
    given: dict[str, Volume] = {}
    for volume in volumes:
        if not volume.sequence:
            raise InputError(
                f"It is not known which sequence {label(volume)} is; name it, as in T1w=FILE."
            )
        if volume.sequence in given:
            raise InputError(
                f"{volume.sequence} was given twice ({given[volume.sequence].name or 'first'} and "
                f"{volume.name or 'second'}); leave one out or name it differently."
            )
        warnings.extend(check_volume(volume))
        for other in given.values():
            if _same_image(volume, other):
                raise InputError(
                    f"{label(volume)} and {label(other)} are the same image; give each sequence "
                    "its own file."
                )
        given[volume.sequence] = volume
    check_targets(given, targets)
    synthetic = [name for name, volume in given.items() if volume.is_synthetic]
    if synthetic:
        verb = "are themselves" if len(synthetic) > 1 else "is itself"
        result = f"what is made from {'them' if len(synthetic) > 1 else 'it'} is less certain"
        warnings.append(f"{' and '.join(synthetic)} {verb} synthetic; {result}.")
    return tuple(dict.fromkeys(warnings))


def check_targets(given: Mapping[str, Volume], targets: Iterable[object]) -> None:
    """Refuse a target that is asked for twice or also given (``given``: sequence -> input).

    Raises
    ------
    InputError
        Says which.
    """
    seen = set()
    for target in targets:
        name = target if isinstance(target, str) else getattr(target, "sequence", str(target))
        if name in given:
            raise InputError(
                f"{name} is asked for but also given ({given[name].name or 'input'}); "
                "leave it out of the inputs or of the targets."
            )
        if name in seen:
            raise InputError(f"{name} is asked for twice; name each target once.")
        seen.add(name)


def _check_size(volume: Volume, name: str) -> None:
    slices, rows, columns = volume.shape
    if slices < LEAST_SLICES:
        count = "one slice" if slices == 1 else f"{slices} slices"
        raise InputError(
            f"{name} has only {count}; at least {LEAST_SLICES} are needed, so give the whole "
            "series."
        )
    spacing = volume.spacing
    if spacing.min() < SPACING_MM[0] or spacing.max() > SPACING_MM[1]:
        words = " x ".join(f"{value:.3g}" for value in spacing)
        raise InputError(
            f"{name} has voxels of {words} mm, which no scan of a head has; export it again with "
            "its true spacing."
        )
    width, height = columns * spacing[0], rows * spacing[1]
    depth = slices * spacing[2]
    if min(width, height) < EXTENT_MM[0] or max(width, height, depth) > EXTENT_MM[1]:
        raise InputError(
            f"{name} measures {width:.0f} x {height:.0f} x {depth:.0f} mm, which is not the size "
            "of a head scan; export it again with its true spacing."
        )


def _check_values(volume: Volume, name: str) -> None:
    voxels = volume.voxels
    if voxels.dtype.kind in "fc":
        bad = voxels.size - int(np.count_nonzero(np.isfinite(voxels)))
        if bad:
            raise InputError(
                f"{name} has {bad} of {voxels.size} voxels that are not a number (NaN or "
                "infinite); export it again, or set them to the background value."
            )
    if voxels.min() == voxels.max():
        raise InputError(
            f"{name} is constant (every voxel is {voxels.flat[0]:g}); give an image with content."
        )


def geometry_warnings(volume: Volume) -> list[str]:
    """What is unusual about the region that an image shows."""
    name, found = label(volume), []
    spacing, size = volume.spacing, np.array(volume.shape[::-1]) * volume.spacing
    if spacing.max() > THICK_MM + 0.05:
        found.append(
            f"{name} has slices {spacing.max():.1f} mm apart; fine detail between them is lost."
        )
    if size[:2].min() < SMALL_VIEW_MM:
        found.append(
            f"{name} shows only {size[0]:.0f} x {size[1]:.0f} mm; the models know whole heads."
        )
    if size[2] < THIN_SLAB_MM:
        found.append(
            f"{name} covers only {size[2]:.0f} mm in {volume.shape[0]} slices; its alignment "
            "cannot be checked well."
        )
    return found


def stripping_warnings(volume: Volume) -> list[str]:
    """Whether only the brain was left of the head, as in many public data sets.

    Then what surrounds it was set to one value, its volume is a brain's, and it ends nowhere at
    the image's border, as a head does at the neck.
    """
    every = np.maximum(1, np.round(COARSE_MM / volume.spacing[::-1])).astype(int)
    coarse = volume.voxels[tuple(slice(None, None, step) for step in every)]
    empty = coarse == coarse[0, 0, 0]
    if not EMPTY_SHARE < empty.mean() < 1:
        return []
    parts, _ = ndimage.label(~empty)
    body = parts == np.bincount(parts[~empty]).argmax()
    voxel_cm = volume.spacing[::-1] * every / 10
    cuts = [
        np.take(body, end, axis).sum() * np.delete(voxel_cm, axis).prod()
        for axis in range(3)
        for end in (0, -1)
    ]
    if not BRAIN_ML[0] < body.sum() * voxel_cm.prod() < BRAIN_ML[1] or max(cuts) > CUT_CM2:
        return []
    return [
        f"{label(volume)} looks like a brain whose skull and skin were removed; the models know "
        "whole heads and are not to be relied on here, so give the scan as it left the scanner."
    ]


def value_warnings(volume: Volume) -> list[str]:
    """What is unusual about the grey values of an image."""
    name, found = label(volume), []
    sample = volume.voxels.ravel()[:: max(1, volume.voxels.size // 300_000)]
    levels = len(np.unique(sample))
    if levels < FEW_LEVELS:
        found.append(
            f"{name} has only {levels} grey levels; a screenshot or a label map in place of the "
            "scan?"
        )
    hounsfield = in_hounsfield(volume.voxels)
    if volume.sequence == "CT" and not hounsfield:
        found.append(
            f"{name} does not look like Hounsfield units (values {sample.min():g} to "
            f"{sample.max():g}); it is scaled by its own range, as an MR image is."
        )
    elif volume.sequence not in (None, "CT") and hounsfield:
        found.append(
            f"{name} has values from {sample.min():g} to {sample.max():g} as a CT has; check its "
            "sequence."
        )
    elif volume.sequence not in (None, "CT"):
        low, high = np.percentile(sample, (0.5, 99.5))
        if low < -0.05 * abs(high):
            found.append(
                f"{name} has values below 0, unlike a scanner's image; it was processed before."
            )
    return found


def _same_image(a: Volume, b: Volume) -> bool:
    return a.same_geometry(b) and np.array_equal(a.voxels, b.voxels)
