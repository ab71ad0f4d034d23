"""One training run in two processes that `torchrun` starts: they learn as one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import toy_runs
from MRISynthLib.errors import InputError
from MRISynthLib.training import runs
from MRISynthLib.training.distributed import Group

SCRIPT = Path(toy_runs.__file__)


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory):
    """(folder, finished command) of :func:`toy_runs.main` in two processes."""
    folder = tmp_path_factory.mktemp("two")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc_per_node=2", str(SCRIPT), str(folder)]
    paths = {"PYTHONPATH": str(SCRIPT.parent.parent), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command,
        env={**os.environ, **paths},
        capture_output=True,
        text=True,
        timeout=300,
    )
    return folder, done


def _weights(folder: Path, name: str) -> dict[str, torch.Tensor]:
    return torch.load(folder / f"{name}.pt", weights_only=True)


def test_both_end_with_the_same_weights(two_processes):
    folder, _ = two_processes
    first, second = (_weights(folder, f"at once {rank}") for rank in (0, 1))
    for name, value in first.items():
        assert torch.equal(value, second[name]), name


def test_two_learn_what_one_learns_from_the_batches_of_both(two_processes):
    folder, _ = two_processes
    state = toy_runs.new_state()
    seeds = [Group(rank, 2).seed(toy_runs.SETTINGS["seed"]) for rank in (0, 1)]
    assert seeds[0] != seeds[1]
    streams = [(np.random.default_rng(s), torch.Generator().manual_seed(s)) for s in seeds]
    turns = iter(range(1000))

    def loss():
        return toy_runs.batch_loss(state.network, *streams[next(turns) % 2])

    toy_runs.go_on(state, folder / "alone", accumulate=2, loss=loss)
    before = toy_runs.new_state().network.state_dict()
    for name, value in _weights(folder, "at once 0").items():
        if "norm" not in name:  # running statistics of two halves are not those of the whole
            torch.testing.assert_close(value, state.network.state_dict()[name], msg=name)
            assert torch.equal(value, before[name]) == ("never" in name)


def test_two_that_were_stopped_go_on_as_if_they_had_not(two_processes):
    folder, _ = two_processes
    for rank in (0, 1):
        whole, again = (_weights(folder, f"{name} {rank}") for name in ("at once", "in two"))
        for name, value in whole.items():
            assert torch.equal(value, again[name]), name
    with pytest.raises(InputError, match=r"with 2 process.*not 1.*--nproc_per_node=2"):
        toy_runs.new_state().load(folder / "in two")


def test_only_the_first_writes_and_reports(two_processes):
    folder, done = two_processes
    records = [json.loads(line) for line in (folder / "at once" / "log.jsonl").open()]
    assert [record["step"] for record in records] == [6, 6]  # the mean loss, the validation
    assert done.stderr.count("step 6 of 6") == 1
    assert "a step learns from 2 slices (1 slice x 1 case x 1 batch x 2 processes)" in done.stderr
    assert runs.best_weights(folder / "at once")[1] == 6


def test_an_error_in_one_ends_the_other(two_processes):
    folder, done = two_processes
    assert done.returncode != 0
    assert not list(folder.glob("reached *"))
    said = done.stderr.split("ChildFailedError")[0]
    assert said.count("The scan of rank one cannot be read; look at it.") == 1
    assert "unexpectedly" not in said
    assert (folder / "failing" / "checkpoint.pt").is_file()
