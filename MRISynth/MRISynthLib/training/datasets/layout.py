"""What every known folder layout says about itself, and what listing a folder gives."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass
from pathlib import Path

from .cases import DatasetCase


@dataclass(frozen=True)
class Finding:
    """Something missing or odd in a dataset, as a sentence for the user.

    Attributes
    ----------
    sentence:
        What is wrong, where, and what it means.
    case:
        Name of the case; None if it concerns the folder.
    image, structure:
        What it concerns in the case: an image, or a structure drawn on that image.
    unusable:
        Whether that image or label cannot be used; otherwise it is worth a look.
    same_patient:
        Name of another case that shows the same patient under another name.
    """

    sentence: str
    case: str | None = None
    image: str | None = None
    structure: str | None = None
    unusable: bool = False
    same_patient: str | None = None

    def __str__(self) -> str:
        return self.sentence


@dataclass(frozen=True)
class Listing:
    """The cases of a folder and what was missing or odd when they were listed."""

    cases: tuple[DatasetCase, ...]
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class Layout:
    """One published folder layout.

    Attributes
    ----------
    kind:
        Short name for code and the command line.
    title, example:
        What users call it, and the path of one of its files.
    is_case:
        Whether a folder is that of one patient.
    list_cases:
        The cases below the folder that holds the patients' folders.
    notes:
        Sentences on the licence and on what a user of the data must know.
    """

    kind: str
    title: str
    example: str
    is_case: Callable[[Path], bool]
    list_cases: Callable[[Path], Listing]
    notes: tuple[str, ...] = ()

    def describe(self) -> str:
        """One entry of the list of known layouts."""
        return f"{self.kind} ({self.title}: {self.example})"


def folders_in(folder: Path) -> list[Path]:
    """Visible subfolders in natural order (2 before 10)."""
    found = [path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")]
    return sorted(found, key=natural)


def natural(path: Path) -> tuple[tuple[int, int, str], ...]:
    """Key that sorts names with numbers as a person does."""
    parts = re.split(r"(\d+)", path.name)
    return tuple((0, int(p), "") if p.isdigit() else (1, 0, p.casefold()) for p in parts)


def stem(path: Path) -> str:
    """The name of an image file without its ending, ``.seg.nrrd`` and ``.nii.gz`` included."""
    name = path.name
    for ending in (".seg.nrrd", ".nii.gz", ".nii", ".nrrd"):
        if name.lower().endswith(ending):
            return name[: -len(ending)]
    return path.stem


def not_here(title: str, published: int, present: Iterable[str], unit: str) -> list[Finding]:
    """A finding if fewer patients are there than were published."""
    count = len(set(present))
    if count >= published:
        return []
    return [Finding(f"{count} of the {published} {unit} of {title} are here.")]


def odd_masks(case: str, masks: Mapping[str, Path], published: Set[str]) -> list[Finding]:
    """Findings on masks of a case that were not published, and on those that are not there."""
    findings = [
        Finding(
            f"{case} has a mask '{name}', which is none of the published names ({masks[name]}); "
            "left out.",
            case,
        )
        for name in sorted(set(masks) - published)
    ]
    missing = sorted(published - set(masks))
    if missing:
        findings.append(Finding(f"{case} has no mask of {', '.join(missing)}.", case))
    return findings
