"""The table of volumes: what each one is, and which are used."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, Protocol

from ..review.pairing import of_two_patients, of_two_studies
from ..sequence_table import SEQUENCES


class Model(Protocol):
    """What a panel needs to know of a model; :class:`MRISynthLib.bundles.Bundle` has it."""

    name: str
    sequences_in: tuple[str, ...]
    sequences_out: tuple[str, ...]


def first_model(task: str) -> Model | None:
    """The installed model for a task ("synthesis", "segmentation"), or None; nothing is loaded."""
    from ..bundles import find_bundles

    return next(iter(find_bundles(task)), None)


@dataclass(frozen=True)
class InputRow:
    """One line of the table of volumes.

    Attributes
    ----------
    key:
        What identifies the volume to the caller, such as a MRML node ID.
    name:
        The volume's name as the user knows it.
    recognised, confidence, reason:
        What :func:`MRISynthLib.sequences.recognise` said; ``recognised`` is None if nothing.
    chosen:
        The sequence that the user set, or None to rely on recognition.
    ticked:
        True or False as the user set it, None where the user has not touched it.
    synthetic:
        Whether a network made this volume.
    problem:
        One sentence on why the volume cannot be an input; empty if it can.
    acquisition:
        What its header says of how it was taken, by DICOM keyword.
    patient:
        What tells its patient from others, such as a PatientID; empty if not known.
    study:
        What tells its examination from others, such as a StudyInstanceUID; empty if not known.
    made_from:
        Keys of the volumes that a synthetic one was made from, also if they are gone; empty if not
        known.
    """

    key: str
    name: str
    recognised: str | None = None
    confidence: float = 0.0
    reason: str = ""
    chosen: str | None = None
    ticked: bool | None = None
    synthetic: bool = False
    problem: str = ""
    acquisition: Mapping[str, Any] = field(default_factory=dict)
    patient: str = ""
    study: str = ""
    made_from: tuple[str, ...] = ()

    @property
    def sure(self) -> bool:
        """Whether the sequence is known well enough to compute with it."""
        from ..sequences import CONFIDENT

        return self.chosen is not None or (
            self.recognised is not None and self.confidence >= CONFIDENT
        )

    @property
    def sequence(self) -> str | None:
        """The sequence to compute with: the user's choice, else what was recognised surely."""
        if self.chosen is not None:
            return self.chosen
        return self.recognised if self.sure else None

    def recognition_text(self) -> str:
        """Short text for the table cell."""
        if self.recognised is None:
            return "not recognised"
        return f"{self.recognised}{'' if self.sure else '?'} {self.confidence:.0%}"


def row_of(
    volume: Any,
    key: str,
    *,
    chosen: str | None = None,
    ticked: bool | None = None,
    problem: str = "",
) -> InputRow:
    """The table line of a :class:`MRISynthLib.volume.Volume`, after recognising it."""
    from ..sequences import recognise

    recognition = recognise(volume)
    return InputRow(
        key=key,
        name=volume.name,
        recognised=recognition.sequence,
        confidence=recognition.confidence,
        reason=recognition.reason,
        chosen=chosen if chosen in SEQUENCES else None,
        ticked=ticked,
        synthetic=volume.is_synthetic,
        problem=problem,
        acquisition=volume.acquisition,
    )


def selected(
    rows: Iterable[InputRow], model: Model | None, *, synthetic_too: bool = False
) -> tuple[InputRow, ...]:
    """The rows that are used as inputs.

    Rows that the user ticked or unticked stay so. Of the others, the first surely known one
    of each sequence that the model takes is used, so that loading a study and pressing Apply
    is enough. Synthetic volumes are used unasked only with ``synthetic_too``, and only for
    sequences that have no real volume. None is used unasked beside one of another patient or of
    another study, nor a synthetic one beside others than it was made from.
    """
    rows = tuple(rows)
    usable = [row for row in rows if not row.problem]
    by_hand = [row for row in usable if row.ticked]
    taken = {row.sequence for row in by_hand}
    automatic: list[InputRow] = []
    for want_synthetic in (False, True) if synthetic_too else (False,):
        for row in usable:
            if row.ticked is not None or row.synthetic != want_synthetic or row.sequence is None:
                continue
            if row.sequence in taken or (model and row.sequence not in model.sequences_in):
                continue
            if _apart(row, (*by_hand, *automatic)):
                continue
            taken.add(row.sequence)
            automatic.append(row)
    keys = {row.key for row in (*by_hand, *automatic)}
    return tuple(row for row in rows if row.key in keys)


