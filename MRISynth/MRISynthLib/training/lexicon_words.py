"""The words of the lexicon: what people call sequences, agents, suppression, planes and times.

``{}`` stands for a name of the agent or of fat suppression. Every fourth phrase of a list is kept
out of training, to test how well the text tower reads what it never saw.
"""

from __future__ import annotations

Phrases = tuple[str, ...]

LANGUAGES = ("en", "de", "zh")

KEPT_BACK = 4
"""One phrase in so many is for the test."""


def part(phrases: Phrases, test: bool) -> list[str]:
    """The phrases that are kept for the test, or the others."""
    last = KEPT_BACK - 1
    return [phrase for n, phrase in enumerate(phrases) if (n % KEPT_BACK == last) == test]


FAMILIES: dict[str, dict[str, Phrases]] = {
    "en": {
        "T1": (
            "T1", "T1w", "T1-weighted", "T1 weighted image", "T1WI", "T1-weighted scan",
            "T1-w", "T1 weighting", "T1 sequence", "T1 weighted series",
        ),
        "T2": (
            "T2", "T2w", "T2-weighted", "T2 weighted image", "T2WI", "T2-weighted scan",
            "T2-w", "T2 weighting", "T2 sequence", "T2 weighted series",
        ),
        "PD": (
            "PD", "PDw", "proton density", "proton-density image", "PD-weighted",
            "proton density weighted", "density weighted", "PDWI", "PD sequence",
        ),
        "STIR": (
            "STIR", "short tau inversion recovery", "TIRM", "short-TI inversion recovery",
            "T2 STIR", "turbo STIR", "fat-nulled inversion recovery", "STIR sequence",
        ),
        "FLAIR": (
            "FLAIR", "T2 FLAIR", "fluid-attenuated inversion recovery", "dark fluid",
            "T2-FLAIR", "fluid attenuated T2", "CSF-nulled T2", "FLAIR with dark CSF",
        ),
        "DWI": (
            "DWI", "diffusion-weighted", "diffusion weighted imaging", "diffusion b1000",
            "diffusion", "b1000 image", "diffusion trace image", "isotropic diffusion",
            "high b-value diffusion",
        ),
        "ADC": (
            "ADC", "ADC map", "apparent diffusion coefficient map", "map of the ADC",
            "ADC image", "diffusion coefficient map", "parametric ADC", "ADC values as a map",
        ),
        "CT": (
            "CT", "computed tomography", "planning CT", "CT scan", "CT image",
            "synthetic CT", "simulation CT", "pseudo-CT in Hounsfield units",
        ),
    },
    "de": {
        "T1": (
            "T1", "T1-gewichtet", "T1w", "T1-Wichtung", "T1-gewichtete Aufnahme", "T1-Sequenz",
            "T1-gewichtetes Bild", "T1 gewichtete Serie",
        ),
        "T2": (
            "T2", "T2-gewichtet", "T2w", "T2-Wichtung", "T2-gewichtete Aufnahme", "T2-Sequenz",
            "T2-gewichtetes Bild", "T2 gewichtete Serie",
        ),
        "PD": (
            "PD", "Protonendichte", "protonendichtegewichtet", "PD-Wichtung",
            "protonengewichtet", "PD-gewichtet",
        ),
        "STIR": (
            "STIR", "TIRM", "STIR-Sequenz", "Inversionssequenz mit kurzer TI", "Turbo-STIR",
            "T2 TIRM", "fettnullende Inversionssequenz",
        ),
        "FLAIR": (
            "FLAIR", "T2 FLAIR", "Dark Fluid", "FLAIR-Sequenz", "tirm dark-fluid",
            "liquorunterdrückte T2", "FLAIR mit dunklem Liquor",
        ),
        "DWI": (
            "DWI", "Diffusion", "diffusionsgewichtet", "Diffusionsaufnahme",
            "Diffusionswichtung", "Diffusionsbildgebung", "DWI mit b 1000",
        ),
        "ADC": (
            "ADC", "ADC-Karte", "ADC-Map", "Karte des Diffusionskoeffizienten",
            "Diffusionskoeffizient als Karte", "ADC-Bild",
        ),
        "CT": (
            "CT", "Computertomographie", "Planungs-CT", "CT-Aufnahme", "CT-Bild",
            "Computertomogramm", "synthetisches CT",
        ),
    },
    "zh": {
        "T1": ("T1", "T1加权", "T1WI", "T1像", "T1加权像", "T1序列", "T1加权成像"),
        "T2": ("T2", "T2加权", "T2WI", "T2像", "T2加权像", "T2序列", "T2加权成像"),
        "PD": ("PD", "质子密度", "质子密度像", "PD加权", "质子密度加权像", "PDWI"),
        "STIR": ("STIR", "短反转时间反转恢复", "STIR序列", "短TI反转恢复", "短时反转恢复"),
        "FLAIR": ("FLAIR", "水抑制", "T2 FLAIR", "黑水序列", "液体衰减反转恢复", "抑水T2"),
        "DWI": ("DWI", "弥散", "弥散加权像", "扩散加权成像", "扩散", "弥散成像"),
        "ADC": ("ADC", "表观扩散系数", "ADC图像", "扩散系数图", "表观弥散系数"),
        "CT": ("CT", "计算机断层", "CT图像", "定位CT扫描", "合成CT"),
    },
}  # fmt: skip

