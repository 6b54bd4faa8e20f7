"""Reading the ledger: statements, balances and the trial balance. Nothing here writes or locks.

Amounts are minor units of the line's currency. Statements are newest first and paged by key: pass a page's `next_before`
to get the page after it; entries that arrive meanwhile do not shift it.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncSession

from domain.accounts import Account, AccountKind, Side, normal_side
from domain.model import Instant, Message

DEFAULT_LIMIT = 50
MAX_LIMIT = 200


class StatementLine(Message):
    """One posting, as its account sees it."""

    id: int
    """Of the posting; later postings of an account have larger ids."""
    entry_id: int
    key: str
    kind: str
    """What the journal entry records, such as fund or release."""
    status: str
    """posted, pending (reserves only) or void (ends a reservation)."""
    ends_pending: bool
    """Whether the entry ends a pending one."""
    at: Instant
    path_id: str | None
    account: Account
    currency: str
    side: Side
    amount: int
    change: int
    """What the posting does to the posted balance: above 0 where the account grows, 0 for pending and void."""
    balance_after: int | None
    """Running balance of the account, on its normal side; none for pending and void."""
    note: str


class StatementPage(Message):
    """Some lines, newest first."""

    lines: tuple[StatementLine, ...]
    next_before: int | None
    """Cursor of the next page; none when this is the last."""


class AccountBalance(Message):
    """An account as it stands; `balance` and the pending amounts are on its normal side."""

    account: Account
    currency: str
    balance: int
    pending_in: int
    pending_out: int


class UserBalance(Message):
    """What the platform and a user owe each other in one currency."""

    currency: str
    payable: int
    """What the user has earned and not taken out."""
    available: int
    """Of it, what is not reserved by a pending entry."""
    held: int
    """What the user has earned but may not take out while frozen."""
    receivable: int
    """What the user owes the platform; later income pays it first."""


class TrialBalanceLine(Message):
    """All accounts of one kind and currency together."""

    kind: AccountKind
    currency: str
    accounts: int
    debits: int
    credits: int
    balance: int
    """On the normal side of the kind."""


async def account_statement(
    session: AsyncSession,
    account: Account,
    currency: str,
    *,
    before: int | None = None,
    limit: int = DEFAULT_LIMIT,
) -> StatementPage:
    """Every posting on one account; an unknown account has none."""
    values = {"kinds": [str(account.kind)], "owner": account.owner, "currency": currency}
    return await _page(session, _OF_ACCOUNTS, values, before, limit)


async def user_statement(
    session: AsyncSession,
    user_id: str,
    *,
    currency: str | None = None,
    before: int | None = None,
    limit: int = DEFAULT_LIMIT,
) -> StatementPage:
    """Every posting on the user's payable, held and receivable accounts, in one currency or all."""
    values = {"kinds": [str(k) for k in _USER_KINDS], "owner": user_id, "currency": currency}
    return await _page(session, _OF_ACCOUNTS, values, before, limit)


async def path_statement(
    session: AsyncSession, path_id: str, *, before: int | None = None, limit: int = DEFAULT_LIMIT
) -> StatementPage:
    """Every posting of the entries of a path, whatever account it is on, and of those that move a match call's budget."""
    return await _page(session, _OF_PATH, {"path_id": path_id}, before, limit)


async def path_balances(session: AsyncSession, path_id: str) -> list[AccountBalance]:
    """The escrow, deposits, refunds due and disputes of a path, those at 0 included."""
    rows = await session.execute(_PATH_BALANCES, {"path_id": path_id})
    return [_account_balance(row) for row in rows]


async def user_balances(session: AsyncSession, user_id: str) -> list[UserBalance]:
    """One line for each currency in which the user ever had money, by code."""
    rows = await session.execute(_USER_BALANCES, {"user_id": user_id})
    return [UserBalance.model_validate(dict(row._mapping)) for row in rows]


async def trial_balance(session: AsyncSession) -> list[TrialBalanceLine]:
    """The whole ledger by kind and currency; debits and credits of one currency add up to the same."""
    rows = (await session.execute(_TRIAL_BALANCE)).all()
    order = list(AccountKind)
    lines = [TrialBalanceLine.model_validate(dict(row._mapping)) for row in rows]
    return sorted(lines, key=lambda line: (line.currency, order.index(line.kind)))


_USER_KINDS = (AccountKind.PAYABLE, AccountKind.HELD, AccountKind.RECEIVABLE)

_LINE = """
    p.id, p.entry_id, p.side, p.amount, p.balance_after, e.key, e.kind, e.status,
    e.resolves_id IS NOT NULL AS ends_pending, e.at, e.path_id, e.note, e.currency,
    a.kind AS account_kind, a.owner
"""

