"""The face's side of the worker.

What a face can rely on:

- Jobs run one after the other; ``submit`` returns at once.
- ``cancel`` takes effect within half a second: a worker that does not answer, because it is
  inside a long native call, is killed, and the next job starts a new one.
- A worker that dies, for whatever reason, fails the running job with a sentence and loses
  nothing else; the next job starts a new one.
- No shared memory is left behind, whichever side dies.
- The worker ends with its client, also if that is killed.
"""

from __future__ import annotations

import itertools
import os
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

from .. import errors
from ..devices import check_name
from ..errors import Cancelled, MRISynthError, OutputError, WorkerError
from ..progress import Progress, SliceReady
from ..volume import Volume
from . import shared
from .messages import (
    Accepted,
    Cancel,
    Done,
    Failed,
    GiveWay,
    Message,
    Ready,
    Release,
    Request,
)
from .process import WorkerProcess, find_python
from .tasks import TaskResult

DEFAULT_TASKS = (
    "MRISynthLib.synthesis.task",
    "MRISynthSegmentLib.task",
    "MRISynthLib.simulation.task",
    "MRISynthSegmentLib.contour_tasks",
    "MRISynthLib.review.task",
)
"""Modules with the handlers of the product; named, so that this library imports neither."""

CANCEL_SECONDS = 0.35
"""How long a worker may take to answer a cancel before it is killed."""

LOG_LINES = 2000

Event = Accepted | Progress | SliceReady | Done | Failed


