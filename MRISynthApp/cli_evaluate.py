"""``mrisynth evaluate``: how good a model is, beside what is simpler."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .cli_evaluate_merge import merge
from .options import (
    Atlas,
    AtlasMapping,
    Benchmark,
    BenchmarkSets,
    Device,
    Inputs,
    Json,
    Mapping,
    Match,
    Model,
    Register,
    benchmark_patients,
    head_source,
)
from .session import Session, session

if TYPE_CHECKING:
    from MRISynthLib.evaluation.folders import FolderPatients
    from MRISynthLib.evaluation.patients import Patients
    from MRISynthLib.evaluation.results import Evaluation
    from MRISynthLib.volume import Volume

COHORT, BENCHMARK = "cohort", "benchmark-"
"""Words for --data: patients by seed, and what stands before a benchmark's version."""

PICTURED = 3
"""Of so many patients pictures are drawn."""

app = typer.Typer(no_args_is_help=True, help="Measure a model on patients it was not trained on.")
app.command("merge")(merge)

Cases = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Number of simulated patients, with a benchmark of each set; 4 if nothing is said. Of "
        "a folder the first so many.",
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
        "--output", "-o", metavar="DIR", help="Folder for the figures.", show_default=False
    ),
]
Models = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        metavar="NAME_OR_FOLDER",
        help="The model; without it, the one that MRISynth ships. Give it several times to "
        "measure models side by side; the first is tested against the others.",
        show_default=False,
    ),
]
Data = Annotated[
    str | None,
    typer.Option(
        "--data",
        metavar="WHAT",
        help="On whom: 'benchmark-v1' as --benchmark v1, 'cohort' for simulated patients by seed "
        "(as without it), or the folder of a written cohort or a public dataset.",
        show_default=False,
    ),
]
Tasks = Annotated[
    list[str] | None,
    typer.Option(
        "--tasks",
        metavar="TASKS",
        help="main: five usual ones (as without it); pairs: T1w + T2w to every other sequence; "
        "single: each of five sequences to the others; more: ever more inputs for CE-T1w; all; or "
        "one such as 'T1w+T2w->CE-T1w'. Several have commas between them.",
        show_default=False,
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
    model: Models = None,
    data: Data = None,
    tasks: Tasks = None,
    cases: Cases = None,
    seed: Seed = None,
    output: Output = None,
    ceiling: Annotated[
        bool,
        typer.Option("--ceiling", help="Also measure the truth without its noise and motion."),
    ] = False,
    robustness: Annotated[
        bool,
        typer.Option(
            "--robustness",
            help="Also measure with inputs made worse: noise, bias field, motion, missing slices, "
            "misregistration.",
        ),
    ] = False,
    pictures: Annotated[
        bool,
        typer.Option(
            "--pictures",
            help="Also draw slices of some patients beside the truth, with their differences.",
        ),
    ] = False,
    register: Register = True,
    match: Match = None,
    label_maps: LabelMaps = None,
    mapping: Mapping = None,
    atlas: Atlas = None,
    atlas_mapping: AtlasMapping = None,
    benchmark: Benchmark = None,
    sets: BenchmarkSets = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """SSIM, PSNR and MAE in body and tumour, beside copying, linear regression and a remap."""
    with session("evaluate synthesis", as_json) as run:
        from MRISynthLib.bundles import load_bundle
        from MRISynthLib.errors import InputError
        from MRISynthLib.evaluation import Options
        from MRISynthLib.evaluation import evaluate_synthesis as evaluate
        from MRISynthLib.evaluation.tasks import parse_tasks

        if pictures and output is None:
            raise InputError("Pictures need a folder; give one with --output.")
        heads = (label_maps, mapping, atlas, atlas_mapping)
        patients = _chosen_patients(run, data, cases, seed, heads, benchmark, sets)
        shown = PICTURED if pictures else 0
        options = Options(parse_tasks(tasks or ()), register, ceiling, robustness, shown, match)
        bundles = [load_bundle(name, "synthesis") for name in model or [None]]
        with _writable(output):
            found = evaluate(bundles, patients, options, device, report=run.say)
            if output is not None:
                write_evaluation(run, found, output)
        show_evaluation(run, found)


@app.command("segmentation")
def evaluate_segmentation(
    model: Model = None,
    synthesis_model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME_OR_FOLDER",
            help="The model that makes the synthetic images; without it, sets of images with one "
            "are left out.",
            show_default=False,
        ),
    ] = None,
    data: Data = None,
    inputs: Annotated[
        list[str] | None,
        typer.Option(
            "--inputs",
            metavar="SETS",
            help="From which images: main, as without it (T1w + T2w alone, with a synthetic and "
            "with the real CE-T1w); missing: two of these three; single: one of them; all; or a "
            "set such as 'T1w+synthetic T2w'. Several have commas between them.",
            show_default=False,
        ),
    ] = None,
    structures: Annotated[
        str,
        typer.Option(
            metavar="NAMES",
            help="Names with commas between them (GTVp,Brainstem); without it, all that the model "
            "knows.",
            show_default=False,
        ),
    ] = "",
    clicks: Annotated[
        bool,
        typer.Option(
            "--clicks",
            help="Also correct every structure by up to five simulated clicks; takes some minutes "
            "a patient.",
        ),
    ] = False,
    pictures: Annotated[
        bool,
        typer.Option(
            "--pictures", help="Also draw outlines, found and true, over images of some patients."
        ),
    ] = False,
    cases: Cases = None,
    seed: Seed = None,
    output: Output = None,
    register: Register = True,
    label_maps: LabelMaps = None,
    mapping: Mapping = None,
    atlas: Atlas = None,
    atlas_mapping: AtlasMapping = None,
    benchmark: Benchmark = None,
    sets: BenchmarkSets = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Dice, HD95, surface Dice and volume of every structure, from several sets of images."""
    with session("evaluate segmentation", as_json) as run:
        from MRISynthLib.bundles import load_bundle
        from MRISynthLib.errors import InputError
        from MRISynthSegmentLib.evaluation import Options
        from MRISynthSegmentLib.evaluation.inputs import parse_inputs

        from .cli_evaluate_segmentation import measure

        if pictures and output is None:
            raise InputError("Pictures need a folder; give one with --output.")
        heads = (label_maps, mapping, atlas, atlas_mapping)
        patients = _chosen_patients(run, data, cases, seed, heads, benchmark, sets)
        names = tuple(name.strip() for name in structures.split(",") if name.strip()) or None
        shown = PICTURED if pictures else 0
        options = Options(
            parse_inputs(inputs or ()), names, register=register, clicks=clicks, pictures=shown
        )
        bundle = load_bundle(model, "segmentation")
        synthesis = load_bundle(synthesis_model, "synthesis") if synthesis_model else None
        with _writable(output):
            measure(run, bundle, synthesis, patients, options, device, output)


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
    region: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=MASK",
            help="A part that is measured apart: a mask in the frame of the first input. Give it "
            "once for each.",
            show_default=False,
        ),
    ] = None,
    linear: Annotated[
        bool,
        typer.Option(
            "--linear", help="Also fit a linear regression on simulated patients; takes a minute."
        ),
    ] = False,
    model: Models = None,
    output: Output = None,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Real images: make the sequence of --truth from the inputs and compare."""
    with session("evaluate pair", as_json) as run:
        from MRISynthLib.bundles import load_bundle
        from MRISynthLib.errors import InputError
        from MRISynthLib.evaluation import evaluate_pair as evaluate
        from MRISynthLib.evaluation.real import Pair

        from .inputs import parse_inputs, read_inputs

        if not truth:
            raise InputError("There is nothing to compare with; give --truth NAME=FILE_OR_FOLDER.")
        parsed = parse_inputs([*(inputs or []), truth])
        if len(parsed) < 2:
            raise InputError("There is no input; give at least one with --input.")
        regions = _read_regions(region or [])
        bundles = [load_bundle(name, "synthesis") for name in model or [None]]
        *given, wanted = (item.volume for item in read_inputs(parsed, run))
        pair = Pair(tuple(given), wanted, regions, prompt)
        _show(run, evaluate(bundles, pair, output, device, linear, report=run.say))


def _read_regions(texts: list[str]) -> dict[str, Volume]:
    """Name -> mask of each ``NAME=FILE``."""
    from MRISynthLib.errors import InputError
    from MRISynthLib.io import load_one

    found = {}
    for text in texts:
        name, _, path = text.partition("=")
        if not name.strip() or not path.strip():
            raise InputError(f"--region {text} names no mask; write NAME=FILE.")
        found[name.strip()] = load_one(Path(path.strip()).expanduser())
    return found


def _chosen_patients(run, data, cases, seed, heads, benchmark, sets) -> Patients | FolderPatients:
    """On whom, of what --data and the older options say."""
    from MRISynthLib.errors import InputError
    from MRISynthLib.evaluation.folders import FolderPatients

    if data is None or data == COHORT:
        return _patients(run, cases, seed, *heads, benchmark, sets)
    if benchmark is not None:
        raise InputError("--data and --benchmark both say on whom to measure; give one of them.")
    if data.startswith(BENCHMARK):
        return _patients(run, cases, seed, *heads, data.removeprefix(BENCHMARK), sets)
    fixed = {"seed": seed, "label-maps": heads[0], "atlas": heads[2], "set": sets}
    for name, value in fixed.items():
        if value:
            raise InputError(f"--{name} is about simulated patients; leave it out, or --data.")
    return FolderPatients(Path(data).expanduser(), cases)


def _writable(output: Path | None) -> contextlib.AbstractContextManager:
    """Says at once, not after an hour, that a folder cannot be written."""
    from MRISynthLib.io.output import writable_folder

    return contextlib.nullcontext() if output is None else writable_folder(output)


def write_evaluation(run: Session, found: Evaluation, output: Path) -> None:
    """Figures, tables, plots and pictures: the whole folder or nothing."""
    from MRISynthLib.evaluation import write_results
    from MRISynthLib.io.output import staged_folder

    from .evaluation_pictures import draw_pictures, draw_plots

    with staged_folder(output) as stage:
        write_results(found, stage)
        draw_pictures(found.pictures, stage)
        missing = draw_plots(found, stage)
        if missing:
            run.warn(missing)
    run.record["outputs"]["folder"] = str(output)


def show_evaluation(run: Session, found: Evaluation) -> None:
    """A table for each task; everything with ``--json``."""
    from MRISynthLib.evaluation.tables import means_table, task_table, tests_table

    record = found.record()
    run.record |= {"patients": found.about, "figures": record["figures"]}
    run.record["details"] = details = record["details"]
    tables = [means_table(name, means) for name, means in details["means over tasks"].items()]
    for task in found.tasks:
        tables.append(task_table(found, task, spread=False))
        tests = tests_table(details["tests"], task)
        tables += [tests] if tests is not None else []
    for each in tables:
        run.show_table(each)


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
