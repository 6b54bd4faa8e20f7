"""The rows that make a repeated POST repeat its answer instead of its effect."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import delete, func, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from db.tables import IdempotencyRow, Json
from domain.errors import IdempotencyConflict


@dataclass(frozen=True)
class Answer:
    """A stored answer."""

    status_code: int
    body: Json


@dataclass(frozen=True)
class Claim:
    """The right to carry out a request under a key, and its answer when that has happened."""

    resource_id: str
    """The id of what the request makes, the same at every try."""
    answer: Answer | None


async def claim(
    session: AsyncSession, user_id: str, key: str, request_hash: str, resource_id: str
) -> Claim:
    """Takes the row of this key and locks it until the transaction ends; makes it at the first try.

    A concurrent duplicate waits here until the first one has committed. Raises IdempotencyConflict when the key
    belongs to another request.
    """
    # A duplicate of a request that hangs must not hold its connection for ever.
    await session.execute(text("SET LOCAL lock_timeout = '10s'"))
    made = insert(IdempotencyRow).values(
        user_id=user_id, key=key, request_hash=request_hash, resource_id=resource_id
    )
    row = (
        await session.scalars(
            # An update that changes nothing locks the row that is there and answers it.
            made.on_conflict_do_update(
                index_elements=[IdempotencyRow.user_id, IdempotencyRow.key],
                set_={"key": made.excluded.key},
            ).returning(IdempotencyRow)
        )
    ).one()
    if row.request_hash != request_hash:
        raise IdempotencyConflict(
            "this Idempotency-Key was used for another request",
            field="Idempotency-Key",
            accepted="a fresh key, or the request it was first used for",
        )
    answered = row.status_code is not None and row.body is not None
    return Claim(
        resource_id=row.resource_id,
        answer=Answer(row.status_code or 0, row.body or {}) if answered else None,
    )


async def kept(session: AsyncSession, user_id: str, key: str) -> Claim | None:
    """What is kept under a key, without taking it; None before the first try."""
    row = await session.get(IdempotencyRow, (user_id, key), populate_existing=True)
    if row is None:
        return None
    answered = row.status_code is not None and row.body is not None
    return Claim(
        resource_id=row.resource_id,
        answer=Answer(row.status_code or 0, row.body or {}) if answered else None,
    )


async def store(session: AsyncSession, user_id: str, key: str, answer: Answer) -> bool:
    """Keeps the answer for the key; False when another try was faster and its answer stands."""
    kept = await session.execute(
        update(IdempotencyRow)
        .where(
            IdempotencyRow.user_id == user_id,
            IdempotencyRow.key == key,
            IdempotencyRow.status_code.is_(None),
        )
        .values(status_code=answer.status_code, body=answer.body)
        .returning(IdempotencyRow.key)
    )
    return kept.first() is not None


async def forget(session: AsyncSession, older_than: timedelta) -> int:
    """Deletes the keys of requests made that long ago; how many."""
    gone = await session.scalars(
        delete(IdempotencyRow)
        .where(IdempotencyRow.created_at < func.now() - older_than)
        .returning(IdempotencyRow.key)
    )
    return len(gone.all())
