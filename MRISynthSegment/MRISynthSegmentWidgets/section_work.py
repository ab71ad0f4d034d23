"""A section's own work in the inference process, with a bar and a Cancel button beside it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import TYPE_CHECKING, Any

from slicer.i18n import tr as _

from MRISynthLib import packages
from MRISynthLib.errors import Cancelled, MRISynthError
from MRISynthLib.panel import ProgressText
from MRISynthWidgets.installer import SlicerInstaller
from MRISynthWidgets.panel_widget import ERROR_STYLE
from MRISynthWidgets.portions import Portions
from MRISynthWidgets.worker_run import WorkerRun

if TYPE_CHECKING:
    from MRISynthLib.volume import Volume
    from MRISynthLib.worker import TaskResult


class SectionWork:
    """One job at a time, and what the user sees of it.

    It waits its turn behind the panel's own job, since both use one process.

    Parameters
    ----------
    section:
        Refreshed when a job begins and ends.
    bar, button, label:
        Widgets for progress, cancelling and sentences.
    on_end:
        Called when a job was cancelled or failed, after the sentence is shown.
    may_end:
        Whether the scene can take a result now; until then a job that is done goes on.
    """

    def __init__(
        self,
        section,
        bar,
        button,
        label,
        on_end: Callable[[], None] | None = None,
        may_end: Callable[[], bool] = lambda: True,
    ) -> None:
        self.section, self.bar, self.button, self.label = section, bar, button, label
        self._on_end = on_end
        self._on_done: Callable[[TaskResult], None] | None = None
        self._text = ProgressText()
        self._portions = Portions()
        self.run = WorkerRun(
            self._progress,
            lambda ready: None,
            self._done,
            self._cancelled,
            self._failed,
            may_end=may_end,
        )
        button.connect("clicked(bool)", self.cancel)
        self._show(busy=False)
        self.say("")

    @property
    def running(self) -> bool:
        """Whether a job is under way, or what it needs is being read from the scene."""
        return self.run.running or self._portions.running

    def start(
        self,
        task: str,
        parameters: dict[str, Any],
        volumes: Sequence[Volume],
        on_done: Callable[[TaskResult], None],
    ) -> None:
        """Begin; ``on_done`` gets the result.

        Raises
        ------
        MRISynthError
            If packages are missing and were not installed, or the process cannot be asked at all.
        """
        packages.ensure(SlicerInstaller())
        self._on_done = on_done
        self.run.start(parameters.get("device") or self.device(), task, parameters, volumes)
        self.say("")
        self._show(busy=True)
        self.section.panel.scheduleRefresh()

    def start_after(
        self,
        steps: Generator[None, None, tuple[dict[str, Any], list[Volume]]],
        task: str,
        on_done: Callable[[TaskResult], None],
    ) -> None:
        """As :meth:`start`, with the parameters and volumes that ``steps`` give in portions, while
        the window answers.

        Raises
        ------
        MRISynthError
            If packages are missing and were not installed.
        """
        packages.ensure(SlicerInstaller())

        def made(value: tuple[dict[str, Any], list[Volume]]) -> None:
            try:
                self.start(task, *value, on_done)
            except MRISynthError as error:
                self._refused(error)

        self._portions.start(steps, made, self._refused)
        self.say("")
        self._show(busy=True)
        self.section.panel.scheduleRefresh()

    def device(self) -> str:
        """The device that the user chose: its process is warm."""
        return self.section.logic.getParameterNode().device

    def cancel(self) -> None:
        """Stop the job."""
        if self._portions.running:
            self._portions.stop()
            self._cancelled(Cancelled())
            return
        self.button.enabled = False
        self.run.cancel()

    def abandon(self) -> None:
        """Stop the job without a word: scene or panel is going away."""
        self._portions.stop()
        self.run.abandon()
        self._show(busy=False)
        self.say("")

    def say(self, text: str, *, problem: bool = False) -> None:
        """Show a sentence in the section."""
        self.label.text = text
        self.label.setStyleSheet(ERROR_STYLE if problem else "")
        self.label.setVisible(bool(text))

    def _show(self, *, busy: bool) -> None:
        self.bar.setVisible(busy)
        self.bar.setRange(0, 0 if busy else 100)
        self.button.setVisible(busy)
        self.button.enabled = busy

    def _progress(self, progress) -> None:
        percent, text = self._text.update(progress.stage, progress.done, progress.total)
        self.bar.setRange(0, 100 if progress.total > 0 else 0)
        self.bar.setValue(percent)
        self.bar.setFormat(text)

    def _done(self, result: TaskResult) -> None:
        self._show(busy=False)
        try:
            with self.section.panel.showingErrors():
                self._on_done(result)
        finally:
            self.section.panel.scheduleRefresh()

    def _cancelled(self, error: Cancelled) -> None:
        self._end(_("Cancelled; nothing was changed."))

    def _refused(self, error: Exception) -> None:
        self._end("")
        with self.section.panel.showingErrors():
            raise error

    def _failed(self, error: MRISynthError) -> None:
        self._end(str(error), problem=True)

    def _end(self, text: str, *, problem: bool = False) -> None:
        self._show(busy=False)
        self.say(text, problem=problem)
        if self._on_end is not None:
            self._on_end()
        self.section.panel.scheduleRefresh()
