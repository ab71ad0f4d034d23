"""Who or what drew each structure, as DICOM says it: read, derived, and kept for the next file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from MRISynthLib.provenance import SYNTHETIC_MARK, Provenance

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from .segmentation import Segmentation
    from .structures import Code

AUTOMATIC, SEMIAUTOMATIC, MANUAL = "AUTOMATIC", "SEMIAUTOMATIC", "MANUAL"
KINDS = (AUTOMATIC, SEMIAUTOMATIC, MANUAL)
"""Made by a model; by a model and corrected by hand; by hand (PS3.3, C.8.20.2 and C.8.8.5)."""

MAKER = "MRISynth"
"""Manufacturer, and source of the algorithm, of the product's own files."""

NOT_RECORDED = "not recorded"
"""What is said where nobody knows a model, its version or its inputs."""

UNKNOWN_MODEL = "a model that is not recorded"

NETWORK: Code = ("DCM", "123110", "Artificial Intelligence")

_CODE = ("CodingSchemeDesignator", "CodeValue", "CodeMeaning")


@dataclass(frozen=True)
class Algorithm:
    """What drew a structure: the Algorithm Identification macro (PS3.3, Table 10-19).

    ``family`` is None where a file gives no more than a name.
    """

    name: str
    version: str = ""
    source: str = ""
    parameters: str = ""
    family: Code | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON; what is empty is left out."""
        return {key: value for key, value in vars(self).items() if value}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Algorithm:
        """The inverse of :meth:`to_dict`.

        Raises
        ------
        TypeError, ValueError
            If it is none.
        """
        family = plain.get("family")
        if family is not None and len(family) != 3:
            raise ValueError(f"{family} is no code")
        return cls(**{**plain, "family": tuple(map(str, family)) if family else None})

    def __str__(self) -> str:
        known = [text for text in (self.name, self.version) if _known(text)]
        return " ".join(known) or UNKNOWN_MODEL


@dataclass(frozen=True)
class Origin:
    """How one structure came about.

    Attributes
    ----------
    kind:
        One of :data:`KINDS`; empty if that is not recorded.
    algorithm:
        The model; None for what was drawn by hand, and where it is not recorded.
    description:
        The same in the words of an RTSTRUCT (ROIGenerationDescription); empty if it has none.
    interpreter:
        Who looked at it, a DICOM person name (ROIInterpreter); empty if nobody is named.
    interpreted:
        What a planning system took it for (RTROIInterpretedType); empty if that is not recorded.
    """

    kind: str = ""
    algorithm: Algorithm | None = None
    description: str = ""
    interpreter: str = ""
    interpreted: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON; what is empty is left out."""
        plain = {key: value for key, value in vars(self).items() if value}
        if self.algorithm is not None:
            plain["algorithm"] = self.algorithm.to_dict()
        return plain

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Origin:
        """The inverse of :meth:`to_dict`.

        Raises
        ------
        TypeError, ValueError
            If it is none.
        """
        algorithm = plain.get("algorithm")
        found = cls(**{**plain, "algorithm": algorithm and Algorithm.from_dict(algorithm)})
        if found.kind not in ("", *KINDS):
            raise ValueError(f"{found.kind} is no kind")
        return found


def algorithm_types(segmentation: Segmentation) -> dict[str, str]:
    """Structure -> how it was made, one of :data:`KINDS`.

    What the file said that it was read from. Else AUTOMATIC with the record of a model, MANUAL
    without one. Where Slicer has saved a file again the names of the model's inputs are left:
    SEMIAUTOMATIC, for it may have been corrected there, and MANUAL for structures that were added.
    """
    provenance, origins = segmentation.provenance, segmentation.origins
    inputs = provenance.inputs if provenance else ()
    drawn = {name for item in inputs for name in item.get("structures", ())}
    types = {}
    for name in segmentation.masks:
        if name in origins:
            types[name] = origins[name].kind or MANUAL
        elif provenance is None:
            types[name] = MANUAL
        elif provenance.bundle:
            types[name] = AUTOMATIC
        else:
            types[name] = SEMIAUTOMATIC if name in drawn or not drawn else MANUAL
    return types


def unrecorded(segmentation: Segmentation) -> tuple[str, ...]:
    """Structures of which nothing says who or what drew them."""
    return tuple(
        name
        for name in segmentation.masks
        if not (
            segmentation.origins[name].kind
            if name in segmentation.origins
            else segmentation.provenance
        )
    )


def origins_to_write(
    segmentation: Segmentation, types: Mapping[str, str] | None = None
) -> dict[str, Origin]:
    """Structure -> what a file is to say of it; ``types`` goes before what is recorded.

    Raises
    ------
    ValueError
        If ``types`` names a structure that is not there, or no such type.
    """
    kinds = algorithm_types(segmentation) | dict(types or {})
    if kinds.keys() != segmentation.masks.keys() or not set(KINDS).issuperset(kinds.values()):
        raise ValueError(f"algorithm_types names no structure here or no such type: {types}")
    found = {}
    for name, kind in kinds.items():
        origin = segmentation.origins.get(name)
        if origin is None:
            origin = Origin(kind, _of_provenance(segmentation))
        elif origin.kind in ("", kind):
            origin = replace(origin, kind=kind)
        else:  # what was said of it does not hold any more
            origin = replace(origin, kind=kind, description="")
        found[name] = replace(origin, algorithm=None) if kind == MANUAL else origin
    return found


