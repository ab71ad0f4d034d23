"""What people write when they mean a protocol, in English, German and Chinese.

A prompt names the kind of image, says or leaves open contrast agent and fat suppression where
leaving open means the same, and may add technique, plane, vendor, field strength and times.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from ..prompts import RANGES, canonical_text, for_sequence
from ..sequences import SEQUENCES
from ..simulation.protocols import Mention, Protocol, mention
from ..synthesis.conditioning import describe_target
from ..synthesis.spelling import words_of
from . import lexicon_words as words
from .handwriting import in_a_hurry

_TECHNIQUE_NAMES = {
    "SE": "spin echo",
    "GRE": "gradient echo",
    "MPRAGE": "inversion-prepared gradient echo",
}
_SEPARATORS = (" ", " ", ", ", ", ", "; ", "_", " - ", " / ")
_AND = {"en": "and", "de": "und"}
_SAY_NO_AGENT = {"T1": 0.5, "T2": 0.1, "PD": 0.05, "CT": 0.15}
_SAY_NO_FAT = {"T1": 0.35, "T2": 0.35, "PD": 0.35}
"""Kind of image -> how often it is said that there is no contrast agent, no suppression."""

Table = dict[str, words.Phrases]
"""Language -> phrases."""


@dataclass(frozen=True)
class Writing:
    """A prompt: what it says, in which language and form, whether it holds a phrase that is kept
    for the test, and whether one that says no."""

    said: Mention
    language: str
    form: str
    kept_back: bool = False
    negated: bool = False


class Lexicon:
    """Writes prompts.

    Parameters
    ----------
    reserved:
        Texts that are never written, whatever their case and punctuation: the prompts that
        a model is judged by.
    """

    def __init__(self, reserved: Collection[str] = ()) -> None:
        self._reserved = {tuple(words_of(text)) for text in reserved}

    def write(
        self,
        protocol: Protocol,
        rng: np.random.Generator,
        vendor: str | None = None,
        plane: str | None = None,
        test: bool = False,
        form: str | None = None,
        language: str | None = None,
    ) -> Writing:
        """A prompt for this protocol.

        ``test``: with at least one of the phrases kept back from training, else without any;
        ``form``: a key of :data:`FORMS`, by default any.
        """
        if test and form is not None and form not in _PHRASED:
            raise ValueError(f"the form {form!r} has no phrases that are kept back")
        while True:
            tongue = language or str(rng.choice(words.LANGUAGES, p=_LANGUAGE_SHARES))
            chosen = form or str(rng.choice(list(FORMS), p=_FORM_SHARES))
            pen = _Pen(protocol, rng, tongue, test, vendor, plane)
            text = FORMS[chosen](pen)
            if chosen in _PHRASED:
                text = in_a_hurry(pen.surrounded(text), rng)
            if pen.used_kept == test and tuple(words_of(text)) not in self._reserved:
                said = pen.mention(text) if pen.said is None else replace(pen.said, text=text)
                tongue = tongue if chosen in _PHRASED else "en"
                return Writing(said, tongue, chosen, pen.used_kept, pen.negated)


class _Pen:
    """Writes one prompt: keeps what it said."""

    def __init__(self, protocol, rng, language, test, vendor, plane) -> None:
        self.protocol, self.rng, self.language, self.test = protocol, rng, language, test
        self.vendor = vendor or str(rng.choice(list(words.VENDOR_NAMES)))
        self.plane = plane or str(rng.choice(list(words.PLANES["en"])))
        self.used_kept = self.negated = False
        self.numbers: dict[str, Any] = {}
        self.said: Mention | None = None
        info = SEQUENCES[protocol.sequence]
        self.agent = info.contrast_agent
        self.suppressed = protocol.sequence.endswith("-FS")
        self.family = _family(protocol.sequence)

    def mention(self, text: str) -> Mention:
        """What was written, in numbers too."""
        suppressed = self.suppressed or self.protocol.sequence == "STIR"
        sequence = self.protocol.sequence
        return Mention(text, sequence, self.agent, suppressed, **self.numbers)

    def chance(self, share: float) -> bool:
        return bool(self.rng.random() < share)

    def pick(self, phrases: words.Phrases) -> str:
        """One phrase; one that is kept back where this is a test, in two cases of three."""
        held = words.part(phrases, True) if self.test and self.chance(0.67) else []
        self.used_kept |= bool(held)
        return str(self.rng.choice(held or words.part(phrases, False)))

    def say(self, phrases: Table, names: Table) -> str:
        """One phrase of the language, with one of the names in its place."""
        phrase = self.pick(phrases[self.language])
        return phrase.format(self.pick(names[self.language])) if "{}" in phrase else phrase

    def kind(self) -> str:
        """The kind of image; of a T1-weighted gradient echo sometimes a vendor's name for it."""
        brands = words.T1_BRANDS.get(self.protocol.technique) if self.family == "T1" else None
        if brands and self.chance(0.4):
            self.numbers["technique"] = _TECHNIQUE_NAMES[self.protocol.technique]
            return self.pick(brands)
        return self.pick(words.FAMILIES[self.language][self.family])

    def essentials(self) -> list[str]:
        """Kind, and of agent and suppression what must be said and some of what need not."""
        if self.chance(0.12):
            info = SEQUENCES[self.protocol.sequence]
            return [self.pick((info.name, *info.aliases))]
        parts = [self.kind()]
        if self.family == "T1" and not (self.agent or self.suppressed) and self.chance(0.12):
            return [*parts, self._neither()]
        if self.agent or self.chance(_SAY_NO_AGENT.get(self.family, 0.0)):
            parts.append(
                self._said(self.agent, words.WITH_AGENT, words.WITHOUT_AGENT, words.AGENTS)
            )
        stir = self.family == "STIR" and self.chance(0.2)
        if self.suppressed or stir or self.chance(_SAY_NO_FAT.get(self.family, 0.0)):
            is_so = self.suppressed or stir
            parts.append(self._said(is_so, words.SUPPRESSED, words.NOT_SUPPRESSED, words.FAT))
        return parts

    def _said(self, is_so: bool, yes: Table, no: Table, names: Table) -> str:
        """That something is so or is not, sometimes by denying the contrary."""
        self.negated |= not is_so
        right = self.say(yes if is_so else no, names)
        if self.family not in ("T1", "T2") or not self.chance(0.06):
            return right
        self.negated = True
        wrong = self.say(no if is_so else yes, names)
        return self.pick(words.NOT_BUT[self.language]).format(wrong, right)

    def _neither(self) -> str:
        self.negated = True
        names = (self.pick(table[self.language]) for table in (words.AGENTS, words.FAT))
        return self.pick(words.NEITHER[self.language]).format(*names)

    def surrounded(self, text: str) -> str:
        """Sometimes with words around it that say nothing."""
        return self.pick(words.AROUND[self.language]).format(text) if self.chance(0.12) else text

    def technique(self) -> str:
        """One of the names of the protocol's technique."""
        if self.protocol.technique in _TECHNIQUE_NAMES:
            self.numbers["technique"] = _TECHNIQUE_NAMES[self.protocol.technique]
        return str(self.rng.choice(words.TECHNIQUES[self.protocol.technique]))

    def field(self) -> str:
        """The field strength in one of its forms."""
        value = self.protocol.field_t
        self.numbers["field_strength_t"] = value
        unit = {"en": "tesla", "de": "Tesla", "zh": "特斯拉"}[self.language]
        text = str(
            self.rng.choice((f"{value:g}T", f"{value:g} T", f"{value:.1f}T", f"{value:g} {unit}"))
        )
        return text.replace(".", ",") if self.language == "de" and self.chance(0.5) else text

    def times(self) -> list[str]:
        """Repetition and echo time together; inversion time and flip angle where there are any."""
        known = self._known_times()
        if not known:
            return []
        if "tr_ms" in known and "te_ms" in known and self.chance(0.3):
            parts = [self._combined(known.pop("tr_ms"), known.pop("te_ms"))]
        else:
            parts = []
            if self.chance(0.2):
                known.pop(str(self.rng.choice(list(known))))
        return parts + [self._time(name, value) for name, value in known.items()]

    def _known_times(self) -> dict[str, float]:
        protocol = self.protocol
        if protocol.technique in ("CT", "ADC"):
            return {}
        known = {"tr_ms": protocol.tr_ms, "te_ms": protocol.te_ms}
        if protocol.ti_ms and self.chance(0.7):
            known["ti_ms"] = protocol.ti_ms
        if protocol.technique in ("GRE", "MPRAGE") and self.chance(0.7):
            known["flip_angle_deg"] = protocol.flip_deg
        return {n: v for n, v in known.items() if RANGES[n][1] <= v <= RANGES[n][2]}

    def _combined(self, tr: float, te: float) -> str:
        self.numbers |= {"tr_ms": tr, "te_ms": te}
        between = str(self.rng.choice((" ", "=", " = ", ": ")))
        return f"TR/TE{between}{_short(tr)}/{_short(te)}{self.rng.choice(('', ' ms', 'ms'))}"

    def _time(self, name: str, value: float) -> str:
        self.numbers[name] = value
        label = str(self.rng.choice(words.TIMES[self.language][name]))
        if name == "flip_angle_deg":
            unit = str(self.rng.choice(("", "°", " deg")))
        elif value >= 400 and self.chance(0.2):
            value, unit = value / 1000.0, {"zh": "秒"}.get(self.language, " s")
        else:
            unit = str(self.rng.choice(("", " ms", "毫秒" if self.language == "zh" else "ms")))
        text = f"{label}{self.rng.choice((' ', ' ', '=', ': '))}{_short(value)}{unit}"
        return text.replace(".", ",") if self.language == "de" and self.chance(0.5) else text

    def extras(self) -> list[str]:
        """Plane, vendor, technique, field and times, each only sometimes."""
        parts = []
        if self.chance(0.3):
            parts.append(str(self.rng.choice(words.PLANES[self.language][self.plane])))
        if self.chance(0.15):
            parts.append(str(self.rng.choice(words.VENDOR_NAMES[self.vendor])))
        if self.protocol.technique in words.TECHNIQUES and self.chance(0.35):
            parts.append(self.technique())
        if self.protocol.technique not in ("CT", "ADC") and self.chance(0.35):
            parts.append(self.field())
        if self.chance(0.45):
            parts += self.times()
        return parts


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.2g}" if value < 1 else f"{value:.3g}"


