"""One frozen Settings object, read once from the environment or a TOML file."""

from __future__ import annotations

from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from service.roles import Role

GIB = 1024**3

METRICS_FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""Names the folder in which the processes of one service keep their numbers. `service.serve` sets it before anything
loads prometheus_client, which looks once; without it (tests, a process by itself) the numbers live in the process."""


def is_https_or_loopback(address: str) -> bool:
    """Tell whether what is sent to an address cannot be read on the way."""
    parts = urlsplit(address)
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in ("127.0.0.1", "::1", "localhost"))


class Settings(BaseSettings):
    """Everything that an operator can set. Environment `PANDOK_<NAME>` wins over the file `PANDOK_CONFIG`."""

    model_config = SettingsConfigDict(env_prefix="PANDOK_", frozen=True, extra="forbid")

    data_folder: Path = Path("data")
    """Holds the tables, the archive, the spool and the workspace: one file system."""
    database_url: str | None = None
    """SQLAlchemy URL; None is SQLite in the data folder."""

    web_host: str = "127.0.0.1"
    web_port: int = 8042
    web_certificate: Path | None = None
    web_key: Path | None = None
    public_url: str | None = None
    """Address that people use, where a proxy stands before the service."""
    allow_plain_http: bool = False
    """Let a web_host other than loopback speak without TLS and without a proxy that does."""

    dicom_host: str = "127.0.0.1"
    dicom_port: int = 11112
    dicom_ae_title: str = "PANDOK"
    dicom_tls_port: int | None = None
    """A TLS listener beside the plain one; None is no TLS listener."""
    dicom_plain: bool = True
    dicom_processes: int = Field(default=1, ge=1, le=16)
    """Listener processes that share the ports; each has its part of the seats in all, and an origin's seats whole."""
    dicom_tls_certificate: Path | None = None
    dicom_tls_key: Path | None = None
    dicom_tls_client_ca: Path | None = None
    """When set, peers must show a certificate that this authority signed, and be entered with it (`pandok peers`)."""
    dicom_tls_crl: Path | None = None
    """Certificate revocation lists (PEM), one for each authority of `dicom_tls_client_ca`; read again when replaced."""
    allow_plain_dicom: bool = False
    """Let a dicom_host other than loopback or a private address take associations that nothing proves."""

    # RELIABILITY 5.9
    tls_handshake_timeout_s: float = 5.0
    first_pdu_timeout_s: float = 5.0
    association_idle_timeout_s: float = 30.0
    slow_rate_bytes_per_s: int = 2_000
    slow_rate_window_s: float = 60.0
    max_pdu_bytes: int = 131_072
    max_associate_rq_bytes: int = 65_536
    max_connections: int = 256
    max_connections_per_address: int = 16
    max_associations: int = 64
    max_associations_per_peer: int = 8
    max_dataset_bytes: int = 2 * GIB
    max_stow_bytes: int = 4 * GIB
    max_stow_parts: int = 5_000
    max_zip_entries: int = 20_000
    max_zip_ratio: int = 100
    resumable_hours: float = 72.0
    """So long an upload that goes on after breaks is kept without a byte coming."""
    max_resumable_uploads: int = 200
    """Of one site, finished ones included that their sender has not taken away."""
    max_instances_per_study: int = 20_000
    min_free_bytes: int = 5 * GIB
    """With less free space than this and than `min_free_share`, intake refuses (0xA700, 507); reading goes on."""
    min_free_share: float = Field(default=0.10, ge=0, le=1)
    low_free_bytes: int = 20 * GIB
    """With less free space than this and than `low_free_share`, nothing is scored again or exported."""
    low_free_share: float = Field(default=0.20, ge=0, le=1)
    max_waiting_s: float = 1_800.0
    """When a study has waited longer than this to be scored, senders are asked to come back later."""

    quiet_s: dict[str, float] = Field(default_factory=lambda: {"CT": 300.0, "MR": 300.0, "default": 60.0})
    """Quiet time after the last image, per modality; a site's policy may override it."""
    partial_after_s: float = 1_800.0
    """Hard limit from first image to settled."""

    worker_processes: int = Field(default=1, ge=1, le=16)
    """Workers that share the studies, each with networks and decode children of its own; one writes the results of
    about six radiographs a second, so that a GPU or many cores want several."""
    worker_concurrency: int = 2
    """Studies that a worker has in hand at once."""
    engine_poll_s: float = 0.1
    decode_processes: int = 2
    """Decode children of a worker, each with a core of its own while it decodes."""
    decode_memory_bytes: int = 2 * GIB
    decode_cpu_s: int = 30
    decode_wall_s: float = 60.0
    picture_processes: int = 2
    """Decode children that the web process may have for rendered pictures; they start with the first one."""
    picture_queue: int = 16
    """Requests that may wait for them; more hear 503."""
    search_s: float = 10.0
    """A search of the archive that reads longer hears 413, and is to be narrowed."""
    search_threads: int = 8
    """Searches that are answered at the same time; up to eight times as many, twice as many of one caller, may be on
    their way or wait, without holding anything else up, and who comes then hears 503."""
    scoring_timeout_s: float = 60.0
    models_folder: Path | None = None
    """Model packages beside the shipped ones."""
    execution_provider: Literal["cpu", "cuda", "tensorrt"] = "cpu"
    scoring_precision: Literal["fp32", "fp16"] = "fp32"
    """`fp16` lets a GPU run a package's half precision file, where the package has one."""
    scoring_threads: int = 1
    max_batch: int = 1
    """Most images in one batch. More than one is for a GPU, which is given batches of this very size (docs/gpu.md)."""
    step_attempts: int = 3
    step_retry_s: float = 1.0

    answer_retry_s: float = 30.0
    """First wait before a peer that did not take our answer (storage commitment) is called again; then twice as long
    each time, at most an hour, for a day."""

    due_minutes: dict[str, int] = Field(default_factory=lambda: {"stat": 60, "urgent": 240, "routine": 1_440})
    max_wait_hours: float = 72.0

    @field_validator("due_minutes")
    @classmethod
    def _has_every_class(cls, minutes: dict[str, int]) -> dict[str, int]:
        if minutes.keys() != {"stat", "urgent", "routine"} or min(minutes.values()) <= 0:
            raise ValueError("name the minutes of stat, urgent and routine, each above 0")
        return minutes

    @field_validator("oidc_issuer")
    @classmethod
    def _is_safe(cls, issuer: str | None) -> str | None:
        if issuer is not None and not is_https_or_loopback(issuer):
            raise ValueError("an identity provider has an https address")
        return issuer

    @field_validator("scoring_precision")
    @classmethod
    def _is_for_a_gpu(cls, precision: str, info: ValidationInfo) -> str:
        if precision == "fp16" and info.data.get("execution_provider") == "cpu":
            raise ValueError("fp16 is for a GPU; ONNX Runtime's CPU provider computes in fp32 all the same")
        return precision

    session_idle_minutes: int = 15
    """RELIABILITY 4.1. Every request of a person counts; the heartbeat of an open case counts when a hand was on the
    page since the last one, so that a reader who scrolls through a CT stays and an abandoned screen does not."""
    session_hours: int = 10
    sign_confirm_minutes: int = 30
    """How long a proof of who somebody is counts for signing reports; then they prove it again."""
    totp_roles: frozenset[Role] = frozenset()
    """Roles that must have one-time codes beside the password, such as `["radiologist", "administrator"]`."""
    proxy_address_header: str | None = None
    """Where a proxy stands before the service: the header in which it tells who called; its last address counts."""
    oidc_issuer: str | None = None
    """The hospital's identity provider, such as https://login.example/realms/hospital; None is local accounts only."""
    oidc_client_id: str | None = None
    oidc_client_secret: SecretStr | None = None
    oidc_role_claim: str | None = None
    """When set, this claim must name the role that the account has; it never gives one."""
    metrics_token: SecretStr | None = None
    """When set, a monitoring program that shows it as a bearer token may ask for /metrics and /ready, nothing else."""
    shutdown_s: float = 30.0
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the library's signature
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Order of sources: constructor, environment, TOML file named by PANDOK_CONFIG."""
        import os

        path = os.environ.get("PANDOK_CONFIG")
        files = (TomlConfigSettingsSource(settings_cls, Path(path)),) if path else ()
        return (init_settings, env_settings, *files)

    @property
    def archive_folder(self) -> Path:
        """DICOM files by content hash."""
        return self.data_folder / "archive"

    @property
    def documents_folder(self) -> Path:
        """Signed reports' pages by content hash."""
        return self.data_folder / "documents"

    @property
    def spool_folder(self) -> Path:
        """Bytes that are arriving, and names (`.kept`) of what was just acknowledged: never emptied by hand."""
        return self.data_folder / "spool"

    @property
    def clock_file(self) -> Path:
        """Where the parts of one machine agree on the service's time."""
        return self.data_folder / "run" / "clock.json"

    @property
    def work_folder(self) -> Path:
        """Tensors and heat maps that can be made again."""
        return self.data_folder / "work"

    @property
    def seal_file(self) -> Path:
        """The key with which secrets in the tables are sealed; a backup of the tables alone opens none."""
        return self.data_folder / "seal.key"

    @property
    def sqlalchemy_url(self) -> str:
        """The URL of our own tables."""
        return self.database_url or f"sqlite:///{(self.data_folder / 'pandok.db').absolute()}"

    @property
    def engine_url(self) -> str:
        """The URL of the durable engine's tables: their own file on SQLite, so that polling holds no lock of ours."""
        return self.database_url or f"sqlite:///{(self.data_folder / 'engine.db').absolute()}"
