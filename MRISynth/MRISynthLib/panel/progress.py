"""What the user reads while work goes on, and after it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

STAGE_WORDS = {
    "load": "Loading the model",
    "register": "Aligning the inputs",
    "synthesize": "Making slices",
    "segment": "Finding structures",
    "compare": "Comparing the images",
    "measure": "Measuring structures",
    "read": "Reading contours",
    "look": "Looking at the patients",
    "write": "Storing the result",
}
"""Stage of :class:`MRISynthLib.progress.Progress` -> words for the progress bar."""


def result_sentences(info: Mapping[str, Any]) -> tuple[str, ...]:
    """What the user reads after a finished task: warnings first, then how it was computed."""
    sentences = [str(warning) for warning in info.get("warnings", ())]
    seconds = sum(float(value) for value in info.get("timings", {}).values())
    if info.get("device"):
        sentences.append(f"Computed on {info['device']} in {seconds:.1f} s.")
    return tuple(sentences)


@dataclass
class ProgressText:
    """Turns progress into a bar's position and words with the time left.

    The rate is measured within a stage, because stages differ; ``clock`` gives seconds.
    """

    clock: Callable[[], float] = time.monotonic
    _stage: str = ""
    _started: float = 0.0
    _first: int = field(default=0)

    def update(self, stage: str, done: int, total: int) -> tuple[int, str]:
        """(per cent of the stage, words) for ``done`` of ``total`` steps of ``stage``."""
        now = self.clock()
        if stage != self._stage:
            self._stage, self._started, self._first = stage, now, done
        words = STAGE_WORDS.get(stage, stage)
        if total <= 0:
            return 0, f"{words} ..."
        percent = min(100, int(100 * done / total))
        text = f"{words}: {done} of {total}"
        advanced = done - self._first
        if advanced > 0 and done < total:
            left = (now - self._started) / advanced * (total - done)
            text += f", {seconds_in_words(left)} left"
        return percent, text


def seconds_in_words(seconds: float) -> str:
    """ "about 40 s" or "about 3 min": no more exact than an estimate is."""
    if seconds < 10:
        return f"about {max(1, round(seconds))} s"
    if seconds < 90:
        return f"about {round(seconds / 5) * 5} s"
    return f"about {round(seconds / 60)} min"
