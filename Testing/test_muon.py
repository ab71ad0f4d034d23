"""Muon: what it does to convolutions, and that networks learn in fewer steps with it."""

from __future__ import annotations

import copy

import pytest
import torch

import toy_runs
from MRISynthLib.errors import InputError
from MRISynthLib.training.checkpoint import RunState
from MRISynthLib.training.muon import Muon, orthogonal


@pytest.mark.parametrize("shape", [(48, 432), (96, 48), (32, 64)])
def test_all_directions_of_a_step_are_about_as_long(shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    matrix[:, :3] *= 50  # a gradient with a few strong directions
    lengths = torch.linalg.svdvals(orthogonal(matrix).float())
    assert lengths.min() > 0.3 and lengths.max() < 1.4
    kept = torch.linalg.svd(matrix, full_matrices=False)
    towards = torch.einsum("ij,ik,kj->k", orthogonal(matrix).float(), kept.U, kept.Vh)
    assert (towards > 0.25).all()  # none is turned round


def _network() -> torch.nn.Sequential:
    torch.manual_seed(2)
    return torch.nn.Sequential(
        torch.nn.Conv2d(1, 16, 3, padding=1), torch.nn.SiLU(),
        torch.nn.Conv2d(16, 32, 3, padding=1), torch.nn.SiLU(),
        torch.nn.Conv2d(32, 16, 3, padding=1), torch.nn.SiLU(), torch.nn.Conv2d(16, 1, 1),
    ).to(memory_format=torch.channels_last)  # fmt: skip


def _learned(optimiser: type[torch.optim.Optimizer], steps: int = 100) -> float:
    """Error after so many steps of learning what the brightest of nine pixels is."""
    network = _network()
    chosen = optimiser(list(network.parameters()), 3e-3, weight_decay=1e-4)
    noise = torch.Generator().manual_seed(3)
    errors = []
    for _ in range(steps):
        images = torch.rand(4, 1, 24, 24, generator=noise)
        brightest = torch.nn.functional.max_pool2d(images, 3, 1, 1)
        error = (network(images) - brightest).square().mean()
        chosen.zero_grad()
        error.backward()
        chosen.step()
        errors.append(float(error.detach()))
    return sum(errors[-10:]) / 10


def test_fewer_steps_are_needed():
    assert _learned(Muon) < 0.9 * _learned(torch.optim.AdamW)


def test_a_run_goes_on_as_if_it_had_not_stopped():
    def step(network, optimiser, seed):
        images = torch.rand(2, 1, 16, 16, generator=torch.Generator().manual_seed(seed))
        network(images).square().mean().backward()
        optimiser.step()
        optimiser.zero_grad()

    network = _network()
    optimiser = Muon(network.parameters(), 1e-2)
    step(network, optimiser, 1)
    other = _network()
    other.load_state_dict(network.state_dict())
    resumed = Muon(other.parameters(), 1e-2)
    resumed.load_state_dict(copy.deepcopy(optimiser.state_dict()))
    for each, its in ((network, optimiser), (other, resumed)):
        step(each, its, 2)
    for one, two in zip(network.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(one, two, rtol=0, atol=0)


def test_convolutions_between_wide_layers_only():
    network = _network()
    optimiser = Muon(network.parameters(), 1e-3)
    wide = next(group["params"] for group in optimiser.param_groups if group.get("orthogonal"))
    assert {id(weight) for weight in wide} == {id(network[2].weight), id(network[4].weight)}
    number = sum(len(group["params"]) for group in optimiser.param_groups)
    assert number == len(list(network.parameters()))


def test_the_optimiser_is_a_setting():
    assert isinstance(toy_runs.new_state().optimiser, Muon)
    assert type(toy_runs.new_state(optimiser="adamw").optimiser) is torch.optim.AdamW
    with pytest.raises(InputError, match="'sgd'; there are muon and adamw"):
        RunState.new(torch.nn.Linear(1, 1), toy_runs.SETTINGS | {"optimiser": "sgd"}, toy_runs.CPU)
