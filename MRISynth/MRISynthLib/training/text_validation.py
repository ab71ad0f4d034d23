"""How well text and image towers read and look, on what was kept from their training."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import torch

from ..sequences import SEQUENCE_NAMES
from ..simulation.protocols import T2_SPIN_ECHO, Mention, draw_protocol
from ..synthesis.base import contrast_vectors
from ..synthesis.towers import ContrastiveTowers, canonical_embeddings
from .batches import SimulatedSlices
from .handwriting import nonsense
from .lexicon import Lexicon
from .lexicon_words import LANGUAGES

PATIENTS, PHRASES, ECHOES = 12, 150, 48
"""Patients with an image of every sequence, phrases of each language, and pairs of slices."""

_TE_MS, _TR_MS = (75.0, 115.0), 4000.0
"""Of the pairs."""


@torch.no_grad()
def validate(
    towers: ContrastiveTowers, slices: SimulatedSlices, lexicon: Lexicon
) -> dict[str, float]:
    """How well the towers read and look, on patients and phrases kept from training.

    Shares of images matched to the right one of their patient's twelve prompts (words alone, and
    with numbers), of phrases nearest to the right sequence by language and among those that deny
    something, of nonsense of which no sequence gets half of the probability; and of slices that lie
    nearer to the prompt of a long echo time when they are taken with a long one than with a short
    one (0.5 is chance). The ``score`` is the mean of all of them.
    """
    towers.eval()
    rng = np.random.default_rng(77)
    torch_rng = torch.Generator(towers.device).manual_seed(77)
    figures = _matched(towers, slices, lexicon, rng, torch_rng)
    figures |= _understood(towers, lexicon, rng)
    figures["echo times told"] = _echo_order(towers, slices, rng, torch_rng)
    figures["score"] = float(np.mean(list(figures.values())))
    return {name: round(value, 4) for name, value in figures.items()}


def _matched(towers, slices, lexicon, rng, torch_rng) -> dict[str, float]:
    right = np.zeros(3)
    for _ in range(PATIENTS):
        batch = slices.draw(rng, torch_rng, list(SEQUENCE_NAMES))
        said = [lexicon.write(batch.protocols[name][0], rng).said for name in SEQUENCE_NAMES]
        seen = towers.look(torch.cat([batch.images[name] for name in SEQUENCE_NAMES]))
        texts = [each.text for each in said]
        prompts = (
            towers.read(texts),
            towers.read(texts, contrast_vectors(said).to(towers.device)),
            canonical_embeddings(towers),
        )
        truth = torch.arange(len(said), device=towers.device)
        right += [float(((seen @ p.T).argmax(1) == truth).float().mean()) for p in prompts]
    names = ("images matched by words", "images matched by words and numbers", "images named")
    return dict(zip(names, (right / PATIENTS).tolist(), strict=True))


def _understood(towers, lexicon, rng) -> dict[str, float]:
    names = canonical_embeddings(towers)
    figures, denied = {}, []
    meant = np.arange(PHRASES) % len(SEQUENCE_NAMES)
    for language in LANGUAGES:
        protocols = [draw_protocol(SEQUENCE_NAMES[number], rng) for number in meant]
        written = [lexicon.write(p, rng, test=True, language=language) for p in protocols]
        found = towers.read([each.said.text for each in written]) @ names.T
        hits = found.argmax(1).cpu().numpy() == meant
        figures[f"phrases read {language}"] = float(hits.mean())
        denied += [hit for hit, each in zip(hits, written, strict=True) if each.negated]
    figures["phrases read with a negation"] = float(np.mean(denied))
    texts = [nonsense(rng, test=True) for _ in range(PHRASES)]
    sure = towers.similarity(towers.read(texts), names).softmax(1).amax(1)
    figures["nonsense doubted"] = float((sure < 0.5).float().mean())
    return figures


def _echo_order(towers, slices, rng, torch_rng) -> float:
    said = [Mention("T2w", "T2w", False, False, None, _TR_MS, te) for te in _TE_MS]
    short, long = towers.read(["T2w"] * 2, contrast_vectors(said).to(towers.device))
    right = []
    for _ in range(ECHOES):
        leaning = []
        seeds = int(rng.integers(2**31)), int(rng.integers(2**31))
        for te in _TE_MS:
            again = np.random.default_rng(seeds[0]), torch_rng.manual_seed(seeds[1])
            images = _with_echo_time(slices, te).draw(*again, ["T2w"]).images["T2w"]
            leaning.append(float((towers.look(images) @ (long - short)).mean()))
        right.append(leaning[1] > leaning[0])
    return float(np.mean(right))


def _with_echo_time(slices: SimulatedSlices, te_ms: float) -> SimulatedSlices:
    """The same, in hospitals that take T2w with this echo time."""
    ranges = replace(T2_SPIN_ECHO, tr_ms=(_TR_MS,) * 2, te_ms=(te_ms,) * 2)
    same = copy.copy(slices)
    same.hospitals = tuple(
        replace(each, protocols={**each.protocols, "T2w": ranges}) for each in slices.hospitals
    )
    return same
