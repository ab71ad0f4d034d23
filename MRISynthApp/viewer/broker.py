"""One worker for all visitors, in turns.

Visitors and broker speak the worker's own messages over the visitor's pipes: what a visitor sends
is a request with volumes in shared memory, what it hears is what the worker says. Jobs of one
visitor run in their order; between visitors the turn goes round, so that nobody who asks for much
keeps the others waiting for more than the job at hand.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from MRISynthLib.errors import MRISynthError
from MRISynthLib.progress import Progress, SliceReady
from MRISynthLib.volume import Volume
from MRISynthLib.worker import shared
from MRISynthLib.worker.messages import Accepted, Cancel, Done, Failed, Message, Release, Request

POLL_SECONDS = 0.02

GIVE_WAY_SECONDS = 0.5
"""For so long the worker computes little after a view was moved."""

WAITING = "wait"
"""Stage of the progress of a job that has not begun; ``done`` is how many are before it."""


class Client(Protocol):
    """What the broker needs of a :class:`MRISynthLib.worker.WorkerClient`."""

    def submit(
        self, task: str, parameters: dict[str, Any], volumes: list[Volume], *, slices: bool
    ) -> Any: ...

    def give_way(self, seconds: float) -> None: ...

    def close(self) -> None: ...


@dataclass
class _Wanted:
    visitor: str
    number: int
    request: Request
    volumes: list[Volume]
    tell: Callable[[int, Message], None]


class Broker:
    """Takes the requests of visitors and hands them to the worker one by one.

    All methods are called from the event loop.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._turns: deque[str] = deque()
        self._queues: dict[str, deque[_Wanted]] = {}
        self._current: tuple[_Wanted, Any] | None = None
        self._results: dict[tuple[str, int], list[shared.Block]] = {}
        self._prefixes: dict[tuple[str, int], str] = {}
        self._task: asyncio.Task | None = None
        self._gave_way_at = 0.0

    def start(self) -> None:
        """Begin to serve."""
        self._task = asyncio.create_task(self._serve())

    async def close(self) -> None:
        """End the worker, and what it does."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        self._client.close()
        for visitor in {key[0] for key in self._prefixes}:
            self.forget(visitor)

    def hear(
        self, visitor: str, number: int, message: Message, tell: Callable[[int, Message], None]
    ) -> None:
        """A message of a visitor about its job ``number``; ``tell`` answers it."""
        if isinstance(message, Request):
            self._request(visitor, number, message, tell)
        elif isinstance(message, Cancel):
            self._cancel(visitor, number)
        elif isinstance(message, Release):
            self._release(visitor, number)

    def give_way(self) -> None:
        """A visitor moves views: they are drawn on the same processor, and go first."""
        now = time.monotonic()
        if self._current is not None and now - self._gave_way_at > GIVE_WAY_SECONDS / 2:
            self._gave_way_at = now
            self._client.give_way(GIVE_WAY_SECONDS)

    def forget(self, visitor: str) -> None:
        """The visitor has gone: stop its work, give back its memory."""
        self._queues.pop(visitor, None)
        if visitor in self._turns:
            self._turns.remove(visitor)
        if self._current is not None and self._current[0].visitor == visitor:
            self._current[1].cancel()
        for key in [key for key in self._prefixes if key[0] == visitor]:
            self._release(*key)

    def works_for(self, visitor: str) -> bool:
        """Whether something that the visitor asked for is computed or waits for its turn."""
        running = self._current is not None and self._current[0].visitor == visitor
        return running or bool(self._queues.get(visitor))

    @property
    def waiting(self) -> tuple[str, ...]:
        """Whose jobs wait, in the order in which they would run."""
        queues = {name: list(queue) for name, queue in self._queues.items()}
        turns, order = deque(self._turns), []
        while turns:
            name = turns.popleft()
            if queues.get(name):
                order.append(queues[name].pop(0).visitor)
                turns.append(name)
        return tuple(order)

    # ------------------------------------------------------------------------- requests

    def _request(
        self, visitor: str, number: int, request: Request, tell: Callable[[int, Message], None]
    ) -> None:
        self._prefixes[visitor, number] = request.prefix
        volumes = [shared.take(header) for header in request.volumes]
        queue = self._queues.setdefault(visitor, deque())
        queue.append(_Wanted(visitor, number, request, volumes, tell))
        if visitor not in self._turns:
            self._turns.append(visitor)
        tell(number, Accepted())
        self._tell_places()

    def _cancel(self, visitor: str, number: int) -> None:
        if self._current is not None:
            wanted, job = self._current
            if (wanted.visitor, wanted.number) == (visitor, number):
                job.cancel()
                return
        for wanted in list(self._queues.get(visitor, ())):
            if wanted.number == number:
                self._queues[visitor].remove(wanted)
                wanted.tell(number, Failed("Cancelled; nothing was written.", "Cancelled"))
                self._tell_places()

    def _release(self, visitor: str, number: int) -> None:
        for block in self._results.pop((visitor, number), ()):
            block.close()
        prefix = self._prefixes.pop((visitor, number), None)
        if prefix is not None:
            shared.free_all(prefix, 0)

    def _tell_places(self) -> None:
        """Say to the first job of each visitor how many jobs come before it."""
        seen: set[str] = set()
        busy = 1 if self._current is not None else 0
        for place, visitor in enumerate(self.waiting):
            if visitor not in seen and place + busy:
                seen.add(visitor)
                wanted = self._queues[visitor][0]
                wanted.tell(wanted.number, Progress(WAITING, place + busy, 0))

    # -------------------------------------------------------------------------- serving

    async def _serve(self) -> None:
        while True:
            try:
                self._step()
            except Exception:  # one visitor's trouble must not end everybody's
                logging.exception("the broker stumbled")
                self._current = None
            await asyncio.sleep(POLL_SECONDS)

    def _step(self) -> None:
        if self._current is None:
            self._begin_next()
        if self._current is None:
            return
        wanted, job = self._current
        finished = job.done  # asked before poll, so that nothing of a finished job is missed
        for event in job.poll():
            if isinstance(event, (Progress, SliceReady)):
                wanted.tell(wanted.number, event)
        if finished:
            self._current = None
            self._finish(wanted, job)
            self._tell_places()

    def _begin_next(self) -> None:
        while self._turns:
            visitor = self._turns.popleft()
            queue = self._queues.get(visitor)
            if not queue:
                continue
            wanted = queue.popleft()
            if queue:
                self._turns.append(visitor)  # to the end: others come first
            request = wanted.request
            try:
                job = self._client.submit(
                    request.task, request.parameters, wanted.volumes, slices=request.slices
                )
            except MRISynthError as error:
                wanted.tell(wanted.number, Failed(str(error), type(error).__name__))
                continue
            wanted.volumes = []
            self._current = wanted, job
            return

    def _finish(self, wanted: _Wanted, job: Any) -> None:
        key = (wanted.visitor, wanted.number)
        try:
            result = job.result()
        except MRISynthError as error:
            wanted.tell(wanted.number, Failed(str(error), type(error).__name__))
            return
        if key not in self._prefixes:
            return  # the visitor has gone
        blocks = self._results.setdefault(key, [])
        headers = []
        try:
            for number, (name, volume) in enumerate(result.volumes):
                block, header = shared.put(f"{self._prefixes[key]}o{number}", volume)
                blocks.append(block)
                headers.append([name, header])
        except MRISynthError as error:
            self._release(*key)
            wanted.tell(wanted.number, Failed(str(error), type(error).__name__))
            return
        wanted.tell(wanted.number, Done(headers, result.info))
