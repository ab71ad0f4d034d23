"""`mrisynth train text`: trains text and image towers on pairs of the virtual cohort."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from ..errors import InputError
from ..sequences import SEQUENCE_NAMES, SEQUENCES
from ..simulation.protocols import Mention, Protocol, draw_protocol
from ..synthesis.base import contrast_vectors
from ..synthesis.towers import ContrastiveTowers, contrastive_loss
from .batches import SimulatedSlices
from .cohort import cohort_paths
from .handwriting import nonsense
from .lexicon import Lexicon
from .runs import (
    COMMON_DEFAULTS,
    RunState,
    best_weights,
    enter_folder,
    pick_device,
    processes,
    read_config,
    run,
)
from .text_validation import validate

DEFAULTS: dict[str, Any] = {
    **COMMON_DEFAULTS,
    "precision": "fp32",
    "steps": 2500,
    "learning_rate": 1.5e-3,
    "ema": 0.997,
    "size": [96, 96],
    "pixel_mm": 2.0,
    "cases": 4,
    "slices": 1,
    "sequences": 10,
    "focus": 0.2,
    "phrases": 128,
    "phrase_weight": 1.0,
    "reserved_prompts": [],
    "text_checkpoint": None,
}

_NONSENSE = 0.12
"""Share of the phrases that mean nothing."""

_WORDS_ONLY, _NUMBERS_ONLY = 0.4, 0.1
"""Shares of the prompts of which the other half is left out."""

_TOLERANCE = 0.07
"""Difference of two contrast vectors at which their images are taken for rather unlike; a time
that is a third longer."""

_COUNTER_PROMPTS, _COUNTER_FACTOR = 16, (1.4, 2.2)
"""How many prompts with the right words and a wrong echo time there are in a step, and how wrong
it is."""

_FIELD_COUNTS = 0.3
"""The field strength is hardly to be seen."""

_ZOOM, _GAMMA = (0.75, 1.25), (0.85, 1.2)


def full_description(protocol: Protocol) -> Mention:
    """A protocol with all its numbers."""
    info = SEQUENCES[protocol.sequence]
    numbers = {}
    if protocol.technique not in ("CT", "ADC"):
        numbers = {
            "field_strength_t": protocol.field_t,
            "tr_ms": protocol.tr_ms,
            "te_ms": protocol.te_ms,
            "ti_ms": protocol.ti_ms or None,
        }
    technique = None
    if protocol.technique in ("GRE", "MPRAGE"):
        numbers["flip_angle_deg"] = protocol.flip_deg
        technique = "gradient echo"
    suppressed = protocol.sequence.endswith("-FS") or protocol.sequence == "STIR"
    return Mention(
        info.name, info.name, info.contrast_agent, suppressed, **numbers, technique=technique
    )


def likeness(images: torch.Tensor, texts: torch.Tensor) -> torch.Tensor:
    """(images, texts), 0-1: how far each text is true of each image.

    0 for another sequence, else less the further the numbers are from those that the text says.
    Both are contrast vectors (n, VECTOR_SIZE).
    """
    kinds = len(SEQUENCE_NAMES)
    same = images[:, None, :kinds].eq(texts[None, :, :kinds]).all(2)
    values, known = texts[:, kinds + 2 :: 2], texts[:, kinds + 3 :: 2]
    there = known[None] * images[:, None, kinds + 3 :: 2]
    counts = torch.ones(values.shape[1], device=texts.device)
    counts[0] = _FIELD_COUNTS
    apart = ((images[:, None, kinds + 2 :: 2] - values[None]).abs() * there * counts).sum(2)
    return same * torch.exp(-apart / _TOLERANCE)


class _Lesson:
    """Draws pairs of images and prompts, and phrases, and says how wrong the towers are."""

    def __init__(self, towers: ContrastiveTowers, slices, lexicon: Lexicon, config) -> None:
        self.towers, self.slices, self.lexicon, self.config = towers, slices, lexicon, config

    def loss(
        self, rng: np.random.Generator, torch_rng: torch.Generator
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Of one step, and its parts."""
        mixed = self.config["precision"] == "bf16"
        with torch.autocast(self.towers.device.type, torch.bfloat16, enabled=mixed):
            pairs, phrases = self._pairs(rng, torch_rng), self._phrases(rng)
        total = pairs + self.config["phrase_weight"] * phrases
        return total, {"pairs": pairs.detach(), "phrases": phrases.detach()}

    def _pairs(self, rng, torch_rng) -> torch.Tensor:
        count = int(self.config["sequences"])
        chosen = [str(name) for name in rng.choice(SEQUENCE_NAMES, count, replace=False)]
        clean = tuple(name for name in chosen if rng.random() < 0.4)
        batch = self.slices.draw(rng, torch_rng, chosen, clean=clean)
        protocols = [p for name in chosen for p in batch.protocols[name]]
        said = [self.lexicon.write(protocol, rng).said for protocol in protocols]
        device = self.towers.device
        images = _varied(torch.cat([batch.images[name] for name in chosen]), rng)
        vectors = contrast_vectors(said).to(device)
        true = [full_description(protocol) for protocol in protocols]
        alike = likeness(contrast_vectors(true).to(device), vectors)
        alike.fill_diagonal_(1.0)
        chance = rng.random(len(said))
        texts = [
            "" if share < _NUMBERS_ONLY else each.text
            for each, share in zip(said, chance, strict=True)
        ]
        kept = torch.from_numpy(chance < 1 - _WORDS_ONLY).to(device)
        vectors = vectors * kept[:, None]
        wrong = _counter_prompts(true, rng)
        if wrong:
            texts += [each.text for each in wrong]
            others = contrast_vectors(wrong).to(device)
            vectors = torch.cat([vectors, others])
            alike = torch.cat([alike, likeness(contrast_vectors(true).to(device), others)], 1)
        found = self.towers.similarity(self.towers.look(images), self.towers.read(texts, vectors))
        return contrastive_loss(found, alike)

    def _phrases(self, rng) -> torch.Tensor:
        """Phrases alone shall lie nearest to the name of what they mean, nonsense to none."""
        texts, meant = [], []
        for _ in range(int(self.config["phrases"])):
            if rng.random() < _NONSENSE:
                texts.append(nonsense(rng))
                meant.append(np.full(len(SEQUENCE_NAMES), 1 / len(SEQUENCE_NAMES)))
            else:
                number = int(rng.integers(len(SEQUENCE_NAMES)))
                protocol = draw_protocol(SEQUENCE_NAMES[number], rng)
                texts.append(self.lexicon.write(protocol, rng).said.text)
                meant.append(np.eye(len(SEQUENCE_NAMES))[number])
        names = self.towers.read(SEQUENCE_NAMES)
        found = self.towers.similarity(self.towers.read(texts), names)
        wanted = torch.from_numpy(np.array(meant, np.float32)).to(found)
        return functional.cross_entropy(found, wanted)


