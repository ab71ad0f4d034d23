"""Whom and what figures are about: the heads of a record, and the body of a real pair."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest

import fake_patients
import fakes
import models
from MRISynthApp.__main__ import main
from MRISynthLib.errors import InputError
from MRISynthLib.evaluation import models as models_module
from MRISynthLib.evaluation import patients as patients_module
from MRISynthLib.evaluation.patients import Patients
from MRISynthLib.evaluation.real import BEST, Pair, evaluate_pair
from MRISynthLib.evaluation.rivals import COPY, ORACLE
from MRISynthLib.io import save
from MRISynthLib.simulation import HeadSource


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr(patients_module, "rendering_hash", lambda: "as rendered")


def test_a_record_says_which_heads_the_figures_are_of(tmp_path):
    for name in ("a.nii.gz", "b.nii.gz"):
        (tmp_path / name).touch()
    (tmp_path / "mapping.json").write_text(
        '{"tissues": {"fat": [1]}, "soft_tissue": [1], "structures": {}, "landmarks": {}}'
    )
    bundle = SimpleNamespace(metadata={"training": {"held_out_maps": ["b.nii.gz"]}})
    labelled = Patients(heads=HeadSource(tmp_path))
    labelled.draw(bundle, ("T1w",))
    record = labelled.record()
    assert (record["heads"], record["label maps"]) == ("labelled", ["b.nii.gz"])
    assert record["atlas"] == "none"
    assert Patients().record()["heads"] == "procedural"
    joined = Patients(heads=HeadSource(tmp_path, atlas=tmp_path / "atlas")).record()
    assert joined["atlas"] == "shared with training"
    assert str(tmp_path) not in json.dumps([record, joined])


def _head(sequence: str):
    head = fakes.head(1, (8, 64, 56), sequence=sequence, name=sequence)
    scale, offset = {"T1w": (1, 0), "CT": (2, -1000)}.get(sequence, (1.5, 0))
    return head.replace(voxels=head.voxels * np.float32(scale) + np.float32(offset))


@pytest.fixture
def pretend(monkeypatch):
    """Put that change of the truth in the place of the synthetic image."""

    def use(truth, change):
        class Pretender(fake_patients.synthesizer()):
            def synthesize(self, inputs, targets):
                made = truth.replace(voxels=change(truth.voxels))
                return SimpleNamespace(volumes={truth.sequence: made}, warnings=())

        monkeypatch.setattr(models_module, "Synthesizer", Pretender)
        return [fake_patients.bundle(sequences=("T1w", "T2w", "CT", "ADC"))]

    return use


@pytest.mark.parametrize(
    ("sequence", "change", "counts"),
    [
        ("T2w", lambda voxels: 1.3 * voxels, False),
        ("CT", lambda voxels: 1.3 * (voxels + 1000) - 1000, True),
        ("ADC", lambda voxels: 1.3 * voxels, True),
    ],
)
def test_brightness_counts_where_an_image_has_a_unit(pretend, sequence, change, counts):
    truth = _head(sequence)
    bundles = pretend(truth, change)
    row = evaluate_pair(bundles, Pair((_head("T1w"),), truth, {}))["network"]["body"]
    assert row["MAE"] > 0.2 if counts else row["MAE"] < 0.05
    assert row[BEST] > 30


def test_a_pair_is_compared_only_where_the_truth_has_voxels(pretend, tmp_path):
    truth = _head("T2w")
    bundles = pretend(truth, lambda voxels: np.where(np.arange(8)[:, None, None] < 5, voxels, 9999))
    part = truth.replace(voxels=truth.voxels[:5])
    pair = Pair((_head("T1w"),), part, {})
    figures = evaluate_pair(bundles, pair, tmp_path / "figures")
    assert figures["network"].keys() == {"body"}
    assert figures["network"]["body"]["MAE"] < 0.1
    record = json.loads((tmp_path / "figures" / "pair.json").read_text(encoding="utf-8"))
    assert record["figures"] == {"T1w -> T2w": figures}
    assert record["models"] == [
        f"network: {bundles[0].name} {bundles[0].version} ({bundles[0].hash[:12]})"
    ]


def test_thin_slices_are_compared_with_a_truth_of_thick_ones_at_its_resolution(pretend):
    fine = fakes.head(1, (24, 64, 56), sequence="T2w", name="T2w")
    fine = fine.replace(voxels=fine.voxels * np.float32(1.5))
    thick = fine.index_to_world.copy()
    thick[:3, 3] += thick[:3, 2]  # the middle of the first three slices
    thick[:3, 2] *= 3
    voxels = fine.voxels.reshape(8, 3, 64, 56).mean(1)
    truth = fine.replace(voxels=voxels, index_to_world=thick)
    bundles = pretend(truth, lambda _: fine.voxels)
    reference = fine.replace(sequence="T1w", name="T1w")
    row = evaluate_pair(bundles, Pair((reference,), truth, {}))["network"]["body"]
    assert row["SSIM"] > 0.94  # 0.54 as it lies
    assert row["PSNR"] > 26


def test_regions_of_a_pair_are_measured_apart(pretend):
    truth = _head("T2w")
    lower = np.arange(8)[:, None, None] < 4
    bundles = pretend(truth, lambda voxels: np.where(lower, voxels, voxels[:, ::-1, ::-1]))
    mask = truth.replace(voxels=np.broadcast_to(lower, truth.shape).astype(np.float32), name="m")
    figures = evaluate_pair(bundles, Pair((_head("T1w"),), truth, {"lower": mask}))
    assert figures["network"]["lower"]["MAE"] < 0.7 * figures["network"]["body"]["MAE"]
    assert figures[ORACLE].keys() == {"body", "lower"}
    assert figures[ORACLE]["lower"][BEST] >= figures[COPY]["lower"][BEST]
    away = mask.index_to_world.copy()
    away[0, 3] += 1000
    gone = {"gone": mask.replace(index_to_world=away)}
    with pytest.raises(InputError, match="region gone"):
        evaluate_pair(bundles, Pair((_head("T1w"),), truth, gone))


def test_a_pair_goes_through_a_model_and_must_lie_on_each_other(tmp_path):
    bundles = [models.synthesis_bundle(tmp_path / "model")]
    t1w, t2w = _head("T1w"), _head("T2w")
    figures = evaluate_pair(bundles, Pair((t1w,), t2w, {}), device="cpu")
    assert set(figures) == {"network", COPY, ORACLE}
    assert 0 < figures["network"]["body"]["MAE"] < 2
    with pytest.raises(InputError, match="NAME=FILE"):
        evaluate_pair(bundles, Pair((t1w,), t2w.replace(sequence=None), {}))
    elsewhere = t2w.index_to_world.copy()
    elsewhere[2, 3] += 1000
    with pytest.raises(InputError, match="does not overlap"):
        evaluate_pair(bundles, Pair((t1w,), t2w.replace(index_to_world=elsewhere), {}))


def test_a_pair_on_the_command_line_with_a_region(tmp_path, capfd):
    bundle = models.synthesis_bundle(tmp_path / "model")
    for name in ("T1w", "T2w"):
        save(_head(name), tmp_path / f"{name}.nii.gz")
    t1w = _head("T1w")
    save(t1w.replace(voxels=(t1w.voxels > 550).astype(np.float32)), tmp_path / "mask.nii.gz")
    arguments = ["evaluate", "pair", "--model", str(bundle.folder), "--device", "cpu", "--json"]
    arguments += ["--input", f"T1w={tmp_path / 'T1w.nii.gz'}"]
    arguments += ["--truth", f"T2w={tmp_path / 'T2w.nii.gz'}"]
    assert main([*arguments, "--region", f"bright={tmp_path / 'mask.nii.gz'}"]) == 0
    printed = json.loads(capfd.readouterr().out)
    assert printed["figures"]["network"].keys() == {"body", "bright"}
