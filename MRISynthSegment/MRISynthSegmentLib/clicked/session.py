"""Correcting a segmentation of the scene click by click, with a way back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NoReturn

import numpy as np

from MRISynthLib.errors import InputError
from MRISynthLib.volume import Volume

from ..click_maps import Click
from ..corrections import CorrectionHistory, taken_from
from ..labelmaps.mrml import in_node, is_finer, mask_in, reaches_beyond
from ..mrml import correct_structures, segments_by_name
from ..placed.mrml import LOADED_AGAIN_MM, grid_of, noted_grid
from .mrml import ClickPoints


class CorrectionSession:
    """What was clicked on one segmentation node since the panel took it up.

    Masks lie on the grid of ``reference``, the image on which the segmentation was drawn. Segments
    are known by their ids: the user may rename one at any time.

    Raises
    ------
    InputError
        If the segmentation lies under a transform that is not linear.
    """

    def __init__(self, node, reference: Volume) -> None:
        self.node, self.reference = node, reference
        self._inside = in_node(node, reference)
        self._noted = noted_grid(node)
        self.points = ClickPoints(node)
        self.history = CorrectionHistory()
        self.forget_deleted()

    def segment_of(self, structure: str) -> str:
        """The id of the segment of this name; that of the one to begin if there is none.

        Raises
        ------
        InputError
            If two segments have one name.
        """
        found = segments_by_name(self.node).get(structure)
        return found or self.node.GetSegmentation().GenerateUniqueSegmentID(structure)

    def has(self, segment_id: str) -> bool:
        """Whether the segment is there: not to be begun yet, and not deleted."""
        return self.node.GetSegmentation().GetSegment(segment_id) is not None

    def reaches(self, click: Click) -> bool:
        """Whether a click lies in the image."""
        column, row, number, _ = np.linalg.solve(self.reference.index_to_world, [*click.point, 1.0])
        voxel = np.rint([number, row, column])
        return bool(np.all((voxel >= 0) & (voxel < self.reference.shape)))

    def in_place(self) -> bool:
        """Whether image and segmentation lie as they lay when they were taken up.

        Raises
        ------
        InputError
            If one lies under a transform that is not linear.
        """
        now = grid_of(self.node)
        if now is None:
            now = self.reference  # gone, so the contours are all that can have moved
        inside = in_node(self.node, now)
        return (
            now.same_geometry(self.reference)
            and inside.same_geometry(self._inside)
            and self._noted_as_before()
        )

    def _noted_as_before(self) -> bool:
        """Whether no transform of the contours alone was hardened."""
        noted = noted_grid(self.node)
        if noted is None or self._noted is None:
            return noted is self._noted
        return noted.same_geometry(self._noted, LOADED_AGAIN_MM)

    def check_in_place(self) -> None:
        """Refuse to go on with masks that are of another place now.

        Raises
        ------
        InputError
            If not :meth:`in_place`, or as that.
        """
        if not self.in_place():
            raise InputError(
                f"{self.node.GetName()} or its image was moved since it was clicked on; move it "
                "back, or press Add or Remove to begin anew where it is."
            )

    def mask(self, segment_id: str) -> np.ndarray:
        """The segment as it is now; nothing if it is not there."""
        if not self.has(segment_id):
            return np.zeros(self.reference.shape, bool)
        return mask_in(self.node, segment_id, self.reference)

    def request_volume(self, segment_id: str) -> Volume:
        """The segment as the worker's task "refinement" takes it.

        Raises
        ------
        InputError
            If it has more than the image's grid can hold, or as :meth:`check_in_place`.
        """
        self._check_can_change([segment_id])
        name = self.name_of(segment_id)
        return self.reference.replace(
            voxels=self.mask(segment_id), sequence=None, name=name, provenance=None
        )

    def apply(
        self,
        segment_id: str,
        click: Click,
        before: np.ndarray,
        after: np.ndarray,
        *,
        structure: str = "",
        exclusive: bool = False,
        drawn_on: str = "",
    ) -> dict[str, float]:
        """Take over what a click changed; segment -> millilitres by which it grew.

        ``before`` is what the worker was given, ``after`` its answer. What the user drew meanwhile
        stays. ``structure`` is the name of a segment that is begun. ``exclusive``: what is added
        is taken away from all other segments.

        Raises
        ------
        InputError
            As :meth:`request_volume`; nothing is changed then.
        """
        now = self.mask(segment_id)
        changed = before != after
        new = np.where(changed, after, now)
        old, masks = {segment_id: now}, {segment_id: new}
        if exclusive:
            ids = self.node.GetSegmentation().GetSegmentIDs()
            others = {other: self.mask(other) for other in ids if other != segment_id}
            masks |= taken_from(others, now, new)
            old |= {other: others[other] for other in masks if other != segment_id}
        self._check_can_change(masks)
        correct_structures(self.node, masks, self.reference, structure, drawn_on)
        self.history.record(segment_id, click, old, masks)
        voxel = abs(float(np.linalg.det(self.reference.index_to_world[:3, :3]))) / 1000
        return {
            each: voxel * (int(np.count_nonzero(masks[each])) - int(np.count_nonzero(old[each])))
            for each in masks
        }

    def name_of(self, segment_id: str) -> str:
        """What the user calls a segment now."""
        segment = self.node.GetSegmentation().GetSegment(segment_id)
        return segment.GetName() if segment is not None else segment_id

    def undo(self) -> str:
        """Take the last click back; the name of its structure, empty if there is none.

        Raises
        ------
        InputError
            As :meth:`request_volume`; nothing is changed then.
        """
        return self._step(back=True)

    def redo(self) -> str:
        """Take back the last :meth:`undo`, as that."""
        return self._step(back=False)

    def forget(self, segment_ids: Iterable[str]) -> None:
        """Forget clicks on segments, as on those that a model has drawn again."""
        gone = tuple(segment_ids)
        self.history.forget(gone)
        self.points.forget(gone)

    def forget_deleted(self, begun: Iterable[str] = ()) -> None:
        """Forget clicks on segments that the user deleted; not on those about to be ``begun``."""
        clicked = self.points.segment_ids() | self.history.structures
        gone = [each for each in clicked - set(begun) if not self.has(each)]
        if gone:
            self.forget(gone)

    def _check_can_change(self, segment_ids: Iterable[str]) -> None:
        """What the image's grid does not hold would be lost, also by taking a click back."""
        self.check_in_place()
        content, image = self.node.GetSegmentation(), self.reference.name or "the image"
        for segment_id in filter(self.has, segment_ids):
            segment, name = content.GetSegment(segment_id), self.name_of(segment_id)
            if reaches_beyond(segment, self._inside):
                raise InputError(
                    f"{name} reaches beyond {image} and would be cut off there; correct it in the "
                    "Segment Editor."
                )
            if is_finer(segment, self._inside):
                raise InputError(
                    f"{name} is drawn in finer voxels than those of {image} and would become "
                    "coarse; correct it in the Segment Editor."
                )

    def _step(self, back: bool) -> str:
        self.forget_deleted()
        step = self.history.next_undo if back else self.history.next_redo
        if step is None:
            return ""
        segment_id, click, changed = step
        self._check_can_change(changed)
        present = {each: self.mask(each) for each in changed if self.has(each)}
        masks = self.history.undo(present) if back else self.history.redo(present)
        correct_structures(self.node, masks, self.reference)
        if click is not None and back:
            self.points.remove(segment_id, click)
        elif click is not None:
            self.points.add(segment_id, click)
        return self.name_of(segment_id)


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
        raise_not_ticked(reference.name)


def raise_not_ticked(name: str) -> NoReturn:
    """Raise InputError: the image of the segmentation, ``name``, must be an input."""
    raise InputError(
        f"The segmentation was drawn on {name}; tick that volume as an input to correct it by "
        "clicks."
    )
