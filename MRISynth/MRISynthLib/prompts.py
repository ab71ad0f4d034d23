"""From a user's words to the contrast that is wanted.

Rules, not a model: what was understood can be shown and checked before anything runs, and a
text that means nothing is refused with the nearest things that do.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from .errors import InputError
from .sequences import (
    PREPARED_FROM_MS,
    SEQUENCE_NAMES,
    SEQUENCES,
    SPIN_ECHO_FROM_MS,
    canonical_name,
    nearest_names,
)
from .word_forms import plain
from .wording import Wording, compose, read

_NUMBER = r"(\d+(?:[.,]\d+)?)"
_TIME_UNIT = (
    r"(?:\s*((?:ms|msec|msek|milliseconds?|[uµμ]s|microseconds?|s|sec|sek|seconds?)(?![a-z])|"
    r"毫秒|微秒|秒))?"
)
_IS = r"\s*(?:=|:|of|is|von|为|是|(?<=\S)[-–])?\s*"
_LATIN_START = r"(?<![a-z0-9])"
_TIMES = {
    "tr_ms": rf"(?:{_LATIN_START}(?:tr|repetition time|repetitionszeit)|重复时间)",
    "te_ms": rf"(?:{_LATIN_START}(?:te|echo time|echozeit)|回波时间)",
    "ti_ms": rf"(?:{_LATIN_START}(?:ti|inversion time|inversionszeit)|(?<!短)反转时间)",
}
_COMBINED = re.compile(
    rf"{_LATIN_START}(tr\s*/\s*te(?:\s*/\s*ti)?){_IS}{_NUMBER}\s*/\s*{_NUMBER}"
    rf"(?:\s*/\s*{_NUMBER})?{_TIME_UNIT}"
)
_FLIP = re.compile(
    rf"(?:{_LATIN_START}(?:flip angle|flip|fa|flipwinkel|kippwinkel)|翻转角度?){_IS}{_NUMBER}"
    r"\s*(?:°|degrees?|deg|grad|度)?"
)
_FIELD = re.compile(
    rf"{_LATIN_START}(?<!\d)(?:(\d{{1,2}}(?:[.,]\d+)?)\s*(?:(?:t|tesla)(?![a-z0-9*])|特斯拉)|"
    r"(\d{2,5})\s*((?:mt|millitesla|gauss)(?![a-z0-9*])|高斯))"
)
_SCANNER = re.compile(
    r"(?:scanner|gerät|扫描仪|设备|系统)\s*[:=]\s*(\d(?:[.,]\d+)?)(?![\d*]|[.,]\d|\s*t)"
)
_DICOM_TAGS = {
    tag: re.compile(rf"\(?{tag[:4]},\s*{tag[4:]}\)?\s*(?:ds|fl|fd)?\s*\[?\s*(?=\d)")
    for tag in ("00180080", "00180081", "00180082", "00181314", "00180087")
}
_TAG_NAMES = dict(zip(_DICOM_TAGS, ("tr ", "te ", "ti ", "flip ", "scanner: "), strict=True))
_NEGATIVE = re.compile(r"(?:\b(?:tr|te|ti|fa)\s*[:=]?\s+-|(?:minus|负)\s*)\d")

_UNITS = {"s": 1e3, "秒": 1e3, "u": 1e-3, "µ": 1e-3, "μ": 1e-3, "micro": 1e-3, "微": 1e-3,
          "mt": 1e-3, "millitesla": 1e-3, "gauss": 1e-4, "高斯": 1e-4}  # fmt: skip
"""How a unit begins -> what it counts, in milliseconds or tesla."""
RANGES = {
    "tr_ms": ("TR", 1.0, 30000.0, "ms"),
    "te_ms": ("TE", 0.1, 1000.0, "ms"),
    "ti_ms": ("TI", 10.0, 10000.0, "ms"),
    "flip_angle_deg": ("flip angle", 1.0, 180.0, "degrees"),
    "field_strength_t": ("field strength", 0.05, 12.0, "T"),
}
"""Parameter -> (its name, least, most, unit)."""
_WEIGHTING_TEXT = {
    "T1": "T1-weighted",
    "T2": "T2-weighted",
    "PD": "proton-density-weighted",
    "diffusion": "diffusion-weighted",
    "ADC": "apparent diffusion coefficient",
    "CT": "computed tomography",
}


@dataclass(frozen=True)
class Contrast:
    """The contrast that is wanted; None where the user left it open.

    ``sequence`` is a canonical name; times are in ms, the field in tesla, the angle in degrees.
    ``text`` keeps the user's words, ``not_understood`` those of them without a meaning here.
    """

    sequence: str
    weighting: str
    contrast_agent: bool = False
    fat_suppressed: bool = False
    field_strength_t: float | None = None
    tr_ms: float | None = None
    te_ms: float | None = None
    ti_ms: float | None = None
    flip_angle_deg: float | None = None
    plane: str | None = None
    vendor: str | None = None
    text: str = ""
    technique: str | None = None
    not_understood: tuple[str, ...] = ()

    def describe(self) -> str:
        """One line in words, shown as "understood as"."""
        line = f"{self.sequence}: {', '.join(self._parts())}"
        if self.not_understood:
            words = ", ".join(f"'{word}'" for word in self.not_understood)
            line += f" (not understood: {words})"
        return line

    def _parts(self) -> list[str]:
        look = _WEIGHTING_TEXT[self.weighting]
        if self.sequence in ("STIR", "FLAIR"):
            look += f" {SEQUENCES[self.sequence].description.casefold()}"
        if self.technique and self.technique not in look:
            look += f" {self.technique}"
        if self.weighting not in ("ADC", "CT"):
            look += " look"
        parts = [look]
        if self.weighting == "T1":
            parts.append("with contrast agent" if self.contrast_agent else "no contrast agent")
        if self.weighting not in ("ADC", "CT", "diffusion"):
            parts.append("fat-suppressed" if self.fat_suppressed else "fat not suppressed")
        if self.field_strength_t is not None:
            parts.append(f"{self.field_strength_t:g} T")
        for label, value in (("TR", self.tr_ms), ("TE", self.te_ms), ("TI", self.ti_ms)):
            if value is not None:
                parts.append(f"{label} {value:g} ms")
        if self.flip_angle_deg is not None:
            parts.append(f"flip angle {self.flip_angle_deg:g}°")
        return parts + [part for part in (self.plane, self.vendor) if part]


class OtherSequence(InputError):
    """A text asks for another sequence, ``asked``, than the target that was chosen beside it."""

    def __init__(self, message: str, asked: str) -> None:
        super().__init__(message)
        self.asked = asked


def canonical_text(contrast: Contrast) -> str:
    """The wish in one normal form of English, for the text tower.

    Two texts that mean the same give the same string; what is left open is left out.
    """
    return f"{contrast.sequence}. " + ". ".join(contrast._parts()) + "."


def understand(text: str, sequence: str | None = None) -> Contrast:
    """What contrast ``text`` asks for, in English, German or Chinese.

    Contrast agent is understood in more languages; see :mod:`MRISynthLib.word_forms`.

    ``sequence`` is the target that the user chose beside the text, by any of its names; the text
    may then add to it (field strength, times) but not contradict it.

    Raises
    ------
    InputError
        If the text means nothing, contradicts itself or ``sequence``, asks for an image that is
        none of the vocabulary's, or has a word beside the contrast agent or fat suppression that
        may deny it; the message says what to write. An ``OtherSequence`` if it contradicts
        ``sequence`` by asking for another one.
    """
    target = _target(sequence)
    values, rest = _take_numbers(plain(text))
    words = read(rest)
    _check_words(words, text)
    named = words.families or words.contrast or words.fat
    if target is None and not text.strip():
        raise InputError(f"The prompt is empty; name one of {', '.join(SEQUENCE_NAMES)}.")
    if target is None and not named:
        raise InputError(f"The prompt '{text.strip()}' names no sequence; {_offer(text)}.")
    aside = values or words.technique or words.plane or words.vendor or words.refused
    if words.unknown and not named and not aside:
        raise InputError(
            f"The prompt '{text.strip()}' means nothing to MRISynth; say how {target} is to look, "
            "as in '3T, TR 620 ms, TE 10 ms, axial', or leave it out."
        )
    family, contrast_agent, fat_suppressed = _wish(words, target, text)
    name = compose(family, contrast_agent, fat_suppressed)
    if target is not None and name != target:
        raise OtherSequence(
            f"The prompt '{text.strip()}' asks for {name}, but the target is {target}; "
            f"choose {name} as the target or change the prompt.",
            name,
        )
    for refused in words.refused:
        if refused == family:
            raise InputError(
                f"The prompt '{text.strip()}' says that it is not to be {refused}, but {name} is; "
                f"change the prompt or the target."
            )
    info = SEQUENCES[name]
    return Contrast(
        sequence=name,
        weighting=info.weighting,
        contrast_agent=contrast_agent,
        fat_suppressed=fat_suppressed or info.fat_suppressed,
        plane=words.plane,
        vendor=words.vendor,
        text=text.strip(),
        technique=words.technique or _technique(info.weighting, values),
        not_understood=words.unknown,
        **values,
    )


def for_sequence(sequence: str) -> Contrast:
    """The contrast that a sequence's name alone asks for."""
    return replace(understand("", sequence), text="")


