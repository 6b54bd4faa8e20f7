"""The steps of a command: proposed and shown, approved by a second person when it matters, done as it was shown."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta

from pydantic import TypeAdapter
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession
from temporalio import activity
from temporalio.client import Client

from activities import bulk_commands
from activities.command_ways import Told
from activities.commands import EXECUTE, Task, carried_out, require_as_shown, shown
from activities.transitions import advance, lock_path, timers
from db import command_rows
from db.engine import Database
from db.queries import kinship, paths
from db.tables import Command, CommandItem, Path
from domain.access import Relation
from domain.commands import (
    OPEN,
    Bulk,
    BulkDone,
    BulkStep,
    CommandOrder,
    CommandStanding,
    CommandStart,
    CommandState,
    CommandStep,
    CommandVerb,
    Executed,
    Preview,
    needs_two,
)
from domain.errors import DomainError, NeedsSecondOperator, OwnRequest, WrongPhase
from domain.ids import step_key
from domain.model import Instant
from domain.operator_cases import CaseState
from domain.operator_policy import OperatorPolicy

_ORDER: TypeAdapter[CommandOrder] = TypeAdapter(CommandOrder)


class Commands:
    """Activities of commands. Each step happens once: what was done before is answered again."""

    def __init__(self, database: Database, temporal: Client) -> None:
        self.database = database
        self.temporal = temporal

    @activity.defn(name="propose_command")
    async def propose(self, start: CommandStart) -> CommandStanding:
        """Rehearses the command and writes down what it would do. Raises what it would be refused for."""
        async with self.database.transaction() as session:
            known = await session.get(Command, start.command_id)
            if known is not None:
                return _standing(known)
        order, items = start.order, list[CommandItem]()
        if isinstance(order, Bulk):
            preview, items = await bulk_commands.shown(self.database, self.temporal, start, order)
        else:
            preview = await shown(self.database, self.temporal, _proposed(start))
        async with self.database.transaction() as session:
            row = Command(
                id=start.command_id,
                kind=order.kind,
                case_id=start.case_id,
                path_id=getattr(order, "path_id", None),
                user_id=getattr(order, "user_id", None),
                input=order.model_dump(mode="json"),
                reason=start.reason,
                state=CommandState.PROPOSED,
                proposed_by=start.by,
                lapses_at=func.now() + timedelta(seconds=start.policy.command_seconds),
            )
            await _require_stranger(session, start.by, row, preview)
            await _show(session, row, order, preview, start.policy)
            await command_rows.note_case(
                session,
                start.case_id,
                CaseState.DECIDED,
                "command_proposed",
                start.by,
                f"{start.command_id}: {order.kind}. {start.reason}",
            )
            session.add(row)
            await session.flush()
            session.add_all(items)
            await session.flush()
            await session.refresh(row)
            return _standing(row)

    @activity.defn(name="decide_command")
    async def decide(self, step: CommandStep) -> CommandStanding:
        """Approved, rejected, shown anew, or lapsed. Raises WrongPhase and OwnRequest."""
        anew = await self._shown_anew(step) if step.verb is CommandVerb.REHEARSE else None
        async with self.database.transaction() as session:
            row = await command_rows.locked(session, step.command_id)
            if step.verb is CommandVerb.LAPSE:
                if row.state in OPEN:
                    row.state, row.decided_at = CommandState.LAPSED, func.now()
            elif step.verb is CommandVerb.APPROVE:
                await _approve(session, row, step)
            elif step.verb is CommandVerb.REJECT:
                if row.state != CommandState.REJECTED:
                    _require(row, OPEN)
                row.state, row.decided_at = CommandState.REJECTED, func.now()
                row.refusal = step.act.reason
            elif anew is not None:
                _require(row, OPEN)
                row.state, row.approved_by, row.refusal = CommandState.PROPOSED, None, None
                await _show(session, row, _order(row), anew, step.policy)
            await session.flush()
            await session.refresh(row)
            return _standing(row)

    @activity.defn(name="execute_command")
    async def execute(self, step: CommandStep) -> CommandStanding:
        """Does what was shown, and nothing else.

        Raises WrongPhase when it would do something else by now, NeedsSecondOperator, OwnRequest, and what the command
        itself is refused for; it stays as it was then.
        """
        async with self.database.transaction() as session:
            row = await command_rows.locked(session, step.command_id)
            order, state = _order(row), CommandState(row.state)
            bulk = isinstance(order, Bulk)
            if state is CommandState.EXECUTED or (bulk and state is CommandState.EXECUTING):
                return _standing(row)
            if state is not CommandState.EXECUTING:
                await _may_execute(session, row, step)
            if bulk:
                await _require_enough(session, row, Preview.model_validate(row.preview), step)
                _begin(row, step)
                await session.flush()
                return _standing(row)
            path = None if row.path_id is None else await session.get(Path, row.path_id)
            task = _task(row, order, step.at)
        way = EXECUTE[order.kind]
        if path is None or path.kind not in way.stories or way.tell is None:
            return await self._do(step, task)
        if state is not CommandState.EXECUTING:
            await self._compare(step, task)
        told = Told(
            temporal=self.temporal,
            id=task.id,
            by=step.act.by or task.by,
            workflow_id=path.workflow_id,
            kind=path.kind,
            phase=path.phase,
        )
        try:
            await way.tell(told)
        except DomainError as refused:
            if refused.http_status < 500:
                await self._not_done(step, refused)
            raise
        async with self.database.transaction() as session:
            row = await command_rows.locked(session, step.command_id)
            return await _recorded(session, row, step, Executed())

    @activity.defn(name="execute_bulk_page")
    async def next_of_bulk(self, step: BulkStep) -> BulkDone:
        """Sees to the next paths of a bulk command, each alone; with the last one it is executed."""
        done = await bulk_commands.next_page(self.database, self.temporal, step)
        if done.last is None:
            async with self.database.transaction() as session:
                row = await command_rows.locked(session, step.command_id)
                if row.state == CommandState.EXECUTING:
                    await _note_executed(session, row, row.executed_by or step.by, "bulk")
        return done

    async def _shown_anew(self, step: CommandStep) -> Preview:
        async with self.database.transaction() as session:
            row = await command_rows.locked(session, step.command_id)
            _require(row, OPEN)
            order = _order(row)
            task = _task(row, order, step.at)
        if isinstance(order, Bulk):
            raise WrongPhase(
                "a bulk command is not shown anew: paths that have moved are left out",
                field="state",
                accepted="to execute or reject it",
            )
        return await shown(self.database, self.temporal, task)

    async def _do(self, step: CommandStep, task: Task) -> CommandStanding:
        """The work, its comparison and the note of it are one transaction."""
        async with self.database.transaction() as session:
            row = await command_rows.locked(session, step.command_id)
            if row.state == CommandState.EXECUTED:
                return _standing(row)
            await _may_execute(session, row, step)
            preview, done = await carried_out(session, self.temporal, task, row.preview_sha256)
            await _require_enough(session, row, preview, step)
            return await _recorded(session, row, step, done.executed)

    async def _compare(self, step: CommandStep, task: Task) -> None:
        """The path's own story is to act: what it would do is compared the moment before."""
        preview = await shown(self.database, self.temporal, task)
        async with self.database.transaction() as session:
            row = await command_rows.locked(session, step.command_id)
            if row.state == CommandState.EXECUTING:
                return
            await _may_execute(session, row, step)
            require_as_shown(preview, row.preview_sha256)
            if row.path_id is not None:
                await lock_path(session, row.path_id)
            await _require_enough(session, row, preview, step)
            _begin(row, step)

    async def _not_done(self, step: CommandStep, refused: DomainError) -> None:
        """The path's own story has refused it: the command stands as before."""
        async with self.database.transaction() as session:
            row = await command_rows.locked(session, step.command_id)
            if row.state == CommandState.EXECUTING:
                row.state = CommandState.APPROVED if row.approved_by else CommandState.PROPOSED
                row.executed_by, row.refusal = None, refused.detail


