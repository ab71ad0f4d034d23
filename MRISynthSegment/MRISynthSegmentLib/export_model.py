"""From a run of `mrisynth train segmentation` to a bundle."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from MRISynthLib.bundles import Bundle
from MRISynthLib.sequences import SEQUENCE_NAMES
from MRISynthLib.training.export import export_run, read_run

from .structure_net import StructureNet
from .structures import STRUCTURES

WEAK = 0.6
"""With a lower mean Dice, or none measured, a structure is looked for only if asked."""


def weak_structures(figures: Mapping[str, Any]) -> dict[str, float | None]:
    """Structures that were found poorly -> their Dice, the mean of all evaluations that had them,
    from the set of images with which each was found best; None for those that nobody measured.

    Parameters
    ----------
    figures:
        Title -> what ``mrisynth evaluate segmentation`` wrote.
    """
    found: dict[str, list[float]] = {}
    for record in figures.values():
        measured = record["figures"]
        if "benchmark" in record:  # of all its patients, and again of each group of them
            measured = measured["all"]
        sets = measured.values()
        for name in STRUCTURES:
            best = [float(each[name]) for each in sets if name in each]
            found.setdefault(name, []).extend([max(best)] if best else [])
    means = {
        name: round(sum(dice) / len(dice), 3) if dice else None for name, dice in found.items()
    }
    return {name: dice for name, dice in means.items() if dice is None or dice < WEAK}


def export_segmentation(
    run: Path,
    folder: Path,
    name: str,
    figures: Mapping[str, Any],
    eight_bit: bool = False,
    version: str | None = None,
) -> Bundle:
    """A run of ``train segmentation`` as a bundle, which says that it takes clicks and how many
    neighbouring slices it looks at, and which structures it finds poorly. ``eight_bit``,
    ``version``: see :func:`MRISynthLib.training.export.export_run`."""
    config = read_run(run)
    metadata = {
        "name": name,
        "task": "segmentation",
        "sequences_in": list(SEQUENCE_NAMES),
        "structures": list(STRUCTURES),
        "clicks": StructureNet.takes_clicks,
        "context": StructureNet.context,
        "weak_structures": weak_structures(figures),
    }
    network_def = {
        "_target_": f"{StructureNet.__module__}.{StructureNet.__qualname__}",
        "structures": len(STRUCTURES),
        "features": list(config["features"]),
    }
    return export_run(
        run,
        folder,
        metadata,
        network_def,
        float(config["pixel_mm"]),
        figures,
        eight_bit=eight_bit,
        version=version,
    )
