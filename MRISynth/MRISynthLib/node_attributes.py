"""What a scene's nodes say about themselves in their attributes; needs no scene."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from .provenance import Provenance, provenance_from_name
from .volume import Volume

SEQUENCE_ATTRIBUTE = "MRISynth.Sequence"
SYNTHETIC_ATTRIBUTE = "MRISynth.Synthetic"
PROVENANCE_ATTRIBUTE = "MRISynth.Provenance"
ACQUISITION_ATTRIBUTE = "MRISynth.Acquisition"
WARNINGS_ATTRIBUTE = "MRISynth.Warnings"

RUN_ATTRIBUTE = "MRISynth.Run"
"""Which run made a synthetic volume, and with it a map of its uncertainty."""

SOURCES_REFERENCE = "MRISynth.MadeFrom"
"""Role of the nodes from which a volume was made."""


Node = Any
"""A ``vtkMRMLNode``."""


def set_sources(node: Node, keys: Iterable[str]) -> None:
    """Note by their IDs from which nodes of the scene a volume was made."""
    node.RemoveNodeReferenceIDs(SOURCES_REFERENCE)
    for key in keys:
        node.AddNodeReferenceID(SOURCES_REFERENCE, key)


def sources_of(node: Node) -> list[Node]:
    """The nodes from which a volume was made, as far as the scene still has them."""
    count = node.GetNumberOfNodeReferences(SOURCES_REFERENCE)
    nodes = (node.GetNthNodeReference(SOURCES_REFERENCE, number) for number in range(count))
    return [each for each in nodes if each is not None]


def source_ids_of(node: Node) -> tuple[str, ...]:
    """The IDs of the nodes from which a volume was made, also of those that are gone."""
    count = node.GetNumberOfNodeReferences(SOURCES_REFERENCE)
    return tuple(node.GetNthNodeReferenceID(SOURCES_REFERENCE, number) for number in range(count))


def describe_node(node: Node, volume: Volume) -> None:
    """Write sequence, provenance, acquisition and warnings of an image; what it has not goes."""
    _set(node, SEQUENCE_ATTRIBUTE, volume.sequence)
    set_provenance(node, volume.provenance)
    acquisition = dict(volume.acquisition)
    _set(node, ACQUISITION_ATTRIBUTE, _as_json(acquisition) if acquisition else None)
    set_warnings(node, volume.warnings)


def said_of(node: Node) -> dict[str, Any]:
    """What :func:`describe_node` wrote, by the names of a ``Volume``'s fields."""
    return {
        "sequence": sequence_of(node),
        "acquisition": _json(node, ACQUISITION_ATTRIBUTE) or {},
        "provenance": provenance_of(node),
        "warnings": warnings_of(node),
    }


def sequence_of(node: Node) -> str | None:
    """Canonical name of an image's sequence; None if it is not known."""
    return node.GetAttribute(SEQUENCE_ATTRIBUTE) or None


def provenance_of(node: Node) -> Provenance | None:
    """How a node's content was made; None for a real image.

    A node that is marked as synthetic stays so even if its provenance text was lost, and one whose
    name is marked even if it has no attributes: Slicer loads DICOM series and NIfTI files without.
    """
    values = _json(node, PROVENANCE_ATTRIBUTE)
    if isinstance(values, dict) and "synthetic" in values:
        return Provenance.from_dict(values)
    if node.GetAttribute(SYNTHETIC_ATTRIBUTE) == "1":
        return Provenance(synthetic=True, sequence=sequence_of(node))
    return provenance_from_name(node.GetName() or "")


def set_provenance(node: Node, provenance: Provenance | None) -> None:
    """Write ``MRISynth.Synthetic`` and ``MRISynth.Provenance`` (JSON), or remove both."""
    synthetic = provenance is not None and provenance.synthetic
    _set(node, SYNTHETIC_ATTRIBUTE, "1" if synthetic else None)
    _set(node, PROVENANCE_ATTRIBUTE, _as_json(provenance.to_dict()) if provenance else None)


def keep_mark(node: Node) -> None:
    """Give an image that only its name marks the attributes too: it stays marked when renamed."""
    if node.GetAttribute(SYNTHETIC_ATTRIBUTE) is None and provenance_of(node) is not None:
        set_provenance(node, provenance_of(node))


def warnings_of(node: Node) -> tuple[str, ...]:
    """Sentences that are kept with the content."""
    return tuple(_json(node, WARNINGS_ATTRIBUTE) or ())


def set_warnings(node: Node, warnings: Iterable[str]) -> None:
    """Write them, or remove those that are there."""
    together = list(warnings)
    _set(node, WARNINGS_ATTRIBUTE, _as_json(together) if together else None)


def _set(node: Node, key: str, value: str | None) -> None:
    if value is None:
        node.RemoveAttribute(key)
    else:
        node.SetAttribute(key, value)


def _as_json(values) -> str:
    # ASCII only: MRML attributes pass through XML written by software of many ages.
    return json.dumps(values, ensure_ascii=True, default=str)


def _json(node: Node, key: str):
    try:
        return json.loads(node.GetAttribute(key) or "null")
    except ValueError:
        return None
