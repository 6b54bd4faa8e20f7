"""What a campaign does when the bank of one of its backers takes money back: it goes on, and that pledge stands still.

Who bears what is lost for good depends on where the campaign stands. Before its success escrow pays and the pledge is
gone. After it escrow pays the share that was not released, the creator the rest, with the commission on it. What a
stopped campaign's creator owes its backers already pays before they are asked again. A backer who has got money back
both from us and from their bank owes it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from activities import payees
from activities.campaign_case import Case, load, unmoved
from activities.campaign_stop import Shared, give_back
from activities.losses import lost_before, lost_entry
from activities.settlement import net_debts
from db import campaign_seats, fulfilment_rows, pledge_states, pledge_stats
from db.match_rows import Matched
from db.tables import Campaign, Path, Payment, Pledge, Refund
from domain import accounts
from domain.accounts import Account
from domain.campaign import CampaignTerms, Event, Phase
from domain.campaign_delivery import (
    Part,
    borne,
    divided,
    match_set_free,
    releasable,
    release_entry,
    released,
)
from domain.campaign_messages import CampaignAct, CampaignStanding
from domain.chargebacks import Lost
from domain.money import basis_points_of
from domain.pledge import PAID, PendingChange, PledgeState
from domain.postings import JournalEntry
from ledger import journal

_S = PledgeState


@dataclass(frozen=True)
class _Bearer:
    """A part of what is lost, and who bears it; minor units."""

    amount: int
    payee: str
    source: Account
    unreleased: int = 0
    fee_returned: int = 0
    beyond: int = 0


async def campaign_dispute_opened(
    session: AsyncSession, path: Path, payment: Payment, at: datetime
) -> None:
    """A bank has taken money of a pledge back for the moment: nothing of it is released or sent back meanwhile."""
    await _recount(session, path, await _pledge_of(session, payment), at)


async def campaign_dispute_won(
    session: AsyncSession, path: Path, payment: Payment, at: datetime
) -> None:
    """The money is there again: what was planned for the pledge is sent, a completed campaign's creator gets the rest."""
    await _recount(session, path, await _pledge_of(session, payment), at)
    if path.phase != Phase.COMPLETED:
        return
    row = await session.get_one(Campaign, path.id)
    terms = CampaignTerms.model_validate(row.terms)
    ledger, parts = fulfilment_rows.ledger_of(row), await _parts(session, path.id)
    after = released(ledger, releasable(ledger, parts), terms.policy.fee_basis_points)
    key = f"{path.id}/won/{row.released}-{after.released}/{payment.id}"
    entry = release_entry(terms, ledger, after, key)
    if entry is not None:
        fulfilment_rows.keep_ledger(row, after)
        await payees.post(session, entry)
        await net_debts(session, terms.creator_id, terms.currency, key, path.id)


async def campaign_pledge_lost(
    session: AsyncSession, path: Path, payment: Payment, lost: Lost
) -> CampaignStanding:
    """A bank keeps what it took of a pledge, or more: posts who bears it. Answers where the campaign stands now."""
    # The loss is no transition of the campaign: its event is the chargeback's.
    case = await load(
        session,
        path,
        event=Event.DISBURSED,
        key=lost.key,
        at=lost.at,
        act=CampaignAct(actor="provider"),
    )
    pledge = await _pledge_of(session, payment)
    beyond = max(0, lost.amount - (payment.amount - await lost_before(session, payment, lost)))
    bought_back = lost.amount - beyond
    here = min(
        bought_back, await _still_here(session, payment, lost), pledge.paid - pledge.refunded
    )
    bearers, matched = await _borne(case, pledge, here)
    if lost.amount > here:
        # The backer has this part twice, but for what was never ours.
        rest = lost.amount - here
        escrow = accounts.escrow(path.id)
        bearers.append(_Bearer(rest, pledge.backer_id, escrow, beyond=beyond))
    await _post(case, payment, lost, bearers, matched.entries)
    await _recount(session, path, pledge, lost.at)
    case.row.moves += 1
    return unmoved(case).model_copy(update={"refunds": matched.refunds})


