"""`mrisynth train synthesis`: trains a network that makes sequences."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from .. import comparators
from ..errors import InputError
from ..io.output import staged_file
from ..simulation.tissues import TISSUE_INDEX
from ..synthesis.adversarial import PatchCritic
from ..synthesis.base import Step, SynthesisNetwork, Task
from ..synthesis.completion import completed
from ..synthesis.direct_net import DirectNet
from ..synthesis.equation_net import EquationNet
from ..synthesis.losses import dissimilarity
from ..synthesis.towers import ContrastiveTowers
from .batches import SliceBatch, loss_weights
from .configuration import DATA_DEFAULTS
from .objective import Given, product_loss
from .runs import (
    COMMON_DEFAULTS,
    Loss,
    RunState,
    best_weights,
    enter_folder,
    mosaic,
    pick_device,
    processes,
    read_config,
    run,
)
from .sources import Source, open_sources, within
from .start import begin_with
from .survey import SCREEN, SURVEY, brightness_and_doubt, unfitted_screen
from .text import load_towers

DEFAULTS: dict[str, Any] = {
    **COMMON_DEFAULTS,
    **DATA_DEFAULTS,
    "start": None,
    "network": "tissue-maps",
    "network_options": {},
    "towers": None,
    "steps": 20000,
    "learning_rate": 1.5e-3,
    "size": [128, 128],
    "pixel_mm": 1.0,
    "cases": 2,
    "slices": 3,
    "targets_per_step": 2,
    "single_input": 0.3,
    "neighbours": 0.7,
    "focus": 0.6,
    "tumour_weight": 6.0,
    "tissue_weight": 0.3,
    "gradient_weight": 0.5,
    "ssim_weight": 0.5,
    "map_weight": 0.2,
    "physics_weight": 0.3,
    "uncertainty_weight": 0.05,
    "contrast_weight": 0.02,
    "alignment_weight": 0.02,
    "consistency_weight": 0.0,
    "adversarial_weight": 0.0,
    "ema": 0.998,
    "input_weights": {
        "T1w": 0.8, "T2w": 0.75, "T1w-FS": 0.15, "CE-T1w": 0.25, "CE-T1w-FS": 0.12,
        "T2w-FS": 0.2, "STIR": 0.2, "FLAIR": 0.2, "PDw": 0.1, "DWI": 0.06, "ADC": 0.06,
        "CT": 0.1,
    },
    "target_weights": {
        "CE-T1w": 8, "T1w": 3, "T2w": 4, "STIR": 2.5, "CE-T1w-FS": 2, "T1w-FS": 1,
        "T2w-FS": 1, "FLAIR": 2.5, "PDw": 0.6, "DWI": 0.6, "ADC": 0.6, "CT": 0.8,
    },
}  # fmt: skip
"""Weights of losses are of :func:`objective.product_loss`; a weight of 0 leaves the term out."""

NETWORKS: dict[str, type[SynthesisNetwork]] = {
    "tissue-maps": EquationNet,
    "any-to-all": DirectNet,
    **comparators.NETWORKS,
}

VALIDATION_TASKS: tuple[Task, ...] = (
    (("T1w", "T2w"), "CE-T1w"),
    (("T1w",), "T2w"),
    (("T2w",), "T1w"),
    (("T1w", "T2w"), "STIR"),
    (("T1w", "T2w"), "FLAIR"),
)

VALIDATION_BATCHES = 6
"""Of each task."""


def draw_task(
    rng: np.random.Generator, config: dict[str, Any], network: SynthesisNetwork, source: Source
) -> tuple[list[str], list[str]]:
    """(inputs, targets) of one step; no sequence is both, and any input may be the first.

    config: the settings :func:`sources.within` the sequences of a patient.

    Raises
    ------
    InputError
        If the network can do some tasks only and no patient has the images of any.
    """
    if network.tasks is not None:
        tasks = [task for task in network.tasks if source.drawable([*task[0], task[1]])]
        if not tasks:
            able = "; ".join(f"{made} from {' and '.join(names)}" for names, made in network.tasks)
            raise InputError(
                f"The network '{config['network']}' makes only {able}, and no patient has these "
                "images; choose another network or other patients."
            )
        inputs, target = tasks[int(rng.integers(len(tasks)))]
        return list(inputs), [target]
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
        inputs = [name for name in config["input_weights"] if name not in chosen][:1]
    inputs = [inputs[n] for n in rng.permutation(len(inputs))][:3]
    if rng.random() < float(config["single_input"]):
        inputs = inputs[:1]
    return inputs, [str(name) for name in chosen]


def wishes(batch: SliceBatch, inputs: Sequence[str], target: str) -> list:
    """What is asked for of each slice: its mention, completed from the inputs' as in use."""
    given = zip(*(batch.mentions[name] for name in inputs), strict=True)
    return [
        completed(wish, found)[0] for wish, found in zip(batch.mentions[target], given, strict=True)
    ]


