"""The simulated patients that a model is measured on: by seed, or the benchmark's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ..bundles import Bundle
from ..errors import InputError
from ..simulation.benchmark import (
    CASES_PER_SET,
    VERSION,
    BenchmarkSet,
    benchmark_set,
    benchmark_sets,
    definition_hash,
    refuse_reserved,
    rendering_hash,
)
from ..simulation.cases import VirtualPatient, virtual_patient
from ..simulation.head_source import PROCEDURAL, HeadSource
from ..training.cohort import is_training_seed
from .metrics import mean_of

if TYPE_CHECKING:
    from .cases import Case

FIRST_SEED = 90_000
"""Seed of the first patient unless another is asked for; training uses others."""

REGRESSION_SEEDS = range(1000, 1004)
"""Patients on which a linear regression is fitted; none of them is evaluated."""

EVERYTHING = "all"
"""The first level of a benchmark's figures: all patients of all sets."""

SIDES = ("inside", "outside")
"""Of the hospitals that models train on: the next levels of a benchmark's figures, before sets."""


@dataclass(frozen=True)
class Patients:
    """Which patients to measure on.

    Attributes
    ----------
    cases:
        How many; with a benchmark, of each of its sets. None for 4, which is the benchmark's own.
    seed:
        Of the first patient.
    heads:
        Where their anatomy comes from; of labelled heads only those are used that the model was
        not trained on.
    benchmark:
        Version of the benchmark instead, or None; ``sets`` names some of its sets, all if empty.

    Raises
    ------
    InputError
        If there is no such benchmark or set, or one of the seeds belongs to it or to training.
    """

    cases: int | None = None
    seed: int = FIRST_SEED
    heads: HeadSource = PROCEDURAL
    benchmark: str | None = None
    sets: tuple[str, ...] = ()
    _maps: list[str] = field(default_factory=list, init=False, repr=False, compare=False)
    """Label maps that patients came from; which they are depends on the model."""

    def __post_init__(self) -> None:
        if self.benchmark is not None:
            self._chosen()
            return
        seeds = range(self.seed, self.seed + self.of_each)
        for seed in (seeds[0], seeds[-1]):
            refuse_reserved(seed)
        taken = [seed for seed in seeds if is_training_seed(seed) or seed in REGRESSION_SEEDS]
        if taken:
            raise InputError(
                f"The seed {taken[0]} makes a patient that models are trained on; choose other "
                f"seeds, as from {FIRST_SEED}."
            )

    def cases_for(
        self,
        bundles: Sequence[Bundle],
        sequences: tuple[str, ...],
        clean: tuple[str, ...] = (),
        report: Callable[[str], None] = lambda text: None,
    ) -> Iterator[Case]:
        """As :meth:`draw`, in the shape that evaluation works on.

        ``clean``: sequences that are wanted without noise and motion too.
        """
        from .cases import Case

        drawn = self.draw(bundles, sequences, report, clean)
        return (Case.of_patient(patient, group) for group, patient in drawn)

    def draw(
        self,
        bundles: Bundle | Sequence[Bundle],
        sequences: tuple[str, ...],
        report: Callable[[str], None] = lambda text: None,
        clean: tuple[str, ...] = (),
    ) -> Iterator[tuple[str, VirtualPatient]]:
        """Each patient with the name of the test set ("" without a benchmark).

        Raises
        ------
        InputError
            If no labelled head was kept from all models.
        """
        if self.benchmark is not None:
            return self._draw_benchmark(sequences, clean, report)
        heads = self.heads
        for bundle in bundles if isinstance(bundles, Sequence) else (bundles,):
            heads = held_out(bundle, heads)
        heads.ready(lambda done, total: report(f"heads joined with the atlas: {done} of {total}"))
        source = heads.open()
        self._maps[:] = [file.name for file in source.files] if source is not None else []
        return self._draw_by_seed(sequences, source, clean, report)

    def _draw_benchmark(self, sequences, clean, report) -> Iterator[tuple[str, VirtualPatient]]:
        specs = [case for each in self._chosen() for case in each.cases]
        for number, case in enumerate(specs, start=1):
            report(f"patient {number} of {len(specs)}: {case.name}, {case.stage}")
            patient = virtual_patient(
                case.seed,
                sequences,
                stage=case.stage,
                hospital=case.hospital,
                name=case.name,
                clean=clean,
            )
            yield case.test_set, patient

    def _draw_by_seed(
        self, sequences, source, clean, report
    ) -> Iterator[tuple[str, VirtualPatient]]:
        for number in range(self.of_each):
            patient = virtual_patient(self.seed + number, sequences, source=source, clean=clean)
            report(f"patient {number + 1} of {self.of_each}: {patient.description.get('stage')}")
            yield "", patient

    def _chosen(self) -> Sequence[BenchmarkSet]:
        if self.benchmark != VERSION:
            raise InputError(
                f"There is no benchmark '{self.benchmark}'; the only version is {VERSION}."
            )
        if self.sets:
            return [benchmark_set(name, self.of_each) for name in self.sets]
        return benchmark_sets(self.of_each)

    @property
    def of_each(self) -> int:
        """How many patients; with a benchmark, of each of its sets."""
        return self.cases or CASES_PER_SET

    @property
    def total(self) -> int:
        """How many patients altogether."""
        return self.of_each * (len(self._chosen()) if self.benchmark is not None else 1)

    @property
    def whole_benchmark(self) -> bool:
        """Whether figures on these patients are those of the benchmark, not of a part of it."""
        return self.benchmark is not None and not self.sets and self.of_each == CASES_PER_SET

    def record(self) -> dict[str, Any]:
        """What the figures were measured on, for the file that holds them.

        The label maps are known once patients were drawn.
        """
        if self.benchmark is None:
            return {
                "cases": self.of_each,
                "seed": self.seed,
                **self._record_heads(),
                "rendering": rendering_hash(),
            }
        return {
            "benchmark": VERSION,
            "definition": definition_hash(),
            "rendering": rendering_hash(),
            "whole benchmark": self.whole_benchmark,
            "cases of each set": self.of_each,
            **({"sets": list(self.sets)} if self.sets else {}),
        }

    def _record_heads(self) -> dict[str, Any]:
        if self.heads.procedural:
            return {"heads": "procedural"}
        # the one atlas also fills the heads that models train on: its muscles, glands and
        # vessels are not new to a model, whichever head they are joined to
        atlas = "none" if self.heads.atlas is None else "shared with training"
        return {"heads": "labelled", "label maps": list(self._maps), "atlas": atlas}


