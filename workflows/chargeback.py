"""Chargeback: the payer's bank takes a payment back, or part of it; the story ends when the bank has decided.

It may begin long after the path has ended: the provider's news starts it. One story follows all chargebacks of one
payment, so that neither their number nor the order of the news matters.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from functools import partial

from temporalio import workflow
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from activities.chargebacks import Chargebacks
    from activities.evidence import Answers
    from activities.options import PROVIDER
    from domain.cases import ChargebackCase
    from domain.chargebacks import (
        ChargebackNews,
        ChargebacksSeen,
        FollowChargebacks,
        GiveIn,
        HandIn,
        HandInWish,
        OpenChargeback,
        PathSignal,
    )
    from domain.errors import DomainError
    from domain.money import format_money
    from domain.text import as_markdown
    from runtime.search_attributes import NEEDS_OPERATOR
    from workflows.following import Follower, in_words, uninterrupted


@workflow.defn(name="Chargeback", failure_exception_types=[DomainError])
class Chargeback(Follower):
    """Everything the bank takes back of one payment, followed until all is decided and the path can go on or has ended."""

    @workflow.init
    def __init__(self, case: ChargebackCase) -> None:
        super().__init__(silence=case.policy.silence)
        self.case = case
        self.told: set[str] = set()

    @workflow.run
    async def run(self, case: ChargebackCase) -> None:
        answers = workflow.patched("evidence-before-due")
        seen = await self.look()
        while self.news or seen.open or seen.stuck:
            self.call_operators(seen)
            if answers and await self.hand_in_what_is_due(seen):
                seen = await self.look()
                continue
            if not self.news:
                until = self.next_hand_in(seen) if answers else None
                await self.until_news(case.policy.poll, until, "has the bank decided?")
            seen = await self.look()
        if answers:
            await workflow.wait_condition(workflow.all_handlers_finished)
        self.end_of_wait()
        workflow.set_current_details(
            f"**Chargeback of a payment of {self.amount}**\n\nThe bank has decided."
        )

    @workflow.update
    async def hand_in_now(self, wish: HandInWish) -> None:
        """An operator does not wait until it is due."""
        await self.hand_in(wish.chargeback_id, wish.by)
        self.news = True

    @workflow.update
    async def give_in(self, wish: GiveIn) -> None:
        """An operator accepts the chargeback: it is lost."""
        await uninterrupted(
            workflow.execute_activity_method(
                Answers.accept, wish, summary="Give in to the payer's bank", **PROVIDER
            )
        )
        self.news = True

    async def hand_in_what_is_due(self, seen: ChargebacksSeen) -> bool:
        """Answers the bank for what nobody has answered; tells whether there was something."""
        due = [each for each in seen.open if not each.answered and self.is_due(each)]
        for each in due:
            self.looks = 0
            await self.answer(
                partial(self.hand_in, each.chargeback_id, None),
                f"evidence in the chargeback of a payment of {self.amount}",
                self.case.policy.poll,
            )
        return bool(due)

    def is_due(self, dispute: OpenChargeback) -> bool:
        """Whether its evidence goes now."""
        moment = self.case.policy.hand_in_at(dispute.due_by)
        return moment is None or moment <= workflow.now()

    def next_hand_in(self, seen: ChargebacksSeen) -> datetime | None:
        """When the next evidence is due."""
        moments = [
            self.case.policy.hand_in_at(each.due_by) for each in seen.open if not each.answered
        ]
        return min((each for each in moments if each is not None), default=None)

    async def hand_in(self, chargeback_id: str, by: str | None) -> None:
        """Hands the evidence in; whoever asks for it, and how often, the provider gets it once."""
        await uninterrupted(
            workflow.execute_activity_method(
                Answers.hand_in,
                HandIn(chargeback_id=chargeback_id, at=workflow.now(), by=by),
                summary=f"Hand in the evidence about a payment of {self.amount}",
                **PROVIDER,
            )
        )

    async def look(self) -> ChargebacksSeen:
        """Posts what the provider says now, and tells the path what that means for it."""
        self.news = False
        seen = await self.answer(
            self.follow, f"chargeback of a payment of {self.amount}", self.case.policy.poll
        )
        for news in seen.news:
            await self.tell_path(news)
        return seen

    async def follow(self) -> ChargebacksSeen:
        """One look."""
        return await workflow.execute_activity_method(
            Chargebacks.follow,
            FollowChargebacks(
                payment_id=self.case.payment_id,
                at=workflow.now(),
                story=workflow.info().original_execution_run_id,
            ),
            summary=f"Look at the chargebacks of a payment of {self.amount}",
            **PROVIDER,
        )

    async def tell_path(self, news: ChargebackNews) -> None:
        """Tells the path's own story, once; one that has ended need not hear it."""
        if news.key in self.told:
            return
        self.told.add(news.key)
        if news.signal is PathSignal.NONE:
            return
        path = workflow.get_external_workflow_handle(news.workflow_id)
        facts = [] if news.standing is None else [news.standing]
        with suppress(ApplicationError):
            await uninterrupted(path.signal(news.signal, args=facts))

    def call_operators(self, seen: ChargebacksSeen) -> None:
        """Somebody must answer the bank in time, or help a path that cannot go on; looking goes on meanwhile."""
        lines = [self.in_words(each) for each in seen.open]
        lines += [f"- {as_markdown(words)}" for words in seen.stuck]
        if not lines:
            return
        workflow.set_current_details(
            f"**Chargeback of a payment of {self.amount}**\n\n" + "\n".join(lines)
        )
        if not self.overdue:
            self.overdue = True
            workflow.upsert_search_attributes([NEEDS_OPERATOR.value_set(True)])

    @property
    def amount(self) -> str:
        """The payment in words."""
        return format_money(self.case.amount, self.case.currency)

    def in_words(self, dispute: OpenChargeback) -> str:
        """What the bank has taken, and when it is answered."""
        amount = format_money(dispute.amount, dispute.currency)
        if dispute.answered:
            return f"- {dispute.reference}: {amount}: the bank has our answer"
        goes = self.case.policy.hand_in_at(dispute.due_by)
        when = f"at {in_words(goes)}" if goes else "now"
        until = f", counts until {in_words(dispute.due_by)}" if dispute.due_by else ""
        return f"- {dispute.reference}: {amount}: the evidence goes by itself {when}{until}"
