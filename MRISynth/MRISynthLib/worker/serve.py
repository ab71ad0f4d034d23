"""The worker process: reads requests from its standard input, answers on its standard output.

A reader thread sees cancelling and the client's end at once, whatever the work is doing. The
main thread does one job after the other. Everything that any library prints goes to standard
error, which the client keeps as its log.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import importlib
import os
import queue
import signal
import sys
import threading
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from .. import errors
from ..progress import Callbacks
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
    Shutdown,
    encode,
    read,
)
from .tasks import Handler, ModelCache, TaskResult

NICENESS = 5
"""How far the worker stands back behind views that are being looked at; 19 is furthest. Beside
another program that computes as hard, it still has a quarter of the processor."""

LONGEST_PAUSE = 1.0
"""Seconds between two pieces of work at most, while views are moved: it goes on all the same."""


def main() -> NoReturn:
    """Serve until the client says so or is gone."""
    parser = argparse.ArgumentParser(prog="MRISynthLib.worker")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--task", action="append", default=[], help="a module with HANDLERS")
    options = parser.parse_args()
    with contextlib.suppress(ValueError):
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the client's to handle.
    stand_back()
    incoming, outgoing = private_pipes()
    Server(incoming, outgoing, options.device, options.task).run()


def stand_back(niceness: int = NICENESS) -> None:
    """Let the windows of this machine go first; where nobody else computes, it costs nothing.

    Linux weighs sessions against each other before it looks at niceness, and the worker has a
    session of its own (``man 7 sched``, autogroup). On Windows the client starts it with a lower
    priority class.
    """
    with contextlib.suppress(OSError, AttributeError):
        os.setpriority(os.PRIO_PROCESS, 0, max(niceness, os.getpriority(os.PRIO_PROCESS, 0)))
    with contextlib.suppress(OSError):
        Path("/proc/self/autogroup").write_text(str(niceness), encoding="ascii")


def private_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Take standard input and output for the messages and leave harmless ones in their place."""
    incoming, outgoing = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    if sys.platform == "win32":
        import msvcrt

        msvcrt.setmode(incoming, os.O_BINARY)
        msvcrt.setmode(outgoing, os.O_BINARY)
    return os.fdopen(incoming, "rb", buffering=0), os.fdopen(outgoing, "wb", buffering=0)


@dataclass
class _Work:
    job: int
    request: Request
    cancelled: threading.Event = field(default_factory=threading.Event)


