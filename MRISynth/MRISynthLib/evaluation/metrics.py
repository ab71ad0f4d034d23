"""Image quality as the field reports it.

The brightness of an MR image as a whole is arbitrary (gain, coil, prescan), so a prediction is
first multiplied so that its mean in the body is the truth's; every method that is compared gets
the same treatment. Truth and prediction are then brought to 0-1 by the SAME affine map, from the
truth's 0.5 and 99.5 percentiles inside the body; the data range is 1. SSIM is the mean of the
SSIM map (Gaussian window, sigma 1.5, k 0.01 and 0.03; Wang et al., IEEE TIP 2004) over the pixels
of a mask, slice by slice.
"""

from __future__ import annotations

import numpy as np
from skimage.metrics import structural_similarity


def common_scale(truth: np.ndarray, body: np.ndarray) -> tuple[float, float]:
    """(offset, scale) such that (image - offset) / scale is 0-1 in the truth's body."""
    low, high = np.percentile(truth[body], (0.5, 99.5))
    return float(low), float(max(high - low, 1e-6))


def match_brightness(prediction: np.ndarray, truth: np.ndarray, body: np.ndarray) -> np.ndarray:
    """The prediction times one factor, so that its mean in the body is the truth's."""
    mean = float(prediction[body].mean())
    return prediction * (float(truth[body].mean()) / mean) if mean > 0 else prediction


def compare(
    prediction: np.ndarray,
    truth: np.ndarray,
    body: np.ndarray,
    masks: dict[str, np.ndarray],
    match: bool = True,
) -> dict[str, dict[str, float]]:
    """MAE, PSNR (dB) and SSIM over the whole image, the body and every mask that is not empty.

    All arrays have the shape (slices, rows, columns). ``match`` False takes the prediction as it
    is, for images with a unit (CT).
    """
    if match:
        prediction = match_brightness(prediction, truth, body)
    offset, scale = common_scale(truth, body)
    a = ((prediction - offset) / scale).astype(np.float64)
    b = ((truth - offset) / scale).astype(np.float64)
    similarity = np.stack([_ssim_map(x, y) for x, y in zip(a, b, strict=True)])
    regions = {"whole image": np.ones_like(body), "body": body, **masks}
    return {
        name: _figures(a[mask], b[mask], similarity[mask])
        for name, mask in regions.items()
        if mask.any()
    }


def _figures(a: np.ndarray, b: np.ndarray, similarity: np.ndarray) -> dict[str, float]:
    squared = float(np.mean((a - b) ** 2))
    return {
        "MAE": float(np.mean(np.abs(a - b))),
        "PSNR": float(10 * np.log10(1.0 / max(squared, 1e-12))),
        "SSIM": float(similarity.mean()),
    }


def _ssim_map(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    _, full = structural_similarity(
        a, b, data_range=1.0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
        full=True,
    )  # fmt: skip
    return full


def sharpness_ratio(prediction: np.ndarray, truth: np.ndarray, body: np.ndarray) -> float:
    """In-plane gradient energy of the prediction over that of the truth, inside the body."""

    def energy(image: np.ndarray) -> float:
        rows, columns = np.gradient(image.astype(np.float64), axis=(1, 2))
        return float((rows**2 + columns**2)[body].mean())

    return energy(prediction) / max(energy(truth), 1e-12)


def mean_of(rows: list[dict]) -> dict:
    """Mean over patients of equally nested figures; a patient without an entry is left out."""
    keys = dict.fromkeys(key for row in rows for key in row)
    result = {}
    for key in keys:
        values = [row[key] for row in rows if key in row]
        nested = isinstance(values[0], dict)
        result[key] = mean_of(values) if nested else float(np.mean(values))
    return result
