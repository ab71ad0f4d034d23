"""What the product's own networks learn from: every term with a weight in the settings, so that
leaving one out is an ablation by a flag."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from ..simulation.tissues import TISSUE_INDEX, TISSUES
from ..synthesis.adversarial import critic_term, generator_term
from ..synthesis.base import SynthesisNetwork, contrast_vectors
from ..synthesis.losses import (
    dissimilarity,
    gradient_difference,
    laplace_nll,
    tissue_entropy,
    weighted_mean,
)
from ..synthesis.rendering import map_difference, maps_of
from ..synthesis.towers import ContrastiveTowers, consistency
from .batches import SliceBatch, loss_weights
from .contrast import dense_alignment, place_contrast

LIKE_TUMOUR = ("tumour", "necrosis", "mucosa", "lymphoid tissue")
RARE_WEIGHT = 4.0
"""How much more the tissues that must not be mistaken for each other count."""


@dataclass(frozen=True)
class Given:
    """A step's batch as tensors and descriptions.

    images: (batch, inputs, rows, columns); described: (batch, inputs, size); around: as in
    ``SynthesisNetwork.encode``; wishes: for each target, what is asked for of each slice.
    """

    batch: SliceBatch
    inputs: list[str]
    targets: list[str]
    images: torch.Tensor
    described: torch.Tensor
    around: torch.Tensor | None
    wishes: dict[str, list]


def product_loss(
    network: SynthesisNetwork,
    given: Given,
    config: dict[str, Any],
    towers: ContrastiveTowers | None = None,
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """The weighted sum, and its parts by name, unweighted.

    Parameters
    ----------
    network:
        An ``EquationNet`` or a ``DirectNet``, with a critic if ``adversarial_weight`` is not 0.
    towers:
        Frozen; needed if ``consistency_weight`` is not 0.
    """
    batch, count = given.batch, len(given.inputs)
    body = batch.tissue != TISSUE_INDEX["air"]
    looks = network.look(given.images, given.described, given.around)
    features = network.unite(looks, given.images, given.described)
    weights = loss_weights(batch.tissue, float(config["tumour_weight"]))
    parts: dict[str, torch.Tensor] = {}

    def add(name: str, value: torch.Tensor) -> None:
        parts[name] = parts[name] + value if name in parts else value

    if config["contrast_weight"]:
        add("contrast", place_contrast(looks[-1], count, body))
    if config["alignment_weight"]:
        add("alignment", dense_alignment(looks[-3:], count, body))
    share = 1 / len(given.targets)
    equation = hasattr(network, "decode_with_physical")
    if equation and batch.parameters is not None and config["map_weight"]:
        add("map", map_difference(maps_of(features[0]), batch.parameters, weights))
    if equation:
        add("tissue", tissue_entropy(features[2], batch.tissue, _rare(weights.device)))
    for target in given.targets:
        truth = batch.images[target]
        wanted = network.embed(given.wishes[target])
        if equation:
            image, log_scale, physical = network.decode_with_physical(features, wanted)
            add("physics", share * weighted_mean((physical - truth).abs(), weights))
        else:
            image, log_scale, tissue = network.decode_with_tissue(features, wanted)
            add("tissue", share * tissue_entropy(tissue, batch.tissue, _rare(weights.device)))
        add("error", share * weighted_mean((image - truth).abs(), weights))
        add("gradient", share * gradient_difference(image, truth, weights))
        add("ssim", share * dissimilarity(image, truth, weights))
        add("uncertainty", share * laplace_nll(image, log_scale, truth, weights))
        if config["consistency_weight"]:
            said = given.wishes[target]
            vectors = contrast_vectors(said).to(image.device)
            texts = [wish.text for wish in said]
            pixel_mm = float(config["pixel_mm"])
            add("consistency", share * consistency(towers, image, texts, vectors, pixel_mm))
        if config["adversarial_weight"]:
            shown, made, real = given.images[:, :1], image[:, None], truth[:, None]
            add("adversarial", share * generator_term(network.critic, shown, made))
            add("critic", share * critic_term(network.critic, shown, real, made))
    total = sum(_weight(config, name) * value for name, value in parts.items())
    return total, parts


def _weight(config: dict[str, Any], name: str) -> float:
    return {"error": 1.0, "critic": 1.0}.get(name) or float(config[f"{name}_weight"])


def _rare(device: torch.device) -> torch.Tensor:
    rare = torch.ones(len(TISSUES), device=device)
    rare[[TISSUE_INDEX[name] for name in LIKE_TUMOUR]] = RARE_WEIGHT
    rare[TISSUE_INDEX["air"]] = 0.2
    return rare
