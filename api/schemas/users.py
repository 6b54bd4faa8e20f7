"""Users as the API shows and takes them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Self

from pydantic import Field

from api.schemas.base import Body, Name, Utc, View
from db.tables import User
from domain.access import Role
from domain.ids import UserId

_ID = "usr_01h45ytscbebyvny4gc8cr8ma2"


class PublicUser(View):
    """What everybody may know about a user."""

    id: UserId = Field(examples=[_ID])
    display_name: str = Field(examples=["Lin Mei"])
    member_since: Utc

    @classmethod
    def of(cls, user: User) -> Self:
        """The public part of a user row."""
        return cls(id=user.id, display_name=user.display_name, member_since=user.created_at)


class UserView(PublicUser):
    """A user as they see themselves and operators see them."""

    roles: list[Role] = Field(examples=[["operator"]])
    issuer: str
    subject: str

    @classmethod
    def with_roles(cls, user: User, roles: Collection[Role]) -> Self:
        """A user row with its roles."""
        return cls(
            id=user.id,
            display_name=user.display_name,
            member_since=user.created_at,
            roles=sorted(roles),
            issuer=user.issuer,
            subject=user.subject,
        )


class ProfileChange(Body):
    """What users may change about themselves."""

    display_name: Name = Field(examples=["Lin Mei"])
