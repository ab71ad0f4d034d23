"""Two images in turn, never more often than is safe."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from MRISynthLib.review.modes import FLICKER_RATES


def safe_rate(rate: float) -> float:
    """Changes a second within :data:`MRISynthLib.review.modes.FLICKER_RATES`."""
    least, most = FLICKER_RATES
    return min(max(float(rate), least), most)


class Flicker:
    """Calls ``turn()`` again and again in the event loop while it is on.

    However it is switched and set meanwhile, one turn follows the other only after its time.
    """

    def __init__(self, turn: Callable[[], None]) -> None:
        self._turn = turn
        self._period = 1.0
        self._turned_at = 0.0
        self._next: asyncio.TimerHandle | None = None

    def set(self, on: bool, rate: float) -> None:
        """Switch it, and say how many changes a second there are."""
        self._period = 1 / safe_rate(rate)
        if self._next is not None:
            self._next.cancel()
            self._next = None
        if on:
            self._wait(self._turned_at + self._period - time.monotonic())

    def _wait(self, seconds: float) -> None:
        self._next = asyncio.get_running_loop().call_later(max(0.0, seconds), self._now)

    def _now(self) -> None:
        self._turned_at = time.monotonic()
        self._wait(self._period)
        self._turn()
