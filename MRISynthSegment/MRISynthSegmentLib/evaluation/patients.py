"""Patients with what is known of them, for figures by stage and by hospital."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from MRISynthLib.bundles import Bundle
from MRISynthLib.errors import InputError
from MRISynthLib.evaluation.cases import Case
from MRISynthLib.evaluation.folders import FolderPatients
from MRISynthLib.evaluation.patients import Patients
from MRISynthLib.simulation.tumours import STAGES
from MRISynthLib.simulation.variants import VARIANTS
from MRISynthLib.simulation.writing import RECORD
from MRISynthLib.training.datasets import DatasetCase, open_dataset

STAGE_ORDER = (*STAGES, *VARIANTS)
"""Stages of tumours, then what heads without a tumour have."""

UNKNOWN = "unknown"

Report = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Subject:
    """One patient: images and masks, and the T stage (or what is there instead of a tumour) and
    the hospital, both :data:`UNKNOWN` where nothing says them."""

    case: Case
    stage: str = UNKNOWN
    hospital: str = UNKNOWN


def subjects(
    patients: Patients | FolderPatients,
    bundles: Sequence[Bundle],
    sequences: tuple[str, ...],
    structures: Sequence[str],
    report: Report = lambda text: None,
) -> Iterator[Subject]:
    """Each patient with those of ``sequences`` and masks of ``structures`` that it has.

    In a folder a patient that cannot be read is reported and left out.

    Raises
    ------
    InputError
        If the folder holds no dataset that is known here, or no labelled head was kept from the
        models.
    """
    if isinstance(patients, FolderPatients):
        drawn = _of_folder(patients, sequences, report)
    else:
        drawn = (
            Subject(Case.of_patient(patient, group), *_known(patient.description))
            for group, patient in patients.draw(bundles, sequences, report)
        )
    for subject in drawn:
        masks = {
            name: subject.case.masks[name] for name in structures if name in subject.case.masks
        }
        yield replace(subject, case=replace(subject.case, masks=masks))


def _known(description: Mapping[str, Any]) -> tuple[str, str]:
    """Stage and hospital of a simulated patient."""
    stage = description.get("variant") or description.get("stage") or UNKNOWN
    return str(stage), str(description.get("hospital") or UNKNOWN)


def _of_folder(
    patients: FolderPatients, sequences: Sequence[str], report: Report
) -> Iterator[Subject]:
    dataset = open_dataset(patients.folder)
    # what was derived from another case is that case again
    own = [case for case in dataset.cases if case.derived_from is None][: patients.cases]
    for number, case in enumerate(own, start=1):
        report(f"patient {number} of {len(own)}: {case.name}")
        wanted = [name for name in sequences if name in case.images]
        if not wanted:
            report(f"{case.name} is left out: it has none of {', '.join(sequences)}")
            continue
        try:
            loaded = _load(case, wanted)
        except InputError as error:
            report(f"{case.name} is left out: {error}")
            continue
        yield Subject(loaded, *_known(_description(dataset.root / case.name / RECORD)))


def _load(case: DatasetCase, sequences: list[str]) -> Case:
    """Images and the masks that were drawn on the image with the most of them."""
    loaded = case.load(sequences)
    drawn_on = max(sequences, key=lambda name: len(loaded.masks[name]))
    masks = dict(loaded.masks[drawn_on])
    return Case(case.name, "", loaded.volumes, masks, drawn_on, trusted=case.registered)


def _description(path: Path) -> dict[str, Any]:
    """What a simulated patient's record says; nothing where there is none to read."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
