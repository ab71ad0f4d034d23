"""PythonQt's view of Qt objects, laid over those of PySide6 without changing them.

As in PythonQt a property is an attribute (``label.text``, never ``label.text()``), ``name`` is the
object name, and only properties can be set: an attribute that does not exist, or is a method,
fails on reading and on writing.
"""

from __future__ import annotations

import enum
import inspect
import weakref
from typing import Any, ClassVar

import shiboken6
from PySide6.QtCore import QObject, QTimer, SignalInstance
from PySide6.QtWidgets import QAbstractButton, QApplication, QDialog

from .signals import BoundSignal, Connections

NativeObject = shiboken6.Shiboken.Object
BLOCKING = ("exec", "exec_")
"""Methods that wait for the user, who is not there."""

_wrappers: weakref.WeakValueDictionary[int, Any] = weakref.WeakValueDictionary()
_classes: dict[type, type] = {}
connections = Connections()


class HostTimer(QTimer):
    """A timer that the host knows of, so that a test can let its time pass."""

    known: ClassVar[weakref.WeakSet] = weakref.WeakSet()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.known.add(self)

    @classmethod
    def active(cls) -> list[QTimer]:
        """The timers that are running."""
        there = [timer for timer in cls.known if shiboken6.isValid(timer)]
        return [timer for timer in there if timer.isActive()]

    @classmethod
    def elapse(cls) -> None:
        """Let each running timer fire once, whatever its interval."""
        for timer in cls.active():
            if shiboken6.isValid(timer) and timer.isActive():
                if timer.isSingleShot():
                    timer.stop()
                timer.timeout.emit()

    @staticmethod
    def singleShot(milliseconds: int, function) -> None:
        """Call a function once, later."""
        timer = HostTimer(QApplication.instance())
        timer.setSingleShot(True)
        timer.timeout.connect(connections.guarded(function))
        timer.timeout.connect(timer.deleteLater)
        timer.start(milliseconds)


SUBSTITUTES: dict[type, type] = {QTimer: HostTimer}
"""Classes of which modules get the host's own kind."""


class WrapperClass(type):
    """Class of the wrapped classes: enumerations and static functions are attributes."""

    def __getattr__(cls, name: str):
        native = cls.__dict__.get("native_class") or cls.__mro__[1].native_class
        value = getattr(native, name, None)
        if isinstance(value, (enum.EnumMeta, enum.Enum)):
            return value
        static = isinstance(inspect.getattr_static(native, name, None), staticmethod)
        if not name.startswith("_") and (static or inspect.isbuiltin(value)):
            return _calling(value, f"{cls.__name__}.{name}")
        raise AttributeError(f"{cls.__name__} has no enumeration value or static function {name}")


class Wrapper(metaclass=WrapperClass):
    """Base of all wrapped classes; ``native`` is the object of PySide6."""

    native_class: type = object

    def __init__(self, *arguments) -> None:
        cls = type(self)
        if "native_class" not in vars(cls) and issubclass(cls.native_class, QObject):
            raise TypeError(f"{cls.__name__}: the host has no objects of classes derived from Qt's")
        native = self.native_class(*map(unwrap, arguments))
        object.__setattr__(self, "_native", native)
        _wrappers[id(native)] = self

    # ------------------------------------------------------------------- attributes

    def __getattr__(self, name: str):
        native = self.__dict__.get("_native")
        if name.startswith("_") or native is None:
            raise AttributeError(name)
        if isinstance(native, QObject):
            key = _property_key(native, name)
            if key is not None:
                return wrap(native.property(key))
        value = getattr(native, name, None)
        if value is None:
            raise AttributeError(f"{type(self).__name__} has no attribute {name}")
        if isinstance(value, SignalInstance):
            return BoundSignal(self, native, name, connections)
        if callable(value):
            if name in BLOCKING and isinstance(native, QDialog):
                raise AssertionError(f"{type(self).__name__}.{name} would wait for the user")
            if name == "click" and isinstance(native, QAbstractButton) and not native.isEnabled():
                raise AssertionError(f"{native.objectName()} is disabled: {native.toolTip()}")
            return _calling(value, f"{type(self).__name__}.{name}")
        return wrap(value)

    def __setattr__(self, name: str, value) -> None:
        native = self._native
        if isinstance(native, QObject):
            key = _property_key(native, name)
            if key is not None:
                _write_property(native, key, unwrap(value))
                return
        if "native_class" in vars(type(self)):
            raise AttributeError(f"{type(self).__name__} has no property {name}")
        object.__setattr__(self, name, value)  # a class that a module derived

    # ---------------------------------------------------------------- PythonQt's own

    def connect(self, signal: str, *receiver) -> bool:
        """``connect("signal(types)", function)`` or ``(..., object, "slot(types)")``."""
        return connections.connect(self._native, signal, _function(receiver))

    def disconnect(self, signal: str, *receiver) -> bool:
        """Undo :meth:`connect`; without a function, all of the signal's."""
        function = _function(receiver) if receiver else None
        return connections.disconnect(self._native, signal, function)

    def className(self) -> str:
        """Name of the Qt class."""
        return type(self).__name__

    def delete(self) -> None:
        """Delete the object at once."""
        shiboken6.delete(self._native)

    # ------------------------------------------------------------------- as a value

    def __bool__(self) -> bool:
        return shiboken6.isValid(self._native)

    def __eq__(self, other) -> bool:
        other = unwrap(other)
        if isinstance(self._native, QObject):
            return self._native is other
        return self._native is other or bool(self._native == other)

    def __hash__(self) -> int:
        return hash(id(self._native))

    def __repr__(self) -> str:
        name = self._native.objectName() if isinstance(self._native, QObject) and self else ""
        return f"<{type(self).__name__} {name}>" if name else f"<{type(self).__name__}>"


