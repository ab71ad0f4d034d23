"""What a reader said, kept in a file from answer to answer.

The file has the study's settings and the answers given, never what is still to come nor whether
an answer was right: that follows from the seed when the study is over.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..io.output import staged_file
from .plan import REAL, SYNTHETIC

FORMAT = "MRISynth reader study 1"

UNDECIDED = "cannot tell"

ANSWERS = (REAL, SYNTHETIC, UNDECIDED)

CONFIDENCES = ("a guess", "unsure", "fairly sure", "sure", "certain")
"""From 1 to 5."""

REASONS = (
    "Sharpness or blur",
    "Noise or texture",
    "Contrast between tissues",
    "Anatomy",
    "Lesion or enhancement",
    "Artefacts (or their absence)",
    "Background",
)
"""What a reader can tick; free text says the rest."""


@dataclass(frozen=True)
class Answer:
    """What a reader said of one image.

    Attributes
    ----------
    answer:
        One of :data:`ANSWERS`.
    confidence:
        1 to 5 (:data:`CONFIDENCES`), 0 where the reader could not tell.
    seconds:
        How long the image was in view.
    reasons, comment:
        Of :data:`REASONS`, and in the reader's own words.
    """

    answer: str
    confidence: int
    seconds: float
    reasons: tuple[str, ...] = ()
    comment: str = ""

    def __post_init__(self) -> None:
        if self.answer not in ANSWERS:
            raise ValueError(f"an answer is one of {', '.join(ANSWERS)}, not {self.answer!r}")
        least = 0 if self.answer == UNDECIDED else 1
        if not least <= self.confidence <= (len(CONFIDENCES) if least else 0):
            raise ValueError(f"a confidence of {self.confidence} does not go with {self.answer!r}")


@dataclass(frozen=True)
class Study:
    """A study as far as it has come.

    Attributes
    ----------
    seed, count:
        Of its plan.
    cases:
        Case -> what its images contain (a hash), by which changed images are noticed.
    source:
        Where the images are: a folder, or empty for those of a scene.
    reader:
        Name or number of the reader.
    answers:
        In the order of the questions; there is no way back to one.
    finished:
        Whether the reader ended it; nothing can be added then.
    """

    seed: int
    count: int
    cases: Mapping[str, str]
    source: str = ""
    reader: str = ""
    answers: tuple[Answer, ...] = field(default=())
    finished: bool = False

    @property
    def over(self) -> bool:
        """Whether nothing is left to ask."""
        return self.finished or len(self.answers) >= self.count

    def with_answer(self, answer: Answer) -> Study:
        """The study with the answer to its next question.

        Raises
        ------
        ValueError
            If it is over.
        """
        if self.over:
            raise ValueError("the study is over")
        return replace(self, answers=(*self.answers, answer))

    def ended(self) -> Study:
        """The study given up here."""
        return replace(self, finished=True)


def save_study(study: Study, path: Path) -> None:
    """Write a study; the file appears whole, or the one before stays.

    Raises
    ------
    OutputError
        If it cannot be written there.
    """
    plain = {"format": FORMAT, **asdict(study), "cases": dict(study.cases)}
    with staged_file(Path(path)) as stage:
        stage.write_text(json.dumps(plain, indent=1), encoding="utf-8")


def load_study(path: Path) -> Study:
    """Read what :func:`save_study` wrote.

    Raises
    ------
    InputError
        If it is no such file.
    """
    wrong = f"{path} is not the file of a reader study; choose another, or a new name."
    try:
        values = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}).") from error
    except ValueError as error:
        raise InputError(wrong) from error
    if not isinstance(values, dict) or values.pop("format", None) != FORMAT:
        raise InputError(wrong)
    try:
        answers = tuple(_answer(entry) for entry in values.pop("answers"))
        study = Study(**values, answers=answers)
        if len(answers) > study.count:
            raise ValueError("more answers than questions")
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise InputError(wrong) from error
    return study


def file_in_words(path: Path) -> str:
    """One sentence on what becomes of the file if a study is started in it; empty if it is new."""
    if not Path(path).is_file():
        return ""
    try:
        study = load_study(path)
    except InputError as error:
        return str(error)
    if study.over:
        return "The study in this file is over; its result is shown."
    return (
        f"The study in this file goes on with image {len(study.answers) + 1} of {study.count}; "
        "choose a new name to begin another."
    )


def _answer(values: Mapping[str, Any]) -> Answer:
    return Answer(**{**values, "reasons": tuple(values["reasons"])})


def check_same_cases(study: Study, cases: Mapping[str, str]) -> None:
    """Refuse to go on with other images than those that the study began with.

    Raises
    ------
    InputError
        If a case is missing, has been added or has changed.
    """
    names = sorted(set(study.cases) ^ set(cases)) or sorted(
        name for name, content in cases.items() if study.cases[name] != content
    )
    if names:
        raise InputError(
            f"The study began with other images ({_some(names)}); load those again to go on, or "
            "begin a new one in another file."
        )


def _some(names: Sequence[str]) -> str:
    first = ", ".join(names[:3])
    return first if len(names) <= 3 else f"{first} and {len(names) - 3} more"
