"""Plots of an evaluation of delineation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .evaluation_pictures import NO_PLOTS

if TYPE_CHECKING:
    from MRISynthSegmentLib.evaluation.results import Evaluation

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000")
"""Of sets of images; people with any of the common colour deficiencies tell them apart."""


def draw_plots(evaluation: Evaluation, folder: Path) -> str:
    """Plots in ``folder/plots``; a sentence where they had to be left out, else "".

    How the Dice of every structure spreads over patients, the tumour from each set of images,
    hospitals, doubt against error, and Dice against clicks.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return NO_PLOTS
    place = Path(folder) / "plots"
    place.mkdir(exist_ok=True)
    plots = {
        "structures": _structures(evaluation, Figure),
        "tumour": _tumour(evaluation, Figure),
        "hospitals": _hospitals(evaluation, Figure),
        "doubt": _doubt(evaluation, Figure),
        "clicks": _clicks(evaluation, Figure),
    }
    for name, figure in plots.items():
        if figure is not None:
            figure.savefig(place / f"{name}.png")
    return ""


def _structures(evaluation: Evaluation, figure_class) -> Any:
    """Box plots of Dice over patients: a row for each structure, a box for each set of images."""
    from MRISynthSegmentLib.evaluation.measures import DICE

    values = {
        (name, inputs): [
            row.structures[name][DICE]
            for row in evaluation.of_inputs(inputs)
            if DICE in row.structures.get(name, {})
        ]
        for name in evaluation.structures
        for inputs in evaluation.inputs
    }
    names = [n for n in evaluation.structures if any(values[n, i] for i in evaluation.inputs)]
    if not names:
        return None
    count = len(evaluation.inputs)
    step = 0.8 / count
    figure = figure_class(figsize=(8, 1.5 + 0.16 * (count + 1) * len(names)), layout="constrained")
    axes = figure.subplots()
    for number, inputs in enumerate(evaluation.inputs):
        colour = COLOURS[number % len(COLOURS)]
        places = np.arange(len(names)) + (number - (count - 1) / 2) * step
        axes.boxplot(
            [values[name, inputs] for name in names], positions=places, widths=0.8 * step,
            orientation="horizontal", patch_artist=True, boxprops={"facecolor": colour},
            medianprops={"color": "black"}, flierprops={"markersize": 3},
        )  # fmt: skip
        axes.plot([], [], color=colour, linewidth=6, label=inputs)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlabel("Dice")
    axes.grid(axis="x", alpha=0.3)
    figure.legend(loc="outside upper center", ncols=min(count, 2), fontsize="small")
    return figure


def _tumour(evaluation: Evaluation, figure_class) -> Any:
    """Dice and HD95 of the tumour: a line for each patient through the sets of images."""
    from MRISynthSegmentLib.evaluation.comparisons import ASKED
    from MRISynthSegmentLib.evaluation.measures import DICE, HD95, TUMOUR

    asked = [name for name in ASKED if name in evaluation.inputs]
    sets = asked if len(asked) > 1 else list(evaluation.inputs)
    patients: dict[tuple[str, str], dict[str, dict[str, float]]] = {}
    for row in evaluation.rows:
        found = row.structures.get(TUMOUR, {})
        if DICE in found:
            patients.setdefault((row.group, row.case), {})[row.inputs] = found
    if not patients:
        return None
    figure = figure_class(figsize=(5.5 + 1.2 * len(sets), 5), layout="constrained")
    for axes, measure in zip(figure.subplots(1, 2), (DICE, HD95), strict=True):
        lines = [
            [found.get(inputs, {}).get(measure, np.nan) for inputs in sets]
            for found in patients.values()
        ]
        for line in lines:
            axes.plot(line, color="grey", alpha=0.5, marker=".", linewidth=0.8)
        columns = np.array(lines, float).T
        means = [np.nanmean(column) if np.isfinite(column).any() else np.nan for column in columns]
        axes.plot(means, color=COLOURS[0], marker="o", linewidth=2.5, label="mean")
        words = [name.replace(" + ", "\n+ ") for name in sets]
        axes.set_xticks(range(len(sets)), words, fontsize="small")
        axes.set_xlim(-0.4, len(sets) - 0.6)
        axes.set_ylabel(f"{measure}, {TUMOUR}")
        axes.grid(axis="y", alpha=0.3)
        axes.legend(fontsize="small")
    return figure


