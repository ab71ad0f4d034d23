"""Training: it learns, resumes exactly, keeps patients apart, and ends in a bundle."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from MRISynthLib.bundles import verify
from MRISynthLib.errors import InputError
from MRISynthLib.simulation.anatomy import LABELLED_STRUCTURES
from MRISynthLib.training import cohort, train_synthesis
from MRISynthLib.training.batches import SimulatedSlices, expected_scale, loss_weights
from MRISynthLib.training.export import export_synthesis
from MRISynthSegmentLib.export_model import export_segmentation
from MRISynthSegmentLib.training import MIRROR, train_segmentation

CONFIG = """
steps: {steps}
size: [64, 64]
cases: 1
slices: 2
procedural: 1
validation_procedural: 1
checkpoint_every: 2
validate_every: 100
threads: 1
precision: fp32
cohort: {cohort}
"""


@pytest.fixture(scope="module")
def anatomies(tmp_path_factory):
    """One training and one validation anatomy."""
    folder = tmp_path_factory.mktemp("cohort")
    plan = cohort.CohortPlan(procedural=1)
    cohort.prepare_cohort(plan, folder / "training")
    cohort.prepare_cohort(plan, folder / "validation", validation=True)
    return folder


def _config(path, anatomies, steps, extra=""):
    path.write_text(CONFIG.format(steps=steps, cohort=anatomies) + extra)
    return path


def _weights(run):
    return torch.load(run / "checkpoint.pt", weights_only=True)["network"]


@pytest.mark.parametrize(
    ("train", "small"),
    [
        (train_synthesis, "widths: [16, 16, 16]\ncondition: 16\n"),
        (train_segmentation, "features: [8, 8, 8, 8, 8, 8]\n"),
    ],
)
def test_a_run_that_was_stopped_goes_on_as_if_it_had_not(
    tmp_path, anatomies, train, small, monkeypatch
):
    for module in ("MRISynthLib.training.synthesis", "MRISynthSegmentLib.training"):
        monkeypatch.setattr(f"{module}.validate", lambda *a: {})
    whole = _config(tmp_path / "whole.yaml", anatomies, 4, small)
    train(whole, tmp_path / "at once", report=lambda text: None)

    class PulledPlug(Exception):
        pass

    from MRISynthLib.training import runs

    cosine, calls = runs.cosine_rate, []

    def pulls_the_plug(step, *rest):
        calls.append(step)
        if step == 3:
            raise PulledPlug
        return cosine(step, *rest)

    monkeypatch.setattr(runs, "cosine_rate", pulls_the_plug)
    with pytest.raises(PulledPlug):
        train(whole, tmp_path / "in two", report=lambda text: None)
    monkeypatch.setattr(runs, "cosine_rate", cosine)
    train(whole, tmp_path / "in two", resume=True, report=lambda text: None)
    first, second = _weights(tmp_path / "at once"), _weights(tmp_path / "in two")
    for name, value in first.items():
        torch.testing.assert_close(value, second[name], rtol=0, atol=0)


def test_runs_become_sound_bundles_with_their_figures_in_the_card(tmp_path, anatomies, monkeypatch):
    monkeypatch.setattr("MRISynthLib.training.synthesis.validate", lambda *a: {})
    monkeypatch.setattr("MRISynthSegmentLib.training.validate", lambda *a: {})
    small = _config(tmp_path / "a.yaml", anatomies, 1, "widths: [16, 16, 16]\ncondition: 16\n")
    train_synthesis(small, tmp_path / "a", report=lambda text: None)
    row = {"MAE": 0.1234, "PSNR": 21.0, "SSIM": 0.5}
    figures = {"Held-out": {"cases": 2, "figures": {"T1w -> T2w": {"network": {"body": row}}}}}
    bundle = export_synthesis(tmp_path / "a", tmp_path / "A", "A", figures)
    assert verify(bundle.folder).network() is not None
    assert "0.1234" in (bundle.folder / "docs" / "README.md").read_text()
    small = _config(tmp_path / "b.yaml", anatomies, 1, "features: [8, 8, 8, 8, 8, 8]\n")
    train_segmentation(small, tmp_path / "b", report=lambda text: None)
    bundle = export_segmentation(tmp_path / "b", tmp_path / "B", "B", {})
    assert verify(bundle.folder).network() is not None
    assert json.loads((tmp_path / "b" / "config.json").read_text())["steps"] == 1


def test_training_and_validation_patients_are_different_people(anatomies):
    first = cohort.read_anatomy(anatomies / "training" / "procedural-0000.npz")
    second = cohort.read_anatomy(anatomies / "validation" / "procedural-0000.npz")
    assert (first.tissue != second.tissue).mean() > 0.05


def test_batches_hold_what_they_say(anatomies):
    files = [anatomies / "training" / "procedural-0000.npz"]
    slices = SimulatedSlices(files, (64, 64), 2.0, cases=2, slices=3, focus=1.0)
    names = ["T1w", "T2w", "CE-T1w"]
    batch = slices.draw(np.random.default_rng(0), torch.Generator().manual_seed(0), names)
    for name in names:
        image = batch.images[name]
        assert image.shape == (6, 64, 64) and image.isfinite().all()
        assert 0.3 < float(image.max()) <= 2.0
    assert batch.structures.shape == (6, len(LABELLED_STRUCTURES), 64, 64)
    assert all(m.contrast_agent for m in batch.mentions["CE-T1w"])
    weights = loss_weights(batch.tissue, 5.0, 0.2)
    assert set(weights.unique().tolist()) <= {torch.tensor(v).item() for v in (0.2, 1.0, 3.0, 5.0)}


def test_expected_scale_is_what_normalisation_finds_in_the_whole_volume():
    from MRISynthLib.preprocessing.normalisation import find_normalisation
    from MRISynthLib.simulation import cases
    from MRISynthLib.simulation.imaging import Acquisition, PatientTissues, acquire, tissue_maps
    from MRISynthLib.simulation.protocols import typical_protocol
    from MRISynthLib.simulation.tissues import TISSUES

    rng = np.random.default_rng(11)
    anatomy = cases.draw_anatomy(rng, "T2")
    slabs, _, _ = cases._slabs(anatomy)
    tissues = PatientTissues.draw(rng, 3.0)
    generator = torch.Generator().manual_seed(0)
    maps = tissue_maps(torch.from_numpy(slabs.astype(np.int64)), tissues, generator)
    counts = np.bincount(anatomy.tissue.ravel(), minlength=len(TISSUES))
    for sequence in ("T1w", "T2w", "CE-T1w"):
        protocol = typical_protocol(sequence)
        quiet = Acquisition(blur_mm=0.4, noise=0.005, bias=0.0)
        image = acquire(maps, protocol, quiet, generator).numpy()
        found = find_normalisation(image).scale
        assert expected_scale(counts, tissues, protocol) == pytest.approx(found, rel=0.25)


def test_mirroring_swaps_left_and_right_names():
    for index, other in enumerate(MIRROR):
        first, second = LABELLED_STRUCTURES[index], LABELLED_STRUCTURES[other]
        assert first[:-2] == second[:-2]
        assert (first[-2:], second[-2:]) in {("_L", "_R"), ("_R", "_L")} or first == second


@pytest.mark.parametrize(
    ("text", "says"),
    [("stepps: 3", "stepps.*steps"), ("- a\n- b", "name: value"), ("a: [", "not valid YAML")],
)
def test_configurations_with_mistakes_are_refused_in_words(tmp_path, text, says):
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=says):
        train_synthesis(path, tmp_path / "run")
    with pytest.raises(InputError, match="does not exist"):
        train_synthesis(tmp_path / "none.yaml", tmp_path / "run")


def test_evaluation_uses_no_label_map_that_was_trained_on(tmp_path):
    from MRISynthLib.evaluation.synthesis import held_out_source

    trained = SimpleNamespace(metadata={"training": {"held_out_maps": ["b.nii.gz"]}})
    for name in ("a.nii.gz", "b.nii.gz"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "mapping.json").write_text('{"tissues": {"fat": [1]}, "soft_tissue": [1]}')
    source = held_out_source(trained, tmp_path, None)
    assert [file.name for file in source.files] == ["b.nii.gz"]
    (tmp_path / "b.nii.gz").unlink()
    with pytest.raises(InputError, match="kept from training"):
        held_out_source(trained, tmp_path, None)
    training = cohort.CohortPlan(0, tmp_path, None, 2, ("b.nii.gz",)).sources(validation=False)
    assert [file.name for file in training[1][0].files] == ["a.nii.gz"]
