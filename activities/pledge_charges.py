"""Saved cards are charged: written down first, looked up before they are charged again, and what is declined gets a story."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from activities import pledge_locks
from activities.pledge_batch import Batch, Done, clear, standing
from activities.pledge_calls import PAYMENTS, Refusal
from activities.pledge_closing import Begun, load
from activities.pledge_locks import Held
from db import pledge_states
from db.pledge_states import NewEvent, write_events
from db.tables import Payment, Pledge, SavedCard
from domain.campaign import CampaignTerms, Phase
from domain.campaign_deadlines import CALLS_OF_A_DROP
from domain.campaign_messages import PledgeCase
from domain.ids import new_id
from domain.money import format_money
from domain.payments import PaymentState, Purpose
from domain.pledge import PledgeState
from providers.base import (
    ChargeRequest,
    PaymentRequest,
    PaymentStatus,
    ProviderPayment,
    require_same,
)

_CHARGE = "charge"
_PAGE = "page"
"""Steps of a pledge's collection: on the saved card, and by hand when the card cannot be charged at all."""


async def charge(batch: Batch, ids: Sequence[str]) -> Done:
    """Saved pledges: being charged from now on, as is written down before the provider hears of it."""
    async with batch.database.transaction() as session:
        held = await pledge_locks.hold(session, batch.campaign_id, ids)
        if held.phase is not Phase.COLLECTING:
            return Done()
        pledges = standing(held, ids, PledgeState.SAVED)
        cards = await _cards(session, pledges)
        payments = [
            _payment(held, each, cards[each.card_id or ""].provider, _CHARGE) for each in pledges
        ]
        await _await(session, pledges, payments)
        for each in pledges:
            pledge_states.move(each, PledgeState.CHARGING)
            each.attempts += 1
    return await _collect(batch, [each.id for each in pledges], begun_before=False)


async def charge_again(batch: Batch, ids: Sequence[str]) -> Done:
    """Pledges whose charge was begun and has no answer yet: looked up before anything is charged."""
    return await _collect(batch, ids, begun_before=True)


async def tell_again(batch: Batch, ids: Sequence[str]) -> Done:
    """Pledges whose charge has failed and whose backers have not heard of it: their stories begin."""
    async with batch.database.transaction() as session:
        held = await pledge_locks.hold(session, batch.campaign_id, ids)
    await _begin_stories(batch, held, standing(held, ids, PledgeState.ERRORED))
    return Done()


async def _cards(session: AsyncSession, pledges: Collection[Pledge]) -> dict[str, SavedCard]:
    wanted = [each.card_id for each in pledges]
    rows = await session.scalars(select(SavedCard).where(SavedCard.id.in_(wanted)))
    return {row.id: row for row in rows}


def _payment(held: Held, pledge: Pledge, provider: str, step: str) -> Payment:
    return Payment(
        id=new_id("pay"),
        path_id=pledge.campaign_id,
        pledge_id=pledge.id,
        payer_id=pledge.backer_id,
        provider=provider,
        operation_id=f"{pledge.id}/{step}",
        amount=pledge.amount,
        currency=pledge.currency,
        purpose=Purpose.PLEDGE,
        status=PaymentState.REQUESTED,
        expires_at=fix_until(held),
    )


async def _await(
    session: AsyncSession, pledges: Sequence[Pledge], payments: Sequence[Payment]
) -> None:
    """Each of the pledges waits for its payment from now on."""
    session.add_all(payments)
    await session.flush()
    for pledge, payment in zip(pledges, payments, strict=True):
        pledge.payment_id = payment.id


def fix_until(held: Held) -> datetime:
    """Until when a charge that failed may be mended."""
    return held.campaign.fix_until or held.at + timedelta(seconds=held.terms.policy.fix_seconds)


async def _collect(batch: Batch, ids: Sequence[str], *, begun_before: bool) -> Done:
    """Asks for the money of pledges that are being charged, and writes down what came of it."""
    begun = [each for each in await load(batch, ids) if each.payment is not None]
    terms = await _terms(batch)

    async def ask(each: Begun) -> ProviderPayment:
        return await _ask(batch, terms, each, begun_before=begun_before)

    answers = await batch.calls().each(begun, ask)
    unusable = {
        each.pledge.id: answer.why for each, answer in answers if isinstance(answer, Refusal)
    }
    captured: dict[str, ProviderPayment] = {}
    declined: dict[str, ProviderPayment] = {}
    for each, theirs in clear(answers):
        if theirs.status is PaymentStatus.CANCELED:
            unusable[each.pledge.id] = "canceled"
        elif theirs.status is PaymentStatus.CAPTURED:
            captured[theirs.subject] = theirs
        else:
            declined[theirs.subject] = theirs
    owners = {each.payment.id: each.pledge.id for each in begun if each.payment is not None}
    gone_on = await batch.take_in([owners[each] for each in captured], captured.items())
    done = Done(len(gone_on), await _decline(batch, owners, declined))
    by_hand = await _pay_by_hand(batch, unusable)
    if by_hand:
        more = await _collect(batch, by_hand, begun_before=False)
        done = Done(done.done + more.done, done.failed + more.failed)
    return done


async def _terms(batch: Batch) -> CampaignTerms:
    async with batch.database.transaction() as session:
        return (await pledge_locks.hold(session, batch.campaign_id, ())).terms


