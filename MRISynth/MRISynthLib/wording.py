"""What the words of a radiology department mean, whoever wrote them.

File names, series descriptions and prompts are read by the same rules, so that "T1 post FS"
means one thing everywhere. English, German and Chinese, and of some more languages whether there is
contrast agent; no model, no heavy import.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from .negation import FILL, FIRM_NOT, Rest, take_affirmations, take_denials, words_beside
from .word_forms import normalise, words_of

_FOREIGN = {
    "T2*-weighted or susceptibility imaging": r"t2 star|t2star|swi|swan|susceptibility(?: \w+)?",
    "a T1 or T2 map": r"t[12] (?:map\w*|relax\w*|kart\w+)|map of (?:the )?t[12]",
    "MR angiography": r"mra|tof|angio\w*",
    "perfusion or dynamic imaging": r"dce|dsc|asl|perfusion|perf|dynamic|cbv|cbf",
    "functional or spectroscopic MR": r"bold|fmri|mrs|spectro\w*",
    "a fat-only or out-of-phase Dixon image": (
        r"m?dixon(?: (?!dixonwater)\w+){0,4}? (?:f|opp|out|"
        r"(?:fat|fett)(?! (?:s|ges|unter|bright|hell|dark|dunkel)))"
    ),
    "PET": r"pet|fdg",
    "ultrasound": r"ultrasound|sonogra\w*",
    "cone-beam CT": r"cbct|cone beam ct",
    "an X-ray": r"x ray|xray|radiograph",
}
_FAMILIES = {
    "ADC": (
        r"(?:(?:parametric|map of|karten? d[er]\w) (?:the )?)?"
        r"(?:adc(?: (?:map|image|values?))?|apparent diffusion(?: coefficients?)?|"
        r"diffusion coefficients?|diffusionskoeffizient\w*)"
    ),
    "DWI": (
        r"(?:(?:isotropic|high|b values?) )*(?:dwi|diff|diffusion|diffusions\w+|ep2d diff\w*|"
        r"resolve|tracew?)(?: (?:mit |with |at )?b ?\d{2,4}| tracew?)*|b ?\d{2,4}"
    ),
    "FLAIR": r"flair|dark fluid|darkfluid|fluid attenuated(?: inversion recovery)?",
    "STIR": r"(?:turbo )?(?:stir|tirm)|(?:short|kurze\w?) (?:tau|ti)(?: inversion(?: recovery)?)?",
    "T1": r"t1|mp ?rage|memprage|bravo|f?spgr|vibe|e?thrive|lava",
    "T2": r"t2",
    "PD": (
        r"pd|(?:proton|spin) density|density weighted|protonendichte\w*|protonen(?:gewichtet\w*)?"
    ),
    "CT": (
        r"(?:(?:planning|planungs|simulation|synthetic|synthetisch\w*|pseudo) )*"
        r"(?:[sp]?ct|planungsct)|computed tomogra\w*|computertomogra\w*"
    ),
}
_TECHNIQUES = {
    "inversion-prepared gradient echo": (
        r"(?:inversion|magneti[sz]ation) prepared(?: (?:rapid )?gradient ?echo)?"
    ),
    "spin echo": r"spinecho|(?:turbo|fast) spin echo|spin echo|tse(?:[23]d\w*)?|fse|se|space|cube",
    "gradient echo": (
        r"gradient(?:en)?echo|gradient echo|gre|ffe|tfe|flash|t?fl[23]d\w*|spoiled|spgr"
    ),
    "echo planar": r"epi|ep2d|echo planar",
    "inversion recovery": r"inversion recovery|ir",
}
_PLANES = {
    "axial": r"axial|axiale?\w?|ax|transvers\w*|tra",
    "sagittal": r"sagittal\w*|sag",
    "coronal": r"coronal|koronar\w*|cor",
}
_VENDORS = {
    "Siemens": r"siemens",
    "Philips": r"philips|phillips",
    "GE": r"ge|general electric",
    "Canon": r"canon|toshiba",
    "United Imaging": r"united imaging|uih",
    "Hitachi": r"hitachi",
}
_KIND = r"(?:t[12]|pd|stir|tirm|flair|dwi|diffusion|adc|ct)"
_TOGETHER = re.compile(
    rf"\b{_KIND} (?:(?:\w+|\|) ){{0,2}}(?:and|und|sowie|plus|\+|or|oder|bzw|{FIRM_NOT}) "
    rf"(?:\w+ ){{0,2}}{_KIND}\b"
)
"""Two images, where "T2 FLAIR" is one."""
_ANY_FAMILY = "|".join(_FAMILIES.values())
_REFUSED = re.compile(
    rf"\b(?:anything but|{FIRM_NOT}){FILL}(?:{_ANY_FAMILY})"
    rf"(?: (?:(?:or|oder|nor|noch|with|mit) )?(?:{_ANY_FAMILY}))*\b"
)
"""Kinds of image that it is not to be."""
_GRADIENT_NAMES = re.compile(r"\b(?:mp ?rage|memprage|bravo|f?spgr|vibe|e?thrive|lava)\b")
_PREPARED_NAMES = re.compile(r"\b(?:mp ?rage|memprage|bravo)\b")
_STOP_WORDS = frozenset(
    words_of(
        "a an and are as at be before but by can create die der das den dem ein eine einen einer "
        "for from generate give gewichtet gewichtete gewichtetes gewichtung head i image images "
        "imaging in is it kopf like look make me mit mr mri mrt my nach neck npc of on or please "
        "bitte scan scans series sequence sequenz show so synthetic synthesise synthesize that the "
        "this to und weighted wi w want wanted wip with would bild aufnahme ich hals nasopharynx "
        "nasopharyngeal carcinoma patient 2d 3d dixon mdixon fat brain nii gz nrrd dcm img vol "
        "volume plus one acquired using scanner at field strength protocol do yes ja "
        "aber sondern aus injecting"
    )
)
_MASKS = re.compile(r"\b(?:roi|mask|seg|segmentation|label|labels|contour|gtv\w?)\b")


@dataclass(frozen=True)
class Wording:
    """What a text says, None or empty where it says nothing.

    ``families`` are the kinds of image named, of T1, T2, PD, FLAIR, STIR, DWI, ADC and CT, after
    combinations such as "T2 FLAIR" are merged: more than one means that the text contradicts
    itself. ``contrast`` and ``fat`` are sets that hold True and/or False for the contrast agent
    and for fat suppression. ``foreign`` names kinds of image outside the vocabulary.
    ``doubtful`` are those of the ``unknown`` words that may deny the agent or fat suppression.
    """

    families: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    contrast: frozenset[bool] = frozenset()
    fat: frozenset[bool] = frozenset()
    technique: str | None = None
    plane: str | None = None
    vendor: str | None = None
    foreign: str | None = None
    mask: bool = False
    dixon: bool = False
    unknown: tuple[str, ...] = ()
    doubtful: tuple[str, ...] = ()


def read(text: str) -> Wording:
    """What ``text`` says about an MR or CT image; never raises."""
    rest = Rest(normalise(text))
    mask = bool(_MASKS.search(rest.text))
    dixon = rest.has(r"\bm?dixon\b")

    def first(table: dict[str, str]) -> str | None:
        found = [name for name, pattern in table.items() if rest.take(rf"\b(?:{pattern})\b")]
        return found[0] if found else None

    foreign = first(_FOREIGN)
    no_agent, no_fat = take_denials(rest)
    refused = [kind for match in _REFUSED.finditer(rest.text) for kind in _kinds(Rest(match[0]))]
    rest.take(_REFUSED.pattern)
    beside = words_beside(rest)
    agent, fat = take_affirmations(rest)
    gradient = "gradient echo" if _GRADIENT_NAMES.search(rest.text) else None
    if _PREPARED_NAMES.search(rest.text):
        gradient = "inversion-prepared gradient echo"
    families = _kinds(rest)
    technique = first(_TECHNIQUES)
    plane = first(_PLANES)
    vendor = first(_VENDORS)
    leftovers = (word for word in rest.text.split() if word not in _STOP_WORDS)
    unknown = tuple(word for word in leftovers if re.search(r"[^\W_]", word))
    return Wording(
        families=families,
        refused=tuple(dict.fromkeys(refused)),
        contrast=frozenset(no_agent | agent),
        fat=frozenset(no_fat | fat),
        technique=technique or gradient,
        plane=plane,
        vendor=vendor,
        foreign=foreign,
        mask=mask,
        dixon=dixon,
        unknown=unknown,
        doubtful=tuple(word for word in beside if word in unknown),
    )


def _kinds(rest: Rest) -> tuple[str, ...]:
    """The kinds of image named, taken away; one that is asked for twice stands there twice."""
    apart = _TOGETHER.search(rest.text)
    dark_fluid = rest.has(r"\bdark ?fluid\b")
    named = [name for name, pattern in _FAMILIES.items() if rest.take(rf"\b(?:{pattern})\b")]
    if apart:
        return tuple(named if len(named) > 1 else named * 2)
    return _merge(named, dark_fluid)


def _merge(named: list[str], dark_fluid: bool) -> tuple[str, ...]:
    """Merge names that belong together: "T2 FLAIR" is FLAIR, "T1 FLAIR" is T1-weighted."""
    kinds = set(named)
    if dark_fluid:
        kinds.discard("STIR")  # Siemens calls FLAIR "tirm dark-fluid"
    if "ADC" in kinds:
        kinds -= {"DWI"}
    if "T1" in kinds:
        kinds -= {"FLAIR"}
    if kinds & {"FLAIR", "STIR", "DWI"}:
        kinds -= {"T2"}
    return tuple(name for name in _FAMILIES if name in kinds)


def compose(family: str, contrast: bool, fat: bool) -> str:
    """Canonical sequence name of a family of images with or without agent and suppression."""
    if family == "T1":
        return ("CE-" if contrast else "") + "T1w" + ("-FS" if fat else "")
    if family == "T2":
        return "T2w-FS" if fat else "T2w"
    return "PDw" if family == "PD" else family
