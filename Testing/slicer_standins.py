"""Stand-ins for what desktop Slicer adds to slicer-core, just enough to run both modules.

Widgets are those of ``qt_host``; the scene and its nodes are Slicer's own. Module code never knows
of these files.
"""

from __future__ import annotations

import json
import os
import sys
import types
import typing
import unittest
from pathlib import Path

# ------------------------------------------------------------------------ parameter node


class Choice:
    def __init__(self, choices):
        self.choices = choices


class WithinRange:
    def __init__(self, minimum, maximum):
        self.minimum, self.maximum = minimum, maximum


class Minimum:
    def __init__(self, minimum):
        self.minimum = minimum


class Maximum:
    def __init__(self, maximum):
        self.maximum = maximum


class Default:
    def __init__(self, value):
        self.value = value


BINDINGS = {
    "QCheckBox": ((bool,), "stateChanged", "checked"),
    "QPushButton": ((bool,), "toggled", "checked"),
    "QSpinBox": ((int,), "valueChanged", "value"),
    "QSlider": ((int,), "valueChanged", "value"),
    "QDoubleSpinBox": ((float, int), "valueChanged", "value"),
    "ctkSliderWidget": ((float, int), "valueChanged", "value"),
    "ctkDoubleSpinBox": ((float, int), "valueChanged", "value"),
    "QComboBox": ((str, int, float, bool), "currentIndexChanged", None),
    "ctkComboBox": ((str, int, float, bool), "currentIndexChanged", None),
    "QLineEdit": ((str,), "textChanged", "text"),
    "QLabel": ((str,), None, "text"),
    "ctkPathLineEdit": ((Path,), "currentPathChanged", "currentPath"),
}
"""What Slicer can bind: widget class -> types, signal, property."""


class Connector:
    """Between one widget and one parameter, within the limits of Slicer's own."""

    def __init__(self, widget, hint):
        self.widget, self.slot = widget, None
        self.type = hint.__origin__ if hasattr(hint, "__metadata__") else hint
        extra = getattr(hint, "__metadata__", ())
        self.choices = next((entry.choices for entry in extra if isinstance(entry, Choice)), None)
        self.is_node = getattr(self.type, "__name__", "").startswith("vtkMRML")
        kind = widget.className()
        types_, self.signal, self.key = BINDINGS.get(kind, ((), None, None))
        if self.is_node and kind == "qMRMLNodeComboBox":
            self.signal = "currentNodeChanged"
            widget.nodeTypes = [self.type.__name__]
        elif self.type not in types_ or (self.key is None) != (self.choices is not None):
            raise RuntimeError(f"{widget.name}, a {kind}, cannot be bound to {hint}")
        if self.choices is not None:
            widget.clear()
            for choice in self.choices:
                widget.addItem(str(choice))
        for entry in extra:
            if isinstance(entry, (WithinRange, Minimum)):
                widget.setMinimum(entry.minimum)
            if isinstance(entry, (WithinRange, Maximum)):
                widget.setMaximum(entry.maximum)

    def read(self):
        if self.is_node:
            return self.widget.currentNode()
        if self.choices is not None:
            return self.choices[self.widget.currentIndex]
        return self.type(getattr(self.widget, self.key))

    def write(self, value):
        if self.is_node:
            self.widget.setCurrentNode(value)
        elif self.choices is not None:
            self.widget.currentIndex = self.choices.index(value)
        elif str(getattr(self.widget, self.key)) != str(value):
            setattr(self.widget, self.key, str(value) if self.type is Path else value)

    def connect(self, function):
        self.slot = function
        if self.signal is not None:
            getattr(self.widget, self.signal).connect(function)

    def disconnect(self):
        if self.signal is not None:
            getattr(self.widget, self.signal).disconnect(self.slot)


