"""What is shipped: package lists, pinned versions, the README's commands, the Makefile."""

from __future__ import annotations

import itertools
import os
import re
import shlex
import shutil
import subprocess
import tomllib
from fnmatch import fnmatch
from importlib.metadata import version
from pathlib import Path

import pytest
import typer
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
README = (ROOT / "README.md").read_text(encoding="utf-8")
LARGEST_FILE = 16 * 2**20
NOT_PACKAGED = ("Resources/MRISynth.json", "Resources/Screenshots/*", "Resources/Icons/*")
"""For the repository's visitors and the Extensions Index, not for the program."""


def shipped_files() -> list[Path]:
    """Files that git tracks or would track."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("needs a git checkout")
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def package_folders() -> dict[str, Path]:
    """Package name -> folder, as pyproject.toml maps them."""
    tool = PYPROJECT["tool"]["setuptools"]
    roots = {name: ROOT / folder for name, folder in tool["package-dir"].items()}
    folders = {}
    for name in tool["packages"]:
        root, *rest = name.split(".")
        folders[name] = roots[root].joinpath(*rest)
    return folders


def readme_commands() -> list[list[str]]:
    """Words of every command line in the README's code blocks."""
    lines = re.findall(r"^ {4}(\S.*)$", README, flags=re.MULTILINE)
    return [shlex.split(line, posix="\\" not in line) for line in lines]


def test_every_package_is_listed_and_every_listed_package_exists():
    listed = package_folders()
    found = set()
    for name, folder in listed.items():
        if "." not in name and (folder / "__init__.py").exists():
            for init in folder.rglob("__init__.py"):
                found.add(".".join((name, *init.parent.relative_to(folder).parts)))
    with_code = {name for name, folder in listed.items() if any(folder.glob("*.py"))}
    assert found == with_code
    assert set(listed) - with_code == {"MRISynthResources"}


def test_every_data_file_of_a_package_is_packaged():
    patterns = PYPROJECT["tool"]["setuptools"]["package-data"]
    folders = package_folders()
    packaged = {
        file
        for name, globs in patterns.items()
        for pattern in globs
        for file in folders[name].glob(pattern)
    }
    missed = []
    for file in shipped_files():
        owners = [name for name, folder in folders.items() if file.is_relative_to(folder)]
        if not owners or file.suffix == ".py":
            continue
        if any(fnmatch(file.relative_to(ROOT).as_posix(), kept) for kept in NOT_PACKAGED):
            continue
        if file not in packaged:
            missed.append(file.relative_to(ROOT).as_posix())
    assert not missed


def test_constraints_pin_what_is_required_and_nothing_else_than_versions():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = {}
    for line in lines:
        if line.startswith("#"):
            continue
        match = re.fullmatch(r"([a-z0-9-]+)==([0-9][0-9a-z.]*)", line)
        assert match, f"{line!r} is not a plain name==version"
        pins[match[1]] = match[2]
    project = PYPROJECT["project"]
    extras = project["optional-dependencies"]
    for text in itertools.chain(project["dependencies"], *extras.values()):
        requirement = Requirement(text)
        name = canonicalize_name(requirement.name)
        assert name in pins, f"{name} is not pinned"
        assert requirement.specifier.contains(pins[name]), f"{name} is pinned to {pins[name]}"


def test_the_package_says_its_version():
    import MRISynthLib

    assert version("mrisynth") == MRISynthLib.__version__


def test_shipped_files_are_small():
    large = [str(p) for p in shipped_files() if p.stat().st_size >= LARGEST_FILE]
    assert not large


def test_no_path_of_a_machine_and_no_registry_is_in_a_shipped_file():
    machine = r"(?<![\w./:$}-])/(?:work|root|tmp|opt|home/\w+|Users/\w+)/"
    registry = r"(?:extra-)?index-url|--find-links"
    pattern = re.compile(f"{machine}|{registry}".encode())
    here = str(ROOT).encode()
    found = []
    for path in shipped_files():
        if path == Path(__file__).resolve():
            continue
        content = path.read_bytes()
        if (b"\0" not in content and pattern.search(content)) or here in content:
            found.append(str(path.relative_to(ROOT)))
    assert not found


def test_make_commands_of_the_readme_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, flags=re.MULTILINE))
    named = {words[1] for words in readme_commands() if words[0] == "make"}
    assert {"demo", "test"} <= named <= targets
    first = [words for words in readme_commands() if words[0] != "#"][:2]
    assert first == [["make", "demo"], ["make", "test"]]


STAND_IN = """#!/bin/sh
case "$*" in
  "-m venv --clear "*) echo venv >> "{log}"; mkdir -p "$4/bin"; cp "$0" "$4/bin/python" ;;
  *"pip install"*) echo install >> "{log}"; test ! -e "{broken}" ;;
esac
"""
"""For Python: writes down what it is asked for; installing fails while a file is there."""


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_an_installation_that_was_broken_off_begins_anew_and_a_finished_one_is_kept(tmp_path):
    log, broken, python = tmp_path / "log", tmp_path / "broken", tmp_path / "python"
    python.write_text(STAND_IN.format(log=log, broken=broken))
    python.chmod(0o755)

    def set_up(*more: str) -> list[str]:
        log.write_text("")
        command = ["make", "setup", f"VENV={tmp_path / 'venv'}", f"PYTHON={python}", *more]
        subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
        return log.read_text().split()

    broken.touch()
    assert set_up() == ["venv", "install"]
    broken.unlink()
    assert set_up() == ["venv", "install"]  # not into what was left
    assert set_up() == []
    assert set_up("-B") == ["install"]  # as with newer packages


