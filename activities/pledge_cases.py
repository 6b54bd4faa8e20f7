"""A pledge whose charge has failed: its backer is told and reminded, tries again, or it is dropped in the end."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from temporalio import activity

from activities import pledge_locks, pledge_money
from activities.pledge_calls import PAYMENTS
from activities.pledge_desk import Desk
from activities.pledge_money import Capture
from db import pledge_states
from db.engine import Database
from db.pledge_states import NewEvent
from db.provider_limits import Paces
from db.tables import Campaign, Path, Payment, Pledge, Refund, SavedCard
from domain.campaign import CampaignTerms, Phase
from domain.campaign_messages import PledgeNews, PledgeStep
from domain.cases import RefundCase
from domain.errors import NotFound, ProviderRefused
from domain.money import format_money
from domain.payments import PaymentState, RefundState
from domain.pledge import CardState, PledgeState
from providers.base import PaymentStatus, ProviderPayment, require_same
from providers.registry import ProviderRegistry
from runtime.settings import Settings

_WAITED_FOR = (PledgeState.SAVED, PledgeState.CHARGING, PledgeState.ERRORED)


class PledgeCases:
    """Activities of pledges whose charge has failed."""

    def __init__(self, database: Database, providers: ProviderRegistry, settings: Settings) -> None:
        self.database = database
        self.providers = providers
        self.desk = Desk(providers, Paces(database, settings.provider_rate_per_second))

    @activity.defn(name="remind_backer")
    async def remind(self, step: PledgeStep) -> PledgeNews:
        """Tells the backer once more that the charge has failed, and until when it can be mended, if that is still so.

        The event is the message: whoever sends mail reads it there.
        """
        async with self.database.transaction() as session:
            pledge, phase = await _pledge(session, step.pledge_id)
            if pledge.state == PledgeState.ERRORED and phase is Phase.COLLECTING:
                await pledge_states.write_events(session, [_reminder(pledge, step.number)])
            return await _news(session, step.pledge_id)

    @activity.defn(name="look_at_pledge")
    async def look(self, step: PledgeStep) -> PledgeNews:
        """Where the pledge stands, by the books."""
        async with self.database.transaction() as session:
            return await _news(session, step.pledge_id)

    @activity.defn(name="retry_pledge")
    async def retry(self, step: PledgeStep) -> PledgeNews:
        """One more attempt on the saved card; the key makes it one, whatever is repeated.

        A card that cannot be charged changes nothing: the backer can still pay on the page.
        """
        payment, _ = await self._to_mend(step.pledge_id)
        if payment is not None:
            theirs = await self._try(payment, step.key)
            if theirs is not None:
                await self._record(step, payment.id, theirs)
        return await self._after(step)

    @activity.defn(name="drop_pledge")
    async def drop(self, step: PledgeStep) -> PledgeNews:
        """The time to mend it is over: a last attempt, then the payment is closed, the pledge dropped, its card forgotten.

        Money that was faster counts. While the campaign does not collect any more, nothing is decided here.
        """
        payment, card = await self._to_mend(step.pledge_id)
        if payment is not None:
            theirs = await self._try(payment, step.key) if step.last_try else None
            if theirs is None or theirs.status is not PaymentStatus.CAPTURED:
                theirs = await self.desk.close_payment(payment)
            if card is not None and (theirs is None or theirs.status is not PaymentStatus.CAPTURED):
                await self.desk.close_card(card, release=True)
            await self._record(step, payment.id, theirs, ends=True)
        return await self._after(step)

    async def _to_mend(self, pledge_id: str) -> tuple[Payment | None, SavedCard | None]:
        """The open payment and the card of a pledge whose failed charge can still be mended."""
        async with self.database.transaction() as session:
            pledge, phase = await _pledge(session, pledge_id)
            if pledge.state != PledgeState.ERRORED or phase is not Phase.COLLECTING:
                return None, None
            payment = await session.get(Payment, pledge.payment_id) if pledge.payment_id else None
            card = await session.get(SavedCard, pledge.card_id) if pledge.card_id else None
            return payment, card

    async def _try(self, payment: Payment, key: str) -> ProviderPayment | None:
        """One attempt; None when the provider will not make it."""
        if payment.reference is None:
            return None
        await self.desk.paces.turn(payment.provider, PAYMENTS)
        try:
            theirs = await self.providers.get(payment.provider).retry_charge(payment.reference, key)
        except ProviderRefused:
            return None
        require_same(payment.id, payment.amount, payment.currency, theirs)
        return theirs

    async def _record(
        self,
        step: PledgeStep,
        payment_id: str,
        theirs: ProviderPayment | None,
        *,
        ends: bool = False,
    ) -> None:
        """What the provider said, in one transaction."""
        async with self.database.transaction() as session:
            campaign_id = await session.scalar(
                select(Pledge.campaign_id).where(Pledge.id == step.pledge_id)
            )
            held = await pledge_locks.hold(session, campaign_id or "", [step.pledge_id])
            payment = (await pledge_locks.payments(session, [payment_id]))[payment_id]
            pledge = held.pledges[step.pledge_id]
            if theirs is not None and theirs.status is PaymentStatus.CAPTURED:
                days = self.providers.get(payment.provider).max_hold_days
                capture = Capture(held.path, held.campaign, pledge, payment, theirs)
                await pledge_money.take_in(session, [capture], held.at, hold_days=days)
            elif pledge.state == PledgeState.ERRORED and held.phase is Phase.COLLECTING:
                if ends:
                    await _drop(session, pledge, payment, held)
                elif theirs is not None and not await pledge_states.happened(session, step.key):
                    pledge.attempts += 1
                    pledge.decline_reason = theirs.decline_reason or pledge.decline_reason
                    await pledge_states.write_events(session, [_declined(pledge, step.key)])

    async def _after(self, step: PledgeStep) -> PledgeNews:
        """Read after everything is committed: of two pledges that end at the same time one must see that it is the last."""
        async with self.database.transaction() as session:
            return await _news(session, step.pledge_id)


async def _drop(
    session: AsyncSession, pledge: Pledge, payment: Payment, held: pledge_locks.Held
) -> None:
    payment.status = PaymentState.EXPIRED
    for card in (await pledge_locks.cards(session, [pledge.card_id or ""])).values():
        card.status, card.ended_at = CardState.RELEASED, held.at
    await pledge_states.end(session, [pledge], PledgeState.DROPPED, held.at)
    amount = format_money(pledge.amount, pledge.currency)
    why = f"The charge of {amount} was not mended in time"
    await pledge_states.write_events(session, [pledge_states.dropped(pledge, why)])


async def _pledge(session: AsyncSession, pledge_id: str) -> tuple[Pledge, Phase]:
    row = (
        await session.execute(
            select(Pledge, Path.phase)
            .join(Path, Path.id == Pledge.campaign_id)
            .where(Pledge.id == pledge_id)
        )
    ).first()
    if row is None:
        raise NotFound(f"there is no pledge {pledge_id}")
    return row[0], Phase(row[1])


def _reminder(pledge: Pledge, number: int) -> NewEvent:
    amount = format_money(pledge.amount, pledge.currency)
    until = f"{pledge.expires_at:%Y-%m-%d %H:%M} UTC" if pledge.expires_at else "the end"
    return NewEvent(
        pledge_id=pledge.id,
        key=f"{pledge.id}/reminder/{number}",
        kind="charge_reminder",
        summary=(
            f"Reminder {number}: the charge of {amount} failed ({pledge.decline_reason}); "
            f"it can be mended until {until}"
        ),
    )


def _declined(pledge: Pledge, key: str) -> NewEvent:
    amount = format_money(pledge.amount, pledge.currency)
    return NewEvent(
        pledge_id=pledge.id,
        key=key,
        kind="charge_failed",
        summary=f"Another attempt to charge {amount} failed: {pledge.decline_reason}",
    )


async def _news(session: AsyncSession, pledge_id: str) -> PledgeNews:
    """Where the pledge stands, and whether its campaign waits for any other one."""
    pledge, phase = await _pledge(session, pledge_id)
    path = await session.get_one(Path, pledge.campaign_id)
    over = pledge.state != PledgeState.ERRORED or phase is not Phase.COLLECTING
    others = await session.scalar(
        select(Pledge.id)
        .where(Pledge.campaign_id == pledge.campaign_id, Pledge.state.in_(_WAITED_FOR))
        .limit(1)
    )
    return PledgeNews(
        state=pledge.state,
        over=over,
        campaign_workflow_id=path.workflow_id,
        refunds=await _unsent(session, pledge) if over else (),
        last=over and phase is Phase.COLLECTING and others is None,
    )


async def _unsent(session: AsyncSession, pledge: Pledge) -> tuple[RefundCase, ...]:
    """Money that came for nothing and that nobody has sent back yet."""
    campaign = await session.get_one(Campaign, pledge.campaign_id)
    terms = CampaignTerms.model_validate(campaign.terms)
    rows = await session.scalars(
        select(Refund).where(Refund.pledge_id == pledge.id, Refund.status == RefundState.REQUESTED)
    )
    return tuple(
        RefundCase(
            refund_id=row.id,
            path_id=row.path_id,
            amount=row.amount,
            currency=row.currency,
            policy=terms.rules.refund_policy,
        )
        for row in rows
    )
