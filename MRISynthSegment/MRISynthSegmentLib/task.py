"""What the worker runs for segmentation: the tasks ``"segmentation"``, ``"refinement"`` and
``"segmentation study"``.

Parameters of ``"segmentation"`` (all optional)::

    structures       TG-263 names; None or empty for all that the model knows
    bundle           name or folder of the model; None for the first that is installed
    device           as in :mod:`MRISynthLib.devices`; None for the worker's own
    register         whether inputs that lie differently are aligned
    clean, flips     as in ``Segmenter.segment``
    probabilities    whether to give each structure's probability too

Result: one boolean volume a structure on the first input's grid, one called ``<structure>
probability`` for each if asked for, and ``info``; :func:`segmentation_from` makes a
:class:`Segmentation` of both.

Parameters of ``"refinement"``::

    structure        its name
    clicks           all clicks on it, the new one last: [x, y, z, adds], LPS millimetres
    bundle, device, register    as above

Volumes: the inputs, then the structure's mask so far. Result: the mask after the last click, under
the structure's name. What was prepared of the inputs is kept for the next request with the same.

``"segmentation study"``: what ``"study"`` of :mod:`MRISynthLib.synthesis.study_task` is for a
synthesis; parameters ``bundle``, ``device``, ``register``.
"""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

from MRISynthLib.progress import Callbacks
from MRISynthLib.provenance import Provenance
from MRISynthLib.volume import Volume
from MRISynthLib.worker.preparing import prepared_once
from MRISynthLib.worker.tasks import ModelCache, TaskResult, common_info, load_model

from .corrections import clicks_from_plain
from .segmentation import Segmentation

PROBABILITY = " probability"
"""End of the name of a structure's probability."""


def _segmentation(
    parameters: dict[str, Any],
    volumes: list[Volume],
    callbacks: Callbacks,
    models: ModelCache,
) -> TaskResult:
    from .segmenter import Segmenter

    segmenter, seconds = load_model("segmentation", Segmenter, parameters, callbacks, models)
    structures = list(parameters.get("structures") or []) or None
    segmenter.check_structures(structures)
    result = segmenter.segment(
        volumes,
        structures,
        clean=bool(parameters.get("clean", True)),
        flips=bool(parameters.get("flips", True)),
        probabilities=bool(parameters.get("probabilities", False)),
        prepared=prepared_once(segmenter, parameters, volumes, callbacks, models),
        callbacks=callbacks,
    )
    segmentation = result.segmentation
    reference = segmentation.reference
    made = [
        (name, Volume(mask, reference.index_to_world, name=name))
        for name, mask in segmentation.masks.items()
    ]
    for name, image in (result.probabilities or {}).items():
        made.append((f"{name}{PROBABILITY}", image))
    provenance = segmentation.provenance
    return TaskResult(
        made,
        {
            "structures": list(segmentation.masks),
            "doubt": result.doubt,
            "provenance": provenance.to_dict() if provenance else None,
            "warnings": list(dict.fromkeys([*result.warnings, *segmentation.warnings])),
            **common_info(segmenter, result, seconds),
        },
    )


def _refinement(
    parameters: dict[str, Any],
    volumes: list[Volume],
    callbacks: Callbacks,
    models: ModelCache,
) -> TaskResult:
    from MRISynthLib.devices import dtype_name

    from .refinement import Refiner, check_takes_clicks
    from .segmenter import Segmenter

    segmenter, seconds = load_model("segmentation", Segmenter, parameters, callbacks, models)
    check_takes_clicks(segmenter)
    *inputs, previous = volumes
    structure = str(parameters["structure"])
    prepared = prepared_once(segmenter, parameters, inputs, callbacks, models)
    begun = time.perf_counter()
    mask = Refiner(segmenter, prepared, inputs).refine(
        structure,
        previous.voxels,
        clicks_from_plain(parameters["clicks"]),
        callbacks=callbacks,
    )
    about = SimpleNamespace(
        timings={**prepared.timings, "refine": time.perf_counter() - begun},
        registrations=prepared.registrations,
        device=str(segmenter.device),
        dtype=dtype_name(segmenter.dtype),
    )
    return TaskResult(
        [(structure, Volume(mask, inputs[0].index_to_world, name=structure))],
        {
            "structure": structure,
            "warnings": list(prepared.warnings),
            **common_info(segmenter, about, seconds),
        },
    )


def _study(
    parameters: dict[str, Any],
    volumes: list[Volume],
    callbacks: Callbacks,
    models: ModelCache,
) -> TaskResult:
    from MRISynthLib.synthesis.study_task import remarks_result, remarks_together

    from .segmenter import Segmenter

    def prepare():
        segmenter, _ = load_model("segmentation", Segmenter, parameters, callbacks, models)
        return prepared_once(segmenter, parameters, volumes, callbacks, models)

    found, _ = remarks_together(volumes, prepare)
    return remarks_result(found)


def segmentation_from(result: TaskResult, reference: Volume) -> Segmentation:
    """The segmentation that the worker made; ``reference`` is the first input."""
    provenance = result.info.get("provenance")
    return Segmentation(
        {name: each.voxels for name, each in result.volumes if not name.endswith(PROBABILITY)},
        reference,
        Provenance.from_dict(provenance) if provenance else None,
        tuple(result.info.get("warnings", ())),
        result.info.get("doubt", {}),
    )


def probabilities_from(result: TaskResult) -> dict[str, Volume]:
    """Structure -> its probability, 0 to 1; empty if that was not asked for."""
    return {
        name.removesuffix(PROBABILITY): volume
        for name, volume in result.volumes
        if name.endswith(PROBABILITY)
    }


def warm_up() -> None:
    """Import what every request needs."""
    from . import refinement  # noqa: F401


HANDLERS = {
    "segmentation": _segmentation,
    "refinement": _refinement,
    "segmentation study": _study,
}
