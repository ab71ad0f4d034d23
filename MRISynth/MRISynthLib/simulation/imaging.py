"""From tissue to images: everything between a patient's slabs and what a scanner stores.

PyTorch, any device, whole stacks of slices at once.
"""

from __future__ import annotations

import math

import torch

from . import artefacts
from .acquisition import Acquisition
from .protocols import FAT_SHIFT_HZ_PER_T, Protocol
from .separable import line_filter
from .slabs import (
    PatientTissues,
    SlabMaps,
    coil_pattern,
    plain_values,
    pool_images,
    tissue_maps,
)

__all__ = [
    "Acquisition",
    "PatientTissues",
    "SlabMaps",
    "acquire",
    "fat_shift_mm",
    "stored_values",
    "tissue_maps",
]

SUPPRESSED_BELOW = 0.3
"""Share of the fat signal below which an image counts as fat-suppressed, and can fail at it."""


def acquire(
    maps: SlabMaps,
    protocol: Protocol,
    acquisition: Acquisition,
    rng: torch.Generator,
) -> torch.Tensor:
    """One image of every slab: (batch, rows, columns), in the signal's own units.

    Partial volume comes from averaging the signed signal over sub-slices and the
    point-spread function. Noise is complex and goes through the same filters as the signal,
    so that magnitude images have Rician noise as correlated as their resolution says; CT gets
    Gaussian noise of 4-30 HU. ADC comes in 1e-3 mm2/s, CT in HU.
    """
    if protocol.technique in ("CT", "ADC"):
        return _acquire_plain(maps, protocol, acquisition, rng)
    water, fat = pool_images(maps, protocol, acquisition.slice_mm)
    fat = fat * _fat_left(maps, protocol, acquisition, rng)
    scale = _bright(water + fat)
    images = torch.stack((water, fat), 1)
    left = _signal_left(maps, protocol, acquisition)
    if left is not None:
        images = images * left[:, None]
    images = _displaced(images, maps, protocol, acquisition)
    device = images.device
    if acquisition.bias or acquisition.surface or acquisition.transmit:
        pattern = acquisition.bias * maps.receive
        if acquisition.transmit:
            pattern = pattern + acquisition.transmit * coil_pattern(
                maps.size, maps.pixel_mm, rng, device, maps.levels_px
            )
        images = images * artefacts.coil_sensitivity(
            pattern, acquisition.surface, maps.pixel_mm
        ).unsqueeze(1)
    across, along, for_fat = _line_filters(maps, protocol, acquisition)
    noise = torch.randn((2, *maps.size), generator=rng, device=device)
    noise *= acquisition.noise * scale / _noise_gain(across, along)
    if acquisition.g_factor > 1:
        noise *= artefacts.noise_map(*maps.size[1:], acquisition.g_factor, device)
    water, fat = images.unbind(1)
    phase = protocol.fat_phase
    # one complex image: fat turned by its phase, moved by its frequency
    if for_fat is None:
        real = across @ (water + math.cos(phase) * fat + noise[0]) @ along
        imaginary = across @ (math.sin(phase) * fat + noise[1]) @ along
    else:
        moved = for_fat[0] @ fat @ for_fat[1]
        real = across @ (water + noise[0]) @ along + math.cos(phase) * moved
        imaginary = across @ noise[1] @ along + math.sin(phase) * moved
    return torch.hypot(real, imaginary)


def _acquire_plain(maps, protocol, acquisition, rng) -> torch.Tensor:
    """CT and ADC: values with a unit, without coils and without Rician noise."""
    image = plain_values(maps, protocol, acquisition.slice_mm)
    across, along, _ = _line_filters(maps, protocol, acquisition)
    noise = torch.randn(maps.size, generator=rng, device=image.device)
    noise = noise * (acquisition.noise / _noise_gain(across, along))
    if protocol.technique == "CT":
        image = _displaced(image[:, None], maps, protocol, acquisition)[:, 0]
        if maps.metal is not None and acquisition.susceptibility > 0:
            image = image + artefacts.metal_streaks(
                maps.metal, maps.pixel_mm, acquisition.susceptibility, rng
            )
        return across @ (image + 1000.0 * noise) @ along
    tissue = image > 0.05
    left = _signal_left(maps, protocol, acquisition)
    if left is not None:
        tissue &= left > 0.2
    image = _displaced((image * tissue)[:, None], maps, protocol, acquisition)[:, 0]
    return (across @ (image + noise * tissue) @ along).clamp_min(0)


def _fat_left(maps, protocol, acquisition, rng) -> torch.Tensor | float:
    """Share of the fat signal in the image, a map where suppression fails in places."""
    if acquisition.fat_failure <= 0 or protocol.fat_signal > SUPPRESSED_BELOW:
        return protocol.fat_signal
    failed = artefacts.saturation_failure(
        maps.near_air, acquisition.fat_failure, maps.pixel_mm, rng, maps.levels_px
    )
    return protocol.fat_signal + (1 - protocol.fat_signal) * failed


