"""TLS of the listener: the profile that it speaks, whose certificate it saw, and why a handshake failed."""

from __future__ import annotations

import logging
import ssl
from hashlib import sha256
from pathlib import Path

from service.intake.dimse.records import Stranger
from service.settings import Settings
from service.sites import PeerCertificate, known_by

log = logging.getLogger("pandok.intake.dimse")

SUITES = (
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
)
"""Of TLS 1.2: forward secret and authenticated, as RFC 9325 (BCP 195) section 4.2 asks; those of 1.3 all are."""

# Numbers of OpenSSL's x509_vfy.h, of which Python's ssl gives `verify_code` alone.
_NOT_YET, _EXPIRED, _REVOKED = 9, 10, 23
_REVOCATION_LIST = frozenset({3, 5, 8, 11, 12, 15, 16, 33, 44, 54})
_UNKNOWN_AUTHORITY = frozenset({2, 7, 18, 19, 20, 21, 24, 27, 29, 30, 32})

_SPEAKS_ANOTHER = frozenset(
    {"UNSUPPORTED_PROTOCOL", "NO_SHARED_CIPHER", "VERSION_TOO_LOW", "NO_PROTOCOLS_AVAILABLE", "NO_SUITABLE_KEY_SHARE",
     "NO_SHARED_GROUPS", "NO_SHARED_SIGNATURE_ALGORITHMS", "INAPPROPRIATE_FALLBACK", "WRONG_SSL_VERSION"}
)  # fmt: skip
_IS_NO_TLS = frozenset(
    {"HTTP_REQUEST", "HTTPS_PROXY_REQUEST", "WRONG_VERSION_NUMBER", "UNKNOWN_PROTOCOL", "PACKET_LENGTH_TOO_LONG",
     "BAD_PACKET_LENGTH", "LENGTH_MISMATCH", "LENGTH_TOO_SHORT", "UNEXPECTED_MESSAGE", "BAD_RECORD_TYPE",
     "RECORD_LENGTH_MISMATCH", "ENCRYPTED_LENGTH_TOO_LONG", "DATA_LENGTH_TOO_LONG", "INVALID_RECORD"}
)  # fmt: skip


def tls_context(settings: Settings) -> ssl.SSLContext:
    """Return the server's TLS by BCP 195: 1.2 or 1.3, and client certificates where an authority for them is set.

    Sessions are not resumed: a resumed one would pass without its certificate being looked at again.
    """
    if settings.dicom_tls_certificate is None or settings.dicom_tls_key is None:
        raise ValueError("a DICOM TLS port needs dicom_tls_certificate and dicom_tls_key")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(SUITES)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_TICKET
    context.num_tickets = 0
    context.load_cert_chain(_file(settings.dicom_tls_certificate), _file(settings.dicom_tls_key))
    if settings.dicom_tls_client_ca is not None:
        context.load_verify_locations(_file(settings.dicom_tls_client_ca))
        context.verify_mode = ssl.CERT_REQUIRED
    if settings.dicom_tls_crl is not None:
        context.load_verify_locations(_file(settings.dicom_tls_crl))
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
    return context


def _file(path: Path) -> str:
    if not path.is_file():
        raise ValueError(f"no such file: {path}")
    return str(path)


class TlsDoor:
    """The context for the next handshake; made anew when a certificate or a revocation list was replaced.

    Args:
        settings: The TLS files. Raises ValueError or OSError when they cannot be used.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._seen = self._stamps()
        self.context = tls_context(settings)

    def refresh(self) -> None:
        """Read the files again if they changed; a set that cannot be used leaves the old one in force."""
        stamps = self._stamps()
        if stamps == self._seen:
            return
        self._seen = stamps
        try:
            self.context = tls_context(self._settings)
        except (OSError, ValueError) as failure:  # ssl.SSLError is an OSError
            log.error("TLS files not usable", extra={"error": type(failure).__name__})  # noqa: TRY400 - names files
        else:
            log.info("TLS files read again")

    def _stamps(self) -> tuple[tuple[int, int] | None, ...]:
        s = self._settings
        return tuple(
            _stamp(path)
            for path in (s.dicom_tls_certificate, s.dicom_tls_key, s.dicom_tls_client_ca, s.dicom_tls_crl)
            if path is not None
        )


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_ino


def client_certificate(der: bytes) -> PeerCertificate:
    """Return what we know a client's verified certificate by."""
    try:
        return known_by(der)
    except ValueError:  # OpenSSL took it: then its fingerprint alone counts
        return PeerCertificate(sha256(der).hexdigest(), "", "")


def why_refused(failure: OSError) -> Stranger | None:
    """Return why a handshake failed; None when the peer only fell silent or went away."""
    if isinstance(failure, ssl.SSLCertVerificationError):
        return _why_not_verified(failure.verify_code)
    reason = failure.reason if isinstance(failure, ssl.SSLError) else None
    if not reason:
        return None
    if reason == "PEER_DID_NOT_RETURN_A_CERTIFICATE":
        return Stranger.TLS_NO_CERTIFICATE
    if reason in _SPEAKS_ANOTHER:
        return Stranger.TLS_VERSION
    if reason in _IS_NO_TLS:
        return Stranger.TLS_NOT_SPOKEN
    if "EOF" in reason or "SHUTDOWN" in reason:
        return None
    return Stranger.TLS_FAILED


def _why_not_verified(code: int) -> Stranger:
    if code in (_NOT_YET, _EXPIRED):
        return Stranger.TLS_EXPIRED
    if code == _REVOKED:
        return Stranger.TLS_REVOKED
    if code in _REVOCATION_LIST:
        return Stranger.TLS_REVOCATION_LIST
    return Stranger.TLS_AUTHORITY if code in _UNKNOWN_AUTHORITY else Stranger.TLS_CERTIFICATE
