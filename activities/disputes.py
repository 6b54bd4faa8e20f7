"""The transitions of a dispute, each one transaction together with the money that it is about."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncSession
from temporalio import activity
from temporalio.client import Client, WorkflowUpdateFailedError
from temporalio.service import RPCError, RPCStatusCode

from activities import dispute_stakes as stakes
from activities import payees
from activities.dispute_acts import keep, require_side, share_of
from activities.dispute_case import Case, running, standing_of, tell_about, wait_for_bank
from activities.gathering import gather_payouts
from activities.transitions import advance, close_when_empty, lock_path, recall, timers
from db.case_rows import end_case, open_case
from db.dispute_rows import course_of, terms_of
from db.engine import Database
from db.queries import file_access
from db.tables import Dispute, Path
from domain import accounts, postings_back
from domain.disputes import (
    BY_RULING,
    FINAL,
    Course,
    DisputeStep,
    DisputeTerms,
    Event,
    Phase,
    StakeKind,
    arbitration_fee,
    loser,
    next_phase,
)
from domain.errors import NotFound, Unavailable, WrongPhase
from domain.ids import step_key
from domain.milestones import State
from domain.money import Money, format_money
from domain.operator_cases import CaseKind
from domain.operator_policy import OperatorPolicy
from domain.path import Standing
from domain.tender_messages import TenderAct
from ledger import journal
from runtime.temporal_errors import domain_error_of

_BANK_DECIDES = timedelta(days=1)
"""So long a dispute whose time is up waits for the payer's bank, again and again, before its money moves."""
_CASES = {
    CaseKind.DISPUTE_RULING: frozenset({Phase.RULING, Phase.PROPOSED}),
    CaseKind.DISPUTE_APPEAL: frozenset({Phase.APPEALED}),
}


