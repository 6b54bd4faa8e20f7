"""Every pledge of a campaign that gives everything back ends: cards are released, payments closed, money sent back."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from sqlalchemy import select

from activities import pledge_locks
from activities.pledge_answers import SentBack
from activities.pledge_batch import Batch, Done, clear, standing
from activities.pledge_closing import UNPAID, Begun, Found, ended, load
from activities.pledge_locks import among
from activities.pledge_refunds import owed
from db import pledge_states
from db.tables import Payment, Pledge
from domain.campaign import GIVES_BACK
from domain.payments import PaymentState
from domain.pledge import CardState, PledgeState

_CHARGED = (PledgeState.SAVED, PledgeState.CHARGING, PledgeState.ERRORED)


async def release(batch: Batch, ids: Sequence[str]) -> Done:
    """Cards that are saved, or that were being charged: forgotten, and what is still open of a charge is cancelled.

    The card first, so that nobody charges it afterwards. What was captured all the same goes back.
    """
    begun = await load(batch, ids)
    # The payment that brought a pledge's money is not touched: these have none.
    saved = [
        replace(each, payment=None) if each.pledge.state == PledgeState.SAVED else each
        for each in begun
    ]

    async def ask(each: Begun) -> Found:
        return await ended(batch, each, release=True)

    found = clear(await batch.calls().each(saved, ask))
    captured = {answer.captured.subject: answer.captured for _, answer in found if answer.captured}
    paid = [each.pledge.id for each, answer in found if answer.captured]
    unpaid = [each.pledge.id for each, answer in found if not answer.captured]
    done = await _release(batch, unpaid)
    gone_on = await batch.take_in(paid, captured.items())
    await _forget_cards(batch, paid)
    errored = [each.pledge.id for each, _ in found if each.pledge.state == PledgeState.ERRORED]
    await asyncio.gather(*(batch.tell(each) for each in errored))
    return Done(done=done + len(gone_on))


async def _release(batch: Batch, ids: Collection[str]) -> int:
    async with batch.database.transaction() as session:
        held = await pledge_locks.hold(session, batch.campaign_id, ids)
        if held.phase not in GIVES_BACK:
            return 0
        pledges = standing(held, ids, *_CHARGED)
        payments = await pledge_locks.payments(
            session, [each.payment_id for each in pledges if each.payment_id]
        )
        for payment in payments.values():
            if payment.status in UNPAID:
                payment.status = PaymentState.EXPIRED
        cards = await pledge_locks.cards(
            session, [each.card_id for each in pledges if each.card_id]
        )
        for card in cards.values():
            card.status, card.ended_at = CardState.RELEASED, held.at
        await pledge_states.end(session, pledges, PledgeState.RELEASED, held.at)
        return len(pledges)


async def _forget_cards(batch: Batch, ids: Collection[str]) -> None:
    """The cards of pledges that were captured in the last moment are released as well."""
    if not ids:
        return
    async with batch.database.transaction() as session:
        held = await pledge_locks.hold(session, batch.campaign_id, ids)
        wanted = [each.card_id for each in held.pledges.values() if each.card_id]
        for card in (await pledge_locks.cards(session, wanted)).values():
            card.status, card.ended_at = CardState.RELEASED, held.at


async def close_left_open(batch: Batch, ids: Sequence[str]) -> Done:
    """Payments of pledges that were dropped, and that nobody has cancelled at the provider yet."""
    async with batch.database.transaction() as session:
        query = select(Payment).where(among(Payment.pledge_id, ids), Payment.status.in_(UNPAID))
        waiting = (await session.scalars(query.order_by(Payment.id))).all()

    async def ask(payment: Payment) -> Found:
        return Found(payment=await batch.desk.close_payment(payment))

    found = clear(await batch.calls().each(waiting, ask))
    captured = {payment.id: each.captured for payment, each in found if each.captured is not None}
    owners = {payment.id: payment.pledge_id or "" for payment, _ in found}
    closed = {payment.id: owners[payment.id] for payment, each in found if not each.captured}
    await _expire(batch, closed)
    gone_on = await batch.take_in([owners[each] for each in captured], captured.items())
    return Done(done=len(closed) + len(gone_on))


async def _expire(batch: Batch, closed: Mapping[str, str]) -> None:
    """Payments (id -> pledge) that can be paid no more."""
    async with batch.database.transaction() as session:
        await pledge_locks.hold(session, batch.campaign_id, closed.values())
        for payment in (await pledge_locks.payments(session, sorted(closed))).values():
            if payment.status in UNPAID:
                payment.status = PaymentState.EXPIRED


async def give_back(batch: Batch, ids: Sequence[str]) -> Done:
    """Paid pledges: all that is left of them goes back, or the share that was planned."""
    sent = await batch.refunds.send(batch.campaign_id, ids, everything=True, beat=batch.beat)
    return _done(sent)


async def send(batch: Batch, ids: Sequence[str]) -> Done:
    """Refunds that are written down and not sent."""
    return _done(await batch.refunds.send(batch.campaign_id, ids, beat=batch.beat))


async def look(batch: Batch, ids: Sequence[str]) -> Done:
    """Refunds that are on their way: have they arrived?"""
    return Done(done=(await batch.refunds.look(batch.campaign_id, ids, beat=batch.beat)).succeeded)


def _done(sent: SentBack) -> Done:
    return Done(done=sent.succeeded + sent.pending + sent.nothing_due, failed=sent.refused)


async def plan(batch: Batch, ids: Sequence[str]) -> Done:
    """Money that the backer's bank has for the moment: noted, and sent back by the intake if the bank gives it back."""
    async with batch.database.transaction() as session:
        held = await pledge_locks.hold(session, batch.campaign_id, ids)
        for each in _disputed(held.pledges.values()):
            each.to_refund = owed(held, each)
    return Done()


def _disputed(pledges: Collection[Pledge]) -> list[Pledge]:
    return [
        each
        for each in pledges
        if each.dispute_open and each.state in (PledgeState.FUNDED, PledgeState.COLLECTED)
    ]
