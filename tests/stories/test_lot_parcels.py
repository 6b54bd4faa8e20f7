"""Kits and goods on their way: what carriers report moves the lot, and any scan keeps a parcel alive."""

from __future__ import annotations

import asyncio
import uuid

import httpx
import psycopg

from tests.api.client import assert_problem
from tests.stories import deals
from tests.stories.house import House, Json
from tests.stories.lots import decided
from tests.stories.workshop import Lot, Workshop, funded, returned
from tests.waiting import eventually

UNITS, RATE = 4, 500
_WAITING = (
    "SELECT count(*) FROM pg_stat_activity"
    " WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


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

    # However often it is scanned: a parcel that has been on its way for a month is not waited for.
    house.sql("UPDATE lots SET sent_at = sent_at - interval '25 days' WHERE id = %s", lot.id)
    await house.scan(kit, "in_transit")
    await until_heard(lot, ("in_transit", "consumed"), ("in_transit", "consumed"))
    [last] = (await lot.deadlines()).values()
    assert last["due_at"] < silence["due_at"]

    known = [("in_transit", "consumed"), ("in_transit", "consumed"), ("delivered", "consumed")]
    await house.scan(kit, "delivered")
    await lot.until("making")
    await until_heard(lot, *known)
    await house.scan(kit, "in_transit")
    await until_heard(lot, *known, ("in_transit", "ignored"))

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


async def test_no_parcel_of_a_lot_has_the_number_of_an_earlier_one(house: House) -> None:
    """Old scans would prove that something was sent."""
    shop = await Workshop.published(house, units=UNITS, lot_most=UNITS, deposit=0)
    lot = await shop.claim(units=UNITS)
    kit, goods = number(), number()

    async def refuses(verb: str, taken: str, **body: object) -> None:
        by = shop.requester if verb == "send-kit" else lot.maker
        before = (await lot.timeline(), lot.materials())
        problem = assert_problem(
            await lot.try_to(verb, by, **parcel(taken), **body), 422, "invalid_input"
        )
        assert problem["field"] == "tracking_number"
        assert "earlier parcel of this lot" in problem["detail"]
        assert (await lot.timeline(), lot.materials()) == before

    await lot.supply("send-kit", **parcel(kit))
    await house.scan(kit, "lost")
    await lot.until("kit_paid")
    await refuses("send-kit", kit)
    again = number()
    await lot.supply("send-kit", **parcel(again))
    await lot.act("receive-kit")
    await refuses("send-goods", again, made=UNITS)
    await lot.act("send-goods", made=UNITS, **parcel(goods))
    await lot.supply("receive-goods")
    await decided(lot, 3, rework=1)
    await lot.until("rework")
    for taken in (again, goods):
        await refuses("send-goods", taken, made=1)
    await lot.act("send-goods", made=1, **parcel(number()))
    assert (await lot.now())["phase"] == "return_shipped"


async def test_a_sale_never_travels_under_the_number_of_a_lot(house: House) -> None:
    """Nor a lot under that of a sale, until the lot is over."""
    shop = await Workshop.published(
        house, units=UNITS, lot_most=2, materials=None, deposit=None, lots_at_once=2
    )
    lot, second = await shop.claim(units=2), await shop.claim(units=2)
    goods = number()
    await lot.act("send-goods", made=2, **parcel(goods))
    buyer, seller = deals.people()
    sale = await house.paid(await house.listing(seller), by=buyer)
    await house.act(sale, "accept", by=seller)
    ship = f"/v1/sales/{sale['id']}/ship"

    async def tries_to_ship(tracking: str) -> httpx.Response:
        return await house.call("POST", ship, by=seller, json=parcel(tracking))

    problem = assert_problem(await tries_to_ship(goods), 422, "invalid_input")
    assert problem["field"] == "tracking_number"
    assert (await house.get(f"/v1/sales/{sale['id']}", by=seller))["phase"] == "accepted"
    await house.scan(goods, "delivered")
    await lot.until("inspecting")
    assert_problem(await tries_to_ship(goods), 422, "invalid_input")
    await decided(lot, 2)
    await house.workflow(lot.story).result()

    # The number of a lot that is over is free, and the scans are the sale's from now on.
    assert (await tries_to_ship(goods)).status_code == 200
    answer = await second.try_to("send-goods", made=2, **parcel(goods))
    assert assert_problem(answer, 422, "invalid_input")["field"] == "tracking_number"
    await house.scan(goods, "in_transit")
    await house.scan(goods, "delivered")
    await house.until(sale, "delivered", by=buyer)
    assert (await lot.timeline())[-1] == "inspected by inspector"


async def test_a_scan_is_read_for_the_parcel_that_is_on_its_way(house: House) -> None:
    shop = await Workshop.published(
        house, units=UNITS, lot_most=2, materials=None, deposit=None, lots_at_once=2
    )
    older, newer = await shop.claim(units=2), await shop.claim(units=2)
    goods = number()
    await newer.act("send-goods", made=2, **parcel(goods))
    await newer.supply("receive-goods")
    await decided(newer, 2)
    await house.workflow(newer.story).result()
    # A sale that was over long ago had the number too.
    buyer, seller = deals.people()
    sale = await house.order(await house.listing(seller), by=buyer)
    await house.act(sale, "cancel", by=buyer)
    await older.act("send-goods", made=2, **parcel(goods))
    house.sql(
        "UPDATE sales SET carrier = 'sandbox', tracking_number = %s WHERE id = %s",
        goods,
        sale["id"],
    )
    await house.scan(goods, "delivered")
    await older.until("inspecting")
    assert "goods_received by carrier" in await older.timeline()


async def test_a_sale_and_a_lot_that_are_sent_off_at_the_same_moment(house: House) -> None:
    """Both have found the number free before either was written down: one of them gets it."""
    shop = await Workshop.published(house, units=2, lot_most=2, materials=None, deposit=None)
    lot = await shop.claim(units=2)
    buyer, seller = deals.people()
    sale = await house.paid(await house.listing(seller), by=buyer)
    await house.act(sale, "accept", by=seller)
    body = parcel(number())
    with psycopg.connect(house.settings.require_database_url()) as busy:
        busy.execute("SELECT 1 FROM paths WHERE id = ANY(%s) FOR UPDATE", ([lot.id, sale["id"]],))
        both = [
            asyncio.create_task(lot.try_to("send-goods", made=2, **body)),
            asyncio.create_task(
                house.call("POST", f"/v1/sales/{sale['id']}/ship", by=seller, json=body)
            ),
        ]
        await eventually(lambda: house.sql(_WAITING)[0][0] >= len(both))
    first, second = sorted(await asyncio.gather(*both), key=lambda answer: answer.status_code)
    assert first.status_code == 200, first.text
    assert assert_problem(second, 422, "invalid_input")["field"] == "tracking_number"
    phases = [
        (await lot.now())["phase"],
        (await house.get(f"/v1/sales/{sale['id']}", by=seller))["phase"],
    ]
    assert phases in (["return_shipped", "accepted"], ["making", "shipped"])


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
        await eventually(lambda: house.sql(_WAITING)[0][0] >= len(lots))
    first, second = sorted(await asyncio.gather(*both), key=lambda answer: answer.status_code)
    assert first.status_code == 200, first.text
    assert assert_problem(second, 422, "invalid_input")["field"] == "tracking_number"
    assert sorted([(await each.now())["phase"] for each in lots]) == ["kit_paid", "kit_shipped"]