def _target(sequence: str | None) -> str | None:
    if sequence is None:
        return None
    name = canonical_name(sequence)
    if name is None:
        raise InputError(f"'{sequence}' is no sequence that MRISynth knows; {_offer(sequence)}.")
    return name


def _offer(text: str) -> str:
    return f"the nearest are {', '.join(nearest_names(text))} (all: {', '.join(SEQUENCE_NAMES)})"


def _check_words(words: Wording, text: str) -> None:
    quoted = f"The prompt '{text.strip()}'"
    if words.foreign:
        raise InputError(
            f"{quoted} asks for {words.foreign}, which MRISynth cannot make; {_offer(text)}."
        )
    if len(words.families) > 1:
        raise InputError(
            f"{quoted} asks for {' and '.join(words.families)} at once; "
            "name one sequence for each target."
        )
    if len(words.contrast) > 1:
        raise InputError(
            f"{quoted} asks for an image both with and without contrast agent; say which."
        )
    if len(words.fat) > 1:
        raise InputError(f"{quoted} asks for fat both suppressed and not; say which.")
    if words.doubtful:
        raise InputError(
            f"{quoted} has the word '{words.doubtful[0]}', which MRISynth does not know, beside "
            "contrast agent or fat suppression; write 'with' or 'without' instead, or leave it out."
        )


