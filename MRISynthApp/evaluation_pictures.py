"""Pictures and plots of an evaluation: slices beside the truth, curves, spreads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from MRISynthLib.views import DIFFERENCE_WINDOW

if TYPE_CHECKING:
    from MRISynthLib.evaluation.results import Evaluation, Picture

TALL = 320
"""Rows of a panel."""

NO_PLOTS = (
    "The plots are left out: matplotlib is not installed (pip install matplotlib); the tables have "
    "all figures."
)


def file_name(task: tuple[tuple[str, ...], str]) -> str:
    """A task as part of a file's name."""
    return f"{'+'.join(task[0])} to {task[1]}"


def draw_pictures(pictures: Sequence[Picture], folder: Path) -> None:
    """One PNG a patient and task in ``folder/pictures``; nothing without any.

    Above: inputs, truth and what every method made; below: the absolute differences from the
    truth, black at 0 and white from 0.2 of the truth's grey scale.
    """
    from PIL import Image

    from .report.figures import Panel, compose

    for picture in pictures:
        place = Path(folder) / "pictures"
        place.mkdir(exist_ok=True)
        above = [Panel(_grey(image, picture), name) for name, image in picture.inputs.items()]
        blank = [Panel(np.zeros_like(panel.image), "") for panel in above]
        above.append(Panel(_grey(picture.truth, picture), f"{picture.task[1]}, the truth"))
        outlined = _outlined(_grey(np.zeros_like(picture.truth), picture), picture)
        below = [*blank, Panel(outlined, "tumour" if picture.tumour is not None else "")]
        low, high = DIFFERENCE_WINDOW
        for name, image in picture.made.items():
            above.append(Panel(_grey(image, picture), name))
            difference = (np.abs(image - picture.truth) - low) / (high - low)
            below.append(Panel(_grey(difference, picture), f"|difference|, 0 to {high:g}"))
        sheet = Image.fromarray(compose([above, below]))
        sheet.save(place / f"{picture.case} {file_name(picture.task)}.png", "PNG")


def _grey(image: np.ndarray, picture: Picture) -> np.ndarray:
    """(rows, columns, 3) of uint8, 0-1 to black-white, with square pixels and TALL rows."""
    from PIL import Image

    down, across = picture.pixel_mm
    width = max(1, round(TALL * image.shape[1] * across / (image.shape[0] * down)))
    grey = Image.fromarray((255 * np.clip(image, 0, 1)).astype(np.uint8))
    return np.repeat(np.asarray(grey.resize((width, TALL)))[:, :, None], 3, 2)


def _outlined(panel: np.ndarray, picture: Picture) -> np.ndarray:
    """The tumour's area on an empty panel."""
    if picture.tumour is None:
        return panel
    return _grey(picture.tumour.astype(np.float32), picture)


def draw_plots(evaluation: Evaluation, folder: Path) -> str:
    """Plots in ``folder/plots``; a sentence where they had to be left out, else "".

    How the methods spread over patients and test sets, expected against true errors, and quality
    against the strength of what was done to the inputs.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return NO_PLOTS
    place = Path(folder) / "plots"
    place.mkdir(exist_ok=True)
    for task in evaluation.tasks:
        _methods(evaluation, task, Figure).savefig(place / f"methods {file_name(task)}.png")
    if any(row.group for row in evaluation.rows):
        _hospitals(evaluation, Figure).savefig(place / "hospitals.png")
    if any(row.calibration for row in evaluation.rows):
        _calibration(evaluation, Figure).savefig(place / "expected errors.png")
    for task, curves in evaluation.robustness.get("curves", {}).items():
        name = task.replace(" + ", "+").replace("->", "to")
        _curves(evaluation.robustness, curves, Figure).savefig(place / f"worse inputs {name}.png")
    return ""


def _methods(evaluation: Evaluation, task, figure_class) -> Any:
    """Box plots over patients of each method's SSIM in the body and MAE in the tumour."""
    methods, rows = evaluation.methods(task), evaluation.of_task(task)
    shown = [("body", "SSIM"), ("tumour", "MAE")]
    figure = figure_class(figsize=(11, 1.2 + 0.45 * len(methods)), layout="constrained")
    for axes, (region, name) in zip(figure.subplots(1, 2, sharey=True), shown, strict=True):
        values = [
            [
                row.figures[method][region][name]
                for row in rows
                if region in row.figures.get(method, {})
            ]
            for method in methods
        ]
        axes.boxplot(values, orientation="horizontal", tick_labels=methods)
        axes.set_xlabel(f"{name}, {region}")
        axes.grid(axis="x", alpha=0.3)
    axes.invert_yaxis()
    return figure


def _hospitals(evaluation: Evaluation, figure_class) -> Any:
    """The first model's mean SSIM in the body by test set, a line for each task."""
    groups = list(dict.fromkeys(row.group for row in evaluation.rows))
    figure = figure_class(figsize=(4 + 0.3 * len(groups), 5), layout="constrained")
    axes = figure.subplots()
    first = evaluation.models[0]
    for task in evaluation.tasks:
        means = []
        for group in groups:
            values = [
                row.figures[first]["body"]["SSIM"]
                for row in evaluation.of_task(task)
                if row.group == group and first in row.figures
            ]
            means.append(np.mean(values) if values else np.nan)
        axes.plot(means, marker="o", label=file_name(task))
    axes.set_xticks(range(len(groups)), groups, rotation=90)
    axes.set_ylabel(f"SSIM in the body, {first}")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    return figure


def _calibration(evaluation: Evaluation, figure_class) -> Any:
    """Mean true error of the deciles of expected error, a line for each model and task."""
    from MRISynthLib.evaluation.metrics import mean_of

    figure = figure_class(figsize=(6, 6), layout="constrained")
    axes, largest = figure.subplots(), 0.0
    for task in evaluation.tasks:
        for model, found in mean_of([row.calibration for row in evaluation.of_task(task)]).items():
            expected, true = (
                [decile[key] for decile in found["deciles"].values()]
                for key in ("expected", "true")
            )
            axes.plot(expected, true, marker=".", label=f"{model}, {file_name(task)}")
            largest = max(largest, *expected, *true)
    axes.plot([0, largest], [0, largest], color="grey", linestyle=":")
    axes.set_xlabel("expected error (deciles)")
    axes.set_ylabel("true error")
    axes.legend(fontsize="small")
    return figure


def _curves(robustness: dict[str, Any], curves: dict[str, Any], figure_class) -> Any:
    """Figures against strength: a column for each degradation, a line for each model."""
    names = ("body SSIM", "tumour MAE")
    figure = figure_class(figsize=(3.2 * len(curves), 6), layout="constrained")
    grid = figure.subplots(len(names), len(curves), squeeze=False, sharey="row")
    for column, (degradation, points) in enumerate(curves.items()):
        strengths = [float(strength) for strength in points]
        for row, name in enumerate(names):
            axes = grid[row][column]
            for model in next(iter(points.values())):
                values = [point[model].get(name, np.nan) for point in points.values()]
                axes.plot(strengths, values, marker="o", label=model)
            axes.grid(alpha=0.3)
            axes.set_ylabel(name if column == 0 else "")
        grid[0][column].set_title(degradation)
        grid[-1][column].set_xlabel(robustness["strengths in"][degradation])
    grid[0][0].legend(fontsize="small")
    return figure
