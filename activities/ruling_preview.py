"""What a ruling on a dispute would post: the real end of the dispute in a transaction that is rolled back."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession
from temporalio import activity
from temporalio.client import Client

from activities.dispute_case import Case
from activities.disputes import divided_at_the_end
from activities.rehearsal import parties, rehearsed
from activities.tenders import Tenders
from activities.transitions import lock_path
from db import dispute_rows
from db.engine import Database, OpenTransaction
from domain import tender
from domain.disputes import (
    FINAL,
    DisputeAct,
    DisputeStep,
    DisputeTerms,
    Event,
    OpenDispute,
    Phase,
    Ruling,
    RulingAsked,
    StakeKind,
)
from domain.errors import DomainError, NotFound, Unavailable
from domain.tender_messages import TenderAct, TenderStep
from domain.unwinding import Unwind


class RulingPreviews:
    """Activities of previews of rulings."""

    def __init__(self, database: Database, temporal: Client) -> None:
        self.database = database
        self.temporal = temporal

    @activity.defn(name="preview_ruling")
    async def preview(self, asked: RulingAsked) -> Unwind:
        """What a ruling would post if it stood now, the fee of the losing side included. Raises NotFound and Unavailable."""
        at = activity.info().started_time

        async def work(session: AsyncSession) -> None:
            await self._decide(session, asked, at)

        async with self.database.transaction() as session:
            found = await dispute_rows.found(session, asked.dispute_id)
        if found is None:
            raise NotFound(f"there is no dispute {asked.dispute_id}")
        if found[1].phase in FINAL:
            return Unwind(possible=False, why_not="The dispute has ended.")
        try:
            would_be = await rehearsed(self.database, work)
        except (NotFound, Unavailable):
            raise
        except DomainError as refused:
            return Unwind(possible=False, why_not=refused.detail)
        return Unwind(possible=True, postings=would_be.postings, who=parties(would_be))

    async def _decide(self, session: AsyncSession, asked: RulingAsked, at: datetime) -> None:
        found = await dispute_rows.found(session, asked.dispute_id)
        assert found is not None
        row, path = found
        about = await lock_path(session, row.about_id)
        terms = dispute_rows.terms_of(row)
        ruling = Ruling(by_id="", to_payer=asked.to_payer, reason="")
        course = dispute_rows.course_of(row).model_copy(update={"ruling": ruling})
        step = _step(terms, path.workflow_id, at)
        if terms.stake.kind is StakeKind.MILESTONE:
            await self._rule_milestone(session, terms, asked, step)
        case = Case(session, about, path, row, terms, course, step)
        await divided_at_the_end(case, Phase.DECIDED)

    async def _rule_milestone(
        self, session: AsyncSession, terms: DisputeTerms, asked: RulingAsked, step: DisputeStep
    ) -> None:
        """As the tender's own story would."""
        stake = terms.stake
        to_worker = stake.amount - stake.to_payer(asked.to_payer)
        act = TenderAct(actor="operator", milestone=stake.milestone, amount=to_worker)
        tenders = Tenders(OpenTransaction(session), self.temporal, payout_at_once=False)
        await tenders.move(
            TenderStep(
                tender_id=stake.about_id,
                key=f"{step.key}/tender",
                event=tender.Event.RULED,
                act=act,
                at=step.at,
                subject=stake.subject,
            )
        )


def _step(terms: DisputeTerms, workflow_id: str, at: datetime) -> DisputeStep:
    return DisputeStep(
        opening=OpenDispute(
            dispute_id=terms.dispute_id,
            about_id=terms.stake.about_id,
            claimant_id=terms.claimant_id,
            words=terms.words,
            policy=terms.policy,
        ),
        workflow_id=workflow_id,
        key=f"preview/{terms.dispute_id}",
        event=Event.APPEAL_LAPSED,
        act=DisputeAct(actor="system"),
        at=at,
    )
