"""``mrisynth train``: for those who make models."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from .options import Json
from .session import Session, session

app = typer.Typer(no_args_is_help=True, help="Train a model, and make a bundle of it.")

STOPPED_TRAINING = "Stopped; the last checkpoint is kept, so --resume goes on from there."

TOGETHER = """Several GPUs, or several processes of a CPU, learn together when torchrun starts them:

`torchrun --nproc_per_node=4 -m MRISynthApp train {} CONFIG --output DIR`

One step then learns from as many batches as there are processes, times `accumulate` of the
settings. A run goes on with as many processes as it began with."""

Configs = Annotated[
    list[Path],
    typer.Argument(
        metavar="CONFIG",
        help="Files with the settings (YAML or JSON); later ones overrule earlier ones.",
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="FIELD=VALUE",
        help="Overrule a field of the settings, such as learning_rate=1e-3 or "
        "target_weights::STIR=4. Give the option once for each field.",
        show_default=False,
    ),
]
Run = Annotated[
    Path,
    typer.Option("--output", "-o", metavar="DIR", help="Folder for checkpoints and the log."),
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint.")]


class Task(StrEnum):
    """What a model is for."""

    SYNTHESIS = "synthesis"
    SEGMENTATION = "segmentation"


@app.command("synthesis", epilog=TOGETHER.format("synthesis"))
def train_synthesis(
    configs: Configs,
    output: Run = Path("runs/synthesis"),
    overrides: Overrides = None,
    resume: Resume = False,
) -> None:
    """Train a network that makes sequences, on the virtual cohort or on folders of patients."""
    with session("train synthesis", stopped=STOPPED_TRAINING) as run:
        from MRISynthLib.training import train_synthesis as train

        _train(run, train, configs, output, resume, overrides)


@app.command("segmentation", epilog=TOGETHER.format("segmentation"))
def train_segmentation(
    configs: Configs,
    output: Run = Path("runs/segmentation"),
    overrides: Overrides = None,
    resume: Resume = False,
) -> None:
    """Train a network that delineates structures."""
    with session("train segmentation", stopped=STOPPED_TRAINING) as run:
        from MRISynthSegmentLib.training import train_segmentation as train

        _train(run, train, configs, output, resume, overrides)


@app.command("text", epilog=TOGETHER.format("text"))
def train_text(
    configs: Configs,
    output: Run = Path("runs/text"),
    overrides: Overrides = None,
    resume: Resume = False,
) -> None:
    """Train a network that reads prompts, for the settings field 'towers' of synthesis."""
    with session("train text", stopped=STOPPED_TRAINING) as run:
        from MRISynthLib.training.text import train_text as train

        _train(run, train, configs, output, resume, overrides)


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
    match: Annotated[
        bool,
        typer.Option(
            "--match",
            help="Site matching was measured to help this synthesis model ('evaluate synthesis "
            "--match'): have it on unless asked otherwise.",
        ),
    ] = False,
    eight_bit: Annotated[
        bool,
        typer.Option(
            "--eight-bit",
            help="Store the weights in eight bits instead of sixteen, in half the space; measure "
            "with 'mrisynth evaluate' that the model does as well.",
        ),
    ] = False,
    version: Annotated[
        str | None,
        typer.Option(
            "--version",
            metavar="X.Y.Z",
            help="Without it, the next after the version of the model that the run began with.",
            show_default=False,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a bundle of a training run: weights, model card and hashes."""
    with session("train export", as_json) as run:
        options = {"eight_bit": eight_bit, "version": version}
        if task is Task.SYNTHESIS:
            from MRISynthLib.training.export import export_synthesis as make

            options["matching"] = match
        else:
            from MRISynthSegmentLib.export_model import export_segmentation as make

        bundle = make(
            folder, output, name, dict(_figures(text) for text in figures or []), **options
        )
        run.record["outputs"] = {"bundle": str(bundle.folder)}
        run.record["hash"] = bundle.hash
        run.show(f"{bundle.name} {bundle.version} is in {bundle.folder}")


Model = Annotated[str, typer.Argument(metavar="MODEL", help="Name or folder of the model.")]

NewBundle = Annotated[
    Path, typer.Option("--output", "-o", metavar="DIR", help="Folder of the new bundle.")
]


def _show_bundle(run, bundle, what: str) -> None:
    run.record["outputs"] = {"bundle": str(bundle.folder)}
    run.record["hash"] = bundle.hash
    run.show(f"{bundle.name} {bundle.version} with {what} is in {bundle.folder}")


@app.command("screen")
def screen(
    model: Model,
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DATASET",
            help="Examinations like those that it was trained on, as 'train check' reads them.",
        ),
    ],
    output: NewBundle,
    as_json: Json = False,
) -> None:
    """Fit a synthesis model's screen, which tells users of images that it does not know."""
    with session("train screen", as_json) as run:
        from MRISynthLib.bundles import load_bundle
        from MRISynthLib.progress import Callbacks
        from MRISynthLib.training.datasets import open_dataset
        from MRISynthLib.training.screening import fit_screen

        from .progress_display import ProgressDisplay

        dataset = open_dataset(folder)
        with ProgressDisplay(run.console) as display:
            fitted = fit_screen(
                load_bundle(model), dataset.cases, output, Callbacks(on_progress=display)
            )
        run.record["screen"] = fitted.metadata["screen"]
        _show_bundle(run, fitted, "its screen")


