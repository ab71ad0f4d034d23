"""Slicer's own Python files in place of the stand-ins, from a checkout of its source.

``MRISYNTH_SLICER_SOURCE`` names the checkout; with it the fixture ``desk`` uses Slicer's
ScriptedLoadableModule, i18n and parameterNodeWrapper.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import slicer
from PySide6.QtWidgets import QWidget

from .pythonqt import class_for

VARIABLE = "MRISYNTH_SLICER_SOURCE"
NAMES = ("i18n", "ScriptedLoadableModule", "parameterNodeWrapper")
MENTIONED = (
    "ctkCheckBox",
    "ctkCheckablePushButton",
    "ctkColorPickerButton",
    "ctkDirectoryButton",
    "ctkDoubleRangeSlider",
    "ctkDoubleSlider",
    "ctkRangeWidget",
    "qMRMLRangeWidget",
    "qMRMLSliderWidget",
    "qMRMLSpinBox",
)
"""Widgets that Slicer's files compare others with; no panel here has one."""

_mentioned = {name: type(name, (QWidget,), {}) for name in MENTIONED}


def source_folder() -> Path | None:
    """The checkout's folder of Python files, or None if no checkout is named.

    Raises
    ------
    FileNotFoundError
        If the folder is not a checkout of Slicer.
    """
    checkout = os.environ.get(VARIABLE)
    if not checkout:
        return None
    folder = Path(checkout) / "Base/Python/slicer"
    if not (folder / "ScriptedLoadableModule.py").is_file():
        raise FileNotFoundError(f"{VARIABLE} is no checkout of Slicer: {folder} is missing")
    return folder


def load(folder: Path, monkeypatch, names: Sequence[str] = NAMES) -> None:
    """Import Slicer's files as the parts of ``slicer`` that slicer-core lacks."""
    for name, cls in _mentioned.items():
        home = sys.modules["ctk"] if name.startswith("ctk") else slicer
        monkeypatch.setattr(home, name, class_for(cls), raising=False)
    for name in names:
        full, package = f"slicer.{name}", folder / name
        path = package / "__init__.py" if package.is_dir() else folder / f"{name}.py"
        inner = [str(package)] if package.is_dir() else None
        spec = importlib.util.spec_from_file_location(full, path, submodule_search_locations=inner)
        module = importlib.util.module_from_spec(spec)
        for known in [key for key in sys.modules if key.startswith(f"{full}.")]:
            monkeypatch.delitem(sys.modules, known)
        monkeypatch.setitem(sys.modules, full, module)
        monkeypatch.setattr(slicer, name, module, raising=False)
        spec.loader.exec_module(module)
