"""What the stories of paths with deadlines, several payments and several refunds have in common.

A transition is one activity; its answer, a Standing, says where the path stands now, which timers run, which payments
are to be collected and which refunds to be sent. The story keeps to it.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError
from temporalio.workflow import ParentClosePolicy

with workflow.unsafe.imports_passed_through():
    from activities.collecting import Collecting
    from activities.options import CATCH_UP, PRESENT
    from domain.cases import PaymentCase, RefundCase
    from domain.deadlines import Deadline, retimed
    from domain.errors import LimitReached, ProviderUnreachable, Unavailable, WrongPhase
    from domain.ids import step_key
    from domain.model import Message
    from domain.money import format_money
    from domain.path import Act, Collection, Standing
    from domain.payments import PaymentNews, Withdrawal
    from runtime.temporal import as_application_error, start_attributes
    from workflows.following import Attended, in_words, reason_of, uninterrupted
    from workflows.names import payment_workflow_id, refund_workflow_id
    from workflows.narration import days_until, describe_standing, standing_attributes
    from workflows.payment import Payment
    from workflows.refund import Refund

ActT = TypeVar("ActT", bound=Act)
MOST_ACTS = 300
"""Of one person on one path. Temporal takes 2,000 updates a run, those that were refused later on among them."""


class Watch(Message):
    """What operators see of a path at the moment they ask."""

    standing: Standing | None
    waits_for: str
    days_left: int | None
    if_nothing_comes: str
    is_paused: bool
    """Whether the payer's bank has the money for the moment, so that no timer runs."""


