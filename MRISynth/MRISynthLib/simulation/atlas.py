"""A second label map joined to labelled heads: what these lack is filled from it.

The atlas is registered once to every head by bone (affine, then diffeomorphic demons on distance
maps: Vercauteren et al., NeuroImage 2009) in head coordinates, where both already lie close
together by their landmarks. The displacement is small and smooth, and is kept in a folder.
"""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from scipy import ndimage

from ..errors import InputError
from ..io.output import output_error, staged_file
from .label_volumes import (
    LabelVolume,
    find_label_maps,
    fit_landmarks,
    read_label_map,
    read_mapping,
    tissue_lookup,
)

LOW = np.array((-96.0, -120.0, -150.0))
STEP_MM = 3.0
GRID = (70, 84, 64)
"""Grid of the displacement in head coordinates: first corner (x, y, z), step, (z, y, x). It ends
above the orbits: the vault of the skull helps nobody to place a face."""

_VERSION = b"1"
_REACH_MM = (-6.0, 12.0)
"""Distances to bone beyond these are cut: what is far from bone must not pull."""
_AFFINE_BELOW_MM = 50.0
"""The affine part goes by the bone below this height; the vault of a skull says little."""
_MIDLINE = (0.0, 0.0, -40.0)


@dataclass(frozen=True, eq=False)
class Displacement:
    """From a head's coordinates to the atlas's: float32 (z, y, x, 3), mm, on the grid above."""

    field: np.ndarray

    def __call__(self, coordinates: np.ndarray) -> np.ndarray:
        """Displacement at ``coordinates`` (3, ...), float32 mm; constant beyond the grid."""
        index = [(coordinates[a] - LOW[a]) / STEP_MM for a in (2, 1, 0)]
        return np.stack(
            [
                ndimage.map_coordinates(self.field[..., axis], index, order=1, mode="nearest")
                for axis in range(3)
            ]
        )


class AtlasSource:
    """One atlas, ready to be joined to heads.

    Parameters
    ----------
    folder:
        Folder with one label map (NIfTI or NRRD).
    mapping:
        Its mapping file (see :mod:`label_volumes`; needs ``tissues``, ``bone`` and
        ``landmarks``); default is ``mapping.json`` in the folder.
    cache:
        Folder in which registrations are kept; None keeps them in memory.

    Raises
    ------
    InputError
        If there is not exactly one map, or it or the mapping is not usable.
    """

    def __init__(
        self, folder: Path, mapping: Path | None = None, cache: Path | None = None
    ) -> None:
        self.folder = Path(folder)
        files = find_label_maps(self.folder, (".nii", ".nii.gz", ".nrrd"))
        if len(files) > 1:
            raise InputError(f"{folder} holds {len(files)} label maps; an atlas must be one.")
        self.mapping = read_mapping(
            Path(mapping) if mapping else self.folder / "mapping.json",
            ("tissues", "bone", "landmarks"),
        )
        self.cache = Path(cache) if cache is not None else None
        self.lookup = tissue_lookup(self.mapping)
        volume = read_label_map(files[0])
        to_head = fit_landmarks(volume, self.mapping["landmarks"])
        self.volume = LabelVolume(volume.labels, to_head @ volume.index_to_world, volume.name)
        self.to_index = np.linalg.inv(self.volume.index_to_world)
        self._distance: np.ndarray | None = None

    def register(self, head: LabelVolume, bone: list[int], seen: np.ndarray) -> Displacement:
        """Where the atlas lies in a head, whose world must be head coordinates already.

        ``seen`` says where on :func:`registration_grid` the head's map says anything. Found once
        for every head, then read from the cache. Deterministic.

        Raises
        ------
        InputError
            If either map has no bone, or the file in the cache is damaged.
        OutputError
            If the cache cannot be written.
        """
        fixed = bone_distance(head, bone)
        if self._distance is None:
            self._distance = bone_distance(self.volume, self.mapping["bone"], closing=3)
        key = hashlib.sha256(_VERSION)
        for array in (fixed, seen, self._distance):
            key.update(np.ascontiguousarray(array).tobytes())
        stem = head.name.removesuffix(".gz").removesuffix(".nii")
        file = None if self.cache is None else self.cache / f"{stem}-{key.hexdigest()[:16]}.npz"
        if file is not None and file.is_file():
            try:
                with np.load(file, allow_pickle=False) as data:
                    return Displacement(data["displacement"].astype(np.float32))
            except (OSError, ValueError, KeyError, EOFError, BadZipFile, zlib.error):
                raise InputError(f"{file} is damaged; delete it and run again.") from None
        if file is not None:
            try:
                self.cache.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise output_error(self.cache, error) from error
        # rounded to what the file keeps, so that the first run gives the same bytes as the next
        field = _register(fixed, self._distance, seen).astype(np.float16)
        if file is not None:
            with staged_file(file) as partial:
                np.savez_compressed(partial, displacement=field)
        return Displacement(field.astype(np.float32))


def registration_grid() -> np.ndarray:
    """Head coordinates (3, z, y, x) of the grid on which heads are registered, float32 mm."""
    x, y, z = (
        (low + STEP_MM * np.arange(n)).astype(np.float32)
        for low, n in zip(LOW, GRID[::-1], strict=True)
    )
    return np.stack(np.meshgrid(z, y, x, indexing="ij")[::-1])


