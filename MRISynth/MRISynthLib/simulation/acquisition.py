"""What scanner and patient do to an image, as numbers, and how a hospital draws them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

Range = tuple[float, float]


@dataclass(frozen=True)
class Acquisition:
    """One image's acquisition; the defaults are those of a clean image.

    Resolution and reconstruction
        blur_mm: Gaussian point-spread function; pixel_mm: acquired pixel (None: as fine as the
        image's), coarser than the image's it is interpolated and rings at edges; apodisation:
        0-1, a k-space filter against ringing; slice_mm: thickness within the slab (None: all
        of it, evenly).
    Signal
        noise: standard deviation relative to the 99th percentile; g_factor: how many times
        more noise parallel imaging leaves in the middle; bias: strength of the receiving
        coil's pattern (natural logarithm), which all images of the slabs share; surface:
        excess (natural logarithm) near the coils, negative where the middle is brighter;
        transmit: strength of a pattern of the image's own, from the transmitted field.
    Patient
        shift_mm: (row, column) displacement against the other sequences; rotation_deg: turn
        in the plane; swallow_mm: displacement beside the airway; ghosts: strength of ghosts
        along the phase-encoding direction (in echo-planar images the blips), ghost_period: their
        distance as a share of the field of view; motion_mm: blur by motion along that direction.
    Field
        readout: "columns" or "rows", the image axis along which what is off in frequency is
        displaced: frequency encoding, in echo-planar images (DWI, ADC) the blips;
        bandwidth_hz: per acquired pixel (0: no displacement by frequency); susceptibility:
        strength of what air and metal do; fat_failure: how much of the suppressed fat comes
        back where the field is off.
    Storage
        grey_levels: stored value that the 99.5th percentile gets; highest: the largest that
        the vendor stores.
    """

    blur_mm: float = 0.5
    noise: float = 0.015
    bias: float = 0.15
    shift_mm: tuple[float, float] = (0.0, 0.0)
    rotation_deg: float = 0.0
    swallow_mm: float = 0.0
    ghosts: float = 0.0
    ghost_period: float = 0.25
    motion_mm: float = 0.0
    pixel_mm: float | None = None
    apodisation: float = 0.0
    slice_mm: float | None = None
    g_factor: float = 1.0
    surface: float = 0.0
    transmit: float = 0.0
    readout: str = "columns"
    bandwidth_hz: float = 0.0
    susceptibility: float = 1.0
    fat_failure: float = 0.0
    grey_levels: int = 1000
    highest: int = 4095


@dataclass(frozen=True)
class AcquisitionStyle:
    """The ranges from which a hospital's acquisitions come; the defaults span what is usual.

    ``motion``, ``misregistration`` are shares of images that have any. ``fat_failure`` is the
    range of :attr:`Acquisition.fat_failure`; a Dixon site has hardly any.
    """

    blur_mm: Range = (0.12, 0.4)
    pixel_mm: Range = (0.5, 1.2)
    apodisation: Range = (0.0, 0.6)
    noise: Range = (0.004, 0.03)
    g_factor: Range = (1.0, 1.8)
    bias: Range = (0.0, 0.25)
    surface: Range = (-0.15, 0.5)
    transmit: Range = (0.0, 0.08)
    bandwidth_hz: Range = (130.0, 450.0)
    susceptibility: Range = (0.6, 1.4)
    fat_failure: Range = (0.0, 1.0)
    motion: float = 0.25
    misregistration: float = 0.5
    grey_levels: tuple[int, int] = (300, 3000)
    highest: int = 4095

    def draw_coil(self, rng: np.random.Generator) -> tuple[float, float]:
        """(bias, surface) of the coil around one patient."""
        return float(rng.uniform(*self.bias)), float(rng.uniform(*self.surface))

    def draw(
        self,
        sequence: str,
        rng: np.random.Generator,
        moved: bool = False,
        coil: tuple[float, float] | None = None,
    ) -> Acquisition:
        """One image's acquisition.

        ``moved`` where it may be displaced against the others; ``coil`` from :meth:`draw_coil`,
        the same for all images of an examination (None: drawn for this one).
        """

        def uniform(low_high: Range) -> float:
            return float(rng.uniform(*low_high))

        bias, surface = coil or self.draw_coil(rng)
        ghosts, motion = 0.0, 0.0
        if rng.random() < self.motion:
            ghosts = float(rng.uniform(0.005, 0.06))
            motion = float(rng.uniform(0.0, 0.8))
        shift, rotation, swallow = (0.0, 0.0), 0.0, 0.0
        if moved and rng.random() < self.misregistration:
            row, column = rng.normal(0, 0.45, 2)
            shift = (float(row), float(column))
            rotation = float(rng.normal(0, 0.8)) if rng.random() < 0.35 else 0.0
            swallow = float(rng.uniform(0.5, 3.0)) if rng.random() < 0.2 else 0.0
        drawn = Acquisition(
            blur_mm=uniform(self.blur_mm),
            noise=float(np.exp(rng.uniform(*np.log(self.noise)))),
            bias=bias,
            shift_mm=shift,
            rotation_deg=rotation,
            swallow_mm=swallow,
            ghosts=ghosts,
            ghost_period=float(rng.uniform(0.12, 0.45)),
            motion_mm=motion,
            pixel_mm=uniform(self.pixel_mm),
            apodisation=uniform(self.apodisation),
            g_factor=uniform(self.g_factor) if rng.random() < 0.6 else 1.0,
            surface=surface,
            transmit=uniform(self.transmit),
            readout="rows" if rng.random() < 0.7 else "columns",
            bandwidth_hz=uniform(self.bandwidth_hz),
            susceptibility=uniform(self.susceptibility),
            fat_failure=uniform(self.fat_failure),
            grey_levels=int(np.exp(rng.uniform(*np.log(self.grey_levels)))),
            highest=self.highest,
        )
        return _as_sequence_needs(drawn, sequence, rng)


def _as_sequence_needs(drawn: Acquisition, sequence: str, rng: np.random.Generator) -> Acquisition:
    """Echo-planar images are coarse, noisy and displaced; CT knows nothing of fields."""
    if sequence in ("DWI", "ADC"):
        return replace(
            drawn,
            pixel_mm=float(rng.uniform(1.3, 2.2)),
            noise=min(1.6 * drawn.noise, 0.05),
            # along the blipped direction an echo-planar train has this little
            bandwidth_hz=float(rng.uniform(18, 40)),
            readout="rows",
            ghosts=float(rng.uniform(0.0, 0.03)),
            ghost_period=0.5,
            motion_mm=0.0,
        )
    if sequence == "CT":
        return replace(
            drawn,
            pixel_mm=float(rng.uniform(0.6, 1.0)),
            blur_mm=float(rng.uniform(0.4, 0.7)),
            bias=0.0,
            surface=0.0,
            transmit=0.0,
            g_factor=1.0,
            ghosts=0.0,
            motion_mm=0.0,
            bandwidth_hz=0.0,
            fat_failure=0.0,
        )
    if sequence == "STIR":
        return replace(drawn, fat_failure=0.0)  # inversion does not mind the field
    return drawn


def predictable(acquisition: Acquisition) -> Acquisition:
    """The same on a good day: without noise, motion and failing suppression, which nobody can
    know beforehand; coil, resolution and the effects of the field stay."""
    return replace(
        acquisition,
        noise=0.003,
        g_factor=1.0,
        shift_mm=(0.0, 0.0),
        rotation_deg=0.0,
        swallow_mm=0.0,
        ghosts=0.0,
        motion_mm=0.0,
        transmit=0.0,
        fat_failure=0.0,
    )


def displacement(
    acquisition: Acquisition, shape: tuple[int, int, int], index_to_world: np.ndarray
) -> np.ndarray:
    """4x4 from a place in the head to where this image shows it (LPS mm).

    Only what is rigid: the turn in the plane about the middle of the image and the shift against
    the other sequences, not what swallowing and the field do.
    """
    angle = np.deg2rad(acquisition.rotation_deg)
    cosine, sine = np.cos(angle), np.sin(angle)
    pixels = np.linalg.norm(index_to_world[:3, :2], axis=0)
    middle = (np.array(shape[:0:-1]) - 1) / 2
    move = np.eye(4)
    move[:2, :2] = (cosine, sine), (-sine, cosine)
    shift = np.array(acquisition.shift_mm[::-1]) / pixels
    move[:2, 3] = middle + shift - move[:2, :2] @ middle
    return index_to_world @ move @ np.linalg.inv(index_to_world)
