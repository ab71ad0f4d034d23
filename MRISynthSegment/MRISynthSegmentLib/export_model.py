"""From a run of `mrisynth train segmentation` to a bundle."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from MRISynthLib.bundles import Bundle
from MRISynthLib.sequences import SEQUENCE_NAMES
from MRISynthLib.training.export import export_run, read_run

from .structures import STRUCTURES


def export_segmentation(run: Path, folder: Path, name: str, figures: Mapping[str, Any]) -> Bundle:
    """A run of ``train segmentation`` as a bundle."""
    config = read_run(run)
    metadata = {
        "name": name,
        "task": "segmentation",
        "sequences_in": list(SEQUENCE_NAMES),
        "structures": list(STRUCTURES),
    }
    network_def = {
        "_target_": "MRISynthSegmentLib.network.AnySequenceUNet",
        "structures": len(STRUCTURES),
        "features": list(config["features"]),
    }
    return export_run(run, folder, metadata, network_def, float(config["pixel_mm"]), figures)
