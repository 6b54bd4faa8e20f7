"""Cases of operators: the queue, and one case with everything that is known about it. Reads, and what people note."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from sqlalchemy import ColumnElement, func, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from db import command_rows, statements
from db.queries import paths
from db.queries.paths import Pending
from db.statements import AccountBalance
from db.tables import (
    Case,
    CaseEvent,
    Chargeback,
    Command,
    CommandItem,
    Path,
    PathEvent,
    Payment,
    Payout,
    Refund,
    Sale,
    User,
)
from domain.commands import PathFacts
from domain.errors import NotFound, WrongPhase
from domain.operator_cases import CaseKind, CaseState

RowT = TypeVar("RowT", Command, Payment, Refund, Chargeback, Payout)
_TAIL = 50
"""How many events, people and movements of money are shown with a case."""


@dataclass(frozen=True)
class Evidence:
    """What is known about a case."""

    events: Sequence[CaseEvent]
    commands: Sequence[Command]
    path: Path | None
    pending: Pending | None
    facts: PathFacts | None
    timeline: Sequence[PathEvent]
    balances: Sequence[AccountBalance]
    people: Sequence[User]
    payments: Sequence[Payment]
    refunds: Sequence[Refund]
    chargebacks: Sequence[Chargeback]
    payouts: Sequence[Payout]


async def page(
    session: AsyncSession,
    *,
    state: CaseState | None,
    kind: CaseKind | None,
    assignee_id: str | None,
    overdue: bool,
    after: str | None,
    limit: int,
) -> Sequence[Case]:
    """Up to `limit` cases, those first that were to be decided first; without a state those that are open."""
    query = select(Case).order_by(Case.due_at, Case.id).limit(limit)
    query = query.where(Case.ended_at.is_(None) if state is None else Case.state == state)
    if kind is not None:
        query = query.where(Case.kind == kind)
    if assignee_id is not None:
        query = query.where(Case.assignee_id == assignee_id)
    if overdue:
        query = query.where(Case.ended_at.is_(None), Case.due_at < func.now())
    if after is not None:
        last = select(Case.due_at, Case.id).where(Case.id == after).subquery()
        query = query.where(
            tuple_(Case.due_at, Case.id) > select(last.c.due_at, last.c.id).scalar_subquery()
        )
    return (await session.scalars(query)).all()


async def now(session: AsyncSession) -> datetime:
    """The database's clock, by which cases are overdue."""
    found: datetime = (await session.execute(select(func.now()))).scalar_one()
    return found


async def get(session: AsyncSession, case_id: str, *, lock: bool = False) -> Case:
    """The case. Raises NotFound."""
    query = select(Case).where(Case.id == case_id)
    found = await session.scalar(query.with_for_update() if lock else query)
    if found is None:
        raise NotFound("there is no such case")
    return found


async def evidence(session: AsyncSession, case: Case) -> Evidence:
    """Everything that is known about the case: its own record, its path, the people and the money."""
    path = None if case.path_id is None else await session.get(Path, case.path_id)
    path_id = case.path_id or ""
    payments = await _newest(session, Payment, Payment.path_id == path_id)
    refunds = await _newest(session, Refund, Refund.path_id == path_id)
    chargebacks = await _newest(session, Chargeback, Chargeback.path_id == path_id)
    people = {case.user_id, case.assignee_id, path.initiator_id if path else None}
    people |= {each.payer_id for each in payments}
    about = {each for each in people if each is not None}
    if path is not None and path.kind == "sale":
        about |= await _seller(session, path.id)
    return Evidence(
        events=(
            await session.scalars(
                select(CaseEvent).where(CaseEvent.case_id == case.id).order_by(CaseEvent.id)
            )
        ).all(),
        commands=await _newest(
            session,
            Command,
            or_(Command.case_id == case.id, Command.path_id == path_id),
        ),
        path=path,
        pending=await paths.pending(session, path.id) if path else None,
        facts=await command_rows.facts_of(session, path) if path else None,
        timeline=await _tail(session, path_id),
        balances=await statements.path_balances(session, path_id) if path else (),
        people=(
            await session.scalars(select(User).where(User.id.in_(about)).order_by(User.id))
        ).all(),
        payments=payments,
        refunds=refunds,
        chargebacks=chargebacks,
        payouts=await _newest(session, Payout, Payout.user_id == (case.user_id or "")),
    )


async def _newest(
    session: AsyncSession, table: type[RowT], condition: ColumnElement[bool]
) -> Sequence[RowT]:
    rows = await session.scalars(
        select(table).where(condition).order_by(table.id.desc()).limit(_TAIL)
    )
    return rows.all()


async def _seller(session: AsyncSession, sale_id: str) -> set[str]:
    return set(await session.scalars(select(Sale.seller_id).where(Sale.id == sale_id)))


async def _tail(session: AsyncSession, path_id: str) -> Sequence[PathEvent]:
    rows = await session.scalars(
        select(PathEvent)
        .where(PathEvent.path_id == path_id)
        .order_by(PathEvent.id.desc())
        .limit(_TAIL)
    )
    return list(reversed(rows.all()))


async def note(session: AsyncSession, case: Case, kind: str, by: str, words: str) -> None:
    """Writes down what was done about the case."""
    session.add(CaseEvent(case_id=case.id, kind=kind, by_id=by, words=words))
    await session.flush()


async def assign(session: AsyncSession, case_id: str, to: str, by: str) -> None:
    """Somebody sees to the case. Raises NotFound and WrongPhase."""
    case = await _open(session, case_id)
    case.assignee_id = to
    if case.state == CaseState.OPEN:
        case.state = CaseState.ASSIGNED
    await note(session, case, "assigned", by, to)


async def close(session: AsyncSession, case_id: str, by: str, reason: str) -> None:
    """Nobody is needed any more. Raises NotFound and WrongPhase."""
    case = await _open(session, case_id)
    case.state, case.ended_at, case.outcome = CaseState.CLOSED, func.now(), "closed"
    await note(session, case, "closed", by, reason)


async def _open(session: AsyncSession, case_id: str) -> Case:
    case = await get(session, case_id, lock=True)
    if case.ended_at is not None:
        raise WrongPhase("the case is closed", field="state", accepted="an open case")
    return case


async def add_note(session: AsyncSession, case_id: str, by: str, words: str) -> None:
    """Somebody's words about an open case. Raises NotFound and WrongPhase."""
    await note(session, await _open(session, case_id), "note", by, words)


async def command(session: AsyncSession, command_id: str) -> Command:
    """One command. Raises NotFound."""
    found = await session.get(Command, command_id)
    if found is None:
        raise NotFound("there is no such command")
    return found


async def commands(
    session: AsyncSession,
    *,
    state: str | None,
    path_id: str | None,
    before: str | None,
    limit: int,
) -> Sequence[Command]:
    """Up to `limit` commands, newest first, before the one of that id."""
    query = select(Command).order_by(Command.id.desc()).limit(limit)
    if state is not None:
        query = query.where(Command.state == state)
    if path_id is not None:
        query = query.where(Command.path_id == path_id)
    if before is not None:
        query = query.where(Command.id < before)
    return (await session.scalars(query)).all()


async def command_items(
    session: AsyncSession, command_id: str, after: int, limit: int
) -> Sequence[CommandItem]:
    """Paths of a bulk command by number."""
    return await command_rows.items(session, command_id, after, limit)
