"""Parts of one evaluation that were measured apart, as a set of the benchmark each, as one.

The file of a part has every patient's figures; means, spreads and tests are computed anew of all
patients together, so that the whole is what it would be if it had been measured at once.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..simulation.benchmark import CASES_PER_SET, benchmark_sets

EVERY_PATIENT = "every patient"
"""Key of a record under which the figures of single patients are."""

KINDS = ("synthesis", "segmentation")
"""What evaluations are of; their files are called so."""

_OF_PATIENTS = ("sets", "whole benchmark", "cases", "seed", "patients", "folder", "label maps")
"""Keys of a record that say which patients it is about; parts differ in them."""

_NOT_FINITE = {"inf": math.inf, "-inf": -math.inf, "nan": math.nan}


@dataclass(frozen=True)
class Part:
    """The file of a part: what it is called in messages, what it is of, and its content."""

    name: str
    kind: str
    record: Mapping[str, Any]

    @property
    def patients(self) -> Mapping[str, Any]:
        """What :func:`for_file` was given, with numbers as they were."""
        return _from_file(self.record[EVERY_PATIENT])

    @property
    def about(self) -> dict[str, Any]:
        """On whom and of which models."""
        apart = ("figures", "details", EVERY_PATIENT)
        return {key: value for key, value in self.record.items() if key not in apart}


def read_parts(paths: Sequence[Path]) -> list[Part]:
    """The parts in the order of their patients, each a file or the folder with it.

    Raises
    ------
    InputError
        If there are fewer than two, one cannot be read or has no patients, or they are not all of
        synthesis or all of segmentation.
    """
    if len(paths) < 2:
        raise InputError("There is nothing to merge; give the folders of two parts or more.")
    parts = [_read(path) for path in paths]
    first = parts[0]
    for part in parts[1:]:
        if part.kind != first.kind:
            raise InputError(
                f"{first.name} is about {first.kind} and {part.name} about {part.kind}; merge "
                "parts of one kind."
            )
    return sorted(parts, key=lambda part: part.record.get("seed", 0))


def _read(path: Path) -> Part:
    files = [path]
    if path.is_dir():
        files = [path / f"{kind}.json" for kind in KINDS if (path / f"{kind}.json").is_file()]
    if len(files) != 1 or not files[0].is_file():
        raise InputError(
            f"{path} is no part of an evaluation; give a folder with one synthesis.json or "
            "segmentation.json, or that file."
        )
    try:
        record = json.loads(files[0].read_text(encoding="utf-8"))
        kinds = [kind for kind in KINDS if kind == record[EVERY_PATIENT]["kind"]]
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise InputError(
            f"{files[0]} does not hold the figures of every patient; measure this part again with "
            "--output."
        ) from error
    if not kinds:
        raise InputError(f"{files[0]} is no evaluation of {' or '.join(KINDS)}; give one.")
    return Part(str(path), kinds[0], record)


def merged_about(parts: Sequence[Part], computed: Iterable[str] = ()) -> dict[str, Any]:
    """The head of the whole's record.

    Parameters
    ----------
    computed:
        Keys that the caller computes anew.

    Raises
    ------
    InputError
        If parts differ in anything but their patients.
    """
    free = {*_OF_PATIENTS, *computed}
    first = parts[0]
    for part in parts[1:]:
        for key in dict.fromkeys([*first.about, *part.about]):
            if key not in free and first.about.get(key) != part.about.get(key):
                raise InputError(
                    f"{first.name} and {part.name} differ in '{key}' ({first.about.get(key)}; "
                    f"{part.about.get(key)}); only parts of one evaluation can be merged."
                )
    found = _patients([part.about for part in parts])
    about = {}
    for key, value in first.about.items():
        if key in found or key not in _OF_PATIENTS:
            about[key] = found.pop(key, value)
    return {**about, **found}


def _patients(abouts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Which patients all parts together have."""
    if "benchmark" in abouts[0]:
        every = [each.name for each in benchmark_sets()]
        named = {name for about in abouts for name in about.get("sets", every)}
        sets = [name for name in every if name in named]
        full = abouts[0].get("cases of each set") == CASES_PER_SET
        whole = len(sets) == len(every) and full
        return {"whole benchmark": whole, **({} if len(sets) == len(every) else {"sets": sets})}
    found: dict[str, Any] = {}
    for key in ("cases", "patients"):
        if key in abouts[0]:
            found[key] = sum(int(about.get(key, 0)) for about in abouts)
    if "seed" in abouts[0]:
        seeds = [int(about["seed"]) for about in abouts]
        ends = [seed + int(about["cases"]) for seed, about in zip(seeds, abouts, strict=True)]
        found["seed"] = seeds[0] if ends[:-1] == seeds[1:] else seeds
    for key in ("folder", "label maps"):
        values = list(dict.fromkeys(json.dumps(a[key]) for a in abouts if key in a))
        if values:
            known = [json.loads(value) for value in values]
            found[key] = known[0] if len(known) == 1 else known
    return found


def joined(
    parts: Sequence[Part], key: str, who: Callable[[Mapping[str, Any]], Any]
) -> list[Mapping[str, Any]]:
    """The rows of all parts, in the benchmark's order of sets where they have such.

    Parameters
    ----------
    key:
        Of the rows among a part's patients.
    who:
        What a row is of, so that none counts twice.

    Raises
    ------
    InputError
        If two parts have the same.
    """
    places = {each.name: place for place, each in enumerate(benchmark_sets())}
    rows, seen = [], {}
    for part in parts:
        for row in part.patients.get(key, ()):
            other = seen.setdefault(who(row), part.name)
            if other != part.name:
                raise InputError(
                    f"The patient {row['case']} is in {other} and in {part.name}; give each part "
                    "once."
                )
            rows.append(row)
    return sorted(rows, key=lambda row: places.get(row["group"], 0))


def for_file(value: Any) -> Any:
    """Plain values that a JSON file holds exactly: words for numbers that it has none for."""
    if isinstance(value, Mapping):
        return {key: for_file(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [for_file(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(float(value))
    return value


def _from_file(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _from_file(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_from_file(item) for item in value]
    return _NOT_FINITE.get(value, value) if isinstance(value, str) else value
