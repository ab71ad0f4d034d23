"""How it is computed: model, device, and what is done to the inputs."""

from __future__ import annotations

import qt
import slicer
from slicer.i18n import tr as _

from MRISynthLib import panel

from .computing_section import ComputingSection


class OptionsSection(ComputingSection):
    """Section "Options" of MRISynth; imported models come and go here."""

    uiName = "MRISynthOptions"
    CHOICES = ComputingSection.CHOICES | {
        "matchingComboBox": "matching",
        "normalisationComboBox": "normalisation",
    }

    def connectWidgets(self) -> None:
        """See :class:`Section`."""
        super().connectWidgets()
        self.ui.importModelButton.connect("clicked(bool)", self.onImportModelButton)
        self.ui.removeModelButton.connect("clicked(bool)", self.onRemoveModelButton)

    def refresh(self, parameters) -> None:
        """Show the choices, and the card of the model."""
        model = self.logic.model()
        self.showModelAndDevice(parameters, model, panel.card_html)
        matching = [(key, words) for key, (words, _match) in panel.MATCHING.items()]
        self.fill(self.ui.matchingComboBox, matching, parameters.matching)
        scaling = panel.NORMALISATION.items()
        self.fill(self.ui.normalisationComboBox, scaling, parameters.normalisation)
        self._showRemovable(model)

    def _showRemovable(self, model) -> None:
        from MRISynthLib.bundle_store import is_imported

        removable = model is not None and is_imported(model)
        self.ui.removeModelButton.enabled = removable and not self.panel.busy
        self.ui.removeModelButton.toolTip = (
            _("Delete this imported model from the computer.")
            if removable
            else _("This model is shipped with MRISynth and stays.")
        )

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
