"""What the parts of a module's panel have in common.

A section is one collapsible part with a .ui file of its own. It knows its panel
(:class:`.panel_widget.PanelWidget`), which loads it, binds its widgets to the parameter node and
tells it of every change.
"""

from __future__ import annotations

from abc import ABCMeta, abstractmethod
from typing import ClassVar

import slicer


class Section(metaclass=ABCMeta):
    """One collapsible part of a module's panel.

    Attributes
    ----------
    uiName:
        Name of the .ui file in the module's ``Resources/UI``, without its suffix. Its root is a
        ``ctkCollapsibleButton``; widgets bind by the dynamic property ``SlicerParameterName``.
    placeName:
        Name of the widget of the module's own .ui file into whose layout the section goes; empty
        for below everything else.
    panel, logic:
        The module's widget and its logic.
    widget, ui:
        The root widget, and all named widgets as attributes.
    """

    uiName: ClassVar[str]
    placeName: ClassVar[str] = ""

    def __init__(self, panel) -> None:
        """``panel`` is the module's widget; its logic is there already."""
        self.panel = panel
        self.logic = panel.logic
        self.widget = slicer.util.loadUI(panel.resourcePath(f"UI/{self.uiName}.ui"))
        self.ui = slicer.util.childWidgetVariables(self.widget)
        for child in vars(self.ui).values():
            if hasattr(child, "setMRMLScene"):
                child.setMRMLScene(slicer.mrmlScene)

    @abstractmethod
    def connectWidgets(self) -> None:
        """Connect the section's widgets; called once, with everything loaded."""

    @abstractmethod
    def refresh(self, parameters) -> None:
        """Show the state of the scene and of the parameter node ``parameters``.

        Called after every change, so it must be quick.
        """

    def onPanelLeft(self) -> None:  # noqa: B027
        """The user opens another module; what needs this panel stops."""

    def onSceneClosing(self) -> None:  # noqa: B027
        """Let go of the scene's nodes: the scene is about to close."""

    def cleanup(self) -> None:  # noqa: B027
        """Stop timers and observers: the panel goes away."""
