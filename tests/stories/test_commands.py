"""Commands: what is shown is what is posted, whoever executes it; what has moved meanwhile is refused."""

from __future__ import annotations

import asyncio

from ledger import invariants
from tests.stories.contests import Show
from tests.stories.deals import Deal, refused
from tests.stories.funds import Fund
from tests.stories.house import House
from tests.stories.in_kind import Aid
from tests.stories.jobs import Job
from tests.stories.operators import (
    act,
    at_zero,
    done,
    moved,
    operator,
    postings,
    proposed,
    tables,
    try_to,
    try_to_propose,
)
from tests.stories.polls import user_id
from tests.stories.sponsors import Call
from tests.stories.workshop import Lot, Workshop
from tests.waiting import eventually

HASH = "0" * 64


async def test_a_sale_is_called_off_as_it_was_shown(house: House) -> None:
    one = await operator(house)
    deal = await Deal.paid(house)
    await deal.told("paid")
    before = tables(house)
    order = {"kind": "cancel_path", "path_id": deal.id}
    command = await proposed(house, one, order)
    assert tables(house) == before, "a proposal changes nothing"
    assert postings(command) == ["debit escrow 20000", "credit refund_due 20000"]
    [buyer] = command["preview"]["who"]
    assert (buyer["user_id"], buyer["gets"]["amount"]) == (deal.sale["buyer_id"], 20_000)
    assert (command["needs_two"], command["preview"]["amounts"][0]["amount"]) == (False, 20_000)

    await refused(
        await try_to(house, "execute", command, one, preview_sha256=HASH),
        409,
        "wrong_phase",
        "preview_sha256",
    )
    executed = await act(house, "execute", command, one)
    assert (executed["state"], executed["executed_by"]) == ("executed", await user_id(house, one))
    assert (await deal.until("refunded"))["end_reason"] == "cancelled"
    assert moved(house, deal.id, "refund") == postings(command)
    assert (await act(house, "execute", command, one))["state"] == "executed", "twice is once"
    await refused(
        await try_to(house, "reject", command, one, reason="no"), 409, "wrong_phase", "state"
    )
    assert "operator_command by operator" in await deal.timeline()
    # What has ended is not called off again.
    await refused(await try_to_propose(house, one, order), 409, "wrong_phase", "phase")
    await house.assert_at_zero(deal.sale)


async def test_every_path_by_its_own_end(house: House) -> None:
    one, two = await operator(house), await operator(house)
    job, show, call = await Job.opened(house), await Show.opened(house), await Call.opened(house)
    aid, shop = (
        await Aid.ready(house, deposit={"amount": 5_000, "currency": "CNY"}),
        await Workshop.published(house),
    )
    lot = await (await Workshop.published(house, deposit=0)).claim()
    fund = await Fund.live(house)
    running: list[Job | Show | Call | Aid | Workshop | Lot | Fund]
    running = [job, show, call, aid, shop, lot, fund]
    sums = []
    for path in running:
        command = await proposed(house, one, {"kind": "cancel_path", "path_id": path.id})
        second = two if command["needs_two"] else None
        if second is not None:
            await refused(
                await try_to(house, "execute", command, one), 409, "needs_second_operator"
            )
            await act(house, "approve", command, second)
        await act(house, "execute", command, one)
        assert moved(house, path.id, "refund") == postings(command)
        sums.append(len(postings(command)))
    assert sums == [2, 2, 2, 2, 2, 0, 0]
    for path in running:

        async def ended(path_id: str = path.id) -> bool:
            [(phase, at)] = house.sql("SELECT phase, closed_at FROM paths WHERE id = %s", path_id)
            assert phase in ("cancelled", "completed"), phase
            assert at is not None
            return True

        await eventually(ended)
        [(left,)] = house.sql(
            "SELECT count(*) FROM ledger_accounts WHERE path_id = %s AND balance <> 0", path.id
        )
        assert left == 0
    async with house.database.transaction() as session:
        assert await invariants.check(session) == []


async def test_more_time_and_not_more_than_the_money_is_held(house: House) -> None:
    one = await operator(house)
    show = await Show.opened(house)
    path = f"/v1/paths/{show.id}/deadlines"
    first = (await house.get(path, by=show.owner))["deadlines"][0]
    order = {"kind": "extend_deadline", "path_id": show.id, "name": first["name"], "seconds": 3_600}
    unknown = await try_to_propose(house, one, {**order, "name": "nothing"})
    await refused(unknown, 422, "invalid_input", "name")
    house.sql(
        "UPDATE payments SET hold_deadline = now() + interval '1 hour' WHERE path_id = %s", show.id
    )
    await refused(await try_to_propose(house, one, order), 422, "hold_too_long", "seconds")
    house.sql("UPDATE payments SET hold_deadline = NULL WHERE path_id = %s", show.id)

    command = await proposed(house, one, order)
    other = await proposed(house, one, order)
    assert (command["needs_two"], postings(command)) == (False, [])
    await act(house, "execute", command, one)
    later = (await house.get(path, by=show.owner))["deadlines"][0]
    assert later["due_at"] > first["due_at"]

    async def told() -> bool:
        watched = await house.workflow(f"contest-{show.id}").query("watch")
        assert watched["standing"]["deadlines"][0]["due_at"][:19] == later["due_at"][:19]
        return True

    await eventually(told)
    # Somebody who saw the former time has not agreed to twice as much.
    await refused(await try_to(house, "execute", other, one), 409, "wrong_phase", "preview_sha256")
    anew = await act(house, "rehearse", other, one)
    assert anew["preview_sha256"] != other["preview_sha256"]
    await act(house, "reject", other, one, reason="Once is enough")
    deal = await Deal.paid(house)
    order = {"kind": "extend_deadline", "path_id": deal.id, "name": "acceptance", "seconds": 60}
    await refused(await try_to_propose(house, one, order), 422, "invalid_input", "path_id")
    await deal.act("decline", deal.seller)
    await deal.until("refunded")
    await house.assert_at_zero(deal.sale)


