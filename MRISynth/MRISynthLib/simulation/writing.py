"""Simulated patients as folders: what `mrisynth simulate` writes."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError
from ..processes import run_in_processes
from ..progress import SILENT, Callbacks
from ..volume import Volume
from .benchmark import CASES_PER_SET, VERSION, benchmark_set, benchmark_sets, refuse_reserved
from .head_source import PROCEDURAL, HeadSource

if TYPE_CHECKING:
    from .cases import VirtualPatient

FORMATS = ("nii.gz", "dicom")

SEQUENCES = ("T1w", "T2w", "CE-T1w", "STIR")
"""Made unless others are asked for."""

JOINING = "join the atlas with the heads"
"""Stage of :class:`MRISynthLib.progress.Progress` that comes first where there is an atlas."""

RECORD = "case.json"
"""The file of a patient's folder that is there only when all others are."""


@dataclass(frozen=True)
class CaseRequest:
    """One patient to make; plain values, so that another process can make it.

    hospital: name of a virtual hospital, or None for one drawn by the seed; heads: where the
    anatomy comes from; stage: as in :func:`cases.virtual_patient`; called: name of the case, by
    default from the seed.
    """

    seed: int
    sequences: tuple[str, ...]
    hospital: str | None = None
    heads: HeadSource = PROCEDURAL
    format: str = "nii.gz"
    stage: str | None = "draw"
    called: str | None = None

    @property
    def name(self) -> str:
        """Name of the case and of its folder, as BIDS writes a subject."""
        return self.called or f"sub-virtual{self.seed:06d}"

    def record(self) -> dict:
        """All that decides what the patient's files hold, in plain values for JSON.

        Label maps go by their names and mappings by a digest, since no path of a machine belongs
        in a result.

        Raises
        ------
        InputError
            If the heads cannot be used.
        """
        return {
            "seed": self.seed,
            "sequences": list(self.sequences),
            "hospital": self.hospital,
            "stage": self.stage,
            "heads": _heads_record(self.heads),
            "format": self.format,
            "version": VERSION,
        }


def _heads_record(heads: HeadSource) -> dict:
    source = heads.open()
    if source is None:
        return {"source": "procedural"}
    record = {
        "source": "label maps",
        "files": [file.name for file in source.files],
        "mapping": _digest(source.mapping),
    }
    if source.atlas is not None:
        record["atlas"] = source.atlas.volume.name
        record["atlas_mapping"] = _digest(source.atlas.mapping)
    return record


def _digest(values: Mapping) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def make_case(request: CaseRequest, callbacks: Callbacks = SILENT) -> VirtualPatient:
    """Simulate the patient that ``request`` names."""
    from .cases import virtual_patient

    return virtual_patient(
        request.seed,
        request.sequences,
        stage=request.stage,
        source=request.heads.open(),
        hospital=request.hospital,
        name=request.name,
        callbacks=callbacks,
    )


def cohort_requests(
    cases: int,
    seed: int,
    sequences: tuple[str, ...] = SEQUENCES,
    hospital: str | None = None,
    heads: HeadSource = PROCEDURAL,
    format: str = "nii.gz",
) -> list[CaseRequest]:
    """Patients number ``seed``, ``seed`` + 1 and so on.

    Raises
    ------
    InputError
        If a seed belongs to the benchmark, or the format, the hospital or the heads cannot be
        used.
    """
    from .hospitals import hospital as find_hospital

    _check_format(format)
    for last in (seed, seed + cases - 1):
        refuse_reserved(last)
    if hospital is not None:
        find_hospital(hospital)
    heads.open()
    return [CaseRequest(seed + n, tuple(sequences), hospital, heads, format) for n in range(cases)]


def benchmark_requests(
    sets: Sequence[str] = (),
    sequences: tuple[str, ...] = SEQUENCES,
    format: str = "nii.gz",
    cases: int = CASES_PER_SET,
) -> list[CaseRequest]:
    """The patients of benchmark v1, or of the named sets of it.

    Raises
    ------
    InputError
        If there is no set of that name, or the format cannot be used.
    """
    _check_format(format)
    chosen = [benchmark_set(name, cases) for name in sets] or benchmark_sets(cases)
    return [
        CaseRequest(
            case.seed,
            tuple(sequences),
            case.hospital,
            format=format,
            stage=case.stage,
            called=case.name,
        )
        for each in chosen
        for case in each.cases
    ]


