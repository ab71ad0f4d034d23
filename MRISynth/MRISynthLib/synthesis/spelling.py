"""Texts as numbers that a network can look up: hashed words, their parts, and quantities.

Any text in any language has a spelling, so nothing is unknown, and a misspelt word shares most
of its parts with the right one (Bojanowski et al., Enriching word vectors with subword
information, TACL 5:135, 2017).
"""

from __future__ import annotations

import math
import re
import unicodedata
import zlib

import numpy as np

HASHED = 4096
"""Rows of the embedding table; row 0 stays empty."""

MOST_WORDS, MOST_PARTS = 56, 12

_LETTER = r"[^\W\d_\u3400-\u9fff]"
_WEIGHTING = r"t[12](?!\d)"
_TOKEN = re.compile(
    rf"{_LETTER}+?(?={_WEIGHTING})|{_WEIGHTING}|\d+(?:[.,]\d+)?|[\u3400-\u9fff]|{_LETTER}+|[+*/-]"
)
_STEPS_A_DECADE = 10
_SECONDS = frozenset({"s", "sec", "sek", "seconds", "秒"})


def words_of(text: str) -> list[str]:
    """Words, single Chinese characters, numbers and the signs that can carry meaning, in lower
    case: ``CET1+C`` is ce, t1, +, c."""
    return _TOKEN.findall(unicodedata.normalize("NFKC", text).casefold())


def spell(text: str) -> np.ndarray:
    """int64 (words, MOST_PARTS): what each word of a text is made of, 0 where there is no more.

    A word is itself and its runs of three letters; a Chinese character is itself and its pair
    with the one before; a number is its size, in tenths of a decade, alone and after the word
    before it. Seconds count as milliseconds do.
    """
    words = words_of(text)[:MOST_WORDS]
    table = np.zeros((max(len(words), 1), MOST_PARTS), np.int64)
    label = ""
    for place, word in enumerate(words):
        if word[0].isdigit():
            unit = words[place + 1] if place + 1 < len(words) else ""
            parts = _quantity(word, label, unit)
        else:
            parts = _parts(word, words[place - 1] if place else "")
            label = word
        table[place, : len(parts)] = [_row(part) for part in parts]
    return table


def spelled(texts: list[str]) -> np.ndarray:
    """int64 (texts, longest, MOST_PARTS): :func:`spell` of each, filled up with zeros."""
    tables = [spell(text) for text in texts]
    longest = max(len(table) for table in tables)
    batch = np.zeros((len(texts), longest, MOST_PARTS), np.int64)
    for row, table in zip(batch, tables, strict=True):
        row[: len(table)] = table
    return batch


def _parts(word: str, before: str) -> list[str]:
    if "\u3400" <= word <= "\u9fff":
        return [word, f"{before[-1:]}{word}"]
    marked = f"<{word}>"
    runs = [marked[i : i + 3] for i in range(len(marked) - 2)] if len(word) > 3 else []
    return [f"={word}", *runs][:MOST_PARTS]


def _quantity(number: str, label: str, unit: str) -> list[str]:
    value = float(number.replace(",", "."))
    if unit in _SECONDS:
        value *= 1000.0
    place = round(_STEPS_A_DECADE * math.log10(min(max(value, 1e-3), 1e6)))
    near = place // 3
    return [f"#{number}{unit}", f"#{place}", f"{label}#{place}", f"{label}#~{near}"]


def _row(part: str) -> int:
    return 1 + zlib.crc32(part.encode()) % (HASHED - 1)
