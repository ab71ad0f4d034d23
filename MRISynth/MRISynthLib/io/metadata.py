"""What travels with the voxels: acquisition attributes, sequence, provenance, warnings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..provenance import Provenance
from ..sequences import SEQUENCES, sequence_of
from ..volume import Volume
from ..wording import read

HEADER_KEY = "MRISynth_provenance"
"""Key of the JSON text in NRRD headers, and inside the JSON of NIfTI header extensions."""

KEYWORDS: tuple[str, ...] = (
    "Modality",
    "SeriesDescription",
    "ProtocolName",
    "SequenceName",
    "PulseSequenceName",
    "ScanningSequence",
    "SequenceVariant",
    "ScanOptions",
    "MRAcquisitionType",
    "ImageType",
    "RepetitionTime",
    "EchoTime",
    "InversionTime",
    "FlipAngle",
    "EchoTrainLength",
    "ContrastBolusAgent",
    "SpectrallySelectedSuppression",
    "DiffusionBValue",
    "MagneticFieldStrength",
    "Manufacturer",
    "ManufacturerModelName",
    "BodyPartExamined",
    "PatientPosition",
    "SliceThickness",
    "PixelBandwidth",
    "SeriesNumber",
    "AcquisitionNumber",
    "KVP",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "FrameOfReferenceUID",
    "SOPClassUID",
)
"""DICOM keywords that :attr:`Volume.acquisition` may hold. None of them identifies a patient.
Readers add ``SourceFolder`` (see :func:`folder_hint`), the one key that is no DICOM keyword."""

_SECONDS = ("RepetitionTime", "EchoTime", "InversionTime")


def header_text(volume: Volume) -> str:
    """Sequence, provenance and warnings of ``volume`` as one line of ASCII JSON."""
    return json.dumps(
        {
            "sequence": volume.sequence,
            "provenance": volume.provenance.to_dict() if volume.provenance else None,
            "warnings": list(volume.warnings),
        },
        default=str,
    )


def from_header_text(text: str) -> dict[str, Any]:
    """Keyword arguments for :class:`Volume` from :func:`header_text`; empty if it is no such text.

    A text that was changed by hand is not an error: the image is still an image.
    """
    try:
        values = json.loads(text)
        provenance = values.get("provenance")
        return {
            "sequence": values["sequence"] if values.get("sequence") in SEQUENCES else None,
            "provenance": Provenance.from_dict(provenance) if provenance else None,
            "warnings": tuple(map(str, values.get("warnings", ()))),
        }
    except (ValueError, TypeError, AttributeError, KeyError):
        return {}


def folder_hint(path: Path) -> dict[str, str]:
    """``SourceFolder`` if the folder's name names a kind of image, else nothing.

    Folder names often are patients' names, so only what says something about the sequence is
    kept: "T1WI" as it is, "Doe_T1" as "T1w". ("enhanced" alone is dropped: it may be the enhanced
    multi-frame copy of a scan without contrast agent.)
    """
    name = path.resolve().name
    words = read(name)
    if not words.families:
        return {}
    kept = sequence_of(words) if words.unknown else name
    return {"SourceFolder": kept} if kept else {}


def sidecar(image: Path, stem: str) -> tuple[dict[str, Any], list[str]]:
    """Acquisition attributes from a BIDS JSON beside ``image``, and warnings.

    BIDS gives times in seconds (https://bids-specification.readthedocs.io); they become ms.
    """
    path = image.with_name(f"{stem}.json")
    if not path.is_file():
        return {}, []
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        values = None
    if not isinstance(values, Mapping):
        return {}, [f"{path.name} beside {image.name} is not readable JSON and was left aside."]
    found = {key: values[key] for key in KEYWORDS if isinstance(values.get(key), str | int | float)}
    for key in ("ScanningSequence", "SequenceVariant", "ScanOptions", "ImageType"):
        if isinstance(values.get(key), list):
            found[key] = tuple(map(str, values[key]))
    if "ContrastBolusIngredient" in values:
        found.setdefault("ContrastBolusAgent", str(values["ContrastBolusIngredient"]))
    times = [key for key in _SECONDS if isinstance(found.get(key), int | float)]
    # No echo time reaches a second: such a file was written in ms against the standard.
    factor = 1.0 if float(found.get("EchoTime") or 0) > 1.0 and "EchoTime" in times else 1000.0
    for key in times:
        found[key] = round(float(found[key]) * factor, 6)
    return found, []
