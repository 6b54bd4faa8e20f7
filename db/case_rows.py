"""Cases of operators, opened and ended within the transaction of whatever makes a person needed."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import func, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from db.tables import Case, CaseEvent
from domain.ids import new_id
from domain.model import Message, Seconds
from domain.money import Money
from domain.operator_cases import CaseKind, CaseState


async def open_case(
    session: AsyncSession,
    kind: CaseKind,
    subject: str,
    *,
    summary: str,
    within_seconds: Seconds,
    path_id: str | None = None,
    user_id: str | None = None,
    money: Money | None = None,
    facts: Message | None = None,
) -> str:
    """The id of the open case of this kind and subject, made if there is none; one that is there stays as it is.

    Somebody must have decided within so many seconds, by the database's clock.
    """
    case_id = new_id("cas")
    known = await session.scalar(
        insert(Case)
        .values(
            id=case_id,
            kind=kind,
            subject=subject,
            path_id=path_id,
            user_id=user_id,
            summary=summary,
            facts=facts.model_dump(mode="json") if facts else {},
            state=CaseState.OPEN,
            due_at=func.now() + timedelta(seconds=within_seconds),
            amount=money.amount if money else None,
            currency=money.currency if money else None,
        )
        .on_conflict_do_update(
            index_elements=["kind", "subject"],
            index_where=Case.ended_at.is_(None),
            set_={"kind": kind},
        )
        .returning(Case.id)
    )
    if known == case_id:
        session.add(CaseEvent(case_id=case_id, kind="opened", words=summary))
        await session.flush()
    return str(known)


async def end_case(
    session: AsyncSession,
    kind: CaseKind,
    subject: str,
    outcome: str,
    *,
    by: str | None = None,
    reason: str = "",
) -> None:
    """Nobody is needed any more. Without effect when there is no open case."""
    ended = await session.scalar(
        update(Case)
        .where(Case.kind == kind, Case.subject == subject, Case.ended_at.is_(None))
        .values(state=CaseState.CLOSED, ended_at=func.now(), outcome=outcome)
        .returning(Case.id)
    )
    if ended is not None:
        session.add(CaseEvent(case_id=ended, kind=outcome, by_id=by, words=reason))
        await session.flush()
