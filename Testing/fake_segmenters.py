"""Delineation that takes no time: patients with known structures, and models that find them as
well as they are told."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

import boxes_of_voxels
import fake_patients
from MRISynthLib.provenance import Provenance
from MRISynthSegmentLib.segmentation import Segmentation

SHAPE = fake_patients.SHAPE
NAMES = ("GTVp", "Brainstem", "Eye_L", "Eye_R", "Cochlea_L")


def box(*sides: tuple[int, int]) -> np.ndarray:
    """True from ... to ... along slices, rows, columns."""
    return boxes_of_voxels.box(SHAPE, *sides)


TUMOUR = box((1, 3), (20, 28), (20, 28))
TRUTHS = {
    "GTVp": TUMOUR,
    "Brainstem": box((0, 4), (36, 46), (18, 28)),
    "Eye_L": box((2, 4), (8, 16), (30, 38)),
    "Eye_R": box((2, 4), (8, 16), (8, 16)),
    "Cochlea_L": box((3, 4), (30, 32), (34, 38)),  # too little of it is in the field of view
}


def patient(seed: int, sequences=("T1w", "T2w", "CE-T1w"), clean=(), **asked):
    """Every third has no tumour; the others have T1 or T3, in two hospitals."""
    made = fake_patients.patient(seed, sequences, clean, **asked)
    healthy = seed % 3 == 2
    masks = {**TRUTHS, "GTVp": TUMOUR & (not healthy)}
    stage = asked.get("stage") or ("T1", "T3")[seed % 2]
    described = {"stage": "healthy", "variant": "adenoids"} if healthy else {"stage": stage}
    hospital = asked.get("hospital") or f"hospital {seed % 2}"
    if healthy:
        made.volumes.update({n: v.replace(name=f"healthy {n}") for n, v in made.volumes.items()})
    made.segmentation_masks.clear()
    made.segmentation_masks.update(masks)
    made.description.clear()
    made.description.update(described, hospital=hospital, seed=seed)
    return made


def segmenter(takes_clicks: bool = True, says_doubt: bool = True):
    """In the place of ``Segmenter``: true with the real CE-T1w, a pixel off with a synthetic one,
    three pixels off without; one eye is never found, and a tumour in everybody unless
    with the real CE-T1w."""

    class Pretender:
        def __init__(self, bundle, device="cpu"):
            self.bundle = bundle
            self.takes_clicks = takes_clicks
            self.calls: list[tuple] = []

        def prepare(self, inputs, *, register=True):
            return SimpleNamespace(inputs=inputs)

        def segment(self, inputs, structures=None, *, register=True):
            names = tuple(volume.sequence for volume in inputs)
            self.calls.append((names, register))
            enhanced = [volume for volume in inputs if volume.sequence == "CE-T1w"]
            off = 3 if not enhanced else int(enhanced[0].is_synthetic)
            masks = {name: np.roll(TRUTHS[name], off, 2) for name in structures}
            if "Eye_R" in masks:
                masks["Eye_R"] = np.zeros(SHAPE, bool)
            if not off and "GTVp" in masks and "healthy" in inputs[0].name:
                masks["GTVp"] = np.zeros(SHAPE, bool)
            doubt = {name: 0.1 + 0.2 * off for name in masks} if says_doubt else None
            return SimpleNamespace(segmentation=Segmentation(masks, inputs[0]), doubt=doubt)

    return Pretender


def synthesizer(bundle, device="cpu"):
    """In the place of ``Synthesizer``: the first input again, as another sequence."""

    class Pretender(fake_patients.synthesizer()):
        def synthesize(self, inputs, targets, register=True, match=None):
            made = super().synthesize(inputs, targets, register, match)
            for name, volume in made.volumes.items():
                mark = Provenance(True, sequence=name)
                made.volumes[name] = volume.replace(provenance=mark, name=f"made {name}")
            return made

    return Pretender(bundle, device)


class Refiner:
    """In the place of ``Refiner``: paints 5 x 5 pixels round the last click."""

    def __init__(self, segmenter, prepared, inputs):
        self.reference = inputs[0]

    def refine(self, structure, previous, clicks):
        """The mask after the last of the clicks."""
        inverse = np.linalg.inv(self.reference.index_to_world)
        column, row, number = (inverse @ (*clicks[-1].point, 1.0))[:3].round().astype(int)
        painted = np.array(previous)
        place = slice(number, number + 1), slice(row - 2, row + 3), slice(column - 2, column + 3)
        painted[place] = clicks[-1].adds
        return painted


def bundle(structures=NAMES, sequences=("T1w", "T2w", "CE-T1w")):
    """What evaluation asks of a segmentation bundle."""
    found = fake_patients.bundle("Outliner", sequences)
    found.structures = tuple(structures)
    return found
