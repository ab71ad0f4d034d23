"""`mrisynth train synthesis`: trains the any-to-all network on the virtual cohort."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..errors import InputError
from ..simulation.tissues import TISSUE_INDEX, TISSUES
from ..synthesis.completion import completed
from ..synthesis.conditioning import contrast_vector, token_batch
from ..synthesis.losses import (
    dissimilarity,
    gradient_difference,
    laplace_nll,
    tissue_entropy,
    weighted_mean,
)
from ..synthesis.network import AnyToAllNet
from ..synthesis.rendering import map_difference, parameter_maps
from ..synthesis.tissue_net import TissueMapNet
from .batches import SimulatedSlices, SliceBatch, loss_weights
from .cohort import cohort_paths
from .runs import COMMON_DEFAULTS, RunState, enter_folder, pick_device, read_config, run

DEFAULTS: dict[str, Any] = {
    **COMMON_DEFAULTS,
    "network": "tissue-maps",
    "widths": [48, 96, 144],
    "condition": 128,
    "steps": 6500,
    "learning_rate": 1.5e-3,
    "size": [128, 128],
    "pixel_mm": 1.0,
    "cases": 2,
    "slices": 3,
    "targets_per_step": 2,
    "tumour_weight": 6.0,
    "tissue_weight": 0.15,
    "focus": 0.75,
    "gradient_weight": 0.5,
    "ssim_weight": 0.4,
    "map_weight": 0.1,
    "physics_weight": 0.3,
    "uncertainty_weight": 0.05,
    "ema": 0.998,
    "input_weights": {
        "T1w": 0.85, "T2w": 0.75, "T1w-FS": 0.15, "CE-T1w": 0.25, "CE-T1w-FS": 0.12,
        "T2w-FS": 0.2, "STIR": 0.2, "FLAIR": 0.2, "PDw": 0.1, "DWI": 0.06, "ADC": 0.06,
        "CT": 0.1,
    },
    "target_weights": {
        "CE-T1w": 16, "T1w": 2, "T2w": 2, "STIR": 2.5, "CE-T1w-FS": 2, "T1w-FS": 0.7,
        "T2w-FS": 0.7, "FLAIR": 1.5, "PDw": 0.4, "DWI": 0.4, "ADC": 0.4, "CT": 0.6,
    },
}  # fmt: skip

NETWORKS = {"any-to-all": AnyToAllNet, "tissue-maps": TissueMapNet}

LIKE_TUMOUR = ("tumour", "necrosis", "mucosa", "lymphoid tissue")
RARE_WEIGHT = 4.0
"""How much more the tissues that must not be mistaken for each other count."""

VALIDATION_TASKS: tuple[tuple[tuple[str, ...], str], ...] = (
    (("T1w", "T2w"), "CE-T1w"),
    (("T1w",), "T2w"),
    (("T2w",), "T1w"),
    (("T1w", "T2w"), "STIR"),
    (("T1w", "T2w"), "FLAIR"),
)

VALIDATION_BATCHES = 6
"""Of each task."""


def draw_task(rng: np.random.Generator, config: dict[str, Any]) -> tuple[list[str], list[str]]:
    """(inputs, targets) of one step; no sequence is both."""
    targets = list(config["target_weights"])
    weights = np.array([config["target_weights"][t] for t in targets], float)
    count = min(int(config["targets_per_step"]), len(targets))
    chosen = list(rng.choice(targets, size=count, replace=False, p=weights / weights.sum()))
    inputs = [
        name
        for name, share in config["input_weights"].items()
        if name not in chosen and rng.random() < share
    ]
    if not inputs:
        inputs = [name for name in ("T1w", "T2w", "PDw") if name not in chosen][:1]
    return inputs[:3], [str(name) for name in chosen]


def embed_mentions(network: AnyToAllNet, mentions: list, device: torch.device) -> torch.Tensor:
    """Embedding (len(mentions), condition) of prompts or input descriptions."""
    flat, offsets = token_batch([m.text for m in mentions])
    vectors = np.stack([contrast_vector(m) for m in mentions])
    return network.embed(
        torch.from_numpy(flat).to(device),
        torch.from_numpy(offsets).to(device),
        torch.from_numpy(vectors).to(device),
    )


def wishes(batch: SliceBatch, inputs: Sequence[str], target: str) -> list:
    """What is asked for of each slice: its mention, completed from the inputs' as in use."""
    given = zip(*(batch.mentions[name] for name in inputs), strict=True)
    return [
        completed(wish, found)[0] for wish, found in zip(batch.mentions[target], given, strict=True)
    ]


def _features(network, batch, inputs, device):
    images = torch.stack([batch.images[name] for name in inputs], 1)
    described = torch.stack(
        [embed_mentions(network, batch.mentions[name], device) for name in inputs], 1
    )
    return network.encode(images, described)


