"""What the sections "Options" of both modules have in common: model, card and device."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import ClassVar

import ctk
import qt
import slicer
from slicer.i18n import tr as _

from MRISynthLib import packages, panel
from MRISynthLib.errors import MRISynthError

from .background import Question
from .installer import SlicerInstaller
from .section import Section


class ComputingSection(Section):
    """Collapsed, since the defaults do; imported models come and go here.

    ``CHOICES`` maps the name of each combo box to the parameter that it sets; ``modelComboBox``,
    ``deviceComboBox``, ``importModelButton``, ``removeModelButton``, ``cardBrowser``,
    ``wheelsPathLineEdit`` and ``wheelsLabel`` are in the .ui file of every such section.
    ``modelTask`` is what its models are for.
    """

    placeName = "optionsPlace"
    modelTask: ClassVar[str]
    CHOICES: ClassVar[Mapping[str, str]] = {"modelComboBox": "model", "deviceComboBox": "device"}

    def connectWidgets(self) -> None:
        """See :class:`Section`."""
        self._devices = None
        self._card = None
        self._shown: dict[str, tuple] = {}
        for name, parameter in self.CHOICES.items():
            combo = getattr(self.ui, name)
            combo.connect("activated(int)", self._setter(combo, parameter))
        self.ui.importModelButton.connect("clicked(bool)", self.onImportModelButton)
        self.ui.removeModelButton.connect("clicked(bool)", self.onRemoveModelButton)
        self.ui.wheelsPathLineEdit.filters = ctk.ctkPathLineEdit.Dirs
        self.ui.wheelsPathLineEdit.connect("currentPathChanged(QString)", self.onWheelsFolder)
        self.widget.connect("contentsCollapsed(bool)", self.onCollapsed)

    def _setter(self, combo, parameter: str) -> Callable[[int], None]:
        def choose(index: int) -> None:
            setattr(self.logic.getParameterNode(), parameter, combo.itemData(index))
            self.panel.scheduleRefresh()

        return choose

    def fill(self, combo, choices: Iterable[tuple[str, str]], current: str) -> None:
        """Offer (value, words) and choose a value; nothing is built anew for the same choices."""
        choices = tuple(choices)
        if self._shown.get(combo.name) != choices:
            self._shown[combo.name] = choices
            combo.clear()
            for value, words in choices:
                combo.addItem(words, value)
        combo.setCurrentIndex(combo.findData(current))

    def showModelAndDevice(self, parameters, model, card: Callable[[object], str]) -> None:
        """Offer models and devices; show the ``card`` of the model that is chosen."""
        names = [(each.name, f"{each.name} {each.version}") for each in self.logic.models()]
        self.fill(self.ui.modelComboBox, names, model.name if model is not None else "")
        devices = panel.device_choices(self._devices, parameters.device)
        self.fill(self.ui.deviceComboBox, devices, parameters.device)
        text = card(model) if model is not None else _("No model is installed.")
        if text != self._card:
            self._card = text
            self.ui.cardBrowser.setHtml(text)
        self._showRemovable(model)

    def _showRemovable(self, model) -> None:
        from MRISynthLib.bundle_store import source_of

        source = source_of(model.folder) if model is not None else ""
        self.ui.removeModelButton.enabled = source == "imported" and not self.panel.busy
        self.ui.removeModelButton.toolTip = {
            "imported": _("Delete this imported model from the computer."),
            "shipped": _("This model is shipped with MRISynth and stays."),
            "own folder": _("This model lies in a folder of your own; delete it there."),
        }.get(source, _("No model is installed."))

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
                bundle = import_bundle(folder, self.modelTask)
            self.logic.forgetModels()
            self.logic.getParameterNode().model = bundle.name
            self.panel.showMessage(_("Imported {model}.").format(model=bundle.name))
        self.panel.scheduleRefresh()

    def onRemoveModelButton(self) -> None:
        """Delete an imported model, after asking."""
        from MRISynthLib.bundle_store import remove_bundle

        model = panel.chosen_model(self.logic.models(), self.logic.getParameterNode().model)
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

    def onCollapsed(self, collapsed: bool) -> None:
        """The user opened the section: now it matters which devices and packages there are."""
        if not collapsed:
            self.showWheelsFolder()
            self.askDevices()

    def showWheelsFolder(self) -> None:
        """Show the folder that is remembered, by either module, and what comes from it."""
        folder, line = SlicerInstaller().wheels_folder(), self.ui.wheelsPathLineEdit
        if line.currentPath == folder:
            self.onWheelsFolder(folder)
        else:
            line.currentPath = folder

    def onWheelsFolder(self, folder: str) -> None:
        """The user chose a folder for the installation without a network, or none."""
        installer = SlicerInstaller()
        installer.remember_wheels_folder(folder)
        self.ui.wheelsLabel.text = packages.source_in_words(installer, folder)

    def askDevices(self) -> None:
        """Ask the worker that is there anyway, since this process never loads torch."""
        if self.panel.run.running or not self.panel.checks.ready:
            return

        def done(info) -> None:
            self._devices = info["devices"]
            self.panel.scheduleRefresh()

        def failed(error: MRISynthError) -> None:
            self._devices = None

        device = self.logic.getParameterNode().device
        question = Question(device, panel.DEVICES_TASK, {}, [], done, failed)
        self.panel.background.ask(panel.DEVICES_TASK, question)
