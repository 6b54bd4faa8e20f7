"""The same command for many paths: each is shown, compared and done alone, so that one that has moved stops nobody else."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from pydantic import TypeAdapter
from sqlalchemy import select
from temporalio import activity
from temporalio.client import Client

from activities import commands
from activities.command_ways import Told
from activities.commands import EXECUTE, Task, carried_out, require_as_shown
from activities.transitions import advance, lock_path, timers
from db import command_rows
from db.engine import Database
from db.tables import Command, CommandItem, Path
from domain.commands import (
    BULK_PAGE,
    Bulk,
    BulkDone,
    BulkStep,
    CommandStart,
    Executed,
    ItemState,
    Party,
    Preview,
    Tell,
    one_of_bulk,
)
from domain.errors import DomainError, InvalidInput, LimitReached
from domain.ids import step_key
from domain.money import Money

_BULK = TypeAdapter(Bulk)


async def shown(
    database: Database, temporal: Client, start: CommandStart, bulk: Bulk
) -> tuple[Preview, list[CommandItem]]:
    """A dry run of all: what each would do, and the sum. Raises LimitReached and InvalidInput."""
    path_ids = await _paths(database, bulk, start.policy.bulk_most)
    items = []
    for number, path_id in enumerate(path_ids):
        item = CommandItem(
            command_id=start.command_id,
            number=number,
            path_id=path_id,
            state=ItemState.PLANNED,
        )
        if activity.in_activity():
            activity.heartbeat(number)
        try:
            task = _task(start.command_id, number, bulk, path_id, start.by, start)
            found = await commands.shown(database, temporal, task)
            item.preview = found.model_dump(mode="json")
            item.preview_sha256 = found.sha256
        except DomainError as refused:
            item.state, item.refusal = ItemState.REFUSED, refused.detail
        items.append(item)
    return _sum(items), items


async def _paths(database: Database, bulk: Bulk, most: int) -> Sequence[str]:
    """The paths it is for, from now on the same ones."""
    if (bulk.chosen is None) == (not bulk.path_ids):
        raise InvalidInput(
            "a bulk command is for paths that are named, or for those that are chosen",
            field="path_ids",
            accepted="path_ids or chosen",
        )
    found: Sequence[str] = bulk.path_ids
    if bulk.chosen is not None:
        async with database.transaction() as session:
            found = await command_rows.chosen(session, bulk.chosen, most + 1)
    if not found:
        raise InvalidInput("no path answers to this", field="chosen", accepted="open paths")
    if len(found) > most:
        raise LimitReached(
            "these are too many paths for one command",
            field="path_ids",
            accepted=f"at most {most}",
        )
    if len(set(found)) != len(found):
        raise InvalidInput("a path appears twice", field="path_ids", accepted="each path once")
    return found


def _task(
    command_id: str, number: int, bulk: Bulk, path_id: str, by: str, when: CommandStart | BulkStep
) -> Task:
    """What is to be done with one of the paths. Raises InvalidInput for a path of another kind."""
    order = one_of_bulk(bulk, path_id)
    return Task(
        id=f"{command_id}-{number}",
        command_id=command_id,
        order=order,
        by=by,
        case_id=None,
        at=when.at,
    )


def _sum(items: Sequence[CommandItem]) -> Preview:
    found = [
        (each, Preview.model_validate(each.preview)) for each in items if each.preview is not None
    ]
    amounts: dict[str, int] = {}
    people: dict[tuple[str | None, str, str], list[int]] = {}
    for _, one in found:
        for money in one.amounts:
            amounts[money.currency] = amounts.get(money.currency, 0) + money.amount
        for who in one.who:
            sums = people.setdefault((who.user_id, who.account, who.currency), [0, 0])
            sums[0] += who.gets
            sums[1] += who.gives
    content = "\n".join(f"{item.path_id} {one.sha256}" for item, one in found)
    return Preview(
        who=tuple(
            Party(user_id=user_id, account=account, currency=currency, gets=gets, gives=gives)
            for (user_id, account, currency), (gets, gives) in sorted(
                people.items(), key=lambda each: (each[0][0] or "", *each[0][1:])
            )
        ),
        amounts=tuple(Money(amount=n, currency=c) for c, n in sorted(amounts.items())),
        items=len(items),
        refused=len(items) - len(found),
        sha256=hashlib.sha256(content.encode()).hexdigest(),
    )


async def next_page(database: Database, temporal: Client, step: BulkStep) -> BulkDone:
    """Sees to the next BULK_PAGE paths; those that a former try has seen to answer what they answered then."""
    async with database.transaction() as session:
        row = await session.scalar(select(Command).where(Command.id == step.command_id))
        assert row is not None
        bulk = _BULK.validate_python(row.input)
        page = await command_rows.items(session, step.command_id, step.after, BULK_PAGE)
    executed = []
    for item in page:
        if activity.in_activity():
            activity.heartbeat(item.number)
        if item.state != ItemState.REFUSED:
            done = await _see_to(database, temporal, step, bulk, item)
            if done is not None and (done.tell is not Tell.NOTHING or done.refunds):
                executed.append(done)
    last = page[-1].number if len(page) == BULK_PAGE else None
    return BulkDone(last=last, executed=tuple(executed))


async def _see_to(
    database: Database, temporal: Client, step: BulkStep, bulk: Bulk, item: CommandItem
) -> Executed | None:
    """One path, done or refused; None: refused."""
    task = _task(step.command_id, item.number, bulk, item.path_id, step.by, step)
    try:
        if item.state == ItemState.DONE:
            return Executed.model_validate(item.outcome)
        async with database.transaction() as session:
            path = await session.get(Path, item.path_id)
        way = EXECUTE[task.order.kind]
        if path is not None and path.kind in way.stories and way.tell is not None:
            if item.state == ItemState.PLANNED:
                preview = await commands.shown(database, temporal, task)
                require_as_shown(preview, item.preview_sha256 or "")
                await _keep(database, item, ItemState.EXECUTING, None)
            await way.tell(
                Told(
                    temporal=temporal,
                    id=task.id,
                    by=step.by,
                    workflow_id=path.workflow_id,
                    kind=path.kind,
                    phase=path.phase,
                )
            )
            await _keep(database, item, ItemState.DONE, Executed())
            return Executed()
        return await _do(database, temporal, task, item)
    except DomainError as refused:
        if refused.http_status >= 500:
            raise
        await _keep(database, item, ItemState.REFUSED, None, refused.detail)
        return None


async def _do(database: Database, temporal: Client, task: Task, item: CommandItem) -> Executed:
    async with database.transaction() as session:
        row = await session.get(CommandItem, (item.command_id, item.number), with_for_update=True)
        assert row is not None
        if row.state == ItemState.DONE:
            return Executed.model_validate(row.outcome)
        _, done = await carried_out(session, temporal, task, row.preview_sha256 or "")
        path = await lock_path(session, item.path_id)
        advance(
            session,
            path,
            key=step_key(task.id, "executed"),
            kind="operator_command",
            phase=path.phase,
            actor="operator",
            summary=f"Operators have carried out: {task.order.kind.replace('_', ' ')}",
            deadlines=timers(path),
            closed_at=path.closed_at,
            data={"command_id": task.command_id},
        )
        row.state, row.outcome = ItemState.DONE, done.executed.model_dump(mode="json")
        return done.executed


async def _keep(
    database: Database,
    item: CommandItem,
    state: ItemState,
    outcome: Executed | None,
    refusal: str | None = None,
) -> None:
    async with database.transaction() as session:
        row = await session.get(CommandItem, (item.command_id, item.number), with_for_update=True)
        assert row is not None
        row.state, row.refusal = state, refusal
        row.outcome = None if outcome is None else outcome.model_dump(mode="json")
