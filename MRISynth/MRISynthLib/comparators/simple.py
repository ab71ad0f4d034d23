"""Rivals without a network: copying, linear regression, and a remap that knows the answer.

Images are arrays of one shape, normalised as the networks' are; masks are boolean and of that
shape.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from ..sequences import SEQUENCES

CONSTANT = "constant"
"""Name of the constant among the weights of a regression."""


def copy_best(inputs: Mapping[str, np.ndarray], target: str) -> tuple[str, np.ndarray]:
    """The input that is most like the target by its name alone: (sequence, image).

    One of the target's weighting comes before others; among several of them the one that agrees
    best in contrast agent and fat suppression, then the one given first. Without any of that
    weighting it is the first input.
    """
    wanted = SEQUENCES[target]

    def unlike(name: str) -> int:
        info = SEQUENCES[name]
        agent = info.contrast_agent != wanted.contrast_agent
        return agent + (info.fat_suppressed != wanted.fat_suppressed)

    kin = [name for name in inputs if SEQUENCES[name].weighting == wanted.weighting]
    name = min(kin, key=unlike) if kin else next(iter(inputs))
    return name, inputs[name]


def fit_linear(
    examples: Iterable[tuple[Mapping[str, np.ndarray], np.ndarray, np.ndarray]],
) -> dict[str, float]:
    """Least squares of target = sum(weight * input) + constant over the training patients.

    Parameters
    ----------
    examples:
        For each patient the inputs by sequence (the same ones for all), the target, and the mask
        of what counts. They are gone through once, so a generator will do.

    Returns
    -------
    The weight of each sequence, and of "constant".

    Raises
    ------
    ValueError
        If there is no example, or their inputs differ.
    """
    names: list[str] = []
    gram = moment = None
    for inputs, target, mask in examples:
        names = names or list(inputs)
        if set(names) != set(inputs):
            raise ValueError(f"inputs {sorted(inputs)} after {sorted(names)}")
        columns = [inputs[name][mask].astype(np.float64) for name in names]
        matrix = np.stack([*columns, np.ones_like(columns[0])], 1)
        values = target[mask].astype(np.float64)
        if gram is None:
            gram, moment = matrix.T @ matrix, matrix.T @ values
        else:
            gram, moment = gram + matrix.T @ matrix, moment + matrix.T @ values
    if gram is None:
        raise ValueError("no examples")
    weights, *_ = np.linalg.lstsq(gram, moment, rcond=None)
    return dict(zip((*names, CONSTANT), weights.tolist(), strict=True))


def apply_linear(weights: Mapping[str, float], inputs: Mapping[str, np.ndarray]) -> np.ndarray:
    """The target that weights of :func:`fit_linear` make from inputs."""
    total = sum(weights[name] * image for name, image in inputs.items())
    return total + weights[CONSTANT]


def cubic_remap(
    images: np.ndarray | Sequence[np.ndarray], truth: np.ndarray, mask: np.ndarray
) -> np.ndarray:
    """The best that a cubic of each input's intensity can do for this very patient.

    An oracle: the coefficients (1, x, x^2, x^3 of every input) are fitted on the truth inside the
    mask, which no real system has. Whatever maps intensities alone, without looking at places, can
    hardly do better.

    Parameters
    ----------
    images:
        One input or several.

    Returns
    -------
    The remapped image, float64, also outside the mask.

    Raises
    ------
    ValueError
        If the mask is empty.
    """
    if not mask.any():
        raise ValueError("the mask is empty")
    images = [images] if isinstance(images, np.ndarray) else list(images)
    terms = [np.ones(truth.shape)]
    for image in images:
        # powers of large numbers would swamp the others
        scaled = image.astype(np.float64) / max(float(np.abs(image[mask]).max()), 1e-12)
        terms += [scaled, scaled**2, scaled**3]
    matrix = np.stack([term[mask] for term in terms], 1)
    weights, *_ = np.linalg.lstsq(matrix, truth[mask].astype(np.float64), rcond=None)
    return sum(weight * term for weight, term in zip(weights, terms, strict=True))
