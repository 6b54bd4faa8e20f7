"""Refunds: sent once through the provider that took the payment, or credited when it will not."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from temporalio import activity

from activities import payees
from activities.funding import HOOKS
from activities.transitions import advance, lock_path, without_subject
from db import inbox, pledge_states
from db.engine import Database
from db.pledge_states import NewEvent
from db.tables import Path, Payment, Refund
from domain import postings
from domain.deadlines import Deadline, planned
from domain.errors import NotFound, ProviderMismatch, ProviderRefused
from domain.money import format_money
from domain.payments import FollowRefund, RefundOutcome, RefundState
from domain.postings import JournalEntry
from providers.base import ProviderRefund, RefundRequest, RefundStatus, require_same
from providers.registry import ProviderRegistry

_OFFER = "refund_offer"
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
        async with self.database.transaction() as session:
            seen = await inbox.newest(session, refund.id)
        theirs = await self._read_or_submit(refund, payment_reference)
        async with self.database.transaction() as session:
            path = await lock_path(session, refund.path_id)
            row = await _locked(session, refund.id)
            state = RefundState.REFUSED if theirs is None else _STATES[theirs.status]
            if row.status in ENDED:
                _require_agreement(row, state)
            else:
                await _post(session, path, row, theirs, state, request)
            await inbox.consume(session, refund.id, up_to=seen)
            return RefundOutcome(
                state=RefundState(row.status), offered_until=_offered_until(path, row)
            )

    async def _read_or_submit(self, refund: Refund, payment: str) -> ProviderRefund | None:
        """The provider's refund; None when it understood the request and will not do it."""
        provider = self.providers.get(refund.provider)
        if refund.reference is not None:
            return await provider.get_refund(refund.reference)
        found = await provider.find_refund(refund.operation_id)
        if found is not None or refund.status in ENDED:
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


async def _post(
    session: AsyncSession,
    path: Path,
    row: Refund,
    theirs: ProviderRefund | None,
    state: RefundState,
    request: FollowRefund,
) -> None:
    if theirs is not None:
        require_same(row.id, row.amount, row.currency, theirs)
        row.reference = theirs.reference
        row.failure_reason = theirs.failure_reason
    before, row.status = row.status, state
    if state is RefundState.SUCCEEDED:
        paid = postings.refund_paid(
            f"{row.id}/paid", row.path_id, row.id, row.provider, row.amount, row.currency
        )
        await _end(session, path, row, paid, request)
    elif state is RefundState.REFUSED and request.credit:
        row.status = RefundState.CREDITED
        await _end(session, path, row, _credit(row), request)
    elif state is RefundState.REFUSED and before != RefundState.REFUSED:
        if row.pledge_id is None:
            _offer(session, path, row, request)
        else:
            await _offer_to_backer(session, row, row.pledge_id, request)
    elif state is RefundState.PENDING and before == RefundState.REFUSED:
        # On its way after all: the offer is withdrawn.
        path.deadlines = without_subject(path, row.id)
        row.offered_until = None


async def _end(
    session: AsyncSession, path: Path, row: Refund, entry: JournalEntry, request: FollowRefund
) -> None:
    """The payer has the money, in one way or the other."""
    row.ended_at = request.at
    row.offered_until = None
    path.deadlines = without_subject(path, row.id)
    await payees.post(session, entry)
    await HOOKS[path.kind].refunded(session, path, row, request.at)


def _credit(row: Refund) -> JournalEntry:
    return postings.refund_to_balance(
        f"{row.id}/credited", row.path_id, row.id, row.payer_id, row.amount, row.currency
    )


def _offer(session: AsyncSession, path: Path, row: Refund, request: FollowRefund) -> None:
    """The provider refuses: the payer may take the money as balance, and gets it so in any case in the end."""
    amount = format_money(row.amount, row.currency)
    others = [Deadline.model_validate(each) for each in without_subject(path, row.id)]
    advance(
        session,
        path,
        # A provider that tries again can refuse again.
        key=f"{row.id}/refused/{request.at.isoformat()}",
        kind="refund_refused",
        phase=path.phase,
        actor="provider",
        summary=f"The provider does not send {amount} back; it can be taken as balance",
        deadlines=[
            *others,
            Deadline(
                name=_OFFER,
                due_at=request.offered_until,
                stopped_by=("payer: accept balance",),
                outcome="The money is put on the payer's balance, from which it can be paid out.",
                postings=planned(_credit(row)),
                subject=row.id,
            ),
        ],
        data={"refund_id": row.id},
    )


async def _offer_to_backer(
    session: AsyncSession, row: Refund, pledge_id: str, request: FollowRefund
) -> None:
    """The same for a pledge, on its own row: a campaign's row must not grow with every refund that is refused."""
    row.offered_until = request.offered_until
    amount = format_money(row.amount, row.currency)
    await pledge_states.write_events(
        session,
        [
            NewEvent(
                pledge_id=pledge_id,
                key=f"{row.id}/refused/{request.at.isoformat()}",
                kind="refund_refused",
                summary=f"The provider does not send {amount} back; it can be taken as balance",
            )
        ],
    )


def _offered_until(path: Path, row: Refund) -> datetime | None:
    """When the standing offer ends, as the payer was told; None when there is none."""
    if row.status != RefundState.REFUSED:
        return None
    if row.offered_until is not None:
        return row.offered_until
    pending = (Deadline.model_validate(each) for each in path.deadlines)
    return next((each.due_at for each in pending if each.subject == row.id), None)


def _require_agreement(row: Refund, theirs: RefundState) -> None:
    """Raises ProviderMismatch when the provider sent money that we have credited, or took a success back."""
    agreed = {
        RefundState.SUCCEEDED: RefundState.SUCCEEDED,
        RefundState.CREDITED: RefundState.REFUSED,
    }
    if agreed[RefundState(row.status)] is not theirs:
        raise ProviderMismatch(f"{row.id} is {row.status} here and {theirs} at the provider")


async def _locked(session: AsyncSession, refund_id: str) -> Refund:
    return (
        await session.scalars(select(Refund).where(Refund.id == refund_id).with_for_update())
    ).one()
