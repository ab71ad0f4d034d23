"""How it is computed: which model, where, and what is done before and after."""

from __future__ import annotations

from collections.abc import Iterable

from slicer.i18n import tr as _

from MRISynthLib import packages
from MRISynthLib.panel import DEVICES_TASK, device_choices
from MRISynthSegmentLib.panel import card_html
from MRISynthWidgets.background import Background, Question
from MRISynthWidgets.installer import SlicerInstaller
from MRISynthWidgets.section import Section


class OptionSection(Section):
    """Section "Options", collapsed: the defaults do."""

    uiName = "MRISynthSegmentOptions"
    placeName = "optionsPlace"

    def connectWidgets(self) -> None:
        """See :class:`Section`."""
        self._shown: dict[str, tuple] = {}
        self._card = None
        self._devices = None
        self.background = Background()
        for combo, parameter in (
            (self.ui.modelComboBox, "model"),
            (self.ui.deviceComboBox, "device"),
        ):
            combo.connect(
                "activated(int)",
                lambda index, combo=combo, name=parameter: self.onChosen(
                    name, combo.itemData(index)
                ),
            )
        self.widget.connect("contentsCollapsed(bool)", self.onCollapsed)

    def refresh(self, parameters) -> None:
        """Show the models and devices, and the card of the model that is chosen."""
        model = self.logic.model(parameters.model)
        names = [(each.name, f"{each.name} {each.version}") for each in self.logic.models()]
        self._fill(self.ui.modelComboBox, names, model.name if model is not None else "")
        devices = device_choices(self._devices, parameters.device)
        self._fill(self.ui.deviceComboBox, devices, parameters.device)
        card = card_html(model) if model is not None else _("No model is installed.")
        if card != self._card:
            self._card = card
            self.ui.cardBrowser.setHtml(card)

    def _fill(self, combo, choices: Iterable[tuple[str, str]], current: str) -> None:
        choices = tuple(choices)
        if self._shown.get(combo.name) != choices:
            self._shown[combo.name] = choices
            combo.clear()
            for value, words in choices:
                combo.addItem(words, value)
        combo.setCurrentIndex(combo.findData(current))

    def onChosen(self, parameter: str, value: str) -> None:
        """The user chose a model or a device."""
        setattr(self.logic.getParameterNode(), parameter, value)
        self.panel.scheduleRefresh()

    def onCollapsed(self, collapsed: bool) -> None:
        """The user opened the section: now it matters which devices there are."""
        if collapsed or self.panel.run.running or packages.missing(SlicerInstaller()):
            return

        def answered(info) -> None:
            self._devices = info["devices"]
            self.panel.scheduleRefresh()

        # asked of the process that is there anyway, since this one never loads torch
        device = self.logic.getParameterNode().device
        question = Question(device, DEVICES_TASK, {}, [], answered, lambda error: None)
        self.background.ask(DEVICES_TASK, question)

    def onSceneClosing(self) -> None:
        """See :class:`Section`."""
        self.background.drop()

    def cleanup(self) -> None:
        """See :class:`Section`."""
        self.background.drop()
