"""The macros of what goes wrong after money has moved: taken back, given as goodwill, corrected, put aside."""

from __future__ import annotations

from collections.abc import Sequence

from domain import accounts
from domain.accounts import Account
from domain.postings import EntryKind, JournalEntry, Posting, Share, entry


def take_back(
    key: str,
    path_id: str,
    refund_id: str,
    *,
    payee: Account,
    user_id: str,
    seller: int,
    balance: int,
    fee: int,
    royalties: Sequence[Share],
    currency: str,
    fee_kept: bool = False,
    into: Account | None = None,
) -> JournalEntry:
    """RETURN of what was released: Dr payee down to 0, receivable:u for the rest, fee, royalty:sku/Cr refund_due:refund.

    `payee` is payable:u, or held:u while the user is frozen, and `balance` what it holds. `seller`, `fee` and
    `royalties` are what each got of the amount. A royalty that is distributed already becomes a negative carry.
    `fee_kept`: the platform keeps its commission, and the seller bears it. `into`: where it goes instead of a refund.
    """
    owed = seller + (fee if fee_kept else 0)
    from_balance = min(owed, max(balance, 0))
    amount = seller + fee + sum(each.amount for each in royalties)
    return entry(
        EntryKind.RETURN,
        key,
        currency,
        [
            Share(account=payee, amount=from_balance),
            Share(account=accounts.receivable(user_id), amount=owed - from_balance),
            Share(account=accounts.FEE, amount=0 if fee_kept else fee),
            *royalties,
        ],
        [Share(account=into or accounts.refund_due(refund_id), amount=amount)],
        path_id=path_id,
    )


def goodwill(
    key: str, path_id: str, refund_id: str, source: Account, amount: int, currency: str
) -> JournalEntry:
    """GOODWILL: Dr payable:u or loss/Cr refund_due:refund. The commission stays as it is."""
    return entry(
        EntryKind.GOODWILL,
        key,
        currency,
        [Share(account=source, amount=amount)],
        [Share(account=accounts.refund_due(refund_id), amount=amount)],
        path_id=path_id,
    )


def arbitration(key: str, path_id: str, loser: Account, amount: int, currency: str) -> JournalEntry:
    """The fee of a ruling: Dr payable:loser/Cr fee. Never more than the loser has; it makes no debt."""
    return entry(
        EntryKind.ARBITRATION,
        key,
        currency,
        [Share(account=loser, amount=amount)],
        [Share(account=accounts.FEE, amount=amount)],
        path_id=path_id,
    )


def correction(
    key: str,
    postings: Sequence[Posting],
    currency: str,
    note: str,
    path_id: str | None = None,
) -> JournalEntry:
    """CORRECTION by people, whatever it moves; `note` says why. Raises UnbalancedEntry."""
    made = JournalEntry(
        key=key,
        kind=EntryKind.CORRECTION,
        currency=currency,
        postings=tuple(postings),
        path_id=path_id,
        note=note,
    )
    made.require_balance()
    return made


def to_custody(key: str, path_id: str, provider: str, amount: int, currency: str) -> JournalEntry:
    """A provider may hold money no longer and hands it to its custodian: Dr cash:P.custody/Cr cash:P."""
    return entry(
        EntryKind.CUSTODY,
        key,
        currency,
        [Share(account=accounts.custody(provider), amount=amount)],
        [Share(account=accounts.cash(provider), amount=amount)],
        path_id=path_id,
    )


def escheat(key: str, user_id: str, amount: int, currency: str) -> JournalEntry:
    """What a closed account held is kept as unclaimed: Dr held:u/Cr unclaimed."""
    return entry(
        EntryKind.ESCHEAT,
        key,
        currency,
        [Share(account=accounts.held(user_id), amount=amount)],
        [Share(account=accounts.UNCLAIMED, amount=amount)],
    )


def suspend(key: str, provider: str, amount: int, currency: str, note: str) -> JournalEntry:
    """What differs at the provider and nobody can explain yet.

    More than we know of, an `amount` above 0: Dr cash:P/Cr suspense:P; less, below 0: the other way round.
    Raises UnbalancedEntry for 0.
    """
    moved = abs(amount)
    cash = [Share(account=accounts.cash(provider), amount=moved)]
    unexplained = [Share(account=accounts.suspense(provider), amount=moved)]
    debits, credits = (cash, unexplained) if amount > 0 else (unexplained, cash)
    return entry(EntryKind.SUSPEND, key, currency, debits, credits, note=note)
