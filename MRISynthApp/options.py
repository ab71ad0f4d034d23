"""Options that several commands have."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class ImageFormat(StrEnum):
    """File formats of images."""

    NIFTI = "nii.gz"
    NRRD = "nrrd"


class SegmentationFormat(StrEnum):
    """File formats of segmentations."""

    SEG_NRRD = "seg.nrrd"
    NIFTI = "nii.gz"


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
