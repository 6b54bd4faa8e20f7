"""Many lots of one order at the same time: units, wages and materials add up, and the order's own story stays short.

By default so few that it fits into every run. `BAIGONG_TEST_LOTS=300 python -m pytest tests/stories/test_production_scale.py`
takes more; how the order itself fares with ten thousand is shown with rows that were never anybody's lots.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Awaitable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import event

from domain.ids import new_id
from domain.lot import FINAL, Course, Phase
from tests.api.issuer import Issuer
from tests.servers import Databases
from tests.stories.house import DAY, House, Json, running_house
from tests.stories.lots import decided
from tests.stories.runs import history_length
from tests.stories.workshop import MAKE, RATE, Lot, Workshop, funded, people, returned
from tests.waiting import eventually

COUNT = int(os.environ.get("BAIGONG_TEST_LOTS", "25"))
FIRST = 5
UNITS = 2
"""Of one lot."""
MAKERS = 6
AT_ONCE = 8
"""How many lots are busy at the same time."""
FEW_EVENTS = 100
"""In the history of an order from the draft to its end, whatever its lots did."""
ROWS = 10_000
ROW_UNITS = 2

pytestmark = pytest.mark.timeout(300 + 3 * COUNT)


async def test_the_order_hears_nothing_of_its_lots_but_that_the_last_one_is_over(
    house: House,
) -> None:
    """Most lots are accepted, some rejected; of some the maker steps back, and of two nothing ever comes."""
    ways = _ways(COUNT)
    ends = Counter(ways)
    made = ends["accepted"] + ends["rejected"]
    shop = await Workshop.published(
        house, units=made * UNITS, lot_most=UNITS, lots_at_once=COUNT, deposit=None
    )
    makers = people(MAKERS)[1]
    handle = house.workflow(shop.story)

    await _in_turns(
        _one(shop, maker, way) for maker, way in zip(makers, ways[:FIRST], strict=False)
    )
    after_few = await history_length(handle)
    # Who gives units back comes first: the others need them.
    rest = sorted(ways[FIRST:], key=_BACK.__contains__, reverse=True)
    # Whoever has abandoned a lot has one at a time from then on.
    whose = [makers[0], *islice(cycle(makers[1:]), len(rest) - 1)]
    back = sum(way in _BACK for way in rest)
    await _in_turns(_one(shop, *each) for each in zip(whose[:back], rest[:back], strict=True))
    await _in_turns(_one(shop, *each) for each in zip(whose[back:-1], rest[back:-1], strict=True))
    assert await shop.units() == {
        "open": UNITS,
        "accepted": (ends["accepted"] - 1) * UNITS,
        "rejected": ends["rejected"] * UNITS,
    }
    assert await history_length(handle) == after_few, "lots leave nothing in the order's history"
    await _one(shop, whose[-1], rest[-1])

    wasted = ends["rejected"] * UNITS * RATE
    done = await shop.ended("completed", funded(made * UNITS * RATE), returned(wasted))
    assert await history_length(handle) < FEW_EVENTS
    assert (done["end_reason"], done["lots"], done["lots_running"]) == ("lots_over", COUNT, 0)
    assert {each: count * UNITS for each, count in ends.items() if each not in _BACK} == {
        name: count for name, count in (await shop.units()).items() if name != "open"
    }
    await _each_paid_once(shop, ends["accepted"], makers)
    _nothing_is_left(shop)
    await _pages(shop, makers)


_BACK = frozenset({"withdrawn", "abandoned"})
"""Ways in which a lot gives its units back."""


def _ways(count: int) -> list[str]:
    """How each lot goes; the first five and the last one say what the others are like."""
    assert count > 2 * FIRST, "too few lots to show anything"
    first = ["abandoned", "withdrawn", "rejected", "accepted", "accepted"]
    some = {3: "rejected", 6: "withdrawn"}
    rest = [some.get(each % 10, "accepted") for each in range(FIRST, count - 1)]
    return [*first, "abandoned", *rest[1:], "accepted"]


async def _in_turns(lots: Iterable[Awaitable[None]]) -> None:
    """All of them, a few at a time."""
    crowded = asyncio.Semaphore(AT_ONCE)

    async def when_there_is_room(one: Awaitable[None]) -> None:
        async with crowded:
            await one

    await asyncio.gather(*(when_there_is_room(each) for each in lots))


async def _one(shop: Workshop, maker: str, way: str) -> None:
    """One lot from the claim to its end."""
    lot = await shop.claim(maker, UNITS)
    if way == "withdrawn":
        await lot.act("withdraw")
        await _adds_up(shop, lot, "lapsed")
        return
    await lot.supply("send-kit")
    await lot.act("receive-kit")
    if way == "abandoned":
        await lot.let_pass(MAKE + 11 * DAY)
        await _adds_up(shop, lot, "abandoned")
        return
    await lot.act("send-goods", made=UNITS)
    await lot.supply("receive-goods")
    rejected = UNITS if way == "rejected" else 0
    await decided(lot, UNITS - rejected, rejected=rejected)
    if rejected:
        await lot.until("decided")
        await lot.act("accept-decision")
    await _adds_up(shop, lot, "settled")


async def _adds_up(shop: Workshop, lot: Lot, phase: str) -> None:
    """The lot has ended, and all units of the order are somewhere."""

    async def over() -> bool:
        return bool((await lot.now())["phase"] == phase)

    await eventually(over, within_seconds=60)
    order = await shop.now()
    assert sum(order["progress"].values()) == order["units"]
    await shop.house.workflow(lot.story).result()


async def _each_paid_once(shop: Workshop, accepted: int, makers: Sequence[str]) -> None:
    """Each accepted lot took its wages out of the order's escrow in one entry, and no other lot took anything."""
    rows = shop.house.sql(
        "SELECT l.course->>'accepted', array_agg(p.amount) FILTER (WHERE p.amount IS NOT NULL)"
        " FROM lots l LEFT JOIN (ledger_entries e JOIN ledger_postings p ON p.entry_id = e.id"
        " AND p.side = 'debit' JOIN ledger_accounts a ON a.id = p.account_id AND a.kind = 'escrow'"
        " AND a.owner = %s) ON e.path_id = l.id WHERE l.order_id = %s GROUP BY l.id",
        shop.id,
        shop.id,
    )
    paid = Counter((int(units), tuple(amounts or ())) for units, amounts in rows)
    assert paid == {(UNITS, (UNITS * RATE,)): accepted, (0, ()): COUNT - accepted}
    fee = UNITS * RATE * 500 // 10_000
    earned = [await shop.house.payable(maker) for maker in makers]
    assert sum(earned) == accepted * (UNITS * RATE - fee)


