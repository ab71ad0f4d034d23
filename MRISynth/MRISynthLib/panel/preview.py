"""The live preview in words: which slice is shown where, or why there is none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

MOST_TILT = 45.0
"""Degrees; a view that is turned further looks along another axis of the image."""

NOT_PREPARED = "The preview waits until the inputs are checked and aligned."
NOT_CHECKED = (
    "No preview, as the inputs could not be checked and aligned; that is tried again after the "
    "next Apply."
)
NOT_INSTALLED = "The preview comes once the Python packages are installed (first Apply)."


@dataclass(frozen=True)
class SlicePlace:
    """Where a slice view cuts a volume.

    Attributes
    ----------
    volume, view:
        Their names; without a view there is none on the screen.
    count:
        Number of slices of the volume.
    position:
        Of the view's middle, in slices from the first, beyond the volume too.
    tilt:
        Degrees between the view and the volume's slices.
    strip:
        Whether one slice is seen in the view as a strip only, since the view is tilted.
    """

    volume: str
    view: str
    count: int
    position: float
    tilt: float
    strip: bool

    @property
    def index(self) -> int:
        """The slice of the volume that is nearest."""
        return min(max(round(self.position), 0), self.count - 1)

    @property
    def problem(self) -> str:
        """One sentence on why no slice of the volume could be seen; empty if one can."""
        if not self.view:
            return "No preview, as no slice view is open; choose a layout that has one."
        if self.tilt > MOST_TILT:
            return (
                f"No preview, as no view shows '{self.volume}' in the plane of its slices; turn a "
                "view to that plane."
            )
        if not -0.5 <= self.position <= self.count - 0.5:
            return (
                f"No preview, as the view {self.view} lies outside of the {self.count} slices of "
                f"'{self.volume}'; scroll back to them."
            )
        return ""

    def shown(self, target: str, info: Mapping[str, Any]) -> str:
        """One sentence on what is seen; ``info`` is what the task :data:`PREVIEW_TASK` said."""
        slice_name = f"slice {self.index + 1} of {self.count} of '{self.volume}'"
        if not info.get("made", True):
            return (
                f"No preview, as the network works on other slices than those of '{self.volume}'; "
                "Apply makes the whole image all the same."
            )
        if not info.get("inside", True):
            return f"Nothing of the body is on {slice_name}, so the preview of {target} is empty."
        if self.strip:
            return (
                f"Only a strip of {slice_name} is seen as {target}, as the view {self.view} is "
                f"tilted by {self.tilt:.0f}\N{DEGREE SIGN}; turn it to the plane of the slices."
            )
        return f"The view {self.view} shows {slice_name} as {target}."


def slice_place(volume: Any, view: str, slice_to_lps: np.ndarray) -> SlicePlace:
    """Where a view cuts a :class:`MRISynthLib.volume.Volume`; ``slice_to_lps`` is the view's plane
    as a 4x4 matrix, with its middle in the last column."""
    import numpy as np

    count, rows, columns = volume.shape
    to_index = np.linalg.inv(volume.index_to_world)
    along = abs(float(slice_to_lps[:3, 2] @ volume.direction[:, 2]))
    tilt = float(np.degrees(np.arccos(min(along, 1.0))))
    height = max(rows * volume.spacing[1], columns * volume.spacing[0]) * np.tan(np.radians(tilt))
    return SlicePlace(
        volume.name,
        view,
        count,
        float((to_index @ slice_to_lps[:, 3])[2]),
        tilt,
        bool(height > volume.spacing[2]),
    )
