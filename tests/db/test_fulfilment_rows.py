"""Who shares what is left of a campaign, and which rewards can be made, over rows of every kind."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from db import fulfilment_rows
from db.engine import Database
from db.queries import fulfilment
from domain.campaign import CampaignTerms, Funding, Kind, Question, Rules
from domain.ids import new_id
from domain.money import split
from domain.policy import CampaignPolicy, RefundPolicy

pytestmark = pytest.mark.asyncio

NOW = datetime.now(UTC)
MONTH = timedelta(days=30)


class Ground:
    """A campaign that has succeeded, written straight into the tables."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.campaign_id = new_id("cmp")
        self.terms = CampaignTerms(
            campaign_id=self.campaign_id,
            creator_id="usr_creator",
            title="Lamps",
            story="Bamboo",
            currency="JPY",
            kind=Kind.REWARD,
            funding=Funding.FLEXIBLE,
            goal=1,
            live_seconds=86_400,
            survey=(
                Question(key="colour", text="Which colour?", tiers=(1,)),
                Question(key="name", text="Whose name?", required=False),
            ),
            rules=Rules(
                policy=CampaignPolicy(),
                refund_policy=RefundPolicy(),
                provider="sandbox",
                return_url="https://shop.test",
            ),
        )
        self.sql(
            "INSERT INTO users (id, issuer, subject, display_name)"
            " VALUES ('usr_creator', 'i', 'creator', 'C'), ('usr_backer', 'i', 'backer', 'B')"
        )
        self.sql(
            "INSERT INTO paths (id, kind, workflow_id, initiator_id, currency, phase)"
            " VALUES (%s, 'campaign', %s, 'usr_creator', 'JPY', 'fulfilling')",
            self.campaign_id,
            f"campaign-{self.campaign_id}",
        )
        self.sql(
            "INSERT INTO campaigns (id, terms, succeeded_at, taken_in) VALUES (%s, %s, %s, 100)",
            self.campaign_id,
            Jsonb(self.terms.model_dump(mode="json")),
            NOW,
        )

    def item(self, number: int, kind: str, **shipping: int) -> None:
        """A tier or an add-on."""
        self.sql(
            "INSERT INTO campaign_items (campaign_id, number, kind, title, description, price,"
            " shipping) VALUES (%s, %s, %s, 'Lamp', '', 10, %s)",
            self.campaign_id,
            number,
            kind,
            Jsonb(shipping),
        )

    def pledge(self, paid: int = 100, *, add_ons: tuple[int, ...] = (), **row: Any) -> str:
        """A collected pledge."""
        pledge_id = new_id("plg")
        tier = row.get("tier", 1)
        selection = {
            "tier": tier and {"number": tier, "quantity": 1},
            "add_ons": [{"number": each, "quantity": 1} for each in add_ons],
        }
        values = {
            "id": pledge_id,
            "campaign_id": self.campaign_id,
            "backer_id": "usr_backer",
            "state": "collected",
            "method": "wallet",
            "round": 1,
            "currency": "JPY",
            "amount": paid,
            "paid": paid,
            "selection": Jsonb(selection),
            "tier": tier,
            "reward": "owed",
            "created_at": NOW,
            **row,
        }
        self.sql(
            f"INSERT INTO pledges ({', '.join(values)}) VALUES ({', '.join(['%s'] * len(values))})",
            *values.values(),
        )
        return pledge_id

    def sql(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Past the platform."""
        with psycopg.connect(self.url) as connection:
            cursor = connection.execute(query.encode(), values)
            return cursor.fetchall() if cursor.description else []

    def planned(self) -> list[int | None]:
        """What goes back to each pledge, oldest first."""
        rows = self.sql("SELECT to_refund FROM pledges ORDER BY id")
        return [each for (each,) in rows]


@pytest.fixture
def ground(database_url: str) -> Ground:
    """One campaign on a database of its own."""
    return Ground(database_url)


@pytest.fixture
async def database(database_url: str) -> Any:
    """The same through the platform's own connections."""
    made = Database(database_url, 2)
    yield made
    await made.aclose()


async def test_what_is_left_is_shared_to_the_last_unit(ground: Ground, database: Database) -> None:
    """As domain.money.split does it; what is going back anyway is not shared, but goes on top."""
    paid = [10, 33, 1, 250, 7, 99, 100]
    for each in paid[:-1]:
        ground.pledge(each)
    ground.pledge(130, refunded=10, to_refund=20)
    ground.pledge(500, state="charged_back", refunded=500, reward="none")
    async with database.transaction() as session:
        total = await fulfilment_rows.weight(session, ground.campaign_id)
        assert total == sum(paid)
        await fulfilment_rows.share_out(session, ground.campaign_id, 123, total)
    shares = split(123, paid)
    assert ground.planned() == [*shares[:-1], shares[-1] + 20, None]


async def test_only_those_share_who_are_meant_and_the_others_get_nothing(
    ground: Ground, database: Database
) -> None:
    never, locked = ground.pledge(30), ground.pledge(60, reward="locked")
    ground.pledge(40, reward="shipped", shipped_at=NOW)
    silent = ground.pledge(50, reward="shipped", shipped_at=NOW - MONTH - MONTH)
    gift = ground.pledge(20, tier=None, reward="none")
    missing = ground.pledge(10, reward="missing", shipped_at=NOW - MONTH - MONTH)
    month = 30 * 86_400
    async with database.transaction() as session:
        unshipped, waiting = fulfilment_rows.is_unshipped(), fulfilment_rows.is_waiting(month)
        assert await fulfilment_rows.weight(session, ground.campaign_id, unshipped) == 100
        assert await fulfilment_rows.weight(session, ground.campaign_id, waiting) == 160
        assert await fulfilment_rows.never_shipped(session, ground.campaign_id) == (3, 100)
        assert await fulfilment_rows.electorate(session, ground.campaign_id, month) == 1
        assert await fulfilment_rows.may_vote(session, ground.campaign_id, "usr_backer")
        assert not await fulfilment_rows.may_vote(session, ground.campaign_id, "usr_creator")
        await fulfilment_rows.share_out(session, ground.campaign_id, 50, 100, unshipped)
        found = await fulfilment.progress(session, ground.campaign_id)
        assert found is not None
        counts = found.counts
    assert ground.planned() == [15, 30, 0, 0, 0, 5]
    assert (counts.owed, counts.locked, counts.shipped) == (1, 1, 1)
    assert (counts.received, counts.missing, counts.total) == (1, 1, 5)
    assert len({never, locked, silent, gift, missing}) == 5


async def test_nothing_left_is_nothing_for_everybody(ground: Ground, database: Database) -> None:
    ground.pledge(10)
    async with database.transaction() as session:
        await fulfilment_rows.share_out(session, ground.campaign_id, 0, 10)
    assert ground.planned() == [0]


async def test_rewards_are_locked_when_everything_is_told(
    ground: Ground, database: Database
) -> None:
    ground.item(1, "tier")
    ground.item(2, "tier", CN=0)
    ground.item(3, "add_on", CN=5)
    home = Jsonb({"name": "Lin", "lines": ["1 Kiln Road"], "country": "CN"})
    red = Jsonb({"answers": {"colour": "red"}})
    rows = {
        "nothing told": ground.pledge(),
        "answered": ground.pledge(survey=red),
        "empty answer": ground.pledge(survey=Jsonb({"answers": {"colour": ""}})),
        "sent, no address": ground.pledge(tier=2),
        "sent": ground.pledge(tier=2, address=home),
        "add-on sent": ground.pledge(survey=red, add_ons=(3,)),
        "add-on with address": ground.pledge(survey=red, add_ons=(3,), address=home),
        "shipped": ground.pledge(reward="shipped"),
    }
    async with database.transaction() as session:
        locked = await fulfilment_rows.lock_rewards(session, ground.campaign_id, ground.terms)
        lacking = await fulfilment_rows.count_incomplete(session, ground.campaign_id, ground.terms)
    assert (locked, lacking) == (3, 4)
    states = dict(ground.sql("SELECT id, reward FROM pledges"))
    assert [name for name, pledge in rows.items() if states[pledge] == "locked"] == [
        "answered",
        "sent",
        "add-on with address",
    ]
