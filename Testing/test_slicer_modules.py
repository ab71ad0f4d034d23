"""The Slicer modules and the extension's build files.

Run as a program, this file rewrites the lists of scripts and resources in the CMake files.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MODULES = ("MRISynth", "MRISynthSegment")
HEAVY = ("torch", "monai", "SimpleITK", "pydicom", "nibabel", "skimage", "scipy")
LISTS = ("SCRIPTS", "RESOURCES")

# ------------------------------------------------------------------- what CMake packages


def files_of(name: str) -> dict[str, list[str]]:
    """What the module's folder holds, by the list that it belongs to."""
    folder = ROOT / name
    found: dict[str, list[str]] = {"SCRIPTS": [], "RESOURCES": []}
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder).as_posix()
        hidden = any(part.startswith((".", "__pycache__")) for part in Path(relative).parts)
        if path.is_dir() or hidden or path.name == "CMakeLists.txt":
            continue
        kind = "SCRIPTS" if path.suffix == ".py" else "RESOURCES"
        found[kind].append(relative.replace(f"/{name}.", "/${MODULE_NAME}."))
    found["SCRIPTS"] = [
        "${MODULE_NAME}.py" if entry == f"{name}.py" else entry for entry in found["SCRIPTS"]
    ]
    found["SCRIPTS"].sort(key=lambda entry: ("/" in entry, entry))
    return found


def list_pattern(kind: str) -> re.Pattern:
    return re.compile(rf"(set\(MODULE_PYTHON_{kind}\n)(.*?)(  \)\n)", re.DOTALL)


def written_list(name: str, kind: str) -> list[str]:
    text = (ROOT / name / "CMakeLists.txt").read_text(encoding="utf-8")
    return list_pattern(kind).search(text)[2].split()


@pytest.mark.parametrize("kind", LISTS)
@pytest.mark.parametrize("name", MODULES)
def test_cmake_lists_every_file(name, kind):
    there, written = files_of(name)[kind], written_list(name, kind)
    missing = "\n".join(f"  {entry}" for entry in there if entry not in written)
    gone = "\n".join(f"  {entry}" for entry in written if entry not in there)
    assert not missing and not gone, (
        f"{name}/CMakeLists.txt: MODULE_PYTHON_{kind} lacks\n{missing}\nand has in excess\n{gone}\n"
        "Run: python Testing/test_slicer_modules.py"
    )
    assert len(written) == len(set(written))


def test_shared_resources_are_looked_for_where_they_are_installed(tmp_path):
    """In an installed extension all modules and their Resources share one folder."""
    script = (ROOT / "MRISynth/CMakeLists.txt").read_text(encoding="utf-8")
    assert "${Slicer_QTSCRIPTEDMODULES_LIB_DIR}/Resources/${folder}" in script
    assert "Bundles" in script and "Terminology" in script
    installed = tmp_path / "qt-scripted-modules"
    (installed / "Resources/Bundles").mkdir(parents=True)
    (installed / "MRISynthLib").mkdir()
    for source in (ROOT / "MRISynth/MRISynthLib").glob("*.py"):
        (installed / "MRISynthLib" / source.name).write_bytes(source.read_bytes())
    code = "from MRISynthLib import bundles; print(bundles.__file__, *bundles.bundle_roots())"
    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=installed, capture_output=True, text=True, check=True
    ).stdout
    used, *roots = answer.split()
    assert used == str(installed / "MRISynthLib/bundles.py")
    assert str(installed / "Resources/Bundles") in roots


def test_extension_description():
    text = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    settings = dict(re.findall(r'set\(EXTENSION_(\w+) "([^"]*)"\)?', text))
    assert "project(MRISynth)" in text and settings["DEPENDS"] == "PyTorch"
    assert "cmake_minimum_required(VERSION 3.28.0...3.28.0" in text
    assert "patent" in settings["DESCRIPTION"] and "simulated" in settings["DESCRIPTION"]
    icon = settings["ICONURL"].split("/main/")[1]
    assert (ROOT / icon).is_file()
    entry = json.loads((ROOT / "Resources/MRISynth.json").read_text(encoding="utf-8"))
    assert {"$schema", "category", "scm_url", "tier"} <= entry.keys()
    assert entry["build_dependencies"] == [settings["DEPENDS"]]
    assert entry["category"] == "Image Synthesis"
    assert "slicer" in entry["scm_url"].rsplit("/", 1)[1].lower()  # the index asks for it
    assert settings["HOMEPAGE"] == entry["scm_url"].removesuffix(".git")


@pytest.mark.parametrize("name", MODULES)
def test_icon_is_128_pixels_square(name):
    from struct import unpack

    start = (ROOT / name / f"Resources/Icons/{name}.png").read_bytes()[:24]
    assert start[:8] == b"\x89PNG\r\n\x1a\n" and unpack(">II", start[16:24]) == (128, 128)


# ------------------------------------------------------------------------------ .ui files


