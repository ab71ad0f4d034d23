"""Two networks that place texts and images in one space: what belongs together lies together.

After CLIP (Radford et al., Learning transferable visual models from natural language
supervision, ICML 2021), small, and trained from nothing on the cohort: every image there has a
protocol, and a protocol can be written in many ways (:mod:`MRISynthLib.training.lexicon`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from ..sequences import SEQUENCE_NAMES
from .conditioning import VECTOR_SIZE
from .spelling import HASHED, MOST_PARTS, spelled

SIZE = 128
"""Of the common space."""

PIXEL_MM = 2.0
"""Pixel size at which images are looked at; finer detail says nothing about the contrast."""

_HIGHEST_SCALE = math.log(100.0)
_SMALLEST_SIDE = 32


class TextTower(nn.Module):
    """Texts, and contrasts in numbers, to unit vectors.

    Words and what they are made of (:mod:`spelling`) are looked up, two convolutions read
    them in their order, so that "without contrast" and "with contrast" differ (Kim, Convolutional
    neural networks for sentence classification, EMNLP 2014), and the strongest and the mean of
    what they find is joined with the numbers.
    """

    def __init__(self, size: int = SIZE, width: int = 64, channels: int = 96) -> None:
        super().__init__()
        self.size = size
        self.table = nn.EmbeddingBag(HASHED, width, mode="sum", padding_idx=0)
        self.first = nn.Conv1d(width, channels, 5, padding=2)
        self.second = nn.Conv1d(channels, channels, 5, padding=2)
        self.words = nn.Linear(2 * channels, size)
        self.numbers = numbers_network(size)
        self.join = joining_network(size)

    def forward(self, texts: Sequence[str], vectors: torch.Tensor | None = None) -> torch.Tensor:
        """(len(texts), size), of length 1.

        Parameters
        ----------
        texts:
            In any language; "" where nothing was said.
        vectors:
            (len(texts), VECTOR_SIZE) of :func:`conditioning.contrast_vector`; a row of zeros, or
            None for all, where only the words are known.
        """
        features = self.words(self._read(list(texts)))
        said = torch.tensor([bool(text.strip()) for text in texts], device=features.device)
        return joined(self, features * said[:, None], said, vectors)

    def _read(self, texts: list[str]) -> torch.Tensor:
        """(texts, 2 * channels)."""
        parts = torch.from_numpy(spelled(texts)).to(self.words.weight.device)
        there = (parts[..., 0] > 0)[:, None]
        count, longest = parts.shape[:2]
        found = self.table(parts.view(-1, MOST_PARTS)).view(count, longest, -1).transpose(1, 2)
        found = functional.gelu(self.first(found)) * there
        found = functional.gelu(self.second(found)) + found
        mean = (found * there).sum(2) / there.sum(2).clamp(min=1)
        return torch.cat([found.masked_fill(~there, -1.0).amax(2), mean], 1)


def numbers_network(size: int) -> nn.Module:
    """Reads a contrast vector."""
    return nn.Sequential(nn.Linear(VECTOR_SIZE, size), nn.GELU(), nn.Linear(size, size))


def joining_network(size: int) -> nn.Module:
    """Joins what the words say with what the numbers say, and which of the two are there."""
    return nn.Sequential(nn.Linear(2 * size + 2, 2 * size), nn.GELU(), nn.Linear(2 * size, size))


def joined(
    tower: nn.Module, features: torch.Tensor, said: torch.Tensor, vectors: torch.Tensor | None
) -> torch.Tensor:
    """Unit vectors from a tower's features of the words, (n, size), and the numbers.

    ``said``: (n,) bool, whether there are words.
    """
    if vectors is None:
        vectors = features.new_zeros(len(features), VECTOR_SIZE)
    vectors = vectors.to(features)
    known = vectors.abs().sum(1) > 0
    numbers = tower.numbers(vectors) * known[:, None]
    there = torch.stack([said, known], 1).to(features)
    mixed = tower.join(torch.cat([features, numbers, there], 1))
    return functional.normalize(features + numbers + mixed, dim=1)


class ImageTower(nn.Module):
    """Slices to unit vectors, whatever their gain and however much air is around the body.

    The image is divided by its own 99th percentile in the body, and only what the network
    finds at the body counts: its mean and its spread.
    """

    def __init__(self, size: int = SIZE, widths: tuple[int, int, int] = (24, 48, 96)) -> None:
        super().__init__()
        first, middle, before = widths
        self.features = nn.Sequential(
            _convolution(1, first, 2),
            _convolution(first, middle, 2),
            _convolution(middle, middle, 1),
            _convolution(middle, before, 2),
            _convolution(before, before, 1),
        )
        self.out = nn.Sequential(nn.Linear(2 * before, size), nn.GELU(), nn.Linear(size, size))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(n, size), of length 1, from slices (n, 1, rows, columns) of about PIXEL_MM."""
        images = images.float()
        bright = _signal(images)
        values = torch.where(bright, images, torch.nan)[..., ::2, ::2].flatten(1)
        scale = values.nanquantile(0.99, 1).nan_to_num(1.0).clamp(min=1e-6)
        found = self.features((images / scale[:, None, None, None]).clamp(0, 1.5))
        body = functional.max_pool2d(bright.float(), 7, 1, 3)
        share = functional.adaptive_avg_pool2d(body, found.shape[2:])
        weight = share / share.sum((2, 3), keepdim=True).clamp(min=1e-3)
        mean = (found * weight).sum((2, 3))
        spread = ((found - mean[..., None, None]).square() * weight).sum((2, 3))
        return functional.normalize(self.out(torch.cat([mean, (spread + 1e-6).sqrt()], 1)), dim=1)


