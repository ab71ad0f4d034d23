"""From which images structures are delineated when a model is measured."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from MRISynthLib.errors import InputError
from MRISynthLib.evaluation.tasks import ORDER, sequences_for
from MRISynthLib.sequences import canonical_name, nearest_names

SYNTHETIC = "synthetic "
"""Stands before the name of an image that is made instead of measured."""

_MADE = re.compile(r"synth\w*?[\s_-]+", re.IGNORECASE)


@dataclass(frozen=True)
class InputSet:
    """Real images, the first being the reference, and images that a synthesis model makes of
    them."""

    real: tuple[str, ...]
    synthetic: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Such as ``T1w + T2w + synthetic CE-T1w``."""
        return " + ".join((*self.real, *(SYNTHETIC + name for name in self.synthetic)))

    @property
    def sequences(self) -> tuple[str, ...]:
        """Everything that the model is given."""
        return (*self.real, *self.synthetic)


REAL = InputSet(("T1w", "T2w", "CE-T1w"))
FILLED = InputSet(("T1w", "T2w"), ("CE-T1w",))
UNENHANCED = InputSet(("T1w", "T2w"))

INPUT_SETS: dict[str, tuple[InputSet, ...]] = {
    "main": (REAL, FILLED, UNENHANCED),
    "missing": (UNENHANCED, InputSet(("T1w", "CE-T1w")), InputSet(("T2w", "CE-T1w"))),
    "single": tuple(InputSet((name,)) for name in REAL.real),
}
"""Name -> sets of images: what a synthetic CE-T1w adds; one of three images missing; one image."""

MAIN = INPUT_SETS["main"]


def parse_inputs(texts: Sequence[str]) -> tuple[InputSet, ...]:
    """The sets of names of :data:`INPUT_SETS`, ``all``, and sets such as ``T1w+synthetic T2w``.

    Commas may stand between them; none at all is ``main``. Each set comes once.

    Raises
    ------
    InputError
        If a name is unknown, a sequence comes twice, or a set has no real image.
    """
    found: list[InputSet] = []
    for text in (part.strip() for whole in texts or ("main",) for part in whole.split(",")):
        if text == "all":
            found += [each for sets in INPUT_SETS.values() for each in sets]
        elif text in INPUT_SETS:
            found += INPUT_SETS[text]
        elif text:
            found.append(_parse_set(text))
    return tuple(dict.fromkeys(found))


def _parse_set(text: str) -> InputSet:
    real, synthetic = [], []
    for part in (part.strip() for part in text.split("+")):
        made = _MADE.match(part)
        (synthetic if made else real).append(_sequence(part[made.end() if made else 0 :], text))
    if not real:
        raise InputError(f"'{text}' has no real image to make the others of; add one.")
    found = InputSet(tuple(real), tuple(synthetic))
    if len(set(found.sequences)) < len(found.sequences):
        raise InputError(f"'{text}' names a sequence twice; name each once.")
    return found


def _sequence(word: str, text: str) -> str:
    name = canonical_name(word)
    if name is None:
        near = ", ".join(nearest_names(word))
        raise InputError(
            f"'{word}' in '{text}' is no sequence; the nearest are {near}. Or choose "
            f"{', '.join(INPUT_SETS)} or all."
        )
    return name


def images_for(sets: Iterable[InputSet]) -> tuple[str, ...]:
    """The real images that a simulated patient must have, in the fixed order of simulation."""
    return sequences_for((each.real, each.real[0]) for each in sets)


def by_reference(sets: Iterable[InputSet]) -> list[InputSet]:
    """The sets with those of the same reference after each other, else in the given order."""
    return sorted(sets, key=lambda each: ORDER.index(each.real[0]))
