"""The vocabulary of sequences: canonical names and the words that people use for them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SequenceInfo:
    """One entry of the vocabulary.

    ``contrast_agent`` and ``fat_suppressed`` say what the name itself promises;
    ``aliases`` are lower-case words and phrases of users, files and scanners.
    """

    name: str
    description: str
    weighting: str
    contrast_agent: bool = False
    fat_suppressed: bool = False
    aliases: tuple[str, ...] = ()


SEQUENCES: dict[str, SequenceInfo] = {
    info.name: info
    for info in (
        SequenceInfo("T1w", "T1-weighted", "T1", aliases=("t1", "t1w", "t1wi", "t1 pre", "mprage")),
        SequenceInfo("T1w-FS", "T1-weighted, fat-suppressed", "T1", False, True),
        SequenceInfo("CE-T1w", "T1-weighted, contrast-enhanced", "T1", True, False),
        SequenceInfo(
            "CE-T1w-FS", "T1-weighted, contrast-enhanced, fat-suppressed", "T1", True, True
        ),
        SequenceInfo("T2w", "T2-weighted", "T2", aliases=("t2", "t2w", "t2wi")),
        SequenceInfo("T2w-FS", "T2-weighted, fat-suppressed", "T2", False, True),
        SequenceInfo("STIR", "Short-tau inversion recovery", "T2", False, True),
        SequenceInfo("FLAIR", "Fluid-attenuated inversion recovery", "T2", False, False),
        SequenceInfo("PDw", "Proton-density-weighted", "PD", False, False),
        SequenceInfo("DWI", "Diffusion-weighted", "diffusion", False, True),
        SequenceInfo("ADC", "Apparent diffusion coefficient map", "ADC", False, True),
        SequenceInfo("CT", "Computed tomography", "CT", False, False),
    )
}
"""Canonical name -> entry, in the order in which faces list them."""

SEQUENCE_NAMES: tuple[str, ...] = tuple(SEQUENCES)
