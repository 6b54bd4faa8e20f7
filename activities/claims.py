"""What creators of stopped campaigns pay later of what they owe is passed on to the backers, round by round, in batches.

The rows know how far it is, so it may stop anywhere. A round is planned in one transaction, shares are posted by the
hundred, match calls get theirs last, with the event that tells the sum; then others hear of it, and the round is over.
Each step locks the campaign's path, as banks' decisions do.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

import structlog
from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession
from temporalio import activity
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from activities import payees
from activities.campaign_case import Case, load
from activities.campaign_stop import give_back, lock_calls
from activities.pledge_locks import among
from activities.transitions import advance, happened, lock_path, timers
from db import claim_rows, fulfilment_rows, match_rows, pledge_states, pledge_stats
from db.engine import Database
from db.pledge_states import NewEvent
from db.tables import ClaimRound, Pledge
from domain import accounts, postings
from domain.campaign import Event
from domain.campaign_delivery import divided
from domain.campaign_messages import CampaignAct
from domain.claims import News, PassedOn, claim_paid, to_share
from domain.errors import DomainError
from domain.money import format_money
from domain.postings import JournalEntry, Share
from ledger import journal
from runtime.temporal import Start, wake

PAGE = 500
"""Most pledges in one transaction."""
WORKS_FOR = 120
"""Seconds after which one call of the activity answers how far it is."""

log = structlog.get_logger()


class Claims:
    """Activities of the schedule that passes on what creators of stopped campaigns have paid."""

    def __init__(self, database: Database, temporal: Client) -> None:
        self.database = database
        self.temporal = temporal

    @activity.defn(name="pass_on_claims")
    async def pass_on(self) -> PassedOn:
        """Goes through all claims for a few minutes at most. Safe to repeat, and to do twice at once."""
        until = time.monotonic() + WORKS_FOR
        async with self.database.transaction() as session:
            campaigns = await claim_rows.unsettled(session)
        pledges = 0
        for campaign_id in campaigns:
            try:
                while (done := await self._step(campaign_id)) is not None:
                    pledges += done
                    if time.monotonic() > until:
                        return PassedOn(pledges=pledges, left=True)
            except (DomainError, ValueError, DBAPIError, RPCError) as failed:
                # It must not hinder the others; the next pass comes by again.
                log.error("claim not passed on", campaign=campaign_id, reason=str(failed))
        return PassedOn(pledges=pledges)

    async def _step(self, campaign_id: str) -> int | None:
        """One transaction for one campaign: how many pledges have got something, None when nothing is left to do."""
        async with self.database.transaction() as session:
            case = await _locked(session, campaign_id)
            round_ = await claim_rows.open_round(session, campaign_id)
            if round_ is None:
                return 0 if await _begin(case) else None
            number = round_.number
            case = replace(case, key=f"{campaign_id}/claim/{number}")
            shares = await claim_rows.next_shares(session, campaign_id, PAGE)
            if shares:
                return await _pay(case, round_, shares)
            news = await _finish(case, round_)
        await self._tell(case, news)
        async with self.database.transaction() as session:
            case = await _locked(session, campaign_id)
            round_ = await claim_rows.open_round(session, campaign_id)
            if round_ is not None and round_.number == number:
                round_.ended_at = case.at
        return 0

    async def _tell(self, case: Case, news: News) -> None:
        """Starts the stories of refunds to sponsors and tells those of match calls; again after a crash."""
        queue = activity.info().task_queue
        for each in news.refunds:
            start = Start(
                workflow="Refund",
                workflow_id=f"refund-{each.refund_id}",
                summary=f"Refund of {format_money(each.amount, each.currency)}",
                path="refund",
                initiator=case.terms.creator_id,
                currency=each.currency,
            )
            await wake(self.temporal, queue, start, each)
        for workflow_id in news.match_calls:
            try:
                await self.temporal.get_workflow_handle(workflow_id).signal("campaign_decided")
            except RPCError as missing:
                # A call that has ended need not hear of it.
                if missing.status is not RPCStatusCode.NOT_FOUND:
                    raise


async def _locked(session: AsyncSession, campaign_id: str) -> Case:
    """The campaign; sharing is no transition of it, so the event of the case means nothing."""
    path = await lock_path(session, campaign_id)
    at = await session.scalar(select(func.now()))
    assert at is not None
    act = CampaignAct(actor="system")
    return await load(
        session, path, event=Event.GIVEN_BACK, key=f"{campaign_id}/claim", at=at, act=act
    )


async def _begin(case: Case) -> bool:
    """Plans a round if something has come in that is worth sharing."""
    session, campaign_id, policy = case.session, case.path.id, case.terms.policy
    currency = case.terms.currency
    claim = await claim_rows.claim_of(session, campaign_id, case.terms.creator_id, currency)
    if not claim.waiting:
        return False
    backers = await fulfilment_rows.short(session, campaign_id)
    calls = sum(each.amount for each in await match_rows.used(session, campaign_id))
    amount = to_share(
        claim.waiting,
        backers + calls,
        least=policy.claim_least_amount,
        for_long=await claim_rows.has_rested(
            session, campaign_id, currency, policy.claim_wait_seconds
        ),
    )
    if not amount:
        return False
    _, for_calls = divided(amount, [backers, calls])
    await claim_rows.begin(session, campaign_id, amount, for_calls)
    return True


async def _pay(case: Case, round_: ClaimRound, shares: Mapping[str, int]) -> int:
    """CLAIM_PAID to the balance of some backers. What a bank disputes by now stays in the claim for a later round."""
    session = case.session
    parts = [
        (pledge, part)
        for pledge in await _pledges(session, list(shares))
        if not pledge.dispute_open and (part := min(shares[pledge.id], _short_of(pledge))) > 0
    ]
    await claim_rows.forget_shares(session, list(shares))
    if not parts:
        return 0
    for pledge, part in parts:
        pledge.refunded += part
    _note_paid(case, round_, sum(part for _, part in parts))
    round_.pledges += len(parts)
    await pledge_states.write_events(
        session,
        [
            NewEvent(
                pledge_id=pledge.id,
                key=_key(pledge, round_),
                kind="claim_paid",
                summary=f"{case.money(part)} of what the creator owed is on the backer's balance",
            )
            for pledge, part in parts
        ],
    )
    await pledge_stats.note(
        session, [pledge_states.delta(pledge, case.at, paid=-part) for pledge, part in parts]
    )
    await session.flush()
    await journal.post(session, *await _entries(case, round_, parts))
    return len(parts)


def _note_paid(case: Case, round_: ClaimRound, amount: int) -> None:
    """So much less of what was released is missing."""
    less = case.ledger.released - amount
    fulfilment_rows.keep_ledger(case.row, case.ledger.model_copy(update={"released": less}))
    round_.paid += amount


async def _entries(
    case: Case, round_: ClaimRound, parts: Sequence[tuple[Pledge, int]]
) -> list[JournalEntry]:
    """Each share to the balance of its backer, or what is held for them; and what they owe themselves is paid first.

    All accounts are locked before any balance is asked for.
    """
    session, currency, campaign_id = case.session, case.terms.currency, case.path.id
    to = await payees.payee_accounts(session, {pledge.backer_id for pledge, _ in parts})
    free = [user_id for user_id, account in to.items() if account == accounts.payable(user_id)]
    owing = await claim_rows.who_owes(session, free, currency)
    debts = {user_id: accounts.receivable(user_id) for user_id in owing}
    touched = [accounts.claim(campaign_id), *to.values(), *debts.values()]
    held = await journal.balances(session, touched, currency, for_update=True)
    entries = []
    got: dict[str, tuple[int, str]] = {}
    for pledge, part in parts:
        key, user_id = _key(pledge, round_), pledge.backer_id
        share = Share(account=to[user_id], amount=part)
        entries.append(claim_paid(key, campaign_id, [share], currency))
        before, _ = got.get(user_id, (held[to[user_id]].available, key))
        got[user_id] = (before + part, key)
    for user_id, debt in debts.items():
        balance, key = got[user_id]
        netting = postings.net_receivable(
            f"{key}/netting", user_id, held[debt].available, balance, currency, path_id=campaign_id
        )
        if netting is not None:
            entries.append(netting)
    return entries


def _key(pledge: Pledge, round_: ClaimRound) -> str:
    """Of the one share of a pledge in a round."""
    return f"{pledge.id}/claim/{round_.number}"


def _short_of(pledge: Pledge) -> int:
    """What its backer has paid and neither got back nor is about to."""
    return pledge.paid - pledge.refunded - (pledge.to_refund or 0)


async def _pledges(session: AsyncSession, ids: Sequence[str]) -> Sequence[Pledge]:
    rows = await session.scalars(
        select(Pledge)
        .where(among(Pledge.id, ids))
        .order_by(Pledge.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return rows.all()


async def _finish(case: Case, round_: ClaimRound) -> News:
    """All backers have their shares: match calls get theirs, and the timeline tells the sum. Once by key."""
    session = case.session
    before = await happened(session, case.key)
    if before is not None:
        return News.model_validate(before.data)
    used = await lock_calls(case) if round_.for_calls else ()
    shares = divided(round_.for_calls, [each.amount for each in used])
    shared = await give_back(
        case,
        [
            each.model_copy(update={"amount": part})
            for each, part in zip(used, shares, strict=True)
            if part
        ],
    )
    news = News(refunds=shared.refunds, match_calls=shared.calls)
    for_calls = sum(shares)
    if for_calls:
        _note_paid(case, round_, for_calls)
        await session.flush()
        to_escrow = Share(account=accounts.escrow(case.path.id), amount=for_calls)
        paid = claim_paid(f"{case.key}/calls", case.path.id, [to_escrow], case.terms.currency)
        await payees.post(session, paid, *shared.entries)
    if round_.paid:
        _tell_sum(case, round_, for_calls, news)
    return news


def _tell_sum(case: Case, round_: ClaimRound, for_calls: int, news: News) -> None:
    """The event of the round, which leaves the campaign as it is, closed or not."""
    calls = f", {case.money(for_calls)} of it to match calls" if for_calls else ""
    advance(
        case.session,
        case.path,
        key=case.key,
        kind="claim_shared",
        phase=case.path.phase,
        actor="system",
        summary=f"{case.money(round_.paid)} that the creator has paid since goes to the backers of "
        f"{round_.pledges} pledges{calls}",
        deadlines=timers(case.path),
        closed_at=case.path.closed_at,
        data=news.model_dump(mode="json"),
    )
