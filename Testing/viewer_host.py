"""The browser application with a quick worker, and a real browser to look at it."""

from __future__ import annotations

import asyncio
import contextlib
import io
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from MRISynthApp.viewer.gateway import Gateway
from MRISynthApp.viewer.limits import Limits
from MRISynthApp.viewer.visitors import Visitor
from MRISynthLib.worker import WorkerClient

CHROMIUM, DRIVER = "chromium", "chromedriver"
PATIENCE = 180
"""Seconds; the machine may be busy with other things."""

ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--hide-scrollbars",
)


def available() -> bool:
    """Whether there is a browser to look with."""
    return bool(shutil.which(CHROMIUM) and shutil.which(DRIVER) and find_spec("selenium"))


def until(condition: Callable[[], Any], what: str = "", seconds: float = PATIENCE) -> Any:
    """Wait for something to be true; its value."""
    end = time.monotonic() + seconds
    while True:
        with contextlib.suppress(LookupError):
            if value := condition():
                return value
        assert time.monotonic() < end, f"waited in vain: {what}"
        time.sleep(0.05)


class House:
    """A gateway in a thread, with its worker; a context manager."""

    def __init__(self, tasks: tuple[str, ...] = ("viewer_tasks",), files=(), **limits: Any) -> None:
        self.client = WorkerClient("cpu", tasks=tasks)
        self.gateway = Gateway(self.client, limits=Limits(**limits), files=tuple(files))
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> House:
        self._thread.start()
        self.do(self.gateway.start())
        return self

    def __exit__(self, *_: object) -> None:
        self.do(self.gateway.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def do(self, work: Any) -> Any:
        """Run a coroutine in the gateway's thread."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE)

    @property
    def visitors(self) -> list[Visitor]:
        """Those who are present."""
        return list(self.gateway.visitors._present.values())

    @property
    def base(self) -> str:
        """The address without the token."""
        return self.gateway.url.split("?")[0].rstrip("/")


CLICK = """
const button = document.getElementById(arguments[0]);
if (!button || button.disabled) return false;
button.scrollIntoView({ block: "center" });
button.click();
return true;
"""


QUALITY = """
const view = document.querySelectorAll(".layout-grid-item")[arguments[0]];
return Number(view.querySelector(".mrs-picture").dataset.quality || 0);
"""
AT_REST = 90  # JPEG quality of a picture that does not change


class Browser:
    """A page of the application in headless chromium.

    ``logs``: keep what the page asks of the network, which costs time for each picture.
    """

    def __init__(self, size: tuple[int, int] = (1280, 720), *, logs: bool = True) -> None:
        from selenium import webdriver
        from selenium.webdriver.chrome.options import Options
        from selenium.webdriver.chrome.service import Service

        self.folder = tempfile.mkdtemp(prefix="browser-")
        options = Options()
        options.binary_location = shutil.which(CHROMIUM)
        for argument in (*ARGUMENTS, f"--user-data-dir={self.folder}"):
            options.add_argument(argument)
        if logs:
            kept = {"browser": "ALL", "performance": "ALL"}
            options.set_capability("goog:loggingPrefs", kept)
        self.driver = webdriver.Chrome(options=options, service=Service(shutil.which(DRIVER)))
        self.driver.execute_cdp_cmd(
            "Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": self.folder}
        )
        self.resize(*size)

    def close(self) -> None:
        """End the browser."""
        self.driver.quit()
        shutil.rmtree(self.folder, ignore_errors=True)

    def resize(self, width: int, height: int, ratio: float = 1) -> None:
        """Size of the page itself; ``ratio``: pixels of the screen for each of its own."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": ratio, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def open(self, url: str) -> None:
        """Go to an address and wait for the page's own program."""
        self.driver.get(url)
        until(lambda: self.run("return !!window.mrisynth && !!window.trame?.state"), "the page")
        until(lambda: self.state("models") is not None, "the page's state")

    def run(self, script: str, *arguments: Any) -> Any:
        """Run a script in the page."""
        return self.driver.execute_script(script, *arguments)

    def state(self, name: str) -> Any:
        """What the page shows under a name."""
        return self.run("return window.trame.state.get(arguments[0]) ?? null", name)

    def set(self, name: str, value: Any) -> None:
        """Change a choice of the page."""
        self.run("window.trame.state.set(arguments[0], arguments[1])", name, value)

    def trigger(self, name: str, *arguments: Any) -> None:
        """Do what a button of the page does."""
        self.run("window.trame.trigger(arguments[0], arguments[1])", name, list(arguments))

    def click(self, identity: str) -> None:
        """Click a button once it can be clicked."""
        # in one go: the page may draw a button anew between two questions
        until(lambda: self.run(CLICK, identity), f"{identity} enabled")

    def idle(self) -> None:
        """Wait until nothing is loaded or computed."""
        until(lambda: not self.state("loading") and not self.state("running"), "rest")

    def text(self) -> str:
        """All that can be read."""
        return self.run("return document.body.innerText")

    def view(self, index: int) -> Any:
        """The element of a view."""
        return until(
            lambda: self.driver.find_elements("css selector", ".layout-grid-item")[index], "a view"
        )

    def pixels(self, index: int) -> np.ndarray:
        """What a view shows, (rows, columns, 3)."""
        from selenium.common.exceptions import StaleElementReferenceException

        while True:
            with contextlib.suppress(StaleElementReferenceException):  # the page drew it anew
                shot = self.view(index).screenshot_as_png
                return np.asarray(Image.open(io.BytesIO(shot)).convert("RGB")).astype(int)

    def settled(self, index: int, seen: Callable[[np.ndarray], bool], what: str) -> np.ndarray:
        """The pixels of a view once they show something."""
        return until(lambda: _if(seen, self.pixels(index)), what)[0]

    def rested(self, index: int) -> np.ndarray:
        """The pixels of a view once they no longer change, and it is sharp."""

        def still() -> tuple | None:
            before = self.pixels(index)
            time.sleep(0.5)
            sharp = self.run(QUALITY, index) >= AT_REST
            return _if(lambda now: sharp and np.array_equal(now, before), self.pixels(index))

        return until(still, "a view that rests")[0]

    def send(self, *files: Path) -> None:
        """Have the page's chooser take files."""
        self.run(
            "HTMLInputElement.prototype.click = () => {}; window.mrisynth.choose(false);"
            "document.getElementById('mrs-input').style.display = 'block'"
        )
        chooser = self.driver.find_element("id", "mrs-input")
        chooser.send_keys("\n".join(str(file) for file in files))

    def save(self, folder: Path, name: str, views: int = 0) -> None:
        """A picture of the page, once the first ``views`` views rest."""
        for index in range(views):
            self.rested(index)
        self.driver.save_screenshot(str(folder / f"{name}.png"))


def _if(seen: Callable[[np.ndarray], bool], pixels: np.ndarray) -> tuple | None:
    return (pixels,) if seen(pixels) else None


@contextlib.contextmanager
def browser(*, logs: bool = True) -> Iterator[Browser]:
    """A browser that is closed in the end."""
    opened = Browser(logs=logs)
    try:
        yield opened
    finally:
        opened.close()
