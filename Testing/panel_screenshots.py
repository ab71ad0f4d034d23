"""Draws the pictures of both panels in the README, in the Qt test host, without Slicer or a worker.

    python Testing/panel_screenshots.py [FOLDER]

FOLDER is ``Resources/Screenshots`` unless another is named. The volumes hold noise and the worker's
answers are made up: the pictures show the panels, not the product's results.
"""

from __future__ import annotations

import importlib
import os
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "Testing"))
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import pytest  # noqa: E402

LOAD = (("T1w tse tra", 1), ("T2w tse tra", 2), ("STIR cor", 3))
MARGIN = 9
"""Pixels around a panel, as in Slicer."""

SPARE = 400
SAID = {"topic": "missing slices", "text": "STIR cor lacks slice 3 of 5.", "serious": False}


def answer(jobs) -> None:
    """The worker's answers to what a panel asks by itself."""
    from MRISynthLib.worker import TaskResult

    for job in [job for job in jobs if not job.done and not job.cancelled]:
        found = [[SAID] if volume.sequence == "STIR" else [] for volume in job.volumes]
        job.finish(
            TaskResult([], {"remarks": found if job.task == "checks" else [[]] * len(found)})
        )


def masks(names) -> dict:
    """A box for each structure, of different sizes."""
    import numpy as np

    made = {}
    for index, name in enumerate(names):
        made[name] = np.zeros((5, 12, 10), bool)
        made[name][1:4, 2 : 4 + 3 * index % 8, 2 : 4 + 5 * index % 6] = True
    return made


def picture(desk, panel, path: Path) -> None:
    """As wide as in Slicer, as high as everything needs: texts in several lines need more than
    they say, so that there is room below, which is cut off."""
    from PIL import Image

    from qt_host.desk import PANEL_WIDTH
    from qt_host.pythonqt import unwrap

    panel.layout.setContentsMargins(MARGIN, MARGIN, MARGIN, MARGIN)
    native = unwrap(panel.parent)
    native.resize(PANEL_WIDTH + 2 * MARGIN, native.sizeHint().height() + SPARE)
    native.show()
    desk.process()
    last = unwrap(panel.sections[-1].widget)
    bottom = last.mapTo(native, last.rect().bottomLeft()).y() + MARGIN
    native.grab().save(str(path))
    with Image.open(path) as drawn:
        cut = drawn.convert("RGB").crop((0, 0, drawn.width, bottom))
    cut.save(path, optimize=True)


def draw(desk, asked, submitted, folder: Path) -> None:
    """Both panels, as after a study was loaded and as after a run."""
    from panel_cases import add_volume, synthesis_result
    from panel_segment_cases import finished

    for name, seed in LOAD:
        add_volume(desk, name, seed)
    panel = desk.open("MRISynth")
    for _ in range(4):
        answer(asked)
        desk.process()
    panel.targets.onPromptChosen("3T, TR 620 ms, TE 10 ms")
    desk.process()
    panel.ui.applyButton.click()
    desk.process()
    submitted[-1].finish(synthesis_result(submitted[-1]))
    desk.process()
    answer(asked)
    desk.process()
    picture(desk, panel, folder / "panel-synthesis.png")
    panel = desk.open("MRISynthSegment")
    for _ in range(4):
        answer(asked)
        desk.process()
    names = panel.structures.ticked
    panel.ui.applyButton.click()
    desk.process()
    doubt = {name: 0.04 + 0.3 * (index % 3 == 0) for index, name in enumerate(names)}
    finished(submitted[-1], doubt, **masks(names))
    model, said = panel.logic.model(), submitted[-1].outcome.info
    said["provenance"] |= {"bundle": model.name, "bundle_version": model.version}
    said["timings"] = {"segment": 6.2}
    desk.wait(lambda: not panel.busy)
    desk.process(5)
    picture(desk, panel, folder / "panel-structures.png")


def main() -> None:
    """Set up the host, draw, and clean up."""
    from MRISynthApp.scene.headless import HeadlessScene
    from MRISynthLib import worker
    from panel_cases import FakeClient
    from qt_host.desk import Desk

    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "Resources" / "Screenshots"
    patch, submitted, asked = pytest.MonkeyPatch(), [], []
    client = type("Client", (FakeClient,), {"submitted": submitted, "background": asked})
    with HeadlessScene() as headless, tempfile.TemporaryDirectory() as settings:
        headless.slice_logic("Red")
        desk = Desk(headless, patch, Path(settings), None)
        patch.setattr(worker, "WorkerClient", client)
        importlib.import_module("MRISynth")
        try:
            draw(desk, asked, submitted, folder)
        finally:
            desk.close()
            patch.undo()


if __name__ == "__main__":
    main()
