"""The report of a case: one HTML file without network, and figures for other uses."""

from __future__ import annotations

from .figures import Panel, compose
from .model import (
    Figure,
    ReportData,
    ReportInput,
    ReportTarget,
    Score,
    StructureRow,
    Uncertainty,
    structure_rows,
)
from .page import write_report

__all__ = [
    "Figure",
    "Panel",
    "ReportData",
    "ReportInput",
    "ReportTarget",
    "Score",
    "StructureRow",
    "Uncertainty",
    "compose",
    "structure_rows",
    "write_report",
]
