"""From tissue maps to the image that a prompt asks for: the signal equation inside a network.

What the prompt leaves open is filled in with what is usual for its sequence.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import lru_cache

import numpy as np
import torch
from torch.nn import functional

from ..sequences import PREPARED_FROM_MS, SEQUENCE_NAMES, SPIN_ECHO_FROM_MS
from ..simulation.protocols import Protocol, typical_protocol
from ..simulation.signal import TissueMaps, signal
from ..simulation.slabs import PARAMETERS
from ..simulation.tissues import FAT_T1_MS, FAT_T2_MS, TISSUE_INDEX, at_field, tissue_table
from .completion import SPIN_ECHO_DEG
from .conditioning import VECTOR_SIZE

MAPS = (*PARAMETERS, "flow")
"""What a network says of every pixel, in this order."""

_THREE_DIMENSIONAL_BELOW_MS = 60.0
_USUAL_FIELD_T = 3.0
_SUPPRESSED_FAT = 0.12
_BODY: dict[str, float] = {
    "fat": 0.2,
    "muscle": 0.25,
    "white matter": 0.17,
    "grey matter": 0.18,
    "CSF": 0.06,
    "marrow": 0.05,
    "skin": 0.05,
    "gland": 0.02,
    "mucosa": 0.02,
}
"""About what a head and neck is made of, for the brightness of a whole image."""


def protocol_of(vector: np.ndarray) -> Protocol:
    """The protocol that a ``conditioning.contrast_vector`` speaks of.

    What it does not know is usual for the sequence. A T1-weighted image with a short repetition
    time or a small angle is a gradient echo, one with an inversion time or a long repetition time
    an inversion-prepared one, one with an angle of 90 degrees a spin echo.
    """
    sequence = SEQUENCE_NAMES[int(np.argmax(vector[: len(SEQUENCE_NAMES)]))]
    values = vector[len(SEQUENCE_NAMES) + 2 : VECTOR_SIZE].reshape(-1, 2)
    field, tr, te, ti, flip = (float(v) if known > 0.5 else None for v, known in values)
    said = {
        "field_t": None if field is None else 3.0 * field,
        "tr_ms": _milliseconds(tr),
        "te_ms": _milliseconds(te),
        "ti_ms": _milliseconds(ti),
        "flip_deg": None if flip is None else 90.0 * flip,
    }
    if sequence == "FLAIR" and vector[len(SEQUENCE_NAMES) + 1] > 0.5:
        said["fat_signal"] = _SUPPRESSED_FAT
    said = {name: value for name, value in said.items() if value is not None}
    usual = typical_protocol(sequence, said.get("field_t", _USUAL_FIELD_T))
    angle = said.get("flip_deg")
    spin_echo = angle is not None and angle > SPIN_ECHO_DEG - 5.0
    if usual.technique == "SE" and "T1w" in sequence and not spin_echo:
        if "ti_ms" in said or said.get("tr_ms", 0.0) > PREPARED_FROM_MS:
            usual = replace(
                usual, technique="MPRAGE", tr_ms=2200.0, te_ms=2.8, ti_ms=1000.0, flip_deg=8.0,
                fat_signal=min(usual.fat_signal, 0.5),
            )  # fmt: skip
        elif said.get("tr_ms", math.inf) < SPIN_ECHO_FROM_MS or angle is not None:
            fast = said.get("tr_ms", math.inf) < _THREE_DIMENSIONAL_BELOW_MS
            usual = replace(usual, technique="GRE", te_ms=3.3, flip_deg=15.0 if fast else 70.0)
    protocol = replace(usual, **said)
    if protocol.technique == "MPRAGE":
        protocol = replace(protocol, tr_ms=max(protocol.tr_ms, 1.2 * protocol.ti_ms))
    return protocol


def _milliseconds(logarithm: float | None) -> float | None:
    return None if logarithm is None else 10.0 ** (2.0 * (logarithm + 0.5))


def bounded(raw: torch.Tensor) -> torch.Tensor:
    """(batch, len(MAPS), rows, columns) of any numbers as tissue parameters in their bounds."""
    t1, t2, density, fat, uptake, adc, hu, flow = raw.float().unbind(1)
    return torch.stack(
        (
            1200.0 * torch.exp(1.8 * torch.tanh(t1)),
            80.0 * torch.exp(4.0 * torch.tanh(t2 / 2)),
            1.6 * torch.sigmoid(density),
            torch.sigmoid(fat - 2.0),
            functional.softplus(uptake - 2.0),
            functional.softplus(adc),
            1000.0 * hu,
            torch.sigmoid(flow - 4.0),
        ),
        1,
    )


def maps_of(parameters: torch.Tensor, field_t: float = _USUAL_FIELD_T) -> TissueMaps:
    """Tissue parameters in the order of :data:`MAPS`, with the fat of a field strength."""

    def pool(pair: tuple[float, float]) -> torch.Tensor:
        return parameters.new_tensor(at_field(pair, field_t), dtype=torch.float32)

    named = dict(zip(MAPS, parameters.unbind(1), strict=True))
    return TissueMaps(**named, fat_t1_ms=pool(FAT_T1_MS), fat_t2_ms=pool(FAT_T2_MS))


def parameter_maps(raw: torch.Tensor, field_t: float = _USUAL_FIELD_T) -> TissueMaps:
    """``maps_of(bounded(raw), field_t)``."""
    return maps_of(bounded(raw), field_t)


def map_difference(maps: TissueMaps, truth: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """How far maps (batch, rows, columns each) are from true parameters (batch,
    len(PARAMETERS), rows, columns); relaxation counts where there is water.

    weights: (batch, rows, columns).
    """
    t1, t2, density, fat, uptake, adc, hu = truth.unbind(1)
    water = (density * (1 - fat)).clamp(0, 1)
    difference = water * (maps.t1_ms / t1).log().abs() + 0.5 * water * (maps.t2_ms / t2).log().abs()
    difference = difference + (maps.proton_density - density).abs()
    difference = difference + (maps.fat_fraction - fat).abs() * density
    difference = difference + 2.0 * (maps.uptake_mm - uptake).abs().clamp_max(0.5)
    difference = difference + (maps.adc - adc).abs() / 3 + (maps.hu - hu).abs() / 1000
    return (difference * weights).sum() / weights.sum().clamp_min(1e-6)


def render(maps: TissueMaps, protocol: Protocol) -> torch.Tensor:
    """The image (batch, rows, columns) of a protocol on the networks' scale: about 0-1 in MR by
    the bright end of the body, and -1000 to 1500 HU in CT."""
    image = signal(maps, protocol)
    if protocol.technique == "CT":
        return (image + 1000.0) / 2500.0
    return image.abs() / bright_end(protocol)


@lru_cache(maxsize=4096)
def bright_end(protocol: Protocol) -> float:
    """About the 99.5th percentile of an average head under a protocol."""
    table = tissue_table(protocol.field_t)
    chosen = [TISSUE_INDEX[name] for name in _BODY]

    def column(name: str) -> torch.Tensor:
        return torch.as_tensor(np.asarray(table[name], np.float32)[chosen])

    maps = TissueMaps(
        **{name: column(name) for name in MAPS if name != "flow"},
        flow=torch.zeros(len(chosen)),
        fat_t1_ms=torch.as_tensor(float(table["fat_t1_ms"])),
        fat_t2_ms=torch.as_tensor(float(table["fat_t2_ms"])),
    )
    values = signal(maps, protocol).abs().numpy()
    order = np.argsort(values)
    share = np.cumsum(np.array(list(_BODY.values()))[order])
    place = int(np.searchsorted(share, 0.97 * share[-1]))
    # texture and noise lift the brightest percentile over the mean of the brightest tissue
    return float(max(1.15 * values[order][place], 1e-3))