def _family(sequence: str) -> str:
    base = sequence.removeprefix("CE-").removesuffix("-FS")
    return {"T1w": "T1", "T2w": "T2", "PDw": "PD"}.get(base, base)


def _list(pen: _Pen) -> str:
    """The words one after another, in any order."""
    parts = [*pen.essentials(), *pen.extras()]
    if pen.chance(0.5):
        pen.rng.shuffle(parts)
    if pen.language == "zh" and pen.chance(0.5):
        return _closed_up(parts)
    return str(pen.rng.choice(_SEPARATORS)).join(parts)


def _closed_up(parts: Sequence[str]) -> str:
    """The parts without spaces, as Chinese is written, but between Latin words and numbers."""
    text = ""
    for part in parts:
        latin = text[-1:].isascii() and part[:1].isascii() and text[-1:].isalnum()
        text += f" {part}" if latin else part
    return text


def _sentence(pen: _Pen) -> str:
    """A request."""
    first, *rest = pen.essentials()
    if pen.language == "zh":
        order = (*rest, first) if pen.chance(0.5) else (first, *rest)
        core = _closed_up(order)
    else:
        core = " ".join((first, *rest))
        if rest and pen.chance(0.5):
            core = f"{first} {f' {_AND[pen.language]} '.join(rest)}"
    text = pen.pick(words.SENTENCES[pen.language]).format(core)
    extras = pen.extras()
    return text + (", " + ", ".join(extras) if extras else "")


