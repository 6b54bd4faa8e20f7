"""Who is asking: bearer token -> user row and roles."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from api.gates import pass_gate
from api.rate_limits import count_of
from api.services import ServicesDep
from db.queries import users
from domain.access import Relation, Role
from domain.capabilities import Capability
from domain.errors import Unauthenticated
from runtime.logging import bind

_ROLE_RELATIONS = {Role.OPERATOR: Relation.OPERATOR, Role.ADMIN: Relation.ADMIN}
_ENDED = frozenset(Capability) - {Capability.WITHDRAW}
_bearer = HTTPBearer(
    auto_error=False,
    bearerFormat="JWT",
    scheme_name="bearer",
    description="A token of the OpenID Connect issuer, for the audience of this platform.",
)


@dataclass(frozen=True)
class Caller:
    """The signed-in user of a request."""

    id: str
    display_name: str
    roles: frozenset[Role]
    frozen: bool = False
    """Frozen by an operator: may look at what is theirs, but not begin anything."""
    limited: frozenset[Capability] = frozenset()
    """What is taken away of what the account may do."""
    signed_in_at: int | None = None
    """When they last signed in, in seconds since 1970; None when the issuer does not tell."""

    def relations(
        self, *, owner: str | None = None, buyer: str | None = None, seller: str | None = None
    ) -> frozenset[Relation]:
        """What the caller is to a thing with this owner, buyer or seller (user ids).

        The roles of a frozen account rest: it may be in other hands.
        """
        roles = frozenset() if self.frozen else self.roles
        found = {Relation.MEMBER, *(_ROLE_RELATIONS[role] for role in roles)}
        parts = {Relation.OWNER: owner, Relation.BUYER: buyer, Relation.SELLER: seller}
        found.update(relation for relation, user_id in parts.items() if user_id == self.id)
        return frozenset(found)


async def _optional_user(
    request: Request,
    services: ServicesDep,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> Caller | None:
    count = count_of(request)
    if credentials is None or not credentials.credentials:
        if count is not None and "authorization" in request.headers:
            await count.for_guest()
        return None
    try:
        identity = await services.verifier.verify(credentials.credentials)
    except Unauthenticated:
        if count is not None:
            await count.for_guest()
        raise
    async with services.database.reading() as session:
        user = await users.signed_in(session, identity.issuer, identity.subject, identity.name)
    if user.closed:
        raise Unauthenticated("this account is closed")
    if count is not None:
        await count.for_user(user.id)
    bind(user_id=user.id)
    admins = services.settings.admin_subjects
    return Caller(
        id=user.id,
        display_name=user.display_name,
        roles=effective_roles(identity.subject, user.roles, admins),
        frozen=user.frozen,
        # An account that closes begins nothing, but its money leaves.
        limited=user.limited | (_ENDED if user.closing else frozenset()),
        signed_in_at=identity.signed_in_at,
    )


async def _current_user(
    user: Annotated[Caller | None, Depends(_optional_user)],
    request: Request,
    services: ServicesDep,
) -> Caller:
    if user is None:
        raise Unauthenticated(
            "no bearer token", field="Authorization", accepted="Authorization: Bearer <token>"
        )
    pass_gate(
        request, user.limited, user.signed_in_at, step_up_seconds=services.settings.step_up_seconds
    )
    return user


def effective_roles(
    subject: str, granted: Collection[Role], admin_subjects: Collection[str]
) -> frozenset[Role]:
    """The granted roles, and both roles for subjects that the settings make administrators."""
    return frozenset(Role) if subject in admin_subjects else frozenset(granted)


OptionalUser = Annotated[Caller | None, Depends(_optional_user)]
"""The signed-in user, or None without a token. A token that is not valid is still answered with 401."""
TOKEN_OPTIONAL: dict[str, list[dict[str, list[str]]]] = {"security": [{}]}
"""The `openapi_extra=` of a route with OptionalUser: it can be called without a token, too."""
CurrentUser = Annotated[Caller, Depends(_current_user)]
"""The signed-in user. Answers 401 without a valid bearer token and 503 when that cannot be found out."""
