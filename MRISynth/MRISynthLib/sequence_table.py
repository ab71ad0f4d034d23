"""The sequences: canonical names, what they are, and examples of the words that people use.

Importing this imports nothing else, for Slicer's start; :mod:`MRISynthLib.sequences` reads words.
"""

from __future__ import annotations

from dataclasses import dataclass

SPIN_ECHO_FROM_MS, PREPARED_FROM_MS = 400.0, 1400.0
"""T1-weighted images with a shorter repetition time than the first are gradient echoes, with a
longer one than the second inversion-prepared, spin echoes between, where nothing else is said."""


@dataclass(frozen=True)
class SequenceInfo:
    """One entry of the vocabulary.

    ``contrast_agent`` and ``fat_suppressed`` say what the name itself promises;
    ``aliases`` are lower-case words and phrases of users, files and scanners. They are examples:
    :mod:`MRISynthLib.wording` reads any combination of the words in them.
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
        SequenceInfo(
            "T1w",
            "T1-weighted",
            "T1",
            aliases=("t1", "t1w", "t1wi", "t1 pre", "t1 nativ", "t1 ohne km", "mprage", "t1平扫"),
        ),
        SequenceInfo(
            "T1w-FS",
            "T1-weighted, fat-suppressed",
            "T1",
            False,
            True,
            ("t1 fs", "t1fs", "t1 fat sat", "t1 spir", "t1 fettgesättigt", "t1压脂"),
        ),
        SequenceInfo(
            "CE-T1w",
            "T1-weighted, contrast-enhanced",
            "T1",
            True,
            False,
            (
                "t1c",
                "t1+c",
                "t1ce",
                "t1gd",
                "t1 post",
                "cet1",
                "ce-mri",
                "vce",
                "gado",
                "t1 mit km",
                "t1 nach kontrastmittel",
                "增强t1",
                "t1增强",
            ),
        ),
        SequenceInfo(
            "CE-T1w-FS",
            "T1-weighted, contrast-enhanced, fat-suppressed",
            "T1",
            True,
            True,
            ("t1c fs", "t1 post fs", "t1 km fs", "t1 gd fat sat", "增强t1压脂"),
        ),
        SequenceInfo("T2w", "T2-weighted", "T2", aliases=("t2", "t2w", "t2wi", "t2 tse")),
        SequenceInfo(
            "T2w-FS",
            "T2-weighted, fat-suppressed",
            "T2",
            False,
            True,
            ("t2 fs", "t2fs", "t2 spair", "t2 fat sat", "t2 dixon water", "t2压脂"),
        ),
        SequenceInfo(
            "STIR",
            "Short-tau inversion recovery",
            "T2",
            False,
            True,
            ("stir", "tirm", "t2 stir", "short tau inversion recovery", "短反转时间"),
        ),
        SequenceInfo(
            "FLAIR",
            "Fluid-attenuated inversion recovery",
            "T2",
            False,
            False,
            ("flair", "t2 flair", "dark fluid", "水抑制"),
        ),
        SequenceInfo(
            "PDw",
            "Proton-density-weighted",
            "PD",
            False,
            False,
            ("pd", "pdw", "pdwi", "proton density", "protonendichte", "质子密度"),
        ),
        SequenceInfo(
            "DWI",
            "Diffusion-weighted",
            "diffusion",
            False,
            True,
            ("dwi", "diffusion", "diff", "b1000", "弥散", "扩散"),
        ),
        SequenceInfo(
            "ADC",
            "Apparent diffusion coefficient map",
            "ADC",
            False,
            True,
            ("adc", "adc map", "apparent diffusion coefficient", "表观扩散系数"),
        ),
        SequenceInfo("CT", "Computed tomography", "CT", False, False, ("ct", "planning ct")),
    )
}
"""Canonical name -> entry, in the order in which faces list them."""

SEQUENCE_NAMES: tuple[str, ...] = tuple(SEQUENCES)
