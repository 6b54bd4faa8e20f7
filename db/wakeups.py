"""Which workflow an inbox row concerns, and with what it is woken."""

from __future__ import annotations

import json

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from db import inbox, lot_parcels, parcels, return_rows, sale_rows
from db.tables import Chargeback, InboxRow, Path, Payee, Payment, Payout, Refund, Sale
from domain.cases import ChargebackCase, PaymentCase, PayoutCase, RefundCase
from domain.deadlines import Deadline
from domain.money import format_money
from domain.parcels import ParcelFact, ParcelScan, ScanKind
from domain.payees import PayeeCase
from domain.payments import PaymentState
from domain.sale import Phase, SaleTerms, due_at
from runtime.settings import Settings
from runtime.temporal import Start, Tell, Wake

CARRIER_PREFIX = "carrier:"


async def wakeup_for(
    session: AsyncSession, row: InboxRow, settings: Settings
) -> Wake | Tell | None:
    """What to send for this row; None when the row is dealt with, is consumed in batches, or has to wait."""
    if row.in_batches:
        return None
    if row.source.startswith(CARRIER_PREFIX):
        return await _parcel(session, row)
    if over := await _over(session, row):
        await inbox.ignore(session, row, over)
        return None
    if row.kind.startswith(inbox.DISPUTES):
        if await _of_unpaid_pledge(session, row.subject):
            # Its capture will be found by those who look at payments of pledges; then this is handed on.
            return None
        wake = await _disputed(session, row.subject, settings)
    else:
        wake = await wake_about(session, row.subject, settings)
    if wake is None:
        await inbox.ignore(session, row, "concerns nothing of ours")
    return wake


async def _of_unpaid_pledge(session: AsyncSession, payment_id: str) -> bool:
    """Whether it is a payment of a pledge whose capture is not in the books: no story follows it."""
    payment = await session.get(Payment, payment_id)
    return (
        payment is not None
        and payment.pledge_id is not None
        and payment.status != PaymentState.CAPTURED
    )


async def _over(session: AsyncSession, row: InboxRow) -> str | None:
    """Why this news about a refund or payout tells nothing new; None when it may. News that contradicts us must be read."""
    refund = await session.get(Refund, row.subject)
    if refund is not None and refund.ended_at and row.kind == f"refund.{refund.status}":
        return f"the refund is {refund.status} already"
    payout = await session.get(Payout, row.subject)
    if payout is not None and payout.ended_at and row.kind == f"payout.{payout.status}":
        return f"the payout is {payout.status} already"
    return None


async def wake_about(session: AsyncSession, subject: str, settings: Settings) -> Wake | None:
    """How to wake the payment, refund, payout or chargeback of this id; None when there is none."""
    for find in (_payment, _refund, _payout, _chargeback, _payee):
        wake = await find(session, subject, settings)
        if wake is not None:
            return wake
    return None


async def _payment(session: AsyncSession, subject: str, settings: Settings) -> Wake | None:
    payment = await session.get(Payment, subject)
    if payment is None:
        return None
    late = payment.status in (PaymentState.EXPIRED, PaymentState.CAPTURED)
    return Wake(
        start_again=late,
        start=_start("Payment", "payment", payment.id, payment.payer_id, payment),
        case=PaymentCase(
            payment_id=payment.id,
            path_id=payment.path_id,
            payer_id=payment.payer_id,
            amount=payment.amount,
            currency=payment.currency,
            expires_at=payment.expires_at,
            poll=settings.sale_policy.poll,
            silence_seconds=settings.sale_policy.provider_silence_seconds,
            refund_policy=settings.refund_policy,
            late=late,
        ),
    )


async def _refund(session: AsyncSession, subject: str, settings: Settings) -> Wake | None:
    refund = await session.get(Refund, subject)
    if refund is None:
        return None
    return Wake(
        start=_start("Refund", "refund", refund.id, refund.payer_id, refund),
        case=RefundCase(
            refund_id=refund.id,
            path_id=refund.path_id,
            amount=refund.amount,
            currency=refund.currency,
            policy=settings.refund_policy,
        ),
    )


async def _payout(session: AsyncSession, subject: str, settings: Settings) -> Wake | None:
    payout = await session.get(Payout, subject)
    if payout is None:
        return None
    return Wake(
        start=_start("Payout", "payout", payout.id, payout.user_id, payout),
        case=PayoutCase(
            payout_id=payout.id,
            user_id=payout.user_id,
            currency=payout.currency,
            policy=settings.payout_policy,
        ),
    )


