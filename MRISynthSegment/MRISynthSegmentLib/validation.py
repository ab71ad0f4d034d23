"""How good a segmentation network is while it trains: Dice on slices of held-out patients."""

from __future__ import annotations

import numpy as np
import torch

from MRISynthLib.devices import choose_dtype
from MRISynthLib.training.log import mosaic
from MRISynthLib.training.sources import Source

from .lessons import LEARNED, Lesson
from .simulated_clicks import CAREFUL, begin
from .structures import STRUCTURES

INPUT_SETS = (("T1w", "T2w", "CE-T1w"), ("T1w", "T2w"), ("T1w",))
"""Each holds those after it."""

BATCHES, CLICKED_BATCHES = 14, 6
"""Slices are drawn in so many batches; of so many of them corrections are tried."""

CLICKS = (0, 1, 3)

WORST = 3
"""So many structures are named in a line for people."""

WINDOW = 128
"""Pixels of the square round the first click in which corrections are judged."""


def possible_sets(source: Source) -> tuple[tuple[str, ...], ...]:
    """Those of :data:`INPUT_SETS` that patients have; without any, one sequence that one has."""
    found = tuple(names for names in INPUT_SETS if source.drawable(names))
    return found or ((min(source.available(np.random.default_rng(0))),),)


@torch.no_grad()
def validate(
    network: torch.nn.Module, slices: Source, device: torch.device, pixel_mm: float = 1.0
) -> dict[str, float]:
    """Dice per structure over fixed slices of each set of inputs, and mean Dice of one structure
    of each slice after 0, 1 and 3 clicks where it is wrong most; the ``score`` is the mean of all.

    Structures that no slice shows are left out, and sets of inputs that no patient has.
    """
    network.eval()
    rng, torch_rng = np.random.default_rng(78), torch.Generator(device).manual_seed(78)
    sums = {inputs: np.zeros((2, len(LEARNED))) for inputs in possible_sets(slices)}
    shown = np.zeros(len(LEARNED), bool)
    clicked: dict[int, list[float]] = {count: [] for count in CLICKS}
    names = list(next(iter(sums)))
    for number in range(BATCHES):
        lesson = Lesson.of(slices.draw(rng, torch_rng, names, around=True), names)
        known = lesson.known[:, :, None, None]
        truth = lesson.truth & known
        shown |= truth.flatten(2).any(2).any(0).cpu().numpy()
        for inputs, sum_ in sums.items():
            with _as_in_use(device):
                logits = lesson.of_inputs(inputs).logits(network)
            found = (logits[:, : len(LEARNED)] > 0) & known
            sum_[0] += 2 * (found & truth).sum((0, 2, 3)).cpu().numpy()
            sum_[1] += (found.sum((0, 2, 3)) + truth.sum((0, 2, 3))).cpu().numpy()
            if number < CLICKED_BATCHES and list(inputs) == names:
                with _as_in_use(device):
                    _correct(network, lesson, logits, pixel_mm, clicked)
    figures = {}
    for inputs, (overlap, total) in sums.items():
        for place in np.flatnonzero(shown):
            value = float(overlap[place] / max(total[place], 1))
            figures[f"{'+'.join(inputs)} {LEARNED[place]}"] = round(value, 3)
    for count, values in clicked.items():
        if values:
            figures[f"after {count} clicks"] = round(float(np.mean(values)), 3)
    network.train()
    score = float(np.mean(list(figures.values()))) if figures else 0.0
    return {**figures, "score": round(score, 4)}


def in_short(figures: dict[str, float]) -> str:
    """The figures of :func:`validate` as a line for people: mean Dice of each set of inputs; of the
    fullest the targets and the worst structures; clicks; score."""
    sets: dict[str, dict[str, float]] = {}
    for name, value in figures.items():
        inputs, _, structure = name.partition(" ")
        if structure in LEARNED:
            sets.setdefault(inputs, {})[structure] = value
    parts = []
    if sets:
        means = (f"{np.mean(list(of.values())):.3f} {inputs}" for inputs, of in sets.items())
        parts.append(f"mean Dice {', '.join(means)}")
        fullest = next(iter(sets.values()))
        targets = [name for name in fullest if STRUCTURES[name].is_target]
        worst = sorted(fullest.keys() - set(targets), key=fullest.get)[:WORST]
        for title, names in (("targets", targets), ("worst", worst)):
            if names:
                parts.append(f"{title} {', '.join(f'{n} {fullest[n]:.2f}' for n in names)}")
    clicked = [n for n in CLICKS if f"after {n} clicks" in figures]
    if clicked:
        values = "/".join(f"{figures[f'after {n} clicks']:.2f}" for n in clicked)
        parts.append(f"{'/'.join(map(str, clicked))} clicks {values}")
    return "; ".join([*parts, f"score {figures['score']:.4f}"])


def _as_in_use(device: torch.device) -> torch.autocast:
    """The number format of inference."""
    dtype = choose_dtype(device)
    return torch.autocast(device.type, dtype, enabled=dtype is not torch.float32)


def _correct(network, lesson: Lesson, logits, pixel_mm: float, clicked) -> None:
    """Dice of each slice after some clicks; those without any structure do not count."""
    rng = np.random.default_rng(79)
    some = begin(lesson, logits, pixel_mm, rng, CAREFUL, (WINDOW,))
    counted = (some.counts & some.truth.flatten(1).any(1)).cpu().numpy()
    for count in range(max(CLICKS) + 1):
        if count in clicked:
            clicked[count] += list(_dice(some.result > 0.5, some.truth)[counted])
        if count < max(CLICKS):
            some.improve(network, rng)


def _dice(found: torch.Tensor, truth: torch.Tensor) -> np.ndarray:
    found, truth = found.flatten(1), truth.flatten(1)
    total = found.sum(1) + truth.sum(1)
    return (2 * (found & truth).sum(1) / total.clamp_min(1)).cpu().numpy()


@torch.no_grad()
def picture(network: torch.nn.Module, slices: Source, device: torch.device) -> np.ndarray:
    """Some slices, one a row: an image, what is drawn there, what the network finds; from T1w and
    T2w if patients have them.

    uint8 (rows, columns); every structure has a grey of its own.
    """
    rng, torch_rng = np.random.default_rng(79), torch.Generator(device).manual_seed(79)
    names = next(names for names in possible_sets(slices) if len(names) < 3)
    lesson = Lesson.of(slices.draw(rng, torch_rng, list(names), around=True), names)
    greys = torch.linspace(0.3, 1.1, len(LEARNED), device=device)[:, None, None]
    truth = (lesson.truth * greys).amax(1)
    found = ((lesson.logits(network)[:, : len(LEARNED)] > 0) * greys).amax(1)
    columns = (lesson.images[names[0]], truth, found)
    return mosaic([[column[n].cpu().numpy() for column in columns] for n in range(len(truth))])
