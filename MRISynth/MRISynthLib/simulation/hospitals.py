"""Virtual hospitals: each a distribution over protocols, scanner behaviour and geometry.

Thirteen are there to train on ("inside"), thirteen are kept for tests ("outside"), among them
the four of US 12,488,877 B2 with the repetition and echo times that it states. Where nothing is
published a hospital keeps to a narrow part, its own, of the range that is in use.
"""

from __future__ import annotations

import difflib
from dataclasses import replace

from ..errors import InputError
from .acquisition import AcquisitionStyle
from .examinations import Examination, Geometry, Hospital
from .protocols import (
    T1_GRADIENT_ECHO,
    T1_SPIN_ECHO,
    T2_SPIN_ECHO,
    ProtocolRanges,
    Range,
)

__all__ = [
    "HOSPITALS",
    "Examination",
    "Hospital",
    "hospital",
    "inside_hospitals",
    "outside_hospitals",
]

_SPECTRAL, _ADIABATIC, _DIXON = (0.4, 1.2), (0.15, 0.7), (0.0, 0.08)
"""How far fat suppression fails: a spectral pulse, an adiabatic one, water-fat separation."""

_PREPARED, _GRADIENT_2D, _GRADIENT = 3, 2, 1
_VOLUME_FLAIR = 1

_SIEMENS = AcquisitionStyle(grey_levels=(300, 1200), highest=4095)
_PHILIPS = AcquisitionStyle(grey_levels=(900, 3500), highest=4095, bandwidth_hz=(150, 300))
_GE = AcquisitionStyle(grey_levels=(1500, 9000), highest=32767, apodisation=(0.2, 0.8))
_UNITED = AcquisitionStyle(grey_levels=(1000, 6000), highest=32767)
_CANON = AcquisitionStyle(grey_levels=(3000, 14000), highest=32767, apodisation=(0.2, 0.7))
"""Vendors differ in how they scale to whole numbers and how they filter."""

_PUBLISHED_GEOMETRY = Geometry(
    pixel_mm=(0.75, 0.94), slice_mm=(3.3, 4.0), gap=(0.0, 0.1), field_of_view_mm=(230, 256)
)
"""Of the patent's hospitals, whose matrices are 256 to 320; here 240 to 336 rows."""


def _published(technique: ProtocolRanges, tr_ms: Range, te_ms: Range) -> ProtocolRanges:
    return replace(technique, tr_ms=tr_ms, te_ms=te_ms)


