"""Which place the demonstration shows."""

from __future__ import annotations

import numpy as np
import pytest

from MRISynthApp.focus import covered_by_all, place_to_show
from MRISynthLib.volume import Volume, matrix_from_parts
from MRISynthSegmentLib.segmentation import Segmentation

SHAPE = (20, 30, 40)
WHOLE = Volume(np.zeros(SHAPE), matrix_from_parts((1.0, 1.0, 5.0), None, (-20, -15, -50)), "T1w")
UNMOVED = np.eye(4).tolist()


def part(first: int, last: int) -> Volume:
    """Slices of the whole as another image, in its own numbering."""
    corner = (WHOLE.index_to_world @ (0, 0, first, 1))[:3]
    matrix = matrix_from_parts((1.0, 1.0, 5.0), None, corner)
    return Volume(np.zeros((last - first, *SHAPE[1:])), matrix, "T2w")


def slice_at(place) -> float:
    return float((np.linalg.inv(WHOLE.index_to_world) @ (*place, 1.0))[2])


def drawn(*slices: int, name: str = "GTVp") -> Segmentation:
    mask = np.zeros(SHAPE, bool)
    mask[list(slices), 10:14, 4:8] = True
    return Segmentation({"Brain": np.ones(SHAPE, bool), name: mask}, WHOLE)


def test_a_place_is_shown_where_every_image_has_voxels() -> None:
    images = [WHOLE, part(12, 18), part(8, 16)]
    registrations = [{"matrix_lps_fixed_to_moving": UNMOVED}] * 2
    covered = covered_by_all(images, registrations)
    assert np.flatnonzero(covered.any((1, 2))).tolist() == [12, 13, 14, 15]
    assert slice_at(place_to_show(WHOLE, None, covered)) == pytest.approx(13.5)
    # the tumour goes on where one image has ended, or lies altogether there
    assert slice_at(place_to_show(WHOLE, drawn(14, 15, 16, 17), covered)) == pytest.approx(14.5)
    assert slice_at(place_to_show(WHOLE, drawn(2, 3), covered)) == pytest.approx(13.5)


def test_an_image_counts_where_registration_has_put_it() -> None:
    moved = np.eye(4)
    moved[2, 3] = 20.0  # what it shows lies four slices lower in the first image
    covered = covered_by_all([WHOLE, part(12, 18)], [{"matrix_lps_fixed_to_moving": moved}])
    assert np.flatnonzero(covered.any((1, 2))).tolist() == [8, 9, 10, 11, 12, 13]


def test_the_middle_of_the_tumour_or_of_the_image_is_shown_where_all_is_covered() -> None:
    assert covered_by_all([WHOLE, WHOLE], [{"matrix_lps_fixed_to_moving": UNMOVED}]) is None
    place = place_to_show(WHOLE, drawn(2, 3, 4))
    assert place == pytest.approx((-20 + 5.5, -15 + 11.5, -50 + 3 * 5.0))
    for nothing in (None, drawn(), drawn(3, name="Lens_L")):
        assert place_to_show(WHOLE, nothing) == pytest.approx(WHOLE.corners().mean(axis=0))
    apart = np.zeros(SHAPE, bool)  # inputs that have no voxel in common
    assert slice_at(place_to_show(WHOLE, drawn(3), apart)) == pytest.approx(3)
