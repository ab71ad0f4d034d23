"""A real image beside a synthetic one: numbers, derived images, profiles."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from MRISynthLib.errors import Cancelled, InputError
from MRISynthLib.provenance import Provenance
from MRISynthLib.review.comparison import compare_images
from MRISynthLib.review.derived import brightness_range, checkerboard
from MRISynthLib.review.pairing import pairs_of, real_of
from MRISynthLib.review.profile import HOUNSFIELD, RELATIVE, line_profile, sample_points
from MRISynthLib.review.task import HANDLERS
from MRISynthLib.views import display_window, provenance_lines
from MRISynthLib.volume import Volume, matrix_from_parts

PROVENANCE = Provenance(
    synthetic=True, sequence="T2w", inputs=({"sequence": "T1w"},), bundle="a", bundle_hash="0" * 16
)


@dataclass
class Image:
    name: str
    sequence: str | None
    synthetic: bool = False
    patient: str = ""
    study: str = ""


# ---------------------------------------------------------------- pairs


def test_the_real_image_of_the_sequence_that_was_made_is_chosen():
    t1, t2, later = Image("a", "T1w"), Image("b", "T2w"), Image("c", "T2w")
    made, unknown = Image("s", "T2w", True), Image("u", None, True)
    everything = [made, t1, t2, later, unknown, Image("n", None)]
    assert real_of(made, everything) is t2
    assert real_of(unknown, everything) is None
    assert real_of(Image("s", "STIR", True), everything) is None
    assert pairs_of(everything) == [(t2, made)]


def test_a_real_image_of_another_patient_is_not_paired():
    theirs, ours = Image("b", "T2w", patient="B"), Image("a", "T2w", patient="A")
    made, of_unknown = Image("s", "T2w", True, patient="A"), Image("u", "T2w", True)
    assert real_of(made, [theirs, ours, made]) is ours
    assert real_of(made, [theirs, made]) is None
    assert real_of(of_unknown, [theirs]) is theirs


# ---------------------------------------------------------------- numbers


@pytest.fixture
def truth():
    """A head with structure in it and air around it, 12 slices of 48 x 48."""
    rng = np.random.default_rng(3)
    rows, columns = np.mgrid[:48, :48] - 23.5
    head = (rows**2 + columns**2) < 18**2
    blobs = np.kron(rng.uniform(200, 800, (12, 12, 12)), np.ones((1, 4, 4)))
    voxels = np.where(head, blobs, 0).astype(np.float32)
    return Volume(voxels, matrix_from_parts((2, 2, 4)), sequence="T2w", name="T2w")


def made(truth, voxels, **changes):
    return truth.with_voxels(voxels, name="made", provenance=PROVENANCE, **changes)


def test_the_same_image_in_other_units_is_perfect(truth):
    found = compare_images(truth, made(truth, truth.voxels * 3))
    assert found.figures["body"]["MAE"] == pytest.approx(0, abs=1e-6)
    assert found.figures["body"]["SSIM"] == pytest.approx(1, abs=1e-6)
    assert found.figures["body"]["PSNR"] > 100
    assert found.difference.voxels.max() < 1e-5
    assert set(found.figures) == {"body"} and not found.warnings and found.moved_mm is None


def test_numbers_are_those_of_the_definitions(truth):
    """Against figures worked out here, from the truth's own percentiles."""
    from MRISynthLib.preprocessing.background import body_mask
    from MRISynthLib.preprocessing.normalisation import normalise

    voxels = truth.voxels.copy()
    voxels[4:8, 20:28, 20:28] += 100  # a lesion that is not there
    other = made(truth, voxels)
    lesion = np.zeros(truth.shape, np.uint8)
    lesion[4:8, 20:28, 20:28] = 1
    masks = {
        "lesion": truth.with_voxels(lesion, name="lesion"),
        "elsewhere": truth.with_voxels(np.zeros(truth.shape, np.uint8)),
    }
    found = compare_images(truth, other, masks)
    body = body_mask(truth.voxels, truth.spacing) & body_mask(voxels, truth.spacing)
    true = normalise(truth.voxels, sequence="T2w")[0]
    low, high = np.percentile(true[body], (0.5, 99.5))
    matched = voxels * (true[body].mean() / voxels[body].mean())
    error = (matched - true) / (high - low)
    for name, mask in (("body", body), ("lesion", lesion > 0)):
        mse = np.mean(error[mask] ** 2)
        assert found.figures[name]["MAE"] == pytest.approx(np.abs(error[mask]).mean(), rel=1e-4)
        assert found.figures[name]["PSNR"] == pytest.approx(-10 * np.log10(mse), rel=1e-4)
    assert list(found.figures) == ["body", "lesion"]
    assert found.figures["lesion"]["SSIM"] < found.figures["body"]["SSIM"] < 1
    assert found.warnings == ("Not in the body that both images show: elsewhere.",)
    expected = np.where(body, np.abs(error), 0)
    assert np.allclose(found.difference.voxels, expected, atol=1e-5)
    assert found.difference.same_geometry(other)


