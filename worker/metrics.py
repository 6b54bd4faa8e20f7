"""What a worker tells Prometheus: the SDK's own metrics, and gauges of the whole platform read from PostgreSQL.

All workers tell the same about the platform: alerts take the maximum (deploy/alerts.yml).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession
from temporalio.client import Client
from temporalio.common import MetricGaugeFloat, MetricMeter
from temporalio.runtime import PrometheusConfig, Runtime, TelemetryConfig
from temporalio.service import RPCError

from db.engine import Database
from db.queries import gauges
from db.queries.gauges import CONNECTIONS_MOST, CONNECTIONS_USED, Gauge, Sample
from domain.errors import DomainError
from domain.time import utc_now
from ledger import invariants
from runtime.logging import logger
from runtime.settings import Settings
from worker.setup import schedules

VIOLATIONS = Gauge(
    "baigong_ledger_violations",
    "Accounts and currencies that break an invariant of the ledger which reads no postings",
    ("invariant",),
    "",
)
MEASURED = Gauge("baigong_gauges_measured", "1 if the last look at the rows succeeded", (), "")
OVERDUE = Gauge(
    "baigong_schedule_overdue_seconds",
    "How long ago a schedule should have started its work again; paused ones too",
    ("schedule",),
    "",
)
_log = logger("worker.metrics")


def telemetry(settings: Settings) -> Runtime:
    """The runtime of a worker, which serves its metrics at `worker_metrics_port`."""
    address = f"{settings.host}:{settings.worker_metrics_port}"
    return Runtime(telemetry=TelemetryConfig(metrics=PrometheusConfig(bind_address=address)))


class PlatformGauges:
    """Gauges that are brought up to date from the rows every `gauges_every_seconds`."""

    def __init__(
        self, meter: MetricMeter, settings: Settings, database: Database, temporal: Client
    ) -> None:
        self.settings = settings
        self.database = database
        self.temporal = temporal
        own = (VIOLATIONS, OVERDUE, MEASURED, CONNECTIONS_USED, CONNECTIONS_MOST)
        self._gauges: dict[str, MetricGaugeFloat] = {
            each.name: meter.create_gauge_float(each.name, each.words)
            for each in (*gauges.GAUGES, *own)
        }
        self._told: set[tuple[str, tuple[tuple[str, str], ...]]] = set()

    async def keep(self) -> None:
        """Looks again and again, until it is cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(self.settings.gauges_every_seconds)

    async def look(self) -> None:
        """One look at rows and schedules. One that does not succeed is told as such; the gauges stay as they were."""
        used, most = self.database.connections
        samples = [
            Sample(CONNECTIONS_USED, {}, float(used)),
            Sample(CONNECTIONS_MOST, {}, float(most)),
        ]
        try:
            async with self.database.transaction() as session:
                samples += [*await gauges.measure(session), *await _violations(session)]
            samples += await self._overdue()
        except (DomainError, SQLAlchemyError, RPCError) as down:
            _log.warning("not measured", error=repr(down))
            self._set([*samples, Sample(MEASURED, {}, 0.0)])
            return
        self._forget(samples)
        self._set([*samples, Sample(MEASURED, {}, 1.0)])

    async def _overdue(self) -> list[Sample]:
        now, found = utc_now(), []
        for schedule_id, every_seconds in schedules(self.settings):
            info = (await self.temporal.get_schedule_handle(schedule_id).describe()).info
            last = max((each.started_at for each in info.recent_actions), default=info.created_at)
            late = (now - last).total_seconds() - every_seconds
            found.append(Sample(OVERDUE, {"schedule": schedule_id}, max(0.0, late)))
        return found

    def _set(self, samples: Iterable[Sample]) -> None:
        for each in samples:
            self._gauges[each.gauge.name].set(each.value, each.labels)
            self._told.add(_series(each))

    def _forget(self, samples: Iterable[Sample]) -> None:
        """What is there no more is 0: a gauge would keep its last value for ever."""
        for name, labels in self._told - {_series(each) for each in samples}:
            self._gauges[name].set(0.0, dict(labels))


def _series(sample: Sample) -> tuple[str, tuple[tuple[str, str], ...]]:
    return sample.gauge.name, tuple(sample.labels.items())


async def _violations(session: AsyncSession) -> list[Sample]:
    """How many rows break each of the quick invariants; at most 100 each are counted."""
    found = [each.invariant for each in await invariants.violations(session, only=invariants.QUICK)]
    return [
        Sample(VIOLATIONS, {"invariant": name}, float(found.count(name)))
        for name in sorted(invariants.QUICK)
    ]
