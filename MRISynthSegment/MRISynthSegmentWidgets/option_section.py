"""How it is computed: which model, where, and what is done before and after."""

from __future__ import annotations

from MRISynthSegmentLib.panel import card_html
from MRISynthWidgets.computing_section import ComputingSection


class OptionSection(ComputingSection):
    """Section "Options" of MRISynthSegment."""

    uiName = "MRISynthSegmentOptions"
    modelTask = "segmentation"

    def refresh(self, parameters) -> None:
        """Show the models and devices, and the card of the model that is chosen."""
        self.showModelAndDevice(parameters, self.logic.model(parameters.model), card_html)
