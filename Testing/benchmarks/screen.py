"""How often a model's screen stops images that it knows, and how often those that it does not.

    python Testing/benchmarks/screen.py [--model NAME_OR_FOLDER] [--hospitals 26] [--data FOLDER]

False alarms: sequences of one patient of each benchmark hospital, inside and outside of training.
Alarms wanted: the same images under another sequence's name, CT as MR, and images spoilt as no
training image is. With the folder of real scans it also says what it makes of real heads, of a CT
of the head given as T1w, and of a phantom.
"""

from __future__ import annotations

import argparse
import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from MRISynthLib.bundles import load_bundle
from MRISynthLib.errors import InputError
from MRISynthLib.io import load_one
from MRISynthLib.preprocessing.preparation import prepare
from MRISynthLib.simulation import virtual_patient
from MRISynthLib.simulation.benchmark import benchmark_sets
from MRISynthLib.synthesis.synthesizer import Synthesizer
from MRISynthLib.volume import Volume

SEQUENCES = ("T1w", "T2w", "CE-T1w", "STIR", "FLAIR", "CT")
MISTAKEN = {"T1w": "T2w", "T2w": "T1w", "STIR": "T1w", "FLAIR": "T2w", "CT": "T1w"}
"""Sequence -> what it is wrongly said to be."""

REAL = {
    "real head: mr_adi T1w": ("mr_adi/T1w.nii.gz", "T1w"),
    "real head: mr_adi T2w": ("mr_adi/T2w.nii.gz", "T2w"),
    "real head: openms p01 T1w": ("mr_openms/patient01_study1/T1W.nii.gz", "T1w"),
    "real head: openms p01 T2w": ("mr_openms/patient01_study1/T2W.nii.gz", "T2w"),
    "real head: openms p01 FLAIR": ("mr_openms/patient01_study1/FLAIR.nii.gz", "FLAIR"),
    "CT of a head as T1w": ("ct_head/ct.nii.gz", "T1w"),
}


def spoilt(volume: Volume, rng: np.random.Generator) -> Iterator[tuple[str, Volume]]:
    """(name, image) as no training image is."""
    image = np.asarray(volume.voxels, np.float32)
    bright = np.percentile(image, 99)
    yield "folded over", volume.with_voxels(image + np.roll(image, image.shape[1] // 2, 1))
    wave = 0.5 * bright * np.cos(0.9 * np.indices(image.shape)[1:].sum(0))
    yield "herringbone", volume.with_voxels(np.maximum(image + wave, 0).astype(np.float32))
    ghosts = sum(np.roll(image, n * image.shape[1] // 7, 1) for n in range(1, 7))
    yield "ghosts at 30 %", volume.with_voxels(image + 0.3 * ghosts)
    yield (
        "noise at 30 %",
        volume.with_voxels(
            np.hypot(image + rng.normal(0, 0.3 * bright, image.shape), 0).astype(np.float32)
        ),
    )
    yield "inverted", volume.with_voxels(np.where(image > 0.05 * bright, bright - image, 0))
    grid = np.indices(image.shape)
    middle = [(size - 1) / 2 for size in image.shape]
    away = [(g - m) / (0.4 * s) for g, m, s in zip(grid, middle, image.shape, strict=True)]
    phantom = (np.hypot(away[1], away[2]) < 1) * 700.0 * (1 + 0.3 * (np.abs(away[1]) < 0.2))
    phantom += rng.normal(0, 8, image.shape)
    yield "a cylinder of water", volume.with_voxels(phantom.clip(0).astype(np.float32))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default=None)
    parser.add_argument("--hospitals", type=int, default=26)
    parser.add_argument("--data", type=Path, default=os.environ.get("MRISYNTH_TEST_DATA"))
    arguments = parser.parse_args()
    synthesizer = Synthesizer(load_bundle(arguments.model, "synthesis"))
    if getattr(synthesizer.network, "screen", None) is None:
        print(f"the model {synthesizer.bundle.name} has no screen")
        return
    counts: dict[str, list[bool]] = defaultdict(list)

    def judge(title: str, volume: Volume) -> None:
        prepared = prepare([volume], register=False, pixel_mm=synthesizer.pixel_mm)
        for _, finding in synthesizer.screened(prepared, [volume]):
            counts[title].append(finding.mistaken or finding.outside)

    rng = np.random.default_rng(0)
    for each in benchmark_sets(1)[: arguments.hospitals]:
        case = each.cases[0]
        patient = virtual_patient(
            case.seed, SEQUENCES, stage=case.stage, hospital=case.hospital, name=case.name
        )
        side = "inside" if each.inside else "outside"
        for name, volume in patient.volumes.items():
            judge(f"false alarms, {side} hospitals", volume)
            judge(f"false alarms in {name}", volume)
            if name in MISTAKEN:
                judge(f"{name} given as {MISTAKEN[name]}", volume.replace(sequence=MISTAKEN[name]))
        for title, volume in spoilt(patient.volumes["T1w"], rng):
            judge(f"T1w {title}", volume)
    for title, (file, sequence) in REAL.items():
        path = Path(arguments.data or "") / file
        if arguments.data and path.is_file():
            try:
                judge(title, load_one(path).replace(sequence=sequence))
            except InputError as error:
                print(f"{title}: {error}")
    for title, found in counts.items():
        print(f"{title:36s} {sum(found):3d} of {len(found):3d}")


if __name__ == "__main__":
    main()
