"""The macros of the ledger: every way in which money moves, as pure functions from facts to journal entries.

`Dr x/Cr y` in the docstrings is the notation of the specification; amounts are minor units of the entry's currency.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from pydantic import Field

from domain import accounts
from domain.accounts import Account, Side
from domain.errors import UnbalancedEntry
from domain.model import Message
from domain.money import Currency


class EntryKind(StrEnum):
    """What a journal entry records."""

    FUND = "fund"
    SETTLE = "settle"
    RELEASE = "release"
    PROTECT = "protect"
    REFUND = "refund"
    REFUND_PAID = "refund_paid"
    REFUND_TO_BALANCE = "refund_to_balance"
    CLAWBACK = "clawback"
    CLAIM = "claim"
    CLAIM_PAID = "claim_paid"
    NETTING = "netting"
    PAYOUT = "payout"
    PAYOUT_PAID = "payout_paid"
    PAYOUT_FAILED = "payout_failed"
    PAYOUT_RETURNED = "payout_returned"
    CHARGEBACK_OPEN = "chargeback_open"
    CHARGEBACK_WON = "chargeback_won"
    CHARGEBACK_LOST = "chargeback_lost"
    COMPENSATE = "compensate"
    FREEZE = "freeze"
    UNFREEZE = "unfreeze"
    MATCH_USED = "match_used"
    MATCH_RETURNED = "match_returned"
    RETURN = "return"
    GOODWILL = "goodwill"
    ARBITRATION = "arbitration"
    CUSTODY = "custody"
    ESCHEAT = "escheat"
    SUSPEND = "suspend"
    CORRECTION = "correction"
    REVERSAL = "reversal"


class Posting(Message):
    """One side of a movement: an amount above 0 on one account."""

    account: Account
    side: Side
    amount: int = Field(gt=0)


class JournalEntry(Message):
    """A balanced group of postings in one currency, not yet written.

    `key` is the idempotency key: writing the same entry twice writes it once; the same key with another content is
    refused. `path_id` groups entries for the statement of a path.
    """

    key: str
    kind: EntryKind
    currency: Currency
    postings: tuple[Posting, ...]
    path_id: str | None = None
    note: str = ""

    def require_balance(self) -> None:
        """Raises UnbalancedEntry unless debits equal credits and something moves."""
        debits = sum(p.amount for p in self.postings if p.side is Side.DEBIT)
        credits = sum(p.amount for p in self.postings if p.side is Side.CREDIT)
        if debits != credits or debits == 0:
            raise UnbalancedEntry(f"debits {debits} and credits {credits} of {self.key} differ")


class Share(Message):
    """Who gets how much out of an escrow."""

    account: Account
    amount: int = Field(ge=0)


def debit(account: Account, amount: int) -> Posting:
    return Posting(account=account, side=Side.DEBIT, amount=amount)


def credit(account: Account, amount: int) -> Posting:
    return Posting(account=account, side=Side.CREDIT, amount=amount)


def entry(
    kind: EntryKind,
    key: str,
    currency: str,
    debits: Sequence[Share],
    credits: Sequence[Share],
    *,
    path_id: str | None = None,
    note: str = "",
) -> JournalEntry:
    """A balanced entry; sides of 0 are left out. Raises UnbalancedEntry."""
    made = JournalEntry(
        key=key,
        kind=kind,
        currency=currency,
        postings=tuple(
            [debit(s.account, s.amount) for s in debits if s.amount]
            + [credit(s.account, s.amount) for s in credits if s.amount]
        ),
        path_id=path_id,
        note=note,
    )
    made.require_balance()
    return made


def _share(account: Account, amount: int) -> Share:
    return Share(account=account, amount=amount)


def fund(
    key: str,
    path_id: str,
    provider: str,
    amount: int,
    currency: str,
    *,
    into: Account | None = None,
) -> JournalEntry:
    """FUND: Dr clearing:P/Cr escrow:path, or `into` a deposit."""
    return entry(
        EntryKind.FUND,
        key,
        currency,
        [_share(accounts.clearing(provider), amount)],
        [_share(into or accounts.escrow(path_id), amount)],
        path_id=path_id,
    )


def settle(
    key: str, path_id: str | None, provider: str, amount: int, fee: int, currency: str
) -> JournalEntry:
    """Settlement of a capture: Dr cash:P, psp_fee/Cr clearing:P."""
    return entry(
        EntryKind.SETTLE,
        key,
        currency,
        [_share(accounts.cash(provider), amount - fee), _share(accounts.PSP_FEE, fee)],
        [_share(accounts.clearing(provider), amount)],
        path_id=path_id,
    )


def release(
    key: str,
    path_id: str,
    shares: Sequence[Share],
    currency: str,
    *,
    source: Account | None = None,
) -> JournalEntry:
    """RELEASE: Dr escrow:path, or a deposit as `source`/Cr payable, fee, royalty, … by share."""
    return entry(
        EntryKind.RELEASE,
        key,
        currency,
        [_share(source or accounts.escrow(path_id), sum(s.amount for s in shares))],
        shares,
        path_id=path_id,
    )


def protect(key: str, path_id: str, amount: int, currency: str) -> JournalEntry:
    """The protection fund's share of a fee: Dr fee/Cr protection_fund."""
    return entry(
        EntryKind.PROTECT,
        key,
        currency,
        [_share(accounts.FEE, amount)],
        [_share(accounts.PROTECTION_FUND, amount)],
        path_id=path_id,
    )


