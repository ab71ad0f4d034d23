"""``mrisynth export``: contours and synthetic images as DICOM."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .options import ExportFormat, Json, Output
from .session import Session, session

if TYPE_CHECKING:
    from MRISynthLib.io.dicom_source import DicomSource
    from MRISynthLib.io.dicom_study import Study
    from MRISynthSegmentLib.segmentation import Segmentation

_SUFFIXES = re.compile(r"\.(seg\.nrrd|nrrd|nii\.gz|nii|dcm)$", re.IGNORECASE)


def export(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="Contours (a .seg.nrrd file, a NIfTI label map, an RTSTRUCT or a DICOM SEG); for "
            "dicom-mr a synthetic image as 'mrisynth synthesize' writes it.",
        ),
    ],
    export_format: Annotated[
        ExportFormat,
        typer.Option(
            "--format",
            help="rtstruct is what planning systems take, dicom-seg keeps voxels and codes, "
            "dicom-mr is a series of images.",
        ),
    ],
    output: Output,
    references: Annotated[
        list[Path] | None,
        typer.Option(
            "--reference",
            "-r",
            metavar="PATH",
            help="The DICOM series (a folder, or an enhanced file) on whose slices FILE lies. For "
            "dicom-mr give the option once for each series that the image was made from.",
            show_default=False,
        ),
    ] = None,
    study: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE",
            help="For dicom-mr without a DICOM series: patient-id and patient-name, and what is "
            "known of patient-birth-date, patient-sex, study-uid, study-date, study-id, "
            "study-description, accession-number, frame-of-reference-uid. Give the option once "
            "for each.",
            show_default=False,
        ),
    ] = None,
    placeholder: Annotated[
        bool,
        typer.Option(
            "--placeholder",
            help="For dicom-mr without a DICOM series: write files that say they are of nobody.",
        ),
    ] = False,
    burn_in: Annotated[
        bool,
        typer.Option(
            "--burn-in", help="For dicom-mr: write SYNTHETIC into the pixels of every slice."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Write contours or a synthetic image as DICOM, in the study of the images behind them.

    Writes DIR/FILE.rtstruct.dcm, DIR/FILE.dicom-seg.dcm or, for dicom-mr, the folder DIR/FILE with
    one file a slice.

    Example: mrisynth export results/segmentation.seg.nrrd --format rtstruct --reference dicom/t1
    --output plan
    """
    with session("export", as_json) as run:
        from MRISynthLib.io.output import staged_folder

        from .cli_synthesize import refuse_overwriting
        from .dicom_outputs import refuse_mixing

        file = file.expanduser()
        places = [place.expanduser() for place in references or ()]
        stated = stated_study(study or (), placeholder)
        _check_request(file, export_format, places, stated, burn_in)
        run.record["inputs"] = [{"path": str(file), "name": "file"}]
        run.record["inputs"] += [{"path": str(place), "name": "reference"} for place in places]
        name = _SUFFIXES.sub("", (file if file.is_file() else file.resolve()).name)
        with staged_folder(output) as stage:
            if export_format is ExportFormat.DICOM_MR:
                refuse_mixing(output, [name])
                files = _export_image(run, file, places, stated, burn_in, stage / name)
            else:
                name = f"{name}.{export_format}.dcm"
                refuse_overwriting(output, [name], [file])
                files = _export_contours(run, file, places[0], export_format, stage / name)
            run.check()
        run.record["outputs"] = {str(export_format): str(output / name)}
        run.record["files"] = [str(output / path.relative_to(stage)) for path in files]
        run.say(f"Written to {output / name}")


def _check_request(
    file: Path, kind: ExportFormat, places: list[Path], study: Study | None, burn_in: bool
) -> None:
    """Refuse what can be seen to be wrong before anything is read."""
    from MRISynthLib.errors import InputError

    from .dicom_outputs import CONTOURS_NEED_IT, check_is_dicom

    if not file.exists():
        raise InputError(f"There is no file or folder {file}; check its name.")
    if kind is not ExportFormat.DICOM_MR:
        if burn_in:
            raise InputError(f"--burn-in marks images, and {kind} has none; leave it out.")
        if study is not None:
            raise InputError(
                f"{kind} takes patient and study from the series of --reference; leave out --study "
                "and --placeholder."
            )
        if len(places) != 1:
            raise InputError(
                f"{kind} needs one --reference and has {len(places) or 'none'}, for "
                f"{CONTOURS_NEED_IT}."
            )
        check_is_dicom(places[0], CONTOURS_NEED_IT)
        return
    if places and study is not None:
        raise InputError(
            "Patient and study are those of the series of --reference; leave out --study and "
            "--placeholder, or --reference."
        )
    if not places and study is None:
        raise InputError(
            f"{file.name} does not say whose it is, and no patient is invented: name the DICOM "
            "series that it was made from with --reference, or the patient with --study "
            "patient-id=... --study patient-name=... (and study-uid, frame-of-reference-uid where "
            "they are known), or write it as nobody's with --placeholder."
        )
    for place in places:
        check_is_dicom(
            place,
            "--reference names the DICOM series that the image was made from; give their folders, "
            "or leave it out and state the patient with --study",
        )


