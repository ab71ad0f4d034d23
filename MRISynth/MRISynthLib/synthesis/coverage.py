"""Where inputs end.

A sequence often covers less than the reference. Where it ends, one more input would come and go
from a voxel to the next, and what is made would show the edge. So images are made with and without
that input near its edge, and one passes into the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ..preprocessing.preparation import Prepared

RAMP_MM = 12.0
"""From its edge inwards an input gains its full say over this length."""

NO_SAY = 0.05
"""A smaller share is none, and one that lacks no more is full."""


@dataclass(frozen=True)
class Layer:
    """Inputs that are used together, and how far their image goes over that of the layer before.

    share: (rows, columns), 0 to 1; None is 1 everywhere.
    """

    names: tuple[str, ...]
    share: np.ndarray | None = None


def layers_of(prepared: Prepared, together: bool = False) -> list[tuple[Layer, ...]]:
    """For each slice of the grid, the layers that its images are made of.

    The first layer has the inputs that cover the whole body there (where none does, that which
    covers most), each further one adds an input that ends in the slice or close to it. An input
    that has no voxels in the body there is left out: its absence must not be taken for air.

    Parameters
    ----------
    together:
        All inputs are always used, for a network that cannot do without any.
    """
    everything = tuple(prepared.stack)
    count = prepared.grid.shape[0]
    if together or all(valid is None for valid in prepared.valid.values()):
        return [(Layer(everything),)] * count
    shares = {name: _share(prepared, name) for name in everything}
    return [_layers(shares, prepared.body[k], k) for k in range(count)]


def names_of(layers: tuple[Layer, ...]) -> list[tuple[str, ...]]:
    """The inputs of each layer of a slice."""
    return [layer.names for layer in layers]


def pieces_of(
    order: Sequence[int], size: int, layers: list[tuple[Layer, ...]]
) -> Iterator[list[int]]:
    """Up to ``size`` slices that follow each other in ``order`` and are made of the same inputs.

    ``layers`` are those of all slices of the grid.
    """
    start = 0
    while start < len(order):
        names = names_of(layers[order[start]])
        stop = start + 1
        while stop < min(start + size, len(order)) and names_of(layers[order[stop]]) == names:
            stop += 1
        yield list(order[start:stop])
        start = stop


def _layers(shares: dict[str, np.ndarray | None], body: np.ndarray, k: int) -> tuple[Layer, ...]:
    body = body if body.any() else np.ones_like(body)
    partly: dict[str, np.ndarray] = {}
    chosen = set()
    for name, share in shares.items():
        inside = None if share is None else share[k][body]
        if inside is None or inside.min() > 1 - NO_SAY:
            chosen.add(name)
        elif inside.max() > NO_SAY:
            partly[name] = share[k]
    order = sorted(partly, key=lambda name: -float(partly[name][body].mean()))
    if not chosen and not order:
        return (Layer(tuple(shares)),)
    if not chosen:
        chosen.add(order.pop(0))
    layers = [Layer(tuple(name for name in shares if name in chosen))]
    for name in order:
        chosen.add(name)
        layers.append(Layer(tuple(each for each in shares if each in chosen), partly[name]))
    return tuple(layers)


def _share(prepared: Prepared, name: str) -> np.ndarray | None:
    """How much say an input has at each voxel of the grid, by its distance from where it ends;
    None where it has its full say in all of the body."""
    valid = prepared.valid[name]
    if valid is None or valid[prepared.body].all():
        return None
    depth = ndimage.distance_transform_edt(valid, sampling=prepared.grid.spacing[::-1])
    return np.minimum(depth / RAMP_MM, 1.0).astype(np.float32)
