"""Payouts: money leaves once, comes back when it does not arrive, and nobody waits for somebody else's."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from domain.policy import PayoutPolicy
from tests.api.issuer import Issuer
from tests.servers import Databases
from tests.stories.house import House, with_schedules
from tests.stories.money import (
    SHARE,
    all_answered,
    assert_sound,
    at_provider,
    days_pass,
    destination,
    earned,
    gather_payouts,
    in_transit,
    payout_at,
    payout_postings,
    people,
    provider_moves,
    redeliver,
    take_out,
)
from tests.stories.parts import house_of_parts
from tests.waiting import eventually

OUT = ["payout: debit payable 18400", "payout: credit transit 18400"]
PAID = ["payout_paid: debit transit 18400", "payout_paid: credit cash 18400"]
FAILED = ["payout_failed: debit transit 18400", "payout_failed: credit payable 18400"]
RETURNED = ["payout_returned: debit cash 18400", "payout_returned: credit payable 18400"]


async def payee(house: House, **account: object) -> str:
    """A seller with 18,400 on the balance and a bank account."""
    _, seller = people()
    await earned(house, seller)
    await destination(house, seller, **account)
    return seller


async def refused(house: House, by: str, body: dict[str, Any] | None = None) -> tuple[int, str]:
    """Status and code of a payout request."""
    answer = await house.call("POST", "/v1/payouts", by=by, json=body or {})
    return answer.status_code, str(answer.json().get("code"))


async def test_the_whole_balance_leaves(house: House) -> None:
    seller = await payee(house)
    payout = await take_out(house, seller)
    assert payout["amount"] == {"amount": SHARE, "currency": "CNY"} | {
        k: v for k, v in payout["amount"].items() if k not in ("amount", "currency")
    }
    await payout_at(house, payout, "paid", by=seller)
    assert payout_postings(house, payout) == OUT + PAID
    assert await house.payable(seller) == 0
    assert in_transit(house, payout) == 0
    await all_answered(house, payout["id"])
    await assert_sound(house)


async def test_a_part_leaves_and_the_rest_stays(house: House) -> None:
    seller = await payee(house)
    payout = await take_out(house, seller, 400)
    await payout_at(house, payout, "paid", by=seller)
    assert await house.payable(seller) == SHARE - 400
    assert in_transit(house, payout) == 0
    await assert_sound(house)


async def test_what_was_asked_for_cannot_be_paid(house: House) -> None:
    _, seller = people()
    await destination(house, seller)
    assert await refused(house, seller) == (409, "nothing_to_pay_out")
    await earned(house, seller)
    assert await refused(house, seller, {"amount": SHARE + 1}) == (409, "insufficient_funds")
    assert await refused(house, seller, {"currency": "USD"}) == (409, "no_payout_destination")
    assert (await refused(house, seller, {"amount": 0}))[0] == 422
    _, homeless = people()
    await earned(house, homeless)
    assert await refused(house, homeless) == (409, "no_payout_destination")
    assert await house.payable(seller) == await house.payable(homeless) == SHARE
    await assert_sound(house)


async def test_the_same_key_means_the_same_payout(house: House) -> None:
    seller = await payee(house)
    first = await house.call("POST", "/v1/payouts", by=seller, key="once", json={"amount": 1_000})
    again = await house.call("POST", "/v1/payouts", by=seller, key="once", json={"amount": 1_000})
    assert first.status_code == again.status_code == 201
    assert first.json()["id"] == again.json()["id"]
    await payout_at(house, first.json(), "paid", by=seller)
    assert await house.payable(seller) == SHARE - 1_000


async def test_two_requests_for_the_whole_balance_at_once(house: House) -> None:
    seller = await payee(house)
    answers = await asyncio.gather(
        *(house.call("POST", "/v1/payouts", by=seller, json={}) for _ in range(2))
    )
    assert sorted(each.status_code for each in answers) == [201, 409]
    [won] = [each.json() for each in answers if each.status_code == 201]
    [lost] = [each.json() for each in answers if each.status_code == 409]
    assert lost["code"] == "nothing_to_pay_out"
    await payout_at(house, won, "paid", by=seller)
    assert payout_postings(house, won) == OUT + PAID
    assert await house.payable(seller) == 0
    await assert_sound(house)


async def test_a_failed_payout_restores_the_balance_and_wants_a_new_destination(
    house: House,
) -> None:
    seller = await payee(house)
    await house.misbehave("payout", "payout_failed", reason="account_closed")
    payout = await take_out(house, seller)
    failed = await payout_at(house, payout, "failed", by=seller)
    assert failed["failure_reason"] == "account_closed"
    assert payout_postings(house, payout) == OUT + FAILED
    assert await house.payable(seller) == SHARE
    [account] = (await house.get("/v1/payout-destinations", by=seller))["items"]
    assert account["status"] == "failed"
    assert await refused(house, seller) == (409, "no_payout_destination")

    await destination(house, seller)
    again = await take_out(house, seller)
    await payout_at(house, again, "paid", by=seller)
    assert await house.payable(seller) == 0
    assert in_transit(house, payout) == in_transit(house, again) == 0
    await assert_sound(house)


async def test_a_payout_fails_then_the_bank_returns_a_second_one_after_paid(house: House) -> None:
    """The worked posting of the specification, with 43,700 to pay out."""
    _, seller = people()
    await earned(house, seller, price=47_500)
    assert await house.payable(seller) == 43_700
    await destination(house, seller)
    await house.misbehave("payout", "payout_failed")
    first = await take_out(house, seller)
    await payout_at(house, first, "failed", by=seller)
    await destination(house, seller)
    second = await take_out(house, seller)
    await payout_at(house, second, "paid", by=seller)
    [theirs] = await at_provider(house, "payouts", second["id"])
    await provider_moves(house, "payouts", theirs["reference"], to="returned")
    await payout_at(house, second, "returned", by=seller)

    assert payout_postings(house, first) + payout_postings(house, second) == [
        "payout: debit payable 43700",
        "payout: credit transit 43700",
        "payout_failed: debit transit 43700",
        "payout_failed: credit payable 43700",
        "payout: debit payable 43700",
        "payout: credit transit 43700",
        "payout_paid: debit transit 43700",
        "payout_paid: credit cash 43700",
        "payout_returned: debit cash 43700",
        "payout_returned: credit payable 43700",
    ]
    assert in_transit(house, first) == in_transit(house, second) == 0
    assert await house.payable(seller) == 43_700
    assert await refused(house, seller) == (409, "no_payout_destination")
    await all_answered(house, second["id"])
    await assert_sound(house)


async def test_a_return_whose_webhook_never_came_is_found(house: House) -> None:
    seller = await payee(house)
    payout = await take_out(house, seller)
    await payout_at(house, payout, "paid", by=seller)
    await house.misbehave("webhook", "drop", subject=payout["id"], event="payout.returned")
    [theirs] = await at_provider(house, "payouts", payout["id"])
    await provider_moves(house, "payouts", theirs["reference"], to="returned")
    await redeliver(house)
    assert (await house.get(f"/v1/payouts/{payout['id']}", by=seller))["status"] == "paid"
    house.sql("UPDATE payouts SET ended_at = now() - interval '3 days' WHERE id = %s", payout["id"])
    await redeliver(house)
    await payout_at(house, payout, "returned", by=seller)
    assert payout_postings(house, payout) == OUT + PAID + RETURNED
    assert await house.payable(seller) == SHARE


async def test_one_stuck_payee_never_blocks_another(house: House) -> None:
    stuck = await payee(house)
    await house.misbehave("payout", "payout_hold")
    held = await take_out(house, stuck)
    await payout_at(house, held, "in_transit", by=stuck)
    other = await payee(house)
    await payout_at(house, await take_out(house, other), "paid", by=other)
    assert in_transit(house, held) == SHARE
    assert await house.payable(stuck) == 0

    [theirs] = await at_provider(house, "payouts", held["id"])
    await provider_moves(house, "payouts", theirs["reference"], to="paid")
    await payout_at(house, held, "paid", by=stuck)
    assert in_transit(house, held) == 0
    await assert_sound(house)


async def test_a_held_payout_whose_webhook_is_dropped_is_found_by_the_poll(house: House) -> None:
    seller = await payee(house)
    await house.misbehave("payout", "payout_hold")
    payout = await take_out(house, seller)
    await payout_at(house, payout, "in_transit", by=seller)
    await house.misbehave("webhook", "drop", subject=payout["id"])
    [theirs] = await at_provider(house, "payouts", payout["id"])
    await provider_moves(house, "payouts", theirs["reference"], to="paid")
    await house.skipper.fast_forward(house.workflow(f"payout-{payout['id']}"), 60)
    await payout_at(house, payout, "paid", by=seller)


@pytest.mark.parametrize("effect", ["answer_lost", "connection_cut", "unavailable"])
async def test_an_unclear_answer_makes_exactly_one_payout(house: House, effect: str) -> None:
    seller = await payee(house)
    await house.misbehave("payout", effect)
    payout = await take_out(house, seller)
    await payout_at(house, payout, "paid", by=seller)
    assert len(await at_provider(house, "payouts", payout["id"])) == 1
    assert payout_postings(house, payout) == OUT + PAID
    assert await house.payable(seller) == 0


async def test_income_is_paid_out_by_itself_and_only_to_who_wants_it(
    dev_server: str, database_url: str, issuer: Issuer, tmp_path: Path
) -> None:
    """A release triggers the schedule of the platform's own task queue."""
    async with house_of_parts(dev_server, database_url, issuer, tmp_path) as parts:
        house = parts.house
        await with_schedules(house)
        _, seller = people()
        _, patient = people()
        await destination(house, seller, automatic=True)
        await destination(house, patient, automatic=False)
        await earned(house, patient)
        await earned(house, seller)

        async def gone() -> bool:
            return await house.payable(seller) == 0

        await eventually(gone)
        [payout] = (await house.get("/v1/payouts", by=seller))["items"]
        await payout_at(house, payout, "paid", by=seller)
        assert payout_postings(house, payout) == OUT + PAID
        assert await house.payable(patient) == SHARE
        await assert_sound(house)


