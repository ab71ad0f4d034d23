"""MR signal equations and the contrast agent (PyTorch, any device).

Equations: spin echo, inversion recovery and spoiled gradient echo as in standard texts
(Bernstein, King, Zhou: Handbook of MRI Pulse Sequences, 2004); relaxivity model
1/T1c = 1/T1 + r1*C and 1/T2c = 1/T2 + r2*C.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

R1_PER_MM_S = 3.8
R2_PER_MM_S = 4.8
"""Relaxivity of a typical gadolinium chelate in plasma at clinical field strengths."""


@dataclass
class TissueMaps:
    """Per-voxel parameters, tensors of one common shape.

    t1_ms, t2_ms: of the water pool; proton_density relative to CSF; fat_fraction 0-1;
    uptake_mm: gadolinium concentration in mmol/l; adc in 1e-3 mm2/s; hu Hounsfield units;
    flow: 0 for still tissue, 1 for fast flowing blood.
    fat_t1_ms, fat_t2_ms: relaxation of the fat pool, broadcastable.
    """

    t1_ms: torch.Tensor
    t2_ms: torch.Tensor
    proton_density: torch.Tensor
    fat_fraction: torch.Tensor
    uptake_mm: torch.Tensor
    adc: torch.Tensor
    hu: torch.Tensor
    flow: torch.Tensor
    fat_t1_ms: torch.Tensor
    fat_t2_ms: torch.Tensor


@dataclass(frozen=True)
class Protocol:
    """How one image is acquired.

    ``technique`` is "SE" (also turbo spin echo), "IR", "GRE", "MPRAGE", "DWI", "ADC" or
    "CT"; times in ms, flip angle in degrees, b in s/mm2, ``dose`` relative to the standard
    0.1 mmol/kg, ``fat_signal`` the share of the fat signal that is left (1 = no suppression).
    """

    sequence: str
    technique: str
    field_t: float = 3.0
    tr_ms: float = 600.0
    te_ms: float = 10.0
    ti_ms: float = 0.0
    flip_deg: float = 90.0
    b_value: float = 0.0
    dose: float = 0.0
    fat_signal: float = 1.0


def _pool(protocol: Protocol, t1: torch.Tensor, t2: torch.Tensor) -> torch.Tensor:
    """Signed signal of one pool per unit of proton density."""
    tr, te, ti = protocol.tr_ms, protocol.te_ms, protocol.ti_ms
    if protocol.technique == "GRE":
        angle = torch.deg2rad(torch.tensor(protocol.flip_deg))
        e1 = torch.exp(-tr / t1)
        steady = torch.sin(angle) * (1 - e1) / (1 - torch.cos(angle) * e1)
        return steady * torch.exp(-te / (0.6 * t2))
    if protocol.technique == "MPRAGE":
        return (1 - 2 * torch.exp(-ti / t1) + torch.exp(-tr / t1)) * torch.exp(-te / (0.6 * t2))
    if protocol.technique == "IR":
        return (1 - 2 * torch.exp(-ti / t1) + torch.exp(-tr / t1)) * torch.exp(-te / t2)
    return (1 - torch.exp(-tr / t1)) * torch.exp(-te / t2)


def signal(maps: TissueMaps, protocol: Protocol) -> torch.Tensor:
    """Signed signal of every voxel, before acquisition effects; shape of the maps.

    The sign matters to partial volume in inversion recovery; magnitude is taken after the
    point-spread function. ADC comes in 1e-3 mm2/s, CT in HU.
    """
    if protocol.technique == "CT":
        return maps.hu
    if protocol.technique == "ADC":
        return maps.adc * (maps.proton_density > 0.3)
    agent = maps.uptake_mm * protocol.dose / 1000.0
    t1 = 1 / (1 / maps.t1_ms + R1_PER_MM_S * agent)
    t2 = 1 / (1 / maps.t2_ms + R2_PER_MM_S * agent)
    water = (1 - maps.fat_fraction) * _pool(protocol, t1, t2)
    fat = maps.fat_fraction * _pool(protocol, maps.fat_t1_ms, maps.fat_t2_ms)
    total = maps.proton_density * (water + protocol.fat_signal * fat)
    if protocol.technique == "DWI":
        total = total * torch.exp(-protocol.b_value * maps.adc / 1000.0)
    if protocol.technique in ("SE", "IR", "DWI"):
        # spins that leave the slice between pulses give no echo
        keep = 1 - maps.flow * (0.25 if protocol.dose > 0 else 0.85)
        total = total * keep
    else:
        total = total * (1 + 0.6 * maps.flow)
    return total
