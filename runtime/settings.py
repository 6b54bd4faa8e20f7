"""Every setting of the platform, read from `BAIGONG_…` environment variables."""

from __future__ import annotations

import base64
import ipaddress
import secrets
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from domain.dispute_policy import DisputePolicy
from domain.notice_policy import NoticePolicy
from domain.operator_policy import HoldPolicy, OperatorPolicy, TaxPolicy
from domain.policy import (
    BallotPolicy,
    CampaignPolicy,
    ChargebackPolicy,
    ContestPolicy,
    InKindPolicy,
    MatchPolicy,
    PayoutPolicy,
    RefundPolicy,
    SalePolicy,
    TenderPolicy,
)
from domain.production_policy import ProductionPolicy
from domain.reconciliation import ReconcilePolicy
from domain.return_policy import ReturnPolicy
from runtime.rates import RateLimits

Port = Annotated[int, Field(ge=1, le=65_535)]
KeyId = Annotated[str, Field(pattern="^[a-z0-9][a-z0-9._-]{0,31}$")]


def _unknown_to_anybody() -> SecretStr:
    return SecretStr(f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}")


class Settings(BaseSettings):
    """Where the parts of the platform are and which rules new paths get.

    An unset `database_url`, `temporal_address` or `issuer` means: `make up` runs an embedded one.
    """

    model_config = SettingsConfigDict(
        env_prefix="BAIGONG_", env_nested_delimiter="__", extra="ignore", frozen=True
    )

    data_dir: Path = Path(".baigong")
    """Folder of everything that must outlive a restart of the local platform."""
    host: str = "127.0.0.1"
    """Address every local process listens on."""

    database_url: SecretStr | None = None
    """`postgresql://user:password@host:port/name`; embedded when unset."""
    database_pool_size: Annotated[int, Field(ge=1, le=200)] = 10
    postgres_port: Port = 55432

    temporal_address: str | None = None
    """`host:port` of the Temporal frontend; embedded dev server when unset."""
    temporal_namespace: str = "default"
    temporal_task_queue: str = "baigong"
    temporal_port: Port = 7233
    temporal_ui_port: Port = 8233
    temporal_ui_url: str | None = None
    """Public address of the Temporal UI, for links; derived when embedded."""

    codec_port: Port = 8234
    """Port of the codec server, with which the Temporal UI shows encrypted workflows to operators."""

    api_port: Port = 8080
    public_url: str | None = None
    """Address under which people reach the API; derived from host and port when unset."""

    cors_origins: Annotated[tuple[str, ...], NoDecode] = ()
    """Comma-separated origins of web front ends that call the API from the browser."""

    issuer: str | None = None
    """OIDC issuer whose tokens are accepted; the local issuer when unset."""
    audience: str = "baigong"
    issuer_port: Port = 8091
    admin_subjects: Annotated[tuple[str, ...], NoDecode] = ()
    """Comma-separated token subjects that are administrators from their first request on."""

    provider: str = "sandbox"
    """Payment provider that new payments and payouts use."""
    sandbox_url: str | None = None
    """Base address of the sandbox provider; `make up` runs one when unset."""
    sandbox_port: Port = 8090
    sandbox_api_key: SecretStr = Field(default_factory=_unknown_to_anybody)
    """Key of the sandbox provider's API. Unset, nobody knows it: `make up` makes one for all its processes."""
    sandbox_webhook_secret: SecretStr = Field(default_factory=_unknown_to_anybody)
    """Standard Webhooks secret (`whsec_` + base64) shared with the sandbox provider; the same when unset."""
    carrier_webhook_secrets: dict[str, SecretStr] = {}
    """Carrier code -> Standard Webhooks secret with which that carrier signs its scans; only these may be shipped with."""
    identity_key: SecretStr = Field(default_factory=_unknown_to_anybody)
    """Key of the hashes of verified identities. Unset, each process has its own, and identities that were verified by
    one process are strangers to all others: set it before anybody is verified, and never change it."""
    tap_key: SecretStr = Field(default_factory=_unknown_to_anybody)
    """Key of the one-tap links in notices. Unset, each process has its own, and the API takes no link that a worker has
    made: set it to the same for all."""
    tax_key: SecretStr = Field(default_factory=_unknown_to_anybody)
    """Key under which tax numbers are sealed. Unset, each process has its own, and what one has sealed no other can read:
    set it to the same for all before anybody states one, and keep a copy."""
    payload_keys: dict[KeyId, Annotated[SecretStr, Field(min_length=32)]] = {}
    """Key id -> secret under which Temporal's payloads are encrypted, as one JSON object: the first one encrypts, all of
    them decrypt. Empty, histories are in clear. The same for all processes; how they are changed: SECURITY.md."""
    webhook_tolerance_seconds: Annotated[int, Field(ge=1, le=3_600)] = 300
    """How far a webhook's timestamp may lie from now, in both directions."""

    files_url: str | None = None
    """obstore address of uploaded files (`s3://bucket/prefix`); a folder in `data_dir` when unset."""
    upload_max_bytes: Annotated[int, Field(ge=1_024, le=100_000_000)] = 10_000_000
    upload_max_pixels: Annotated[int, Field(ge=1_000, le=200_000_000)] = 50_000_000

    provider_rate_per_second: Annotated[int, Field(ge=0, le=10_000)] = 25
    """How many calls a second batches may make to one endpoint of a provider, all workers together; 0 for no limit.
    Stripe: https://docs.stripe.com/rate-limits"""

    rate_limits: RateLimits = RateLimits()
    """How often one caller may ask, by class of operation."""
    rate_limit_storage: str | None = None
    """Where requests are counted for all API processes together (an `async+…` address of
    https://limits.readthedocs.io/en/stable/storage.html, whose client must be installed); each counts alone when unset."""
    trusted_proxies: Annotated[int, Field(ge=0, le=10)] = 0
    """How many proxies in front of the API add to X-Forwarded-For; 0 counts whoever connects."""

    worker_metrics_port: Port = 9464
    gauges_every_seconds: Annotated[int, Field(ge=1, le=3_600)] = 30
    """How often a worker counts from the rows what operators watch."""
    log_level: str = "INFO"
    request_timeout_seconds: Annotated[int, Field(ge=1, le=60)] = 10
    """How long the API waits for Temporal before it answers 503 with Retry-After."""

    redelivery_every_seconds: Annotated[int, Field(ge=1, le=86_400)] = 60
    """Period of the schedule that re-delivers inbox rows nobody consumed."""
    payouts_every_seconds: Annotated[int, Field(ge=1, le=86_400)] = 3_600
    """Period of the schedule that gathers what is due per payee."""
    claims_every_seconds: Annotated[int, Field(ge=1, le=86_400)] = 86_400
    """Period of the schedule that passes on what creators of stopped campaigns have paid of what they owe."""

    proofs_every_seconds: Annotated[int, Field(ge=1, le=86_400)] = 60
    """Period of the schedule that publishes proofs of closed paths."""

    stuck_every_seconds: Annotated[int, Field(ge=1, le=86_400)] = 3_600
    """Period of the schedule that looks for what is stuck."""
    tax_every_seconds: Annotated[int, Field(ge=1, le=86_400)] = 86_400
    """Period of the schedule that writes down the figures of past quarters."""
    holds_every_seconds: Annotated[int, Field(ge=1, le=86_400)] = 3_600
    """Period of the schedule that sees to money which a provider will let go of soon."""

    notice_port: Literal["file", "console", "none"] = "file"
    """How notices leave: as lines of `notices.jsonl` in `data_dir`, on the worker's console, or not at all."""
    notices_every_seconds: Annotated[int, Field(ge=1, le=86_400)] = 60
    """Period of the schedule that sends notices."""
    notice_policy: NoticePolicy = NoticePolicy()

    shortest_window_seconds: Annotated[int, Field(ge=1, le=86_400)] = 86_400
    """Least length of a window that the initiator of a path chooses for it."""

    sale_policy: SalePolicy = SalePolicy()
    contest_policy: ContestPolicy = ContestPolicy()
    ballot_policy: BallotPolicy = BallotPolicy()
    tender_policy: TenderPolicy = TenderPolicy()
    campaign_policy: CampaignPolicy = CampaignPolicy()
    match_policy: MatchPolicy = MatchPolicy()
    in_kind_policy: InKindPolicy = InKindPolicy()
    production_policy: ProductionPolicy = ProductionPolicy()
    refund_policy: RefundPolicy = RefundPolicy()
    return_policy: ReturnPolicy = ReturnPolicy()
    dispute_policy: DisputePolicy = DisputePolicy()
    payout_policy: PayoutPolicy = PayoutPolicy()
    chargeback_policy: ChargebackPolicy = ChargebackPolicy()
    operator_policy: OperatorPolicy = OperatorPolicy()
    hold_policy: HoldPolicy = HoldPolicy()
    tax_policy: TaxPolicy = TaxPolicy()
    reconcile_policy: ReconcilePolicy = ReconcilePolicy()
    step_up_seconds: Annotated[int, Field(ge=0, le=86_400)] = 900
    """Acts about money need a sign-in that is not older; 0 for issuers that do not tell when somebody signed in."""

    graceful_shutdown_seconds: Annotated[int, Field(ge=0, le=600)] = 10
    """How long a worker that stops lets running activities finish."""

    @field_validator("admin_subjects", "cors_origins", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(filter(None, map(str.strip, value.split(","))))
        return value

    @field_validator("rate_limit_storage")
    @classmethod
    def _asynchronous(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith("async+"):
            raise ValueError("an address that begins with async+, such as async+redis://host:6379")
        return value

    @property
    def graceful_shutdown(self) -> timedelta:
        """The same as a duration."""
        return timedelta(seconds=self.graceful_shutdown_seconds)

    def require_database_url(self) -> str:
        """The database's address. Raises ValueError when none is set: only `make up` embeds one."""
        if self.database_url is None:
            raise ValueError("BAIGONG_DATABASE_URL is not set; `make up` runs an embedded database")
        return self.database_url.get_secret_value()

    @property
    def on_loopback(self) -> bool:
        """Whether only this machine reaches what listens on `host`."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    @property
    def api_url(self) -> str:
        """Public base address of the API, without a trailing slash."""
        return (self.public_url or f"http://{self.host}:{self.api_port}").rstrip("/")

    @property
    def issuer_url(self) -> str:
        """Issuer expected in the `iss` claim."""
        return self.issuer or f"http://{self.host}:{self.issuer_port}"

    @property
    def sandbox_base_url(self) -> str:
        """Base address of the sandbox provider, without a trailing slash."""
        return (self.sandbox_url or f"http://{self.host}:{self.sandbox_port}").rstrip("/")


@lru_cache
def settings() -> Settings:
    """The settings of this process, read once."""
    return Settings()
