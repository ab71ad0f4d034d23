"""A task module for the worker: delineation and clicks without a model."""

from __future__ import annotations

import os

import numpy as np

import fakes
from MRISynthLib.errors import InputError
from MRISynthLib.worker import TaskResult


def _segmentation(parameters, volumes, callbacks, models):
    """As :mod:`fakes`, with doubt and, if asked for, probabilities; says what it was asked."""
    result = fakes.HANDLERS["segmentation"](parameters, volumes, callbacks, models)
    doubt = {name: 0.1 * number for number, name in enumerate(parameters["structures"], start=4)}
    made = list(result.volumes)
    if parameters["probabilities"]:
        made += [
            (f"{name} probability", mask.with_voxels(mask.voxels.astype(np.float32) * 0.75))
            for name, mask in result.volumes
        ]
    asked = {key: parameters[key] for key in ("clean", "flips", "probabilities")}
    return TaskResult(made, {**result.info, "doubt": doubt, "warnings": [f"{asked}"]})


def _refinement(parameters, volumes, callbacks, models):
    """Three by three voxels about the last click become as asked."""
    *inputs, previous = volumes
    assert len(inputs) == 2 and previous.same_geometry(inputs[0])
    *point, adds = parameters["clicks"][-1]
    index = np.linalg.solve(inputs[0].index_to_world, [*point, 1.0])[:3]
    column, row, number = (int(n) for n in np.rint(index))
    if not 0 <= number < previous.shape[0]:
        raise InputError("The click lies outside the image; click inside it.")
    mask = previous.voxels.astype(bool).copy()
    mask[number, row - 1 : row + 2, column - 1 : column + 2] = adds
    name = parameters["structure"]
    info = fakes._info(timings={"refine": 0.2}, pid=os.getpid())
    said = f"{name}: click {len(parameters['clicks'])}"
    return TaskResult([(name, previous.with_voxels(mask))], {**info, "warnings": [said]})


HANDLERS = {"segmentation": _segmentation, "refinement": _refinement}
