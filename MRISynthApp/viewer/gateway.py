"""What listens: who may come in, what they bring, and the way on to their own process."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import socket
import time
from collections.abc import Callable
from pathlib import Path

import aiohttp
from aiohttp import WSMsgType, web

from MRISynthLib.errors import InputError, OutputError

from . import pages
from .access import OWNER, TOKEN, Access
from .broker import Broker, Client
from .limits import Limits
from .visitors import Full, Visitor, Visitors

SECRET_HEADER = "X-MRISynth-Secret"
"""By which a visitor's process knows that the gateway asks."""

CLOSED = 4001
"""Websocket code for a page whose scene was opened in another one."""

MESSAGE_BYTES = 2**24
DOWNLOAD = re.compile(r"[0-9a-f]{16}")
PASSED_ON = ("Content-Type", "ETag", "Last-Modified", "Cache-Control")


class Gateway:
    """The web server; ``client`` is the worker that computes for everybody.

    ``files`` are what each visitor finds in the scene at first.
    """

    def __init__(
        self,
        client: Client,
        host: str = "127.0.0.1",
        port: int = 0,
        limits: Limits | None = None,
        files: tuple[Path, ...] = (),
        token: str | None = None,
    ) -> None:
        self.limits = limits or Limits()
        self.access = Access(host, token)
        self._host, self._port = host, port
        self._client, self._files = client, files
        self.broker: Broker | None = None
        self.visitors: Visitors | None = None
        self._http: aiohttp.ClientSession | None = None
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """The address to open, with the token."""
        host = socket.gethostname() if self._host in ("0.0.0.0", "::") else self._host
        host = f"[{host}]" if ":" in host else host
        return f"http://{host}:{self._port}/?{TOKEN}={self.access.token}"

    async def start(self) -> None:
        """Begin to listen.

        Raises
        ------
        OutputError
            If the address is not free or not this machine's.
        """
        app = web.Application(client_max_size=self.limits.upload_bytes)
        self.access.guard(app)
        app.add_routes(
            [
                web.get("/", self._enter),
                web.get("/v/{id}/ws", self._websocket),
                web.post("/v/{id}/upload", self._upload),
                web.get("/v/{id}/download/{key}/{name}", self._download),
                web.get("/v/{id}/{path:.*}", self._page),
                web.get("/favicon.ico", self._no_icon),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True)
        await self._runner.setup()
        try:
            site = web.TCPSite(self._runner, self._host, self._port)
            await site.start()
        except OSError as error:
            await self._runner.cleanup()
            raise OutputError(
                f"{self._host} port {self._port} cannot be listened on ({error.strerror}); give "
                "another --port or --host."
            ) from error
        self._port = self._runner.addresses[0][1]
        self.access.listening_on(self._port)
        self.broker = Broker(self._client)
        self.broker.start()
        self.visitors = Visitors(self.broker, self.limits, list(self._files))
        self.visitors.start()
        self._http = aiohttp.ClientSession(auto_decompress=False)

    async def close(self) -> None:
        """End all visitors and the worker; nothing of theirs stays."""
        if self.visitors is not None:
            await self.visitors.close()
        if self.broker is not None:
            await self.broker.close()
        if self._http is not None:
            await self._http.close()
        if self._runner is not None:
            await self._runner.cleanup()

    # ------------------------------------------------------------------------- handlers

    async def _enter(self, request: web.Request) -> web.StreamResponse:
        try:
            visitor = self.visitors.admit(request[OWNER])
        except Full:
            return pages.full(self.limits.visitors)
        except OSError as error:
            logging.exception("a scene could not be made")
            return pages.failed(f"This machine has no room for it ({error.strerror}).")
        return web.Response(
            status=303,
            headers={"Location": f"/v/{visitor.id}/", "Cache-Control": "no-store"},
        )

    async def _no_icon(self, _request: web.Request) -> web.StreamResponse:
        return web.Response(status=204)

    def _visitor(self, request: web.Request) -> Visitor | None:
        return self.visitors.get(request.match_info["id"], request[OWNER])

    async def _page(self, request: web.Request) -> web.StreamResponse:
        """The page and what it is made of, from the visitor's process."""
        visitor = self._visitor(request)
        if visitor is None:
            return pages.ended()
        if not await self._wait_until_ready(visitor):
            self.visitors.end(visitor)
            logging.error("a scene did not start: %s", " | ".join(visitor.log))
            return pages.failed(
                "Its process ended, or took too long; the terminal in which mrisynth view runs "
                "says more."
            )
        path = request.match_info["path"] or "index.html"
        if path == "index.html":  # for which a busy scene lets it wait
            self.visitors.await_page(visitor, self.limits.start_seconds)
        if ".." in path.split("/"):
            raise web.HTTPNotFound
        url = f"http://127.0.0.1:{visitor.port}/{path}"
        headers = {SECRET_HEADER: visitor.secret}
        try:
            async with self._http.get(url, headers=headers, allow_redirects=False) as answer:
                response = web.StreamResponse(status=answer.status)
                for name in PASSED_ON:
                    if name in answer.headers:
                        response.headers[name] = answer.headers[name]
                if path == "index.html":  # or the browser shows it when the scene is no more
                    response.headers["Cache-Control"] = "no-store"
                await response.prepare(request)
                async for chunk in answer.content.iter_chunked(1 << 16):
                    await response.write(chunk)
            if path == "index.html" or visitor.socket is None:
                self.visitors.await_page(visitor, self.limits.page_seconds)
        except aiohttp.ClientError:
            return pages.ended()
        return response

    async def _wait_until_ready(self, visitor: Visitor) -> bool:
        tasks = [asyncio.ensure_future(event.wait()) for event in (visitor.ready, visitor.gone)]
        try:
            await asyncio.wait(
                tasks, timeout=self.limits.start_seconds, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            for task in tasks:
                task.cancel()
        return visitor.ready.is_set() and not visitor.gone.is_set()

    async def _websocket(self, request: web.Request) -> web.StreamResponse:
        visitor = self._visitor(request)
        if visitor is None or visitor.port is None:
            return pages.ended()
        # pictures are compressed already
        page = web.WebSocketResponse(max_msg_size=MESSAGE_BYTES, heartbeat=20, compress=False)
        await page.prepare(request)
        if visitor.socket is not None:  # the tab was copied, or its end was not noticed yet
            await visitor.socket.close(code=CLOSED, message=b"opened elsewhere")
        visitor.socket, visitor.left_at, visitor.awaited_until = page, None, 0.0
        visitor.touch()
        url = f"http://127.0.0.1:{visitor.port}/ws"
        try:
            async with self._http.ws_connect(
                url, headers={SECRET_HEADER: visitor.secret}, max_msg_size=0
            ) as scene:
                await _both_ways(page, scene, lambda: self._acted(visitor))
        except aiohttp.ClientError:
            logging.info("the scene of a page has gone")
        finally:
            with contextlib.suppress(ConnectionError):
                await page.close()
            if visitor.socket is page:
                visitor.socket, visitor.left_at = None, time.monotonic()
        return page

    def _acted(self, visitor: Visitor) -> None:
        visitor.touch()
        if visitor.moving:
            self.broker.give_way()

    async def _upload(self, request: web.Request) -> web.StreamResponse:
        visitor = self._visitor(request)
        if visitor is None:
            return web.json_response({"error": "This scene has ended."}, status=410)
        visitor.touch()
        batch = request.query.get("batch", "")
        try:
            await visitor.uploads.receive(batch, request.query.get("name", ""), request.content)
        except InputError as error:
            visitor.uploads.discard(batch, str(error))
            return web.json_response({"error": str(error)}, status=413)
        except OSError as error:
            reason = f"The file could not be stored ({error.strerror}); try a smaller one."
            visitor.uploads.discard(batch, reason)
            return web.json_response({"error": reason}, status=507)
        return web.json_response({})

    async def _download(self, request: web.Request) -> web.StreamResponse:
        """A file that the visitor's process has laid ready, and nothing else."""
        visitor = self._visitor(request)
        if visitor is None:
            return pages.ended()
        key, name = request.match_info["key"], request.match_info["name"]
        if not DOWNLOAD.fullmatch(key):
            raise web.HTTPNotFound
        folder = visitor.folder / "downloads" / key
        names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
        if name not in names or not (folder / name).is_file():
            raise web.HTTPNotFound
        return web.FileResponse(
            folder / name,
            headers={
                "Content-Disposition": f'attachment; filename="{name}"',
                "Content-Type": "application/octet-stream",
                "Cache-Control": "no-store",
            },
        )


async def _both_ways(
    page: web.WebSocketResponse,
    scene: aiohttp.ClientWebSocketResponse,
    touch: Callable[[], None],
) -> None:
    """Hand messages on until either side ends."""

    async def up() -> None:
        async for message in page:
            touch()
            if message.type is WSMsgType.TEXT:
                await scene.send_str(message.data)
            elif message.type is WSMsgType.BINARY:
                await scene.send_bytes(message.data)

    async def down() -> None:
        async for message in scene:
            if message.type is WSMsgType.TEXT:
                await page.send_str(message.data)
            elif message.type is WSMsgType.BINARY:
                await page.send_bytes(message.data)

    tasks = [asyncio.create_task(up()), asyncio.create_task(down())]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(result, Exception) and not isinstance(
                result, (asyncio.CancelledError, ConnectionError, aiohttp.ClientError)
            ):
                logging.info("a page's connection ended: %s", result)
