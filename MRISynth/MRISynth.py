"""Slicer module MRISynth: makes the MR sequences that a patient lacks.

What is computed lies in MRISynthLib and runs in a process of its own; what the panel decides
lies in MRISynthLib.panel. Here is what only Slicer can say.
"""

import os
from typing import Annotated

import slicer
from slicer import vtkMRMLScalarVolumeNode, vtkMRMLSegmentationNode
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.parameterNodeWrapper import Choice, WithinRange, parameterNodeWrapper
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
)

from MRISynthLib import panel
from MRISynthLib.review import modes
from MRISynthWidgets.panel_widget import PanelWidget
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
        # The module Sample Data is there only when all modules are.
        slicer.app.connect("startupCompleted()", prepareSlicer)


def prepareSlicer() -> None:
    """What scenes need before a panel is opened: our layouts, the mark SYNTHETIC in views, and that
    those which were saved in the middle of something are put right; and the sample case in
    Slicer's module Sample Data."""
    from MRISynthLib import mrml
    from MRISynthWidgets.sample_case import register_sample_case
    from MRISynthWidgets.saved_scenes import put_right_when_loaded
    from MRISynthWidgets.synthetic_marks import mark_views

    mrml.register_layouts()
    mark_views()
    put_right_when_loaded()
    register_sample_case(os.path.join(os.path.dirname(__file__), "Resources/Icons"))


@parameterNodeWrapper
class MRISynthParameterNode:
    """What is saved with the scene; the choices for each volume are attributes of its node.

    targets - the sequences that are ticked; they count once the user touched the list.
    targetsTouched - whether the user did.
    prompt, ownPrompts - the wanted contrast in words: of all targets, and of one by its sequence.
    livePreview - whether the slice in view is made while the words are edited.
    model - name of the model, empty for the first that is installed.
    device, seed, registerInputs, matching, normalisation, addUncertainty - how it is computed.
    lastRun - the attribute that the volumes of the last run have.
    realVolume, syntheticVolume - what is looked at in the review.
    reviewPaired - the synthetic volume for which the real one was chosen by itself.
    review... - how the pair is shown and compared.
    study... - where a reader study's images and its file are, and what it asks.
    """

    targets: list[str]
    targetsTouched: bool = False
    prompt: str = ""
    ownPrompts: dict[str, str]
    livePreview: bool = True
    model: str = ""
    device: str = "auto"
    seed: Annotated[int, WithinRange(0, 2**31 - 1)] = 0
    registerInputs: bool = True
    matching: Annotated[str, Choice(list(panel.MATCHING))] = "measured"
    normalisation: Annotated[str, Choice(list(panel.NORMALISATION))] = "robust"
    addUncertainty: bool = True
    lastRun: str = ""
    realVolume: vtkMRMLScalarVolumeNode
    syntheticVolume: vtkMRMLScalarVolumeNode
    reviewPaired: str = ""
    reviewOpacity: Annotated[float, WithinRange(0, 1)] = 0.5
    reviewFlickerRate: Annotated[float, WithinRange(*modes.FLICKER_RATES)] = 1.0
    reviewTileMm: Annotated[float, WithinRange(4, 80)] = 24
    reviewOrientation: Annotated[str, Choice(list(modes.ORIENTATIONS))] = "Axial"
    reviewCrosshair: bool = True
    reviewProfile: bool = False
    reviewSegmentation: vtkMRMLSegmentationNode
    reviewAlign: bool = False
    studyFolder: str = ""
    studyFile: str = ""
    studyReader: str = ""
    studyCount: Annotated[int, WithinRange(1, 500)] = 20
    studySeed: Annotated[int, WithinRange(0, 999999)] = 1