def _check_format(format: str) -> None:
    if format not in FORMATS:
        raise InputError(f"The format '{format}' is unknown; choose {' or '.join(FORMATS)}.")


def write_case(
    patient: VirtualPatient, folder: Path, format: str = "nii.gz", request: Mapping | None = None
) -> None:
    """Write one patient; the folder appears whole or not at all.

    ``anat/<name>_<sequence>.nii.gz`` with a BIDS side-car (times in seconds), or
    ``dicom/<sequence>/`` as a series; ``labels/<structure>.nii.gz``; for partial volume
    ``tissue.nii.gz`` (what a voxel mostly holds), ``tissue_second.nii.gz`` (what else) and
    ``tissue_share.nii.gz`` (per cent of the first), with ``tissue.json`` (which number is which
    tissue); ``case.json``. Labels and tissues lie on the grid of the images.

    Parameters
    ----------
    request:
        Of :meth:`CaseRequest.record`, kept in ``case.json``: what was asked for.

    Raises
    ------
    OutputError
        If the folder cannot be written.
    """
    from ..io import save
    from ..io.output import staged_folder
    from .tissues import TISSUES

    reference = next(iter(patient.volumes.values()))
    with staged_folder(folder, last=RECORD) as stage:
        (stage / "labels").mkdir()
        for number, (sequence, volume) in enumerate(patient.volumes.items(), start=1):
            if format == "dicom":
                _write_dicom(patient, volume, stage / "dicom" / sequence, number)
            else:
                (stage / "anat").mkdir(exist_ok=True)
                path = stage / "anat" / f"{patient.name}_{sequence}.nii.gz"
                save(volume, path)
                _write_json(path.with_name(f"{patient.name}_{sequence}.json"), _sidecar(volume))
        for name, mask in patient.segmentation_masks.items():
            label = Volume(mask.astype(np.uint8), reference.index_to_world, name=name)
            save(label, stage / "labels" / f"{name}.nii.gz")
        for name, values in (
            ("tissue", patient.tissue),
            ("tissue_second", patient.second_tissue),
            ("tissue_share", np.rint(100 * patient.tissue_share).astype(np.uint8)),
        ):
            save(Volume(values, reference.index_to_world, name=name), stage / f"{name}.nii.gz")
        _write_json(
            stage / "tissue.json", {str(n): tissue.name for n, tissue in enumerate(TISSUES)}
        )
        record = {
            "name": patient.name,
            **patient.description,
            "reference": reference.sequence,
            "structures": sorted(patient.segmentation_masks),
            "protocols": {key: asdict(value) for key, value in patient.protocols.items()},
        }
        if request is not None:
            record["request"] = dict(request)
        _write_json(stage / RECORD, record)


def _write_dicom(patient: VirtualPatient, volume: Volume, folder: Path, number: int) -> None:
    from ..io.dicom_write import write_series

    folder.mkdir(parents=True)
    study = {
        "PatientName": "Virtual^Patient",
        "StudyDescription": "Simulated NPC patient",
        "InstitutionName": patient.description["hospital"],
        # another anatomy, hospital or grid is another examination; an ID has 16 characters
        "StudyID": _digest(patient.description)[:16],
    }
    write_series(volume, folder, patient.name, number, study)


def _sidecar(volume: Volume) -> dict:
    """The acquisition as a BIDS side-car: times in seconds."""
    values = dict(volume.acquisition)
    for key in ("RepetitionTime", "EchoTime", "InversionTime"):
        if key in values:
            values[key] = round(values[key] / 1000.0, 6)
    return values