def test_mrisynth_commands_of_the_readme_exist_with_their_options():
    from MRISynthApp.cli import app

    root = typer.main.get_command(app)
    lines = [w for w in readme_commands() if re.fullmatch(r"(.*\\)?mrisynth", w[0])]
    assert len(lines) >= 5
    for words in lines:
        command = root
        rest = words[1:]
        while hasattr(command, "commands"):
            assert rest[0] in command.commands, " ".join(words)
            command = command.commands[rest.pop(0)]
        options = {
            option
            for parameter in command.params
            for option in (*parameter.opts, *parameter.secondary_opts)
        }
        used = {word.split("=")[0] for word in rest if word.startswith("--")}
        assert used <= options, " ".join(words)


def test_windows_lines_install_what_the_makefile_installs():
    makefile = " ".join((ROOT / "Makefile").read_text(encoding="utf-8").split())
    install = '-c constraints.txt -e ".[scene,train,view,test]"'
    assert install in makefile.replace("\\ ", "")
    windows = re.search(r"On Windows:\n\n((?: {4}.*\n)+)", README)
    lines = windows[1].strip().splitlines()
    assert len(lines) == 3
    assert install in lines[1]


def test_files_that_the_readme_names_exist():
    linked = re.findall(r"\]\(([^)#]+)\)", README)
    in_text = re.findall(r"`((?:Resources|Testing|MRISynth\w*|\.ci)/[\w./]*)`", README)
    # The picture is made by `make demo` on the finished models.
    expected = {name for name in linked + in_text if not name.endswith(".png")}
    assert "LICENSE" in expected
    missing = [name for name in expected if not (ROOT / name).exists()]
    assert not missing


def test_licence_is_apache():
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License" in text
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text
    assert PYPROJECT["project"]["license"]["text"] == "Apache-2.0"


# --- the Makefile, with a stand-in for Python that only writes down what it is asked ------------

INTERPRETER = """#!/bin/sh
echo "$@" >> "{log}"
case "$1 $2" in
  "-c "*) exit {old} ;;
  "-m venv") mkdir -p .venv/bin && cp "$0" .venv/bin/python ;;
  "-m pip") [ "$3" = install ] && [ -e "{broken}" ] && exit 1 ;;
esac
exit 0
"""


@pytest.fixture
def checkout(tmp_path):
    """A folder with the Makefile and what the installation depends on; ``make`` in it."""
    if shutil.which("make") is None or os.name == "nt":
        pytest.skip("needs make")
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)

    def make(target: str, old: bool = False) -> subprocess.CompletedProcess:
        python = tmp_path / "python-stand-in"
        log, broken = tmp_path / "log", tmp_path / "broken"
        python.write_text(INTERPRETER.format(log=log, broken=broken, old=int(old)))
        python.chmod(0o755)
        log.write_text("")
        command = ["make", target, f"PYTHON={python}"]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)

    return make


def test_the_second_run_installs_nothing(checkout, tmp_path):
    assert checkout("demo").returncode == 0
    log = (tmp_path / "log").read_text(encoding="utf-8")
    assert "-m pip install" in log
    assert log.splitlines()[-1].startswith("-m MRISynthApp demo")
    assert checkout("demo").returncode == 0
    assert "pip" not in (tmp_path / "log").read_text(encoding="utf-8")
    stamp = tmp_path / ".venv" / ".installed"
    os.utime(tmp_path / "constraints.txt", (stamp.stat().st_mtime + 10,) * 2)
    assert checkout("test").returncode == 0
    assert "-m pip install" in (tmp_path / "log").read_text(encoding="utf-8")


def test_an_installation_that_failed_is_tried_again(checkout, tmp_path):
    (tmp_path / "broken").touch()
    assert checkout("test").returncode != 0
    assert "pytest" not in (tmp_path / "log").read_text(encoding="utf-8")
    (tmp_path / "broken").unlink()
    assert checkout("test").returncode == 0
    assert "-m pip install" in (tmp_path / "log").read_text(encoding="utf-8")


def test_an_old_python_is_refused_with_the_way_out(checkout, tmp_path):
    result = checkout("demo", old=True)
    assert result.returncode != 0
    assert "3.11" in result.stderr
    assert "PYTHON=" in result.stderr
    assert not (tmp_path / ".venv").exists()


def test_the_ci_script_lints_and_tests():
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    text = script.read_text(encoding="utf-8")
    assert "set -euo pipefail" in text
    assert {"make lint", "make test"} <= set(text.splitlines())
    if shutil.which("bash"):
        subprocess.run(["bash", "-n", str(script)], check=True)
