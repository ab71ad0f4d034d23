"""MR signal equations and the contrast agent (PyTorch, any device).

Equations: spin echo, inversion recovery and spoiled gradient echo as in standard texts
(Bernstein, King, Zhou: Handbook of MRI Pulse Sequences, 2004); the inversion-prepared
gradient-echo train after Marques et al. (NeuroImage 49:1271, 2010); relaxivity model
1/T1c = 1/T1 + r1*C and 1/T2c = 1/T2 + r2*C.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from .protocols import Protocol

R2_PER_MM_S = 4.8
"""Transverse relaxivity of a typical gadolinium chelate in plasma."""

FASTEST_FLOW_MM_S = 400.0
"""Mean velocity that ``TissueMaps.flow`` 1 stands for: a carotid artery."""

_TRAIN_ECHO_MS = 7.5
_INVERSION = 0.96
"""Spacing of a gradient-echo train, and how far an adiabatic inversion gets."""


@dataclass
class TissueMaps:
    """Per-voxel parameters, tensors of one common shape.

    t1_ms, t2_ms: of the water pool; proton_density relative to CSF; fat_fraction 0-1;
    uptake_mm: gadolinium concentration in mmol/l of a standard dose at the time of the image;
    adc in 1e-3 mm2/s; hu Hounsfield units; flow: 0 for still tissue, 1 for fast flowing blood.
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


def _pool(protocol: Protocol, t1: torch.Tensor, t2: torch.Tensor) -> torch.Tensor:
    """Signed signal of one pool per unit of proton density."""
    tr, te, ti = protocol.tr_ms, protocol.te_ms, protocol.ti_ms
    if protocol.technique == "GRE":
        angle = math.radians(protocol.flip_deg)
        e1 = torch.exp(-tr / t1)
        steady = math.sin(angle) * (1 - e1) / (1 - math.cos(angle) * e1)
        return steady * torch.exp(-te / (0.6 * t2))
    if protocol.technique == "MPRAGE":
        return _prepared_train(protocol, t1) * torch.exp(-te / (0.6 * t2))
    if protocol.technique == "IR":
        return (1 - 2 * torch.exp(-ti / t1) + torch.exp(-tr / t1)) * torch.exp(-te / t2)
    return (1 - torch.exp(-tr / t1)) * torch.exp(-te / t2)


def _prepared_train(protocol: Protocol, t1: torch.Tensor) -> torch.Tensor:
    """Signal at the middle of a train of low flip angles that follows an inversion.

    The train is as long as inversion and repetition time leave room for, 1.2 s at most.
    """
    angle = math.radians(protocol.flip_deg)
    length = min(1200.0, 1.6 * protocol.ti_ms, 1.6 * (protocol.tr_ms - protocol.ti_ms))
    half = length / (2 * _TRAIN_ECHO_MS)
    before = torch.exp(-(protocol.ti_ms - length / 2) / t1)
    after = torch.exp(-(protocol.tr_ms - protocol.ti_ms - length / 2) / t1)
    e1 = torch.exp(-_TRAIN_ECHO_MS / t1)
    keep = math.cos(angle) * e1
    driven = (1 - e1) / (1 - keep)
    # magnetisation before the inversion is a + b * itself, one period later
    a = 1 - after + after * (driven * (1 - keep ** (2 * half)) + keep ** (2 * half) * (1 - before))
    b = -_INVERSION * before * keep ** (2 * half) * after
    ready = a / (1 - b)
    first = 1 - before - _INVERSION * ready * before
    return math.sin(angle) * (first * keep**half + driven * (1 - keep**half))


def pools(maps: TissueMaps, protocol: Protocol) -> tuple[torch.Tensor, torch.Tensor]:
    """Signed signal of water and of unsuppressed fat, each of the shape of the maps."""
    agent = maps.uptake_mm * protocol.dose / 1000.0
    t1 = 1 / (1 / maps.t1_ms + protocol.relaxivity * agent)
    t2 = 1 / (1 / maps.t2_ms + R2_PER_MM_S * agent)
    water = _pool(protocol, t1, t2)
    if protocol.technique in ("SE", "IR", "DWI"):
        # blood that leaves the slice between excitation and refocusing gives no echo, and
        # what stays loses coherence
        left = maps.flow * FASTEST_FLOW_MM_S * protocol.te_ms / 2000.0 / protocol.slice_mm
        water = water * (1 - left).clamp_min(0) * (1 - 0.6 * maps.flow)
    else:
        fresh = _fresh_share(maps.flow, protocol)
        decay = torch.exp(-protocol.te_ms / (0.6 * t2))
        angle = math.radians(protocol.flip_deg)
        water = (1 - fresh) * water + fresh * math.sin(angle) * decay
    water = maps.proton_density * (1 - maps.fat_fraction) * water
    fat = maps.proton_density * maps.fat_fraction
    fat = fat * _pool(protocol, maps.fat_t1_ms, maps.fat_t2_ms)
    if protocol.technique == "DWI":
        decay = torch.exp(-protocol.b_value * maps.adc / 1000.0)
        water, fat = water * decay, fat * decay
    return water, fat


def _fresh_share(flow: torch.Tensor, protocol: Protocol) -> torch.Tensor:
    """Share of blood that has seen no pulse yet (inflow); a train of pulses excites slabs."""
    period = protocol.tr_ms if protocol.technique == "GRE" else _TRAIN_ECHO_MS
    return 1 - torch.exp(-flow * FASTEST_FLOW_MM_S * period / 1000.0 / (3 * protocol.slice_mm))


def signal(maps: TissueMaps, protocol: Protocol) -> torch.Tensor:
    """Signed signal of every voxel, before acquisition effects; shape of the maps.

    The sign matters to partial volume in inversion recovery; magnitude is taken after the
    point-spread function. ADC comes in 1e-3 mm2/s, CT in HU.
    """
    if protocol.technique == "CT":
        return maps.hu
    if protocol.technique == "ADC":
        return maps.adc * (maps.proton_density > 0.3)
    water, fat = pools(maps, protocol)
    return combine(water, protocol.fat_signal * fat, protocol.fat_phase)


def combine(water: torch.Tensor, fat: torch.Tensor, phase: float) -> torch.Tensor:
    """Both pools in one signal: their sum, or its magnitude where fat has a phase of its own."""
    if phase == 0.0:
        return water + fat
    return torch.hypot(water + math.cos(phase) * fat, math.sin(phase) * fat)
