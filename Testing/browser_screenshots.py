"""Takes the README's pictures of the browser part, in headless chromium.

    python Testing/browser_screenshots.py [FOLDER]

FOLDER is ``Resources/Screenshots`` unless another is named. The patient is the simulated one;
images and contours are those of the shipped models.
"""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "Testing"))

from MRISynthApp.viewer.server import TASKS  # noqa: E402
from viewer_host import Browser, House, available, browser, until  # noqa: E402

SECONDS = 600
"""For each step, on a busy machine."""

VIEWS = 4


def prepare(page: Browser) -> None:
    """Make the CE-T1w that the patient's study lacks, find structures, look at four views."""
    page.click("welcome-simulated")
    until(lambda: page.state("images"), "the patient", SECONDS)
    page.idle()
    page.click("apply")
    until(lambda: any(row["synthetic"] for row in page.state("images")), "synthetic", SECONDS)
    until(lambda: not page.state("running"), "rest", SECONDS)
    page.set("section", ["structures", "results"])
    page.click("segment")
    until(lambda: page.state("results"), "the structures", SECONDS)
    until(lambda: not page.state("running"), "rest", SECONDS)
    page.set("message", "")
    page.set("section", ["results"])
    page.click("layout-4")
    gtv = next(row for row in page.state("results") if row["name"] == "GTVp")
    page.trigger("go_to", gtv["name"])


def keep(page: Browser, folder: Path, name: str) -> None:
    """A picture of the page at rest, in 256 colours: a third of the size."""
    page.save(folder, name, views=VIEWS)
    path = folder / f"{name}.png"
    picture = Image.open(path).convert("RGB")
    few = {"method": Image.Quantize.MAXCOVERAGE, "kmeans": 2, "dither": Image.Dither.NONE}
    picture.quantize(256, **few).save(path, optimize=True)


def main() -> None:
    """Entry point."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "Resources" / "Screenshots"
    if not available():
        raise SystemExit("Needs selenium, chromium and its driver (chromium-driver).")
    folder.mkdir(parents=True, exist_ok=True)
    with House(TASKS, visitors=1) as house, browser(logs=False) as page:
        page.open(house.gateway.url)
        prepare(page)
        keep(page, folder, "browser")
        page.click("mode-uncertainty")
        keep(page, folder, "browser-uncertainty")
        page.click("mode-difference")
        until(lambda: page.state("figures"), "the numbers", SECONDS)
        page.click("mode-blend")
        page.click("theme")
        page.resize(1920, 1080)
        keep(page, folder, "browser-light")


if __name__ == "__main__":
    main()
