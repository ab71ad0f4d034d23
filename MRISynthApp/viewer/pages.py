"""The plain pages that a visitor sees where there is no scene to show."""

from __future__ import annotations

from html import escape

from aiohttp import web

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">{refresh}
<title>MRISynth</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 18px/1.5 system-ui, sans-serif; max-width: 34rem; margin: 14vh auto; padding: 0 1rem;
  background: Canvas; color: CanvasText; }}
h1 {{ font-size: 1.6rem; }}
a {{ color: LinkText; }}
</style></head><body><h1>{title}</h1><p>{text}</p>{link}</body></html>
"""


def _page(
    status: int, title: str, text: str, *, link: bool = False, again: int | None = None
) -> web.Response:
    refresh = f'<meta http-equiv="refresh" content="{again}">' if again else ""
    html = _PAGE.format(
        refresh=refresh,
        title=escape(title),
        text=escape(text),
        link='<p><a href="/">Start a new scene</a></p>' if link else "",
    )
    headers = {"Cache-Control": "no-store"}
    return web.Response(
        status=status, text=html, content_type="text/html", charset="utf-8", headers=headers
    )


def refused(reason: str) -> web.Response:
    """For those who may not come in."""
    return _page(403, "Not let in", reason)


def full(visitors: int) -> web.Response:
    """When the house is full; it looks again by itself."""
    what = "1 visitor" if visitors == 1 else f"{visitors} visitors"
    text = (
        f"All places are taken: {what} at a time is what this machine was set up for. "
        "This page looks again every ten seconds; a place becomes free when somebody closes "
        "their page."
    )
    response = _page(503, "All places are taken", text, again=10)
    response.headers["Retry-After"] = "10"
    return response


def ended() -> web.Response:
    """For the address of a scene that is no more."""
    text = (
        "This scene was closed, or was idle for long, and what was in it is gone: nothing is kept "
        "on this machine."
    )
    return _page(410, "This scene has ended", text, link=True)


def failed(reason: str) -> web.Response:
    """When a scene could not be started."""
    return _page(500, "The scene could not be started", reason, link=True)
