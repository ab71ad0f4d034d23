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

import time
from typing import Any

from MRISynthLib.bundles import load_bundle
from MRISynthLib.devices import peak_gpu_memory_mb, peak_memory_mb, resolve
from MRISynthLib.progress import Callbacks
from MRISynthLib.provenance import Provenance
from MRISynthLib.volume import Volume
from MRISynthLib.worker.tasks import ModelCache, TaskResult

from .segmentation import Segmentation


def _segmentation(
    parameters: dict[str, Any],
    volumes: list[Volume],
    callbacks: Callbacks,
    models: ModelCache,
) -> TaskResult:
    from .segmenter import Segmenter

    started = time.perf_counter()
    callbacks.progress("load", 0, 1)
    device = parameters.get("device") or models.device
    bundle = load_bundle(parameters.get("bundle"), "segmentation")
    key = ("segmentation", bundle.hash, device)
    segmenter = models.get(key, lambda: Segmenter(bundle, device))
    loaded = time.perf_counter()
    callbacks.progress("load", 1, 1)
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
            "timings": {"model": loaded - started, **result.timings},
            "device": result.device,
            "dtype": result.dtype,
            "bundle": {"name": bundle.name, "version": bundle.version, "hash": bundle.hash},
            "peak_memory_mb": peak_memory_mb(),
            "peak_gpu_memory_mb": peak_gpu_memory_mb(resolve(device)),
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
