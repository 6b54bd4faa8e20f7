"""What backers have begun and not ended is settled: the provider's page is closed first, so that who was faster counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select

from activities import pledge_locks
from activities.pledge_batch import Batch, Done, clear, standing
from activities.pledge_locks import among
from db import campaign_seats, pledge_states, pledge_stats
from db.tables import Payment, Pledge, SavedCard
from domain.payments import PaymentState
from domain.pledge import CardState, PendingChange, PledgeState
from providers.base import CardStatus, PaymentStatus, ProviderCard, ProviderPayment

UNPAID = (PaymentState.REQUESTED, PaymentState.OPEN)


@dataclass(frozen=True)
class Begun:
    """A pledge with what its backer pays or saves at the provider."""

    pledge: Pledge
    card: SavedCard | None = None
    payment: Payment | None = None


@dataclass(frozen=True)
class Found:
    """What the provider says of both once they are closed; None: it never had it."""

    card: ProviderCard | None = None
    payment: ProviderPayment | None = None

    @property
    def captured(self) -> ProviderPayment | None:
        """The payment, if its payer was faster."""
        payment = self.payment
        return payment if payment and payment.status is PaymentStatus.CAPTURED else None

    @property
    def saved(self) -> bool:
        """Whether the card was saved before its page was closed."""
        return self.card is not None and self.card.status is CardStatus.SAVED


async def close(batch: Batch, ids: Sequence[str]) -> Done:
    """Initiated pledges: what was paid or saved after all counts, the rest has expired."""
    return await _settle(batch, ids, release=False)


async def give_up(batch: Batch, ids: Sequence[str]) -> Done:
    """The same of a campaign that gives everything back: no card is kept, whoever was faster."""
    return await _settle(batch, ids, release=True)


async def _settle(batch: Batch, ids: Sequence[str], *, release: bool) -> Done:
    begun = await load(batch, ids)

    async def ask(each: Begun) -> Found:
        return await ended(batch, each, release=release)

    found = clear(await batch.calls().each(begun, ask))
    captured = {
        each.payment.id: answer.captured
        for each, answer in found
        if each.payment is not None and answer.captured is not None
    }
    paid = [each.pledge.id for each, answer in found if answer.captured is not None]
    saved = {each.pledge.id for each, answer in found if answer.saved}
    unpaid = {each.pledge.id: answer for each, answer in found if answer.captured is None}
    async with batch.database.transaction() as session:
        held = await pledge_locks.hold(session, batch.campaign_id, list(unpaid))
        pledges = standing(held, unpaid, PledgeState.INITIATED)
        cards = await pledge_locks.cards(
            session, [each.card_id for each in pledges if each.card_id]
        )
        payments = await pledge_locks.payments(
            session, [each.payment_id for each in pledges if each.payment_id]
        )
        for card in cards.values():
            card.status = CardState.RELEASED
            card.ended_at = held.at
        for payment in payments.values():
            if payment.status in UNPAID:
                payment.status = PaymentState.EXPIRED
        over = [each for each in pledges if each.id not in saved]
        await pledge_states.end(session, over, PledgeState.EXPIRED, held.at)
        deltas = []
        for each in pledges:
            if each.id in saved and each.card_id in cards:
                card, theirs = cards[each.card_id], unpaid[each.id].card
                assert theirs is not None
                card.status, card.ended_at, card.reference = CardState.SAVED, None, theirs.reference
                deltas.append(pledge_states.saved(each, held.at))
        await pledge_stats.note(session, deltas)
    gone_on = await batch.take_in(paid, captured.items())
    return Done(done=len(pledges) + len(gone_on))


async def load(batch: Batch, ids: Sequence[str]) -> list[Begun]:
    """These pledges as they are now, with card and awaited payment."""
    async with batch.database.transaction() as session:
        rows = await session.execute(
            select(Pledge, SavedCard, Payment)
            .outerjoin(SavedCard, SavedCard.id == Pledge.card_id)
            .outerjoin(Payment, Payment.id == Pledge.payment_id)
            .where(among(Pledge.id, ids))
            .order_by(Pledge.id)
        )
        return [Begun(pledge, card, payment) for pledge, card, payment in rows]


async def ended(batch: Batch, each: Begun, *, release: bool) -> Found:
    """Closes card page and payment at the provider; with `release` a saved card is forgotten as well."""
    card = each.card and await batch.desk.close_card(each.card, release=release)
    payment = each.payment and await batch.desk.close_payment(each.payment)
    return Found(card or None, payment or None)


async def settle_changes(batch: Batch, ids: Sequence[str]) -> Done:
    """Bigger choices that wait for the difference: paid after all they hold, else the pledge stays as it was."""
    waiting = await _changes(batch, ids)

    async def ask(payment: Payment) -> Found:
        return Found(payment=await batch.desk.close_payment(payment))

    found = clear(await batch.calls().each(waiting, ask))
    captured = {payment.id: each.captured for payment, each in found if each.captured is not None}
    paid = [payment.pledge_id or "" for payment, each in found if each.captured is not None]
    unpaid = {payment.pledge_id or "": payment for payment, each in found if each.captured is None}
    dropped = await _drop_changes(batch, unpaid)
    gone_on = await batch.take_in(paid, captured.items())
    return Done(done=dropped + len(gone_on))


async def _changes(batch: Batch, ids: Sequence[str]) -> list[Payment]:
    async with batch.database.transaction() as session:
        pledges = await session.scalars(
            select(Pledge).where(among(Pledge.id, ids), Pledge.pending.is_not(None))
        )
        wanted = [PendingChange.model_validate(each.pending).payment_id for each in pledges]
        rows = await session.scalars(
            select(Payment).where(Payment.id.in_(wanted)).order_by(Payment.id)
        )
        return list(rows)


async def _drop_changes(batch: Batch, unpaid: dict[str, Payment]) -> int:
    """The seats that these changes had taken beyond the present choices are free again."""
    if not unpaid:
        return 0
    dropped = 0
    seats: dict[tuple[str, int], int] = {}
    async with batch.database.transaction() as session:
        held = await pledge_locks.hold(session, batch.campaign_id, list(unpaid))
        payments = await pledge_locks.payments(session, [each.id for each in unpaid.values()])
        for pledge in held.pledges.values():
            payment = payments[unpaid[pledge.id].id]
            change = pledge.pending and PendingChange.model_validate(pledge.pending)
            if not change or change.payment_id != payment.id:
                continue
            if payment.status == PaymentState.CAPTURED:
                continue
            payment.status = PaymentState.EXPIRED
            pledge.pending = None
            pledge.expires_at = None
            dropped += 1
            for number, pieces in change.seats.items():
                key = (pledge.campaign_id, number)
                seats[key] = seats.get(key, 0) + pieces
        await campaign_seats.free(session, seats)
    return dropped
