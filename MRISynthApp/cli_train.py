"""``mrisynth train`` and ``simulate``: for those who make models."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from .options import Json
from .session import session

app = typer.Typer(no_args_is_help=True, help="Train a model, and make a bundle of it.")

STOPPED_TRAINING = "Stopped; the last checkpoint is kept, so --resume goes on from there."

Config = Annotated[Path, typer.Argument(metavar="CONFIG", help="A YAML file with the settings.")]
Run = Annotated[
    Path,
    typer.Option("--output", "-o", metavar="DIR", help="Folder for checkpoints and the log."),
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint.")]


class Task(StrEnum):
    """What a model is for."""

    SYNTHESIS = "synthesis"
    SEGMENTATION = "segmentation"


@app.command("synthesis")
def train_synthesis(
    config: Config, output: Run = Path("runs/synthesis"), resume: Resume = False
) -> None:
    """Train a network that makes sequences."""
    with session("train synthesis", stopped=STOPPED_TRAINING) as run:
        from MRISynthLib.training import train_synthesis as train

        require_file(config, "a YAML file with the settings")
        run.show(f"The run is in {train(config, output, resume, run.say)}")


@app.command("segmentation")
def train_segmentation(
    config: Config, output: Run = Path("runs/segmentation"), resume: Resume = False
) -> None:
    """Train a network that delineates structures."""
    with session("train segmentation", stopped=STOPPED_TRAINING) as run:
        require_file(config, "a YAML file with the settings")
        from MRISynthSegmentLib.training import train_segmentation as train

        run.show(f"The run is in {train(config, output, resume, run.say)}")


@app.command("export")
def export(
    task: Annotated[Task, typer.Argument(help="What the run trained.")],
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of the training run.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Folder of the bundle.")
    ],
    name: Annotated[str, typer.Option(help="Name of the model.")],
    figures: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TITLE=JSON",
            help="What 'mrisynth evaluate' wrote, for the model card. Give the option once for "
            "each file.",
            show_default=False,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a bundle of a training run: weights, model card and hashes."""
    with session("train export", as_json) as run:
        if task is Task.SYNTHESIS:
            from MRISynthLib.training.export import export_synthesis as make
        else:
            from MRISynthSegmentLib.export_model import export_segmentation as make

        bundle = make(folder, output, name, dict(_figures(text) for text in figures or []))
        run.record["outputs"] = {"bundle": str(bundle.folder)}
        run.record["hash"] = bundle.hash
        run.show(f"{bundle.name} {bundle.version} is in {bundle.folder}")


def simulate(
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for the patients.")
    ],
    cases: Annotated[int, typer.Option(min=1, help="Number of simulated patients.")] = 1,
    seed: Annotated[int, typer.Option(help="The same seed gives the same patients.")] = 0,
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
        run.show(f"{len(folders)} simulated patient(s) are in {output}")


def require_file(path: Path, what: str) -> None:
    """Raise InputError if there is no such file."""
    from MRISynthLib.errors import InputError

    if not path.is_file():
        raise InputError(f"There is no file {path}; give {what}.")


def _figures(text: str) -> tuple[str, Any]:
    import json

    from MRISynthLib.errors import InputError

    title, equals, file = text.partition("=")
    if not equals:
        title, file = Path(text).stem, text
    require_file(Path(file), "a file that 'mrisynth evaluate' wrote")
    try:
        return title, json.loads(Path(file).read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{file} is not JSON; give what 'mrisynth evaluate' wrote.") from error


def _canonical(text: str) -> str:
    from MRISynthLib.errors import InputError
    from MRISynthLib.sequences import canonical_name, nearest_names

    name = canonical_name(text)
    if name is None:
        near = ", ".join(nearest_names(text))
        raise InputError(f"'{text}' in --sequences is no sequence; the nearest are {near}.")
    return name
