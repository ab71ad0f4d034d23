"""Starting, hearing and ending the worker process, from the client's side."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from ..errors import WorkerError
from .messages import Message, Ready, Shutdown, encode, read

PYTHON_VARIABLE = "MRISYNTH_PYTHON"
"""Environment variable with the Python executable that runs the models."""

_SHUTDOWN_SECONDS = 1.0
_LOG_SECONDS = 2.0  # a child of the worker may hold its log open for longer


def find_python() -> str:
    """The Python executable for the worker.

    Inside Slicer ``sys.executable`` is Slicer itself; its Python is called PythonSlicer and is
    on the PATH there, or beside the executable.
    """
    if named := os.environ.get(PYTHON_VARIABLE):
        return named
    executable = Path(sys.executable or "python3")
    if executable.name.lower().startswith(("python", "pypy")):
        return str(executable)
    if on_path := shutil.which("PythonSlicer"):
        return on_path
    suffix = ".exe" if os.name == "nt" else ""
    for folder in (executable.parent, executable.parent.parent / "bin"):
        if (folder / f"PythonSlicer{suffix}").exists():
            return str(folder / f"PythonSlicer{suffix}")
    return shutil.which("python3") or shutil.which("python") or str(executable)


def environment(tasks: Sequence[str], python: str) -> dict[str, str]:
    """The worker's environment: the folders of the task modules can be imported, idle threads
    sleep instead of spinning, and NumPy's products take no cores from the networks beside them."""
    values = dict(os.environ)
    folders: dict[str, None] = {}
    for module in ("MRISynthLib", *tasks):
        spec = importlib.util.find_spec(module.partition(".")[0])
        places = list(spec.submodule_search_locations or [spec.origin or ""]) if spec else []
        for place in places:
            folder = Path(place).resolve().parent
            # What pip installed belongs to one interpreter and must not leak into another.
            if folder.name not in ("site-packages", "dist-packages"):
                folders.setdefault(str(folder))
    if existing := values.get("PYTHONPATH"):
        folders.setdefault(existing)
    values["PYTHONPATH"] = os.pathsep.join(folders)
    values["PYTHONIOENCODING"] = "utf-8"
    values.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    values.setdefault("OPENBLAS_NUM_THREADS", "1")
    name = Path(python).name.lower()
    if "pythonslicer" not in name and python != sys.executable:
        values.pop("PYTHONHOME", None)
    return values


class WorkerProcess:
    """One run of the worker, with two threads that read its answers and its log.

    ``on_message(job, message)`` and, once at the end, ``on_exit()`` are called from the
    reading thread.

    Raises
    ------
    WorkerError
        If the process cannot be started.
    """

    def __init__(
        self,
        python: str,
        tasks: Sequence[str],
        device: str,
        log: deque[str],
        on_message: Callable[[WorkerProcess, int, Message], None],
        on_exit: Callable[[WorkerProcess], None],
    ) -> None:
        command = [python, "-P", "-X", "faulthandler", "-m", "MRISynthLib.worker"]
        command += ["--device", device]
        for task in tasks:
            command += ["--task", task]
        self.ready = False
        self._log = log
        self._on_message = on_message
        self._on_exit = on_exit
        self._lock = threading.Lock()
        options: dict = {"start_new_session": True}
        if os.name == "nt":
            # No console window, Ctrl-C in the face's console does not reach the worker, and
            # views that are being looked at come first.
            options = {
                "creationflags": subprocess.CREATE_NEW_PROCESS_GROUP
                | subprocess.CREATE_NO_WINDOW
                | subprocess.BELOW_NORMAL_PRIORITY_CLASS
            }
        try:
            self._popen = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=environment(tasks, python),
                bufsize=0,
                **options,
            )
        except OSError as error:
            raise WorkerError(
                f"The Python program {python} could not be started ({error.strerror}); "
                f"set {PYTHON_VARIABLE} to the one in which MRISynth's packages are installed."
            ) from error
        self._log_reader = threading.Thread(target=self._read_log, name="worker log", daemon=True)
        self._log_reader.start()
        threading.Thread(target=self._read_messages, name="worker answers", daemon=True).start()

    @property
    def pid(self) -> int:
        """Process id; of the launcher, where PythonSlicer is one."""
        return self._popen.pid

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._popen.poll() is None

    def send(self, job: int, message: Message) -> bool:
        """Send a message; False if the process is gone."""
        frame = memoryview(encode(job, message))
        try:
            with self._lock:
                while frame:
                    frame = frame[self._popen.stdin.write(frame) :]
        except (OSError, ValueError):
            return False
        return True

    def kill(self) -> None:
        """End the process and its children at once, whatever they do."""
        if os.name == "nt":
            subprocess.run(
                ["taskkill", "/T", "/F", "/PID", str(self.pid)],
                capture_output=True,
                creationflags=subprocess.CREATE_NO_WINDOW,
                check=False,
            )
        else:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
        with contextlib.suppress(OSError):
            self._popen.kill()

    def close(self) -> None:
        """Ask the process to end; after a second, make it."""
        self.send(0, Shutdown())
        with contextlib.suppress(OSError):
            self._popen.stdin.close()
        try:
            self._popen.wait(_SHUTDOWN_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            self._popen.wait()

    def last_words(self) -> str:
        """How the process ended, in words, for a sentence to the user."""
        self._end_if_silent()
        self._log_reader.join(_LOG_SECONDS)  # what it said last is the reason
        code = self._popen.returncode
        if code is not None and code < 0:
            try:
                name = signal.Signals(-code).name
            except ValueError:
                name = f"signal {-code}"
            out_of_memory = (
                ", perhaps by the system because memory ran out" if name == "SIGKILL" else ""
            )
            return f"it was ended by {name}{out_of_memory}"
        said = next((line.strip() for line in reversed(self._log) if line.strip()), "")
        said = f"; it said: {said[:200]}" if said and not self.ready else ""
        return f"it ended with code {code}{said}"

    def _read_messages(self) -> None:
        try:
            while (frame := read(self._popen.stdout)) is not None:
                job, message = frame
                if isinstance(message, Ready):
                    self.ready = True
                self._on_message(self, job, message)
        except (OSError, ValueError) as error:
            self._log.append(f"The worker's answers could not be read: {error}")
        self._end_if_silent()
        self._on_exit(self)

    def _end_if_silent(self) -> None:
        """After the answers' end the process must be gone; its log may still come."""
        try:
            self._popen.wait(_SHUTDOWN_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            self._popen.wait()

    def _read_log(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            for line in self._popen.stderr:
                self._log.append(line.decode("utf-8", "replace").rstrip())
