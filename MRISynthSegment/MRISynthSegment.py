"""Slicer module MRISynthSegment: delineates tumour and organs on real and synthetic volumes.

What is computed lies in MRISynthSegmentLib and runs in the worker of MRISynthLib; what the
panel decides lies in MRISynthSegmentLib.panel. Here is what only Slicer can say.
"""

import os
from typing import Annotated

import qt
import slicer
from slicer import vtkMRMLSegmentationNode
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.parameterNodeWrapper import Choice, WithinRange, parameterNodeWrapper
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
)

from MRISynthLib.errors import OutputError
from MRISynthLib.panel import first_model, result_sentences, selected
from MRISynthSegmentLib import panel
from MRISynthWidgets.panel_widget import PanelWidget
from MRISynthWidgets.scene_inputs import SceneInputs


class MRISynthSegment(ScriptedLoadableModule):
    """What Slicer's module list shows."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("MRISynthSegment")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Image Synthesis")]
        self.parent.dependencies = ["MRISynth"]
        self.parent.contributors = ["The MRISynth contributors"]
        self.parent.helpText = _(
            "Delineates the primary tumour and organs at risk of patients with nasopharyngeal "
            "carcinoma on real and synthetic MR sequences. Synthetic inputs are marked SYNTHETIC. "
            "The shipped models are trained on simulated patients: for research and "
            "demonstration, not for clinical decisions."
        )
        self.parent.acknowledgementText = _(
            "Built on 3D Slicer, MONAI, PyTorch and SimpleITK. Structure names follow AAPM "
            "TG-263, codes are SNOMED CT."
        )


@parameterNodeWrapper
class MRISynthSegmentParameterNode:
    """What is saved with the scene; the choices for each volume are attributes of its node.

    structures - the structures that are ticked; they count once the user touched the list.
    structuresTouched - whether the user did.
    device, registerInputs - how it is computed.
    segmentation - what is shown, measured and edited.
    fillOpacity, showOutlines, show3D - how it is shown.
    """

    structures: list[str]
    structuresTouched: bool = False
    device: Annotated[str, Choice(["auto", "cpu", "cuda", "mps"])] = "auto"
    registerInputs: bool = True
    segmentation: vtkMRMLSegmentationNode
    fillOpacity: Annotated[float, WithinRange(0.0, 1.0)] = 1.0
    showOutlines: bool = True
    show3D: bool = True


class MRISynthSegmentWidget(PanelWidget):
    """The panel."""

    def makeLogic(self):
        """See :class:`PanelWidget`."""
        return MRISynthSegmentLogic()

    def connectWidgets(self) -> None:
        """See :class:`PanelWidget`."""
        self._used = ()
        self._structures = ()
        self._structureItems = {}
        self._measured = None
        self._displayed = None
        presets = zip(
            (self.ui.allButton, self.ui.targetsButton, self.ui.organsButton, self.ui.noneButton),
            panel.PRESETS,
            strict=True,
        )
        for button, name in presets:
            button.connect("clicked(bool)", lambda checked, name=name: self.onPreset(name))
        self.ui.structureTree.connect("itemChanged(QTreeWidgetItem*,int)", self.onStructureChanged)
        self.ui.editButton.connect("clicked(bool)", self.onEditButton)
        self.ui.saveButton.connect("clicked(bool)", self.onSaveButton)

    def refresh(self) -> None:
        """Show volumes, structures, results and whether Apply can be pressed."""
        parameters, model = self._parameterNode, self.logic.model()
        rows = self.logic.inputs.rows()
        self._used = selected(rows, model, synthetic_too=True)
        self.inputTable.show(rows, self._used)
        ticked = list(parameters.structures) if parameters.structuresTouched else None
        self._structures = panel.ticked_structures(ticked, model)
        self._showStructures(model)
        self.ui.modelLabel.text = model.name if model else _("none installed")
        reason = panel.why_disabled(
            rows, self._used, self._structures, model, running=self.run.running
        )
        self.setApplyState(reason)
        self._showSegmentation(parameters.segmentation)

    def _showStructures(self, model) -> None:
        tree = self.ui.structureTree
        blocked = tree.blockSignals(True)
        names = panel.preset("All", model)
        if tuple(self._structureItems) != names:
            tree.clear()
            self._structureItems = {}
            for heading, structures in panel.groups(model):
                group = qt.QTreeWidgetItem()
                group.setText(0, heading)
                tree.addTopLevelItem(group)
                for structure in structures:
                    item = qt.QTreeWidgetItem()
                    item.setText(0, structure.label)
                    item.setToolTip(0, structure.name)
                    red, green, blue = (round(255 * channel) for channel in structure.colour)
                    item.setForeground(0, qt.QBrush(qt.QColor(red, green, blue)))
                    group.addChild(item)
                    self._structureItems[structure.name] = item
                group.setExpanded(True)
        for name, item in self._structureItems.items():
            item.setCheckState(0, qt.Qt.Checked if name in self._structures else qt.Qt.Unchecked)
        tree.blockSignals(blocked)

    def _showSegmentation(self, node) -> None:
        parameters = self._parameterNode
        for button in (self.ui.editButton, self.ui.saveButton):
            button.enabled = node is not None
        look = {
            "fillOpacity": parameters.fillOpacity,
            "outlines": parameters.showOutlines,
            "in3D": parameters.show3D,
        }
        if (node, look) != self._displayed:
            # Only when the panel changed: the Segmentations module may set these as well.
            self._displayed = (node, look)
            self.logic.setDisplay(node, **look)
        state = None if node is None else (node.GetID(), node.GetSegmentation().GetMTime())
        if state == self._measured:
            return
        self._measured = state
        table = self.ui.resultTable
        results = self.logic.results(node) if node is not None else ()
        table.setRowCount(len(results))
        for index, row in enumerate(results):
            for column, text in enumerate((row.label, row.volume_text())):
                item = qt.QTableWidgetItem(text)
                item.setFlags(item.flags() ^ qt.Qt.ItemIsEditable)
                item.setToolTip(row.name)
                table.setItem(index, column, item)

    def onPreset(self, name: str) -> None:
        """Tick the structures of a preset."""
        self._setStructures(panel.preset(name, self.logic.model()))

    def onStructureChanged(self, changed, column: int) -> None:
        """The user ticked or unticked a structure."""
        self._setStructures(
            name
            for name, item in self._structureItems.items()
            if item.checkState(0) == qt.Qt.Checked
        )

    def _setStructures(self, names) -> None:
        self._parameterNode.structures = list(names)
        self._parameterNode.structuresTouched = True
        self.scheduleRefresh()

    def startWork(self) -> None:
        """See :class:`PanelWidget`."""
        parameters = self._parameterNode
        volumes = self.logic.inputs.volumes(self._used)
        request = panel.segmentation_parameters(
            self._structures, device=parameters.device, register=parameters.registerInputs
        )
        self._reference = volumes[0]
        self._referenceID = self._used[0].key
        self.run.start(parameters.device, panel.SEGMENTATION_TASK, request, volumes)

    def showResult(self, result) -> None:
        """Add the segmentation to the scene and show it."""
        referenceNode = slicer.mrmlScene.GetNodeByID(self._referenceID)
        parameters = self._parameterNode or self.logic.getParameterNode()
        node = self.logic.addResult(
            result, self._reference, referenceNode, surfaces=parameters.show3D
        )
        self._reference = None
        parameters.segmentation = node
        self.showMessage("\n".join(result_sentences(result.info)))

    def onEditButton(self) -> None:
        """Go on in Slicer's Segment Editor."""
        with self.showingErrors():
            self.logic.openInSegmentEditor(self._parameterNode.segmentation)

    def onSaveButton(self) -> None:
        """Ask for a file name and save."""
        node = self._parameterNode.segmentation
        suggestion = f"{node.GetName()}.seg.nrrd"
        path = qt.QFileDialog.getSaveFileName(
            slicer.util.mainWindow(), _("Save segmentation"), suggestion, "*.seg.nrrd"
        )
        if path:
            with self.showingErrors():
                self.showMessage(_("Saved as {path}.").format(path=self.logic.save(node, path)))


