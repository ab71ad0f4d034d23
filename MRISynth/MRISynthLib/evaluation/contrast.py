"""How a tumour stands out: what the averages of a whole image hide.

All values are of images on one scale, after brightness was matched.
"""

from __future__ import annotations

import numpy as np

LEAST_VOXELS = 30
"""A reference tissue with fewer voxels than this is too little to compare with."""


def enhancement_ratio(enhanced: np.ndarray, plain: np.ndarray, tumour: np.ndarray) -> float | None:
    """Mean of the tumour after contrast agent over its mean before.

    The scale of both images is arbitrary, so only ratios of this figure mean something: that of
    the synthetic image against that of the real one, with the same image before.
    """
    before = float(plain[tumour].mean())
    return float(enhanced[tumour].mean()) / before if before > 0 else None


def relative_error(found: float, true: float) -> float | None:
    """Absolute difference in shares of the true value; None where that is 0."""
    return abs(found - true) / abs(true) if true else None


def contrast_to_noise(image: np.ndarray, tumour: np.ndarray, other: np.ndarray) -> float | None:
    """Contrast-to-noise ratio of a tumour against another tissue.

    (mean of the tumour - mean of the tissue) / standard deviation within that tissue of the same
    image (Hendrick, in Stark and Bradley, Magnetic Resonance Imaging, 3rd ed. 1999, chapter 4).
    The background's noise, which that definition takes elsewhere, is not in a synthetic image;
    within a tissue the standard deviation has noise and texture. An image that is too smooth has
    too high a ratio, so its error counts what smoothing does as well as what contrast does.
    """
    spread = float(image[other].std())
    return float(image[tumour].mean() - image[other].mean()) / spread if spread > 0 else None


def reference_tissue(masks: dict[str, np.ndarray], tumour: np.ndarray) -> np.ndarray | None:
    """Muscle, else the brain, as far as it is not tumour; None if neither is in view."""
    for name in ("muscle", "Brain"):
        found = masks.get(name)
        if found is not None and np.count_nonzero(found & ~tumour) >= LEAST_VOXELS:
            return found & ~tumour
    return None
