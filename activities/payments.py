"""Payments: presented to the payer, then read from the provider and posted. Never posted from a webhook's words."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from temporalio import activity
from temporalio.client import Client
from temporalio.service import RPCError

from activities.funding import HOOKS, recalled, recalled_expiry
from activities.transitions import lock_path
from db import inbox
from db.engine import Database
from db.tables import Path, Payment, PaymentPart
from domain import postings
from domain.errors import NotFound, Unavailable
from domain.payments import (
    FollowPayment,
    FundingResult,
    PaymentNews,
    PaymentOutcome,
    PaymentState,
    Purpose,
    filled_account,
)
from domain.postings import JournalEntry
from ledger import journal
from providers.base import (
    PaymentStatus,
    ProviderPayment,
    ProviderUnavailable,
    is_same,
    require_same,
)
from providers.registry import ProviderRegistry
from runtime.temporal import Tell, send


class Payments:
    """Activities of payments."""

    def __init__(self, database: Database, providers: ProviderRegistry, temporal: Client) -> None:
        self.database = database
        self.providers = providers
        self.temporal = temporal

    @activity.defn(name="follow_payment")
    async def follow(self, request: FollowPayment) -> PaymentOutcome:
        """Reads the payment at the provider and posts what has happened since the last look."""
        payment = await self._payment(request.payment_id)
        async with self.database.transaction() as session:
            seen = await inbox.newest(session, payment.id)
        theirs = await self._read(payment, close=request.close)
        async with self.database.transaction() as session:
            path = await lock_path(session, payment.path_id)
            story = path.workflow_id
            outcome = await self._post(session, path, payment, theirs, request)
            await inbox.consume(session, payment.id, up_to=seen)
        if request.tell and outcome.result is not FundingResult.WAITING:
            await self._tell(story, PaymentNews(payment_id=payment.id, outcome=outcome))
        return outcome

    async def _tell(self, story: str, news: PaymentNews) -> None:
        """The story of the path hears what became of its payment; one that has ended need not."""
        told = Tell(workflow_id=story, signal="payment_ended", fact=news)
        try:
            await send(self.temporal, activity.info().task_queue, told)
        except RPCError as down:
            raise Unavailable("the path cannot be told of its payment yet") from down

    async def _post(
        self,
        session: AsyncSession,
        path: Path,
        payment: Payment,
        theirs: ProviderPayment | None,
        request: FollowPayment,
    ) -> PaymentOutcome:
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
