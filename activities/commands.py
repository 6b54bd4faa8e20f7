"""How each kind of command is carried out, shown before and compared afterwards: the same work each time."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession
from temporalio.client import Client

from activities import calling_off, command_refunds, corrections, payout_decisions
from activities.command_ways import Done, Ordered, Way
from activities.rehearsal import Rehearsal, performed, rehearsed
from db.engine import Database
from domain.commands import CommandKind, CommandOrder, Party, Preview
from domain.errors import WrongPhase
from domain.ids import step_key

EXECUTE: dict[CommandKind, Way] = {
    CommandKind.CANCEL_PATH: Way(
        calling_off.call_off, tell=calling_off.tell_to_call_off, stories=calling_off.STORIES
    ),
    CommandKind.REFUND_PATH: Way(command_refunds.refund),
    CommandKind.EXTEND_DEADLINE: Way(command_refunds.extend),
    CommandKind.LEDGER_CORRECTION: Way(corrections.correct),
    CommandKind.WRITE_OFF: Way(corrections.write_off),
    CommandKind.ESCHEAT: Way(corrections.escheat),
    CommandKind.PAYOUT_DECISION: Way(payout_decisions.as_command),
}
"""By kind; a bulk command is carried out by the way of each of its paths."""
_SHOWN = 200
"""Postings and people that a preview lists; its hash is of all."""


@dataclass(frozen=True)
class Task:
    """One thing to be carried out: a command, or one path of a bulk command."""

    id: str
    """The same at every try."""
    command_id: str
    order: CommandOrder
    by: str
    case_id: str | None
    at: datetime


async def shown(database: Database, temporal: Client, task: Task) -> Preview:
    """What the task would do now; nothing is changed. Raises what it would be refused for."""
    done: list[Done] = []

    async def work(session: AsyncSession) -> None:
        done.append(await _work(session, temporal, task, step_key(task.id, "rehearsal")))

    found = await rehearsed(database, work)
    return _preview(found, done[0])


async def carried_out(
    session: AsyncSession, temporal: Client, task: Task, sha256: str
) -> tuple[Preview, Done]:
    """Does the task in the caller's transaction. Raises WrongPhase unless it does what was shown with that hash."""
    done: list[Done] = []

    async def work(session: AsyncSession) -> None:
        done.append(await _work(session, temporal, task, task.id))

    preview = _preview(await performed(session, work), done[0])
    require_as_shown(preview, sha256)
    return preview, done[0]


def require_as_shown(preview: Preview, sha256: str) -> None:
    """Raises WrongPhase when things have moved since."""
    if preview.sha256 != sha256:
        raise WrongPhase(
            "the preview is out of date: by now other money would move",
            field="preview_sha256",
            accepted="the command shown anew",
        )


async def _work(session: AsyncSession, temporal: Client, task: Task, key: str) -> Done:
    return await EXECUTE[task.order.kind].work(
        Ordered(
            session=session,
            temporal=temporal,
            command_id=task.command_id,
            key=key,
            order=task.order,
            by=task.by,
            case_id=task.case_id,
            at=task.at,
        )
    )


def _preview(found: Rehearsal, done: Done) -> Preview:
    amounts = [f"{each.currency} {each.amount}" for each in done.amounts]
    content = "\n".join([found.sha256, *amounts, *done.words])
    return Preview(
        postings=found.postings[:_SHOWN],
        who=tuple(
            Party(
                user_id=each.user_id,
                account=each.account,
                currency=each.currency,
                gets=each.gets,
                gives=each.gives,
            )
            for each in found.who[:_SHOWN]
        ),
        words=done.words,
        amounts=done.amounts,
        sha256=hashlib.sha256(content.encode()).hexdigest(),
    )
