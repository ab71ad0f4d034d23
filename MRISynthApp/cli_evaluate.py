"""``mrisynth evaluate``: how good a model is, beside what is simpler."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from .options import Device, Inputs, Json, Model
from .session import Session, session

app = typer.Typer(no_args_is_help=True, help="Measure a model on patients it was not trained on.")

FIRST_SEED = 90_000
"""Seed of the first patient; training uses lower ones."""

Cases = Annotated[int, typer.Option(min=1, help="Number of simulated patients.")]
Seed = Annotated[int, typer.Option(help="Seed of the first patient.")]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output", "-o", metavar="DIR", help="Folder for the figures as JSON.", show_default=False
    ),
]
LabelMaps = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Label maps of heads to draw the anatomy from; without it, procedural heads.",
        show_default=False,
    ),
]
Mapping = Annotated[
    Path | None,
    typer.Option(
        metavar="JSON",
        help="What the numbers in the label maps mean (see Resources/LabelMaps).",
        show_default=False,
    ),
]


@app.command("synthesis")
def evaluate_synthesis(
    model: Model = None,
    cases: Cases = 4,
    seed: Seed = FIRST_SEED,
    output: Output = None,
    label_maps: LabelMaps = None,
    mapping: Mapping = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """SSIM, PSNR and MAE in body and tumour, beside copying an input and linear regression."""
    with session("evaluate synthesis", as_json) as run:
        from MRISynthLib.bundles import load_bundle
        from MRISynthLib.evaluation import evaluate_synthesis as evaluate

        bundle = load_bundle(model, "synthesis")
        _show(
            run,
            evaluate(bundle, cases, seed, output, device, label_maps, mapping, report=run.say),
        )


@app.command("segmentation")
def evaluate_segmentation(
    model: Model = None,
    synthesis_model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME_OR_FOLDER",
            help="Measure on synthetic CE-T1w of this model as well.",
            show_default=False,
        ),
    ] = None,
    cases: Cases = 4,
    seed: Seed = FIRST_SEED,
    output: Output = None,
    label_maps: LabelMaps = None,
    mapping: Mapping = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Dice of every structure, for several sets of inputs."""
    with session("evaluate segmentation", as_json) as run:
        from MRISynthLib.bundles import load_bundle
        from MRISynthSegmentLib.evaluation import evaluate_segmentation as evaluate

        bundle = load_bundle(model, "segmentation")
        synthesis = load_bundle(synthesis_model, "synthesis") if synthesis_model else None
        figures = evaluate(
            bundle, cases, seed, output, device, label_maps, mapping, synthesis, report=run.say
        )
        _show(run, figures)


@app.command("pair")
def evaluate_pair(
    inputs: Inputs = None,
    truth: Annotated[
        str,
        typer.Option(
            metavar="[NAME=]PATH", help="The real image of the sequence that is to be made."
        ),
    ] = "",
    prompt: Annotated[str, typer.Option(metavar="TEXT", help="As for 'synthesize'.")] = "",
    model: Model = None,
    output: Output = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Real images: make the sequence of --truth from the inputs and compare."""
    with session("evaluate pair", as_json) as run:
        from MRISynthLib.bundles import load_bundle
        from MRISynthLib.errors import InputError
        from MRISynthLib.evaluation import evaluate_pair as evaluate

        from .inputs import parse_inputs, read_inputs

        if not truth:
            raise InputError("There is nothing to compare with; give --truth NAME=FILE_OR_FOLDER.")
        parsed = parse_inputs([*(inputs or []), truth])
        if len(parsed) < 2:
            raise InputError("There is no input; give at least one with --input.")
        bundle = load_bundle(model, "synthesis")
        read = [item.volume for item in read_inputs(parsed, run)]
        _show(run, evaluate(bundle, read[:-1], read[-1], output, device, prompt))


def _show(run: Session, figures: dict[str, Any]) -> None:
    """Nested figures as a table of names and values."""
    from rich.table import Table

    run.record["figures"] = figures
    table = Table(box=None)
    table.add_column("figure")
    table.add_column("value", justify="right")
    for name, value in _flat(figures):
        table.add_row(name, f"{value:.4g}" if isinstance(value, float) else str(value))
    run.show(table)


def _flat(values: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    rows = []
    for key, value in values.items():
        name = f"{prefix}{key}"
        rows += _flat(value, f"{name} / ") if isinstance(value, dict) else [(name, value)]
    return rows
