"""The checks of the scene's volumes: asked of the worker, kept for each volume, shown when there.

The inputs are prepared on the way, so that Apply shows its first slice at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import slicer

from MRISynthLib import packages
from MRISynthLib.errors import InputError, MRISynthError
from MRISynthLib.panel import (
    CHECKS_TASK,
    STUDY_TASK,
    Findings,
    InputRow,
    Model,
    check_words,
    input_problem,
)

from .background import Background, Question
from .installer import SlicerInstaller
from .scene_inputs import SceneInputs


class StudyChecks:
    """What is known of the scene's volumes; ``on_change`` is called when that grows.

    ``study_task`` is the worker's name for the checks of the inputs together: it prepares them for
    a model, so each module has its own.
    """

    def __init__(
        self,
        inputs: SceneInputs,
        background: Background,
        on_change: Callable[[], None],
        study_task: str = STUDY_TASK,
    ) -> None:
        self.findings = Findings()
        self.study_task = study_task
        self.problem = ""
        self._inputs, self._background, self._on_change = inputs, background, on_change
        self._ready: bool | None = None
        self._asked_study: Any = None
        self._unanswered: dict[Any, str] = {}

    @property
    def ready(self) -> bool:
        """Whether the worker can be asked at all: the packages are there."""
        if self._ready is None:
            installer = SlicerInstaller()
            self._ready = (
                not slicer.app.testingEnabled()
                and not packages.version_problem(installer.slicer_version())
                and not packages.missing(installer)
            )
        return self._ready

    def look_again(self) -> None:
        """The packages may have come; what failed may succeed now."""
        self._unanswered = {}
        if not self._ready:
            self._ready = None

    def words(self, row: InputRow) -> tuple[str, str]:
        """Short text for the table, and what its tooltip says."""
        failed = self._unanswered.get(("image", self._inputs.state(row)), "")
        pending = self.ready and not failed
        return check_words(row, self.findings.of(row.key), pending, failed)

    @property
    def studying(self) -> bool:
        """Whether the inputs are being checked together and prepared."""
        return self._background.asking(self.study_task)

    def prepared(self, used: Sequence[InputRow], options: Mapping[str, Any]) -> bool:
        """Whether the worker has prepared these inputs with these options."""
        return bool(used) and self.findings.studied(self.state(used, options))

    def gave_up(self, used: Sequence[InputRow], options: Mapping[str, Any]) -> bool:
        """Whether the worker could not prepare these inputs."""
        return self.state(used, options) in self._unanswered

    def update(
        self,
        rows: Sequence[InputRow],
        used: Sequence[InputRow],
        model: Model | None,
        options: Mapping[str, Any],
    ) -> None:
        """Ask what is not known yet, unless the worker cannot be asked.

        ``options`` are what the task's parameters say beside targets, with the device.
        """
        states = {row.key: self._inputs.state(row) for row in rows if not row.problem}
        unchecked = self.findings.unchecked(states)
        study = self.state(used, options)
        if not self.findings.studied(study) and study != self._asked_study:
            self.findings.forget_study()
            self.problem = ""
        if model is None or not self.ready:
            return
        unchecked = [key for key in unchecked if ("image", states[key]) not in self._unanswered]
        if unchecked and not self._background.asking(CHECKS_TASK):
            self._ask_images(rows, {key: states[key] for key in unchecked}, options)
        complete = used and not input_problem(rows, used, model)
        known = self.findings.studied(study) or study in self._unanswered
        under_way = study == self._asked_study and self.studying
        if complete and not known and not under_way:
            self._ask_study(used, study, options)

    def pause(self, used: Sequence[InputRow], options: Mapping[str, Any]) -> None:
        """Apply was pressed: what is under way is only worth waiting for if it is for the same."""
        self._background.drop(CHECKS_TASK)
        if self._asked_study != self.state(used, options):
            self._background.drop(self.study_task)

    def stop(self) -> None:
        """The scene goes away."""
        self._background.drop(CHECKS_TASK, self.study_task)
        self._asked_study = None

    def state(self, used: Sequence[InputRow], options: Mapping[str, Any]) -> tuple:
        """What changes when other inputs are used, or are used or lie otherwise."""
        return (*(self._inputs.state(row) for row in used), *sorted(map(str, options.items())))

    def _ask_images(
        self, rows: Sequence[InputRow], states: dict[str, Any], options: Mapping[str, Any]
    ) -> None:
        wanted = [row for row in rows if row.key in states]

        def done(info: dict[str, Any]) -> None:
            self.findings.add_images(states, info["remarks"])
            self._on_change()

        def failed(error: MRISynthError) -> None:
            self._unanswered |= {("image", state): str(error) for state in states.values()}
            self._on_change()

        files = [self._inputs.files(row.key) for row in wanted]
        self._ask(CHECKS_TASK, {"files": files}, wanted, options, done, failed)

    def _ask_study(
        self, used: Sequence[InputRow], study: tuple, options: Mapping[str, Any]
    ) -> None:
        self._asked_study = study
        keys = [row.key for row in used]

        def done(info: dict[str, Any]) -> None:
            self.findings.add_study(study, keys, info["remarks"])
            self._on_change()

        def failed(error: MRISynthError) -> None:
            self._unanswered[study] = str(error)
            # the run would fail with the same sentence
            self.problem = str(error) if isinstance(error, InputError) else ""
            self._on_change()

        self._ask(self.study_task, dict(options), used, options, done, failed)

    def _ask(self, task, parameters, rows, options, done, failed) -> None:
        try:
            volumes = self._inputs.volumes(rows)
        except InputError:
            return  # deleted just now; the next refresh knows
        device = str(options["device"])
        self._background.ask(task, Question(device, task, parameters, volumes, done, failed))
