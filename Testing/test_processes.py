"""Jobs in processes of their own: they end cleanly however they end."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from MRISynthLib.errors import Cancelled, InputError, WorkerError
from MRISynthLib.processes import run_in_processes
from MRISynthLib.progress import Callbacks

DIED = "A process died."


def _note(folder: Path, number: int) -> None:
    (folder / str(number)).touch()


def _kill_itself(folder: Path, number: int) -> None:
    os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))


def _refuse(folder: Path, number: int) -> None:
    raise InputError("The file is not there.")


def _sleep(folder: Path, number: int) -> None:
    _note(folder, number)
    time.sleep(20)
    (folder / "woken").touch()


def _jobs(folder: Path) -> list[tuple[Path, int]]:
    return [(folder, number) for number in range(3)]


def _nothing() -> None:
    pass


def _started(folder: Path) -> bool:
    return any(folder.iterdir())


def test_every_job_is_done_and_told(tmp_path):
    told = []
    run_in_processes(_note, _jobs(tmp_path), 2, DIED, lambda: told.append(None))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "1", "2"]
    assert len(told) == 3 and not multiprocessing.active_children()


@pytest.mark.parametrize(
    ("function", "error"), [(_kill_itself, WorkerError), (_refuse, InputError)]
)
def test_what_goes_wrong_in_a_process_is_one_sentence_here(tmp_path, function, error):
    with pytest.raises(error, match=r"^(A process died|The file is not there)\.$"):
        run_in_processes(function, _jobs(tmp_path), 2, DIED, _nothing)
    assert not multiprocessing.active_children()


def test_who_cancels_does_not_wait_for_what_is_under_way(tmp_path):
    callbacks = Callbacks(cancelled=lambda: _started(tmp_path))
    with pytest.raises(Cancelled):
        run_in_processes(_sleep, _jobs(tmp_path), 1, DIED, _nothing, callbacks)
    assert not (tmp_path / "woken").exists()
    assert not multiprocessing.active_children()


def test_a_listener_that_raises_stops_the_run(tmp_path):
    def pull_the_plug() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_in_processes(_note, _jobs(tmp_path), 1, DIED, pull_the_plug)
    assert not multiprocessing.active_children()


SCRIPT = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
import test_processes
from MRISynthLib.processes import run_in_processes
if __name__ == "__main__":
    jobs = test_processes._jobs(Path(sys.argv[1]))
    run_in_processes(test_processes._sleep, jobs, 2, "", test_processes._nothing)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs a way to kill a process")
@pytest.mark.parametrize("how", ["SIGINT", "SIGKILL"])
def test_no_process_outlives_a_parent_that_is_stopped_or_killed(tmp_path, how):
    script, notes = tmp_path / "script.py", tmp_path / "notes"
    script.write_text(SCRIPT)
    notes.mkdir()
    parent = subprocess.Popen([sys.executable, str(script), str(notes)], stderr=subprocess.PIPE)
    try:
        deadline = time.monotonic() + 60
        while not _started(notes) and time.monotonic() < deadline:
            time.sleep(0.05)
        children = psutil.Process(parent.pid).children(recursive=True)
        assert len(children) >= 2
        parent.send_signal(getattr(signal, how))
        parent.communicate(timeout=60)
        _, alive = psutil.wait_procs(children, timeout=30)
        assert not alive
    finally:
        parent.kill()
