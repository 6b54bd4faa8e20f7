"""To whom paths show private files. Owners and operators need no grant.

A path grants and revokes in the transaction of the transition that opens or hides the file. A file that several paths
show stays visible until each of them has revoked its own grants.
"""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import and_, delete, exists, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from db.tables import FileGrant, Pledge
from domain.pledge import STANDING, PledgeState

MEMBERS = "members"
"""The audience of everybody who is signed in."""
BACKERS = "backers"
"""The audience of those whose pledge to the campaign stands, or was paid in its time."""
_BACKS = sorted({*STANDING, PledgeState.REFUNDING, PledgeState.REFUNDED})


async def is_shown(session: AsyncSession, file_id: str, user_id: str) -> bool:
    """Whether any path shows the file to this user."""
    backs = exists().where(
        Pledge.campaign_id == FileGrant.path_id,
        Pledge.backer_id == user_id,
        Pledge.state.in_(_BACKS),
    )
    shown = exists().where(
        FileGrant.file_id == file_id,
        or_(
            FileGrant.audience.in_((MEMBERS, user_id)),
            and_(FileGrant.audience == BACKERS, backs),
        ),
    )
    return bool(await session.scalar(select(shown)))


async def grant(
    session: AsyncSession, file_ids: Collection[str], path_id: str, audience: str
) -> None:
    """Shows the files to a user (their id) or to MEMBERS on behalf of the path; again changes nothing."""
    # Sorted: two paths that show the same files at once wait for each other instead of deadlocking.
    rows = [
        {"file_id": file_id, "path_id": path_id, "audience": audience}
        for file_id in sorted(set(file_ids))
    ]
    if rows:
        await session.execute(insert(FileGrant).values(rows).on_conflict_do_nothing())


async def revoke(
    session: AsyncSession, path_id: str, file_ids: Collection[str] | None = None
) -> None:
    """Takes back what the path granted on these files, or on all of them, from every audience."""
    gone = delete(FileGrant).where(FileGrant.path_id == path_id)
    if file_ids is not None:
        gone = gone.where(FileGrant.file_id.in_(file_ids))
    await session.execute(gone)
