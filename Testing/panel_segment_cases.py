"""The panel of module MRISynthSegment in tests: opened, and with structures drawn."""

from __future__ import annotations

import numpy as np

from panel_cases import add_volume

SHAPE = (5, 12, 10)


def mask_of(*sides, shape=SHAPE):
    mask = np.zeros(shape, bool)
    mask[tuple(slice(*side) for side in sides)] = True
    return mask


TUMOUR = mask_of((1, 4), (3, 8), (2, 7))
STEM = mask_of((1, 4), (9, 11), (2, 7))


def finished(job, doubt=None, warnings=(), **masks):
    """The worker's answer to a request for structures."""
    from MRISynthLib.worker import TaskResult

    reference = job.volumes[0]
    made = [(name, reference.with_voxels(mask, name=name)) for name, mask in masks.items()]
    inputs = [
        {"sequence": v.sequence, "name": v.name, "synthetic": v.is_synthetic} for v in job.volumes
    ]
    provenance = {
        "synthetic": any(each["synthetic"] for each in inputs),
        "kind": "segmentation",
        "inputs": inputs,
        "bundle": "G",
        "bundle_version": "1",
    }
    info = {"doubt": doubt or {}, "provenance": provenance, "device": "cpu"}
    info["warnings"] = list(warnings)
    job.finish(TaskResult(made, info))


def apply(desk, panel, jobs, doubt=None, **found):
    """Press Apply, and let the worker find these; ``warnings``: and say so."""
    panel.ui.applyButton.click()
    desk.process()
    finished(jobs[-1], doubt, **found)
    desk.process()
    return jobs[-1]


def section(panel, name):
    return next(each for each in panel.sections if type(each).__name__ == f"{name}Section")


def open_panel(desk):
    """The panel with one image in the scene."""
    add_volume(desk, "t1_tse_tra")
    return desk.open("MRISynthSegment")


def open_drawn(desk, jobs):
    """The panel with a segmentation of two structures, the tumour in doubt."""
    panel = open_panel(desk)
    apply(desk, panel, jobs, {"GTVp": 0.4, "Brainstem": 0.05}, GTVp=TUMOUR, Brainstem=STEM)
    return panel


def shown_node(panel):
    return panel.logic.getParameterNode().segmentation


def masks_in(panel):
    from MRISynthSegmentLib.mrml import segmentation_from_node
    from MRISynthSegmentLib.placed.mrml import grid_of

    node = shown_node(panel)
    return segmentation_from_node(node, grid_of(node)).masks


# --- clicks -------------------------------------------------------------------------------


def places(desk, node=None):
    """Whether Slicer's mouse sets points, of ``node`` if one is given."""
    logic = desk.app.applicationLogic()
    interaction = logic.GetInteractionNode()
    chosen = logic.GetSelectionNode().GetActivePlaceNodeID()
    placing = interaction.GetCurrentInteractionMode() == interaction.Place
    return placing and (node is None or chosen == node.GetID())


def click(desk, panel, k, j, i):
    """In a slice view, with the mouse in place mode."""
    from MRISynthSegmentLib.clicked.mrml import ClickPoints
    from MRISynthSegmentLib.placed.mrml import grid_of

    points = ClickPoints(shown_node(panel))
    assert places(desk, points.node), "a click would turn the view"
    x, y, z, _ = grid_of(shown_node(panel)).index_to_world @ (i, j, k, 1)
    points.node.AddControlPointWorld(-x, -y, z)
    desk.process()


def job_done(job, mask):
    from MRISynthLib.worker import TaskResult

    name = job.parameters["structure"]
    job.finish(TaskResult([(name, job.volumes[0].with_voxels(mask, name=name))]))


def answer(desk, job, mask):
    job_done(job, mask)
    desk.process()


def second(desk, panel, jobs, **masks):
    """A second segmentation, drawn on the same image; it is shown."""
    section(panel, "Structure").ui.newSegmentationCheckBox.checked = True
    desk.process()
    apply(desk, panel, jobs, **masks)
    desk.process()
    return shown_node(panel)


def crosses(node):
    """Those that are seen of a segmentation's clicks."""
    from MRISynthSegmentLib.clicked.mrml import ClickPoints

    points = ClickPoints(node).node
    count = points.GetNumberOfControlPoints() if points is not None else 0
    return sum(points.GetNthControlPointVisibility(index) for index in range(count))


def begin(desk, panel):
    correction = section(panel, "Correction")
    correction.ui.addButton.click()
    desk.process()
    return correction