class Server:
    """The worker's side of the conversation."""

    def __init__(
        self, incoming: BinaryIO, outgoing: BinaryIO, device: str, task_modules: list[str]
    ) -> None:
        self._incoming = incoming
        self._outgoing = outgoing
        self._task_modules = task_modules
        self._models = ModelCache(device)
        self._handlers: dict[str, Handler] = {}
        self._queue: queue.Queue[_Work] = queue.Queue()
        self._works: dict[int, _Work] = {}
        self._results: dict[int, list[shared.Block]] = {}
        self._unclosed: list[shared.Block] = []
        self._send_lock = threading.Lock()
        self._way_given_until = 0.0

    def run(self) -> NoReturn:
        """Serve until the client's end; never returns."""
        threading.Thread(target=self._listen, name="listen", daemon=True).start()
        modules = [importlib.import_module(name) for name in self._task_modules]
        for module in modules:
            self._handlers.update(module.HANDLERS)
        self._send(0, Ready(os.getpid(), sorted(self._handlers)))
        for module in modules:
            # What is missing here is reported by the request that needs it.
            with contextlib.suppress(Exception):
                getattr(module, "warm_up", lambda: None)()
        while True:
            self._serve(self._queue.get())

    # ------------------------------------------------------------- the reader thread

    def _listen(self) -> None:
        try:
            while (frame := read(self._incoming)) is not None:
                job, message = frame
                match message:
                    case Request():
                        work = self._works[job] = _Work(job, message)
                        self._send(job, Accepted())
                        self._queue.put(work)
                    case Cancel():
                        if job in self._works:
                            self._works[job].cancelled.set()
                    case GiveWay():
                        self._way_given_until = time.monotonic() + message.seconds
                    case Release():
                        self._works.pop(job, None)
                        for block in self._results.pop(job, []):
                            block.close()
                    case Shutdown():
                        break
        except Exception:
            traceback.print_exc()
        self._leave()

    def _leave(self) -> NoReturn:
        """End at once, also in the middle of a long native call, and give all memory back."""
        for work in list(self._works.values()):
            shared.free_all(work.request.prefix, len(work.request.volumes))
        os._exit(0)

    # --------------------------------------------------------------- the main thread

    def _serve(self, work: _Work) -> None:
        blocks: list[shared.Block] = []
        answer = self._answer(work, blocks)
        self._close(blocks)
        if isinstance(answer, Failed):
            self._works.pop(work.job, None)
        self._send(work.job, answer)

    def _answer(self, work: _Work, blocks: list[shared.Block]) -> Message:
        request = work.request
        try:
            if request.task not in self._handlers:
                raise errors.WorkerError(f"The worker does not know the task '{request.task}'.")
            volumes: list[Volume] = []
            for header in request.volumes:
                blocks.append(shared.attach(header["block"]))
                volumes.append(shared.view(blocks[-1], header))
            callbacks = self._callbacks(work)
            callbacks.check()
            handler = self._handlers[request.task]
            result = handler(request.parameters, volumes, callbacks, self._models)
            callbacks.check()
            return Done(self._put(work, result), result.info)
        except errors.MRISynthError as error:
            return Failed(str(error), _kind(error))
        except ModuleNotFoundError as error:
            traceback.print_exc()
            return Failed(
                f"The Python package '{error.name}' is missing where the models run "
                f"({sys.executable}); install MRISynth's requirements there."
            )
        except Exception as error:
            traceback.print_exc()
            if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
                return Failed(
                    "The memory did not suffice for this; close other programs, give smaller "
                    "images or fewer targets at a time, or use another device."
                )
            return Failed(
                f"The task '{request.task}' failed unexpectedly ({_short(error)}); "
                "nothing was written, and the log has the details."
            )

    def _callbacks(self, work: _Work) -> Callbacks:
        def send(message: Any) -> None:
            self._send(work.job, message)

        def give_way() -> None:
            longest = time.monotonic() + LONGEST_PAUSE
            while (left := min(longest, self._way_given_until) - time.monotonic()) > 0:
                if work.cancelled.wait(left):
                    return

        return Callbacks(
            on_progress=send,
            on_slice=send if work.request.slices else None,
            cancelled=work.cancelled.is_set,
            give_way=give_way,
        )

    def _put(self, work: _Work, result: TaskResult) -> list[list[Any]]:
        held = self._results.setdefault(work.job, [])
        headers = []
        try:
            for number, (name, volume) in enumerate(result.volumes):
                block, header = shared.put(f"{work.request.prefix}o{number}", volume)
                held.append(block)
                headers.append([name, header])
        except BaseException:
            for number, block in enumerate(self._results.pop(work.job, [])):
                block.close()
                shared.free(f"{work.request.prefix}o{number}")
            raise
        return headers

    def _close(self, blocks: list[shared.Block]) -> None:
        """Unmap the inputs; one that something still looks at is tried again after later jobs."""
        waiting = self._unclosed + blocks
        for _ in range(2):
            still: list[shared.Block] = []
            for block in waiting:
                try:
                    block.close()
                except BufferError:
                    still.append(block)
            waiting = still
            if not waiting:
                break
            gc.collect()  # Frames of a handled exception may form cycles.
        self._unclosed = waiting

    def _send(self, job: int, message: Message) -> None:
        frame = memoryview(encode(job, message))
        try:
            with self._send_lock:
                while frame:
                    frame = frame[self._outgoing.write(frame) :]
        except OSError:  # The client is gone.
            self._leave()


def _kind(error: errors.MRISynthError) -> str:
    """The nearest class of :mod:`MRISynthLib.errors`, as the client knows only those."""
    names = (cls.__name__ for cls in type(error).__mro__)
    return next(name for name in names if hasattr(errors, name))


def _short(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:160]}" if text else type(error).__name__
