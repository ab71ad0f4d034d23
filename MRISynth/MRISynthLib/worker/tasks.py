"""What a task module gives to the worker and gets from it.

A task module has ``HANDLERS``, a dict of task name -> :data:`Handler`. It imports torch only
inside its handlers. It may have ``warm_up()``, called once while the worker is idle after its
start, to import what every request needs.
"""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..bundles import Bundle, load_bundle
from ..devices import peak_gpu_memory_mb, peak_memory_mb
from ..progress import Callbacks
from ..volume import Volume

MODELS_KEPT = 4
"""Loaded models that stay in memory; the one unused for longest goes first."""

INPUTS_KEPT = 2
"""Results of preparing inputs that stay in memory, likewise."""


@dataclass(frozen=True)
class TaskResult:
    """Named volumes, and plain values that go through JSON."""

    volumes: list[tuple[str, Volume]] = field(default_factory=list)
    info: dict[str, Any] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Volume:
        return dict(self.volumes)[name]


class ModelCache:
    """What a warm request need not make again: loaded models by bundle hash and device, and what
    was made of inputs by their content."""

    def __init__(self, device: str = "auto") -> None:
        self.device = device
        self._models: OrderedDict[tuple, Any] = OrderedDict()
        self._inputs: OrderedDict[tuple, Any] = OrderedDict()

    def get(self, key: tuple, load: Callable[[], Any]) -> Any:
        """The model under ``key``, made by ``load`` if it is not there."""
        return _recent(self._models, key, load, MODELS_KEPT)

    def inputs(self, key: tuple, make: Callable[[], Any]) -> Any:
        """What ``make`` made of some inputs; ``key`` has their :func:`content_of` in it.

        It must not hold the volumes of a request: they are the client's.
        """
        return _recent(self._inputs, key, make, INPUTS_KEPT)


def _recent(kept: OrderedDict[tuple, Any], key: tuple, make: Callable[[], Any], most: int) -> Any:
    if key not in kept:
        kept[key] = make()
        while len(kept) > most:
            kept.popitem(last=False)
    kept.move_to_end(key)
    return kept[key]


def content_of(volumes: Sequence[Volume]) -> str:
    """A hash of everything about volumes that a result may depend on, voxels included."""
    digest = hashlib.blake2b(digest_size=16)
    for volume in volumes:
        synthetic = volume.provenance is not None and volume.provenance.synthetic
        about = (volume.sequence, volume.name, synthetic, volume.warnings, volume.shape)
        digest.update(repr((*about, volume.voxels.dtype.str)).encode())
        digest.update(volume.index_to_world.tobytes())
        digest.update(np.ascontiguousarray(volume.voxels))
    return digest.hexdigest()


Handler = Callable[[dict[str, Any], list[Volume], Callbacks, ModelCache], TaskResult]
"""``handler(parameters, volumes, callbacks, models)``; it must not keep the volumes."""


def load_model(
    task: str,
    make: Callable[[Bundle, str], Any],
    parameters: dict[str, Any],
    callbacks: Callbacks,
    models: ModelCache,
) -> tuple[Any, float]:
    """The loaded model that a request's ``bundle`` and ``device`` name, and the seconds it took.

    ``make(bundle, device)`` is called where the cache does not have it.
    """
    started = time.perf_counter()
    callbacks.progress("load", 0, 1)
    device = parameters.get("device") or models.device
    bundle = load_bundle(parameters.get("bundle"), task)
    model = models.get((task, bundle.hash, device), lambda: make(bundle, device))
    callbacks.progress("load", 1, 1)
    return model, time.perf_counter() - started


def common_info(model: Any, result: Any, load_seconds: float) -> dict[str, Any]:
    """What every result's ``info`` says of model, time and memory."""
    bundle = model.bundle
    return {
        "timings": {"model": load_seconds, **result.timings},
        "registrations": list(result.registrations),
        "device": result.device,
        "dtype": result.dtype,
        "bundle": {"name": bundle.name, "version": bundle.version, "hash": bundle.hash},
        "peak_memory_mb": peak_memory_mb(),
        "peak_gpu_memory_mb": peak_gpu_memory_mb(model.device),
    }
