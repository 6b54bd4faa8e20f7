"""Where each line's money is: nothing is lost, nothing goes twice, and everybody gives back what they got."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.accounts import FEE, royalty
from domain.errors import RefundTooLarge
from domain.sale import SaleLine, SaleTerms, StockKind
from domain.sale_money import (
    LineMoney,
    SaleMoney,
    bank_took,
    free,
    in_escrow,
    locked,
    none_moved,
    refund_part,
    refundable,
    release_free,
    release_part,
    shares,
    unlocked,
    whole_refund,
)
from tests.unit.test_sale_rules import terms


def line(total: int = 10_000, fee: int = 800, of_royalty: int = 300) -> SaleLine:
    """One line; what is neither commission nor royalty is the seller's."""
    return SaleLine(
        listing_id="lamp",
        title="Lamp",
        quantity=1,
        unit_price=total,
        total=total,
        fee=fee,
        royalty=of_royalty,
        royalty_sku="sku" if of_royalty else None,
        stock_kind=StockKind.IN_STOCK,
    )


def sale(*lines: SaleLine) -> SaleTerms:
    """The terms of a sale of these lines."""
    return terms().model_copy(update={"lines": lines})


@st.composite
def lines(draw: st.DrawFn) -> SaleLine:
    total = draw(st.integers(1, 2_000))
    others = draw(st.integers(0, total))
    fee = draw(st.integers(0, others))
    return line(total, fee, others - fee)


sales = st.lists(lines(), min_size=1, max_size=4).map(lambda found: sale(*found))
TWO = sale(line(), line())


@given(lines(), st.lists(st.integers(0, 2_000), max_size=8))
def test_parts_of_a_line_are_never_below_zero_and_add_up(each: SaleLine, cuts: list[int]) -> None:
    got = [0, 0, 0]
    ends = sorted(min(cut, each.total) for cut in [0, *cuts, each.total])
    for start, end in pairwise(ends):
        part = shares(each, start, end - start)
        assert min(part.seller, part.fee, part.royalty) >= 0
        assert part.seller + part.fee + part.royalty == end - start
        got = [a + b for a, b in zip(got, (part.seller, part.fee, part.royalty), strict=True)]
    assert got == [each.seller_share, each.fee, each.royalty]


@given(sales)
def test_what_nothing_has_happened_to_is_released_by_the_frozen_shares(of: SaleTerms) -> None:
    money, got = release_free(of, none_moved(of))
    assert got == of.shares
    assert in_escrow(of, money) == [0] * len(of.lines)


def balanced(of: SaleTerms, money: SaleMoney) -> None:
    """No line has less than nothing anywhere."""
    for each, held, loose in zip(money.lines, in_escrow(of, money), free(of, money), strict=True):
        assert 0 <= loose <= held
        assert each.still_released >= 0


ACTS = st.lists(
    st.tuples(
        st.sampled_from(["lock", "unlock", "release", "release_all", "refund", "bank", "whole"]),
        st.integers(0, 3),
        st.integers(0, 2_500),
    ),
    max_size=25,
)


@given(sales, ACTS)
def test_whatever_happens_in_whatever_order_each_unit_goes_once(
    of: SaleTerms, acts: list[tuple[str, int, int]]
) -> None:
    money, out, back, got = none_moved(of), 0, 0, 0
    for act, number, amount in acts:
        part = {number % len(of.lines): amount}
        try:
            match act:
                case "lock":
                    money = locked(of, money, part)
                case "unlock":
                    money = unlocked(money, part)
                case "release":
                    money, found = release_part(of, money, part)
                    got += sum(each.amount for each in found)
                case "release_all":
                    money, found = release_free(of, money)
                    got += sum(each.amount for each in found)
                case "whole":
                    money, sent = whole_refund(of, money)
                    out += sent
                case _:
                    taken = (
                        bank_took(of, money, amount)
                        if act == "bank"
                        else refund_part(of, money, part)
                    )
                    from_released = (
                        taken.seller + taken.fee + sum(each.amount for each in taken.royalties)
                    )
                    assert taken.from_escrow + from_released + taken.beyond == amount
                    assert min(taken.seller, taken.fee, taken.beyond) >= 0
                    money, out, back = (
                        taken.money,
                        out + taken.from_escrow,
                        back + from_released,
                    )
        except RefundTooLarge:
            continue
        balanced(of, money)
    assert sum(in_escrow(of, money)) == of.total - out - got
    assert sum(each.still_released for each in money.lines) == got - back


