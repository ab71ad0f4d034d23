"""How quickly MRISynth's panel answers, in the Qt test host with a real inference process.

A simulated examination of 256 x 224 x 40 is loaded; printed are the times that a user waits for:
the modules' import, the panel's answer to a key, the preview of a slice, the first slice after
Apply, the window's longest pause until a volume is made and shown, cancelling, and a new start
after the worker was killed. Then 36 structures come into the scene, twice, with surfaces for the
3D view; ``--structures`` measures that alone, which needs no worker.

    QT_QPA_PLATFORM=offscreen python Testing/benchmarks/panel_response.py [--json] [--structures]

With ``MRISYNTH_SLICER_SOURCE`` Slicer's own parameter node is used.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "Testing"))
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import pytest  # noqa: E402

RUNS = 3
STRUCTURE_COUNT = 36
KEYS = "fat-suppressed, 3T, TR 620"


class Clock:
    """Lets the panel's events arrive, and keeps how long each round of them took."""

    def __init__(self, desk) -> None:
        self.desk = desk
        self.pauses: list[float] = []
        self.work: list[float] = []
        """As ``pauses``, of the processor: what other programs take is not in it."""

    def until(self, condition, seconds: float = 600) -> float:
        """Seconds until ``condition()`` is true."""
        begun = time.perf_counter()
        while not condition():
            if time.perf_counter() - begun > seconds:
                raise TimeoutError("the panel did not get there")
            before, busy = time.perf_counter(), time.process_time()
            self.desk.app.processEvents()
            self.pauses.append(time.perf_counter() - before)
            self.work.append(time.process_time() - busy)
            time.sleep(0.002)
        return time.perf_counter() - begun

    def of(self, action) -> float:
        """Seconds that ``action()`` and what follows at once take."""
        begun, busy = time.perf_counter(), time.process_time()
        action()
        self.desk.app.processEvents()
        self.work.append(time.process_time() - busy)
        return time.perf_counter() - begun


def load(desk) -> None:
    """Two scans of a simulated patient, as nodes."""
    from MRISynthLib import mrml
    from MRISynthLib.simulation import demo_patient

    images = demo_patient().volumes
    for name in ("T1w", "T2w"):
        mrml.node_from_volume(images[name].replace(sequence=None, name=f"{name} tse tra"))


def nodes_called(desk, text: str) -> bool:
    """Whether a volume's name has ``text`` in it."""
    nodes = desk.slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
    return any(text in node.GetName() for node in nodes)


class Times(dict):
    """What was measured, in seconds; said as soon as it is known, since it takes long."""

    def __setitem__(self, what: str, seconds: float) -> None:
        super().__setitem__(what, seconds)
        print(f"{what:<45} {seconds:8.3f} s", file=sys.stderr, flush=True)


def measure(desk) -> dict[str, float]:
    """All times in seconds."""
    found = Times()
    for name in ("MRISynth", "MRISynthSegment"):
        begun = time.perf_counter()
        importlib.import_module(name)
        found[f"import of {name}"] = time.perf_counter() - begun
    load(desk)
    clock = Clock(desk)
    begun = time.perf_counter()
    panel = desk.open("MRISynth")
    found["opening the panel"] = time.perf_counter() - begun
    desk.show_views("Red")
    found["worker started, study checked and prepared"] = clock.until(
        lambda: panel.checks.prepared(panel.used, panel.inputOptions())
    )
    found["refresh of the whole panel"] = statistics.median(
        clock.of(panel._refreshNow) for _ in range(10)
    )
    line = panel.targets.ui.promptLineEdit
    keys = []
    for count in range(1, len(KEYS) + 1):
        line.text = KEYS[:count]
        keys.append(clock.of(lambda: line.textEdited(line.text)))
    found["answer to a key, worst"] = max(keys)
    panel.targets.onPromptChosen("3T")
    found["preview of the slice in view"] = clock.until(lambda: nodes_called(desk, "preview"))
    apply = panel.ui.applyButton
    firsts, wholes, clicks = [], [], []
    for _ in range(RUNS):
        clock.pauses.clear()
        clicks.append(clock.of(apply.click))
        first = clicks[-1] + clock.until(lambda: nodes_called(desk, "being computed"))
        firsts.append(first)
        wholes.append(first + clock.until(lambda: not panel.busy))
        clock.until(lambda: apply.enabled)
        found["longest pause, Apply to the result shown"] = max(clock.pauses)
    found["Apply pressed, until the window answers"] = statistics.median(clicks)
    found["Apply to the first slice, warm"] = statistics.median(firsts)
    found["Apply to the result, warm"] = statistics.median(wholes)
    apply.click()
    clock.until(lambda: nodes_called(desk, "being computed"))
    begun = time.perf_counter()
    panel.ui.cancelButton.click()
    clock.until(lambda: not panel.busy)
    found["Cancel to the end of the run"] = time.perf_counter() - begun
    found["Apply works again after"] = clock.until(lambda: apply.enabled)
    apply.click()
    clock.until(lambda: nodes_called(desk, "being computed"))
    (client,) = sys.modules["MRISynthWidgets.worker_run"]._clients.values()
    os.kill(client.pid, signal.SIGKILL)
    found["worker killed, until it is said"] = clock.until(lambda: not panel.run.running)
    clock.until(lambda: apply.enabled)
    apply.click()
    found["Apply after that, to the first slice"] = clock.until(
        lambda: nodes_called(desk, "being computed")
    )
    panel.run.abandon()
    return found