def bone_distance(volume: LabelVolume, bone: list[int], closing: int = 1) -> np.ndarray:
    """Signed distance to bone (mm, negative inside) on the registration grid, float32.

    ``volume`` must lie in head coordinates. Cavities up to twice ``closing`` voxels wide count
    as bone: a map may not name marrow.
    """
    mask = ndimage.binary_closing(np.isin(volume.labels, bone), iterations=closing)
    if not mask.any():
        raise InputError(f"{volume.name} has none of the labels that its mapping calls bone.")
    factors = [max(1, int(2.0 // step)) for step in volume.spacing]
    mask = np.pad(mask, [(0, -n % f) for n, f in zip(mask.shape, factors, strict=True)])
    blocks = [n for size, f in zip(mask.shape, factors, strict=True) for n in (size // f, f)]
    coarse = mask.reshape(blocks).mean((1, 3, 5), dtype=np.float32) >= 0.5
    spacing = volume.spacing * factors
    distance = ndimage.distance_transform_edt(~coarse, sampling=spacing)
    distance -= ndimage.distance_transform_edt(coarse, sampling=spacing)
    to_index = np.linalg.inv(volume.index_to_world)
    points = registration_grid()
    index = [
        (np.tensordot(to_index[a, :3], points, 1) + to_index[a, 3] - (f - 1) / 2) / f
        for a, f in zip((2, 1, 0), factors, strict=True)
    ]
    sampled = ndimage.map_coordinates(
        distance.astype(np.float32), index, order=1, cval=_REACH_MM[1]
    )
    return np.clip(sampled, *_REACH_MM).astype(np.float32)


def _register(fixed: np.ndarray, moving: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Displacement (z, y, x, 3) from the fixed to the moving image's coordinates, mm."""
    import SimpleITK as sitk  # noqa: N813 (its usual name)

    def image(array: np.ndarray) -> sitk.Image:
        result = sitk.GetImageFromArray(array)
        result.SetSpacing([STEP_MM] * 3)
        result.SetOrigin(LOW.tolist())
        return result

    threads = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)  # sums in a fixed order
    try:
        target, source = image(fixed), image(moving)
        affine = sitk.AffineTransform(3)
        affine.SetCenter(_MIDLINE)
        method = sitk.ImageRegistrationMethod()
        method.SetMetricAsMeanSquares()
        height = LOW[2] + STEP_MM * np.arange(GRID[0])
        low = seen & (height < _AFFINE_BELOW_MM)[:, None, None]
        method.SetMetricFixedMask(image(low.astype(np.uint8)))
        method.SetInterpolator(sitk.sitkLinear)
        method.SetShrinkFactorsPerLevel([3])
        method.SetSmoothingSigmasPerLevel([1.5])
        method.SetOptimizerAsRegularStepGradientDescent(4.0, 0.05, 80, relaxationFactor=0.6)
        method.SetOptimizerScalesFromPhysicalShift()
        method.SetInitialTransform(affine, True)
        method.Execute(target, source)
        source = sitk.Resample(source, target, affine, sitk.sitkLinear, _REACH_MM[1])
        # where the head ends nothing is known: there the atlas agrees with itself
        target = image(np.where(seen, fixed, sitk.GetArrayViewFromImage(source)))
        field = sitk.Image(target.GetSize(), sitk.sitkVectorFloat64, 3)
        field.CopyInformation(target)
        for shrink, iterations, sigma in ((2, 40, 1.5), (1, 20, 2.0)):
            field = _demons(target, source, field, shrink, iterations, sigma)
        warp = sitk.DisplacementFieldTransform(sitk.Image(field))
        both = sitk.TransformToDisplacementField(
            sitk.CompositeTransform([affine, warp]),
            sitk.sitkVectorFloat32,
            target.GetSize(),
            target.GetOrigin(),
            target.GetSpacing(),
            target.GetDirection(),
        )
        return sitk.GetArrayFromImage(both)
    finally:
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)


def _demons(target, source, field, shrink: int, iterations: int, sigma: float):
    """One level of diffeomorphic demons, starting from ``field``."""
    import SimpleITK as sitk  # noqa: N813 (its usual name)

    if shrink > 1:
        target, source = (
            sitk.Shrink(sitk.SmoothingRecursiveGaussian(image, 0.7 * STEP_MM), [shrink] * 3)
            for image in (target, source)
        )
    field = sitk.Resample(
        field, target, sitk.Transform(), sitk.sitkLinear, 0.0, sitk.sitkVectorFloat64
    )
    demons = sitk.DiffeomorphicDemonsRegistrationFilter()
    demons.SetNumberOfIterations(iterations)
    demons.SetSmoothDisplacementField(True)
    demons.SetStandardDeviations(sigma)
    demons.SetSmoothUpdateField(True)
    demons.SetUpdateFieldStandardDeviations(1.0)
    demons.SetMaximumUpdateStepLength(1.5)
    return demons.Execute(
        sitk.Cast(target, sitk.sitkFloat32), sitk.Cast(source, sitk.sitkFloat32), field
    )
