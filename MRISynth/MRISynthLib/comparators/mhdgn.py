"""MHDgN-Net (US patent 12,488,877; ISMRM 2022): MMgSN-Net for hospitals it has not seen."""

from __future__ import annotations

import torch

from .mmgsn import MMgSNNet
from .paired import PAIR

BODY_SHARE = 0.3
"""Brighter than this share of an image's mean is body."""

MEMORY = 1000
"""Steps that the running statistics look back over."""


class MHDgNNet(MMgSNNet):
    """MMgSN-Net on a mixture of hospitals, with every input matched to those it learnt from.

    External distribution matching: y = (mu1 / mu2) x, where mu1 is the mean of the sequence over
    the training set, followed while training, and mu2 that of the image given, both inside the
    body. What is matched is then standardised by the mean and the deviation that the training set
    has after matching: the patent's z-score with the deviation of the training set in place of the
    image's own, which would leave the matching nothing to do. The target stays on the scale that
    all methods are compared on.

    Parameters
    ----------
    width:
        As of :class:`MMgSNNet`.
    """

    def __init__(self, width: int = 64) -> None:
        super().__init__(width)
        self.register_buffer("mean", torch.ones(len(PAIR)))
        self.register_buffer("deviation", torch.ones(len(PAIR)))
        self.register_buffer("seen", torch.zeros((), dtype=torch.long))

    def prepared(self, pair: torch.Tensor) -> torch.Tensor:
        """Matched to the training set and standardised (batch, 2, rows, columns)."""
        pair = pair.float()
        body = pair > BODY_SHARE * pair.mean((2, 3), keepdim=True)
        pixels = body.sum((2, 3)).clamp_min(1)
        means = ((pair * body).sum((2, 3)) / pixels).clamp_min(1e-6)
        if self.training:
            self._follow(pair, body, pixels, means)
        mean, deviation = self.mean[:, None, None], self.deviation[:, None, None]
        matched = pair * (mean / means[:, :, None, None])
        return (matched - mean) / deviation

    @torch.no_grad()
    def _follow(self, pair, body, pixels, means) -> None:
        """Bring the running statistics (per sequence) up to date with a batch."""
        self.seen += 1
        share = 1.0 / self.seen.clamp_max(MEMORY)
        self.mean.lerp_(means.mean(0), share)
        relative = (pair / means[:, :, None, None] - 1.0) * body
        spread = ((relative**2).sum((2, 3)) / pixels).sqrt().mean(0) * self.mean
        self.deviation.lerp_(spread.clamp_min(1e-3), share)
