"""What operators can do about a path, and when two must agree."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from domain.commands import (
    CANCELS,
    Bearer,
    Bulk,
    CancelPath,
    CommandKind,
    Escheat,
    LedgerCorrection,
    Order,
    PathFacts,
    Refunding,
    RefundPath,
    RunningTimer,
    WriteOff,
    can_cancel,
    legal,
    needs_two,
    one_of_bulk,
)
from domain.errors import InvalidInput
from domain.money import Money
from domain.operator_policy import OperatorPolicy

SALE = "sal_01h45ytscbebyvny4gc8cr8ma2"
USER = "usr_01h45ytscbebyvny4gc8cr8ma2"
POLICY = OperatorPolicy(alone_amounts={"CNY": 1_000})
CANCEL = CancelPath(path_id=SALE)


def cny(amount: int) -> Money:
    return Money(amount=amount, currency="CNY")


@pytest.mark.parametrize(
    ("order", "amounts", "before", "two"),
    [
        (CANCEL, [], [], False),
        (CANCEL, [cny(1_000)], [], False),
        (CANCEL, [cny(1_001)], [], True),
        (CANCEL, [cny(400)], [cny(600)], False),
        (CANCEL, [cny(400)], [cny(601)], True),
        (CANCEL, [], [cny(5_000)], False),
        (CANCEL, [cny(1_000)], [Money(amount=9_999, currency="JPY")], False),
        (CANCEL, [Money(amount=100_001, currency="JPY")], [], True),
        (RefundPath(path_id=SALE, amount=1), [cny(1)], [], False),
        (RefundPath(path_id=SALE, amount=1, bearer=Bearer.PLATFORM), [cny(1)], [], True),
        (WriteOff(user_id=USER, amount=1), [cny(1)], [], True),
        (Escheat(user_id=USER, amount=1), [cny(1)], [], True),
        (LedgerCorrection(), [cny(1)], [], True),
        (Bulk(each=Refunding(amount=1, bearer=Bearer.PLATFORM), path_ids=(SALE,)), [], [], True),
    ],
)
def test_two_agree(order: Order, amounts: list[Money], before: list[Money], two: bool) -> None:
    assert needs_two(order, amounts, before, POLICY) is two


def facts(kind: str = "sale", phase: str = "paid", **more: object) -> PathFacts:
    given = {"paused": False, "held": (cny(2_000),), "refundable": 2_000, "currency": "CNY"}
    return PathFacts.model_validate({"kind": kind, "phase": phase, **given, **more})


def test_what_is_possible_now() -> None:
    offered = legal(facts(), POLICY)
    assert [(each.command, each.needs_two) for each in offered] == [
        (CommandKind.CANCEL_PATH, True),
        (CommandKind.REFUND_PATH, True),
    ]
    assert legal(facts(paused=True), POLICY) == ()
    assert legal(facts(phase="refunded", refundable=0), POLICY) == ()
    timer = RunningTimer(name="bidding", subject="", due_at=datetime(2026, 1, 1, tzinfo=UTC))
    [cancel, extend] = legal(facts("tender", "open", refundable=0, timers=(timer,)), POLICY)
    assert (cancel.command, extend.command) == (
        CommandKind.CANCEL_PATH,
        CommandKind.EXTEND_DEADLINE,
    )
    assert (extend.timer, extend.needs_two) == ("bidding", False)


def test_drafts_and_ends_are_not_called_off() -> None:
    for kind, phases in CANCELS.items():
        assert not can_cancel(kind, "draft")
        assert phases, kind
        assert not phases & {"completed", "cancelled", "refunded", "expired", "settled"}
    assert not can_cancel("ballot", "open")


def test_bulk_refunds_are_for_sales() -> None:
    bulk = Bulk(each=Refunding(amount=5), path_ids=(SALE,))
    assert one_of_bulk(bulk, SALE) == RefundPath(path_id=SALE, amount=5)
    with pytest.raises(InvalidInput):
        one_of_bulk(bulk, "ten_01h45ytscbebyvny4gc8cr8ma2")
