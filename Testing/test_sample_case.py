"""The sample case: a patient that is simulated when it is asked for, and nothing is downloaded."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from MRISynthLib.errors import Cancelled, WorkerError
from MRISynthLib.progress import SILENT, Progress
from panel_cases import FakeJob, add_volume, put_below_patient, tick_input, ticked_inputs

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def sample(patient):
    """What the worker makes."""
    from MRISynthLib.simulation import cases, task

    before, cases.demo_patient = cases.demo_patient, lambda callbacks: patient
    try:
        return task.HANDLERS["sample"]({}, [], SILENT, None)
    finally:
        cases.demo_patient = before


class Worker:
    """A worker that has done its job after some polls."""

    def __init__(self, *outcomes):
        self.outcomes, self.jobs = list(outcomes), []

    def submit(self, task, parameters, volumes):
        assert (task, parameters, volumes) == ("sample", {}, [])
        outcome, job = self.outcomes.pop(0), FakeJob(task, parameters, volumes)
        self.jobs.append(job)

        def poll():
            job.finish(outcome)
            return [Progress("simulate", 1, 4)]

        job.poll = poll
        return job


@pytest.fixture
def case(desk, monkeypatch):
    module = importlib.import_module("MRISynthWidgets.sample_case")

    def answer(*outcomes):
        worker = Worker(*outcomes)
        monkeypatch.setattr(module, "client_for", lambda device: worker)
        return module

    return answer


def test_worker_knows_the_task_and_the_window_need_not_import_the_simulation():
    from MRISynthLib.worker.client import DEFAULT_TASKS

    assert "MRISynthLib.simulation.task" in DEFAULT_TASKS
    code = "import sys, MRISynthLib.simulation.names; print({'numpy', 'torch'} & set(sys.modules))"
    import subprocess

    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert answer.stdout.strip() == "set()", answer.stderr


def test_patient_comes_with_inputs_ticked_and_the_truth_to_compare_with(desk, case, sample):
    nodes = case(sample).load_sample_case()
    assert [node.GetName() for node in nodes] == ["T1w", "T2w"] and not desk.said
    volumes = desk.slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
    assert [node.GetName() for node in volumes] == ["T1w", "T2w", "CE-T1w (true)", "STIR (true)"]
    assert not any(node.GetAttribute("MRISynth.Synthetic") for node in volumes)
    inputs = importlib.import_module("MRISynthWidgets.scene_inputs")
    for module in ("MRISynth", "MRISynthSegment"):
        rows = inputs.SceneInputs(module).rows()
        assert [row.sequence for row in rows] == ["T1w", "T2w", "CE-T1w", "STIR"]
        assert [row.ticked for row in rows] == [True, True, False, False]
    (contours,) = desk.slicer.util.getNodesByClass("vtkMRMLSegmentationNode")
    assert "GTVp" in contours.GetSegmentation().GetSegmentIDs()
    assert not contours.GetDisplayNode().GetVisibility()
    mask = desk.slicer.util.arrayFromSegmentBinaryLabelmap(contours, "GTVp", nodes[0])
    assert np.array_equal(mask > 0, sample["GTVp"].voxels > 0) and mask.any()


def test_loading_the_case_and_pressing_apply_is_enough(desk, case, sample, jobs):
    case(sample).load_sample_case()
    panel = desk.open("MRISynth")
    assert panel.ui.applyButton.enabled, panel.ui.applyButton.toolTip
    panel.ui.applyButton.click()
    desk.process()
    assert [volume.sequence for volume in jobs[0].volumes] == ["T1w", "T2w"]
    assert {wish["sequence"] for wish in jobs[0].parameters["targets"]} == {"CE-T1w"}


def test_no_real_patients_image_is_used_beside_the_case_and_the_newest_case_counts(
    desk, case, sample, jobs
):
    hers = [add_volume(desk, name) for name in ("a t1", "a t2", "a t1 post gadolinium")]
    put_below_patient(desk, "Anna", *hers)
    panel = desk.open("MRISynth")
    tick_input(desk, panel, "a t2")
    case(sample, sample).load_sample_case()
    desk.process()
    assert ticked_inputs(desk, panel) == ["T1w", "T2w"] and panel.ui.applyButton.enabled
    panel = desk.open("MRISynthSegment")
    assert ticked_inputs(desk, panel) == ["T1w", "T2w"], "nor in the place of what is not made yet"
    importlib.import_module("MRISynthWidgets.sample_case").load_sample_case()
    desk.process()
    assert ticked_inputs(desk, panel) == ["T1w_1", "T2w_1"] and panel.ui.applyButton.enabled


def test_cancel_and_failure_leave_the_scene_as_it_was(desk, case):
    module = case(Cancelled(), WorkerError("The worker died; try again."))
    assert module.load_sample_case() == [] and not desk.said
    assert module.load_sample_case() == [] and desk.said == ["The worker died; try again."]
    assert not desk.slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")


def sample_data_module(monkeypatch, folder):
    """Slicer's module Sample Data where its source is named, else what it is asked for."""
    if folder is not None:
        path = folder.parents[2] / "Modules/Scripted/SampleData/SampleData.py"
        spec = importlib.util.spec_from_file_location("SampleData", path)
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, "SampleData", module)
        spec.loader.exec_module(module)
        return module
    sources: dict[str, list] = {}

    def source(category, **about):
        sources.setdefault(category, []).append(types.SimpleNamespace(**about))

    logic = types.SimpleNamespace(
        registerCustomSampleDataCategory=lambda category, title: None,
        registerCustomSampleDataSource=source,
    )
    module = types.SimpleNamespace(SampleDataLogic=logic)
    monkeypatch.setitem(sys.modules, "SampleData", module)
    import slicer

    slicer.modules.sampleDataSources = sources
    return module


def test_slicers_sample_data_shows_the_case_with_a_picture(desk, case, sample, monkeypatch):
    from qt_host.slicer_source import source_folder

    case(sample)
    sample_data_module(monkeypatch, source_folder())
    module = importlib.import_module("MRISynth")
    module.MRISynth(types.SimpleNamespace(path=module.__file__))
    desk.app.start()  # only now are all modules there
    desk.raise_errors()
    (source,) = desk.slicer.modules.sampleDataSources["MRISynth"]
    assert source.sampleName == "Simulated NPC patient"
    picture = Path(source.thumbnailFileName)
    assert picture.is_file() and picture.stat().st_size < 200_000
    assert picture.relative_to(ROOT).as_posix() in (
        f"MRISynth/{line.strip()}"
        for line in (ROOT / "MRISynth/CMakeLists.txt").read_text(encoding="utf-8").splitlines()
    )
    assert len(source.customDownloader(source)) == 2
    desk.process()  # the mark SYNTHETIC looks at new volumes when events are done
