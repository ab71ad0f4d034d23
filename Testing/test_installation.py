"""The Python packages that the modules need inside Slicer: asked for once, installed, explained."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import tomllib
import types
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from MRISynthLib import packages
from MRISynthLib.errors import Cancelled, InputError

ROOT = Path(__file__).resolve().parents[1]
TORCH = f"torch{packages.TORCH}"


class FakeInstaller:
    """A Slicer in which pip does what the test says."""

    def __init__(self, installed=(), version=(5, 12), answer=True, network=True):
        self.installed, self.version, self.answer = set(installed), version, answer
        self.network, self.wheels, self.offered = network, "", ""
        self.said, self.problems, self.done = [], [], []

    def slicer_version(self):
        return self.version

    def satisfied(self, requirement):
        return requirement in self.installed

    def installed_version(self, name):
        return {"numpy": "2.4.1", "torch": "2.9.0+cu128"}.get(name, "")

    def confirm(self, question, details):
        self.said.append((question, details))
        return self.answer

    def wheels_folder(self):
        return self.wheels

    def choose_wheels_folder(self, problem, details):
        self.problems.append((problem, details))
        return self.offered

    def install_torch(self, version, pins):
        self.install([f"torch{version}"], pins, "")

    def install(self, requirements, pins, wheels):
        if not wheels and not self.network:
            raise packages.InstallationFailed("No network; check it.")
        self.done.append((list(requirements), pins, wheels))
        self.installed.update(requirements)


def fill(folder, names):
    for name in names:
        (folder / f"{name}-9.0-py3-none-any.whl").touch()
    return str(folder)


ALL_WHEELS = ["torch", "highdicom", "monai", "nibabel", "psutil", "pynrrd", "safetensors"]
ALL_WHEELS += ["scikit_image"]


def test_everything_is_installed_after_one_question():
    installer = FakeInstaller(installed=["monai>=1.4"])
    packages.ensure(installer)
    ((question, details),) = installer.said
    assert "needs 7 Python packages" in question and "from the network" in question
    assert "folder of wheels in Options" in question
    assert "safetensors" in details
    (first, _, _), (second, _, _) = installer.done
    assert first == [TORCH]  # before anything that depends on it
    assert "monai>=1.4" not in second and len(second) == 6
    packages.ensure(installer)
    assert len(installer.said) == 1 and not installer.problems


def test_what_slicer_ships_and_the_chosen_torch_are_left_as_they_are():
    installer = FakeInstaller()
    packages.ensure(installer)
    assert installer.done[0][1] == ("numpy==2.4.1",)  # torch itself is what is wanted
    assert installer.done[1][1] == ("numpy==2.4.1", "torch==2.9.0+cu128")


def test_no_means_no():
    installer = FakeInstaller(answer=False)
    with pytest.raises(Cancelled, match="not installed"):
        packages.ensure(installer)
    assert installer.done == []


def test_an_old_slicer_is_told_so_before_anything_is_asked():
    installer = FakeInstaller(version=(5, 10))
    with pytest.raises(InputError, match=r"needs 3D Slicer 5\.12 or later and this is 5\.10"):
        packages.ensure(installer)
    assert not installer.said
    assert packages.version_problem((6, 0)) == ""


def test_packages_that_did_not_arrive_are_named():
    installer = FakeInstaller()
    installer.install = lambda *_: None
    with pytest.raises(InputError, match="psutil"):
        packages.ensure(installer)


def test_behind_a_firewall_a_folder_of_wheels_is_asked_for_and_used(tmp_path):
    installer = FakeInstaller(network=False)
    installer.offered = fill(tmp_path, ALL_WHEELS)
    packages.ensure(installer)
    ((problem, command),) = installer.problems
    assert problem == "No network; check it."
    assert "pip download" in command and '"monai>=1.4"' in command and f'"{TORCH}"' in command
    ((installed, _, wheels),) = installer.done
    assert wheels == str(tmp_path) and set(installed) == {TORCH, *packages.REQUIREMENTS}
    assert len(installer.said) == 1


def test_a_folder_that_was_chosen_before_is_used_without_a_network(tmp_path):
    installer = FakeInstaller(network=False)
    installer.wheels = fill(tmp_path, ALL_WHEELS)
    packages.ensure(installer)
    assert f"from the folder {tmp_path}" in installer.said[0][0] and not installer.problems


def test_a_folder_that_lacks_wheels_says_which(tmp_path):
    installer = FakeInstaller(network=False)
    installer.offered = fill(tmp_path, ALL_WHEELS[1:-1])
    with pytest.raises(InputError, match=r"has no wheel of torch, scikit-image; add them"):
        packages.ensure(installer)
    assert installer.done == []
    assert "is not there" in packages.wheels_problem(str(tmp_path / "gone"), [TORCH])


def test_declining_the_folder_says_what_went_wrong():
    with pytest.raises(InputError, match="No network; check it"):
        packages.ensure(FakeInstaller(network=False))


def test_apply_pressed_again_meanwhile_does_not_install_twice():
    installer = FakeInstaller()
    again = []

    def install(requirements, pins, wheels):
        with pytest.raises(InputError, match="being installed; wait") as caught:
            packages.ensure(installer)
        again.append(caught)
        installer.installed.update(requirements)

    installer.install = install
    packages.ensure(installer)
    assert len(again) == 2 and len(installer.said) == 1


def test_package_lists_and_pyproject_agree():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = {Requirement(text).name: text for text in project["dependencies"]}
    for text in (*packages.REQUIREMENTS, f"torch{packages.TORCH}"):
        assert declared.pop(Requirement(text).name) == text
    others = {*packages.SHIPPED_WITH_SLICER, *packages.NOT_USED_IN_SLICER}
    assert set(declared) == others, "say in packages.py whether Slicer needs the new dependency"


# -------------------------------------------------------------------------- inside Slicer


@pytest.fixture
def installer(desk):
    return importlib.import_module("MRISynthWidgets.installer").SlicerInstaller()


def environment():
    return {key: value for key, value in os.environ.items() if key.startswith("PIP_")}


def test_torch_comes_through_the_extension_that_fits_it_to_the_machine(
    desk, installer, monkeypatch
):
    with pytest.raises(InputError, match="extension PyTorch is missing"):
        installer.install_torch(">=2.4", ())
    asked, before = [], environment()

    class PyTorchUtilsLogic:
        def installTorch(self, **wanted):  # noqa: N802
            constraints = Path(environment()["PIP_CONSTRAINT"].removeprefix("file://"))
            asked.append((wanted, constraints.read_text(encoding="utf-8")))

    utils = types.SimpleNamespace(PyTorchUtilsLogic=PyTorchUtilsLogic)
    monkeypatch.setitem(sys.modules, "PyTorchUtils", utils)
    monkeypatch.setattr(desk.slicer.util, "displayPythonShell", contextlib.nullcontext, False)
    installer.install_torch(">=2.4", ["numpy==2.4.1"])
    assert asked == [
        ({"askConfirmation": False, "torchVersionRequirement": ">=2.4"}, "numpy==2.4.1\n")
    ]
    assert environment() == before


def test_a_failure_of_pip_becomes_one_sentence(desk, installer, monkeypatch):
    def fail(requirements, **_):
        raise RuntimeError("ERROR: No matching distribution found for monai")

    monkeypatch.setattr(desk.slicer.packaging, "pip_ensure", fail, raising=False)
    with pytest.raises(InputError, match=r"monai>=1\.4 could not be installed; check the network"):
        installer.install(["monai>=1.4"], (), "")
    with pytest.raises(InputError, match=r"whether /wheels has all that they need"):
        installer.install(["monai>=1.4"], (), "/wheels")


def test_a_test_never_changes_the_environment(desk, installer):
    desk.app.testingEnabled = lambda: True
    assert not installer.confirm("Install?", "") and not installer.choose_wheels_folder("No.", "")
    assert not desk.asked


def test_the_folder_of_wheels_is_remembered(desk, installer, tmp_path):
    assert installer.wheels_folder() == ""
    desk.questions.answer = False
    assert installer.choose_wheels_folder("No network.", "command") == ""
    assert desk.asked[0].startswith("No network. Without a network")
    desk.questions.answer, desk.qt.QFileDialog.answer = True, str(tmp_path)
    assert installer.choose_wheels_folder("No network.", "command") == str(tmp_path)
    assert type(installer)().wheels_folder() == str(tmp_path)
    installer.remember_wheels_folder("")
    assert installer.wheels_folder() == ""


@pytest.mark.parametrize("name", ("MRISynth", "MRISynthSegment"))
def test_the_folder_of_wheels_can_be_chosen_in_the_options(
    desk, installer, name, tmp_path, monkeypatch
):
    wanted = {TORCH, "monai>=1.4"}
    monkeypatch.setattr(
        desk.slicer.packaging, "pip_check", lambda requirement: requirement not in wanted
    )
    panel = desk.open(name)
    section = next(each for each in panel.sections if each.uiName.endswith("Options"))
    section.widget.setCollapsed(False)
    said, line = section.ui.wheelsLabel, section.ui.wheelsPathLineEdit
    assert said.text == "2 Python packages will come from the network, at the first Apply."
    line.currentPath = fill(tmp_path, ["torch"])
    assert "has no wheel of monai; add them" in said.text and "pip download" in said.text
    fill(tmp_path, ["monai"])
    section.widget.setCollapsed(True)
    section.widget.setCollapsed(False)
    assert said.text == "2 Python packages will come from this folder, at the first Apply."
    assert installer.wheels_folder() == str(tmp_path)
    line.currentPath = str(tmp_path / "gone")
    assert "is not there" in said.text and installer.wheels_folder() == ""
    line.currentPath = ""
    assert "from the network" in said.text
    wanted.clear()
    section.widget.setCollapsed(True)
    section.widget.setCollapsed(False)
    assert said.text == "Not needed: all Python packages are installed."


def test_slicers_own_packaging_is_asked_rightly(desk, installer, monkeypatch, tmp_path):
    """Its real code, up to where it would start pip."""
    from qt_host.slicer_source import VARIABLE, load, source_folder

    folder = source_folder()
    if folder is None:
        pytest.skip(f"needs a checkout of Slicer's source (set {VARIABLE} to its folder)")
    load(folder, monkeypatch, ("i18n", "packaging"))
    started = []

    def execute(module, arguments, blocking, logCallback, completedCallback):  # noqa: N803
        started.append((module, arguments, environment()))
        completedCallback(0)

    monkeypatch.setattr(desk.slicer.util, "executePythonModule", execute, raising=False)
    assert installer.satisfied("numpy>=1.20") and not installer.satisfied("no-such-package>=1")
    spaced = tmp_path / "my wheels"
    spaced.mkdir()
    installer.install(["no-such-package>=1"], ["numpy==2.4.1"], str(spaced))
    ((module, arguments, variables),) = started
    assert module == "pip" and arguments[:2] == ["install", "no-such-package>=1"]
    assert arguments[2] == "-c" and variables["PIP_NO_INDEX"] == "1"
    assert variables["PIP_FIND_LINKS"] == spaced.as_uri() and " " not in spaced.as_uri()
    assert not desk.asked, "the one question was asked before"