def _hospitals(evaluation: Evaluation, figure_class) -> Any:
    """Mean Dice of tumour and organs by hospital, a line for each set of images."""
    from MRISynthSegmentLib.evaluation.measures import DICE, TUMOUR
    from MRISynthSegmentLib.evaluation.results import ORGANS

    found = evaluation.details()["by hospital"]
    hospitals = list(dict.fromkeys(name for groups in found.values() for name in groups))
    if len(hospitals) < 2:
        return None
    figure = figure_class(figsize=(4 + 0.3 * len(hospitals), 7), layout="constrained")
    shown = (f"{TUMOUR} {DICE}", ORGANS)
    for axes, key in zip(figure.subplots(2, 1, sharex=True), shown, strict=True):
        for number, (inputs, groups) in enumerate(found.items()):
            values = [groups.get(name, {}).get(key, np.nan) for name in hospitals]
            axes.plot(values, marker="o", color=COLOURS[number % len(COLOURS)], label=inputs)
        axes.set_xticks(range(len(hospitals)), hospitals, rotation=90)
        axes.set_ylabel(key if DICE in key else f"Dice, {key}")
        axes.grid(alpha=0.3)
    figure.axes[0].legend(fontsize="small")
    return figure


def _doubt(evaluation: Evaluation, figure_class) -> Any:
    """A dot for each structure of each patient: the model's doubt and the true error."""
    from MRISynthSegmentLib.evaluation.measures import DICE, DOUBT

    dots = {
        inputs: [
            (each[DOUBT], 1.0 - each[DICE])
            for row in evaluation.of_inputs(inputs)
            for each in row.structures.values()
            if DOUBT in each and DICE in each
        ]
        for inputs in evaluation.inputs
    }
    if not any(dots.values()):
        return None
    figure = figure_class(figsize=(6, 6), layout="constrained")
    axes = figure.subplots()
    for number, (inputs, pairs) in enumerate(dots.items()):
        x, y = np.array(pairs, float).reshape(-1, 2).T
        axes.scatter(x, y, s=9, alpha=0.5, color=COLOURS[number % len(COLOURS)], label=inputs)
    axes.plot([0, 1], [0, 1], color="grey", linestyle=":")
    axes.set_xlabel("doubt")
    axes.set_ylabel("1 - Dice")
    axes.legend(fontsize="small")
    return figure


def _clicks(evaluation: Evaluation, figure_class) -> Any:
    """Mean Dice against clicks: tumour volumes, the mean of organs, and each organ in grey."""
    from MRISynthSegmentLib.evaluation.measures import organs
    from MRISynthSegmentLib.evaluation.results import ORGANS

    clicks = evaluation.details().get("clicks")
    if not clicks:
        return None
    figure = figure_class(figsize=(6, 5), layout="constrained")
    axes = figure.subplots()
    curves = {name: each["Dice"] for name, each in clicks["structures"].items()}
    for name in organs(curves):
        axes.plot(*_points(curves[name]), color="grey", alpha=0.4, linewidth=0.8)
    named = {name: curve for name, curve in curves.items() if name not in organs(curves)}
    if ORGANS in clicks:
        named[ORGANS] = clicks[ORGANS]
    for number, (name, curve) in enumerate(named.items()):
        axes.plot(*_points(curve), marker="o", color=COLOURS[number], label=name)
    axes.set_xlabel("simulated clicks")
    axes.set_ylabel("Dice")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    return figure


def _points(curve: dict[str, float]) -> tuple[list[int], list[float]]:
    return [int(count) for count in curve], list(curve.values())