def _order(row: Command) -> CommandOrder:
    return _ORDER.validate_python(row.input)


def _proposed(start: CommandStart) -> Task:
    return Task(
        id=start.command_id,
        command_id=start.command_id,
        order=start.order,
        by=start.by,
        case_id=start.case_id,
        at=start.at,
    )


def _task(row: Command, order: CommandOrder, at: Instant) -> Task:
    return Task(
        id=row.id,
        command_id=row.id,
        order=order,
        by=row.proposed_by,
        case_id=row.case_id,
        at=at,
    )


def _standing(row: Command) -> CommandStanding:
    return CommandStanding(
        command_id=row.id,
        state=CommandState(row.state),
        lapses_at=row.lapses_at,
        executed=None if row.outcome is None else Executed.model_validate(row.outcome),
        bulk=row.kind == "bulk" and row.state == CommandState.EXECUTING,
    )


def _require(row: Command, states: Collection[CommandState]) -> None:
    if row.state not in states:
        raise WrongPhase(
            f"the command is {row.state}", field="state", accepted=", ".join(sorted(states))
        )


async def _show(
    session: AsyncSession,
    row: Command,
    order: CommandOrder,
    preview: Preview,
    policy: OperatorPolicy,
) -> None:
    """Writes down what was rehearsed, and whether one operator alone may do it."""
    before = await command_rows.moved_lately(session, row.path_id, row.id)
    row.preview = preview.model_dump(mode="json")
    row.preview_sha256 = preview.sha256
    row.needs_two = needs_two(order, preview.amounts, before, policy)
    row.amount = row.currency = None
    if len(preview.amounts) == 1:
        [money] = preview.amounts
        row.amount, row.currency = money.amount, money.currency


