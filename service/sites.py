"""Sites and their policies, DICOM peers, and which model packages are released for them."""

from __future__ import annotations

import hashlib
import ipaddress
import re
import ssl
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cryptography import x509

from models.package import SHIPPED, ModelPackage, PackageRefused, find_packages, load_package
from service.settings import Settings

Language = Literal["ko", "en", "vi", "ru"]
LANGUAGES: tuple[Language, ...] = ("ko", "en", "vi", "ru")
MAX_QUIET_S = 900.0
"""RELIABILITY 5.5: 5 to 900 s is what a site may ask for; less than 5 s is for a demonstration, and allowed."""


class SiteRefused(ValueError):
    """Something about a site, peer or policy that cannot be, in words for the operator who typed it."""


@dataclass(frozen=True, slots=True)
class SitePolicy:
    """What a site decides for itself. Stored as JSON in the site's row; absent keys are the defaults."""

    quiet_s: Mapping[str, float] = field(default_factory=dict)
    """Quiet seconds per modality, `default` for all others; empty leaves it to the settings."""
    unknown_age: Literal["unscored", "adult"] = "unscored"
    conflict_answer: Literal["refuse", "warn"] = "refuse"
    """How a sender hears of other content under a known SOP Instance UID. It is held aside either way."""
    reading_policy: Literal["triage", "blind"] = "triage"
    """Whether a reader's list follows what the AI found (DESIGN section 7). A reader's own policy stands above it."""
    preliminary_reports: Literal["hidden", "shown"] = "hidden"
    """Whether the center may read a report before it is final."""

    def __post_init__(self) -> None:
        for modality, quiet_s in self.quiet_s.items():
            if not (modality == "default" or re.fullmatch(r"[A-Z0-9]{2,16}", modality)):
                raise SiteRefused(f"quiet seconds: {modality!r} is no modality; write CR=60 or default=60")
            if not 0 < quiet_s <= MAX_QUIET_S:
                raise SiteRefused(f"quiet seconds for {modality} must be above 0 and at most {MAX_QUIET_S:.0f}")
        if self.unknown_age not in ("unscored", "adult"):
            raise SiteRefused("unknown age must be `unscored` or `adult`")
        if self.conflict_answer not in ("refuse", "warn"):
            raise SiteRefused("conflict answer must be `refuse` or `warn`")
        if self.reading_policy not in ("triage", "blind"):
            raise SiteRefused("reading policy must be `triage` or `blind`")
        if self.preliminary_reports not in ("hidden", "shown"):
            raise SiteRefused("preliminary reports must be `hidden` or `shown`")

    def to_json(self) -> dict[str, object]:
        """Return the policy as the site's row keeps it."""
        return {
            "quiet_s": dict(self.quiet_s),
            "unknown_age": self.unknown_age,
            "conflict_answer": self.conflict_answer,
            "reading_policy": self.reading_policy,
            "preliminary_reports": self.preliminary_reports,
        }


def policy_from_json(values: Mapping[str, object]) -> SitePolicy:
    """Return the policy of a site's row. Raises SiteRefused when someone wrote what cannot be."""
    known = {field.name: values[field.name] for field in fields(SitePolicy) if field.name in values}
    return SitePolicy(**known)  # type: ignore[arg-type]  # __post_init__ checks what JSON cannot promise


@dataclass(frozen=True, slots=True)
class Site:
    """An organisation that sends studies and receives reports."""

    id: int
    code: str
    name: str
    country: str
    language: str
    time_zone: str
    policy: SitePolicy


