"""The sample case, made by the worker: task ``"sample"``.

No parameters, no volumes. The result has the images of :func:`~.cases.demo_patient` by their
sequences, first :data:`~.names.INPUTS`, then a mask (uint8, 0 or 1) for each structure;
``info["structures"]`` lists their names, ``info["description"]`` says what was drawn.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..progress import Callbacks
from ..volume import Volume
from ..worker.tasks import ModelCache, TaskResult
from .names import INPUTS, SAMPLE_TASK


def _sample(
    parameters: dict[str, Any],
    volumes: list[Volume],
    callbacks: Callbacks,
    models: ModelCache,
) -> TaskResult:
    from .cases import demo_patient

    patient = demo_patient(callbacks=callbacks)
    grid = patient.volumes[INPUTS[0]]
    truth = [name for name in patient.volumes if name not in INPUTS]
    named = [(name, patient.volumes[name]) for name in (*INPUTS, *truth)]
    masks = patient.segmentation_masks
    named += [
        (name, grid.with_voxels(mask.astype(np.uint8), name=name)) for name, mask in masks.items()
    ]
    info = {"structures": list(masks), "description": patient.description}
    return TaskResult(named, info)


HANDLERS = {SAMPLE_TASK: _sample}
