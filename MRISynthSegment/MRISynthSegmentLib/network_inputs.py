"""What a segmentation network is given of a patient: slices, neighbours, which are synthetic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from MRISynthLib.preprocessing.preparation import Prepared
from MRISynthLib.sequences import SEQUENCE_NAMES
from MRISynthLib.synthesis.base import NEIGHBOUR_MM
from MRISynthLib.volume import Volume

WHOLE = slice(None)


@dataclass(frozen=True)
class NetworkInputs:
    """Some slices as ``StructureNet.forward`` takes them, padded to what it can divide.

    images: name -> (slices, rows, columns); around: name -> (slices, 2, rows, columns), the slice
    below and that above, or None; synthetic: (slices, sequences of the vocabulary); shape: rows and
    columns without the padding.
    """

    images: dict[str, torch.Tensor]
    around: dict[str, torch.Tensor] | None
    synthetic: torch.Tensor
    shape: tuple[int, int]

    def mirrored(self) -> NetworkInputs:
        """The same head seen in a mirror: columns run to the other side."""
        columns = self.shape[1]

        def flipped(tensor: torch.Tensor) -> torch.Tensor:
            # the padding stays behind the image, where the network knows it from training
            return torch.cat([tensor[..., :columns].flip(-1), tensor[..., columns:]], -1)

        images = {name: flipped(image) for name, image in self.images.items()}
        around = self.around and {name: flipped(image) for name, image in self.around.items()}
        return NetworkInputs(images, around, self.synthetic, self.shape)

    def stacked(self) -> torch.Tensor:
        """(slices, channels, rows, columns): everything that has pixels; see :meth:`unstacked`."""
        parts = [image[:, None] for image in self.images.values()]
        return torch.cat(parts + list((self.around or {}).values()), 1)

    def unstacked(self, channels: torch.Tensor) -> NetworkInputs:
        """These inputs with the pixels of ``channels``, a part of :meth:`stacked`."""
        names = list(self.images)
        images = {name: channels[:, place] for place, name in enumerate(names)}
        pairs = channels[:, len(names) :].split(2, 1)
        around = self.around and dict(zip(self.around, pairs, strict=True))
        synthetic = self.synthetic[:1].expand(len(channels), -1)
        return NetworkInputs(images, around, synthetic, tuple(channels.shape[-2:]))


def arranged(
    prepared: Prepared,
    names: Sequence[str],
    slices: Sequence[int],
    synthetic: Mapping[str, bool],
    network: torch.nn.Module,
    device: torch.device,
    rows: slice = WHOLE,
    columns: slice = WHOLE,
) -> NetworkInputs:
    """The inputs ``names`` on ``slices`` of the working grid, or on a window of them.

    Neighbours further apart than ``NEIGHBOUR_MM`` are no neighbours; where there is none (beyond
    the ends) they are zeros.
    """
    slices = list(slices)
    stride = network.stride

    def padded(array: np.ndarray) -> torch.Tensor:
        tensor = torch.from_numpy(np.ascontiguousarray(array)).to(device)
        return functional.pad(tensor, (0, -array.shape[-1] % stride, 0, -array.shape[-2] % stride))

    window = {name: prepared.stack[name][:, rows, columns] for name in names}
    images = {name: padded(image[slices]) for name, image in window.items()}
    around = None
    if network.context and prepared.grid.spacing[2] <= NEIGHBOUR_MM:
        around = {name: padded(_around(image, slices)) for name, image in window.items()}
    flags = [name in names and bool(synthetic.get(name)) for name in SEQUENCE_NAMES]
    told = torch.tensor(flags, dtype=torch.float32, device=device).expand(len(slices), -1)
    shape = next(iter(window.values())).shape[1:]
    return NetworkInputs(images, around, told, (int(shape[0]), int(shape[1])))


def synthetic_among(inputs: Sequence[Volume]) -> dict[str, bool]:
    """Sequence -> whether that input is synthetic."""
    return {str(volume.sequence): volume.is_synthetic for volume in inputs}


def _around(image: np.ndarray, slices: Sequence[int]) -> np.ndarray:
    """(slices, 2, rows, columns): the slice below and that above, zeros beyond the ends."""
    result = np.zeros((len(slices), 2, *image.shape[1:]), np.float32)
    for place, k in enumerate(slices):
        for side, other in enumerate((k - 1, k + 1)):
            if 0 <= other < len(image):
                result[place, side] = image[other]
    return result
