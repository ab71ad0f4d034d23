"""``mrisynth evaluate``: how good a model is, beside what is simpler."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .options import (
    Atlas,
    AtlasMapping,
    Benchmark,
    BenchmarkSets,
    Device,
    Inputs,
    Json,
    Mapping,
    Model,
    benchmark_patients,
    head_source,
)
from .session import Session, session

if TYPE_CHECKING:
    from MRISynthLib.evaluation.patients import Patients

app = typer.Typer(no_args_is_help=True, help="Measure a model on patients it was not trained on.")

Cases = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Number of simulated patients, with --benchmark of each set; 4 if nothing is said.",
        show_default=False,
    ),
]
Seed = Annotated[
    int | None,
    typer.Option(min=0, help="Seed of the first patient.", show_default=False),
]
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


@app.command("synthesis")
def evaluate_synthesis(
    model: Model = None,
    cases: Cases = None,
    seed: Seed = None,
    output: Output = None,
    label_maps: LabelMaps = None,
    mapping: Mapping = None,
    atlas: Atlas = None,
    atlas_mapping: AtlasMapping = None,
    benchmark: Benchmark = None,
    sets: BenchmarkSets = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """SSIM, PSNR and MAE in body and tumour, beside copying an input and linear regression."""
    with session("evaluate synthesis", as_json) as run:
        from MRISynthLib.bundles import load_bundle
        from MRISynthLib.evaluation import evaluate_synthesis as evaluate

        patients = _patients(
            run, cases, seed, label_maps, mapping, atlas, atlas_mapping, benchmark, sets
        )
        bundle = load_bundle(model, "synthesis")
        _show(run, evaluate(bundle, patients, output, device, report=run.say), patients)


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
    cases: Cases = None,
    seed: Seed = None,
    output: Output = None,
    label_maps: LabelMaps = None,
    mapping: Mapping = None,
    atlas: Atlas = None,
    atlas_mapping: AtlasMapping = None,
    benchmark: Benchmark = None,
    sets: BenchmarkSets = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Dice of every structure, for several sets of inputs."""
    with session("evaluate segmentation", as_json) as run:
        from MRISynthLib.bundles import load_bundle
        from MRISynthSegmentLib.evaluation import evaluate_segmentation as evaluate

        patients = _patients(
            run, cases, seed, label_maps, mapping, atlas, atlas_mapping, benchmark, sets
        )
        bundle = load_bundle(model, "segmentation")
        synthesis = load_bundle(synthesis_model, "synthesis") if synthesis_model else None
        figures = evaluate(bundle, patients, output, device, synthesis, report=run.say)
        _show(run, figures, patients)


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


def _patients(
    run, cases, seed, label_maps, mapping, atlas, atlas_mapping, benchmark, sets
) -> Patients:
    from MRISynthLib.evaluation.patients import FIRST_SEED, Patients

    if benchmark is not None or sets:
        return benchmark_patients(
            run,
            cases,
            benchmark,
            sets,
            seed=seed,
            label_maps=label_maps,
            mapping=mapping,
            atlas=atlas,
            atlas_mapping=atlas_mapping,
        )
    heads = head_source(label_maps, mapping, atlas, atlas_mapping)
    return Patients(cases, FIRST_SEED if seed is None else seed, heads)


def _show(run: Session, figures: dict[str, Any], patients: Patients | None = None) -> None:
    """Nested figures as a table of names and values."""
    from rich.table import Table

    if patients is not None and run.as_json:
        run.record["patients"] = patients.record()
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
