"""Who may import whom: the four lines of the design, held over every file of the tree.

1. ``MRISynthApp`` -> ``MRISynthSegmentLib`` -> ``MRISynthLib``, never the other way.
2. In the two libraries only ``mrml.py`` imports ``slicer`` or ``vtk``.
3. Nothing in them imports ``qt`` or ``ctk``.
4. The Slicer modules import no torch, monai or SimpleITK when they are loaded, directly or
   through anything that they import; nor does what a face needs before a worker runs.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = {
    "MRISynthLib": ROOT / "MRISynth" / "MRISynthLib",
    "MRISynthSegmentLib": ROOT / "MRISynthSegment" / "MRISynthSegmentLib",
    "MRISynthApp": ROOT / "MRISynthApp",
}
SLICER_MODULES = [
    ROOT / "MRISynth" / "MRISynth.py",
    ROOT / "MRISynthSegment" / "MRISynthSegment.py",
]
WIDGETS = (
    ROOT / "MRISynth" / "MRISynthWidgets",
    ROOT / "MRISynthSegment" / "MRISynthSegmentWidgets",
)

PANELS = ("MRISynthWidgets", "MRISynthSegmentWidgets", "MRISynth", "MRISynthSegment")
"""What only Slicer loads."""

FORBIDDEN = {
    "MRISynthLib": {"MRISynthSegmentLib", "MRISynthApp", *PANELS},
    "MRISynthSegmentLib": {"MRISynthApp", *PANELS},
    "MRISynthApp": {*PANELS},
}
SCENE = {"slicer", "vtk", "vtkmodules"}
DESKTOP = {"qt", "ctk", "PythonQt", "PySide6", "PyQt5", "PyQt6"}
HEAVY = {"torch", "monai", "SimpleITK"}

LIGHT = [
    "MRISynthLib",
    "MRISynthLib.bundles",
    "MRISynthLib.devices",
    "MRISynthLib.errors",
    "MRISynthLib.io",
    "MRISynthLib.progress",
    "MRISynthLib.prompts",
    "MRISynthLib.provenance",
    "MRISynthLib.sequences",
    "MRISynthLib.synthesis.task",
    "MRISynthLib.volume",
    "MRISynthLib.worker",
    "MRISynthSegmentLib",
    "MRISynthSegmentLib.segmentation",
    "MRISynthSegmentLib.structures",
    "MRISynthSegmentLib.task",
    "MRISynthApp.cli",
]
"""What a face imports before any image is read."""


@dataclass(frozen=True)
class Import:
    """One imported module, where, and whether that happens when the file is loaded."""

    module: str
    line: int
    at_load: bool

    @property
    def top(self) -> str:
        """The package that it belongs to."""
        return self.module.partition(".")[0]


def imports_of(path: Path) -> list[Import]:
    """Every import in a file, also inside functions and by ``import_module("name")``."""
    return list(_walk(ast.parse(path.read_text(encoding="utf-8")), at_load=True))


def _walk(node: ast.AST, at_load: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        inside = at_load
        match child:
            case ast.Import():
                for name in child.names:
                    yield Import(name.name, child.lineno, at_load)
            case ast.ImportFrom(level=0):
                yield Import(child.module, child.lineno, at_load)
                for name in child.names:
                    yield Import(f"{child.module}.{name.name}", child.lineno, at_load)
            case ast.Call(args=[ast.Constant(value=str(name)), *_]) if _is_import(child.func):
                yield Import(name, child.lineno, at_load)
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.Lambda():
                inside = False
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                inside = False
        yield from _walk(child, inside)


def _is_import(function: ast.expr) -> bool:
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    return name in ("import_module", "__import__", "importorskip")


def wrong_imports(folders: dict[str, Path]) -> list[str]:
    """Violations of rules 1 to 3, as ``file:line imports module``."""
    wrong = []
    for package, folder in folders.items():
        for path in sorted(folder.rglob("*.py")):
            banned = set(FORBIDDEN[package])
            if package != "MRISynthApp":
                banned |= DESKTOP
                if path.name != "mrml.py":
                    banned |= SCENE
            for item in imports_of(path):
                if item.top in banned:
                    place = path.relative_to(folder.parent)
                    wrong.append(f"{place}:{item.line} imports {item.module}")
    return sorted(set(wrong))


def heavy_at_load(paths: list[Path]) -> list[str]:
    """Violations of rule 4 within the files themselves."""
    return sorted(
        f"{path.name}:{item.line} imports {item.module}"
        for path in paths
        for item in imports_of(path)
        if item.at_load and item.top in HEAVY
    )


def loaded_by(modules: list[str]) -> set[str]:
    """Heavy packages in ``sys.modules`` after a fresh Python imported ``modules``."""
    code = (
        "import importlib, sys\n"
        f"for name in {modules!r}: importlib.import_module(name)\n"
        f"print(*(name for name in {sorted(HEAVY | SCENE)!r} if name in sys.modules))"
    )
    folders = {folder.parent for folder in FOLDERS.values()}
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, folders))}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_the_tree_keeps_the_rules() -> None:
    for package, folder in FOLDERS.items():
        assert len(list(folder.rglob("*.py"))) >= 5, f"{package} was not found where it should be"
    assert wrong_imports(FOLDERS) == []


def test_the_slicer_modules_load_nothing_heavy() -> None:
    widgets = [sorted(folder.glob("*.py")) for folder in WIDGETS]
    assert all(widgets), "the packages of widgets are not where they should be"
    files = [*SLICER_MODULES, *(path for paths in widgets for path in paths)]
    assert heavy_at_load(files) == []
    ours = {
        item.module
        for path in files
        for item in imports_of(path)
        if item.at_load and item.top in ("MRISynthLib", "MRISynthSegmentLib")
    }
    modules = sorted(name for name in ours if _is_module(name) and not name.endswith(".mrml"))
    assert modules, "the Slicer modules import nothing of ours: then this test looks at the wrong"
    assert loaded_by(modules) & HEAVY == set()


def _is_module(name: str) -> bool:
    package, _, rest = name.partition(".")
    place = FOLDERS[package].joinpath(*rest.split("."))
    return place.with_suffix(".py").is_file() or (place / "__init__.py").is_file()


def test_light_modules_load_nothing_heavy() -> None:
    assert loaded_by(LIGHT) == set()


def test_a_heavy_import_would_be_noticed() -> None:
    assert loaded_by(["SimpleITK"]) == {"SimpleITK"}


@pytest.mark.parametrize(
    ("package", "file", "line"),
    [
        ("MRISynthLib", "a.py", "import MRISynthSegmentLib"),
        ("MRISynthLib", "a.py", "from MRISynthApp.cli import app"),
        ("MRISynthLib", "a.py", "def f():\n    from MRISynthSegmentLib import structures"),
        ("MRISynthLib", "a.py", "import importlib\nimportlib.import_module('MRISynthApp')"),
        ("MRISynthSegmentLib", "a.py", "from MRISynthApp import cli"),
        ("MRISynthLib", "a.py", "import vtk"),
        ("MRISynthLib", "deep/a.py", "def f():\n    import vtkmodules.util"),
        ("MRISynthSegmentLib", "a.py", "try:\n    import slicer.util\nexcept ImportError: pass"),
        ("MRISynthLib", "mrml.py", "import qt"),
        ("MRISynthSegmentLib", "mrml.py", "from ctk import ctkSliderWidget"),
        ("MRISynthApp", "a.py", "from MRISynthWidgets import panel_widget"),
    ],
)
def test_every_kind_of_wrong_import_is_found(tmp_path, package, file, line) -> None:
    folders = {name: tmp_path / name for name in FOLDERS}
    path = folders[package] / file
    path.parent.mkdir(parents=True)
    path.write_text(line)
    assert len(wrong_imports(folders)) >= 1


@pytest.mark.parametrize(
    ("package", "file", "line"),
    [
        ("MRISynthSegmentLib", "a.py", "from MRISynthLib.volume import Volume"),
        ("MRISynthApp", "a.py", "import vtk, slicer\nfrom MRISynthSegmentLib import io"),
        ("MRISynthLib", "mrml.py", "import slicer\nimport vtk"),
        ("MRISynthLib", "a.py", "from . import volume"),
    ],
)
def test_right_imports_are_left_alone(tmp_path, package, file, line) -> None:
    folders = {name: tmp_path / name for name in FOLDERS}
    path = folders[package] / file
    path.parent.mkdir(parents=True)
    path.write_text(line)
    assert wrong_imports(folders) == []


def test_heavy_imports_count_only_at_load(tmp_path) -> None:
    path = tmp_path / "module.py"
    path.write_text(
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    import torch\n"
        "def f():\n    import monai\n"
        "class C:\n    import SimpleITK\n"
        "try:\n    import torch.nn\nexcept ImportError:\n    pass\n"
    )
    assert heavy_at_load([path]) == [
        "module.py:7 imports SimpleITK",
        "module.py:9 imports torch.nn",
    ]
