"""What the page's views add to Slicer's: quick pictures while scrolling, flicker, the plot."""

from __future__ import annotations

import asyncio
import re
import time

import numpy as np
import pytest

pytest.importorskip("trame_slicer", reason="needs the browser part (pip install mrisynth[view])")

from fakes import head
from MRISynthApp.scene.headless import HeadlessScene
from MRISynthApp.viewer.flicker import Flicker, safe_rate
from MRISynthApp.viewer.profile_plot import profile_svg
from MRISynthApp.viewer.views import REST_SECONDS, LayeredSliceView, draw_without_display, picture
from MRISynthLib.mrml import node_from_volume, place_view
from MRISynthLib.review.profile import line_profile

SIZE = (500, 400)
"""Of a view, so large that a coarse picture has fewer pixels."""


# ------------------------------------------------------------------------ quick pictures


@pytest.fixture
def view():
    """A view of a head, in an event loop that the test may run."""
    draw_without_display()
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    with HeadlessScene() as headless:
        shown = LayeredSliceView(headless.scene, headless.application_logic, "Any")
        headless.on_close(shown.finalize)
        shown.render_window().SetSize(*SIZE)
        node = node_from_volume(head(0, (12, 96, 90), name="T1w", sequence="T1w"), headless.scene)
        shown.logic.GetSliceCompositeNode().SetBackgroundVolumeID(node.GetID())
        shown.logic.ResizeSliceNode(*SIZE)
        place_view(shown.logic, node)
        yield shown
        loop.run_until_complete(asyncio.sleep(2 * REST_SECONDS))
    asyncio.set_event_loop(None)
    loop.close()


def seen(view: LayeredSliceView) -> np.ndarray:
    from vtk.util.numpy_support import vtk_to_numpy

    view.render_window().Render()
    image = picture(view)
    width, height, _ = image.GetDimensions()
    return vtk_to_numpy(image.GetPointData().GetScalars()).reshape(height, width, 3).astype(int)


def scroll(view: LayeredSliceView, slices: int) -> None:
    view.logic.SetSliceOffset(view.get_slice_value() + slices * view.get_slice_step())
    view.schedule_render()


def wait(seconds: float) -> None:
    asyncio.get_event_loop().run_until_complete(asyncio.sleep(seconds))


def rest(view: LayeredSliceView) -> None:
    """Until the view is still."""
    end = time.monotonic() + 10
    while view.moving and time.monotonic() < end:
        wait(REST_SECONDS / 4)
    assert not view.moving


def test_a_view_is_coarse_while_it_is_scrolled_and_sharp_at_rest(view):
    rest(view)
    sharp = seen(view)
    scroll(view, 2)
    wait(REST_SECONDS / 4)
    scroll(view, -2)
    assert view.moving
    coarse = seen(view)
    assert 0 < np.abs(coarse - sharp).mean() < 4, "the same picture, less sharp"
    inside = sharp.max(axis=-1) > 128
    assert (inside == (coarse.max(axis=-1) > 128)).mean() > 0.99, "everything where it was"
    rest(view)
    assert (seen(view) == sharp).all()


def test_a_view_that_is_slow_to_draw_is_coarse_too_while_it_is_scrolled(view):
    rest(view)
    tag = view.render_window().AddObserver("StartEvent", lambda *_: time.sleep(2 * REST_SECONDS))
    for _ in range(3):
        scroll(view, 1)  # drawn at once; longer than REST_SECONDS from one to the next
    assert view.moving
    view.render_window().RemoveObserver(tag)
    rest(view)


def test_a_view_that_nobody_sees_is_not_drawn(view):
    drawn = []
    view.render_window().AddObserver("EndEvent", lambda *_: drawn.append(view.get_slice_value()))
    view.set_shown(False)
    scroll(view, 1)
    assert not drawn
    view.set_shown(True)
    assert drawn == [view.get_slice_value()]


# ------------------------------------------------------------------------------- flicker


def test_images_never_take_turns_more_often_than_is_safe():
    turns: list[float] = []

    async def play() -> None:
        flicker = Flicker(lambda: turns.append(time.monotonic()))
        for rate in (1000, 3, 50, 3, 1e9):  # pushed about
            flicker.set(True, rate)
            await asyncio.sleep(0.25)
        flicker.set(False, 3)
        stopped = len(turns)
        await asyncio.sleep(0.5)
        assert len(turns) == stopped, "it can be stopped"

    asyncio.run(play())
    assert len(turns) >= 2
    assert np.diff(turns).min() > 0.3
    assert safe_rate(100) == 3.0
    assert safe_rate(0) == 0.5


# ---------------------------------------------------------------------------------- plot


def curves(svg: str) -> list[np.ndarray]:
    """Points of the two curves, in the picture's units."""
    paths = re.findall(r'class="mrs-curve" d="([^"]*)"', svg)
    return [np.array(re.findall(r"[ML]([\d.-]+) ([\d.-]+)", path), float) for path in paths]


def test_the_plot_has_both_images_along_the_line_and_no_more():
    one = head(0, (8, 40, 40), name="T1w", sequence="T1w")
    ramp = np.broadcast_to(np.linspace(0, 100, 40, dtype=np.float32), one.shape)
    other = one.with_voxels(np.ascontiguousarray(ramp))
    start, end = (one.index_to_world @ (i, 20, 4, 1) for i in (0, 60))
    profile = line_profile([one, other], start[:3], end[:3])
    svg = profile_svg(profile, ["T1w", "<b>SYNTHETIC</b> T1w"])
    first, second = curves(svg)
    assert np.isfinite(profile.values[0]).sum() == len(first) == len(second)
    assert first[-1, 0] < 0.75 * 330, "nothing is drawn beyond the image"
    assert (np.diff(second[:, 1]) <= 0.2).all(), "brighter is higher"
    assert "<b>" not in svg
    assert "stroke-dasharray" in svg
    assert "http" not in svg


def test_a_line_beside_both_images_gives_an_empty_plot():
    one = head(0, (8, 40, 40), name="T1w", sequence="T1w")
    profile = line_profile([one, one], (1e4, 0, 0), (1e4, 50, 0))
    assert not any(len(points) for points in curves(profile_svg(profile, ["a", "b"])))
