"""Bringing images of another hospital to the brightness that a network was trained on.

The external distribution matching of MHDgN-Net (US 12,488,877 B2): y = (mu1 / mu2) x, with mu1
the mean of the training images of a sequence and mu2 that of the image at hand.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

LIMITS = (0.5, 2.0)
"""A factor outside means that the image shows something else, which no factor mends."""


def matching_factor(image: np.ndarray, body: np.ndarray, mean: float) -> float:
    """mu1 / mu2 within :data:`LIMITS`; 1 where there is no body.

    image: normalised, of the shape of ``body``; mean: mu1, over the bodies of training images.
    """
    found = float(image[body].mean()) if body.any() else 0.0
    return float(np.clip(mean / found, *LIMITS)) if found > 0 else 1.0


def matched(
    stack: Mapping[str, np.ndarray], body: np.ndarray, means: Mapping[str, float]
) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Every image of a stack times its factor, and the factors; a sequence without a training
    mean, and CT, whose values mean something by themselves, stay as they are."""
    factors = {
        name: matching_factor(image, body, means[name])
        for name, image in stack.items()
        if name in means and name != "CT"
    }
    changed = {
        name: image * np.float32(factors[name]) if name in factors else image
        for name, image in stack.items()
    }
    return changed, factors
