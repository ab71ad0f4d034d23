"""What views show and say, without Slicer: arrangements, marks, sides."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from .provenance import SYNTHETIC_MARK, Provenance, unmarked

CT_WINDOW = (-160.0, 240.0)
"""Hounsfield units of soft tissue, shown from black to white."""

GREY_COLOURS = "vtkMRMLColorTableNodeGrey"

MAP_COLOURS = {
    "uncertainty": "vtkMRMLPETProceduralColorNodePET-HotMetalBlue",
    "difference": "vtkMRMLPETProceduralColorNodePET-Heat",
}
"""Kind of map -> Slicer's name for its colours, with rising luminance: black, blue, orange, white;
black, red, yellow, white. Unlike Inferno, which desktop Slicer reads from a file, they are made in
code, so every Slicer and slicer-core has them."""

DIFFERENCE_WINDOW = (0.0, 0.2)
"""Of maps of absolute differences, whose images have brightness from 0 to 1."""

STUDY_KIND = "study"
"""Kind of provenance of all that a blinded reader is shown, real or synthetic: a view says the same
of every such image."""

_FIXED_WINDOWS = {"difference": DIFFERENCE_WINDOW, "checkerboard": (0.0, 1.0)}

_STUDY_LINES = ("Reader study", f"Real or {SYNTHETIC_MARK}?", "Not for clinical decisions")


@dataclass(frozen=True)
class SliceLayout:
    """A view arrangement: its id in Slicer's layout node and the slice views in reading order.

    ``description`` is the XML of a layout of our own, None for one that Slicer brings along.
    """

    id: int
    views: tuple[str, ...]
    description: str | None = None


def _view_xml(tag: str, label: str, colour: str) -> str:
    return (
        f'<item><view class="vtkMRMLSliceNode" singletontag="{tag}">'
        '<property name="orientation" action="default">Axial</property>'
        f'<property name="viewlabel" action="default">{label}</property>'
        f'<property name="viewcolor" action="default">{colour}</property>'
        "</view></item>"
    )


_PLOT_XML = (
    '<item splitSize="300"><view class="vtkMRMLPlotViewNode" singletontag="MRISynthPlot">'
    '<property name="viewlabel" action="default">P</property></view></item>'
)


def _own_layout(count: int, plot: bool = False) -> SliceLayout:
    colours = ("#56B4E9", "#E69F00", "#009E73", "#CC79A7")
    tags = tuple(f"MRISynth{index + 1}" for index in range(count))
    cells = [_view_xml(tag, f"S{i + 1}", colours[i]) for i, tag in enumerate(tags)]
    rows = [cells] if count < 4 else [cells[:2], cells[2:]]
    lines = [f'<layout type="horizontal">{"".join(row)}</layout>' for row in rows]
    if plot:
        items = f'<item splitSize="700">{lines[0]}</item>{_PLOT_XML}'
        lines = [f'<layout type="vertical" split="true">{items}</layout>']
    if len(lines) > 1:
        items = "".join(f"<item>{line}</item>" for line in lines)
        lines = [f'<layout type="vertical">{items}</layout>']
    return SliceLayout(51310 + count if plot else 51300 + count, tags, lines[0])


SIDE_BY_SIDE: dict[int, SliceLayout] = {count: _own_layout(count) for count in (2, 3, 4)}
"""'MRISynth side by side' for two, three and four images, in views of its own, so that the
arrangement which the user had is found unchanged on going back."""

ONE_VIEW = _own_layout(1)
"""One large slice view, for two images in one place."""

PLOT_VIEW = "MRISynthPlot"
"""Name of the plot view of :data:`WITH_PLOT`."""

WITH_PLOT: dict[int, SliceLayout] = {count: _own_layout(count, plot=True) for count in (1, 2, 3)}
"""One, two or three images over a plot."""

STUDY_LAYOUT = SliceLayout(
    51320,
    ("MRISynthStudy",),
    f'<layout type="horizontal">{_view_xml("MRISynthStudy", "R", "#999999")}</layout>',
)
"""The one neutral view of a reader study."""

OWN_LAYOUTS = (*SIDE_BY_SIDE.values(), ONE_VIEW, *WITH_PLOT.values(), STUDY_LAYOUT)
"""All that Slicer has to be told."""

BUILT_IN: tuple[SliceLayout, ...] = (
    SliceLayout(6, ("Red",)),
    SliceLayout(29, ("Red", "Yellow")),
    SliceLayout(27, ("Red", "Slice4", "Green", "Yellow")),
    SliceLayout(21, ("Red", "Green", "Yellow", "Red+", "Green+", "Yellow+")),
    SliceLayout(33, ("Red", "Yellow", "Green", *(f"Slice{n}" for n in range(4, 10)))),
)
"""Slicer's own arrangements of slice views (one, side by side, two over two, three over
three, three by three). Saved scenes use these: a scene stores an arrangement's number, not
its description, and a Slicer without this extension shows nothing for an unknown number."""


def built_in_layout(count: int) -> SliceLayout:
    """The smallest of Slicer's own arrangements with at least ``count`` slice views (up to 9)."""
    return next((layout for layout in BUILT_IN if len(layout.views) >= count), BUILT_IN[-1])


