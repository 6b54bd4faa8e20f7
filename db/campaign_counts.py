"""What stands of a campaign, counted in its pledges, and what silence would make of it."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import BigInteger, cast, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from db import match_due
from db.tables import Campaign, Pledge
from domain.campaign import CampaignTerms, Count, Phase, after_waiting, decided
from domain.campaign_deadlines import FIXING, SLOW_FUNDS, Promised, with_match
from domain.deadlines import Deadline
from domain.pledge import PAID, STANDING, Method, PledgeState

_TO_CHARGE = (PledgeState.SAVED, PledgeState.CHARGING, PledgeState.ERRORED)
_CERTAIN = STANDING - {PledgeState.ERRORED}
"""What stands if nobody mends anything and all charges under way succeed."""


async def counted(
    session: AsyncSession, campaign_id: str, standing: Collection[PledgeState] = STANDING
) -> Count:
    """What stands of a campaign right now, in these states. Exact for those who hold the path's lock."""
    rows = await session.execute(
        select(
            Pledge.state,
            Pledge.method,
            func.count(),
            func.sum(Pledge.amount),
            # What is planned to go back, though not written down as a refund yet, is not the campaign's.
            func.sum(Pledge.paid - Pledge.refunded - func.coalesce(Pledge.to_refund, 0)),
        )
        .where(
            Pledge.campaign_id == campaign_id,
            Pledge.state.in_(sorted({*standing, PledgeState.INITIATED})),
        )
        .group_by(Pledge.state, Pledge.method)
    )
    found = dict.fromkeys(Count.model_fields, 0)
    for state, method, pledges, amount, paid in rows:
        if state in standing:
            found["pledges"] += pledges
            found["pledged"] += int(amount)
            found["paid"] += int(paid) if state in PAID else 0
            found["to_charge"] += pledges if state in _TO_CHARGE else 0
        elif method == Method.BANK:
            found["slow_pledges"] += pledges
            found["slow"] += int(amount)
    more = await session.execute(
        select(
            func.count(),
            func.sum(cast(Pledge.pending["amount"].astext, BigInteger) - Pledge.amount),
        ).where(
            Pledge.campaign_id == campaign_id,
            Pledge.state == PledgeState.FUNDED,
            Pledge.method == Method.BANK,
            Pledge.pending.is_not(None),
        )
    )
    changes, growth = more.one()
    found["slow_pledges"] += changes
    found["slow"] += int(growth or 0)
    for each in await match_due.expected(session, campaign_id, standing):
        if each.of is None or each.of in standing:
            found["matched"] += each.amount
        elif each.of is PledgeState.INITIATED:
            # It comes with the money that is still under way, or not at all.
            found["slow"] += each.amount
    return Count(**found)


async def promised_if_silent(
    session: AsyncSession, row: Campaign, terms: CampaignTerms, phase: Phase
) -> tuple[Promised, ...]:
    """What match calls pay by call, when the phase's timer fires and nothing has happened before; nothing without success."""
    count = await counted(session, row.id, _CERTAIN)
    if phase is Phase.COLLECTING:
        if count.slow_pledges:
            return ()
        then = decided(terms, count.model_copy(update={"paid": count.pledged}))
    else:
        silent = count.model_copy(update={"slow": 0, "slow_pledges": 0})
        charged = row.fix_until is not None
        then = decided(terms, silent) if charged else after_waiting(terms, silent)
    if then is not Phase.SUCCESSFUL:
        return ()
    by_call: dict[str, int] = {}
    for each in await match_due.expected(session, row.id, _CERTAIN):
        if each.of is None or each.of in _CERTAIN:
            by_call[each.call_id] = by_call.get(each.call_id, 0) + each.amount
    return tuple(Promised(call_id=one, amount=by_call[one]) for one in sorted(by_call))


async def timers_now(
    session: AsyncSession, campaign_id: str, phase: str, running: Sequence[Deadline]
) -> tuple[Deadline, ...]:
    """The pending timers with what they would post if they fired now: pledges change it, and no transition hears of them."""
    if not any(each.name in (FIXING, SLOW_FUNDS) for each in running):
        return tuple(running)
    row = await session.get_one(Campaign, campaign_id, populate_existing=True)
    terms = CampaignTerms.model_validate(row.terms)
    promised = await promised_if_silent(session, row, terms, Phase(phase))
    return tuple(with_match(terms, each, promised) for each in running)