class Disputes:
    """Activities of disputes. `payout_at_once`: released money may leave without a waiting time."""

    def __init__(
        self,
        database: Database,
        temporal: Client,
        operators: OperatorPolicy,
        *,
        payout_at_once: bool,
    ) -> None:
        self.database = database
        self.temporal = temporal
        self.operators = operators
        self.payout_at_once = payout_at_once

    @activity.defn(name="move_dispute")
    async def move(self, step: DisputeStep) -> Standing:
        """Takes the dispute through one transition with everything that belongs to it.

        A milestone is locked and divided by its tender's own story, before what follows is written down; it does so once.
        """
        async with self.database.transaction() as session:
            before = await recall(session, step.key, Standing)
            if before is not None:
                return before
            told = await self._for_the_tender(session, step)
        if told is not None:
            await self._tell(*told, update_id=f"{step.opening.dispute_id}/{told[1]}")
        async with self.database.transaction() as session:
            about = await lock_path(session, step.opening.about_id)
            if step.event is Event.OPENED:
                standing = await self._opened(session, about, step)
            else:
                standing = await self._moved(session, about, step)
        if self.payout_at_once and standing.over:
            await gather_payouts(self.temporal, activity.info().task_queue)
        return standing

    # What the tender's own story does.

    async def _for_the_tender(
        self, session: AsyncSession, step: DisputeStep
    ) -> tuple[str, str, TenderAct] | None:
        """Which story is told what; None when the dispute is not about a milestone, or nothing is to be done."""
        if step.event is Event.OPENED:
            about = await lock_path(session, step.opening.about_id)
            stake = await stakes.claim(session, about, step.opening, step.at)
            if stake.kind is not StakeKind.MILESTONE:
                return None
            if await stakes.milestone_state(session, stake) is State.DISPUTED:
                return None
            role = "initiator" if step.opening.claimant_id == stake.payer_id else "bidder"
            act = TenderAct(
                actor=role,
                user_id=step.opening.claimant_id,
                note=step.opening.words[:500],
                milestone=stake.milestone,
            )
            return about.workflow_id, "dispute", act
        row = await _row(session, step)
        terms, course = terms_of(row), course_of(row)
        path = await session.get_one(Path, row.id)
        phase = next_phase(path.phase, step.event)
        if terms.stake.kind is not StakeKind.MILESTONE or phase not in FINAL:
            return None
        if not _is_due(path, step) or await stakes.waits_for_bank(session, terms.stake):
            return None
        if await stakes.milestone_state(session, terms.stake) is not State.DISPUTED:
            return None
        require_side(terms, course, step)
        share = await share_of(session, terms, course, step)
        to_worker = terms.stake.amount - terms.stake.to_payer(share)
        about = await session.get_one(Path, terms.stake.about_id)
        act = TenderAct(
            actor="operator",
            user_id=step.act.user_id,
            note=f"dispute {row.id}",
            milestone=terms.stake.milestone,
            amount=to_worker,
        )
        return about.workflow_id, "rule", act

    async def _tell(self, workflow_id: str, update: str, act: TenderAct, *, update_id: str) -> None:
        """Raises what the tender's story refuses, and Unavailable."""
        try:
            await self.temporal.get_workflow_handle(workflow_id).execute_update(
                update, act, id=update_id
            )
        except (WorkflowUpdateFailedError, RPCError) as failed:
            if isinstance(failed, RPCError) and failed.status is RPCStatusCode.NOT_FOUND:
                raise WrongPhase("the tender has ended", field="phase") from failed
            raise domain_error_of(failed) or Unavailable("the tender does not answer") from failed

    # The transitions.

    async def _opened(self, session: AsyncSession, about: Path, step: DisputeStep) -> Standing:
        """What is disputed is fixed, and locked where it still can be."""
        wish = step.opening
        stake = await stakes.claim(session, about, wish, step.at)
        others = {stake.payer_id, stake.payee_id} - {wish.claimant_id}
        terms = DisputeTerms(
            dispute_id=wish.dispute_id,
            claimant_id=wish.claimant_id,
            respondent_id=others.pop(),
            stake=stake,
            asked=wish.asked,
            words=wish.words,
            file_ids=wish.file_ids,
            return_id=wish.return_id,
            opened_at=step.at,
            policy=wish.policy,
        )
        path = Path(
            id=wish.dispute_id,
            kind="dispute",
            workflow_id=step.workflow_id,
            initiator_id=wish.claimant_id,
            currency=stake.currency,
            phase=Phase.OPEN,
        )
        session.add(path)
        await session.flush()
        locked: dict[int, int] = {}
        left_by: Standing | None = None
        if stake.kind is StakeKind.SALE:
            locked, left_by = await stakes.lock_sale(session, about, stake, wish, step)
        row = Dispute(
            id=path.id,
            about_id=about.id,
            subject=stake.subject,
            claimant_id=terms.claimant_id,
            respondent_id=terms.respondent_id,
            terms=terms.model_dump(mode="json"),
            course=Course().model_dump(mode="json"),
            locked={str(line): amount for line, amount in locked.items()},
            moves=0,
        )
        session.add(row)
        await session.flush()
        await file_access.grant(session, wish.file_ids, path.id, terms.respondent_id)
        case = Case(session, about, path, row, terms, Course(), step, left_by)
        words = f"{format_money(stake.amount, stake.currency)} is disputed: {wish.words}"
        return await self._settle(case, Phase.OPEN, words)

    async def _moved(self, session: AsyncSession, about: Path, step: DisputeStep) -> Standing:
        path = await lock_path(session, step.opening.dispute_id)
        row = await _row(session, step)
        case = Case(session, about, path, row, terms_of(row), course_of(row), step)
        if not _is_due(path, step):
            return standing_of(case, case.phase)
        phase = next_phase(case.phase, step.event, confirmed=self._needs_no_other(case))
        require_side(case.terms, case.course, step)
        moves_money = phase in FINAL and phase is not Phase.WITHDRAWN
        if moves_money and await stakes.waits_for_bank(session, case.terms.stake):
            return wait_for_bank(case)
        return await self._settle(case, phase, keep(case))

    def _needs_no_other(self, case: Case) -> bool:
        """Whether this ruling stands by itself: about little money, or as another operator has proposed it."""
        stake, proposed = case.terms.stake, case.course.ruling
        if stake.amount <= self.operators.alone(stake.currency):
            return True
        act = case.step.act
        return (
            case.phase is Phase.PROPOSED
            and proposed is not None
            and (proposed.to_payer, proposed.by_id != act.user_id) == (act.to_payer, True)
        )

    async def _settle(self, case: Case, phase: Phase, words: str) -> Standing:
        """Writes a transition down: money, phase, timers, operators' cases and events."""
        step, refunds = case.step, []
        if phase in FINAL:
            divided, outcome = await divided_at_the_end(case, phase)
            refunds = [divided.refund] if divided.refund else []
            words += outcome
        await self._call_operators(case, phase)
        case.row.course = case.course.model_dump(mode="json")
        case.row.moves += 1
        timed = await running(case, phase)
        standing = standing_of(case, phase, timed).model_copy(update={"refunds": tuple(refunds)})
        if step.act.note:
            words += f": {step.act.note}"
        advance(
            case.session,
            case.path,
            key=step.key,
            kind=step.event,
            phase=phase,
            actor=step.act.actor,
            summary=words,
            deadlines=timed,
            data=standing.model_dump(mode="json"),
        )
        if step.event is Event.OPENED or phase in FINAL:
            tell_about(case, words, reopen=bool(refunds))
        if phase in FINAL:
            case.row.ended_at = step.at
            case.row.end_reason = step.event
            await close_when_empty(case.session, case.path, step.at)
        return standing

    async def _call_operators(self, case: Case, phase: Phase) -> None:
        """A case while operators have to rule."""
        for kind, phases in _CASES.items():
            if case.phase in phases and phase not in phases:
                await end_case(
                    case.session, kind, case.row.id, case.step.event, by=case.step.act.user_id
                )
            if phase in phases and case.phase not in phases:
                stake = case.terms.stake
                await open_case(
                    case.session,
                    kind,
                    case.row.id,
                    summary=f"Rule on {format_money(stake.amount, stake.currency)} of {stake.about_id}",
                    within_seconds=self.operators.sla_seconds,
                    path_id=case.path.id,
                    user_id=case.terms.claimant_id,
                    money=Money(amount=stake.amount, currency=stake.currency),
                )


