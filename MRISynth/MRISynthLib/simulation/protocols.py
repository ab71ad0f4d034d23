"""Protocols of the virtual hospitals: how each sequence is acquired, and how it is written."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .signal import Protocol

VENDORS = ("Siemens", "Philips", "GE", "United Imaging")


def draw_protocol(
    sequence: str, rng: np.random.Generator, field_t: float | None = None
) -> Protocol:
    """A protocol for a canonical sequence name, as some hospital would run it.

    Ranges cover the four hospitals of US 12,488,877 B2 and common brain protocols
    (3D gradient echo with inversion among them). Fat suppression is a continuum, since
    real images lie between none and full, whatever their header says.
    """
    field = float(field_t if field_t is not None else rng.choice((1.5, 3.0), p=(0.4, 0.6)))
    suppressed = sequence.endswith("-FS")
    fat = rng.uniform(0.04, 0.2) if suppressed else rng.choice((1.0, rng.uniform(0.35, 1.0)))
    fat = float(fat)
    if sequence in ("T1w", "T1w-FS", "CE-T1w", "CE-T1w-FS"):
        dose = float(rng.uniform(0.8, 1.2)) if sequence.startswith("CE") else 0.0
        kind = rng.choice(("SE", "GRE", "MPRAGE"), p=(0.7, 0.18, 0.12))
        if kind == "SE":
            return Protocol(
                sequence,
                "SE",
                field,
                rng.uniform(450, 760),
                rng.uniform(8, 17),
                dose=dose,
                fat_signal=fat,
            )
        if kind == "GRE":
            return Protocol(
                sequence,
                "GRE",
                field,
                rng.uniform(4, 12),
                rng.uniform(1.1, 4.5),
                flip_deg=rng.uniform(12, 25),
                dose=dose,
                fat_signal=fat,
            )
        return Protocol(
            sequence,
            "MPRAGE",
            field,
            rng.uniform(1700, 2600),
            rng.uniform(1.6, 4.0),
            rng.uniform(850, 1150),
            dose=dose,
            fat_signal=fat * rng.uniform(0.3, 0.9),
        )
    if sequence in ("T2w", "T2w-FS"):
        return Protocol(
            sequence, "SE", field, rng.uniform(2500, 6500), rng.uniform(65, 115), fat_signal=fat
        )
    if sequence == "STIR":
        null = 165 if field < 2 else 225
        return Protocol(
            sequence,
            "IR",
            field,
            rng.uniform(3500, 7600),
            rng.uniform(30, 97),
            rng.normal(null, 12),
        )
    if sequence == "FLAIR":
        return Protocol(
            sequence,
            "IR",
            field,
            rng.uniform(8000, 11000),
            rng.uniform(85, 140),
            rng.uniform(2250, 2750),
            fat_signal=float(rng.uniform(0.05, 1.0)),
        )
    if sequence == "PDw":
        return Protocol(
            sequence, "SE", field, rng.uniform(2200, 3800), rng.uniform(9, 28), fat_signal=fat
        )
    if sequence == "DWI":
        return Protocol(
            sequence,
            "DWI",
            field,
            rng.uniform(3500, 7000),
            rng.uniform(60, 95),
            b_value=float(rng.choice((800, 1000))),
            fat_signal=float(rng.uniform(0.03, 0.12)),
        )
    if sequence == "ADC":
        return Protocol(sequence, "ADC", field, 5000, 80, b_value=1000)
    if sequence == "CT":
        return Protocol(sequence, "CT", field)
    raise ValueError(f"no protocol for the sequence {sequence!r}")


def typical_protocol(sequence: str, field_t: float = 3.0) -> Protocol:
    """The one protocol used where a user gives a sequence name and nothing else."""
    table = {
        "T1w": Protocol("T1w", "SE", field_t, 600, 10),
        "T1w-FS": Protocol("T1w-FS", "SE", field_t, 600, 10, fat_signal=0.1),
        "CE-T1w": Protocol("CE-T1w", "SE", field_t, 600, 10, dose=1.0),
        "CE-T1w-FS": Protocol("CE-T1w-FS", "SE", field_t, 600, 10, dose=1.0, fat_signal=0.1),
        "T2w": Protocol("T2w", "SE", field_t, 4000, 80),
        "T2w-FS": Protocol("T2w-FS", "SE", field_t, 4000, 80, fat_signal=0.1),
        "STIR": Protocol("STIR", "IR", field_t, 5000, 60, 225 if field_t > 2 else 165),
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
    said: dict[str, float] = {}
    physical = protocol.technique not in ("CT", "ADC")
    if physical and rng.random() < 0.6:
        words.append(_TECHNIQUE_WORDS[protocol.technique][int(rng.integers(2))])
    if rng.random() < 0.5:
        said["field_strength_t"] = protocol.field_t
        words.append(f"{protocol.field_t:g} T")
    if physical and rng.random() < 0.6:
        said |= {"tr_ms": protocol.tr_ms, "te_ms": protocol.te_ms}
        words.append(f"TR {protocol.tr_ms:.0f} TE {protocol.te_ms:.0f}")
    if protocol.ti_ms and rng.random() < 0.6:
        said["ti_ms"] = protocol.ti_ms
        words.append(f"TI {protocol.ti_ms:.0f}")
    if protocol.technique == "GRE" and rng.random() < 0.6:
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
    return ", ".join(words)


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
