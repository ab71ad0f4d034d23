"""Muon: steps of the same size in every direction of a convolution's weights.

AdamW scales each number by itself; the few directions in which a gradient is large then rule the
step, and the many others hardly learn. Muon takes the momentum as a matrix (channels out, by
channels in and place in the kernel) and gives all its singular values the same size (K. Jordan et
al., Muon: an optimizer for hidden layers in neural networks, 2024). The networks here learn in far
fewer steps with it. torch's own, since 2.9, takes matrices only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch

LEAST = 16
"""Convolutions with fewer channels out, or fewer weights for each, are left to AdamW: they begin or
end a network, where directions are not alike."""

MOMENTUM = 0.95
LIKE_ADAMW = 0.2
"""Root mean square of AdamW's steps, for a learning rate of 1: with steps of that size one learning
rate and one weight decay serve both (J. Liu et al., arXiv 2502.16982)."""

_POLYNOMIAL = (3.4445, -4.7750, 2.0315)
_TIMES = 5


class Muon(torch.optim.AdamW):
    """Muon for the convolutions between wide layers, AdamW for everything else.

    Parameters
    ----------
    weights:
        All that is to be learned.
    rate, weight_decay:
        Of both.
    """

    def __init__(
        self, weights: Iterable[torch.nn.Parameter], rate: float, weight_decay: float = 1e-4
    ) -> None:
        weights = list(weights)
        wide = [weight for weight in weights if _is_wide(weight)]
        chosen = {id(weight) for weight in wide}
        rest = [weight for weight in weights if id(weight) not in chosen]
        groups = [{"params": rest}, {"params": wide, "orthogonal": True}]
        super().__init__(groups, rate, weight_decay=weight_decay)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step; gradients of the convolutions are used up."""
        for group in self.param_groups:
            if not group.get("orthogonal"):
                continue
            for weight in group["params"]:
                if weight.grad is not None:
                    self._move(weight, group)
                    weight.grad = None  # nothing is left for AdamW
        return super().step(closure)

    def _move(self, weight: torch.nn.Parameter, group: dict[str, Any]) -> None:
        state = self.state[weight]
        if not state:
            state["velocity"] = torch.zeros_like(weight)
            state["step"] = torch.zeros(())  # AdamW counts in it, and expects it of all when loaded
        velocity = state["velocity"].lerp_(weight.grad, 1 - MOMENTUM)
        ahead = weight.grad.lerp(velocity, MOMENTUM)  # Nesterov's momentum
        matrix = ahead.permute(0, 2, 3, 1).flatten(1)  # a view where memory is channels-last
        size = LIKE_ADAMW * max(matrix.shape) ** 0.5
        kernel = (*weight.shape[2:], weight.shape[1])
        move = orthogonal(matrix).to(weight.dtype).unflatten(1, kernel).permute(0, 3, 1, 2)
        weight.mul_(1 - group["lr"] * group["weight_decay"])
        weight.add_(move, alpha=-group["lr"] * size)


def orthogonal(matrix: torch.Tensor) -> torch.Tensor:
    """bfloat16, nearly U V^T of the matrix's singular value decomposition U S V^T: its singular
    values become 0.7 to 1.2 by a polynomial of Newton and Schulz's kind."""
    a, b, c = _POLYNOMIAL
    tall = matrix.shape[0] > matrix.shape[1]
    x = (matrix.T if tall else matrix).bfloat16()
    x = x / x.norm().clamp_min(1e-7)
    for _ in range(_TIMES):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    return x.T if tall else x


def _is_wide(weight: torch.nn.Parameter) -> bool:
    return weight.ndim == 4 and len(weight) >= LEAST and weight[0].numel() >= LEAST
