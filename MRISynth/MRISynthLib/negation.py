"""Whether a text asks for contrast agent and for fat suppression, or says no to them.

The text is in the form of :func:`MRISynthLib.word_forms.normalise`. A denial that may or may not
belong to the agent or to fat counts as said both ways, so that a face asks instead of guessing.
"""

from __future__ import annotations

import re


class Rest:
    """A text from which what was understood is taken away, ``text`` being what is left."""

    def __init__(self, text: str) -> None:
        self.text = text

    def has(self, pattern: str) -> bool:
        """Whether the pattern occurs."""
        return re.search(pattern, self.text) is not None

    def take(self, pattern: str, leave: str = " | ") -> bool:
        """Take every occurrence away, which leaves a pause; whether there was any."""
        text, count = re.subn(pattern, leave, self.text)
        self.text = re.sub(r"\s+", " ", text)
        return count > 0


_FILLERS = (
    r"(?:\s+(?:any|the|an|a|all|such|additional\w*|further|extra|prior|previous\w*|yet|even|still|"
    r"der|die|das|dem|den|des|ein|eine[mnrs]?|jed\w+|jeglich\w+|irgend\w+|zusätzlich\w+|vorherig\w+|"
    r"weiter\w+|noch|mehr|iv|intravenous|use|using|giv\w+|administration|inject\w*|gabe|zugabe|"
    r"of|von|vom|d[ei]l?|with|mit|by|for|to|add\w*|been|is|want\w*|need\w*|required|apply|have|"
    r"like|looking|wish|gewünscht|nötig|fall|circumstances))*"
)
FILL = _FILLERS + r"\s+"
"""What may stand between a denial and what it denies."""
FIRM_NOT = (
    r"(?:without|no|not|nothing|neither|nor|never|hardly|zero|ohne|kein\w*|nicht|nichts|nie|niemals|"
    r"weder|rather\s+than|instead\s+of|(?:an)?statt|except|außer|ausser|sans|minus|lacking|absent|"
    r"(?:avoid|omit|skip|disabl|drop|remov|exclud|cancel|stop)\w*|(?:turn|switch)\w*\s+off|"
    r"leav\w*\s+out|(?:free|devoid|absence|avoidance|frei)\s+(?:of|from|von)|"
    r"(?:verzicht|vermeidung|ausschluss)\w*\s+(?:auf|von))"
)
_NOT = rf"\b(?:{FIRM_NOT}|non|none|un)"
_MAYBE = (
    r"\b(?:maybe|perhaps|possibly|whether|optional\w*|vielleicht|eventuell|evtl|ggf|gegebenenfalls|"
    r"wahlweise)"
)
_PARTLY = r"\b(part(?:ly|ial\w*)|slight\w*|weak\w*|teilweise|partiell\w*|schwach)"

