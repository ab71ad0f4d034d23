"""What the words of a radiology department mean, whoever wrote them.

File names, series descriptions and prompts are read by the same rules, so that "T1 post FS"
means one thing everywhere. English, German and Chinese; no model, no heavy import.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

_CHINESE = {
    "增强前": "nocontrast",
    "注射前": "nocontrast",
    "打药前": "nocontrast",
    "注药前": "nocontrast",
    "给药前": "nocontrast",
    "注射后": "contrastagent",
    "打药后": "contrastagent",
    "注药后": "contrastagent",
    "给药后": "contrastagent",
    "打药": "contrastagent",
    "注药": "contrastagent",
    "平扫": "nocontrast",
    "增强后": "contrastagent",
    "对比增强": "contrastagent",
    "增强": "contrastagent",
    "强化": "contrastagent",
    "造影剂": "contrastagent",
    "对比剂": "contrastagent",
    "钆剂": "contrastagent",
    "钆喷酸葡胺": "contrastagent",
    "钆贝葡胺": "contrastagent",
    "钆特酸": "contrastagent",
    "钆布醇": "contrastagent",
    "钆": "contrastagent",
    "压脂": "fatsat",
    "抑脂": "fatsat",
    "脂肪抑制": "fatsat",
    "脂肪饱和": "fatsat",
    "水相": "fatsat",
    "定量": "mapping",
    "关闭": "off",
    "关掉": "off",
    "关": "off",
    "关节": "",
    "关注": "",
    "关于": "",
    "饱和": "",
    "否": "off",
    "表观扩散系数": "adc",
    "表观弥散系数": "adc",
    "弥散": "dwi",
    "扩散": "dwi",
    "加权成像": "",
    "加权像": "",
    "加权": "",
    "短反转时间": "stir",
    "短时反转恢复": "stir",
    "液体衰减反转恢复": "flair",
    "水抑制": "flair",
    "黑水": "flair",
    "质子密度": "pd",
    "计算机断层": "ct",
    "自旋回波": "spinecho",
    "梯度回波": "gradientecho",
    "横断位": "axial",
    "横断面": "axial",
    "横断": "axial",
    "轴位": "axial",
    "矢状位": "sagittal",
    "矢状": "sagittal",
    "冠状位": "coronal",
    "冠状": "coronal",
    "联影": "united imaging",
    "西门子": "siemens",
    "飞利浦": "philips",
    "通用电气": "ge",
    "佳能": "canon",
    "东芝": "canon",
    "扫描仪": "scanner",
    "图像": "",
    "序列": "",
    "扫描": "",
    "鼻咽": "",
    "磁共振": "",
    "成像": "",
    "和": "and",
    "与": "and",
    "及": "and",
    "同时": "and",
    "请": "",
    "做": "",
    "但": "",
    "生成": "",
    "的": "",
    "像": "",
}
_CHINESE_NOT = re.compile(
    "(?:不|未|没|无|非(?!常)|勿|(?<!特)别|免)(?:有|要|用|做|作|加|需要?|必|打|注射|进行|行|使用|采用|想要?|含|带|"
    "予|给|施加?|是|法|能|可以?|宜|适合)*"
)
_CHINESE_PATTERN = re.compile("|".join(sorted(_CHINESE, key=len, reverse=True)))


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


# One token that holds a weighting and more, such as "CET1w", "3DT1FS" or "T1WI".
_AFFIX = sorted(
    _words(
        "wi w weighted gewichtet ce gd fs fat sat fatsat nofs c pre post km tse fse se tfe ffe gre "
        "ir spir spair stir tirm flair mprage vibe space star sag cor tra ax dixon map mapping 2d "
        "3d contrast enhanced native nativ"
    ),
    key=len,
    reverse=True,
)
_SUFFIX = re.compile("|".join(_AFFIX))
_COMPOUND = re.compile(
    r"((?:[23]d|vce|ce|gd|fs|pre|post|km|[se](?=t[12]w))*)(t[12]|pd)((?:" + "|".join(_AFFIX) + ")*)"
)
_PREFIX = re.compile(r"[23]d|vce|ce|gd|fs|pre|post|km")

_FILLERS = (
    r"(?:\s+(?:any|the|an|a|i|v|iv|intravenous|der|die|das|dem|den|use|using|giving|given|"
    r"administration|injection|injecting|inject|of|with|mit|by|added|adding|been|is|want|need|"
    r"give|apply|have|add|like|wish|to))*"
)
_FILL = _FILLERS + r"\s+"
_NOT = (
    r"(?:without|no|not|non|none|un|ohne|kein\w*|nicht|before|prior\s+to|vor|pre|neither|weder|"
    r"verzicht\w*\s+auf)"
)
_RATHER_NOT = r"(?:not|no|never|nicht|nie|kein\w*|rather\s+than|instead\s+of|(?:an)?statt)"
_SAID = (
    r"(?:\s+(?:was|is|were|are|be|being|has|been|to|should|please|do|we|i|want|need|wird|wurde|ist|"
    r"soll|werden|bitte|ich|wünsche|möchte|brauche|benötige|ausdrücklich|unbedingt|really))*"
)
_AFTERWARDS_NOT = (
    _SAID
    + r"\s+(?:off(?!\s+(?:cent\w+|axis|resonan\w+))|nein|false|none(?!\s+(?:contrast|gad|gd))|"
    r"aus(?=\s*(?:\||$|t[12]\b|mit\b|ohne\b|und\b|aber\b|axial|sag|cor|kor|tra))|"
    r"(?:no|not|nicht|kein\w*)(?=\s*(?:\||$))|"
    r"(?:not|nicht)\s+(?:applied|used|wanted|needed|required|necessary|performed|done|desired|given|"
    r"gewünscht|erwünscht|nötig|notwendig|angewend\w+|durchgeführt|erforderlich|ge?geben|"
    r"verabreich\w+)|verzicht\w*)\b"
)
_AFTER_CARE = r"(?!\s+(?:op|rt|chemo\w*|treat\w*|therap\w*|radi\w*|surg\w*|process\w*|scan\w*))"
_CONTRAST = (
    r"(?:(?:with|post|after|plus|mit|nach|iv|intravenous|\+)\s+)*"
    r"(?:gd|gad(?:o\w*)?|dotarem|clariscan|magnevist|prohance|multihance|omniscan|"
    r"contrast(?:\s+(?:agents?|medium|media|material|enhanced|enhancement|enhancing|dye))?|"
    r"km(?:\s*gabe)?|kontrast\w*|v?ce(?:\s*mri?)?|cemri?|enhanc(?:ed|ing|ement)|"
    r"post(?:contrast|gad\w*|gd|km)|contrastagent)\b"
    r"(?!\s+(?:to\s+noise|ratio))(?:\s+(?:injection|administration|gabe|verst\w+))?"
)
_FAT = (
    r"(?:fs|fsat|fatsat\w*|fat\s*(?:sat\w*|sup\w*|free|null\w*)|sup+res\w*\s+(?:the\s+)?fat|"
    r"fat\s+signal\s+sup\w*|spair|spir|chess|proset|water\s*(?:only|images?|excitation|selective)|"
    r"dixonwater|wasserbild\w*|"
    r"fett\s*(?:unterdr\w+|ges\w+|s(?:ä|ae)ttigung\w*|sup\w*|sat\w*))\b"
)
_LOOKS = r"(?:\s+(?:signal|is|to|be|soll|sein|wird|should|ist|the|very|ganz))*\s+"
_DARK_FAT = rf"\b(?:fat|fett){_LOOKS}(?:dark|black|schwarz|dunkel|gone|removed|weg|signalarm)\b"
_BRIGHT_FAT = rf"\b(?:fat|fett){_LOOKS}(?:bright|white|hell|wei(?:ß|ss)|visible|sichtbar)\b"
_NO_CONTRAST = (
    r"\b(?:nocontrast|non?(?:contrast|enhanced|ce)|unenhanced|precontrast|prekm|pregad\w*|"
    r"nativ(?:e|es|er|en)?|plain)\b"
)
_NO_FAT = r"\b(?:nofatsat|non?(?:fs|fatsat))\b"

_FOREIGN = {
    "T2*-weighted or susceptibility imaging": r"t2 star|t2star|swi|swan|susceptibility(?: \w+)?",
    "a T1 or T2 map": r"t[12] (?:map\w*|relax\w*)",
    "MR angiography": r"mra|tof|angio\w*",
    "perfusion or dynamic imaging": r"dce|dsc|asl|perfusion|perf|dynamic|cbv|cbf",
    "functional or spectroscopic MR": r"bold|fmri|mrs|spectro\w*",
    "a fat-only or out-of-phase Dixon image": r"m?dixon(?: \w+){0,4}? (?:f|fat|fett|opp|out)",
    "PET": r"pet|fdg",
    "ultrasound": r"ultrasound|sonogra\w*",
    "cone-beam CT": r"cbct|cone beam ct",
    "an X-ray": r"x ray|xray|radiograph",
}
_FAMILIES = {
    "ADC": r"adc|apparent diffusion coefficients?",
    "DWI": r"dwi|diff|diffusion|diffusions\w+|ep2d diff\w*|resolve|trace|tracew|b ?\d{2,4}",
    "FLAIR": r"flair|dark fluid|darkfluid|fluid attenuated(?: inversion recovery)?",
    "STIR": r"stir|tirm|short (?:tau|ti)(?: inversion(?: recovery)?)?",
    "T1": r"t1|mp ?rage|memprage|bravo|f?spgr|vibe|e?thrive|lava",
    "T2": r"t2",
    "PD": r"pd|proton density|protonendichte\w*|protonen",
    "CT": r"ct|pct|computed tomogra\w*|computertomogra\w*",
}
_TECHNIQUES = {
    "inversion-prepared gradient echo": (
        r"(?:inversion|magneti[sz]ation) prepared(?: (?:rapid )?gradient ?echo)?"
    ),
    "spin echo": r"spinecho|(?:turbo|fast) spin echo|spin echo|tse(?:[23]d\w*)?|fse|se|space|cube",
    "gradient echo": r"gradientecho|gradient echo|gre|ffe|tfe|flash|t?fl[23]d\w*|spoiled|spgr",
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
_AND = r"(?:\w+ )?(?:and|und|sowie|plus|\+) (?:\w+ )?"
_TOGETHER = re.compile(
    rf"\bt2 {_AND}(?:stir|tirm|flair|dwi)\b|\b(?:stir|tirm|flair|dwi) {_AND}t2\b"
)
"""Two images, where "T2 FLAIR" is one."""
_GRADIENT_NAMES = re.compile(r"\b(?:mp ?rage|memprage|bravo|f?spgr|vibe|e?thrive|lava)\b")
_PREPARED_NAMES = re.compile(r"\b(?:mp ?rage|memprage|bravo)\b")
_STOP_WORDS = frozenset(
    _words(
        "a an and are as at be before but by can create die der das den dem ein eine einen einer "
        "for from generate give gewichtet gewichtete gewichtetes gewichtung head i image images "
        "imaging in is it kopf like look make me mit mr mri mrt my nach neck npc of on or please "
        "bitte scan scans series sequence sequenz show so synthetic synthesise synthesize that the "
        "this to und weighted wi w want wanted wip with would bild aufnahme ich hals nasopharynx "
        "nasopharyngeal carcinoma patient 2d 3d dixon mdixon fat brain nii gz nrrd dcm img vol "
        "volume plus one acquired using scanner at field strength protocol do yes ja "
        "aber sondern aus"
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


def plain(text: str) -> str:
    """Lower case, one form per character (full-width digits become ASCII)."""
    return unicodedata.normalize("NFKC", text).casefold()


def normalise(text: str) -> str:
    """Words separated by single spaces, "|" where the text pauses."""
    text = plain(text).replace("強", "强").replace("無", "无").replace("沒", "没")
    text = _CHINESE_NOT.sub(" not ", text)
    text = _CHINESE_PATTERN.sub(lambda match: f" {_CHINESE[match[0]]} ", text)
    text = re.sub(r"\bw/o\b", " without ", text)
    text = re.sub(r"\b(?:can['’]?t|cannot|can not|won['’]t)\b", " not ", text)
    text = re.sub(r"\b(do|does|did|is|are|was|were|should|could|would)n['’]?t\b", r"\1 not", text)
    text = re.sub(r"\bc-(?=[\s_,;.)]|$)", " nocontrast ", text)
    text = re.sub(r"\bt([12])(wi?)?\s*\*", r" t\1 star ", text)
    text = re.sub(r"\s[,;.]|[,;.](?=\s|$)|[;!?。、]", " | ", text)
    text = re.sub(r"(?<!\d)[.,]|[.,](?!\d)", " ", text)
    text = text.replace("+", " + ")
    text = re.sub(r"[^\w\s.,+|]|_", " ", text)
    text = _BORDER.sub(" ", text)
    words: list[str] = []
    for token in text.split():
        words.extend(_split_compound(_corrected(token)))
    text = " ".join(words)
    text = re.sub(r"\b(t[12]|pd) (?:wi?|weighted|gewichtet\w*)\b", r"\1", text)
    text = re.sub(r"\b(?:not|nicht|never|nie) (?:without|ohne)\b", "with", text)
    # of a Dixon series the water image is the fat-suppressed one, wherever its letter stands
    text = re.sub(r"\b(m?dixon(?: \w+){0,4}?) w(?:ater|asser)?\b", r"\1 dixonwater", text)
    return re.sub(r"\b(t[12]) (?:\+ )?c\b|(?<!\S)\+ c\b|\bc \+(?!\S)", r"\1 contrastagent", text)


_BORDER = re.compile(r"(?<=[\u4e00-\u9fff])(?=[a-z0-9])|(?<=[a-z0-9])(?=[\u4e00-\u9fff])")
_OFTEN_MISTYPED = _words(
    "contrast enhanced enhancement unenhanced gadolinium suppressed suppression saturation "
    "saturated saturiert axial coronal sagittal transversal koronar diffusion weighted proton "
    "density native kontrastmittel fettsättigung fettunterdrückung fettgesättigt "
    "fettunterdrückt gewichtet protonendichte siemens philips"
)
_MISTYPED = {
    (word[:i], word[i + j :]): word
    for word in _OFTEN_MISTYPED
    for j in (0, 1)
    for i in range(len(word) - j + 1)
}
"""(beginning, end) of a word with one letter taken out or a place for one more -> the word."""


def _corrected(token: str) -> str:
    """A word of this field with one letter wrong, missing or too many, as it was meant."""
    if len(token) < 5 or token in _OFTEN_MISTYPED or not token.isalpha():
        return token
    for i in range(len(token) + 1):
        found = _MISTYPED.get((token[:i], token[i:])) or _MISTYPED.get((token[:i], token[i + 1 :]))
        if found and (found[0] == token[0] or i == 0):
            return found
    return token


def _split_compound(token: str) -> list[str]:
    match = _COMPOUND.fullmatch(token)
    if match is None:
        return [token]
    before, weighting, after = match.groups()
    return [*_PREFIX.findall(before), weighting, *_SUFFIX.findall(after)]


def read(text: str) -> Wording:
    """What ``text`` says about an MR or CT image; never raises."""
    rest = normalise(text)
    mask = bool(_MASKS.search(rest))
    dixon = bool(re.search(r"\bm?dixon\b", rest))

    def take(pattern: str) -> bool:
        nonlocal rest
        rest, count = re.subn(pattern, " | ", rest)
        rest = re.sub(r"\s+", " ", rest)
        return count > 0

    def first(table: dict[str, str]) -> str | None:
        found = [name for name, pattern in table.items() if take(rf"\b(?:{pattern})\b")]
        return found[0] if found else None

    foreign = first(_FOREIGN)
    both = rf"\b{_NOT}{_FILL}(?:{_CONTRAST}|{_FAT})\s+(?:or|nor|oder|noch){_FILL}"
    neither = take(both + _FAT) or take(both + _CONTRAST)
    contrast = {True: take(rf"\b{_RATHER_NOT}{_FILL}{_NO_CONTRAST}"), False: neither}
    fat = {True: take(_DARK_FAT), False: neither or take(_BRIGHT_FAT)}
    contrast[False] |= take(rf"(?<!\w){_CONTRAST}(?:\s+(?:free|frei\w*|less)\b|{_AFTERWARDS_NOT})")
    fat[False] |= take(rf"\b{_FAT}{_AFTERWARDS_NOT}")
    contrast[False] |= take(rf"\b{_NOT}{_FILL}{_CONTRAST}") | take(_NO_CONTRAST)
    fat[False] |= take(rf"\b{_NOT}{_FILL}{_FAT}") | take(_NO_FAT)
    fat[True] |= take(rf"\b{_FAT}")
    contrast[True] |= take(rf"(?<!\w){_CONTRAST}") | take(rf"\bpost\b{_AFTER_CARE}")
    contrast[False] |= take(rf"\bpre\b{_AFTER_CARE}")

    refused = [
        name
        for name, pattern in _FAMILIES.items()
        if take(rf"\b(?:not|no|nicht|kein\w*|instead of|rather than|statt){_FILL}(?:{pattern})\b")
    ]
    apart = bool(_TOGETHER.search(rest))
    gradient = "gradient echo" if _GRADIENT_NAMES.search(rest) else None
    if _PREPARED_NAMES.search(rest):
        gradient = "inversion-prepared gradient echo"
    named = [name for name, pattern in _FAMILIES.items() if take(rf"\b(?:{pattern})\b")]
    technique = first(_TECHNIQUES)
    plane = first(_PLANES)
    vendor = first(_VENDORS)
    leftovers = (word for word in rest.split() if word not in _STOP_WORDS)
    unknown = tuple(word for word in leftovers if re.search(r"[^\W_]", word))
    return Wording(
        families=tuple(named) if apart else _merge(named, "dark fluid" in normalise(text)),
        refused=tuple(refused),
        contrast=frozenset(value for value, said in contrast.items() if said),
        fat=frozenset(value for value, said in fat.items() if said),
        technique=technique or gradient,
        plane=plane,
        vendor=vendor,
        foreign=foreign,
        mask=mask,
        dixon=dixon,
        unknown=unknown,
    )


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
