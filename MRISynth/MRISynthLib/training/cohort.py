"""Anatomies to train on, made once and kept in a folder; images are made as training runs."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from multiprocessing import parent_process
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..processes import run_in_processes
from ..progress import SILENT, Callbacks
from ..simulation.anatomy import LABELLED_STRUCTURES, Anatomy, bit
from ..simulation.benchmark import refuse_reserved
from ..simulation.cases import draw_anatomy
from ..simulation.head_source import PROCEDURAL, HeadSource
from ..simulation.label_volumes import find_label_maps
from ..simulation.tissues import TISSUES
from ..simulation.variants import draw_condition

SEEDS_OF_A_PLAN, VALIDATION_OFFSET, SEEDS_OF_A_KIND = 1_000_000, 500_000, 250_000
"""Every plan has a million seeds, the second half for validation, the second half of each half for
labelled heads."""

ANATOMY_VERSION = 1
"""Of what a seed makes of a source. Raise it with any edit of the simulation that changes
anatomies, so that those in folders are not taken for new ones."""

PLACES = 96
"""Voxels of each structure that are kept to choose slices by."""

PHARYNX_LEVEL, BODY = len(LABELLED_STRUCTURES), len(LABELLED_STRUCTURES) + 1
"""Rows of :attr:`CompactAnatomy.places` after those of the structures."""

PHARYNX_MM = (-50.0, -15.0)
"""From where to where the nasopharynx lies along z in head coordinates."""


@dataclass(frozen=True)
class CohortPlan:
    """Which anatomies a cohort holds.

    procedural, per_label_map: how many cases from numbers alone, and from each label map of
    ``heads``; held_out_maps: names of label-map files that only validation uses (split by
    patient); healthy: share without tumour.
    """

    procedural: int = 48
    heads: HeadSource = PROCEDURAL
    per_label_map: int = 0
    held_out_maps: tuple[str, ...] = ()
    healthy: float = 0.2
    seed: int = 1

    def sources(self, validation: bool) -> list[tuple[HeadSource, int]]:
        """(source, number of cases) for training or for validation."""
        plan = [(PROCEDURAL, self.procedural)]
        opened = self.heads.open() if self.per_label_map > 0 else None
        if opened is not None:
            names = {file.name for file in opened.files}
            held_out = set(self.held_out_maps)
            wanted = tuple(sorted(names & held_out if validation else names - held_out))
            if wanted:
                labelled = replace(self.heads, names=wanted)
                plan.append((labelled, self.per_label_map * len(wanted)))
        return plan


@dataclass(frozen=True)
class CompactAnatomy:
    """An :class:`Anatomy` in a fifth of the memory: structures as a palette of bit fields.

    tissue: uint8 (slices, rows, columns); codes: uint8 or int16 of the same shape, into
    ``palette`` (the bit fields that occur, the empty one first); counts: voxels of each tissue;
    places: int16 (len(LABELLED_STRUCTURES) + 2, PLACES, 3), some voxels (slice, row, column) of
    each structure, of the body at the nasopharynx's level, and of the body, -1 where there is
    none; the rest as in Anatomy.
    """

    tissue: np.ndarray
    codes: np.ndarray
    palette: np.ndarray
    counts: np.ndarray
    places: np.ndarray
    index_to_world: np.ndarray
    known: tuple[str, ...]
    description: str

    @classmethod
    def of(cls, anatomy: Anatomy) -> CompactAnatomy:
        """The compact form of ``anatomy``."""
        flat = anatomy.structures.reshape(-1)
        marked = np.flatnonzero(flat)
        found, inverse = np.unique(flat[marked], return_inverse=True)
        palette = np.concatenate((np.zeros(1, flat.dtype), found))
        codes = np.zeros(flat.size, np.uint8 if len(palette) < 256 else np.int16)
        codes[marked] = inverse + 1
        shape = anatomy.tissue.shape
        return cls(
            anatomy.tissue,
            codes.reshape(shape),
            palette,
            np.bincount(anatomy.tissue.reshape(-1), minlength=len(TISSUES)),
            _places(anatomy, marked, inverse + 1, palette),
            anatomy.index_to_world,
            tuple(anatomy.known),
            repr(anatomy.description),
        )

    def anatomy(self) -> Anatomy:
        """The full form; its description is one text."""
        return Anatomy(
            self.tissue,
            self.palette[self.codes],
            self.index_to_world,
            self.known,
            {"description": self.description},
        )


def _places(anatomy: Anatomy, marked, codes, palette) -> np.ndarray:
    """Voxels of each structure and of the body, evenly through the flat index."""
    shape = anatomy.tissue.shape
    places = np.full((len(LABELLED_STRUCTURES) + 2, PLACES, 3), -1, np.int16)

    def fill(row: int, found: np.ndarray) -> None:
        if found.size:
            some = found[np.linspace(0, found.size - 1, PLACES).astype(int)]
            places[row] = np.stack(np.unravel_index(some, shape), 1)

    for row, name in enumerate(LABELLED_STRUCTURES):
        if name in anatomy.known:
            fill(row, marked[((palette & bit(name)) != 0)[codes]])
    body = np.flatnonzero(anatomy.tissue)
    low, high = PHARYNX_MM
    origin, step = anatomy.index_to_world[2, 3], anatomy.index_to_world[2, 2]
    level = origin + step * (body // (shape[1] * shape[2]))
    fill(BODY, body)
    fill(PHARYNX_LEVEL, body[(level > low) & (level < high)])
    if places[PHARYNX_LEVEL, 0, 0] < 0:
        places[PHARYNX_LEVEL] = places[BODY]
    return places


def prepare_cohort(
    plan: CohortPlan,
    folder: Path,
    validation: bool = False,
    report: Callable[[str], None] = lambda text: None,
    jobs: int = 1,
    callbacks: Callbacks = SILENT,
) -> list[Path]:
    """Make the plan's anatomies as ``.npz`` files, skipping those already there.

    ``jobs`` anatomies are made at the same time, each in a process of its own.

    Raises
    ------
    InputError
        If the folder holds anatomies of another plan, a source cannot be used, or a seed belongs
        to the benchmark.
    WorkerError
        If a process died; finished anatomies stay.
    Cancelled
        If the callbacks say so; finished anatomies stay.
    """
    wanted = []
    for source, count in plan.sources(validation):
        kind = "procedural" if source.procedural else "labelled"
        for number, seed in enumerate(_seeds(plan.seed, count, validation, source.procedural)):
            path = folder / f"{kind}-{number:04d}.npz"
            wanted.append((path, seed, 1 - plan.healthy, source.kept_in(folder / "atlas")))
    folder.mkdir(parents=True, exist_ok=True)
    _check_folder(plan, folder, validation, report)
    missing = [job for job in wanted if not job[0].is_file()]
    done = len(wanted) - len(missing)

    def joined(done: int, total: int) -> None:
        report(f"heads joined with the atlas: {done} of {total}")

    def finished() -> None:
        nonlocal done
        done += 1
        if done % 10 == 0 or done == len(wanted):
            report(f"anatomies: {done} of {len(wanted)}")

    for source in {job[3] for job in missing}:
        source.ready(joined, jobs, callbacks)
    _make_all(missing, jobs, callbacks, finished)
    if not missing:
        report(f"anatomies: {done} of {done}")
    return [job[0] for job in wanted]


def _seeds(plan_seed: int, count: int, validation: bool, procedural: bool) -> range:
    """Seeds of so many anatomies; no two plans, sources, or parts of a plan share one.

    Raises
    ------
    InputError
        If there are not so many, or they belong to the benchmark.
    """
    if count > SEEDS_OF_A_KIND:
        raise InputError(
            f"A cohort holds at most {SEEDS_OF_A_KIND} anatomies of a kind, not {count}; ask for "
            "fewer as 'procedural' or 'per_label_map'."
        )
    first = plan_seed * SEEDS_OF_A_PLAN + validation * VALIDATION_OFFSET
    first += 0 if procedural else SEEDS_OF_A_KIND
    for seed in (first, first + max(count - 1, 0)):
        refuse_reserved(seed)
    return range(first, first + count)


def is_training_seed(seed: int) -> bool:
    """Whether ``seed`` makes a patient of the cohorts that models are trained or validated on."""
    plan = CohortPlan.seed
    return plan * SEEDS_OF_A_PLAN <= seed < (plan + 1) * SEEDS_OF_A_PLAN


def _check_folder(
    plan: CohortPlan, folder: Path, validation: bool, report: Callable[[str], None]
) -> None:
    """Refuse a folder of other anatomies; how many there are may differ."""
    kinds = [source for source, _ in plan.sources(validation)]
    wanted: dict[str, Any] = {
        "seed": plan.seed,
        "healthy": plan.healthy,
        "validation": validation,
        "label_maps": [name for source in kinds for name in source.names or ()],
        "atlas": plan.heads.atlas is not None,
    }
    made_with = _identity([source for source in kinds if not source.procedural])
    path = folder / "plan.json"
    if not path.is_file():
        partial = path.with_suffix(".partial")
        content = json.dumps({**wanted, **made_with}, indent=2)
        partial.write_text(content + "\n", encoding="utf-8")
        os.replace(partial, path)
        return
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        found = {}
    found = found if isinstance(found, dict) else {}
    changed = [name for name, value in wanted.items() if found.get(name) != value]
    changed += [name for name, value in made_with.items() if found.get(name, value) != value]
    if changed:
        raise InputError(
            f"{folder} holds anatomies made with another '{changed[0]}'; name another folder "
            "as 'cohort', or delete this one."
        )
    if not made_with.keys() <= found.keys():
        report(
            f"{folder} is of an older version, which did not note the mapping, the atlas and the "
            "version of its anatomies; they are taken as they are"
        )


def _identity(labelled: list[HeadSource]) -> dict[str, Any]:
    """What else an anatomy depends on: the version, and what the files of a source hold."""
    identity: dict[str, Any] = {
        "anatomy_version": ANATOMY_VERSION,
        "mapping": None,
        "atlas_file": None,
        "atlas_mapping": None,
    }
    for source in labelled:
        identity["mapping"] = _digest(source.mapping or source.folder / "mapping.json")
        if source.atlas is not None:
            files = find_label_maps(source.atlas, (".nii", ".nii.gz", ".nrrd"))
            identity["atlas_file"] = [[file.name, file.stat().st_size] for file in files]
            identity["atlas_mapping"] = _digest(
                source.atlas_mapping or source.atlas / "mapping.json"
            )
    return identity


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def cohort_paths(
    config: dict[str, Any], output: Path, report: Callable[[str], None] = print
) -> tuple[list[Path], list[Path]]:
    """Make (or find) the training and validation anatomies of a run's configuration."""

    def path(field: str) -> Path | None:
        return Path(config[field]) if config[field] else None

    folder = path("cohort") or output / "cohort"
    training = CohortPlan(
        procedural=int(config["procedural"]),
        heads=HeadSource(
            path("label_maps"), path("mapping"), path("atlas"), path("atlas_mapping"),
            folder / "atlas",
        ),
        per_label_map=int(config["per_label_map"]),
        held_out_maps=tuple(config["held_out_maps"]),
        healthy=float(config["healthy"]),
    )  # fmt: skip
    validation = replace(
        training,
        procedural=int(config["validation_procedural"]),
        per_label_map=(training.per_label_map + 1) // 2,
    )
    jobs = int(config["jobs"])
    return (
        prepare_cohort(training, folder / "training", False, report, jobs),
        prepare_cohort(validation, folder / "validation", True, report, jobs),
    )