_ASIDE = (
    r"please|pls|thanks|thank|bitte|danke|asap|dringend|and|und|but|aber|sondern|instead|rather|"
    r"(?:an)?statt|erzeugen|erstellen|berechnen|synthetisieren|generieren"
)
_PLANE = r"axial\w*|ax|sag\w*|cor\w*|kor\w*|tra\w*"
_END = rf"(?=\s*(?:\||$|(?:{_ASIDE})\b))"
_END_OR_PLANE = rf"(?=\s*(?:\||$|(?:{_ASIDE}|{_PLANE}|for|für|in|im|bei)\b))"
_SAID = (
    r"(?:\s+(?:was|is|were|are|be|being|has|been|to|should|must|can|may|please|do|we|i|it|want|need|"
    r"really|switched|turned|stays?|remains?|also|yet|wird|wurde|ist|war|soll|kann|darf|muss|werden|"
    r"bitte|ich|wünsche|möchte|brauche|benötige|ausdrücklich|unbedingt|bleibt|auch|noch|auf))*"
)
_DONE = (
    r"(?:applied|used|wanted|needed|required|necessary|performed|done|desired|given|administered|"
    r"injected|received|possible|allowed|active|on|gewünscht|erwünscht|nötig|notwendig|angewend\w+|"
    r"durchgeführt|erforderlich|ge?geben|verabreich\w+|gespritzt|bekommen|möglich|erlaubt|aktiv\w*)"
)
_AFTERWARDS_NOT = (
    rf"{_SAID}\s+(?:off(?!\s+(?:cent\w+|axis|resonan\w+))|nein|false|none(?!\s+(?:contrast|gad|gd))|"
    r"disabled|deactivated|inactive|unnecessary|unwanted|omitted|skipped|withheld|removed|"
    r"deaktivier\w+|(?:aus|ab)(?:ge)?schalte[nt]|unnötig|unerwünscht|weg|weg(?:ge)?lassen|"
    r"entf(?:ällt|allen)|verzicht\w*|"
    rf"(?:no|0){_END_OR_PLANE}|aus{_END_OR_PLANE}|"
    r"aus(?=\s+(?:t[12]|pd|mit|ohne|nicht|[tf]?se|gre|cube|space|blade|propeller|vista|spin\w*)\b)|"
    rf"(?:not|never|without|nicht|nie|niemals|ohne|kein\w*(?:\s+fall)?){_END}|"
    rf"(?:not|never|nicht|nie)\s+(?:(?:to|be|been|yet|zu|mehr)\s+)*{_DONE})\b"
)
_YES = r"\s+(?:(?:yes|ja|true)\b|(?:on|an)(?=\s*(?:\||$)))"

_AFTER_CARE = r"(?!\s+(?:op|rt|chemo\w*|treat\w*|therap\w*|radi\w*|surg\w*|process\w*|scan\w*))"
_AGENT_NAME = (
    r"(?:(?:gd|gad(?:o\w*)?)(?:\s+based)?|dotarem|clariscan|magnevist|prohance|multihance|"
    r"omniscan|elucirem|vueway|"
    r"contrast(?:\s+(?:agents?|medium|media|material|enhanced|enhancement|enhancing|dye))?|"
    r"(?:medio|mezzo|meio|produit)\s+d[ei]\s+contrast|contrast(?:middel|vloeistof|stof)|mdc|"
    r"km(?:\s*gabe)?|kontrast(?!reich|arm|stark|umfang|\w*(?:frei|los)|s[ıi]z)\w*|"
    r"kontraś\w*|контраст\w*(?:\s+усилен\w+)?|гадолини\w*|enhanc(?:ed|ing|ement)|"
    r"contrastagent)\b(?!\s+(?:to\s+noise|ratio))(?:\s+(?:injection|administration|gabe|verst\w+))?"
)
_AGENT = (
    rf"(?:{_AGENT_NAME}(?:\s+{_AGENT_NAME}){{0,3}}|(?:v?ce(?:\s*mri?)?|cemri?|post(?:contrast|gad\w*|gd|km)|"
    rf"post{_AFTER_CARE})\b)"
)
_WITH_AGENT = rf"(?<!\w)(?:(?:with|post|after|plus|mit|nach|iv|intravenous|\+)\s+)*{_AGENT}"
_NO_AGENT = (
    rf"\b(?:(?:before|prior\s+to|vor|pre){FILL}{_AGENT}|(?:nocontrast|non?(?:contrast\w*|enhanced|ce)|"
    r"un(?:enhanced|contrasted|verstärkt\w*)|precontrast|prekm|pregad\w*|nativ(?:e|es|er|en)?|plain|"
    r"(?:kontrast\w*|km)(?:frei|los)\w*|kontrasts[ıi]z\w*|(?:не|бес)контраст\w*|"
    rf"pre{_AFTER_CARE})\b)"
)
_INTOLERANCE = r"(?:allerg\w*|intoleran\w*|[ck]ontraindi\w+|refus\w+|declin\w+|lehnt\w*|unvertr\w+)"
_CIRCUMSTANCE = (
    rf"\b{_INTOLERANCE}(?:\s+(?:against|gegen|auf))?{FILL}{_AGENT}|"
    rf"\b(?:kontrastmittel|km){_INTOLERANCE}|"
    rf"\b{_AGENT}{_SAID}\s+{_INTOLERANCE}\b"
)
"""Why none may have been given, which says nothing of what is wanted now."""
_LOOK_OF_CONTRAST = (
    r"\b(?:(?:tissue|good|better|best|high|higher|low|lower|nice|gut\w*|besser\w*|hoh\w*|stark\w*)\s+"
    r"(?:contrast|kontrast(?!m|v)\w*)|(?:weichteil|gewebe|bild)kontrast\w*)\b"
    r"(?!\s+(?:agent|medium|media|material|enhanc\w+|dye))"
)

