"""Inputs that were prepared once are not prepared again for the next request."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ..progress import Callbacks
from ..volume import Volume
from .tasks import ModelCache, content_of

if TYPE_CHECKING:
    from ..preprocessing.preparation import Prepared


class Preparing(Protocol):
    """A loaded model that prepares its inputs by itself."""

    pixel_mm: float

    def check_inputs(self, inputs: list[Volume]) -> None:
        """Raise InputError for what the model does not take."""

    def prepare(
        self, inputs: list[Volume], *, register: bool, callbacks: Callbacks, **options: Any
    ) -> Prepared:
        """Check, register, resample and normalise."""


def prepared_once(
    model: Preparing,
    parameters: dict[str, Any],
    volumes: list[Volume],
    callbacks: Callbacks,
    models: ModelCache,
    **options: Any,
) -> Prepared:
    """What the model needs to know of the inputs; made once for those with the same content.

    ``options`` go to the model's ``prepare``, beside the request's ``register``. What is kept does
    not hold the volumes: they are the client's and go with the request. Its timings are zero where
    nothing was made anew.

    Raises
    ------
    InputError
        If the inputs cannot be used; says which and why.
    """
    register = bool(parameters.get("register", True))
    spent: dict[str, float] = {}

    def make() -> Prepared:
        prepared = model.prepare(volumes, register=register, callbacks=callbacks, **options)
        spent.update(prepared.timings)
        nothing = np.broadcast_to(np.uint8(0), prepared.reference.shape)
        return replace(
            prepared,
            reference=prepared.reference.replace(voxels=nothing),
            registered=[],
            timings=dict.fromkeys(prepared.timings, 0.0),
        )

    model.check_inputs(volumes)
    key = ("prepared", content_of(volumes), register, model.pixel_mm, *sorted(options.items()))
    kept = models.inputs(key, make)
    return replace(kept, timings=spent) if spent else kept
