"""The modules ``qt`` and ``ctk`` as Slicer's Python code imports them."""

from __future__ import annotations

import types

from PySide6 import QtCore, QtGui, QtWidgets

from . import ctk_widgets
from .pythonqt import class_for
from .ui_loader import QUiLoader


class QFileDialog:
    """Answers at once with ``answer``; what was asked is in ``asked``."""

    answer: str | list[str] = ""
    asked: list[tuple] = []  # noqa: RUF012
    DontConfirmOverwrite = QtWidgets.QFileDialog.Option.DontConfirmOverwrite

    @classmethod
    def _ask(cls, *question):
        cls.asked.append(question[1:])
        return cls.answer

    getSaveFileName = getOpenFileName = getExistingDirectory = getOpenFileNames = _ask


class QtModule(types.ModuleType):
    """Finds a class in the parts of PySide6, and wraps it."""

    QFileDialog = QFileDialog
    QUiLoader = QUiLoader

    def __getattr__(self, name: str):
        for part in (QtCore, QtGui, QtWidgets):
            found = getattr(part, name, None)
            if name.startswith("Q") and isinstance(found, type):
                wrapped = class_for(found)
                setattr(self, name, wrapped)
                return wrapped
        raise AttributeError(f"qt has no {name}")


class CtkModule(types.ModuleType):
    """The stand-ins for CTK's widgets; others do not exist here."""

    def __getattr__(self, name: str):
        found = vars(ctk_widgets).get(name)
        if name.startswith("ctk") and isinstance(found, type):
            return class_for(found)
        raise AttributeError(f"the test host has no ctk.{name}; add it to ctk_widgets.py")
