"""What one sandbox server is told when it starts."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from runtime.settings import Settings

Clock = Callable[[], datetime]


def wall_clock() -> datetime:
    """Now, in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True, kw_only=True)
class SandboxConfig:
    """Addresses, secrets, prices and delays of one sandbox server."""

    database: Path
    """SQLite file; made with its folder when missing."""
    base_url: str
    """Public address of this server, for links to the pay page; no trailing slash."""
    api_key: str = field(repr=False)
    webhook_url: str
    """Where payment events are sent; `PUT /v1/webhook-endpoint` overrides it."""
    webhook_secret: str = field(repr=False)
    """Standard Webhooks secret (`whsec_` + base64) that signs payment events."""
    carrier_url: str
    """Where scans of parcels are sent; can be overridden like `webhook_url`."""
    carrier_secret: str = field(repr=False)
    fee_basis_points: int = 60
    """What a capture costs, in hundredths of a percent, half a minor unit rounded up."""
    payout_fee: int = 0
    """Minor units per payout; given back when the payout fails."""
    dispute_fee: int = 1_500
    """Minor units per dispute, kept whoever wins."""
    hold_extension_days: int = 90
    """For how long captured money may stay once more when it is asked for; 0: never longer."""
    payout_seconds: float = 1
    """How long a payout stays in transit."""
    confirm_seconds: float = 86_400
    """How long a payee may take to confirm a payout that waits for that."""
    retry_seconds: tuple[float, ...] = (1, 2, 5, 15, 60, 300, 900, 3_600)
    """Waits between attempts of one webhook; the last one repeats."""
    give_up_seconds: float = 259_200
    """Age at which an undelivered webhook is given up."""
    delivery_timeout_seconds: float = 10
    clock: Clock = wall_clock

    def __post_init__(self) -> None:
        for secret in (self.webhook_secret, self.carrier_secret):
            secret_bytes(secret)


def secret_bytes(secret: str) -> bytes:
    """The key inside a Standard Webhooks secret. Raises ValueError when it is not one."""
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not key:
        raise ValueError("a webhook secret must be whsec_ followed by base64")
    return key


class SandboxOptions(BaseSettings):
    """Settings that only the sandbox server has, read from `BAIGONG_SANDBOX_…`."""

    model_config = SettingsConfigDict(env_prefix="BAIGONG_SANDBOX_", extra="ignore", frozen=True)

    webhook_url: str | None = None
    """Overrides `{api}/v1/webhooks/sandbox`."""
    carrier_webhook_url: str | None = None
    """Overrides `{api}/v1/webhooks/carriers/sandbox`."""
    fee_basis_points: Annotated[int, Field(ge=0, le=10_000)] = 60
    payout_fee: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    dispute_fee: Annotated[int, Field(ge=0, le=1_000_000)] = 1_500
    hold_extension_days: Annotated[int, Field(ge=0, le=3_650)] = 90
    payout_seconds: Annotated[float, Field(ge=0, le=86_400)] = 1


def config_from(settings: Settings, options: SandboxOptions) -> SandboxConfig:
    """The configuration of the sandbox server that belongs to this platform.

    Raises ValueError when the settings know no secret of the sandbox carrier.
    """
    carrier_secret = settings.carrier_webhook_secrets.get("sandbox")
    if carrier_secret is None:
        raise ValueError("BAIGONG_CARRIER_WEBHOOK_SECRETS has no secret of the carrier `sandbox`")
    return SandboxConfig(
        database=settings.data_dir / "sandbox.db",
        base_url=settings.sandbox_base_url,
        api_key=settings.sandbox_api_key.get_secret_value(),
        webhook_url=options.webhook_url or f"{settings.api_url}/v1/webhooks/sandbox",
        webhook_secret=settings.sandbox_webhook_secret.get_secret_value(),
        carrier_url=options.carrier_webhook_url
        or f"{settings.api_url}/v1/webhooks/carriers/sandbox",
        carrier_secret=carrier_secret.get_secret_value(),
        fee_basis_points=options.fee_basis_points,
        payout_fee=options.payout_fee,
        dispute_fee=options.dispute_fee,
        hold_extension_days=options.hold_extension_days,
        payout_seconds=options.payout_seconds,
    )
