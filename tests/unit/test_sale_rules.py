"""The rules of a sale without any I/O: transitions, terms, deadlines, shares."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import errors
from domain.accounts import Side
from domain.money import MAX_AMOUNT
from domain.policy import RefundPolicy, SalePolicy
from domain.sale import (
    FINAL,
    TRANSITIONS,
    Delivery,
    Event,
    ListedItem,
    OrderedItem,
    Phase,
    SaleOrder,
    SaleTerms,
    StockKind,
    agree,
    can_follow,
    compensation,
    deadlines,
    due_at,
    next_phase,
    release_entries,
)

NOW = datetime(2027, 3, 1, 9, tzinfo=UTC)
DAY = timedelta(days=1)


def offer(**changes: Any) -> ListedItem:
    """Something on sale."""
    return ListedItem(
        **{
            "listing_id": "lamp",
            "seller_id": "seller",
            "title": "Lamp",
            "unit_price": 20_000,
            "currency": "CNY",
            "stock_kind": StockKind.IN_STOCK,
            "stock": 5,
            "lead_days": 0,
            "available_from": None,
            "royalty_basis_points": 0,
            "royalty_sku": None,
            "delivery": ("express", "pickup"),
            "on_sale": True,
            **changes,
        }
    )


def order(*items: tuple[str, int], policy: SalePolicy | None = None, **changes: Any) -> SaleOrder:
    """An order of (listing, quantity); one lamp unless told otherwise."""
    return SaleOrder(
        **{
            "sale_id": "sal",
            "payment_id": "pay",
            "buyer_id": "buyer",
            "items": tuple(
                OrderedItem(listing_id=listing, quantity=quantity)
                for listing, quantity in items or (("lamp", 1),)
            ),
            "delivery": Delivery.EXPRESS,
            "provider": "sandbox",
            "max_hold_seconds": 180 * 86_400,
            "return_url": "https://shop.example/",
            "policy": policy or SalePolicy(),
            "refund_policy": RefundPolicy(),
            **changes,
        }
    )


def terms(*, policy: SalePolicy | None = None, quantity: int = 1, **changes: Any) -> SaleTerms:
    """What was agreed on one offer."""
    return agree(
        order(("lamp", quantity), policy=policy, made_to_order_confirmed=True),
        [offer(**changes)],
        NOW,
    )


EXPECTED = """
    pending_payment payment_captured      paid
    pending_payment payment_expired       expired
    pending_payment cancelled       expired
    expired         late_payment_accepted paid
    expired         late_payment_returned refunding
    paid            accepted              accepted
    paid            declined              refunding
    paid            acceptance_lapsed     refunding
    paid            cancelled             refunding
    accepted        shipped               shipped
    accepted        handed_over           delivered
    accepted        shipment_lapsed       refunding
    accepted        cancelled             refunding
    shipped         delivered             delivered
    shipped         lost                  refunding
    shipped         confirmed             completed
    delivered       confirmed             completed
    delivered       confirmation_lapsed   completed
    refunding       refunded              refunded
