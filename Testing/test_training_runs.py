"""A training run's folder and settings: what is refused, in words, before anything is made."""

from __future__ import annotations

import json

import pytest
import torch

from MRISynthLib.errors import InputError
from MRISynthLib.training import runs, train_synthesis
from MRISynthLib.training.synthesis import DEFAULTS
from MRISynthSegmentLib.training import train_segmentation


class Begun(Exception):
    """The run got as far as making anatomies."""


@pytest.fixture
def attempt(tmp_path, monkeypatch):
    """Train until anatomies would be made; returns what was reported."""

    def begun(*rest):
        raise Begun

    for module in ("MRISynthLib.training.synthesis", "MRISynthSegmentLib.training"):
        monkeypatch.setattr(f"{module}.cohort_paths", begun)

    def run(text: str = "", train=train_synthesis, **asked) -> list[str]:
        config, said = tmp_path / "config.yaml", []
        config.write_text(text)
        with pytest.raises(Begun):
            train(config, tmp_path / "run", report=said.append, **asked)
        return said

    return run


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("network: u-net", "u-net.*any-to-all or tissue-maps"),
        ("device: gpu", "device 'gpu' is unknown; choose one of auto"),
        ("input_weights: {T1: 1}", "input_weights .*'T1'; choose from T1w"),
        ("target_weights: {T2w: 1, flair: 2}", "target_weights .*'flair'"),
        ("target_weights: [T2w]", "target_weights .*sequence: weight"),
    ],
)
def test_settings_that_cannot_be_used_are_refused_before_anatomies_are_made(
    attempt, tmp_path, text, says
):
    with pytest.raises(InputError, match=says):
        attempt(text)
    assert not (tmp_path / "run").exists()


def test_a_gpu_that_is_not_there_is_told_as_a_setting(attempt, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match=r"'cuda' is not available.*use device: auto") as refused:
        attempt("device: cuda")
    assert "--device" not in str(refused.value)


@pytest.mark.parametrize("train", [train_synthesis, train_segmentation])
def test_a_run_is_not_overwritten_by_another(attempt, tmp_path, train):
    assert attempt("seed: 3", train) == []
    folder = tmp_path / "run"
    (folder / "checkpoint.pt").write_bytes(b"a day's work")
    (folder / "log.jsonl").write_text("{}\n")
    with pytest.raises(InputError, match=r"holds a training run already.*--resume.*--output"):
        attempt("seed: 3", train)
    assert attempt("seed: 3", train, resume=True) == []
    assert (folder / "checkpoint.pt").read_bytes() == b"a day's work"
    assert (folder / "log.jsonl").read_text() == "{}\n"


@pytest.mark.parametrize("train", [train_synthesis, train_segmentation])
def test_only_a_run_can_be_resumed_even_if_it_stopped_before_its_first_checkpoint(
    attempt, tmp_path, train
):
    with pytest.raises(InputError, match=r"no training run to resume; leave out --resume"):
        attempt(train=train, resume=True)
    attempt(train=train)
    (tmp_path / "run" / "log.jsonl").write_text('{"step": 50}\n')
    assert attempt(train=train, resume=True) == ["no checkpoint yet; starting anew"]
    assert not (tmp_path / "run" / "log.jsonl").exists()


def test_a_resumed_run_goes_on_with_its_own_settings(attempt, tmp_path):
    attempt("seed: 3\nsteps: 10")
    (tmp_path / "run" / "checkpoint.pt").touch()
    attempt("seed: 3\nsteps: 20\ndevice: cpu\ncohort: moved\nthreads: 1", resume=True)
    with pytest.raises(InputError, match=r"differ in 'widths'.*config\.json.*--output"):
        attempt("seed: 3\nwidths: [16, 16, 16]", resume=True)
    stored = tmp_path / "run" / "config.json"
    assert json.loads(stored.read_text())["widths"] == DEFAULTS["widths"]
    older = {name: value for name, value in DEFAULTS.items() if name != "physics_weight"}
    stored.write_text(json.dumps(older))
    attempt("physics_weight: 0.7", resume=True)
    stored.write_text("{")
    with pytest.raises(InputError, match=r"config\.json is damaged"):
        attempt(resume=True)


SETTINGS = {"learning_rate": 1e-3, "seed": 1, "ema": 0.9}


def _state(features: int = 3) -> runs.RunState:
    return runs.RunState.new(torch.nn.Conv2d(1, features, 3), SETTINGS, torch.device("cpu"))


def test_averaged_weights_stay_where_the_network_is_when_a_run_is_resumed(tmp_path):
    first, second = _state(), _state()
    for value in first.average.values.values():
        value.fill_(7.0)
    first.save(tmp_path)
    places = {name: value.data_ptr() for name, value in second.average.values.items()}
    assert second.load(tmp_path)
    for name, value in second.average.values.items():
        assert value.data_ptr() == places[name]
        assert (value == 7.0).all()


def test_a_checkpoint_of_another_network_or_a_damaged_one_is_refused_in_words(tmp_path):
    _state().save(tmp_path)
    with pytest.raises(InputError, match=r"checkpoint\.pt is of another network"):
        _state(features=5).load(tmp_path)
    (tmp_path / "checkpoint.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(InputError, match=r"checkpoint\.pt is damaged; delete it"):
        _state().load(tmp_path)
