"""From loaded images to the network's stack: masks, scale, grid, checks."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from MRISynthLib.errors import Cancelled, InputError
from MRISynthLib.io import load_one
from MRISynthLib.preprocessing import (
    WorkingGrid,
    body_mask,
    check_inputs,
    check_overlap,
    check_volume,
    normalise,
    overlap_fraction,
    prepare,
    resample_to,
)
from MRISynthLib.preprocessing.resampling import coarsening, covered, resample
from MRISynthLib.progress import Callbacks
from MRISynthLib.provenance import Provenance
from MRISynthLib.volume import Volume, matrix_from_parts
from phantoms import head, head_mask, rigid


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return 2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b))


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = (
        "import sys, MRISynthLib.preprocessing; "
        "print([n for n in ('SimpleITK', 'skimage', 'torch', 'monai') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# Body mask


@pytest.mark.parametrize("contrast", ["T1w", "T2w", "CT"])
@pytest.mark.parametrize("noise", [5.0, 40.0])
def test_body_mask_finds_the_head_with_its_air(contrast: str, noise: float) -> None:
    volume = head(contrast, noise=noise)
    assert dice(body_mask(volume.voxels, volume.spacing), head_mask(volume)) > 0.97


def test_body_mask_of_a_large_image_is_found_at_full_resolution() -> None:
    volume = head("T1w", (16, 270, 260), (0.8, 0.8, 11.0))
    mask = body_mask(volume.voxels, volume.spacing)
    assert mask.shape == volume.shape
    assert dice(mask, head_mask(volume)) > 0.97


def test_body_mask_leaves_a_headrest_and_coil_noise_out() -> None:
    volume = head("T1w")
    voxels = volume.voxels.copy()
    voxels[:, -3:, 20:70] = 500
    voxels[:, :, -1:] += np.random.default_rng(0).uniform(0, 400, voxels[:, :, -1:].shape)
    mask = body_mask(voxels, volume.spacing)
    assert not mask[:, -3:, 20:70].any()
    assert dice(mask, head_mask(volume)) > 0.97


def test_body_mask_of_a_stripped_brain_is_the_brain() -> None:
    volume = head("T1w")
    brain = head_mask(volume.with_voxels(volume.voxels).replace(index_to_world=_grown(volume, 1.4)))
    voxels = np.where(brain, volume.voxels, 0)
    assert dice(body_mask(voxels, volume.spacing), brain) > 0.95


def _grown(volume: Volume, factor: float) -> np.ndarray:
    return np.diag((factor, factor, factor, 1.0)) @ volume.index_to_world


@pytest.mark.parametrize("shift", [-1000.0, 0.0, 1000.0])
def test_body_mask_does_not_depend_on_units(shift: float) -> None:
    volume = head("T2w")
    moved = 0.01 * volume.voxels + shift
    expected = body_mask(volume.voxels, volume.spacing)
    assert dice(body_mask(moved, volume.spacing), expected) > 0.999


def test_body_mask_works_on_one_slice_and_says_everything_when_nothing_can_be_told() -> None:
    volume = head("T1w")
    mask = body_mask(volume.voxels[18], volume.spacing)
    assert dice(mask, head_mask(volume)[18]) > 0.95
    assert body_mask(np.full((4, 9, 8), 7.0)).all()


# Normalisation


def test_robust_normalisation_forgets_the_scanner_gain() -> None:
    volume = head("T1w")
    one, scale = normalise(volume.voxels)
    other, _ = normalise(volume.voxels * 37.5)
    np.testing.assert_allclose(one, other, atol=1e-5)
    inside = one[head_mask(volume)]
    assert 0.98 < np.percentile(inside, 99.5) < 1.02
    assert one.dtype == np.float32
    assert one.min() >= 0
    assert one.max() <= 2
    back = scale.invert(scale.apply(volume.voxels))
    np.testing.assert_allclose(back, volume.voxels, rtol=1e-5, atol=1e-3)


def test_robust_normalisation_survives_a_hot_spot_and_integers() -> None:
    volume = head("T1w")
    spoiled = volume.voxels.copy()
    spoiled[10, 50, 50] = 1e6
    clean, _ = normalise(volume.voxels)
    hot, _ = normalise(spoiled)
    assert np.abs(np.delete(hot, [0]) - np.delete(clean, [0])).mean() < 0.01
    assert hot.max() == 2.0
    whole, _ = normalise(volume.voxels.astype(np.uint16))
    np.testing.assert_allclose(whole, clean, atol=0.01)


def test_an_image_that_was_z_scored_gets_its_background_back_to_zero() -> None:
    volume = head("T1w")
    shifted = (volume.voxels - volume.voxels.mean()) / volume.voxels.std()
    plain, _ = normalise(volume.voxels)
    again, _ = normalise(shifted)
    np.testing.assert_allclose(again, plain, atol=0.02)


def test_hounsfield_units_stay_absolute() -> None:
    volume = head("CT")
    found, scale = normalise(volume.voxels, sequence="CT")
    part, same = normalise(volume.voxels[10:20], sequence="CT")
    assert scale == same
    assert scale.method == "hounsfield"
    np.testing.assert_array_equal(part, found[10:20])
    np.testing.assert_allclose(scale.apply(np.array([-1000.0, 0.0, 1500.0])), [0, 0.4, 1])


def test_a_ct_in_eight_bits_is_scaled_by_its_own_range() -> None:
    volume = head("CT")
    squeezed = np.clip((volume.voxels + 1000) / 3060, 0, 1)
    found, scale = normalise(squeezed, sequence="CT")
    assert scale.method == "robust"
    assert np.percentile(found[head_mask(volume)], 99.5) > 0.95


def test_the_other_normalisations() -> None:
    volume = head("T2w")
    mask = head_mask(volume)
    scored, _ = normalise(volume.voxels, mask, "zscore")
    assert abs(scored[mask].mean()) < 0.01
    assert abs(scored[mask].std() - 1) < 0.01
    ranged, _ = normalise(volume.voxels, method="minmax")
    assert (ranged.min(), ranged.max()) == (0.0, 1.0)
    with pytest.raises(ValueError, match="softmax"):
        normalise(volume.voxels, method="softmax")


# The working grid


def ramp(shape: tuple[int, int, int], matrix: np.ndarray) -> Volume:
    """A volume whose value is 1000 + x + 2y - 3z of its LPS position."""
    slices, rows, columns = np.indices(shape)
    index = np.stack([columns, rows, slices], axis=-1)
    return Volume(_plane(index @ matrix[:3, :3].T + matrix[:3, 3]), matrix)


def _plane(points: np.ndarray) -> np.ndarray:
    return (1000 + points @ np.array((1.0, 2.0, -3.0))).astype(np.float32)


@st.composite
def grids(draw: st.DrawFn) -> tuple[tuple[int, int, int], np.ndarray]:
    """Any orientation, spacing and small size a reference may have."""
    shape = tuple(draw(st.integers(4, 18)) for _ in range(3))
    spacing = [draw(st.floats(0.4, 6.5)) for _ in range(3)]
    angles = [draw(st.floats(-40, 40)) for _ in range(3)]
    signs = [draw(st.sampled_from((-1.0, 1.0))) for _ in range(3)]
    order = draw(st.permutations(range(3)))
    axes = (Rotation.from_euler("xyz", angles, degrees=True).as_matrix() * signs)[:, order]
    return shape, matrix_from_parts(spacing, axes, [draw(st.floats(-80, 80)) for _ in range(3)])


@settings(max_examples=60, deadline=None)
@given(grids(), st.integers(0, 1000))
def test_the_grid_shows_every_point_where_it_is(grid, seed: int) -> None:
    shape, matrix = grid
    reference = ramp(shape, matrix)
    working = WorkingGrid.for_reference(reference)
    axes = working.index_to_world[:3, :3] / working.spacing
    assert np.all(np.diag(axes) > 0.3)
    assert 0.989 <= working.spacing[2] <= 5.055  # 1 to 5 mm, rounded as below
    np.testing.assert_allclose(working.spacing[:2], 1.0, rtol=0.011)
    # A motion between both frames must be followed, not only the headers.
    motion = rigid(np.random.default_rng(seed), (0, 0, 0), 10, 8)
    for move in (np.eye(4), motion):
        moved = reference.replace(index_to_world=move @ reference.index_to_world)
        array = working.to_grid(moved, move, cval=np.nan, order=1)
        assert array.shape == working.shape
        assert array.dtype == np.float32
        inside = _well_inside(working, reference)
        there = np.indices(working.shape)[::-1].reshape(3, -1).T
        there = there @ working.index_to_world[:3, :3].T + working.index_to_world[:3, 3]
        expected = _plane(there).reshape(working.shape)
        np.testing.assert_allclose(array[inside], expected[inside], atol=0.05)


def _well_inside(grid: WorkingGrid, reference: Volume) -> np.ndarray:
    """Where neither the edge nor the smoothing near it matters."""
    mapping = grid.index_in(reference)
    margin = np.where(coarsening(mapping) > 1.5, 3 * coarsening(mapping), 0) + 1e-3
    index = np.indices(grid.shape)[::-1].reshape(3, -1).T
    place = index @ mapping[:3, :3].T + mapping[:3, 3]
    last = np.array(reference.shape[::-1]) - 1
    return np.all((place >= margin) & (place <= last - margin), axis=1).reshape(grid.shape)


@settings(max_examples=40, deadline=None)
@given(grids())
def test_the_way_back_ends_on_the_reference(grid) -> None:
    shape, matrix = grid
    reference = ramp(shape, matrix)
    working = WorkingGrid.for_reference(reference)
    there = np.indices(working.shape)[::-1].reshape(3, -1).T
    there = there @ working.index_to_world[:3, :3].T + working.index_to_world[:3, 3]
    back = working.from_grid(_plane(there).reshape(working.shape))
    assert back.shape == reference.shape
    inner = tuple(slice(2, -2) for _ in range(3))
    np.testing.assert_allclose(back[inner], reference.voxels[inner], atol=0.05)
    assert np.isfinite(back).all()
    # Also at the rim nothing comes from outside the image.
    assert np.abs(back - reference.voxels).max() < 3 * 6.5 * 2
    if working.slices_coincide:
        slab = _plane(there).reshape(working.shape)
        for k in {0, working.shape[0] // 2, working.shape[0] - 1}:
            index, image = working.slice_to_reference(slab[k], k)
            np.testing.assert_allclose(image, back[index], atol=1e-3)
            assert working.slice_of_reference(index) == k
            index, image = working.slice_to_reference(slab[k], k, order=3)
            whole = working.from_grid(slab, order=3)
            np.testing.assert_allclose(
                image, np.clip(whole[index], image.min(), image.max()), atol=0.02
            )


def test_a_reference_that_fits_is_not_resampled() -> None:
    voxels = np.random.default_rng(0).normal(size=(5, 12, 9)).astype(np.float32)
    flipped = matrix_from_parts((1.0, 1.004, 3.0), np.diag((-1.0, -1.0, -1.0)), (30, 20, 10))
    reference = Volume(voxels, flipped)
    grid = WorkingGrid.for_reference(reference)
    np.testing.assert_array_equal(grid.to_grid(reference), voxels[::-1, ::-1, ::-1])
    np.testing.assert_array_equal(grid.from_grid(grid.to_grid(reference)), voxels)
    assert grid.slices_coincide
    assert grid.reference_slice(0) == 4


def test_a_sagittal_reference_is_seen_from_below_and_comes_back() -> None:
    axes = np.array([[0, 0, 1.0], [1, 0, 0], [0, -1, 0]])  # columns to posterior, rows down
    volume = head("T1w", (36, 120, 110), (1.6, 1.6, 4.5), direction=axes)
    grid = WorkingGrid.for_reference(volume)
    assert not grid.slices_coincide
    with pytest.raises(ValueError, match="not slices"):
        grid.reference_slice(3)
    np.testing.assert_allclose(grid.spacing, (1, 1, 1.6))
    array = grid.to_grid(volume)
    # Columns run to patient left, rows to posterior: the left lesion lies where the table says.
    left, right = _at(grid, array, (40, 30, 34)), _at(grid, array, (-40, 30, 34))
    assert abs(left - 300) < 40
    assert right > 450
    back = grid.from_grid(array, order=3)
    body = head_mask(volume)
    assert np.abs(back - volume.voxels)[body].mean() < 0.05 * volume.voxels[body].mean()
    mask = grid.to_grid(volume.with_voxels(body.astype(np.float32)), order=1)
    assert dice(grid.from_grid_mask(mask), body) > 0.98


def _at(grid: WorkingGrid, array: np.ndarray, point: tuple[float, float, float]) -> float:
    """Mean around an LPS point."""
    place = np.linalg.solve(grid.index_to_world, (*point, 1.0))[:3]
    column, row, k = np.rint(place).astype(int)
    return float(array[k - 1 : k + 2, row - 1 : row + 2, column - 1 : column + 2].mean())


def test_a_sheared_volume_is_resampled_in_place() -> None:
    matrix = matrix_from_parts((1.0, 1.0, 3.0), None, (-20, -20, -20))
    matrix[1, 2] = 0.6  # gantry tilt
    tilted = ramp((14, 40, 40), matrix)
    straight = ramp((10, 20, 20), matrix_from_parts((1.0, 1.0, 3.0), None, (-10, -8, -12)))
    found = resample_to(tilted, straight)
    np.testing.assert_allclose(found.voxels, straight.voxels, atol=0.02)
    assert found.same_geometry(straight)


def test_coarse_sampling_does_not_alias() -> None:
    stripes = np.zeros((8, 64, 64), np.float32)
    stripes[:, :, ::2] = 1.0
    coarse = resample(stripes, np.diag((4.0, 4.0, 1.0, 1.0)), (8, 16, 16))
    assert np.abs(coarse[:, 2:-2, 2:-2] - 0.5).max() < 0.05
    assert resample(stripes, np.diag((4.0, 4.0, 1.0, 1.0)), (8, 16, 16), antialias=False).max() == 1


def test_covered_says_where_there_are_voxels() -> None:
    shift = np.eye(4)
    shift[0, 3] = -3
    inside = covered(shift, (4, 5, 10), (4, 5, 6))
    assert inside[:, :, 3:9].all()
    assert not inside[:, :, :3].any()
    assert not inside[:, :, 9:].any()
    assert covered(np.eye(4), (4, 5, 6), (4, 5, 6)) is None


# Overlap and checks


def test_overlap_is_a_share_of_the_smaller_body() -> None:
    whole = head("T1w")
    assert overlap_fraction(whole, head("T2w")) == 1.0
    upper = whole.replace(
        voxels=whole.voxels[18:],
        index_to_world=whole.index_to_world
        @ np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 18], [0, 0, 0, 1.0]]),
    )
    assert overlap_fraction(whole, upper) == 1.0
    lower = whole.replace(voxels=whole.voxels[:21])
    assert 0.05 < overlap_fraction(lower, upper) < 0.3
    away = np.eye(4)
    away[0, 3] = 400
    with pytest.raises(InputError, match=r"T2w.*does not overlap.*T1w"):
        check_overlap([whole, head("T2w").replace(index_to_world=away @ whole.index_to_world)])


def _with(index: tuple[int, int, int], value: float) -> np.ndarray:
    voxels = head("T1w").voxels.copy()
    voxels[index] = value
    return voxels


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"voxels": _with((3, 4, 5), np.nan)}, "1 of 380160 voxels"),
        ({"voxels": _with((3, 4, 5), np.inf)}, "infinite"),
        ({"voxels": np.full((36, 110, 96), 3.0)}, "constant"),
        ({"voxels": head("T1w").voxels[:1]}, "only one slice"),
        ({"voxels": head("T1w").voxels[:2]}, "only 2 slices"),
        ({"index_to_world": matrix_from_parts((2, 2, 25))}, "voxels of 2 x 2 x 25 mm"),
        ({"index_to_world": matrix_from_parts((0.02, 0.02, 5))}, "true spacing"),
        ({"index_to_world": matrix_from_parts((0.2, 0.2, 5))}, "not the size of a head"),
        ({"index_to_world": matrix_from_parts((9, 9, 5))}, "not the size of a head"),
    ],
)
def test_a_bad_image_is_refused_by_name(change: dict, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        check_volume(head("T1w").replace(name="scan.nii.gz", **change))
    assert "scan.nii.gz" in str(caught.value)


def test_a_good_image_passes_without_a_word() -> None:
    for contrast in ("T1w", "T2w", "CT"):
        assert check_volume(head(contrast)) == ()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"index_to_world": matrix_from_parts((2, 2, 7.5))}, "7.5 mm apart"),
        ({"index_to_world": matrix_from_parts((1, 1, 5))}, "96 x 110 mm"),
        ({"voxels": head("T1w").voxels[:5]}, "only 25 mm"),
        ({"voxels": np.round(head("T1w").voxels / 100)}, "grey levels"),
        ({"sequence": "CT"}, "Hounsfield"),
        ({"voxels": head("CT").voxels}, "as a CT has"),
        ({"voxels": head("T1w").voxels - 200}, "below 0"),
    ],
)
def test_what_a_clinician_should_know_is_a_warning(change: dict, words: str) -> None:
    warnings = check_volume(head("T1w").replace(**change))
    assert any(words in text for text in warnings), warnings


def test_inputs_are_checked_against_each_other() -> None:
    t1w, t2w = head("T1w"), head("T2w")
    assert check_inputs([t1w, t2w], ["CE-T1w", SimpleNamespace(sequence="STIR")]) == ()
    with pytest.raises(InputError, match="No input"):
        check_inputs([])
    with pytest.raises(InputError, match="T1w was given twice"):
        check_inputs([t1w, t2w.replace(sequence="T1w")])
    with pytest.raises(InputError, match="same image"):
        check_inputs([t1w, t1w.replace(sequence="T2w", name="copy")])
    with pytest.raises(InputError, match="asked for but also given"):
        check_inputs([t1w, t2w], ["CE-T1w", "T2w"])
    with pytest.raises(InputError, match="asked for but also given"):
        check_inputs([t1w], [SimpleNamespace(sequence="T1w")])
    with pytest.raises(InputError, match="asked for twice"):
        check_inputs([t1w], ["STIR", "STIR"])
    with pytest.raises(InputError, match="not known which sequence"):
        check_inputs([t1w.replace(sequence=None)])
    made = t2w.replace(provenance=Provenance(synthetic=True))
    assert any("itself synthetic" in text for text in check_inputs([t1w, made]))


# All together


def test_prepare_puts_displaced_inputs_on_each_other() -> None:
    motion = rigid(np.random.default_rng(4), (0, 0, 0), 12, 9)
    t1w = head("T1w")
    t2w = head("T2w", (60, 90, 90), (2.3, 2.3, 2.9), motion=motion, seed=2)
    steps = []
    callbacks = Callbacks(on_progress=lambda step: steps.append((step.stage, step.done)))
    found = prepare([t1w, t2w], callbacks=callbacks)

    assert steps == [("register", 0), ("register", 1)]
    assert list(found.stack) == ["T1w", "T2w"]
    truth = found.grid.to_grid(head("T2w"))
    body = found.body
    assert body.shape == found.stack["T2w"].shape == found.grid.shape
    assert dice(body, found.grid.to_grid(t1w.with_voxels(head_mask(t1w) * 1.0)) > 0.5) > 0.97
    assert np.corrcoef(found.stack["T2w"][body], truth[body])[0, 1] > 0.87
    headers_only = prepare([t1w, t2w], register=False)
    assert np.corrcoef(headers_only.stack["T2w"][body], truth[body])[0, 1] < 0.8
    assert headers_only.registrations[0]["asked"] is False

    assert found.registered[0] is t1w
    assert found.registered[1].same_geometry(t1w)
    inside = head_mask(t1w)
    shown = found.registered[1].voxels[inside]
    assert np.corrcoef(shown, head("T2w").voxels[inside])[0, 1] > 0.87
    (entry,) = found.registrations
    assert entry["succeeded"] is True
    assert entry["sequence"] == "T2w"
    assert abs(entry["rotation_deg"] - 9) < 1.5
    assert set(found.timings) == {"register", "prepare"}
    assert not found.warnings


def test_prepare_says_where_an_input_is_missing() -> None:
    t1w = head("T1w")
    half = t1w.replace(voxels=head("T2w").voxels[:18], sequence="T2w", name="lower half")
    found = prepare([t1w, half])
    assert found.valid["T1w"] is None
    valid = found.valid["T2w"]
    assert valid[:18].all()
    assert not valid[18:].any()
    assert found.stack["T2w"][18:].max() == 0


def test_prepare_does_not_hide_a_failed_registration() -> None:
    t1w = head("T1w")
    noise = np.random.default_rng(0).rayleigh(60, t1w.shape).astype(np.float32)
    spoiled = Volume(noise, t1w.index_to_world @ np.diag((1, 1, 0.9, 1)), "T2w", "noise.nii")
    found = prepare([t1w, spoiled])
    assert found.registrations[0]["succeeded"] is False
    assert found.registrations[0]["reason"]
    assert any("noise.nii" in text and "could not be registered" in text for text in found.warnings)


def test_prepare_carries_warnings_and_stops_when_asked() -> None:
    t1w = head("T1w").replace(warnings=("A slice is missing.",))
    assert "A slice is missing." in prepare([t1w]).warnings
    with pytest.raises(Cancelled):
        prepare([t1w, head("T2w")], callbacks=Callbacks(cancelled=lambda: True))


def test_real_scans_have_sensible_masks_and_scales(shared_data) -> None:
    for name, share in (("mr_adi/T2w", 0.6), ("mr_openms/patient01_study1/FLAIR", 0.38)):
        volume = load_one(shared_data / f"{name}.nii.gz")
        mask = body_mask(volume.voxels, volume.spacing)
        assert abs(mask.mean() - share) < 0.06
        array, _ = normalise(volume.voxels, mask)
        assert 0.15 < np.median(array[mask]) < 0.85
        assert np.percentile(array[~mask], 95) < 0.15
        assert all("below 0" not in text for text in check_volume(volume))
