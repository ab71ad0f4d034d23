"""An evaluation as Markdown, and its tables as rows of text for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .calibration import LAPLACE_SHARES
from .metrics import mean_of, spread_of
from .patients import EVERYTHING, SIDES
from .results import SHARPNESS, Evaluation, is_method
from .statistics import LEAST_PATIENTS
from .tasks import Task, task_name

COLUMNS: tuple[tuple[str, tuple[str, ...], int], ...] = (
    ("SSIM, body", ("body", "SSIM"), 3),
    ("PSNR, body (dB)", ("body", "PSNR"), 2),
    ("MAE, body", ("body", "MAE"), 4),
    ("MS-SSIM, body", ("body", "MS-SSIM"), 3),
    ("SSIM, tumour", ("tumour", "SSIM"), 3),
    ("PSNR, tumour (dB)", ("tumour", "PSNR"), 2),
    ("MAE, tumour", ("tumour", "MAE"), 4),
    ("SSIM, whole", ("whole image", "SSIM"), 3),
    ("PSNR, whole (dB)", ("whole image", "PSNR"), 2),
    ("MAE, whole", ("whole image", "MAE"), 4),
)
"""(title, where a method's figures have it, decimals)."""

SINGLES: tuple[tuple[str, str, int], ...] = (
    (SHARPNESS, SHARPNESS, 2),
    ("enhancement ratio error", "enhancement ratio error", 3),
    ("CNR error", "CNR error", 2),
)
"""(title, name of the figure that has a value for each method, decimals)."""

NOTES = (
    "MAE, PSNR and SSIM are of images whose brightness was matched in the body (not CT and ADC) "
    "and that were scaled by the truth's 0.5 and 99.5 percentiles there; PSNR for a range of 1. "
    "SSIM: mean of its map (Gaussian 11 x 11, sigma 1.5) over the region. MS-SSIM: five levels, in "
    "the box around the body, only where the image is large enough.",
    "Sharpness ratio: gradient energy over that of the truth, noise included. Enhancement ratio: "
    "mean of the tumour over that in T1w; its error is relative to the truth's. CNR: (tumour - "
    "muscle, else brain) / standard deviation there; its error is the absolute difference.",
    "Inputs are registered to the first of them as in use. The truth of a simulated patient is "
    "placed exactly, by the displacement that the simulation drew; a real one is registered.",
    "The cubic remap is fitted on the truth itself (an oracle that no real system has); the "
    "linear regression on other patients.",
    "Tests: Wilcoxon's signed-rank test by patient, two-sided, with Holm's correction over the "
    "tasks.",
)


@dataclass(frozen=True)
class Table:
    """A title, the heads of the columns, and rows of text."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def markdown(self) -> str:
        """The table without its title."""
        line = "|".join("---" for _ in self.columns)
        rows = [self.columns, *self.rows]
        first, *rest = ("| " + " | ".join(row) + " |" for row in rows)
        return "\n".join([first, f"|{line}|", *rest])


def _number(value: float | None, decimals: int, spread: float | None = None) -> str:
    if value is None:
        return "–"
    text = f"{value:.{decimals}f}"
    return text if spread is None else f"{text} ± {spread:.{decimals}f}"


def _at(values: Any, path: Sequence[str]) -> float | None:
    for key in path:
        if not isinstance(values, dict) or key not in values:
            return None
        values = values[key]
    return values


def task_table(evaluation: Evaluation, task: Task, spread: bool = True) -> Table:
    """Methods by figures, mean (± standard deviation) over patients; empty columns left out."""
    rows = [row.figures for row in evaluation.of_task(task)]
    means, spreads = mean_of(rows), spread_of(rows)
    kinds = [(title, lambda m, p=path: (m, *p), n) for title, path, n in COLUMNS]
    kinds += [(title, lambda m, k=key: (k, m), n) for title, key, n in SINGLES]
    lines = [[method] for method in evaluation.methods(task)]
    titles = ["method"]
    for title, path_of, decimals in kinds:
        values = [_at(means, path_of(line[0])) for line in lines]
        if all(value is None for value in values):
            continue
        titles.append(title)
        for line, value in zip(lines, values, strict=True):
            apart = _at(spreads, path_of(line[0])) if spread and len(rows) > 1 else None
            line.append(_number(value, decimals, apart))
    return Table(task_name(task), tuple(titles), tuple(map(tuple, lines)))


def tests_table(tests: Sequence[dict[str, Any]], task: Task) -> Table | None:
    """The first model against each rival on one task; None without rivals."""
    found = [test for test in tests if test["task"] == task_name(task)]
    rows = [
        (
            test["against"],
            f"{test['figure']}, {test['region']}",
            f"{test['difference']:+.4f}",
            f"{test['better']} of {test['n']}",
            _p(test["p"]),
            _p(test["p Holm"]),
        )
        for test in found
    ]
    columns = ("against", "figure", "mean difference", "better in", "p", "p (Holm)")
    return Table("Tests", columns, tuple(rows)) if rows else None


def _p(value: float | None) -> str:
    if value is None:
        return f"no test: fewer than {LEAST_PATIENTS} patients"
    return "< 0.0001" if value < 1e-4 else f"{value:.4f}"


def hospital_table(evaluation: Evaluation, task: Task) -> Table | None:
    """SSIM in the body of every method, and the first model's MAE in the tumour, by test set."""
    figures, name = evaluation.figures(), task_name(task)
    if EVERYTHING not in figures:
        return None
    methods, first = evaluation.methods(task), evaluation.models[0]
    rows = []
    for level, tasks in figures.items():
        here = tasks.get(name, {})
        values = [_number(_at(here, (method, "body", "SSIM")), 3) for method in methods]
        rows.append((level, *values, _number(_at(here, (first, "tumour", "MAE")), 4)))
    if all(side in figures for side in SIDES):
        rows.insert(3, _outside_minus_inside(figures, name, methods, first))
    columns = ("hospital", *(f"{method}: SSIM, body" for method in methods))
    return Table("By hospital", (*columns, f"{first}: MAE, tumour"), tuple(rows))


def _outside_minus_inside(figures, name, methods, first) -> tuple[str, ...]:
    def difference(path: tuple[str, ...], decimals: int) -> str:
        inside, outside = (_at(figures[side].get(name, {}), path) for side in SIDES)
        known = inside is not None and outside is not None
        return f"{outside - inside:+.{decimals}f}" if known else "–"

    values = [difference((method, "body", "SSIM"), 3) for method in methods]
    return ("outside - inside", *values, difference((first, "tumour", "MAE"), 4))


def means_table(name: str, means: dict[str, Any]) -> Table:
    """Methods by figures, the mean over a set of tasks."""
    methods = [method for method, value in means.items() if is_method(value)]
    kept = [c for c in COLUMNS if any(_at(means, (m, *c[1])) is not None for m in methods)]
    rows = [
        (method, *(_number(_at(means, (method, *path)), n) for _, path, n in kept))
        for method in methods
    ]
    return Table(f"Mean over the tasks '{name}'", ("method", *(c[0] for c in kept)), tuple(rows))


def more_inputs_table(found: Sequence[dict[str, Any]]) -> Table:
    """What one more input changes."""
    rows = [
        (
            entry["from"],
            f"+ {entry['added']}",
            figure,
            f"{change['mean']:+.4f}",
            f"{change['no worse']} of {change['n']}",
            _p(change["p"]),
        )
        for entry in found
        for figure, change in entry["changes"].items()
    ]
    columns = ("from", "added", "figure", "mean change", "no worse in", "p")
    return Table("One more input", columns, tuple(rows))


def calibration_table(calibration: dict[str, dict]) -> Table:
    """Expected against true errors of every model and task."""
    rows = []
    for task, models in calibration.items():
        for model, found in models.items():
            regions = found["regions"]
            rows.append(
                (
                    task,
                    model,
                    _number(found["ratio"], 2),
                    _number(found.get("correlation"), 2),
                    *(f"{100 * found['below'][k]:.0f} %" for k in LAPLACE_SHARES),
                    *(
                        _number(_at(regions, (name, "expected")), 4)
                        for name in ("tumour", "mucosa", "rest of the body")
                    ),
                )
            )
    shares = (f"below {k}x ({100 * share:.0f} %)" for k, share in LAPLACE_SHARES.items())
    columns = (
        "task", "model", "expected / true error", "correlation", *shares,
        "expected in tumour", "in mucosa", "elsewhere",
    )  # fmt: skip
    return Table("Expected errors", columns, tuple(rows))


def robustness_tables(robustness: dict[str, Any]) -> list[Table]:
    """A table for each task: model and degradation by strength."""
    tables = []
    for task, degradations in robustness.get("curves", {}).items():
        rows = []
        for name, points in degradations.items():
            models = next(iter(points.values()))
            for model in models:
                for figure, decimals in (("body SSIM", 3), ("tumour MAE", 4)):
                    values = "; ".join(
                        f"{strength}: {_number(point[model].get(figure), decimals)}"
                        for strength, point in points.items()
                    )
                    unit = robustness["strengths in"][name]
                    rows.append((f"{name} ({unit})", model, figure, values))
        columns = ("what is done to the inputs", "model", "figure", "strength: value")
        tables.append(Table(task, columns, tuple(rows)))
    return tables


def markdown(evaluation: Evaluation) -> str:
    """The whole evaluation as one Markdown text."""
    details = evaluation.details()
    lines = ["# Synthesis", ""]
    lines += [f"- {key}: {_plain(value)}" for key, value in evaluation.about.items()]
    lines += ["", "Means over patients, ± one standard deviation.", ""]
    for name, means in details["means over tasks"].items():
        table = means_table(name, means)
        lines += [f"## {table.title}", "", table.markdown(), ""]
    for task in evaluation.tasks:
        count = details["patients"][task_name(task)]
        lines += [f"## {task_name(task)}", "", f"{count} patients.", ""]
        lines += [task_table(evaluation, task).markdown(), ""]
        tests = tests_table(details["tests"], task)
        if tests is not None:
            lines += [f"{evaluation.models[0]} against the others:", "", tests.markdown(), ""]
        hospitals = hospital_table(evaluation, task)
        if hospitals is not None:
            lines += [hospitals.markdown(), ""]
    if details["one more input"]:
        table = more_inputs_table(details["one more input"])
        lines += [f"## {table.title}", "", table.markdown(), ""]
    lines += ["## Expected errors", "", "In brackets what a Laplace distribution would have.", ""]
    lines += [calibration_table(details["calibration"]).markdown(), ""]
    for table in robustness_tables(evaluation.robustness):
        count = evaluation.robustness["patients"]
        lines += [f"## Worse inputs, {table.title}", "", f"{count} patients.", ""]
        lines += [table.markdown(), ""]
    lines += ["## Notes", "", *(f"- {note}" for note in NOTES), ""]
    return "\n".join(lines)


def _plain(value: Any) -> str:
    return "; ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
