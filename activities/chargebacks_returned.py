"""Lost chargebacks whose money a bank gives back after all: it is in the books at once, and operators say to whom it goes."""

from __future__ import annotations

from sqlalchemy import func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from db.tables import (
    Chargeback,
    LedgerAccount,
    LedgerEntry,
    LedgerPosting,
    Path,
    PathEvent,
    PaymentPart,
)
from domain import postings_back
from domain.accounts import Side
from domain.money import format_money
from domain.postings import EntryKind
from ledger import journal


async def returned(
    session: AsyncSession, path: Path, row: Chargeback, key: str, *, back: bool
) -> None:
    """The money is there again, or with `back` false gone again; who has borne the loss stays as it was posted."""
    words = f"The payer's bank has taken {format_money(row.amount, row.currency)} again"
    if back:
        words = (
            f"The payer's bank has given {format_money(row.amount, row.currency)} back after all"
        )
    amount = row.amount if back else -row.amount
    entry = postings_back.suspend(key, row.provider, amount, row.currency, words)
    await journal.post(session, entry)
    session.add(
        PathEvent(
            path_id=path.id,
            key=key,
            kind="chargeback_returned",
            phase=path.phase,
            actor="provider",
            summary=words,
        )
    )


async def bearers(session: AsyncSession, row: Chargeback) -> str:
    """Who has borne what was lost, in words."""
    parts = select(PaymentPart.path_id).where(PaymentPart.payment_id == row.payment_id)
    lines = await session.execute(
        select(LedgerAccount.kind, LedgerAccount.owner, LedgerPosting.amount)
        .join(LedgerPosting, LedgerPosting.account_id == LedgerAccount.id)
        .join(LedgerEntry, LedgerEntry.id == LedgerPosting.entry_id)
        .where(
            LedgerEntry.kind == EntryKind.CHARGEBACK_LOST,
            func.starts_with(LedgerEntry.key, f"{row.id}/"),
            or_(LedgerEntry.path_id == row.path_id, LedgerEntry.path_id.in_(parts)),
            LedgerPosting.side == Side.DEBIT,
        )
        .order_by(LedgerPosting.id)
    )
    return ", ".join(
        f"{kind}:{owner} {format_money(amount, row.currency)}" for kind, owner, amount in lines
    )
