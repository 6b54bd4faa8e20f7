"""What every path with several payments does with its money: ask for it, send parts of it back, end refunds."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from activities.transitions import advance, close_when_empty, funded_key, happened, timers
from db.tables import Chargeback, Path, Payment, PaymentPart, Refund
from domain import accounts, postings
from domain.accounts import Account
from domain.cases import PaymentCase, RefundCase
from domain.chargebacks import ChargebackState
from domain.errors import InsufficientFunds
from domain.ids import new_id, step_key
from domain.model import Message
from domain.money import MinorUnits, format_money
from domain.path import Collection
from domain.payments import (
    FollowPayment,
    FundingResult,
    PaymentOutcome,
    PaymentState,
    Purpose,
    RefundState,
    filled_account,
)
from domain.policy import Backoff, RefundPolicy
from domain.postings import JournalEntry
from ledger import journal


class PaymentTerms(Message):
    """How a path's payments are collected."""

    provider: str
    return_url: str
    poll: Backoff
    silence_seconds: int
    refund_policy: RefundPolicy


class Returns(Message):
    """Money that goes back: what is to be posted now, and the refunds to be sent."""

    entries: tuple[JournalEntry, ...] = ()
    cases: tuple[RefundCase, ...] = ()


def ask_for(
    session: AsyncSession,
    path: Path,
    terms: PaymentTerms,
    *,
    payment_id: str,
    payer_id: str,
    purpose: Purpose,
    amount: MinorUnits,
    expires_at: datetime,
    description: str,
    operation_id: str,
) -> Collection:
    """Writes down a payment of the path that is to be collected until `expires_at`. Flush before further reads."""
    session.add(
        Payment(
            id=payment_id,
            path_id=path.id,
            payer_id=payer_id,
            provider=terms.provider,
            operation_id=operation_id,
            amount=amount,
            currency=path.currency,
            purpose=purpose,
            status=PaymentState.REQUESTED,
            expires_at=expires_at,
        )
    )
    return Collection(
        case=PaymentCase(
            payment_id=payment_id,
            path_id=path.id,
            payer_id=payer_id,
            amount=amount,
            currency=path.currency,
            expires_at=expires_at,
            poll=terms.poll,
            silence_seconds=terms.silence_seconds,
            refund_policy=terms.refund_policy,
        ),
        description=description,
        return_url=terms.return_url,
    )


async def send_back(
    session: AsyncSession,
    path: Path,
    amount: int,
    *,
    key: str,
    reason: str,
    source: Account,
    policy: RefundPolicy,
) -> Returns:
    """Sends `amount` minor units of `source` back through the payments that filled it, the newest first.

    The caller posts the entries. Raises InsufficientFunds when those payments did not bring that much.
    """
    left, entries, cases = amount, [], []
    for payment in await _payments_into(session, path.id, source):
        part = min(left, await left_of(session, payment, path.id))
        if part <= 0:
            continue
        left -= part
        refund = Refund(
            id=new_id("ref"),
            path_id=path.id,
            payment_id=payment.id,
            payer_id=payment.payer_id,
            provider=payment.provider,
            operation_id=step_key(key, f"refund/{payment.id}"),
            amount=part,
            currency=payment.currency,
            reason=reason,
            status=RefundState.REQUESTED,
        )
        session.add(refund)
        entries.append(
            postings.refund(
                step_key(key, refund.id), path.id, refund.id, part, payment.currency, source=source
            )
        )
        cases.append(
            RefundCase(
                refund_id=refund.id,
                path_id=path.id,
                amount=part,
                currency=payment.currency,
                policy=policy,
            )
        )
    if left > 0:
        raise InsufficientFunds(
            f"the payments of {path.id} do not cover {format_money(left, path.currency)} of a refund"
        )
    return Returns(entries=tuple(entries), cases=tuple(cases))


async def held(session: AsyncSession, path: Path, *accounts_: Account) -> list[int]:
    """What these accounts hold, in minor units, locked until the transaction ends."""
    found = await journal.balances(
        session, accounts_, path.currency, for_update=True, path_id=path.id
    )
    return [found[account].available for account in accounts_]


