"""Slicer module MRISynthSegment: delineates tumour and organs on real and synthetic volumes.

What is computed lies in MRISynthSegmentLib and runs in the worker of MRISynthLib; what the
panel decides lies in MRISynthSegmentLib.panel. Here is what only Slicer can say.
"""

from typing import Annotated

import slicer
from slicer import vtkMRMLScalarVolumeNode, vtkMRMLSegmentationNode, vtkMRMLTableNode
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
)

from MRISynthLib.panel import chosen_model, selected
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
        # The module Terminologies is there only when all modules are.
        slicer.app.connect("startupCompleted()", loadTerminology)


def loadTerminology() -> None:
    """Let Slicer know the structures' terms: they can be chosen for segments, and are shown with
    their colours."""
    from MRISynthSegmentLib.terminology import terminology_file

    module, path = getattr(slicer.modules, "terminologies", None), terminology_file()
    if module is not None and path is not None:
        module.logic().LoadTerminologyFromFile(str(path))


@parameterNodeWrapper
class MRISynthSegmentParameterNode:
    """What is saved with the scene; the choices for each volume are attributes of its node.

    structures - the structures that are ticked; they count once the user touched the list.
    structuresTouched - whether the user did.
    newSegmentation - whether a result goes into a new segmentation.
    replaceEdited - whether what the user edited is drawn anew, too; both are for one run.
    """

    structures: list[str]
    structuresTouched: bool = False
    newSegmentation: bool = False
    replaceEdited: bool = False

    # Options: model is the bundle's name, empty for the first that is installed.
    model: str = ""
    device: str = "auto"
    registerInputs: bool = True
    cleanUp: bool = True
    mirroredViews: bool = True

    # Result: what is shown, corrected, compared and exported, and how it is shown.
    segmentation: vtkMRMLSegmentationNode
    fillOpacity: Annotated[float, WithinRange(0.0, 1.0)] = 1.0
    showOutlines: bool = True
    show3D: bool = True

    # Click to correct: the structure, and whether others give way to it.
    correctedStructure: str = ""
    correctExclusive: bool = False

    # Compare: with what, the figures, whose outlines, on which images.
    compareWith: vtkMRMLSegmentationNode
    comparison: vtkMRMLTableNode
    compareOutlines: bool = False
    comparedStructure: str = ""
    compareLeft: vtkMRMLScalarVolumeNode
    compareRight: vtkMRMLScalarVolumeNode

    # Export: the worker's name of the format, and the image for a series.
    exportFormat: str = "rtstruct"
    exportImage: vtkMRMLScalarVolumeNode
    exportToDatabase: bool = True
    exportBurnIn: bool = False


