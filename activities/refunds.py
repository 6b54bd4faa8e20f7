"""Refunds: sent once through the provider that took the payment, or credited when it will not."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from temporalio import activity

from activities.funding import HOOKS
from activities.transitions import lock_path
from db import inbox
from db.engine import Database
from db.tables import Payment, Refund
from domain import postings
from domain.errors import NotFound, ProviderMismatch, ProviderRefused
from domain.payments import FollowRefund, RefundOutcome, RefundState
from ledger import journal
from providers.base import ProviderRefund, RefundRequest, RefundStatus
from providers.registry import ProviderRegistry

ENDED = frozenset({RefundState.SUCCEEDED, RefundState.CREDITED})

_STATES = {
    RefundStatus.PENDING: RefundState.PENDING,
    RefundStatus.SUCCEEDED: RefundState.SUCCEEDED,
    RefundStatus.REFUSED: RefundState.REFUSED,
}


class Refunds:
    """Activities of refunds."""

    def __init__(self, database: Database, providers: ProviderRegistry) -> None:
        self.database = database
        self.providers = providers

    @activity.defn(name="follow_refund")
    async def follow(self, request: FollowRefund) -> RefundOutcome:
        """Submits the refund if the provider does not have it yet, reads it, and posts what has happened."""
        refund, payment_reference = await self._refund(request.refund_id)
        if refund.status in ENDED:
            async with self.database.transaction() as session:
                await inbox.consume(session, refund.id)
            return RefundOutcome(state=RefundState(refund.status))
        if request.credit:
            return await self._credit(request)
        async with self.database.transaction() as session:
            seen = await inbox.newest(session, refund.id)
        theirs = await self._read_or_submit(refund, payment_reference)
        async with self.database.transaction() as session:
            outcome = await self._post(session, refund, theirs, request)
            await inbox.consume(session, refund.id, up_to=seen)
        return outcome

    async def _post(
        self,
        session: AsyncSession,
        refund: Refund,
        theirs: ProviderRefund | None,
        request: FollowRefund,
    ) -> RefundOutcome:
        path = await lock_path(session, refund.path_id)
        row = await _locked(session, refund.id)
        if row.status in ENDED:
            return RefundOutcome(state=RefundState(row.status))
        state = RefundState.REFUSED if theirs is None else _STATES[theirs.status]
        row.status = state
        if theirs is not None:
            _require_same(row, theirs)
            row.reference = theirs.reference
            row.failure_reason = theirs.failure_reason
        if state is RefundState.SUCCEEDED:
            row.ended_at = request.at
            await journal.post(
                session,
                postings.refund_paid(
                    f"{row.id}/paid",
                    row.path_id,
                    row.id,
                    row.provider,
                    row.amount,
                    row.currency,
                ),
            )
            await HOOKS[path.kind].refunded(session, path, row, request.at)
        return RefundOutcome(state=state)

    async def _credit(self, request: FollowRefund) -> RefundOutcome:
        async with self.database.transaction() as session:
            refund = await session.get(Refund, request.refund_id)
            if refund is None:
                raise NotFound(f"there is no refund {request.refund_id}")
            path = await lock_path(session, refund.path_id)
            row = await _locked(session, refund.id)
            if row.status not in ENDED:
                row.status = RefundState.CREDITED
                row.ended_at = request.at
                await journal.post(
                    session,
                    postings.refund_to_balance(
                        f"{row.id}/credited",
                        row.path_id,
                        row.id,
                        row.payer_id,
                        row.amount,
                        row.currency,
                    ),
                )
                await HOOKS[path.kind].refunded(session, path, row, request.at)
            await inbox.consume(session, row.id)
            return RefundOutcome(state=RefundState(row.status))

    async def _read_or_submit(self, refund: Refund, payment: str) -> ProviderRefund | None:
        """The provider's refund; None when it understood the request and will not do it."""
        provider = self.providers.get(refund.provider)
        if refund.reference is not None:
            return await provider.get_refund(refund.reference)
        found = await provider.find_refund(refund.operation_id)
        if found is not None:
            return found
        try:
            return await provider.create_refund(
                RefundRequest(
                    operation_id=refund.operation_id,
                    subject=refund.id,
                    payment_reference=payment,
                    amount=refund.amount,
                    currency=refund.currency,
                )
            )
        except ProviderRefused:
            return None

    async def _refund(self, refund_id: str) -> tuple[Refund, str]:
        async with self.database.transaction() as session:
            refund = await session.get(Refund, refund_id)
            if refund is None:
                raise NotFound(f"there is no refund {refund_id}")
            payment = await session.get_one(Payment, refund.payment_id)
            if payment.reference is None:
                raise ProviderMismatch(f"{payment.id} has no reference at the provider")
            return refund, payment.reference


async def _locked(session: AsyncSession, refund_id: str) -> Refund:
    return (
        await session.scalars(select(Refund).where(Refund.id == refund_id).with_for_update())
    ).one()


def _require_same(ours: Refund, theirs: ProviderRefund) -> None:
    if (theirs.subject, theirs.amount, theirs.currency) != (ours.id, ours.amount, ours.currency):
        raise ProviderMismatch(
            f"{theirs.reference} is {theirs.amount} {theirs.currency} for {theirs.subject}; "
            f"expected {ours.amount} {ours.currency} for {ours.id}"
        )