def _rather(pen: _Pen) -> str:
    """One kind of image and not another."""
    pen.negated = True
    others = [f for f in words.FAMILIES[pen.language] if f != pen.family]
    other = pen.pick(words.FAMILIES[pen.language][str(pen.rng.choice(others))])
    parts = pen.essentials()
    wanted = _closed_up(parts) if pen.language == "zh" else " ".join(parts)
    return str(pen.rng.choice(words.RATHER_THAN[pen.language])).format(wanted, other)


def _answers(pen: _Pen) -> str:
    """A form: contrast yes, fat saturation no."""
    agent, fat, yes, no = words.SAID_AS[pen.language]
    parts = [pen.kind()]
    if pen.family in ("T1", "T2", "PD"):
        answers = [(agent, pen.agent)] if pen.family == "T1" else []
        answers.append((fat, pen.suppressed))
        pen.rng.shuffle(answers)
        pen.negated = not all(is_so for _, is_so in answers)
        between = str(pen.rng.choice((": ", " ", "=")))
        parts += [
            f"{pen.pick(what)}{between}{pen.pick(yes if is_so else no)}" for what, is_so in answers
        ]
    return str(pen.rng.choice((", ", "; "))).join([*parts, *pen.extras()])


def _header(pen: _Pen) -> str:
    """The structured form of TUMSyn: None for what is not known."""
    rng, protocol = pen.rng, pen.protocol
    known = pen._known_times() if pen.chance(0.8) else {}
    pen.numbers |= known
    field = f"{protocol.field_t:.1f}"
    if pen.chance(0.2) or protocol.technique == "CT":
        field = "None"
    else:
        pen.numbers["field_strength_t"] = protocol.field_t
    scanner = f"{field} {pen.vendor}" if pen.chance(0.8) else field
    sides = [f"{rng.uniform(0.4, 1.2):.2f}", f"{protocol.slice_mm:.1f}"]
    voxel = f"{sides[0]} {sides[0]} {sides[1]}" if pen.chance(0.5) else "None"
    fields = {
        "Age": str(int(rng.integers(18, 85))) if pen.chance(0.4) else "None",
        "Gender": str(rng.choice(("F", "M", "None"))),
        "Scanner": scanner,
        "Modality": protocol.sequence,
        "Voxel size": voxel,
        "TR": _stated(known.get("tr_ms")),
        "TE": _stated(known.get("te_ms")),
        "TI": _stated(known.get("ti_ms")),
        "FA": _stated(known.get("flip_angle_deg")),
    }
    first = 0 if pen.chance(0.5) else 2
    equals, joint = ("=", ", ") if pen.chance(0.2) else (": ", "; ")
    return joint.join(f"{k}{equals}{v}" for k, v in list(fields.items())[first:])


