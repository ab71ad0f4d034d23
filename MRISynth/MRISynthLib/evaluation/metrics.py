"""Image quality as the field reports it.

The brightness of an MR image as a whole is arbitrary (gain, coil, prescan), so a prediction is
first multiplied so that its mean in the body is the truth's; every method that is compared gets
the same treatment. Truth and prediction are then brought to 0-1 by the SAME affine map, from the
truth's 0.5 and 99.5 percentiles inside the body; the data range is 1.

- SSIM is the mean of the SSIM map (Gaussian window 11 x 11, sigma 1.5, k 0.01 and 0.03; Wang et
  al., IEEE TIP 2004) over the pixels of a mask, slice by slice.
- MS-SSIM has five levels with the published weights (Wang et al., Asilomar 2003); see
  :meth:`Yardstick.ms_ssim`.
- The sharpness ratio is the gradient energy of the prediction over that of the truth.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np
from skimage.metrics import structural_similarity

MULTISCALE_PIXELS = 11 * 2**4
"""Rows and columns that are needed for a window of 11 x 11 to fit after four halvings."""

MULTISCALE_SLICES = 12
"""On so many slices, evenly through the body, MS-SSIM is calculated; it is slow."""

_LEAST_BODY = 0.05
"""A slice with a smaller share of body does not count for MS-SSIM."""


def common_scale(truth: np.ndarray, body: np.ndarray) -> tuple[float, float]:
    """(offset, scale) such that (image - offset) / scale is 0-1 in the truth's body."""
    low, high = np.percentile(truth[body], (0.5, 99.5))
    return float(low), float(max(high - low, 1e-6))


def brightness_factor(prediction: np.ndarray, truth: np.ndarray, body: np.ndarray) -> float:
    """What the prediction must be multiplied by for its mean in the body to be the truth's."""
    mean = float(prediction[body].mean())
    return float(truth[body].mean()) / mean if mean > 0 else 1.0


def match_brightness(prediction: np.ndarray, truth: np.ndarray, body: np.ndarray) -> np.ndarray:
    """The prediction times one factor, so that its mean in the body is the truth's."""
    return prediction * brightness_factor(prediction, truth, body)


