"""MRISynth's panel with a real inference process: what goes on, and what can go wrong."""

from __future__ import annotations

import errno
import functools
import importlib
import os
import signal
import sys
from pathlib import Path

import numpy as np
import pytest

from fakes import HUNGRY_SEED, SLOW_SEED
from models import synthesis_bundle
from panel_cases import add_volume, synthesis_result
from phantoms import head

ROOT = Path(__file__).resolve().parents[1]

posix = pytest.mark.skipif(sys.platform == "win32", reason="needs signals")


def names(desk):
    nodes = desk.slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
    return sorted(node.GetName() for node in nodes)


def client():
    """The panel's client of the worker."""
    (found,) = sys.modules["MRISynthWidgets.worker_run"]._clients.values()
    return found


# -------------------------------------------------- with a worker that needs no model


@pytest.fixture
def panel(desk, monkeypatch):
    """A panel with two volumes; its worker makes something without a network."""
    from MRISynthLib import worker

    monkeypatch.setenv("PYTHONPATH", str(ROOT / "Testing"))
    faked = functools.partial(worker.WorkerClient, tasks=("fakes",))
    monkeypatch.setattr(worker, "WorkerClient", faked)
    add_volume(desk, "t1_tse_tra", 1), add_volume(desk, "t2_tse_tra", 2)
    yield desk.open("MRISynth")
    desk.app.quit()


def start(desk, panel, seed=SLOW_SEED):
    """Apply, until the first slice is there."""
    panel._parameterNode.seed = seed
    desk.process()
    panel.ui.applyButton.click()
    desk.process(1)


def until_preview(desk):
    desk.wait(lambda: any("being computed" in name for name in names(desk)))


def finish(desk, panel):
    desk.wait(lambda: not panel.busy)
    desk.process()


def everything_is_as_before(desk, panel):
    assert names(desk) == ["t1_tse_tra", "t2_tse_tra"], "nothing lost, nothing left"
    assert panel.ui.applyButton.enabled and not panel.ui.cancelButton.enabled
    assert panel.ui.loadSampleButton.enabled
    assert panel.ui.progressBar.isHidden()


def next_apply_works(desk, panel):
    said = list(desk.said)
    start(desk, panel, seed=0)
    finish(desk, panel)
    assert "SYNTHETIC CE-T1w" in names(desk) and desk.said == said
    assert "This is a fake." in panel.ui.messageLabel.text


def test_cancel_takes_effect_and_leaves_nothing(desk, panel):
    start(desk, panel)
    until_preview(desk)
    assert not panel.ui.progressBar.isHidden() and panel.ui.cancelButton.enabled
    assert not panel.ui.loadSampleButton.enabled
    panel.ui.cancelButton.click()
    finish(desk, panel)
    everything_is_as_before(desk, panel)
    assert panel.ui.messageLabel.text == "Cancelled; nothing was added to the scene."
    assert not desk.said
    next_apply_works(desk, panel)


def test_cancel_pressed_as_the_worker_finishes_adds_nothing(desk, jobs):
    add_volume(desk, "t1_tse_tra", 1), add_volume(desk, "t2_tse_tra", 2)
    panel = desk.open("MRISynth")
    panel.ui.applyButton.click()
    jobs[0].finish(synthesis_result(jobs[0]))
    panel.ui.cancelButton.click()  # before the panel has looked
    finish(desk, panel)
    everything_is_as_before(desk, panel)
    assert panel.ui.messageLabel.text == "Cancelled; nothing was added to the scene."


@pytest.fixture
def half_way(desk, panel, monkeypatch):
    """A run has ended, and the first of what it made is in the scene."""
    portions = importlib.import_module("MRISynthWidgets.portions")
    monkeypatch.setattr(portions, "AT_ONCE_SECONDS", -1.0)  # a pause after each volume
    start(desk, panel, seed=0)
    desk.wait(lambda: panel.portions.running)
    if "SYNTHETIC CE-T1w" not in names(desk):
        panel.portions._go_on()
    assert panel.portions.running and "SYNTHETIC CE-T1w" in names(desk)


def test_cancel_while_a_result_comes_into_the_scene_leaves_nothing(desk, panel, half_way):
    panel._refreshNow()
    ui = panel.ui
    assert not ui.applyButton.enabled and "running" in ui.applyButton.toolTip
    assert not ui.continueButton.enabled and "into the scene" in ui.progressLabel.text
    ui.cancelButton.click()
    desk.process()
    everything_is_as_before(desk, panel)
    assert ui.messageLabel.text == "Cancelled; nothing was added to the scene."
    next_apply_works(desk, panel)


def test_a_synthetic_image_that_is_deleted_as_it_comes_is_not_missed(desk, panel, half_way):
    (node,) = (
        node
        for node in desk.slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
        if node.GetName() == "SYNTHETIC CE-T1w"
    )
    desk.slicer.mrmlScene.RemoveNode(node)
    finish(desk, panel)
    assert not desk.said and panel.ui.applyButton.enabled
    next_apply_works(desk, panel)


