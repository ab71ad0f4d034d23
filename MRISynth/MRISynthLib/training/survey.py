"""What a finished run must know of itself before anyone uses it.

How bright training images are (for site matching), how the expected error compares with the true
one on patients kept from training, and what training images look like to the network (for the
screen).
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import torch

from ..sequences import SEQUENCE_NAMES
from ..simulation.tissues import TISSUE_INDEX
from ..synthesis.base import SynthesisNetwork
from ..synthesis.screen import Screen, fitted, pooled
from ..synthesis.towers import ContrastiveTowers
from .sources import VALIDATION, Source

TRAINING_DRAWS, HELD_OUT_DRAWS = 40, 40
"""Batches that the survey looks at."""

FALSE_ALARMS = 0.02
"""Share of images like those of training that the screen may call outside."""

_AT_ONCE = 4
PIXEL_MM = float(VALIDATION["pixel_mm"])


@torch.no_grad()
def brightness_and_doubt(network: SynthesisNetwork, held_out: Source, given) -> dict[str, Any]:
    """``brightness``: sequence -> mean of the normalised body; ``doubt``: target -> mean true
    over mean expected error in the body.

    Parameters
    ----------
    given:
        ``synthesis.given``: a batch as a network takes it.
    """
    rng = np.random.default_rng(91)
    torch_rng = torch.Generator(network.device).manual_seed(91)
    bright: dict[str, list[float]] = defaultdict(list)
    errors: dict[str, list[tuple[float, float]]] = defaultdict(list)
    network.eval()
    for _ in range(HELD_OUT_DRAWS):
        inputs, targets = _some_task(rng, network, held_out)
        asked = [*inputs, *targets]
        batch = held_out.draw(rng, torch_rng, asked, clean=tuple(targets), around=True)
        body = batch.tissue != TISSUE_INDEX["air"]
        for name in batch.images:
            bright[name].append(float(batch.images[name][body].mean()))
        found = given(network, batch, inputs, targets)
        features = network.encode(found.images, found.described, None, found.around)
        for target in targets:
            image, log_scale = network.decode(features, network.embed(found.wishes[target]))
            true = (image.float() - batch.images[target]).abs()[body].mean()
            errors[target].append((float(true), float(log_scale.float().exp()[body].mean())))
    return {
        "brightness": {name: round(float(np.mean(v)), 4) for name, v in sorted(bright.items())},
        "doubt": {
            name: round(float(np.sum(v, 0)[0] / max(np.sum(v, 0)[1], 1e-6)), 3)
            for name, v in sorted(errors.items())
        },
    }


def _some_task(rng, network: SynthesisNetwork, source: Source) -> tuple[list[str], list[str]]:
    """One or both of T1w and T2w where a patient has them, and some of the others as targets."""
    if network.tasks is not None:
        inputs, target = network.tasks[int(rng.integers(len(network.tasks)))]
        return list(inputs), [target]
    names = [str(name) for name in rng.permutation(sorted(source.available(rng)))]
    usual = [name for name in ("T1w", "T2w") if name in names] or names[:1]
    inputs = usual if rng.random() < 0.5 and len(names) > 2 else [str(rng.choice(usual))]
    return inputs, [name for name in names if name not in inputs][:_AT_ONCE]


@torch.no_grad()
def make_screen(
    network: SynthesisNetwork,
    towers: ContrastiveTowers,
    training: Source,
    held_out: Source,
) -> Screen:
    """A screen fitted on training images, with its limits from patients kept from training."""
    network.eval()
    features: dict[str, list[torch.Tensor]] = defaultdict(list)
    for batch, name in _images(training, TRAINING_DRAWS, 92, network):
        features[name].append(_seen(network, batch, name))
    kept = [
        (name, _seen(network, batch, name), batch.images[name])
        for batch, name in _images(held_out, HELD_OUT_DRAWS, 93, network)
    ]
    screen = Screen(next(iter(features.values()))[0].shape[1]).to(network.device).eval()
    screen.glance.load_state_dict(towers.image.state_dict())
    screen.names.copy_(towers.read(SEQUENCE_NAMES))
    screen.sharpness.copy_(towers.scale)
    joined = {name: torch.cat(rows) for name, rows in features.items()}
    fitted(screen, joined, [(name, rows) for name, rows, _ in kept], FALSE_ALARMS)
    screen.doubtful.fill_(0.0)
    claimed = [screen.judge(image, rows, name, PIXEL_MM).claimed for name, rows, image in kept]
    screen.doubtful.fill_(float(np.quantile(claimed, FALSE_ALARMS)))
    return screen


def _images(source: Source, draws: int, seed: int, network: SynthesisNetwork):
    """(batch, sequence) of every sequence of so many patients."""
    rng = np.random.default_rng(seed)
    torch_rng = torch.Generator(network.device).manual_seed(seed)
    for _ in range(draws):
        names = sorted(source.available(rng))
        batch = source.draw(rng, torch_rng, names, around=True)
        for name in names:
            yield batch, name


def _seen(network: SynthesisNetwork, batch, name: str) -> torch.Tensor:
    """(slices, channels) of one sequence."""
    described = network.embed(batch.mentions[name])[:, None]
    looks = network.look(batch.images[name][:, None], described, batch.around[name][:, None])
    return pooled(looks[-1], batch.images[name] > 0.05)
