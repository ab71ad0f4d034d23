"""How strictly a tissue-map network keeps to the input most like the wanted image."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from cli_requests import done, refused
from dataset_layouts import Person, write_cohort
from fakes import head
from models import ABOUT, synthesis_bundle
from MRISynthLib.bundle_files import CARD
from MRISynthLib.bundles import write_bundle
from MRISynthLib.errors import BundleError, InputError
from MRISynthLib.evaluation.folders import FolderPatients
from MRISynthLib.sequences import SEQUENCE_NAMES
from MRISynthLib.synthesis.equation_net import EquationNet
from MRISynthLib.synthesis.synthesizer import Synthesizer, Target
from MRISynthLib.training import carrying
from MRISynthLib.training.carrying import fit_carrying

GIVEN = ("T1w", "T2w")
TRAINED = {
    "training_data": "Nobody.",
    "training": {"steps": 1, "hours": 0.1, "parameters": 1000},
    "licence": "Apache-2.0",
    "intended_use": "None.",
    "limits": "All.",
}


def stored(folder, weights, sharpness=1.0, **more):
    definition = {"widths": [16, 16, 16], "condition": 16, "sharpness": sharpness}
    definition["_target_"] = "MRISynthLib.synthesis.equation_net.EquationNet"
    names = list(SEQUENCE_NAMES)
    metadata = {**ABOUT, **TRAINED, "name": "Odd", "task": "synthesis", "version": "0.4.0"}
    metadata |= {"sequences_in": names, "sequences_out": names, **more}
    return write_bundle(folder, metadata, {"network_def": definition, "pixel_mm": 5.0}, weights)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """A network that shows nothing but what it carries over."""
    torch.manual_seed(0)
    network = EquationNet((16, 16, 16), 16)
    with torch.no_grad():
        network.kinship[-1].weight.mul_(1.5)  # else all would be equally kin
        network.head.weight.zero_()
        network.head.bias.copy_(torch.tensor((0.0, -3.0, 20.0)))
    return stored(tmp_path_factory.mktemp("models") / "Odd", network.state_dict())


@pytest.fixture(scope="module")
def sharper(bundle, tmp_path_factory):
    """The same, eight times as strict."""
    return stored(tmp_path_factory.mktemp("models") / "Sharper", bundle.weights(), 8.0)


def images(seed):
    """T1w and T2w that have nothing but the body in common, without noise."""
    found = {}
    for place, name in enumerate(GIVEN):
        plain = head(sequence=name, name=name)
        noise = np.random.default_rng(2 * seed + place).normal(0, 1, plain.shape)
        spots = ndimage.gaussian_filter(noise, (0.7, 2, 2))
        voxels = np.where(plain.voxels > 200, 500 + 150 * spots / spots.std(), 10)
        found[name] = plain.replace(voxels=voxels.astype(np.float32))
    return found


def made(bundle, volumes):
    wanted = [Target("CE-T1w")]
    result = Synthesizer(bundle, "cpu").synthesize(list(volumes.values()), wanted, register=False)
    return result.volumes["CE-T1w"]


@pytest.fixture(scope="module")
def folder(sharper, tmp_path_factory):
    """Patients whose enhanced image is what the stricter network makes."""
    root = tmp_path_factory.mktemp("patients")
    for number in range(6):
        given = images(number)
        truth = made(sharper, given)
        truth = truth.replace(voxels=np.rint(truth.voxels).astype(np.int16), provenance=None)
        masks = {"Brainstem": np.zeros(given["T1w"].shape, bool)}
        written = write_cohort(root, Person({**given, "CE-T1w": truth}, masks), f"sub-{number}")
        for protocol in written.rglob("*_T1w.json"):  # by which a network tells kin as well
            protocol.unlink()
    return root


def test_the_sharpness_that_patients_show_is_found(bundle, sharper, folder, tmp_path):
    fitted = fit_carrying(bundle, FolderPatients(folder), tmp_path / "fitted")
    found = fitted.metadata["carrying"]
    assert found["patients"] == 6 and found["sharpness"] in (4.0, 8.0)
    assert fitted.version == "0.5.0" and fitted.metadata["quality"] == "not evaluated"
    text = (fitted.folder / CARD).read_text("utf-8")
    assert f"{found['sharpness']:g} times as strictly as in training, as 6 patients" in text
    given = images(50)
    truth, before, after = (made(each, given).voxels for each in (sharper, bundle, fitted))
    assert np.abs(after - truth).mean() < 0.5 * np.abs(before - truth).mean()
    alone = {"T1w": given["T1w"]}
    assert np.array_equal(made(fitted, alone).voxels, made(bundle, alone).voxels)
    again = fit_carrying(fitted, FolderPatients(folder), tmp_path / "again")
    network = Synthesizer(again, "cpu").network
    assert network.sharpness == again.metadata["carrying"]["sharpness"] >= found["sharpness"]


def test_too_few_patients_and_other_models_are_refused(bundle, folder, tmp_path):
    with pytest.raises(InputError, match=r"At least 6 patients .* there are 5;"):
        fit_carrying(bundle, FolderPatients(folder, 5), tmp_path / "few")
    with pytest.raises(InputError, match="tissue-map network"):
        fit_carrying(
            synthesis_bundle(tmp_path / "Direct"), FolderPatients(folder), tmp_path / "few"
        )
    assert not (tmp_path / "few").exists()


def test_a_whole_number_is_a_sharpness(bundle, tmp_path):
    assert stored(tmp_path / "Whole", bundle.weights(), carrying={"sharpness": 8}).name


@pytest.mark.parametrize(
    "carrying", [{"sharpness": 0.0}, {"sharpness": "much"}, {"sharpness": True}, {}, 3]
)
def test_a_sharpness_that_means_nothing_is_refused(bundle, tmp_path, carrying):
    with pytest.raises(BundleError, match=r"'carrying' in .* 'sharpness' above 0"):
        stored(tmp_path / "Odd", bundle.weights(), carrying=carrying)


def test_the_command_says_what_it_found(bundle, folder, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(carrying, "CANDIDATES", (1.0, 8.0))
    output = tmp_path / "fitted"
    said = done(capsys, "train", "carrying", bundle.folder, folder, "-o", output)
    assert said["carrying"] == {"patients": 6, "sharpness": 8.0}
    assert said["outputs"]["bundle"] == str(output)
    direct = synthesis_bundle(tmp_path / "Direct").folder
    told = refused(capsys, tmp_path, "train", "carrying", direct, folder, "-o", tmp_path / "x")
    assert "does not carry detail" in told and not (tmp_path / "x").exists()
