"""The shipped models do their job on a patient that they were not trained on."""

from __future__ import annotations

import numpy as np
import pytest

from MRISynthLib.bundles import load_bundle
from MRISynthLib.evaluation.metrics import compare
from MRISynthLib.evaluation.synthesis import network_scale
from MRISynthLib.io import load_one
from MRISynthLib.preprocessing.background import body_mask
from MRISynthLib.preprocessing.normalisation import normalise
from MRISynthLib.simulation import virtual_patient
from MRISynthLib.synthesis.synthesizer import Synthesizer, Target
from MRISynthSegmentLib.evaluation import dice
from MRISynthSegmentLib.segmenter import Segmenter


@pytest.fixture(scope="module")
def synthesizer():
    return Synthesizer(load_bundle(None, "synthesis"), "cpu")


@pytest.fixture(scope="module")
def segmenter():
    return Segmenter(load_bundle(None, "segmentation"), "cpu")


@pytest.fixture(scope="module")
def stranger():
    """A simulated patient with protocols of another hospital, never trained on."""
    return virtual_patient(90_002, ("T1w", "T2w", "CE-T1w", "STIR"))


@pytest.fixture(scope="module")
def made(synthesizer, stranger):
    inputs = [stranger.volumes["T1w"], stranger.volumes["T2w"]]
    return synthesizer.synthesize(inputs, [Target("CE-T1w"), Target("STIR")], register=False)


def test_bundles_verify_and_say_what_they_are_for():
    for task in ("synthesis", "segmentation"):
        bundle = load_bundle(None, task)
        assert "simulated" in bundle.metadata["limits"]
        assert "clinical" in bundle.metadata["intended_use"]
        assert isinstance(bundle.metadata["quality"], dict)


@pytest.mark.parametrize("target", ["CE-T1w", "STIR"])
def test_better_than_copying_t1w_in_body_and_tumour(made, stranger, target):
    t1w, truth = stranger.volumes["T1w"], stranger.volumes[target]
    body = body_mask(t1w.voxels)
    tumour = {"tumour": stranger.segmentation_masks["GTVp"]}
    wanted = normalise(truth.voxels)[0]
    network = compare(network_scale(made.volumes[target]), wanted, body, tumour)
    copied = compare(normalise(t1w.voxels)[0], wanted, body, tumour)
    assert network["body"]["SSIM"] > copied["body"]["SSIM"]
    assert network["tumour"]["MAE"] < 0.8 * copied["tumour"]["MAE"]


def test_tumour_enhances_in_synthetic_contrast(made, stranger):
    tumour = stranger.segmentation_masks["GTVp"]
    brain = stranger.segmentation_masks["Brain"] & ~tumour

    def against_brain(image) -> float:
        return image[tumour].mean() / image[brain].mean()

    before = against_brain(stranger.volumes["T1w"].voxels)
    assert against_brain(made.volumes["CE-T1w"].voxels) > 1.25 * before


def test_what_lies_around_a_place_decides_what_is_made_there(synthesizer, stranger):
    tumour = stranger.segmentation_masks["GTVp"]
    k = int(tumour.sum((1, 2)).argmax())
    row, column = (int(np.median(where)) for where in np.nonzero(tumour[k]))
    inputs = [stranger.volumes["T1w"], stranger.volumes["T2w"]]
    elsewhere = np.ones(tumour.shape, bool)
    elsewhere[:, row - 24 : row + 24, column - 24 : column + 24] = False
    moved = [
        v.replace(voxels=np.where(elsewhere, v.voxels[:, ::-1], v.voxels).copy()) for v in inputs
    ]
    centre = np.s_[k, row - 4 : row + 5, column - 4 : column + 5]
    images = [
        synthesizer.synthesize(given, [Target("CE-T1w")], register=False)
        .volumes["CE-T1w"]
        .voxels[centre]
        for given in (inputs, moved)
    ]
    # a network that has lost all but its finest features looks no farther than a few pixels
    assert np.abs(images[0] - images[1]).mean() > 0.02 * images[0].mean()


def test_the_prompt_changes_the_image(synthesizer, patient):
    t1w = patient.volumes["T1w"]
    short, long = (
        synthesizer.synthesize([t1w], [Target("T2w", f"3T, TR 4000, TE {te}")], register=False)
        .volumes["T2w"]
        .voxels
        for te in (70, 110)
    )
    body = body_mask(t1w.voxels)
    assert np.abs(short - long)[body].mean() > 1.0


def test_segmentation_finds_the_large_structures_and_the_tumour(segmenter, patient):
    inputs = [patient.volumes[name] for name in ("T1w", "T2w", "CE-T1w")]
    masks = segmenter.segment(inputs, register=False).segmentation.masks
    for name, least in (("Brain", 0.85), ("Brainstem", 0.6), ("GTVp", 0.4)):
        assert dice(masks[name], patient.segmentation_masks[name]) > least, name


def test_real_head_runs_end_to_end(synthesizer, segmenter, shared_data):
    t1w, t2w = (
        load_one(shared_data / "mr_adi" / f"{n}.nii.gz").replace(sequence=n) for n in ("T1w", "T2w")
    )
    result = synthesizer.synthesize([t2w, t1w], [Target("CE-T1w")])
    image = result.volumes["CE-T1w"]
    assert image.same_geometry(t2w) and np.isfinite(image.voxels).all()
    body = body_mask(t2w.voxels)
    assert image.voxels[body].mean() > 5 * image.voxels[~body].mean()
    masks = segmenter.segment([t2w, t1w]).segmentation
    assert 900 < masks.volume_ml("Brain") < 1900
