"""From anatomy to images: tissue parameters with spread and texture, then acquisition.

Everything here is PyTorch and runs on any device; a simulated image is made of slabs of
1 mm sub-slices, so that thick slices have partial volume.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from .signal import Protocol, TissueMaps, signal
from .tissues import TISSUE_INDEX, TISSUES, tissue_table

SPREAD = {
    "t1_ms": 0.08,
    "t2_ms": 0.10,
    "proton_density": 0.04,
    "fat_fraction": 0.10,
    "uptake_mm": 0.22,
    "adc": 0.10,
    "hu": 0.03,
}
"""Relative spread of a tissue's mean between patients."""


@dataclass(frozen=True)
class PatientTissues:
    """One patient's tissue parameters: arrays of len(TISSUES), at one field strength."""

    table: dict[str, np.ndarray]
    field_t: float

    @classmethod
    def draw(cls, rng: np.random.Generator, field_t: float) -> PatientTissues:
        """Means drawn around the literature's, independently for every tissue."""
        table = {key: np.copy(value) for key, value in tissue_table(field_t).items()}
        for key, spread in SPREAD.items():
            factor = rng.normal(1.0, spread, len(TISSUES)).clip(1 - 2.5 * spread, 1 + 2.5 * spread)
            table[key] = (table[key] * factor).astype(np.float32)
        table["fat_fraction"] = table["fat_fraction"].clip(0, 0.97)
        return cls(table, field_t)


