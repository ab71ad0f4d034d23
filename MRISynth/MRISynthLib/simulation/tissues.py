"""Tissues of the head and neck with their MR and CT parameters.

Values are typical of the literature (relaxation at 1.5 T and 3 T: Radiat Oncol 8:51 and the
sources gathered there; malignant head-and-neck tumour T1 1390±241 ms, T2 97.6±14.9 ms at
3 T); published spread is wide, so every simulated patient draws its own (see ``slabs``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Tissue:
    """One tissue.

    t1_ms and t2_ms are pairs (1.5 T, 3 T) of its water; ``proton_density`` is relative to
    CSF; ``fat_fraction`` is the share of its signal that is fat; ``uptake_mm`` is the
    gadolinium concentration (mmol/l) after a standard dose; ``adc`` is in 1e-3 mm2/s;
    ``hu`` in Hounsfield units; ``texture`` is the relative spread inside the tissue.
    """

    name: str
    t1_ms: tuple[float, float]
    t2_ms: tuple[float, float]
    proton_density: float
    fat_fraction: float = 0.0
    uptake_mm: float = 0.0
    adc: float = 0.8
    hu: float = 40.0
    texture: float = 0.05


TISSUES: tuple[Tissue, ...] = (
    Tissue("air", (1000, 1000), (50, 50), 0.0, 0.0, 0.0, 0.0, -1000, 0.0),
    Tissue("fat", (900, 1100), (45, 40), 0.92, 0.93, 0.02, 0.3, -100, 0.05),
    Tissue("muscle", (880, 1415), (45, 38), 0.80, 0.04, 0.06, 1.2, 55, 0.06),
    Tissue("skin", (850, 1150), (45, 40), 0.75, 0.10, 0.10, 1.2, 40, 0.08),
    Tissue("cortical bone", (250, 250), (1.0, 0.8), 0.12, 0.0, 0.0, 0.3, 1100, 0.1),
    Tissue("marrow", (800, 1000), (45, 40), 0.75, 0.80, 0.04, 0.4, 250, 0.10),
    Tissue("white matter", (780, 1000), (80, 69), 0.70, 0.0, 0.01, 0.72, 28, 0.03),
    Tissue("grey matter", (1000, 1600), (96, 92), 0.82, 0.0, 0.02, 0.85, 38, 0.04),
    Tissue("CSF", (4300, 4300), (2100, 1800), 1.00, 0.0, 0.0, 3.0, 5, 0.02),
    Tissue("artery", (1350, 1800), (150, 150), 0.85, 0.0, 1.0, 1.5, 45, 0.05),
    Tissue("vein", (1350, 1800), (120, 90), 0.85, 0.0, 1.0, 1.5, 45, 0.05),
    Tissue("mucosa", (1250, 1600), (115, 105), 0.88, 0.0, 0.35, 1.5, 40, 0.10),
    Tissue("parotid gland", (750, 1050), (75, 70), 0.85, 0.30, 0.20, 1.1, 5, 0.08),
    Tissue("gland", (950, 1250), (80, 75), 0.85, 0.12, 0.25, 1.2, 45, 0.06),
    Tissue("tumour", (1100, 1390), (98, 92), 0.88, 0.0, 0.30, 0.85, 48, 0.09),
    Tissue("necrosis", (1900, 2300), (260, 240), 0.95, 0.0, 0.02, 2.0, 22, 0.10),
    Tissue("vitreous", (4400, 4200), (900, 700), 0.98, 0.0, 0.0, 2.7, 8, 0.01),
    Tissue("lens", (1400, 1600), (95, 60), 0.60, 0.0, 0.0, 1.0, 90, 0.03),
    Tissue("nerve", (850, 1150), (85, 75), 0.75, 0.0, 0.02, 1.0, 35, 0.04),
    Tissue("cartilage", (950, 1200), (40, 35), 0.70, 0.0, 0.06, 1.2, 90, 0.05),
    Tissue("fluid", (2600, 2900), (500, 450), 0.97, 0.0, 0.02, 2.3, 12, 0.05),
    Tissue("lymphoid tissue", (1150, 1450), (100, 95), 0.88, 0.0, 0.28, 0.75, 45, 0.06),
    Tissue("ligament", (700, 900), (18, 15), 0.55, 0.02, 0.06, 0.8, 80, 0.06),
    Tissue("tooth", (250, 250), (1.0, 0.8), 0.08, 0.0, 0.0, 0.3, 1900, 0.05),
    Tissue("metal", (1000, 1000), (0.2, 0.2), 0.0, 0.0, 0.0, 0.0, 3000, 0.0),
    Tissue("oedema", (1500, 1900), (140, 125), 0.92, 0.0, 0.12, 1.9, 30, 0.10),
    Tissue("fibrosis", (800, 1050), (40, 34), 0.65, 0.02, 0.12, 1.1, 60, 0.08),
    Tissue("pituitary", (1000, 1350), (90, 80), 0.84, 0.0, 0.45, 0.9, 45, 0.05),
    Tissue("meninges", (900, 1150), (55, 48), 0.65, 0.02, 0.30, 0.9, 60, 0.08),
    Tissue("deep grey matter", (960, 1320), (82, 67), 0.79, 0.0, 0.02, 0.75, 39, 0.05),
)
"""Index in this tuple = value in a tissue map."""

TISSUE_INDEX: dict[str, int] = {tissue.name: index for index, tissue in enumerate(TISSUES)}

FAT_T1_MS = (260.0, 371.0)
FAT_T2_MS = (75.0, 133.0)
"""Relaxation of the fat pool at (1.5 T, 3 T)."""


STEEPEST = 0.4
"""Largest power of the field strength by which relaxation is carried beyond 1.5 T and 3 T: pairs
gathered from several sources are steeper than any one study finds (0.2 to 0.4 for T1; Bottomley
et al., Med Phys 11:425, 1984)."""


def at_field(pair: tuple[float, float], field_t: float) -> float:
    """A value given at (1.5 T, 3 T) at another field strength, held within 0.5 T and 7 T.

    A line between the two, a power law below and above.
    """
    field_t = float(np.clip(field_t, 0.5, 7.0))
    low, high = pair
    if 1.5 <= field_t <= 3.0:
        return low + (field_t - 1.5) / 1.5 * (high - low)
    power = float(np.clip(np.log2(high / low), -STEEPEST, STEEPEST))
    return low * (field_t / 1.5) ** power if field_t < 1.5 else high * (field_t / 3.0) ** power


def tissue_table(field_t: float) -> dict[str, np.ndarray]:
    """Parameters of all tissues at a field strength, each an array of len(TISSUES)."""
    return {
        "t1_ms": np.array([at_field(t.t1_ms, field_t) for t in TISSUES], np.float32),
        "t2_ms": np.array([at_field(t.t2_ms, field_t) for t in TISSUES], np.float32),
        "proton_density": np.array([t.proton_density for t in TISSUES], np.float32),
        "fat_fraction": np.array([t.fat_fraction for t in TISSUES], np.float32),
        "uptake_mm": np.array([t.uptake_mm for t in TISSUES], np.float32),
        "adc": np.array([t.adc for t in TISSUES], np.float32),
        "hu": np.array([t.hu for t in TISSUES], np.float32),
        "texture": np.array([t.texture for t in TISSUES], np.float32),
        "fat_t1_ms": np.float32(at_field(FAT_T1_MS, field_t)),
        "fat_t2_ms": np.float32(at_field(FAT_T2_MS, field_t)),
    }
