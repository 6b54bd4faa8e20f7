"""Commands about the books alone: corrections, debts that are given up, money that nobody asks for."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from activities.command_ways import Done, Ordered
from activities.transitions import lock_path
from db.tables import Case, LedgerAccount, LedgerEntry, LedgerPosting, Path, User
from domain import accounts, postings, postings_back
from domain.accounts import PATH_BOUND, PLATFORM, Account, AccountKind, Side
from domain.commands import Escheat, LedgerCorrection, WriteOff
from domain.errors import InvalidInput, NotFound, WrongPhase
from domain.ids import step_key
from domain.money import Money
from domain.operator_cases import CaseKind
from domain.postings import EntryKind, JournalEntry, Posting
from ledger import journal

_OF_STORIES = frozenset({AccountKind.TRANSIT, AccountKind.DISPUTE, AccountKind.REFUND_DUE})
"""Each belongs to a story that is under way and ends it itself."""
_OF_PROVIDERS = frozenset({AccountKind.CASH, AccountKind.CLEARING, AccountKind.SUSPENSE})
"""They must agree with what a payment company says."""
_OF_PEOPLE = frozenset({AccountKind.PAYABLE, AccountKind.HELD, AccountKind.RECEIVABLE})


async def correct(ordered: Ordered) -> Done:
    """CORRECTION by given postings, or REVERSAL of an entry.

    Raises UnbalancedEntry, InvalidInput for accounts that are not to be corrected, NotFound, WrongPhase for an entry
    that was reversed before, InsufficientFunds, and PathNotEmpty when a path that is closed would hold something.
    """
    assert isinstance(ordered.order, LedgerCorrection)
    session, order = ordered.session, ordered.order
    path = None if order.path_id is None else await lock_path(session, order.path_id)
    if order.reverses is not None:
        if order.postings:
            raise InvalidInput(
                "an entry is reversed as it stands", field="postings", accepted="none"
            )
        entry = await _reversal(session, order.reverses, path)
    else:
        entry = _correction(ordered, order)
    await _require_accounts(ordered, entry, path)
    [posted] = await journal.post(session, entry)
    if not posted.written and order.reverses is not None:
        raise WrongPhase("the entry was reversed before", field="reverses")
    if path is not None and path.closed_at is not None:
        await journal.require_empty(session, path.id)
    total = sum(each.amount for each in entry.postings if each.side is Side.DEBIT)
    return Done(amounts=(Money(amount=total, currency=entry.currency),))


async def write_off(ordered: Ordered) -> Done:
    """What somebody owes becomes a loss. Raises InsufficientFunds when they owe less."""
    assert isinstance(ordered.order, WriteOff)
    order = ordered.order
    await _require_user(ordered.session, order.user_id)
    entry = postings_back.correction(
        step_key(ordered.key, "write_off"),
        [
            postings.debit(accounts.LOSS, order.amount),
            postings.credit(accounts.receivable(order.user_id), order.amount),
        ],
        order.currency,
        "written off",
    )
    await journal.post(ordered.session, entry)
    return Done(amounts=(Money(amount=order.amount, currency=order.currency),))


async def escheat(ordered: Ordered) -> Done:
    """What is held for somebody is kept as unclaimed. Raises InsufficientFunds when less is held."""
    assert isinstance(ordered.order, Escheat)
    order = ordered.order
    await _require_user(ordered.session, order.user_id)
    key = step_key(ordered.key, "escheat")
    entry = postings_back.escheat(key, order.user_id, order.amount, order.currency)
    await journal.post(ordered.session, entry)
    return Done(amounts=(Money(amount=order.amount, currency=order.currency),))


def _correction(ordered: Ordered, order: LedgerCorrection) -> JournalEntry:
    if len(order.postings) < 2:
        raise InvalidInput(
            "a correction has two sides", field="postings", accepted="2 to 20 postings"
        )
    return postings_back.correction(
        step_key(ordered.key, "correction"),
        [
            Posting(account=_account(each.account), side=each.side, amount=each.amount)
            for each in order.postings
        ],
        order.currency,
        "corrected by operators",
        order.path_id,
    )


def _account(code: str) -> Account:
    kind, _, owner = code.partition(":")
    try:
        return Account(kind=AccountKind(kind), owner=owner)
    except ValueError:
        raise InvalidInput(
            f"{kind} is no kind of account",
            field="postings",
            accepted=", ".join(sorted(AccountKind)),
        ) from None


async def _reversal(session: AsyncSession, key: str, path: Path | None) -> JournalEntry:
    """The same entry the other way round; its own key follows from the entry's, so that there is one at most."""
    row = await session.scalar(select(LedgerEntry).where(LedgerEntry.key == key))
    if row is None or row.status != "posted":
        raise NotFound("there is no such posted entry", field="reverses")
    if row.path_id != (path.id if path else None):
        raise InvalidInput(
            "the entry belongs to another path",
            field="path_id",
            accepted=row.path_id or "none",
        )
    lines = await session.execute(
        select(LedgerAccount.kind, LedgerAccount.owner, LedgerPosting.side, LedgerPosting.amount)
        .join(LedgerAccount, LedgerAccount.id == LedgerPosting.account_id)
        .where(LedgerPosting.entry_id == row.id)
        .order_by(LedgerPosting.id)
    )
    wrong = JournalEntry(
        key=row.key,
        kind=EntryKind(row.kind),
        currency=row.currency,
        postings=tuple(
            Posting(
                account=Account(kind=AccountKind(kind), owner=owner),
                side=Side(side),
                amount=amount,
            )
            for kind, owner, side, amount in lines
        ),
        path_id=row.path_id,
    )
    return postings.reverse(step_key(row.key, "reversed"), wrong, "reversed by operators")


async def _require_accounts(ordered: Ordered, entry: JournalEntry, path: Path | None) -> None:
    """Raises InvalidInput for an account that is not to be touched by hand, or that does not exist."""
    session = ordered.session
    for each in sorted({each.account.code for each in entry.postings}):
        account = _account(each)
        if account.kind in _OF_STORIES:
            raise _refused(account, "belongs to a story that is under way")
        if account.kind in _OF_PROVIDERS and not await _is_difference(session, ordered.case_id):
            raise _refused(account, "is corrected only in a case about a difference")
        if account.kind in PATH_BOUND and (path is None or path.id not in account.owner.split(":")):
            raise _refused(account, "belongs to another path than the command names")
        if account.kind in _OF_PEOPLE:
            await _require_user(session, account.owner)
        elif account.owner != PLATFORM and not await _exists(session, account):
            raise _refused(account, "does not exist")


def _refused(account: Account, why: str) -> InvalidInput:
    return InvalidInput(f"{account.code} {why}", field="postings", accepted="other accounts")


async def _is_difference(session: AsyncSession, case_id: str | None) -> bool:
    kind = await session.scalar(select(Case.kind).where(Case.id == case_id))
    return kind == CaseKind.DIFFERENCE


async def _exists(session: AsyncSession, account: Account) -> bool:
    found = await session.scalar(
        select(LedgerAccount.id)
        .where(LedgerAccount.kind == account.kind, LedgerAccount.owner == account.owner)
        .limit(1)
    )
    return found is not None


async def _require_user(session: AsyncSession, user_id: str) -> None:
    """Raises NotFound for somebody who does not exist; nobody freezes or unfreezes them meanwhile."""
    found = await session.scalar(
        select(User.id).where(User.id == user_id).with_for_update(read=True)
    )
    if found is None:
        raise NotFound(f"there is no user {user_id}", field="user_id")