def test_images_on_other_grids_are_compared_where_they_lie(truth):
    """The same anatomy flipped, on half the slices, cut at one side and moved by its header."""
    flip = np.diag((-1.0, 1.0, 1.0, 1.0))
    flip[0, 3] = truth.shape[2] - 1
    flipped = Volume(
        truth.voxels[:, :, ::-1], truth.index_to_world @ flip, sequence="T2w", name="flipped"
    )
    found = compare_images(flipped, made(truth, truth.voxels))
    assert found.figures["body"]["PSNR"] > 100
    cut = Volume(truth.voxels[6:], truth.index_to_world, sequence="T2w", name="cut")
    cut = cut.replace(
        index_to_world=truth.index_to_world @ np.array(
            [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 6], [0, 0, 0, 1]]
        )
    )  # fmt: skip
    part = compare_images(cut, made(truth, truth.voxels))
    assert part.figures["body"]["PSNR"] > 100
    assert not part.difference.voxels[:6].any()


def test_alignment_is_done_only_if_asked(truth):
    from MRISynthLib.simulation import demo_patient

    volume = demo_patient().volumes["T2w"]
    moved = np.eye(4)
    moved[0, 3] = 4.0
    displaced = volume.replace(index_to_world=moved @ volume.index_to_world)
    other = made(volume, volume.voxels, sequence="T2w")
    before = compare_images(displaced, other)
    after = compare_images(displaced, other, align=True)
    assert before.moved_mm is None
    assert after.moved_mm == pytest.approx(4.0, abs=0.5)
    assert after.figures["body"]["PSNR"] > before.figures["body"]["PSNR"] + 5


def test_images_of_other_places_are_refused_in_one_sentence(truth):
    away = truth.replace(index_to_world=matrix_from_parts((2, 2, 4), None, (900, 0, 0)))
    with pytest.raises(InputError, match="does not overlap"):
        compare_images(away, made(truth, truth.voxels))


def test_the_difference_says_what_it_is_and_is_shown_from_0_to_a_fifth(truth):
    from MRISynthLib.progress import SILENT, Callbacks
    from MRISynthLib.worker.tasks import ModelCache

    volumes = [truth, made(truth, truth.voxels * 0.9), truth.replace(name="GTVp")]
    result = HANDLERS["comparison"]({"align": False}, volumes, SILENT, ModelCache("cpu"))
    difference = result["difference"]
    assert list(result.info["figures"]) == ["body", "GTVp"]
    assert result.info["warnings"] == [] and result.info["moved_mm"] is None
    assert provenance_lines(difference.provenance)[0] == "SYNTHETIC T2w difference"
    assert "Not for clinical decisions" in provenance_lines(difference.provenance)
    assert display_window(difference.voxels, "T2w", difference.provenance) == (0.0, 0.2)
    asked = []

    def no_more() -> bool:
        asked.append(True)
        return len(asked) > 2

    with pytest.raises(Cancelled):
        HANDLERS["comparison"]({}, volumes, Callbacks(cancelled=no_more), ModelCache("cpu"))
    real = HANDLERS["comparison"]({}, [truth, truth], SILENT, ModelCache("cpu"))["difference"]
    assert provenance_lines(real.provenance) == ()


def test_no_segment_drops_out_for_its_name(truth):
    from MRISynthLib.progress import SILENT
    from MRISynthLib.worker.tasks import ModelCache

    names = ["GTVp", "body", "GTVp", "GTVp (2)", "whole image"]
    masks = []
    for index, name in enumerate(names):
        voxels = np.zeros(truth.shape, np.uint8)
        voxels[6, 20 + index : 30, 20:30] = 1
        masks.append(truth.with_voxels(voxels, name=name))
    volumes = [truth, made(truth, truth.voxels * 0.9 + 5), *masks]
    figures = HANDLERS["comparison"]({}, volumes, SILENT, ModelCache("cpu")).info["figures"]
    assert list(figures) == [
        "body", "GTVp", "body (segment)", "GTVp (3)", "GTVp (2)", "whole image (segment)"
    ]  # fmt: skip
    whole = HANDLERS["comparison"]({}, volumes[:2], SILENT, ModelCache("cpu")).info["figures"]
    assert figures["body"] == whole["body"] != figures["body (segment)"]


# ---------------------------------------------------------------- checkerboard