def _step_loss(network, batch, inputs, targets, config, device) -> torch.Tensor:
    features = _features(network, batch, inputs, device)
    weights = loss_weights(batch.tissue, config["tumour_weight"])
    rare = torch.ones(len(TISSUES), device=device)
    rare[[TISSUE_INDEX[name] for name in LIKE_TUMOUR]] = RARE_WEIGHT
    rare[TISSUE_INDEX["air"]] = 0.2
    total = torch.zeros((), device=device)
    if batch.parameters is not None:
        difference = map_difference(parameter_maps(features[0]), batch.parameters, weights)
        total = total + config["map_weight"] * len(targets) * difference
    for target in targets:
        wanted = embed_mentions(network, wishes(batch, inputs, target), device)
        image, log_scale, tissue = network.decode_with_tissue(features, wanted)
        truth = batch.images[target]
        entropy = tissue_entropy(tissue, batch.tissue, rare)
        total = total + config["tissue_weight"] * entropy
        total = total + weighted_mean((image - truth).abs(), weights)
        if batch.parameters is not None:
            physical = network.physical_image(features[0], wanted)
            error = weighted_mean((physical - truth).abs(), weights)
            total = total + config["physics_weight"] * error
        total = total + config["gradient_weight"] * gradient_difference(image, truth, weights)
        total = total + config["ssim_weight"] * dissimilarity(image, truth, weights)
        doubt = laplace_nll(image, log_scale, truth, weights)
        total = total + config["uncertainty_weight"] * doubt
    return total / len(targets)


@torch.no_grad()
def validate(
    network: AnyToAllNet, slices: SimulatedSlices, device: torch.device
) -> dict[str, float]:
    """Mean absolute error in body and tumour per task, beside that of copying an input, and
    how well the network tells tissues apart (Dice of the tumour, share of the body right).

    Always the same simulated slices: seeds are fixed. An error is the mean over the batches that
    show any of its region; without such a batch it is left out.
    """
    network.eval()
    rng, torch_rng = np.random.default_rng(77), torch.Generator(device).manual_seed(77)
    figures: dict[str, float] = {}
    for inputs, target in VALIDATION_TASKS:
        sums, counted, told = np.zeros(4), np.zeros(4), np.zeros(4)
        for _ in range(VALIDATION_BATCHES):
            batch = slices.draw(rng, torch_rng, [*inputs, target], clean=(target,), plain=1.0)
            wanted = embed_mentions(network, wishes(batch, inputs, target), device)
            features = _features(network, batch, inputs, device)
            image, _, logits = network.decode_with_tissue(features, wanted)
            told += _tissue_counts(logits.argmax(1), batch.tissue[:, ::2, ::2])
            truth, body = batch.images[target], batch.tissue > 0
            tumour = loss_weights(batch.tissue, 5.0) == 5.0
            for n, guess in enumerate((image, batch.images[inputs[0]])):
                error = (guess - truth).abs()
                for position, region in ((n, body), (2 + n, tumour)):
                    if region.any():
                        sums[position] += float(error[region].mean())
                        counted[position] += 1
        key = f"{'+'.join(inputs)}->{target}"
        for position, name in enumerate(("body", "copy body", "tumour", "copy tumour")):
            if counted[position]:
                figures[f"{key} {name}"] = round(float(sums[position] / counted[position]), 4)
        figures[f"{key} tumour told Dice"] = round(float(2 * told[0] / max(told[1], 1)), 4)
        figures[f"{key} tissue told"] = round(float(told[2] / max(told[3], 1)), 4)
    network.train()
    return figures


def _tissue_counts(guess: torch.Tensor, tissue: torch.Tensor) -> np.ndarray:
    """(tumour in both, sum of both tumours, body right, body) in pixels."""
    tumour, body = TISSUE_INDEX["tumour"], tissue > 0
    found, true = guess == tumour, tissue == tumour
    counts = (found & true, found, body & (guess == tissue), body)
    sums = np.array([float(count.sum()) for count in counts])
    sums[1] += float(true.sum())
    return sums


def train_synthesis(
    config_path: Path,
    output: Path,
    resume: bool = False,
    report: Callable[[str], None] = print,
) -> Path:
    """Train as ``config_path`` (YAML over :data:`DEFAULTS`) says; returns the run's folder.

    The folder holds ``checkpoint.pt`` (resumes exactly), ``log.jsonl`` and TensorBoard
    files. :func:`MRISynthLib.training.export.export_synthesis` turns it into a bundle.

    Raises
    ------
    InputError
        If the configuration, the folder, or a source of anatomies cannot be used.
    """
    config = read_config(config_path, DEFAULTS)
    if config["network"] not in NETWORKS:
        raise InputError(
            f"The network '{config['network']}' in {config_path} is unknown; choose "
            f"{' or '.join(NETWORKS)}."
        )
    output = Path(output)
    device = pick_device(config)
    enter_folder(output, config, resume, report)
    training, validation = cohort_paths(config, output, report)
    slices = SimulatedSlices(
        training,
        tuple(config["size"]),
        float(config["pixel_mm"]),
        int(config["cases"]),
        int(config["slices"]),
        focus=float(config["focus"]),
        device=str(device),
    )
    held_out = SimulatedSlices(
        validation, (160, 160), 1.0, cases=2, slices=4, focus=1.0, device=str(device)
    )
    network = NETWORKS[config["network"]](tuple(config["widths"]), int(config["condition"]))
    physical = isinstance(network, TissueMapNet)
    state = RunState.new(network, config, device)
    if resume and state.load(output):
        report(f"resumed at step {state.step}")

    def loss_of_step() -> torch.Tensor:
        inputs, targets = draw_task(state.rng, config)
        wanted = [*inputs, *targets]
        batch = slices.draw(
            state.rng, state.torch_rng, wanted, clean=tuple(targets), parameters=physical
        )
        with torch.autocast(device.type, torch.bfloat16, enabled=config["precision"] == "bf16"):
            return _step_loss(network, batch, inputs, targets, config, device)

    run(
        state,
        config,
        output,
        loss_of_step,
        lambda: validate(network, held_out, device),
        report,
    )
    return output
