"""Which slice of a patient is shown."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from .cases import Frame
from .results import Picture
from .tasks import Task


def slice_to_show(tumour: np.ndarray | None, body: np.ndarray) -> int:
    """The slice with the most tumour, else the middle one of the body."""
    if tumour is not None:
        return int(tumour.sum((1, 2)).argmax())
    showing = np.flatnonzero(body.any((1, 2)))
    return int(showing[len(showing) // 2]) if len(showing) else len(body) // 2


def picture_of(case: str, frame: Frame, task: Task, compared: Mapping[str, np.ndarray]) -> Picture:
    """One slice of everything that was compared (matched, on the truth's 0-1 scale)."""
    inputs, target = task
    yardstick, tumour = frame.yardstick(target), frame.tumour
    at = slice_to_show(tumour, frame.body)
    spacing = frame.reference.spacing
    return Picture(
        case,
        task,
        {name: frame.input(name)[at].copy() for name in inputs},
        yardstick.truth[at].copy(),
        {name: image[at].copy() for name, image in compared.items()},
        None if tumour is None else tumour[at].copy(),
        (float(spacing[1]), float(spacing[0])),
    )
