"""How words come out when someone is in a hurry, or means nothing of this field."""

from __future__ import annotations

import numpy as np

from . import lexicon_words as words

_MISSPELT, _LOWER, _UPPER = 0.2, 0.2, 0.07
"""Shares of texts."""

_NONSENSE = (0.2, 0.35, 0.2, 0.1, 0.15)

_AND = {"en": " and ", "de": " und ", "zh": "和"}


def in_a_hurry(text: str, rng: np.random.Generator) -> str:
    """The same, sometimes in other case or with a letter wrong."""
    if rng.random() < _MISSPELT:
        text = _misspelt(text, rng)
    style = rng.random()
    if style < _LOWER:
        return text.lower()
    return text.upper() if style < _LOWER + _UPPER else text


def _misspelt(text: str, rng: np.random.Generator) -> str:
    """With a letter left out, doubled or swapped in one of the longer words."""
    longer = [word for word in text.split() if word.isalpha() and word.isascii() and len(word) > 4]
    if not longer:
        return text
    word = str(rng.choice(longer))
    place = int(rng.integers(1, len(word) - 1))
    wrong = (
        word[:place] + word[place + 1 :],
        word[: place + 1] + word[place:],
        word[:place] + word[place + 1] + word[place] + word[place + 2 :],
    )
    return text.replace(word, str(rng.choice(wrong)), 1)


def nonsense(rng: np.random.Generator, test: bool = False) -> str:
    """What asks for no image of the vocabulary, for two at once, or contradicts itself;
    ``test``: with words that are kept for it."""
    kind = rng.choice(("letters", "words", "foreign", "two", "contradiction"), p=_NONSENSE)
    language = str(rng.choice(words.LANGUAGES))

    def pick(phrases: words.Phrases) -> str:
        return str(rng.choice(words.part(phrases, test)))

    families, joint = words.FAMILIES[language], _AND[language]
    if kind == "letters":
        letters = "bcdfghjklmnpqrsvwxzaeiou" if not test else "aeioubdgklmnprsvz"
        lengths = rng.integers(3, 9, int(rng.integers(1, 5)))
        return " ".join("".join(rng.choice(list(letters), n)) for n in lengths)
    if kind == "words":
        return " ".join(pick(words.NOISE_WORDS) for _ in range(int(rng.integers(1, 7))))
    if kind == "foreign":
        around = pick(words.SENTENCES[language]) if rng.random() < 0.4 else "{}"
        return around.format(pick(words.FOREIGN))
    if kind == "two":
        first, second = (str(name) for name in rng.choice(("T1", "T2", "PD", "CT"), 2, False))
        return f"{pick(families[first])}{joint}{pick(families[second])}"
    tables = (words.WITH_AGENT, words.WITHOUT_AGENT), (words.SUPPRESSED, words.NOT_SUPPRESSED)
    number = int(rng.integers(2))
    name = pick((words.AGENTS, words.FAT)[number][language])
    yes, no = (pick(table[language]).format(name) for table in tables[number])
    return f"{pick(families['T1'])} {yes}{joint}{no}"
