"""Volumes, jobs and results for tests of the panels."""

from __future__ import annotations

import types
from pathlib import Path

import numpy as np

from MRISynthLib.errors import Cancelled
from MRISynthLib.simulation.names import SAMPLE_TASK


class FakeJob:
    """A job of the worker that the test finishes."""

    def __init__(self, task, parameters, volumes):
        self.task, self.parameters, self.volumes = task, parameters, volumes
        self.done, self.events, self.outcome, self.cancelled = False, [], None, False

    def poll(self):
        events, self.events = self.events, []
        return events

    def cancel(self, *, kill=True):
        self.cancelled = True

    def finish(self, outcome):
        """End with a ``TaskResult``, or with an exception."""
        self.outcome, self.done = outcome, True

    def result(self):
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


BACKGROUND = ("checks", "study", "segmentation study", "preview", "devices")
"""Tasks that a panel asks for by itself."""


class FakeClient:
    """Stands in for ``WorkerClient``: keeps what was submitted, and apart from it what a panel
    asks by itself."""

    submitted: list[FakeJob]
    background: list[FakeJob]

    def __init__(self, device, **_):
        self.device, self.closed = device, False

    def submit(self, task, parameters, volumes):
        job = FakeJob(task, parameters, volumes)
        if task == SAMPLE_TASK:
            job.finish(Cancelled())  # a window waits for it
            return job
        (self.background if task in BACKGROUND else self.submitted).append(job)
        return job

    def close(self):
        self.closed = True


MODELS = {
    "synthesis": types.SimpleNamespace(
        name="S",
        version="1",
        folder=Path("S"),
        metadata={"licence": "Apache-2.0"},
        sequences_in=("T1w", "T2w"),
        sequences_out=("CE-T1w", "STIR"),
    ),
    "segmentation": types.SimpleNamespace(
        name="G",
        version="1",
        folder=Path("G"),
        sequences_in=("T1w", "T2w", "CE-T1w"),
        structures=("GTVp", "Brainstem"),
        metadata={"licence": "CC-BY-4.0", "intended_use": "Research.", "clicks": True},
    ),
}
"""What the panels ask of an installed bundle."""


def add_volume(desk, name, seed=0, shape=(5, 12, 10)):
    """A node with random voxels."""
    voxels = np.random.default_rng(seed).uniform(0, 900, shape).astype(np.float32)
    return desk.slicer.util.addVolumeFromArray(
        voxels, np.diag((2.0, 2.0, 4.0, 1.0)), name=name, nodeClassName="vtkMRMLScalarVolumeNode"
    )


def move(desk, node, step=(0.0, 0.0, 30.0)):
    """Put a node under a new transform, as the Transforms module does; the transform's node."""
    import vtk

    matrix = vtk.vtkMatrix4x4()
    for axis, value in enumerate(step):
        matrix.SetElement(axis, 3, value)
    transform = desk.slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    transform.SetMatrixTransformToParent(matrix)
    node.SetAndObserveTransformNodeID(transform.GetID())
    desk.process()
    return transform


def put_below_patient(desk, name, *nodes, patient_id=""):
    """Nodes in a study of a new patient in the Data module's tree, as after loading DICOM."""
    scene = desk.slicer.mrmlScene
    tree = desk.slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    patient = tree.CreateSubjectItem(tree.GetSceneItemID(), name)
    if patient_id:
        tree.SetItemAttribute(patient, "DICOM.PatientID", patient_id)
    study = tree.CreateStudyItem(patient, "study")
    for node in nodes:
        tree.CreateItem(study, node)


def ticked_inputs(desk, panel):
    """The volumes that are ticked in the table of inputs."""
    table = panel.ui.inputTable
    items = [table.item(row, 0) for row in range(table.rowCount)]
    return [item.text() for item in items if item.checkState() == desk.qt.Qt.Checked]


def tick_input(desk, panel, name, ticked=True):
    """The user ticks a volume in the table of inputs, or unticks it."""
    table = panel.ui.inputTable
    items = [table.item(row, 0) for row in range(table.rowCount)]
    (item,) = [item for item in items if item.text() == name]
    item.setCheckState(desk.qt.Qt.Checked if ticked else desk.qt.Qt.Unchecked)
    desk.process()


def cells(table):
    """What a table of a panel says, line by line."""
    return [
        [table.item(row, column).text() for column in range(table.columnCount)]
        for row in range(table.rowCount)
    ]


def synthetic(volume, sequence, kind="image"):
    """The volume as if it were made by the model."""
    from MRISynthLib.provenance import Provenance

    provenance = Provenance(synthetic=True, kind=kind, sequence=sequence, prompt="p")
    return volume.replace(name=sequence, sequence=sequence, provenance=provenance)


def synthesis_result(job):
    """A result with one image and its uncertainty."""
    from MRISynthLib.worker import TaskResult

    reference = job.volumes[0]
    volumes = [
        ("CE-T1w", synthetic(reference, "CE-T1w")),
        ("CE-T1w_uncertainty", synthetic(reference, "CE-T1w", "uncertainty")),
    ]
    info = {"warnings": ["One slice is missing."], "device": "cpu", "timings": {"synthesize": 2.0}}
    return TaskResult(volumes, info)


def comparison_result(job, **info):
    """What the worker says of a comparison."""
    from MRISynthLib.review.derived import derived_provenance
    from MRISynthLib.worker import TaskResult

    real, synthetic = job.volumes[:2]
    difference = synthetic.with_voxels(
        np.full(synthetic.shape, 0.1, np.float32),
        name="T2w difference",
        provenance=derived_provenance("difference", synthetic, real),
    )
    figures = {"body": {"MAE": 0.0312, "PSNR": 27.04, "SSIM": 0.912}}
    figures |= {volume.name: figures["body"] for volume in job.volumes[2:]}
    said = {"figures": figures, "moved_mm": None, "warnings": [], **info}
    return TaskResult([("difference", difference)], said)


def waiting(asked, task=None):
    return [job for job in asked if not job.done and not job.cancelled and task in (None, job.task)]


def answer(desk, job, remarks=()):
    """The worker's remarks: (position of the volume, topic, text, serious)."""
    found = [[] for _ in job.volumes]
    for index, topic, text, serious in remarks:
        found[index].append({"topic": topic, "text": text, "serious": serious})
    from MRISynthLib.worker import TaskResult

    job.finish(TaskResult([], {"remarks": found}))
    desk.process()


def answer_all(desk, asked):
    while waiting(asked):
        answer(desk, waiting(asked)[0])


def typed(desk, line, text):
    line.text = text
    line.textEdited(text)
    desk.process()
