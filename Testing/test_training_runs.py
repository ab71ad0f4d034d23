"""A training run: its folder, its steps, what it keeps and tells on the way, how it goes on."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
import torch
from PIL import Image

import toy_runs
from MRISynthLib.errors import InputError
from MRISynthLib.training import runs, train_synthesis
from MRISynthLib.training.distributed import Group
from MRISynthLib.training.synthesis import DEFAULTS
from MRISynthSegmentLib.training import train_segmentation


class Begun(Exception):
    """The run got as far as making anatomies."""


@pytest.fixture
def attempt(tmp_path, monkeypatch):
    """Train until anatomies would be made; returns what was reported."""

    def begun(*rest):
        raise Begun

    monkeypatch.setattr("MRISynthLib.training.sources.cohort_paths", begun)

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
        ("network: no-net", "no-net.*tissue-maps, any-to-all"),
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
    assert (folder / "log.jsonl").read_text(encoding="utf-8") == "{}\n"


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
    with pytest.raises(InputError, match=r"differ in 'focus'.*config\.json.*--output"):
        attempt("seed: 3\nfocus: 0.1", resume=True)
    stored = tmp_path / "run" / "config.json"
    assert json.loads(stored.read_text(encoding="utf-8"))["focus"] == DEFAULTS["focus"]
    older = {name: value for name, value in DEFAULTS.items() if name != "physics_weight"}
    stored.write_text(json.dumps(older))
    attempt("physics_weight: 0.7", resume=True)
    stored.write_text("{")
    with pytest.raises(InputError, match=r"config\.json is damaged"):
        attempt(resume=True)


def test_of_several_processes_each_needs_a_gpu_of_its_own(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    both = Group(rank=1, size=2, local_rank=1, local_size=2)
    with pytest.raises(InputError, match=r"2 processes on this machine, but 1 GPU"):
        runs.pick_device({**toy_runs.SETTINGS, "device": "auto"}, both)
    with pytest.raises(InputError, match=r"one device 'cuda:0' for 2 processes; write"):
        runs.pick_device({**toy_runs.SETTINGS, "device": "cuda:0"}, both)


def test_averaged_weights_stay_where_the_network_is_when_a_run_is_resumed(tmp_path):
    first, second = toy_runs.new_state(), toy_runs.new_state()
    for value in first.average.values.values():
        value.fill_(7)
    first.save(tmp_path)
    places = {name: value.data_ptr() for name, value in second.average.values.items()}
    assert second.load(tmp_path)
    for name, value in second.average.values.items():
        assert value.data_ptr() == places[name]
        assert (value == 7.0).all()


def test_a_checkpoint_of_another_network_or_a_damaged_one_is_refused_in_words(tmp_path):
    other = toy_runs.Toy(5)
    runs.RunState.new(other, toy_runs.SETTINGS, toy_runs.CPU).save(tmp_path)
    with pytest.raises(InputError, match=r"checkpoint\.pt is of another network"):
        toy_runs.new_state().load(tmp_path)
    for damaged in (b"not a checkpoint", b""):
        (tmp_path / "checkpoint.pt").write_bytes(damaged)
        with pytest.raises(InputError, match=r"checkpoint\.pt is damaged; delete it"):
            toy_runs.new_state().load(tmp_path)


def test_a_checkpoint_of_before_runs_had_several_processes_goes_on(tmp_path):
    state = toy_runs.new_state()
    toy_runs.go_on(state, tmp_path, steps=2)
    path = tmp_path / "checkpoint.pt"
    saved = torch.load(path, weights_only=True)
    (random,) = saved.pop("random")
    kept = ("network", "optimiser", "average", "step", "seconds")
    old = {name: saved[name] for name in kept} | {n: random[n] for n in ("rng", "torch_rng")}
    torch.save(old, path)
    again = toy_runs.new_state()
    assert again.load(tmp_path) and again.step == 2
    assert again.rng.bit_generator.state == state.rng.bit_generator.state


@pytest.mark.parametrize("accumulate", [1, 3])
def test_a_run_that_was_stopped_goes_on_exactly_with_dropout_too(tmp_path, accumulate):
    def begun():
        state = toy_runs.new_state()
        state.network.dropout.p = 0.5  # from the random numbers that are nobody's own
        return state

    whole, asked = begun(), {"accumulate": accumulate, "validate_every": 2}
    toy_runs.go_on(whole, tmp_path / "at once", validate=lambda: {"score": 0.5}, **asked)
    stopped = begun()
    plug = toy_runs.until(stopped, 5, toy_runs.PulledPlug())
    with pytest.raises(toy_runs.PulledPlug):
        toy_runs.go_on(
            stopped, tmp_path / "in two", loss=plug, validate=lambda: {"score": 0.5}, **asked
        )
    (tmp_path / "in two" / "log.jsonl").open("a").write('{"step": 5, "loss": 1}\n{"step": 6, "lo')
    again = begun()
    torch.rand(3)  # as another process might have done before
    assert again.load(tmp_path / "in two") and again.step == 4
    toy_runs.go_on(again, tmp_path / "in two", validate=lambda: {"score": 0.5}, **asked)
    for name, value in whole.network.state_dict().items():
        assert torch.equal(value, again.network.state_dict()[name]), name
    for name, value in whole.average.values.items():
        assert torch.equal(value, again.average.values[name]), name
    steps = [json.loads(line)["step"] for line in (tmp_path / "in two" / "log.jsonl").open()]
    assert steps == [2, 4, 6, 6]
    assert runs.best_weights(tmp_path / "in two")[1] == 2


def test_several_batches_a_step_are_as_one_large_batch(tmp_path):
    ends = []
    for accumulate in (1, 4):
        state = toy_runs.new_state()
        given = np.random.default_rng(0).normal(size=(3, 32, 4)).astype(np.float32)
        batches = iter(torch.from_numpy(given).view(3 * accumulate, -1, 4))

        def loss(state=state, batches=batches):
            return state.network.often(state.network.first(next(batches))).square().mean()

        toy_runs.go_on(state, tmp_path / str(accumulate), steps=3, accumulate=accumulate, loss=loss)
        assert state.step == 3
        ends.append(state.network.state_dict())
    for name, value in ends[0].items():
        torch.testing.assert_close(value, ends[1][name])


def test_steps_without_a_finite_loss_are_skipped_and_told_and_too_many_end_the_run(tmp_path):
    state, said, drawn = toy_runs.new_state(), [], itertools.count()

    def sometimes():
        loss, parts = toy_runs.batch_loss(state.network, state.rng, state.torch_rng)
        return (loss * float("nan") if next(drawn) in (2, 3) else loss), parts

    toy_runs.go_on(state, tmp_path / "a", said.append, loss=sometimes)
    assert [text for text in said if "not a finite number" in text] == [
        "step 3: the loss is not a finite number; drawn anew"
    ] * 2
    assert state.step == 6
    assert all(value.isfinite().all() for value in state.network.state_dict().values())
    (record,) = [json.loads(line) for line in (tmp_path / "a" / "log.jsonl").open()]
    assert record["skipped"] == 2
    state = toy_runs.new_state()
    with pytest.raises(InputError, match=r"not a finite number 20 times in a row at step 1; lower"):
        toy_runs.go_on(state, tmp_path / "b", loss=lambda: state.network.first.weight.sum() / 0)


def test_a_loss_tells_its_parts(tmp_path):
    state = toy_runs.new_state()
    numbers = itertools.count(1)

    def loss():
        number = next(numbers)
        parts = {"always": torch.tensor(float(number))} | ({"rare": 8.0} if number == 4 else {})
        return state.network.first.weight.square().sum(), parts

    toy_runs.go_on(state, tmp_path, steps=4, accumulate=2, loss=loss)
    (record,) = [json.loads(line) for line in (tmp_path / "log.jsonl").open()]
    assert record["loss/always"] == pytest.approx(4.5) and record["loss/rare"] == 8.0
    assert record["learning_rate"] == pytest.approx(4e-4)


def test_the_weights_with_the_best_score_are_kept_and_the_critic_is_not(tmp_path):
    state, scores, seen = toy_runs.new_state(), iter((0.3, 0.7, float("nan"), 0.6)), []

    def validate():
        assert not state.network.training
        seen.append(state.network.first.weight.clone())
        return {"score": next(scores)}

    asked = {"validate_every": 1, "checkpoint_every": 1}
    toy_runs.go_on(state, tmp_path, steps=3, validate=validate, **asked)
    again = toy_runs.new_state()
    again.load(tmp_path)
    toy_runs.go_on(again, tmp_path, steps=4, validate=lambda: {"score": next(scores)}, **asked)
    weights, step = runs.best_weights(tmp_path)
    assert step == 2 and torch.equal(weights["first.weight"], seen[1])
    assert not torch.equal(seen[1], state.network.first.weight)  # those are averaged
    (tmp_path / "best.pt").unlink()
    last, step = runs.best_weights(tmp_path)
    assert step == 4 and torch.equal(last["first.weight"], again.average.values["first.weight"])
    assert not any(name.startswith("critic.") for name in (*weights, *last))
    saved = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert torch.equal(saved["network"]["critic.weight"], again.network.critic.weight)
    with pytest.raises(InputError, match="is not the folder of a training run"):
        runs.best_weights(tmp_path / "elsewhere")


def test_what_is_frozen_is_not_learned(tmp_path):
    torch.manual_seed(5)
    network = toy_runs.Toy()
    network.first.requires_grad_(False)
    before = network.first.weight.clone()
    state = runs.RunState.new(network, toy_runs.SETTINGS, toy_runs.CPU)
    toy_runs.go_on(state, tmp_path)
    assert torch.equal(network.first.weight, before)
    learned = sum(weight.numel() for weight in network.parameters() if weight.requires_grad)
    assert sum(weight.numel() for weight in state.learned) == learned
    with pytest.raises(InputError, match="of another network"):
        toy_runs.new_state().load(tmp_path)


def test_samples_are_shown_early_and_with_every_validation(tmp_path):
    state, shown = toy_runs.new_state(), []

    def samples():
        shown.append(state.step)
        return np.full((6, 8, 3) if state.step == 1 else (6, 8), 10 * state.step, np.uint8)

    toy_runs.go_on(state, tmp_path, steps=5, samples=samples, sample_steps=[1, 4], validate_every=4)
    assert shown == [1, 4, 5]
    files = sorted((tmp_path / "samples").iterdir())
    assert [file.name for file in files] == [f"step-00000{step}.png" for step in shown]
    assert np.array(Image.open(files[0])).shape == (6, 8, 3)
    assert (np.array(Image.open(files[1])) == 40).all()
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    board = events.EventAccumulator(str(tmp_path))
    board.Reload()
    assert [event.step for event in board.Images("samples")] == shown
    assert "loss/error" in board.Tags()["scalars"]


def test_a_mosaic_shows_every_image_beside_the_others():
    ramp = np.linspace(0, 1.1, 20, dtype=np.float32).reshape(4, 5)
    picture = runs.mosaic([[ramp, 2 + ramp], [np.full((3, 2), np.nan)]])
    assert picture.dtype == np.uint8 and picture.shape == (4 + 2 + 4, 5 + 2 + 5)
    np.testing.assert_array_equal(picture[:4, :5], np.rint(ramp / 1.1 * 255))
    assert (picture[:4, 7:] == 255).all() and (picture[6:, :5] == 0).all()
    assert len(np.unique(picture[4:6])) == 1 and 0 < picture[4, 0] < 255


def test_a_disk_that_is_full_is_told_and_the_checkpoint_stays(tmp_path, monkeypatch):
    state = toy_runs.new_state()
    state.save(tmp_path)
    before = (tmp_path / "checkpoint.pt").read_bytes()

    def full(path, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(InputError, match=r"checkpoint\.pt cannot be written: the disk is full"):
        state.save(tmp_path)
    assert (tmp_path / "checkpoint.pt").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.pt"]