async def _ask(
    batch: Batch, terms: CampaignTerms, each: Begun, *, begun_before: bool
) -> ProviderPayment:
    """One charge, made once whatever answers were lost; or the page on which the backer pays by hand."""
    payment = each.payment
    assert payment is not None
    provider = batch.provider(payment.provider)
    theirs = None
    if begun_before:
        await batch.turn(payment.provider, PAYMENTS)
        theirs = await provider.find_payment(payment.operation_id)
    if theirs is None:
        await batch.turn(payment.provider, PAYMENTS)
        by_hand = payment.operation_id.endswith(_PAGE)
        if by_hand or each.card is None:
            theirs = await provider.create_payment(_page(terms, payment))
        else:
            theirs = await provider.charge(_charge(terms, payment, each.card))
    require_same(payment.id, payment.amount, payment.currency, theirs)
    return theirs


def _page(terms: CampaignTerms, payment: Payment) -> PaymentRequest:
    return PaymentRequest(
        operation_id=payment.operation_id,
        subject=payment.id,
        amount=payment.amount,
        currency=payment.currency,
        description=terms.title,
        return_url=terms.rules.return_url,
    )


def _charge(terms: CampaignTerms, payment: Payment, card: SavedCard) -> ChargeRequest:
    return ChargeRequest(
        operation_id=payment.operation_id,
        subject=payment.id,
        card_reference=card.reference or "",
        amount=payment.amount,
        currency=payment.currency,
        description=terms.title,
        return_url=terms.rules.return_url,
    )


async def _pay_by_hand(batch: Batch, unusable: Mapping[str, str]) -> list[str]:
    """Pledges whose card cannot be charged, released or unknown as it is: they wait for a payment of another kind.

    One for whom the provider refuses that as well is dropped.
    """
    if not unusable:
        return []
    async with batch.database.transaction() as session:
        held = await pledge_locks.hold(session, batch.campaign_id, list(unusable))
        pledges = standing(held, unusable, PledgeState.CHARGING)
        former = await pledge_locks.payments(session, [each.payment_id or "" for each in pledges])
        refused_twice = [
            each
            for each in pledges
            if former[each.payment_id or ""].operation_id != f"{each.id}/{_CHARGE}"
        ]
        for each in refused_twice:
            former[each.payment_id or ""].status = PaymentState.EXPIRED
            each.decline_reason = unusable[each.id]
        await pledge_states.end(session, refused_twice, PledgeState.DROPPED, held.at)
        why = "The payment company takes neither the card nor another payment"
        events = [pledge_states.dropped(each, why) for each in refused_twice]
        await pledge_states.write_events(session, events)
        pledges = [each for each in pledges if each not in refused_twice]
        pages = []
        for each in pledges:
            charge = former[each.payment_id or ""]
            charge.status = PaymentState.EXPIRED
            each.decline_reason = unusable[each.id]
            pages.append(_payment(held, each, charge.provider, _PAGE))
        await _await(session, pledges, pages)
    return [each.id for each in pledges]


async def _decline(
    batch: Batch, owners: Mapping[str, str], declined: Mapping[str, ProviderPayment]
) -> int:
    """ERRORED: the backer may mend it on the page, until the time to fix is over. Answers how many."""
    if not declined:
        return 0
    wanted = {owners[payment_id]: payment_id for payment_id in declined}
    async with batch.database.transaction() as session:
        held = await pledge_locks.hold(session, batch.campaign_id, list(wanted))
        failed = [
            each
            for each in standing(held, wanted, PledgeState.CHARGING)
            # Of a campaign that was called off meanwhile nobody is asked for money any more.
            if each.payment_id == wanted[each.id] and held.phase is Phase.COLLECTING
        ]
        payments = await pledge_locks.payments(session, [each.payment_id or "" for each in failed])
        events = []
        for each in failed:
            payment = payments[each.payment_id or ""]
            theirs = declined[payment.id]
            payment.reference, payment.checkout_url = theirs.reference, theirs.checkout_url
            payment.status = PaymentState.OPEN
            pledge_states.move(each, PledgeState.ERRORED)
            each.decline_reason = theirs.decline_reason or each.decline_reason or "declined"
            each.expires_at = fix_until(held)
            events.append(_failed(each))
        await write_events(session, events)
    await _begin_stories(batch, held, failed)
    return len(failed)


def _failed(pledge: Pledge) -> NewEvent:
    amount = format_money(pledge.amount, pledge.currency)
    return NewEvent(
        pledge_id=pledge.id,
        key=f"{pledge.id}/charge-failed",
        kind="charge_failed",
        summary=f"The charge of {amount} failed: {pledge.decline_reason}",
    )


async def _begin_stories(batch: Batch, held: Held, failed: Sequence[Pledge]) -> None:
    """One story each. The last tries of all of them are spread over the time that their calls take."""
    policy = held.terms.policy
    rate = batch.settings.provider_rate_per_second
    cases = []
    for each in failed:
        calls = CALLS_OF_A_DROP * batch.failed * batch.case.shards
        cases.append(
            PledgeCase(
                pledge_id=each.id,
                campaign_id=each.campaign_id,
                amount=each.amount,
                currency=each.currency,
                fix_until=each.expires_at or fix_until(held),
                remind_seconds=policy.remind_seconds,
                drop_after_seconds=calls // rate if rate else 0,
                poll=policy.poll,
                silence_seconds=policy.provider_silence_seconds,
            )
        )
        batch.failed += 1
    await batch.begin(cases, {each.id: each.backer_id for each in failed})