async def test_every_page_of_payees_is_paid(
    dev_server: str, database_url: str, issuer: Issuer, tmp_path: Path
) -> None:
    """Pages smaller than the number of payees, one of them stuck; and each payout costs a fee."""
    async with house_of_parts(dev_server, database_url, issuer, tmp_path, payout_fee=30) as parts:
        house = parts.house
        sellers = [people()[1] for _ in range(3)]
        for seller in sellers:
            await destination(house, seller, automatic=True)
            await earned(house, seller)
        await house.misbehave("payout", "payout_hold")
        await gather_payouts(house, limit=1)
        payouts = [(await house.get("/v1/payouts", by=each))["items"][0] for each in sellers]

        async def two_paid() -> bool:
            states = [
                (await house.get(f"/v1/payouts/{payout['id']}", by=seller))["status"]
                for seller, payout in zip(sellers, payouts, strict=True)
            ]
            return sorted(states) == ["in_transit", "paid", "paid"]

        await eventually(two_paid)
        fees = house.sql(
            "SELECT sum(p.amount) FROM ledger_postings p JOIN ledger_entries e ON e.id = p.entry_id"
            " JOIN ledger_accounts a ON a.id = p.account_id"
            " WHERE e.kind = 'payout_paid' AND a.kind = 'psp_fee'"
        )
        assert fees == [(60,)]
        await gather_payouts(house)
        for seller in sellers:
            assert len((await house.get("/v1/payouts", by=seller))["items"]) == 1
        await assert_sound(house)


