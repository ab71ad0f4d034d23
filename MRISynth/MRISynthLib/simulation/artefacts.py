"""What fields, coils, metal and movement do to an image (PyTorch, any device).

The field maps are surrogates that need one slice only, not solutions of Maxwell's equations:
the field is off near air that tissue surrounds (sinuses, airway, ear) by up to about 2 ppm,
as calculated for the head (Truong et al., Magn Reson Imaging 20:759, 2002), and near metal it
falls off about as that of a dipole.
"""

from __future__ import annotations

import math

import torch
from torch.nn import functional

from .separable import gaussian_matrix, random_field

AIR_PPM = 2.0
"""Field offset right beside a sinus."""

SATURATION_PPM = 1.2
"""Offset beyond which a fat-selective pulse misses fat."""

_COARSE_MM, _STREAK_MM = 4.0, 1.6
"""Pixels on which nearness to air and streaks are calculated."""


def blurred(images: torch.Tensor, sigma: float) -> torch.Tensor:
    """Gaussian blur of (..., rows, columns) by ``sigma`` pixels."""
    rows, columns = images.shape[-2:]
    across = gaussian_matrix(rows, sigma, images.device)
    return across @ images @ gaussian_matrix(columns, sigma, images.device).T


def near_air(air: torch.Tensor, pixel_mm: float) -> torch.Tensor:
    """How near a place is to air with tissue around it, 0-1, from (batch, rows, columns) air.

    Open air before flat skin hardly counts, a sinus does, a chin or an ear lies between.
    """
    pool = max(1, round(_COARSE_MM / pixel_mm))
    rows, columns = air.shape[-2:]
    coarse = functional.avg_pool2d(air[:, None], pool, ceil_mode=True)[:, 0]
    step = pool * pixel_mm
    surrounded = coarse * (2 * blurred(1 - coarse, 18.0 / step) - 0.8).clamp(0, 1)
    close = (4.0 * blurred(surrounded, 7.0 / step)).clamp(0, 1)
    return _enlarged(close, rows, columns, pool)


def _enlarged(coarse: torch.Tensor, rows: int, columns: int, pool: int) -> torch.Tensor:
    """Smooth interpolation back onto (rows, columns)."""

    def weights(size: int, nodes: int) -> torch.Tensor:
        position = (torch.arange(size, dtype=torch.float32) + 0.5) / pool - 0.5
        distance = (position[:, None] - torch.arange(nodes)[None, :]).abs()
        linear = (1 - distance).clamp_min(0)
        return (linear / linear.sum(1, keepdim=True)).to(coarse.device)

    across, along = weights(rows, coarse.shape[1]), weights(columns, coarse.shape[2])
    return across @ coarse @ along.T


def near_metal(metal: torch.Tensor, pixel_mm: float) -> torch.Tensor:
    """Strength of the field of metal: 0.5 to 1 in the middle of a filling of a few millimetres,
    falling off between the square and the cube of the distance; (batch, rows, columns) as the
    mask."""
    total = torch.zeros_like(metal)
    for sigma_mm in (2.0, 4.0, 8.0, 16.0):
        # the area that a Gaussian of this width spreads, times a weight of its own
        total = total + blurred(metal, sigma_mm / pixel_mm) * (4.0 / sigma_mm) ** 0.5
    return total


def signal_left_near_metal(metal: torch.Tensor, technique: str, te_ms: float) -> torch.Tensor:
    """Share of the signal left: a spin echo refocuses all but the nearest, with a bright rim
    where displaced signal piles up; a gradient echo loses more the longer it waits."""
    if technique in ("SE", "IR"):
        return torch.exp(-((metal / 0.30) ** 2)) + 0.7 * torch.exp(-(((metal - 0.30) / 0.07) ** 2))
    waiting = max(te_ms if technique != "DWI" else 30.0, 1.5)
    return torch.exp(-((metal * waiting / 0.25) ** 2))


def signal_left_near_air(near: torch.Tensor, te_ms: float, field_t: float) -> torch.Tensor:
    """Share of a gradient echo's signal that dephasing near air leaves."""
    return torch.exp(-near * te_ms * field_t / 3.0 / 12.0)


def saturation_failure(
    near: torch.Tensor,
    strength: float,
    pixel_mm: float,
    rng: torch.Generator,
    levels,
) -> torch.Tensor:
    """Share (0-1) of the suppressed fat that comes back, different in every image.

    The pulse misses where the offset of the field, from air and from imperfect shimming,
    passes ``SATURATION_PPM``.
    """
    shim = random_field(tuple(near.shape), 35.0 / pixel_mm, rng, near.device, levels)
    offset = strength * (AIR_PPM * near + 0.45 * shim)
    return torch.sigmoid((offset.abs() - SATURATION_PPM) / 0.15)


