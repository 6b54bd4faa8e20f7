"""Payouts: money reserved out of a payee's balance, sent once, and put back when it does not arrive."""

from __future__ import annotations

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession
from temporalio import activity

from activities import payees, payout_decisions, payout_reserving
from db import inbox
from db.case_rows import end_case, open_case
from db.engine import Database
from db.queries.payees import due_payees
from db.tables import Payout, PayoutDestination
from domain import postings
from domain.cases import PayoutCase
from domain.errors import (
    NotFound,
    ProviderRefused,
)
from domain.ids import new_id
from domain.money import format_money
from domain.operator_cases import CaseKind
from domain.payments import (
    PUT_BACK,
    DuePage,
    DuePayouts,
    FollowPayout,
    PayoutDecision,
    PayoutOutcome,
    PayoutState,
    ReservedPayout,
)
from domain.payouts import require_agreement
from domain.policy import PayoutPolicy
from providers.base import PayoutRequest, PayoutStatus, ProviderPayout, require_same
from providers.registry import ProviderRegistry

_STATES = {
    PayoutStatus.AWAITING_PAYEE: PayoutState.AWAITING_PAYEE,
    PayoutStatus.IN_TRANSIT: PayoutState.IN_TRANSIT,
    PayoutStatus.PAID: PayoutState.PAID,
    PayoutStatus.FAILED: PayoutState.FAILED,
    PayoutStatus.RETURNED: PayoutState.RETURNED,
}


class Payouts:
    """Activities of payouts."""

    def __init__(
        self, database: Database, providers: ProviderRegistry, policy: PayoutPolicy
    ) -> None:
        self.database = database
        self.providers = providers
        self.policy = policy

    @activity.defn(name="reserve_payout")
    async def reserve(self, case: PayoutCase) -> ReservedPayout:
        """PAYOUT: takes the money out of the payable account, or refuses with the reason."""
        async with self.database.transaction() as session:
            row = await session.get(Payout, case.payout_id)
            if row is None:
                row = await payout_reserving.reserve(session, case, self.policy)
            return ReservedPayout(
                payout_id=row.id,
                amount=row.amount,
                currency=row.currency,
                held=row.status == PayoutState.HELD,
            )

    @activity.defn(name="decide_payout")
    async def decide(self, decision: PayoutDecision) -> PayoutOutcome:
        """What becomes of a held payout; without a decision, where it stands. Raises NotFound, WrongPhase, AccountFrozen."""
        async with self.database.transaction() as session:
            return PayoutOutcome(state=await payout_decisions.decide(session, decision))

    @activity.defn(name="follow_payout")
    async def follow(self, request: FollowPayout) -> PayoutOutcome:
        """Submits the payout if the provider does not have it yet, reads it, and posts what has happened."""
        async with self.database.transaction() as session:
            payout = await session.get(Payout, request.payout_id)
            if payout is None:
                raise NotFound(f"there is no payout {request.payout_id}")
            destination = await session.get_one(PayoutDestination, payout.destination_id)
            seen = await inbox.newest(session, payout.id)
        if payout.status == PayoutState.REQUESTED and not await self._covered(payout):
            return PayoutOutcome(state=PayoutState.REQUESTED)
        theirs = await self._read_or_submit(payout, destination)
        async with self.database.transaction() as session:
            outcome = await self._post(session, payout, theirs, request)
            await inbox.consume(session, payout.id, up_to=seen)
        return outcome

    async def _post(
        self,
        session: AsyncSession,
        payout: Payout,
        theirs: ProviderPayout | None,
        request: FollowPayout,
    ) -> PayoutOutcome:
        row = (
            await session.scalars(select(Payout).where(Payout.id == payout.id).with_for_update())
        ).one()
        before = PayoutState(row.status)
        after = PayoutState.FAILED if theirs is None else _STATES[theirs.status]
        require_agreement(row.id, before, after)
        if before in PUT_BACK:
            return PayoutOutcome(state=before)
        if theirs is not None:
            require_same(row.id, row.amount, row.currency, theirs)
            row.reference = theirs.reference
            row.failure_reason = theirs.failure_reason
            row.confirm_url = theirs.confirm_url
        await payees.post(session, *_entries(row, before, after, theirs.fee if theirs else 0))
        if after in PUT_BACK and theirs is not None and theirs.destination_at_fault:
            await _close_destination(session, row.destination_id)
        row.status = after
        if after in PUT_BACK or after is PayoutState.PAID:
            row.ended_at = request.at
        return PayoutOutcome(state=after)

    async def _read_or_submit(
        self, payout: Payout, destination: PayoutDestination
    ) -> ProviderPayout | None:
        """The provider's payout; None when it understood the request and will not do it."""
        provider = self.providers.get(payout.provider)
        if payout.reference is not None:
            return await provider.get_payout(payout.reference)
        found = await provider.find_payout(payout.operation_id)
        if found is not None or payout.status in PUT_BACK:
            return found
        await self._note_submission(payout.id)
        try:
            return await provider.create_payout(
                PayoutRequest(
                    operation_id=payout.operation_id,
                    subject=payout.id,
                    amount=payout.amount,
                    currency=payout.currency,
                    destination=destination.account,
                    holder=destination.holder,
                )
            )
        except ProviderRefused:
            return None

    async def _covered(self, payout: Payout) -> bool:
        """Whether our balance at the provider is enough; else operators are called, once for all that wait for it.

        A payout that was asked for already is there whatever the balance says.
        """
        provider = self.providers.get(payout.provider)
        left = await provider.balance(payout.currency)
        covered = left >= payout.amount or (
            await provider.find_payout(payout.operation_id) is not None
        )
        subject = f"balance/{payout.provider}/{payout.currency}"
        async with self.database.transaction() as session:
            if covered and not await _waits_for_more(session, payout, left):
                await end_case(session, CaseKind.OTHER, subject, "filled")
            elif not covered:
                await open_case(
                    session,
                    CaseKind.OTHER,
                    subject,
                    summary=f"Payouts wait: {payout.provider} holds "
                    f"{format_money(left, payout.currency)} for us, and "
                    f"{format_money(payout.amount, payout.currency)} is to leave.",
                    within_seconds=self.policy.short_seconds,
                )
        return covered

    async def _note_submission(self, payout_id: str) -> None:
        """From now on the provider may have been asked, whatever becomes of the answer."""
        async with self.database.transaction() as session:
            await session.execute(
                update(Payout)
                .where(Payout.id == payout_id, Payout.status == PayoutState.REQUESTED)
                .values(status=PayoutState.SUBMITTED)
            )

    @activity.defn(name="due_payouts")
    async def due(self, page: DuePage) -> DuePayouts:
        """One page of payees whose income may leave by itself, each with the id of the payout to start."""
        async with self.database.transaction() as session:
            payees = await due_payees(session, page, self.policy)
        cases = tuple(
            PayoutCase(
                payout_id=new_id("pyo"),
                user_id=payee.user_id,
                currency=payee.currency,
                policy=self.policy,
            )
            for payee in payees
        )
        full = len(payees) == page.limit
        return DuePayouts(cases=cases, next=payees[-1].cursor if full else None)


