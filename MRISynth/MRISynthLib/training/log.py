"""What a training run tells: a log of figures, TensorBoard, and pictures of samples."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..io.output import output_error

LOG = "log.jsonl"

BRIGHTEST = 1.1
"""Value of a normalised image that is shown white; a few voxels are brighter."""

GAP = 2
"""Pixels between the images of a mosaic."""


class Log:
    """One JSON object a line in ``log.jsonl``, and TensorBoard where it is installed.

    Records of steps after ``step`` are of a run that was stopped and is now repeated from there;
    they are taken out.
    """

    def __init__(self, folder: Path, step: int = 0) -> None:
        self.folder, self.path = folder, folder / LOG
        with _writing(self.path):
            folder.mkdir(parents=True, exist_ok=True)
            self._cut(step)
        try:
            from torch.utils.tensorboard import SummaryWriter

            self.board = SummaryWriter(str(folder), purge_step=step + 1 if step else None)
        except ImportError:
            self.board = None

    def write(self, step: int, values: dict[str, Any]) -> None:
        """Append one record; a figure that is no number any more is null."""
        plain = {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in values.items()
        }
        with _writing(self.path), self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **plain}) + "\n")
        if self.board is not None:
            for name, value in values.items():
                if isinstance(value, int | float):
                    self.board.add_scalar(name, value, step)
            self.board.flush()

    def show(self, step: int, picture: np.ndarray) -> Path:
        """Write ``samples/step-<number>.png``, whole or not at all.

        ``picture``: uint8 (rows, columns) or (rows, columns, 3).
        """
        from skimage.io import imsave

        path = self.folder / "samples" / f"step-{step:06d}.png"
        partial = path.with_name(f".{path.name}")
        with _writing(path):
            path.parent.mkdir(exist_ok=True)
            imsave(partial, picture, check_contrast=False)
            os.replace(partial, path)
        if self.board is not None:
            form = "HW" if picture.ndim == 2 else "HWC"
            self.board.add_image("samples", picture, step, dataformats=form)
            self.board.flush()
        return path

    def close(self) -> None:
        """End TensorBoard's file."""
        if self.board is not None:
            self.board.close()

    def _cut(self, step: int) -> None:
        if not self.path.is_file():
            return
        lines = self.path.read_text(encoding="utf-8").splitlines()
        kept = [line for line in lines if _step_of(line) <= step]
        if len(kept) < len(lines):
            partial = self.path.with_suffix(".partial")
            partial.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
            os.replace(partial, self.path)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise output_error(path, error) from error


def _step_of(line: str) -> float:
    """The step of a record; infinite for a line that was cut off when the run was killed."""
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return math.inf


class Means:
    """Means of figures since they were last taken, without waiting for the device."""

    def __init__(self) -> None:
        self._sums: dict[str, Any] = {}
        self._counts: dict[str, int] = {}

    def add(self, figures: dict[str, torch.Tensor | float]) -> None:
        """Take in the figures of one batch; not every batch needs to have all."""
        for name, value in figures.items():
            value = value.detach() if isinstance(value, torch.Tensor) else value
            self._sums[name] = self._sums.get(name, 0.0) + value
            self._counts[name] = self._counts.get(name, 0) + 1

    def take(self) -> dict[str, tuple[float, int]]:
        """Name -> (sum, number of batches); begins anew."""
        found = {name: (float(value), self._counts[name]) for name, value in self._sums.items()}
        self._sums, self._counts = {}, {}
        return found


def joined_means(parts: Sequence[dict[str, tuple[float, int]]]) -> dict[str, float]:
    """Means over what several processes have taken."""
    names = dict.fromkeys(name for part in parts for name in part)
    totals = {name: [part[name] for part in parts if name in part] for name in names}
    return {
        name: sum(total for total, _ in each) / sum(count for _, count in each)
        for name, each in totals.items()
    }


def mosaic(rows: Sequence[Sequence[np.ndarray]]) -> np.ndarray:
    """Images in rows, with thin gaps, as one grey picture.

    Parameters
    ----------
    rows:
        Float images (rows, columns) on the networks' scale, black at 0 and white at
        :data:`BRIGHTEST`; sizes and numbers in a row may differ.

    Returns
    -------
    uint8 (rows, columns).
    """
    high = max(image.shape[0] for row in rows for image in row)
    wide = max(image.shape[1] for row in rows for image in row)
    count = max(len(row) for row in rows)
    shape = (len(rows) * (high + GAP) - GAP, count * (wide + GAP) - GAP)
    picture = np.full(shape, 128, np.uint8)
    for top, row in enumerate(rows):
        for left, image in enumerate(row):
            grey = np.nan_to_num(np.asarray(image, np.float32)).clip(0, BRIGHTEST)
            y, x = top * (high + GAP), left * (wide + GAP)
            place = picture[y : y + high, x : x + wide]
            place[:] = 0
            place[: grey.shape[0], : grey.shape[1]] = np.rint(grey * (255 / BRIGHTEST))
    return picture
