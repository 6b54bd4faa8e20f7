"""Uploaded files."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from db.tables import File, Json
from domain.errors import UnknownFile
from domain.proof import FileProof


@dataclass(frozen=True)
class NewFile:
    """A file as it is first written down; without pixels and thumbnail when it is a document."""

    id: str
    owner_id: str
    sha256: str
    media_type: str
    size_bytes: int
    width: int | None
    height: int | None
    name: str
    private: bool
    thumbnail_sha256: str | None


async def get(session: AsyncSession, file_id: str) -> File | None:
    """The file with this id."""
    return await session.get(File, file_id)


async def add(session: AsyncSession, new: NewFile) -> File:
    """Writes the file down; the same id again changes nothing."""
    await session.execute(insert(File).values(**vars(new)).on_conflict_do_nothing())
    return await session.get_one(File, new.id)


async def owned(session: AsyncSession, owner_id: str, file_ids: Collection[str]) -> dict[str, File]:
    """Those of these files that belong to the user, by id."""
    rows = await session.scalars(
        select(File).where(File.owner_id == owner_id, File.id.in_(file_ids))
    )
    return {row.id: row for row in rows}


async def attachable(session: AsyncSession, owner_id: str, file_ids: Sequence[str]) -> list[File]:
    """The files in the order given, all of them uploaded by the user.

    Raises UnknownFile (field `file_ids[i]`) for the first one that does not exist or is somebody else's.
    """
    own = await owned(session, owner_id, file_ids)
    for index, file_id in enumerate(file_ids):
        if file_id not in own:
            raise UnknownFile(
                "this is not a file of yours",
                field=f"file_ids[{index}]",
                accepted="files you uploaded",
            )
    return [own[file_id] for file_id in file_ids]


def proof_of(file: File) -> Json:
    """The file as it is recorded when it is handed in: a domain.proof.FileProof."""
    proof = FileProof(id=file.id, sha256=file.sha256, media_type=file.media_type, name=file.name)
    return proof.model_dump(mode="json")
