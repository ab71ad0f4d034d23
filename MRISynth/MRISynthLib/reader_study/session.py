"""A reader study in progress: which image is next, and what becomes of the answer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..errors import InputError
from ..volume import Volume
from .answers import Answer, Study, check_same_cases, load_study, save_study
from .images import StudyCase
from .plan import Question, make_plan
from .scoring import Score, save_table, score


class StudySession:
    """A study, begun or resumed, with its images; every answer is in the file before the next image
    comes.

    Parameters
    ----------
    cases:
        The images; those that the study began with, if it is resumed.
    path:
        The study's file. If it is there the study in it goes on, with its own seed and number of
        questions.
    count, seed, reader, source:
        Of a new study; see :class:`.answers.Study`.

    Raises
    ------
    InputError
        If the file is another one, the images are not those of the study, or too few.
    OutputError
        If the file cannot be written.
    """

    def __init__(
        self,
        cases: Sequence[StudyCase],
        path: Path,
        *,
        count: int,
        seed: int,
        reader: str = "",
        source: str = "",
    ) -> None:
        self.path = Path(path)
        self._cases = {case.key: case for case in cases}
        if not self._cases:
            raise InputError(
                "There is no synthetic image with the real one of its sequence; load or make both, "
                "or choose a folder of cases."
            )
        contents = {key: case.content for key, case in self._cases.items()}
        self.resumed = self.path.exists()
        if self.resumed:
            self.study = load_study(self.path)
            check_same_cases(self.study, contents)
        else:
            self.study = Study(seed, count, contents, source, reader)
        slices = {key: case.slices for key, case in self._cases.items()}
        self._plan = make_plan(slices, self.study.count, self.study.seed)
        if not self.resumed:
            save_study(self.study, self.path)

    @property
    def number(self) -> int:
        """The next question's, from 1; of a study that is over, how many were answered."""
        return min(len(self.study.answers) + 1, self.study.count)

    @property
    def resampled(self) -> tuple[str, ...]:
        """Cases whose real image had to be brought to the grid of the synthetic one."""
        return tuple(key for key, case in self._cases.items() if case.resampled)

    @property
    def _question(self) -> Question | None:
        return None if self.study.over else self._plan[len(self.study.answers)]

    def image(self) -> Volume | None:
        """What the reader is shown next; None when the study is over."""
        question = self._question
        if question is None:
            return None
        return self._cases[question.case].image(question.truth, question.slice)

    def answer(self, answer: Answer) -> None:
        """Keep the answer to the image in view; there is no way back to it.

        Raises
        ------
        OutputError
            If it cannot be written; the image stays the next one.
        """
        study = self.study.with_answer(answer)
        save_study(study, self.path)
        self.study = study

    def end(self) -> None:
        """Give up the rest.

        Raises
        ------
        OutputError
            If that cannot be written.
        """
        study = self.study.ended()
        save_study(study, self.path)
        self.study = study

    def score(self) -> Score:
        """The result.

        Raises
        ------
        ValueError
            While there is something left to ask: it would tell of the answers.
        """
        self._check_over()
        return score(self.study, self._plan)

    def save_table(self, path: Path) -> None:
        """Write the table of results and answers (CSV).

        Raises
        ------
        ValueError
            As :meth:`score`.
        OutputError
            If it cannot be written there.
        """
        self._check_over()
        save_table(self.study, self._plan, path)

    def _check_over(self) -> None:
        if not self.study.over:
            raise ValueError("the study is not over")
