"""Match calls without campaigns' routes: campaigns, pledges and open calls written straight into the tables.

What a campaign's own transactions do to match calls is done here by the same calls of db.match_rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from psycopg.types.json import Jsonb
from sqlalchemy import select

from db import match_rows
from db.campaign_counts import counted
from db.engine import Database
from db.match_rows import CampaignNow, Matched, PledgeFacts
from db.tables import MatchCall, Path
from domain.campaign import CampaignTerms, Count, Funding
from domain.campaign import Kind as CampaignKind
from domain.campaign import Rules as CampaignRules
from domain.ids import new_id
from domain.match_call import Budget, CallTerms, Mode, Offer, Phase, Rules, SponsorKind
from domain.match_call_deadlines import phase_deadlines
from domain.pledge import PAID
from domain.policy import CampaignPolicy, MatchPolicy, RefundPolicy
from tests.stories.voters import new_users

DAY = 86_400
GOAL = 100_000
ONE_TO_ONE = Offer(mode=Mode.PER_PLEDGE)


@dataclass
class Field:
    """A database with campaigns and calls, and what campaigns do to the calls they are in."""

    url: str
    database: Database

    @contextmanager
    def sql(self) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
        """A transaction past the platform."""
        with psycopg.connect(self.url) as connection:
            yield connection

    def people(self, count: int) -> list[str]:
        """Users nobody else knows."""
        return new_users(self.url, count)

    def campaign(
        self,
        creator: str | None = None,
        *,
        goal: int = GOAL,
        phase: str = "live",
        currency: str = "CNY",
        kind: CampaignKind = CampaignKind.DONATION,
    ) -> str:
        """A campaign in this phase."""
        campaign_id, creator = new_id("cmp"), creator or self.people(1)[0]
        terms = CampaignTerms(
            campaign_id=campaign_id,
            creator_id=creator,
            title="A kiln",
            story="For the village",
            currency=currency,
            kind=kind,
            funding=Funding.ALL_OR_NOTHING,
            goal=goal,
            live_seconds=DAY,
            rules=CampaignRules(
                policy=CampaignPolicy(),
                refund_policy=RefundPolicy(),
                provider="sandbox",
                return_url="https://shop.test",
            ),
        )
        with self.sql() as connection:
            connection.execute(
                "INSERT INTO paths (id, kind, workflow_id, initiator_id, currency, phase)"
                " VALUES (%s, 'campaign', %s, %s, %s, %s)",
                (campaign_id, f"campaign-{campaign_id}", creator, currency, phase),
            )
            connection.execute(
                "INSERT INTO campaigns (id, terms) VALUES (%s, %s)",
                (campaign_id, Jsonb(terms.model_dump(mode="json"))),
            )
        return campaign_id

    def call(
        self,
        offer: Offer = ONE_TO_ONE,
        budget: int = 10_000,
        *,
        sponsor: str | None = None,
        currency: str = "CNY",
        open_seconds: int = DAY,
        phase: Phase = Phase.OPEN,
        approvers: tuple[str, ...] = (),
    ) -> str:
        """A call whose budget is paid, without money in the ledger; by default an open one."""
        call_id, sponsor = new_id("mtc"), sponsor or self.people(1)[0]
        terms = CallTerms(
            call_id=call_id,
            sponsor_id=sponsor,
            sponsor_kind=SponsorKind.CHARITY,
            sponsor_name="Kiln fund",
            title="For kilns",
            story="One for one",
            currency=currency,
            budget=budget,
            offer=offer,
            open_seconds=DAY,
            approvers=approvers,
            approvals_needed=len(approvers),
            rules=Rules(
                policy=MatchPolicy(),
                refund_policy=RefundPolicy(),
                provider="sandbox",
                return_url="https://shop.test",
            ),
        )
        timers = phase_deadlines(
            terms, Phase.OPEN, datetime.now(UTC) + timedelta(seconds=open_seconds - DAY)
        )
        with self.sql() as connection:
            connection.execute(
                "INSERT INTO paths (id, kind, workflow_id, initiator_id, currency, phase, deadlines)"
                " VALUES (%s, 'match_call', %s, %s, %s, %s, %s)",
                (
                    call_id,
                    f"match_call-{call_id}",
                    sponsor,
                    currency,
                    phase,
                    Jsonb([each.model_dump(mode="json") for each in timers]),
                ),
            )
            connection.execute(
                "INSERT INTO match_calls (id, terms, paid) VALUES (%s, %s, %s)",
                (call_id, Jsonb(terms.model_dump(mode="json")), budget),
            )
        return call_id

    def accept(self, call_id: str, *campaign_ids: str) -> None:
        """The sponsor has accepted these campaigns, in this order."""
        with self.sql() as connection:
            for campaign_id in campaign_ids:
                connection.execute(
                    "INSERT INTO match_projects (call_id, campaign_id, creator_id, state, note,"
                    " applied_at, answer_by, accepted_at) SELECT %s, id, initiator_id, 'accepted',"
                    " '', now(), now(), clock_timestamp() FROM paths WHERE id = %s",
                    (call_id, campaign_id),
                )

    def pledge_row(
        self,
        campaign_id: str,
        amount: int,
        *,
        backer: str | None = None,
        state: str = "funded",
        currency: str = "CNY",
    ) -> PledgeFacts:
        """A pledge that no call has heard of."""
        pledge_id, backer = new_id("plg"), backer or self.people(1)[0]
        paid = amount if state in ("funded", "collected") else 0
        with self.sql() as connection:
            connection.execute(
                "INSERT INTO pledges (id, campaign_id, backer_id, state, method, round, currency,"
                " amount, selection, paid, created_at)"
                " VALUES (%s, %s, %s, %s, 'wallet', 1, %s, %s, '{}', %s, clock_timestamp())",
                (pledge_id, campaign_id, backer, state, currency, amount, paid),
            )
        return PledgeFacts(
            pledge_id=pledge_id,
            campaign_id=campaign_id,
            backer_id=backer,
            amount=amount,
            currency=currency,
        )

    def set_state(self, state: str, *pledges: PledgeFacts) -> None:
        """The pledges stand there now; money that goes back is not in the campaign any more."""
        paid = state in ("funded", "collected")
        with self.sql() as connection:
            for pledge in pledges:
                connection.execute(
                    "UPDATE pledges SET state = %s, paid = CASE WHEN %s THEN amount ELSE 0 END"
                    " WHERE id = %s",
                    (state, paid, pledge.pledge_id),
                )

    async def pledge(
        self, campaign_id: str, amount: int, *, pledged: int = 0, **more: Any
    ) -> tuple[PledgeFacts, int]:
        """A pledge, and what was reserved for it. `pledged`: where the campaign stood before."""
        facts = self.pledge_row(campaign_id, amount, **more)
        return facts, await self.reserve(facts, pledged=pledged)

    async def reserve(self, pledge: PledgeFacts, *, pledged: int = 0) -> int:
        """What the campaign's own transaction does for a pledge."""
        async with self.database.transaction() as session:
            await session.scalar(
                select(Path).where(Path.id == pledge.campaign_id).with_for_update(read=True)
            )
            return await match_rows.reserve(
                session, pledge, CampaignNow(pledged=pledged, goal=GOAL)
            )

    async def reserve_lumps(self, campaign_id: str) -> int:
        """What the campaign's own transaction does before it counts."""
        async with self.database.transaction() as session:
            await session.scalar(select(Path).where(Path.id == campaign_id).with_for_update())
            return await match_rows.reserve_lumps(session, campaign_id)

    async def reprice(self, pledge: PledgeFacts, amount: int, *, pledged: int = 0) -> int:
        """The backer changes the amount."""
        with self.sql() as connection:
            connection.execute(
                "UPDATE pledges SET amount = %s WHERE id = %s", (amount, pledge.pledge_id)
            )
        async with self.database.transaction() as session:
            return await match_rows.reprice(
                session,
                pledge.model_copy(update={"amount": amount}),
                CampaignNow(pledged=pledged, goal=GOAL),
            )

    async def free(self, *pledges: PledgeFacts, state: str = "cancelled") -> int:
        """The pledges end before the campaign is decided."""
        self.set_state(state, *pledges)
        async with self.database.transaction() as session:
            return await match_rows.free_pledges(session, [each.pledge_id for each in pledges])

    async def use(self, campaign_id: str) -> tuple[Matched, ...]:
        """The campaign succeeds: nothing was counted for it that is not handed over."""
        async with self.database.transaction() as session:
            count = await counted(session, campaign_id, PAID)
            used = await match_rows.use(session, campaign_id)
            assert count.matched <= sum(each.amount for each in used)
            return used

    async def count(self, campaign_id: str) -> Count:
        """What would be decided about if the campaign were decided now."""
        async with self.database.transaction() as session:
            return await counted(session, campaign_id)

    def terms(self, campaign_id: str, **changes: Any) -> CampaignTerms:
        """The campaign's terms."""
        with self.sql() as connection:
            [(stored,)] = connection.execute(
                "SELECT terms FROM campaigns WHERE id = %s", [campaign_id]
            ).fetchall()
        return CampaignTerms.model_validate({**stored, **changes})

    def waits_for_a_lock(self) -> bool:
        """Whether some transaction waits for another one's rows."""
        with self.sql() as connection:
            rows = connection.execute(
                "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                " AND datname = current_database()"
            ).fetchall()
        return bool(rows)

    def take_back(self, call_id: str, amount: int) -> None:
        """The sponsor's bank takes so much back for the moment, and the call stands still."""
        with self.sql() as connection:
            connection.execute(_TAKEN_BACK, {"call": call_id, "id": new_id("cbk"), "part": amount})
            connection.execute("UPDATE paths SET paused_at = now() WHERE id = %s", [call_id])

    def give_back_all(self, call_id: str) -> None:
        """The bank has given everything back."""
        with self.sql() as connection:
            connection.execute(
                "UPDATE chargebacks SET status = 'won', ended_at = now() WHERE path_id = %s",
                [call_id],
            )
            connection.execute("UPDATE paths SET paused_at = NULL WHERE id = %s", [call_id])

    def succeeded(self, campaign_id: str, *used: Matched) -> None:
        """The campaign's own rows after its success."""
        with self.sql() as connection:
            connection.execute(
                "UPDATE campaigns SET succeeded_at = now(), taken_in = %s WHERE id = %s",
                (sum(each.amount for each in used), campaign_id),
            )
            connection.execute("UPDATE paths SET phase = 'successful' WHERE id = %s", [campaign_id])

    async def fail(self, campaign_id: str) -> int:
        """The campaign fails."""
        async with self.database.transaction() as session:
            return await match_rows.free_campaign(session, campaign_id)

    async def give_back(self, campaign_id: str, *amounts: Matched) -> None:
        """The campaign stops after its success."""
        async with self.database.transaction() as session:
            await match_rows.give_back(session, campaign_id, amounts)

    async def matched(self, campaign_id: str) -> int:
        """What stands for the campaign."""
        async with self.database.transaction() as session:
            return await match_rows.matched(session, campaign_id)

    async def budget(self, call_id: str) -> Budget:
        """Where the call's money is."""
        async with self.database.transaction() as session:
            return (await session.get_one(MatchCall, call_id)).budget

    def amounts(self, call_id: str) -> list[tuple[str, int, int]]:
        """The call's queue: state, what was wanted and what is promised, by position."""
        with self.sql() as connection:
            return [
                (str(state), int(wanted), int(amount))
                for state, wanted, amount in connection.execute(
                    "SELECT state, wanted, amount FROM match_reservations WHERE call_id = %s"
                    " ORDER BY position",
                    [call_id],
                )
            ]

    def assert_adds_up(self) -> None:
        """The sums of every call and every project are those of their rows, and nothing is promised twice."""
        with self.sql() as connection:
            wrong = connection.execute(_WRONG).fetchall()
        assert wrong == []


