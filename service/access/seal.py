"""Seals the secrets that the tables must give back, such as those of one-time codes."""

from __future__ import annotations

import os
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken


class NotSealedHere(Exception):
    """Sealed with another installation's key, or changed since."""


class Seal:
    """Seals with the installation's own key, which is made in the data folder at its first use.

    Args:
        path: The key's file; only its owner may read it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fernet: Fernet | None = None

    def close(self, text: str) -> str:
        """Return the text sealed."""
        return self._key().encrypt(text.encode()).decode()

    def open(self, sealed: str, *, younger_than_s: int | None = None) -> str:
        """Return what was sealed. Raises NotSealedHere, also for what is older than asked for."""
        try:
            return self._key().decrypt(sealed.encode(), ttl=younger_than_s).decode()
        except (InvalidToken, ValueError) as error:
            raise NotSealedHere from error

    def _key(self) -> Fernet:
        if self._fernet is None:
            if not self._path.exists():
                self._make()
            self._fernet = Fernet(self._path.read_bytes().strip())
        return self._fernet

    def _make(self) -> None:
        """Write a whole new key, unless another process is quicker."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(descriptor, Fernet.generate_key())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        try:
            os.link(fresh, self._path)
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