def test_checkerboard_has_each_image_on_every_other_field():
    """Fields of 10 mm on 2 mm pixels and 5 mm slices, real at the first voxel."""
    grid = matrix_from_parts((2, 2, 5))
    ramp = np.arange(6 * 20 * 20, dtype=np.float32).reshape(6, 20, 20)
    real = Volume(ramp, grid, sequence="T2w", name="real")
    other = made(real, -ramp)
    board = checkerboard(real, other, tile_mm=10)
    k, j, i = np.indices(board.shape)
    synthetic = (k // 2 + j // 5 + i // 5) % 2 == 1
    low, high = brightness_range(real)
    assert np.allclose(board.voxels[~synthetic], ((ramp - low) / (high - low))[~synthetic])
    low, high = brightness_range(other)
    assert np.allclose(board.voxels[synthetic], ((-ramp - low) / (high - low))[synthetic])
    assert board.provenance.kind == "checkerboard" and board.is_synthetic
    assert provenance_lines(board.provenance)[0] == "SYNTHETIC T2w checkerboard"
    assert display_window(board.voxels, "T2w", board.provenance) == (0.0, 1.0)
    with pytest.raises(ValueError):
        checkerboard(real, other, tile_mm=0)


def test_checkerboard_lies_where_the_synthetic_image_does(small_volume):
    """The real image covers the first half of the slices: its other fields are black."""
    part = small_volume.replace(voxels=small_volume.voxels[:3])
    board = checkerboard(part, made(small_volume, small_volume.voxels), tile_mm=4.5)
    assert board.same_geometry(small_volume)
    assert board.voxels[0, 0, 0] == pytest.approx(
        (small_volume.voxels[0, 0, 0] - brightness_range(part)[0])
        / np.subtract(*brightness_range(part)[::-1])
    )
    # slices of 4 mm: slice 4 is in field row 3, so that its first field is synthetic
    assert board.voxels[4, 0, 5] == 0 and board.voxels[4, 0, 0] != 0


def test_checkerboard_shows_a_ct_in_hounsfield_units_though_it_does_not_say_what_it_is(
    small_volume,
):
    ct = small_volume.replace(sequence="CT")
    synthetic = made(ct, ct.voxels - 300)
    board = checkerboard(ct.replace(sequence=None), synthetic, tile_mm=20)
    assert np.array_equal(board.voxels, checkerboard(ct, synthetic, tile_mm=20).voxels)


# ---------------------------------------------------------------- profiles


def test_profile_of_a_ramp_is_the_ramp():
    """Values that are the x coordinate: 1 a millimetre, whatever the grid."""
    angle = np.deg2rad(30)
    axes = np.array(
        [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]]
    )
    for spacing, shape in (((1, 1, 3), (8, 60, 60)), ((0.7, 0.7, 5), (5, 90, 90))):
        matrix = matrix_from_parts(spacing, axes, (-10, -20, -9))
        _, j, i = np.indices(shape)
        x = matrix[0, 0] * i + matrix[0, 1] * j + matrix[0, 3]
        ct = Volume(x, matrix, sequence="CT", name="ramp")
        profile = line_profile([ct], (-12, 8, 0), (8, 8, 0), step_mm=0.5)
        assert profile.unit == HOUNSFIELD
        assert profile.positions[[0, -1]] == pytest.approx((0, 20))
        assert len(profile.positions) == 41
        seen = np.isfinite(profile.values[0])
        assert seen.sum() > 30
        assert np.allclose(profile.values[0][seen], profile.positions[seen] - 12, atol=1e-9)


def test_profile_of_mr_images_is_relative_brightness(small_volume):
    start, end = (small_volume.index_to_world @ (x, 5, 2, 1) for x in (3, 10))
    louder = made(small_volume, small_volume.voxels * 7)
    profile = line_profile([small_volume, louder], start[:3], end[:3], step_mm=0.9)
    assert profile.unit == RELATIVE
    assert np.allclose(profile.values[0], profile.values[1])
    low, high = brightness_range(small_volume)
    expected = (small_volume.voxels[2, 5, 3:11] - low) / (high - low)
    assert np.allclose(profile.values[0], expected)
    given = line_profile(
        [small_volume], start[:3], end[:3], ranges=[(0.0, 1.0)], step_mm=0.9
    ).values[0]
    assert np.allclose(given, small_volume.voxels[2, 5, 3:11])


def test_points_outside_have_no_value_and_the_border_has(small_volume):
    index = np.array([(0, 0, 0), (-0.4, 0, 0), (-0.6, 0, 0), (23.4, 19.4, 5.4), (24, 0, 0)])
    points = index @ small_volume.index_to_world[:3, :3].T + small_volume.index_to_world[:3, 3]
    found = sample_points(small_volume, points)
    voxels = small_volume.voxels
    assert found[:2] == pytest.approx(voxels[0, 0, 0]) and found[3] == pytest.approx(
        voxels[-1, -1, -1]
    )
    assert np.isnan(found[[2, 4]]).all()
    assert np.isnan(sample_points(small_volume, points + 1000)).all()


def test_long_lines_and_points_have_a_bounded_number_of_samples(small_volume):
    assert len(line_profile([small_volume], (0, 0, 0), (5000, 0, 0)).positions) == 2000
    assert len(line_profile([small_volume], (0, 0, 0), (0, 0, 0)).positions) == 2


def test_a_comparison_of_two_sequences_says_what_its_figures_mean(truth):
    found = compare_images(truth, made(truth, truth.voxels, sequence="CE-T1w"))
    assert "T2w is T2w, made CE-T1w" in found.warnings[0]
