"""What is to be made, from ticks and from words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..errors import InputError
from ..sequences import SEQUENCE_NAMES, SEQUENCES
from .inputs import InputRow, Model, input_problem

PREFERRED_TARGET = "CE-T1w"
"""What the user most likely came for; ticked at the start where it is missing."""


@dataclass(frozen=True)
class TargetRow:
    """One line of the list of sequences that can be made; ``problem`` says why not."""

    sequence: str
    description: str
    ticked: bool
    problem: str = ""


def target_rows(
    rows: Iterable[InputRow],
    used: Iterable[InputRow],
    ticked: Iterable[str] | None,
    model: Model | None,
) -> tuple[TargetRow, ...]:
    """The list of targets; ``ticked`` is None until the user has touched the list."""
    given = {row.sequence for row in used}
    offered = [name for name in SEQUENCE_NAMES if model and name in model.sequences_out]
    if ticked is None:
        present = {row.sequence for row in rows if not row.synthetic}
        missing = [name for name in offered if name not in given | present]
        wanted = {PREFERRED_TARGET} if PREFERRED_TARGET in missing else set(missing[:1])
    else:
        wanted = set(ticked)
    return tuple(
        TargetRow(
            sequence=name,
            description=SEQUENCES[name].description,
            ticked=name in wanted and name not in given,
            problem=f"{name} is among the inputs." if name in given else "",
        )
        for name in offered
    )


@dataclass(frozen=True)
class Understanding:
    """What is going to be made.

    ``targets`` holds (sequence, prompt) pairs; ``text`` is the "understood as" line shown
    below the prompt; ``problem`` is a sentence in its place if the prompt means nothing.
    """

    targets: tuple[tuple[str, str], ...] = ()
    text: str = ""
    problem: str = ""


def understand_targets(
    ticked: Iterable[str],
    prompt: str,
    inputs: Sequence[InputRow] = (),
    model: Model | None = None,
) -> Understanding:
    """Join ticked sequences and the user's words.

    Words refine every ticked target; with nothing ticked they say themselves what to make. What
    is taken from the inputs' headers, or as usual, is said.
    """
    from ..prompts import understand
    from ..synthesis.conditioning import understood_as

    ticked, prompt = tuple(ticked), prompt.strip()
    known = [row for row in inputs if row.sequence is not None]
    given = {row.sequence for row in known}
    if not prompt and not ticked:
        return Understanding()
    try:
        contrasts = [understand(prompt or name, name) for name in ticked]
        contrasts = contrasts or [understand(prompt)]
    except InputError as error:
        return Understanding(problem=str(error))
    targets: dict[str, str] = {}
    for contrast in contrasts:
        if contrast.sequence in given:
            return Understanding(problem=f"{contrast.sequence} is already among the inputs.")
        if model is not None and contrast.sequence not in model.sequences_out:
            makes = ", ".join(model.sequences_out)
            return Understanding(
                problem=f"The model cannot make {contrast.sequence}; it makes {makes}."
            )
        targets[contrast.sequence] = prompt
    meaning = ". ".join(understood_as(contrast, known) for contrast in contrasts)
    return Understanding(tuple(targets.items()), meaning)


def why_disabled(
    rows: Sequence[InputRow],
    used: Sequence[InputRow],
    understanding: Understanding,
    model: Model | None,
    *,
    running: bool = False,
) -> str:
    """Why Apply cannot be pressed, for its tooltip; empty if it can."""
    if running:
        return "A computation is running; wait for it or press Cancel."
    return (
        input_problem(rows, used, model)
        or understanding.problem
        or ("" if understanding.targets else "Tick a sequence to make, or describe one in words.")
    )
