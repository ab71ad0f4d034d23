"""The extension is configured, built and installed by CMake, with a stand-in for Slicer's macros.

What is then in the installed folder must be enough: both modules are imported from there.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from test_slicer_modules import MODULES, files_of

ROOT = Path(__file__).resolve().parents[1]
LARGEST_REPOSITORY = 100 * 2**20
"""Bytes of a clone; the Extensions Index refuses more (its check_repository_size)."""


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """The folder into which Slicer's installer puts all modules."""
    cmake = pytest.importorskip("cmake", reason="needs cmake (pip install mrisynth[test])")
    build, prefix = tmp_path_factory.mktemp("build"), tmp_path_factory.mktemp("installed")
    program = os.path.join(cmake.CMAKE_BIN_DIR, "cmake")
    settings = {
        "Slicer_DIR": ROOT / "Testing/cmake_slicer",
        "BUILD_TESTING": "ON",
        "CMAKE_INSTALL_PREFIX": prefix,
    }
    for language in ("C", "CXX"):  # there is nothing to compile
        settings[f"CMAKE_{language}_COMPILER"] = sys.executable
        settings[f"CMAKE_{language}_COMPILER_FORCED"] = "ON"
        settings[f"CMAKE_{language}_COMPILER_WORKS"] = "ON"
    defined = [f"-D{key}={value}" for key, value in settings.items()]
    for command in (
        [program, "-S", ROOT, "-B", build, "-G", "Unix Makefiles", *defined],
        [program, "--build", build],
        [program, "--install", build],
    ):
        answer = subprocess.run(command, capture_output=True, text=True)
        assert answer.returncode == 0, f"{answer.stdout}\n{answer.stderr}"
    return prefix / "lib/Slicer-5.12/qt-scripted-modules"


@pytest.mark.slow
def test_all_files_are_installed_into_one_folder(installed):
    for name in MODULES:
        for files in files_of(name).values():
            for file in files:
                assert (installed / file.replace("${MODULE_NAME}", name)).is_file(), file
    for folder in ("Bundles", "Terminology"):
        wanted = ROOT / "Resources" / folder
        files = [path for path in wanted.rglob("*") if path.is_file()]
        assert files
        for path in files:
            copy = installed / "Resources" / folder / path.relative_to(wanted)
            assert copy.read_bytes() == path.read_bytes()


@pytest.mark.slow
def test_slicer_finds_two_modules_and_no_more(installed):
    """Slicer takes each .py file of that folder for a module."""
    assert sorted(path.stem for path in installed.glob("*.py")) == sorted(MODULES)


INSTALLED_CHECK = """
import json, sys, types
sys.path.append({testing!r})
import slicer_standins
sys.modules.update(slicer_standins.modules())
sys.modules.update({{name: types.ModuleType(name) for name in ("qt", "ctk", "vtk")}})
slicer = sys.modules["slicer"] = types.ModuleType("slicer")
node = lambda name: type(name, (), {{}})
slicer.__getattr__ = lambda name: node(name) if name.startswith("vtkMRML") else None
sys.modules["slicer.util"] = slicer_standins.module("util", VTKObservationMixin=object)
sys.path.insert(0, {installed!r})
import MRISynth, MRISynthSegment
from MRISynthLib.bundles import load_bundle
from MRISynthSegmentLib import terminology
bundles = [load_bundle(task=task) for task in ("synthesis", "segmentation")]
own = [m.__file__ for name, m in sys.modules.items() if name.startswith("MRISynth") and m.__file__]
print(json.dumps([own, [str(bundle.folder) for bundle in bundles]]))
"""


@pytest.mark.slow
def test_both_modules_and_their_models_are_found_where_they_are_installed(installed, tmp_path):
    code = INSTALLED_CHECK.format(testing=str(ROOT / "Testing"), installed=str(installed))
    environment = {key: value for key, value in os.environ.items() if key != "MRISYNTH_BUNDLES"}
    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert answer.returncode == 0, answer.stderr
    modules, bundles = json.loads(answer.stdout.splitlines()[-1])
    assert len(modules) > 20 and len(bundles) == 2
    for path in (*modules, *bundles):
        assert Path(path).is_relative_to(installed), path


# -------------------------------------------------------------------- the Extensions Index

SCHEMA = {
    "$schema": str,
    "category": str,
    "scm_url": str,
    "scm_revision": str,
    "scm_type": str,
    "build_dependencies": list,
    "build_subdirectory": str,
    "enabled": bool,
    "tier": int,
}
"""Fields of a catalogue entry, by Slicer's Schemas/slicer-extension-catalog-entry-schema-v1.0.1."""


def test_catalogue_entry_has_the_fields_that_the_index_knows():
    entry = json.loads((ROOT / "Resources/MRISynth.json").read_text(encoding="utf-8"))
    assert {"$schema", "category", "scm_url"} <= entry.keys() <= SCHEMA.keys()
    for key, value in entry.items():
        assert type(value) is SCHEMA[key], key
    assert entry["$schema"].endswith("/slicer-extension-catalog-entry-schema-v1.0.1.json#")
    assert entry["scm_type"] == "git" and entry["scm_url"].startswith("https://")
    assert 1 <= entry["tier"] <= 5
    assert all(isinstance(name, str) for name in entry["build_dependencies"])


def test_repository_stays_small_enough_for_the_index():
    """Its files and its whole history."""

    def git(*arguments):
        return subprocess.run(
            ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout

    if not (ROOT / ".git").exists():
        pytest.skip("needs a git checkout")
    files = (ROOT / name for name in git("ls-files", "-z").split("\0") if name)
    tree = sum(path.stat().st_size for path in files if path.is_file())
    # of what a clone brings: this folder may hold objects twice or that nothing refers to
    history = int(git("rev-list", "--disk-usage", "--objects", "HEAD"))
    assert tree + history < LARGEST_REPOSITORY
