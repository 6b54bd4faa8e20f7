"""Payments asked for: a page on which the payer can pay, and the payment's own story that follows it."""

from __future__ import annotations

import asyncio

import structlog
from sqlalchemy import select
from temporalio import activity
from temporalio.client import Client
from temporalio.service import RPCError

from db.engine import Database
from db.tables import Payment
from domain.cases import PaymentCase
from domain.errors import NotFound, Unavailable
from domain.money import format_money
from domain.path import Collection
from domain.payments import PaymentState, PresentedPayment
from providers.base import PaymentRequest, require_same
from providers.registry import ProviderRegistry
from runtime.temporal import Start, begin

_FIRST_TRY_SECONDS = 10
"""How long a transition waits for the page to pay before it is asked for apart."""

log = structlog.get_logger()


class Collecting:
    """Activities that ask for payments."""

    def __init__(self, database: Database, providers: ProviderRegistry, temporal: Client) -> None:
        self.database = database
        self.providers = providers
        self.temporal = temporal

    async def collect(self, collection: Collection) -> Collection:
        """Part of the activity that has written the payment down: has it followed, and tries once to present it.

        What goes wrong at the provider is left to `present`, which has more time. Raises Unavailable.
        """
        await self._begin(collection.case)
        try:
            async with asyncio.timeout(_FIRST_TRY_SECONDS):
                await self._present(collection, asked=activity.info().attempt > 1)
        except Exception as failed:
            log.info("not presented yet", payment=collection.case.payment_id, reason=str(failed))
            return collection.model_copy(update={"asked": True})
        return collection.model_copy(update={"presented": True})

    @activity.defn(name="present_payment")
    async def present(self, collection: Collection) -> PresentedPayment:
        """Creates the payment at the provider, once, whatever answers were lost, and has it followed."""
        await self._begin(collection.case)
        asked = collection.asked or activity.info().attempt > 1
        return await self._present(collection, asked=asked)

    async def _begin(self, case: PaymentCase) -> None:
        """The payment's own story begins; what it does to the path is told when it ends."""
        start = Start(
            workflow="Payment",
            workflow_id=f"payment-{case.payment_id}",
            summary=f"Payment of {format_money(case.amount, case.currency)}",
            path="payment",
            initiator=case.payer_id,
            currency=case.currency,
        )
        try:
            await begin(self.temporal, activity.info().task_queue, start, case)
        except RPCError as down:
            raise Unavailable("the payment's story cannot begin yet") from down

    async def _present(self, collection: Collection, *, asked: bool) -> PresentedPayment:
        """`asked`: an answer of the provider may have been lost, so what it has is looked up first."""
        async with self.database.transaction() as session:
            payment = await session.get(Payment, collection.case.payment_id)
            if payment is None:
                raise NotFound(f"there is no payment {collection.case.payment_id}")
        if payment.checkout_url is not None:
            return PresentedPayment(payment_id=payment.id, checkout_url=payment.checkout_url)
        provider = self.providers.get(payment.provider)
        theirs = await provider.find_payment(payment.operation_id) if asked else None
        if theirs is None:
            theirs = await provider.create_payment(
                PaymentRequest(
                    operation_id=payment.operation_id,
                    subject=payment.id,
                    amount=payment.amount,
                    currency=payment.currency,
                    description=collection.description,
                    return_url=collection.return_url,
                )
            )
        require_same(payment.id, payment.amount, payment.currency, theirs)
        async with self.database.transaction() as session:
            row = (
                await session.scalars(
                    select(Payment).where(Payment.id == payment.id).with_for_update()
                )
            ).one()
            row.reference = theirs.reference
            row.checkout_url = theirs.checkout_url
            if row.status == PaymentState.REQUESTED:
                row.status = PaymentState.OPEN
        return PresentedPayment(payment_id=payment.id, checkout_url=theirs.checkout_url)
