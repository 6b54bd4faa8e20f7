"""How the money of a sale leaves its escrow: released to the seller, or on its way back to the buyer."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from activities import payees, stock
from db import sale_rows
from db.tables import Payment, Refund, Sale
from domain import accounts, postings
from domain.ids import new_id, step_key
from domain.parcels import LabelPayer
from domain.payments import PaymentState, RefundState
from domain.sale import Event, SaleTerms, compensation, release_entries
from domain.sale_messages import SaleStep
from domain.sale_money import SaleMoney, in_escrow, release_free, whole_refund
from ledger import journal

CHARGED_BACK = "charged_back"
"""Why a sale has ended that brought its seller nothing: the buyer's bank has taken all of it."""


async def release(session: AsyncSession, sale: Sale, money: SaleMoney, key: str) -> int:
    """RELEASE of what is in escrow and not locked by the frozen shares; what the seller owes is taken from it first.

    A frozen seller's share is held, and pays what they owe when it is given free. Returns how much it was, minor
    units: nothing when the buyer's bank has taken all of it.
    """
    terms = SaleTerms.model_validate(sale.terms)
    money, shares = release_free(terms, money)
    sale_rows.keep_money(sale, money)
    entries = release_entries(terms, key, shares)
    if not entries:
        if not sum(in_escrow(terms, money)):
            sale.end_reason = CHARGED_BACK
        return 0
    await payees.post(session, *entries)
    await net_debts(session, terms.seller_id, terms.currency, key, terms.sale_id)
    return sum(share.amount for share in shares)


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


async def start_refund(
    session: AsyncSession, sale: Sale, money: SaleMoney, step: SaleStep
) -> tuple[str | None, int]:
    """REFUND of the whole escrow; the pieces go back on sale unless the parcel is lost.

    Returns the refund's id and amount; no id when the buyer's bank has taken all of it.
    """
    terms = SaleTerms.model_validate(sale.terms)
    sale.end_reason = step.event
    if step.event is Event.LOST:
        await stock.sell(session, sale.id)
        await _compensate_seller(session, sale, terms, step.key)
    else:
        await stock.release(session, terms)
    return await refund_escrow(session, sale, money, step.key, step.event)


async def refund_escrow(
    session: AsyncSession, sale: Sale, money: SaleMoney, key: str, reason: str
) -> tuple[str | None, int]:
    """What is in escrow goes back to the buyer. Returns the refund's id, if there is anything, and its amount."""
    money, amount = whole_refund(SaleTerms.model_validate(sale.terms), money)
    sale_rows.keep_money(sale, money)
    if not amount:
        return None, 0
    payment = (
        await session.scalars(
            select(Payment).where(
                Payment.path_id.in_([sale.id, sale.order_id]),
                Payment.status == PaymentState.CAPTURED,
            )
        )
    ).one()
    refund = Refund(
        id=new_id("ref"),
        path_id=sale.id,
        payment_id=payment.id,
        payer_id=payment.payer_id,
        provider=payment.provider,
        operation_id=step_key(key, "refund"),
        amount=amount,
        currency=payment.currency,
        reason=reason,
        status=RefundState.REQUESTED,
    )
    session.add(refund)
    await journal.post(session, postings.refund(key, sale.id, refund.id, amount, payment.currency))
    return refund.id, amount


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
