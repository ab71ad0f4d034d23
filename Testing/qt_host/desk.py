"""Both modules on a real scene and real widgets: what the fixture ``desk`` gives to a test."""

from __future__ import annotations

import gc
import importlib
import sys
import time
import types
from pathlib import Path

import shiboken6
import slicer
from PySide6.QtWidgets import QApplication, QWidget

import slicer_standins

from . import mrml_widgets, slicer_source
from .application import HostApplication, Questions, SegmentEditor, module_entry
from .pythonqt import HostTimer, class_for, connections, unwrap, wrap
from .qt_module import CtkModule, QFileDialog, QtModule
from .ui_loader import STAND_INS

ROOT = Path(__file__).resolve().parents[2]
MODULES = ("MRISynth", "MRISynthSegment")
PANEL_WIDTH = 420
_kept: list[QWidget] = []
"""Windows of earlier tests. PySide6 does not notice when Qt deletes what Qt made, as the widgets of
.ui files are, and takes a new object at the same place in memory for the old one."""


class Desk:
    """Stands in for Slicer's window.

    Attributes
    ----------
    slicer, qt, ctk: the modules of these names.
    app: ``slicer.app``; tests may change ``minorVersion`` and ``testingEnabled``.
    headless: the scene with its logics, a ``HeadlessScene``.
    said, asked: texts of the message boxes and of the questions; ``questions.answer`` is the
        user's answer.
    opened: modules that were selected, and "openAddVolumeDialog".
    segment_editor: the Segment Editor's widget, which keeps what it was given.
    panels: all panels, to be cleaned up at the end.
    """

    def __init__(self, headless, monkeypatch, folder: Path, source: Path | None) -> None:
        """``folder`` is for settings; ``source`` is that of Slicer's Python files, or None."""
        self.slicer, self.headless = slicer, headless
        self.qt, self.ctk = QtModule("qt"), CtkModule("ctk")
        self.questions, self.opened = Questions(), []
        self.said, self.asked = self.questions.said, self.questions.asked
        self.panels, self._parents = [], {}
        self.app = HostApplication(headless.application_logic, folder)
        QFileDialog.answer, QFileDialog.asked = "", []
        monkeypatch.setitem(sys.modules, "qt", self.qt)
        monkeypatch.setitem(sys.modules, "ctk", self.ctk)
        monkeypatch.setattr(slicer, "app", self.app, raising=False)
        for name, cls in STAND_INS.items():
            if not name.startswith("ctk"):
                monkeypatch.setattr(slicer, name, class_for(cls), raising=False)
        for name, function in self.questions.functions().items():
            monkeypatch.setattr(slicer.util, name, function)
        monkeypatch.setattr(slicer.util, "mainWindow", lambda: None)
        monkeypatch.setattr(slicer.util, "selectModule", self.opened.append)
        monkeypatch.setattr(
            slicer.util, "openAddVolumeDialog", lambda: self.opened.append("openAddVolumeDialog")
        )
        self.segment_editor = SegmentEditor()
        widgets = {"SegmentEditor": types.SimpleNamespace(editor=self.segment_editor)}
        monkeypatch.setattr(slicer.util, "getModuleWidget", widgets.__getitem__)
        for name in MODULES:
            entry = module_entry(name, ROOT / name / f"{name}.py")
            setattr(slicer.modules, name.lower(), entry)
            entry.widgetRepresentation = lambda name=name: self._parents[name]
            monkeypatch.syspath_prepend(str(ROOT / name))
        for name, module in slicer_standins.modules().items():
            monkeypatch.setitem(sys.modules, name, module)
            parent, _, child = name.rpartition(".")
            if parent == "slicer":
                monkeypatch.setattr(slicer, child, module, raising=False)
        if source is not None:
            slicer_source.load(source, monkeypatch)

    # ------------------------------------------------------------------------- panels

    def open(self, name: str, *, fresh: bool = False):
        """The module's panel, after the user opened it.

        ``fresh``: built anew, as if Slicer had been started again, on the same scene.
        """
        for panel in self.panels:
            if panel.parent.isEntered:
                unwrap(panel.parent).set_entered(False)
                panel.exit()
        panel = getattr(slicer.modules, f"{name}Widget", None)
        if panel is not None and fresh:
            panel.cleanup()
        if panel is None or fresh:
            panel = self._build(name)
        unwrap(panel.parent).set_entered(True)
        panel.enter()
        self.process()
        return panel

    def _build(self, name: str):
        module = importlib.import_module(name)
        native = mrml_widgets.qSlicerScriptedLoadableModuleWidget()
        native.setMRMLScene(slicer.mrmlScene)
        native.on_reload = lambda: self._fill(name, sys.modules[name], native)
        self._parents[name] = wrap(native)
        return self._fill(name, module, native)

    def _fill(self, name: str, module, native: QWidget):
        panel = getattr(module, f"{name}Widget")(wrap(native))
        self.panels.append(panel)
        setattr(slicer.modules, f"{name}Widget", panel)
        panel.setup()
        return panel

    def show_views(self, *names: str, hidden: tuple[str, ...] = ()) -> None:
        """The slice views on the screen from now on; none at first. Call it after :meth:`open`,
        and without names before :meth:`close`: there is no layout that panels could follow.

        ``hidden``: views of another layout, which Slicer's manager names all the same.
        """
        for name in (*names, *hidden):
            self.headless.slice_logic(name).GetSliceNode().SetMappedInLayout(name in names)
        known = types.SimpleNamespace(sliceViewNames=lambda: (*hidden, *names))
        self.app.manager = known if names else None

    # ---------------------------------------------------------------------- time, looks

    def process(self, rounds: int = 3) -> None:
        """Let events arrive and each running timer fire, some rounds long.

        Fails if a function that a signal called has failed: PythonQt only prints that.
        """
        for _ in range(rounds):
            self.app.processEvents()
            HostTimer.elapse()
        self.app.processEvents()
        self.raise_errors()

    def wait(self, condition, seconds: float = 60) -> None:
        """Let events arrive until ``condition()`` is true."""
        give_up = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < give_up, "it took too long"
            self.process(1)
            time.sleep(0.005)

    def raise_errors(self) -> None:
        """Raise the first error of a function that a signal called."""
        if connections.errors:
            error = connections.errors[0]
            connections.errors.clear()
            raise error

    def screenshot(self, widget, path) -> Path:
        """Save a picture of a panel or of one widget in it."""
        native = unwrap(getattr(widget, "parent", widget) if not _is_widget(widget) else widget)
        if native.parent() is None:
            native.resize(PANEL_WIDTH, max(native.sizeHint().height(), 100))
            native.show()
        self.process(1)
        path = Path(path)
        assert native.grab().save(str(path)), f"{path} could not be written"
        return path

    # ------------------------------------------------------------------------ the end

    def close(self) -> None:
        """Clean up as Slicer does when it ends; nothing may go on or be left connected."""
        try:
            self.process(1)  # what a test did last has its effects before the end
            for panel in self.panels:
                if getattr(slicer.modules, f"{panel.moduleName}Widget", None) is panel:
                    panel.cleanup()
                assert not panel.Observations, f"{panel.moduleName} still observes something"
            self.raise_errors()
            going = [timer for timer in HostTimer.active() if timer.parent() is None]
            assert not going, "a timer goes on after the panel has gone"
        finally:
            self._forget()

    def _forget(self) -> None:
        for native in list(mrml_widgets.qMRMLWidget.living):
            if shiboken6.isValid(native):
                native.setMRMLScene(None)
        for timer in HostTimer.active():
            timer.stop()
        self.panels.clear()
        self._parents.clear()
        connections.forget()
        for widget in QApplication.topLevelWidgets():
            widget.hide()
            if widget not in _kept:
                _kept.append(widget)
        gc.collect()
        self.app.processEvents()


def forget_modules(before: set[str]) -> None:
    """Let the next test import the modules' files anew."""
    for name in set(sys.modules) - before:
        if name in MODULES or name.split(".")[0].endswith("Widgets"):
            del sys.modules[name]


def _is_widget(value) -> bool:
    return isinstance(unwrap(value), QWidget) and not isinstance(value, types.SimpleNamespace)
