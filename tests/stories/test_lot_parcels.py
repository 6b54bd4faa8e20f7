"""Kits and goods on their way: what carriers report moves the lot, and any scan keeps a parcel alive."""

from __future__ import annotations

import asyncio
import uuid

import psycopg

from tests.api.client import assert_problem
from tests.stories.house import House, Json
from tests.stories.workshop import Lot, Workshop, funded, returned
from tests.waiting import eventually

UNITS, RATE = 4, 500


def number() -> str:
    """A tracking number nobody else has."""
    return f"LP{uuid.uuid4().hex[:12]}"


def parcel(tracking: str) -> Json:
    """It travels with the sandbox's carrier."""
    return {"carrier": "sandbox", "tracking_number": tracking}


def inbox_of(lot: Lot) -> list[tuple[str, str]]:
    """What became of the carrier's words about a lot, oldest first, but that it knows of a parcel."""
    rows = lot.house.sql(
        "SELECT kind, status FROM webhook_inbox WHERE subject = %s AND kind <> 'registered'"
        " ORDER BY id",
        lot.id,
    )
    return [(str(kind), str(status)) for kind, status in rows]


async def until_heard(lot: Lot, *news: tuple[str, str]) -> None:
    """Waits until the carrier's words about the lot have come to this."""

    async def there() -> bool:
        assert inbox_of(lot) == list(news)
        return True

    await eventually(there)


async def test_scans_of_kit_and_goods(house: House) -> None:
    shop = await Workshop.published(house, units=UNITS, lot_most=UNITS, deposit=0)
    lot = await shop.claim(units=UNITS)
    assert lot.lot["phase"] == "kit_paid"
    kit = number()
    assert (await lot.supply("send-kit", **parcel(kit)))["kit"] == parcel(kit)
    [silence] = (await lot.deadlines()).values()

    await house.scan(kit, "in_transit")
    await until_heard(lot, ("in_transit", "consumed"))
    [later] = (await lot.deadlines()).values()
    assert later["name"] == silence["name"]
    assert later["due_at"] > silence["due_at"]

    await house.scan(kit, "delivered")
    await lot.until("making")
    await until_heard(lot, ("in_transit", "consumed"), ("delivered", "consumed"))
    await house.scan(kit, "in_transit")
    await until_heard(
        lot,
        ("in_transit", "consumed"),
        ("delivered", "consumed"),
        ("in_transit", "ignored"),
    )

    goods = number()
    await lot.act("send-goods", made=UNITS, **parcel(goods))
    await house.scan(goods, "lost", "platform")
    await lot.until("lost")
    assert (await lot.timeline())[-3:] == [
        "kit_received by carrier",
        "goods_sent by maker",
        "goods_lost by carrier",
    ]
    fund = UNITS * RATE
    assert f"compensate: credit payable:maker {fund}" in lot.postings("compensate")
    assert (await lot.now())["course"]["lost"] == UNITS
    await shop.ended("completed", funded(fund), returned(fund))


async def test_a_number_is_news_of_one_parcel_only(house: House) -> None:
    shop = await Workshop.published(house, units=UNITS, lot_most=2, deposit=0)
    first, second = await shop.claim(units=2), await shop.claim(units=2)
    kit = number()
    await first.supply("send-kit", **parcel(kit))
    answer = await second.try_to("send-kit", shop.requester, **parcel(kit))
    problem = assert_problem(answer, 422, "invalid_input")
    assert problem["field"] == "tracking_number"
    assert (await second.now())["phase"] == "kit_paid"
    assert second.materials() == {}
    await second.supply("send-kit", **parcel(number()))
    # Another carrier's parcel of the same number, and one that nobody sent, say nothing.
    await house.scan(number(), "delivered")
    assert (await second.now())["phase"] == "kit_shipped"
    await first.act("receive-kit")
    assert inbox_of(first) == []


async def test_two_parcels_that_are_sent_off_at_the_same_moment(house: House) -> None:
    """Both have found the number free before either was written down: one of them gets it."""
    shop = await Workshop.published(house, units=UNITS, lot_most=2, deposit=0)
    lots = [await shop.claim(units=2), await shop.claim(units=2)]
    kit = number()
    with psycopg.connect(house.settings.require_database_url()) as busy:
        busy.execute("SELECT 1 FROM paths WHERE id = ANY(%s) FOR UPDATE", ([x.id for x in lots],))
        both = [
            asyncio.create_task(each.try_to("send-kit", shop.requester, **parcel(kit)))
            for each in lots
        ]
        waiting = (
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        await eventually(lambda: house.sql(waiting)[0][0] >= len(lots))
    first, second = sorted(await asyncio.gather(*both), key=lambda answer: answer.status_code)
    assert first.status_code == 200, first.text
    assert assert_problem(second, 422, "invalid_input")["field"] == "tracking_number"
    assert sorted([(await each.now())["phase"] for each in lots]) == ["kit_paid", "kit_shipped"]
