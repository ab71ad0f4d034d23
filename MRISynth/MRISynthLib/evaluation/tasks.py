"""What is made from what when a model is measured."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..errors import InputError
from ..sequences import SEQUENCE_NAMES, canonical_name, nearest_names

Task = tuple[tuple[str, ...], str]
"""(sequences given, the first being the reference; sequence made)."""

ORDER = (
    "T1w", "T2w", "CE-T1w", "STIR", "FLAIR",
    *(name for name in SEQUENCE_NAMES if name not in ("T1w", "T2w", "CE-T1w", "STIR", "FLAIR")),
)  # fmt: skip
"""The order in which the sequences of a simulated patient are made. It is fixed, since what is
random in one depends on those before it: a patient is the same whatever is asked of a model."""

SINGLES = ORDER[:5]

MAIN: tuple[Task, ...] = (
    (("T1w", "T2w"), "CE-T1w"),
    (("T1w", "T2w"), "STIR"),
    (("T1w", "T2w"), "FLAIR"),
    (("T1w",), "T2w"),
    (("T2w",), "T1w"),
)
PAIRS: tuple[Task, ...] = tuple((("T1w", "T2w"), name) for name in ORDER[2:])
SINGLE: tuple[Task, ...] = tuple(
    ((given,), made) for given in SINGLES for made in SINGLES if made != given
)
MORE: tuple[Task, ...] = tuple(
    (inputs, "CE-T1w")
    for inputs in (
        ("T1w",),
        ("T1w", "T2w"),
        ("T1w", "T2w", "STIR"),
        ("T1w", "T2w", "STIR", "FLAIR"),
    )
)

TASK_SETS: dict[str, tuple[Task, ...]] = {
    "main": MAIN,
    "pairs": PAIRS,
    "single": SINGLE,
    "more": MORE,
}
"""Name -> tasks: those of every report; T1w + T2w to every other sequence; each of five sequences
alone to the other four; one more input at a time for CE-T1w."""


def task_name(task: Task) -> str:
    """Such as ``T1w + T2w -> CE-T1w``."""
    return f"{' + '.join(task[0])} -> {task[1]}"


def parse_tasks(texts: Sequence[str]) -> tuple[Task, ...]:
    """The tasks of names of :data:`TASK_SETS`, ``all``, and tasks such as ``T1w+T2w->CE-T1w``.

    Commas may stand between them; none at all is ``main``. Each task comes once.

    Raises
    ------
    InputError
        If a set or a sequence is unknown, or a task makes what it is given.
    """
    found: list[Task] = []
    for text in (part.strip() for whole in texts or ("main",) for part in whole.split(",")):
        if text == "all":
            found += [task for tasks in TASK_SETS.values() for task in tasks]
        elif text in TASK_SETS:
            found += TASK_SETS[text]
        elif "->" in text:
            found.append(_parse_task(text))
        elif text:
            raise InputError(
                f"The task '{text}' is unknown; choose {', '.join(TASK_SETS)} or all, or write one "
                "as T1w+T2w->CE-T1w."
            )
    return tuple(dict.fromkeys(found))


def _parse_task(text: str) -> Task:
    given, _, made = text.partition("->")
    inputs, target = tuple(map(_sequence, given.split("+"))), _sequence(made)
    if target in inputs or len(set(inputs)) < len(inputs):
        raise InputError(f"The task '{text}' names a sequence twice; name each once.")
    return inputs, target


def _sequence(text: str) -> str:
    name = canonical_name(text.strip())
    if name is None:
        near = ", ".join(nearest_names(text.strip()))
        raise InputError(f"'{text.strip()}' in a task names no sequence; the nearest are {near}.")
    return name


def sequences_for(tasks: Iterable[Task]) -> tuple[str, ...]:
    """What a simulated patient must have, in the fixed order: all up to the last that is used."""
    used = {name for inputs, target in tasks for name in (*inputs, target)}
    last = max((ORDER.index(name) for name in used), default=-1)
    return ORDER[: last + 1]


def by_inputs(tasks: Iterable[Task]) -> dict[tuple[str, ...], list[str]]:
    """Inputs -> targets, those with the same reference after each other."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for inputs, target in sorted(tasks, key=lambda task: ORDER.index(task[0][0])):
        groups.setdefault(inputs, []).append(target)
    return groups
