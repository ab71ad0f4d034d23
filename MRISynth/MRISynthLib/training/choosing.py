"""Choosing a number on patients without being carried away by chance."""

from __future__ import annotations

import math

import numpy as np

SURELY = 1.645
"""Standard errors that a mean is above nothing by chance only once in twenty times."""

ENOUGH = 0.8
"""Towards the best choice the gain is flat, and further away from the start more can go wrong."""


def careful_choice(figures: np.ndarray, start: int) -> int:
    """The candidate nearest to ``start`` with :data:`ENOUGH` of the gain of the best one; ``start``
    if that gain is not above :data:`SURELY` times its standard error over the patients.

    Parameters
    ----------
    figures:
        (patients, candidates), more is better; the candidates are in order.
    start:
        The candidate that is kept if none is surely better.
    """
    gains = figures - figures[:, start, None]
    mean, best = gains.mean(0), int(gains.mean(0).argmax())
    error = gains[:, best].std(ddof=1) / math.sqrt(len(gains)) if len(gains) > 1 else math.inf
    if mean[best] <= SURELY * error:
        return start
    step = 1 if best > start else -1
    way = range(start, best + step, step)
    return next(place for place in way if mean[place] >= ENOUGH * mean[best])
