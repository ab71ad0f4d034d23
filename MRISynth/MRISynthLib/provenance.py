"""What a synthetic image must be able to say about itself, wherever it goes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

SYNTHETIC_MARK = "SYNTHETIC"
"""First word of every synthetic image's name and of its corner annotation."""

MAPS = ("uncertainty", "difference", "checkerboard")
"""Kinds of what is made of a synthetic image and is none itself; its name says the kind."""

_MARKED = re.compile(rf"(\d+: )?{SYNTHETIC_MARK}(?![A-Za-z])[ _]*")
"""Beginning of a marked name; Slicer's DICOM module puts a series' number before it."""

DISCLAIMER = (
    "Made by a network trained on simulated patients: for research and demonstration, "
    "not for clinical decisions."
)


@dataclass(frozen=True)
class Provenance:
    """How an image was made.

    ``inputs`` holds one mapping per input with at least ``sequence``, ``name`` and
    ``synthetic``; ``understood`` is the prompt's meaning as shown to the user; ``matching``:
    sequence -> what the input was multiplied by to be as bright as training images.
    """

    synthetic: bool
    kind: str = "image"
    sequence: str | None = None
    inputs: tuple[Mapping[str, Any], ...] = ()
    prompt: str = ""
    understood: str = ""
    bundle: str = ""
    bundle_version: str = ""
    bundle_hash: str = ""
    matching: Mapping[str, float] = field(default_factory=dict)
    seed: int = 0
    device: str = ""
    dtype: str = ""
    software: str = ""
    warnings: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        plain = asdict(self)
        plain["inputs"] = [dict(item) for item in self.inputs]
        plain["warnings"] = list(self.warnings)
        return plain

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Provenance:
        """The inverse of :meth:`to_dict`; unknown keys are ignored."""
        known = {key: values[key] for key in cls.__dataclass_fields__ if key in values}
        known["inputs"] = tuple(dict(item) for item in known.get("inputs", ()))
        known["warnings"] = tuple(known.get("warnings", ()))
        return cls(**known)

    def summary(self) -> str:
        """One line for headers and corner annotations."""
        if not self.synthetic:
            return "Real image"
        sources = " + ".join(str(item.get("sequence", "?")) for item in self.inputs)
        model = f"{self.bundle} {self.bundle_version} [{self.bundle_hash[:12]}]"
        return f"{SYNTHETIC_MARK} {self.sequence} from {sources} by {model}"


def unmarked(name: str) -> str:
    """A name without the mark that it begins with, if it does."""
    return _MARKED.sub("", name, count=1).strip() if _MARKED.match(name) else name.strip()


def provenance_from_name(name: str) -> Provenance | None:
    """What is left to say of an image of which another program kept the name alone; None if that
    does not begin with the mark."""
    if not _MARKED.match(name):
        return None
    kind = next((kind for kind in MAPS if kind in name), "image")
    lost = ("The full provenance was lost in another program.",)
    return Provenance(synthetic=True, kind=kind, warnings=lost)