def compensate(
    key: str, path_id: str, payee: Account, amount: int, fund_balance: int, currency: str
) -> JournalEntry:
    """The protection fund pays `payee`; what it does not hold is the platform's loss: Dr protection_fund, loss/Cr payee."""
    from_fund = min(amount, max(fund_balance, 0))
    return entry(
        EntryKind.COMPENSATE,
        key,
        currency,
        [_share(accounts.PROTECTION_FUND, from_fund), _share(accounts.LOSS, amount - from_fund)],
        [_share(payee, amount)],
        path_id=path_id,
    )


def refund(
    key: str,
    path_id: str,
    refund_id: str,
    amount: int,
    currency: str,
    *,
    source: Account | None = None,
) -> JournalEntry:
    """REFUND decided: Dr escrow:path, or a deposit as `source`/Cr refund_due:refund."""
    return entry(
        EntryKind.REFUND,
        key,
        currency,
        [_share(source or accounts.escrow(path_id), amount)],
        [_share(accounts.refund_due(refund_id), amount)],
        path_id=path_id,
    )


def refund_paid(
    key: str, path_id: str, refund_id: str, provider: str, amount: int, currency: str
) -> JournalEntry:
    """The provider sent it back: Dr refund_due/Cr cash:P."""
    return entry(
        EntryKind.REFUND_PAID,
        key,
        currency,
        [_share(accounts.refund_due(refund_id), amount)],
        [_share(accounts.cash(provider), amount)],
        path_id=path_id,
    )


def refund_to_balance(
    key: str, path_id: str, refund_id: str, user_id: str, amount: int, currency: str
) -> JournalEntry:
    """The provider refused: the payer's balance here instead, Dr refund_due/Cr payable:payer."""
    return entry(
        EntryKind.REFUND_TO_BALANCE,
        key,
        currency,
        [_share(accounts.refund_due(refund_id), amount)],
        [_share(accounts.payable(user_id), amount)],
        path_id=path_id,
    )


def clawback(
    key: str,
    path_id: str,
    user_id: str,
    amount: int,
    balance: int,
    currency: str,
    *,
    fee: int = 0,
    payee: Account | None = None,
) -> JournalEntry:
    """CLAWBACK: Dr payable:u down to 0, the rest receivable:u, and the commission forgone/Cr escrow:path.

    `balance` is what payable:u holds, `fee` what the platform gives back on top of `amount`; `payee` is held:u
    instead of payable:u while the user is frozen.
    """
    from_balance = min(amount, max(balance, 0))
    return entry(
        EntryKind.CLAWBACK,
        key,
        currency,
        [
            _share(payee or accounts.payable(user_id), from_balance),
            _share(accounts.receivable(user_id), amount - from_balance),
            _share(accounts.FEE, fee),
        ],
        [_share(accounts.escrow(path_id), amount + fee)],
        path_id=path_id,
    )


def net_receivable(
    key: str, user_id: str, owed: int, balance: int, currency: str, *, path_id: str | None = None
) -> JournalEntry | None:
    """Income pays debts first: Dr payable:u/Cr receivable:u up to the smaller of both; None when nothing is owed."""
    amount = min(owed, balance)
    if amount <= 0:
        return None
    return entry(
        EntryKind.NETTING,
        key,
        currency,
        [_share(accounts.payable(user_id), amount)],
        [_share(accounts.receivable(user_id), amount)],
        path_id=path_id,
    )


def payout(key: str, payout_id: str, user_id: str, amount: int, currency: str) -> JournalEntry:
    """PAYOUT: Dr payable:u/Cr transit:payout."""
    return entry(
        EntryKind.PAYOUT,
        key,
        currency,
        [_share(accounts.payable(user_id), amount)],
        [_share(accounts.transit(payout_id), amount)],
    )


def payout_paid(
    key: str, payout_id: str, provider: str, amount: int, fee: int, currency: str
) -> JournalEntry:
    """Paid: Dr transit:payout, psp_fee/Cr cash:P. The payee gets the whole amount; the fee is the platform's."""
    return entry(
        EntryKind.PAYOUT_PAID,
        key,
        currency,
        [_share(accounts.transit(payout_id), amount), _share(accounts.PSP_FEE, fee)],
        [_share(accounts.cash(provider), amount + fee)],
    )


