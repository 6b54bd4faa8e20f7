"""Users as the API shows and takes them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Self

from pydantic import Field, SecretStr

from api.schemas.base import Body, Line, Name, Utc, View
from db.tables import SelfDealingRefusal, User
from domain.access import Action, Role
from domain.ids import UserId
from domain.people import TieKind

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
    verified: bool = Field(description="Whether an operator has seen who this is.")
    frozen: bool = Field(description="Whether the account may only look, and its money is held.")

    @classmethod
    def with_roles(cls, user: User, roles: Collection[Role]) -> Self:
        """A user row with its roles."""
        return cls.model_validate(_fields(user, roles))


class AccountView(UserView):
    """A user as operators and administrators see them."""

    verified_at: Utc | None
    frozen_at: Utc | None
    frozen_reason: str | None


def _fields(user: User, roles: Collection[Role]) -> dict[str, object]:
    """What any view of a user shows; each takes its own part."""
    return {
        "id": user.id,
        "display_name": user.display_name,
        "member_since": user.created_at,
        "roles": sorted(roles),
        "issuer": user.issuer,
        "subject": user.subject,
        "verified": user.identity_hash is not None,
        "frozen": user.frozen_at is not None,
        "verified_at": user.verified_at,
        "frozen_at": user.frozen_at,
        "frozen_reason": user.frozen_reason,
    }


class ProfileChange(Body):
    """What users may change about themselves."""

    display_name: Name = Field(examples=["Lin Mei"])


class Identity(Body):
    """A document that an operator has seen. It is kept as a keyed hash only."""

    document: SecretStr = Field(
        max_length=100,
        description="Country code, colon and number; spaces, hyphens and lower case make no difference.",
        examples=["CN:110101199003070017"],
    )


class AccountReason(Body):
    """Why an operator freezes or unfreezes an account."""

    reason: Line = Field(examples=["Stolen cards, case 4711"])


class SelfDealingRefusalView(View):
    """Somebody was kept from a path of their own, or of an account that counts as the same person."""

    id: int
    path_id: str | None = Field(
        description="Null when the path would only have come to be by the refused request."
    )
    action: Action = Field(examples=["sale.place"])
    user_id: UserId = Field(description="Who was refused.")
    other_id: UserId = Field(description="As whom they count, too.")
    tie: TieKind = Field(description="Why they count as the same person.")
    at: Utc

    @classmethod
    def of(cls, row: SelfDealingRefusal) -> Self:
        """The view of a refusal's row."""
        return cls(
            id=row.id,
            path_id=row.path_id,
            action=Action(row.action),
            user_id=row.user_id,
            other_id=row.other_id,
            tie=TieKind(row.tie),
            at=row.at,
        )
