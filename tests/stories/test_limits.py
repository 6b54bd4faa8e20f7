"""Limited accounts: one kind of thing cannot be begun, what is under way goes on, money waits where it must."""

from __future__ import annotations

import uuid

import httpx

from activities.accounts import limit
from domain.capabilities import Capability
from tests.api.client import assert_problem
from tests.stories.house import House, Json
from tests.stories.money import (
    SHARE,
    assert_sound,
    destination,
    earned,
    gather_payouts,
    payout_at,
    people,
    take_out,
)
from tests.stories.operators import operator
from tests.stories.test_frozen import balances, decide, owe, user_id


async def change(
    house: House, subject: str, capability: str, *, lift: bool = False, key: str | None = None
) -> Json:
    """An operator takes a capability away, or gives it back."""
    path = f"/v1/users/{await user_id(house, subject)}/limits/{capability}{'/lift' if lift else ''}"
    answer = await house.call("POST", path, by="admin", key=key, json={"reason": "case 1"})
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()
    return found


async def refused(answer: httpx.Response, capability: str) -> None:
    assert assert_problem(answer, 403, "capability_limited")["field"] == capability


async def test_who_may_not_sell_fulfils_what_was_sold(house: House) -> None:
    buyer, seller = people()
    listing = await house.listing(seller)
    sale = await house.paid(listing, by=buyer, delivery="pickup")
    limited = await change(house, seller, "sell")
    assert (limited["state"], limited["lacks"], limited["frozen"]) == ("limited", ["sell"], False)
    assert (await house.get("/v1/me", by=seller))["lacks"] == ["sell"]
    body = {"title": "More lamps"}
    await refused(await house.call("POST", "/v1/listings", by=seller, json=body), "sell")
    await house.act(sale, "accept", by=seller)
    await house.act(sale, "ship", by=seller)
    await house.act(sale, "confirm", by=buyer)
    await house.until(sale, "completed", by=buyer)
    await house.assert_at_zero(sale)
    assert await balances(house, seller) == (SHARE, 0)
    # Whoever may not sell may still buy.
    await house.order(await house.listing(buyer), by=seller)
    cleared = await change(house, seller, "sell", lift=True)
    assert (cleared["state"], cleared["lacks"]) == ("active", [])
    await house.listing(seller)


async def test_who_may_not_withdraw_has_it_held(house: House) -> None:
    _, seller = people()
    await earned(house, seller)
    await destination(house, seller, automatic=True)
    await change(house, seller, "withdraw")
    assert await balances(house, seller) == (0, SHARE)
    await earned(house, seller)
    assert await balances(house, seller) == (0, 2 * SHARE)
    await refused(await house.call("POST", "/v1/payouts", by=seller, json={}), "withdraw")
    await gather_payouts(house)
    assert (await house.get("/v1/payouts", by=seller))["items"] == []
    # The balance stays held until both reasons are gone, whichever goes first.
    await decide(house, seller, "freeze")
    await decide(house, seller, "unfreeze")
    assert await balances(house, seller) == (0, 2 * SHARE)
    await decide(house, seller, "freeze")
    assert (await house.get("/v1/me", by=seller))["lacks"] == [each.value for each in Capability]
    await change(house, seller, "withdraw", lift=True)
    assert await balances(house, seller) == (0, 2 * SHARE)
    await decide(house, seller, "unfreeze")
    assert await balances(house, seller) == (2 * SHARE, 0)
    # What is owed is paid of it.
    await change(house, seller, "withdraw")
    await owe(house, await user_id(house, seller), 400)
    await change(house, seller, "withdraw", lift=True)
    assert await balances(house, seller) == (2 * SHARE - 400, 0)
    await payout_at(house, await take_out(house, seller), "paid", by=seller)
    await assert_sound(house)