def _bright(image: torch.Tensor) -> torch.Tensor:
    """About the 99th percentile of the magnitude."""
    some = image.flatten()[:: max(1, image.numel() // 10_000)].abs()
    return torch.quantile(some, 0.99)


def _signal_left(maps, protocol, acquisition) -> torch.Tensor | None:
    """What air and metal leave of the signal; None where they do nothing."""
    left = None
    if acquisition.susceptibility <= 0:
        return None
    if protocol.technique in ("GRE", "MPRAGE", "DWI", "ADC"):
        te_ms = 12.0 if protocol.technique in ("DWI", "ADC") else protocol.te_ms
        near = acquisition.susceptibility * maps.near_air
        left = artefacts.signal_left_near_air(near, te_ms, protocol.field_t)
    if maps.near_metal is not None:
        near = acquisition.susceptibility * maps.near_metal
        voids = artefacts.signal_left_near_metal(near, protocol.technique, protocol.te_ms)
        left = voids if left is None else left * voids
    return left


def _displaced(images, maps, protocol, acquisition) -> torch.Tensor:
    """(batch, channels, rows, columns) turned, lifted by swallowing, distorted by the field."""
    rows_px, pixel_mm = None, maps.pixel_mm
    if acquisition.swallow_mm:
        rows_px = maps.near_air * (acquisition.swallow_mm / pixel_mm)
    if protocol.technique in ("DWI", "ADC") and acquisition.bandwidth_hz > 0:
        hertz = artefacts.AIR_PPM * 42.58 * protocol.field_t * maps.near_air
        pixels = acquisition.susceptibility * hertz / acquisition.bandwidth_hz
        moved = pixels * ((acquisition.pixel_mm or pixel_mm) / pixel_mm)
        rows_px = moved if rows_px is None else rows_px + moved
    if rows_px is None and not acquisition.rotation_deg:
        return images
    return artefacts.warped(images, acquisition.rotation_deg, rows_px)


def fat_shift_mm(protocol: Protocol, acquisition: Acquisition, pixel_mm: float) -> float:
    """How far fat appears from its place along the read-out direction.

    ``pixel_mm`` is the acquired pixel where the acquisition names none.
    """
    if acquisition.bandwidth_hz <= 0:
        return 0.0
    hertz = FAT_SHIFT_HZ_PER_T * protocol.field_t
    return hertz / acquisition.bandwidth_hz * (acquisition.pixel_mm or pixel_mm)


def _line_filters(maps, protocol, acquisition):
    """Matrices for the rows' axis (left factor), the columns' axis (right factor), and the
    pair for fat, None where fat is where it belongs."""
    _, rows, columns = maps.size
    device, pixel_mm = maps.labels.device, maps.pixel_mm
    if protocol.technique in ("DWI", "ADC"):
        # ``readout`` stands for the blipped direction, along which an echo-planar train ghosts
        phase_axis = acquisition.readout
    else:
        phase_axis = "columns" if acquisition.readout == "rows" else "rows"

    def matrix(axis: str, extra_mm: float = 0.0) -> torch.Tensor:
        size = rows if axis == "rows" else columns
        motion = acquisition.motion_mm if axis == phase_axis else 0.0
        shift = acquisition.shift_mm[0 if axis == "rows" else 1] + extra_mm
        filtered = line_filter(
            size,
            blur=math.hypot(acquisition.blur_mm, motion) / pixel_mm,
            cutoff=pixel_mm / acquisition.pixel_mm if acquisition.pixel_mm else 1.0,
            apodisation=acquisition.apodisation,
            shift=shift / pixel_mm,
            device=device,
        )
        if axis == phase_axis and acquisition.ghosts > 0:
            step = max(1, round(size * acquisition.ghost_period))
            # half the field of view away, the ghosts on either side are one and the same
            places = sorted({step % size, -step % size})
            filtered = filtered + acquisition.ghosts * sum(filtered.roll(n, 0) for n in places)
        return filtered

    across, along = matrix("rows"), matrix("columns").T
    shift = fat_shift_mm(protocol, acquisition, pixel_mm)
    if shift == 0.0 or protocol.technique in ("CT", "ADC"):
        return across, along, None
    if acquisition.readout == "rows":
        return across, along, (matrix("rows", shift), along)
    return across, along, (across, matrix("columns", shift).T)


def _noise_gain(across: torch.Tensor, along: torch.Tensor) -> torch.Tensor:
    """Standard deviation that white noise keeps behind both filters."""
    return torch.sqrt((across**2).sum(1).mean() * (along**2).sum(0).mean())


def stored_values(image: torch.Tensor, protocol: Protocol, acquisition: Acquisition):
    """Whole numbers as a scanner stores them, float32 of the image's shape.

    MR: scaled to the vendor's grey levels and cut at its highest; CT: HU within 12 bits;
    ADC: 1e-6 mm2/s.
    """
    if protocol.technique == "CT":
        return image.round().clamp(-1024, 3071)
    if protocol.technique == "ADC":
        return (1000.0 * image).round().clamp(0, acquisition.highest)
    some = image.flatten()[:: max(1, image.numel() // 100_000)]
    scale = acquisition.grey_levels / torch.quantile(some, 0.995).clamp_min(1e-6)
    return (image * scale).round().clamp(0, acquisition.highest)