class MRISynthSegmentLogic(ScriptedLoadableModuleLogic):
    """The module without its panel."""

    def __init__(self) -> None:
        ScriptedLoadableModuleLogic.__init__(self)
        self.inputs = SceneInputs("MRISynthSegment")

    def getParameterNode(self):
        """The scene's parameter node, with typed access."""
        return MRISynthSegmentParameterNode(super().getParameterNode())

    def model(self):
        """The model to use, or None if none is installed."""
        return first_model("segmentation")

    def addResult(self, result, reference, referenceNode=None, *, surfaces: bool = False):
        """Add the worker's result to the scene; the segmentation node."""
        from MRISynthSegmentLib import mrml
        from MRISynthSegmentLib.task import segmentation_from

        segmentation = segmentation_from(result, reference)
        name = f"{reference.name} segmentation" if reference.name else "Segmentation"
        return mrml.segmentation_node_from(
            segmentation, referenceNode, name=name, surfaces=surfaces
        )

    def referenceOf(self, node):
        """The volume node on which a segmentation was made, or None if it is gone."""
        return node.GetNodeReference(
            slicer.vtkMRMLSegmentationNode.GetReferenceImageGeometryReferenceRole()
        )

    def results(self, node) -> tuple:
        """The table of volumes of a segmentation node, also of one that was edited by hand."""
        from MRISynthLib.mrml import volume_from_node
        from MRISynthSegmentLib.mrml import segmentation_from_node

        reference = self.referenceOf(node)
        if reference is None:
            return ()  # without its image there is no grid to count voxels on
        return panel.result_rows(segmentation_from_node(node, volume_from_node(reference)))

    def setDisplay(self, node, *, fillOpacity: float, outlines: bool, in3D: bool) -> None:
        """How a segmentation is shown; ``fillOpacity`` scales that of each structure."""
        display = node.GetDisplayNode() if node is not None else None
        if display is None:
            return
        wasModified = display.StartModify()
        display.SetOpacity2DFill(fillOpacity)
        display.SetVisibility2DOutline(outlines)
        display.SetVisibility3D(in3D)
        display.EndModify(wasModified)
        if in3D:
            node.CreateClosedSurfaceRepresentation()

    def openInSegmentEditor(self, node) -> None:
        """Open Slicer's Segment Editor on a segmentation and its reference image."""
        slicer.util.selectModule("SegmentEditor")
        editor = slicer.util.getModuleWidget("SegmentEditor").editor
        editor.setSegmentationNode(node)
        reference = self.referenceOf(node)
        if reference is not None:
            editor.setSourceVolumeNode(reference)

    def save(self, node, path: str) -> str:
        """Save as ``.seg.nrrd``; the path with its suffix.

        Raises
        ------
        OutputError
            If Slicer could not write there.
        """
        if not path.endswith(".seg.nrrd"):
            path = f"{path.removesuffix('.nrrd')}.seg.nrrd"
        # Slicer writes in place; a failure must not leave half a file under the wanted name.
        beside = os.path.join(os.path.dirname(path), f".saving-{os.path.basename(path)}")
        try:
            # exportNode keeps its default properties from call to call, so it gets its own.
            if not slicer.util.exportNode(node, beside, properties={}):
                raise OutputError(f"{path} could not be written; choose another folder.")
            os.replace(beside, path)
        except OSError as error:
            raise OutputError(
                f"{path} could not be written ({error.strerror}); choose another folder."
            ) from error
        finally:
            if os.path.exists(beside):
                os.remove(beside)
        return path


