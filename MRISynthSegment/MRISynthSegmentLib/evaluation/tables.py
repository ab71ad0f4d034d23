"""An evaluation of delineation as tables, and as one Markdown text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from MRISynthLib.evaluation.patients import EVERYTHING, SIDES
from MRISynthLib.evaluation.statistics import LEAST_PATIENTS
from MRISynthLib.evaluation.tables import Table

from ..comparison import number
from .clicks import CLICKS
from .comparisons import ASKED, FIGURES
from .inputs import FILLED, REAL, UNENHANCED
from .measures import (
    DICE,
    DOUBT,
    HD95,
    INVENTED,
    MISSED,
    SURFACE_1,
    SURFACE_2,
    TUMOUR,
    VOLUME_ERROR,
    VOLUME_OFF,
    organs,
)
from .results import ALL_HD95, HEALTHY, LOWEST, ORGANS, SUMMARY, Evaluation

NOTES = (
    "Means over patients, ± one standard deviation where it is given. A structure counts in "
    "patients in whom it is in the field of view; missed ones have Dice 0 and no distance.",
    "HD95: 95th percentile of the distances between the surfaces, the larger of both directions. "
    "Surface Dice: share of both surfaces, by area, within 1 or 2 mm of the other. Volume error: "
    "(found - true) / true; absolute: without its sign.",
    "Mean and lowest of organs, and mean HD95, are over the structures' means.",
    f"{HEALTHY}: share of patients without a tumour in whom none is found.",
    "Tests: Wilcoxon's signed-rank test by patient, two-sided, with Holm's correction over the "
    f"three comparisons of a figure, with {LEAST_PATIENTS} patients or more. Intervals: 95 %, "
    "bootstrap over patients.",
    "Doubt is the model's own; its rank correlation (Spearman) is with 1 - Dice.",
    "Simulated clicks go into the deepest point of the largest error.",
)

_STRUCTURE_COLUMNS: tuple[tuple[str, str, int], ...] = (
    ("Dice", DICE, 3),
    ("HD95 (mm)", HD95, 1),
    ("surface Dice 1 mm", SURFACE_1, 3),
    ("surface Dice 2 mm", SURFACE_2, 3),
    ("volume error", VOLUME_ERROR, 2),
    ("volume error, absolute", VOLUME_OFF, 2),
    ("missed", MISSED, 2),
    ("found though absent", INVENTED, 2),
    ("doubt", DOUBT, 2),
)
"""(title, figure, decimals)."""

_WITH_SPREAD = (DICE, HD95)


def summary_table(evaluation: Evaluation) -> Table:
    """Sets of images by their main figures, all patients together."""
    figures = evaluation.figures()
    figures = figures.get(EVERYTHING, figures)
    rows = [
        (inputs, str(len(evaluation.of_inputs(inputs))), *_summary(found))
        for inputs, found in figures.items()
    ]
    return Table("Summary", ("images", "patients", *_SUMMARY), tuple(rows))


def sides_table(evaluation: Evaluation) -> Table | None:
    """The same inside and outside the hospitals that models train on; None without a benchmark."""
    figures = evaluation.figures()
    if EVERYTHING not in figures:
        return None
    rows = [
        (inputs, side, *_summary(figures[side][inputs]))
        for inputs in evaluation.inputs
        for side in SIDES
        if inputs in figures.get(side, {})
    ]
    title = "Inside and outside the hospitals that models train on"
    return Table(title, ("images", "hospitals", *_SUMMARY), tuple(rows))


_SUMMARY = (f"{TUMOUR} Dice", "organs, mean Dice", "organs, lowest Dice", ALL_HD95, HEALTHY)


def _summary(found: dict[str, float]) -> tuple[str, ...]:
    return (
        number(found.get(TUMOUR), 3),
        number(found.get(ORGANS), 3),
        _lowest(found),
        number(found.get(ALL_HD95), 1),
        number(found.get(HEALTHY), 2),
    )


def _lowest(found: dict[str, float]) -> str:
    if LOWEST not in found:
        return "–"
    known = organs(name for name in found if name not in SUMMARY)
    name = next(name for name in known if found[name] == found[LOWEST])
    return f"{found[LOWEST]:.3f} ({name})"


def contrast_tables(contrast: dict[str, Any]) -> list[Table]:
    """The tumour's figures, if anybody has one, and the differences between the sets of images."""
    return [*([_contrast_table(contrast)] if contrast["inputs"] else []), _tests_table(contrast)]


