"""Many independent jobs in processes of their own, ended cleanly however they end."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import active_children, get_context, parent_process
from threading import Thread

from .errors import WorkerError
from .progress import SILENT, Callbacks

POLL_SECONDS = 0.2
"""How often a run asks whether it was cancelled."""


def run_in_processes(
    function: Callable[..., object],
    jobs: Iterable[tuple],
    processes: int,
    died: str,
    finished: Callable[[], None],
    callbacks: Callbacks = SILENT,
) -> None:
    """Call ``function`` with the arguments of every job, ``processes`` of them at a time.

    However it ends, no process is left; who stops it does not wait for jobs that are under way.

    Parameters
    ----------
    function:
        A function of a module, so that another process finds it.
    died:
        The sentence for the user if a process dies.
    finished:
        Called after each job; may raise to stop the run.

    Raises
    ------
    WorkerError
        With ``died``, if a process ended by itself, as it does when memory runs out.
    Cancelled
        If the callbacks say so.
    """
    others = set(active_children())
    # spawn: torch does not survive a fork, and Windows has nothing else
    pool = ProcessPoolExecutor(processes, get_context("spawn"), initializer=_follow_parent)
    try:
        waiting = {pool.submit(function, *job) for job in jobs}
        while waiting:
            callbacks.check()
            done, waiting = wait(waiting, POLL_SECONDS, FIRST_COMPLETED)
            for future in done:
                future.result()
                finished()
    except BaseException as error:
        for process in set(active_children()) - others:
            process.terminate()
        pool.shutdown(cancel_futures=True)
        if isinstance(error, BrokenProcessPool):
            raise WorkerError(died) from None
        raise
    pool.shutdown()


def _follow_parent() -> None:
    """Leave Ctrl-C to the parent, and end when the parent has ended, even if it was killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()

    def end() -> None:
        parent.join()
        os._exit(1)

    if parent is not None:
        Thread(target=end, daemon=True).start()
