"""Stand-ins for what desktop Slicer adds to slicer-core, just enough to run both modules.

Qt's are in ``qt_standins``. The scene and its nodes are Slicer's own. Module code never knows of
these files.
"""

from __future__ import annotations

import json
import sys
import types
import typing
import unittest
from pathlib import Path

import qt_standins
from qt_standins import QComboBox

# ------------------------------------------------------------------------ parameter node


class Choice:
    def __init__(self, choices):
        self.choices = choices


class WithinRange:
    def __init__(self, minimum, maximum):
        self.minimum, self.maximum = minimum, maximum


def _value_of(widget, choices):
    if isinstance(widget, QComboBox):
        return choices[widget.currentIndex]
    for key in ("checked", "node", "value", "text"):
        if hasattr(widget, key):
            return getattr(widget, key)
    raise TypeError(f"no parameter fits {type(widget).__name__}")


def _set_value(widget, value, choices):
    if isinstance(widget, QComboBox):
        widget.currentIndex = choices.index(value)
        return
    key = next(key for key in ("checked", "node", "value", "text") if hasattr(widget, key))
    setattr(widget, key, value)


def parameter_node_wrapper(cls):
    """Typed access to a vtkMRMLScriptedModuleNode, and two-way binding to widgets."""
    hints = typing.get_type_hints(cls, include_extras=True)

    def is_node(name):
        hint = hints[name]
        return isinstance(hint, type) and hint.__name__.startswith("vtkMRML")

    def default(name):
        if name in vars(cls):
            return defaults[name]
        return [] if typing.get_origin(hints[name]) is list else None

    defaults = {name: vars(cls)[name] for name in hints if name in vars(cls)}

    def read(self, name):
        if is_node(name):
            return self.parameterNode.GetNodeReference(name)
        text = self.parameterNode.GetParameter(name)
        return json.loads(text) if text else default(name)

    def write(self, name, value):
        if is_node(name):
            self.parameterNode.SetNodeReferenceID(name, value.GetID() if value else None)
        else:
            self.parameterNode.SetParameter(name, json.dumps(value))

    def choices(name):
        extra = getattr(hints[name], "__metadata__", ())
        return next((item.choices for item in extra if isinstance(item, Choice)), None)

    def connect_gui(self, ui):
        bound = {}
        for widget in vars(ui).values():
            name = widget.property("SlicerParameterName")
            if name:
                assert name in hints, f"{widget.name} is bound to {name}, which does not exist"
                bound[name] = widget

        def to_widgets(*_):
            for name, widget in bound.items():
                _set_value(widget, read(self, name), choices(name))

        for name, widget in bound.items():
            if choices(name):
                widget.clear()
                for choice in choices(name):
                    widget.addItem(str(choice))
        to_widgets()
        for name, widget in bound.items():
            widget._slots.clear()
            for signal in ("textChanged(QString)", "stateChanged(int)"):
                widget.connect(signal, lambda _, n=name, w=widget: write(self, n, _value_of(w, 0)))
            widget.connect(
                "currentIndexChanged(int)",
                lambda _, n=name, w=widget: write(self, n, _value_of(w, choices(n))),
            )
            widget.connect(
                "valueChanged()", lambda n=name, w=widget: write(self, n, _value_of(w, 0))
            )
        return self.parameterNode.AddObserver("ModifiedEvent", to_widgets), bound

    def disconnect_gui(self, tag):
        self.parameterNode.RemoveObserver(tag[0])
        for widget in tag[1].values():
            widget._slots.clear()

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
    cls.AddObserver = lambda self, *arguments: self.parameterNode.AddObserver(*arguments)
    cls.RemoveObserver = lambda self, tag: self.parameterNode.RemoveObserver(tag)
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
        self.layout = types.SimpleNamespace(addWidget=lambda widget: None)

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
    """The modules that desktop Slicer has and slicer-core lacks."""
    names = dict(globals())
    qt = {key: value for key, value in vars(qt_standins).items() if key.startswith("Q")}
    scripted = {key: value for key, value in names.items() if key.startswith("ScriptedLoadable")}
    return {
        "qt": module("qt", **qt),
        "slicer.i18n": module("i18n", tr=lambda text: text, translate=lambda context, text: text),
        "slicer.ScriptedLoadableModule": module("ScriptedLoadableModule", **scripted),
        "slicer.parameterNodeWrapper": module(
            "parameterNodeWrapper",
            Choice=Choice,
            WithinRange=WithinRange,
            parameterNodeWrapper=parameter_node_wrapper,
        ),
        "slicer.packaging": module("packaging", pip_check=lambda requirement: True),
    }
