"""Which sequence an image is: by its DICOM attributes first, by its names second.

Every answer says how sure it is and why; evidence that disagrees lowers the confidence.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .wording import Wording, compose, read

CONFIDENT = 0.8
"""Below this confidence a face asks the user which sequence it is."""


@dataclass(frozen=True)
class Recognition:
    """What a volume is thought to be.

    ``confidence`` runs from 0 to 1 (ask the user below :data:`CONFIDENT`); ``reason`` is a
    sentence for the user; ``alternatives`` are the next candidates, best first.
    """

    sequence: str | None
    confidence: float
    reason: str
    alternatives: tuple[str, ...] = ()

    @property
    def confident(self) -> bool:
        """Whether a face may go on without asking."""
        return self.sequence is not None and self.confidence >= CONFIDENT


def recognise_parts(acquisition: Mapping[str, Any], name: str = "") -> Recognition:
    """Which sequence an image is, by the DICOM keywords of its acquisition and by its name.

    ``acquisition`` may hold ``SourceFolder``, the name of the folder that a file came from.
    """
    keys = ("SeriesDescription", "ProtocolName", "SequenceName", "PulseSequenceName")
    descriptions = dict.fromkeys(str(acquisition.get(key) or "").strip() for key in keys)
    described = " ".join(filter(None, descriptions))
    sources = [
        (label, text, read(text))
        for label, text in (
            ("series description", described),
            ("name", "" if name in descriptions else name),
            ("folder name", str(acquisition.get("SourceFolder") or "")),
        )
        if text
    ]
    physics, physics_reason = _family_from_physics(acquisition)
    family, confidence, reasons = _weigh_families(sources, physics, physics_reason, acquisition)
    foreign = next((words.foreign for _, _, words in sources if words.foreign), None)
    if foreign:
        return Recognition(
            None, 0.0, f"It seems to be {foreign}, which is none of MRISynth's sequences."
        )
    if family is None:
        return Recognition(
            None, 0.0, "Neither its header nor its name says which sequence it is.", ("T1w", "T2w")
        )

    contrast, contrast_limit, contrast_reason = _contrast_agent(acquisition, sources, family)
    fat, fat_limit, fat_reason = _fat_suppression(acquisition, sources, family)
    confidence = min(confidence, contrast_limit, fat_limit)
    reasons += [reason for reason in (contrast_reason, fat_reason) if reason]
    if any(words.mask for _, _, words in sources):
        confidence = min(confidence, 0.5)
        reasons.append("the name suggests a mask or segmentation rather than an image")
    sequence = compose(family, contrast and family == "T1", fat)
    others = [physics] if physics else []
    others += [kind for _, _, words in sources for kind in words.families]
    alternatives = [compose(other, contrast and other == "T1", fat) for other in others]
    if family in ("T1", "T2"):
        alternatives += [
            compose(family, agent, suppressed)
            for agent in ((contrast, not contrast) if family == "T1" else (False,))
            for suppressed in (fat, not fat)
        ]
    alternatives = [other for other in dict.fromkeys(alternatives) if other != sequence]
    reason = "; ".join(reasons)
    return Recognition(
        sequence, round(confidence, 2), reason[0].upper() + reason[1:] + ".", tuple(alternatives)
    )


def _weigh_families(
    sources: list[tuple[str, str, Wording]],
    physics: str | None,
    physics_reason: str,
    acquisition: Mapping[str, Any],
) -> tuple[str | None, float, list[str]]:
    """Kind of image, confidence in it, reasons."""
    if str(acquisition.get("Modality") or "").upper() == "CT":
        return "CT", 0.98, ["the header says that the modality is CT"]
    votes = [(label, text, words.families) for label, text, words in sources if words.families]
    reasons = [f"the {label} '{text}' says {' and '.join(kinds)}" for label, text, kinds in votes]
    named = {kind for _, _, kinds in votes for kind in kinds}
    if physics:
        reasons.append(physics_reason)
    if not named:
        if physics:
            return physics, 0.7, reasons
        if any(True in words.contrast for _, _, words in sources):
            return "T1", 0.6, ["no weighting is named, so T1 is assumed"]
        return None, 0.0, []
    if len(named) == 1:
        family = votes[0][2][0]
        if physics is None:
            return family, 0.95 if len(votes) > 1 else 0.9, reasons
        if physics == family or (physics == "T2" and family in ("STIR", "FLAIR")):
            return family, 0.97, reasons
        if (physics, family) == ("ADC", "DWI"):  # diffusion series hold their ADC maps
            return "ADC", 0.97, reasons
        return physics, 0.5, [*reasons, "these contradict each other"]
    if physics in named:
        return physics, 0.6, [*reasons, "these contradict each other"]
    return votes[0][2][0], 0.4, [*reasons, "these contradict each other"]


def _number(acquisition: Mapping[str, Any], key: str) -> float | None:
    try:
        value = float(acquisition.get(key))  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return value if value > 0 else None


def _family_from_physics(acquisition: Mapping[str, Any]) -> tuple[str | None, str]:
    """Kind of image by its timing (ms) as in any MR textbook; (None, "") where that is unclear."""

    def flag(key: str) -> str:
        value = acquisition.get(key) or ""
        return (value if isinstance(value, str) else "\\".join(map(str, value))).upper()

    image_type = flag("ImageType").split("\\")
    if "ADC" in image_type:
        return "ADC", "the image type is ADC"
    technique, pulse_name = flag("ScanningSequence"), flag("SequenceName").casefold()
    if _number(acquisition, "DiffusionBValue"):
        return "DWI", f"the b-value is {acquisition['DiffusionBValue']:g} s/mm²"
    if re.search(r"\bep_b\d+", pulse_name) or "DIFFUSION" in image_type:
        return "DWI", "the pulse sequence is diffusion-weighted"
    tr, te = _number(acquisition, "RepetitionTime"), _number(acquisition, "EchoTime")
    ti, flip = _number(acquisition, "InversionTime"), _number(acquisition, "FlipAngle")
    if tr is None or te is None:
        return None, ""
    times = f"TR {tr:g} ms and TE {te:g} ms"
    inverted = ti is not None and ("IR" in technique or not technique or "tir" in pulse_name)
    gradient = "GR" in technique and "SE" not in technique
    if inverted and ti is not None:
        times = f"TR {tr:g} ms, TE {te:g} ms and TI {ti:g} ms"
        if ti < 350 and tr > 1200 and not gradient:
            return "STIR", f"{times} are those of STIR"
        if 1500 <= ti <= 3500 and tr > 4000 and te > 50:
            return "FLAIR", f"{times} are those of FLAIR"
        if 350 < ti < 1500 and te < 40:
            return "T1", f"{times} give T1 weighting"
        return None, ""
    if gradient or (not technique and tr < 50):
        short = tr < 60 or (tr < 700 and (flip or 0) >= 40)
        return ("T1", f"{times} give T1 weighting") if short and te < 10 else (None, "")
    if tr < 900 and te < 30:
        return "T1", f"{times} give T1 weighting"
    if tr > 1800 and te >= 45:
        return "T2", f"{times} give T2 weighting"
    if tr > 1500 and te < 35:
        return "PD", f"{times} give proton-density weighting"
    return None, ""


def _contrast_agent(
    acquisition: Mapping[str, Any], sources: list[tuple[str, str, Wording]], family: str
) -> tuple[bool, float, str]:
    """Whether an agent was given, the highest confidence that this allows, and why."""
    if family != "T1":
        return False, 1.0, ""
    agent = str(acquisition.get("ContrastBolusAgent") or "").strip()
    given = agent.casefold() not in ("", "no", "none", "n", "0", "nil", "without", "ohne", "keine")
    said = {value for _, _, words in sources for value in words.contrast}
    if (given and said == {False}) or len(said) > 1:
        return given, 0.6, "whether a contrast agent was given is said both ways"
    if given:
        return True, 1.0, f"the header names the contrast agent {agent}"
    if said == {True}:
        return True, 0.95, "a contrast agent is named"
    if said == {False}:
        return False, 1.0, "it was taken without contrast agent"
    return False, 0.9, "no contrast agent is mentioned"


def _fat_suppression(
    acquisition: Mapping[str, Any], sources: list[tuple[str, str, Wording]], family: str
) -> tuple[bool, float, str]:
    """Whether fat is suppressed, the highest confidence that this allows, and why."""
    if family not in ("T1", "T2"):
        return False, 1.0, ""
    options = acquisition.get("ScanOptions") or ""
    tokens = set(re.split(r"[\\\s]+", _flat(options).upper()))
    selective = str(acquisition.get("SpectrallySelectedSuppression") or "").upper()
    image_type = set(_flat(acquisition.get("ImageType") or "").upper().split("\\"))
    header = bool(tokens & {"FS", "FATSAT", "FAT_SAT", "FATSAT_GEMS", "SPAIR", "SPIR"})
    header |= selective in ("FAT", "FAT_AND_WATER") or bool(image_type & {"W", "WATER"})
    said = {value for _, _, words in sources for value in words.fat}
    if len(said) > 1 or (header and said == {False}):
        return header, 0.6, "whether fat is suppressed is said both ways"
    if header or True in said:
        return True, 1.0, "fat is suppressed"
    if False in said:
        return False, 1.0, "fat is not suppressed"
    if any(words.dixon for _, _, words in sources) and not image_type & {"IP", "IN_PHASE"}:
        return False, 0.6, "which Dixon image it is (water, in-phase ...) is not said"
    return False, 1.0, ""


def _flat(value: Any) -> str:
    return value if isinstance(value, str) else "\\".join(map(str, value))
