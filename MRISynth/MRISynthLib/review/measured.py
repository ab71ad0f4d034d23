"""Of what a comparison's figures are, so that they are not taken for those of something else."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..boxes import box_of
from ..volume import Volume

SAME_MM = 1e-3
"""A place that differs by less is the same: files round it."""


def fingerprint(images: Sequence[Volume], masks: Sequence[Volume], *, align: bool) -> str:
    """What figures depend on, as text that is kept with them.

    Parameters
    ----------
    images: the real and the synthetic image.
    masks: the regions, none of them empty.
    align: whether the real image was registered first.
    """
    filled = [_filled(mask) for mask in masks]
    said = [[image.sequence, *_content(image)] for image in images]
    said += [[mask.name, *_content(mask)] for mask in filled]
    places = [volume.corners().tolist() for volume in (*images, *filled)]
    return json.dumps({"said": [align, *said], "places": places})


def still_holds(kept: str | None, now: str) -> bool:
    """Whether figures with the fingerprint ``kept`` are those of what is there now; not if nobody
    knows of what they are."""
    if not kept:
        return False
    before, after = json.loads(kept), json.loads(now)
    return before["said"] == after["said"] and np.allclose(
        before["places"], after["places"], rtol=0, atol=SAME_MM
    )


def _content(volume: Volume) -> list[Any]:
    return [list(volume.shape), zlib.crc32(np.ascontiguousarray(volume.voxels))]


def _filled(mask: Volume) -> Volume:
    """The part of a mask that is not empty: a saved scene may keep more or less around it."""
    inside = mask.voxels > 0
    box = box_of(inside)
    matrix = mask.index_to_world.copy()
    matrix[:, 3] = matrix @ (*(part.start for part in reversed(box)), 1)
    return mask.replace(voxels=inside[box].astype(np.uint8), index_to_world=matrix)
