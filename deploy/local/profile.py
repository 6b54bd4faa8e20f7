"""The local profile: the person's settings, with what the embedded parts fill in."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from deploy.local.errors import USAGE, LocalError, settings_line
from deploy.local.issuer import TOKEN_SECONDS
from deploy.local.postgres import PostgresServer
from deploy.local.secrets import shared_secrets
from deploy.local.temporal import TemporalServer
from runtime.settings import Settings

PROJECT = Path(__file__).resolve().parents[2]

# A laptop's demonstration ends with money paid out now, not in a week.
_DEFAULTS = {
    "BAIGONG_ADMIN_SUBJECTS": "admin",
    "BAIGONG_PAYOUT_POLICY__AVAILABILITY_SECONDS": "0",
    "BAIGONG_PAYOUT_POLICY__MIN_INTERVAL_SECONDS": "0",
    "BAIGONG_PAYOUT_POLICY__RESERVE_BASIS_POINTS": "0",
    "BAIGONG_CLAIMS_EVERY_SECONDS": "60",
    # Paths may be so short that their whole story fits into a demonstration.
    "BAIGONG_SHORTEST_WINDOW_SECONDS": "1",
    "BAIGONG_CONTEST_POLICY__GRACE_SECONDS": "1",
    "BAIGONG_TENDER_POLICY__GRACE_SECONDS": "1",
    "BAIGONG_CAMPAIGN_POLICY__GRACE_SECONDS": "1",
    "BAIGONG_CAMPAIGN_POLICY__DISBURSAL_SECONDS": "3",
    "BAIGONG_CAMPAIGN_POLICY__FIX_SECONDS": "10",
    "BAIGONG_CAMPAIGN_POLICY__RESERVE_SECONDS": "6",
    "BAIGONG_MATCH_POLICY__GRACE_SECONDS": "1",
    # Counted from the due date, for which each requester chooses the time.
    "BAIGONG_PRODUCTION_POLICY__OVERDUE_SECONDS": "1",
    "BAIGONG_PRODUCTION_POLICY__ABANDON_SECONDS": "5",
    # Nobody waits for days on the own machine.
    "BAIGONG_DISPUTE_POLICY__TALK_SECONDS": "0",
    "BAIGONG_DISPUTE_POLICY__ESCALATE_SECONDS": "0",
    "BAIGONG_DISPUTE_POLICY__APPEAL_SECONDS": "3",
    "BAIGONG_BALLOT_POLICY__GRACE_SECONDS": "1",
    "BAIGONG_BALLOT_POLICY__VOTING_SHORTEST_SECONDS": "1",
    "BAIGONG_BALLOT_POLICY__NOTICE_SHORTEST_SECONDS": "1",
    "BAIGONG_BALLOT_POLICY__ACCOUNT_AGE_SECONDS": "0",
}


@dataclass(frozen=True)
class PortUse:
    """A port that one of our parts is going to listen on."""

    port: int
    host: str
    part: str
    setting: str
    """Environment variable that changes it."""


@dataclass(frozen=True)
class Profile:
    """Everything `up` has decided before it starts anything."""

    settings: Settings
    """With an absolute data folder."""
    given: Mapping[str, str]
    """The environment we were started with."""
    postgres: PostgresServer | None
    """None: BAIGONG_DATABASE_URL names a server of the person's own."""
    temporal: TemporalServer | None
    """None: BAIGONG_TEMPORAL_ADDRESS names a server of the person's own."""

    @property
    def logs(self) -> Path:
        """Folder of one log file per part."""
        return self.settings.data_dir / "logs"

    @property
    def runs_issuer(self) -> bool:
        return self.settings.issuer is None

    @property
    def runs_sandbox(self) -> bool:
        return self.settings.sandbox_url is None

    @property
    def temporal_address(self) -> str:
        """`host:port` of whichever Temporal frontend is used."""
        if self.temporal is not None:
            return self.temporal.address
        return self.settings.temporal_address or ""

    @property
    def temporal_ui_url(self) -> str | None:
        """Where people look at workflows, None when nobody told us."""
        embedded = self.temporal.ui_url if self.temporal is not None else None
        return self.settings.temporal_ui_url or embedded

    def database_url(self) -> str:
        """URL of whichever database is used; the embedded one's is known once it is prepared."""
        if self.postgres is not None:
            return self.postgres.url
        url = self.settings.database_url
        return url.get_secret_value() if url is not None else ""

    def child_environment(self) -> dict[str, str]:
        """What our Python parts get: the person's environment and every resolved setting."""
        resolved = {
            "BAIGONG_DATA_DIR": str(self.settings.data_dir),
            "BAIGONG_DATABASE_URL": self.database_url(),
            "BAIGONG_TEMPORAL_ADDRESS": self.temporal_address,
            "PYTHONUNBUFFERED": "1",
        }
        if self.temporal_ui_url is not None:
            resolved["BAIGONG_TEMPORAL_UI_URL"] = self.temporal_ui_url
        made = shared_secrets(self.settings.data_dir)
        if self.runs_issuer:
            # People keep a demo token in a shell for as long as it is valid; nobody signs in to get one.
            made = {"BAIGONG_STEP_UP_SECONDS": str(TOKEN_SECONDS), **made}
        return {**made, **with_defaults(self.given), **resolved}

    def ports(self) -> list[PortUse]:
        """Every port our own parts listen on."""
        ours = self.settings
        uses = []
        if self.postgres is not None:
            uses.append(
                PortUse(ours.postgres_port, "127.0.0.1", "PostgreSQL", "BAIGONG_POSTGRES_PORT")
            )
        if self.temporal is not None:
            for port, part, setting in (
                (ours.temporal_port, "Temporal", "BAIGONG_TEMPORAL_PORT"),
                (ours.temporal_ui_port, "the Temporal UI", "BAIGONG_TEMPORAL_UI_PORT"),
            ):
                uses.append(PortUse(port, "127.0.0.1", part, setting))
        if self.runs_issuer:
            uses.append(
                PortUse(ours.issuer_port, ours.host, "the token issuer", "BAIGONG_ISSUER_PORT")
            )
        if self.runs_sandbox:
            uses.append(
                PortUse(
                    ours.sandbox_port, ours.host, "the sandbox provider", "BAIGONG_SANDBOX_PORT"
                )
            )
        metrics = "the worker's metrics"
        return [
            *uses,
            PortUse(ours.worker_metrics_port, ours.host, metrics, "BAIGONG_WORKER_METRICS_PORT"),
            PortUse(ours.codec_port, ours.host, "the codec server", "BAIGONG_CODEC_PORT"),
            PortUse(ours.api_port, ours.host, "the API", "BAIGONG_API_PORT"),
        ]


