"""Users as the API shows and takes them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Self

from pydantic import Field, SecretStr

from api.schemas.base import Body, Line, Name, Utc, View
from db.tables import AccountEventRow, SelfDealingRefusal, User
from domain.access import Action, Role
from domain.capabilities import Capability
from domain.ids import UserId
from domain.people import AccountEvent, AccountState, TieKind, account_state

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
    closing_at: Utc | None = Field(
        description="Since when the account is being closed: its money leaves, nothing else can be begun."
    )
    lacks: list[Capability] = Field(
        description="What the account may not do at present: all of it when it is frozen."
    )

    @classmethod
    def with_roles(cls, user: User, roles: Collection[Role]) -> Self:
        """A user row with its roles."""
        return cls.model_validate(_fields(user, roles))


class AccountView(UserView):
    """A user as operators and administrators see them."""

    verified_at: Utc | None
    frozen_at: Utc | None
    frozen_reason: str | None
    state: AccountState

    @classmethod
    def of_account(cls, user: User, roles: Collection[Role], *, in_review: bool) -> Self:
        """A user row with its roles; `in_review`: whether an operator is to look at it."""
        state = account_state(
            closing=user.closing_at is not None,
            closed=user.closed_at is not None,
            frozen=user.frozen_at is not None,
            limited=bool(user.limited),
            in_review=in_review,
        )
        return cls.model_validate({**_fields(user, roles), "state": state})


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
        "closing_at": user.closing_at,
        "lacks": _lacks(user),
    }


def _lacks(user: User) -> list[Capability]:
    if user.frozen_at is not None:
        return list(Capability)
    taken = {Capability(each) for each in user.limited}
    if user.closing_at is not None:
        taken |= set(Capability) - {Capability.WITHDRAW}
    return sorted(taken)


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
    """Why an operator freezes, limits or clears an account, or wants a look at it."""

    reason: Line = Field(examples=["Stolen cards, case 4711"])


class ReviewRequest(Body):
    """Why somebody asks for a look at their own account."""

    words: Line = Field(examples=["The parcels of case 4711 have arrived, see their scans"])


class AccountEventView(View):
    """Something that was done to an account."""

    id: int
    kind: AccountEvent
    capability: Capability | None = Field(description="What was taken away or given back.")
    reason: str | None
    by_id: UserId | None = Field(description="Null: the platform itself.")
    at: Utc

    @classmethod
    def of(cls, row: AccountEventRow) -> Self:
        """The view of an event's row."""
        return cls(
            id=row.id,
            kind=AccountEvent(row.kind),
            capability=Capability(row.capability) if row.capability else None,
            reason=row.reason,
            by_id=row.by_id,
            at=row.at,
        )


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