async def _approve(session: AsyncSession, row: Command, step: CommandStep) -> None:
    """Somebody else has seen what it would do. Twice by the same person is once."""
    by = step.act.by
    assert by is not None
    if row.state == CommandState.APPROVED and row.approved_by == by:
        return
    _require(row, {CommandState.PROPOSED})
    if await kinship.tie(session, by, [row.proposed_by]) is not None:
        raise OwnRequest("nobody approves what they propose", accepted="another operator")
    await _require_stranger(session, by, row, Preview.model_validate(row.preview))
    if step.act.sha256 != row.preview_sha256:
        raise WrongPhase(
            "another preview has been shown since",
            field="preview_sha256",
            accepted=row.preview_sha256,
        )
    row.state, row.approved_by, row.decided_at = CommandState.APPROVED, by, func.now()


async def _require_stranger(session: AsyncSession, by: str, row: Command, preview: Preview) -> None:
    """Raises OwnRequest when the operator, or who counts as the same person, has a part in it."""
    others = {each.user_id for each in preview.who if each.user_id is not None}
    others |= {row.user_id} if row.user_id else set()
    if row.path_id is not None:
        seen = await paths.seen_by(session, row.path_id, by)
        # Not the row itself: whoever locks it later in the transaction must read it anew.
        initiator = await session.scalar(select(Path.initiator_id).where(Path.id == row.path_id))
        others |= {initiator} if initiator else set()
        if seen is not None and seen.relations - {Relation.OPERATOR}:
            raise _own()
    if others and await kinship.tie(session, by, others) is not None:
        raise _own()


def _own() -> OwnRequest:
    return OwnRequest("nobody decides about what is their own", accepted="another operator")


async def _may_execute(session: AsyncSession, row: Command, step: CommandStep) -> None:
    """Raises WrongPhase, OwnRequest, and NeedsSecondOperator unless it is approved, or need not be."""
    _require(row, OPEN)
    by = step.act.by
    assert by is not None
    await _require_stranger(session, by, row, Preview.model_validate(row.preview))
    if row.needs_two and row.state != CommandState.APPROVED:
        raise _alone()
    if step.act.sha256 != row.preview_sha256:
        raise WrongPhase(
            "another preview has been shown since",
            field="preview_sha256",
            accepted=row.preview_sha256,
        )


def _alone() -> NeedsSecondOperator:
    return NeedsSecondOperator("a second operator has to approve this", accepted="approve")


async def _require_enough(
    session: AsyncSession, row: Command, preview: Preview, step: CommandStep
) -> None:
    """Raises NeedsSecondOperator when by now two have to agree; the path is locked, so that nobody splits an amount."""
    before = await command_rows.moved_lately(session, row.path_id, row.id)
    two = needs_two(_order(row), preview.amounts, before, step.policy)
    if two and row.approved_by is None:
        raise _alone()


def _begin(row: Command, step: CommandStep) -> None:
    row.state, row.decided_at = CommandState.EXECUTING, func.now()
    row.executed_by, row.refusal = step.act.by, None


async def _recorded(
    session: AsyncSession, row: Command, step: CommandStep, executed: Executed
) -> CommandStanding:
    """The command is executed: its row, its case and the path's timeline say so."""
    if row.state == CommandState.EXECUTED:
        return _standing(row)
    row.executed_by, row.refusal = step.act.by, None
    row.outcome = executed.model_dump(mode="json")
    if row.path_id is not None:
        path = await lock_path(session, row.path_id)
        advance(
            session,
            path,
            key=step_key(row.id, "executed"),
            kind="operator_command",
            phase=path.phase,
            actor="operator",
            summary=f"Operators have carried out: {row.kind.replace('_', ' ')}",
            deadlines=timers(path),
            closed_at=path.closed_at,
            data={"command_id": row.id, "preview_sha256": row.preview_sha256},
        )
    await _note_executed(session, row, step.act.by or row.proposed_by, row.kind)
    await session.refresh(row)
    return _standing(row)


async def _note_executed(session: AsyncSession, row: Command, by: str, what: str) -> None:
    row.state, row.executed_at = CommandState.EXECUTED, func.now()
    await command_rows.note_case(
        session,
        row.case_id,
        CaseState.EXECUTED,
        "command_executed",
        by,
        f"{row.id}: {what}",
    )
    await session.flush()
