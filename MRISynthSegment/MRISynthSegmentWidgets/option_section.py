"""How it is computed: which model, where, and what is done before and after."""

from __future__ import annotations

from MRISynthLib import packages
from MRISynthSegmentLib.panel import card_html
from MRISynthWidgets.background import Background
from MRISynthWidgets.computing_section import ComputingSection
from MRISynthWidgets.installer import SlicerInstaller


class OptionSection(ComputingSection):
    """Section "Options" of MRISynthSegment."""

    uiName = "MRISynthSegmentOptions"

    def connectWidgets(self) -> None:
        """See :class:`Section`."""
        super().connectWidgets()
        self.background = Background()

    def askInBackground(self) -> Background | None:
        """See :class:`ComputingSection`."""
        return None if packages.missing(SlicerInstaller()) else self.background

    def refresh(self, parameters) -> None:
        """Show the models and devices, and the card of the model that is chosen."""
        self.showModelAndDevice(parameters, self.logic.model(parameters.model), card_html)

    def onSceneClosing(self) -> None:
        """See :class:`Section`."""
        self.background.drop()

    def cleanup(self) -> None:
        """See :class:`Section`."""
        self.background.drop()
