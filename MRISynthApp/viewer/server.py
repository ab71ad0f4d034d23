"""Running the gateway until the terminal says stop."""

from __future__ import annotations

import asyncio
import signal
import sys
import webbrowser
from collections.abc import Callable
from pathlib import Path

from MRISynthLib.worker import WorkerClient

from .gateway import Gateway
from .limits import Limits

TASKS = (
    "MRISynthLib.synthesis.task",
    "MRISynthLib.review.task",
    "MRISynthSegmentLib.task",
)
"""What the worker can do for visitors."""


async def serve(
    host: str,
    port: int,
    limits: Limits,
    files: tuple[Path, ...],
    device: str,
    on_ready: Callable[[str], None],
    *,
    open_browser: bool,
) -> None:
    """Serve until Ctrl-C or a polite request to end; then nothing of the visitors stays.

    Raises
    ------
    OutputError
        If the address cannot be listened on.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    if sys.platform != "win32":  # there Ctrl-C comes as KeyboardInterrupt
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, stop.set)
    client = WorkerClient(device, tasks=TASKS)
    gateway = Gateway(client, host, port, limits, files)
    try:
        await gateway.start()
        client.start()
        on_ready(gateway.url)
        if open_browser:
            await asyncio.to_thread(webbrowser.open, gateway.url)
        await stop.wait()
    finally:
        await gateway.close()
