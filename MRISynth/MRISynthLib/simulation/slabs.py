"""A patient's slabs of tissue: parameters with spread between patients and texture inside.

The signal equations are evaluated once a tissue, with their change under texture, and carried
to the voxels by one weighted look-up: that is what makes an image cheaper than the network that
learns from it. PyTorch, any device.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch.nn import functional

from . import artefacts
from .contrast_agent import relative_uptake
from .protocols import Protocol
from .separable import random_field
from .signal import TissueMaps, pools, signal
from .tissues import TISSUE_INDEX, TISSUES, tissue_table

_STENCIL = torch.tensor(
    [[0.0, 1, -1, 0, 0, 0, 0], [0.0, 0, 0, 1, -1, 0, 0], [0.0, 0, 0, 0, 0, 1, -1]]
)
"""No texture, then each of the three one standard deviation up and down."""


SPREAD = {
    "t1_ms": 0.07,
    "t2_ms": 0.09,
    "proton_density": 0.04,
    "fat_fraction": 0.10,
    "uptake_mm": 0.22,
    "adc": 0.10,
    "hu": 0.03,
}
"""Relative spread of a tissue's mean between patients."""

COMMON_SPREAD = {"t1_ms": 0.06, "t2_ms": 0.07, "uptake_mm": 0.15}
"""Spread that all tissues of a patient share: age, water content, haematocrit."""

WATERY = {"CSF": 0.3, "vitreous": 0.3}
"""Tissues that are nearly water, with the part of those spreads that is left to them: otherwise
FLAIR would hardly ever null cerebrospinal fluid, as it does in patients."""

TEXTURE_MM = ((60.0, 0.45), (12.0, 0.55), (4.0, 0.5), (1.5, 0.48))
"""(scale, weight) of the variation inside a tissue; squared weights sum to about 1."""

COIL_MM = 75.0
"""Over which the sensitivity of a head coil's elements changes."""

PARAMETERS = ("t1_ms", "t2_ms", "proton_density", "fat_fraction", "uptake_mm", "adc", "hu")
"""Of a tissue, in the order of :func:`mean_parameters`."""

AIR, METAL = TISSUE_INDEX["air"], TISSUE_INDEX["metal"]

_FLOW = {"artery": 1.0, "vein": 0.3}


@dataclass(frozen=True)
class PatientTissues:
    """One patient's tissue parameters: arrays of len(TISSUES), at one field strength."""

    table: dict[str, np.ndarray]
    field_t: float

    @classmethod
    def draw(cls, rng: np.random.Generator, field_t: float) -> PatientTissues:
        """Means drawn around the literature's, partly together and partly tissue by tissue."""

        def factor(spread: float, size: int | None = None) -> np.ndarray:
            return rng.normal(1.0, spread, size).clip(1 - 2.5 * spread, 1 + 2.5 * spread)

        table = {key: np.copy(value) for key, value in tissue_table(field_t).items()}
        part = np.array([WATERY.get(tissue.name, 1.0) for tissue in TISSUES])
        for key, spread in SPREAD.items():
            together = factor(COMMON_SPREAD.get(key, 0.0), 1)
            each = factor(spread, len(TISSUES))
            table[key] = (table[key] * (1 + part * (together * each - 1))).astype(np.float32)
        for key in ("fat_t1_ms", "fat_t2_ms"):
            table[key] = np.float32(table[key] * factor(0.08, 1)[0])
        table["fat_fraction"] = table["fat_fraction"].clip(0, 0.97)
        return cls(table, field_t)


