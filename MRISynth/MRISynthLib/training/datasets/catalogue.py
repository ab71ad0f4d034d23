"""Which dataset a folder holds, and its cases."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ...errors import InputError
from ...progress import SILENT, Callbacks
from . import checks, cohort_folder, foshan, hanseg, hntsmrg, segrap
from .cases import DatasetCase
from .layout import Finding, Layout, folders_in

LAYOUTS: dict[str, Layout] = {
    module.LAYOUT.kind: module.LAYOUT for module in (cohort_folder, foshan, hntsmrg, hanseg, segrap)
}
"""Kind -> layout, in the order in which a folder is compared with them."""

DEPTH = 3
"""So many folders below the one that was given may lie around the patients' folders."""

_MOST_FOLDERS = 2000
_SHOWN = 5


@dataclass(frozen=True)
class Dataset:
    """The cases of one folder.

    Attributes
    ----------
    kind, root:
        Which layout it has, and the folder that holds the patients' folders.
    cases:
        All cases, derived ones included (see ``DatasetCase.derived_from``).
    findings:
        What was missing or odd when the folder was listed.
    notes:
        What a user of this dataset must know: licence, what the labels mean.
    """

    kind: str
    root: Path
    cases: tuple[DatasetCase, ...]
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]

    def check(self, callbacks: Callbacks = SILENT) -> list[Finding]:
        """Everything missing or odd, after reading every image and mask (takes a while).

        A case without a mask, an empty mask, a mask on another grid or with values of no known
        meaning, an image that cannot be read, a series with a missing slice, a header that
        contradicts the file's place, one patient under two names.
        """
        return [*self.findings, *checks.check_cases(self.cases, callbacks)]

    def sound(self, findings: list[Finding]) -> tuple[DatasetCase, ...]:
        """The cases without what ``findings`` (of :meth:`check`) call unusable."""
        return checks.sound_cases(self.cases, findings)


def detect(folder: str | Path) -> str:
    """The kind of dataset in ``folder``: a key of :data:`LAYOUTS`.

    Raises
    ------
    InputError
        If the folder has none of the known layouts, or several; the message names those known
        and what was found.
    """
    return _find(Path(folder), None)[0]


def open_dataset(folder: str | Path, kind: str | None = None) -> Dataset:
    """The dataset in ``folder``, which may also be a folder a few levels above its patients.

    Parameters
    ----------
    kind:
        A key of :data:`LAYOUTS`; None finds out.

    Raises
    ------
    InputError
        As :func:`detect`; if ``kind`` is not known or the folder does not have that layout.
    """
    if kind is not None and kind not in LAYOUTS:
        raise InputError(f"The dataset kind '{kind}' is unknown; choose {', '.join(LAYOUTS)}.")
    found, root = _find(Path(folder), kind)
    layout = LAYOUTS[found]
    listing = layout.list_cases(root)
    if not listing.cases:
        reason = f": {listing.findings[0]}" if listing.findings else "."
        raise InputError(f"{root} looks like {layout.title} but holds no usable case{reason}")
    return Dataset(found, root, listing.cases, listing.findings, layout.notes)


def _find(folder: Path, kind: str | None) -> tuple[str, Path]:
    """(kind, folder that holds the patients' folders)."""
    folder = folder.expanduser()
    if not folder.is_dir():
        raise InputError(f"There is no folder {folder}; check its name.")
    layouts = [LAYOUTS[kind]] if kind else list(LAYOUTS.values())
    level, visited = [folder], 0
    try:
        for _ in range(DEPTH + 1):
            below: list[Path] = []
            found: dict[str, Path] = {}
            for place in level:
                children = folders_in(place)
                visited += len(children)
                for layout in layouts:
                    if any(layout.is_case(child) for child in children):
                        found.setdefault(layout.kind, place)
                below += children
            if len(found) > 1:
                raise InputError(
                    f"{folder} holds several datasets ({', '.join(found)}); open one of their "
                    "folders by itself."
                )
            if found:
                return next(iter(found.items()))
            level = below
            if visited > _MOST_FOLDERS:
                break
    except PermissionError as error:
        raise InputError(f"{error.filename} cannot be read; check its permissions.") from error
    raise InputError(_unknown(folder, layouts))


def _unknown(folder: Path, layouts: list[Layout]) -> str:
    for layout in layouts:
        if layout.is_case(folder):
            return (
                f"{folder} is one patient of {layout.title}; give the folder that holds the "
                "patients' folders."
            )
    entries = sorted(path.name for path in folder.iterdir())
    shown = ", ".join(entries[:_SHOWN]) + (" ..." if len(entries) > _SHOWN else "")
    wanted = "; ".join(layout.describe() for layout in layouts)
    return (
        f"{folder} has no layout that is known here (it holds {shown or 'nothing'}); known: "
        f"{wanted}."
    )
