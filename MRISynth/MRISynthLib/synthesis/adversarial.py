"""Adversarial terms: a critic of patches, and the losses that it and a generator learn from.

One optimiser may hold both networks: each term gives gradients to one of them only.
"""

from __future__ import annotations

import torch
from monai.losses import PatchAdversarialLoss
from monai.networks.nets import PatchDiscriminator
from torch import nn
from torch.func import functional_call


class PatchCritic(nn.Module):
    """Says of each patch of an image whether it is real (PatchGAN; Isola et al., CVPR 2017).

    Parameters
    ----------
    conditions:
        Channels of what the image was made from; 0 for a critic that sees the image alone.
    channels:
        Of the first convolution; each further block has twice as many.
    layers:
        Blocks after the first; all but the last halve the resolution.
    norm:
        MONAI's name of the normalisation ("batch", "instance", or with its arguments); None
        for none at all.
    criterion:
        "least_squares" (LSGAN; Mao et al., ICCV 2017) or "bce".
    """

    def __init__(
        self,
        conditions: int = 0,
        channels: int = 64,
        layers: int = 3,
        kernel_size: int = 4,
        norm: str | tuple | None = "batch",
        criterion: str = "least_squares",
    ) -> None:
        super().__init__()
        self.patches = PatchDiscriminator(
            spatial_dims=2,
            channels=channels,
            in_channels=conditions + 1,
            num_layers_d=layers,
            kernel_size=kernel_size,
            norm=norm,
            bias=norm is None,
        )
        self.loss = PatchAdversarialLoss(criterion=criterion, no_activation_leastsq=True)

    def forward(self, given: torch.Tensor | None, image: torch.Tensor) -> torch.Tensor:
        """(batch, conditions, rows, columns) or None, and (batch, 1, rows, columns), to one
        unbounded number a patch (batch, 1, patches down, patches across)."""
        seen = image if given is None else torch.cat((given, image), 1)
        return self.patches(seen)[-1]


def generator_term(
    critic: PatchCritic, given: torch.Tensor | None, made: torch.Tensor
) -> torch.Tensor:
    """How far the critic is from taking ``made`` (batch, 1, rows, columns) for real.

    Gradients reach the image but not the critic.
    """
    frozen = {name: value.detach() for name, value in critic.named_parameters()}
    return _verdict(critic, functional_call(critic, frozen, (given, made)), True, False)


def critic_term(
    critic: PatchCritic, given: torch.Tensor | None, real: torch.Tensor, made: torch.Tensor
) -> torch.Tensor:
    """How badly the critic tells ``real`` from ``made`` (both (batch, 1, rows, columns)).

    Gradients reach the critic but none of the images.
    """
    if given is not None:
        given = given.detach()
    real_term = _verdict(critic, critic(given, real.detach()), True, True)
    made_term = _verdict(critic, critic(given, made.detach()), False, True)
    return 0.5 * (real_term + made_term)


def _verdict(
    critic: PatchCritic, patches: torch.Tensor, is_real: bool, for_critic: bool
) -> torch.Tensor:
    with torch.autocast(patches.device.type, enabled=False):
        return critic.loss(patches.float(), is_real, for_critic)
