"""What every model that is ready to run has in common: bundle, device, format, network."""

from __future__ import annotations

import contextlib

import torch
from torch import nn

from . import __version__
from .bundles import Bundle
from .devices import choose_dtype, dtype_name, resolve
from .errors import InputError
from .volume import Volume


class LoadedModel:
    """A bundle's network on its device, in evaluation mode.

    Parameters
    ----------
    bundle:
        A verified bundle.
    device:
        "auto", "cpu", "cuda" or "mps".
    """

    def __init__(self, bundle: Bundle, device: str = "auto") -> None:
        self.bundle = bundle
        self.device = resolve(device)
        self.dtype = choose_dtype(self.device)
        self.network = bundle.network().eval().requires_grad_(False)
        self.network.to(self.device, memory_format=torch.channels_last)
        self.pixel_mm = float(bundle.inference.get("pixel_mm", 1.0))

    def check_inputs(self, inputs: list[Volume]) -> None:
        """Raise InputError if there is none, or one that the model does not take."""
        if not inputs:
            raise InputError("No input is given; choose at least one image.")
        for volume in inputs:
            if volume.sequence not in self.bundle.sequences_in:
                raise InputError(
                    f"{volume.name} is {volume.sequence or 'of unknown sequence'}, which the model "
                    f"{self.bundle.name} does not take; it takes "
                    f"{', '.join(self.bundle.sequences_in)}."
                )

    def autocast(self) -> contextlib.AbstractContextManager:
        """The number format of inference; float32 is left as it is."""
        return torch.autocast(self.device.type, self.dtype, enabled=self.dtype is not torch.float32)

    def origin(self, inputs: list[Volume]) -> dict:
        """The part of a :class:`Provenance` that says what was made from what and by what."""
        return {
            "inputs": tuple(
                {"sequence": v.sequence, "name": v.name, "synthetic": v.is_synthetic}
                for v in inputs
            ),
            "bundle": self.bundle.name,
            "bundle_version": self.bundle.version,
            "bundle_hash": self.bundle.hash,
            "device": str(self.device),
            "dtype": dtype_name(self.dtype),
            "software": f"MRISynth {__version__}",
        }


def convert_weights(
    network: nn.Module,
    dtype: torch.dtype,
    kinds: tuple[type[nn.Module], ...] = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear),
) -> None:
    """Convert once, in place, what ``torch.autocast`` would convert at every call: the weights of
    convolutions and linear layers.

    The results are the same to the last bit, unless a network is used without autocast. A layer
    whose weights are computed with before they are applied is left as it is: it says so by an
    attribute ``weights_change``.
    """
    for layer in network.modules():
        if isinstance(layer, kinds) and not getattr(layer, "weights_change", False):
            layer.to(dtype)
