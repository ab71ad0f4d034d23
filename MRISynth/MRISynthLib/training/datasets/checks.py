"""What is missing or odd in the images and masks of a dataset, found by reading all of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ...errors import InputError
from ...preprocessing.checks import check_volume
from ...progress import SILENT, Callbacks
from ...recognition import recognise_parts
from ...volume import Volume
from .cases import DatasetCase, LabelFile
from .layout import Finding
from .masks import on_grid, read_label

TISSUE = "tissue"
"""Stands for the tissue map where a finding names a structure."""

_SHOWN_VALUES = 6
_Seen = dict[str, tuple[DatasetCase, str]]
_Checked = dict[tuple, list[tuple[str, bool]]]


def check_cases(cases: Sequence[DatasetCase], callbacks: Callbacks = SILENT) -> list[Finding]:
    """Read every image and mask; all that is wrong or odd with them, in the order of the cases.

    Raises
    ------
    Cancelled
        If the callbacks say so.
    """
    findings: list[Finding] = []
    seen: _Seen = {}
    checked: _Checked = {}
    for number, case in enumerate(cases):
        callbacks.progress("check", number, len(cases))
        for sequence in case.images:
            findings += _check_image(case, sequence, seen, checked)
    callbacks.progress("check", len(cases), len(cases))
    return findings


def sound_cases(
    cases: Iterable[DatasetCase], findings: Iterable[Finding]
) -> tuple[DatasetCase, ...]:
    """The cases without the images and labels that findings call unusable.

    A label that is taken out is unknown from then on, not absent. A case says in its notes what
    was taken out and why; one without any image left is gone. Cases that show the same patient
    under two names get one patient, so that no split tears them apart.
    """
    by_case: dict[str | None, list[Finding]] = {}
    for finding in findings:
        by_case.setdefault(finding.case, []).append(finding)
    patients: dict[str, str] = {}
    result = []
    for case in cases:
        mine = by_case.get(case.name, [])
        bad = [finding for finding in mine if finding.unusable]
        lost = {finding.image for finding in bad if finding.structure is None}
        gone = {(finding.structure, finding.image) for finding in bad}
        labels = {
            name: tuple(
                file for file in files if file.image not in lost and (name, file.image) not in gone
            )
            for name, files in case.labels.items()
        }
        patient = next(
            (patients[f.same_patient] for f in mine if f.same_patient in patients), case.patient
        )
        patients[case.name] = patient
        tissue_gone = case.tissue_image in lost or (TISSUE, case.tissue_image) in gone
        kept = replace(
            case,
            patient=patient,
            images={name: path for name, path in case.images.items() if name not in lost},
            labels={name: files for name, files in labels.items() if files},
            tissue=None if tissue_gone else case.tissue,
            notes=(*case.notes, *(finding.sentence for finding in bad)),
        )
        if kept.images:
            result.append(kept)
    return tuple(result)


def _check_image(case: DatasetCase, sequence: str, seen: _Seen, checked: _Checked) -> list[Finding]:
    """Findings on one image and on what was drawn on it.

    ``seen``: digest of voxels -> the first image that has them; ``checked``: what was found in
    a label on a grid, since one label may belong to two images.
    """

    def say(text: str, unusable: bool = False, **about: str) -> Finding:
        return Finding(f"{case.name}: {text}", case.name, sequence, unusable=unusable, **about)

    try:
        volume = case.image(sequence)
        findings = [say(text) for text in (*check_volume(volume), *volume.warnings)]
    except InputError as error:
        return [say(str(error), unusable=True)]
    said = recognise_parts({k: v for k, v in volume.acquisition.items() if k != "SourceFolder"})
    if said.confident and said.sequence not in _may_say(sequence):
        findings.append(
            say(f"the header of {case.images[sequence]} says {said.sequence}, but its place says "
                f"{sequence}; it is taken for {sequence}.")
        )  # fmt: skip
    digest = hashlib.sha256(np.ascontiguousarray(volume.voxels)).hexdigest()
    other, name = seen.setdefault(digest, (case, sequence))
    if other.patient != case.patient:
        findings.append(
            say(f"its {sequence} image is that of {other.name} ({name}) voxel for voxel; both are "
                "taken for one patient.", same_patient=other.name)
        )  # fmt: skip
    elif other is not case or name != sequence:
        findings.append(say(f"its {sequence} image is that of {other.name} ({name})."))
    for structure, file in case.labels_on(sequence).items():
        key = (file, volume.shape, volume.index_to_world.round(3).tobytes())
        if key not in checked:
            checked[key] = _check_label(file, volume)
        for text, unusable in checked[key]:
            finding = say(f"{structure}: {text}", unusable=unusable, structure=structure)
            if finding.sentence not in {known.sentence for known in findings}:
                findings.append(finding)
    if case.tissue is not None and case.tissue_image == sequence:
        try:
            on_grid(read_label(case.tissue), volume, case.tissue)
        except InputError as error:
            findings.append(say(f"tissue map: {error}", unusable=True, structure=TISSUE))
    return findings


def _may_say(sequence: str) -> set[str]:
    """What a header may say of an image of ``sequence``, which need not mention everything."""
    plain = sequence.removeprefix("CE-")
    return {sequence, plain, sequence.removesuffix("-FS"), plain.removesuffix("-FS")}


def _check_label(file: LabelFile, image: Volume) -> list[tuple[str, bool]]:
    """(sentence, whether the label is unusable) of one structure's files."""
    found: list[tuple[str, bool]] = []
    try:
        parts = file.read(image)
        for path, voxels in zip(file.paths, parts, strict=True):
            found += _check_values(path, voxels, file)
        mask = file.mask(parts)
    except InputError as error:
        return [*found, (str(error), True)]
    # one file may hold several structures, of which some are rightly absent
    empty = not (mask.any() if file.values is None else any(part.any() for part in parts))
    if empty and file.if_empty == "odd":
        found.append((f"{file.paths[0]} is an empty mask; it is taken for absent.", False))
    return found


def _check_values(path: Path, voxels: np.ndarray, file: LabelFile) -> list[tuple[str, bool]]:
    values = np.unique(voxels)
    shown = ", ".join(f"{value:g}" for value in values[:_SHOWN_VALUES])
    shown += " ..." if len(values) > _SHOWN_VALUES else ""
    if file.values is None:
        if len(values) <= 2:
            return []
        middle = (float(values[0]) + float(values[-1])) / 2
        text = f"{path} is not binary ({shown}); voxels above {middle:g} count."
        return [(text, False)]
    strange = sorted(set(values.tolist()) - set(file.file_values))
    if not strange:
        return []
    known = ", ".join(map(str, file.file_values))
    return [
        (f"{path} holds the values {shown}, but only {known} have a meaning there; what "
         f"{', '.join(f'{v:g}' for v in strange[:_SHOWN_VALUES])} stands for is not known, so "
         "the mask is not used.", True)
    ]  # fmt: skip
