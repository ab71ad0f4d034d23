"""Patients in a folder to measure on: a cohort that was written, or a public dataset."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ..bundles import Bundle
from ..errors import InputError
from ..training.datasets import Dataset, DatasetCase, open_dataset
from .cases import Case


@dataclass(frozen=True)
class FolderPatients:
    """The patients of a folder in one of the layouts of :mod:`training.datasets`.

    Whether a model was trained on them, nobody but the user knows.

    Attributes
    ----------
    folder:
        The dataset's, or one a few levels above it.
    cases:
        How many patients, the first ones; None for all.
    """

    folder: Path
    cases: int | None = None

    @cached_property
    def _dataset(self) -> Dataset:
        return open_dataset(self.folder)

    @property
    def _chosen(self) -> list[DatasetCase]:
        # what was derived from another case is that case again
        own = [case for case in self._dataset.cases if case.derived_from is None]
        return own[: self.cases]

    @property
    def total(self) -> int:
        """How many patients altogether.

        Raises
        ------
        InputError
            If the folder holds no dataset that is known here.
        """
        return len(self._chosen)

    def cases_for(
        self,
        bundles: Sequence[Bundle],
        sequences: tuple[str, ...],
        clean: tuple[str, ...] = (),
        report: Callable[[str], None] = lambda text: None,
    ) -> Iterator[Case]:
        """Each patient that has two of ``sequences`` or more; what cannot be read is reported.

        Raises
        ------
        InputError
            If the folder holds no dataset that is known here, or ``clean`` images are wanted,
            which only simulated patients have.
        """
        if clean:
            raise InputError("Only of simulated patients there is a truth without noise; leave out "
                             "--ceiling.")  # fmt: skip
        return self._read(self._chosen, sequences, report)

    def _read(self, chosen, sequences, report) -> Iterator[Case]:
        for number, case in enumerate(chosen, start=1):
            report(f"patient {number} of {len(chosen)}: {case.name}")
            wanted = [name for name in sequences if name in case.images]
            if len(wanted) < 2:
                report(f"{case.name} is left out: it has too few of {', '.join(sequences)}")
                continue
            try:
                yield _case(case, wanted)
            except InputError as error:
                report(f"{case.name} is left out: {error}")

    def record(self) -> dict[str, Any]:
        """What the figures were measured on; the folder's name, not where it is."""
        return {
            "dataset": self._dataset.kind,
            "folder": Path(self.folder).resolve().name,
            "patients": self.total,
        }


def _case(case: DatasetCase, sequences: list[str]) -> Case:
    """Images and the masks that were drawn on the image with the most of them."""
    loaded = case.load(sequences)
    drawn_on = max(sequences, key=lambda name: len(loaded.masks[name]))
    masks = dict(loaded.masks[drawn_on])
    return Case(case.name, "", loaded.volumes, masks, drawn_on, trusted=case.registered)
