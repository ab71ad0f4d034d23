"""What the worker runs for segmentation: the task ``"segmentation"``.

Parameters (all optional)::

    structures       TG-263 names; None or empty for all that the model knows
    bundle           name or folder of the model; None for the first that is installed
    device           as in :mod:`MRISynthLib.devices`; None for the worker's own
    register         whether inputs that lie differently are aligned

Result: one boolean volume a structure on the first input's grid, and ``info``;
:func:`segmentation_from` makes a :class:`Segmentation` of both.
"""

from __future__ import annotations

from typing import Any

from MRISynthLib.progress import Callbacks
from MRISynthLib.provenance import Provenance
from MRISynthLib.volume import Volume
from MRISynthLib.worker.tasks import ModelCache, TaskResult, common_info, load_model

from .segmentation import Segmentation


def _segmentation(
    parameters: dict[str, Any],
    volumes: list[Volume],
    callbacks: Callbacks,
    models: ModelCache,
) -> TaskResult:
    from .segmenter import Segmenter

    segmenter, seconds = load_model("segmentation", Segmenter, parameters, callbacks, models)
    result = segmenter.segment(
        volumes,
        list(parameters.get("structures") or []) or None,
        register=bool(parameters.get("register", True)),
        callbacks=callbacks,
    )
    segmentation = result.segmentation
    reference = segmentation.reference
    masks = [
        (name, Volume(mask, reference.index_to_world, name=name))
        for name, mask in segmentation.masks.items()
    ]
    provenance = segmentation.provenance
    return TaskResult(
        masks,
        {
            "structures": list(segmentation.masks),
            "provenance": provenance.to_dict() if provenance else None,
            "warnings": list(dict.fromkeys([*result.warnings, *segmentation.warnings])),
            **common_info(segmenter, result, seconds),
        },
    )


def segmentation_from(result: TaskResult, reference: Volume) -> Segmentation:
    """The segmentation that the worker made; ``reference`` is the first input."""
    provenance = result.info.get("provenance")
    return Segmentation(
        {name: volume.voxels for name, volume in result.volumes},
        reference,
        Provenance.from_dict(provenance) if provenance else None,
        tuple(result.info.get("warnings", ())),
    )


def warm_up() -> None:
    """Import what every request needs."""
    from . import segmenter  # noqa: F401


HANDLERS = {"segmentation": _segmentation}
