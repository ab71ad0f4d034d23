"""Stand-ins for the parts of Qt, CTK and Slicer's widgets that the panels use.

Objects that know only the properties and methods listed here, so that a misspelt one fails;
signals are those that the panels connect.
"""

from __future__ import annotations

import inspect
import types
import typing
import xml.etree.ElementTree as ElementTree


class Signals:
    """``connect("signal(types)", function)``, as in PythonQt."""

    def __init__(self):
        object.__setattr__(self, "_slots", {})
        object.__setattr__(self, "_blocked", False)

    def connect(self, signal, function):
        assert callable(function)
        self._slots.setdefault(signal, []).append(function)

    def blockSignals(self, blocked):
        before = self._blocked
        object.__setattr__(self, "_blocked", blocked)
        return before

    def emit(self, signal, *arguments):
        if not self._blocked:
            for function in self._slots.get(signal, []):
                # PythonQt hands over as many arguments as the function takes.
                count = len(inspect.signature(function).parameters)
                function(*arguments[:count])


class QWidget(Signals):
    """A widget that has the properties in ``defaults`` and no others."""

    defaults: typing.ClassVar[dict] = {}
    common: typing.ClassVar[dict] = {"name": "", "enabled": True, "toolTip": "", "visible": True}

    def __init__(self):
        super().__init__()
        object.__setattr__(self, "_dynamic", {})
        for cls in reversed(type(self).__mro__):
            for key, value in vars(cls).get("defaults", {}).items():
                object.__setattr__(self, key, value)
        for key, value in self.common.items():
            object.__setattr__(self, key, value)

    def __setattr__(self, key, value):
        if not hasattr(self, key):
            raise AttributeError(f"{type(self).__name__} has no property {key}")
        changed = getattr(self, key) != value
        object.__setattr__(self, key, value)
        if changed:
            self.changed(key)

    def changed(self, key):
        signal = {
            "text": "textChanged(QString)",
            "checked": "stateChanged(int)",
            "value": "valueChanged()",
            "currentIndex": "currentIndexChanged(int)",
        }.get(key)
        if signal:
            value = getattr(self, key)
            self.emit(signal, *([value] if signal.endswith(("int)", "QString)")) else []))

    def property(self, key):
        return self._dynamic.get(key)

    def setVisible(self, visible):
        self.visible = visible

    def setEnabled(self, enabled):
        self.enabled = enabled

    def setStyleSheet(self, sheet):
        assert isinstance(sheet, str)

    def setMRMLScene(self, scene):
        object.__setattr__(self, "scene", scene)


class QLabel(QWidget):
    defaults: typing.ClassVar[dict] = {"text": "", "wordWrap": False}


class QPushButton(QWidget):
    defaults: typing.ClassVar[dict] = {"text": ""}

    def click(self):
        assert self.enabled, f"{self.name} is disabled: {self.toolTip}"
        self.emit("clicked(bool)", False)


class QCheckBox(QWidget):
    defaults: typing.ClassVar[dict] = {"text": "", "checked": False}


class QLineEdit(QWidget):
    defaults: typing.ClassVar[dict] = {
        "text": "",
        "placeholderText": "",
        "clearButtonEnabled": False,
    }


class QSpinBox(QWidget):
    defaults: typing.ClassVar[dict] = {"value": 0}


class QComboBox(QWidget):
    defaults: typing.ClassVar[dict] = {"currentIndex": -1, "items": ()}

    def addItem(self, text):
        self.items = (*self.items, text)
        self.currentIndex = max(self.currentIndex, 0)

    def clear(self):
        self.items = ()

    def setCurrentIndex(self, index):
        assert 0 <= index < len(self.items)
        self.currentIndex = index


class QProgressBar(QWidget):
    defaults: typing.ClassVar[dict] = {"value": 0, "range": (0, 100)}

    def setRange(self, low, high):
        self.range = (low, high)

    def setValue(self, value):
        self.value = value


class ctkCollapsibleButton(QWidget):
    defaults: typing.ClassVar[dict] = {"text": "", "collapsed": False}


class ctkSliderWidget(QWidget):
    defaults: typing.ClassVar[dict] = {"value": 0, "minimum": 0, "maximum": 1, "singleStep": 0}


class qMRMLNodeComboBox(QWidget):
    defaults: typing.ClassVar[dict] = {
        "nodeTypes": (),
        "showChildNodeTypes": True,
        "noneEnabled": False,
        "addEnabled": True,
        "removeEnabled": True,
        "node": None,
    }


class qMRMLWidget(QWidget):
    pass


class Qt:
    Unchecked, Checked = 0, 2
    ItemIsEditable = 2


class QHeaderView:
    Stretch, ResizeToContents = "stretch", "contents"

    def setSectionResizeMode(self, column, mode):
        assert column < 3 and mode in ("stretch", "contents")


class QColor:
    def __init__(self, red, green, blue):
        assert all(0 <= channel <= 255 for channel in (red, green, blue))


