"""Options that several commands have."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from MRISynthLib.evaluation.patients import Patients
    from MRISynthLib.simulation import HeadSource

    from .session import Session


class ImageFormat(StrEnum):
    """File formats of images."""

    NIFTI = "nii.gz"
    NRRD = "nrrd"
    DICOM = "dicom"


class SegmentationFormat(StrEnum):
    """File formats of segmentations."""

    SEG_NRRD = "seg.nrrd"
    NIFTI = "nii.gz"
    RTSTRUCT = "rtstruct"
    DICOM_SEG = "dicom-seg"

    @property
    def is_dicom(self) -> bool:
        """Whether it refers to the DICOM series that was segmented."""
        return self in (SegmentationFormat.RTSTRUCT, SegmentationFormat.DICOM_SEG)


class ExportFormat(StrEnum):
    """Kinds of DICOM objects."""

    RTSTRUCT = "rtstruct"
    DICOM_SEG = "dicom-seg"
    DICOM_MR = "dicom-mr"


Inputs = Annotated[
    list[str] | None,
    typer.Option(
        "--input",
        "-i",
        metavar="[NAME=]PATH",
        help="An image that the patient has: a NIfTI or NRRD file, a DICOM file or folder. "
        "NAME is its sequence (T1w, T2w, CE-T1w, STIR ...); without it, it is recognised. "
        "Give the option once for each image; the first is the reference, whose grid the "
        "results have.",
        show_default=False,
    ),
]
Output = Annotated[
    Path,
    typer.Option("--output", "-o", metavar="DIR", help="Folder for the results; made if needed."),
]
Device = Annotated[
    str,
    typer.Option(
        "--device", metavar="DEVICE", help="auto, cpu, cuda or mps; auto takes a GPU if any."
    ),
]
Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="NAME_OR_FOLDER",
        help="The model; without it, the one that MRISynth ships.",
        show_default=False,
    ),
]
Json = Annotated[
    bool,
    typer.Option("--json", help="Print exactly one JSON object on standard output."),
]
Register = Annotated[
    bool,
    typer.Option(
        "--register/--no-register",
        help="Align the inputs to the first one, or trust that they are aligned.",
    ),
]
Match = Annotated[
    bool | None,
    typer.Option(
        "--match/--no-match",
        help="Bring the inputs to the brightness of the images that the model was trained on, or "
        "leave them; without it, what was measured to be better for the model.",
        show_default=False,
    ),
]
Mapping = Annotated[
    Path | None,
    typer.Option(
        metavar="JSON",
        help="What the numbers in the labelled heads mean; by default the folder's mapping.json "
        "(see Resources/LabelMaps).",
        show_default=False,
    ),
]
Atlas = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="A second label map (head and neck) that fills what the labelled heads do not tell "
        "apart: muscles, glands, vessels.",
        show_default=False,
    ),
]
AtlasMapping = Annotated[
    Path | None,
    typer.Option(
        metavar="JSON",
        help="What the numbers in that atlas mean; by default its folder's mapping.json.",
        show_default=False,
    ),
]
Benchmark = Annotated[
    str | None,
    typer.Option(
        metavar="VERSION",
        help="The fixed test sets instead of patients by seed; the version is v1.",
        show_default=False,
    ),
]
BenchmarkSets = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME",
        help="Only this set of the benchmark: the name of its hospital, as 'mrisynth simulate "
        "--hospital list' shows them. Several have commas between them, or the option once for "
        "each.",
        show_default=False,
    ),
]


def head_source(
    folder: Path | None,
    mapping: Path | None,
    atlas: Path | None,
    atlas_mapping: Path | None,
) -> HeadSource:
    """Where heads come from, of what was asked for on the command line.

    Raises
    ------
    InputError
        If an option has nothing to work on.
    """
    from MRISynthLib.errors import InputError
    from MRISynthLib.simulation import HeadSource

    if folder is None and (mapping is not None or atlas is not None):
        given = "--mapping" if mapping is not None else "--atlas"
        raise InputError(f"{given} is about labelled heads; name their folder too.")
    if atlas is None and atlas_mapping is not None:
        raise InputError("--atlas-mapping is about an atlas; give --atlas too.")
    return HeadSource(folder, mapping, atlas, atlas_mapping)


def benchmark_patients(
    run: Session,
    cases: int | None,
    benchmark: str | None,
    sets: list[str] | None,
    **others: object,
) -> Patients:
    """The patients of a benchmark or of the named sets; says so where they are not all of it.

    ``others`` are options about patients that are not fixed, by name.

    Raises
    ------
    InputError
        If the version is not given or a set unknown, or one of ``others`` was given.
    """
    from MRISynthLib.errors import InputError
    from MRISynthLib.evaluation.patients import Patients
    from MRISynthLib.simulation.benchmark import VERSION

    if benchmark is None:
        raise InputError(f"--set names a part of the benchmark; give --benchmark {VERSION} too.")
    for name, value in others.items():
        if value is not None:
            raise InputError(
                f"The benchmark's patients are fixed; leave out --{name.replace('_', '-')} or "
                "--benchmark."
            )
    names = [name.strip() for text in sets or () for name in text.split(",")]
    chosen = tuple(dict.fromkeys(name for name in names if name))
    patients = Patients(cases, benchmark=benchmark, sets=chosen)
    if not patients.whole_benchmark:
        run.warn(
            f"This is not benchmark {patients.benchmark} but a part or a variant of it; do not "
            "quote it as the benchmark."
        )
    return patients
