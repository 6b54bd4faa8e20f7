"""Verification of payees: what the payment company says is read there, never taken from a webhook."""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from temporalio import activity

from db import inbox
from db.case_rows import end_case, open_case
from db.engine import Database
from db.tables import LedgerAccount, Payee
from domain.accounts import AccountKind
from domain.errors import PayeeNotVerified, ProviderMismatch
from domain.money import format_money
from domain.operator_cases import CaseKind
from domain.payees import STOPPED, PayeeCase, PayeeOutcome, PayeeStatus
from domain.policy import PayoutPolicy
from providers.base import PayeeRequest, ProviderPayee
from providers.registry import ProviderRegistry


class PayeeChecks:
    """Activities of payees' verification."""

    def __init__(self, database: Database, providers: ProviderRegistry) -> None:
        self.database = database
        self.providers = providers

    @activity.defn(name="look_at_payee")
    async def look(self, case: PayeeCase) -> PayeeOutcome:
        """Makes the payee known to the company if it does not know them, reads how it stands, writes it down."""
        async with self.database.transaction() as session:
            row = await _kept(session, case)
            seen = await inbox.newest(session, row.id)
        theirs = await self._theirs(row)
        if theirs.subject != row.id:
            raise ProviderMismatch(f"{theirs.reference} is {theirs.subject}, not {row.id}")
        async with self.database.transaction() as session:
            row = await session.get_one(Payee, row.id, with_for_update=True)
            row.reference, row.status = theirs.reference, theirs.status
            row.requirements, row.url = list(theirs.requirements), theirs.url
            row.checked_at = func.now()
            await _call_operators(session, case, theirs.status)
            await inbox.consume(session, row.id, up_to=seen)
        return PayeeOutcome(status=theirs.status)

    async def _theirs(self, row: Payee) -> ProviderPayee:
        provider = self.providers.get(row.provider)
        if row.reference is not None:
            return await provider.get_payee(row.reference)
        asked = PayeeRequest(operation_id=f"{row.id}/create", subject=row.id)
        found = await provider.find_payee(asked.operation_id)
        return found or await provider.create_payee(asked)


async def require_verified(
    session: AsyncSession, user_id: str, provider: str, policy: PayoutPolicy
) -> None:
    """Raises PayeeNotVerified when this company pays verified people only, and they are not."""
    if provider not in policy.verifying_providers:
        return
    status = await session.scalar(
        select(Payee.status).where(Payee.user_id == user_id, Payee.provider == provider)
    )
    if status != PayeeStatus.ACTIVE:
        raise PayeeNotVerified(
            f"the verification is {status or 'not begun'}",
            field="payee",
            accepted="once it is active; see POST /v1/me/payee",
        )


async def _kept(session: AsyncSession, case: PayeeCase) -> Payee:
    await session.execute(
        insert(Payee)
        .values(
            id=case.payee_id,
            user_id=case.user_id,
            provider=case.provider,
            status=PayeeStatus.PENDING,
        )
        .on_conflict_do_nothing()
    )
    found = await session.scalars(
        select(Payee).where(Payee.user_id == case.user_id, Payee.provider == case.provider)
    )
    return found.one()


async def _call_operators(session: AsyncSession, case: PayeeCase, status: PayeeStatus) -> None:
    if status not in STOPPED:
        await end_case(session, CaseKind.PAYEE, case.user_id, status)
        return
    money = await session.scalars(
        select(LedgerAccount)
        .where(
            LedgerAccount.kind.in_((AccountKind.PAYABLE, AccountKind.HELD)),
            LedgerAccount.owner == case.user_id,
            LedgerAccount.balance != 0,
        )
        .order_by(LedgerAccount.id)
    )
    words = ", ".join(format_money(each.balance, each.currency) for each in money)
    if words:
        await open_case(
            session,
            CaseKind.PAYEE,
            case.user_id,
            summary=f"{case.provider} says {status} of a payee with {words}: it cannot leave.",
            within_seconds=case.within_seconds,
            user_id=case.user_id,
        )
