"""An empty ledger for every test, on one database for all of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import psycopg
import pytest
import pytest_asyncio

from db.engine import Database
from tests.ledger.book import Book
from tests.servers import Databases

_EMPTY = """
    SET session_replication_role = replica;
    TRUNCATE ledger_postings, ledger_entries, ledger_accounts, paths, users RESTART IDENTITY CASCADE
"""

_END_LEFTOVERS = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
"""A failed test can leave transactions behind, and the next one would wait for their locks."""


@pytest.fixture(scope="session")
def shared_ledger_url(postgres_server: Databases) -> Iterator[str]:
    """`postgresql://…` of a migrated database that ledger tests empty and use one after the other."""
    with postgres_server.fresh() as url:
        yield url


@pytest.fixture
def ledger_url(shared_ledger_url: str) -> str:
    """The shared database, emptied; with triggers off, for the ledger itself refuses TRUNCATE."""
    with psycopg.connect(shared_ledger_url) as connection:
        connection.execute(_END_LEFTOVERS)
    empty(shared_ledger_url)
    return shared_ledger_url


def empty(url: str) -> None:
    """Removes every row of the ledger, as only a superuser with triggers off can."""
    with psycopg.connect(url) as connection:
        connection.execute(_EMPTY)


@pytest_asyncio.fixture
async def book(ledger_url: str) -> AsyncIterator[Book]:
    """An empty ledger in CNY; at the end of every test all invariants must hold."""
    database = Database(ledger_url, pool_size=20)
    try:
        yield Book(database)
        assert await Book(database).broken() == []
    finally:
        await database.aclose()


@pytest_asyncio.fixture
async def spoiled_book(ledger_url: str) -> AsyncIterator[Book]:
    """An empty ledger that the test may leave broken."""
    database = Database(ledger_url, pool_size=5)
    yield Book(database)
    await database.aclose()
