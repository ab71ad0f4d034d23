"""What a description leaves open: taken from the inputs' headers, and from what is usual.

A network and the signal equation know a contrast by its numbers. Words that mean numbers, such
as "MPRAGE", become numbers here, the same ones in training and in use.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..sequences import PREPARED_FROM_MS, SPIN_ECHO_FROM_MS
from ..simulation.protocols import CSF_T1_MS, null_time_ms
from .described import Described

SPIN_ECHO_DEG = 90.0
"""Excitation angle that stands for a spin echo where the repetition time alone would not say so."""

_LARGE_ANGLE_DEG = 70.0

USUAL_T1: dict[str, dict[str, float]] = {
    "spin echo": {"tr_ms": 600.0, "te_ms": 10.0},
    "gradient echo": {"tr_ms": 8.0, "te_ms": 3.3, "flip_angle_deg": 15.0},
    "inversion-prepared gradient echo": {
        "tr_ms": 2200.0, "te_ms": 2.8, "ti_ms": 1000.0, "flip_angle_deg": 8.0,
    },
}  # fmt: skip
"""How T1-weighted images of each technique are usually taken."""

TIMES = ("tr_ms", "te_ms", "ti_ms", "flip_angle_deg")


def family(sequence: str) -> str:
    """A sequence without contrast agent and fat suppression: CE-T1w-FS is a T1w."""
    return sequence.removeprefix("CE-").removesuffix("-FS")


def technique_of(contrast: Described) -> str | None:
    """Of a T1-weighted image what its words, else its numbers say: a key of :data:`USUAL_T1`;
    None where neither does, or it is not T1-weighted."""
    if family(contrast.sequence) != "T1w":
        return None
    long = contrast.ti_ms is not None or (contrast.tr_ms or 0.0) > PREPARED_FROM_MS
    if contrast.technique in USUAL_T1:
        if contrast.technique == "gradient echo" and long:
            return "inversion-prepared gradient echo"
        return contrast.technique
    if long:
        return "inversion-prepared gradient echo"
    if contrast.tr_ms is None:
        return None
    return "gradient echo" if contrast.tr_ms < SPIN_ECHO_FROM_MS else "spin echo"


def settled(contrast: Described) -> Described:
    """The same contrast with the numbers that its words and its other numbers imply.

    A technique without times gets the usual ones; a repetition time below the inversion time is
    the spacing of a train's echoes, as some headers have it, and says nothing; FLAIR without an
    inversion time nulls cerebrospinal fluid at its repetition time.
    """
    implied: dict[str, float | None] = {}
    tr, ti = contrast.tr_ms, contrast.ti_ms
    technique = technique_of(contrast)
    train = technique == "inversion-prepared gradient echo"
    if tr is not None and (tr < (ti or 0.0) or (train and tr < SPIN_ECHO_FROM_MS)):
        implied["tr_ms"] = tr = None
    if contrast.sequence == "FLAIR" and tr is not None and ti is None:
        implied["ti_ms"] = null_time_ms(CSF_T1_MS, tr)
    elif technique and tr is None:
        usual = USUAL_T1[technique]
        implied |= {name: usual[name] for name in usual if getattr(contrast, name) is None}
        implied["tr_ms"] = usual["tr_ms"]
    elif technique == "spin echo" and not SPIN_ECHO_FROM_MS <= tr <= PREPARED_FROM_MS:
        implied["flip_angle_deg"] = SPIN_ECHO_DEG
    elif (
        technique == "gradient echo" and tr >= SPIN_ECHO_FROM_MS and contrast.flip_angle_deg is None
    ):
        implied["flip_angle_deg"] = _LARGE_ANGLE_DEG
    return replace(contrast, **implied) if implied else contrast


def completed(wanted: Described, inputs: Sequence[Described]) -> tuple[Described, str | None]:
    """A wish with what it leaves open taken from the inputs: they come from the same scanner, and
    a hospital takes a sequence in the same way with and without contrast agent or suppression.

    Times and angle come together from the first input of the same family (T1w for CE-T1w) and,
    where the wish names one, of the same technique; only if the wish gives none of them. What is
    still open is :func:`settled`. Returns the sequence of that input too, None if there was no
    need.
    """
    known: dict[str, float] = {}
    said = any(getattr(wanted, name) is not None for name in TIMES)
    like = None
    for given in inputs:
        if wanted.field_strength_t is None and given.field_strength_t is not None:
            known.setdefault("field_strength_t", given.field_strength_t)
        if said or like or family(given.sequence) != family(wanted.sequence):
            continue
        if wanted.technique and technique_of(wanted) != technique_of(given):
            continue
        if given.tr_ms is not None and given.te_ms is not None:
            like = given.sequence
            known |= {name: getattr(given, name) for name in TIMES}
    return settled(replace(wanted, **known) if known else wanted), like
