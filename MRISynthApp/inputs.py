"""``--input``: which file is meant, and which sequence it is."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from MRISynthLib.errors import InputError
from MRISynthLib.sequences import canonical_name, nearest_names, recognise
from MRISynthLib.volume import Volume

from .session import Session

if TYPE_CHECKING:
    from pydicom.dataset import Dataset


@dataclass(frozen=True)
class Input:
    """An input as read; ``volume.sequence`` is set. ``confidence`` is 1 where the user said it."""

    path: Path
    volume: Volume
    confidence: float
    reason: str
    named_by_user: bool

    def record(self) -> dict[str, Any]:
        """For ``--json`` and ``provenance.json``."""
        return {
            "path": str(self.path),
            "name": self.volume.name,
            "sequence": self.volume.sequence,
            "confidence": self.confidence,
            "reason": self.reason,
            "named_by_user": self.named_by_user,
        }


@dataclass(frozen=True)
class Origin:
    """What tells an image's patient from others, and its study from others of that patient; empty
    where no DICOM file says it."""

    patient: str = ""
    study: str = ""


NOBODY = Origin()


def parse_input(text: str) -> tuple[str | None, Path]:
    """(canonical name or None, path) of ``NAME=PATH`` or ``PATH``.

    An ``=`` may be part of the path, and so may a drive letter.

    Raises
    ------
    InputError
        If the name is none of a sequence, or there is no such file.
    """
    name, equals, rest = text.partition("=")
    whole = Path(text).expanduser()
    is_path = re.search(r"[/\\:]", name) is not None
    if whole.exists() and not Path(rest).expanduser().exists():
        is_path = True
    sequence = canonical_name(name) if equals and not is_path else None
    if equals and sequence is None and not is_path and not whole.exists():
        near = ", ".join(nearest_names(name))
        raise InputError(f"'{name}' in --input {text} names no sequence; the nearest are {near}.")
    path = Path(rest).expanduser() if sequence else whole
    if not str(path).strip() or (sequence and not rest.strip()):
        raise InputError(f"--input {text} names no file; write NAME=FILE_OR_FOLDER or the file.")
    if not path.exists():
        raise InputError(f"There is no file or folder {path}; check the path after --input.")
    return sequence, path


def parse_inputs(texts: Sequence[str]) -> list[tuple[str | None, Path]]:
    """All ``--input`` options, checked as far as that needs no reading.

    Raises
    ------
    InputError
        As :func:`parse_input`, and for a file or a sequence that is given twice.
    """
    if not texts:
        raise InputError("There is no input; give at least one with --input NAME=FILE_OR_FOLDER.")
    parsed = [parse_input(text) for text in texts]
    for number, (_, path) in enumerate(parsed):
        if any(os.path.samefile(path, other) for _, other in parsed[:number]):
            raise InputError(f"The input {path} is given twice; give each image once.")
    _refuse_repeated([(name, path) for name, path in parsed if name])
    return parsed


def read_inputs(
    parsed: Sequence[tuple[str | None, Path]], session: Session, one_patient: bool = True
) -> list[Input]:
    """Read and recognise; what was understood is said on standard error.

    Raises
    ------
    InputError
        If a file cannot be read, if it is not certain which sequence it is, or if DICOM series
        are of more than one patient where ``one_patient`` is asked for; then two studies of one
        patient are warned of.
    """
    inputs: list[Input] = []
    for name, path in parsed:
        inputs += _read(name, path, session)
    _refuse_repeated([(item.volume.sequence, item.path) for item in inputs])
    if one_patient:
        _look_whose(inputs, session)
    for item in inputs:
        how = "as you said" if item.named_by_user else f"{item.confidence:.0%}: {item.reason}"
        session.say(f"{item.path.name or item.path} is {item.volume.sequence} ({how})")
        session.warn(*item.volume.warnings)
    session.record["inputs"] = [item.record() for item in inputs]
    return inputs


def _read(name: str | None, path: Path, session: Session) -> list[Input]:
    from MRISynthLib import io

    volumes = io.load(path)
    if name is not None and len(volumes) == 1:
        return [Input(path, volumes[0].replace(sequence=name), 1.0, "named by the user", True)]
    found = [(volume, recognise(volume)) for volume in volumes]
    if name is not None:
        matching = [volume for volume, seen in found if seen.sequence == name]
        if len(matching) != 1:
            series = ", ".join(volume.name for volume in volumes)
            raise InputError(
                f"The folder {path} has {len(volumes)} series ({series}) and "
                f"{len(matching) or 'none'} of them is recognised as {name}; give the folder or "
                "file of one series."
            )
        return [Input(path, matching[0].replace(sequence=name), 1.0, "named by the user", True)]
    sure = [(volume, seen) for volume, seen in found if seen.confident]
    if not sure or (len(found) == 1 and not found[0][1].confident):
        raise InputError(_question(path, found[0][1]))
    for volume, seen in found:
        if not seen.confident:
            session.warn(f"The series {volume.name} of {path} was left out: {seen.reason}")
    return [
        Input(path, volume.replace(sequence=seen.sequence), seen.confidence, seen.reason, False)
        for volume, seen in sure
    ]


def _look_whose(inputs: Sequence[Input], session: Session) -> None:
    """Refuse images of two patients, and warn of two studies of one; a volume does not say whose
    it is, so a header of each DICOM series is read for it."""
    by_path: dict[Path, list[Volume]] = {}
    for item in inputs:
        by_path.setdefault(item.path, []).append(item.volume)
    headers: list[Dataset] = []
    studies: dict[str, str] = {}
    for path, volumes in by_path.items():
        found = _headers(path, volumes)
        headers += found.values()
        for volume in volumes:
            if study := _study(found.get(_series(volume))):
                studies.setdefault(study, f"{volume.name} ({volume.sequence})")
    if headers:
        from MRISynthLib.io.dicom_source import check_one_patient

        check_one_patient(headers)
    first, *others = studies.values() or [""]
    for other in others:
        session.warn(f"{other} is of another study than {first}; leave one out unless both belong.")


def origins_of(path: Path, volumes: Sequence[Volume]) -> list[Origin]:
    """Where each volume that was read at a path comes from."""
    headers = _headers(path, volumes)
    if not headers:
        return [NOBODY] * len(volumes)
    from MRISynthLib.io.dicom_source import patient_of

    origins = {uid: Origin(patient_of(each), _study(each)) for uid, each in headers.items()}
    return [origins.get(_series(volume), NOBODY) for volume in volumes]


def _study(header: Dataset | None) -> str:
    return str(header.get("StudyInstanceUID") or "") if header is not None else ""


def _series(volume: Volume) -> str:
    return str(volume.acquisition.get("SeriesInstanceUID", ""))


def _headers(path: Path, volumes: Sequence[Volume]) -> dict[str, Dataset]:
    """SeriesInstanceUID -> a header of each DICOM series that these volumes were read from."""
    uids = {_series(volume) for volume in volumes} - {""}
    found: dict[str, Dataset] = {}
    for header in patients_in(path) if uids else ():
        uid = str(header.get("SeriesInstanceUID") or "")
        if uid in uids:
            found.setdefault(uid, header)
        if len(found) == len(uids):
            break
    return found


def refuse_other_patients(paths: Sequence[Path]) -> None:
    """Raise InputError if DICOM files, contours among them, are of more than one patient."""
    from MRISynthLib.io.dicom_source import check_one_patient

    check_one_patient([header for path in paths for header in patients_in(path)])


def patients_in(path: Path) -> Iterator[Dataset]:
    """Whose the DICOM files at a path are, of which study and series; others are passed over."""
    import pydicom
    from pydicom.errors import InvalidDicomError

    from MRISynthLib.io.dicom_source import dicom_files

    keywords = ["PatientID", "PatientName", "StudyInstanceUID", "SeriesInstanceUID"]
    for file in dicom_files([path]):
        try:
            yield pydicom.dcmread(file, stop_before_pixels=True, force=True, specific_tags=keywords)
        except (InvalidDicomError, OSError, EOFError, ValueError, TypeError, KeyError):
            continue


def _question(path: Path, seen: Any) -> str:
    """Say what is thought, and ask."""
    if seen.sequence is None:
        return (
            f"It is not clear which sequence {path} is: {_clause(seen.reason)}; "
            f"name it, as in --input T1w={path}"
        )
    others = f", or perhaps {' or '.join(seen.alternatives[:2])}" if seen.alternatives else ""
    return (
        f"{path} seems to be {seen.sequence} ({seen.confidence:.0%}{others}): "
        f"{_clause(seen.reason)}; if so write --input {seen.sequence}={path}"
    )


def _clause(sentence: str) -> str:
    text = sentence.strip().rstrip(".")
    return text[:1].lower() + text[1:]


def _refuse_repeated(named: Sequence[tuple[str | None, Path]]) -> None:
    first: dict[str | None, Path] = {}
    for sequence, path in named:
        if sequence in first:
            where = f"{first[sequence]} and {path}" if first[sequence] != path else f"{path}"
            raise InputError(
                f"There are two inputs of the sequence {sequence} ({where}); give one of them."
            )
        first[sequence] = path