def best_gain_and_offset(prediction: np.ndarray, truth: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """gain * prediction + offset that is nearest to the truth inside the mask (least squares)."""
    inside = prediction[mask].astype(np.float64)
    wanted = truth[mask].astype(np.float64)
    spread = float(inside.var())
    gain = float(np.mean((inside - inside.mean()) * (wanted - wanted.mean())))
    gain = gain / spread if spread > 0 else 0.0
    return gain * prediction + (float(wanted.mean()) - gain * float(inside.mean()))


class Yardstick:
    """One truth, with all that is known of it before anything is compared with it.

    Parameters
    ----------
    truth:
        (slices, rows, columns).
    body:
        Boolean, the same shape: where the patient is.
    masks:
        Regions that are reported apart; empty ones are left out.
    match:
        False takes predictions as they are, for images with a unit (CT).
    seen:
        Where the truth has voxels; None is everywhere. Nothing else is compared.
    """

    def __init__(
        self,
        truth: np.ndarray,
        body: np.ndarray,
        masks: dict[str, np.ndarray],
        match: bool = True,
        seen: np.ndarray | None = None,
    ) -> None:
        if seen is not None:
            body = body & seen
            masks = {name: mask & seen for name, mask in masks.items()}
        self.match, self.body = match, body
        whole = np.ones(truth.shape, bool) if seen is None else seen
        regions = {"whole image": whole, "body": body, **masks}
        self.regions = {name: mask for name, mask in regions.items() if mask.any()}
        self.own = truth
        self.offset, self.scale = common_scale(truth, body)
        self.truth = self.scaled(truth)

    def scaled(self, image: np.ndarray) -> np.ndarray:
        """The image on the truth's 0-1 scale, float32."""
        return ((image - self.offset) / self.scale).astype(np.float32)

    def factor(self, prediction: np.ndarray) -> float:
        """What matches the prediction's brightness; 1 where brightness has a unit."""
        return brightness_factor(prediction, self.own, self.body) if self.match else 1.0

    def matched(self, prediction: np.ndarray) -> np.ndarray:
        """The prediction as it is compared: its brightness matched, on the 0-1 scale."""
        return self.scaled(prediction * self.factor(prediction))

    def compare(
        self, prediction: np.ndarray, multiscale: bool = False
    ) -> dict[str, dict[str, float]]:
        """Region -> MAE, PSNR (dB), SSIM, and in the body MS-SSIM if it is asked for."""
        return self.compare_matched(self.matched(prediction), multiscale)

    def compare_matched(
        self, image: np.ndarray, multiscale: bool = False
    ) -> dict[str, dict[str, float]]:
        """As :meth:`compare`, of what :meth:`matched` gave."""
        similarity = np.stack([_ssim_map(a, b) for a, b in zip(image, self.truth, strict=True)])
        figures = {
            name: _figures(image[mask], self.truth[mask], similarity[mask])
            for name, mask in self.regions.items()
        }
        value = self.ms_ssim(image) if multiscale and "body" in figures else None
        if value is not None:
            figures["body"]["MS-SSIM"] = value
        return figures

    def psnr(self, image: np.ndarray, mask: np.ndarray) -> float:
        """PSNR (dB) of a matched image inside a mask, for a range of 1."""
        return _psnr(image[mask].astype(np.float64) - self.truth[mask])

    def ms_ssim(self, image: np.ndarray) -> float | None:
        """MS-SSIM of a matched image in the box around the body, with 0 outside the body in both.

        The mean over at most :data:`MULTISCALE_SLICES` slices. None where the image has too few
        pixels for five levels; nothing is enlarged for it.
        """
        if self._box is None:
            return None
        import torch
        from torchmetrics.functional.image import (
            multiscale_structural_similarity_index_measure as measure,
        )

        slices, rows, columns = self._box

        def cut(voxels: np.ndarray) -> torch.Tensor:
            part = np.where(self.body[slices], voxels[slices], 0)[:, rows, columns]
            return torch.from_numpy(np.ascontiguousarray(part, np.float32))[:, None]

        return float(measure(cut(image), cut(self.truth), data_range=1.0))

    @cached_property
    def _box(self) -> tuple[np.ndarray, slice, slice] | None:
        """(slices, rows, columns) on which MS-SSIM is calculated."""
        shares = self.body.mean((1, 2))
        showing = np.flatnonzero(shares >= min(_LEAST_BODY, shares.max()))
        some = np.linspace(0, len(showing) - 1, min(len(showing), MULTISCALE_SLICES)).round()
        slices = showing[some.astype(int)]
        found = self.body[slices].any(0)
        rows = _at_least(np.flatnonzero(found.any(1)), found.shape[0])
        columns = _at_least(np.flatnonzero(found.any(0)), found.shape[1])
        return None if rows is None or columns is None else (slices, rows, columns)

    @cached_property
    def _energy(self) -> float:
        return gradient_energy(self.truth, self.body)

    def sharpness(self, image: np.ndarray) -> float:
        """Sharpness ratio of a matched image."""
        return gradient_energy(image, self.body) / max(self._energy, 1e-12)


def _at_least(places: np.ndarray, size: int) -> slice | None:
    """From the first to the last place, widened to what MS-SSIM needs; None if it cannot be."""
    if size < MULTISCALE_PIXELS or not len(places):
        return None
    first, last = int(places[0]), int(places[-1]) + 1
    missing = max(0, MULTISCALE_PIXELS - (last - first))
    first = min(max(0, first - missing // 2), size - MULTISCALE_PIXELS)
    return slice(first, max(last, first + MULTISCALE_PIXELS))


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
    return Yardstick(truth, body, masks, match).compare(prediction)


def _figures(a: np.ndarray, b: np.ndarray, similarity: np.ndarray) -> dict[str, float]:
    difference = a.astype(np.float64) - b
    return {
        "MAE": float(np.mean(np.abs(difference))),
        "PSNR": _psnr(difference),
        "SSIM": float(similarity.mean(dtype=np.float64)),
    }


def _psnr(difference: np.ndarray) -> float:
    return float(10 * np.log10(1.0 / max(float(np.mean(difference**2)), 1e-12)))


def _ssim_map(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    _, full = structural_similarity(
        a, b, data_range=1.0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
        full=True,
    )  # fmt: skip
    return full


def gradient_energy(image: np.ndarray, mask: np.ndarray) -> float:
    """Mean squared in-plane gradient inside the mask."""
    rows, columns = np.gradient(image.astype(np.float64), axis=(1, 2))
    return float((rows**2 + columns**2)[mask].mean())


def sharpness_ratio(prediction: np.ndarray, truth: np.ndarray, body: np.ndarray) -> float:
    """In-plane gradient energy of the prediction over that of the truth, inside the body."""
    return gradient_energy(prediction, body) / max(gradient_energy(truth, body), 1e-12)


def mean_of(rows: list[dict]) -> dict:
    """Mean over patients of equally nested figures; a patient without an entry is left out."""
    return reduced(rows, lambda values: float(np.mean(values)))


def spread_of(rows: list[dict]) -> dict:
    """Standard deviation over patients, as :func:`mean_of`; 0 of a single one."""
    return reduced(rows, lambda values: float(np.std(values, ddof=1)) if len(values) > 1 else 0.0)


def reduced(rows: list[dict], function: Callable[[list[float]], float]) -> dict:
    """What ``function`` makes of each figure's values, nested as the rows are."""
    keys = dict.fromkeys(key for row in rows for key in row)
    result = {}
    for key in keys:
        values = [row[key] for row in rows if key in row]
        nested = isinstance(values[0], dict)
        result[key] = reduced(values, function) if nested else function(values)
    return result
