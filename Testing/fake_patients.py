"""Simulated patients that take no time to make, and models that make what they are told."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
from scipy import ndimage

from MRISynthLib.simulation.cases import VirtualPatient
from MRISynthLib.simulation.protocols import typical_protocol
from MRISynthLib.simulation.tissues import TISSUE_INDEX
from MRISynthLib.volume import Volume, matrix_from_parts

SHAPE = (4, 64, 48)


def patient(seed: int, sequences=("T1w", "T2w", "CE-T1w"), clean=(), **asked) -> VirtualPatient:
    """Heads with a tumour, muscle, and a structure that the models do not know."""
    tumour, tissue = np.zeros(SHAPE, bool), np.zeros(SHAPE, np.uint8)
    tumour[1:3, 20:28, 20:26] = True
    tissue[:, 34:44, 20:30] = TISSUE_INDEX["muscle"]
    tissue[:, 12:16, 20:26] = TISSUE_INDEX["mucosa"]
    volumes = {}
    for number, name in enumerate(sequences):
        head = textured(seed % 1000 + number, SHAPE, name)
        brighter = np.where(tumour, 1.0 + 0.3 * number, 1.0)
        volumes[name] = head.with_voxels((head.voxels * brighter).astype(np.float32))
    return VirtualPatient(
        name=asked.get("name") or str(seed),
        volumes=volumes,
        segmentation_masks={"GTVp": tumour, "Brain": np.ones(SHAPE, bool), "OpticChiasm": tumour},
        tissue=tissue,
        second_tissue=np.zeros(SHAPE, np.uint8),
        tissue_share=np.ones(SHAPE, np.float32),
        protocols={name: typical_protocol(name) for name in sequences},
        description={"stage": "T1"},
        clean={name: volumes[name] for name in clean},
        displacements={name: np.eye(4) for name in sequences},
    )


def textured(seed: int, shape=(6, 72, 64), sequence: str = "T1w") -> Volume:
    """A head with structures of some millimetres, 1.5 x 1.5 x 4 mm."""
    rng = np.random.default_rng(7)
    axes = np.ogrid[tuple(slice(-1, 1, n * 1j) for n in shape)]
    inside = sum((axis / 0.8) ** 2 for axis in axes[1:]) < 1
    pattern = ndimage.gaussian_filter(rng.normal(0, 1, shape), (0.7, 3, 3))
    pattern = 600 + 900 * pattern / np.abs(pattern).max()
    noise = np.random.default_rng(seed).normal(0, 5, shape)
    voxels = np.where(inside, pattern, 5) + noise
    matrix = matrix_from_parts((1.5, 1.5, 4.0))
    return Volume(voxels.clip(0).astype(np.float32), matrix, sequence, sequence)


def synthesizer(change=lambda voxels, target: voxels, tasks=None, expected: float = 50.0):
    """In the place of ``Synthesizer``: makes ``change`` of the first input's voxels."""

    class Pretender:
        def __init__(self, bundle, device="cpu"):
            self.bundle = bundle
            self.network = SimpleNamespace(tasks=tasks, reads_prompts=tasks is None)
            self.calls: list[tuple] = []
            self.matched: set[bool | None] = set()

        def synthesize(self, inputs, targets, register=True, match=None):
            names = [target.sequence for target in targets]
            self.calls.append((tuple(volume.sequence for volume in inputs), tuple(names)))
            self.matched.add(match)
            reference = inputs[0]
            volumes = {
                name: reference.replace(voxels=change(reference.voxels, name), sequence=name)
                for name in names
            }
            doubt = np.full(reference.shape, expected, np.float32)
            doubts = {name: reference.replace(voxels=doubt, sequence=None) for name in names}
            return SimpleNamespace(volumes=volumes, uncertainty=doubts, warnings=())

    return Pretender


def bundle(name: str = "Pretender", sequences=("T1w", "T2w", "CE-T1w", "STIR", "FLAIR")):
    """What evaluation asks of a bundle."""
    return SimpleNamespace(
        name=name, version="1", hash="0" * 64, metadata={}, folder=SimpleNamespace(name=name),
        sequences_in=sequences, sequences_out=sequences,
    )  # fmt: skip
