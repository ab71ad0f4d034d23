"""Where training batches come from: the virtual cohort, folders of patients, or both."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from ..errors import InputError
from ..io.output import staged_file
from ..sequences import SEQUENCE_NAMES
from .batches import SimulatedSlices, SliceBatch
from .checkpoint import CHECKPOINT, SPLIT
from .cohort import cohort_paths
from .configuration import SHARES
from .datasets import DatasetCase, Finding, Split, open_dataset, read_split
from .datasets.registrations import fingerprint
from .datasets.slices import CaseSlices

CHECKED, REGISTRATIONS = "data.json", "registrations"
"""In a run's folder: what was found in the data, and how the images of cases lie to each other."""

VALIDATION: Mapping[str, Any] = {
    "size": (160, 160), "pixel_mm": 1.0, "cases": 2, "slices": 4, "focus": 1.0,
}  # fmt: skip
"""How slices of held-out patients are drawn, whatever the settings, so that runs compare."""


@dataclass(frozen=True)
class Purpose:
    """What a kind of training needs of a patient.

    useful: whether something can be learned, by the settings, from these sequences together;
    needs, advice: what that takes and what to do without it, in words; drawn: whether structures
    must have been drawn on the images.
    """

    useful: Callable[[dict[str, Any], frozenset[str]], bool]
    needs: str
    advice: str
    drawn: bool = False

    def suits(self, config: dict[str, Any], case: DatasetCase) -> bool:
        """Whether something can be learned from a case."""
        return self.useful(config, frozenset(case.images)) and bool(case.labels or not self.drawn)


class Source(Protocol):
    """Patients to draw batches from."""

    def pick(self, rng: np.random.Generator) -> Source:
        """The source of the next batch: itself, or a part of it drawn at random."""

    def available(self, rng: np.random.Generator) -> frozenset[str]:
        """Sequences that one patient, drawn at random, has; any of them may be asked for."""

    def drawable(self, sequences: Sequence[str]) -> bool:
        """Whether some patient has all these sequences."""

    def draw(
        self,
        rng: np.random.Generator,
        torch_rng: torch.Generator,
        sequences: list[str],
        clean: tuple[str, ...] = (),
        plain: float = ...,
        parameters: bool = False,
        around: bool = False,
    ) -> SliceBatch:
        """See :meth:`batches.SimulatedSlices.draw`."""


@dataclass(frozen=True)
class Sources:
    """Patients to learn from, and others, held out, to validate on."""

    training: Source
    validation: Source


class VirtualPatients(SimulatedSlices):
    """The virtual cohort, who can be given any sequence."""

    def pick(self, rng: np.random.Generator) -> Source:
        """Itself."""
        return self

    def available(self, rng: np.random.Generator) -> frozenset[str]:
        """All sequences."""
        return frozenset(SEQUENCE_NAMES)

    def drawable(self, sequences: Sequence[str]) -> bool:
        """Always."""
        return True


class RealPatients(CaseSlices):
    """Patients from folders, each with the sequences that were taken.

    ``config`` are the settings that say which sequences can be used, and ``purpose`` for what; the
    rest is as :class:`CaseSlices` has it.
    """

    def __init__(
        self,
        patients: Sequence[DatasetCase],
        config: dict[str, Any],
        purpose: Purpose | None = None,
        **options,
    ) -> None:
        super().__init__(patients, **options)
        self.config, self.purpose = config, purpose or SYNTHESIS

    def pick(self, rng: np.random.Generator) -> Source:
        """Itself."""
        return self

    def available(self, rng: np.random.Generator) -> frozenset[str]:
        """Sequences of a patient of whom something can be learned.

        Raises
        ------
        InputError
            If there is none, because images could not be registered.
        """
        for number in rng.permutation(len(self.patients)):
            names = self.together(int(number))
            if self.purpose.useful(self.config, names):
                return names
        raise InputError(
            f"None of the {len(self.patients)} cases has {self.purpose.needs} that lie upon each "
            "other; look at them with 'mrisynth train check'."
        )


