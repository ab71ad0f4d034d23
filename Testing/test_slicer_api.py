"""Every call of Slicer, Qt, CTK and VTK is on a list of calls that were looked up.

The list is ``slicer_api.json``; ``slicer_api.py`` says how it is read from the code.
"""

from __future__ import annotations

import ast
import json
import os
from pathlib import Path

import pytest

from slicer_api import LIST, Uses, uses

PLACES = ("Base/", "Libs/", "Modules/", "Docs/", "CTK/", "PythonQt", "Qt ", "VTK")


@pytest.fixture(scope="module")
def listed() -> dict[str, str]:
    return json.loads(LIST.read_text(encoding="utf-8"))


def found_in(code: str) -> set[str]:
    reader = Uses({"okButton": "QPushButton"}, {"own", "append"})
    reader.visit(ast.parse(code))
    return reader.found


def test_code_is_read_as_one_would_read_it():
    assert found_in("import slicer\nslicer.util.loadUI(p)") >= {"slicer.util.loadUI"}
    assert found_in("from slicer.i18n import tr as _") == {"slicer.i18n.tr"}
    assert "QPushButton.text" in found_in("self.ui.okButton.text = 'a'")
    assert "QTimer: timeout()" in found_in("import qt\nt = qt.QTimer()\nt.connect('timeout()', f)")
    assert "QTimer.stop" in found_in("import qt\nself.t = qt.QTimer()\ndef f(self): self.t.stop()")
    assert "slicer.mrmlScene.Clear" in found_in("import slicer\ns = slicer.mrmlScene\ns.Clear()")
    assert found_in("def f(node): node.GetID(); node.own(); a.append(1)") == {".GetID"}
    assert found_in("import numpy as np\nnp.zeros(3).mean()") == set()


def test_every_use_is_listed(listed):
    new, gone = uses() - listed.keys(), listed.keys() - uses()
    assert not new, (
        f"{sorted(new)}: look them up in Slicer's source and documentation, then add them to "
        f"{LIST.name} (python Testing/slicer_api_lookup.py FOLDER proposes the lines)"
    )
    assert not gone, f"no longer used, take them out of {LIST.name}: {sorted(gone)}"


def test_every_listed_use_has_a_place(listed):
    without = [entry for entry, place in listed.items() if not place.startswith(PLACES)]
    assert not without, f"nobody looked these up: {without}"


def test_what_comes_from_vtk_is_in_vtk(listed):
    vtk = pytest.importorskip("vtk")
    for entry, place in listed.items():
        if place.startswith("VTK: "):
            cls = getattr(vtk, place.removeprefix("VTK: "))
            assert hasattr(cls, entry.rpartition(".")[2]), entry


def test_places_in_slicers_source_are_right(listed):
    checkout = os.environ.get("MRISYNTH_SLICER_SOURCE")
    if not checkout:
        pytest.skip(
            "needs a checkout of Slicer's source (set MRISYNTH_SLICER_SOURCE to its folder)"
        )
    for entry, place in listed.items():
        path = Path(checkout) / place
        if path.suffix in (".h", ".py", ".md") and place.startswith(("Base/", "Libs/", "Modules/")):
            name = entry.rpartition(": ")[2].partition("(")[0].rpartition(".")[2]
            if name == "__init__":
                name = entry.split(".")[-2]
            text = path.read_text(encoding="utf-8", errors="replace")
            short = name.removeprefix("Get").removeprefix("Set")
            short = short.removesuffix("On").removesuffix("Off")
            assert name in text or f"Macro({short}" in text, f"{entry} is not in {place}"