class MRISynthSegmentWidget(PanelWidget):
    """The panel.

    Attributes
    ----------
    rows: the lines of the input table.
    structures, result, correction: sections that are spoken to.
    """

    studyTask = panel.STUDY_TASK

    def makeLogic(self):
        """See :class:`PanelWidget`."""
        return MRISynthSegmentLogic()

    def connectWidgets(self) -> None:
        """See :class:`PanelWidget`."""
        self.rows = ()

    def makeSections(self):
        """See :class:`PanelWidget`."""
        from MRISynthSegmentWidgets.comparison_section import ComparisonSection
        from MRISynthSegmentWidgets.correction_section import CorrectionSection
        from MRISynthSegmentWidgets.export_section import ExportSection
        from MRISynthSegmentWidgets.option_section import OptionSection
        from MRISynthSegmentWidgets.result_section import ResultSection
        from MRISynthSegmentWidgets.structure_section import StructureSection

        self.structures, self.correction = StructureSection(self), CorrectionSection(self)
        self.result = ResultSection(self)
        return (
            self.structures,
            OptionSection(self),
            self.result,
            self.correction,
            ComparisonSection(self),
            ExportSection(self),
        )

    def enter(self) -> None:
        """See :class:`PanelWidget`."""
        self.logic.forgetModels()  # the user may have installed one meanwhile
        PanelWidget.enter(self)

    def exit(self) -> None:
        """See :class:`PanelWidget`; a click elsewhere must not correct anything."""
        self.correction.stop()
        PanelWidget.exit(self)

    def refresh(self) -> None:
        """Show volumes, and whether Apply can be pressed."""
        parameters = self._parameterNode
        model = self.logic.model(parameters.model)
        self.rows = self.logic.inputs.rows()
        self.used = selected(self.rows, model, synthetic_too=True)
        found = self.showInputs(self.rows, model)
        running = self.busy
        self.setApplyState(
            panel.why_disabled(
                self.rows, self.used, self._ticked(model), model, running=running, found=found
            ),
            _("Find the ticked structures, on the slices and pixels of {image}."),
        )
        if self.ui.inputHintLabel.text and not running:
            self.sayProgress("")  # it is said where it is to be mended

    def inputOptions(self) -> dict:
        """See :class:`PanelWidget`."""
        parameters = self.choices
        model = self.logic.model(parameters.model)
        return {
            "bundle": model.name if model else None,
            "device": parameters.device,
            "register": parameters.registerInputs,
        }

    def _ticked(self, model) -> tuple[str, ...]:
        parameters = self.choices
        ticked = list(parameters.structures) if parameters.structuresTouched else None
        return panel.ticked_structures(ticked, model)

    def startWork(self) -> None:
        """See :class:`PanelWidget`."""
        parameters, options = self.choices, self.inputOptions()
        volumes = self.logic.inputs.volumes(self.used)
        self.pauseChecks()
        request = panel.segmentation_parameters(
            self._ticked(self.logic.model(parameters.model)),
            model=options["bundle"],
            device=options["device"],
            register=options["register"],
            clean=parameters.cleanUp,
            flips=parameters.mirroredViews,
        )
        # what the user chose when Apply was pressed, whatever is chosen when the result comes
        self._into = None if parameters.newSegmentation else parameters.segmentation
        self._apart = self._whyApart(self._into)
        self._replaceEdited = parameters.replaceEdited
        self._reference = volumes[0]
        self._referenceID = self.used[0].key
        self._name = panel.segmentation_name(self.used)
        self.correction.stop()
        self.run.start(parameters.device, panel.SEGMENTATION_TASK, request, volumes)

    def _whyApart(self, node) -> str:
        """Why contours on the inputs do not belong into a segmentation; empty if they do."""
        image = self.logic.referenceOf(node)
        key = image.GetID() if image is not None else ""
        name = panel.of_another_examination(key, self.used, self.rows)
        text = _("{node} was drawn on {image}, which is not of the same examination.")
        return text.format(node=node.GetName(), image=name) if name else ""

    def showResult(self, result) -> None:
        """Put the structures into the segmentation that is shown, or into a new one."""
        parameters = self.choices
        reference, self._reference = self._reference, None
        into, self._into = self._into, None
        steps = self.logic.addResultSteps(
            result,
            reference,
            slicer.mrmlScene.GetNodeByID(self._referenceID),
            into if into is not None and into.GetScene() is not None else None,
            name=self._name,
            apart=self._apart,
            replaceEdited=self._replaceEdited,
            surfaces=parameters.show3D,
        )
        self.putIntoScene(steps, lambda added: self.showAdded(result, *added))

    def showAdded(self, result, node, drawn, kept, said) -> None:
        """The result is in ``node``: show it instead of another, and say what it is."""
        from MRISynthSegmentLib.shown.mrml import hide

        parameters = self.choices
        self.correction.drawnAnew(node, drawn)
        before = parameters.segmentation
        hidden = before is not None and before is not node and hide(before)
        if before is not node:
            self.result.showNew(node)
        parameters.segmentation = node
        parameters.newSegmentation = parameters.replaceEdited = False
        self.showOutcome(
            result.info,
            *said,
            panel.kept_sentence(kept),
            panel.hidden_sentence(before.GetName()) if hidden else "",
            warning=bool(said),
        )


