"""What every training run needs: configuration, exact resume, averaged weights, a log."""

from __future__ import annotations

import json
import os
import pickle
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..devices import check_name, resolve
from ..errors import InputError
from ..io.output import output_error
from ..sequences import SEQUENCE_NAMES

COMMON_DEFAULTS: dict[str, Any] = {
    "precision": "bf16",
    "device": "auto",
    "threads": 2,
    "seed": 1,
    "procedural": 48,
    "label_maps": None,
    "mapping": None,
    "atlas": None,
    "atlas_mapping": None,
    "jobs": 2,
    "per_label_map": 0,
    "held_out_maps": [],
    "healthy": 0.3,
    "validation_procedural": 6,
    "cohort": None,
    "validate_every": 500,
    "checkpoint_every": 250,
}
"""Fields of every training configuration; paths count from the working directory."""

MAY_CHANGE = frozenset(
    {
        "steps", "device", "threads", "jobs", "validate_every", "checkpoint_every",
        "cohort", "label_maps", "mapping", "atlas", "atlas_mapping",
    }
)  # fmt: skip
"""Fields that may be others when a run is resumed: how far and where it runs, and where its
anatomies are kept (a cohort's own plan says whether they are the same)."""


def read_config(path: Path, defaults: dict[str, Any]) -> dict[str, Any]:
    """A YAML configuration over its defaults.

    Relative paths inside are left as they are; they count from the working directory.

    Raises
    ------
    InputError
        If it cannot be read, or has a field or a sequence that is not known.
    """
    import yaml

    try:
        given = yaml.safe_load(Path(path).read_text(encoding="utf-8")) or {}
    except FileNotFoundError:
        raise InputError(f"The configuration {path} does not exist; name another file.") from None
    except yaml.YAMLError as error:
        raise InputError(f"The configuration {path} is not valid YAML ({error}).") from None
    if not isinstance(given, dict):
        raise InputError(f"The configuration {path} must be a list of `name: value` lines.")
    unknown = sorted(set(given) - set(defaults))
    if unknown:
        raise InputError(
            f"The configuration {path} has the unknown field {unknown[0]}; "
            f"known are {', '.join(sorted(defaults))}."
        )
    config = {**defaults, **given}
    for field in ("input_weights", "target_weights"):
        _check_weights(path, field, config.get(field, {}))
    return config


def _check_weights(path: Path, field: str, weights: Any) -> None:
    """Refuse weights that are not of sequences."""
    if not isinstance(weights, dict):
        raise InputError(f"The field {field} in {path} must be lines of `sequence: weight`.")
    for name in weights:
        if name not in SEQUENCE_NAMES:
            raise InputError(
                f"The field {field} in {path} names the unknown sequence '{name}'; "
                f"choose from {', '.join(SEQUENCE_NAMES)}."
            )


def enter_folder(
    output: Path, config: dict[str, Any], resume: bool, report: Callable[[str], None]
) -> None:
    """Make a run's folder its own, before anything long begins; nothing is overwritten.

    A run that stopped before its first checkpoint left its configuration only; it may be resumed,
    and starts anew.

    Raises
    ------
    InputError
        If the folder holds a run that is not to be resumed, or none that could be, or one of
        another configuration.
    OutputError
        If the folder cannot be written.
    """
    stored = output / "config.json"
    if (output / "checkpoint.pt").is_file():
        if not resume:
            raise InputError(
                f"{output} holds a training run already; go on with it by --resume, or name "
                "another folder with --output."
            )
        if stored.is_file():
            _check_same(stored, config)
        return
    if resume:
        if not stored.is_file():
            raise InputError(
                f"{output} holds no training run to resume; leave out --resume, or name the "
                "folder of one with --output."
            )
        report("no checkpoint yet; starting anew")
    try:
        output.mkdir(parents=True, exist_ok=True)
        _write_config(output, config)
        (output / "log.jsonl").unlink(missing_ok=True)
    except OSError as error:
        raise output_error(output, error) from error


def _check_same(stored: Path, config: dict[str, Any]) -> None:
    """Refuse to go on with other settings; fields that an older version lacked do not count."""
    try:
        found = json.loads(stored.read_text(encoding="utf-8"))
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise InputError(
            f"{stored} is damaged; put it back as it was, or name another folder with --output."
        )
    wanted = json.loads(json.dumps(config))
    for field, value in wanted.items():
        if field not in MAY_CHANGE and field in found and found[field] != value:
            raise InputError(
                f"The settings differ in '{field}' from those that the run began with; set it as "
                f"in {stored}, or name another folder with --output."
            )


def _write_config(output: Path, config: dict[str, Any]) -> None:
    (output / "config.json").write_text(json.dumps(config, indent=2), encoding="utf-8")


