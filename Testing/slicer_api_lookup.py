"""Brings ``slicer_api.json`` up to date from checkouts of Slicer, CTK and PythonQt.

    python Testing/slicer_api_lookup.py FOLDER

with Slicer's source in FOLDER, CTK's in FOLDER/CTK and PythonQt's in FOLDER/PythonQt. What the
modules no longer use is taken out. For what they use since, the place is looked for that declares
it; read that place, and the documentation, before you commit the new line. Where a name alone does
not tell the class, write the right place by hand: it is kept.
"""

from __future__ import annotations

import json
import re
import sys
from functools import cached_property
from pathlib import Path

import vtk
from PySide6 import QtCore, QtGui, QtWidgets

from slicer_api import LIST, uses

HEADERS = ("Libs/MRML", "Libs", "Base", "Modules/Loadable", "CTK/Libs")
SCRIPTS = ("Base/Python", "Modules/Scripted", "Modules/Loadable", "Docs")
TYPE = r"^[ \t]*(?!return\b|else\b)[A-Za-z_][\w:<>,]*(?:[ \t]+[\w:<>,]+)*[ \t*&]+"
CLASSES = {
    "app": ("qSlicerApplication", "qSlicerCoreApplication", "ctkCoreApplication"),
    "mrmlScene": ("vtkMRMLScene",),
    "dicomDatabase": ("ctkDICOMDatabase",),
}
VTK_CLASSES = (
    "Object Collection ImageData PointData DataArray AbstractArray Matrix4x4 Renderer RenderWindow"
    " TextProperty TextActor TextRenderer Table RendererCollection Actor2D Points"
)
LIKELY = (
    "Node Scene StorableNode TransformableNode TransformNode DisplayableNode DisplayNode VolumeNode"
    " ScalarVolumeNode ScalarVolumeDisplayNode SliceNode SliceLogic TableNode SliceCompositeNode"
    " SegmentationNode SegmentationDisplayNode MarkupsNode MarkupsDisplayNode LayoutNode"
    " PlotChartNode PlotSeriesNode PlotViewNode SelectionNode InteractionNode ApplicationLogic"
    " CrosshairNode AbstractLogic"
)
"""vtkMRML classes in which members of objects of unseen classes are looked for first."""
LIKELY_TOO = ("vtkSegmentation", "vtkSegment", "vtkOrientedImageData")
WITH_SIGNALS = (
    "QAbstractButton",
    "QTableWidget",
    "QLineEdit",
    "QTimer",
    "qMRMLLayoutManager",
    "ctkCollapsibleButton",
    "ctkPathLineEdit",
)
PARTS = ("ScriptedLoadableModule", "util", "i18n", "packaging")


def qt_class(name: str) -> type | None:
    """A class of Qt, by its name."""
    parts = (QtWidgets, QtGui, QtCore)
    return next((getattr(part, name) for part in parts if hasattr(part, name)), None)


