"""From which probability structures are drawn, found on patients with contours."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch

from cli_requests import done, refused
from dataset_layouts import Person, write_cohort
from fakes import head
from models import ABOUT, synthesis_bundle
from MRISynthLib.bundle_files import CARD
from MRISynthLib.bundles import write_bundle
from MRISynthLib.errors import BundleError, InputError
from MRISynthLib.evaluation.folders import FolderPatients
from MRISynthLib.sequences import SEQUENCE_NAMES
from MRISynthLib.training.choosing import careful_choice
from MRISynthLib.training.export import with_figures
from MRISynthSegmentLib import thresholds
from MRISynthSegmentLib.cleaning import about_cores
from MRISynthSegmentLib.segmenter import Segmenter
from MRISynthSegmentLib.structure_net import StructureNet
from MRISynthSegmentLib.thresholds import CANDIDATES, OFFSETS, dice_by_cut, fit_thresholds

FEATURES = (8, 8, 8, 8, 8, 8)
TRAINED = {
    "training_data": "Nobody.",
    "training": {"steps": 1, "hours": 0.1, "parameters": 1000},
    "licence": "Apache-2.0",
    "intended_use": "None.",
    "limits": "All.",
}
DRAWN_FROM = {"GTVp": 0.3, "Brainstem": 0.7, "Parotid_L": 0.6, "Parotid_R": 0.6, "Larynx": 0.5}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """A network whose probabilities are all over the range."""
    torch.manual_seed(0)
    network = StructureNet(len(DRAWN_FROM), FEATURES)
    with torch.no_grad():
        network.unet.final_conv.weight *= 12
    target = "MRISynthSegmentLib.structure_net.StructureNet"
    definition = {"_target_": target, "structures": len(DRAWN_FROM), "features": list(FEATURES)}
    about = {"name": "Odd", "task": "segmentation", "structures": list(DRAWN_FROM)}
    metadata = {**ABOUT, **TRAINED, **about, "sequences_in": list(SEQUENCE_NAMES)}
    metadata |= {"clicks": True, "context": 1, "version": "0.4.0"}
    folder = tmp_path_factory.mktemp("models") / "Odd"
    inference = {"network_def": definition, "pixel_mm": 5.0}
    return write_bundle(folder, metadata, inference, network.state_dict())


@pytest.fixture(autouse=True)
def few(monkeypatch):
    """Four patients are enough where the network is right."""
    monkeypatch.setattr(thresholds, "LEAST_PATIENTS", 4)


def seen(segmenter, volumes, **options):
    return segmenter.segment(volumes, list(DRAWN_FROM), probabilities=True, **options)


@pytest.fixture(scope="module")
def folder(bundle, tmp_path_factory):
    """Patients in whom the network is right, if each structure is drawn from its own cut."""
    root = tmp_path_factory.mktemp("patients")
    segmenter = Segmenter(bundle, "cpu")
    for number in range(4):
        names = ("T2w", "T1w", "CE-T1w")
        volumes = {
            name: head(3 * number + place, sequence=name, name=name)
            for place, name in enumerate(names)
        }
        likely = seen(segmenter, list(volumes.values())).probabilities
        masks = {name: likely[name].voxels > cut for name, cut in DRAWN_FROM.items()}
        write_cohort(root, Person(volumes, masks), f"sub-virtual{number:06d}")
    return root


def test_the_best_cut_is_found_and_becomes_one_half(bundle, folder, tmp_path):
    fitted = fit_thresholds(bundle, FolderPatients(folder), tmp_path / "fitted")
    assert set(fitted.cuts) == set(DRAWN_FROM) - {"Larynx"}
    for name, cut in fitted.cuts.items():
        assert cut == pytest.approx(DRAWN_FROM[name], abs=0.051), name
    assert fitted.cuts["Parotid_L"] == fitted.cuts["Parotid_R"]
    case = next(iter(FolderPatients(folder).cases_for([bundle], ("T2w", "T1w", "CE-T1w"))))
    volumes = [case.volumes[name] for name in ("T2w", "T1w", "CE-T1w")]
    masks = seen(Segmenter(fitted, "cpu"), volumes, clean=False).segmentation.masks
    before = seen(Segmenter(bundle, "cpu"), volumes, clean=False).segmentation.masks
    for name, cut in DRAWN_FROM.items():
        right, was_right = ((each[name] == case.masks[name]).mean() for each in (masks, before))
        assert right > 0.75 and (cut == 0.5 or right > was_right + 0.01), name
    assert fitted.version == "0.5.0" and fitted.metadata["quality"] == "not evaluated"
    text = (fitted.folder / CARD).read_text("utf-8")
    assert f"as 4 patients showed best: GTVp {fitted.cuts['GTVp']:g}, Brainstem" in text
    again = fit_thresholds(fitted, FolderPatients(folder), tmp_path / "again")
    away = bundle.weights()[OFFSETS] - again.weights()[OFFSETS]
    cuts = np.array([again.cuts.get(name, 0.5) for name in DRAWN_FROM])
    np.testing.assert_allclose(away[:-4:4], np.log(cuts / (1 - cuts)), atol=0.01)


def test_too_few_patients_and_other_models_are_refused(bundle, folder, tmp_path):
    with pytest.raises(InputError, match="at least 4 patients"):
        fit_thresholds(bundle, FolderPatients(folder, 3), tmp_path / "few")
    damaged = shutil.copytree(folder, tmp_path / "damaged")
    for file in (damaged / "sub-virtual000000" / "anat").glob("*.nii.gz"):
        file.write_bytes(file.read_bytes()[:200])
    with pytest.raises(InputError, match="there are 3;"):
        fit_thresholds(bundle, FolderPatients(damaged), tmp_path / "few")
    with pytest.raises(InputError, match="'mrisynth train segmentation' made"):
        made = synthesis_bundle(tmp_path / "Synthesis")
        fit_thresholds(made, FolderPatients(folder), tmp_path / "few")
    assert not (tmp_path / "few").exists()


@pytest.mark.parametrize("thresholds", [{"cuts": {"GTVp": "half"}}, {"cuts": {"GTVp": 1.5}}, 3])
def test_thresholds_that_mean_nothing_are_refused(bundle, tmp_path, thresholds):
    metadata = {**bundle.metadata, "thresholds": thresholds}
    with pytest.raises(BundleError, match=r"'thresholds' in .* between 0 and 1"):
        write_bundle(tmp_path / "Odd", metadata, bundle.inference, bundle.weights())


def test_a_gain_by_chance_changes_nothing():
    rng = np.random.default_rng(0)
    dice = 0.7 + 0.05 * rng.standard_normal((20, len(CANDIDATES)))
    half, less = CANDIDATES.index(0.5), CANDIDATES.index(0.3)
    assert careful_choice(dice, half) == half
    dice[:, less] += 0.1
    assert careful_choice(dice, half) == less
    dice[:, CANDIDATES.index(0.1)] += 0.11
    assert careful_choice(dice, half) == less, "not further than is worth it"
    assert careful_choice(dice[:1], half) == half


def test_a_tumour_grows_only_about_what_is_likely_one():
    likely = np.zeros((6, 40, 40))
    likely[1:5, 2:14, 2:14] = 0.3  # 0.576 ml, 0.16 of it more likely
    likely[2, 6:10, 6:10] = 0.9
    likely[1:5, 20:34, 20:34] = 0.3
    likely[1:5, 22:32, 22:32] = 0.9
    spacing = (1.0, 1.0, 2.0)
    drawn = about_cores(likely > 0.25, likely > 0.5, spacing)
    assert np.array_equal(drawn[:, :17, :17], likely[:, :17, :17] > 0.5), "too little to be sure"
    assert np.array_equal(drawn[:, 17:, 17:], likely[:, 17:, 17:] > 0.25)
    none = likely > 1
    assert about_cores(likely > 0.25, none, spacing).sum() == 0
    truth = likely > 0.25
    truth[:, :17, :17] = False
    dice = dict(zip(CANDIDATES, dice_by_cut(likely, truth, spacing), strict=True))
    assert dice[0.2] > 0.97 > dice[0.5] and dice_by_cut(likely, truth)[2] < dice[0.2]


def test_figures_go_into_the_card_of_the_model_that_they_are_of(bundle, tmp_path):
    record = {"model": "Odd 0.4.0 (abc)", "cases": 2, "figures": {"T1w": {"GTVp": 0.75}}}
    made = with_figures(bundle, {"Somebody": record}, tmp_path / "Odd")
    assert made.version == bundle.version
    assert "GTVp: 0.750" in (made.folder / CARD).read_text("utf-8")
    assert torch.equal(made.weights()["told.bias"], bundle.weights()["told.bias"])
    with pytest.raises(InputError, match="not of Odd"):
        with_figures(bundle, {"Somebody": {**record, "model": "Odd 0.3.0 (abc)"}}, tmp_path / "b")


def test_thresholds_and_figures_on_the_command_line(bundle, folder, tmp_path, capsys):
    said = done(capsys, "train", "thresholds", bundle.folder, folder, "-o", tmp_path / "a")
    assert said["thresholds"]["patients"] == 4
    figures = tmp_path / "figures.json"
    figures.write_text(json.dumps({"model": "Odd 0.5.0 (a)", "figures": {"T1w": {"GTVp": 0.4}}}))
    made, title = tmp_path / "b", f"Somebody={figures}"
    done(capsys, "train", "figures", "segmentation", tmp_path / "a", "-o", made, "--figures", title)
    assert "GTVp: 0.400" in (made / CARD).read_text("utf-8")
    assert "showed best: GTVp 0.3" in (made / CARD).read_text("utf-8")


@pytest.mark.parametrize("text", ["[1, 2]", '{"model": "Odd 0.4.0 (a)"}', '{"figures": 3}', "{"])
def test_a_file_without_figures_is_refused_in_words(bundle, tmp_path, capsys, text):
    file = tmp_path / "figures.json"
    file.write_text(text)
    said = refused(capsys, tmp_path, "train", "figures", "segmentation", bundle.folder,
                   "-o", tmp_path / "made", "--figures", f"Somebody={file}")  # fmt: skip
    assert "figures.json" in said and "mrisynth evaluate" in said
    assert not (tmp_path / "made").exists()
