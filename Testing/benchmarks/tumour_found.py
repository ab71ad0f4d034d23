"""How often GTVp is drawn in heads without a tumour, and how often small tumours are missed.

    python Testing/benchmarks/tumour_found.py [--heads 4] [--model NAME_OR_FOLDER]

Simulated heads that no model was trained on, so many of each condition: healthy, thick mucosa,
adenoids, post-treatment, and the two smallest stages of a tumour. Prints as Markdown, for each set
of input images, in how many heads GTVp is drawn with the clean-up and without it, the volumes that
are drawn in vain, and the tumours that are missed. The heads are the same at every call, a larger
number adds to them.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections import defaultdict

from MRISynthLib.bundles import load_bundle
from MRISynthLib.simulation import virtual_patient
from MRISynthLib.simulation.variants import VARIANTS
from MRISynthSegmentLib.segmenter import Segmenter

INPUTS = (("T1w", "T2w", "CE-T1w"), ("T1w", "T2w"), ("T1w",))
SMALL = ("T1", "T2")
FIRST_SEED = 700_000
"""Neither the cohort's nor the benchmark's."""


def volumes(segmenter: Segmenter, images: list, name: str = "GTVp") -> tuple[float, float]:
    """What is drawn of a structure with the clean-up and without it, ml."""
    found = segmenter.segment(images, [name], probabilities=True)
    likely = found.probabilities[name]
    voxel_ml = float(likely.spacing.prod()) / 1000.0
    return found.segmentation.volume_ml(name), float((likely.voxels > 0.5).sum()) * voxel_ml


def measure(model: str | None, heads: int) -> dict[tuple[str, str], list[tuple[float, ...]]]:
    """(inputs, condition) -> of each head the volumes drawn with and without clean-up, the truth's.

    What is known is said on the standard error as soon as it is.
    """
    segmenter = Segmenter(load_bundle(model, task="segmentation"))
    found = defaultdict(list)
    numbered = enumerate(itertools.product(range(heads), (*VARIANTS, *SMALL)))
    for number, (_, condition) in numbered:
        patient = virtual_patient(FIRST_SEED + number, INPUTS[0], condition)
        mask = patient.segmentation_masks.get("GTVp")
        truth = 0.0
        if mask is not None:
            truth = float(mask.sum() * patient.volumes["T1w"].spacing.prod()) / 1000.0
        for names in INPUTS:
            drawn = volumes(segmenter, [patient.volumes[name] for name in names])
            found["+".join(names), condition].append((*drawn, truth))
        print(f"{condition}: {truth:.1f} ml, drawn {drawn[0]:.1f} ml", file=sys.stderr, flush=True)
    return found


def markdown(found: dict[tuple[str, str], list[tuple[float, ...]]]) -> str:
    """The table."""
    lines = [
        "| inputs | heads | GTVp drawn | without the clean-up | drawn (ml) | missed (ml) |",
        "|---|---|---|---|---|---|",
    ]
    for inputs in map("+".join, INPUTS):
        rows = {name: found[inputs, name] for name in (*VARIANTS, *SMALL)}
        rows["**all without a tumour**"] = [row for name in VARIANTS for row in rows[name]]
        for name, heads in rows.items():
            counts = (f"{sum(row[n] > 0 for row in heads)} of {len(heads)}" for n in (0, 1))
            drawn = ", ".join(f"{row[0]:.1f}" for row in heads if row[0] > 0)
            missed = ", ".join(f"{row[2]:.1f}" for row in heads if row[2] > 0 and not row[0])
            lines.append("| " + " | ".join((inputs, name, *counts, drawn, missed)) + " |")
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--heads", type=int, default=4, help="of each condition")
    parser.add_argument("--model", help="name or folder of a model; else that shipped")
    options = parser.parse_args()
    print(markdown(measure(options.model, options.heads)))


if __name__ == "__main__":
    main()
