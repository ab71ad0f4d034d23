"""Where the contrast agent is, and when: wash-in and wash-out in the tissues.

Extended Tofts model (Tofts et al., J Magn Reson Imaging 10:223, 1999) with the plasma curve of
Weinmann et al. (Physiol Chem Phys Med NMR 16:167, 1984): two exponentials with amplitudes 3.99
and 4.78 kg/l and rates 0.144 and 0.0111 /min. ``Tissue.uptake_mm`` is the concentration of a
standard dose at ``REFERENCE_MIN``; this module says how it rises and falls around that.
"""

from __future__ import annotations

import math

from .tissues import TISSUES

REFERENCE_MIN = 5.0
"""Minutes after injection for which the tissue table gives concentrations."""

AGENT_RELAXIVITY: dict[str, tuple[float, float]] = {
    "gadoterate": (3.32, 3.00),
    "gadobutrol": (4.78, 4.97),
}
"""r1 in l/mmol/s at (1.5 T, 3 T), as measured in human plasma (REFERENCE values)."""

_PLASMA = ((3.99, 0.144), (4.78, 0.0111))

_EXCHANGE_PER_MIN = {
    "tumour": 0.8,
    "lymphoid tissue": 0.8,
    "mucosa": 1.0,
    "pituitary": 2.0,
    "parotid gland": 0.7,
    "gland": 0.9,
    "meninges": 0.5,
    "muscle": 0.4,
    "skin": 0.4,
    "oedema": 0.25,
    "necrosis": 0.08,
    "fibrosis": 0.12,
    "cartilage": 0.12,
    "ligament": 0.12,
}
"""Rate constant kep of extravascular space and plasma. Untreated nasopharyngeal carcinoma
0.82 /min (Lai et al., Oncotarget 8:68472, 2017); the others ordered by their perfusion, scar
and necrosis slowest."""

_OTHERS_PER_MIN = 0.5
_VASCULAR = {"artery": 1.0, "vein": 1.0, "tumour": 0.08, "mucosa": 0.08, "pituitary": 0.2}
"""Share of the signal at the reference time that comes from plasma itself."""


def plasma(minutes: float) -> float:
    """Concentration in plasma after a bolus, relative to the reference time."""
    return _decay(minutes) / _decay(REFERENCE_MIN) if minutes > 0 else 0.0


def relative_uptake(minutes: float) -> list[float]:
    """Concentration in each of ``TISSUES`` after so many minutes, 1 at ``REFERENCE_MIN``."""
    factors = []
    for tissue in TISSUES:
        kep = _EXCHANGE_PER_MIN.get(tissue.name, _OTHERS_PER_MIN)
        vascular = _VASCULAR.get(tissue.name, 0.0)
        leaked = _leakage(minutes, kep) / _leakage(REFERENCE_MIN, kep)
        factors.append(vascular * plasma(minutes) + (1 - vascular) * leaked)
    return factors


def _decay(minutes: float) -> float:
    return sum(a * math.exp(-m * minutes) for a, m in _PLASMA)


def _leakage(minutes: float, kep: float) -> float:
    """The plasma curve convolved with exp(-kep t)."""
    if minutes <= 0:
        return 0.0
    return sum(
        a * (math.exp(-m * minutes) - math.exp(-kep * minutes)) / (kep - m) for a, m in _PLASMA
    )