# Each account yields its own newest lines from its index, so a long history costs no more than a short one.
_OF_ACCOUNTS = f"""
    SELECT {_LINE}
    FROM ledger_accounts a
    CROSS JOIN LATERAL (
        SELECT * FROM ledger_postings
        WHERE account_id = a.id AND (CAST(:before AS bigint) IS NULL OR id < :before)
        ORDER BY id DESC LIMIT :limit
    ) p
    JOIN ledger_entries e ON e.id = p.entry_id
    WHERE a.owner = :owner AND a.kind = ANY(:kinds)
        AND (CAST(:currency AS text) IS NULL OR a.currency = :currency)
    ORDER BY p.id DESC LIMIT :limit
"""

# A campaign's entries move the budgets of the calls that match it: those are in the call's statement as well. Each half
# yields its own newest entries from its index; every entry has two lines at least.
_UP_TO_HERE = """
    (CAST(:before AS bigint) IS NULL
        OR e.id <= (SELECT entry_id FROM ledger_postings WHERE id = :before))
    ORDER BY e.id DESC LIMIT :limit
"""
_OF_PATH = f"""
    WITH entries AS (
        (SELECT e.id FROM ledger_entries e WHERE e.path_id = :path_id AND {_UP_TO_HERE})
        UNION
        (SELECT e.id FROM ledger_accounts a
        JOIN ledger_postings p ON p.account_id = a.id
        JOIN ledger_entries e ON e.id = p.entry_id
        WHERE a.path_id = :path_id AND a.kind = 'match' AND e.path_id <> a.path_id
            AND {_UP_TO_HERE})
    )
    SELECT {_LINE}
    FROM entries
    JOIN ledger_entries e ON e.id = entries.id
    JOIN ledger_postings p ON p.entry_id = e.id
    JOIN ledger_accounts a ON a.id = p.account_id
    WHERE CAST(:before AS bigint) IS NULL
        OR (e.id, p.id) < ((SELECT entry_id FROM ledger_postings WHERE id = :before), :before)
    ORDER BY e.id DESC, p.id DESC LIMIT :limit
"""

_PATH_BALANCES = text("""
    SELECT kind, owner, currency, balance, debits_pending, credits_pending FROM ledger_accounts
    WHERE path_id = :path_id ORDER BY kind, owner, currency
""")

_USER_BALANCES = text("""
    SELECT currency,
        coalesce(sum(balance) FILTER (WHERE kind = 'payable'), 0) AS payable,
        coalesce(sum(balance - debits_pending) FILTER (WHERE kind = 'payable'), 0) AS available,
        coalesce(sum(balance) FILTER (WHERE kind = 'held'), 0) AS held,
        coalesce(sum(balance) FILTER (WHERE kind = 'receivable'), 0) AS receivable
    FROM ledger_accounts
    WHERE owner = :user_id AND kind IN ('payable', 'held', 'receivable')
    GROUP BY currency ORDER BY currency
""")

_TRIAL_BALANCE = text("""
    SELECT kind, currency, count(*) AS accounts, sum(debits_posted) AS debits,
        sum(credits_posted) AS credits, sum(balance) AS balance
    FROM ledger_accounts GROUP BY kind, currency
""")


async def _page(
    session: AsyncSession,
    query: str,
    values: Mapping[str, object],
    before: int | None,
    limit: int,
) -> StatementPage:
    size = max(1, min(limit, MAX_LIMIT))
    asked = {**values, "before": before, "limit": size + 1}
    rows = (await session.execute(text(query), asked)).all()
    lines = tuple(_line(row) for row in rows[:size])
    return StatementPage(lines=lines, next_before=lines[-1].id if len(rows) > size else None)


def _line(row: Row[tuple[object, ...]]) -> StatementLine:
    account = Account(kind=AccountKind(row.account_kind), owner=row.owner)
    signed = row.amount if row.side == normal_side(account.kind) else -row.amount
    return StatementLine(
        id=row.id,
        entry_id=row.entry_id,
        key=row.key,
        kind=row.kind,
        status=row.status,
        ends_pending=row.ends_pending,
        at=row.at,
        path_id=row.path_id,
        account=account,
        currency=row.currency,
        side=Side(row.side),
        amount=row.amount,
        change=signed if row.status == "posted" else 0,
        balance_after=row.balance_after,
        note=row.note,
    )


def _account_balance(row: Row[tuple[object, ...]]) -> AccountBalance:
    account = Account(kind=AccountKind(row.kind), owner=row.owner)
    incoming, outgoing = row.debits_pending, row.credits_pending
    if normal_side(account.kind) is Side.CREDIT:
        incoming, outgoing = outgoing, incoming
    return AccountBalance(
        account=account,
        currency=row.currency,
        balance=row.balance,
        pending_in=incoming,
        pending_out=outgoing,
    )
