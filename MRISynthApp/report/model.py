"""What a report says, free of how it looks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np

from MRISynthLib.volume import Volume
from MRISynthSegmentLib.segmentation import Segmentation
from MRISynthSegmentLib.structures import STRUCTURES

from .figures import Panel


@dataclass(frozen=True)
class ReportInput:
    """An image that went in. ``confidence`` is 0-1, or None if the user named the sequence."""

    sequence: str
    name: str
    geometry: str
    confidence: float | None = None
    reason: str = ""
    synthetic: bool = False

    @classmethod
    def from_volume(
        cls, volume: Volume, confidence: float | None = None, reason: str = ""
    ) -> ReportInput:
        """The input as the reader needs it described."""
        return cls(
            volume.sequence or "unknown",
            volume.name,
            describe_geometry(volume),
            confidence,
            reason,
            volume.is_synthetic,
        )


@dataclass(frozen=True)
class ReportTarget:
    """An image that was asked for, and the prompt's meaning as it was understood."""

    sequence: str
    prompt: str = ""
    understood: str = ""


@dataclass(frozen=True)
class Figure:
    """Panels that belong together, laid out in rows of ``columns``; ``text`` explains them."""

    title: str
    panels: tuple[Panel, ...]
    text: str = ""
    columns: int = 3


@dataclass(frozen=True)
class Score:
    """How close one image is to the truth inside one region.

    ``method`` is what made the image ("MRISynth", "copy of T1w", ...), ``region`` where it was
    measured ("body", "tumour"). MAE and PSNR refer to the data range named in
    :attr:`ReportData.scores_note`. NaN means not measurable. ``ours`` marks the product's own
    row among those it is compared with.
    """

    target: str
    region: str
    method: str
    mae: float
    psnr_db: float
    ssim: float
    ours: bool = False


@dataclass(frozen=True)
class StructureRow:
    """One delineated structure; ``dice`` only where a truth exists. Colour is RGB, 0-1."""

    name: str
    label: str
    colour: tuple[float, float, float]
    volume_ml: float
    dice: float | None = None
    truth_ml: float | None = None

    @property
    def found(self) -> bool:
        """Whether there is any of it."""
        return self.volume_ml > 0


@dataclass(frozen=True)
class Uncertainty:
    """Mean predicted uncertainty of a synthetic image in a region, in the words of ``value``."""

    target: str
    region: str
    value: str


@dataclass(frozen=True)
class ReportData:
    """Everything that the report shows; empty parts are left out.

    ``files`` holds (file name, what it is); ``timings`` seconds by stage; ``warnings`` the
    sentences that a clinician needs to see first; ``provenance`` anything that JSON can hold.
    """

    title: str
    case_name: str
    inputs: tuple[ReportInput, ...] = ()
    targets: tuple[ReportTarget, ...] = ()
    warnings: tuple[str, ...] = ()
    figures: tuple[Figure, ...] = ()
    scores: tuple[Score, ...] = ()
    scores_note: str = ""
    structures: tuple[StructureRow, ...] = ()
    structures_note: str = ""
    uncertainty: tuple[Uncertainty, ...] = ()
    uncertainty_note: str = ""
    timings: Mapping[str, float] = field(default_factory=dict)
    device: str = ""
    dtype: str = ""
    peak_memory_mb: float | None = None
    software: str = ""
    files: tuple[tuple[str, str], ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)
    simulated_case: bool = False
    created: str = field(default_factory=lambda: datetime.now().strftime("%Y-%m-%d %H:%M"))


def describe_geometry(volume: Volume) -> str:
    """Size, spacing and plane of a volume in words: "256 × 224 × 40, 0.90 × 0.90 × 4.00 mm, axial".

    The plane is that of the slices; "oblique" is added beyond 5 degrees.
    """
    slices, rows, columns = volume.shape
    size = f"{columns} × {rows} × {slices}"
    spacing = " × ".join(f"{s:.2f}" for s in volume.spacing)
    normal = np.cross(volume.direction[:, 0], volume.direction[:, 1])
    normal = np.abs(normal / np.linalg.norm(normal))
    plane = ("sagittal", "coronal", "axial")[int(normal.argmax())]
    tilt = np.degrees(np.arccos(min(1.0, float(normal.max()))))
    oblique = f", oblique by {tilt:.0f}°" if tilt > 5 else ""
    return f"{size}, {spacing} mm, {plane}{oblique}"


def structure_rows(
    segmentation: Segmentation,
    dice: Mapping[str, float] | None = None,
    truth: Segmentation | None = None,
) -> tuple[StructureRow, ...]:
    """Rows for every structure of a segmentation, in its order."""
    rows = []
    for name in segmentation.masks:
        known = STRUCTURES.get(name)
        rows.append(
            StructureRow(
                name,
                known.label if known else name,
                known.colour if known else (0.6, 0.6, 0.6),
                segmentation.volume_ml(name),
                (dice or {}).get(name),
                truth.volume_ml(name) if truth is not None and name in truth.masks else None,
            )
        )
    return tuple(rows)
