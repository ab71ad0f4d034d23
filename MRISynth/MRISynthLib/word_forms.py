"""One spelling for what radiology departments write in many: cases, compounds, languages.

Words of other languages become English ones, compounds come apart, frequent slips of the pen are
mended, and a few phrases become the word that they stand for; what it all means is read in
:mod:`MRISynthLib.wording`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator


def words_of(text: str) -> tuple[str, ...]:
    """The words of a list written as one text."""
    return tuple(text.split())


_MEANING_OF_CHINESE = {
    "nocontrast": "平扫 单纯 造影前 注射前",
    "contrastagent": (
        "造影后 注射后 打药 注药 给药 用药 有药 加药 推药 注射药 注射药物 使用药 使用药物 对比增强 "
        "增强剂 增强 强化 造影剂 造影 对比剂 钆剂 钆喷酸葡胺 钆贝葡胺 钆特酸 钆布醇 钆"
    ),
    "fatsat": "压脂 抑脂 去脂 脂肪压制 脂肪抑制 脂肪饱和 水相",
    "in phase": "同相位",
    "fat": "脂肪",
    "csf": "脑脊液",
    "signal": "信号",
    "suppressed": "抑制 压制",
    "dark": "变黑 压黑 低信号",
    "bright": "高信号",
    "allergic": "过敏",
    "contraindicated": "禁忌",
    "refuses": "拒绝",
    "mapping": "定量",
    "off": "关闭 关掉 关 否 なし しない せず",
    "yes": "あり",
    "forget": "忘记 忘了 忘",
    "adc": "表观扩散系数 表观弥散系数 扩散系数 弥散系数",
    "dwi": "弥散 扩散",
    "stir": "短反转时间 短时反转恢复 短反转恢复",
    "flair": "液体衰减反转恢复 水抑制 抑水 压水 黑水",
    "inversion recovery": "反转恢复",
    "pd": "质子密度",
    "ct": "计算机断层",
    "planning": "定位",
    "synthetic": "合成",
    "angio": "血管造影",
    "cholangiography": "胰胆管造影 胆管造影",
    "myelography": "脊髓造影 椎管造影",
    "urography": "尿路造影",
    "spinecho": "自旋回波",
    "gradientecho": "梯度回波",
    "epi": "平面回波",
    "axial": "横断位 横断面 横断 横轴位 轴位",
    "sagittal": "矢状位 矢状面 矢状",
    "coronal": "冠状位 冠状面 冠状",
    "united imaging": "联影",
    "siemens": "西门子",
    "philips": "飞利浦",
    "ge": "通用电气",
    "hitachi": "日立",
    "canon": "佳能 东芝",
    "scanner": "扫描仪",
    "or": "和 与 及",
    "and": "同时",
    "but": "但 而",
    "injecting": "注射",
    "": (
        "强调画像 强调像 强调 加权成像 加权像 加权 饱和 图像 序列 扫描 鼻咽部 鼻咽 磁共振 成像 "
        "技术 需要 保持 保留 补充 "
        "不仅仅 不仅 不只 不但 不光 关节 关注 关于 谢谢 请 做 生成 一个 的 像 图"
    ),
}
_CHINESE = {
    word: meaning for meaning, words in _MEANING_OF_CHINESE.items() for word in words_of(words)
}
_OTHER_SPELLINGS = dict(
    zip(
        words_of("強 無し 無 沒 後 剤 単純 調 有り"),
        words_of("强 なし 无 没 后 剂 单纯 调 あり"),
        strict=True,
    )
)
"""Of Chinese and Japanese words -> how they stand above."""
_CHINESE_PATTERN = re.compile("|".join(sorted(_CHINESE, key=len, reverse=True)))
_CHINESE_VERBS = (
    "有|要|用|做|作|加|需要?|必|打|注射|进行|行|使用|采用|想要?|含|带|予|给|施加?|是|法|能|可以?|宜|"
    "适合"
)
_CHINESE_MAYBE = re.compile("是否|(?<![需不])要不要|有没有|能不能|需不需要")
_CHINESE_NOT = re.compile(
    "(?:不(?!仅|只|但|光)|未|没|无|非(?!常|角化|典型|小细胞|霍奇金)|勿|免(?!疫)|"
    "禁用|禁止|避免|取消|去掉|去除|停用|(?<![脂强剂制术])关闭(?=[压抑脂增造对钆])|"
    f"(?<![特分区类级个识鉴差性])别)(?:{_CHINESE_VERBS})*"
)
_NOT_YET = re.compile(r"(?:尚?未|没有?)(?=[^压抑脂\W]{1,6}前(?!列))")
_BEFORE_AGENT = re.compile(r"(?:\bcontrastagent\s+)+(?:之|以)?前(?!列)")
_AFTER_AGENT = re.compile(r"(\bcontrastagent\s+)(?:之|以)?后")
_BORDER = re.compile(r"(?<=[\u4e00-\u9fff])(?=[a-z0-9])|(?<=[a-z0-9])(?=[\u4e00-\u9fff])")

_MEANING_OF_OTHERS = {
    "without": "senza sem zonder utan uten uden bez fără fara без",
    "with": "con com avec met med с со",
    "before": "antes avant före voor przed před перед до",
    "after": "tras dopo após après efter après po после",
}
"""English words -> what stands for them in Spanish, Italian, Portuguese, French, Dutch, Swedish,
Norwegian, Danish, Polish, Czech, Romanian and Russian."""
_OTHERS = {
    word: meaning for meaning, words in _MEANING_OF_OTHERS.items() for word in words_of(words)
}

_DARK = r"(?:dark|black|schwarz|dunkel|nulled|null|genullt|attenuated|sup+r\w+|unterdr\w+)"
_CSF = r"(?:csf|liquors?|cerebrospinal fluid|fluid)"
_PHRASES = (
    (r"\b(?:can['’]?t|cannot|can not|won['’]t)\b", "not"),
    (r"\b(do|does|did|is|are|was|were|should|could|would)n['’]?t\b", r"\1 not"),
    (r"\bw/o\b", "without"),
    # "sin" by itself may be Latin for the left side
    (r"\bsin(?=(?:\s+\w+){0,3}\s+(?:contraste|gadolinio)\b)", "without"),
    (r"\bs/(?=\s?(?:contrast|gad|mdc))", "without "),
    (r"\bc/(?=\s?(?:contrast|gad|mdc))", "with "),
    (r"\b(?:s|sa|z|ze) (?=kontrast)", "with "),
    (r"\bт(?=[12])", "t"),
    (r"\bwo(?= (?:iv |i\.?v\.? )?(?:contrast|gad\w*|gd|fat\w*|fs)\b)", "without"),
    (r"\bi\.\s?v\.?(?!\w)|\bi v\b", "iv"),
    (r"\+\s?/\s?-|±", " maybe "),
    (r"\bc(?:\s?\(-\)|-(?=[\s,;.)]|$))", " nocontrast "),
    (r"\b(fs|km|gd|gad|ce|contrast|fatsat)-(?=[\s,;.)]|$)(?!\s*(?:und|oder|bzw))", r"\1 false | "),
    (r"\(\s*-\s*\)", " false | "),
    (r"\bt([12])(wi?)?\s*\*", r"t\1 star"),
)
"""What is written with signs -> words."""
_MEANINGS = (
    (r"\b(t[12]|pd) (?:wi?|weighted|weighting|gewichtet\w*|wichtung)\b", r"\1"),
    (r"\b(?:not only|not just|nicht nur)\b", ""),
    (
        r"\b(?:not|nicht|never|nie) (?:to )?(?:without|ohne|forget\w*|vergessen|omit|skip|miss)\b|"
        r"\b(?:rather than|instead of|(?:an)?statt|keinesfalls|not|nicht) "
        r"(?:without|ohne|no|non|kein\w*)\b|\b(?:not not|nicht nicht)\b|"
        r"\b(?:rather than|instead of|(?:an)?statt|keinesfalls) (?:not|nicht)\b",
        "with",
    ),
    (
        r"\b(?:with|mit) (?:and|or|und|oder) (?:without|ohne)\b|"
        r"\b(?:before|vor) (?:and|or|und|oder) (?:after|nach)\b",
        "maybe",
    ),
    # of a Dixon series the water image is the fat-suppressed one, wherever its letter stands
    (r"\b(m?dixon(?: \w+){0,4}?) w(?:ater|asser)?\b", r"\1 dixonwater"),
    (r"\b(t[12]) (?:\+ )?c\b|(?<!\S)\+ c\b|\bc \+(?!\S)", r"\1 contrastagent"),
    (
        r"\b(?:fat|fett) ?null\w* inversion\w*(?: recovery)?|"
        r"\binversion\w* (?:recovery )?(?:with|mit) (?:short|kurze\w?) t(?:i|au)\b|"
        r"短 ti(?: inversion recovery)?",
        "stir",
    ),
    (
        rf"\b{_CSF} ?(?:signal )?(?:is |to be |ist |should be )?{_DARK}\b"
        r"(?: inversion(?: recovery)?)?|"
        r"\bliquor(?:signal)?(?:unterdr|sup+r|genull)\w+|"
        r"\b(?:dark|black|dunkle\w|schwarze\w|suppressed|nulled) (?:csf|liquor)\b|"
        rf"\b(?:sup+res\w+|null\w+|unterdr\w+) (?:of |the |des |vom |von )*{_CSF}\b",
        "flair",
    ),
)
"""Phrases in separate words -> what they stand for."""

# One token that holds a weighting and more, such as "CET1w", "3DT1FS" or "T1WI".
_AFFIX = sorted(
    words_of(
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

_OFTEN_MISTYPED = words_of(
    "contrast enhanced enhancement unenhanced gadolinium suppressed suppression saturation "
    "saturated saturiert axial coronal sagittal transversal koronar diffusion weighted proton "
    "coefficient density native kontrast kontrastmittel fettsättigung fettunterdrückung "
    "fettgesättigt fettunterdrückt gewichtet protonendichte siemens philips"
)
_MISTYPED = {
    (word[:i], word[i + j :]): word
    for word in _OFTEN_MISTYPED
    for j in (0, 1)
    for i in range(len(word) - j + 1)
}
"""(beginning, end) of a word with one letter taken out or a place for one more -> the word."""


def _slips(word: str) -> Iterator[str]:
    """The word with an inner letter doubled, exchanged with the next one, or (if long) left out."""
    for i in range(1, len(word) - 1):
        yield word[: i + 1] + word[i:]
        yield word[:i] + word[i + 1] + word[i] + word[i + 2 :]
        if len(word) > 4:
            yield word[:i] + word[i + 1 :]


_SHORT = words_of(
    "nicht kein keine keinen ohne without never flair dixon water wasserbild signal spair fatsat "
    "instead rather material attenuated spectral dotarem dunkel fettsat"
)
_NO_SLIPS = frozenset(words_of("fair naive photon rater weighed"))
_SLIPS = {slip: word for word in (*_SHORT, *_OFTEN_MISTYPED) for slip in _slips(word)}
"""A word with a slip of the pen -> the word; of short words no other mistake is sure enough."""


def plain(text: str) -> str:
    """Lower case, one form per character (full-width digits become ASCII)."""
    return unicodedata.normalize("NFKC", text).casefold()


def normalise(text: str) -> str:
    """Words separated by single spaces, "|" where the text pauses."""
    text = _without_chinese(plain(text).replace("_", " "))
    for pattern, words in _PHRASES:
        text = re.sub(pattern, words, text)
    text = re.sub(r"\s[,;.]|[,;.](?=\s|$)|[;!?。、]", " | ", text)
    text = re.sub(r"(?<!\d)[.,]|[.,](?!\d)", " ", text)
    text = text.replace("+", " + ")
    text = re.sub(r"[^\w\s.,+|]", " ", text)
    words: list[str] = []
    for token in text.split():
        words.extend(_split_compound(_OTHERS.get(token) or _corrected(token)))
    text = " ".join(words)
    for pattern, meaning in _MEANINGS:
        text = re.sub(pattern, meaning, text)
    return re.sub(r"\s+", " ", text).strip()


def _without_chinese(text: str) -> str:
    for spelling, usual in _OTHER_SPELLINGS.items():
        text = text.replace(spelling, usual)
    text = _CHINESE_NOT.sub(" not ", _CHINESE_MAYBE.sub(" maybe ", _NOT_YET.sub("", text)))
    text = _CHINESE_PATTERN.sub(lambda match: f" {_CHINESE[match[0]]} ", text)
    text = text.replace(" not 药", " not contrastagent ")
    text = _AFTER_AGENT.sub(r"\1", _BEFORE_AGENT.sub(" nocontrast ", text))
    return _BORDER.sub(" ", text)


def _corrected(token: str) -> str:
    """A word of this field with one letter wrong, missing or too many, as it was meant."""
    if token in _SHORT or token in _OFTEN_MISTYPED or token in _NO_SLIPS:
        return token
    if token in _SLIPS:
        return _SLIPS[token]
    if len(token) < 5 or not token.isalpha():
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
