"""`mrisynth evaluate synthesis` and `evaluate pair`: the network beside what is simpler."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ..bundles import Bundle
from ..errors import InputError
from ..io.output import staged_folder
from ..preprocessing.background import body_mask
from ..preprocessing.normalisation import normalise
from ..preprocessing.preparation import prepare
from ..simulation import LabelMapSource, virtual_patient
from ..simulation.protocols import protocol_prompt
from ..synthesis.synthesizer import UNITS, Synthesizer, Target
from ..volume import Volume
from .metrics import compare, match_brightness, mean_of, sharpness_ratio

TASKS: tuple[tuple[tuple[str, ...], str], ...] = (
    (("T1w", "T2w"), "CE-T1w"),
    (("T1w", "T2w"), "STIR"),
    (("T1w", "T2w"), "FLAIR"),
    (("T1w",), "T2w"),
    (("T2w",), "T1w"),
)

TRAINING_SEEDS = range(1000, 1004)
"""Patients on which the linear regression is fitted; none of them is evaluated."""

FIRST_EVALUATION_SEED = 90_000


def held_out_source(
    bundle: Bundle, label_maps: Path | None, mapping: Path | None
) -> LabelMapSource | None:
    """The label maps that the model never saw, or None for procedural anatomy."""
    if label_maps is None:
        return None
    kept = bundle.metadata.get("training", {}).get("held_out_maps", [])
    return LabelMapSource(label_maps, mapping).only(kept)


def _normalised(volume: Volume) -> np.ndarray:
    return normalise(volume.voxels, sequence=volume.sequence)[0]


def network_scale(volume: Volume) -> np.ndarray:
    """A synthetic volume back on the network's own 0-1 scale."""
    scale, offset, _ = UNITS.get(volume.sequence, (1000.0, 0.0, ""))
    return (volume.voxels - offset) / scale


def fit_regression(
    patients: list[dict[str, Volume]], inputs: tuple[str, ...], target: str
) -> np.ndarray:
    """Least-squares weights (inputs + 1) of target = sum(w * input) + constant in the body."""
    rows, values = [], []
    for volumes in patients:
        body = body_mask(volumes[inputs[0]].voxels)
        columns = [_normalised(volumes[name])[body][::7] for name in inputs]
        rows.append(np.stack([*columns, np.ones_like(columns[0])], 1))
        values.append(_normalised(volumes[target])[body][::7])
    weights, *_ = np.linalg.lstsq(np.concatenate(rows), np.concatenate(values), rcond=None)
    return weights


