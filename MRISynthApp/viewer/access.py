"""Who may come in, and what every answer carries.

- A token, new at every start, is in the address that the terminal shows. Whoever comes with it
  gets a cookie in its place; without one of them nothing is served.
- A page of another site cannot act for a visitor: the Host must be one of this server's names (a
  foreign name that was made to point here is refused), and what changes something or opens the
  websocket must come from a page of this server.
- Pages may load nothing from anywhere else.
"""

from __future__ import annotations

import ipaddress
import secrets
import socket
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from aiohttp import web

from . import pages

TOKEN = "token"
"""Name of the address's parameter."""

OWNER = web.RequestKey("owner", str)
"""Who a request is from: the cookie's value."""

COOKIE_SECONDS = 7 * 24 * 3600

POLICY = "; ".join(
    (
        "default-src 'self'",
        # Vue compiles the page's templates in the browser, and trame's first page has a script.
        "script-src 'self' 'unsafe-inline' 'unsafe-eval'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        "connect-src 'self'",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Access:
    """The checks of one server; :meth:`guard` puts them before every handler."""

    def __init__(self, host: str, token: str | None = None) -> None:
        self.token = token or secrets.token_urlsafe(24)
        self._host = host
        self._owners: set[str] = set()
        self._cookie = "mrisynth"
        self._names = {"localhost", host.lower()}
        if not is_loopback(host):
            self._names |= {socket.gethostname().lower(), socket.getfqdn().lower()}

    def listening_on(self, port: int) -> None:
        """Cookies know no ports, so those of two servers need different names."""
        self._cookie = f"mrisynth_{port}"

    def guard(self, app: web.Application) -> None:
        """Let in whoever has the token or the cookie, and nobody else; see to all answers."""
        app.middlewares.append(self._middleware)
        app.on_response_prepare.append(_protect)  # a page that is handed on begins in its handler

    @web.middleware
    async def _middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        return await self._checked(request, handler)

    async def _checked(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if not self._host_is_ours(request):
            return pages.refused("This address is not one of this server's.")
        given = request.query.get(TOKEN)
        if given is not None and request.method == "GET":
            return self._welcome(request, given)
        owner = request.cookies.get(self._cookie, "")
        if owner not in self._owners:
            return pages.refused(
                "Open the address that the terminal shows: it has a token, which this one lacks."
            )
        if not self._origin_is_ours(request):
            return pages.refused("This was asked for by a page of another site.")
        request[OWNER] = owner
        return await handler(request)

    def _welcome(self, request: web.Request, given: str) -> web.StreamResponse:
        if not secrets.compare_digest(given.encode(), self.token.encode()):
            return pages.refused(
                "The token in this address is not valid any more; open the address that the "
                "terminal shows now."
            )
        owner = request.cookies.get(self._cookie, "")
        if owner not in self._owners:
            owner = secrets.token_urlsafe(24)
            self._owners.add(owner)
        # not the path that was asked for, which could lead to another site
        response = web.Response(status=303, headers={"Location": "/"})
        response.set_cookie(
            self._cookie, owner, httponly=True, samesite="Lax", path="/", max_age=COOKIE_SECONDS
        )
        return response

    def _host_is_ours(self, request: web.Request) -> bool:
        """Numbers cannot be made to point elsewhere, so they are this server's own."""
        try:
            name = (urlsplit(f"//{request.host}").hostname or "").lower()
            if name in self._names:
                return True
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        return address.is_loopback or not is_loopback(self._host)

    @staticmethod
    def _origin_is_ours(request: web.Request) -> bool:
        origin = request.headers.get("Origin")
        must = request.method not in ("GET", "HEAD") or "Upgrade" in request.headers
        if origin is None:
            return not must
        return urlsplit(origin).netloc.lower() == request.host.lower()


async def _protect(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(HEADERS)
