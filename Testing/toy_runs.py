"""A training run of a network with a few weights, alone or in the processes of ``torchrun``."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
import typer

from MRISynthLib.errors import InputError
from MRISynthLib.training import runs

SETTINGS = {
    "learning_rate": 1e-2,
    "seed": 1,
    "ema": 0.9,
    "steps": 6,
    "accumulate": 1,
    "optimiser": "muon",
    "precision": "fp32",
    "validate_every": 100,
    "checkpoint_every": 2,
    "sample_steps": [],
}
CPU = torch.device("cpu")


class Toy(torch.nn.Module):
    """Two layers, of which the second has a part that only some batches use, and a critic."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.first = torch.nn.Linear(4, width)
        self.dropout = torch.nn.Dropout(0.0)
        self.norm = torch.nn.BatchNorm1d(width)
        self.often = torch.nn.Linear(width, 1)
        self.seldom = torch.nn.Linear(width, 1)
        self.never = torch.nn.Linear(width, 1)
        self.critic = torch.nn.Linear(1, 1)


def batch_loss(
    network: Toy, rng: np.random.Generator, torch_rng: torch.Generator
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Loss of a batch that the random numbers give, and its parts."""
    given = torch.from_numpy(rng.normal(size=(8, 4)).astype(np.float32))
    given = given + 0.1 * torch.randn(8, 4, generator=torch_rng)
    hidden = network.dropout(network.first(given))
    network.norm(hidden.detach())  # running statistics only
    found = network.often(hidden)
    if rng.random() < 0.5:
        found = found + network.seldom(hidden)
    error = (found[:, 0] - given.sum(1)).abs().mean()
    judged = network.critic(found).square().mean()
    return error + 0.1 * judged, {"error": error, "critic": judged}


def new_state(group: runs.Group = runs.ALONE, **settings) -> runs.RunState:
    """A run that begins; the network is always the same."""
    torch.manual_seed(5 + group.rank)  # the others' weights are to become those of the first
    return runs.RunState.new(Toy(), {**SETTINGS, **settings}, CPU, group)


def go_on(state: runs.RunState, folder: Path, say=lambda text: None, **settings) -> None:
    """Run until the end of the settings, whose ``loss``, ``validate`` and ``samples`` may be
    others than those of the toy."""
    loss = settings.pop("loss", lambda: batch_loss(state.network, state.rng, state.torch_rng))
    validate = settings.pop("validate", dict)
    samples = settings.pop("samples", None)
    runs.run(state, {**SETTINGS, **settings}, folder, loss, validate, say, samples)


class PulledPlug(Exception):
    """What happens to some runs."""


def until(state: runs.RunState, step: int, error: Exception):
    """The toy's loss, which fails at a step."""

    def loss():
        if state.step == step:
            raise error
        return batch_loss(state.network, state.rng, state.torch_rng)

    return loss


def main(folder: Path) -> None:
    """In every process: a run, the same stopped and resumed, and one that fails in one process."""
    from MRISynthApp.session import session

    torch.set_num_threads(1)
    with session("train toy") as told, runs.processes() as group:
        say = group.reporter(told.say)
        with group.in_turn():
            if group.is_first:
                (folder / "prepared").touch()
            assert (folder / "prepared").is_file()
        state = new_state(group)
        go_on(state, folder / "at once", say, validate=lambda: {"score": 1.0})
        torch.save(state.network.state_dict(), folder / f"at once {group.rank}.pt")
        stopped = new_state(group)
        try:
            go_on(stopped, folder / "in two", loss=until(stopped, 3, PulledPlug()))
        except PulledPlug:
            stopped = new_state(group)
            assert stopped.load(folder / "in two") and stopped.step == 2
            go_on(stopped, folder / "in two")
        torch.save(stopped.network.state_dict(), folder / f"in two {group.rank}.pt")
        failing = new_state(group)
        error = InputError("The scan of rank one cannot be read; look at it.")
        step = 3 if group.rank == 1 else -1
        go_on(failing, folder / "failing", loss=until(failing, step, error))
        (folder / f"reached {group.rank}").touch()


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]))
    except typer.Exit as end:
        sys.exit(end.exit_code)