def held_out(bundle: Bundle, heads: HeadSource) -> HeadSource:
    """Those of the labelled heads that the model never saw; procedural heads as they are."""
    if heads.procedural:
        return heads
    kept = bundle.metadata.get("training", {}).get("held_out_maps", [])
    return replace(heads, names=tuple(n for n in kept if heads.names is None or n in heads.names))


def summarise(rows: dict[str, dict[str, list[dict]]]) -> dict[str, Any]:
    """Means of test set -> task -> rows.

    Without a benchmark the tasks' means; with one, those of all patients, of all sets inside and
    of all outside the hospitals that models train on, and of each set.
    """
    if set(rows) == {""}:
        return _means(rows[""])
    groups: dict[str, dict[str, list[dict]]] = {}
    for name, tasks in rows.items():
        for level in (EVERYTHING, side_of(name)):
            for task, found in tasks.items():
                groups.setdefault(level, {}).setdefault(task, []).extend(found)
    return {name: _means(tasks) for name, tasks in {**groups, **rows}.items()}


def side_of(test_set: str) -> str:
    """Which of :data:`SIDES` a set of the benchmark is on."""
    return SIDES[0] if test_set.startswith(SIDES[0]) else SIDES[1]


def _means(tasks: dict[str, list[dict]]) -> dict[str, Any]:
    return {task: mean_of(found) for task, found in tasks.items()}
