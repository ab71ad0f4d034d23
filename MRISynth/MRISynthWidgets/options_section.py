"""How it is computed: model, device, and what is done to the inputs."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import qt
import slicer
from slicer.i18n import tr as _

from MRISynthLib import panel
from MRISynthLib.errors import MRISynthError

from .background import Question
from .section import Section


class OptionsSection(Section):
    """Section "Options", collapsed: the defaults do."""

    uiName = "MRISynthOptions"
    placeName = "optionsPlace"

    def connectWidgets(self) -> None:
        """See :class:`Section`."""
        self._devices = None
        self._card = None
        self._shown = {}
        for combo, parameter in (
            (self.ui.modelComboBox, "model"),
            (self.ui.deviceComboBox, "device"),
            (self.ui.matchingComboBox, "matching"),
            (self.ui.normalisationComboBox, "normalisation"),
        ):
            combo.connect("activated(int)", self._setter(combo, parameter))
        self.ui.importModelButton.connect("clicked(bool)", self.onImportModelButton)
        self.ui.removeModelButton.connect("clicked(bool)", self.onRemoveModelButton)
        self.widget.connect("contentsCollapsed(bool)", self.onCollapsed)

    def _setter(self, combo, parameter: str) -> Callable[[int], None]:
        def choose(index: int) -> None:
            setattr(self.logic.getParameterNode(), parameter, combo.itemData(index))
            self.panel.scheduleRefresh()

        return choose

    def refresh(self, parameters) -> None:
        """Show the choices, and the card of the model."""
        models, model = self.logic.models(), self.logic.model()
        names = [(each.name, f"{each.name} {each.version}") for each in models]
        self._fill(self.ui.modelComboBox, names, model.name if model else "")
        devices = panel.device_choices(self._devices, parameters.device)
        self._fill(self.ui.deviceComboBox, devices, parameters.device)
        matching = [(key, words) for key, (words, _match) in panel.MATCHING.items()]
        self._fill(self.ui.matchingComboBox, matching, parameters.matching)
        scaling = panel.NORMALISATION.items()
        self._fill(self.ui.normalisationComboBox, scaling, parameters.normalisation)
        self._showModel(model)

    def _fill(self, combo, choices: Iterable[tuple[str, str]], current: str) -> None:
        choices = tuple(choices)
        if self._shown.get(combo.name) != choices:
            self._shown[combo.name] = choices
            combo.clear()
            for value, words in choices:
                combo.addItem(words, value)
        combo.setCurrentIndex(combo.findData(current))

    def _showModel(self, model) -> None:
        from MRISynthLib.bundle_store import is_imported

        removable = model is not None and is_imported(model)
        self.ui.removeModelButton.enabled = removable and not self.panel.run.running
        self.ui.removeModelButton.toolTip = (
            _("Delete this imported model from the computer.")
            if removable
            else _("This model is shipped with MRISynth and stays.")
        )
        card = panel.card_html(model) if model else _("No model is installed.")
        if card != self._card:
            self._card = card
            self.ui.cardBrowser.setHtml(card)

    def onCollapsed(self, collapsed: bool) -> None:
        """The user opened the section: now it matters which devices there are."""
        if not collapsed:
            self.askDevices()

    def askDevices(self) -> None:
        """Ask the worker, since this process never loads torch."""
        if not self.panel.checks.ready or self.panel.run.running:
            return

        def done(info) -> None:
            self._devices = info["devices"]
            self.panel.scheduleRefresh()

        def failed(error: MRISynthError) -> None:
            self._devices = None

        # asked of the worker that is there anyway
        device = self.logic.getParameterNode().device
        question = Question(device, panel.DEVICES_TASK, {}, [], done, failed)
        self.panel.background.ask(panel.DEVICES_TASK, question)

    def onImportModelButton(self) -> None:
        """Let the user choose a model's folder, and copy it."""
        from MRISynthLib.bundle_store import import_bundle

        folder = qt.QFileDialog.getExistingDirectory(
            slicer.util.mainWindow(), _("Import a model: choose its folder")
        )
        if not folder:
            return
        with self.panel.showingErrors():
            with slicer.util.WaitCursor():
                bundle = import_bundle(folder, "synthesis")
            self.logic.forgetModels()
            self.logic.getParameterNode().model = bundle.name
            self.panel.showMessage(_("Imported {model}.").format(model=bundle.name))
        self.panel.scheduleRefresh()

    def onRemoveModelButton(self) -> None:
        """Delete an imported model, after asking."""
        from MRISynthLib.bundle_store import remove_bundle

        model = self.logic.model()
        question = _("Delete the imported model {model} from this computer?")
        if model is None or not slicer.util.confirmOkCancelDisplay(
            question.format(model=model.name), _("MRISynth - Delete Model")
        ):
            return
        with self.panel.showingErrors():
            remove_bundle(model)
            self.logic.forgetModels()
            self.logic.getParameterNode().model = ""
            self.panel.showMessage(_("Deleted {model}.").format(model=model.name))
        self.panel.scheduleRefresh()
