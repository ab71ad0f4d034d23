"""Resampling along the axes gives what ITK gives, and leaves to it what it cannot do."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from MRISynthLib.preprocessing import resampling
from MRISynthLib.preprocessing.along_axes import resample_along_axes

FINER = np.diag((0.9, 0.93, 1.0, 1.0))
FLIPPED = np.array([[0, 1.1, 0, -2.0], [-0.9, 0, 0, 48.2], [0, 0, 0.8, 0.31], [0, 0, 0, 1]])
BEYOND = np.array([[0.9, 0, 0, -5], [0, 0.9, 0, -4.1], [0, 0, 1, -3.3], [0, 0, 0, 1]])


@pytest.fixture(scope="module")
def voxels() -> np.ndarray:
    noise = np.random.default_rng(0).normal(size=(20, 50, 60))
    return ndimage.gaussian_filter(noise, 1).astype(np.float32)


@pytest.mark.parametrize("order", [1, 3])
@pytest.mark.parametrize("cval", [0.0, 7.0])
@pytest.mark.parametrize(
    ("mapping", "shape"),
    [(FINER, (20, 55, 66)), (FLIPPED, (26, 50, 55)), (BEYOND, (28, 70, 80))],
    ids=["finer", "flipped and turned by right angles", "beyond all ends"],
)
def test_it_gives_what_itk_gives(voxels, mapping, shape, order: int, cval: float) -> None:
    quick = resample_along_axes(voxels, mapping, shape, order=order, cval=cval)
    by_itk = resampling._resample_anyhow(voxels, mapping, shape, order, cval)
    np.testing.assert_allclose(quick, by_itk, atol=2e-5)


@pytest.mark.parametrize("order", [1, 3])
def test_beyond_the_ends_the_nearest_voxel_goes_on(voxels, order: int) -> None:
    found = resample_along_axes(voxels, BEYOND, (28, 70, 80), order=order, cval=None)
    inside = resample_along_axes(voxels, BEYOND, (28, 70, 80), order=order, cval=0.0)
    np.testing.assert_array_equal(found[0], found[2])  # the first slices lie 3.3 below
    np.testing.assert_array_equal(found[:, :, 0], found[:, :, 4])
    np.testing.assert_allclose(found[5:18, 8:50, 8:60], inside[5:18, 8:50, 8:60], atol=1e-5)


@pytest.mark.parametrize("order", [1, 3])
def test_one_voxel_along_an_axis_is_enough(order: int) -> None:
    plane = np.arange(12.0).reshape(1, 3, 4)
    found = resample_along_axes(plane, np.eye(4), (2, 3, 4), order=order, cval=-1.0)
    np.testing.assert_allclose(found[0], plane[0], atol=1e-5)
    assert (found[1] == -1).all()


def test_turned_axes_and_voxels_that_are_no_numbers_are_left_to_itk(voxels) -> None:
    turned = np.eye(4)
    turned[:2, :2] = [[0.99, -0.14], [0.14, 0.99]]
    assert resample_along_axes(voxels, turned, voxels.shape, order=1, cval=0.0) is None
    broken = voxels.copy()
    broken[3, 4, 5] = np.nan
    found = resampling.resample(broken, FINER, (20, 55, 66))
    assert resample_along_axes(broken, FINER, (20, 55, 66), order=1, cval=0.0) is None
    assert 0 < np.isnan(found).sum() < 10
