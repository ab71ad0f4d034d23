"""Work in the inference process, followed from Slicer's event loop.

Both modules share one worker per device: its models stay loaded when the user goes from one
module to the other.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import qt
import slicer

from MRISynthLib.errors import Cancelled, MRISynthError

if TYPE_CHECKING:
    from MRISynthLib.progress import Progress, SliceReady
    from MRISynthLib.volume import Volume
    from MRISynthLib.worker import TaskResult, WorkerClient

POLL_MILLISECONDS = 50

_clients: dict[str, WorkerClient] = {}


def client_for(device: str) -> WorkerClient:
    """The worker's client for a device; the process starts with its first job."""
    from MRISynthLib.worker import WorkerClient

    if not _clients:
        slicer.app.connect("aboutToQuit()", close_clients)
    if device not in _clients:
        _clients[device] = WorkerClient(device)
    return _clients[device]


def close_clients() -> None:
    """End all workers."""
    while _clients:
        _clients.popitem()[1].close()


class WorkerRun:
    """At most one job at a time; its events arrive in Slicer's main thread.

    ``on_progress`` and ``on_slice`` get what the job reports. Then exactly one of
    ``on_done(result)``, ``on_cancelled(error)`` and ``on_failed(error)`` is called, unless
    :meth:`abandon` was; not before ``may_end()``. ``make_client`` maps a device to a client.
    """

    def __init__(
        self,
        on_progress: Callable[[Progress], None],
        on_slice: Callable[[SliceReady], None],
        on_done: Callable[[TaskResult], None],
        on_cancelled: Callable[[Cancelled], None],
        on_failed: Callable[[MRISynthError], None],
        make_client: Callable[[str], WorkerClient] = client_for,
        may_end: Callable[[], bool] = lambda: True,
    ) -> None:
        self._on_progress = on_progress
        self._on_slice = on_slice
        self._on_done = on_done
        self._on_cancelled = on_cancelled
        self._on_failed = on_failed
        self._make_client = make_client
        self._may_end = may_end
        self._job: Any = None
        self._cancelled = False
        self._timer = qt.QTimer()
        self._timer.setInterval(POLL_MILLISECONDS)
        self._timer.connect("timeout()", self._poll)

    @property
    def running(self) -> bool:
        """Whether a job is under way."""
        return self._job is not None

    def start(
        self, device: str, task: str, parameters: dict[str, Any], volumes: Sequence[Volume]
    ) -> None:
        """Submit a job and follow it.

        Raises
        ------
        MRISynthError
            If the worker cannot be asked at all.
        """
        if self.running:
            raise RuntimeError("a job is running")
        self._job = self._make_client(device).submit(task, parameters, volumes)
        self._cancelled = False
        self._timer.start()

    def cancel(self) -> None:
        """Ask the job to stop; ``on_cancelled`` follows within half a second."""
        if self._job is not None:
            self._cancelled = True
            self._job.cancel()

    def abandon(self) -> None:
        """Stop the job and call nothing more: the scene or the panel is going away."""
        job, self._job = self._job, None
        self._timer.stop()
        if job is not None:
            job.cancel()

    def _poll(self) -> None:
        from MRISynthLib.progress import Progress, SliceReady

        job = self._job
        if job is None:
            return
        finished = job.done  # asked before poll, so that no event of a finished job is missed
        for event in job.poll():
            if self._job is not job:
                return  # a callback abandoned the job
            if isinstance(event, Progress):
                self._on_progress(event)
            elif isinstance(event, SliceReady):
                self._on_slice(event)
        if finished and self._job is job and self._may_end():
            self._finish(job)

    def _finish(self, job: Any) -> None:
        self._job = None
        self._timer.stop()
        try:
            result = job.result()
            if self._cancelled:  # it was pressed when the job had just finished
                raise Cancelled
        except Cancelled as error:
            self._on_cancelled(error)
        except MRISynthError as error:
            logging.error("MRISynth: %s", error)
            self._on_failed(error)
        else:
            self._on_done(result)
