"""Foshan NPC: 277 patients, T1w, T2w and CE-T1w as DICOM, the tumour drawn on each of them.

Layout: Zenodo 10900202 and 13131827, arXiv 2404.03253. The masks are binary in values that
differ from file to file: the authors' own program takes the middle of each file's range, and so
does this one. The three sequences were not registered to each other.
"""

from __future__ import annotations

from pathlib import Path

from ...errors import InputError
from ...recognition import recognise_parts
from .cases import DatasetCase, LabelFile
from .layout import Finding, Layout, Listing, folders_in, not_here

PATIENTS = 277
SERIES = {
    "T1WI": ("T1w", "ROI-T1"),
    "T2WI": ("T2w", "ROI-T2"),
    "CE-T1WI": ("CE-T1w", "ROI-CE-T1"),
}
"""Folder of a series -> its sequence and the stem of its mask."""


def _is_case(folder: Path) -> bool:
    return any((folder / name).is_dir() for name in SERIES)


def _list_cases(root: Path) -> Listing:
    cases, findings = [], []
    for folder in folders_in(root):
        if not _is_case(folder):
            if folder.name.isdigit():
                findings.append(
                    Finding(f"{folder} has none of the folders {', '.join(SERIES)}; left out.")
                )
            continue
        case, found = _case(folder)
        findings += found
        twin = next((other.name for other in cases if other.patient == case.patient), None)
        if twin is not None:
            findings.append(
                Finding(f"{folder.name} and {twin} are folders of the same patient number.",
                        folder.name, same_patient=twin)
            )  # fmt: skip
        if case.images:
            cases.append(case)
    findings += not_here("Foshan NPC", PATIENTS, (case.patient for case in cases), "patients")
    return Listing(tuple(cases), tuple(findings))


def _case(folder: Path) -> tuple[DatasetCase, list[Finding]]:
    images: dict[str, Path] = {}
    files: list[LabelFile] = []
    findings = []
    for name, (listed, roi) in SERIES.items():
        series = folder / name
        first = next(iter(sorted(series.glob("[!.]*"))), None)
        if first is None:
            findings.append(
                Finding(f"{folder.name} has no {listed} image: {series} is missing or empty.",
                        folder.name)
            )  # fmt: skip
            continue
        sequence = _with_fat_suppression(first, listed)
        images[sequence] = series
        mask = next(iter(sorted(folder.glob(f"{roi}.nii*"))), None)
        if mask is None:
            findings.append(
                Finding(f"{folder.name} has no mask on {sequence}: {folder / roi}.nii is missing.",
                        folder.name)
            )  # fmt: skip
            continue
        files.append(LabelFile((mask,), sequence))
    labels = {"GTVp": tuple(files)} if files else {}
    number = f"{int(folder.name):03d}" if folder.name.isdigit() else folder.name
    case = DatasetCase(folder.name, f"foshan/{number}", images, labels)
    return case, findings


def _with_fat_suppression(file: Path, sequence: str) -> str:
    """``sequence`` or its fat-suppressed sister, as the header of a slice says."""
    import pydicom
    from pydicom.errors import InvalidDicomError

    from ...io.dicom_frames import frames_of

    try:
        header = pydicom.dcmread(file, stop_before_pixels=True)
        found = recognise_parts(frames_of(header, file)[0].acquisition)
    except (InvalidDicomError, InputError, OSError, ValueError):
        return sequence  # reading the whole series will say what is wrong
    suppressed = f"{sequence}-FS"
    return suppressed if found.confident and found.sequence == suppressed else sequence


LAYOUT = Layout(
    "foshan",
    "Foshan NPC",
    "data/MRI-Segments/001/T1WI/*.dcm, ROI-T1.nii",
    _is_case,
    _list_cases,
    ("Only the tumour (GTVp) is drawn, on every sequence by itself; nothing is registered.",),
)
