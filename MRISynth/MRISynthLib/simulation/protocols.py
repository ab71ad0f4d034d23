"""Protocols: how each sequence is acquired, and how that is written."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .contrast_agent import AGENT_RELAXIVITY

VENDORS = ("Siemens", "Philips", "GE", "United Imaging")

Range = tuple[float, float]

R1_PER_MM_S = 3.8
"""Longitudinal relaxivity (l/mmol/s) of a typical gadolinium chelate in plasma."""

FAT_SHIFT_HZ_PER_T = 147.0
"""Fat precesses slower than water by 3.45 ppm of 42.58 MHz/T."""

CSF_T1_MS = 4300.0


@dataclass(frozen=True)
class Protocol:
    """How one image is acquired.

    ``technique`` is "SE" (also turbo spin echo), "IR", "GRE", "MPRAGE", "DWI", "ADC" or
    "CT"; times in ms, flip angle in degrees, b in s/mm2, ``dose`` relative to the standard
    0.1 mmol/kg, ``fat_signal`` the share of the fat signal that is left (1 = no suppression;
    fast trains of pulses can have more), ``delay_min`` minutes from injection to image,
    ``relaxivity`` r1 of the agent in l/mmol/s, ``slice_mm`` the excited thickness, which
    decides how much flowing blood is lost.
    """

    sequence: str
    technique: str
    field_t: float = 3.0
    tr_ms: float = 600.0
    te_ms: float = 10.0
    ti_ms: float = 0.0
    flip_deg: float = 90.0
    b_value: float = 0.0
    dose: float = 0.0
    fat_signal: float = 1.0
    delay_min: float = 5.0
    relaxivity: float = R1_PER_MM_S
    slice_mm: float = 4.0

    @property
    def fat_phase(self) -> float:
        """Angle (radians) of fat against water; spin echoes bring them together again."""
        if self.technique not in ("GRE", "MPRAGE"):
            return 0.0
        return 2 * math.pi * FAT_SHIFT_HZ_PER_T * self.field_t * self.te_ms / 1000.0


def fat_null_ms(field_t: float) -> float:
    """Inversion time at which STIR is usual: 165 ms at 1.5 T, 225 ms at 3 T."""
    return 165.0 + 40.0 * (field_t - 1.5)


def null_time_ms(t1_ms: float, tr_ms: float) -> float:
    """Inversion time at which a tissue gives no signal: T1 (ln 2 - ln(1 + exp(-TR/T1)))."""
    return t1_ms * (math.log(2) - math.log1p(math.exp(-tr_ms / t1_ms)))


@dataclass(frozen=True)
class ProtocolRanges:
    """Where the parameters of one sequence lie at one place.

    Units as in :class:`Protocol`. Repetition and echo time are drawn together (short
    with short), as machines couple them. STIR and FLAIR without a range of inversion times
    null fat and cerebrospinal fluid.
    """

    technique: str
    tr_ms: Range
    te_ms: Range
    ti_ms: Range = (0.0, 0.0)
    flip_deg: Range = (90.0, 90.0)
    b_value: Range = (0.0, 0.0)
    fat_signal: Range = (1.0, 1.0)

    def narrowed(self, position: float, width: float = 0.3) -> ProtocolRanges:
        """The part of each range that starts at ``position`` (0-1) of what it leaves free."""

        def part(whole: Range) -> Range:
            low = whole[0] + position * (1 - width) * (whole[1] - whole[0])
            return (low, low + width * (whole[1] - whole[0]))

        names = ("tr_ms", "te_ms", "ti_ms", "flip_deg", "b_value")
        return replace(self, **{name: part(getattr(self, name)) for name in names})

    def draw(
        self,
        sequence: str,
        field_t: float,
        rng: np.random.Generator,
        **agent_and_slice: float,
    ) -> Protocol:
        """A protocol within the ranges; further fields of ``Protocol`` as they are given."""
        place = rng.uniform()
        tr = _between(self.tr_ms, np.clip(place + rng.normal(0, 0.15), 0, 1))
        te = min(_between(self.te_ms, np.clip(place + rng.normal(0, 0.15), 0, 1)), 0.9 * tr)
        ti = float(rng.uniform(*self.ti_ms))
        if ti == 0.0 and sequence == "STIR":
            ti = fat_null_ms(field_t) * float(rng.normal(1, 0.04))
        elif ti == 0.0 and sequence == "FLAIR":
            ti = null_time_ms(CSF_T1_MS, tr) * float(rng.normal(1, 0.02))
        return Protocol(
            sequence,
            self.technique,
            field_t,
            round(tr, 2),
            round(te, 2),
            round(ti, 1),
            flip_deg=round(float(rng.uniform(*self.flip_deg)), 1),
            b_value=100.0 * round(float(rng.uniform(*self.b_value)) / 100.0),
            fat_signal=float(rng.uniform(*self.fat_signal)),
            **agent_and_slice,
        )


def _between(limits: Range, share: float) -> float:
    return float(limits[0] + share * (limits[1] - limits[0]))


_NOT_SUPPRESSED = (0.45, 1.0)
_SUPPRESSED = (0.03, 0.15)
"""Fat suppression is a continuum, since real images lie between none and full whatever their
header says: fat against white matter is about 2.5 in one real spin echo, 0.6 in one MPRAGE."""

_BRIGHT = (0.5, 1.35)
"""Trains of refocusing pulses undo the J-coupling that shortens the T2 of fat: it comes out
brighter than its relaxation times say (Henkelman et al., J Magn Reson Imaging 4:533, 1994)."""

T1_SPIN_ECHO = ProtocolRanges("SE", (450, 760), (8, 17), fat_signal=_NOT_SUPPRESSED)
T1_GRADIENT_ECHO = ProtocolRanges(
    "GRE", (4, 12), (1.1, 5.5), flip_deg=(9, 25), fat_signal=_NOT_SUPPRESSED
)
T1_GRADIENT_ECHO_2D = ProtocolRanges(
    "GRE", (150, 300), (2.2, 5.0), flip_deg=(65, 80), fat_signal=_NOT_SUPPRESSED
)
T1_PREPARED = ProtocolRanges(
    "MPRAGE", (1700, 2600), (1.6, 4.0), (850, 1250), (6, 11), fat_signal=(0.15, 0.85)
)
T2_SPIN_ECHO = ProtocolRanges("SE", (2500, 8000), (65, 135), fat_signal=_BRIGHT)

BROAD: dict[str, tuple[tuple[float, ProtocolRanges], ...]] = {
    "T1w": (
        (0.6, T1_SPIN_ECHO),
        (0.15, T1_GRADIENT_ECHO),
        (0.05, T1_GRADIENT_ECHO_2D),
        (0.2, T1_PREPARED),
    ),
    "T2w": ((1.0, T2_SPIN_ECHO),),
    "STIR": ((1.0, ProtocolRanges("IR", (3500, 7700), (30, 97))),),
    "FLAIR": (
        (0.75, ProtocolRanges("IR", (8000, 11000), (85, 140), fat_signal=(0.05, 0.6))),
        (0.25, ProtocolRanges("IR", (4800, 6500), (95, 150), fat_signal=(0.03, 0.2))),
    ),
    "PDw": ((1.0, ProtocolRanges("SE", (2200, 3800), (9, 28), fat_signal=_NOT_SUPPRESSED)),),
    "DWI": (
        (
            1.0,
            ProtocolRanges(
                "DWI", (3500, 7000), (60, 95), b_value=(800, 1000), fat_signal=(0.02, 0.1)
            ),
        ),
    ),
    "ADC": ((1.0, ProtocolRanges("ADC", (5000, 5000), (80, 80), b_value=(1000, 1000))),),
    "CT": ((1.0, ProtocolRanges("CT", (0, 0), (0, 0))),),
}
"""Sequence -> (share, ranges) of what is in use. They cover the hospitals of US 12,488,877 B2
and common brain protocols; -FS and CE- sequences follow their plain one."""


def broad_ranges(sequence: str) -> tuple[tuple[float, ProtocolRanges], ...]:
    """(share, ranges) of a canonical sequence name over all hospitals."""
    base = sequence.removeprefix("CE-").removesuffix("-FS")
    if base not in BROAD:
        raise ValueError(f"no protocol for the sequence {sequence!r}")
    if not sequence.endswith("-FS"):
        return BROAD[base]
    return tuple((share, suppressed(ranges)) for share, ranges in BROAD[base])


def suppressed(ranges: ProtocolRanges) -> ProtocolRanges:
    """The same with fat suppression."""
    return replace(ranges, fat_signal=_SUPPRESSED)


def draw_protocol(
    sequence: str, rng: np.random.Generator, field_t: float | None = None
) -> Protocol:
    """A protocol for a canonical sequence name, as some hospital would run it."""
    field = float(field_t if field_t is not None else rng.choice((1.5, 3.0), p=(0.4, 0.6)))
    choices = broad_ranges(sequence)
    chosen = choices[int(rng.choice(len(choices), p=[share for share, _ in choices]))][1]
    agent = {}
    if sequence.startswith("CE-"):
        agent = {"dose": float(rng.uniform(0.8, 1.2)), "delay_min": float(rng.uniform(2.0, 9.0))}
        agent["relaxivity"] = relaxivity(str(rng.choice(sorted(AGENT_RELAXIVITY))), field)
    return chosen.draw(sequence, field, rng, slice_mm=float(rng.uniform(3.0, 5.0)), **agent)


def relaxivity(agent: str, field_t: float) -> float:
    """r1 of a contrast agent in l/mmol/s: on a line from 0.5 T to 3 T, held beyond."""
    low, high = AGENT_RELAXIVITY[agent]
    return low + (min(max(field_t, 0.5), 3.0) - 1.5) / 1.5 * (high - low)


def typical_protocol(sequence: str, field_t: float = 3.0) -> Protocol:
    """The one protocol used where a user gives a sequence name and nothing else."""
    table = {
        "T1w": Protocol("T1w", "SE", field_t, 600, 10),
        "T1w-FS": Protocol("T1w-FS", "SE", field_t, 600, 10, fat_signal=0.1),
        "CE-T1w": Protocol("CE-T1w", "SE", field_t, 600, 10, dose=1.0),
        "CE-T1w-FS": Protocol("CE-T1w-FS", "SE", field_t, 600, 10, dose=1.0, fat_signal=0.1),
        "T2w": Protocol("T2w", "SE", field_t, 4000, 80),
        "T2w-FS": Protocol("T2w-FS", "SE", field_t, 4000, 80, fat_signal=0.1),
        "STIR": Protocol("STIR", "IR", field_t, 5000, 60, fat_null_ms(field_t)),
        "FLAIR": Protocol("FLAIR", "IR", field_t, 9000, 110, 2500, fat_signal=0.5),
        "PDw": Protocol("PDw", "SE", field_t, 3000, 15),
        "DWI": Protocol("DWI", "DWI", field_t, 5000, 75, b_value=1000, fat_signal=0.07),
        "ADC": Protocol("ADC", "ADC", field_t, 5000, 80, b_value=1000),
        "CT": Protocol("CT", "CT", field_t),
    }
    return table[sequence]


@dataclass(frozen=True)
class Mention:
    """What a prompt says of a protocol: the words, and the numbers that stand in them."""

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


SUPPRESSED_FLAIR = 0.25
"""Share of the fat signal below which a FLAIR is called fat-suppressed; some are, most are not."""


def mention(protocol: Protocol, rng: np.random.Generator, plain: float = 0.4) -> Mention:
    """What someone would write for this protocol: any of its details may be left out.

    With probability ``plain`` it is the canonical sequence name and nothing else.
    """
    sequence = protocol.sequence
    agent = sequence.startswith("CE-")
    suppressed = sequence.endswith("-FS") or sequence == "STIR"
    if rng.random() < plain:
        return Mention(sequence, sequence, agent, suppressed)
    words = [sequence if rng.random() < 0.4 else _paraphrase(sequence, rng)]
    said: dict[str, Any] = {}
    if sequence == "FLAIR" and protocol.fat_signal < SUPPRESSED_FLAIR and rng.random() < 0.7:
        words.append("fat-suppressed")
        suppressed = True
    physical = protocol.technique not in ("CT", "ADC")
    if physical and rng.random() < 0.6:
        words.append(_TECHNIQUE_WORDS[protocol.technique][int(rng.integers(2))])
        said["technique"] = _TECHNIQUE_NAMES.get(protocol.technique)
    if rng.random() < 0.5:
        said["field_strength_t"] = protocol.field_t
        words.append(f"{protocol.field_t:g} T")
    if physical and rng.random() < 0.6:
        said |= {"tr_ms": protocol.tr_ms, "te_ms": protocol.te_ms}
        words.append(f"TR {protocol.tr_ms:.0f} TE {protocol.te_ms:.0f}")
    if protocol.ti_ms and rng.random() < 0.6:
        said["ti_ms"] = protocol.ti_ms
        words.append(f"TI {protocol.ti_ms:.0f}")
    if protocol.technique in ("GRE", "MPRAGE") and rng.random() < 0.6:
        said["flip_angle_deg"] = protocol.flip_deg
        words.append(f"flip angle {protocol.flip_deg:.0f}")
    if not suppressed and protocol.fat_signal < 0.6 and rng.random() < 0.6:
        words.append("partly fat-suppressed")
    if rng.random() < 0.2:
        words.append(str(rng.choice(VENDORS)))
    return Mention(", ".join(words), sequence, agent, suppressed, **said)


def protocol_prompt(protocol: Protocol) -> str:
    """All that a header would say of a protocol, as a prompt for its sequence."""
    if protocol.technique in ("CT", "ADC"):
        return ""
    words = [
        _TECHNIQUE_WORDS[protocol.technique][1],
        f"{protocol.field_t:g} T",
        f"TR {protocol.tr_ms:.0f} ms",
        f"TE {protocol.te_ms:.1f} ms",
    ]
    if protocol.technique == "MPRAGE":
        words[0] = "gradient echo"
    if protocol.ti_ms:
        words.append(f"TI {protocol.ti_ms:.0f} ms")
    if protocol.technique == "GRE":
        words.append(f"flip angle {protocol.flip_deg:.0f}")
    if protocol.sequence == "FLAIR" and protocol.fat_signal < SUPPRESSED_FLAIR:
        words.append("fat-suppressed")
    return ", ".join(words)


_TECHNIQUE_NAMES = {
    "SE": "spin echo",
    "GRE": "gradient echo",
    "MPRAGE": "inversion-prepared gradient echo",
}
_TECHNIQUE_WORDS = {
    "SE": ("TSE", "spin echo"),
    "IR": ("inversion recovery", "IR-TSE"),
    "GRE": ("GRE", "gradient echo"),
    "MPRAGE": ("MPRAGE", "3D inversion-prepared gradient echo"),
    "DWI": ("EPI", "echo planar"),
}


def _paraphrase(sequence: str, rng: np.random.Generator) -> str:
    """Another way to say a canonical name."""
    choices = {
        "T1w": ("T1-weighted", "T1 without contrast", "native T1", "T1 pre"),
        "T1w-FS": ("fat-suppressed T1", "T1 fat sat", "T1 SPIR"),
        "CE-T1w": ("post-gadolinium T1", "contrast-enhanced T1", "T1 post contrast", "T1+C"),
        "CE-T1w-FS": ("fat-suppressed post-gadolinium T1", "T1+C fat sat"),
        "T2w": ("T2-weighted", "T2 TSE", "T2"),
        "T2w-FS": ("fat-suppressed T2", "T2 fat sat", "T2 SPAIR"),
        "STIR": ("short tau inversion recovery", "TIRM"),
        "FLAIR": ("T2 FLAIR", "dark fluid"),
        "PDw": ("proton density", "PD-weighted"),
        "DWI": ("diffusion-weighted", "diffusion b1000"),
        "ADC": ("ADC map", "apparent diffusion coefficient"),
        "CT": ("computed tomography", "planning CT"),
    }
    return str(rng.choice(choices[sequence]))
