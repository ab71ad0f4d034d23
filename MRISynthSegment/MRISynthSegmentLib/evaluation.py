"""`mrisynth evaluate segmentation`: Dice on simulated patients that were not trained on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from MRISynthLib.bundles import Bundle
from MRISynthLib.evaluation.patients import Patients, summarise
from MRISynthLib.io.output import staged_folder
from MRISynthLib.volume import Volume

from .segmenter import Segmenter

INPUT_SETS = (("T1w", "T2w", "CE-T1w"), ("T1w", "T2w"), ("T1w",), ("T2w",))


def dice(found: np.ndarray, truth: np.ndarray) -> float:
    """Dice coefficient of two boolean masks; 1 if both are empty."""
    total = np.count_nonzero(found) + np.count_nonzero(truth)
    return 2 * np.count_nonzero(found & truth) / total if total else 1.0


def evaluate_segmentation(
    bundle: Bundle,
    patients: Patients,
    output: Path | None = None,
    device: str = "auto",
    synthesis: Bundle | None = None,
    report: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Mean Dice per structure for several sets of inputs.

    With a ``synthesis`` bundle also from T1w, T2w and the synthetic CE-T1w made of them.
    Structures that are not in the field of view, or not known in an anatomy, are left out;
    GTVp counts only where there is a tumour, and "healthy without GTVp" is the share of healthy
    patients in whom none is found.
    """
    segmenter = Segmenter(bundle, device)
    rows: dict[str, dict[str, list[dict[str, float]]]] = {}
    for group, patient in patients.draw(bundle, ("T1w", "T2w", "CE-T1w"), report):
        given = {
            " + ".join(names): [patient.volumes[name] for name in names] for names in INPUT_SETS
        }
        if synthesis is not None:
            made = _synthetic(synthesis, patient.volumes, device)
            key = "T1w + T2w + synthetic CE-T1w"
            given[key] = [patient.volumes["T1w"], patient.volumes["T2w"], made]
        for key, volumes in given.items():
            masks = segmenter.segment(volumes, register=False).segmentation.masks
            scores = _scores(masks, patient.segmentation_masks)
            rows.setdefault(group, {}).setdefault(key, []).append(scores)
    figures = summarise(rows)
    if output is not None:
        with staged_folder(Path(output)) as stage:
            record = {**patients.record(), "figures": figures}
            text = json.dumps(record, indent=2)
            (stage / "segmentation.json").write_text(text, encoding="utf-8")
    return figures


def _synthetic(bundle: Bundle, volumes: dict[str, Volume], device: str) -> Volume:
    from MRISynthLib.synthesis.synthesizer import Synthesizer, Target

    inputs = [volumes["T1w"], volumes["T2w"]]
    result = Synthesizer(bundle, device).synthesize(inputs, [Target("CE-T1w")], register=False)
    return result.volumes["CE-T1w"]


def _scores(found, truth) -> dict[str, float]:
    """Of the structures that the model knows."""
    scores = {}
    for name, mask in found.items():
        if name in truth and truth[name].any():
            scores[name] = dice(mask, truth[name])
        elif name == "GTVp":
            scores["healthy without GTVp"] = float(not mask.any())
    organs = [
        value for name, value in scores.items() if name not in ("GTVp", "healthy without GTVp")
    ]
    scores["mean of organs"] = float(np.mean(organs))
    return scores
