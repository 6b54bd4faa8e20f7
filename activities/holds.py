"""Keeping money that a provider would let go of: longer with it, else back to who paid."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import func, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession
from temporalio import activity
from temporalio.client import Client

from activities.calling_off import CALLED_OFF, STORIES, Stage, tell_to_call_off
from activities.command_ways import Told
from activities.transitions import happened, lock_path
from db.case_rows import end_case, open_case
from db.engine import Database
from db.tables import Case, Path, Payment
from domain.commands import Executed, Tell, can_cancel
from domain.errors import DomainError, ProviderRefused, Unavailable, WrongPhase
from domain.holds import (
    DueHolds,
    HeldMoney,
    HoldFacts,
    HoldsAsked,
    Kept,
    KeptMoney,
    LetGo,
    is_last_call,
)
from domain.ids import step_key
from domain.money import Money, format_money
from domain.operator_cases import CaseKind
from domain.operator_policy import HoldPolicy, OperatorPolicy
from providers.base import ProviderUnavailable
from providers.registry import ProviderRegistry


class Holds:
    """Activities of the schedule that keeps money. Each can be repeated; the provider is asked once a deadline."""

    def __init__(
        self,
        database: Database,
        temporal: Client,
        providers: ProviderRegistry,
        policy: HoldPolicy,
        operators: OperatorPolicy,
    ) -> None:
        self.database = database
        self.temporal = temporal
        self.providers = providers
        self.policy = policy
        self.operators = operators

    @activity.defn(name="due_holds")
    async def due(self, asked: HoldsAsked) -> DueHolds:
        """Payments whose money still stands in an open path and will be let go of soon."""
        within = timedelta(seconds=self.policy.before_seconds)
        told = {"within": within, "after": asked.after, "limit": asked.limit}
        async with self.database.transaction() as session:
            rows = (await session.execute(_DUE, told)).mappings().all()
        due = tuple(HeldMoney.model_validate(dict(row)) for row in rows)
        full = len(due) == asked.limit
        return DueHolds(due=due, next=due[-1].payment_id + due[-1].path_id if full else None)

    @activity.defn(name="keep_money")
    async def keep(self, held: HeldMoney) -> KeptMoney:
        """Asks the provider for more time; where it refuses, a case says what can be done."""
        async with self.database.transaction() as session:
            payment = await session.get_one(Payment, held.payment_id)
        assert payment.reference is not None
        operation_id = step_key(f"hold-{payment.id}", f"{held.deadline:%Y%m%dT%H%M%S%f}")
        until: datetime | None = None
        try:
            provider = self.providers.get(payment.provider)
            until = (await provider.extend_hold(payment.reference, operation_id)).hold_until
        except ProviderUnavailable:
            async with self.database.transaction() as session:
                if not is_last_call(held.deadline, await _now(session), self.policy):
                    return KeptMoney(result=Kept.WAITING)
        except ProviderRefused:
            # Without more time operators are called below.
            until = None
        async with self.database.transaction() as session:
            if until is not None and until > held.deadline:
                await session.execute(
                    update(Payment).where(Payment.id == payment.id).values(hold_deadline=until)
                )
                await end_case(session, CaseKind.HOLD, payment.id, "kept")
                return KeptMoney(result=Kept.EXTENDED)
            await self._call(session, payment, held)
            if is_last_call(held.deadline, await _now(session), self.policy):
                return KeptMoney(result=Kept.TO_GO_BACK)
        return KeptMoney(result=Kept.REFUSED)

    @activity.defn(name="let_go")
    async def let_go(self, held: HeldMoney) -> LetGo:
        """Calls the path off as operators would, so that its money goes back; where that is not possible, at once a person."""
        try:
            executed = await self._call_off(held)
        except Unavailable:
            raise
        except DomainError as refused:
            async with self.database.transaction() as session:
                await session.execute(
                    update(Case)
                    .where(
                        Case.kind == CaseKind.HOLD,
                        Case.subject == held.payment_id,
                        Case.ended_at.is_(None),
                    )
                    .values(
                        due_at=func.least(Case.due_at, func.now()),
                        summary=_urgent(held, refused.detail),
                    )
                )
            return LetGo()
        async with self.database.transaction() as session:
            await end_case(session, CaseKind.HOLD, held.payment_id, "goes_back")
        return LetGo(executed=executed)

    async def _call_off(self, held: HeldMoney) -> Executed:
        key = step_key(f"hold-{held.payment_id}", held.path_id)
        async with self.database.transaction() as session:
            path = await session.get_one(Path, held.path_id)
        if path.kind in STORIES:
            await tell_to_call_off(
                Told(
                    temporal=self.temporal,
                    id=key,
                    by=None,
                    workflow_id=path.workflow_id,
                    kind=path.kind,
                    phase=path.phase,
                )
            )
            return Executed()
        async with self.database.transaction() as session:
            path = await lock_path(session, held.path_id)
            known = await happened(session, key)
            if known is None and not can_cancel(path.kind, path.phase):
                raise WrongPhase(f"it is {path.phase}")
            stage = Stage(session, self.temporal)
            standing = await CALLED_OFF[path.kind](stage, path.id, key, await _now(session))
            return Executed(tell=Tell.MOVED, workflow_id=path.workflow_id, standing=standing)

    async def _call(self, session: AsyncSession, payment: Payment, held: HeldMoney) -> None:
        await open_case(
            session,
            CaseKind.HOLD,
            payment.id,
            summary=(
                f"{payment.provider} lets go of {format_money(payment.amount, payment.currency)} on"
                f" {held.deadline:%Y-%m-%d %H:%M} UTC and gives no more time: a day before it goes back"
            ),
            within_seconds=self.operators.sla_seconds,
            path_id=held.path_id,
            user_id=payment.payer_id,
            money=Money(amount=payment.amount, currency=payment.currency),
            facts=HoldFacts(payment_id=payment.id, deadline=held.deadline),
        )


def _urgent(held: HeldMoney, why: str) -> str:
    return (
        f"At once: the money of {held.payment_id} is let go of on {held.deadline:%Y-%m-%d %H:%M} UTC,"
        f" and the path cannot be called off by itself ({why})"
    )


async def _now(session: AsyncSession) -> datetime:
    return (await session.scalars(select(func.now()))).one()


_DUE = text("""
    SELECT y.id AS payment_id, p.id AS path_id, y.hold_deadline AS deadline
    FROM payments y
    LEFT JOIN payment_parts t ON t.payment_id = y.id
    JOIN paths p ON p.id = coalesce(t.path_id, y.path_id) AND p.closed_at IS NULL
    WHERE y.status = 'captured' AND y.hold_deadline <= now() + CAST(:within AS interval)
    AND y.id || p.id > :after
    AND EXISTS (SELECT FROM ledger_accounts a WHERE a.path_id = p.id AND a.currency = y.currency
        AND a.kind IN ('escrow', 'deposit', 'match') AND a.balance > 0)
    AND y.amount > (SELECT coalesce(sum(r.amount), 0) FROM refunds r WHERE r.payment_id = y.id)
    AND NOT EXISTS (SELECT FROM chargebacks c WHERE c.payment_id = y.id AND c.status <> 'won'
        AND c.amount >= y.amount)
    ORDER BY y.id || p.id LIMIT :limit
""")
