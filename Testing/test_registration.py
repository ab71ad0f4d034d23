"""Registration finds known offsets, leaves alone what is aligned, and notices when it fails."""

from __future__ import annotations

import json

import numpy as np
import pytest

from benchmarks.registration import (
    ACCEPTED_MM,
    MOST_DEG,
    MOST_MM,
    Pair,
    adi_pair,
    body_points,
    cropped,
    displaced,
    openms_pairs,
)
from MRISynthLib.errors import Cancelled
from MRISynthLib.io import load_one
from MRISynthLib.preprocessing import register
from MRISynthLib.preprocessing.registration import Target, displacement
from MRISynthLib.progress import Callbacks
from MRISynthLib.volume import matrix_from_parts
from phantoms import head, rigid


@pytest.fixture(scope="module")
def openms(shared_data) -> list[Pair]:
    return list(openms_pairs(shared_data))


@pytest.mark.parametrize(("contrast", "seed"), [("T2w", 1), ("CT", 3)])
def test_a_simulated_head_is_found_again(contrast: str, seed: int) -> None:
    fixed = head("T1w")
    motion = rigid(np.random.default_rng(seed), (0, 0, 0), MOST_MM, MOST_DEG)
    moving = head(contrast, (60, 90, 90), (2.3, 2.3, 2.9), motion=motion, seed=seed)
    found = register(moving, fixed)
    assert found.succeeded, found.reason
    assert displacement(found.matrix, motion, body_points(fixed)).mean() < ACCEPTED_MM
    assert abs(found.rotation_deg - MOST_DEG) < 1.5
    assert found.overlap > 0.9
    json.dumps(found.to_dict())


def test_the_same_call_gives_the_same_answer() -> None:
    fixed = head("T1w")
    motion = rigid(np.random.default_rng(5), (0, 0, 0), 9, 6)
    moving = head("T2w", motion=motion)
    first, second = register(moving, fixed), register(moving, Target(fixed))
    np.testing.assert_array_equal(first.matrix, second.matrix)
    assert first.quality == second.quality


def test_images_that_lie_right_stay_where_they_are() -> None:
    other_grid = head("T2w", (60, 90, 90), (2.3, 2.3, 2.9), seed=4)
    for moving in (head("T2w", seed=4), other_grid):
        found = register(moving, head("T1w"))
        assert found.succeeded
        np.testing.assert_array_equal(found.matrix, np.eye(4))


def test_motion_on_the_same_grid_is_seen() -> None:
    motion = rigid(np.random.default_rng(6), (0, 0, 0), 4, 3)
    found = register(head("T2w", motion=motion), head("T1w"))
    error = displacement(found.matrix, motion, body_points(head("T1w")))
    assert error.mean() < ACCEPTED_MM


def test_a_sheared_moving_image_is_registered() -> None:
    fixed = head("T1w")
    matrix = matrix_from_parts((2.0, 2.0, 5.0), None, fixed.origin)
    matrix[1, 2] = 0.9
    moving = head("T2w")
    slices, rows, columns = np.indices(moving.shape)
    index = np.stack([columns, rows, slices, np.ones_like(rows)], axis=-1)
    # The tilted scan of the same head: each voxel taken from where the tilted grid has it.
    place = np.rint(index @ (np.linalg.inv(moving.index_to_world) @ matrix).T).astype(int)
    inside = np.all((place[..., :3] >= 0) & (place[..., :3] < moving.shape[::-1]), axis=-1)
    voxels = np.zeros(moving.shape, np.float32)
    x, y, z = place[inside][:, :3].T
    voxels[inside] = moving.voxels[z, y, x]
    found = register(moving.replace(voxels=voxels, index_to_world=matrix), fixed)
    assert found.succeeded
    assert displacement(found.matrix, np.eye(4), body_points(fixed)).mean() < ACCEPTED_MM


def test_noise_is_not_registered() -> None:
    noise = np.random.default_rng(0).rayleigh(60, (36, 110, 96)).astype(np.float32)
    spoiled = head("T2w").replace(voxels=noise, index_to_world=np.diag((2.1, 2.0, 5.0, 1.0)))
    found = register(spoiled, head("T1w"))
    assert not found.succeeded
    assert found.reason.endswith(".")
    np.testing.assert_array_equal(found.matrix, np.eye(4))


def test_registration_can_be_cancelled() -> None:
    with pytest.raises(Cancelled):
        register(head("T2w"), head("T1w"), callbacks=Callbacks(cancelled=lambda: True))


@pytest.mark.parametrize("number", range(4))
def test_real_pairs_with_the_largest_offset(openms: list[Pair], number: int) -> None:
    pair = openms[number]
    points = body_points(pair.fixed)
    motion = rigid(np.random.default_rng(number), points.mean(axis=0), MOST_MM, MOST_DEG)
    found = register(displaced(pair.moving, motion), pair.fixed)
    assert found.succeeded, found.reason
    assert displacement(found.matrix, motion @ pair.truth, points).mean() < ACCEPTED_MM


def test_a_real_patient_who_moved_between_scans(openms: list[Pair]) -> None:
    pair = openms[2]
    points = body_points(pair.fixed)
    assert displacement(pair.truth, np.eye(4), points).mean() > 4
    found = register(pair.moving, pair.fixed)
    assert displacement(found.matrix, pair.truth, points).mean() < ACCEPTED_MM


def test_the_whole_face_is_found_in_the_same_place_from_elsewhere(shared_data) -> None:
    pair = adi_pair(shared_data)
    target = Target(pair.fixed)
    points = body_points(pair.fixed)
    before = register(pair.moving, target)
    motion = rigid(np.random.default_rng(7), points.mean(axis=0), MOST_MM, MOST_DEG)
    after = register(displaced(pair.moving, motion), target)
    assert before.succeeded
    assert after.succeeded
    assert displacement(after.matrix, motion @ before.matrix, points).mean() < 1.0
    # The headers of this examination agree to a few millimetres.
    assert displacement(before.matrix, np.eye(4), points).mean() < 4


def test_co_registered_scans_are_not_disturbed(shared_data) -> None:
    folder = shared_data / "mr_openms_mni" / "patient07"
    found = register(load_one(folder / "CE-T1w.nii.gz"), load_one(folder / "FLAIR.nii.gz"))
    assert found.succeeded
    np.testing.assert_array_equal(found.matrix, np.eye(4))


def test_real_heads_that_do_not_match_are_noticed(openms: list[Pair]) -> None:
    pair = openms[0]
    over = np.diag((-1.0, 1.0, -1.0, 1.0))
    assert not register(displaced(pair.moving, over), pair.fixed).succeeded
    low, high = cropped(pair.moving, 0, 8), cropped(pair.fixed, 27, 36)
    assert not register(low, high).succeeded
