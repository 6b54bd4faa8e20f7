"""Disputes, between rows and the rules of domain.disputes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, or_, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from db.tables import Chargeback, Dispute, DisputeEvidence, Lot, Path, Payment, Refund
from domain.chargebacks import UNDECIDED, ChargebackState
from domain.disputes import Course, DisputeTerms
from domain.payments import PaymentState


@dataclass(frozen=True)
class Released:
    """What somebody got out of a path, minor units."""

    user_id: str
    currency: str
    net: int
    fee: int
    """The commission in what was released to them."""
    last_at: datetime

    @property
    def gross(self) -> int:
        """What left the escrow for them."""
        return self.net + self.fee


def terms_of(row: Dispute) -> DisputeTerms:
    """The frozen terms."""
    return DisputeTerms.model_validate(row.terms)


def course_of(row: Dispute) -> Course:
    """What has become of it so far."""
    return Course.model_validate(row.course)


async def found(session: AsyncSession, dispute_id: str) -> tuple[Dispute, Path] | None:
    """A dispute with its path, or None."""
    row = (
        await session.execute(
            select(Dispute, Path).join(Path, Path.id == Dispute.id).where(Dispute.id == dispute_id)
        )
    ).first()
    return None if row is None else (row[0], row[1])


async def page(
    session: AsyncSession,
    *,
    user_id: str | None,
    about_id: str | None,
    phase: str | None,
    after: str | None,
    limit: int,
) -> Sequence[tuple[Dispute, Path]]:
    """Disputes, newest first: those of one side, of one path, in one phase."""
    query = select(Dispute, Path).join(Path, Path.id == Dispute.id)
    if user_id is not None:
        query = query.where(or_(Dispute.claimant_id == user_id, Dispute.respondent_id == user_id))
    if about_id is not None:
        query = query.where(Dispute.about_id == about_id)
    if phase is not None:
        query = query.where(Path.phase == phase)
    if after is not None:
        query = query.where(Dispute.id < after)
    rows = await session.execute(query.order_by(Dispute.id.desc()).limit(limit))
    return [(row, path) for row, path in rows]


async def is_open(session: AsyncSession, about_id: str, subject: str) -> bool:
    """Whether this part of the path is disputed already."""
    row = await session.scalar(
        select(Dispute.id).where(
            Dispute.about_id == about_id, Dispute.subject == subject, Dispute.ended_at.is_(None)
        )
    )
    return row is not None


async def count(session: AsyncSession, about_id: str, claimant_id: str) -> int:
    """How many disputes somebody has had about a path."""
    rows = (
        select(func.count())
        .select_from(Dispute)
        .where(Dispute.about_id == about_id, Dispute.claimant_id == claimant_id)
    )
    return int(await session.scalar(rows) or 0)


async def evidence(session: AsyncSession, dispute_id: str) -> Sequence[DisputeEvidence]:
    """What both sides have shown, oldest first."""
    rows = await session.scalars(
        select(DisputeEvidence)
        .where(DisputeEvidence.dispute_id == dispute_id)
        .order_by(DisputeEvidence.id)
    )
    return rows.all()


_RELEASED = text(
    """
    SELECT payee.owner, payee.currency, sum(payee.amount) AS net, sum(payee.fee) AS fee,
           max(payee.at) AS last_at
    FROM (
        SELECT a.owner, e.currency, e.at, p.amount,
               coalesce((
                   SELECT sum(f.amount) FROM ledger_postings f
                   JOIN ledger_accounts fa ON fa.id = f.account_id
                   WHERE f.entry_id = e.id AND f.side = 'credit' AND fa.kind = 'fee'
               ), 0) * p.amount / nullif((
                   SELECT sum(o.amount) FROM ledger_postings o
                   JOIN ledger_accounts oa ON oa.id = o.account_id
                   WHERE o.entry_id = e.id AND o.side = 'credit'
                     AND oa.kind IN ('payable', 'held')
               ), 0) AS fee
        FROM ledger_entries e
        JOIN ledger_postings p ON p.entry_id = e.id AND p.side = 'credit'
        JOIN ledger_accounts a ON a.id = p.account_id AND a.kind IN ('payable', 'held')
        WHERE e.path_id = :path_id AND e.kind = 'release' AND e.status = 'posted'
    ) payee
    GROUP BY payee.owner, payee.currency
    ORDER BY payee.owner
    """
)


async def released(session: AsyncSession, path_id: str) -> list[Released]:
    """Who got what out of the path, by the journal."""
    rows = await session.execute(_RELEASED, {"path_id": path_id})
    return [
        Released(
            user_id=row.owner,
            currency=row.currency,
            net=int(row.net),
            fee=int(row.fee),
            last_at=row.last_at,
        )
        for row in rows
    ]


async def given_back(session: AsyncSession, about_id: str, payee_id: str) -> int:
    """What earlier disputes have taken from somebody of what they got out of the path, minor units."""
    amounts = await session.scalars(
        select(Dispute.course["refunded"].as_integer()).where(
            Dispute.about_id == about_id,
            Dispute.ended_at.is_not(None),
            Dispute.terms["stake"]["payee_id"].as_string() == payee_id,
        )
    )
    return sum(amounts)


async def funding_paths(session: AsyncSession, path_id: str) -> list[str]:
    """The paths whose payments the path lives on: a lot on its order's."""
    order_id = await session.scalar(select(Lot.order_id).where(Lot.id == path_id))
    return [path_id] if order_id is None else [path_id, order_id]


async def paid_in(session: AsyncSession, path_id: str, payer_id: str) -> int:
    """What somebody has paid into the path and neither they nor their bank has back, minor units."""
    paths = await funding_paths(session, path_id)
    paid = select(func.coalesce(func.sum(Payment.amount), 0)).where(
        Payment.path_id.in_(paths),
        Payment.payer_id == payer_id,
        Payment.status == PaymentState.CAPTURED,
    )
    back = select(func.coalesce(func.sum(Refund.amount), 0)).where(
        Refund.path_id.in_(paths), Refund.payer_id == payer_id
    )
    lost = (
        select(func.coalesce(func.sum(Chargeback.amount), 0))
        .join(Payment, Payment.id == Chargeback.payment_id)
        .where(
            Chargeback.path_id.in_(paths),
            Payment.payer_id == payer_id,
            Chargeback.status == ChargebackState.LOST,
        )
    )
    total = await session.scalar(
        select(paid.scalar_subquery() - back.scalar_subquery() - lost.scalar_subquery())
    )
    return int(total or 0)


async def bank_has_money(session: AsyncSession, path_id: str, payer_id: str) -> bool:
    """Whether the payer's bank has taken money of the path for the moment."""
    row = await session.scalar(
        select(Chargeback.id)
        .join(Payment, Payment.id == Chargeback.payment_id)
        .where(
            Chargeback.path_id.in_(await funding_paths(session, path_id)),
            Payment.payer_id == payer_id,
            Chargeback.status.in_(UNDECIDED),
        )
        .limit(1)
    )
    return row is not None
