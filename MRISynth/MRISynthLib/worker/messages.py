"""The messages between a face and its worker, and their form on the pipe.

A frame is two big-endian 32-bit lengths, a JSON object and, for a message that carries an
image, its bytes. Each frame belongs to a job (0 for the process as a whole). Progress and
finished slices are the classes of :mod:`MRISynthLib.progress` themselves.
"""

from __future__ import annotations

import dataclasses
import json
import struct
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import numpy as np

from ..progress import Progress, SliceReady

_LENGTHS = struct.Struct(">II")


@dataclass(frozen=True)
class Ready:
    """The worker has started and listens."""

    pid: int
    tasks: list[str]


@dataclass(frozen=True)
class Request:
    """Do ``task``. ``volumes`` are headers of blocks that the client owns; the worker names
    the blocks of its results ``{prefix}o0``, ``{prefix}o1`` and so on, without a gap."""

    task: str
    parameters: dict[str, Any]
    volumes: list[dict[str, Any]]
    prefix: str
    slices: bool = True


@dataclass(frozen=True)
class Cancel:
    """Stop the job."""


@dataclass(frozen=True)
class GiveWay:
    """Somebody moves the views: compute little for so many seconds."""

    seconds: float


@dataclass(frozen=True)
class Release:
    """The client has taken over the job's results."""


@dataclass(frozen=True)
class Shutdown:
    """End the process."""


@dataclass(frozen=True)
class Accepted:
    """The worker has the request."""


@dataclass(frozen=True)
class Done:
    """The job is finished; ``volumes`` are (name, header) pairs."""

    volumes: list[Any] = field(default_factory=list)
    info: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Failed:
    """The job ended without a result. ``reason`` is a sentence for the user, ``kind`` the
    name of a class of :mod:`MRISynthLib.errors`."""

    reason: str
    kind: str = "WorkerError"


Message = (
    Ready
    | Request
    | Cancel
    | GiveWay
    | Release
    | Shutdown
    | Accepted
    | Progress
    | SliceReady
    | Done
    | Failed
)
_CLASSES = {cls.__name__: cls for cls in Message.__args__}


def encode(job: int, message: Message) -> bytes:
    """One frame."""
    values: dict[str, Any] = {}
    image: np.ndarray | None = None
    for item in dataclasses.fields(message):
        value = getattr(message, item.name)
        if isinstance(value, np.ndarray):
            image = np.ascontiguousarray(value)
            value = {"dtype": image.dtype.str, "shape": image.shape}
        values[item.name] = value
    body = {"job": job, "type": type(message).__name__, "values": values}
    text = json.dumps(body, default=plain).encode()
    data = image.tobytes() if image is not None else b""
    return _LENGTHS.pack(len(text), len(data)) + text + data


def read(stream: BinaryIO) -> tuple[int, Message] | None:
    """The next (job, message), or None at the end of the stream, also within a frame."""
    lengths = _read_exactly(stream, _LENGTHS.size)
    if lengths is None:
        return None
    text_length, data_length = _LENGTHS.unpack(lengths)
    text = _read_exactly(stream, text_length)
    data = _read_exactly(stream, data_length)
    if text is None or data is None:
        return None
    body = json.loads(text)
    cls, values = _CLASSES[body["type"]], body["values"]
    if cls is SliceReady:
        form = values["image"]
        values["image"] = np.frombuffer(data, form["dtype"]).reshape(form["shape"])
    return body["job"], cls(**values)


def _read_exactly(stream: BinaryIO, count: int) -> bytes | None:
    parts = []
    while count:
        part = stream.read(count)
        if not part:
            return None
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def plain(value: Any) -> Any:
    """What JSON does not know, as something that it does (for ``json.dumps(default=…)``)."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, (set, frozenset, tuple)):
        return list(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    return str(value)
