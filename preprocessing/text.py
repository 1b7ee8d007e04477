"""Turns the bytes of a text value into Unicode: as declared where that works, as it looks where it does not."""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections.abc import Iterable
from itertools import pairwise
from typing import Final

from pydicom.charset import CODES_TO_ENCODINGS, STAND_ALONE_ENCODINGS, python_encoding

_ESC: Final = b"\x1b"
_ESCAPE: Final = re.compile(rb"\x1b(?:\$\([\x30-\x7e]|\$\)[\x30-\x7e]|\$[\x30-\x7e]|[(-/][\x30-\x7e])")
_UNFINISHED_ESCAPE: Final = re.compile(rb"\x1b[\x20-\x2f]*\Z")
_RESETS: Final = re.compile(rb"[\\^=\t\n\f\r]")
"""After these a value is back in its first character set (PS3.5 6.1.2.5.3)."""
_ESCAPED_ENCODINGS: Final = frozenset({"iso2022_jp", "iso2022_jp_2"})
"""Python wants the escape sequence in front of the bytes of these."""
_ASCII_ONLY: Final = frozenset({"", "ISO_IR 6", "ISO 2022 IR 6"})
_SPELLING: Final = re.compile(r"[\s_-]+")
_GUESSES: Final = ("euc_kr", "cp1251", "koi8_r", "iso8859_5", "latin_1", "gb18030", "shift_jis")
"""What is tried on bytes that their declaration does not explain: the character sets of our sites first."""

_TERMS: Final[dict[str, str]] = {
    **{_SPELLING.sub("", term).upper(): term for term in python_encoding if term},
    "ISO2022IR58": "ISO 2022 IR 58",
    "UTF8": "ISO_IR 192",
    "ISOIR149": "ISO 2022 IR 149",
}

CHARACTER_SETS: Final = tuple(sorted(set(_TERMS.values())))
"""Defined terms that are decoded, beside the default repertoire."""


def defined_term(term: str) -> str | None:
    """Return the defined term that a sender meant, however it is spelt; None where we know none."""
    return _TERMS.get(_SPELLING.sub("", term).upper(), None if term else "")


def defined_terms(terms: Iterable[str]) -> list[str]:
    """Return what a Specific Character Set (0008,0005) says, each set once.

    An unknown first set is the default repertoire; unknown further ones are left out, and so are those that the
    standard does not let stand beside others (PS3.3 C.12.1.1.2).
    """
    first, *further = [defined_term(term) for term in terms] or [""]
    if first and first in STAND_ALONE_ENCODINGS:
        return [first]
    kept = (term for term in further if term and term not in STAND_ALONE_ENCODINGS)
    return list(dict.fromkeys([first or "", *kept]))


class Charset:
    """The declared character sets of one data set; decodes its values and remembers why one was not as declared.

    Args:
        terms: Values of Specific Character Set (0008,0005), as sent.

    Attributes:
        flag: `undeclared`, `mislabelled:<what it looks like>`, `unknown:<term>`; None while all is as declared.
    """

    def __init__(self, terms: tuple[str, ...]) -> None:
        self.flag: str | None = None
        self._encodings: list[str] = []
        for term in terms:
            known = defined_term(term)
            if known is None:
                self.flag = f"unknown:{term[:16]}"
            else:
                self._encodings.append("ascii" if known in _ASCII_ONLY else python_encoding[known])
        self._is_declared = any(encoding != "ascii" for encoding in self._encodings)
        self._first = self._encodings[0] if self._encodings else "ascii"
        self._later = next((encoding for encoding in self._encodings if encoding != "ascii"), "ascii")

    def decode(self, raw: bytes, *, is_cut: bool = False) -> str:
        """Return the text, without padding. Never raises; bytes that nothing explains come back as Latin-1.

        Args:
            raw: The value.
            is_cut: It is the beginning of a value: a character or escape that the cut went through is left out.
        """
        if raw.isascii() and _ESC not in raw:
            return raw.decode("ascii").rstrip(" \0")
        if is_cut:
            raw = _UNFINISHED_ESCAPE.sub(b"", raw)
        text = self._as_declared(raw, is_cut)
        if text is None or not _is_plausible(text, raw, self._later, is_cut):
            guess, encoding = _guess(raw, is_cut)
            if text is None or encoding is not None:
                text = guess
                self._note(encoding or "unknown")
        return text.rstrip(" \0")

    def _note(self, encoding: str) -> None:
        if self.flag is None:
            self.flag = f"mislabelled:{encoding}" if self._is_declared else "undeclared"

    def _as_declared(self, raw: bytes, is_cut: bool) -> str | None:
        """Decode strictly; None when the bytes are not in the declared character sets."""
        try:
            if _ESC in raw:
                if not self._is_declared:
                    self._note("iso2022")
                return self._decode_escapes(raw, is_cut)
            return _strictly(raw, self._later, is_cut) if self._is_declared else None
        except (UnicodeDecodeError, LookupError):
            return None

    def _decode_escapes(self, raw: bytes, is_cut: bool) -> str:
        """Decode a value with code extensions (PS3.5 6.1.2.5), part by part."""
        parts, encoding, position = [], self._first, 0
        for match in _ESCAPE.finditer(raw):
            parts.append(self._decode_part(raw[position : match.start()], encoding, is_cut=False))
            encoding = CODES_TO_ENCODINGS.get(match.group(), "unknown")
            position = match.end()
        parts.append(self._decode_part(raw[position:], encoding, is_cut=is_cut))
        return "".join(parts)

    def _decode_part(self, part: bytes, encoding: str, *, is_cut: bool) -> str:
        if part.isascii() and encoding not in _ESCAPED_ENCODINGS:
            return part.decode("ascii")
        if encoding in _ESCAPED_ENCODINGS:
            escape: bytes = next(code for code, name in CODES_TO_ENCODINGS.items() if name == encoding)
            return _strictly(escape + part, encoding, is_cut)
        reset = _RESETS.search(part)
        if reset is None or self._first in ("ascii", encoding):
            return _strictly(part, self._later if encoding == "ascii" else encoding, is_cut)
        # Past a delimiter the first set holds again: a Latin-1 name behind a Korean one.
        return part[: reset.start()].decode(encoding) + _strictly(part[reset.start() :], self._first, is_cut)