def _apart(row: InputRow, others: Sequence[InputRow]) -> bool:
    """Whether a volume is known not to belong to others."""
    if any(of_two_studies(row, each) for each in others):
        return True
    related = {key for each in others for key in (each.key, *each.made_from)}
    return bool(row.made_from and related) and related.isdisjoint(row.made_from)


def handed_over(
    rows: Sequence[InputRow],
    used: Sequence[InputRow],
    made: Iterable[str],
    unwanted: Iterable[str] = (),
) -> tuple[dict[str, str | None], tuple[str, ...], tuple[str, ...]]:
    """What another module goes on with: (key -> sequence of what it is to tick, keys of what is not
    to count as ticked by hand there any more, keys of what it is to untick).

    ``rows`` are the volumes as that module has them, ``made`` the keys of what was made of the
    inputs ``used``: it is ticked unless it was made of others, as before the user chose another
    study, or a real volume stands for its sequence. Of what the user had ticked there, volumes of
    the same sequences and those of another patient or study are in the way. They are left to choose
    themselves, so that they come back when they are needed. ``unwanted`` are the keys of what the
    user unticked beside ``used``, such as an image with artefacts: it is not used unasked there,
    either, unless the user ticked it there.
    """
    chosen = {row.key: row.sequence for row in used}
    there = set(chosen.values())
    made = set(made)
    for row in rows:
        if row.key in made and row.sequence not in there and not _apart(row, used):
            chosen[row.key] = row.sequence
    taken = set(chosen.values())
    freed = tuple(
        row.key
        for row in rows
        if row.key not in chosen and row.ticked and (row.sequence in taken or _apart(row, used))
    )
    unwanted = set(unwanted)
    left = tuple(
        row.key
        for row in rows
        if row.key in unwanted
        and row.key not in chosen
        and row.ticked is None
        and not (row.sequence in taken or _apart(row, used))
    )
    return chosen, freed, left


def two_studies(used: Sequence[InputRow]) -> str:
    """One sentence if inputs are of more than one study of a patient; empty if not."""
    for first, other in combinations(used, 2):
        if of_two_studies(first, other) and not of_two_patients(first, other):
            return (
                f"'{other.name}' is of another study than '{first.name}'; untick one of them "
                "unless you want both."
            )
    return ""


def input_problem(rows: Sequence[InputRow], used: Sequence[InputRow], model: Model | None) -> str:
    """One sentence on why these inputs cannot be computed with; empty if they can."""
    if not rows:
        return "Load the patient's MR sequences first (DICOM module, or File > Add Data)."
    if model is None:
        return "No model is installed; install the extension MRISynth again."
    if not used:
        unsure = [row for row in rows if not row.sure and not row.problem]
        if unsure:
            return f"Choose the sequence of '{unsure[0].name}' in the table, then tick it."
        return "Tick at least one volume to use as input."
    for first, other in combinations(used, 2):
        if of_two_patients(first, other):
            return f"'{other.name}' is of another patient than '{first.name}'; untick one of them."
    by_sequence: dict[str, InputRow] = {}
    for row in used:
        if row.sequence is None:
            guess = f" (it looks like {row.recognised})" if row.recognised else ""
            return f"Choose the sequence of '{row.name}' in the table{guess}."
        if row.sequence not in model.sequences_in:
            takes = ", ".join(model.sequences_in)
            return f"The model does not take {row.sequence} ('{row.name}'); it takes {takes}."
        if row.sequence in by_sequence:
            first = by_sequence[row.sequence].name
            return f"'{first}' and '{row.name}' are both {row.sequence}; untick one of them."
        by_sequence[row.sequence] = row
    return ""
