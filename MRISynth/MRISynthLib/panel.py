"""What the MRISynth panel decides, apart from any window.

The Slicer module shows what is computed here and hands user actions back; the browser can
do the same. Nothing in this file touches voxels, so a panel may call it at every key press.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from .errors import InputError
from .sequences import SEQUENCE_NAMES, SEQUENCES

PREFERRED_TARGET = "CE-T1w"
"""What the user most likely came for; ticked at the start where it is missing."""

SYNTHESIS_TASK = "synthesis"
"""The worker's name for what :func:`synthesis_parameters` asks for."""

STAGE_WORDS = {
    "load": "Loading the model",
    "register": "Aligning the inputs",
    "synthesize": "Making slices",
    "segment": "Finding structures",
    "compare": "Comparing the images",
    "write": "Storing the result",
}
"""Stage of :class:`MRISynthLib.progress.Progress` -> words for the progress bar."""


class Model(Protocol):
    """What a panel needs to know of a model; :class:`MRISynthLib.bundles.Bundle` has it."""

    name: str
    sequences_in: tuple[str, ...]
    sequences_out: tuple[str, ...]


def first_model(task: str) -> Model | None:
    """The installed model for a task ("synthesis", "segmentation"), or None; nothing is loaded."""
    from .bundles import find_bundles

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

    @property
    def sure(self) -> bool:
        """Whether the sequence is known well enough to compute with it."""
        from .sequences import CONFIDENT

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
        return f"{self.recognised} ({self.confidence:.0%})"


def row_of(
    volume: Any,
    key: str,
    *,
    chosen: str | None = None,
    ticked: bool | None = None,
    problem: str = "",
) -> InputRow:
    """The table line of a :class:`MRISynthLib.volume.Volume`, after recognising it."""
    from .sequences import recognise

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
    sequences that have no real volume.
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
            taken.add(row.sequence)
            automatic.append(row)
    keys = {row.key for row in (*by_hand, *automatic)}
    return tuple(row for row in rows if row.key in keys)


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
    from .prompts import understand
    from .synthesis.conditioning import understood_as

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


def synthesis_parameters(
    understanding: Understanding,
    *,
    model: str | None = None,
    device: str = "auto",
    seed: int = 0,
    register: bool = True,
    visible_slice: int | None = None,
) -> dict[str, Any]:
    """The parameters of the worker's task :data:`SYNTHESIS_TASK`."""
    return {
        "targets": [{"sequence": name, "prompt": words} for name, words in understanding.targets],
        "bundle": model,
        "device": device,
        "seed": int(seed),
        "register": bool(register),
        "visible_slice": visible_slice,
    }


def result_sentences(info: Mapping[str, Any]) -> tuple[str, ...]:
    """What the user reads after a finished task: warnings first, then how it was computed."""
    sentences = [str(warning) for warning in info.get("warnings", ())]
    seconds = sum(float(value) for value in info.get("timings", {}).values())
    if info.get("device"):
        sentences.append(f"Computed on {info['device']} in {seconds:.1f} s.")
    return tuple(sentences)


@dataclass
class ProgressText:
    """Turns progress into a bar's position and words with the time left.

    The rate is measured within a stage, because stages differ; ``clock`` gives seconds.
    """

    clock: Callable[[], float] = time.monotonic
    _stage: str = ""
    _started: float = 0.0
    _first: int = field(default=0)

    def update(self, stage: str, done: int, total: int) -> tuple[int, str]:
        """(per cent of the stage, words) for ``done`` of ``total`` steps of ``stage``."""
        now = self.clock()
        if stage != self._stage:
            self._stage, self._started, self._first = stage, now, done
        words = STAGE_WORDS.get(stage, stage)
        if total <= 0:
            return 0, f"{words} ..."
        percent = min(100, int(100 * done / total))
        text = f"{words}: {done} of {total}"
        advanced = done - self._first
        if advanced > 0 and done < total:
            left = (now - self._started) / advanced * (total - done)
            text += f", {seconds_in_words(left)} left"
        return percent, text


def seconds_in_words(seconds: float) -> str:
    """ "about 40 s" or "about 3 min": no more exact than an estimate is."""
    if seconds < 10:
        return f"about {max(1, round(seconds))} s"
    if seconds < 90:
        return f"about {round(seconds / 5) * 5} s"
    return f"about {round(seconds / 60)} min"