def provenance_lines(provenance: Provenance | None, name: str = "") -> tuple[str, ...]:
    """What a view that shows an image of this origin must say: nothing if it is real.

    ``name`` stands in for a sequence that the provenance does not state.
    """
    if provenance is None or not provenance.synthetic:
        return ()
    if provenance.kind == STUDY_KIND:
        return _STUDY_LINES
    what = provenance.sequence or unmarked(name)
    if provenance.kind != "image" and provenance.kind not in what:
        what = f"{what} {provenance.kind}"
    lines = [f"{SYNTHETIC_MARK} {what}".strip()]
    if provenance.inputs:
        lines.append("from " + " + ".join(str(i.get("sequence", "?")) for i in provenance.inputs))
    if provenance.bundle:
        model = f"by {provenance.bundle} {provenance.bundle_version}".strip()
        lines.append(f"{model} [{provenance.bundle_hash[:12]}]")
    return (*lines, "Not for clinical decisions")


def combined_lines(each: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """What a view must say that shows several volumes, from what it must say of each of them:
    all of the only one that is synthetic, of more than one what they are."""
    said = [lines for lines in each if lines]
    if len(said) < 2:
        return said[0] if said else ()
    return (*dict.fromkeys(lines[0] for lines in said), said[0][-1])


def edge_letters(slice_to_ras: np.ndarray) -> tuple[str, str, str, str]:
    """Patient directions at a view's (left, right, top, bottom) edge, one letter each.

    ``slice_to_ras`` is a slice node's 4x4 matrix: its first column points to the right of
    the screen, its second to the top, in RAS.
    """
    names = (("R", "L"), ("A", "P"), ("S", "I"))

    def letter(direction: np.ndarray) -> str:
        axis = int(np.argmax(np.abs(direction)))
        return names[axis][0 if direction[axis] > 0 else 1]

    right, top = np.asarray(slice_to_ras)[:3, 0], np.asarray(slice_to_ras)[:3, 1]
    return letter(-right), letter(right), letter(top), letter(-top)


def percentiles_inside(voxels: np.ndarray, wanted: Sequence[float]) -> list[float]:
    """Percentiles (0-100) of the finite voxels above the lowest value, the background.

    For display windows: taken from about a hundred thousand voxels, which fix them well
    enough. An image of one value gives this value.
    """
    sample = voxels.ravel()[:: max(1, voxels.size // 100_000)].astype(np.float64)
    sample = sample[np.isfinite(sample)]
    inside = sample[sample > sample.min()] if sample.size else sample
    if inside.size == 0:
        return [float(sample[0]) if sample.size else 0.0] * len(wanted)
    return [float(value) for value in np.percentile(inside, wanted)]


def display_window(
    voxels: np.ndarray, sequence: str | None, provenance: Provenance | None = None
) -> tuple[float, float]:
    """The values to show as black and as white, the second above the first.

    Uncertainty: from 0 to the 99.5th percentile. Differences and what is kept as relative
    brightness: always the same. CT: soft tissue, in Hounsfield units. Else from the 0.5th to the
    99.5th percentile of the voxels above the background.

    Parameters
    ----------
    sequence, provenance:
        As a :class:`~MRISynthLib.volume.Volume` has them.
    """
    kind = "image" if provenance is None else provenance.kind
    if kind in _FIXED_WINDOWS:
        return _FIXED_WINDOWS[kind]
    if kind == "uncertainty":
        low, high = 0.0, percentiles_inside(voxels, (99.5,))[0]
    elif sequence == "CT":
        return CT_WINDOW
    else:
        low, high = percentiles_inside(voxels, (0.5, 99.5))
    return low, high if high > low else low + 1.0


def wrapped(lines: Sequence[str], drawn: Callable[[str], float], width: float) -> list[str]:
    """Lines broken between words, and long words after hyphens, to be no wider than ``width``.

    ``drawn`` tells how wide a text is on the screen; nothing of the text is left out.
    """
    result: list[str] = []
    for line in lines:
        current = ""
        for word in line.split():
            longer = f"{current} {word}".strip()
            if current and drawn(longer) > width:
                result.append(current)
                longer = word
            while drawn(longer) > width and len(longer) > 1:
                cuts = range(len(longer) - 1, 0, -1)
                cut = next((n for n in cuts if drawn(longer[:n]) <= width), 1)
                cut = longer.rfind("-", 0, cut) + 1 or cut
                result.append(longer[:cut])
                longer = longer[cut:]
            current = longer
        result.append(current)
    return result
