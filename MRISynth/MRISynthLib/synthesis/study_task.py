"""What the worker tells a panel before the user presses Apply: ``"checks"``, ``"study"`` and
``"devices"``. Nobody waits for these.

``"checks"``: remarks on each volume by itself. Parameter ``files`` (optional): for each volume the
DICOM files that it was loaded from. ``info["remarks"]`` has a list of
:class:`~MRISynthLib.preprocessing.study_checks.Remark` (as plain values) for each volume.

``"study"``: remarks on the inputs of a request, against each other and by the model's own screen.
Parameters as those of ``"synthesis"``, without its targets. The inputs are prepared on the way, so
that a synthesis of the same inputs starts at once. ``info["remarks"]`` is as above.

``"devices"``: ``info["devices"]`` has what :func:`MRISynthLib.devices.available` found.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..progress import Callbacks
from ..volume import Volume
from ..worker.tasks import ModelCache, TaskResult, load_model

if TYPE_CHECKING:
    from ..preprocessing.preparation import Prepared
    from ..preprocessing.study_checks import Remark


def _checks(
    parameters: dict[str, Any],
    volumes: list[Volume],
    callbacks: Callbacks,
    models: ModelCache,
) -> TaskResult:
    from ..preprocessing.study_checks import image_remarks

    files = parameters.get("files") or [()] * len(volumes)
    found = []
    for volume, paths in zip(volumes, files, strict=True):
        callbacks.check()
        found.append(image_remarks(volume, paths))
    return remarks_result(found)


def remarks_together(
    volumes: list[Volume], prepare: Callable[[], Prepared]
) -> tuple[list[list[Remark]], Prepared | None]:
    """Remarks on the inputs of a request against each other, in their order, and what ``prepare``
    made of them; it is not called for inputs that do not fit together."""
    from ..preprocessing.overlap import label
    from ..preprocessing.study_checks import Remark, overlap_remarks

    found = overlap_remarks(volumes)
    if any(remark.serious for remarks in found for remark in remarks):
        return found, None
    prepared = prepare()
    for volume, remarks in zip(volumes, found, strict=True):
        remarks += [
            Remark("alignment", text)
            for text in prepared.warnings
            if text.startswith(label(volume)) and text not in volume.warnings
        ]
    return found, prepared


def remarks_result(found: list[list[Remark]]) -> TaskResult:
    """The remarks on each volume as plain values."""
    return TaskResult(
        info={"remarks": [[remark.to_dict() for remark in remarks] for remarks in found]}
    )


def _study(
    parameters: dict[str, Any],
    volumes: list[Volume],
    callbacks: Callbacks,
    models: ModelCache,
) -> TaskResult:
    from ..preprocessing.study_checks import Remark
    from .synthesizer import Synthesizer, said
    from .task import prepared_for

    def model() -> Synthesizer:
        return load_model("synthesis", Synthesizer, parameters, callbacks, models)[0]

    found, prepared = remarks_together(
        volumes, lambda: prepared_for(model(), parameters, volumes, callbacks, models)
    )
    for volume, finding in model().screened(prepared, volumes) if prepared is not None else ():
        callbacks.check()
        remarks = found[[each is volume for each in volumes].index(True)]
        remarks += [Remark("contents", text) for text in said([(volume, finding)])]
    return remarks_result(found)


def _devices(
    parameters: dict[str, Any],
    volumes: list[Volume],
    callbacks: Callbacks,
    models: ModelCache,
) -> TaskResult:
    from ..devices import available

    return TaskResult(info={"devices": available()})


HANDLERS = {"checks": _checks, "study": _study, "devices": _devices}
