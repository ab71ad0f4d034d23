"""How much of an image is in the others: what limits synthesis on simulated patients.

    python Testing/benchmarks/knowable.py [--cases N] [--seed SEED]

For each of the usual tasks it prints SSIM and MAE in the body, means over the patients, of guesses
that know what no model can: the true tissue of every voxel, and the truth itself, to which they are
fitted tissue by tissue.

- tissues: the mean of each tissue, without any input;
- tissues + inputs: a linear function of the inputs and of their means over 3 x 3 pixels for each
  tissue, the inputs as a model gets them, registered, with their noise and motion;
- tissues + clean inputs: the same of inputs without noise and motion, exactly in place;
- truth without noise and motion: no prediction can be expected to surpass it.

The first says how far the anatomy alone goes, the difference to the second what the inputs tell of
the variation inside tissues, the third how much noise and misregistration cost, and the fourth what
is in none of the inputs.
"""

from __future__ import annotations

import argparse
from collections import defaultdict

import numpy as np
from scipy import ndimage

from MRISynthLib.evaluation.cases import Aligned, Case, Frame
from MRISynthLib.evaluation.patients import FIRST_SEED
from MRISynthLib.evaluation.tasks import MAIN, sequences_for, task_name
from MRISynthLib.preprocessing.resampling import index_map
from MRISynthLib.simulation import virtual_patient
from MRISynthLib.simulation.cases import VirtualPatient

LEAST_VOXELS = 200
"""A tissue with fewer is fitted by its mean alone."""

TISSUES, GIVEN, CLEAN, CEILING = (
    "tissues",
    "tissues + inputs",
    "tissues + clean inputs",
    "truth without noise and motion",
)


def tissue_on(frame: Frame, patient: VirtualPatient) -> np.ndarray:
    """The number of the tissue of each voxel of the frame's reference (slices, rows, columns)."""
    drawn = next(iter(patient.volumes.values()))
    through = index_map(frame.reference.index_to_world, drawn.index_to_world)
    turn = np.eye(3)[::-1]  # arrays count slices first
    return ndimage.affine_transform(
        patient.tissue,
        turn @ through[:3, :3] @ turn,
        turn @ through[:3, 3],
        output_shape=frame.reference.shape,
        order=0,
    )


def fitted(tissue: np.ndarray, images: list[np.ndarray], truth: np.ndarray, body: np.ndarray):
    """The truth as a linear function of images and of their local means, for each tissue."""
    features = [np.ones_like(truth)]
    for image in images:
        features += [image, ndimage.uniform_filter(image, (1, 3, 3))]
    guess = np.zeros_like(truth)
    for number in np.unique(tissue[body]):
        here = body & (tissue == number)
        few = np.count_nonzero(here) < LEAST_VOXELS
        columns = np.stack([each[here] for each in features[: 1 if few else None]], 1)
        weights = np.linalg.lstsq(columns, truth[here], rcond=None)[0]
        guess[here] = columns @ weights
    return guess


def guesses(frame: Frame, patient: VirtualPatient, inputs, target: str) -> dict[str, np.ndarray]:
    """Name -> image on the reference's grid."""
    truth, body = frame.truth(target), frame.yardstick(target).body
    tissue = tissue_on(frame, patient)
    found = {
        TISSUES: fitted(tissue, [], truth, body),
        GIVEN: fitted(tissue, [frame.input(name) for name in inputs], truth, body),
        CLEAN: fitted(tissue, [frame.clean(name) for name in inputs], truth, body),
        CEILING: frame.clean(target),
    }
    return {name: frame.as_sharp_as(target, image) for name, image in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=4)
    parser.add_argument("--seed", type=int, default=FIRST_SEED)
    arguments = parser.parse_args()
    sequences = sequences_for(MAIN)
    figures: dict[str, dict[str, list]] = defaultdict(lambda: defaultdict(list))
    for seed in range(arguments.seed, arguments.seed + arguments.cases):
        patient = virtual_patient(seed, sequences, clean=sequences)
        aligned = Aligned(Case.of_patient(patient))
        for inputs, target in MAIN:
            frame = aligned.frame(inputs[0])
            for name, image in guesses(frame, patient, inputs, target).items():
                found = frame.yardstick(target).compare(image)["body"]
                figures[task_name((inputs, target))][name].append((found["SSIM"], found["MAE"]))
    print(f"{arguments.cases} patients from seed {arguments.seed}; in the body, SSIM / MAE")
    for task, rows in figures.items():
        print(task)
        for name, values in rows.items():
            ssim, mae = np.mean(values, 0)
            print(f"  {name:32}{ssim:6.3f} /{mae:6.3f}")
    print("mean over the tasks")
    for name in (TISSUES, GIVEN, CLEAN, CEILING):
        ssim, mae = np.mean([np.mean(rows[name], 0) for rows in figures.values()], 0)
        print(f"  {name:32}{ssim:6.3f} /{mae:6.3f}")


if __name__ == "__main__":
    main()
