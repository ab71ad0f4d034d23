"""trame-slicer's views, with what its stock ones lack for our scenes.

- The slice's image lies under everything that Slicer's displayable managers draw, whenever the
  view is made: stock views add it last, over the fills of segments that are there already.
- No multisampling: with it translucent surfaces vanish in 3D.
- While a slice view changes again and again it is drawn coarsely, and sharp when it rests.
- Clicks can be taken before Slicer's own mouse handling sees them.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable

import slicer
import vtk
from trame_server import Server
from trame_slicer.core import ViewManager
from trame_slicer.views import SliceView, ThreeDView, ViewType

from .pictures import PictureFactory
from .quick_image import QuickImage

FRAMES_PER_SECOND = 30.0
"""At most, of the view under the mouse and, as the views are linked, of the others too."""

MOVING_QUALITY = 60
"""JPEG quality while a view changes; at rest it is sent again at 90."""

REST_SECONDS = 0.12
"""A view that did not change for so long rests; shorter than it takes to be sent again at 90. A
machine that draws more slowly than that waits for twice as long as a picture takes."""

ONE_CHANGE_SECONDS = 0.01
"""What is asked for within so short a time is one change, however many nodes take part in it."""

FIRST = 100.0
"""Priority of our observers: before Slicer's."""

Press = Callable[[str, tuple[float, float, float], bool], bool]
"""``press(view, point, shift)`` gets a left click as LPS mm; True keeps it from Slicer."""


class LayeredSliceView(SliceView):
    """A slice view whose image is always the lowest thing in it."""

    def __init__(self, *args, **kwargs) -> None:
        self._quick: QuickImage | None = None
        self._shown = True
        self._changed_at = 0.0
        self._begun = self._took = 0.0
        self._resting: asyncio.TimerHandle | None = None
        super().__init__(*args, **kwargs)
        self.render_window().SetMultiSamples(0)
        self.render_window().AddObserver(vtk.vtkCommand.StartEvent, self._prepare)
        self.render_window().AddObserver(vtk.vtkCommand.EndEvent, self._drawn)

    def set_scene(self, scene: slicer.vtkMRMLScene) -> None:
        """As the base class; the managers begin to draw here."""
        sharp = self._render_manager.image_actor
        self._quick = QuickImage(self.logic, sharp)
        for actor in (sharp, self._quick.actor):
            self.first_renderer().AddViewProp(actor)
        super().set_scene(scene)

    # ------------------------------------------------------------------ coarse or sharp

    def set_shown(self, shown: bool) -> None:
        """Whether the page has the view; the views are linked, and one that nobody sees would be
        drawn as often as the others."""
        appears = shown and not self._shown
        self._shown = shown
        if appears:
            self.schedule_render()

    @property
    def moving(self) -> bool:
        """Whether the view changes again and again, and is drawn coarsely."""
        return self._resting is not None

    def schedule_render(self, *arguments) -> None:
        """As the base class; notes whether one change follows upon another."""
        now = time.monotonic()
        since = now - self._changed_at
        if since > ONE_CHANGE_SECONDS:
            self._changed_at = now
        if not self._shown:
            return
        if self._resting is not None or ONE_CHANGE_SECONDS < since < self._rest_seconds:
            self._rest_later()
        super().schedule_render(*arguments)

    @property
    def _rest_seconds(self) -> float:
        return max(REST_SECONDS, 2 * self._took)

    def _rest_later(self) -> None:
        if self._resting is not None:
            self._resting.cancel()
        self._resting = asyncio.get_event_loop().call_later(self._rest_seconds, self._rest)

    def _rest(self) -> None:
        self._resting = None
        super().schedule_render()

    def _prepare(self, _window, _event) -> None:
        self._begun = time.monotonic()
        if self._quick is not None:
            self._quick.choose(self.moving)

    def _drawn(self, _window, _event) -> None:
        self._took = time.monotonic() - self._begun

    # ------------------------------------------------------------------------- clicks

    @property
    def logic(self) -> slicer.vtkMRMLSliceLogic:
        """The view's slice logic."""
        return self._logic

    def observe_clicks(self, press: Press) -> None:
        """Have every left click handed to ``press`` first."""
        tags: list[int] = []

        def pressed(interactor, _event) -> None:
            point = self._point(interactor.GetEventPosition())
            if press(self.name, point, bool(interactor.GetShiftKey())):
                interactor.GetCommand(tags[0]).SetAbortFlag(1)

        tags.append(self.interactor().AddObserver("LeftButtonPressEvent", pressed, FIRST))

    def _point(self, position: tuple[int, int]) -> tuple[float, float, float]:
        ras = self.logic.GetSliceNode().GetXYToRAS().MultiplyPoint((*position, 0.0, 1.0))
        return -ras[0], -ras[1], ras[2]


class SmoothThreeDView(ThreeDView):
    """A 3D view in which translucent surfaces are seen."""

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.render_window().SetMultiSamples(0)
        self.renderer().SetMaximumNumberOfPeels(4)  # more are hardly seen and cost time


def register_views(
    manager: ViewManager,
    server: Server,
    decorate: Callable[[Server, str, SliceView], None] | None = None,
) -> None:
    """Let the manager make our views; ``decorate`` adds what a slice view's page has over it."""
    options = {
        "target_fps": FRAMES_PER_SECOND,
        "blur_fps": FRAMES_PER_SECOND,
        "interactive_quality": MOVING_QUALITY,
        "rca_encoder": "jpeg",
    }
    manager.register_factory(
        PictureFactory(
            server,
            LayeredSliceView,
            view_type=ViewType.SLICE_VIEW,
            populate_view_ui_f=decorate,
            **options,
        )
    )
    manager.register_factory(
        PictureFactory(server, SmoothThreeDView, view_type=ViewType.THREE_D_VIEW, **options)
    )


def draw_without_display() -> None:
    """Choose how VTK draws before its first window; a desktop's screen is not needed."""
    import os

    if sys.platform == "linux":
        os.environ.setdefault("VTK_DEFAULT_OPENGL_WINDOW", "vtkEGLRenderWindow")


def picture(view: SliceView | ThreeDView) -> vtk.vtkImageData:
    """What a view shows now, for thumbnails."""
    grab = vtk.vtkWindowToImageFilter()
    grab.SetInput(view.render_window())
    grab.SetInputBufferTypeToRGB()
    grab.ReadFrontBufferOff()
    grab.Update()
    return grab.GetOutput()
