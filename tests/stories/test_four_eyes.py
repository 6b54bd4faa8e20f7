"""Two people agree to what is large, or is the platform's own money; nobody decides about what is their own."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import psycopg
import pytest

from tests.stories.deals import Deal, refused
from tests.stories.house import House, Json
from tests.stories.operators import act, at_zero, done, operator, proposed, try_to, try_to_propose
from tests.stories.polls import user_id, verified
from tests.waiting import eventually

LARGE = 150_000


async def ended(house: House, deal: Deal) -> None:
    """The buyer has everything back."""
    await deal.until("refunded")
    await eventually(lambda: at_zero(house, deal.sale))


async def test_what_is_large_takes_two(house: House) -> None:
    one, two, three = [await operator(house) for _ in range(3)]
    deal = await Deal.paid(house, price=LARGE)
    await deal.told("paid")
    order = {"kind": "cancel_path", "path_id": deal.id}
    command = await proposed(house, one, order)
    assert command["needs_two"]
    await refused(await try_to(house, "execute", command, one), 409, "needs_second_operator")
    # Neither oneself, nor with another account of the same person.
    await refused(await try_to(house, "approve", command, one), 403, "own_request")
    twin = await operator(house, "twin")
    for who in (one, twin):
        await verified(house, who, f"CN:{one[-8:]}0001")
    await refused(await try_to(house, "approve", command, twin), 403, "own_request")
    wrong = await try_to(house, "approve", command, two, preview_sha256="f" * 64)
    await refused(wrong, 409, "wrong_phase", "preview_sha256")
    with pytest.raises(psycopg.errors.CheckViolation):
        house.sql("UPDATE commands SET state = 'approved' WHERE id = %s", command["id"])
    with pytest.raises(psycopg.errors.CheckViolation):
        house.sql("UPDATE commands SET approved_by = proposed_by WHERE id = %s", command["id"])

    approved = await act(house, "approve", command, two)
    assert (approved["state"], approved["approved_by"]) == ("approved", await user_id(house, two))
    assert (await act(house, "approve", command, two))["state"] == "approved", "twice is once"
    await refused(await try_to(house, "approve", command, three), 409, "wrong_phase", "state")
    # Meanwhile the sale has moved on: what was approved would not be what happens.
    await deal.act("accept", deal.seller)
    await deal.ship()
    await deal.told("shipped")
    answer = await try_to(house, "execute", command, one)
    await refused(answer, 409, "wrong_phase", "phase")
    stands = await house.get(f"/v1/commands/{command['id']}", by=one)
    assert (stands["state"], stands["executed_at"]) == ("approved", None)
    await act(house, "reject", command, three, reason="It has been shipped")
    await deal.act("confirm", deal.buyer)
    await deal.until("completed")
    await house.assert_at_zero(deal.sale)


async def test_a_large_amount_is_not_split(house: House) -> None:
    one, two = await operator(house), await operator(house)
    deal = await Deal.accepted(house, price=LARGE)
    number = await deal.ship()
    await house.scan(number, "delivered")
    await deal.until("delivered")
    await deal.act("confirm", deal.buyer)
    await deal.until("completed")
    order: Json = {"kind": "refund_path", "path_id": deal.id, "amount": 60_000}
    first = await proposed(house, one, order)
    second = await proposed(house, one, {**order, "amount": 60_001})
    assert (first["needs_two"], second["needs_two"]) == (False, False)
    await act(house, "execute", first, one)
    # What was small when it was proposed is counted together with what has been done since.
    await refused(await try_to(house, "execute", second, one), 409, "needs_second_operator")
    third = await proposed(house, one, {**order, "amount": 40_001})
    assert third["needs_two"]
    assert not (await proposed(house, one, {**order, "amount": 40_000}))["needs_two"]
    await act(house, "approve", second, two)
    await act(house, "execute", second, one)
    assert await house.payable(deal.seller) == (LARGE - 120_001) * 92 // 100
    await eventually(lambda: at_zero(house, deal.sale))


async def test_nobody_decides_about_what_is_their_own(house: House) -> None:
    one = await operator(house)
    deal = await Deal.paid(house)
    order = {"kind": "cancel_path", "path_id": deal.id}
    for party in (deal.buyer, deal.seller):
        grant = f"/v1/users/{await user_id(house, party)}/roles/operator"
        assert (await house.call("PUT", grant, by="admin")).status_code == 200
        await refused(await try_to_propose(house, party, order), 403, "own_request")
    command = await proposed(house, one, order)
    await refused(await try_to(house, "approve", command, deal.seller), 403, "own_request")
    await refused(await try_to(house, "execute", command, deal.buyer), 403, "own_request")
    write_off = {"kind": "write_off", "user_id": await user_id(house, one), "amount": 5}
    assert (await try_to_propose(house, one, write_off)).status_code in (403, 409)
    # Somebody whose account is frozen decides nothing.
    freeze = f"/v1/users/{await user_id(house, one)}/freeze"
    await house.post(freeze, {"reason": "case 1"}, by="admin")
    await refused(await try_to(house, "execute", command, one), 403, "forbidden")
    two = await operator(house)
    await act(house, "execute", command, two)
    await ended(house, deal)


async def test_two_execute_at_once(house: House) -> None:
    one, two = await operator(house), await operator(house)
    deal = await Deal.paid(house)
    await deal.told("paid")
    order = {"kind": "cancel_path", "path_id": deal.id}
    commands = [await proposed(house, who, order) for who in (one, two)]
    answers: list[httpx.Response] = await asyncio.gather(
        *(try_to(house, "execute", each, who) for each in commands for who in (one, two))
    )
    codes = sorted(each.status_code for each in answers)
    assert codes[0] == 200 and codes[-1] == 409, codes
    await ended(house, deal)
    [(refunds,)] = house.sql("SELECT count(*) FROM refunds WHERE path_id = %s", deal.id)
    assert refunds == 1
    states: list[Any] = [
        (await house.get(f"/v1/commands/{each['id']}", by=one))["state"] for each in commands
    ]
    assert sorted(states) == ["executed", "proposed"]
    other = await Deal.paid(house)
    await done(house, one, {"kind": "cancel_path", "path_id": other.id})
    await ended(house, other)
