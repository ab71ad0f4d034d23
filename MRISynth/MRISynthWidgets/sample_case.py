"""The sample case: a simulated patient, made on this machine when it is asked for.

Slicer's module Sample Data and MRISynth's panel both call :func:`load_sample_case`.
"""

from __future__ import annotations

import os

import qt
import slicer
from slicer.i18n import tr as _

from MRISynthLib import packages
from MRISynthLib.errors import Cancelled, MRISynthError
from MRISynthLib.panel import ProgressText
from MRISynthLib.simulation.names import INPUTS, SAMPLE_TASK

from .installer import SlicerInstaller
from .scene_inputs import SceneInputs
from .worker_run import client_for

CATEGORY = "MRISynth"
MODULES = ("MRISynth", "MRISynthSegment")
POLL_MILLISECONDS = 20


def load_sample_case(source=None) -> list:
    """Make the patient and add it to the scene; the nodes of the inputs, none if cancelled.

    Takes some seconds, with progress and Cancel in a window; an error is shown as one sentence.
    ``source`` is what Sample Data hands over.
    """
    try:
        packages.ensure(SlicerInstaller())
        result = _made()
        return [] if result is None else add_sample_case(result)
    except MRISynthError as error:
        slicer.util.errorDisplay(str(error), windowTitle=_("Sample case"))
        return []


def _made():
    """The worker's result, or None if the user cancelled."""
    from MRISynthLib.progress import Progress

    dialog = slicer.util.createProgressDialog(
        labelText=_("Simulating a patient ..."),
        windowTitle=_("Sample case"),
        windowModality=qt.Qt.ApplicationModal,
        autoReset=False,
    )
    job, text = client_for("auto").submit(SAMPLE_TASK, {}, []), ProgressText()
    try:
        while not job.done:
            for event in job.poll():
                if isinstance(event, Progress):
                    percent, dialog.labelText = text.update(event.stage, event.done, event.total)
                    dialog.value = percent
            slicer.app.processEvents()
            if dialog.wasCanceled:
                job.cancel()
            qt.QThread.msleep(POLL_MILLISECONDS)
        return job.result()
    except Cancelled:
        return None
    finally:
        dialog.close()


def add_sample_case(result) -> list:
    """Add what the worker made: inputs, true targets, true contours; the nodes of the inputs.

    The true targets are not ticked as inputs, so that both modules make them anew; they are there
    to compare with, as are the contours, which are hidden. The Data module says whose all are, so
    that no real patient's image is used beside them.
    """
    from MRISynthLib import mrml

    structures = result.info["structures"]
    nodes = {}
    for name, volume in result.volumes:
        if name not in structures:
            title = name if name in INPUTS else _("{name} (true)").format(name=name)
            nodes[name] = mrml.node_from_volume(volume, name=title)
    contours = _add_contours(result, nodes[INPUTS[0]])
    whose = _("Simulated NPC patient"), _("Sample case")
    mrml.put_below_patient([*nodes.values(), contours], *whose)
    for module in MODULES:
        inputs = SceneInputs(module)
        for row in inputs.rows():
            if row.ticked:  # it would be in the way, and comes back when it is needed again
                inputs.set_ticked(row.key, None)
        for name, node in nodes.items():
            inputs.set_ticked(node.GetID(), name in INPUTS)
    if slicer.app.layoutManager() is not None:
        slicer.util.setSliceViewerLayers(background=nodes[INPUTS[0]], fit=True)
    return [nodes[name] for name in INPUTS]


def _add_contours(result, reference):
    """The node of the true contours."""
    from MRISynthSegmentLib import mrml
    from MRISynthSegmentLib.segmentation import Segmentation

    masks = {name: result[name].voxels.astype(bool) for name in result.info["structures"]}
    segmentation = Segmentation(masks, result[INPUTS[0]])
    name = _("True contours of the sample case")
    node = mrml.segmentation_node_from(segmentation, reference, name=name, surfaces=False)
    node.GetDisplayNode().SetVisibility(False)
    return node


def register_sample_case(iconsFolder: str) -> None:
    """Show the case in Slicer's module Sample Data; its picture lies in that folder."""
    import SampleData

    logic = SampleData.SampleDataLogic
    logic.registerCustomSampleDataCategory(CATEGORY, title=_("MRISynth"))
    logic.registerCustomSampleDataSource(
        category=CATEGORY,
        sampleName=_("Simulated NPC patient"),
        uris="",  # nothing is downloaded
        thumbnailFileName=os.path.join(iconsFolder, "MRISynthSampleCase.png"),
        customDownloader=load_sample_case,
    )