def _wish(words: Wording, target: str | None, text: str) -> tuple[str, bool, bool]:
    """Family, contrast agent and fat suppression that text and target ask for together."""
    quoted = f"The prompt '{text.strip()}'"
    promised = SEQUENCES[target] if target else None
    if words.families:
        family = words.families[0]
    elif promised is not None:
        family = next(
            kind
            for kind in ("T1", "T2", "PD", target)
            if kind and compose(kind, promised.contrast_agent, promised.fat_suppressed) == target
        )
    elif True in words.contrast:
        family = "T1"
    else:
        raise InputError(
            f"{quoted} does not say which weighting is wanted, T1 or T2; "
            "name it, as in 'T1w-FS' or 'T2w-FS'."
        )
    agent, fat = True in words.contrast, True in words.fat
    if promised and compose(family, promised.contrast_agent, promised.fat_suppressed) == target:
        agent = agent or (promised.contrast_agent and not words.contrast)
        fat = fat or (promised.fat_suppressed and not words.fat)
    if agent and family != "T1":
        raise InputError(
            f"{quoted} asks for a contrast agent in {compose(family, False, False)}, which is none "
            "of the sequences that MRISynth makes; the nearest are CE-T1w, CE-T1w-FS."
        )
    if family in ("STIR", "DWI", "ADC") and False in words.fat:
        raise InputError(
            f"{quoted} asks for {family} without fat suppression, but {family} always suppresses "
            "fat; ask for T2w instead."
        )
    return family, agent, fat


def _take_numbers(text: str) -> tuple[dict[str, float], str]:
    """Acquisition parameters in the text, and the text without them."""
    values: dict[str, float] = {}
    text = re.sub(r"(?<![\d.,])([1-9]\d{0,2}),(\d{3})(?!\d)", r"\1\2", text)  # 4,000 ms
    for tag, pattern in _DICOM_TAGS.items():
        text = pattern.sub(f" {_TAG_NAMES[tag]}", text)
    if _NEGATIVE.search(text):
        raise InputError(
            "The prompt gives a negative number; times, angles and field strengths are positive."
        )

    def put(key: str, number: str, unit: str | None) -> None:
        value = float(number.replace(",", "."))
        if unit:
            value *= next((f for start, f in _UNITS.items() if unit.startswith(start)), 1.0)
        label, low, high, in_unit = RANGES[key]
        if not low <= value <= high:
            raise InputError(
                f"The prompt gives a {label} of {value:g} {in_unit}; "
                f"it must lie between {low:g} and {high:g} {in_unit}."
            )
        if values.setdefault(key, value) != value:
            raise InputError(
                f"The prompt gives two values for the {label}, {values[key]:g} and {value:g} "
                f"{in_unit}; give one."
            )

    def combined(match: re.Match[str]) -> str:
        for key, number in zip(_TIMES, match.groups()[1:4], strict=True):
            if number is not None:
                put(key, number, match[5])
        return " , "

    text = _COMBINED.sub(combined, text)
    for key, pattern in _TIMES.items():
        for match in re.finditer(pattern + _IS + _NUMBER + _TIME_UNIT, text):
            put(key, match[1], match[2])
        text = re.sub(pattern + _IS + _NUMBER + _TIME_UNIT, " , ", text)
    for key, compiled in (
        ("flip_angle_deg", _FLIP),
        ("field_strength_t", _FIELD),
        ("field_strength_t", _SCANNER),
    ):
        for match in compiled.finditer(text):
            small = match[2] if compiled is _FIELD else None
            put(key, small or match[1], match[3] if small else None)
        text = compiled.sub(" , ", text)
    return values, text


def _technique(weighting: str, values: dict[str, float]) -> str | None:
    """What the times of a T1-weighted image say of how it is taken."""
    if weighting != "T1" or "tr_ms" not in values:
        return None
    if "ti_ms" in values or values["tr_ms"] > PREPARED_FROM_MS:
        return "inversion-prepared gradient echo"
    return "gradient echo" if values["tr_ms"] < SPIN_ECHO_FROM_MS else "spin echo"
