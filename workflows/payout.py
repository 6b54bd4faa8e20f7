"""Payout: a payee's money leaves for their bank. Each payout is a story of its own, so none waits for another."""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

with workflow.unsafe.imports_passed_through():
    from activities.options import MONEY, PROVIDER
    from activities.payouts import Payouts
    from domain.cases import PayoutCase
    from domain.errors import DomainError
    from domain.money import format_money
    from domain.payments import (
        ON_THE_WAY,
        FollowPayout,
        PayoutDecision,
        PayoutOutcome,
        PayoutState,
        ReservedPayout,
    )
    from workflows.following import Follower, reason_of, uninterrupted


@workflow.defn(name="Payout", failure_exception_types=[DomainError])
class Payout(Follower):
    """One payout, followed until the provider says paid or failed. Woken again when a bank sends it back."""

    @workflow.init
    def __init__(self, case: PayoutCase) -> None:
        super().__init__(silence=case.policy.silence)
        self.case = case
        self.state = PayoutState.REQUESTED
        self.reserved: ReservedPayout | None = None
        self.refusal: ApplicationError | None = None

    @workflow.run
    async def run(self, case: PayoutCase) -> PayoutOutcome | None:
        if await self.nothing_to_send():
            return None
        if self.reserved is not None and self.reserved.held and not await self.sent_after_all():
            return PayoutOutcome(state=self.state)
        await self.look()
        while self.news or self.state in ON_THE_WAY:
            self.tell(
                "The payee has to confirm it at the provider."
                if self.state is PayoutState.AWAITING_PAYEE
                else "On its way; the bank has not answered yet."
            )
            self.call_operator_when_overdue(f"no end of the payout of {self.amount} yet")
            if not self.news:
                await self.until_news(case.policy.poll, None, "has the payout arrived?")
            await self.look()
        self.end_of_wait()
        self.tell(f"The payout is {self.state}.")
        await workflow.wait_condition(workflow.all_handlers_finished)
        return PayoutOutcome(state=self.state)

    @workflow.update
    async def requested(self) -> ReservedPayout:
        """The answer to the payee: the amount that left their balance, or why none did."""
        await workflow.wait_condition(lambda: bool(self.reserved or self.refusal))
        if self.reserved is not None:
            return self.reserved
        raise self.refusal or RuntimeError("neither reserved nor refused")

    async def nothing_to_send(self) -> bool:
        """Takes the money out of the balance; True when the rules leave nothing to send."""
        try:
            self.reserved = await uninterrupted(
                workflow.execute_activity_method(
                    Payouts.reserve,
                    self.case,
                    summary=f"Take the payout out of the balance ({self.case.currency})",
                    **MONEY,
                )
            )
        except ActivityError as refused:
            self.refusal = reason_of(refused)
            self.tell(f"Nothing was sent: {self.refusal.message}")
            await workflow.wait_condition(workflow.all_handlers_finished)
            return True
        return False

    @workflow.update
    async def decide(self, decision: PayoutDecision) -> PayoutOutcome:
        """Somebody sends a held payout, or puts its money back. Raises WrongPhase once it is decided otherwise."""
        outcome = await self.decided(decision)
        self.state = outcome.state
        return outcome

    async def sent_after_all(self) -> bool:
        """An operator looks at it first; nobody's silence keeps a payee's money for good."""
        self.state = PayoutState.HELD
        self.tell("Held: an operator looks at it before it is sent.")
        ends = workflow.now() + self.case.policy.review
        while self.state is PayoutState.HELD:
            self.news = False
            try:
                await workflow.wait_condition(
                    lambda: self.news or self.state is not PayoutState.HELD,
                    timeout=max(ends - workflow.now(), timedelta()),
                    timeout_summary="held long enough",
                )
            except TimeoutError:
                outcome = await self.decided(
                    PayoutDecision(payout_id=self.case.payout_id, send=True)
                )
                self.state = outcome.state
            else:
                if self.state is PayoutState.HELD:
                    asked = PayoutDecision(payout_id=self.case.payout_id)
                    self.state = (await self.decided(asked)).state
        self.tell(f"The payout is {self.state}.")
        await workflow.wait_condition(workflow.all_handlers_finished)
        return self.state is not PayoutState.CANCELLED

    async def decided(self, decision: PayoutDecision) -> PayoutOutcome:
        """The decision in the books, or where the payout stands without one."""
        try:
            return await uninterrupted(
                workflow.execute_activity_method(
                    Payouts.decide, decision, summary="What becomes of the payout?", **MONEY
                )
            )
        except ActivityError as refused:
            raise reason_of(refused) from refused

    async def look(self) -> None:
        """Submits the payout or reads it, and posts what has happened."""
        self.news = False
        self.state = await self.answer(
            self.follow, f"payout of {self.amount}", self.case.policy.poll
        )

    async def follow(self) -> PayoutState:
        """One look."""
        outcome = await workflow.execute_activity_method(
            Payouts.follow,
            FollowPayout(payout_id=self.case.payout_id, at=workflow.now()),
            summary=f"Pay out {self.amount}",
            **PROVIDER,
        )
        return outcome.state

    def tell(self, words: str) -> None:
        """For the operators' eyes."""
        workflow.set_current_details(f"**Payout of {self.amount}**\n\n{words}")

    @property
    def amount(self) -> str:
        """The amount in words."""
        if self.reserved is None:
            return f"{self.case.currency} balance"
        return format_money(self.reserved.amount, self.reserved.currency)
