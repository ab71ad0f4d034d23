"""Whether a registration can be true: evidence that does not come from its optimiser.

At the true pose two sequences of one head match best, and clearly worse as soon as one of them is
moved a little. Where there is nothing to match (noise, a phantom, another part of the body, a
head upside down) the best pose is hardly better than its neighbours. So the result is moved by
4 mm along and turned by 8 degrees about each axis, and what is left of the match is compared.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from .similarity import Level, Similarity

SHIFT_MM = 4.0
TURN_DEG = 8.0

LEAST_QUALITY = 0.13
"""Measured (Testing/benchmarks/registration.py): pairs of one head 0.16 (a slab of 12 slices) to
0.65, most above 0.22; noise, phantoms, turned heads and slabs without overlap below 0.09."""
WEAK_QUALITY = 0.2
"""Two different heads reach 0.12 to 0.23: below this the user is asked to look."""

LEAST_MATCH = 0.01
LEAST_OVERLAP = 0.10
MOST_LEFT = 0.95


@dataclass(frozen=True)
class Evidence:
    """What speaks for a pose.

    Attributes
    ----------
    match:
        Normalised mutual information minus 1 inside the fixed body: 0 for unrelated images.
    quality:
        Share of the match that is lost, on average, by moving the result a little.
    most_left:
        Share of the match that the least harmful turn leaves.
    overlap:
        Share of the fixed body in the moving image's field of view.
    """

    match: float
    quality: float
    most_left: float
    overlap: float

    def problem(self) -> str:
        """Why the registration cannot be trusted, as a sentence; empty if it can."""
        if self.overlap < LEAST_OVERLAP:
            return (
                f"The images share only {100 * self.overlap:.0f} % of the body; "
                "too little to align them."
            )
        if self.match < LEAST_MATCH:
            return "The images have no structure in common; check that both show the same head."
        if self.quality < LEAST_QUALITY or self.most_left > MOST_LEFT:
            return (
                "No position was found in which the images clearly match; check that both show "
                "the same head, or align them by hand."
            )
        return ""


def gather_evidence(
    fixed: Level, moving: Level, matrix: np.ndarray, centre: np.ndarray
) -> Evidence:
    """Evidence for the 4x4 ``matrix`` (fixed LPS to moving LPS); turns are about ``centre``."""
    inside = Similarity(fixed, moving, fixed.body & fixed.valid)
    value, overlap = inside(matrix)
    match = value - 1.0
    if match <= 0:
        return Evidence(0.0, 0.0, 1.0, overlap)
    shifted = [(inside(matrix @ nearby)[0] - 1) / match for nearby in _shifts()]
    turned = [(inside(matrix @ nearby)[0] - 1) / match for nearby in _turns(centre)]
    quality = 1 - (float(np.mean(shifted)) + float(np.mean(turned))) / 2
    return Evidence(match, float(np.clip(quality, 0, 1)), float(max(turned)), overlap)


def _shifts() -> list[np.ndarray]:
    shifts = []
    for step in np.concatenate([np.eye(3), -np.eye(3)]) * SHIFT_MM:
        matrix = np.eye(4)
        matrix[:3, 3] = step
        shifts.append(matrix)
    return shifts


def _turns(centre: np.ndarray) -> list[np.ndarray]:
    turns = []
    for axis in np.concatenate([np.eye(3), -np.eye(3)]):
        matrix = np.eye(4)
        matrix[:3, :3] = Rotation.from_rotvec(axis * np.deg2rad(TURN_DEG)).as_matrix()
        matrix[:3, 3] = centre - matrix[:3, :3] @ centre
        turns.append(matrix)
    return turns
