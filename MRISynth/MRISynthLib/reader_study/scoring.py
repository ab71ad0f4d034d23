"""The result of a reader study, as numbers and as tables."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist, median

from ..io.output import staged_file
from .answers import CONFIDENCES, UNDECIDED, Study
from .plan import REAL, SYNTHETIC, Question

LEVEL = 0.95


@dataclass(frozen=True)
class Share:
    """``hits`` of ``of`` with the ends of its 95 % confidence interval (0 to 1)."""

    hits: int
    of: int

    @property
    def value(self) -> float | None:
        """The share itself; None of nothing."""
        return self.hits / self.of if self.of else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Wilson's score interval; None of nothing."""
        return wilson_interval(self.hits, self.of) if self.of else None

    def __str__(self) -> str:
        if self.interval is None:
            return "none"
        low, high = self.interval
        return f"{self.hits}/{self.of} = {self.value:.0%} ({low:.0%} to {high:.0%})"


def wilson_interval(hits: int, of: int, level: float = LEVEL) -> tuple[float, float]:
    """Confidence interval of a proportion (Wilson, J Am Stat Assoc 1927;22:209), without
    continuity correction.

    It stays between 0 and 1 and is right also for few answers and for none or all right, where the
    usual one is not.
    """
    z = NormalDist().inv_cdf((1 + level) / 2)
    share, weight = hits / of, z * z / of
    centre = (share + weight / 2) / (1 + weight)
    reach = z / (1 + weight) * math.sqrt(share * (1 - share) / of + weight / (4 * of))
    low = 0.0 if hits == 0 else max(0.0, centre - reach)
    high = 1.0 if hits == of else min(1.0, centre + reach)
    return low, high


@dataclass(frozen=True)
class Score:
    """A study's result; "cannot tell" counts in none of the shares.

    Attributes
    ----------
    accuracy:
        Right answers.
    sensitivity, specificity:
        Synthetic images that were called synthetic, and real ones that were called real.
    undecided, unanswered:
        Images of which the reader could not tell, and that were not shown any more.
    median_seconds:
        Of an answer; None without one.
    """

    accuracy: Share
    sensitivity: Share
    specificity: Share
    undecided: int
    unanswered: int
    median_seconds: float | None


def score(study: Study, plan: Sequence[Question]) -> Score:
    """What a study has shown, as far as it has come.

    Parameters
    ----------
    plan:
        The study's questions; those beyond its answers were not asked.
    """
    pairs = list(zip(plan, study.answers, strict=False))
    told = [(question, answer) for question, answer in pairs if answer.answer != UNDECIDED]

    def share(truth: str | None) -> Share:
        of = [(q, a) for q, a in told if truth in (None, q.truth)]
        return Share(sum(a.answer == q.truth for q, a in of), len(of))

    seconds = [answer.seconds for answer in study.answers]
    return Score(
        share(None),
        share(SYNTHETIC),
        share(REAL),
        len(pairs) - len(told),
        len(plan) - len(pairs),
        median(seconds) if seconds else None,
    )


def result_rows(found: Score) -> list[tuple[str, str]]:
    """The result as lines of a table: what, and how much."""
    seconds = "none" if found.median_seconds is None else f"{found.median_seconds:.1f} s"
    return [
        ("Right answers", str(found.accuracy)),
        ("Synthetic images called synthetic", str(found.sensitivity)),
        ("Real images called real", str(found.specificity)),
        ("Cannot tell", str(found.undecided)),
        ("Not shown", str(found.unanswered)),
        ("Median time for an image", seconds),
    ]


def verdict(found: Score) -> str:
    """One sentence on what the accuracy means, against guessing."""
    if found.accuracy.interval is None:
        return "There is no answer to judge."
    low, high = found.accuracy.interval
    if low > 0.5:
        return "The reader told real from synthetic images better than by guessing."
    if high < 0.5:
        return "The reader was wrong more often than by guessing: the two were mixed up."
    return "The answers do not show that the reader can tell real from synthetic images."


COLUMNS = ("question", "case", "slice", "truth", "answer", "right", "confidence",
           "confidence in words", "seconds", "reasons", "comment", "reader")  # fmt: skip


def table_csv(study: Study, plan: Sequence[Question]) -> str:
    """The result, then every answer with its truth, as CSV in two blocks.

    Slices are counted from 1.
    """
    text = io.StringIO()
    write = csv.writer(text, lineterminator="\n").writerow
    write(("result", "hits", "of", "share", "95 % from", "95 % to"))
    found = score(study, plan)
    for name in ("accuracy", "sensitivity", "specificity"):
        part: Share = getattr(found, name)
        low, high = part.interval or ("", "")
        row = (part.value if part.of else "", low, high)
        write((name, part.hits, part.of, *(f"{x:.4f}" if x != "" else "" for x in row)))
    write(("cannot tell", found.undecided, len(study.answers)))
    write(("not shown", found.unanswered, len(plan)))
    write(())
    write(COLUMNS)
    for number, (question, answer) in enumerate(zip(plan, study.answers, strict=False), start=1):
        told = answer.answer != UNDECIDED
        write(
            (
                number,
                question.case,
                question.slice + 1,
                question.truth,
                answer.answer,
                ("yes" if answer.answer == question.truth else "no") if told else "",
                answer.confidence or "",
                CONFIDENCES[answer.confidence - 1] if answer.confidence else "",
                f"{answer.seconds:.1f}",
                "; ".join(answer.reasons),
                answer.comment,
                study.reader,
            )
        )
    return text.getvalue()


def save_table(study: Study, plan: Sequence[Question], path: Path) -> None:
    """Write :func:`table_csv`, whole or not at all.

    Raises
    ------
    OutputError
        If it cannot be written there.
    """
    with staged_file(Path(path)) as stage:
        # with a mark by which spreadsheets know that names are not in their own alphabet
        stage.write_text(table_csv(study, plan), encoding="utf-8-sig")
