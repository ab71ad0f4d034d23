"""The whole chain inside Slicer: volumes in the scene, Apply's work, results in the scene.

Needs the Python packages and the shipped models; without them it is skipped with the reason.
"""

import unittest

import numpy as np
import slicer

from MRISynthLib import packages, panel
from MRISynthWidgets.installer import SlicerInstaller
from MRISynthWidgets.worker_run import client_for, close_clients

TIMEOUT_S = 600


class MRISynthChainTest(unittest.TestCase):
    """T1w and T2w of the scene to CE-T1w, and to structures."""

    def setUp(self):
        missing = packages.missing(SlicerInstaller())
        if missing:
            self.skipTest(f"needs {', '.join(missing)}; press Apply in MRISynth once")
        for task in ("synthesis", "segmentation"):
            if panel.first_model(task) is None:
                self.skipTest(f"no {task} model is installed")
        slicer.mrmlScene.Clear()
        self.addCleanup(close_clients)
        rows, columns = np.mgrid[-1:1:48j, -1:1:40j]
        head = (rows**2 + columns**2 < 0.7).astype(np.float32)
        noise = np.random.default_rng(0).uniform(0, 60, (9, 48, 40)).astype(np.float32)
        spacing = np.diag((4.5, 4.5, 5.0, 1.0))
        for name, level in (("T1w", 600.0), ("T2w", 400.0)):
            voxels = head * level + noise
            slicer.util.addVolumeFromArray(voxels.astype(np.float32), spacing, name=name)

    def test_chain(self):
        from MRISynth import MRISynthLogic
        from MRISynthLib import mrml
        from MRISynthSegment import MRISynthSegmentLogic
        from MRISynthSegmentLib import panel as segment_panel

        logic = MRISynthLogic()
        used = panel.selected(logic.inputs.rows(), logic.model())
        self.assertEqual([row.sequence for row in used], ["T1w", "T2w"])
        wish = panel.understand_targets(["CE-T1w"], "", used, logic.model())
        volumes = logic.inputs.volumes(used)
        request = panel.synthesis_parameters(wish, device="cpu", register=False)
        job = client_for("cpu").submit(panel.SYNTHESIS_TASK, request, volumes)
        (node,) = logic.addResult(job.wait(TIMEOUT_S), run="chain test")
        self.assertTrue(node.GetName().startswith("SYNTHETIC"))
        made = mrml.volume_from_node(node)
        self.assertTrue(made.same_geometry(volumes[0]))
        self.assertGreater(float(np.ptp(made.voxels)), 0)

        segment = MRISynthSegmentLogic()
        logic.handOver(used, "chain test")
        used = panel.selected(segment.inputs.rows(), segment.model(), synthetic_too=True)
        self.assertIn(node.GetID(), [row.key for row in used])
        volumes = segment.inputs.volumes(used)
        request = segment_panel.segmentation_parameters(["Brainstem"], device="cpu", register=False)
        job = client_for("cpu").submit(segment_panel.SEGMENTATION_TASK, request, volumes)
        reference = slicer.mrmlScene.GetNodeByID(used[0].key)
        result = job.wait(TIMEOUT_S)
        segmentation, drawn, _kept, _said = segment.addResult(result, volumes[0], reference)
        self.assertEqual(drawn, ("Brainstem",))
        self.assertEqual(segment.referenceOf(segmentation), reference)
        self.assertEqual(segmentation.GetSegmentation().GetSegmentIDs(), ("Brainstem",))