def payout_failed(
    key: str, payout_id: str, user_id: str, amount: int, currency: str
) -> JournalEntry:
    """Failed before it was paid: Dr transit:payout/Cr payable:u."""
    return entry(
        EntryKind.PAYOUT_FAILED,
        key,
        currency,
        [_share(accounts.transit(payout_id), amount)],
        [_share(accounts.payable(user_id), amount)],
    )


def payout_returned(
    key: str, user_id: str, provider: str, amount: int, currency: str
) -> JournalEntry:
    """The bank sent it back after "paid": Dr cash:P/Cr payable:u."""
    return entry(
        EntryKind.PAYOUT_RETURNED,
        key,
        currency,
        [_share(accounts.cash(provider), amount)],
        [_share(accounts.payable(user_id), amount)],
    )


def chargeback_open(
    key: str, path_id: str, dispute_id: str, provider: str, amount: int, fee: int, currency: str
) -> JournalEntry:
    """CHARGEBACK opened: Dr dispute, loss(fee)/Cr cash:P."""
    return entry(
        EntryKind.CHARGEBACK_OPEN,
        key,
        currency,
        [_share(accounts.dispute(dispute_id), amount), _share(accounts.LOSS, fee)],
        [_share(accounts.cash(provider), amount + fee)],
        path_id=path_id,
    )


def chargeback_won(
    key: str, path_id: str, dispute_id: str, provider: str, amount: int, currency: str
) -> JournalEntry:
    """Won: Dr cash:P/Cr dispute."""
    return entry(
        EntryKind.CHARGEBACK_WON,
        key,
        currency,
        [_share(accounts.cash(provider), amount)],
        [_share(accounts.dispute(dispute_id), amount)],
        path_id=path_id,
    )


def chargeback_lost(
    key: str,
    path_id: str,
    dispute_id: str,
    payee: str,
    *,
    amount: int,
    unreleased: int,
    fee_returned: int,
    payee_balance: int,
    currency: str,
    source: Account | None = None,
    beyond: int = 0,
    fund_balance: int = 0,
    held_balance: int = 0,
    royalties: Sequence[Share] = (),
) -> JournalEntry:
    """Lost: Dr escrow as far as unreleased, fee and royalties taken on the released part, then what the payee has or owes.

    `unreleased` is what the path's escrow (or a deposit as `source`) still holds of the payment, `fee_returned` the
    commission on the released part and `royalties` what the pots got of it: one that is distributed already becomes a
    negative carry. `payee_balance` is what payable:payee holds, `held_balance` what held:payee does while they are
    frozen; what is missing they owe. What goes `beyond` everything the payee ever got is borne by the protection fund
    as far as `fund_balance`, else it is the platform's loss.
    """
    from_source = min(amount, unreleased)
    from_fee = min(amount - from_source, fee_returned)
    rest = amount - from_source - from_fee
    from_pots = []
    for pot in royalties:
        from_pots.append(_share(pot.account, min(rest, pot.amount)))
        rest -= from_pots[-1].amount
    from_platform = min(rest, beyond)
    from_fund = min(from_platform, max(fund_balance, 0))
    from_payee = rest - from_platform
    from_balance = min(from_payee, max(payee_balance, 0))
    from_held = min(from_payee - from_balance, max(held_balance, 0))
    return entry(
        EntryKind.CHARGEBACK_LOST,
        key,
        currency,
        [
            _share(source or accounts.escrow(path_id), from_source),
            _share(accounts.payable(payee), from_balance),
            _share(accounts.held(payee), from_held),
            _share(accounts.receivable(payee), from_payee - from_balance - from_held),
            _share(accounts.FEE, from_fee),
            *from_pots,
            _share(accounts.PROTECTION_FUND, from_fund),
            _share(accounts.LOSS, from_platform - from_fund),
        ],
        [_share(accounts.dispute(dispute_id), amount)],
        path_id=path_id,
    )


def freeze(key: str, user_id: str, amount: int, currency: str) -> JournalEntry:
    """FREEZE: Dr payable:u/Cr held:u."""
    return entry(
        EntryKind.FREEZE,
        key,
        currency,
        [_share(accounts.payable(user_id), amount)],
        [_share(accounts.held(user_id), amount)],
    )


def unfreeze(key: str, user_id: str, amount: int, currency: str) -> JournalEntry:
    """Cleared: Dr held:u/Cr payable:u."""
    return entry(
        EntryKind.UNFREEZE,
        key,
        currency,
        [_share(accounts.held(user_id), amount)],
        [_share(accounts.payable(user_id), amount)],
    )


def reverse(key: str, wrong: JournalEntry, note: str) -> JournalEntry:
    """The correction of an entry: the same postings with their sides swapped. Nothing is ever deleted."""
    return JournalEntry(
        key=key,
        kind=EntryKind.REVERSAL,
        currency=wrong.currency,
        postings=tuple(
            Posting(
                account=p.account,
                side=Side.CREDIT if p.side is Side.DEBIT else Side.DEBIT,
                amount=p.amount,
            )
            for p in wrong.postings
        ),
        path_id=wrong.path_id,
        note=note,
    )
