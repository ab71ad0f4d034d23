"""Slicer module MRISynth: makes the MR sequences that a patient lacks.

What is computed lies in MRISynthLib and runs in a process of its own; what the panel decides
lies in MRISynthLib.panel. Here is what only Slicer can say.
"""

from typing import Annotated

import qt
import slicer
import vtk
from slicer import vtkMRMLScalarVolumeNode
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.parameterNodeWrapper import Choice, WithinRange, parameterNodeWrapper
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
)

from MRISynthLib import panel
from MRISynthWidgets.panel_widget import ERROR_STYLE, PanelWidget
from MRISynthWidgets.scene_inputs import SceneInputs


class MRISynth(ScriptedLoadableModule):
    """What Slicer's module list shows."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("MRISynth")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Image Synthesis")]
        self.parent.dependencies = []
        self.parent.contributors = ["The MRISynth contributors"]
        self.parent.helpText = _(
            "Makes missing MR sequences of patients with nasopharyngeal carcinoma from those at "
            "hand: load a study, tick the sequences to make or describe them in words, and press "
            "Apply. Every synthetic volume is marked SYNTHETIC. The shipped models are trained "
            "on simulated patients: for research and demonstration, not for clinical decisions."
        )
        self.parent.acknowledgementText = _(
            "Built on 3D Slicer, MONAI, PyTorch and SimpleITK. Users should know of patents on "
            "related methods, such as US 12,488,877 B2."
        )


@parameterNodeWrapper
class MRISynthParameterNode:
    """What is saved with the scene; the choices for each volume are attributes of its node.

    targets - the sequences that are ticked; they count once the user touched the list.
    targetsTouched - whether the user did.
    prompt - the wanted contrast in words.
    device, seed, registerInputs, addUncertainty - how it is computed.
    realVolume, syntheticVolume - what is shown side by side.
    """

    targets: list[str]
    targetsTouched: bool = False
    prompt: str = ""
    device: Annotated[str, Choice(["auto", "cpu", "cuda", "mps"])] = "auto"
    seed: Annotated[int, WithinRange(0, 2**31 - 1)] = 0
    registerInputs: bool = True
    addUncertainty: bool = True
    realVolume: vtkMRMLScalarVolumeNode
    syntheticVolume: vtkMRMLScalarVolumeNode


class MRISynthWidget(PanelWidget):
    """The panel."""

    def makeLogic(self):
        """See :class:`PanelWidget`."""
        return MRISynthLogic()

    def connectWidgets(self) -> None:
        """See :class:`PanelWidget`."""
        self._understanding = panel.Understanding()
        self._used = ()
        self.ui.loadDicomButton.connect("clicked(bool)", self.onLoadDicomButton)
        self.ui.loadFilesButton.connect("clicked(bool)", self.onLoadFilesButton)
        self.ui.targetList.connect("itemChanged(QListWidgetItem*)", self.onTargetChanged)
        self.ui.sideBySideButton.connect("clicked(bool)", self.onSideBySideButton)
        self.ui.continueButton.connect("clicked(bool)", self.onContinueButton)

    def refresh(self) -> None:
        """Show volumes, targets, what the prompt means and whether Apply can be pressed."""
        parameters, model = self._parameterNode, self.logic.model()
        rows = self.logic.inputs.rows()
        self._used = panel.selected(rows, model)
        self.inputTable.show(rows, self._used)
        self.ui.inputHintLabel.text = panel.input_problem(rows, self._used, model)
        ticked = list(parameters.targets) if parameters.targetsTouched else None
        targets = panel.target_rows(rows, self._used, ticked, model)
        self._showTargets(targets)
        self._understanding = panel.understand_targets(
            [row.sequence for row in targets if row.ticked],
            parameters.prompt,
            self._used,
            model,
        )
        self._showUnderstanding()
        self.ui.modelLabel.text = model.name if model else _("none installed")
        self.setApplyState(
            panel.why_disabled(
                rows, self._used, self._understanding, model, running=self.run.running
            )
        )
        both = bool(parameters.realVolume and parameters.syntheticVolume)
        self.ui.sideBySideButton.enabled = both
        self.ui.sideBySideButton.toolTip = (
            _("Real beside synthetic, in linked views.") if both else _("Choose two volumes first.")
        )

    def _showTargets(self, targets) -> None:
        targetList = self.ui.targetList
        blocked = targetList.blockSignals(True)
        if targetList.count != len(targets):
            targetList.clear()
            for row in targets:
                targetList.addItem(qt.QListWidgetItem(row.sequence))
        for index, row in enumerate(targets):
            item = targetList.item(index)
            item.setText(row.sequence)
            item.setToolTip(row.problem or row.description)
            item.setCheckState(qt.Qt.Checked if row.ticked else qt.Qt.Unchecked)
        targetList.blockSignals(blocked)

    def _showUnderstanding(self) -> None:
        understanding, label = self._understanding, self.ui.understoodLabel
        label.setStyleSheet(ERROR_STYLE if understanding.problem else "")
        if understanding.problem:
            label.text = understanding.problem
        elif understanding.text:
            label.text = _("Understood as: {meaning}").format(meaning=understanding.text)
        else:
            label.text = ""

    def onTargetChanged(self, item) -> None:
        """The user ticked or unticked a target."""
        targetList = self.ui.targetList
        items = [targetList.item(index) for index in range(targetList.count)]
        self._parameterNode.targets = [
            item.text() for item in items if item.checkState() == qt.Qt.Checked
        ]
        self._parameterNode.targetsTouched = True
        self.scheduleRefresh()

    def onLoadDicomButton(self) -> None:
        """Let Slicer's DICOM module load a study."""
        slicer.util.selectModule("DICOM")

    def onLoadFilesButton(self) -> None:
        """Let Slicer load image files."""
        slicer.util.openAddVolumeDialog()

    def startWork(self) -> None:
        """See :class:`PanelWidget`."""
        parameters = self._parameterNode
        reference = slicer.mrmlScene.GetNodeByID(self._used[0].key)
        volumes = self.logic.inputs.volumes(self._used)
        request = panel.synthesis_parameters(
            self._understanding,
            device=parameters.device,
            seed=parameters.seed,
            register=parameters.registerInputs,
            visible_slice=self.logic.visibleSlice(reference),
        )
        self._addUncertainty = parameters.addUncertainty
        self._referenceID = reference.GetID()
        self.logic.startPreview(volumes[0])
        self.run.start(parameters.device, panel.SYNTHESIS_TASK, request, volumes)

    def showSlice(self, ready) -> None:
        """Show the slices that are there, the visible one first."""
        self.logic.previewSlice(ready)

    def discardPreview(self) -> None:
        """See :class:`PanelWidget`."""
        self.logic.discardPreview()

    def showResult(self, result) -> None:
        """Add the synthetic volumes and show the first beside its reference."""
        nodes = self.logic.addResult(result, uncertainty=self._addUncertainty)
        reference = slicer.mrmlScene.GetNodeByID(self._referenceID)
        parameters = self._parameterNode or self.logic.getParameterNode()
        parameters.syntheticVolume = nodes[0]
        if reference is not None:
            parameters.realVolume = reference
            self.logic.showSideBySide(reference, nodes[0])
        self.showMessage("\n".join(panel.result_sentences(result.info)))

    def onSideBySideButton(self) -> None:
        """Show the two chosen volumes."""
        with self.showingErrors():
            parameters = self._parameterNode
            self.logic.showSideBySide(parameters.realVolume, parameters.syntheticVolume)

    def onContinueButton(self) -> None:
        """Go on in MRISynthSegment with the inputs and their synthetic sequences ticked."""
        with self.showingErrors():
            self.logic.handOver(self._used, self._parameterNode.syntheticVolume)
            slicer.util.selectModule("MRISynthSegment")


