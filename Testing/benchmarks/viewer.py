"""Frames a second in the browser while slices are scrolled, at rest and while a worker computes.

Opens ``mrisynth view`` on an examination of 256 x 224 x 40 in headless chromium, turns the mouse
wheel 60 times a second, and counts the pictures that the page shows in each view; and how much
processor time the scene's process, the gateway's and the browser's took for each picture (the
inference's not counted), which says the same on a machine that is busy with other things. Says as
well how long a new scene takes to open and how much memory it has.

    python Testing/benchmarks/viewer.py [--seconds 4] [--at-rest]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import psutil

from fakes import head
from MRISynthApp.viewer.server import TASKS
from MRISynthLib import io
from MRISynthLib.volume import matrix_from_parts
from viewer_host import House, browser, until

WHAT = ("at rest", "computing")
SHAPE, SPACING = (40, 256, 224), (0.9, 0.9, 4.0)

COUNT = """
window.framesSeen = 0;
if (!window.framesCounted) {
  window.framesCounted = true;
  const canvas = ImageBitmapRenderingContext.prototype;
  const show = canvas.transferFromImageBitmap;
  canvas.transferFromImageBitmap = function (picture) {
    window.framesSeen += 1;
    return show.call(this, picture);
  };
}
"""

SCROLL = """
const [milliseconds, done] = [arguments[0], arguments[1]];
const area = document.querySelectorAll(".layout-grid-item")[0];
const box = area.getBoundingClientRect();
const at = { clientX: box.x + box.width / 2, clientY: box.y + box.height / 2, bubbles: true };
const target = document.elementFromPoint(at.clientX, at.clientY);
const start = performance.now();
let turns = 0;
const timer = setInterval(() => {
  turns += 1;
  const up = Math.floor(turns / 18) % 2 ? 1 : -1;
  target.dispatchEvent(new WheelEvent("wheel", { ...at, deltaY: 120 * up, cancelable: true }));
  if (performance.now() - start > milliseconds) {
    clearInterval(timer);
    done((1000 * window.framesSeen) / (performance.now() - start));
  }
}, 1000 / 60);
"""


def work(process: psutil.Process) -> float:
    """Seconds of processor time of a process and of all that it started but the inference."""
    shown = (
        each
        for each in (process, *process.children(recursive=True))
        if "MRISynthLib.worker" not in each.cmdline()
    )
    return sum(sum(each.cpu_times()[:2]) for each in shown)


def frames(page, views: int, seconds: float) -> tuple[float, float]:
    """Frames a second and view while slices are scrolled, and milliseconds of work for each."""
    page.set("layout", str(views))
    until(lambda: len(page.driver.find_elements("class name", "layout-grid-item")) == views)
    page.settled(0, lambda seen: seen.max() > 150, "an image")
    time.sleep(1.5)  # views are sent once more when they rest
    page.run(COUNT)
    page.driver.set_script_timeout(seconds + 60)
    shown = min(views, 3)  # the 3D view does not change
    before = work(psutil.Process())
    rate = page.driver.execute_async_script(SCROLL, int(1000 * seconds))
    pictures = page.run("return window.framesSeen")
    return rate / shown, 1000 * (work(psutil.Process()) - before) / max(1, pictures)


def measure(seconds: float, at_rest: bool) -> None:
    """Print the table; ``at_rest``: without what needs the models."""
    with tempfile.TemporaryDirectory() as folder:
        for seed, name in enumerate(("T1w", "T2w")):
            image = head(seed, SHAPE, name=name, sequence=name)
            image = image.replace(index_to_world=matrix_from_parts(SPACING))
            io.save(image, Path(folder) / f"{name}.nii.gz")
        with House(TASKS, files=(Path(folder),)) as house, browser(logs=False) as page:
            started = time.perf_counter()
            page.open(house.gateway.url)
            print(f"First page after the start: {time.perf_counter() - started:.1f} s")
            until(lambda: page.state("images"), "the images")
            page.idle()
            print(f"{'views':<8}" + "".join(f"{what:>14}{'work':>10}" for what in WHAT))
            for views in (1, 2, 3, 4):
                rate, each = frames(page, views, seconds)
                print(f"{views:<8}{rate:>12.1f}/s{each:>7.0f} ms", end="", flush=True)
                if at_rest:
                    print()
                    continue
                page.trigger("apply")
                until(lambda: page.state("running"), "the work")
                until(lambda: "slices" in page.state("progress_text") or not page.state("running"))
                busy, each = frames(page, views, seconds)
                still = page.state("running")
                page.trigger("cancel")
                page.idle()
                mark = "" if still else f"   (the work had ended: {page.state('message')})"
                print(f"{busy:>12.1f}/s{each:>7.0f} ms{mark}")
            memory = psutil.Process(house.visitors[0].pid).memory_info().rss / 2**20
            print(f"Memory of the scene's process: {memory:.0f} MB")


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=4.0, help="for each measurement")
    parser.add_argument("--at-rest", action="store_true", help="not while a worker computes")
    options = parser.parse_args()
    from viewer_host import available

    if not available():
        print("Not measured: needs chromium with its driver, and the extras view and test.")
        return
    measure(options.seconds, options.at_rest)


if __name__ == "__main__":
    main()
