"""Images that are made of a real and a synthetic one, for the eye.

What is made of a synthetic image is synthetic too, and says what it is: the ``kind`` of its
provenance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..preprocessing.resampling import covered, index_map, resample_to
from ..provenance import Provenance
from ..views import display_window
from ..volume import Volume

TILE_MM = 24.0
"""Side of a checkerboard's field: small enough for both images to be seen in every region."""

LEAST_TILE_MM = 2.0


def derived_provenance(kind: str, *sources: Volume) -> Provenance:
    """Of an image that was made of others: synthetic as soon as one of these is."""
    synthetic = next((source.provenance for source in sources if source.is_synthetic), None)
    if synthetic is None:
        sequence = next((source.sequence for source in sources), None)
        return Provenance(synthetic=False, kind=kind, sequence=sequence)
    return replace(synthetic, kind=kind)


def of_one_sequence(volumes: Sequence[Volume]) -> list[Volume]:
    """Volumes that are compared; one that carries no sequence has that of the others, or a CT's
    Hounsfield units would be taken for an MR image's brightness."""
    known = next((volume.sequence for volume in volumes if volume.sequence), None)
    return [volume if volume.sequence else volume.replace(sequence=known) for volume in volumes]


def brightness_range(volume: Volume) -> tuple[float, float]:
    """The values that count as black (0) and white (1) where images are laid side by side.

    Of MR images, whose brightness is arbitrary, what a view shows as black and white when the image
    is first shown; of CT the same Hounsfield units for all.
    """
    return display_window(volume.voxels, volume.sequence, volume.provenance)


def relative_brightness(volume: Volume) -> np.ndarray:
    """Voxels as float32 with black 0 and white 1 (see :func:`brightness_range`)."""
    low, high = brightness_range(volume)
    return ((volume.voxels.astype(np.float32) - low) / (high - low)).astype(np.float32)


class Checkerboard:
    """Fields of a real and a synthetic image in turn, on the grid of the synthetic one.

    The field at the first voxel is real. The fields are cubes, so that planes of every orientation
    show them; where the real image has no voxels its fields are black. What takes time is done
    once; :meth:`volume` is quick.
    """

    def __init__(self, real: Volume, synthetic: Volume) -> None:
        real, synthetic = of_one_sequence((real, synthetic))
        moved = resample_to(real.with_voxels(relative_brightness(real)), synthetic)
        grid = index_map(synthetic.index_to_world, real.index_to_world)
        seen = covered(grid, synthetic.shape, real.shape)
        self._real = moved.voxels if seen is None else np.where(seen, moved.voxels, np.float32(0))
        self._synthetic = relative_brightness(synthetic)
        self._empty = Volume(
            np.broadcast_to(np.float32(0), synthetic.shape),
            synthetic.index_to_world,
            sequence=synthetic.sequence,
            name=f"{synthetic.sequence or synthetic.name} checkerboard",
            provenance=derived_provenance("checkerboard", synthetic, real),
        )

    def volume(self, tile_mm: float = TILE_MM) -> Volume:
        """The image with fields whose sides measure ``tile_mm`` millimetres.

        Voxels are relative brightness (black 0, white 1), float32; provenance of kind
        "checkerboard".

        Raises
        ------
        ValueError
            If the fields are smaller than :data:`LEAST_TILE_MM`.
        """
        if not tile_mm >= LEAST_TILE_MM:
            raise ValueError(
                f"fields of {tile_mm} mm are too small; give {LEAST_TILE_MM} mm or more"
            )
        fields = _fields(self._empty, tile_mm)
        return self._empty.with_voxels(np.where(fields, self._synthetic, self._real))


def checkerboard(real: Volume, synthetic: Volume, tile_mm: float = TILE_MM) -> Volume:
    """See :class:`Checkerboard`."""
    return Checkerboard(real, synthetic).volume(tile_mm)


def _fields(volume: Volume, tile_mm: float) -> np.ndarray:
    """Boolean array of the volume's shape: True on every other field."""
    numbers = [
        (np.arange(count) * step // tile_mm).astype(int)
        for count, step in zip(volume.shape, volume.spacing[::-1], strict=True)
    ]
    k, j, i = np.ix_(*numbers)
    return (k + j + i) % 2 == 1