def _entries(
    row: Payout, before: PayoutState, after: PayoutState, fee: int
) -> list[postings.JournalEntry]:
    """What the payout's way from one state to the next posts."""
    paid = before is PayoutState.PAID
    entries = []
    if after in (PayoutState.PAID, PayoutState.RETURNED) and not paid:
        entries.append(
            postings.payout_paid(
                f"{row.id}/paid", row.id, row.provider, row.amount, fee, row.currency
            )
        )
    # A failure after "paid" is a return: the money is in cash again, not in transit.
    if after is PayoutState.FAILED and not paid:
        entries.append(
            postings.payout_failed(
                f"{row.id}/failed", row.id, row.user_id, row.amount, row.currency
            )
        )
    elif after in PUT_BACK:
        entries.append(
            postings.payout_returned(
                f"{row.id}/returned", row.user_id, row.provider, row.amount, row.currency
            )
        )
    return entries


async def _waits_for_more(session: AsyncSession, payout: Payout, left: int) -> bool:
    """Whether another payout waits for more than is left after this one."""
    other = await session.scalar(
        select(Payout.id)
        .where(
            Payout.provider == payout.provider,
            Payout.currency == payout.currency,
            Payout.status == PayoutState.REQUESTED,
            Payout.id != payout.id,
            Payout.amount > left - payout.amount,
        )
        .limit(1)
    )
    return other is not None


async def _close_destination(session: AsyncSession, destination_id: str) -> None:
    """Money that bounced needs new bank data before another try."""
    await session.execute(
        update(PayoutDestination)
        .where(PayoutDestination.id == destination_id, PayoutDestination.status == "active")
        .values(status="failed")
    )
