"""The servers the other tests stand on."""

from __future__ import annotations

from datetime import timedelta

import psycopg
from temporalio import workflow
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from tests.servers import Databases


@workflow.defn
class Nap:
    """Waits for a month."""

    @workflow.run
    async def run(self) -> None:
        await workflow.sleep(timedelta(days=30))


def test_every_test_has_a_migrated_database_of_its_own(postgres_server: Databases) -> None:
    with postgres_server.fresh() as one, postgres_server.fresh() as other:
        assert one != other
        for url in (one, other):
            with psycopg.connect(url) as connection:
                row = connection.execute("SELECT count(*) FROM alembic_version").fetchone()
                assert row == (1,)
                connection.execute("CREATE TABLE of_this_test_only (id int)")


def test_the_fixture_gives_such_a_database(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        row = connection.execute("SELECT to_regclass('of_this_test_only')").fetchone()
    assert row == (None,)


async def test_the_dev_server_answers(dev_server: str) -> None:
    client = await Client.connect(dev_server)
    assert await client.service_client.check_health()


async def test_a_month_passes_at_once(time_skipping_server: WorkflowEnvironment) -> None:
    client = time_skipping_server.client
    async with Worker(
        client,
        task_queue="nap",
        workflows=[Nap],
        workflow_runner=UnsandboxedWorkflowRunner(),
    ):
        before = await time_skipping_server.get_current_time()
        await client.execute_workflow(Nap.run, id="nap", task_queue="nap")
        passed = await time_skipping_server.get_current_time() - before
    assert passed >= timedelta(days=30)
