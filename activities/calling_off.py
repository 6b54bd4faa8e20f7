"""Calling a path off by its own event for operators, in the caller's transaction or by its own story."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession
from temporalio.client import Client, WorkflowUpdateFailedError
from temporalio.service import RPCError, RPCStatusCode

from activities.campaigns import Campaigns
from activities.command_ways import Done, Ordered, Told
from activities.contests import Contests
from activities.in_kind import HelpInKind
from activities.lots import Lots
from activities.match_calls import MatchCalls
from activities.productions import Productions
from activities.sales import Sales
from activities.tenders import Tenders
from activities.transitions import lock_path
from db import command_rows
from db.engine import OpenTransaction
from domain import campaign, contest, in_kind, lot, match_call, production, sale, tender
from domain.campaign_messages import CampaignAct, CampaignStep
from domain.commands import CancelPath, Executed, Tell, can_cancel
from domain.contest_messages import ContestAct, ContestStep
from domain.errors import Unavailable, WrongPhase
from domain.in_kind_messages import InKindAct, InKindStep
from domain.match_call_messages import CallAct, CallStep
from domain.path import Act, Standing
from domain.production_messages import LotAct, LotStep, ProductionAct, ProductionStep
from domain.sale_messages import SaleAct, SaleStep
from domain.tender_messages import TenderAct, TenderStep
from runtime.temporal_errors import domain_error_of

_OPERATOR = "operator"


class Stage:
    """Activities of paths that work in one open transaction, whoever ends it."""

    def __init__(self, session: AsyncSession, temporal: Client) -> None:
        self.database = OpenTransaction(session)
        self.temporal = temporal

    async def sale(self, path_id: str, key: str, at: datetime) -> None:
        """Before the parcel is sent."""
        await Sales(self.database, self.temporal, payout_at_once=False).move(
            SaleStep(
                sale_id=path_id,
                key=key,
                event=sale.Event.CANCELLED,
                act=SaleAct(actor=_OPERATOR),
                at=at,
            )
        )

    async def contest(self, path_id: str, key: str, at: datetime) -> Standing:
        """While nobody has a claim."""
        return await Contests(self.database, self.temporal, payout_at_once=False).move(
            ContestStep(
                contest_id=path_id,
                key=key,
                event=contest.Event.CANCELLED,
                act=ContestAct(actor=_OPERATOR),
                at=at,
            )
        )

    async def tender(self, path_id: str, key: str, at: datetime) -> Standing:
        """Before anybody was chosen."""
        return await Tenders(self.database, self.temporal, payout_at_once=False).move(
            TenderStep(
                tender_id=path_id,
                key=key,
                event=tender.Event.CANCELLED,
                act=TenderAct(actor=_OPERATOR),
                at=at,
            )
        )

    async def campaign(self, path_id: str, key: str, at: datetime) -> Standing:
        """At any time; the money of its pledges goes back in batches afterwards."""
        return await Campaigns(
            self.database, self.temporal, payout_at_once=False, rate_per_second=0
        ).move(
            CampaignStep(
                campaign_id=path_id,
                key=key,
                event=campaign.Event.BANNED,
                act=CampaignAct(actor=_OPERATOR),
                at=at,
            )
        )

    async def match_call(self, path_id: str, key: str, at: datetime) -> Standing:
        """While it is open."""
        return await MatchCalls(self.database, self.temporal, payout_at_once=False).move(
            CallStep(
                call_id=path_id,
                key=key,
                event=match_call.Event.CANCELLED,
                act=CallAct(actor=_OPERATOR),
                at=at,
            )
        )

    async def in_kind(self, path_id: str, key: str, at: datetime) -> Standing:
        """Before anything was handed over."""
        return await HelpInKind(self.database, self.temporal, payout_at_once=False).move(
            InKindStep(
                in_kind_id=path_id,
                key=key,
                event=in_kind.Event.CANCELLED,
                act=InKindAct(actor=_OPERATOR),
                at=at,
            )
        )

    async def production(self, path_id: str, key: str, at: datetime) -> Standing:
        """Nothing more can be claimed; what runs is finished."""
        return await Productions(self.database).move(
            ProductionStep(
                order_id=path_id,
                key=key,
                event=production.Event.CANCELLED,
                act=ProductionAct(actor=_OPERATOR),
                at=at,
            )
        )

    async def lot(self, path_id: str, key: str, at: datetime) -> Standing:
        """Before materials are sent."""
        return await Lots(self.database, self.temporal, payout_at_once=False).move(
            LotStep(
                lot_id=path_id,
                key=key,
                event=lot.Event.CALLED_OFF,
                act=LotAct(actor=_OPERATOR),
                at=at,
            )
        )


CALLED_OFF: dict[str, Callable[[Stage, str, str, datetime], Awaitable[Standing | None]]] = {
    "sale": Stage.sale,
    "contest": Stage.contest,
    "tender": Stage.tender,
    "campaign": Stage.campaign,
    "match_call": Stage.match_call,
    "in_kind": Stage.in_kind,
    "production": Stage.production,
    "lot": Stage.lot,
}
"""By kind of path: its own transition, as its story would bring it about."""
_UPDATES: dict[str, tuple[str, type[Act] | type[SaleAct]]] = {
    "sale": ("cancel", SaleAct),
    "tender": ("cancel", TenderAct),
    "campaign": ("ban", CampaignAct),
    "match_call": ("cancel", CallAct),
    "production": ("cancel", ProductionAct),
    "lot": ("call_off", LotAct),
}
"""Kinds whose story has more to do than the transition, such as closing pages to pay. The others are told of it."""


async def call_off(ordered: Ordered) -> Done:
    """The path's own end, in this transaction. Raises NotFound and WrongPhase."""
    assert isinstance(ordered.order, CancelPath)
    path_id = ordered.order.path_id
    # A lot is locked after its order.
    path = None if path_id.startswith("lot_") else await lock_path(ordered.session, path_id)
    amounts = await command_rows.holds(ordered.session, path_id)
    kind = "lot" if path is None else path.kind
    if path is not None and not can_cancel(path.kind, path.phase):
        raise WrongPhase(
            f"operators cannot call off a {path.kind.replace('_', ' ')} that is {path.phase}",
            field="phase",
            accepted="what the case lists as next",
        )
    stage = Stage(ordered.session, ordered.temporal)
    standing = await CALLED_OFF[kind](stage, path_id, ordered.key, ordered.at)
    path = path or await lock_path(ordered.session, path_id)
    return Done(
        executed=Executed(
            tell=Tell.MOVED if standing is not None else Tell.NOTHING,
            workflow_id=path.workflow_id,
            standing=standing,
        ),
        amounts=amounts,
        words=(f"The path is {path.phase} then",),
    )


STORIES = frozenset(_UPDATES)


async def tell_to_call_off(told: Told) -> None:
    """The path's own story calls it off; whatever is repeated, once. Raises what the story refuses."""
    update, act = _UPDATES[told.kind]
    said = act(actor=_OPERATOR, user_id=told.by, phase_seen=told.phase)
    try:
        await told.temporal.get_workflow_handle(told.workflow_id).execute_update(
            update, said, id=told.id
        )
    except (WorkflowUpdateFailedError, RPCError) as failed:
        if isinstance(failed, RPCError) and failed.status is RPCStatusCode.NOT_FOUND:
            raise WrongPhase("the path's story has ended", field="phase") from failed
        raise domain_error_of(failed) or Unavailable("the path's story does not answer") from failed
