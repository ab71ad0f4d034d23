"""Keeping what an evaluation found: JSON for programs, Markdown for people, CSV for statistics."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from MRISynthLib.evaluation.output import write_evaluation, write_lines

from .results import Evaluation
from .tables import markdown

NAME = "segmentation"

HEADS = ("set", "patient", "stage", "hospital", "images", "structure", "figure", "value")


def write_results(evaluation: Evaluation, folder: Path) -> None:
    """``segmentation.json``, ``segmentation.md``, and ``segmentation.csv`` with every patient's
    figures."""
    write_evaluation(Path(folder), NAME, evaluation, markdown(evaluation))
    write_lines(Path(folder), NAME, HEADS, _lines(evaluation))


def _lines(evaluation: Evaluation) -> Iterator[tuple]:
    for row in evaluation.rows:
        start = (row.group, row.case, row.stage, row.hospital, row.inputs)
        for name, figures in row.structures.items():
            yield from ((*start, name, figure, value) for figure, value in figures.items())
    for curve in evaluation.curves:
        start = (curve.group, curve.case, curve.stage, curve.hospital, curve.inputs)
        for count, value in curve.dice.items():
            yield (*start, curve.structure, f"Dice after {count} clicks", value)