def _strictly(raw: bytes, encoding: str, is_cut: bool) -> str:
    """Decode, or raise UnicodeDecodeError; half a character at a cut is left out."""
    return codecs.getincrementaldecoder(encoding)().decode(raw, not is_cut)


def _is_plausible(text: str, raw: bytes, encoding: str, is_cut: bool) -> bool:
    """Tell whether text that decoded as declared reads like text; single-byte sets accept nearly any bytes."""
    if _C1_CONTROL.search(text):
        return False
    return encoding not in _SINGLE_BYTE or _ESC in raw or _disorder(text, may_be_utf8=_is_utf8(raw, is_cut)) == 0


_SINGLE_BYTE: Final = frozenset(
    {"latin_1", "iso8859", "iso8859_2", "iso8859_3", "iso8859_4", "iso8859_15"}
    | {"iso_ir_126", "iso_ir_127", "iso_ir_138", "iso_ir_144", "iso_ir_148", "iso_ir_166"}
)
_C1_CONTROL: Final = re.compile(r"[\x80-\x9f]")
_WORD: Final = re.compile(r"[^\x00-\x40\x5b-\x60\x7b-\x7f]+")
"""Neighbouring letters; everything beyond ASCII counts, so that a symbol inside a word is found."""
_APOSTROPHES: Final = "’‘·"


def _is_utf8(raw: bytes, is_cut: bool) -> bool:
    try:
        _strictly(raw, "utf-8", is_cut)
    except UnicodeDecodeError:
        return False
    return True


def _disorder(text: str, *, may_be_utf8: bool) -> int:
    """Count what written words do not do: symbols inside, small letter then capital, nothing but accents.

    A sign that stands by itself, as in `25°` or `№ 5`, is no disorder unless the bytes are also valid UTF-8.
    """
    wrong = 0
    for word in _WORD.findall(text):
        beyond = [character for character in word if character > "\x7f"]
        letters = sum(map(_is_letter, beyond))
        if letters or may_be_utf8:
            wrong += len(beyond) - letters
        wrong += sum(a.islower() and b.isupper() for a, b in pairwise(word) if b > "\x7f")
        # No language writes a word in accented Latin-1 letters alone; Cyrillic read as Latin-1 looks like that.
        accented = sum("\xc0" <= character <= "\xff" for character in word)
        wrong += accented >= 3 and accented >= 0.7 * len(word)
    return wrong


def _is_letter(character: str) -> bool:
    return character.isalpha() or character in _APOSTROPHES or unicodedata.category(character).startswith("M")


def _guess(raw: bytes, is_cut: bool) -> tuple[str, str | None]:
    """Return the most likely text and its encoding; Latin-1 and None when nothing fits."""
    if _is_utf8(raw, is_cut):
        return _strictly(raw, "utf-8", is_cut), "utf-8"
    best: tuple[int, str, str] | None = None
    for encoding in _GUESSES if _ESC not in raw else ():
        try:
            text = _strictly(raw, encoding, is_cut)
        except UnicodeDecodeError:
            continue
        cost = _cost(text, encoding)
        if cost is not None and (best is None or cost < best[0]):
            best = cost, text, encoding
    return (best[1], best[2]) if best is not None else (raw.decode("latin_1"), None)


def _cost(text: str, encoding: str) -> int | None:
    """Rate a decoding: 0 is how such a name is written, more is less likely, None is out of the question."""
    letters = [character for character in text if character > "\x7f"]
    first, last = _SCRIPTS[encoding]
    if any(not first <= character <= last for character in letters):
        return None
    if encoding == "euc_kr":
        return 0
    disorder = _disorder(text, may_be_utf8=False)
    if encoding == "latin_1":
        return 2 if disorder == 0 else None
    if encoding in ("gb18030", "shift_jis"):
        return 3
    mixed = sum(not word.isascii() and any(c.isascii() for c in word) for word in _WORD.findall(text))
    vowels = sum(character.lower() in "аеёиоуыэюя" for character in letters) / len(letters)
    # The Cyrillic sets turn each other's capitals into small letters; only the vowels then tell.
    return 1 + 2 * disorder + 4 * mixed + (not 0.25 <= vowels <= 0.65)


_SCRIPTS: Final = {
    "euc_kr": ("\uac00", "\ud7a3"),
    "cp1251": ("\u0401", "\u045f"),
    "koi8_r": ("\u0401", "\u045f"),
    "iso8859_5": ("\u0401", "\u045f"),
    "latin_1": ("\xa1", "\xff"),
    "gb18030": ("\u3041", "\u9fff"),
    "shift_jis": ("\u3041", "\u9fff"),
}
