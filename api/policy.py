"""The glue between routes and domain.access: who the caller is to a thing, and what the API then answers.

What somebody may not even see does not exist for them (404); what they may see but not do is forbidden (403).
"""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy.ext.asyncio import AsyncSession

from api.auth import Caller
from db.queries import paths
from domain import access
from domain.access import Action, Relation
from domain.errors import NotFound
from runtime.logging import bind

require = access.require
"""Raises Forbidden unless one of the relations allows the action."""


def require_visible(view: Action, relations: Collection[Relation], what: str) -> None:
    """Raises NotFound, in the same words as for a thing that does not exist, unless `view` is allowed."""
    if not access.allowed(view, relations):
        raise unknown(what)


def unknown(what: str) -> NotFound:
    """The one answer for things that do not exist and things that are not for the caller."""
    return NotFound(f"there is no such {what}")


async def path_relations(session: AsyncSession, user: Caller, path_id: str) -> frozenset[Relation]:
    """What the caller is to a path. Raises NotFound when it does not exist or they are nothing to it."""
    bind(path_id=path_id)
    parties = await paths.parties(session, path_id)
    if parties is None:
        raise unknown("path")
    relations = user.relations(buyer=parties.buyer_id, seller=parties.seller_id)
    require_visible(Action.SALE_VIEW, relations, "path")
    return relations


async def require_on_path(
    session: AsyncSession, user: Caller, action: Action, path_id: str
) -> frozenset[Relation]:
    """What the caller is to the path they may act on. Raises NotFound or Forbidden."""
    relations = await path_relations(session, user, path_id)
    require(action, relations)
    return relations
