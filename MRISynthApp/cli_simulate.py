"""``mrisynth simulate``: simulated patients as folders, or as one picture."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from .options import Atlas, AtlasMapping, Benchmark, BenchmarkSets, Json, Mapping
from .session import STOPPED as NOTHING_WRITTEN
from .session import Session, session

if TYPE_CHECKING:
    from MRISynthLib.progress import Callbacks
    from MRISynthLib.simulation.writing import CaseRequest

STOPPED = "Stopped; finished patients are kept, and the same command goes on from there."


class Layout(StrEnum):
    """How images are written."""

    NIFTI = "nii.gz"
    DICOM = "dicom"


def simulate(
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR",
            help="Folder for the patients; 'cohort' if nothing is said.",
            show_default=False,
        ),
    ] = None,
    cases: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Number of simulated patients; 1 if nothing is said. With --benchmark, of each "
            "set, where the benchmark has 4.",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="The same seed gives the same patients; 0 if nothing is said.",
            show_default=False,
        ),
    ] = None,
    sequences: Annotated[
        str, typer.Option(metavar="NAMES", help="Sequences, with commas between them.")
    ] = "T1w,T2w,CE-T1w,STIR",
    hospital: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="The virtual hospital that examines them; 'list' shows all. Without it, each "
            "patient goes to one of those that models are trained on.",
            show_default=False,
        ),
    ] = None,
    anatomy: Annotated[
        str,
        typer.Option(
            metavar="procedural|DIR",
            help="Heads from numbers alone, or from a folder of labelled heads (NIfTI).",
        ),
    ] = "procedural",
    mapping: Mapping = None,
    atlas: Atlas = None,
    atlas_mapping: AtlasMapping = None,
    benchmark: Benchmark = None,
    sets: BenchmarkSets = None,
    layout: Annotated[
        Layout | None,
        typer.Option(
            "--format",
            help="How images are written; nii.gz if nothing is said.",
            show_default=False,
        ),
    ] = None,
    jobs: Annotated[
        int,
        typer.Option(
            min=1,
            help="Patients made at the same time; with --gallery, heads to which the atlas is "
            "joined at the same time.",
        ),
    ] = 1,
    gallery: Annotated[
        Path | None,
        typer.Option(
            metavar="PNG",
            help="Instead of folders, one picture of the patients at four levels.",
            show_default=False,
        ),
    ] = None,
    beside: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[NAME=]PATH",
            help="With --gallery: a real scan to show beside them, as --input of "
            "'synthesize'. Give the option once for each scan.",
            show_default=False,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Make simulated patients: images, true structures and how they were acquired."""
    with session("simulate", as_json, STOPPED if gallery is None else NOTHING_WRITTEN) as run:
        from MRISynthLib.errors import InputError
        from MRISynthLib.progress import Callbacks
        from MRISynthLib.simulation import benchmark_requests, cohort_requests
        from MRISynthLib.simulation import simulate as make

        from .options import benchmark_patients, head_source
        from .progress_display import ProgressDisplay

        if hospital == "list":
            _list_hospitals(run)
            return
        names = tuple(dict.fromkeys(_canonical(text) for text in sequences.split(",")))
        if beside and gallery is None:
            raise InputError("--beside shows real scans in a gallery; give --gallery FILE.png too.")
        if gallery is not None:
            _check_gallery(gallery, output=output, format=layout)
        output, layout = output or Path("cohort"), layout or Layout.NIFTI
        folder = None if anatomy == "procedural" else Path(anatomy)
        if benchmark is not None or sets:
            patients = benchmark_patients(
                run,
                cases,
                benchmark,
                sets,
                seed=seed,
                hospital=hospital,
                anatomy=folder,
                mapping=mapping,
                atlas=atlas,
                atlas_mapping=atlas_mapping,
            )
            requests = benchmark_requests(patients.sets, names, layout.value, patients.of_each)
        else:
            heads = head_source(folder, mapping, atlas, atlas_mapping)
            requests = cohort_requests(cases or 1, seed or 0, names, hospital, heads, layout.value)
        with ProgressDisplay(run.console) as display:
            callbacks = Callbacks(on_progress=display)
            if gallery is not None:
                _gallery(run, gallery, beside or [], names, requests, jobs, callbacks)
                return
            folders = make(requests, output, jobs, callbacks)
        run.record["outputs"] = {folder.name: str(folder) for folder in folders}
        run.show(f"{len(folders)} simulated patient(s) are in {output}")


def _list_hospitals(run: Session) -> None:
    from MRISynthLib.simulation.hospitals import HOSPITALS

    run.record["hospitals"] = [place.name for place in HOSPITALS]
    run.show("\n".join(place.name for place in HOSPITALS))


def _check_gallery(path: Path, **folder_options: object) -> None:
    """Raise InputError if the picture cannot be written, or what is about folders was given."""
    from MRISynthLib.errors import InputError
    from MRISynthLib.io.output import check_file

    for name, value in folder_options.items():
        if value is not None:
            raise InputError(
                f"--gallery makes one picture and no folders; leave out --{name} or --gallery."
            )
    check_file(path)


def _gallery(
    run: Session,
    path: Path,
    beside: list[str],
    names: tuple[str, ...],
    requests: list[CaseRequest],
    jobs: int,
    callbacks: Callbacks,
) -> None:
    from MRISynthLib.simulation.writing import join_atlas, make_case

    from .gallery import draw_gallery
    from .inputs import parse_inputs, read_inputs

    real = []
    if beside:  # may be of several people
        read = read_inputs(parse_inputs(beside), run, one_patient=False)
        real = [given.volume for given in read]
    patients = []
    with TemporaryDirectory(prefix="mrisynth-") as cache:  # by which processes share their work
        kept = [replace(each, heads=each.heads.kept_in(Path(cache))) for each in requests]
        join_atlas(kept, jobs, callbacks)
        for number, request in enumerate(kept):
            callbacks.progress("simulate", number, len(kept))
            patients.append(make_case(request, callbacks))
    draw_gallery(path, patients, names, real)
    run.record["outputs"] = {"gallery": str(path)}
    run.show(f"The gallery is {path}")


def _canonical(text: str) -> str:
    from MRISynthLib.errors import InputError
    from MRISynthLib.sequences import canonical_name, nearest_names

    name = canonical_name(text)
    if name is None:
        near = ", ".join(nearest_names(text))
        raise InputError(f"'{text}' in --sequences is no sequence; the nearest are {near}.")
    return name
