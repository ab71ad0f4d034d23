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

from typing import Any

from ..progress import Callbacks
from ..volume import Volume
from ..worker.tasks import ModelCache, TaskResult, load_model


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
        found.append([remark.to_dict() for remark in image_remarks(volume, paths)])
    return TaskResult(info={"remarks": found})


def _study(
    parameters: dict[str, Any],
    volumes: list[Volume],
    callbacks: Callbacks,
    models: ModelCache,
) -> TaskResult:
    from ..preprocessing.overlap import label
    from ..preprocessing.study_checks import Remark, overlap_remarks
    from .synthesizer import Synthesizer, said
    from .task import prepared_for

    found = overlap_remarks(volumes)
    if not any(remark.serious for remarks in found for remark in remarks):
        synthesizer, _ = load_model("synthesis", Synthesizer, parameters, callbacks, models)
        prepared = prepared_for(synthesizer, parameters, volumes, callbacks, models)
        for volume, remarks in zip(volumes, found, strict=True):
            remarks += [
                Remark("alignment", text)
                for text in prepared.warnings
                if text.startswith(label(volume)) and text not in volume.warnings
            ]
        for volume, finding in synthesizer.screened(prepared, volumes):
            callbacks.check()
            remarks = found[[each is volume for each in volumes].index(True)]
            remarks += [Remark("contents", text) for text in said([(volume, finding)])]
    return TaskResult(
        info={"remarks": [[remark.to_dict() for remark in remarks] for remarks in found]}
    )


def _devices(
    parameters: dict[str, Any],
    volumes: list[Volume],
    callbacks: Callbacks,
    models: ModelCache,
) -> TaskResult:
    from ..devices import available

    return TaskResult(info={"devices": available()})


HANDLERS = {"checks": _checks, "study": _study, "devices": _devices}
