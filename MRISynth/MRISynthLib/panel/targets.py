"""What is to be made, from ticks and from words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..errors import InputError
from ..review.pairing import of_two_studies
from ..sequence_table import SEQUENCE_NAMES, SEQUENCES
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
    used = tuple(used)
    given = {row.sequence for row in used}
    offered = [name for name in SEQUENCE_NAMES if model and name in model.sequences_out]
    if ticked is None:
        # What the user does not want as an input may be made, to be compared with it.
        real = (row for row in rows if not row.synthetic and row.ticked is not False)
        # What there is of another patient or study is missing all the same.
        present = {
            row.sequence for row in real if not any(of_two_studies(row, each) for each in used)
        }
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
class Alternative:
    """What can be chosen in place of words that were not understood: the panel's state after the
    choice. ``own`` is sequence -> the words for it alone."""

    label: str
    ticked: tuple[str, ...]
    prompt: str
    own: Mapping[str, str]


@dataclass(frozen=True)
class Meaning:
    """What one target's words mean; ``sequence`` is None where they name none.

    Either ``text`` says how they are understood, or ``problem`` why they are not, with what can
    be chosen instead.
    """

    sequence: str | None
    prompt: str
    text: str = ""
    problem: str = ""
    alternatives: tuple[Alternative, ...] = ()


@dataclass(frozen=True)
class Understanding:
    """What is going to be made.

    ``targets`` holds (sequence, prompt) pairs; ``text`` is the "understood as" line shown
    below the prompt; ``problem`` is a sentence in its place if the prompt means nothing.
    ``meanings`` has the same for each target.
    """

    targets: tuple[tuple[str, str], ...] = ()
    text: str = ""
    problem: str = ""
    meanings: tuple[Meaning, ...] = ()


def understand_targets(
    ticked: Iterable[str],
    prompt: str,
    inputs: Sequence[InputRow] = (),
    model: Model | None = None,
    own: Mapping[str, str] | None = None,
) -> Understanding:
    """Join ticked sequences and the user's words.

    Words refine every ticked target, and ``own`` those of one alone (by its sequence); with
    nothing ticked they say themselves what to make. What is taken from the inputs' headers, or as
    usual, is said.
    """
    ticked, prompt = tuple(ticked), prompt.strip()
    own = {name: words.strip() for name, words in (own or {}).items() if words.strip()}
    known = [row for row in inputs if row.sequence is not None]
    if not prompt and not ticked:
        return Understanding()
    wish = _Wish(ticked, prompt, own, known, model)
    meanings = tuple(wish.meaning(name) for name in ticked or (None,))
    problem = next((each.problem for each in meanings if each.problem), "")
    if problem:
        return Understanding(problem=problem, meanings=meanings)
    targets = {str(each.sequence): each.prompt for each in meanings}
    return Understanding(
        tuple(targets.items()), ". ".join(each.text for each in meanings), meanings=meanings
    )


ALTERNATIVES = 3
"""So many are offered."""


@dataclass(frozen=True)
class _Wish:
    """Everything that the user asked for, and what there is."""

    ticked: tuple[str, ...]
    prompt: str
    own: Mapping[str, str]
    known: Sequence[InputRow]
    model: Model | None

    def meaning(self, target: str | None) -> Meaning:
        """Of one ticked target, or of the words alone."""
        from ..prompts import understand
        from ..synthesis.conditioning import understood_as

        words = joined(self.prompt, self.own.get(target or "", ""))
        try:
            contrast = understand(words or str(target), target)
        except InputError as error:
            problem = self._in_the_way(target, words) or str(error)
            return self._not_understood(target, words, problem)
        problem = self.obstacle(contrast.sequence)
        if problem:
            return self._not_understood(target, words, problem)
        return Meaning(contrast.sequence, words, understood_as(contrast, self.known))

    def obstacle(self, sequence: str) -> str:
        """Why this sequence cannot be made here; empty if it can."""
        if any(row.sequence == sequence for row in self.known):
            return f"{sequence} is already among the inputs."
        if self.model is not None and sequence not in self.model.sequences_out:
            makes = ", ".join(self.model.sequences_out)
            return f"The model cannot make {sequence}; it makes {makes}."
        return ""

    def _in_the_way(self, target: str | None, words: str) -> str:
        """Why what the words ask for cannot be chosen as the target instead; empty if it can."""
        asked = _asked_for(words, target)
        problem = self.obstacle(asked) if asked is not None else ""
        asks = f"The prompt '{words}' asks for {asked}, which cannot be the target"
        return problem and f"{asks}: {problem}"

    def _not_understood(self, target: str | None, words: str, problem: str) -> Meaning:
        return Meaning(
            target, words, problem=problem, alternatives=tuple(self._alternatives(target, words))
        )

    def _alternatives(self, target: str | None, words: str) -> list[Alternative]:
        """The target that the words ask for, the ticked one without them, the nearest names."""
        from ..sequences import nearest_names

        found: dict[str, Alternative] = {}

        def offer(sequence: str, label: str, keep: bool) -> None:
            if sequence in found or (sequence in self.ticked and sequence != target):
                return
            alternative = self._state_with(target, sequence, label, keep)
            if self._understood(alternative):
                found[sequence] = alternative

        asked = _asked_for(words, target)
        if asked is not None:
            offer(asked, asked, keep=True)
        if target is not None:
            offer(target, f"{target} without these words", keep=False)
        for name in nearest_names(words, len(SEQUENCE_NAMES)):
            if len(found) < ALTERNATIVES:
                offer(name, name, keep=False)
        return list(found.values())

    def _understood(self, choice: Alternative) -> bool:
        """Whether nothing is in the way after this choice, for any target."""
        from ..prompts import understand

        try:
            for target in choice.ticked:
                words = joined(choice.prompt, choice.own.get(target, ""))
                if self.obstacle(understand(words or target, target).sequence):
                    return False
        except InputError:
            return False
        return True

    def _state_with(self, target: str | None, sequence: str, label: str, keep: bool) -> Alternative:
        """``sequence`` in place of ``target``, with or without the words at fault."""
        place = self.ticked.index(target) if target in self.ticked else len(self.ticked)
        ticked = (*self.ticked[:place], sequence, *self.ticked[place + 1 :])
        own = {name: words for name, words in self.own.items() if name != target or keep}
        prompt = self.prompt
        if keep and target in own:
            own[sequence] = own.pop(str(target))
        elif not keep and not self._understood_alone(target):
            prompt = ""
        return Alternative(label, ticked, prompt, own)

    def _understood_alone(self, target: str | None) -> bool:
        """Whether the words for all targets are not what is at fault."""
        from ..prompts import understand

        if target not in self.own:
            return False
        try:
            understand(self.prompt or str(target), target)
        except InputError:
            return False
        return True


def _asked_for(words: str, target: str | None) -> str | None:
    """The sequence that words ask for, if they do: by themselves, or as another look of the
    target ("without contrast")."""
    from ..prompts import OtherSequence, understand

    try:
        return understand(words, target).sequence
    except OtherSequence as error:
        return error.asked
    except InputError:
        return None


def joined(prompt: str, own: str) -> str:
    """The words for one target: those for all, then its own."""
    return ", ".join(filter(None, (prompt, own)))


def own_lines(ticked: Sequence[str], own: Mapping[str, str]) -> tuple[str, ...]:
    """The ticked targets that get a prompt line of their own: all, where there are several."""
    if len(ticked) > 1:
        return tuple(ticked)
    return tuple(name for name in ticked if own.get(name, "").strip())


def why_disabled(
    rows: Sequence[InputRow],
    used: Sequence[InputRow],
    understanding: Understanding,
    model: Model | None,
    *,
    running: bool = False,
    found: str = "",
) -> str:
    """Why Apply cannot be pressed, for its tooltip; empty if it can.

    ``found`` is what the checks found to be in the way.
    """
    if running:
        return "A computation is running; wait for it or press Cancel."
    return (
        input_problem(rows, used, model)
        or found
        or understanding.problem
        or ("" if understanding.targets else "Tick a sequence to make, or describe one in words.")
    )
