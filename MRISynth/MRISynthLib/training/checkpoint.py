"""What a training run keeps: where it is, its averaged weights, and the best of them."""

from __future__ import annotations

import io
import json
import math
import os
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..errors import InputError
from ..io.output import output_error
from ..synthesis.base import TRAINED_ONLY
from .distributed import ALONE, Group
from .muon import Muon

CHECKPOINT, BEST, SPLIT = "checkpoint.pt", "best.pt", "split.json"
"""In a run's folder: where it is, the best averaged weights, which patients it learns from."""

OPTIMISERS: dict[str, type[torch.optim.Optimizer]] = {"muon": Muon, "adamw": torch.optim.AdamW}

Weights = dict[str, torch.Tensor]


class AveragedWeights:
    """Exponential moving average of a network's weights, but of those that only train it."""

    def __init__(self, network: torch.nn.Module, decay: float) -> None:
        self.decay = decay
        self.values = _exported({k: v.detach().clone() for k, v in network.state_dict().items()})

    @torch.no_grad()
    def update(self, network: torch.nn.Module, step: int) -> None:
        """Follow the network; faster during the first steps."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for key, value in _exported(network.state_dict()).items():
            if value.dtype.is_floating_point:
                self.values[key].lerp_(value, 1 - decay)
            else:
                self.values[key].copy_(value)

    @contextmanager
    def within(self, network: torch.nn.Module) -> Iterator[None]:
        """The averaged weights in ``network``, which only evaluates, while the body lasts."""
        trained = {k: v.clone() for k, v in _exported(network.state_dict()).items()}
        network.load_state_dict(self.values, strict=False)
        network.eval()
        try:
            with torch.no_grad():
                yield
        finally:
            network.load_state_dict(trained, strict=False)
            network.train()


def _exported(weights: Weights) -> Weights:
    return {name: value for name, value in weights.items() if not name.startswith(TRAINED_ONLY)}


def _optimiser(name: str) -> type[torch.optim.Optimizer]:
    if name not in OPTIMISERS:
        raise InputError(
            f"The settings ask for the optimiser '{name}'; there are {' and '.join(OPTIMISERS)}."
        )
    return OPTIMISERS[name]


@dataclass
class RunState:
    """Everything that a run needs to go on exactly where it was.

    ``skipped`` counts steps that were drawn but not taken, ``best`` is the highest score of a
    validation so far. With several processes each has a state, which differ in the random numbers
    only.
    """

    network: torch.nn.Module
    optimiser: torch.optim.Optimizer
    average: AveragedWeights
    rng: np.random.Generator
    torch_rng: torch.Generator
    group: Group = ALONE
    step: int = 0
    seconds: float = 0.0
    skipped: int = 0
    best: float = -math.inf

    @classmethod
    def new(
        cls,
        network: torch.nn.Module,
        config: dict[str, Any],
        device: torch.device,
        group: Group = ALONE,
    ) -> RunState:
        """A fresh state: an optimiser of what may be learned (``config["optimiser"]``), averaged
        weights, random numbers from the seed; all processes begin with the weights of the first.

        Raises
        ------
        InputError
            If there is no such optimiser.
        """
        network = network.to(device, memory_format=torch.channels_last)
        group.share_weights(network)
        learned = [weight for weight in network.parameters() if weight.requires_grad]
        rate, seed = float(config["learning_rate"]), group.seed(int(config["seed"]))
        return cls(
            network,
            _optimiser(str(config["optimiser"]))(learned, rate, weight_decay=1e-4),
            AveragedWeights(network, float(config["ema"])),
            np.random.default_rng(seed),
            torch.Generator(device).manual_seed(seed),
            group,
        )

    @property
    def learned(self) -> list[torch.nn.Parameter]:
        """The parameters that the optimiser changes."""
        return [weight for group in self.optimiser.param_groups for weight in group["params"]]

    def save(self, folder: Path) -> None:
        """Write ``checkpoint.pt`` and, first, its successor beside it; of several processes the
        first writes, but all must come here.

        Raises
        ------
        OutputError
            If it cannot be written.
        """
        random = self.group.gather(self._random_states())
        if not self.group.is_first:
            return
        content = {
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "average": self.average.values,
            "random": random,
            "step": self.step,
            "seconds": self.seconds,
            "skipped": self.skipped,
        }
        _write(content, folder / CHECKPOINT)

    def load(self, folder: Path) -> bool:
        """Take over the folder's checkpoint; False if there is none.

        Raises
        ------
        InputError
            If it is damaged, of another network, or of another number of processes.
        """
        path = folder / CHECKPOINT
        if not path.is_file():
            return False
        saved = _read(path)
        # what was written before runs had several processes holds the states of its only one
        random = saved.get("random", [saved])
        if len(random) != self.group.size:
            raise InputError(
                f"{path} is of a run with {len(random)} process(es), not {self.group.size}; go on "
                f"with as many (torchrun --nproc_per_node={len(random)})."
            )
        try:
            self.network.load_state_dict(saved["network"])
            self.optimiser.load_state_dict(saved["optimiser"])
        except (RuntimeError, ValueError):
            raise InputError(
                f"{path} is of another network or optimiser than the settings ask for; set them as "
                "they were, or name another folder with --output."
            ) from None
        for key, value in self.average.values.items():
            value.copy_(saved["average"][key])  # stays on the network's device
        self.step, self.seconds = int(saved["step"]), float(saved["seconds"])
        self.skipped = int(saved.get("skipped", 0))
        self._take_random_states(random[self.group.rank])
        if (folder / BEST).is_file():
            self.best = float(_read(folder / BEST)["score"])
        return True

    def keep_if_best(self, folder: Path, score: float) -> bool:
        """Write the averaged weights as ``best.pt`` if no score was as high; whether it was so.

        Raises
        ------
        OutputError
            If it cannot be written.
        """
        if not score > self.best:
            return False
        self.best = score
        content = {"weights": self.average.values, "step": self.step, "score": score}
        _write(content, folder / BEST)
        return True

    def _random_states(self) -> dict[str, Any]:
        device = self.torch_rng.device
        return {
            "rng": json.dumps(self.rng.bit_generator.state),
            "torch_rng": self.torch_rng.get_state(),
            "torch": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state(device) if device.type == "cuda" else None,
            "device": device.type,
        }

    def _take_random_states(self, states: dict[str, Any]) -> None:
        device = self.torch_rng.device
        self.rng.bit_generator.state = json.loads(states["rng"])
        if states.get("device", device.type) != device.type:
            # the streams of two kinds of device have nothing in common: begin a new one
            self.torch_rng.manual_seed(self.torch_rng.initial_seed() + self.step)
            return
        self.torch_rng.set_state(states["torch_rng"])
        if "torch" in states:
            torch.set_rng_state(states["torch"])
        if device.type == "cuda" and states.get("cuda") is not None:
            torch.cuda.set_rng_state(states["cuda"], device)


def best_weights(run: Path) -> tuple[Weights, int]:
    """The averaged weights of a run with the best score in validation, and their step; those of
    the last checkpoint if no validation gave a score.

    Raises
    ------
    InputError
        If the folder holds neither, or it is damaged.
    """
    best, last = Path(run) / BEST, Path(run) / CHECKPOINT
    if best.is_file():
        saved = _read(best)
        return saved["weights"], int(saved["step"])
    if not last.is_file():
        raise InputError(f"{run} is not the folder of a training run; name one.")
    saved = _read(last)
    return _exported(saved["average"]), int(saved["step"])


def _write(content: dict[str, Any], path: Path) -> None:
    """Write whole or not at all."""
    whole = io.BytesIO()
    torch.save(content, whole)
    partial = path.with_suffix(".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(whole.getbuffer())
        os.replace(partial, path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise output_error(path, error) from error


def _read(path: Path) -> dict[str, Any]:
    try:
        # a run's own file, tensors and plain values only
        saved = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, pickle.UnpicklingError):
        saved = None
    if not isinstance(saved, dict) or "step" not in saved:
        raise InputError(f"{path} is damaged; delete it to start anew.")
    return saved
