"""The same for many paths: shown for all, done one by one, and what has moved meanwhile is left out."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from functools import partial

from activities.command_steps import Commands
from domain.commands import BulkStep
from tests.stories.deals import Deal, people, refused
from tests.stories.house import House, Json
from tests.stories.operators import (
    act,
    at_zero,
    executed_bulk,
    operator,
    proposed,
    tables,
    try_to_propose,
)
from tests.stories.polls import user_id
from tests.waiting import eventually


async def paid(house: House, count: int, price: int) -> list[Deal]:
    """Sales of one seller whose money is in escrow."""
    buyer, seller = people()
    lamp = await house.listing(seller, price=price, stock=count)
    deals = []
    for _ in range(count):
        deal = await Deal.of(house, lamp, buyer, seller)
        deals.append(await deal.pay())
        await deal.told("paid")
    return deals


async def items(house: House, command: Json, by: str) -> list[tuple[str, str]]:
    """Which path stands how."""
    page = await house.get(f"/v1/commands/{command['id']}/items", by=by, limit=100)
    return [(each["path_id"], each["state"]) for each in page["items"]]


async def test_many_sales_and_three_that_have_moved(house: House) -> None:
    one, two = await operator(house), await operator(house)
    deals = await paid(house, 9, 12_000)
    ids = [each.id for each in deals]
    await deals[0].act("decline", deals[0].seller)
    await deals[0].until("refunded")
    before = tables(house)
    each = {"kind": "cancel_path"}
    order = {"kind": "bulk", "each": each, "path_ids": [*ids, "sal_01h45ytscbebyvny4gc8cr8ma2"]}
    command = await proposed(house, one, order)
    assert tables(house) == before, "a dry run changes nothing"
    shown = command["preview"]
    assert (shown["items"], shown["refused"]) == (10, 2)
    assert [each["amount"] for each in shown["amounts"]] == [96_000]
    assert not command["needs_two"]
    assert (await items(house, command, one))[0] == (ids[0], "refused")

    for deal in deals[1:3]:
        await deal.act("accept", deal.seller)
        await deal.ship()
    started = await act(house, "execute", command, one)
    assert started["state"] in ("executing", "executed")
    await executed_bulk(house, command, one)
    states = dict(await items(house, command, two))
    assert [states[each] for each in ids] == ["refused"] * 3 + ["done"] * 6
    assert (await act(house, "execute", command, one))["state"] == "executed", "twice is once"
    for deal in deals[3:]:
        await deal.until("refunded")
    for deal in deals[1:3]:
        await deal.act("confirm", deal.buyer)
    for deal in deals:
        await eventually(partial(at_zero, house, deal.sale))


async def test_the_sum_counts_and_the_list_has_limits(house: House) -> None:
    one, two = await operator(house), await operator(house)
    deals = await paid(house, 3, 40_000)
    ids = [each.id for each in deals]
    order: Json = {"kind": "bulk", "each": {"kind": "cancel_path"}, "path_ids": ids}
    twice = {**order, "path_ids": [*ids, ids[0]]}
    await refused(await try_to_propose(house, one, twice), 422, "invalid_input", "path_ids")
    many = {**order, "path_ids": [f"sal_{n:026d}" for n in range(1_001)]}
    await refused(await try_to_propose(house, one, many), 409, "limit_reached", "path_ids")
    both = {**order, "chosen": {"kind": "sale", "phase": "paid"}}
    neither = {"kind": "bulk", "each": {"kind": "cancel_path"}}
    for wrong in (both, neither):
        await refused(await try_to_propose(house, one, wrong), 422, "invalid_input", "path_ids")
    nobody = {**neither, "chosen": {"kind": "sale", "phase": "no such phase"}}
    await refused(await try_to_propose(house, one, nobody), 422, "invalid_input", "chosen")
    nested = {**order, "each": order}
    assert (await try_to_propose(house, one, nested)).status_code == 422
    theirs = {"kind": "sale", "phase": "paid", "initiator_id": deals[0].sale["buyer_id"]}
    command = await proposed(house, one, {**neither, "chosen": theirs})
    assert [each for each, _ in await items(house, command, one)] == ids
    assert command["needs_two"], "three times 400 are more than one may do alone"
    await act(house, "approve", command, two)
    # Two at once are one.
    await asyncio.gather(act(house, "execute", command, one), act(house, "execute", command, two))
    await executed_bulk(house, command, one)
    for deal in deals:
        await deal.until("refunded")
        await eventually(partial(at_zero, house, deal.sale))
        [(refunds,)] = house.sql("SELECT count(*) FROM refunds WHERE path_id = %s", deal.id)
        assert refunds == 1


async def test_a_page_that_is_tried_again_does_nothing_twice(house: House) -> None:
    one, two = await operator(house), await operator(house)
    deals = await paid(house, 2, 10_000)
    each = {"kind": "refund_path", "amount": 2_500}
    order = {"kind": "bulk", "each": each, "path_ids": [deal.id for deal in deals]}
    command = await proposed(house, one, order)
    await act(house, "execute", command, one)
    await executed_bulk(house, command, one)
    # What a bulk command has moved counts, too, when somebody wants more on the same path.
    more = {"kind": "refund_path", "path_id": deals[0].id, "amount": 1}
    house.sql(
        "UPDATE command_items SET preview = jsonb_set(preview, '{amounts,0,amount}', '100000')"
        " WHERE command_id = %s AND number = 0",
        command["id"],
    )
    assert (await proposed(house, one, more))["needs_two"]
    at = datetime.now(UTC)
    step = BulkStep(command_id=command["id"], by=await user_id(house, two), at=at)
    again = await Commands(house.database, house.temporal).next_of_bulk(step)
    assert [case.amount for done in again.executed for case in done.refunds] == [2_500, 2_500]
    for deal in deals:
        rows = house.sql("SELECT amount FROM refunds WHERE path_id = %s", deal.id)
        assert rows == [(2_500,)]
        await deal.act("cancel", deal.buyer)
        await eventually(partial(at_zero, house, deal.sale))
