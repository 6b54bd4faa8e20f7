"""Who bears a lost chargeback, in which order, and what a pause does to timers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from domain import accounts, postings
from domain.accounts import Account, Side
from domain.deadlines import Deadline, postponed

DUE = datetime(2026, 1, 1, tzinfo=UTC)


def borne(facts: dict[str, int], source: Account | None = None) -> dict[str, int]:
    """Who bears 10,000, by kind of account."""
    entry = postings.chargeback_lost(
        "key",
        "path",
        "dispute",
        "payee",
        amount=10_000,
        source=source,
        currency="CNY",
        royalties=(),
        **{"unreleased": 0, "fee_returned": 0, "payee_balance": 0, **facts},
    )
    entry.require_balance()
    return {p.account.kind: p.amount for p in entry.postings if p.side is Side.DEBIT}


@pytest.mark.parametrize(
    ("facts", "by"),
    [
        ({"unreleased": 12_000}, {"escrow": 10_000}),
        ({"unreleased": 4_000}, {"escrow": 4_000, "receivable": 6_000}),
        ({"payee_balance": 12_000}, {"payable": 10_000}),
        ({"payee_balance": -5}, {"receivable": 10_000}),
        (
            {"payee_balance": 1_000, "held_balance": 2_000},
            {"payable": 1_000, "held": 2_000, "receivable": 7_000},
        ),
        ({"payee_balance": 9_000, "held_balance": 2_000}, {"payable": 9_000, "held": 1_000}),
        (
            {"unreleased": 6_000, "fee_returned": 200, "payee_balance": 1_000},
            {"escrow": 6_000, "fee": 200, "payable": 1_000, "receivable": 2_800},
        ),
        ({"unreleased": 10_000, "fee_returned": 500, "beyond": 700}, {"escrow": 10_000}),
        ({"beyond": 700}, {"receivable": 9_300, "loss": 700}),
        (
            {"beyond": 700, "fund_balance": 300},
            {"receivable": 9_300, "protection_fund": 300, "loss": 400},
        ),
        ({"beyond": 700, "fund_balance": 900}, {"receivable": 9_300, "protection_fund": 700}),
        ({"beyond": 12_000}, {"loss": 10_000}),
    ],
)
def test_who_bears_it(facts: dict[str, int], by: dict[str, int]) -> None:
    assert borne(facts) == by


def test_a_deposit_instead_of_the_escrow() -> None:
    deposit = accounts.deposit("path", "bidder")
    assert borne({"unreleased": 7_000}, deposit) == {"deposit": 7_000, "receivable": 3_000}


def test_only_the_paths_own_timers_are_postponed() -> None:
    own = Deadline(name="own", due_at=DUE, stopped_by=(), outcome="", event="lapsed")
    other = Deadline(name="other", due_at=DUE, stopped_by=(), outcome="")
    looked = Deadline(name="i", due_at=DUE, stopped_by=(), outcome="", subject="ins_1")
    sent_back = Deadline(name="r", due_at=DUE, stopped_by=(), outcome="", subject="ref_1")
    pause = timedelta(days=3)
    moved = postponed((own, other, looked, sent_back), pause)
    assert [each.due_at - DUE for each in moved] == [pause, timedelta(), pause, timedelta()]