def _contrast_table(contrast: dict[str, Any]) -> Table:
    """The tumour's figures without CE-T1w, with a synthetic and with the real one."""
    kinds = ((DICE, 3), (HD95, 1), (SURFACE_1, 3), (SURFACE_2, 3), (VOLUME_OFF, 2))
    rows = []
    for inputs, found in contrast["inputs"].items():
        cells = [_spread_cell(found.get(figure), decimals) for figure, decimals in kinds]
        median = number(found.get(DICE, {}).get("median"), 3)
        rows.append((inputs, str(found["patients"]), *cells, median))
    columns = ("images", "patients with a tumour", *(name for name, _ in kinds), "median Dice")
    return Table(f"{TUMOUR} without, with a synthetic and with the real CE-T1w", columns,
                 tuple(rows))  # fmt: skip


def _spread_cell(found: dict[str, float] | None, decimals: int) -> str:
    if found is None:
        return "–"
    return f"{found['mean']:.{decimals}f} ± {found['standard deviation']:.{decimals}f}"


def _tests_table(contrast: dict[str, Any]) -> Table:
    """Differences between the sets of images, patient by patient."""
    rows = [
        (
            test["figure"],
            f"{ASKED[test['first']]} - {ASKED[test['second']]}",
            f"{test['difference']:+.3f}",
            _interval(test["interval"]),
            f"{test['better']} of {test['n']}",
            _p(test["p"]),
            _p(test["p Holm"]),
        )
        for test in contrast["tests"]
    ]
    columns = ("figure", "images", "mean difference", "95 % interval", "better in", "p", "p (Holm)")
    return Table("Tests", columns, tuple(rows))


def _interval(values: Sequence[float] | None) -> str:
    return "–" if values is None else f"{values[0]:+.3f} to {values[1]:+.3f}"


def _p(value: float | None) -> str:
    if value is None:
        return "–"
    return "< 0.0001" if value < 1e-4 else f"{value:.4f}"


def contrast_text(contrast: dict[str, Any]) -> str:
    """The answer in sentences, as far as all three sets of images were measured; else empty."""
    inputs = contrast.get("inputs", {})
    poor, filled, real = UNENHANCED.name, FILLED.name, REAL.name
    if not all(DICE in inputs.get(name, {}) for name in (poor, filled, real)):
        return ""
    mean = {name: _spread_cell(inputs[name][DICE], 3) for name in inputs}
    said = {
        (test["first"], test["second"]): test
        for test in contrast["tests"]
        if test["figure"] == next(iter(FIGURES))
    }
    return (
        f"In {inputs[real]['patients']} patients with a tumour the Dice of {TUMOUR} was "
        f"{mean[poor]} from {poor}, {mean[filled]} with synthetic CE-T1w added and {mean[real]} "
        f"with the real CE-T1w. Synthetic CE-T1w changed it by {_change(said[filled, poor])}, the "
        f"real one by {_change(said[real, poor])}; synthetic CE-T1w in the place of the real one "
        f"differed by {_change(said[filled, real])}."
    )


def _change(test: dict[str, Any]) -> str:
    if test["p Holm"] is None:
        return f"{test['difference']:+.3f} (no test)"
    p = _p(test["p Holm"])
    p = p if p.startswith("<") else f"= {p}"
    return f"{test['difference']:+.3f} (95 % interval {_interval(test['interval'])}, p {p})"


def dice_table(evaluation: Evaluation, means: dict[str, Any]) -> Table:
    """Structures by sets of images."""
    rows = [
        (name, *(number(means[i].get(name, {}).get(DICE), 3) for i in evaluation.inputs))
        for name in evaluation.structures
    ]
    return Table("Dice by images", ("structure", *evaluation.inputs), tuple(rows))