async def _payee(session: AsyncSession, subject: str, settings: Settings) -> Wake | None:
    payee = await session.get(Payee, subject)
    if payee is None:
        return None
    return Wake(
        start=Start(
            workflow="Payee",
            workflow_id=f"payee-{payee.id}",
            summary=f"Verification of {payee.user_id}",
            path="payee",
            initiator=payee.user_id,
            currency="XXX",
        ),
        case=PayeeCase(
            payee_id=payee.id,
            user_id=payee.user_id,
            provider=payee.provider,
            policy=settings.payout_policy,
            within_seconds=settings.operator_policy.sla_seconds,
        ),
    )


async def _chargeback(session: AsyncSession, subject: str, settings: Settings) -> Wake | None:
    chargeback = await session.get(Chargeback, subject)
    if chargeback is None:
        return None
    return await _disputed(session, chargeback.payment_id, settings)


async def _disputed(session: AsyncSession, payment_id: str, settings: Settings) -> Wake | None:
    """News of a dispute of a payment. Before its capture is in the books the payment itself must be looked at.

    The news waits in the inbox for that and is handed on again.
    """
    payment = await session.get(Payment, payment_id)
    if payment is None or payment.status != PaymentState.CAPTURED:
        return await _payment(session, payment_id, settings)
    return Wake(
        start=_start("Chargeback", "chargeback", payment.id, payment.payer_id, payment),
        case=ChargebackCase(
            payment_id=payment.id,
            amount=payment.amount,
            currency=payment.currency,
            policy=settings.chargeback_policy,
        ),
    )


def _start(
    workflow: str, path: str, subject: str, initiator: str, money: Payment | Refund | Payout
) -> Start:
    return Start(
        workflow=workflow,
        workflow_id=f"{path}-{subject}",
        summary=f"{workflow} of {format_money(money.amount, money.currency)}",
        path=path,
        initiator=initiator,
        currency=money.currency,
    )


async def _parcel(session: AsyncSession, row: InboxRow) -> Tell | None:
    """Ordinary scans are rows; only what decides something goes on to the workflow."""
    carrier = row.source.removeprefix(CARRIER_PREFIX)
    scan = ParcelScan.model_validate(json.loads(row.body)["data"])
    sale = await session.scalar(
        select(Sale).where(Sale.carrier == carrier, Sale.tracking_number == scan.tracking_number)
    )
    if sale is None:
        of_return, told = await return_rows.heard(session, row, carrier, scan)
        if of_return:
            return told
    if sale is None or not await _is_sales(session, sale, carrier, scan):
        return await lot_parcels.heard(session, row, carrier, scan)
    path = await session.get_one(Path, sale.id, with_for_update=True)
    row.subject = sale.id
    if path.phase != Phase.SHIPPED:
        await inbox.ignore(session, row, f"the sale is {path.phase} already")
        return None
    if scan.occurred_at < path.opened_at:
        await inbox.ignore(session, row, "older than the order: another parcel had this number")
        return None
    await _note_scan(session, path, sale, scan)
    if scan.kind in (ScanKind.DELIVERED, ScanKind.LOST):
        return Tell(workflow_id=path.workflow_id, signal="parcel", fact=ParcelFact(kind=scan.kind))
    await session.flush()
    row.status = "consumed"
    row.consumed_at = await session.scalar(select(func.now()))
    return None


async def _is_sales(session: AsyncSession, sale: Sale, carrier: str, scan: ParcelScan) -> bool:
    """Whether the scan is about the sale's parcel: of two paths with this number the one whose parcel is on its way."""
    phase = await session.scalar(select(Path.phase).where(Path.id == sale.id))
    return phase == Phase.SHIPPED or not await parcels.a_lot_waits(
        session, carrier, scan.tracking_number
    )


async def _note_scan(session: AsyncSession, path: Path, sale: Sale, scan: ParcelScan) -> None:
    """A scan keeps the parcel alive, and the first one tells whose label it is: the receipt says both."""
    heard_at = await session.scalar(select(func.least(func.now(), scan.occurred_at)))
    sale.label_paid_by = sale.label_paid_by or scan.label_paid_by
    if heard_at is not None and (sale.last_scan_at is None or heard_at > sale.last_scan_at):
        sale.last_scan_at = heard_at
    terms = SaleTerms.model_validate(sale.terms)
    due = [Deadline.model_validate(pending).due_at for pending in path.deadlines]
    if sale.last_scan_at is not None and (moved := due_at(terms, Phase.SHIPPED, sale.last_scan_at)):
        due.append(moved)
    money = await sale_rows.money_of(session, sale, Phase.SHIPPED)
    pending = sale_rows.receipts(sale, money, Phase.SHIPPED, max(due, default=None))
    path.deadlines = [receipt.model_dump(mode="json") for receipt in pending]
