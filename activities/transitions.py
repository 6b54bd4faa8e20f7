"""What every transition of every path has in common: once by key, phase, deadlines, event, all in one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TypeVar

from pydantic import JsonValue
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from db.tables import Json, Path, PathEvent, Payment
from domain.deadlines import Deadline
from domain.errors import NotFound, WrongPhase
from domain.path import Standing
from ledger import journal

StandingT = TypeVar("StandingT", bound=Standing)


async def lock_path(session: AsyncSession, path_id: str) -> Path:
    """The path's row, locked until the transaction ends. Raises NotFound."""
    path = await session.scalar(select(Path).where(Path.id == path_id).with_for_update())
    if path is None:
        raise NotFound(f"there is no path {path_id}")
    return path


async def happened(session: AsyncSession, key: str) -> PathEvent | None:
    """The event of a transition that a former attempt has already committed."""
    return await session.scalar(select(PathEvent).where(PathEvent.key == key))


def funded_key(payment: Payment) -> str:
    """Key of the event that says what became of a captured payment; its data is the PaymentOutcome."""
    return f"{payment.id}/funded"


def unfunded_key(payment: Payment) -> str:
    """Key of the event that says that a payment was given up; its data is the path's Standing, if it tells one."""
    return f"{payment.id}/unfunded"


async def recall(session: AsyncSession, key: str, kind: type[StandingT]) -> StandingT | None:
    """Where the path stood after a transition that a former attempt has already committed."""
    event = await happened(session, key)
    return None if event is None else kind.model_validate(event.data)


def require_not_paused(path: Path) -> None:
    """Raises WrongPhase while the payer's bank has the money back: no step may move money of the path then."""
    if path.paused_at is not None:
        raise WrongPhase(
            "the payer's bank has taken the money back for the moment",
            field="phase",
            accepted="the same request when the bank has decided",
        )


def without_subject(path: Path, subject: str) -> list[Json]:
    """The pending timers of the path but those about one subject."""
    return [each for each in path.deadlines if each.get("subject") != subject]


def timers(path: Path) -> tuple[Deadline, ...]:
    """The pending timers of the path."""
    return tuple(Deadline.model_validate(each) for each in path.deadlines)


async def close_when_empty(session: AsyncSession, path: Path, at: datetime) -> None:
    """Closes a path in its final phase as soon as nothing is held for it any more; until then it stays open.

    Refunds may still be on their way when the phase is final.
    """
    if await journal.is_empty(session, path.id):
        path.deadlines = []
        path.closed_at = at


def advance(
    session: AsyncSession,
    path: Path,
    *,
    key: str,
    kind: str,
    phase: str,
    actor: str,
    summary: str,
    deadlines: Sequence[Deadline],
    closed_at: datetime | None = None,
    data: Mapping[str, JsonValue] | None = None,
) -> None:
    """Moves the locked path to `phase` and records the event; `deadlines` replace the former ones."""
    path.phase = phase
    path.deadlines = [deadline.model_dump(mode="json") for deadline in deadlines]
    path.closed_at = closed_at
    session.add(
        PathEvent(
            path_id=path.id,
            key=key,
            kind=kind,
            phase=phase,
            actor=actor,
            summary=summary,
            data=dict(data or {}),
        )
    )
