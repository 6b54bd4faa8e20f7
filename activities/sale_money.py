"""Parts of a sale's price that somebody asks back: locked in escrow, sent back, or given free again.

Each of these is called with the sale's path row locked. What is still in escrow goes back out of it; what was released is
taken back from seller, commission and royalty, and what the seller cannot pay is owed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from activities import escrow, payees
from activities.settlement import net_debts
from activities.transitions import advance, close_when_empty, timers
from db import sale_rows
from db.tables import Chargeback, Path, Payment, Refund, Sale
from domain import accounts, postings, postings_back
from domain.cases import RefundCase
from domain.chargebacks import UNDECIDED
from domain.errors import RefundTooLarge, WrongPhase
from domain.ids import new_id, step_key
from domain.money import format_money
from domain.payments import PaymentState, RefundCause, RefundState
from domain.postings import JournalEntry
from domain.sale import Phase, SaleTerms, release_entries
from domain.sale_money import (
    SaleMoney,
    TakenBack,
    free,
    locked,
    refund_part,
    refundable,
    release_free,
    unlocked,
)
from ledger import journal

Parts = Mapping[int, int]
"""Minor units by number of the sale's line, from 0."""


@dataclass(frozen=True)
class PartOf:
    """A sale of which somebody wants a part, and what asks for it."""

    session: AsyncSession
    path: Path
    sale: Sale
    cause: RefundCause
    cause_id: str

    @property
    def terms(self) -> SaleTerms:
        """The frozen terms."""
        return SaleTerms.model_validate(self.sale.terms)

    @property
    def phase(self) -> Phase:
        """Where the sale stands."""
        return Phase(self.path.phase)

    async def money(self) -> SaleMoney:
        """Where the money of each line is."""
        return await sale_rows.money_of(self.session, self.sale, self.phase)

    def receipts(self, money: SaleMoney) -> None:
        """What the sale's timers would post, after its money has changed."""
        pending = timers(self.path)
        due = next((each.due_at for each in pending if not each.subject), None)
        others = [each for each in pending if each.subject]
        found = (*sale_rows.receipts(self.sale, money, self.phase, due), *others)
        self.path.deadlines = [each.model_dump(mode="json") for each in found]


async def left(part: PartOf) -> list[int]:
    """What can still go back of each line, minor units."""
    return refundable(part.terms, await part.money())


async def lock(part: PartOf, parts: Parts) -> dict[int, int]:
    """Keeps what is still in escrow of these parts there until it is given free. Answers how much of each line."""
    money = await part.money()
    there = free(part.terms, money)
    kept = {line: min(amount, there[line]) for line, amount in parts.items()}
    money = locked(part.terms, money, kept)
    sale_rows.keep_money(part.sale, money)
    part.receipts(money)
    return kept


async def unlock(part: PartOf, parts: Parts) -> None:
    """What was locked may go back or on: call `go_on` when what goes back is posted."""
    money = unlocked(await part.money(), parts)
    sale_rows.keep_money(part.sale, money)
    part.receipts(money)


async def go_on(part: PartOf, key: str, at: datetime) -> int:
    """A sale that has completed pays its seller what nobody locks any more. Minor units released now."""
    if part.phase is not Phase.COMPLETED:
        return 0
    terms = part.terms
    money, shares = release_free(terms, await part.money())
    entries = release_entries(terms, step_key(key, "rest"), shares)
    if entries:
        sale_rows.keep_money(part.sale, money)
        await payees.post(part.session, *entries)
        await net_debts(part.session, terms.seller_id, terms.currency, key, terms.sale_id)
    await close_when_empty(part.session, part.path, at)
    return sum(share.amount for share in shares)


async def give_back(
    part: PartOf, parts: Parts, key: str, *, reason: str, fee_kept: bool = False
) -> RefundCase | None:
    """Sends these parts, unlocked before, back to the buyer; None when nothing of them is left.

    What banks have taken meanwhile is not there to go back. Raises WrongPhase while a bank has money of the sale.
    """
    await require_no_open_chargeback(part.session, part.sale)
    terms, money = part.terms, await part.money()
    most = refundable(terms, money)
    wanted = {line: min(amount, most[line]) for line, amount in parts.items()}
    # What was given out of the seller's own balance, or by the platform, has left the payment but no line.
    payment = await payment_of(part.session, part.sale)
    wanted = at_most(wanted, await escrow.left_of(part.session, payment, part.path.id))
    amount = sum(wanted.values())
    if not amount:
        return None
    taken = refund_part(terms, money, wanted)
    refund = await ask_back(part, amount, key, reason)
    sale_rows.keep_money(part.sale, taken.money)
    await journal.post(
        part.session, *await entries_back(part, taken, refund.id, key, fee_kept=fee_kept)
    )
    part.receipts(taken.money)
    return RefundCase(
        refund_id=refund.id,
        path_id=part.path.id,
        amount=amount,
        currency=terms.currency,
        policy=terms.refund_policy,
    )


