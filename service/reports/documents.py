"""The printed pages of signed reports, by content hash, a folder per site; a write is whole and durable."""

from __future__ import annotations

import hashlib
from pathlib import Path

from service.archive import write_durably
from service.errors import ServiceError


class DocumentDamaged(ServiceError):
    """A stored page is not what was signed: 500."""

    def __init__(self) -> None:
        words = "The stored pages are not what was signed. Tell the operator; the report itself can be read here."
        super().__init__(500, "damaged", words)


class Documents:
    """Content-addressed PDFs: `<site>/<ab>/<sha256>.pdf`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, site_id: int, sha256: str) -> Path:
        """Return where the document with this hash is, or would be, stored."""
        return self.folder / str(site_id) / sha256[:2] / f"{sha256}.pdf"

    def put(self, site_id: int, content: bytes) -> str:
        """Store a document durably and return its SHA-256."""
        sha256 = hashlib.sha256(content).hexdigest()
        write_durably(self.path(site_id, sha256), content, root=self.folder)
        return sha256

    def get(self, site_id: int, sha256: str) -> bytes:
        """Return a stored document. Raises DocumentDamaged when it is not there or not what it was."""
        try:
            content = self.path(site_id, sha256).read_bytes()
        except OSError as error:
            raise DocumentDamaged from error
        if hashlib.sha256(content).hexdigest() != sha256:
            raise DocumentDamaged
        return content
