"""How the pictures of a view reach the page: in their order, and the newest always.

trame-rca's own way may lose pictures, the last one too, after which a view shows what is no longer
so until something changes: the server drops what was encoded at an earlier time than what was sent
before it (several threads encode, and clocks are set), and the page what comes while it is busy
with four others.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

from trame.widgets import html
from trame_rca.schedulers import RcaRenderSchedulerProtocol
from trame_rca.widgets.rca import RemoteControlledArea
from trame_slicer.rca_view.rca_view_factory import RcaView, RemoteViewFactory
from trame_slicer.views import AbstractView

ON_THE_PAGE = "page"
"""A display that trame-rca does not have; the page's ``pictures.js`` shows what is sent."""


class InOrder:
    """An encoder in the place of trame-rca's that numbers pictures as they are drawn.

    The scheduler drops what has a smaller number than what it sent before; trame-rca's encoders
    give the time at which a thread began.
    """

    def __init__(self, encoder) -> None:
        self._encoder = encoder
        self._numbers = count(1 << 62)  # after any time

    @property
    def encode(self) -> Callable[..., tuple[bytes, dict, int]]:
        """What encodes the next picture; asked for when it has been drawn."""
        number = next(self._numbers)

        def numbered(*picture) -> tuple[bytes, dict, int]:
            content, meta, _ = self._encoder.encode(*picture)
            return content, meta, number

        return numbered


class PictureFactory(RemoteViewFactory):
    """Makes views whose pictures reach the page; arguments as the base class."""

    def _create_view(self, *arguments) -> RcaView:
        made = super()._create_view(*arguments)
        scheduler = made.view_adapter._scheduler
        scheduler._rca_encoder = InOrder(scheduler._rca_encoder)
        return made

    def _create_vuetify_ui(
        self,
        view_id: str,
        slicer_view: AbstractView,
        rca_scheduler: RcaRenderSchedulerProtocol,
        *,
        active_view_cursor: str,
    ) -> None:
        with html.Div(classes="mrs-view", style=(f"{{ cursor: `${{{active_view_cursor}}}` }}",)):
            with RemoteControlledArea(
                name=view_id,
                display=ON_THE_PAGE,
                send_mouse_move=True,
                event_throttle_ms=round(1000 * self._rca_event_throttle_s),
            ):
                shown = f"window.mrisynth.shows($event.el, '{view_id}')"
                html.Canvas(  # with a key, or another layout's view would take it over
                    classes="mrs-picture", key=view_id, raw_attrs=[f'@vue:mounted="{shown}"']
                )
            if self._populate_view_ui_f is not None:
                self._populate_view_ui_f(self._server, view_id, slicer_view)
