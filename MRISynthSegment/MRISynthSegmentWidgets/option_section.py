"""How it is computed: which model, where, and what is done before and after."""

from __future__ import annotations

from slicer.i18n import tr as _

from MRISynthLib.panel import card_html
from MRISynthWidgets.section import Section


class OptionSection(Section):
    """Section "Options"."""

    uiName = "MRISynthSegmentOptions"
    placeName = "optionsPlace"

    def connectWidgets(self) -> None:
        """See :class:`Section`."""
        self._names: tuple[str, ...] | None = None
        self._card = None
        self.ui.modelComboBox.connect("currentIndexChanged(int)", self.onModel)

    def refresh(self, parameters) -> None:
        """Show the models, and the card of the one that is chosen."""
        models = self.logic.models()
        names = tuple(model.name for model in models)
        combo = self.ui.modelComboBox
        blocked = combo.blockSignals(True)
        if names != self._names:
            self._names = names
            combo.clear()
            for name in names or (_("none installed"),):
                combo.addItem(name)
        model = self.logic.model(parameters.model)
        if model is not None:
            combo.setCurrentIndex(names.index(model.name))
        combo.blockSignals(blocked)
        combo.enabled = bool(names)
        if model is not self._card:
            self._card = model
            self.ui.cardBrowser.setHtml(card_html(model) if model is not None else "")

    def onModel(self, index: int) -> None:
        """The user chose another model."""
        if self._names and 0 <= index < len(self._names):
            self.logic.getParameterNode().model = self._names[index]
