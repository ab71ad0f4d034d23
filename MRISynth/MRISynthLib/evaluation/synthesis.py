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
from ..simulation import virtual_patient
from ..simulation.protocols import protocol_prompt
from ..synthesis.synthesizer import UNITS, Synthesizer, Target
from ..volume import Volume
from .metrics import compare, match_brightness, sharpness_ratio
from .patients import REGRESSION_SEEDS, Patients, summarise

TASKS: tuple[tuple[tuple[str, ...], str], ...] = (
    (("T1w", "T2w"), "CE-T1w"),
    (("T1w", "T2w"), "STIR"),
    (("T1w", "T2w"), "FLAIR"),
    (("T1w",), "T2w"),
    (("T2w",), "T1w"),
)


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
    patients: Patients,
    output: Path | None = None,
    device: str = "auto",
    report: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Figures of a model on simulated patients that were not trained on.

    Beside the network stand copying the first input and a linear regression of the inputs
    fitted on training patients; the network is asked twice, by the sequence's name alone and
    with the true protocol in the prompt. For each task: MAE, PSNR, SSIM over whole image, body and
    tumour, sharpness, and the tumour's brightness against the brain's.

    Parameters
    ----------
    patients:
        On whom; with a benchmark the figures have one more level, for its sets.
    output:
        Folder for ``synthesis.json``.
    """
    synthesizer = Synthesizer(bundle, device)
    sequences = tuple(dict.fromkeys(name for task in TASKS for name in (*task[0], task[1])))
    drawn = patients.draw(bundle, sequences, report)
    training = [virtual_patient(s, sequences).volumes for s in REGRESSION_SEEDS]
    regressions = {task: fit_regression(training, *task) for task in TASKS}
    rows: dict[str, dict[str, list[dict]]] = {}
    for group, patient in drawn:
        for inputs, target in TASKS:
            key = f"{' + '.join(inputs)} -> {target}"
            row = _one(synthesizer, patient, inputs, target, regressions[inputs, target])
            rows.setdefault(group, {}).setdefault(key, []).append(row)
    figures = summarise(rows)
    if output is not None:
        _write(output, "synthesis.json", {**patients.record(), "figures": figures})
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
    match = target not in UNITS
    row: dict[str, Any] = {
        name: compare(image, truth, body, masks, match) for name, image in guesses.items()
    }
    made = guesses["network"]
    if match:
        made = match_brightness(made, truth, body)
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

    The truth is registered to the first input; only the body that both cover counts. Images
    with a unit (CT, ADC) are compared as they are, others after matching their brightness.

    Raises
    ------
    InputError
        If the truth's sequence is not known, an image cannot be used, or they share no body.
    """
    if truth.sequence is None:
        raise InputError(f"The sequence of {truth.name} is not known; give it as NAME=FILE.")
    synthesizer = Synthesizer(bundle, device)
    result = synthesizer.synthesize(inputs, [Target(truth.sequence, prompt)])
    aligned = prepare([inputs[0], truth]).registered[1]
    body = body_mask(inputs[0].voxels) & body_mask(aligned.voxels)
    if not body.any():
        raise InputError(
            f"{truth.name} and {inputs[0].name} show no part of the body in common; give images "
            "of one patient and one region."
        )
    wanted, match = _normalised(aligned), truth.sequence not in UNITS
    guesses = {
        "network": network_scale(result.volumes[truth.sequence]),
        f"copy {inputs[0].sequence}": _normalised(inputs[0]),
    }
    # not the whole image: where the truth has no voxels there is nothing to compare with
    figures: dict[str, Any] = {
        name: {"body": compare(image, wanted, body, {}, match)["body"]}
        for name, image in guesses.items()
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