_TAKEN_BACK = """
    WITH paid AS (
        INSERT INTO payments (id, path_id, payer_id, provider, operation_id, amount, currency,
            purpose, status, expires_at)
        SELECT replace(%(id)s, 'cbk', 'pay'), id, initiator_id, 'sandbox', %(id)s, %(part)s,
            currency, 'budget', 'captured', now()
        FROM paths WHERE id = %(call)s RETURNING id, path_id, payer_id, currency
    )
    INSERT INTO chargebacks (id, payment_id, path_id, payer_id, provider, reference, amount, fee, currency,
        status, opened_at)
    SELECT %(id)s, id, path_id, payer_id, 'sandbox', %(id)s, %(part)s, 0, currency, 'open', now()
    FROM paid
"""
_WRONG = """
    SELECT 'call', c.id, c.reserved, c.used FROM match_calls c
    WHERE c.reserved <> (
        SELECT coalesce(sum(amount), 0) FROM match_reservations r
        WHERE r.call_id = c.id AND r.state = 'reserved'
    ) + (
        SELECT coalesce(sum(amount), 0) FROM match_spendings s
        WHERE s.call_id = c.id AND s.state = 'asked'
    ) OR c.used <> (
        SELECT coalesce(sum(used), 0) FROM match_projects p WHERE p.call_id = c.id
    ) OR c.spent <> (
        SELECT coalesce(sum(amount), 0) FROM match_spendings s
        WHERE s.call_id = c.id AND s.state = 'paid'
    )
    UNION ALL
    SELECT 'project', p.campaign_id, p.reserved, p.used FROM match_projects p
    WHERE p.reserved <> (
        SELECT coalesce(sum(amount), 0) FROM match_reservations r
        WHERE (r.call_id, r.campaign_id) = (p.call_id, p.campaign_id) AND r.state = 'reserved'
    ) OR p.used + p.given_back <> (
        SELECT coalesce(sum(amount), 0) FROM match_reservations r
        WHERE (r.call_id, r.campaign_id) = (p.call_id, p.campaign_id) AND r.state = 'used'
    )
"""
