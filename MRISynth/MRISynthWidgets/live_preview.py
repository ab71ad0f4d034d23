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

    ``current_request()`` is called after a pause in typing, and again when the slice in view
    changes. It gives (device, parameters, volumes, their state) of what would be made now, with a
    function from the answer's values to a sentence on what is seen; or None with the sentence why
    there is none. The state is what changes with the volumes.
    ``say`` shows such a sentence, an empty one where there is nothing to say.
    """

    def __init__(
        self,
        background: Background,
        shown: OneSlice,
        current_request: Callable[[], tuple[Any, Any]],
        say: Callable[[str], None],
    ) -> None:
        self._background, self._shown = background, shown
        self._request, self._say = current_request, say
        self._made: Any = None
        self._answer: dict[str, Any] | None = None
        self._timer = qt.QTimer()
        self._timer.setInterval(DELAY_MILLISECONDS)
        self._timer.connect("timeout()", self._look)

    def edited(self) -> None:
        """The words changed; wait for a pause."""
        self._timer.start()  # from the beginning, if it was running

    def stop(self) -> None:
        """No preview any more, and none under way."""
        self._timer.stop()
        self._background.drop(PREVIEW_TASK)
        self._nothing("")

    def _nothing(self, why: str) -> None:
        self._made = self._answer = None
        self._shown.discard()
        self._say(why)

    def _look(self) -> None:
        if self._background.asking(PREVIEW_TASK):
            return
        request, words = self._request()
        if request is None:
            self._nothing(words)
            return
        device, parameters, volumes, state = request
        wanted = (device, repr(parameters), state)
        if wanted == self._made:
            if self._answer is not None:
                self._say(words(self._answer))  # the view may have been turned
            return
        self._made, self._answer = wanted, None
        came = []

        def show(ready) -> None:
            came.append(ready)
            self._shown.show(volumes[0], ready)

        def done(info: dict[str, Any]) -> None:
            if not came:
                self._shown.discard()
            self._answer = info
            self._say(words(info))

        def failed(error: MRISynthError) -> None:
            self._shown.discard()
            self._say(str(error))  # not asked again until something changes

        self._background.ask(
            PREVIEW_TASK, Question(device, PREVIEW_TASK, parameters, volumes, done, failed, show)
        )