def _nothing_is_left(shop: Workshop) -> None:
    """No money and no material of any lot is on its way, and nothing waits."""
    lots = "(SELECT id FROM lots WHERE order_id = %s)"
    for query in (
        f"SELECT kind FROM ledger_accounts WHERE path_id IN {lots} AND"
        " (debits_posted <> credits_posted OR debits_pending <> 0 OR credits_pending <> 0)",
        f"SELECT lot_id FROM material_moves WHERE lot_id IN {lots} GROUP BY lot_id HAVING"
        " sum(CASE WHEN target IN ('on_the_way', 'maker', 'goods') THEN pieces ELSE 0 END"
        " - CASE WHEN source IN ('on_the_way', 'maker', 'goods') THEN pieces ELSE 0 END) <> 0",
        f"SELECT id FROM paths WHERE id IN {lots} AND (closed_at IS NULL OR deadlines <> '[]')",
    ):
        assert shop.house.sql(query, shop.id) == []


async def _pages(shop: Workshop, makers: Sequence[str]) -> None:
    """The requester turns over all lots, and each maker the own ones."""
    every = f"/v1/production-orders/{shop.id}/lots"
    listed = [each["id"] for each in await _turned(shop.house, every, shop.requester)]
    assert listed == sorted(listed, reverse=True)
    assert len(set(listed)) == len(listed) == COUNT
    own = [
        each["id"]
        for maker in makers
        for each in await _turned(shop.house, "/v1/me/lots", maker)
        if each["order_id"] == shop.id
    ]
    assert sorted(own, reverse=True) == listed


async def _turned(house: House, path: str, by: str, limit: int = 10) -> list[Json]:
    """All items of a list, page by page."""
    page = await house.get(path, by, limit=limit)
    found: list[Json] = list(page["items"])
    while page["next"]:
        assert len(page["items"]) == limit
        page = await house.get(path, by, limit=limit, after=page["next"])
        found += page["items"]
    return found


async def test_ten_thousand_lots_cost_the_order_nothing(
    dev_server: str, postgres_server: Databases, issuer: Issuer, tmp_path: Path
) -> None:
    """The rows of lots in all phases: the order is looked at, read, told and ended as with none."""
    with postgres_server.fresh() as url:
        async with running_house(dev_server, url, issuer, tmp_path) as house:
            units = ROWS * ROW_UNITS
            shop = await Workshop.published(house, units=units, claims_seconds=40 * DAY)
            await shop.claim(units=ROW_UNITS)
            handle = house.workflow(shop.story)
            few = await _statements(shop, 1)
            rows = _fill(url, shop)
            assert await _statements(shop, 50) == few
            listed = await _turned(
                house, f"/v1/production-orders/{shop.id}/lots", shop.requester, limit=100
            )
            assert Counter(each["phase"] for each in listed) == rows
            assert len({each["id"] for each in listed}) == ROWS

            before = await history_length(handle)
            await handle.signal("lots_over")
            await shop.let_pass(30 * DAY + 1)

            async def looked() -> bool:
                facts = (await handle.query("watch"))["standing"]["facts"]
                told = ", ".join(f"{rows[phase]} {phase}" for phase in sorted(rows))
                assert f"Lots: {told}" in facts
                return True

            await eventually(looked, within_seconds=20)
            assert (await shop.now())["phase"] == "published", "lots still run"
            assert await history_length(handle) - before < 2 * _EVENTS_OF_A_LOOK

            _end(house, shop)
            assert await shop.units() == {"rejected": units}
            await handle.signal("lots_over")
            await shop.ended("completed", funded(units * RATE), returned(units * RATE))
            assert await history_length(handle) < FEW_EVENTS


