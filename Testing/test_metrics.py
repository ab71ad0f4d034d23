"""The figures that reports and model cards print."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from MRISynthLib.evaluation.metrics import compare, mean_of, sharpness_ratio
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