def _function(receiver: tuple):
    """The callable of ``(function)`` or ``(object, "slot(types)")``."""
    if len(receiver) == 1:
        return receiver[0]
    target, slot = receiver
    return getattr(target, slot.partition("(")[0])


def _property_key(native: QObject, name: str) -> str | None:
    """The Qt property, declared or dynamic, that an attribute stands for."""
    if not shiboken6.isValid(native):
        raise ValueError(f"{name}: the object was deleted")
    key = "objectName" if name == "name" else name
    there = native.metaObject().indexOfProperty(key) >= 0
    return key if there or native.dynamicPropertyNames().count(key.encode()) else None


def _write_property(native: QObject, key: str, value) -> None:
    index = native.metaObject().indexOfProperty(key)
    if index >= 0 and not native.metaObject().property(index).isWritable():
        raise AttributeError(f"{type(native).__name__}.{key} can only be read")
    value = list(value) if type(value) is tuple else value
    if not native.setProperty(key, value) and index >= 0:
        raise ValueError(f"{type(native).__name__}.{key} cannot be {value!r}")


def _calling(method, name: str):
    def call(*arguments, **named):
        values = [unwrap(argument) for argument in arguments]
        try:
            return wrap(method(*values, **{key: unwrap(value) for key, value in named.items()}))
        except TypeError as error:
            raise ValueError(f"{name}{arguments}: {error}") from error  # as PythonQt

    call.__name__ = name.rpartition(".")[2]
    return call


def class_for(native: type) -> type:
    """The wrapped class for a class of PySide6, or for a stand-in derived from one."""
    native = SUBSTITUTES.get(native, native)
    if native not in _classes:
        stock = native.__base__ if native in SUBSTITUTES.values() else native
        bases = [base for base in stock.__bases__ if issubclass(base, NativeObject)]
        parents = tuple(class_for(base) for base in bases if base is not NativeObject)
        members = {"native_class": native}
        _classes[native] = WrapperClass(stock.__name__, parents or (Wrapper,), members)
    return _classes[native]


def wrap(value):
    """What PySide6 returned, as a module sees it."""
    if isinstance(value, NativeObject):
        known = _wrappers.get(id(value))
        if known is None:
            cls = class_for(type(value))
            known = cls.__new__(cls)
            object.__setattr__(known, "_native", value)
            _wrappers[id(value)] = known
        return known
    if isinstance(value, list):
        return [wrap(entry) for entry in value]
    if isinstance(value, tuple) and type(value) is tuple:
        return tuple(wrap(entry) for entry in value)
    return value


def unwrap(value):
    """What a module handed over, as PySide6 wants it."""
    if isinstance(value, Wrapper):
        return value._native
    if isinstance(value, type) and issubclass(value, Wrapper):
        return value.native_class
    if isinstance(value, (list, tuple)) and type(value) in (list, tuple):
        return type(value)(unwrap(entry) for entry in value)
    return value


connections.wrap = wrap
