"""Patients parted into training, validation and test: by person, and for good.

Where a patient goes is decided by a hash of the seed and the patient alone, so that patients who
are added later change nothing for those who were there, and a written split says the same
tomorrow.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import InputError
from .cases import DatasetCase


@dataclass(frozen=True)
class Split:
    """Which patient belongs to which part.

    ``shares``: part -> share of all patients, in order; ``patients``: part -> patients that were
    there when the split was made.
    """

    seed: int
    shares: Mapping[str, float]
    patients: Mapping[str, tuple[str, ...]]

    def part_of(self, patient: str) -> str:
        """The part of a patient; one who was added since goes by the same rule."""
        for part, members in self.patients.items():
            if patient in members:
                return part
        return _part(patient, self.shares, self.seed)

    def cases(self, cases: Iterable[DatasetCase]) -> dict[str, list[DatasetCase]]:
        """Part -> its cases; all cases of a patient are in one part."""
        parts: dict[str, list[DatasetCase]] = {part: [] for part in self.shares}
        for case in cases:
            parts[self.part_of(case.patient)].append(case)
        return parts

    def write(self, path: str | Path) -> None:
        """Write as JSON, whole or not at all.

        Raises
        ------
        OutputError
            If the file cannot be written.
        """
        from ...io.output import staged_file

        content = {
            "seed": self.seed,
            "shares": dict(self.shares),
            "patients": {part: list(members) for part, members in self.patients.items()},
        }
        with staged_file(Path(path)) as staged:
            staged.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def split(cases: Iterable[DatasetCase], shares: Mapping[str, float], seed: int) -> Split:
    """Part the patients of ``cases``.

    Each patient falls into a part with the probability that is its share, so that the sizes of
    the parts come close to the shares only with many patients.

    Parameters
    ----------
    shares:
        Part -> share, such as ``{"training": 0.8, "validation": 0.1, "test": 0.1}``.

    Raises
    ------
    InputError
        If the shares are not positive numbers with the sum 1, or a part stays without patients.
    """
    _check_shares(shares, "The split")
    patients = sorted({case.patient for case in cases})
    parts: dict[str, list[str]] = {part: [] for part in shares}
    for patient in patients:
        parts[_part(patient, shares, seed)].append(patient)
    empty = [part for part, members in parts.items() if not members]
    if empty:
        raise InputError(
            f"The split leaves the part '{empty[0]}' without any of the {len(patients)} patients; "
            "take another seed, a larger share, or more patients."
        )
    return Split(seed, dict(shares), {part: tuple(members) for part, members in parts.items()})


def read_split(path: str | Path) -> Split:
    """A split written by :meth:`Split.write`.

    Raises
    ------
    InputError
        If the file is missing, is no such JSON, or has a patient in two parts.
    """
    path = Path(path)
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
        shares = {str(part): float(share) for part, share in content["shares"].items()}
        patients = {
            str(part): tuple(str(member) for member in members)
            for part, members in content["patients"].items()
        }
        seed = int(content["seed"])
    except FileNotFoundError:
        raise InputError(f"There is no split {path}; check its name.") from None
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(
            f"{path} is not a split (JSON with seed, shares and patients); make it again."
        ) from error
    _check_shares(shares, str(path))
    if set(patients) != set(shares):
        raise InputError(f"{path} names different parts in shares and in patients; make it again.")
    seen: dict[str, str] = {}
    for part, members in patients.items():
        for member in members:
            if seen.setdefault(member, part) != part:
                raise InputError(
                    f"{path} has the patient {member} in {seen[member]} and in {part}; a patient "
                    "belongs to one part only."
                )
    return Split(seed, shares, patients)


def _check_shares(shares: Mapping[str, float], name: str) -> None:
    values = list(shares.values())
    if not values or min(values) <= 0 or abs(sum(values) - 1) > 1e-6:
        said = ", ".join(f"{part} {share:g}" for part, share in shares.items()) or "none"
        raise InputError(f"{name} has the shares {said}; they must be positive with the sum 1.")


def _part(patient: str, shares: Mapping[str, float], seed: int) -> str:
    digest = hashlib.sha256(f"{seed}:{patient}".encode()).digest()
    place = int.from_bytes(digest[:8], "big") / 2**64
    for part, share in shares.items():
        place -= share
        if place < 0:
            return part
    return list(shares)[-1]