async def test_each_limit_happens_once_by_its_key_and_is_told(house: House) -> None:
    one = await operator(house)
    _, seller = people()
    who = await user_id(house, seller)
    for _ in range(2):
        await change(house, seller, "bid", key="limit-once")
    await change(house, seller, "bid", lift=True)
    await change(house, seller, "bid", key="limit-once")
    assert (await house.get("/v1/me", by=seller))["lacks"] == []
    # The platform itself limits within a transaction of its own, once.
    for _ in range(2):
        async with house.database.transaction() as session:
            key = f"{who}/chargeback"
            await limit(session, who, Capability.PLEDGE, "chargeback 7", key=key)
    listing = await house.listing("somebody-else")
    lines = [{"listing_id": listing["id"], "quantity": 1}]
    answer = await house.call("POST", "/v1/sales", by=seller, json={"lines": lines})
    await refused(answer, "pledge")
    told = (await house.get(f"/v1/users/{who}/account-events", by=one))["items"]
    assert [(each["kind"], each["capability"], each["reason"]) for each in told] == [
        ("limited", "pledge", "chargeback 7"),
        ("allowed", "bid", "case 1"),
        ("limited", "bid", "case 1"),
    ]
    assert told[0]["by_id"] is None
    assert told[1]["by_id"] == await user_id(house, "admin")


async def test_limits_are_for_operators(house: House) -> None:
    _, seller = people()
    path = f"/v1/users/{await user_id(house, seller)}"
    word = {"reason": "case 1"}
    for verb in ("limits/bid", "limits/bid/lift", "review"):
        answer = await house.call("POST", f"{path}/{verb}", by=seller, json=word)
        assert_problem(answer, 403, "forbidden")
        missing = f"/v1/users/usr_01h45ytscbebyvny4gc8cr8ma2/{verb}"
        assert_problem(await house.call("POST", missing, by="admin", json=word), 404, "not_found")
    answer = await house.call("POST", f"{path}/limits/breathe", by="admin", json=word)
    assert_problem(answer, 422, "invalid_input")
    for reason in ("", "a\nb", None):
        answer = await house.call("POST", f"{path}/limits/bid", by="admin", json={"reason": reason})
        assert_problem(answer, 422, "invalid_input")


async def test_somebody_asks_for_a_look(house: House) -> None:
    one = await operator(house)
    asker, other = people()
    words = {"words": f"All parcels have arrived, {uuid.uuid4().hex[:6]}"}
    for _ in range(2):
        await house.post("/v1/me/review", words, by=asker)
    who = await user_id(house, asker)
    cases = (await house.get("/v1/cases", by=one, kind="account_review", limit=100))["items"]
    [case] = [each for each in cases if each["subject"] == who]
    assert words["words"] in case["summary"]
    [(due_in,)] = house.sql(
        "SELECT extract(epoch FROM due_at - opened_at)::int FROM cases WHERE id = %s", case["id"]
    )
    assert due_in == house.settings.operator_policy.sla_seconds
    await house.post(f"/v1/users/{await user_id(house, other)}/review", {"reason": "odd"}, by=one)
    states = {
        each["id"]: each["state"]
        for each in (await house.get("/v1/users", by=one, after=before(who), limit=100))["items"]
    }
    assert states[who] == "review"
    # Nothing is taken away meanwhile.
    assert (await house.get("/v1/me", by=asker))["lacks"] == []
    await house.listing(asker)
    await house.post(f"/v1/cases/{case['id']}/close", {"words": "all is well"}, by=one)
    seen = (await house.get("/v1/users", by=one, after=before(who), limit=1))["items"][0]
    assert (seen["id"], seen["state"]) == (who, "active")


def before(user_id: str) -> str:
    """The cursor after which the user comes first, as ids follow time."""
    last = "0123456789abcdefghjkmnpqrstvwxyz"
    digits = list(user_id)
    place = len(digits) - 1
    while digits[place] == "0":
        digits[place] = "z"
        place -= 1
    digits[place] = last[last.index(digits[place]) - 1]
    return "".join(digits)
