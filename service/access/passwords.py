"""Passwords: which are taken, and how they are kept and checked (Argon2id)."""

from __future__ import annotations

import functools
import re
import threading
import unicodedata

from argon2 import PasswordHasher, Type
from argon2.exceptions import Argon2Error, InvalidHashError

SHORTEST = 12
LONGEST = 128
MEMORY_KIB = 64 * 1024
ROUNDS = 2
AT_ONCE = 2
"""Each check takes 64 MiB: so many run at a time, and guesses in a row wait for each other."""

_hasher = PasswordHasher(time_cost=ROUNDS, memory_cost=MEMORY_KIB, parallelism=1, type=Type.ID)
LEAST_GUESSES_LOG10 = 8.0
"""zxcvbn's estimate: what stands at 5 guesses a minute, and for a while where the table was stolen."""
_LOOKED_AT = 64
"""Characters that the estimate looks at: its time grows with the square."""

_seats = threading.BoundedSemaphore(AT_ONCE)


class PasswordRefused(ValueError):
    """A password that is not taken, in words for the person who chose it."""


def check_choice(password: str, *, own_words: tuple[str, ...] = ()) -> None:
    """Refuse a password that others guess first. Which kinds of characters it has is nobody's business.

    Args:
        password: What the person typed.
        own_words: Login and name: not to be the password, nor it to be them.

    Raises:
        PasswordRefused: Too short, too long, or known to be common.
    """
    from zxcvbn import zxcvbn  # 12 MB of words, and passwords are chosen seldom

    text = _normal(password)
    if len(text) < SHORTEST:
        raise PasswordRefused(f"A password has at least {SHORTEST} characters; a sentence is a good one.")
    if len(text) > LONGEST:
        raise PasswordRefused(f"A password has at most {LONGEST} characters.")
    own = [part.lower() for word in own_words for part in (word, *re.split(r"[\s@._-]+", word)) if part]
    if zxcvbn(text[:_LOOKED_AT], user_inputs=[*own, *OURS])["guesses_log10"] < LEAST_GUESSES_LOG10:
        raise PasswordRefused("This password is one that others guess first; choose another, such as a sentence.")


def hash_password(password: str) -> str:
    """Return how a password is kept."""
    with _seats:
        return _hasher.hash(_normal(password))


def is_password(kept: str | None, password: str) -> bool:
    """Tell whether this is the password. Without a kept one the work is done all the same and the answer is no."""
    with _seats:
        try:
            _hasher.verify(kept or _nobodys(), _normal(password)[: LONGEST + 1])
        except (Argon2Error, InvalidHashError):
            return False
    return kept is not None


@functools.cache
def _nobodys() -> str:
    return _hasher.hash("nobody has this one: it only makes an unknown login take as long as a known one")


def _normal(password: str) -> str:
    """One way to write each character (NIST SP 800-63B): keyboards compose Korean and Vietnamese differently."""
    return unicodedata.normalize("NFKC", password)


_WORDS = """
pandok hospital radiology radiologist doctor medicine xray dicom pacs clinic administrator
korea seoul hanguk daehanminguk saranghae saranghaeyo annyeong annyeonghaseyo
vietnam hanoi saigon anhyeuem emyeuanh matkhau xinchao quantri benhvien
russia rossiya moskva vladivostok parol privet lubov spartak natasha gfhjkm yfnfif
йцукен йцукенгшщзхъ пароль привет любовь россия москва солнышко наташа администратор больница
비밀번호 사랑해 사랑해요 안녕하세요 대한민국 관리자 병원
"""
OURS = tuple(_WORDS.split())
"""What our users' languages and trade say first, beside the common passwords that zxcvbn knows."""
