"""What the checks found of each volume, and which are still to be asked for."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .inputs import InputRow

CHECKS_TASK = "checks"
"""The worker's name for the checks of each volume by itself."""

STUDY_TASK = "study"
"""The worker's name for the checks of the inputs together, which also prepares them."""

SENTENCES = 3
"""So many remarks are read out below the table; the rest is counted."""


@dataclass(frozen=True)
class Remark:
    """One sentence about a volume, as the worker gave it; ``serious`` is in the way of Apply."""

    topic: str
    text: str
    serious: bool = False


@dataclass
class Findings:
    """What is known so far, kept as long as the volume stays as it was.

    A *state* is whatever changes with a volume's voxels, geometry and sequence, or with a set of
    inputs and the options for them; what was found for another state does not count.
    """

    _images: dict[str, tuple[Hashable, tuple[Remark, ...]]] = field(default_factory=dict)
    _study: tuple[Hashable, dict[str, tuple[Remark, ...]]] | None = None

    def unchecked(self, states: Mapping[str, Hashable]) -> tuple[str, ...]:
        """Keys of the volumes that are to be checked; others than these are forgotten."""
        self._images = {key: value for key, value in self._images.items() if key in states}
        return tuple(key for key, state in states.items() if self._state(key) != state)

    def _state(self, key: str) -> Hashable | None:
        return self._images[key][0] if key in self._images else None

    def add_images(self, states: Mapping[str, Hashable], remarks: Sequence[Sequence[Any]]) -> None:
        """Take over what the worker said of these volumes, in their order."""
        for (key, state), found in zip(states.items(), remarks, strict=True):
            self._images[key] = (state, _remarks(found))

    def studied(self, state: Hashable) -> bool:
        """Whether the inputs were checked together as they are."""
        return self._study is not None and self._study[0] == state

    def add_study(
        self, state: Hashable, keys: Iterable[str], remarks: Sequence[Sequence[Any]]
    ) -> None:
        """Take over what the worker said of the inputs together, in their order."""
        found = {key: _remarks(each) for key, each in zip(keys, remarks, strict=True)}
        self._study = (state, found)

    def forget_study(self) -> None:
        """Nothing is known of the inputs together any more."""
        self._study = None

    def of(self, key: str) -> tuple[Remark, ...] | None:
        """All remarks on a volume, each once; None while it is not checked."""
        if key not in self._images:
            return None
        together = self._study[1].get(key, ()) if self._study else ()
        return tuple(dict.fromkeys((*self._images[key][1], *together)))


def _remarks(plain: Iterable[Mapping[str, Any]]) -> tuple[Remark, ...]:
    return tuple(Remark(**each) for each in plain)


def check_words(
    row: InputRow, remarks: Sequence[Remark] | None, pending: bool, failed: str = ""
) -> tuple[str, str]:
    """(short text for the table's cell, what its tooltip says).

    ``pending``: whether the checks of a volume that has none are under way; ``failed``: what came
    in their way.
    """
    if row.problem:
        return "cannot be used", row.problem
    if remarks is None:
        if pending:
            return "checking ...", "Slices, geometry and grey values are being checked."
        if failed:
            return "not checked", f"{failed} It is checked again after the next Apply."
        return "not checked", "Checked as soon as the Python packages are installed (first Apply)."
    if not remarks:
        return "\u2713 good", "Slices, geometry and grey values are as they should be."
    topics = dict.fromkeys(remark.topic for remark in sorted(remarks, key=lambda r: not r.serious))
    return "\u26a0 " + ", ".join(topics), "\n".join(remark.text for remark in remarks)


def serious_problem(used: Iterable[InputRow], findings: Findings) -> str:
    """The first sentence on why these inputs cannot be computed with; empty if they can."""
    for row in used:
        for remark in findings.of(row.key) or ():
            if remark.serious:
                return remark.text
    return ""


def remarks_in_words(used: Iterable[InputRow], findings: Findings) -> str:
    """What is to be read below the table: the first remarks on the inputs, a line each."""
    texts = dict.fromkeys(
        remark.text for row in used for remark in findings.of(row.key) or () if not remark.serious
    )
    lines = list(texts)[:SENTENCES]
    more = len(texts) - len(lines)
    if more:
        lines.append(f"{more} more: hold the mouse over the column Checks.")
    return "\n".join(lines)
