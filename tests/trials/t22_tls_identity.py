"""Trial 22: forty callers with the wrong TLS, certificate or name; each is refused, and the operator sees for what."""

from __future__ import annotations

import contextlib
import datetime
import json
import socket
import ssl
import struct
import time
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from sqlalchemy import select

from service import tables
from service.database import Database
from service.intake.dimse.records import Stranger
from tests.service.intake.dimse.sender import RawSender, associate_rq
from tests.trials.attacked import Attacked, attacked
from tests.trials.trial import Counts, Trial

NOW = datetime.datetime.now(datetime.UTC)
DAY = datetime.timedelta(days=1)
SEEN_S = 15.0


class Signer:
    """A certificate authority with a revocation list."""

    def __init__(self, folder: Path, name: str, file: str | None = None) -> None:
        self.folder, self.file = folder, file or name
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        built = _certificate(self.name, self.name, self.key.public_key(), (NOW - DAY, NOW + DAY))
        built = built.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        self.certificate = built.sign(self.key, hashes.SHA256())
        self.path = folder / f"{self.file}.pem"
        self.path.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))

    def issue(
        self,
        name: str,
        *,
        file: str | None = None,
        valid: tuple[datetime.datetime, datetime.datetime] = (NOW - DAY, NOW + DAY),
        bits: int = 2048,
        usage: Sequence[x509.ObjectIdentifier] = (),
        sign_key: ec.EllipticCurvePrivateKey | None = None,
    ) -> Issued:
        """Sign a certificate."""
        key = rsa.generate_private_key(65537, bits)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        built = _certificate(subject, self.name, key.public_key(), valid)
        if usage:
            built = built.add_extension(x509.ExtendedKeyUsage(list(usage)), critical=False)
        certificate = built.sign(sign_key or self.key, hashes.SHA256())
        return Issued(self.folder, f"{self.file}-{file or name}", certificate, key)

    def revocation_list(self, revoked: Sequence[Issued]) -> bytes:
        """Return the list of what no longer counts."""
        built = x509.CertificateRevocationListBuilder().issuer_name(self.name)
        built = built.last_update(NOW - DAY).next_update(NOW + DAY)
        for each in revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(each.certificate.serial_number)
            built = built.add_revoked_certificate(entry.revocation_date(NOW - DAY).build())
        return built.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


class Issued:
    """A certificate with its key, in files."""

    def __init__(self, folder: Path, name: str, certificate: x509.Certificate, key: rsa.RSAPrivateKey) -> None:
        self.certificate = certificate
        self.path, self.key = folder / f"{name}.pem", folder / f"{name}.key"
        self.path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        self.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )

    @property
    def sha256(self) -> str:
        """The fingerprint by which a peer is entered."""
        return self.certificate.fingerprint(hashes.SHA256()).hex()


def _certificate(
    subject: x509.Name,
    issuer: x509.Name,
    public_key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey,
    valid: tuple[datetime.datetime, datetime.datetime],
) -> x509.CertificateBuilder:
    built = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(public_key)
    built = built.serial_number(x509.random_serial_number())
    return built.not_valid_before(valid[0]).not_valid_after(valid[1])


@dataclass(frozen=True)
class House:
    """The authorities and certificates of a run."""

    ours: Signer
    pinned: Issued
    named: Issued
    renewed: Issued
    revoked: Issued
    wrong: dict[str, Issued]


def furnish(folder: Path) -> House:
    """Make every certificate that the cases show."""
    ours, foreign, forged = Signer(folder, "ours"), Signer(folder, "foreign"), Signer(folder, "ours", "forged")
    pinned = ours.issue("site-a")
    wrong = {
        "expired": ours.issue("site-a", file="expired", valid=(NOW - 9 * DAY, NOW - 2 * DAY)),
        "not yet valid": ours.issue("site-a", file="early", valid=(NOW + 2 * DAY, NOW + 9 * DAY)),
        "foreign": foreign.issue("site-a"),
        "same name, other authority": forged.issue("site-a"),
        "of a server": ours.issue("site-a", file="servers-only", usage=[ExtendedKeyUsageOID.SERVER_AUTH]),
        "of code": ours.issue("site-a", file="code", usage=[ExtendedKeyUsageOID.CODE_SIGNING]),
        "short key": ours.issue("site-a", file="short", bits=1024),
        "bad signature": ours.issue("site-a", file="unsigned", sign_key=foreign.key),
        "site b": ours.issue("site-b"),
        "nobody": ours.issue("nobody"),
        "same name, other key": ours.issue("site-a", file="again"),
    }
    return House(ours, pinned, ours.issue("named"), ours.issue("named", file="renewed"), ours.issue("revoked"), wrong)


Case = Callable[[Attacked], bool]
"""Returns whether it was let in."""


