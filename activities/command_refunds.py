"""Commands about one path: a part of a sale's price goes back, a timer is moved."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from activities.command_ways import Done, Ordered
from activities.sale_money import PartOf, ask_back, entries_back, require_no_open_chargeback
from activities.sales import sale_of
from activities.transitions import advance, lock_path, require_not_paused, timers
from db import sale_rows
from db.command_rows import REFUNDABLE
from db.tables import Path, Payment, Refund
from domain import accounts, postings_back
from domain.cases import RefundCase
from domain.commands import Bearer, Executed, ExtendDeadline, RefundPath, Tell, can_extend
from domain.errors import HoldTooLong, InvalidInput, TooLate, WrongPhase
from domain.ids import step_key
from domain.money import Money, format_money
from domain.path import Standing
from domain.payments import PaymentState, RefundCause
from domain.postings import JournalEntry
from domain.sale_money import refund_part
from ledger import journal


async def refund(ordered: Ordered) -> Done:
    """A part of a sale's price goes back to the buyer: of one line, or as a loss of the platform.

    Raises NotFound, WrongPhase before the payment and while the bank has money of it, RefundTooLarge.
    """
    assert isinstance(ordered.order, RefundPath)
    order, session = ordered.order, ordered.session
    path = await lock_path(session, order.path_id)
    if path.phase not in REFUNDABLE:
        raise WrongPhase(
            f"nothing of a sale that is {path.phase} can be sent back",
            field="phase",
            accepted=", ".join(sorted(REFUNDABLE)),
        )
    sale = await sale_of(session, path.id)
    part = PartOf(session, path, sale, RefundCause.COMMAND, ordered.command_id)
    await require_no_open_chargeback(session, sale)
    back = await ask_back(part, order.amount, ordered.key, "operators")
    await journal.post(session, *await _out_of(ordered, order, part, back))
    amount = format_money(order.amount, path.currency)
    part.receipts(await part.money())
    advance(
        session,
        path,
        key=step_key(ordered.key, "refunding"),
        kind="refund_ordered",
        phase=path.phase,
        actor="operator",
        summary=f"Operators send {amount} back to the buyer",
        deadlines=timers(path),
        data={"refund_id": back.id, "command_id": ordered.command_id},
    )
    case = RefundCase(
        refund_id=back.id,
        path_id=path.id,
        amount=order.amount,
        currency=path.currency,
        policy=part.terms.refund_policy,
    )
    return Done(
        executed=Executed(refunds=(case,)),
        amounts=(Money(amount=order.amount, currency=path.currency),),
        words=(f"{amount} goes back to the buyer",),
    )


async def _out_of(
    ordered: Ordered, order: RefundPath, part: PartOf, back: Refund
) -> list[JournalEntry]:
    """Where the money comes from: escrow first, then whoever got it; or the platform."""
    currency = part.terms.currency
    if order.bearer is Bearer.PLATFORM:
        key = step_key(ordered.key, "goodwill")
        return [
            postings_back.goodwill(
                key, part.path.id, back.id, accounts.LOSS, order.amount, currency
            )
        ]
    taken = refund_part(part.terms, await part.money(), {order.line: order.amount})
    sale_rows.keep_money(part.sale, taken.money)
    return await entries_back(part, taken, back.id, ordered.key)


async def extend(ordered: Ordered) -> Done:
    """One timer of the path fires later. Raises InvalidInput, WrongPhase, TooLate and HoldTooLong."""
    assert isinstance(ordered.order, ExtendDeadline)
    order, session = ordered.order, ordered.session
    path = await lock_path(session, order.path_id)
    require_not_paused(path)
    if not can_extend(path.kind):
        raise InvalidInput(
            f"the timers of a {path.kind} stay as agreed",
            field="path_id",
            accepted="a path of another kind",
        )
    own = [each for each in timers(path) if each.event]
    wanted = [each for each in own if (each.name, each.subject) == (order.name, order.subject)]
    if len(wanted) != 1:
        raise InvalidInput(
            "the path has no such timer",
            field="name",
            accepted=", ".join(f"{each.name} {each.subject}".strip() for each in own) or "nothing",
        )
    moved = wanted[0].model_copy(
        update={"due_at": wanted[0].due_at + timedelta(seconds=order.seconds)}
    )
    now = (await session.execute(select(func.clock_timestamp()))).scalar_one()
    if wanted[0].passes_at <= now:
        raise TooLate("its time is over already", field="name", accepted="a timer that runs")
    until = await _held_until(session, path)
    if until is not None and moved.passes_at > until:
        raise HoldTooLong(
            "the payment provider does not hold the money that long",
            field="seconds",
            accepted=f"at most until {until:%Y-%m-%d %H:%M:%S} UTC",
        )
    left = tuple(moved if each == wanted[0] else each for each in timers(path))
    words = f"{order.name} ends on {moved.due_at:%Y-%m-%d %H:%M:%S} UTC"
    advance(
        session,
        path,
        key=step_key(ordered.key, "extended"),
        kind="deadline_extended",
        phase=path.phase,
        actor="operator",
        summary=f"Operators give more time: {words}",
        deadlines=left,
        data={"command_id": ordered.command_id},
    )
    await session.flush()
    return Done(
        executed=Executed(
            tell=Tell.RETIMED,
            workflow_id=path.workflow_id,
            standing=Standing(path_id=path.id, phase=path.phase, deadlines=left),
        ),
        words=(words,),
    )


async def _held_until(session: AsyncSession, path: Path) -> datetime | None:
    """Until when the payment companies hold what the path has."""
    found: datetime | None = await session.scalar(
        select(func.min(Payment.hold_deadline)).where(
            Payment.path_id == path.id, Payment.status == PaymentState.CAPTURED
        )
    )
    return found
