"""The visitor's page: what lies where. What it says and does is in :mod:`.visit`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from trame.ui.vuetify3 import VAppLayout
from trame.widgets import client, html
from trame.widgets import vuetify3 as v3
from trame_server import Server
from trame_slicer.app.ui.slider import Slider
from trame_slicer.views import SliceView

from MRISynthLib import __version__

from . import sections
from .display import LAYOUTS
from .sliders import SliceSlider

if TYPE_CHECKING:
    from .visit import Visit

STATIC = Path(__file__).with_name("static")
TITLE = "MRISynth"

THEMES = {
    "light": {"dark": False, "colors": {"primary": "#0b5cad", "warning": "#8a5300"}},
    "dark": {"dark": True, "colors": {"primary": "#6cb6ff", "warning": "#ffc24a"}},
}
"""Blue against amber: told apart by everybody; nothing is said by colour alone."""

LAYOUT_WORDS = {
    "1": ("mdi-square-outline", "One view: both images combined"),
    "2": ("mdi-view-split-vertical", "Two views: left beside right image"),
    "3": ("mdi-view-parallel-outline", "Three views: left, right, both combined"),
    "4": ("mdi-view-grid-outline", "Four views: left, right, combined, 3D"),
}

KEYS = (
    ("Mouse wheel, or F / B, or arrow keys", "next / previous slice"),
    ("Left button and move", "brightness and contrast, all images together"),
    ("Right button and move, Ctrl + wheel", "zoom"),
    ("Middle button or Shift + left, and move", "shift the image"),
    ("Shift and move", "crosshair: the same place in all views"),
    ("G", "contours on or off"),
    ("T", "back and forth between left and right image (combined view)"),
    ("R", "views as at first"),
    ("Z / Y", "undo / redo a correction"),
    ("3D: left button, wheel", "turn, zoom"),
)


LOST = """
<div class="mrs-lost" id="lost"><h1>The connection to MRISynth has ended</h1>
<p>The scene was idle for long, it was opened in another tab, or MRISynth was stopped. If nothing
of that is so, the page finds the scene again when it is loaded within some seconds.</p>
<p><a href="">Load this page again</a> &nbsp; <a href="/">Start a new scene</a></p></div>
"""
"""What takes the page's place when nothing of it works any more."""


def decorate_slice_view(server: Server, _name: str, view: SliceView) -> None:
    """A slider over the lower edge of a slice view."""
    with html.Div(classes="mrs-slider"):
        Slider(
            typed_state=SliceSlider(server, view).typed_state,
            density="compact",
            theme="dark",
            color="#6cb6ff",
            aria_label=f"Slice of the {view.name.lower()} view",
        )


def build_page(server: Server, visit: Visit) -> None:
    """Lay out the page."""
    server.enable_module(
        {
            "serve": {"__mrisynth": str(STATIC)},
            "scripts": ["__mrisynth/viewer.js", "__mrisynth/pictures.js"],
            "styles": ["__mrisynth/viewer.css"],
        }
    )
    state = server.state
    state.trame__title = TITLE
    state.trame__favicon = None
    state.trame__template_error = LOST
    state.trame__vuetify3_config = {"theme": {"defaultTheme": "dark", "themes": THEMES}}
    state.setdefault("theme", "dark")
    state.setdefault("help", False)
    state.setdefault("drawer", True)
    with VAppLayout(server) as layout:
        layout.root.theme = ("theme",)
        layout.root.classes = "mrs-app"
        client.JSEval(ref="downloads", exec="window.mrisynth.fetch($event)")
        _bar()
        with v3.VNavigationDrawer(v_model=("drawer",), width=360, permanent=("drawer",)):
            with v3.Template(v_slot_prepend=True):  # stays when the rest is scrolled
                sections.notes()
            with v3.VExpansionPanels(
                v_model=("section",), multiple=True, variant="accordion", flat=True
            ):
                sections.images()
                sections.make()
                sections.structures()
                sections.results()
                sections.downloads()
            html.Div(
                f"MRISynth {__version__}. Models: {{{{ models }}}}. For research and "
                "demonstration, not for clinical decisions: the models were trained on simulated "
                "patients.",
                classes="text-caption pa-4",
            )
        with v3.VMain(classes="mrs-main"), html.Div(classes="mrs-views"):
            visit.display.layouts.initialize_layout_grid(layout)
            _welcome()
        _help()
        _drop_target()


# ------------------------------------------------------------------------------- the bar


def _bar() -> None:
    with v3.VAppBar(density="compact", elevation=1):
        v3.VAppBarNavIcon(click="drawer = !drawer", aria_label="Panel on or off")
        v3.VToolbarTitle(TITLE, classes="mrs-title")
        with v3.VBtnToggle(
            v_model=("layout",), mandatory=True, density="compact", variant="outlined", divided=True
        ):
            for name in LAYOUTS:
                icon, words = LAYOUT_WORDS[name]
                _button(icon, words, value=name, id=f"layout-{name}")
        v3.VSelect(
            v_model=("orientation",),
            items=("orientations", ["Axial", "Coronal", "Sagittal"]),
            density="compact",
            variant="outlined",
            hide_details=True,
            classes="mrs-orientation",
            aria_label="Orientation",
        )
        _select_image("left", "Left image")
        _select_image("right", "Right image")
        v3.VSpacer()
        _button("mdi-fit-to-screen-outline", "Views as at first (R)", click="trigger('reset_view')")
        _button("mdi-help-circle-outline", "Keys and mouse", click="help = true", id="help")
        _button(
            "mdi-theme-light-dark",
            "Light or dark",
            click="theme = theme === 'dark' ? 'light' : 'dark'",
            id="theme",
        )


def _button(icon: str, words: str, **options: object) -> None:
    with v3.VBtn(icon=True, size="small", aria_label=words, **options):
        v3.VIcon(icon)
        v3.VTooltip(words, activator="parent", location="bottom")


def _select_image(name: str, label: str) -> None:
    v3.VSelect(
        v_model=(name,),
        placeholder=label,
        items=("image_items",),
        density="compact",
        variant="outlined",
        hide_details=True,
        no_data_text="No image yet",
        classes="mrs-select",
        title=label,
        aria_label=label,
        id=f"select-{name}",
    )


# -------------------------------------------------------------------------- over the views


def _welcome() -> None:
    with html.Div(v_if=("!images.length",), classes="mrs-welcome", id="welcome"):
        v3.VIcon("mdi-tray-arrow-down", size=56)
        html.Div("Drop MR images or a DICOM folder here", classes="text-h6 mt-2")
        html.Div(
            "NIfTI, NRRD, MetaImage, DICOM, or these in a zip archive. They stay on the machine "
            "that runs MRISynth and are deleted when this page is closed.",
            classes="text-body-2 mt-1",
        )
        v3.VBtn(
            "Or try a simulated patient",
            click="trigger('simulated')",
            disabled=("loading",),
            color="primary",
            classes="mt-4",
            id="welcome-simulated",
        )


def _help() -> None:
    with v3.VDialog(v_model=("help",), max_width=640), v3.VCard(title="Keys and mouse", id="keys"):
        with v3.VCardText(), v3.VTable(density="compact"), html.Tbody():
            for keys, meaning in KEYS:
                with html.Tr():
                    html.Td(keys, classes="font-weight-medium")
                    html.Td(meaning)
        with v3.VCardActions():
            v3.VSpacer()
            v3.VBtn("Close", click="help = false")


def _drop_target() -> None:
    html.Div(
        "Drop to load: images, a DICOM folder, or a zip archive",
        classes="mrs-drop",
        id="mrs-drop",
    )