class Story(Attended, Generic[ActT]):
    """One path's story: acts of people one at a time, and what happens when nobody acts."""

    def __init__(self) -> None:
        super().__init__()
        self.standing: Standing | None = None
        self.refusal: ApplicationError | None = None
        self.paused = False
        self.one_at_a_time = asyncio.Lock()
        self.moves = 0
        self.steps = 0
        self.acts: Counter[str] = Counter()
        """How often each person has acted."""
        self.open_payments: dict[str, None] = {}
        """Ids, in the order in which they were asked for."""
        self.ended_payments: set[str] = set()
        self.errands: list[asyncio.Task[None]] = []
        self.initiator = ""
        self.called = "the path"

    # What each path brings.

    @abstractmethod
    async def commit(self, event: str, act: ActT, key: str, at: datetime, subject: str) -> Standing:
        """Carries out one transition: one activity, one database transaction."""

    @abstractmethod
    def allow(self, phase: str, event: str) -> None:
        """Raises WrongPhase unless the event can happen in this phase."""

    @abstractmethod
    def nobody(self, actor: str) -> ActT:
        """An act of the platform or of an operator in Temporal, not of a person at a front end."""

    def called_off_by_operators(self) -> str | None:
        """The event that a cancelled workflow brings about in the present phase; None to go on regardless."""
        return None

    # Signals and queries of every path.

    @workflow.signal
    async def told(self, standing: Standing) -> None:
        """Another story has moved the path, such as a payment's bank."""
        self.enter(standing)

    @workflow.signal
    def pause(self) -> None:
        """The bank has taken the money back for the moment: no timer runs and nobody can act."""
        self.paused = True
        self.moves += 1

    @workflow.signal
    def resume(self, standing: Standing) -> None:
        """The money is there again: the timers go on with the time they had left."""
        self.paused = False
        known = self.standing
        if known is not None and not standing.title and not standing.over:
            # The bank's story knows nothing but the timers, and a payment's news may have overtaken it.
            timers = retimed(known.deadlines, standing.deadlines)
            standing = known.model_copy(
                update={"deadlines": timers, "refunds": (), "collections": ()}
            )
        self.enter(standing)
        # What was refused because the path stood still may be possible now.
        self.news = True
        self.errands.append(asyncio.create_task(self.wake_payments()))

    @workflow.query
    def watch(self) -> Watch:
        """Phase, days left and what silence will do, as of now."""
        due = self.next_deadline()
        return Watch(
            standing=self.standing,
            waits_for=", ".join(due.stopped_by) if due else "",
            days_left=days_until(due.due_at, workflow.now()) if due else None,
            if_nothing_comes=due.outcome if due else "",
            is_paused=self.paused,
        )

    # Waiting.

    async def stay_in(self, *phases: str) -> None:
        """Stays while the path stands in one of these phases; whatever is overdue happens."""
        while self.stands_in(*phases):
            if workflow.cancellation_reason() is not None:
                # It may have come while a transition was under way, which it does not interrupt.
                await self.heed_cancellation()
                if not self.stands_in(*phases):
                    return
            due = self.next_deadline()
            if await self.passes(due) and due is not None:
                await self.bring_about(due.event, subject=due.subject, over=self.has_moved())

    async def passes(self, due: Deadline | None) -> bool:
        """Waits for this deadline: True when it has passed, False as soon as something else has happened.

        None: another story runs the timer, such as a payment's; only something else can happen.
        """
        moved = self.has_moved()
        try:
            if due is None or self.paused:
                await workflow.wait_condition(moved)
            else:
                await workflow.wait_condition(
                    moved,
                    timeout=max(due.passes_at - workflow.now(), timedelta()),
                    timeout_summary=f"{self.title}: {due.name} ends {in_words(due.due_at)}",
                )
        except TimeoutError:
            return not moved()
        except asyncio.CancelledError:
            await self.heed_cancellation()
            if workflow.cancellation_reason() is None or moved():
                return False
            return await self.passes(due)
        return False

    def has_moved(self) -> _Moved:
        """A condition that becomes true with the next transition."""
        return _Moved(self, self.moves)

    async def heed_cancellation(self) -> None:
        """An operator who cancels the workflow calls off what can still be called off; later it changes nothing."""
        event = self.called_off_by_operators()
        if event is not None:
            await self.bring_about(event, actor="operator", over=self.has_moved())

    async def bring_about(
        self,
        event: str,
        *,
        over: Callable[[], bool],
        actor: str = "system",
        subject: str = "",
        act: ActT | None = None,
    ) -> None:
        """What happens without anybody's act, unless somebody was faster; what is refused needs an operator.

        `act`: what another story says, instead of `actor`.
        """
        act = act or self.nobody(actor)
        while not over():
            try:
                await uninterrupted(self._alone(event, over, act, subject))
                return
            except ApplicationError as refused:
                await self.ask_operator(f"{event} of {self.title}: {refused.message}", over=over)

    async def _alone(self, event: str, over: Callable[[], bool], act: ActT, subject: str) -> None:
        await workflow.wait_condition(lambda: not self.paused or over())
        async with self.one_at_a_time:
            if not over():
                await self.transition(event, act, subject)

    # Acting.

    async def act(self, event: str, act: ActT, subject: str = "") -> Standing:
        """Somebody's act, one at a time."""
        self.acts[act.user_id or act.actor] += 1
        await self.catch_up(act)
        async with self.one_at_a_time:
            self.require(event)
            return await self.transition(event, act, subject)

    async def transition(self, event: str, act: ActT, subject: str = "") -> Standing:
        """One transition, one activity, one database transaction."""
        self.steps += 1
        key = step_key(workflow.info().workflow_id, f"{self.steps}-{event}")
        try:
            standing = await uninterrupted(self.commit(event, act, key, workflow.now(), subject))
        except ActivityError as refused:
            raise reason_of(refused) from refused
        self.enter(standing)
        return standing

    def require(self, event: str, act: ActT | None = None) -> None:
        """Raises WrongPhase unless the event can happen now, or in the phase whose news is still on its way here.

        LimitReached when one person has acted so often that the path's history could not take the acts of others.
        """
        if act is not None and self.acts[act.user_id or act.actor] >= MOST_ACTS:
            raise LimitReached(
                f"nobody acts on one path more than {MOST_ACTS} times",
                accepted="what operators can do",
            )
        behind = act is not None and self.is_behind(act)
        phase = act.phase_seen if act is not None and behind else self.phase
        if phase is None:
            raise WrongPhase("the path is not open yet", field="phase")
        if self.paused:
            raise WrongPhase(
                "the payer's bank has taken the money back for the moment",
                field="phase",
                accepted="the same request when the bank has decided",
            )
        self.allow(phase, event)

    def is_behind(self, act: ActT) -> bool:
        """Whether the books stand further than this story, whose payment has just arrived."""
        return (
            act.phase_seen is not None
            and act.phase_seen != self.phase
            and (self.standing is None or bool(self.open_payments))
        )

    async def catch_up(self, act: ActT) -> None:
        """A payment shows in the books a moment before its news arrives here."""
        with suppress(TimeoutError):
            await workflow.wait_condition(lambda: not self.is_behind(act), timeout=CATCH_UP)

    # Money.

    async def collect(self, collection: Collection) -> None:
        """Shows the payer where to pay; raises what the provider refuses."""
        self.expect(collection)
        if collection.presented:
            return
        try:
            await self.present(collection)
        except ActivityError as refused:
            await self.withdraw("system")
            raise _final(reason_of(refused)) from refused

    async def collect_patiently(self, collection: Collection) -> None:
        """The payer has days: asks for a page until there is one, or until nobody waits for the money any more."""
        case = collection.case
        self.expect(collection)
        looks = 0
        while self.waits_for(case) and not collection.presented:
            with suppress(ActivityError):
                await self.present(collection)
                return
            with suppress(TimeoutError):
                await workflow.wait_condition(
                    lambda: not self.waits_for(case),
                    timeout=case.poll.wait(looks),
                    timeout_summary="Ask the provider for a page to pay again",
                )
            looks += 1

    def waits_for(self, case: PaymentCase) -> bool:
        """Whether the payment can still come in time."""
        return case.payment_id in self.open_payments

    async def present(self, collection: Collection) -> None:
        """Asks the provider for a page to pay; one that is there already stays. Raises ActivityError."""
        case = collection.case
        await uninterrupted(
            workflow.execute_activity_method(
                Collecting.present,
                collection,
                summary=f"Ask the provider for a page to pay {format_money(case.amount, case.currency)}",
                **PRESENT,
            )
        )

    def expect(self, collection: Collection) -> None:
        """The payment's own story has begun, or is about to; what it does to the path is heard when it ends."""
        payment_id = collection.case.payment_id
        if payment_id not in self.ended_payments:
            self.open_payments[payment_id] = None

    @workflow.signal
    def payment_ended(self, news: PaymentNews) -> None:
        """A payment is captured or given up: takes note of what it has done to the path."""
        self.ended_payments.add(news.payment_id)
        self.open_payments.pop(news.payment_id, None)
        if news.outcome.standing is not None:
            self.enter(news.outcome.standing)
        else:
            self.moves += 1

    async def withdraw(self, actor: str, note: str = "") -> None:
        """Nobody wants to pay any more: closes what is being collected; money that was faster stays."""
        for payment_id in list(self.open_payments):
            payment = workflow.get_external_workflow_handle(payment_workflow_id(payment_id))
            with suppress(ApplicationError):
                await payment.signal(Payment.withdraw, Withdrawal(actor=actor, note=note))

    async def wake_payments(self) -> None:
        """What was not paid while the path stood still is decided now."""
        for payment_id in list(self.open_payments):
            payment = workflow.get_external_workflow_handle(payment_workflow_id(payment_id))
            with suppress(ApplicationError):
                await payment.signal(Payment.wake)

    async def send_refund(self, case: RefundCase) -> None:
        """One refund's own story, until the payer has the money."""
        amount = format_money(case.amount, case.currency)
        await uninterrupted(
            workflow.execute_child_workflow(
                Refund.run,
                case,
                id=refund_workflow_id(case.refund_id),
                parent_close_policy=ParentClosePolicy.ABANDON,
                static_summary=f"Refund of {amount}",
                search_attributes=start_attributes("refund", self.initiator, case.currency),
            )
        )

    async def run_errands(self) -> None:
        """Waits until every payment and refund that the story has asked for has ended."""
        await uninterrupted(workflow.wait_condition(lambda: not self.open_payments))
        while self.errands:
            await uninterrupted(self.errands.pop(0))
        await workflow.wait_condition(workflow.all_handlers_finished)

    # Where the path stands.

    def enter(self, standing: Standing) -> None:
        """The path now stands here; operators can read what it waits for, and its refunds are on their way."""
        self.moves += 1
        for case in standing.refunds:
            self.errands.append(asyncio.create_task(self.send_refund(case)))
        if self.standing is not None and standing.version < self.standing.version:
            # Old news: a payment's word can arrive after that of an act which followed it.
            return
        self.standing = standing
        workflow.set_current_details(describe_standing(standing, workflow.now()))
        workflow.upsert_search_attributes(standing_attributes(standing))

    def next_deadline(self) -> Deadline | None:
        """The timer of the story's own that fires first."""
        own = [each for each in self.standing.deadlines if each.event] if self.standing else []
        return min(own, key=lambda each: each.passes_at, default=None)

    def stands_in(self, *phases: str) -> bool:
        """Whether the path is in one of these phases right now."""
        return self.phase in phases

    @property
    def phase(self) -> str | None:
        """The phase; None before the path is open."""
        return self.standing.phase if self.standing else None

    @property
    def over(self) -> bool:
        """Whether the path has ended, or never began."""
        return self.refusal is not None or (self.standing is not None and self.standing.over)

    @property
    def title(self) -> str:
        """What the path is about, in a few words."""
        return (self.standing.title if self.standing else "") or self.called

    async def answered(self, work: Awaitable[Standing]) -> Standing:
        """The standing that work brings, with what it asks for on its way: payments are presented before the answer."""
        standing = await work
        for collection in standing.collections:
            await self.collect(collection)
        return standing


class _Moved:
    """Whether a story has moved since."""

    def __init__(self, story: Story[ActT], since: int) -> None:
        self._story = story
        self._since = since

    def __call__(self) -> bool:
        return self._story.moves != self._since


def _final(reason: ApplicationError) -> ApplicationError:
    """A provider that stayed out of reach has ended the payment: repeating the request cannot help."""
    if reason.type != Unavailable.code:
        return reason
    return as_application_error(
        ProviderUnreachable("the payment company could not be reached; please try again anew")
    )
