"""What the segmentation network learns from: overlap and cross-entropy, where truth is known."""

from __future__ import annotations

import torch
from monai.losses import DiceLoss
from torch.nn import functional

from .lessons import LEARNED, Lesson
from .structures import STRUCTURES

MOST_WEIGHT = torch.tensor([4.0 if STRUCTURES[name].is_target else 25.0 for name in LEARNED])
"""Largest weight of each structure's pixels in the cross-entropy as training begins: less for a
tumour, since what is weighted so is also found where it is not."""

LAST_WEIGHT = 2.0
"""The same at its end. A weight w draws the outline where the probability is 1 / (1 + w). The best
Dice is had with an outline at half of that Dice (Z. Lipton et al., Optimal thresholding of
classifiers to maximize F1 measure, ECML PKDD 2014): at a third for small structures."""

ENTROPY = 4.0
"""How much the cross-entropy counts beside the overlap."""

IN_VAIN = 1.0
"""How much a tumour that is found in a slice without one counts beside the overlap, which knows
nothing of such slices."""

IN_VAIN_PIXELS = 100.0
"""Fewer pixels than this, found in vain, cost in proportion to their number."""

CLICK_WEIGHT = 4.0
"""So much more a pixel counts where a click is."""

SMOOTH = 1e-3
"""Pixels that are added to both sides of an overlap, which has no value without any."""

EPSILON = 1e-6

_TARGETS = [number for number, name in enumerate(LEARNED) if STRUCTURES[name].is_target]

_OF_BATCH = DiceLoss(reduction="none", smooth_nr=SMOOTH, smooth_dr=SMOOTH, batch=True)
_OF_SLICE = DiceLoss(reduction="none", smooth_nr=1.0, smooth_dr=1.0, batch=False)


def most_weight(progress: float) -> torch.Tensor:
    """Largest weights of the structures' pixels when ``progress`` (0-1) of the training is done.

    They begin high, or the smallest structures would never be found, and end low, or the outlines
    of all would lie too far outside.
    """
    return LAST_WEIGHT + (MOST_WEIGHT - LAST_WEIGHT) * (1 - progress) ** 2


def structure_loss(logits: torch.Tensor, lesson: Lesson, progress: float = 0.0) -> torch.Tensor:
    """Soft Dice over the batch, cross-entropy, and tumours found in vain, of all structures, only
    where they are known.

    Of the Dice its negative logarithm counts (K. Wong et al., 3D segmentation with exponential
    logarithmic loss for highly unbalanced object sizes, MICCAI 2018). A structure that is found
    nowhere would have no gradient of the Dice itself, and stay lost; so small ones were.

    Parameters
    ----------
    logits:
        (batch, structures or more, rows, columns); what follows the structures is left out.
    progress:
        How much of the training is done, 0-1.
    """
    logits = logits[:, : len(LEARNED)].contiguous()
    known = lesson.known.float()[:, :, None, None]
    truth = lesson.truth.float()
    inside = (truth * known).sum((0, 2, 3))
    # a nerve of a hundred pixels must weigh against a slice of tens of thousands
    rarity = (truth[:, 0].numel() / inside.clamp_min(1)).sqrt().clamp_min(1)
    rarity = torch.minimum(rarity, most_weight(progress).to(rarity))
    entropy = functional.binary_cross_entropy_with_logits(
        logits, truth, reduction="none", pos_weight=rarity[:, None, None]
    )
    pixels = logits.shape[2] * logits.shape[3]
    entropy = (entropy * known).sum() / (known.sum() * pixels + EPSILON)
    # one Dice a structure over the whole batch: most slices hold only a few structures
    apart = _OF_BATCH(torch.sigmoid(logits) * known, truth * known).flatten()
    present = (inside > 0).float()
    missed = -(1 - apart).clamp_min(EPSILON).log()
    overlap = (missed * present).sum() / present.sum().clamp_min(1)
    return ENTROPY * entropy + overlap + IN_VAIN * _in_vain(logits, truth, lesson.known)


def _in_vain(logits: torch.Tensor, truth: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """How much of a tumour is found where there is none, as a logarithm like the overlap's: what is
    found on many pixels is unlearned as readily as a spot."""
    found = torch.sigmoid(logits[:, _TARGETS].float()).sum((2, 3))
    without = (known[:, _TARGETS] & ~truth[:, _TARGETS].flatten(2).any(2)).float()
    cost = torch.log1p(found / IN_VAIN_PIXELS)
    return (cost * without).sum() / without.sum().clamp_min(1)


def correction_loss(
    logits: torch.Tensor, truth: torch.Tensor, clicks: torch.Tensor, counts: torch.Tensor
) -> torch.Tensor:
    """Soft Dice of each slice and cross-entropy of the structure that is corrected.

    Parameters
    ----------
    logits, truth:
        (batch, rows, columns): the network's last channel, and what is there.
    clicks:
        Of the same shape: how near a click is, 0-1; pixels there count more.
    counts:
        (batch,) bool: slices that take part.
    """
    truth, taking = truth.float(), counts.float()
    weight = (1 + CLICK_WEIGHT * clicks) * taking[:, None, None]
    entropy = functional.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    entropy = (entropy * weight).sum() / (weight.sum() + EPSILON)
    apart = _OF_SLICE(torch.sigmoid(logits)[:, None], truth[:, None]).flatten()
    # where nothing is to be found there is no overlap to speak of
    present = truth.flatten(1).any(1).float() * taking
    overlap = (apart * present).sum() / present.sum().clamp_min(1)
    return ENTROPY * entropy + overlap