class MRISynthLogic(ScriptedLoadableModuleLogic):
    """The module without its panel."""

    def __init__(self) -> None:
        ScriptedLoadableModuleLogic.__init__(self)
        self.inputs = SceneInputs("MRISynth")
        self._previewReference = None
        self._previews = {}

    def getParameterNode(self):
        """The scene's parameter node, with typed access."""
        return MRISynthParameterNode(super().getParameterNode())

    def model(self):
        """The model to use, or None if none is installed."""
        return panel.first_model("synthesis")

    def visibleSlice(self, node) -> int:
        """Index of the volume's slice at the centre of the red view."""
        from MRISynthLib import mrml

        sliceToRAS = mrml.slice_logic("Red").GetSliceNode().GetSliceToRAS()
        position = [0.0, 0.0, 0.0]
        node.TransformPointFromWorld([sliceToRAS.GetElement(i, 3) for i in range(3)], position)
        rasToIJK = vtk.vtkMatrix4x4()
        node.GetRASToIJKMatrix(rasToIJK)
        index = round(rasToIJK.MultiplyPoint([*position, 1.0])[2])
        return min(max(index, 0), node.GetImageData().GetDimensions()[2] - 1)

    def startPreview(self, reference) -> None:
        """Say on which volume's grid the finished slices lie."""
        self.discardPreview()
        self._previewReference = reference

    def previewSlice(self, ready) -> None:
        """Put a finished slice into a volume that grows while the rest is computed."""
        if self._previewReference is None:
            return
        first = ready.target not in self._previews
        if first:
            self._previews[ready.target] = self._addPreview(ready.target).GetID()
        node = slicer.mrmlScene.GetNodeByID(self._previews[ready.target])
        if node is None:
            return  # the user deleted it
        slicer.util.arrayFromVolume(node)[ready.index] = ready.image
        slicer.util.arrayFromVolumeModified(node)
        if first:
            from MRISynthLib import mrml

            mrml.set_display(node)
            manager = slicer.app.layoutManager()
            if manager is not None:
                mrml.set_overlay(node, manager.sliceViewNames(), opacity=1.0)

    def _addPreview(self, target: str):
        import numpy as np

        from MRISynthLib import mrml
        from MRISynthLib.provenance import Provenance

        empty = np.zeros(self._previewReference.shape, np.float32)
        unfinished = self._previewReference.with_voxels(
            empty,
            sequence=target,
            name=_("{target} (being computed)").format(target=target),
            provenance=Provenance(synthetic=True, kind="preview", sequence=target),
        )
        return mrml.node_from_volume(unfinished)

    def discardPreview(self) -> None:
        """Remove what :meth:`previewSlice` added."""
        for key in self._previews.values():
            node = slicer.mrmlScene.GetNodeByID(key)
            if node is not None:
                slicer.mrmlScene.RemoveNode(node)
        self._previews = {}
        self._previewReference = None

    def addResult(self, result, *, uncertainty: bool = True) -> list:
        """Add the volumes of a worker's result to the scene; the images' nodes."""
        from MRISynthLib import mrml

        nodes = []
        for _name, volume in result.volumes:
            is_image = volume.provenance is not None and volume.provenance.kind == "image"
            if is_image or uncertainty:
                node = mrml.node_from_volume(volume)
                if is_image:
                    nodes.append(node)
        return nodes

    def showSideBySide(self, real, synthetic) -> None:
        """Real beside synthetic in linked views."""
        from MRISynthLib import mrml

        mrml.show_side_by_side([real, synthetic])

    def handOver(self, used, synthetic) -> None:
        """Tick the inputs, and a synthetic volume, for MRISynthSegment."""
        inputs = SceneInputs("MRISynthSegment")
        for row in used:
            inputs.set_ticked(row.key, True)
            inputs.set_chosen(row.key, row.sequence)
        if synthetic is not None:
            inputs.set_ticked(synthetic.GetID(), True)


