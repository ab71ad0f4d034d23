"""What the demonstration's report says in numbers."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from MRISynthLib import __version__
from MRISynthLib.preprocessing import body_mask, normalise
from MRISynthLib.volume import Volume
from MRISynthSegmentLib.segmentation import Segmentation

from .report import (
    ReportData,
    ReportInput,
    ReportTarget,
    Score,
    StructureRow,
    Uncertainty,
    structure_rows,
)

if TYPE_CHECKING:
    from .demo import DemoCase
    from .report import Figure
    from .session import Session

TUMOUR = "GTVp"
SCORES_NOTE = (
    "Each image is first brought to the truth's mean brightness in the body; then both are put on "
    "one scale, on which the 0.5th to 99.5th percentile of the truth inside the body is 0 to 1. "
    "PSNR for a range of 1; SSIM with a Gaussian window of 11 x 11."
)
UNCERTAINTY_NOTE = "Mean expected error in per cent of the grey scale."


def report_of(case: DemoCase, figures: tuple[Figure, ...], run: Session) -> ReportData:
    """The report of a case."""
    inputs = tuple(
        ReportInput.from_volume(
            item.volume, None if item.named_by_user else item.confidence, item.reason
        )
        for item in case.inputs
    )
    targets = tuple(
        ReportTarget(c.sequence, c.text, case.understood[c.sequence]) for c in case.contrasts
    )
    return ReportData(
        title="MRISynth demonstration",
        case_name=case.name,
        inputs=inputs,
        targets=targets,
        warnings=tuple(run.record["warnings"]),
        figures=figures,
        scores=scores(case),
        scores_note=SCORES_NOTE if case.truth else "",
        structures=structures(case),
        structures_note="Dice: overlap with the true structure, 1 at best." if case.truth else "",
        uncertainty=uncertainties(case),
        uncertainty_note=UNCERTAINTY_NOTE,
        timings={key: value for key, value in run.record["timings"].items() if value},
        device=run.record["device"] or "",
        dtype=run.record["dtype"] or "",
        peak_memory_mb=run.record["peak_memory_mb"],
        software=f"MRISynth {__version__}",
        files=tuple(case.files.items()),
        provenance=case.provenance,
        simulated_case=case.simulated,
    )


def network_scale(
    case: DemoCase, target: str, voxels: np.ndarray, offset: bool = True
) -> np.ndarray:
    """Voxels of a synthetic image, or differences of them, on the network's 0-1 scale."""
    scale, zero, _ = case.synthesis.info["units"][target]
    return ((voxels - (zero if offset else 0.0)) / scale).astype(np.float32)


def difference(case: DemoCase, target: str) -> Volume:
    """Absolute difference of a synthetic image to the truth, in per cent of the grey scale.

    As for the scores, the image is first brought to the truth's brightness in the body.
    """
    from MRISynthLib.evaluation.metrics import match_brightness

    truth = _normalised(case.truth[target])
    made = network_scale(case, target, case.synthetic[target].voxels)
    made = match_brightness(made, truth, _body(case.given[0]))
    percent = 100 * np.abs(made - truth)
    return Volume(percent, case.given[0].index_to_world, name=f"Difference of {target}")


def scores(case: DemoCase) -> tuple[Score, ...]:
    """How close each synthetic image is to the truth, beside a copy of the first input."""
    from MRISynthLib.evaluation.metrics import compare

    rows = []
    for target in case.targets:
        if target not in case.truth:
            continue
        truth, body = _normalised(case.truth[target]), _body(case.given[0])
        tumour = case.true_structures.get(TUMOUR)
        masks = {"tumour": tumour} if tumour is not None and tumour.any() else {}
        copied = case.given[0]
        methods = {
            "MRISynth": network_scale(case, target, case.synthetic[target].voxels),
            f"copy of {copied.sequence}": _normalised(copied),
        }
        for method, image in methods.items():
            for region, figures in compare(image, truth, body, masks).items():
                values = (figures["MAE"], figures["PSNR"], figures["SSIM"])
                rows.append(Score(target, region, method, *values, ours=method == "MRISynth"))
    return tuple(sorted(rows, key=lambda row: (case.targets.index(row.target), row.region)))


def structures(case: DemoCase) -> tuple[StructureRow, ...]:
    """Volumes, and the overlap with the truth where there is one."""
    found = case.segmentation
    known = {n: m for n, m in case.true_structures.items() if n in found.masks}
    if not known:
        return structure_rows(found)
    overlap = {name: _dice(found.masks[name], mask) for name, mask in known.items()}
    return structure_rows(found, overlap, Segmentation(known, found.reference))


def uncertainties(case: DemoCase) -> tuple[Uncertainty, ...]:
    """Mean expected error of each synthetic image in the body and in the tumour as found."""
    regions: dict[str, Any] = {"body": _body(case.given[0])}
    tumour = case.segmentation.masks.get(TUMOUR)
    if tumour is not None and tumour.any():
        regions["tumour"] = tumour
    rows = []
    for target, volume in case.uncertainty.items():
        doubt = network_scale(case, target, volume.voxels, offset=False)
        rows += [
            Uncertainty(target, region, f"{100 * float(doubt[mask].mean()):.1f} %")
            for region, mask in regions.items()
        ]
    return tuple(rows)


def _dice(found: np.ndarray, truth: np.ndarray) -> float:
    """2 |A and B| / (|A| + |B|); 1 if both are empty."""
    size = int(found.sum()) + int(truth.sum())
    return 2 * int((found & truth).sum()) / size if size else 1.0


@functools.lru_cache(maxsize=8)
def _normalised(volume: Volume) -> np.ndarray:
    return normalise(volume.voxels, sequence=volume.sequence)[0]


@functools.lru_cache(maxsize=2)
def _body(volume: Volume) -> np.ndarray:
    return body_mask(volume.voxels)