def _make_all(
    missing: list[tuple], jobs: int, callbacks: Callbacks, finished: Callable[[], None]
) -> None:
    """Make the anatomies; ``finished`` is called after each."""
    try:
        if jobs > 1 and len(missing) > 1:
            died = (
                "A process that made anatomies died, perhaps for want of memory; those that are "
                f"finished are kept: run it again with fewer than {jobs} 'jobs' in the settings."
            )
            run_in_processes(_make, missing, jobs, died, finished, callbacks)
            return
        for job in missing:
            callbacks.check()
            _make(*job)
            finished()
    except BaseException:
        for path, *_ in missing:
            _partial(path).unlink(missing_ok=True)
        raise


def _make(path: Path, seed: int, tumour_share: float, source: HeadSource) -> None:
    rng = np.random.default_rng(seed)
    condition = draw_condition(rng, tumour_share)
    _write(CompactAnatomy.of(draw_anatomy(rng, condition, source.open())), path)


def _partial(path: Path) -> Path:
    """Where an anatomy is written first: another run may be making the same one."""
    run = parent_process()
    return path.with_suffix(f".{os.getpid() if run is None else run.pid}.partial")


def _write(anatomy: CompactAnatomy, path: Path) -> None:
    partial = _partial(path)
    with partial.open("wb") as file:
        np.savez_compressed(
            file,
            tissue=anatomy.tissue,
            codes=anatomy.codes,
            palette=anatomy.palette,
            counts=anatomy.counts,
            places=anatomy.places,
            index_to_world=anatomy.index_to_world,
            known=np.array(anatomy.known),
            description=np.array(anatomy.description),
        )
    os.replace(partial, path)


def read_anatomy(path: Path) -> CompactAnatomy:
    """An anatomy written by :func:`prepare_cohort`."""
    with np.load(path, allow_pickle=False) as data:
        return CompactAnatomy(
            data["tissue"],
            data["codes"],
            data["palette"],
            data["counts"],
            data["places"],
            data["index_to_world"],
            tuple(str(name) for name in data["known"]),
            str(data["description"]),
        )