def origins_recorded(segmentation: Segmentation) -> dict[str, Origin]:
    """Structure -> what is known of it; those are left out of which nothing is."""
    unknown = set(unrecorded(segmentation))
    found = {n: each for n, each in origins_to_write(segmentation).items() if n not in unknown}
    return {**segmentation.origins, **found}


def _of_provenance(segmentation: Segmentation) -> Algorithm | None:
    """The model, and what it was given."""
    provenance = segmentation.provenance
    if provenance is None:
        return None
    parameters = {
        "hash": provenance.bundle_hash,
        "inputs": inputs_in_words(segmentation),
        "software": provenance.software,
    }
    said = {key: re.sub(r"[\\,]", ";", value) for key, value in parameters.items()}
    return Algorithm(
        provenance.bundle or NOT_RECORDED,
        provenance.bundle_version or NOT_RECORDED,
        MAKER,
        ",".join(f"{key}={value}" for key, value in said.items()),
        NETWORK,
    )


def provenance_in(origins: Iterable[Origin]) -> Provenance | None:
    """How structures were made, as the product notes it in its own files; None in others."""
    for algorithm in (origin.algorithm for origin in origins):
        if algorithm is None or algorithm.source != MAKER:
            continue
        noted = algorithm.parameters.split(",")
        values = dict(part.split("=", 1) for part in noted if "=" in part)
        inputs = []
        for text in values.get("inputs", "").split("; "):
            sequence = text.removeprefix(f"{SYNTHETIC_MARK} ")
            if sequence not in ("", NOT_RECORDED):
                inputs.append({"sequence": sequence, "name": "", "synthetic": sequence != text})
        return Provenance(
            synthetic=any(each["synthetic"] for each in inputs),
            kind="segmentation",
            inputs=tuple(inputs),
            bundle=_known(algorithm.name),
            bundle_version=_known(algorithm.version),
            bundle_hash=values.get("hash", ""),
            software=values.get("software", ""),
        )
    return None


def _known(text: str) -> str:
    return "" if text == NOT_RECORDED else text


def inputs_in_words(segmentation: Segmentation) -> str:
    """The sequences it was drawn on, synthetic ones marked."""
    words = []
    for item in segmentation.provenance.inputs if segmentation.provenance else ():
        mark = f"{SYNTHETIC_MARK} " if item.get("synthetic") else ""
        words.append(mark + str(item.get("sequence") or item.get("name") or "?"))
    return ", ".join(words) or NOT_RECORDED


# --- in DICOM -----------------------------------------------------------------------------


def algorithm_in(items: Iterable[Dataset] | None) -> Algorithm | None:
    """The first that an Algorithm Identification Sequence names."""
    for item in items or ():
        name = text_of(item, "AlgorithmName")
        if name:
            keywords = ("AlgorithmVersion", "AlgorithmSource", "AlgorithmParameters")
            families = item.get("AlgorithmFamilyCodeSequence") or ()
            codes = [tuple(text_of(code, keyword) for keyword in _CODE) for code in families]
            family = next((code for code in codes if all(code)), None)
            return Algorithm(name, *(text_of(item, keyword) for keyword in keywords), family)
    return None


def algorithm_items(algorithm: Algorithm | None) -> list[Dataset]:
    """An Algorithm Identification Sequence; empty without the family, which it must not lack."""
    from pydicom.dataset import Dataset

    if algorithm is None or algorithm.family is None:
        return []
    item, family = Dataset(), Dataset()
    for keyword, text in zip(_CODE, algorithm.family, strict=True):
        setattr(family, keyword, text)
    item.AlgorithmFamilyCodeSequence = [family]
    item.AlgorithmName = _short(algorithm.name)
    item.AlgorithmVersion = _short(algorithm.version) or NOT_RECORDED
    if algorithm.parameters:
        item.AlgorithmParameters = algorithm.parameters
    if algorithm.source:
        item.AlgorithmSource = _short(algorithm.source)
    return [item]


def kind_in(item: Dataset, keyword: str) -> str:
    """One of :data:`KINDS`, empty where a file says none or another word."""
    said = text_of(item, keyword).upper()
    return said if said in KINDS else ""


def text_of(item: Dataset, keyword: str) -> str:
    """A text without blanks at its ends; the parts of one with backslashes are joined by ``/``."""
    from pydicom.multival import MultiValue

    value = item.get(keyword) or ""
    return "/".join(map(str, value if isinstance(value, MultiValue) else [value])).strip()


def _short(text: str) -> str:
    """As LO can hold it."""
    return text.replace("\\", "/")[:64]