def given(
    network: SynthesisNetwork, batch: SliceBatch, inputs: list[str], targets: list[str]
) -> Given:
    """A batch as a network takes it."""
    images = torch.stack([batch.images[name] for name in inputs], 1)
    described = torch.stack([network.embed(batch.mentions[name]) for name in inputs], 1)
    around = None
    if batch.around is not None and network.context:
        around = torch.stack([batch.around[name] for name in inputs], 1)
    wanted = {target: wishes(batch, inputs, target) for target in targets}
    return Given(batch, inputs, targets, images, described, around, wanted)


def as_step(network: SynthesisNetwork, found: Given, tumour_weight: float) -> Step:
    """The same for networks that bring a loss of their own."""
    return Step(
        found.images,
        tuple(found.inputs),
        tuple(found.targets),
        found.described,
        tuple(network.embed(found.wishes[target]) for target in found.targets),
        torch.stack([found.batch.images[target] for target in found.targets], 1),
        loss_weights(found.batch.tissue, tumour_weight),
    )


@torch.no_grad()
def validate(network: SynthesisNetwork, slices: Source, device: torch.device) -> dict[str, float]:
    """Mean absolute error in body and tumour per task, beside that of copying the first input,
    and SSIM in the body, whose mean over the tasks is the ``score``.

    Always the same slices: seeds are fixed. An error is the mean over the batches that
    show any of its region; without such a batch it is left out. Tasks that the network cannot do,
    or no patient has the images for, are left out.
    """
    network.eval()
    figures: dict[str, float] = {}
    similarities = []
    for number, (inputs, target) in enumerate(possible_tasks(network, slices)):
        rng = np.random.default_rng(77 + number)
        torch_rng = torch.Generator(device).manual_seed(77 + number)
        rows: dict[str, list[float]] = {}
        for _ in range(VALIDATION_BATCHES):
            batch = slices.draw(
                rng, torch_rng, [*inputs, target], clean=(target,), plain=1.0, around=True
            )
            found = given(network, batch, list(inputs), [target])
            features = network.encode(found.images, found.described, None, found.around)
            image, _ = network.decode(features, network.embed(found.wishes[target]))
            _compare(rows, image.float(), batch, inputs[0], target)
        key = f"{'+'.join(inputs)}->{target}"
        means = {name: round(float(np.mean(values)), 4) for name, values in rows.items()}
        figures |= {f"{key} {name}": value for name, value in means.items()}
        similarities.append(means["SSIM"])
    network.train()
    return {**figures, "score": round(float(np.mean(similarities)), 4)}


def _compare(rows: dict[str, list[float]], image, batch, first: str, target: str) -> None:
    truth = batch.images[target]
    body = batch.tissue != TISSUE_INDEX["air"]
    tumour = loss_weights(batch.tissue, 5.0) == 5.0
    for name, guess in (("", image), ("copy ", batch.images[first])):
        error = (guess - truth).abs()
        for region, mask in (("body", body), ("tumour", tumour)):
            if mask.any():
                rows.setdefault(f"{name}{region}", []).append(float(error[mask].mean()))
    similarity = 1 - dissimilarity(image, truth, body.float())
    rows.setdefault("SSIM", []).append(float(similarity))


@torch.no_grad()
def picture(network: SynthesisNetwork, slices: Source, device: torch.device) -> np.ndarray:
    """Some slices, one a row: the inputs, the target, what the network makes of it; of each
    validation task that can be shown. uint8 (rows, columns)."""
    network.eval()
    rng, torch_rng = np.random.default_rng(79), torch.Generator(device).manual_seed(79)
    rows = []
    for inputs, target in possible_tasks(network, slices):
        batch = slices.draw(rng, torch_rng, [*inputs, target], clean=(target,), around=True)
        found = given(network, batch, list(inputs), [target])
        features = network.encode(found.images, found.described, None, found.around)
        image, _ = network.decode(features, network.embed(found.wishes[target]))
        shown = [*(batch.images[name] for name in inputs), batch.images[target], image.float()]
        shown = [shown[0]] * (4 - len(shown)) + shown
        rows.append([each[0].cpu().numpy() for each in shown])
    network.train()
    return mosaic(rows)


def possible_tasks(network: SynthesisNetwork, source: Source) -> list[Task]:
    """Those of :data:`VALIDATION_TASKS` that the network can do and a patient has images for;
    without any, one that it can do."""
    tasks = [task for task in VALIDATION_TASKS if network.tasks is None or task in network.tasks]
    found = [(given, target) for given, target in tasks if source.drawable([*given, target])]
    if found:
        return found
    names = source.available(np.random.default_rng(0))
    pairs = [((a,), b) for a in sorted(names) for b in sorted(names) if a != b]
    every = network.tasks if network.tasks is not None else pairs
    return [task for task in every if source.drawable([*task[0], task[1]])][:1]


