"""Running a segmentation network over a patient: batches, mirrored images, inputs that end."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from monai.inferers import sliding_window_inference

from MRISynthLib.devices import out_of_memory
from MRISynthLib.lanes import divided, most_at_once, side_by_side
from MRISynthLib.loaded_model import LoadedModel
from MRISynthLib.preprocessing.preparation import Prepared
from MRISynthLib.progress import Callbacks
from MRISynthLib.synthesis.coverage import layers_of, pieces_of
from MRISynthLib.volume import Volume

from .network_inputs import NetworkInputs, arranged, synthetic_among
from .sides import FULL, mirrored_places

MEMORY_PER_SLICE_MB = 120.0
"""What one slice of 256 x 224 takes at its peak, generously."""

WINDOW = (192, 192)
"""Pixels of the windows in which a slice is seen that does not fit into memory as a whole."""


class Run:
    """One patient through one network.

    Parameters
    ----------
    model:
        Whose network, device and number format are used.
    prepared, inputs:
        What to look at.
    names:
        Structures that are wanted, with the other side of each pair, of those of the bundle.
    flips:
        Whether each slice is also seen mirrored.
    """

    def __init__(
        self,
        model: LoadedModel,
        prepared: Prepared,
        inputs: Sequence[Volume],
        names: Sequence[str],
        flips: bool,
    ) -> None:
        self.model, self.prepared = model, prepared
        self.names, self.flips = list(names), flips
        known = list(model.bundle.structures)
        self._channels = [known.index(name) for name in names]
        self._mirrored = mirrored_places(self.names)
        self._synthetic = synthetic_among(inputs)
        self._windows = False

    def probabilities(self, callbacks: Callbacks) -> dict[str, np.ndarray]:
        """Structure -> uint8 (slices, rows, columns) on the working grid, 0 to 255.

        Where an input ends, what is found with it passes into what is found without it.

        Raises
        ------
        Cancelled
            If the callbacks say so.
        """
        shape = self.prepared.grid.shape
        layers = layers_of(self.prepared)
        found = np.zeros((len(self.names), *shape), np.uint8)
        limit = self._most_at_once()
        done = 0
        callbacks.progress("segment", 0, shape[0])
        while done < shape[0]:
            made = self._made(done, limit, layers, callbacks)
            try:
                for slices, of_these in made:
                    found[:, slices] = of_these
                    done += len(slices)
                    callbacks.progress("segment", done, shape[0])
            except (MemoryError, RuntimeError) as error:
                if not out_of_memory(error) or (limit == 1 and self._windows):
                    raise
                # halve first; one slice that does not fit is seen in windows
                self._windows = limit == 1
                limit = max(1, limit // 2)
                if self.model.device.type == "cuda":
                    torch.cuda.empty_cache()
            finally:
                made.close()
        return dict(zip(self.names, found, strict=True))

    def _made(self, first: int, at_once: int, layers, callbacks: Callbacks):
        """Slices from ``first`` on with what is found in them, ``at_once`` of them under way."""
        lanes, size = divided(self.model.device, at_once)
        pieces = pieces_of(range(first, len(layers)), size, layers)
        return side_by_side(lambda slices: self._of(slices, layers, callbacks), pieces, lanes)

    @torch.inference_mode()
    def _of(self, slices: list[int], layers, callbacks: Callbacks) -> np.ndarray:
        """uint8 (structures, slices, rows, columns), 0 to 255."""
        result = None
        for number, layer in enumerate(layers[slices[0]]):
            callbacks.check()
            given = arranged(
                self.prepared, layer.names, slices, self._synthetic, self.model.network,
                self.model.device,
            )  # fmt: skip
            made = self._probability(given)
            if result is None:
                result = made
                continue
            shares = np.stack([layers[k][number].share for k in slices])
            result += torch.from_numpy(shares).to(made) * (made - result)
        return (result * FULL).round().to(torch.uint8).cpu().numpy()

    def _probability(self, given: NetworkInputs) -> torch.Tensor:
        found = self._seen(given)
        if self.flips:
            found += self._seen(given.mirrored()).flip(-1)[self._mirrored]
            found /= 2
        return found

    def _seen(self, given: NetworkInputs) -> torch.Tensor:
        rows, columns = given.shape
        logits = self._in_windows(given) if self._windows else self._logits(given)
        found = torch.sigmoid(logits[:, :, :rows, :columns].float())
        return found.transpose(0, 1)

    def _logits(self, given: NetworkInputs) -> torch.Tensor:
        with self.model.autocast():
            logits = self.model.network(
                given.images, around=given.around, synthetic=given.synthetic
            )
        return logits[:, self._channels]

    def _in_windows(self, given: NetworkInputs) -> torch.Tensor:
        """As :meth:`_logits`, by MONAI's sliding windows."""
        return sliding_window_inference(
            given.stacked(),
            WINDOW,
            sw_batch_size=1,
            predictor=lambda channels: self._logits(given.unstacked(channels)).float(),
            overlap=0.25,
            mode="gaussian",
        )

    def _most_at_once(self) -> int:
        _, rows, columns = self.prepared.grid.shape
        of_one = MEMORY_PER_SLICE_MB * rows * columns / (256 * 224)
        return most_at_once(self.model.device, of_one)
