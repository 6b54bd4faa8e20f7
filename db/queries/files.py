"""Uploaded files."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from db.tables import File


@dataclass(frozen=True)
class NewFile:
    """A file as it is first written down."""

    id: str
    owner_id: str
    sha256: str
    media_type: str
    size_bytes: int
    width: int
    height: int


async def get(session: AsyncSession, file_id: str) -> File | None:
    """The file with this id."""
    return await session.get(File, file_id)


async def add(session: AsyncSession, new: NewFile) -> File:
    """Writes the file down; the same id again changes nothing."""
    await session.execute(insert(File).values(**vars(new)).on_conflict_do_nothing())
    return await session.get_one(File, new.id)


async def owned(session: AsyncSession, owner_id: str, file_ids: Collection[str]) -> set[str]:
    """Which of these files belong to the user."""
    rows = await session.scalars(
        select(File.id).where(File.owner_id == owner_id, File.id.in_(file_ids))
    )
    return set(rows)
