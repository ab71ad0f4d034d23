"""A visitor's own process; started by the gateway, not by hand.

Its standard input and output belong to the gateway: when they end, so does this process, at once
and whatever it does.
"""

from __future__ import annotations

import argparse
import asyncio
import hmac
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from MRISynthLib.worker.messages import Request
from MRISynthLib.worker.serve import private_pipes

from .gateway import SECRET_HEADER
from .visitors import LISTENING

SECRET_VARIABLE = "MRISYNTH_VISITOR_SECRET"


def main() -> None:
    """Serve one visitor until the gateway says so or is gone."""
    parser = argparse.ArgumentParser(prog="MRISynthApp.viewer.visitor")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--memory", type=int, default=0)
    parser.add_argument("--upload", type=int, required=True)
    parser.add_argument("--file", type=Path, action="append", default=[])
    options = parser.parse_args()
    sys.argv = sys.argv[:1]  # trame would look for its own options
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the gateway's to handle
    secret = os.environ.pop(SECRET_VARIABLE)
    incoming, outgoing = private_pipes()
    _bound_memory(options.memory)

    from trame.app import get_server

    from .display import Display
    from .page import build_page, decorate_slice_view
    from .remote_worker import RemoteWorker
    from .views import draw_without_display
    from .visit import Visit

    draw_without_display()
    worker = RemoteWorker(incoming, outgoing, lambda: _leave(options.folder))
    asyncio.set_event_loop(asyncio.new_event_loop())
    server = get_server(client_type="vue3")
    visit = Visit(server, worker, options.folder, options.upload)
    with _temporary_files_in(options.folder):
        # views make tasks, so the loop must run
        asyncio.get_event_loop().run_until_complete(
            _make(lambda: Display(server, visit.pressed, decorate_slice_view), visit)
        )
    build_page(server, visit)

    def ready(**_: object) -> None:
        worker.send(0, Request(LISTENING, {"port": server.port}, [], ""))
        visit.arrivals.load_at_start(options.file)

    server.controller.on_server_bind.add(lambda web: web.app.middlewares.append(_only(secret)))
    server.controller.on_server_ready.add(ready)
    server.controller.on_client_connected.add(visit.arrivals.forget_unfinished)
    server.start(
        host="127.0.0.1",
        port=0,
        timeout=0,
        open_browser=False,
        show_connection_info=False,
        disable_logging=True,
        thread=True,  # leaves the signals alone
    )


def _leave(folder: Path) -> NoReturn:
    """End at once; if the gateway was killed, nobody else takes the visitor's files away."""
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(0)


async def _make(display: Callable[[], object], visit: object) -> None:
    visit.sights.attach(display())


def _only(secret: str) -> Callable:
    """Answer nobody but the gateway: other programs of this machine reach the port as well."""
    from aiohttp import web

    @web.middleware
    async def middleware(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        given = request.headers.get(SECRET_HEADER, "")
        if not hmac.compare_digest(given.encode(), secret.encode()):
            raise web.HTTPForbidden
        return await handler(request)

    return middleware


def _bound_memory(size: int) -> None:
    """Let a damaged or hostile file fail here, before the machine runs out of memory."""
    if size:
        try:
            import resource

            resource.setrlimit(resource.RLIMIT_AS, (size, size))
        except (ImportError, ValueError, OSError):
            return  # Windows; or the system bounds it already


@contextmanager
def _temporary_files_in(folder: Path) -> Iterator[None]:
    """What the scene keeps in files goes with the visitor, also if this process is killed."""
    before, tempfile.tempdir = tempfile.tempdir, str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = before


if __name__ == "__main__":
    main()
