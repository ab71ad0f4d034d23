"""A visitor's way to the worker: the face of a ``WorkerClient``, spoken to the gateway."""

from __future__ import annotations

import itertools
import queue
import threading
from collections.abc import Callable, Sequence
from typing import Any, BinaryIO

from MRISynthLib import errors
from MRISynthLib.errors import Cancelled, MRISynthError, WorkerError
from MRISynthLib.progress import Progress, SliceReady
from MRISynthLib.volume import Volume
from MRISynthLib.worker import TaskResult, shared
from MRISynthLib.worker.messages import (
    Cancel,
    Done,
    Failed,
    Message,
    Release,
    Request,
    encode,
    read,
)


class RemoteJob:
    """A request on its way; what a panel uses of :class:`MRISynthLib.worker.Job`."""

    def __init__(self, worker: RemoteWorker, number: int) -> None:
        self.number = number
        self.prefix = f"{shared.new_prefix()}{number}"
        self._worker = worker
        self._events: queue.SimpleQueue[Progress | SliceReady] = queue.SimpleQueue()
        self._outcome: TaskResult | MRISynthError | None = None

    @property
    def done(self) -> bool:
        """Whether it has a result or an error."""
        return self._outcome is not None

    def poll(self) -> list[Progress | SliceReady]:
        """What happened since the last call."""
        events = []
        while not self._events.empty():
            events.append(self._events.get_nowait())
        return events

    def result(self) -> TaskResult:
        """The result of a finished job, or its error raised."""
        if isinstance(self._outcome, MRISynthError):
            raise self._outcome
        if self._outcome is None:
            raise TimeoutError("the job is not finished yet")
        return self._outcome

    def cancel(self) -> None:
        """Stop it; does nothing to a finished job."""
        if not self.done:
            self._worker.send(self.number, Cancel())

    def hear(self, message: Message) -> None:
        """What the gateway says of it; called from the reading thread."""
        if isinstance(message, (Progress, SliceReady)):
            self._events.put(message)
        elif isinstance(message, Done):
            try:
                volumes = [(name, shared.take(header)) for name, header in message.volumes]
                self._outcome = TaskResult(volumes, message.info)
            except (OSError, MemoryError) as error:
                self._outcome = WorkerError(f"The results could not be taken over ({error}).")
            self._worker.send(self.number, Release())
        elif isinstance(message, Failed):
            kind = getattr(errors, message.kind, WorkerError)
            self._outcome = kind(message.reason) if kind is not Cancelled else Cancelled()


class RemoteWorker:
    """Sends requests over the process's pipes; ``on_end`` is called when the gateway has gone."""

    def __init__(self, incoming: BinaryIO, outgoing: BinaryIO, on_end: Callable[[], None]) -> None:
        self._incoming, self._outgoing = incoming, outgoing
        self._on_end = on_end
        self._numbers = itertools.count(1)
        self._jobs: dict[int, RemoteJob] = {}
        self._lock = threading.Lock()
        threading.Thread(target=self._listen, name="gateway", daemon=True).start()

    def submit(
        self, task: str, parameters: dict[str, Any], volumes: Sequence[Volume] = ()
    ) -> RemoteJob:
        """Ask for a task.

        Raises
        ------
        WorkerError
            If there is no memory for the volumes.
        """
        job = RemoteJob(self, next(self._numbers))
        headers = []
        for number, volume in enumerate(volumes):
            block, header = shared.put(f"{job.prefix}i{number}", volume)
            block.close()  # the broker takes it over
            headers.append(header)
        self._jobs[job.number] = job
        self.send(job.number, Request(task, dict(parameters), headers, job.prefix))
        return job

    def send(self, number: int, message: Message) -> None:
        """A message to the gateway."""
        frame = memoryview(encode(number, message))
        try:
            with self._lock:
                while frame:
                    frame = frame[self._outgoing.write(frame) :]
        except (OSError, ValueError):
            self._on_end()

    def _listen(self) -> None:
        try:
            while (frame := read(self._incoming)) is not None:
                number, message = frame
                job = self._jobs.get(number)
                if job is not None:
                    job.hear(message)
                    if job.done:
                        self._jobs.pop(number, None)
        finally:
            self._on_end()
