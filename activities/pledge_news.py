"""News of payments, cards and refunds of pledges, acted on campaign by campaign: each in one transaction with its inbox rows.

Everything here may be repeated, and done by two workers at a time: what is in the books already is left alone.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import structlog
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from activities import pledge_locks, pledge_money
from activities.pledge_locks import Held, hold
from activities.pledge_money import Aftermath, Capture
from activities.pledge_reads import Ours, PledgeReads, Seen
from activities.pledge_refunds import PledgeRefunds
from activities.transitions import lock_path
from db import inbox, pledge_states, pledge_stats
from db.engine import Database
from db.tables import Path, Payment, Pledge
from domain.campaign import AWAITS_MONEY, OPEN_FOR_PLEDGES, Phase
from domain.errors import DomainError, Unavailable
from domain.payments import PaymentState
from domain.pledge import STANDING, CardState, PendingChange, PledgeState
from providers.base import CardStatus, PaymentStatus, ProviderCard, ProviderPayment, is_same
from providers.registry import ProviderRegistry
from runtime.settings import Settings

UNPAID = (PaymentState.REQUESTED, PaymentState.OPEN)
KEEPS_CARDS = OPEN_FOR_PLEDGES | {Phase.CLOSING}
_NOT_OURS = "the provider's object is not ours"

log = structlog.get_logger()


@dataclass(frozen=True)
class Subject:
    """What is looked at: a payment, card or refund of a pledge."""

    ours: Ours
    campaign_id: str
    pledge_id: str
    rows: tuple[int, ...] = ()
    """Inbox rows that are answered by the look."""


class IntakeNews:
    """Reads what subjects have become at the provider and writes it down. Not an activity: activities use it."""

    def __init__(
        self,
        database: Database,
        providers: ProviderRegistry,
        temporal: Client,
        settings: Settings,
        beat: Callable[[], None],
    ) -> None:
        self.database = database
        self.providers = providers
        self.temporal = temporal
        self.refunds = PledgeRefunds(database, providers, temporal, settings)
        self.reads = PledgeReads(providers, self.refunds.paces, beat)
        self.beat = beat

    async def payments(
        self, subjects: Sequence[Subject], *, close: bool = False
    ) -> Seen[ProviderPayment]:
        """Looks at payments, closing their pages if asked to; what was captured is in the books afterwards."""
        wanted = [each.ours for each in subjects]
        seen = await (self.reads.close_payments if close else self.reads.payments)(wanted)
        for campaign_id, some in _by_campaign(subjects, seen.silent).items():
            async with self.apart(campaign_id, some, seen.silent):
                await self._paid(campaign_id, some, seen, closed=close, alone=False)
        return seen

    async def cards(
        self, subjects: Sequence[Subject], *, close: bool = False, also_saved: bool = False
    ) -> Seen[ProviderCard]:
        """The same for cards; with `also_saved` they are forgotten at the provider."""
        wanted = [each.ours for each in subjects]
        seen = (
            await self.reads.close_cards(wanted, also_saved=also_saved)
            if close
            else await self.reads.cards(wanted)
        )
        for campaign_id, some in _by_campaign(subjects, seen.silent).items():
            async with (
                self.apart(campaign_id, some, seen.silent),
                self.database.transaction() as session,
            ):
                held = await hold(session, campaign_id, [each.pledge_id for each in some])
                await _save(session, held, some, seen, closed=close)
        return seen

    async def refunds_of(self, subjects: Sequence[Subject]) -> set[str]:
        """The same for refunds. Those that were not sent yet are sent. Which got no answer."""
        seen = await self.reads.refunds([each.ours for each in subjects])
        for campaign_id, some in _by_campaign(subjects, seen.silent).items():
            theirs = [seen.theirs[each.ours.id] for each in some if each.ours.id in seen.theirs]
            unsent = {each.pledge_id for each in some if each.ours.reference is None}
            async with self.apart(campaign_id, some, seen.silent):
                await self.refunds.settle(campaign_id, theirs)
                if unsent:
                    await self.refunds.send(campaign_id, unsent, beat=self.beat)
                async with self.database.transaction() as session:
                    await inbox.consume_rows(session, _rows(some))
        return seen.silent

    @asynccontextmanager
    async def apart(
        self, campaign_id: str, subjects: Sequence[Subject], undone: set[str]
    ) -> AsyncIterator[None]:
        """What goes wrong with one campaign must not hinder the others; its news comes again, ever later.

        The ids of its subjects, and its own, are in `undone` then.
        """
        try:
            yield
        except Unavailable as crossed:
            undone.update([campaign_id, *(each.ours.id for each in subjects)])
            log.warning("pledges of a campaign wait", campaign=campaign_id, reason=str(crossed))
        except (DomainError, ValueError, DBAPIError) as wrong:
            undone.update([campaign_id, *(each.ours.id for each in subjects)])
            log.error("pledges of a campaign", campaign=campaign_id, reason=str(wrong))
            async with self.database.transaction() as session:
                await inbox.put_off(session, _rows(subjects), str(wrong)[:500])
        self.beat()

    async def _paid(
        self,
        campaign_id: str,
        subjects: Sequence[Subject],
        seen: Seen[ProviderPayment],
        *,
        closed: bool,
        alone: bool,
    ) -> None:
        """One campaign's payments. Money for one that awaits none any more needs its path alone."""
        async with self.database.transaction() as session:
            if alone:
                await lock_path(session, campaign_id)
            held = await hold(session, campaign_id, [each.pledge_id for each in subjects])
            crowd = alone or held.phase in AWAITS_MONEY
            if crowd:
                aftermath = await self._post(session, held, subjects, seen, closed=closed)
        if not crowd:
            await self._paid(campaign_id, subjects, seen, closed=closed, alone=True)
            return
        await self._see_to(held, aftermath, [each.pledge_id for each in subjects])

    async def _post(
        self,
        session: AsyncSession,
        held: Held,
        subjects: Sequence[Subject],
        seen: Seen[ProviderPayment],
        *,
        closed: bool,
    ) -> Aftermath:
        rows = await pledge_locks.payments(session, [each.ours.id for each in subjects])
        sound, strange = _sorted_out(rows, seen.theirs)
        captures = []
        for row in rows.values():
            theirs, pledge = sound.get(row.id), held.pledges[row.pledge_id or ""]
            if theirs is not None and theirs.status is PaymentStatus.CAPTURED:
                captures.append(Capture(held.path, held.campaign, pledge, row, theirs))
            elif theirs is not None and theirs.status is PaymentStatus.OPEN:
                if pledge.payment_id == row.id and pledge.state == PledgeState.INITIATED:
                    pledge.decline_reason = theirs.decline_reason or pledge.decline_reason
            elif row.id not in strange and (theirs is not None or closed):
                _over(row, pledge, held)
        aftermath = await pledge_money.take_in(
            session,
            captures,
            held.at,
            hold_days=self.providers.get(held.terms.rules.provider).max_hold_days,
        )
        answered = [each for each in subjects if each.ours.id not in strange]
        await inbox.consume_rows(session, _rows(answered))
        puzzling = [each for each in subjects if each.ours.id in strange]
        await inbox.put_off(session, _rows(puzzling), _NOT_OURS)
        return aftermath

    async def _see_to(self, held: Held, aftermath: Aftermath, pledge_ids: Collection[str]) -> None:
        """What is committed has consequences: money goes back, and stories that wait are told."""
        if aftermath.refunds:
            await self.refunds.send(held.path.id, pledge_ids, beat=self.beat)
        for pledge_id in aftermath.mended:
            await self.tell(f"pledge-{pledge_id}", "wake")
        await self.tell_when_settled(held.path)

    async def tell_when_settled(self, path: Path) -> None:
        """Tells a campaign that waits for slow methods when the last of them has come, or will not come any more."""
        if path.phase != Phase.WAITING_FUNDS:
            return
        async with self.database.transaction() as session:
            left = await session.scalar(
                select(Pledge.id)
                .where(Pledge.campaign_id == path.id, Pledge.state == PledgeState.INITIATED)
                .limit(1)
            )
        if left is None:
            await self.tell(path.workflow_id, "pledges_settled")

    async def tell(self, workflow_id: str, signal: str) -> None:
        """Signals a story; one that has ended needs to hear nothing, and one that missed it has its timers."""
        try:
            await self.temporal.get_workflow_handle(workflow_id).signal(signal)
        except RPCError as missed:
            if missed.status is not RPCStatusCode.NOT_FOUND:
                log.warning("story not told", workflow=workflow_id, reason=str(missed))