async def _row(session: AsyncSession, step: DisputeStep) -> Dispute:
    row = await session.get(Dispute, step.opening.dispute_id, populate_existing=True)
    if row is None:
        raise NotFound(f"there is no dispute {step.opening.dispute_id}")
    return row


def _is_due(path: Path, step: DisputeStep) -> bool:
    """Whether somebody acts, or the timer that has fired has not moved or gone meanwhile."""
    if step.act.actor != "system":
        return True
    due = (each for each in timers(path) if each.event == step.event)
    return any(each.passes_at <= step.at for each in due)


async def divided_at_the_end(case: Case, phase: Phase) -> tuple[stakes.Divided, str]:
    """The money is divided, and whoever lost a ruling pays for it."""
    session, terms, step = case.session, case.terms, case.step
    share = await share_of(session, terms, case.course, step)
    stake = terms.stake
    to_payer = stake.to_payer(share)
    match stake.kind:
        case StakeKind.SALE:
            divided = await stakes.divide_sale(
                session,
                case.about,
                stake,
                case.row.id,
                case.locked,
                to_payer,
                step.key,
                step.at,
            )
        case StakeKind.RELEASED:
            divided = await stakes.divide_released(
                session, stake, to_payer, step_key(step.key, "back")
            )
        case StakeKind.MILESTONE:
            divided = await stakes.divided_milestone(session, stake)
    case.row.locked = {}
    fee = await _arbitration(case, share) if step.event in BY_RULING else 0
    case.course = case.course.model_copy(
        update={
            "offer": None,
            "outcome": None if phase is Phase.WITHDRAWN else share,
            "refunded": divided.to_payer,
            "fee": fee,
        }
    )
    words = f"; {format_money(divided.to_payer, stake.currency)} goes back to who paid"
    return divided, words


async def _arbitration(case: Case, share: int) -> int:
    """The side that gets less than half pays for the ruling, as far as its balance goes; minor units."""
    stake, terms = case.terms.stake, case.terms
    losing = loser(terms, share)
    if losing is None:
        return 0
    source = await payees.payee_account(case.session, losing)
    held = await journal.balances(
        case.session, [source, accounts.FEE], stake.currency, for_update=True
    )
    fee = arbitration_fee(terms.policy, stake.amount, held[source].available)
    if fee:
        key = step_key(case.step.key, "arbitration")
        await journal.post(
            case.session,
            postings_back.arbitration(key, stake.about_id, source, fee, stake.currency),
        )
    return fee