AGENTS: dict[str, Phrases] = {
    "en": (
        "contrast", "gadolinium", "gad", "contrast agent", "Gd", "gado", "contrast medium",
        "contrast dye", "Gadovist", "iv contrast", "contrast material", "Dotarem",
    ),
    "de": (
        "KM", "Kontrastmittel", "Gadolinium", "KM-Gabe", "Gd", "Kontrast", "Gadovist",
        "i.v. Kontrastmittel", "Dotarem", "Gadoliniumkontrast",
    ),
    "zh": ("造影剂", "对比剂", "钆剂", "钆对比剂", "增强剂", "药", "钆造影剂", "钆"),
}  # fmt: skip

WITH_AGENT: dict[str, Phrases] = {
    "en": (
        "with {}", "post {}", "after {}", "contrast-enhanced", "+C", "enhanced", "post-{}",
        "following {}", "+{}", "{}", "CE", "{} given", "after the {}", "C+", "post-contrast",
        "{}-enhanced", "{} was given", "with the use of {}", "plus {}", "postcontrast", "+ {}",
        "using {}", "not without {}", "{} needed",
    ),
    "de": (
        "mit {}", "nach {}", "post {}", "kontrastverstärkt", "{}", "+ {}", "unter {}",
        "kontrastmittelverstärkt", "nach i.v. {}", "mit i.v. {}", "{} gegeben", "+KM",
        "nach Gabe von {}", "nicht ohne {}", "KM-verstärkt", "mit {} bitte",
    ),
    "zh": (
        "增强", "增强后", "注射{}后", "打药后", "对比增强", "加{}", "用{}", "强化", "有{}",
        "{}增强", "注药后", "打{}后", "使用{}后", "增强扫描", "给药后",
    ),
}  # fmt: skip

WITHOUT_AGENT: dict[str, Phrases] = {
    "en": (
        "without {}", "no {}", "non-contrast", "before {}", "pre {}", "unenhanced", "native",
        "without any {}", "not enhanced", "{} not given", "plain", "non-enhanced", "w/o {}",
        "prior to {}", "no {} given", "{}-free", "not with {}", "without giving {}", "pre-{}",
        "{} was not given", "without the use of {}", "not {}-enhanced", "never any {}", "{} off",
        "noncontrast", "not after {}", "{} not wanted", "don't give {}",
    ),
    "de": (
        "ohne {}", "nativ", "vor {}", "kein {}", "nicht mit {}", "native Aufnahme", "ohne i.v. {}",
        "keine Gabe von {}", "nicht kontrastverstärkt", "{}-frei", "{} nicht gegeben",
        "noch vor {}", "unverstärkt", "ohne jedes {}", "es wurde kein {} gegeben", "nicht nach {}",
        "weder mit {}", "{} nicht erwünscht", "ganz ohne {}", "{} wurde nicht gegeben",
    ),
    "zh": (
        "平扫", "不加{}", "无{}", "不打药", "不增强", "未增强", "没有{}", "增强前", "不用{}",
        "非增强", "注射{}前", "未注射{}", "未用{}", "不使用{}", "不打{}", "未加{}", "不需要增强",
        "不要增强", "没打药", "不注射{}",
    ),
}  # fmt: skip

