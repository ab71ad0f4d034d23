"""The vocabulary of sequences: canonical names and the words that people use for them."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from .recognition import CONFIDENT, Recognition, recognise_parts
from .sequence_table import (
    PREPARED_FROM_MS,
    SEQUENCE_NAMES,
    SEQUENCES,
    SPIN_ECHO_FROM_MS,
    SequenceInfo,
)
from .word_forms import normalise
from .wording import Wording, compose, read

if TYPE_CHECKING:
    from .volume import Volume

__all__ = [
    "CONFIDENT",
    "PREPARED_FROM_MS",
    "SEQUENCES",
    "SEQUENCE_NAMES",
    "SPIN_ECHO_FROM_MS",
    "Recognition",
    "SequenceInfo",
    "canonical_name",
    "nearest_names",
    "recognise",
    "sequence_of",
]

_HARMLESS = frozenset({"map", "planning"})


def canonical_name(text: str) -> str | None:
    """Canonical name of a sequence that ``text`` names and nothing else; None otherwise.

    Case, punctuation and word order do not matter: ``"t1 post FS"`` is ``"CE-T1w-FS"``.
    """
    folded = text.strip().casefold()
    for name in SEQUENCE_NAMES:
        if folded == name.casefold():
            return name
    words = read(text)
    if words.foreign or words.refused or set(words.unknown) - _HARMLESS:
        return None
    return sequence_of(words)


def sequence_of(words: Wording) -> str | None:
    """The one sequence that these words name; None if none, several or an impossible one.

    A contrast agent without a weighting means a T1-weighted image: that is what it is given for.
    """
    if len(words.families) > 1 or len(words.contrast) > 1 or len(words.fat) > 1:
        return None
    contrast, fat = True in words.contrast, True in words.fat
    family = words.families[0] if words.families else ("T1" if contrast else None)
    if family is None or (contrast and family != "T1") or (family == "STIR" and False in words.fat):
        return None
    return compose(family, contrast, fat)


def nearest_names(text: str, n: int = 3) -> list[str]:
    """The ``n`` canonical names most like ``text``, best first."""
    wanted = normalise(text)
    candidates = [wanted, *wanted.split()]
    words = read(text)

    def likeness(info: SequenceInfo) -> float:
        spellings = [normalise(info.name), info.name.casefold(), *map(normalise, info.aliases)]
        score = max(
            difflib.SequenceMatcher(None, candidate, spelling).ratio()
            for candidate in candidates or [""]
            for spelling in spellings
        )
        score += info.name in {compose(family, False, False) for family in words.families}
        score += 0.5 * (True in words.contrast and info.contrast_agent)
        score += 0.5 * (True in words.fat and info.name.endswith("-FS"))
        return score

    return [i.name for i in sorted(SEQUENCES.values(), key=likeness, reverse=True)][:n]


def recognise(volume: Volume) -> Recognition:
    """Which sequence ``volume`` is, from its DICOM attributes first and its names second."""
    if volume.sequence in SEQUENCES:
        return Recognition(volume.sequence, 1.0, f"The image says that it is {volume.sequence}.")
    return recognise_parts(volume.acquisition, volume.name)
