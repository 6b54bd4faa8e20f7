"""Alerts: each watches a metric that a running API or worker really exports, and has a runbook; gauges follow the rows."""

from __future__ import annotations

import re
import uuid
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
import pytest_asyncio
import yaml  # type: ignore[import-untyped]
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr
from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError
from temporalio.service import RPCError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from db.engine import Database
from db.queries.gauges import CONNECTIONS_MOST, CONNECTIONS_USED, GAUGES
from deploy.local.profile import PROJECT
from ledger.invariants import INVARIANTS, QUICK
from runtime.settings import Settings
from runtime.temporal import connect
from tests.api.client import running_api
from tests.api.issuer import running_issuer
from tests.servers import Databases, free_port
from tests.waiting import eventually
from worker.metrics import MEASURED, OVERDUE, VIOLATIONS, PlatformGauges, telemetry
from worker.setup import register_schedules, schedules

RULES = PROJECT / "deploy" / "alerts.yml"
RUNBOOKS = PROJECT / "docs" / "runbooks.md"
_OF_PROMETHEUS = {"up"}
"""Written by Prometheus itself, for everything it scrapes."""
_WORD = re.compile(r"[a-z_:][a-z0-9_:]*")
_NO_METRIC = re.compile(
    r'"[^"]*"|\{[^}]*\}|\[[^\]]*\]|\b(?:by|without)\s*\([^)]*\)|\b[a-z_]+\s*(?=\(|by\b|without\b)|\b(?:and|or|unless)\b'
)


def rules() -> list[dict[str, Any]]:
    """Every alert, in order."""
    return [
        rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]
    ]


def metrics_of(expression: str) -> set[str]:
    """The metrics that an expression reads: what is left without functions, labels, ranges and numbers."""
    return set(_WORD.findall(_NO_METRIC.sub(" ", expression)))


