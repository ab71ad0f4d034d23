"""Pictures of a view on their way to the page: none is lost, whatever clocks and threads do."""

from __future__ import annotations

import asyncio
import time
from itertools import count

import numpy as np
import pytest

pytest.importorskip("trame_slicer", reason="needs the browser part (pip install mrisynth[view])")

from trame_rca.schedulers import RcaImageRenderScheduler

from MRISynthApp.viewer.pictures import InOrder

PICTURES = 5


class Window:
    """Draws the numbers from 1 on."""

    drawn = 0

    @property
    def img_cols_rows(self):
        self.drawn += 1
        return np.array(self.drawn), 1, 1

    def process_resize_event(self, width, height):
        """It has no size."""

    def process_interaction_event(self, event):
        """Nobody touches it."""


class ClockSetBack:
    """An encoder each of whose pictures is said to be older than the one before."""

    def __init__(self):
        self._times = count(time.time_ns() // 1_000_000 + 1000, -100)

    def encode(self, picture, cols, rows, quality):
        return str(picture).encode(), {}, next(self._times)


async def sent(encoder) -> list[int]:
    """The pictures that the page gets of those that are drawn."""
    window, came = Window(), []
    scheduler = RcaImageRenderScheduler(
        window,
        push_callback=lambda content, _meta: came.append(int(content)),
        interactive_quality=90,
        still_quality=90,
        target_fps=1000,
    )
    scheduler._rca_encoder = encoder
    window.drawn = 0  # the scheduler has looked what the window is
    for number in range(1, PICTURES + 1):
        scheduler.schedule_render()
        while window.drawn < number:
            await asyncio.sleep(0.001)
    end = time.monotonic() + 20
    while len(came) < PICTURES and time.monotonic() < end:
        await asyncio.sleep(0.01)
    await scheduler.close()
    return came


def test_no_picture_is_lost_when_the_clock_is_set_back():
    assert asyncio.run(sent(InOrder(ClockSetBack()))) == list(range(1, PICTURES + 1))


def test_pictures_are_numbered_as_they_are_drawn_whichever_thread_is_first():
    encoder = InOrder(ClockSetBack())
    first, second = encoder.encode, encoder.encode
    later, earlier = second(2, 1, 1, 90), first(1, 1, 1, 90)
    assert (earlier[0], later[0]) == (b"1", b"2")
    assert later[2] > earlier[2]