def texture(
    shape: tuple[int, int, int, int], rng: torch.Generator, device: torch.device | str = "cpu"
) -> torch.Tensor:
    """Zero-mean, about unit-variance random field over (batch, sub-slices, rows, columns).

    Two scales (about 12 mm and 3 mm), constant through a slab.
    """
    batch, _, rows, columns = shape
    total = torch.zeros(batch, 1, rows, columns, device=device)
    for scale, weight in ((12, 0.8), (3, 0.6)):
        size = (batch, 1, rows // scale + 3, columns // scale + 3)
        coarse = torch.randn(size, generator=rng, device=device)
        grown = functional.interpolate(
            coarse,
            size=(size[2] * scale, size[3] * scale),
            mode="bilinear",
            align_corners=False,
        )
        total += 1.3 * weight * grown[:, :, scale : scale + rows, scale : scale + columns]
    return total


def tissue_maps(
    labels: torch.Tensor,
    patient: PatientTissues,
    rng: torch.Generator,
) -> TissueMaps:
    """Per-voxel parameters of a patient.

    Parameters
    ----------
    labels:
        (batch, sub-slices, rows, columns), long: indices into ``tissues.TISSUES``.
    """
    device = labels.device
    table = patient.table

    def lookup(key: str) -> torch.Tensor:
        return torch.as_tensor(table[key], device=device)[labels]

    amount = lookup("texture")
    shape = tuple(labels.shape)
    relaxation = texture(shape, rng, device) * amount
    density = texture(shape, rng, device) * amount
    uptake = texture(shape, rng, device) * amount
    fast = torch.zeros(len(TISSUES), device=device)
    fast[TISSUE_INDEX["artery"]] = 1.0
    fast[TISSUE_INDEX["vein"]] = 0.6
    return TissueMaps(
        t1_ms=(lookup("t1_ms") * (1 + relaxation)).clamp_min(30.0),
        t2_ms=(lookup("t2_ms") * (1 + 1.3 * relaxation)).clamp_min(0.3),
        proton_density=(lookup("proton_density") * (1 + 0.5 * density)).clamp(0, 1.2),
        fat_fraction=(lookup("fat_fraction") * (1 + density)).clamp(0, 0.98),
        uptake_mm=(lookup("uptake_mm") * (1 + 2.0 * uptake)).clamp_min(0.0),
        adc=(lookup("adc") * (1 + relaxation)).clamp_min(0.0),
        hu=lookup("hu") + 60.0 * density,
        flow=fast[labels],
        fat_t1_ms=torch.as_tensor(table["fat_t1_ms"], device=device),
        fat_t2_ms=torch.as_tensor(table["fat_t2_ms"], device=device),
    )


@dataclass(frozen=True)
class Acquisition:
    """What scanner and patient do to an image.

    blur_mm: Gaussian point-spread function; noise: standard deviation relative to the 99th
    percentile; bias: strength of the coil sensitivity (natural logarithm); shift_mm: (row,
    column) displacement against the other sequences.
    """

    blur_mm: float = 0.5
    noise: float = 0.015
    bias: float = 0.15
    shift_mm: tuple[float, float] = (0.0, 0.0)

    @classmethod
    def draw(cls, rng: np.random.Generator, moved: bool = False) -> Acquisition:
        """A plausible acquisition; ``moved`` allows a small displacement."""
        shift = rng.normal(0, 0.35, 2) if moved and rng.random() < 0.5 else np.zeros(2)
        return cls(
            blur_mm=float(rng.uniform(0.35, 0.8)),
            noise=float(rng.uniform(0.004, 0.035)),
            bias=float(rng.uniform(0.0, 0.3)),
            shift_mm=(float(shift[0]), float(shift[1])),
        )


def _gaussian_kernel(sigma: float, device: torch.device) -> torch.Tensor:
    radius = max(1, int(np.ceil(2.5 * sigma)))
    x = torch.arange(-radius, radius + 1, dtype=torch.float32, device=device)
    kernel = torch.exp(-0.5 * (x / sigma) ** 2)
    return kernel / kernel.sum()


def _blur(image: torch.Tensor, sigma: float) -> torch.Tensor:
    """Separable Gaussian blur of (batch, 1, rows, columns)."""
    kernel = _gaussian_kernel(sigma, image.device)
    radius = len(kernel) // 2
    padded = functional.pad(image, (radius, radius, radius, radius), mode="replicate")
    rows = functional.conv2d(padded, kernel.view(1, 1, -1, 1))
    return functional.conv2d(rows, kernel.view(1, 1, 1, -1))


def _translate(image: torch.Tensor, shift: tuple[float, float]) -> torch.Tensor:
    rows, columns = image.shape[-2:]
    theta = torch.tensor(
        [[1.0, 0.0, 2 * shift[1] / columns], [0.0, 1.0, 2 * shift[0] / rows]], device=image.device
    ).expand(image.shape[0], 2, 3)
    grid = functional.affine_grid(theta, image.shape, align_corners=False)
    return functional.grid_sample(image, grid, padding_mode="border", align_corners=False)


def acquire(
    maps: TissueMaps,
    protocol: Protocol,
    acquisition: Acquisition,
    rng: torch.Generator,
    pixel_mm: float = 1.0,
) -> torch.Tensor:
    """One image of every slab: (batch, rows, columns), in the signal's own units.

    Partial volume comes from averaging the signed signal over sub-slices and the
    point-spread function; MR images then get coil sensitivity and Rician noise, CT Gaussian
    noise of 10-30 HU.
    """
    raw = signal(maps, protocol).mean(1, keepdim=True)
    image = _blur(raw, max(acquisition.blur_mm / pixel_mm, 0.2))
    if any(acquisition.shift_mm):
        image = _translate(image, tuple(s / pixel_mm for s in acquisition.shift_mm))
    device = image.device

    def normal() -> torch.Tensor:
        return torch.randn(image.shape, generator=rng, device=device)

    if protocol.technique == "CT":
        return (image + 1000.0 * acquisition.noise * normal())[:, 0]
    scale = torch.quantile(image.abs().flatten()[:: max(1, image.numel() // 10_000)], 0.99)
    image = image.abs()
    if protocol.technique == "ADC":
        return (image + acquisition.noise * normal() * (image > 0.05)).clamp_min(0)[:, 0]
    if acquisition.bias > 0:
        coarse = torch.randn((1, 1, 4, 4), generator=rng, device=device)
        field = functional.interpolate(
            coarse, size=image.shape[-2:], mode="bicubic", align_corners=True
        )
        image = image * torch.exp(acquisition.bias * field)
    sigma = acquisition.noise * scale
    return torch.sqrt((image + sigma * normal()) ** 2 + (sigma * normal()) ** 2)[:, 0]