class Sources:
    """The checkouts; each question is answered with a place, or with an empty text."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def _read(self, folders: tuple[str, ...], ending: str) -> dict[str, str]:
        texts: dict[str, str] = {}
        for folder in folders:
            for path in sorted((self.folder / folder).rglob(ending)):
                if not re.search(r"/tests?(ing)?/|_p\.h$", path.as_posix().lower()):
                    key = path.relative_to(self.folder).as_posix()
                    texts.setdefault(key, path.read_text(encoding="utf-8", errors="replace"))
        return texts

    @cached_property
    def headers(self) -> dict[str, str]:
        return self._read(HEADERS, "*.h")

    @cached_property
    def scripts(self) -> dict[str, str]:
        return self._read(SCRIPTS, "*.py") | self._read(("Docs",), "*.md")

    @cached_property
    def wrappers(self) -> dict[str, tuple[str, str]]:
        """Qt class -> (file, text) of the class by which PythonQt wraps it."""
        found = {}
        for path, text in self._read(("PythonQt",), "*.h").items():
            for part in re.split(r"^class ", text, flags=re.MULTILINE)[1:]:
                name = part.split()[0]
                if name.startswith("PythonQtWrapper_"):
                    found[name.removeprefix("PythonQtWrapper_")] = (path, part)
        return found

    def header_of(self, cls: str) -> str:
        """The header that is named after a class."""
        return next((path for path in self.headers if path.endswith(f"/{cls}.h")), "")

    def in_class(self, name: str, cls: str) -> str:
        """The header in which a class, or a base of it, declares a member."""
        header, seen = self.header_of(cls), set()
        while header and header not in seen:
            seen.add(header)
            if self._declares(self.headers[header], name):
                return header
            stem = Path(header).stem
            base = re.search(rf"class [\w ]*\b{stem}\s*:\s*public (\w+)", self.headers[header])
            header = self.header_of(base[1]) if base else ""
            if base and not header and qt_class(base[1]):
                return self.in_qt(name, base[1])
            if base and not header and hasattr(vtk, base[1]):
                return f"VTK: {base[1]}" if hasattr(getattr(vtk, base[1]), name) else ""
        return ""

    def anywhere(self, name: str) -> str:
        """The first header of Slicer that declares a member of this name."""
        stem = re.sub("^[GS]et|O(n|ff)$", "", name)
        found = (path for path in self.headers if stem in self.headers[path])
        return next((path for path in found if self._declares(self.headers[path], name)), "")

    def likely(self, name: str) -> str:
        """Among the classes that the modules work with most."""
        classes = (*(f"vtkMRML{part}" for part in LIKELY.split()), *LIKELY_TOO)
        own = (path for cls in classes if (path := self.header_of(cls)))
        return next((path for path in own if self._declares(self.headers[path], name)), "")

    @staticmethod
    def _declares(text: str, name: str) -> bool:
        exact, property_name = re.escape(name), re.escape(name[3:])
        ways = [
            rf"{TYPE}{exact}\s*\(",
            rf"Q_PROPERTY\(\S+ {exact} ",
            rf"^\s*{exact}\s*(=[^=;]*)?,?\s*(//.*)?$",
            rf"{{\s*{exact}\b",
            rf"vtk(Get|Set)\w*Macro\s*\(\s*{property_name}\b" if name[:3] in ("Get", "Set") else "",
            rf"vtkBooleanMacro\s*\(\s*{re.escape(re.sub('O(n|ff)$', '', name))}\b"
            if name.endswith(("On", "Off"))
            else "",
        ]
        return any(re.search(way, text, re.MULTILINE) for way in ways if way)

    def used(self, text: str) -> str:
        """A script or page of Slicer that has this text as a word."""
        pattern = re.compile(rf"(?<!\w){re.escape(text)}(?!\w)")
        return next((path for path, page in self.scripts.items() if pattern.search(page)), "")

    # --------------------------------------------------------------------- Qt and VTK

    def in_qt(self, name: str, cls: str) -> str:
        """How Qt gives a member of a class to PythonQt: property, slot, wrapped method, enum."""
        native = qt_class(cls)
        for base in native.__mro__ if native else ():
            meta = getattr(base, "staticMetaObject", None)
            if meta is not None and meta.indexOfProperty(name) >= meta.propertyOffset():
                return f"Qt property: {base.__name__}"
            path, text = self.wrappers.get(base.__name__, ("", ""))
            if re.search(rf"\b(static_{base.__name__}_)?{re.escape(name)}\(|\b{name} = ", text):
                return path
            enums = range(meta.enumeratorOffset(), meta.enumeratorCount()) if meta else ()
            if any(meta.enumerator(index).keyToValue(name)[1] for index in enums):
                return f"Qt enumeration: {base.__name__}"
            methods = range(meta.methodOffset(), meta.methodCount()) if meta else ()
            if any(bytes(meta.method(index).name()).decode() == name for index in methods):
                return f"Qt slot or signal: {base.__name__}"
        return ""

    def in_vtk(self, name: str, *classes: str) -> str:
        """The class of VTK that has a member."""
        known = (cls for cls in classes if hasattr(vtk, cls))
        return next((f"VTK: {cls}" for cls in known if hasattr(getattr(vtk, cls), name)), "")


def find(sources: Sources, entry: str) -> str:
    """Where an entry is declared; empty if that is nowhere."""
    if ": " in f"{entry} ":
        cls, _, signal = entry.partition(": ")
        name = signal.partition("(")[0]
        classes = CLASSES.get(cls.removeprefix("slicer."), (cls,)) if cls else WITH_SIGNALS
        places = (sources.in_qt(name, cls) or sources.in_class(name, cls) for cls in classes)
        return next((place for place in places if place), "") or sources.used(f'"{signal}"')
    head, _, name = entry.rpartition(".")
    if name in ("connect", "disconnect"):
        return "PythonQt: signals"
    parts = entry.split(".")
    if parts[0] == "slicer" and len(parts) > 2 and parts[1] in PARTS:
        path = f"Base/Python/slicer/{parts[1]}.py"
        text = (sources.folder / path).read_text(encoding="utf-8")
        return path if re.search(rf"\b(def|class) {parts[2]}\b|^{parts[2]} ", text, re.M) else ""
    if entry.startswith("slicer.parameterNodeWrapper."):
        ways = re.compile(rf"^(class|def) {name}\b", re.MULTILINE)
        wrapping = (p for p in sources.scripts if "/parameterNodeWrapper/" in p)
        return next((path for path in wrapping if ways.search(sources.scripts[path])), "")
    if head in ("slicer", "vtk", "ctk", "qt"):
        if head == "qt" and qt_class(name):
            return sources.wrappers.get(name, (f"Qt: {name}", ""))[0]
        known = "VTK" if head == "vtk" and hasattr(vtk, name) else ""
        return sources.header_of(name) or known or sources.used(entry)
    if parts[0] == "vtk":
        return sources.in_vtk(name, parts[1]) or ("VTK" if parts[1] == "util" else "")
    classes = CLASSES.get(head.removeprefix("slicer."), (head.rpartition(".")[2],))
    for cls in classes if head else ():
        found = sources.in_qt(name, cls) or sources.in_class(name, cls) or sources.in_vtk(name, cls)
        if found:
            return found
    if head:
        return sources.used(entry)
    if name[0].isupper():
        common = (f"vtk{cls}" for cls in VTK_CLASSES.split())
        found = sources.likely(name) or sources.in_vtk(name, *common)
        return found or sources.anywhere(name) or sources.used(entry)
    of_panels = sources.used(f'classtype, "{name}"')
    panel = "Base/Python/slicer/ScriptedLoadableModule.py"
    if of_panels or f"def {name}(" in sources.scripts[panel]:
        return of_panels or panel
    widgets = (name_ for name_ in dir(QtWidgets) if name_.startswith("Q"))
    in_qt = next((place for cls in widgets if (place := sources.in_qt(name, cls))), "")
    return in_qt or sources.anywhere(name) or sources.used(entry)


def update(folder: Path) -> None:
    """Write the list anew; what is found nowhere gets an empty place."""
    known = json.loads(LIST.read_text(encoding="utf-8")) if LIST.exists() else {}
    sources, entries = Sources(folder), {}
    for entry in sorted(uses()):
        entries[entry] = known.get(entry) or find(sources, entry)
        if entry not in known:
            print(f"{entry}: {entries[entry] or 'found nowhere'}")
    LIST.write_text(json.dumps(entries, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    update(Path(sys.argv[1]))
