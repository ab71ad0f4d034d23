"""Running a synthesis network over a patient: which slices at once, in which order."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch.nn import functional

from ..devices import out_of_memory
from ..lanes import divided, most_at_once, side_by_side
from ..loaded_model import LoadedModel
from ..preprocessing.preparation import Prepared
from ..progress import Callbacks
from ..volume import Volume
from .base import NEIGHBOUR_MM, SynthesisNetwork
from .conditioning import describe_input
from .coverage import Layer, layers_of, names_of, pieces_of
from .described import Described

MEMORY_PER_SLICE_MB = 60.0
"""What one slice of 256 x 224 takes at its peak, generously; measured with the benchmark."""


class Run:
    """One patient through one network.

    Parameters
    ----------
    model:
        Whose network, device and number format are used.
    prepared, inputs:
        What to make the targets from.
    wanted:
        Target -> what the network is told of it.

    Attributes
    ----------
    images, doubts:
        Target -> image and expected error (slices, rows, columns) on the working grid, as far as
        they were made.
    first:
        When the first slice was there, as ``time.perf_counter`` has it.
    """

    def __init__(
        self,
        model: LoadedModel,
        prepared: Prepared,
        inputs: Sequence[Volume],
        wanted: Mapping[str, Described],
    ) -> None:
        self._model, self._prepared = model, prepared
        self._described = described_inputs(model.network, inputs)
        with torch.inference_mode():
            self._prompts = model.network.embed(list(wanted.values()))
        self._layers = layers_of(prepared, together=model.network.tasks is not None)
        shape = prepared.grid.shape
        self.images = {name: np.zeros(shape, np.float32) for name in wanted}
        self.doubts = {name: np.zeros(shape, np.float32) for name in wanted}
        self.first: float | None = None

    def go(
        self,
        visible_slice: int | None,
        callbacks: Callbacks,
        hand_over: Callable[[int], None],
        most: int | None = None,
    ) -> None:
        """Make the slices, the visible one first and the others outwards from it.

        ``hand_over(k)`` is called for each slice of the grid that is there; ``most``: only so
        many are made.

        Raises
        ------
        Cancelled
            If the callbacks say so.
        """
        order = self._order(visible_slice)[:most]
        targets = len(self.images)
        done, at_once = 0, 1  # the first by itself, with all cores
        limit = self._most_at_once()
        callbacks.progress("synthesize", 0, len(order) * targets)
        while done < len(order):
            last = 1 if done == 0 else len(order)
            made = self._made(order[done:last], at_once, callbacks)
            try:
                for slices, parts in made:
                    for name, (image, doubt) in zip(self.images, parts, strict=True):
                        self.images[name][slices], self.doubts[name][slices] = image, doubt
                    self.first = self.first or time.perf_counter()
                    for k in slices:
                        hand_over(k)
                    done += len(slices)
                    callbacks.progress("synthesize", done * targets, len(order) * targets)
                at_once = limit
            except (MemoryError, RuntimeError) as error:
                if at_once == 1 or not out_of_memory(error):
                    raise
                limit = at_once = max(1, at_once // 2)
                if self._model.device.type == "cuda":
                    torch.cuda.empty_cache()
            finally:
                made.close()

    def _made(self, order: list[int], at_once: int, callbacks: Callbacks):
        """Slices with their images, ``at_once`` of them under way."""
        lanes, size = divided(self._model.device, at_once)
        pieces = pieces_of(order, size, self._layers)
        return side_by_side(lambda slices: self._of(slices, callbacks), pieces, lanes)

    @torch.inference_mode()
    def _of(self, slices: list[int], callbacks: Callbacks) -> list[list[np.ndarray]]:
        """For each target its image and expected error (slices, rows, columns)."""
        result = [[np.float32(0), np.float32(0)] for _ in self.images]
        for number, names in enumerate(names_of(self._layers[slices[0]])):
            shares = _shares([self._layers[k][number] for k in slices])
            given = arranged(self._model, self._prepared, names, slices, self._described)
            with self._model.autocast():
                features = self._model.network.encode(*given)
            for place, parts in enumerate(result):
                callbacks.check()
                made = self._decoded(features, self._prompts[place : place + 1])
                for kind, new in enumerate(made):
                    parts[kind] = parts[kind] + shares * (new - parts[kind])
        return result

    def _decoded(self, features, prompt: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
        _, rows, columns = self._prepared.grid.shape
        with self._model.autocast():
            image, log_scale = self._model.network.decode(features, prompt)
        image = image[:, :rows, :columns].float()
        scale = torch.exp(log_scale[:, :rows, :columns].float())
        return image.cpu().numpy(), scale.cpu().numpy()

    def _order(self, visible_slice: int | None) -> list[int]:
        """Grid slices from the visible one outwards."""
        grid = self._prepared.grid
        count = grid.shape[0]
        start = count // 2
        if visible_slice is not None and grid.slices_coincide:
            start = int(np.clip(grid.slice_of_reference(visible_slice), 0, count - 1))
        return sorted(range(count), key=lambda k: (abs(k - start), k))

    def _most_at_once(self) -> int:
        _, rows, columns = self._prepared.grid.shape
        of_one = MEMORY_PER_SLICE_MB * len(self._described) * rows * columns / (256 * 224)
        return most_at_once(self._model.device, of_one)


@torch.inference_mode()
def described_inputs(
    network: SynthesisNetwork, inputs: Sequence[Volume]
) -> dict[str, torch.Tensor]:
    """Sequence -> what the network is told of the input of this sequence."""
    told = network.embed([describe_input(volume) for volume in inputs])
    return dict(zip((str(volume.sequence) for volume in inputs), told, strict=True))


def arranged(
    model: LoadedModel,
    prepared: Prepared,
    names: Sequence[str],
    slices: list[int],
    described: Mapping[str, torch.Tensor],
) -> tuple:
    """Images, descriptions, validity and neighbours as ``SynthesisNetwork.encode`` takes them."""
    stride = model.network.stride
    stack = np.stack([prepared.stack[name][slices] for name in names], 1)
    rows, columns = stack.shape[-2:]
    covered = np.ones(stack.shape, bool)
    for number, name in enumerate(names):
        if prepared.valid[name] is not None:
            covered[:, number] = prepared.valid[name][slices]

    def padded(array: np.ndarray) -> torch.Tensor:
        tensor = torch.from_numpy(np.ascontiguousarray(array)).to(model.device)
        return functional.pad(tensor, (0, -columns % stride, 0, -rows % stride))

    embedded = torch.stack([described[name] for name in names])
    around = _around(model.network.context, prepared, names, slices)
    neighbours = None if around is None else padded(around)
    return padded(stack), embedded, padded(covered), neighbours


def _around(
    context: int, prepared: Prepared, names: Sequence[str], slices: list[int]
) -> np.ndarray | None:
    """(slices, inputs, 2 * context, rows, columns): the neighbours, zero beyond the ends; None
    where the network does not look at them or they are too far away."""
    if not context or prepared.grid.spacing[2] > NEIGHBOUR_MM:
        return None
    steps = [step for step in range(-context, context + 1) if step]
    count, rows, columns = prepared.grid.shape
    around = np.zeros((len(slices), len(names), len(steps), rows, columns), np.float32)
    for position, k in enumerate(slices):
        for place, step in enumerate(steps):
            if 0 <= k + step < count:
                for number, name in enumerate(names):
                    around[position, number, place] = prepared.stack[name][k + step]
    return around


def _shares(layers: list[Layer]) -> np.ndarray | float:
    """One layer of several slices: (slices, rows, columns), or 1 for all of them."""
    shares = [layer.share for layer in layers if layer.share is not None]
    return np.stack(shares) if shares else 1.0
