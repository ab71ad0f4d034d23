"""Whether an image is one that the network knows: a screen in front of the synthesis.

Two looks at each input. The image tower, trained together with texts, says which sequence an
image looks like, so that a T2w given as T1w, or CT as MR, is noticed. The distance of the
encoder's features from those of training images (Mahalanobis; Lee et al., A simple unified
framework for detecting out-of-distribution samples, NeurIPS 2018) says when it looks like nothing
that was trained on: another part of the body, an unseen artefact, a phantom. It is the median of
the slices', for at the ends of a volume some are far from all others (a neck that is nearly black
in a fat-suppressed T2w), which is no reason to doubt the rest.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from ..sequences import SEQUENCE_NAMES
from .completion import family
from .towers import SIZE, ImageTower, at_working_size

LEAST_BODY = 0.3
"""Share of a coarse pixel that must be body to count."""

DIRECTIONS = 24
"""Along which the spread of the features is kept; across the rest one common spread is."""


@dataclass(frozen=True)
class Finding:
    """What the screen says of one input.

    distance: Mahalanobis distance over its limit, so that above 1 is outside what is known (not a
    number where the screen was fitted on no such sequence: then nothing is said of it);
    looks_like: the sequence that it looks like, with ``sure`` its probability; claimed: the
    probability of what it is said to be or of what looks like it (:func:`alike`).
    """

    distance: float
    looks_like: str
    sure: float
    claimed: float
    mistaken: bool

    @property
    def outside(self) -> bool:
        """Whether the image is unlike those that the network was trained on."""
        return self.distance > 1.0


class Screen(nn.Module):
    """What training images looked like.

    Parameters
    ----------
    channels:
        Of the encoder's coarsest features.

    All that is measured (:mod:`MRISynthLib.training.screening`) lies in buffers: ``centres``
    (sequences, channels), ``directions`` (DIRECTIONS, channels), ``spread`` (DIRECTIONS,),
    ``rest`` (), ``limit`` (sequences,), ``names`` (sequences, SIZE), ``sharpness`` (),
    ``doubtful`` ().
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.glance = ImageTower()
        count = min(DIRECTIONS, channels)
        for name, shape in {
            "centres": (len(SEQUENCE_NAMES), channels),
            "directions": (count, channels),
            "spread": (count,),
            "rest": (),
            "limit": (len(SEQUENCE_NAMES),),
            "names": (len(SEQUENCE_NAMES), SIZE),
            "sharpness": (),
            "doubtful": (),
        }.items():
            self.register_buffer(name, torch.ones(shape))

    @torch.no_grad()
    def judge(
        self, images: torch.Tensor, features: torch.Tensor, sequence: str, pixel_mm: float
    ) -> Finding:
        """One input, by some of its slices.

        Parameters
        ----------
        images:
            (slices, rows, columns), normalised.
        features:
            (slices, channels): :func:`pooled` of the encoder's coarsest features.
        """
        limit = self.limit[SEQUENCE_NAMES.index(sequence)]
        distance = float(self.distances(features, sequence).median() / limit)
        shares = self.reading(images, pixel_mm)
        best = max(shares, key=lambda name: shares[name])
        claimed = sum(share for name, share in shares.items() if alike(name, sequence))
        mistaken = not alike(best, sequence) and claimed < float(self.doubtful)
        return Finding(distance, best, shares[best], claimed, mistaken)

    def distances(self, features: torch.Tensor, sequence: str) -> torch.Tensor:
        """Mahalanobis distance of each row of features (n, channels), squared and by channel."""
        away = features.float() - self.centres[SEQUENCE_NAMES.index(sequence)]
        along = away @ self.directions.T
        rest = (away**2).sum(1) - (along**2).sum(1)
        total = (along**2 / self.spread).sum(1) + rest.clamp_min(0) / self.rest
        return total / features.shape[1]

    def reading(self, images: torch.Tensor, pixel_mm: float) -> dict[str, float]:
        """Sequence -> probability that slices (n, rows, columns) of one image show it."""
        seen = self.glance(at_working_size(images[:, None], pixel_mm))
        logits = (seen @ self.names.T * self.sharpness).mean(0)
        return dict(zip(SEQUENCE_NAMES, logits.softmax(0).tolist(), strict=True))


def alike(one: str, other: str) -> bool:
    """Whether a look cannot tell two sequences apart: with and without fat suppression or contrast
    agent, and the two ways to a T2w image without fat."""
    return family(one) == family(other) or {one, other} == {"STIR", "T2w-FS"}


def pooled(coarse: torch.Tensor, body: torch.Tensor) -> torch.Tensor:
    """(n, channels): mean over the body of features (n, channels, rows, columns).

    body: Boolean (n, rows, columns) at any resolution.
    """
    share = functional.adaptive_avg_pool2d(body[:, None].float(), coarse.shape[-2:])
    weight = share * (share > LEAST_BODY)
    return (coarse.float() * weight).sum((2, 3)) / weight.sum((2, 3)).clamp_min(1e-6)


def fitted(
    screen: Screen, features: dict[str, torch.Tensor], held_out: Sequence[tuple[str, torch.Tensor]],
    false_alarms: float,
) -> None:  # fmt: skip
    """Fill the screen's distances from features of training images.

    Parameters
    ----------
    features:
        Sequence -> (n, channels) of training images.
    held_out:
        (sequence, (slices, channels)) of images of other patients: the limits are such that the
        share ``false_alarms`` of them lies outside. Sequences differ in how much their images
        vary, and there are too few images of each for a limit of its own: each sequence's limit
        is its usual distance times a factor that all share.
    """
    everything = []
    screen.centres.fill_(torch.nan)
    for number, name in enumerate(SEQUENCE_NAMES):
        if name in features:
            screen.centres[number] = features[name].mean(0)
            everything.append(features[name] - screen.centres[number])
    away = torch.cat(everything)
    covariance = away.T @ away / len(away)
    values, vectors = torch.linalg.eigh(covariance)
    count = len(screen.spread)
    screen.directions.copy_(vectors[:, -count:].T)
    screen.spread.copy_(values[-count:].clamp_min(1e-8))
    rest = values[:-count].mean() if count < len(values) else values.min()
    screen.rest.copy_(rest.clamp_min(1e-8))
    scores: dict[str, list[torch.Tensor]] = defaultdict(list)
    for name, rows in held_out:
        scores[name].append(screen.distances(rows, name).median())
    usual = {name: torch.stack(found).median().clamp_min(1e-6) for name, found in scores.items()}
    ratios = [score / usual[name] for name, found in scores.items() for score in found]
    factor = torch.quantile(torch.stack(ratios), 1 - false_alarms)
    screen.limit.fill_(torch.nan)
    for name, distance in usual.items():
        screen.limit[SEQUENCE_NAMES.index(name)] = factor * distance
