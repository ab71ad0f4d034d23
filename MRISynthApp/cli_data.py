"""``mrisynth train``, ``evaluate`` and ``simulate``: for those who make models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from .options import Device, Json, Model
from .session import Session, session

train_app = typer.Typer(no_args_is_help=True, help="Train a model on simulated or own patients.")
evaluate_app = typer.Typer(no_args_is_help=True, help="Measure a model on held-out patients.")

STOPPED_TRAINING = "Stopped; the last checkpoint is kept, so --resume goes on from there."

Config = Annotated[Path, typer.Argument(metavar="CONFIG", help="A YAML file with the settings.")]
Run = Annotated[
    Path,
    typer.Option("--output", "-o", metavar="DIR", help="Folder for checkpoints and the log."),
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint.")]
Cases = Annotated[int, typer.Option(min=1, help="Number of simulated patients.")]
Seed = Annotated[int, typer.Option(help="The same seed gives the same patients.")]
EvaluationOutput = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="DIR", help="Folder for the figures, if wanted."),
]


@train_app.command("synthesis")
def train_synthesis(
    config: Config, output: Run = Path("runs/synthesis"), resume: Resume = False
) -> None:
    """Train a network that makes sequences."""
    with session("train synthesis", stopped=STOPPED_TRAINING) as run:
        from MRISynthLib.training import train_synthesis as train

        _require_file(config)
        run.show(f"The run is in {train(config, output, resume, run.say)}")


@train_app.command("segmentation")
def train_segmentation(
    config: Config, output: Run = Path("runs/segmentation"), resume: Resume = False
) -> None:
    """Train a network that delineates structures."""
    with session("train segmentation", stopped=STOPPED_TRAINING) as run:
        from MRISynthSegmentLib.training import train_segmentation as train

        _require_file(config)
        run.show(f"The run is in {train(config, output, resume, run.say)}")


@evaluate_app.command("synthesis")
def evaluate_synthesis(
    model: Model = None,
    cases: Cases = 4,
    seed: Seed = 90000,
    output: EvaluationOutput = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """SSIM, PSNR and MAE in body and tumour, beside copying an input and linear regression."""
    with session("evaluate synthesis", as_json) as run:
        from MRISynthLib.bundles import load_bundle
        from MRISynthLib.evaluation import evaluate_synthesis as evaluate

        bundle = load_bundle(model, "synthesis")
        _report(run, evaluate(bundle, cases=cases, seed=seed, output=output, device=device))


@evaluate_app.command("segmentation")
def evaluate_segmentation(
    model: Model = None,
    cases: Cases = 4,
    seed: Seed = 90000,
    output: EvaluationOutput = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Dice of every structure."""
    with session("evaluate segmentation", as_json) as run:
        from MRISynthLib.bundles import load_bundle
        from MRISynthSegmentLib.evaluation import evaluate_segmentation as evaluate

        bundle = load_bundle(model, "segmentation")
        _report(run, evaluate(bundle, cases=cases, seed=seed, output=output, device=device))


def simulate(
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for the patients.")
    ],
    cases: Cases = 1,
    seed: Seed = 0,
    sequences: Annotated[
        str, typer.Option(metavar="NAMES", help="Sequences, with commas between them.")
    ] = "T1w,T2w,CE-T1w,STIR",
    as_json: Json = False,
) -> None:
    """Make simulated patients: images, true structures and how they were acquired."""
    stopped = "Stopped; finished patients are kept, and the same command goes on from there."
    with session("simulate", as_json, stopped) as run:
        from MRISynthLib.progress import Callbacks
        from MRISynthLib.simulation import simulate as make

        from .progress_display import ProgressDisplay

        names = tuple(_canonical(text) for text in sequences.split(","))
        with ProgressDisplay(run.console) as display:
            callbacks = Callbacks(on_progress=display)
            folders = make(
                cases=cases, seed=seed, output=output, sequences=names, callbacks=callbacks
            )
        run.record["outputs"] = {folder.name: str(folder) for folder in folders}
        run.show(f"{len(folders)} simulated patients are in {output}")


def _canonical(text: str) -> str:
    from MRISynthLib.errors import InputError
    from MRISynthLib.sequences import canonical_name, nearest_names

    name = canonical_name(text)
    if name is None:
        near = ", ".join(nearest_names(text))
        raise InputError(f"'{text}' in --sequences is no sequence; the nearest are {near}.")
    return name


def _require_file(path: Path) -> None:
    from MRISynthLib.errors import InputError

    if not path.is_file():
        raise InputError(f"There is no file {path}; give a YAML file with the settings.")


def _report(run: Session, figures: dict[str, Any]) -> None:
    """Show nested figures as a table of names and values."""
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
