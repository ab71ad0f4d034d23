"""Keeping what an evaluation found: JSON for programs, Markdown for people, CSV for statistics."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from .parts import EVERY_PATIENT, for_file
from .results import CORRELATION, SHARPNESS, Evaluation, Row
from .tables import markdown
from .tasks import task_name

OF_BODY = (SHARPNESS, CORRELATION)
"""Figures that have one number a method, and are of the body; the others are of the tumour."""


def write_results(evaluation: Evaluation, folder: Path, name: str = "synthesis") -> None:
    """``synthesis.json``, ``synthesis.md``, and ``synthesis.csv`` with every patient's figures."""
    write_evaluation(Path(folder), name, evaluation, markdown(evaluation))
    heads = ("set", "patient", "task", "method", "region", "figure", "value")
    write_lines(Path(folder), name, heads, _lines(evaluation.rows))


def write_evaluation(folder: Path, name: str, evaluation: Any, text: str) -> None:
    """Its record with every patient's figures, from which parts are merged, and ``text``."""
    record = {**evaluation.record(), EVERY_PATIENT: for_file(evaluation.every_patient())}
    write_record(folder, name, record, text)


def write_record(folder: Path, name: str, record: dict[str, Any], text: str) -> None:
    """``name.json`` and, with ``text``, ``name.md``."""
    content = json.dumps(plain(record), indent=2, allow_nan=False)
    (folder / f"{name}.json").write_text(content + "\n", encoding="utf-8")
    (folder / f"{name}.md").write_text(text, encoding="utf-8")


def write_lines(folder: Path, name: str, heads: Sequence[str], lines: Iterable[tuple]) -> None:
    """``name.csv``."""
    with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(heads)
        writer.writerows(lines)


def _lines(rows: Sequence[Row]) -> Iterator[tuple]:
    for row in rows:
        start = (row.group, row.case, task_name(row.task))
        for name, entry in row.figures.items():
            for key, value in entry.items():
                if isinstance(value, dict):
                    yield from ((*start, name, key, figure, x) for figure, x in value.items())
                else:
                    yield (*start, key, "body" if name in OF_BODY else "tumour", name, value)


def plain(value: Any) -> Any:
    """The same without numbers that JSON has no word for: None in their place."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
