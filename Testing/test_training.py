"""Training: it learns, resumes exactly, keeps patients apart, and ends in a bundle."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from MRISynthLib.bundles import verify
from MRISynthLib.errors import InputError
from MRISynthLib.evaluation.patients import held_out
from MRISynthLib.simulation import HeadSource
from MRISynthLib.simulation.anatomy import LABELLED_STRUCTURES
from MRISynthLib.simulation.tissues import TISSUE_INDEX
from MRISynthLib.synthesis.losses import dissimilarity
from MRISynthLib.synthesis.synthesizer import Synthesizer
from MRISynthLib.training import cohort, synthesis, train_synthesis
from MRISynthLib.training.batches import SimulatedSlices, expected_scale, loss_weights
from MRISynthLib.training.export import export_synthesis
from MRISynthLib.training.synthesis import NETWORKS
from MRISynthLib.training.text import load_towers, train_text
from MRISynthSegmentLib.export_model import export_segmentation
from MRISynthSegmentLib.training import train_segmentation

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
    plan = cohort.CohortPlan(procedural=1, healthy=0.3)
    cohort.prepare_cohort(plan, folder / "training")
    cohort.prepare_cohort(plan, folder / "validation", validation=True)
    return folder


def _config(path, anatomies, steps, extra=""):
    path.write_text(CONFIG.format(steps=steps, cohort=anatomies) + extra)
    return path


def _weights(run):
    return torch.load(run / "checkpoint.pt", weights_only=True)["network"]


SMALL = "network_options: {widths: [16, 16, 16], condition: 16}\n"
OURS = ("tissue-maps", "any-to-all")


@pytest.fixture
def quick(monkeypatch):
    """Nothing is measured or shown while training."""
    for module in ("MRISynthLib.training.synthesis", "MRISynthSegmentLib.training"):
        monkeypatch.setattr(f"{module}.validate", lambda *a: {})
        monkeypatch.setattr(f"{module}.picture", lambda *a: None)
    monkeypatch.setattr("MRISynthLib.training.synthesis.write_survey", lambda *a: None)


@pytest.mark.parametrize(
    ("train", "small"),
    [
        (train_synthesis, SMALL + "network: any-to-all\n"),
        (train_synthesis, SMALL + "network: tissue-maps\n"),
        (train_segmentation, "features: [8, 8, 8, 8, 8, 8]\n"),
        (train_text, "sequences: 3\nphrases: 4\n"),
    ],
)
def test_a_run_that_was_stopped_goes_on_as_if_it_had_not(
    tmp_path, anatomies, train, small, monkeypatch, quick
):
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


def test_an_image_without_its_structure_costs_more_than_one_that_is_too_bright():
    truth = torch.rand((2, 32, 32), generator=torch.Generator().manual_seed(0))
    weights = torch.ones_like(truth)
    flat = truth.mean((1, 2), keepdim=True).expand_as(truth)
    brighter = truth + (flat - truth).abs().mean()
    cost = [float(dissimilarity(image, truth, weights)) for image in (truth, brighter, flat)]
    assert cost[0] == pytest.approx(0, abs=1e-5)
    assert cost[0] < cost[1] < 0.5 * cost[2]
    weights[:, :, :16] = 0  # what happens in the left half does not count
    half = torch.where(weights > 0, truth, flat)
    assert float(dissimilarity(half, truth, weights)) < 0.2 * cost[2]


def test_runs_become_sound_bundles_with_their_figures_in_the_card(tmp_path, anatomies, quick):
    row = {"MAE": 0.1234, "PSNR": 21.0, "SSIM": 0.5}
    figures = {"Held-out": {"cases": 2, "figures": {"T1w -> T2w": {"network": {"body": row}}}}}
    for name in OURS:
        small = _config(tmp_path / "a.yaml", anatomies, 1, f"{SMALL}network: {name}\n")
        train_synthesis(small, tmp_path / name, report=lambda text: None)
        bundle = export_synthesis(tmp_path / name, tmp_path / "out" / name, name, figures)
        assert isinstance(verify(bundle.folder).network(), NETWORKS[name])
        assert "0.1234" in (bundle.folder / "docs" / "README.md").read_text(encoding="utf-8")
    small = _config(tmp_path / "b.yaml", anatomies, 1, "features: [8, 8, 8, 8, 8, 8]\n")
    train_segmentation(small, tmp_path / "b", report=lambda text: None)
    bundle = export_segmentation(tmp_path / "b", tmp_path / "B", "B", {})
    assert verify(bundle.folder).network() is not None
    assert json.loads((tmp_path / "b" / "config.json").read_text(encoding="utf-8"))["steps"] == 1


def test_a_run_can_begin_with_the_weights_of_a_model(tmp_path, anatomies, quick):
    small = f"{SMALL}network: tissue-maps\n"
    first = _config(tmp_path / "first.yaml", anatomies, 2, small)
    train_synthesis(first, tmp_path / "first", report=lambda text: None)
    model = export_synthesis(tmp_path / "first", tmp_path / "model", "First", {})
    more = f"{small}start: {model.folder}\nlearning_rate: 1.0e-12\nseed: 9\n"
    said: list[str] = []
    second = _config(tmp_path / "second.yaml", anatomies, 1, more)
    train_synthesis(second, tmp_path / "second", report=said.append)
    assert "the run begins with the weights of First 0.1.0" in said
    begun, before = _weights(tmp_path / "second"), model.weights()
    for name, value in before.items():
        torch.testing.assert_close(begun[name], value.float(), atol=1e-5, rtol=1e-4)
    card = export_synthesis(tmp_path / "second", tmp_path / "other", "Second", {})
    learned_from = card.metadata["training_data"]
    assert learned_from.endswith(f"First 0.1.0 ({model.hash[:12]}), which learned from the same.")
    assert card.metadata["training"]["before"]["hash"] == model.hash
    assert card.version == "0.2.0", "other weights have another version"
    named = export_synthesis(tmp_path / "second", tmp_path / "named", "Second", {}, version="1.0")
    assert named.version == "1.0"

    said.clear()
    train_synthesis(second, tmp_path / "second", True, said.append, ["steps=2"])
    assert "resumed at step 1" in said, "and goes on like any other run"

    wider = more.replace("[16, 16, 16]", "[16, 16, 32]")
    with pytest.raises(InputError, match="another network than the settings describe"):
        train_synthesis(_config(tmp_path / "c.yaml", anatomies, 1, wider), tmp_path / "third")
    other = f"features: [8, 8, 8, 8, 8, 8]\nstart: {model.folder}\n"
    with pytest.raises(InputError, match="First"):
        train_segmentation(_config(tmp_path / "d.yaml", anatomies, 1, other), tmp_path / "fourth")


def test_a_finished_run_knows_its_training_images(tmp_path, anatomies, monkeypatch):
    for module in ("MRISynthLib.training.synthesis", "MRISynthLib.training.text"):
        monkeypatch.setattr(f"{module}.validate", lambda *a: {})
    monkeypatch.setattr("MRISynthLib.training.synthesis.picture", lambda *a: None)
    monkeypatch.setattr("MRISynthLib.training.survey.HELD_OUT_DRAWS", 2)
    text = _config(tmp_path / "text.yaml", anatomies, 1, "sequences: 3\nphrases: 4\n")
    train_text(text, tmp_path / "towers", report=lambda text: None)
    more = f"{SMALL}towers: {tmp_path / 'towers'}\nconsistency_weight: 0.1\n"
    train_synthesis(
        _config(tmp_path / "a.yaml", anatomies, 1, more), tmp_path / "run", report=lambda text: None
    )
    bundle = export_synthesis(tmp_path / "run", tmp_path / "bundle", "Known", {}, matching=True)
    survey = bundle.inference["survey"]
    assert Synthesizer(bundle, "cpu").matches
    assert 0.05 < survey["brightness"]["T1w"] < 1 and min(survey["doubt"].values()) > 0
    screen = verify(bundle.folder).network().screen
    assert (screen.limit == float("inf")).all() and float(screen.doubtful) == 0
    # what prompts are read with is what was taught, and stays so
    taught = load_towers(tmp_path / "towers").text.state_dict()
    used = verify(bundle.folder).network().prompt.tower.state_dict()
    for name, value in taught.items():
        torch.testing.assert_close(used[name], value, atol=2e-3, rtol=1e-2)
    # a run that begins with it and has no towers keeps how sequences look
    more = f"{SMALL}start: {bundle.folder}\n"
    again = _config(tmp_path / "b.yaml", anatomies, 1, more)
    train_synthesis(again, tmp_path / "again", report=lambda text: None)
    later = export_synthesis(tmp_path / "again", tmp_path / "later", "Later", {}).network().screen
    torch.testing.assert_close(later.names, screen.names)
    assert (later.limit == float("inf")).all()


def test_training_and_validation_patients_are_different_people(anatomies):
    first = cohort.read_anatomy(anatomies / "training" / "procedural-0000.npz")
    second = cohort.read_anatomy(anatomies / "validation" / "procedural-0000.npz")
    assert (first.tissue != second.tissue).mean() > 0.05


def test_a_compact_anatomy_is_the_same_anatomy(anatomies):
    compact = cohort.read_anatomy(anatomies / "training" / "procedural-0000.npz")
    full = compact.anatomy()
    brain = full.mask("Brain")
    assert 900_000 < brain.sum() < 1_800_000  # voxels of 1 ml / 1000
    again = cohort.CompactAnatomy.of(full)
    np.testing.assert_array_equal(again.anatomy().structures, full.structures)
    k, j, i = again.places[LABELLED_STRUCTURES.index("Brain")].T
    assert brain[k, j, i].all()
    assert again.counts.sum() == full.tissue.size


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


@pytest.mark.parametrize(
    ("coil", "within"),
    # a coil's pattern makes some places brighter than the tissues' own signal
    [({"bias": 0.0}, 0.08), ({"bias": 0.125, "surface": 0.175}, 0.15)],
)
def test_expected_scale_is_what_normalisation_finds_in_the_whole_volume(typical, coil, within):
    from MRISynthLib.preprocessing.normalisation import find_normalisation
    from MRISynthLib.simulation.imaging import Acquisition, acquire
    from MRISynthLib.simulation.protocols import typical_protocol

    counts, tissues, maps = typical
    generator = torch.Generator().manual_seed(0)
    for sequence in ("T1w", "T2w", "CE-T1w"):
        protocol = typical_protocol(sequence)
        acquisition = Acquisition(blur_mm=0.4, noise=0.005, **coil)
        image = acquire(maps, protocol, acquisition, generator).numpy()
        found = find_normalisation(image).scale
        assert expected_scale(counts, tissues, protocol) == pytest.approx(found, rel=within)


@pytest.fixture(scope="module")
def typical():
    """(voxels of each tissue, tissues, slabs) of one patient in a usual examination."""
    from MRISynthLib.simulation import cases
    from MRISynthLib.simulation.imaging import PatientTissues, tissue_maps
    from MRISynthLib.simulation.slices import SlicePlan, cut
    from MRISynthLib.simulation.tissues import TISSUES

    rng = np.random.default_rng(11)
    anatomy = cases.draw_anatomy(rng, "T2")
    labels, _ = cut(anatomy, SlicePlan.of(cases.TYPICAL))
    tissues = PatientTissues.draw(rng, 3.0)
    generator = torch.Generator().manual_seed(0)
    slabs = torch.from_numpy(labels.astype(np.int64))
    maps = tissue_maps(slabs, tissues, generator, cases.TYPICAL.pixel_mm)
    return np.bincount(anatomy.tissue.ravel(), minlength=len(TISSUES)), tissues, maps


class _KnownError:
    """Slices whose target is the first input and a quarter; every other batch has a tumour."""

    def __init__(self, slices):
        self.slices, self.drawn = slices, 0

    def drawable(self, sequences):
        return True

    def draw(self, rng, torch_rng, names, **asked):
        batch = self.slices.draw(rng, torch_rng, names, **asked)
        tissue = torch.where(batch.tissue > 0, TISSUE_INDEX["muscle"], 0)
        self.drawn += 1
        if self.drawn % 2:
            tissue[:, 24:40, 24:40] = TISSUE_INDEX["tumour"]
        images = {**batch.images, names[-1]: batch.images[names[0]] + 0.25}
        return replace(batch, images=images, tissue=tissue)


def test_validation_means_the_tumours_error_over_batches_that_have_one(anatomies, monkeypatch):
    monkeypatch.setattr(synthesis, "VALIDATION_BATCHES", 2)
    monkeypatch.setattr(synthesis, "VALIDATION_TASKS", ((("T1w", "T2w"), "CE-T1w"),))
    files = [anatomies / "validation" / "procedural-0000.npz"]
    slices = _KnownError(SimulatedSlices(files, (64, 64), 2.0, cases=1, slices=2, focus=1.0))
    torch.manual_seed(0)
    network = NETWORKS["tissue-maps"]((16, 16, 16), 16)
    figures = synthesis.validate(network, slices, torch.device("cpu"))
    task = "T1w+T2w->CE-T1w"
    assert figures[f"{task} copy body"] == pytest.approx(0.25, abs=1e-3)
    assert figures[f"{task} copy tumour"] == pytest.approx(0.25, abs=1e-3)
    assert all(np.isfinite(value) for value in figures.values())
    assert figures[f"{task} body"] > 0
    assert figures["score"] == figures[f"{task} SSIM"] < 1
    assert network.training


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


@pytest.fixture
def two_maps(tmp_path):
    """A folder of two (empty) label maps with a mapping."""
    for name in ("a.nii.gz", "b.nii.gz"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "mapping.json").write_text(
        '{"tissues": {"fat": [1]}, "soft_tissue": [1], "structures": {}, "landmarks": {}}'
    )
    return HeadSource(tmp_path)


def test_evaluation_uses_no_label_map_that_was_trained_on(two_maps):
    trained = SimpleNamespace(metadata={"training": {"held_out_maps": ["b.nii.gz"]}})
    assert [file.name for file in held_out(trained, two_maps).open().files] == ["b.nii.gz"]
    plan = cohort.CohortPlan(0, two_maps, 2, ("b.nii.gz",))
    assert plan.sources(validation=False)[1][0].names == ("a.nii.gz",)
    assert plan.sources(validation=True)[1][0].names == ("b.nii.gz",)
    with pytest.raises(InputError, match="kept from training"):
        held_out(SimpleNamespace(metadata={"training": {}}), two_maps).open()


def test_a_cohort_folder_of_another_plan_is_not_taken_for_this_one(two_maps, tmp_path):
    folder = tmp_path / "cohort"
    nothing = cohort.CohortPlan(0, two_maps, 0, seed=3)
    assert cohort.prepare_cohort(nothing, folder) == []
    assert cohort.prepare_cohort(nothing, folder) == []
    with pytest.raises(InputError, match=r"another 'seed'.*name another folder"):
        cohort.prepare_cohort(replace(nothing, seed=4), folder)
    for damaged in ("{", "[]"):
        (folder / "plan.json").write_text(damaged)
        with pytest.raises(InputError, match="name another folder"):
            cohort.prepare_cohort(nothing, folder)


def test_anatomies_of_another_mapping_or_an_older_simulation_are_not_taken(
    two_maps, tmp_path, monkeypatch
):
    monkeypatch.setattr(cohort, "_make", lambda path, *job: path.touch())
    folder, said = tmp_path / "cohort", []
    plan = cohort.CohortPlan(0, two_maps, 1)
    cohort.prepare_cohort(plan, folder)
    cohort.prepare_cohort(plan, folder, report=said.append)
    assert said == ["anatomies: 2 of 2"]
    monkeypatch.setattr(cohort, "ANATOMY_VERSION", cohort.ANATOMY_VERSION + 1)
    with pytest.raises(InputError, match=r"another 'anatomy_version'.*name another folder"):
        cohort.prepare_cohort(plan, folder)
    monkeypatch.undo()
    mapping = tmp_path / "mapping.json"
    mapping.write_text(mapping.read_text(encoding="utf-8") + " ")
    with pytest.raises(InputError, match=r"another 'mapping'.*name another folder"):
        cohort.prepare_cohort(plan, folder)


def test_a_cohort_of_before_these_were_noted_is_used_and_that_is_said(two_maps, tmp_path):
    folder, said = tmp_path / "cohort", []
    plan = cohort.CohortPlan(0, two_maps, 0, seed=3)
    cohort.prepare_cohort(plan, folder)
    path = folder / "plan.json"
    found = json.loads(path.read_text(encoding="utf-8"))
    old = {name: found[name] for name in ("seed", "healthy", "validation", "label_maps", "atlas")}
    path.write_text(json.dumps(old))
    assert cohort.prepare_cohort(plan, folder, report=said.append) == []
    assert "older version" in said[0] and str(folder) in said[0]
    assert json.loads(path.read_text(encoding="utf-8")) == old
