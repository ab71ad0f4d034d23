"""Which images a reader is shown, and in which order.

The plan follows from the study's seed and the names of its cases alone, so that a file from which
a study is resumed need not hold it: nobody can read there what is still to come.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..errors import InputError

REAL, SYNTHETIC = "real", "synthetic"

NAME = "Reader study image"
"""What every image is called that a reader sees."""

WHITE = 1000
"""Value of what is shown as white; brighter voxels stay apart up to half as much again."""


@dataclass(frozen=True)
class Question:
    """One image: a slice of a case, in its real or in its synthetic form.

    Attributes
    ----------
    case:
        The case's key.
    slice:
        Index of the slice in the synthetic image.
    truth:
        :data:`REAL` or :data:`SYNTHETIC`.
    """

    case: str
    slice: int
    truth: str


def make_plan(slices: Mapping[str, Sequence[int]], count: int, seed: int) -> tuple[Question, ...]:
    """Random cases and slices in random order, half of them real and half synthetic.

    Every case is drawn as often as the others (as far as its slices go), and no slice is shown
    twice, so that nobody can compare the two forms of one. The halves are equal within each case
    too; of an odd number chance decides which is larger. The same arguments give the same plan on
    every machine.

    Parameters
    ----------
    slices:
        Case -> indices of the slices that may be shown.
    count:
        Number of questions.

    Raises
    ------
    InputError
        If there are fewer slices than questions, or no questions.
    """
    there = sum(len(set(indices)) for indices in slices.values())
    if count < 1:
        raise InputError("A reader study needs at least one question; give a larger number.")
    if there < count:
        raise InputError(
            f"The chosen images have {there} slices that can be shown, which is fewer than "
            f"{count} questions; ask fewer, or add cases."
        )
    drawn: list[tuple[str, int]] = []
    left = {
        case: _shuffled(sorted(set(indices)), seed, "slices", case)
        for case, indices in slices.items()
    }
    turn = 0
    while len(drawn) < count:
        for case in _shuffled(sorted(left), seed, "cases", turn):
            if left[case] and len(drawn) < count:
                drawn.append((case, left[case].pop()))
        turn += 1
    # In turn within each case, so that real and synthetic are as many in every patient.
    drawn.sort(key=lambda entry: entry[0])
    turns = _shuffled([REAL, SYNTHETIC], seed, "first")
    questions = [
        Question(case, index, turns[place % 2]) for place, (case, index) in enumerate(drawn)
    ]
    return tuple(_shuffled(questions, seed, "order"))


def _shuffled(items: Sequence, seed: int, *about: object) -> list:
    """In an order that only the seed and ``about`` decide: the same in every version of Python."""

    def rank(place: int) -> bytes:
        return hashlib.sha256(repr((seed, *about, place)).encode()).digest()

    return [items[place] for place in sorted(range(len(items)), key=rank)]
