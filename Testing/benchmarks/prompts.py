"""How many of the prompts in Testing/prompts are understood, and how much nonsense is refused.

    python Testing/benchmarks/prompts.py

Prints counts only: the texts of held_out.json that are read wrongly stay unseen, so that the rules
are never written for them.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path

from MRISynthLib.errors import InputError
from MRISynthLib.prompts import understand

PROMPTS = Path(__file__).resolve().parents[1] / "prompts"
PARAMETERS = (
    "field_strength_t", "tr_ms", "te_ms", "ti_ms", "flip_angle_deg", "plane", "vendor",
)  # fmt: skip


@dataclass
class Reading:
    """How one set of prompts was read: texts taken for ``wrong`` sequences, texts with another
    detail wrong (``inexact``), and how many there were."""

    meaningful: int
    nonsense: int
    wrong: list[str] = field(default_factory=list)
    inexact: list[str] = field(default_factory=list)
    nonsense_taken: int = 0


def read_set(name: str) -> Reading:
    """Read every prompt of Testing/prompts/``name``.json."""
    content = json.loads((PROMPTS / f"{name}.json").read_text(encoding="utf-8"))
    reading = Reading(len(content["meaningful"]), len(content["nonsense"]))
    for said in content["meaningful"]:
        try:
            wanted = understand(said["text"])
        except InputError:
            reading.wrong.append(said["text"])
            continue
        if wanted.sequence != said["sequence"]:
            reading.wrong.append(said["text"])
        elif not all(_same(getattr(wanted, key), said[key]) for key in PARAMETERS):
            reading.inexact.append(said["text"])
    for said in content["nonsense"]:
        try:
            understand(said["text"])
            reading.nonsense_taken += 1
        except InputError:
            pass
    return reading


def _same(found: object, meant: object) -> bool:
    if isinstance(found, float) and isinstance(meant, int | float):
        return math.isclose(found, meant, rel_tol=1e-6)
    return found == meant


def main() -> None:
    for name in ("development", "held_out"):
        reading = read_set(name)
        named = reading.meaningful - len(reading.wrong)
        print(
            f"{name}: sequence right in {named} of {reading.meaningful}, all details in "
            f"{named - len(reading.inexact)}; nonsense refused in "
            f"{reading.nonsense - reading.nonsense_taken} of {reading.nonsense}"
        )


if __name__ == "__main__":
    main()