_FAT_NAME = (
    r"(?:(?:(?:spectral|spektral|selective|chemical)\w*\s+)*"
    r"(?:fs|fsat|fatsat\w*|fat\s*(?:signal\s+)?(?:sat\w*|sup\w*|free|null\w*)|spair|spir|chess|proset|"
    r"(?:sup+res\w*|saturat\w*|null\w*)\s+(?:of\s+)?(?:the\s+)?fat(?:\s+signal)?|"
    r"(?:dark|black|dunkl\w+|schwarz\w+)\s+(?:fat|fett)|"
    r"water\s*(?:only|images?|excitation|selective)|dixonwater|wasserbild\w*|"
    r"fett\s*(?:signal\w*?\s*)?(?:unterdr\w+|ges\w+|s(?:ä|ae)ttigung\w*|sup\w*|sat\w*)|"
    r"unterdr\w+\s+(?:(?:des|der|von|vom)\s+)?fett\w*))\b"
)
_FAT = rf"\b{_FAT_NAME}(?:\s+{_FAT_NAME}){{0,3}}"
_NO_FAT = (
    r"\b(?:nofatsat|non?(?:fs|fatsat\w*)|un(?:suppressed|saturated)|in\s+phase|"
    r"(?:bright|white|hell\w+)\s+(?:fat|fett))\b"
)
_FAT_LOOKS = (
    rf"(?P<denied>{_NOT}{FILL})?\b(?:fat|fett(?:signal)?)"
    r"(?P<looks>(?:\s+(?:signal|is|to|be|should|must|may|can|the|very|completely|stays?|remains?|"
    r"appears?|looks?|ist|soll|sein|wird|darf|kann|muss|ganz|bleibt|bleiben|erscheint|werden|"
    r"not|no|longer|never|nicht|nie|mehr|[呈要为应变是]+))*)\s+"
    r"(?:(?P<dark>dark|black|schwarz|dunk(?:el|le)|gone|removed|weg|signalarm|sup+ressed|saturated|nulled|"
    r"unterdrück(?:t|en)|gesättigt|supprimiert)|bright|white|hell|wei(?:ß|ss)|visible|sichtbar)\b"
)

_BETWEEN = (
    r"(?:\s+(?!(?:and|or|but|und|oder|aber|sondern|with|mit|post|after|nach|plus|because|weil|since|"
    r"da|for|für)\b)[^\W\d]+)"
)
_NEITHER = rf"{_NOT}{FILL}(?:{_WITH_AGENT}|{_FAT}){_BETWEEN}?\s+(?:or|nor|oder|noch){FILL}"
_MISSING = r"(?!\s+(?:acquired|available|aufgenommen|vorhanden\w*|vorlieg\w+|there|existing)\b)"
_SUBJECTS = ((_WITH_AGENT, _AGENT, _NO_AGENT), (_FAT, _FAT, _NO_FAT))
"""Of agent and fat suppression: how they are affirmed, their names alone, how they are denied."""

_HARMLESS = (
    r"larynx|\w*pharynx|tongue|zunge|skull|base|schädel\w*|parotid\w*|tumou?rs?|lesions?|spine|"
    r"modalit\w+|serien?\w*|protokoll|propeller|blade|vista|roi|mask|dicom|phantom|slices?|"
    r"schicht\w*|real|resolution|high|same|our|your|there|which|only|nur|also|auch|then|dann|"
    r"either|because|weil|when|if|wenn|used?|usable|off|aus|über|unter|für|bei|im|zur?|zum|als|wie|"
    r"from|into|within|during|following|acquired|obtained|taken|early|late|delayed|phase|e|ö|"
    r"sense|grappa|caipi\w*|haste|radial"
)
_DENIES_NOTHING = re.compile(
    rf"{_FILLERS}|{_SAID}|\s+(?:{_DONE}|{_ASIDE}|{_HARMLESS}|[\u4e00-\u9fff]+|\w*\d\w*)"
)
"""What may stand beside the agent or fat suppression; Chinese denials are all known."""
_AFFIRMS = ("with", "post", "after", "using", "plus", "mit", "nach")


