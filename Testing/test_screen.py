"""What a model knows of its training images: brightness, doubt, and what is unlike them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from fakes import head
from models import ABOUT
from MRISynthLib.bundle_files import CARD
from MRISynthLib.bundle_weights import in_eight_bits
from MRISynthLib.bundles import SCREEN, Bundle, write_bundle
from MRISynthLib.errors import InputError
from MRISynthLib.io.nifti import write_nifti
from MRISynthLib.preprocessing.preparation import prepare
from MRISynthLib.progress import SILENT
from MRISynthLib.sequences import SEQUENCE_NAMES
from MRISynthLib.synthesis.equation_net import EquationNet
from MRISynthLib.synthesis.matching import matched
from MRISynthLib.synthesis.screen import Screen, alike, fitted, pooled
from MRISynthLib.synthesis.synthesizer import Synthesizer, Target
from MRISynthLib.synthesis.task import HANDLERS
from MRISynthLib.training.datasets.cases import DatasetCase
from MRISynthLib.training.screening import fit_screen
from MRISynthLib.volume import Volume
from MRISynthLib.worker import ModelCache

OPTIONS = {"widths": [16, 16, 16], "condition": 16, "screen": True}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """A model whose screen lets everything pass, with its survey."""

    def make(name: str, **screen: float) -> Bundle:
        torch.manual_seed(0)
        network = EquationNet(**OPTIONS)
        values = {"limit": 1e9, "doubtful": 0.0, **screen}
        for key, value in values.items():
            getattr(network.screen, key).fill_(value)
        target = f"{EquationNet.__module__}.EquationNet"
        inference = {
            "network_def": {"_target_": target, **OPTIONS},
            "pixel_mm": 4.0,
            "survey": {"brightness": {"T1w": 0.5}, "doubt": {"CE-T1w": 2.0}},
        }
        folder = Path(tmp_path_factory.mktemp("models")) / name
        metadata = {**ABOUT, "name": name, "task": "synthesis"}
        metadata["sequences_out"] = list(SEQUENCE_NAMES)
        return write_bundle(folder, metadata, inference, network.state_dict())

    return make


def made(bundle: Bundle, sequence: str = "T1w", **options):
    scans = [head(0, sequence=sequence, name="scan")]
    return Synthesizer(bundle, "cpu").synthesize(scans, [Target("CE-T1w")], **options)


def test_an_image_of_another_gain_is_brought_to_the_brightness_of_training():
    body = np.zeros((3, 8, 8), bool)
    body[:, 2:6, 2:6] = True
    image = np.where(body, 0.4, 0.0).astype(np.float32)
    stack = {"T1w": image, "CT": image, "ADC": image}
    changed, factors = matched(stack, body, {"T1w": 0.5, "CT": 0.5})
    assert factors == {"T1w": pytest.approx(1.25)}
    assert float(changed["T1w"][body].mean()) == pytest.approx(0.5)
    assert changed["CT"] is image and changed["ADC"] is image
    _, far = matched({"T1w": 100 * image}, body, {"T1w": 0.5})
    assert far["T1w"] == 0.5  # another kind of image, not another gain
    assert matched({"T1w": image}, body & False, {"T1w": 0.5})[1] == {"T1w": 1.0}


def test_matching_is_recorded_and_off_unless_it_was_measured_to_help(bundle):
    model = bundle("Matching")
    assert made(model).volumes["CE-T1w"].provenance.matching == {}
    with_it = made(model, match=True).volumes["CE-T1w"]
    factor = with_it.provenance.matching["T1w"]
    assert factor != 1
    assert type(with_it.provenance).from_dict(with_it.provenance.to_dict()) == with_it.provenance


def test_expected_errors_are_scaled_to_those_measured(bundle):
    model = bundle("Doubt")
    network = Synthesizer(model, "cpu")
    plain = network.synthesize([head(0, sequence="T1w", name="a")], [Target("CE-T1w")])
    network.doubt = {}
    without = network.synthesize([head(0, sequence="T1w", name="a")], [Target("CE-T1w")])
    a, b = (each.uncertainty["CE-T1w"].voxels for each in (plain, without))
    np.testing.assert_allclose(a, 2 * b, rtol=1e-4)


def test_a_screen_finds_what_is_unlike_training_and_lets_the_rest_pass():
    torch.manual_seed(0)
    mix = torch.randn(16, 40)
    centres = {name: torch.randn(1, 40) for name in ("T1w", "T2w")}

    def some(name: str, count: int) -> torch.Tensor:
        spread = 2.0 if name == "T2w" else 1.0  # sequences differ in how much they vary
        here = torch.randn(count, 16) @ mix + 0.1 * torch.randn(count, 40)
        return centres[name] + spread * here

    screen = Screen(40).eval()
    kept = [(name, some(name, 8)) for name in ("T1w", "T2w") for _ in range(100)]
    fitted(screen, {name: some(name, 600) for name in ("T1w", "T2w")}, kept, 0.02)

    def outside(rows: torch.Tensor, name: str) -> bool:
        limit = screen.limit[SEQUENCE_NAMES.index(name)]
        return float(screen.distances(rows, name).median() / limit) > 1

    for name in ("T1w", "T2w"):
        alarms = np.mean([outside(some(name, 8), name) for _ in range(200)])
        assert alarms < 0.08, name
    assert outside(some("T1w", 8) + 3 * torch.randn(8, 40), "T1w")


def test_what_looks_the_same_is_not_called_mistaken():
    assert alike("STIR", "T2w-FS") and alike("T1w", "CE-T1w-FS")
    assert not alike("STIR", "T2w") and not alike("T1w", "T2w")


def test_a_screen_is_fitted_on_whole_images_of_patients(bundle, tmp_path):
    def write(patient: int, sequence: str, volume: Volume) -> Path:
        path = tmp_path / "data" / f"{patient}" / f"{sequence}.nii.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_nifti(volume, path)
        return path

    def contrast(patient: int, sequence: str) -> Volume:
        image = head(patient, sequence=sequence, name=sequence)
        return image if sequence == "T1w" else image.with_voxels(image.voxels**0.5)

    cases = [
        DatasetCase(f"{n}", f"{n}", {s: write(n, s, contrast(n, s)) for s in ("T1w", "T2w")})
        for n in range(12)
    ]
    model = bundle("Whole", limit=1e-9, doubtful=1.1)
    network = {k: v for k, v in model.weights().items() if not k.startswith(SCREEN)}
    screen = {k: v for k, v in model.weights().items() if k.startswith(SCREEN)}
    weights = in_eight_bits(network) | screen
    model = write_bundle(tmp_path / "Eight", model.metadata, model.inference, weights)
    with pytest.raises(InputError, match="at least 4 patients"):
        fit_screen(model, cases[:3], tmp_path / "few")
    fitted_one = fit_screen(model, cases, tmp_path / "fitted")
    assert fitted_one.metadata["screen"]["images it was fitted on"] == 12
    files = [each.folder / "models" / "model.safetensors" for each in (model, fitted_one)]
    assert files[0].read_bytes() == files[1].read_bytes(), "the network is as it was"
    assert "images it was fitted on: 12" in (fitted_one.folder / CARD).read_text("utf-8")
    synthesizer = Synthesizer(fitted_one, "cpu")

    def outside(volume: Volume) -> bool:
        prepared = prepare([volume], register=False, pixel_mm=synthesizer.pixel_mm)
        ((_, finding),) = synthesizer.screened(prepared, [volume])
        return finding.outside

    assert sum(outside(contrast(n, "T1w")) for n in range(20, 30)) <= 3
    known = head(0, sequence="T1w")
    flat = np.where(known.voxels > 200, 500, known.voxels).astype(np.float32)
    striped = known.voxels * (np.arange(known.shape[2]) % 8 < 4)
    assert outside(known.with_voxels(flat)) and outside(known.with_voxels(striped))
    # of a sequence that it was not fitted on it says nothing
    assert not outside(contrast(3, "T1w").replace(sequence="STIR"))


def test_only_the_body_counts_for_the_features_of_a_slice():
    features = torch.zeros(1, 3, 4, 4)
    features[..., :2, :] = torch.tensor([1.0, 2.0, 3.0]).view(1, 3, 1, 1)
    body = torch.zeros(1, 32, 32, dtype=torch.bool)
    body[:, :16] = True
    torch.testing.assert_close(pooled(features, body), torch.tensor([[1.0, 2.0, 3.0]]))
    assert pooled(features, body & False).isfinite().all()


@pytest.mark.parametrize(
    ("screen", "sequence", "says"),
    [
        ({}, "T1w", ""),
        ({"limit": 1e-9}, "T1w", "is unlike the images that the model was trained on"),
        # with names that are all alike, everything looks like the first sequence, T1w
        ({"doubtful": 1.1}, "T2w", "is given as T2w but looks like T1w"),
        ({"doubtful": 1.1}, "T1w-FS", ""),
    ],
)
def test_what_the_screen_finds_is_told_and_kept(bundle, screen, sequence, says):
    result = made(bundle(f"Screen{len(says)}", **screen), sequence)
    told = [text for text in result.warnings if "slices 20.0 mm apart" not in text]
    assert len(told) == (1 if says else 0) and says in " ".join(told)
    assert result.volumes["CE-T1w"].provenance.warnings == result.warnings


def test_matching_can_be_asked_of_the_worker(bundle):
    scans = [head(0, sequence="T1w", name="scan")]
    asked = {"targets": [{"sequence": "CE-T1w"}], "bundle": str(bundle("Line").folder)}
    factors = {}
    for match in (True, None):
        found = HANDLERS["synthesis"]({**asked, "match": match}, scans, SILENT, ModelCache("cpu"))
        factors[match] = dict(found.volumes)["CE-T1w"].provenance.matching
    assert factors[True]["T1w"] != 1 and factors[None] == {}
