"""``mrisynth segment``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .options import Device, Inputs, Json, Model, Output, Register, SegmentationFormat
from .session import Session, session

if TYPE_CHECKING:
    from MRISynthLib.bundles import Bundle
    from MRISynthLib.io.dicom_source import DicomSource
    from MRISynthLib.volume import Volume
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
            "it, all that the model finds well.",
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
    clean: Annotated[
        bool,
        typer.Option(
            "--clean/--no-clean",
            help="Leave out what anatomy does not allow (specks, stray parts, tumour far from the "
            "nasopharynx or below one millilitre), or keep all that the model finds.",
        ),
    ] = True,
    flips: Annotated[
        bool,
        typer.Option(
            "--flips/--no-flips",
            help="Look at each slice mirrored as well, which is surer, or save that time.",
        ),
    ] = True,
    probabilities: Annotated[
        bool,
        typer.Option(
            "--probabilities",
            help="Write DIR/STRUCTURE_probability.nii.gz as well, 0 to 1, before the clean-up.",
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Delineate tumour and organs at risk on real or synthetic images.

    Writes DIR/segmentation.seg.nrrd (names, colours and terminology for 3D Slicer), with
    --format nii.gz a label map with one mask a structure, or with --format rtstruct or dicom-seg
    DIR/segmentation.dcm. Says of each structure how doubtful it is: 0 % is sure.

    Example: mrisynth segment --input T1w=t1.nii.gz --input T2w=t2.nii.gz --output results
    """
    with session("segment", as_json) as run:
        from MRISynthLib.bundles import load_bundle
        from MRISynthLib.io.output import staged_folder
        from MRISynthLib.worker import WorkerClient
        from MRISynthSegmentLib.task import probabilities_from, segmentation_from

        from .cli_synthesize import refuse_overwriting
        from .dicom_outputs import CONTOURS_NEED_IT, check_is_dicom, series_behind
        from .inputs import parse_inputs, read_inputs

        parsed = parse_inputs(inputs or [])
        is_dicom = segmentation_format.is_dicom
        if is_dicom:
            check_is_dicom(parsed[0][1], CONTOURS_NEED_IT)
        bundle = load_bundle(model, "segmentation")
        names = wanted_structures(structures, bundle)
        check_inputs_known([name for name, _ in parsed if name], bundle)
        file = file_name(segmentation_format)
        images = {name: f"{name}_probability.nii.gz" for name in names if probabilities}
        refuse_overwriting(output, [file, *images.values()], [path for _, path in parsed])
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
                "clean": clean,
                "flips": flips,
                "probabilities": probabilities,
            }
            job = client.submit("segmentation", parameters, volumes, slices=False)
            result = run.follow(client, job)
            segmentation = segmentation_from(result, volumes[0])
            with run.timed("write"):
                written = write_segmentation(
                    run, segmentation, stage / file, series, segmentation_format
                )
                written += _write_images(probabilities_from(result), images, stage)
            run.check()
        run.record["outputs"] = {NAME: str(output / file)}
        run.record["files"] = [str(output / path.name) for path in written]
        run.record["structures"] = volumes_ml(segmentation)
        run.record["doubt"] = {key: round(value, 3) for key, value in segmentation.doubt.items()}
        run.record["model"] = result.info["bundle"]
        run.show(structure_table(segmentation, f"Written to {output / file}"))


def file_name(segmentation_format: SegmentationFormat) -> str:
    """Name of the file with the structures."""
    return f"{NAME}.{'dcm' if segmentation_format.is_dicom else segmentation_format}"


def write_segmentation(
    run: Session,
    segmentation: Segmentation,
    path: Path,
    series: Sequence[DicomSource],
    segmentation_format: SegmentationFormat,
) -> tuple[Path, ...]:
    """The files written; DICOM refers to the first of ``series``."""
    from MRISynthSegmentLib.io import save_segmentation

    from .dicom_outputs import write_contours

    if not series:
        return save_segmentation(segmentation, path)
    write_contours(run, segmentation, path, series[0], segmentation_format)
    return (path,)


def _write_images(
    images: Mapping[str, Volume], files: Mapping[str, str], folder: Path
) -> tuple[Path, ...]:
    from MRISynthLib import io

    for name, image in images.items():
        io.save(image, folder / files[name])
    return tuple(folder / files[name] for name in images)


def wanted_structures(text: str, bundle: Bundle) -> list[str]:
    """TG-263 names from a list with commas; all that the model finds well if it is empty.

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
    everything = [name for name in bundle.structures if name not in bundle.weak]
    return list(dict.fromkeys(names)) or everything


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

    from MRISynthSegmentLib.panel import doubt_in_words, volume_in_words
    from MRISynthSegmentLib.structures import STRUCTURES

    table = Table(title=title, title_justify="left", box=None)
    table.add_column("structure")
    table.add_column("what it is")
    table.add_column("volume", justify="right")
    table.add_column("doubt")
    for name in segmentation.masks:
        label = STRUCTURES[name].label if name in STRUCTURES else ""
        doubt = segmentation.doubt.get(name)
        table.add_row(
            name,
            label,
            volume_in_words(segmentation.volume_ml(name)),
            "" if doubt is None else doubt_in_words(doubt),
        )
    return table
