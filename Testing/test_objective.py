"""What the product's networks learn from: terms by flags, contrast between places, neighbours."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from MRISynthLib.errors import InputError
from MRISynthLib.synthesis.towers import ContrastiveTowers
from MRISynthLib.training import cohort, synthesis
from MRISynthLib.training.batches import SimulatedSlices
from MRISynthLib.training.contrast import dense_alignment, place_contrast
from MRISynthLib.training.objective import product_loss

TERMS = (
    "tissue", "gradient", "ssim", "map", "physics", "uncertainty", "contrast", "alignment",
    "consistency", "adversarial",
)  # fmt: skip
SMALL = {"widths": [16, 16, 16], "condition": 16}


@pytest.fixture(scope="module")
def slices(tmp_path_factory):
    plan = cohort.CohortPlan(procedural=1, healthy=0.0)
    paths = cohort.prepare_cohort(plan, tmp_path_factory.mktemp("cohort"))
    return SimulatedSlices(paths, (64, 64), 2.0, cases=1, slices=2)


def batch_of(slices, seed=0, around=True):
    return slices.draw(
        np.random.default_rng(seed),
        torch.Generator().manual_seed(seed),
        ["T1w", "T2w", "CE-T1w"],
        clean=("CE-T1w",),
        parameters=True,
        around=around,
    )


def settings(**changes):
    config = {**synthesis.DEFAULTS, "network_options": SMALL, "pixel_mm": 2.0}
    return {**config, "towers": "elsewhere", **changes}


def loss_of(slices, config, network=None, towers=None):
    torch.manual_seed(0)
    network = network or synthesis.make_network(config)
    found = synthesis.given(network, batch_of(slices), ["T1w", "T2w"], ["CE-T1w"])
    return network, *product_loss(network, found, config, towers or ContrastiveTowers())


@pytest.mark.parametrize("name", ["tissue-maps", "any-to-all"])
def test_every_term_can_be_left_out_by_its_weight(slices, name):
    every = settings(network=name, **{f"{term}_weight": 0.1 for term in TERMS})
    network, total, parts = loss_of(slices, every)
    wanted = {*TERMS, "error", "critic"}
    if name == "any-to-all":
        wanted -= {"map", "physics"}
    assert set(parts) == wanted and torch.isfinite(total)
    total.backward()
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in network.parameters())
    none = settings(network=name, **{f"{term}_weight": 0.0 for term in TERMS})
    _, alone, left = loss_of(slices, none)
    assert float(alone.detach()) == pytest.approx(float(left["error"].detach()))
    assert not {"contrast", "alignment", "consistency", "adversarial", "critic"} & set(left)


def test_a_network_without_adversary_has_no_critic():
    names = synthesis.make_network(settings()).state_dict()
    assert not [key for key in names if key.startswith("critic.")]
    with pytest.raises(InputError, match="consistency_weight"):
        synthesis.make_network(settings(consistency_weight=0.1, towers=None))
    with pytest.raises(InputError, match="network_options"):
        synthesis.make_network(settings(network_options={"depth": 3}))
    with pytest.raises(InputError, match="u-net"):
        synthesis.make_network(settings(network="u-nett"))


def test_missing_towers_are_named_with_their_field(tmp_path):
    settings_file = tmp_path / "a.yaml"
    settings_file.write_text(f"towers: {tmp_path / 'nowhere'}\n")
    with pytest.raises(InputError, match="field towers"):
        synthesis.train_synthesis(settings_file, tmp_path / "run", report=lambda text: None)
    assert not (tmp_path / "run").exists()


def test_contrast_is_low_where_the_same_places_look_alike_and_high_where_not():
    torch.manual_seed(0)
    place = torch.randn(3, 1, 32, 4, 4)
    body = torch.ones(3, 16, 16, dtype=torch.bool)
    same = place.expand(-1, 2, -1, -1, -1).flatten(0, 1)
    other = torch.stack((place[:, 0], place[:, 0].flip(-1)), 1).flatten(0, 1)
    assert float(place_contrast(same, 2, body)) < 0.1 < 1 < float(place_contrast(other, 2, body))
    assert float(place_contrast(place[:, 0], 1, body)) == 0
    assert float(place_contrast(other, 2, body & False)) == 0  # nothing but air


def test_alignment_counts_only_what_lies_in_the_body():
    torch.manual_seed(0)
    features = torch.randn(4, 8, 8, 8)  # two slices with two inputs each
    features[1::2, :, :4] = features[::2, :, :4]
    upper = torch.zeros(2, 16, 16, dtype=torch.bool)
    upper[:, :8] = True
    assert float(dense_alignment([features], 2, upper)) == pytest.approx(0, abs=1e-6)
    assert float(dense_alignment([features], 2, ~upper)) > 0.1


def test_neighbours_are_the_slices_below_and_above(slices):
    batch = batch_of(slices)
    assert set(batch.around) == {"T1w", "T2w", "CE-T1w"}
    assert float(batch.around["CE-T1w"].abs().max()) == 0  # a target has none
    for seed in range(12):
        batch = batch_of(slices, seed)
        near = batch.around["T1w"]
        if float(near.max()) == 0:
            continue  # this hospital's slices lie too far apart
        image = batch.images["T1w"]
        for side in (0, 1):
            alike = np.corrcoef(near[0, side].flatten(), image[0].flatten())[0, 1]
            assert 0.5 < alike < 0.999
        assert not torch.equal(near[:, 0], near[:, 1])
        return
    raise AssertionError("no hospital with neighbours in twelve draws")


def test_without_neighbours_nothing_is_drawn_for_them(slices):
    assert batch_of(slices, around=False).around is None


def test_tasks_take_any_input_first_and_never_make_an_input():
    rng, config = np.random.default_rng(0), settings()
    network = synthesis.make_network(config)
    anyone = SimpleNamespace(drawable=lambda names: True)
    drawn = [synthesis.draw_task(rng, config, network, anyone) for _ in range(300)]
    assert all(not set(inputs) & set(targets) and inputs for inputs, targets in drawn)
    assert {inputs[0] for inputs, _ in drawn} >= {"T1w", "T2w", "STIR", "FLAIR"}
    assert {len(inputs) for inputs, _ in drawn} == {1, 2, 3}
    fixed = synthesis.make_network(settings(network="mmgsn-net", network_options={}))
    assert synthesis.draw_task(rng, config, fixed, anyone) == (["T1w", "T2w"], ["CE-T1w"])
    with pytest.raises(InputError, match="CE-T1w from T1w and T2w"):
        nobody = SimpleNamespace(drawable=lambda names: False)
        synthesis.draw_task(rng, config, fixed, nobody)