FAT: dict[str, Phrases] = {
    "en": (
        "fat sat", "fat suppression", "FS", "fat saturation", "fatsat", "fat-sat", "fat sup",
        "SPAIR", "suppression of fat", "spectral fat saturation", "fat signal suppression", "SPIR",
    ),
    "de": (
        "Fettsättigung", "FS", "Fettunterdrückung", "Fettsuppression", "fatsat", "Fettsat",
        "Fett-Sättigung", "SPAIR", "Unterdrückung des Fetts", "Fettsignalunterdrückung",
    ),
    "zh": ("压脂", "脂肪抑制", "抑脂", "脂肪饱和", "脂肪信号抑制", "FS", "脂肪压制", "压脂技术"),
}  # fmt: skip

SUPPRESSED: dict[str, Phrases] = {
    "en": (
        "fat-suppressed", "with {}", "{}", "fat saturated", "{} on", "fat suppressed", "SPIR",
        "fatsat", "using {}", "Dixon water", "CHESS", "with suppressed fat", "water only",
        "water excitation", "fat dark", "with the fat dark", "fat-saturated", "and {}",
        "fat signal suppressed", "not without {}", "plus {}", "fat is black", "ProSet", "{} needed",
    ),
    "de": (
        "fettgesättigt", "mit {}", "{}", "fettunterdrückt", "fs", "fettsupprimiert", "{} an",
        "Dixon Wasser", "Wasserbild", "Fett dunkel", "und {}", "fettgesättigte Aufnahme",
        "Fett soll dunkel sein", "nicht ohne {}", "mit {} bitte", "fettunterdrückte Serie",
    ),
    "zh": (
        "压脂", "{}", "加{}", "要{}", "做{}", "水相", "脂肪抑制", "并{}", "用{}", "需要{}",
        "脂肪变黑", "同时{}",
    ),
}  # fmt: skip

NOT_SUPPRESSED: dict[str, Phrases] = {
    "en": (
        "no {}", "without {}", "not fat-suppressed", "non-fat-saturated", "{} off", "fat bright",
        "fat not suppressed", "not fat saturated", "without any {}", "{} not applied",
        "non-fat-suppressed", "in-phase", "with bright fat", "do not suppress the fat",
        "{} was not used", "w/o {}", "leave the fat bright", "not with {}", "no {} please",
        "without the use of {}", "but no {}", "{} not wanted", "nonfatsat", "fat stays bright",
    ),
    "de": (
        "ohne {}", "nicht fettgesättigt", "keine {}", "nicht fettunterdrückt", "kein FS",
        "Fett hell", "{} aus", "nicht fettsupprimiert", "aber ohne {}", "nicht mit {}",
        "Fett bleibt hell", "{} nicht angewendet", "ganz ohne {}", "In-Phase", "{} nicht erwünscht",
        "ohne jede {}", "Fett nicht unterdrücken", "auch keine {}", "und ohne {}", "bitte keine {}",
    ),
    "zh": (
        "不{}", "无{}", "非{}", "未{}", "没有{}", "不做{}", "不加{}", "不用{}", "脂肪不抑制",
        "不要{}", "未做{}", "不需要{}", "但不{}", "同相位", "没做{}", "脂肪不要抑制",
        "{}关闭", "未加{}", "脂肪保持高信号", "也不{}",
    ),
}  # fmt: skip

NEITHER: dict[str, Phrases] = {
    "en": (
        "neither {} nor {}", "without {} or {}", "no {} and no {}", "without {}, without {}",
        "with neither {} nor {}", "no {} or {}",
    ),
    "de": (
        "weder {} noch {}", "ohne {} und ohne {}", "kein {} und keine {}", "ohne {}, ohne {}",
        "weder mit {} noch mit {}", "ohne {} oder {}",
    ),
    "zh": ("没有{}也没有{}", "无{}无{}", "不用{}也不用{}", "既无{}又无{}", "不加{}和{}"),
}  # fmt: skip
"""Of the agent and of fat suppression."""

NOT_BUT: dict[str, Phrases] = {
    "en": (
        "not {} but {}", "{1}, not {0}", "{1} rather than {0}", "{1} instead of {0}",
        "{1} and certainly not {0}",
    ),
    "de": (
        "nicht {}, sondern {}", "{1} und nicht {0}", "{1} statt {0}", "keinesfalls {}, sondern {}",
        "{1}, auf keinen Fall {0}",
    ),
    "zh": ("不是{},是{}", "不要{},要{}", "{1},不是{0}", "{1}而非{0}", "要{1},不要{0}"),
}  # fmt: skip
"""What it is not, and what it is."""

