"""Clicks in the slice views correct a structure, one after the other, with a way back."""

from __future__ import annotations

from typing import NamedTuple

import qt
import slicer
from slicer.i18n import tr as _

from MRISynthLib.errors import MRISynthError
from MRISynthSegmentLib import panel as decisions
from MRISynthWidgets.section import Section

from .section_work import SectionWork


class _Waiting(NamedTuple):
    """A click that was not computed yet, and what was chosen when it was set."""

    structure: str
    click: object
    exclusive: bool


class CorrectionSection(Section):
    """Section "Click to correct"."""

    uiName = "MRISynthSegmentCorrection"
    placeName = "sectionsPlace"

    def connectWidgets(self) -> None:
        """See :class:`Section`."""
        self._session = None
        self._adds: bool | None = None
        self._queue: list[_Waiting] = []
        self._names: tuple[str, ...] = ()
        self._observed: list = []
        self.work = SectionWork(
            self,
            self.ui.correctionProgressBar,
            self.ui.correctionCancelButton,
            self.ui.correctionLabel,
            self._dropAll,
        )
        # A point is looked at when Slicer is done with the mouse event that set it.
        self._pointTimer = qt.QTimer()
        self._pointTimer.setSingleShot(True)
        self._pointTimer.setInterval(0)
        self._pointTimer.connect("timeout()", self._takePoints)
        self.ui.correctedComboBox.connect("currentIndexChanged(int)", self.onStructureChosen)
        self.ui.addButton.connect("clicked(bool)", lambda on: self.onClickButton(True, on))
        self.ui.removeButton.connect("clicked(bool)", lambda on: self.onClickButton(False, on))
        self.ui.undoButton.connect("clicked(bool)", lambda: self.onStep(back=True))
        self.ui.redoButton.connect("clicked(bool)", lambda: self.onStep(back=False))

    # --------------------------------------------------------------------------- display

    def refresh(self, parameters) -> None:
        """Show what can be corrected, and whether a click does it now."""
        node = parameters.segmentation
        if self._session is not None and self._session.node is not node:
            self._leave()
        model = self.logic.model(parameters.model)
        names = decisions.correctable(self._present(node), model)
        reason = decisions.why_no_clicks(
            node is not None, model, self.panel.used, running=self.panel.busy
        )
        self._showNames(names, parameters.correctedStructure)
        if reason and self._adds is not None:
            self.stop()
        placing = self._placing()
        if not placing:
            self._adds = None
        for button, adds, tip in (
            (self.ui.addButton, True, _("where the structure is missing")),
            (self.ui.removeButton, False, _("where the structure reaches too far")),
        ):
            button.enabled = not reason
            button.setChecked(placing and self._adds == adds)
            button.toolTip = reason or _(
                "Press, then click in a slice view {where}. Press again to stop."
            ).format(where=tip)
        history = self._session.history if self._session is not None else None
        idle = not (self.work.running or self._queue or self.panel.portions.running)
        self.ui.undoButton.enabled = history is not None and history.can_undo and idle
        self.ui.redoButton.enabled = history is not None and history.can_redo and idle

    @staticmethod
    def _present(node) -> list[str]:
        if node is None:
            return []
        content = node.GetSegmentation()
        return [content.GetSegment(key).GetName() for key in content.GetSegmentIDs()]

    def _showNames(self, names, chosen: str) -> None:
        combo = self.ui.correctedComboBox
        blocked = combo.blockSignals(True)
        if names != self._names:
            self._names = names
            combo.clear()
            for name in names:
                combo.addItem(decisions.label_of(name))
        index = names.index(chosen) if chosen in names else (0 if names else -1)
        if combo.currentIndex != index:
            combo.setCurrentIndex(index)
        combo.blockSignals(blocked)

    @property
    def structure(self) -> str:
        """The structure that clicks correct; empty if there is none."""
        index = self.ui.correctedComboBox.currentIndex
        return self._names[index] if 0 <= index < len(self._names) else ""

    def onStructureChosen(self, index: int) -> None:
        """The user chose another structure."""
        if 0 <= index < len(self._names):
            self.logic.getParameterNode().correctedStructure = self._names[index]
        if self._session is not None:
            self._session.points.show_only(self.structure)

    # ---------------------------------------------------------------------------- clicks

    def onClickButton(self, adds: bool, on: bool) -> None:
        """From now on clicks add or remove; or they do neither."""
        if not on:
            self.stop()
            return
        with self.panel.showingErrors():
            self._adds = None
            self._begin()
            self._adds = adds
        self.panel.scheduleRefresh()

    def _begin(self) -> None:
        from MRISynthSegmentLib.clicked.mrml import start_placing
        from MRISynthSegmentLib.clicked.session import CorrectionSession, check_reference
        from MRISynthSegmentLib.shown.mrml import grid_of

        parameters = self.logic.getParameterNode()
        node = parameters.segmentation
        if self._session is None:
            reference = grid_of(node)
            check_reference(reference, next(iter(self._inputs(node)), None))
            self._session = CorrectionSession(node, reference)
        points = self._session.points
        markups = points.made()
        self._observe(markups, markups.PointPositionDefinedEvent, self._onPoint)
        interaction = slicer.app.applicationLogic().GetInteractionNode()
        self._observe(interaction, interaction.InteractionModeChangedEvent, self._onMode)
        points.pass_over()
        points.show_only(self.structure)
        start_placing(points)

    def _inputs(self, node) -> list:
        """The ticked images, first the one on which the segmentation was drawn."""
        from MRISynthSegmentLib.shown.mrml import reference_node_of

        reference = reference_node_of(node)
        key = reference.GetID() if reference is not None else ""
        used = sorted(self.panel.used, key=lambda row: row.key != key)
        return self.logic.inputs.volumes(used)

    def _observe(self, node, event, function) -> None:
        if (node, event, function) not in self._observed:
            self._observed.append((node, event, function))
            self.panel.addObserver(node, event, function)

    def _onPoint(self, caller, event) -> None:
        self._pointTimer.start()

    def _onMode(self, caller, event) -> None:
        self.panel.scheduleRefresh()  # a right click ends it, or another tool was chosen

    def _takePoints(self) -> None:
        if self._session is None or self._adds is None:
            return
        structure = self.structure
        exclusive = self.logic.getParameterNode().correctExclusive
        for click in self._session.points.take_new(structure, self._adds):
            self._queue.append(_Waiting(structure, click, exclusive))
        self._next()

    def _next(self) -> None:
        """Compute the first click that waits."""
        if self.work.running or not self._queue:
            return
        session, waiting = self._session, self._queue[0]
        try:
            self._submit(session, waiting)
        except MRISynthError as error:
            self.work.say(str(error), problem=True)
            self._dropAll()

    def _submit(self, session, waiting: _Waiting) -> None:
        from MRISynthSegmentLib.clicked.session import check_reference

        parameters = self.logic.getParameterNode()
        inputs = self._inputs(session.node)
        check_reference(session.reference, next(iter(inputs), None))
        before = session.request_volume(waiting.structure)
        later = sum(each.structure == waiting.structure for each in self._queue) - 1
        clicks = session.points.clicks(waiting.structure)
        request = decisions.refinement_parameters(
            waiting.structure,
            clicks[: len(clicks) - later],
            model=self.panel.inputOptions()["bundle"],
            device=parameters.device,
            register=parameters.registerInputs,
        )
        words = decisions.inputs_in_words(self.panel.used)
        self.work.start(
            decisions.REFINEMENT_TASK,
            request,
            [*inputs, before],
            lambda result: self._applied(session, waiting, before, result, words),
        )

    def _applied(self, session, waiting: _Waiting, before, result, words: str) -> None:
        if session is not self._session or not self._queue:
            return
        self._queue.pop(0)
        after = result[waiting.structure].voxels > 0
        grown = session.apply(
            waiting.structure,
            waiting.click,
            before.voxels > 0,
            after,
            exclusive=waiting.exclusive,
            drawn_on=words,
        )
        self.work.say(decisions.correction_sentence(waiting.structure, grown))
        self._next()

    def _dropAll(self) -> None:
        """Clicks that were not computed leave no point behind."""
        queue, self._queue = self._queue, []
        for waiting in reversed(queue):
            if self._session is not None:
                self._session.points.remove_last(waiting.structure)

    def onStep(self, *, back: bool) -> None:
        """Take the last click back, or bring it again."""
        with self.panel.showingErrors():
            structure = self._session.undo() if back else self._session.redo()
            words = _("Taken back: the last click on {name}.") if back else _("{name}: done again.")
            self.work.say(words.format(name=decisions.label_of(structure)))
        self.panel.scheduleRefresh()

    def drawnAnew(self, node, names) -> None:
        """A model has drawn some structures again: clicks on them are gone."""
        from MRISynthSegmentLib.clicked.mrml import ClickPoints

        if self._session is not None and self._session.node is node:
            self._session.drawn_anew(names)
        else:
            ClickPoints(node).forget(names)

    # -------------------------------------------------------------------------- the end

    def _placing(self) -> bool:
        if self._session is None:
            return False
        from MRISynthSegmentLib.clicked.mrml import is_placing

        return is_placing(self._session.points)

    def stop(self) -> None:
        """Clicks do again what they did."""
        self._stopPlacing()
        self.panel.scheduleRefresh()

    def _stopPlacing(self) -> None:
        self._adds = None
        if self._session is not None:
            from MRISynthSegmentLib.clicked.mrml import stop_placing

            stop_placing(self._session.points)

    def _leave(self) -> None:
        """Let go of the segmentation."""
        for entry in self._observed:
            self.panel.removeObserver(*entry)
        self.work.abandon()
        self._dropAll()
        if self._session.node.GetScene() is not None:  # else it was deleted, its points too
            self._stopPlacing()
        self._observed, self._session, self._adds = [], None, None

    def onSceneClosing(self) -> None:
        """See :class:`Section`."""
        if self._session is not None:
            self._leave()
        self._pointTimer.stop()

    def cleanup(self) -> None:
        """See :class:`Section`."""
        self.onSceneClosing()
        self.work.abandon()
