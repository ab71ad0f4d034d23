"""Loads .ui files as Slicer does, and fails where Slicer would only print a warning."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

from PySide6.QtCore import QBuffer, QByteArray, QMetaObject, QObject
from PySide6.QtUiTools import QUiLoader as NativeLoader
from PySide6.QtWidgets import QWidget

from . import ctk_widgets, mrml_widgets
from .pythonqt import connections, unwrap, wrap

STAND_INS: dict[str, type] = {
    name: cls
    for part in (ctk_widgets, mrml_widgets)
    for name, cls in vars(part).items()
    if name.startswith(("ctk", "qMRML", "qSlicer")) and isinstance(cls, type)
}
STOCK = set(NativeLoader().availableWidgets())


class _Loader(NativeLoader):
    def createWidget(self, name: str, parent: QWidget | None = None, objectName: str = ""):
        if name not in STAND_INS:
            return super().createWidget(name, parent, objectName)
        widget = STAND_INS[name](parent)
        widget.setObjectName(objectName)
        return widget


class QUiLoader:
    """Qt's loader; classes, properties, signals and slots that do not exist fail."""

    def load(self, file, parent=None):
        """The widget that a ``qt.QFile`` describes."""
        root = ElementTree.fromstring(bytes(unwrap(file).readAll()).decode())
        for element in root.iter("widget"):
            if element.get("class") not in STOCK and element.get("class") not in STAND_INS:
                raise RuntimeError(f"the .ui file has an unknown widget {element.get('class')}")
        wanted = [_connection(entry) for entry in root.iter("connection")]
        for entry in root.findall("connections"):
            root.remove(entry)  # made below, since Qt does not know the scene's types
        for element in root.iter("widget"):
            _number_values(element)
        buffer = QBuffer()
        buffer.setData(QByteArray(ElementTree.tostring(root)))
        buffer.open(QBuffer.OpenModeFlag.ReadOnly)
        native = _Loader().load(buffer, unwrap(parent))
        named = {child.objectName(): child for child in native.findChildren(QWidget)}
        named[native.objectName()] = native
        for element in root.iter("widget"):
            _check_properties(element, named[element.get("name")])
        for sender, signal, receiver, slot in wanted:
            _connect(named[sender], signal, named[receiver], slot)
        return wrap(native)


def _connection(element: ElementTree.Element) -> tuple[str, ...]:
    return tuple(element.find(part).text for part in ("sender", "signal", "receiver", "slot"))


def _number_values(element: ElementTree.Element) -> None:
    """Qt's loader does not know the enumerations of the stand-ins: it is given their numbers."""
    for entry in element.findall("property/enum"):
        cls, _, value = entry.text.rpartition("::")
        if cls in STAND_INS:
            entry.tag, entry.text = "number", str(int(getattr(STAND_INS[cls], value)))


def _check_properties(element: ElementTree.Element, native: QObject) -> None:
    for entry in element.findall("property"):
        key = entry.get("name")
        declared = native.metaObject().indexOfProperty(key) >= 0
        if not declared and entry.get("stdset") != "0":
            cls, name = element.get("class"), element.get("name")
            raise RuntimeError(f"the .ui file sets {key} of {name}, which a {cls} does not have")


def _connect(sender: QObject, signal: str, receiver: QObject, slot: str) -> None:
    name = bytes(QMetaObject.normalizedSignature(slot)).decode().partition("(")[0]
    function = getattr(receiver, name, None)
    if function is None:
        raise RuntimeError(f"{receiver.objectName()} has no slot {slot}")
    count = None if slot.partition("(")[2] != ")" else 0

    def forward(*arguments):
        function(*map(unwrap, arguments[:count]))

    connections.connect(sender, signal, forward)