TECHNIQUES: dict[str, Phrases] = {
    "SE": ("TSE", "spin echo", "SE", "turbo spin echo", "FSE", "fast spin echo", "SPACE",
           "VISTA", "CUBE", "BLADE", "PROPELLER", "Spinecho", "自旋回波", "tse2d"),
    "GRE": ("GRE", "gradient echo", "VIBE", "FLASH", "LAVA", "THRIVE", "SPGR", "FFE",
            "fl3d", "spoiled gradient echo", "Gradientenecho", "梯度回波", "e-THRIVE"),
    "MPRAGE": ("MPRAGE", "3D inversion-prepared gradient echo", "MP-RAGE", "IR-TFE", "BRAVO",
               "magnetisation-prepared gradient echo", "tfl3d", "IR-SPGR", "inversion-prepared"),
    "IR": ("IR", "inversion recovery", "IR-TSE", "IR-FSE", "TSE", "Inversion-Recovery", "反转恢复"),
    "DWI": ("EPI", "echo planar", "ep2d", "RESOLVE", "epi", "REVEAL", "平面回波"),
}  # fmt: skip
"""Technique of a protocol -> its names, of the vendors too."""

T1_BRANDS: dict[str, Phrases] = {
    "GRE": ("VIBE", "LAVA", "THRIVE", "FSPGR", "SPGR", "e-THRIVE", "T1 VIBE", "T1 FLASH"),
    "MPRAGE": ("MPRAGE", "BRAVO", "MP-RAGE", "MEMPRAGE", "T1 MPRAGE", "3D MPRAGE"),
}
"""Technique -> names under which vendors sell T1-weighted gradient echoes."""

PLANES: dict[str, dict[str, Phrases]] = {
    "en": {
        "axial": ("axial", "ax", "transverse", "tra"),
        "coronal": ("coronal", "cor", "coronal plane"),
        "sagittal": ("sagittal", "sag", "sagittal plane"),
    },
    "de": {
        "axial": ("axial", "tra", "transversal", "axiale Schichten"),
        "coronal": ("koronar", "cor", "koronare Schichten"),
        "sagittal": ("sagittal", "sag", "sagittale Schichten"),
    },
    "zh": {
        "axial": ("轴位", "横断位", "横断面"),
        "coronal": ("冠状位", "冠状面", "冠状"),
        "sagittal": ("矢状位", "矢状面", "矢状"),
    },
}

VENDOR_NAMES: dict[str, Phrases] = {
    "Siemens": ("Siemens", "SIEMENS", "西门子"),
    "Philips": ("Philips", "Philips", "飞利浦"),
    "GE": ("GE", "General Electric", "通用电气"),
    "United Imaging": ("United Imaging", "UIH", "联影"),
    "Canon": ("Canon", "Toshiba", "佳能"),
    "Hitachi": ("Hitachi", "Hitachi", "日立"),
}

TIMES: dict[str, dict[str, Phrases]] = {
    "en": {
        "tr_ms": ("TR", "repetition time"), "te_ms": ("TE", "echo time"),
        "ti_ms": ("TI", "inversion time"), "flip_angle_deg": ("FA", "flip angle", "flip"),
    },
    "de": {
        "tr_ms": ("TR", "Repetitionszeit"), "te_ms": ("TE", "Echozeit"),
        "ti_ms": ("TI", "Inversionszeit"), "flip_angle_deg": ("Flipwinkel", "FA", "Kippwinkel"),
    },
    "zh": {
        "tr_ms": ("TR", "重复时间"), "te_ms": ("TE", "回波时间"),
        "ti_ms": ("TI", "反转时间"), "flip_angle_deg": ("翻转角", "FA", "翻转角度"),
    },
}  # fmt: skip

