"""What a finished run must know of itself before anyone uses it.

How bright training images are (for site matching), and how the expected error compares with the
true one on patients kept from training.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from ..bundles import SCREEN as IN_BUNDLE
from ..sequences import SEQUENCE_NAMES
from ..simulation.tissues import TISSUE_INDEX
from ..synthesis.base import SynthesisNetwork
from ..synthesis.screen import Screen
from ..synthesis.towers import ContrastiveTowers
from .sources import Source

SURVEY, SCREEN = "survey.json", "screen.safetensors"
"""In a finished run's folder: what it knows of itself, and how it screens images."""

HELD_OUT_DRAWS = 40
"""Batches that the survey looks at."""

_AT_ONCE = 4


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


def unfitted_screen(network: SynthesisNetwork, towers: ContrastiveTowers) -> Screen:
    """A screen that knows how sequences look and lets everything pass until it is fitted."""
    screen = Screen(network.encoder.widths[-1]).to(network.device).eval()
    screen.glance.load_state_dict(towers.image.state_dict())
    with torch.no_grad():
        screen.names.copy_(towers.read(SEQUENCE_NAMES))
        screen.sharpness.copy_(towers.scale)
        screen.limit.fill_(torch.inf)
        screen.doubtful.fill_(0.0)
    return screen


def carried_screen(weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The screen among a model's weights for a run that begins with them; empty if there is none.

    It still knows how sequences look, but lets everything pass until it is fitted: the features
    that its limits are of will be others.
    """
    found = {
        name.removeprefix(IN_BUNDLE): value.float().contiguous()
        for name, value in weights.items()
        if name.startswith(IN_BUNDLE)
    }
    if found:
        found["limit"] = torch.full_like(found["limit"], torch.inf)
        found["doubtful"] = torch.zeros_like(found["doubtful"])
    return found
