"""Rows of operators' commands: found, locked, counted; and what a path holds that a command would move."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from db import sale_rows
from db.tables import Case, CaseEvent, Command, CommandItem, LedgerAccount, Path, Sale
from domain.accounts import AccountKind
from domain.commands import (
    COUNTED_SECONDS,
    Chosen,
    CommandState,
    ItemState,
    PathFacts,
    Preview,
    RunningTimer,
)
from domain.deadlines import Deadline
from domain.errors import NotFound, WrongPhase
from domain.money import Money
from domain.moves import before
from domain.operator_cases import CASE_MOVES, CaseState
from domain.sale import Phase, SaleTerms
from domain.sale_money import refundable

_HOLDS = (AccountKind.ESCROW, AccountKind.DEPOSIT, AccountKind.MATCH)


async def locked(session: AsyncSession, command_id: str) -> Command:
    """The command's row, locked until the transaction ends; before any path. Raises NotFound."""
    row = await session.scalar(select(Command).where(Command.id == command_id).with_for_update())
    if row is None:
        raise NotFound(f"there is no command {command_id}")
    return row


async def moved_lately(session: AsyncSession, path_id: str | None, but: str) -> list[Money]:
    """What other commands have moved on the path lately. With the path's row locked no other comes to it meanwhile."""
    if path_id is None:
        return []
    done = (CommandState.EXECUTED, CommandState.EXECUTING)
    lately = func.coalesce(Command.executed_at, Command.decided_at) > func.now() - timedelta(
        seconds=COUNTED_SECONDS
    )
    alone = await session.execute(
        select(Command.amount, Command.currency).where(
            Command.path_id == path_id,
            Command.id != but,
            Command.amount > 0,
            Command.state.in_(done),
            lately,
        )
    )
    of_many = await session.scalars(
        select(CommandItem.preview)
        .join(Command, Command.id == CommandItem.command_id)
        .where(
            CommandItem.path_id == path_id,
            CommandItem.state.in_((ItemState.DONE, ItemState.EXECUTING)),
            Command.id != but,
            lately,
        )
    )
    moved = [Money(amount=amount, currency=currency) for amount, currency in alone]
    for preview in of_many:
        moved += Preview.model_validate(preview).amounts
    return moved


async def holds(session: AsyncSession, path_id: str) -> tuple[Money, ...]:
    """What the accounts of the path hold for people, by currency."""
    rows = await session.execute(
        select(LedgerAccount.currency, func.sum(LedgerAccount.balance))
        .where(LedgerAccount.path_id == path_id, LedgerAccount.kind.in_(_HOLDS))
        .group_by(LedgerAccount.currency)
        .having(func.sum(LedgerAccount.balance) > 0)
        .order_by(LedgerAccount.currency)
    )
    return tuple(Money(amount=int(amount), currency=currency) for currency, amount in rows)


async def facts_of(session: AsyncSession, path: Path) -> PathFacts:
    """What decides which commands are possible on the path."""
    left = 0
    sale = await session.get(Sale, path.id) if path.kind == "sale" else None
    if sale is not None and path.phase in REFUNDABLE:
        money = await sale_rows.money_of(session, sale, Phase(path.phase))
        left = sum(refundable(SaleTerms.model_validate(sale.terms), money))
    timers = [Deadline.model_validate(each) for each in path.deadlines]
    return PathFacts(
        kind=path.kind,
        phase=path.phase,
        paused=path.paused_at is not None,
        held=await holds(session, path.id),
        refundable=left,
        currency=path.currency,
        timers=tuple(
            RunningTimer(name=each.name, subject=each.subject, due_at=each.due_at)
            for each in timers
            if each.event
        ),
    )


REFUNDABLE = frozenset(
    {Phase.PAID, Phase.ACCEPTED, Phase.SHIPPED, Phase.DELIVERED, Phase.COMPLETED}
)
"""Phases of a sale in which the price is the seller's or in escrow; REFUNDING sends all of it back anyway."""


async def note_case(
    session: AsyncSession, case_id: str | None, state: CaseState, kind: str, by: str, words: str
) -> None:
    """Writes down in the case what was done with a command of it. Raises NotFound, WrongPhase when it is closed."""
    if case_id is None:
        return
    moved = await session.scalar(
        update(Case)
        .where(Case.id == case_id, Case.state.in_(before(CASE_MOVES, state)))
        .values(state=state)
        .returning(Case.id)
    )
    if moved is None:
        known = await session.scalar(select(Case.id).where(Case.id == case_id))
        if known is None:
            raise NotFound(f"there is no case {case_id}")
        if state is CaseState.DECIDED:
            raise WrongPhase(
                "the case is closed", field="case_id", accepted="an open case, or none"
            )
    session.add(CaseEvent(case_id=case_id, kind=kind, by_id=by, words=words))
    await session.flush()


async def chosen(session: AsyncSession, wanted: Chosen, limit: int) -> Sequence[str]:
    """Ids of up to `limit` open paths that answer to it, the oldest first."""
    query = select(Path.id).where(
        Path.kind == wanted.kind, Path.phase == wanted.phase, Path.closed_at.is_(None)
    )
    if wanted.initiator_id is not None:
        query = query.where(Path.initiator_id == wanted.initiator_id)
    if wanted.opened_before is not None:
        query = query.where(Path.opened_at < wanted.opened_before)
    return (await session.scalars(query.order_by(Path.id).limit(limit))).all()


async def items(
    session: AsyncSession, command_id: str, after: int, limit: int
) -> Sequence[CommandItem]:
    """Paths of a bulk command by number, after the one of that number."""
    found = await session.scalars(
        select(CommandItem)
        .where(CommandItem.command_id == command_id, CommandItem.number > after)
        .order_by(CommandItem.number)
        .limit(limit)
    )
    return found.all()