async def test_a_part_of_a_price_after_the_release(house: House) -> None:
    one, two = await operator(house), await operator(house)
    deal = await Deal.accepted(house)
    number = await deal.ship()
    await house.scan(number, "delivered")
    await deal.until("delivered")
    await deal.act("confirm", deal.buyer)
    await deal.until("completed")
    order = {"kind": "refund_path", "path_id": deal.id, "amount": 5_000}
    await refused(
        await try_to_propose(house, one, {**order, "amount": 20_001}),
        422,
        "refund_too_large",
        "amount",
    )
    await refused(
        await try_to_propose(house, one, {**order, "line": 1}),
        422,
        "refund_too_large",
        "lines[1].amount",
    )
    command, rival = await asyncio.gather(
        proposed(house, one, {**order, "amount": 15_000}),
        proposed(house, two, {**order, "amount": 15_000}),
    )
    await act(house, "execute", command, one)
    # Two operators at once: the second finds less left.
    await refused(await try_to(house, "execute", rival, two), 422, "refund_too_large", "amount")
    await act(house, "reject", rival, two, reason="Somebody was faster")

    async def arrived() -> bool:
        [(status, cause)] = house.sql(
            "SELECT status, cause FROM refunds WHERE cause_id = %s", command["id"]
        )
        assert (status, cause) == ("succeeded", "command")
        return True

    await eventually(arrived)
    assert (
        postings(command)
        == moved(house, deal.id, "return")
        == [
            "debit payable 13800",
            "debit fee 1200",
            "credit refund_due 15000",
        ]
    )
    assert await house.payable(deal.seller) == 18_400 - 13_800
    await eventually(lambda: at_zero(house, deal.sale))
    # The platform's own loss always takes two.
    gift = await proposed(house, one, {**order, "amount": 100, "bearer": "platform"})
    assert gift["needs_two"]
    await refused(await try_to(house, "execute", gift, one), 409, "needs_second_operator")
    await act(house, "approve", gift, two)
    await act(house, "execute", gift, one)
    assert moved(house, deal.id, "goodwill") == ["debit loss 100", "credit refund_due 100"]
    await eventually(lambda: at_zero(house, deal.sale))


async def test_a_part_of_a_price_before_the_release(house: House) -> None:
    one = await operator(house)
    deal = await Deal.paid(house)
    order = {"kind": "refund_path", "path_id": deal.id, "amount": 5_000}
    command = await done(house, one, order)
    assert postings(command) == ["debit escrow 5000", "credit refund_due 5000"]
    # What silence would send back is what is left.
    assert await deal.deadline() and deal.promised(await deal.deadline()) == [
        "debit escrow:sale 15000",
        "credit refund_due:ref 15000",
    ]

    async def arrived() -> bool:
        rows = house.sql("SELECT status FROM refunds WHERE path_id = %s", deal.id)
        assert rows == [("succeeded",)]
        return True

    await eventually(arrived)
    await deal.accept()
    await deal.ship()
    await deal.act("confirm", deal.buyer)
    assert (await deal.until("completed"))["end_reason"] is None
    assert await house.payable(deal.seller) == 15_000 * 92 // 100
    await house.assert_at_zero(deal.sale)


async def test_who_may_and_with_which_words(house: House) -> None:
    one = await operator(house)
    deal = await Deal.paid(house)
    order = {"kind": "cancel_path", "path_id": deal.id}
    await refused(await try_to_propose(house, deal.buyer, order), 403, "forbidden")
    await refused(
        await try_to_propose(house, one, order, reason="because"), 422, "invalid_input", "reason"
    )
    assert (await try_to_propose(house, one, {**order, "force": True})).status_code == 422
    assert (await try_to_propose(house, one, {**order, "kind": "anything"})).status_code == 422
    unknown = {**order, "path_id": "sal_01h45ytscbebyvny4gc8cr8ma2"}
    await refused(await try_to_propose(house, one, unknown), 404, "not_found")
    command = await proposed(house, one, order)
    answer = await house.call("GET", f"/v1/commands/{command['id']}", by=deal.buyer)
    await refused(answer, 403, "forbidden")
    listed = await house.get("/v1/commands", by=one, path_id=deal.id)
    assert [each["id"] for each in listed["items"]] == [command["id"]]
    # Nobody executes it for a week: it is void.
    await house.skipper.fast_forward(house.workflow(f"command-{command['id']}"), 7 * 86_400 + 1)

    async def lapsed() -> bool:
        now = await house.get(f"/v1/commands/{command['id']}", by=one)
        assert now["state"] == "lapsed"
        return True

    await eventually(lapsed)
    await refused(await try_to(house, "execute", command, one), 409, "wrong_phase", "state")
    await done(house, one, order)
    await deal.until("refunded")
    await house.assert_at_zero(deal.sale)