def _stated(value: float | None) -> str:
    return "None" if value is None else _short(value)


def _usual(pen: _Pen) -> str:
    """What the product itself tells a network, of prompts and of headers."""
    pen.said = mention(pen.protocol, pen.rng, plain=0.3)
    return pen.said.text


def _understood(pen: _Pen) -> str:
    """How the product writes a prompt that it understood."""
    protocol = pen.protocol
    said: dict[str, Any] = pen._known_times() if pen.chance(0.6) else {}
    if protocol.technique not in ("CT", "ADC") and pen.chance(0.5):
        said["field_strength_t"] = protocol.field_t
    if pen.chance(0.4):
        said["technique"] = _TECHNIQUE_NAMES.get(protocol.technique)
    if pen.chance(0.2):
        said["vendor"] = pen.vendor
    if pen.chance(0.2):
        said["plane"] = pen.plane
    contrast = replace(for_sequence(protocol.sequence), **said)
    described = describe_target(contrast)
    pen.said = Mention(**asdict(described))
    return canonical_text(contrast) if pen.chance(0.5) else described.text


FORMS: dict[str, Callable[[_Pen], str]] = {
    "list": _list,
    "sentence": _sentence,
    "rather": _rather,
    "answers": _answers,
    "header": _header,
    "usual": _usual,
    "understood": _understood,
}
"""How a prompt can be written."""

_FORM_SHARES = (0.32, 0.2, 0.08, 0.1, 0.1, 0.12, 0.08)
_LANGUAGE_SHARES = (0.46, 0.27, 0.27)
_PHRASED = ("list", "sentence", "rather", "answers")
"""The forms that use the phrases of which some are kept back."""
