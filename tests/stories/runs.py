"""What the tests of runs share: a campaign with a crowd in some phase, runs over it, and what must hold afterwards."""

from __future__ import annotations

import asyncio
import sqlite3
import uuid
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowHandle

from domain.campaign import Phase
from domain.campaign_messages import Progress, RunCase, RunGoal
from domain.pledge import Method, PledgeState
from domain.policy import Backoff
from tests.stories.crowd import SEATED, Crowd, Group, One, campaign, crowd
from tests.stories.house import House
from tests.stories.money import assert_sound
from tests.waiting import eventually
from workflows.names import pledge_run_workflow_id
from workflows.pledge_run import PledgeRun

S, M = PledgeState, Method
PATIENT = Backoff(first=1, longest=1)
"""Comes by again each second, so that tests need not skip time."""


@dataclass
class Round:
    """One campaign and what is done with its pledges."""

    house: House
    crowd: Crowd

    @classmethod
    async def of(
        cls, house: House, phase: Phase, groups: Mapping[Group, int], **more: Any
    ) -> Round:
        """A campaign in this phase with so many pledges of each state and method."""
        url = house.settings.require_database_url()
        made = campaign(url, phase, **more)
        await crowd(
            house.database,
            url,
            made,
            groups,
            sandbox=house.settings.data_dir / "sandbox.db",
            issuer=house.issuer.url,
        )
        return cls(house, made)

    @property
    def id(self) -> str:
        """Of the campaign."""
        return self.crowd.campaign_id

    async def start(self, goal: RunGoal, **more: Any) -> WorkflowHandle[PledgeRun, Progress]:
        """A run that has begun."""
        case = RunCase(**{"campaign_id": self.id, "goal": goal, "poll": PATIENT, **more})
        name = pledge_run_workflow_id(self.id, goal, 1, case.shard)
        return await self.house.temporal.start_workflow(
            PledgeRun.run,
            case,
            id=f"{name}-{uuid.uuid4().hex[:8]}",
            task_queue=self.house.settings.temporal_task_queue,
        )

    async def run(self, goal: RunGoal, **more: Any) -> Progress:
        """A run from its beginning to its end."""
        return await (await self.start(goal, **more)).result()

    async def put(self, phase: Phase) -> None:
        """The campaign stands there from now on; waits for whoever works on its pledges, in this event loop as well."""
        change = "UPDATE paths SET phase = %s WHERE id = %s"
        await asyncio.to_thread(self.house.sql, change, str(phase), self.id)

    def states(self) -> Counter[str]:
        """How many pledges stand where."""
        rows = self.house.sql(
            "SELECT state, count(*) FROM pledges WHERE campaign_id = %s GROUP BY state", self.id
        )
        return Counter({state: count for state, count in rows})

    def state_of(self, one: One) -> str:
        """Where one pledge stands."""
        [(state,)] = self.house.sql("SELECT state FROM pledges WHERE id = %s", one.pledge_id)
        return str(state)

    async def stands(self, one: One, state: PledgeState) -> None:
        """Waits until a pledge stands there."""
        await eventually(lambda: self.state_of(one) == state, what=f"{one.pledge_id} {state}")

    def escrow(self) -> int:
        """What the campaign's escrow holds, minor units."""
        rows = self.house.sql(
            "SELECT credits_posted - debits_posted FROM ledger_accounts WHERE kind = 'escrow'"
            " AND owner = %s",
            self.id,
        )
        return int(rows[0][0]) if rows else 0

    def entries(self, kind: str) -> int:
        """How many journal entries of a kind the campaign has."""
        [(count,)] = self.house.sql(
            "SELECT count(*) FROM ledger_entries WHERE path_id = %s AND kind = %s", self.id, kind
        )
        return int(count)

    def at_provider(self, what: str, *columns: str) -> list[tuple[Any, ...]]:
        """The provider's own rows about this campaign's pledges: payments, cards or refunds."""
        ours = "subject IN (SELECT value FROM json_each(?))"
        with sqlite3.connect(self.house.settings.data_dir / "sandbox.db", timeout=30) as store:
            found = store.execute(
                f"SELECT {', '.join(columns)} FROM {what} WHERE {ours}", (self._subjects(what),)
            )
            return found.fetchall()

    def _subjects(self, what: str) -> str:
        table = {"payments": "payments", "refunds": "refunds", "cards": "saved_cards"}[what]
        owner = "path_id = %s"
        if what == "cards":
            owner = "id IN (SELECT card_id FROM pledges WHERE campaign_id = %s)"
        [(found,)] = self.house.sql(
            f"SELECT coalesce(json_agg(id), '[]')::text FROM {table} WHERE {owner}", self.id
        )
        return str(found)

    def at_provider_do(self, statement: str, *values: object) -> None:
        """Changes the provider's own rows, as its payers and their banks do."""
        with sqlite3.connect(self.house.settings.data_dir / "sandbox.db", timeout=30) as store:
            store.execute(statement, values)

    def pays(self, one: One) -> None:
        """The backer pays, or saves the card, and no webhook tells of it."""
        if one.card_id and not one.payment_id:
            self.at_provider_do(
                "UPDATE cards SET status = 'saved' WHERE reference = ?", one.reference
            )
        else:
            self.at_provider_do(
                "UPDATE payments SET status = 'captured', settled = 1, fee = ? WHERE reference = ?",
                one.fee,
                one.reference,
            )

    async def assert_books(self, escrow: int) -> None:
        """The ledger is sound, the escrow holds so much, and rows, totals and seats agree with each other."""
        await assert_sound(self.house)
        assert self.escrow() == escrow
        [sums] = self.house.sql(
            "SELECT count(*) FILTER (WHERE stands), coalesce(sum(amount) FILTER (WHERE stands), 0),"
            " coalesce(sum(paid - refunded), 0),"
            " count(*) FILTER (WHERE tier = %s AND holds_seats)"
            " FROM (SELECT *, state IN ('saved', 'funded', 'charging', 'errored', 'collected') AS stands"
            " FROM pledges WHERE campaign_id = %s) AS all_pledges",
            SEATED,
            self.id,
        )
        [totals] = self.house.sql(
            "SELECT coalesce(sum(pledges), 0), coalesce(sum(amount), 0), coalesce(sum(paid), 0),"
            " (SELECT taken FROM campaign_items WHERE campaign_id = %s AND number = %s)"
            " FROM pledge_stats WHERE campaign_id = %s",
            self.id,
            SEATED,
            self.id,
        )
        assert tuple(map(int, totals)) == tuple(map(int, sums))
        assert int(sums[2]) == escrow

    def assert_sent_once(self) -> None:
        """Every refund of ours is one of the provider's, of the same amount, posted once."""
        ours = self.house.sql(
            "SELECT id, amount FROM refunds WHERE path_id = %s AND status = 'succeeded'", self.id
        )
        theirs = self.at_provider("refunds", "subject", "amount")
        assert Counter(ours) == Counter(theirs)
        assert self.entries("refund_paid") == len(ours)


_OF_THE_TESTS = frozenset(
    {
        EventType.EVENT_TYPE_WORKFLOW_EXECUTION_OPTIONS_UPDATED,
        EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TIME_SKIPPING_TRANSITIONED,
    }
)
"""Events that only skipping time leaves in a history."""


async def history_length(handle: WorkflowHandle[Any, Any]) -> int:
    """Events in the history of a workflow, as it would be if time had passed by itself."""
    events = (await handle.fetch_history()).events
    return sum(each.event_type not in _OF_THE_TESTS for each in events)
