"""What the network is told about an image: its contrast in numbers and the user's words."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from ..prompts import RANGES, Contrast
from ..sequences import SEQUENCE_NAMES, SEQUENCES, SPIN_ECHO_FROM_MS
from .completion import completed, settled
from .described import Described

VECTOR_SIZE = len(SEQUENCE_NAMES) + 2 + 5 * 2


def contrast_vector(contrast: Described) -> np.ndarray:
    """float32 (VECTOR_SIZE,): sequence one-hot, agent, fat suppression, then value and
    "is known" of field strength, TR, TE, TI (logarithmic) and flip angle, of the contrast as
    :func:`completion.settled` has it."""
    contrast = settled(contrast)
    vector = np.zeros(VECTOR_SIZE, np.float32)
    vector[SEQUENCE_NAMES.index(contrast.sequence)] = 1.0
    start = len(SEQUENCE_NAMES)
    vector[start] = float(contrast.contrast_agent)
    vector[start + 1] = float(contrast.fat_suppressed)
    values = (
        None if contrast.field_strength_t is None else contrast.field_strength_t / 3.0,
        _logarithm(contrast.tr_ms),
        _logarithm(contrast.te_ms),
        _logarithm(contrast.ti_ms),
        None if contrast.flip_angle_deg is None else contrast.flip_angle_deg / 90.0,
    )
    for number, value in enumerate(values):
        if value is not None:
            vector[start + 2 + 2 * number] = value
            vector[start + 3 + 2 * number] = 1.0
    return vector


def _logarithm(milliseconds: float | None) -> float | None:
    if milliseconds is None or milliseconds <= 0:
        return None
    return math.log10(max(milliseconds, 0.5)) / 2.0 - 0.5


@dataclass(frozen=True)
class Description:
    """What is known of an input image."""

    text: str
    sequence: str
    contrast_agent: bool
    fat_suppressed: bool
    field_strength_t: float | None = None
    tr_ms: float | None = None
    te_ms: float | None = None
    ti_ms: float | None = None
    flip_angle_deg: float | None = None
    technique: str | None = None


_FROM_DICOM = {
    "field_strength_t": "MagneticFieldStrength",
    "tr_ms": "RepetitionTime",
    "te_ms": "EchoTime",
    "ti_ms": "InversionTime",
    "flip_angle_deg": "FlipAngle",
}


_GAUSS_PER_T = 1e4


class Scanned(Protocol):
    """A volume, or a panel's line of one: its sequence, and its header by DICOM keyword."""

    @property
    def sequence(self) -> str | None:
        """Canonical name."""

    @property
    def acquisition(self) -> Mapping[str, Any]:
        """How it was taken."""


def describe_input(volume: Scanned) -> Description:
    """An input's sequence, and its technique and parameters where its header had them.

    A header's number outside what the prompt's may be (:data:`prompts.RANGES`) is not believed; a
    field strength in gauss, which old scanners wrote, is.
    """
    known: dict[str, float] = {}
    for name, keyword in _FROM_DICOM.items():
        value = volume.acquisition.get(keyword)
        if not isinstance(value, int | float):
            continue
        _, low, high, _ = RANGES[name]
        if name == "field_strength_t" and low <= value / _GAUSS_PER_T <= high:
            value = value / _GAUSS_PER_T
        if low <= value <= high:
            known[name] = float(value)
    if known.get("flip_angle_deg", 0) > 60 and known.get("tr_ms", 1e9) > SPIN_ECHO_FROM_MS:
        known.pop("flip_angle_deg")  # refocusing angles say nothing about the contrast
    info = SEQUENCES[volume.sequence]
    # as prompts say it: of DWI and FLAIR it goes without saying
    suppressed = info.name.endswith("-FS") or info.name == "STIR"
    technique = _header_technique(volume.acquisition.get("ScanningSequence"))
    return Description(
        info.name, info.name, info.contrast_agent, suppressed, **known, technique=technique
    )


def _header_technique(scanning_sequence: object) -> str | None:
    """From DICOM's ScanningSequence (0018,0020): one code or several."""
    if scanning_sequence is None:
        return None
    codes = set(re.findall("[A-Z]+", str(scanning_sequence)))
    if "GR" in codes:
        return _PREPARED if "IR" in codes else "gradient echo"
    return "spin echo" if "SE" in codes else None


_TECHNIQUES = ("spin echo", "gradient echo", "inversion recovery", "echo planar")
_PREPARED = "inversion-prepared gradient echo"


def describe_target(contrast: Contrast) -> Description:
    """A prompt as understood, in the words that the text tower was trained on.

    The user's own words reach the network through what was understood of them, so that any
    language gives the same image for the same meaning.
    """
    words = [contrast.sequence]
    prepared = contrast.technique == "gradient echo" and contrast.ti_ms is not None
    if prepared or contrast.technique == _PREPARED:
        words.append("MPRAGE")
    elif contrast.technique in _TECHNIQUES:
        words.append(contrast.technique)
    if contrast.vendor:
        words.append(contrast.vendor)
    suppressed = contrast.sequence.endswith("-FS") or contrast.sequence == "STIR"
    if contrast.sequence == "FLAIR" and contrast.fat_suppressed:
        words.append("fat-suppressed")
        suppressed = True
    return Description(
        ", ".join(words),
        contrast.sequence,
        contrast.contrast_agent,
        suppressed,
        contrast.field_strength_t,
        contrast.tr_ms,
        contrast.te_ms,
        contrast.ti_ms,
        contrast.flip_angle_deg,
        contrast.technique,
    )


def understood_as(contrast: Contrast, inputs: Sequence[Scanned]) -> str:
    """A prompt in words, and what the inputs' headers, or what is usual, add to it."""
    wanted = describe_target(contrast)
    wish, like = completed(wanted, [describe_input(volume) for volume in inputs])
    field, times = [], []
    if wanted.field_strength_t is None and wish.field_strength_t is not None:
        field.append(f"{wish.field_strength_t:g} T")
    for name, text in _IN_WORDS.items():
        value = getattr(wish, name)
        if getattr(wanted, name) is None and value is not None:
            times.append(text.format(round(value, 1)))
    if like:
        added = [f"{', '.join(field + times)} as in {like}"]
    else:
        added = [f"{', '.join(field)} as in the inputs"] if field else []
        added += [f"{', '.join(times)} as usual"] if times else []
    return "; ".join([contrast.describe(), *added])


_IN_WORDS = {
    "tr_ms": "TR {:g} ms",
    "te_ms": "TE {:g} ms",
    "ti_ms": "TI {:g} ms",
    "flip_angle_deg": "flip angle {:g}°",
}
