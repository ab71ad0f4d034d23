"""How it is computed: model, device, and what is done to the inputs."""

from __future__ import annotations

from MRISynthLib import panel

from .computing_section import ComputingSection


class OptionsSection(ComputingSection):
    """Section "Options" of MRISynth."""

    uiName = "MRISynthOptions"
    modelTask = "synthesis"
    CHOICES = ComputingSection.CHOICES | {
        "matchingComboBox": "matching",
        "normalisationComboBox": "normalisation",
    }

    def refresh(self, parameters) -> None:
        """Show the choices, and the card of the model."""
        model = self.logic.model()
        self.showModelAndDevice(parameters, model, panel.card_html)
        matching = [(key, words) for key, (words, _match) in panel.MATCHING.items()]
        self.fill(self.ui.matchingComboBox, matching, parameters.matching)
        scaling = panel.NORMALISATION.items()
        self.fill(self.ui.normalisationComboBox, scaling, parameters.normalisation)
