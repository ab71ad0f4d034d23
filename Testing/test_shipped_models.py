"""The shipped models do their job on a patient that they were not trained on."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.speed import network_gflop
from MRISynthLib.bundles import load_bundle
from MRISynthLib.evaluation.metrics import compare
from MRISynthLib.evaluation.synthesis import network_scale
from MRISynthLib.io import load_one
from MRISynthLib.preprocessing.background import body_mask
from MRISynthLib.preprocessing.normalisation import normalise
from MRISynthLib.simulation import virtual_patient
from MRISynthLib.simulation.tissues import TISSUE_INDEX
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
def strangers():
    """Simulated patients whom no training drew, of hospitals like those that were trained on."""
    sequences = ("T1w", "T2w", "CE-T1w", "STIR")
    return [virtual_patient(seed, sequences, stage="T3") for seed in (90_002, 90_003)]


@pytest.fixture(scope="module")
def made_of_each(synthesizer, strangers):
    targets = [Target("CE-T1w"), Target("STIR")]
    inputs = [[patient.volumes[name] for name in ("T1w", "T2w")] for patient in strangers]
    return [synthesizer.synthesize(images, targets, register=False) for images in inputs]


@pytest.fixture(scope="module")
def stranger(strangers):
    return strangers[0]


@pytest.fixture(scope="module")
def made(made_of_each):
    return made_of_each[0]


def test_bundles_verify_and_say_what_they_are_for():
    for task in ("synthesis", "segmentation"):
        bundle = load_bundle(None, task)
        assert "simulated" in bundle.metadata["limits"]
        assert "clinical" in bundle.metadata["intended_use"]
        assert isinstance(bundle.metadata["quality"], dict)


@pytest.mark.parametrize("target", ["CE-T1w", "STIR"])
def test_better_than_copying_t1w_in_body_and_tumour(made_of_each, strangers, target):
    errors = []
    for patient, made in zip(strangers, made_of_each, strict=True):
        t1w, truth = patient.volumes["T1w"], patient.volumes[target]
        body = body_mask(t1w.voxels)
        tumour = {"tumour": patient.segmentation_masks["GTVp"]}
        wanted = normalise(truth.voxels)[0]
        network = compare(network_scale(made.volumes[target]), wanted, body, tumour)
        copied = compare(normalise(t1w.voxels)[0], wanted, body, tumour)
        assert network["body"]["SSIM"] > copied["body"]["SSIM"]
        errors.append((network["tumour"]["MAE"], copied["tumour"]["MAE"]))
    # one tumour may happen to be as bright in T1w as in the target; not all are
    ours, copies = np.mean(errors, axis=0)
    assert ours < 0.8 * copies


def test_tumour_enhances_in_synthetic_contrast(made, stranger):
    tumour = stranger.segmentation_masks["GTVp"]
    brain = stranger.segmentation_masks["Brain"] & ~tumour

    def against_brain(image) -> float:
        return image[tumour].mean() / image[brain].mean()

    before = against_brain(stranger.volumes["T1w"].voxels)
    assert against_brain(made.volumes["CE-T1w"].voxels) > 1.25 * before


def test_what_lies_around_a_place_decides_what_is_made_there(synthesizer, stranger):
    given = stranger.volumes["T1w"]
    column_mm, row_mm = given.spacing[:2]
    rows, columns = np.indices(given.shape[1:])
    # places 40 mm apart, each with its neighbourhood of 13 mm: what lies beyond is exchanged
    away = np.hypot(
        (rows * row_mm + 20) % 40 - 20,
        (columns * column_mm + 20) % 40 - 20,
    )
    moved = np.where(away < 13, given.voxels, given.voxels[:, ::-1]).copy()
    places = body_mask(given.voxels) & (away < 3)
    images = [
        synthesizer.synthesize([each], [Target("T2w")]).volumes["T2w"].voxels[places]
        for each in (given, given.replace(voxels=moved))
    ]
    # a network that has lost all but its finest features looks no farther than a few pixels: 0.002
    assert np.abs(images[0] - images[1]).mean() > 0.03 * images[0].mean()


def test_the_prompt_changes_the_image_as_physics_says(synthesizer, patient):
    inputs = [patient.volumes["T1w"], patient.volumes["T2w"]]

    def against_brain(target: str, prompt: str, tissue: str) -> float:
        image = synthesizer.synthesize(inputs, [Target(target, prompt)], register=False)
        voxels = image.volumes[target].voxels
        pure = patient.tissue_share > 0.95
        there = [pure & (patient.tissue == TISSUE_INDEX[name]) for name in (tissue, "white matter")]
        return float(voxels[there[0]].mean() / voxels[there[1]].mean())

    # short T2 fades first; the shorter T1 recovers first; suppressed fat is dark
    assert against_brain("PDw", "TE 40", "muscle") < 0.93 * against_brain("PDw", "TE 10", "muscle")
    assert against_brain("PDw", "TR 2000", "CSF") < 0.9 * against_brain("PDw", "TR 6000", "CSF")
    bright = against_brain("PDw", "", "fat")
    assert against_brain("STIR", "", "fat") < 0.5 * bright
    assert against_brain("T1w-FS", "", "fat") < 0.5 * bright


def _doubted(warnings) -> list[str]:
    """What the screen says of the inputs."""
    return [text for text in warnings if "looks like" in text or "is unlike the images" in text]


def test_the_screen_lets_patients_pass_and_notices_a_wrong_name(
    synthesizer, made_of_each, stranger
):
    assert all(_doubted(result.warnings) == [] for result in made_of_each)
    given = stranger.volumes["T2w"].replace(sequence="T1w")
    (said,) = _doubted(synthesizer.synthesize([given], [Target("CE-T1w")]).warnings)
    assert "is given as T1w but looks like T2w" in said


def test_the_screen_notices_an_artefact(synthesizer, stranger):
    image = stranger.volumes["T1w"]
    wave = 0.5 * np.percentile(image.voxels, 99) * np.cos(0.9 * np.indices(image.shape)[1:].sum(0))
    spoilt = image.with_voxels(np.maximum(image.voxels + wave, 0).astype(np.float32))
    assert _doubted(synthesizer.synthesize([spoilt], [Target("T2w")]).warnings)


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
    assert _doubted(result.warnings) == []
    image = result.volumes["CE-T1w"]
    assert image.same_geometry(t2w) and np.isfinite(image.voxels).all()
    body = body_mask(t2w.voxels)
    assert image.voxels[body].mean() > 5 * image.voxels[~body].mean()
    masks = segmenter.segment([t2w, t1w]).segmentation
    assert 900 < masks.volume_ml("Brain") < 1900


def test_the_benchmark_of_speed_counts_what_the_network_does(synthesizer):
    one = network_gflop(synthesizer, 1)
    assert one > 1 and network_gflop(synthesizer, 3) == pytest.approx(3 * one)
