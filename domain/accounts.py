"""The chart of accounts: which kinds exist, which side they grow on, and which of them may be overdrawn."""

from __future__ import annotations

from enum import StrEnum

from domain.model import Message


class Side(StrEnum):
    """The two sides of double entry."""

    DEBIT = "debit"
    CREDIT = "credit"


class AccountKind(StrEnum):
    """What an account stands for; its owner says whose it is."""

    CASH = "cash"
    """Money on our balance at provider P (asset)."""
    CLEARING = "clearing"
    """Captured by provider P, not yet on our balance (asset)."""
    RECEIVABLE = "receivable"
    """What user u owes the platform (asset)."""
    ESCROW = "escrow"
    """Money held for one path (liability)."""
    DEPOSIT = "deposit"
    """A user's deposit on one path, owner `path:user` (liability)."""
    PAYABLE = "payable"
    """What user u may take out (liability)."""
    HELD = "held"
    """What user u has earned but may not take out while frozen (liability)."""
    TRANSIT = "transit"
    """One payout on its way (liability)."""
    REFUND_DUE = "refund_due"
    """One refund that has not reached the payer yet (liability)."""
    DISPUTE = "dispute"
    """One chargeback that the bank has not decided yet (suspense: either side)."""
    ROYALTY = "royalty"
    """The royalty pot of one product (liability; refunds may carry it below 0)."""
    MATCH = "match"
    """The budget of one match call (liability)."""
    CLAIM = "claim"
    """What the creator of a stopped campaign still owes its backers (liability); the creator owes it as a receivable."""
    PROTECTION_FUND = "protection_fund"
    """Fed by a share of fees; pays when nobody is at fault (liability)."""
    FEE = "fee"
    """The platform's commission (income)."""
    PSP_FEE = "psp_fee"
    """What payment companies keep (expense)."""
    LOSS = "loss"
    """What nobody else bears (expense)."""
    SUSPENSE = "suspense"
    """Money at provider P that nobody can explain yet (suspense: either side)."""
    UNCLAIMED = "unclaimed"
    """What closed accounts left behind and nobody has asked for, kept as the law wants it (liability)."""


PLATFORM = "platform"
"""Owner of the accounts that exist once per currency."""

_DEBIT_SIDE = {
    AccountKind.CASH,
    AccountKind.CLEARING,
    AccountKind.RECEIVABLE,
    AccountKind.PSP_FEE,
    AccountKind.LOSS,
}
_EITHER_SIGN = {
    AccountKind.CASH,
    AccountKind.DISPUTE,
    AccountKind.ROYALTY,
    AccountKind.FEE,
    AccountKind.PSP_FEE,
    AccountKind.LOSS,
    AccountKind.SUSPENSE,
}
PATH_BOUND = frozenset(
    {
        AccountKind.ESCROW,
        AccountKind.DEPOSIT,
        AccountKind.MATCH,
        AccountKind.REFUND_DUE,
        AccountKind.DISPUTE,
    }
)
"""Kinds that must stand at 0 before their path may close."""


def normal_side(kind: AccountKind) -> Side:
    """The side on which an account of this kind grows."""
    return Side.DEBIT if kind in _DEBIT_SIDE else Side.CREDIT


def may_go_below_zero(kind: AccountKind) -> bool:
    """Whether the database lets the balance go against the normal side."""
    return kind in _EITHER_SIGN


class Account(Message):
    """An account without its currency; the entry that uses it brings the currency."""

    kind: AccountKind
    owner: str

    @property
    def code(self) -> str:
        """`kind:owner`, as shown to people."""
        return f"{self.kind}:{self.owner}"


def cash(provider: str) -> Account:
    return Account(kind=AccountKind.CASH, owner=provider)


def custody(provider: str) -> Account:
    """Money that provider P has moved to its custodian: still ours to direct, but out of its hands."""
    return cash(f"{provider}.custody")


def clearing(provider: str) -> Account:
    return Account(kind=AccountKind.CLEARING, owner=provider)


def receivable(user_id: str) -> Account:
    return Account(kind=AccountKind.RECEIVABLE, owner=user_id)


def escrow(path_id: str) -> Account:
    return Account(kind=AccountKind.ESCROW, owner=path_id)


def deposit(path_id: str, user_id: str) -> Account:
    return Account(kind=AccountKind.DEPOSIT, owner=f"{path_id}:{user_id}")


def payable(user_id: str) -> Account:
    return Account(kind=AccountKind.PAYABLE, owner=user_id)


def held(user_id: str) -> Account:
    return Account(kind=AccountKind.HELD, owner=user_id)


def transit(payout_id: str) -> Account:
    return Account(kind=AccountKind.TRANSIT, owner=payout_id)


def refund_due(refund_id: str) -> Account:
    return Account(kind=AccountKind.REFUND_DUE, owner=refund_id)


def dispute(dispute_id: str) -> Account:
    return Account(kind=AccountKind.DISPUTE, owner=dispute_id)


def royalty(sku: str) -> Account:
    return Account(kind=AccountKind.ROYALTY, owner=sku)


def match(call_id: str) -> Account:
    return Account(kind=AccountKind.MATCH, owner=call_id)


def claim(campaign_id: str) -> Account:
    return Account(kind=AccountKind.CLAIM, owner=campaign_id)


def suspense(provider: str) -> Account:
    return Account(kind=AccountKind.SUSPENSE, owner=provider)


PROTECTION_FUND = Account(kind=AccountKind.PROTECTION_FUND, owner=PLATFORM)
FEE = Account(kind=AccountKind.FEE, owner=PLATFORM)
PSP_FEE = Account(kind=AccountKind.PSP_FEE, owner=PLATFORM)
LOSS = Account(kind=AccountKind.LOSS, owner=PLATFORM)
UNCLAIMED = Account(kind=AccountKind.UNCLAIMED, owner=PLATFORM)
