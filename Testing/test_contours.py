"""Masks as contours and back: exact, closed, on the slices, holes by keyholes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import ndimage
from scipy.spatial.transform import Rotation
from skimage.draw import polygon2mask

from MRISynthLib.errors import InputError
from MRISynthLib.volume import Volume, matrix_from_parts
from MRISynthSegmentLib.contours import contours_of, mask_of, on_slices

SHAPE = (3, 12, 14)
PIXELS = np.eye(4)
MASKS = arrays.arrays(bool, st.tuples(*(st.integers(1, n) for n in SHAPE)))


@pytest.fixture(scope="module")
def oblique() -> Volume:
    """Oblique in all axes, anisotropic and left-handed, 6 slices of 20 x 24."""
    axes = Rotation.from_euler("xyz", (10, -20, 33), degrees=True).as_matrix() @ np.diag((1, -1, 1))
    matrix = matrix_from_parts((0.9, 0.7, 4.0), axes, (-10.123456, 22.5, -35.25))
    return Volume(np.zeros((6, 20, 24), np.uint8), matrix, name="oblique")


def _plane(rows: list[str]) -> np.ndarray:
    """A mask of one slice, drawn with ``#``."""
    return np.array([[[letter == "#" for letter in row] for row in rows]])


def _rings(mask: np.ndarray) -> list[np.ndarray]:
    """Contours of the first slice, (n, 2) as (column, row)."""
    return [ring[:, :2] for ring in contours_of(mask, PIXELS).get(0, [])]


def _area(ring: np.ndarray) -> float:
    x, y = ring.T
    return float(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)) / 2)


def _side(a, b, c) -> np.ndarray:
    return (b[..., 0] - a[..., 0]) * (c[..., 1] - a[..., 1]) - (b[..., 1] - a[..., 1]) * (
        c[..., 0] - a[..., 0]
    )


def _crosses_itself(ring: np.ndarray) -> bool:
    """Whether two edges cross in their interiors; those that only touch or coincide do not."""
    a, b = ring[:, None], np.roll(ring, -1, axis=0)[:, None]
    c, d = ring[None], np.roll(ring, -1, axis=0)[None]
    return bool(
        ((_side(a, b, c) * _side(a, b, d) < 0) & (_side(c, d, a) * _side(c, d, b) < 0)).any()
    )


# --- masks to contours --------------------------------------------------------------------


@given(MASKS)
def test_any_mask_comes_back_as_it_was(mask):
    grid = Volume(np.zeros(mask.shape), matrix_from_parts((0.9, 0.7, 4.0), origin=(5, -3, 2)))
    np.testing.assert_array_equal(mask_of(contours_of(mask, grid.index_to_world), grid), mask)


@given(MASKS)
def test_contours_of_any_mask_are_what_dicom_calls_closed_and_planar(mask):
    for k, rings in contours_of(mask, PIXELS).items():
        for ring in rings:
            assert len(ring) >= 3
            assert (ring[:, 2] == k).all()
            assert not (ring == np.roll(ring, -1, axis=0)).all(axis=1).any(), "a repeated point"
            assert not _crosses_itself(ring[:, :2])


@given(MASKS)
def test_each_part_has_one_contour_and_its_area(mask):
    """Each pixel's area but for the corners: half a pixel less outside, half more in a hole."""
    for k, rings in contours_of(mask, PIXELS).items():
        parts, count = ndimage.label(mask[k])
        assert len(rings) == count
        for number, ring in enumerate(rings, start=1):
            part = np.pad(parts == number, 1)
            holes = ndimage.label(~part, np.ones((3, 3)))[1] - 1
            assert _area(ring[:, :2]) == pytest.approx(part.sum() - 0.5 + 0.5 * holes)


def test_outline_runs_within_half_a_pixel_of_what_was_sampled():
    rows, columns = np.mgrid[:40, :44]
    radius = np.hypot(rows - 19.3, columns - 21.8)
    (ring,) = _rings((radius < 15.2)[None])
    away = np.abs(np.hypot(ring[:, 0] - 21.8, ring[:, 1] - 19.3) - 15.2)
    assert away.max() <= 0.5
    assert _area(ring) == pytest.approx(np.pi * 15.2**2, rel=0.01)


def test_only_corners_are_points():
    (ring,) = _rings(np.ones((1, 30, 50), bool))
    assert len(ring) == 8
    np.testing.assert_array_equal(ring.min(axis=0), (-0.5, -0.5))  # also at the image's edge
    np.testing.assert_array_equal(ring.max(axis=0), (49.5, 29.5))


def test_one_pixel_is_outlined_half_way_to_its_neighbours():
    mask = np.zeros((1, 5, 5), bool)
    mask[0, 3, 1] = True
    (ring,) = _rings(mask)
    assert {tuple(point) for point in ring} == {(0.5, 3), (1.5, 3), (1, 2.5), (1, 3.5)}