def _write_json(path: Path, values: dict) -> None:
    path.write_text(json.dumps(values, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def simulate(
    requests: Sequence[CaseRequest],
    output: Path,
    jobs: int = 1,
    callbacks: Callbacks = SILENT,
) -> list[Path]:
    """Write the patients of ``requests``; returns their folders.

    The same requests give the same bytes. Folders that are already complete are kept, so the
    same call goes on where another was stopped. What a killed run left of these patients is
    removed.

    Parameters
    ----------
    requests:
        Of :func:`cohort_requests` or :func:`benchmark_requests`.
    jobs:
        Patients made at the same time, each in a process of its own.

    Raises
    ------
    InputError
        If a folder holds the patient of another request; nothing was made then.
    OutputError
        If a folder cannot be written; as far as that can be known, before anything is made.
    WorkerError
        If a process died; finished patients stay.
    Cancelled
        If the callbacks say so; finished patients stay.
    """
    from ..io.output import remove_leftovers, writable_folder

    folders = [Path(output) / request.name for request in requests]
    cache = Path(output) / "atlas"
    missing = [
        (replace(request, heads=request.heads.kept_in(cache)), folder)
        for request, folder in zip(requests, folders, strict=True)
        if not _is_made(request, folder)
    ]
    remove_leftovers(folders)
    done, total = len(requests) - len(missing), len(requests)

    def finished() -> None:
        nonlocal done
        done += 1
        callbacks.progress("simulate", done, total)

    if not missing:
        callbacks.progress("simulate", done, total)
        return folders
    with writable_folder(output):
        for _, folder in missing:
            if os.path.lexists(folder):
                with writable_folder(folder):
                    pass
        join_atlas([request for request, _ in missing], jobs, callbacks)
        callbacks.progress("simulate", done, total)
        _make_all(missing, jobs, callbacks, finished)
    return folders


def _is_made(request: CaseRequest, folder: Path) -> bool:
    """Whether the folder holds the patient of this request already.

    Raises
    ------
    InputError
        If it holds another.
    """
    try:
        text = (folder / RECORD).read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError):
        text = ""
    try:
        there = json.loads(text)["request"]
    except (ValueError, KeyError, TypeError):
        there = None
    if not isinstance(there, dict):
        raise InputError(
            f"{folder} holds a patient, but its {RECORD} does not say for which request; name "
            "another output folder, or remove this one."
        )
    asked = request.record()
    others = [key for key in asked if key not in there or there[key] != asked[key]]
    if others:
        raise InputError(
            f"{folder} holds a patient that was asked for in another way ({', '.join(others)}); "
            "name another output folder, or remove this one."
        )
    return True


def join_atlas(
    requests: Sequence[CaseRequest], jobs: int = 1, callbacks: Callbacks = SILENT
) -> None:
    """Find where the atlas lies in the heads that the requests draw from, if there is one.

    Raises
    ------
    Cancelled
        If the callbacks say so; heads that are finished stay in the cache.
    """
    for heads in dict.fromkeys(request.heads for request in requests):
        heads.ready(lambda done, total: callbacks.progress(JOINING, done, total), jobs, callbacks)


def _make_all(
    missing: list[tuple[CaseRequest, Path]],
    jobs: int,
    callbacks: Callbacks,
    finished: Callable[[], None],
) -> None:
    """Make and write the patients; ``finished`` is called after each."""
    if jobs <= 1 or len(missing) <= 1:
        for request, folder in missing:
            callbacks.check()
            patient = make_case(request, callbacks)
            write_case(patient, folder, request.format, request.record())
            finished()
        return
    from ..io.output import remove_leftovers

    new = [folder for _, folder in missing if not folder.exists()]
    died = (
        "A process that made patients died, perhaps for want of memory; finished patients are "
        f"kept: run the same command again with fewer than {jobs} --jobs."
    )
    try:
        run_in_processes(_make_and_write, missing, jobs, died, finished, callbacks)
    except BaseException:
        for folder in new:
            if not (folder / RECORD).is_file():
                shutil.rmtree(folder, ignore_errors=True)
        remove_leftovers(folder for _, folder in missing)
        raise


def _make_and_write(request: CaseRequest, folder: Path) -> None:
    """In a process of its own, which shares the machine with others like it."""
    import torch

    torch.set_num_threads(1)
    write_case(make_case(request), folder, request.format, request.record())