def at_most(parts: Parts, most: int) -> dict[int, int]:
    """The parts, the last ones cut down so that they are not more than that together."""
    found, left_ = {}, max(most, 0)
    for line, amount in parts.items():
        found[line] = min(amount, left_)
        left_ -= found[line]
    return found


async def ask_back(part: PartOf, amount: int, key: str, reason: str) -> Refund:
    """The row of a refund of so much of the sale's payment. Raises RefundTooLarge for more than is left of it."""
    session = part.session
    payment = await payment_of(session, part.sale)
    there = await escrow.left_of(session, payment, part.path.id)
    if amount > there:
        raise RefundTooLarge(
            f"{format_money(there, payment.currency)} of the payment is left",
            field="amount",
            accepted=f"at most {there}",
        )
    refund = Refund(
        id=new_id("ref"),
        path_id=part.path.id,
        payment_id=payment.id,
        payer_id=payment.payer_id,
        provider=payment.provider,
        operation_id=step_key(key, "refund"),
        amount=amount,
        currency=payment.currency,
        reason=reason,
        cause=part.cause,
        cause_id=part.cause_id,
        status=RefundState.REQUESTED,
    )
    session.add(refund)
    await session.flush()
    return refund


async def entries_back(
    part: PartOf, taken: TakenBack, refund_id: str, key: str, *, fee_kept: bool = False
) -> list[JournalEntry]:
    """What is posted for money that goes back: escrow first, then whoever got it. Their accounts stay locked."""
    terms, session = part.terms, part.session
    entries = []
    if taken.from_escrow:
        entries.append(
            postings.refund(
                step_key(key, "escrow"),
                part.path.id,
                refund_id,
                taken.from_escrow,
                terms.currency,
            )
        )
    if taken.seller or taken.fee or taken.royalties:
        payee = await payees.payee_account(session, terms.seller_id)
        touched = [
            payee,
            accounts.receivable(terms.seller_id),
            accounts.FEE,
            accounts.refund_due(refund_id),
            accounts.escrow(part.path.id),
            *(each.account for each in taken.royalties),
        ]
        held = await journal.balances(
            session, touched, terms.currency, for_update=True, path_id=part.path.id
        )
        entries.append(
            postings_back.take_back(
                step_key(key, "released"),
                part.path.id,
                refund_id,
                payee=payee,
                user_id=terms.seller_id,
                seller=taken.seller,
                balance=held[payee].available,
                fee=taken.fee,
                royalties=taken.royalties,
                currency=terms.currency,
                fee_kept=fee_kept,
            )
        )
    return entries


def note(part: PartOf, *, key: str, kind: str, actor: str, summary: str, reopen: bool) -> None:
    """Tells the sale's timeline. `reopen`: money is on its way again, so a path that had closed is open until it is there."""
    path = part.path
    advance(
        part.session,
        path,
        key=key,
        kind=kind,
        phase=path.phase,
        actor=actor,
        summary=summary,
        deadlines=timers(path),
        closed_at=None if reopen else path.closed_at,
        data={"cause_id": part.cause_id},
    )


async def payment_of(session: AsyncSession, sale: Sale) -> Payment:
    """The captured payment that filled the sale's escrow, locked; of an order of several sellers, the order's."""
    return (
        await session.scalars(
            select(Payment)
            .where(
                Payment.path_id.in_([sale.id, sale.order_id]),
                Payment.status == PaymentState.CAPTURED,
            )
            .with_for_update()
        )
    ).one()


async def bank_has_money(session: AsyncSession, sale: Sale) -> bool:
    """Whether the buyer's bank has taken money of the sale's payment for the moment."""
    found = await session.scalar(
        select(Chargeback.id)
        .where(
            Chargeback.path_id.in_([sale.id, sale.order_id]),
            Chargeback.status.in_(UNDECIDED),
        )
        .limit(1)
    )
    return found is not None


async def require_no_open_chargeback(session: AsyncSession, sale: Sale) -> None:
    """Raises WrongPhase while the bank has money of the sale: the buyer would have it twice."""
    if await bank_has_money(session, sale):
        raise WrongPhase(
            "the buyer's bank has money of this sale for the moment",
            field="phase",
            accepted="the same request when the bank has decided",
        )
