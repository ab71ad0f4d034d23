"""Inputs made worse, in known ways and by known amounts."""

from __future__ import annotations

import numpy as np
import pytest

import fake_patients
from MRISynthLib.evaluation import robustness as robustness_module
from MRISynthLib.evaluation.cases import Aligned, Case
from MRISynthLib.evaluation.models import Model
from MRISynthLib.evaluation.robustness import (
    DEGRADATIONS,
    curves_of,
    degraded,
    displaced,
    robustness,
)

BY_NAME = {degradation.name: degradation for degradation in DEGRADATIONS}


@pytest.fixture(scope="module")
def inputs():
    return [fake_patients.textured(1), fake_patients.textured(2, sequence="T2w")]


@pytest.mark.parametrize("name", ["noise", "bias field", "motion ghosts", "missing slices"])
def test_more_of_a_degradation_is_worse_and_the_same_each_time(inputs, name):
    degradation = BY_NAME[name]
    before = [volume.voxels.copy() for volume in inputs]
    changes = []
    for strength in degradation.strengths:
        worse = degraded(inputs, degradation, strength, seed=5)
        again = degraded(inputs, degradation, strength, seed=5)
        for one, two in zip(worse, again, strict=True):
            assert np.array_equal(one.voxels, two.voxels)
        changes.append(np.abs(worse[-1].voxels - inputs[-1].voxels).mean())
        assert np.array_equal(worse[0].voxels, before[0]) == (degradation.only_last or not strength)
    assert changes[0] == 0 and changes == sorted(changes) and changes[-1] > changes[1] > 0
    assert all(np.array_equal(v.voxels, b) for v, b in zip(inputs, before, strict=True))


def test_a_share_of_the_slices_is_missing(inputs):
    worse = degraded(inputs, BY_NAME["missing slices"], 0.4, seed=1)[1]
    assert (worse.voxels == 0).all((1, 2)).sum() == 3  # of six


def test_a_displaced_input_is_found_again_where_it_is_registered(inputs):
    wrong = degraded(inputs, BY_NAME["misregistration, not corrected"], 8.0, seed=2)[1]
    right = degraded(inputs, BY_NAME["misregistration"], 8.0, seed=2)[1]

    def away(volume) -> float:
        return float(np.linalg.norm(volume.corners() - inputs[1].corners(), axis=1).mean())

    assert away(wrong) > 6
    assert away(right) < 0.4 * away(wrong)
    moved = displaced(inputs[1], 8.0, seed=4)
    shift = moved.corners().mean(0) - inputs[1].corners().mean(0)
    assert np.linalg.norm(shift) == pytest.approx(8)


def test_one_input_alone_cannot_be_misregistered(inputs):
    assert degraded(inputs[:1], BY_NAME["misregistration"], 4.0, seed=2) is None


def test_curves_fall_with_the_noise_that_a_model_lets_through(inputs, monkeypatch):
    monkeypatch.setattr(robustness_module, "DEGRADATIONS", (BY_NAME["noise"],))
    t1w, t2w = inputs
    target = t1w.replace(sequence="CE-T1w", name="CE-T1w")
    tumour = np.zeros(t1w.shape, bool)
    tumour[2:4, 30:40, 26:36] = True
    volumes = {"T1w": t1w, "T2w": t2w, "CE-T1w": target}
    case = Case("head", "", volumes, {"GTVp": tumour}, "T1w")
    pretender = fake_patients.synthesizer(tasks=((("T1w", "T2w"), "CE-T1w"),))
    model = Model("copier", pretender(fake_patients.bundle()))
    one = curves_of(Aligned(case, registering=False), [model], seed=0)
    # the other task is not this model's
    assert set(one) == {"T1w + T2w -> CE-T1w"}
    record = robustness([one, one])
    assert record["patients"] == 2 and robustness([]) == {}
    noise = list(record["curves"]["T1w + T2w -> CE-T1w"]["noise"].values())
    quality = [point["copier"]["body SSIM"] for point in noise]
    errors = [point["copier"]["tumour MAE"] for point in noise]
    assert quality == sorted(quality, reverse=True) and quality[0] > 0.95 > 0.7 > quality[-1]
    assert errors == sorted(errors)
