"""`mrisynth train segmentation`: trains the segmentation network on the virtual cohort."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.losses import DiceLoss
from torch.nn import functional

from MRISynthLib.simulation.anatomy import LABELLED_STRUCTURES
from MRISynthLib.training.batches import SimulatedSlices, SliceBatch
from MRISynthLib.training.cohort import cohort_paths
from MRISynthLib.training.runs import (
    COMMON_DEFAULTS,
    RunState,
    enter_folder,
    mosaic,
    pick_device,
    processes,
    read_config,
    run,
)

from .network import AnySequenceUNet
from .structures import STRUCTURES

DEFAULTS: dict[str, Any] = {
    **COMMON_DEFAULTS,
    "features": [32, 64, 96, 128, 160, 32],
    "steps": 3000,
    "learning_rate": 2e-3,
    "size": [192, 192],
    "pixel_mm": 1.0,
    "cases": 2,
    "slices": 3,
    "ema": 0.995,
    "seed": 2,
    "input_weights": {
        "T1w": 0.8, "T2w": 0.8, "CE-T1w": 0.6, "STIR": 0.3, "T1w-FS": 0.08, "CE-T1w-FS": 0.15,
        "T2w-FS": 0.1, "FLAIR": 0.15, "PDw": 0.05, "DWI": 0.05, "ADC": 0.05, "CT": 0.08,
    },
}  # fmt: skip

LEARNED = tuple(STRUCTURES)
"""What is learned, of all that the cohort labels; position = channel."""

CHANNELS = [LABELLED_STRUCTURES.index(name) for name in LEARNED]

MOST_WEIGHT = torch.tensor([4.0 if STRUCTURES[name].is_target else 25.0 for name in LEARNED])
"""Largest weight of each structure's pixels in the cross-entropy: less for a tumour, since what
is weighted so is also found where it is not."""

MIRROR = [LEARNED.index(STRUCTURES[name].mirror) for name in LEARNED]
"""Channel of the same structure on the other side."""

VALIDATION_BATCHES = 8
"""Of each set of inputs."""


def _augment(batch: SliceBatch, inputs: list[str], rng: np.random.Generator) -> SliceBatch:
    """Mirror (left and right names change places), bend the grey scale, blur at times.

    The blur stands for synthetic images, which are smoother than real ones.
    """
    images = {}
    for name in inputs:
        image = batch.images[name].clamp_min(0) ** float(rng.uniform(0.8, 1.25))
        if rng.random() < 0.25:
            image = functional.avg_pool2d(image[:, None], 3, 1, 1, count_include_pad=False)[:, 0]
        images[name] = image
    structures, known = batch.structures[:, CHANNELS], batch.known[:, CHANNELS]
    if rng.random() < 0.5:
        images = {name: image.flip(-1) for name, image in images.items()}
        structures, known = structures.flip(-1)[:, MIRROR], known[:, MIRROR]
    return SliceBatch(images, batch.mentions, batch.tissue, structures, known)


def _loss(logits: torch.Tensor, batch: SliceBatch, dice: DiceLoss) -> torch.Tensor:
    """Soft Dice over the batch and cross-entropy, only where the labels are known."""
    known = batch.known.float()[:, :, None, None]
    truth = batch.structures.float()
    inside = (truth * known).sum((0, 2, 3))
    # a nerve of a hundred pixels must weigh against a slice of tens of thousands
    rarity = (truth[:, 0].numel() / inside.clamp_min(1)).sqrt().clamp_min(1)
    rarity = torch.minimum(rarity, MOST_WEIGHT.to(rarity))
    entropy = functional.binary_cross_entropy_with_logits(
        logits, truth, reduction="none", pos_weight=rarity[:, None, None]
    )
    entropy = (entropy * known).sum() / (known.sum() * logits.shape[2] * logits.shape[3] + 1e-6)
    probability = torch.sigmoid(logits) * known
    # one Dice a structure over the whole batch: most slices hold only a few structures
    overlap = dice(
        probability.transpose(0, 1).flatten(1)[None],
        (truth * known).transpose(0, 1).flatten(1)[None],
    ).flatten()
    present = (inside > 0).float()
    return 4 * entropy + (overlap * present).sum() / present.sum().clamp_min(1)


@torch.no_grad()
def validate(
    network: AnySequenceUNet, slices: SimulatedSlices, device: torch.device
) -> dict[str, float]:
    """Dice per structure over fixed simulated slices, for three sets of inputs; the ``score`` is
    the mean of all."""
    network.eval()
    figures: dict[str, float] = {}
    for inputs in (("T1w", "T2w", "CE-T1w"), ("T1w", "T2w"), ("T1w",)):
        rng, torch_rng = np.random.default_rng(78), torch.Generator(device).manual_seed(78)
        sums = np.zeros((2, len(LEARNED)))
        for _ in range(VALIDATION_BATCHES):
            batch = slices.draw(rng, torch_rng, list(inputs))
            found = torch.sigmoid(network({n: batch.images[n] for n in inputs})) > 0.5
            known = batch.known[:, CHANNELS, None, None]
            found, truth = found & known, batch.structures[:, CHANNELS] & known
            sums[0] += 2 * (found & truth).sum((0, 2, 3)).cpu().numpy()
            sums[1] += (found.sum((0, 2, 3)) + truth.sum((0, 2, 3))).cpu().numpy()
        score = sums[0] / np.maximum(sums[1], 1)
        for name, value in zip(LEARNED, score, strict=True):
            figures[f"{'+'.join(inputs)} {name}"] = round(float(value), 3)
    network.train()
    return {**figures, "score": round(float(np.mean(list(figures.values()))), 4)}


@torch.no_grad()
def picture(network: AnySequenceUNet, slices: SimulatedSlices, device: torch.device) -> np.ndarray:
    """Some slices, one a row: T1w, what is drawn there, what the network finds from T1w and T2w.

    uint8 (rows, columns); every structure has a grey of its own.
    """
    rng, torch_rng = np.random.default_rng(79), torch.Generator(device).manual_seed(79)
    batch = slices.draw(rng, torch_rng, ["T1w", "T2w"])
    greys = torch.linspace(0.3, 1.1, len(LEARNED), device=device)[:, None, None]
    truth = (batch.structures[:, CHANNELS] * greys).amax(1)
    found = ((network(batch.images) > 0) * greys).amax(1)
    columns = (batch.images["T1w"], truth, found)
    return mosaic([[column[n].cpu().numpy() for column in columns] for n in range(len(truth))])


def train_segmentation(
    configs: Path | Sequence[Path],
    output: Path,
    resume: bool = False,
    report: Callable[[str], None] = print,
    overrides: Sequence[str] = (),
) -> Path:
    """Train as ``configs`` (files over :data:`DEFAULTS`) and ``overrides`` (``field=value``) say;
    returns the run's folder.

    Started by ``torchrun``, all its processes learn together.

    Raises
    ------
    InputError
        If the configuration, the folder, or a source of anatomies cannot be used.
    EndedElsewhere
        If another process of the run has ended.
    """
    output = Path(output)
    with processes() as group:
        report = group.reporter(report)
        with group.in_turn():
            config = read_config(configs, DEFAULTS, overrides)
            device = pick_device(config, group)
            if group.is_first:
                enter_folder(output, config, resume, report)
            anatomies = cohort_paths(config, output, report)
        _train(config, output, resume, report, anatomies, device, group)
    return output


def _train(config, output, resume, report, anatomies, device, group) -> None:
    training, validation = anatomies
    size, pixel = tuple(config["size"]), float(config["pixel_mm"])
    cases, count = int(config["cases"]), int(config["slices"])
    slices = SimulatedSlices(
        training,
        size,
        pixel,
        cases,
        count,
        focus=0.2,
        by_structure=0.65,
        flip=False,
        device=str(device),
    )
    held_out = SimulatedSlices(
        validation,
        size,
        pixel,
        cases=2,
        slices=5,
        focus=0.2,
        by_structure=0.6,
        flip=False,
        device=str(device),
    )
    network = AnySequenceUNet(len(LEARNED), tuple(config["features"]))
    state = RunState.new(network, config, device, group)
    if resume and state.load(output):
        report(f"resumed at step {state.step}")
    dice = DiceLoss(reduction="none", smooth_nr=1.0, smooth_dr=1.0)
    shares = config["input_weights"]

    def loss_of_step() -> torch.Tensor:
        inputs = [name for name in shares if state.rng.random() < shares[name]][:4] or ["T1w"]
        batch = _augment(slices.draw(state.rng, state.torch_rng, inputs), inputs, state.rng)
        with torch.autocast(device.type, torch.bfloat16, enabled=config["precision"] == "bf16"):
            logits = network(batch.images)
        return _loss(logits, batch, dice)

    run(
        state,
        config,
        output,
        loss_of_step,
        lambda: validate(network, held_out, device),
        report,
        lambda: picture(network, held_out, device),
    )