class QBrush:
    def __init__(self, colour):
        assert isinstance(colour, QColor)


class _Item:
    """Item of a table or list; one check state and text."""

    signal = ""

    def __init__(self, text=""):
        self._text, self._state, self._flags, self.view = text, None, 63, None
        self.place = (0, 0)

    def _changed(self):
        if self.view is not None:
            self.view.emit(self.signal, self)

    def text(self):
        return self._text

    def setText(self, text):
        assert isinstance(text, str)
        self._text = text
        self._changed()

    def checkState(self):
        return self._state or Qt.Unchecked

    def setCheckState(self, state):
        self._state = state
        self._changed()

    def flags(self):
        return self._flags

    def setFlags(self, flags):
        self._flags = flags

    def setToolTip(self, text):
        self.tip = text

    def row(self):
        return self.place[0]

    def column(self):
        return self.place[1]


class QTableWidgetItem(_Item):
    signal = "itemChanged(QTableWidgetItem*)"


class QListWidgetItem(_Item):
    signal = "itemChanged(QListWidgetItem*)"


class QTreeWidgetItem:
    def __init__(self):
        self.texts, self.states, self.children, self.view = {}, {}, [], None

    def setText(self, column, text):
        self.texts[column] = text

    def setToolTip(self, column, text):
        self.texts[column, "tip"] = text

    def setForeground(self, column, brush):
        assert isinstance(brush, QBrush)

    def addChild(self, item):
        item.view = self.view
        self.children.append(item)

    def setExpanded(self, expanded):
        assert expanded in (True, False)

    def checkState(self, column):
        return self.states.get(column, Qt.Unchecked)

    def setCheckState(self, column, state):
        self.states[column] = state
        self.view.emit("itemChanged(QTreeWidgetItem*,int)", self, column)


class QTableWidget(QWidget):
    defaults: typing.ClassVar[dict] = {"rows": 0, "cells": {}, "selectionMode": ""}

    def horizontalHeader(self):
        return QHeaderView()

    def setRowCount(self, count):
        self.rows = count
        self.cells = {place: cell for place, cell in self.cells.items() if place[0] < count}

    def item(self, row, column):
        return self.cells[row, column]

    def setItem(self, row, column, item):
        assert row < self.rows
        item.view, item.place = self, (row, column)
        self.cells = {**self.cells, (row, column): item}

    def setCellWidget(self, row, column, widget):
        assert row < self.rows
        self.cells = {**self.cells, (row, column): widget}


class QListWidget(QWidget):
    defaults: typing.ClassVar[dict] = {"items": (), "selectionMode": ""}

    @property
    def count(self):
        return len(self.items)

    def item(self, row):
        return self.items[row]

    def addItem(self, item):
        item.view = self
        self.items = (*self.items, item)

    def clear(self):
        self.items = ()


class QTreeWidget(QWidget):
    defaults: typing.ClassVar[dict] = {"top": (), "selectionMode": ""}

    def addTopLevelItem(self, item):
        item.view = self
        self.top = (*self.top, item)

    def clear(self):
        self.top = ()


class QTimer(Signals):
    running: typing.ClassVar[list] = []

    def __init__(self):
        super().__init__()
        self.single = False

    def setSingleShot(self, single):
        self.single = single

    def setInterval(self, milliseconds):
        assert milliseconds >= 0

    def start(self):
        if self not in self.running:
            self.running.append(self)

    def stop(self):
        if self in self.running:
            self.running.remove(self)


class QFileDialog:
    answer = ""

    @classmethod
    def getSaveFileName(cls, parent, title, suggestion, filters):
        return cls.answer


def process_events(rounds: int = 3) -> None:
    """Let every timer that is due fire, some rounds long."""
    for _ in range(rounds):
        for timer in list(QTimer.running):
            if timer in QTimer.running:
                if timer.single:
                    timer.stop()
                timer.emit("timeout()")


WIDGETS = {
    cls.__name__: cls
    for cls in list(globals().values())
    if isinstance(cls, type) and issubclass(cls, QWidget)
}


def load_ui(path):
    """The widgets of a .ui file; an unknown class or property fails."""
    root = ElementTree.parse(path).getroot().find("widget")
    found = []
    for element in root.iter("widget"):
        widget = WIDGETS[element.get("class")]()
        widget.name = element.get("name")
        for entry in element.findall("property"):
            value = entry[0]
            if entry.get("stdset") == "0":
                widget._dynamic[entry.get("name")] = value.text
            elif entry.get("name") not in ("geometry", "minimumSize"):
                text = value.text
                plain = {"bool": lambda text: text == "true", "number": int, "double": float}
                read = plain.get(value.tag, lambda text: text or "")
                setattr(widget, entry.get("name"), read(text))
        found.append(widget)
    found[0].__dict__["found"] = found
    return found[0]


def child_widget_variables(widget):
    """The named widgets as attributes."""
    return types.SimpleNamespace(**{child.name: child for child in widget.__dict__["found"]})
