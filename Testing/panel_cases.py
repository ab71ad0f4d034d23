"""Volumes, jobs and results for tests of the panels."""

from __future__ import annotations

import types
from pathlib import Path

import numpy as np


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


BACKGROUND = ("checks", "study", "preview", "devices")
"""Tasks that a panel asks for by itself."""


class FakeClient:
    """Stands in for ``WorkerClient``: keeps what was submitted, and apart from it what a panel
    asks by itself."""

    submitted: list[FakeJob]
    background: list[FakeJob]

    def __init__(self, device, **_):
        self.device, self.closed = device, False

    def submit(self, task, parameters, volumes):
        jobs = self.background if task in BACKGROUND else self.submitted
        jobs.append(FakeJob(task, parameters, volumes))
        return jobs[-1]

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
        sequences_in=("T1w", "T2w", "CE-T1w"),
        structures=("GTVp", "Brainstem"),
        metadata={"licence": "CC-BY-4.0", "intended_use": "Research."},
    ),
}
"""What the panels ask of an installed bundle."""


def add_volume(desk, name, seed=0, shape=(5, 12, 10)):
    """A node with random voxels."""
    voxels = np.random.default_rng(seed).uniform(0, 900, shape).astype(np.float32)
    return desk.slicer.util.addVolumeFromArray(
        voxels, np.diag((2.0, 2.0, 4.0, 1.0)), name=name, nodeClassName="vtkMRMLScalarVolumeNode"
    )


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
