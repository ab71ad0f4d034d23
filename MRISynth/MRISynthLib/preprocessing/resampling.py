"""Values of one array at the places of another: the only resampling in the product.

Everything happens between index spaces: the caller multiplies its matrices, and the 4x4 product
takes (column, row, slice, 1) of the output to (column, row, slice) of the input. Geometry may
therefore be oblique, flipped or sheared (gantry tilt), which an ITK image cannot be.
"""

from __future__ import annotations

import numpy as np

from ..volume import Volume
from .along_axes import resample_along_axes

COARSER = 1.5
"""Sampling that is so many times coarser than the input loses detail: it is smoothed first."""

_WHOLE = 1e-5
"""Indices closer than this to whole numbers are taken as whole: no interpolation."""


def resample(
    voxels: np.ndarray,
    output_to_input: np.ndarray,
    shape: tuple[int, int, int],
    *,
    order: int = 1,
    cval: float | None = 0.0,
    antialias: bool = True,
) -> np.ndarray:
    """Resample an array through an affine map of indices.

    Parameters
    ----------
    voxels:
        (slices, rows, columns), any real type.
    output_to_input:
        4x4: (column, row, slice, 1) of the output to that of ``voxels``.
    shape:
        (slices, rows, columns) of the output.
    order:
        0 nearest, 1 linear, 3 cubic B-spline (its overshoot is cut to the input's range).
    cval:
        Value outside the input's field of view (half a voxel around the outermost centres);
        None repeats the nearest voxel instead.
    antialias:
        Whether an input that is sampled more than :data:`COARSER` times coarser along an axis is
        smoothed first, by the Gaussian of Cardoso et al. (MICCAI 2015) for that change of
        resolution.

    Returns
    -------
    float32 array of ``shape``.
    """
    matrix = np.asarray(output_to_input, float)
    copied = _copy_if_whole(voxels, matrix, shape)
    if copied is not None:
        return copied

    if antialias and order > 0:
        voxels = _smooth(voxels, coarsening(matrix))
    # The B-spline's recursive filter needs some voxels along every axis.
    degree = 1 if order == 3 and min(voxels.shape) < 4 else order
    result = None
    if degree:
        result = resample_along_axes(voxels, matrix, shape, order=degree, cval=cval)
    if result is None:
        result = _resample_anyhow(voxels, matrix, shape, degree, cval)
    if order == 3:
        limits = [float(voxels.min()), float(voxels.max())]
        if cval is not None:
            limits.append(float(cval))
        np.clip(result, min(limits), max(limits), out=result)
    return result


def resample_to(
    volume: Volume,
    reference: Volume,
    matrix: np.ndarray | None = None,
    *,
    order: int = 1,
    cval: float = 0.0,
) -> Volume:
    """``volume`` on the grid of ``reference``.

    Parameters
    ----------
    matrix:
        4x4 that takes LPS points of the reference's frame to those of the volume's frame, as
        :class:`~MRISynthLib.preprocessing.registration.Registration` has it; None is identity.
    order, cval:
        As in :func:`resample`.
    """
    voxels = resample(
        volume.voxels,
        index_map(reference.index_to_world, volume.index_to_world, matrix),
        reference.shape,
        order=order,
        cval=cval,
    )
    return volume.replace(voxels=voxels, index_to_world=reference.index_to_world)


def index_map(
    output_to_world: np.ndarray, input_to_world: np.ndarray, matrix: np.ndarray | None = None
) -> np.ndarray:
    """4x4 from output index to input index, through ``matrix`` (output's LPS to input's LPS)."""
    middle = output_to_world if matrix is None else np.asarray(matrix) @ output_to_world
    return np.linalg.solve(input_to_world, middle)


def coarsening(output_to_input: np.ndarray) -> np.ndarray:
    """How many input voxels one step of the output moves, along input (column, row, slice)."""
    return np.abs(np.asarray(output_to_input)[:3, :3]).max(axis=1)


