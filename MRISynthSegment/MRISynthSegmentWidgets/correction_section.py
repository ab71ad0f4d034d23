"""Clicks in the slice views correct a structure, one after the other, with a way back."""

from __future__ import annotations

from typing import NamedTuple

import qt
import slicer
from slicer.i18n import tr as _

from MRISynthLib.errors import MRISynthError
from MRISynthSegmentLib import panel as decisions
from MRISynthWidgets.node_watch import Observers
from MRISynthWidgets.section import Section

from .section_work import SectionWork


class _Waiting(NamedTuple):
    """A click that was not computed yet, and what was chosen when it was set.

    The segment is known by its id; if it ``begins``, it is not there yet.
    """

    structure: str
    segment: str
    begins: bool
    click: object
    exclusive: bool


class CorrectionSection(Section):
    """Section "Click to correct"."""

    uiName = "MRISynthSegmentCorrection"
    placeName = "sectionsPlace"

    def connectWidgets(self) -> None:
        """See :class:`Section`."""
        self._node = None
        self._session = None
        self._sessions: list = []
        self._placing = None
        self._adds: bool | None = None
        self._queue: list[_Waiting] = []
        self._names: tuple[str, ...] = ()
        self._chosen = ("", "")  # the structure that is shown as chosen, and its segment's id
        self._observers = Observers()
        self.work = SectionWork(
            self,
            self.ui.correctionProgressBar,
            self.ui.correctionCancelButton,
            self.ui.correctionLabel,
            lambda: self._drop(self._queue),
            may_end=lambda: not self.panel.portions.running,
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
        if node is not self._node:
            self._takeUp(node)
        self._discardDeleted()
        model = self.logic.model(parameters.model)
        present = self._present(node)
        self._followName(parameters, present)
        names = decisions.correctable(present.values(), model)
        reason = decisions.why_no_clicks(
            node is not None, model, self.panel.used, running=self.panel.busy
        )
        self._showNames(names, parameters.correctedStructure)
        self._showPoints(present)
        if self._session is not None:
            self._dropDeleted()
        placing = self._placing is not None and self._placing.active
        if reason or not placing:
            self._stopPlacing()
            placing = False
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
        idle = not (self.computing or self.panel.portions.running)
        self.ui.undoButton.enabled = history is not None and history.can_undo and idle
        self.ui.redoButton.enabled = history is not None and history.can_redo and idle

    @staticmethod
    def _present(node) -> dict[str, str]:
        """Segment id -> name."""
        if node is None:
            return {}
        content = node.GetSegmentation()
        return {key: content.GetSegment(key).GetName() for key in content.GetSegmentIDs()}

    def _followName(self, parameters, present: dict[str, str]) -> None:
        """A structure that the user renamed is still the chosen one."""
        name, segment = self._chosen
        now = present.get(segment, name)
        if parameters.correctedStructure == name != now:
            parameters.correctedStructure = now

    def _showPoints(self, present: dict[str, str]) -> None:
        """Show the crosses on the chosen structure, and no others."""
        name, segment = self.structure, self._chosen[1]
        if present.get(segment) != name:  # it stays if another one has the same name for a while
            segment = next((key for key in present if present[key] == name), name)
        if self._node is not None and self._chosen != (name, segment):
            self._pointsOf(self._node).show_only(segment)
        self._chosen = (name, segment)

    @staticmethod
    def _pointsOf(node):
        from MRISynthSegmentLib.clicked.mrml import ClickPoints

        return ClickPoints(node)

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
    def computing(self) -> bool:
        """Whether a click is about to change the segmentation."""
        return self.work.running or bool(self._queue)

    @property
    def structure(self) -> str:
        """The structure that clicks correct; empty if there is none."""
        index = self.ui.correctedComboBox.currentIndex
        return self._names[index] if 0 <= index < len(self._names) else ""

    def onStructureChosen(self, index: int) -> None:
        """The user chose another structure."""
        if 0 <= index < len(self._names):
            self.logic.getParameterNode().correctedStructure = self._names[index]

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
        from MRISynthSegmentLib.clicked.mrml import Placing
        from MRISynthSegmentLib.clicked.session import CorrectionSession, check_reference
        from MRISynthSegmentLib.placed.mrml import grid_of

        node = self.logic.getParameterNode().segmentation
        reference = grid_of(node)
        check_reference(reference, next(iter(self._inputs(node)), None))
        session = self._session
        if session is None or not session.in_place():
            if session is not None:  # moved, or another image was chosen as the source geometry
                self._dropAsLeft()
                self._sessions.remove(session)
            self._session = CorrectionSession(node, reference)
            self._sessions.append(self._session)
        points = self._session.points
        markups = points.made()
        self._observers.add(markups, markups.PointPositionDefinedEvent, self._onPoint)
        interaction = slicer.app.applicationLogic().GetInteractionNode()
        self._observers.add(interaction, interaction.InteractionModeChangedEvent, self._onMode)
        points.pass_over()
        if self._placing is None or not self._placing.active:
            self._stopPlacing()
            self._placing = Placing(points)

    def _inputs(self, node) -> list:
        """The ticked images, first the one on which the segmentation was drawn."""
        from MRISynthSegmentLib.clicked.session import raise_not_ticked
        from MRISynthSegmentLib.placed.mrml import reference_node_of

        reference = reference_node_of(node)
        key = reference.GetID() if reference is not None else ""
        used = sorted(self.panel.used, key=lambda row: row.key != key)
        if decisions.of_another_examination(key, used, self.panel.rows):
            raise_not_ticked(reference.GetName())
        return self.logic.inputs.volumes(used)

    def _onPoint(self, caller, event) -> None:
        self._pointTimer.start()

    def _onMode(self, caller, event) -> None:
        self.panel.scheduleRefresh()  # a right click ends it, or another tool was chosen

    def _takePoints(self) -> None:
        session = self._session
        if session is None or self._adds is None:
            return
        structure = self.structure
        exclusive = self.logic.getParameterNode().correctExclusive
        try:
            session.check_in_place()
            segment = session.segment_of(structure)
        except MRISynthError as error:
            session.points.drop_new()
            self.work.say(str(error), problem=True)
            return
        begins = not session.has(segment)
        outside = False
        for click in session.points.take_new(segment, self._adds):
            if session.reaches(click):
                self._queue.append(_Waiting(structure, segment, begins, click, exclusive))
            else:
                session.points.remove(segment, click)
                outside = True
        self._next()
        if outside:  # at once and alone: the clicks that wait are none the worse for it
            words = _("That click lies outside {image}; click where this image has slices.")
            self.work.say(words.format(image=session.reference.name), problem=True)

    def _next(self) -> None:
        """Compute the first click that waits and whose point the user has not deleted."""
        if self.work.running or not self._queue:
            return
        there = self._session.points.has
        self._queue = [each for each in self._queue if there(each.segment, each.click)]
        if not self._queue:
            return
        try:
            self._submit(self._session, self._queue[0])
        except MRISynthError as error:
            self._drop(self._queue, str(error))

    def _submit(self, session, waiting: _Waiting) -> None:
        from MRISynthSegmentLib.clicked.session import check_reference

        parameters = self.logic.getParameterNode()
        session.check_in_place()
        inputs = self._inputs(session.node)
        check_reference(session.reference, next(iter(inputs), None))
        before = session.request_volume(waiting.segment)
        later = [each.click for each in self._queue[1:] if each.segment == waiting.segment]
        clicks = session.points.clicks(waiting.segment)
        request = decisions.refinement_parameters(
            waiting.structure,
            clicks[: len(clicks) - len(later)],
            model=self.panel.inputOptions()["bundle"],
            device=parameters.device,
            register=parameters.registerInputs,
        )
        words = decisions.inputs_in_words(self.panel.used)
        self.work.start(
            decisions.REFINEMENT_TASK,
            request,
            [*inputs, before],
            lambda result: self._applied(waiting, before, result, words),
        )

    def _applied(self, waiting: _Waiting, before, result, words: str) -> None:
        session = self._session
        if not (waiting.begins or session.has(waiting.segment)):
            self._dropDeleted()
            return
        self._queue.remove(waiting)
        after = result[waiting.structure].voxels > 0
        try:
            grown = session.apply(
                waiting.segment,
                waiting.click,
                before.voxels > 0,
                after,
                structure=waiting.structure,
                exclusive=waiting.exclusive,
                drawn_on=words,
            )
        except MRISynthError as error:
            self._drop([waiting, *self._queue], str(error))
            return
        self._showStructure(session.node, waiting.segment)
        named = {session.name_of(segment): grown[segment] for segment in grown}
        self.work.say(decisions.correction_sentence(session.name_of(waiting.segment), named))
        self._next()

    @staticmethod
    def _showStructure(node, segment: str) -> None:
        """Nobody corrects blindly what was hidden."""
        from MRISynthSegmentLib.shown.mrml import show_segments

        show_segments(node, [segment])

    def _drop(self, clicks, why: str = "") -> None:
        """Clicks that are not computed leave no point behind; ``why`` is said."""
        clicks = list(clicks)
        if self.work.running and self._queue and self._queue[0] in clicks:
            self.work.abandon()
        self._queue = [each for each in self._queue if each not in clicks]
        for waiting in clicks:
            self._session.points.remove(waiting.segment, waiting.click)
        self._next()
        if why:
            self.work.say(why, problem=True)

    def _dropAsLeft(self) -> None:
        if self._queue:
            why = _(
                "Clicks were not computed, as another segmentation or image was chosen meanwhile."
            )
            self._drop(self._queue, why)

    def _dropDeleted(self) -> None:
        """Clicks on structures that the user deleted meanwhile come to nothing."""
        session = self._session
        gone = [each for each in self._queue if not (each.begins or session.has(each.segment))]
        if gone:
            names = ", ".join(dict.fromkeys(decisions.label_of(each.structure) for each in gone))
            why = _("{names} was deleted before the click was computed; click again to begin it.")
            self._drop(gone, why.format(names=names))
        session.forget_deleted(each.segment for each in self._queue)

    def onStep(self, *, back: bool) -> None:
        """Take the last click back, or bring it again."""
        with self.panel.showingErrors():
            structure = self._session.undo() if back else self._session.redo()
            words = _("Taken back: the last click on {name}.") if back else _("{name}: done again.")
            if not structure:
                words = _("The clicks on a structure that was deleted are gone with it.")
            self._session.points.show_only(self._chosen[1])
            self.work.say(words.format(name=decisions.label_of(structure)))
        self.panel.scheduleRefresh()

    def drawnAnew(self, node, names) -> None:
        """A model has drawn some structures again: clicks on them are gone."""
        segments = {key for key, name in self._present(node).items() if name in names}
        session = self._sessionOf(node)
        if session is None:
            self._pointsOf(node).forget(segments)
            return
        late = [each for each in self._queue if each.segment in segments]
        if late and session is self._session:
            names = ", ".join(dict.fromkeys(decisions.label_of(each.structure) for each in late))
            why = _("{names} was drawn anew before the click was computed; click again if needed.")
            self._drop(late, why.format(names=names))
        session.forget(segments)

    # -------------------------------------------------------------------------- the end

    def stop(self) -> None:
        """Clicks do again what they did."""
        self._stopPlacing()
        self.panel.scheduleRefresh()

    def _stopPlacing(self) -> None:
        placing, self._placing, self._adds = self._placing, None, None
        if placing is not None:
            placing.stop()

    def _sessionOf(self, node):
        """What was clicked on a segmentation; None if nothing was."""
        return next((each for each in self._sessions if each.node is node), None)

    def _takeUp(self, node) -> None:
        """From now on this segmentation is corrected, with what was clicked on it before."""
        self._leave()
        self._node, self._session = node, self._sessionOf(node)
        self._chosen = ("", "")

    def _leave(self) -> None:
        """Let go of the segmentation."""
        self._observers.release()
        self._stopPlacing()
        self.work.abandon()
        self._dropAsLeft()
        node, self._node, self._session = self._node, None, None
        if node is None:
            return
        if node.GetScene() is not None:
            self._pointsOf(node).show_only("")
            return
        self._pointsOf(node).discard(slicer.mrmlScene)

    def _discardDeleted(self) -> None:
        """What was clicked on segmentations that were deleted goes with them, shown or not."""
        for session in [each for each in self._sessions if each.node.GetScene() is None]:
            session.points.discard(slicer.mrmlScene)
            self._sessions.remove(session)

    def onSceneClosing(self) -> None:
        """See :class:`Section`."""
        self._leave()
        self.work.abandon()
        self._sessions = []
        self._pointTimer.stop()

    def cleanup(self) -> None:
        """See :class:`Section`."""
        self.onSceneClosing()