def sections(page: Path) -> list[str]:
    """Headings of the second level."""
    return re.findall(r"^## (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)


def test_alerts_are_whole() -> None:
    names = [rule["alert"] for rule in rules()]
    assert len(names) == len(set(names))
    for rule in rules():
        assert set(rule) == {"alert", "expr", "for", "labels", "annotations"}, rule["alert"]
        assert re.fullmatch(r"\d+m", rule["for"])
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert set(rule["annotations"]) == {"summary", "runbook"}
        labels = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
        kept = set(re.findall(r"\w+", " ".join(re.findall(r"by \(([^)]*)\)", rule["expr"]))))
        assert labels <= kept, f"{rule['alert']} tells of labels that its expression drops"


def test_every_alert_has_a_runbook_and_every_runbook_an_alert() -> None:
    names = [rule["alert"] for rule in rules()]
    assert sections(RUNBOOKS) == names
    for rule in rules():
        assert rule["annotations"]["runbook"] == f"docs/runbooks.md#{rule['alert'].lower()}"


def test_what_an_expression_reads() -> None:
    assert metrics_of('sum by (le) (rate(a_b{x="y"}[5m])) / sum(rate(c_d[5m])) > 0.5') == {
        "a_b",
        "c_d",
    }
    assert metrics_of("max(a) < 1 or absent(b)") == {"a", "b"}


@dataclass
class Watched:
    """A worker's metrics, over the rows of a database of its own."""

    settings: Settings
    temporal: Client
    gauges: PlatformGauges
    database_url: str

    async def text(self) -> str:
        """What Prometheus would get."""
        async with httpx.AsyncClient() as http:
            address = f"http://127.0.0.1:{self.settings.worker_metrics_port}/metrics"
            return (await http.get(address)).text

    async def value(self, name: str, **labels: str) -> float | None:
        """One value after a new look; None when there is none."""
        await self.gauges.look()
        for family in text_string_to_metric_families(await self.text()):
            for sample in family.samples:
                if sample.name == name and labels.items() <= sample.labels.items():
                    return float(sample.value)
        return None

    def write(self, *statements: str) -> None:
        """Rows, without asking triggers: what is watched are states that should not be."""
        with psycopg.connect(self.database_url) as connection:
            connection.execute("SET session_replication_role = replica")
            for each in statements:
                connection.execute(each.encode())


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def watched(dev_server: str, postgres_server: Databases) -> AsyncIterator[Watched]:
    with postgres_server.fresh() as url:
        settings = Settings(
            database_url=SecretStr(url),
            temporal_address=dev_server,
            temporal_task_queue=f"watched-{uuid.uuid4().hex}",
            worker_metrics_port=free_port(),
        )
        runtime = telemetry(settings)
        temporal = await connect(settings, runtime=runtime, lazy=False)
        await register_schedules(temporal, settings)
        database = Database(url, pool_size=2)
        gauges = PlatformGauges(runtime.metric_meter, settings, database, temporal)
        try:
            yield Watched(settings, temporal, gauges, url)
        finally:
            for schedule_id, _ in schedules(settings):
                await temporal.get_schedule_handle(schedule_id).delete()
            await database.aclose()


@activity.defn
async def fails() -> None:
    raise ConnectionError("nobody answers")


@workflow.defn
class Changed:
    """A story whose code is another one each time it is run again."""

    times = 0

    @workflow.run
    async def run(self) -> None:
        Changed.times += 1
        if Changed.times == 1:
            await workflow.sleep(timedelta(milliseconds=1))
        try:
            await workflow.execute_activity(
                fails,
                start_to_close_timeout=timedelta(seconds=5),
                retry_policy=RetryPolicy(maximum_attempts=1),
            )
        except ActivityError:
            return


async def test_every_metric_of_an_alert_is_exported(watched: Watched) -> None:
    await _go_wrong(watched)
    await watched.gauges.look()
    exported = _names(await watched.text())
    with running_issuer() as issuer:
        async with running_api(watched.settings, issuer) as api:
            await api.get("/healthz")
            exported |= _names((await api.get("/metrics")).text)
    # By label, and so only there once there is something; the next tests see each of them.
    exported |= {each.name for each in GAUGES if each.labels}
    for rule in rules():
        missing = metrics_of(rule["expr"]) - exported - _OF_PROMETHEUS
        assert not missing, rule["alert"]


def _names(text: str) -> set[str]:
    """As they stand there: a parser would add `_total` to counters that have none."""
    return set(re.findall(r"^([a-z_]+)[ {]", text, re.MULTILINE))


async def _go_wrong(watched: Watched) -> None:
    """An activity fails, and a story's code differs from its history."""
    queue = f"{watched.settings.temporal_task_queue}-wrong"
    worker = Worker(
        watched.temporal,
        task_queue=queue,
        workflows=[Changed],
        activities=[fails],
        workflow_runner=UnsandboxedWorkflowRunner(),
        max_cached_workflows=0,
    )
    async with worker:
        stories = [
            await watched.temporal.start_workflow(Changed.run, id=f"{queue}-{n}", task_queue=queue)
            for n in range(2)
        ]

        async def both() -> bool:
            text = await watched.text()
            return (
                'failure_reason="NonDeterminismError"' in text
                and "temporal_activity_execution_failed{" in text
            )

        await eventually(both, within_seconds=20, what="both failures are counted")
    for each in stories:
        with suppress(RPCError):
            await each.terminate()


ROWS = {
    "baigong_cases_open": (
        "INSERT INTO cases (id, kind, subject, summary, state, due_at)"
        " VALUES ('c1', 'stuck', 'x', '', 'open', now() + interval '1 hour'),"
        " ('c2', 'stuck', 'y', '', 'assigned', now() + interval '1 hour')",
        {"kind": "stuck"},
        2,
        "UPDATE cases SET state = 'closed', ended_at = now()",
    ),
    "baigong_cases_overdue": (
        "INSERT INTO cases (id, kind, subject, summary, state, due_at)"
        " VALUES ('c3', 'hold', 'x', '', 'open', now() - interval '1 s')",
        {"kind": "hold"},
        1,
        "UPDATE cases SET due_at = now() + interval '1 hour'",
    ),
    "baigong_payouts_short_of_balance": (
        "INSERT INTO cases (id, kind, subject, summary, state, due_at)"
        " VALUES ('c4', 'other', 'balance/sandbox/CNY', '', 'open', now())",
        {"provider": "sandbox", "currency": "CNY"},
        1,
        "UPDATE cases SET state = 'closed', ended_at = now() WHERE id = 'c4'",
    ),
    "baigong_inbox_oldest_seconds": (
        "INSERT INTO webhook_inbox (source, event_id, kind, subject, body, status, in_batches, received_at)"
        " VALUES ('sandbox', 'e1', 'k', 's', '', 'received', true, now() - interval '1 hour'),"
        " ('sandbox', 'e2', 'k', 's', '', 'consumed', true, now() - interval '9 hours')",
        {"way": "batch"},
        3_600,
        "UPDATE webhook_inbox SET status = 'consumed', consumed_at = now()",
    ),
    "baigong_webhooks_refused": (
        "INSERT INTO webhook_inbox (source, event_id, kind, subject, body, status, received_at)"
        " VALUES ('sandbox', 'h1', 'rejected', '', '', 'rejected', now()),"
        " ('sandbox', 'h2', 'rejected', '', '', 'rejected', now() - interval '2 hours')",
        {"source": "sandbox"},
        1,
        "DELETE FROM webhook_inbox",
    ),
    "baigong_notices_oldest_seconds": (
        "INSERT INTO notices (key, user_id, path_id, language, words, due_at)"
        " VALUES ('n1', 'u', 'p', 'zh', '', now() - interval '2 hours'),"
        " ('n2', 'u', 'p', 'zh', '', now() + interval '2 hours')",
        {},
        7_200,
        "UPDATE notices SET state = 'given_up'",
    ),
    "baigong_payouts_oldest_seconds": (
        "INSERT INTO payouts (id, user_id, destination_id, provider, operation_id, amount, currency, status, created_at)"
        " VALUES ('p1', 'u', 'd', 'sandbox', 'o1', 1, 'CNY', 'in_transit', now() - interval '1 day'),"
        " ('p2', 'u', 'd', 'sandbox', 'o2', 1, 'CNY', 'paid', now() - interval '9 days')",
        {"status": "in_transit"},
        86_400,
        "UPDATE payouts SET status = 'paid'",
    ),
    "baigong_refunds_oldest_seconds": (
        "INSERT INTO refunds (id, path_id, payment_id, payer_id, provider, operation_id, amount, currency, reason,"
        " status, created_at)"
        " VALUES ('r1', 'p', 'y', 'u', 'sandbox', 'o1', 1, 'CNY', '', 'pending', now() - interval '1 day'),"
        " ('r2', 'p', 'y', 'u', 'sandbox', 'o2', 1, 'CNY', '', 'refused', now() - interval '9 days')",
        {"status": "pending"},
        86_400,
        "UPDATE refunds SET status = 'succeeded'",
    ),
    "baigong_chargebacks_unanswered": (
        "INSERT INTO chargebacks (id, payment_id, path_id, payer_id, provider, reference, amount, fee, currency,"
        " status, due_by, opened_at)"
        " VALUES ('b1', 'y', 'p', 'u', 'sandbox', 'r1', 1, 0, 'CNY', 'open', now() + interval '1 hour', now()),"
        " ('b2', 'y', 'p', 'u', 'sandbox', 'r2', 1, 0, 'CNY', 'open', now() + interval '9 days', now()),"
        " ('b3', 'y', 'p', 'u', 'sandbox', 'r3', 1, 0, 'CNY', 'open', now() - interval '1 hour', now())",
        {},
        1,
        "UPDATE chargebacks SET status = 'under_review'",
    ),
    "baigong_differences_open": (
        "INSERT INTO differences (id, provider, subject, part, kind, ours, theirs)"
        " VALUES ('d1', 'sandbox', 's', 'payment', 'amount', '{}', '{}')",
        {"kind": "amount"},
        1,
        "UPDATE differences SET ended_at = now(), outcome = 'matched'",
    ),
    "baigong_statement_age_seconds": (
        "INSERT INTO statement_days (provider, day, lines, opening, closing, read_at)"
        " VALUES ('sandbox', '2026-01-01', 0, '{}', '{}', now() - interval '3 days')",
        {"provider": "sandbox"},
        259_200,
        "UPDATE statement_days SET read_at = now()",
    ),
}
"""Gauge -> rows that it counts among some that it does not, its labels and value, and what ends them."""


@pytest.mark.parametrize("name", ROWS)
async def test_gauges_follow_the_rows(watched: Watched, name: str) -> None:
    rows, labels, value, ended = ROWS[name]
    watched.write(rows)
    found = await watched.value(name, **labels)
    assert found is not None
    assert value <= found < value + 60
    watched.write(ended)
    gone = await watched.value(name, **labels)
    assert gone is not None
    assert gone < 60
    assert gone < value


def test_every_gauge_is_tried() -> None:
    assert set(ROWS) == {each.name for each in GAUGES}


async def test_a_ledger_that_does_not_add_up_is_seen_at_once(watched: Watched) -> None:
    assert {each.name for each in INVARIANTS} > QUICK
    name = VIOLATIONS.name
    assert await watched.value(name, invariant="currency_sums_to_zero") == 0
    watched.write(
        "INSERT INTO ledger_accounts (kind, owner, currency, credits_posted) VALUES ('fee', 'platform', 'CNY', 5)"
    )
    assert await watched.value(name, invariant="currency_sums_to_zero") == 1
    watched.write("DELETE FROM ledger_accounts")
    assert await watched.value(name, invariant="currency_sums_to_zero") == 0


async def test_a_schedule_that_stands_still_is_overdue(watched: Watched) -> None:
    every = dict(schedules(watched.settings))
    assert {each: await watched.value(OVERDUE.name, schedule=each) for each in every} == {
        each: 0 for each in every
    }
    quick = watched.settings.model_copy(update={"notices_every_seconds": 1})
    watched.gauges.settings = quick
    stopped = f"{quick.temporal_task_queue}-notices"

    async def late() -> bool:
        return bool(await watched.value(OVERDUE.name, schedule=stopped))

    try:
        await eventually(
            late, what="a schedule that does not run every second as it should is late"
        )
    finally:
        watched.gauges.settings = watched.settings


async def test_connections_in_use_are_counted(watched: Watched) -> None:
    assert await watched.value(CONNECTIONS_MOST.name) == 6
    async with watched.gauges.database.transaction() as session:
        await session.connection()
        assert await watched.value(CONNECTIONS_USED.name) == 1
    assert await watched.value(CONNECTIONS_USED.name) == 0


async def test_a_database_that_is_gone_is_told(watched: Watched) -> None:
    assert await watched.value(MEASURED.name) == 1
    there, gone = watched.gauges.database, Database("postgresql://x:y@127.0.0.1:1/z", 1)
    watched.gauges.database = gone
    try:
        assert await watched.value(MEASURED.name) == 0
    finally:
        watched.gauges.database = there
        await gone.aclose()
    assert await watched.value(MEASURED.name) == 1
