"""Where the money of each line of a sale is: in escrow, released, back with the buyer, or with their bank.

All amounts are minor units of the line's price. What was released is taken back in the order in which it was released,
so that seller, commission and royalty give back exactly what they got of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pydantic import Field

from domain import accounts
from domain.errors import RefundTooLarge
from domain.model import Message
from domain.money import format_money, split
from domain.postings import Share
from domain.sale import SaleLine, SaleTerms


class LineMoney(Message):
    """What became of one line's price."""

    released: int = Field(default=0, ge=0)
    refunded: int = Field(default=0, ge=0)
    """Sent back to the buyer out of the escrow."""
    lost: int = Field(default=0, ge=0)
    """Taken by the buyer's bank out of the escrow, for good."""
    taken_back: int = Field(default=0, ge=0)
    """Sent back to the buyer after it had been released."""
    lost_after: int = Field(default=0, ge=0)
    """Taken by the buyer's bank after it had been released, for good."""
    locked: int = Field(default=0, ge=0)
    """Of what is in escrow: neither side gets it until somebody has decided."""

    @property
    def still_released(self) -> int:
        """What was released and not taken back since."""
        return self.released - self.taken_back - self.lost_after


class SaleMoney(Message):
    """What became of the price of each line, in the order of the terms."""

    lines: tuple[LineMoney, ...]


class LineShares(Message):
    """Who gets how much of a part of a line's price."""

    seller: int = 0
    fee: int = 0
    royalty: int = 0


class TakenBack(Message):
    """What goes away from a sale: first out of its escrow, then from those to whom it was released."""

    money: SaleMoney
    from_escrow: int
    seller: int
    fee: int
    royalties: tuple[Share, ...]
    beyond: int = 0
    """What is more than everything that is left of the sale."""


def none_moved(terms: SaleTerms) -> SaleMoney:
    """The whole price is in escrow."""
    return SaleMoney(lines=tuple(LineMoney() for _ in terms.lines))


