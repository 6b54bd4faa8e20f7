"""Payouts that the platform's balance at the payment company does not cover: they wait, and go on by themselves."""

from __future__ import annotations

import sqlite3

from tests.stories.house import House, Json
from tests.stories.money import (
    SHARE,
    assert_sound,
    at_provider,
    destination,
    in_transit,
    payout_at,
    people,
    rewrite_at_provider,
    settled,
)
from tests.stories.operators import operator
from tests.waiting import eventually


async def earned_in(house: House, currency: str) -> str:
    """A seller with SHARE of that currency on the balance, and a bank account for it."""
    buyer, seller = people()
    listing = await house.listing(seller, currency=currency)
    sale = await house.paid(listing, by=buyer, delivery="pickup")
    await house.act(sale, "accept", by=seller)
    await house.act(sale, "ship", by=seller)
    await house.act(sale, "confirm", by=buyer)
    await settled(house, sale)
    await destination(house, seller, currency=currency)
    return seller


def _balance(house: House, currency: str) -> int:
    with sqlite3.connect(house.settings.data_dir / "sandbox.db", timeout=5) as store:
        row = store.execute("SELECT amount FROM balances WHERE currency = ?", (currency,))
        return int(row.fetchone()[0])


def _set_balance(house: House, currency: str, amount: int) -> None:
    rewrite_at_provider(
        house, "UPDATE balances SET amount = ? WHERE currency = ?", amount, currency
    )


async def _cases(house: House, by: str) -> list[Json]:
    found = (await house.get("/v1/cases", by=by, kind="other", limit=100))["items"]
    return [each for each in found if each["subject"] == "balance/sandbox/SEK"]


async def test_payouts_wait_for_the_balance_and_operators_get_one_case(house: House) -> None:
    one = await operator(house)
    first, second = await earned_in(house, "SEK"), await earned_in(house, "SEK")
    full = _balance(house, "SEK")
    _set_balance(house, "SEK", -1)
    payouts = {
        by: await house.post("/v1/payouts", {"currency": "SEK"}, by=by) for by in (first, second)
    }

    async def called() -> list[Json]:
        return await _cases(house, one)

    [case] = await eventually(called) or []
    assert "SEK -0.01" in case["summary"]
    for by, payout in payouts.items():
        await payout_at(house, payout, "requested", by=by)
        assert in_transit(house, payout) == SHARE
        assert await at_provider(house, "payouts", payout["id"]) == []
    # Enough for one: the other goes on waiting, under the same case.
    _set_balance(house, "SEK", SHARE)
    await _looks_again(house, payouts[first])
    await payout_at(house, payouts[first], "paid", by=first)
    await _looks_again(house, payouts[second])
    await payout_at(house, payouts[second], "requested", by=second)
    assert [each["id"] for each in await _cases(house, one)] == [case["id"]]
    _set_balance(house, "SEK", full - SHARE)
    await _looks_again(house, payouts[second])
    await payout_at(house, payouts[second], "paid", by=second)
    assert await _cases(house, one) == []
    closed = await house.get(f"/v1/cases/{case['id']}", by=one)
    assert (closed["case"]["state"], closed["case"]["outcome"]) == ("closed", "filled")
    await assert_sound(house)


async def _looks_again(house: House, payout: Json) -> None:
    """Time passes until the payout's story looks by itself."""
    story = house.workflow(f"payout-{payout['id']}")
    await house.skipper.fast_forward(story, house.settings.payout_policy.poll.longest + 1)
