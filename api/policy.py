"""The glue between routes and domain.access: who the caller is to a thing, and what the API then answers.

What somebody may not even see does not exist for them (404); what they may see but not do is forbidden (403).
"""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy.ext.asyncio import AsyncSession

from api.auth import Caller
from api.services import Services
from db import campaign_rows
from db.queries import chargebacks, kinship, paths, refusals
from db.queries.paths import Seen as PathSeen
from domain import access, campaign, production, tender
from domain.access import Action, Relation
from domain.errors import AccountFrozen, NotFound, PayerLocked, SelfDealing
from runtime.logging import bind

require = access.require
"""Raises Forbidden unless one of the relations allows the action."""


def require_visible(view: Action, relations: Collection[Relation], what: str) -> None:
    """Raises NotFound, in the same words as for a thing that does not exist, unless `view` is allowed."""
    if not access.allowed(view, relations):
        raise unknown(what)


def require_active(user: Caller) -> None:
    """Raises AccountFrozen unless the caller may begin something.

    Call it before `once`, whose answers are kept: the account may be unfrozen.
    """
    if user.frozen:
        raise AccountFrozen("your account is frozen", accepted="reading; ask an operator")


async def require_may_pay(services: Services, user: Caller) -> None:
    """Raises PayerLocked while the caller's bank has taken money back that was neither won nor cleared.

    For whatever the caller would pay for anew; what runs already goes on. Call it before `once`, like `require_active`.
    """
    async with services.database.transaction() as session:
        found = await chargebacks.locking(session, user.id)
    if found is not None:
        raise PayerLocked(
            f"your bank has taken back what you paid for {found.path_id}",
            accepted=f"withdraw the chargeback {found.id} at your bank, or ask an operator to clear it",
        )


async def refuse_self_dealing(
    services: Services,
    action: Action,
    path_id: str | None,
    user_id: str,
    others: kinship.Others,
    *,
    request_id: str | None = None,
) -> None:
    """Raises SelfDealing when the user counts as the same person as one of the others; operators see why.

    The refusal is committed at once, in a transaction of its own, whatever becomes of the request's; hold no lock on
    the row of either user meanwhile. `request_id` is the id that `once` hands out: a request that is repeated is
    written down once. `path_id` is None when the path would only come to be by the request.
    """
    async with services.database.transaction() as session:
        tie = await kinship.tie(session, user_id, others)
        if tie is not None:
            await refusals.record(
                session,
                request_id=request_id,
                path_id=path_id,
                action=action,
                user_id=user_id,
                tie=tie,
            )
    if tie is not None:
        raise SelfDealing(
            "you may not take part in your own path, nor with an account of the same person"
        )


def unknown(what: str) -> NotFound:
    """The one answer for things that do not exist and things that are not for the caller."""
    return NotFound(f"there is no such {what}")


_VIEW = {
    "sale": Action.SALE_VIEW,
    "order": Action.ORDER_VIEW,
    "return": Action.RETURN_VIEW,
    "dispute": Action.DISPUTE_SEE,
    "contest": Action.CONTEST_VIEW,
    "tender": Action.TENDER_VIEW,
    "ballot": Action.BALLOT_VIEW,
    "campaign": Action.CAMPAIGN_VIEW,
    "match_call": Action.MATCH_VIEW,
    "in_kind": Action.IN_KIND_VIEW,
    "production": Action.PRODUCTION_VIEW,
    "lot": Action.LOT_VIEW,
}
"""By kind of path: what lets somebody see it."""
DRAFT = "draft"
"""The phase in which only its initiator sees a path."""
_PRIVATE: dict[str, frozenset[str]] = {
    "campaign": frozenset(campaign.PRIVATE),
    "production": frozenset(production.PRIVATE),
}
"""By kind of path: the phases in which only its initiator and operators see it, where that is not only the draft."""


async def on_path(
    session: AsyncSession, user: Caller, action: Action | None, path_id: str, what: str = "path"
) -> PathSeen:
    """The path and what the caller is to it, who may act on it; None for looking. Raises NotFound or Forbidden."""
    bind(path_id=path_id)
    seen = await paths.seen_by(session, path_id, user.id)
    if seen is None:
        raise unknown(what)
    relations = user.relations() | seen.relations
    require_visible(_VIEW[seen.kind], relations, what)
    outside = not relations & {Relation.INITIATOR, Relation.OPERATOR}
    if outside and seen.phase in _PRIVATE.get(seen.kind, {DRAFT}):
        raise unknown(what)
    given_up = (seen.kind, seen.phase) == ("campaign", campaign.Phase.CANCELLED)
    # A campaign that was given up before anybody had approved it stays as private as it was.
    if outside and given_up and not await campaign_rows.was_shown(session, path_id):
        raise unknown(what)
    require(action or _VIEW[seen.kind], relations)
    return PathSeen(
        kind=seen.kind, phase=seen.phase, workflow_id=seen.workflow_id, relations=relations
    )


async def see_path(session: AsyncSession, user: Caller, path_id: str) -> PathSeen:
    """The path and what the caller is to it, who may see it. Raises NotFound."""
    return await on_path(session, user, None, path_id)


async def see_progress(session: AsyncSession, user: Caller, path_id: str) -> PathSeen:
    """The same for its deadlines and timeline. Raises NotFound, and Forbidden when they tell what others agreed on."""
    seen = await see_path(session, user, path_id)
    if seen.kind == "tender" and seen.phase not in tender.PUBLIC:
        require(Action.PATH_STATEMENT_VIEW, seen.relations)
    if seen.kind == "in_kind":
        require(Action.IN_KIND_FOLLOW, seen.relations)
    return seen


async def require_on_path(
    session: AsyncSession, user: Caller, action: Action, path_id: str
) -> frozenset[Relation]:
    """What the caller is to the path they may act on. Raises NotFound or Forbidden."""
    return (await on_path(session, user, action, path_id)).relations


def role_of(relations: frozenset[Relation]) -> str:
    """The role in which somebody acts on a path; a party acts as that even when an operator."""
    for role in _ROLES:
        if role in relations:
            return role
    return Relation.OPERATOR


_ROLES = (
    Relation.CLAIMANT,
    Relation.RESPONDENT,
    Relation.BUYER,
    Relation.SELLER,
    Relation.INITIATOR,
    Relation.CREATOR,
    Relation.BIDDER,
    Relation.ASKER,
    Relation.APPROVER,
    Relation.BACKER,
    Relation.MAKER,
    Relation.BROKER,
    Relation.REQUESTER,
    Relation.INSPECTOR,
)