def calls(issued: Issued | None, *, calling: str = "PINNED", called: str = "PANDOK", **tls: Any) -> Case:
    """Return a caller over TLS."""
    return lambda listener: associates(listener, context(issued, **tls), calling=calling, called=called)


def context(
    issued: Issued | None,
    *,
    version: ssl.TLSVersion | None = None,
    suites: str | None = None,
) -> ssl.SSLContext:
    """Return a client that would take any server, and speaks what no client should."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    made.set_ciphers(suites or "ALL:@SECLEVEL=0")
    if suites:
        made.maximum_version = ssl.TLSVersion.TLSv1_2
    if version is not None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            made.minimum_version = made.maximum_version = version
    if issued is not None:
        made.load_cert_chain(issued.path, issued.key)
    return made


def associates(
    listener: Attacked, client: ssl.SSLContext | None, *, calling: str, called: str, port: int | None = None
) -> bool:
    """Tell whether an association is accepted."""
    try:
        with RawSender(port or listener.tls_port, calling=calling, tls=client, timeout_s=10.0) as sender:
            sender.send(associate_rq(calling=calling, called=called))
            return sender.pdu()[0] == 2
    except (OSError, EOFError):
        return False


def bytes_at(data: bytes) -> Case:
    """Return a caller that speaks no TLS on the TLS port; let in means that anything but an alert comes back."""

    def speak(listener: Attacked) -> bool:
        with (
            socket.create_connection(("127.0.0.1", listener.tls_port), timeout=10) as peer,
            contextlib.suppress(OSError),
        ):
            peer.sendall(data)
            peer.shutdown(socket.SHUT_WR)
            return peer.recv(64)[:1] not in (b"", b"\x15")
        return False

    return speak


def cases(house: House) -> dict[str, tuple[Stranger, Case]]:
    """Return the callers that must be refused, each with the reason that the operator must be told."""
    old = {f"TLS {v.name}": v for v in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1)}
    weak = (
        "AES128-SHA", "AES256-SHA256", "AES128-GCM-SHA256", "AES256-GCM-SHA384", "ECDHE-RSA-AES128-SHA",
        "ECDHE-RSA-AES256-SHA384", "DHE-RSA-AES128-GCM-SHA256", "DHE-RSA-AES256-SHA", "CAMELLIA128-SHA",
        "NULL-SHA256", "ADH-AES128-GCM-SHA256", "AES128-CCM8",
    )  # fmt: skip
    hello = struct.pack(">BHH", 22, 0x0300, 4) + bytes((1, 0, 0, 0))
    found: dict[Stranger, dict[str, Case]] = {
        Stranger.TLS_VERSION: {
            **{name: calls(house.pinned, version=version) for name, version in old.items()},
            **{f"suite {name}": calls(house.pinned, suites=f"{name}:@SECLEVEL=0") for name in weak},
        },
        Stranger.TLS_NO_CERTIFICATE: {
            "no certificate": calls(None),
            "no certificate in TLS 1.2": calls(None, version=ssl.TLSVersion.TLSv1_2),
        },
        Stranger.TLS_REVOKED: {
            "revoked": calls(house.revoked, calling="REVOKED"),
            "revoked in TLS 1.2": calls(house.revoked, calling="REVOKED", version=ssl.TLSVersion.TLSv1_2),
        },
        Stranger.TLS_EXPIRED: {
            "expired": calls(house.wrong["expired"]),
            "not yet valid": calls(house.wrong["not yet valid"]),
        },
        Stranger.TLS_AUTHORITY: {
            name: calls(house.wrong[name]) for name in ("foreign", "same name, other authority", "bad signature")
        },
        Stranger.TLS_CERTIFICATE: {name: calls(house.wrong[name]) for name in ("of a server", "of code", "short key")},
        Stranger.TLS_NOT_SPOKEN: {
            "a DICOM request on the TLS port": bytes_at(associate_rq(calling="PINNED")),
            "HTTP on the TLS port": bytes_at(b"GET / HTTP/1.1\r\nHost: pandok\r\n\r\n"),
            "SSL 3": bytes_at(hello),
        },
        Stranger.CERTIFICATE: {
            "site A as B": calls(house.pinned, calling="SITE_B"),
            "site B as A": calls(house.wrong["site b"], calling="PINNED"),
            "site A as a named peer": calls(house.pinned, calling="NAMED"),
            "named as A": calls(house.named, calling="PINNED"),
            "a name of the other's authority": calls(house.named, calling="NAMED_ELSE"),
            "same name, other key": calls(house.wrong["same name, other key"]),
            "nobody as a named peer": calls(house.wrong["nobody"], calling="NAMED"),
            "a pinned peer on the plain port": lambda listener: associates(
                listener, None, calling="PINNED", called="PANDOK", port=listener.port
            ),
            "a named peer on the plain port": lambda listener: associates(
                listener, None, calling="NAMED", called="PANDOK", port=listener.port
            ),
        },
        Stranger.CERTIFICATE_NOT_ENTERED: {
            "a peer without an entered certificate": calls(house.pinned, calling="PLAIN"),
        },
        Stranger.AE_TITLE: {
            "an unknown title": calls(house.pinned, calling="NOBODY"),
            "a disabled peer": calls(house.pinned, calling="DISABLED"),
        },
        Stranger.CALLED_AE_TITLE: {"another called title": calls(house.pinned, called="OTHER")},
        Stranger.NETWORK: {"another network": calls(house.pinned, calling="AWAY")},
    }
    return {name: (reason, case) for reason, group in found.items() for name, case in group.items()}


def run(_seed: int, folder: Path) -> Counts:
    """Let everybody call who may not, and some who may."""
    house = furnish(folder)
    server = house.ours.issue("server")
    (folder / "revoked.pem").write_bytes(house.ours.revocation_list([house.revoked]))
    settings = {
        "dicom_tls_port": 0, "dicom_tls_certificate": server.path, "dicom_tls_key": server.key,
        "dicom_tls_client_ca": house.ours.path, "dicom_tls_crl": folder / "revoked.pem",
        "max_connections_per_address": 64, "association_idle_timeout_s": 1.0,
    }  # fmt: skip
    named = {"certificate_subject": "CN=named", "certificate_issuer": "CN=ours"}
    peers: dict[str, dict[str, Any]] = {
        "PINNED": {"certificate_sha256": house.pinned.sha256},
        "NAMED": named,
        "NAMED_ELSE": {**named, "certificate_issuer": "CN=foreign"},
        "SITE_B": {"certificate_sha256": house.wrong["site b"].sha256},
        "REVOKED": {"certificate_sha256": house.revoked.sha256},
        "AWAY": {"certificate_sha256": house.pinned.sha256, "network": "192.0.2.0/24"},
        "DISABLED": {"certificate_sha256": house.pinned.sha256, "disabled_at": 1.0},
        "PLAIN": {},
    }
    with attacked(folder, settings, peers) as listener:
        let_in = unexplained = wrongly_explained = 0
        wanted = cases(house)
        for name, (reason, case) in wanted.items():
            before, logged = _told(folder), _logged(folder)
            if case(listener):
                print("let in:", name)
                let_in += 1
            told, lines = _new(folder, before), _logged(folder) - logged
            if not told:
                print("not told:", name)
                unexplained += 1
            elif set(told) != {reason.value} or set(lines) != {reason.value}:
                print(f"{name}: told {dict(told)}, logged {dict(lines)}, and not {reason.value}")
                wrongly_explained += 1
        honest = (
            calls(house.pinned),
            calls(house.named, calling="NAMED"),
            calls(house.renewed, calling="NAMED"),
            calls(house.pinned, version=ssl.TLSVersion.TLSv1_2),
            calls(house.pinned, version=ssl.TLSVersion.TLSv1_3),
        )
        refused_honest = sum(not each(listener) for each in honest)
        return {
            "cases": len(wanted),
            "let_in": let_in,
            "not_told_to_the_operator": unexplained,
            "wrong_reason": wrongly_explained,
            "honest_refused": refused_honest,
            "deaths": not listener.is_alive,
        }


def _told(folder: Path) -> Counter[str]:
    """Return how many refusals the operator's rows count, by their reasons; each row has words and an answer too."""
    database = Database(f"sqlite:///{folder / 'data' / 'pandok.db'}")
    told: Counter[str] = Counter()
    t = tables.problem.c
    with database.reading() as rx:
        for reason, count, detail, status in rx.execute(select(t.reason, t.count, t.detail, t.status)):
            told[reason if detail.endswith("127.0.0.1") and status else "without words"] += count
    database.close()
    return told


def _logged(folder: Path) -> Counter[str]:
    """Return how many lines of the log give each reason."""
    lines = [json.loads(line) for line in (folder / "log").read_text().splitlines() if line.startswith("{")]
    return Counter(line["reason"] for line in lines if "reason" in line)


def _new(folder: Path, before: Counter[str]) -> Counter[str]:
    """Wait until the operator is told of something more, and return of what; nothing when that does not come."""
    deadline = time.monotonic() + SEEN_S
    while time.monotonic() < deadline:
        if new := _told(folder) - before:
            return new
        time.sleep(0.1)
    return Counter()


TRIAL = Trial(
    "22",
    "callers with the wrong TLS, certificate or name",
    run,
    "cases",
    40,
    ("let_in", "not_told_to_the_operator", "wrong_reason", "honest_refused", "deaths"),
)