async def _borne(case: Case, pledge: Pledge, amount: int) -> tuple[list[_Bearer], Shared]:
    """Who bears so much of what is in the books of the pledge, which is written down; and what match calls get back."""
    if not amount:
        return [], Shared()
    escrow = accounts.escrow(case.path.id)
    planned = pledge.to_refund or 0
    collected = pledge.state == _S.COLLECTED and case.row.succeeded_at is not None
    of_campaign = 0
    if collected and case.phase is not Phase.STOPPED:
        of_campaign = min(amount, pledge.paid - pledge.refunded - planned)
    elif case.phase is Phase.STOPPED:
        of_campaign = max(0, amount - planned)
    bearers = []
    if amount > of_campaign:
        # What is on its way back anyway, or waits for a decision, is all in escrow.
        part = amount - of_campaign
        bearers.append(_Bearer(part, pledge.backer_id, escrow, unreleased=part))
        if pledge.to_refund is not None:
            pledge.to_refund = max(0, planned - part)
    if case.phase is Phase.STOPPED:
        bearers += await _of_stopped(case, of_campaign)
    elif of_campaign:
        bearers.append(await _of_creator(case, of_campaign))
    pledge.refunded += amount
    await pledge_stats.note(case.session, [pledge_states.delta(pledge, case.at, paid=-amount)])
    matched = await _taken_out(case, pledge)
    return bearers, matched


async def _of_creator(case: Case, amount: int) -> _Bearer:
    """Escrow pays what was not released of it, the commission and the creator the rest."""
    parts = await _parts(case.session, case.path.id)
    loss = borne(case.ledger, parts, amount, case.terms.policy.fee_basis_points)
    fulfilment_rows.keep_ledger(case.row, loss.after)
    return _Bearer(
        amount,
        case.terms.creator_id,
        accounts.escrow(case.path.id),
        unreleased=loss.from_escrow,
        fee_returned=loss.fee_returned,
    )


async def _of_stopped(case: Case, amount: int) -> list[_Bearer]:
    """What the backer never got back of a stopped campaign: the creator's debt to the backers pays it, else the creator."""
    if not amount:
        return []
    claim = accounts.claim(case.path.id)
    held = await journal.balances(case.session, [claim], case.terms.currency)
    owed = min(amount, held[claim].available)
    ledger = case.ledger.model_copy(
        update={
            "taken_in": case.ledger.taken_in - amount,
            "released": max(0, case.ledger.released - amount),
        }
    )
    bearers = [_Bearer(owed, case.terms.creator_id, claim, unreleased=owed)] if owed else []
    if amount > owed:
        fee = basis_points_of(ledger.released, case.terms.policy.fee_basis_points)
        returned = max(0, case.ledger.fee_taken - fee)
        ledger = ledger.model_copy(update={"fee_taken": case.ledger.fee_taken - returned})
        bearers.append(
            _Bearer(
                amount - owed,
                case.terms.creator_id,
                accounts.escrow(case.path.id),
                fee_returned=returned,
            )
        )
    fulfilment_rows.keep_ledger(case.row, ledger)
    return bearers


async def _taken_out(case: Case, pledge: Pledge) -> Shared:
    """The pledge after the loss: gone when nothing of it is left; before the success also when a part is missing."""
    session, left = case.session, pledge.paid - pledge.refunded
    succeeded = case.row.succeeded_at is not None
    stood = PledgeState(pledge.state) in PAID
    matched = Shared()
    if stood and left == 0:
        if succeeded and case.phase is not Phase.STOPPED:
            matched = await _match_back(case, pledge)
        await _gone(case, pledge, _S.CHARGED_BACK)
    elif stood and not succeeded:
        # It pays no longer for what was chosen: the rest goes back.
        pledge.to_refund = left
        await _gone(case, pledge, _S.REFUNDING)
    elif pledge.state == _S.REFUNDING and left == 0 and not await _on_its_way(session, pledge):
        pledge_states.move(pledge, _S.CHARGED_BACK)
    return matched


