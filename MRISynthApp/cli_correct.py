"""``mrisynth correct``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .cli_segment import (
    NAME,
    check_inputs_known,
    file_name,
    structure_table,
    volumes_ml,
    write_segmentation,
)
from .options import Device, Inputs, Json, Model, Output, Register, SegmentationFormat
from .session import Session, session

if TYPE_CHECKING:
    import numpy as np

    from MRISynthLib.bundles import Bundle
    from MRISynthLib.volume import Volume
    from MRISynthSegmentLib.click_maps import Click
    from MRISynthSegmentLib.segmentation import Segmentation


def correct(
    segmentation: Annotated[
        Path,
        typer.Argument(
            metavar="SEGMENTATION",
            help="What is to be corrected: a .seg.nrrd file, a NIfTI label map, an RTSTRUCT or a "
            "DICOM SEG.",
        ),
    ],
    output: Output,
    structure: Annotated[
        str,
        typer.Option(metavar="NAME", help="The structure to correct, by its TG-263 name (GTVp)."),
    ],
    inputs: Inputs = None,
    add: Annotated[
        list[str] | None,
        typer.Option(
            "--add",
            metavar="X,Y,Z",
            help="A click where the structure is missing: LPS millimetres, as in DICOM (x to the "
            "patient's left, y to posterior, z to superior). 3D Slicer shows R, A, S: there x and "
            "y have the other sign. Give the option once for each click.",
            show_default=False,
        ),
    ] = None,
    remove: Annotated[
        list[str] | None,
        typer.Option(
            "--remove",
            metavar="X,Y,Z",
            help="A click where the structure reaches too far; those of --add come first.",
            show_default=False,
        ),
    ] = None,
    exclusive: Annotated[
        bool,
        typer.Option(
            "--exclusive",
            help="Take what is added away from all other structures; without it they stay as they "
            "are.",
        ),
    ] = False,
    segmentation_format: Annotated[
        SegmentationFormat,
        typer.Option(
            "--format",
            help="As for segment; rtstruct and dicom-seg need a DICOM series as first input.",
        ),
    ] = SegmentationFormat.SEG_NRRD,
    device: Device = "auto",
    model: Model = None,
    register: Register = True,
    as_json: Json = False,
) -> None:
    """Correct one structure of a segmentation by clicks, near these clicks only.

    The images are those that the model delineates on; the result has the grid of the first, and
    goes to DIR/segmentation.seg.nrrd with all other structures as they were.

    Example: mrisynth correct results/segmentation.seg.nrrd --input T1w=t1.nii.gz
    --structure GTVp --add 12,-30.5,8 --output corrected
    """
    with session("correct", as_json) as run:
        from MRISynthLib.bundles import load_bundle
        from MRISynthLib.io.output import staged_folder
        from MRISynthLib.worker import WorkerClient
        from MRISynthSegmentLib.loading import load_any

        from .cli_synthesize import refuse_overwriting
        from .dicom_outputs import CONTOURS_NEED_IT, check_is_dicom, series_behind
        from .inputs import parse_inputs, read_inputs, refuse_other_patients

        clicks = clicks_in(add or [], remove or [])
        parsed = parse_inputs(inputs or [])
        given = segmentation.expanduser()
        is_dicom = segmentation_format.is_dicom
        if is_dicom:
            check_is_dicom(parsed[0][1], CONTOURS_NEED_IT)
        bundle = load_bundle(model, "segmentation")
        check_inputs_known([name for name, _ in parsed if name], bundle)
        file = file_name(segmentation_format)
        beside = given.with_name(f"{given.name.split('.nii')[0]}.json")
        refuse_overwriting(output, [file], [given, beside, *(path for _, path in parsed)])
        refuse_other_patients([given, *(path for _, path in parsed)])
        with WorkerClient(device) as client, staged_folder(output) as stage:
            client.start()
            with run.timed("load"):
                read = read_inputs(parsed, run)
                series = series_behind(run, read) if is_dicom else []
                volumes = [item.volume for item in read]
                before = load_any(given, volumes[0])
            run.warn(*before.warnings)
            check_inputs_known([volume.sequence for volume in volumes], bundle)
            name = structure_in(structure, before, bundle)
            asked = {"structure": name, "bundle": str(bundle.folder), "register": register}
            mask = _after_clicks(run, client, asked, clicks, volumes, before)
            after = _with(before, name, mask, clicks, exclusive)
            with run.timed("write"):
                written = write_segmentation(run, after, stage / file, series, segmentation_format)
            run.check()
        run.record["outputs"] = {NAME: str(output / file)}
        run.record["files"] = [str(output / path.name) for path in written]
        run.record |= _changes(name, before, after, clicks)
        run.record["structures"] = volumes_ml(after)
        run.show(structure_table(after, f"Written to {output / file}"))


def clicks_in(add: list[str], remove: list[str]) -> list[Click]:
    """The clicks of the options, first those that add.

    Raises
    ------
    InputError
        If there is none, or one that is not three numbers.
    """
    from MRISynthLib.errors import InputError
    from MRISynthSegmentLib.click_maps import Click

    found = []
    for option, texts in (("--add", add), ("--remove", remove)):
        for text in texts:
            try:
                x, y, z = (float(part) for part in text.split(","))
            except ValueError:
                raise InputError(
                    f"{option} {text} is no place; write three numbers with commas between them: "
                    f"x,y,z in LPS millimetres, as in {option}=12.5,-30,8."
                ) from None
            if not all(abs(value) < 1e6 for value in (x, y, z)):  # nan is not below either
                raise InputError(f"{option} {text} lies nowhere; give x,y,z in LPS millimetres.")
            found.append(Click((x, y, z), option == "--add"))
    if not found:
        raise InputError("There is no click; give at least one with --add x,y,z or --remove x,y,z.")
    return found


def structure_in(text: str, segmentation: Segmentation, bundle: Bundle) -> str:
    """The structure's name as the segmentation has it; one that only the model knows is begun.

    Raises
    ------
    InputError
        If neither has it; the message has the nearest.
    """
    import difflib

    from MRISynthLib.errors import InputError

    known = {name.casefold(): name for name in (*bundle.structures, *segmentation.masks)}
    if text.casefold() in known:
        return known[text.casefold()]
    near = difflib.get_close_matches(text.casefold(), known, n=3, cutoff=0.4)
    nearest = ", ".join(known[name] for name in near) or ", ".join(segmentation.masks)
    raise InputError(f"There is no structure '{text}' here; the nearest: {nearest}.")


def _after_clicks(
    run: Session,
    client: Any,
    asked: dict[str, Any],
    clicks: list[Click],
    volumes: list[Volume],
    before: Segmentation,
) -> np.ndarray:
    """The mask after one click after the other."""
    import numpy as np

    from MRISynthSegmentLib.corrections import clicks_to_plain

    name = asked["structure"]
    mask = before.masks.get(name, np.zeros(before.reference.shape, bool))
    for count in range(1, len(clicks) + 1):
        so_far = volumes[0].replace(voxels=mask, sequence=None, name=name, provenance=None)
        parameters = {**asked, "clicks": clicks_to_plain(clicks[:count])}
        job = client.submit("refinement", parameters, [*volumes, so_far], slices=False)
        result = run.follow(client, job)
        run.record["model"] = result.info["bundle"]
        mask = result[name].voxels
    return mask


def _with(
    before: Segmentation, name: str, mask: np.ndarray, clicks: list[Click], exclusive: bool
) -> Segmentation:
    """The segmentation with the corrected mask, and what it took from others."""
    import numpy as np

    from MRISynthSegmentLib.corrections import corrected, taken_from

    masks = {name: mask}
    if exclusive:
        old = before.masks.get(name, np.zeros(before.reference.shape, bool))
        others = {other: each for other, each in before.masks.items() if other != name}
        masks |= taken_from(others, old, mask)
    number = "one click" if len(clicks) == 1 else f"{len(clicks)} clicks"
    return corrected(before, masks, f"{name} was corrected by {number}.")


def _changes(
    name: str, before: Segmentation, after: Segmentation, clicks: list[Click]
) -> dict[str, Any]:
    """What happened, for ``--json``: volumes in ml."""
    changed = {}
    for other, mask in after.masks.items():
        old = before.masks.get(other)
        if old is None or (old != mask).any():
            volume = 0.0 if old is None else before.volume_ml(other)
            changed[other] = {
                "before_ml": round(volume, 3),
                "after_ml": round(after.volume_ml(other), 3),
            }
    plain = [{"point": list(click.point), "adds": click.adds} for click in clicks]
    return {"structure": name, "clicks": plain, "changed": changed}