def uis_of(name: str) -> dict[str, ElementTree.Element]:
    """The module's own .ui file, and those of its sections, by their names."""
    files = sorted((ROOT / name / "Resources/UI").glob("*.ui"))
    return {path.stem: ElementTree.parse(path).getroot() for path in files}


@pytest.mark.parametrize("name", MODULES)
def test_ui_files_say_where_their_classes_are_and_feed_every_node_selector(name):
    """Slicer's widgets need a header each; those of a section get the scene from its class."""
    uis = uis_of(name)
    assert name in uis
    for stem, root in uis.items():
        widgets = {w.get("name"): w.get("class") for w in root.iter("widget")}
        assert len(widgets) == len(list(root.iter("widget"))), f"{stem}: a name is used twice"
        custom = {entry.text for entry in root.findall("customwidgets/customwidget/class")}
        assert custom == {cls for cls in widgets.values() if not cls.startswith("Q")}, stem
        own = stem == name
        expected = "qMRMLWidget" if own else "ctkCollapsibleButton"
        assert widgets[root.find("class").text] == expected, stem
        fed = {
            entry.find("receiver").text
            for entry in root.iter("connection")
            if entry.find("signal").text == "mrmlSceneChanged(vtkMRMLScene*)"
            and entry.find("slot").text == "setMRMLScene(vtkMRMLScene*)"
            and entry.find("sender").text == root.find("class").text
        }
        selectors = {key for key, cls in widgets.items() if cls == "qMRMLNodeComboBox"}
        assert fed == (selectors if own else set()), stem


def test_code_uses_only_widgets_that_exist():
    sources = [path for name in MODULES for path in (ROOT / name).glob("*.py")]
    sources += [path for name in MODULES for path in (ROOT / name).glob("*Widgets/*.py")]
    text = "\n".join(path.read_text(encoding="utf-8") for path in sources)
    used = set(re.findall(r"\bui\.(\w+)", text))
    roots = [root for name in MODULES for root in uis_of(name).values()]
    there = {w.get("name") for root in roots for w in root.iter("widget")}
    assert used <= there, f"in no .ui file: {used - there}"
    idle = {w for w in there if w.endswith("Button") and "Collapsible" not in w} - used
    assert not idle, f"buttons that do nothing: {idle}"


# --------------------------------------------------------------------------- import rules

IMPORT_CHECK = """
import sys, types
sys.path[:0] = {paths!r}
import slicer_standins
sys.modules.update(slicer_standins.modules())
sys.modules.update({{name: types.ModuleType(name) for name in ("qt", "ctk")}})
slicer = sys.modules["slicer"] = types.ModuleType("slicer")
slicer.vtkMRMLScalarVolumeNode = type("vtkMRMLScalarVolumeNode", (), {{}})
slicer.vtkMRMLSegmentationNode = type("vtkMRMLSegmentationNode", (), {{}})
slicer.vtkMRMLTableNode = type("vtkMRMLTableNode", (), {{}})
sys.modules["slicer.util"] = slicer_standins.module("util", VTKObservationMixin=object)
sys.modules["vtk"] = types.ModuleType("vtk")
before = set(sys.modules)
import MRISynth, MRISynthSegment
print(" ".join(sorted(set(sys.modules) - before)))
"""


def test_loading_the_modules_imports_nothing_heavy():
    """Slicer loads a module before its packages are there, and at every start."""
    paths = [str(ROOT / part) for part in ("Testing", *MODULES)]
    answer = subprocess.run(
        [sys.executable, "-c", IMPORT_CHECK.format(paths=paths)],
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 0, answer.stderr
    loaded = set(answer.stdout.split())
    assert {"MRISynth", "MRISynthSegment", "MRISynthLib.panel"} <= loaded
    top = {entry.split(".")[0] for entry in loaded}
    assert not top & {*HEAVY, "numpy", "multiprocessing"}
    lazy = {"MRISynthLib.mrml", "MRISynthLib.worker", "MRISynthLib.volume", "MRISynthLib.prompts"}
    assert not loaded & lazy


WINDOW_CHECK = """
import sys
import slicer
import MRISynthLib.bundles, MRISynthLib.mrml, MRISynthLib.prompts, MRISynthLib.worker
import MRISynthSegmentLib.mrml, MRISynthSegmentLib.task
print(*{"torch", "monai"} & set(sys.modules))
"""


def test_what_the_window_uses_never_loads_torch():
    """torch belongs into the worker; here it could crash or slow down Slicer itself."""
    pytest.importorskip("slicer", reason="needs slicer-core")
    answer = subprocess.run(
        [sys.executable, "-c", WINDOW_CHECK], capture_output=True, text=True, check=True
    )
    assert not answer.stdout.strip()


def write_lists() -> None:
    """Make the lists in the CMake files what the folders hold."""
    for name in MODULES:
        path = ROOT / name / "CMakeLists.txt"
        text = path.read_text(encoding="utf-8")
        for kind in LISTS:
            lines = "".join(f"  {entry}\n" for entry in files_of(name)[kind])
            text = list_pattern(kind).sub(lambda match, new=lines: match[1] + new + match[3], text)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write_lists()
