"""What the widgets of both modules have in common.

A module's widget says what its .ui file shows (:meth:`PanelWidget.refresh`), what Apply asks
of the worker (:meth:`PanelWidget.startWork`) and what becomes of the result
(:meth:`PanelWidget.showResult`); parameter node, scene events, progress, cancelling and error
display are here.
"""

from __future__ import annotations

import logging
from abc import ABCMeta, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

import qt
import slicer
import vtk
from slicer.i18n import tr as _
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleWidget
from slicer.util import VTKObservationMixin

from MRISynthLib import packages
from MRISynthLib.errors import Cancelled, InputError, MRISynthError
from MRISynthLib.panel import (
    STUDY_TASK,
    ProgressText,
    input_problem,
    missing_model,
    remarks_in_words,
    result_sentences,
    serious_problem,
    two_studies,
)

from .background import Background
from .input_table import InputTable
from .installer import SlicerInstaller
from .node_watch import NodeWatch
from .portions import Portions
from .study_checks import StudyChecks
from .synthetic_marks import mark_views
from .worker_run import WorkerRun

if TYPE_CHECKING:
    from MRISynthLib.panel import InputRow, Model

    from .section import Section

# Dark on light by themselves, so that they are read in Slicer's dark style as well.
ERROR_STYLE = "color: #8b1a1a; background: #fdecea; padding: 4px; border-radius: 3px;"
WARNING_STYLE = "color: #5f4300; background: #fff3cf; padding: 4px; border-radius: 3px;"