def coil_sensitivity(pattern: torch.Tensor, surface: float, pixel_mm: float) -> torch.Tensor:
    """Multiplies the signal: the exponential of a smooth pattern (batch, rows, columns), and
    more (or less) towards the coils."""
    rows, columns = pattern.shape[1:]
    device, log = pattern.device, pattern
    if surface:
        reach = 95.0 / pixel_mm
        v = (torch.arange(rows, device=device) - rows / 2 + 0.5) / reach
        u = (torch.arange(columns, device=device) - columns / 2 + 0.5) / reach
        log = log + surface * (v[:, None] ** 2 + u[None, :] ** 2 - 0.4).clamp(-0.4, 1.0)
    return torch.exp(log)


def noise_map(rows: int, columns: int, g_factor: float, device) -> torch.Tensor:
    """Relative noise of parallel imaging: ``g_factor`` in the middle, 1 at the coils."""
    v = torch.linspace(-1, 1, rows, device=device)
    u = torch.linspace(-1, 1, columns, device=device)
    middle = torch.exp(-2.5 * v**2)[:, None] * torch.exp(-2.5 * u**2)[None, :]
    return 1 + (g_factor - 1) * middle


def warped(
    images: torch.Tensor,
    rotation_deg: float,
    rows_px: torch.Tensor | None = None,
) -> torch.Tensor:
    """(batch, channels, rows, columns) turned about the middle and displaced.

    ``rows_px`` (batch, rows, columns) says how far the content moves towards higher row indices.
    """
    batch, _, rows, columns = images.shape
    cosine, sine = math.cos(math.radians(rotation_deg)), math.sin(math.radians(rotation_deg))
    ratio = rows / columns
    theta = torch.tensor(
        [[cosine, -sine * ratio, 0.0], [sine / ratio, cosine, 0.0]], device=images.device
    )
    size = [batch, 1, rows, columns]
    grid = functional.affine_grid(theta.expand(batch, 2, 3), size, align_corners=False)
    if rows_px is not None:
        grid[..., 1] -= rows_px * (2.0 / rows)
    return functional.grid_sample(images, grid, padding_mode="border", align_corners=False)


def metal_streaks(
    metal: torch.Tensor,
    pixel_mm: float,
    strength: float,
    rng: torch.Generator,
    angles: int = 120,
) -> torch.Tensor:
    """HU that metal adds to a CT, (batch, rows, columns) as the mask; none in slices without.

    A polychromatic beam is weakened less by the second centimetre of metal than by the first,
    so projections fall short by about the square of the metal's length, and the few photons
    that come through make them noisy (De Man et al., IEEE Trans Nucl Sci 46:691, 1999). That
    error, filtered and projected back, gives dark bands between teeth and rays around them.
    """
    result = torch.zeros_like(metal)
    with_metal = metal.flatten(1).any(1).nonzero()[:, 0]
    if not len(with_metal):
        return result
    pool = max(1, round(_STREAK_MM / pixel_mm))
    coarse = functional.avg_pool2d(metal[with_metal][:, None], pool, ceil_mode=True)
    rows, columns = coarse.shape[-2:]
    side = math.ceil(math.hypot(rows, columns) / 2) * 2
    top, left = (side - rows) // 2, (side - columns) // 2
    square = functional.pad(coarse, (left, side - columns - left, top, side - rows - top))
    frequency = torch.fft.rfftfreq(side, device=metal.device)
    ramp = 2 * math.pi * frequency * (0.5 + 0.5 * torch.cos(2 * math.pi * frequency))
    total = torch.zeros_like(square)
    for n in range(angles):
        angle = 180.0 * n / angles
        length_cm = _turned(square, angle).sum(2) * pool * pixel_mm / 10.0
        noise = torch.randn(length_cm.shape, generator=rng, device=metal.device)
        error = 0.12 * (torch.exp(2 * length_cm) - 1) * noise - length_cm**2
        error = torch.fft.irfft(torch.fft.rfft(error) * ramp, side)
        total += _turned(error[:, :, None].expand_as(square), -angle)
    streaks = 45000.0 / angles * total[:, 0, top : top + rows, left : left + columns]
    streaks = _enlarged(streaks, *metal.shape[-2:], pool) * (1 - metal[with_metal])
    result[with_metal] = (strength * streaks).clamp(-900, 1500)
    return result


def _turned(images: torch.Tensor, rotation_deg: float) -> torch.Tensor:
    """Square images turned about the middle, with nothing beyond the edge."""
    radians = math.radians(rotation_deg)
    theta = torch.tensor(
        [
            [math.cos(radians), -math.sin(radians), 0.0],
            [math.sin(radians), math.cos(radians), 0.0],
        ],
        device=images.device,
    )
    grid = functional.affine_grid(
        theta.expand(images.shape[0], 2, 3), list(images.shape), align_corners=False
    )
    return functional.grid_sample(images, grid, align_corners=False)