def shares(line: SaleLine, before: int, amount: int) -> LineShares:
    """The parts of `amount` of the price after `before` of it: never below 0, and over the whole line exact.

    What is not the seller's is shared first, and then between commission and royalty: if each of them rounded for
    itself, both could take the one minor unit that there is.
    """
    others = line.fee + line.royalty
    start, end = (others * at // line.total for at in (before, before + amount))
    fee = line.fee * end // others - line.fee * start // others if others else 0
    return LineShares(seller=amount - (end - start), fee=fee, royalty=end - start - fee)


def in_escrow(terms: SaleTerms, money: SaleMoney) -> list[int]:
    """What the escrow holds of each line."""
    return [
        line.total - each.released - each.refunded - each.lost
        for line, each in zip(terms.lines, money.lines, strict=True)
    ]


def free(terms: SaleTerms, money: SaleMoney) -> list[int]:
    """What the escrow holds of each line and nobody has locked."""
    return [
        held - each.locked for held, each in zip(in_escrow(terms, money), money.lines, strict=True)
    ]


def refundable(terms: SaleTerms, money: SaleMoney) -> list[int]:
    """What can still go back of each line; what is locked cannot, before it is unlocked."""
    return [
        unlocked_ + each.still_released
        for unlocked_, each in zip(free(terms, money), money.lines, strict=True)
    ]


def locked(terms: SaleTerms, money: SaleMoney, parts: Mapping[int, int]) -> SaleMoney:
    """Keeps `parts`, amounts by number of line from 0, in escrow. Raises RefundTooLarge."""
    _require(terms, parts, free(terms, money))
    return _changed(money, "locked", _by_line(money, parts))


def unlocked(money: SaleMoney, parts: Mapping[int, int]) -> SaleMoney:
    """Gives locked amounts free again; of what is not locked any more, such as after a lost chargeback, nothing."""
    amounts = [
        -min(amount, each.locked)
        for amount, each in zip(_by_line(money, parts), money.lines, strict=True)
    ]
    return _changed(money, "locked", amounts)


def release_free(terms: SaleTerms, money: SaleMoney) -> tuple[SaleMoney, tuple[Share, ...]]:
    """Everything that nobody has locked, and who gets it; shares of 0 only for seller and commission."""
    return _released(terms, money, free(terms, money))


def release_part(
    terms: SaleTerms, money: SaleMoney, parts: Mapping[int, int]
) -> tuple[SaleMoney, tuple[Share, ...]]:
    """Amounts by number of line, unlocked before. Raises RefundTooLarge for more than is free."""
    _require(terms, parts, free(terms, money))
    return _released(terms, money, _by_line(money, parts))


def refund_part(terms: SaleTerms, money: SaleMoney, parts: Mapping[int, int]) -> TakenBack:
    """Amounts by number of line go back to the buyer, unlocked before. Raises RefundTooLarge for more than is left."""
    _require(terms, parts, refundable(terms, money))
    amounts = _by_line(money, parts)
    first = [min(*pair) for pair in zip(amounts, free(terms, money), strict=True)]
    rest = [amount - one for amount, one in zip(amounts, first, strict=True)]
    return _taken(terms, _changed(money, "refunded", first), "taken_back", sum(first), rest)


def whole_refund(terms: SaleTerms, money: SaleMoney) -> tuple[SaleMoney, int]:
    """Everything that is in escrow goes back to the buyer, whoever has locked it."""
    held = in_escrow(terms, money)
    dropped = _changed(money, "locked", [-each.locked for each in money.lines])
    return _changed(dropped, "refunded", held), sum(held)


def bank_took(terms: SaleTerms, money: SaleMoney, amount: int) -> TakenBack:
    """The buyer's bank keeps `amount`: of the escrow, then of what was released, by what is left of each line.

    The bank names no line. What it takes of a locked part is locked no longer.
    """
    held = in_escrow(terms, money)
    first = _spread(min(amount, sum(held)), held)
    left = [have - taken for have, taken in zip(held, first, strict=True)]
    after = _changed(money, "lost", first)
    over = [min(0, have - each.locked) for have, each in zip(left, money.lines, strict=True)]
    got = [each.still_released for each in money.lines]
    rest = min(amount - sum(first), sum(got))
    taken = _taken(
        terms, _changed(after, "locked", over), "lost_after", sum(first), _spread(rest, got)
    )
    return taken.model_copy(update={"beyond": amount - sum(first) - rest})


def _released(
    terms: SaleTerms, money: SaleMoney, amounts: Sequence[int]
) -> tuple[SaleMoney, tuple[Share, ...]]:
    parts = [
        shares(line, each.released, amount)
        for line, each, amount in zip(terms.lines, money.lines, amounts, strict=True)
    ]
    seller, fee, royalties = _sums(terms, parts)
    return _changed(money, "released", amounts), (
        Share(account=accounts.payable(terms.seller_id), amount=seller),
        Share(account=accounts.FEE, amount=fee),
        *royalties,
    )


def _taken(
    terms: SaleTerms, money: SaleMoney, field: str, from_escrow: int, amounts: Sequence[int]
) -> TakenBack:
    parts = [
        shares(line, each.taken_back + each.lost_after, amount)
        for line, each, amount in zip(terms.lines, money.lines, amounts, strict=True)
    ]
    seller, fee, royalties = _sums(terms, parts)
    return TakenBack(
        money=_changed(money, field, amounts),
        from_escrow=from_escrow,
        seller=seller,
        fee=fee,
        royalties=royalties,
    )


def _sums(terms: SaleTerms, parts: Sequence[LineShares]) -> tuple[int, int, tuple[Share, ...]]:
    pots: dict[str, int] = {}
    for line, part in zip(terms.lines, parts, strict=True):
        if line.royalty_sku and part.royalty:
            pots[line.royalty_sku] = pots.get(line.royalty_sku, 0) + part.royalty
    royalties = tuple(Share(account=accounts.royalty(s), amount=n) for s, n in pots.items())
    return sum(each.seller for each in parts), sum(each.fee for each in parts), royalties


def _changed(money: SaleMoney, field: str, amounts: Sequence[int]) -> SaleMoney:
    """The money with `amounts` added to one field of each line."""
    return SaleMoney(
        lines=tuple(
            LineMoney.model_validate({**dict(each), field: dict(each)[field] + amount})
            for each, amount in zip(money.lines, amounts, strict=True)
        )
    )


def _by_line(money: SaleMoney, parts: Mapping[int, int]) -> list[int]:
    return [parts.get(number, 0) for number in range(len(money.lines))]


def _spread(amount: int, left: Sequence[int]) -> list[int]:
    """`amount` by what is left of each line; never more than that."""
    return split(amount, left) if amount else [0] * len(left)


def _require(terms: SaleTerms, parts: Mapping[int, int], most: Sequence[int]) -> None:
    for number, amount in parts.items():
        known = 0 <= number < len(most)
        if not known or not 0 <= amount <= most[number]:
            left = format_money(most[number] if known else 0, terms.currency)
            raise RefundTooLarge(
                f"{left} is left of line {number + 1}",
                field=f"lines[{number}].amount",
                accepted=f"at most {left}",
            )
