"""Signals with PythonQt's ``connect``."""

from __future__ import annotations

import inspect
import traceback
import types
from collections.abc import Callable

from PySide6.QtCore import SIGNAL, QMetaMethod, QMetaObject, QObject


def accepted_arguments(function: Callable) -> int | None:
    """How many arguments PythonQt hands to a slot; None: all that the signal has.

    PythonQt looks at plain functions and bound methods only, and it counts parameters that have a
    default: ``lambda key=key: ...`` is given the signal's first argument.
    """
    method = inspect.ismethod(function)
    plain = function.__func__ if method else function
    if not isinstance(plain, types.FunctionType) or plain.__code__.co_flags & inspect.CO_VARARGS:
        return None
    return plain.__code__.co_argcount - method


class Connections:
    """All connections of the host, and what went wrong in the functions that they call.

    An exception in a slot does not reach the one who pressed the button, in PythonQt as here; it is
    kept in ``errors`` for the test to fail on.
    """

    def __init__(self) -> None:
        self.errors: list[BaseException] = []
        self.wrap: Callable = lambda value: value
        self._made: list[tuple[QObject, str, Callable, Callable]] = []

    def guarded(self, function: Callable) -> Callable:
        """The function as a slot: fewer arguments if it takes fewer, errors are kept."""
        count = accepted_arguments(function)

        def slot(*arguments):
            try:
                function(*map(self.wrap, arguments[:count]))
            except Exception as error:
                traceback.print_exc()
                self.errors.append(error)

        return slot

    def connect(self, native: QObject, signal: str, function: Callable) -> bool:
        """Connect; an unknown signal fails, where PythonQt only returns False."""
        if not callable(function):
            raise TypeError(f"{signal} cannot be connected to {function!r}")
        signature, slot = self._signature(native, signal), self.guarded(function)
        if not QObject.connect(native, SIGNAL(signature), slot):
            raise AttributeError(f"{type(native).__name__} has no signal {signal}")
        self._made.append((native, signature, function, slot))
        return True

    def disconnect(self, native: QObject, signal: str, function: Callable | None) -> bool:
        """Disconnect one function, or all; True if there was one."""
        signature = self._signature(native, signal)
        gone = [
            made
            for made in self._made
            if made[0] is native and made[1] == signature and function in (None, made[2])
        ]
        for made in gone:
            QObject.disconnect(native, SIGNAL(signature), made[3])
            self._made.remove(made)
        return bool(gone)

    def forget(self) -> None:
        """Drop all references to objects and functions; the errors too."""
        self._made.clear()
        self.errors.clear()

    @staticmethod
    def _signature(native: QObject, signal: str) -> str:
        wanted = bytes(QMetaObject.normalizedSignature(signal)).decode()
        # The stand-ins' signals that carry nodes and scenes have no such C++ types.
        wanted = getattr(native, "SIGNALS", {}).get(wanted, wanted)
        index = native.metaObject().indexOfSignal(wanted)
        if index < 0:
            raise AttributeError(f"{type(native).__name__} has no signal {signal}")
        return wanted


class BoundSignal:
    """``widget.clicked``: to connect, disconnect, or to emit by calling it."""

    def __init__(self, owner, native: QObject, name: str, connections: Connections) -> None:
        self._owner, self._native, self._name = owner, native, name
        self._connections = connections

    def _signature(self) -> str:
        meta = self._native.metaObject()
        for index in range(meta.methodCount()):
            method = meta.method(index)
            name = bytes(method.name()).decode()
            if name == self._name and method.methodType() == QMetaMethod.Signal:
                return bytes(method.methodSignature()).decode()
        raise AttributeError(self._name)

    def connect(self, function: Callable) -> bool:
        return self._connections.connect(self._native, self._signature(), function)

    def disconnect(self, function: Callable | None = None) -> bool:
        return self._connections.disconnect(self._native, self._signature(), function)

    def __call__(self, *arguments) -> None:
        getattr(self._native, self._name).emit(*arguments)
