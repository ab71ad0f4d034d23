"""How a hospital examines: where and how finely it cuts, its protocols, its scanner."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field, replace

import numpy as np

from .acquisition import Acquisition, AcquisitionStyle
from .protocols import Protocol, ProtocolRanges, Range, broad_ranges, relaxivity, suppressed

PLANE_TILT_DEG: dict[str, tuple[float, float, float]] = {
    "axial": (0.0, 0.0, 0.0),
    "coronal": (-90.0, 0.0, 0.0),
    "sagittal": (-90.0, 0.0, 90.0),
}
"""Turns about the fixed axes x, y, z (LPS) that bring axial slices into each plane."""


@dataclass(frozen=True)
class Examination:
    """Where and how finely a hospital cuts one patient.

    plane: "axial", "coronal" or "sagittal"; tilt_deg: turns about the fixed axes x, y and z
    (LPS), the plane's own among them; shape: (slices, rows, columns); pixel_mm, slice_mm and
    gap_mm: in the plane, thickness, and what is left out between slices; centre_mm: middle of
    the stack in head coordinates (LPS mm from the sella); coil: bias and surface of
    :class:`Acquisition`, the same in all its images. A field of view smaller than the head
    cuts it.
    """

    plane: str
    tilt_deg: tuple[float, float, float]
    shape: tuple[int, int, int]
    pixel_mm: float
    slice_mm: float
    gap_mm: float
    centre_mm: tuple[float, float, float]
    coil: tuple[float, float] = (0.12, 0.15)

    @property
    def field_of_view_mm(self) -> tuple[float, float, float]:
        """(along the slices, rows, columns)."""
        slices, rows, columns = self.shape
        through = slices * (self.slice_mm + self.gap_mm)
        return through, rows * self.pixel_mm, columns * self.pixel_mm

    def levels_mm(self) -> np.ndarray:
        """Position of every slice along the stack, from the first."""
        return np.arange(self.shape[0]) * (self.slice_mm + self.gap_mm)


@dataclass(frozen=True)
class Geometry:
    """The ranges from which a hospital's examinations come.

    ``field_of_view_mm`` is that along the rows; columns have 0.8-1 of it. ``coverage_mm`` is
    along the slices, ``oblique_deg`` the standard deviation of the tilt, ``gap`` a share of the
    slice thickness.
    """

    plane: str = "axial"
    pixel_mm: Range = (0.6, 0.95)
    slice_mm: Range = (3.0, 4.5)
    gap: Range = (0.0, 0.2)
    field_of_view_mm: Range = (215.0, 250.0)
    coverage_mm: Range = (120.0, 170.0)
    oblique_deg: float = 5.0

    def draw(self, rng: np.random.Generator) -> Examination:
        """One examination; its matrix is a multiple of 16."""
        pixel = round(float(rng.uniform(*self.pixel_mm)), 3)
        thick = round(float(rng.uniform(*self.slice_mm)), 1)
        gap = round(thick * float(rng.uniform(*self.gap)), 1)
        view = float(rng.uniform(*self.field_of_view_mm))
        sides = (view, view * float(rng.uniform(0.8, 1.0)))
        rows, columns = (max(16, 16 * round(side / pixel / 16)) for side in sides)
        coverage = float(rng.uniform(*self.coverage_mm))
        if self.plane == "sagittal":
            coverage = min(coverage, 160.0)
        slices = max(8, round(coverage / (thick + gap)))
        base = PLANE_TILT_DEG[self.plane]
        tilt = tuple(
            round(float(b + t), 2)
            for b, t in zip(base, rng.normal(0, self.oblique_deg, 3) * (1, 0.5, 0.5), strict=True)
        )
        # the nasopharynx lies some 3 cm below and before the sella's level
        x, y, z = rng.normal((0.0, 5.0, -22.0), (3.0, 6.0, 8.0))
        centre = (round(float(x), 1), round(float(y), 1), round(float(z), 1))
        return Examination(self.plane, tilt, (slices, rows, columns), pixel, thick, gap, centre)


@dataclass(frozen=True)
class Hospital:
    """A distribution over examinations.

    Attributes
    ----------
    name:
        Short and stable, such as ``inside-03-philips-3t``.
    vendor, field_t:
        Of its scanner.
    t1, ce, flair:
        Which of the techniques in ``protocols.broad_ranges`` it uses for T1-weighted images
        without and with contrast agent and for FLAIR, by position.
    protocols:
        Sequence -> published ranges, which take the place of the hospital's own habits.
    style, geometry:
        How its images come out and how it cuts.
    agent, dose, delay_min:
        Contrast agent, dose relative to 0.1 mmol/kg, minutes from injection to image.
    """

    name: str
    vendor: str
    field_t: float
    t1: int = 0
    ce: int = 0
    flair: int = 0
    protocols: dict[str, ProtocolRanges] = field(default_factory=dict)
    style: AcquisitionStyle = field(default_factory=AcquisitionStyle)
    geometry: Geometry = field(default_factory=Geometry)
    agent: str = "gadoterate"
    dose: Range = (0.9, 1.1)
    delay_min: Range = (3.0, 6.0)

    @property
    def inside(self) -> bool:
        """Whether it may be trained on."""
        return self.name.startswith("inside-")

    def ranges(self, sequence: str) -> ProtocolRanges:
        """Where this hospital's parameters of a canonical sequence lie."""
        base = sequence.removesuffix("-FS")
        plain = self.protocols.get(base)
        if plain is None and base == "CE-T1w" and self.ce == self.t1:
            plain = self.protocols.get("T1w")
        if plain is not None:
            return suppressed(plain) if sequence.endswith("-FS") else plain
        choices = broad_ranges(sequence)
        wanted = {"T1w": self.t1, "CE-T1w": self.ce, "FLAIR": self.flair}.get(base, 0)
        # one habit a sequence: with and without agent or suppression it is the same
        habit = zlib.crc32(f"{self.name} {base.removeprefix('CE-')}".encode()) % 997 / 996
        return choices[wanted][1].narrowed(habit)

    def draw_protocol(
        self, sequence: str, rng: np.random.Generator, slice_mm: float | None = None
    ) -> Protocol:
        """How this hospital takes one image of a canonical sequence.

        ``slice_mm`` is the examination's thickness (None: one that is usual there).
        """
        if slice_mm is None:
            slice_mm = round(float(rng.uniform(*self.geometry.slice_mm)), 1)
        given: dict[str, float] = {"slice_mm": slice_mm}
        if sequence.startswith("CE-"):
            given |= {
                "dose": float(rng.uniform(*self.dose)),
                "delay_min": float(rng.uniform(*self.delay_min)),
                "relaxivity": relaxivity(self.agent, self.field_t),
            }
        return self.ranges(sequence).draw(sequence, self.field_t, rng, **given)

    def draw_acquisition(
        self,
        sequence: str,
        rng: np.random.Generator,
        examination: Examination | None = None,
        moved: bool = False,
    ) -> Acquisition:
        """What scanner and patient do to that image.

        ``examination`` gives the slice thickness, the finest resolution and the coil; ``moved``
        allows a displacement against the other sequences.
        """
        drawn = self.style.draw(sequence, rng, moved, examination and examination.coil)
        if examination is None:
            return drawn
        return replace(
            drawn,
            slice_mm=examination.slice_mm,
            pixel_mm=max(drawn.pixel_mm or 0.0, examination.pixel_mm),
        )

    def draw_examination(self, rng: np.random.Generator) -> Examination:
        """Where and how finely it cuts one patient, and the coil around that patient."""
        return replace(self.geometry.draw(rng), coil=self.style.draw_coil(rng))