def stated_study(texts: Sequence[str], placeholder: bool) -> Study | None:
    """The study of ``--study KEY=VALUE`` and ``--placeholder``; None if neither is given.

    Raises
    ------
    InputError
        If a key is unknown or given twice, patient-id or patient-name is missing, or DICOM cannot
        hold a value.
    """
    import difflib
    from dataclasses import fields

    from MRISynthLib.errors import InputError
    from MRISynthLib.io.dicom_study import Study

    if placeholder and texts:
        raise InputError("--placeholder is for images of nobody; leave out it or --study.")
    if placeholder:
        return Study.placeholder()
    known = {field.name.replace("_", "-"): field.name for field in fields(Study)}
    values: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or key not in known:
            near = difflib.get_close_matches(key, known, n=3, cutoff=0.4) or known
            raise InputError(
                f"--study {text} is not understood; write KEY=VALUE, where KEY is "
                f"{' or '.join(near)}."
            )
        if known[key] in values:
            raise InputError(f"--study {key} is given twice; give it once.")
        values[known[key]] = value.strip()
    for key in ("patient-id", "patient-name"):
        if values and not values.get(known[key]):
            raise InputError(f"--study does not say whose the image is; add --study {key}=...")
    return Study(**values) if values else None


# --- contours -----------------------------------------------------------------------------


def _export_contours(
    run: Session, file: Path, place: Path, kind: ExportFormat, target: Path
) -> list[Path]:
    """Write the contours in ``file`` as ``target``."""
    from dataclasses import replace

    from MRISynthLib import io
    from MRISynthSegmentLib.loading import load_any
    from MRISynthSegmentLib.origins import algorithm_types

    from .cli_segment import structure_table, volumes_ml
    from .dicom_outputs import image_behind, series_of, write_contours

    with run.timed("load"):
        images = io.load_series(place)
        source = series_of(place, images[0])
        _check_patient(file, source)
        # On a plan they must be what somebody saw, not what was made to fit.
        segmentation = load_any(file, images[0], exact=True)
        image = image_behind(run, place, images, segmentation.provenance)
        run.warn(*image.warnings)
        if len(images) > 1:
            source = series_of(place, image)
            segmentation = replace(segmentation, reference=image)
    types = algorithm_types(segmentation)
    run.warn(*segmentation.warnings, *_on_origin(segmentation, file))
    with run.timed("write"):
        write_contours(run, segmentation, target, source, kind, types)
    run.record["structures"] = volumes_ml(segmentation)
    run.record["algorithm_types"] = types
    run.show(structure_table(segmentation, f"{file.name} on the series '{source.name}'"))
    return [target]


def _check_patient(file: Path, source: DicomSource) -> None:
    """Refuse contours of another patient."""
    from MRISynthLib.errors import InputError

    from .inputs import patients_in

    ours = str(source.header.get("PatientID") or "")
    theirs = {str(header.get("PatientID") or "") for header in patients_in(file)}
    if ours and theirs - {"", ours}:
        raise InputError(
            f"{file.name} is of another patient than the series '{source.name}' (PatientID "
            "differs); give contours and series of one patient."
        )


def _on_origin(segmentation: Segmentation, file: Path) -> list[str]:
    """What is assumed where it is not recorded who drew the contours."""
    from MRISynthSegmentLib.origins import unrecorded

    unknown = unrecorded(segmentation)
    if not unknown:
        return []
    whose = ", ".join(unknown) + (" was" if len(unknown) == 1 else " were")
    if len(unknown) == len(segmentation.masks):
        whose = "its contours were"
    return [
        f"{file.name} does not record how {whose} made; what is not recorded is written as "
        "drawn by hand (MANUAL)."
    ]


# --- images -------------------------------------------------------------------------------


def _export_image(
    run: Session,
    file: Path,
    places: Sequence[Path],
    study: Study | None,
    burn_in: bool,
    folder: Path,
) -> list[Path]:
    """Write the synthetic image in ``file`` as a series in ``folder``."""
    from MRISynthLib import io
    from MRISynthLib.io.dicom_derived import write_synthetic_series

    from .dicom_outputs import images_behind, series_of, source_of

    with run.timed("load"):
        volume = io.load_one(file)
        run.warn(*volume.warnings)
        origin, sources = study, []
        if places:
            images = []
            for place in places:
                some = images_behind(volume.provenance, io.load_series(place))
                run.warn(*(warning for image in some for warning in image.warnings))
                sources += [series_of(place, image) for image in some]
                images += some
            origin = source_of(places, volume, images)
            sources = [each for each in sources if each.instances.isdisjoint(origin.instances)]
    inputs = volume.provenance.inputs if volume.provenance else ()
    if places and len(images) < len(inputs):
        named = ", ".join(str(item.get("sequence") or item.get("name")) for item in inputs)
        run.warn(
            f"{file.name} was made from {len(inputs)} images ({named}) and refers to {len(images)} "
            "of them: the series of the others are not given with --reference."
        )
    with run.timed("write"):
        files = write_synthetic_series(volume, folder, origin, burn_in=burn_in, sources=sources)
    if study is not None:
        _say_study(run, study)
    run.show(f"{volume.sequence or file.name}: {len(files)} slices, each marked as SYNTHETIC")
    return files


def _say_study(run: Session, study: Study) -> None:
    """What else must be known of a study that no scanner made."""
    uids = {"study-uid": study.study_uid, "frame-of-reference-uid": study.frame_of_reference_uid}
    run.record["study"] = uids
    if study.patient_id == type(study).placeholder().patient_id:
        run.warn(
            f"These files are of nobody: their patient is {study.patient_id}. Do not send them to "
            "an archive of patients."
        )
    else:
        again = " ".join(f"--study {key}={value}" for key, value in uids.items())
        run.say(f"For further images of this examination add {again}")
