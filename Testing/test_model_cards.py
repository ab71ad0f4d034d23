"""What a trained bundle says of itself: where it learned, and how well it does."""

from __future__ import annotations

import json

import pytest
import torch

from MRISynthLib.training.export import card, export_synthesis
from MRISynthLib.training.synthesis import DEFAULTS, NETWORKS

HEADS = {"label_maps": "/heads", "per_label_map": 12, "held_out_maps": ["b.nii.gz"]}

ROW = {"MAE": 0.1234, "PSNR": 21.0, "SSIM": 0.5}
TASKS = {
    "synthesis": {
        "T1w -> T2w": {
            "network": {"body": ROW},
            "sharpness of network": 0.771,
            "tumour over brain": {"truth": 1.25},
        }
    },
    "segmentation": {"T1w + T2w": {"GTVp": 0.612, "mean of organs": 0.834}},
}
PRINTED = {
    "synthesis": ("| network | body | 0.1234 |", "sharpness of network: 0.771", "truth 1.250"),
    "segmentation": ("- GTVp: 0.612", "- mean of organs: 0.834"),
}


def _metadata(quality) -> dict:
    return {
        "name": "N", "version": "1", "task": "synthesis", "sequences_in": ["T1w"],
        "sequences_out": ["T2w"], "training_data": "none", "licence": "L",
        "training": {"steps": 1, "hours": 0.1, "parameters": 1000},
        "intended_use": "tests", "limits": "all", "quality": quality,
    }  # fmt: skip


@pytest.fixture
def exported(tmp_path):
    """Metadata of a run's bundle, with those settings."""

    def export(**settings) -> dict:
        small = {"widths": [16, 16, 16], "condition": 16, **settings}
        run = tmp_path / "run"
        run.mkdir()
        (run / "config.json").write_text(json.dumps({**DEFAULTS, **small}))
        network = NETWORKS[DEFAULTS["network"]]((16, 16, 16), 16)
        saved = {"average": network.state_dict(), "step": 5, "seconds": 60.0}
        torch.save(saved, run / "checkpoint.pt")
        return export_synthesis(run, tmp_path / "bundle", "N", {}).metadata

    return export


def test_a_model_of_procedural_heads_claims_no_label_maps(exported):
    metadata = exported(**{**HEADS, "label_maps": None})
    assert "48 procedural heads;" in metadata["training_data"]
    assert "label map" not in metadata["training_data"]
    assert metadata["training"]["held_out_maps"] == []


def test_a_model_of_label_maps_says_how_many_deformed_ones_and_which_were_kept(exported):
    metadata = exported(**HEADS, atlas="/atlas")
    said = "deformed label maps (training ones only), 12 times as many as maps, joined with a"
    assert said in metadata["training_data"]
    assert metadata["training"]["held_out_maps"] == ["b.nii.gz"]
    assert "/" not in metadata["training_data"]


@pytest.mark.parametrize("task", TASKS)
def test_a_card_prints_figures_of_a_benchmark_for_either_side(task):
    outside = json.loads(json.dumps(TASKS[task]).replace("0.1234", "0.4321"))
    sets = {"inside": TASKS[task], "outside": outside, "inside-03-philips-3t": TASKS[task]}
    record = {"benchmark": "v1", "sets": ["a", "b"], "figures": sets}
    text = card(_metadata({"Benchmark": record}))
    inside, _, rest = text.partition("#### outside the hospitals that models train on")
    assert "#### inside the hospitals" in inside and "sets a; b" in inside
    for line in PRINTED[task]:
        assert line in inside
        assert line.replace("0.1234", "0.4321") in rest
    (name,) = TASKS[task]
    assert text.count(f"**{name}**") == 2
    assert "each test set" in rest


@pytest.mark.parametrize("task", TASKS)
def test_a_card_prints_figures_of_patients_by_seed(task):
    text = card(_metadata({"Held-out": {"cases": 4, "figures": TASKS[task]}}))
    assert "cases 4" in text and "####" not in text
    for line in PRINTED[task]:
        assert line in text
