"""Drafts of contests: rows that only their owner sees, before any workflow runs."""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from db.tables import Contest, Path, PathEvent
from domain.contest import ContestState, ContestTerms, Event, Phase, Prize
from domain.errors import WrongPhase


def fresh_state(terms: ContestTerms) -> ContestState:
    """The state in which a contest begins: every prize open."""
    return ContestState(
        prizes=tuple(
            Prize(rank=rank, amount=amount) for rank, amount in enumerate(terms.prizes, start=1)
        )
    )


async def save_draft(session: AsyncSession, terms: ContestTerms, workflow_id: str) -> None:
    """Writes a new draft down, or replaces what it says. Raises WrongPhase once it is being funded."""
    path = await session.get(Path, terms.contest_id, with_for_update=True)
    if path is None:
        path = Path(
            id=terms.contest_id,
            kind="contest",
            workflow_id=workflow_id,
            initiator_id=terms.owner_id,
            currency=terms.currency,
            phase=Phase.DRAFT,
        )
        session.add(path)
        await session.flush()
        session.add(Contest(id=terms.contest_id, owner_id=terms.owner_id, terms={}, state={}))
        session.add(
            PathEvent(
                path_id=terms.contest_id,
                key=f"{workflow_id}/{Event.DRAFTED}",
                kind=Event.DRAFTED,
                phase=Phase.DRAFT,
                actor="initiator",
                summary="Drafted",
                data={},
            )
        )
        await session.flush()
    if path.phase != Phase.DRAFT:
        raise WrongPhase(f"the contest is {path.phase}", field="phase", accepted=Phase.DRAFT)
    path.currency = terms.currency
    row = await session.get_one(Contest, terms.contest_id)
    row.terms = terms.model_dump(mode="json")
    row.state = fresh_state(terms).model_dump(mode="json")
    await session.flush()


async def drop_draft(session: AsyncSession, contest_id: str) -> None:
    """Ends a draft that nobody has funded; ending it again changes nothing. Raises WrongPhase."""
    path = await session.get_one(Path, contest_id, with_for_update=True)
    if path.phase == Phase.EXPIRED:
        return
    if path.phase != Phase.DRAFT:
        raise WrongPhase(f"the contest is {path.phase}", field="phase", accepted=Phase.DRAFT)
    path.phase = Phase.EXPIRED
    path.closed_at = await session.scalar(select(func.now()))
    session.add(
        PathEvent(
            path_id=contest_id,
            key=f"{path.workflow_id}/{Event.CANCELLED}",
            kind=Event.CANCELLED,
            phase=Phase.EXPIRED,
            actor="initiator",
            summary="The draft is withdrawn",
            data={},
        )
    )
    row = await session.get_one(Contest, contest_id)
    row.end_reason = "cancelled"
