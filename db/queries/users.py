"""Users and their roles."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import ARRAY, Text, bindparam, delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from db.tables import AccountEventRow, Case, User, UserRole
from domain.access import Role
from domain.capabilities import Capability
from domain.ids import new_id
from domain.model import Message
from domain.operator_cases import CaseKind
from domain.people import AccountEvent

NAMELESS = "Member"
"""Display name of a user whose token tells none."""


class SignedIn(Message):
    """Who sends a request."""

    id: str
    display_name: str
    frozen: bool
    limited: frozenset[Capability]
    closing: bool
    closed: bool
    roles: frozenset[Role]


# Every request asks it: built once, because building it costs more than its answer.
_WHO = select(
    User.id,
    User.display_name,
    User.frozen_at.is_not(None).label("frozen"),
    User.limited,
    User.closing_at.is_not(None).label("closing"),
    User.closed_at.is_not(None).label("closed"),
    func.array(
        select(UserRole.role).where(UserRole.user_id == User.id).scalar_subquery(),
        type_=ARRAY(Text),
    ).label("roles"),
).where(User.issuer == bindparam("issuer"), User.subject == bindparam("subject"))


async def signed_in(session: AsyncSession, issuer: str, subject: str, name: str | None) -> SignedIn:
    """The user of this issuer and subject with their roles; made at the first request, once however many arrive."""
    user = await _by_subject(session, issuer, subject)
    if user is None:
        await session.execute(
            insert(User)
            .values(id=new_id("usr"), issuer=issuer, subject=subject, display_name=name or NAMELESS)
            .on_conflict_do_nothing(index_elements=[User.issuer, User.subject])
        )
        user = await _by_subject(session, issuer, subject)
        if user is None:
            raise LookupError("a user row vanished while it was made")
    return user


async def _by_subject(session: AsyncSession, issuer: str, subject: str) -> SignedIn | None:
    row = (await session.execute(_WHO, {"issuer": issuer, "subject": subject})).first()
    return SignedIn.model_validate(dict(row._mapping)) if row else None


async def get(session: AsyncSession, user_id: str) -> User | None:
    """The user with this id."""
    return await session.get(User, user_id)


async def get_existing(session: AsyncSession, user_id: str) -> User:
    """The user with this id, who is known to exist."""
    return await session.get_one(User, user_id)


async def rename(session: AsyncSession, user_id: str, display_name: str) -> User:
    """Gives the user another display name."""
    user = await session.get_one(User, user_id, with_for_update=True)
    user.display_name = display_name
    return user


async def page(session: AsyncSession, after: str | None, limit: int) -> Sequence[User]:
    """Up to `limit` users, oldest first, after the user with that id."""
    query = select(User).order_by(User.id).limit(limit)
    if after is not None:
        query = query.where(User.id > after)
    return (await session.scalars(query)).all()


async def roles_of(session: AsyncSession, user_ids: Sequence[str]) -> dict[str, set[Role]]:
    """The granted roles of these users."""
    rows = await session.execute(
        select(UserRole.user_id, UserRole.role).where(UserRole.user_id.in_(user_ids))
    )
    found: dict[str, set[Role]] = {}
    for user_id, role in rows:
        found.setdefault(user_id, set()).add(Role(role))
    return found


async def grant(session: AsyncSession, user_id: str, role: Role, granted_by: str) -> None:
    """Gives the user a role; nothing happens when they have it."""
    await session.execute(
        insert(UserRole)
        .values(user_id=user_id, role=role.value, granted_by=granted_by)
        .on_conflict_do_nothing()
    )


async def revoke(session: AsyncSession, user_id: str, role: Role) -> None:
    """Takes the role from the user; nothing happens when they do not have it."""
    await session.execute(
        delete(UserRole).where(UserRole.user_id == user_id, UserRole.role == role.value)
    )


async def verify(session: AsyncSession, user_id: str, identity_hash: str, by: str) -> User | None:
    """Writes down who the user is; None when there is no such user. `by` is the operator's id."""
    user = await _locked(session, user_id)
    if user is not None and user.identity_hash != identity_hash:
        user.identity_hash = identity_hash
        user.verified_at = func.now()
        record(session, user_id, AccountEvent.VERIFIED, by=by)
        await session.flush()
        await session.refresh(user)
    return user


async def unverify(session: AsyncSession, user_id: str, by: str) -> User | None:
    """Forgets who the user is; None when there is no such user. `by` is the operator's id."""
    user = await _locked(session, user_id)
    if user is not None and user.identity_hash is not None:
        user.identity_hash = user.verified_at = None
        record(session, user_id, AccountEvent.UNVERIFIED, by=by)
    return user


async def _locked(session: AsyncSession, user_id: str) -> User | None:
    return await session.get(User, user_id, with_for_update={"key_share": True})


def record(
    session: AsyncSession,
    user_id: str,
    event: AccountEvent,
    *,
    by: str | None,
    reason: str | None = None,
    key: str | None = None,
    capability: Capability | None = None,
) -> None:
    """Writes down what was done to an account; once by `key`, if there is one. `by` is None for the platform itself."""
    session.add(
        AccountEventRow(
            key=key,
            user_id=user_id,
            kind=event.value,
            reason=reason,
            capability=capability,
            by_id=by,
        )
    )


async def events(
    session: AsyncSession, user_id: str, after: int | None, limit: int
) -> Sequence[AccountEventRow]:
    """What was done to an account, newest first, before the event with that id."""
    query = (
        select(AccountEventRow)
        .where(AccountEventRow.user_id == user_id)
        .order_by(AccountEventRow.id.desc())
        .limit(limit)
    )
    if after is not None:
        query = query.where(AccountEventRow.id < after)
    return (await session.scalars(query)).all()


async def in_review(session: AsyncSession, user_ids: Collection[str]) -> set[str]:
    """Which of the users an operator is to look at."""
    rows = await session.scalars(
        select(Case.subject).where(
            Case.kind == CaseKind.ACCOUNT_REVIEW,
            Case.subject.in_(user_ids),
            Case.ended_at.is_(None),
        )
    )
    return set(rows)