def test_pixels_that_touch_at_a_corner_have_contours_that_do_not_touch():
    first, second = _rings(_plane(["#..", ".#.", "..."]))
    assert np.linalg.norm(first[:, None] - second[None], axis=2).min() > 0.7


def test_a_hole_is_joined_to_the_outline_by_a_channel_of_no_width():
    (ring,) = _rings(_plane(["#####", "#...#", "#...#", "#####"]))
    points, visits = np.unique(ring, axis=0, return_counts=True)
    twice = points[visits == 2]
    assert len(twice) == 2, "the two ends of the channel"
    assert twice[0, 1] == twice[1, 1], "it runs along a row"
    assert twice[0, 1] % 1 not in (0, 0.5), "and not through the centres of pixels"


def test_holes_in_one_row_and_islands_in_holes():
    rings = _rings(
        _plane(
            [
                "##################",
                "#.#.#.......#....#",
                "#.#.#.#####.#.##.#",
                "#.#.#.#...#.#.##.#",
                "#.#.#.#.#.#.#....#",
                "#.#.#.#...#.#.##.#",
                "#.#.#.#####.#.##.#",
                "#.#.#.......#....#",
                "##################",
            ]
        )
    )
    assert len(rings) == 5, "the outside with its four holes, a ring in one, and what is in it"
    assert all(_area(ring) > 0 for ring in rings)
    assert not any(_crosses_itself(ring) for ring in rings)
    inside = [polygon2mask((9, 18), ring[:, ::-1]) for ring in rings]
    assert np.sum(inside, axis=0).max() == 1, "no contour lies in what another one encloses"


def test_contours_lie_on_the_planes_of_slices_that_are_not_quite_even(oblique):
    matrices = np.tile(oblique.index_to_world, (6, 1, 1))
    matrices[3, :3, 3] += 0.05 * oblique.direction[:, 2]
    mask = np.zeros(oblique.shape, bool)
    mask[2:4, 5:9, 5:9] = True
    found = contours_of(mask, matrices)
    heights = {k: rings[0] @ oblique.direction[:, 2] for k, rings in found.items()}
    base = oblique.origin @ oblique.direction[:, 2]
    np.testing.assert_allclose(heights[2], base + 2 * 4.0)
    np.testing.assert_allclose(heights[3], base + 3 * 4.0 + 0.05)


def test_nothing_has_no_contours(oblique):
    nothing = np.zeros(oblique.shape, bool)
    assert contours_of(nothing, oblique.index_to_world) == {}
    assert not mask_of({}, oblique).any()


# --- contours to masks --------------------------------------------------------------------


def _world(volume: Volume, points, k: float = 0) -> np.ndarray:
    index = np.column_stack([np.asarray(points, float), np.full(len(points), k)])
    return index @ volume.index_to_world[:3, :3].T + volume.origin


@given(st.integers(0, 2**32 - 1))
def test_filling_agrees_with_another_implementation(seed):
    rng = np.random.default_rng(seed)
    volume = Volume(np.zeros((1, 20, 24)), np.eye(4))
    polygon = rng.uniform((-3, -3), (26, 22), (rng.integers(3, 12), 2))  # may well cross itself
    expected = polygon2mask((20, 24), polygon[:, ::-1])
    np.testing.assert_array_equal(mask_of({0: [_world(volume, polygon)]}, volume)[0], expected)


def test_a_hole_may_be_a_contour_of_its_own_and_have_an_island(oblique):
    squares = [[(a, a), (b, a), (b, b), (a, b)] for a, b in ((1.5, 18.5), (4.5, 15.5), (8.5, 11.5))]
    mask = mask_of({2: [_world(oblique, square, 2) for square in squares]}, oblique)
    expected = np.zeros(oblique.shape, bool)
    expected[2, 2:19, 2:19] = True
    expected[2, 5:16, 5:16] = False
    expected[2, 9:12, 9:12] = True
    np.testing.assert_array_equal(mask, expected)


def test_contours_that_share_an_edge_share_no_pixel_and_leave_none_out(oblique):
    cut = [(3.2, 2.0), (17.0, 18.0)]  # through the centres of pixels, too
    left = [(2, 2), *cut, (2, 18)]
    right = [cut[0], (20, 2), (20, 18), cut[1]]
    whole = mask_of({0: [_world(oblique, [(2, 2), (20, 2), (20, 18), (2, 18)])]}, oblique)
    parts = [mask_of({0: [_world(oblique, part)]}, oblique) for part in (left, right)]
    assert not (parts[0] & parts[1]).any()
    np.testing.assert_array_equal(parts[0] | parts[1], whole)


def test_points_on_pixel_centres_enclose_their_area(oblique):
    square = [(5, 3), (9, 3), (9, 8), (5, 8)]
    assert mask_of({0: [_world(oblique, square)]}, oblique).sum() == 4 * 5


def test_what_lies_outside_the_image_is_cut_off(oblique):
    around = [(-50, -40), (100, -40), (100, 90), (-50, 90)]
    beside = [(30, 2), (40, 2), (40, 9), (30, 9)]
    mask = mask_of({1: [_world(oblique, around, 1)], 2: [_world(oblique, beside, 2)]}, oblique)
    assert mask[1].all() and not mask[[0, 2, 3, 4, 5]].any()


