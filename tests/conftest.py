"""Fixtures every test may use: real PostgreSQL and real Temporal servers."""

from __future__ import annotations

import io
import logging
import os
import sys
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import ExitStack
from functools import cache
from typing import cast

import pytest
import pytest_asyncio
from temporalio.testing import WorkflowEnvironment
from xdist.workermanage import WorkerController  # type: ignore[import-untyped]

from runtime.logging import configure
from tests.servers import (
    Databases,
    running_postgres,
    running_temporal,
    running_time_skipping,
)

_SHARED = "baigong_postgres"
_servers = ExitStack()


@cache
def _shared_postgres() -> str:
    return _servers.enter_context(running_postgres()).url_of("postgres")


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: WorkerController) -> None:
    """Start PostgreSQL in xdist's controller, which outlives every worker."""
    node.workerinput[_SHARED] = _shared_postgres()


def pytest_unconfigure() -> None:
    """Stop what the run has started, also after an interruption."""
    _servers.close()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> Generator[None, int, int]:
    """Leave without the interpreter's shutdown.

    On Python 3.11 the Temporal SDK's threads can abort the process there, after a green run.
    """
    code = yield
    if _worker_input(config) is None:  # a worker still has to report to its controller
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(int(code))
    return code


def _worker_input(config: pytest.Config) -> dict[str, str] | None:
    return cast(dict[str, str] | None, getattr(config, "workerinput", None))


@pytest.fixture(scope="session", autouse=True)
def _logs_as_in_production() -> Iterator[None]:
    """structlog's default draws every stack with its variables, which takes seconds."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    configure("WARNING", io.StringIO())
    yield
    root.handlers[:] = before
    root.setLevel(level)


@pytest.fixture(scope="session")
def postgres_server(request: pytest.FixtureRequest) -> Databases:
    """The run's PostgreSQL; `fresh()` makes a migrated database on it."""
    worker_input = _worker_input(request.config)
    return Databases(_shared_postgres() if worker_input is None else worker_input[_SHARED])


@pytest.fixture
def database_url(postgres_server: Databases) -> Iterator[str]:
    """`postgresql://…` of a migrated, empty database of this test's own."""
    with postgres_server.fresh() as url:
        yield url


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def dev_server() -> AsyncIterator[str]:
    """`host:port` of a Temporal dev server in memory, one per test worker."""
    async with running_temporal() as server:
        yield server.address


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def time_skipping_server() -> AsyncIterator[WorkflowEnvironment]:
    """The time-skipping test server, one per test worker."""
    async with running_time_skipping() as environment:
        yield environment
