"""A sale's row and the rules of domain.sale_money: where its money is, and what its timer would post."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from db.tables import Chargeback, Sale
from domain.chargebacks import ChargebackState
from domain.deadlines import Deadline
from domain.parcels import LabelPayer
from domain.sale import Phase, SaleTerms, deadlines
from domain.sale_money import SaleMoney, bank_took, none_moved, release_free, whole_refund


async def money_of(
    session: AsyncSession, sale: Sale, phase: Phase, *, but: str | None = None
) -> SaleMoney:
    """Where the money of each line is; `phase` is the one in which the sale stands.

    A sale of which nothing was kept tells it by its phase and by the chargebacks that were lost before, except `but`,
    the one that is being decided.
    """
    if sale.money is not None:
        return SaleMoney.model_validate(sale.money)
    terms = SaleTerms.model_validate(sale.terms)
    money = none_moved(terms)
    if phase is Phase.COMPLETED:
        money, _ = release_free(terms, money)
    elif phase in (Phase.REFUNDING, Phase.REFUNDED):
        money, _ = whole_refund(terms, money)
    lost = await session.scalar(
        select(func.coalesce(func.sum(Chargeback.amount), 0)).where(
            Chargeback.path_id == sale.id,
            Chargeback.status == ChargebackState.LOST,
            Chargeback.id.is_distinct_from(but),
        )
    )
    return bank_took(terms, money, int(lost or 0)).money


def keep_money(sale: Sale, money: SaleMoney) -> None:
    """Writes down where the money is now."""
    sale.money = money.model_dump(mode="json")


def receipts(
    sale: Sale, money: SaleMoney, phase: Phase, due_at: datetime | None
) -> tuple[Deadline, ...]:
    """The timers of the sale in this phase, with what each would post of that which is still in escrow."""
    terms = SaleTerms.model_validate(sale.terms)
    return deadlines(
        terms,
        phase,
        due_at,
        label_is_ours=sale.label_paid_by == LabelPayer.PLATFORM,
        left=release_free(terms, money)[1],
    )