"""


def test_the_state_machine_is_the_one_of_the_specification() -> None:
    lines = [line.split() for line in EXPECTED.strip().splitlines()]
    assert {(a, b): c for a, b, c in lines} == TRANSITIONS


@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize("event", Event)
def test_what_is_not_in_the_table_cannot_happen(phase: Phase, event: Event) -> None:
    if (phase, event) in TRANSITIONS:
        assert next_phase(phase, event) is TRANSITIONS[phase, event]
        assert can_follow(phase, TRANSITIONS[phase, event])
        return
    with pytest.raises(errors.WrongPhase) as refused:
        next_phase(phase, event)
    assert refused.value.field == "phase"
    assert refused.value.accepted


def test_nothing_follows_the_end_but_late_money() -> None:
    assert {phase for phase, _ in TRANSITIONS if phase in FINAL} == {Phase.EXPIRED}
    assert not can_follow(Phase.PAID, Phase.SHIPPED)
    assert not can_follow(Phase.REFUNDING, Phase.PAID)


REFUSED: list[tuple[SaleOrder, list[ListedItem], type[errors.DomainError], str]] = [
    (order(), [], errors.UnknownListing, "lines[0].listing_id"),
    (order(), [offer(on_sale=False)], errors.UnknownListing, "lines[0].listing_id"),
    (order(), [offer(seller_id="buyer")], errors.OwnListing, "lines[0].listing_id"),
    (order(("lamp", 6)), [offer()], errors.OutOfStock, "lines[0].quantity"),
    (order(), [offer(stock=0)], errors.OutOfStock, "lines[0].quantity"),
    (order(), [offer(delivery=("pickup",))], errors.InvalidInput, "delivery"),
    (order(("lamp", 1), ("lamp", 1)), [offer()], errors.InvalidInput, "lines"),
    (
        order(("lamp", 1), ("bowl", 1)),
        [offer(), offer(listing_id="bowl", seller_id="other")],
        errors.SeveralSellers,
        "lines",
    ),
    (
        order(("lamp", 1), ("bowl", 1)),
        [offer(), offer(listing_id="bowl", currency="JPY")],
        errors.SeveralSellers,
        "lines",
    ),
    (order(("lamp", 2)), [offer(unit_price=MAX_AMOUNT)], errors.AmountOutOfRange, "lines"),
    (
        order(("lamp", 1), ("bowl", 1)),
        [offer(unit_price=MAX_AMOUNT), offer(listing_id="bowl")],
        errors.AmountOutOfRange,
        "lines",
    ),
    (
        order(),
        [offer(stock_kind=StockKind.MADE_TO_ORDER, stock=0, lead_days=5)],
        errors.ConfirmationMissing,
        "made_to_order_confirmed",
    ),
    (order(max_hold_seconds=36 * 86_400), [offer()], errors.HoldTooLong, "lines"),
]


@pytest.mark.parametrize(("wanted", "listed", "kind", "field"), REFUSED)
def test_orders_that_cannot_be(
    wanted: SaleOrder, listed: list[ListedItem], kind: type[errors.DomainError], field: str
) -> None:
    with pytest.raises(kind) as refused:
        agree(wanted, listed, NOW)
    assert type(refused.value) is kind
    assert refused.value.field == field


def test_the_longest_hold_is_still_possible() -> None:
    # 3 days to accept, 14 to ship, 10 without a scan, 10 to confirm.
    assert agree(order(max_hold_seconds=37 * 86_400), [offer()], NOW).total == 20_000


def test_due_times_of_every_phase() -> None:
    agreed = terms()
    waits = {
        Phase.PENDING_PAYMENT: timedelta(minutes=15),
        Phase.PAID: timedelta(hours=72),
        Phase.ACCEPTED: 14 * DAY,
        Phase.SHIPPED: 10 * DAY,
        Phase.DELIVERED: 10 * DAY,
    }
    for phase in Phase:
        due = due_at(agreed, phase, NOW)
        assert due == (NOW + waits[phase] if phase in waits else None)
        assert len(deadlines(agreed, phase, due)) == (1 if phase in waits else 0)


def test_pieces_picked_up_are_confirmed_within_two_days() -> None:
    agreed = agree(order(delivery=Delivery.PICKUP), [offer()], NOW)
    assert due_at(agreed, Phase.DELIVERED, NOW) == NOW + 2 * DAY


@pytest.mark.parametrize(
    ("lead_days", "released_in", "ship_by"),
    [(0, None, 14), (5, None, 14), (7, None, 14), (10, None, 17), (0, 5, 14), (0, 20, 27)],
)
def test_lead_time_and_release_date_only_ever_give_more_time(
    lead_days: int, released_in: int | None, ship_by: int
) -> None:
    available = None if released_in is None else NOW + released_in * DAY
    kind = StockKind.MADE_TO_ORDER if lead_days else StockKind.PRE_ORDER
    agreed = terms(stock_kind=kind, lead_days=lead_days, available_from=available)
    assert agreed.ship_by(NOW) == NOW + ship_by * DAY


@given(
    price=st.integers(1, 10**9),
    quantity=st.integers(1, 5),
    fee=st.integers(0, 10_000),
    royalty=st.integers(0, 10_000),
    protection=st.integers(0, 10_000),
)
def test_whatever_the_rates_every_unit_goes_somewhere_and_nobody_pays_in(
    price: int, quantity: int, fee: int, royalty: int, protection: int
) -> None:
    agreed = terms(
        policy=SalePolicy(fee_basis_points=fee, protection_basis_points=protection),
        quantity=quantity,
        unit_price=price,
        royalty_basis_points=royalty,
        royalty_sku="sku",
    )
    [line] = agreed.lines
    assert line.seller_share >= 0
    assert line.fee >= 0
    assert line.seller_share + line.fee + line.royalty == line.total == price * quantity
    entries = release_entries(agreed, "key")
    for entry in entries:
        entry.require_balance()
    moved = sum(p.amount for p in entries[0].postings if p.side is Side.DEBIT)
    assert moved == agreed.total
    if len(entries) > 1:
        assert entries[1].postings[0].amount <= line.fee


@pytest.mark.parametrize(
    ("price", "fee_rate", "royalty_rate", "seller", "fee", "royalty"),
    [
        (1, 0, 0, 1, 0, 0),
        (1, 800, 0, 1, 0, 0),
        (1, 5_000, 0, 0, 1, 0),
        (1, 10_000, 0, 0, 1, 0),
        (1, 800, 9_200, 0, 0, 1),
        (7, 800, 0, 6, 1, 0),
        (20_000, 800, 300, 17_800, 1_600, 600),
    ],
)
def test_rounding(
    price: int, fee_rate: int, royalty_rate: int, seller: int, fee: int, royalty: int
) -> None:
    agreed = terms(
        policy=SalePolicy(fee_basis_points=fee_rate),
        unit_price=price,
        royalty_basis_points=royalty_rate,
        royalty_sku="sku" if royalty_rate else None,
    )
    [line] = agreed.lines
    assert (line.seller_share, line.fee, line.royalty) == (seller, fee, royalty)


def test_a_loss_under_our_label_is_part_of_what_the_silence_would_post() -> None:
    agreed = terms(unit_price=100)
    due = due_at(agreed, Phase.SHIPPED, NOW)
    [theirs] = deadlines(agreed, Phase.SHIPPED, due)
    [ours] = deadlines(agreed, Phase.SHIPPED, due, label_is_ours=True)
    assert [str(line) for line in ours.postings] == [
        "debit protection_fund:platform CNY 0.92",
        "credit payable:seller CNY 0.92",
        *(str(line) for line in theirs.postings),
    ]
    assert compensation(terms(policy=SalePolicy(fee_basis_points=10_000)), "key") == ()


def test_terms_survive_their_storage() -> None:
    agreed = terms(
        stock_kind=StockKind.PRE_ORDER,
        available_from=NOW + 5 * DAY,
        royalty_basis_points=5,
        royalty_sku="sku",
    )
    assert SaleTerms.model_validate(agreed.model_dump(mode="json")) == agreed