class MRISynthWidget(PanelWidget):
    """The panel; ``targetRows`` is what can be made of the inputs."""

    def makeLogic(self):
        """See :class:`PanelWidget`."""
        return MRISynthLogic()

    def makeSections(self):
        """See :class:`PanelWidget`; imported here, so that Slicer starts faster."""
        from MRISynthWidgets.options_section import OptionsSection
        from MRISynthWidgets.reader_study_section import ReaderStudySection
        from MRISynthWidgets.review_section import ReviewSection
        from MRISynthWidgets.targets_section import TargetsSection

        self.targets, self.options = TargetsSection(self), OptionsSection(self)
        self.review, self.study = ReviewSection(self), ReaderStudySection(self)
        return (self.targets, self.options, self.review, self.study)

    def connectWidgets(self) -> None:
        """See :class:`PanelWidget`."""
        from MRISynthWidgets.live_preview import LivePreview
        from MRISynthWidgets.unfinished import GrowingImages, OneSlice

        self.targetRows = ()
        self.growing, self.slice = GrowingImages(), OneSlice()
        self.preview = LivePreview(
            self.background,
            self.slice,
            self.previewRequest,
            lambda text: self.targets.sayPreview(text),  # the section comes after this
        )
        self.ui.loadDicomButton.connect("clicked(bool)", self.onLoadDicomButton)
        self.ui.loadFilesButton.connect("clicked(bool)", self.onLoadFilesButton)
        self.ui.loadSampleButton.connect("clicked(bool)", self.onLoadSampleButton)
        self.ui.continueButton.connect("clicked(bool)", self.onContinueButton)

    def cleanup(self) -> None:
        """See :class:`PanelWidget`."""
        self.preview.stop()
        PanelWidget.cleanup(self)

    def enter(self) -> None:
        """See :class:`PanelWidget`."""
        self.logic.forgetModels()  # the user may have imported one meanwhile
        self.growing.cover()
        PanelWidget.enter(self)

    def exit(self) -> None:
        """See :class:`PanelWidget`; who works in another module must see the images themselves."""
        self.preview.stop()
        self.growing.uncover()
        PanelWidget.exit(self)

    def onSceneStartClose(self, caller, event) -> None:
        """See :class:`PanelWidget`."""
        self.preview.stop()
        PanelWidget.onSceneStartClose(self, caller, event)

    @property
    def tickedTargets(self) -> tuple:
        """Canonical names of what is going to be made, as far as it is ticked."""
        return tuple(row.sequence for row in self.targetRows if row.ticked)

    # --------------------------------------------------------------------------- showing

    @property
    def mayArrange(self) -> bool:
        """Whether the views may be laid out anew: not under the eyes of a blinded reader, nor
        while the user works in another module."""
        return self.parent.isEntered and not self.study.asking

    def refresh(self) -> None:
        """Show volumes and checks, and whether Apply can be pressed; find out what is wanted."""
        parameters, model = self._parameterNode, self.logic.model()
        rows = self.logic.inputs.rows()
        self.used = panel.selected(rows, model)
        found = self.showInputs(rows, model)
        ticked = list(parameters.targets) if parameters.targetsTouched else None
        self.targetRows = panel.target_rows(rows, self.used, ticked, model)
        understanding = panel.understand_targets(
            self.tickedTargets, parameters.prompt, self.used, model, dict(parameters.ownPrompts)
        )
        self.targets.understanding = understanding
        running = self.busy
        self.setApplyState(
            panel.why_disabled(rows, self.used, understanding, model, running=running, found=found),
            _("Make the ticked targets, with the slices and pixels of {image}."),
        )
        if not running and (self.ui.inputHintLabel.text or understanding.problem):
            self.sayProgress("")  # it is said where it is to be mended
        self.showNext()

    def showNext(self) -> None:
        """Enable what can be done after a run, and not during it."""
        self.ui.continueButton.enabled = bool(self.used) and not self.busy
        # the worker would make it after the run, and nothing could be cancelled until then
        self.ui.loadSampleButton.enabled = not self.busy

    def onLoadDicomButton(self) -> None:
        """Let Slicer's DICOM module load a study."""
        slicer.util.selectModule("DICOM")

    def onLoadFilesButton(self) -> None:
        """Let Slicer load image files."""
        slicer.util.openAddVolumeDialog()

    def onLoadSampleButton(self) -> None:
        """Make and load the simulated patient."""
        from MRISynthWidgets.sample_case import load_sample_case

        load_sample_case()

    # ------------------------------------------------------------------------------ work

    def inputOptions(self) -> dict:
        """See :class:`PanelWidget`."""
        parameters, model = self.choices, self.logic.model()
        return {
            "bundle": model.name if model else None,
            "device": parameters.device,
            "register": parameters.registerInputs,
            "normalisation": parameters.normalisation,
        }

    def request(self, understanding, visibleSlice: int) -> dict:
        """The worker's parameters for these targets, that slice first."""
        parameters, options = self.choices, self.inputOptions()
        return panel.synthesis_parameters(
            understanding,
            model=options["bundle"],
            device=options["device"],
            seed=parameters.seed,
            register=options["register"],
            match=panel.MATCHING[parameters.matching][1],
            normalisation=options["normalisation"],
            visible_slice=visibleSlice,
        )

    def startWork(self) -> None:
        """See :class:`PanelWidget`."""
        parameters, used = self.choices, self.used
        volumes = self.logic.inputs.volumes(used)
        reference = slicer.mrmlScene.GetNodeByID(used[0].key)
        self.preview.stop()
        self.pauseChecks()
        self.targets.remember()
        self._addUncertainty = parameters.addUncertainty
        self._referenceID = reference.GetID()
        self._sourceIDs = [row.key for row in used]
        self._grid = volumes[0]
        self.growing.start(volumes[0])
        visible = self.logic.slicePlace(reference).index
        request = self.request(self.targets.understanding, visible)
        self.run.start(parameters.device, panel.SYNTHESIS_TASK, request, volumes)

    def onWordsEdited(self) -> None:
        """The user changed what is to be made: show how it would look."""
        if self._parameterNode.livePreview and not self.busy:
            self.preview.edited()

    def previewRequest(self) -> tuple:
        """See :class:`LivePreview`: one slice of one target."""
        parameters, understanding = self._parameterNode, self.targets.understanding
        if parameters is None or self.busy or not parameters.livePreview:
            return None, ""
        if not understanding.targets or not self.used or self.checks.problem:
            return None, ""  # what is wrong is said elsewhere
        inputs = self.used, self.inputOptions()
        if not self.checks.prepared(*inputs):
            return None, self.whyNotPrepared(*inputs)
        reference = slicer.mrmlScene.GetNodeByID(self.used[0].key)
        if reference is None:
            return None, ""
        wanted = dict(understanding.targets)
        name = self.targets.lastEdited
        name = name if name in wanted else next(iter(wanted))
        place = self.logic.slicePlace(reference)
        if place.problem:
            return None, place.problem
        one = panel.Understanding(targets=((name, wanted[name]),))
        volumes = self.logic.inputs.volumes(self.used)
        state = self.checks.state(*inputs)
        question = parameters.device, self.request(one, place.index), volumes, state
        return question, lambda info: place.shown(name, info)

    def whyNotPrepared(self, used, options) -> str:
        """Why there is no preview of inputs that the worker has not prepared."""
        if not self.checks.ready:
            return panel.NOT_INSTALLED
        return panel.NOT_CHECKED if self.checks.gave_up(used, options) else panel.NOT_PREPARED

    def showSlice(self, ready) -> None:
        """Show the slices that are there, the visible one first."""
        self.growing.add(ready)

    def discardPreview(self) -> None:
        """See :class:`PanelWidget`."""
        self.growing.discard()

    def showResult(self, result) -> None:
        """Put the synthetic volumes into the scene."""
        import uuid

        run = uuid.uuid4().hex
        grid, self._grid = self._grid, None
        moved = self.logic.movedReference(grid, self._referenceID)
        steps = self.logic.addResultSteps(
            result, uncertainty=self._addUncertainty, run=run, sources=self._sourceIDs, moved=moved
        )
        text = _("{name} was moved during the run; what was made of it went with it.")
        said = [text.format(name=moved.GetName())] if moved is not None else []
        self.putIntoScene(steps, lambda nodes: self.showAdded(result, nodes, run, said))

    def showAdded(self, result, nodes, run, said=()) -> None:
        """The result is in the scene: show its first beside the real one, or the reference."""
        parameters = self.choices
        reference = slicer.mrmlScene.GetNodeByID(self._referenceID)
        parameters.lastRun = run
        if nodes and self.mayArrange:
            self.review.showPair(reference, nodes[0])
        elif nodes:
            self.review.choosePair(reference, nodes[0])
        self.showOutcome(result.info, *said, warning=bool(said))

    def onContinueButton(self) -> None:
        """Go on in MRISynthSegment with the inputs and what was made of them ticked."""
        with self.showingErrors():
            self.logic.handOver(self.used, self._parameterNode.lastRun)
            slicer.util.selectModule("MRISynthSegment")


