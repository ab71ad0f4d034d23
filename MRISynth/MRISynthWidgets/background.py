"""Questions to the inference process that nobody waits for.

The user's own request comes first: these are asked only while none is under way, of each kind only
the newest counts, and to end one never ends the worker, whose loaded models are worth more.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import qt

from MRISynthLib.errors import Cancelled, MRISynthError

from .worker_run import POLL_MILLISECONDS, client_for

if TYPE_CHECKING:
    from MRISynthLib.progress import SliceReady
    from MRISynthLib.volume import Volume


@dataclass(frozen=True)
class Question:
    """What is asked of the worker, and who hears the answer.

    ``on_done(info)`` gets the result's plain values, ``on_slice`` each finished slice; without an
    answer ``on_failed(error)`` is called.
    """

    device: str
    task: str
    parameters: dict[str, Any]
    volumes: Sequence[Volume]
    on_done: Callable[[dict[str, Any]], None]
    on_failed: Callable[[MRISynthError], None]
    on_slice: Callable[[SliceReady], None] | None = None


class Background:
    """At most one question of each kind at a time; answers arrive in Slicer's main thread."""

    def __init__(self) -> None:
        self._jobs: dict[str, tuple[Any, Question]] = {}
        self._timer = qt.QTimer()
        self._timer.setInterval(POLL_MILLISECONDS)
        self._timer.connect("timeout()", self._poll)

    def asking(self, kind: str) -> bool:
        """Whether an answer of this kind is awaited."""
        return kind in self._jobs

    def ask(self, kind: str, question: Question) -> None:
        """Ask the worker; an earlier question of this kind is dropped."""
        self.drop(kind)
        try:
            job = client_for(question.device).submit(
                question.task, question.parameters, question.volumes
            )
        except MRISynthError as error:
            question.on_failed(error)
            return
        self._jobs[kind] = (job, question)
        self._timer.start()

    def drop(self, *kinds: str) -> None:
        """The answers to these kinds of question, or to all, are not wanted any more."""
        for kind in kinds or tuple(self._jobs):
            job, _question = self._jobs.pop(kind, (None, None))
            if job is not None:
                job.cancel(kill=False)
        if not self._jobs:
            self._timer.stop()

    def _poll(self) -> None:
        from MRISynthLib.progress import SliceReady

        for kind, (job, question) in list(self._jobs.items()):
            finished = job.done  # asked before poll, so that no event is missed
            for event in job.poll():
                wanted = self._jobs.get(kind, (None,))[0] is job
                if wanted and question.on_slice and isinstance(event, SliceReady):
                    question.on_slice(event)
            if finished and self._jobs.get(kind, (None,))[0] is job:
                del self._jobs[kind]
                self._finish(kind, job, question)
        if not self._jobs:
            self._timer.stop()

    @staticmethod
    def _finish(kind: str, job: Any, question: Question) -> None:
        try:
            info = job.result().info
        except Cancelled:
            return
        except MRISynthError as error:
            logging.info("MRISynth: the question '%s' was not answered: %s", kind, error)
            question.on_failed(error)
        else:
            question.on_done(info)
