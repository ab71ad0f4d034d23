"""``slicer.app``, and Slicer's windows that tell or ask something."""

from __future__ import annotations

import types
from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QObject, QSettings, Signal
from PySide6.QtWidgets import QApplication

from .pythonqt import wrap


class _ModuleManager(QObject):
    moduleAboutToBeUnloaded = Signal(str)


class _ApplicationSignals(QObject):
    aboutToQuit = Signal()
    startupCompleted = Signal()


class HostApplication:
    """What modules ask of ``slicer.app``; tests change the plain attributes."""

    def __init__(self, application_logic, folder: Path) -> None:
        self.qt_application = QApplication.instance() or QApplication([])
        self.majorVersion, self.minorVersion = 5, 12
        self.manager = None
        self._application_logic = application_logic
        self._signals, self._modules = _ApplicationSignals(), _ModuleManager()
        QSettings.setDefaultFormat(QSettings.Format.IniFormat)
        for scope in (QSettings.Scope.UserScope, QSettings.Scope.SystemScope):
            QSettings.setPath(QSettings.Format.IniFormat, scope, str(folder))
        self.qt_application.setOrganizationName("MRISynth tests")
        self.qt_application.setApplicationName("Slicer")
        self._settings = QSettings()
        self._settings.setValue("Developer/SelfTestDisplayMessageDelay", 0)

    def testingEnabled(self) -> bool:
        return False

    def layoutManager(self):
        return self.manager

    def applicationLogic(self):
        return self._application_logic

    def moduleManager(self):
        return wrap(self._modules)

    def settings(self):
        return wrap(self._settings)

    def userSettings(self):
        return wrap(self._settings)

    def translate(self, context: str, text: str) -> str:
        return text

    def thread(self):
        return wrap(self.qt_application.thread())

    def processEvents(self) -> None:
        self.qt_application.processEvents()

    def connect(self, signal: str, function: Callable) -> bool:
        return wrap(self._signals).connect(signal, function)

    def disconnect(self, signal: str, function: Callable) -> bool:
        return wrap(self._signals).disconnect(signal, function)

    def start(self) -> None:
        """For tests: what Slicer announces once all modules are there."""
        self._signals.startupCompleted.emit()

    def quit(self) -> None:
        """For tests: what Slicer announces before it ends."""
        self._signals.aboutToQuit.emit()


class Questions:
    """Stands in for the windows of ``slicer.util`` that tell or ask something.

    ``said`` has what was told, ``asked`` what was asked; ``answer`` is what the user answers.
    """

    def __init__(self) -> None:
        self.said: list[str] = []
        self.asked: list[str] = []
        self.answer = True

    def functions(self) -> dict[str, Callable]:
        """By their names in ``slicer.util``."""
        telling = ("errorDisplay", "warningDisplay", "infoDisplay", "messageBox")
        asking = ("confirmOkCancelDisplay", "confirmYesNoDisplay", "confirmRetryCloseDisplay")
        return dict.fromkeys(telling, self._tell) | dict.fromkeys(asking, self._ask)

    def _tell(self, text, windowTitle=None, parent=None, **options) -> None:
        self.said.append(text)

    def _ask(self, text, windowTitle=None, parent=None, **options) -> bool:
        self.asked.append(text)
        return self.answer


def module_entry(name: str, path: Path) -> types.SimpleNamespace:
    """What ``slicer.modules.<name>`` knows of a scripted module."""
    return types.SimpleNamespace(name=name, title=name, path=str(path))


class SegmentEditor:
    """The part of ``qMRMLSegmentEditorWidget`` that takes the nodes to edit."""

    def __init__(self) -> None:
        self.segmentation = self.image = None

    def setSegmentationNode(self, node) -> None:
        self.segmentation = node

    def setSourceVolumeNode(self, node) -> None:
        self.image = node
