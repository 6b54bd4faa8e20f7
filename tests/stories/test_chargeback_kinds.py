"""Every kind of path that is paid for: who bears a lost chargeback before and after the release, and its pack of evidence."""

from __future__ import annotations

import importlib
from collections.abc import Awaitable, Callable

import pytest

from domain.evidence import EvidencePack
from tests.stories.carts import Cart
from tests.stories.chargebacks import (
    balance,
    borne,
    chargeback_at,
    decided,
    in_dispute,
    opened,
    posted_by_chargebacks,
)
from tests.stories.chargebacks import taken as taken_back
from tests.stories.contests import Show
from tests.stories.deliveries import dispute as disputed_pledge
from tests.stories.funds import Fund
from tests.stories.house import House, Json
from tests.stories.in_kind import Aid
from tests.stories.jobs import Job
from tests.stories.lots import decided as inspected
from tests.stories.lots import deposit_back, deposited, wages
from tests.stories.money import settled
from tests.stories.sponsors import Call
from tests.stories.test_campaign_chargeback import eventually_funded
from tests.stories.test_chargebacks import handed_over
from tests.stories.test_contest_chargeback import paid as bounty_of
from tests.stories.test_in_kind_chargeback import paid_by
from tests.stories.test_match_call_chargeback import budget_of
from tests.stories.test_production_chargeback import wages_of
from tests.stories.test_tender_chargeback import deposit_of
from tests.stories.workshop import DEPOSIT, Workshop

UNITS = 10
TABLE = {
    "sale": (
        "chargebacks.test_lost_before_the_release",
        "chargebacks.test_lost_after_the_seller_has_taken_the_money_out",
    ),
    "order": (
        "orders_money.test_the_bank_takes_everything_before_the_sales_end",
        "chargeback_kinds.test_after_both_sales_have_ended_each_seller_bears_their_own",
    ),
    "contest": (
        "contest_chargeback.test_a_lost_bounty_ends_the_contest",
        "contest_chargeback.test_after_the_release_the_owner_owes_it",
    ),
    "tender": (
        "tender_chargeback.test_a_deposit_lost_while_bids_come_in_ends_the_tender",
        "tender_chargeback.test_after_the_end_the_buyer_owes_it",
    ),
    "campaign": (
        "campaign_chargeback.test_before_the_decision_the_pledge_is_gone",
        "campaign_chargeback.test_the_creator_pays_what_was_released_and_later_income_pays_the_rest",
    ),
    "match_call": (
        "match_call_chargeback.test_lost_the_newest_promises_go_first_and_the_sponsor_owes_the_rest",
        "match_call_chargeback.test_lost_after_it_was_used",
    ),
    "in_kind": (
        "in_kind_chargeback.test_a_deposit_lost_before_the_handing_over_ends_the_path",
        "in_kind_chargeback.test_after_the_end_the_borrower_owes_what_the_lender_got",
    ),
    "production": (
        "production_chargeback.test_lost_before_anybody_has_claimed_anything_the_order_ends",
        "production_lots.test_after_the_stop_a_lot_is_finished_and_what_nobody_earned_goes_back",
    ),
    "lot": (
        "lot_chargeback.test_without_the_deposit_no_materials_are_sent",
        "chargeback_kinds.test_after_the_lot_has_ended_the_maker_pays_with_what_they_got",
    ),
}
"""Kind of path -> the test of a chargeback lost before the release, and after it."""


@pytest.mark.parametrize("test", [each for pair in TABLE.values() for each in pair])
def test_each_kind_has_its_tests(test: str) -> None:
    module, name = test.split(".")
    assert callable(getattr(importlib.import_module(f"tests.stories.test_{module}"), name))


async def test_after_both_sales_have_ended_each_seller_bears_their_own(house: House) -> None:
    cart = await Cart.paid(house)
    await settled(house, cart.order)
    for number in (0, 1):
        await cart.complete(number)
    assert await cart.earned() == [18_400, 4_600, 0]
    await decided(house, await opened(house, cart.order, 25_000), won=False)
    for sale, amount in zip(cart.sales, (20_000, 5_000), strict=True):
        fee = amount * 8 // 100
        assert posted_by_chargebacks(house, sale) == borne(amount, payable=amount - fee, fee=fee)
    assert posted_by_chargebacks(house, cart.order) == taken_back(25_000)
    assert await cart.earned() == [0, 0, 0]
    await cart.assert_at_zero()


