"""What a user corrected, and the way back; needs neither torch nor a scene."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from MRISynthLib.boxes import Box
from MRISynthLib.errors import InputError
from MRISynthLib.provenance import Provenance

from .click_maps import Click
from .origins import SEMIAUTOMATIC, Origin, origins_to_write
from .segmentation import Segmentation

STEPS_KEPT = 200
"""Of so many steps the masks are kept; earlier ones cannot be undone."""


@dataclass(frozen=True)
class _Piece:
    """What one mask was and became where it changed: packed bits in a box."""

    box: Box
    changed: np.ndarray
    before: np.ndarray
    after: np.ndarray

    @classmethod
    def of(cls, before: np.ndarray, after: np.ndarray) -> _Piece | None:
        """None if nothing changed."""
        changed = before != after
        index = np.nonzero(changed)
        if not index[0].size:
            return None
        box = tuple(slice(int(axis.min()), int(axis.max()) + 1) for axis in index)
        parts = (changed[box], before[box], after[box])
        return cls(box, *(np.packbits(part) for part in parts))

    def put(self, mask: np.ndarray, back: bool) -> np.ndarray:
        """The mask with its changed voxels as they were (``back``) or became."""
        shape = tuple(side.stop - side.start for side in self.box)

        def unpacked(bits: np.ndarray) -> np.ndarray:
            return np.unpackbits(bits, count=int(np.prod(shape))).reshape(shape).astype(bool)

        result = np.array(mask, bool)
        values = unpacked(self.before if back else self.after)
        result[self.box] = np.where(unpacked(self.changed), values, result[self.box])
        return result


@dataclass(frozen=True)
class _Step:
    structure: str
    click: Click | None
    pieces: Mapping[str, _Piece]


def _said(steps: list[_Step]) -> tuple[str, Click | None, tuple[str, ...]] | None:
    return (steps[-1].structure, steps[-1].click, tuple(steps[-1].pieces)) if steps else None


class CorrectionHistory:
    """Clicks and changes of one segmentation, in order; undoing gives back what a step changed.

    Only voxels that a step changed are given back: what was drawn elsewhere meanwhile stays.
    """

    def __init__(self) -> None:
        self._done: list[_Step] = []
        self._undone: list[_Step] = []
        self._old: list[tuple[str, Click]] = []  # clicks of steps whose masks are kept no more

    @property
    def can_undo(self) -> bool:
        """Whether there is a step to take back."""
        return bool(self._done)

    @property
    def can_redo(self) -> bool:
        """Whether a step was taken back and nothing was done since."""
        return bool(self._undone)

    @property
    def next_undo(self) -> tuple[str, Click | None, tuple[str, ...]] | None:
        """Of the step that :meth:`undo` takes back: its structure, its click, all masks that it
        changed; None if there is none."""
        return _said(self._done)

    @property
    def next_redo(self) -> tuple[str, Click | None, tuple[str, ...]] | None:
        """The same of the step that :meth:`redo` brings again."""
        return _said(self._undone)

    @property
    def edited(self) -> tuple[str, ...]:
        """Structures that steps have changed, each once."""
        changed = [name for name, _ in self._old]
        changed += [name for step in self._done for name in (step.structure, *step.pieces)]
        return tuple(dict.fromkeys(changed))

    @property
    def structures(self) -> set[str]:
        """Structures of all steps, also of those that were taken back."""
        undone = {name for step in self._undone for name in (step.structure, *step.pieces)}
        return undone.union(self.edited)

    def clicks(self, structure: str) -> tuple[Click, ...]:
        """The clicks on a structure that hold, in order: what ``Refiner.refine`` needs before a
        new one."""
        old = [click for name, click in self._old if name == structure]
        done = [step.click for step in self._done if step.structure == structure and step.click]
        return (*old, *done)

    def record(
        self,
        structure: str,
        click: Click | None,
        before: Mapping[str, np.ndarray],
        after: Mapping[str, np.ndarray],
    ) -> None:
        """Note a step: a click on ``structure``, or (None) an edit by other means.

        ``before`` and ``after`` are all masks (slices, rows, columns) that may have changed.
        """
        pieces = {name: _Piece.of(before[name], after[name]) for name in after}
        kept = {name: piece for name, piece in pieces.items() if piece is not None}
        self._done.append(_Step(structure, click, kept))
        self._undone.clear()
        while len(self._done) > STEPS_KEPT:
            oldest = self._done.pop(0)
            if oldest.click is not None:
                self._old.append((oldest.structure, oldest.click))

    def undo(self, masks: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Take the last step back: the masks that change, of the present ``masks``; empty if there
        is none."""
        if not self._done:
            return {}
        self._undone.append(self._done.pop())
        return self._put(self._undone[-1], masks, back=True)

    def redo(self, masks: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Take back the last :meth:`undo`, as that."""
        if not self._undone:
            return {}
        self._done.append(self._undone.pop())
        return self._put(self._done[-1], masks, back=False)

    def forget(self, structures: Iterable[str]) -> None:
        """Drop all steps on structures that were drawn anew; they cannot be undone any more."""
        gone = set(structures)
        self._old = [(name, click) for name, click in self._old if name not in gone]
        for steps in (self._done, self._undone):
            kept = []
            for step in steps:
                pieces = {name: piece for name, piece in step.pieces.items() if name not in gone}
                if step.structure not in gone:
                    kept.append(replace(step, pieces=pieces))
            steps[:] = kept

    @staticmethod
    def _put(step: _Step, masks: Mapping[str, np.ndarray], back: bool) -> dict[str, np.ndarray]:
        there = {name: piece for name, piece in step.pieces.items() if name in masks}
        return {name: piece.put(masks[name], back) for name, piece in there.items()}


def clicks_to_plain(clicks: Sequence[Click]) -> list[list]:
    """As the worker's task ``"refinement"`` takes them: ``[x, y, z, adds]``, LPS mm."""
    return [[*map(float, click.point), bool(click.adds)] for click in clicks]


def clicks_from_plain(plain: Sequence[Sequence]) -> list[Click]:
    """The inverse of :func:`clicks_to_plain`."""
    return [Click((float(x), float(y), float(z)), bool(adds)) for x, y, z, adds in plain]


def taken_from(
    others: Mapping[str, np.ndarray], before: np.ndarray, after: np.ndarray
) -> dict[str, np.ndarray]:
    """Other structures without what a correction added to one; only those that change.

    For structures that must not overlap. What a correction takes away is given to nobody.
    """
    added = np.asarray(after, bool) & ~np.asarray(before, bool)
    return {name: mask & ~added for name, mask in others.items() if (mask & added).any()}


def corrected(
    segmentation: Segmentation, masks: Mapping[str, np.ndarray], said: str = ""
) -> Segmentation:
    """The segmentation with some masks corrected: by a model and a user together, from now on.

    Parameters
    ----------
    masks:
        Structure -> its new mask; others stay.
    said:
        A sentence about it that is kept with the segmentation.
    """
    origins = dict(segmentation.origins)
    if segmentation.masks:
        drawn = origins_to_write(segmentation)
        for name in masks:
            algorithm = drawn[name].algorithm if name in drawn else None
            origins[name] = Origin(SEMIAUTOMATIC, algorithm)
    doubt = {name: value for name, value in segmentation.doubt.items() if name not in masks}
    warnings = (*segmentation.warnings, *([said] if said else []))
    return replace(
        segmentation,
        masks={**segmentation.masks, **masks},
        warnings=warnings,
        doubt=doubt,
        origins=origins,
    )


def merged(
    old: Segmentation,
    new: Segmentation,
    rerun: Iterable[str] | None = None,
    edited: Iterable[str] = (),
) -> Segmentation:
    """A segmentation after some of its structures were drawn anew.

    Parameters
    ----------
    old, new:
        On the same grid.
    rerun:
        Structures to take from ``new``, edited or not; None takes all but the edited ones.
    edited:
        Structures of ``old`` that were drawn or edited by hand.

    Returns
    -------
    The structures of ``old`` in their order, those named taken from ``new``, then what is new.

    Raises
    ------
    InputError
        If the grids differ.
    """
    if not old.reference.same_geometry(new.reference):
        raise InputError(
            f"The new contours lie on the grid of {new.reference.name or 'another image'}, the old "
            f"ones on that of {old.reference.name or 'the first'}; make them on the same image."
        )
    edited = set(edited) & set(old.masks)
    named = set(new.masks) - edited if rerun is None else set(rerun) & set(new.masks)
    names = [*old.masks, *(name for name in new.masks if name not in old.masks and name in named)]
    source = {name: new if name in named else old for name in names}
    kept = [name for name in names if name not in named]
    origins = {}
    for name in names:
        origin = origins_to_write(source[name])[name]
        by_hand = name in edited and name in kept
        if by_hand and origin.algorithm is not None:
            origin = replace(origin, kind=SEMIAUTOMATIC)
        origins[name] = origin
    doubt = {
        name: source[name].doubt[name]
        for name in names
        if name in source[name].doubt and (name in named or name not in edited)
    }
    warnings = (*new.warnings, *(old.warnings if kept else ()))
    return Segmentation(
        {name: source[name].masks[name] for name in names},
        old.reference,
        provenance_of_both(old.provenance if kept else None, new.provenance if named else None),
        tuple(dict.fromkeys(warnings)),
        doubt,
        origins,
    )


def provenance_of_both(old: Provenance | None, new: Provenance | None) -> Provenance | None:
    """The record of the newer run with the inputs of both: none must be lost that is synthetic."""
    if old is None or new is None:
        return new or old
    inputs = list(new.inputs)
    inputs += [item for item in old.inputs if dict(item) not in [dict(each) for each in inputs]]
    return replace(
        new,
        synthetic=old.synthetic or new.synthetic,
        inputs=tuple(inputs),
        warnings=tuple(dict.fromkeys((*new.warnings, *old.warnings))),
    )
