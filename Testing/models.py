"""Small untrained models for tests that ask how things run, not how good the image is."""

from __future__ import annotations

from pathlib import Path

import torch

from MRISynthLib.bundles import Bundle, write_bundle
from MRISynthLib.sequences import SEQUENCE_NAMES
from MRISynthLib.synthesis.direct_net import DirectNet
from MRISynthSegmentLib.structure_net import StructureNet
from MRISynthSegmentLib.structures import STRUCTURES

ABOUT = {
    "version": "0",
    "sequences_in": list(SEQUENCE_NAMES),
    "training_data": "none",
    "quality": "untrained",
    "licence": "Apache-2.0",
    "intended_use": "tests",
}


def synthesis_bundle(folder: Path) -> Bundle:
    """An untrained synthesis bundle of some thousand parameters."""
    torch.manual_seed(0)
    widths = (16, 16, 16)
    network = DirectNet(widths, 16)
    definition = {
        "_target_": "MRISynthLib.synthesis.direct_net.DirectNet",
        "widths": list(widths),
        "condition": 16,
    }
    metadata = {
        **ABOUT, "name": "Tiny", "task": "synthesis", "sequences_out": list(SEQUENCE_NAMES)
    }  # fmt: skip
    inference = {"network_def": definition, "pixel_mm": 1.0}
    return write_bundle(folder, metadata, inference, network.state_dict())


def segmentation_bundle(folder: Path) -> Bundle:
    """An untrained segmentation bundle."""
    torch.manual_seed(0)
    features = (8, 8, 8, 8, 8, 8)
    count = len(STRUCTURES)
    definition = {
        "_target_": "MRISynthSegmentLib.structure_net.StructureNet",
        "structures": count,
        "features": list(features),
    }
    metadata = {
        **ABOUT, "name": "TinySegment", "task": "segmentation",
        "structures": list(STRUCTURES), "clicks": True, "context": StructureNet.context,
    }  # fmt: skip
    network = StructureNet(count, features)
    inference = {"network_def": definition, "pixel_mm": 1.0}
    return write_bundle(folder, metadata, inference, network.state_dict())
