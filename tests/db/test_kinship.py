"""Who counts as the same person, asked of the database directly."""

from __future__ import annotations

from collections.abc import AsyncIterator

import psycopg
import pytest
import pytest_asyncio
from sqlalchemy import select

from db.engine import Database
from db.queries import kinship
from db.tables import User
from domain.people import Tie, TieKind

CROWD = 5_000


@pytest_asyncio.fixture
async def database(ledger_url: str) -> AsyncIterator[Database]:
    """An otherwise empty database with `CROWD` strangers, each with an identity and an account of their own."""
    with psycopg.connect(ledger_url) as connection:
        connection.execute(
            "INSERT INTO users (id, issuer, subject, display_name, identity_hash, verified_at)"
            " SELECT 'u' || n, 'i', 'u' || n, 'U', 'hash' || n, now()"
            " FROM generate_series(1, %s) n",
            [CROWD],
        )
        connection.execute(
            "INSERT INTO payout_destinations"
            " (id, user_id, provider, currency, account, holder, status, automatic)"
            " SELECT 'd' || n, 'u' || n, 'p', 'CNY', '62 22-' || n, 'U', 'active', true"
            " FROM generate_series(1, %s) n",
            [CROWD],
        )
    running = Database(ledger_url, pool_size=2)
    yield running
    await running.aclose()


def change(url: Database, statement: str) -> None:
    """SQL past the platform."""
    with psycopg.connect(url.engine.url.set(drivername="postgresql").render_as_string(False)) as c:
        c.execute(statement.encode())


async def ties(database: Database, user_id: str, *others: str) -> list[Tie]:
    async with database.transaction() as session:
        return await kinship.ties(session, user_id, others)


async def test_strangers(database: Database) -> None:
    assert await ties(database, "u1", "u2", "u3") == []
    assert await ties(database, "u1") == []
    async with database.transaction() as session:
        assert await kinship.tie(session, "u1", ["u2"]) is None


async def test_the_strongest_tie_comes_first(database: Database) -> None:
    change(database, "UPDATE users SET identity_hash = 'hash1' WHERE id = 'u2'")
    change(database, "UPDATE payout_destinations SET account = '6222 1' WHERE id IN ('d2', 'd3')")
    found = await ties(database, "u1", "u3", "u2", "u1", "u4")
    assert found == [
        Tie(other_id="u1", kind=TieKind.SAME_PERSON),
        Tie(other_id="u2", kind=TieKind.SAME_IDENTITY),
        Tie(other_id="u2", kind=TieKind.SAME_DESTINATION),
        Tie(other_id="u3", kind=TieKind.SAME_DESTINATION),
    ]
    assert [tie.other_id for tie in await ties(database, "u3", "u1")] == ["u1"]


@pytest.mark.parametrize("account", ["62221", "62 22 1", "-6222-1-"])
async def test_spaces_and_hyphens_make_no_difference(database: Database, account: str) -> None:
    for status in ("replaced", "failed"):
        change(
            database,
            "UPDATE payout_destinations"
            f" SET account = '{account}', currency = 'EUR', status = '{status}' WHERE id = 'd9'",
        )
        [tie] = await ties(database, "u1", "u9")
        assert tie == Tie(other_id="u9", kind=TieKind.SAME_DESTINATION)


async def test_an_account_of_nothing_but_hyphens_ties_nobody(database: Database) -> None:
    change(database, "UPDATE payout_destinations SET account = '- -' WHERE id IN ('d1', 'd2')")
    assert await ties(database, "u1", "u2") == []


async def test_a_crowd_is_asked_about_by_query_or_by_list(database: Database) -> None:
    """One look-up, whatever the number of others: indexes lead from the user to whoever shares something."""
    change(database, "UPDATE payout_destinations SET account = '62221' WHERE id = 'd4999'")
    crowd = [f"u{n}" for n in range(2, CROWD + 1)]
    expected = Tie(other_id="u4999", kind=TieKind.SAME_DESTINATION)
    async with database.transaction() as session:
        assert await kinship.tie(session, "u1", crowd) == expected
        everybody_else = select(User.id).where(User.id != "u1")
        assert await kinship.tie(session, "u1", everybody_else) == expected
