"""What is to be made: ticks, words for all targets and for each, and how they are understood."""

from __future__ import annotations

from html import escape

import qt
import slicer
from slicer.i18n import tr as _

from MRISynthLib import panel
from MRISynthLib.sequence_table import SEQUENCE_NAMES, SEQUENCES

from .panel_widget import ERROR_STYLE
from .section import Section

HISTORY_SETTING = "MRISynth/PromptHistory"
COLUMNS = 3
LINK = '<a href="{number}" style="color: #8b1a1a;">{label}</a>'


class TargetsSection(Section):
    """Section "Targets"; ``understanding`` is what is going to be made, ``lastEdited`` the target
    whose own words the user changed last."""

    uiName = "MRISynthTargets"
    placeName = "targetsPlace"

    def connectWidgets(self) -> None:
        """See :class:`Section`."""
        self.understanding = panel.Understanding()
        self.lastEdited = ""
        self._alternatives = ()
        self._offered = None
        self._history = panel.remembered(qt.QSettings().value(HISTORY_SETTING))
        self._placed = ()
        self._boxes = {name: self._addBox(name) for name in SEQUENCE_NAMES}
        self._lines = {name: self._addLine(name) for name in SEQUENCE_NAMES}
        self._menu = qt.QMenu(self.widget)
        self.ui.promptsButton.setMenu(self._menu)
        self.ui.promptsButton.setPopupMode(qt.QToolButton.InstantPopup)
        self.ui.promptLineEdit.connect("textEdited(QString)", self.onPromptEdited)
        self.sayPreview("")
        self.ui.understoodLabel.connect("linkActivated(QString)", self.onAlternative)

    def _addBox(self, name: str):
        box = qt.QCheckBox(name)
        box.connect("toggled(bool)", lambda _ticked: self.onTick())
        return box

    def _addLine(self, name: str):
        label = qt.QLabel(_("{target} also:").format(target=name))
        line = qt.QLineEdit()
        line.toolTip = _("Words for {target} alone, beside those for all.").format(target=name)
        line.setClearButtonEnabled(True)
        self.ui.ownLines.layout().addRow(label, line)
        line.connect("textEdited(QString)", lambda text: self.onOwnEdited(name, text))
        return label, line

    # --------------------------------------------------------------------------- showing

    def refresh(self, parameters) -> None:
        """Show what can be made, what is ticked, and what the words mean."""
        rows = self.panel.targetRows
        self._placeBoxes(tuple(row.sequence for row in rows))
        for row in rows:
            box = self._boxes[row.sequence]
            blocked = box.blockSignals(True)
            box.checked = row.ticked
            box.enabled = not row.problem
            box.toolTip = row.problem or row.description
            box.blockSignals(blocked)
        self._showLines(parameters)
        self._showUnderstanding()
        self._offerPrompts()

    def _placeBoxes(self, names) -> None:
        """Show what the model makes, row by row."""
        if names == self._placed:
            return
        self._placed = names
        grid = self.ui.targetGrid.layout()
        for name, box in self._boxes.items():
            grid.removeWidget(box)
            box.setVisible(name in names)
        for index, name in enumerate(names):
            grid.addWidget(self._boxes[name], index // COLUMNS, index % COLUMNS)

    def _showLines(self, parameters) -> None:
        own = dict(parameters.ownPrompts)
        shown = panel.own_lines(self.panel.tickedTargets, own)
        for name, (label, line) in self._lines.items():
            label.setVisible(name in shown)
            line.setVisible(name in shown)
            words = own.get(name, "")
            if line.text != words:
                line.text = words
        self.ui.ownLines.setVisible(bool(shown))

    def _showUnderstanding(self) -> None:
        failed = [each for each in self.understanding.meanings if each.problem][:1]
        self._alternatives = failed[0].alternatives if failed else ()
        if failed:
            text = escape(failed[0].problem)
            links = [
                LINK.format(number=number, label=escape(alternative.label))
                for number, alternative in enumerate(self._alternatives)
            ]
            if links:
                choices = " &nbsp; ".join(links)
                text += "<br>" + _("Choose: {choices}").format(choices=choices)
        else:
            looks = (each.text.partition(": ") for each in self.understanding.meanings)
            meaning = "<br>".join(
                f"<b>{escape(name)}</b>: {escape(look)}" for name, _c, look in looks
            )
            text = _("Understood as {meaning}").format(meaning=meaning) if meaning else ""
        label = self.ui.understoodLabel
        label.text = text
        label.setVisible(bool(text))
        label.setStyleSheet(ERROR_STYLE if self.understanding.problem else "")

    def _offerPrompts(self) -> None:
        offered = panel.completions(self._history, self.panel.tickedTargets)
        if offered == self._offered:
            return
        self._offered = offered
        self._menu.clear()
        for text in offered:
            action = self._menu.addAction(text)
            action.connect("triggered()", lambda text=text: self.onPromptChosen(text))
        for line in (self.ui.promptLineEdit, *(line for _label, line in self._lines.values())):
            completer = qt.QCompleter(offered, line)
            completer.setCaseSensitivity(qt.Qt.CaseInsensitive)
            completer.setFilterMode(qt.Qt.MatchContains)
            line.setCompleter(completer)

    # --------------------------------------------------------------------------- changing

    def onTick(self) -> None:
        """The user ticked or unticked a target."""
        # as the boxes are: the panel may not yet know of another click just before
        self._set(ticked=[name for name in self._placed if self._boxes[name].checked])
        self.panel.onWordsEdited()

    def onPromptEdited(self, text: str) -> None:
        """The user types words for all targets; the line is bound to the parameter node."""
        self.lastEdited = ""
        self.panel.onWordsEdited()

    def onOwnEdited(self, name: str, text: str) -> None:
        """The user types words for one target."""
        self.lastEdited = name
        self._set(own={**self.logic.getParameterNode().ownPrompts, name: text})
        self.panel.onWordsEdited()

    def onPromptChosen(self, text: str) -> None:
        """The user chose an earlier prompt or a suggestion."""
        self._set(prompt=text)
        self.lastEdited = ""
        self.panel.onWordsEdited()

    def onAlternative(self, link: str) -> None:
        """The user chose what was offered in place of words without a meaning."""
        choice = self._alternatives[int(link)]
        self._set(ticked=choice.ticked, prompt=choice.prompt, own=choice.own)
        self.panel.onWordsEdited()

    def _set(self, *, ticked=None, prompt=None, own=None) -> None:
        parameters = self.logic.getParameterNode()
        with slicer.util.NodeModify(parameters):
            if ticked is not None:
                parameters.targets = [name for name in SEQUENCES if name in ticked]
                parameters.targetsTouched = True
            if prompt is not None:
                parameters.prompt = prompt
            if own is not None:
                parameters.ownPrompts = {name: text for name, text in own.items() if text.strip()}
        self.panel.scheduleRefresh()

    def sayPreview(self, text: str) -> None:
        """Say what the preview shows, or why there is none."""
        self.ui.previewLabel.text = text
        self.ui.previewLabel.setVisible(bool(text))

    def remember(self) -> None:
        """A run begins with these words: keep them for later."""
        parameters = self.logic.getParameterNode()
        own = dict(parameters.ownPrompts)
        used = [parameters.prompt, *(own.get(name, "") for name in self.panel.tickedTargets)]
        self._history = panel.with_new(self._history, used)
        qt.QSettings().setValue(HISTORY_SETTING, panel.to_save(self._history))
        self.panel.scheduleRefresh()

    def cleanup(self) -> None:
        """See :class:`Section`."""
        self._menu.clear()
