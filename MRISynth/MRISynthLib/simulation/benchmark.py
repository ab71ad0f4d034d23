"""Benchmark v1: the fixed test sets by which results are compared.

Twenty-six sets of simulated patients, one for each virtual hospital: thirteen inside the
hospitals that models train on, thirteen outside. Only the definition is kept; images are made
from it on demand. One hash covers every case and the hospitals' ranges, another what anatomy,
tissues and rendering make of a case, so that a change of any gets a new version; figures of one
version can be compared.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError
from ..sequences import SEQUENCE_NAMES
from .examinations import Examination
from .hospitals import HOSPITALS, Hospital, hospital

if TYPE_CHECKING:
    from .anatomy import Anatomy

VERSION = "v1"

CASES_PER_SET = 4

FIRST_SEED = 1 << 48
"""Benchmark patients have seeds from here on; nothing else may."""

TUMOURS = ("T1", "T2", "T3", "T4")
OTHERS = ("healthy", "thick mucosa", "adenoids", "post-treatment")
"""Conditions of the patients, in turn: three with a tumour to one without, whom a model must not
give one."""


@dataclass(frozen=True)
class CaseSpec:
    """One patient of a test set.

    test_set: name of the set; number: position in it; seed: of everything random;
    hospital: where the patient is examined; stage: one of ``TUMOURS`` or ``OTHERS``; anatomy:
    always "procedural", since that is the source that every user has.
    """

    test_set: str
    number: int
    seed: int
    hospital: str
    stage: str
    anatomy: str = "procedural"

    @property
    def name(self) -> str:
        """Such as ``inside-03-philips-3t-2``."""
        return f"{self.test_set}-{self.number}"


@dataclass(frozen=True)
class BenchmarkSet:
    """The cases of one hospital."""

    name: str
    hospital: str
    inside: bool
    cases: tuple[CaseSpec, ...]


def benchmark_sets(cases: int = CASES_PER_SET) -> tuple[BenchmarkSet, ...]:
    """The twenty-six sets, inside first.

    ``cases`` other than the default gives the first so many of each set, or more of the same
    kind: such figures are not those of the benchmark.
    """
    return tuple(_set_of(position, site, cases) for position, site in enumerate(HOSPITALS))


def _set_of(position: int, site: Hospital, cases: int) -> BenchmarkSet:
    specs = tuple(
        CaseSpec(
            site.name,
            number,
            FIRST_SEED + 10_000 * position + number,
            site.name,
            _condition(position, number),
        )
        for number in range(cases)
    )
    return BenchmarkSet(site.name, site.name, site.inside, specs)


def _condition(position: int, number: int) -> str:
    """Consecutive sets begin with another, so that inside and outside have all of them."""
    if number % 4 == 3:
        return OTHERS[(position + number // 4) % len(OTHERS)]
    return TUMOURS[(position + number) % len(TUMOURS)]


def benchmark_set(name: str, cases: int = CASES_PER_SET) -> BenchmarkSet:
    """The set of that name.

    Raises
    ------
    InputError
        If there is none; the message names the nearest.
    """
    wanted = hospital(name)
    return _set_of(HOSPITALS.index(wanted), wanted, cases)


def refuse_reserved(seed: int) -> None:
    """Raise ``InputError`` for seeds that belong to the benchmark or lie below zero."""
    if not 0 <= seed < FIRST_SEED:
        raise InputError(
            f"The seed {seed} cannot be used: choose one from 0 to {FIRST_SEED - 1}; those above "
            "make the patients of the benchmark."
        )


def definition_hash() -> str:
    """SHA-256 of the sets and of the hospitals' ranges for every sequence."""
    sites = {
        site.name: {
            **asdict(site),
            "ranges": {name: asdict(site.ranges(name)) for name in SEQUENCE_NAMES},
        }
        for site in HOSPITALS
    }
    content = {
        "version": VERSION,
        "sets": [asdict(item) for item in benchmark_sets()],
        "hospitals": sites,
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


SAMPLE_SEED, SAMPLE_STAGE = 30, "T3"
SAMPLE_GRID = (250, 220, 80), (-17.5, -100.0, -160.0)
"""Shape and first voxel of the sample's anatomy: a sagittal slab with one of most things."""
SAMPLE_EXAMINATION = Examination(
    "axial", (0.0, 0.0, 0.0), (12, 112, 40), 2.0, 4.0, 16.0, (22.0, 10.0, -36.0)
)
SAMPLE_STEP = 0.1
"""To which the means of the sample's slices are rounded, relative to the whole image. With this
seed none lies within 0.002 of where rounding turns."""


@cache
def rendering_hash() -> str:
    """SHA-256 of what anatomy, tissues and rendering make of one small fixed sample.

    Every sequence of a few slices from the neck to the vertex, as rounded means of the slices:
    what differs from machine to machine in the last digits does not change it, another anatomy,
    tissue, protocol or artefact does. Takes some seconds.
    """
    levels = np.stack([np.rint(means / SAMPLE_STEP) for means in _sample_means()])
    return hashlib.sha256(levels.astype("<i4").tobytes()).hexdigest()


def _sample_means() -> list[np.ndarray]:
    """For every sequence the means of the sample's slices, relative to that of the whole."""
    from .cases import examine

    rng = np.random.default_rng(SAMPLE_SEED)
    anatomy, site = _sample_anatomy(), HOSPITALS[0]
    patient = examine(anatomy, site, SAMPLE_EXAMINATION, SEQUENCE_NAMES, SAMPLE_SEED, rng, "sample")
    images = [patient.volumes[name].voxels.astype(np.float64) for name in SEQUENCE_NAMES]
    return [image.mean((1, 2)) / np.abs(image).mean() for image in images]


def _sample_anatomy() -> Anatomy:
    from .procedural import build_head
    from .tumours import add_tumour

    rng = np.random.default_rng(SAMPLE_SEED)
    return add_tumour(*build_head(rng, *SAMPLE_GRID), SAMPLE_STAGE, rng)
