"""How backers change their pledges and take them back, as rows: short transactions that no workflow hears of.

All of it is called with the campaign's path share-locked (db.pledge_rows.ground) and the pledge locked. Nothing here
writes money: what is to go back is noted in `to_refund`, and the intake sends it.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy.ext.asyncio import AsyncSession

from db import campaign_seats, match_rows, pledge_stats
from db.pledge_rows import Ground, Wish, agreed, window
from db.pledge_states import (
    NewEvent,
    end,
    facts_of,
    happened,
    now_of,
    rewrite,
    write_events,
)
from db.tables import Payment, Pledge
from domain.errors import WrongPhase
from domain.ids import new_id
from domain.money import format_money
from domain.payments import PaymentState, Purpose
from domain.pledge import Method, PendingChange, PledgeState, Priced, Selection

_S = PledgeState


async def change(
    session: AsyncSession, on: Ground, pledge: Pledge, wish: Wish, *, key: str, provider: str
) -> None:
    """Another choice or amount. What must be paid first waits as a pending change; all else holds at once.

    `key` makes it happen once. Raises WrongPhase, CurrencyMismatch, InvalidInput, BelowPrice, OutOfStock.
    """
    if await happened(session, key):
        return
    _require_changeable(pledge)
    held = _numbers(pledge)
    # Somebody who has a seat keeps it, also when it is not on sale any more.
    items = [
        each.model_copy(update={"on_sale": True}) if each.number in held else each
        for each in on.items
    ]
    selection, cost = agreed(on, items, wish)
    if cost.total < pledge.amount:
        _require_round(on, pledge)
    if pledge.state == _S.FUNDED and cost.total > pledge.amount:
        await _await_payment(session, on, pledge, selection, cost, key, provider)
        return
    before = pledge.amount
    seats = {number: -pieces for number, pieces in _seats(on, pledge).items()}
    for number, pieces in cost.seats.items():
        seats[number] = seats.get(number, 0) + pieces
    deltas = rewrite(pledge, selection, cost.total, cost.shipping, on.at)
    if pledge.state == _S.FUNDED and before > pledge.amount:
        pledge.to_refund = (pledge.to_refund or 0) + before - pledge.amount
    words = f"{_money(pledge, before)} became {_money(pledge, pledge.amount)}"
    await _write(session, pledge, key, "changed", words)
    await shift_seats(session, pledge.campaign_id, seats)
    if on.matched:
        now = await now_of(session, on.path.id, on.terms.goal)
        without = now.model_copy(update={"pledged": now.pledged - before})
        await match_rows.reprice(session, facts_of(pledge), without)
    await pledge_stats.note(session, deltas)


def _require_changeable(pledge: Pledge) -> None:
    """Raises WrongPhase for a pledge that cannot be changed as it is."""
    if pledge.state == _S.INITIATED:
        raise WrongPhase(
            "it is not saved or paid yet", field="state", accepted="cancel it and pledge anew"
        )
    if pledge.state not in (_S.SAVED, _S.FUNDED):
        raise WrongPhase(
            f"the pledge is {pledge.state}", field="state", accepted=f"{_S.SAVED} or {_S.FUNDED}"
        )
    _require_undisputed(pledge)
    if pledge.pending is not None:
        raise WrongPhase(
            "a former change waits for its payment",
            field="state",
            accepted="paying it, or the next change when it has lapsed",
        )


def _require_undisputed(pledge: Pledge) -> None:
    if pledge.dispute_open:
        raise WrongPhase(
            "your bank has taken the money back for the moment",
            field="state",
            accepted="the same request when the bank has decided",
        )


def _require_round(on: Ground, pledge: Pledge) -> None:
    """Raises WrongPhase for less in another round: the first one has succeeded on the strength of this pledge."""
    if pledge.round != on.round:
        raise WrongPhase(
            f"it was made in round {pledge.round}, which has succeeded with it",
            field="round",
            accepted="more than before, or nothing",
        )


async def _await_payment(
    session: AsyncSession,
    on: Ground,
    pledge: Pledge,
    selection: Selection,
    cost: Priced,
    key: str,
    provider: str,
) -> None:
    """The difference is to be paid first; the seats that come on top are taken now."""
    had = _seats(on, pledge)
    extra = {
        number: pieces - had.get(number, 0)
        for number, pieces in cost.seats.items()
        if pieces > had.get(number, 0)
    }
    until = window(on, Method(pledge.method))
    payment = Payment(
        id=new_id("pay"),
        path_id=pledge.campaign_id,
        pledge_id=pledge.id,
        payer_id=pledge.backer_id,
        provider=provider,
        operation_id=key,
        amount=cost.total - pledge.amount,
        currency=pledge.currency,
        purpose=Purpose.PLEDGE,
        status=PaymentState.REQUESTED,
        expires_at=until,
    )
    session.add(payment)
    pledge.pending = PendingChange(
        payment_id=payment.id,
        selection=selection,
        amount=cost.total,
        shipping=cost.shipping,
        seats=extra,
    ).model_dump(mode="json")
    pledge.expires_at = until
    more = _money(pledge, payment.amount)
    await _write(session, pledge, key, "change_asked", f"{more} more is to be paid for a change")
    await shift_seats(session, pledge.campaign_id, extra)


async def cancel(session: AsyncSession, on: Ground, pledge: Pledge, *, key: str, note: str) -> None:
    """The backer takes the pledge back. Its page or card is closed, and its money sent, by the intake.

    `key` makes it happen once. Raises WrongPhase.
    """
    if await happened(session, key):
        return
    if pledge.state not in (_S.INITIATED, _S.SAVED, _S.FUNDED):
        raise WrongPhase(
            f"the pledge is {pledge.state}",
            field="state",
            accepted=f"{_S.INITIATED}, {_S.SAVED} or {_S.FUNDED}",
        )
    _require_round(on, pledge)
    _require_undisputed(pledge)
    words = "Taken back by the backer"
    if pledge.state == _S.FUNDED:
        pledge.to_refund = pledge.paid - pledge.refunded
        words = f"{words}; {_money(pledge, pledge.to_refund)} goes back"
    await _write(session, pledge, key, "cancelled", f"{words}: {note}" if note else words)
    to_close = pledge.state != _S.FUNDED or pledge.pending is not None
    await end(session, [pledge], _S.REFUNDING if pledge.state == _S.FUNDED else _S.CANCELLED, on.at)
    # The intake finds here what is still open at the provider.
    pledge.expires_at = on.at if to_close else None
    await session.flush()


async def shift_seats(session: AsyncSession, campaign_id: str, changes: Mapping[int, int]) -> None:
    """Takes so many pieces of each limited item more, or frees them where the number is below 0.

    In the one order of all who take seats. Raises OutOfStock, and then the transaction must not go on.
    """
    for number, pieces in sorted(changes.items()):
        if pieces > 0:
            await campaign_seats.take(session, campaign_id, {number: pieces})
        elif pieces < 0:
            await campaign_seats.free(session, {(campaign_id, number): -pieces})


async def _write(session: AsyncSession, pledge: Pledge, key: str, kind: str, words: str) -> None:
    await session.flush()
    await write_events(session, [NewEvent(pledge_id=pledge.id, key=key, kind=kind, summary=words)])


def _money(pledge: Pledge, amount: int) -> str:
    return format_money(amount, pledge.currency)


def _numbers(pledge: Pledge) -> set[int]:
    return set(campaign_seats.pieces_of(Selection.model_validate(pledge.selection)))


def _seats(on: Ground, pledge: Pledge) -> dict[int, int]:
    """The seats of limited items that the pledge holds."""
    if not pledge.holds_seats:
        return {}
    limited = {each.number for each in on.items if each.seats is not None}
    pieces = campaign_seats.pieces_of(Selection.model_validate(pledge.selection))
    return {number: count for number, count in pieces.items() if number in limited}
