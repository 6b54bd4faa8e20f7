"""Who may act on a sale and when: every act in every phase, by everybody, twice, and two at once."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest

from tests.api.client import assert_problem
from tests.stories.deals import ADMIN, Deal, funded, refunded, released
from tests.stories.house import House
from tests.waiting import eventually

ACTS = ("accept", "decline", "ship", "confirm", "cancel")
PLAYED_BY = {
    "accept": "seller",
    "decline": "seller",
    "ship": "seller",
    "confirm": "buyer",
    "cancel": "buyer",
}
# phase: what is possible in it; everything else is refused
POSSIBLE = {
    "pending_payment": {"cancel"},
    "expired": set[str](),
    "paid": {"accept", "decline", "cancel"},
    "accepted": {"ship", "cancel"},
    "shipped": {"confirm"},
    "delivered": {"confirm"},
    "completed": set[str](),
    "refunding": set[str](),
    "refunded": set[str](),
}
MAY = """
             buyer  seller  operator  stranger
    accept   403    ok      403       404
    decline  403    ok      403       404
    ship     403    ok      403       404
    confirm  ok     403     403       404
    cancel   ok     ok      ok        404
"""


def body_of(act: str) -> dict[str, str]:
    """A body the API accepts for this act."""
    if act != "ship":
        return {}
    return {"carrier": "sandbox", "tracking_number": f"SF{uuid.uuid4().hex[:12]}"}


async def assert_only(deal: Deal, phase: str) -> None:
    """In this phase, everything impossible is refused, and nothing happens."""
    await deal.until(phase)
    before = await deal.timeline()
    for act in ACTS:
        if act in POSSIBLE[phase]:
            continue
        by = deal.buyer if PLAYED_BY[act] == "buyer" else deal.seller
        problem = assert_problem(await deal.try_to(act, by, **body_of(act)), 409, "wrong_phase")
        assert problem["field"] == "phase", (act, problem)
    assert await deal.timeline() == before
    assert (await deal.until(phase))["parcel"] is None or phase in (
        "shipped",
        "delivered",
        "completed",
    )


async def test_every_act_in_every_phase_of_a_sale_that_goes_well(house: House) -> None:
    deal = await Deal.placed(house)
    await assert_only(deal, "pending_payment")
    await deal.pay()
    await assert_only(deal, "paid")
    await deal.accept()
    await assert_only(deal, "accepted")
    number = await deal.ship()
    await assert_only(deal, "shipped")
    await house.scan(number, "delivered")
    await assert_only(deal, "delivered")
    await deal.act("confirm", deal.buyer)
    await assert_only(deal, "completed")
    await house.assert_at_zero(deal.sale)


async def test_every_act_while_the_money_goes_back_and_after(house: House) -> None:
    deal = await Deal.paid(house)
    await house.misbehave("refund", "refund_pending")
    await deal.act("decline", deal.seller)
    await assert_only(deal, "refunding")
    refund = (await deal.until("refunding"))["refund"]["id"]

    async def submitted() -> str:
        found = (await house.sandbox.get("/v1/refunds")).json()["data"]
        ours = [each["reference"] for each in found if each["subject"] == refund]
        return str(ours[0]) if ours else ""

    reference = await eventually(submitted)
    answer = await house.sandbox.post(f"/v1/refunds/{reference}/advance", json={})
    answer.raise_for_status()
    await assert_only(deal, "refunded")
    await house.assert_at_zero(deal.sale)


async def test_every_act_on_an_expired_order(house: House) -> None:
    deal = await Deal.placed(house)
    await deal.act("cancel", deal.buyer)
    await eventually_ended(house, deal)
    await assert_only(deal, "expired")
    await house.assert_at_zero(deal.sale)


async def eventually_ended(house: House, deal: Deal) -> None:
    """The sale's workflow has closed, not only its books."""
    handle = house.workflow(f"sale-{deal.id}")

    async def closed() -> bool:
        return (await handle.describe()).close_time is not None

    await eventually(closed)


async def test_every_act_by_everybody(house: House) -> None:
    deal = await Deal.paid(house)
    subjects = {
        "buyer": deal.buyer,
        "seller": deal.seller,
        "operator": ADMIN,
        "stranger": f"stranger-{uuid.uuid4().hex[:8]}",
    }
    codes = {"403": "forbidden", "404": "not_found"}
    columns, *rows = MAY.strip().splitlines()
    for row in rows:
        act, *cells = row.split()
        for role, expected in zip(columns.split(), cells, strict=True):
            if expected != "ok":
                answer = await deal.try_to(act, subjects[role], **body_of(act))
                assert_problem(answer, int(expected), codes[expected])
        nobody = await house.http.post(
            f"/v1/sales/{deal.id}/{act}",
            json=body_of(act),
            headers={"Idempotency-Key": uuid.uuid4().hex},
        )
        assert_problem(nobody, 401, "unauthenticated")
    for part in ("", "/deadlines", "/timeline", "/statement", "/balances"):
        hidden = await house.call("GET", f"/v1/sales/{deal.id}{part}", by=subjects["stranger"])
        assert_problem(hidden, 404, "not_found")
        seen = await house.call("GET", f"/v1/sales/{deal.id}{part}", by=ADMIN)
        assert seen.status_code == 200
    assert (await deal.timeline())[-1] == "payment_captured by provider"
    await deal.act("cancel", ADMIN)
    await deal.until("refunded")
    await house.assert_at_zero(deal.sale)


