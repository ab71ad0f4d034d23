"""Contours on their way between a panel and the worker: each structure as its box of voxels.

Most of a mask is empty, and what crosses the process border must not be copied in vain.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from MRISynthLib.boxes import box_of
from MRISynthLib.provenance import Provenance
from MRISynthLib.volume import Volume

from .origins import Origin
from .segmentation import Segmentation

_NOTHING = np.zeros((1, 1, 1), bool)


def packed(segmentation: Segmentation) -> tuple[dict[str, Any], list[Volume]]:
    """Plain values, ready for JSON, and volumes: the grid (voxels of no meaning), then a box of
    each structure."""
    grid = segmentation.reference
    flat = np.broadcast_to(np.uint8(0), grid.shape)
    volumes = [grid.replace(voxels=flat)]
    starts: dict[str, list[int] | None] = {}
    for name, mask in segmentation.masks.items():
        box = box_of(mask)
        starts[name] = None if box is None else [side.start for side in box]
        part = _NOTHING if box is None else np.ascontiguousarray(mask[box])
        volumes.append(Volume(part, grid.index_to_world, name=name))
    provenance = segmentation.provenance
    plain = {
        "structures": starts,
        "provenance": provenance.to_dict() if provenance else None,
        "warnings": list(segmentation.warnings),
        "doubt": dict(segmentation.doubt),
        "origins": {name: each.to_dict() for name, each in segmentation.origins.items()},
    }
    return plain, volumes


def unpacked(plain: Mapping[str, Any], volumes: Sequence[Volume]) -> Segmentation:
    """The inverse of :func:`packed`; further volumes at the end are passed over.

    The masks are new arrays: they hold nothing of the volumes' memory.
    """
    grid, *parts = volumes
    masks = {}
    for (name, start), part in zip(plain["structures"].items(), parts, strict=False):
        masks[name] = np.zeros(grid.shape, bool)
        if start is not None:
            box = tuple(slice(a, a + n) for a, n in zip(start, part.shape, strict=True))
            masks[name][box] = part.voxels
    # of the grid's volume the voxels belong to the worker's client: only the rest is kept
    nothing = np.broadcast_to(np.uint8(0), grid.shape)
    provenance = plain.get("provenance")
    return Segmentation(
        masks,
        grid.replace(voxels=nothing),
        Provenance.from_dict(provenance) if provenance else None,
        tuple(plain.get("warnings", ())),
        plain.get("doubt", {}),
        {name: Origin.from_dict(each) for name, each in plain.get("origins", {}).items()},
    )


def count_of(plain: Mapping[str, Any]) -> int:
    """How many volumes belong to it."""
    return 1 + len(plain["structures"])
