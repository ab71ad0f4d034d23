"""Draws the pictures of both panels in the README, in the Qt test host, without Slicer.

    python Testing/panel_screenshots.py [FOLDER]

FOLDER is ``Resources/Screenshots`` unless another is named. The patient is the sample case; checks,
image and contours are those of the shipped models.
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

SECONDS = 600
"""For each step, on a busy machine."""

MARGIN = 9
"""Pixels around a panel, as in Slicer."""

SPARE = 400


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


def draw(desk, folder: Path) -> None:
    """Both panels, as after a study was loaded and as after a run."""
    from MRISynthLib.mrml import node_from_volume
    from MRISynthLib.simulation import demo_patient

    patient = demo_patient()
    for sequence in ("T1w", "T2w"):
        node_from_volume(patient.volumes[sequence], name=f"{sequence} of {patient.name}")
    panel = desk.open("MRISynth")
    checked(desk, panel)
    panel.targets.onPromptChosen("3T, TR 620 ms, TE 10 ms")
    applied(desk, panel)
    picture(desk, panel, folder / "panel-synthesis.png")
    panel.ui.continueButton.click()
    panel = desk.open("MRISynthSegment")
    checked(desk, panel)
    applied(desk, panel)
    picture(desk, panel, folder / "panel-structures.png")


def checked(desk, panel) -> None:
    """Wait for the words of the checks."""
    desk.wait(lambda: panel.checks.prepared(panel.used, panel.inputOptions()), SECONDS)
    desk.process()


def applied(desk, panel) -> None:
    """Press Apply and wait for the end."""
    panel.ui.applyButton.click()
    desk.wait(lambda: not panel.busy, SECONDS)
    desk.process(5)


def main() -> None:
    """Set up the host, draw, and clean up."""
    from MRISynthApp.scene.headless import HeadlessScene
    from qt_host.desk import Desk

    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "Resources" / "Screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    patch = pytest.MonkeyPatch()
    with HeadlessScene() as headless, tempfile.TemporaryDirectory() as settings:
        headless.slice_logic("Red")
        desk = Desk(headless, patch, Path(settings), None)
        importlib.import_module("MRISynth")
        try:
            draw(desk, folder)
        finally:
            desk.close()
            patch.undo()


if __name__ == "__main__":
    main()
