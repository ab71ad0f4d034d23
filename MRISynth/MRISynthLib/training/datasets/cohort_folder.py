"""The folders that `mrisynth simulate` writes, and any folder of the same BIDS-like form.

``<case>/anat/<name>_<sequence>.nii.gz`` or ``<case>/dicom/<sequence>/``, masks as
``<case>/labels/<structure>.nii.gz`` (0 and 1), and where they are known ``tissue.nii.gz`` with
``tissue.json`` and ``case.json``. Labels and tissues lie on the grid of one of the images.
"""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError

from ...errors import InputError
from ...sequences import SEQUENCE_NAMES
from ...simulation.anatomy import LABELLED_STRUCTURES
from .cases import DatasetCase, LabelFile
from .layout import Finding, Layout, Listing, folders_in, stem
from .masks import GRID_TOLERANCE_MM


def _sequence(text: str) -> str | None:
    """Canonical sequence that a file or folder name ends in (``sub-01_ce-gd_T1w``: CE-T1w)."""
    entities, _, last = text.rpartition("_")
    by_fold = {name.casefold(): name for name in SEQUENCE_NAMES}
    agent = any(entity.startswith("ce-") for entity in entities.split("_"))
    return by_fold.get(f"ce-{last}".casefold() if agent else last.casefold())


def _images(folder: Path) -> dict[str, Path]:
    """Sequence -> file or series folder, in the order of the vocabulary."""
    files = [
        path for path in (folder / "anat").glob("*") if path.name.endswith((".nii.gz", ".nii"))
    ]
    series = [path for path in (folder / "dicom").glob("*") if path.is_dir()]
    found = {_sequence(stem(path)): path for path in sorted(series) + sorted(files)}
    return {name: found[name] for name in SEQUENCE_NAMES if name in found}


def _is_case(folder: Path) -> bool:
    return bool(_images(folder))


def _list_cases(root: Path) -> Listing:
    cases, findings = [], []
    for folder in folders_in(root):
        if _is_case(folder):
            case, found = _case(folder)
            cases.append(case)
            findings += found
        elif (folder / "case.json").is_file() or (folder / "labels").is_dir():
            findings.append(Finding(f"{folder} has no image in anat or dicom; left out."))
    return Listing(tuple(cases), tuple(findings))


def _case(folder: Path) -> tuple[DatasetCase, list[Finding]]:
    name, images = folder.name, _images(folder)
    record, findings = _record(folder)
    files: dict[str, Path] = {}
    for path in sorted((folder / "labels").glob("*.nii*")):
        structure = _structure(stem(path))
        if structure is None:
            findings.append(
                Finding(f"{name} has a mask '{stem(path)}', which is no known structure ({path}); "
                        "left out.", name)
            )  # fmt: skip
        else:
            files[structure] = path
    if not files:
        findings.append(Finding(f"{name} has no masks in {folder / 'labels'}.", name))
    missing = sorted(set(map(str, record.get("structures", ()))) - set(files))
    if missing:
        findings.append(Finding(f"{name} has no mask of {', '.join(missing)}.", name))
    tissue = folder / "tissue.nii.gz"
    drawn = [*files.values(), *([tissue] if tissue.is_file() else [])]
    reference = _reference(images, drawn[0] if drawn else None, record)
    labels = {
        structure: (LabelFile((path,), reference, (1,), (0, 1), if_empty="fine"),)
        for structure, path in files.items()
    }
    case = DatasetCase(
        name,
        f"cohort/{record.get('name', name)}",
        images,
        labels,
        registered=True,
        tissue=tissue if tissue.is_file() else None,
        tissue_image=reference if tissue.is_file() else None,
    )
    return case, findings


def _record(folder: Path) -> tuple[dict, list[Finding]]:
    """What ``case.json`` says; nothing if there is none."""
    path = folder / "case.json"
    if not path.is_file():
        return {}, []
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        record = None
    if isinstance(record, dict):
        return record, []
    return {}, [Finding(f"{path} is not readable JSON and was left aside.", folder.name)]


def _structure(text: str) -> str | None:
    """The structure that a file name is or ends in."""
    names = [n for n in LABELLED_STRUCTURES if text == n or text.endswith(f"_{n}")]
    return max(names, key=len, default=None)


def _reference(images: dict[str, Path], label: Path | None, record: dict) -> str:
    """The sequence whose image the labels lie on: as recorded, else the first on their grid."""
    said = record.get("reference")
    if said in images:
        return said
    first = next(iter(images))
    if label is None or len(images) == 1:
        return first
    return next((name for name, path in images.items() if _same_grid(path, label)), first)


def _same_grid(image: Path, label: Path) -> bool:
    """Whether both have the same voxels; from the headers alone where both are NIfTI."""
    from ...io import load_one

    try:
        if image.is_dir():
            return load_one(image).same_geometry(load_one(label), GRID_TOLERANCE_MM)
        one, two = nib.load(image), nib.load(label)
    except (InputError, OSError, ImageFileError):
        return False  # loading the case will say what is wrong with it
    if one.shape[:3] != two.shape[:3]:
        return False
    apart = np.abs(one.affine - two.affine)[:3] @ (*one.shape[:3], 1)
    return float(apart.max()) <= GRID_TOLERANCE_MM


LAYOUT = Layout(
    "cohort",
    "simulated cohort or BIDS-like",
    "sub-virtual000001/anat/sub-virtual000001_T1w.nii.gz, labels/GTVp.nii.gz, case.json",
    _is_case,
    _list_cases,
)
