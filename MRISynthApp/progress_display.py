"""Progress on standard error: a bar in a terminal, a few lines anywhere else."""

from __future__ import annotations

from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from MRISynthLib.panel import STAGE_WORDS, ProgressText
from MRISynthLib.progress import Progress

_STEP_PERCENT = 25


class ProgressDisplay:
    """Call it with a job's events; use it in a ``with`` statement."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._stage = ""
        self._text = ProgressText()
        self._next_percent = 0
        self._bars: Bars | None = None
        self._bar: Any = None
        if console.is_terminal:
            self._bars = Bars(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(elapsed_when_finished=True),
                console=console,
                transient=True,
            )

    def __enter__(self) -> Self:
        if self._bars is not None:
            self._bars.start()
            self._bar = self._bars.add_task("Starting", total=None)
        return self

    def __exit__(self, *_: object) -> None:
        if self._bars is not None:
            self._bars.stop()

    def __call__(self, event: object) -> None:
        if not isinstance(event, Progress):
            return
        if event.stage != self._stage:
            self._begin(event)
        if self._bars is not None:
            self._bars.update(self._bar, completed=event.done, total=event.total or None)
            return
        percent, words = self._text.update(event.stage, event.done, event.total)
        if percent >= self._next_percent:
            self._console.print(words, soft_wrap=True)
            self._next_percent = percent - percent % _STEP_PERCENT + _STEP_PERCENT

    def _begin(self, event: Progress) -> None:
        self._stage = event.stage
        self._next_percent = 0
        if self._bars is not None:
            self._bars.remove_task(self._bar)
            words = STAGE_WORDS.get(event.stage, event.stage.capitalize())
            self._bar = self._bars.add_task(words, total=event.total or None)
