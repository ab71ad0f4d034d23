"""Tests by patient, expected against true errors, and what one more input changes."""

from __future__ import annotations

import numpy as np
import pytest

from MRISynthLib.evaluation.calibration import LAPLACE_SHARES, calibration
from MRISynthLib.evaluation.results import Row
from MRISynthLib.evaluation.statistics import holm, more_inputs, paired_tests, signed_rank

PAIR = ("T1w", "T2w"), "CE-T1w"
SINGLE = ("T1w",), "CE-T1w"


def _rows(count: int, gain: float, tasks=(PAIR,), seed: int = 0) -> list[Row]:
    """Patients on whom "ours" is better than "theirs" by ``gain``, with chance on top."""
    rng = np.random.default_rng(seed)
    rows = []
    for task in tasks:
        for number in range(count):
            level, luck = rng.uniform(0.5, 0.9), rng.normal(0, 0.01)
            ours = {"body": {"SSIM": level + gain + luck}, "tumour": {"MAE": 0.3 - gain}}
            theirs = {"body": {"SSIM": level}, "tumour": {"MAE": 0.3 + rng.normal(0, 0.01)}}
            rows.append(Row(str(number), "", task, {"ours": ours, "theirs": theirs}))
    return rows


def test_a_planted_difference_is_found_and_none_where_there_is_none():
    ssim, mae = paired_tests(_rows(12, 0.05), "ours", ["theirs"])
    assert ssim["p"] < 0.001 and ssim["better"] == ssim["n"] == 12
    assert ssim["difference"] == pytest.approx(0.05, abs=0.01)
    assert mae["difference"] < 0 and mae["better"] == 12
    (same, _) = paired_tests(_rows(12, 0.0, seed=3), "ours", ["theirs"])
    assert same["p"] > 0.05 and same["better"] < 12


def test_with_too_few_patients_there_is_no_test():
    (ssim, _) = paired_tests(_rows(5, 0.1), "ours", ["theirs"])
    assert ssim["n"] == 5 and ssim["p"] is None and ssim["p Holm"] is None
    assert signed_rank(np.zeros(8)) == 1.0


def test_holms_correction_over_tasks():
    # worked by hand: 4 * 0.005, 3 * 0.01, 2 * 0.03, then not below the one before
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.9]) == [1.0, 1.0] and holm([]) == []
    tests = paired_tests(_rows(8, 0.05, (PAIR, SINGLE)), "ours", ["theirs"])
    ssim = [test for test in tests if test["figure"] == "SSIM"]
    assert len(ssim) == 2
    assert all(test["p Holm"] == pytest.approx(2 * test["p"]) for test in ssim)


def test_methods_that_did_not_do_a_task_are_not_tested_on_it():
    rows = _rows(8, 0.05, (PAIR, SINGLE))
    rows = [
        Row(r.case, r.group, r.task, {"ours": r.figures["ours"]}) if r.task == SINGLE else r
        for r in rows
    ]
    tests = paired_tests(rows, "ours", ["theirs"])
    assert {test["task"] for test in tests} == {"T1w + T2w -> CE-T1w"}


def test_what_one_more_input_changes():
    def rows(task, level):
        return [
            Row(str(n), "", task, {"net": {"body": {"SSIM": level + 0.01 * n}}}) for n in range(6)
        ]

    unlike = rows((("STIR",), "T2w"), 0.1)
    (change,) = more_inputs(rows(SINGLE, 0.6) + rows(PAIR, 0.7) + unlike, "net")
    assert (change["from"], change["added"]) == ("T1w -> CE-T1w", "T2w")
    ssim = change["changes"]["body SSIM"]
    assert ssim["mean"] == pytest.approx(0.1) and ssim["no worse"] == ssim["n"] == 6


def test_errors_that_are_as_expected_are_calibrated():
    rng = np.random.default_rng(0)
    shape = (10, 100, 100)
    expected = np.exp(rng.normal(-3, 0.5, shape))
    error = rng.exponential(expected)  # the size of a Laplace variable
    body = np.ones(shape, bool)
    tumour = np.zeros(shape, bool)
    tumour[3, 20:60] = True
    expected[tumour] *= 3
    error[tumour] *= 3
    found = calibration(error, expected, body, {"tumour": tumour})
    assert found["ratio"] == pytest.approx(1, abs=0.02)
    for times, share in LAPLACE_SHARES.items():
        assert found["below"][times] == pytest.approx(share, abs=0.01)
    for decile in found["deciles"].values():
        assert decile["true"] == pytest.approx(decile["expected"], rel=0.1)
    assert found["correlation"] > 0.4
    tumour_row, rest = found["regions"]["tumour"], found["regions"]["rest of the body"]
    assert tumour_row["expected"] == pytest.approx(3 * rest["expected"], rel=0.1)
    assert tumour_row["true"] == pytest.approx(tumour_row["expected"], rel=0.1)


def test_doubt_that_is_too_small_or_says_nothing_shows():
    rng = np.random.default_rng(1)
    error = rng.exponential(0.1, (4, 50, 50))
    body = np.ones(error.shape, bool)
    found = calibration(error, np.full(error.shape, 0.02), body, {})
    assert found["ratio"] == pytest.approx(0.2, abs=0.02)
    assert found["below"]["1"] < 0.3
    assert "correlation" not in found
