"""The course of every training run: its folder, its steps, what it keeps and tells on the way."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..devices import check_name, resolve
from ..errors import InputError
from ..io.output import output_error
from .checkpoint import BEST, CHECKPOINT, SPLIT, AveragedWeights, RunState, best_weights
from .configuration import COMMON_DEFAULTS, MAY_CHANGE, read_config
from .distributed import ALONE, EndedElsewhere, Group, processes
from .log import LOG, Log, Means, joined_means, mosaic

__all__ = [
    "ALONE",
    "COMMON_DEFAULTS",
    "AveragedWeights",
    "Group",
    "Loss",
    "RunState",
    "best_weights",
    "cosine_rate",
    "enter_folder",
    "mosaic",
    "pick_device",
    "processes",
    "read_config",
    "run",
]

LOG_EVERY = 50
"""Steps."""

MOST_SKIPPED = 20
"""So many steps in a row whose loss is not finite end a run."""

Loss = torch.Tensor | tuple[torch.Tensor, Mapping[str, torch.Tensor | float]]
"""Of one batch, alone or with the parts that it is made of, by name."""


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
    if (output / CHECKPOINT).is_file():
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
    _write_config(output, config)
    for name in (LOG, BEST, SPLIT):
        (output / name).unlink(missing_ok=True)


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
    try:
        output.mkdir(parents=True, exist_ok=True)
        (output / "config.json").write_text(json.dumps(config, indent=2), encoding="utf-8")
    except OSError as error:
        raise output_error(output, error) from error


def run(
    state: RunState,
    config: dict[str, Any],
    output: Path,
    loss_of_step: Callable[[], Loss],
    validate: Callable[[], dict[str, float]],
    report: Callable[[str], None],
    samples: Callable[[], np.ndarray] | None = None,
    in_short: Callable[[dict[str, float]], str] | None = None,
) -> None:
    """Steps until ``config["steps"]``, with checkpoints, a log, validation and samples.

    A step is one of the optimiser: it learns from ``config["accumulate"]`` batches in each process.
    A step with a loss or gradient that is not finite is not taken, but drawn anew.

    Parameters
    ----------
    loss_of_step:
        Draws a batch from the state's random numbers and returns its loss.
    validate:
        Called with the averaged weights in the network, in the first process only. The weights
        with the highest figure called "score", if there is one, are kept as ``best.pt``.
    samples:
        Gives a picture, uint8 (rows, columns) or (rows, columns, 3), after the steps of
        ``config["sample_steps"]`` and with each validation; called as ``validate`` is.
    in_short:
        What is reported of the figures of a validation, all of which are in the log; without it,
        all of them.

    Raises
    ------
    InputError
        If 20 steps in a row had no finite loss.
    OutputError
        If a file of the run cannot be written.
    EndedElsewhere
        If another process of the run has ended.
    """
    course = _Course(state, config, output, report, in_short or _all_of)
    try:
        course.follow(loss_of_step, validate, samples)
    finally:
        course.close()


class _Course:
    """A run on its way; see :func:`run`."""

    def __init__(
        self,
        state: RunState,
        config: dict[str, Any],
        output: Path,
        report: Callable[[str], None],
        in_short: Callable[[dict[str, float]], str],
    ) -> None:
        self.state, self.config, self.output = state, config, output
        self.in_short = in_short
        self.group = state.group
        self.report = self.group.reporter(report)
        self.steps, self.accumulate = int(config["steps"]), int(config["accumulate"])
        self.means = Means()
        self.began = time.monotonic()
        self.log = None
        if self.group.is_first:
            _write_config(output, config)
            self.log = Log(output, state.step)

    def follow(self, loss_of_step, validate, samples) -> None:
        """All steps that are left."""
        self.report(self._plan())
        pictured = set(self.config["sample_steps"]) if samples is not None else set()
        while self.state.step < self.steps:
            self._learn(loss_of_step)
            step = self.state.step
            last = step == self.steps
            if step % LOG_EVERY == 0 or last:
                self._tell()
            if step % int(self.config["validate_every"]) == 0 or last:
                self._look(validate, samples)
            elif step in pictured:
                self._look(None, samples)
            if step % int(self.config["checkpoint_every"]) == 0 or last:
                self.state.save(self.output)

    def close(self) -> None:
        if self.log is not None:
            self.log.close()

    def _plan(self) -> str:
        """Where the run learns, and from how much at a time."""
        counts = {
            "slice": int(self.config.get("slices", 1)),
            "case": int(self.config.get("cases", 1)),
            "batch": self.accumulate,
            "process": self.group.size,
        }
        product = " x ".join(_counted(count, name) for name, count in counts.items())
        device = self.state.torch_rng.device
        return (
            f"training on {device} in {self.config['precision']}; a step learns from "
            f"{_counted(math.prod(counts.values()), 'slice')} ({product})"
        )

    def _learn(self, loss_of_step: Callable[[], Loss]) -> None:
        """One step of the optimiser."""
        state, started = self.state, time.monotonic()
        rate = cosine_rate(state.step, self.steps, float(self.config["learning_rate"]))
        for group in state.optimiser.param_groups:
            group["lr"] = rate
        for _ in range(MOST_SKIPPED):
            if self._step(loss_of_step):
                break
            state.skipped += 1
            self.report(f"step {state.step + 1}: the loss is not a finite number; drawn anew")
        else:
            self._give_up()
        state.step += 1
        state.average.update(state.network, state.step)
        state.seconds += time.monotonic() - started

    def _step(self, loss_of_step: Callable[[], Loss]) -> bool:
        """Draw, and learn if what was found is finite; whether it was."""
        state, figures = self.state, []
        state.optimiser.zero_grad(set_to_none=True)
        for _ in range(self.accumulate):
            found = loss_of_step()
            loss, parts = found if isinstance(found, tuple) else (found, {})
            (loss / self.accumulate).backward()
            named = {f"loss/{name}": value for name, value in parts.items()}
            figures.append({"loss": loss.detach(), **named})
        finite = bool(torch.stack([each["loss"] for each in figures]).isfinite().all())
        if not self.group.average_gradients(state.learned, finite):
            return False
        if not bool(torch.nn.utils.clip_grad_norm_(state.learned, 1.0).isfinite()):
            return False
        state.optimiser.step()
        self.group.average_buffers(state.network)
        for each in figures:
            self.means.add(each)
        return True

    def _give_up(self) -> None:
        if not self.group.is_first:
            raise EndedElsewhere  # the first process says why
        raise InputError(
            f"The loss was not a finite number {MOST_SKIPPED} times in a row at step "
            f"{self.state.step + 1}; lower the learning rate ({self.config['learning_rate']:g}) in "
            "the settings, or look at the data. The last checkpoint is kept."
        )

    def _tell(self) -> None:
        """The means since the last time, over all processes."""
        taken = self.group.gather(self.means.take())
        if self.log is None:
            return
        state, means = self.state, joined_means(taken)
        minutes = (time.monotonic() - self.began) / 60
        self.report(
            f"step {state.step} of {self.steps}, loss {means['loss']:.4f}, {minutes:.1f} min"
        )
        rate = state.optimiser.param_groups[0]["lr"]
        about = {"learning_rate": rate, "skipped": state.skipped}
        self.log.write(state.step, {**means, **about, "seconds": round(state.seconds, 1)})

    def _look(self, validate, samples) -> None:
        """Validate, if asked for, and show samples; the other processes wait."""
        if self.log is not None:
            state, figures, picture = self.state, {}, None
            with state.average.within(state.network):
                if samples is not None:
                    picture = samples()
                if validate is not None:
                    figures = validate()
            if picture is not None:
                self.report(f"samples in {self.log.show(state.step, picture)}")
            if figures:
                self.log.write(state.step, figures)
                best = state.keep_if_best(self.output, figures.get("score", math.nan))
                self.report(self.in_short(figures) + (", the best so far" if best else ""))
        self.group.wait()


def _all_of(figures: dict[str, float]) -> str:
    return ", ".join(f"{name} {value}" for name, value in figures.items())


def _counted(count: int, name: str) -> str:
    plural = f"{name}es" if name.endswith(("s", "ch")) else f"{name}s"
    return f"{count} {name if count == 1 else plural}"


def cosine_rate(step: int, steps: int, peak: float, warmup: int = 100) -> float:
    """Learning rate: linear warm-up, then half a cosine down to 2 % of the peak."""
    if step < warmup:
        return peak * (step + 1) / warmup
    progress = min((step - warmup) / max(steps - warmup, 1), 1.0)
    return peak * (0.02 + 0.98 * 0.5 * (1 + float(np.cos(np.pi * progress))))


def pick_device(config: dict[str, Any], group: Group = ALONE) -> torch.device:
    """Device of a training run ("auto" takes CUDA where there is one), with its threads.

    Of several processes on a machine each gets a GPU of its own.

    Raises
    ------
    InputError
        If the device is unknown, or this machine does not have it or not as many.
    """
    try:
        name = check_name(str(config["device"]))
        if name == "auto" and not torch.cuda.is_available():
            name = "cpu"  # and not a Mac's GPU, on which no training was tried
        device = resolve(name)
    except InputError as error:
        # here it is a field of the settings, not an option
        raise InputError(str(error).replace("--device ", "device: ")) from None
    if device.type == "cuda" and group.size > 1:
        device = _own_gpu(device, group)
    if device.type == "cpu":
        torch.set_num_threads(int(config["threads"]))
    torch.manual_seed(group.seed(int(config["seed"])))
    return device


def _own_gpu(device: torch.device, group: Group) -> torch.device:
    if device.index is not None and group.local_size > 1:
        raise InputError(
            f"The settings name the one device '{device}' for {group.local_size} processes; write "
            "device: cuda."
        )
    if group.local_size > torch.cuda.device_count():
        raise InputError(
            f"There are {group.local_size} processes on this machine, but "
            f"{torch.cuda.device_count()} GPU(s); start as many with --nproc_per_node, or set "
            "device: cpu."
        )
    own = torch.device("cuda", group.local_rank if device.index is None else device.index)
    torch.cuda.set_device(own)
    return own
