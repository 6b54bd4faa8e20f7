"""Real servers for the tests, from the same wheels and code as the local platform.

One PostgreSQL per test run: the pytest process that nobody started (the only one, or xdist's
controller) runs it and tells its workers where it is. Every test worker runs its own Temporal.
Each server is stopped by its own id, and by the kernel when its pytest process is killed.
"""

from __future__ import annotations

import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from deploy.local.postgres import PostgresServer
from deploy.local.profile import PROJECT
from deploy.local.temporal import NAMESPACE, TemporalServer, executable
from runtime.search_attributes import ALL as SEARCH_ATTRIBUTES
from runtime.temporal import DATA_CONVERTER, INTERCEPTORS

TEMPLATE = "baigong_template"
_POSTGRES_FOLDER = "baigong-postgres-"
_MIGRATION_LOCK = 0x62616967  # any number all workers share


def free_port() -> int:
    """A TCP port of 127.0.0.1 that was free a moment ago.

    Below the range from which the kernel gives ports to everybody else, so that nobody gets it in between.
    """
    while True:
        port = random.randrange(15_000, 32_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


@contextmanager
def running_postgres() -> Iterator[PostgresServer]:
    """An empty PostgreSQL on a free port, without fsync; gone afterwards, with its data."""
    with data_folder() as folder:
        server = PostgresServer(folder, free_port(), durable=False)
        try:
            server.start()
            yield server
        finally:
            server.stop()
            server.remove()


@contextmanager
def data_folder() -> Iterator[Path]:
    """A folder for a PostgreSQL of this process; the servers and folders of killed runs are removed first."""
    _remove_what_killed_runs_left()
    folder = Path(tempfile.mkdtemp(prefix=f"{_POSTGRES_FOLDER}{os.getpid()}-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def _remove_what_killed_runs_left() -> None:
    for folder in Path(tempfile.gettempdir()).glob(f"{_POSTGRES_FOLDER}*"):
        pid = int(folder.name.removeprefix(_POSTGRES_FOLDER).partition("-")[0])
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            left = PostgresServer(folder, free_port())
            left.stop_leftover()
            left.remove()
            shutil.rmtree(folder, ignore_errors=True)
        except PermissionError:
            continue  # somebody else's


@asynccontextmanager
async def running_temporal() -> AsyncIterator[TemporalServer]:
    """A Temporal dev server in memory on a free port, without a Web UI, attributes registered."""
    with tempfile.TemporaryDirectory(prefix="baigong-test-") as folder:
        server = TemporalServer(free_port(), log=Path(folder, "temporal.log"))
        try:
            await server.start()
            await register_search_attributes(await Client.connect(server.address))
            yield server
        finally:
            server.stop()


@asynccontextmanager
async def running_time_skipping() -> AsyncIterator[WorkflowEnvironment]:
    """The time-skipping test server with the platform's converter and search attributes."""
    environment = await WorkflowEnvironment.start_time_skipping(
        data_converter=DATA_CONVERTER,
        interceptors=INTERCEPTORS,
        test_server_existing_path=str(executable("temporal-test-server")),
    )
    async with environment:
        await register_search_attributes(environment.client)
        yield environment


async def register_search_attributes(client: Client) -> None:
    """Make the platform's search attributes known; without them workflow tasks fail for ever."""
    await client.operator_service.add_search_attributes(
        AddSearchAttributesRequest(
            namespace=NAMESPACE,
            search_attributes={
                key.name: IndexedValueType.ValueType(key.indexed_value_type)
                for key in SEARCH_ATTRIBUTES
            },
        )
    )


@dataclass(frozen=True)
class Databases:
    """Makes databases on one server, each a copy of a migrated template."""

    server_url: str
    """URL of the server's `postgres` database."""

    @contextmanager
    def fresh(self) -> Iterator[str]:
        """The URL of a migrated, empty database; dropped afterwards, whoever is connected."""
        self._ensure_template()
        name = f"test_{uuid.uuid4().hex}"
        self._create(name, template=TEMPLATE)
        try:
            yield self._url_of(name)
        finally:
            self._execute("DROP DATABASE {} WITH (FORCE)", name)

    def _ensure_template(self) -> None:
        with psycopg.connect(self.server_url, autocommit=True) as connection:
            # Held until this connection closes: one worker migrates, the others wait for it.
            connection.execute("SELECT pg_advisory_lock(%s)", (_MIGRATION_LOCK,))
            query = "SELECT 1 FROM pg_database WHERE datname = %s"
            if connection.execute(query, (TEMPLATE,)).fetchone() is not None:
                return
            draft = f"{TEMPLATE}_{uuid.uuid4().hex}"
            self._create(draft, template="template0")
            migrate(self._url_of(draft))
            # Only a whole template gets the name.
            connection.execute(
                sql.SQL("ALTER DATABASE {} RENAME TO {}").format(
                    sql.Identifier(draft), sql.Identifier(TEMPLATE)
                )
            )

    def _create(self, name: str, *, template: str) -> None:
        self._execute("CREATE DATABASE {} TEMPLATE {}", name, template)

    def _execute(self, statement: str, *names: str) -> None:
        with psycopg.connect(self.server_url, autocommit=True) as connection:
            identifiers = (sql.Identifier(name) for name in names)
            connection.execute(sql.SQL(statement).format(*identifiers))

    def _url_of(self, name: str) -> str:
        return f"{self.server_url.rpartition('/')[0]}/{name}"


def migrate(database_url: str) -> None:
    """Bring the database at `database_url` to the newest version, as `make up` does."""
    done = subprocess.run(
        [sys.executable, "-m", "db.migrate"],
        cwd=PROJECT,
        env={**os.environ, "BAIGONG_DATABASE_URL": database_url},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"python -m db.migrate failed:\n{done.stdout}{done.stderr}")
