"""The figures that reports and model cards print."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from MRISynthLib.evaluation.contrast import (
    contrast_to_noise,
    enhancement_ratio,
    reference_tissue,
    relative_error,
)
from MRISynthLib.evaluation.metrics import (
    Yardstick,
    best_gain_and_offset,
    compare,
    mean_of,
    sharpness_ratio,
    spread_of,
)
from MRISynthSegmentLib.evaluation import dice


@pytest.fixture(scope="module")
def truth():
    rng = np.random.default_rng(5)
    return ndimage.gaussian_filter(rng.uniform(0, 1000, (4, 64, 64)), (0, 2, 2))


def test_a_perfect_image_and_a_known_error(truth):
    body = np.ones(truth.shape, bool)
    same = compare(truth, truth, body, {})["body"]
    assert same["MAE"] == 0 and same["SSIM"] == pytest.approx(1) and same["PSNR"] > 100
    low, high = np.percentile(truth, (0.5, 99.5))
    off = compare(truth + 0.1 * (high - low), truth, body, {}, match=False)["body"]
    assert off["MAE"] == pytest.approx(0.1) and off["PSNR"] == pytest.approx(20.0)


def test_overall_brightness_does_not_count_but_contrast_does(truth):
    body = np.ones(truth.shape, bool)
    assert compare(1.7 * truth, truth, body, {})["body"]["MAE"] == pytest.approx(0, abs=1e-6)
    assert compare(truth.max() - truth, truth, body, {})["body"]["MAE"] > 0.1


def test_masks_are_reported_apart_and_empty_ones_left_out(truth):
    body = np.ones(truth.shape, bool)
    tumour = np.zeros(truth.shape, bool)
    tumour[1, 20:30, 20:30] = True
    wrong = truth.copy()
    wrong[tumour] += 500
    figures = compare(wrong, truth, body, {"tumour": tumour, "nothing": tumour & False})
    assert figures["tumour"]["MAE"] > 10 * figures["body"]["MAE"]
    assert "nothing" not in figures


def test_blur_lowers_sharpness(truth):
    body = np.ones(truth.shape, bool)
    assert sharpness_ratio(ndimage.gaussian_filter(truth, (0, 2, 2)), truth, body) < 0.6
    assert sharpness_ratio(truth, truth, body) == pytest.approx(1)


def test_dice_and_means():
    a = np.array([1, 1, 0, 0], bool)
    assert dice(a, a) == 1 and dice(a, ~a) == 0 and dice(a & False, a & False) == 1
    rows = [{"x": {"y": 1.0}, "z": 2.0}, {"x": {"y": 3.0}}]
    assert mean_of(rows) == {"x": {"y": 2.0}, "z": 2.0}
    assert spread_of(rows) == {"x": {"y": pytest.approx(2**0.5)}, "z": 0.0}


def test_ssim_is_that_of_a_public_implementation(truth):
    from torchmetrics.functional.image import structural_similarity_index_measure

    body = np.ones(truth.shape, bool)
    noisy = truth + np.random.default_rng(0).normal(0, 30, truth.shape)
    yardstick = Yardstick(truth, body, {})
    image = yardstick.matched(noisy)
    ours = yardstick.compare_matched(image)["body"]["SSIM"]
    tensors = (torch.from_numpy(array)[:, None] for array in (image, yardstick.truth))
    theirs = structural_similarity_index_measure(*tensors, data_range=1.0, sigma=1.5)
    assert ours == pytest.approx(float(theirs), abs=0.02)  # edges are treated differently


def test_multiscale_similarity_needs_a_large_image_and_knows_no_air():
    rng = np.random.default_rng(2)
    wide = ndimage.gaussian_filter(rng.uniform(0, 1000, (2, 180, 190)), (0, 2, 2))
    body = np.zeros(wide.shape, bool)
    body[:, 10:170, 15:180] = True
    yardstick = Yardstick(wide, body, {})
    assert yardstick.compare(wide, multiscale=True)["body"]["MS-SSIM"] == pytest.approx(1)
    other = np.where(body, wide, 700)
    assert yardstick.compare(other, multiscale=True)["body"]["MS-SSIM"] == pytest.approx(1)
    blurred = ndimage.gaussian_filter(wide, (0, 3, 3))
    assert yardstick.compare(blurred, multiscale=True)["body"]["MS-SSIM"] < 0.95
    narrow = Yardstick(wide[:, :170], body[:, :170], {})
    assert "MS-SSIM" not in narrow.compare(wide[:, :170], multiscale=True)["body"]


def test_only_what_the_truth_shows_is_compared(truth):
    seen = np.zeros(truth.shape, bool)
    seen[:2] = True
    wrong = np.where(seen, truth, 9999)
    figures = Yardstick(truth, seen | True, {"upper": ~seen}, seen=seen).compare(wrong)
    assert set(figures) == {"whole image", "body"}
    assert figures["whole image"]["MAE"] == pytest.approx(0, abs=1e-6)


def test_best_gain_and_offset_leave_only_what_they_cannot_mend(truth):
    mask = np.ones(truth.shape, bool)
    assert best_gain_and_offset(-0.3 * truth + 70, truth, mask) == pytest.approx(truth)
    flat = best_gain_and_offset(np.full(truth.shape, 5.0), truth, mask)
    assert flat == pytest.approx(truth.mean())


def test_how_a_tumour_stands_out():
    image = np.full((2, 40, 40), 100.0)
    tumour, muscle = np.zeros(image.shape, bool), np.zeros(image.shape, bool)
    tumour[:, 5:15, 5:15], muscle[:, 20:35, 20:35] = True, True
    image[tumour] = 180
    image[muscle] += np.where(np.arange(np.count_nonzero(muscle)) % 2, 10, -10)
    assert enhancement_ratio(image, np.full(image.shape, 90.0), tumour) == pytest.approx(2)
    assert relative_error(1.8, 2.0) == pytest.approx(0.1) and relative_error(1.0, 0.0) is None
    assert contrast_to_noise(image, tumour, muscle) == pytest.approx(8)
    assert contrast_to_noise(np.ones_like(image), tumour, muscle) is None
    masks = {"muscle": muscle, "Brain": tumour | muscle}
    assert np.array_equal(reference_tissue(masks, tumour), muscle)
    assert np.array_equal(reference_tissue({"Brain": tumour | muscle}, tumour), muscle)
    assert reference_tissue({"muscle": tumour}, tumour) is None
