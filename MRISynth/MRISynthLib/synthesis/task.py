"""What the worker runs for synthesis: the tasks ``"synthesis"`` and ``"preview"``,
and those of :mod:`.study_task`.

Parameters of ``"synthesis"`` (all optional but ``targets``)::

    targets          list of {"sequence": canonical name, "prompt": text}
    bundle           name or folder of the model; None for the first that is installed
    device           as in :mod:`MRISynthLib.devices`; None for the worker's own
    seed             int
    register         whether inputs that lie differently are aligned
    match            whether inputs are brought to the brightness of training images; None for what
                     was measured to be better
    normalisation    how grey values are scaled, as in :mod:`MRISynthLib.preprocessing`
    visible_slice    index of the reference's slice that is wanted first, or None
    return_inputs    whether the inputs on the reference's grid come back as well

Result: the volumes ``<target>``, ``<target>_uncertainty`` and, if asked for, ``input_0`` and so
on. ``info`` has what a report needs; ``units`` in it is target -> (scale, offset, name) from the
network's 0-1 to the image. What was prepared of the inputs is kept for the next request with the
same, unless they are to come back.

``"preview"`` takes the same parameters and hands over one finished slice of each target, the
``visible_slice``; it has no volumes. ``info`` says whether there was one (``made``), as the network
may work on other slices than the reference has, and whether any of the body is on it (``inside``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import InputError
from ..progress import Callbacks
from ..volume import Volume
from ..worker.preparing import prepared_once
from ..worker.tasks import ModelCache, TaskResult, common_info, load_model
from . import study_task

if TYPE_CHECKING:
    from ..preprocessing.preparation import Prepared
    from .synthesizer import Synthesizer, Target


def _synthesis(
    parameters: dict[str, Any],
    volumes: list[Volume],
    callbacks: Callbacks,
    models: ModelCache,
) -> TaskResult:
    from .synthesizer import ARBITRARY, UNITS, Synthesizer

    synthesizer, seconds = load_model("synthesis", Synthesizer, parameters, callbacks, models)
    if parameters.get("return_inputs"):
        prepared = synthesizer.prepare(
            volumes,
            register=bool(parameters.get("register", True)),
            normalisation=_normalisation(parameters),
            callbacks=callbacks,
        )
    else:
        prepared = prepared_for(synthesizer, parameters, volumes, callbacks, models)
    result = synthesizer.synthesize(
        volumes,
        _targets(parameters),
        seed=int(parameters.get("seed", 0)),
        visible_slice=parameters.get("visible_slice"),
        match=parameters.get("match"),
        prepared=prepared,
        callbacks=callbacks,
    )
    named = list(result.volumes.items())
    named += [(f"{name}_uncertainty", volume) for name, volume in result.uncertainty.items()]
    if parameters.get("return_inputs"):
        named += [(f"input_{n}", volume) for n, volume in enumerate(result.registered)]
    return TaskResult(
        named,
        {
            "targets": list(result.volumes),
            "units": {name: UNITS.get(name, ARBITRARY) for name in result.volumes},
            "warnings": list(result.warnings),
            **common_info(synthesizer, result, seconds),
        },
    )


def _preview(
    parameters: dict[str, Any],
    volumes: list[Volume],
    callbacks: Callbacks,
    models: ModelCache,
) -> TaskResult:
    from .synthesizer import Synthesizer

    synthesizer, _ = load_model("synthesis", Synthesizer, parameters, callbacks, models)
    prepared = prepared_for(synthesizer, parameters, volumes, callbacks, models)
    visible = int(parameters["visible_slice"])
    synthesizer.preview(
        volumes,
        _targets(parameters),
        visible,
        prepared=prepared,
        seed=int(parameters.get("seed", 0)),
        match=parameters.get("match"),
        callbacks=callbacks,
    )
    grid = prepared.grid
    if not grid.slices_coincide:
        return TaskResult([], {"made": False, "inside": False})
    place = min(max(grid.slice_of_reference(visible), 0), grid.shape[0] - 1)
    return TaskResult([], {"made": True, "inside": bool(prepared.body[place].any())})


def prepared_for(
    synthesizer: Synthesizer,
    parameters: dict[str, Any],
    volumes: list[Volume],
    callbacks: Callbacks,
    models: ModelCache,
) -> Prepared:
    """What the model needs to know of the inputs of a request; made once for the same ones."""
    return prepared_once(
        synthesizer,
        parameters,
        volumes,
        callbacks,
        models,
        normalisation=_normalisation(parameters),
    )


def _normalisation(parameters: dict[str, Any]) -> str:
    from ..preprocessing.normalisation import METHODS

    method = parameters.get("normalisation") or "robust"
    if method not in METHODS:
        raise InputError(
            f"There is no normalisation '{method}'; choose one of {', '.join(METHODS)}."
        )
    return str(method)


def _targets(parameters: dict[str, Any]) -> list[Target]:
    from .synthesizer import Target

    return [Target(**target) for target in parameters["targets"]]


def warm_up() -> None:
    """Import what every request needs."""
    from . import synthesizer  # noqa: F401


HANDLERS = {"synthesis": _synthesis, "preview": _preview, **study_task.HANDLERS}
