"""``mrisynth synthesize``."""

from __future__ import annotations

import datetime
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .options import Device, ImageFormat, Inputs, Json, Match, Model, Output, Register
from .session import Session, session

if TYPE_CHECKING:
    from MRISynthLib.bundles import Bundle
    from MRISynthLib.io.dicom_source import DicomSource
    from MRISynthLib.prompts import Contrast
    from MRISynthLib.worker import TaskResult

    from .inputs import Input

NEEDS_DICOM = (
    "a synthetic series takes patient, study and frame of reference from the DICOM series of the "
    "first input; give that, or write nii.gz, which 'mrisynth export --format dicom-mr' makes "
    "DICOM of"
)


def synthesize(
    output: Output,
    inputs: Inputs = None,
    target: Annotated[
        list[str] | None,
        typer.Option(
            "--target",
            "-t",
            metavar="NAME",
            help="A sequence to make (CE-T1w, STIR ...). Give the option once for each.",
            show_default=False,
        ),
    ] = None,
    prompt: Annotated[
        str,
        typer.Option(
            metavar="TEXT",
            help="How the target is to look, in words: 'fat-suppressed post-gadolinium T1, 3T, "
            "TR 620 TE 10'. It refines every --target; without one it says what to make.",
            show_default=False,
        ),
    ] = "",
    image_format: Annotated[
        ImageFormat,
        typer.Option(
            "--format",
            help="File format of the images; dicom makes each a series in the study of the first "
            "input, which must be DICOM then.",
        ),
    ] = ImageFormat.NIFTI,
    device: Device = "auto",
    model: Model = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same images.")] = 0,
    register: Register = True,
    match: Match = None,
    as_json: Json = False,
) -> None:
    """Make missing sequences from those at hand.

    Writes DIR/TARGET.FORMAT, DIR/TARGET_uncertainty.FORMAT (folders of those names for dicom) and
    DIR/provenance.json, or, if anything goes wrong, nothing.

    Example: mrisynth synthesize --input T1w=t1.nii.gz --input T2w=dicom/t2 --target CE-T1w
    --output results
    """
    with session("synthesize", as_json) as run:
        from MRISynthLib.bundles import load_bundle
        from MRISynthLib.io.output import staged_folder
        from MRISynthLib.synthesis.conditioning import understood_as
        from MRISynthLib.worker import WorkerClient

        from .dicom_outputs import check_is_dicom, refuse_mixing, series_behind
        from .inputs import parse_inputs, read_inputs

        parsed = parse_inputs(inputs or [])
        is_dicom = image_format is ImageFormat.DICOM
        if is_dicom:
            check_is_dicom(parsed[0][1], NEEDS_DICOM)
        contrasts = wanted_contrasts(target or [], prompt)
        bundle = load_bundle(model, "synthesis")
        check_possible(contrasts, bundle, [name for name, _ in parsed if name])
        files = {
            name: Path(name if is_dicom else f"{name}.{image_format}")
            for contrast in contrasts
            for name in (contrast.sequence, f"{contrast.sequence}_uncertainty")
        }
        if is_dicom:
            refuse_mixing(output, files)
        files["provenance"] = Path("provenance.json")
        refuse_overwriting(output, files.values(), [path for _, path in parsed])
        with WorkerClient(device) as client, staged_folder(output) as stage:
            client.start()
            with run.timed("load"):
                read = read_inputs(parsed, run)
                series = series_behind(run, read) if is_dicom else []
            check_possible(contrasts, bundle, [item.volume.sequence for item in read])
            understood = {
                c.sequence: understood_as(c, [item.volume for item in read]) for c in contrasts
            }
            for text in understood.values():
                run.say(f"Understood as {text}")
            job = client.submit(
                "synthesis",
                {
                    "targets": [{"sequence": c.sequence, "prompt": prompt} for c in contrasts],
                    "bundle": str(bundle.folder),
                    "seed": seed,
                    "register": register,
                    "match": match,
                },
                [item.volume for item in read],
                slices=False,
            )
            result = run.follow(client, job)
            with run.timed("write"):
                if series:
                    write_series(result, stage, series)
                else:
                    write_images(result, stage, image_format)
                record = provenance_record(read, understood, bundle, result, run, seed)
                write_json(record, stage / files["provenance"])
            run.check()
        run.record["outputs"] = {name: str(output / file) for name, file in files.items()}
        run.record["targets"] = [
            {"sequence": name, "prompt": prompt, "understood": text}
            for name, text in understood.items()
        ]
        run.record["model"] = result.info["bundle"]
        run.record["registrations"] = result.info["registrations"]
        run.show(_summary(run, output))


