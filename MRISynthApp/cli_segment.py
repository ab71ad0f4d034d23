"""``mrisynth segment``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from .options import Device, Inputs, Json, Model, Output, Register, SegmentationFormat
from .session import session

if TYPE_CHECKING:
    from MRISynthLib.bundles import Bundle
    from MRISynthSegmentLib.segmentation import Segmentation

NAME = "segmentation"
"""Name of the file without its suffix."""


def segment(
    output: Output,
    inputs: Inputs = None,
    structures: Annotated[
        str,
        typer.Option(
            metavar="NAMES",
            help="TG-263 names with commas between them (GTVp,Brainstem,Parotid_L); without "
            "it, all that the model knows.",
            show_default=False,
        ),
    ] = "",
    segmentation_format: Annotated[
        SegmentationFormat,
        typer.Option(
            "--format",
            help="seg.nrrd is Slicer's own, nii.gz a label map and masks; rtstruct and dicom-seg "
            "are DICOM on the series of the first input, which must be DICOM then.",
        ),
    ] = SegmentationFormat.SEG_NRRD,
    device: Device = "auto",
    model: Model = None,
    register: Register = True,
    as_json: Json = False,
) -> None:
    """Delineate tumour and organs at risk on real or synthetic images.

    Writes DIR/segmentation.seg.nrrd (names, colours and terminology for 3D Slicer), with
    --format nii.gz a label map with one mask a structure, or with --format rtstruct or dicom-seg
    DIR/segmentation.dcm.

    Example: mrisynth segment --input T1w=t1.nii.gz --input T2w=t2.nii.gz --output results
    """
    with session("segment", as_json) as run:
        from MRISynthLib.bundles import load_bundle
        from MRISynthLib.io.output import staged_folder
        from MRISynthLib.worker import WorkerClient
        from MRISynthSegmentLib.io import save_segmentation
        from MRISynthSegmentLib.task import segmentation_from

        from .cli_synthesize import refuse_overwriting
        from .dicom_outputs import CONTOURS_NEED_IT, check_is_dicom, series_behind, write_contours
        from .inputs import parse_inputs, read_inputs

        parsed = parse_inputs(inputs or [])
        is_dicom = segmentation_format.is_dicom
        if is_dicom:
            check_is_dicom(parsed[0][1], CONTOURS_NEED_IT)
        bundle = load_bundle(model, "segmentation")
        names = wanted_structures(structures, bundle)
        check_inputs_known([name for name, _ in parsed if name], bundle)
        file = f"{NAME}.{'dcm' if is_dicom else segmentation_format}"
        refuse_overwriting(output, [file], [path for _, path in parsed])
        with WorkerClient(device) as client, staged_folder(output) as stage:
            client.start()
            with run.timed("load"):
                read = read_inputs(parsed, run)
                series = series_behind(run, read) if is_dicom else []
            check_inputs_known([item.volume.sequence for item in read], bundle)
            volumes = [item.volume for item in read]
            parameters = {
                "structures": names,
                "bundle": str(bundle.folder),
                "register": register,
            }
            job = client.submit("segmentation", parameters, volumes, slices=False)
            result = run.follow(client, job)
            segmentation = segmentation_from(result, volumes[0])
            with run.timed("write"):
                if series:
                    write_contours(run, segmentation, stage / file, series[0], segmentation_format)
                    written = (stage / file,)
                else:
                    written = save_segmentation(segmentation, stage / file)
            run.check()
        run.record["outputs"] = {NAME: str(output / file)}
        run.record["files"] = [str(output / path.name) for path in written]
        run.record["structures"] = volumes_ml(segmentation)
        run.record["model"] = result.info["bundle"]
        run.show(structure_table(segmentation, f"Written to {output / file}"))


def wanted_structures(text: str, bundle: Bundle) -> list[str]:
    """TG-263 names from a list with commas; all of the model's if it is empty.

    Raises
    ------
    InputError
        If the model knows no structure of that name; the message has the nearest.
    """
    import difflib

    from MRISynthLib.errors import InputError

    known = {name.casefold(): name for name in bundle.structures}
    names = []
    for word in filter(None, (part.strip() for part in text.split(","))):
        if word.casefold() not in known:
            near = difflib.get_close_matches(word.casefold(), known, n=3, cutoff=0.4)
            nearest = ", ".join(known[name] for name in near) or ", ".join(bundle.structures)
            raise InputError(
                f"The model {bundle.name} has no structure '{word}'; the nearest: {nearest}."
            )
        names.append(known[word.casefold()])
    return list(dict.fromkeys(names)) or list(bundle.structures)


def check_inputs_known(given: list[str], bundle: Bundle) -> None:
    """Refuse inputs of sequences that the model was not made for."""
    from MRISynthLib.errors import InputError

    for name in given:
        if name not in bundle.sequences_in:
            raise InputError(
                f"The model {bundle.name} cannot use {name} as an input; it takes "
                f"{', '.join(bundle.sequences_in)}."
            )


def volumes_ml(segmentation: Segmentation) -> dict[str, float]:
    """Structure -> millilitres, 0 for one that was not found."""
    return {name: round(segmentation.volume_ml(name), 3) for name in segmentation.masks}


def structure_table(segmentation: Segmentation, title: str) -> Any:
    """The structures with their volumes, for the terminal."""
    from rich.table import Table

    from MRISynthSegmentLib.structures import STRUCTURES

    table = Table(title=title, title_justify="left", box=None)
    table.add_column("structure")
    table.add_column("what it is")
    table.add_column("ml", justify="right")
    for name, millilitres in volumes_ml(segmentation).items():
        label = STRUCTURES[name].label if name in STRUCTURES else ""
        table.add_row(name, label, f"{millilitres:.1f}" if millilitres else "not found")
    return table