class PanelWidget(ScriptedLoadableModuleWidget, VTKObservationMixin, metaclass=ABCMeta):
    """Base of both widgets; a module's must say all that is abstract here.

    The base classes are plain Python in every Slicer (the Qt widget is their ``parent``), so that
    no metaclass of Qt's is in the way.

    The .ui file of a module has ``inputTable``, ``inputHintLabel``, ``remarksLabel``,
    ``applyButton``, ``cancelButton``, ``progressBar``, ``progressLabel``, ``messageLabel``.

    Attributes
    ----------
    used: the volumes that are inputs, as rows of the table.
    background, checks: who asks the worker unasked, and what it found of the volumes.
    """

    studyTask: ClassVar[str] = STUDY_TASK
    """The worker's name for checking the inputs together and preparing them for the model."""

    def __init__(self, parent=None) -> None:
        """Called when the user opens the module for the first time."""
        self.logic = None
        self._parameterNode = None
        self._guiTags: list[int] = []
        self._starting = False
        self._failed = False
        self.used: tuple[InputRow, ...] = ()
        self.sections: tuple[Section, ...] = ()
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)

    # ------------------------------------------------------------------ for the modules

    @abstractmethod
    def makeLogic(self):
        """The module's logic, with ``inputs`` and ``getParameterNode``."""

    @abstractmethod
    def inputOptions(self) -> dict:
        """What the worker is told of how the inputs are used, with the device."""

    @abstractmethod
    def connectWidgets(self) -> None:
        """Connect the module's own widgets."""

    @abstractmethod
    def refresh(self) -> None:
        """Show the state of scene and parameter node; called after every change."""

    @abstractmethod
    def startWork(self) -> None:
        """Hand the request to ``self.run``."""

    @abstractmethod
    def showResult(self, result) -> None:
        """Put a ``TaskResult`` into the scene and show it."""

    def makeSections(self) -> Sequence[Section]:
        """The sections of the panel, in their order."""
        return ()

    def showSlice(self, ready) -> None:
        """Show a finished slice while the rest is computed."""

    def waitingText(self) -> str:
        """What is said until the first progress is reported."""
        if self.checks.studying:
            return _("Checking and aligning the inputs ...")
        return _("Starting the inference process ...")

    def discardPreview(self) -> None:
        """Remove what :meth:`showSlice` added."""

    # ------------------------------------------------------------------------ life cycle

    def setup(self) -> None:
        """Build the panel from the .ui file."""
        ScriptedLoadableModuleWidget.setup(self)
        uiWidget = slicer.util.loadUI(self.resourcePath(f"UI/{self.moduleName}.ui"))
        self.layout.addWidget(uiWidget)
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        uiWidget.setMRMLScene(slicer.mrmlScene)
        self.logic = self.makeLogic()
        self._progressText = ProgressText()

        # Scene events come in bursts, and a table must not be rebuilt within its own signal.
        self._refreshTimer = qt.QTimer()
        self._refreshTimer.setSingleShot(True)
        self._refreshTimer.setInterval(0)
        self._refreshTimer.connect("timeout()", self._refreshNow)
        self._images = NodeWatch(self.scheduleRefresh)

        self.run = WorkerRun(
            self._onProgress, self.showSlice, self._onDone, self._onCancelled, self._onFailed
        )
        self.portions = Portions()
        self.background = Background()
        self.checks = StudyChecks(
            self.logic.inputs, self.background, self.scheduleRefresh, self.studyTask
        )
        self.inputTable = InputTable(
            self.ui.inputTable, self.logic.inputs.sequences, self._onTick, self._onChoose
        )
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(scene, scene.EndCloseEvent, self.onSceneEndClose)
        self.addObserver(scene, scene.EndImportEvent, self.onSceneEndImport)
        for event in (scene.NodeAddedEvent, scene.NodeRemovedEvent):
            self.addObserver(scene, event, self._onSceneChanged)
        self.ui.applyButton.connect("clicked(bool)", self.onApplyButton)
        self.ui.cancelButton.connect("clicked(bool)", self.onCancelButton)
        self.connectWidgets()
        self._addSections()
        mark_views()
        self.showMessage("")
        self.showIdle()
        self.initializeParameterNode()

    def _addSections(self) -> None:
        self.sections = tuple(self.makeSections())
        for section in self.sections:
            place = getattr(self.ui, section.placeName).layout() if section.placeName else None
            (place or self.layout).addWidget(section.widget)
            section.connectWidgets()
        if self.sections:
            self.layout.addStretch(1)

    def cleanup(self) -> None:
        """Called when the application closes and the module widget is destroyed."""
        for section in self.sections:
            section.cleanup()
        self.background.drop()
        self.portions.stop()
        self.run.abandon()
        self.discardPreview()
        self.setParameterNode(None)  # after a reload the old widgets are hidden, not gone
        self.removeObservers()
        self._refreshTimer.stop()  # last, as what is taken out of the scene starts it

    def enter(self) -> None:
        """Called each time the user opens this module."""
        self.initializeParameterNode()

    def exit(self) -> None:
        """Called each time the user opens a different module; a running job goes on."""
        for section in self.sections:
            section.onPanelLeft()
        self.setParameterNode(None)

    def onSceneStartClose(self, caller, event) -> None:
        """Called just before the scene is closed: the result would have no home."""
        self.checks.stop()
        self.portions.stop()
        self.run.abandon()
        self.discardPreview()
        for section in self.sections:
            section.onSceneClosing()
        self.showIdle()
        self.setParameterNode(None)

    def onSceneEndClose(self, caller, event) -> None:
        """Called just after the scene is closed."""
        self.showMessage("")
        if self.parent.isEntered:
            self.initializeParameterNode()

    def onSceneEndImport(self, caller, event) -> None:
        """Called just after a scene was loaded: only now the nodes are there to which its
        choices refer."""
        if self.parent.isEntered:
            self.initializeParameterNode()

    def initializeParameterNode(self) -> None:
        """Make sure that the parameter node exists and is observed."""
        self.setParameterNode(self.logic.getParameterNode())
        self.scheduleRefresh()

    def setParameterNode(self, inputParameterNode) -> None:
        """Bind the widgets of all .ui files to a parameter node, or to none."""
        if self._parameterNode:
            for tag in self._guiTags:
                self._parameterNode.disconnectGui(tag)
            self._guiTags = []
            self.removeObserver(
                self._parameterNode, vtk.vtkCommand.ModifiedEvent, self._onParametersChanged
            )
            self._images.release()
        self._parameterNode = inputParameterNode
        if self._parameterNode:
            for ui in (self.ui, *(section.ui for section in self.sections)):
                self._guiTags.append(self._parameterNode.connectGui(ui))
            self.addObserver(
                self._parameterNode, vtk.vtkCommand.ModifiedEvent, self._onParametersChanged
            )

    @property
    def choices(self):
        """The parameter node, also while another module is open: a run may begin or end then."""
        return self._parameterNode or self.logic.getParameterNode()

    # --------------------------------------------------------------------------- changes

    def scheduleRefresh(self) -> None:
        """Refresh once, after the events at hand."""
        self._refreshTimer.start()

    def _refreshNow(self) -> None:
        if self._parameterNode is None:
            return
        with self.showingErrors():
            self.refresh()
        for section in self.sections:
            with self.showingErrors():
                section.refresh(self._parameterNode)
        keys = [row.key for row in self.logic.inputs.rows()]
        self._images.watch(map(slicer.mrmlScene.GetNodeByID, keys))

    def showInputs(self, rows: Sequence[InputRow], model: Model | None) -> str:
        """Show the volumes with what the checks found of them, and ask what is not known yet.

        Returns one sentence on why ``self.used`` cannot be computed with; empty if they can.
        """
        used = self.used
        if not self.busy:
            self.checks.update(rows, used, model, self.inputOptions())
        self.inputTable.show(rows, used, {row.key: self.checks.words(row) for row in rows})
        found = self.checks.problem or serious_problem(used, self.checks.findings)
        problem = input_problem(rows, used, model) or found
        hint, remarks = self.ui.inputHintLabel, self.ui.remarksLabel
        hint.text = problem
        hint.setStyleSheet(ERROR_STYLE if problem and rows else "")  # an empty scene is no error
        hint.setVisible(bool(problem))
        missing = missing_model(self.logic.models(), self._parameterNode.model)
        said = missing, two_studies(used), remarks_in_words(used, self.checks.findings)
        remarks.text = "\n".join(filter(None, said))
        remarks.setStyleSheet(WARNING_STYLE)
        remarks.setVisible(bool(remarks.text))
        return found

    def pauseChecks(self) -> None:
        """Apply was pressed: only what it needs is still worth asking."""
        self.checks.look_again()
        self.checks.pause(self.used, self.inputOptions())

    def _onSceneChanged(self, caller, event) -> None:
        self.scheduleRefresh()

    def _onParametersChanged(self, caller, event) -> None:
        self.scheduleRefresh()

    def _onTick(self, key: str, ticked: bool) -> None:
        self.logic.inputs.set_ticked(key, ticked)
        self.scheduleRefresh()

    def _onChoose(self, key: str, sequence: str | None) -> None:
        self.logic.inputs.set_chosen(key, sequence)
        self.scheduleRefresh()

    # ------------------------------------------------------------------------------ work

    def onApplyButton(self) -> None:
        """Install what is missing, then start the work."""
        if self._starting or self.busy:
            return  # while packages are installed, Slicer goes on taking clicks
        self._starting = True
        try:
            with self.showingErrors():
                packages.ensure(SlicerInstaller())
                self._refreshNow()  # meanwhile the user may have done anything
                if not self.ui.applyButton.enabled:
                    raise InputError(self.ui.applyButton.toolTip)
                self.showMessage("")
                self.startWork()
                self.showBusy()
        finally:
            self._starting = False

    @property
    def busy(self) -> bool:
        """Whether the worker works, or its result is being put into the scene."""
        return self.run.running or self.portions.running

    def putIntoScene(self, steps, whenDone) -> None:
        """Go through ``steps`` while the window answers, then call ``whenDone`` with their value;
        for :meth:`showResult`."""

        def done(value) -> None:
            self.showIdle()
            with self.showingErrors():
                whenDone(value)

        def failed(error: Exception) -> None:
            self.showIdle()
            with self.showingErrors():
                raise error

        self.portions.start(steps, done, failed)
        self.ui.cancelButton.enabled = True
        self.ui.progressBar.setVisible(True)
        self.ui.progressBar.setRange(0, 0)
        self.sayProgress(_("Putting the result into the scene ..."))
        self.scheduleRefresh()

    def onCancelButton(self) -> None:
        """Stop the work."""
        if self.portions.running:
            self.portions.stop()
            self._onCancelled(Cancelled())
            return
        self.ui.cancelButton.enabled = False
        self.sayProgress(_("Stopping ..."))
        self.run.cancel()

    def showBusy(self) -> None:
        """The panel while the worker works."""
        self.ui.cancelButton.enabled = True
        self.ui.progressBar.setVisible(True)
        self.ui.progressBar.setRange(0, 0)
        self.sayProgress(self.waitingText())
        self.scheduleRefresh()

    def showIdle(self) -> None:
        """The panel while nothing runs."""
        self.ui.cancelButton.enabled = False
        self.ui.progressBar.setRange(0, 100)
        self.ui.progressBar.setVisible(False)
        self.sayProgress("")
        self.scheduleRefresh()

    def setApplyState(self, reason: str, made: str) -> None:
        """Enable Apply, or say in its tooltip and below it why it is disabled.

        ``made`` says on which image's grid the result will lie, with its name as ``{image}``.
        """
        reason = packages.version_problem(SlicerInstaller().slicer_version()) or reason
        self.ui.applyButton.enabled = not reason
        self.ui.applyButton.toolTip = reason or made.format(image=self.used[0].name)
        if not self.busy:
            self.sayProgress(reason)

    def _onProgress(self, progress) -> None:
        percent, text = self._progressText.update(progress.stage, progress.done, progress.total)
        self.ui.progressBar.setRange(0, 100 if progress.total > 0 else 0)
        self.ui.progressBar.setValue(percent)
        self.sayProgress(text)

    def _onDone(self, result) -> None:
        self.discardPreview()
        self.showIdle()
        with self.showingErrors():
            self.showResult(result)

    def _onCancelled(self, error: Cancelled) -> None:
        self.discardPreview()
        self.showIdle()
        self.showMessage(_("Cancelled; nothing was added to the scene."))

    def _onFailed(self, error: MRISynthError) -> None:
        self.discardPreview()
        self.showIdle()
        self.showError(str(error))

    # -------------------------------------------------------------------------- messages

    def sayProgress(self, text: str) -> None:
        """Show how the work goes on, or why it cannot begin; nothing takes no room."""
        self.ui.progressLabel.text = text
        self.ui.progressLabel.setVisible(bool(text))

    def showMessage(self, text: str, *, problem: bool = False, warning: bool = False) -> None:
        """Show a text in the panel; none takes no room."""
        self._failed = problem
        self.ui.messageLabel.text = text
        self.ui.messageLabel.setVisible(bool(text))
        style = ERROR_STYLE if problem else WARNING_STYLE if warning else ""
        self.ui.messageLabel.setStyleSheet(style)

    def forgetError(self) -> None:
        """The user tries again: what failed before is not said any more, what came of a run is."""
        if self._failed:
            self.showMessage("")

    def showOutcome(self, info: Mapping[str, Any], *more: str, warning: bool = False) -> None:
        """Say what came of a run, coloured where there is a warning."""
        sentences = filter(None, (*result_sentences(info), *more))
        self.showMessage("\n".join(sentences), warning=warning or bool(info.get("warnings")))

    def showError(self, text: str) -> None:
        """Show one sentence in a box, and leave it in the panel."""
        self.showMessage(text, problem=True)
        slicer.util.errorDisplay(text, windowTitle=self.moduleName)

    @contextmanager
    def showingErrors(self):
        """Show an error as its one sentence; an unforeseen one with its details."""
        try:
            yield
        except Cancelled as error:
            self.showMessage(str(error))
        except MRISynthError as error:
            self.showError(str(error))
        except MemoryError:
            logging.exception("%s failed", self.moduleName)
            self.showError(
                _("The memory did not suffice; close volumes that you do not need and try again.")
            )
        except Exception:
            logging.exception("%s failed", self.moduleName)
            self.showMessage(_("Something failed; see the Python console."), problem=True)
            with slicer.util.tryWithErrorDisplay(_("Something failed unexpectedly.")):
                raise
