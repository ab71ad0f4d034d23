"""What the worker runs for synthesis: the task ``"synthesis"``.

Parameters (all optional but ``targets``)::

    targets          list of {"sequence": canonical name, "prompt": text}
    bundle           name or folder of the model; None for the first that is installed
    device           as in :mod:`MRISynthLib.devices`; None for the worker's own
    seed             int
    register         whether inputs that lie differently are aligned
    match            whether inputs are brought to the brightness of training images; None for what
                     was measured to be better
    visible_slice    index of the reference's slice that is wanted first, or None
    return_inputs    whether the inputs on the reference's grid come back as well

Result: the volumes ``<target>``, ``<target>_uncertainty`` and, if asked for, ``input_0`` and so
on. ``info`` has what a report needs; ``units`` in it is target -> (scale, offset, name) from the
network's 0-1 to the image.
"""

from __future__ import annotations

from typing import Any

from ..progress import Callbacks
from ..volume import Volume
from ..worker.tasks import ModelCache, TaskResult, common_info, load_model


def _synthesis(
    parameters: dict[str, Any],
    volumes: list[Volume],
    callbacks: Callbacks,
    models: ModelCache,
) -> TaskResult:
    from .synthesizer import ARBITRARY, UNITS, Synthesizer, Target

    synthesizer, seconds = load_model("synthesis", Synthesizer, parameters, callbacks, models)
    result = synthesizer.synthesize(
        volumes,
        [Target(**target) for target in parameters["targets"]],
        seed=int(parameters.get("seed", 0)),
        visible_slice=parameters.get("visible_slice"),
        register=bool(parameters.get("register", True)),
        match=parameters.get("match"),
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


def warm_up() -> None:
    """Import what every request needs."""
    from . import synthesizer  # noqa: F401


HANDLERS = {"synthesis": _synthesis}
