"""trame-slicer's views, with what its stock ones lack for our scenes.

- The slice's image lies under everything that Slicer's displayable managers draw, whenever the
  view is made: stock views add it last, over the fills of segments that are there already.
- No multisampling: with it translucent surfaces vanish in 3D.
- Clicks can be taken before Slicer's own mouse handling sees them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import slicer
import vtk
from trame_server import Server
from trame_slicer.core import ViewManager
from trame_slicer.rca_view.rca_view_factory import RemoteViewFactory
from trame_slicer.views import SliceView, ThreeDView, ViewType

FRAMES_PER_SECOND = 30.0
"""At most, of the view under the mouse and, as the views are linked, of the others too."""

MOVING_QUALITY = 60
"""JPEG quality while a view changes; at rest it is sent again at 90."""

FIRST = 100.0
"""Priority of our observers: before Slicer's."""

Press = Callable[[str, tuple[float, float, float], bool], bool]
"""``press(view, point, shift)`` gets a left click as LPS mm; True keeps it from Slicer."""


class LayeredSliceView(SliceView):
    """A slice view whose image is always the lowest thing in it."""

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.render_window().SetMultiSamples(0)

    def set_scene(self, scene: slicer.vtkMRMLScene) -> None:
        """As the base class; the managers begin to draw here."""
        self.first_renderer().AddViewProp(self._render_manager.image_actor)
        super().set_scene(scene)

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
        RemoteViewFactory(
            server,
            LayeredSliceView,
            view_type=ViewType.SLICE_VIEW,
            populate_view_ui_f=decorate,
            **options,
        )
    )
    manager.register_factory(
        RemoteViewFactory(server, SmoothThreeDView, view_type=ViewType.THREE_D_VIEW, **options)
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
