"""Who can be drawn for a jury: whoever has made up makers and requesters gets few of them into it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import psycopg
import pytest
import pytest_asyncio
from psycopg.types.json import Jsonb

from db import juries
from db.engine import Database
from db.lot_rows import lot_of
from db.tables import Jury
from domain.ids import new_id
from domain.inspection import JURORS, jury_terms
from domain.production_policy import ProductionPolicy
from domain.sampling import drawing_order
from tests.unit.test_production_rules import terms_of

pytestmark = pytest.mark.asyncio
AGE_DAYS = ProductionPolicy().jury_age_seconds // 86_400


@dataclass
class Trade:
    """Makers and requesters written straight into the tables, and the lot against whose inspection one appeals."""

    url: str
    database: Database
    maker: str = ""
    requester: str = ""
    lot: str = ""

    def person(
        self,
        *,
        days: int = AGE_DAYS + 1,
        identity: str | None = None,
        account: str | None = None,
        frozen: bool = False,
    ) -> str:
        """Somebody whose account is so old."""
        found = new_id("usr")
        with psycopg.connect(self.url) as connection:
            connection.execute(
                "INSERT INTO users (id, issuer, subject, display_name, created_at, identity_hash, verified_at,"
                " frozen_at, frozen_reason) VALUES (%s, 'i', %s, 'P', now() - make_interval(days => %s), %s,"
                " CASE WHEN %s THEN now() END, CASE WHEN %s THEN now() END, CASE WHEN %s THEN 'why' END)",
                [found, found, days, identity, identity is not None, frozen, frozen],
            )
            if account is not None:
                connection.execute(
                    "INSERT INTO payout_destinations"
                    " (id, user_id, provider, currency, account, holder, status, automatic)"
                    " VALUES (%s, %s, 'p', 'CNY', %s, 'U', 'active', true)",
                    [new_id("dst"), found, account],
                )
        return found

    def worked(self, maker: str, requester: str, accepted: int = 1) -> str:
        """A lot of one unit; whether it was accepted."""
        order, lot = new_id("prd"), new_id("lot")
        with psycopg.connect(self.url) as connection:
            for path, kind, whose in ((order, "production", requester), (lot, "lot", maker)):
                connection.execute(
                    "INSERT INTO paths (id, kind, workflow_id, initiator_id, currency, phase)"
                    " VALUES (%s, %s, %s, %s, 'CNY', 'settled')",
                    [path, kind, path, whose],
                )
            connection.execute(
                "INSERT INTO production_orders (id, requester_id, title, terms, units, open, accepted)"
                " VALUES (%s, %s, 'Baskets', '{}', 1, %s, %s)",
                [order, requester, 1 - accepted, accepted],
            )
            connection.execute(
                "INSERT INTO lots (id, order_id, maker_id, units, course) VALUES (%s, %s, %s, 1, %s)",
                [lot, order, maker, Jsonb({"units": 1, "accepted": accepted})],
            )
        return lot

    def peer(self, maker: str | None = None) -> str:
        """A maker of whom two requesters have accepted units who know no other maker."""
        maker = maker or self.person()
        for _ in range(juries.LEAST_REQUESTERS):
            self.worked(maker, self.person())
        return maker

    def peers(self, count: int) -> list[str]:
        """Several of them."""
        return [self.peer() for _ in range(count)]

    async def drawn(self) -> Jury | None:
        """The jury of the lot."""
        question = jury_terms(terms_of(), 1, ())
        async with self.database.transaction() as session:
            return await juries.draw(
                session,
                await lot_of(session, self.lot),
                [self.maker, self.requester],
                question,
                ProductionPolicy(),
                initiator_id=self.maker,
            )

    async def candidates(self) -> set[str]:
        """Who could be drawn; there are always three besides those that a test is about."""
        found = await self.drawn()
        assert found is not None
        return set(found.candidates)


@pytest_asyncio.fixture
async def trade(ledger_url: str) -> AsyncIterator[Trade]:
    """An otherwise empty database with one lot."""
    database = Database(ledger_url, pool_size=2)
    found = Trade(ledger_url, database)
    found.maker, found.requester = found.person(), found.person(account="6222 1")
    found.lot = found.worked(found.maker, found.requester, accepted=0)
    try:
        yield found
    finally:
        await database.aclose()


async def test_the_seed_decides_among_all_of_them(trade: Trade) -> None:
    honest = trade.peers(12)
    jury = await trade.drawn()
    assert jury is not None and jury.candidates == sorted(honest)
    order = drawing_order(jury.seed, range(1, len(honest) + 1))
    assert jury.jurors == [jury.candidates[number - 1] for number in order][:JURORS]
    other = await trade.drawn()
    assert other is not None and other.seed != jury.seed
    assert other.candidates == jury.candidates, "they are numbered before there is a seed"


async def test_makers_of_one_requester_are_no_peers(trade: Trade) -> None:
    honest = set(trade.peers(JURORS))
    cheap = trade.person()
    for _ in range(5):
        trade.worked(trade.person(), cheap)
    refused = trade.person()
    trade.worked(refused, trade.person(), accepted=0)
    trade.worked(refused, cheap)
    assert await trade.candidates() == honest

    # Two requesters who made many makers up get one of them among the candidates, whichever.
    sham = [trade.person(), trade.person()]
    made_up = [trade.person() for _ in range(20)]
    for maker in made_up:
        for requester in sham:
            trade.worked(maker, requester)
    assert len(await trade.candidates() - honest) == 1

    # One person with two accounts is one requester.
    twins = [trade.person(identity="same"), trade.person(identity="same")]
    maker = trade.person(identity="own")
    for requester in twins:
        trade.worked(maker, requester)
    for number, each in enumerate(honest):
        identified(trade, each, f"honest{number}")
    assert await trade.candidates() == honest


def identified(trade: Trade, user: str, identity: str) -> None:
    """Operators have seen somebody's document."""
    with psycopg.connect(trade.url) as connection:
        connection.execute(
            "UPDATE users SET identity_hash = %s, verified_at = now() WHERE id = %s",
            [identity, user],
        )


async def test_what_the_parties_accepted_proves_nothing(trade: Trade) -> None:
    honest = set(trade.peers(JURORS))
    twin = trade.person(account="6222 1")
    for side in (trade.requester, twin):
        maker = trade.person()
        trade.worked(maker, side)
        trade.worked(maker, trade.person())
    assert await trade.candidates() == honest


async def test_accounts_made_up_for_it(trade: Trade) -> None:
    honest = set(trade.peers(JURORS))
    trade.peer(trade.person(days=AGE_DAYS - 1))
    trade.peer(trade.person(frozen=True))
    assert await trade.candidates() == honest
    # Where people are verified at all only they are drawn, however young their accounts.
    known = {
        trade.peer(trade.person(days=0, identity=f"known{number}")) for number in range(JURORS)
    }
    assert await trade.candidates() == known


async def test_too_few_peers_are_none(trade: Trade) -> None:
    trade.peers(JURORS - 1)
    assert await trade.drawn() is None
