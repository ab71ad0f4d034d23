"""A segmentation network that needs no training: it finds what is painted into the images.

A head is bright; each structure of :data:`GREYS` is painted into it with a grey of its own. What
the network was asked is kept, so that tests can look at it.
"""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import torch
from torch import nn

from MRISynthLib.sequences import SEQUENCE_NAMES
from MRISynthLib.volume import Volume, matrix_from_parts
from MRISynthSegmentLib.segmenter import Segmenter

HEAD = 500.0
GREYS = {"GTVp": 400.0, "Brainstem": 300.0, "Eye_L": 200.0, "Eye_R": 200.0}
SEQUENCES = ("T1w", "T2w", "CE-T1w")


class PaintingNet(nn.Module):
    """Of the interface of ``StructureNet``; ``calls`` are the arguments that it was given.

    Parameters
    ----------
    doubt:
        How much less than certain it is of GTVp, in logits.
    limit:
        Pixels of a batch above which it claims that memory ran out.
    stubborn:
        Whether it answers a correction with what it was given.
    """

    stride = 32
    context = 1
    takes_clicks = True

    def __init__(self, doubt: float = 0.0, limit: int | None = None, stubborn: bool = False):
        super().__init__()
        self.nothing = nn.Parameter(torch.zeros(1))
        self.doubt, self.limit, self.stubborn = doubt, limit, stubborn
        self.calls: list[SimpleNamespace] = []

    def forward(self, images, around=None, synthetic=None, edit=None):
        first = next(iter(images.values()))
        if self.limit is not None and first.numel() > self.limit:
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")
        self.calls.append(
            SimpleNamespace(images=images, around=around, synthetic=synthetic, edit=edit)
        )
        columns = torch.arange(first.shape[-1]).expand(first.shape)
        found = []
        for name, grey in GREYS.items():
            inside = (first / first.amax() - grey / HEAD).abs() < 0.05
            if name.startswith("Eye"):  # it goes by the column alone
                inside = inside & ((columns > 31) == (name == "Eye_L"))
            found.append(torch.where(inside, 8.0, -8.0))
        found[0] = torch.where(found[0] > 0, 8.0 - self.doubt, -8.0)
        found.append(self._corrected(edit) if edit is not None else torch.zeros_like(first))
        return torch.stack(found, 1)

    def _corrected(self, edit: torch.Tensor) -> torch.Tensor:
        """Takes all within about 7 mm of a click and turns the whole left edge round."""
        prior, adds, removes = edit.unbind(1)
        asked = torch.where(adds > 0.2, 1.0, torch.where(removes > 0.2, 0.0, prior))
        if self.stubborn:
            asked = prior
        asked = asked.clone()
        asked[..., :8] = 1 - prior[..., :8]
        return 16 * (asked - 0.5)


def bundle(network: nn.Module | None = None) -> SimpleNamespace:
    """What a Segmenter asks of a bundle."""
    network = PaintingNet() if network is None else network
    return SimpleNamespace(
        name="Painter",
        version="1",
        hash="0" * 64,
        structures=tuple(GREYS),
        weak={},
        cuts={},
        sequences_in=SEQUENCES,
        inference={"pixel_mm": 1.0},
        network=lambda: network,
    )


def segmenter(network: nn.Module | None = None) -> Segmenter:
    """A Segmenter that paints, on the CPU in float32."""
    made = Segmenter(bundle(network), "cpu")
    made.dtype = torch.float32
    return made


def ellipsoid(shape, centre, radii) -> np.ndarray:
    """Boolean; all in voxels (slices, rows, columns)."""
    axes = np.ogrid[tuple(slice(0, n) for n in shape)]
    parts = zip(axes, centre, radii, strict=True)
    return sum(((axis - middle) / radius) ** 2 for axis, middle, radius in parts) <= 1


SHAPE = (10, 72, 64)
TRUTH = {
    "GTVp": ellipsoid(SHAPE, (4, 36, 32), (3, 7, 8)),
    "Brainstem": ellipsoid(SHAPE, (5, 52, 31), (4, 6, 5)),
    "Eye_L": ellipsoid(SHAPE, (5, 17, 44), (2, 6, 6)),
    "Eye_R": ellipsoid(SHAPE, (5, 17, 19), (2, 6, 6)),
}


def head(sequence: str = "T1w", step=(1.0, 1.0, 4.0), **attributes) -> Volume:
    """A head with all structures, on the axes of the patient."""
    voxels = np.where(ellipsoid(SHAPE, (4.5, 36, 31.5), (9, 34, 30)), HEAD, 0).astype(np.float32)
    for name, mask in TRUTH.items():
        voxels[mask] = GREYS[name]
    voxels *= 1 + SEQUENCES.index(sequence)  # no two scans are the same image
    attributes.setdefault("name", f"{sequence} scan")
    return Volume(voxels, matrix_from_parts(step, None, (-31, -36, -18)), sequence, **attributes)


def place(volume: Volume, voxel: tuple[int, int, int]) -> tuple[float, float, float]:
    """LPS mm of a (slice, row, column)."""
    return tuple(float(x) for x in (volume.index_to_world @ (*voxel[::-1], 1.0))[:3])


def sequences_told(synthetic: torch.Tensor) -> list[str]:
    """Names of the sequences that the network was told to be synthetic."""
    return [name for name, flag in zip(SEQUENCE_NAMES, synthetic[0], strict=True) if flag]
