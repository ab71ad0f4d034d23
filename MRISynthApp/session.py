"""One run of a command: what it says, where, and how it ends.

Results go to standard output, everything else to standard error. With ``--json`` standard
output gets exactly one JSON object, whatever happens and whatever a library prints.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.markup import escape

from MRISynthLib.errors import Cancelled, InputError, MRISynthError

from .progress_display import ProgressDisplay

if TYPE_CHECKING:
    from MRISynthLib.evaluation.tables import Table

DEBUG_VARIABLE = "MRISYNTH_DEBUG"
"""Environment variable that shows tracebacks and the worker's log."""

DONE, FAILED, REFUSED = 0, 1, 2
"""Exit codes: done; anything else went wrong; the request or the input is wrong."""

STOPPED = "Stopped; nothing was written."


class Session:
    """What a command knows about its own run.

    ``record`` is what ``--json`` prints: every command starts it with the same keys.
    """

    def __init__(self, command: str, as_json: bool, stopped: str = STOPPED) -> None:
        self.as_json = as_json
        self.stopped = stopped
        self.console = Console(stderr=True, highlight=False)
        self.results = Console(highlight=False)
        self.interrupted_at = -math.inf
        self._started = time.perf_counter()
        self._logs: list[Any] = []
        self.record: dict[str, Any] = {
            "command": command,
            "outputs": {},
            "inputs": [],
            "timings": dict.fromkeys(
                ("load", "register", "synthesize", "first_slice", "segment", "write")
            ),
            "device": None,
            "dtype": None,
            "peak_memory_mb": None,
            "warnings": [],
        }

    def say(self, text: str) -> None:
        """A line on standard error."""
        self.console.print(escape(text), soft_wrap=True)

    def warn(self, *sentences: str) -> None:
        """Warnings that the user must see, each once."""
        for sentence in sentences:
            if sentence not in self.record["warnings"]:
                self.record["warnings"].append(sentence)
                self.console.print(f"[yellow]Warning:[/yellow] {escape(sentence)}", soft_wrap=True)

    def show(self, renderable: Any) -> None:
        """A result on standard output; nothing with ``--json``."""
        if not self.as_json:
            self.results.print(renderable)

    def show_table(self, table: Table) -> None:
        """A table of figures as a result."""
        from rich.table import Table as Shown
        from rich.text import Text

        shown = Shown(title=table.title, title_justify="left", box=None)
        for number, column in enumerate(table.columns):
            shown.add_column(column, justify="right" if number else "left")
        for row in table.rows:
            shown.add_row(*map(Text, row))
        self.show(shown)

    @contextlib.contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add the time of a block to a stage of ``record["timings"]``."""
        start = time.perf_counter()
        yield
        self.add_timings({stage: time.perf_counter() - start})

    def add_timings(self, timings: dict[str, float]) -> None:
        """Add seconds to stages."""
        for stage, seconds in timings.items():
            before = self.record["timings"].get(stage) or 0.0
            self.record["timings"][stage] = before + float(seconds)

    def follow(self, client: Any, job: Any) -> Any:
        """Show a job's progress until it ends; its result, with its timings taken over."""
        if client not in self._logs:
            self._logs.append(client)
        with ProgressDisplay(self.console) as display:
            job.on_event = display
            result = job.wait()
        info = result.info
        self.add_timings(info.get("timings", {}))
        self.warn(*info.get("warnings", ()))
        self.record["device"] = self.record["device"] or info.get("device")
        self.record["dtype"] = self.record["dtype"] or info.get("dtype")
        self._note_memory(info)
        return result

    def check(self) -> None:
        """Raise KeyboardInterrupt if Ctrl-C came and some library swallowed it."""
        if self.interrupted_at > -math.inf:
            raise KeyboardInterrupt

    def _note_memory(self, info: dict[str, Any]) -> None:
        from MRISynthLib.devices import peak_memory_mb

        worker = info.get("peak_memory_mb") or 0.0
        self.record["peak_memory_worker_mb"] = round(worker, 1)
        self.record["peak_memory_mb"] = round(worker + peak_memory_mb(), 1)
        self.record["peak_gpu_memory_mb"] = info.get("peak_gpu_memory_mb")

    def _finish(self) -> None:
        self.record["timings"]["total"] = time.perf_counter() - self._started
        if self.as_json:
            self._print_json({**self.record, "exit_code": DONE})

    def _fail(self, message: str, code: int) -> typer.Exit:
        self.console.print(f"[red]{escape(message)}[/red]", soft_wrap=True)
        if code == FAILED and os.environ.get(DEBUG_VARIABLE):
            for client in self._logs:
                self.say(client.log())
            self.say(traceback.format_exc())
        elif code == FAILED and message != self.stopped:
            self.say(f"Run it again with {DEBUG_VARIABLE}=1 in the environment for the details.")
        if self.as_json:
            kept = {key: self.record[key] for key in ("command", "inputs", "warnings")}
            self._print_json({"error": message, "exit_code": code, **kept})
        return typer.Exit(code)

    @staticmethod
    def _print_json(values: dict[str, Any]) -> None:
        from MRISynthLib.worker.messages import plain

        # ASCII, so that no console's encoding can spoil it.
        typer.echo(json.dumps(_finite(values), default=plain, indent=2, allow_nan=False))


@contextlib.contextmanager
def session(command: str, as_json: bool = False, stopped: str = STOPPED) -> Iterator[Session]:
    """Run a command's body; errors become one sentence and an exit code.

    ``stopped`` is said after Ctrl-C.

    Ctrl-C, and a polite request to end by the system, raise KeyboardInterrupt in the body
    once, so that what it opened is closed in peace even if the user presses again.
    """
    run = Session(command, as_json, stopped)
    failure: tuple[str, int] | None = None
    with _interruptible(run):
        try:
            with _only_json_on_stdout() if as_json else contextlib.nullcontext():
                yield run
            run.check()
        except (KeyboardInterrupt, Cancelled):
            failure = stopped, FAILED
        except InputError as error:
            failure = str(error), REFUSED
        except MRISynthError as error:
            failure = str(error), FAILED
        except (typer.Exit, GeneratorExit):
            raise
        except Exception as error:
            what = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
            failure = f"The command failed unexpectedly ({what}).", FAILED
            if run.interrupted_at > -math.inf:
                failure = stopped, FAILED
        if failure:
            raise run._fail(*failure)
        run._finish()


@contextlib.contextmanager
def _interruptible(run: Session) -> Iterator[None]:
    def stop(*_: object) -> None:
        since = time.monotonic() - run.interrupted_at
        if since > 3.0:
            run.interrupted_at = time.monotonic()
            raise KeyboardInterrupt

    names = [name for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {}
    if threading.current_thread() is threading.main_thread():
        before = {name: signal.signal(getattr(signal, name), stop) for name in names}
    try:
        yield
    finally:
        for name, handler in before.items():
            # After a stop the process is about to end; an impatient user must not break that.
            stopped = run.interrupted_at > -math.inf
            signal.signal(getattr(signal, name), signal.SIG_IGN if stopped else handler)


@contextlib.contextmanager
def _only_json_on_stdout() -> Iterator[None]:
    """Send what anybody prints to standard output, from Python or not, to standard error."""
    sys.stdout.flush()
    try:
        saved = os.dup(1)
        os.dup2(2, 1)
    except OSError:  # No such descriptors, as under some hosts.
        saved = None
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        if saved is not None:
            os.dup2(saved, 1)
            os.close(saved)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