class Job:
    """A submitted request.

    ``events`` holds what has not been looked at yet. A GUI calls :meth:`poll` from a timer, a
    command line calls :meth:`wait`; ``on_event`` is called from within these, in the caller's
    own thread.
    """

    def __init__(
        self,
        client: WorkerClient,
        number: int,
        request: tuple[str, dict[str, Any], list[Volume]],
        on_event: Callable[[Event], None] | None,
        slices: bool,
    ) -> None:
        self.number = number
        self.task, self.parameters, self.volumes = request
        self.on_event = on_event
        self.slices = slices
        self.events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self.accepted = False
        self.tried_again = False
        self.cancel_requested = False
        self.prefix = f"{shared.new_prefix()}{number}"
        self.stage = "starting"
        self._client = client
        self._finished = threading.Event()
        self._result: TaskResult | None = None
        self._error: MRISynthError | None = None

    @property
    def done(self) -> bool:
        """Whether it has a result or an error."""
        return self._finished.is_set()

    @property
    def error(self) -> MRISynthError | None:
        """Why it failed, once it has."""
        return self._error

    def poll(self) -> list[Event]:
        """What happened since the last call; for GUI timers.

        Slicer's event loop holds Python's lock, so the reading threads only run while the
        main thread sleeps in Python: hence the few milliseconds.
        """
        time.sleep(0.003)
        events = []
        while not self.events.empty():
            events.append(self.events.get_nowait())
            self._hand_over(events[-1])
        return events

    def wait(self, timeout: float | None = None) -> TaskResult:
        """The result, when it is there.

        Raises
        ------
        TimeoutError
            If that takes longer than ``timeout`` seconds; the job goes on.
        MRISynthError
            Why it failed: :class:`Cancelled`, :class:`InputError`, :class:`WorkerError` ...
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while not (self.done and self.events.empty()):
            try:
                # In short steps, as Windows does not let Ctrl-C through a long wait.
                self._hand_over(self.events.get(timeout=0.05))
            except queue.Empty:
                if deadline is not None and time.monotonic() > deadline and not self.done:
                    raise TimeoutError(f"The task '{self.task}' is not finished yet.") from None
        return self.result()

    def result(self) -> TaskResult:
        """The result of a finished job; raises like :meth:`wait`."""
        if self._error is not None:
            raise self._error
        if self._result is None:
            raise TimeoutError(f"The task '{self.task}' is not finished yet.")
        return self._result

    def cancel(self, *, kill: bool = True) -> None:
        """Stop it, within half a second; does nothing to a finished job.

        ``kill`` False never ends a worker that does not answer: for work that nobody waits for,
        whose end need not be seen, where a warm worker is worth more.
        """
        self._client._cancel(self, kill)

    def _hand_over(self, event: Event) -> None:
        if self.on_event is not None:
            self.on_event(event)

    def _finish(self, event: Done | Failed, outcome: TaskResult | MRISynthError) -> None:
        if self.done:
            return
        if isinstance(outcome, TaskResult):
            self._result = outcome
        else:
            self._error = outcome
        self.volumes = []
        self.events.put(event)
        self._finished.set()

    def _fail(self, error: MRISynthError) -> None:
        self._finish(Failed(str(error), type(error).__name__), error)


class WorkerClient:
    """Starts the worker when it is needed and gives it one job after the other.

    Parameters
    ----------
    device:
        ``auto``, ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.
    python:
        The Python executable with torch; None finds it (see :func:`.process.find_python`).
    tasks:
        Modules with ``HANDLERS``.

    Raises
    ------
    InputError
        If no device is called so; whether the machine has it is for the first job to say.
    """

    def __init__(
        self,
        device: str = "auto",
        python: str | None = None,
        tasks: Sequence[str] = DEFAULT_TASKS,
    ) -> None:
        self.device = check_name(device)
        self.python = python or find_python()
        self.tasks = tuple(tasks)
        self._log: deque[str] = deque(maxlen=LOG_LINES)
        self._numbers = itertools.count(1)
        self._lock = threading.RLock()
        self._pending: deque[Job] = deque()
        self._current: Job | None = None
        self._process: WorkerProcess | None = None
        self._blocks: list[shared.Block] = []
        self._closed = False
        shared.free_stale()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int | None:
        """Process id of the running worker."""
        with self._lock:
            return self._process.pid if self._process and self._process.alive else None

    def start(self) -> None:
        """Start the worker before the first job, so that it can import what it needs."""
        with self._lock:
            self._running_process()

    def submit(
        self,
        task: str,
        parameters: dict[str, Any] | None = None,
        volumes: Sequence[Volume] = (),
        on_event: Callable[[Event], None] | None = None,
        *,
        slices: bool = True,
    ) -> Job:
        """Ask for a task; ``slices`` says whether finished slices should be sent."""
        with self._lock:
            if self._closed:
                raise WorkerError("The inference process was closed; open a new session.")
            request = (task, dict(parameters or {}), list(volumes))
            job = Job(self, next(self._numbers), request, on_event, slices)
            self._pending.append(job)
            self._dispatch()
        return job

    def give_way(self, seconds: float) -> None:
        """Have the worker compute little for so long, since somebody moves the views."""
        with self._lock:
            process = self._process if self._current is not None else None
        if process is not None:
            process.send(0, GiveWay(float(seconds)))

    def close(self) -> None:
        """Cancel what is left and end the worker."""
        with self._lock:
            self._closed = True
            process, self._process = self._process, None
            jobs = [*self._pending, *([self._current] if self._current else [])]
            busy = self._current
            self._pending.clear()
            self._current = None
        if process is not None:
            if busy is not None:
                process.kill()
            process.close()
        for job in jobs:
            if job is busy:
                self._free(job, self._blocks)
            job._fail(Cancelled())

    def log(self) -> str:
        """What the worker printed: for a "details" button or a bug report, not to be shown."""
        return "\n".join(self._log)

    def save_log(self, path: str | os.PathLike) -> None:
        """Write :meth:`log` to a file; OutputError if that cannot be done."""
        try:
            Path(path).write_text(self.log() + "\n", encoding="utf-8")
        except OSError as error:
            raise OutputError(f"The log {path} cannot be written: {error.strerror}.") from error

    # -------------------------------------------------------- called with the lock held

    def _running_process(self) -> WorkerProcess:
        if self._process is None or not self._process.alive:
            self._process = WorkerProcess(
                self.python, self.tasks, self.device, self._log, self._on_message, self._on_exit
            )
        return self._process

    def _dispatch(self) -> None:
        """Give the next job to the worker if it has none."""
        while self._current is None and self._pending:
            job = self._pending.popleft()
            blocks: list[shared.Block] = []
            headers = []
            try:
                process = self._running_process()
                for number, volume in enumerate(job.volumes):
                    block, header = shared.put(f"{job.prefix}i{number}", volume)
                    blocks.append(block)
                    headers.append(header)
                self._blocks = blocks
                self._current = job
                request = Request(job.task, job.parameters, headers, job.prefix, job.slices)
                if not process.send(job.number, request):
                    self._process_died(process)
            except MRISynthError as error:
                self._current = None
                self._free(job, blocks)
                job._fail(error)

    def _free(self, job: Job, blocks: list[shared.Block]) -> None:
        for block in blocks:
            block.close()
        shared.free_all(job.prefix, len(blocks))

    def _end_current(self) -> Job:
        job, self._current = self._current, None
        self._free(job, self._blocks)
        self._blocks = []
        return job

    def _process_died(self, process: WorkerProcess) -> None:
        job = self._end_current()
        if self._process is process:
            self._process = None
        if job.cancel_requested:
            job._fail(Cancelled())
        elif process.ready and not job.accepted and not job.tried_again:
            # It died while idle, and nobody had noticed: the job never began.
            job.tried_again = True
            self._pending.appendleft(job)
        elif not process.ready:
            job._fail(
                WorkerError(
                    f"The inference process could not start: {process.last_words()}. "
                    "Check that MRISynth is installed completely."
                )
            )
        else:
            job._fail(
                WorkerError(
                    f"The inference process died while it was at '{job.stage}': "
                    f"{process.last_words()}; nothing was written and nothing else was lost, "
                    "and the next request starts a new one."
                )
            )

    # ------------------------------------------------------ called from other threads

    def _cancel(self, job: Job, kill: bool) -> None:
        with self._lock:
            if job.done or job.cancel_requested:
                return
            job.cancel_requested = True
            if job is not self._current:
                if job in self._pending:
                    self._pending.remove(job)
                job._fail(Cancelled())
                return
            process = self._process
        process.send(job.number, Cancel())
        if not kill:
            return
        timer = threading.Timer(CANCEL_SECONDS, self._kill_if_at, (process, job))
        timer.daemon = True
        timer.start()

    def _kill_if_at(self, process: WorkerProcess, job: Job) -> None:
        with self._lock:
            if self._current is job:
                process.kill()

    def _on_message(self, process: WorkerProcess, number: int, message: Message) -> None:
        if isinstance(message, Ready):
            return
        with self._lock:
            job = self._current
            if job is None or job.number != number:
                return
            if isinstance(message, (Accepted, Progress, SliceReady)):
                job.accepted = True
                if isinstance(message, Progress):
                    job.stage = message.stage
                job.events.put(message)
                return
            outcome: TaskResult | MRISynthError
            if isinstance(message, Done):
                try:
                    volumes = [(name, shared.take(header)) for name, header in message.volumes]
                    outcome = TaskResult(volumes, message.info)
                except (OSError, MemoryError) as error:
                    outcome = WorkerError(f"The results could not be taken over ({error}).")
                process.send(number, Release())
            else:
                outcome = getattr(errors, message.kind, WorkerError)(message.reason)
            self._end_current()
            if job.cancel_requested:
                outcome = Cancelled()
            if isinstance(outcome, TaskResult):
                job._finish(message, outcome)
            else:
                job._fail(outcome)
            self._dispatch()

    def _on_exit(self, process: WorkerProcess) -> None:
        with self._lock:
            if self._process is not process:
                return
            self._process = None
            if self._current is not None:
                self._process_died(process)
            self._dispatch()
