"""What an API process tells Prometheus besides its requests; gauges of the platform come from the workers."""

from __future__ import annotations

from collections.abc import Iterator

from fastapi import FastAPI
from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from api.services import Services
from db.queries.gauges import CONNECTIONS_MOST, CONNECTIONS_USED


class Connections(Collector):
    """How much of its pool of database connections the process uses, at the moment it is asked."""

    def __init__(self, app: FastAPI) -> None:
        self.app = app

    def collect(self) -> Iterator[Metric]:
        """Nothing before the process has started."""
        services: Services | None = getattr(self.app.state, "services", None)
        if services is None:
            return
        used, most = services.database.connections
        for gauge, value in ((CONNECTIONS_USED, used), (CONNECTIONS_MOST, most)):
            yield GaugeMetricFamily(gauge.name, gauge.words, value=value)