def words_beside(rest: Rest) -> tuple[str, ...]:
    """The words directly before and after a name of the agent or of fat suppression that may deny
    it in a language that is not known; none where it is said to be with it."""
    return tuple(
        word
        for _, name, _ in _SUBJECTS
        for match in re.finditer(rf"(?:\b(\w+)\s+)?(?<!\w){name}(?:\s+(\w+))?", rest.text)
        if match[1] not in _AFFIRMS
        for word in match.groups()
        if word and not _DENIES_NOTHING.fullmatch(f" {word}")
    )


def take_denials(rest: Rest) -> tuple[set[bool], set[bool]]:
    """Take away what is said not to be, agent first, then suppression of fat.

    What is denied of absence is affirmed, and what is said both ways is both True and False.
    """
    agent: set[bool] = set()
    fat: set[bool] = set()
    rest.take(_LOOK_OF_CONTRAST)
    rest.take(_CIRCUMSTANCE)
    rest.take(_PARTLY + FILL + _FAT, leave=r"\1 | ")  # is neither, and stays as not understood
    for said, (affirmed, _, _) in zip((agent, fat), _SUBJECTS, strict=True):
        if rest.has(rf"{_MAYBE}{FILL}{affirmed}"):
            said |= {True, False}
        if rest.has(affirmed + _YES):
            said.add(True)
    if rest.take(_NEITHER + _FAT) or rest.take(_NEITHER + _WITH_AGENT):
        agent.add(False)
        fat.add(False)
    for said, named in ((agent, _WITH_AGENT), (fat, _FAT), (agent, _WITH_AGENT)):
        if rest.take(rf"{named}(?:\s+(?:free|frei\w*|less)\b|{_AFTERWARDS_NOT})"):
            said.add(False)
    for said, (_, _, denied) in zip((agent, fat), _SUBJECTS, strict=True):
        if rest.take(rf"{_NOT}{FILL}{denied}"):
            said.add(True)
    fat |= _take_looks(rest)
    for said, (affirmed, _, denied) in zip((agent, fat), _SUBJECTS, strict=True):
        if rest.take(rf"{_NOT}{FILL}{affirmed}") | rest.take(denied):
            said.add(False)
    return agent, fat


def take_affirmations(rest: Rest) -> tuple[set[bool], set[bool]]:
    """Take away what is said to be; False too where a denial nearby may be meant for it."""
    agent: set[bool] = set()
    fat: set[bool] = set()
    if rest.has(rf"\b{FIRM_NOT}{FILL}(?:fat|fett)\b") and not rest.has(_FAT):
        fat |= {True, False}
    for said, (_, name, _) in zip((agent, fat), _SUBJECTS, strict=True):
        before = rf"\b{FIRM_NOT}{_MISSING}{_BETWEEN}{{1,3}}\s+{name}"
        after = rf"{_BETWEEN}{{0,3}}\s+(?:not|never|nicht|nie|niemals|keins|keines)\b{_MISSING}"
        if rest.has(before) or rest.has(rf"{name}(?:{after}|\s+no\b)"):
            said.add(False)
    for said, (affirmed, _, _) in zip((agent, fat), _SUBJECTS, strict=True):
        if rest.take(affirmed):
            said.add(True)
    return agent, fat


def _take_looks(rest: Rest) -> set[bool]:
    """Whether fat is to be dark, each time that it is said."""
    said = set()
    for match in re.finditer(_FAT_LOOKS, rest.text):
        inner = re.search(r"\b(?:not|no|never|nicht|nie)\b", match["looks"])
        said.add(bool(match["dark"]) ^ bool(match["denied"]) ^ bool(inner))
    rest.take(_FAT_LOOKS)
    return said