async def test_young_income_and_a_second_payout_have_to_wait(
    dev_server: str, postgres_server: Databases, issuer: Issuer, tmp_path: Path
) -> None:
    """Availability after seven days, and one payout a day."""
    policy = PayoutPolicy(
        availability_seconds=7 * 86_400, min_interval_seconds=86_400, reserve_basis_points=0
    )
    with postgres_server.fresh() as url:
        async with house_of_parts(dev_server, url, issuer, tmp_path, payout_policy=policy) as parts:
            house = parts.house
            seller = await payee(house, automatic=True)
            assert await refused(house, seller) == (409, "nothing_to_pay_out")
            assert await refused(house, seller, {"amount": 1}) == (409, "insufficient_funds")
            await gather_payouts(house)
            assert (await house.get("/v1/payouts", by=seller))["items"] == []
            started = "SELECT count(*) FROM payouts"
            assert house.sql(started) == [(0,)]

            days_pass(house, 8)
            first = await take_out(house, seller, 400)
            await payout_at(house, first, "paid", by=seller)
            assert await refused(house, seller) == (409, "payout_too_soon")
            await gather_payouts(house)
            assert house.sql(started) == [(1,)]
            house.sql("UPDATE payouts SET created_at = created_at - interval '2 days'")
            await gather_payouts(house)

            async def empty() -> bool:
                return await house.payable(seller) == 0

            await eventually(empty)
            await assert_sound(house)
