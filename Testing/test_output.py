"""Results appear whole or not at all."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from MRISynthLib.errors import OutputError
from MRISynthLib.io import save
from MRISynthLib.io.output import (
    check_file,
    file_with_ending,
    remove_leftovers,
    staged_folder,
    writable_folder,
)
from MRISynthLib.volume import Volume

KILLED = """
import os, sys
from pathlib import Path
from MRISynthLib.io.output import staged_folder

output, goal, when = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
real = os.replace

def replace(source, target):
    if Path(target) == goal and when == "before":
        os._exit(9)
    real(source, target)
    if Path(target) == goal:
        os._exit(9)

os.replace = replace
with staged_folder(output, last="a.json") as stage:
    for name in ("a.json", "b.txt", "c.txt"):
        (stage / name).write_text("new")
"""
"""Writes three files and is killed before or after it moves one of them, or the folder."""


def _write_and_die(output: Path, goal: Path, when: str) -> None:
    command = [sys.executable, "-c", KILLED, str(output), str(goal), when]
    assert subprocess.run(command, check=False, timeout=60).returncode == 9


def _everything(folder: Path) -> dict[str, str]:
    return {
        str(f.relative_to(folder)): f.read_text(encoding="utf-8")
        for f in folder.rglob("*")
        if f.is_file()
    }


def test_files_and_subfolders_arrive(tmp_path: Path) -> None:
    output = tmp_path / "a" / "b"
    with staged_folder(output) as stage:
        (stage / "pictures").mkdir()
        (stage / "pictures" / "one.txt").write_text("1")
        (stage / "two.txt").write_text("2")
        assert not (output / "two.txt").exists()
    assert _everything(output) == {"pictures/one.txt".replace("/", os.sep): "1", "two.txt": "2"}


def test_existing_files_are_replaced_and_others_left(tmp_path: Path) -> None:
    (tmp_path / "old.txt").write_text("old")
    (tmp_path / "mine.txt").write_text("mine")
    with staged_folder(tmp_path) as stage:
        (stage / "old.txt").write_text("new")
    assert _everything(tmp_path) == {"old.txt": "new", "mine.txt": "mine"}


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, MemoryError])
def test_nothing_is_left_after_a_failure(tmp_path: Path, error: type[BaseException]) -> None:
    with pytest.raises(error), staged_folder(tmp_path / "new" / "deep") as stage:
        (stage / "half.txt").write_text("half")
        raise error
    assert list(tmp_path.iterdir()) == []


def test_a_failure_leaves_an_existing_folder_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "old.txt").write_text("old")
    with pytest.raises(KeyboardInterrupt), staged_folder(tmp_path) as stage:
        (stage / "old.txt").write_text("new")
        raise KeyboardInterrupt
    assert _everything(tmp_path) == {"old.txt": "old"}
    assert len(list(tmp_path.iterdir())) == 1


def test_moving_is_undone_when_it_fails_half_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "out"
    output.mkdir()
    (output / "a.txt").write_text("old")
    real = os.replace

    def failing(source: object, target: object) -> None:
        if Path(str(target)) == output / "c" / "c.txt":
            raise OSError(errno.ENOSPC, "No space left on device")
        real(source, target)

    monkeypatch.setattr(os, "replace", failing)
    with pytest.raises(OutputError, match="disk is full"), staged_folder(output) as stage:
        (stage / "c").mkdir()
        for name in ("a.txt", "b.txt", "c/c.txt"):
            (stage / name).write_text("new")
    assert _everything(output) == {"a.txt": "old"}
    assert len(list(output.iterdir())) == 1


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_new_folder_appears_at_once_even_if_the_process_is_killed(
    tmp_path: Path, when: str
) -> None:
    output = tmp_path / "out"
    _write_and_die(output, output, when)
    whole = {f"out{os.sep}{name}" for name in ("a.json", "b.txt", "c.txt")}
    there = {name for name in _everything(tmp_path) if not name.startswith(".")}
    assert there == (whole if when == "after" else set())
    (tmp_path / ".mrisynth-out-2-12345678").mkdir()
    remove_leftovers([output])
    left = {path.name for path in tmp_path.iterdir()} - {"out"}
    assert left == {".mrisynth-out-2-12345678"}  # that of another output


@pytest.mark.parametrize(
    ("goal", "when", "complete"),
    [("b.txt", "before", False), ("a.json", "before", False), ("a.json", "after", True)],
)
def test_the_last_file_is_there_only_when_all_others_are(
    tmp_path: Path, goal: str, when: str, complete: bool
) -> None:
    (tmp_path / "a.json").write_text("old")
    (tmp_path / "b.txt").write_text("old")
    _write_and_die(tmp_path, tmp_path / goal, when)
    assert (tmp_path / "a.json").exists() == complete
    remove_leftovers([tmp_path])
    if complete:
        assert _everything(tmp_path) == dict.fromkeys(("a.json", "b.txt", "c.txt"), "new")
    assert not list(tmp_path.glob(".*"))


def test_a_folder_is_tried_before_long_work(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), writable_folder(tmp_path / "a" / "b"):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(KeyboardInterrupt), writable_folder(tmp_path / "a"):
        (tmp_path / "a" / "one.txt").write_text("1")
        raise KeyboardInterrupt
    assert _everything(tmp_path) == {os.path.join("a", "one.txt"): "1"}
    with pytest.raises(OutputError, match="in the way"), writable_folder(tmp_path / "a/one.txt"):
        pytest.fail("the body must not run")


def test_a_file_is_tried_before_long_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_file(tmp_path / "picture.png")
    assert list(tmp_path.iterdir()) == []
    for place, says in ((tmp_path, "add a file name"), (tmp_path / "a" / "b.png", "no folder")):
        with pytest.raises(OutputError, match=says):
            check_file(place)

    def refuse(**_: object) -> str:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("tempfile.mkdtemp", refuse)
    with pytest.raises(OutputError, match="no permission"):
        check_file(tmp_path / "picture.png")


def test_a_full_disk_is_said_in_words(tmp_path: Path) -> None:
    output = tmp_path / "out"
    with pytest.raises(OutputError, match="disk is full") as caught, staged_folder(output):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert str(output) in str(caught.value)
    assert not output.exists()


def test_a_full_disk_while_saving_names_the_users_folder(
    tmp_path: Path, small_volume: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("nibabel.save", full)
    with (
        pytest.raises(OutputError, match="disk is full") as caught,
        staged_folder(tmp_path / "out") as stage,
    ):
        save(small_volume, stage / "a.nii.gz")
    assert str(caught.value).startswith(f"{tmp_path / 'out'} cannot")
    assert list(tmp_path.iterdir()) == []


def test_an_error_about_something_read_is_not_blamed_on_the_output(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), staged_folder(tmp_path / "out"):
        (tmp_path / "elsewhere").read_text(encoding="utf-8")
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_way_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for output in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(OutputError), staged_folder(output):
            pytest.fail("the body must not run")
    assert _everything(tmp_path) == {"file": "mine"}


def test_a_folder_in_a_files_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "name").mkdir()
    with pytest.raises(OutputError, match="in the way"), staged_folder(tmp_path) as stage:
        (stage / "name").write_text("file")
    assert [item.name for item in tmp_path.iterdir()] == ["name"]


def test_no_permission_is_said_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> str:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("tempfile.mkdtemp", refuse)
    with pytest.raises(OutputError, match="no permission"), staged_folder(tmp_path / "out"):
        pytest.fail("the body must not run")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="needs a user who can be refused")
def test_a_folder_without_permission_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(OutputError, match="permission"), staged_folder(tmp_path / "out"):
            pytest.fail("the body must not run")
    finally:
        tmp_path.chmod(0o700)


def test_a_name_without_an_ending_gets_it_but_replaces_no_file_unasked(tmp_path):
    table = tmp_path / "table.csv"
    assert file_with_ending(str(tmp_path / "table"), ".csv") == table
    table.touch()
    assert file_with_ending(str(table), ".csv") == table, "the chooser has asked"
    with pytest.raises(OutputError, match="exists already"):
        file_with_ending(str(tmp_path / "table"), ".csv")
