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


def export_segmentation(run: Path, folder: Path, name: str, figures: Mapping[str, Any]) -> Bundle:
    """A run of ``train segmentation`` as a bundle, which says that it takes clicks and how many
    neighbouring slices it looks at."""
    config = read_run(run)
    metadata = {
        "name": name,
        "task": "segmentation",
        "sequences_in": list(SEQUENCE_NAMES),
        "structures": list(STRUCTURES),
        "clicks": StructureNet.takes_clicks,
        "context": StructureNet.context,
    }
    network_def = {
        "_target_": f"{StructureNet.__module__}.{StructureNet.__qualname__}",
        "structures": len(STRUCTURES),
        "features": list(config["features"]),
    }
    return export_run(run, folder, metadata, network_def, float(config["pixel_mm"]), figures)
