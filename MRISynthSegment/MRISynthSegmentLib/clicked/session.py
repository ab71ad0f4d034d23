"""Correcting a segmentation of the scene click by click, with a way back."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from MRISynthLib.errors import InputError
from MRISynthLib.volume import Volume

from ..click_maps import Click
from ..corrections import CorrectionHistory, taken_from
from ..labelmaps.mrml import mask_in
from ..mrml import correct_structures, segments_by_name
from .mrml import ClickPoints


class CorrectionSession:
    """What was clicked on one segmentation node since the panel took it up.

    Masks lie on the grid of ``reference``, the image on which the segmentation was drawn.
    """

    def __init__(self, node, reference: Volume) -> None:
        self.node, self.reference = node, reference
        self.points = ClickPoints(node)
        self.history = CorrectionHistory()

    def mask(self, structure: str) -> np.ndarray:
        """The structure as it is now; nothing if it is not there yet."""
        segment_id = segments_by_name(self.node).get(structure)
        if segment_id is None:
            return np.zeros(self.reference.shape, bool)
        return mask_in(self.node, segment_id, self.reference)

    def request_volume(self, structure: str) -> Volume:
        """The structure as the worker's task "refinement" takes it."""
        return self.reference.replace(
            voxels=self.mask(structure), sequence=None, name=structure, provenance=None
        )

    def apply(
        self,
        structure: str,
        click: Click,
        before: np.ndarray,
        after: np.ndarray,
        *,
        exclusive: bool = False,
        drawn_on: str = "",
    ) -> dict[str, float]:
        """Take over what a click changed; structure -> millilitres by which it grew.

        ``before`` is what the worker was given, ``after`` its answer. What the user drew meanwhile
        stays. ``exclusive``: what is added is taken away from all other structures.
        """
        now = self.mask(structure)
        changed = before != after
        new = np.where(changed, after, now)
        old, masks = {structure: now}, {structure: new}
        if exclusive:
            names = segments_by_name(self.node)
            others = {name: self.mask(name) for name in names if name != structure}
            masks |= taken_from(others, now, new)
            old |= {name: others[name] for name in masks if name != structure}
        self._put(masks, drawn_on)
        self.history.record(structure, click, old, masks)
        voxel = abs(float(np.linalg.det(self.reference.index_to_world[:3, :3]))) / 1000
        return {
            name: voxel * (int(np.count_nonzero(masks[name])) - int(np.count_nonzero(old[name])))
            for name in masks
        }

    def undo(self) -> str:
        """Take the last click back; the name of its structure, empty if there is none."""
        return self._step(back=True)

    def redo(self) -> str:
        """Take back the last :meth:`undo`, as that."""
        return self._step(back=False)

    def drawn_anew(self, structures) -> None:
        """Forget clicks on structures that a model has drawn again."""
        self.history.forget(structures)
        self.points.forget(structures)

    def _step(self, back: bool) -> str:
        step = self.history.next_undo if back else self.history.next_redo
        if step is None:
            return ""
        structure, click, names = step
        present = {name: self.mask(name) for name in names if name in segments_by_name(self.node)}
        masks = self.history.undo(present) if back else self.history.redo(present)
        self._put(masks)
        if click is not None and back:
            self.points.remove_last(structure)
        elif click is not None:
            self.points.add(structure, click)
        return structure

    def _put(self, masks: Mapping[str, np.ndarray], drawn_on: str = "") -> None:
        correct_structures(self.node, masks, self.reference, drawn_on)


def check_reference(reference: Volume | None, first_input: Volume | None) -> None:
    """Refuse to correct contours on another grid than theirs, which would change all of them.

    Raises
    ------
    InputError
        If the image of the segmentation is gone, or not the first input.
    """
    if reference is None:
        raise InputError(
            "The image on which this segmentation was drawn is gone; load it, or choose it as the "
            "source geometry in the Segment Editor."
        )
    if first_input is None or not first_input.same_geometry(reference):
        raise InputError(
            f"The segmentation was drawn on {reference.name}; tick that volume as an input to "
            "correct it by clicks."
        )