async def in_escrow(session: AsyncSession, path: Path) -> int:
    """What the path's escrow holds, in minor units, locked until the transaction ends."""
    [amount] = await held(session, path, accounts.escrow(path.id))
    return amount


async def refund_ended(
    session: AsyncSession, path: Path, refund: Refund, at: datetime, *, over: bool
) -> None:
    """The payer has the money of one refund; a path that is `over` closes with its last one."""
    amount = format_money(refund.amount, refund.currency)
    credited = refund.status == RefundState.CREDITED
    key = f"{refund.id}/ended"
    if await happened(session, key):
        return
    advance(
        session,
        path,
        key=key,
        kind="refund_arrived",
        phase=path.phase,
        actor="system" if credited else "provider",
        summary=f"{amount} is {'on the balance of' if credited else 'back with'} the payer",
        deadlines=timers(path),
        data={"refund_id": refund.id},
    )
    if over:
        await close_when_empty(session, path, at)


async def return_late_money(
    session: AsyncSession,
    path: Path,
    payment: Payment,
    look: FollowPayment,
    *,
    why: str,
    policy: RefundPolicy,
) -> PaymentOutcome:
    """Money that the path has no use for any more goes back; a path that had closed is open until it has arrived."""
    key = funded_key(payment)
    source = filled_account(Purpose(payment.purpose), path.id, payment.payer_id)
    back = await send_back(
        session, path, payment.amount, key=key, reason="paid_late", source=source, policy=policy
    )
    await journal.post(session, *back.entries)
    outcome = PaymentOutcome(
        result=FundingResult.RETURNING, at=look.at, refund_id=back.cases[0].refund_id
    )
    advance(
        session,
        path,
        key=key,
        kind="late_payment_returned",
        phase=path.phase,
        actor="provider",
        summary=f"{why}: {format_money(payment.amount, payment.currency)} goes back",
        deadlines=timers(path),
        data=outcome.model_dump(mode="json"),
    )
    return outcome


async def _payments_into(session: AsyncSession, path_id: str, source: Account) -> Sequence[Payment]:
    """Captured payments of the path that filled the account, the newest first, locked."""
    rows = await session.scalars(
        select(Payment)
        .where(
            or_(
                Payment.path_id == path_id,
                Payment.id.in_(
                    select(PaymentPart.payment_id).where(PaymentPart.path_id == path_id)
                ),
            ),
            Payment.status == PaymentState.CAPTURED,
        )
        .order_by(Payment.captured_at.desc(), Payment.id.desc())
        .with_for_update()
    )
    return [
        row for row in rows if filled_account(Purpose(row.purpose), path_id, row.payer_id) == source
    ]


async def left_of(session: AsyncSession, payment: Payment, path_id: str) -> int:
    """Minor units of the payment that can still be sent back for the path: of its part, if it has only a part.

    What a bank has taken of a part is not in the path's escrow any more, from which it would be sent.
    """
    part = await session.get(PaymentPart, (payment.id, path_id))
    if part is None:
        return payment.amount - await _sent_back(session, payment.id)
    sent = await session.scalar(
        select(func.coalesce(func.sum(Refund.amount), 0)).where(
            Refund.payment_id == payment.id, Refund.path_id == path_id
        )
    )
    return part.amount - int(sent or 0)


async def _sent_back(session: AsyncSession, payment_id: str) -> int:
    """Minor units of the payment that have been sent back already, or taken back by the payer's bank for good."""
    sent = select(func.coalesce(func.sum(Refund.amount), 0)).where(Refund.payment_id == payment_id)
    taken = select(func.coalesce(func.sum(Chargeback.amount), 0)).where(
        Chargeback.payment_id == payment_id, Chargeback.status == ChargebackState.LOST
    )
    total = await session.scalar(select(sent.scalar_subquery() + taken.scalar_subquery()))
    return int(total or 0)
