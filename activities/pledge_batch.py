"""What every step of a run works with, and the few things that all steps do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import structlog
from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.service import RPCError, RPCStatusCode

from activities import pledge_locks, pledge_money
from activities.pledge_calls import Calls, Fault, Item, Refusal, Silence
from activities.pledge_desk import Desk
from activities.pledge_locks import Held
from activities.pledge_money import Capture
from activities.pledge_refunds import PledgeRefunds
from db.engine import Database
from db.tables import Pledge
from domain.campaign_messages import PledgeCase, RunCase
from domain.money import format_money
from providers.base import PaymentProvider, ProviderPayment
from providers.registry import ProviderRegistry
from runtime.settings import Settings
from runtime.temporal import start_attributes

Value = TypeVar("Value")

log = structlog.get_logger()


@dataclass
class Done:
    """What one step has brought about, in pledges."""

    done: int = 0
    failed: int = 0
    """They have a story of their own now."""


@dataclass
class Batch:
    """One call of the activity: where it works and how it tells that it is alive."""

    database: Database
    providers: ProviderRegistry
    temporal: Client
    settings: Settings
    refunds: PledgeRefunds
    case: RunCase
    beat: Callable[[], None]
    failed: int = 0
    """Charges that have failed since the run began; spreads the last tries of all of them over time."""

    @property
    def campaign_id(self) -> str:
        """Whose pledges they are."""
        return self.case.campaign_id

    def provider(self, code: str) -> PaymentProvider:
        """The payment company with this code."""
        return self.providers.get(code)

    @property
    def desk(self) -> Desk:
        """Where open pages, payments and cards are closed."""
        return Desk(self.providers, self.refunds.paces)

    async def turn(self, provider: str, endpoint: str) -> None:
        """Returns when one call to the endpoint may begin."""
        await self.refunds.paces.turn(provider, endpoint)

    def calls(self) -> Calls:
        """A round of calls that keeps this run alive."""
        return Calls(self.beat)

    async def take_in(
        self, pledge_ids: Collection[str], captured: Iterable[tuple[str, ProviderPayment]]
    ) -> set[str]:
        """Posts captured payments (our id, the provider's) of these pledges; which pledges have gone on with them.

        Money that finds no place goes back at once, and stories whose charge is mended hear of it.
        """
        theirs = dict(captured)
        if not theirs:
            return set()
        async with self.database.transaction() as session:
            held = await pledge_locks.hold(session, self.campaign_id, pledge_ids)
            payments = await pledge_locks.payments(session, sorted(theirs))
            captures = [
                Capture(held.path, held.campaign, held.pledges[row.pledge_id], row, theirs[row.id])
                for row in payments.values()
                if row.pledge_id in held.pledges
            ]
            aftermath = await pledge_money.take_in(
                session,
                captures,
                held.at,
                hold_days=self.provider(held.terms.rules.provider).max_hold_days,
            )
        if aftermath.refunds:
            await self.refunds.send(self.campaign_id, pledge_ids, beat=self.beat)
        await asyncio.gather(*(self.tell(each) for each in aftermath.mended))
        return {each.pledge.id for each in captures}

    async def tell(self, pledge_id: str) -> None:
        """Wakes the story of a pledge whose charge had failed, if it still runs."""
        try:
            await self.temporal.get_workflow_handle(f"pledge-{pledge_id}").signal("wake")
        except RPCError as missed:
            if missed.status is not RPCStatusCode.NOT_FOUND:
                # Its own timers bring it to look.
                log.warning("pledge story not woken", pledge=pledge_id, reason=str(missed))

    async def begin(self, cases: Sequence[PledgeCase], backers: dict[str, str]) -> int:
        """Starts the story of each pledge whose charge has failed, unless it runs; how many run now."""
        begun = await asyncio.gather(*(self._begin(case, backers) for case in cases))
        return sum(begun)

    async def _begin(self, case: PledgeCase, backers: dict[str, str]) -> bool:
        try:
            await self.temporal.start_workflow(
                "Pledge",
                case,
                id=f"pledge-{case.pledge_id}",
                task_queue=self.settings.temporal_task_queue,
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                static_summary=f"Charge of {format_money(case.amount, case.currency)} failed",
                search_attributes=start_attributes(
                    "pledge", backers[case.pledge_id], case.currency
                ),
            )
        except RPCError as missed:
            # The backer has not been told yet, so the next pass starts it again.
            log.warning("pledge story not started", pledge=case.pledge_id, reason=str(missed))
            return False
        return True


def clear(
    answers: Iterable[tuple[Item, Value | Silence | Refusal | Fault]],
) -> list[tuple[Item, Value]]:
    """The answers that say something."""
    return [
        (item, answer)
        for item, answer in answers
        if not isinstance(answer, Silence | Refusal | Fault)
    ]


def standing(held: Held, ids: Iterable[str], *states: str) -> list[Pledge]:
    """Those of the pledges that are held and still in one of these states, by id."""
    return [
        held.pledges[each]
        for each in sorted(ids)
        if each in held.pledges and held.pledges[each].state in states
    ]
