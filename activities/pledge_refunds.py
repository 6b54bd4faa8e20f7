"""Money of pledges goes back, many at a time: written down first, then asked for at the provider, then posted.

Nothing is sent twice: a refund's operation id is in the books before the provider hears of it, the provider makes one
refund of one operation, and what it answers is posted under the row's lock. So two workers may do the same pledges at
the same time, and one may stop anywhere.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import structlog
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from temporalio.client import Client
from temporalio.service import RPCError

from activities import pledge_money
from activities.pledge_answers import SentBack, finish, mark, post
from activities.pledge_calls import REFUNDS, Calls, Fault, Refusal, Silence, answered, nothing
from activities.pledge_locks import Held, among, hold
from activities.transitions import close_when_empty, lock_path
from db import pledge_states, pledge_stats
from db.engine import Database
from db.provider_limits import Paces
from db.tables import Campaign, Path, Payment, Pledge, Refund
from domain.campaign import FINAL, GIVES_BACK, CampaignTerms, Phase
from domain.cases import RefundCase
from domain.ids import new_id
from domain.money import format_money
from domain.payments import RefundState
from domain.pledge import ENDED, PledgeState
from domain.policy import RefundPolicy
from domain.postings import JournalEntry
from ledger import journal
from providers.base import (
    MAX_AT_ONCE,
    ProviderRefund,
    RefundRequest,
    RefundStatus,
)
from providers.registry import ProviderRegistry
from runtime.settings import Settings
from runtime.temporal import Start, wake

CHANGED = "pledge_changed"
"""Reason of a refund to a backer who has taken back a pledge, or part of it, while the campaign went on."""
_UNENDED = sorted(set(PledgeState) - ENDED)

log = structlog.get_logger()


@dataclass(frozen=True)
class _Order:
    """A refund that is in the books and that the provider may not have heard of."""

    refund: Refund
    payment_reference: str | None
    asked_before: bool


class PledgeRefunds:
    """Sends back what is planned for pledges. Not an activity: activities use it."""

    def __init__(
        self, database: Database, providers: ProviderRegistry, temporal: Client, settings: Settings
    ) -> None:
        self.database = database
        self.providers = providers
        self.temporal = temporal
        self.settings = settings
        self.paces = Paces(database, settings.provider_rate_per_second)

    async def send(
        self,
        campaign_id: str,
        pledge_ids: Collection[str],
        *,
        everything: bool = False,
        beat: Callable[[], None] = nothing,
    ) -> SentBack:
        """Writes down what is planned for these pledges of one campaign (`to_refund`), and sends what is written down.

        Also what an earlier call has written down and not sent. With `everything`, all that is left of each pledge is
        planned first, if the campaign gives everything back. Money that the backer's bank has for the moment is left
        alone until the bank has decided. Safe to repeat; a few hundred pledges at a time.
        """
        async with self.database.transaction() as session:
            held = await hold(session, campaign_id, pledge_ids)
            empty = _plan(held, everything=everything)
            orders = await _write_down(session, held, empty)
        none = SentBack(nothing_due=len(empty))
        if not orders:
            return none
        answers = await Calls(beat).each(orders, self._ask)
        clear: dict[str, ProviderRefund] = {}
        refusals: dict[str, str] = {}
        unanswered = 0
        for order, answer in answers:
            if isinstance(answer, Refusal | Fault):
                refusals[order.refund.id] = answer.why
            elif isinstance(answer, Silence):
                unanswered += 1
            else:
                clear[order.refund.id] = answer
        touched = {order.refund.pledge_id or "" for order in orders}
        counts = await self._record(campaign_id, touched, clear, refusals)
        return counts.plus(none).plus(SentBack(unanswered=unanswered))

    async def _ask(self, order: _Order) -> ProviderRefund:
        """One refund, asked for once whatever answers were lost."""
        refund = order.refund
        provider = self.providers.get(refund.provider)
        if order.asked_before:
            await self.paces.turn(refund.provider, REFUNDS)
            found = await provider.find_refund(refund.operation_id)
            if found is not None:
                return found
        await self.paces.turn(refund.provider, REFUNDS)
        return await provider.create_refund(
            RefundRequest(
                operation_id=refund.operation_id,
                subject=refund.id,
                payment_reference=order.payment_reference or "",
                amount=refund.amount,
                currency=refund.currency,
            )
        )

    async def look(
        self, campaign_id: str, pledge_ids: Collection[str], *, beat: Callable[[], None] = nothing
    ) -> SentBack:
        """Looks again at the refunds of these pledges that are on their way, and posts what has happened."""
        async with self.database.transaction() as session:
            rows = await session.execute(
                select(Refund.provider, Refund.reference).where(
                    among(Refund.pledge_id, sorted(pledge_ids)),
                    Refund.path_id == campaign_id,
                    Refund.status == RefundState.PENDING,
                    Refund.reference.is_not(None),
                )
            )
            references: dict[str, list[str]] = {}
            for code, reference in rows:
                references.setdefault(code, []).append(reference or "")
        theirs: list[ProviderRefund] = []
        for code, wanted in sorted(references.items()):
            for first in range(0, len(wanted), MAX_AT_ONCE):
                await self.paces.turn(code, REFUNDS)
                some = wanted[first : first + MAX_AT_ONCE]
                found = await answered(self.providers.get(code).get_refunds(some))
                theirs += found if isinstance(found, list) else []
                beat()
        return await self.settle(campaign_id, theirs)

    async def settle(self, campaign_id: str, theirs: Sequence[ProviderRefund]) -> SentBack:
        """Posts what the provider says of refunds of one campaign's pledges, as bulk reads bring it.

        Refunds of others are left alone.
        """
        by_id = {each.subject: each for each in theirs}
        if not by_id:
            return SentBack()
        async with self.database.transaction() as session:
            found = await session.scalars(
                select(Refund.pledge_id).where(
                    Refund.id.in_(sorted(by_id)), Refund.pledge_id.is_not(None)
                )
            )
            touched = {each for each in found if each is not None}
        return await self._record(campaign_id, touched, by_id, {})

    async def _record(
        self,
        campaign_id: str,
        pledge_ids: Collection[str],
        theirs: Mapping[str, ProviderRefund],
        refusals: Mapping[str, str],
    ) -> SentBack:
        """Posts clear answers in one transaction; what was refused gets its story first, and only then a mark."""
        refused = set(refusals) | {
            each.subject for each in theirs.values() if each.status is RefundStatus.REFUSED
        }
        told = await self._tell_stories(campaign_id, refused, but=(RefundState.CREDITED,))
        async with self.database.transaction() as session:
            found = await post(session, campaign_id, pledge_ids, theirs)
            await mark(session, refusals, told)
        # What contradicts the books, or a story that offers the money already.
        await self._tell_stories(campaign_id, found.for_stories - refused)
        if found.counts.succeeded and found.phase in FINAL:
            await self._close(campaign_id)
        return found.counts.plus(SentBack(refused=len(told)))

    async def _tell_stories(
        self, campaign_id: str, refund_ids: Collection[str], but: Sequence[RefundState] = ()
    ) -> set[str]:
        """Starts the story of each refund that does not stand in `but`, or wakes it; which have one now."""
        if not refund_ids:
            return set()
        async with self.database.transaction() as session:
            query = select(Refund).where(
                Refund.id.in_(sorted(refund_ids)), Refund.status.not_in(sorted(but))
            )
            rows = (await session.scalars(query)).all()
            campaign = await session.get_one(Campaign, campaign_id)
        policy = CampaignTerms.model_validate(campaign.terms).rules.refund_policy
        told = await asyncio.gather(*(self._tell_story(row, policy) for row in rows))
        return {row.id for row, heard in zip(rows, told, strict=True) if heard}

    async def _tell_story(self, refund: Refund, policy: RefundPolicy) -> bool:
        amount = format_money(refund.amount, refund.currency)
        start = Start(
            workflow="Refund",
            workflow_id=f"refund-{refund.id}",
            summary=f"Refund of {amount}",
            path="refund",
            initiator=refund.payer_id,
            currency=refund.currency,
        )
        case = RefundCase(
            refund_id=refund.id,
            path_id=refund.path_id,
            amount=refund.amount,
            currency=refund.currency,
            policy=policy,
        )
        try:
            await wake(self.temporal, self.settings.temporal_task_queue, start, case)
        except RPCError as missed:
            # It stays as it is, so the next pass comes by again.
            log.warning("refund story not started", refund=refund.id, reason=str(missed))
            return False
        return True

    async def _close(self, campaign_id: str) -> None:
        """Closes a campaign that has ended, if this was the last refund on its way."""
        async with self.database.transaction() as session:
            if await _something_left(session, campaign_id):
                return
            path = await lock_path(session, campaign_id)
            if Phase(path.phase) in FINAL and path.closed_at is None:
                at = (await hold(session, campaign_id, ())).at
                await close_when_empty(session, path, at)


async def _something_left(session: AsyncSession, campaign_id: str) -> bool:
    pledge = (
        select(Pledge.id)
        .join(Path, Path.id == Pledge.campaign_id)
        # Those of a campaign that is completed keep what they have bought.
        .where(
            Pledge.campaign_id == campaign_id,
            Pledge.state.in_(_UNENDED),
            Path.phase.in_(sorted(GIVES_BACK)),
        )
    )
    refund = select(Refund.id).where(Refund.path_id == campaign_id, Refund.ended_at.is_(None))
    closed = select(Path.id).where(Path.id == campaign_id, Path.closed_at.is_not(None))
    for query in (pledge, closed, refund):
        if await session.scalar(query.limit(1)) is not None:
            return True
    return False


def _plan(held: Held, *, everything: bool) -> list[Pledge]:
    """Of a campaign that gives back, what is left of each paid pledge goes back; answers those of which nothing is left.

    Without `everything` only of those for which something is planned: it may have been planned before the end.
    """
    if held.phase not in GIVES_BACK:
        return []
    paid = [
        each
        for each in held.those(PledgeState.FUNDED, PledgeState.COLLECTED)
        if not each.dispute_open and (everything or each.to_refund)
    ]
    for pledge in paid:
        pledge.to_refund = owed(held, pledge)
    return [each for each in paid if not each.to_refund]


def owed(held: Held, pledge: Pledge) -> int:
    """What goes back of a paid pledge whose campaign gives back: the planned share of a stopped one, else all that is left.

    What a backer had taken back before the campaign failed is part of it.
    """
    left = pledge.paid - pledge.refunded
    if held.phase is Phase.STOPPED and pledge.to_refund is not None:
        return min(left, pledge.to_refund)
    return left


async def _write_down(
    session: AsyncSession, held: Held, empty: Sequence[Pledge] = ()
) -> list[_Order]:
    """REFUND of what is planned, in one group; and everything of these pledges that has still to be sent.

    Pledges of which nothing is left end in the same transaction.
    """
    waiting = await _waiting(session, held)
    parts = [
        (pledge, pledge.to_refund)
        for pledge in held.pledges.values()
        if pledge.to_refund and not pledge.dispute_open
    ]
    deltas = [pledge_states.went(each, held.at) for each in empty]
    for each in empty:
        each.to_refund = None
        pledge_states.move(each, PledgeState.REFUNDING)
    entries: list[JournalEntry] = []
    if parts:
        gives_back = held.phase in GIVES_BACK
        sent = await pledge_money.send_back(
            session,
            parts,
            key=new_id("back"),
            reason=held.phase if gives_back else CHANGED,
            terms=held.terms,
            at=held.at,
            ends=gives_back,
        )
        deltas += sent.deltas
        entries += sent.entries
        waiting += [(refund, False) for refund in sent.refunds]
    for pledge, _ in parts:
        pledge.to_refund = None
    gone = [each for each, _ in parts if each.state == PledgeState.REFUNDING]
    if gone or empty:
        await pledge_states.set_free(session, [*gone, *empty])
        await finish(session, empty)
    await pledge_stats.note(session, deltas)
    if entries:
        await journal.post(session, *entries)
    references = await _references(session, [refund.payment_id for refund, _ in waiting])
    return [_Order(refund, references.get(refund.payment_id), before) for refund, before in waiting]


async def _waiting(session: AsyncSession, held: Held) -> list[tuple[Refund, bool]]:
    """Refunds of an earlier attempt that are not sent yet, and that no story has taken over."""
    rows = await session.scalars(
        select(Refund)
        .where(
            among(Refund.pledge_id, list(held.pledges)),
            Refund.status == RefundState.REQUESTED,
            Refund.failure_reason.is_(None),
        )
        .order_by(Refund.id)
    )
    return [(row, True) for row in rows]


async def _references(session: AsyncSession, payment_ids: Sequence[str]) -> dict[str, str | None]:
    rows = await session.execute(
        select(Payment.id, Payment.reference).where(among(Payment.id, payment_ids))
    )
    return {payment_id: reference for payment_id, reference in rows}