_EVENTS_OF_A_LOOK = 15
"""A timer or signal, two workflow tasks, an activity, and the details for operators."""


async def _statements(shop: Workshop, lots: int) -> list[int]:
    """How many statements about orders and lots each page of the order takes, which shows so many lots."""
    counted = []
    path = f"/v1/production-orders/{shop.id}"
    for page in (path, f"{path}/lots", "/v1/production-orders", f"{path}/deadlines"):
        with _counting(shop.house) as seen:
            found = await shop.house.get(page, shop.requester)
        if page.endswith("/lots"):
            assert len(found["items"]) == lots
        counted.append(len(seen))
    return counted


@contextmanager
def _counting(house: House) -> Iterator[list[str]]:
    """The statements about orders and lots that are sent meanwhile, by whatever runs in this process."""
    seen: list[str] = []

    def note(_: Any, __: Any, statement: str, *___: Any) -> None:
        if "production_orders" in statement or "FROM lots" in statement:
            seen.append(statement)

    engine = house.database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(engine, "before_cursor_execute", note)


def _fill(url: str, shop: Workshop) -> Counter[str]:
    """Rows of lots in all phases beside the one that is there; how many there are in each phase then."""
    phases = [str(each) for each in islice(cycle(Phase), ROWS - 1)]
    makers = [new_id("usr") for _ in range(50)]
    ids = [new_id("lot") for _ in phases]
    course = Course(units=ROW_UNITS).model_dump_json()
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO users (id, issuer, subject, display_name) VALUES (%s, 'crowd', %s, 'Maker')",
            [(each, each) for each in makers],
        )
        with cursor.copy(
            "COPY paths (id, kind, workflow_id, initiator_id, currency, phase) FROM STDIN"
        ) as copy:
            for lot_id, phase, maker in zip(ids, phases, cycle(makers), strict=False):
                copy.write_row((lot_id, "lot", f"lot-{lot_id}", maker, "CNY", phase))
        with cursor.copy("COPY lots (id, order_id, maker_id, units, course) FROM STDIN") as copy:
            for lot_id, maker in zip(ids, cycle(makers), strict=False):
                copy.write_row((lot_id, shop.id, maker, ROW_UNITS, course))
        cursor.execute(
            "UPDATE paths SET closed_at = now() WHERE kind = 'lot' AND phase = ANY(%s)",
            ([str(each) for each in FINAL],),
        )
        _count(cursor, shop.id)
        cursor.execute("ANALYZE")
    return Counter([*phases, str(shop.lots[next(iter(shop.lots))].lot["phase"])])


def _count(cursor: psycopg.Cursor[Any], order_id: str) -> None:
    """The order's row says what its lots say: units of settled ones are rejected, of lost ones lost."""
    cursor.execute(
        "UPDATE production_orders o SET open = o.units - c.running - c.rejected - c.lost,"
        " running = c.running, rejected = c.rejected, lost = c.lost, lots = c.lots,"
        " lots_running = c.lots_running FROM ("
        " SELECT count(*) AS lots, count(*) FILTER (WHERE p.phase <> ALL(%s)) AS lots_running,"
        " coalesce(sum(l.units) FILTER (WHERE p.phase <> ALL(%s)), 0) AS running,"
        " coalesce(sum(l.units) FILTER (WHERE p.phase = 'settled'), 0) AS rejected,"
        " coalesce(sum(l.units) FILTER (WHERE p.phase = 'lost'), 0) AS lost"
        " FROM lots l JOIN paths p ON p.id = l.id WHERE l.order_id = %s) c WHERE o.id = %s",
        ([str(each) for each in FINAL], [str(each) for each in FINAL], order_id, order_id),
    )


def _end(house: House, shop: Workshop) -> None:
    """All lots are settled, and everything is rejected."""
    url = house.settings.require_database_url()
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute(
            "UPDATE paths SET phase = 'settled', deadlines = '[]', closed_at = now()"
            " WHERE id IN (SELECT id FROM lots WHERE order_id = %s)",
            (shop.id,),
        )
        _count(cursor, shop.id)