class MRISynthLogic(ScriptedLoadableModuleLogic):
    """The module without its panel."""

    def __init__(self) -> None:
        ScriptedLoadableModuleLogic.__init__(self)
        self.inputs = SceneInputs("MRISynth")
        self._models = None

    def getParameterNode(self):
        """The scene's parameter node, with typed access."""
        return MRISynthParameterNode(super().getParameterNode())

    def models(self) -> list:
        """The installed models; looked for once, as they only change by :meth:`forgetModels`."""
        if self._models is None:
            from MRISynthLib.bundles import find_bundles

            self._models = list(find_bundles("synthesis"))
        return self._models

    def forgetModels(self) -> None:
        """A model came or went."""
        self._models = None

    def model(self):
        """The model to use, or None if none is installed."""
        return panel.chosen_model(self.models(), self.getParameterNode().model)

    def slicePlace(self, node):
        """Where the view that looks along the volume's slices cuts it."""
        from MRISynthLib import mrml
        from MRISynthWidgets.unfinished import place_in_view

        return place_in_view(mrml.volume_from_node(node))

    def movedReference(self, grid, key: str):
        """The node of the reference if it lies elsewhere than ``grid``, as which it was handed to
        the worker, with the same voxels; else None."""
        from MRISynthLib import mrml
        from MRISynthLib.errors import InputError

        node = slicer.mrmlScene.GetNodeByID(key)
        try:
            now = mrml.volume_from_node(node)
        except InputError:  # it is gone or was bent
            return None
        return node if now.shape == grid.shape and not now.same_geometry(grid) else None

    def addResult(self, result, **options) -> list:
        """:meth:`addResultSteps` at one go."""
        from MRISynthLib.progress import finished

        return finished(self.addResultSteps(result, **options))

    def addResultSteps(
        self, result, *, uncertainty: bool = True, run: str = "", sources=(), moved=None
    ):
        """Add the volumes of a worker's result to the scene one by one, all or none; the value
        are the images' nodes. ``sources`` are the IDs of the inputs that they were made from,
        ``moved`` is the node of the reference if it lies elsewhere by now."""
        from MRISynthLib import mrml
        from MRISynthLib.node_attributes import RUN_ATTRIBUTE, set_sources, sources_of

        images, added = [], []
        try:
            for _name, volume in result.volumes:
                is_image = volume.provenance is not None and volume.provenance.kind == "image"
                if not is_image and not uncertainty:
                    continue
                added.append(mrml.node_from_volume(volume, name=mrml.name_with_prompt(volume)))
                if moved is not None:
                    mrml.place_like(added[-1], moved)
                added[-1].SetAttribute(RUN_ATTRIBUTE, run)
                set_sources(added[-1], sources)
                for source in sources_of(added[-1])[:1]:  # whose it is, also when that is gone
                    mrml.put_beside(added[-1], source)
                if is_image:
                    images.append(added[-1])
                yield
        except BaseException:
            for node in added:
                slicer.mrmlScene.RemoveNode(node)
            raise
        return [node for node in images if node.GetScene() is not None]  # not deleted meanwhile

    def handOver(self, used, run: str) -> None:
        """Tick for MRISynthSegment the inputs and what a run made of them, and nothing that the
        user did not want beside them."""
        from MRISynthLib.node_attributes import RUN_ATTRIBUTE

        inputs = SceneInputs("MRISynthSegment")
        rows = inputs.rows()
        nodes = {row.key: slicer.mrmlScene.GetNodeByID(row.key) for row in rows}
        made = [key for key, node in nodes.items() if node.GetAttribute(RUN_ATTRIBUTE) == run]
        unwanted = [row.key for row in self.inputs.rows() if row.ticked is False]
        chosen, freed, left = panel.handed_over(rows, used, made if run else (), unwanted)
        for key, sequence in chosen.items():
            inputs.set_ticked(key, True)
            inputs.set_chosen(key, sequence)
        for key in freed:
            inputs.set_ticked(key, None)
        for key in left:
            inputs.set_ticked(key, False)


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