def train_synthesis(
    configs: Path | Sequence[Path],
    output: Path,
    resume: bool = False,
    report: Callable[[str], None] = print,
    overrides: Sequence[str] = (),
) -> Path:
    """Train as ``configs`` (files over :data:`DEFAULTS`) and ``overrides`` (``field=value``) say;
    returns the run's folder.

    The folder holds ``checkpoint.pt`` (resumes exactly), ``best.pt``, ``log.jsonl``, TensorBoard
    files, samples, and at the end what :mod:`survey` found.
    :func:`MRISynthLib.training.export.export_synthesis` turns it into a bundle. Started by
    ``torchrun``, all its processes learn together.

    Raises
    ------
    InputError
        If the configuration, the folder, a source of patients or the model to start from cannot
        be used.
    EndedElsewhere
        If another process of the run has ended.
    """
    output = Path(output)
    with processes() as group:
        report = group.reporter(report)
        with group.in_turn():
            config = read_config(configs, DEFAULTS, overrides)
            device = pick_device(config, group)
            network = make_network(config)
            towers = _frozen_towers(config, network, device)
            if group.is_first:
                enter_folder(output, config, resume, report)
            begin_with(network, config, "synthesis", output, report, first=group.is_first)
            sources = open_sources(config, output, device, report)
        learned = sum(weight.numel() for weight in network.parameters() if weight.requires_grad)
        report(f"the network {config['network']} has {learned / 1e6:.2f} million weights to learn")
        state = RunState.new(network, config, device, group)
        if resume and state.load(output):
            report(f"resumed at step {state.step}")
        held_out = sources.validation
        run(
            state,
            config,
            output,
            lambda: _loss(state, config, sources.training, towers, device),
            lambda: validate(network, held_out, device),
            report,
            lambda: picture(network, held_out, device),
        )
        if group.is_first:
            write_survey(output, network, towers, sources, report)
        group.wait()
    return output


def _loss(state, config, source, towers, device) -> Loss:
    """Of one batch drawn from the state's random numbers."""
    network = state.network
    part = source.pick(state.rng)
    settings = within(config, part.available(state.rng))
    inputs, targets = draw_task(state.rng, settings, network, part)
    batch = part.draw(
        state.rng,
        state.torch_rng,
        [*inputs, *targets],
        clean=tuple(targets),
        parameters=isinstance(network, EquationNet),
        around=network.context > 0 and state.rng.random() < float(config["neighbours"]),
    )
    with torch.autocast(device.type, torch.bfloat16, enabled=config["precision"] == "bf16"):
        found = given(network, batch, inputs, targets)
        if hasattr(network, "step_loss"):
            return network.step_loss(as_step(network, found, float(config["tumour_weight"])))
        return product_loss(network, found, config, towers)


def _frozen_towers(config, network, device) -> ContrastiveTowers | None:
    if not config["towers"]:
        return None
    folder = Path(config["towers"])
    if not (folder / "config.json").is_file():
        raise InputError(
            f"The field towers of the settings names {folder}, which holds no run of 'mrisynth "
            "train text'; train one there, name another, or leave the field out."
        )
    towers = load_towers(folder).to(device).eval().requires_grad_(False)
    take_tower(network, towers)
    return towers


def write_survey(output, network, towers, sources, report) -> None:
    """``survey.json`` and, with towers, ``screen.safetensors``, of the weights to be exported."""
    weights, _ = best_weights(output)
    network.load_state_dict(weights, strict=False)
    found = brightness_and_doubt(network, sources.validation, given)
    if towers is not None and hasattr(network, "look"):
        values = unfitted_screen(network, towers).state_dict()
        with staged_file(output / SCREEN) as stage:
            save_file({key: value.contiguous() for key, value in values.items()}, stage)
    with staged_file(output / SURVEY) as stage:
        stage.write_text(json.dumps(found, indent=2), encoding="utf-8")


def make_network(config: dict[str, Any]) -> SynthesisNetwork:
    """The network that the settings ask for, with a critic if its loss has one.

    Raises
    ------
    InputError
        If its name or an option is unknown.
    """
    name = config["network"]
    if name not in NETWORKS:
        raise InputError(
            f"The network '{name}' in the settings is unknown; choose {', '.join(NETWORKS)}."
        )
    try:
        network = NETWORKS[name](**config["network_options"])
    except TypeError as error:
        raise InputError(
            f"The field network_options of the settings does not fit the network {name}: {error}."
        ) from None
    product = not hasattr(network, "step_loss")
    if product and config["adversarial_weight"]:
        network.critic = PatchCritic(conditions=1, channels=32, norm=None)
    if product and config["consistency_weight"] and not config["towers"]:
        raise InputError(
            "The field consistency_weight of the settings needs towers, the folder of a run of "
            "'mrisynth train text'; name one, or set the weight to 0."
        )
    return network


def take_tower(network: SynthesisNetwork, towers: ContrastiveTowers) -> None:
    """Let the network read prompts with a tower that was taught before, and is not changed."""
    prompt = getattr(network, "prompt", None)
    if prompt is not None:
        prompt.tower = copy.deepcopy(towers.text).requires_grad_(False)
