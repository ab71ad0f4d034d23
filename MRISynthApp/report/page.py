"""The report as one HTML file: pictures inline, nothing loaded from anywhere, no scripts."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path

from MRISynthLib.errors import InputError
from MRISynthLib.io.output import staged_file
from MRISynthLib.provenance import DISCLAIMER, SYNTHETIC_MARK

from .figures import Panel, png_bytes
from .model import ReportData, Score

_TEMPLATE = "report.html.j2"
_STAGES = {
    "load": "Reading the images",
    "register": "Registration",
    "synthesize": "Synthesis",
    "first_slice": "First slice shown after",
    "segment": "Delineation",
    "write": "Writing the results",
}


def write_report(path: str | Path, data: ReportData) -> Path:
    """Write the report of a case to ``path`` (.html), whole or not at all.

    Raises
    ------
    InputError
        If jinja2 is not installed.
    OutputError
        If the file cannot be written; its folder must exist.
    """
    path = Path(path)
    text = render_report(data)
    with staged_file(path) as beside:
        beside.write_text(text, encoding="utf-8")
    return path


def render_report(data: ReportData) -> str:
    """The report's HTML; every text in ``data`` is escaped."""
    try:
        import jinja2
    except ImportError as error:
        raise InputError(
            'The report needs the package jinja2; install it with: pip install "mrisynth[scene]".'
        ) from error

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("MRISynthApp", "report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters.update(
        data_uri=_data_uri,
        fixed=_fixed,
        significant=_significant,
        millilitres=lambda ml: _fixed(ml, 2 if ml is not None and ml < 10 else 1),
        colour=_css_colour,
        stage=lambda key: _STAGES.get(key, key.replace("_", " ").capitalize()),
    )
    return environment.get_template(_TEMPLATE).render(
        data=data,
        disclaimer=DISCLAIMER,
        mark=SYNTHETIC_MARK,
        score_groups=_score_groups(data.scores),
        shortfalls=shortfalls(data.scores),
        provenance=json.dumps(dict(data.provenance), indent=2, ensure_ascii=False, default=str),
    )


def shortfalls(scores: Iterable[Score]) -> list[str]:
    """A sentence for every comparison that the product's own image does not win."""
    sentences = []
    for (target, region), group in _score_groups(scores):
        own = next((score for score in group if score.ours), None)
        for other in group:
            if own is None or other.ours:
                continue
            lost = [
                name
                for name, mine, theirs in (
                    ("MAE", -own.mae, -other.mae),
                    ("PSNR", own.psnr_db, other.psnr_db),
                    ("SSIM", own.ssim, other.ssim),
                )
                if theirs >= mine
            ]
            if lost:
                sentences.append(
                    f"{target}, {region}: {other.method} is as good or better ({', '.join(lost)})."
                )
    return sentences


def _score_groups(scores: Iterable[Score]) -> list[tuple[tuple[str, str], list[Score]]]:
    """Scores by (target, region), in the order of first appearance, the product's own first."""
    scores = list(scores)
    order: dict[tuple[str, str], int] = {}
    for score in scores:
        order.setdefault((score.target, score.region), len(order))

    def place(score: Score) -> tuple[int, bool]:
        return (order[score.target, score.region], not score.ours)

    grouped = groupby(sorted(scores, key=place), key=lambda s: (s.target, s.region))
    return [(key, list(group)) for key, group in grouped]


def _data_uri(panel: Panel) -> str:
    return "data:image/png;base64," + base64.b64encode(png_bytes(panel.image)).decode("ascii")


def _fixed(value: float | None, digits: int = 1) -> str:
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value:.{digits}f}"


def _significant(value: float | None, digits: int = 3) -> str:
    """``digits`` significant digits without an exponent."""
    if value is None or not math.isfinite(value):
        return "–"
    if value == 0:
        return "0"
    return f"{value:.{max(0, digits - 1 - math.floor(math.log10(abs(value))))}f}"


def _css_colour(rgb: tuple[float, float, float]) -> str:
    return "#" + "".join(f"{round(255 * min(max(c, 0.0), 1.0)):02x}" for c in rgb)
