"""Coded meaning of structures, in the forms that 3D Slicer reads.

Slicer stores the meaning of a segment in its tag ``TerminologyEntry``: seven parts joined by
``~`` (context, category, type, type modifier, region context, region, region modifier), each
code written ``scheme^value^meaning``. This is the order of Slicer's own
``vtkSlicerTerminologiesModuleLogic::SerializeTerminologyEntry``; a tag in any other order is
kept by Slicer without a word and never understood.

Slicer's own lists lack gross tumour volumes, optic nerves and several other organs at risk, so
the product brings its own list (``Resources/Terminology/MRISynth.term.json``), generated from
:data:`STRUCTURES`: ``python -m MRISynthSegmentLib.terminology FILE`` writes it anew.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from .structures import ABNORMAL, STRUCTURES, Code, Structure

CONTEXT_NAME = "MRISynth - head and neck radiotherapy structures"
"""Name under which Slicer lists the terminology."""

FILE_NAME = "MRISynth.term.json"
"""The shipped file with it."""

REGION_CONTEXT_NAME = "Anatomic codes - DICOM master list"
"""Slicer's own list of regions; the product's structures leave the region empty."""

TAG = "TerminologyEntry"
"""Name of the segment tag, as in Slicer's vtkSegmentation."""

_SCHEMA = (
    "https://raw.githubusercontent.com/qiicr/dcmqi/master/doc/schemas/segment-context-schema.json#"
)
_NO_CODE: Code = ("", "", "")
_RESERVED = set("~^|")


def terminology_tag(structure: Structure) -> str:
    """Value of a segment's ``TerminologyEntry`` tag for this structure."""
    parts = (
        CONTEXT_NAME,
        _joined(structure.category),
        _joined(structure.type),
        _joined(structure.modifier or _NO_CODE),
        REGION_CONTEXT_NAME,
        _joined(_NO_CODE),
        _joined(_NO_CODE),
    )
    return "~".join(parts)


def terminology_context(structures: Iterable[Structure] = STRUCTURES.values()) -> dict[str, Any]:
    """The structures as a terminology context of dcmqi's schema, which Slicer loads.

    Raises
    ------
    ValueError
        If two structures have the same category, type and modifier: Slicer could not tell
        them apart.
    """
    categories: dict[Code, dict[str, Any]] = {}
    types: dict[tuple[Code, Code], dict[str, Any]] = {}
    seen: dict[tuple[Code, Code, Code], str] = {}
    for structure in structures:
        key = (structure.category, structure.type, structure.modifier or _NO_CODE)
        if key in seen:
            raise ValueError(f"{structure.name} and {seen[key]} have the same codes")
        seen[key] = structure.name
        category = categories.setdefault(
            structure.category,
            # A tumour may lie in any region; an organ is a region by itself.
            {
                **_described(structure.category),
                "showAnatomy": structure.category == ABNORMAL,
                "Type": [],
            },
        )
        if key[:2] not in types:
            types[key[:2]] = _described(structure.type)
            category["Type"].append(types[key[:2]])
        entry = types[key[:2]]
        if structure.modifier is not None:
            modifier = _described(structure.modifier)
            entry.setdefault("Modifier", []).append(modifier)
            entry = modifier
        entry["3dSlicerLabel"] = structure.name
        entry["recommendedDisplayRGBValue"] = [round(255 * c) for c in structure.colour]
    return {
        "SegmentationCategoryTypeContextName": CONTEXT_NAME,
        "@schema": _SCHEMA,
        "SegmentationCodes": {"Category": list(categories.values())},
    }


def terminology_json() -> str:
    """Text of the shipped terminology file."""
    return json.dumps(terminology_context(), indent=2, ensure_ascii=False) + "\n"


def terminology_file() -> Path | None:
    """The shipped terminology file; None if it is not there, as in an installation by pip."""
    here = Path(__file__).resolve()
    files = [here.parents[up] / "Resources" / "Terminology" / FILE_NAME for up in (2, 1)]
    return next((file for file in files if file.is_file()), None)


def _described(code: Code) -> dict[str, Any]:
    scheme, value, meaning = code
    return {"CodingSchemeDesignator": scheme, "CodeValue": value, "CodeMeaning": meaning}


def _joined(code: Code) -> str:
    if _RESERVED.intersection("".join(code)):
        raise ValueError(f"the code {code} contains one of the separators ~ ^ |")
    return "^".join(code)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(terminology_json(), encoding="utf-8")