SENTENCES: dict[str, Phrases] = {
    "en": (
        "please make the {}", "I need a {} image", "{} please",
        "could you generate {} of the head and neck", "synthesise {}", "the missing series is {}",
        "we want {} for contouring", "give me {}", "this patient lacks the {}",
        "create a synthetic {} for planning",
    ),
    "de": (
        "bitte {} erzeugen", "ich brauche {}", "{} bitte", "es fehlt noch {}", "erstelle {}",
        "für die Planung bitte {}", "gewünscht wird {}", "{} für die Konturierung",
    ),
    "zh": ("请生成{}", "需要{}图像", "{}扫描", "请补充{}", "做一个{}", "合成{}序列", "给我{}"),
}  # fmt: skip

AROUND: dict[str, Phrases] = {
    "en": (
        "Series Description: {}", "{} for this NPC patient", "hi, {}", "{} thanks", "MRI {}",
        "{} asap", "protocol: {}", "{} of the nasopharynx", "SeriesDescription={}", "{} for RT",
        "I would like the {} because it was not acquired", "{} as in the last exam",
    ),
    "de": (
        "Serie: {}", "{} für die Bestrahlungsplanung", "Guten Tag, {}", "{} danke", "MRT {}",
        "Serienbeschreibung: {}", "Protokoll: {}", "{} vom Nasopharynx", "{} dringend",
        "{}, weil sie nicht vorliegt", "Kopf-Hals {}",
    ),
    "zh": ("鼻咽癌患者{}", "{},谢谢", "序列:{}", "鼻咽部{}", "磁共振{}", "你好,{}", "{} 放疗用"),
}  # fmt: skip

RATHER_THAN: dict[str, Phrases] = {
    "en": ("{} and not {}", "{}, not {}", "{} instead of {}", "{} rather than {}"),
    "de": ("{} und nicht {}", "{}, nicht {}", "{} statt {}", "{}, keine {}"),
    "zh": ("{},不是{}", "{},不要{}", "{}而不是{}"),
}

SAID_AS: dict[str, tuple[Phrases, Phrases, Phrases, Phrases]] = {
    "en": (
        ("contrast", "gad", "contrast agent", "gadolinium"),
        ("fat sat", "fat suppression", "FS", "fatsat"),
        ("yes", "on", "+"),
        ("no", "off", "none"),
    ),
    "de": (
        ("KM", "Kontrastmittel", "Kontrast", "Gadolinium"),
        ("Fettsättigung", "FS", "Fettunterdrückung", "Fettsuppression"),
        ("ja", "an", "+"),
        ("nein", "aus", "keine"),
    ),
    "zh": (
        ("增强", "造影剂", "对比剂"),
        ("压脂", "脂肪抑制", "抑脂"),
        ("是", "有", "开"),
        ("否", "无", "关"),
    ),
}  # fmt: skip
"""Contrast agent, fat suppression, yes and no, as in a form."""

FOREIGN: Phrases = (
    "T2*", "T1 map", "SWI", "T1 mapping", "T2 mapping", "MR angiography", "DCE perfusion",
    "T2* weighted", "T1-Mapping", "FDG-PET", "PET/CT uptake", "T2*-Wichtung", "T1定量图", "T2*加权",
    "MR-Spektroskopie", "TOF", "磁敏感加权", "灌注成像", "ultrasound", "Angiographie", "T2 map",
    "relaxation time map", "QSM", "T1 relaxometry", "PET显像", "BOLD fMRI", "T2定量", "血管成像",
)  # fmt: skip
"""Kinds of image that the vocabulary lacks."""

NOISE_WORDS: Phrases = (
    "weather", "tomorrow", "hello", "thanks", "lunch", "budget", "invoice", "parking", "holiday",
    "kidney", "PET", "ultrasound", "x-ray", "angiography", "SWI", "perfusion", "spectroscopy",
    "elastography", "mammography", "scintigraphy", "nice", "better", "picture", "please", "the",
    "patient", "appointment", "monday", "three", "something", "show", "make", "image", "good",
    "Wetter", "morgen", "danke", "schön", "Termin", "Rechnung", "Sonographie", "Leber", "Mittag",
    "Bild", "bitte", "etwas", "Perfusion", "Angiographie", "Patient", "heute", "kommt", "besser",
    "今天", "天气", "你好", "谢谢", "吃饭", "超声", "血管", "灌注", "波谱", "病人", "预约", "好看",
    "一张", "图", "随便", "明天", "肝脏", "心脏", "TOF", "MRA", "CBV", "fMRI", "BOLD", "dose",
)  # fmt: skip
"""What no image of the vocabulary is asked for with."""