class MixedPatients:
    """Batches of real patients with a probability of ``share``, else of virtual ones."""

    def __init__(self, real: Source, virtual: Source, share: float) -> None:
        self.real, self.virtual, self.share = real, virtual, share

    def pick(self, rng: np.random.Generator) -> Source:
        """The real or the virtual patients."""
        return self.real if rng.random() < self.share else self.virtual

    def available(self, rng: np.random.Generator) -> frozenset[str]:
        """Of one of either."""
        return self.pick(rng).available(rng)

    def drawable(self, sequences: Sequence[str]) -> bool:
        """Whether either can."""
        return self.virtual.drawable(sequences) or self.real.drawable(sequences)

    def draw(self, rng, torch_rng, sequences, *rest, **asked) -> SliceBatch:
        """From those of the two that have the sequences, by their shares."""
        able = [each for each in (self.real, self.virtual) if each.drawable(sequences)]
        source = self.pick(rng) if len(able) != 1 else able[0]
        return source.draw(rng, torch_rng, sequences, *rest, **asked)


def within(config: dict[str, Any], available: frozenset[str]) -> dict[str, Any]:
    """The settings for patients with these sequences: only they have a weight as input or
    target, and there are so few targets a step that an input is left.

    Settings whose sequences are all available come back as they are.
    """
    if available.issuperset({*config["input_weights"], *config["target_weights"]}):
        return config
    inputs = {n: w for n, w in config["input_weights"].items() if n in available}
    targets = {
        name: weight
        for name, weight in config["target_weights"].items()
        if name in available and weight > 0 and set(inputs) - {name}
    }
    only_inputs = set(inputs) - set(targets)
    most = len(targets) if only_inputs else len(inputs) - 1
    count = min(int(config["targets_per_step"]), most)
    changed = {"input_weights": inputs, "target_weights": targets, "targets_per_step": count}
    return {**config, **changed}


def has_task(config: dict[str, Any], available: frozenset[str]) -> bool:
    """Whether these sequences contain a target of the settings and another that can be given."""
    return bool(within(config, available)["target_weights"])


SYNTHESIS = Purpose(has_task, "both an input and a target", "add cases with two sequences")


def open_sources(
    config: dict[str, Any],
    output: Path,
    device: torch.device,
    report: Callable[[str], None] = print,
    purpose: Purpose = SYNTHESIS,
    learned: Mapping[str, Any] | None = None,
    validated: Mapping[str, Any] = VALIDATION,
) -> Sources:
    """The patients that a run's configuration names, parted by person.

    Folders are read and checked once; what was found, who is held out, and registrations are kept
    in ``output``. A run that goes on keeps the parts that it began with.

    Parameters
    ----------
    purpose:
        Patients from whom nothing can be learned for it are left out.
    learned, validated:
        How slices are drawn to learn from, beside what the settings say of it, and to validate on.

    Raises
    ------
    InputError
        If a folder or split cannot be used, or nobody is left to learn from or to validate on.
    """
    share = float(config["data_share"]) if config["data"] else 0.0
    size = tuple(config["size"])
    training: dict[str, Any] = {"size": size, "pixel_mm": float(config["pixel_mm"])}
    training |= {name: int(config[name]) for name in ("cases", "slices")}
    training |= {"focus": float(config["focus"]), **(learned or {})}
    drawn = (training, validated)
    found: tuple[list[Source], list[Source]] = ([], [])
    if share > 0:
        kept = {"keep": int(config["data_keep"]), "registrations": output / REGISTRATIONS}
        cases = _cases(config, output, report, purpose)
        for place, some, options in zip(found, cases, drawn, strict=True):
            real = RealPatients(some, config, purpose, device=str(device), **options, **kept)
            place.append(real)
    if share < 1:
        paths = cohort_paths(config, output, report)
        report(f"virtual patients: {len(paths[0])} to learn from, {len(paths[1])} to validate on")
        for place, files, options in zip(found, paths, drawn, strict=True):
            place.append(VirtualPatients(files, device=str(device), **options))
    return Sources(*(each[0] if len(each) == 1 else MixedPatients(*each, share) for each in found))


