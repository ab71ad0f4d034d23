"""Work that only Slicer's own process can do, in portions, so that its window answers meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from typing import Any

import qt

AT_ONCE_SECONDS = 0.03
"""Portions are done without a pause for so long; half of what a user begins to notice."""


class Portions:
    """One work at a time: a generator that pauses after each portion and cleans up when closed."""

    def __init__(self) -> None:
        self._steps: Generator[None, None, Any] | None = None
        self._on_done: Callable[[Any], None] | None = None
        self._on_failed: Callable[[Exception], None] | None = None
        self._timer = qt.QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(0)
        self._timer.connect("timeout()", self._go_on)

    @property
    def running(self) -> bool:
        """Whether there is work left."""
        return self._steps is not None

    def start(
        self,
        steps: Generator[None, None, Any],
        on_done: Callable[[Any], None],
        on_failed: Callable[[Exception], None],
    ) -> None:
        """Begin; then ``on_done(value)`` or ``on_failed(error)`` is called, unless :meth:`stop`
        was."""
        self.stop()
        self._steps, self._on_done, self._on_failed = steps, on_done, on_failed
        self._timer.start()

    def stop(self) -> None:
        """Give the work up; it undoes what it did."""
        steps, self._steps = self._steps, None
        self._timer.stop()
        if steps is not None:
            steps.close()

    def _go_on(self) -> None:
        steps, until = self._steps, time.perf_counter() + AT_ONCE_SECONDS
        while self._steps is steps is not None:
            try:
                next(steps)
            except StopIteration as end:
                self._steps = None
                self._on_done(end.value)
            except Exception as error:
                self._steps = None
                self._on_failed(error)
            else:
                if time.perf_counter() > until:
                    self._timer.start()
                    return
