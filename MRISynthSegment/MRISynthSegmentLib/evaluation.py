"""`mrisynth evaluate segmentation`: Dice on simulated patients that were not trained on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from MRISynthLib.bundles import Bundle
from MRISynthLib.evaluation.metrics import mean_of
from MRISynthLib.evaluation.synthesis import held_out_source
from MRISynthLib.io.output import staged_folder
from MRISynthLib.simulation import virtual_patient
from MRISynthLib.volume import Volume

from .segmenter import Segmenter

INPUT_SETS = (("T1w", "T2w", "CE-T1w"), ("T1w", "T2w"), ("T1w",), ("T2w",))


def dice(found: np.ndarray, truth: np.ndarray) -> float:
    """Dice coefficient of two boolean masks; 1 if both are empty."""
    total = np.count_nonzero(found) + np.count_nonzero(truth)
    return 2 * np.count_nonzero(found & truth) / total if total else 1.0


def evaluate_segmentation(
    bundle: Bundle,
    cases: int = 4,
    seed: int = 90_000,
    output: Path | None = None,
    device: str = "auto",
    label_maps: Path | None = None,
    mapping: Path | None = None,
    synthesis: Bundle | None = None,
    report: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Mean Dice per structure for several sets of inputs.

    With a ``synthesis`` bundle also from T1w, T2w and the synthetic CE-T1w made of them.
    Structures that are not in the field of view, or not known in an anatomy, are left out;
    GTVp counts only where there is a tumour, and "healthy without GTVp" is the share of healthy
    patients in whom none is found.
    """
    source = held_out_source(bundle, label_maps, mapping)
    segmenter = Segmenter(bundle, device)
    rows: dict[str, list[dict[str, float]]] = {}
    for number in range(cases):
        patient = virtual_patient(seed + number, ("T1w", "T2w", "CE-T1w"), source=source)
        report(f"patient {number + 1} of {cases}: {patient.description.get('stage')}")
        given = {
            " + ".join(names): [patient.volumes[name] for name in names] for names in INPUT_SETS
        }
        if synthesis is not None:
            made = _synthetic(synthesis, patient.volumes, device)
            key = "T1w + T2w + synthetic CE-T1w"
            given[key] = [patient.volumes["T1w"], patient.volumes["T2w"], made]
        for key, volumes in given.items():
            masks = segmenter.segment(volumes, register=False).segmentation.masks
            rows.setdefault(key, []).append(_scores(masks, patient.segmentation_masks))
    figures = {key: mean_of(found) for key, found in rows.items()}
    if output is not None:
        with staged_folder(Path(output)) as stage:
            record = {"cases": cases, "seed": seed, "figures": figures}
            text = json.dumps(record, indent=2)
            (stage / "segmentation.json").write_text(text, encoding="utf-8")
    return figures


def _synthetic(bundle: Bundle, volumes: dict[str, Volume], device: str) -> Volume:
    from MRISynthLib.synthesis.synthesizer import Synthesizer, Target

    inputs = [volumes["T1w"], volumes["T2w"]]
    result = Synthesizer(bundle, device).synthesize(inputs, [Target("CE-T1w")], register=False)
    return result.volumes["CE-T1w"]


def _scores(found, truth) -> dict[str, float]:
    scores = {}
    for name, mask in truth.items():
        if mask.any():
            scores[name] = dice(found[name], mask)
        elif name == "GTVp":
            scores["healthy without GTVp"] = float(not found[name].any())
    organs = [
        value for name, value in scores.items() if name not in ("GTVp", "healthy without GTVp")
    ]
    scores["mean of organs"] = float(np.mean(organs))
    return scores
