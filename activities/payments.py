"""Payments: presented to the payer, then read from the provider and posted. Never posted from a webhook's words."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from temporalio import activity

from activities.funding import HOOKS, recalled, recalled_expiry
from activities.transitions import lock_path
from db import inbox
from db.engine import Database
from db.tables import Payment, PaymentPart
from domain import postings
from domain.errors import NotFound
from domain.model import Message
from domain.payments import (
    FollowPayment,
    FundingResult,
    PaymentOutcome,
    PaymentState,
    PresentedPayment,
    Purpose,
    filled_account,
)
from domain.postings import JournalEntry
from ledger import journal
from providers.base import (
    PaymentRequest,
    PaymentStatus,
    ProviderPayment,
    ProviderUnavailable,
    is_same,
    require_same,
)
from providers.registry import ProviderRegistry


class PresentPayment(Message):
    """Ask the provider for a page on which the payer can pay."""

    payment_id: str
    description: str
    return_url: str


class Payments:
    """Activities of payments."""

    def __init__(self, database: Database, providers: ProviderRegistry) -> None:
        self.database = database
        self.providers = providers

    @activity.defn(name="present_payment")
    async def present(self, request: PresentPayment) -> PresentedPayment:
        """Creates the payment at the provider, once, whatever answers were lost."""
        payment = await self._payment(request.payment_id)
        if payment.checkout_url is not None:
            return PresentedPayment(payment_id=payment.id, checkout_url=payment.checkout_url)
        provider = self.providers.get(payment.provider)
        theirs = None
        if activity.info().attempt > 1:
            theirs = await provider.find_payment(payment.operation_id)
        if theirs is None:
            theirs = await provider.create_payment(
                PaymentRequest(
                    operation_id=payment.operation_id,
                    subject=payment.id,
                    amount=payment.amount,
                    currency=payment.currency,
                    description=request.description,
                    return_url=request.return_url,
                )
            )
        require_same(payment.id, payment.amount, payment.currency, theirs)
        async with self.database.transaction() as session:
            row = await _locked(session, payment.id)
            row.reference = theirs.reference
            row.checkout_url = theirs.checkout_url
            if row.status == PaymentState.REQUESTED:
                row.status = PaymentState.OPEN
        return PresentedPayment(payment_id=payment.id, checkout_url=theirs.checkout_url)

    @activity.defn(name="follow_payment")
    async def follow(self, request: FollowPayment) -> PaymentOutcome:
        """Reads the payment at the provider and posts what has happened since the last look."""
        payment = await self._payment(request.payment_id)
        async with self.database.transaction() as session:
            seen = await inbox.newest(session, payment.id)
        theirs = await self._read(payment, close=request.close)
        async with self.database.transaction() as session:
            outcome = await self._post(session, payment, theirs, request)
            await inbox.consume(session, payment.id, up_to=seen)
        return outcome

    async def _post(
        self,
        session: AsyncSession,
        payment: Payment,
        theirs: ProviderPayment | None,
        request: FollowPayment,
    ) -> PaymentOutcome:
        path = await lock_path(session, payment.path_id)
        row = await _locked(session, payment.id)
        outcome = PaymentOutcome(result=FundingResult.WAITING, at=request.at)
        if (
            theirs is not None
            and request.withdrawn
            and not is_same(row.id, row.amount, row.currency, theirs)
        ):
            # Called off while operators ask whose object this is: the path need not wait for the answer.
            theirs = None
        if theirs is not None:
            require_same(row.id, row.amount, row.currency, theirs)
            row.reference = theirs.reference
        if theirs is not None and theirs.status is PaymentStatus.CAPTURED:
            new = row.status != PaymentState.CAPTURED
            await self._take_in(session, row, theirs, request.at)
            if new:
                return await HOOKS[path.kind].funded(session, path, row, request)
            return await recalled(session, path, row)
        if row.status == PaymentState.EXPIRED:
            return await recalled_expiry(session, row, outcome)
        if request.close or (theirs and theirs.status is PaymentStatus.CANCELED):
            if path.paused_at is not None and request.withdrawn is None:
                # Of a path that stands still nothing is decided, as the payer's bank has money of it: asked again later.
                return outcome
            row.status = PaymentState.EXPIRED
            standing = await HOOKS[path.kind].unfunded(session, path, row, request)
            return outcome.model_copy(
                update={"result": FundingResult.EXPIRED, "standing": standing}
            )
        return outcome

    async def _take_in(
        self, session: AsyncSession, row: Payment, theirs: ProviderPayment, at: datetime
    ) -> None:
        """FUND at the capture and the settlement when it has come: one group, so that locks are taken in one order."""
        entries = []
        if row.status != PaymentState.CAPTURED:
            row.status = PaymentState.CAPTURED
            row.captured_at = at
            row.hold_deadline = at + timedelta(days=self.providers.get(row.provider).max_hold_days)
            entries += await self._funded(session, row)
        if theirs.settled and row.settled_at is None:
            row.fee = theirs.fee
            row.settled_at = at
            key = f"{row.id}/settle"
            entries.append(
                postings.settle(
                    key, row.path_id, row.provider, row.amount, theirs.fee, row.currency
                )
            )
        if entries:
            await journal.post(session, *entries)

    async def _funded(self, session: AsyncSession, row: Payment) -> list[JournalEntry]:
        """FUND of the path's own account, or of the escrow of each part that the payment has."""
        parts = await session.scalars(
            select(PaymentPart)
            .where(PaymentPart.payment_id == row.id)
            .order_by(PaymentPart.path_id)
        )
        return [
            postings.fund(
                f"{row.id}/fund/{part.path_id}",
                part.path_id,
                row.provider,
                part.amount,
                row.currency,
            )
            for part in parts
        ] or [
            postings.fund(
                f"{row.id}/fund",
                row.path_id,
                row.provider,
                row.amount,
                row.currency,
                into=filled_account(Purpose(row.purpose), row.path_id, row.payer_id),
            )
        ]

    async def _read(self, payment: Payment, *, close: bool) -> ProviderPayment | None:
        provider = self.providers.get(payment.provider)
        reference = payment.reference
        if reference is None:
            found = await provider.find_payment(payment.operation_id)
            if found is None:
                return None
            reference = found.reference
        theirs = await provider.get_payment(reference)
        if close and theirs.status is PaymentStatus.OPEN:
            theirs = await provider.cancel_payment(reference)
            if theirs.status is PaymentStatus.OPEN:
                raise ProviderUnavailable("the provider has not closed the payment yet")
        return theirs

    async def _payment(self, payment_id: str) -> Payment:
        async with self.database.transaction() as session:
            payment = await session.get(Payment, payment_id)
            if payment is None:
                raise NotFound(f"there is no payment {payment_id}")
            return payment


async def _locked(session: AsyncSession, payment_id: str) -> Payment:
    return (
        await session.scalars(select(Payment).where(Payment.id == payment_id).with_for_update())
    ).one()