@dataclass(frozen=True, slots=True)
class NewSite:
    """A checked site that has no row yet. Raises SiteRefused for what cannot be."""

    code: str
    name: str
    country: str
    language: str
    time_zone: str
    policy: SitePolicy

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9-]{0,31}", self.code):
            raise SiteRefused("a site's code is 1 to 32 letters, digits and hyphens, such as hanoi-01")
        if not self.name.strip():
            raise SiteRefused("a site needs a name")
        if not re.fullmatch(r"[A-Z]{2}", self.country):
            raise SiteRefused("a country is its two-letter code, such as KR, VN or RU (ISO 3166-1)")
        if self.language not in LANGUAGES:
            raise SiteRefused(f"a site's language is one of {', '.join(LANGUAGES)}")
        try:
            ZoneInfo(self.time_zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise SiteRefused("a time zone is its IANA name, such as Asia/Seoul or Asia/Vladivostok") from None


@dataclass(frozen=True, slots=True)
class NewPeer:
    """A checked DICOM peer, as it is entered. Raises SiteRefused for what cannot be."""

    ae_title: str
    network: str
    certificate_sha256: str | None = None
    certificate_subject: str | None = None
    certificate_issuer: str | None = None
    answer_host: str | None = None
    answer_port: int | None = None
    answer_tls: bool = False

    def __post_init__(self) -> None:
        title = self.ae_title
        if not 1 <= len(title) <= 16 or title != title.strip() or not title.isascii() or not title.isprintable():
            raise SiteRefused("an AE title is 1 to 16 ASCII characters without spaces at its ends (PS3.5 6.2)")
        if "\\" in title:
            raise SiteRefused("an AE title has no backslash (PS3.5 6.2)")
        try:
            ipaddress.ip_network(self.network)
        except ValueError:
            raise SiteRefused("a network is written such as 192.0.2.0/24 or 192.0.2.7/32") from None


@dataclass(frozen=True, slots=True)
class Peer:
    """A DICOM peer as an operator sees it."""

    id: int
    site: str
    entry: NewPeer
    disabled_at: float | None


@dataclass(frozen=True, slots=True)
class PeerCertificate:
    """What a client's certificate is known by."""

    sha256: str
    """Of its DER form, in hex."""
    subject: str
    issuer: str


def read_certificate(path: Path) -> PeerCertificate:
    """Return what the listener compares a PEM certificate by. Raises SiteRefused."""
    try:
        return known_by(ssl.PEM_cert_to_DER_cert(path.read_text("ascii").strip()))
    except (OSError, ValueError):
        raise SiteRefused(f"{path} is not a readable PEM certificate") from None


def known_by(der: bytes) -> PeerCertificate:
    """Return what a certificate is known by; names are as RFC 4514 writes them. Raises ValueError."""
    read = x509.load_der_x509_certificate(der)
    fingerprint = hashlib.sha256(der).hexdigest()
    return PeerCertificate(fingerprint, read.subject.rfc4514_string(), read.issuer.rfc4514_string())


def parse_address(text: str) -> tuple[str, int]:
    """Return host and port from words such as `192.0.2.7:11112`."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65_536:
        raise SiteRefused("an address is HOST:PORT, such as 192.0.2.7:11112")
    return host.strip("[]"), int(port)


def parse_quiet(pairs: Sequence[str]) -> dict[str, float]:
    """Return quiet seconds from words such as `CR=3`."""
    quiet_s: dict[str, float] = {}
    for pair in pairs:
        modality, _, seconds = pair.partition("=")
        try:
            quiet_s[modality] = float(seconds)
        except ValueError:
            raise SiteRefused(f"{pair!r} is not MODALITY=SECONDS, such as CR=60") from None
    return quiet_s


@dataclass(frozen=True, slots=True)
class Shelf:
    """The model packages of an installation: those that load, and why others do not."""

    packages: tuple[ModelPackage, ...]
    refused: Mapping[str, str]


def open_shelf(settings: Settings) -> Shelf:
    """Load every package folder, shipped ones first; one of the same name in the installation's folder wins."""
    packages: dict[str, ModelPackage] = {}
    refused: dict[str, str] = {}
    for folder in package_folders(settings):
        try:
            package = load_package(folder)
        except PackageRefused as why:
            refused[folder.name] = str(why)
        else:
            packages[package.name] = package
    return Shelf(tuple(packages.values()), refused)


def served_by_default(packages: Iterable[ModelPackage]) -> list[ModelPackage]:
    """Return what serves a site without being named: not a package that has experimental findings only."""
    return [
        package
        for package in packages
        if package.kind == "scope_gate" or any(not output.experimental for output in package.outputs)
    ]


def package_folders(settings: Settings) -> list[Path]:
    """Return the folders that look like a model package: they have configs/metadata.json."""
    shelves = [SHIPPED, *([settings.models_folder] if settings.models_folder else [])]
    return [folder for shelf in shelves for folder in find_packages(shelf)]