def evaluate_synthesis(
    bundle: Bundle,
    cases: int = 4,
    seed: int = FIRST_EVALUATION_SEED,
    output: Path | None = None,
    device: str = "auto",
    label_maps: Path | None = None,
    mapping: Path | None = None,
    report: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Figures of a model on simulated patients that were not trained on.

    Beside the network stand copying the first input and a linear regression of the inputs
    fitted on training patients; the network is asked twice, by the sequence's name alone and
    with the true protocol in the prompt. For each task: MAE, PSNR, SSIM over whole image, body and
    tumour, sharpness, and the tumour's brightness against the brain's.

    Parameters
    ----------
    cases, seed:
        How many patients, and the seed of the first.
    label_maps, mapping:
        A folder of label maps to draw the anatomy from, and its mapping; only those that the
        model was not trained on are used. None for procedural anatomy.
    output:
        Folder for ``synthesis.json``.
    """
    if seed in TRAINING_SEEDS:
        raise InputError(f"The seed {seed} belongs to training patients; choose another.")
    source = held_out_source(bundle, label_maps, mapping)
    synthesizer = Synthesizer(bundle, device)
    sequences = tuple(dict.fromkeys(name for task in TASKS for name in (*task[0], task[1])))
    training = [virtual_patient(s, sequences).volumes for s in TRAINING_SEEDS]
    regressions = {task: fit_regression(training, *task) for task in TASKS}
    rows: dict[str, list[dict]] = {}
    for number in range(cases):
        patient = virtual_patient(seed + number, sequences, source=source)
        report(f"patient {number + 1} of {cases}: {patient.description.get('stage')}")
        for inputs, target in TASKS:
            key = f"{' + '.join(inputs)} -> {target}"
            row = _one(synthesizer, patient, inputs, target, regressions[inputs, target])
            rows.setdefault(key, []).append(row)
    figures: dict[str, Any] = {key: mean_of(found) for key, found in rows.items()}
    if output is not None:
        _write(output, "synthesis.json", {"cases": cases, "seed": seed, "figures": figures})
    return figures


def _one(synthesizer, patient, inputs, target, weights) -> dict[str, Any]:
    volumes = patient.volumes
    images = [volumes[name] for name in inputs]
    result = synthesizer.synthesize(images, [Target(target)], register=False)
    prompt = protocol_prompt(patient.protocols[target])
    told = synthesizer.synthesize(images, [Target(target, prompt)], register=False)
    truth = _normalised(volumes[target])
    given = [_normalised(volumes[name]) for name in inputs]
    body = body_mask(volumes[inputs[0]].voxels)
    tumour = patient.segmentation_masks["GTVp"]
    masks = {"tumour": tumour} if tumour.any() else {}
    regressed = sum(w * image for w, image in zip(weights, given, strict=False)) + weights[-1]
    guesses = {
        "network": network_scale(result.volumes[target]),
        "network, protocol in the prompt": network_scale(told.volumes[target]),
        f"copy {inputs[0]}": given[0],
        "linear regression": regressed,
    }
    row: dict[str, Any] = {
        name: compare(image, truth, body, masks) for name, image in guesses.items()
    }
    made = match_brightness(guesses["network"], truth, body)
    row["sharpness of network"] = sharpness_ratio(made, truth, body)
    if tumour.any():
        brain = patient.segmentation_masks["Brain"]
        row["tumour over brain"] = {
            name: float(image[tumour].mean() / max(image[brain].mean(), 1e-6))
            for name, image in {"truth": truth, **guesses}.items()
        }
    doubt = network_scale(result.uncertainty[target].replace(sequence=target))
    error = np.abs(made - truth)[body]
    row["uncertainty correlates with error"] = float(np.corrcoef(doubt[body], error)[0, 1])
    return row


def evaluate_pair(
    bundle: Bundle,
    inputs: list[Volume],
    truth: Volume,
    output: Path | None = None,
    device: str = "auto",
    prompt: str = "",
) -> dict[str, Any]:
    """Figures on real images: make ``truth.sequence`` from ``inputs`` and compare.

    The truth is registered to the first input; only the body that both cover counts.
    """
    if truth.sequence is None:
        raise InputError(f"The sequence of {truth.name} is not known; give it as NAME=FILE.")
    synthesizer = Synthesizer(bundle, device)
    result = synthesizer.synthesize(inputs, [Target(truth.sequence, prompt)])
    aligned = prepare([inputs[0], truth]).registered[1]
    body = body_mask(inputs[0].voxels) & body_mask(aligned.voxels)
    wanted = _normalised(aligned)
    figures: dict[str, Any] = {
        "network": compare(network_scale(result.volumes[truth.sequence]), wanted, body, {}),
        f"copy {inputs[0].sequence}": compare(_normalised(inputs[0]), wanted, body, {}),
    }
    if output is not None:
        given = " + ".join(str(volume.sequence) for volume in inputs)
        record = {"warnings": list(result.warnings)} if result.warnings else {}
        record["figures"] = {f"{given} -> {truth.sequence}": figures}
        _write(output, "pair.json", record)
    return figures


def _write(output: Path, name: str, values: dict[str, Any]) -> None:
    with staged_folder(Path(output)) as stage:
        (stage / name).write_text(json.dumps(values, indent=2), encoding="utf-8")
