"""The sliders over slice views: they say where a view is, and move it."""

from __future__ import annotations

import asyncio
import time

from trame_server import Server
from trame_server.utils.typed_state import TypedState
from trame_slicer.app.logic.slice_view_logic import get_view_slider_typed_state
from trame_slicer.app.ui.slider import SliderState
from trame_slicer.views import SliceView

FOLLOW_SECONDS = 0.2
"""Between two places of a slider whose view is scrolled: to place it for each picture would cost
the browser time that the pictures need."""


class SliceSlider:
    """Keeps the state of a view's slider, and its view where the slider is put."""

    def __init__(self, server: Server, view: SliceView) -> None:
        self.typed_state: TypedState[SliderState] = get_view_slider_typed_state(server, view)
        self._state, self._view = server.state, view
        self._placed_at = 0.0
        self._waiting: asyncio.TimerHandle | None = None
        self.typed_state.bind_changes({self.typed_state.name.value: self._dragged})
        view.modified.connect(self._follow)
        self._place()

    def _dragged(self, value: float) -> None:
        with self.typed_state.suppress_change_listeners():
            self._view.set_slice_value(value)

    def _follow(self, _view: SliceView) -> None:
        if self._waiting is not None:
            return
        left = self._placed_at + FOLLOW_SECONDS - time.monotonic()
        if left > 0:
            self._waiting = asyncio.get_event_loop().call_later(left, self._place_later)
        else:
            self._place()

    def _place_later(self) -> None:
        self._waiting = None
        with self._state:
            self._place()

    def _place(self) -> None:
        self._placed_at = time.monotonic()
        with self.typed_state.suppress_change_listeners():
            data = self.typed_state.data
            data.min_value, data.max_value = self._view.get_slice_range()
            data.step = self._view.get_slice_step()
            data.value = self._view.get_slice_value()