def structures() -> tuple:
    """An image of 256 x 224 x 40, and a worker's result with 36 structures of many sizes on it."""
    import numpy as np

    from MRISynthLib.volume import Volume
    from MRISynthLib.worker import TaskResult
    from MRISynthSegmentLib.structures import STRUCTURES

    random = np.random.default_rng(0)
    shape = np.array((40, 256, 224))
    voxels = random.uniform(0, 900, shape).astype(np.float32)
    reference = Volume(voxels, np.diag((1.0, 1.0, 5.0, 1.0)), "T1w", "T1w tse tra")
    index = np.ogrid[tuple(slice(count) for count in shape)]
    made = []
    for name in list(STRUCTURES)[:STRUCTURE_COUNT]:
        middle = shape / 2 if name == "Brain" else random.uniform(shape * 0.3, shape * 0.7)
        radii = (14, 90, 70) if name == "Brain" else random.uniform((1, 5, 5), (5, 25, 25))
        mask = sum(((index[a] - middle[a]) / radii[a]) ** 2 for a in range(3)) < 1
        made.append((name, reference.with_voxels(mask, name=name)))
    drawn_on = [{"sequence": "T1w", "synthetic": False}]
    provenance = {"synthetic": False, "kind": "segmentation", "inputs": drawn_on, "bundle": "A"}
    return reference, TaskResult(made, {"provenance": provenance, "device": "cpu"})


def measure_structures(desk, found: Times) -> None:
    """How long 36 structures take to come into the scene, and how long the window is silent."""
    from MRISynthLib import mrml

    desk.slicer.mrmlScene.Clear(0)
    reference, result = structures()
    node = mrml.node_from_volume(reference)
    panel, clock = desk.open("MRISynthSegment"), Clock(desk)

    def shown() -> None:
        into = panel.choices.segmentation
        steps = panel.logic.addResultSteps(result, reference, node, into, name="Contours")
        panel.putIntoScene(steps, lambda added: panel.showAdded(result, *added))

    for way in ("into a new segmentation", "into the same again"):
        clock.pauses.clear()
        clock.work.clear()
        took = clock.of(shown)
        clock.pauses.append(took)
        took += clock.until(lambda: panel.ui.messageLabel.text and not panel.busy)
        took += clock.of(panel._refreshNow)
        found[f"36 structures {way}"] = took
        found[f"longest pause, 36 structures {way}"] = max(clock.pauses)
        found[f"the processor's share, {way}"] = max(clock.work)
        panel.showMessage("")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--structures", action="store_true")
    options = parser.parse_args()
    from MRISynthApp.scene.headless import HeadlessScene
    from qt_host.desk import Desk
    from qt_host.slicer_source import source_folder

    patch = pytest.MonkeyPatch()
    with HeadlessScene() as headless, tempfile.TemporaryDirectory() as folder:
        headless.slice_logic("Red")
        desk = Desk(headless, patch, Path(folder), source_folder())
        try:
            found = Times() if options.structures else measure(desk)
            measure_structures(desk, found)
        finally:
            desk.show_views()
            desk.app.quit()
            desk.close()
            patch.undo()
    if options.json:
        print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
