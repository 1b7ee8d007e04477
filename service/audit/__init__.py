"""Who did what to which study: a chain of rows that is only ever added to."""

from service.audit.chain import STRANGER, SYSTEM, note, record_sha256
from service.audit.reads import Reads

__all__ = ["STRANGER", "SYSTEM", "Reads", "note", "record_sha256"]