async def test_after_the_lot_has_ended_the_maker_pays_with_what_they_got(house: House) -> None:
    shop = await Workshop.published(house, units=UNITS, lot_most=UNITS)
    lot = await shop.making(UNITS)
    await lot.act("send-goods", made=UNITS)
    await lot.supply("receive-goods")
    await inspected(lot, UNITS)
    had = [deposited(UNITS), wages(UNITS), deposit_back(UNITS)]
    await lot.ended("settled", *had)
    earned = await house.payable(lot.maker)
    held = UNITS * DEPOSIT
    path = {"id": lot.id, "payment": (await lot.now())["payment"]}
    await decided(house, await opened(house, path), won=False)
    assert posted_by_chargebacks(house, path) == [*taken_back(held), *borne(held, payable=held)]
    assert await house.payable(lot.maker) == earned - held
    assert balance(house, "receivable", lot.lot["maker_id"]) == in_dispute(house, path) == 0


async def of_sale(house: House) -> tuple[Json, str]:
    deal = await handed_over(house)
    return deal.sale, await opened(house, deal.sale)


async def of_order(house: House) -> tuple[Json, str]:
    cart = await Cart.paid(house)
    await settled(house, cart.order)
    return cart.order, await opened(house, cart.order, 25_000)


async def of_contest(house: House) -> tuple[Json, str]:
    path = bounty_of(await Show.choosing(house, 1))
    return path, await opened(house, path)


async def of_tender(house: House) -> tuple[Json, str]:
    path = await deposit_of(await Job.opened(house))
    return path, await opened(house, path)


async def of_campaign(house: House) -> tuple[Json, str]:
    fund = await Fund.live(house)
    [backer] = await fund.backed_by("wallet")
    await eventually_funded(fund, backer)
    return fund.campaign, await disputed_pledge(fund, backer)


async def of_match_call(house: House) -> tuple[Json, str]:
    path = await budget_of(await Call.opened(house))
    return path, await opened(house, path)


async def of_in_kind(house: House) -> tuple[Json, str]:
    path = await paid_by(await Aid.lent(house))
    return path, await opened(house, path)


async def of_production(house: House) -> tuple[Json, str]:
    path = await wages_of(await Workshop.published(house))
    return path, await opened(house, path)


async def of_lot(house: House) -> tuple[Json, str]:
    shop = await Workshop.published(house, units=UNITS, lot_most=UNITS)
    lot = await shop.making(UNITS)
    path = {"id": lot.id, "payment": (await lot.now())["payment"]}
    return path, await opened(house, path)


KINDS: dict[str, Callable[[House], Awaitable[tuple[Json, str]]]] = {
    "sale": of_sale,
    "order": of_order,
    "contest": of_contest,
    "tender": of_tender,
    "campaign": of_campaign,
    "match_call": of_match_call,
    "in_kind": of_in_kind,
    "production": of_production,
    "lot": of_lot,
}


@pytest.mark.parametrize("kind", TABLE)
async def test_the_pack_of_each_kind_tells_what_was_agreed_paid_and_done(
    house: House, kind: str
) -> None:
    path, dispute = await KINDS[kind](house)
    chargeback = await chargeback_at(house, dispute, "open")
    sent = await house.patiently(f"/v1/chargebacks/{chargeback}/submission", by="admin")
    assert sent.status_code == 200, sent.text
    shown = await house.get(f"/v1/chargebacks/{chargeback}/evidence", by="admin")
    pack = EvidencePack.model_validate(shown["pack"])
    assert (pack.paths[0].path_id, pack.paths[0].kind) == (path["id"], kind)
    assert all(each.agreed and each.timeline for each in pack.paths)
    assert len(pack.paths) == (3 if kind == "order" else 1)
    assert any(line.kind == "fund" for each in pack.paths for line in each.money)
    [payment] = pack.payments
    assert payment.captured_at is not None
    received = (await house.sandbox.get(f"/v1/disputes/{dispute}/evidence")).json()
    assert pack.sha256 in received["evidence"]["statement"]
    assert "@" not in str(received["evidence"])
    await decided(house, dispute, won=True)
    assert in_dispute(house, path) == 0
