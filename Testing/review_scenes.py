"""A real and a synthetic image in a Slicer scene without windows, and how their views look."""

from __future__ import annotations

import numpy as np
import pytest

from MRISynthApp.scene import render
from MRISynthApp.scene.render import RenderingUnavailable, SliceView
from MRISynthLib import mrml
from MRISynthLib.provenance import Provenance
from MRISynthLib.views import SIDE_BY_SIDE, STUDY_LAYOUT
from MRISynthLib.volume import Volume, matrix_from_parts

SIZE = (300, 300)
PROVENANCE = Provenance(
    synthetic=True,
    sequence="T2w",
    inputs=({"sequence": "T1w"},),
    bundle="a-model",
    bundle_version="1.0",
    bundle_hash="0123456789abcdef",
)


def pictures_of(headless):
    """Name of a view -> its picture now; the views exist from the start, as in a window."""
    try:
        render.off_screen_window()
    except RenderingUnavailable as error:
        pytest.skip(str(error))
    mrml.register_layouts(headless.scene)
    views = {}
    for layout in (SIDE_BY_SIDE[3], STUDY_LAYOUT):
        for name in layout.views:
            views[name] = SliceView(headless, name, SIZE)
            headless.on_close(views[name].close)
    return lambda name: views[name].picture()


def two_discs():
    """Two discs of 80 mm around the middle: left half bright in the real, right in the other."""
    rows, columns = np.mgrid[:80, :80] - 39.5
    disc = (rows**2 + columns**2 < 38**2)[None].repeat(8, axis=0)
    left = columns < 0
    grid = matrix_from_parts((1, 1, 4), None, (-39.5, -39.5, -14))
    real = np.where(disc, np.where(left, 900, 300), 0).astype(np.int16)
    other = np.where(disc, np.where(left, 30, 90), 0).astype(np.float32)
    return (
        Volume(real, grid, sequence="T2w", name="T2w"),
        Volume(other, grid, sequence="T2w", name="T2w", provenance=PROVENANCE),
    )


def amber(picture):
    """Whether the mark of synthetic images is in a picture's upper left."""
    part = picture[: SIZE[1] // 2, : SIZE[0] // 2].astype(int)
    red, green, blue = (part[..., i] for i in range(3))
    return ((red > 150) & (green > 100) & (red - blue > 90) & (red - green < 110)).sum() > 200


def halves(picture):
    """Grey levels left and right of the middle, below the text (the patient's right is left)."""
    return tuple(float(picture[210, x].mean()) for x in (110, 190))


def layout_of(headless):
    return headless.scene.GetFirstNodeByClass("vtkMRMLLayoutNode").GetViewArrangement()
