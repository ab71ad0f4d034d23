"""How long work tells what it is doing, and is told to stop."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

import numpy as np

from .errors import Cancelled


@dataclass(frozen=True)
class Progress:
    """``done`` of ``total`` steps of ``stage`` ("load", "register", "synthesize", "segment",
    "write") are finished; for the network stages a step is a slice of one target."""

    stage: str
    done: int
    total: int


@dataclass(frozen=True)
class SliceReady:
    """A finished slice: ``image`` (rows, columns) is slice ``index`` of the reference volume."""

    target: str
    index: int
    image: np.ndarray


@dataclass(frozen=True)
class Callbacks:
    """What a caller may listen to; every function is optional and must return quickly, but
    ``give_way``: that returns when the work may go on."""

    on_progress: Callable[[Progress], None] | None = None
    on_slice: Callable[[SliceReady], None] | None = None
    cancelled: Callable[[], bool] | None = None
    give_way: Callable[[], None] | None = None

    def progress(self, stage: str, done: int, total: int) -> None:
        """Report, after giving a wish to cancel the chance to end the work."""
        self._end_if_cancelled()
        if self.on_progress is not None:
            self.on_progress(Progress(stage, done, total))

    def slice_ready(self, target: str, index: int, image: np.ndarray) -> None:
        """Hand over a finished slice."""
        if self.on_slice is not None:
            self.on_slice(SliceReady(target, index, image))

    def check(self) -> None:
        """Between two pieces of work: let others go first who are in a hurry, and raise
        :class:`Cancelled` if the caller wants to stop."""
        if self.give_way is not None:
            self.give_way()
        self._end_if_cancelled()

    def _end_if_cancelled(self) -> None:
        if self.cancelled is not None and self.cancelled():
            raise Cancelled


SILENT = Callbacks()
"""For callers that do not listen."""


def finished(steps: Generator[None, None, Any]) -> Any:
    """What work in portions gives, done at one go."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value
