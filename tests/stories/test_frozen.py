"""Frozen accounts: what is under way goes on, and what they are due is held until they are cleared."""

from __future__ import annotations

import asyncio
import uuid

import httpx

from domain import accounts, postings
from domain.postings import EntryKind, Share
from ledger import journal
from tests.api.client import assert_problem
from tests.stories.house import House, Json
from tests.stories.money import (
    PRICE,
    SHARE,
    assert_sound,
    at_provider,
    called_off,
    destination,
    earned,
    payout_at,
    payout_postings,
    people,
    provider_moves,
    refund_of,
    take_out,
)

ADMIN = "admin"


async def user_id(house: House, subject: str) -> str:
    """The id of a user."""
    return str((await house.get("/v1/me", by=subject))["id"])


async def decide(
    house: House, subject: str, verb: str, key: str | None = None, reason: str = "case 1"
) -> httpx.Response:
    """An operator freezes or unfreezes somebody."""
    path = f"/v1/users/{await user_id(house, subject)}/{verb}"
    answer = await house.call("POST", path, by=ADMIN, key=key, json={"reason": reason})
    assert answer.status_code == 200, answer.text
    return answer


async def balances(house: House, subject: str, currency: str = "CNY") -> tuple[int, int]:
    """What somebody may take out, and what is held for them."""
    for each in await own_balances(house, subject):
        if each["currency"] == currency:
            return each["payable"]["amount"], each["held"]["amount"]
    return 0, 0


async def own_balances(house: House, subject: str) -> list[Json]:
    answer = await house.call("GET", "/v1/me/balances", by=subject)
    found: list[Json] = answer.json()
    return found


async def test_a_sale_released_to_a_frozen_seller_is_held_until_they_are_cleared(
    house: House,
) -> None:
    buyer, seller = people()
    await earned(house, seller)
    await destination(house, seller)
    sale = await house.paid(await house.listing(seller), by=buyer, delivery="pickup")
    await house.act(sale, "accept", by=seller)
    frozen = (await decide(house, seller, "freeze")).json()
    assert (frozen["frozen"], frozen["frozen_reason"]) == (True, "case 1")
    assert await balances(house, seller) == (0, SHARE)

    await house.act(sale, "ship", by=seller)
    await house.act(sale, "confirm", by=buyer)
    assert [each for each in await house.postings(sale) if each.startswith("release:")] == [
        f"release: debit escrow:sale {PRICE}",
        f"release: credit held:seller {SHARE}",
        f"release: credit fee:platform {PRICE - SHARE}",
    ]
    await house.until(sale, "completed", by=buyer)
    await house.assert_at_zero(sale)
    assert await balances(house, seller) == (0, 2 * SHARE)
    refused = await house.call("POST", "/v1/payouts", by=seller, json={})
    assert_problem(refused, 403, "account_frozen")

    cleared = (await decide(house, seller, "unfreeze")).json()
    assert (cleared["frozen"], cleared["frozen_at"], cleared["frozen_reason"]) == (
        False,
        None,
        None,
    )
    assert await balances(house, seller) == (2 * SHARE, 0)
    payout = await take_out(house, seller)
    await payout_at(house, payout, "paid", by=seller)
    await assert_sound(house)


async def test_each_decision_happens_once_by_its_key(house: House) -> None:
    _, seller = people()
    await earned(house, seller)
    first = await decide(house, seller, "freeze", key="freeze-once")
    again = await decide(house, seller, "freeze", key="freeze-once")
    assert again.json() == first.json()
    other = (await decide(house, seller, "freeze", reason="case 2")).json()
    assert other["frozen_reason"] == "case 1"
    await decide(house, seller, "unfreeze")
    await decide(house, seller, "freeze", key="freeze-once")
    await decide(house, seller, "unfreeze")
    assert await balances(house, seller) == (SHARE, 0)
    told = house.sql(
        "SELECT kind, reason FROM account_events WHERE user_id = %s ORDER BY id",
        await user_id(house, seller),
    )
    assert told == [
        ("frozen", "case 1"),
        ("frozen", "case 2"),
        ("unfrozen", "case 1"),
        ("unfrozen", "case 1"),
    ]
    await assert_sound(house)