def parameter_node_wrapper(cls):
    """Typed access to a vtkMRMLScriptedModuleNode, and two-way binding to widgets."""
    hints = typing.get_type_hints(cls, include_extras=True)
    defaults = {name: vars(cls)[name] for name in hints if name in vars(cls)}

    def plain(name):
        hint = hints[name]
        return hint.__origin__ if hasattr(hint, "__metadata__") else hint

    def default(name):
        kind = plain(name)
        for entry in getattr(hints[name], "__metadata__", ()):
            if isinstance(entry, Default):
                return entry.value
        if name in defaults:
            return defaults[name]
        return (typing.get_origin(kind) or kind)()

    def read(self, name):
        if plain(name).__name__.startswith("vtkMRML"):
            return self.parameterNode.GetNodeReference(name)
        text = self.parameterNode.GetParameter(name)
        value = json.loads(text) if text else default(name)
        return Path(value) if plain(name) is Path else value

    def write(self, name, value):
        if plain(name).__name__.startswith("vtkMRML"):
            self.parameterNode.SetNodeReferenceID(name, value.GetID() if value else None)
        else:
            text = json.dumps(os.fspath(value) if isinstance(value, Path) else value)
            self.parameterNode.SetParameter(name, text)

    def connect_gui(self, ui):
        bound, busy = {}, []
        for widget in vars(ui).values():
            name = widget.property("SlicerParameterName")
            if name:
                if name not in hints:
                    raise ValueError(f"{widget.name} is bound to {name}, which does not exist")
                bound[name] = Connector(widget, hints[name])

        def to_widgets(*_):
            if not busy:
                busy.append(True)
                for name, connector in bound.items():
                    connector.write(read(self, name))
                busy.clear()

        def from_widget(name):
            if not busy:
                write(self, name, bound[name].read())

        to_widgets()
        for name, connector in bound.items():
            connector.connect(lambda *_, name=name: from_widget(name))
        return self.parameterNode.AddObserver("ModifiedEvent", to_widgets), bound

    def disconnect_gui(self, tag):
        self.parameterNode.RemoveObserver(tag[0])
        for connector in tag[1].values():
            connector.disconnect()

    for name in hints:
        setattr(
            cls,
            name,
            property(
                lambda self, n=name: read(self, n),
                lambda self, value, n=name: write(self, n, value),
            ),
        )
    cls.__init__ = lambda self, node: setattr(self, "parameterNode", node)
    cls.connectGui, cls.disconnectGui = connect_gui, disconnect_gui
    cls.getValue, cls.setValue = read, write
    cls.AddObserver = lambda self, *arguments: self.parameterNode.AddObserver(*arguments)
    cls.RemoveObserver = lambda self, tag: self.parameterNode.RemoveObserver(tag)
    cls.StartModify = lambda self: self.parameterNode.StartModify()
    cls.EndModify = lambda self, before: self.parameterNode.EndModify(before)
    return cls


# ---------------------------------------------------------------- scripted module classes


class ScriptedLoadableModule:
    def __init__(self, parent):
        self.parent = parent


class ScriptedLoadableModuleWidget:
    def __init__(self, parent=None):
        super().__init__()
        self.moduleName = type(self).__name__.removesuffix("Widget")
        self.parent = parent
        self.layout = parent.layout()

    def resourcePath(self, name):
        folder = Path(sys.modules[type(self).__module__].__file__).parent
        return str(folder / "Resources" / name)

    def setup(self):
        pass


class ScriptedLoadableModuleLogic:
    def __init__(self, parent=None):
        self.moduleName = type(self).__name__.removesuffix("Logic")

    def getParameterNode(self):
        import slicer

        node = slicer.mrmlScene.GetSingletonNode(self.moduleName, "vtkMRMLScriptedModuleNode")
        if node is None:
            node = slicer.vtkMRMLScriptedModuleNode()
            node.SetSingletonTag(self.moduleName)
            node = slicer.mrmlScene.AddNode(node)
        return node


class ScriptedLoadableModuleTest(unittest.TestCase):
    def delayDisplay(self, text):
        pass


def module(name: str, **contents) -> types.ModuleType:
    """A module object with these names."""
    made = types.ModuleType(name)
    vars(made).update(contents)
    return made


def modules() -> dict[str, types.ModuleType]:
    """The modules that desktop Slicer has and slicer-core lacks, ``qt`` and ``ctk`` apart."""
    scripted = {key: value for key, value in globals().items() if key.startswith("ScriptedLoad")}
    wrapping = (Choice, WithinRange, Minimum, Maximum, Default)
    return {
        "slicer.i18n": module("i18n", tr=lambda text: text, translate=lambda context, text: text),
        "slicer.ScriptedLoadableModule": module("ScriptedLoadableModule", **scripted),
        "slicer.parameterNodeWrapper": module(
            "parameterNodeWrapper",
            **{cls.__name__: cls for cls in wrapping},
            parameterNodeWrapper=parameter_node_wrapper,
        ),
        "slicer.packaging": module("packaging", pip_check=lambda requirement: True),
    }