async def test_an_order_sent_twice_with_one_key_is_one_order(house: House) -> None:
    first = await Deal.placed(house)
    key = uuid.uuid4().hex
    body = {"lines": [{"listing_id": first.lamp["id"], "quantity": 1}]}

    async def send(content: Any) -> Any:
        return await house.call("POST", "/v1/sales", by=first.buyer, key=key, json=content)

    answers = list(await asyncio.gather(send(body), send(body)))
    answers.append(await send(body))
    assert [answer.status_code for answer in answers] == [201] * 3
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert await first.stock() == 3
    other = {"lines": [{"listing_id": first.lamp["id"], "quantity": 2}]}
    assert_problem(await send(other), 422, "idempotency_key_reused")
    assert await first.stock() == 3
    second = Deal(house, first.buyer, first.seller, first.lamp, answers[0].json(), first.since)
    for deal in (first, second):
        await deal.act("cancel", deal.buyer)
        await house.assert_at_zero(deal.sale)
    assert await first.stock() == 5


async def test_an_act_sent_twice_with_one_key_is_one_act(house: House) -> None:
    deal = await Deal.paid(house)
    path, key = f"/v1/sales/{deal.id}/accept", uuid.uuid4().hex

    async def send(note: str) -> Any:
        return await house.call("POST", path, by=deal.seller, key=key, json={"note": note})

    answers = list(await asyncio.gather(send("Gladly"), send("Gladly")))
    answers.append(await send("Gladly"))
    assert [answer.status_code for answer in answers] == [200] * 3
    assert {answer.json()["phase"] for answer in answers} == {"accepted"}
    assert_problem(await send("Never"), 422, "idempotency_key_reused")
    assert (await deal.timeline()).count("accepted by seller") == 1
    # The same act with a key of its own is another act, and too late.
    assert_problem(await deal.try_to("accept", deal.seller), 409, "wrong_phase")
    await deal.act("cancel", deal.seller)
    await deal.until("refunded")
    await house.assert_at_zero(deal.sale)


@pytest.mark.parametrize(
    ("phase", "acts", "winners"),
    [
        ("paid", [("accept", "seller"), ("cancel", "buyer")], {"accepted", "cancelled"}),
        ("paid", [("decline", "seller"), ("cancel", "buyer")], {"declined", "cancelled"}),
        ("accepted", [("ship", "seller"), ("cancel", "buyer")], {"shipped", "cancelled"}),
        ("shipped", [("confirm", "buyer"), ("confirm", "buyer")], {"confirmed"}),
    ],
)
async def test_of_two_acts_at_once_exactly_one_wins(
    house: House, phase: str, acts: list[tuple[str, str]], winners: set[str]
) -> None:
    deal = await Deal.paid(house)
    if phase != "paid":
        await deal.accept()
    if phase == "shipped":
        await deal.ship()
    seen = len(await deal.timeline())
    people = {"buyer": deal.buyer, "seller": deal.seller}
    answers = await asyncio.gather(
        *(deal.try_to(act, people[role], **body_of(act)) for act, role in acts)
    )
    first = (await deal.timeline())[seen].split()[0]
    assert first in winners
    accepted_then_cancelled = first == "accepted" and [a.status_code for a in answers] == [200, 200]
    if not accepted_then_cancelled:
        # Cancelling is still possible after accepting, when it comes second; nothing else is.
        assert sorted(answer.status_code for answer in answers) == [200, 409]
        loser = next(answer for answer in answers if answer.status_code == 409)
        assert_problem(loser, 409, "wrong_phase")
    await bring_to_an_end(deal)
    events = [event.split()[0] for event in await deal.timeline()]
    assert len(events) == len(set(events)), "something happened twice"


async def bring_to_an_end(deal: Deal) -> None:
    """Ends the sale from wherever two rivals have brought it, and checks the books."""
    phase = (await deal.house.get(f"/v1/sales/{deal.id}", by=deal.buyer))["phase"]
    if phase == "accepted":
        await deal.ship()
    if phase in ("accepted", "shipped"):
        await deal.act("confirm", deal.buyer)
    if phase in ("accepted", "shipped", "completed"):
        expected = funded(20_000) + released(18_400, 1_600)
        stock = 4
    else:
        await deal.until("refunded")
        expected = funded(20_000) + refunded(20_000)
        stock = 5
    assert await deal.house.postings(deal.sale) == expected
    assert await deal.stock() == stock
    await deal.house.assert_at_zero(deal.sale)