def with_defaults(given: Mapping[str, str]) -> dict[str, str]:
    """`given` with the local profile's own defaults wherever the person set nothing."""
    names = {name.upper() for name in given}
    defaults = {
        name: text
        for name, text in _DEFAULTS.items()
        if name not in names and name.partition("__")[0] not in names
    }
    return {**defaults, **given}


def local_settings() -> Settings:
    """The person's settings with an absolute data folder; LocalError for one that is wrong."""
    try:
        read = Settings()
    except ValidationError as error:
        raise LocalError(settings_line(error), exit_code=USAGE) from error
    return read.model_copy(update={"data_dir": Path(os.path.abspath(read.data_dir.expanduser()))})


def local_profile() -> Profile:
    """Read the environment and decide which parts are embedded."""
    ours = local_settings()
    logs = ours.data_dir / "logs"
    postgres = temporal = None
    if ours.database_url is None:
        postgres = PostgresServer(ours.data_dir, ours.postgres_port, log=logs / "postgres.log")
    if ours.temporal_address is None:
        temporal = TemporalServer(
            ours.temporal_port,
            ui_port=ours.temporal_ui_port,
            database=ours.data_dir / "temporal.db",
            log=logs / "temporal.log",
            namespace=ours.temporal_namespace,
            codec_url=f"http://127.0.0.1:{ours.codec_port}",
        )
    return Profile(ours, dict(os.environ), postgres, temporal)