# --- planes -------------------------------------------------------------------------------

SQUARE = [(4.5, 4.5), (12.5, 4.5), (12.5, 12.5), (4.5, 12.5)]


def test_contours_on_the_slices_are_not_said_to_be_off(oblique):
    mask = np.zeros(oblique.shape, bool)
    mask[1:5, 3:9, 4:12] = True
    contours = contours_of(mask, oblique.index_to_world)
    placed = on_slices([ring for rings in contours.values() for ring in rings], oblique, "Brain")
    assert placed.off_mm < 1e-5
    assert (placed.passed_over, placed.skipped, placed.beyond_mm) == (0, 0, 0)
    np.testing.assert_array_equal(mask_of(placed.contours, oblique), mask)


def test_contours_near_a_slice_go_to_it_and_how_far_is_said(oblique):
    placed = on_slices([_world(oblique, SQUARE, k + 0.3) for k in (1, 2, 3)], oblique, "Brain")
    assert sorted(placed.contours) == [1, 2, 3]
    assert placed.off_mm == pytest.approx(0.3 * 4.0, abs=1e-4)


@pytest.mark.parametrize(("k", "where"), [(-0.7, "first slice"), (6.5, "last slice")])
def test_contours_beyond_the_slices_are_refused(oblique, k, where):
    with pytest.raises(InputError, match=f"Brain .* beyond the {where} of oblique; give"):
        on_slices([_world(oblique, SQUARE, 1), _world(oblique, SQUARE, k)], oblique, "Brain")


def _tilted(volume: Volume, square, k: float, degrees: float) -> np.ndarray:
    """A square on a plane that is turned about the column axis."""
    points = _world(volume, square, k)
    axis, normal = volume.direction[:, 0], volume.direction[:, 2]
    turn = Rotation.from_rotvec(np.deg2rad(degrees) * axis)
    centre = volume.origin + 4 * k * normal + 10 * 0.7 * volume.direction[:, 1]
    return turn.apply(points - centre) + centre


def test_slightly_tilted_contours_go_to_the_nearest_slice_all_of_them(oblique):
    """Two contours of one tilted plane have different mean heights over the slices."""
    one, other = [(2, 2), (9, 2), (9, 7), (2, 7)], [(2, 13), (9, 13), (9, 18), (2, 18)]
    tilted = [_tilted(oblique, each, k, 4) for k in (1, 2, 3) for each in (one, other)]
    placed = on_slices(tilted, oblique, "Brain")
    assert {k: len(rings) for k, rings in placed.contours.items()} == {1: 2, 2: 2, 3: 2}
    assert 0.3 < placed.off_mm < 0.7
    assert placed.passed_over == 0


def test_contours_across_the_slices_are_refused(oblique):
    across = _tilted(oblique, [(2, 1), (20, 1), (20, 19), (2, 19)], 2.0, 40)
    with pytest.raises(InputError, match=r"Brain .* tilted .* of oblique .* slice distance"):
        on_slices([across], oblique, "Brain")


def test_of_planes_closer_than_the_slices_the_nearest_counts(oblique):
    def square(size: int) -> list[tuple[float, float]]:
        return [(4.5, 4.5), (4.5 + size, 4.5), (4.5 + size, 4.5 + size), (4.5, 4.5 + size)]

    planes = {k: round(3 * k) + 2 for k in np.arange(1, 4.01, 0.25)}
    placed = on_slices([_world(oblique, square(n), k) for k, n in planes.items()], oblique, "Brain")
    assert placed.passed_over == len(planes) - 4
    sizes = mask_of(placed.contours, oblique).sum(axis=(1, 2))
    np.testing.assert_array_equal(sizes, [0, *(planes[k] ** 2 for k in (1, 2, 3, 4)), 0])


def test_planes_further_apart_than_the_slices_leave_slices_empty_and_it_is_said(oblique):
    placed = on_slices([_world(oblique, SQUARE, k) for k in (0, 2, 4)], oblique, "Brain")
    assert sorted(placed.contours) == [0, 2, 4]
    assert placed.skipped == 2
    placed = on_slices([_world(oblique, SQUARE, k) for k in (0.3, 1.5, 2.7, 3.9)], oblique, "Brain")
    assert (sorted(placed.contours), placed.skipped) == ([0, 2, 3, 4], 1)
    two_parts = [_world(oblique, SQUARE, k) for k in (0, 1, 4, 5)]
    assert on_slices(two_parts, oblique, "GTVp").skipped == 0


def test_how_far_contours_reach_beyond_the_edge_is_said(oblique):
    beyond = [(-10.5, 2), (5, 2), (5, 9), (-10.5, 9)]
    assert on_slices([_world(oblique, beyond)], oblique, "Brain").beyond_mm == pytest.approx(9.0)
