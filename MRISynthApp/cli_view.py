"""``mrisynth view``."""

from __future__ import annotations

import asyncio
import importlib.util
from pathlib import Path
from typing import Annotated

import typer

from .options import Device
from .session import session


def view(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Images, or a folder of them (DICOM, or the result of mrisynth demo), that are "
            "in the scene at first. Others can be dropped on the page.",
            show_default=False,
        ),
    ] = None,
    host: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS",
            help="Listen on this address of the machine; other machines reach it then.",
        ),
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes one that is free.")] = 8765,
    visitors: Annotated[
        int, typer.Option(min=1, max=64, help="Scenes at a time; each takes half a GB of memory.")
    ] = 4,
    upload_mb: Annotated[
        int, typer.Option(min=1, help="What a visitor may bring, in MB, unpacked.")
    ] = 2048,
    idle_minutes: Annotated[
        float, typer.Option(min=0.1, help="After so long without a click a scene ends.")
    ] = 30.0,
    open_browser: Annotated[
        bool, typer.Option("--open/--no-open", help="Open the page in this machine's browser.")
    ] = True,
    device: Device = "auto",
) -> None:
    """The same in a browser: make sequences, compare, delineate, correct, download.

    Listens on this machine only, unless --host is given. The address has a token: who does not
    have it is not let in. Uploads stay in a private folder and go when their page is closed.
    Ctrl-C ends it.

    Example: mrisynth view dicom/study
    """
    with session("view", as_json=False, stopped="Ended; nothing of the visitors was kept.") as run:
        from MRISynthLib.errors import InputError

        check_installed()
        for file in files or ():
            if not file.exists():
                raise InputError(f"There is no file or folder {file}; check its name.")
        from .viewer.access import is_loopback
        from .viewer.limits import MIB, Limits
        from .viewer.server import serve

        limits = Limits(
            visitors=visitors, upload_bytes=upload_mb * MIB, idle_seconds=idle_minutes * 60
        )
        if not is_loopback(host):
            run.warn(
                "Other machines can reach this. Whoever has the address with its token sees the "
                "images named here, and the connection is not encrypted: let no patient's data "
                "travel over a network that you do not trust."
            )

        def ready(url: str) -> None:
            run.say(f"Open {url}")
            run.say("Ctrl-C ends it; everything that visitors brought is deleted then.")

        places = tuple(file.resolve() for file in files or ())
        asyncio.run(serve(host, port, limits, places, device, ready, open_browser=open_browser))
        run.say("Ended; nothing of the visitors was kept.")


def check_installed() -> None:
    """Raise InputError if the browser part was not installed."""
    from MRISynthLib.errors import InputError

    missing = [name for name in ("slicer", "trame_slicer", "aiohttp") if not _is_there(name)]
    if missing:
        raise InputError(
            f"The browser part is not installed ({', '.join(missing)} missing); "
            'pip install "mrisynth[view]" brings it.'
        )


def _is_there(name: str) -> bool:
    return importlib.util.find_spec(name) is not None