async def test_every_currency_is_frozen_and_debts_are_paid_when_cleared(house: House) -> None:
    buyer, seller = people()
    await earned(house, seller)
    seller_id = await user_id(house, seller)
    euros = await house.listing(seller, currency="EUR")
    sale = await house.paid(euros, by=buyer, delivery="pickup")
    await house.act(sale, "accept", by=seller)
    await house.act(sale, "ship", by=seller)
    await house.act(sale, "confirm", by=buyer)
    await decide(house, seller, "freeze")
    assert await balances(house, seller) == (0, SHARE)
    assert await balances(house, seller, "EUR") == (0, SHARE)

    await owe(house, seller_id, 400)
    await decide(house, seller, "unfreeze")
    assert await balances(house, seller) == (SHARE - 400, 0)
    assert await balances(house, seller, "EUR") == (SHARE, 0)
    await assert_sound(house)


async def owe(house: House, seller_id: str, amount: int) -> None:
    """A debt of a seller, as a lost chargeback would leave it."""
    async with house.database.transaction() as session:
        await journal.post(
            session,
            postings.entry(
                EntryKind.REVERSAL,
                f"test/{uuid.uuid4().hex}",
                "CNY",
                [Share(account=accounts.receivable(seller_id), amount=amount)],
                [Share(account=accounts.FEE, amount=amount)],
            ),
        )


async def test_a_payout_under_way_goes_on_and_what_comes_back_is_held(house: House) -> None:
    _, seller = people()
    await earned(house, seller)
    await destination(house, seller)
    await house.misbehave("payout", "payout_hold")
    first = await take_out(house, seller, 400)
    await payout_at(house, first, "in_transit", by=seller)
    await decide(house, seller, "freeze")
    assert await balances(house, seller) == (0, SHARE - 400)
    [theirs] = await at_provider(house, "payouts", first["id"])
    await provider_moves(house, "payouts", theirs["reference"], to="failed")
    await payout_at(house, first, "failed", by=seller)
    assert payout_postings(house, first)[2:] == [
        "payout_failed: debit transit 400",
        "payout_failed: credit held 400",
    ]
    assert await balances(house, seller) == (0, SHARE)

    await decide(house, seller, "unfreeze")
    await destination(house, seller)
    second = await take_out(house, seller, 500)
    await payout_at(house, second, "paid", by=seller)
    await decide(house, seller, "freeze")
    [theirs] = await at_provider(house, "payouts", second["id"])
    await provider_moves(house, "payouts", theirs["reference"], to="returned")
    await payout_at(house, second, "returned", by=seller)
    assert await balances(house, seller) == (0, SHARE)
    await assert_sound(house)


async def test_a_refund_credited_to_a_frozen_buyer_is_held(house: House) -> None:
    sale, buyer = await called_off(house, "refund_refused")
    refund = await refund_of(house, sale, "refused", by=buyer)
    await decide(house, buyer, "freeze")
    await house.post(f"/v1/refunds/{refund['id']}/accept-balance", by=buyer)
    await house.until(sale, "refunded", by=buyer)
    assert await balances(house, buyer) == (0, PRICE)
    await house.assert_at_zero(sale)


async def test_a_lost_parcel_of_a_frozen_seller_is_made_good_into_what_is_held(
    house: House,
) -> None:
    buyer, seller = people()
    sale = await house.paid(await house.listing(seller), by=buyer)
    number = await house.shipped(sale, by=seller)
    await decide(house, seller, "freeze")
    await house.scan(number, "lost", label_paid_by="platform")
    await house.until(sale, "refunded", by=buyer)
    assert await balances(house, seller) == (0, SHARE)
    await house.assert_at_zero(sale)


async def test_a_freeze_in_the_midst_of_releases_and_payouts_leaves_nothing_payable(
    house: House,
) -> None:
    _, seller = people()
    await destination(house, seller)
    deals = []
    for _ in range(4):
        buyer, _ = people()
        sale = await house.paid(await house.listing(seller), by=buyer, delivery="pickup")
        await house.act(sale, "accept", by=seller)
        await house.act(sale, "ship", by=seller)
        deals.append((sale, buyer))
    await earned(house, seller)
    confirming = [house.act(sale, "confirm", by=buyer) for sale, buyer in deals]
    out = house.call("POST", "/v1/payouts", by=seller, json={"amount": 100})
    (_, paid_out), _ = await asyncio.gather(
        asyncio.gather(decide(house, seller, "freeze"), out), asyncio.gather(*confirming)
    )
    left = paid_out.status_code == 201
    assert left or paid_out.json()["code"] in {"account_frozen", "nothing_to_pay_out"}
    assert await balances(house, seller) == (0, 5 * SHARE - (100 if left else 0))
    for sale, _ in deals:
        await house.assert_at_zero(sale)
