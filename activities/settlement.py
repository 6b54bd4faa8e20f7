"""How the money of a sale leaves its escrow: released to the seller, or on its way back to the buyer."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from activities import payees, stock
from db.tables import Payment, Refund, Sale
from domain import accounts, postings
from domain.ids import new_id, step_key
from domain.parcels import LabelPayer
from domain.payments import PaymentState, RefundState
from domain.sale import Event, SaleTerms, compensation, release_entries
from domain.sale_messages import SaleStep
from ledger import journal


async def release(session: AsyncSession, terms: SaleTerms, key: str) -> None:
    """RELEASE of the whole escrow by the frozen shares; what the seller owes is taken from it first.

    A frozen seller's share is held, and pays what they owe when it is given free.
    """
    await payees.post(session, *release_entries(terms, key))
    await net_debts(session, terms.seller_id, terms.currency, key, terms.sale_id)


async def net_debts(
    session: AsyncSession, user_id: str, currency: str, key: str, path_id: str
) -> None:
    """Income pays the user's receivable first; what is held pays nothing yet."""
    debt, income = accounts.receivable(user_id), accounts.payable(user_id)
    held = await journal.balances(session, [debt, income], currency, for_update=True)
    netting = postings.net_receivable(
        f"{key}/netting",
        user_id,
        held[debt].available,
        held[income].available,
        currency,
        path_id=path_id,
    )
    if netting is not None:
        await journal.post(session, netting)


async def start_refund(session: AsyncSession, sale: Sale, terms: SaleTerms, step: SaleStep) -> str:
    """REFUND of the whole escrow; the pieces go back on sale unless the parcel is lost. Returns the refund's id."""
    sale.end_reason = step.event
    if step.event is Event.LOST:
        await stock.sell(session, sale.id)
        await _compensate_seller(session, sale, terms, step.key)
    else:
        await stock.release(session, terms)
    return await refund_escrow(session, sale.id, step.key, step.event)


async def refund_escrow(session: AsyncSession, path_id: str, key: str, reason: str) -> str:
    """Everything the path's captured payment brought goes back to its payer. Returns the refund's id."""
    payment = (
        await session.scalars(
            select(Payment).where(
                Payment.path_id == path_id, Payment.status == PaymentState.CAPTURED
            )
        )
    ).one()
    refund = Refund(
        id=new_id("ref"),
        path_id=path_id,
        payment_id=payment.id,
        payer_id=payment.payer_id,
        provider=payment.provider,
        operation_id=step_key(key, "refund"),
        amount=payment.amount,
        currency=payment.currency,
        reason=reason,
        status=RefundState.REQUESTED,
    )
    session.add(refund)
    await journal.post(
        session, postings.refund(key, path_id, refund.id, payment.amount, payment.currency)
    )
    return refund.id


async def _compensate_seller(session: AsyncSession, sale: Sale, terms: SaleTerms, key: str) -> None:
    """A parcel lost under the platform's own label is not the seller's fault: the protection fund pays."""
    if sale.label_paid_by != LabelPayer.PLATFORM:
        return
    seller = await payees.payee_account(session, terms.seller_id)
    fund = accounts.PROTECTION_FUND
    touched = [fund, seller, accounts.LOSS]
    held = await journal.balances(session, touched, terms.currency, for_update=True)
    await payees.post(session, *compensation(terms, f"{key}/compensate", held[fund].available))
    await net_debts(session, terms.seller_id, terms.currency, key, sale.id)
