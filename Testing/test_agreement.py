"""Two masks: figures against what is known of them, and against every pair of their voxels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from scipy.spatial.distance import cdist
from scipy.spatial.transform import Rotation

import boxes_of_voxels
from MRISynthLib.errors import InputError
from MRISynthLib.volume import matrix_from_parts
from MRISynthSegmentLib.agreement import (
    EMPTY_IN_BOTH,
    EMPTY_IN_FIRST,
    EMPTY_IN_SECOND,
    agreement,
)

SHAPE = (8, 30, 36)
AXES = Rotation.from_euler("xyz", (10, -20, 33), degrees=True).as_matrix()
MATRIX = matrix_from_parts((0.8, 1.0, 3.0), AXES, (-10.0, 20.0, -35.0))


def box(*sides: tuple[int, int], shape: tuple[int, int, int] = SHAPE) -> np.ndarray:
    """True from ... to ... along slices, rows, columns."""
    return boxes_of_voxels.box(shape, *sides)


BOX = box((2, 6), (8, 18), (10, 20))
EMPTY = np.zeros(SHAPE, bool)


def test_the_same_mask_agrees_entirely() -> None:
    found = agreement(BOX, BOX, MATRIX)
    assert (found.dice, found.surface_dice_1mm, found.surface_dice_2mm) == (1, 1, 1)
    assert (found.hd95_mm, found.mean_distance_mm, found.volume_error) == (0, 0, 0)
    assert found.centre_shift_lps_mm == (0, 0, 0)
    assert found.volume_first_ml == pytest.approx(4 * 10 * 10 * 2.4 / 1000)


def test_a_shift_is_found_in_the_patients_directions() -> None:
    found = agreement(BOX, np.roll(BOX, (1, 0, 2), (0, 1, 2)), MATRIX)
    np.testing.assert_allclose(found.centre_shift_lps_mm, AXES @ (1.6, 0, 3.0), atol=1e-9)
    assert found.centre_shift_mm == pytest.approx(np.hypot(1.6, 3.0))
    assert found.dice == pytest.approx(3 / 4 * 8 / 10)
    assert found.volume_error == 0


def test_a_step_counts_by_its_length_in_millimetres() -> None:
    """One pixel of 0.8 mm is within 1 mm everywhere; one slice of 3 mm is not within 2 mm."""
    pixel = agreement(BOX, np.roll(BOX, 1, 2), MATRIX)
    slices = agreement(BOX, np.roll(BOX, 1, 0), MATRIX)
    assert pixel.hd95_mm == pytest.approx(0.8)
    assert pixel.surface_dice_1mm == 1
    assert slices.hd95_mm == pytest.approx(3.0)
    assert slices.surface_dice_1mm < 0.75 and slices.surface_dice_2mm < 0.8
    assert pixel.dice > slices.dice


def test_a_shift_by_the_tolerance_is_within_it_however_the_file_rounded() -> None:
    rounded = matrix_from_parts((1.000001, 1.0, 3.0), AXES)
    for step, tolerance in ((1, "surface_dice_1mm"), (2, "surface_dice_2mm")):
        found = agreement(BOX, np.roll(BOX, step, 2), rounded)
        assert getattr(found, tolerance) == 1


def test_a_dilation_by_one_millimetre_lies_one_millimetre_away() -> None:
    mask = box((6, 12), (8, 18), (10, 20), shape=(20, 30, 36))
    grown = ndimage.binary_dilation(mask)
    found = agreement(mask, grown, np.eye(4))
    assert found.hd95_mm == found.mean_distance_mm == pytest.approx(1.0)
    assert found.surface_dice_1mm == 1
    added = 2 * (6 * 10 + 6 * 10 + 10 * 10)
    assert found.volume_error == pytest.approx(added / 600)
    assert found.dice == pytest.approx(2 * 600 / (600 + 600 + added))
    assert found.centre_shift_mm == pytest.approx(0, abs=1e-9)


def test_the_surface_dice_counts_area_not_voxels() -> None:
    """One slice more on thick slices: walls are three times as high as their voxels count."""
    shape = (9, 30, 30)
    low, high = (
        box((2, 6), (5, 25), (5, 25), shape=shape),
        box((2, 7), (5, 25), (5, 25), shape=shape),
    )
    found = agreement(low, high, matrix_from_parts((1.0, 1.0, 3.0)))
    areas = 2 * (2 * 400) + 80 * 3 * (4 + 5)
    beyond = 18 * 18 + 400 + 80 * 3  # both upper ends, but for the rim, and the new wall
    assert found.surface_dice_1mm == pytest.approx(1 - beyond / areas, abs=0.05)
    voxels_would_say = 1 - (18 * 18 + 400) / ((800 + 2 * 76) + (800 + 3 * 76))
    assert found.surface_dice_1mm > voxels_would_say + 0.1


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    share=st.floats(0.1, 0.95),
    shape=st.tuples(*[st.integers(1, 6)] * 3),
    spacing=st.tuples(*[st.floats(0.3, 5.0)] * 3),
)
def test_figures_are_those_of_every_pair_of_voxels(seed, share, shape, spacing) -> None:
    rng = np.random.default_rng(seed)
    pair = [rng.uniform(size=shape) < share for _ in range(2)]
    for mask in pair:
        mask[tuple(rng.integers(0, shape))] = True
    found = agreement(*pair, matrix_from_parts(spacing, AXES))
    swapped = agreement(*pair[::-1], matrix_from_parts(spacing, AXES))

    points = []
    for mask in pair:
        inside = np.pad(mask, 1)
        neighbours = [np.roll(inside, step, axis) for axis in range(3) for step in (-1, 1)]
        surface = inside & ~np.logical_and.reduce(neighbours)
        points.append(np.argwhere(surface) * spacing[::-1])
    distances = cdist(*points)
    there, back = distances.min(1), distances.min(0)
    assert found.hd95_mm == pytest.approx(
        max(np.percentile(there, 95), np.percentile(back, 95)), rel=1e-4, abs=1e-6
    )
    both = np.concatenate((there, back))
    assert found.mean_distance_mm == pytest.approx(both.mean(), rel=1e-4, abs=1e-6)
    union, common = (pair[0] | pair[1]).sum(), (pair[0] & pair[1]).sum()
    assert found.dice == pytest.approx(2 * common / (union + common))
    assert 0 <= found.surface_dice_1mm <= found.surface_dice_2mm <= 1
    for name in ("dice", "hd95_mm", "mean_distance_mm", "surface_dice_1mm", "centre_shift_mm"):
        assert getattr(swapped, name) == pytest.approx(getattr(found, name), rel=1e-5, abs=1e-6)


def test_empty_masks_have_no_distance_and_say_why() -> None:
    lost = agreement(BOX, EMPTY, MATRIX)
    invented = agreement(EMPTY, BOX, MATRIX)
    neither = agreement(EMPTY, EMPTY, MATRIX)
    assert [each.reason for each in (lost, invented, neither)] == [
        EMPTY_IN_SECOND,
        EMPTY_IN_FIRST,
        EMPTY_IN_BOTH,
    ]
    for found in (lost, invented):
        assert found.dice == found.surface_dice_1mm == found.surface_dice_2mm == 0
    assert (lost.volume_error, invented.volume_error) == (-1, None)
    assert neither.dice is neither.surface_dice_1mm is None
    for found in (lost, invented, neither):
        assert found.hd95_mm is found.mean_distance_mm is found.centre_shift_mm is None


def test_a_tilted_grid_is_refused() -> None:
    tilted = np.array(MATRIX)
    tilted[:3, 2] += 0.5 * tilted[:3, 1]
    with pytest.raises(InputError, match="not at right angles"):
        agreement(BOX, BOX, tilted)