def covered(
    output_to_input: np.ndarray, shape: tuple[int, int, int], input_shape: tuple[int, int, int]
) -> np.ndarray | None:
    """Where the input has a voxel: boolean array of ``shape``, or None if that is everywhere."""
    matrix = np.asarray(output_to_input, float)
    slices, rows, columns = (np.arange(n, dtype=np.float32) for n in shape)
    inside = np.ones(shape, bool)
    for axis in range(3):
        limit = input_shape[2 - axis] - 0.5 + 1e-3
        position = (
            (matrix[axis, 2] * slices + matrix[axis, 3])[:, None, None]
            + (matrix[axis, 1] * rows)[None, :, None]
            + (matrix[axis, 0] * columns)[None, None, :]
        )
        inside &= (position >= -0.5 - 1e-3) & (position <= limit)
    return None if inside.all() else inside


def _resample_anyhow(
    voxels: np.ndarray,
    matrix: np.ndarray,
    shape: tuple[int, int, int],
    order: int,
    cval: float | None,
) -> np.ndarray:
    import SimpleITK as sitk  # noqa: N813 (its usual name)

    interpolators = {0: sitk.sitkNearestNeighbor, 1: sitk.sitkLinear, 3: sitk.sitkBSpline}
    transform = sitk.AffineTransform(3)
    transform.SetMatrix(matrix[:3, :3].ravel().tolist())
    transform.SetTranslation(matrix[:3, 3].tolist())
    resampler = sitk.ResampleImageFilter()
    resampler.SetSize([int(n) for n in shape[::-1]])
    resampler.SetTransform(transform)
    resampler.SetOutputPixelType(sitk.sitkFloat32)
    resampler.SetInterpolator(interpolators[order])
    if cval is None:
        resampler.SetUseNearestNeighborExtrapolator(True)
    else:
        resampler.SetDefaultPixelValue(float(cval))
    return sitk.GetArrayFromImage(resampler.Execute(_image(voxels)))


def _smooth(voxels: np.ndarray, factors: np.ndarray) -> np.ndarray:
    import SimpleITK as sitk  # noqa: N813 (its usual name)

    coarser = [axis for axis in range(3) if factors[axis] > COARSER and voxels.shape[2 - axis] >= 4]
    if not coarser:
        return voxels
    image = _image(voxels)
    sigma = np.sqrt(np.maximum(factors**2 - 1, 0)) / (2 * np.sqrt(2 * np.log(2)))
    for axis in coarser:
        image = sitk.RecursiveGaussian(image, float(sigma[axis]), direction=axis)
    return sitk.GetArrayFromImage(image)


def _image(voxels: np.ndarray):
    import SimpleITK as sitk  # noqa: N813 (its usual name)

    return sitk.GetImageFromArray(np.ascontiguousarray(voxels, dtype=np.float32))


def _copy_if_whole(
    voxels: np.ndarray, matrix: np.ndarray, shape: tuple[int, int, int]
) -> np.ndarray | None:
    """The result without arithmetic if the axes are only permuted, flipped and cropped."""
    axes = np.round(matrix[:3, :3])
    if not np.array_equal(np.abs(axes).sum(axis=0), (1, 1, 1)):
        return None
    if not np.array_equal(np.abs(axes).sum(axis=1), (1, 1, 1)):
        return None
    last = np.array(shape[::-1]) - 1
    ends = np.stack([matrix[:3, 3], matrix[:3, :3] @ last + matrix[:3, 3]])
    whole = np.round(ends)
    if np.abs(matrix[:3, :3] - axes).max() * last.max() > _WHOLE * 3 or not np.allclose(
        ends, whole, atol=_WHOLE * 3
    ):
        return None
    size = np.array(voxels.shape[::-1])
    if whole.min() < 0 or np.any(whole.max(axis=0) > size - 1):
        return None
    first, final = whole.astype(int)
    cut = []
    for axis in (2, 1, 0):
        sign = int(axes[axis].sum())
        stop = final[axis] + sign
        cut.append(slice(first[axis], None if stop < 0 else stop, sign))
    source = np.abs(axes).argmax(axis=0)  # input axis that each output axis runs along
    order = [2 - source[2], 2 - source[1], 2 - source[0]]
    return np.array(voxels[tuple(cut)].transpose(order), dtype=np.float32, order="C")