@posix
def test_a_killed_worker_costs_one_message(desk, panel):
    start(desk, panel)
    until_preview(desk)
    os.kill(client().pid, signal.SIGKILL)
    finish(desk, panel)
    everything_is_as_before(desk, panel)
    (text,) = desk.said
    assert "died" in text and "next request starts a new one" in text
    assert panel.ui.messageLabel.text == text
    next_apply_works(desk, panel)


def test_memory_that_ran_out_is_said_once_and_the_next_apply_works(desk, panel):
    start(desk, panel, seed=HUNGRY_SEED)
    finish(desk, panel)
    everything_is_as_before(desk, panel)
    (text,) = desk.said
    assert "memory did not suffice" in text
    next_apply_works(desk, panel)


def test_a_full_disk_is_said_once_and_the_next_apply_works(desk, panel, monkeypatch):
    from MRISynthLib.worker import shared

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    desk.wait(lambda: not panel.background._jobs)
    with monkeypatch.context() as broken:
        broken.setattr(shared, "_create_in_memory", full)
        broken.setattr(shared, "FileBlock", full)
        start(desk, panel)
        finish(desk, panel)
    everything_is_as_before(desk, panel)
    (text,) = desk.said
    assert "no room for a volume" in text and "disk space" in text
    next_apply_works(desk, panel)


def test_memory_that_runs_out_while_a_result_is_added_leaves_none_of_it(desk, panel, monkeypatch):
    from MRISynthLib import mrml

    add, made = mrml.node_from_volume, []

    def second_fails(volume, *arguments, **options):
        if "computed" not in volume.name:
            made.append(volume)
        if len(made) == 2:
            raise MemoryError
        return add(volume, *arguments, **options)

    with monkeypatch.context() as broken:
        broken.setattr(mrml, "node_from_volume", second_fails)
        start(desk, panel, seed=0)
        finish(desk, panel)
    everything_is_as_before(desk, panel)
    assert len(desk.said) == 1 and "memory did not suffice" in desk.said[0]
    next_apply_works(desk, panel)


def test_a_scene_that_closes_ends_the_run(desk, panel):
    start(desk, panel)
    until_preview(desk)
    desk.slicer.mrmlScene.Clear(0)
    desk.process()
    assert not panel.run.running and names(desk) == [] and not desk.said
    add_volume(desk, "t1_tse_tra", 1), add_volume(desk, "t2_tse_tra", 2)
    desk.process()
    next_apply_works(desk, panel)


def test_nodes_that_are_deleted_while_it_works_do_not_matter(desk, panel):
    start(desk, panel)
    until_preview(desk)
    for node in desk.slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode"):
        if node.GetName() != "t2_tse_tra":
            desk.slicer.mrmlScene.RemoveNode(node)  # the reference and the unfinished image
    desk.process()
    panel.ui.cancelButton.click()
    finish(desk, panel)
    assert names(desk) == ["t2_tse_tra"] and not desk.said
    add_volume(desk, "t1_tse_tra", 1)
    desk.process()
    next_apply_works(desk, panel)


def test_the_result_comes_also_where_its_reference_is_gone(desk, panel):
    start(desk, panel, seed=0)
    desk.slicer.mrmlScene.RemoveNode(desk.slicer.util.getNode("t1_tse_tra"))
    finish(desk, panel)
    assert "SYNTHETIC CE-T1w" in names(desk) and not desk.said


# ------------------------------------------------------------- with a small real model


@pytest.fixture
def study(desk, tmp_path, monkeypatch):
    """A panel with two simulated scans of one head and one view, whose worker has a small untrained
    model."""
    from MRISynthLib import mrml

    synthesis_bundle(tmp_path / "Tiny")
    monkeypatch.setenv("MRISYNTH_BUNDLES", str(tmp_path))
    for name in ("T1w", "T2w"):
        scan = head(name, shape=(16, 60, 50), spacing=(3.5, 3.5, 5.0))
        mrml.node_from_volume(scan.replace(sequence=None, name=f"{name} tse tra"))
    panel = desk.open("MRISynth")
    desk.show_views("Red")
    yield panel
    desk.show_views()
    desk.app.quit()


def test_a_study_is_checked_previewed_made_and_handed_over(desk, study):
    panel = study
    table = panel.ui.inputTable
    desk.wait(lambda: panel.checks.prepared(panel.used, panel.inputOptions()), seconds=300)
    assert not any("check" in table.item(row, 2).text() for row in (0, 1)), "checked by now"
    line = panel.targets.ui.promptLineEdit
    line.text = "3T"
    line.textEdited("3T")
    desk.wait(lambda: any("preview" in name for name in names(desk)))
    slab = desk.slicer.util.arrayFromVolume(desk.slicer.util.getNode("*(preview)")).copy()
    index = panel.logic.slicePlace(desk.slicer.util.getNode("T1w tse tra")).index
    panel.ui.applyButton.click()
    finish(desk, panel)
    made = desk.slicer.util.arrayFromVolume(desk.slicer.util.getNode("SYNTHETIC CE-T1w (3T)"))
    np.testing.assert_allclose(slab[0], made[index], atol=1e-2)
    assert "Computed on cpu" in panel.ui.messageLabel.text and not desk.said
    panel.ui.continueButton.click()
    segment = desk.open("MRISynthSegment")
    assert {row.sequence for row in segment.used} == {"T1w", "T2w", "CE-T1w"}