HOSPITALS: tuple[Hospital, ...] = (
    Hospital(
        "inside-01-siemens-1.5t",
        "Siemens",
        1.5,
        style=replace(_SIEMENS, noise=(0.008, 0.025), fat_failure=_SPECTRAL),
        geometry=Geometry(slice_mm=(3.5, 5.0), gap=(0.1, 0.25)),
    ),
    Hospital(
        "inside-02-siemens-3t",
        "Siemens",
        3.0,
        ce=_GRADIENT,
        style=replace(_SIEMENS, noise=(0.004, 0.015), fat_failure=_DIXON, surface=(-0.1, 0.2)),
        geometry=Geometry(slice_mm=(3.0, 3.5), gap=(0.0, 0.1), pixel_mm=(0.5, 0.75)),
        agent="gadobutrol",
    ),
    Hospital(
        "inside-03-philips-3t",
        "Philips",
        3.0,
        style=replace(_PHILIPS, noise=(0.005, 0.02), fat_failure=_ADIABATIC),
        geometry=Geometry(slice_mm=(3.0, 4.0), pixel_mm=(0.5, 0.7)),
    ),
    Hospital(
        "inside-04-ge-1.5t",
        "GE",
        1.5,
        style=replace(_GE, noise=(0.012, 0.035), fat_failure=_SPECTRAL, motion=0.4),
        geometry=Geometry(slice_mm=(4.0, 6.0), gap=(0.15, 0.3), pixel_mm=(0.7, 1.0)),
        dose=(0.8, 1.0),
    ),
    Hospital(
        "inside-05-ge-3t",
        "GE",
        3.0,
        ce=_GRADIENT,
        style=replace(_GE, noise=(0.005, 0.018), fat_failure=_DIXON, bias=(0.05, 0.25)),
        geometry=Geometry(slice_mm=(3.0, 4.0)),
        agent="gadobutrol",
        delay_min=(2.0, 4.0),
    ),
    Hospital(
        "inside-06-united-imaging-3t",
        "United Imaging",
        3.0,
        style=replace(_UNITED, noise=(0.005, 0.02), fat_failure=_ADIABATIC, g_factor=(1.2, 2.0)),
        geometry=Geometry(slice_mm=(3.0, 5.0), pixel_mm=(0.55, 0.8)),
    ),
    Hospital(
        "inside-07-siemens-3t",
        "Siemens",
        3.0,
        t1=_PREPARED,
        ce=_PREPARED,
        flair=_VOLUME_FLAIR,
        style=replace(_SIEMENS, noise=(0.006, 0.02), surface=(-0.4, 0.3), fat_failure=_SPECTRAL),
        geometry=Geometry(slice_mm=(1.0, 2.0), gap=(0.0, 0.0), pixel_mm=(0.8, 1.1)),
        delay_min=(4.0, 9.0),
    ),
    Hospital(
        "inside-08-philips-1.5t",
        "Philips",
        1.5,
        style=replace(_PHILIPS, noise=(0.008, 0.03), fat_failure=_SPECTRAL, motion=0.35),
        geometry=Geometry(slice_mm=(4.5, 5.5), gap=(0.1, 0.2), coverage_mm=(100, 150)),
    ),
    Hospital(
        "inside-09-siemens-1.5t",
        "Siemens",
        1.5,
        t1=_GRADIENT_2D,
        ce=_GRADIENT_2D,
        style=replace(_SIEMENS, noise=(0.01, 0.03), fat_failure=_ADIABATIC),
        geometry=Geometry("coronal", slice_mm=(3.0, 4.5), oblique_deg=8.0),
    ),
    Hospital(
        "inside-10-philips-3t",
        "Philips",
        3.0,
        t1=_GRADIENT,
        ce=_GRADIENT,
        style=replace(_PHILIPS, noise=(0.006, 0.022), fat_failure=_ADIABATIC, g_factor=(1.3, 1.8)),
        geometry=Geometry(slice_mm=(1.2, 2.5), gap=(0.0, 0.0), pixel_mm=(0.7, 1.0)),
        agent="gadobutrol",
    ),
    Hospital(
        "inside-11-ge-3t",
        "GE",
        3.0,
        t1=_PREPARED,
        ce=_PREPARED,
        flair=_VOLUME_FLAIR,
        style=replace(_GE, noise=(0.005, 0.02), fat_failure=_SPECTRAL, surface=(-0.3, 0.4)),
        geometry=Geometry(slice_mm=(2.0, 3.5), gap=(0.0, 0.1), oblique_deg=9.0),
        delay_min=(5.0, 10.0),
    ),
    Hospital(
        "inside-12-united-imaging-1.5t",
        "United Imaging",
        1.5,
        style=replace(_UNITED, noise=(0.01, 0.03), fat_failure=_SPECTRAL, apodisation=(0.0, 0.3)),
        geometry=Geometry(slice_mm=(4.0, 5.0), gap=(0.1, 0.2), pixel_mm=(0.7, 0.95)),
    ),
    Hospital(
        "inside-13-siemens-3t",
        "Siemens",
        3.0,
        # a planning scan: flexible coils beside a mask, the whole contour in view, no tilt
        style=replace(_SIEMENS, noise=(0.012, 0.035), bias=(0.15, 0.35), fat_failure=_DIXON),
        geometry=Geometry(
            slice_mm=(2.0, 3.0), gap=(0, 0), field_of_view_mm=(250, 300), oblique_deg=0.5
        ),
        dose=(0.95, 1.05),
    ),
    Hospital(
        "outside-01-siemens-1.5t",
        "Siemens",
        1.5,
        protocols={
            "T1w": _published(T1_SPIN_ECHO, (562, 739), (13, 17)),
            "STIR": ProtocolRanges("IR", (7640, 7640), (97, 97), (165, 165)),
        },
        style=replace(_SIEMENS, noise=(0.01, 0.025), fat_failure=_SPECTRAL),
        geometry=_PUBLISHED_GEOMETRY,
        dose=(1.0, 1.0),
    ),
    Hospital(
        "outside-02-philips-3t",
        "Philips",
        3.0,
        protocols={
            "T1w": _published(T1_GRADIENT_ECHO, (4.8, 9.4), (2.4, 8.0)),
            "T2w": _published(T2_SPIN_ECHO, (3500, 4900), (50, 80)),
        },
        style=replace(_PHILIPS, noise=(0.006, 0.02), fat_failure=_ADIABATIC),
        geometry=_PUBLISHED_GEOMETRY,
        dose=(1.0, 1.0),
    ),
    Hospital(
        "outside-03-siemens-3t",
        "Siemens",
        3.0,
        protocols={
            "T1w": _published(T1_SPIN_ECHO, (620, 620), (9.8, 9.8)),
            "T2w": _published(T2_SPIN_ECHO, (2500, 2500), (74, 74)),
            "CE-T1w": _published(T1_GRADIENT_ECHO, (3.42, 3.42), (1.11, 1.11)),
        },
        ce=_GRADIENT,
        style=replace(_SIEMENS, noise=(0.005, 0.018), fat_failure=_ADIABATIC),
        geometry=_PUBLISHED_GEOMETRY,
        dose=(1.0, 1.0),
    ),
    Hospital(
        "outside-04-ge-3t",
        "GE",
        3.0,
        protocols={
            "T1w": _published(T1_GRADIENT_ECHO, (4.3, 8.0), (3.0, 7.0)),
            "T2w": _published(T2_SPIN_ECHO, (4200, 4899), (60, 80)),
        },
        style=replace(_GE, noise=(0.006, 0.02), fat_failure=_SPECTRAL),
        geometry=_PUBLISHED_GEOMETRY,
        dose=(1.0, 1.0),
    ),
    Hospital(
        "outside-05-canon-3t",
        "Canon",
        3.0,
        style=replace(_CANON, noise=(0.004, 0.014), fat_failure=_ADIABATIC, blur_mm=(0.3, 0.6)),
        geometry=Geometry(slice_mm=(3.0, 4.0), pixel_mm=(0.5, 0.7)),
    ),
    Hospital(
        "outside-06-canon-1.5t",
        "Canon",
        1.5,
        t1=_GRADIENT_2D,
        style=replace(_CANON, noise=(0.01, 0.03), fat_failure=_SPECTRAL),
        geometry=Geometry(slice_mm=(5.0, 6.0), gap=(0.1, 0.3), oblique_deg=10.0),
    ),
    Hospital(
        "outside-07-hitachi-1.2t",
        "Hitachi",
        1.2,
        style=replace(_CANON, noise=(0.02, 0.045), bias=(0.1, 0.3), bandwidth_hz=(80, 180)),
        geometry=Geometry(slice_mm=(4.0, 6.0), gap=(0.1, 0.2), pixel_mm=(0.8, 1.1)),
    ),
    Hospital(
        "outside-08-siemens-0.55t",
        "Siemens",
        0.55,
        style=replace(_SIEMENS, noise=(0.02, 0.05), bandwidth_hz=(60, 130), fat_failure=(0, 0.3)),
        geometry=Geometry(slice_mm=(4.0, 5.5), pixel_mm=(0.8, 1.2)),
    ),
    Hospital(
        "outside-09-philips-1.5t",
        "Philips",
        1.5,
        t1=_GRADIENT,
        ce=_GRADIENT,
        style=replace(_PHILIPS, noise=(0.02, 0.04), bias=(0.2, 0.4), surface=(-0.4, 0.0)),
        geometry=Geometry(slice_mm=(1.0, 2.0), gap=(0.0, 0.0), field_of_view_mm=(260, 320)),
    ),
    Hospital(
        "outside-10-ge-1.5t",
        "GE",
        1.5,
        t1=_PREPARED,
        style=replace(_GE, noise=(0.01, 0.03), motion=0.6, misregistration=0.8),
        geometry=Geometry(slice_mm=(2.0, 5.0), gap=(0.0, 0.3)),
        agent="gadobutrol",
        delay_min=(8.0, 14.0),
    ),
    Hospital(
        "outside-11-united-imaging-3t",
        "United Imaging",
        3.0,
        ce=_GRADIENT,
        style=replace(_UNITED, noise=(0.006, 0.02), g_factor=(1.8, 2.8), apodisation=(0.0, 0.1)),
        geometry=Geometry(slice_mm=(2.0, 3.0), pixel_mm=(0.5, 0.65), field_of_view_mm=(180, 200)),
    ),
    Hospital(
        "outside-12-siemens-3t",
        "Siemens",
        3.0,
        t1=_PREPARED,
        ce=_PREPARED,
        flair=_VOLUME_FLAIR,
        style=replace(_SIEMENS, noise=(0.008, 0.025), surface=(0.3, 0.8), fat_failure=_DIXON),
        geometry=Geometry("sagittal", slice_mm=(1.0, 1.5), gap=(0.0, 0.0), pixel_mm=(0.9, 1.1)),
    ),
    Hospital(
        "outside-13-philips-3t",
        "Philips",
        3.0,
        style=replace(_PHILIPS, noise=(0.01, 0.03), motion=0.8, fat_failure=(0.8, 1.5)),
        geometry=Geometry("coronal", slice_mm=(5.0, 6.0), gap=(0.2, 0.4), coverage_mm=(140, 180)),
        dose=(0.5, 0.8),
        delay_min=(1.0, 2.5),
    ),
)
"""The names stay: results are reported by them."""


def hospital(name: str) -> Hospital:
    """The virtual hospital of that name.

    Raises
    ------
    InputError
        If there is none; the message names the nearest.
    """
    known = {item.name: item for item in HOSPITALS}
    if name not in known:
        near = difflib.get_close_matches(name.casefold(), known, 2, 0.0)
        raise InputError(
            f"There is no virtual hospital '{name}'; the nearest are {' and '.join(near)}."
        )
    return known[name]


def inside_hospitals() -> tuple[Hospital, ...]:
    """The thirteen to train on."""
    return tuple(item for item in HOSPITALS if item.inside)


def outside_hospitals() -> tuple[Hospital, ...]:
    """The thirteen that no training sees."""
    return tuple(item for item in HOSPITALS if not item.inside)