def _convolution(before: int, after: int, stride: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU()
    )


def _signal(images: torch.Tensor) -> torch.Tensor:
    """Where there is more than noise; bool, as ``images``."""
    smooth = functional.avg_pool2d(images.detach(), 3, 1, 1)
    highest = smooth[..., ::2, ::2].flatten(1).quantile(0.995, 1)[:, None, None, None]
    return smooth > 0.1 * highest


class ContrastiveTowers(nn.Module):
    """A text tower and an image tower for one space."""

    def __init__(self, text: nn.Module | None = None, size: int = SIZE) -> None:
        super().__init__()
        self.text = text if text is not None else TextTower(size)
        self.image = ImageTower(size)
        self.log_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.log_scale.device

    @property
    def scale(self) -> torch.Tensor:
        """What cosines are multiplied by: one over the temperature, learnt, at most 100."""
        return self.log_scale.clamp(max=_HIGHEST_SCALE).exp()

    def read(self, texts: Sequence[str], vectors: torch.Tensor | None = None) -> torch.Tensor:
        """(n, size): see :meth:`TextTower.forward`."""
        return self.text(texts, vectors)

    def look(self, images: torch.Tensor, pixel_mm: float | None = None) -> torch.Tensor:
        """(n, size) of slices (n, rows, columns), of any gain.

        ``pixel_mm``: their pixel size, None if it is about :data:`PIXEL_MM`.
        """
        return self.image(at_working_size(images[:, None], pixel_mm))

    def similarity(self, images: torch.Tensor, texts: torch.Tensor) -> torch.Tensor:
        """(images, texts): scaled cosines of what :meth:`look` and :meth:`read` gave."""
        return self.scale * images @ texts.T


def at_working_size(images: torch.Tensor, pixel_mm: float | None) -> torch.Tensor:
    """Images (n, 1, rows, columns) at :data:`PIXEL_MM`; as they are where ``pixel_mm`` is None."""
    if pixel_mm is None:
        return images
    wanted = [max(_SMALLEST_SIDE, round(side * pixel_mm / PIXEL_MM)) for side in images.shape[2:]]
    return functional.interpolate(
        images.float(), wanted, mode="bilinear", align_corners=False, antialias=True
    )


def contrastive_loss(similarity: torch.Tensor, alike: torch.Tensor) -> torch.Tensor:
    """Symmetric InfoNCE in which pairs of the same meaning are no negatives.

    The targets are soft, as in UniCL (Yang et al., Unified contrastive learning in
    image-text-label space, CVPR 2022).

    Parameters
    ----------
    similarity:
        (images, texts), scaled.
    alike:
        The same shape, 0-1: how far a text is true of an image. Of every image some text is true;
        a text that is true of no image is a negative only.
    """
    forth = alike / alike.sum(1, keepdim=True)
    back = alike / alike.sum(0, keepdim=True).clamp(min=1.0)
    to_texts = -(forth * similarity.log_softmax(1)).sum(1).mean()
    to_images = -(back * similarity.log_softmax(0)).sum() / back.sum()
    return 0.5 * (to_texts + to_images)


def consistency(
    towers: ContrastiveTowers,
    images: torch.Tensor,
    texts: Sequence[str],
    vectors: torch.Tensor | None = None,
    pixel_mm: float | None = None,
) -> torch.Tensor:
    """How far images (n, rows, columns) are from what was asked for: mean of 1 - cosine.

    Gradients reach the images; of the towers, only those that ask for them.
    """
    wanted = towers.read(texts, vectors)
    return (1.0 - (towers.look(images, pixel_mm) * wanted).sum(1)).mean()


@torch.no_grad()
def canonical_embeddings(towers: ContrastiveTowers) -> torch.Tensor:
    """(sequences, size): of each sequence's canonical name, in their order."""
    return towers.read(SEQUENCE_NAMES)


@torch.no_grad()
def text_reading(towers: ContrastiveTowers, text: str) -> dict[str, float]:
    """Sequence -> probability that the words mean it; about even where they mean nothing."""
    return _shares(towers, towers.read([text]))


@torch.no_grad()
def image_reading(
    towers: ContrastiveTowers, images: torch.Tensor, pixel_mm: float | None = None
) -> dict[str, float]:
    """Sequence -> probability that slices (n, rows, columns) of one image show it."""
    return _shares(towers, towers.look(images, pixel_mm))


def _shares(towers: ContrastiveTowers, found: torch.Tensor) -> dict[str, float]:
    logits = towers.similarity(found, canonical_embeddings(towers)).mean(0)
    return dict(zip(SEQUENCE_NAMES, logits.softmax(0).tolist(), strict=True))