class MRISynthTest(ScriptedLoadableModuleTest):
    """What can be tested in any Slicer, without packages or models."""

    def setUp(self):
        """Start with an empty scene."""
        slicer.mrmlScene.Clear()

    def runTest(self):
        """Run all tests."""
        for test in (self.test_ScenesVolumesAreListed, self.test_ChoicesAreSavedWithTheScene):
            self.setUp()
            test()
        self.delayDisplay("Test passed")

    def _addVolume(self, name):
        import numpy as np

        voxels = np.random.default_rng(0).uniform(0, 900, (5, 24, 20)).astype(np.float32)
        return slicer.util.addVolumeFromArray(voxels, name=name)

    def test_ScenesVolumesAreListed(self):
        """Volumes are recognised by name, and the best defaults are chosen."""
        for name in ("T1w", "T2w"):
            self._addVolume(name)
        logic = MRISynthLogic()
        rows = logic.inputs.rows()
        self.assertEqual([row.recognised for row in rows], ["T1w", "T2w"])
        self.assertEqual(len(panel.selected(rows, None)), 2)

    def test_ChoicesAreSavedWithTheScene(self):
        """What the user set for a volume survives a new logic; the rest is in the node."""
        node = self._addVolume("series 7")
        logic = MRISynthLogic()
        logic.inputs.set_chosen(node.GetID(), "STIR")
        logic.inputs.set_ticked(node.GetID(), False)
        (row,) = MRISynthLogic().inputs.rows()
        self.assertEqual((row.sequence, row.ticked), ("STIR", False))
        logic.getParameterNode().prompt = "STIR at 3T"
        self.assertEqual(MRISynthLogic().getParameterNode().prompt, "STIR at 3T")