def _over(row: Payment, pledge: Pledge, held: Held) -> None:
    """The payment will not be made. A pledge that waits for it is due at once; a failed charge has its own story."""
    if row.status not in UNPAID or pledge.state in (PledgeState.CHARGING, PledgeState.ERRORED):
        return
    row.status = PaymentState.EXPIRED
    change = pledge.pending and PendingChange.model_validate(pledge.pending)
    first = pledge.payment_id == row.id and pledge.state == PledgeState.INITIATED
    if first or (change and change.payment_id == row.id):
        pledge.expires_at = held.at


async def _save(
    session: AsyncSession,
    held: Held,
    subjects: Sequence[Subject],
    seen: Seen[ProviderCard],
    *,
    closed: bool,
) -> None:
    """One campaign's cards: saved ones make their pledges stand. What is open for nothing is due to be closed."""
    rows = await pledge_locks.cards(session, [each.ours.id for each in subjects])
    deltas, answered, puzzling = [], [], []
    for each in subjects:
        row, pledge = rows[each.ours.id], held.pledges[each.pledge_id]
        theirs = seen.theirs.get(row.id)
        if theirs is not None and (theirs.subject, theirs.currency) != (row.id, row.currency):
            log.error(_NOT_OURS, card=row.id, theirs=theirs.reference)
            puzzling.append(each)
            continue
        answered.append(each)
        status = theirs.status if theirs else CardStatus.CANCELED if closed else None
        if status is None or pledge.state in STANDING:
            continue
        if row.status == CardState.RELEASED and status is CardStatus.CANCELED:
            # Known already: written again it would be news for ever.
            continue
        row.reference = theirs.reference if theirs else row.reference
        waits = pledge.state == PledgeState.INITIATED
        if status is CardStatus.SAVED and waits and held.phase in KEEPS_CARDS:
            row.status = CardState.SAVED
            deltas.append(pledge_states.saved(pledge, held.at))
        elif status is CardStatus.OPEN and waits:
            pledge.decline_reason = theirs.decline_reason if theirs else None
        else:
            row.status = _AS_OURS[status]
            row.ended_at = held.at if status is CardStatus.CANCELED else None
            pledge.expires_at = held.at
    await inbox.consume_rows(session, _rows(answered))
    await inbox.put_off(session, _rows(puzzling), _NOT_OURS)
    await session.flush()
    await pledge_stats.note(session, deltas)


_AS_OURS = {
    CardStatus.OPEN: CardState.OPEN,
    CardStatus.SAVED: CardState.SAVED,
    CardStatus.CANCELED: CardState.RELEASED,
}


def _sorted_out(
    rows: Mapping[str, Payment], theirs: Mapping[str, ProviderPayment]
) -> tuple[dict[str, ProviderPayment], set[str]]:
    """The provider's objects that are ours, and the ids of those that are not what they should be."""
    sound, strange = {}, set()
    for row in rows.values():
        found = theirs.get(row.id)
        if found is not None and is_same(row.id, row.amount, row.currency, found):
            sound[row.id] = found
        elif found is not None:
            log.error(_NOT_OURS, payment=row.id, theirs=found.reference)
            strange.add(row.id)
    return sound, strange


def _rows(subjects: Sequence[Subject]) -> list[int]:
    return [row for each in subjects for row in each.rows]


def _by_campaign(subjects: Sequence[Subject], silent: Collection[str]) -> dict[str, list[Subject]]:
    """Those that something is known of."""
    found: dict[str, list[Subject]] = {}
    for each in subjects:
        if each.ours.id not in silent:
            found.setdefault(each.campaign_id, []).append(each)
    return found