async def _gone(case: Case, pledge: Pledge, state: PledgeState) -> None:
    """It stands no more, and neither do its seats and what match calls had reserved."""
    session = case.session
    if pledge.pending is not None:
        seats = PendingChange.model_validate(pledge.pending).seats
        pledge.pending = None
        pledge.expires_at = None
        await campaign_seats.free(session, {(pledge.campaign_id, n): q for n, q in seats.items()})
    away = pledge_states.went(pledge, case.at)
    pledge_states.move(pledge, state)
    await pledge_states.set_free(session, [pledge])
    await pledge_stats.note(session, [away])


async def _match_back(case: Case, pledge: Pledge) -> Shared:
    """What match calls had added to the pledge goes back to them as far as it was not released."""
    matched = await fulfilment_rows.matched_with(case.session, pledge.id)
    if not matched:
        return Shared()
    parts = await _parts(case.session, case.path.id)
    free = match_set_free(case.ledger, parts, sum(matched.values()))
    shares = divided(free, list(matched.values()))
    case.row.taken_in -= free
    return await give_back(
        case,
        [
            Matched(call_id=call_id, amount=part, currency=case.terms.currency)
            for call_id, part in zip(matched, shares, strict=True)
            if part
        ],
    )


async def _post(
    case: Case,
    payment: Payment,
    lost: Lost,
    bearers: list[_Bearer],
    entries: list[JournalEntry],
) -> None:
    """All in one group, its accounts locked before any balance is asked for."""
    touched = [
        accounts.dispute(lost.chargeback_id),
        accounts.escrow(case.path.id),
        accounts.FEE,
        accounts.LOSS,
        accounts.PROTECTION_FUND,
        *(each.source for each in bearers),
        *(accounts.payable(each.payee) for each in bearers),
        *(accounts.held(each.payee) for each in bearers),
        *(accounts.receivable(each.payee) for each in bearers),
        *(each.account for entry in entries for each in entry.postings),
    ]
    await journal.balances(
        case.session,
        list(dict.fromkeys(touched)),
        lost.currency,
        for_update=True,
        path_id=case.path.id,
    )
    made = []
    for number, each in enumerate(bearers):
        key = lost.key if number == 0 else f"{lost.key}/{number}"
        part = lost.model_copy(update={"key": key, "amount": each.amount})
        made.append(
            await lost_entry(
                case.session,
                case.path,
                payment,
                part,
                payee=each.payee,
                source=each.source,
                unreleased=each.unreleased,
                fee_returned=each.fee_returned,
                beyond=each.beyond,
            )
        )
    await journal.post(case.session, *made, *entries)


async def _recount(session: AsyncSession, path: Path, pledge: Pledge, at: datetime) -> None:
    """What banks dispute of the pledge and of the campaign, and the timers that depend on it."""
    await session.flush()
    pledge.dispute_open = await fulfilment_rows.has_open_dispute(session, pledge.id)
    row = await session.get_one(Campaign, path.id)
    row.disputed = await fulfilment_rows.count_disputed(session, path.id)
    await session.flush()
    await fulfilment_rows.retime(session, path, row, CampaignTerms.model_validate(row.terms), at)


async def _pledge_of(session: AsyncSession, payment: Payment) -> Pledge:
    """The pledge that was paid, locked after its campaign's path."""
    pledge = await session.scalar(
        select(Pledge)
        .where(Pledge.id == payment.pledge_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    assert pledge is not None
    return pledge


async def _still_here(session: AsyncSession, payment: Payment, lost: Lost) -> int:
    """What of the payment was neither sent back nor taken back for good before."""
    sent = await session.scalar(
        select(func.coalesce(func.sum(Refund.amount), 0)).where(Refund.payment_id == payment.id)
    )
    return max(0, payment.amount - int(sent or 0) - await lost_before(session, payment, lost))


async def _on_its_way(session: AsyncSession, pledge: Pledge) -> bool:
    """Whether a refund of the pledge has not ended."""
    found = await session.scalar(
        select(Refund.id).where(Refund.pledge_id == pledge.id, Refund.ended_at.is_(None)).limit(1)
    )
    return found is not None


async def _parts(session: AsyncSession, campaign_id: str) -> list[Part]:
    return [
        fulfilment_rows.as_part(each)
        for each in await fulfilment_rows.tranches(session, campaign_id)
    ]
