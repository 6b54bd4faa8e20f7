"""What a campaign does when one payment or refund of a pledge was followed by a story of its own.

Nearly all are followed in batches instead; these are the exceptions, such as a refund that the provider refused.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from activities import pledge_money
from activities.campaign_case import unfinished
from activities.pledge_answers import finish
from activities.transitions import advance, close_when_empty, funded_key, timers
from db import pledge_states
from db.pledge_states import NewEvent
from db.tables import Campaign, Path, Payment, Pledge, Refund
from domain.campaign import FINAL, Phase
from domain.errors import ProviderMismatch
from domain.money import format_money
from domain.path import Standing
from domain.payments import FollowPayment, FundingResult, PaymentOutcome, RefundState
from domain.pledge import PledgeState
from providers.base import PaymentStatus, ProviderPayment


async def campaign_funded(
    session: AsyncSession, path: Path, payment: Payment, look: FollowPayment
) -> PaymentOutcome:
    """The money takes its pledge on; what the pledge has no use for goes back."""
    capture = pledge_money.Capture(
        path=path,
        campaign=await session.get_one(Campaign, path.id, populate_existing=True),
        pledge=await _pledge_of(session, payment.pledge_id, payment.id),
        payment=payment,
        theirs=_captured(payment),
        posted=True,
    )
    aftermath = await pledge_money.take_in(session, [capture], look.at, hold_days=0)
    outcome = PaymentOutcome(result=FundingResult.FUNDED, at=look.at)
    if aftermath.refunds:
        outcome = PaymentOutcome(
            result=FundingResult.RETURNING,
            at=look.at,
            refund_id=aftermath.refunds[0].refund_id,
        )
    amount = format_money(payment.amount, payment.currency)
    what = "goes back: it was paid too late" if aftermath.refunds else "is in escrow"
    advance(
        session,
        path,
        key=funded_key(payment),
        kind="pledge_paid",
        phase=path.phase,
        actor="provider",
        summary=f"{amount} of a pledge {what}",
        deadlines=timers(path),
        data=outcome.model_dump(mode="json"),
    )
    return outcome


async def campaign_unfunded(
    session: AsyncSession, path: Path, payment: Payment, look: FollowPayment
) -> Standing | None:
    """Nobody paid: the pledge expires and gives its seats free. The campaign itself stays where it is."""
    pledge = await _pledge_of(session, payment.pledge_id, payment.id)
    if pledge.state == PledgeState.INITIATED and pledge.payment_id == payment.id:
        await pledge_states.end(session, [pledge], PledgeState.EXPIRED, look.at)
    return None


async def campaign_refunded(
    session: AsyncSession, path: Path, refund: Refund, at: datetime
) -> None:
    """A backer has one refund; with its last one the pledge has ended, and with the last pledge the campaign closes."""
    pledge = await _pledge_of(session, refund.pledge_id, refund.id)
    await session.flush()
    await finish(session, [pledge])
    credited = refund.status == RefundState.CREDITED
    amount = format_money(refund.amount, refund.currency)
    await pledge_states.write_events(
        session,
        [
            NewEvent(
                pledge_id=pledge.id,
                key=f"{refund.id}/ended",
                kind="refund_arrived",
                summary=f"{amount} is {'on the balance of' if credited else 'back with'} the backer",
            )
        ],
    )
    phase = Phase(path.phase)
    if phase in FINAL and not await unfinished(session, path.id, phase):
        await close_when_empty(session, path, at)


async def _pledge_of(session: AsyncSession, pledge_id: str | None, what: str) -> Pledge:
    """The pledge, locked. Raises ProviderMismatch when the payment or refund is not of a pledge."""
    pledge = await session.scalar(
        select(Pledge)
        .where(Pledge.id == pledge_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    if pledge is None:
        raise ProviderMismatch(f"{what} belongs to no pledge")
    return pledge


def _captured(payment: Payment) -> ProviderPayment:
    """What the provider has just said of the payment."""
    return ProviderPayment(
        reference=payment.reference or "",
        operation_id=payment.operation_id,
        subject=payment.id,
        status=PaymentStatus.CAPTURED,
        amount=payment.amount,
        currency=payment.currency,
        checkout_url=payment.checkout_url or "",
    )