@given(sales, st.lists(st.integers(1, 900), max_size=6), st.integers(0, 2_000))
def test_everybody_gives_back_exactly_what_they_got(
    of: SaleTerms, amounts: list[int], lost_before: int
) -> None:
    """Part of it is lost before the release, and everything that was released goes back in pieces of any size."""
    first = bank_took(of, none_moved(of), min(lost_before, of.total))
    money, got = release_free(of, first.money)
    seller = fee = pots = 0
    for amount in [*amounts, of.total]:
        taken = bank_took(of, money, min(amount, sum(refundable(of, money))))
        money = taken.money
        seller, fee = seller + taken.seller, fee + taken.fee
        pots += sum(each.amount for each in taken.royalties)
    assert [seller, fee, pots] == [
        got[0].amount,
        got[1].amount,
        sum(each.amount for each in got[2:]),
    ]
    assert sum(refundable(of, money)) == 0


def test_one_of_two_lines_goes_back_before_the_release() -> None:
    taken = refund_part(TWO, none_moved(TWO), {0: 10_000})
    assert (taken.from_escrow, taken.seller, taken.fee, taken.royalties) == (10_000, 0, 0, ())
    _, got = release_free(TWO, taken.money)
    assert [each.amount for each in got] == [8_900, 800, 300]


def test_one_of_two_lines_goes_back_after_the_release() -> None:
    money, _ = release_free(TWO, none_moved(TWO))
    taken = refund_part(TWO, money, {1: 10_000})
    [pot] = taken.royalties
    assert (taken.from_escrow, taken.seller, taken.fee) == (0, 8_900, 800)
    assert (pot.account, pot.amount) == (royalty("sku"), 300)


def test_an_offer_for_a_part_shrinks_commission_and_royalty_with_the_price() -> None:
    kept = locked(TWO, none_moved(TWO), {0: 10_000})
    rest, others = release_free(TWO, kept)
    assert sum(each.amount for each in others) == 10_000
    taken = refund_part(TWO, unlocked(rest, {0: 10_000}), {0: 4_000})
    _, got = release_free(TWO, taken.money)
    assert [each.amount for each in got] == [5_340, 480, 180]
    assert got[1].account == FEE


def test_what_is_locked_neither_side_gets() -> None:
    kept = locked(TWO, none_moved(TWO), {0: 6_000})
    with pytest.raises(RefundTooLarge) as refused:
        refund_part(TWO, kept, {0: 4_001})
    assert refused.value.field == "lines[0].amount"
    assert refused.value.accepted == "at most CNY 40.00"
    with pytest.raises(RefundTooLarge):
        release_part(TWO, kept, {0: 4_001})
    with pytest.raises(RefundTooLarge):
        locked(TWO, kept, {0: 4_001})
    with pytest.raises(RefundTooLarge):
        refund_part(TWO, kept, {2: 1})


def test_a_bank_takes_of_every_line_and_of_what_is_locked_last() -> None:
    kept = locked(TWO, none_moved(TWO), {0: 8_000})
    taken = bank_took(TWO, kept, 10_000)
    assert taken.money == SaleMoney(
        lines=(LineMoney(lost=5_000, locked=5_000), LineMoney(lost=5_000))
    )
    assert bank_took(TWO, taken.money, 10_001).beyond == 1


def test_a_whole_refund_drops_the_locks() -> None:
    kept = locked(TWO, none_moved(TWO), {0: 8_000})
    money, sent = whole_refund(TWO, kept)
    assert sent == 20_000
    assert money == SaleMoney(lines=(LineMoney(refunded=10_000), LineMoney(refunded=10_000)))
