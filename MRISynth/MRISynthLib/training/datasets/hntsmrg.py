"""HNTS-MRG 2024: T2w before and during radiotherapy, primary tumour and nodes.

Layout, label values and remarks: Zenodo 11199559 and hntsmrg24.grand-challenge.org/dataset.
150 patients are in the training set; images reach from the clavicles to the nasal septum. Some
are fat-suppressed and some are not, which no file says. A mask without GTVp, without GTVn or
(a complete response at mid-RT: patients 21, 25, 29, 42) without both is right.
"""

from __future__ import annotations

from pathlib import Path

from .cases import DatasetCase, LabelFile
from .layout import Finding, Layout, Listing, folders_in, not_here

PATIENTS = 150
VALUES = {"GTVp": 1, "GTVn": 2}
TIMES = ("preRT", "midRT")


def _is_case(folder: Path) -> bool:
    return any(any((folder / time).glob("*_T2*.nii.gz")) for time in TIMES)


def _list_cases(root: Path) -> Listing:
    cases: list[DatasetCase] = []
    findings: list[Finding] = []
    for folder in folders_in(root):
        if not _is_case(folder):
            findings.append(Finding(f"{folder} has no T2w image in preRT or midRT; left out."))
            continue
        for time in TIMES:
            name = f"{folder.name}_{time}"
            _add(folder, folder / time, name, "", cases, findings)
        _add(folder, folder / "midRT", f"{folder.name}_preRT", "_registered", cases, findings)
    findings += not_here("HNTS-MRG 2024", PATIENTS, (c.patient for c in cases), "patients")
    return Listing(tuple(cases), tuple(findings))


def _add(
    patient: Path,
    folder: Path,
    prefix: str,
    suffix: str,
    cases: list[DatasetCase],
    findings: list[Finding],
) -> None:
    """One image with its mask; a registered pair that is not there is not missed."""
    name = prefix + suffix
    image = folder / f"{prefix}_T2{suffix}.nii.gz"
    mask = folder / f"{prefix}_mask{suffix}.nii.gz"
    if not image.is_file():
        if not suffix:
            findings.append(Finding(f"{patient.name} has no T2w image {image}."))
        return
    labels = {}
    if mask.is_file():
        labels = {
            structure: (LabelFile((mask,), "T2w", (value,), (0, 1, 2), if_empty="odd"),)
            for structure, value in VALUES.items()
        }
    else:
        findings.append(Finding(f"{name} has no mask: {mask} is missing.", name))
    notes = []
    if suffix:
        notes.append(f"{prefix} warped onto the mid-RT image by the publishers.")
    cases.append(
        DatasetCase(
            name,
            f"hntsmrg/{patient.name}",
            {"T2w": image},
            labels,
            tuple(notes),
            registered=True,
            derived_from=prefix if suffix else None,
        )
    )


LAYOUT = Layout(
    "hntsmrg",
    "HNTS-MRG 2024",
    "HNTSMRG24_train/2/preRT/2_preRT_T2.nii.gz, 2_preRT_mask.nii.gz",
    _is_case,
    _list_cases,
    (
        "Some images are fat-suppressed although no header says so; all are listed as T2w.",
        "The *_registered images repeat the pre-RT scans; they are marked as derived.",
    ),
)