def _counter_prompts(true: Sequence[Mention], rng: np.random.Generator) -> list[Mention]:
    """Some of the descriptions with another echo time, so that the numbers have to be looked at."""
    wrong = []
    for number in rng.permutation(len(true))[:_COUNTER_PROMPTS]:
        said = true[int(number)]
        if said.te_ms:
            factor = float(rng.uniform(*_COUNTER_FACTOR)) ** float(rng.choice((-1, 1)))
            wrong.append(replace(said, te_ms=said.te_ms * factor))
    return wrong


def _varied(images: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """The same at another zoom and with another tone curve."""
    zoom = float(np.exp(rng.uniform(*np.log(_ZOOM))))
    sides = [max(64, round(side * zoom)) for side in images.shape[1:]]
    images = functional.interpolate(
        images[:, None], sides, mode="bilinear", align_corners=False, antialias=zoom < 1
    )[:, 0]
    gamma = torch.from_numpy(rng.uniform(*_GAMMA, len(images)).astype(np.float32)).to(images)
    return images.clamp(min=0) ** gamma[:, None, None]


def train_text(
    configs: Path | Sequence[Path],
    output: Path,
    resume: bool = False,
    report: Callable[[str], None] = print,
    overrides: Sequence[str] = (),
) -> Path:
    """Train as ``configs`` (files over :data:`DEFAULTS`) and ``overrides`` (``field=value``) say;
    returns the run's folder.

    ``text_checkpoint`` names a local folder with a CLIP or BiomedCLIP, whose text model then takes
    the place of the words' own network; ``reserved_prompts`` names JSON files of prompts that are
    kept out of training. :func:`load_towers` reads what was trained. Started by ``torchrun``, all
    its processes learn together.

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
            config = _checked(read_config(configs, DEFAULTS, overrides))
            device = pick_device(config, group)
            lexicon = Lexicon(reserved_texts(config["reserved_prompts"]))
            towers = build_towers(config)
            if group.is_first:
                enter_folder(output, config, resume, report)
            training, validation = cohort_paths(config, output, report)
        how = tuple(config["size"]), float(config["pixel_mm"])
        shares = {"focus": float(config["focus"]), "device": str(device)}
        counts = int(config["cases"]), int(config["slices"])
        lesson = _Lesson(
            towers, SimulatedSlices(training, *how, *counts, **shares), lexicon, config
        )
        held_out = SimulatedSlices(validation, *how, 1, 1, **shares)
        state = RunState.new(towers, config, device, group)
        if resume and state.load(output):
            report(f"resumed at step {state.step}")
        run(
            state,
            config,
            output,
            lambda: lesson.loss(state.rng, state.torch_rng),
            lambda: validate(towers, held_out, lexicon),
            report,
        )
    return output


def _checked(config: dict[str, Any]) -> dict[str, Any]:
    if not 2 <= config["sequences"] <= len(SEQUENCE_NAMES):
        raise InputError(
            f"The field sequences of the settings is {config['sequences']}; it must be between 2 "
            f"and {len(SEQUENCE_NAMES)}."
        )
    return config


def build_towers(config: dict[str, Any]) -> ContrastiveTowers:
    """Untrained towers of a configuration; the text model of a checkpoint comes trained.

    Raises
    ------
    InputError
        If the checkpoint cannot be used.
    """
    if not config.get("text_checkpoint"):
        return ContrastiveTowers()
    from ..synthesis.checkpoint_text import PretrainedTextTower

    return ContrastiveTowers(PretrainedTextTower.load(Path(config["text_checkpoint"])))


def reserved_texts(paths: Sequence[str]) -> list[str]:
    """Every ``text`` in JSON files of the form of the prompts that the product is judged by:
    an object of lists of objects with a ``text``.

    Raises
    ------
    InputError
        If a file cannot be read so.
    """
    texts = []
    for path in paths:
        try:
            lists = json.loads(Path(path).read_text(encoding="utf-8"))
            texts += [entry["text"] for entries in lists.values() for entry in entries]
        except OSError:
            raise InputError(
                f"The file {path} of reserved_prompts cannot be read; name another."
            ) from None
        except (ValueError, TypeError, KeyError, AttributeError):
            raise InputError(
                f"The file {path} of reserved_prompts is no JSON object of lists of prompts with "
                "a text; name another."
            ) from None
    return texts


def load_towers(folder: Path) -> ContrastiveTowers:
    """The best weights of a run of :func:`train_text`, for use: frozen, on the CPU.

    Raises
    ------
    InputError
        If the folder holds no such run.
    """
    folder = Path(folder)
    weights, _ = best_weights(folder)
    try:
        towers = build_towers(json.loads((folder / "config.json").read_text(encoding="utf-8")))
        towers.load_state_dict(weights)
    except (OSError, ValueError, RuntimeError, AttributeError):
        raise InputError(
            f"{folder} holds no run of 'mrisynth train text'; name the folder of one."
        ) from None
    return towers.eval().requires_grad_(False)


def files_of_towers(folder: Path) -> dict[str, Path]:
    """Name -> file of the text model that a run took from a checkpoint; empty if it has its own.

    Raises
    ------
    InputError
        If the run or the checkpoint is not there any more.
    """
    try:
        config = json.loads((Path(folder) / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise InputError(
            f"{folder} holds no run of 'mrisynth train text'; put it back as it was."
        ) from None
    if not config.get("text_checkpoint"):
        return {}
    from ..synthesis.checkpoint_text import model_files

    return model_files(Path(config["text_checkpoint"]))
