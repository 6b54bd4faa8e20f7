"""What campaigns get of a call's money after their success: it was in doubt then, and the bank has decided since."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from activities import payees
from activities.settlement import net_debts
from activities.transitions import advance, close_when_empty, lock_path, timers
from db import fulfilment_rows, match_rows
from db.tables import Campaign, Path
from domain import postings_match
from domain.campaign import GIVES_BACK, CampaignTerms, Phase
from domain.campaign_delivery import releasable, release_entry, released
from domain.ids import step_key
from domain.money import format_money
from domain.postings import JournalEntry


async def hand_over(session: AsyncSession, campaign_id: str, key: str, at: datetime) -> None:
    """A campaign that has succeeded gets what has waited for the bank; of one that gives everything back it is free again.

    It is released as late pledges are: with the next part or within a week, at once when all is released already. Called
    again it does nothing.
    """
    key = step_key(key, campaign_id)
    path = await lock_path(session, campaign_id)
    if path.phase in GIVES_BACK:
        await match_rows.free_campaign(session, campaign_id)
        return
    used = await match_rows.use(session, campaign_id)
    if not used:
        return
    row = await session.get_one(Campaign, campaign_id, populate_existing=True)
    terms = CampaignTerms.model_validate(row.terms)
    total = sum(each.amount for each in used)
    row.taken_in += total
    row.moves += 1
    entries = [
        postings_match.match_used(
            step_key(key, f"match/{each.call_id}"),
            each.call_id,
            campaign_id,
            each.amount,
            each.currency,
        )
        for each in used
    ]
    advance(
        session,
        path,
        key=key,
        kind="match_paid",
        phase=path.phase,
        actor="system",
        summary=(
            f"{format_money(total, path.currency)} of match calls that a bank had for the moment "
            "is in escrow"
        ),
        deadlines=timers(path),
    )
    await session.flush()
    await fulfilment_rows.retime(session, path, row, terms, at)
    if path.phase != Phase.COMPLETED:
        await payees.post(session, *entries)
        return
    entries += await _the_rest(session, path, row, terms, key)
    await payees.post(session, *entries)
    await net_debts(session, terms.creator_id, terms.currency, key, campaign_id)
    await close_when_empty(session, path, at)


async def _the_rest(
    session: AsyncSession, path: Path, row: Campaign, terms: CampaignTerms, key: str
) -> list[JournalEntry]:
    """RELEASE of all that a completed campaign holds, which no timer would release any more."""
    ledger = fulfilment_rows.ledger_of(row)
    parts = [
        fulfilment_rows.as_part(each) for each in await fulfilment_rows.tranches(session, path.id)
    ]
    after = released(ledger, releasable(ledger, parts), terms.policy.fee_basis_points)
    entry = release_entry(terms, ledger, after, step_key(key, "release"))
    fulfilment_rows.keep_ledger(row, after)
    return [entry] if entry else []
