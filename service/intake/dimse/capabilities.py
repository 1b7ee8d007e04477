"""What the listener says it can take: abstract syntaxes and transfer syntaxes."""

from __future__ import annotations

from preprocessing.pixels import SUPPORTED_TRANSFER_SYNTAXES
from service.intake.verify import storage_classes

VERIFICATION = "1.2.840.10008.1.1"
STORAGE_COMMITMENT = "1.2.840.10008.1.20.1"
"""Offered only to peers whose own address is known: the outcome is told over an association of ours."""
IMPLICIT_VR_LITTLE_ENDIAN = "1.2.840.10008.1.2"
PLAIN_SYNTAXES = frozenset({IMPLICIT_VR_LITTLE_ENDIAN, "1.2.840.10008.1.2.1"})
"""Of messages without pixels."""

ABSTRACT_SYNTAXES: frozenset[str] = storage_classes() | {VERIFICATION}
"""Every Storage class that the intake keeps: a center's study may hold more than what we read."""

TRANSFER_SYNTAXES: frozenset[str] = frozenset(SUPPORTED_TRANSFER_SYNTAXES)
"""Those of STANDARDS 1A.2 with a pinned decoder: what is accepted here must be readable later."""
