"""The slice in view, made anew while the user edits the words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt

from MRISynthLib.errors import MRISynthError
from MRISynthLib.panel import PREVIEW_TASK

from .background import Background, Question
from .unfinished import OneSlice

DELAY_MILLISECONDS = 250
"""So long after the last key the slice is asked for."""


class LivePreview:
    """Asks for one slice at a time and shows it until something else is wanted.

    ``current_request()`` gives (device, parameters, volumes) of what would be made now, or None if
    nothing can be; it is called after a pause in typing, and again when the slice in view changes.
    """

    def __init__(
        self,
        background: Background,
        shown: OneSlice,
        current_request: Callable[[], tuple[str, dict[str, Any], list] | None],
    ) -> None:
        self._background, self._shown, self._request = background, shown, current_request
        self._made: Any = None
        self._active = False
        self._timer = qt.QTimer()
        self._timer.setInterval(DELAY_MILLISECONDS)
        self._timer.connect("timeout()", self._look)

    def edited(self) -> None:
        """The words changed; wait for a pause."""
        self._active = True
        self._timer.start()  # from the beginning, if it was running

    def stop(self) -> None:
        """No preview any more, and none under way."""
        self._active, self._made = False, None
        self._timer.stop()
        self._background.drop(PREVIEW_TASK)
        self._shown.discard()

    def _look(self) -> None:
        if self._background.asking(PREVIEW_TASK):
            return
        request = self._request()
        if request is None:
            self._made = None
            self._shown.discard()
            return
        device, parameters, volumes = request
        wanted = (device, repr(parameters))
        if wanted == self._made:
            return
        self._made = wanted

        def show(ready) -> None:
            self._shown.show(volumes[0], ready)

        def failed(error: MRISynthError) -> None:
            self._shown.discard()

        self._background.ask(
            PREVIEW_TASK,
            Question(device, PREVIEW_TASK, parameters, volumes, lambda info: None, failed, show),
        )
