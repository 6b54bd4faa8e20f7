"""Refund: money goes back to its payer through the provider; if the provider refuses, it becomes their balance."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import timedelta
from functools import partial

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.options import CATCH_UP, PROVIDER
    from activities.refunds import Refunds
    from domain.cases import RefundCase
    from domain.errors import DomainError, WrongPhase
    from domain.money import format_money
    from domain.payments import FollowRefund, RefundOutcome, RefundState
    from workflows.following import Follower, in_words


_NOT_ANSWERED = frozenset({RefundState.REQUESTED, RefundState.PENDING})


@workflow.defn(name="Refund", failure_exception_types=[DomainError])
class Refund(Follower):
    """One refund, followed until the payer has the money in one way or the other."""

    @workflow.init
    def __init__(self, case: RefundCase) -> None:
        super().__init__(silence=case.policy.silence)
        self.case = case
        self.state = RefundState.REQUESTED
        self.balance_accepted = False
        self.offered_until = workflow.now() + case.policy.offer

    @workflow.run
    async def run(self, case: RefundCase) -> RefundOutcome:
        await self.look()
        while self.news or self.state not in (RefundState.SUCCEEDED, RefundState.CREDITED):
            if self.state is RefundState.REFUSED:
                await self.offer_balance()
            else:
                self.tell("The provider is sending it back.")
                self.call_operator_when_overdue(f"no end of the refund of {self.amount} yet")
                if not self.news:
                    await self.until_news(case.policy.poll, None, "has the refund arrived?")
                await self.look()
        self.end_of_wait()
        self.tell(f"The refund is {self.state}.")
        await workflow.wait_condition(workflow.all_handlers_finished)
        return RefundOutcome(state=self.state)

    @workflow.update
    async def accept_balance(self) -> RefundOutcome:
        """The payer takes the money as balance instead of the refund that the provider refused.

        The refusal shows in the books a moment before its news arrives here.
        """
        if self.state in _NOT_ANSWERED:
            with suppress(TimeoutError):
                await workflow.wait_condition(
                    lambda: self.state not in _NOT_ANSWERED, timeout=CATCH_UP
                )
            self._require_state(RefundState.REFUSED)
        self.balance_accepted = True
        await workflow.wait_condition(lambda: self.state is not RefundState.REFUSED)
        self.balance_accepted = False
        self._require_state(RefundState.CREDITED)
        return RefundOutcome(state=self.state)

    @accept_balance.validator
    def _only_when_refused(self) -> None:
        if self.state not in _NOT_ANSWERED:
            self._require_state(RefundState.REFUSED)

    def _require_state(self, state: RefundState) -> None:
        """Raises WrongPhase unless the refund stands there."""
        if self.state is not state:
            raise WrongPhase(f"the refund is {self.state}", field="status", accepted=state)

    async def offer_balance(self) -> None:
        """Waits for the payer's yes; silence for the whole time of the offer counts as one.

        News of the provider is looked at meanwhile: it may have sent the money after all.
        """
        until = self.offered_until
        while self.state is RefundState.REFUSED:
            left = until - workflow.now()
            if self.balance_accepted or left <= timedelta():
                await self.look(credit=True)
                return
            self.tell(
                f"The provider refuses. The payer may take it as balance; without an answer until "
                f"{in_words(until)} it is credited to their balance."
            )
            with suppress(TimeoutError, asyncio.CancelledError):
                await workflow.wait_condition(
                    lambda: self.balance_accepted or self.news,
                    timeout=left,
                    timeout_summary=f"Refund refused: {self.amount} becomes balance",
                )
            if self.news:
                await self.look()

    async def look(self, *, credit: bool = False) -> None:
        """Submits the refund or reads it, and posts what has happened; with `credit`, ends an offer."""
        self.news = False
        self.state = await self.answer(
            partial(self.follow, credit), f"refund of {self.amount}", self.case.policy.poll
        )

    async def follow(self, credit: bool) -> RefundState:
        """One look."""
        now = workflow.now()
        if self.state is not RefundState.REFUSED:
            self.offered_until = now + self.case.policy.offer
        outcome = await workflow.execute_activity_method(
            Refunds.follow,
            FollowRefund(
                refund_id=self.case.refund_id,
                at=now,
                credit=credit,
                offered_until=self.offered_until,
            ),
            summary=f"{'Credit' if credit else 'Refund'} {self.amount}",
            **PROVIDER,
        )
        # A story that was started again keeps the promise of the one before.
        self.offered_until = outcome.offered_until or self.offered_until
        return outcome.state

    def tell(self, words: str) -> None:
        """For the operators' eyes."""
        workflow.set_current_details(f"**Refund of {self.amount}**\n\n{words}")

    @property
    def amount(self) -> str:
        """The amount in words."""
        return format_money(self.case.amount, self.case.currency)