class AveragedWeights:
    """Exponential moving average of a network's weights."""

    def __init__(self, network: torch.nn.Module, decay: float) -> None:
        self.decay = decay
        self.values = {k: v.detach().clone() for k, v in network.state_dict().items()}

    @torch.no_grad()
    def update(self, network: torch.nn.Module, step: int) -> None:
        """Follow the network; faster during the first steps."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for key, value in network.state_dict().items():
            if value.dtype.is_floating_point:
                self.values[key].lerp_(value, 1 - decay)
            else:
                self.values[key].copy_(value)


@dataclass
class RunState:
    """Everything that a run needs to go on exactly where it was."""

    network: torch.nn.Module
    optimiser: torch.optim.Optimizer
    average: AveragedWeights
    rng: np.random.Generator
    torch_rng: torch.Generator
    step: int = 0
    seconds: float = 0.0

    @classmethod
    def new(
        cls, network: torch.nn.Module, config: dict[str, Any], device: torch.device
    ) -> RunState:
        """A fresh state: AdamW, averaged weights, random numbers from the seed."""
        network = network.to(device, memory_format=torch.channels_last)
        rate, seed = float(config["learning_rate"]), int(config["seed"])
        return cls(
            network,
            torch.optim.AdamW(network.parameters(), rate, weight_decay=1e-4),
            AveragedWeights(network, float(config["ema"])),
            np.random.default_rng(seed),
            torch.Generator(device).manual_seed(seed),
        )

    def save(self, folder: Path) -> None:
        """Write ``checkpoint.pt`` and, first, its successor beside it."""
        folder.mkdir(parents=True, exist_ok=True)
        partial = folder / "checkpoint.partial"
        torch.save(
            {
                "network": self.network.state_dict(),
                "optimiser": self.optimiser.state_dict(),
                "average": self.average.values,
                "rng": json.dumps(self.rng.bit_generator.state),
                "torch_rng": self.torch_rng.get_state(),
                "step": self.step,
                "seconds": self.seconds,
            },
            partial,
        )
        os.replace(partial, folder / "checkpoint.pt")

    def load(self, folder: Path) -> bool:
        """Take over the folder's checkpoint; False if there is none.

        Raises
        ------
        InputError
            If it is damaged, or of another network.
        """
        path = folder / "checkpoint.pt"
        if not path.is_file():
            return False
        try:
            # a run's own checkpoint, tensors and plain values only
            saved = torch.load(path, map_location="cpu", weights_only=True)
        except (RuntimeError, EOFError, pickle.UnpicklingError):
            raise InputError(f"{path} is damaged; delete it to start anew.") from None
        try:
            self.network.load_state_dict(saved["network"])
        except RuntimeError:
            raise InputError(
                f"{path} is of another network than the settings ask for; set the network as it "
                "was, or name another folder with --output."
            ) from None
        self.optimiser.load_state_dict(saved["optimiser"])
        for key, value in self.average.values.items():
            value.copy_(saved["average"][key])  # stays on the network's device
        self.rng.bit_generator.state = json.loads(saved["rng"])
        self.torch_rng.set_state(saved["torch_rng"])
        self.step, self.seconds = int(saved["step"]), float(saved["seconds"])
        return True


class Log:
    """One JSON object a line in ``log.jsonl``, and TensorBoard where it is installed."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "log.jsonl"
        try:
            from torch.utils.tensorboard import SummaryWriter

            self.board = SummaryWriter(str(folder))
        except ImportError:
            self.board = None

    def write(self, step: int, **values: Any) -> None:
        """Append one record."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **values}) + "\n")
        if self.board is not None:
            for key, value in values.items():
                if isinstance(value, int | float):
                    self.board.add_scalar(key, value, step)
            self.board.flush()


def run(
    state: RunState,
    config: dict[str, Any],
    output: Path,
    loss_of_step: Callable[[], torch.Tensor],
    validate: Callable[[], dict[str, float]],
    report: Callable[[str], None],
) -> None:
    """Steps until ``config["steps"]``, with checkpoints, a log, and validation.

    ``loss_of_step`` draws a batch from the state's random numbers and returns its loss;
    ``validate`` is called with the averaged weights in the network.
    """
    log, running = Log(output), []
    _write_config(output, config)
    steps, began = int(config["steps"]), time.monotonic()
    while state.step < steps:
        started = time.monotonic()
        for group in state.optimiser.param_groups:
            group["lr"] = cosine_rate(state.step, steps, float(config["learning_rate"]))
        loss = loss_of_step()
        state.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(state.network.parameters(), 1.0)
        state.optimiser.step()
        state.step += 1
        state.average.update(state.network, state.step)
        state.seconds += time.monotonic() - started
        running.append(loss.item())
        last = state.step == steps
        if state.step % 50 == 0 or last:
            minutes = (time.monotonic() - began) / 60
            mean = float(np.mean(running))
            report(f"step {state.step} of {steps}, loss {mean:.4f}, {minutes:.1f} min")
            log.write(state.step, loss=mean, seconds=round(state.seconds, 1))
            running.clear()
        if state.step % int(config["checkpoint_every"]) == 0 or last:
            state.save(output)
        if state.step % int(config["validate_every"]) == 0 or last:
            trained = {k: v.clone() for k, v in state.network.state_dict().items()}
            state.network.load_state_dict(state.average.values)
            figures = validate()
            state.network.load_state_dict(trained)
            log.write(state.step, **figures)
            report(", ".join(f"{k} {v}" for k, v in figures.items()))


def cosine_rate(step: int, steps: int, peak: float, warmup: int = 100) -> float:
    """Learning rate: linear warm-up, then half a cosine down to 2 % of the peak."""
    if step < warmup:
        return peak * (step + 1) / warmup
    progress = min((step - warmup) / max(steps - warmup, 1), 1.0)
    return peak * (0.02 + 0.98 * 0.5 * (1 + float(np.cos(np.pi * progress))))


def pick_device(config: dict[str, Any]) -> torch.device:
    """Device of a training run ("auto" takes CUDA where there is one), with its threads.

    Raises
    ------
    InputError
        If the device is unknown or this machine does not have it.
    """
    try:
        name = check_name(str(config["device"]))
        if name == "auto" and not torch.cuda.is_available():
            name = "cpu"  # and not a Mac's GPU, on which no training was tried
        device = resolve(name)
    except InputError as error:
        # here it is a field of the settings, not an option
        raise InputError(str(error).replace("--device ", "device: ")) from None
    if device.type == "cpu":
        torch.set_num_threads(int(config["threads"]))
    torch.manual_seed(int(config["seed"]))
    return device
