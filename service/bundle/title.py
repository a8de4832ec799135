"""Titles: what is accepted, how they are normalised for matching, and how they become tokens."""

import html
import re
import unicodedata
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from service.bundle.errors import TitleControlCharacter, TitleEmpty, TitleInvalidUnicode, TitleTooLong

# 1,000 code points are at most 4,000 bytes of UTF-8, API.md's other limit, which therefore needs no check of its own.
MAX_TITLE_CODE_POINTS = 1_000
MAX_MARKS_IN_A_ROW = 8

_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_SURROGATES = re.compile("[\ud800-\udfff]")
# Letters, marks and noncharacters that show nothing though Unicode does not class them as format characters.
_INVISIBLE = (
    frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
    | {chr(code) for code in (*range(0x180B, 0x1810), *range(0xFDD0, 0xFDF0), *range(0xFE00, 0xFE10))}
    | {chr(code) for code in range(0xE0100, 0xE01F0)}
    | {chr(plane << 16 | low) for plane in range(17) for low in (0xFFFE, 0xFFFF)}
)


def check_title(title: str) -> str:
    """Return the title as sent; raise TitleTooLong, TitleInvalidUnicode, TitleControlCharacter or TitleEmpty."""
    if len(title) > MAX_TITLE_CODE_POINTS:
        raise TitleTooLong(f"expected at most {MAX_TITLE_CODE_POINTS} code points, got {len(title)}; shorten the title")
    if _SURROGATES.search(title):
        raise TitleInvalidUnicode("expected valid Unicode, got a lone surrogate; send the title as UTF-8")
    if control := _CONTROLS.search(title):
        code = ord(control.group())
        raise TitleControlCharacter(f"expected text, got the control character U+{code:04X}; remove it")
    if not normalise_title(title):
        raise TitleEmpty("expected a title, got nothing visible; leave the title out where there is none")
    return title


def normalise_title(title: str) -> str:
    """
    Rewrite a title for matching, by the rules named "kembar-1"; never raises, for any string.

    HTML entities are decoded, invisible characters dropped, runs of combining marks cut, NFKC applied, white space
    folded, and opening brackets set apart, so that no tokenizer takes `[CLS]` or `<s>` for its own. The length is
    capped before (NFKC is quadratic in marks) and after (NFKC can make 18 characters of one).

    >>> normalise_title("Kopi&nbsp;&amp; Susu\u200b  ２５０ｍｌ")
    'Kopi & Susu 250ml'
    """
    text = html.unescape(title[:MAX_TITLE_CODE_POINTS])
    text = unicodedata.normalize("NFKC", "".join(_visible(text)))  # which makes nothing invisible out of the visible
    text = text.replace("[", "[ ").replace("<", "< ")
    return " ".join(text.split())[:MAX_TITLE_CODE_POINTS].rstrip()


def _visible(text: str) -> list[str]:
    """The characters that show, and at most eight combining marks in a row of them."""
    kept: list[str] = []
    marks = 0
    for character in text:
        category = unicodedata.category(character)
        if character in _INVISIBLE:
            continue
        if character.isspace():
            character = " "  # tab and line ends are controls, but they separate words
        elif category in ("Cc", "Cf", "Co", "Cs"):
            continue
        marks = marks + 1 if category[0] == "M" else 0
        if marks <= MAX_MARKS_IN_A_ROW:
            kept.append(character)
    return kept


class TitleTokenizer:
    """Turns one title into token ids. Immutable once built, and thread-safe."""

    def __init__(self, path: Path, max_tokens: int) -> None:
        """Read tokenizer.json; its own padding and truncation are replaced by none and `max_tokens`."""
        self._tokenizer = Tokenizer.from_file(str(path))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_tokens)

    def encode(self, title: str) -> NDArray[np.int64]:
        """Normalise and tokenise: (tokens,) int64 with the special tokens at both ends, at most `max_tokens`."""
        return np.array(self._tokenizer.encode(normalise_title(title)).ids, dtype=np.int64)
