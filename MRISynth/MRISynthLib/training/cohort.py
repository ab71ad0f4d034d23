"""Anatomies to train on, made once and kept in a folder; images are made as training runs."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..simulation.anatomy import Anatomy
from ..simulation.cases import draw_anatomy
from ..simulation.label_maps import LabelMapSource
from ..simulation.tumours import STAGES

VALIDATION_OFFSET = 500_000
"""Seeds from here on belong to validation; no training anatomy uses them."""


@dataclass(frozen=True)
class CohortPlan:
    """Which anatomies a cohort holds.

    procedural, per_label_map: how many cases from numbers alone, and from each label map;
    held_out_maps: names of label-map files that only validation uses (split by patient);
    healthy: share without tumour.
    """

    procedural: int = 48
    label_maps: Path | None = None
    mapping: Path | None = None
    per_label_map: int = 0
    held_out_maps: tuple[str, ...] = ()
    healthy: float = 0.2
    seed: int = 1

    def sources(self, validation: bool) -> list[tuple[LabelMapSource | None, int]]:
        """(source, number of cases) for training or for validation."""
        plan: list[tuple[LabelMapSource | None, int]] = [(None, self.procedural)]
        if self.label_maps is not None and self.per_label_map > 0:
            source = LabelMapSource(self.label_maps, self.mapping)
            names = {file.name for file in source.files}
            wanted = (
                names & set(self.held_out_maps) if validation else names - set(self.held_out_maps)
            )
            if wanted:
                source = source.only(wanted)
                plan.append((source, self.per_label_map * len(source)))
        return plan


def prepare_cohort(
    plan: CohortPlan,
    folder: Path,
    validation: bool = False,
    report: Callable[[int, int], None] | None = None,
) -> list[Path]:
    """Make the plan's anatomies as ``.npz`` files, skipping those already there."""
    folder.mkdir(parents=True, exist_ok=True)
    jobs = []
    for source, count in plan.sources(validation):
        kind = "procedural" if source is None else "labelled"
        jobs += [(source, number, folder / f"{kind}-{number:04d}.npz") for number in range(count)]
    for done, (source, number, path) in enumerate(jobs):
        if not path.is_file():
            seed = plan.seed * 1_000_000 + number + (VALIDATION_OFFSET if validation else 0)
            rng = np.random.default_rng(seed + (250_000 if source is not None else 0))
            stage = None if rng.random() < plan.healthy else str(rng.choice(STAGES))
            _write(draw_anatomy(rng, stage, source), path)
        if report is not None:
            report(done + 1, len(jobs))
    return [path for _, _, path in jobs]


def _write(anatomy: Anatomy, path: Path) -> None:
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        np.savez_compressed(
            file,
            tissue=anatomy.tissue,
            structures=anatomy.structures,
            index_to_world=anatomy.index_to_world,
            known=np.array(anatomy.known),
            description=np.array(repr(anatomy.description)),
        )
    os.replace(partial, path)


def read_anatomy(path: Path) -> Anatomy:
    """An anatomy written by :func:`prepare_cohort`."""
    with np.load(path, allow_pickle=False) as data:
        return Anatomy(
            data["tissue"],
            data["structures"],
            data["index_to_world"],
            tuple(str(name) for name in data["known"]),
            {"description": str(data["description"])},
        )