def trained_on(run: Path) -> str:
    """Which patients of folders a run learned from, in words for a model card; empty if none."""
    path = Path(run) / SPLIT
    if not path.is_file():
        return ""
    counts = Counter(patient.split("/")[0] for patient in read_split(path).patients["training"])
    return ", ".join(
        f"{count} patient{'' if count == 1 else 's'} of {kind}"
        for kind, count in sorted(counts.items())
    )


def _cases(
    config: dict[str, Any], output: Path, report: Callable[[str], None], purpose: Purpose
) -> tuple[list[DatasetCase], list[DatasetCase]]:
    """Cases to learn from, and to validate on."""
    folders = [config["data"]] if isinstance(config["data"], str) else list(config["data"])
    cases: list[DatasetCase] = []
    for folder in folders:
        sound = _sound_cases(Path(folder), output, report)
        useful = [case for case in sound if purpose.suits(config, case)]
        if len(useful) < len(sound):
            left = len(sound) - len(useful)
            report(f"{folder}: {left} cases do not have {purpose.needs} and are left out")
        cases += useful
    if not cases:
        raise InputError(
            f"No case in {', '.join(folders)} has {purpose.needs} of the settings; "
            f"{purpose.advice}."
        )
    chosen = _split(cases, config, output)
    parts = chosen.cases(cases)
    people = {part: sorted({case.patient for case in parts[part]}) for part in chosen.shares}
    for part in ("training", "validation"):
        if not people.get(part):
            raise InputError(
                f"The split leaves nobody for {part} of the {len(cases)} cases in "
                f"{', '.join(folders)}; add patients, take another seed, or name a file of "
                "'mrisynth train check --split' as 'data_split'."
            )
    _keep_split(chosen, people, output)
    counts = ", ".join(f"{len(members)} {part}" for part, members in people.items())
    report(f"patients of {', '.join(folders)}: {counts}; by person")
    return parts["training"], parts["validation"]


def _sound_cases(
    folder: Path, output: Path, report: Callable[[str], None]
) -> tuple[DatasetCase, ...]:
    """The cases of a folder that can be used; what reading them has found is kept."""
    dataset = open_dataset(folder)
    state, path = fingerprint(dataset.cases), output / CHECKED
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        known = {}
    record = known.get(str(folder), {})
    if record.get("state") == state:
        findings = [Finding(**each) for each in record["findings"]]
    else:
        report(f"{folder}: reading {len(dataset.cases)} cases")
        findings = dataset.check()
        record = {"state": state, "findings": [asdict(finding) for finding in findings]}
        output.mkdir(parents=True, exist_ok=True)
        with staged_file(path) as staged:
            content = json.dumps({**known, str(folder): record}, indent=1)
            staged.write_text(content, encoding="utf-8")
    sound = dataset.sound(findings)
    report(
        f"{folder}: {dataset.kind}, {len(sound)} of {len(dataset.cases)} cases can be used; "
        f"{len(findings)} remarks are in {path}"
    )
    return sound


def _split(cases: Sequence[DatasetCase], config: dict[str, Any], output: Path) -> Split:
    """The run's own split if it goes on, else the one of the settings, else one by the seed."""
    own = output / SPLIT
    if own.is_file() and (output / CHECKPOINT).is_file():
        return read_split(own)
    if not config["data_split"]:
        return Split(int(config["seed"]), SHARES, {})
    chosen = read_split(config["data_split"])
    missing = {"training", "validation"} - set(chosen.shares)
    if missing:
        raise InputError(
            f"The split {config['data_split']} has no part '{min(missing)}'; make one with "
            "'mrisynth train check --split'."
        )
    return chosen


def _keep_split(chosen: Split, people: Mapping[str, list[str]], output: Path) -> None:
    """Note in the run's folder who has which part; who was there once stays noted."""
    own = output / SPLIT
    before = read_split(own).patients if own.is_file() else {}
    noted = {part: tuple(sorted({*before.get(part, ()), *people[part]})) for part in people}
    if noted != before:
        Split(chosen.seed, chosen.shares, noted).write(own)