class MRISynthSegmentTest(ScriptedLoadableModuleTest):
    """What can be tested in any Slicer, without packages or models."""

    def setUp(self):
        """Start with an empty scene."""
        slicer.mrmlScene.Clear()

    def runTest(self):
        """Run all tests."""
        for test in (self.test_ResultIsAddedMeasuredAndShown, self.test_ChoicesAreSaved):
            self.setUp()
            test()
        self.delayDisplay("Test passed")

    def test_ResultIsAddedMeasuredAndShown(self):
        """A segmentation comes into the scene with names, colours and volumes."""
        import numpy as np

        from MRISynthLib import mrml
        from MRISynthLib.volume import Volume
        from MRISynthLib.worker import TaskResult

        voxels, matrix = np.ones((8, 20, 16), np.float32), np.diag((1.0, 1.0, 2.0, 1.0))
        reference = Volume(voxels, matrix, name="T1w")
        mask = np.zeros(reference.shape, bool)
        mask[2:6, 5:15, 4:12] = True
        result = TaskResult([("Brainstem", reference.with_voxels(mask, name="Brainstem"))])
        logic = MRISynthSegmentLogic()
        node = logic.addResult(result, reference, mrml.node_from_volume(reference))
        logic.setDisplay(node, fillOpacity=0.25, outlines=False, in3D=False)
        self.assertEqual(node.GetDisplayNode().GetOpacity2DFill(), 0.25)
        (row,) = logic.results(node)
        self.assertEqual((row.name, row.label), ("Brainstem", "Brainstem"))
        self.assertAlmostEqual(row.millilitres, 4 * 10 * 8 * 2 / 1000)

    def test_ChoicesAreSaved(self):
        """What the user ticked is in the parameter node."""
        parameters = MRISynthSegmentLogic().getParameterNode()
        parameters.structures = ["GTVp"]
        parameters.fillOpacity = 0.7
        again = MRISynthSegmentLogic().getParameterNode()
        self.assertEqual((list(again.structures), again.fillOpacity), (["GTVp"], 0.7))