@app.command("carrying")
def carrying(
    model: Model,
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DATASET",
            help="Patients with T1w, T2w and more, as 'train check' reads them: neither those that "
            "it learned from nor those that it will be measured on.",
        ),
    ],
    output: NewBundle,
    as_json: Json = False,
) -> None:
    """Find how strictly a synthesis model best keeps to the input most like the wanted image."""
    with session("train carrying", as_json) as run:
        from MRISynthLib.bundles import load_bundle
        from MRISynthLib.evaluation.folders import FolderPatients
        from MRISynthLib.progress import Callbacks
        from MRISynthLib.training.carrying import fit_carrying

        from .progress_display import ProgressDisplay

        bundle = load_bundle(model, task="synthesis")
        with ProgressDisplay(run.console) as display:
            fitted = fit_carrying(
                bundle, FolderPatients(folder), output, Callbacks(on_progress=display)
            )
        run.record["carrying"] = fitted.metadata["carrying"]
        sharpness = fitted.metadata["carrying"]["sharpness"]
        _show_bundle(run, fitted, f"a sharpness of {sharpness:g}")


@app.command("thresholds")
def thresholds(
    model: Model,
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DATASET",
            help="Patients with contours, as 'train check' reads them: neither those that it "
            "learned from nor those that it will be measured on.",
        ),
    ],
    output: NewBundle,
    as_json: Json = False,
) -> None:
    """Find from which probability a segmentation model best draws each structure."""
    with session("train thresholds", as_json) as run:
        from MRISynthLib.bundles import load_bundle
        from MRISynthLib.evaluation.folders import FolderPatients
        from MRISynthLib.progress import Callbacks
        from MRISynthSegmentLib.thresholds import fit_thresholds

        from .progress_display import ProgressDisplay

        bundle = load_bundle(model, task="segmentation")
        with ProgressDisplay(run.console) as display:
            fitted = fit_thresholds(
                bundle, FolderPatients(folder), output, Callbacks(on_progress=display)
            )
        run.record["thresholds"] = fitted.metadata["thresholds"]
        found = ", ".join(f"{name} {cut:g}" for name, cut in fitted.cuts.items())
        run.show(f"From one half to: {found or 'nothing else'}")
        _show_bundle(run, fitted, "these thresholds")


@app.command("figures")
def figures(
    task: Annotated[Task, typer.Argument(help="What the model is for.")],
    model: Model,
    output: NewBundle,
    measured: Annotated[
        list[str],
        typer.Option(
            "--figures",
            metavar="TITLE=JSON",
            help="What 'mrisynth evaluate' wrote. Give the option once for each file.",
        ),
    ],
    as_json: Json = False,
) -> None:
    """Put what was measured of a model since into its card, its weights being the same."""
    with session("train figures", as_json) as run:
        from MRISynthLib.bundles import load_bundle
        from MRISynthLib.training.export import with_figures

        bundle = load_bundle(model, task=task.value)
        found = dict(_figures(text) for text in measured)
        further = {}
        if task is Task.SEGMENTATION:
            from MRISynthSegmentLib.export_model import weak_structures

            further["weak_structures"] = weak_structures(found)
        _show_bundle(run, with_figures(bundle, found, output, further), "these figures")


@app.command("check")
def check(
    folder: Annotated[Path, typer.Argument(metavar="DATASET", help="Folder of the patients.")],
    kind: Annotated[
        str | None,
        typer.Option(
            metavar="KIND", help="Its layout, if it is not to be found out.", show_default=False
        ),
    ] = None,
    split: Annotated[
        Path | None,
        typer.Option(
            metavar="JSON",
            help="Also part the patients into training, validation and test, and write that here.",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the split.")] = 0,
    as_json: Json = False,
) -> None:
    """Read a dataset (a cohort, Foshan NPC, HNTS-MRG, HaN-Seg, SegRap) and say what is wrong."""
    with session("train check", as_json) as run:
        from MRISynthLib.progress import Callbacks
        from MRISynthLib.training.configuration import SHARES
        from MRISynthLib.training.datasets import open_dataset
        from MRISynthLib.training.datasets import split as part

        from .progress_display import ProgressDisplay

        dataset = open_dataset(folder, kind)
        with ProgressDisplay(run.console) as display:
            findings = dataset.check(Callbacks(on_progress=display))
        sound = dataset.sound(findings)
        patients = sorted({case.patient for case in sound})
        run.record["dataset"] = {
            "kind": dataset.kind,
            "cases": len(dataset.cases),
            "usable cases": len(sound),
            "patients": len(patients),
            "sequences": sorted({name for case in sound for name in case.images}),
            "structures": sorted({name for case in sound for name in case.labels}),
            "notes": list(dataset.notes),
            "findings": [str(finding) for finding in findings],
        }
        if split is not None:
            chosen = part(sound, SHARES, seed)
            chosen.write(split)
            run.record["outputs"] = {"split": str(split)}
        run.show(
            f"{dataset.kind}: {len(sound)} of {len(dataset.cases)} cases can be used, of "
            f"{len(patients)} patients, with "
            f"{', '.join(run.record['dataset']['sequences']) or 'no image'}"
        )
        for line in (*dataset.notes, *run.record["dataset"]["findings"]):
            run.show(escape(f"- {line}"))


def _train(
    run: Session,
    train: Callable[..., Path],
    configs: list[Path],
    output: Path,
    resume: bool,
    overrides: list[str] | None,
) -> None:
    from MRISynthLib.training.distributed import started_first

    for config in configs:
        require_file(config, "a YAML or JSON file with the settings")
    folder = train(configs, output, resume, run.say, overrides or ())
    if started_first():
        run.show(f"The run is in {folder}")


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
        record = json.loads(Path(file).read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{file} is not JSON; give what 'mrisynth evaluate' wrote.") from error
    if not isinstance(record, dict) or not isinstance(record.get("figures"), dict):
        raise InputError(f"{file} holds no figures; give what 'mrisynth evaluate' wrote.")
    return title, record