def structures_table(means: dict[str, Any], spreads: dict[str, Any], title: str) -> Table:
    """Structures by figures, for one set of images; columns without any figure left out."""
    kept = [c for c in _STRUCTURE_COLUMNS if any(c[1] in each for each in means.values())]
    rows = []
    for name, found in means.items():
        if not found:
            continue
        cells = []
        for _, figure, decimals in kept:
            text = number(found.get(figure), decimals)
            if figure in _WITH_SPREAD and figure in found:
                text += f" ± {spreads[name][figure]:.{decimals}f}"
            cells.append(text)
        rows.append((name, *cells))
    return Table(title, ("structure", *(c[0] for c in kept)), tuple(rows))


def groups_table(title: str, head: str, groups: dict[str, dict[str, dict[str, float]]]) -> Table:
    """Stages or hospitals by the main figures of every set of images."""
    columns = [(f"{TUMOUR} {DICE}", 3), (f"{TUMOUR} {HD95}", 1), (ORGANS, 3), (HEALTHY, 2)]
    rows = []
    for inputs, found in groups.items():
        for name, values in found.items():
            cells = (number(values.get(key), decimals) for key, decimals in columns)
            rows.append((inputs, name, str(values["patients"]), *cells))
    heads = ("images", head, "patients", *(key for key, _ in columns))
    return Table(title, heads, tuple(rows))


def doubt_table(found: dict[str, Any]) -> Table:
    """Rank correlation of doubt and error for every set of images."""
    rows = [
        (inputs, str(each["n"]), number(each["all"], 2), number(each.get("mean of structures"), 2))
        for inputs, each in found.items()
        if each
    ]
    columns = ("images", "structures measured", "over all", "mean over structures")
    return Table("Does doubt tell errors?", columns, tuple(rows))


def clicks_table(clicks: dict[str, Any]) -> Table:
    """Dice after so many simulated clicks."""
    counts = [str(count) for count in CLICKS]
    rows = [
        (name, str(each["patients"]), *(number(each["Dice"].get(count), 3) for count in counts))
        for name, each in clicks["structures"].items()
    ]
    if ORGANS in clicks:
        rows.append((ORGANS, "", *(number(clicks[ORGANS].get(count), 3) for count in counts)))
    heads = ("no click", *(f"{count} click{'s' * (count > 1)}" for count in CLICKS[1:]))
    return Table("Dice after simulated clicks", ("structure", "patients", *heads), tuple(rows))


def markdown(evaluation: Evaluation) -> str:
    """The whole evaluation as one Markdown text."""
    details = evaluation.details()
    lines = ["# Segmentation", ""]
    lines += [f"- {key}: {_plain(value)}" for key, value in evaluation.about.items()]
    lines += _section(summary_table(evaluation))
    sides = sides_table(evaluation)
    if sides is not None:
        lines += _section(sides)
    contrast = details["contrast"]
    if contrast:
        first, *others = contrast_tables(contrast)
        lines += _section(first, contrast_text(contrast))
        lines += [line for table in others for line in ("", table.markdown())]
    means, spreads = details["structures"], details["standard deviations"]
    lines += _section(dice_table(evaluation, means))
    for inputs in evaluation.inputs:
        lines += _section(structures_table(means[inputs], spreads[inputs], inputs))
    lines += _section(groups_table("By stage", "stage", details["by stage"]))
    lines += _section(groups_table("By hospital", "hospital", details["by hospital"]))
    if "doubt" in details:
        lines += _section(doubt_table(details["doubt"]))
    if "clicks" in details:
        clicks = details["clicks"]
        speed = clicks.get("seconds a click")
        text = "" if speed is None else f"{speed:.2f} s a click on average."
        lines += _section(clicks_table(clicks), text)
    return "\n".join([*lines, "", "## Notes", "", *(f"- {note}" for note in NOTES), ""])


def _section(table: Table, text: str = "") -> list[str]:
    return ["", f"## {table.title}", "", *([text, ""] if text else []), table.markdown()]


def _plain(value: Any) -> str:
    return "; ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
