"""The visitors' processes: started, counted, ended."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import queue
import secrets
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

import psutil
from aiohttp import web

from MRISynthLib.errors import MRISynthError
from MRISynthLib.worker.messages import Message, Request, encode, read
from MRISynthLib.worker.process import environment

from .broker import Broker
from .limits import Limits
from .uploads import Uploads

LISTENING = "listening"
"""Name of the request by which a visitor's process says that it is ready, and at which port."""

PACKAGES = ("MRISynthApp", "MRISynthLib", "MRISynthSegmentLib")
LOG_LINES = 500

ACTS, ACTS_SECONDS = 4, 0.4
"""So many acts within so short a time are a view that is moved; typing is slower."""


class Full(MRISynthError):
    """All places are taken."""


class Visitor:
    """A process with a scene, and the folder that goes with it.

    ``id`` is in the address and cannot be guessed; ``secret`` is what the gateway shows to the
    process, which answers nobody else. ``owner`` is who opened it.
    """

    def __init__(self, limits: Limits, files: list[Path]) -> None:
        self.id = secrets.token_urlsafe(18)
        self.secret = secrets.token_urlsafe(24)
        self.owner = ""
        self.port: int | None = None
        self.ended = False
        self.log: deque[str] = deque(maxlen=LOG_LINES)
        self.socket: web.WebSocketResponse | None = None
        self.active_at = time.monotonic()
        self._acts: deque[float] = deque(maxlen=ACTS)
        self.left_at: float | None = None
        self.awaited_until = 0.0  # a page is on its way, however long the process lets it wait
        self.folder = Path(tempfile.mkdtemp(prefix="mrisynth-view-"))
        for name in ("uploads", "downloads"):
            (self.folder / name).mkdir(mode=0o700)
        self.uploads = Uploads(self.folder / "uploads", limits)
        self.ready = asyncio.Event()
        self.gone = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._outgoing: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._hear: Callable[[Visitor, int, Message], None] = lambda *_: None
        command = [sys.executable, "-P", "-X", "faulthandler", "-m", "MRISynthApp.viewer.visitor"]
        command += ["--folder", str(self.folder), "--memory", str(limits.memory_bytes)]
        command += ["--upload", str(limits.upload_bytes)]
        for file in files:
            command += ["--file", str(file)]
        values = environment(PACKAGES, sys.executable)
        values["MRISYNTH_VISITOR_SECRET"] = self.secret  # not on the command line, which all see
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=values,
            bufsize=0,
            start_new_session=os.name != "nt",  # Ctrl-C is the gateway's to handle
        )
        for target in (self._read, self._write, self._read_log):
            threading.Thread(target=target, name=f"visitor {target.__name__}", daemon=True).start()

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def listen(self, hear: Callable[[Visitor, int, Message], None]) -> None:
        """Have ``hear(visitor, job, message)`` called in the event loop."""
        self._hear = hear

    def tell(self, number: int, message: Message) -> None:
        """A message to the process; never waits."""
        self._outgoing.put(encode(number, message))

    def touch(self) -> None:
        """The visitor has done something."""
        self.active_at = time.monotonic()
        self._acts.append(self.active_at)

    @property
    def moving(self) -> bool:
        """Whether the visitor scrolls or drags: one act follows upon another."""
        return len(self._acts) == ACTS and self._acts[-1] - self._acts[0] < ACTS_SECONDS

    def end(self) -> None:
        """End the process and whatever it started, and remove its folder."""
        if self.ended:
            return
        self.ended = True
        self._outgoing.put(None)
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(self.pid)
            for child in [*process.children(recursive=True), process]:
                with contextlib.suppress(psutil.Error):
                    child.kill()
        with contextlib.suppress(OSError):
            self._process.kill()
        threading.Thread(target=self.clean_up, name="visitor clean-up").start()

    def clean_up(self) -> None:
        """Wait for the end of the process and remove its folder."""
        self._process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    # ---------------------------------------------------------------- in threads of its own

    def _in_loop(self, function: Callable[..., None], *arguments) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(function, *arguments)

    def _read(self) -> None:
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            while (frame := read(self._process.stdout)) is not None:
                self._in_loop(self._on_message, *frame)
        self._in_loop(self.gone.set)

    def _on_message(self, number: int, message: Message) -> None:
        if isinstance(message, Request) and message.task == LISTENING:
            self.port = int(message.parameters["port"])
            self.ready.set()
        elif not self.ended:
            self._hear(self, number, message)

    def _write(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            while (frame := self._outgoing.get()) is not None:
                rest = memoryview(frame)
                while rest:
                    rest = rest[self._process.stdin.write(rest) :]
        with contextlib.suppress(OSError):
            self._process.stdin.close()

    def _read_log(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            for line in self._process.stderr:
                self.log.append(line.decode("utf-8", "replace").rstrip())


class Visitors:
    """All visitors, one spare process for the next, and the watch that ends them.

    Called from the event loop only. ``files`` are what each finds in the scene at first.
    """

    def __init__(self, broker: Broker, limits: Limits, files: list[Path]) -> None:
        self.limits = limits
        self._broker = broker
        self._files = files
        self._present: dict[str, Visitor] = {}
        self._spare: Visitor | None = None
        self._watch: asyncio.Task | None = None

    def __len__(self) -> int:
        return len(self._present)

    def start(self) -> None:
        """Make the first spare, and watch."""
        self._make_spare()
        self._watch = asyncio.create_task(self._watching())

    async def close(self) -> None:
        """End everybody and remove everything."""
        if self._watch is not None:
            self._watch.cancel()
        everybody = [*self._present.values(), *([self._spare] if self._spare else [])]
        for visitor in everybody:
            self._end(visitor)
        for visitor in everybody:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(visitor.gone.wait(), 5)
            await asyncio.to_thread(visitor.clean_up)

    def get(self, identity: str, owner: str) -> Visitor | None:
        """The visitor of this address, for its owner only."""
        visitor = self._present.get(identity)
        return visitor if visitor is not None and visitor.owner == owner else None

    def admit(self, owner: str) -> Visitor:
        """A place for a new visitor.

        Raises
        ------
        Full
            If there is none.
        """
        if len(self._present) >= self.limits.visitors:
            raise Full("All places are taken.")
        visitor = self._spare if self._spare and not self._spare.gone.is_set() else self._make()
        self._spare = None
        visitor.owner = owner
        visitor.touch()
        visitor.left_at = time.monotonic()
        self.await_page(visitor, self.limits.start_seconds)
        self._present[visitor.id] = visitor
        if len(self._present) < self.limits.visitors:
            asyncio.get_running_loop().call_later(2.0, self._make_spare)  # let this one start
        return visitor

    def await_page(self, visitor: Visitor, seconds: float) -> None:
        """A page was asked for: until it has come, nobody has left."""
        visitor.awaited_until = time.monotonic() + seconds

    def _make(self) -> Visitor:
        visitor = Visitor(self.limits, self._files)
        visitor.listen(
            lambda who, number, message: self._broker.hear(who.id, number, message, who.tell)
        )
        return visitor

    def _make_spare(self) -> None:
        if self._spare is None and self._watch_is_on() and len(self) < self.limits.visitors:
            self._spare = self._make()

    def _watch_is_on(self) -> bool:
        return self._watch is None or not self._watch.done()

    def _end(self, visitor: Visitor) -> None:
        self._present.pop(visitor.id, None)
        self._broker.forget(visitor.id)
        visitor.end()
        if visitor is self._spare:
            self._spare = None

    def end(self, visitor: Visitor) -> None:
        """Close a scene at once."""
        self._end(visitor)
        self._make_spare()

    async def _watching(self) -> None:
        while True:
            await asyncio.sleep(min(1.0, self.limits.leave_seconds / 4))
            try:
                await self._look_round()
            except Exception:  # as of a full disk: scenes must end then, too
                logging.exception("the watch stumbled")

    async def _look_round(self) -> None:
        now = time.monotonic()
        for visitor in list(self._present.values()):
            if self._broker.works_for(visitor.id):
                visitor.active_at = now  # who waits for a result is not idle
            idle = now - visitor.active_at > self.limits.idle_seconds
            left = visitor.left_at is not None and now > max(
                visitor.left_at + self.limits.leave_seconds, visitor.awaited_until
            )
            if idle or left or visitor.gone.is_set():
                if visitor.gone.is_set():
                    logging.warning("a scene ended by itself: %s", " | ".join(visitor.log))
                if visitor.socket is not None:
                    await visitor.socket.close()
                self.end(visitor)
