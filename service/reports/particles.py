"""Korean particles: which of two forms follows a word, by how its last syllable ends."""

from __future__ import annotations

_FIRST, _LAST, _FINALS = 0xAC00, 0xD7A3, 28


def with_particle(phrase: str, after_consonant: str, after_vowel: str) -> str:
    """Return the phrase with the form that fits its last Hangul syllable, such as 이 or 가.

    What stands behind the last syllable in brackets is not spoken and does not count.
    """
    spoken = phrase.rsplit("(", 1)[0].rstrip() if phrase.endswith(")") else phrase
    last = ord(spoken[-1]) if spoken else 0
    ends_in_consonant = _FIRST <= last <= _LAST and (last - _FIRST) % _FINALS != 0
    return phrase + (after_consonant if ends_in_consonant else after_vowel)