def wanted_contrasts(targets: Sequence[str], prompt: str) -> list[Contrast]:
    """What the targets and the prompt mean together.

    Raises
    ------
    InputError
        If a target is no sequence, if the prompt means nothing, or if there is neither.
    """
    from MRISynthLib.errors import InputError
    from MRISynthLib.prompts import understand
    from MRISynthLib.sequences import canonical_name, nearest_names

    names = []
    for text in targets:
        name = canonical_name(text)
        if name is None:
            near = ", ".join(nearest_names(text))
            raise InputError(f"The target '{text}' is no sequence; the nearest are {near}.")
        names.append(name)
    if not names and not prompt.strip():
        raise InputError("There is nothing to make; give --target NAME or --prompt TEXT.")
    contrasts = [understand(prompt or name, name) for name in dict.fromkeys(names)]
    return contrasts or [understand(prompt)]


def check_possible(contrasts: Sequence[Contrast], bundle: Bundle, given: Sequence[str]) -> None:
    """Refuse targets that are given and targets or inputs that the model does not know."""
    from MRISynthLib.errors import InputError

    for contrast in contrasts:
        if contrast.sequence in given:
            raise InputError(
                f"{contrast.sequence} is both an input and a target; leave out one of them."
            )
        if contrast.sequence not in bundle.sequences_out:
            raise InputError(
                f"The model {bundle.name} cannot make {contrast.sequence}; it makes "
                f"{', '.join(bundle.sequences_out)}."
            )
    for name in given:
        if name not in bundle.sequences_in:
            raise InputError(
                f"The model {bundle.name} cannot use {name} as an input; it takes "
                f"{', '.join(bundle.sequences_in)}."
            )


def refuse_overwriting(output: Path, files: Any, inputs: Sequence[Path]) -> None:
    """Raise OutputError if a result would take the place of an input."""
    from MRISynthLib.errors import OutputError

    given = {path.resolve() for path in inputs}
    for file in files:
        if (output / file).resolve() in given:
            raise OutputError(
                f"The result {output / file} would overwrite an input; choose another --output."
            )


def write_images(result: TaskResult, folder: Path, image_format: str) -> None:
    """Every volume of a result as ``folder/<name>.<format>``."""
    from MRISynthLib import io

    for name, volume in result.volumes:
        io.save(volume, folder / f"{name}.{image_format}")


def write_series(result: TaskResult, folder: Path, series: Sequence[DicomSource]) -> None:
    """Every volume of a result as a DICOM series ``folder/<name>`` in the study of the first of
    ``series``, those of the inputs."""
    from MRISynthLib.io.dicom_derived import write_synthetic_series

    for name, volume in result.volumes:
        write_synthetic_series(volume, folder / name, series[0], sources=series[1:])


def write_json(values: dict[str, Any], path: Path) -> None:
    """A JSON file, readable by people."""
    from MRISynthLib.worker.messages import plain

    text = json.dumps(values, indent=2, ensure_ascii=False, default=plain)
    path.write_text(text + "\n", encoding="utf-8")


def provenance_record(
    inputs: Sequence[Input],
    understood: dict[str, str],
    bundle: Bundle,
    result: TaskResult,
    run: Session,
    seed: int,
) -> dict[str, Any]:
    """What ``provenance.json`` says: how every image in the folder came to be."""
    from MRISynthLib import __version__
    from MRISynthLib.provenance import DISCLAIMER

    images = {name: v.provenance.to_dict() for name, v in result.volumes if v.provenance}
    return {
        "notice": DISCLAIMER,
        "software": f"MRISynth {__version__}",
        "created": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        "inputs": [item.record() for item in inputs],
        "targets": understood,
        "model": {**result.info["bundle"], "training_data": bundle.metadata["training_data"]},
        "seed": seed,
        "device": result.info["device"],
        "dtype": result.info["dtype"],
        "registrations": result.info["registrations"],
        "warnings": list(run.record["warnings"]),
        "timings": {key: value for key, value in run.record["timings"].items() if value},
        "images": images,
    }


def _summary(run: Session, output: Path) -> Any:
    from rich.table import Table

    table = Table(title=f"Written to {output}", title_justify="left", box=None)
    table.add_column("file")
    table.add_column("what it is")
    for name, file in run.record["outputs"].items():
        if name == "provenance":
            what = "how these images were made"
        elif name.endswith("_uncertainty"):
            what = f"where {name.removesuffix('_uncertainty')} is doubtful (higher: more so)"
        else:
            what = f"synthetic {name}"
        table.add_row(Path(file).name, what)
    return table
