"""State machines of rows that are no paths: complete, without dead ends by mistake, and kept by the tables themselves."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import pytest

from db.tables import Case, Chargeback, Command, Payment, Payout, Refund
from domain.chargebacks import CHARGEBACK_MOVES, ChargebackState
from domain.commands import COMMAND_MOVES, CommandState
from domain.errors import ProviderMismatch
from domain.moves import ImpossibleMove, before, may_follow, moved
from domain.operator_cases import CASE_MOVES, CaseState
from domain.payments import (
    PAYMENT_MOVES,
    PAYOUT_MOVES,
    PUT_BACK,
    REFUND_MOVES,
    PaymentState,
    PayoutState,
    RefundState,
)
from domain.payouts import require_agreement

ALL: dict[str, tuple[Mapping[Any, frozenset[Any]], type[StrEnum], set[Any]]] = {
    "payment": (PAYMENT_MOVES, PaymentState, {PaymentState.REQUESTED}),
    "refund": (REFUND_MOVES, RefundState, {RefundState.REQUESTED}),
    "payout": (PAYOUT_MOVES, PayoutState, {PayoutState.HELD, PayoutState.REQUESTED}),
    "chargeback": (CHARGEBACK_MOVES, ChargebackState, {ChargebackState.OPEN}),
    "command": (COMMAND_MOVES, CommandState, {CommandState.PROPOSED}),
    "case": (CASE_MOVES, CaseState, {CaseState.OPEN}),
}


@pytest.mark.parametrize("name", ALL)
def test_every_state_has_its_arrows_and_can_be_reached(name: str) -> None:
    moves, states, starts = ALL[name]
    assert set(moves) == set(states)
    reached, fresh = set(starts), set(starts)
    while fresh:
        fresh = {new for old in fresh for new in moves[old]} - reached
        reached |= fresh
    assert reached == set(states)


def test_what_is_made_or_stays_may_always_be_there() -> None:
    assert moved(PAYMENT_MOVES, None, PaymentState.CAPTURED) == "captured"
    assert moved(PAYMENT_MOVES, "captured", PaymentState.CAPTURED) == "captured"
    assert may_follow(PAYOUT_MOVES, PayoutState.PAID, PayoutState.PAID)


def test_what_may_come_before() -> None:
    assert before(CASE_MOVES, CaseState.EXECUTED) == {CaseState.DECIDED, CaseState.EXECUTED}
    assert CaseState.CLOSED not in before(CASE_MOVES, CaseState.DECIDED)


@pytest.mark.parametrize(
    ("row", "column", "new"),
    [
        (Payment(status="captured"), "status", "expired"),
        (Refund(status="credited"), "status", "succeeded"),
        (Payout(status="paid"), "status", "in_transit"),
        (Payout(status="cancelled"), "status", "requested"),
        (Chargeback(status="lost"), "status", "won"),
        (Command(state="rejected"), "state", "executed"),
        (Case(state="closed"), "state", "assigned"),
    ],
)
def test_a_row_never_takes_an_arrow_that_is_not_there(row: object, column: str, new: str) -> None:
    was = getattr(row, column)
    with pytest.raises(ImpossibleMove, match=f"{was} cannot become {new}"):
        setattr(row, column, new)
    assert getattr(row, column) == was


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (PayoutState.FAILED, PayoutState.PAID),
        (PayoutState.RETURNED, PayoutState.IN_TRANSIT),
        (PayoutState.PAID, PayoutState.IN_TRANSIT),
        (PayoutState.PAID, PayoutState.AWAITING_PAYEE),
    ],
)
def test_a_payout_that_contradicts_the_books_calls_operators(
    ours: PayoutState, theirs: PayoutState
) -> None:
    with pytest.raises(ProviderMismatch, match=f"{ours} here and {theirs} at the provider"):
        require_agreement("pyo_1", ours, theirs)


def test_a_payout_that_was_put_back_may_have_failed_in_any_way() -> None:
    for ours in PUT_BACK:
        require_agreement("pyo_1", ours, PayoutState.FAILED)
        require_agreement("pyo_1", ours, PayoutState.RETURNED)
