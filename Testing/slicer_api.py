"""Which parts of Slicer, Qt, CTK and VTK the modules' own code uses, found by reading it.

Uses are written as

``slicer.util.loadUI``     what is reached by name from ``slicer``, ``qt``, ``ctk`` or ``vtk``
``QPushButton.enabled``    an attribute of an object whose class can be seen in the code or the .ui
``QPushButton: clicked(bool)``  a signal that is connected
``.GetNodeReference``      an attribute of an object whose class cannot be seen, and whose name is
                           neither the project's own nor one of Python's

``slicer_api.json`` lists them with the file of Slicer's source that declares each, or, for what
Slicer takes from Qt, CTK and VTK, a Python file of Slicer that uses it in the same way.
``slicer_api_lookup.py`` proposes the file for a new one.
"""

from __future__ import annotations

import ast
import builtins
import collections
import contextlib
import hashlib
import logging
import pathlib
import re
import types
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("MRISynth", "MRISynthSegment")
LIST = Path(__file__).with_name("slicer_api.json")
HOSTS = ("slicer", "qt", "ctk", "vtk")


def scanned_files() -> list[Path]:
    """The module files, the packages of widgets, and what may import slicer in the libraries."""
    found = []
    for name in FOLDERS:
        folder = ROOT / name
        found += [folder / f"{name}.py", *folder.glob("*Widgets/**/*.py"), *folder.rglob("mrml.py")]
    return sorted(set(found))


def widget_classes() -> dict[str, str]:
    """Class of each widget in the .ui files, by its name."""
    classes: dict[str, str] = {}
    for path in (path for name in FOLDERS for path in (ROOT / name / "Resources/UI").glob("*.ui")):
        for widget in ElementTree.parse(path).getroot().iter("widget"):
            classes[widget.get("name")] = widget.get("class")
    return classes


def python_names() -> set[str]:
    """Attributes of Python's and NumPy's everyday objects."""
    kinds = (str, bytes, list, dict, set, tuple, int, float, slice, BaseException, OSError, Path)
    kinds += (pathlib.PurePath, np.ndarray, np.generic, collections.Counter, types.FunctionType)
    kinds += (
        np.dtype,
        type(hashlib.sha256()),
        re.Pattern,
        re.Match,
        logging.Logger,
        contextlib.ExitStack,
        types.ModuleType,
        type,
    )
    return {name for kind in kinds for name in dir(kind)} | set(dir(builtins))


def own_names() -> set[str]:
    """Names of functions, classes, parameters and attributes that the project defines."""
    names: set[str] = set()
    for path in (path for name in FOLDERS for path in (ROOT / name).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                names.add(node.name)
            elif isinstance(node, ast.arg):
                names.add(node.arg)
            elif isinstance(node, (ast.Assign, ast.AnnAssign)):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                for target in targets:
                    if isinstance(target, ast.Name):
                        names.add(target.id)
                    elif isinstance(target, ast.Attribute) and is_self(target.value):
                        names.add(target.attr)
    return names


def is_self(node: ast.AST) -> bool:
    """Whether this is the name ``self``."""
    return isinstance(node, ast.Name) and node.id == "self"


class Uses(ast.NodeVisitor):
    """Collects the uses in one file."""

    def __init__(self, widgets: dict[str, str], ignored: set[str]) -> None:
        self.found: set[str] = set()
        self._widgets, self._ignored = widgets, ignored
        self._imported: set[str] = set()
        self._names: dict[str, str] = {}
        """Variable -> dotted name, or "<Class>" of the object that it holds."""

    # ------------------------------------------------------------------------ imports

    def visit_Import(self, node: ast.Import) -> None:
        for entry in node.names:
            root = entry.name.split(".")[0]
            if root in HOSTS:
                self._names[root] = root
            else:
                self._imported.add(entry.asname or root)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        for entry in node.names:
            name = entry.asname or entry.name
            if (node.module or "").split(".")[0] in HOSTS:
                self._names[name] = f"{node.module}.{entry.name}"
                self.found.add(self._names[name])
            else:
                self._imported.add(name)

    # -------------------------------------------------------------------------- types

    def _kind(self, node: ast.AST) -> str | None:
        """Dotted name, "<Class>", "" for the project's or Python's own, None if unknown."""
        if isinstance(node, ast.Name):
            return self._names.get(node.id, "" if node.id in self._imported else None)
        if isinstance(node, ast.Attribute):
            holder = node.value
            if isinstance(holder, ast.Attribute) and holder.attr == "ui":
                return f"<{self._widgets[node.attr]}>" if node.attr in self._widgets else None
            if isinstance(holder, ast.Name) and holder.id == "ui":
                return f"<{self._widgets[node.attr]}>" if node.attr in self._widgets else None
            base = self._kind(holder)
            if base and not base.startswith("<"):
                return f"{base}.{node.attr}"
            return "" if base == "" else self._names.get(ast.unparse(node))
        if isinstance(node, ast.Call):
            called = self._kind(node.func)
            name = (called or "").rpartition(".")[2]
            if re.match(r"(Q[A-Z]|ctk[A-Z]|vtk[A-Z]|qMRML|qSlicer)", name):
                return f"<{name}>"
            return "" if called == "" else None
        return None

    def _remember(self, target: ast.AST, value: ast.AST) -> None:
        if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
            for part, its_value in zip(target.elts, value.elts, strict=False):
                self._remember(part, its_value)
        elif isinstance(target, (ast.Name, ast.Attribute)):
            key, kind = ast.unparse(target), self._kind(value)
            if kind:
                self._names[key] = kind
            elif isinstance(target, ast.Name):
                self._names.pop(key, None)

    # --------------------------------------------------------------------------- uses

    def visit_Assign(self, node: ast.Assign) -> None:
        for target in node.targets:
            self._remember(target, node.value)
        self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        before = dict(self._names)
        for argument in [*node.args.args, *node.args.kwonlyargs]:
            self._names.pop(argument.arg, None)
        self.generic_visit(node)
        local = {key for key in self._names if not key.startswith("self.")}
        kept = {key: value for key, value in self._names.items() if key not in local}
        self._names = before | kept

    def visit_Attribute(self, node: ast.Attribute) -> None:
        kind, holder = self._kind(node), self._kind(node.value)
        if holder and holder.startswith("<"):
            self.found.add(f"{holder.strip('<>')}.{node.attr}")
        elif kind and not kind.startswith("<") and kind.split(".")[0] in HOSTS and holder:
            self.found.add(kind)
        elif holder is None and not is_self(node.value) and node.attr not in self._ignored:
            self.found.add(f".{node.attr}")
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        function = node.func
        signal = node.args[0] if node.args else None
        if (
            isinstance(function, ast.Attribute)
            and function.attr in ("connect", "disconnect")
            and isinstance(signal, ast.Constant)
        ):
            kind = self._kind(function.value) or ""
            self.found.add(f"{kind.strip('<>')}: {signal.value}".strip())
        self.generic_visit(node)


def uses() -> set[str]:
    """All uses; of a dotted name only the longest."""
    widgets = widget_classes()
    ignored = own_names() | python_names() | widgets.keys()
    found: set[str] = set()
    for path in scanned_files():
        reader = Uses(widgets, ignored)
        reader.visit(ast.parse(path.read_text(encoding="utf-8")))
        found |= reader.found
    shorter = {entry.rpartition(".")[0] for entry in found}
    return {
        entry
        for entry in found
        if entry not in shorter or entry[0] == "." or ": " in entry or entry.count(".") == 0
    }
