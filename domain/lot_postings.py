"""What a lot's transitions post: each kind of flow is one journal entry between the accounts that are named here."""

from __future__ import annotations

from collections.abc import Iterator

from domain import accounts, postings
from domain.accounts import FEE, Account
from domain.lot import Flow, deposit_account
from domain.money import basis_points_of
from domain.postings import JournalEntry, Share
from domain.production import ProductionTerms

UNBOUNDED = 1 << 62
"""For previews: a fund that holds enough, whatever is taken from it."""


def entries(
    terms: ProductionTerms,
    lot_id: str,
    maker_id: str,
    flow: Flow,
    key: str,
    *,
    fund_held: int = UNBOUNDED,
) -> tuple[JournalEntry, ...]:
    """The entries of one transition.

    What is due                | from                 | to
    ---------------------------|----------------------|---------------------------------------------------------
    wages of accepted units    | the order's escrow   | maker, less the commission; part of that: the protection fund
    freight and sample fees    | the order's escrow   | maker, in full
    the inspector's fee        | the order's escrow   | independent inspector, in full
    wages of lost goods        | the protection fund  | maker, in full; what the fund lacks is the platform's loss
    materials used as agreed   | the maker's deposit  | maker, in full
    materials that are gone    | the maker's deposit  | requester, in full

    A deposit that goes back the way it came (`deposit_refunded`) is a refund: see activities.escrow.send_back. Wages
    that nobody has earned stay in the order's escrow until the order ends. `fund_held` is what the protection fund
    holds.
    """
    wages, deposit = accounts.escrow(terms.order_id), deposit_account(lot_id, maker_id)
    maker, requester = accounts.payable(maker_id), accounts.payable(terms.requester_id)
    fee = commission(terms, flow.wages)
    to_fund = basis_points_of(fee, terms.policy.protection_basis_points)

    def pay(what: str, source: Account, *shares: Share) -> JournalEntry:
        return postings.release(f"{key}/{what}", lot_id, shares, terms.currency, source=source)

    def made() -> Iterator[JournalEntry]:
        if flow.wages:
            yield pay("wages", wages, _of(maker, flow.wages - fee), _of(FEE, fee))
        if to_fund:
            yield postings.protect(f"{key}/protect", lot_id, to_fund, terms.currency)
        if flow.freight:
            yield pay("freight", wages, _of(maker, flow.freight))
        if flow.certifier and terms.certifier_id is not None:
            inspector = accounts.payable(terms.certifier_id)
            yield pay("inspection", wages, _of(inspector, flow.certifier))
        if flow.protected:
            yield postings.compensate(
                f"{key}/protected", lot_id, maker, flow.protected, fund_held, terms.currency
            )
        if flow.deposit_back and not flow.deposit_refunded:
            yield pay("deposit-back", deposit, _of(maker, flow.deposit_back))
        if flow.deposit_kept:
            yield pay("deposit-kept", deposit, _of(requester, flow.deposit_kept))

    return tuple(made())


def commission(terms: ProductionTerms, wages: int) -> int:
    """What the platform takes of wages, minor units."""
    return basis_points_of(wages, terms.policy.fee_basis_points)


def _of(account: Account, amount: int) -> Share:
    return Share(account=account, amount=amount)