class MRISynthSegmentLogic(ScriptedLoadableModuleLogic):
    """The module without its panel."""

    def __init__(self) -> None:
        ScriptedLoadableModuleLogic.__init__(self)
        self.inputs = SceneInputs("MRISynthSegment")
        self._models = None

    def getParameterNode(self):
        """The scene's parameter node, with typed access."""
        return MRISynthSegmentParameterNode(super().getParameterNode())

    def models(self) -> tuple:
        """The installed models that delineate."""
        if self._models is None:
            from MRISynthLib.bundles import find_bundles

            self._models = tuple(find_bundles("segmentation"))
        return self._models

    def forgetModels(self) -> None:
        """Look again for installed models."""
        self._models = None

    def model(self, name: str = ""):
        """The model of this name, else the first, or None if none is installed."""
        return chosen_model(self.models(), name)

    def addResult(self, *result, **options) -> tuple:
        """:meth:`addResultSteps` at one go."""
        from MRISynthLib.progress import finished

        return finished(self.addResultSteps(*result, **options))

    def addResultSteps(
        self,
        result,
        reference,
        referenceNode=None,
        node=None,
        *,
        name: str = "Segmentation",
        apart: str = "",
        replaceEdited: bool = False,
        surfaces: bool = False,
    ):
        """Put the worker's result into ``node``, or into a new one where that does not fit.

        A generator that pauses after each structure. ``apart`` says why the result must not go into
        ``node``, if that is known before. Its value: the node, the structures that were
        drawn, those that were kept as the user had edited them, and sentences on where it lies.
        """
        from MRISynthSegmentLib import mrml
        from MRISynthSegmentLib.placed.mrml import moved_along, why_not_into
        from MRISynthSegmentLib.task import segmentation_from

        reference, moved = moved_along(reference, referenceNode)
        segmentation = segmentation_from(result, reference)
        drawn, said = tuple(segmentation.masks), [moved] if moved else []
        reason = "" if node is None else apart or why_not_into(node, segmentation)
        if node is None or reason:
            if reason:
                said.append(
                    _("{reason} The result is in a new segmentation.").format(reason=reason)
                )
            unique = slicer.mrmlScene.GenerateUniqueName(name)
            made = yield from mrml.segmentation_node_steps(
                segmentation, referenceNode, name=unique, surfaces=surfaces
            )
            return made, drawn, (), said
        names = drawn if replaceEdited else None
        put = yield from mrml.update_steps(node, segmentation, names)
        return node, put, tuple(each for each in drawn if each not in put), said

    def referenceOf(self, node):
        """The volume node on which a segmentation was made, or None if it is gone."""
        if node is None:
            return None
        from MRISynthSegmentLib.placed.mrml import reference_node_of

        return reference_node_of(node)

    def openInSegmentEditor(self, node) -> None:
        """Open Slicer's Segment Editor on a segmentation and its reference image."""
        slicer.util.selectModule("SegmentEditor")
        editor = slicer.util.getModuleWidget("SegmentEditor").editor
        editor.setSegmentationNode(node)
        reference = self.referenceOf(node)
        if reference is not None:
            editor.setSourceVolumeNode(reference)


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
        from MRISynthSegmentLib.shown import mrml as shown

        voxels, matrix = np.ones((8, 20, 16), np.float32), np.diag((1.0, 1.0, 2.0, 1.0))
        reference = Volume(voxels, matrix, name="T1w")
        mask = np.zeros(reference.shape, bool)
        mask[2:6, 5:15, 4:12] = True
        result = TaskResult([("Brainstem", reference.with_voxels(mask, name="Brainstem"))])
        logic = MRISynthSegmentLogic()
        image = mrml.node_from_volume(reference)
        node, drawn, kept, said = logic.addResult(result, reference, image)
        self.assertEqual((drawn, kept, said), (("Brainstem",), (), []))
        shown.set_look(node, fill=0.25, outlines=False, in_3d=False)
        self.assertEqual(node.GetDisplayNode().GetOpacity2DFill(), 0.25)
        (row,) = shown.SegmentTable().rows(node)
        self.assertEqual((row.name, row.label), ("Brainstem", "Brainstem"))
        self.assertAlmostEqual(row.millilitres, 4 * 10 * 8 * 2 / 1000)

    def test_ChoicesAreSaved(self):
        """What the user ticked is in the parameter node."""
        parameters = MRISynthSegmentLogic().getParameterNode()
        parameters.structures = ["GTVp"]
        parameters.fillOpacity = 0.7
        again = MRISynthSegmentLogic().getParameterNode()
        self.assertEqual((list(again.structures), again.fillOpacity), (["GTVp"], 0.7))
