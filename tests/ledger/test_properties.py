"""What holds for all amounts: splits, shares, and the balance of every macro."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import accounts, postings, postings_back, postings_match
from domain.accounts import Account, AccountKind, Side
from domain.errors import AmountOutOfRange, UnbalancedEntry
from domain.money import MAX_AMOUNT, basis_points_of, split
from domain.postings import JournalEntry, Share

amounts = st.integers(min_value=1, max_value=MAX_AMOUNT)
balances = st.integers(min_value=0, max_value=MAX_AMOUNT)
weights = st.lists(st.integers(min_value=0, max_value=10**9), min_size=1, max_size=50).filter(any)


@given(balances, weights)
def test_split_adds_up_and_is_fair(amount: int, given_weights: list[int]) -> None:
    parts = split(amount, given_weights)
    total = sum(given_weights)
    assert sum(parts) == amount
    for part, weight in zip(parts, given_weights, strict=True):
        assert part >= 0
        assert abs(part - Fraction(amount * weight, total)) < 1


@given(balances, st.integers(min_value=1, max_value=50))
def test_equal_weights_differ_by_one_at_most_and_favour_the_earlier(amount: int, n: int) -> None:
    parts = split(amount, [7] * n)
    assert parts == sorted(parts, reverse=True)
    assert parts[0] - parts[-1] <= 1


@given(balances, weights)
def test_who_has_no_weight_gets_nothing(amount: int, given_weights: list[int]) -> None:
    assert split(amount, [0, *given_weights])[0] == 0


@pytest.mark.parametrize("bad", [[], [0], [0, 0], [-1, 2], [1, -1]])
def test_split_needs_weights(bad: list[int]) -> None:
    with pytest.raises(AmountOutOfRange):
        split(100, bad)


@given(balances, st.integers(min_value=0, max_value=10_000))
def test_basis_points_round_half_up(amount: int, basis_points: int) -> None:
    exact = Fraction(amount * basis_points, 10_000)
    part = basis_points_of(amount, basis_points)
    assert 0 <= part <= amount
    assert Fraction(-1, 2) < part - exact <= Fraction(1, 2)


def _parts(amount: int) -> list[Share]:
    named = [accounts.payable("u"), accounts.FEE, accounts.royalty("sku")]
    return [
        Share(account=a, amount=n) for a, n in zip(named, split(amount, [80, 15, 5]), strict=True)
    ]


Macro = Callable[[int, int, int], JournalEntry | None]
"""From an amount and two other facts (a balance, a fee) to an entry."""

MACROS: dict[str, Macro] = {
    "fund": lambda n, x, y: postings.fund("k", "p", "P", n, "CNY"),
    "settle": lambda n, x, y: postings.settle("k", "p", "P", n, min(x, n), "CNY"),
    "release": lambda n, x, y: postings.release("k", "p", _parts(n), "CNY"),
    "protect": lambda n, x, y: postings.protect("k", "p", n, "CNY"),
    "compensate": lambda n, x, y: postings.compensate("k", "p", accounts.payable("u"), n, x, "CNY"),
    "refund": lambda n, x, y: postings.refund("k", "p", "r", n, "CNY"),
    "refund_paid": lambda n, x, y: postings.refund_paid("k", "p", "r", "P", n, "CNY"),
    "refund_to_balance": lambda n, x, y: postings.refund_to_balance("k", "p", "r", "u", n, "CNY"),
    "clawback": lambda n, x, y: postings.clawback("k", "p", "u", n, x, "CNY"),
    "claim": lambda n, x, y: postings_match.claim("k", "p", "u", n, "CNY"),
    "match_used": lambda n, x, y: postings_match.match_used("k", "m", "p", n, "CNY"),
    "match_returned": lambda n, x, y: postings_match.match_returned("k", "m", "p", n, "CNY"),
    "net_receivable": lambda n, x, y: postings.net_receivable("k", "u", n, x, "CNY"),
    "payout": lambda n, x, y: postings.payout("k", "o", "u", n, "CNY"),
    "payout_paid": lambda n, x, y: postings.payout_paid("k", "o", "P", n, x, "CNY"),
    "payout_failed": lambda n, x, y: postings.payout_failed("k", "o", "u", n, "CNY"),
    "payout_returned": lambda n, x, y: postings.payout_returned("k", "u", "P", n, "CNY"),
    "chargeback_open": lambda n, x, y: postings.chargeback_open("k", "p", "d", "P", n, x, "CNY"),
    "chargeback_won": lambda n, x, y: postings.chargeback_won("k", "p", "d", "P", n, "CNY"),
    "chargeback_lost": lambda n, x, y: postings.chargeback_lost(
        "k", "p", "d", "u", amount=n, unreleased=x, fee_returned=y, payee_balance=x, currency="CNY"
    ),
    "freeze": lambda n, x, y: postings.freeze("k", "u", n, "CNY"),
    "unfreeze": lambda n, x, y: postings.unfreeze("k", "u", n, "CNY"),
    "take_back": lambda n, x, y: postings_back.take_back(
        "k",
        "p",
        "r",
        payee=accounts.payable("u"),
        user_id="u",
        seller=n,
        balance=x,
        fee=y,
        royalties=_parts(n)[2:],
        currency="CNY",
        fee_kept=x > y,
    ),
    "goodwill": lambda n, x, y: postings_back.goodwill(
        "k", "p", "r", accounts.payable("u"), n, "CNY"
    ),
    "arbitration": lambda n, x, y: postings_back.arbitration(
        "k", "p", accounts.payable("u"), n, "CNY"
    ),
    "correction": lambda n, x, y: postings_back.correction(
        "k",
        [postings.debit(accounts.LOSS, n), postings.credit(accounts.payable("u"), n)],
        "CNY",
        "why",
    ),
    "to_custody": lambda n, x, y: postings_back.to_custody("k", "p", "P", n, "CNY"),
    "escheat": lambda n, x, y: postings_back.escheat("k", "u", n, "CNY"),
    "suspend": lambda n, x, y: postings_back.suspend("k", "P", n if x > y else -n, "CNY", "why"),
}


def test_every_macro_is_covered() -> None:
    made = {
        name
        for module in (postings, postings_back, postings_match)
        for name, thing in vars(module).items()
        if callable(thing) and getattr(thing, "__module__", "") == module.__name__
        and name.islower() and not name.startswith("_")
    }  # fmt: skip
    assert made - {"debit", "credit", "entry", "reverse"} == set(MACROS)


@pytest.mark.parametrize("name", sorted(MACROS))
@given(n=amounts, x=balances, y=balances)
def test_macros_always_balance(name: str, n: int, x: int, y: int) -> None:
    made = MACROS[name](n, x, y)
    if made is None:
        assert x == 0
        return
    made.require_balance()
    postings.reverse("undo", made, "").require_balance()
    assert all(p.amount > 0 for p in made.postings)
    seen = [(p.account, p.side) for p in made.postings]
    assert len(set(seen)) == len(seen)


@given(amounts, balances)
def test_clawback_takes_no_more_than_there_is(amount: int, balance: int) -> None:
    made = postings.clawback("k", "p", "u", amount, balance, "CNY")
    taken = {p.account.kind: p.amount for p in made.postings if p.side is Side.DEBIT}
    assert taken.get(AccountKind.PAYABLE, 0) == min(amount, balance)


@given(amounts, amounts)
def test_what_does_not_balance_is_refused(debit: int, credit: int) -> None:
    def make() -> JournalEntry:
        return postings.entry(
            postings.EntryKind.FUND,
            "k",
            "CNY",
            [Share(account=Account(kind=AccountKind.LOSS, owner="x"), amount=debit)],
            [Share(account=accounts.FEE, amount=credit)],
        )

    if debit == credit:
        make()
    else:
        with pytest.raises(UnbalancedEntry):
            make()
