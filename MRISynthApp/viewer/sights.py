"""What is seen: the page's choices about images, views and contours, and the scene that follows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import numpy as np
from trame_server import Server

from MRISynthLib.progress import SliceReady
from MRISynthLib.provenance import Provenance
from MRISynthLib.review import modes
from MRISynthLib.review.derived import checkerboard
from MRISynthLib.review.profile import Profile
from MRISynthLib.sequences import SEQUENCE_NAMES
from MRISynthLib.volume import Volume
from MRISynthSegmentLib.mrml import FILL_OPACITY
from MRISynthSegmentLib.segmentation import Segmentation

from . import tables
from .desk import Desk
from .display import COMBINED, LAYOUTS, MODES, REAL, SOLID, SYNTHETIC, Display
from .flicker import Flicker
from .profile_plot import profile_svg

CHECKERBOARD, DIFFERENCE = modes.CHECKERBOARD, modes.DIFFERENCE
PREVIEW = "preview-"
UNCERTAINTY = "uncertainty-"
"""Keys of the scene's volumes that are no images of the desk, or the beginnings of them."""

SIDES = ("left", "right")
"""Names of the page's choices of images."""

PROFILE_SECONDS = 0.1
"""Between two plots while a line is dragged."""


class Sights:
    """Keeps the scene as the page wants it.

    ``compare(left, right)`` is called when a map of differences is wanted that was not made.
    Methods called ``on_…`` are what the page asks for.
    """

    def __init__(self, server: Server, desk: Desk, compare: Callable[[str, str], None]) -> None:
        self.state = server.state
        self.desk = desk
        self._compare = compare
        self._made_of: dict[str, tuple[str, str]] = {}
        self._figures: tables.Rows = []
        self._figures_of: tuple = (None, None, None)  # images and structures
        self.hidden: set[str] = set()
        self.display: Display | None = None
        self._flicker = Flicker(self._turn_over)
        self._turned = False  # in a flicker: the right image is seen
        self._unfinished = ""  # key of the image that is being made
        self._profile: Profile | None = None
        self._plotting: asyncio.TimerHandle | None = None
        self.state.update(
            {
                "left": None,
                "right": None,
                "layout": "2",
                "orientation": "Axial",
                "modes": list(MODES),
                "mode": "blend",
                "figures": [],
                "mode_reasons": tables.mode_reasons(desk, None, None),
                "opacity": 0.5,
                "flicker_rate": 1.0,
                "flickering": True,
                "profile": False,
                "profile_plot": "",
                "fill": FILL_OPACITY,
                "outline": True,
                "contours_shown": True,
            }
        )
        for names, function in (
            (("left", "right"), self._images_chosen),
            (("layout",), self._layout_chosen),
            (("orientation",), self._orientation_chosen),
            (("mode", "opacity"), self._combination_chosen),
            (("flickering", "flicker_rate"), self._set_flicker),
            (("profile",), self._profile_chosen),
            (("fill", "outline", "contours_shown"), self._look_chosen),
        ):
            self.state.change(*names)(function)

    def attach(self, display: Display) -> None:
        """The scene, once it is made."""
        self.display = display
        display.set_layout(self.state.layout)

    # ----------------------------------------------------------------------------- images

    def take_in(self, keys: Sequence[str]) -> None:
        """Put what is new on the desk into the scene, and show the new images ``keys``."""
        for key, image in self.desk.images.items():
            if not self.display.has(key):
                self.display.put(key, image.volume)
        for key, volume in self.desk.uncertainty.items():
            if not self.display.has(UNCERTAINTY + key):
                self.display.put(UNCERTAINTY + key, volume)
        if not keys:
            return
        first = not self.state.left
        made = [key for key in keys if self.desk.images[key].volume.is_synthetic]
        if made:
            self.state.right = made[0]
            self.state.left = self.desk.real_beside(made[0]) or made[0]
        elif first:
            self.state.left = keys[0]
            self.state.right = keys[1] if len(keys) > 1 else keys[0]
        self.show_images()
        if first:
            self.display.place(self.state.left)

    def take_out(self, key: str) -> None:
        """An image is gone from the desk."""
        for each in (key, UNCERTAINTY + key):
            self.display.remove(each)
        rest = list(self.desk.images)
        for name in SIDES:
            if self.state[name] == key:
                self.state[name] = rest[0] if rest else None
        if self.desk.segmentation is None:
            self.display.remove_segmentation()
        self.show_images()

    def show_images(self) -> None:
        """Left, right and combined image."""
        self.judge()
        if self.display is None:
            return
        self.display.show(REAL, self.state.left)
        self.display.show(SYNTHETIC, self.state.right)
        self.display.link_windows(self.state.left, self.state.right)
        self._combine()
        self._profile_chosen()
        self._show_segments()
        self.display.render()

    def take_difference(
        self,
        left: str,
        right: str,
        drawn: Segmentation | None,
        difference: Volume,
        figures: tables.Rows,
    ) -> None:
        """A map of differences was made, and numbers in the structures ``drawn``."""
        self.display.remove(DIFFERENCE)
        self.display.put(DIFFERENCE, difference)
        self._made_of[DIFFERENCE] = (left, right)
        self._figures, self._figures_of = figures, (left, right, drawn)
        self.show_images()

    def back_to_blend(self) -> None:
        """What was chosen cannot be had: do not seem to show it."""
        self.state.mode = modes.BLEND

    def judge(self) -> None:
        """Say what can be shown of the images that are seen, and nothing that is of others."""
        state = self.state
        state.mode_reasons = tables.mode_reasons(self.desk, state.left, state.right)
        if state.mode_reasons.get(state.mode):
            self.back_to_blend()
        state.figures = self._figures if self._figures_hold() else []

    def _figures_hold(self) -> bool:
        """Whether the numbers are of the images and structures that are seen."""
        left, right, drawn = self._figures_of
        return (
            (left, right) == (self.state.left, self.state.right)
            and drawn is self.desk.segmentation
            and not self.state.mode_reasons[modes.DIFFERENCE]
        )

    def preview(self, ready: SliceReady, reference: Volume) -> None:
        """Show a finished slice of an image that is being made on the reference's grid."""
        key = PREVIEW + ready.target
        if self.display.has(key):
            self.display.put_slice(key, ready.index, ready.image)
            return
        unfinished = reference.with_voxels(
            np.zeros(reference.shape, np.float32),
            sequence=ready.target,
            name=f"{ready.target} (being computed)",
            provenance=Provenance(synthetic=True, kind="preview", sequence=ready.target),
        )
        self.display.put(key, unfinished)
        self.display.put_slice(key, ready.index, ready.image)
        self.display.set_window_to_content(key)
        self._unfinished = key
        self.display.show(SYNTHETIC, key)
        self._combine()

    def discard_previews(self) -> None:
        """Take unfinished images away."""
        self._unfinished = ""
        for name in SEQUENCE_NAMES:
            self.display.remove(PREVIEW + name)
        self.show_images()

    # ------------------------------------------------------------------------ combinations

    def _images_chosen(self, **_) -> None:
        self.show_images()

    def _combination_chosen(self, **_) -> None:
        if self.display is not None:
            self._combine()
            self.display.render()

    def _combine(self) -> None:
        """Left and right image in the combined view, in the chosen way; or what is being made, if
        no other view shows it."""
        left, right, mode = self.state.left, self.state.right, self.state.mode
        opacity = float(self.state.opacity)
        possible = bool(left and right) and not self.state.mode_reasons.get(mode)
        self._set_flicker()
        if self._unfinished_is_combined:
            self.display.show(COMBINED, self._unfinished)
        elif possible and mode == modes.FLICKER:
            self.display.show(COMBINED, left, right, float(self._turned))
        elif possible and mode == modes.UNCERTAINTY:
            self.display.show(COMBINED, right, UNCERTAINTY + right, opacity, legend=True)
        elif possible and mode == modes.CHECKERBOARD:
            self._make_checkerboard(left, right)
            self.display.show(COMBINED, CHECKERBOARD)
        elif possible and mode == modes.DIFFERENCE and self._made_of.get(mode) == (left, right):
            self.display.show(COMBINED, DIFFERENCE, legend=True)
            if not (self._figures_hold() or self.state.running):
                self._compare(left, right)
        else:
            self.display.show(COMBINED, left, right, opacity)
            if possible and mode == modes.DIFFERENCE:
                self._compare(left, right)

    @property
    def _unfinished_is_combined(self) -> bool:
        """Whether an image that is being made would be seen in no view but the combined one."""
        return bool(self._unfinished) and SYNTHETIC not in LAYOUTS.get(str(self.state.layout), ())

    def _make_checkerboard(self, left: str, right: str) -> None:
        if self._made_of.get(CHECKERBOARD) != (left, right):
            images = self.desk.images
            self.display.remove(CHECKERBOARD)
            self.display.put(CHECKERBOARD, checkerboard(images[left].volume, images[right].volume))
            self._made_of[CHECKERBOARD] = (left, right)

    def _set_flicker(self, **_) -> None:
        """Let both images take turns where that is chosen and seen."""
        state = self.state
        seen = COMBINED in LAYOUTS.get(str(state.layout), ())
        possible = state.mode == modes.FLICKER and not state.mode_reasons.get(modes.FLICKER)
        possible = possible and not self._unfinished_is_combined
        if self.display is not None:
            self._flicker.set(possible and seen and bool(state.flickering), state.flicker_rate)

    def _turn_over(self) -> None:
        self._turned = not self._turned
        self.display.show(COMBINED, self.state.left, self.state.right, float(self._turned))
        self.display.view(COMBINED).schedule_render()

    # ------------------------------------------------------------------------- line profile

    def _profile_chosen(self, **_) -> None:
        """Show the line and its plot, or do not."""
        if self.display is None:
            return
        left, right = self.state.left, self.state.right
        if not (self.state.profile and left and right) or left == right:
            self.display.drop_profile()
            self.state.profile_plot = ""
        else:
            self.display.show_profile(left, right, self._profile_changed)

    def _profile_changed(self, profile: Profile) -> None:
        """Plot it soon, with what is dragged until then."""
        self._profile = profile
        if self._plotting is None:
            loop = asyncio.get_running_loop()
            self._plotting = loop.call_later(PROFILE_SECONDS, self._plot_profile)

    def _plot_profile(self) -> None:
        self._plotting = None
        titles = {each["value"]: each["title"] for each in tables.choices(self.desk)}
        names = [titles.get(self.state[side]) for side in SIDES]
        if self.state.profile and None not in names:
            with self.state:
                self.state.profile_plot = profile_svg(self._profile, names)

    def on_draw_line(self) -> None:
        """The line through the middle of what is seen now."""
        self.display.draw_line()

    # ------------------------------------------------------------------------------- views

    def _layout_chosen(self, layout: str = "2", **_) -> None:
        if self.display is not None:
            self.display.set_layout(str(layout))
            self._set_flicker()
            if self._unfinished:
                self._combine()
            self.display.render()

    def _orientation_chosen(self, orientation: str = "Axial", **_) -> None:
        if self.display is not None and self.state.left:
            self.display.place(self.state.left, self.display.focus(), str(orientation))
            self.display.render()

    def on_reset_view(self) -> None:
        """All views as at first."""
        if self.state.left:
            self.display.place(self.state.left)
            self.display.link_windows(self.state.left, self.state.right, anew=True)
            self.display.solid.fit_view_to_content()
            self.display.render()

    def on_step(self, slices: int) -> None:
        """Go some slices on, as Slicer's keys do."""
        if self.state.left:
            self.display.step(int(slices))

    # ---------------------------------------------------------------------------- contours

    def show_contours(self, reference: str | None = None) -> None:
        """The desk's contours; ``reference`` is the image under new ones."""
        if self.desk.segmentation is None:
            return
        if reference is not None:
            self.hidden = set()
            self.display.put_segmentation(self.desk.segmentation, reference)
        self._look_chosen()

    def redraw_contours(self, names: Sequence[str]) -> None:
        """Some structures were corrected."""
        if names:
            self.display.update_segmentation(self.desk.segmentation, names)
            self._look_chosen()

    def _look_chosen(self, **_) -> None:
        if self.display is not None:
            self._show_segments()
            self.display.render()

    def of_their_patient(self) -> dict[str, bool]:
        """Whether structures go with what a view shows."""
        left, right = (self.desk.goes_with_structures(self.state[side]) for side in SIDES)
        return {REAL: left, SYNTHETIC: right, COMBINED: left and right, SOLID: True}

    def is_shown(self, structure: str) -> bool:
        """Whether a person can see where a structure is, in views that show it."""
        drawn = bool(self.state.outline) or float(self.state.fill) > 0
        return bool(self.state.contours_shown) and drawn and structure not in self.hidden

    def _show_segments(self) -> None:
        self.display.show_segments(
            fill=float(self.state.fill) / FILL_OPACITY,
            outline=bool(self.state.outline),
            hidden=tuple(self.hidden),
            shown=bool(self.state.contours_shown),
            views=[view for view, goes in self.of_their_patient().items() if goes],
        )

    def on_toggle_contours(self) -> None:
        """Contours on or off."""
        self.state.contours_shown = not self.state.contours_shown

    def on_show_structure(self, name: str, shown: bool) -> None:
        """Show one structure, or do not."""
        (self.hidden.discard if shown else self.hidden.add)(name)
        self._look_chosen()
        self.state.results = tables.results(self.desk, self.hidden)

    def on_go_to(self, name: str) -> None:
        """Show the middle of a structure."""
        found = self.desk.segmentation
        if found is None or name not in found.masks or not found.masks[name].any():
            return
        index = np.argwhere(found.masks[name]).mean(axis=0)[::-1]
        point = (found.reference.index_to_world @ np.append(index, 1.0))[:3]
        self.display.jump(point)