@dataclass
class SlabMaps:
    """The slabs of one patient, ready to be imaged any number of times.

    Attributes
    ----------
    labels:
        (batch, sub-slices, rows, columns), indices into ``tissues.TISSUES``.
    patient:
        Whose tissues these are.
    textures:
        Relaxation, density and uptake: (batch, rows, columns) each, zero mean, unit variance;
        a slab has the same texture through its thickness.
    receive:
        Pattern of the receiving coil: (batch, rows, columns), zero mean, unit variance.
    pixel_mm, sub_slice_mm:
        Spacing in the plane and of the sub-slices.
    levels_mm:
        Positions of a stack's slices where the batch is one stack, or several after each other;
        None where slices are unrelated.
    """

    labels: torch.Tensor
    patient: PatientTissues
    textures: tuple[torch.Tensor, torch.Tensor, torch.Tensor]
    receive: torch.Tensor
    pixel_mm: float = 1.0
    sub_slice_mm: float = 1.0
    levels_mm: np.ndarray | None = None

    def some(self, chosen: slice) -> SlabMaps:
        """Some of the slabs, which count as unrelated."""
        return SlabMaps(
            self.labels[chosen],
            self.patient,
            tuple(texture[chosen] for texture in self.textures),
            self.receive[chosen],
            self.pixel_mm,
            self.sub_slice_mm,
        )

    @cached_property
    def bags(self) -> torch.Tensor:
        """Labels as (batch * rows * columns, sub-slices)."""
        return self.labels.movedim(1, -1).reshape(-1, self.labels.shape[1]).int()

    @property
    def size(self) -> tuple[int, int, int]:
        """(batch, rows, columns)."""
        return self.labels.shape[0], self.labels.shape[2], self.labels.shape[3]

    @property
    def levels_px(self) -> np.ndarray | None:
        """Positions of the slices in pixels."""
        return None if self.levels_mm is None else np.asarray(self.levels_mm) / self.pixel_mm

    @cached_property
    def _middle(self) -> torch.Tensor:
        return self.labels[:, self.labels.shape[1] // 2]

    @cached_property
    def near_air(self) -> torch.Tensor:
        """Nearness 0-1 to air inside the head."""
        return artefacts.near_air((self._middle == AIR).float(), self.pixel_mm)

    @cached_property
    def metal(self) -> torch.Tensor | None:
        """Where metal is (1), None without any."""
        mask = (self.labels == METAL).any(1)
        return mask.float() if bool(mask.any()) else None

    @cached_property
    def near_metal(self) -> torch.Tensor | None:
        """Strength of the field of metal, None without any."""
        return None if self.metal is None else artefacts.near_metal(self.metal, self.pixel_mm)

    def average(self, table: torch.Tensor, slice_mm: float | None) -> torch.Tensor:
        """Columns (tissues, n) of a table, averaged through each slab: (n, batch, rows, columns).

        ``slice_mm`` is the full width at half maximum of the slice profile.
        """
        count = self.labels.shape[1]
        weights = slice_profile(count, self.sub_slice_mm, slice_mm)
        weights = torch.as_tensor(weights, dtype=torch.float32, device=self.labels.device)
        mean = functional.embedding_bag(
            self.bags,
            table,
            mode="sum",
            per_sample_weights=weights.expand(len(self.bags), count).contiguous(),
        )
        return mean.view(*self.size, -1).movedim(-1, 0)


def slice_profile(count: int, step_mm: float, slice_mm: float | None) -> np.ndarray:
    """Weights (count,) of sub-slices ``step_mm`` apart: a box with soft edges."""
    if slice_mm is None:
        return np.full(count, 1 / count)
    z = (np.arange(count) - (count - 1) / 2) * step_mm
    softness = 0.12 * slice_mm * math.sqrt(2)
    weights = np.array(
        [
            math.erf((p + slice_mm / 2) / softness) - math.erf((p - slice_mm / 2) / softness)
            for p in z
        ]
    )
    return weights / weights.sum()


def coil_pattern(size, pixel_mm: float, rng: torch.Generator, device, levels) -> torch.Tensor:
    """A pattern as smooth as a coil's: (batch, rows, columns), zero mean, unit variance."""
    return random_field(size, COIL_MM / pixel_mm, rng, device, levels)


def tissue_maps(
    labels: torch.Tensor,
    patient: PatientTissues,
    rng: torch.Generator,
    pixel_mm: float = 1.0,
    sub_slice_mm: float = 1.0,
    levels_mm: np.ndarray | None = None,
) -> SlabMaps:
    """A patient's slabs with texture; arguments as the attributes of :class:`SlabMaps`."""
    size = (labels.shape[0], *labels.shape[2:])
    levels = None if levels_mm is None else np.asarray(levels_mm) / pixel_mm

    def texture() -> torch.Tensor:
        return sum(
            weight * random_field(size, scale / pixel_mm, rng, labels.device, levels)
            for scale, weight in TEXTURE_MM
        )

    textures = (texture(), texture(), texture())
    receive = coil_pattern(size, pixel_mm, rng, labels.device, levels)
    return SlabMaps(labels, patient, textures, receive, pixel_mm, sub_slice_mm, levels_mm)


def mean_parameters(maps: SlabMaps, slice_mm: float | None) -> torch.Tensor:
    """What the slabs are made of: (batch, len(PARAMETERS), rows, columns), through each slab.

    Relaxation times are those of the water: means of their logarithms, by how much water there
    is.
    """
    table = {key: maps.patient.table[key] for key in PARAMETERS}
    water = table["proton_density"] * (1 - table["fat_fraction"]) + 1e-3
    columns = [water * np.log(table[key]) for key in PARAMETERS[:2]]
    columns += [table[key] for key in PARAMETERS[2:]]
    stacked = torch.from_numpy(np.stack([*columns, water], 1).astype(np.float32))
    mean = maps.average(stacked.to(maps.labels.device), slice_mm)
    relaxation = (mean[:2] / mean[-1]).exp()
    return torch.cat((relaxation, mean[2:-1])).movedim(0, 1)


def _parameters(
    patient: PatientTissues,
    protocol: Protocol,
    relaxation: torch.Tensor,
    density: torch.Tensor,
    uptake: torch.Tensor,
) -> TissueMaps:
    """Parameters (tissues, n) of every tissue where the textures have n values."""

    def column(values) -> torch.Tensor:
        return torch.as_tensor(np.asarray(values, np.float32))[:, None]

    table = {key: column(value) for key, value in patient.table.items() if np.ndim(value)}
    amount = table["texture"]
    relaxation, density, uptake = (amount * t for t in (relaxation, density, uptake))
    arrived = column(relative_uptake(protocol.delay_min))
    flow = column([_FLOW.get(tissue.name, 0.0) for tissue in TISSUES])
    return TissueMaps(
        t1_ms=(table["t1_ms"] * (1 + relaxation)).clamp_min(30.0),
        t2_ms=(table["t2_ms"] * (1 + 1.3 * relaxation)).clamp_min(0.3),
        proton_density=(table["proton_density"] * (1 + 0.5 * density)).clamp(0, 1.2),
        fat_fraction=(table["fat_fraction"] * (1 + density)).clamp(0, 0.98),
        uptake_mm=(table["uptake_mm"] * arrived * (1 + 2.0 * uptake)).clamp_min(0.0),
        adc=(table["adc"] * (1 + relaxation)).clamp_min(0.0),
        hu=table["hu"] + 60.0 * density,
        flow=flow.expand_as(relaxation),
        fat_t1_ms=torch.as_tensor(float(patient.table["fat_t1_ms"])),
        fat_t2_ms=torch.as_tensor(float(patient.table["fat_t2_ms"])),
    )


def signal_samples(patient: PatientTissues, protocol: Protocol, samples: int) -> torch.Tensor:
    """Signal (tissues, samples) of each tissue under as many random textures, the same ones
    at every call: what the histogram of a whole volume is made of."""
    normal = torch.randn((3, 1, samples), generator=torch.Generator().manual_seed(0))
    maps = _parameters(patient, protocol, *normal)
    values = signal(maps, protocol)
    return values if protocol.technique == "CT" else values.abs()


def _slopes(values: torch.Tensor) -> list[torch.Tensor]:
    """(value without texture, change with each texture) from the columns of ``_STENCIL``."""
    change = [(values[:, n] - values[:, n + 1]) / 2 for n in range(1, values.shape[1], 2)]
    return [values[:, 0], *change]


def plain_values(maps: SlabMaps, protocol: Protocol, slice_mm: float | None) -> torch.Tensor:
    """HU or diffusion coefficients of the slabs."""
    parameters = _parameters(maps.patient, protocol, *_STENCIL[:, None, :])
    if protocol.technique == "CT":
        value, _, change, _ = _slopes(parameters.hu)
        texture = maps.textures[1]
    else:
        value, change, _, _ = _slopes(parameters.adc * (parameters.proton_density > 0.3))
        texture = maps.textures[0]
    table = torch.stack((value, change), 1).to(maps.labels.device)
    value, change = maps.average(table, slice_mm)
    return value + change * texture


def pool_images(
    maps: SlabMaps, protocol: Protocol, slice_mm: float | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Signed water and unsuppressed fat signal of the slabs, (batch, rows, columns) each."""
    parameters = _parameters(maps.patient, protocol, *_STENCIL[:, None, :])
    water, fat = (_slopes(pool) for pool in pools(parameters, protocol))
    columns = [water[0], water[1], water[2], fat[0], fat[2]]
    if protocol.dose > 0:
        columns.append(water[3])
    table = torch.stack(columns, 1).to(maps.labels.device)
    relaxation, density, uptake = maps.textures
    mean = maps.average(table, slice_mm)
    water = mean[0] + mean[1] * relaxation + mean[2] * density
    if protocol.dose > 0:
        water = water + mean[5] * uptake
    return water, mean[3] + mean[4] * density
