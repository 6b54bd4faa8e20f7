"""Users, their profile and their roles."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from api.auth import Caller, CurrentUser, effective_roles
from api.errors import problems
from api.policy import require, unknown
from api.schemas.base import Limit, Page, page_of
from api.schemas.users import AccountView, ProfileChange, PublicUser, UserView
from api.services import Services, ServicesDep
from db.queries import users
from db.tables import User
from domain.access import Action, Role
from domain.errors import Forbidden, NotFound
from domain.ids import UserId

router = APIRouter(tags=["users"])
UserCursor = Annotated[UserId | None, Query(description="`next` of the page before.")]


@router.get("/v1/me", operation_id="getMe", summary="The signed-in user")
async def me(user: CurrentUser, services: ServicesDep) -> UserView:
    """Who the bearer token stands for. The first request of a new user makes them known to the platform."""
    async with services.database.reading() as session:
        row = await users.get_existing(session, user.id)
    return UserView.with_roles(row, user.roles)


@router.patch("/v1/me", operation_id="updateMe", summary="Change the own profile")
async def update_me(body: ProfileChange, user: CurrentUser, services: ServicesDep) -> UserView:
    """Gives the signed-in user another display name."""
    require(Action.PROFILE_EDIT, user.relations(owner=user.id))
    async with services.database.transaction() as session:
        row = await users.rename(session, user.id, body.display_name)
    return UserView.with_roles(row, user.roles)


@router.get(
    "/v1/users",
    operation_id="listUsers",
    summary="All users, oldest first",
    responses=problems(Forbidden),
)
async def list_users(
    user: CurrentUser, services: ServicesDep, after: UserCursor = None, limit: Limit = 50
) -> Page[AccountView]:
    """For operators and administrators."""
    require(Action.USER_LIST, user.relations())
    async with services.database.reading() as session:
        rows = await users.page(session, after, limit + 1)
        ids = [row.id for row in rows]
        roles, in_review = (
            await users.roles_of(session, ids),
            await users.in_review(session, ids),
        )
    admins = services.settings.admin_subjects

    def view(row: User) -> AccountView:
        held = effective_roles(row.subject, roles.get(row.id, set()), admins)
        return AccountView.of_account(row, held, in_review=row.id in in_review)

    return page_of(rows, limit, view, lambda row: row.id)


@router.get(
    "/v1/users/{user_id}",
    operation_id="getUser",
    summary="The public part of a user",
    responses=problems(NotFound),
)
async def get_user(user_id: UserId, services: ServicesDep) -> PublicUser:
    """What everybody may know about a user; needs no token."""
    async with services.database.reading() as session:
        row = await users.get(session, user_id)
    if row is None:
        raise unknown("user")
    return PublicUser.of(row)


@router.put(
    "/v1/users/{user_id}/roles/{role}",
    operation_id="grantRole",
    summary="Give a user a role",
    responses=problems(Forbidden, NotFound),
)
async def grant_role(
    user_id: UserId, role: Role, user: CurrentUser, services: ServicesDep
) -> UserView:
    """For administrators. Granting a role that the user has changes nothing."""
    return await _change_role(services, user, user_id, role, granted=True)


@router.delete(
    "/v1/users/{user_id}/roles/{role}",
    operation_id="revokeRole",
    summary="Take a role from a user",
    responses=problems(Forbidden, NotFound),
)
async def revoke_role(
    user_id: UserId, role: Role, user: CurrentUser, services: ServicesDep
) -> UserView:
    """For administrators. Roles that come from the settings (`admin_subjects`) stay."""
    return await _change_role(services, user, user_id, role, granted=False)


async def _change_role(
    services: Services, user: Caller, user_id: str, role: Role, *, granted: bool
) -> UserView:
    require(Action.ROLE_GRANT, user.relations())
    async with services.database.transaction() as session:
        row = await users.get(session, user_id)
        if row is None:
            raise unknown("user")
        if granted:
            await users.grant(session, user_id, role, granted_by=user.id)
        else:
            await users.revoke(session, user_id, role)
        roles = (await users.roles_of(session, [user_id])).get(user_id, set())
    admins = services.settings.admin_subjects
    return UserView.with_roles(row, effective_roles(row.subject, roles, admins))
