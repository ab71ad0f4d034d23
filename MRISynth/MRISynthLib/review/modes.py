"""The ways to look at a real and a synthetic image together; loads nothing."""

from __future__ import annotations

SIDE_BY_SIDE = "side by side"
BLEND = "blend"
FLICKER = "flicker"
CHECKERBOARD = "checkerboard"
DIFFERENCE = "difference"
UNCERTAINTY = "uncertainty"

MODES = (SIDE_BY_SIDE, BLEND, FLICKER, CHECKERBOARD, DIFFERENCE, UNCERTAINTY)

ORIENTATIONS = ("Axial", "Coronal", "Sagittal")

FLICKER_RATES = (0.5, 3.0)
"""Least and most changes a second: more than three flashes a second can cause seizures (WCAG 2.2,
2.3.1)."""
